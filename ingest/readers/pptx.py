"""PowerPoint files, opened by python-pptx: a slide is a page.

The slide's title is its heading; then shapes from top to bottom: outlines as lists, text boxes as paragraphs, tables,
and charts as tables of their data; speaker notes under a heading "Notes". Date, footer and slide number are footers.
Hidden slides are read too; pictures, SmartArt and comments are not.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ingest.parsed import NotRead, Parsed, ParsedPage
from ingest.readers.office import check_archive, faults, properties
from ingest.readers.tables import Cell, table
from ingest.readers.writing import MAX_CHARACTERS, Part, one_line, too_much_text, write_page

_FOOTERS = frozenset({"DATE", "FOOTER", "SLIDE_NUMBER"})
_OUTLINES = frozenset({"BODY", "OBJECT", "VERTICAL_BODY", "VERTICAL_OBJECT"})
_TITLES = frozenset({"TITLE", "CENTER_TITLE", "VERTICAL_TITLE"})
_A = "{http://schemas.openxmlformats.org/drawingml/2006/main}"


def read(path: Path, max_pages: int) -> Parsed:
    check_archive(path)
    with faults("python-pptx cannot read it"):
        import pptx

        slides = pptx.Presentation(str(path)).slides
        if len(slides) > max_pages:
            raise NotRead("too large", f"it has {len(slides)} slides, more than ingest.max_pages = {max_pages}")
        pages: list[ParsedPage] = []
        characters = 0
        for number, slide in enumerate(slides, 1):
            pages.append(write_page(_slide_parts(slide), str(number), "pptx"))
            characters += len(pages[-1].text)
            if characters > MAX_CHARACTERS:
                raise too_much_text()
        return Parsed("", properties(path), pages)


def _slide_parts(slide: Any) -> Iterator[Part]:
    shapes = sorted(_leaves(slide.shapes), key=_place)
    for wanted in ("title", "body", "footer"):
        for shape in shapes:
            if _role(shape) == wanted:
                yield from _shape_parts(shape, wanted)
    if slide.has_notes_slide and (frame := slide.notes_slide.notes_text_frame) is not None and frame.text.strip():
        yield Part("heading", "Notes", 2)
        yield from (Part("paragraph", paragraph.text.replace("\v", "\n")) for paragraph in frame.paragraphs)


def _leaves(shapes: Any) -> Iterator[Any]:
    """Shapes, those in groups too. The XML parser allows no more than 256 levels."""
    for shape in shapes:
        if hasattr(shape, "shapes"):
            yield from _leaves(shape.shapes)
        else:
            yield shape


def _place(shape: Any) -> tuple[int, int]:
    return shape.top or 0, shape.left or 0


def _placeholder(shape: Any) -> str:
    return (shape.placeholder_format.type.name if shape.placeholder_format.type else "") if shape.is_placeholder else ""


def _role(shape: Any) -> str:
    kind = _placeholder(shape)
    return "title" if kind in _TITLES else "footer" if kind in _FOOTERS else "body"


def _shape_parts(shape: Any, role: str) -> Iterator[Part]:
    if getattr(shape, "has_table", False):
        yield _table(shape.table)
    elif getattr(shape, "has_chart", False):
        yield from _chart(shape.chart)
    elif shape.has_text_frame:
        paragraphs = [paragraph for paragraph in shape.text_frame.paragraphs if paragraph.text.strip()]
        if role != "body":
            kind: Any = "heading" if role == "title" else "footer"
            text = one_line(" ".join(paragraph.text for paragraph in paragraphs))
            yield Part(kind, text, 1 if role == "title" else 0)
            return
        outline = _placeholder(shape) in _OUTLINES and len(paragraphs) > 1
        for number, paragraph in enumerate(paragraphs, 1):
            yield _paragraph(paragraph, outline, number)


def _paragraph(paragraph: Any, outline: bool, number: int) -> Part:
    """A list's item if it shows a bullet or number; placeholders of outlines show bullets unless told otherwise."""
    properties = paragraph._p.pPr
    marks = set() if properties is None else {child.tag for child in properties}
    if f"{_A}buNone" in marks or not (outline or marks & {f"{_A}buChar", f"{_A}buAutoNum"}):
        return Part("paragraph", paragraph.text.replace("\v", "\n"))
    marker = f"{number}. " if f"{_A}buAutoNum" in marks else "- "
    return Part("list", "  " * paragraph.level + marker + one_line(paragraph.text))


def _table(shown: Any) -> Part:
    rows = []
    for row in shown._tbl.tr_lst:
        cells = []
        for cell in row.tc_lst:
            if cell.hMerge or cell.vMerge:
                continue
            text = " ".join(node.text or "" for node in cell.iter(f"{_A}t"))
            cells.append(Cell(text, min(cell.gridSpan, 1000), cell.rowSpan))
        rows.append(cells)
    return table(rows, 1 if shown.first_row and len(rows) > 1 else None)


def _chart(chart: Any) -> Iterator[Part]:
    """A chart's data as a table of a row for each category."""
    if chart.has_title and chart.chart_title.has_text_frame:
        yield Part("caption", one_line(chart.chart_title.text_frame.text))
    for plot in chart.plots:
        series = list(plot.series)
        rows = [[Cell(""), *(Cell(str(one.name)) for one in series)]]
        values = [list(one.values) for one in series]
        for index, category in enumerate(plot.categories):
            row = [column[index] if index < len(column) else None for column in values]
            rows.append([Cell(str(category)), *(Cell("" if value is None else format(value, ".15g")) for value in row)])
        yield table(rows, 1)
