"""Which pairs are about one fact, which are one question, and which ask for one attribute of different things.

Pure, over pairs as they are; only ``alike_questions`` needs an embedder. Knows nothing of splits (see
``ingest.qa.splits`` and ``ingest.qa.leaks``, which use the same relations to keep facts together and to prove it).
"""

from __future__ import annotations

import itertools
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from fieldguide import align
from fieldguide.models.base import Embedder
from fieldguide.types import QAPair
from ingest.dates import dates
from ingest.qa.names import kept_words, names_in
from ingest.qa.rule_labels import EVENT, words

Two = tuple[int, int]
"""Positions of two pairs in a sequence, the smaller first."""

_YES_NO = re.compile(r"(?i)(?:yes|no)\b")
_FRAME = words(EVENT.replace("|", " ") + " report document according involving happen happened occur occurred")
"""Words that only lead to the thing asked about: "the report on the accident involving …"."""
_SHORT = 6
_NAME_LEFT = re.compile(r"(?<=\S )[A-Z]\S*")
"""What is left of a name of which a part was taken as a code: "Piper" of "Piper PA-18"."""


def wording(pair: QAPair) -> str:
    """The question, with what was asked before it, without case, punctuation and spacing."""
    return " / ".join(" ".join(align.tokens(part)) for part in (*pair.after, pair.question))


def documents_of(pair: QAPair) -> frozenset[str]:
    """The pair's document and those that its evidence lies in."""
    return frozenset((pair.document, *(item.document for item in pair.evidence)))


def is_joined(pair: QAPair) -> bool:
    """Whether the answer is put together from several places, each of which may be a fact of its own."""
    return len(pair.evidence) > 1


def shared_facts(pairs: Sequence[QAPair], ties: Mapping[str, str] | None = None) -> Iterator[Two]:
    """Two pairs that are about one fact.

    Their evidence overlaps and the answer of one says what the other's says ("31 minutes", "about 31 minutes"; of a
    yes/no question, the question says it). Or they are of one document (or of near-duplicates: ``ties`` gives one name
    to all of them), for a text may state a fact twice, and have the same answer to the same attribute, or any same
    answer that is telling: a number of three digits, or two words that carry meaning. Pairs with several places of
    evidence are one fact with each other, where all places overlap and the answers are the same, and with no other.
    """
    seen = set()
    for one, other in overlapping(pairs):
        a, b = pairs[one], pairs[other]
        if is_joined(a) or is_joined(b):
            same = is_joined(a) and is_joined(b) and _answer(a) == _answer(b) and _all_overlap(a, b)
        else:
            same = a.answerable and b.answerable and (_says(a, b) or _says(b, a))
        if same:
            seen.add((one, other))
            yield one, other
    held: dict[tuple[object, ...], list[int]] = defaultdict(list)
    for n, pair in enumerate(pairs):
        if pair.answerable and not is_joined(pair):
            told = _telling(pair) or (_answer(pair), attribute(pair.question))
            held[(ties or {}).get(pair.document, pair.document), told].append(n)
    yield from (two for group in held.values() for two in itertools.combinations(group, 2) if two not in seen)


def overlapping(pairs: Sequence[QAPair]) -> Iterator[Two]:
    """Two pairs of which some evidence overlaps, whatever they say of it; each two once."""
    places: dict[tuple[str, int], list[tuple[int, int, int]]] = defaultdict(list)
    for n, pair in enumerate(pairs):
        for item in pair.evidence:
            for span in item.spans:
                places[item.document, span.page].append((span.start, span.end, n))
    found: set[Two] = set()
    for spans in places.values():
        open_spans: list[tuple[int, int]] = []
        for start, end, n in sorted(spans):
            open_spans = [(until, other) for until, other in open_spans if until > start]
            for _, other in open_spans:
                two = (min(n, other), max(n, other))
                if other != n and two not in found:
                    found.add(two)
                    yield two
            open_spans.append((end, n))


def same_wordings(pairs: Sequence[QAPair]) -> Iterator[Two]:
    """Two pairs that ask the same in the same words."""
    held: dict[str, list[int]] = defaultdict(list)
    for n, pair in enumerate(pairs):
        held[wording(pair)].append(n)
    for group in held.values():
        yield from itertools.combinations(group, 2)


