"""Means with bootstrap intervals for the manifests of tuning. Numbers in, intervals out, repeatable by seed.

Values that share a cluster (questions about one passage) are drawn together. The percentile interval's level is widened
for few clusters (Hesterberg 2015, "What Teachers Should Know About the Bootstrap", the *expanded* percentile interval).
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

LEVEL = 0.95
_SAMPLES = 4000


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean of ``n`` values and its 95% interval; ``low <= mean <= high``."""

    mean: float
    low: float
    high: float
    n: int


def mean_interval(values: Sequence[float], clusters: Sequence[Hashable] | None = None, seed: int = 0) -> Interval:
    """The mean with its interval. For a paired difference, give the differences.

    Equal values, and values of a single cluster, give an interval of no width. Raises ValueError for no values, for
    values that are not finite and for clusters that are not one for each value.
    """
    numbers = np.asarray(values, dtype=np.float64)
    if numbers.size == 0 or not np.isfinite(numbers).all():
        raise ValueError("an interval needs at least one value, and finite ones")
    names = range(len(numbers)) if clusters is None else clusters
    if len(names) != len(numbers):
        raise ValueError(f"clusters must name one cluster for each value, got {len(names)} for {len(numbers)}")
    mean = float(numbers.mean())
    number_of: dict[Hashable, int] = {}
    codes = np.array([number_of.setdefault(name, len(number_of)) for name in names])
    units = len(number_of)
    if units < 2 or float(np.ptp(numbers)) == 0:
        return Interval(mean, mean, mean, len(numbers))
    sums, counts = np.bincount(codes, weights=numbers), np.bincount(codes)
    drawn = np.random.default_rng(seed).multinomial(units, np.full(units, 1 / units), size=_SAMPLES)
    tail = _tail(units)
    low, high = np.quantile((drawn @ sums) / (drawn @ counts), [tail, 1 - tail])
    return Interval(mean, min(float(low), mean), max(float(high), mean), len(numbers))


def _tail(units: int) -> float:
    """The share cut off at each end, so that the interval covers ``LEVEL`` for so few units."""
    from scipy.stats import norm, t

    return float(norm.sf(math.sqrt(units / (units - 1)) * float(t.ppf((1 + LEVEL) / 2, units - 1))))
