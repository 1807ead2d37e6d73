"""Questions that a table answers: what stands under a column for a row, and which of two rows or years is higher.

Knows what of a table can be asked for and how figures compare; not how tables are read (``ingest.qa.rule_table_rows``)
nor how a question is worded (``ingest.qa.rule_table_wordings``). Precision before yield: what a document says twice
with different values is not asked for, nor is what only the table's head would make clear.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from fractions import Fraction

from fieldguide.types import Chunk
from ingest.qa.drafts import Rejection
from ingest.qa.rule_reading import Reading, is_plural, lower_words
from ingest.qa.rule_table_rows import Cell, Row, Table, bare, read_tables
from ingest.qa.rule_table_wordings import (
    ANY_YEAR,
    MEASURE,
    NOT_MONEY,
    NUMBER,
    YEAR,
    is_flow_on_a_day,
    is_general,
    is_measure,
    is_yearless,
    places,
    row_name,
    when,
    wordings,
)

Found = Iterator[Reading | Rejection]
Key = tuple[str, str]
"""A row's label and a column's name, without their marks and case."""

_PAGES = re.compile(
    r"(?i)(?:page|pages|page no\.?|page number|pg\.?|ref\.?|note|notes|reference|exhibit(?: number| no\.?)?|no\.?|#|id)"
)
_FLOWS = re.compile(r"(?i)statements? of .*\b(?:income|operations|earnings|loss|cash flows?)\b|\bincome statements?\b")
_BALANCE = re.compile(r"([^:]+): (?i:balances?)\b")
_ONE_DAY = re.compile(r"(?:[A-Z][a-z]+ \d{1,2}, (?:19|20)\d\d)")
_PART_YEAR = re.compile(
    r"(?i)\b(?:three|six|nine|13|26|39|thirteen|twenty-six|thirty-nine)[ -](?:months?|weeks?)\b"
    r"|\bquarter(?:ly)?\b|\b10-Q\b"
)
_WHOLE_YEAR = re.compile(r"(?i)\byears?\b|\bannual(?:ly)?\b|\b10-K\b|\btwelve[ -]months\b")
_COUNT = {3: "three", 4: "four", 5: "five", 6: "six", 7: "seven", 8: "eight", 9: "nine", 10: "ten"}
_FAR = 50  # rows of which one is so many times the other are not compared


def table_candidates(chunks: Sequence[Chunk]) -> list[list[Reading | Rejection]]:
    """Questions and rejections for each of one document's chunks, in order: "table lookup" and "comparison".

    All chunks of the document are wanted, as a table may run over several and because a label that stands for
    different values in the document is not asked about.
    """
    tables, rejected = read_tables(chunks)
    _drop_titles(tables, chunks)
    _drop_other_headings(tables)
    for row in _of_lost_groups(tables):
        rejected[row.chunk].append(Rejection("row stands under another row", row.label[:80]))
    for part in _of_part_years(tables, chunks):
        rejected[part.chunk].append(Rejection("column is a period without its length", part.label[:80]))
    found: list[list[Reading | Rejection]] = [list(ones) for ones in rejected]
    several = _several(tables)
    common = lower_words([chunk.text for chunk in chunks])
    for table in tables:
        for row in table.rows:
            found[row.chunk].extend(_lookups(table, row, several, common))
            found[row.chunk].extend(_across(table, row, several, common))
        for one, other in zip(table.rows[::2], table.rows[1::2], strict=False):
            if one.chunk == other.chunk:
                found[one.chunk].extend(_down(table, one, other, several, common))
    return found


def _drop_titles(tables: Sequence[Table], chunks: Sequence[Chunk]) -> None:
    """A table whose name is the document's has none of its own."""
    for table in tables:
        if table.rows and chunks[table.rows[0].chunk].context.partition(" > ")[0].casefold() == table.name.casefold():
            table.name, table.captioned = "", False


def _drop_other_headings(tables: Sequence[Table]) -> None:
    """Under a statement of what flows (income, cash) stand periods: a table of single days has another heading."""
    for table in tables:
        columns = {bare(cell.column) for row in table.rows for cell in row.cells}
        if columns and _FLOWS.search(table.name) and all(_ONE_DAY.fullmatch(column) for column in columns):
            table.name, table.captioned = "", False


def _of_lost_groups(tables: Sequence[Table]) -> list[Row]:
    """Rows under a label that is no group, taken out: a balance never belongs to one ("Net income: Balance at …")."""
    dropped: list[Row] = []
    for table in tables:
        groups = {m.group(1) for row in table.rows if (m := _BALANCE.match(row.label))}
        lost = [row for row in table.rows if row.label.partition(": ")[0] in groups and ": " in row.label]
        dropped += lost
        table.rows[:] = [row for row in table.rows if row not in lost]
    return dropped


