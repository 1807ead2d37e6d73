"""Tables among the visual lines of a page, and their rows as text. Knows nothing of files or of other blocks.

A table is found by its values: lines of a label and numbers whose right edges stand below one another. Prose in
columns and forms of "Label: value   Label: value" are not tables.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ingest.layout.lines import Line
from ingest.layout.table_cells import HEAD_GAP, Cell, split_cells
from ingest.layout.table_grids import Grid, find_grids
from ingest.layout.table_heads import Column, column_of, find_columns, is_units, name_columns
from ingest.layout.table_rows import write_head, write_rows

Kind = Literal["data", "head", "label", "cells", "value", "form", "none"]
_DATE_LABEL = re.compile(r"(?i)\b(?:years?|months?|weeks?|ended|as of|at|fiscal)\b|,$")
_BETWEEN = 7  # lines without values that may stand between two with values
_HEADS = 9  # lines that a header may have
_WORDS = 8  # of a line that reaches over the columns: more is prose
_MOST_VALUES = 40  # of a line; more is no row


@dataclass(frozen=True, slots=True)
class Table:
    """Lines ``first`` to ``last`` (exclusive) as rows of text, the first ``head_rows`` of which are the header."""

    first: int
    last: int
    rows: tuple[str, ...]
    head_rows: int


def find_tables(lines: Sequence[Line], width: float) -> list[Table]:
    """The tables among the lines of a page (or of a column of it, ``width`` points wide), from the top down."""
    cells = [split_cells(line) for line in lines]
    kinds = [_kind(found) for found in cells]
    numeric = _value_tables(lines, cells, kinds)
    grids = find_grids(lines, cells, [kind == "form" for kind in kinds])
    return _choose(numeric, grids)


def _choose(numeric: Sequence[Table], grids: Sequence[Grid]) -> list[Table]:
    """Tables that do not overlap: a grid goes before tables of values where its cells wrap."""
    kept = [grid for grid in grids if grid.wraps or not any(_meet(grid, table) for table in numeric)]
    tables = [table for table in numeric if not any(_meet(grid, table) for grid in kept)]
    tables += [Table(grid.first, grid.last, grid.rows, grid.head_rows) for grid in kept]
    return sorted(tables, key=lambda table: table.first)


def _meet(grid: Grid, table: Table) -> bool:
    return grid.first < table.last and table.first < grid.last


def _value_tables(lines: Sequence[Line], cells: Sequence[Sequence[Cell]], kinds: Sequence[Kind]) -> list[Table]:
    tables: list[Table] = []
    place = 0
    while place < len(lines):
        if kinds[place] == "data":
            floor = tables[-1].last if tables else 0
            last = _grow(lines, cells, kinds, place)
            table = _table(lines, cells, kinds, floor, place, last)
            if table is not None:
                tables.append(table)
            place = last
        else:
            place += 1
    return tables


def _kind(cells: Sequence[Cell]) -> Kind:
    """What a line's cells look like by themselves."""
    if not cells:
        return "none"
    if len(cells) == 1:
        return "value" if cells[0].is_value else "label"
    rest = cells[1:]
    if any(not cell.is_value and cell.text.endswith(":") for cell in rest):
        return "form"
    if any(not cell.is_value and len(cell.words) > _WORDS for cell in rest) and not cells[-1].is_value:
        return "none" if any(len(cell.words) > _WORDS for cell in cells) else "cells"
    values = [cell for cell in rest if cell.is_value]
    if not values:
        return "cells"
    years = [cell for cell in values if cell.is_year]
    if len(years) == len(values):
        first = cells[0]
        if first.is_year or len(values) > 1 or len(rest) > 1 or _DATE_LABEL.search(first.text):
            return "head"
    return "data"


def _grow(lines: Sequence[Line], cells: Sequence[Sequence[Cell]], kinds: Sequence[Kind], first: int) -> int:
    """End (exclusive) of the run of rows that starts at ``first``."""
    spans: list[tuple[float, float]] = []
    _widen(spans, cells[first])
    zone = _zone(cells[first])
    last = first
    place = first + 1
    while place < len(lines) and place - last <= _BETWEEN:
        line = lines[place]
        size = max(line.bottom - line.top, 1.0)
        if line.top - lines[place - 1].bottom > 3.5 * size:
            break
        if kinds[place] == "data" or (kinds[place] == "value" and cells[place][0].x1 > zone):
            if not _aligned(spans, cells[place], place - last == 1, zone):
                break
            _widen(spans, cells[place])
            zone = min(zone, _zone(cells[place]))
            last = place
        elif not _between(cells[place], kinds[place], zone):
            break
        place += 1
    end = last + 1
    if end < len(lines) and kinds[end] == "label" and cells[end][0].x1 < zone and last > first:
        step = lines[last].top - lines[last - 1].top
        if lines[end].top - lines[last].top < 0.86 * step and not cells[end][0].text.endswith(":"):
            end += 1
    return end


