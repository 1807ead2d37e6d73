"""The numbers and bullets that Word shows in front of list items and headings. Knows only numbering.xml."""

from __future__ import annotations

import re
from typing import Any

_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_ROMAN = ((1000, "m"), (900, "cm"), (500, "d"), (400, "cd"), (100, "c"), (90, "xc"), (50, "l"), (40, "xl"), (10, "x"),
          (9, "ix"), (5, "v"), (4, "iv"), (1, "i"))  # fmt: skip
_LEVELS = 9


class Numbering:
    """Counts as Word does. ``root`` is the root element of numbering.xml, or any other where there is none."""

    def __init__(self, root: Any) -> None:
        abstracts = {
            abstract.get(f"{_W}abstractNumId"): _levels(abstract) for abstract in root.iter(f"{_W}abstractNum")
        }
        self._lists: dict[str, tuple[str, dict[int, tuple[str, str, int]], dict[int, int]]] = {}
        for number in root.iter(f"{_W}num"):
            abstract = _value(number.find(f"{_W}abstractNumId"))
            starts = {
                _integer(override.get(f"{_W}ilvl")): _integer(_value(start))
                for override in number.iter(f"{_W}lvlOverride")
                if (start := override.find(f"{_W}startOverride")) is not None
            }
            self._lists[number.get(f"{_W}numId") or ""] = (abstract, abstracts.get(abstract, {}), starts)
        self._counts: dict[str, dict[int, int]] = {}
        self._started: set[str] = set()

    def next(self, number: str, level: str) -> tuple[int, str]:
        """(depth from 0, marker with a space behind it) of the next item of that list; no marker: not in a list."""
        if number not in self._lists:
            return 0, ""
        depth = min(_integer(level), _LEVELS - 1)
        abstract, levels, starts = self._lists[number]
        counts = self._counts.setdefault(abstract, {})
        if starts and number not in self._started:
            self._started.add(number)
            for changed, start in starts.items():
                counts[changed] = start - 1
        for deeper in [other for other in counts if other > depth]:
            del counts[deeper]
        style, template, start = levels.get(depth, ("bullet", "", 1))
        counts[depth] = counts.get(depth, start - 1) + 1
        if style == "bullet":
            return depth, "- "
        if style == "none":
            return depth, ""

        def shown(match: re.Match[str]) -> str:
            place = int(match.group(1)) - 1
            placed, _, begin = levels.get(place, ("decimal", "", 1))
            return _written(counts.setdefault(place, begin), placed)

        marker = re.sub(r"%([1-9])", shown, template[:100]).strip()
        return depth, f"{marker} " if marker else ""


def _levels(abstract: Any) -> dict[int, tuple[str, str, int]]:
    """Level → (number format, template such as "%1.%2", first number)."""
    return {
        _integer(level.get(f"{_W}ilvl")): (
            _value(level.find(f"{_W}numFmt")) or "decimal",
            _value(level.find(f"{_W}lvlText")),
            _integer(_value(level.find(f"{_W}start")) or "1"),
        )
        for level in abstract.iter(f"{_W}lvl")
    }


def _written(count: int, style: str) -> str:
    if style in ("lowerLetter", "upperLetter") and count > 0:
        letter = chr(ord("a") + (count - 1) % 26) * min((count - 1) // 26 + 1, 9)
        return letter.upper() if style == "upperLetter" else letter
    if style in ("lowerRoman", "upperRoman") and 0 < count < 4000:
        roman = ""
        for value, letters in _ROMAN:
            roman += letters * (count // value)
            count %= value
        return roman.upper() if style == "upperRoman" else roman
    return f"{count:02d}" if style == "decimalZero" else str(count)


def _value(element: Any) -> str:
    return "" if element is None else element.get(f"{_W}val") or ""


def _integer(text: str | None) -> int:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) <= 6 else 0
