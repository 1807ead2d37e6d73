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
    r"|(?P<item>item|section|article|abschnitt|note|unit|lesson|module))\s+(?:\d{1,3}[A-Z]?|[IVXLC]{1,6}|[A-Z])\b[.:]?",
    re.IGNORECASE,
)
_SECTION = re.compile(r"(?:section|article|§) ?\d{1,4}(?:\.\d{1,3})*\. [A-Z]", re.IGNORECASE)
_LEADER = re.compile(r"(?:\.\s?|…\s?|·\s?){3,}")
_ROMAN = re.compile(r"^[IVX]{1,5}\.\s")
_ALNUM = re.compile(r"[\W_]+")
_NUMBER_HEAD = re.compile(r"^(?:\d+(?:\.\d+)*|[ivxlc]+|[a-z])(?:[.)]|\s)\s*", re.IGNORECASE)
_ADDRESS = re.compile(r"://|@|www\.")
_ENDS = (".", ";", ",", ":")

_Look = tuple[float, bool]
"""Font size, to the half point, and whether it is bold."""


@dataclass(frozen=True, slots=True)
class Fonts:
    """The document's body text: its font size, whether it is mostly bold, and all fonts in which it sets prose."""

    size: float
    bold: bool
    prose: frozenset[_Look] = frozenset()

    @staticmethod
    def of(lines: Iterable[Line]) -> Fonts:
        sizes: Counter[float] = Counter()
        heavy: Counter[float] = Counter()
        prose: Counter[_Look] = Counter()
        for line in lines:
            length = sum([len(word.text) for word in line.words])
            size = round(line.size * 2) / 2
            sizes[size] += length
            if line.words[-1].bold:
                heavy[size] += length
            if len(line.words) >= 8 and sum(map(str.isalpha, line.text)) > 0.7 * length and not _has_gap((line,)):
                prose[size, line.bold] += 1
        if not sizes:
            return Fonts(10.0, False)
        size = max(sizes, key=lambda s: (sizes[s], -s))
        lines_of_prose = prose.total()
        usual = frozenset(
            look for look, count in prose.items() if count >= max(3, (0.2 if look[1] else 0.02) * lines_of_prose)
        )
        return Fonts(size, heavy[size] > 0.5 * sizes[size], usual)


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
    """The drafts of a page with its headings found; level 0 where the outline does not tell it."""
    out = []
    for n, draft in enumerate(drafts):
        level = titles.level(page, draft.text) if draft.kind in ("paragraph", "list") else 0
        if not level and draft.kind == "paragraph" and len(draft.lines) in (2, 3) and all(x.bold for x in draft.lines):
            level = titles.level(page, draft.lines[0].text)  # the outline may hold a title's first line only
        if level:
            out.append(replace(draft, kind="heading", level=level))
        elif draft.kind == "paragraph" and n + 1 < len(drafts) and _is_heading(draft, drafts[n + 1], fonts):
            out.append(replace(draft, kind="heading"))
        else:
            out.append(draft)
    return out


def rank_levels(pages: Sequence[Sequence[Draft]]) -> list[list[Draft]]:
    """Headings that the outline gave no level get their number's, that of others in their font, or one by its size."""
    told = {id(draft) for page in pages for draft in page if draft.level}
    pages = _numbered_levels(pages)
    given: dict[_Look, Counter[int]] = defaultdict(Counter)
    asked: Counter[_Look] = Counter()
    for draft in (draft for page in pages for draft in page if draft.kind == "heading"):
        if draft.level and id(draft) not in told and _NAMED.match(draft.text):  # "Item 7" holds what has no such name
            given[_look(draft)][min(draft.level + 1, DEEPEST)] += 1
        elif draft.level:
            given[_look(draft)][draft.level] += 1
        else:
            asked[_look(draft)] += 1
    levels = _levels(given, asked)
    return [
        [
            replace(draft, level=levels[_look(draft)]) if draft.kind == "heading" and not draft.level else draft
            for draft in page
        ]
        for page in pages
    ]


def _numbered_levels(pages: Sequence[Sequence[Draft]]) -> list[list[Draft]]:
    """The headings with the depth that their number tells: "1." is a part of "II." and of "Item 7" where there are."""
    open_ = [draft.text for page in pages for draft in page if draft.kind == "heading" and not draft.level]
    named = [found for text in open_ if (found := _NAMED.match(text))]
    below = max([1 if found["part"] else 2 for found in named], default=0) if len(named) > 1 else 0
    below += sum(bool(_ROMAN.match(text)) for text in open_) > 1

    told = {_look(draft) for page in pages for draft in page if draft.kind == "heading" and draft.level}

    def levelled(draft: Draft) -> Draft:
        if draft.kind != "heading" or draft.level or (_look(draft) in told and _NAMED.match(draft.text)):
            return draft
        level = _numbered_level(draft.text)
        return replace(draft, level=min(level + below, DEEPEST) if level and draft.text[:1].isdigit() else level)

    return [[levelled(draft) for draft in page] for page in pages]


