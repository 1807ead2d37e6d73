"""Tables whose cells are text that wraps: schedules, directories, comparisons. Rows by white gaps or by their label.

Columns are found from the white strips that run down all lines. Prose in columns fills its lines and is no table; nor
are lists, whose first column holds marks only, and forms of "Label: value".
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median

from ingest.layout.lines import Line
from ingest.layout.table_cells import Cell, make_cell
from ingest.layout.table_heads import Column
from ingest.layout.words import Word

_STRIP = 2.5  # points of white between two columns
_FULL = 0.82  # share of its column that a line of prose fills
_CONNECTIVES = frozenset(("and", "of", "or", "the", "a", "an", "for", "to", "in", "with", "by", "on", "&"))
_LINES = 5  # fewer are no grid


@dataclass(slots=True)
class GridRow:
    """The words of a row: by column, and there line by line."""

    cells: dict[int, list[list[Word]]] = field(default_factory=dict)

    def words(self, column: int) -> list[Word]:
        return [word for line in self.cells[column] for word in line]

    def text(self, column: int) -> str:
        return make_cell(self.words(column)).text


@dataclass(frozen=True, slots=True)
class Grid:
    """Lines ``first`` to ``last`` (exclusive) as rows; ``wraps`` counts the rows with a cell of several lines."""

    first: int
    last: int
    rows: tuple[str, ...]
    head_rows: int
    wraps: int


def find_grids(lines: Sequence[Line], cells: Sequence[Sequence[Cell]], forms: Sequence[bool]) -> list[Grid]:
    """The grids among the lines, from the top down. ``forms`` marks lines that are no part of a table."""
    grids = []
    for first, last in _runs(lines, cells, forms):
        columns = _columns(lines[first:last])
        for start, end in _parts(lines, cells, columns, first, last):
            grid = _grid(lines, start, end)
            if grid is not None:
                grids.append(grid)
    return grids


def _runs(lines: Sequence[Line], cells: Sequence[Sequence[Cell]], forms: Sequence[bool]) -> list[tuple[int, int]]:
    """Stretches of lines that are no full lines of prose and stand close together."""
    width = max((line.x1 for line in lines), default=0.0) - min((line.x0 for line in lines), default=0.0)
    found, start = [], 0
    for place, line in enumerate(lines):
        fits = bool(cells[place]) and not forms[place]
        fits = fits and (len(cells[place]) > 1 or line.x1 - line.x0 < 0.5 * width)
        far = place > start and line.top - lines[place - 1].bottom > 2.5 * max(line.bottom - line.top, 1.0)
        if not fits or far:
            found.append((start, place))
            start = place if fits else place + 1
    found.append((start, len(lines)))
    return [
        (first, last)
        for first, last in found
        if last - first >= _LINES and sum(len(cells[n]) > 1 for n in range(first, last)) >= 3
    ]


def _columns(lines: Sequence[Line]) -> list[Column]:
    """Columns between the white strips that next to no word of the lines crosses."""
    events = sorted(
        [(word.x0, 1) for line in lines for word in line.words]
        + [(word.x1, -1) for line in lines for word in line.words]
    )
    size = median(word.size for line in lines for word in line.words[:1])
    least = _STRIP if len(lines) >= 8 else max(_STRIP, 0.8 * size)
    allowed = len(lines) // 12
    columns: list[Column] = []
    cover, left, right = 0, events[0][0], events[0][0]
    for x, step in events:
        if step > 0 and cover == allowed and x - right >= least and right > left:
            columns.append(Column(left, right))
            left = x
        cover += step
        if step < 0 and cover == allowed:
            right = x
    columns.append(Column(left, max(events[-1][0], left)))
    return columns


def _parts(
    lines: Sequence[Line], cells: Sequence[Sequence[Cell]], columns: Sequence[Column], first: int, last: int
) -> list[tuple[int, int]]:
    """The run without the lines that cross a strip, and without titles at its top."""
    if len(columns) < 2:
        return []
    parts, start = [], first
    for place in range(first, last + 1):
        if place == last or _split(lines[place], columns) is None:
            parts.append((start, place))
            start = place + 1
    trimmed = []
    for start, end in parts:
        for place in range(start, min(start + 6, end)):
            if len(cells[place]) == 1 and len(_split(lines[place], columns) or ()) > 1:
                start = place + 1
        while start < end and len(cells[start]) == 1 and set(_split(lines[start], columns) or ()) >= {0}:
            start += 1
        if end - start >= _LINES - 1:
            trimmed.append((start, end))
    return trimmed


def _split(line: Line, columns: Sequence[Column]) -> dict[int, list[Word]] | None:
    """The line's words by column, None where a word crosses the strip between two."""
    middles = [(left.x1 + right.x0) / 2 for left, right in pairwise(columns)]
    found: dict[int, list[Word]] = {}
    for word in line.words:
        place = bisect_left(middles, (word.x0 + word.x1) / 2)
        after, before = place < len(middles), place > 0
        if (after and word.x1 > columns[place + 1].x0 + 0.5) or (before and word.x0 < columns[place - 1].x1 - 0.5):
            return None
        found.setdefault(place, []).append(word)
    return found


