"""The trace of a retrieval: which steps a query went through, how long they took, and where each put what it found."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fieldguide.types import ScoredChunk
from retrieval.vectors import Hits

FUSED, CLUES = "fused", "clues"


@dataclass(frozen=True, slots=True)
class Step:
    """A step of retrieval: its name, its seconds (over the whole batch), and how many candidates it left."""

    name: str
    seconds: float
    candidates: int


@dataclass(frozen=True, slots=True)
class Found:
    """What a query found, and how. ``queries`` are the texts that were searched, the query itself first."""

    query: str
    passages: list[ScoredChunk]
    queries: list[str]
    steps: list[Step] = field(default_factory=list)


Places = Mapping[str, Mapping[str, tuple[float, int]]]
"""By step, the score and rank that it gave to each id."""


def places_of(hits: Mapping[str, Hits], fused: Hits, found: Hits) -> Places:
    """Of the channels, of the fusion where there are several, and of the clues where there was one."""
    steps = dict(hits)
    if len(hits) > 1:
        steps[FUSED] = fused
    if found is not fused:
        steps[CLUES] = found
    return {
        step: {name: (score, rank) for rank, (name, score) in enumerate(listed, 1)} for step, listed in steps.items()
    }


class Clock:
    """Seconds of each step of a batch, and what each query had after it."""

    def __init__(self) -> None:
        self._last = time.perf_counter()
        self._stops: list[tuple[str, float, list[int]]] = []

    def stop(self, name: str, lists: Sequence[Sequence[Any]], seconds: float | None = None) -> None:
        """A step has ended, begun where the last one ended, or with seconds of its own if it ran beside others."""
        now = time.perf_counter()
        self._stops.append((name, now - self._last if seconds is None else seconds, [len(one) for one in lists]))
        self._last = now

    def steps(self, number: int) -> list[Step]:
        """Those of one query."""
        return [Step(name, seconds, lengths[number]) for name, seconds, lengths in self._stops]
