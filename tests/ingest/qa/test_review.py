import csv
import io
import json
import sys
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st

from fieldguide.errors import FieldguideError
from fieldguide.types import Chunk, Document, Evidence, QAPair, Span
from ingest.qa.review import COLUMNS, COUNTS, export_pairs, import_review
from ingest.qa.sheets import escape, printable, read_rows, unescape, write_rows

TEXT = "The right wing hit a tree. The pilot flew on for 31 minutes under theFrench control. It had 3 seats."
MORE = "The wing spar had a 3-inch crack. The owner is Karl. There were 3 passengers and no fire."
CHUNKS = [Chunk("c1", "d1", (Span(1, 0, len(TEXT)),), TEXT), Chunk("c2", "d1", (Span(2, 5, 5 + len(MORE)),), MORE)]
DOCUMENTS = {
    "d1": Document("d1", "/shelf/One.pdf", "One"), "d2": Document("d2", "/shelf/two.pdf", "Two"),
    "d3": Document("d3", "/other/two.pdf", "Two again"),
}  # fmt: skip
FORMS = (".jsonl", ".csv", ".xlsx")


def pair(name, question, answer, **given):
    at = TEXT.find(answer)
    spots = (Evidence("d1", (Span(1, at, at + len(answer)),), answer),) if at >= 0 else ()
    values = {"document": "d1", "chunk": "c1", "evidence": spots, "kind": "fact", "origin": "rules", "split": "train"}
    return QAPair(name, question, answer, **(values | given))


PAIRS = [
    pair("1E5", "What did the wing hit?", "a tree", scores={"clear": 0.512345, "round_trip": 1.0}),
    pair("00123456789012345678", "How long did the pilot fly on?", "31 minutes", group="trained"),
    pair("ab12", "Under whose control was it?", "theFrench control", split="test", group="facts held out"),
    pair("zz", "How many seats had it?", "3"),
    pair("un", "What did the left wing hit?", "", kind="unanswerable", answerable=False),
]
A, B, C, D, U = PAIRS


def chunks_of(document):
    return CHUNKS if document == "d1" else []


def imported(path, pairs=PAIRS, author="Ann Lee"):
    return import_review(path, pairs, chunks_of, DOCUMENTS, author)