def alike_questions(pairs: Sequence[QAPair], embedder: Embedder, alike: float) -> Iterator[Two]:
    """Two pairs with the same answer, names, numbers and negations whose questions have a cosine of ``alike`` or more.

    Questions that differ in a name ask about different things however alike they are, so only the others are embedded.
    """
    held: dict[tuple[object, ...], list[int]] = defaultdict(list)
    for n, pair in enumerate(pairs):
        held[_answer(pair), frozenset(kept_words(_asked(pair)))].append(n)
    groups = [group for group in held.values() if len(group) > 1]
    texts = [_asked(pairs[n]) for group in groups for n in group]
    if not texts:
        return
    vectors = embedder.embed(texts)
    first = 0
    for group in groups:
        own = vectors[first : first + len(group)]
        first += len(group)
        near = own @ own.T >= alike
        yield from ((group[i], group[j]) for i, j in itertools.combinations(range(len(group)), 2) if near[i, j])


def asked_before(pairs: Sequence[QAPair]) -> Iterator[Two]:
    """(i, j): pair i leans on the question of pair j, which was asked before it. The only relation with a direction."""
    held: dict[str, list[int]] = defaultdict(list)
    for n, pair in enumerate(pairs):
        if not pair.after:
            held[wording(pair)].append(n)
    for n, pair in enumerate(pairs):
        for question in pair.after:
            yield from ((n, other) for other in held.get(" ".join(align.tokens(question)), ()) if other != n)


def clusters(n: int, related: Iterable[Two]) -> list[int]:
    """For each of ``n`` items the smallest item that it is tied to, by however many steps (union-find)."""
    parent = list(range(n))

    def root(item: int) -> int:
        while parent[item] != item:
            parent[item] = parent[parent[item]]
            item = parent[item]
        return item

    for one, other in related:
        low, high = sorted((root(one), root(other)))
        parent[high] = low
    return [root(item) for item in range(n)]


def attribute(question: str) -> frozenset[str]:
    """What a question asks for, whatever it asks it of: its words that carry meaning, without names, numbers, dates.

    "How many hours had the pilot in Belen, NM flown?" and the same of another place give the same. Empty if nothing
    is left.
    """
    rest, end = [], 0
    for name in names_in(question):
        rest.append(question[end : name.start])
        end = name.end
    rest.append(question[end:])
    left = _NAME_LEFT.sub(" ", " ".join(rest))
    return frozenset(word for word in align.content_tokens(left) if len(word) > 1 and word not in _FRAME)


def _asked(pair: QAPair) -> str:
    return " ".join((*pair.after, pair.question))


def _answer(pair: QAPair) -> tuple[str, ...]:
    return tuple(align.content_tokens(pair.answer) or align.tokens(pair.answer))


def _telling(pair: QAPair) -> tuple[str, ...]:
    """What of an answer can hardly mean another fact of the same document, however it is written; () if it could."""
    words = _answer(pair)
    if len(words) <= _SHORT:
        found = [date for date in dates(pair.answer, False) if date.count("-") == 2]
        if len(found) == 1:
            year, *rest = found[0].split("-")
            return (year, *sorted(rest))  # 06/12 may be 12 June as well as June 12
        if numbers := tuple(word for word in words if sum(map(str.isdigit, word)) > 2):
            return numbers
    return words if len(words) > 1 and not _YES_NO.match(pair.answer) else ()


def _says(a: QAPair, b: QAPair) -> bool:
    """Whether what ``b`` answers stands in what ``a`` says."""
    if _YES_NO.match(b.answer):
        return False
    said = set(_answer(a)) | (set(align.tokens(a.question)) if _YES_NO.match(a.answer) else set())
    return bool(_answer(b)) and said.issuperset(_answer(b))


def _all_overlap(a: QAPair, b: QAPair) -> bool:
    """Whether each place of evidence of either overlaps one of the other's."""
    places = [
        [[(item.document, span.page, span.start, span.end) for span in item.spans] for item in pair.evidence]
        for pair in (a, b)
    ]

    def within(one: list[tuple[str, int, int, int]], others: list[list[tuple[str, int, int, int]]]) -> bool:
        return any(p[:2] == q[:2] and p[2] < q[3] and q[2] < p[3] for p in one for other in others for q in other)

    return all(within(one, places[1]) for one in places[0]) and all(within(one, places[0]) for one in places[1])