def _of_part_years(tables: Sequence[Table], chunks: Sequence[Chunk]) -> list[Row]:
    """Rows with figures under years or under the last day of a period, taken out of a document's tables if it
    tells more of quarters than of years:
    "2022" is a part of it there, and which one only the table's head says."""
    text = "\n".join(chunk.text for chunk in chunks)
    if len(_PART_YEAR.findall(text)) <= len(_WHOLE_YEAR.findall(text)):
        return []
    dropped: list[Row] = []
    for table in tables:
        kept: list[Row] = []
        for row in table.rows:
            years = [YEAR.fullmatch(bare(cell.column)) and NUMBER.fullmatch(cell.value) for cell in row.cells]
            flows = [is_flow_on_a_day(row, cell) for cell in row.cells]
            (dropped if any(years) or any(flows) else kept).append(row)
        table.rows[:] = kept
    return dropped


def _key(row: Row, cell: Cell) -> Key:
    return bare(row.label).casefold(), bare(cell.column).casefold()


def _plain_value(value: str) -> str:
    return re.sub(r"[\s$€£]", "", value).casefold()


def _several(tables: Sequence[Table]) -> frozenset[Key]:
    """What stands in several tables of the document with different values."""
    values: dict[Key, set[str]] = defaultdict(set)
    for table in tables:
        for row in table.rows:
            for cell in row.cells:
                values[_key(row, cell)].add(_plain_value(cell.value))
    return frozenset(key for key, held in values.items() if len(held) > 1)


def _is_merged(row: Row, cell: Cell) -> bool:
    """Whether a header that spans several columns may have gone to the wrong one ("2021 | Pension 2020 | 2021")."""
    spans = [bare(column) for column in row.columns]
    spans = [name for name in spans if ANY_YEAR.search(name) and not when(name)]
    return bare(cell.column) in spans or any(not re.search(r"(?i)\bvs?\.|change", name) for name in spans)


def _fault(row: Row) -> str:
    """Why a row's label cannot stand in a question."""
    label = bare(row.label)
    if is_general(label):
        return "row label is too general"
    if re.fullmatch(r"[\d\W]+", label) and not YEAR.fullmatch(label):
        return "row label is a number"
    return "row label holds a figure" if re.search(r"[$€£]\s?\d[\d,.]*$|\brespectively\b", label) else ""


def _lookups(table: Table, row: Row, several: frozenset[Key], common: frozenset[str]) -> Found:
    """What stands in the row under each of its columns."""
    if fault := _fault(row):
        yield Rejection(fault, row.label[:80])
        return
    for cell in row.cells:
        detail = f"{row.label[:50]} | {cell.column[:40]}: {cell.value[:40]}"
        column = bare(cell.column)
        number = NUMBER.fullmatch(cell.value)
        if _PAGES.fullmatch(column):
            yield Rejection("column asks for nothing", detail)
        elif _key(row, cell) in several:
            yield Rejection("label has several values in the document", detail)
        elif cell.value.casefold() in row.label.casefold() or row.label.casefold() in cell.value.casefold():
            yield Rejection("value repeats its label", detail)
        elif YEAR.fullmatch(bare(row.label)) and not number:
            yield Rejection("row label is a number", detail)
        elif column[:1].islower() and any(other.column[:1].isupper() for other in row.cells):
            yield Rejection("column name is cut", detail)
        elif not when(column) and is_general(column):
            yield Rejection("column name is too general", detail)
        elif number and when(column) and not is_measure(table, row):
            yield Rejection("what is measured is not clear", detail)
        elif is_yearless(column):
            yield Rejection("column is a period without its year", detail)
        elif _is_merged(row, cell):
            yield Rejection("column name is a merged header", detail)
        elif number and _unclear(table, row, cell):
            yield Rejection("unit is not clear", detail)
        else:
            asked = wordings(table, row, cell, common)
            said = re.compile(rf"(?<![\w.,]){re.escape(cell.value.casefold())}(?!\w|[.,]\d)")
            if any(said.search(question.casefold()) for question in asked):
                yield Rejection("answer in question", detail)
                continue
            quotes = ((row.start, row.end),)
            yield Reading("table lookup", f"{row.label} | {column}", cell.value, quotes, asked, 1 if number else 2)


