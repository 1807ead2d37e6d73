"""Lists in chunks: an introduction ("The following factors …:", or a heading) and its items, from their marks.

Knows marks, numbering and where a list is cut by a chunk's end; not what is asked about it (``ingest.qa.rule_lists``).
Only lists that are whole within one chunk are given; those with lists inside them are not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from fieldguide.align import sentences
from fieldguide.types import Chunk
from ingest.qa.drafts import Rejection
from ingest.qa.rule_reading import heading_name, readable_name
from ingest.qa.rule_table_rows import CELLS, OPEN_END

Range = tuple[int, int]

MOST_ITEMS = 8
_LONGEST_ITEM, _LONGEST_LIST = 40, 100  # words
_LINE = re.compile(r"[^\n]*\S[^\n]*")
_MARK = re.compile(
    r"[ \t]*(?:(?P<bullet>[•‣◦▪▫●○■□➢➤✓✔·*–—-])|(?P<step>(?:[Ss]tep|STEP)\s+\d{1,2}\s*[.:)–—-]?)"
    r"|\(?(?P<number>\d{1,2})[.)]|\(?(?P<roman>[ivx]{1,5})[.)]|\(?(?P<letter>[A-Za-z])[.)]|(?P<ring>o))[ \t]+(?=\S)"
)
_ROMAN = ("i", "ii", "iii", "iv", "v", "vi", "vii", "viii", "ix", "x")
_END = re.compile(r"(?:[\s;,.]|[;,]\s+(?:and|or)\s*$|\s(?:and|or)\s*$)+$")
_TERM = re.compile(r"(?P<term>[^\W\d_][^.:;–—]{1,60}?)\s*(?::|\.| [–—-])\s+\S")
_FURNITURE = re.compile(r"(?i)(?:page )?\d+(?: of \d+)?|table of contents")


@dataclass(frozen=True, slots=True)
class Items:
    """A list: its introduction, without a colon, and where its items stand in the chunk's text, without their marks.

    ``section`` is a heading that the introduction needs to be clear, the one above a heading that it repeats ("": no).
    ``titled``: the introduction is a heading. ``numbered``: its items have an order. ``terms``: the items are only
    the terms that the list's items begin with and go on to explain.
    """

    chunk: int
    intro: str
    section: str
    titled: bool
    numbered: bool
    terms: bool
    items: tuple[Range, ...]


@dataclass(frozen=True, slots=True)
class _Line:
    """A line with its mark's kind and number ("" and 0: none) and where its text begins behind the mark."""

    start: int
    end: int
    text_at: int
    mark: str = ""
    number: int = 0


def read_lists(chunks: Sequence[Chunk]) -> list[list[Items | Rejection]]:
    """The whole lists of each of one document's chunks, and the lists that are given up."""
    found = []
    for n, chunk in enumerate(chunks):
        after = chunks[n + 1] if n + 1 < len(chunks) else None
        found.append(list(_lists(n, chunk, after)))
    return found


def _lines(text: str) -> list[_Line]:
    lines = []
    for m in _LINE.finditer(text):
        mark = _MARK.match(text, m.start(), m.end())
        if not mark or CELLS in m.group():
            lines.append(_Line(m.start(), m.end(), m.start() + len(m.group()) - len(m.group().lstrip())))
            continue
        kind = mark.lastgroup or ""
        value = mark[kind]
        numbers = {
            "number": lambda v: int(v),
            "step": lambda v: int(re.sub(r"\D", "", v)),
            "roman": lambda v: _ROMAN.index(v) + 1 if v in _ROMAN else 0,
            "letter": lambda v: ord(v.casefold()) - ord("a") + 1,
        }
        number = numbers[kind](value) if kind in numbers else 0
        lines.append(_Line(m.start(), m.end(), mark.end(), value if kind == "bullet" else kind, number))
    return lines


def _lists(n: int, chunk: Chunk, after: Chunk | None) -> Iterator[Items | Rejection]:
    text, lines = chunk.text, _lines(chunk.text)
    i = 0
    while i < len(lines):
        if not lines[i].mark:
            stop = _semicolons(text, lines, i)
            if stop:
                yield _checked(n, chunk, after, lines, i, stop, list(range(i, stop)))
            i = stop or i + 1
            continue
        stop, firsts = _extent(text, lines, i)
        if len(firsts) > 1:
            yield _checked(n, chunk, after, lines, i, stop, firsts)
        i = stop


def _extent(text: str, lines: Sequence[_Line], first: int) -> tuple[int, list[int]]:
    """Where the list ends that begins at the line ``first``, and the lines at which its items begin."""
    firsts = [first]
    i = first + 1
    while i < len(lines):
        line = lines[i]
        blank = "\n" in text[lines[i - 1].end + 1 : line.start]
        if line.mark:
            firsts.append(i)
        elif CELLS in text[line.start : line.end] or (blank and not text[line.text_at].islower()):
            break
        i += 1
    return i, firsts


def _semicolons(text: str, lines: Sequence[_Line], first: int) -> int:
    """Where a list without marks ends: lines with ";" at their ends behind a colon. 0 if it is none."""
    if first == 0 or not text[: lines[first].start].rstrip().endswith(":"):
        return 0
    i = first
    while (
        i < len(lines)
        and not lines[i].mark
        and re.search(r";(?: and| or)?$", text[lines[i].start : lines[i].end].rstrip())
    ):
        i += 1
    if i - first < 2 or i == len(lines) or not text[lines[i].start : lines[i].end].rstrip().endswith("."):
        return 0
    return i + 1


