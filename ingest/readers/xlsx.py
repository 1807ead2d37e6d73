"""Excel files, opened by openpyxl: a sheet is a page with its name as heading and label.

Empty rows part tables; a row with a single cell above a table is a paragraph. Values stand as the sheet shows them as
far as that is simple: dates in ISO 8601, per cent, decimals and thousands by the cell's format. Hidden sheets, rows and
columns are read too; charts, comments and pictures are not. A formula without a stored value stands as the formula.
"""

from __future__ import annotations

import datetime
import re
import zipfile
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import zip_longest
from pathlib import Path
from typing import Any

from ingest.parsed import NotRead, Parsed
from ingest.readers.office import check_archive, faults, properties
from ingest.readers.tables import MAX_CELLS, Cell, table
from ingest.readers.writing import MAX_CHARACTERS, Part, too_much_text, write_page

_FORMULA = re.compile(rb"<(?:\w{1,9}:)?f[\s>]")
_SHOWN = re.compile(r'(?:"?([$€£¥])"?\s?)?([#,]{0,4}0)(?:\.(0{1,9}))?(%)?')
_QUOTED_UNIT = re.compile(r"\[\$([^\]-]{0,3})[^\]]{0,12}\]")


def read(path: Path, max_pages: int) -> Parsed:
    check_archive(path)
    with faults("openpyxl cannot read it"):
        import openpyxl

        # Values are stored beside formulas; only where there are formulas is it worth to read the sheets twice.
        books = [openpyxl.load_workbook(path, read_only=True, data_only=True)]
        if _has_formulas(path):
            books.append(openpyxl.load_workbook(path, read_only=True, data_only=False))
        try:
            names = [sheet.title for sheet in books[0].worksheets]
            if len(names) > max_pages:
                raise NotRead("too large", f"it has {len(names)} sheets, more than ingest.max_pages = {max_pages}")
            budget = _Budget()
            pages, missing = [], []
            for number, name in enumerate(names, 1):
                rows, unknown = _rows([book.worksheets[number - 1] for book in books], budget)
                pages.append(write_page([Part("heading", name, 1), *_parts(rows)], name, "xlsx"))
                if unknown:
                    missing.append((number, f"{unknown} formula(s) have no stored value; the formulas stand instead"))
        finally:
            for book in books:
                book.close()
        if all(len(page.blocks) < 2 for page in pages):
            raise NotRead("empty", "none of its sheets holds a value")
        return Parsed("", properties(path), pages, missing)


class _Budget:
    """What all sheets together may hold."""

    def __init__(self) -> None:
        self._cells = 0
        self._characters = 0

    def spend(self, cells: int, characters: int) -> None:
        self._cells += cells
        self._characters += characters
        if self._cells > MAX_CELLS:
            raise NotRead("too large", f"its sheets have more than {MAX_CELLS:,} cells")
        if self._characters > MAX_CHARACTERS:
            raise too_much_text()


def _has_formulas(path: Path) -> bool:
    with zipfile.ZipFile(path) as archive:
        return any(
            _FORMULA.search(archive.read(name)) for name in archive.namelist() if name.startswith("xl/worksheets/")
        )


def _rows(sheets: Sequence[Any], budget: _Budget) -> tuple[list[list[str]], int]:
    """The sheet's rows as shown, and how many formulas have no value. ``sheets``: with values, and with formulas."""
    for sheet in sheets:
        sheet.reset_dimensions()  # what a file states about its size is not to be trusted
    shown, unknown = [], 0
    for row, *formulas in zip_longest(*(sheet.iter_rows() for sheet in sheets), fillvalue=()):
        texts = [_shown(cell) for cell in row]
        for column, cell in enumerate(formulas[0] if formulas else ()):
            if column < len(texts) and not texts[column] and isinstance(cell.value, str) and cell.value.startswith("="):
                texts[column] = cell.value
                unknown += 1
        budget.spend(len(texts) + 1, sum(len(text) for text in texts))
        shown.append(texts)
    return shown, unknown


def _parts(rows: Sequence[Sequence[str]]) -> Iterator[Part]:
    group: list[Sequence[str]] = []
    for row in [*rows, ()]:
        if any(row):
            group.append(row)
        elif group:
            yield from _group_parts(group)
            group = []


def _group_parts(rows: list[Sequence[str]]) -> Iterator[Part]:
    """Rows without an empty one between them: lines of a single cell above and below, the table between them."""
    counts = [sum(1 for text in row if text) for row in rows]
    start, end = 0, len(rows)
    if max(counts) > 1:
        while counts[start] == 1 and rows[start][0]:
            start += 1
        left = next(index for row in rows[start:] for index, text in enumerate(row) if text)
        left = min(left, *(next(index for index, text in enumerate(row) if text) for row in rows))
    else:
        start, left = end, 0
    for row in rows[:start]:
        yield Part("paragraph", next(text for text in row if text))
    if start < end:
        yield table([[Cell(text) for text in row[left:]] for row in rows[start:end]])


def _shown(cell: Any) -> str:
    value = cell.value
    if value is None or isinstance(value, str):
        return value or ""
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, datetime.datetime):
        return value.date().isoformat() if value.time() == datetime.time() else value.isoformat(" ", "seconds")
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, int | float):
        return _number(value, str(cell.number_format))
    return str(value)


def _number(value: float, pattern: str) -> str:
    """A number by the simple patterns: unit, thousands, decimals, per cent; all others in 15 digits."""
    simple = _simple(pattern)
    if simple is None or not abs(value) < 1e15:
        return str(value) if isinstance(value, int) else format(value, ".15g")
    unit, spec, percent = simple
    digits = format(abs(value) * (100 if percent else 1), spec)
    sign = "-" if value < 0 and any(digit in digits for digit in "123456789") else ""
    return f"{sign}{unit}{digits}{percent}"


@lru_cache(maxsize=1024)
def _simple(pattern: str) -> tuple[str, str, str] | None:
    """(unit, format specification, "%" or "") of a pattern such as `"$"#,##0.00`; None for one that is not simple."""
    first = _QUOTED_UNIT.sub(r"\1", pattern[:80].split(";")[0])
    match = _SHOWN.search(first.replace("\\", "").replace("_(", "").replace("_)", ""))
    if match is None or first == "General" or "E" in first:
        return None
    unit, whole, decimals, percent = match.groups()
    return unit or "", f"{',' if ',' in whole else ''}.{len(decimals or '')}f", percent or ""
