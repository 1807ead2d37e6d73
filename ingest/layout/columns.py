"""Reading order: segments to regions (columns and what stands between them), each to be read from the top down.

A recursive cut along gutters. A gutter is white space that several lines in a row leave free at one place; it parts
columns only where both sides are text and the parser met one side after the other (or, line by line, prose fills
both). So the rows of tables and forms ("Label: value   Label: value") stay whole. Knows nothing of kinds of blocks.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from ingest.layout.lines import Line, join_segments

_MOST = 4000  # segments on a page; beyond it columns are not looked for
_DEPTH = 6
_TRIED = 4  # gutters weighed at each step
_APART = 6.0  # points between two gutters at least
_LABEL = re.compile(r"^[^\s:][^:]{0,40}:(\s|$)")


@dataclass(frozen=True, slots=True)
class _Band:
    """Neighbouring segments: on both sides of a gutter if ``right`` holds any; otherwise not parted."""

    left: tuple[Line, ...]
    right: tuple[Line, ...] = ()


def regions(segments: Sequence[Line], lines: Sequence[Line]) -> list[list[Line]]:
    """The segments, which stand in the parser's order, as regions in reading order; a region's parts keep that order.

    ``lines`` are the visual lines of the same words. A page without columns is one region.
    """
    if len(segments) > _MOST:
        return [list(segments)]
    return _cut(list(segments), lines, _DEPTH)


def _cut(parts: list[Line], lines: Sequence[Line], depth: int) -> list[list[Line]]:
    if depth == 0 or len(parts) < 6:
        return [parts] if parts else []
    best: list[_Band] = []
    weight = 0
    for gutter in _gutters(lines):
        bands = _bands(parts, gutter)
        found = sum(len(band.left) + len(band.right) for band in bands if band.right)
        if found > weight:
            best, weight = bands, found
    if not best:
        return [parts]
    out: list[list[Line]] = []
    for band in best:
        for side in filter(None, (band.left, band.right)):
            out += _cut(list(side), join_segments(side), depth - 1)
    return out


def _gutters(lines: Sequence[Line]) -> list[float]:
    """Where most lines have white space between two of their segments: up to ``_TRIED`` places, the best first."""
    gaps: list[tuple[float, float]] = []
    for line in lines:
        for last, word in zip(line.words, line.words[1:], strict=False):
            if word.x0 - last.x1 > 0.5 * (word.bottom - word.top):
                gaps.append((last.x1, word.x0))
    edges = sorted([(start, 1) for start, _ in gaps] + [(end, -1) for _, end in gaps])
    peaks: list[tuple[int, float]] = []  # lines that leave the place free, the place
    count, rising = 0, False
    for place, (x, step) in enumerate(edges):
        count += step
        if step > 0:
            rising = True
        elif rising:
            peaks.append((count + 1, (edges[place - 1][0] + x) / 2))
            rising = False
    best: list[float] = []
    for votes, x in sorted(peaks, key=lambda peak: -peak[0]):
        if votes < 3 or len(best) == _TRIED:
            break
        if all(abs(x - other) > _APART for other in best):
            best.append(x)
    return best


def _bands(parts: Sequence[Line], gutter: float) -> list[_Band]:
    """The parts from the top down: bands that the gutter parts, and what lies across it or is not proved between."""
    place = {id(part): n for n, part in enumerate(parts)}
    down = sorted(parts, key=lambda part: part.top + part.bottom)
    across = [part.x0 < gutter - 1 and part.x1 > gutter + 1 for part in down]
    bands: list[_Band] = []
    whole: list[Line] = []
    inside: list[Line] = []

    def close() -> None:
        nonlocal inside
        inside.sort(key=lambda part: place[id(part)])
        left = tuple(part for part in inside if part.x0 + part.x1 < 2 * gutter)
        right = tuple(part for part in inside if part.x0 + part.x1 >= 2 * gutter)
        if _are_columns(inside, left, right):
            if whole:
                bands.append(_Band(tuple(sorted(whole, key=lambda part: place[id(part)]))))
                whole.clear()
            bands.append(_Band(left, right))
        else:
            whole.extend(inside)
        inside = []

    for n, part in enumerate(down):
        if not across[n]:
            inside.append(part)
            continue
        alone = 0 < n < len(down) - 1 and not across[n - 1] and not across[n + 1]
        halves = _halves(part, gutter) if alone else ()
        if halves:
            for half in halves:
                place[id(half)] = place[id(part)]
            inside.extend(halves)
        else:
            close()
            whole.append(part)
    close()
    if whole:
        bands.append(_Band(tuple(sorted(whole, key=lambda part: place[id(part)]))))
    return bands


def _halves(part: Line, gutter: float) -> tuple[Line, ...]:
    """The segment parted at the gutter, if a gap between two words lies there: two lines that nearly touch."""
    for n in range(1, len(part.words)):
        last, word = part.words[n - 1], part.words[n]
        if last.x1 <= gutter <= word.x0 and word.x0 - last.x1 > 0.3 * (word.bottom - word.top):
            return Line(part.words[:n]), Line(part.words[n:])
    return ()


def _are_columns(inside: Sequence[Line], left: Sequence[Line], right: Sequence[Line]) -> bool:
    if len(left) < 2 or len(right) < 2:
        return False
    first = {id(part) for part in left}
    turns = [id(part) in first for part in inside]
    switches = sum([a != b for a, b in pairwise(turns)])
    most = min(len(left), len(right))  # rows of the shorter side, if each is a segment
    in_turn = switches <= (2 if most >= 12 else 1)
    if not in_turn and (most < 6 or switches < most):
        return False
    sides = _Side.of(left), _Side.of(right)
    rows = _beside(*sides)
    if rows < 2 or any(side.labels > 0.3 or side.letters < 0.6 for side in sides):
        return False
    if in_turn:
        if rows < 8 and max(len(left) / sides[0].rows, len(right) / sides[1].rows) > 1.5 and _aligned(*sides) > 0.8:
            return False  # few rows of three cells or more
        prose = rows >= 3 and all(side.words >= 3 and side.fill >= 0.5 for side in sides)
        names = rows >= 8 and all(side.words >= 2 and side.letters >= 0.75 for side in sides)
        return prose or names or (rows >= 3 and _aligned(*sides) < 0.5)
    line_by_line = switches >= 1.5 * rows
    return line_by_line and rows >= 6 and all(side.words >= 4.5 and side.fill >= 0.75 for side in sides)


@dataclass(frozen=True, slots=True)
class _Side:
    """What one side of a gutter holds: its lines, and per line the mean of words and of the width that is filled."""

    lines: tuple[Line, ...]
    words: float
    fill: float
    letters: float
    labels: float

    @property
    def rows(self) -> int:
        return len(self.lines)

    @staticmethod
    def of(parts: Sequence[Line]) -> _Side:
        lines = tuple(join_segments(parts))
        width = max(line.x1 for line in lines) - min(line.x0 for line in lines) or 1.0
        text = "".join([word.text for line in lines for word in line.words])
        return _Side(
            lines,
            sum(len(line.words) for line in lines) / len(lines),
            sum(line.x1 - line.x0 for line in lines) / len(lines) / width,
            sum(map(str.isalpha, text)) / max(len(text), 1),
            sum(1 for line in lines if _LABEL.match(line.text)) / len(lines),
        )


def _beside(one: _Side, other: _Side) -> int:
    """How many lines the shorter side has where both sides have some."""
    top = max(one.lines[0].top, other.lines[0].top)
    bottom = min(one.lines[-1].bottom, other.lines[-1].bottom)
    return min(sum([2 * top <= sum(line.core) <= 2 * bottom for line in side.lines]) for side in (one, other))


def _aligned(one: _Side, other: _Side) -> float:
    """Share of the shorter side's lines that stand on a baseline of the other side, as rows of a table do."""
    short, long = sorted((one, other), key=lambda side: side.rows)
    heights = {round(line.base + shift) for line in long.lines for shift in (-0.6, 0, 0.6)}
    return sum(1 for line in short.lines if round(line.base) in heights) / short.rows