def _levels(given: Mapping[_Look, Counter[int]], asked: Mapping[_Look, int]) -> dict[_Look, int]:
    """A level for each look, from the largest down: what others of that look have, else one below the next larger.

    Where there are more looks than levels, rare ones share the level of the next larger.
    """
    levels: dict[_Look, int] = {}
    level, last = 0, (0.0, False)
    for look in sorted({*given, *asked}, reverse=True):
        smaller = last[0] - look[0] > 0.06 * last[0] or (last[1] and not look[1])
        if look in given:
            level, last = given[look].most_common(1)[0][0], look
        elif not level or (smaller and (len(asked) <= DEEPEST or asked[look] > 2)):
            level, last = min(level + 1, DEEPEST), look
        levels[look] = level
    return levels


def _look(draft: Draft) -> _Look:
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


def _is_heading(draft: Draft, following: Draft, fonts: Fonts) -> bool:
    text = " ".join([line.text for line in draft.lines])
    return _reads_as_title(text, draft, following) and _looks_as_title(text, draft, following, fonts)


def _reads_as_title(text: str, draft: Draft, following: Draft) -> bool:
    """Whether the words may be a title: short, with letters, begun as a name is, and not ended as a sentence is."""
    lines = draft.lines
    if len(lines) > 3 or len(text) > _LONGEST or _LEADER.search(text) or _ADDRESS.search(text):
        return False
    letters = sum(map(str.isalpha, text))
    if letters < 3 or letters < 0.5 * len(text.replace(" ", "")) or _has_gap(lines):
        return False
    if following.kind == "table" and len(lines[0].words) < 4 and 2 * lines[0].x0 > sum(_edges(following)):
        return False  # a column's name
    bold = all(line.bold for line in lines)
    numbered = _is_numbered(text) or (bold and item_marker(lines[0])[:1].isalnum())
    starts = text.lstrip("\"'“‘(¿¡")[:1]
    if not numbered and not (starts.isupper() or starts.isdigit() or (starts.isalpha() and not starts.islower())):
        return False
    if text.endswith("."):
        return numbered and (len(text.split()) <= 3 or bool(_SECTION.match(text)))
    names_list = text.endswith(":") and bold and len(lines) == 1 and following.kind == "list"
    return names_list or not text.endswith(_ENDS)


def _looks_as_title(text: str, draft: Draft, following: Draft, fonts: Fonts) -> bool:
    """Whether the font, or the white space and the form of the words, set the block apart from the body."""
    lines, words = draft.lines, text.split()
    size = _type_size(lines)
    bold = all(line.bold for line in lines)
    if (round(size * 2) / 2, bold) in fonts.prose and not _is_numbered(text):
        bold = False
        size = min(size, fonts.size)
    if size >= 1.15 * fonts.size and len(words) <= 25:
        return bold or size >= 1.3 * fonts.size or _stands_alone(draft)
    if size < 0.93 * fonts.size or len(lines) > 2 or len(words) > 16:
        return False
    named = _NAMED.match(text)
    if ": " in text[named.end() if named else 0 :]:  # "Location: Chevroux"
        return False
    if bold and not fonts.bold:
        return _stands_alone(draft) or draft.above > 0.3
    if named or (_NUMBERED.match(text) and not item_marker(lines[0])):
        return _stands_alone(draft) and _is_title_case(words)
    capitals = text.isupper() and len(words) > 1 and _stands_alone(draft)
    return len(lines) == 1 and (capitals or _names_what_follows(draft, following))


def _is_numbered(text: str) -> bool:
    return bool(_NUMBERED.match(text) or _NAMED.match(text))


def _names_what_follows(draft: Draft, following: Draft) -> bool:
    """Whether a plain line in title case stands apart, flush with the prose below it (as titles in italics do)."""
    line, below = draft.lines[0], following.lines[0]
    long = [word.text for word in line.words if sum(map(str.isalpha, word.text)) > 3]
    titled = len(long) > 1 and all(text.lstrip("(\"'“‘")[:1].isupper() for text in long)
    flush = abs(line.x0 - below.x0) < 0.6 * line.size and draft.above > 0.4 and draft.below > 0.2
    prose = following.kind == "paragraph" and len(below.words) >= 8 and below.x1 - below.x0 > 2 * (line.x1 - line.x0)
    return titled and flush and prose


def _edges(draft: Draft) -> tuple[float, float]:
    return min([line.x0 for line in draft.lines]), max([line.x1 for line in draft.lines])


def _type_size(lines: Sequence[Line]) -> float:
    """The size of the smallest word of two letters or more: none of a heading's is set in the body's font."""
    sizes = [word.size for line in lines for word in line.words if sum(map(str.isalpha, word.text)) > 1]
    return min(sizes, default=lines[0].size)


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
    return bool(spoken) and spoken[0][:1].isupper() and not any(word.endswith((".", ";")) for word in words[2:-1])


def _bare(text: str) -> str:
    return _ALNUM.sub("", text.casefold())
