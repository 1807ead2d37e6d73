"""The parts that an index version is made of: folders that are filled once and then only read.

A part is a folder below ``parts/``; its file ``part.json`` is written last, so a part without it is none. Where the
vectors of a version lie in several parts, ``Parts`` searches them as one.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fieldguide.files import write_json
from fieldguide.models.base import Vectors
from fieldguide.settings import Index as IndexSettings
from retrieval.query import Among
from retrieval.vectors import Hits, VectorStore, remove_store

FOLDER = "parts"
_DONE = "part.json"
_BEGUN = "settings.json"


def part_folder(folder: Path, part: str) -> Path:
    return folder / FOLDER / part


def is_whole(folder: Path, part: str) -> bool:
    """Whether the part was written to its end."""
    return (part_folder(folder, part) / _DONE).exists()


def told_of(folder: Path, part: str) -> dict[str, Any]:
    """What a whole part's file tells of it."""
    return dict(json.loads((part_folder(folder, part) / _DONE).read_text("utf-8")))


def make_part(
    folder: Path, part: str, settings: IndexSettings, told: dict[str, Any], fill: Callable[[Path], None]
) -> None:
    """Fill a part that is not there yet; what a killed run left of it goes first."""
    if is_whole(folder, part):
        return
    target = part_folder(folder, part)
    remove_part(folder, part)
    target.parent.mkdir(parents=True, exist_ok=True)
    write_json(target / _BEGUN, settings.model_dump())
    fill(target)
    for file in target.rglob("*"):
        if file.is_file():
            with file.open("rb") as opened:
                os.fsync(opened.fileno())
    write_json(target / _DONE, {"id": part, **told})


def remove_part(folder: Path, part: str) -> None:
    """Forget a part, whole or not, on a server too."""
    target = part_folder(folder, part)
    if target.exists():
        (target / _DONE).unlink(missing_ok=True)
        if (target / _BEGUN).exists():
            remove_store(IndexSettings.model_validate_json((target / _BEGUN).read_text("utf-8")), target)
        shutil.rmtree(target, ignore_errors=True)


def remove_others(folder: Path, keep: set[str]) -> None:
    """Forget every part but those in ``keep``."""
    if (folder / FOLDER).exists():
        for old in sorted((folder / FOLDER).iterdir()):
            if old.is_dir() and old.name not in keep:
                remove_part(folder, old.name)


class Parts:
    """Several stores that are searched as one; ``gone`` are ids that count as deleted."""

    def __init__(self, stores: Sequence[VectorStore], gone: frozenset[str]) -> None:
        self._stores = tuple(stores)
        self._gone = gone or None

    def __len__(self) -> int:
        return sum(len(store) for store in self._stores) - len(self._gone or ())

    def ids(self) -> Iterator[str]:
        """Every id that is not gone."""
        gone = self._gone or frozenset()
        return (name for store in self._stores for name in store.ids() if name not in gone)

    def search(self, queries: Vectors, k: int, among: Among = None) -> list[Hits]:
        """The k nearest of each query over all parts."""
        found = [store.search(queries, k, among, self._gone) for store in self._stores]
        if len(found) == 1:
            return found[0]
        return [
            sorted((hit for hits in of_query for hit in hits), key=lambda hit: (-hit[1], hit[0]))[:k]
            for of_query in zip(*found, strict=True)
        ]

    def vectors(self, ids: Sequence[str]) -> Vectors:
        """Unit vectors of shape (len(ids), dimension). Raises KeyError for an id that has none."""
        if len(self._stores) == 1 or not ids:
            return self._stores[0].vectors(ids)
        return np.concatenate([self._vector(name) for name in ids])

    def _vector(self, name: str) -> Vectors:
        for store in self._stores:
            with contextlib.suppress(KeyError):
                return store.vectors([name])
        raise KeyError(name)

    def close(self) -> None:
        for store in self._stores:
            store.close()
