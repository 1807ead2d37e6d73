from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assistant.answer import answer_in_context
from assistant.confidence import Calibration, risk_coverage, signs, threshold_for
from fieldguide.models.scripted import ScriptedGenerator
from fieldguide.settings import Answer as Settings


def answered(made: Any, text: str, question: str = "How long is the wing?") -> Any:
    return answer_in_context(
        [question], [made.context], generator=ScriptedGenerator([text]), adapter=None, documents=made.documents,
        settings=Settings(), index="i",
    )[0]  # fmt: skip


def test_signs_of_an_answer(pages):
    made = pages("The wing is 12 feet long.", "The crew was of 4 people.")
    answer = answered(made, "12 feet. A blue tail.")
    answer = replace(answer, trace=replace(answer.trace, likelihood=-0.5))
    found = signs(answer)
    assert found["retrieval"] == 1.0
    assert found["likelihood"] == -0.5
    assert found["support"] == 0.5
    assert found["nearness"] == pytest.approx(2 / 2)  # "long" and "wing" stand around "12 feet"
    assert "agreement" not in found


def test_an_answer_without_citations_has_nothing_near(pages):
    found = signs(answered(pages("The wing is 12 feet long."), "green"))
    assert (found["support"], found["nearness"]) == (0.0, 0.0)
    assert "likelihood" not in found  # a scripted generator does not tell it


@pytest.mark.parametrize(
    ("question", "near"),
    [("How long is the wing at 20 knots?", 3 / 4), ("How long is the wing at 30 knots?", 0.0)],
)
def test_a_number_of_the_question_has_to_stand_where_the_answer_is_cited(pages, question, near):
    made = pages("The wing is 12 feet at 20 knots. Otherwise it is 9 feet. It takes 30 people.")
    assert signs(answered(made, "12 feet", question))["nearness"] == pytest.approx(near)


def calibration(**changes: Any) -> Calibration:
    given = {
        "model": "m", "adapter": None, "prompt": "p", "names": ("support", "retrieval"), "means": (0.5, 0.6),
        "scales": (0.5, 0.1), "weights": (1.0, 2.0), "intercept": 0.5, "threshold": 0.7, "measured": {},
    }  # fmt: skip
    return Calibration(**{**given, **changes})


def test_confidence_is_the_logistic_of_the_standardised_signs():
    assert calibration().of_signs({"support": 1.0, "retrieval": 0.7}) == pytest.approx(1 / (1 + math.exp(-3.5)))
    assert calibration().of_signs({"support": 1.0}) == pytest.approx(1 / (1 + math.exp(-1.5)))  # unknown: as usual
    assert calibration().of_signs({"support": -1e9, "retrieval": 0.0}) == pytest.approx(0.0)


def test_an_empty_answer_has_no_confidence(pages):
    assert calibration().confidence(answered(pages("The wing is 12 feet long."), "not in the documents")) == 0.0


def test_a_calibration_goes_through_json_and_holds_for_what_it_was_made_for():
    made = calibration(adapter="a")
    assert Calibration.from_json(made.as_json()) == made
    assert made.fits("m", "a", "p")
    assert not made.fits("m", None, "p")
    with pytest.raises(ValueError, match="as many weights"):
        Calibration.from_json({**made.as_json(), "weights": [1.0]})


def test_the_threshold_is_the_lowest_that_keeps_the_wanted_precision():
    sure = [0.9, 0.8, 0.7, 0.6, 0.5, 0.4]
    right = [True, True, False, True, True, False]
    assert threshold_for(sure, right, 0.75, fewest=1) == 0.5  # 4 of 5
    assert threshold_for(sure, right, 0.85, fewest=1) == 0.8
    assert threshold_for(sure, right, 0.85, fewest=3) == 0.5  # none of three or more: the highest there is, 4 of 5
    assert threshold_for(sure, right, 0.5, fewest=7) == 0.0
    with pytest.raises(ValueError, match="as many outcomes"):
        threshold_for(sure, right[:2], 0.5)


@given(st.lists(st.tuples(st.sampled_from([0.1, 0.3, 0.5, 0.9]), st.booleans()), min_size=1, max_size=40),
       st.floats(0.05, 0.95))  # fmt: skip
def test_equal_confidences_are_kept_or_declined_together(rows, wanted):
    sure, right = [a for a, _ in rows], [b for _, b in rows]
    found = threshold_for(sure, right, wanted, fewest=1)
    kept = [b for a, b in rows if a >= found]
    precisions = [sum(b for a, b in rows if a >= t) / sum(a >= t for a in sure) for t in set(sure)]
    if max(precisions) >= wanted:
        assert sum(kept) / len(kept) >= wanted
    else:
        assert sum(kept) / len(kept) == pytest.approx(max(precisions))


def test_risk_and_coverage_at_every_threshold():
    assert risk_coverage([0.2, 0.9, 0.5], [False, True, True], 4) == [
        (0.25, 0.0),
        (0.5, 0.0),
        (0.75, pytest.approx(1 / 3)),
    ]
