"""Where lines of a page's text stand on the page, rows of tables among them: ``place`` is the whole way.

A row is written ``Label | Column: value`` where only the label and the values stand in it, so its cells are looked for
in one visual row, each with and without what may be its column's name. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

from assistant.placing import (
    ABSENT,
    MOST_PLACES,
    NOTHING,
    SEVERAL,
    Keyed,
    Place,
    Quoted,
    Sheet,
    Stream,
    everywhere,
    find,
    in_turn,
)
from assistant.rectangles import rectangles
from fieldguide import align
from ingest.layout.glyphs import Rect

COVERED = "other text lies over it"

_BAR = " | "
_LEADERS = frozenset(".·_")
_SEEDS = 3
"""Cells of a row whose places are tried as its height, those first that stand in the fewest."""
_MOST_NAMES = 3
"""Times that ": " is read as the end of a column's name in one cell."""


@dataclass(frozen=True, slots=True)
class Placed:
    """Rectangles in points from the top left corner of the displayed page, one for each line, and what stands in them.

    ``reason`` is a phrase that says why there are none, "" if there are.
    """

    rects: tuple[Rect, ...] = ()
    text: str = ""
    reason: str = ""


def place(text: str, start: int, end: int, sheet: Sheet) -> Placed:
    """Where the characters ``start`` to ``end`` of a page's text stand. All of them are found, or none are given; of a
    table's row, the cells that can be told in it."""
    start, end = max(start, 0), min(end, len(text))
    if not text[start:end].strip():
        return Placed(reason=NOTHING)
    page = Keyed.of(text)
    found: list[Place] = []
    for low, high, is_row in _parts(text, start, end):
        part = Quoted(text, page, low, high)
        places = _row(part, sheet) if is_row else _prose(part, sheet)
        if isinstance(places, str):
            return Placed(reason=places)
        found += places
    numbers = [number for piece in found for number in piece]
    if not numbers or len(set(numbers)) < len(numbers):
        return Placed(reason=SEVERAL if numbers else NOTHING)
    rects: list[Rect] = []
    for piece in found:
        there = rectangles(piece, sheet)
        if there is None:
            return Placed(reason=COVERED)
        rects += there
    return Placed(tuple(rects), _read(numbers, sheet))


def _read(place: Sequence[int], sheet: Sheet) -> str:
    words: list[str] = []
    last = -1
    for number in place:
        if sheet.word[number] != last:
            words.append("")
        words[-1] += sheet.glyphs[number].text
        last = sheet.word[number]
    return " ".join(words)


def _parts(text: str, start: int, end: int) -> Iterator[tuple[int, int, bool]]:
    """The quote parted at rows of tables: (start, end, whether it is of a row)."""
    prose: tuple[int, int] | None = None
    for low, high in align.lines(text):
        first, last = max(low, start), min(high, end)
        if first >= last:
            continue
        if _BAR not in text[low:high]:
            prose = (prose[0] if prose else first, last)
            continue
        if prose:
            yield (*prose, False)
            prose = None
        yield first, last, True
    if prose:
        yield (*prose, False)


def _prose(part: Quoted, sheet: Sheet) -> list[Place] | str:
    """The part in one piece, or else in as few runs of its lines as there need be."""
    whole = find(part, sheet)
    if not isinstance(whole, str):
        return [whole]
    lines = [
        (max(low, part.start), min(high, part.end))
        for low, high in align.lines(part.text)
        if low < part.end and part.start < high
    ]
    found: list[Place] = []
    first = 0
    while first < len(lines):
        why = whole
        for last in range(len(lines), first, -1):
            if last - first == len(lines):
                continue
            piece = find(Quoted(part.text, part.page, lines[first][0], lines[last - 1][1]), sheet)
            if not isinstance(piece, str):
                found.append(piece)
                first = last
                break
            why = piece if why == ABSENT else why
        else:
            return why
    return found


def _cells(text: str, low: int, high: int) -> list[tuple[int, int]]:
    """Where the cells of a row stand in the text."""
    cells = []
    for cell in text[low:high].split(_BAR):
        cells.append((low, low + len(cell)))
        low += len(cell) + len(_BAR)
    return cells


def _beginnings(text: str, cell: tuple[int, int]) -> list[int]:
    """Where a cell's content may begin: at once, or behind a name, its end told by ": "."""
    starts = [cell[0]]
    at = text.find(": ", *cell)
    while at >= 0 and len(starts) <= _MOST_NAMES:
        starts.append(at + 2)
        at = text.find(": ", at + 2, cell[1])
    return starts


def _row(part: Quoted, sheet: Sheet) -> list[Place] | str:
    """The glyphs of each of the part's cells, in the visual row that holds the whole row's."""
    whole = find(part, sheet)
    if not isinstance(whole, str):  # the bars are drawn
        return [whole]
    text = part.text
    low = text.rfind("\n", 0, part.start) + 1
    high = text.find("\n", part.start)
    high = len(text) if high < 0 else high
    cells = _cells(text, low, high)
    row = _in_a_line(part, cells, (low, high), sheet)
    if row == ABSENT:
        row = _in_a_band(part, cells, sheet)
    if isinstance(row, str):
        return row
    found: list[Place] = []
    for cell in row:
        wanted = Quoted(text, part.page, max(cell.start, part.start), min(cell.end, part.end))
        if wanted.start < wanted.end:
            kept = _shortened(cell, wanted, sheet)
            if kept is None:
                return ABSENT
            found.append(kept)
    return found or ABSENT


