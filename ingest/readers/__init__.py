"""Files → pages: one module for each parser. They run in the reading process and trust nothing in a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ingest.parsed import NotRead, Parsed
from ingest.readers import documents

if TYPE_CHECKING:
    from ingest.readers.pdf import Job, NeedsOcr

READER_VERSION = "pdf-1"
"""Changes when the same PDF would give other pages, so that it is read again (others: ``documents.VERSION``)."""

SUFFIXES = documents.SUFFIXES | {".pdf"}
"""The endings, in lower case, of the files that can be read; PDFs are also told by their first bytes."""

_HEAD_BYTES = 1024


def parse_file(path: Path, job: Job) -> Parsed | NeedsOcr:
    """Read a file of any known kind, told by its ending or, for PDFs, its first bytes. Raises NotRead."""
    if path.stat().st_size == 0:
        raise NotRead("empty", "the file has no bytes")
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    if path.suffix.lower() in documents.SUFFIXES and not head.startswith(b"%PDF-"):
        return documents.read_document(path, job.max_pages)
    if b"%PDF-" not in head:
        raise NotRead("not a document", "the file is not a PDF (its first bytes lack %PDF-)")
    from ingest.readers.pdf import read_pdf

    return read_pdf(path, job)
