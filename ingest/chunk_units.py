"""Pages to the pieces that chunks are made of: sentences, list items, table rows, lines of forms, headings.

Knows blocks and how long a piece may be; not which pieces make a chunk (see ``ingest.chunk_pack``). A document's text
is here its page texts joined by PAGE_BREAK, and all offsets are of that; no range runs over a page's end.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from fieldguide.align import lines, sentences
from fieldguide.types import PAGE_BREAK, Block, BlockKind, Page, Span
from ingest.qa.rule_forms import is_label

CountTokens = Callable[[Sequence[str]], list[int]]
"""Token counts of texts, in one fast call."""

Range = tuple[int, int]

_CHARACTERS = 16
_SMALLEST = 32
_HEADING = 120
_MARKS = 8
_STRETCH = 4000
_BLANK_LINE = re.compile(r"\n[^\S\n]*\n\s*")
_LABEL = re.compile(r"([^:\n]{1,60}):(?:\s|$)")
_ITEM = re.compile(r"(?:[•‣◦▪▫●○■□➢➤✓✔·*–—-]|\(?(?:\d{1,3}|[A-Za-z]|[ivxIVX]{1,5})[.)]|o)(?:\s|$)")
_WORD = re.compile(r"[^\s。！？；，、]+[。！？；，、]*|[。！？；，、]+")
_ENDS_SENTENCE = re.compile(r"[.!?:;。！？…][\"'”’)\]]*$")


@dataclass(frozen=True, slots=True)
class Text:
    """A document's text, and the number and start of each page in it."""

    text: str
    numbers: tuple[int, ...]
    starts: tuple[int, ...]

    @classmethod
    def of(cls, pages: Sequence[Page]) -> Text:
        starts, offset = [], 0
        for page in pages:
            starts.append(offset)
            offset += len(page.text) + len(PAGE_BREAK)
        return cls(PAGE_BREAK.join(page.text for page in pages), tuple(p.number for p in pages), tuple(starts))

    def cut(self, ranges: Sequence[Range]) -> tuple[tuple[Span, ...], str]:
        """The ranges as spans of pages, and their text; ranges of one page with only white space between are one."""
        found: list[tuple[int, int, int]] = []
        for start, end in ranges:
            page = bisect_right(self.starts, start) - 1
            if found and found[-1][0] == page and found[-1][2] <= start and self.is_blank(found[-1][2], start):
                found[-1] = (page, found[-1][1], end)
            else:
                found.append((page, start, end))
        spans = (Span(self.numbers[p], s - self.starts[p], e - self.starts[p]) for p, s, e in found)
        return tuple(spans), PAGE_BREAK.join(self.text[start:end] for _, start, end in found)

    def is_blank(self, start: int, end: int) -> bool:
        return start == end or self.text[start:end].isspace()

    def flat(self, ranges: Sequence[Range]) -> str:
        """The ranges' text with single spaces."""
        return " ".join(" ".join(self.text[start:end] for start, end in ranges).split())


@dataclass(frozen=True, slots=True)
class Unit:
    """A block of the body: its ranges (two or more where a paragraph goes on over a page's end) and its place.

    ``head`` is where a table's header rows end; ``named``: its rows carry their columns' names. ``section`` counts
    the runs of headings up to here; ``path`` holds the titles of the open headings, outermost first.
    """

    kind: BlockKind
    ranges: tuple[Range, ...]
    level: int = 0
    head: int = 0
    named: bool = False
    section: int = 0
    path: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Piece:
    """What is not cut further: its ranges, its unit's number, and its length.

    ``inner``: it begins within a sentence, an item or a row that was too long. ``limit`` is how long it may be.
    """

    ranges: tuple[Range, ...]
    unit: int
    limit: int
    tokens: int = 0
    inner: bool = False


def body_units(pages: Sequence[Page], text: Text) -> list[Unit]:
    """The blocks of the body in order, with their sections; a paragraph that a page's end cuts is one unit."""
    units: list[Unit] = []
    for page, offset in zip(pages, text.starts, strict=True):
        for n, unit in enumerate(_page_units(page, offset)):
            if n == 0 and units and _goes_on(text, units[-1], unit):
                units[-1] = replace(units[-1], ranges=units[-1].ranges + unit.ranges)
            else:
                units.append(unit)
    return list(_placed(text, units))


def _page_units(page: Page, offset: int) -> Iterator[Unit]:
    """Body blocks of a page; text that no block holds is paragraphs between blank lines."""
    at = 0
    for block in page.blocks:
        yield from _paragraphs(page.text, at, block.start, offset)
        at = block.end
        if block.kind not in ("header", "footer"):
            for start, end in _trim(page.text, block.start, block.end):
                named = block.kind == "table" and _names_columns(page.text, block)
                yield Unit(block.kind, ((offset + start, offset + end),), block.level, offset + block.head, named)
    yield from _paragraphs(page.text, at, len(page.text), offset)


