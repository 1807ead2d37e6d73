"""Lines of a table of text, parted into columns, to its rows: at wide white gaps, or by their labels.

Knows its lines to be a table (see ``table_grids``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median

from ingest.layout.lines import Line
from ingest.layout.table_cells import make_cell
from ingest.layout.words import Word

_OVERLAP = -0.12  # line heights; lines that overlap more are set between two others, as in a centred cell


@dataclass(slots=True)
class GridRow:
    """The words of a row: by column, and there line by line; and how many lines of the page it takes."""

    cells: dict[int, list[list[Word]]] = field(default_factory=dict)
    lines: int = 0

    def words(self, column: int) -> list[Word]:
        return [word for line in self.cells[column] for word in line]

    def text(self, column: int) -> str:
        return make_cell(self.words(column)).text


def group_rows(lines: Sequence[Line], split: Sequence[dict[int, list[Word]]]) -> list[GridRow]:
    """Lines to rows: at wide gaps where the gaps are of two sizes, else each line is a row."""
    gaps = []
    bottom = lines[0].bottom
    for line in lines[1:]:
        gaps.append(line.top - bottom)
        bottom = max(bottom, line.bottom)
    size = median(line.bottom - line.top for line in lines)
    sparse = 2 * sum(0 in words for words in split) < len(split)  # most lines are not the first of their row
    limit = _limit(gaps, size, 1 if sparse else max(2, len(gaps) // 16))
    rows: list[GridRow] = []
    above: dict[int, list[Word]] = {}
    for place, words in enumerate(split):
        if place == 0 or limit is None or _begins(gaps[place - 1], limit, size, rows[-1], above, words):
            rows.append(GridRow())
        rows[-1].lines += 1
        for column, cell in words.items():
            rows[-1].cells.setdefault(column, []).append(cell)
        above = words
    return rows


def _limit(gaps: Sequence[float], size: float, least: int) -> float | None:
    """The gap above which a row begins, where the gaps are of two sizes: lines of a cell, and rows (None if not).

    ``least`` is how many gaps between rows there must be.
    """
    order = sorted(gap for gap in gaps if gap > _OVERLAP * size)
    for place in range(len(order) // 4, len(order) - least):
        low, high = order[place], order[place + 1]
        if high - low >= 0.15 * size:
            return (low + high) / 2
    return None


def _begins(
    gap: float, limit: float, size: float, row: GridRow, above: dict[int, list[Word]], words: dict[int, list[Word]]
) -> bool:
    return gap > limit or (gap > _OVERLAP * size and _restarts(row, above, words))


def _restarts(row: GridRow, above: dict[int, list[Word]], words: dict[int, list[Word]]) -> bool:
    """Whether a line without a wide gap above it begins a row: its label is a number, or the first line had one."""
    if 0 not in words or 0 not in row.cells:
        return False
    return 0 not in above or (words[0][0].text[0].isdigit() and row.cells[0][-1][0].text[0].isdigit())


def write_row(row: GridRow, names: Sequence[str]) -> str:
    """The row as it is written, its cells under their columns' ``names``."""
    parts = []
    for place in sorted(row.cells):
        name = names[place] if place > 0 else ""
        parts.append(f"{name}: {row.text(place)}" if name else row.text(place))
    return " | ".join(parts)