def person(path, *rows, columns=tuple(COLUMNS)):
    """A CSV file as a person might leave it: only some rows and columns."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, restval="")
        writer.writeheader()
        writer.writerows(rows)
    return path


def one(tmp_path, pairs=PAIRS, **cells):
    """(counted as, the pair, the fault) of a file with one row."""
    cells = {name.replace("_file", " file"): cell for name, cell in cells.items()}
    review = imported(person(tmp_path / "one.csv", {"question": "", **cells}), pairs)
    (counted,) = [name for name, n in review.counts.items() if n]
    made = [*review.changed, *review.added]
    return counted, made[0] if made else None, review.faults[0].reason if review.faults else ""


@pytest.mark.parametrize("form", FORMS)
def test_an_export_comes_back_unchanged(tmp_path, form):
    path = tmp_path / f"pairs{form}"
    assert export_pairs(PAIRS, DOCUMENTS, path) == 5
    rows = {row.cells["id"]: row.cells for row in read_rows(path, COLUMNS, ("id",))}
    assert rows["1E5"] | {"edited_question": "", "edited_answer": "", "comment": "", "verdict": ""} == {
        "id": "1E5", "question": "What did the wing hit?", "answer": "a tree", "quote": "a tree",
        "source file": "One.pdf", "page": "1", "kind": "fact", "level": "explicit fact", "split": "train",
        "origin": "rules", "scores": "clear 0.512, round_trip 1", "verdict": "", "edited_question": "",
        "edited_answer": "", "comment": "",
    }  # fmt: skip
    assert set(rows) == {p.id for p in PAIRS}
    review = imported(path)
    assert (review.changed, review.added, review.faults) == ([], [], [])
    assert review.counts == {name: 5 if name == "unchanged" else 0 for name in COUNTS}


NASTY = [
    "=1+1", "+1", "-1", "@SUM(A1)", "'", "''=x", "'quoted'", "1E5", "007", "12/06/2007", "1/2", "10:45 am",
    "March 2008",
    "TRUE", "9" * 20, " lead", "a\nb", "a\r\nb\rc", "\ttab", "é ü 漢字 😀 \u202e", "_x000D_", "_x0041_", "\x0b\x00\x1f",
    'say "x", y; z', "x" * 40_000, "#REF!", "＝1", "http://x", "",
]  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_cells_come_back_exactly(tmp_path, form):
    path = tmp_path / f"cells{form}"
    cells = [printable(cell) for cell in NASTY]
    write_rows(path, [{"id": cell, "b": "end"} for cell in cells], {"id": 10, "b": 10})
    read = [row.cells for row in read_rows(path, ("id", "b"), ("id",))]
    assert [row.get("id", "") for row in read] == cells
    assert {row["b"] for row in read} == {"end"}


@given(st.text(max_size=30))
def test_escaping_can_be_undone(cell):
    for typed in (False, True):
        assert unescape(escape(cell, typed=typed)) == cell
        assert not escape(cell, typed=typed).startswith(("=", "+", "-", "@", "\t", "\r", "\n"))


@effort(max_examples=25, deadline=None)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=12), min_size=1, max_size=4))
def test_any_text_survives_csv_and_spreadsheet(tmp_path_factory, cells):
    for form in (".csv", ".xlsx"):
        path = tmp_path_factory.mktemp("any") / f"x{form}"
        write_rows(path, [{"id": "i", "b": cell} for cell in cells], {"id": 10, "b": 10})
        assert [row.cells.get("b", "") for row in read_rows(path, ("id", "b"), ("id",))] == cells


def test_no_cell_of_a_spreadsheet_is_a_formula(tmp_path):
    openpyxl = pytest.importorskip("openpyxl")
    bad = replace(A, question="=HYPERLINK(1)", answer="+1", verdict="")
    export_pairs([bad], DOCUMENTS, tmp_path / "x.xlsx")
    sheet = openpyxl.load_workbook(tmp_path / "x.xlsx").active
    assert {cell.data_type for row in sheet.iter_rows() for cell in row if cell.value} == {"s"}
    assert [cell.value for cell in sheet[2]][1:3] == ["'=HYPERLINK(1)", "'+1"]
    export_pairs([bad], DOCUMENTS, tmp_path / "x.csv")
    assert ",'=HYPERLINK(1),'+1," in (tmp_path / "x.csv").read_text("utf-8-sig")


@pytest.mark.parametrize(
    ("said", "counted"),
    [
        ("accept", "accepted"), (" Accepted!", "accepted"), ("OK", "accepted"), ("y", "accepted"),
        ("acept", "accepted"),
        ("✓", "accepted"), ("reject", "rejected"), ("Rejected", "rejected"), ("no", "rejected"), ("rejcet", "rejected"),
        ("bad: not asked so", "rejected"), ("", "unchanged"), ("maybe", "faulty"), ("edit", "faulty"), ("?", "faulty"),
    ],
)  # fmt: skip
def test_a_verdict_however_it_is_spelt(tmp_path, said, counted):
    got, made, fault = one(tmp_path, id="1E5", verdict=said)
    assert got == counted
    if counted in ("accepted", "rejected"):
        assert made == replace(A, verdict=counted, author="Ann Lee")
    assert bool(fault) == (counted == "faulty")


def test_an_edited_question_keeps_everything_else(tmp_path):
    counted, made, _ = one(tmp_path, id="ab12", question=C.question, edited_question=" Who  controlled it?\n")
    assert counted == "edited"
    assert made == replace(C, question="Who controlled it?", verdict="accepted", author="Ann Lee")


@pytest.mark.parametrize(
    ("who", "answer", "quote", "expected"),
    [
        (B, "for 31 minutes", "", "for 31 minutes"),
        (B, "a tree", "", "a tree"),
        (B, "half an hour", "flew on for 31 minutes", "flew on for 31 minutes"),
        (C, "the French control", "", "theFrench control"),
        (B, "Karl", "The owner is Karl", "Karl"),
        (B, "32 minutes", "", None),
        (B, "32 minutes", "flew on for 31 minutes", None),
        (B, "for 31 minutes", "a quote from nowhere", None),
        (B, "Karl", "", None),
        (U, "a tree", "", None),
    ],
)
def test_an_edited_answer_is_grounded_again_or_reported(tmp_path, who, answer, quote, expected):
    counted, made, fault = one(tmp_path, id=who.id, edited_answer=answer, **({"quote": quote} if quote else {}))
    assert counted == ("faulty" if expected is None else "edited")
    assert bool(fault) == (expected is None)
    if made is not None:
        (evidence,) = made.evidence
        assert (made.id, made.answer, evidence.quote, made.split, made.group) == (
            who.id, answer, expected, who.split, who.group,
        )  # fmt: skip
        chunk = next(c for c in CHUNKS if c.id == made.chunk)
        (span,) = evidence.spans
        first = chunk.spans[0].start
        assert (span.page, chunk.text[span.start - first : span.end - first]) == (chunk.pages[0], expected)


def test_a_verdict_vouches_for_the_quote_that_is_shown_but_not_for_other_numbers(tmp_path):
    made = one(tmp_path, id=B.id, edited_answer="half an hour", verdict="fixed")[1]
    assert (made.answer, made.evidence, made.verdict) == ("half an hour", B.evidence, "accepted")
    assert "verdict accept if the one shown does" in one(tmp_path, id=B.id, edited_answer="half an hour")[2]
    assert one(tmp_path, id=B.id, edited_answer="32 minutes", verdict="ok")[0] == "faulty"


def test_answers_from_several_places_and_yes_or_no(tmp_path):
    tree, three = A.evidence[0], D.evidence[0]
    both = replace(A, id="both", question="What of it?", answer="a tree; 3", evidence=(tree, three), kind="list")
    counted, made, _ = one(tmp_path, [both], id="both", edited_answer="3; a tree")
    assert (counted, made.evidence) == ("edited", (tree, three))
    sure = replace(A, id="sure", question="Did the wing hit it?", answer="No", kind="yes/no")
    counted, made, _ = one(tmp_path, [sure], id="sure", edited_answer="Yes")
    assert (counted, made.answer, made.evidence) == ("edited", "Yes", (tree,))


def test_a_row_about_words_that_changed_since_is_a_fault_and_one_done_before_changes_nothing(tmp_path):
    assert one(tmp_path, id="zz", question="How many chairs had it?", verdict="ok")[2].startswith("the question is not")
    assert one(tmp_path, id="zz", answer="4")[2].startswith("the answer is not the pair's any more")
    cells = {"id": "ab12", "question": C.question, "answer": C.answer, "quote": C.answer, "verdict": "edit"}
    cells |= {"edited_question": "Who held it?", "edited_answer": "French control"}
    _, made, fault = one(tmp_path, **cells)
    assert fault.startswith("the answer 'French control' was not found") or made.answer == "French control"
    cells["edited_answer"] = "the French control"
    _, made, _ = one(tmp_path, **cells)
    assert one(tmp_path, [made], **cells) == ("unchanged", None, "")


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        ({"id": "nobody"}, "there is no pair with the id nobody"),
        ({"id": "zz", "verdict": "reject", "edited_question": "What else had it?"}, "rejected and edited at once"),
        ({"id": "zz", "edited_question": "What did the wing hit"}, "the pair 1E5 asks this already"),
        ({"id": "zz", "edited_question": "?"}, "there is no question"),
        ({"id": "zz", "kind": "colour"}, "there is no kind 'colour'"),
        ({"id": "zz", "level": "deep"}, "there is no level 'deep'"),
        ({"question": "What is new?", "source_file": "One.pdf"}, "a new pair needs an answer"),
        ({"question": "What is new?", "answer": "a tree"}, "a new pair needs the name of its source file"),
        ({"question": "What is new?", "answer": "a tree", "source_file": "Onee.pdf"}, "did you mean one.pdf?"),
        ({"question": "What is new?", "answer": "a tree", "source_file": "two.pdf"}, "2 documents named two.pdf"),
        ({"question": "What is new?", "answer": "a tree", "source_file": "One.pdf", "page": "9"}, "no text on page 9"),
        ({"question": "What is new?", "answer": "a tree", "source_file": "One.pdf", "page": "ii"}, "the page is 'ii'"),
        ({"question": "What is new?", "answer": "a tree", "source_file": "One.pdf", "page": "2"}, "was not found"),
        ({"question": "What is new?", "answer": "a bush", "source_file": "One.pdf"}, "give a quote that proves it"),
        ({"question": "what did THE wing hit", "answer": "a tree", "source_file": "One.pdf"}, "1E5 asks this already"),
        ({"answer": "a tree", "source_file": "One.pdf"}, "there is no question"),
    ],
)
def test_each_fault_of_a_row(tmp_path, cells, reason):
    counted, made, fault = one(tmp_path, **cells)
    assert (counted, made) == ("faulty", None)
    assert reason in fault


def test_new_pairs_are_grounded_and_come_once(tmp_path):
    new = {"question": "How many passengers were there?", "answer": "3", "source_file": "one.PDF"}
    counted, made, _ = one(tmp_path, **new)
    assert (counted, made.origin, made.author, made.verdict, made.group) == (
        "new",
        "written",
        "Ann Lee",
        "accepted",
        "",
    )
    at = 5 + MORE.index("3 passengers")  # the chunk that speaks of passengers, though an earlier one has a 3 too
    assert (made.document, made.chunk, made.kind) == ("d1", "c2", "fact")
    assert made.evidence == (Evidence("d1", (Span(2, at, at + 1),), "3"),)  # not that of the crack, either
    assert one(tmp_path, [*PAIRS, made], **new) == ("unchanged", None, "")
    assert "was rejected" in one(tmp_path, [replace(made, verdict="rejected")], **new)[2]
    quoted = one(tmp_path, **(new | {"quote": "3 passengers"}))[1]
    assert quoted.evidence == (Evidence("d1", (Span(2, at, at + 1),), "3"),)
    none = one(tmp_path, question="Who paid for it?", kind="Unanswerable", source_file="/other/two.pdf")[1]
    assert (none.document, none.answerable, none.answer, none.evidence) == ("d3", False, "", ())


def test_every_row_of_a_persons_spreadsheet_is_counted(tmp_path):
    openpyxl = pytest.importorskip("openpyxl")
    path = tmp_path / "p.xlsx"
    export_pairs(PAIRS, DOCUMENTS, path)
    book = openpyxl.load_workbook(path)
    sheet = book.active
    column = {cell.value: cell.column for cell in sheet[1]}
    line = {row[0].value: row[0].row for row in sheet.iter_rows(min_row=2)}
    sheet.cell(line["1E5"], column["verdict"]).value = True
    sheet.cell(line["zz"], column["verdict"]).value = "nonsense"
    sheet.cell(line["zz"], column["comment"]).value = "is kept out"
    sheet.cell(line["ab12"], column["edited_answer"]).value = "the French control"
    sheet.cell(line["ab12"], column["comment"]).value = "split words"
    written = [
        ("What had the crack been?", "3-inch", 2.0),
        ("How many seats were on board?", 3, 1),
        ("And what?", "no", None),
    ]
    for n, (question, answer, page) in enumerate(written, 8):  # a line is left empty between
        for name, cell in (("question", question), ("answer", answer), ("page", page), ("source file", "One.pdf")):
            sheet.cell(n, column[name]).value = cell
    sheet.cell(10, column["source file"]).value = None
    book.save(path)
    review = imported(path)
    assert review.counts == {"accepted": 1, "rejected": 0, "edited": 1, "new": 2, "unchanged": 2, "faulty": 2}
    assert [(f.line, f.reason[:35]) for f in review.faults] == [
        (line["zz"], "the verdict 'nonsense' is none of a"), (10, "a new pair needs the name of its so"),
    ]  # fmt: skip
    assert [(p.question, p.answer, p.chunk) for p in review.added] == [
        ("What had the crack been?", "3-inch", "c2"), ("How many seats were on board?", "3", "c1"),
    ]  # fmt: skip
    assert review.comments == [("ab12", "split words")]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_csv_as_programs_write_it(tmp_path, delimiter, encoding):
    text = io.StringIO()
    rows = [
        ["Edited Question", "ID", "question", "mine", "Verdict"],
        ["Où,\nest-ce; donc?", "zz", "", "x", ""],
        [],
        ["", "1E5", "", "", "OK"],
    ]
    csv.writer(text, delimiter=delimiter).writerows(rows)
    (tmp_path / "x.csv").write_bytes(text.getvalue().encode(encoding))
    review = imported(tmp_path / "x.csv")
    assert [(p.id, p.question) for p in review.changed] == [("zz", "Où, est-ce; donc?"), ("1E5", A.question)]
    assert (review.counts["edited"], review.counts["accepted"], review.faults) == (1, 1, [])


def test_lines_are_those_of_the_file(tmp_path):
    path = person(tmp_path / "x.csv", {"id": "zz", "comment": "two\nlines"}, {"id": "no"}, {"id": "zz"})
    assert [f.line for f in imported(path).faults] == [4, 5]
    rows = ["", "{", "[]", json.dumps({"id": "zz", "verdict": "ok", "scores": {"a": 1}, "page": [1], "kind": None})]
    (tmp_path / "x.jsonl").write_text("\n".join(rows), "utf-8")
    review = imported(tmp_path / "x.jsonl")
    assert [(f.line, f.reason[:8]) for f in review.faults] == [(2, "not JSON"), (3, "not a JS")]
    assert review.counts["accepted"] == 1


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.txt", b"", "does not end in one of .jsonl, .csv, .xlsx"),
        ("x.csv", b"", "has no column id, question"),
        ("x.csv", b"question,answer\na,b\n", "has no column id "),
        ("x.csv", b'id,question,verdict\n1E5,,ok\nzz,"open,ok\nx,y,ok\n', "line 3 has a quotation mark too many"),
        ("x.xlsx", b"no zip", "cannot be read as a spreadsheet"),
        ("x.jsonl", b"\xff\xfe\xff", "cannot be read"),
    ],
)
def test_a_file_that_cannot_be_read(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(FieldguideError, match=message):
        imported(tmp_path / name)


def test_a_spreadsheet_of_charts_alone_cannot_be_read(tmp_path):
    book = pytest.importorskip("openpyxl").Workbook()
    book.create_chartsheet()
    book.remove(book.active)
    book.save(tmp_path / "x.xlsx")
    with pytest.raises(FieldguideError, match="cannot be read as a spreadsheet"):
        imported(tmp_path / "x.xlsx")


def test_reading_a_small_file_sets_no_limit_for_others(tmp_path):
    before = csv.field_size_limit()
    imported(person(tmp_path / "x.csv", {"id": "zz", "verdict": "ok"}))
    assert csv.field_size_limit() >= before


def test_what_is_missing_is_said(tmp_path, monkeypatch):
    with pytest.raises(FieldguideError, match="cannot be read"):
        imported(tmp_path / "absent.csv")
    with pytest.raises(FieldguideError, match="--author"):
        imported(person(tmp_path / "x.csv"), author=" ")
    with pytest.raises(FieldguideError, match="does not end in"):
        export_pairs(PAIRS, DOCUMENTS, tmp_path / "x.ods")
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    with pytest.raises(FieldguideError, match=r"fieldguide\[office\]"):
        export_pairs(PAIRS, DOCUMENTS, tmp_path / "x.xlsx")
    assert list(tmp_path.glob("*.xlsx")) == []