def _unclear(table: Table, row: Row, cell: Cell) -> bool:
    """Whether a figure without a sign may be a percentage, an amount or a count, as others near it are."""
    if re.search(r"[%$€£]", cell.value) or "%" in cell.column:
        return False
    if any("%" in other.value for other in row.cells):
        return True
    if not when(bare(cell.column)) and any(when(bare(other.column)) for other in row.cells):
        return True
    if "." not in cell.value:
        return False
    values = [other.value for one in table.rows for other in one.cells if NUMBER.fullmatch(other.value)]
    return any("%" in value for value in values) or 3 * sum("." in value for value in values) < len(values)


def _figures(cells: Sequence[Cell]) -> list[Fraction] | None:
    """The cells' figures, if all are clearly positive and of one kind: all percentages, or none."""
    found = [NUMBER.fullmatch(cell.value) for cell in cells]
    if any(m is None or m["open"] or m["inner"] or m["sign"] for m in found):
        return None
    if len({bool(m["percent"]) for m in found if m}) > 1:
        return None
    return [Fraction(m["digits"].replace(",", "")) for m in found if m]


def _across(table: Table, row: Row, several: frozenset[Key], common: frozenset[str]) -> Found:
    """In which year the row's figure was highest."""
    years = [cell for cell in row.cells if YEAR.fullmatch(bare(cell.column))]
    cells = [cell for cell in years if _key(row, cell) not in several and not _is_merged(row, cell)]
    if len(cells) < 2 or _fault(row):
        return
    if not MEASURE.search(bare(row.label)):
        yield Rejection("what is measured is not clear", row.label[:80])
        return
    figures = _figures(cells)
    name, simple = row_name(row.label, common)
    if figures is None or not simple or re.search(r"(?i)\band other$", name):
        yield Rejection("figures are not comparable", row.label[:80])
        return
    if figures.count(max(figures)) > 1:
        yield Rejection("figures are alike", row.label[:80])
        return
    by, inside = places(table)
    be = "were" if is_plural(name) else "was"
    *first, last = sorted(when(bare(cell.column)).removeprefix("in ") for cell in cells)
    asked = [f"According to {by}, in which year {be} {name} highest: {', '.join(first)} or {last}?"]
    if len(cells) == 2:
        asked = [
            f"In which year {be} {name} higher, {first[0]} or {last}, according to {by}?",
            f"According to {by}, {be} {name} higher in {first[0]} or in {last}?",
        ]
    elif len(cells) == len(years) and len(cells) in _COUNT:
        asked.insert(0, f"In which of the {_COUNT[len(cells)]} years given {inside} {be} {name} highest?")
    answer = ANY_YEAR.findall(cells[figures.index(max(figures))].column)[0]
    yield Reading("comparison", row.label, answer, ((row.start, row.end),), tuple(asked), 2, "implicit fact")


def _down(table: Table, one: Row, other: Row, several: frozenset[Key], common: frozenset[str]) -> Found:
    """Which of two neighbouring rows is higher at the first time at which they can be compared."""
    rows = (one, other)
    labels = [bare(row.label) for row in rows]
    (name, simple), (second, also) = (row_name(label, common) for label in labels)
    if any(_fault(row) for row in rows) or not (simple and also):
        return
    if any(re.search(r"(?i)\btotal\b|\band other$", label) or not MEASURE.search(label) for label in labels):
        return
    beside = {cell.column: cell for cell in other.cells}
    for cell in one.cells:
        time = when(bare(cell.column))
        if is_flow_on_a_day(one, cell) or is_flow_on_a_day(other, cell):
            continue
        if not time or cell.column not in beside or _is_merged(one, cell) or _is_merged(other, cell):
            continue
        pair = (cell, beside[cell.column])
        if any(_key(row, member) in several for row, member in zip(rows, pair, strict=True)):
            continue
        figures = _figures(pair)
        alike = bool(NOT_MONEY.search(labels[0])) == bool(NOT_MONEY.search(labels[1]))
        if not figures or not alike or max(figures) > _FAR * min(figures):
            yield Rejection("figures are not comparable", f"{one.label[:40]} / {other.label[:40]}")
            return
        if figures[0] == figures[1]:
            continue
        by, inside = places(table)
        asked = (
            f"According to {by}, which was higher {time}: {name} or {second}?",
            f"Which of the two was higher {time} {inside}, {name} or {second}?",
        )
        answer = labels[figures.index(max(figures))]
        quotes = ((one.start, one.end), (other.start, other.end))
        yield Reading("comparison", f"{one.label} / {other.label}", answer, quotes, asked, 2, "implicit fact")
        return
