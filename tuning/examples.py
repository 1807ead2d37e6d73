"""The training set: each pair in the prompt, with the passages and in the order, in which it will be served.

Pure but for the retriever that is handed in, which is the one that serves.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from fieldguide import align
from fieldguide.models.base import Prompt
from fieldguide.prompts import answer_prompt
from fieldguide.types import Chunk, QAPair, Retriever, ScoredChunk, Span, content_hash

INSERTED_SCORE = 0.0


@dataclass(frozen=True, slots=True)
class Example:
    """A prompt as it will be served and the answer to learn.

    ``gold`` says how the evidence came among the passages: "retrieved", "inserted" in the place of the last one
    because retrieval missed it, or "none" (closed book).
    """

    pair: str
    prompt: Prompt
    completion: str
    gold: str

    @property
    def hash(self) -> str:
        return content_hash(self.pair, self.completion, *(m.role + m.content for m in self.prompt))


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


def build_examples(
    pairs: Sequence[QAPair], retriever: Retriever, chunks: Sequence[Chunk], closed_book_share: float, seed: int
) -> list[Example]:
    """One example per pair, in the order of the pairs; ``closed_book_share`` of them without passages."""
    draw = random.Random(seed)
    closed = {n for n in range(len(pairs)) if draw.random() < closed_book_share}
    open_book = [pair for n, pair in enumerate(pairs) if n not in closed]
    ranked = iter(retriever.retrieve([pair.question for pair in open_book], retriever.k))
    by_document: dict[str, list[Chunk]] = {}
    for chunk in chunks:
        by_document.setdefault(chunk.document, []).append(chunk)
    examples = []
    for n, pair in enumerate(pairs):
        if n in closed:
            examples.append(Example(pair.id, answer_prompt(pair.question, None), pair.answer, "none"))
            continue
        passages, gold = _with_gold(pair, next(ranked), by_document.get(pair.document, []), retriever.k)
        prompt = answer_prompt(pair.question, retriever.context(passages))
        examples.append(Example(pair.id, prompt, pair.answer, gold))
    return examples


def holds_evidence(chunk: Chunk, pair: QAPair) -> bool:
    """Whether the chunk's characters include the pair's evidence, or (same document) its answer word for word."""
    if chunk.document != pair.document:
        return False
    for evidence in pair.evidence:
        if evidence.spans and all(_covers(chunk, span) for span in evidence.spans):
            return True
    return bool(align.find_exact(pair.answer, chunk.text))


def _covers(chunk: Chunk, span: Span) -> bool:
    return any(s.page == span.page and s.start <= span.start and span.end <= s.end for s in chunk.spans)


def _with_gold(
    pair: QAPair, ranked: Sequence[ScoredChunk], own: Sequence[Chunk], k: int
) -> tuple[list[ScoredChunk], str]:
    if any(holds_evidence(passage.chunk, pair) for passage in ranked):
        return list(ranked), "retrieved"
    gold = next((chunk for chunk in own if chunk.id == pair.chunk), None)
    gold = gold or next((chunk for chunk in own if holds_evidence(chunk, pair)), None)
    if gold is None:
        return list(ranked), "missing"
    kept = list(ranked[: k - 1])
    return [*kept, ScoredChunk(gold, INSERTED_SCORE, len(kept) + 1, {})], "inserted"


def set_hash(examples: Sequence[Example]) -> str:
    """Hash of a training set, in its order."""
    return content_hash(*(example.hash for example in examples))


def shares(examples: Sequence[Example]) -> dict[str, int]:
    """How many examples have their gold passage retrieved, inserted, missing, or are closed book ("none")."""
    return dict(Counter(example.gold for example in examples))
