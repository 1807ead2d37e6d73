"""From parts in reading order to pages: the text that is kept, and the blocks that cover it.

Readers of files that are no PDFs see headings, items, tables and page breaks, but no places on paper. They give parts;
this module alone writes them as text, so that its promises hold for all of them: blocks are sorted, do not overlap,
are separated by a blank line, hold no blank line, and together hold everything but white space. It knows no format.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import chain, groupby

from fieldguide.types import Block, BlockKind
from ingest.parsed import NotRead, ParsedPage

PAGE_CHARACTERS = 3_000
"""Where a file knows no pages, one ends with the paragraph that reaches so many characters."""

MAX_CHARACTERS = 50_000_000
"""A document with more text than this is too large."""

_LONGEST_PAGE = 4 * PAGE_CHARACTERS  # no printed page holds more; what stands between two page breaks may
_DROPPED = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\xad\u200b\u2060\ufeff\ufffe\uffff\ud800-\udfff]")
_LINE_END = re.compile("\r\n?|[\x85\u2028\u2029]")
_SPACE = re.compile("[\xa0\u2007\u202f]")


@dataclass(frozen=True, slots=True)
class Part:
    """A heading (``level`` from 1), a paragraph, a list's item, a table (its first ``head`` lines are header rows) …

    ``text`` may hold several lines. Neighbouring "list" parts become one block.
    """

    kind: BlockKind
    text: str
    level: int = 0
    head: int = 0


def write_pages(parts: Iterable[Part | None], reader: str, max_pages: int) -> list[ParsedPage]:
    """A document's pages: None among the parts is a page break.

    Without breaks, and where more stands between two breaks than a page can hold, pages end with a part at about
    PAGE_CHARACTERS (longer paragraphs are cut at a line's end), so that a citation's page points somewhere useful.
    Raises NotRead ("too large") above ``max_pages`` pages or MAX_CHARACTERS characters.
    """
    stretches: list[list[Part]] = [[]]
    characters = 0
    for part in parts:
        if part is None:
            stretches.append([])
            continue
        characters += len(part.text)
        if characters > MAX_CHARACTERS:
            raise too_much_text()
        if part.text.strip():
            stretches[-1].append(part)
    while len(stretches) > 1 and not stretches[-1]:
        stretches.pop()
    longest = PAGE_CHARACTERS if len(stretches) == 1 else _LONGEST_PAGE
    pages = []
    for stretch in stretches:
        fits = sum(len(part.text) for part in stretch) <= longest
        pages += [stretch] if fits else list(_cut(stretch))
    if len(pages) > max_pages:
        raise NotRead("too large", f"it has {len(pages)} pages, more than ingest.max_pages = {max_pages}")
    return [write_page(page, str(number), reader) for number, page in enumerate(pages, 1)]


def write_page(parts: Iterable[Part], label: str, reader: str) -> ParsedPage:
    """The parts as one page. Parts without any text vanish."""
    pieces: list[str] = []
    blocks: list[Block] = []
    length = 0
    for part in _merged(parts):
        text = tidy(part.text)
        if not text:
            continue
        start = length + 2 if blocks else 0
        length = start + len(text)
        head = start + len("\n".join(text.split("\n", part.head)[: part.head])) if part.kind == "table" else 0
        blocks.append(Block(part.kind, start, length, part.level, head))
        pieces.append(text)
    return ParsedPage(label, "\n\n".join(pieces), tuple(blocks), reader)


def _merged(parts: Iterable[Part]) -> Iterator[Part]:
    """The parts, each run of "list" parts as one."""
    for is_list, run in groupby(parts, lambda part: part.kind == "list"):
        if is_list:
            yield Part("list", "\n".join(part.text for part in run))
        else:
            yield from run


def tidy(text: str) -> str:
    """Text as it is kept: Unix line ends, plain spaces, no control or invisible characters, no blank lines, no
    common indentation, no space at a line's end. Tidying twice changes nothing."""
    text = _SPACE.sub(" ", _DROPPED.sub("", _LINE_END.sub("\n", text)))
    lines = [line.rstrip() for line in text.expandtabs(4).split("\n")]
    lines = [line for line in lines if line]
    if len(lines) > 1:
        lines = textwrap.dedent("\n".join(lines)).split("\n")
    return "\n".join(lines).strip()


def one_line(text: str) -> str:
    """The text with every run of white space as one space."""
    return " ".join(text.split())


def too_much_text() -> NotRead:
    return NotRead("too large", f"it holds more than {MAX_CHARACTERS:,} characters of text")


def _cut(parts: list[Part]) -> Iterator[list[Part]]:
    """Pages of about PAGE_CHARACTERS; a heading goes with what follows it."""
    page: list[Part] = []
    length = 0
    for part in chain.from_iterable(map(_pieces, parts)):
        if length >= PAGE_CHARACTERS:
            last = len(page)
            while last and page[last - 1].kind == "heading":
                last -= 1
            last = last or len(page)
            yield page[:last]
            page = page[last:]
            length = sum(len(kept.text) for kept in page)
        page.append(part)
        length += len(part.text)
    if page:
        yield page


def _pieces(part: Part) -> Iterator[Part]:
    """The part itself, or, if it is prose longer than a page, pieces of it that end at a line's or a word's end."""
    if part.kind not in ("paragraph", "list") or len(part.text) <= 2 * PAGE_CHARACTERS:
        yield part
        return
    text = tidy(part.text)
    start = 0
    while len(text) - start > PAGE_CHARACTERS:
        limit = start + PAGE_CHARACTERS
        end = text.rfind("\n", start + 1, limit) + 1 or text.rfind(" ", start + 1, limit) + 1 or limit
        yield replace(part, text=text[start:end])
        start = end
    yield replace(part, text=text[start:])
