"""The main flow of ingestion: files → documents, pages, chunks in the catalogue. Only new work is done."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fieldguide.catalog import Catalog, FileRecord
from fieldguide.errors import FieldguideError
from fieldguide.files import file_hash
from fieldguide.settings import Ingest
from fieldguide.types import Document, Page, Progress, content_hash
from ingest.chunk import chunk_pages, context_line
from ingest.parse import READER_VERSION, NotRead, Parsed
from ingest.reading import Reader

CHUNKER_VERSION = "langchain-recursive-1"
READ, READ_IN_PART = "read", "read in part"


@dataclass
class IngestReport:
    """What became of each file given: ``files`` by path, and how many were new, unchanged or replaced."""

    files: list[FileRecord] = field(default_factory=list)
    new: int = 0
    unchanged: int = 0
    duplicates: list[tuple[str, str]] = field(default_factory=list)
    removed_documents: int = 0
    passed_over: Counter[str] = field(default_factory=Counter)

    @property
    def classes(self) -> Counter[str]:
        return Counter(record.status for record in self.files)

    @property
    def all_read(self) -> bool:
        return all(record.status == READ for record in self.files)


@dataclass
class Found:
    """What the paths given hold: PDFs, paths that do not exist, and files of other kinds counted by their ending."""

    files: list[Path] = field(default_factory=list)
    missing: list[FileRecord] = field(default_factory=list)
    passed_over: Counter[str] = field(default_factory=Counter)


def find_files(paths: Sequence[Path]) -> Found:
    """A path to a file is taken as it is; of a folder, every PDF below it (by name or first bytes), none hidden."""
    files: dict[Path, None] = {}
    found = Found()
    for path in paths:
        if path.is_dir():
            for file in _walk(path):
                if file.suffix.lower() == ".pdf" or _begins_like_pdf(file):
                    files[file.resolve()] = None
                else:
                    found.passed_over[file.suffix.lower() or "no ending"] += 1
        elif path.exists():
            files[path.resolve()] = None
        else:
            found.missing.append(FileRecord(str(path), None, 0, "missing", "there is no such file or folder"))
    found.files = list(files)
    return found


def _walk(root: Path) -> Iterator[Path]:
    for folder, subfolders, names in os.walk(root):
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        yield from (Path(folder, name) for name in sorted(names) if not name.startswith("."))


def _begins_like_pdf(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(5) == b"%PDF-"
    except OSError:
        return False


def ingest_files(
    paths: Sequence[Path],
    catalog: Catalog,
    settings: Ingest,
    count_tokens: Callable[[str], int],
    tokenizer_id: str,
    progress: Progress,
) -> IngestReport:
    """Read every file that is new or changed and store it; the others are left as they are.

    A file that cannot be read is recorded with its class and reason, and the rest goes on. Each document is stored
    in one transaction, so a killed run loses at most the file it was reading.
    """
    found = find_files(paths)
    if not found.files and not found.missing:
        raise FieldguideError(
            f"There is no PDF in {', '.join(map(str, paths))}; name PDFs or a folder that holds some."
        )
    recipe = content_hash(READER_VERSION, CHUNKER_VERSION, settings_key(settings), tokenizer_id)
    report = IngestReport(files=found.missing, passed_over=found.passed_over)
    seen: dict[str, str] = {}
    known = {record.document: record for record in catalog.files().values() if record.document is not None}
    progress.start("reading", len(found.files))
    with Reader(settings) as reader:
        for path in found.files:
            record, fresh = _ingest_file(path, catalog, settings, count_tokens, recipe, reader, known)
            report.files.append(record)
            if record.document is not None:
                report.new += fresh
                report.unchanged += not fresh
                if record.document in seen:
                    report.duplicates.append((record.path, seen[record.document]))
                seen.setdefault(record.document, record.path)
            progress.advance(note=path.name)
    report.removed_documents = len(catalog.remove_orphans())
    return report


def settings_key(settings: Ingest) -> str:
    """The settings that decide pages and chunks (limits do not)."""
    return f"{settings.chunk_tokens}/{settings.chunk_overlap}/{settings.context_line}"


def _ingest_file(
    path: Path,
    catalog: Catalog,
    settings: Ingest,
    count_tokens: Callable[[str], int],
    recipe: str,
    reader: Reader,
    known: dict[str, FileRecord],
) -> tuple[FileRecord, bool]:
    """What became of the file, and whether it was read now."""
    size = 0
    name = str(path).encode("utf-8", "backslashreplace").decode("utf-8")  # a name may be no valid Unicode
    try:
        size = path.stat().st_size
        document_id = file_hash(path)
        earlier = known.get(document_id)
        if earlier is not None and catalog.recipe(document_id) == recipe:
            record = FileRecord(name, document_id, size, earlier.status, earlier.reason)
            catalog.record_file(record)
            if not Path(earlier.path).exists():
                catalog.record_source(document_id, name)
            return record, False
        parsed = reader.read(path)
        document = Document(document_id, name, parsed.title, parsed.metadata)
        pages = _pages(document_id, parsed)
        context = context_line(parsed.title, pages[0].text) if settings.context_line else ""
        chunks = chunk_pages(pages, settings, count_tokens, context)
        faults = "; ".join(f"page {number}: {reason}" for number, reason in parsed.faults)
        record = FileRecord(name, document_id, size, READ_IN_PART if faults else READ, faults)
        catalog.store_document(document, recipe, pages, chunks, record)
        known[document_id] = record
        return record, True
    except NotRead as error:
        record = FileRecord(name, None, size, error.status, error.reason)
    except OSError as error:
        record = FileRecord(name, None, size, "damaged", f"cannot be opened: {error.strerror or error}")
    catalog.record_file(record)
    return record, True


def _pages(document: str, parsed: Parsed) -> list[Page]:
    return [Page(document, n, label, text, READER_VERSION) for n, (label, text) in enumerate(parsed.pages, 1)]