def _grid(lines: Sequence[Line], first: int, last: int) -> Grid | None:
    columns = _columns(lines[first:last])
    split = [_split(line, columns) for line in lines[first:last]]
    if len(columns) < 2 or len(columns) > 20 or any(words is None for words in split):
        return None
    found = [words for words in split if words is not None]
    if not _tabular(found, columns):
        return None
    rows = _rows(lines[first:last], found)
    body = [row for row in rows if len(row.cells) > 1]
    if len(body) < 3 or 2 * len(body) < len(rows) or not _aligned(rows, columns) or _cuts(rows):
        return None
    head = _head(rows, columns)
    names = [_name(rows, n) if head else "" for n in range(len(columns))]
    wraps = sum(any(len(found) > 1 for n, found in row.cells.items() if n > 0) for row in body)
    written = [" | ".join(row.text(n) for n in sorted(row.cells)) for row in rows[:head]]
    written += [_write(row, names) for row in rows[head:]]
    return Grid(first, last, tuple(written), head, wraps)


def _tabular(split: Sequence[dict[int, list[Word]]], columns: Sequence[Column]) -> bool:
    """Whether lines in columns are cells, not prose, a list or a form."""
    prose = marks = 0
    ends: list[str] = []
    for words in split:
        prose += len(words) == len(columns) and all(
            cell[-1].x1 - cell[0].x0 > _FULL * (columns[place].x1 - columns[place].x0) for place, cell in words.items()
        )
        if 0 in words:
            ends.append(words[0][-1].text)
            marks += sum(len(word.text) for word in words[0]) <= 3
    several = [words for words in split if len(words) > 1]
    if prose > 0.25 * len(split) or len(several) < 3 or 2 * sum(text.endswith(":") for text in ends) > len(ends):
        return False
    if 2 * marks > len(ends):
        return len(columns) > 3
    if len(columns) > 2:
        return sum(len(words) > 2 for words in several) * 3 >= len(several)
    counts = [len(words[0]) for words in several if 0 in words]
    narrow = columns[0].x1 - columns[0].x0 < 0.45 * (columns[1].x1 - columns[0].x0)
    return bool(counts) and narrow and median(counts) <= 4 and 3 * len(several) >= len(split) and len(several) > 4


def _rows(lines: Sequence[Line], split: Sequence[dict[int, list[Word]]]) -> list[GridRow]:
    """Lines to rows: at wide gaps where the gaps are of two sizes, else each line is a row."""
    gaps = []
    bottom = lines[0].bottom
    for line in lines[1:]:
        gaps.append(line.top - bottom)
        bottom = max(bottom, line.bottom)
    limit = _limit(gaps, median(line.bottom - line.top for line in lines))
    rows: list[GridRow] = []
    above: dict[int, list[Word]] = {}
    for place, words in enumerate(split):
        if place == 0 or limit is None or gaps[place - 1] > limit or _restarts(rows[-1], above, words):
            rows.append(GridRow())
        for column, cell in words.items():
            rows[-1].cells.setdefault(column, []).append(cell)
        above = words
    return rows


