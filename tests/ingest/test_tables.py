"""Tables among lines of words: computed tables whose rows are known, what is no table, hostile input, a real page."""

from __future__ import annotations

import math
import time
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.layout.lines import Line, group_lines
from ingest.layout.tables import find_tables
from ingest.layout.words import Word

SIZE, WIDTH = 10.0, 612.0
LETTER = 5.0  # points a character is wide


def word(text: str, x0: float, top: float, bold: bool = False) -> Word:
    return Word(text, x0, top, x0 + LETTER * len(text), top + SIZE, SIZE, bold)


def put(text: str, x0: float, top: float, bold: bool = False) -> list[Word]:
    """The words of a text that begins at x0."""
    words = []
    for part in text.split():
        words.append(word(part, x0, top, bold))
        x0 += LETTER * len(part) + 3
    return words


def width(text: str) -> float:
    return sum(LETTER * len(part) + 3 for part in text.split()) - 3


def page(*rows: tuple[str, ...] | str, columns: tuple[float, ...] = (350, 430, 510), step: float = 14) -> list[Line]:
    """Lines of a label at 50 and cells whose right edges are ``columns``; "" leaves a cell out."""
    words: list[Word] = []
    for place, row in enumerate(rows):
        top = 100 + step * place
        label, *cells = (row,) if isinstance(row, str) else row
        words += put(label.strip(), 50 + 5 * (len(label) - len(label.lstrip())), top)
        for cell, right in zip(cells, columns[: len(cells)], strict=True):
            words += put(cell, right - width(cell), top) if cell else []
    return group_lines(words)


def rows_of(lines: list[Line]) -> tuple[str, ...]:
    (table,) = find_tables(lines, WIDTH)
    return table.rows


PROSE = "The company reviews the carrying amount of these assets whenever events show that it may not be recovered."


def test_a_value_stands_under_its_year_and_prose_around_the_table_stays_outside():
    lines = page(
        PROSE, ("Years ended", "2022", "2021"), ("Revenue", "1,200", "1,100"), ("Net loss", "(30)", "—"), PROSE
    )
    (table,) = find_tables(lines, WIDTH)
    assert (table.first, table.last, table.head_rows) == (1, 4, 1)
    assert table.rows == (
        "Years ended | 2022 | 2021",
        "Revenue | 2022: 1,200 | 2021: 1,100",
        "Net loss | 2022: (30) | 2021: —",
    )


def test_signs_join_their_number():
    words = put("Fiscal", 50, 100) + put("2022", 330, 100) + put("2021", 410, 100)
    for top, first, second in ((114, "1,234", "987"), (128, "55", "44")):
        words += [*put("Revenue", 50, top), word("$", 290, top)]
        words += [*put(first, 350 - width(first), top), word("$", 370, top), *put(second, 430 - width(second), top)]
    words += put("Margin", 50, 142) + put("3.6", 335, 142) + [word("%", 352, 142)]
    words += [word("(", 400, 142), word("0.4", 405, 142), word(")%", 421, 142)]
    assert rows_of(group_lines(words))[1:] == (
        "Revenue | 2022: $1,234 | 2021: $987",
        "Revenue | 2022: $55 | 2021: $44",
        "Margin | 2022: 3.6% | 2021: (0.4)%",
    )


def test_the_header_above_several_columns_tells_names_apart_that_repeat():
    lines = page(("Costs", "2023", "2022", "2023", "2022"), ("Rent", "1", "2", "3", "4"), ("Wages", "5", "6", "7", "8"),
                 columns=(300, 360, 420, 480))  # fmt: skip
    words = [w for line in lines for w in line.words]
    words += put("Three months", 290, 86) + put("Six months", 415, 86)
    assert rows_of(group_lines(words)) == (
        "Three months | Six months",
        "Costs | 2023 | 2022 | 2023 | 2022",
        "Rent | Three months 2023: 1 | Three months 2022: 2 | Six months 2023: 3 | Six months 2022: 4",
        "Wages | Three months 2023: 5 | Three months 2022: 6 | Six months 2023: 7 | Six months 2022: 8",
    )


def test_a_header_of_several_lines_is_one_name_and_its_unit_none():
    lines = page(("", "Total of"), ("(in millions)", "Shares", "Price"), ("May", "10", "4.5"), ("June", "20", "5.5"))
    assert rows_of(lines)[2:] == ("May | Total of Shares: 10 | Price: 4.5", "June | Total of Shares: 20 | Price: 5.5")


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_wrapped_label_is_one_row_wherever_its_values_stand(place):
    words = put("2022", 330, 100) + put("2021", 410, 100)
    tops = (116, 132, 141, 150, 166, 182)
    labels = ("Sales", "Proceeds from sales of property", "plant and other equipment", "net of tax", "Other", "Total")
    for n, (top, label) in enumerate(zip(tops, labels, strict=True)):
        words += put(label, 50, top)
        if n in (0, 1 + place, 4, 5):
            words += put("12", 340, top) + put("34", 420, top)
    rows = rows_of(group_lines(words))
    assert "Proceeds from sales of property plant and other equipment net of tax | 2022: 12 | 2021: 34" in rows
    assert len(rows) == 5


