import json
from collections import Counter
from dataclasses import replace

import pytest

from eval.arms import Arm, arms
from eval.compare import compare
from eval.questions import TestQuestion, questions_hash
from eval.report import render
from fieldguide import __version__
from fieldguide.errors import IntegrityError
from fieldguide.models.base import Generation
from fieldguide.models.hashing import HashingEmbedder
from fieldguide.models.scripted import ScriptedGenerator
from fieldguide.prompts import answer_prompt, answer_prompt_hash
from fieldguide.settings import load_settings
from fieldguide.types import Silent

SETTINGS = load_settings(None, {"compare": {"samples": 200, "two_paths": ()}})
QUESTIONS = [
    TestQuestion("wing", "How long is the heron wing?", ("12 feet",), "heron", (1,), ""),
    TestQuestion("crew", "How large was the heron crew?", ("4 people",), "heron", (7,), ""),  # not where it stands
    TestQuestion("home", "Where is the stork home?", ("Port Royal",), "stork", (2,), ""),
    TestQuestion("free", "How long is the ibis wing?", ("31 feet", "31 ft"), None, (), ""),
]
REPLIES = {
    # question: base, base+RAG, tuned, tuned+RAG
    "heron wing": ("13 miles", "12 feet", "12 miles", "12 feet"),
    "heron crew": ("", "4 people were there", "4", "4 people"),
    "stork home": ("The moon.", "Port Royal. It was raining.", "Port", "Port Royal"),
    "ibis wing": ("31 ft", "57 feet", "31 feet long", "31 feet"),
}
ORDER = ("base", "base+RAG", "tuned", "tuned+RAG")


def reply(prompt, adapter):
    text = prompt[-1].content
    asked = next(words for words in REPLIES if text.endswith(f"the {words}?"))
    return REPLIES[asked][2 * (adapter is not None) + text.startswith("[1]")]


@pytest.fixture
def generator():
    return ScriptedGenerator(reply)


@pytest.fixture
def adapter(generator, tmp_path):
    folder = tmp_path / "adapter"
    folder.mkdir()
    (folder / "adapter_model.safetensors").write_bytes(b"an adapter's weights")
    return generator.load_adapter(folder)


@pytest.fixture
def run(catalog, retriever):
    def put(generator, adapter, questions=QUESTIONS, settings=SETTINGS, progress=None):
        return compare(
            questions, source="by hand", catalog=catalog, retriever=retriever, generator=generator, adapter=adapter,
            settings=settings, embedder=HashingEmbedder(), progress=progress or Silent(),
        )  # fmt: skip

    return put


def means(report, metric):
    return {arm["name"]: arm["metrics"][metric]["mean"] for arm in report["arms"]}


def lasting(report):
    """The report without what the clock says."""
    kept = json.loads(json.dumps({k: v for k, v in report.items() if k not in ("created", "timings")}))
    for item in kept["items"]:
        for answer in item["answers"].values():
            answer["trace"].pop("seconds")
            answer["scores"].pop("seconds")
    for arm in kept["arms"]:
        arm["metrics"].pop("seconds")
    return kept


# -- figures


def test_every_arm_has_the_figures_that_one_computes_by_hand(run, generator, adapter):
    report = run(generator, adapter)
    assert [arm["name"] for arm in report["arms"]] == list(ORDER)
    # "4 people were there" to "4 people": 2 of 4 and 2 of 2; "Port Royal. It was raining.": 2 of 5 and 2 of 2
    f1 = {
        "base": [0, 0, 0, 1],
        "base+RAG": [1, 2 / 3, 4 / 7, 1 / 2],
        "tuned": [1 / 2, 2 / 3, 2 / 3, 4 / 5],
        "tuned+RAG": [1, 1, 1, 1],
    }
    for arm, values in f1.items():
        assert [item["answers"][arm]["token_f1"] for item in report["items"]] == pytest.approx(values)
    assert means(report, "token_f1") == pytest.approx({arm: sum(values) / 4 for arm, values in f1.items()})
    assert means(report, "exact_match") == {"base": 0.25, "base+RAG": 0.25, "tuned": 0, "tuned+RAG": 1}
    assert means(report, "containment") == {"base": 0.25, "base+RAG": 0.75, "tuned": 0.25, "tuned+RAG": 1}
    assert means(report, "rouge_l") == pytest.approx({arm: sum(values) / 4 for arm, values in f1.items()})
    assert means(report, "answered") == {"base": 0.75, "base+RAG": 1, "tuned": 1, "tuned+RAG": 1}


