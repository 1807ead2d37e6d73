"""The text of a pdfium page: words and characters with their boxes, on the page turned so that most text is upright."""

from __future__ import annotations

import contextlib
import ctypes
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from ingest.layout.glyphs import Glyph, Glyphs, whole_word
from ingest.layout.words import Word
from ingest.readers.base import PageFault
from ingest.readers.legible import clean_word

Box = tuple[float, float, float, float]
"""x0, top, x1, bottom in points from the page's top left corner, the text upright."""

MAX_GLYPHS = 100_000
"""Characters of a page whose places are told; a page of a newspaper has about 30,000."""

_RUN = re.compile(r"\S+")
_SIZE = 0.82  # share of a loose box's height that is the font's size
_HYPHEN = "\x02"  # pdfium's mark for a hyphen at a line's end; also an unmapped character, told apart by asking
_HEAVY = (b"bold", b"black", b"heavy", b"demi")


def page_words(page: Any) -> tuple[float, float, tuple[Word, ...]]:
    """Width and height of a pypdfium2 page and its words in content order, turned so that most text is upright.

    Words outside the visible part of the page are left out, as a reader cannot see them.
    """
    import pypdfium2.raw as c

    with _runs(page, c) as (text_page, runs, turn):
        place, width, height = _placing(page.get_bbox(), turn)
        words = tuple(_words(text_page, runs, turn, place, c))
    seen = tuple(word for word in words if _inside(word, width, height))
    return width, height, seen


