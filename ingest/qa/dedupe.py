"""No question twice: exact repetitions, questions that mean the same, and too many wordings of one fact.

FAISS finds the questions near a new one among those of its document and those with its answer, exactly and as they
come in. Whether two near ones are one question is then told by what they ask about, because templates ("Where did the
Elyria accident happen?", "Where did the Soledad accident happen?"; a revenue in 2017 and in 2018) may be nearer to
each other than two wordings of one question are.
SemHash was looked at: it decides by a threshold alone, on an approximate index, and for a whole list at a time.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fieldguide import align
from fieldguide.models.base import Embedder
from fieldguide.types import Evidence, QAPair
from ingest.qa.checks import normal_question

DUPLICATE, CONTRARY, ALIKE, WORDINGS = (
    "duplicate question",
    "same question, another answer",
    "alike another question",
    "more wordings of one fact than questions.phrasings",
)
"""The reasons for which a question is refused."""

WORDING = 0.75
"""Least cosine of two questions with one answer at one place that ask for one fact; "Who was the captain?" and "Who
was the owner?" have 0.43 with the bundled embedder, wordings by people 0.8 to 0.98."""

_BLOCK = 512
_SLACK = 1e-3  # FAISS's sums differ in the last digits from one machine to the next; what is near is looked at again
_FIRST = 5
_ASKED = {"when": "when", "where": "where", "why": "why", "who": "who", "whom": "who"}
_NAME = re.compile(r"(?<!^)(?<![.?!:“\"] )\b[A-Z][\w&.-]*")


@dataclass(frozen=True, slots=True)
class _Asked:
    """What tells a question from another: ``names`` and ``numbers`` in it, ``stems`` of all words that carry meaning,
    and ``wh``, those of its question words that cannot stand for each other."""

    pair: QAPair
    question: str
    answer: str
    names: frozenset[str]
    numbers: frozenset[str]
    stems: frozenset[str]
    wh: frozenset[str]


class _Near:
    """The questions of one document, or with one answer, to be searched by their vectors."""

    def __init__(self, dimension: int) -> None:
        import faiss

        self._index = faiss.IndexFlatIP(dimension)
        self._places: list[int] = []

    def add(self, place: int, vector: npt.NDArray[np.float32]) -> None:
        self._index.add(vector[None])
        self._places.append(place)

    def find(self, vector: npt.NDArray[np.float32], cosine: float) -> list[int]:
        found = self._index.range_search(vector[None], cosine)[2]
        return [self._places[row] for row in found]


class Deduper:
    """Remembers the questions that it let pass, in the order in which they came; the same order, the same verdicts.

    Two questions are alike if the cosine of their vectors is ``threshold`` or more, the same numbers stand in both,
    neither has a name in place of one of the other's, and they have the same answer, or all the same words and one
    document. Of one fact (document, answer, place) ``phrasings`` wordings pass. 100,000 questions of 384 numbers take
    450 MB.
    """

    def __init__(
        self, embedder: Embedder, threshold: float, pairs: Iterable[QAPair] = (), *, phrasings: int = 1
    ) -> None:
        self._embedder = embedder
        self._threshold = threshold
        self._phrasings = phrasings
        self._asked: list[_Asked] = []
        self._vectors: list[npt.NDArray[np.float32]] = []
        self._near: dict[tuple[str, str], _Near] = defaultdict(lambda: _Near(embedder.dimension))
        self._by_question: dict[str, int] = {}
        self._by_fact: dict[tuple[str, str], list[int]] = defaultdict(list)
        for asked, vector in self._read(list(pairs)):
            self._remember(asked, vector)

    def refuse(self, pairs: Sequence[QAPair]) -> list[str]:
        """For each pair "" or why it is refused, by what passed before it; those that pass are remembered."""
        reasons = []
        for asked, vector in self._read(pairs):
            reasons.append(self._judge(asked, vector))
            if not reasons[-1]:
                self._remember(asked, vector)
        return reasons

    def _read(self, pairs: Sequence[QAPair]) -> Iterator[tuple[_Asked, npt.NDArray[np.float32]]]:
        for start in range(0, len(pairs), _BLOCK):
            block = pairs[start : start + _BLOCK]
            vectors = self._embedder.embed([_whole(pair) for pair in block])
            yield from zip(map(_read, block), vectors, strict=True)

    def _judge(self, asked: _Asked, vector: npt.NDArray[np.float32]) -> str:
        if (place := self._by_question.get(asked.question)) is not None:
            return DUPLICATE if self._asked[place].answer == asked.answer else CONTRARY
        wordings = {
            place
            for place in self._by_fact.get((asked.pair.document, asked.answer), ())
            if _one_place(asked.pair, self._asked[place].pair)
            and not _other_subject(asked, self._asked[place], renamed=True)
            and self._cosine(place, vector) >= WORDING
        }
        if len(wordings) >= self._phrasings:
            return WORDINGS
        near = {
            place
            for key in _keys(asked)
            if key in self._near
            for place in self._near[key].find(vector, self._threshold - _SLACK)
        }
        for place in sorted(near - wordings):
            other = self._asked[place]
            if _other_subject(asked, other, renamed=False) or self._cosine(place, vector) < self._threshold:
                continue
            if _one_answer(asked.answer, other.answer):
                return ALIKE
            if asked.stems == other.stems and asked.pair.document == other.pair.document:
                return CONTRARY
        return ""

    def _cosine(self, place: int, vector: npt.NDArray[np.float32]) -> float:
        return float(np.dot(self._vectors[place].astype(np.float64), vector.astype(np.float64)))

    def _remember(self, asked: _Asked, vector: npt.NDArray[np.float32]) -> None:
        place = len(self._asked)
        self._asked.append(asked)
        self._vectors.append(vector.copy())
        self._by_question.setdefault(asked.question, place)
        self._by_fact[asked.pair.document, asked.answer].append(place)
        for key in _keys(asked):
            self._near[key].add(place, vector)