def _limit(gaps: Sequence[float], size: float) -> float | None:
    """The gap above which a row begins, where the gaps are of two sizes: lines of a cell, and rows (None if not)."""
    order = sorted(max(gap, -0.12 * size) for gap in gaps)  # lines set between two others overlap both
    for place in range(len(order) // 4, len(order) - max(2, len(order) // 16)):
        low, high = order[place], order[place + 1]
        if high - low >= 0.15 * size:
            return (low + high) / 2
    return None


def _restarts(row: GridRow, above: dict[int, list[Word]], words: dict[int, list[Word]]) -> bool:
    """Whether a line without a wide gap above it begins a row: its label is a number, or the first line had one."""
    if 0 not in words or 0 not in row.cells:
        return False
    return 0 not in above or (words[0][0].text[0].isdigit() and row.cells[0][-1][0].text[0].isdigit())


def _aligned(rows: Sequence[GridRow], columns: Sequence[Column]) -> bool:
    """Whether the cells of a row begin, end or centre at one height, and hold no several values.

    Texts that only stand side by side do not: their lines fall where they fall.
    """
    level = count = 0
    for row in rows:
        top = min(lines[0][0].top for lines in row.cells.values())
        bottom = max(lines[-1][0].bottom for lines in row.cells.values())
        for lines in row.cells.values():
            first, last = lines[0][0].top, lines[-1][0].bottom
            size = lines[0][0].bottom - first
            count += 1
            level += first - top < 0.4 * size or abs(first + last - top - bottom) < 1.2 * size
            if sum(make_cell(line).is_value for line in lines) > 1:
                return False
    filled = [row for row in rows if 2 * len(row.cells) > len(columns)]
    several = any(len(lines) > 1 for row in rows for lines in row.cells.values())
    return level >= 0.85 * count and len(filled) >= (0.5 if several else 0.7) * len(rows)


def _cuts(rows: Sequence[GridRow]) -> bool:
    """Whether rows begin in the middle of sentences, as they do where texts only stand side by side."""
    cuts = count = 0
    for above, row in pairwise(rows):
        for place in row.cells.keys() & above.cells.keys():
            before, after = above.words(place), row.words(place)
            if len(before) > 1:
                count += 1
                ends = before[-1].text
                cuts += ends in _CONNECTIVES or ends.endswith(",")
                cuts += len(after) > 1 and after[0].text[:1].islower() and ends[-1:] not in ".:;!?"
    return cuts > 0.15 * count


def _head(rows: Sequence[GridRow], columns: Sequence[Column]) -> int:
    """1 if the first row is a header for sure: bold, centred above cells that are not, or words over numbers."""
    first, rest = rows[0], rows[1:]
    if len(first.cells) < max(2, len(columns) - 1) or any(len(first.words(n)) > 12 for n in first.cells):
        return 0
    words = [word for n in first.cells for word in first.words(n)]
    below = [word for row in rest for n in row.cells for word in row.words(n)]
    if all(word.bold for word in words):
        return int(2 * sum(word.bold for word in below) < len(below))
    if any(char.isdigit() for word in words for char in word.text):
        return 0
    left = [found[0][0].x0 - columns[n].x0 for row in rest for n, found in row.cells.items()]
    over = [min(line[0].x0 for line in found) - columns[n].x0 for n, found in first.cells.items()]
    if 3 * sum(off < 3 for off in left) > 2.4 * len(left) and 2 * sum(off > 4 for off in over) > len(over):
        return 1
    numeric = sum(
        all(any(map(str.isdigit, row.text(n))) for row in rest if n in row.cells) for n in range(1, len(columns))
    )
    return int(2 * numeric > len(columns))


def _name(rows: Sequence[GridRow], place: int) -> str:
    """The header's text over a column, "" where it reaches over what may be another."""
    below = [word for row in rows[1:] if place in row.cells for word in row.words(place)]
    if place not in rows[0].cells or not below:
        return ""
    head = rows[0].words(place)
    left, right = min(word.x0 for word in below), max(word.x1 for word in below)
    spare = 2 * head[0].size
    wide = min(word.x0 for word in head) < left - spare or max(word.x1 for word in head) > right + spare
    several = any(b.x0 - a.x1 > 0.95 * a.size for line in rows[0].cells[place] for a, b in pairwise(line))
    return "" if wide and several else rows[0].text(place)


def _write(row: GridRow, names: Sequence[str]) -> str:
    parts = []
    for place in sorted(row.cells):
        name = names[place] if place > 0 else ""
        parts.append(f"{name}: {row.text(place)}" if name else row.text(place))
    return " | ".join(parts)
