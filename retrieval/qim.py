"""Reranking by the Quantized Influence Measure. Knows vectors only.

Rangan and Yin (2024), A Fine-tuning Enhanced RAG System with Quantized Influence Measure as AI Judge, arXiv 2402.17081.
The measure ignores sign: a document that points away from the query scores like one that points the same way.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from fieldguide.models.base import Vectors
from fieldguide.types import ScoredChunk
from retrieval.query import Queries, VectorsOf
from retrieval.rescore import Scores, rescored

LEVELS = 16


def quantise(vectors: npt.ArrayLike, levels: int = LEVELS) -> npt.NDArray[np.int64]:
    """Each row's numbers as levels 0 to ``levels`` − 1: bins of equal width between the row's least and greatest.

    The greatest is in the last bin; a constant row is all 0. Shape (n, dimension), as given.
    """
    values = np.asarray(vectors, dtype=np.float64)
    low, high = values.min(axis=1, keepdims=True), values.max(axis=1, keepdims=True)
    width = np.where(high > low, high - low, 1.0)
    found: npt.NDArray[np.int64] = np.minimum((levels * (values - low) / width).astype(np.int64), levels - 1)
    return found


def influence(query: npt.ArrayLike, documents: npt.ArrayLike, levels: int = LEVELS) -> Scores:
    """QIM of each document (n, dimension) for a query (dimension,): 0 or more, higher is more alike.

    The dimensions are parted by the query's level j; with y the document's levels, n_j the number of dimensions in part
    j and n that of all, QIM = Σ_j n_j² (mean of y in part j − mean of y)² / (n · σ_y), where σ_y is the standard
    deviation of y (of the population: divided by n). A level that the query does not have adds nothing. A constant
    query has one part, whose mean is the mean of all, and a constant document has no σ: both are 0.
    """
    y = quantise(documents, levels).astype(np.float64)
    if not len(y):
        return np.zeros(0)
    parts = quantise(np.asarray(query, dtype=np.float64)[None, :], levels)[0]
    members = (parts == np.unique(parts)[:, None]).astype(np.float64)  # (parts, dimension), no part is empty
    sizes = members.sum(axis=1)
    means = y @ members.T / sizes
    deviation = y.std(axis=1)
    summed = ((sizes * (means - y.mean(axis=1, keepdims=True))) ** 2).sum(axis=1)
    found: Scores = np.divide(summed, y.shape[1] * deviation, out=np.zeros(len(y)), where=deviation > 0)
    return found


class QimReranker:
    """Candidates by their vectors' influence measure with the query's."""

    name = "qim"
    id = f"qim:{LEVELS}"

    def __init__(self, vectors_of: VectorsOf) -> None:
        self._vectors_of = vectors_of

    def rerank(self, queries: Queries, ranked: Sequence[Sequence[ScoredChunk]]) -> list[list[ScoredChunk]]:
        return [
            rescored(self.name, candidates, self._scores(query, candidates))
            for query, candidates in zip(queries.vectors, ranked, strict=True)
        ]

    def _scores(self, query: Vectors, candidates: Sequence[ScoredChunk]) -> Scores:
        if not candidates:
            return np.zeros(0)
        return influence(query, self._vectors_of([held.chunk.id for held in candidates]))
