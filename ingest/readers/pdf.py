"""One PDF file to its pages: pdfium first, pypdf where that fails or gives nothing of use, then OCR, page by page.

Runs inside a reading process (``ingest.readers.child``): it trusts nothing in the file and returns plain values. It
never runs OCR itself; it tells which pages need it, and is called again with what OCR found.
"""

from __future__ import annotations

import contextlib
import re
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from ingest.layout.words import RawPage
from ingest.parsed import NotRead, Parsed, ParsedPage
from ingest.readers.base import CannotOpen, FileInfo, PageFault, PasswordNeeded, PdfParser, phrase
from ingest.readers.legible import is_legible
from ingest.readers.pdfium import PdfiumFile
from ingest.readers.pypdf_reader import PypdfFile
from ingest.readers.tesseract import UNSURE

ParserName = Literal["pdfium", "pypdf"]
PARSERS: dict[ParserName, Callable[[Path, str], PdfParser]] = {"pdfium": PdfiumFile, "pypdf": PypdfFile}

_STAMP = 200
"""A page with fewer characters than this may be a scan with a stamp on it, if an image covers much of it."""
_SCAN, _WHOLE = 0.5, 0.9
_INFO_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class Job:
    """How one file is to be read. ``no_ocr`` says why there is no OCR ("" if there is).

    ``recognised`` is what OCR found, by page number: the page, or why it failed.
    """

    max_pages: int
    passwords: tuple[str, ...] = field(default=("",), repr=False)
    no_ocr: str = ""
    parsers: tuple[ParserName, ...] = ("pdfium", "pypdf")
    recognised: Mapping[int, RawPage | str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class NeedsOcr:
    """These pages (numbers from 1) have to be read by OCR before the file can be."""

    pages: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Reading:
    """A page as the parsers gave it: ``trouble`` is what keeps it from being used as it is ("" if nothing)."""

    page: RawPage
    trouble: Literal["", "blank", "no text", "unreadable text", "stamped", "failed"] = ""
    reason: str = ""


def read_pdf(path: Path, job: Job) -> Parsed | NeedsOcr:
    """Read all pages, or tell which need OCR first. Raises NotRead with the file's class when nothing can be used."""
    file = _File(path, job)
    try:
        readings = [file.read(number) for number in range(1, file.page_count + 1)]
        wanting = tuple(r.page.number for r in readings if r.trouble not in ("", "blank", "failed"))
        wanting += tuple(r.page.number for r in readings if r.trouble == "failed" and file.can_draw)
        if not job.no_ocr and not job.recognised and wanting and file.can_draw:
            return NeedsOcr(tuple(sorted(wanting)))
        info = file.info()
    finally:
        file.close()
    return _assemble(path, job, readings, info)


class _File:
    """The file, open in whichever parsers can open it."""

    def __init__(self, path: Path, job: Job) -> None:
        self._path, self._job = path, job
        self._open: dict[ParserName, PdfParser | None] = {}
        self._refusals: dict[ParserName, CannotOpen] = {}
        counts = (file.page_count for name in job.parsers if (file := self._parser(name)) is not None)
        self.page_count = next((count for count in counts if count), 0)
        if not any(self._open.values()):
            raise self._refused()
        if not self.page_count:
            self.close()
            raise NotRead("empty", "the file has no pages")
        if self.page_count > job.max_pages:
            self.close()
            raise NotRead("too large", f"it has {self.page_count} pages, more than ingest.max_pages = {job.max_pages}")
        pdfium = self._open.get("pdfium")
        self._drawn = pdfium if isinstance(pdfium, PdfiumFile) and pdfium.page_count else None

    @property
    def can_draw(self) -> bool:
        return self._drawn is not None

    def _parser(self, name: ParserName) -> PdfParser | None:
        """The file in this parser, opened when first asked for; None if it cannot be."""
        if name not in self._open:
            self._open[name] = None
            for password in self._job.passwords:
                try:
                    self._open[name] = PARSERS[name](self._path, password)
                    break
                except PasswordNeeded as error:
                    self._refusals[name] = error
                except CannotOpen as error:
                    self._refusals[name] = error
                    break
        return self._open[name]

    def _refused(self) -> NotRead:
        if any(isinstance(error, PasswordNeeded) for error in self._refusals.values()):
            given = len(self._job.passwords) - 1
            tried = f"none of the {given} passwords given for it opens it" if given else "no password is given for it"
            return NotRead("password needed", f"the file is encrypted: {tried} (FIELDGUIDE_PASSWORDS, ingest.keyfile)")
        reasons = "; ".join(f"{name}: {phrase(error)}" for name, error in self._refusals.items())
        return NotRead("damaged", f"no parser can open it ({reasons})")

    def read(self, number: int) -> _Reading:
        reasons: list[str] = []
        unreadable: RawPage | None = None
        nothing: RawPage | None = None
        for name in self._job.parsers:
            parser = self._parser(name)
            if parser is None or number > parser.page_count:
                continue
            try:
                page = parser.page(number)
            except PageFault as error:
                reasons.append(f"{name}: {phrase(error)}")
                continue
            text = page_text(page)
            if not text.strip():
                nothing = page
                if self._drawn is not None and self._share(number) == 0 and self._drawn.is_blank(number):
                    return _Reading(page, "blank")
                if not self._job.no_ocr and self._share(number) >= _WHOLE:
                    return _Reading(page, "no text")
            elif not is_legible(text):
                unreadable = unreadable or page
            elif len(text) < _STAMP and self._share(number) >= _SCAN:
                return _Reading(page, "stamped")
            else:
                return _Reading(page)
        if unreadable is not None:
            return _Reading(unreadable, "unreadable text")
        if nothing is not None:
            return _Reading(nothing, "no text")
        return _Reading(RawPage(number, "", 0.0, 0.0, (), "", "none"), "failed", "; ".join(reasons))

    def _share(self, number: int) -> float:
        return self._drawn.image_share(number) if self._drawn is not None else 0.0

    def info(self) -> FileInfo:
        """What pypdf tells of the file, or else pdfium: no trouble with it, not even time or memory, costs the text."""
        info = FileInfo()
        for name in sorted(self._job.parsers, reverse=True):
            with contextlib.suppress(MemoryError, TimeoutError), _seconds(_INFO_SECONDS):
                file = self._parser(name)
                info = file.info() if file is not None else info
            if len(info.labels) == self.page_count:
                return info
        return replace(info, labels=tuple(map(str, range(1, self.page_count + 1))))

    def close(self) -> None:
        for file in self._open.values():
            if file is not None:
                file.close()


@contextlib.contextmanager
def _seconds(limit: float) -> Iterator[None]:
    """Raises TimeoutError inside when the time is over, where the system has such an alarm."""
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        yield
        return

    def over(*_: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, over)
    signal.setitimer(signal.ITIMER_REAL, limit)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def page_text(page: RawPage) -> str:
    """All of a page's text, its words in the parser's order."""
    return " ".join(word.text for word in page.words) if page.words else page.text


def _assemble(path: Path, job: Job, readings: Sequence[_Reading], info: FileInfo) -> Parsed:
    from ingest.layout.compose import lay_out

    chosen = [_choose(reading, job) for reading in readings]
    faults = [(page.number, fault) for page, fault in chosen if fault]
    if not any(page_text(page).strip() for page, _ in chosen):
        raise _nothing_read(readings, faults, job)
    raw = [replace(page, label=label) for (page, _), label in zip(chosen, info.labels, strict=True)]
    pages = lay_out(raw, info.outline)
    return Parsed(_title(info.metadata, pages) or path.stem, info.metadata, pages, faults)


def _choose(reading: _Reading, job: Job) -> tuple[RawPage, str]:
    """The page as it is kept, and what is missing of it ("" if nothing)."""
    page, trouble = reading.page, reading.trouble
    if trouble in ("", "blank"):
        return page, ""
    found = job.recognised.get(page.number, job.no_ocr)
    empty = replace(page, words=(), text="")
    if isinstance(found, RawPage):
        better = sum(len(w.text) * (w.confidence or 0) for w in found.words) > len(page_text(page))
        if found.words and (better or trouble != "stamped"):
            sure = found.confidence is None or found.confidence >= UNSURE
            return found, "" if sure else f"OCR could not make out all of it (confidence {found.confidence:.2f})"
        blank = found.confidence == 1.0
        if trouble == "stamped" or (blank and trouble == "no text"):
            return page, ""
        told = {"no text": "no text found by OCR"}.get(trouble, f"{reading.reason or trouble}, and OCR found no text")
        return empty, told
    if trouble == "stamped":
        return page, f"an image covers it, and what it shows is not read: {found}" if found else ""
    if trouble == "failed":
        return empty, reading.reason
    return empty, f"{trouble}; {found}" if found else trouble


def _nothing_read(readings: Sequence[_Reading], faults: list[tuple[int, str]], job: Job) -> NotRead:
    troubles = {reading.trouble for reading in readings}
    if not faults:
        return NotRead("empty", f"all of its {len(readings)} page(s) are blank (nothing or one colour on each)")
    if troubles <= {"failed", "blank"}:
        return NotRead("damaged", f"no page can be read (page {faults[0][0]}: {faults[0][1]})")
    what = "readable text" if "unreadable text" in troubles else "text"
    number, fault = faults[0]
    if job.no_ocr:
        return NotRead("image-only", f"none of its {len(readings)} page(s) holds {what}: {job.no_ocr}")
    return NotRead("image-only", f"none of its {len(readings)} page(s) holds {what} (page {number}: {fault})")


_PAGE_NUMBER = re.compile(r"^\s*(?:page\s+)?\d+(?:\s*(?:of|/)\s*\d+)?\s*(?:\S{0,24})?\s*$", re.IGNORECASE)
_PROGRAM = re.compile(r"^microsoft (?:office )?(?:word|powerpoint|excel) - ", re.IGNORECASE)
_NO_TITLE = re.compile(r"^(?:untitled.*|.*\.(?:docx?|indd|pptx?|xlsx?|pdf|tex|dvi|qxp|p65|pmd|rtf|wpd|tif|jpg))$", re.I)


def _title(metadata: Mapping[str, str], pages: Sequence[ParsedPage]) -> str:
    """The title that the file gives itself, unless it is a file name; else the first page's first lines."""
    given = " ".join(_PROGRAM.sub("", metadata.get("Title", "")).split())
    if len(given) > 2 and not _NO_TITLE.match(given) and is_legible(given):
        return given[:300]
    first = next((page.text for page in pages if page.text), "")
    lines = [line.strip() for line in first.split("\n") if line.strip() and not _PAGE_NUMBER.match(line)]
    return " – ".join(lines[:2])[:200]
