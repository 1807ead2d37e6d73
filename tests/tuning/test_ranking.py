from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuning.ranking import compare_retrievers, figures

LOG3 = math.log2(3)


def test_figures_by_hand() -> None:
    found = figures([["x", "a", "b"], ["a"], ["x"]], [{"a", "c"}, {"a"}, {"a"}])
    assert found["recall@1"].tolist() == [0, 1, 0]
    assert found["recall@3"].tolist() == [0.5, 1, 0]
    assert found["mrr@10"].tolist() == [0.5, 1, 0]
    assert found["ndcg@10"].tolist() == pytest.approx([(1 / LOG3) / (1 + 1 / LOG3), 1, 0])


def test_the_eleventh_is_too_late() -> None:
    ranked = [[*(str(n) for n in range(10)), "a"]]
    assert figures(ranked, [{"a"}])["ndcg@10"].tolist() == [0]


@given(
    st.lists(
        st.tuples(st.permutations(list("abcdefghijklm")), st.sets(st.sampled_from("abcdefghijklm"), min_size=1)),
        min_size=1, max_size=6,
    )
)  # fmt: skip
def test_figures_equal_the_library_s(cases: list[tuple[list[str], set[str]]]) -> None:
    ir_measures = pytest.importorskip("ir_measures")
    measures = {"ndcg@10": ir_measures.nDCG @ 10, "mrr@10": ir_measures.RR @ 10, "recall@5": ir_measures.R @ 5}
    run = {str(n): {d: float(-i) for i, d in enumerate(ids)} for n, (ids, _) in enumerate(cases)}
    qrels = {str(n): dict.fromkeys(gold, 1) for n, (_, gold) in enumerate(cases)}
    theirs = ir_measures.calc_aggregate(list(measures.values()), qrels, run)
    ours = figures([ids for ids, _ in cases], [gold for _, gold in cases])
    for name, measure in measures.items():
        assert float(ours[name].mean()) == pytest.approx(theirs[measure])


def test_a_clear_win_and_a_clear_loss() -> None:
    good, bad, gold = [["a", "b"]] * 20, [["b", "a"]] * 20, [{"a"}] * 20
    won = compare_retrievers(bad, good, gold)
    assert (won["switch"], won["clear"], won["questions"]) == (True, True, 20)
    assert won["figures"]["recall@1"] == {"old": 0.0, "new": 1.0, "difference": 1.0, "low": 1.0, "high": 1.0}
    lost = compare_retrievers(good, bad, gold)
    assert (lost["switch"], lost["clear"]) == (False, True)
    assert lost["figures"]["ndcg@10"]["difference"] == pytest.approx(1 / LOG3 - 1)


def test_no_difference_is_a_switch_that_is_not_clear() -> None:
    same = compare_retrievers([["a"]], [["a"]], [{"a"}])
    assert (same["switch"], same["clear"]) == (True, False)


def test_groups_are_drawn_whole() -> None:
    old, new = [["b", "a"]] * 10 + [["a", "b"]] * 10, [["a", "b"]] * 10 + [["b", "a"]] * 10
    gold = [{"a"}] * 20
    single = compare_retrievers(old, new, gold)["figures"]["recall@1"]
    grouped = compare_retrievers(old, new, gold, groups=[0] * 10 + [1] * 10)["figures"]["recall@1"]
    assert (grouped["low"], grouped["high"]) == (-1, 1)
    assert -0.6 < single["low"] < single["high"] < 0.6


def test_lengths_must_fit() -> None:
    with pytest.raises(ValueError, match="no question"):
        compare_retrievers([], [], [])
    with pytest.raises(ValueError, match="zip"):
        compare_retrievers([["a"]], [["a"]], [{"a"}, {"b"}])
    with pytest.raises(ValueError, match="2 groups for 1 questions"):
        compare_retrievers([["a"]], [["a"]], [{"a"}], groups=[1, 2])
