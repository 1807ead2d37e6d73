import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import bootstrap

from fieldguide.stats import FEWEST_UNITS, Difference, Interval, _expanded, mean_interval, paired_difference

NUMBERS = st.lists(st.floats(-1000, 1000), min_size=1, max_size=30)


@pytest.fixture(autouse=True)
def no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def test_known_values() -> None:
    values = np.arange(100) / 99  # uniform: mean 0.5, standard error 0.2915 / 10
    found = mean_interval(values, seed=1)
    assert found.mean == pytest.approx(0.5)
    assert found.n == 100
    assert found.low == pytest.approx(0.5 - 1.98 * 0.0293, abs=0.004)
    assert found.high == pytest.approx(0.5 + 1.98 * 0.0293, abs=0.004)


def test_a_higher_level_is_wider() -> None:
    values = np.arange(40) % 7
    narrow, wide = (mean_interval(values, seed=1, level=level) for level in (0.8, 0.99))
    assert wide.low < narrow.low < narrow.high < wide.high


def test_is_scipys_paired_percentile_interval_at_the_expanded_level() -> None:
    rng = np.random.default_rng(3)
    a, b = rng.random(25), rng.random(25)
    wanted = bootstrap(
        (a, b),
        lambda x, y, axis: np.mean(x - y, axis=axis),
        paired=True,
        vectorized=True,
        n_resamples=2000,
        confidence_level=_expanded(0.95, 25),
        method="percentile",
        rng=np.random.default_rng(7),
    ).confidence_interval
    found = paired_difference(a, b, seed=7, samples=2000)
    assert (found.low, found.high) == pytest.approx((wanted.low, wanted.high))


def test_expanded_level() -> None:
    assert _expanded(0.95, 10) == pytest.approx(0.9829, abs=1e-4)  # norm: sqrt(10/9) * t(0.975, 9) = 2.3845
    assert _expanded(0.95, 10_000) == pytest.approx(0.95, abs=1e-4)
    assert 0.95 < _expanded(0.95, 2) <= 1


@pytest.mark.parametrize("n", [8, 30])
def test_coverage(n: int) -> None:
    rng = np.random.default_rng(n)
    draws = rng.beta(0.8, 0.8, size=(400, n))  # like F1: from 0 to 1, crowded at the ends; its mean is 0.5
    hits = [found.low <= 0.5 <= found.high for found in (mean_interval(draw, seed=1, samples=500) for draw in draws)]
    assert 0.92 <= np.mean(hits) <= 0.985


def test_coverage_across_clusters() -> None:
    rng = np.random.default_rng(5)
    clusters = np.repeat(np.arange(12), 5).tolist()
    plain, clustered = [], []
    for _ in range(300):
        values = np.repeat(rng.normal(size=12), 5) + rng.normal(size=60)
        for hits, given_clusters in ((plain, None), (clustered, clusters)):
            found = mean_interval(values, seed=1, samples=500, clusters=given_clusters)
            hits.append(found.low <= 0 <= found.high)
    assert np.mean(plain) < 0.85  # the mistake that clusters are for
    assert 0.92 <= np.mean(clustered) <= 0.985


def test_paired_is_narrower_than_unpaired_where_correlated() -> None:
    rng = np.random.default_rng(2)
    hardness = rng.normal(size=80)
    a, b = hardness + rng.normal(0.1, 0.1, 80), hardness + rng.normal(0, 0.1, 80)
    paired, shuffled = paired_difference(a, b, seed=1), paired_difference(a, rng.permutation(b), seed=1)
    assert paired.mean == pytest.approx(shuffled.mean)
    assert (paired.high - paired.low) * 5 < shuffled.high - shuffled.low
    assert paired.clear
    assert not shuffled.clear


def test_a_minus_b() -> None:
    a, b = np.array([0.9, 0.7, 0.8, 0.6, 0.9, 1.0, 0.8]), np.array([0.1, 0.2, 0.3, 0.1, 0.2, 0.2, 0.4])
    one, other = paired_difference(a, b, seed=1), paired_difference(b, a, seed=1)
    assert one.mean == pytest.approx(0.6)
    assert one.clear
    assert one.low > 0
    assert other.mean == pytest.approx(-0.6)
    assert other.clear
    assert other.high < 0


def test_equal_arms_do_not_differ() -> None:
    found = paired_difference([0.1, 0.5, 0.9] * 5, [0.1, 0.5, 0.9] * 5, seed=1)
    assert found == Difference(0.0, 0.0, 0.0, 15, 15)
    assert not found.clear


