"""The confidence fitted on dev questions, and the verb that does it."""

from __future__ import annotations

from typing import Any

import pytest

from assistant.flow import Assistant
from eval.dev_questions import DevQuestion, unanswerable_pairs, with_gold
from eval.questions import TestQuestion
from eval.refusal import Outcome, fit, outcomes
from fieldguide.errors import NotReady
from fieldguide.models.scripted import ScriptedGenerator
from fieldguide.prompts import answer_prompt_hash
from fieldguide.settings import Answer as Settings
from fieldguide.types import Answer, Citation, QAPair, Trace

QUESTIONS = [
    TestQuestion("heron", "How long is the heron wing?", ("12 feet",), "heron", (1,), "fact"),
    TestQuestion("none", "Who painted the ibis?", ("",), "ibis", (), "fact"),
]


def test_every_question_is_answered_and_a_part_once_more_without_its_passage(catalog: Any, retriever: Any) -> None:
    def reply(prompt: Any, adapter: Any) -> str:
        return "12 feet" if "12 feet" in prompt[-1].content else "31 feet"

    generator = ScriptedGenerator(reply)
    documents = {document.id: document for document in catalog.documents()}
    assistant = Assistant(retriever, generator, None, documents, Settings())
    counted: list[int] = []
    found = outcomes(with_gold(QUESTIONS, catalog), assistant, retriever, 1.0, counted.append)
    assert [(o.right, o.answerable, o.cluster) for o in found] == [
        (True, True, "heron"), (False, False, "ibis"), (False, False, "heron"),
    ]  # fmt: skip
    assert sum(counted) == 3
    assert found[2].answer.text == "31 feet"
    assert all("12 feet" not in p.chunk.text for p in found[2].answer.passages)
    half = outcomes(with_gold(QUESTIONS, catalog), assistant, retriever, 0.0, counted.append)
    assert len(half) == 2


def outcome(n: int, *, right: bool, supported: bool, likelihood: float) -> Outcome:
    cited = (Citation("said", "d", "d.pdf", 1, 0, 4, "said", 1, 1.0, True),) if supported else ()
    trace = Trace("m", None, "p", "c", "i", 1, 1, "stop", {}, likelihood)
    answer = Answer("?", "said", cited, () if supported else ("said",), (), False, trace)
    return Outcome(answer, right, right or n % 2 == 0, f"document {n % 6}")


def table() -> list[Outcome]:
    """Supported answers are right, others wrong, but for one in ten of each; likelihood tells nothing."""
    return [
        outcome(n, right=(n % 2 == 0) != (n % 10 == 3), supported=n % 2 == 0, likelihood=-(n % 7) / 7)
        for n in range(120)
    ]  # fmt: skip


@pytest.fixture
def model() -> Assistant:
    return Assistant(None, ScriptedGenerator(["said"]), None, {}, Settings())


def test_the_sign_that_tells_gets_the_weight_and_the_precision_is_reached(
    model: Assistant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("eval.refusal.signs", lambda answer: {
        "support": float(bool(answer.citations)), "likelihood": answer.trace.likelihood})  # fmt: skip
    made = fit(table(), model, 0.9, 0)
    weights = dict(zip(made.names, made.weights, strict=True))
    assert set(weights) == {"likelihood", "support"}
    assert weights["support"] > 5 * abs(weights["likelihood"])
    assert made.measured["precision"] >= 0.9
    assert 0.5 <= made.measured["coverage"] <= 0.56  # the supported half, and what 90% leaves room for
    assert made.measured["precision_without"] == pytest.approx(72 / 120)
    assert made.measured["curve"][-1][0] == 1.0
    assert made.fits(model.generator.id, None, answer_prompt_hash())


def test_too_few_answers_or_only_one_kind_of_outcome(model: Assistant) -> None:
    for found in (table()[:10], [o for o in table() if o.right]):
        with pytest.raises(NotReady, match="needs at least 20 answers"):
            fit(found, model, 0.8, 0)


def test_pairs_that_no_document_answers_are_dev_questions_without_an_answer(catalog: Any) -> None:
    pair = QAPair("p", "Who painted it?", "", "ibis", "ibis-1", (), "unanswerable", "derived", "dev", answerable=False)
    catalog.store_pairs("ibis-1", "derived", [pair], [])
    assert unanswerable_pairs(catalog, 5, 0) == [
        DevQuestion(TestQuestion("p", "Who painted it?", ("",), "ibis", (), "unanswerable"), ())
    ]
