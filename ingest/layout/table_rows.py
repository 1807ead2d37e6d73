"""Lines of a table to its rows as they are written: ``Label | Column: value | Column: value``.

Knows its lines to be a table (see ``tables``); every word of them is written once, column names and the sub-headings
of repeated labels aside.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median

from ingest.layout.lines import Line
from ingest.layout.table_cells import Cell
from ingest.layout.table_heads import Column, column_of

_TOTAL = re.compile(r"(?i)(?:sub-?)?total|net\b")
_NO_PARENT = re.compile(r"(?i)%|(?:\w+ ){0,2}balances?\b")  # indented below it is what changes it, no part of it
_LEADER = re.compile(r"[.…·_ ]{3,}$")
_OPEN_END = re.compile(r"(?:[,–—-]|\b(?:and|or|of|to|the|in|for|on|by|from|with|a|an|than|&))$")


@dataclass(slots=True)
class Row:
    """A row while it is put together: its label's lines, its columns' cells, and where it stands."""

    top: float
    bottom: float
    x0: float
    x1: float
    label: list[str] = field(default_factory=list)
    cells: dict[int, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return " ".join(self.label)


def write_rows(
    lines: Sequence[Line], cells: Sequence[Sequence[Cell]], columns: Sequence[Column], names: Sequence[str]
) -> list[str]:
    """The rows of the lines below the header, one string each."""
    rows = _join_labels([_row(line, found, columns) for line, found in zip(lines, cells, strict=True)])
    _carry_labels(rows)
    above = _sub_headings(rows)
    return [_write(row, heading, names) for row, heading in zip(rows, above, strict=True)]


def write_head(cells: Sequence[Cell]) -> str:
    return " | ".join(cell.text for cell in cells)


def is_label(cell: Cell, columns: Sequence[Column]) -> bool:
    """Whether a line's first cell is the row's label, and not a cell of a column."""
    if not columns or cell.x0 < columns[0].x0 - 6:
        return not columns or not (cell.is_value and cell.x1 > columns[0].x0)
    return column_of(cell, columns) is None


def _row(line: Line, cells: Sequence[Cell], columns: Sequence[Column]) -> Row:
    row = Row(line.top, line.bottom, line.x0, cells[0].x1 if cells else line.x1)
    last: int | None = None
    alone = len(cells) == 1 and not cells[0].is_value
    for cell in cells:
        place = column_of(cell, columns)
        if cell is cells[0] and (is_label(cell, columns) or (alone and cell.x1 > cell.x0 and place is None)):
            row.label.append(cell.text)
        elif place is not None:
            row.cells[place] = f"{row.cells[place]} {cell.text}" if place in row.cells else cell.text
            last = place
        elif last is None:
            row.label.append(cell.text)
        else:
            row.cells[last] += f" {cell.text}"
    return row


def _join_labels(rows: Sequence[Row]) -> list[Row]:
    """Rows with the label lines that belong to them: above, below, or around the line of their values."""
    pitch = _pitch(rows)
    edge = _edge(rows)
    joined: list[Row] = []
    waiting: list[Row] = []
    for place, row in enumerate(rows):
        if row.cells:
            while waiting and (_leads(waiting[-1], row, pitch) or (row.label and waiting[-1].x1 > edge)):
                before = waiting.pop()
                row.label[:0] = before.label
                row.x0, row.top = min(row.x0, before.x0), before.top
            joined += waiting
            waiting = []
            joined.append(row)
        elif (
            joined
            and not waiting
            and _follows(joined[-1], row, rows[place + 1] if place + 1 < len(rows) else None, pitch)
        ):
            joined[-1].label += row.label
            joined[-1].bottom = row.bottom
        elif waiting and (_wraps(waiting[-1], row, pitch) or waiting[-1].x1 > edge):
            waiting[-1].label += row.label
            waiting[-1].bottom, waiting[-1].x1 = row.bottom, row.x1
        else:
            waiting.append(row)
    return joined + waiting


def _pitch(rows: Sequence[Row]) -> float:
    """The usual distance of two rows that hold values (0.0 if unknown)."""
    steps = [below.top - above.top for above, below in pairwise(rows) if above.cells and below.cells]
    return median(steps) if len(steps) > 1 else 0.0


def _edge(rows: Sequence[Row]) -> float:
    """Where lines of labels end that go on in the next line: at the right edge of all labels, if three or more do."""
    ends = sorted((row.x1 for row in rows if not row.cells and not row.name.endswith(":")), reverse=True)
    right = max((row.x1 for row in rows if row.label), default=0.0)
    return right - 1.5 if len(ends) > 2 and right - ends[2] < 1.5 else float("inf")


def _leads(above: Row, row: Row, pitch: float) -> bool:
    """Whether a line without values is the beginning of the label of the values below it."""
    if above.name.endswith(":"):
        return False
    if not row.label:
        return bool(pitch) and row.top - above.top < 0.8 * pitch
    first = row.label[0]
    tight = bool(pitch) and row.top - above.top < 0.86 * pitch
    return tight or first[:1].islower() or bool(_OPEN_END.search(above.name))


def _follows(above: Row, row: Row, below: Row | None, pitch: float) -> bool:
    """Whether a line without values is the rest of the label of the values above it."""
    gap = row.top - above.bottom
    if not above.label or not above.cells:
        return bool(not above.label and pitch and row.top - above.top < 0.8 * pitch)
    if row.name.endswith(":") and row.name[:1].isupper() and not _OPEN_END.search(above.name):
        return False
    tight = bool(pitch) and row.top - above.bottom + (above.bottom - above.top) < 0.86 * pitch
    if below is not None and below.cells and bool(pitch) and below.top - row.top < 0.86 * pitch and not tight:
        return False
    if below is not None and below.cells and below.label and _is_nearer(above, row, below):
        return False
    size = row.bottom - row.top
    return tight or (row.name[:1].islower() and gap < 0.8 * size) or bool(_OPEN_END.search(above.name) and gap < size)


def _is_nearer(above: Row, row: Row, below: Row) -> bool:
    """Whether a line between two rows belongs to the one below, by its distance or by its case."""
    near = below.top - row.top < 0.8 * (row.top - above.top)
    return near or (below.name[:1].islower() and row.name[:1].isupper())


def _wraps(above: Row, row: Row, pitch: float) -> bool:
    """Whether a line without values goes on with the line without values above it."""
    if above.name.endswith(":"):
        return False
    tight = bool(pitch) and row.top - above.top < 0.86 * pitch
    return tight or row.name[:1].islower() or bool(_OPEN_END.search(above.name))


def _sub_headings(rows: Sequence[Row]) -> list[str]:
    """For each row whose label stands in several rows: the sub-heading above it that tells them apart ("" if none)."""
    counts = Counter(row.name.lower() for row in rows if row.cells)
    found = []
    heading: Row | None = None
    outer: list[Row] = []
    for row in rows:
        while outer and outer[-1].x0 > row.x0 - 1.5:
            outer.pop()
        repeated = bool(row.cells) and bool(row.label) and counts[row.name.lower()] > 1
        parent = outer[-1] if outer and not (outer[-1].cells and _no_part(row, outer[-1])) else None
        if parent is None and heading is not None and not (heading.x0 > row.x0 + 1.5):
            parent = heading
        found.append(_LEADER.sub("", parent.name).rstrip(":") if repeated and parent is not None else "")
        if not row.cells:
            heading = row
        outer.append(row)
    return found


def _no_part(row: Row, above: Row) -> bool:
    return bool(_TOTAL.match(row.name) or _NO_PARENT.match(above.name))


def _carry_labels(rows: Sequence[Row]) -> None:
    """Give a row without a label that of the row above where both start with text: one label for several rows."""
    for above, row in pairwise(rows):
        if not row.label and above.label and row.cells and above.cells:
            first = min(row.cells)
            if first == min(above.cells) and any(map(str.isalpha, row.cells[first])) and "N/A" not in row.cells[first]:
                row.label = list(above.label)
                row.x0 = above.x0


def _write(row: Row, heading: str, names: Sequence[str]) -> str:
    parts = [f"{heading}: {row.name}" if heading else row.name] if row.label else []
    for place in sorted(row.cells):
        name = names[place]
        parts.append(f"{name}: {row.cells[place]}" if name else row.cells[place])
    return " | ".join(parts)