def test_deterministic_by_seed() -> None:
    values, clusters = np.random.default_rng(1).random(50), [i % 9 for i in range(50)]
    for given_clusters in (None, clusters):
        same = [mean_interval(values, seed=4, clusters=given_clusters) for _ in range(2)]
        assert same[0] == same[1] != mean_interval(values, seed=5, clusters=given_clusters)


def test_batches_do_not_change_memory_or_method(monkeypatch: pytest.MonkeyPatch) -> None:
    values, clusters = np.random.default_rng(1).random(60), [i % 20 for i in range(60)]
    whole = [mean_interval(values, seed=4, clusters=c) for c in (None, clusters)]
    monkeypatch.setattr("fieldguide.stats._BATCH_VALUES", 3000)
    for one, cut in zip(whole, [mean_interval(values, seed=4, clusters=c) for c in (None, clusters)], strict=True):
        assert (cut.low, cut.high) == pytest.approx((one.low, one.high), abs=0.01)


@pytest.mark.parametrize("values", [[0.5], [0.5] * 7])
def test_without_spread_there_is_no_width(values: list[float]) -> None:
    assert mean_interval(values, seed=1) == Interval(0.5, 0.5, 0.5, len(values))
    assert mean_interval(values, seed=1, clusters=list(range(len(values)))).low == 0.5


def test_few_units_are_never_clear() -> None:
    assert not paired_difference([1.0], [0.0], seed=1).clear
    assert not paired_difference([1.0] * (FEWEST_UNITS - 1), [0.0] * (FEWEST_UNITS - 1), seed=1).clear
    assert paired_difference([1.0] * FEWEST_UNITS, [0.0] * FEWEST_UNITS, seed=1).clear
    five_documents = paired_difference([1.0] * 50, [0.0] * 50, seed=1, clusters=[i % 5 for i in range(50)])
    assert five_documents.units == 5
    assert five_documents.low > 0
    assert not five_documents.clear


def test_clusters_of_size_one_and_a_single_cluster_are_plain() -> None:
    values = np.random.default_rng(6).random(20)
    plain = mean_interval(values, seed=2)
    assert mean_interval(values, seed=2, clusters=[f"doc {i}" for i in range(20)]) == plain
    assert mean_interval(values, seed=2, clusters=["one document"] * 20) == plain
    single = paired_difference(values, values**2, seed=2, clusters=["x"] * 20)
    assert single == paired_difference(values, values**2, seed=2)


def test_clustered_values_agree_with_plain_where_clusters_mean_nothing() -> None:
    values = np.random.default_rng(6).random(400)
    plain = mean_interval(values, seed=2)
    clustered = mean_interval(values, seed=2, clusters=[i // 2 for i in range(400)])
    assert (clustered.low, clustered.high) == pytest.approx((plain.low, plain.high), abs=0.01)


def test_unequal_clusters_keep_the_mean_of_all_values() -> None:
    values, clusters = [1.0] * 90 + [0.0] * 10, ["big"] * 45 + ["large"] * 45 + [f"small {i}" for i in range(10)]
    found = mean_interval(values, seed=1, clusters=clusters)
    assert found.mean == pytest.approx(0.9)
    assert found.low < 0.5
    assert found.high <= 1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: mean_interval([], seed=1), "at least one number"),
        (lambda: mean_interval([[1.0, 2.0]], seed=1), "at least one number"),
        (lambda: mean_interval([1.0, math.nan], seed=1), "finite"),
        (lambda: mean_interval([1.0], seed=1, level=1.0), "level"),
        (lambda: mean_interval([1.0], seed=1, samples=0), "samples"),
        (lambda: mean_interval([1.0, 2.0], seed=1, clusters=["a"]), "one cluster for each value"),
        (lambda: paired_difference([1.0], [1.0, 2.0], seed=1), "equally many"),
        (lambda: paired_difference([], [], seed=1), "at least one number"),
    ],
)
def test_errors(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


@settings(deadline=None)
@given(values=NUMBERS, seed=st.integers(0, 2**32 - 1), groups=st.integers(1, 6) | st.none())
def test_low_mean_high(values: list[float], seed: int, groups: int | None) -> None:
    clusters = None if groups is None else [i % groups for i in range(len(values))]
    found = mean_interval(values, seed=seed, samples=50, clusters=clusters)
    assert found.low <= found.mean <= found.high
    assert found.n == len(values)
    slack = 1e-9 * max(map(abs, values))
    assert min(values) - slack <= found.low
    assert found.high <= max(values) + slack
