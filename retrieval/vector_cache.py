"""Vectors by the text they stand for, on disk: what was embedded once is never embedded again, killed or not.

Knows keys, not chunks. Deleting the file costs only the time to embed anew.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from fieldguide.models.base import Vectors

_BATCH = 500


class VectorCache:
    """The vectors of one embedder, as float32 in an SQLite file. Each ``put`` is one transaction."""

    def __init__(self, file: Path, embedder: str, dimension: int) -> None:
        """Open or make the file. One that is damaged is deleted: it is a cache. Raises sqlite3.OperationalError where
        the disk is full or another process holds it, which is no damage."""
        file.parent.mkdir(parents=True, exist_ok=True)
        self._embedder = embedder
        self._dimension = dimension
        try:
            self._db = _open(file)
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError:
            for part in (file, file.with_name(f"{file.name}-wal"), file.with_name(f"{file.name}-shm")):
                part.unlink(missing_ok=True)
            self._db = _open(file)

    def close(self) -> None:
        self._db.close()

    def put(self, keys: Sequence[str], vectors: Vectors) -> None:
        """Keep vectors of shape (len(keys), dimension)."""
        rows = [(self._embedder, key, vector.tobytes()) for key, vector in zip(keys, vectors, strict=True)]
        with self._db:
            self._db.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?, ?)", rows)

    def known(self, keys: Collection[str]) -> set[str]:
        """Those of the keys that have a vector."""
        found: set[str] = set()
        for part, marks in _parts(keys):
            query = f"SELECT key FROM vectors WHERE embedder = ? AND length(vector) = ? AND key IN ({marks})"  # noqa: S608
            found.update(row[0] for row in self._db.execute(query, (self._embedder, 4 * self._dimension, *part)))
        return found

    def get(self, keys: Sequence[str]) -> Vectors:
        """Vectors of shape (len(keys), dimension). Raises KeyError for a key that has none."""
        found: dict[str, bytes] = {}
        for part, marks in _parts(keys):
            query = f"SELECT key, vector FROM vectors WHERE embedder = ? AND key IN ({marks})"  # noqa: S608
            found.update(self._db.execute(query, (self._embedder, *part)))
        raw = b"".join(found[key] for key in keys)
        return np.frombuffer(raw, dtype=np.float32).reshape(len(keys), self._dimension)

    def keep_only(self, keys: Iterable[str]) -> None:
        """Forget the vectors of other texts, of every embedder, and give the disk back."""
        with self._db:
            self._db.execute("CREATE TEMP TABLE kept (key TEXT PRIMARY KEY)")
            self._db.executemany("INSERT OR IGNORE INTO kept VALUES (?)", ((key,) for key in keys))
            self._db.execute("DELETE FROM vectors WHERE key NOT IN (SELECT key FROM kept)")
            self._db.execute("DROP TABLE kept")
        self._db.execute("VACUUM")


def _open(file: Path) -> sqlite3.Connection:
    db = sqlite3.connect(file)
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=NORMAL")
    db.execute(
        "CREATE TABLE IF NOT EXISTS vectors (embedder TEXT, key TEXT, vector BLOB, PRIMARY KEY (embedder, key)) "
        "WITHOUT ROWID"
    )
    return db


def _parts(keys: Collection[str]) -> Iterator[tuple[list[str], str]]:
    """A few keys at a time, and as many question marks."""
    listed = list(keys)
    for start in range(0, len(listed), _BATCH):
        part = listed[start : start + _BATCH]
        yield part, ",".join("?" * len(part))
