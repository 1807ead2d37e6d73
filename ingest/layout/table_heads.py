"""Columns of a table from its rows' cells, and their names from the header lines above. Knows nothing of pages.

A column gets a name only where the header's words stand over it and over no other: a wrong name would be a false
statement, a missing one is only a gap.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from ingest.layout.table_cells import Cell

_MOST = 40  # columns; more is no table
_NEAR = 2.5  # points between cells of a column that do not overlap: a dash beside digits
_UNITS = re.compile(
    r"(?i)(?:\((?:in|dollars|amounts|unaudited|except|US\$|[$€£]).*|except .*\)"
    r"|.*\b(?:millions|thousands|billions)\b.*)"
)
_YEAR = re.compile(r"(?:19|20)\d\d\b")
_MONTH_DAY = re.compile(r"(?:[A-Z][a-z]{2,8}\.? \d{1,2},?\s?)+")


@dataclass(frozen=True, slots=True)
class Column:
    """The horizontal extent of the cells below one another."""

    x0: float
    x1: float

    @property
    def middle(self) -> float:
        return (self.x0 + self.x1) / 2


@dataclass(frozen=True, slots=True)
class Over:
    """Words of a header line, and the columns ``first`` to ``last`` (inclusive) that they stand over."""

    text: str
    x0: float
    x1: float
    first: int
    last: int


def find_columns(rows: Iterable[Sequence[Cell]], support: int) -> list[Column]:
    """Columns of the rows' cells (labels left out), left to right: extents that overlap, in ``support`` rows or more.

    A column that holds no value in any row needs twice the support.
    """
    cells = sorted((cell for row in rows for cell in row), key=lambda cell: cell.x0)
    merged: list[list[Cell]] = []
    right = float("-inf")
    for cell in cells:
        if merged and cell.x0 < right + _NEAR:
            merged[-1].append(cell)
        else:
            merged.append([cell])
            right = cell.x1
        right = max(right, cell.x1)
    kept = [
        Column(group[0].x0, max(cell.x1 for cell in group))
        for group in merged
        if len(group) >= (support if any(cell.is_value for cell in group) else 2 * support)
    ]
    return kept if len(kept) <= _MOST else []


def column_of(cell: Cell, columns: Sequence[Column]) -> int | None:
    """Index of the column that the cell overlaps (most, by far), None if none or several."""
    last = bisect_right([column.x0 for column in columns], cell.x1)
    first = bisect_left([column.x1 for column in columns], cell.x0)
    if first >= last:
        return None
    best = max(range(first, last), key=lambda place: _shared(cell, columns[place]))
    rest = sum(_shared(cell, columns[place]) for place in range(first, last) if place != best)
    return best if 3 * rest <= _shared(cell, columns[best]) else None


def name_columns(heads: Sequence[Sequence[Cell]], columns: Sequence[Column]) -> list[str]:
    """Name of each column, "" where none is sure. ``heads`` are the header lines' cells, stub titles left out."""
    levels: list[list[Over]] = [[] for _ in heads]
    below = [""] * len(columns)
    wide = list(columns)  # with the names already found: what is above is centred over those
    for place in reversed(range(len(heads))):
        if all(below):
            levels[place] = _groups(heads[place], wide, below)
        elif not any(below):
            levels[place] = _groups(heads[place], wide, [""] * len(wide))
        levels[place] = levels[place] or _over(heads[place], wide, below)
        for over in levels[place]:
            if over.first == over.last:
                below[over.first] = f"{over.text} {below[over.first]}"
                column = wide[over.first]
                wide[over.first] = Column(min(column.x0, over.x0), max(column.x1, over.x1))
    leaves: list[list[str]] = [[] for _ in columns]
    spans: list[list[str]] = [[] for _ in columns]
    units = [""] * len(columns)
    for over in (over for level in levels for over in level):
        for place in range(over.first, over.last + 1):
            if is_units(over.text):
                units[place] = over.text
            else:
                (leaves if over.first == over.last else spans)[place].append(over.text)
    names = [" ".join(words) for words in leaves]
    for place, name in enumerate(names):
        if not name:
            names[place] = spans[place].pop() if spans[place] else units[place]
        elif spans[place] and _MONTH_DAY.fullmatch(spans[place][-1]) and re.match(r"\d{4}\b", name):
            names[place] = f"{spans[place].pop()} {name}"
    counts = Counter(names)
    full = [
        " ".join([*above, name]) if name and counts[name] > 1 else name
        for name, above in zip(names, spans, strict=True)
    ]
    return [name.rstrip(":").strip() for name in full]


