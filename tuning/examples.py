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
_TELLING = 2
"""Words that an answer needs for its mere presence to count as evidence."""


@dataclass(frozen=True, slots=True)
class Example:
    """A prompt as it will be served and the answer to learn.

    ``gold`` says how the evidence came among the passages: "retrieved", "inserted" in the place of the last one
    because retrieval missed it, "missing", or "none" (closed book). Examples of one ``group`` have the same passages.
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


def build_examples(
    pairs: Sequence[QAPair],
    retriever: Retriever,
    chunks: Sequence[Chunk],
    *,
    closed_book_share: float,
    per_context: int,
    seed: int,
) -> list[Example]:
    """One example per pair, grouped; ``closed_book_share`` of them without passages.

    Up to ``per_context`` pairs with evidence in the same chunk share the passages that the retriever returns for one
    of them, so that the passages need to be read only once in training (``tuning.tokenise``). With 1, every example
    has exactly the passages that its own question retrieves.
    """
    draw = random.Random(seed)
    closed = [pair for pair in pairs if draw.random() < closed_book_share]
    apart = {pair.id for pair in closed}
    groups = _grouped([pair for pair in pairs if pair.id not in apart], per_context)
    by_document: dict[str, list[Chunk]] = {}
    for chunk in chunks:
        by_document.setdefault(chunk.document, []).append(chunk)
    found = retriever.retrieve([group[0].question for group in groups], retriever.k)
    examples = []
    for number, (group, ranked) in enumerate(zip(groups, found, strict=True)):
        own = by_document.get(group[0].document, [])
        passages, gold = _with_gold(group, ranked, own, retriever.k)
        context = retriever.context(passages)
        examples += [Example(p.id, answer_prompt(p.question, context), p.answer, gold, number) for p in group]
    for number, group in enumerate(_chunked(closed, per_context), len(groups)):
        examples += [Example(p.id, answer_prompt(p.question, None), p.answer, "none", number) for p in group]
    return examples


def _grouped(pairs: Sequence[QAPair], size: int) -> list[list[QAPair]]:
    """The pairs by the chunk of their evidence, at most ``size`` together, in the order of their first pair."""
    by_chunk: dict[str, list[QAPair]] = {}
    for pair in pairs:
        by_chunk.setdefault(pair.chunk, []).append(pair)
    return [part for members in by_chunk.values() for part in _chunked(members, size)]


def _chunked(members: Sequence[QAPair], size: int) -> list[list[QAPair]]:
    return [list(members[start : start + size]) for start in range(0, len(members), size)]


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


def _with_gold(
    group: Sequence[QAPair], ranked: Sequence[ScoredChunk], own: Sequence[Chunk], k: int
) -> tuple[list[ScoredChunk], str]:
    """The ranked passages, with the group's gold chunk in the place of the last where none holds all its evidence."""
    if any(all(holds_evidence(passage.chunk, pair) for pair in group) for passage in ranked):
        return list(ranked), "retrieved"
    gold = next((chunk for chunk in own if chunk.id == group[0].chunk), None)
    gold = gold or next((chunk for chunk in own if all(holds_evidence(chunk, pair) for pair in group)), None)
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
