"""Reranking by a passage's best sentence: a long passage's one vector blurs the sentence that answers.

The best of a passage's parts for the whole passage is MaxP (Dai and Callan 2019, arXiv 1905.09217), here with the
embedder at hand and each sentence under its passage's context line, which says what "it" is about.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import numpy as np

from fieldguide import align
from fieldguide.models.base import Embedder, Vectors
from fieldguide.types import Chunk, ScoredChunk
from retrieval.query import Queries
from retrieval.rescore import Scores, rescored

WEIGHT = 0.5
_KEPT = 5000  # passages whose sentences' vectors stay in memory
_SHORTEST = 4  # words; shorter pieces are headings and crumbs


class SentenceReranker:
    """Candidates by weight · their best sentence's cosine + (1 − weight) · the score that they come with, both brought
    to mean 0 and deviation 1 over the candidates of a query."""

    name = "sentences"

    def __init__(self, embedder: Embedder, weight: float = WEIGHT) -> None:
        """Raises ValueError unless ``weight`` is 0 to 1."""
        if not 0 <= weight <= 1:
            raise ValueError(f"weight must be between 0 and 1, not {weight}")
        self._embedder = embedder
        self._weight = weight
        self._known: OrderedDict[str, Vectors] = OrderedDict()

    def weighing(self, weight: float) -> SentenceReranker:
        """The same with another weight, sharing what is in memory."""
        other = SentenceReranker(self._embedder, weight)
        other._known = self._known
        return other

    @property
    def id(self) -> str:
        return f"sentences:{self._embedder.id}:{self._weight:g}"

    def rerank(self, queries: Queries, ranked: Sequence[Sequence[ScoredChunk]]) -> list[list[ScoredChunk]]:
        vectors = self._vectors({held.chunk.id: held.chunk for candidates in ranked for held in candidates})
        found = []
        for query, candidates in zip(queries.vectors, ranked, strict=True):
            best = np.array([float((vectors[held.chunk.id] @ query).max()) for held in candidates])
            before = np.array([held.score for held in candidates], dtype=np.float64)
            joined = self._weight * standardised(best) + (1 - self._weight) * standardised(before)
            found.append(rescored(self.name, candidates, joined))
        return found

    def _vectors(self, chunks: dict[str, Chunk]) -> dict[str, Vectors]:
        """The sentences' vectors of each chunk, shape (sentences, dimension); new ones are embedded in one go."""
        fresh = {name: sentences(chunk) for name, chunk in chunks.items() if name not in self._known}
        made = self._embedder.embed([text for texts in fresh.values() for text in texts])
        at = 0
        for name, texts in fresh.items():
            self._known[name] = made[at : at + len(texts)]
            at += len(texts)
        for name in chunks:
            self._known.move_to_end(name)
        found = {name: self._known[name] for name in chunks}
        while len(self._known) > _KEPT:
            self._known.popitem(last=False)
        return found


def sentences(chunk: Chunk) -> list[str]:
    """What is embedded of a chunk: each sentence of some length under the context line; all of it if none has that."""
    spans = align.sentences(chunk.text)
    texts = [chunk.text[start:end] for start, end in spans]
    kept = [text for text in texts if len(text.split()) >= _SHORTEST] or [chunk.text]
    return [f"{chunk.context}\n{text}" if chunk.context else text for text in kept]


def standardised(scores: Scores) -> Scores:
    """Scores brought to mean 0 and deviation 1; all 0 where they are equal."""
    deviation = float(scores.std()) if len(scores) else 0.0
    return (scores - scores.mean()) / deviation if deviation else np.zeros_like(scores)
