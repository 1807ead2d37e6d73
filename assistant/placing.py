"""Which glyphs of a page are the characters ``start`` to ``end`` of its text?

Found by aligning texts, never by trusting a place: the glyphs, read back, are the quote but for case, white space and
hyphens at line ends; where that cannot be had, or not for one place only, none are given. Pure; knows nothing of files.
Rows of tables are in ``assistant.placing_rows``, the rectangles around glyphs in ``assistant.rectangles``.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

from fieldguide import align
from ingest.layout.glyphs import Glyph, Glyphs, Rect, whole_word
from ingest.layout.lines import join_segments, segment

NOTHING, ABSENT = "there is no word in it to look for", "its words do not stand on the page as they do in the text"
SEVERAL = "it stands on the page several times"

_AROUND = 40
"""Characters on either side of a quote that are compared to tell equal quotes apart."""
_CLEARER = 3
"""By so many more of them one place has to agree than any other."""
MOST_PLACES = 200
"""So many equal quotes on a page are not told apart."""
_TALL = 2.5
_ROOM = 0.06  # line heights


@dataclass(frozen=True)
class Keyed:
    """A text normalised without white space, and the origin of each of its characters.

    ``key`` is ``strict`` without hyphens; ``places[n]`` is the place in ``strict`` of its n-th character.
    """

    strict: str
    origins: tuple[int, ...]
    key: str
    places: tuple[int, ...]

    @classmethod
    def of(cls, text: str, origins: Sequence[int] | None = None) -> Keyed:
        """``origins`` are those of the text's characters, where they are not their offsets."""
        folded, offsets = align.normalise(text)
        kept = [(char, offset) for char, offset in zip(folded, offsets, strict=False) if char != " "]
        strict = "".join(char for char, _ in kept)
        places = tuple(n for n, char in enumerate(strict) if char != "-")
        return cls(
            strict, tuple(offset if origins is None else origins[offset] for _, offset in kept),
            "".join(strict[n] for n in places), places,
        )  # fmt: skip

    def within(self, start: int, end: int) -> str:
        """The strict characters that come from ``start`` to ``end``."""
        return self.strict[bisect_left(self.origins, start) : bisect_left(self.origins, end)]


class Stream:
    """Words of a page in some order, as one text; origins are places in ``order``, which holds glyph numbers."""

    def __init__(self, sheet: Sheet, words: Iterable[Sequence[int]]) -> None:
        self.order: list[int] = []
        origins: list[int] = []
        text: list[str] = []
        for word in words:
            for number in word:
                text.append(sheet.glyphs[number].text)
                origins += [len(self.order)] * len(sheet.glyphs[number].text)
                self.order.append(number)
            text.append(" ")
            origins.append(max(len(self.order) - 1, 0))
        self.keyed = Keyed.of("".join(text), origins)

    def begins(self, sheet: Sheet, place: int) -> bool:
        """Whether a word begins at the place of the order."""
        return place == 0 or sheet.word[self.order[place - 1]] != sheet.word[self.order[place]]

    def ends(self, sheet: Sheet, place: int) -> bool:
        """Whether a word ends with the place of the order."""
        return place + 1 == len(self.order) or self.begins(sheet, place + 1)


