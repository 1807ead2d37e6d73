import copy
import csv
import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval.gate import Threshold, check, read_thresholds
from eval.report_diff import diff, told
from eval.tables import to_csv, to_markdown
from fieldguide.errors import FieldguideError, SettingsError


def estimate(mean: float) -> dict[str, Any]:
    return {"mean": mean, "low": mean - 0.1, "high": mean + 0.1, "n": 8}


def report(f1s: list[float], arm: str = "base+RAG", **settings: Any) -> dict[str, Any]:
    items = []
    for n, f1 in enumerate(f1s):
        scores = {"token_f1": f1, "exact_match": float(f1 == 1), "containment": float(f1 == 1), "faithfulness": None,
                  "citation_precision": None, "seconds": 1.0}  # fmt: skip
        answer = {"text": f"answer | {n}", "citations": [{"source": "a.pdf", "page": 2}], "scores": scores}
        items.append({
            "id": f"q{n}", "question": f"=Question {n}?", "reference": f"reference {n}", "document": f"d{n}.pdf",
            "pages": [1, 2], "cluster": f"d{n}", "answers": {arm: answer},
        })  # fmt: skip
    metrics = {"token_f1": estimate(sum(f1s) / len(f1s)), "seconds": estimate(1.0), "numeric": {"mean": None, "n": 0}}
    return {
        "title": "A title", "verdict": "A | verdict.", "created": "2026", "version": "1", "items": items,
        "arms": [{"name": arm, "metrics": metrics}], "differences": [], "notes": ["a note"],
        "questions": {"n": len(f1s), "source": "file", "hash": "h" * 64}, "models": {"generator": "g", "embedder": "e"},
        "settings": {"retrieval": {"k": 3} | settings}, "integrity": {"prompt": "p"},
        "retrieval": {"recall@3": estimate(0.9)},
        "failures": {arm: [{"cause": "not retrieved", "n": 2, "brings": 0.12}]},
    }  # fmt: skip


def test_flips_and_differences_of_two_releases() -> None:
    before, after = report([1, 1, 0, 0, 0.4, 1, 1, 1]), report([1, 0.2, 1, 0, 0.3, 1, 1, 1], k=5)
    found = diff(before, after, samples=400)
    (row,) = found["arms"]
    assert (row["name"], row["negative"], row["positive"]) == ("base+RAG", ["q1"], ["q2"])
    assert row["difference"]["mean"] == pytest.approx((-0.8 + 1 - 0.1) / 8)
    assert row["difference"]["low"] < 0 < row["difference"]["high"]
    assert set(row["measures"]) == {"token_f1", "exact_match", "containment"}
    assert (found["shared"], found["only_before"], found["only_after"]) == (8, 0, 0)
    assert found["changed"] == {"settings.retrieval.k": ("3", "5")}
    lines = told(found)
    assert lines[0] == "8 questions in both (0 only before, 0 only after)."
    assert "1 right before and wrong now, 1 the other way round" in lines[1]
    assert lines[2] == "  wrong now: q1"
    assert lines[3] == "  settings.retrieval.k: 3 → 5"


def test_only_the_same_questions_count_and_single_arms_are_compared_whatever_their_names() -> None:
    before, after = report([1, 1, 0]), report([1, 1, 1, 1], "tuned+RAG")
    after["items"][0]["reference"] = "another"
    found = diff(before, after, samples=200)
    assert (found["shared"], found["only_before"], found["only_after"]) == (2, 1, 2)
    assert found["arms"][0]["name"] == "base+RAG → tuned+RAG"
    assert found["arms"][0]["positive"] == ["q2"]


def test_reports_with_nothing_in_common_are_an_error() -> None:
    other = report([1])
    other["items"][0]["id"] = "other"
    with pytest.raises(FieldguideError, match="no question in common"):
        diff(report([1]), other)
    two = report([1])
    two["arms"] = [{"name": "a", "metrics": {}}, {"name": "b", "metrics": {}}]
    with pytest.raises(FieldguideError, match=r"no arm in common \(base\+RAG; a, b\)"):
        diff(report([1]), two)


F1 = st.sampled_from([0.0, 0.3, 0.6, 1.0])


@given(st.lists(st.tuples(F1, F1), min_size=1, max_size=9))
def test_there_and_back_turns_signs_and_flips_round(pairs: list[tuple[float, float]]) -> None:
    a, b = report([x for x, _ in pairs]), report([y for _, y in pairs])
    there, back = diff(a, b, samples=100)["arms"][0], diff(b, a, samples=100)["arms"][0]
    assert there["difference"]["mean"] == pytest.approx(-back["difference"]["mean"])
    assert (there["negative"], there["positive"]) == (back["positive"], back["negative"])
    itself = diff(a, copy.deepcopy(a), samples=100)["arms"][0]
    assert (itself["difference"]["mean"], itself["negative"], itself["positive"]) == (0, [], [])


def test_thresholds_are_read_and_held_against_the_arm() -> None:
    given_ = read_thresholds(["token_f1>=0.4", "seconds <= 0.5", "recall@3>=.9", "numeric>=0.1", "negative_flips<=0"])
    assert given_[0] == Threshold("token_f1", ">=", 0.4)
    measured = report([1, 0, 0.5])
    found = check(measured, "base+RAG", given_)
    assert [one.ok for one in found] == [True, False, True, False, False]
    assert found[0].measured == "50.0 (40.0 to 60.0)"
    assert found[3].measured == "nothing that it applies to"
    assert found[4].measured == "there is no earlier report on these questions"
    measured["since"] = {"arms": [{"name": "base → base+RAG", "arm": "base+RAG", "negative": [], "positive": ["q"]}]}
    assert check(measured, "base+RAG", given_)[4].ok
    measured["since"]["arms"][0]["negative"] = ["q1", "q2"]
    assert (check(measured, "base+RAG", given_)[4].ok, check(measured, "base+RAG", given_)[4].measured) == (False, "2")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("token_f1", "is no threshold"),
        ("f1>=0.4", "is no threshold"),
        ("token_f1>0.4", "is no threshold"),
        ("token_f1>=40", "is a share from 0 to 1, so 40 points are 0.4"),
    ],
)
def test_other_thresholds_are_refused(text: str, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        read_thresholds([text])


def test_the_csv_has_a_line_an_answer_and_no_formula() -> None:
    rows = list(csv.DictReader(io.StringIO(to_csv(report([1, 0.25])))))
    assert [row["id"] for row in rows] == ["q0", "q1"]
    assert rows[1]["question"] == "'=Question 1?"
    assert (
        rows[1] | {"token_f1": "0.25", "numeric": "", "seconds": "1", "cited": "a.pdf p. 2", "pages": "1 2"} == rows[1]
    )


def test_the_markdown_holds_verdict_arms_and_failures() -> None:
    page = to_markdown(report([1, 0]))
    assert page.startswith("# A title\n\nA \\| verdict.\n\n- a note\n")
    assert "| base + RAG | 50.0 (40.0 to 60.0) | 1.00 |" in page
    assert "| not retrieved | 2 | +12.0 |" in page
    assert all(line.count("|") - line.count("\\|") in (0, 4) for line in page.split("\n") if line.startswith("|"))