def _keys(asked: _Asked) -> tuple[tuple[str, str], ...]:
    return ("document", asked.pair.document), ("answer", asked.answer)


def _whole(pair: QAPair) -> str:
    return " ".join((*pair.after, pair.question))


def _read(pair: QAPair) -> _Asked:
    text = _whole(pair)
    words = frozenset(align.tokens(text))
    wh = frozenset(_ASKED[word] for word in words if word in _ASKED)
    names = (align.normalise(re.sub(r"(?:['’]s|[.'’-])$", "", name))[0] for name in _NAME.findall(text))
    return _Asked(
        pair=pair,
        question=" | ".join(normal_question(part) for part in (*pair.after, pair.question)),
        answer=" ".join(align.tokens(pair.answer)) if pair.answerable else f"none in {pair.document}",
        names=frozenset(names),
        numbers=frozenset(word for word in words if any(char.isdigit() for char in word)),
        stems=frozenset(word[:_FIRST] for word in align.content_tokens(text)) | wh,
        wh=wh,
    )


def _other_subject(a: _Asked, b: _Asked, *, renamed: bool) -> bool:
    """Whether they ask about different things: other numbers or question words, or one name in place of another.

    With ``renamed`` one thing may go by different names, identifiers with digits among them. A follow-up is no
    wording of the question that it was made from.
    """
    if bool(a.pair.after) != bool(b.pair.after) or (a.wh and b.wh and not a.wh & b.wh):
        return True
    if renamed:
        return {n for n in a.numbers if n.isdigit()} != {n for n in b.numbers if n.isdigit()} and not (
            a.numbers <= b.numbers or b.numbers <= a.numbers
        )
    return a.numbers != b.numbers or bool(a.names - b.names and b.names - a.names)


def _one_answer(a: str, b: str) -> bool:
    """Whether the answers are the same, or one says less with the same numbers ("23", "23 hours")."""
    said, other = set(a.split()), set(b.split())
    digits = {word for word in said if word[0].isdigit()}
    same_numbers = bool(digits) and digits == {word for word in other if word[0].isdigit()}
    return a == b or (same_numbers and (said <= other or other <= said))


def _one_place(a: QAPair, b: QAPair) -> bool:
    """Whether each piece of evidence of one overlaps one of the other: one over two chunks is not one over one."""
    return all(any(_overlap(x, y) for y in b.evidence) for x in a.evidence) and all(
        any(_overlap(x, y) for x in a.evidence) for y in b.evidence
    )


def _overlap(x: Evidence, y: Evidence) -> bool:
    return x.document == y.document and any(
        s.page == t.page and s.start < t.end and t.start < s.end for s in x.spans for t in y.spans
    )
