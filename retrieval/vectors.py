"""What an index needs of a vector library. One file beside this one for each.

A store holds ids and unit vectors, nothing else. Scores are cosine similarities.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Protocol

from fieldguide.errors import FieldguideError
from fieldguide.models.base import Vectors

Hits = list[tuple[str, float]]
"""(id, cosine similarity), best first; equal scores in the order of their ids."""


class VectorStore(Protocol):
    """A set of unit vectors under string ids."""

    def __len__(self) -> int: ...

    def add(self, ids: Sequence[str], vectors: Vectors) -> None:
        """Add vectors of shape (len(ids), dimension); an id that is there already gets the new vector."""
        ...

    def delete(self, ids: Sequence[str]) -> None:
        """Remove those of the ids that are there."""
        ...

    def search(self, queries: Vectors, k: int, among: Collection[str] | None = None) -> list[Hits]:
        """The k nearest of each query (all where there are fewer; an empty list where there is none).

        With ``among`` only these ids take part: they are chosen before the search, not sifted from what it found.
        """
        ...

    def vectors(self, ids: Sequence[str]) -> dict[str, list[float]]:
        """The vectors of those of the ids that are there."""
        ...

    def save(self) -> None:
        """Bring everything to disk."""
        ...

    def close(self) -> None:
        """Let go of files; the store cannot be used afterwards."""
        ...


def open_store(kind: str, folder: Path, dimension: int) -> VectorStore:
    """The store that lies in ``folder``, a new one if the folder holds none. ``kind`` is "faiss" or "chroma"."""
    if kind == "faiss":
        from retrieval.faiss_store import FaissStore

        return FaissStore(folder, dimension)
    if kind == "chroma":
        from retrieval.chroma_store import ChromaStore

        return ChromaStore(folder, dimension)
    raise FieldguideError(f"Unknown vector store {kind!r}; known are faiss and chroma.")


def nearest(fetch: Callable[[int], list[Hits]], k: int, total: int) -> list[Hits]:
    """The k best hits of each query, out of ``total``, ties broken by id so that every store gives the same.

    ``fetch(n)`` gives the n nearest of each query; more are fetched while equal scores lie on both sides of the cut.
    """
    wanted = min(k + 1, total)
    while True:
        found = [sorted(hits, key=lambda hit: (-hit[1], hit[0])) for hits in fetch(wanted)]
        if wanted == total or all(hits[k - 1][1] > hits[-1][1] for hits in found):
            return [hits[:k] for hits in found]
        wanted = min(2 * wanted, total)