def _checked(
    n: int, chunk: Chunk, after: Chunk | None, lines: Sequence[_Line], first: int, stop: int, firsts: list[int]
) -> Items | Rejection:
    """The list of the lines ``first`` to ``stop``, or why it is not usable."""
    text = chunk.text
    detail = " ".join(text[lines[first].start : lines[stop - 1].end].split())[:80]
    marks = [lines[i].mark for i in firsts]
    numbers = [lines[i].number for i in firsts]
    if first == 0:
        return Rejection("list begins elsewhere", detail)
    if len(set(marks)) > 1:
        return Rejection("list has lists within", detail)
    if numbers[0] and numbers != list(range(1, len(numbers) + 1)):
        return Rejection("list is not numbered from its start", detail)
    if stop == len(lines) and after is not None and _goes_on(text, after, lines[firsts[-1]]):
        return Rejection("list goes on elsewhere", detail)
    if lines[first - 1].mark:
        return Rejection("introduction is a footnote or an item", detail)
    intro, titled = _introduction(chunk, lines, first)
    if not intro:
        return Rejection("list has no introduction", detail)
    if len(firsts) > MOST_ITEMS:
        return Rejection("list is too long", detail)
    ends = [lines[i - 1].end for i in [*firsts[1:], stop]]
    ranges = [(lines[i].text_at, end) for i, end in zip(firsts, ends, strict=True)]
    items = [_trimmed(text, start, end) for start, end in [*ranges[:-1], _without_rest(text, ranges)]]
    terms = _terms(text, items)
    fault = "" if terms else _fault([" ".join(text[start:end].split()) for start, end in items], text, items)
    if fault:
        return Rejection(fault, detail)
    return Items(n, intro, _section(chunk, intro, titled), titled, bool(numbers[0]), bool(terms), tuple(terms or items))


def _goes_on(text: str, after: Chunk, last: _Line) -> bool:
    """Whether a list at a chunk's end may have more items, or more of its last item, in the next chunk."""
    start = after.text.lstrip()
    if _MARK.match(start) or start[:1].islower():
        return True
    return bool(re.search(r"(?:[;,:]|\b(?:and|or|of|the|to|in|for|with|by))$", text.rstrip())) or not last.end


def _introduction(chunk: Chunk, lines: Sequence[_Line], first: int) -> tuple[str, bool]:
    """The clause with a colon, or the heading, right before the list, and which of them it is; "" if there is none."""
    text = chunk.text
    begin = first - 1
    while begin > 0 and "\n" not in text[lines[begin - 1].end + 1 : lines[begin].start] and not lines[begin - 1].mark:
        begin -= 1
    start, end = lines[begin].start, lines[first - 1].end
    above = " ".join(text[start:end].split())
    heading = " ".join(chunk.heading[-1].split()) if chunk.heading else ""
    if heading and above.casefold() == heading.casefold() and not above.endswith(":"):
        return readable_name(heading), True
    if above.endswith(":"):
        low, high = sentences(text[start:end])[-1]
        return " ".join(text[start + low : start + high].split()).rstrip(" :"), False
    last = " ".join(text[lines[first - 1].start : end].split())
    if heading and last.rstrip(" :").casefold() == heading.rstrip(" :").casefold():
        return readable_name(heading), True
    return "", False


def _section(chunk: Chunk, intro: str, titled: bool) -> str:
    repeats = not titled and len(chunk.heading) > 1 and chunk.heading[-1].casefold() in intro.casefold()
    return heading_name(chunk.heading[:-1]) if repeats else ""


def _without_rest(text: str, ranges: Sequence[Range]) -> Range:
    """The last item without what begins on a new line behind its full stop, if the other items are no sentences."""
    start, end = ranges[-1]
    if any(re.search(r"[.?!]", text[low : high - 1]) for low, high in ranges[:-1]):
        return start, end
    stop = re.compile(r"(?<!\w\.\w)\.\s*\n").search(text, start, end)
    return start, stop.start() + 1 if stop else end


def _trimmed(text: str, start: int, end: int) -> Range:
    """An item without the mark at its end and the "and" before the last one."""
    return start, start + len(_END.sub("", text[start:end]))


def _terms(text: str, items: Sequence[Range]) -> list[Range]:
    """The terms that all items begin with and explain ("Voice services. We provide …"); [] if they do not."""
    found = []
    for start, end in items:
        m = _TERM.match(text, start, end)
        words = len(m["term"].split()) if m else 0
        if not m or words > 6 or len(text[start:end].split()) < words + 5 or not text[start].isupper():
            return []
        found.append(m.span("term"))
    return found


def _fault(said: Sequence[str], text: str, items: Sequence[Range]) -> str:
    """Why a list's items cannot be an answer."""
    if any(not re.search(r"[^\W\d_]{2}", item) or _FURNITURE.fullmatch(item) for item in said):
        return "item says nothing"
    if any(item.endswith("?") for item in said):
        return "items are questions"
    if any(
        item.endswith(":") or OPEN_END.search(item) or "…" in item or "...." in item or CELLS.strip() in item
        for item in said
    ):
        return "item is not whole"
    if len({item.casefold() for item in said}) < len(said):
        return "items are alike"
    lengths = [len(item.split()) for item in said]
    if max(lengths) > _LONGEST_ITEM or sum(lengths) > _LONGEST_LIST:
        return "answer too long"
    breaks = [bool(re.search(r"[.?!]\s+[A-Z]", item)) for item in said]
    if breaks[-1] and not any(breaks[:-1]):
        return "last item runs on"
    if any(item.count("(") != item.count(")") or re.search(r"\w- \w", item) for item in said):
        return "item is not whole"
    if any("; " in item for item in said):
        return "item holds a semicolon"
    return ""
