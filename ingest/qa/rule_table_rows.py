"""Tables in chunks: rows "label | column: value | column: value" back to labels, columns and cells.

A table may run over several chunks of a document. Knows what can be relied on in a row and rejects the rest with a
reason; not what is asked about it (``ingest.qa.rule_tables``). The units of a table are what its head or the line
above it says ("in millions").
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from fieldguide.types import Chunk
from ingest.qa.drafts import Rejection
from ingest.qa.rule_reading import heading_name, readable_name

CELLS = " | "
_BLOCK = re.compile(r"(?:[^\n]*\S[^\n]*(?:\n|$))+")
_CAPTION = re.compile(r"(?i)(?:table|exhibit|schedule|figure|chart)\s*[\dIVX]+[\w.-]*\s*[.:–—-]?\s*\S")
_MARK = re.compile(
    r"\s*(?:\((?:\d{1,2}|[a-z]|[Nn]otes? \d+\w?(?:(?:, | and |, and )\d+\w?)*)\)|\*{1,3}|[†‡§¹²³⁴⁵⁶⁷⁸⁹])+$"
)
_NOTE = re.compile(r"(?<=[\w.%)]) +\((?:\d{1,2}|[a-z])\)$")
_EMPTY = re.compile(r"(?i)[($€£\s]*(?:[-–—−.*#_]+|n/?a\.?|n/?m|nil|none|tbd|unknown|see .*|x|✓|✔)?[)%\s]*")
_SCALE = re.compile(
    r"(?i)(?P<before>[$€£]|dollars?|usd|euros?|eur)?\s*(?:\w+\s+){0,3}?in\s+(?P<scale>thousands|millions|billions)"
    r"(?:\s+of\s+(?P<of>(?:u\.?s\.?\s+)?dollars|euros))?"
    r"|\((?P<bare>thousands|millions|billions)(?:,[^)]*)?\)|\$\s?(?P<short>MM|M|000s|bn)\b"
)
_SHORT = {"mm": "millions", "m": "millions", "000s": "thousands", "bn": "billions"}
_CURRENCY = {"$": "dollars", "€": "euros", "£": "pounds"}
OPEN_END = re.compile(
    r"(?i)(?:[,;:(/&–—-]|\b(?:of|and|or|the|a|an|in|for|to|from|by|with|on|at|per|than|excluding|including|that|those"
    r"|their|its|his|this|these|is|are|was|were|as|set|not))$"
)
_BROKEN = re.compile(
    r"(?<![\w’'.])(?:t|s|ge|ng|nt|ly|ed|er|es|ts|ty|rs|ns|ce|te|ment|ments|tion|tions|ing|ity)(?![\w.])"
)
_FEW = 6  # words of a cell that is not taken to go on in the next chunk
_UNENDED = 12  # words of a cell without a mark at its end: it goes on elsewhere
_REACH = 2  # pages that a heading may be away from a table that it names
_OF_ONE_TABLE = re.compile(r"(?i)\b(?:statements?|balance sheets?|schedules?|tables?)\b")
_LONGEST_NAME, _LONGEST_LABEL, _LONGEST_VALUE = 8, 14, 25


@dataclass(frozen=True, slots=True)
class Cell:
    """A value under its column's name, and where the value stands in the chunk's text."""

    column: str
    value: str
    start: int


@dataclass(frozen=True, slots=True)
class Row:
    """A table's row: its place in the list of chunks and in the chunk's text, its label, and its clean cells.

    ``columns`` are the names over all of its cells, also those that are not clean.
    """

    chunk: int
    start: int
    end: int
    label: str
    cells: tuple[Cell, ...]
    columns: tuple[str, ...]


@dataclass(slots=True)
class Table:
    """Rows that stand under the same columns. ``name`` is its caption, or else a heading, or "".

    ``scale`` is what its amounts are given in ("millions", or ""), ``currency`` of what ("dollars", or "").
    """

    name: str = ""
    captioned: bool = False
    scale: str = ""
    currency: str = ""
    rows: list[Row] = field(default_factory=list)


_NUMBERS_BEHIND = re.compile(r"(?<=[A-Za-z)])\d{1,2}(?:,\s?\d{1,2})+$|(?<=[a-z]\))\d{1,2}$")
"""Footnotes behind a word: "Operational1,2", "(diluted)1"."""


def bare(text: str) -> str:
    """A label or a column's name without its footnote marks and leaders."""
    text = re.sub(r"\s*(?:\((?:\d{1,2}|[a-z])\)|\*+)(?=: )", "", " ".join(text.split()))
    text = _NUMBERS_BEHIND.sub("", text)
    text = _MARK.sub("", re.sub(r"[ .…_]{3,}$", "", text).rstrip(" :_…")).strip()
    return text if re.search(r"\b(?:[A-Z]|\w{2,4}|\w(?:\.\w)+)\.$", text) else text.rstrip(".")


