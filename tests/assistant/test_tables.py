"""Tables in all four forms: what a cell was it stays, and nothing that is added is run by a spreadsheet."""

import json
from datetime import UTC, date, datetime
from decimal import Decimal

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from assistant.table_writing import unique, write_table
from assistant.tables import ABSENT, Row, Table, read_table
from fieldguide.errors import FieldguideError

CP1252 = ("in.csv is no UTF-8 and was read as Windows-1252.",)
MORE = {"answer": ["=1+1", None, "plain"], "sure": [0.5, None, 1.0], "abstained": [False, None, True]}


def sheet_of(path, data_only=False):
    return openpyxl.load_workbook(path, data_only=data_only).worksheets[0]


@pytest.fixture
def book(tmp_path):
    """A spreadsheet of every kind of cell, with an empty row within and a second sheet."""
    made = openpyxl.Workbook()
    sheet = made.active
    sheet.append([])
    sheet.append(["n", "day", "at", "text", "share", "", "n"])
    sheet.append([7, date(2020, 2, 29), datetime(2020, 2, 29, 12, 30), "=1+1", 0.25, None, True])
    sheet["D3"].data_type = "s"
    sheet["E3"].number_format = "0%"
    sheet.append([])
    sheet.append([-1.5, None, None, None, "=A3", "extra", 9007199254740993])
    sheet.append(["x", None, None, "-5 °C", None, None, None])
    made.create_sheet("second")
    made.save(tmp_path / "in.xlsx")
    return tmp_path / "in.xlsx"


def test_a_spreadsheet_comes_back_as_it_was(book, tmp_path):
    table = read_table(book)
    assert table.columns == ("n", "day", "at", "text", "share", "", "n")
    assert [row.line for row in table.rows] == [3, 5, 6]
    assert table.rows[0].cells == (7, date(2020, 2, 29), datetime(2020, 2, 29, 12, 30), "=1+1", 0.25, None, True)
    assert table.notes == (
        "in.xlsx has 2 sheets; the first, “Sheet”, is read.",
        "1 formula(s) were never computed, so their cells are empty: save it in a spreadsheet program.",
        "1 empty row(s) are left out.",
    )
    assert write_table(tmp_path / "out.xlsx", table, MORE) == []
    again = read_table(tmp_path / "out.xlsx")
    assert again.columns == (*table.columns, *MORE)
    assert [row.cells[:7] for row in again.rows] == [row.cells for row in table.rows]
    assert [row.cells[7:] for row in again.rows] == [("'=1+1", 0.5, False), (None, None, None), ("plain", 1, True)]
    sheet = sheet_of(tmp_path / "out.xlsx")
    assert sheet["E2"].number_format == "0%"
    assert "f" not in {cell.data_type for row in sheet.iter_rows() for cell in row}


@pytest.mark.parametrize("ending", ["csv", "xlsx", "jsonl", "parquet"])
def test_a_table_of_any_form_in_any_other(book, tmp_path, ending):
    table = read_table(book)
    out = tmp_path / f"out.{ending}"
    write_table(out, table, MORE)
    again = read_table(out)
    assert len(again.rows) == 3
    column = {name: [row.cells[n] for row in again.rows] for n, name in enumerate(again.columns)}
    guarded = "'=1+1" if ending in ("csv", "xlsx") else "=1+1"
    empty = "" if ending == "csv" else None
    assert column["answer"] == [guarded, empty, "plain"]
    assert column["day"][0] in ("2020-02-29", date(2020, 2, 29))
    assert column["text"] == {"csv": ["'=1+1", "", "'-5 °C"]}.get(ending, ["=1+1", None, "-5 °C"])
    assert [str(value or "") for value in column["sure"]] == ["0.5", "", "1" if ending in ("csv", "xlsx") else "1.0"]
    if ending in ("jsonl", "parquet"):
        assert again.columns == ("n", "day", "at", "text", "share", "column 6", "n (2)", *MORE)


def test_csv_stays_as_it_was_and_added_text_is_no_formula(tmp_path):
    (tmp_path / "in.csv").write_bytes(
        '\ufeffid;question;note\r\n007;"What; ""now""?";=A1\r\n\r\n1e5;Wie heißt er?;\'x\r\n'.encode()
    )
    table = read_table(tmp_path / "in.csv")
    assert table == Table(
        ("id", "question", "note"),
        (Row(2, ("007", 'What; "now"?', "=A1")), Row(4, ("1e5", "Wie heißt er?", "'x"))),
        ("1 empty row(s) are left out.",), escaped=True,
    )  # fmt: skip
    write_table(tmp_path / "out.csv", table, {"answer": ["@SUM(1)", "-5"], "sure": [-0.5, None]})
    assert (tmp_path / "out.csv").read_bytes().decode() == (
        '\ufeffid,question,note,answer,sure\r\n007,"What; ""now""?",=A1,\'@SUM(1),-0.5\r\n'
        "1e5,Wie heißt er?,'x,'-5,\r\n"
    )


@pytest.mark.parametrize(
    ("raw", "cells", "notes"),
    [
        ("question\nWhat, when?\n", [("What, when?",)], ()),
        ("a\tquestion\n1\tWhat, when?\n", [("1", "What, when?")], ()),
        ("question;a\nWie heißt er?;\n".encode("cp1252"), [("Wie heißt er?", "")], CP1252),
        ("question,a\nWie?\n".encode("utf-16"), [("Wie?", None)], ()),
    ],
    ids=["one column", "tabs", "cp1252", "utf-16"],
)  # fmt: skip
def test_csv_as_programs_write_it(tmp_path, raw, cells, notes):
    (tmp_path / "in.csv").write_bytes(raw if isinstance(raw, bytes) else raw.encode())
    table = read_table(tmp_path / "in.csv")
    assert ([row.cells for row in table.rows], table.notes) == (cells, notes)