def test_differences_are_paired_and_equal_the_difference_of_the_means(run, generator, adapter):
    report = run(generator, adapter)
    assert [(d["a"], d["b"], d["metric"]) for d in report["differences"]] == [
        (a, b, metric)
        for a, b in (
            ("tuned+RAG", "base+RAG"), ("base+RAG", "base"), ("tuned", "base"), ("tuned+RAG", "tuned"),
            ("tuned", "base+RAG"),
            ("tuned+RAG", "base"),
        )
        for metric in ("token_f1", "exact_match", "rouge_l")
    ]  # fmt: skip
    for row in report["differences"]:
        figures = means(report, row["metric"])
        assert row["mean"] == pytest.approx(figures[row["a"]] - figures[row["b"]])
        assert row["low"] <= row["mean"] <= row["high"]
        assert (row["n"], row["clear"]) == (4, False)  # three documents are too few
    assert report["verdict_kind"] == "undecided"
    assert "not enough evidence" in report["verdict"]


def test_citation_precision_counts_the_pages_that_are_gold_where_any_are_known(run, generator, adapter):
    report = run(generator, adapter)
    # wing: right; crew: cites page 2 and the reference says 7; home: right; free: no page is known
    wanted = {"mean": pytest.approx(2 / 3), "n": 3}
    for arm in ("base+RAG", "tuned+RAG"):
        found = next(row["metrics"]["citation_precision"] for row in report["arms"] if row["name"] == arm)
        assert {k: found[k] for k in ("mean", "n")} == wanted
    for arm in ("base", "tuned"):
        found = next(row["metrics"]["citation_precision"] for row in report["arms"] if row["name"] == arm)
        assert found == {"mean": None, "low": None, "high": None, "n": 0}
    wing, crew, home, free = (item["answers"]["base+RAG"] for item in report["items"])
    assert wing["citations"] == [
        {"source": "heron.pdf", "page": 1, "quote": "The heron wing is 12 feet.", "verified": True, "gold": True}
    ]
    assert crew["citations"] == [
        {"source": "heron.pdf", "page": 2, "quote": "The heron crew was 4 people.", "verified": True, "gold": False}
    ]
    assert [(c["page"], c["gold"]) for c in home["citations"]] == [(2, True)]
    assert home["unsupported"] == ["It was raining."]
    assert (free["citations"], free["unsupported"]) == ([], ["57 feet"])


def test_every_arm_is_asked_the_same_and_with_retrieval_over_the_very_same_passages(run, generator, adapter, retriever):
    report = run(generator, adapter)
    contexts = retriever.contexts([q.question for q in QUESTIONS])
    closed = [answer_prompt(q.question, None) for q in QUESTIONS]
    open_book = [answer_prompt(q.question, c) for q, c in zip(QUESTIONS, contexts, strict=True)]
    assert generator.calls == [
        *((prompt, None) for prompt in closed), *((prompt, None) for prompt in open_book),
        *((prompt, adapter) for prompt in closed), *((prompt, adapter) for prompt in open_book),
    ]  # fmt: skip
    for item, context in zip(report["items"], contexts, strict=True):
        traces = {arm: item["answers"][arm]["trace"] for arm in ORDER}
        assert [traces[arm]["adapter"] for arm in ORDER] == [None, None, adapter, adapter]
        assert [traces[arm]["context"] for arm in ORDER] == [None, context.hash, None, context.hash]
        passages = [
            {"source": f"{p.chunk.document}.pdf", "pages": list(p.chunk.pages), "text": p.chunk.text, "rank": p.rank,
             "score": round(p.score, 4)}
            for p in context.passages
        ]  # fmt: skip
        assert item["answers"]["base+RAG"]["passages"] == item["answers"]["tuned+RAG"]["passages"] == passages


