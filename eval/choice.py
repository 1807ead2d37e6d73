"""Rules for choosing among settings that were measured on the same questions. Numbers in, indices out.

``clusters`` names the group of each question (its document), as in ``fieldguide.stats``.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import ArrayLike

from fieldguide.stats import paired_difference

ALPHA = 0.05


def standard_error(values: ArrayLike, clusters: Sequence[Hashable]) -> float:
    """Standard error of the values' mean, clustered (Liang and Zeger 1986, with the factor G / (G - 1)).

    One cluster says nothing about others: then each value counts as its own, and the error holds for that cluster.
    """
    numbers = np.asarray(values, dtype=np.float64)
    names = list(dict.fromkeys(clusters))
    if len(names) > 1:
        place = {name: n for n, name in enumerate(names)}
        codes = np.array([place[name] for name in clusters])
    else:
        codes = np.arange(len(numbers))
    groups = int(codes.max()) + 1
    if groups < 2:
        return 0.0
    sums = np.bincount(codes, weights=numbers - numbers.mean())
    return math.sqrt(groups / (groups - 1) * float((sums**2).sum())) / len(numbers)


def near_best(scores: Sequence[ArrayLike], clusters: Sequence[Hashable]) -> list[int]:
    """Indices of those that cannot be told from the best mean: within one standard error of it, question by question.

    The one-standard-error rule (Breiman et al. 1984, section 3.4.3), on paired differences. In the order given.
    """
    rows = np.asarray(scores, dtype=np.float64)
    best = rows[int(rows.mean(axis=1).argmax())]
    short = [(float((best - row).mean()), standard_error(best - row, clusters)) for row in rows]
    return [n for n, (behind, error) in enumerate(short) if behind <= error + 1e-12]


def winners(
    scores: Sequence[ArrayLike], baseline: ArrayLike, clusters: Sequence[Hashable], *, seed: int, samples: int
) -> list[int]:
    """Indices of those clearly better than the baseline, Holm's step-down method holding the error at 5% for all.

    A candidate is as strong as the strictest of the levels 1 - 5%/m … 1 - 5%/1 at which its paired interval lies above
    zero; Holm (1979) compares the i-th strongest with 5%/(m - i + 1) and stops at the first that fails.
    """
    m = len(scores)
    strength = [_strength(score, baseline, clusters, m, seed, samples) for score in scores]
    found: list[int] = []
    for passed, n in enumerate(sorted(range(m), key=lambda n: -strength[n])):
        if strength[n] < m - passed:
            break
        found.append(n)
    return found


def _strength(
    score: ArrayLike, baseline: ArrayLike, clusters: Sequence[Hashable], m: int, seed: int, samples: int
) -> int:
    """The largest j up to m at which the interval of level 1 - 5%/j lies above zero; 0 if there is none."""
    if np.asarray(score, dtype=np.float64).mean() <= np.asarray(baseline, dtype=np.float64).mean():
        return 0
    strength = 0
    for j in range(1, m + 1):
        level = 1 - ALPHA / j
        found = paired_difference(score, baseline, seed=seed, samples=samples, level=level, clusters=clusters)
        if not (found.clear and found.low > 0):
            break
        strength = j
    return strength
