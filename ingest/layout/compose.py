"""The main flow of layout: raw pages → text in reading order with its blocks. Pure; never fails on odd geometry.

    words → segments and lines → furniture off → columns → tables, blocks → headings → text with blocks

What geometry cannot order (boxes that are no boxes, mostly turned text) stays in the parser's own order.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from fieldguide.types import Block
from ingest.layout.blocks import Draft, split_blocks
from ingest.layout.columns import regions
from ingest.layout.furniture import find_furniture
from ingest.layout.headings import Fonts, Titles, mark_headings, rank_levels
from ingest.layout.lines import Line, in_turn, join_segments, segment
from ingest.layout.tables import find_tables
from ingest.layout.text import clean, clean_rows, join_lines, keep_mark, vocabulary
from ingest.layout.words import OutlineEntry, RawPage, Word
from ingest.parsed import ParsedPage

_FARTHEST = 100_000.0  # points; a coordinate beyond it is no place on a page
_INTERLOCKED = 0.15  # share of lines
_CAPTION_DISTANCE = 2.5  # line heights from a table to the caption below it


@dataclass(frozen=True, slots=True)
class _Sight:
    """A page as it is seen: its segments in the parser's order, its visual lines, and the words that are turned.

    ``plain`` are the lines of a page without usable geometry; it has nothing else.
    """

    segments: tuple[Line, ...] = ()
    lines: tuple[Line, ...] = ()
    turned: tuple[Line, ...] = ()
    plain: tuple[str, ...] = ()


def lay_out(pages: Sequence[RawPage], outline: Sequence[OutlineEntry] = ()) -> list[ParsedPage]:
    """The pages of one document as text in reading order with blocks, one for each raw page.

    ``outline`` are the file's bookmarks. Time is about linear in the number of words; no input raises: where anything
    unforeseen happens, pages are laid out alone, and the one that fails alone is its words in the parser's order.
    """
    try:
        return _lay_out(pages, outline)
    except Exception:  # deliberately broad: no page that layout does not understand may cost the file
        return [_in_words(pages[0])] if len(pages) == 1 else [lay_out([page], outline)[0] for page in pages]


def _lay_out(pages: Sequence[RawPage], outline: Sequence[OutlineEntry]) -> list[ParsedPage]:
    sights = [_see(page) for page in pages]
    furniture = find_furniture([(sight.lines, page.height) for sight, page in zip(sights, pages, strict=True)])
    fonts = Fonts.of(line for sight in sights for line in sight.lines)
    titles = Titles(outline)
    known = vocabulary([word.text for sight in sights for line in sight.lines for word in line.words])
    drafts = [_drafts(*each, fonts, titles) for each in zip(sights, pages, furniture, strict=True)]
    return [
        _written(page, sight, found, known)
        for page, sight, found in zip(pages, sights, rank_levels(drafts), strict=True)
    ]


def _in_words(page: RawPage) -> ParsedPage:
    """The page as one paragraph: its words in the parser's order."""
    text = clean(" ".join([word.text for word in page.words]) or page.text)
    blocks = (Block("paragraph", 0, len(text)),) if text else ()
    return ParsedPage(page.label, text, blocks, page.reader, page.confidence)


def _see(page: RawPage) -> _Sight:
    words = [kept for word in page.words if (kept := _kept(word)) is not None]
    if not words:
        return _Sight(plain=tuple(_text_lines(page.text)))
    sane = [fixed for word in words if (fixed := _sane(word)) is not None]
    upright, turned = _parted_by_turn(sane)
    if len(sane) < len(words) or 2 * len(upright) < len(words):
        return _Sight(plain=tuple(_in_parser_order(words, page.text)))
    segments = tuple(segment(upright))
    return _Sight(segments, tuple(join_segments(segments)), _turned_lines(turned))


def _drafts(sight: _Sight, page: RawPage, furniture: tuple[int, int], fonts: Fonts, titles: Titles) -> list[Draft]:
    """The page's blocks in reading order: header, body, turned text, footer."""
    if not sight.lines:
        return []
    top, end = furniture[0], len(sight.lines) - furniture[1]
    header, footer = sight.lines[:top], sight.lines[end:]
    taken = {id(word) for line in header + footer for word in line.words}
    body = [part for part in sight.segments if id(part.words[0]) not in taken]
    drafts: list[Draft] = []
    lines = sight.lines[top:end]
    parts = regions(body, lines)
    for region in parts:
        drafts += _region_drafts(lines if len(parts) == 1 else join_segments(region), region, page, titles)
    drafts = mark_headings(drafts, fonts, titles, page.number)
    if sight.turned:
        drafts.append(Draft("paragraph", sight.turned))
    if header:
        drafts.insert(0, Draft("header", header))
    if footer:
        drafts.append(Draft("footer", footer))
    return drafts


def _region_drafts(lines: Sequence[Line], region: Sequence[Line], page: RawPage, titles: Titles) -> list[Draft]:
    tables = find_tables(lines, page.width)
    if not tables and _interlocked(lines):
        lines = in_turn(region)
    marked = titles.marked(page.number, lines)
    drafts: list[Draft] = []
    start = 0
    for table in tables:
        drafts += _split(lines, start, table.first, marked)
        drafts.append(Draft("table", tuple(lines[table.first : table.last]), rows=table.rows, head=table.head_rows))
        start = table.last
    drafts += _split(lines, start, len(lines), marked)
    return _captions_first(drafts)


def _interlocked(lines: Sequence[Line]) -> bool:
    """Whether many lines stand at half the height of others, as where a cell of two lines stands beside one of one."""
    clashes = sum([last.bottom - line.top > 0.3 * line.height for last, line in pairwise(lines)])
    return clashes > 2 and clashes > _INTERLOCKED * len(lines)


