"""HTML: what a reader of the page would read, by its markup alone.

Headings, paragraphs, lists, tables and captions, in the order of the source. Left out as furniture: scripts, styles,
templates, navigation, asides, page footers, hidden elements, and controls. Style sheets are not applied and nothing is
fetched. Links leave their text, pictures their alternative text. A table that holds headings or another table lays out
a page: its content is read as if the table were not there. Parsed by libxml2 as events, so depth costs nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from ingest.parsed import NotRead, Parsed
from ingest.readers.decoding import read_text
from ingest.readers.tables import Cell, table
from ingest.readers.writing import Part, one_line, write_pages

_DECLARED = re.compile(rb"""(?:charset|encoding)\s{0,5}=\s{0,5}["']?([A-Za-z0-9_:.-]{2,40})""", re.IGNORECASE)
_FURNITURE = frozenset(
    {
        *("script", "style", "template", "noscript", "nav", "aside", "footer", "svg", "math", "iframe", "object"),
        *("embed", "select", "option", "button", "textarea", "audio", "video", "canvas", "datalist", "dialog", "map"),
    }
)
_NEVER_CLOSED = frozenset(
    {
        *("area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track"),
        "wbr",
    }
)
_INLINE = frozenset(
    {
        *("a", "abbr", "acronym", "b", "bdi", "bdo", "big", "cite", "code", "data", "del", "dfn", "em", "font", "i"),
        *("ins", "kbd", "label", "mark", "nobr", "q", "rp", "rt", "ruby", "s", "samp", "small", "span", "strike"),
        *("strong", "sub", "sup", "time", "tt", "u", "var", "wbr"),
    }
)
_HEADINGS = {f"h{n}": n for n in range(1, 7)}
_META = {
    "author": "Author", "dc.creator": "Author", "description": "Subject", "dc.description": "Subject",
    "dcterms.title": "Title", "date": "CreationDate", "dc.date": "CreationDate", "dcterms.created": "CreationDate",
    "dcterms.date": "CreationDate", "article:published_time": "CreationDate", "last-modified": "ModDate",
    "dcterms.modified": "ModDate", "article:modified_time": "ModDate", "content-language": "Language",
    "og:title": "Title",
}  # fmt: skip
_MAX_ITEM_DEPTH = 8


def read(path: Path, max_pages: int) -> Parsed:
    text, faults = read_text(path, _DECLARED)
    parts, metadata = html_parts(text)
    return Parsed("", metadata, write_pages(parts, "html", max_pages), faults)


def html_parts(text: str) -> tuple[list[Part], dict[str, str]]:
    """The parts of a page or of a piece of one, and the metadata that its head states."""
    from lxml import etree

    events = _Events()
    if text.strip():
        # An XML declaration would make libxml2 doubt the encoding that it is told.
        raw = re.sub(r"\A\s*<\?xml[^>]{0,200}>", "", text).encode("utf-8", "replace")
        parser = etree.HTMLParser(target=cast(Any, events), encoding="utf-8", huge_tree=True, no_network=True)
        try:
            parser.feed(raw)
            parser.close()
        except etree.LxmlError as error:
            raise NotRead("damaged", f"libxml2 cannot read it ({one_line(str(error))[:100]})") from None
    return events.parts, events.metadata


class _Table:
    """Rows of an open table; ``laid_out`` once it proves to be layout."""

    def __init__(self) -> None:
        self.rows: list[list[Cell]] = []
        self.cell: tuple[Mapping[str, str], bool] | None = None
        self.in_head = False
        self.laid_out = False


