"""Looking several times at a growing set of questions, without erring more often than once.

Who compares, asks more questions and compares again until something shows, would err far more often than the level
says. So the error is spent: 3% at the first look and half a percent at each of four more, 5% in all (Lan and DeMets
1983, "Discrete sequential boundaries for clinical trials"). Most people look once, and that look keeps most of the
power. Looks share questions, so what they say is correlated; the boundaries allow for it exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

LOOKS = 5
"""Looks that the error is spread over; each further one errs in another half percent."""

_FIRST, _EACH = 0.03, 0.005
_TO = 1e-3


def spent(look: int) -> float:
    """The share of comparisons without any difference that have erred by this look (from 1)."""
    return _FIRST + _EACH * (look - 1)


LEVEL_OF_FIRST_LOOK = 1 - spent(1)


def level_of_look(sets: Sequence[AbstractSet[str]]) -> float:
    """The level of the interval at the last of these looks, each given by the ids of its questions.

    The values of two looks correlate with what their sets share, n(A and B) / sqrt(n(A) n(B)): nested sets as in a
    growing one, not at all where nothing is shared. Beyond ``LOOKS`` looks only the last ones are correlated, and the
    earlier ones taken for independent, which errs on the safe side. Raises ValueError for no look or an empty set.
    """
    if not sets or not all(sets):
        raise ValueError("a look needs questions")
    recent = sets[-LOOKS:]
    shared = tuple(tuple(len(a & b) / (len(a) * len(b)) ** 0.5 for b in recent) for a in recent)
    return _levels(shared, len(sets) - len(recent))[-1]


@lru_cache(maxsize=64)
def _levels(correlation: tuple[tuple[float, ...], ...], earlier: int) -> list[float]:
    """The level of each look: the chance that any |z| has crossed its boundary by then is what may be spent."""
    from scipy.optimize import brentq
    from scipy.stats import norm

    corr = np.array(correlation)
    bounds: list[float] = []
    for n in range(1, len(corr) + 1):
        wanted = spent(earlier + n) - (spent(earlier) if earlier else 0.0)
        crossed = _crossing(bounds, corr[:n, :n], wanted)
        alone = float(norm.isf(_EACH / 2)) if n > 1 or earlier else float(norm.isf(_FIRST / 2))
        bounds.append(float(brentq(crossed, 1.0, alone + 0.01, xtol=_TO)) if n > 1 else alone)
    return [1 - 2 * float(norm.sf(bound)) for bound in bounds]


def _crossing(bounds: Sequence[float], corr: NDArray[np.float64], wanted: float) -> Callable[[float], float]:
    """How much more than ``wanted`` is crossed by these looks with a given last boundary."""
    from scipy.stats import multivariate_normal

    def of(last: float) -> float:
        limits = np.array([*bounds, last])
        rng = np.random.default_rng(0)  # integrals over more than three looks are drawn
        inside = multivariate_normal.cdf(
            limits, cov=corr, lower_limit=-limits, allow_singular=True, maxpts=100_000, rng=rng
        )
        return float(1 - inside) - wanted

    return of
