import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from eval.significance import (
    LEVEL_OF_NEXT_LOOK,
    dominance,
    flips,
    holm,
    interaction,
    mcnemar,
    questions_needed,
    standardised,
    wilcoxon,
)

SHARES = st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=40)


def test_mcnemar_is_the_binomial_test_of_the_questions_that_differ() -> None:
    a, b = [1] * 9 + [0] * 1 + [1] * 50, [0] * 9 + [1] * 1 + [1] * 50
    found = mcnemar(a, b)
    assert (found.name, found.n) == ("McNemar", 10)
    assert found.p == pytest.approx(2 * (1 + 10) / 2**10)  # 9 or more of 10 heads, or tails
    assert mcnemar(b, a).p == found.p
    assert mcnemar([1, 0], [1, 0]).p == 1.0


def test_mcnemar_takes_outcomes_only() -> None:
    with pytest.raises(ValueError, match="0 or 1"):
        mcnemar([0.5], [1.0])


def test_wilcoxon_is_near_scipys_permutations_where_there_are_ties() -> None:
    from scipy import stats

    gaps = [0.5, 0.5, -0.25, 1.0, 0.25, -0.5, 1.0, 0.75, 0.25, 0.5, -1.0, 0.25, 0.75, 0.5, 0.25, -0.25, 1.0, 0.5]
    exact = stats.wilcoxon(gaps, method=stats.PermutationMethod(n_resamples=20_000, rng=0)).pvalue
    assert wilcoxon(gaps, [0.0] * len(gaps)).p == pytest.approx(exact, abs=0.01)


def test_wilcoxon_of_eight_gains_in_a_row() -> None:
    found = wilcoxon([0.1 * n for n in range(1, 9)], [0.0] * 8)
    assert (found.n, found.p) == (8, pytest.approx(2 / 2**8))
    assert wilcoxon([0.3], [0.1 + 0.2]).p == 1.0


@settings(deadline=None)
@given(SHARES)
def test_tests_are_symmetric_and_their_p_is_a_share(pairs: list[tuple[float, float]]) -> None:
    a, b = zip(*pairs, strict=True)
    assert wilcoxon(a, b).p == pytest.approx(wilcoxon(b, a).p)
    assert 0 <= wilcoxon(a, b).p <= 1
    assert dominance(a, b) == -dominance(b, a)
    assert standardised(a, b) == pytest.approx(-standardised(b, a))


def test_holm_steps_down_and_keeps_the_names() -> None:
    assert holm({"x": 0.04, "y": 0.01, "z": 0.03}) == {"x": 0.06, "y": 0.03, "z": 0.06}
    assert holm({"x": 0.9, "y": 0.8}) == {"x": 1.0, "y": 1.0}
    assert holm({}) == {}


@given(st.dictionaries(st.integers(), st.floats(0, 1), max_size=9))
def test_holm_never_lowers_a_p_and_keeps_the_order(ps: dict[int, float]) -> None:
    adjusted = holm(ps)
    assert all(1 >= adjusted[name] >= p for name, p in ps.items())
    ordered = sorted(ps, key=lambda name: ps[name])
    assert [adjusted[name] for name in ordered] == sorted(adjusted.values())


def test_effect_sizes() -> None:
    assert standardised([1, 2, 3], [0, 0, 0]) == pytest.approx(2.0)
    assert standardised([1, 1], [0, 0]) == math.inf
    assert standardised([0.5], [0.5]) == 0.0
    assert dominance([1, 1, 1, 0], [0, 0, 1, 1]) == 0.25


def test_interaction_is_what_retrieval_adds_to_one_less_what_it_adds_to_the_other() -> None:
    base, base_rag, tuned = [0.0] * 8, [0.2] * 8, [0.1] * 8
    tuned_rag = [0.4, 0.6] * 4
    found = interaction(base, base_rag, tuned, tuned_rag, seed=0)
    assert found.mean == pytest.approx(0.4 - 0.2)
    assert found.clear
    assert 0 < found.low < found.mean < found.high
    assert interaction(base, base_rag, tuned, [0.3] * 8, seed=0).mean == pytest.approx(0.0)


def test_questions_needed_follow_the_normal_approximation() -> None:
    row = {"mean": 0.1, "low": 0.1 - 0.196, "high": 0.1 + 0.196, "n": 50}  # a standard error of 0.1
    wanted = norm.ppf((1 + LEVEL_OF_NEXT_LOOK) / 2) + norm.ppf(0.8)
    assert questions_needed(row) == pytest.approx(50 * wanted**2 - 50, rel=1e-3)
    assert questions_needed({**row, "mean": -0.1}) == questions_needed(row)
    assert questions_needed({**row, "mean": 0.0}) == math.inf
    assert questions_needed({**row, "mean": 0.9}) == 0.0


def test_flips() -> None:
    assert flips([1, 0, 0.6, 0.4], [0, 1, 0.5, 0.3]) == ([0], [1])


@pytest.mark.parametrize(("a", "b"), [([], []), ([1.0], [1.0, 2.0]), ([math.nan], [1.0])])
def test_what_is_no_pair_is_refused(a: list[float], b: list[float]) -> None:
    with pytest.raises(ValueError, match="paired values"):
        wilcoxon(a, b)