def is_empty(value: str) -> bool:
    return bool(_EMPTY.fullmatch(value.strip()))


def read_tables(chunks: Sequence[Chunk]) -> tuple[list[Table], list[list[Rejection]]]:
    """The tables of one document's chunks, in order, and for each chunk the rows that cannot be relied on.

    Rows keep only clean cells: under a column with a name that other rows of the table share, not empty, not cut.
    """
    rejected: list[list[Rejection]] = [[] for _ in chunks]
    tables: list[Table] = []
    open_at_end = False
    above = ""
    opened: dict[tuple[str, ...], int] = {}  # page on which a heading first stands over a chunk
    for n, chunk in enumerate(chunks):
        page = opened.setdefault(chunk.heading, chunk.pages[0])
        blocks = list(_BLOCK.finditer(chunk.text))
        for place, block in enumerate(blocks):
            text = block.group()
            if CELLS not in text:
                above = f"{above}\n{text}"[-600:] if place and open_at_end is False else text[-600:]
                open_at_end = False
                continue
            same = n > 0 and tables and tables[-1].rows and tables[-1].rows[-1].chunk == n - 1
            goes_on = open_at_end and place == 0 and bool(same) and chunk.heading == chunks[n - 1].heading
            if not goes_on:
                name = heading_name(chunk.heading)
                near = chunk.pages[0] - page <= (0 if _OF_ONE_TABLE.search(name) else _REACH)
                tables.append(_table(chunk, above, text, name if near else ""))
            _read_rows(tables[-1], n, chunk.text, block.start(), block.end(), goes_on, rejected[n])
            open_at_end = place == len(blocks) - 1
            above = ""
    for table in tables:
        _keep_clean(table, chunks, rejected)
    return tables, rejected


def _table(chunk: Chunk, above: str, text: str, heading: str) -> Table:
    """An empty table with what is written above it and in its head; ``heading`` is its name if it has no caption."""
    lines = [line.strip() for line in above.split("\n") if line.strip()]
    caption = next((line for line in lines[-2:] if _CAPTION.match(line)), "")
    if not caption and (of_context := chunk.context.rsplit(" > ", 1)[-1]) and _CAPTION.match(of_context):
        caption = of_context
    name = readable_name(caption) if caption else ""
    head = text.split("\n")
    first = next((i for i, line in enumerate(head) if ": " in line and CELLS in line), 0)
    scale, currency = _units("\n".join([*lines[-3:], *head[: first + 1], caption]))
    return Table(name or heading, bool(name), scale, currency)


def _units(text: str) -> tuple[str, str]:
    """What amounts are given in, and of which currency, as far as the text says so; the last word counts."""
    scale = currency = ""
    for m in _SCALE.finditer(text):
        scale = (m["scale"] or m["bare"] or _SHORT[m["short"].casefold()]).casefold()
        said = f"{m['before'] or ''}{m['of'] or ''}{'$' if m['short'] else ''}".casefold()
        currency = next((name for mark, name in _CURRENCY.items() if mark in said or name[:4] in said), "")
    return scale, currency


def _read_rows(table: Table, n: int, text: str, start: int, end: int, goes_on: bool, rejected: list[Rejection]) -> None:
    """Adds the rows of a block; head rows and lines without cells are passed over."""
    at = start
    seen = goes_on
    for line in text[start:end].split("\n"):
        begin, at = at, at + len(line) + 1
        if CELLS not in line:
            continue
        row = _row(n, begin, line)
        named = [cell for cell in row.cells if cell.column]
        if not named:
            if seen:
                rejected.append(Rejection("column has no name", line[:80]))
            continue
        seen = True
        table.rows.append(row)


def _row(n: int, start: int, line: str) -> Row:
    label, *parts = line.split(CELLS)
    at = start + len(label) + len(CELLS)
    cells = []
    for part in parts:
        name, mark, value = part.partition(": ")
        if not mark:
            name, value = "", part
        value_at = at + len(part) - len(value) + (len(value) - len(value.lstrip()))
        cells.append(Cell(" ".join(name.split()), _NOTE.sub("", value.rstrip().removesuffix(" |").strip()), value_at))
        at += len(part) + len(CELLS)
    full = tuple(cell for cell in cells if cell.value)
    columns = tuple(cell.column for cell in cells if cell.column)
    return Row(n, start, start + len(line.rstrip(" |")), " ".join(label.split()), full, columns)


