"""Rows of named text cells to JSON lines, CSV or a spreadsheet and back, unchanged whatever they hold.

A cell that a spreadsheet program would run as a formula, or in a CSV file take for a number or date and rewrite, is
written behind an apostrophe, which reading takes off again. Knows nothing of what the cells mean.
"""

from __future__ import annotations

import csv
import io
import json
import re
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.sax import SAXException

from fieldguide.errors import FieldguideError
from fieldguide.files import open_atomically, write_atomically
from ingest.qa.rule_labels import words

SUFFIXES = (".jsonl", ".csv", ".xlsx")
_FORMULA = tuple("=+-@\t\r\n＝＋－＠'")
_TYPED = words(
    "e am pm jan feb mar apr may jun jul aug sep sept oct nov dec january february march april june july august "
    "september october november december"
)
_SHORT = 40
_WHOLE = re.compile(r"[1-9][0-9]{0,8}|0")
"""A number that a spreadsheet writes back as it was."""
_MOST_CHARACTERS = 32_000
"""Of a spreadsheet's cell; Excel takes 32,767."""
_CODED = re.compile(r"_(?=x[0-9A-Fa-f]{4}_)|[\x00-\x08\x0b-\x1f\ufffe\uffff]")
_CODE = re.compile(r"_x([0-9A-Fa-f]{4})_")
_SURROGATE = re.compile(r"[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Row:
    """Cells by column; ``line`` (from 1) is where a person finds it. ``fault`` says why it could not be read."""

    line: int
    cells: Mapping[str, str]
    fault: str = ""


def printable(cell: str) -> str:
    """What of a text every form can hold: no half of a surrogate pair, and at most 32,000 characters."""
    return _SURROGATE.sub("\ufffd", cell[:_MOST_CHARACTERS])


def write_rows(path: Path, rows: Sequence[Mapping[str, str]], columns: Mapping[str, int]) -> None:
    """Write the rows, of printable cells, in the form that the file's ending names.

    ``columns`` are their names, with the width that they have in a spreadsheet, in characters. Raises FieldguideError
    for another ending, or for .xlsx without openpyxl.
    """
    match _suffix(path):
        case ".jsonl":
            write_atomically(path, "".join(json.dumps(dict(row), ensure_ascii=False) + "\n" for row in rows))
        case ".csv":
            text = io.StringIO()
            writer = csv.writer(text, lineterminator="\r\n")
            writer.writerow(columns)
            writer.writerows([escape(row[name], typed=True) for name in columns] for row in rows)
            write_atomically(path, b"\xef\xbb\xbf" + text.getvalue().encode("utf-8"))  # Excel knows UTF-8 by the mark
        case _:
            _write_sheet(path, rows, columns)


def read_rows(path: Path, columns: Iterable[str], needed: Sequence[str]) -> list[Row]:
    """The rows of a file, without empty ones, each with the cells that it has of these columns, however they are spelt.

    CSV may be divided by commas, semicolons or tabs. Raises FieldguideError if the file cannot be read as what its
    ending says, or one of the ``needed`` columns is not in it.
    """
    known = {spelling(name): name for name in columns}
    suffix = _suffix(path)
    try:
        if suffix == ".jsonl":
            return [*_json_rows(decoded(path)[0], known)]
        table = [*csv_table(decoded(path)[0])] if suffix == ".csv" else _sheet_table(path)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise FieldguideError(f"{path} cannot be read: {error}.") from None
    filled = [(line, cells) for line, cells in table if any(cell.strip() for cell in cells)]
    names = [known.get(spelling(cell), "") for cell in filled[0][1]] if filled else []
    if missing := [name for name in needed if name not in names]:
        raise FieldguideError(f"{path} has no column {', '.join(missing)} in its first row.")
    return [
        Row(line, {name: unescape(cell) for name, cell in zip(names, cells, strict=False) if name})
        for line, cells in filled[1:]
    ]


def escape(cell: str, *, typed: bool = False) -> str:
    """The cell behind an apostrophe if a spreadsheet would run it; with ``typed`` also if one would rewrite it."""
    return f"'{cell}" if cell.startswith(_FORMULA) or (typed and _is_typed(cell)) else cell


def unescape(cell: str) -> str:
    """What ``escape`` was given; an apostrophe that it would not have put there stays."""
    rest = cell[1:]
    return rest if cell.startswith("'") and (rest.startswith(_FORMULA) or _is_typed(rest)) else cell


def coded(text: str) -> str:
    """The text as a spreadsheet's cell holds it: what XML cannot hold is written as _xHHHH_."""
    return _CODED.sub(lambda m: f"_x{ord(m.group()):04X}_", text)


def uncoded(text: str) -> str:
    """What ``coded`` was given."""
    return _CODE.sub(lambda m: chr(int(m.group(1), 16)), text)


def _is_typed(cell: str) -> bool:
    """Whether a spreadsheet takes the text of a CSV cell for a number, a date, a time or a truth value."""
    if cell.strip().casefold() in ("true", "false"):
        return True
    if _WHOLE.fullmatch(cell) or len(cell) > _SHORT or not any(char.isdecimal() for char in cell):
        return False
    return all(word.casefold() in _TYPED for word in re.findall(r"[^\W\d_]+", cell))


def spelling(name: str) -> str:
    """A column's name without what people vary in it: case, underscores, spaces."""
    return " ".join(name.casefold().replace("_", " ").split())


def _suffix(path: Path) -> str:
    suffix = path.suffix.casefold()
    if suffix not in SUFFIXES:
        raise FieldguideError(f"{path} does not end in one of {', '.join(SUFFIXES)}.")
    return suffix


def decoded(path: Path) -> tuple[str, str]:
    """A text file's content and its encoding: UTF-8 with or without its mark, UTF-16 with its mark, else what Windows
    writes ("cp1252"), which JSON lines never are."""
    raw = path.read_bytes()
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        return raw.decode("utf-16"), "utf-16"
    try:
        return raw.decode("utf-8-sig"), "utf-8"
    except UnicodeDecodeError:
        if path.suffix.casefold() == ".jsonl":
            raise
        return raw.decode("cp1252"), "cp1252"


def json_objects(text: str) -> Iterator[tuple[int, str, dict[str, Any], str]]:
    """Of each line that is not blank its number from 1, what is written, the object, and why there is none ("")."""
    for line, written in enumerate(text.split("\n"), 1):
        if not written.strip():
            continue
        try:
            value = json.loads(written)
        except (ValueError, RecursionError) as error:
            yield line, written, {}, f"not JSON ({error})"
            continue
        yield (line, written, value, "") if isinstance(value, dict) else (line, written, {}, "not a JSON object")


def _json_rows(text: str, known: Mapping[str, str]) -> Iterator[Row]:
    for line, _, value, fault in json_objects(text):
        if fault:
            yield Row(line, {}, fault)
            continue
        cells = {known.get(spelling(key), ""): plain(cell) for key, cell in value.items()}
        yield Row(line, {name: cell for name, cell in cells.items() if name})


def plain(value: Any) -> str:
    """A value that a person or a program put in a cell, as text: 3.0 is "3"."""
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return value if isinstance(value, str) else json.dumps(value) if isinstance(value, list | dict) else str(value)


def csv_table(text: str) -> Iterator[tuple[int, list[str]]]:
    """The rows, each with the line (from 1) in which it begins. What divides most of the first line divides all; where
    nothing does, there is one column, whatever commas stand in it. Raises csv.Error, which names the line."""
    head = text.lstrip().partition("\n")[0]
    delimiter = max(",;\t", key=head.count)
    if delimiter not in head:
        delimiter = "\x1f"
    csv.field_size_limit(max(len(text), csv.field_size_limit()))  # of the whole process, so it only grows
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)  # or a quote swallows the rest
    line = 1
    try:
        for cells in reader:
            yield line, cells
            line = reader.line_num + 1
    except csv.Error as error:
        raise csv.Error(f"the row that begins in line {line} has a quotation mark too many ({error})") from None