def page_glyphs(page: Any) -> Glyphs:
    """The characters of a page in the words, the order and the place that ``page_words`` gives them. Raises PageFault
    for more than MAX_GLYPHS."""
    import pypdfium2.raw as c

    words: list[tuple[Glyph, ...]] = []
    with _runs(page, c) as (text_page, runs, turn):
        if sum(end - start for start, end, _ in runs) > MAX_GLYPHS:
            raise PageFault(f"the page holds more than {MAX_GLYPHS:,} characters")
        place, width, height = _placing(page.get_bbox(), turn)
        box, ink = _boxer(text_page, place, c), _inker(text_page, place, c)
        for start, end, text in runs:
            boxes = [box(n) for n in range(start, end)]
            torn = _looks_torn(text, _union(boxes[0], boxes[-1]), boxes[0][3] - boxes[0][1])
            pieces: Iterable[tuple[str, Box]] = ((text, boxes[0]),)
            if torn and _is_upright(text_page, start, turn, c):
                pieces = _split(text, boxes)
            first = 0
            for piece, _ in pieces:
                kept = enumerate(map(clean_word, piece), first)
                words.append(tuple(Glyph(char, *boxes[n], ink(start + n, boxes[n])) for n, char in kept if char))
                first += len(piece)
    seen = tuple(word for word in words if word and _inside(whole_word(word), width, height))
    return Glyphs(width, height, (page.get_rotation() // 90 - turn) % 4, seen)


@contextlib.contextmanager
def _runs(page: Any, c: Any) -> Iterator[tuple[Any, list[tuple[int, int, str]], int]]:
    """The open text of a page, its runs without white space (first character, last, text), and how it is turned."""
    text_page = page.get_textpage()
    try:
        text = _characters(text_page, text_page.count_chars(), c)
        runs = [(match.start(), match.end(), match.group()) for match in _RUN.finditer(text)]
        yield text_page, runs, _turn(text_page, runs, page.get_rotation() // 90, c)
    finally:
        text_page.close()


def _characters(text_page: Any, count: int, c: Any) -> str:
    """One character for each index of pdfium's; hyphens at line ends as ``-`` and a space, unmapped ones as U+FFFD."""
    text = text_page.get_text_range() if count else ""
    if len(text) != count or "\ufffe" in text:
        text = "".join(map(chr, (c.FPDFText_GetUnicode(text_page, n) for n in range(count))))
    if _HYPHEN in text or "\ufffe" in text:
        marks = [n for n, char in enumerate(text) if char in "\x02\ufffe" and c.FPDFText_IsHyphen(text_page, n) == 1]
        letters = list(text)
        for n in marks:
            letters[n] = "\xad"
        text = "".join(letters)
    return text


def _turn(text_page: Any, runs: list[tuple[int, int, str]], page_turn: int, c: Any) -> int:
    """Quarter turns clockwise that make most of the text upright (the page's own where there is no text)."""
    sample = runs[:: max(1, len(runs) // 40)]
    angles = Counter(_quarter(c.FPDFText_GetCharAngle(text_page, start)) for start, _, _ in sample)
    if not angles:
        return page_turn
    (angle, often), *_ = angles.most_common(1)
    return angle if often * 2 > len(sample) else page_turn


def _placing(bbox: Box, turn: int) -> tuple[Callable[[Any], Box], float, float]:
    """How boxes of the page's own space (origin at the bottom left) lie on the turned page, and that page's size."""
    left, bottom, right, top = bbox
    width, height = right - left, top - bottom
    if turn == 1:
        return lambda b: (b.bottom - bottom, b.left - left, b.top - bottom, b.right - left), height, width
    if turn == 2:
        return lambda b: (right - b.right, b.bottom - bottom, right - b.left, b.top - bottom), width, height
    if turn == 3:
        return lambda b: (top - b.top, right - b.right, top - b.bottom, right - b.left), height, width
    return lambda b: (b.left - left, top - b.top, b.right - left, top - b.bottom), width, height


def _words(
    text_page: Any, runs: list[tuple[int, int, str]], turn: int, place: Callable[[Any], Box], c: Any
) -> Iterator[Word]:
    raw, box = text_page.raw, _boxer(text_page, place, c)
    name, flags = ctypes.create_string_buffer(128), ctypes.byref(ctypes.c_int())
    info = c.FPDFText_GetFontInfo
    fonts: dict[bytes, bool] = {}

    for start, end, text in runs:
        first = box(start)
        last = box(end - 1) if end - start > 1 else first
        name[0] = b"\0"  # what a failing call leaves
        info(raw, start, name, 128, flags)
        font = name.value
        bold = fonts.get(font)
        if bold is None:
            weight = c.FPDFText_GetFontWeight(raw, start)
            bold = fonts[font] = weight >= 600 or any(part in font.lower() for part in _HEAVY)
        whole = _union(first, last)
        pieces: Iterable[tuple[str, Box]] = ((text, whole),)
        if _looks_torn(text, whole, first[3] - first[1]) and _is_upright(text_page, start, turn, c):
            pieces = _split(text, [box(n) for n in range(start, end)])
        for piece, (x0, top, x1, bottom) in pieces:
            kept = clean_word(piece)
            if kept:
                upright = bottom - top <= 2.5 * (x1 - x0) or len(piece) < 3
                size = round((bottom - top if upright else x1 - x0) * _SIZE, 1)
                yield Word(kept, x0, top, x1, bottom, size, bold)


def _boxer(text_page: Any, place: Callable[[Any], Box], c: Any) -> Callable[[int], Box]:
    """What tells the box of pdfium's n-th character."""
    rect, raw, loose = c.FS_RECTF(), text_page.raw, c.FPDFText_GetLooseCharBox
    there = ctypes.byref(rect)

    def box(n: int) -> Box:
        if not loose(raw, n, there) or rect.right <= rect.left or rect.top <= rect.bottom:
            _plain_box(text_page, n, rect, c)
        return place(rect)

    return box


def _inker(text_page: Any, place: Callable[[Any], Box], c: Any) -> Callable[[int, Box], Box]:
    """What tells what pdfium's n-th character covers of its box: all of it, where that is not known."""
    sides = [ctypes.c_double() for _ in range(4)]
    left, right, bottom, top = sides
    rect = c.FS_RECTF()

    def ink(n: int, box: Box) -> Box:
        if not c.FPDFText_GetCharBox(text_page.raw, n, *map(ctypes.byref, sides)):
            return box
        rect.left, rect.right, rect.bottom, rect.top = left.value, right.value, bottom.value, top.value
        x0, up, x1, down = place(rect)
        found = max(x0, box[0]), max(up, box[1]), min(x1, box[2]), min(down, box[3])
        return found if found[0] < found[2] and found[1] < found[3] else box

    return ink


def _plain_box(text_page: Any, n: int, rect: Any, c: Any) -> None:
    """Fill ``rect`` from the glyph, or from its origin and the font's size, where the font tells no box."""
    left, right, bottom, top = (ctypes.c_double() for _ in range(4))
    if not c.FPDFText_GetCharBox(text_page, n, left, right, bottom, top) or right.value <= left.value:
        c.FPDFText_GetCharOrigin(text_page, n, left, bottom)
        size = c.FPDFText_GetFontSize(text_page, n) or 1.0
        right.value, top.value = left.value + size / 2, bottom.value + size
    rect.left, rect.right, rect.bottom, rect.top = left.value, right.value, bottom.value, top.value


def _union(a: Box, b: Box) -> Box:
    return min(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3])


def _looks_torn(text: str, whole: Box, height: float) -> bool:
    """Whether the box is too high or too wide for one word: pdfium ran over a line's end or a gap without a space."""
    return "\xad" in text or whole[3] - whole[1] > 1.8 * height or whole[2] - whole[0] > 1.3 * len(text) * height


def _is_upright(text_page: Any, start: int, turn: int, c: Any) -> bool:
    return _quarter(c.FPDFText_GetCharAngle(text_page, start)) == turn


def _quarter(angle: float) -> int:
    """Quarter turns clockwise that set text upright; pdfium's angles (radians) run clockwise."""
    return -round(angle * 2 / math.pi) % 4


def _split(text: str, boxes: list[Box]) -> Iterator[tuple[str, Box]]:
    """The run cut where a character does not follow on the one before."""
    start, whole = 0, boxes[0]
    for n in range(1, len(text)):
        if not _follows(boxes[n - 1], boxes[n], text[n]):
            yield text[start:n], whole
            start, whole = n, boxes[n]
        else:
            whole = _union(whole, boxes[n])
    yield text[start:], whole


def _follows(before: Box, box: Box, char: str) -> bool:
    height = max(before[3] - before[1], box[3] - box[1])
    across = max(box[0] - before[2], before[0] - box[2])  # between the boxes; negative where they overlap
    down = max(box[1] - before[3], before[1] - box[3])
    stacked = across < -0.5 * min(before[2] - before[0], box[2] - box[0]) and ord(char) > 0x2E80
    return (across < height and down < -0.1 * height) or (stacked and down < height / 2)


def _inside(word: Word, width: float, height: float) -> bool:
    return 0 <= (word.x0 + word.x1) / 2 <= width and 0 <= (word.top + word.bottom) / 2 <= height