class Sheet:
    """A page's glyphs, numbered in content order, and the orders in which they can be read."""

    def __init__(self, page: Glyphs) -> None:
        self.page = page
        self.glyphs: list[Glyph] = [glyph for word in page.words for glyph in word]
        ends = list(accumulate((len(word) for word in page.words), initial=0))
        numbers = [list(range(low, high)) for low, high in pairwise(ends)]
        self.word = [n for n, word in enumerate(page.words) for _ in word]
        wholes = [whole_word(word) for word in page.words]
        self.turned = [len(w.text) > 2 and w.bottom - w.top > _TALL * (w.x1 - w.x0) for w in wholes]
        self.cut = self._cut(page.words)
        places = {id(word): n for n, word in enumerate(wholes)}
        seen = [[numbers[places[id(word)]] for word in line.words] for line in join_segments(segment(wholes))]
        self.streams = (Stream(self, numbers), Stream(self, [word for line in seen for word in line]))
        self.lines = [Stream(self, line) for line in seen]

    @staticmethod
    def _cut(words: Sequence[Sequence[Glyph]]) -> set[int]:
        """Hyphens with which a line may have cut a word: nothing follows them on their line."""
        found = set()
        number = 0
        for place, word in enumerate(words):
            number += len(word)
            follower = words[place + 1][0] if place + 1 < len(words) else None
            on = follower is not None and follower.x0 >= word[-1].x0 and _share_height(follower, word[-1])
            if align.normalise(word[-1].text)[0] == "-" and not on:
                found.add(number - 1)
        return found

    def box(self, numbers: Iterable[int]) -> Rect:
        """The rectangle around these glyphs, on the upright page."""
        word = whole_word([self.glyphs[n] for n in numbers])
        return word.x0, word.top, word.x1, word.bottom

    def tight(self, numbers: Sequence[int]) -> Rect:
        """As ``box``, but as near to what the glyphs cover as leaves a little room: lines may stand very close."""
        x0, top, x1, bottom = self.box(numbers)
        inks = [self.glyphs[n].ink for n in numbers]
        room = _ROOM * min(x1 - x0, bottom - top)
        return (
            max(x0, min(ink[0] for ink in inks) - room), max(top, min(ink[1] for ink in inks) - room),
            min(x1, max(ink[2] for ink in inks) + room), min(bottom, max(ink[3] for ink in inks) + room),
        )  # fmt: skip


Place = tuple[int, ...]
"""Numbers of the glyphs, in reading order."""


@dataclass(frozen=True, slots=True)
class Quoted:
    """Characters ``start`` to ``end`` of a page's text, and that text."""

    text: str
    page: Keyed
    start: int
    end: int

    @property
    def strict(self) -> str:
        return self.page.within(self.start, self.end)

    @property
    def bounded(self) -> tuple[bool, bool]:
        """Whether it begins and ends where a word does."""
        before, after = self.text[self.start - 1 : self.start], self.text[self.end : self.end + 1]
        first, last = self.text[self.start], self.text[self.end - 1]
        return (not before or before.isspace() or first.isspace()), (not after or after.isspace() or last.isspace())


@dataclass(frozen=True, slots=True)
class _Hit:
    """Glyphs that read as a quote, and where in which streams (first and last place of the key) they do."""

    place: Place
    seen: list[tuple[Stream, int, int]]


def find(quoted: Quoted, sheet: Sheet) -> Place | str:
    """The glyphs of a quote that stands in one piece, in content order or line by line; or why there are none."""
    key = quoted.strict.replace("-", "")
    if not key:
        return NOTHING
    hits = _hits(quoted, sheet)
    same = list(_everywhere(key, quoted.page.key))
    own = _own(quoted, same)
    if not hits or own is None:
        return ABSENT
    if len(hits) == 1 and len(same) == 1:
        return hits[0].place
    if max(len(hits), len(same)) >= MOST_PLACES:
        return SEVERAL
    chosen = _by_surroundings(quoted, own, same, hits)
    if chosen is None:
        turn = in_turn(own, len(same), [hit.place for hit in hits], sheet)
        return SEVERAL if turn is None else hits[turn].place
    return chosen.place


def everywhere(quoted: Quoted, sheet: Sheet) -> list[Place]:
    """All places of the page that read as the quote."""
    return [hit.place for hit in _hits(quoted, sheet)]


def _hits(quoted: Quoted, sheet: Sheet) -> list[_Hit]:
    found: dict[frozenset[int], _Hit] = {}
    key = quoted.strict.replace("-", "")
    for stream in sheet.streams if key else ():
        for first, last in _everywhere(key, stream.keyed.key):
            place = _place(quoted, stream, first, last, sheet)
            if place is not None:
                found.setdefault(frozenset(place), _Hit(place, [])).seen.append((stream, first, last))
    return list(found.values())


def _everywhere(key: str, text: str) -> Iterator[tuple[int, int]]:
    start = text.find(key)
    for _ in range(MOST_PLACES):
        if start < 0:
            return
        yield start, start + len(key)
        start = text.find(key, start + 1)


