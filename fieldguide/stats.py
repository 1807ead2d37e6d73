"""Means and paired differences with bootstrap intervals.

Knows nothing of arms, metrics or reports: numbers in, intervals out. Everything is reproducible from its seed.

The intervals are *expanded* percentile intervals (Hesterberg 2015, "What Teachers Should Know About the Bootstrap"):
the plain percentile interval is too narrow for few values (it covers about 90% instead of 95% for ten), so its level is
widened by what Student's t and the (n - 1) correction would widen a normal interval. From about 100 values on, the two
hardly differ.

``clusters`` names the group of each value, say the document that a question is about. Questions about one document
succeed and fail together, so whole clusters are drawn, and the interval holds for further documents, not only for
further questions about the same ones.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

FEWEST_UNITS = 6
"""With fewer values (or clusters), all on the same side of zero, even a sign test cannot reach 5%: 2 · 0.5⁵ = 6%."""

_BATCH_VALUES = 2_000_000  # numbers drawn at a time, to bound memory
_KEPT_VALUES = 5_000_000  # 40 MB


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean of ``n`` values and its interval; ``low <= mean <= high``."""

    mean: float
    low: float
    high: float
    n: int


@dataclass(frozen=True, slots=True)
class Difference(Interval):
    """The mean of a - b over pairs. ``units`` is the number of things drawn: clusters, or pairs without clusters."""

    units: int

    @property
    def clear(self) -> bool:
        """The interval excludes zero, and rests on at least ``FEWEST_UNITS`` units."""
        return self.units >= FEWEST_UNITS and (self.low > 0 or self.high < 0)


def mean_interval(
    values: ArrayLike,
    *,
    seed: int,
    samples: int = 10_000,
    level: float = 0.95,
    clusters: Sequence[Hashable] | None = None,
) -> Interval:
    """The values' mean with its bootstrap interval. One value, or equal values, give an interval of no width."""
    numbers = _checked(values, "values", samples, level)
    [(low, high)], _ = _bootstrap(numbers, seed, samples, (level,), clusters)
    mean = float(numbers.mean())
    return Interval(mean, min(low, mean), max(high, mean), len(numbers))


def paired_difference(
    a: ArrayLike,
    b: ArrayLike,
    *,
    seed: int,
    samples: int = 10_000,
    level: float = 0.95,
    clusters: Sequence[Hashable] | None = None,
) -> Difference:
    """The mean of ``a[i] - b[i]`` with its bootstrap interval, pairs being drawn together."""
    return paired_intervals(a, b, (level,), seed=seed, samples=samples, clusters=clusters)[0]


def paired_intervals(
    a: ArrayLike,
    b: ArrayLike,
    levels: Sequence[float],
    *,
    seed: int,
    samples: int = 10_000,
    clusters: Sequence[Hashable] | None = None,
) -> list[Difference]:
    """``paired_difference`` at several levels, from the same bootstrap samples."""
    first, second = (_checked(values, name, samples, *levels) for values, name in ((a, "a"), (b, "b")))
    if len(first) != len(second):
        raise ValueError(f"paired values must be equally many, got {len(first)} and {len(second)}")
    difference = first - second  # drawing pairs is drawing their differences
    found, units = _bootstrap(difference, seed, samples, levels, clusters)
    mean = float(difference.mean())
    return [Difference(mean, min(low, mean), max(high, mean), len(difference), units) for low, high in found]


def _checked(values: ArrayLike, name: str, samples: int, *levels: float) -> Floats:
    numbers = np.asarray(values, dtype=np.float64)
    if numbers.ndim != 1 or numbers.size == 0:
        raise ValueError(f"{name} must be a sequence of at least one number, got shape {numbers.shape}")
    if not np.isfinite(numbers).all():
        raise ValueError(f"{name} must be finite, got {numbers[~np.isfinite(numbers)][0]}")
    for level in levels:
        if samples < 1 or not 0 < level < 1:
            raise ValueError(f"samples must be at least 1 and level between 0 and 1, got {samples} and {level}")
    return numbers


def _bootstrap(
    values: Floats, seed: int, samples: int, levels: Sequence[float], clusters: Sequence[Hashable] | None
) -> tuple[list[tuple[float, float]], int]:
    """Low and high at each level, and the number of units drawn."""
    codes = _codes(clusters, len(values))
    units = len(values) if codes is None else int(codes.max()) + 1
    if float(np.ptp(values)) == 0:
        return [(float(values[0]), float(values[0]))] * len(levels), units
    means = _plain(values, seed, samples) if codes is None else _clustered(values, codes, seed, samples)
    found = []
    for level in levels:
        tail = (1 - _expanded(level, units)) / 2
        low, high = np.quantile(means, [tail, 1 - tail])
        found.append((float(low), float(high)))
    return found, units


def _codes(clusters: Sequence[Hashable] | None, n: int) -> NDArray[np.intp] | None:
    """The cluster's number of each value; None where drawing clusters is drawing values.

    That is so where each value is a cluster of its own, and where all values share one: what a single cluster says
    about further clusters cannot be known, and the interval then holds for that cluster alone.
    """
    if clusters is None:
        return None
    if len(clusters) != n:
        raise ValueError(f"clusters must name one cluster for each value, got {len(clusters)} for {n}")
    numbers: dict[Hashable, int] = {}
    codes = np.array([numbers.setdefault(cluster, len(numbers)) for cluster in clusters], dtype=np.intp)
    return None if len(numbers) in (1, n) else codes


def _expanded(level: float, units: int) -> float:
    """The percentile interval's level that covers ``level`` for so few units."""
    from scipy.stats import norm, t

    if units < 2:
        return level
    width = math.sqrt(units / (units - 1)) * float(t.ppf((1 + level) / 2, units - 1))
    return 1 - 2 * float(norm.sf(width))


def _plain(values: Floats, seed: int, samples: int) -> Floats:
    """Means of values drawn with replacement."""
    from scipy.stats import bootstrap

    found = bootstrap(
        (values,),
        np.mean,
        n_resamples=samples,
        batch=max(1, _BATCH_VALUES // len(values)),
        vectorized=True,
        method="percentile",
        rng=np.random.default_rng(seed),
    )
    means: Floats = found.bootstrap_distribution
    return means


def _clustered(values: Floats, codes: NDArray[np.intp], seed: int, samples: int) -> Floats:
    """Means over all values of the clusters drawn."""
    sums, counts = np.bincount(codes, weights=values), np.bincount(codes).astype(np.float64)
    units = len(counts)
    parts = [_draws(units, seed, samples)] if samples * units <= _KEPT_VALUES else _fresh_draws(units, seed, samples)
    return np.concatenate([(drawn @ sums) / (drawn @ counts) for drawn in parts])


@lru_cache(maxsize=2)
def _draws(units: int, seed: int, samples: int) -> Floats:
    """How often each sample holds each cluster, (samples, units). A report asks for the same ones many times."""
    return np.concatenate(list(_fresh_draws(units, seed, samples)))


def _fresh_draws(units: int, seed: int, samples: int) -> Iterator[Floats]:
    rng = np.random.default_rng(seed)
    batch = max(1, _BATCH_VALUES // units)
    for start in range(0, samples, batch):
        size = min(batch, samples - start)
        yield rng.multinomial(units, np.full(units, 1 / units), size=size).astype(np.float64)
