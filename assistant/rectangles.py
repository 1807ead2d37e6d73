"""Glyphs of a page to the rectangles around them, one for each line, in which nothing else stands. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from assistant.placing import Place, Sheet
from ingest.layout.glyphs import Rect

_WIDE_GAP = 2.0  # line heights; words further apart on a line get a rectangle each
_APART = 0.1  # points


def rectangles(place: Place, sheet: Sheet) -> list[Rect] | None:
    """A rectangle for each line of the glyphs, on the page as displayed; None where other text would be in one too."""
    found: list[Rect] = []
    for line in _lines(place, sheet):
        parts = [line] if not _holds_others(sheet.tight(line), place, sheet) else list(_words(line, sheet))
        boxes = [sheet.tight(part) for part in parts]
        if any(_holds_others(box, place, sheet) for box in boxes):
            return None
        found += [_trimmed(box, line, sheet) for box in boxes]
    return [sheet.page.displayed(rect) for rect in found]


def _trimmed(box: Rect, line: Sequence[int], sheet: Sheet) -> Rect:
    """The rectangle cut where ink of other lines reaches into it, by a quarter of its height at most."""
    own = set(line)
    x0, top, x1, bottom = box
    room = (bottom - top) / 4
    for number, glyph in enumerate(sheet.glyphs):
        left, up, right, down = glyph.ink
        if number not in own and left < x1 and right > x0:
            if box[1] < down <= box[1] + room:
                top = max(top, down + _APART)
            if box[3] - room <= up < box[3]:
                bottom = min(bottom, up - _APART)
    return x0, top, x1, bottom


def _words(place: Sequence[int], sheet: Sheet) -> Iterator[list[int]]:
    word: list[int] = []
    for number in place:
        if word and sheet.word[word[-1]] != sheet.word[number]:
            yield word
            word = []
        word.append(number)
    if word:
        yield word


def _lines(place: Place, sheet: Sheet) -> Iterator[list[int]]:
    line: list[int] = []
    for word in _words(place, sheet):
        if line and not _goes_on(line, word, sheet):
            yield line
            line = []
        line = line + word
    if line:
        yield line


def _goes_on(line: Sequence[int], word: Sequence[int], sheet: Sheet) -> bool:
    (x0, top, x1, bottom), (left, up, right, down) = sheet.box(line), sheet.box(word)
    if sheet.turned[sheet.word[line[-1]]] and sheet.turned[sheet.word[word[0]]]:
        x0, top, x1, bottom, left, up, right, down = top, x0, bottom, x1, up, left, down, right
    height = min(bottom - top, down - up)
    gap = max(left - x1, x0 - right)
    return min(bottom, down) - max(top, up) > height / 2 and gap < _WIDE_GAP * height


def _holds_others(box: Rect, place: Place, sheet: Sheet) -> bool:
    own = set(place)
    return any(
        number not in own and box[0] < (g.x0 + g.x1) / 2 < box[2] and box[1] < (g.top + g.bottom) / 2 < box[3]
        for number, g in enumerate(sheet.glyphs)
    )
