"""Which blocks are headings, and their depth. Rather none than a wrong one: a form's label or a row is no heading, nor
is what nothing follows on its page (unless the outline says so).

Evidence: the outline's titles, a font larger than the document's body, bold or capitals or a number on a short block
that stands alone. Depth: the outline's, else the numbering's, else the rank of the font's size among the headings.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from ingest.layout.blocks import Draft, item_marker
from ingest.layout.lines import Line
from ingest.layout.words import OutlineEntry

DEEPEST = 6
_LONGEST = 160  # characters
_NUMBERED = re.compile(
    r"^(?P<number>\d{1,2}|\d{1,3}\.|\d{1,3}(?:\.\d{1,3}){1,5}\.?|[A-Z](?:\.\d{1,3}){1,4}\.?|[IVX]{1,5}\.)"
    r"\s+(?=\W*[^\W\d_])"
)
_NAMED = re.compile(
    r"^(?:(?P<part>part|chapter|appendix|annex|kapitel|capítulo|chapitre|teil)"
    r"|(?P<item>item|section|article|abschnitt|note))\s+(?:\d{1,3}[A-Z]?|[IVXLC]{1,6}|[A-Z])\b[.:]?",
    re.IGNORECASE,
)
_LEADER = re.compile(r"(?:\.\s?|…\s?|·\s?){3,}")
_ROMAN = re.compile(r"^[IVX]{1,5}\.\s")
_ALNUM = re.compile(r"[\W_]+")
_NUMBER_HEAD = re.compile(r"^(?:\d+(?:\.\d+)*|[ivxlc]+|[a-z])(?:[.)]|\s)\s*", re.IGNORECASE)
_ADDRESS = re.compile(r"://|@|www\.")
_ENDS = (".", ";", ",", ":")


@dataclass(frozen=True, slots=True)
class Fonts:
    """The document's body text: its font size, and whether it is mostly bold."""

    size: float
    bold: bool

    @staticmethod
    def of(lines: Iterable[Line]) -> Fonts:
        sizes: Counter[float] = Counter()
        heavy: Counter[float] = Counter()
        for line in lines:
            length = sum([len(word.text) for word in line.words])
            size = round(line.size * 2) / 2
            sizes[size] += length
            if line.words[-1].bold:
                heavy[size] += length
        if not sizes:
            return Fonts(10.0, False)
        size = max(sizes, key=lambda s: (sizes[s], -s))
        return Fonts(size, heavy[size] > 0.5 * sizes[size])


class Titles:
    """The outline's titles, by page, in a form that does not mind case, numbers and marks."""

    def __init__(self, outline: Sequence[OutlineEntry]) -> None:
        self._levels: dict[int, dict[str, int]] = defaultdict(dict)
        for entry in outline[:20_000]:
            for key in {_bare(entry.title), _bare(_NUMBER_HEAD.sub("", entry.title.strip()))} - {""}:
                self._levels[entry.page].setdefault(key, min(max(entry.level, 1), DEEPEST))

    def level(self, page: int, text: str) -> int:
        """The depth of the title that the text is on that page, 0 if none."""
        titles = self._levels.get(page)
        if not titles or len(text) > 2 * _LONGEST or text[:1].islower() or not any(map(str.isalpha, text)):
            return 0
        return titles.get(_bare(text)) or titles.get(_bare(_NUMBER_HEAD.sub("", text.strip())), 0)

    def marked(self, page: int, lines: Sequence[Line]) -> frozenset[int]:
        """The indices of lines that alone, or with the next one, are a title of that page."""
        if page not in self._levels:
            return frozenset()
        found: set[int] = set()
        for n, line in enumerate(lines):
            if len(line.words) > 25:
                continue
            if self.level(page, line.text):
                found.add(n)
            elif n + 1 < len(lines) and self.level(page, f"{line.text} {lines[n + 1].text}"):
                found |= {n, n + 1}
        return frozenset(found)


def mark_headings(drafts: Sequence[Draft], fonts: Fonts, titles: Titles, page: int) -> list[Draft]:
    """The drafts of a page with its headings found; level 0 where only the rank of the font's size can tell."""
    out = []
    for n, draft in enumerate(drafts):
        level = titles.level(page, draft.text) if draft.kind in ("paragraph", "list") else 0
        if not level and draft.kind == "paragraph" and len(draft.lines) in (2, 3) and all(x.bold for x in draft.lines):
            level = titles.level(page, draft.lines[0].text)  # the outline may hold a title's first line only
        if level:
            out.append(replace(draft, kind="heading", level=level))
        elif draft.kind == "paragraph" and n + 1 < len(drafts) and _is_heading(draft, fonts):
            out.append(replace(draft, kind="heading", level=_numbered_level(draft.text)))
        else:
            out.append(draft)
    return out


