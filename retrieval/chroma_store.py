"""Vectors in an embedded Chroma. Its own embedder is never used and cosine space is set explicitly."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fieldguide.errors import WorkspaceError
from fieldguide.models.base import Vectors
from retrieval.vectors import Hits, nearest

_COLLECTION = "chunks"
_BATCH = 2000


class ChromaStore:
    """A VectorStore over one collection. Chroma gives cosine *distances*; scores are 1 − distance.

    Chroma's HNSW index is approximate: with ``ef_search`` well above k it is exact on small collections.
    """

    def __init__(self, folder: Path, dimension: int) -> None:
        import chromadb
        from chromadb.config import Settings
        from chromadb.errors import InternalError

        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._client = chromadb.PersistentClient(
                path=str(folder / "chroma"), settings=Settings(anonymized_telemetry=False)
            )
            self._collection: Any = self._client.get_or_create_collection(
                _COLLECTION,
                embedding_function=None,
                configuration={"hnsw": {"space": "cosine", "ef_construction": 200, "ef_search": 200}},
            )
        except InternalError as error:
            if "readonly" not in str(error):
                raise
            raise WorkspaceError(
                f"{folder} is read-only, and Chroma can only open what it can write; copy the workspace to a disk "
                'that can be written, or build the index with index.store = "faiss".'
            ) from None

    def __len__(self) -> int:
        return int(self._collection.count())

    def add(self, ids: Sequence[str], vectors: Vectors) -> None:
        latest = {name: position for position, name in enumerate(ids)}
        names = list(latest)
        for start in range(0, len(names), _BATCH):
            part = names[start : start + _BATCH]
            self._collection.upsert(ids=part, embeddings=[vectors[latest[name]].tolist() for name in part])

    def delete(self, ids: Sequence[str]) -> None:
        there = self._there(ids)
        for start in range(0, len(there), _BATCH):
            self._collection.delete(ids=there[start : start + _BATCH])

    def _there(self, ids: Collection[str]) -> list[str]:
        names, found = list(dict.fromkeys(ids)), []
        for start in range(0, len(names), _BATCH):
            found += self._collection.get(ids=names[start : start + _BATCH], include=[])["ids"]
        return found

    def search(self, queries: Vectors, k: int, among: Collection[str] | None = None) -> list[Hits]:
        chosen = None if among is None else self._there(among)
        total = len(self) if chosen is None else len(chosen)
        k = min(k, total)
        if k == 0 or len(queries) == 0:
            return [[] for _ in queries]
        wanted = np.asarray(queries, dtype=np.float32).tolist()

        def fetch(n: int) -> list[Hits]:
            found = self._collection.query(query_embeddings=wanted, n_results=n, include=["distances"], ids=chosen)
            return [
                [(name, 1.0 - float(distance)) for name, distance in zip(ids, distances, strict=True)]
                for ids, distances in zip(found["ids"], found["distances"], strict=True)
            ]

        return nearest(fetch, k, total)

    def vectors(self, ids: Sequence[str]) -> dict[str, list[float]]:
        out: dict[str, list[float]] = {}
        names = list(dict.fromkeys(ids))
        for start in range(0, len(names), _BATCH):
            found = self._collection.get(ids=names[start : start + _BATCH], include=["embeddings"])
            out.update(zip(found["ids"], (list(map(float, v)) for v in found["embeddings"]), strict=True))
        return out

    def save(self) -> None:
        return None  # Chroma writes through

    def close(self) -> None:
        self._client.close()
