"""Reranking by a generator that is shown numbered passages and says their order.

Sun et al. (2023), Is ChatGPT Good at Search? (RankGPT), arXiv 2304.09542, section 3: permutation generation with a
sliding window from the last candidates to the first, so that the best rise through all windows. Small models
often answer with something else; ``unparsed`` counts that.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from fieldguide import prompts
from fieldguide.models.base import Generator, Message, Prompt
from fieldguide.types import ScoredChunk, content_hash
from retrieval.query import Queries
from retrieval.rescore import rescored

WINDOW = 20
"""Most passages that are shown at once; the next window begins half of it further up (the paper's 20 and 10)."""
PASSAGE_WORDS = 200
"""What is behind so many words of a passage is not shown."""

_NUMBER = re.compile(r"\d+")
_TOKENS_PER_NUMBER = 6  # "[12] > " in the most wasteful of tokenizers
_CHARACTERS_PER_WORD = 8  # a script without spaces is cut by characters


def read_order(reply: str, count: int) -> list[int]:
    """The permutation of 0 to ``count`` − 1 that a reply such as "[2] > [3]" means, leniently.

    Numbers from 1 in the order found; unknown and repeated ones are dropped, missing ones come last in their order.
    """
    named = dict.fromkeys(int(digits) - 1 for digits in _NUMBER.findall(reply) if len(digits) <= 9)
    found = [n for n in named if 0 <= n < count]
    return found + [n for n in range(count) if n not in named]


@dataclass
class _Work:
    """One query's candidates, as ordered so far: those from ``end`` on are done."""

    question: str
    texts: list[str]
    order: list[int]
    end: int


class ListwiseReranker:
    """Candidates in the generator's order; the score of rank r of n is (n − r + 1) / n.

    ``asked`` counts the windows that were shown, ``unparsed`` the replies without a single number of a passage (the
    window keeps its order), ``incomplete`` those that left passages out.
    """

    name = "listwise"

    def __init__(self, generator: Generator) -> None:
        self._generator = generator
        self.asked = self.unparsed = self.incomplete = 0

    @property
    def id(self) -> str:
        shown = _prompt("{question}", ["{passage}"])
        key = content_hash(*(message.content for message in shown), str(WINDOW), str(PASSAGE_WORDS))
        return f"listwise:{self._generator.id}:{key[:16]}"

    def rerank(self, queries: Queries, ranked: Sequence[Sequence[ScoredChunk]]) -> list[list[ScoredChunk]]:
        works = [
            _Work(text, [_shown(held) for held in candidates], list(range(len(candidates))), len(candidates))
            for text, candidates in zip(queries.texts, ranked, strict=True)
        ]
        while waiting := [work for work in works if work.end > 1]:
            self._round(waiting)
        found = []
        for work, candidates in zip(works, ranked, strict=True):
            scores = [0.0] * len(candidates)
            for place, n in enumerate(work.order):
                scores[n] = 1 - place / len(candidates)
            found.append(rescored(self.name, candidates, scores))
        return found

    def _round(self, works: Sequence[_Work]) -> None:
        """One window of each query, in one batch."""
        starts = [self._start(work) for work in works]
        shown = [
            _prompt(work.question, [work.texts[n] for n in work.order[start : work.end]])
            for work, start in zip(works, starts, strict=True)
        ]
        room = max(work.end - start for work, start in zip(works, starts, strict=True)) * _TOKENS_PER_NUMBER
        replies = self._generator.generate(shown, max_new_tokens=room)
        for work, start, reply in zip(works, starts, replies, strict=True):
            window = work.order[start : work.end]
            said = {int(digits) for digits in _NUMBER.findall(reply.text) if len(digits) <= 9}
            said &= set(range(1, len(window) + 1))
            self.asked += 1
            self.unparsed += not said
            self.incomplete += 0 < len(said) < len(window)
            work.order[start : work.end] = [window[n] for n in read_order(reply.text, len(window))]
            work.end = start + len(window) // 2 if start else 0

    def _start(self, work: _Work) -> int:
        """Where the window that ends at ``work.end`` begins: at most WINDOW passages, as many as the model can read.

        Two are always shown; if even they are too long for it, the generator says so.
        """
        start = max(work.end - WINDOW, 0)
        while start < work.end - 2:
            prompt = _prompt(work.question, [work.texts[n] for n in work.order[start : work.end]])
            if self._generator.count_tokens(prompt) + WINDOW * _TOKENS_PER_NUMBER <= self._generator.context_tokens:
                break
            start += 1
        return start


def _shown(held: ScoredChunk) -> str:
    """The first words of a passage with its context line."""
    words = held.chunk.indexed_text.split()
    return " ".join(words[:PASSAGE_WORDS])[: PASSAGE_WORDS * _CHARACTERS_PER_WORD]


def _prompt(question: str, texts: Sequence[str]) -> Prompt:
    passages = "\n\n".join(f"[{number}] {text}" for number, text in enumerate(texts, 1))
    user = prompts.fill("rerank_user", passages=passages, question=question, count=str(len(texts)))
    return (Message("system", prompts.load("rerank_system")), Message("user", user))
