"""The main flow of retrieval: query → vectors → nearest chunks → order. One object for tuning, serving, evaluation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from fieldguide.catalog import Catalog
from fieldguide.errors import NotReady
from fieldguide.models.base import Embedder
from fieldguide.settings import Retrieval
from fieldguide.types import SUPERSEDED, Chunk, Context, ScoredChunk, content_hash
from retrieval.build import open_index
from retrieval.order import reorder
from retrieval.vectors import Hits, VectorStore

Facets = Mapping[str, Sequence[str]]
"""Facet names with the values wanted of each; none: everything."""


class DenseRetriever:
    """A Retriever by cosine similarity of embeddings. It keeps the index version that it opened.

    ``among`` are the only chunks that are searched, if given. ``newer`` tells of a superseded document which one
    took its place: where both are found, the newer one's chunks come first.
    """

    def __init__(
        self,
        index_id: str,
        store: VectorStore,
        chunks: Mapping[str, Chunk],
        embedder: Embedder,
        settings: Retrieval,
        among: frozenset[str] | None = None,
        newer: Mapping[str, str] | None = None,
    ) -> None:
        self._index_id = index_id
        self._store = store
        self._chunks = chunks
        self._embedder = embedder
        self._settings = settings
        self._among = among
        self._newer = dict(newer or {})

    @classmethod
    def open(
        cls, catalog: Catalog, folder: Path, embedder: Embedder, settings: Retrieval, where: Facets | None = None
    ) -> DenseRetriever:
        """On the index version in use. Raises NotReady or IndexMismatch; NotReady if no chunk has these facets."""
        index_id, store = open_index(catalog, folder, embedder)
        among = frozenset(catalog.chunks_where(where)) if where else None
        if among is not None and not among:
            wanted = ", ".join(f"{name}={value}" for name, values in (where or {}).items() for value in values)
            raise NotReady(f"No chunk has {wanted}; `fieldguide facets` shows which values there are.")
        newer = {older: other for older, other, _ in catalog.relations(SUPERSEDED)}
        chunks = {chunk.id: chunk for chunk in catalog.chunks()}
        return cls(index_id, store, chunks, embedder, settings, among, newer)

    @property
    def index_id(self) -> str:
        return self._index_id

    @property
    def k(self) -> int:
        return self._settings.k

    @property
    def recipe(self) -> str:
        parts = [self._index_id, str(self._settings.k), self._settings.order]
        if self._among is not None:
            parts += ["among", *sorted(self._among)]
        if self._newer:
            parts += ["newer", *(f"{older}:{newer}" for older, newer in sorted(self._newer.items()))]
        return content_hash(*parts)

    def retrieve(self, queries: Sequence[str], k: int) -> list[list[ScoredChunk]]:
        if not queries:
            return []
        wanted = 2 * k if self._newer else k
        found = self._store.search(self._embedder.embed(queries), wanted, self._among)
        return [
            [
                ScoredChunk(self._chunks[name], score, rank, {"dense": score})
                for rank, (name, score) in enumerate(self._newest_first(hits)[:k], 1)
            ]
            for hits in found
        ]

    def _newest_first(self, hits: Hits) -> Hits:
        """Hits in their order, but those of a document behind all others if its successor is among them."""
        here = [hit for hit in hits if hit[0] in self._chunks]
        documents = {self._chunks[name].document for name, _ in here}
        return sorted(here, key=lambda hit: self._newer.get(self._chunks[hit[0]].document) in documents)

    def context(self, ranked: Sequence[ScoredChunk]) -> Context:
        return Context(tuple(reorder(ranked, self._settings.order)), self._settings.order)

    def contexts(self, queries: Sequence[str]) -> list[Context]:
        return [self.context(ranked) for ranked in self.retrieve(queries, self.k)]
