"""The questions channel: the generated pairs' questions, each of which points at the chunk that answers it.

A query that is itself one of the questions is searched without that question and without the others about the same
fact: so training and evaluation on the pairs see what a user with a new question would see.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from fieldguide.align import tokens
from fieldguide.types import QAPair, content_hash
from retrieval.parts import Parts
from retrieval.query import Among, Queries
from retrieval.vectors import Hits

_EACH = 4  # questions fetched at first for each chunk that is wanted: several of them may point at one chunk
_SHORT = 16


def question_entries(pairs: Iterable[QAPair], chunks: Collection[str]) -> dict[str, str]:
    """The answerable pairs' questions by their ids "chunk:fact:question", for those of the chunks."""
    return {
        f"{pair.chunk}:{_short(pair.answer)}:{_short(pair.question)}": pair.question
        for pair in pairs
        if pair.answerable and pair.chunk in chunks
    }


def _short(text: str) -> str:
    return content_hash(*tokens(text))[:_SHORT]


class QuestionsChannel:
    """Chunks by the similarity of the query to the best of their questions."""

    name = "questions"

    def __init__(self, store: Parts) -> None:
        self._store = store
        self._of_chunk: dict[str, list[str]] = {}
        self._facts: dict[str, set[str]] = {}
        for entry in store.ids():
            chunk, _, question = entry.split(":")
            self._of_chunk.setdefault(chunk, []).append(entry)
            self._facts.setdefault(question, set()).add(_fact(entry))
        self._kept: tuple[Among, Among] = (None, None)

    def search(self, queries: Queries, k: int, among: Among = None) -> list[Hits]:
        eligible = self._eligible(among)
        held_out = [self._facts.get(_short(text), set()) for text in queries.texts]
        wanted = _EACH * k
        while True:
            found = self._store.search(queries.vectors, wanted, eligible)
            best = [
                _best_of_chunks(((entry, score) for entry, score in hits if _fact(entry) not in facts), k)
                for hits, facts in zip(found, held_out, strict=True)
            ]
            if all(len(chunks) == k or len(hits) < wanted for chunks, hits in zip(best, found, strict=True)):
                return best
            wanted *= _EACH

    def _eligible(self, among: Among) -> Among:
        if among is None:
            return None
        if self._kept[0] is not among:
            found = frozenset(entry for chunk in among for entry in self._of_chunk.get(chunk, ()))
            self._kept = (among, found)
        return self._kept[1]


def _fact(entry: str) -> str:
    return entry.rpartition(":")[0]


def _best_of_chunks(hits: Iterable[tuple[str, float]], k: int) -> Hits:
    best: dict[str, float] = {}
    for entry, score in hits:
        best.setdefault(entry.partition(":")[0], score)
    return sorted(best.items(), key=lambda hit: (-hit[1], hit[0]))[:k]
