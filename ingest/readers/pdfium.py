"""pdfium behind the parser Protocol: words with their boxes, form values, page images.

One process each: pdfium is not thread-safe. It knows nothing of other parsers, of OCR or of what the words mean.
"""

from __future__ import annotations

import contextlib
import ctypes
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ingest.layout.glyphs import Glyphs
from ingest.layout.words import OutlineEntry, RawPage
from ingest.readers.base import CannotOpen, FileInfo, PageFault, PasswordNeeded, phrase
from ingest.readers.legible import clean
from ingest.readers.pdfium_text import Box, page_glyphs, page_words

MAX_PIXELS = 36_000_000
"""Pixels of a page image: 300 dpi up to a size of about A2; larger pages are drawn at a lower resolution."""

MAX_SIDE = 30_000
"""Pixels of a page image's longer side; Tesseract takes 32,767."""

BLANK_CONTRAST = 24
"""A grey image whose lightest and darkest pixels (0 to 255) differ by less shows nothing."""

_MAX_OUTLINE = 10_000
_DRAWN_ANNOTATIONS = {3, 13, 20}  # free text, stamp, form field: what a reader sees as part of the page
_BLANK_DPI = 50


class PdfiumFile:
    """A file open in pdfium."""

    name = "pdfium"

    def __init__(self, path: Path, password: str = "") -> None:
        import pypdfium2

        logging.getLogger("pypdfium2").setLevel(logging.CRITICAL)  # its warnings on odd files are ours to tell
        self._errors = (pypdfium2.PdfiumError, ValueError, OSError, ctypes.ArgumentError)
        try:
            self._pdf = pypdfium2.PdfDocument(path, password=password or None)
        except pypdfium2.PdfiumError as error:
            text = phrase(error)
            if "password" in text.lower():
                raise PasswordNeeded(text) from None
            text = text.removeprefix("Failed to load document (PDFium: ").rstrip(")")
            raise CannotOpen("it does not say why" if text == "Success" else text) from None
        except (OSError, ValueError) as error:
            raise CannotOpen(phrase(error)) from None
        with contextlib.suppress(pypdfium2.PdfiumError):  # a broken form costs its values, not the text
            self._pdf.init_forms()
        self.page_count = len(self._pdf)

    def page(self, number: int) -> RawPage:
        try:
            page = self._load(number)
            try:
                width, height, words = page_words(page)
            finally:
                page.close()
        except self._errors as error:
            raise PageFault(phrase(error)) from None
        return RawPage(number, "", width, height, words, "", self.name)

    def glyphs(self, number: int) -> Glyphs:
        """Where each character of page ``number`` stands. Raises PageFault."""
        try:
            page = self._load(number)
            try:
                return page_glyphs(page)
            finally:
                page.close()
        except (*self._errors, IndexError) as error:
            raise PageFault(f"pdfium cannot read the page: {phrase(error)}") from None

    def _load(self, number: int) -> Any:
        """The page with its filled-in fields and notes as part of its contents (in memory only)."""
        page = self._pdf[number - 1]
        if self._pdf.formenv and _drawn_annotations(page):
            try:
                page.flatten()
            finally:
                page.close()
            page = self._pdf[number - 1]
        return page

    def image_share(self, number: int) -> float:
        """The share (0 to 1) of the page that its images cover, as if none lay on another."""
        import pypdfium2.raw as c

        try:
            page = self._pdf[number - 1]
            try:
                area = float(page.get_width() * page.get_height())
                images = page.get_objects(filter=[c.FPDF_PAGEOBJ_IMAGE], max_depth=4)
                return min(1.0, float(sum(min(area, _area(image.get_bounds())) for image in images)) / max(area, 1e-6))
            finally:
                page.close()
        except self._errors:
            return 0.0

    def is_blank(self, number: int) -> bool:
        """Whether the page shows nothing at all, as an image would show it."""
        try:
            image, _ = self.image(number, _BLANK_DPI)
        except PageFault:
            return False
        low, high = image.getextrema()
        return bool(high - low < BLANK_CONTRAST)

    def image(self, number: int, dpi: float) -> tuple[Any, float]:
        """The page as a grey PIL image, and its resolution: ``dpi``, or less for a large page. Raises PageFault."""
        try:
            page = self._pdf[number - 1]
            try:
                dpi = image_dpi(page, dpi)
                return page.render(scale=dpi / 72, grayscale=True).to_pil(), dpi
            finally:
                page.close()
        except self._errors as error:
            raise PageFault(f"it cannot be drawn: {phrase(error)}") from None

    def colour_image(self, number: int, dpi: float) -> tuple[Any, float]:
        """As ``image``, but in colour and with filled-in fields and notes, as a reader sees the page."""
        try:
            page = self._load(number)
            try:
                dpi = image_dpi(page, dpi)
                return page.render(scale=dpi / 72).to_pil(), dpi
            finally:
                page.close()
        except (*self._errors, IndexError) as error:
            raise PageFault(f"it cannot be drawn: {phrase(error)}") from None

    def info(self) -> FileInfo:
        try:
            metadata = {key: clean(value) for key, value in self._pdf.get_metadata_dict(skip_empty=True).items()}
            labels = tuple(clean(self._pdf.get_page_label(n) or str(n + 1)) for n in range(self.page_count))
            outline = tuple(self._outline())
        except self._errors:
            return FileInfo()
        return FileInfo(metadata, labels, outline)

    def _outline(self) -> Iterator[OutlineEntry]:
        for count, bookmark in enumerate(self._pdf.get_toc(max_depth=10)):
            if count == _MAX_OUTLINE:
                return
            target = bookmark.get_dest()
            title = clean(bookmark.get_title()).strip()
            if title and target is not None and target.get_index() is not None:
                yield OutlineEntry(title, bookmark.level + 1, target.get_index() + 1)

    def close(self) -> None:
        self._pdf.close()


def page_image(path: Path, number: int, dpi: float = 100, password: str = "") -> Any:
    """Page ``number`` (from 1) of a file as a PIL image in colour. Raises CannotOpen or PageFault."""
    file = PdfiumFile(path, password)
    try:
        return file.colour_image(number, dpi)[0]
    finally:
        file.close()


def image_dpi(page: Any, dpi: float) -> float:
    """``dpi``, or less where the page is so large that its image would pass MAX_PIXELS or MAX_SIDE."""
    width, height = max(page.get_width(), 1e-3), max(page.get_height(), 1e-3)
    return float(min(dpi, 72 * (MAX_PIXELS / (width * height)) ** 0.5, 72 * MAX_SIDE / max(width, height)))


def _area(bounds: Box) -> float:
    return max(bounds[2] - bounds[0], 0.0) * max(bounds[3] - bounds[1], 0.0)


def _drawn_annotations(page: Any) -> bool:
    import pypdfium2.raw as c

    for n in range(min(c.FPDFPage_GetAnnotCount(page), 2000)):
        annotation = c.FPDFPage_GetAnnot(page, n)
        if annotation:
            kind = c.FPDFAnnot_GetSubtype(annotation)
            c.FPDFPage_CloseAnnot(annotation)
            if kind in _DRAWN_ANNOTATIONS:
                return True
    return False
