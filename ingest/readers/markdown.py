"""Markdown (CommonMark with tables): its structure without its signs.

Headings, lists with their bullets and numbers, tables, quotes and code as paragraphs, HTML as the HTML reader sees it.
Links leave their text, pictures their alternative text. Lines of a paragraph are joined as Markdown joins them.
Front matter between --- lines gives the metadata, as far as it is plain `key: value`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ingest.parsed import Parsed
from ingest.readers.decoding import read_text
from ingest.readers.html import html_parts
from ingest.readers.tables import Cell, table
from ingest.readers.writing import Part, write_pages

if TYPE_CHECKING:
    from markdown_it.token import Token

_KEYS = {
    "title": "Title", "author": "Author", "authors": "Author", "date": "CreationDate", "created": "CreationDate",
    "updated": "ModDate", "modified": "ModDate", "lastmod": "ModDate", "description": "Subject", "subject": "Subject",
    "summary": "Subject", "lang": "Language", "language": "Language",
}  # fmt: skip
_ENTRY = re.compile(r"([A-Za-z_-]{1,40})\s?:\s+(\S.*)")
_BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)


def read(path: Path, max_pages: int) -> Parsed:
    text, faults = read_text(path)
    text = text.replace("\r\n", "\n").replace("\r", "\n").lstrip("\ufeff")
    metadata, text = _front_matter(text)
    return Parsed("", metadata, write_pages(_parts(text), "markdown", max_pages), faults)


def _front_matter(text: str) -> tuple[dict[str, str], str]:
    """Metadata and the text below it. What is no plain entry stays unread; without an end mark all is text."""
    if not text.startswith("---\n"):
        return {}, text
    end = re.compile(r"^(?:---|\.\.\.)[ \t]*$", re.MULTILINE).search(text, 4)
    head = text[4 : end.start()] if end else ""
    entries = [match for line in head.split("\n") if (match := _ENTRY.fullmatch(line.rstrip()))]
    if end is None or not entries:
        return {}, text
    metadata = {
        _KEYS[key]: entry.group(2).strip("\"'[] ") for entry in entries if (key := entry.group(1).lower()) in _KEYS
    }
    return metadata, text[end.end() :]


def _parts(text: str) -> Iterator[Part]:
    from markdown_it import MarkdownIt

    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    markers: list[list[str]] = []  # an open list: [the marker its next text gets, or blanks]
    level = 0
    rows: list[list[Cell]] = []
    for token in tokens:
        match token.type:
            case "heading_open":
                level = int(token.tag[1])
            case "heading_close":
                level = 0
            case "bullet_list_open" | "ordered_list_open":
                markers.append([""])
            case "bullet_list_close" | "ordered_list_close":
                markers.pop()
            case "list_item_open":
                markers[-1][0] = f"{token.info}{token.markup} " if token.info else f"{token.markup} "
            case "table_open":
                rows = []
            case "tr_open":
                rows.append([])
            case "th_open" | "td_open":
                rows[-1].append(Cell("", header=token.tag == "th"))
            case "table_close":
                yield table(rows)
                rows = []
            case "inline" if rows and rows[-1]:
                rows[-1][-1] = Cell(_inline(token.children or []), header=rows[-1][-1].header)
            case "inline":
                yield _text_part(_inline(token.children or []), level, markers)
            case "fence" | "code_block":
                yield Part("paragraph", token.content)
            case "html_block":
                yield from html_parts(token.content)[0]
            case _:
                pass


def _text_part(text: str, level: int, markers: list[list[str]]) -> Part:
    if level:
        return Part("heading", text, level)
    if not markers:
        return Part("paragraph", text)
    marker = markers[-1][0] or "  "
    markers[-1][0] = ""
    return Part("list", "  " * (len(markers) - 1) + marker + " ".join(text.split()))


def _inline(children: Sequence[Token]) -> str:
    """The text that shows. Inline HTML leaves no trace but its line breaks."""
    pieces = []
    for child in children:
        if child.type in ("text", "code_inline"):
            pieces.append(child.content)
        elif child.type == "image":
            pieces.append(_inline(child.children or []))
        elif child.type == "softbreak":
            pieces.append(" ")
        elif child.type == "hardbreak" or (child.type == "html_inline" and _BREAK.fullmatch(child.content)):
            pieces.append("\n")
    return "".join(pieces)