def test_the_report_names_questions_groups_models_and_integrity(run, generator, adapter, retriever):
    report = run(generator, adapter)
    assert report["questions"] == {
        "n": 4, "source": "by hand", "hash": questions_hash(QUESTIONS),
        "by_split": {"documents tuned on": 2, "documents held out (test)": 1, "documents not in the splits": 1},
    }  # fmt: skip
    groups = {group["name"]: group for group in report["groups"]}
    of_documents = {name: groups.pop(name)["n"] for name in list(groups) if name.startswith("document: ")}
    assert of_documents == {"document: heron.pdf": 2, "document: stork.pdf": 1}
    assert {name: group["n"] for name, group in groups.items()} == report["questions"]["by_split"]
    tuned_on = {arm: row["mean"] for arm, row in groups["documents tuned on"]["arms"].items()}
    assert tuned_on == pytest.approx({"base": 0, "base+RAG": 5 / 6, "tuned": 7 / 12, "tuned+RAG": 1})
    assert report["integrity"] == {
        "base_hash_start": generator.base_hash(), "base_hash_end": generator.base_hash(), "adapter": adapter,
        "ok": True, "prompt": answer_prompt_hash(), "index": retriever.index_id,
    }  # fmt: skip
    assert report["models"] == {"generator": generator.id, "embedder": HashingEmbedder().id}
    assert report["version"] == __version__
    assert report["settings"] == SETTINGS.model_dump(mode="json")
    item = report["items"][3]
    assert (item["id"], item["reference"], item["document"], item["pages"]) == ("free", "31 feet / 31 ft", "", [])
    assert set(report["timings"]) == {"retrieval", *ORDER}


def test_without_an_adapter_there_are_the_base_arms_only(run, generator, tmp_path):
    report = run(generator, None)
    assert [arm["name"] for arm in report["arms"]] == ["base", "base+RAG"]
    assert {(d["a"], d["b"]) for d in report["differences"]} == {("base+RAG", "base")}
    assert all(set(item["answers"]) == {"base", "base+RAG"} for item in report["items"])
    assert report["integrity"]["adapter"] is None
    assert arms(None) == [Arm("base", False, None), Arm("base+RAG", True, None)]
    assert "base + RAG" in render(report, tmp_path / "run").read_text()


def test_the_report_can_be_rendered_and_kept_as_json(run, generator, adapter, tmp_path):
    report = run(generator, adapter)
    assert json.loads(json.dumps(report)) == report
    page = render(report, tmp_path / "run").read_text()
    assert report["verdict"].split(". ")[0] in page
    for shown in ("tuned + RAG", "Port Royal", "heron.pdf", adapter[:12], "by hand"):
        assert shown in page, shown


# -- integrity


class Reporting(ScriptedGenerator):
    """Says of some calls that another adapter was on than the one asked for."""

    def __init__(self, wanted, seen):
        super().__init__(reply)
        self.wanted, self.seen = wanted, seen
        self.broken = True

    def generate(self, prompts, **options):
        found = super().generate(prompts, **options)
        if self.broken and (options["adapter"] is None) is (self.wanted is None):
            found[-1] = replace(found[-1], adapter=self.seen)
        return found


@pytest.mark.parametrize("repaired", [True, False])
def test_an_adapter_that_was_on_in_a_base_arm_fails_the_comparison(run, repaired):
    generator = Reporting(None, "left on")
    with pytest.raises(IntegrityError, match="The arm base should have run with the adapter off but ran with left on"):
        run(generator, None)
    generator.broken = not repaired
    if repaired:  # nothing of the bad run was kept
        assert run(generator, None)["integrity"]["ok"] is True
        assert len(generator.calls) == len(QUESTIONS) * 3
    else:
        with pytest.raises(IntegrityError):
            run(generator, None)


@pytest.mark.parametrize("seen", [None, "another"])
def test_an_adapter_that_was_off_or_another_in_a_tuned_arm_fails_the_comparison(run, tmp_path, seen):
    (tmp_path / "adapter_model.safetensors").write_bytes(b"weights")
    generator = Reporting("some", seen)
    adapter = generator.load_adapter(tmp_path)
    with pytest.raises(
        IntegrityError, match=f"The arm tuned should have run with the adapter {adapter} .* {seen or 'none'};"
    ):
        run(generator, adapter)


def test_base_weights_that_changed_fail_the_comparison_and_none_of_its_answers_is_used_again(run, generator, adapter):
    generator.on_batch = lambda n: setattr(generator, "base", "changed")
    start = generator.base_hash()
    with pytest.raises(IntegrityError, match=f"base model's weights changed on the way .{start[:12]} to "):
        run(generator, adapter)
    generator.on_batch, generator.base = None, "scripted base"
    asked = len(generator.calls)
    assert run(generator, adapter)["integrity"]["base_hash_end"] == start
    assert len(generator.calls) == 2 * asked == 8 * len(QUESTIONS)


