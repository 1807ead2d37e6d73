"""Tables read from CSV, spreadsheets, JSON lines and Parquet; ``assistant.table_writing`` writes them again.

A cell keeps what it is: numbers, dates and empty cells of a spreadsheet or a Parquet file stay such. Knows nothing of
what the cells mean.
"""

from __future__ import annotations

import csv
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, time
from pathlib import Path
from typing import Any, Final

from fieldguide.errors import FieldguideError
from ingest.qa.sheets import csv_table, decoded, json_objects, load_openpyxl, plain, uncoded

SUFFIXES = (".csv", ".xlsx", ".jsonl", ".parquet")
ABSENT: Final = object()
"""The cell of a JSON line that has no such key."""


@dataclass(frozen=True, slots=True)
class Row:
    """Cells in the order of the columns; ``line`` (from 1) is where a person finds it. ``fault`` says why it could not
    be read as it should ("" if it could). ``formats`` are the number formats of a spreadsheet's cells."""

    line: int
    cells: tuple[Any, ...]
    fault: str = ""
    formats: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Table:
    """``columns`` may be empty or repeat, as files have them. ``notes`` say what a user should know of the reading, a
    sentence each. ``arrow`` is the pyarrow table that was read, whose columns are carried over as they are."""

    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()
    arrow: Any = None
    escaped: bool = False
    """Text is as a CSV file had it: written to CSV again, it is left alone."""


def suffix_of(path: Path) -> str:
    """The ending in small letters. Raises FieldguideError for one that is not in SUFFIXES."""
    suffix = path.suffix.casefold()
    if suffix not in SUFFIXES:
        raise FieldguideError(f"{path} does not end in one of {', '.join(SUFFIXES)}.")
    return suffix


def read_table(path: Path) -> Table:
    """All rows of a file. The first row that is not empty names the columns of CSV and spreadsheets; rows without any
    cell are left out and counted in the notes. CSV may be divided by commas, semicolons or tabs.

    Raises FieldguideError if the file is not there or is not what its ending says.
    """
    suffix = suffix_of(path)
    if not path.is_file():
        raise FieldguideError(f"There is no file {path}.")
    try:
        if suffix == ".jsonl":
            return _json_lines(decoded(path)[0])
        if suffix == ".csv":
            return _csv(path)
        return _sheet(path) if suffix == ".xlsx" else _parquet(path)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise FieldguideError(f"{path} cannot be read: {error}.") from None


def _of_rows(table: Iterable[tuple[int, Sequence[Any], tuple[str, ...]]], notes: Sequence[str], **more: Any) -> Table:
    """A table from rows of which the first names the columns; one with more cells than names has a fault."""
    filled, empty = [], 0
    for line, cells, formats in table:
        if any(cell is not None and str(cell).strip() for cell in cells):
            filled.append((line, cells, formats))
        elif filled:
            empty += 1
    if not filled:
        return Table((), (), tuple(notes), **more)
    names = [plain(cell).strip() for cell in filled[0][1]]
    while names and not names[-1]:
        names.pop()
    lengths = [
        max((n for n, cell in enumerate(cells, 1) if cell not in (None, "")), default=0) for _, cells, _ in filled
    ]
    width = max(lengths)
    rows = []
    for (line, cells, formats), length in zip(filled[1:], lengths[1:], strict=True):
        padded = (*cells[:width], *(None,) * (width - len(cells)))
        fault = f"The row has {length} cells and the first one names {len(names)}: is a quotation mark missing?"
        rows.append(Row(line, padded, fault if length > len(names) else "", formats[:width]))
    if empty:
        notes = [*notes, f"{empty} empty row(s) are left out."]
    return Table((*names, *("",) * (width - len(names))), tuple(rows), tuple(notes), **more)


def _csv(path: Path) -> Table:
    text, encoding = decoded(path)
    said = [f"{path.name} is no UTF-8 and was read as Windows-1252."] if encoding == "cp1252" else []
    return _of_rows(((line, cells, ()) for line, cells in csv_table(text)), said, escaped=True)


def _json_lines(text: str) -> Table:
    read = [
        (line, {"unreadable": written}, f"Line {line} is {fault}.") if fault else (line, value, "")
        for line, written, value, fault in json_objects(text)
    ]
    columns = tuple(dict.fromkeys(name for _, value, _ in read for name in value))
    rows = (Row(line, tuple(value.get(name, ABSENT) for name in columns), fault) for line, value, fault in read)
    return Table(columns, tuple(rows))


def _sheet(path: Path) -> Table:
    from ingest.parsed import NotRead
    from ingest.readers.office import check_archive

    openpyxl = load_openpyxl()
    try:
        check_archive(path)
        book = openpyxl.load_workbook(path)
        if not book.worksheets:
            raise FieldguideError(f"{path} holds no sheet with cells.")
        sheet = book.worksheets[0]
        computed: Any = None
        if any(cell.data_type == "f" for row in sheet.iter_rows() for cell in row):
            computed = openpyxl.load_workbook(path, data_only=True).worksheets[0]
    except NotRead as error:
        raise FieldguideError(f"{path} cannot be read: {error.reason}.") from None
    except (zipfile.BadZipFile, LookupError, ValueError, AttributeError, TypeError, SyntaxError) as error:
        raise FieldguideError(f"{path} cannot be read as a spreadsheet: {error}.") from None
    notes = []
    if len(book.worksheets) > 1:
        notes.append(f"{path.name} has {len(book.worksheets)} sheets; the first, “{sheet.title}”, is read.")
    rows, lost = [], 0
    for line, cells in enumerate(sheet.iter_rows(), 1):
        values = []
        for cell in cells:
            value = _read_cell(cell, computed)
            lost += cell.data_type == "f" and value is None
            values.append(value)
        rows.append((line, values, tuple(str(cell.number_format) for cell in cells)))
    if lost:
        notes.append(
            f"{lost} formula(s) were never computed, so their cells are empty: save it in a spreadsheet program."
        )
    return _of_rows(rows, notes)


def _read_cell(cell: Any, computed: Any) -> Any:
    """A cell's value: of a formula what it came to, of a day without time a date."""
    value = computed.cell(cell.row, cell.column).value if cell.data_type == "f" else cell.value
    if isinstance(value, str):
        return uncoded(value)
    if isinstance(value, datetime) and value.time() == time() and "h" not in cell.number_format.lower():
        return value.date()
    return value


def _parquet(path: Path) -> Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
        read = {}
        for number, field in enumerate(table.schema):
            column = table.column(number)
            if pa.types.is_timestamp(field.type) and field.type.unit == "ns":  # Python's own go to microseconds
                column = column.cast(pa.timestamp("us", field.type.tz), safe=False)
            read[number] = column.to_pylist()
    except pa.ArrowException as error:
        raise FieldguideError(f"{path} cannot be read as Parquet: {str(error).splitlines()[0]}") from None
    cells = zip(*read.values(), strict=True) if read else [() for _ in range(table.num_rows)]
    rows = tuple(Row(line, tuple(values)) for line, values in enumerate(cells, 1))
    return Table(tuple(table.schema.names), rows, arrow=table)