def test_a_row_longer_than_the_first_loses_nothing_and_is_a_fault(tmp_path):
    (tmp_path / "in.csv").write_text("a,question\n1,What, when?\n2,Who?,\n")
    table = read_table(tmp_path / "in.csv")
    assert table.columns == ("a", "question", "")
    assert [row.cells for row in table.rows] == [("1", "What", " when?"), ("2", "Who?", "")]
    assert [row.fault for row in table.rows] == [
        "The row has 3 cells and the first one names 2: is a quotation mark missing?", "",
    ]  # fmt: skip


def test_json_lines_keep_keys_values_and_what_is_no_json(tmp_path):
    (tmp_path / "in.jsonl").write_text(
        '{"question": "a", "tags": ["x", {"y": 1}], "n": 3.0}\nnot json\n\n{"n": null}\n[1]\n'
    )
    table = read_table(tmp_path / "in.jsonl")
    assert table.columns == ("question", "tags", "n", "unreadable")
    assert table.rows[2].cells == (ABSENT, ABSENT, None, ABSENT)
    assert [row.fault[:26] for row in table.rows] == [
        "",
        "Line 2 is not JSON (Expect",
        "",
        "Line 5 is not a JSON objec",
    ]
    write_table(tmp_path / "out.jsonl", table, {"answer": ["=1", "", "", ""]})
    assert [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()] == [
        {"question": "a", "tags": ["x", {"y": 1}], "n": 3.0, "answer": "=1"}, {"unreadable": "not json", "answer": ""},
        {"n": None, "answer": ""}, {"unreadable": "[1]", "answer": ""},
    ]  # fmt: skip
    write_table(tmp_path / "out.xlsx", table, {})
    assert [cell.value for cell in sheet_of(tmp_path / "out.xlsx")["B"]] == [
        "tags",
        '["x", {"y": 1}]',
        None,
        None,
        None,
    ]


def test_parquet_keeps_its_types(tmp_path):
    schema = pa.schema([
        pa.field("question", pa.string(), nullable=False), ("price", pa.decimal128(9, 2)),
        ("at", pa.timestamp("ns", "UTC")),
        ("small", pa.int8()), ("list", pa.list_(pa.float32())), ("kind", pa.dictionary(pa.int8(), pa.string())),
    ], metadata={"who": "me"})  # fmt: skip
    columns = [
        ["a", "b"], [Decimal("1.20"), None], [datetime(2020, 1, 1, tzinfo=UTC), None], [7, None], [[0.5], None],
        ["x", None],
    ]  # fmt: skip
    source = pa.table([pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)], schema=schema)
    pq.write_table(source, tmp_path / "in.parquet")
    table = read_table(tmp_path / "in.parquet")
    assert table.rows[0].cells[:2] == ("a", Decimal("1.20"))
    write_table(tmp_path / "out.parquet", table, {"answer": ["x", None], "sure": [None, None]})
    made = pq.read_table(tmp_path / "out.parquet")
    assert made.select(schema.names).equals(source)
    assert made.schema.metadata[b"who"] == b"me"
    assert made.column("answer").to_pylist() == ["x", None]
    write_table(tmp_path / "out.xlsx", table, {})
    assert [cell.value for cell in sheet_of(tmp_path / "out.xlsx")[2]] == [
        "a", 1.2, "2020-01-01 00:00:00+00:00", 7, "[0.5]", "x",
    ]  # fmt: skip


def test_what_a_form_cannot_hold_is_said(tmp_path):
    table = Table(("mixed", "long"), (Row(1, (1, "x" * 40_000)), Row(2, ("a", ""))))
    assert write_table(tmp_path / "out.parquet", table, {}) == [
        "The column “mixed” holds values of several kinds, which Parquet cannot: it is text there."
    ]
    assert pq.read_table(tmp_path / "out.parquet").column("mixed").to_pylist() == ["1", "a"]
    assert write_table(tmp_path / "out.xlsx", table, {}) == [
        "1 cell(s) are longer than a spreadsheet's can be and were cut to 32,000 characters."
    ]


def locked(path):
    path.write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600) + "EncryptedPackage".encode("utf-16-le"))


@pytest.mark.parametrize(
    ("name", "make", "message"),
    [
        (
            "in.xls",
            lambda path: path.write_text(""),
            r"in\.xls does not end in one of \.csv, \.xlsx, \.jsonl, \.parquet\.$",
        ),
        ("in.csv", lambda path: None, r"There is no file .*in\.csv\.$"),
        (
            "in.csv",
            lambda path: path.write_text('question\n"a\nb\n'),
            r"the row that begins in line 2 has a quotation mark too",
        ),
        ("in.jsonl", lambda path: path.write_bytes(b'{"question": "\xe9"}'), r"in\.jsonl cannot be read: 'utf-8'"),
        ("in.xlsx", locked, r"cannot be read: the file is encrypted; office files with a password cannot be read\.$"),
        ("in.xlsx", lambda path: path.write_text("a,b"), r"cannot be read: the file is not a \.xlsx file"),
        ("in.parquet", lambda path: path.write_text("a,b"), r"in\.parquet cannot be read as Parquet: "),
    ],
)
def test_what_cannot_be_read_is_one_sentence(tmp_path, name, make, message):
    make(tmp_path / name)
    with pytest.raises(FieldguideError, match=message) as raised:
        read_table(tmp_path / name)
    assert "\n" not in str(raised.value)


def test_names_made_different():
    assert unique(["a", "", "a", "a (2)", ""]) == ["a", "column 2", "a (2)", "a (2) (2)", "column 5"]