def _between(cells: Sequence[Cell], kind: Kind, zone: float) -> bool:
    """Whether a line without values may stand inside a table: a sub-heading or a part of a label."""
    if kind not in ("label", "cells", "value"):
        return False
    if cells[-1].x1 < zone:
        return True
    count = len(cells[0].words)
    return (
        len(cells) == 1
        and not cells[0].text.endswith(".")
        and (count <= _WORDS or (count <= 1.5 * _WORDS and not cells[0].text.endswith(":")))
    )


def _zone(cells: Sequence[Cell]) -> float:
    """Where the values begin."""
    return min((cell.x0 for cell in cells[1:] if cell.is_value), default=cells[0].x0)


def _values(cells: Sequence[Cell]) -> list[Cell]:
    return [cell for cell in cells[1:] or cells if cell.is_value][:_MOST_VALUES]


def _widen(spans: list[tuple[float, float]], cells: Sequence[Cell]) -> None:
    """Add the extents of a row's values to those of its run."""
    for cell in _values(cells):
        met = [span for span in spans if span[0] < cell.x1 and span[1] > cell.x0]
        if met:
            spans[:] = [span for span in spans if span not in met]
        spans.append((min([cell.x0, *(x0 for x0, _ in met)]), max([cell.x1, *(x1 for _, x1 in met)])))


def _aligned(spans: Sequence[tuple[float, float]], cells: Sequence[Cell], next_line: bool, zone: float) -> bool:
    """Whether values stand below those of the run: one of them on the next line (or all right of where they begin),
    half of them further down."""
    values = _values(cells)
    known = sum(any(x0 < cell.x1 and x1 > cell.x0 for x0, x1 in spans) for cell in values)
    if not known:
        return next_line and not cells[0].is_value and all(cell.x0 > zone for cell in values)
    return next_line or 2 * known >= len(values)


