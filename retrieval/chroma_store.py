"""Vectors in Chroma, embedded or on a server. Its own embedder is never used and cosine space is set explicitly.

A part is a collection of ids and vectors. Knows nothing of versions and tombstones.
"""

from __future__ import annotations

import contextlib
import functools
import uuid
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fieldguide.errors import IndexMismatch, WorkspaceError
from fieldguide.files import write_atomically
from fieldguide.models.base import Vectors
from fieldguide.settings import Index
from retrieval.vectors import Hits, nearest

_BATCH = 2000
_KEPT = 16
"""So many choices of ids are remembered as Chroma knows them."""
_SHELF = "server-name.txt"
_EMBEDDED = "chunks"


class ChromaStore:
    """A VectorStore over one collection. Chroma gives cosine *distances*; scores are 1 − distance.

    Chroma's HNSW index is approximate: with ``ef_search`` well above k it is exact on small collections.
    """

    def __init__(self, settings: Index, folder: Path, dimension: int, expected: int | None = None) -> None:
        from chromadb.errors import InternalError, NotFoundError

        self._settings = settings
        self._dimension = dimension
        try:
            self._client = _client(settings, folder)
            name = _collection(folder) if settings.server else _EMBEDDED
            if expected is None:
                self._collection: Any = self._client.get_collection(name, embedding_function=None)
            else:
                with contextlib.suppress(NotFoundError):
                    self._client.delete_collection(name)
                self._collection = self._client.create_collection(
                    name,
                    embedding_function=None,
                    configuration={"hnsw": {"space": "cosine", "ef_construction": 200, "ef_search": 200}},
                )
            self._count = int(self._ask("count"))
        except NotFoundError:
            where = settings.server or folder
            raise IndexMismatch(
                f"Chroma at {where} does not hold this part of the index; delete {folder} and run `fieldguide index` "
                "to build the index anew."
            ) from None
        except InternalError as error:
            if "readonly" not in str(error):  # the folder went, or is damaged
                raise IndexMismatch(
                    f"Chroma cannot read {folder} ({error}); delete it and run `fieldguide index` to build the index "
                    "anew."
                ) from None
            raise WorkspaceError(
                f"{folder} is read-only, and Chroma can only open what it can write; copy the workspace to a disk "
                'that can be written, or build the index with index.store = "faiss".'
            ) from None
        self._there = functools.lru_cache(maxsize=_KEPT)(self._find)

    def __len__(self) -> int:
        return self._count

    def add(self, ids: Sequence[str], vectors: Vectors) -> None:
        for start in range(0, len(ids), _BATCH):
            names = list(ids[start : start + _BATCH])
            if len(set(names)) < len(names) or self._find(names):
                raise ValueError("an id was added twice")
            self._ask("add", ids=names, embeddings=np.asarray(vectors[start : start + _BATCH], dtype=np.float32))
        self._count += len(ids)

    def save(self) -> None:
        return None  # Chroma writes through

    def search(
        self, queries: Vectors, k: int, among: frozenset[str] | None = None, without: frozenset[str] | None = None
    ) -> list[Hits]:
        gone = frozenset(self._there(without)) if without else frozenset()
        chosen = None if among is None else [name for name in self._there(among) if name not in gone]
        total = len(self) - len(gone) if chosen is None else len(chosen)
        k = min(k, total)
        if k == 0 or len(queries) == 0:
            return [[] for _ in queries]
        wanted = np.asarray(queries, dtype=np.float32)

        def fetch(n: int) -> list[Hits]:
            if chosen is not None or not gone:
                return self._query(wanted, n, chosen)
            more = n  # Chroma cannot leave ids out: more are fetched until n others are there
            while True:
                asked = n + min(more, len(gone))
                found = [[hit for hit in hits if hit[0] not in gone][:n] for hits in self._query(wanted, asked, None)]
                if more >= len(gone) or all(len(hits) == n for hits in found):
                    return found
                more *= 2

        return nearest(fetch, k, total)

    def _ask(self, method: str, **arguments: Any) -> Any:
        """A call of the collection. Raises WorkspaceError if the server has gone."""
        from httpx import TransportError

        try:
            return getattr(self._collection, method)(**arguments)
        except TransportError as error:
            raise _no_answer(self._settings) from error

    def _query(self, queries: Vectors, n: int, chosen: list[str] | None) -> list[Hits]:
        found = self._ask("query", query_embeddings=queries, n_results=n, include=["distances"], ids=chosen)
        return [
            [(name, 1.0 - float(distance)) for name, distance in zip(ids, distances, strict=True)]
            for ids, distances in zip(found["ids"], found["distances"], strict=True)
        ]

    def _find(self, ids: Iterable[str]) -> list[str]:
        """Those of the ids that are there: Chroma's search fails for others."""
        names, found = list(ids), []
        for start in range(0, len(names), _BATCH):
            found += self._ask("get", ids=names[start : start + _BATCH], include=[])["ids"]
        return found

    def ids(self) -> Iterator[str]:
        for start in range(0, len(self), _BATCH):
            yield from self._ask("get", limit=_BATCH, offset=start, include=[])["ids"]

    def vectors(self, ids: Sequence[str]) -> Vectors:
        found: dict[str, Any] = {}
        names = list(dict.fromkeys(ids))
        for start in range(0, len(names), _BATCH):
            part = self._ask("get", ids=names[start : start + _BATCH], include=["embeddings"])
            found.update(zip(part["ids"], part["embeddings"], strict=True))
        return np.asarray([found[name] for name in ids], dtype=np.float32).reshape(len(ids), self._dimension)

    def close(self) -> None:
        self._there.cache_clear()
        self._client.close()


def remove(settings: Index, folder: Path) -> None:
    """Delete a part's collection; the files of an embedded one are deleted with its folder."""
    from chromadb.errors import NotFoundError

    if settings.server:
        client = _client(settings, folder)
        with contextlib.suppress(NotFoundError):
            client.delete_collection(_collection(folder))
        client.close()


def _collection(folder: Path) -> str:
    """The collection's name: of the part and of the shelf it belongs to, since several may share a server."""
    file = folder.parent / _SHELF
    if not file.exists():
        write_atomically(file, uuid.uuid4().hex[:12])
    return f"fieldguide-{file.read_text('utf-8')}-{folder.name}"


def _client(settings: Index, folder: Path) -> Any:
    """A client of the server or of the folder. Raises WorkspaceError if the server does not answer."""
    import chromadb
    from chromadb.config import Settings

    quiet = Settings(anonymized_telemetry=False)
    if not settings.server:
        folder.mkdir(parents=True, exist_ok=True)
        return chromadb.PersistentClient(path=str(folder / "chroma"), settings=quiet)
    host, _, port = settings.server.rpartition(":")
    try:
        return chromadb.HttpClient(host=host, port=int(port), settings=quiet)
    except ValueError as error:
        raise _no_answer(settings) from error


def _no_answer(settings: Index) -> WorkspaceError:
    return WorkspaceError(
        f"No Chroma server answers at {settings.server} (index.server, host:port): start it there with `chroma run`, "
        "correct the setting, or leave it empty for a Chroma inside this program."
    )
