"""Documents that are no PDFs: text, Markdown, HTML and office files, read into pages with their structure.

Runs inside the reading process: it trusts nothing in the file and opens no network connection. Pictures, comments and
macros are not read. Which reader takes a file is decided by its ending; what it holds must fit the ending.
"""

from __future__ import annotations

import importlib
from pathlib import Path

from ingest.parsed import NotRead, Parsed, ParsedPage

VERSION = "documents-1"
"""Changes when the same bytes would give another text, so that documents are read again."""

_READERS = {
    ".txt": "plain", ".md": "markdown", ".markdown": "markdown", ".html": "html", ".htm": "html",
    ".docx": "docx", ".pptx": "pptx", ".xlsx": "xlsx",
}  # fmt: skip
SUFFIXES: frozenset[str] = frozenset(_READERS)
"""The endings that ``read_document`` takes, in lower case."""

_NO_TITLES = frozenset({"", "untitled", "untitled document", "document", "word document", "powerpoint presentation"})
_LONGEST_TITLE = 200


def read_document(path: Path, max_pages: int) -> Parsed:
    """Read a file whose ending is one of SUFFIXES. Raises NotRead with the file's class when nothing can be used."""
    if path.stat().st_size == 0:
        raise NotRead("empty", "the file has no bytes")
    module = importlib.import_module(f"ingest.readers.{_READERS[path.suffix.lower()]}")
    parsed: Parsed = module.read(path, max_pages)
    if not any(page.text for page in parsed.pages):
        raise NotRead("empty", "it holds no text (pictures are not read)")
    metadata = {key: value for key, text in parsed.metadata.items() if (value := " ".join(text.split()))}
    return Parsed(_title(metadata, parsed.pages) or path.stem, metadata, parsed.pages, parsed.faults)


def _title(metadata: dict[str, str], pages: list[ParsedPage]) -> str:
    """The title that the file states, else its first heading."""
    stated = metadata.get("Title", "")
    if stated.lower() not in _NO_TITLES:
        return stated[:_LONGEST_TITLE]
    for page in pages:
        for block in page.blocks:
            if block.kind == "heading":
                return " ".join(page.text[block.start : block.end].split())[:_LONGEST_TITLE]
    return ""
