"""What a question itself says about where its answer stands: words of a file's name, the number of a page.

A chunk's text seldom says what its file is called, so channels that compare texts miss these clues. What they are
worth is counted like the words of BM25, over documents and over pages instead of chunks: a company that few names have
is worth much, a year that most have nothing, and where nothing is named nothing changes. Pages are counted from the
first, whatever number is printed on them. Knows names and numbers, no index.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import PurePosixPath
from statistics import fmean

from fieldguide.types import Chunk, content_hash
from retrieval.stopwords import content_words
from retrieval.vectors import Hits

_MOST_RUNS = 3  # of letters and digits in a word such as "2023Q4"; one that changes more often is a hash, not a name
_SEAM = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=\d)(?=[^\W\d])|(?<=[^\W\d])(?=\d)")
_NUMBERS = (
    "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "thirteen",
    "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty",
)  # fmt: skip
_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")
_BEHIND = {word: number for number, word in enumerate(_NUMBERS, 1)}
_BEFORE = {word: number for number, word in enumerate(_ORDINALS, 1)} | dict.fromkeys(("cover", "title", "front"), 1)
_PAGE = re.compile(
    r"\b(?:pages?|pp?\.|pg\.?|seiten?|p[áa]ginas?|p[áa]g\.|страниц\w*|стр\.)\s*\(?\s*(\d{1,4}|[a-z]+)\b", re.IGNORECASE
)
_PLACE = re.compile(r"\b([a-z]+)\s+page\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Clue:
    """What one question names: words of names and pages, each with its worth in nats (natural logarithms of odds)."""

    words: Mapping[str, float]
    pages: Mapping[int, float]


class Clues:
    """The names of a shelf's documents, to look for in questions."""

    def __init__(self, names: Mapping[str, Iterable[str]], pages: int) -> None:
        """``names`` gives the paths of each document's files; ``pages`` is how many pages they have together."""
        self._names = {
            document: frozenset(word for path in paths for word in name_words(_unended(path)))
            for document, paths in names.items()
        }
        self._held = Counter(word for words in self._names.values() for word in words)
        self._page = _rarity(min(len(self._names), pages), pages)

    @property
    def id(self) -> str:
        """Changes with the names and the number of pages."""
        return content_hash(
            str(self._page), *(" ".join([d, *sorted(words)]) for d, words in sorted(self._names.items()))
        )

    def of(self, question: str) -> Clue | None:
        """None if the question names nothing here."""
        documents = len(self._names)
        words = {
            word: _rarity(self._held[word], documents)
            for word in asked_words(question)
            if 0 < 2 * self._held[word] <= documents  # what most names have, such as their folder, tells nothing
        }
        pages = dict.fromkeys(named_pages(question), self._page)
        return Clue(words, pages) if words or pages else None

    def worth(self, clue: Clue, chunk: Chunk) -> float:
        """What the clue is worth for a chunk: at least 0."""
        held = [word for word in clue.words if word in self._names.get(chunk.document, ())]
        whole = [word for word in held if not any(word != other and word in other for other in held)]  # no part twice
        return sum(clue.words[word] for word in whole) + max(
            (clue.pages.get(page, 0.0) for page in chunk.pages), default=0.0
        )

    def reorder(self, hits: Hits, clue: Clue, chunks: Mapping[str, Chunk]) -> Hits:
        """The hits with the clue's worth added, in standard deviations of their scores, best first; ties by id.

        Hits whose chunk is not in ``chunks`` keep their score. Where the clue is worth nothing for any hit, the same
        list comes back: a trace that told of it would tell that a hidden file has such a name.
        """
        worth = {name: self.worth(clue, chunks[name]) for name, _ in hits if name in chunks}
        if len(hits) < 2 or not any(worth.values()):
            return hits
        mean = fmean(score for _, score in hits)
        unit = math.sqrt(fmean((score - mean) ** 2 for _, score in hits)) if hits[0][1] > hits[-1][1] else 1.0
        raised = [(name, score + unit * worth.get(name, 0.0)) for name, score in hits]
        return sorted(raised, key=lambda hit: (-hit[1], hit[0]))


def name_words(name: str) -> frozenset[str]:
    """Words of a file's name in lower case, with the parts of compounds: BestBuy_2024Q2 has best, buy, bestbuy, q2 …"""
    found: set[str] = set()
    for word in re.findall(r"[^\W_]+", unicodedata.normalize("NFKC", name)):
        found.add(word.lower())
        runs = _SEAM.sub(" ", word).split()
        if len(runs) <= _MOST_RUNS:
            found |= {"".join(runs[i:j]).lower() for i in range(len(runs)) for j in range(i + 1, len(runs) + 1)}
    return frozenset(content_words(sorted(word for word in found if len(word) > 1)))


def asked_words(question: str) -> frozenset[str]:
    """The words of a question in the same form; two that stand together also as one, since names are often run on."""
    plain = re.findall(r"[^\W_]+", unicodedata.normalize("NFKC", question))
    joined = [f"{first}{second}".lower() for first, second in pairwise(plain)]
    return name_words(" ".join(plain)) | frozenset(joined)


def named_pages(question: str) -> frozenset[int]:
    """The pages that a question names: "page 14", "page two", "the first page", "the cover page", "Seite 3"."""
    behind = [match[1].lower() for match in _PAGE.finditer(question)]
    found = {int(word) if word.isdigit() else _BEHIND.get(word, 0) for word in behind}
    found |= {_BEFORE.get(match[1].lower(), 0) for match in _PLACE.finditer(question)}
    return frozenset(found - {0})


def _unended(path: str) -> str:
    return str(PurePosixPath(path.replace("\\", "/")).with_suffix("")) if path else ""


def _rarity(having: int, all_of_them: int) -> float:
    """BM25's inverse document frequency, as Lucene has it: never negative."""
    return math.log(1 + (all_of_them - having + 0.5) / (having + 0.5))
