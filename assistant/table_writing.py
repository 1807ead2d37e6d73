"""Tables written as they were read, with columns added: to CSV, spreadsheets, JSON lines or Parquet, atomically.

Added text that a spreadsheet would run as a formula is written behind an apostrophe in CSV and spreadsheets; so is, in
CSV, text from other kinds of files. Nothing is a formula in a spreadsheet written here.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from assistant.tables import ABSENT, Table, suffix_of
from fieldguide.errors import FieldguideError
from fieldguide.files import open_atomically, write_atomically
from ingest.qa.sheets import coded, escape, load_openpyxl, plain, printable

_EXACT = 2**53
"""A spreadsheet's numbers are floats: whole ones over this would be rounded."""
_MOST_ROWS = 1_048_576


def write_table(path: Path, table: Table, added: Mapping[str, Sequence[Any]]) -> list[str]:
    """Write the table with these columns behind its own, atomically, in the form that the file's ending names.

    ``added`` holds a text, truth value, number or None for each row. Returns what a user should know, a sentence each.
    Raises FieldguideError if the form cannot hold it.
    """
    match suffix_of(path):
        case ".jsonl":
            _write_json_lines(path, table, added)
        case ".csv":
            _write_csv(path, table, added)
        case ".xlsx":
            return _write_sheet(path, table, added)
        case _:
            return _write_parquet(path, table, added)
    return []


def unique(names: Iterable[str]) -> list[str]:
    """The names with those that are empty or were there before made different: "column 3", "note (2)"."""
    found: list[str] = []
    for number, name in enumerate(names, 1):
        wanted = base = name or f"column {number}"
        n = 1
        while wanted in found:
            n += 1
            wanted = f"{base} ({n})"
        found.append(wanted)
    return found


def _write_json_lines(path: Path, table: Table, added: Mapping[str, Sequence[Any]]) -> None:
    names = unique([*table.columns, *added])
    lines = []
    for number, row in enumerate(table.rows):
        cells = (*row.cells, *(values[number] for values in added.values()))
        value = {name: _for_json(cell) for name, cell in zip(names, cells, strict=True) if cell is not ABSENT}
        lines.append(json.dumps(value, ensure_ascii=False, default=str) + "\n")
    write_atomically(path, "".join(lines).encode("utf-8", "replace"))


def _for_json(cell: Any) -> Any:
    if isinstance(cell, float) and not math.isfinite(cell):
        return None
    return cell.isoformat() if isinstance(cell, date | time) else cell


def _write_csv(path: Path, table: Table, added: Mapping[str, Sequence[Any]]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow([*table.columns, *added])
    for number, row in enumerate(table.rows):
        own = [_text(cell) if table.escaped or not isinstance(cell, str) else escape(cell) for cell in row.cells]
        writer.writerow([*own, *(escape(_text(v[number])) if isinstance(v[number], str) else _text(v[number])
                                 for v in added.values())])  # fmt: skip
    write_atomically(path, b"\xef\xbb\xbf" + text.getvalue().encode("utf-8", "replace"))


def _text(cell: Any) -> str:
    if cell is ABSENT or (isinstance(cell, float) and math.isnan(cell)):
        return ""
    return cell.isoformat(" ") if isinstance(cell, datetime) else plain(cell)


def _write_sheet(path: Path, table: Table, added: Mapping[str, Sequence[Any]]) -> list[str]:
    openpyxl = load_openpyxl()
    from openpyxl.styles import Alignment, Font

    if len(table.rows) >= _MOST_ROWS:
        raise FieldguideError(f"A spreadsheet holds {_MOST_ROWS} rows, and there are more: write to .csv or .parquet.")
    book = openpyxl.Workbook()
    sheet = book.active
    cut = 0
    for column, name in enumerate([*table.columns, *added], 1):
        sheet.cell(1, column).font = Font(bold=True)
        _put(sheet.cell(1, column), name)
    for number, row in enumerate(table.rows):
        line = number + 2
        for column, cell in enumerate(row.cells, 1):
            given = row.formats[column - 1] if column <= len(row.formats) else ""
            cut += _put(sheet.cell(line, column), cell, given)
        for column, values in enumerate(added.values(), len(row.cells) + 1):
            value = values[number]
            cut += _put(sheet.cell(line, column), escape(value) if isinstance(value, str) else value)
            sheet.cell(line, column).alignment = Alignment(vertical="top", wrap_text=True)
    for column in range(1, len(table.columns) + len(added) + 1):
        sheet.column_dimensions[openpyxl.utils.get_column_letter(column)].width = 24
    sheet.freeze_panes = "A2"
    with open_atomically(path) as file:
        book.save(file)
    return [f"{cut} cell(s) are longer than a spreadsheet's can be and were cut to 32,000 characters."] if cut else []


def _put(cell: Any, value: Any, number_format: str = "") -> bool:
    """Write a value into a spreadsheet's cell, never as a formula; whether something of it was cut off."""
    if value is None or value is ABSENT or (isinstance(value, float) and math.isnan(value)):
        return False
    if _is_number(value):
        cell.value = value
        if number_format:
            cell.number_format = number_format
        return False
    text = value if isinstance(value, str) else _text(value)
    if not text:
        return False
    shown = printable(text)
    cell.value = coded(shown)
    cell.data_type = "s"
    return len(shown) < len(text)


def _is_number(value: Any) -> bool:
    """Whether a spreadsheet holds it as it is: numbers that it does not round, truth values, dates from 1900 on."""
    if isinstance(value, bool | time | timedelta):
        return True
    if isinstance(value, datetime):
        return value.tzinfo is None and value.year > 1900
    if isinstance(value, date):
        return value.year > 1900
    if isinstance(value, int):
        return abs(value) <= _EXACT
    return isinstance(value, float | Decimal) and math.isfinite(value)


def _write_parquet(path: Path, table: Table, added: Mapping[str, Sequence[Any]]) -> list[str]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = unique([*table.columns, *added])
    width = len(table.columns)
    notes = []
    if table.arrow is not None:
        own = list(table.arrow.columns)
    else:
        own = []
        for number, name in enumerate(names[:width]):
            values = [None if row.cells[number] is ABSENT else row.cells[number] for row in table.rows]
            try:
                own.append(pa.array(values))
            except (pa.ArrowException, OverflowError, TypeError):
                own.append(pa.array([None if value is None else _text(value) for value in values], pa.string()))
                notes.append(
                    f"The column “{name}” holds values of several kinds, which Parquet cannot: it is text there."
                )
    kinds: dict[type, Any] = {bool: pa.bool_(), float: pa.float64()}
    more = [pa.array(values, kinds.get(type(next((v for v in values if v is not None), "")), pa.string()))
            for values in added.values()]  # fmt: skip
    metadata = table.arrow.schema.metadata if table.arrow is not None else None
    made = pa.Table.from_arrays([*own, *more], names=names)
    if table.arrow is not None:
        fields = [table.arrow.schema.field(n).with_name(names[n]) for n in range(width)]
        made = made.cast(pa.schema([*fields, *list(made.schema)[width:]], metadata=metadata))
    with open_atomically(path) as file:
        pq.write_table(made, file)
    return notes
