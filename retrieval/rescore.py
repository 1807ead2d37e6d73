"""Candidates under a step's new scores: what all rerankers do at their end. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from fieldguide.types import ScoredChunk

Scores = npt.NDArray[np.float64]
"""Shape (candidates,)."""


def rescored(name: str, candidates: Sequence[ScoredChunk], scores: Sequence[float] | Scores) -> list[ScoredChunk]:
    """The candidates by the step's scores, best first; equal ones as they stood before.

    Each gets ``score`` and ``rank`` (from 1), and the same under ``scores[name]`` and ``ranks[name]``.
    """
    if len(candidates) != len(scores):
        raise ValueError(f"{len(candidates)} candidates, {len(scores)} scores")
    order = sorted(range(len(candidates)), key=lambda n: -float(scores[n]))
    found = []
    for rank, n in enumerate(order, 1):
        held, score = candidates[n], float(scores[n])
        found.append(
            replace(held, score=score, rank=rank, scores={**held.scores, name: score}, ranks={**held.ranks, name: rank})
        )
    return found


def to_unit(scores: Sequence[float] | Scores) -> Scores:
    """Scores brought to 0 (the lowest) to 1 (the highest); all 1 where they are equal."""
    values = np.asarray(scores, dtype=np.float64)
    if not len(values):
        return values
    low, high = values.min(), values.max()
    return (values - low) / (high - low) if high > low else np.ones_like(values)
