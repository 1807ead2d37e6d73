"""Reranking for diversity: maximal marginal relevance. Knows scores and vectors only.

Carbonell and Goldstein (1998), The Use of MMR, Diversity-Based Reranking for Reordering Documents and Producing
Summaries, SIGIR, section 2.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fieldguide.models.base import Vectors
from fieldguide.types import ScoredChunk
from retrieval.query import Queries, VectorsOf
from retrieval.rescore import Scores, rescored, to_unit


def marginal_relevance(relevance: Sequence[float] | Scores, vectors: Vectors, diversity: float) -> Scores:
    """The score with which each candidate is chosen, in turn, as the best of those left: higher is earlier.

    λ · relevance − (1 − λ) · (cosine with the most alike of those chosen), λ = 1 − ``diversity`` (0 to 1).
    ``relevance`` is 0 to 1, shape (n,); ``vectors`` are unit vectors, shape (n, dimension). A cosine below 0 counts
    as 0: no passage is better for being the contrary of another. So the scores fall from choice to choice; equal
    candidates are chosen in the order given.
    """
    wanted = (1 - diversity) * np.asarray(relevance, dtype=np.float64)
    alike = np.zeros(len(wanted))  # cosine with the most alike of those chosen
    left = np.ones(len(wanted), dtype=bool)
    scores = np.zeros(len(wanted))
    for _ in range(len(wanted)):
        marginal = np.where(left, wanted - diversity * alike, -np.inf)
        best = int(np.argmax(marginal))
        scores[best] = marginal[best]
        left[best] = False
        alike = np.maximum(alike, vectors @ vectors[best])
    return scores


class MmrReranker:
    """Candidates in an order that repeats little; relevance is the score that they come with, brought to 0 to 1."""

    name = "mmr"

    def __init__(self, diversity: float, vectors_of: VectorsOf) -> None:
        self._diversity = diversity
        self._vectors_of = vectors_of

    @property
    def id(self) -> str:
        return f"mmr:{self._diversity}"

    def rerank(self, queries: Queries, ranked: Sequence[Sequence[ScoredChunk]]) -> list[list[ScoredChunk]]:
        return [rescored(self.name, candidates, self._scores(candidates)) for candidates in ranked]

    def _scores(self, candidates: Sequence[ScoredChunk]) -> Scores:
        if not candidates:
            return np.zeros(0)
        vectors = self._vectors_of([held.chunk.id for held in candidates])
        return marginal_relevance(to_unit([held.score for held in candidates]), vectors, self._diversity)
