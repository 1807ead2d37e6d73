"""A table's cells as lines that read alone: `Label | Column: value | Column: value` below its header rows.

Knows cells, spans and header marks, whatever format they came from; guesses header rows only where none is marked.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ingest.parsed import NotRead
from ingest.readers.writing import MAX_CHARACTERS, Part, one_line, tidy, too_much_text

MAX_CELLS = 2_000_000
"""A table or sheet with more cells, spans and empty ones counted, makes the document too large."""

_MAX_SPAN = 1_000
_MAX_HEAD = 4
_LONGEST_REPEATED = 120  # a name or label that stands in every row it covers; a longer one is no name
_DATUM = re.compile(
    r"[-–—+(]{0,2}\s?[$€£¥]?\s?[-(]?\d[\d,.']{0,30}\)?\s?%?\)?"
    r"|[-–—]|TRUE|FALSE|\d{4}-\d\d-\d\d(?: [\d:]{5,8})?"
)
_YEAR = re.compile(r"(?:19|20)\d\d")
_OPENS = frozenset({"$", "€", "£", "¥", "(", "$(", "-$", "($"})
_CLOSES = frozenset({")", "%", ")%", "%)"})


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell's text, how many columns and rows it covers, and whether the file marks it as a header."""

    text: str
    columns: int = 1
    rows: int = 1
    header: bool = False


@dataclass(frozen=True, slots=True)
class _Slot:
    """A place in the grid. ``copied`` says from where a spanning cell reaches it: "" (its own), "left" or "above"."""

    text: str
    copied: str = ""
    header: bool = False


_EMPTY = _Slot("")


def table(rows: Iterable[Sequence[Cell]], head: int | None = None) -> Part:
    """The rows as a "table" part; ``head`` is the number of header rows, None to take marks or guess.

    A header over several columns names each of them, a cell over several rows stands in each. Signs of currency,
    per cent and brackets in cells of their own join their number. A table of one column is a paragraph.
    Raises NotRead ("too large").
    """
    grid = [row for row in _grid(rows) if any(slot.text for slot in row)]
    width = max((index + 1 for row in grid for index, slot in enumerate(row) if slot.text), default=0)
    if width <= 1:
        return Part("paragraph", "\n".join(slot.text for row in grid for slot in row[:1]))
    if head is None:
        head = _marked_head(grid) or _guessed_head(grid, width)
    head = min(head, len(grid) - 1)
    names = [_name(grid[:head], column, width) for column in range(width)]
    lines = [" | ".join(slot.text for slot in row if slot.text and not slot.copied) for row in grid[:head]]
    lines = [line for line in lines if line]
    heads = len(lines)
    length = 0
    for row in grid[head:]:
        lines.append(_row_line(row, names))
        length += len(lines[-1])
        if length > MAX_CHARACTERS:
            raise too_much_text()
    return Part("table", "\n".join(lines), head=heads)


def _grid(rows: Iterable[Sequence[Cell]]) -> list[list[_Slot]]:
    """Rows of slots, spans resolved; rows may differ in length."""
    grid = []
    above: dict[int, tuple[_Slot, int]] = {}
    cells = 0
    for row in rows:
        slots, above = _placed(row, above)
        cells += len(slots)
        if cells > MAX_CELLS:
            raise NotRead("too large", f"a table in it has more than {MAX_CELLS:,} cells")
        grid.append(slots)
    return grid


def _placed(
    row: Sequence[Cell], above: Mapping[int, tuple[_Slot, int]]
) -> tuple[list[_Slot], dict[int, tuple[_Slot, int]]]:
    """A row's slots, and what reaches down from it: column → (slot, for how many more rows). ``above`` reaches in."""
    slots: list[_Slot] = []
    below: dict[int, tuple[_Slot, int]] = {}

    def take_from_above(slot: _Slot, left: int) -> None:
        if left > 1:
            below[len(slots)] = slot, left - 1
        slots.append(slot)

    for cell in row:
        while len(slots) in above:
            take_from_above(*above[len(slots)])
        text = tidy(one_line(cell.text))
        repeated = text if len(text) <= _LONGEST_REPEATED else ""
        for n in range(min(max(cell.columns, 1), _MAX_SPAN)):
            if cell.rows > 1:
                below[len(slots)] = _Slot(repeated, "left" if n else "above", cell.header), cell.rows - 1
            slots.append(_Slot(repeated if n else text, "left" if n else "", cell.header))
    for column in range(len(slots), max(above, default=-1) + 1):
        take_from_above(*above.get(column, (_EMPTY, 1)))
    return slots, below


def _marked_head(grid: Sequence[Sequence[_Slot]]) -> int:
    count = 0
    for row in grid:
        if not all(slot.header for slot in row if slot.text):
            break
        count += 1
    return count if count < len(grid) else 0


def _guessed_head(grid: Sequence[Sequence[_Slot]], width: int) -> int:
    """How many leading rows are text over data; 0 where nothing speaks for it."""
    if len(grid) < 2:
        return 0
    count = 0
    while count < min(_MAX_HEAD, len(grid) - 1) and not grid[count][0].text and not _has_data(grid[count]):
        count += 1
    if count:
        return count
    first = grid[0]
    if _has_data(first) or sum(1 for slot in first if slot.text) < 2:
        return 0
    for column in range(1, min(width, len(first))):
        below = [row[column].text for row in grid[1:] if column < len(row) and row[column].text]
        data = sum(1 for text in below if _is_datum(text))
        years = sum(1 for text in below if _YEAR.fullmatch(text))
        if (
            first[column].text
            and data > 0.6 * len(below)
            and not (_YEAR.fullmatch(first[column].text) and years == data)
        ):
            return 1
    texts = [slot.text for slot in first]
    return int(width >= 3 and len(texts) == width and all(texts) and len(set(texts)) == width)


def _has_data(row: Sequence[_Slot]) -> bool:
    return any(_is_datum(slot.text) and not _YEAR.fullmatch(slot.text) for slot in row)


def _is_datum(text: str) -> bool:
    return text.startswith("=") or (len(text) <= 40 and _DATUM.fullmatch(text) is not None)


def _name(head: Sequence[Sequence[_Slot]], column: int, width: int) -> str:
    """A column's name: what its header rows say, top down; a title over all columns names none."""
    words: list[str] = []
    for row in head:
        if column >= len(row) or len({slot.text for slot in row[:width] if slot.text}) < 2:
            continue
        text = row[column].text
        if text and text not in words:
            words.append(text)
    name = " ".join(words)
    return name if len(name) <= _LONGEST_REPEATED else ""


def _row_line(row: Sequence[_Slot], names: Sequence[str]) -> str:
    values: list[tuple[int, str]] = []
    opening = ""
    for column, slot in enumerate(row):
        if not slot.text or slot.copied == "left":
            continue
        if slot.text in _OPENS and column:
            opening += slot.text
        elif slot.text in _CLOSES and values:
            values[-1] = (values[-1][0], values[-1][1] + slot.text)
        else:
            values.append((column, opening + slot.text))
            opening = ""
    if opening:
        values.append((len(row) - 1, opening))
    return " | ".join(
        f"{names[column]}: {text}" if column and names[column] and names[column] != text else text
        for column, text in values
    )
