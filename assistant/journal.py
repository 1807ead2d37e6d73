"""Outcomes of a batch under way, a line of JSON each beside the file of answers: a killed run loses at most a call.

Lines are flushed to disk before the next call begins; half a line at the end, from a kill in the middle of writing, is
passed over and cut off.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path

from assistant.batch import Outcome
from fieldguide.errors import FieldguideError


class Journal:
    """The journal of one file of answers, ``<answers>.partial.jsonl``."""

    def __init__(self, answers: Path) -> None:
        self.path = answers.with_name(answers.name + ".partial.jsonl")
        self._answers = answers

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Nobody else writes it meanwhile. Raises FieldguideError if another process does."""
        from filelock import FileLock, Timeout

        self.path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.path.with_name(f".{self.path.name}.lock"), timeout=0)
        try:
            lock.acquire()
        except Timeout:
            raise FieldguideError(
                f"Another run is answering into {self._answers}: wait until it ends, or name another file."
            ) from None
        try:
            yield
        finally:
            Path(lock.lock_file).unlink(missing_ok=True)
            lock.release()

    def read(self) -> dict[str, Outcome]:
        """Outcomes by key; lines that are not whole are passed over, and half a line at the end is cut off."""
        try:
            raw = self.path.read_bytes()
        except FileNotFoundError:
            return {}
        whole = raw[: raw.rfind(b"\n") + 1]
        if len(whole) < len(raw):
            os.truncate(self.path, len(whole))
        found = {}
        for line in whole.splitlines():
            with contextlib.suppress(ValueError, TypeError, KeyError, AttributeError):
                value = json.loads(line)
                key = str(value.pop("key"))
                found[key] = Outcome(**value)
        return found

    def add(self, outcomes: Mapping[str, Outcome]) -> None:
        """Append and flush to disk."""
        lines = [json.dumps({"key": key, **asdict(outcome)}) + "\n" for key, outcome in outcomes.items()]
        with self.path.open("ab") as file:
            file.write("".join(lines).encode("ascii"))
            file.flush()
            os.fsync(file.fileno())

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)
