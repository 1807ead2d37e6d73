"""OCR with Tesseract: a page's image to words with boxes and confidences. Needs the extra ``[ocr]`` and tesseract.

It knows images, not PDFs: who draws the page is told the resolution, and gets words in points.
"""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Protocol

from ingest.layout.words import RawPage, Word
from ingest.readers.base import phrase
from ingest.readers.pdfium import BLANK_CONTRAST

UNSURE = 0.5
"""Of a page read with less confidence, lines with less are left out: they are pictures or noise."""

_TURNED = 0.7
"""Pages read with less confidence than this may lie on their side or head: they are turned and read again."""

_SIZE = 0.9  # share of a line's height that is about the font's size


class OcrFault(Exception):
    """OCR of a page did not work out; the reason is a phrase without a full stop."""


def missing_ocr(language: str) -> str:
    """What has to be installed before pages can be read in this language, as a sentence; "" if nothing."""
    try:
        import pytesseract
    except ImportError:
        return "OCR is not installed; install it with `pip install 'fieldguide[ocr]'` and the system's tesseract-ocr"
    try:
        pytesseract.get_tesseract_version()
        known = set(pytesseract.get_languages(config=""))
    except (pytesseract.TesseractNotFoundError, pytesseract.TesseractError, OSError, SystemExit):
        return "the program tesseract is not installed; install the system's package tesseract-ocr"
    lacking = [name for name in language.split("+") if name not in known]
    if lacking:
        packages = " ".join(f"tesseract-ocr-{name.lower().replace('_', '-')}" for name in lacking)
        return f"tesseract has no data for {', '.join(lacking)} (ingest.ocr_language); install {packages}"
    return ""


@functools.cache
def tesseract_version() -> str:
    """The version of tesseract, such as "5.3.0". Only where ``missing_ocr`` finds nothing missing."""
    import pytesseract

    return str(pytesseract.get_tesseract_version())


class Drawing(Protocol):
    """A file that draws its pages: a grey PIL image and its resolution in dots per inch."""

    def image(self, number: int, dpi: float) -> tuple[Any, float]: ...


def read_page(file: Drawing, number: int, dpi: float, language: str, seconds: float) -> RawPage:
    """The words of page ``number``. A page without words has the confidence 1 if its image is blank, else less or None.

    A page's confidence is the mean over all its words, also over the lines left out because they are below UNSURE.

    Raises OcrFault, also when ``seconds`` are over, and whatever drawing raises.
    """
    image, dpi = file.image(number, dpi)
    low, high = image.getextrema()
    if high - low < BLANK_CONTRAST:
        return RawPage(number, "", image.width * 72 / dpi, image.height * 72 / dpi, (), "", "tesseract", 1.0)
    page = _read(image, number, dpi, language, seconds)
    if page.words and (page.confidence or 0.0) >= _TURNED:
        return page
    best = page
    for turn in _turns(image, language, seconds):
        turned = _read(image.rotate(turn, expand=True, fillcolor=255), number, dpi, language, seconds)
        if _worth(turned) > _worth(best):
            best = turned
        if best is turned and (turned.confidence or 0.0) >= _TURNED:
            break
    return best


def _worth(page: RawPage) -> float:
    return sum(len(word.text) * ((word.confidence or 0.0) - 0.3) for word in page.words)


def _turns(image: Any, language: str, seconds: float) -> list[int]:
    """Degrees, counter-clockwise, that may set the image upright, the likeliest first."""
    import pytesseract

    os.environ["OMP_THREAD_LIMIT"] = "1"
    try:
        found = pytesseract.image_to_osd(image, timeout=seconds, output_type=pytesseract.Output.DICT)
    except (pytesseract.TesseractError, RuntimeError, OSError, ValueError, KeyError):
        return []  # too few characters to tell
    turn = (360 - int(found.get("rotate", 0))) % 360
    return [turn] if turn else []


def _read(image: Any, number: int, dpi: float, language: str, seconds: float) -> RawPage:
    import pytesseract

    os.environ["OMP_THREAD_LIMIT"] = "1"  # the pool is parallel already
    try:
        rows = pytesseract.image_to_data(
            image, lang=language, config=f"--dpi {max(70, round(dpi))}", timeout=seconds,
            output_type=pytesseract.Output.DICT,
        )  # fmt: skip
    except RuntimeError as error:
        limit = f"OCR took more than ingest.ocr_page_seconds = {seconds:g}"
        raise OcrFault(limit if "timeout" in str(error).lower() else phrase(error)) from None
    except (pytesseract.TesseractError, pytesseract.TesseractNotFoundError, OSError, ValueError) as error:
        raise OcrFault(f"tesseract failed: {phrase(error)}") from None
    lines = _lines(rows, 72 / dpi)
    confidence = _confidence([word for line in lines for word in line])
    if confidence is not None and confidence < UNSURE:
        lines = [line for line in lines if (_confidence(line) or 0.0) >= UNSURE]
    words = tuple(word for line in lines for word in line)
    return RawPage(number, "", image.width * 72 / dpi, image.height * 72 / dpi, words, "", "tesseract", confidence)


def _confidence(words: Sequence[Word]) -> float | None:
    """The mean over words, weighted by their length."""
    weight = sum(len(word.text) for word in words)
    return sum(len(word.text) * (word.confidence or 0.0) for word in words) / weight if weight else None


def _lines(rows: Mapping[str, list[Any]], scale: float) -> list[list[Word]]:
    """The words of each line, from the columns of Tesseract's TSV."""
    lines: list[list[Word]] = [[]]
    line_height = 0.0
    for level, text, left, top, width, height, confidence in zip(
        *(rows[name] for name in ("level", "text", "left", "top", "width", "height", "conf")), strict=True
    ):
        if int(level) == 4:
            line_height = int(height) * scale
            lines.append([])
        text = str(text).strip()
        if int(level) != 5 or not text or float(confidence) < 0:
            continue
        x0, y0 = int(left) * scale, int(top) * scale
        size = round(min(line_height or 1e9, max(int(height) * scale * 1.5, 4.0)) * _SIZE, 1)
        sure = round(min(1.0, max(0.0, float(confidence) / 100)), 3)
        lines[-1].append(Word(text, x0, y0, x0 + int(width) * scale, y0 + int(height) * scale, size, False, sure))
    return lines


def to_json(page: RawPage) -> str:
    """A page of OCR as text that a cache can keep."""
    return json.dumps(asdict(page), ensure_ascii=False, separators=(",", ":"))


def from_json(text: str) -> RawPage:
    """The page again. Raises ValueError for anything but what ``to_json`` wrote."""
    try:
        values = json.loads(text)
        values["words"] = tuple(Word(**word) for word in values["words"])
        return RawPage(**values)
    except (TypeError, KeyError) as error:
        raise ValueError(f"not a page of OCR: {error}") from None
