"""The main flow of retrieval: query → vectors → nearest chunks → order. One object for tuning, serving, evaluation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from fieldguide.catalog import Catalog
from fieldguide.models.base import Embedder
from fieldguide.settings import Retrieval
from fieldguide.types import Chunk, Context, ScoredChunk, content_hash
from retrieval.build import open_index
from retrieval.order import reorder
from retrieval.vectors import VectorStore


class DenseRetriever:
    """A Retriever by cosine similarity of embeddings. It keeps the index version that it opened."""

    def __init__(
        self, index_id: str, store: VectorStore, chunks: Mapping[str, Chunk], embedder: Embedder, settings: Retrieval
    ) -> None:
        self._index_id = index_id
        self._store = store
        self._chunks = chunks
        self._embedder = embedder
        self._settings = settings

    @classmethod
    def open(cls, catalog: Catalog, folder: Path, embedder: Embedder, settings: Retrieval) -> DenseRetriever:
        """On the index version in use. Raises NotReady or IndexMismatch."""
        index_id, store = open_index(catalog, folder, embedder)
        return cls(index_id, store, {chunk.id: chunk for chunk in catalog.chunks()}, embedder, settings)

    @property
    def index_id(self) -> str:
        return self._index_id

    @property
    def k(self) -> int:
        return self._settings.k

    @property
    def recipe(self) -> str:
        return content_hash(self._index_id, str(self._settings.k), self._settings.order)

    def retrieve(self, queries: Sequence[str], k: int) -> list[list[ScoredChunk]]:
        if not queries:
            return []
        found = self._store.search(self._embedder.embed(queries), k)
        return [
            [
                ScoredChunk(self._chunks[name], score, rank, {"dense": score})
                for rank, (name, score) in enumerate((hit for hit in hits if hit[0] in self._chunks), 1)
            ]
            for hits in found
        ]

    def context(self, ranked: Sequence[ScoredChunk]) -> Context:
        return Context(tuple(reorder(ranked, self._settings.order)), self._settings.order)

    def contexts(self, queries: Sequence[str]) -> list[Context]:
        return [self.context(ranked) for ranked in self.retrieve(queries, self.k)]