class _Events:
    """The parser's target: turns tags and text into parts as they come."""

    def __init__(self) -> None:
        self.parts: list[Part] = []
        self.metadata: dict[str, str] = {}
        self._text: list[str] = []  # of the part or cell that is open
        self._skipped: list[str] = []  # open elements, from the outermost piece of furniture inwards
        self._kind: list[tuple[str, int]] = []  # open headings and captions: (tag, level)
        self._lists: list[list[Any]] = []  # open lists: [tag, next number]
        self._marker = ""  # of the item whose text comes next
        self._preformatted = 0
        self._tables: list[_Table] = []
        self._in_title = False

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        if self._skipped:
            if tag not in _NEVER_CLOSED:
                self._skipped.append(tag)
            return
        if tag in _FURNITURE or "hidden" in attributes or attributes.get("role") == "navigation":
            if tag not in _NEVER_CLOSED:
                self._flush()
                self._skipped.append(tag)
            return
        if tag in _INLINE:
            return
        if tag == "br":
            self._text.append("\n")
        elif tag == "img":
            self._text.append(f" {attributes.get('alt', '')} ")
        elif tag == "meta":
            self._meta(attributes)
        elif tag == "html":
            self.metadata.update({"Language": attributes["lang"]} if attributes.get("lang") else {})
        elif tag == "title":
            self._flush()
            self._in_title = True
        elif tag in ("td", "th") and self._open_table():
            self._cell_start(tag, attributes)
        elif tag in ("tr", "thead", "tbody", "tfoot") and self._open_table():
            self._row_start(tag)
        else:
            self._block_start(tag, attributes)

    def end(self, tag: str) -> None:
        if tag in _NEVER_CLOSED:
            return
        if self._skipped:
            # libxml2 closes what the page forgot to close, so ends always match the innermost start.
            self._skipped.pop()
            return
        if tag in _INLINE:
            return
        if tag == "title" and self._in_title:
            self.metadata["Title"] = one_line("".join(self._text))
            self._text, self._in_title = [], False
        elif tag in ("td", "th") and self._open_table():
            self._cell_end()
        elif tag == "table" and self._tables:
            self._table_end()
        else:
            self._block_end(tag)

    def data(self, text: str) -> None:
        if not self._skipped:
            self._text.append(text if self._preformatted else re.sub(r"[ \t\r\n\f]+", " ", text))

    def comment(self, text: str) -> None:
        return None

    def pi(self, target: str, data: str | None = None) -> None:
        return None

    def close(self) -> None:
        while self._tables:
            self._table_end()
        self._flush()

    def _meta(self, attributes: Mapping[str, str]) -> None:
        name = attributes.get("name") or attributes.get("property") or attributes.get("http-equiv") or ""
        key = _META.get(name.lower())
        if key and attributes.get("content"):
            self.metadata.setdefault(key, attributes["content"])

    def _block_start(self, tag: str, attributes: Mapping[str, str]) -> None:
        opened = self._open_table()
        if opened and opened.cell and (tag in _HEADINGS or tag == "table"):
            self._lay_out(opened)
            opened = None
        if opened and opened.cell:
            self._text.append(" " if tag != "li" else " • ")
            return
        self._flush()
        if tag in _HEADINGS:
            self._kind.append((tag, _HEADINGS[tag]))
        elif tag in ("caption", "figcaption"):
            self._kind.append((tag, 0))
        elif tag in ("ul", "ol", "menu", "dir"):
            self._lists.append([tag, _number(attributes.get("start"), 1)])
        elif tag == "li":
            self._item_start(attributes)
        elif tag == "pre":
            self._preformatted += 1
        elif tag == "table":
            self._tables.append(_Table())

    def _block_end(self, tag: str) -> None:
        opened = self._open_table()
        if opened and opened.cell:
            self._text.append(" ")
            return
        self._flush()
        if self._kind and self._kind[-1][0] == tag:
            self._kind.pop()
        elif tag in ("ul", "ol", "menu", "dir") and self._lists:
            self._lists.pop()
        elif tag == "li":
            self._marker = ""
            if self._lists and self._lists[-1][0] == tag:
                self._lists.pop()
        elif tag == "pre" and self._preformatted:
            self._preformatted -= 1

    def _item_start(self, attributes: Mapping[str, str]) -> None:
        if not self._lists:
            self._lists.append(["li", 1])  # an item without its list, which ends with it
        innermost = self._lists[-1]
        if innermost[0] == "ol":
            innermost[1] = _number(attributes.get("value"), innermost[1])
            self._marker = f"{innermost[1]}. "
            innermost[1] += 1
        else:
            self._marker = "- "

    def _flush(self) -> None:
        """Ends the part whose text has been gathered."""
        lines = "".join(self._text).split("\n")
        self._text = []
        text = "\n".join(lines if self._preformatted else (one_line(line) for line in lines))
        if not text.strip():
            return
        if self._kind:
            level = self._kind[-1][1]
            self.parts.append(Part("heading" if level else "caption", one_line(text), level))
        elif self._lists and not self._preformatted:
            indent = "  " * min(len(self._lists) - 1, _MAX_ITEM_DEPTH)
            self.parts.append(Part("list", f"{indent}{self._marker or '  '}{one_line(text)}"))
            self._marker = ""
        else:
            self.parts.append(Part("paragraph", text))

    def _open_table(self) -> _Table | None:
        return self._tables[-1] if self._tables and not self._tables[-1].laid_out else None

    def _row_start(self, tag: str) -> None:
        opened = self._tables[-1]
        if opened.cell:
            self._cell_end()
        else:
            self._flush()  # text between rows, which browsers show above the table
        if tag == "tr":
            opened.rows.append([])
        else:
            opened.in_head = tag == "thead"

    def _cell_start(self, tag: str, attributes: Mapping[str, str]) -> None:
        opened = self._tables[-1]
        if opened.cell:
            self._cell_end()
        self._flush()
        opened.cell = attributes, tag == "th" or opened.in_head

    def _cell_end(self) -> None:
        opened = self._tables[-1]
        if not opened.cell:
            return
        attributes, header = opened.cell
        opened.cell = None
        columns, rows = (_number(attributes.get(name), 1) for name in ("colspan", "rowspan"))
        if not opened.rows:
            opened.rows.append([])
        opened.rows[-1].append(Cell(one_line("".join(self._text)), columns, rows or 65_534, header))
        self._text = []

    def _lay_out(self, opened: _Table) -> None:
        """The innermost table turns out to be layout: its cells so far are paragraphs, and so is what follows."""
        self.parts += [Part("paragraph", cell.text) for row in opened.rows for cell in row]
        opened.rows, opened.cell, opened.laid_out = [], None, True
        self._flush()

    def _table_end(self) -> None:
        opened = self._tables[-1]
        if opened.cell:
            self._cell_end()
        self._flush()
        if opened.rows:
            self.parts.append(table(opened.rows))
        self._tables.pop()


def _number(text: str | None, otherwise: int) -> int:
    text = (text or "").strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 6 else otherwise
