"""Reading files in a child process, so that a hostile or broken one costs its own limits and nothing else.

One child at a time, started fresh (spawn), replaced when it dies or is too slow.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
from collections.abc import Iterator
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path
from types import TracebackType

from fieldguide.settings import Ingest
from ingest.parse import NotRead, Parsed, parse_pdf


class Reader:
    """Reads PDFs one after another under the limits of the settings. Use as a context manager."""

    def __init__(self, settings: Ingest) -> None:
        self._settings = settings
        self._process: SpawnProcess | None = None
        self._pipe: Connection | None = None

    def __enter__(self) -> Reader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def read(self, path: Path) -> Parsed:
        """The file's text. Raises NotRead with its class: also "timed out", "too large" and "damaged" for crashes."""
        size = path.stat().st_size
        if size > self._settings.max_file_mb * 2**20:
            raise NotRead(
                "too large", f"{size / 2**20:.0f} MB is more than ingest.max_file_mb = {self._settings.max_file_mb}"
            )
        pipe = self._pipe if self._process is not None and self._process.is_alive() else None
        if pipe is None:
            pipe = self._start()
        pipe.send((path, self._settings.max_pages))
        if not pipe.poll(self._settings.file_seconds):
            self._stop()
            raise NotRead("timed out", f"not read within ingest.file_seconds = {self._settings.file_seconds:g}")
        try:
            status, value = pipe.recv()
        except (EOFError, OSError):
            self._stop()
            raise NotRead("damaged", "the process that read it died") from None
        if status == "read":
            assert isinstance(value, Parsed)
            return value
        raise NotRead(status, value)

    def _start(self) -> Connection:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, self._settings.file_memory_mb), daemon=True)
        with _interrupts_held():
            self._process.start()
        theirs.close()
        return self._pipe

    def _stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._process = None
        if self._pipe is not None:
            self._pipe.close()
            self._pipe = None


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


def _serve(pipe: Connection, memory_mb: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (memory_mb * 2**20, memory_mb * 2**20))
    while True:
        try:
            path, max_pages = pipe.recv()
        except (EOFError, OSError):
            return
        try:
            pipe.send(("read", parse_pdf(path, max_pages)))
        except NotRead as error:
            pipe.send((error.status, error.reason))
        except MemoryError:
            pipe.send(("too large", f"reading it takes more than ingest.file_memory_mb = {memory_mb}"))
        except Exception as error:  # whatever a broken file provokes is that file's class, not the run's end
            pipe.send(("damaged", f"{type(error).__name__}: {error}"))
