"""Words to segments and visual lines. Knows heights and gaps, not columns, blocks or meaning."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from ingest.layout.words import Word

GAP = 0.6
"""A gap between two words wider than this share of their height parts two segments."""


@dataclass(frozen=True)
class Line:
    """Words of one baseline in reading order (by ``x0``, but right-to-left script as the parser gave it) and their box.

    Also used for a segment: the words of a line without a wide gap between them.
    """

    words: tuple[Word, ...]

    @cached_property
    def x0(self) -> float:
        return min([word.x0 for word in self.words])

    @cached_property
    def top(self) -> float:
        return min([word.top for word in self.words])

    @cached_property
    def x1(self) -> float:
        return max([word.x1 for word in self.words])

    @cached_property
    def bottom(self) -> float:
        return max([word.bottom for word in self.words])

    @cached_property
    def text(self) -> str:
        return " ".join([word.text for word in self.words])

    @cached_property
    def typical(self) -> Word:
        """The word of median height, counted by characters: unlike the tallest, not one with a symbol or footnote."""
        if len(self.words) == 1:
            return self.words[0]
        left = sum([len(word.text) for word in self.words]) / 2
        for word in sorted(self.words, key=_height):
            left -= len(word.text)
            if left <= 0:
                break
        return word

    @property
    def height(self) -> float:
        return self.typical.bottom - self.typical.top

    @property
    def base(self) -> float:
        return self.typical.bottom

    @property
    def size(self) -> float:
        return self.typical.size

    @cached_property
    def core(self) -> tuple[float, float]:
        """Mean top and bottom of the characters: a drop cap or a superscript does not move them much."""
        if len(self.words) == 1:
            return self.words[0].top, self.words[0].bottom
        weight = top = bottom = 0.0
        for word in self.words:
            length = len(word.text)
            weight += length
            top += word.top * length
            bottom += word.bottom * length
        return top / weight, bottom / weight

    @cached_property
    def bold(self) -> bool:
        """Whether every word that holds a letter or digit is bold (false when there is none)."""
        spoken = [word.bold for word in self.words if any(map(str.isalnum, word.text))]
        return bool(spoken) and all(spoken)


def group_lines(words: Iterable[Word]) -> list[Line]:
    """Visual lines from the top of the page down: words whose heights overlap by more than half share a line."""
    return join_segments(segment(words))


def segment(words: Iterable[Word]) -> list[Line]:
    """Runs of words, in the parser's order, that follow each other on a baseline without a wide gap.

    Following the parser word by word, not comparing with a line's middle, is what keeps skewed scans in order.
    """
    runs: list[list[Word]] = []
    last: Word | None = None
    for word in words:
        if last is not None and _follows(last, word):
            runs[-1].append(word)
        else:
            runs.append([word])
        last = word
    return [Line(tuple(run)) for run in runs]


def join_segments(segments: Sequence[Line]) -> list[Line]:
    """Visual lines, from the top down, of segments whose heights overlap by more than half of the lower one."""
    bands: list[_Band] = []
    cores = [(*part.core, place, part) for place, part in enumerate(segments)]
    for top, bottom, place, part in sorted(cores, key=lambda core: (core[0] + core[1], core[3].x0)):
        home = next((band for band in reversed(bands[-2:]) if band.holds(top, bottom)), None)
        if home is None:
            bands.append(home := _Band())
        home.add(place, part, top, bottom)
    return [band.line() for band in bands]


def in_turn(segments: Sequence[Line]) -> list[Line]:
    """Lines in the parser's order: segments that follow each other on one baseline, from left to right, share one."""
    lines: list[list[Line]] = []
    for part in segments:
        last = lines[-1][-1] if lines else None
        if last is not None and part.x0 >= last.x1 and _overlap(last.core, part.core):
            lines[-1].append(part)
        else:
            lines.append([part])
    return [Line(tuple(word for part in line for word in part.words)) for line in lines]


class _Band:
    """A line that grows: its segments with their places in the parser's order, and its mean top and bottom."""

    def __init__(self) -> None:
        self.parts: list[tuple[int, Line]] = []
        self.weight = 0
        self.tops = self.bottoms = 0.0

    def add(self, place: int, part: Line, top: float, bottom: float) -> None:
        self.parts.append((place, part))
        weight = len(part.words)
        self.weight += weight
        self.tops += top * weight
        self.bottoms += bottom * weight

    def holds(self, top: float, bottom: float) -> bool:
        return _overlap((self.tops / self.weight, self.bottoms / self.weight), (top, bottom))

    def line(self) -> Line:
        if len(self.parts) == 1:
            return self.parts[0][1]
        text = "".join([word.text for _, part in self.parts for word in part.words])
        if not text.isascii() and _right_to_left(text):
            self.parts.sort(key=lambda item: item[0])
        else:
            self.parts.sort(key=lambda item: (item[1].x0, item[0]))
        return Line(tuple(word for _, part in self.parts for word in part.words))


def _overlap(one: tuple[float, float], other: tuple[float, float]) -> bool:
    """Whether two heights share more than half of the lower one."""
    shared = min(one[1], other[1]) - max(one[0], other[0])
    return shared > min(one[1] - one[0], other[1] - other[0]) / 2


def _height(word: Word) -> float:
    return word.bottom - word.top


def _follows(last: Word, word: Word) -> bool:
    low, high = last.bottom - last.top, word.bottom - word.top
    if min(last.bottom, word.bottom) - max(last.top, word.top) <= min(low, high) / 2:
        return False
    unit = max(low, high)
    return -unit / 2 <= word.x0 - last.x1 <= unit * GAP


def _right_to_left(text: str) -> bool:
    kinds = [unicodedata.bidirectional(char) for char in text[:400]]
    return sum(kind in ("R", "AL") for kind in kinds) > sum(kind == "L" for kind in kinds)
