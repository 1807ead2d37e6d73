"""Examples of the training set, which pairs it is made from, and what counts as evidence. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from fieldguide import align
from fieldguide.models.base import Prompt
from fieldguide.types import Chunk, QAPair, Span, content_hash

_TELLING = 2
"""Words that an answer needs for its mere presence to count as evidence."""


@dataclass(frozen=True, slots=True)
class Example:
    """A prompt as it will be served and the reply to learn.

    ``gold`` says how the evidence came among the passages: "retrieved"; "inserted" because retrieval missed it;
    "missing", since it is in no chunk any more; "removed" on purpose, or "absent" since no document holds an answer
    (the reply is a refusal then); "none" (closed book); "replay" (no pair at all). Examples of one ``group`` have the
    same passages.
    """

    pair: str
    prompt: Prompt
    completion: str
    gold: str
    group: int

    @property
    def hash(self) -> str:
        return content_hash(self.pair, self.completion, str(self.group), *(m.role + m.content for m in self.prompt))


def choose(pairs: Sequence[QAPair], limit: int, seed: int) -> list[QAPair]:
    """At most ``limit`` pairs (0 = all), drawn in turn from every document and kind so that none dominates."""
    groups: dict[tuple[str, str], list[QAPair]] = {}
    for pair in sorted(pairs, key=lambda p: content_hash(str(seed), p.id)):
        groups.setdefault((pair.document, pair.kind), []).append(pair)
    order = sorted(groups, key=lambda g: content_hash(str(seed), *g))
    out: list[QAPair] = []
    while any(groups.values()):
        for group in order:
            if groups[group]:
                out.append(groups[group].pop())
    return out[: limit or None]


def holds_evidence(chunk: Chunk, pair: QAPair) -> bool:
    """Whether the pair was made from the chunk, or the chunk's characters include its evidence, or (same document)
    its answer word for word, if that has enough words to mean something ("5" and "No" stand everywhere)."""
    if chunk.document != pair.document:
        return False
    if chunk.id == pair.chunk:
        return True
    for evidence in pair.evidence:
        if evidence.spans and all(_covers(chunk, span) for span in evidence.spans):
            return True
    return len(align.tokens(pair.answer)) >= _TELLING and bool(align.find_exact(pair.answer, chunk.text))


def _covers(chunk: Chunk, span: Span) -> bool:
    return any(s.page == span.page and s.start <= span.start and span.end <= s.end for s in chunk.spans)


def set_hash(examples: Sequence[Example]) -> str:
    """Hash of a training set, in its order."""
    return content_hash(*(example.hash for example in examples))


def shares(examples: Sequence[Example]) -> dict[str, int]:
    """How many examples there are of each ``Example.gold``."""
    return dict(Counter(example.gold for example in examples))
