"""Two rankings of the same questions compared: is the new retriever better, and is it safe to switch to?

Knows ids only. The paired interval is a plain bootstrap over questions (or over groups of them).
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
CUTOFFS = (1, 3, 5, 10)
MAIN = "ndcg@10"
"""The figure that decides."""
_SAMPLES = 10_000


@dataclass(frozen=True, slots=True)
class Comparison:
    """Means of old and new, and the mean of new − old with its 95% interval over the questions."""

    old: float
    new: float
    difference: float
    low: float
    high: float

    @property
    def clear(self) -> bool:
        return self.low > 0 or self.high < 0


def figures(ranked: Sequence[Sequence[str]], gold: Sequence[Collection[str]]) -> dict[str, Floats]:
    """ "recall@k" (share of the gold ids among the first k), "mrr@10" and "ndcg@10" for each question; shape (n,).

    A question without gold ids is worth 0 throughout: leave it out beforehand. Järvelin and Kekäläinen (2002) for
    nDCG, with a gain of 1 for each gold id. Raises ValueError if the lengths differ.
    """
    discounts = 1 / np.log2(np.arange(2, 12))
    out: dict[str, list[float]] = {name: [] for name in (*(f"recall@{k}" for k in CUTOFFS), "mrr@10", MAIN)}
    for ids, wanted in zip(ranked, gold, strict=True):
        hits = np.array([name in wanted for name in ids[:10]], dtype=float)
        hits = np.pad(hits, (0, 10 - len(hits)))
        for k in CUTOFFS:
            out[f"recall@{k}"].append(float(hits[:k].sum()) / max(len(wanted), 1))
        first = int(hits.argmax()) + 1 if hits.any() else 0
        out["mrr@10"].append(1 / first if first else 0.0)
        ideal = float(discounts[: min(len(wanted), 10)].sum())
        out[MAIN].append(float(hits @ discounts) / ideal if ideal else 0.0)
    return {name: np.array(values) for name, values in out.items()}


def compare_retrievers(
    old_ranked: Sequence[Sequence[str]],
    new_ranked: Sequence[Sequence[str]],
    gold: Sequence[Collection[str]],
    *,
    groups: Sequence[Hashable] | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Figures of two retrievers on the same questions, and whether to switch.

    Each list holds the ids that a question found, best first. ``groups`` names what each question hangs on, say its
    document: whole groups are drawn then. "switch" is whether the new one is at least as good in nDCG@10; "clear" is
    whether the interval of the difference excludes zero, so a switch that is not clear is a guess in its favour.
    Raises ValueError without questions or if the lengths differ.
    """
    if not gold:
        raise ValueError("there is no question to compare retrievers on")
    old, new = figures(old_ranked, gold), figures(new_ranked, gold)
    rows = {name: _compared(old[name], new[name], groups, seed) for name in old}
    main = rows[MAIN]
    return {
        "questions": len(gold),
        "figures": {name: asdict(row) for name, row in rows.items()},
        "switch": main.difference >= 0,
        "clear": main.clear,
    }


def _compared(old: Floats, new: Floats, groups: Sequence[Hashable] | None, seed: int) -> Comparison:
    low, high = _interval(new - old, groups, seed)
    return Comparison(float(old.mean()), float(new.mean()), float((new - old).mean()), low, high)


def _interval(values: Floats, groups: Sequence[Hashable] | None, seed: int) -> tuple[float, float]:
    """95% percentile interval of the mean, whole groups being drawn with replacement."""
    names = list(groups) if groups is not None else list(range(len(values)))
    if len(names) != len(values):
        raise ValueError(f"{len(names)} groups for {len(values)} questions")
    numbers: dict[Hashable, int] = {}
    codes = np.array([numbers.setdefault(name, len(numbers)) for name in names])
    sums, counts = np.bincount(codes, weights=values), np.bincount(codes)
    drawn = np.random.default_rng(seed).multinomial(len(counts), np.full(len(counts), 1 / len(counts)), size=_SAMPLES)
    low, high = np.quantile((drawn @ sums) / (drawn @ counts), [0.025, 0.975])
    return float(low), float(high)
