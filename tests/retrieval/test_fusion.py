import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.fusion import fuse

DENSE = [("a", 0.9), ("b", 0.6), ("c", 0.3)]
WORDS = [("c", 12.0), ("d", 6.0), ("a", 3.0)]

hits = st.dictionaries(
    st.sampled_from("abcdefgh"), st.floats(-100, 100, allow_nan=False).map(lambda x: round(x, 3)), min_size=1
).map(lambda found: sorted(found.items(), key=lambda hit: (-hit[1], hit[0])))


def test_reciprocal_ranks():
    fused = fuse({"dense": DENSE, "words": WORDS}, "rank", {})
    assert [name for name, _ in fused] == ["a", "c", "b", "d"]
    assert dict(fused) == pytest.approx({"a": 1 / 61 + 1 / 63, "c": 1 / 63 + 1 / 61, "b": 1 / 62, "d": 1 / 62})


def test_scores_are_standardised_over_what_any_channel_found():
    # dense: a b c d = 0.9 0.6 0.3 0.3 (d at most the last), mean 0.525, deviation sqrt(0.061875)
    # words: a b c d = 3 3 12 6, mean 6, deviation sqrt(13.5)
    first, second = 0.061875**0.5, 13.5**0.5
    expected = {
        "a": 0.375 / first - 3 / second,
        "b": 0.075 / first - 3 / second,
        "c": -0.225 / first + 6 / second,
        "d": -0.225 / first,
    }
    fused = fuse({"dense": DENSE, "words": WORDS}, "score", {})
    assert dict(fused) == pytest.approx(expected)
    assert [name for name, _ in fused] == ["c", "a", "b", "d"]


def test_the_only_hit_of_a_channel_counts():
    # a rare word that one chunk alone has: what the words did not find has nothing, not as much as that chunk
    fused = fuse({"dense": DENSE, "words": [("c", 9.0)]}, "score", {})
    assert [name for name, _ in fused] == ["a", "c", "b"]
    assert dict(fused)["c"] == pytest.approx(-(1.5**0.5) + 2**0.5)


def test_weights_and_a_channel_without_hits():
    assert [name for name, _ in fuse({"dense": DENSE, "words": WORDS}, "score", {"words": 0.0})] == ["a", "b", "c", "d"]
    assert [name for name, _ in fuse({"dense": DENSE, "words": []}, "score", {})] == ["a", "b", "c"]
    assert fuse({"dense": [], "words": []}, "score", {}) == []
    assert fuse({}, "rank", {}) == []


def test_equal_scores_are_in_the_order_of_their_ids():
    assert fuse({"dense": [("b", 0.5), ("a", 0.5)]}, "score", {}) == [("a", 0.0), ("b", 0.0)]
    thrice = [("a", 0.0125), ("b", 0.0125), ("c", 0.0125)]  # their mean is not exactly what they are
    assert fuse({"dense": thrice}, "score", {}) == [("a", 0.0), ("b", 0.0), ("c", 0.0)]


@given(hits, hits, st.sampled_from([0.01, 3.0, 1000.0]), st.integers(-50, 50))
def test_the_order_does_not_depend_on_a_channels_scale(first, second, factor, shift):
    moved = [(name, score * factor + shift) for name, score in second]
    if len(first) != len(second):
        shift = 0  # what a short list misses has the score 0, which is a score like others
        moved = [(name, score * factor) for name, score in second]
    plain = dict(fuse({"x": first, "y": second}, "score", {}))
    other = dict(fuse({"x": first, "y": moved}, "score", {}))
    assert other == pytest.approx(plain, abs=1e-6)


@given(hits, hits, st.sampled_from(["rank", "score"]))
def test_every_id_is_there_once_best_first(first, second, fusion):
    fused = fuse({"x": first, "y": second}, fusion, {})
    names = [name for name, _ in fused]
    assert sorted(names) == sorted({name for name, _ in first} | {name for name, _ in second})
    assert fused == sorted(fused, key=lambda hit: (-hit[1], hit[0]))


@given(hits, hits, st.sampled_from(["rank", "score"]))
def test_the_best_of_both_is_the_best(first, second, fusion):
    first, second = [("z", 200.0), *first], [("z", 200.0), *second]
    assert fuse({"x": first, "y": second}, fusion, {})[0][0] == "z"