@dataclass(frozen=True, slots=True)
class _Cell:
    """Characters of the text, and the glyphs that they are."""

    start: int
    end: int
    place: Place


def _shortened(cell: _Cell, wanted: Quoted, sheet: Sheet) -> Place | None:
    """The glyphs of the part of the cell that is wanted; None if that is not told."""
    if (wanted.start, wanted.end) == (cell.start, cell.end):
        return cell.place
    before, held = wanted.page.within(cell.start, wanted.start), wanted.strict
    letters = [(n, char) for n in cell.place for char in align.normalise(sheet.glyphs[n].text)[0] if char != " "]
    numbers = [n for n, _ in letters]
    if len(letters) != len(wanted.page.within(cell.start, cell.end)):
        return None
    return tuple(dict.fromkeys(numbers[len(before) : len(before) + len(held)]))


def _in_a_line(part: Quoted, cells: Sequence[tuple[int, int]], row: tuple[int, int], sheet: Sheet) -> list[_Cell] | str:
    """The row on one visual line: its cells one after another, nothing but dots between them."""
    ways = [
        [(start, part.page.within(start, cell[1]), cell[1]) for start in _beginnings(part.text, cell)] for cell in cells
    ]
    shortest = sum(min(len(content) for _, content, _ in cell) for cell in ways)
    found: dict[frozenset[int], list[_Cell]] = {}
    for line in sheet.lines:
        for begin in range(len(line.keyed.strict) - shortest + 1):
            held = _matched(ways, line, begin, sheet)
            if held is not None:
                found.setdefault(frozenset(n for cell in held for n in cell.place), held)
            if len(found) >= MOST_PLACES:
                return SEVERAL
    if not found:
        return ABSENT
    strict = part.page.within(*row)
    same = [low for low, high in align.lines(part.text) if part.page.within(low, high) == strict]
    if len(found) == 1 and len(same) == 1:
        return next(iter(found.values()))
    own = next((n for n, low in enumerate(same) if low >= row[0]), None)
    rows = list(found.values())
    places = [tuple(key) for key in found]
    chosen = in_turn(own, len(same), places, sheet) if own is not None else None
    return rows[chosen] if chosen is not None else SEVERAL


def _matched(ways: Sequence[Sequence[tuple[int, str, int]]], line: Stream, at: int, sheet: Sheet) -> list[_Cell] | None:
    """The cells from a place of the line on, each as much of it as stands there; None if one does not."""
    keyed = line.keyed
    held: list[_Cell] = []
    for number, cell in enumerate(ways):
        while number and at < len(keyed.strict) and keyed.strict[at] in _LEADERS:
            at += 1
        fit = next((way for way in cell if way[1] and _stands(way[1], line, at, sheet)), None)
        if fit is None:
            return None
        begin, end = keyed.origins[at], keyed.origins[at + len(fit[1]) - 1]
        held.append(_Cell(fit[0], fit[2], tuple(line.order[begin : end + 1])))
        at += len(fit[1])
    return held


def _stands(wanted: str, line: Stream, at: int, sheet: Sheet) -> bool:
    keyed = line.keyed
    if not keyed.strict.startswith(wanted, at):
        return False
    return line.begins(sheet, keyed.origins[at]) and line.ends(sheet, keyed.origins[at + len(wanted) - 1])


def _in_a_band(part: Quoted, cells: Sequence[tuple[int, int]], sheet: Sheet) -> list[_Cell] | str:
    """The row whose cells may run over several lines: those cells that stand, once each, at one height of the page.

    One of them must stand nowhere else, so that no row that is much like it can be taken for it.
    """
    options = [[(held, sheet.box(held.place)) for held in _candidates(part, cell, sheet)] for cell in cells]
    best: dict[frozenset[int], list[_Cell]] = {}
    most = 1
    for _, band in chain(*sorted(filter(None, options), key=len)[:_SEEDS]):
        beside = [[found for found in option if _level(band, found[1])] for option in options]
        row = [option[0] for option in beside if len(option) == 1]
        lefts = [box[0] for _, box in row]
        numbers = [n for cell, _ in row for n in cell.place]
        if len(row) < most or lefts != sorted(lefts) or len(set(numbers)) < len(numbers):
            continue
        if len(row) > most:
            best, most = {}, len(row)
        best.setdefault(frozenset(numbers), [cell for cell, _ in row])
    if most < 2:
        return ABSENT
    sole = {option[0][0] for option in options if len(option) == 1 and _is_sole(option[0][0], part.page)}
    chosen = next(iter(best.values()))
    return chosen if len(best) == 1 and sole.intersection(chosen) else SEVERAL


def _is_sole(cell: _Cell, page: Keyed) -> bool:
    """Whether the page's text says what the cell says in no other place."""
    return page.strict.count(page.within(cell.start, cell.end)) == 1


def _candidates(part: Quoted, cell: tuple[int, int], sheet: Sheet) -> list[_Cell]:
    """Every place of the page where the cell, with as much before its ": " as can be, stands."""
    for start in _beginnings(part.text, cell):
        wanted = Quoted(part.text, part.page, start, cell[1])
        found = {frozenset(place): place for place in everywhere(wanted, sheet)}
        if found:
            return [_Cell(start, cell[1], place) for place in found.values()]
    return []


def _level(one: Rect, other: Rect) -> bool:
    shared = min(one[3], other[3]) - max(one[1], other[1])
    return shared > min(one[3] - one[1], other[3] - other[1]) / 2
