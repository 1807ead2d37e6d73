"""Files written so that a reader never sees half of one, and hashes of files. Knows nothing of what is in them."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any


def write_atomically(path: Path, data: str | bytes) -> None:
    """Write beside, flush to disk, rename: after a kill either the old or the new content is there, never a mix."""
    with open_atomically(path) as file:
        file.write(data.encode("utf-8") if isinstance(data, str) else data)


@contextlib.contextmanager
def open_atomically(path: Path) -> Iterator[IO[bytes]]:
    """A file to write, in bytes, that becomes ``path`` when the block ends well and vanishes when it does not."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)
        raise


def write_json(path: Path, value: Any) -> None:
    """``write_atomically`` for a JSON value, indented, keys in the order given."""
    write_atomically(path, json.dumps(value, indent=1, ensure_ascii=False) + "\n")


def append_json(path: Path, value: Any) -> None:
    """Add a JSON value as one line, and flush it to disk: a kill leaves at most a part of it, as the last line.

    Where an earlier kill has left such a part, the new line begins below it.
    """
    line = json.dumps(value, ensure_ascii=True) + "\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b") as file:
        if file.tell():
            file.seek(-1, os.SEEK_END)
            line = line if file.read(1) == b"\n" else "\n" + line
        file.write(line.encode("ascii"))
        file.flush()
        os.fsync(file.fileno())


def read_json_lines(path: Path) -> tuple[dict[int, Any], list[int]]:
    """The values of a file that ``append_json`` wrote, by the number of their line, from 1; and the numbers of lines
    that hold none: what a kill left of one."""
    values: dict[int, Any] = {}
    broken = []
    for number, line in enumerate(path.read_bytes().split(b"\n"), 1):
        if line.strip():
            try:
                values[number] = json.loads(line)
            except ValueError:
                broken.append(number)
    return values, broken


@contextlib.contextmanager
def folder_atomically(path: Path) -> Iterator[Path]:
    """A temporary folder that becomes ``path`` when the block ends well and vanishes when it does not.

    If ``path`` exists already when the block ends (another process was faster), the new folder is discarded.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent))
    os.chmod(part, 0o755)
    try:
        yield part
        for file in part.rglob("*"):
            if file.is_file():
                with file.open("rb") as opened:
                    os.fsync(opened.fileno())
        if not path.exists():
            os.replace(part, path)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def file_hash(path: Path) -> str:
    """SHA-256 (hex) of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def folder_size(path: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(f.stat().st_size for f in path.rglob("*") if f.is_file())


class FolderCache:
    """Texts by key, a file each, that may be deleted at any time. Keys are hashes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, key: str) -> str | None:
        """None for what is not there or cannot be read."""
        try:
            return (self._folder / key[:2] / key).read_text("utf-8")
        except (OSError, UnicodeDecodeError):
            return None

    def put(self, key: str, value: str) -> None:
        write_atomically(self._folder / key[:2] / key, value)
