"""Furniture: running headers, footers and page numbers, known by coming back on other pages. Linear, by hashing.

A line is furniture only if what stands between it and the page's edge is, and if the same words (digits folded) stand
at the same height on enough pages, close to each other; and white space parts the last such line from the rest. Knows
nothing of columns, tables or blocks: what a long table repeats under the page's edge, its columns' names or its bold
title, stays in the body.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from ingest.layout.lines import Line

_DEPTH = 4  # lines from the edge that may be furniture
_SHIFT = 14.0  # points by which the same line may stand higher or lower on another page
_TIGHT = 3.0  # points by which what stands at one place may differ
_BRIEF = 12  # words
_MARGIN = 0.12  # share of the page's height
_USUAL = 0.6  # share of all pages
_ENOUGH = 5  # pages
_DENSE = 0.35  # share of the pages from the first to the last that must have it (one side of a sheet: nearly 1/2)
_DIGITS = re.compile(r"\d{1,9}")
_WORDLESS = re.compile(r"[\W_]+")
_PAGE = "page|seite|página|pagina|side|sida|str|стр|pg|p|s"
_NUMBER = re.compile(rf"(?i)^\W{{0,9}}(?:(?:{_PAGE})\W{{0,3}})?(\d{{1,4}}|[ivxlc]{{1,7}})\W{{0,9}}$")
_OF = re.compile(
    rf"(?i)^\W{{0,9}}(?:{_PAGE})\W{{0,3}}\d{{1,4}}\W{{0,3}}(?:of|von|de|di|sur|av|/)\W{{0,3}}\d{{1,4}}\W{{0,9}}$"
)


@dataclass(frozen=True, slots=True)
class Edge:
    """A line near a page's edge. ``depth`` counts from the edge (0 is outermost); ``away`` is in points from it.

    ``keys`` are its parts (between wide gaps), folded; ``parted`` tells that white space lies between it and the rest,
    ``near`` that it lies in the margin.
    """

    page: int
    depth: int
    away: float
    parted: bool
    line: Line
    keys: tuple[str, ...]
    foot: bool
    near: bool


def find_furniture(pages: Sequence[tuple[Sequence[Line], float]]) -> list[tuple[int, int]]:
    """How many of a page's lines are its header and how many its footer, for each page.

    ``pages`` are visual lines from the top down and the page's height in points.
    """
    heads = _repeated([_edge_lines(n, lines, height, foot=False) for n, (lines, height) in enumerate(pages)])
    feet = _repeated([_edge_lines(n, lines, height, foot=True) for n, (lines, height) in enumerate(pages)])
    found = []
    for head, foot, (lines, _) in zip(heads, feet, pages, strict=True):
        found.append((head, foot) if head + foot < len(lines) else (0, min(foot, max(len(lines) - 1, 0))))
    return found


def _edge_lines(page: int, lines: Sequence[Line], height: float, foot: bool) -> list[Edge]:
    """The lines nearest to the top or to the bottom of a page (its height in points), the outermost first."""
    inward = lines[: -_DEPTH - 2 : -1] if foot else lines[: _DEPTH + 1]
    edges: list[Edge] = []
    for depth, line in enumerate(inward[:_DEPTH]):
        away = height - line.bottom if foot else line.top
        following = inward[depth + 1] if depth + 1 < len(inward) else None
        gap = 99.0 if following is None else (line.top - following.bottom if foot else following.top - line.bottom)
        edges.append(Edge(page, depth, away, gap > 0.5 * line.height, line, _keys(line), foot, away < _MARGIN * height))
    return edges


def _keys(line: Line) -> tuple[str, ...]:
    """The parts of a line, which stand at its left, middle and right, in a form that comes back on other pages."""
    parts = [[line.words[0].text]]
    for last, word in zip(line.words, line.words[1:], strict=False):
        if word.x0 - last.x1 > 2 * line.height:
            parts.append([])
        parts[-1].append(word.text)
    return tuple(_WORDLESS.sub(" ", _DIGITS.sub("0", " ".join(part).casefold())).strip() for part in parts)


def _repeated(pages: Sequence[Sequence[Edge]]) -> list[int]:
    """For each page, how many of its outermost lines come back on other pages."""
    groups: dict[str, list[Edge]] = defaultdict(list)
    for edges in pages:
        for edge in edges:
            for key in set(edge.keys):
                groups[key].append(edge)
    places = {key: place for key, group in groups.items() if (place := _place(group, len(pages))) is not None}
    parted = {key for key in places if _is_parted(groups[key], len(pages))}
    usual = {key for key in places if len({edge.page for edge in groups[key]}) >= _USUAL * len(pages)}
    numbers = _numbers([edge for edges in pages for edge in edges], len(pages))
    counts = []
    for edges in pages:
        count = 0
        while count < len(edges) and (
            (_comes_back(edges[count], places) and not _is_content(edges[count], parted, usual))
            or (edges[count].page, count) in numbers
        ):
            count += 1
        while count and not (_ends_furniture(edges[count - 1], parted) or (edges[0].page, count - 1) in numbers):
            count -= 1
        counts.append(count)
    return counts


def _is_content(edge: Edge, parted: Collection[str], usual: Collection[str]) -> bool:
    """Whether a line that comes back is rather what tables repeat: their columns' names, or a bold title."""
    if (len(edge.keys) > 1 or not edge.near) and not _ends_furniture(edge, parted):
        return True
    heavy = edge.depth > 0 and edge.line.bold and not edge.foot
    return heavy and not any(key in usual for key in edge.keys)


