"""The reading process: takes tasks from a pipe, one after another, and answers each. Imports as little as it can."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path

from ingest.layout.glyphs import Glyphs
from ingest.layout.words import RawPage
from ingest.parsed import FileClass, NotRead, Parsed
from ingest.readers.base import CannotOpen, PageFault, phrase
from ingest.readers.pdf import Job, NeedsOcr
from ingest.readers.places import PageTask, look

_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, slots=True)
class ReadTask:
    """Read a file; the answer is Parsed, NeedsOcr or Refused."""

    path: Path
    job: Job


@dataclass(frozen=True, slots=True)
class OcrTask:
    """Read one page of a PDF by OCR; the answer is a RawPage, or why not as a phrase."""

    path: Path
    number: int
    language: str
    dpi: int
    seconds: float
    passwords: tuple[str, ...] = field(default=("",), repr=False)


@dataclass(frozen=True, slots=True)
class Refused:
    """A NotRead as a value."""

    status: FileClass
    reason: str


@dataclass(frozen=True, slots=True)
class Begun:
    """The process is up and has taken the task: its time counts from now."""


Task = ReadTask | OcrTask | PageTask
Answer = Parsed | NeedsOcr | Refused | RawPage | Glyphs | bytes | str | Begun


def serve(pipe: Connection, memory_mb: int) -> None:
    """Answer tasks until the pipe closes. A group of its own, so that what it starts ends with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    _die_with_parent()
    with contextlib.suppress(AttributeError, OSError):
        os.setsid()
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (memory_mb * 2**20, memory_mb * 2**20))
    while True:
        try:
            task = pipe.recv()
        except (EOFError, OSError):
            return
        pipe.send(Begun())
        pipe.send(_answer(task, memory_mb))


def _die_with_parent() -> None:
    """On Linux, a parent that is killed takes even a child along that hangs in a file."""
    if sys.platform == "linux":
        import ctypes

        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _answer(task: Task, memory_mb: int) -> Answer:
    if isinstance(task, ReadTask):
        return _read(task, memory_mb)
    return _recognise(task, memory_mb) if isinstance(task, OcrTask) else look(task, memory_mb)


def _read(task: ReadTask, memory_mb: int) -> Answer:
    from ingest.readers import parse_file

    try:
        return parse_file(task.path, task.job)
    except NotRead as error:
        return Refused(error.status, error.reason)
    except MemoryError:
        return Refused("too large", f"reading it takes more than ingest.file_memory_mb = {memory_mb}")
    except OSError as error:
        return Refused("damaged", f"cannot be opened: {error.strerror or phrase(error)}")
    except Exception as error:  # whatever a broken file provokes is that file's class, not the run's end
        return Refused("damaged", f"{type(error).__name__}: {phrase(error)}")


def _recognise(task: OcrTask, memory_mb: int) -> Answer:
    from ingest.readers.pdfium import PdfiumFile
    from ingest.readers.tesseract import OcrFault, read_page

    for password in task.passwords:
        try:
            file = PdfiumFile(task.path, password)
        except CannotOpen:
            continue
        try:
            return read_page(file, task.number, task.dpi, task.language, task.seconds)
        except (PageFault, OcrFault) as error:
            return phrase(error)
        except MemoryError:
            return f"OCR of it takes more than ingest.file_memory_mb = {memory_mb}"
        except Exception as error:
            return f"OCR failed ({type(error).__name__}: {phrase(error)})"
        finally:
            file.close()
    return "it cannot be drawn for OCR"