def _names_columns(text: str, block: Block) -> bool:
    """Whether most rows of a table carry their columns' names: "Net sales | 2023: 14,694 | 2022: 14,544"."""
    rows = text[max(block.head, block.start) : block.end].split("\n")
    return sum(": " in row.partition(" | ")[2] for row in rows) * 2 > len(rows)


def _paragraphs(text: str, start: int, end: int, offset: int) -> Iterator[Unit]:
    for low, high in _between(text, start, end, _BLANK_LINE):
        yield Unit("paragraph", ((offset + low, offset + high),))


def _goes_on(text: Text, before: Unit, unit: Unit) -> bool:
    """Whether a page's first unit is the rest of the paragraph that the page before ended with."""
    if before.kind != "paragraph" or unit.kind != "paragraph":
        return False
    start, end = before.ranges[-1]
    return text.text[unit.ranges[0][0]].islower() and not _ENDS_SENTENCE.search(text.text[max(start, end - 5) : end])


def _placed(text: Text, units: Sequence[Unit]) -> Iterator[Unit]:
    """The units with section and path: a heading closes those of its level and below."""
    path: list[tuple[int, str]] = []
    section = 0
    after_heading = False
    for unit in units:
        if unit.kind == "heading":
            while path and path[-1][0] >= unit.level:
                path.pop()
            path.append((unit.level, _shortened(text.flat(unit.ranges))))
            section += not after_heading
        after_heading = unit.kind == "heading"
        yield replace(unit, section=section, path=tuple(title for _, title in path))


def _shortened(title: str) -> str:
    """At most 120 characters, cut between words."""
    return title if len(title) <= _HEADING else title[: _HEADING - 1].rsplit(" ", 1)[0] + "…"


def cut_units(text: Text, units: Sequence[Unit], budget: int, count_tokens: CountTokens) -> list[Piece]:
    """The pieces of all units, in order, each at most ``budget`` tokens (but for single characters).

    A piece too long is cut at cell borders, sentences, lines, words and at last in halves, whichever comes first.
    """
    pieces = [Piece(ranges, n, budget) for n, unit in enumerate(units) for ranges in _whole_pieces(text.text, unit)]
    pieces = _with_room_for_headings(_counted(text, pieces, count_tokens), units, budget)
    for finer in (_cells, _sentences, _lines, _words):
        pieces = _refined(text, pieces, units, finer, count_tokens)
    while any(piece.tokens > piece.limit and _length(piece) > 1 for piece in pieces):
        pieces = _refined(text, pieces, units, _halves, count_tokens)
    return _gathered(text, pieces, units, budget)


