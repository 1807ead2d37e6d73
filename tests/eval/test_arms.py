from typing import Any

import pytest

from eval.arms import Arm, Contexts, arms, examples_of, served
from eval.compare import compare
from eval.questions import TestQuestion
from eval.report import render
from fieldguide.models.hashing import HashingEmbedder
from fieldguide.models.scripted import ScriptedGenerator
from fieldguide.prompts import answer_prompt
from fieldguide.settings import Answer, Variant, load_settings
from fieldguide.types import QAPair, Silent

QUESTIONS = [
    TestQuestion("wing", "How long is the heron wing?", ("12 feet",), "heron", (1,), "fact", level="1"),
    TestQuestion("home", "Where is the stork home?", ("Port Royal",), "stork", (2,), "table", level="2"),
]
PAIRS = [
    QAPair(f"p{n}", f"What of {name}?", f"answer {n}", name, f"{name}-1", (), "fact", "written", "train")
    for n, name in enumerate(["heron", "heron", "ibis"])
]


def test_variants_stand_behind_the_four_and_need_an_adapter_if_tuned() -> None:
    variants = [Variant(name="k 2", k=2, order="ends"), Variant(name="shots", tuned=False, examples=2)]
    assert arms("a", variants)[4:] == [Arm("k 2", True, "a", 2, "ends"), Arm("shots", True, None, examples=2)]
    assert [arm.name for arm in arms(None, variants)] == ["base", "base+RAG", "shots"]
    assert (served("a").name, served(None).name) == ("tuned+RAG", "base+RAG")


def test_an_arm_has_its_own_number_of_passages(retriever: Any) -> None:
    contexts = Contexts(QUESTIONS, retriever)
    one, none, two = (contexts.of(arm) for arm in (
        Arm("served", True, None), Arm("closed", False, None), Arm("more", True, None, 2, "reverse")))  # fmt: skip
    assert none == [None, None]
    assert [len(c.passages) for c in one if c is not None] == [1, 1]
    assert [[p.rank for p in c.passages] for c in two if c is not None] == [[2, 1], [2, 1]]


def examples(arm: Arm, pairs: Any, retriever: Any, generator: Any = None, settings: Answer | None = None) -> Any:
    contexts = Contexts(QUESTIONS, retriever).of(arm)
    generator = generator or ScriptedGenerator(["x"])
    return examples_of(arm, pairs, retriever, QUESTIONS, contexts, generator, settings or Answer())


def test_examples_are_turns_about_different_documents(retriever: Any) -> None:
    turns, note = examples(Arm("shots", True, None, examples=2), PAIRS, retriever)
    assert note == ""
    assert [turn.role for turn in turns] == ["user", "assistant"] * 2
    assert [turn.content for turn in turns[1::2]] == ["answer 0", "answer 2"]  # of heron and ibis
    assert turns[0].content.endswith("What of heron?")
    assert turns[0].content.startswith("[1] ")
    closed, note = examples(Arm("shots", False, None, examples=4), PAIRS, retriever)
    assert closed[0] == answer_prompt("What of heron?", None)[-1]
    assert len(closed) == 6
    assert note == "The arm shots has 3 of the 4 worked examples that it should have: there are no more trained pairs."


def test_only_as_many_examples_as_fit_the_window(retriever: Any) -> None:
    arm = Arm("shots", True, None, examples=3)
    small = ScriptedGenerator(["x"])
    longest = max(small.count_tokens(answer_prompt(q.question, c)) for q, c in zip(
        QUESTIONS, Contexts(QUESTIONS, retriever).of(arm), strict=True))  # fmt: skip
    small = ScriptedGenerator(["x"], context_tokens=longest + 25 + Answer().max_new_tokens)
    turns, note = examples(arm, PAIRS, retriever, small)
    assert len(turns) == 2
    assert note.endswith("has 1 of the 3 worked examples that it should have: more do not fit the model's window.")
    marked, _ = examples(arm, PAIRS, retriever, settings=Answer(indicator=True))
    assert [turn.content.endswith("[answer from the passages]") for turn in marked[::2]] == [True] * 3


@pytest.fixture
def report(catalog: Any, retriever: Any) -> dict[str, Any]:
    """Of a model that knows "12 feet" only without passages, and the home only with them."""

    def reply(prompt: Any, adapter: Any) -> str:
        text = prompt[-1].content
        if len(prompt) > 2:
            return f"after {len(prompt) - 2} turns"
        if "heron" in text.rsplit("\n", 1)[-1]:
            return "57 feet" if text.startswith("[1]") else "12 feet"
        return "Port Royal" if text.startswith("[1]") else "Ganymede"

    variants = [{"name": "two shots", "tuned": False, "examples": 2}]
    settings = load_settings(None, {"compare": {"samples": 200, "variants": variants, "hour_costs": 3.6}})
    catalog.store_pairs("heron-1", "written", PAIRS[:2], [])
    return compare(
        QUESTIONS, source="by hand", catalog=catalog, retriever=retriever, generator=ScriptedGenerator(reply),
        adapter=None, settings=settings, embedder=HashingEmbedder(), progress=Silent(),
    )  # fmt: skip


def test_judges_that_pick_and_variants_are_arms_of_the_report(report: dict[str, Any], tmp_path: Any) -> None:
    assert [arm["name"] for arm in report["arms"]] == [
        "base", "base+RAG", "two shots", "two paths by support", "two paths by qim",
    ]  # fmt: skip
    answers = report["items"][0]["answers"]
    assert answers["two shots"]["text"] == "after 4 turns"
    assert answers["two paths by support"]["text"] == "12 feet"  # the passage says so, not 57
    assert report["items"][1]["answers"]["two paths by support"]["text"] == "Port Royal"
    rows = [(d["a"], d["b"]) for d in report["differences"] if d["metric"] == "token_f1"]
    assert rows[1:] == [
        (name, "base+RAG") for name in ("two shots", "two paths by support", "two paths by qim")
    ]  # fmt: skip
    assert "failures" in report
    assert set(report["failures"]) == {"base+RAG", "two shots"}
    assert {"kind: fact", "kind: table", "level: 1", "level: 2"} <= {group["name"] for group in report["groups"]}
    assert report["retrieval"]["recall@1"]["mean"] == 1.0
    assert report["retrieval"]["span_hit"]["mean"] == 1.0
    for name, cost in report["costs"].items():
        row = next(row for row in report["arms"] if row["name"] == name)
        assert cost == pytest.approx(row["metrics"]["seconds"]["mean"])  # 3.60 an hour: a thousandth a second
    page = render(report, tmp_path).read_text("utf-8")
    for shown in ("two paths by support", "Recall@1", "1,000 answers", "What an answer costs", "kind: table"):
        assert shown in page, shown