def name_text_columns(heads: Sequence[Sequence[Cell]], columns: Sequence[Column]) -> list[str]:
    """Name of each column of text, "" where none is sure. ``heads`` are the header lines' cells.

    A cell names the one column that it stands over or, where the column's cells fill little of it, near; what stands
    over several names none, and ends their names.
    """
    names: list[list[str]] = [[] for _ in columns]
    closed: set[int] = set()  # columns whose names are complete, or not sure, from here upwards
    for cells in reversed(heads):
        held: dict[int, list[Cell]] = {}
        for cell in cells:
            over = [n for n, column in enumerate(columns) if _shared(cell, column) > 0]
            if len(over) > 1:
                closed.update(over)
            for place in over or _beside(cell, columns):
                held.setdefault(place, []).append(cell)
        for place, found in held.items():
            owners = [cell for cell in found if _shared(cell, columns[place]) > 0] or found
            if len(owners) == 1 and place not in closed:
                names[place].insert(0, owners[0].text)
            else:
                closed.add(place)
    return [" ".join(words).rstrip(":").strip() for words in names]


def _beside(cell: Cell, columns: Sequence[Column]) -> list[int]:
    """The column that the cell begins right behind ([] if none): a header centred over room that is not filled."""
    size = cell.words[0].size
    return [n for n, column in enumerate(columns) if column.x1 <= cell.x0 < column.x1 + 2 * size][:1]


def is_units(text: str) -> bool:
    """Whether a header says no more than the unit of the values ("(in millions)")."""
    return bool(_UNITS.fullmatch(text))


def _over(cells: Sequence[Cell], columns: Sequence[Column], below: Sequence[str]) -> list[Over]:
    """Which columns each cell of a header line stands over; cells of which that is not sure are left out.

    ``below`` are the names that the columns have further down. Where all have one, this line's cells may span several;
    where the names tell the columns apart, or there are none, a cell that may as well span is better left out, unless
    another of the line stands over one column for sure.
    """
    upper = all(below)
    shifted = _shift(cells, columns)
    if shifted:
        return shifted
    if upper and len(cells) == 1:
        off = abs(cells[0].x0 + cells[0].x1 - columns[0].x0 - columns[-1].x1) / 2
        if off < 2 * cells[0].words[0].size:
            return [Over(cells[0].text, cells[0].x0, cells[0].x1, 0, len(columns) - 1)]
    unsure = not any(below) or (upper and len(set(below)) == len(below))
    claims = Counter[int]()
    touched = [[n for n, column in enumerate(columns) if _shared(cell, column) > 0.5] for cell in cells]
    for places in touched:
        claims.update(places)
    found: list[Over] = []
    doubtful: list[bool] = []
    for cell, places in zip(cells, touched, strict=True):
        over = _place(cell, places, columns, claims, upper)
        if over is not None:
            found.append(Over(cell.text, cell.x0, cell.x1, *over))
            doubtful.append(unsure and _may_span(cell, *over, columns, claims))
    sure = any(over.first == over.last and not doubt for over, doubt in zip(found, doubtful, strict=True))
    found = [
        over
        for over, doubt in zip(found, doubtful, strict=True)
        if not doubt or (sure and not _YEAR.match(below[over.first]))  # over a year it may be what all years share
    ]
    taken = Counter(n for over in found for n in range(over.first, over.last + 1))
    return [over for over in found if all(taken[n] == 1 for n in range(over.first, over.last + 1))]


def _may_span(cell: Cell, first: int, last: int, columns: Sequence[Column], claims: Counter[int]) -> bool:
    """Whether a cell over one column is as well centred over its free neighbours too."""
    if first != last or not 0 < first < len(columns) - 1 or claims[first - 1] or claims[first + 1]:
        return False
    middle = (columns[first - 1].x0 + columns[first + 1].x1) / 2
    return abs((cell.x0 + cell.x1) / 2 - middle) < 2 * cell.words[0].size