def _own(quoted: Quoted, same: Sequence[tuple[int, int]]) -> int | None:
    """Which of the equal places in the page's text is the quote's."""
    page = quoted.page
    return next((n for n, (first, _) in enumerate(same) if page.origins[page.places[first]] >= quoted.start), None)


def _place(quoted: Quoted, stream: Stream, first: int, last: int, sheet: Sheet) -> Place | None:
    """The glyphs of the stream's key characters, if they are whole words as the quote is, and read as it does."""
    keyed = stream.keyed
    low, high = keyed.places[first], keyed.places[last - 1]
    wanted = quoted.strict
    before = keyed.strict[:low]
    low -= min(len(wanted) - len(wanted.lstrip("-")), len(before) - len(before.rstrip("-")))
    after = keyed.strict[high + 1 :]
    high += min(len(wanted) - len(wanted.rstrip("-")), len(after) - len(after.lstrip("-")))
    begin, end = keyed.origins[low], keyed.origins[high]
    bounded = quoted.bounded
    if (low and keyed.origins[low - 1] == begin) or (high + 1 < len(keyed.origins) and keyed.origins[high + 1] == end):
        return None  # the quote is a part of a ligature
    if (bounded[0] and not stream.begins(sheet, begin)) or (bounded[1] and not stream.ends(sheet, end)):
        return None
    droppable = [stream.order[keyed.origins[n]] in sheet.cut for n in range(low, high + 1)]
    if not _reads_as(wanted, keyed.strict[low : high + 1], droppable):
        return None
    return tuple(stream.order[begin : end + 1])


def _reads_as(wanted: str, there: str, droppable: Sequence[bool]) -> bool:
    """Whether two texts are one but for hyphens that may be dropped."""
    n = 0
    for char, drop in zip(there, droppable, strict=True):
        if n < len(wanted) and wanted[n] == char:
            n += 1
        elif not drop:
            return False
    return n == len(wanted)


def _by_surroundings(quoted: Quoted, own: int, same: Sequence[tuple[int, int]], hits: Sequence[_Hit]) -> _Hit | None:
    """The place that agrees clearly best with what stands around the quote, and with no other equal quote better."""

    def agreement(there: tuple[int, int], hit: _Hit) -> int:
        return max(_agreement(quoted.page.key, there, s.keyed.key, (a, b)) for s, a, b in hit.seen)

    rated = [agreement(same[own], hit) for hit in hits]
    best = rated.index(max(rated))
    others = rated[:best] + rated[best + 1 :]
    others += [agreement(there, hits[best]) for n, there in enumerate(same) if n != own]
    return hits[best] if rated[best] >= max(others, default=0) + _CLEARER else None


def _agreement(page: str, there: tuple[int, int], text: str, here: tuple[int, int]) -> int:
    """How many characters before and after two places are the same, up to 40 on each side."""
    before = _common(page[max(there[0] - _AROUND, 0) : there[0]][::-1], text[max(here[0] - _AROUND, 0) : here[0]][::-1])
    return before + _common(page[there[1] : there[1] + _AROUND], text[here[1] : here[1] + _AROUND])


def _common(one: str, other: str) -> int:
    count = 0
    for a, b in zip(one, other, strict=False):
        if a != b:
            break
        count += 1
    return count


def in_turn(own: int, count: int, places: Sequence[Place], sheet: Sheet) -> int | None:
    """Which place is the own-th of ``count``, if there are as many and, in content order, each stands below the one
    before; None if not."""
    if len(places) != count:
        return None
    order = sorted(range(count), key=lambda n: min(places[n]))
    boxes = [sheet.box(places[n]) for n in order]
    below = all(lower[1] >= (upper[1] + upper[3]) / 2 for upper, lower in pairwise(boxes))
    return order[own] if below else None


def _share_height(one: Glyph, other: Glyph) -> bool:
    shared = min(one.bottom, other.bottom) - max(one.top, other.top)
    return shared > min(one.bottom - one.top, other.bottom - other.top) / 2
