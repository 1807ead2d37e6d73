"""Vectors in FAISS: exact inner product over unit vectors, our ids beside it as JSON (nothing is pickled)."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from fieldguide.errors import IndexMismatch
from fieldguide.files import open_atomically
from fieldguide.models.base import Vectors
from retrieval.vectors import Hits, nearest

_FILE = "vectors.faiss"


class FaissStore:
    """A VectorStore over ``IndexIDMap2(IndexFlatIP)``. One file holds the index and, in its tail, the ids."""

    def __init__(self, folder: Path, dimension: int) -> None:
        self._file = folder / _FILE
        self._ids: dict[str, int] = {}
        self._index: Any = faiss.IndexIDMap2(faiss.IndexFlatIP(dimension))
        if self._file.exists():
            try:
                with self._file.open("rb") as file:
                    self._ids = json.loads(file.read(int.from_bytes(file.read(8), "big")))
                    self._index = faiss.read_index(faiss.PyCallbackIOReader(file.read))  # type: ignore[attr-defined]
            except (ValueError, RuntimeError):
                raise IndexMismatch(
                    f"{self._file} is damaged; delete {folder} and run `fieldguide ingest` to build the index anew."
                ) from None
        self._names = {number: name for name, number in self._ids.items()}

    def __len__(self) -> int:
        return len(self._ids)

    def add(self, ids: Sequence[str], vectors: Vectors) -> None:
        self.delete(ids)
        first = max(self._names, default=-1) + 1
        latest = {name: position for position, name in enumerate(ids)}  # an id given twice keeps its last vector
        numbers = np.arange(first, first + len(latest), dtype=np.int64)
        rows = np.asarray(list(latest.values()), dtype=np.int64)
        if len(rows):
            self._index.add_with_ids(np.ascontiguousarray(vectors[rows], dtype=np.float32), numbers)
        for name, number in zip(latest, numbers.tolist(), strict=True):
            self._ids[name] = number
            self._names[number] = name

    def delete(self, ids: Sequence[str]) -> None:
        numbers = [self._ids.pop(name) for name in dict.fromkeys(ids) if name in self._ids]
        if numbers:
            self._index.remove_ids(np.asarray(numbers, dtype=np.int64))
        for number in numbers:
            del self._names[number]

    def search(self, queries: Vectors, k: int, among: Collection[str] | None = None) -> list[Hits]:
        chosen = None if among is None else [self._ids[name] for name in among if name in self._ids]
        total = len(self) if chosen is None else len(chosen)
        k = min(k, total)
        if k == 0 or len(queries) == 0:
            return [[] for _ in queries]
        wanted = np.ascontiguousarray(queries, dtype=np.float32)
        options = None
        if chosen is not None:
            options = faiss.SearchParameters(  # type: ignore[call-arg]
                sel=faiss.IDSelectorBatch(np.asarray(chosen, dtype=np.int64))
            )

        def fetch(n: int) -> list[Hits]:
            scores, numbers = self._index.search(wanted, n, params=options)
            return [
                list(zip([self._names[number] for number in row], values, strict=True))
                for row, values in zip(numbers.tolist(), scores.tolist(), strict=True)
            ]

        return nearest(fetch, k, total)

    def vectors(self, ids: Sequence[str]) -> dict[str, list[float]]:
        return {name: self._index.reconstruct(self._ids[name]).tolist() for name in ids if name in self._ids}

    def save(self) -> None:
        names = json.dumps(self._ids).encode("utf-8")
        with open_atomically(self._file) as file:
            file.write(len(names).to_bytes(8, "big") + names)
            faiss.write_index(self._index, faiss.PyCallbackIOWriter(file.write))  # type: ignore[attr-defined]

    def close(self) -> None:
        self._index = None
