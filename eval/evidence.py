"""The difference of two arms on the same questions, as the verdict reads it. Numbers in, rows out."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from typing import Any

from numpy.typing import ArrayLike

from eval.looks import LEVEL_OF_FIRST_LOOK
from eval.significance import dominance, mcnemar, standardised, wilcoxon
from fieldguide.stats import FEWEST_UNITS, paired_intervals

COMPARED = (
    ("tuned+RAG", "base+RAG"),
    ("base+RAG", "base"),
    ("tuned", "base"),
    ("tuned+RAG", "tuned"),
    ("tuned", "base+RAG"),
    ("tuned+RAG", "base"),
)
"""The pairs of arms that are compared, the first against the second."""


def difference_row(
    a: str,
    b: str,
    metric: str,
    values_a: ArrayLike,
    values_b: ArrayLike,
    clusters: Sequence[Hashable],
    *,
    level: float = LEVEL_OF_FIRST_LOOK,
    seed: int = 0,
    samples: int = 10_000,
) -> dict[str, Any]:
    """Mean of a - b with its 95% interval (``low``, ``high``), tests and effect sizes.

    ``sure_low`` and ``sure_high`` are the interval at the ``level`` of this look (``eval.looks``): the difference is
    ``clear`` where that excludes zero and rests on enough documents. ``p`` is McNemar's for exact match, else
    Wilcoxon's; it takes questions for independent, which the intervals do not.
    """
    found, sure = paired_intervals(values_a, values_b, (0.95, level), seed=seed, samples=samples, clusters=clusters)
    d = standardised(values_a, values_b)
    test = mcnemar(values_a, values_b) if metric == "exact_match" else wilcoxon(values_a, values_b)
    return {
        "a": a, "b": b, "metric": metric, "mean": found.mean, "low": found.low, "high": found.high, "n": found.n,
        "units": found.units, "sure_low": sure.low, "sure_high": sure.high,
        "clear": found.units >= FEWEST_UNITS and (sure.low > 0 or sure.high < 0),
        "test": test.name, "p": test.p, "d": d if math.isfinite(d) else None,
        "dominance": dominance(values_a, values_b),
    }  # fmt: skip
