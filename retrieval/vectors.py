"""What an index needs of a vector library: parts that are filled once and then only read. One file beside for each.

A part holds ids and unit vectors, nothing else; what is deleted later is named in each search (``without``). Scores
are cosine similarities.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Protocol

from fieldguide.errors import FieldguideError
from fieldguide.models.base import Vectors
from fieldguide.settings import Index

Hits = list[tuple[str, float]]
"""(id, cosine similarity), best first; equal scores in the order of their ids."""


class VectorStore(Protocol):
    """A part: unit vectors under string ids. ``add`` as often as needed, ``save`` once, then only read."""

    def __len__(self) -> int: ...

    def add(self, ids: Sequence[str], vectors: Vectors) -> None:
        """Add vectors of shape (len(ids), dimension) under ids that are not there yet.

        An approximate part learns from the first ones how vectors lie: give a large one its ids sorted (they are
        hashes), not document by document.
        """
        ...

    def save(self) -> None:
        """Bring everything to disk. Raises ValueError if an id was added twice."""
        ...

    def search(
        self, queries: Vectors, k: int, among: frozenset[str] | None = None, without: frozenset[str] | None = None
    ) -> list[Hits]:
        """The k nearest of each query (all where there are fewer; an empty list where there is none).

        With ``among`` only these ids take part, with ``without`` these do not; ids that are not there do no harm in
        either. They are chosen before the search, not sifted from what it found. What is derived from the two objects
        is kept for the next search.
        """
        ...

    def ids(self) -> Iterable[str]:
        """All ids."""
        ...

    def vectors(self, ids: Sequence[str]) -> Vectors:
        """Shape (len(ids), dimension), in the order of the ids. Raises KeyError for an id that is not there."""
        ...

    def close(self) -> None:
        """Let go of files and connections; the store cannot be used afterwards."""
        ...


def open_store(settings: Index, folder: Path, dimension: int, expected: int | None = None) -> VectorStore:
    """The part in ``folder``; with ``expected``, a new one for about so many vectors in place of what is there.

    Only a new part looks at ``settings.exact_up_to`` and ``settings.compress``. On a Chroma server the folder's name
    is the part's name, so it must be the final one and no other's. Raises IndexMismatch where there is no such part
    or it is damaged, WorkspaceError where a Chroma server does not answer.
    """
    if settings.store == "faiss":
        from retrieval.faiss_store import FaissStore

        return FaissStore(settings, folder, dimension, expected)
    if settings.store == "chroma":
        from retrieval.chroma_store import ChromaStore

        return ChromaStore(settings, folder, dimension, expected)
    raise FieldguideError(f"Unknown vector store {settings.store!r}; known are faiss and chroma.")


def remove_store(settings: Index, folder: Path) -> None:
    """Delete a part, wherever it lies. One that is not there is no error."""
    if settings.store == "chroma":
        from retrieval.chroma_store import remove

        remove(settings, folder)
    else:
        from retrieval.faiss_store import remove as remove_file

        remove_file(folder)


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
