"""The folders a user points at: which files are there, which are gone, and the originals kept in the workspace."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from fieldguide.catalog import FileRecord
from fieldguide.files import file_hash, open_atomically
from ingest.readers.documents import SUFFIXES

MISSING = "missing"


@dataclass
class Found:
    """What the paths given hold: documents, paths that do not exist, and files of other kinds by their ending."""

    files: list[Path] = field(default_factory=list)
    missing: list[FileRecord] = field(default_factory=list)
    passed_over: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Seen:
    """A file as it was when it was looked at.

    ``changed`` is its time of change in nanoseconds. ``hash`` is "" if it could not be read, and ``fault`` says why.
    """

    path: Path
    name: str
    bytes: int
    hash: str
    changed: int = 0
    fault: str = ""

    def is_as_it_was(self) -> bool:
        """Whether size and time of change are those of when it was hashed."""
        try:
            now = self.path.stat()
        except OSError:
            return False
        return (now.st_size, now.st_mtime_ns) == (self.bytes, self.changed)


def find_files(paths: Sequence[Path]) -> Found:
    """A path to a file is taken as it is; of a folder, every PDF below it (by name or first bytes) and every file
    whose ending is known, none hidden."""
    files: dict[Path, None] = {}
    found = Found()
    for path in paths:
        if path.is_dir():
            for file in _walk(path):
                if file.suffix.lower() == ".pdf" or file.suffix.lower() in SUFFIXES or _begins_like_pdf(file):
                    files[file.resolve()] = None
                else:
                    found.passed_over[file.suffix.lower() or "no ending"] += 1
        elif path.exists():
            files[path.resolve()] = None
        else:
            found.missing.append(FileRecord(str(path), None, 0, MISSING, "there is no such file or folder"))
    found.files = list(files)
    return found


def _walk(root: Path) -> Iterator[Path]:
    for folder, subfolders, names in os.walk(root):
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        yield from (Path(folder, name) for name in sorted(names) if not name.startswith((".", "~$")))


def _begins_like_pdf(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(5) == b"%PDF-"
    except OSError:
        return False


def look_at(files: Sequence[Path]) -> Iterator[Seen]:
    """Name, size and hash of each file, in order."""
    with ThreadPoolExecutor() as pool:  # hashing releases the interpreter
        yield from pool.map(_look_at, files)


def _look_at(path: Path) -> Seen:
    name = str(path).encode("utf-8", "backslashreplace").decode("utf-8")  # a name may be no valid Unicode
    try:
        before = path.stat()
        return Seen(path, name, before.st_size, file_hash(path), before.st_mtime_ns)
    except OSError as error:
        return Seen(path, name, 0, "", fault=f"cannot be opened: {error.strerror or error}")


class Originals:
    """The files as they were read, by hash, so that citations open on what was read whatever became of the file."""

    def __init__(self, folder: Path, mode: Literal["link", "copy", "none"]) -> None:
        self._folder = folder
        self._mode = mode

    def keep(self, path: Path, digest: str) -> None:
        """Keep the file's bytes under their hash: by a hard link where that is wanted and the disk can, else a copy."""
        target = self._target(digest, path.suffix.lower())
        if self._mode == "none" or self.find(digest) is not None:
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        if self._mode == "link":
            with contextlib.suppress(OSError):
                os.link(path, target)
                return
        with path.open("rb") as source, open_atomically(target) as copy:
            shutil.copyfileobj(source, copy)

    def find(self, digest: str) -> Path | None:
        """The original with this hash; None if none is kept, or if a linked file was since written over in place."""
        for path in sorted(self._target(digest, "").parent.glob(f"{digest}*")):
            if file_hash(path) == digest:
                return path
            path.unlink()
        return None

    def keep_only(self, digests: set[str]) -> None:
        """Let go of all others."""
        if self._folder.exists():
            for path in self._folder.rglob("*"):
                if path.is_file() and path.name[:64] not in digests:
                    path.unlink()

    def _target(self, digest: str, suffix: str) -> Path:
        return self._folder / digest[:2] / f"{digest}{suffix}"
