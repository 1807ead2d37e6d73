"""Tests of paired outcomes, effect sizes, the interaction of two factors, and what looking several times costs.

Knows numbers only: values of the same questions in two arms, from 0 to 1 for shares. p-values are two-sided.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from fieldguide.stats import Difference, Floats, paired_difference

LEVEL_OF_NEXT_LOOK = 0.991
"""About the level of a second to fifth look at a growing set (``eval.looks``): what more questions are asked for."""

_POWER_Z = 0.8416
"""Quantile of a power of 80%."""


@dataclass(frozen=True, slots=True)
class Test:
    """What a test said: its name, p, and on how many pairs it rests (``n``: those that differ, for both tests here)."""

    __test__ = False

    name: str
    p: float
    n: int


_EXACT = 12


def mcnemar(a: ArrayLike, b: ArrayLike) -> Test:
    """McNemar's exact test of two yes/no outcomes (0 or 1) of the same questions; only questions that differ count.

    Raises ValueError for other values and for unequal lengths.
    """
    from scipy.stats import binomtest

    first, second = _pair(a, b)
    if not np.isin(first, (0.0, 1.0)).all() or not np.isin(second, (0.0, 1.0)).all():
        raise ValueError("McNemar's test takes outcomes that are 0 or 1")
    only_a, only_b = int(((first == 1) & (second == 0)).sum()), int(((first == 0) & (second == 1)).sum())
    n = only_a + only_b
    return Test("McNemar", float(binomtest(only_a, n, 0.5).pvalue) if n else 1.0, n)


def wilcoxon(a: ArrayLike, b: ArrayLike) -> Test:
    """Wilcoxon's signed-rank test of two scores of the same questions; equal pairs are left out, as Wilcoxon did.

    Exact for up to twelve differences, ties or not; beyond that by the normal approximation with its correction for
    ties, which needs no permutations (scipy's own choice draws 10,000 where there are ties).
    """
    from scipy import stats

    first, second = _pair(a, b)
    gaps = np.round(first - second, 12)  # ties of shares that floating point tears apart
    gaps = gaps[gaps != 0]
    if not gaps.size:
        return Test("Wilcoxon", 1.0, 0)
    method = "auto" if gaps.size <= _EXACT else "asymptotic"
    return Test("Wilcoxon", float(stats.wilcoxon(gaps, method=method).pvalue), int(gaps.size))


def holm(ps: Mapping[Hashable, float]) -> dict[Hashable, float]:
    """Holm's (1979) adjusted p-values of a family: below 5% means rejected with 5% for the whole family."""
    adjusted: dict[Hashable, float] = {}
    running = 0.0
    for rank, (name, p) in enumerate(sorted(ps.items(), key=lambda entry: entry[1])):
        running = max(running, min(1.0, (len(ps) - rank) * p))
        adjusted[name] = running
    return {name: adjusted[name] for name in ps}


def standardised(a: ArrayLike, b: ArrayLike) -> float:
    """Cohen's d of paired values: mean difference over the differences' standard deviation. 0 without any difference,
    infinite where all differences are the same."""
    gaps = np.subtract(*_pair(a, b))
    mean, spread = float(gaps.mean()), float(gaps.std(ddof=1)) if gaps.size > 1 else 0.0
    if spread < 1e-12:
        return 0.0 if abs(mean) < 1e-12 else math.copysign(math.inf, mean)
    return mean / spread


def dominance(a: ArrayLike, b: ArrayLike) -> float:
    """Share of questions where a is better less the share where it is worse, -1 to 1 (paired Cliff's delta)."""
    gaps = np.round(np.subtract(*_pair(a, b)), 12)
    return float((gaps > 0).mean() - (gaps < 0).mean())


def interaction(
    base: ArrayLike,
    base_rag: ArrayLike,
    tuned: ArrayLike,
    tuned_rag: ArrayLike,
    *,
    seed: int,
    samples: int = 10_000,
    clusters: Sequence[Hashable] | None = None,
) -> Difference:
    """What retrieval adds to the tuned model less what it adds to the base: (tuned+RAG - tuned) - (base+RAG - base).

    Above zero tuning and retrieval help each other, below zero they stand in for each other; about zero their gains
    add up.
    """
    with_tuning, without = np.subtract(*_pair(tuned_rag, tuned)), np.subtract(*_pair(base_rag, base))
    return paired_difference(with_tuning, without, seed=seed, samples=samples, clusters=clusters)


def questions_needed(row: Mapping[str, float], level: float = LEVEL_OF_NEXT_LOOK) -> float:
    """How many questions more, asked of more documents alike, show a difference of this mean with a power of 80%.

    ``row`` has mean, low, high of a 95% interval, and n. Infinite for a mean of zero, 0 where there are enough.
    """
    from scipy.stats import norm

    if not row["mean"]:
        return math.inf
    error = (row["high"] - row["low"]) / (2 * float(norm.ppf(0.975)))
    wanted = float(norm.ppf((1 + level) / 2)) + _POWER_Z
    return max(0.0, row["n"] * (wanted * error / abs(row["mean"])) ** 2 - row["n"])


def flips(before: ArrayLike, after: ArrayLike, right: float = 0.5) -> tuple[list[int], list[int]]:
    """Positions that were right (at least ``right``) and are wrong now, and those that were wrong and are right
    (MUSCLE, arXiv 2407.09435: negative and positive flips of a release)."""
    was, now = (values >= right for values in _pair(before, after))
    return np.flatnonzero(was & ~now).tolist(), np.flatnonzero(~was & now).tolist()


def _pair(a: ArrayLike, b: ArrayLike) -> tuple[Floats, Floats]:
    first, second = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if first.ndim != 1 or first.shape != second.shape or not first.size:
        raise ValueError(f"paired values must be equally many, and some: got {first.shape} and {second.shape}")
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        raise ValueError("paired values must be finite")
    return first, second