def test_a_label_that_repeats_has_its_sub_heading_before_it():
    lines = page(
        ("", "2022", "2021"),
        "Earnings per share:", ("  Basic", "1.10", "1.00"), ("  Diluted", "1.05", "0.95"),
        "Average shares:", ("  Basic", "751", "789"), ("  Diluted", "752", "790"), ("Dividends", "2.08", "1.72"),
    )  # fmt: skip
    assert rows_of(lines)[1:] == (
        "Earnings per share:",
        "Earnings per share: Basic | 2022: 1.10 | 2021: 1.00",
        "Earnings per share: Diluted | 2022: 1.05 | 2021: 0.95",
        "Average shares:",
        "Average shares: Basic | 2022: 751 | 2021: 789",
        "Average shares: Diluted | 2022: 752 | 2021: 790",
        "Dividends | 2022: 2.08 | 2021: 1.72",
    )


def test_without_a_header_values_are_bare():
    assert rows_of(page(("Wheat", "120", "130"), ("Barley", "80", "85"))) == (
        "Wheat | 120 | 130",
        "Barley | 80 | 85",
    )


def test_a_header_between_two_columns_names_neither():
    lines = page(("Wheat", "120", "130"), ("Barley", "80", "85"), columns=(300, 500))
    words = [w for line in lines for w in line.words] + put("Yield", 335, 86)
    assert not any("Yield:" in row for row in rows_of(group_lines(words)))


