"""Pages to chunks that know their page spans, the headings they stand under, and a line that names their place.

The main flow of cutting: blocks to pieces (``ingest.chunk_units``), pieces to chunks (``ingest.chunk_pack``), or the
body's text to one of LangChain's splitters. Pure: the same pages give the same chunks. Knows nothing of files.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fieldguide.settings import Ingest
from fieldguide.types import PAGE_BREAK, Chunk, Page, content_hash
from ingest.chunk_pack import pack
from ingest.chunk_units import CountTokens, Range, Text, Unit, body_units, cut_units
from ingest.qa.rule_forms import read_form
from ingest.splitters import split

CHUNKER_VERSION = "3"
"""Changes whenever the same pages and settings give other chunks."""

CONTEXT_TOKENS = 34
"""Longest context line, so that a chunk with its line stays within an embedder's window."""

_DOCUMENT_TOKENS = 26
_CAPTION_TOKENS = 12
_CONTEXT_FIELDS = 5
_CONTEXT_VALUE = 48
_TITLE = 160
_COMMON, _FEW = 0.8, 4  # share and least number of chunks under a heading that tells nothing
_HEAD = 1200


@dataclass(frozen=True, slots=True)
class _Draft:
    """A chunk's ranges of the document's text, the headings open at its first text, and the caption of its table."""

    ranges: tuple[Range, ...]
    heading: tuple[str, ...]
    caption: str = ""


def settings_key(settings: Ingest) -> str:
    """The settings that decide chunks."""
    return f"{settings.strategy}/{settings.chunk_tokens}/{settings.chunk_overlap}/{settings.context_line}"


def chunk_pages(
    pages: Sequence[Page], settings: Ingest, count_tokens: CountTokens, title: str = "", place: str = ""
) -> list[Chunk]:
    """Cut the body of a document's pages (in order) into chunks of at most ``chunk_tokens`` tokens of text.

    ``Chunk.text`` is exactly the texts of the chunk's spans joined by PAGE_BREAK; every character of the body but
    white space is in some chunk, none of a header or footer is in any. ``title`` is the document's; ``place`` names
    the document better than its first page and title do, if the caller knows something ("": does not). The context
    line has at most CONTEXT_TOKENS tokens beside.
    """
    if not pages:
        return []
    text = Text.of(pages)
    units = body_units(pages, text)
    if settings.strategy == "structure":
        drafts = _by_structure(text, units, settings, count_tokens)
    else:
        drafts = _by_splitter(text, units, settings, count_tokens)
    lines = [""] * len(drafts)
    if settings.context_line:
        document = place or document_line(title, pages[0].text)
        lines = _context_lines(document, drafts, count_tokens)
    return [_chunk(pages[0].document, text, draft, line) for draft, line in zip(drafts, lines, strict=True)]


def _by_structure(text: Text, units: Sequence[Unit], settings: Ingest, count_tokens: CountTokens) -> list[_Draft]:
    pieces = cut_units(text, units, settings.chunk_tokens, count_tokens)
    introduces = [text.text[unit.ranges[-1][1] - 1] == ":" for unit in units]
    drafts = []
    for packed in pack(pieces, units, introduces, settings.chunk_tokens, settings.chunk_overlap):
        members = range(packed.first, packed.last)
        ranges = [one for n in (*packed.lead, *members) for one in pieces[n].ranges]
        first = pieces[next((n for n in members if units[pieces[n].unit].kind != "heading"), packed.last - 1)].unit
        begins_within = packed.first > 0 and pieces[packed.first - 1].unit == first
        caption = _caption(text, units, first) if begins_within and units[first].kind == "table" else ""
        drafts.append(_Draft(tuple(ranges), units[first].path, caption))
    return drafts


def _caption(text: Text, units: Sequence[Unit], table: int) -> str:
    """The caption directly before a table, else directly behind it."""
    for n in (table - 1, table + 1):
        if 0 <= n < len(units) and units[n].kind == "caption":
            return text.flat(units[n].ranges)
    return ""


