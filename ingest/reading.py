"""Reading files in child processes, so that a hostile or broken one costs its own limits and nothing else.

A pool of children, started fresh (spawn), each with a pipe and one task at a time, replaced when it dies or is too
slow. A file is one task; pages that need OCR are a task each; then the file is read again with what OCR found.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from types import TracebackType
from typing import Protocol

from fieldguide.processor import usable_cores
from fieldguide.settings import Ingest
from fieldguide.types import content_hash
from ingest.layout.glyphs import Glyphs
from ingest.layout.words import RawPage
from ingest.parsed import NotRead, Parsed
from ingest.readers.child import Answer, Begun, OcrTask, ReadTask, Refused, Task, serve
from ingest.readers.passwords import Passwords
from ingest.readers.pdf import Job, NeedsOcr
from ingest.readers.places import GlyphsTask, PageTask, PictureTask
from ingest.readers.tesseract import from_json, missing_ocr, tesseract_version, to_json

_START_SECONDS = 60.0
"""How long a child may take to start, beside the limit of its task."""
_OCR_SPARE_SECONDS = 20.0
"""How long drawing and the like may take beside the time of Tesseract itself, which ends on its own."""


class OcrCache(Protocol):
    """Keeps what OCR found; keys are hashes, values text."""

    def get(self, key: str) -> str | None: ...

    def put(self, key: str, value: str) -> None: ...


class NoCache:
    """Keeps nothing."""

    def get(self, key: str) -> str | None:
        return None

    def put(self, key: str, value: str) -> None:
        return None


@dataclass
class _File:
    """A file on its way: ``job`` grows as OCR goes on; ``waiting`` are pages that OCR still has to read."""

    path: Path
    hash: str
    job: Job
    waiting: set[int] = field(default_factory=set)
    found: dict[int, RawPage | str] = field(default_factory=dict)


@dataclass
class _Child:
    """A process, its pipe, and the task it has (with the time at which it must have answered)."""

    process: SpawnProcess
    pipe: Connection
    file: _File | None = None
    task: Task | None = None
    deadline: float = 0.0
    begun: bool = False

    def kill(self) -> None:
        """End it and what it has started."""
        if hasattr(os, "killpg") and self.process.pid is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, signal.SIGKILL)
        self.process.kill()
        self.process.join()
        self.pipe.close()


class Readers:
    """Reads files under the limits of the settings, several at a time. Use as a context manager."""

    def __init__(self, settings: Ingest, passwords: Passwords | None = None, cache: OcrCache | None = None) -> None:
        self._settings = settings
        self._passwords = Passwords() if passwords is None else passwords
        self._cache: OcrCache = NoCache() if cache is None else cache
        self._no_ocr = "OCR is off (ingest.ocr)" if settings.ocr == "off" else missing_ocr(settings.ocr_language)
        self._size = settings.workers or usable_cores()
        self._children: list[_Child] = []

    def __enter__(self) -> Readers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for child in self._children:
            child.kill()
        self._children.clear()

    def read(self, files: Iterable[tuple[Path, str]]) -> Iterator[tuple[Path, Parsed | NotRead]]:
        """What each file (a path and the hash of its bytes) ends in, in the order in which they finish.

        ``files`` is asked for the next one only when a child is free, so that at most so many results wait in memory
        as there are children. With one worker the order is the order given. Raises nothing for a file.
        """
        try:
            yield from self._read(iter(files))
        finally:  # whoever stops asking leaves children at work whose answers nobody wants
            for child in [child for child in self._children if child.task is not None]:
                self._remove(child)

    def read_one(self, path: Path, file_hash: str = "") -> Parsed:
        """The file's pages. Raises NotRead with its class."""
        ((_, result),) = self.read([(path, file_hash)])
        if isinstance(result, NotRead):
            raise result
        return result

    def glyphs(self, path: Path, number: int) -> Glyphs | str:
        """Where the characters of page ``number`` (from 1) of a PDF stand, or why that is not known, as a phrase."""
        found = self._look(GlyphsTask(path, number))
        return found if isinstance(found, Glyphs) else str(found)

    def picture(self, task: PictureTask) -> bytes | str:
        """The page as a PNG, or why there is none, as a phrase."""
        found = self._look(task)
        return found if isinstance(found, bytes) else str(found)

    def _look(self, task: PageTask) -> Answer:
        refused = self._too_large(task.path)
        if refused is not None:
            return f"the file {refused.reason}"
        child = next(self._idle())
        self._give(child, None, task)
        try:
            while True:
                for _, answer in self._answers([child]):
                    child.task = None
                    return answer
        finally:
            if child.task is not None and child in self._children:  # interrupted: nobody wants its answer
                self._remove(child)

    def _read(self, coming: Iterator[tuple[Path, str]]) -> Iterator[tuple[Path, Parsed | NotRead]]:
        tasks: deque[tuple[_File, ReadTask | OcrTask]] = deque()
        more = True
        while True:
            for child in self._idle():
                while more and not tasks:
                    given = next(coming, None)
                    if given is None:
                        more = False
                        break
                    refused = self._too_large(given[0])
                    if refused is not None:
                        yield given[0], refused
                        continue
                    tasks.append(self._first_task(*given))
                if tasks:
                    self._give(child, *tasks.popleft())
            busy = [child for child in self._children if child.task is not None]
            if not busy:
                return
            for child, answer in self._answers(busy):
                file, task = child.file, child.task
                assert file is not None
                assert isinstance(task, ReadTask | OcrTask)
                child.file = child.task = None
                result = self._next(file, task, answer, tasks)
                if result is not None:
                    yield file.path, result

    def _too_large(self, path: Path) -> NotRead | None:
        try:
            size = path.stat().st_size
        except OSError as error:
            return NotRead("damaged", f"cannot be opened: {error.strerror or error}")
        limit = self._settings.max_file_mb
        if size <= limit * 2**20:
            return None
        return NotRead("too large", f"{size / 2**20:.0f} MB is more than ingest.max_file_mb = {limit}")

    def _first_task(self, path: Path, file_hash: str) -> tuple[_File, ReadTask]:
        job = Job(self._settings.max_pages, self._passwords(path), self._no_ocr)
        return _File(path, file_hash, job), ReadTask(path, job)

    def _next(
        self, file: _File, task: ReadTask | OcrTask, answer: Answer, tasks: deque[tuple[_File, ReadTask | OcrTask]]
    ) -> Parsed | NotRead | None:
        """What the file ends in; None if there is more to do with it, which is then the next among the tasks."""
        if isinstance(task, OcrTask):
            assert isinstance(answer, RawPage | str)
            if isinstance(answer, RawPage):
                self._cache.put(self._key(file, task.number), to_json(answer))
            file.found[task.number] = answer
            file.waiting.discard(task.number)
        elif isinstance(answer, NeedsOcr):
            file.found = {number: page for number in answer.pages if (page := self._cached(file, number)) is not None}
            file.waiting = {number for number in answer.pages if number not in file.found}
            tasks.extend((file, self._ocr_task(file, number)) for number in sorted(file.waiting))
        elif answer == _DIED and "pdfium" in task.job.parsers and len(task.job.parsers) > 1:
            file.job = replace(file.job, parsers=("pypdf",))  # pdfium crashes hard where pypdf only raises
            tasks.appendleft((file, ReadTask(file.path, file.job)))
            return None
        elif isinstance(answer, Refused):
            return NotRead(answer.status, answer.reason)
        else:
            assert isinstance(answer, Parsed)
            return answer
        if not file.waiting:
            file.job = replace(file.job, recognised=file.found)
            tasks.appendleft((file, ReadTask(file.path, file.job)))
        return None

    def _ocr_task(self, file: _File, number: int) -> OcrTask:
        s = self._settings
        return OcrTask(file.path, number, s.ocr_language, s.ocr_dpi, s.ocr_page_seconds, file.job.passwords)

    def _key(self, file: _File, number: int) -> str:
        s = self._settings
        return content_hash("ocr-1", file.hash, str(number), s.ocr_language, str(s.ocr_dpi), tesseract_version())

    def _cached(self, file: _File, number: int) -> RawPage | None:
        kept = self._cache.get(self._key(file, number)) if file.hash else None
        if kept is None:
            return None
        try:
            return from_json(kept)
        except ValueError:  # written by another version, or damaged: read the page again
            return None

    def _idle(self) -> Iterator[_Child]:
        """Children without a task, and a new one as long as there are too few and somebody asks."""
        for child in list(self._children):
            if child.task is None:
                if child.process.is_alive():
                    yield child
                else:  # it died between two files
                    self._remove(child)
        while len(self._children) < self._size:
            child = self._start()
            yield child
            if child.task is None:
                return

    def _give(self, child: _Child, file: _File | None, task: Task) -> None:
        child.file, child.task, child.begun = file, task, False
        child.deadline = time.monotonic() + _START_SECONDS
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # then it is found dead with this task
            child.pipe.send(task)

    def _answers(self, busy: list[_Child]) -> Iterator[tuple[_Child, Answer]]:
        """Waits until something happens; the answers that have come, also for children that died or are too slow."""
        soonest = min(child.deadline for child in busy)
        ready = wait([child.pipe for child in busy], max(0.0, soonest - time.monotonic()))
        for child in busy:
            if child.pipe in ready:
                try:
                    answer: Answer = child.pipe.recv()
                except (EOFError, OSError):
                    self._remove(child)
                    yield child, _died(child.task)
                    continue
                if isinstance(answer, Begun):
                    child.begun, child.deadline = True, time.monotonic() + self._limit(child.task)
                else:
                    yield child, answer
            elif time.monotonic() > child.deadline and not child.pipe.poll():
                self._remove(child)
                yield child, self._late(child.task)

    def _limit(self, task: Task | None) -> float:
        if isinstance(task, OcrTask):
            return 3 * task.seconds + _OCR_SPARE_SECONDS  # a page on its side is read again
        return self._settings.file_seconds

    def _late(self, task: Task | None) -> Answer:
        if isinstance(task, OcrTask):
            return f"OCR took more than ingest.ocr_page_seconds = {self._settings.ocr_page_seconds:g}"
        late = f"not read within ingest.file_seconds = {self._settings.file_seconds:g}"
        return Refused("timed out", late) if isinstance(task, ReadTask) else f"the page was {late}"

    def _start(self) -> _Child:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=serve, args=(theirs, self._settings.file_memory_mb), daemon=True)
        with _interrupts_held():
            process.start()
        theirs.close()
        child = _Child(process, ours)
        self._children.append(child)
        return child

    def _remove(self, child: _Child) -> None:
        child.kill()
        self._children.remove(child)


_DIED = Refused("damaged", "the process that read it died")


def _died(task: Task | None) -> Answer:
    if isinstance(task, ReadTask):
        return _DIED
    return "the process that read it by OCR died" if isinstance(task, OcrTask) else "the process that read it died"


@contextlib.contextmanager
def _interrupts_held() -> Iterator[None]:
    """A process begun in here never sees Ctrl-C, not even before it could ask for that; we see it afterwards."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # else it is begun inside and lets the signals through when it has
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