def _ends_furniture(edge: Edge, parted: Collection[str]) -> bool:
    """Whether the text of the page may begin behind the line."""
    return edge.parted or any(key in parted for key in edge.keys)


def _comes_back(edge: Edge, places: Mapping[str, tuple[float, float]]) -> bool:
    """Whether every part of the line stands where it does on other pages; numbers only beside words that do."""
    worded = [key for key in edge.keys if any(map(str.isalpha, key))]
    return bool(worded) and all(key in places and places[key][0] <= edge.away <= places[key][1] for key in worded)


def _place(group: Sequence[Edge], pages: int) -> tuple[float, float] | None:
    """How far (from, to) from the edge the same words stand on enough pages, None if they do not."""
    if len({edge.page for edge in group}) < 2 or not _counts_pages(group):
        return None
    away = median([edge.away for edge in group])
    near = [edge for edge in group if abs(edge.away - away) <= _SHIFT]
    numbers = {edge.page for edge in near}
    if pages < 3:
        short = all(len(edge.line.words) <= _BRIEF for edge in near)
        alike = all(_OF.match(edge.line.text) for edge in near) or (short and _spread(near) <= _TIGHT)
        return (away - _SHIFT, away + _SHIFT) if len(numbers) == 2 and alike else None
    facing = len({number % 2 for number in numbers}) == 1  # on left or on right pages only
    enough = len(numbers) >= (min(3, max(2, 0.3 * pages)) if facing else min(_ENOUGH, max(2, 0.6 * pages)))
    dense = len(numbers) >= _DENSE * (max(numbers, default=0) - min(numbers, default=0) + 1)
    if enough and dense:
        return away - _SHIFT, away + _SHIFT
    outermost = {edge.page for edge in group if edge.depth == 0}
    floats = len(outermost) >= 3 and len(outermost) >= 0.5 * pages
    return (-math.inf, math.inf) if floats else None


def _counts_pages(group: Sequence[Edge]) -> bool:
    """Whether the numbers of lines that are the same but for them stay, or grow with the page: no "Exhibit 31.2"."""
    texts = Counter([edge.line.text for edge in group])
    shifts = Counter([n for edge in group for n in {int(n) - edge.page for n in _DIGITS.findall(edge.line.text)}])
    most = max(0, *texts.values(), *shifts.values())
    return most > 0.3 * len(group) and most >= min(3, 0.6 * len(group))


def _is_parted(group: Sequence[Edge], pages: int) -> bool:
    """Whether white space lies behind the line on most pages, or it is of the kind that no body has."""
    parted = sum(edge.parted or (edge.depth == 0 and len(edge.line.words) <= 3) for edge in group)
    if 2 * parted >= len(group):
        return True
    everywhere = len({edge.page for edge in group}) >= max(3, 0.8 * pages)
    plain = group[0].foot or all(edge.depth == 0 and len(edge.keys) == 1 for edge in group)  # no columns' names
    return everywhere and plain and group[0].near and _spread(group) <= _TIGHT


def _spread(group: Sequence[Edge]) -> float:
    aways = [edge.away for edge in group]
    return max(aways) - min(aways)


def _numbers(edges: Sequence[Edge], pages: int) -> set[tuple[int, int]]:
    """Bare page numbers: numbers that grow with the page, on three pages or more (two of a short document)."""
    runs: dict[int, list[Edge]] = defaultdict(list)
    for edge in edges:
        found = _NUMBER.match(edge.line.text) if len(edge.line.words) <= 4 else None
        if found:
            runs[_value(found[1]) - edge.page].append(edge)
    out: set[tuple[int, int]] = set()
    for run in runs.values():
        if len({edge.page for edge in run}) >= (3 if pages > 5 else 2):
            out |= {(edge.page, edge.depth) for edge in run}
    return out


def _value(text: str) -> int:
    if text.isdecimal():
        return int(text)
    values = [{"i": 1, "v": 5, "x": 10, "l": 50, "c": 100}.get(char, 0) for char in text.lower()]
    return sum(-a if a < b else a for a, b in zip(values, [*values[1:], 0], strict=True)) + 100_000