def load_openpyxl() -> Any:
    """The module. Raises FieldguideError, which says how to install it."""
    try:
        import openpyxl
    except ImportError:
        raise FieldguideError(
            "Spreadsheets need openpyxl: install fieldguide[office], or use a file that ends in .csv or .jsonl."
        ) from None
    return openpyxl


def _write_sheet(path: Path, rows: Sequence[Mapping[str, str]], columns: Mapping[str, int]) -> None:
    openpyxl = load_openpyxl()
    from openpyxl.styles import Alignment, Font
    from openpyxl.utils import get_column_letter

    book = openpyxl.Workbook()
    sheet = book.active
    top = Alignment(vertical="top", wrap_text=True)
    for number, (name, width) in enumerate(columns.items(), 1):
        sheet.cell(1, number, name).font = Font(bold=True)
        column = sheet.column_dimensions[get_column_letter(number)]
        column.width, column.number_format = width, "@"  # so what a person adds below stays text as well
        for line, row in enumerate(rows, 2):
            if value := row[name]:
                cell = sheet.cell(line, number)
                cell.value = coded(escape(value))
                cell.data_type, cell.number_format, cell.alignment = "s", "@", top
    sheet.freeze_panes = "A2"
    sheet.auto_filter.ref = sheet.dimensions
    with open_atomically(path) as file:
        book.save(file)


def _sheet_table(path: Path) -> list[tuple[int, list[str]]]:
    openpyxl = load_openpyxl()
    from openpyxl.utils.exceptions import InvalidFileException

    broken = (zipfile.BadZipFile, InvalidFileException, LookupError, ValueError, AttributeError, TypeError, SyntaxError,
              SAXException)  # fmt: skip
    try:
        with path.open("rb") as file:
            sheet = openpyxl.load_workbook(file).worksheets[0]
    except broken as error:
        raise FieldguideError(f"{path} cannot be read as a spreadsheet: {error}.") from None
    return [
        (line, [uncoded(plain(cell)) for cell in cells])
        for line, cells in enumerate(sheet.iter_rows(values_only=True), 1)
    ]
