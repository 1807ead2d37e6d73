"""Visual lines to cells, and what a cell is: a value, a year, a label. Knows nothing of columns or tables."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from ingest.layout.lines import Line
from ingest.layout.words import Word

HEAD_GAP = 0.7
"""Gap that parts two cells of a header, in font sizes."""

_VALUE = re.compile(
    r"[~<>≤≥(\[]{0,2}[-–—−+]?(?:US|C|A)?[$€£¥]?[(]?[-–−+]?\d[\d,.]*"
    r"(?:[-–—]\d[\d,.]*)?(?:%|x|X|¢|bps?|pts?|[MBK](?!\w)|million|billion)?[\])]{0,2}%?(?:\(\w{1,2}\)|\*{1,3})?"
)
_EMPTY = re.compile(r"[(]?[$€£]?(?:[-–—−]{1,3}|N/?A|n/?a|N/?M|n/?m|nil|[*#])[)]?%?(?:\(\w{1,2}\)|\*{1,3})?")
_YEAR = re.compile(r"(?:FY|CY)?['’]?(?:19|20)\d\d[A-Z]?(?:\(\w{1,2}\)|\*{1,3})?")
_OPENS = re.compile(r"[(\[]?(?:US|C|A)?[$€£¥][(]?|[(]")
_CLOSES = re.compile(r"[%)\]]{1,3}|%(?:\(\w\)|\*)?")
_MARK = re.compile(r"\(\w{1,2}\)|\*{1,3}")
_LEADER = re.compile(r"[.…·_ ]{3,}")
_LEADERS = ".…·_ "
_DASH = re.compile(r"[-–—−]")
_WIDE = 0.95  # gap between cells, in font sizes
_CLOSE = 0.45  # gap between two values of a row, in font sizes
_FAR = 14.0  # a "$" stands at most this far from its number, in font sizes
_MOST_WORDS = 400  # a line of more is no row


@dataclass(frozen=True, slots=True)
class Cell:
    """Words of one line that stand close together, and their extent."""

    words: tuple[Word, ...]
    x0: float
    x1: float
    text: str

    @property
    def is_value(self) -> bool:
        """A number with what belongs to it ("$1,234", "(3.5)%"), or a sign for none ("—", "N/A")."""
        if len(self.text) > 40:
            return False
        text = self.text.replace(" ", "")
        return bool(_VALUE.fullmatch(text) or _EMPTY.fullmatch(text))

    @property
    def is_year(self) -> bool:
        return bool(_YEAR.fullmatch(self.text.replace(" ", "")))

    @property
    def has_digit(self) -> bool:
        return any(char.isdigit() for char in self.text)


def make_cell(words: Sequence[Word]) -> Cell:
    """A cell of words from left to right; a currency sign, a percent sign and parentheses join their number."""
    text = words[0].text
    for left, right in pairwise(words):
        glued = _opens(left.text, right.text) or _closes(left.text, right.text)
        text += right.text if glued else f" {right.text}"
    return Cell(tuple(words), min(word.x0 for word in words), max(word.x1 for word in words), text)


def _opens(left: str, right: str) -> bool:
    """Whether ``left`` is the "$" or "(" of the number ``right``."""
    return left[-1:] in "$€£¥([" and right[:1] in "0123456789.(-–—−" and bool(_OPENS.fullmatch(left))


def _closes(left: str, right: str) -> bool:
    """Whether ``right`` is the "%" or ")" of the number ``left``."""
    return right[:1] in "%)]" and left[-1:] in "0123456789)%-–—−" and bool(_CLOSES.fullmatch(right))


def split_cells(line: Line, wide: float = _WIDE) -> list[Cell]:
    """The cells of a line, left to right: none where a box is not finite or the line is too long to be a row.

    ``wide`` is the gap that parts two cells, in font sizes.
    """
    words = line.words
    if len(words) > _MOST_WORDS or not all(math.isfinite(word.x0 + word.x1 + word.top + word.bottom) for word in words):
        return []
    groups: list[list[Word]] = []
    for word in words:
        if groups and not _parts(groups[-1], word, wide):
            groups[-1].append(word)
        else:
            groups.append([word])
    return [make_cell(group) for group in groups]


def _parts(group: Sequence[Word], word: Word, wide: float) -> bool:
    """Whether ``word`` starts a new cell to the right of ``group``."""
    left = group[-1]
    size = max(min(left.size, word.size), 1.0)
    gap = (word.x0 - left.x1) / size
    if gap <= _CLOSE and left.text[-1:] not in _LEADERS:
        return False
    if _opens(left.text, word.text):
        return gap > _FAR
    if gap > wide:
        if _MARK.fullmatch(word.text) and gap <= _WIDE:
            return False
        return not (_CLOSES.fullmatch(word.text) and gap < 2 * wide and _value_word(left))
    if _LEADER.fullmatch(left.text) and _value_word(word):
        return True
    if _OPENS.fullmatch(word.text) and word.text != "(" and gap > _CLOSE:
        return _value_words(group)
    if gap > _CLOSE and _value_word(word) and not _MARK.fullmatch(word.text):
        return _value_words(group) and not _DASH.fullmatch(word.text)
    return False


def _value_word(word: Word) -> bool:
    return len(word.text) <= 32 and bool(_VALUE.fullmatch(word.text) or _EMPTY.fullmatch(word.text))


def _value_words(group: Sequence[Word]) -> bool:
    return len(group) <= 5 and make_cell(group).is_value