def rank_levels(pages: Sequence[Sequence[Draft]]) -> list[list[Draft]]:
    """Headings without a level get the rank of their font's size (bold before plain) among the document's headings."""
    roman = sum(bool(_ROMAN.match(draft.text)) for page in pages for draft in page if draft.kind == "heading") > 1
    if roman:  # "1." is a part of "II."
        pages = [[_lowered(draft) for draft in page] for page in pages]
    open_ = [draft for page in pages for draft in page if draft.kind == "heading" and not draft.level]
    ranks = _ranks(Counter(_look(draft) for draft in open_))
    return [
        [
            replace(draft, level=ranks[_look(draft)]) if draft.kind == "heading" and not draft.level else draft
            for draft in page
        ]
        for page in pages
    ]


def _lowered(draft: Draft) -> Draft:
    if draft.kind == "heading" and draft.level and draft.text[:1].isdigit():
        return replace(draft, level=min(draft.level + 1, DEEPEST))
    return draft


def _ranks(looks: Mapping[tuple[float, bool], int]) -> dict[tuple[float, bool], int]:
    ranks: dict[tuple[float, bool], int] = {}
    rank, size, bold = 0, 0.0, False
    for look in sorted(looks, reverse=True):
        if not rank or size - look[0] > 0.06 * size or (bold and not look[1]):
            rank += 1
            size, bold = look
        ranks[look] = min(rank, DEEPEST)
    return ranks


def _look(draft: Draft) -> tuple[float, bool]:
    return round(max(line.size for line in draft.lines) * 2) / 2, draft.lines[0].bold


def _numbered_level(text: str) -> int:
    named = _NAMED.match(text)
    if named:
        return 1 if named["part"] else 2
    found = _NUMBERED.match(text)
    if not found:
        return 0
    number = found["number"].rstrip(".")
    return min(number.count(".") + 1, DEEPEST)


def _is_heading(draft: Draft, fonts: Fonts) -> bool:
    lines = draft.lines
    text = " ".join([line.text for line in lines])
    if len(lines) > 3 or len(text) > _LONGEST or _LEADER.search(text) or _ADDRESS.search(text):
        return False
    words = text.split()
    letters = sum(map(str.isalpha, text))
    if letters < 3 or letters < 0.5 * len(text.replace(" ", "")) or _has_gap(lines):
        return False
    numbered = bool(_NUMBERED.match(text) or _NAMED.match(text))
    starts = text.lstrip("\"'“‘(¿¡")[:1]
    if not numbered and not (starts.isupper() or starts.isdigit() or (starts.isalpha() and not starts.islower())):
        return False
    if text.endswith(_ENDS) and not (text.endswith(".") and numbered and len(words) <= 3):
        return False
    size = max(line.size for line in lines)
    bold = all(line.bold for line in lines)
    if size >= 1.15 * fonts.size and len(words) <= 25:
        return bold or size >= 1.3 * fonts.size or _stands_alone(draft)
    if size < 0.93 * fonts.size or len(lines) > 2 or len(words) > 16:
        return False
    capitals = text.isupper() and letters >= 4 and len(words) > 1
    if bold and not fonts.bold:
        return (_stands_alone(draft) or draft.above > 0.3) and ": " not in text
    if (numbered and not item_marker(lines[0])) or _NAMED.match(text):
        return _stands_alone(draft) and _is_title_case(words) and ":" not in text
    return capitals and _stands_alone(draft) and len(lines) == 1 and ":" not in text


def _stands_alone(draft: Draft) -> bool:
    return draft.above > 0.3 and draft.below > 0.1


def _has_gap(lines: Sequence[Line]) -> bool:
    """Whether a gap wider than a heading's spaces parts the words (after the number, there may be one)."""
    for line in lines:
        for n in range(1, len(line.words)):
            gap = line.words[n].x0 - line.words[n - 1].x1
            if n == len(line.words) - 1 and gap > line.height and line.words[n].text.isdigit():
                return True  # a page number in a table of contents
            if gap > 1.8 * line.height and not (n == 1 and _ALNUM.sub("", line.words[0].text).isdigit()):
                return not _NAMED.match(line.text)
    return False


def _is_title_case(words: Sequence[str]) -> bool:
    """Whether the first word after the number is capitalised and no sentence ends inside."""
    spoken = [word for word in words if any(map(str.isalpha, word))]
    return bool(spoken) and spoken[0][:1].isupper() and not any(word.endswith((".", ";")) for word in words[1:-1])


def _bare(text: str) -> str:
    return _ALNUM.sub("", text.casefold())
