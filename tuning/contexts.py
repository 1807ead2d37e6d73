"""The training set: each pair in the prompt, with the passages and in the order, in which it will be served.

Pure but for the retrievers that are handed in, the first of which is the one that serves.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

from fieldguide import align
from fieldguide.prompts import answer_prompt
from fieldguide.replies import REFUSAL, Style, target
from fieldguide.types import Chunk, Context, QAPair, Retriever, ScoredChunk
from retrieval.order import reorder
from tuning.examples import Example, holds_evidence

INSERTED_SCORE = 0.0
_SPARE = 4
"""Passages fetched beyond k where gold ones are taken out."""


@dataclass(frozen=True, slots=True)
class Shape:
    """How a training set is put together; fields as in ``settings.Tuning``.

    ``closed_book_share`` and ``gold_missing_share`` are of the pairs, and add examples: every pair is also trained
    with its evidence, but with a ``closed_book_share`` of 1, which trains nothing else. ``passes`` repeats the set
    with other questions leading the retrieval and other draws.
    """

    per_context: int = 1
    passages: tuple[int, int] = (0, 0)
    orders: tuple[str, ...] = ("served",)
    closed_book_share: float = 0.0
    gold_missing_share: float = 0.0
    style: Style = "answer"
    passes: int = 1
    seed: int = 0


def build_examples(
    pairs: Sequence[QAPair], retrievers: Sequence[Retriever], chunks: Sequence[Chunk], shape: Shape
) -> list[Example]:
    """Each pair with passages, once a pass; further ones closed book, and with their gold passages taken out.

    Up to ``per_context`` pairs with evidence in the same chunk share the passages that a retriever returns for one of
    them, so that the passages need to be read only once in training (``tuning.tokenise``). With 1, every example
    has exactly the passages that its own question retrieves. Pairs that no document answers keep what they find.
    """
    draw = random.Random(shape.seed)
    by_document: dict[str, list[Chunk]] = {}
    for chunk in chunks:
        by_document.setdefault(chunk.document, []).append(chunk)
    builder = _Builder(retrievers, by_document, shape, draw)
    examples: list[Example] = []
    for number in range(shape.passes):
        shown = pairs if shape.closed_book_share < 1 else ()
        groups = [_rotated(group, number) for group in _grouped(shown, shape.per_context)]
        found = builder.with_passages(groups, number)
        removed = [p for p in shown if p.answerable and draw.random() < shape.gold_missing_share]
        found += builder.without_gold([_rotated(g, number) for g in _grouped(removed, shape.per_context)], number)
        closed = [p for p in pairs if p.answerable and draw.random() < shape.closed_book_share]
        found += [
            [Example(p.id, answer_prompt(p.question, None), target(shape.style, p.answer, None, ""), "none", 0)
             for p in group]
            for group in _chunked(closed, shape.per_context)
        ]  # fmt: skip
        start = examples[-1].group + 1 if examples else 0
        examples += [replace(example, group=n) for n, group in enumerate(found, start) for example in group]
    return examples


@dataclass(frozen=True, slots=True)
class _Builder:
    retrievers: Sequence[Retriever]
    by_document: dict[str, list[Chunk]]
    shape: Shape
    draw: random.Random

    def with_passages(self, groups: Sequence[Sequence[QAPair]], turn: int) -> list[list[Example]]:
        """Examples over what is found for the first of each group, with the gold passage among it."""
        out = []
        for n, (group, retriever, k, ranked) in enumerate(self._found(groups, turn, 0)):
            own = self.by_document.get(group[0].document, [])
            passages, gold = _with_gold(group, ranked[:k], own, k)
            context = self._ordered(retriever, passages, n + turn)
            if gold != "missing" and not _has_gold(context.passages, group):  # it did not fit any more: it goes first
                passages = sorted(passages, key=lambda p: not all(holds_evidence(p.chunk, pair) for pair in group))
                passages = [replace(passage, rank=rank) for rank, passage in enumerate(passages, 1)]
                context = self._ordered(retriever, passages, n + turn)
                gold = "inserted" if _has_gold(context.passages, group) else "missing"
            out.append([self._example(pair, context, gold) for pair in group])
        return out

    def without_gold(self, groups: Sequence[Sequence[QAPair]], turn: int) -> list[list[Example]]:
        """The same without any passage that holds evidence for one of the group: the reply is a refusal."""
        out = []
        for n, (group, retriever, k, ranked) in enumerate(self._found(groups, turn, _SPARE)):
            left = [p for p in ranked if not any(holds_evidence(p.chunk, pair) for pair in group)][:k]
            context = self._ordered(retriever, [replace(p, rank=r) for r, p in enumerate(left, 1)], n + turn)
            if context.passages:
                out.append([Example(p.id, answer_prompt(p.question, context), REFUSAL, "removed", 0) for p in group])
        return out

    def _found(
        self, groups: Sequence[Sequence[QAPair]], turn: int, spare: int
    ) -> list[tuple[Sequence[QAPair], Retriever, int, list[ScoredChunk]]]:
        """Each group with the retriever whose turn it is, its number of passages, and what it finds."""
        count = len(self.retrievers)
        fewest, most = self.shape.passages
        found: list[tuple[Sequence[QAPair], Retriever, int, list[ScoredChunk]] | None] = [None] * len(groups)
        for r, retriever in enumerate(self.retrievers):
            mine = [n for n in range(len(groups)) if (n + turn) % count == r]
            k = [self.draw.randint(fewest, most) if most else retriever.k for _ in mine]
            ranked = retriever.retrieve([groups[n][0].question for n in mine], max(k, default=0) + spare)
            for n, each, passages in zip(mine, k, ranked, strict=True):
                found[n] = (groups[n], retriever, each, passages)
        return [entry for entry in found if entry is not None]

    def _ordered(self, retriever: Retriever, passages: Sequence[ScoredChunk], turn: int) -> Context:
        order = self.shape.orders[turn % len(self.shape.orders)]
        served = retriever.context(passages)
        if order == "served":
            return served
        ranked = sorted(served.passages, key=lambda passage: passage.rank)  # what fits the window
        if order == "random":
            self.draw.shuffle(ranked)
            return Context(tuple(ranked), order)
        return Context(tuple(reorder(ranked, order)), order)  # type: ignore[arg-type]

    def _example(self, pair: QAPair, context: Context, gold: str) -> Example:
        prompt = answer_prompt(pair.question, context)
        if not pair.answerable:
            return Example(pair.id, prompt, REFUSAL, "absent", 0)
        held = next((n for n, p in enumerate(context.passages, 1) if holds_evidence(p.chunk, pair)), None)
        quote = "" if held is None else sentence_of(pair, context.passages[held - 1].chunk.text)
        return Example(pair.id, prompt, target(self.shape.style, pair.answer, held, quote), gold, 0)


def sentence_of(pair: QAPair, text: str) -> str:
    """The sentence of the text that holds the pair's answer and shares most words with its question and evidence."""
    wanted = set(align.content_tokens(" ".join((pair.question, pair.answer, *(e.quote for e in pair.evidence)))))
    found = [text[start:end] for start, end in align.sentences(text)] or [text]
    return max(
        found, key=lambda s: (bool(align.find_exact(pair.answer, s)), len(wanted & set(align.content_tokens(s))))
    )


