"""From ranked chunks to what a model reads: chunks with their neighbours as one passage, as many as fit its window.

Pure but for the token counts, which a generator gives.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache

from fieldguide.errors import FieldguideError
from fieldguide.models.base import Generator, Message, Prompt
from fieldguide.prompts import passage_text
from fieldguide.types import PAGE_BREAK, Chunk, Context, ScoredChunk, Span, content_hash

QUESTION_TOKENS = 128
"""Kept free for the question, which is not known when the budget is made; of a small window at most an eighth."""

_Place = tuple[int, int]  # first and last position in a document's reading order


@dataclass(frozen=True)
class Budget:
    """What a model's window leaves for passages, and how long texts are, in the model's own tokens."""

    tokens: Callable[[], int]
    count: Callable[[Sequence[str]], list[int]]


def with_neighbours(
    hits: Sequence[ScoredChunk],
    around: int,
    chunks_of: Callable[[str], Sequence[Chunk]],
    page_text: Callable[[str, int], str],
    allowed: frozenset[str] | None = None,
    k: int | None = None,
) -> list[ScoredChunk]:
    """Each hit with the ``around`` chunks before and after it; passages that overlap or touch become one.

    ``hits`` are best first; a joined passage stands where its best hit stood, with that hit's score, scores, ranks,
    heading and context, and ranks count from 1 anew. ``chunks_of`` gives a document's chunks in reading order.
    A chunk that is not ``allowed`` (None: all are) is not taken, nor what lies behind it. With ``k``, hits are taken
    only until a further one would begin passage k + 1: what is behind does not make the first ones longer. Without
    neighbours (``around`` 0) and for a hit that its document does not hold, the hit stays as it is.
    """
    if around == 0:
        return list(hits)
    read = cache(page_text)
    orders: dict[str, Sequence[Chunk]] = {}
    positions: dict[str, dict[str, int]] = {}
    passages: list[tuple[ScoredChunk, _Place | None]] = []
    for hit in hits:
        document = hit.chunk.document
        if document not in orders:
            orders[document] = chunks_of(document)
            positions[document] = {chunk.id: n for n, chunk in enumerate(orders[document])}
        at = positions[document].get(hit.chunk.id)
        place = None if at is None else _reach(at, around, orders[document], allowed)
        added = _added(passages, hit, place)
        if k is not None and len(added) > k:
            break
        passages = added
    return [
        replace(hit, chunk=_joined(hit.chunk, orders[hit.chunk.document], place, read), rank=rank)
        for rank, (hit, place) in enumerate(passages, 1)
    ]


def _reach(at: int, around: int, order: Sequence[Chunk], allowed: frozenset[str] | None) -> _Place:
    """First and last position that belong to the hit at ``at``."""
    first = last = at
    while first > max(at - around, 0) and (allowed is None or order[first - 1].id in allowed):
        first -= 1
    while last < min(at + around, len(order) - 1) and (allowed is None or order[last + 1].id in allowed):
        last += 1
    return first, last


def _added(
    passages: Sequence[tuple[ScoredChunk, _Place | None]], hit: ScoredChunk, place: _Place | None
) -> list[tuple[ScoredChunk, _Place | None]]:
    """The passages with one more hit, which may join two of them."""
    best, made = hit, place
    kept: list[tuple[ScoredChunk, _Place | None]] = []
    where = len(passages)
    for number, (held, other) in enumerate(passages):
        same = held.chunk.document == hit.chunk.document and made is not None and other is not None
        if same and made is not None and other is not None and other[0] <= made[1] + 1 and made[0] <= other[1] + 1:
            made = min(made[0], other[0]), max(made[1], other[1])
            if number < where:
                best, where = held, number
        else:
            kept.append((held, other))
    kept.insert(where, (best, made))
    return kept


def _joined(hit: Chunk, order: Sequence[Chunk], place: _Place | None, page_text: Callable[[str, int], str]) -> Chunk:
    """The chunks of a place as one, every character once and in reading order; the hit itself if it is alone."""
    if place is None or place[0] == place[1]:
        return hit
    spans = _united([span for chunk in order[place[0] : place[1] + 1] for span in chunk.spans], hit.document, page_text)
    text = PAGE_BREAK.join(page_text(hit.document, span.page)[span.start : span.end] for span in spans)
    key = [hit.document, hit.context, text, *(f"{span.page}:{span.start}:{span.end}" for span in spans)]
    return Chunk(content_hash(*key), hit.document, spans, text, hit.heading, hit.context)


def _united(spans: Sequence[Span], document: str, page_text: Callable[[str, int], str]) -> tuple[Span, ...]:
    """Spans in the order of pages and characters; those of a page that overlap, or have only white space between
    them, are one. A running head or another chunk's text between two leaves them two."""
    found: list[Span] = []
    for span in sorted(spans, key=lambda s: (s.page, s.start, s.end)):
        before = found[-1] if found else None
        if before is not None and before.page == span.page:
            between = page_text(document, span.page)[before.end : span.start]
            if not between.strip():
                found[-1] = Span(span.page, before.start, max(before.end, span.end))
                continue
        found.append(span)
    return tuple(found)


def pack(ranked: Sequence[ScoredChunk], budget: int, count: Callable[[Sequence[str]], list[int]]) -> list[ScoredChunk]:
    """The passages, best first, that fit ``budget`` tokens together, each whole and with its number and context line.

    One that does not fit any more is passed over and the next, shorter one is tried, so that a long passage does not
    cost all those behind it. Ranks are kept: a gap shows what was passed over.
    Raises FieldguideError if the best passage alone is over the budget: nothing is cut.
    """
    lengths = count([passage_text(n, held.chunk) + PAGE_BREAK for n, held in enumerate(ranked, 1)]) if ranked else []
    if lengths and lengths[0] > budget:
        raise FieldguideError(
            f"The best passage has {lengths[0]} tokens and there is room for {max(budget, 0)}: raise "
            "retrieval.context_tokens or take a model with a longer window, or lower retrieval.neighbours or "
            "ingest.chunk_tokens."
        )
    taken = []
    left = budget
    for held, length in zip(ranked, lengths, strict=True):
        if length <= left:
            taken.append(held)
            left -= length
    return taken


def budget_of(
    generator: Callable[[], Generator], max_new_tokens: int, prompt_of: Callable[[str, Context | None], Prompt]
) -> Budget:
    """The budget of a generator (loaded when first needed) that answers in at most ``max_new_tokens``.

    Its window without the prompt around the passages (``prompt_of`` an empty question and an empty context), the
    answer, and room for a question. A text counts as a message with it has more tokens than an empty one: at most a
    token or two from its part in the whole prompt.
    """

    def tokens() -> int:
        model = generator()
        around = model.count_tokens(prompt_of("", Context((), "rank")))
        free = min(QUESTION_TOKENS, model.context_tokens // 8)
        return max(model.context_tokens - around - max_new_tokens - free, 0)

    def count(texts: Sequence[str]) -> list[int]:
        model = generator()
        empty = model.count_tokens((Message("user", ""),))
        return [model.count_tokens((Message("user", text),)) - empty for text in texts]

    return Budget(tokens, count)