def _by_splitter(text: Text, units: Sequence[Unit], settings: Ingest, count_tokens: CountTokens) -> list[_Draft]:
    if settings.strategy == "structure":
        raise ValueError("structure is no splitter")
    ranges = [one for unit in units for one in unit.ranges]
    paths = [unit.path for unit in units for _ in unit.ranges]
    starts, offset = [], 0
    for start, end in ranges:
        starts.append(offset)
        offset += end - start + len(PAGE_BREAK)
    body = PAGE_BREAK.join(text.text[start:end] for start, end in ranges)
    drafts = []
    for start, end in split(body, settings.strategy, settings.chunk_tokens, settings.chunk_overlap, count_tokens):
        first = n = bisect_right(starts, start) - 1
        held = []
        while n < len(ranges) and starts[n] < end:
            low, high = ranges[n]
            shift = low - starts[n]
            if max(start + shift, low) < min(end + shift, high):
                held.append((max(start + shift, low), min(end + shift, high)))
            n += 1
        drafts.append(_Draft(tuple(held), paths[first]))
    return drafts


def _chunk(document: str, text: Text, draft: _Draft, line: str) -> Chunk:
    spans, body = text.cut(draft.ranges)
    key = [document, line, body, *(f"{s.page}:{s.start}:{s.end}" for s in spans)]
    return Chunk(content_hash(*key), document, spans, body, draft.heading, line)


def document_line(title: str, first_page: str) -> str:
    """A line that tells the document from its neighbours: the values of the form fields at its head, else its title."""
    head = first_page[:_HEAD]
    values: list[str] = []
    for field in read_form(head).fields:
        value = " ".join(head[slice(*field.value)].split())
        if value and len(value) <= _CONTEXT_VALUE and value not in values:
            values.append(value)
    if len(values) >= 3:
        return "; ".join(values[:_CONTEXT_FIELDS])
    return " ".join(title.split())[:_TITLE]


def _context_lines(document: str, drafts: Sequence[_Draft], count_tokens: CountTokens) -> list[str]:
    """The line of each draft; their parts are counted in one call.

    A heading that nearly all chunks stand under, such as the document's title, tells none from another: it is left out.
    """
    parts = list(dict.fromkeys([document, *(part for d in drafts for part in (*d.heading, d.caption))]))
    tokens = dict(zip(parts, count_tokens(parts), strict=True))
    under = Counter(title for draft in drafts for title in set(draft.heading))
    common = {title for title, number in under.items() if number > max(_COMMON * len(drafts), _FEW)}
    headings = [tuple(title for title in draft.heading if title not in common) for draft in drafts]
    places = dict.fromkeys((heading, draft.caption) for heading, draft in zip(headings, drafts, strict=True))
    made = {place: context_line(document, *place, tokens) for place in places}
    return [made[heading, draft.caption] for heading, draft in zip(headings, drafts, strict=True)]


def context_line(document: str, heading: Sequence[str], caption: str, tokens: Mapping[str, int]) -> str:
    """Document, headings and caption with " > " between, in CONTEXT_TOKENS tokens; ``tokens`` has each one's length.

    Middle headings go first, then the outermost; what is still too long is cut behind a word.
    """
    titles = [title for title in heading if title.casefold() != document.casefold()]
    room = CONTEXT_TOKENS - min(tokens[document], _DOCUMENT_TOKENS) - min(tokens[caption], _CAPTION_TOKENS)
    while len(titles) > 1 and sum(tokens[title] + 1 for title in titles) > room:
        titles.pop(max(len(titles) - 2, 0))
    parts = []
    left = CONTEXT_TOKENS
    for part, kept_free in [
        (caption, CONTEXT_TOKENS - _CAPTION_TOKENS),
        *((title, min(tokens[document], _DOCUMENT_TOKENS)) for title in reversed(titles)),
        (document, 0),
    ]:
        shown = _first_words(part, tokens[part], left - kept_free)
        if shown:
            left -= min(tokens[part], left - kept_free) + 1
            parts.append(shown)
    return " > ".join(reversed(parts))


def _first_words(text: str, tokens: int, most: int) -> str:
    """The text, or as many of its first words as have about ``most`` of its tokens."""
    if tokens <= most:
        return text
    words = text.split()
    return " ".join(words[: max(0, len(words) * (most - 1) // tokens)]) + "…" if most > 1 else ""