def weigh(texts: Sequence[str], count_tokens: CountTokens) -> list[int]:
    """Token counts, but at least one token for 16 characters: a tokeniser may call a page of dots one token."""
    return [max(n, -(-len(one) // _CHARACTERS)) for one, n in zip(texts, count_tokens(texts), strict=True)]


def _whole_pieces(text: str, unit: Unit) -> list[tuple[Range, ...]]:
    """Rows, items, lines of a form, or sentences of a unit; a sentence may run over a page's end."""
    if unit.kind in ("heading", "caption"):
        return [unit.ranges]
    if unit.kind == "table":
        return [(row,) for start, end in unit.ranges for row in _lines(text, start, end)]
    found: list[tuple[Range, ...]] = []
    for start, end in unit.ranges:
        cut = _items(text, start, end) if unit.kind == "list" else _form_lines(text, start, end)
        parts = [(one,) for one in cut or _sentences(text, start, end)]
        if found and parts and not _ENDS_SENTENCE.search(text[max(found[-1][-1][1] - 5, 0) : found[-1][-1][1]]):
            parts[0] = found.pop() + parts[0]  # type: ignore[assignment]
        found += parts
    return found


def _items(text: str, start: int, end: int) -> list[Range]:
    """A list's items: from each line with a mark to the next; all lines, if none has one."""
    return _from_marked(text, _lines(text, start, end), lambda line: bool(_ITEM.match(text, *line))) or _lines(
        text, start, end
    )


def _form_lines(text: str, start: int, end: int) -> list[Range]:
    """Lines that begin with a label, each with the lines that go on; none unless half of the lines do so."""
    found = _lines(text, start, end)
    labelled = {line[0] for line in found if (m := _LABEL.match(text, *line)) and is_label(m.group(1))}
    if len(found) < 2 or 2 * len(labelled) < len(found):
        return []
    return _from_marked(text, found, lambda line: line[0] in labelled)


def _from_marked(text: str, found: Sequence[Range], is_marked: Callable[[Range], bool]) -> list[Range]:
    """Each marked line with the lines up to the next. Lines before the first are by themselves; none marked: empty."""
    grouped: list[Range] = []
    seen = False
    for line in found:
        marked = is_marked(line)
        if seen and not marked:
            grouped[-1] = (grouped[-1][0], line[1])
        else:
            grouped.append(line)
        seen = seen or marked
    return grouped if seen else []


def _with_room_for_headings(pieces: Sequence[Piece], units: Sequence[Unit], budget: int) -> list[Piece]:
    """The first piece after headings may only be as long as leaves them room, up to half of the budget."""
    found, above = [], 0
    for piece in pieces:
        if units[piece.unit].kind == "heading":
            above += piece.tokens
        else:
            piece = replace(piece, limit=budget - above) if 2 * above <= budget else piece
            above = 0
        found.append(piece)
    return found


def _refined(
    text: Text,
    pieces: Sequence[Piece],
    units: Sequence[Unit],
    finer: Callable[[str, int, int], list[Range]],
    count_tokens: CountTokens,
) -> list[Piece]:
    """The pieces, those over their limit cut finer; their parts are counted in one call."""
    cut: list[list[Piece]] = []
    for piece in pieces:
        if piece.tokens <= piece.limit or (finer is _cells and units[piece.unit].kind != "table"):
            cut.append([piece])
            continue
        ranges = [part for start, end in piece.ranges for part in finer(text.text, start, end)]
        parts = [replace(piece, ranges=(one,), tokens=0, inner=piece.inner or n > 0) for n, one in enumerate(ranges)]
        cut.append(parts if len(parts) > 1 else [piece])
    counted = iter(_counted(text, [part for parts in cut if len(parts) > 1 for part in parts], count_tokens))
    return [next(counted) if len(parts) > 1 else part for parts in cut for part in parts]


def _counted(text: Text, pieces: Sequence[Piece], count_tokens: CountTokens) -> list[Piece]:
    texts = [PAGE_BREAK.join(text.text[start:end] for start, end in piece.ranges) for piece in pieces]
    weights = weigh(texts, count_tokens) if texts else []
    return [replace(piece, tokens=n) for piece, n in zip(pieces, weights, strict=True)]


def _length(piece: Piece) -> int:
    return sum(end - start for start, end in piece.ranges)


def _gathered(text: Text, pieces: Sequence[Piece], units: Sequence[Unit], budget: int) -> list[Piece]:
    """Neighbours within a unit joined up to 1/32 of the budget, so that a chunk never has very many pieces."""
    found: list[Piece] = []
    for piece in pieces:
        last = found[-1] if found else piece
        unit = units[piece.unit]
        small = last.tokens < budget // _SMALLEST and last.tokens + piece.tokens <= piece.limit
        heads = last.ranges[0][0] < unit.head <= piece.ranges[0][0]
        if last is not piece and last.unit == piece.unit and small and not heads:
            begin, (start, end) = last.ranges[-1], piece.ranges[0]
            if bisect_right(text.starts, begin[0]) == bisect_right(text.starts, start):
                ranges = (*last.ranges[:-1], (begin[0], end), *piece.ranges[1:])
                found[-1] = replace(last, ranges=ranges, tokens=last.tokens + piece.tokens)
                continue
        found.append(piece)
    return found


def _trim(text: str, start: int, end: int) -> list[Range]:
    """The range without the white space around it; nothing if there is nothing else."""
    part = text[start:end]
    low, high = len(part) - len(part.lstrip()), len(part.rstrip())
    return [(start + low, start + high)] if low < high else []


def _between(text: str, start: int, end: int, mark: re.Pattern[str]) -> Iterator[Range]:
    """What lies between the marks, trimmed."""
    for m in mark.finditer(text, start, end):
        yield from _trim(text, start, m.start())
        start = m.end()
    yield from _trim(text, start, end)


def _cells(text: str, start: int, end: int) -> list[Range]:
    """A row's cells, each with the border behind it."""
    found, at = [], start
    for m in re.compile(r" \|(?: |$)").finditer(text, start, end):
        found += _trim(text, at, m.end())
        at = m.end()
    return found + _trim(text, at, end)


def _sentences(text: str, start: int, end: int) -> list[Range]:
    """Sentences; a text too long for a paragraph is first cut into stretches, between words."""
    found: list[Range] = []
    while start < end:
        stop = end
        if end - start > _STRETCH:
            space = text.rfind(" ", start + 1, start + _STRETCH)
            stop = space if space > 0 else start + _STRETCH
        found += [(start + low, start + high) for low, high in sentences(text[start:stop])]
        start = stop
    return found


def _lines(text: str, start: int, end: int) -> list[Range]:
    return [(start + low, start + high) for low, high in lines(text[start:end])]


def _words(text: str, start: int, end: int) -> list[Range]:
    """Words; text without spaces also ends one behind a full stop or comma of Chinese and Japanese."""
    return [m.span() for m in _WORD.finditer(text, start, end)]


def _halves(text: str, start: int, end: int) -> list[Range]:
    """Two halves; a mark that combines with the letter before it stays with that letter."""
    half = (start + end) // 2
    whole = (n for n in range(half, min(half + _MARKS, end)) if unicodedata.category(text[n])[0] != "M")
    middle = next(whole, half)
    return [(start, middle), (middle, end)] if start < middle else [(start, end)]
