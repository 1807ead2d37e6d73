"""Where each character of a page stands: the values between the parser and whoever marks a place on the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ingest.layout.words import Word

Rect = tuple[float, float, float, float]
"""x0, top, x1, bottom in points from the top left corner."""


@dataclass(frozen=True, slots=True)
class Glyph:
    """A character as a page draws it (several letters for a ligature) and its box on the upright page.

    The box is as high as the font's lines; ``ink`` is what the character itself covers of it.
    """

    text: str
    x0: float
    top: float
    x1: float
    bottom: float
    ink: Rect


@dataclass(frozen=True, slots=True)
class Glyphs:
    """A page's glyphs by word, in content order, on the page turned so that most text is upright.

    ``width`` and ``height`` are that page's, in points; ``turn`` quarter turns clockwise make it the page as it is
    displayed.
    """

    width: float
    height: float
    turn: int
    words: tuple[tuple[Glyph, ...], ...]

    def displayed(self, rect: Rect) -> Rect:
        """The rectangle on the page as it is displayed."""
        x0, top, x1, bottom = rect
        height, width = self.height, self.width
        for _ in range(self.turn):
            x0, top, x1, bottom = height - bottom, x0, height - top, x1
            width, height = height, width
        return x0, top, x1, bottom


def whole_word(word: Sequence[Glyph]) -> Word:
    """The glyphs as one word, whose size is its height."""
    top, bottom = min(g.top for g in word), max(g.bottom for g in word)
    text = "".join(g.text for g in word)
    return Word(text, min(g.x0 for g in word), top, max(g.x1 for g in word), bottom, bottom - top)
