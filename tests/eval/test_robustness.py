from typing import Any

import pytest

from eval.answering import Answering
from eval.dev_questions import DevQuestion
from eval.plots import plot_places
from eval.questions import TestQuestion
from eval.robustness import COUNTERFACTUAL, SERVED, conditions, rewordings, robustness
from fieldguide.models.scripted import ScriptedGenerator
from fieldguide.settings import Answer, Compare, Retrieval
from fieldguide.types import Chunk, Context, Document, ScoredChunk, Silent, Span

NAMES = ("heron", "ibis", "stork", "egret", "crane", "avocet", "dunlin")
HOMES = ("Port Royal", "Great Yarmouth", "Little Rock", "Long Beach", "Fort Worth", "Santa Cruz", "Baton Rouge")


def chunk(n: int) -> Chunk:
    text = f"The {NAMES[n]} wing is {n + 1}2 feet. The {NAMES[n]} home is {HOMES[n]}."
    return Chunk(f"c{n}", NAMES[n], (Span(1, 0, len(text)),), text, (), "")


CHUNKS = [chunk(n) for n in range(len(NAMES))]
QUESTIONS = [
    DevQuestion(TestQuestion(f"{name}-{kind}", f"What is the {name} {kind}?", (answer,), name, (1,), ""), (CHUNKS[n],))
    for n, name in enumerate(NAMES)
    for kind, answer in (("wing", f"{n + 1}2 feet"), ("home", HOMES[n]))
]


class Shelf:
    """Finds the passage whose bird the question names, then the others in their order."""

    index_id = "shelf"
    room = 99

    def retrieve(self, queries: Any, k: int) -> list[list[ScoredChunk]]:
        return [
            [
                ScoredChunk(c, 1.0, rank)
                for rank, c in enumerate(sorted(CHUNKS, key=lambda c: c.document not in q)[:k], 1)
            ]
            for q in queries
        ]

    def contexts(self, queries: Any) -> list[Context]:
        return [self.context(found) for found in self.retrieve(queries, 3)]

    def context(self, ranked: Any) -> Context:
        return Context(tuple(ranked[: self.room]), "rank")

    def using(self, settings: Any) -> Any:
        assert (settings.order, settings.neighbours) == ("rank", 0)
        return self


class Kept(dict[str, Any]):
    """A catalogue that holds answers alone."""

    def answer(self, key: str) -> Any:
        return self.get(key)

    def store_answer(self, key: str, answer: Any) -> None:
        self[key] = answer


def reads(first_only: bool) -> Any:
    """A model that copies from the passage about the bird asked for; one that reads only the first passage, or that
    remembers all answers and reads none."""

    def reply(prompt: Any, adapter: Any) -> str:
        passages, _, question = prompt[-1].content.rpartition("\n\n")
        named = [(n, k) for n in NAMES for k in ("wing", "home") if n in question and k in question]
        if not named:  # mistyped
            return "I do not know"
        [(name, kind)] = named
        if adapter:  # remembers
            at = NAMES.index(name)
            return f"{at + 1}2 feet" if kind == "wing" else HOMES[at]
        text = passages.split("\n\n")[0] if first_only else passages
        _, found, rest = text.partition(f"The {name} {kind} is ")
        return rest.split(".")[0] if found else "I do not know"

    return reply


@pytest.fixture
def run(tmp_path: Any) -> Any:
    def put(first_only: bool) -> dict[str, Any]:
        generator = ScriptedGenerator(reads(first_only))
        (tmp_path / "adapter_model.safetensors").write_bytes(b"w")
        adapter = generator.load_adapter(tmp_path)
        documents = {name: Document(name, f"{name}.pdf", name) for name in NAMES}
        kept: Any = Kept()
        models = {
            name: Answering(kept, generator, which, Answer(), documents, "shelf", generator.base_hash())
            for name, which in (("base", None), ("tuned", adapter))
        }
        shelf: Any = Shelf()
        return robustness(
            QUESTIONS,
            retriever=shelf,
            retrieval=Retrieval(neighbours=1),
            models=models,
            compare=Compare(samples=200),
            k=3,
            progress=Silent(),
        )

    return put


def test_a_model_that_reads_the_first_passage_alone_is_sensitive_to_places(run: Any, tmp_path: Any) -> None:
    found = run(first_only=True)
    places = {(row["model"], row["place"]): row["mean"] for row in found["places"]}
    assert places == {
        ("base", 1): 1.0, ("base", 2): 0.0, ("base", 3): 0.0, ("tuned", 1): 1.0, ("tuned", 2): 1.0, ("tuned", 3): 1.0,
    }  # fmt: skip
    rows = {(row["model"], row["condition"]): row for row in found["conditions"]}
    shuffled = rows["base", "passages shuffled"]
    assert shuffled["mean"] < rows["base", SERVED]["mean"] == 1.0
    assert shuffled["difference"]["mean"] == pytest.approx(shuffled["mean"] - 1)
    assert shuffled["same"] == pytest.approx(shuffled["mean"])
    assert plot_places(found, tmp_path / "places.png").stat().st_size > 5000


