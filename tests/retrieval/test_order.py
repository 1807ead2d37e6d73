import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.order import reorder

# Long-Context LLMs Meet RAG (arXiv 2410.05983), retrieval reordering, written out.
ENDS = {
    0: [],
    1: [1],
    2: [1, 2],
    3: [1, 3, 2],
    4: [1, 3, 4, 2],
    5: [1, 3, 5, 4, 2],
    6: [1, 3, 5, 6, 4, 2],
    7: [1, 3, 5, 7, 6, 4, 2],
}


@pytest.mark.parametrize("k", ENDS)
def test_ends_for_small_k(k):
    assert reorder(range(1, k + 1), "ends") == ENDS[k]


@given(st.integers(1, 200))
def test_ends_puts_each_rank_where_the_paper_does(k):
    shown = reorder(range(1, k + 1), "ends")
    for rank in range(1, k + 1):
        position = (rank + 1) // 2 if rank % 2 else (k + 1) - rank // 2
        assert shown[position - 1] == rank


@given(st.lists(st.integers()))
def test_rank_and_reverse(ranked):
    assert reorder(ranked, "rank") == ranked
    assert reorder(ranked, "reverse") == ranked[::-1]
    assert sorted(reorder(ranked, "ends")) == sorted(ranked)
