"""The rules that choose among settings, on numbers whose result can be worked out by hand."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval.choice import near_best, standard_error, winners
from eval.retrieval_metrics import rank_metrics

APART = list(range(8))


def test_standard_error_without_clusters_is_the_plain_one():
    values = [0.0, 1.0, 0.0, 1.0, 1.0, 1.0, 0.0, 1.0]
    assert standard_error(values, APART) == pytest.approx(np.std(values, ddof=1) / math.sqrt(8))
    assert standard_error(values, ["one"] * 8) == pytest.approx(np.std(values, ddof=1) / math.sqrt(8))
    assert standard_error([0.3], ["one"]) == 0.0


def test_standard_error_counts_equal_clusters_as_one_value_each():
    assert standard_error([1, 1, 1, 0, 0, 0], "aaabbb") == pytest.approx(standard_error([1, 0], "ab")) == 0.5


def test_near_best_is_within_one_standard_error_of_the_difference():
    best = np.array([0.9, 0.8, 0.7, 0.6, 0.9, 0.8, 0.7, 0.6])
    always_less = best - 0.01  # the difference has no spread, so it is a real one
    sometimes = best - np.array([0.2, 0, 0, 0, -0.1, 0, 0, 0])  # mean 0.0125 behind, its error is 0.032
    assert near_best([always_less, best, sometimes], APART) == [1, 2]


@given(st.lists(st.lists(st.floats(0, 1), min_size=6, max_size=6), min_size=1, max_size=5))
def test_near_best_holds_the_best(scores):
    means = [float(np.mean(row)) for row in scores]
    assert means.index(max(means)) in near_best(scores, range(6))


def test_winners_are_those_that_are_clearly_better():
    rng = np.random.default_rng(0)
    baseline = rng.uniform(0, 0.5, 40)
    noise = rng.normal(0, 0.1, (3, 40))
    scores = [baseline + 0.2 + noise[0], baseline + noise[1] - noise[1].mean(), baseline - 0.2 + noise[2]]
    assert winners(scores, baseline, range(40), seed=0, samples=2000) == [0]


def test_winners_need_more_the_more_is_tried():
    """A gain whose interval of 95% lies just above zero wins alone, and not among twelve."""
    rng = np.random.default_rng(1)
    gain = rng.normal(0, 1, 60)
    gain = 0.01 * (gain - gain.mean()) / (gain.std() / math.sqrt(60)) + 0.023  # 2.3 standard errors above zero
    baseline = np.full(60, 0.5)
    assert winners([baseline + gain], baseline, range(60), seed=0, samples=4000) == [0]
    others = [baseline - 0.1] * 11
    assert winners([baseline + gain, *others], baseline, range(60), seed=0, samples=4000) == []


def test_a_strong_winner_makes_room_for_the_next():
    """Holm's steps: beside one sure winner, the second is compared with 5%/1, not with 5%/2."""
    rng = np.random.default_rng(1)
    gain = rng.normal(0, 1, 60)
    gain = 0.01 * (gain - gain.mean()) / (gain.std() / math.sqrt(60)) + 0.0215
    baseline = np.full(60, 0.5)
    weak, sure, nothing = baseline + gain, baseline + 0.2 + gain, baseline - gain
    assert winners([weak, sure], baseline, range(60), seed=0, samples=4000) == [1, 0]
    assert winners([weak, nothing], baseline, range(60), seed=0, samples=4000) == []


def test_too_few_documents_have_no_winner():
    assert winners([[1.0] * 10], [0.0] * 10, list("aabbccddee"), seed=0, samples=200) == []
    assert winners([[1.0] * 12], [0.0] * 12, list("aabbccddeeff"), seed=0, samples=200) == [0]


def test_rank_metrics_by_hand():
    found = rank_metrics([["p", "x", "y"], ["p", *map(str, range(9)), "z"], [], ["w"]], ["xy", "z", "w", "w"], 10, 1)
    ideal = 1 + 1 / math.log2(3)
    assert found["rr"].tolist() == [0.5, 0, 0, 1]
    assert found["ndcg"].tolist() == pytest.approx([(1 / math.log2(3) + 0.5) / ideal, 0, 0, 1])
    assert found["success"].tolist() == [0, 0, 0, 1]
