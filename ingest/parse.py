"""One PDF file to page texts: pdfium reads the text, pypdf the metadata and page labels.

Runs inside the reading process (``ingest.reading``): it trusts nothing in the file and returns plain values.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from pathlib import Path

READER_VERSION = "pdfium-1"
"""Changes when the same bytes would give another text, so that documents are read again."""

_HEAD_BYTES = 1024
_PAGE_NUMBER = re.compile(r"^\s*(?:page\s+)?\d+(?:\s*(?:of|/)\s*\d+)?\s*(?:\S{0,24})?\s*$", re.IGNORECASE)


class NotRead(Exception):
    """The file cannot be used: its class ("damaged", "password needed", …) and the reason in a sentence."""

    def __init__(self, status: str, reason: str) -> None:
        super().__init__(status, reason)
        self.status = status
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Parsed:
    """A file's text: ``pages`` are (label, text); ``faults`` are (page number from 1, reason)."""

    title: str
    metadata: dict[str, str]
    pages: list[tuple[str, str]]
    faults: list[tuple[int, str]]


def parse_pdf(path: Path, max_pages: int) -> Parsed:
    """Read all pages. Raises NotRead with the file's class when nothing can be used."""
    size = path.stat().st_size
    if size == 0:
        raise NotRead("empty", "the file has no bytes")
    with path.open("rb") as file:
        if b"%PDF-" not in file.read(_HEAD_BYTES):
            raise NotRead("not a document", "the file is not a PDF (its first bytes lack %PDF-)")
    texts, faults = _page_texts(path, max_pages)
    if faults and len(faults) == len(texts):
        raise NotRead("damaged", f"no page can be read (page 1: {faults[0][1]})")
    if not any(text.strip() for text in texts):
        raise NotRead("image-only", f"none of its {len(texts)} page(s) holds text; it needs OCR, which is not built in")
    metadata, labels = _metadata(path)
    labels = labels if len(labels) == len(texts) else [str(n) for n in range(1, len(texts) + 1)]
    title = metadata.get("Title", "").strip() or _first_lines(texts) or path.stem
    return Parsed(title, metadata, list(zip(labels, texts, strict=True)), faults)


def _page_texts(path: Path, max_pages: int) -> tuple[list[str], list[tuple[int, str]]]:
    import pypdfium2

    try:
        pdf = pypdfium2.PdfDocument(path)
    except pypdfium2.PdfiumError as error:
        if "password" in str(error).lower():
            raise NotRead("password needed", "the file is encrypted and its password is not known") from None
        raise NotRead("damaged", f"pdfium cannot open it ({_plain(error)})") from None
    with pdf:
        if len(pdf) == 0:
            raise NotRead("empty", "the file has no pages")
        if len(pdf) > max_pages:
            raise NotRead("too large", f"it has {len(pdf)} pages, more than ingest.max_pages = {max_pages}")
        texts: list[str] = []
        faults: list[tuple[int, str]] = []
        for number in range(len(pdf)):
            try:
                page = pdf[number]
                texts.append(clean(page.get_textpage().get_text_bounded()))
                page.close()
            except pypdfium2.PdfiumError as error:
                texts.append("")
                faults.append((number + 1, _plain(error)))
        return texts, faults


def _plain(error: Exception) -> str:
    return str(error).strip().rstrip(".").removeprefix("Failed to load document (").rstrip(")")


def clean(text: str) -> str:
    """Page text as it is kept: Unix line ends, no control characters, hyphens at line ends joined.

    pdfium marks a hyphen that splits a word at a line's end with U+FFFE or U+0002.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    text = re.sub(r"[\ufffe\x02]\n?", "", text)
    text = re.sub(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\uffff]", "", text)
    return re.sub(r"[ \t\xa0]+(?=\n|$)", "", text).replace("\xa0", " ")


def _first_lines(texts: list[str], wanted: int = 2) -> str:
    lines = [line.strip() for line in texts[0].split("\n") if line.strip() and not _PAGE_NUMBER.match(line)]
    return " – ".join(lines[:wanted])[:200]


def _metadata(path: Path) -> tuple[dict[str, str], list[str]]:
    """Document information and page labels, as far as pypdf can tell; a file that pypdf cannot read has none."""
    import pypdf

    logging.getLogger("pypdf").setLevel(logging.CRITICAL)
    try:
        reader = pypdf.PdfReader(path)
        info = {str(k).removeprefix("/"): clean(str(v)) for k, v in (reader.metadata or {}).items() if v is not None}
        return info, [clean(label) for label in reader.page_labels]
    except Exception:  # pypdf raises many kinds on broken files; metadata is a bonus, the text has been read
        return {}, []