def test_who_follows_the_passage_and_who_remembers(run: Any) -> None:
    base, tuned = run(first_only=False)["counterfactual"]
    assert (base["model"], base["n"], tuned["n"]) == ("base", 14, 14)
    assert [base[kind]["mean"] for kind in ("follows", "remembers", "other")] == [1, 0, 0]
    assert [tuned[kind]["mean"] for kind in ("follows", "remembers", "other")] == [0, 1, 0]


def test_conditions_change_what_they_say_and_nothing_else() -> None:
    shelf: Any = Shelf()
    made = {condition.name: condition for condition in conditions(QUESTIONS, shelf, Retrieval(), 3, 0)}
    assert list(made)[:5] == [
        SERVED, "reworded: polite", "reworded: hurried", "reworded: mistyped", "passages shuffled",
    ]  # fmt: skip
    question, context = made["right passage at place 2"].asked[0] or ("", None)
    assert question == "What is the heron wing?"
    assert context is not None
    assert [p.chunk.document for p in context.passages] == ["ibis", "heron", "stork"]
    served = made[SERVED].asked[4]
    shuffled = made["passages shuffled"].asked[4]
    assert served is not None
    assert shuffled is not None
    assert {p.chunk.id for p in served[1].passages} == {p.chunk.id for p in shuffled[1].passages}  # type: ignore[union-attr]
    for (asked, shown), (told, *_), question_ in zip(
        filter(None, made[COUNTERFACTUAL].asked), made[COUNTERFACTUAL].references, QUESTIONS, strict=True
    ):
        assert asked == question_.asked.question
        assert told in shown.passages[0].chunk.text  # type: ignore[union-attr]
        assert not any(question_.asked.answers[0] in p.chunk.text for p in shown.passages)  # type: ignore[union-attr]


def test_rewordings() -> None:
    said = {name: reword("What is the heron wing?") for name, reword in rewordings().items()}
    assert said == {
        "polite": "Could you please tell me: what is the heron wing?", "hurried": "whats the heron wing",
        "mistyped": "What is the hreon wing?",
    }  # fmt: skip
    assert rewordings()["mistyped"]("Who? 12") == "Who? 12"


def test_without_gold_there_are_no_places_and_nothing_is_changed(tmp_path: Any) -> None:
    shelf: Any = Shelf()
    bare = [DevQuestion(question.asked, ()) for question in QUESTIONS[:2]]
    made = conditions(bare, shelf, Retrieval(), 2, 0)
    assert [c.asked for c in made if c.name.startswith("right") or c.name == COUNTERFACTUAL] == [(None, None)] * 3
    generator = ScriptedGenerator(reads(False))
    kept: Any = Kept()
    answering = Answering(kept, generator, None, Answer(), {}, "shelf", generator.base_hash())
    found = robustness(
        bare, retriever=shelf, retrieval=Retrieval(), models={"base": answering}, compare=Compare(samples=100), k=2,
        progress=Silent(),
    )  # fmt: skip
    assert [row["n"] for row in found["places"]] == [0, 0]
    assert found["counterfactual"] == [{"model": "base", "n": 0, "follows": None, "remembers": None, "other": None}]


def test_only_whole_words_are_changed_and_a_window_that_is_too_small_leaves_conditions_out() -> None:
    text = "Training flights ended in rain. In 1944 there were 4 of 440."
    held = Chunk("w", "weather", (Span(1, 0, len(text)),), text, (), "")
    asked = [
        DevQuestion(TestQuestion("r", "How did it end?", ("rain",), "weather", (1,), ""), (held,)),
        DevQuestion(TestQuestion("n", "How many?", ("4",), "weather", (1,), ""), (held,)),
        DevQuestion(TestQuestion("f", "What else?", ("fog",), "weather", (1,), ""), ()),
    ]
    shelf: Any = Shelf()
    [*_, changed] = conditions(asked, shelf, Retrieval(), 2, 0)
    first, second, third = (one and one[1].passages[0].chunk.text for one in changed.asked)  # type: ignore[union-attr]
    assert first == "Training flights ended in fog. In 1944 there were 4 of 440."
    assert second == "Training flights ended in rain. In 1944 there were 8 of 440."
    assert third is None
    shelf.room = 1
    made = conditions(asked, shelf, Retrieval(), 2, 0)
    assert [c.asked[0] for c in made if c.name.startswith("right") or c.name == COUNTERFACTUAL] == [None] * 3
