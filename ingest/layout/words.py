"""What a parser sees on a page: words with their boxes. The values between parsers and layout."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Word:
    """A run of characters without white space and its box.

    Lengths are in points (1/72 inch); the origin is the page's top left corner, ``top`` < ``bottom`` grow downwards.
    ``size`` is the font size; ``confidence`` is OCR's, 0 to 1, None for text that was there.
    """

    text: str
    x0: float
    top: float
    x1: float
    bottom: float
    size: float
    bold: bool = False
    confidence: float | None = None


@dataclass(frozen=True, slots=True)
class RawPage:
    """A page as a parser gave it. ``number`` counts from 1.

    ``words`` stand in the order of the parser (content order for pdfium, block by block for Tesseract). A parser that
    knows no places gives no words, and the page's ``text`` instead.
    """

    number: int
    label: str
    width: float
    height: float
    words: tuple[Word, ...]
    text: str
    reader: str
    confidence: float | None = None


@dataclass(frozen=True, slots=True)
class OutlineEntry:
    """A bookmark of the file: its title, its depth from 1, and the page (from 1) it leads to."""

    title: str
    level: int
    page: int
