"""pypdf behind the parser Protocol: text without places, metadata, outline, page labels; it mends broken files.

Slow for text (tens of pages a second), so it reads pages only where pdfium gives nothing of use.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ingest.layout.words import OutlineEntry, RawPage
from ingest.readers.base import CannotOpen, FileInfo, PageFault, PasswordNeeded, phrase
from ingest.readers.legible import clean

_LETTER = (612.0, 792.0)
_MAX_OUTLINE = 10_000
_MAX_DEPTH = 10
_MAX_VALUE = 2000


class PypdfFile:
    """A file open in pypdf. Whatever pypdf raises on a broken one (it raises many kinds) becomes a fault."""

    name = "pypdf"

    def __init__(self, path: Path, password: str = "") -> None:
        import pypdf

        logging.getLogger("pypdf").setLevel(logging.CRITICAL)  # its warnings on broken files are ours to tell
        try:
            self._reader = pypdf.PdfReader(path, strict=False)
            locked = self._reader.is_encrypted and not self._reader.decrypt(password)
            self.page_count = 0 if locked else len(self._reader.pages)
        except MemoryError:
            raise
        except Exception as error:
            raise CannotOpen(phrase(error)) from None
        if locked:
            raise PasswordNeeded("the password does not open it")

    def page(self, number: int) -> RawPage:
        try:
            page = self._reader.pages[number - 1]
            text = clean(page.extract_text())
            values = [value for value in _field_values(page) if value not in text]
            width, height = _size(page)
        except MemoryError:
            raise
        except Exception as error:
            raise PageFault(phrase(error)) from None
        return RawPage(number, "", width, height, (), "\n\n".join(filter(str.strip, [text, *values])), self.name)

    def info(self) -> FileInfo:
        return FileInfo(self._metadata(), self._labels(), tuple(self._outline()))

    def _metadata(self) -> dict[str, str]:
        try:
            entries = dict(self._reader.metadata or {}).items()
            return {str(k).removeprefix("/"): clean(str(v))[:_MAX_VALUE] for k, v in entries if v is not None}
        except MemoryError:
            raise
        except Exception:
            return {}

    def _labels(self) -> tuple[str, ...]:
        try:
            return tuple(clean(label) for label in self._reader.page_labels)
        except MemoryError:
            raise
        except Exception:
            return ()

    def _outline(self) -> list[OutlineEntry]:
        try:
            pages = {page.indirect_reference.idnum: n for n, page in enumerate(self._reader.pages, 1)}  # type: ignore[union-attr]
            return list(_entries(self._reader.outline, 1, pages, [_MAX_OUTLINE]))
        except MemoryError:
            raise
        except Exception:
            return []

    def close(self) -> None:
        self._reader.close()


def _entries(items: list[Any], level: int, pages: dict[int, int], left: list[int]) -> Iterator[OutlineEntry]:
    """The outline's entries in order; a list in it holds what lies below the entry before. ``left`` counts down."""
    for item in items:
        if left[0] <= 0:
            return
        if isinstance(item, list):
            if level < _MAX_DEPTH:
                yield from _entries(item, level + 1, pages, left)
            continue
        left[0] -= 1
        target = getattr(item.page, "idnum", None)
        title = " ".join(clean(str(item.title or "")).split())
        if title and target in pages:
            yield OutlineEntry(title, level, pages[target])


def _field_values(page: Any) -> Iterator[str]:
    """What is filled in on the page's form: "name: value" of each text or choice field that is not empty."""
    for reference in page.get("/Annots") or []:
        field = reference.get_object()
        if field.get("/Subtype") != "/Widget":
            continue
        parent: Mapping[str, Any] = field["/Parent"] if "/Parent" in field else {}  # noqa: SIM401 (resolves)
        if field.get("/FT", parent.get("/FT")) not in ("/Tx", "/Ch"):
            continue
        value = field.get("/V", parent.get("/V"))
        name = clean(str(field.get("/T", parent.get("/T")) or "")).strip()
        if isinstance(value, str) and value.strip():
            yield f"{name}: {clean(value).strip()}" if name else clean(value).strip()


def _size(page: Any) -> tuple[float, float]:
    try:
        box = page.cropbox
        width, height = float(box.width), float(box.height)
    except Exception:
        return _LETTER
    if width <= 0 or height <= 0:
        return _LETTER
    return (height, width) if page.rotation % 180 else (width, height)
