import json
from pathlib import Path
from typing import Any

import pytest

from eval.judge import Judge, Pair, judge_hash
from eval.judged import JudgeOfAnswers
from eval.labelled import read_labels
from eval.questions import TestQuestion
from fieldguide.errors import FieldguideError
from fieldguide.models.scripted import ScriptedGenerator
from fieldguide.types import Silent

QUESTIONS = [TestQuestion(f"q{n}", f"Question {n}?", (f"reference {n}",), None, (), "") for n in range(4)]


def answers(*texts: str) -> list[dict[str, Any]]:
    return [{"text": text, "passages": [{"text": "a passage"}]} for text in texts]


def test_every_arm_is_graded_and_what_cannot_be_parsed_is_counted() -> None:
    def reply(prompt: Any, adapter: Any) -> str:
        text = prompt[-1].content
        if "Rate the answer" in text:
            assert ("a passage" in text) == ("groundedness" in text)
            assert "Answer:\n\n" not in text
            return "5" if "groundedness" in text else "2"
        return next((said for said in ("correct", "partly", "wrong") if f"say {said}" in text), "I cannot tell")

    judge = JudgeOfAnswers(Judge(ScriptedGenerator(reply)), "a judge", None, ("groundedness", "relevance"))
    given = {"base": answers("say correct", "say partly", "say wrong", "garbage"), "tuned": answers("", "", "", "")}
    found = judge.judge_all(QUESTIONS, given, Silent())
    assert [mark["judged_correct"] for mark in found.marks["base"]] == [1.0, 0.5, 0.0, None]
    assert [mark["judged_correct"] for mark in found.marks["tuned"]] == [0.0] * 4  # empty: wrong without asking
    assert {mark["judged_groundedness"] for mark in found.marks["base"]} == {1.0}
    assert {mark["judged_relevance"] for mark in found.marks["base"]} == {0.25}
    assert {mark["judged_relevance"] for mark in found.marks["tuned"]} == {None}  # nothing was said
    assert found.told == {
        "name": "a judge", "asked": 8, "calibration": None,
        "unparsed": {"judged_correct": 1, "judged_groundedness": 0, "judged_relevance": 0},
    }  # fmt: skip


def test_groundedness_needs_passages_and_nothing_may_be_right() -> None:
    judge = JudgeOfAnswers(Judge(ScriptedGenerator(["4"])), "a judge", None, ("groundedness",))
    given = [{"text": "something", "passages": []}, {"text": "", "passages": [{"text": "a passage"}]}]
    unanswerable = TestQuestion("u", "Question?", ("",), None, (), "")
    first, second = judge.judge_arm([QUESTIONS[0], unanswerable], given)
    assert first["judged_groundedness"] is None
    assert second == {"judged_correct": 1.0, "judged_groundedness": None}


def test_labels_of_both_kinds_are_read(tmp_path: Path) -> None:
    rows = [
        {"question": "Q", "reference": "R", "answer": "A", "label": "partly"},
        {"question": "Q", "first": "A", "second": "B", "label": "tie"},
        {"question": "Q", "first": "A", "second": "B", "label": "second", "reference": "R"},
    ]
    path = tmp_path / "labels.jsonl"
    path.write_text("\n\n".join(map(json.dumps, rows)))
    found = read_labels(path)
    assert found.graded == [("Q", "R", "A", "partly")]
    assert found.pairs == [(Pair("Q", "A", "B"), "tie"), (Pair("Q", "A", "B", "R"), "second")]


def test_faulty_labels_are_told_line_by_line(tmp_path: Path) -> None:
    path = tmp_path / "labels.jsonl"
    path.write_text('{"question": "Q", "reference": "R", "answer": "A", "label": "good"}\nno json\n[1]\n')
    with pytest.raises(FieldguideError, match=r"(?s)3 fault\(s\).*line 1: label.*line 2: not JSON.*line 3: all"):
        read_labels(path)
    path.write_text("\n")
    with pytest.raises(FieldguideError, match="holds no labels"):
        read_labels(path)
    with pytest.raises(FieldguideError, match="cannot be read"):
        read_labels(tmp_path / "missing.jsonl")


def test_a_judges_prompts_have_a_hash() -> None:
    assert judge_hash() == judge_hash()
    assert len(judge_hash()) == 64