def _keep_clean(table: Table, chunks: Sequence[Chunk], rejected: list[list[Rejection]]) -> None:
    """Leaves only rows and cells that can be relied on."""
    names = Counter(name for row in table.rows for name in {cell.column for cell in row.cells if cell.column})
    columns = sum(count >= 2 for count in names.values())
    first = Counter(row.cells[0].column for row in table.rows if row.cells).most_common(1)
    firsts = {first[0][0]} if first else set()
    labels: dict[str, set[tuple[tuple[str, str], ...]]] = defaultdict(set)
    for row in table.rows:
        labels[bare(row.label).casefold()].add(tuple((cell.column, cell.value) for cell in row.cells))
    whole = set(_whole_rows(table, chunks, names, firsts))
    kept = []
    done: set[tuple[str, tuple[Cell, ...]]] = set()
    for place, row in enumerate(table.rows):
        reason = _row_reason(row, names, place in whole, columns)
        if not reason and len(labels[bare(row.label).casefold()]) > 1:
            reason = "row label is not unique in its table"
        if reason:
            rejected[row.chunk].append(Rejection(reason, row.label[:80]))
            continue
        cells = []
        for cell in row.cells:
            if fault := _cell_reason(cell, row, names):
                rejected[row.chunk].append(
                    Rejection(fault, f"{row.label[:50]} | {cell.column[:40]}: {cell.value[:40]}")
                )
            else:
                cells.append(cell)
        key = (bare(row.label).casefold(), tuple(Cell(c.column, c.value, 0) for c in cells))
        if cells and key not in done:
            kept.append(replace(row, cells=tuple(cells)))
        done.add(key)
    table.rows = kept


def _whole_rows(table: Table, chunks: Sequence[Chunk], names: Counter[str], firsts: set[str]) -> Iterator[int]:
    """Numbers of the rows that no chunk's end cuts: the last value is a figure, or the next chunk begins anew."""
    for place, row in enumerate(table.rows):
        after = table.rows[place + 1] if place + 1 < len(table.rows) else None
        chunk, follows = chunks[row.chunk], chunks[row.chunk + 1 : row.chunk + 2]
        last = row.cells[-1].value if row.cells else ""
        if re.search(r"[\d%)]$", last) or chunk.text[row.end :].strip(" |\n") or not follows:
            yield place
        elif after is not None:
            if _begins(after, names, firsts):
                yield place
        elif follows[0].heading != chunk.heading or (len(last.split()) < _FEW and follows[0].text[:1].isupper()):
            yield place


def _begins(row: Row, names: Counter[str], firsts: set[str]) -> bool:
    """Whether a row is whole at its beginning: it has a label, and its first cell is that of the other rows."""
    return bool(row.cells) and row.cells[0].column in firsts and row.label.partition(": ")[0] not in names


def _row_reason(row: Row, names: Counter[str], whole: bool, columns: int) -> str:
    label = bare(row.label)
    if row.label.partition(": ")[0] in names or not re.search(r"\w", label):
        return "row has no label"
    if not whole or any(_is_cut(cell.value) for cell in row.cells):
        return "row is cut"
    if 2 * len(row.cells) <= columns and not any(re.search(r"\d", cell.value) for cell in row.cells):
        return "row lacks cells"
    if any(not cell.column and not _MARK.fullmatch(f" {cell.value}") for cell in row.cells):
        return "row has a cell without a column"
    if re.search(r"\.{4}|…{2}|_{3}", row.label) or "::" in label:
        return "row label is not clean"
    if label[0].islower() or label[0] in "(,;)–—-" or OPEN_END.search(label) or label.count("(") != label.count(")"):
        return "row label is cut"
    if _BROKEN.search(label):
        return "row label is not clean"
    if len(label.split()) > _LONGEST_LABEL or len(label) > 110:
        return "row label is too long"
    if label.endswith(("?", "!")) or re.search(r"[.?!] (?:[A-Z]\w+ ){2}", label):
        return "row label is a sentence"
    return ""


def _is_cut(value: str) -> bool:
    """Whether a value seems to go on, or to begin, in another place."""
    words = value.split()
    if value.count("(") != value.count(")") or value.count("“") != value.count("”"):
        return True
    if len(words) > 1 and (OPEN_END.search(value) or value[0] in ",;)"):
        return True
    if len(words) > 1 and words[0].islower() and value.endswith("."):
        return True
    return len(words) >= _UNENDED and value[-1].isalpha()


def _cell_reason(cell: Cell, row: Row, names: Counter[str]) -> str:
    name = bare(cell.column)
    if not name:
        return "column has no name"
    if sum(other.column == cell.column for other in row.cells) > 1:
        return "column name is not unique"
    if names[cell.column] < 2:
        return "column name is not sure"
    if is_empty(cell.value):
        return "cell is empty or a placeholder"
    if len(name.split()) > _LONGEST_NAME or name.count("(") != name.count(")") or OPEN_END.search(name):
        return "column name is not clean"
    if (not name[0].isalnum() and name[0] not in "%$€#") or name.endswith("?") or re.match(r"(?:than|of|to)\b", name):
        return "column name is not clean"
    if len(cell.value.split()) > _LONGEST_VALUE:
        return "answer too long"
    if ": " in cell.value or _BROKEN.search(cell.value):
        return "cell is not clean"
    return ""