def _shift(cells: Sequence[Cell], columns: Sequence[Column]) -> list[Over]:
    """One cell for each column, nearest to it or all off by the same distance ([] where it is not so)."""
    if len(cells) != len(columns) or len(columns) < 2:
        return []
    bounds = [(left.middle + right.middle) / 2 for left, right in pairwise(columns)]
    own = all(bisect_right(bounds, (cell.x0 + cell.x1) / 2) == n for n, cell in enumerate(cells))
    pitch = min(right.x1 - left.x1 for left, right in pairwise(columns))
    edges = (
        [cell.x1 - column.x1 for cell, column in zip(cells, columns, strict=True)],
        [(cell.x0 + cell.x1) / 2 - column.middle for cell, column in zip(cells, columns, strict=True)],
    )
    if not own and not any(max(off) - min(off) < 0.25 * pitch and max(map(abs, off)) < 0.85 * pitch for off in edges):
        return []
    return [Over(cell.text, cell.x0, cell.x1, n, n) for n, cell in enumerate(cells)]


def _place(
    cell: Cell, touched: Sequence[int], columns: Sequence[Column], claims: Counter[int], upper: bool
) -> tuple[int, int] | None:
    middle = (cell.x0 + cell.x1) / 2
    size = max(cell.words[0].size, 1.0)
    near = bisect_right([column.middle for column in columns], middle)
    low, high = (touched[0], touched[-1]) if touched else (max(near - 1, 0), min(near, len(columns) - 1))
    free = [claims[n] <= (n in touched) for n in range(len(columns))]
    while low > 0 and free[low - 1]:
        low -= 1
    while high < len(columns) - 1 and free[high + 1]:
        high += 1
    best: tuple[float, int, int] | None = None
    for first in range(low, high + 1):
        for last in range(first, min(high, first + 12) + 1):
            left, right = columns[first].x0, columns[last].x1
            off = abs(middle - (left + right) / 2)
            if first == last:
                off = min(off, abs(cell.x0 - left), abs(cell.x1 - right))
                off += size if upper and off > 0.6 * size else 0.0
            missed = sum(n < first or n > last for n in touched)
            bare = sum(n not in touched for n in range(first, last + 1))
            cost = off / size + 4.0 * missed + (bare if last > first else 0.0) + 0.05 * (last - first)
            if missed and first == last and len(touched) == 2:
                inside, outside = (_shared(cell, columns[n]) for n in sorted(touched, key=lambda n: n != first))
                if outside < 0.35 * inside:
                    cost -= 3.5
            if best is None or cost < best[0]:
                best = (cost, first, last)
    if best is None:
        return None
    cost, first, last = best
    if first == last and touched != [first]:
        limit = 1.5 if touched else 1.0
    elif first == last:
        limit = 6.0
    else:
        limit = 2.5 + 0.5 * (last - first)
    return (first, last) if cost <= limit else None


def _groups(cells: Sequence[Cell], columns: Sequence[Column], names: Sequence[str]) -> list[Over]:
    """The cells of a line over the groups of columns whose names repeat, as "Q4 | Year" over "2022 2021 2022 2021"."""
    count = len(columns)
    period = count // max(len(cells), 1)
    if len({cell.text for cell in cells}) == 1:
        return []  # may as well be the upper line of one column's name, and tells no columns apart
    if len(cells) < 2 or period < 2 or period * len(cells) != count or list(names[:period]) * len(cells) != list(names):
        return []
    found = []
    for n, cell in enumerate(cells):
        first, last = n * period, (n + 1) * period - 1
        left, right = columns[first].x0, columns[last].x1
        off = abs((cell.x0 + cell.x1 - left - right) / 2)
        if off > 0.15 * (right - left) + cell.words[0].size or cell.x1 > right + 9 or cell.x0 < left - 9:
            return []
        found.append(Over(cell.text, cell.x0, cell.x1, first, last))
    return found


def _shared(cell: Cell, column: Column) -> float:
    return min(cell.x1, column.x1) - max(cell.x0, column.x0)
