"""Word files, opened by python-docx: the story in order, with headings, lists, tables, notes and pages.

Headings come from styles and outline levels, bullets and numbers from the numbering that Word would show. Pages are
those of the last print layout where Word kept it, and explicit breaks; deliberately blank pages do not count. Headers
and footers stand once, on the first page. Deleted text of tracked changes, comments, charts and pictures are not read;
text boxes follow the paragraph they are anchored in, foot- and endnotes the block that refers to them.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ingest.parsed import Parsed
from ingest.readers.numbering import Numbering
from ingest.readers.office import check_archive, faults, properties
from ingest.readers.tables import Cell, table
from ingest.readers.writing import Part, one_line, write_pages

_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_R = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}"
_MATH_TEXT = "{http://schemas.openxmlformats.org/officeDocument/2006/math}t"
_FALLBACK = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"
_UNSEEN = {f"{_W}{name}" for name in ("del", "moveFrom", "pPr", "rPr", "instrText", "delText", "sdtPr")} | {_FALLBACK}
_WRAPPERS = {f"{_W}{name}" for name in ("sdt", "sdtContent", "ins", "moveTo", "customXml", "smartTag")}
_CHARACTERS = {f"{_W}tab": " ", f"{_W}cr": "\n", f"{_W}noBreakHyphen": "-"}


def read(path: Path, max_pages: int) -> Parsed:
    check_archive(path)
    with faults("python-docx cannot read it"):
        import docx

        story = _Story(docx.Document(str(path)).part)
        return Parsed("", properties(path), write_pages(story.parts(), "docx", max_pages))


class _Story:
    """The document's body as parts. The XML parser allows no more than 256 levels, so walking it may recurse."""

    def __init__(self, part: Any) -> None:
        self._part = part
        related = {rel.reltype.rsplit("/", 1)[-1]: rel.target_part for rel in part.rels.values() if not rel.is_external}
        self._styles = {style.get(f"{_W}styleId"): style for style in _tree(related.get("styles")).iter(f"{_W}style")}
        self._numbering = Numbering(_tree(related.get("numbering")))
        self._notes = {
            (kind, note.get(f"{_W}id")): _plain_text(note)
            for kind in ("footnote", "endnote")
            for note in _tree(related.get(f"{kind}s")).iter(f"{_W}{kind}")
        }
        self._parts: list[Part | None] = []
        self._pending_notes: list[str] = []
        self._note_count = 0

    def parts(self) -> list[Part | None]:
        body = self._part.element.body
        self._blocks(body)
        headers, footers = (self._edges(body, f"{_W}{kind}Reference", kind) for kind in ("header", "footer"))
        first_end = self._parts.index(None) if None in self._parts else len(self._parts)
        return [*headers, *self._parts[:first_end], *footers, *self._parts[first_end:]]

    def _edges(self, body: Any, tag: str, kind: Any) -> list[Part]:
        """The sections' headers or footers, each text once."""
        texts = []
        for reference in body.iter(tag):
            related = self._part.related_parts.get(reference.get(f"{_R}id"))
            if related is not None:
                texts.append("\n".join(_plain_text(paragraph) for paragraph in _tree(related).iter(f"{_W}p")))
        return [Part(kind, text) for text in dict.fromkeys(texts)]

    def _blocks(self, container: Any) -> None:
        for child in container:
            if child.tag == f"{_W}p":
                self._paragraph(child)
            elif child.tag == f"{_W}tbl":
                self._table(child)
            elif child.tag in _WRAPPERS:
                self._blocks(child)
            self._parts += [Part("paragraph", note) for note in self._pending_notes]
            self._pending_notes = []

    def _paragraph(self, paragraph: Any) -> None:
        properties = paragraph.find(f"{_W}pPr")
        if _is_on(_child(properties, "pageBreakBefore")):
            self._break()
        kind, level, marker = self._role(properties)
        boxes: list[Any] = []
        pieces = [""]
        for piece in self._inline(paragraph, boxes):
            if piece is None:
                pieces.append("")
            else:
                pieces[-1] += piece
        for number, text in enumerate(pieces):
            if number:
                self._break()
            if text.strip():
                self._parts.append(
                    Part(kind, marker + (one_line(text) if kind in ("heading", "list") else text), level)
                )
                marker = "  " if kind == "list" else ""
        for box in boxes:
            self._blocks(box)
        section = _child(properties, "sectPr")
        if section is not None and _value(section.find(f"{_W}type")) != "continuous":
            self._break()

    def _break(self) -> None:
        """A page ends. Word marks one break in several ways at once; they count once."""
        if self._parts and self._parts[-1] is not None:
            self._parts.append(None)

    def _role(self, properties: Any) -> tuple[Any, int, str]:
        """(kind, heading level, what to write in front)."""
        chain = list(self._chain(_value(_child(properties, "pStyle"))))
        names = [_value(style.find(f"{_W}name")).lower() for style in chain]
        sources = [properties, *(style.find(f"{_W}pPr") for style in chain)]
        outline = next((found for source in sources if (found := _value(_child(source, "outlineLvl")))), "")
        level = int(outline) + 1 if outline in set("012345678") else 0
        for name in names:
            if name.startswith("heading ") and name[8:].strip().isdigit():
                level = level or min(int(name[8:].strip()[:2]), 9)
            elif name in ("title", "subtitle"):
                level = level or (1 if name == "title" else 2)
        numbered = next((found for source in sources if (found := _child(source, "numPr")) is not None), None)
        depth, marker = self._numbering.next(
            _value(_child(numbered, "numId")), _value(_child(numbered, "ilvl")) or (str(level - 1) if level else "0")
        )
        if level:
            return "heading", level, marker if marker != "- " else ""
        if any(name == "caption" for name in names):
            return "caption", 0, ""
        if marker or any(name.startswith(("list bullet", "list number", "toc ")) for name in names):
            styled = next((int(name[-1]) - 1 for name in names[:1] if name[-1:] in set("123456789")), 0)
            return "list", 0, "  " * max(depth, styled) + marker
        return "paragraph", 0, ""

    def _chain(self, style_id: str) -> Iterator[Any]:
        """A style and those it is based on. A circle ends where it closes."""
        seen: set[str] = set()
        while style_id in self._styles and style_id not in seen:
            seen.add(style_id)
            yield self._styles[style_id]
            style_id = _value(self._styles[style_id].find(f"{_W}basedOn"))

    def _inline(self, element: Any, boxes: list[Any]) -> Iterator[str | None]:
        """Text and page breaks (None) of a paragraph; text boxes go to ``boxes``."""
        for child in element:
            tag = child.tag
            if tag == f"{_W}t" or tag == _MATH_TEXT:
                yield child.text or ""
            elif tag in _CHARACTERS:
                yield _CHARACTERS[tag]
            elif tag == f"{_W}br":
                yield None if child.get(f"{_W}type") == "page" else "\n"
            elif tag == f"{_W}lastRenderedPageBreak":
                yield None
            elif tag in (f"{_W}footnoteReference", f"{_W}endnoteReference"):
                yield self._note(child, tag.removeprefix(_W).removesuffix("Reference"))
            elif tag == f"{_W}txbxContent":
                boxes.append(child)
            elif tag not in _UNSEEN:
                yield from self._inline(child, boxes)

    def _note(self, reference: Any, kind: str) -> str:
        text = self._notes.get((kind, reference.get(f"{_W}id")), "")
        if not text:
            return ""
        self._note_count += 1
        self._pending_notes.append(f"[{self._note_count}] {text}")
        return f"[{self._note_count}]"

    def _table(self, element: Any) -> None:
        rows: list[list[Cell]] = []
        starts = [0]  # rows that begin a page
        marked = 0
        above: dict[int, str] = {}
        first_cell = None
        for row in _inside(element, f"{_W}tr"):
            properties = row.find(f"{_W}trPr")
            if _is_on(_child(properties, "tblHeader")) and marked == len(rows):
                marked += 1
            if rows and next(row.iter(f"{_W}lastRenderedPageBreak"), None) is not None:
                starts.append(len(rows))
            cells = []
            column = 0
            for cell in _inside(row, f"{_W}tc"):
                first_cell = cell if first_cell is None else first_cell
                properties = cell.find(f"{_W}tcPr")
                span = _value(_child(properties, "gridSpan"))
                columns = min(int(span), 1000) if span.isdigit() and len(span) < 6 else 1
                merge = _child(properties, "vMerge")
                continues = merge is not None and _value(merge) != "restart"
                text = above.get(column, "") if continues else self._cell_text(cell)
                above[column] = text
                column += columns
                cells.append(Cell(text, columns))
            rows.append(cells)
        if first_cell is not None and all(len(cells) < 2 for cells in rows):
            for row in _inside(element, f"{_W}tr"):
                for cell in _inside(row, f"{_W}tc"):
                    self._blocks(cell)
            return
        whole = table(rows, marked or None)
        if len(starts) == 1:
            self._parts.append(whole)
            return
        for start, end in zip(starts, [*starts[1:], len(rows)], strict=True):
            if start == 0:
                self._parts.append(table(rows[:end], min(whole.head, end)))
                continue
            self._break()
            with_head = table(rows[: whole.head] + rows[start:end], whole.head)
            self._parts.append(Part("table", "\n".join(with_head.text.split("\n")[with_head.head :])))

    def _cell_text(self, cell: Any) -> str:
        """All text of a cell, that of tables and boxes in it too."""
        texts = []
        for paragraph in cell.iter(f"{_W}p"):
            boxes: list[Any] = []
            texts.append("".join(piece or "" for piece in self._inline(paragraph, boxes)))
        return one_line(" ".join(texts))


def _tree(part: Any) -> Any:
    """The XML of a part; python-docx keeps some parts as bytes. An absent part is an empty element."""
    from docx.oxml.parser import parse_xml

    if part is None:
        return parse_xml("<none/>")
    return part.element if hasattr(part, "element") else parse_xml(part.blob)


def _inside(element: Any, tag: str) -> Iterator[Any]:
    """Children of that kind, also those that a wrapper holds."""
    for child in element:
        if child.tag == tag:
            yield child
        elif child.tag in _WRAPPERS:
            yield from _inside(child, tag)


def _plain_text(element: Any) -> str:
    return one_line(
        "".join(_CHARACTERS.get(child.tag, child.text or "") for child in element.iter(f"{_W}t", *_CHARACTERS))
    )


def _child(element: Any, name: str) -> Any:
    return None if element is None else element.find(f"{_W}{name}")


def _value(element: Any) -> str:
    return "" if element is None else element.get(f"{_W}val") or ""


def _is_on(element: Any) -> bool:
    return element is not None and _value(element) not in ("0", "false", "off")