def test_cells_of_text_that_wrap_are_one_row_each():
    rows = (
        ("Course", "Topic", "Room"),
        ("Logistics", "How goods are moved and", "Main hall"), ("", "stored by large firms", ""),
        ("Ethics", "Decisions of managers and", "Library"), ("", "their consequences", "upstairs"),
        ("Trade", "Why nations trade and", "Annex"), ("", "what stands against it", ""),
    )  # fmt: skip
    words = []
    for place, row in enumerate(rows):
        top = 100 + 11 * place + 8 * ((place + 1) // 2)
        for cell, x0 in zip(row, (50, 200, 420), strict=True):
            words += put(cell, x0, top, bold=place == 0)
    assert rows_of(group_lines(words)) == (
        "Course | Topic | Room",
        "Logistics | Topic: How goods are moved and stored by large firms | Room: Main hall",
        "Ethics | Topic: Decisions of managers and their consequences | Room: Library upstairs",
        "Trade | Topic: Why nations trade and what stands against it | Room: Annex",
    )


def test_the_upper_line_of_a_name_stays_with_its_column_where_groups_repeat():
    columns = (200, 260, 320, 380, 440, 500, 560, 600)
    names = ("Flexibles", "Packaging", "Other", "Total")
    lines = page(("", *names, *names), ("Net sales", *"12345678"), ("Costs", *"87654321"), columns=columns)
    words = [w for line in lines for w in line.words] + put("Rigid", 225, 90) + put("Rigid", 465, 90)
    first = next(row for row in rows_of(group_lines(words)) if row.startswith("Net sales"))
    assert "Flexibles: 1" in first
    assert not any(f"Rigid {name}" in first for name in ("Flexibles", "Other", "Total"))


def test_a_cell_above_a_middle_column_is_part_of_its_name_where_another_of_the_line_is():
    lines = page(
        ("", "", "Less Than", "", "More Than"),
        ("Obligations", "Total", "1 Year", "1-3 Years", "5 Years"),
        ("Debt", "30", "10", "12", "8"),
        ("Leases", "60", "20", "24", "16"),
        columns=(260, 340, 420, 500),
    )
    assert rows_of(lines)[2] == "Debt | Total: 30 | Less Than 1 Year: 10 | 1-3 Years: 12 | More Than 5 Years: 8"


def test_what_changes_a_balance_is_no_part_of_it():
    lines = page(
        ("", "2022", "2021"),
        ("Balances at January 1", "34", "30"), ("  Cash payments", "(18)", "(9)"),
        ("Balances at July 1", "16", "21"), ("  Cash payments", "(7)", "(5)"), ("Balances at year end", "9", "16"),
    )  # fmt: skip
    assert rows_of(lines)[2] == "Cash payments | 2022: (18) | 2021: (9)"


def test_a_first_line_of_bare_numbers_is_a_header():
    lines = page(
        ("", "", "Program"), ("", "737", "747", "767"),
        ("Quantities", "10,800", "1,574", "1,267"), ("Undelivered", "3,653", "1", "106"), ("Orders", "11", "12", "13"),
    )  # fmt: skip
    assert rows_of(lines)[3] == "Undelivered | 737: 3,653 | 747: 1 | 767: 106"


def test_a_title_centred_over_the_table_names_no_column():
    words = put("Table of Contents", 262, 100)
    for place, (item, title, number) in enumerate(
        (("Item 1.", "Business", "5"), ("Item 2.", "Properties", "14"), ("Item 3.", "Legal matters", "25"))
    ):
        top = 120 + 14 * place
        words += put(item, 50, top) + put(title, 120, top) + put(number, 560 - width(number), top)
    rows = rows_of(group_lines(words))
    assert "Item 1. | Business | 5" in rows


def test_a_form_is_no_table():
    words = []
    for place, (left, right) in enumerate((("Seats:", "4"), ("Engines:", "1"), ("Gear:", "3"), ("Hours:", "120"))):
        top = 100 + 17 * place
        words += put(left, 50, top) + put(right, 200, top) + put("Serial number:", 320, top) + put("77", 450, top)
    assert find_tables(group_lines(words), WIDTH) == []


def test_prose_in_two_columns_is_no_table():
    text = "It was seen in 2021 that the flow of 1,200 litres rises by 4 percent where the canal is lined with clay"
    words, parts = [], text.split()
    for place in range(24):
        for left, right in ((50, 290), (320, 560)):
            x0, n = float(left), place
            while x0 + LETTER * len(parts[n % len(parts)]) <= right:
                words.append(word(parts[n % len(parts)], x0, 100 + 12 * place))
                x0 = words[-1].x1 + 3
                n += 1
    assert find_tables(group_lines(words), WIDTH) == []


def test_a_real_form_report_holds_no_table(ntsb: Path):
    pdfium = pytest.importorskip("pypdfium2")
    from ingest.readers.pdfium_text import page_words

    for path in sorted(ntsb.glob("*.pdf"))[:3]:
        file = pdfium.PdfDocument(path)
        for number in range(len(file)):
            wide, _, words = page_words(file[number])
            assert find_tables(group_lines(words), wide) == []


texts = st.sampled_from(
    ["Rent", "Net income", "1,234", "(5)", "$ 7", "—", "2022", "3.5 %", "", "Label: value", "a b c d"]
)
table_rows = st.lists(st.lists(texts, min_size=1, max_size=6), min_size=1, max_size=14)


@given(table_rows, st.sampled_from([9.0, 12.0, 15.0]), st.booleans())
@settings(max_examples=150, deadline=None)
def test_no_word_is_lost_or_invented(rows, step, left):
    words = []
    for place, row in enumerate(rows):
        for column, cell in enumerate(row):
            x0 = 50 + 90 * column + (0 if left else 60 - width(cell) if cell else 0)
            words += put(cell, x0, 100 + step * place)
    lines = group_lines(words)
    for table in find_tables(lines, WIDTH):
        held = Counter("".join(w.text for line in lines[table.first : table.last] for w in line.words))
        written = Counter("".join(table.rows).replace(" ", ""))
        missing = held - written
        assert not missing
        assert set(written) <= set(held) | {"|", ":"}
        assert 0 <= table.first < table.last <= len(lines)
        assert table.head_rows <= len(table.rows)


NAN, INF = math.nan, math.inf


@pytest.mark.parametrize(
    "words",
    [
        [],
        [Word("x", NAN, NAN, NAN, NAN, NAN)] * 20,
        [Word("1", 0, 0, 0, 0, 0)] * 50,
        [Word("7", INF, 0, -INF, 1, 1), Word("8", 3, 0, 1, -5, -1)] * 20,
        [Word("", 10.0 * n, 1, 10.0 * n + 1, 2, 1) for n in range(30)],
    ],
)
def test_boxes_without_sense_raise_nothing(words):
    assert isinstance(
        find_tables([Line((word,)) for word in words] + ([Line(tuple(words))] if words else []), WIDTH), list
    )


@pytest.mark.parametrize("across", [4, 40, 20_000])
def test_twenty_thousand_words_are_read_in_seconds(across):
    words = [word("12", 14.0 * (n % across), 11.0 * (n // across)) for n in range(20_000)]
    lines = [Line(tuple(words[n : n + across])) for n in range(0, len(words), across)]
    start = time.perf_counter()
    find_tables(lines, 14.0 * across)
    assert time.perf_counter() - start < 5