def _split(lines: Sequence[Line], start: int, end: int, marked: frozenset[int]) -> list[Draft]:
    return split_blocks(lines[start:end], frozenset(n - start for n in marked if start <= n < end))


def _captions_first(drafts: list[Draft]) -> list[Draft]:
    """A table's caption that stands right below it goes before it, unless it belongs to another table below."""
    for n, (draft, caption) in enumerate(pairwise(drafts)):
        if draft.kind != "table" or caption.kind != "caption" or (n and drafts[n - 1].kind == "caption"):
            continue
        gap = caption.lines[0].top - draft.lines[-1].bottom
        below = drafts[n + 2 : n + 3]
        if gap < _CAPTION_DISTANCE * caption.lines[0].height and not (below and below[0].kind == "table"):
            drafts[n], drafts[n + 1] = caption, draft
    return drafts


def _written(page: RawPage, sight: _Sight, drafts: Sequence[Draft], known: Collection[str]) -> ParsedPage:
    """The page's text, and its blocks as spans of it."""
    texts: list[str] = []
    blocks: list[Block] = []
    start = 0

    def add(text: str, draft: Draft, head: int = 0) -> None:
        nonlocal start
        if text:
            texts.append(text)
            blocks.append(Block(draft.kind, start, start + len(text), draft.level, head))
            start += len(text) + 2

    for lines in _paragraphs(sight.plain):
        add("\n".join(lines), Draft("paragraph", ()))
    for draft in drafts:
        if draft.kind == "table":
            rows = clean_rows(draft.rows)
            add("\n".join(rows), draft, start + len("\n".join(rows[: draft.head])))
        else:
            add(join_lines([[word.text for word in line.words] for line in draft.lines], known), draft)
    return ParsedPage(page.label, "\n\n".join(texts), tuple(blocks), page.reader, page.confidence)


def _paragraphs(lines: Sequence[str]) -> list[list[str]]:
    """Lines, parted at the empty ones."""
    out: list[list[str]] = [[]]
    for line in lines:
        if line:
            out[-1].append(line)
        elif out[-1]:
            out.append([])
    return [group for group in out if group]


def _text_lines(text: str) -> list[str]:
    return [clean(line.rstrip()).strip() for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n")]


def _in_parser_order(words: Sequence[Word], text: str) -> list[str]:
    """Lines of a page whose boxes say nothing: the parser's text if it has one, else its words."""
    lines = _text_lines(text)
    if "".join(lines).replace(" ", "") == "".join(clean(word.text) for word in words).replace(" ", ""):
        return lines
    out: list[list[str]] = [[clean(words[0].text)]]
    for last, word in pairwise(words):
        if word.top == last.top or word.bottom == last.bottom or word.x0 == last.x0:
            out[-1].append(clean(word.text))
        else:
            out.append([clean(word.text)])
    return [" ".join(filter(None, line)) for line in out]


def _kept(word: Word) -> Word | None:
    """The word with text that may stand on a page, None if nothing is left of it."""
    if word.text.isprintable() and " " not in word.text:
        return word if word.text else None
    text = keep_mark(word.text)
    return replace(word, text=text) if text else None


def _sane(word: Word) -> Word | None:
    """The word with a box that has a width and a height, None if its box is no place on a page."""
    x0, top, x1, bottom = word.x0, word.top, word.x1, word.bottom
    if not (-_FARTHEST < x0 < _FARTHEST and -_FARTHEST < x1 < _FARTHEST):
        return None
    if not (-_FARTHEST < top < _FARTHEST and -_FARTHEST < bottom < _FARTHEST):
        return None
    if x0 < x1 and top < bottom and 0 < word.size < _FARTHEST:
        return word
    size = word.size if 0 < word.size < _FARTHEST else max(abs(bottom - top), 1.0)
    x0, x1 = min(x0, x1), max(x0, x1, min(x0, x1) + 0.1)
    top, bottom = (min(top, bottom), max(top, bottom)) if top != bottom else (bottom - size, bottom)
    return replace(word, x0=x0, top=top, x1=x1, bottom=bottom, size=size)


def _is_turned(word: Word) -> bool:
    return len(word.text) > 2 and word.bottom - word.top > 2.5 * (word.x1 - word.x0)


def _parted_by_turn(words: Sequence[Word]) -> tuple[list[Word], list[Word]]:
    """The upright words and the turned ones. A word too short to tell is turned where its neighbour in the same
    strip is."""
    turned = [_is_turned(word) for word in words]
    if not any(turned):
        return list(words), []
    for places in (range(1, len(words)), range(len(words) - 2, -1, -1)):
        step = 1 if places.step > 0 else -1
        for n in places:
            if not turned[n] and turned[n - step]:
                turned[n] = _shares_strip(words[n - step], words[n])
    both = list(zip(words, turned, strict=True))
    return [word for word, is_so in both if not is_so], [word for word, is_so in both if is_so]


def _shares_strip(turned: Word, word: Word) -> bool:
    """Whether the word continues the turned one's line, upwards or downwards."""
    width = turned.x1 - turned.x0
    apart = max(turned.top - word.bottom, word.top - turned.bottom)
    return abs(turned.x0 - word.x0) < 0.3 * width and abs(turned.x1 - word.x1) < 0.3 * width and 0 < apart < 1.5 * width


def _turned_lines(words: Sequence[Word]) -> tuple[Line, ...]:
    """Lines of turned words in the parser's order: a word that stands in the same strip follows on."""
    lines: list[list[Word]] = []
    for word in words:
        if lines and math.isclose(lines[-1][-1].x0, word.x0, abs_tol=(word.x1 - word.x0) / 2):
            lines[-1].append(word)
        else:
            lines.append([word])
    return tuple(Line(tuple(line)) for line in lines)