def _table(
    lines: Sequence[Line], cells: Sequence[Sequence[Cell]], kinds: Sequence[Kind], floor: int, first: int, last: int
) -> Table | None:
    body = range(first, last)
    rest = [cells[n][1:] for n in body if kinds[n] == "data"]
    columns = find_columns(rest, max(1, len(rest) // 12))
    data = [
        n for n in body if kinds[n] == "data" or (columns and kinds[n] == "value" and cells[n][0].x1 > columns[0].x0)
    ]
    columns = [*_unlabelled(cells, data, columns), *columns]
    if not columns or 3 * sum(cell.is_value for row in rest for cell in row) < sum(map(len, rest)):
        return None
    heads, top = _heads(lines, cells, kinds, floor, data, columns)
    if _is_number_head(cells, data, columns, heads):
        heads, data, first = [*heads, first], data[1:], first + 1
    if not _is_table(cells, data, columns, heads):
        return None
    margin = min(cells[n][0].x0 for n in body if cells[n])
    named = [_named(split_cells(lines[n], HEAD_GAP), margin, columns) for n in heads]
    names = name_columns([row for row in named if row], columns)
    start = heads[-1] + 1 if heads else first
    head_rows = [write_head(split_cells(lines[n], HEAD_GAP)) for n in range(top, start)]
    rows = write_rows(lines[start:last], cells[start:last], columns, names)
    return Table(top, last, (*head_rows, *rows), len(head_rows))


def _unlabelled(cells: Sequence[Sequence[Cell]], data: Sequence[int], columns: Sequence[Column]) -> list[Column]:
    """The first column where it holds values and no labels: numbers that are no years in each row."""
    firsts = [cells[n][0] for n in data]
    if columns and all(cell.is_value and not cell.is_year and cell.x1 < columns[0].x0 for cell in firsts):
        return [Column(min(cell.x0 for cell in firsts), max(cell.x1 for cell in firsts))]
    return []


def _is_number_head(
    cells: Sequence[Sequence[Cell]], data: Sequence[int], columns: Sequence[Column], heads: Sequence[int]
) -> bool:
    """Whether the first line of values is a header of numbers ("737 | 747"): bare ones, over labelled rows, unnamed."""
    if len(data) < 3 or len(columns) < 3 or not heads or heads[-1] != data[0] - 1 or len(cells[heads[-1]]) > 1:
        return False
    first, *rest = (cells[n] for n in data)
    bare = all(cell.text.isalnum() or len(cell.text) == 1 for cell in first)
    return bare and len(first) == len(columns) and all(row[0].x1 < columns[0].x0 for row in rest)


def _named(cells: Sequence[Cell], margin: float, columns: Sequence[Column]) -> Sequence[Cell]:
    """A header line's cells without what stands over the labels, whose left edge is ``margin``."""
    first = cells[0]
    left = columns[0].x0
    if first.x0 > left - 6 or (first.x1 > left and first.x0 > margin + 12):
        return cells
    return cells if first.x1 <= left and first.x0 > (margin + left) / 2 and left - first.x1 < 18 else cells[1:]


def _heads(
    lines: Sequence[Line],
    cells: Sequence[Sequence[Cell]],
    kinds: Sequence[Kind],
    floor: int,
    data: Sequence[int],
    columns: Sequence[Column],
) -> tuple[list[int], int]:
    """Indices of the header lines above the first line of ``data``, and where the table begins."""
    heads: list[int] = []
    first = data[0]
    top = first
    zone = columns[0].x0
    margins = {min(cells[n][0].x0 for n in data), min(line.x0 for line in lines)}
    right = max((cells[n][0].x1 for n in data if cells[n][0].x1 < zone), default=zone)
    for place in range(first - 1, max(floor, first - _HEADS) - 1, -1):
        line, found = lines[place], cells[place]
        size = max(line.bottom - line.top, 1.0)
        if not found or lines[place + 1].top - line.bottom > (1.8 if heads else 2.8) * size:
            break
        over = [cell for cell in found if cell.x1 > zone]
        inside = found[0].x0 > min(zone - 12, right) or (found[0].x1 < columns[0].x1 and len(found) > 1)
        if kinds[place] == "form" or (
            kinds[place] == "data" and not found[0].is_year and not (heads and found[0].x0 > zone - 12)
        ):
            break
        if len(found) == 1 and any(_is_title(found[0], margin, columns) for margin in margins):
            break
        if over and inside and max(len(cell.words) for cell in found[-2:]) <= _WORDS + 2:
            heads.insert(0, place)
            top = place
        elif _may_skip(found, columns, bool(heads)) and first - place < _HEADS // 2 + len(heads):
            continue  # a sub-heading below the header, or its stub's title; kept if a header stands above it
        else:
            break
    if heads and top > floor and len(cells[top - 1]) == 1:
        above = cells[top - 1][0]
        if re.fullmatch(r"\(.*\)", above.text) and lines[top].top - lines[top - 1].bottom < 12:
            top -= 1
    return heads, top


def _is_title(cell: Cell, margin: float, columns: Sequence[Column]) -> bool:
    """Whether a line is centred over the whole table, not over its columns."""
    middle, end = (cell.x0 + cell.x1) / 2, columns[-1].x1
    return (
        abs(middle - (margin + end) / 2) < 6
        and abs(middle - (columns[0].x0 + end) / 2) > 12
        and not is_units(cell.text)
    )


def _may_skip(cells: Sequence[Cell], columns: Sequence[Column], below: bool) -> bool:
    """Whether a line over the labels may stand under a header line; ``below``: with another one under it."""
    only = cells[0]
    if len(cells) > 1 or only.x1 > columns[0].x1 or len(only.words) > _WORDS:
        return False
    return not below or is_units(only.text)


def _is_table(
    cells: Sequence[Sequence[Cell]], data: Sequence[int], columns: Sequence[Column], heads: Sequence[int]
) -> bool:
    strong = sum(sum(cell.is_value for cell in cells[n]) > 1 for n in data)
    if len(data) == 1:
        held = {column_of(cell, columns) for n in heads for cell in cells[n]} - {None}
        return len(columns) > 2 and len(held) == len(columns)
    if strong >= 2:
        return True
    labels = [cells[n][0].text for n in data]
    if 2 * sum(label.endswith(":") for label in labels) >= len(labels):
        return False
    gaps = [cells[n][-1].x0 - cells[n][-2].x1 for n in data if len(cells[n]) > 1]
    sizes = [cells[n][0].words[0].size for n in data]
    wide = sum(gap > 2 * size for gap, size in zip(gaps, sizes, strict=False))
    return wide * 2 >= len(data) and (len(data) > 2 or bool(heads) or strong > 0)
