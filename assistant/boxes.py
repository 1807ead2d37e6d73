"""Boxes of citations: the rectangles of a page that hold the characters cited, and the page's picture with them.

Files are hostile: they are read in the reading process of ingestion, under its limits, and only if their bytes are
still those that were read. Where boxes cannot be found there are none, with the reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from assistant.placing import Sheet
from assistant.placing_rows import place
from fieldguide.errors import FieldguideError
from fieldguide.files import file_hash
from fieldguide.types import Page
from ingest.readers.places import PictureTask
from ingest.reading import Readers
from ingest.shelf import Originals

if TYPE_CHECKING:
    from fieldguide.catalog import Catalog
    from fieldguide.settings import Ingest

_WITH_PLACES = frozenset({"pdfium", "pypdf"})
"""Readers of text that a PDF holds; the text of others has no place that could be checked."""


class PageNotShown(FieldguideError):
    """A page cannot be drawn: its file is gone, changed, encrypted or no PDF."""


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle on page ``page`` (from 1), in points from the top left corner of the page as it is displayed."""

    page: int
    left: float
    top: float
    right: float
    bottom: float


@dataclass(frozen=True, slots=True)
class Boxes:
    """One box for each line, and the text in them; or none, and why as a phrase ("" if there are boxes).

    ``text`` is the quote as the page has it; of a table's row only the cells that could be told, without the names of
    columns that the page's text repeats in it.
    """

    boxes: tuple[Box, ...] = ()
    text: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Quote:
    """Characters ``start`` to ``end`` of the text of a document's page, as a ``Citation`` names them."""

    document: str
    page: int
    start: int
    end: int


class BoxFinder:
    """Finds boxes in the documents of a catalogue, in one reading process. Use as a context manager.

    ``state`` is the workspace's folder that keeps originals; ``settings`` hold the limits of reading.
    """

    def __init__(self, catalog: Catalog, state: Path, settings: Ingest) -> None:
        self._catalog = catalog
        self._originals = Originals(state / "originals", "none")
        self._readers = Readers(settings.model_copy(update={"workers": 1, "ocr": "off"}))

    def __enter__(self) -> BoxFinder:
        self._readers.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._readers.__exit__(kind, error, trace)

    def find(self, quotes: Sequence[Quote]) -> list[Boxes]:
        """The boxes of each quote, in order; each page is read once. Raises nothing for a file."""
        found: dict[Quote, Boxes] = {}
        files: dict[str, Path | str] = {}
        sheets: dict[tuple[str, int], Sheet | str] = {}
        for wanted in quotes:
            page = self._page(wanted)
            if isinstance(page, str):
                found[wanted] = Boxes(reason=page)
                continue
            if wanted.document not in files:
                files[wanted.document] = self._file(wanted.document)
            file, key = files[wanted.document], (wanted.document, wanted.page)
            if key not in sheets:
                sheets[key] = file if isinstance(file, str) else self._sheet(file, wanted.page)
            sheet = sheets[key]
            found[wanted] = Boxes(reason=sheet) if isinstance(sheet, str) else boxes_on(page, wanted, sheet)
        return [found[wanted] for wanted in quotes]

    def page_image(
        self,
        document: str,
        page: int,
        boxes: Sequence[Box] = (),
        *,
        dpi: float = 110,
        crop: tuple[float, float, float, float] | None = None,
    ) -> bytes:
        """The page as a PNG, the boxes that are on it highlighted. Raises PageNotShown.

        ``crop`` is the part to draw (left, top, right, bottom, as boxes are). A very large page is drawn at less than
        ``dpi``, so that no picture has more than 36 million pixels.
        """
        file = self._file(document)
        if isinstance(file, str):
            raise PageNotShown(f"Page {page} cannot be drawn: {file}.")
        rects = tuple((box.left, box.top, box.right, box.bottom) for box in boxes if box.page == page)
        drawn = self._readers.picture(PictureTask(file, page, dpi, rects, crop))
        if isinstance(drawn, str):
            raise PageNotShown(f"Page {page} cannot be drawn: {drawn}.")
        return drawn

    def _page(self, wanted: Quote) -> Page | str:
        try:
            page = self._catalog.page(wanted.document, wanted.page)
        except KeyError:
            return "the catalogue has no such page"
        if page.reader == "tesseract":
            return "the page was read by OCR"
        return page if page.reader in _WITH_PLACES else "only pages of PDFs have places that can be told"

    def _sheet(self, file: Path, number: int) -> Sheet | str:
        glyphs = self._readers.glyphs(file, number)
        return glyphs if isinstance(glyphs, str) else Sheet(glyphs)

    def _file(self, document: str) -> Path | str:
        """A file with exactly the document's bytes: the original that is kept, or where it was read; or why none."""
        kept = self._originals.find(document)
        if kept is not None:
            return kept
        why = "its file is not there any more"
        for source in self._catalog.sources().get(document, ()):
            try:
                if file_hash(Path(source)) == document:
                    return Path(source)
            except OSError:
                continue
            why = "its file has changed since it was read"
        return why


def boxes_on(page: Page, wanted: Quote, sheet: Sheet) -> Boxes:
    """Where the characters stand on a page whose glyphs are known."""
    placed = place(page.text, wanted.start, wanted.end, sheet)
    boxes = tuple(Box(page.number, *(round(side, 2) for side in rect)) for rect in placed.rects)
    return Boxes(boxes, placed.text, placed.reason)
