"""Tables whose cells are text that wraps: schedules, directories, comparisons. Rows by white gaps or by their label.

Columns are found from the white strips that run down all lines. Prose in columns fills its lines and is no table; nor
are lists, whose first column holds marks only, and forms of "Label: value".
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from ingest.layout.lines import Line
from ingest.layout.table_cells import HEAD_GAP, Cell, make_cell, split_cells
from ingest.layout.table_grid_rows import GridRow, group_rows, write_row
from ingest.layout.table_heads import Column, name_text_columns
from ingest.layout.table_rows import write_head
from ingest.layout.words import Word

_STRIP = 2.5  # points of white between two columns
_CELL, _WIDE_CELL = 0.5, 0.7  # of the page's text: how far a line that is one cell may reach
_FULL = 0.82  # share of its column that a line of prose fills
_CONNECTIVES = frozenset(("and", "of", "or", "the", "a", "an", "for", "to", "in", "with", "by", "on", "&"))
_LINES = 5  # fewer are no grid
_HEADS = 8  # lines that a header may have


@dataclass(frozen=True, slots=True)
class Grid:
    """Lines ``first`` to ``last`` (exclusive) as rows; ``wraps``: many have a cell of several lines."""

    first: int
    last: int
    rows: tuple[str, ...]
    head_rows: int
    wraps: bool


def find_grids(lines: Sequence[Line], cells: Sequence[Sequence[Cell]], forms: Sequence[bool]) -> list[Grid]:
    """The grids among the lines, from the top down. ``forms`` marks lines that are no part of a table."""
    grids: list[Grid] = []
    for first, last in _runs(lines, cells, forms, _WIDE_CELL):
        found = _grids(lines, cells, first, last)
        if not found:
            for start, end in _runs(lines[first:last], cells[first:last], forms[first:last], _CELL):
                found += _grids(lines, cells, first + start, first + end)
        grids += found
    return grids


def _grids(lines: Sequence[Line], cells: Sequence[Sequence[Cell]], first: int, last: int) -> list[Grid]:
    grids: list[Grid] = []
    columns = _columns(lines[first:last])
    for start, end in _parts(lines, cells, columns, first, last):
        grid = _grid(lines, max([first, *(grid.last for grid in grids)]), start, end)
        if grid is not None:
            grids.append(grid)
    return grids


def _runs(
    lines: Sequence[Line], cells: Sequence[Sequence[Cell]], forms: Sequence[bool], wide: float
) -> list[tuple[int, int]]:
    """Stretches of lines that are no full lines of prose and stand close together, without wide titles above.

    ``wide`` is how much of the lines' width a single cell may take.
    """
    width = max((line.x1 for line in lines), default=0.0) - min((line.x0 for line in lines), default=0.0)
    found, start = [], 0
    for place, line in enumerate(lines):
        fits = bool(cells[place]) and not forms[place]
        share = wide if place > start else _CELL
        fits = fits and (len(cells[place]) > 1 or line.x1 - line.x0 < share * width)
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
    """Columns between the white strips that next to no word of the lines crosses.

    How many may is tried: what crosses hides a column, and so does what is allowed where a column has few words.
    """
    words = [word for line in lines for word in line.words]
    events = sorted([(word.x0, 1) for word in words] + [(word.x1, -1) for word in words])
    size = median(line.words[0].size for line in lines)
    least = _STRIP if len(lines) >= 8 else max(_STRIP, 0.8 * size)
    most = len(lines) // 12
    strips: list[tuple[float, float]] = []
    for left, right in sorted(strip for allowed in {0, most // 2, most} for strip in _strips(events, least, allowed)):
        if strips and left < strips[-1][1]:
            strips[-1] = (left, min(right, strips[-1][1]))
        else:
            strips.append((left, right))
    edges = [events[0][0], *(x for strip in strips for x in strip), max(word.x1 for word in words)]
    return [Column(left, max(left, right)) for left, right in zip(edges[::2], edges[1::2], strict=True)]


def _strips(events: Sequence[tuple[float, int]], least: float, allowed: int) -> list[tuple[float, float]]:
    """White strips at least ``least`` wide that ``allowed`` words cross: (left, right) of each."""
    strips = []
    cover, left, right = 0, events[0][0], events[0][0]
    for x, step in events:
        if step > 0 and cover == allowed and x - right >= least and right > left:
            strips.append((right, x))
            left = x
        cover += step
        if step < 0 and cover == allowed:
            right = x
    return strips


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


def _grid(lines: Sequence[Line], floor: int, first: int, last: int) -> Grid | None:
    top, body = _bold_lines(lines, floor, first, last)
    columns = _columns(lines[body:last]) if last - top >= _LINES - 1 else []
    split = [_split(line, columns) for line in lines[body:last]]
    if not 2 <= len(columns) <= 20 or any(words is None for words in split):
        return None
    found = [words for words in split if words is not None]
    if not _tabular(found, columns, top < body):
        return None
    while top < body and _is_title(split_cells(lines[top], HEAD_GAP), columns):
        top += 1
    rows = group_rows(lines[body:last], found)
    if top == body and _has_head(rows, columns):
        body += rows.pop(0).lines
    filled = [row for row in rows if len(row.cells) > 1]
    if len(filled) < 2 or 2 * len(filled) < len(rows) or not _aligned(rows, columns) or _cuts(rows):
        return None
    heads = [split_cells(line, HEAD_GAP) for line in lines[top:body]]
    names = name_text_columns(heads, columns)
    written = [*map(write_head, heads), *(write_row(row, names) for row in rows)]
    wraps = sum(any(len(found) > 1 for n, found in row.cells.items() if n > 0) for row in filled)
    return Grid(top, last, tuple(written), len(heads), wraps > max(1, len(filled) // 4))


def _bold_lines(lines: Sequence[Line], floor: int, first: int, last: int) -> tuple[int, int]:
    """Start (``floor`` or below) and end (exclusive) of the bold lines above lines that are not; equal if none."""
    body = first
    while body < last and lines[body].bold:
        body += 1
    bold = sum(line.bold for line in lines[body:last])
    if 2 * bold >= last - body:
        return first, first
    top = body
    while top > floor and lines[top - 1].bold and lines[top].top - lines[top - 1].bottom < lines[top - 1].height:
        top -= 1
    return (top, body) if body - top <= _HEADS else (first, first)


def _is_title(cells: Sequence[Cell], columns: Sequence[Column]) -> bool:
    """Whether a header line is one cell, above the first column or several."""
    over = [n for n, column in enumerate(columns) if cells[0].x0 < column.x1 and cells[0].x1 > column.x0]
    return len(cells) == 1 and (over[:1] == [0] or len(over) > 1)


def _tabular(split: Sequence[dict[int, list[Word]]], columns: Sequence[Column], headed: bool) -> bool:
    """Whether lines in columns are cells, not prose, a list or a form. ``headed``: bold lines stand above them."""
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
    if headed and 4 * len(several) > 3 * len(split):
        return True
    if len(columns) > 2:
        return sum(len(words) > 2 for words in several) * 3 >= len(several)
    counts = [len(words[0]) for words in several if 0 in words]
    narrow = columns[0].x1 - columns[0].x0 < 0.45 * (columns[1].x1 - columns[0].x0)
    return bool(counts) and narrow and median(counts) <= 4 and 3 * len(several) >= len(split) and len(several) > 4


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
            level += first - top < 0.4 * size or abs(first + last - top - bottom) < 1.8 * size
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


def _has_head(rows: Sequence[GridRow], columns: Sequence[Column]) -> bool:
    """Whether the first row is a header for sure: centred above cells that are not, or words over numbers."""
    first, rest = rows[0], rows[1:]
    if len(first.cells) < max(2, len(columns) - 1) or any(len(first.words(n)) > 12 for n in first.cells):
        return False
    if any(char.isdigit() for n in first.cells for word in first.words(n) for char in word.text):
        return False
    left = [found[0][0].x0 - columns[n].x0 for row in rest for n, found in row.cells.items()]
    over = [min(line[0].x0 for line in found) - columns[n].x0 for n, found in first.cells.items()]
    if 3 * sum(off < 3 for off in left) > 2.4 * len(left) and 2 * sum(off > 4 for off in over) > len(over):
        return True
    numeric = sum(
        all(any(map(str.isdigit, row.text(n))) for row in rest if n in row.cells) for n in range(1, len(columns))
    )
    return 2 * numeric > len(columns)