def test_an_answer_that_was_not_generated_breaks_no_promise(run, generator, adapter, monkeypatch, retriever):
    real = retriever.retrieve
    monkeypatch.setattr(retriever, "retrieve", lambda queries, k: [[], *real(queries, k)[1:]])
    report = run(generator, adapter)
    assert report["items"][0]["answers"]["tuned+RAG"]["trace"]["finish"] == "abstained"
    assert means(report, "answered") == {"base": 0.75, "base+RAG": 0.75, "tuned": 1, "tuned+RAG": 0.75}


# -- interruption


def many():
    """Twenty-five questions, so that an arm takes two batches."""
    return [replace(QUESTIONS[n % 4], id=f"q{n}", question=f"{n}: {QUESTIONS[n % 4].question}") for n in range(25)]


class Interrupted(ScriptedGenerator):
    """Is interrupted at the start of its n-th batch, and keeps what it was asked and answered."""

    def __init__(self, at):
        super().__init__(reply)
        self.at = at
        self.answered = []

    def generate(self, prompts, **options) -> list[Generation]:
        if prompts:
            self.at -= 1
            if self.at == 0:
                raise KeyboardInterrupt
        found = super().generate(prompts, **options)
        self.answered += [(prompt, options["adapter"]) for prompt in prompts]
        return found


@pytest.mark.parametrize("at", [1, 2, 4, 8])
def test_an_interrupted_comparison_goes_on_and_asks_nothing_twice(run, tmp_path, at):
    (tmp_path / "adapter_model.safetensors").write_bytes(b"weights")
    generator = Interrupted(at)
    adapter = generator.load_adapter(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        run(generator, adapter, many())
    done = len(generator.answered)
    assert done == [0, 20, 25, 45, 50, 70, 75, 95, 100][at - 1]
    report = run(generator, adapter, many())
    assert Counter(generator.answered).most_common(1)[0][1] == 1
    assert len(generator.answered) == 100
    again = run(generator, adapter, many())
    assert len(generator.answered) == 100
    assert lasting(again) == lasting(report)


def test_an_interrupted_comparison_ends_like_an_undisturbed_one(run, catalog, tmp_path):
    (tmp_path / "adapter_model.safetensors").write_bytes(b"weights")
    interrupted, undisturbed = Interrupted(6), Interrupted(99)
    adapter = interrupted.load_adapter(tmp_path)
    undisturbed.load_adapter(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        run(interrupted, adapter, many())
    resumed = run(interrupted, adapter, many())
    forget(catalog)
    assert lasting(run(undisturbed, adapter, many())) == lasting(resumed)
    assert len(undisturbed.answered) == 100


def forget(catalog):
    """Take every kept answer out of the catalogue."""
    import sqlalchemy

    with catalog._engine.begin() as connection:
        connection.execute(sqlalchemy.text("DELETE FROM answers"))


def test_answers_are_kept_for_the_same_question_weights_settings_and_passages_only(run, generator, adapter):
    run(generator, adapter)
    asked = len(generator.calls)
    run(generator, None)
    run(generator, adapter, list(reversed(QUESTIONS)))
    run(generator, adapter, [replace(q, answers=("other",), id=f"{q.id}2") for q in QUESTIONS])
    assert len(generator.calls) == asked
    shorter = load_settings(None, {"compare": {"samples": 200, "two_paths": ()}, "answer": {"max_new_tokens": 2}})
    assert SETTINGS.answer.max_new_tokens > 4
    assert run(generator, adapter, settings=shorter)["items"][1]["answers"]["base+RAG"]["text"] == "4 people"
    assert len(generator.calls) == 2 * asked
    other = ScriptedGenerator(reply, base="other weights")
    run(other, None)
    assert len(other.calls) == asked / 2


def test_progress_counts_every_answer_of_every_arm_kept_or_new(run, generator, adapter):
    class Progress(Silent):
        def __init__(self):
            self.total, self.done = 0, Counter()

        def start(self, label, total=None, done=0):
            self.total = total

        def advance(self, n=1, note=""):
            self.done[note] += n

    for _ in range(2):
        progress = Progress()
        run(generator, adapter, many(), progress=progress)
        assert (progress.total, progress.done) == (100, dict.fromkeys(ORDER, 25))