def _grouped(pairs: Sequence[QAPair], size: int) -> list[list[QAPair]]:
    """The pairs by the chunk of their evidence, at most ``size`` together, in the order of their first pair."""
    by_chunk: dict[str, list[QAPair]] = {}
    for pair in pairs:
        by_chunk.setdefault(pair.chunk if pair.answerable else pair.id, []).append(pair)
    return [part for members in by_chunk.values() for part in _chunked(members, size)]


def _chunked(members: Sequence[QAPair], size: int) -> list[list[QAPair]]:
    return [list(members[start : start + size]) for start in range(0, len(members), size)]


def _rotated(group: Sequence[QAPair], turn: int) -> list[QAPair]:
    first = turn % len(group)
    return [*group[first:], *group[:first]]


def _has_gold(passages: Sequence[ScoredChunk], group: Sequence[QAPair]) -> bool:
    return any(all(holds_evidence(p.chunk, pair) for pair in group if pair.answerable) for p in passages)


def _with_gold(
    group: Sequence[QAPair], ranked: Sequence[ScoredChunk], own: Sequence[Chunk], k: int
) -> tuple[list[ScoredChunk], str]:
    """The ranked passages, with the group's gold chunk in the place of the last where none holds all its evidence."""
    if not group[0].answerable or _has_gold(ranked, group):
        return list(ranked), "retrieved"
    gold = next((chunk for chunk in own if chunk.id == group[0].chunk), None)
    gold = gold or next((chunk for chunk in own if all(holds_evidence(chunk, pair) for pair in group)), None)
    if gold is None:
        return list(ranked), "missing"
    kept = list(ranked[: k - 1])
    return [*kept, ScoredChunk(gold, INSERTED_SCORE, len(kept) + 1, {})], "inserted"
