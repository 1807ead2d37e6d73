"""Pairs made from pairs: of two facts, without an answer, asked after another question, in other words.

All of them are made anew whenever pairs changed, so they are always what the pairs at hand give.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import get_args

from fieldguide.settings import Questions
from fieldguide.types import Chunk, Document, Kind, QAPair, Retriever, content_hash
from ingest.qa.drafts import Draft, Rejection
from ingest.qa.follow_ups import follow_ups
from ingest.qa.multi_hop import multi_hop
from ingest.qa.phrasings import rephrase
from ingest.qa.reader import Asked, Reader
from ingest.qa.same import wording
from ingest.qa.splits import SEEN, TRAINED
from ingest.qa.unanswerable import unanswerable
from ingest.qa.verify import pair_of

ORIGIN = "derived"
"""The origin of these pairs, and the source of what was rejected on the way."""

Derived = tuple[list[QAPair], list[Rejection]]


def wanted(pairs: int, kind: Kind, mix: Mapping[str, float]) -> int:
    """How many pairs of a derived kind belong to so many of the others, by the weights of ``questions.mix``."""
    weights = {name: mix.get(name, 1.0) for name in get_args(Kind)}
    plain = sum(weight for name, weight in weights.items() if name not in ("multi-hop", "unanswerable", "follow-up"))
    return round(pairs * weights[kind] / plain) if plain else 0


def derive(
    pairs: Sequence[QAPair],
    chunks: Mapping[str, Chunk],
    documents: Mapping[str, Document],
    settings: Questions,
    *,
    retriever: Retriever | None,
    reader: Reader | None,
) -> Derived:
    """Pairs of two hops, without an answer, and asked after another, as many as ``settings.mix`` wants.

    ``pairs`` are those that can be asked and answered as they stand; ``chunks`` by id are all of the corpus, a
    document's in order. Without ``retriever`` none is made that has no answer, since nothing could check that.
    """
    n, seed = len(pairs), settings.seed
    found = [
        multi_hop(pairs, chunks, documents, wanted(n, "multi-hop", settings.mix), seed),
        follow_ups(pairs, chunks, documents, wanted(n, "follow-up", settings.mix), seed),
    ]
    if retriever is not None:

        def read(asked: Sequence[tuple[str, str]]) -> list[str]:
            return reader.read([Asked(question, "", text) for question, text in asked]) if reader is not None else []

        many = wanted(n, "unanswerable", settings.mix)
        found.append(unanswerable(pairs, chunks, retriever, many, seed, read if reader is not None else None))
    drafts = [draft for made, _ in found for draft in made]
    rejections = [rejection for _, refused in found for rejection in refused]
    holders = {id(draft): _holder(draft, chunks) for draft in drafts}
    made = [
        pair_of(draft, draft.evidence, chunk, ORIGIN, {})
        for draft in drafts
        if (chunk := holders[id(draft)]) is not None
    ]
    rejections += [Rejection("evidence in no chunk", d.question) for d in drafts if holders[id(d)] is None]
    return list({pair.id: pair for pair in made}.values()), rejections


def _holder(draft: Draft, chunks: Mapping[str, Chunk]) -> Chunk | None:
    """The chunk that holds the draft's first piece of evidence."""
    if not draft.evidence or not draft.evidence[0].spans:
        return None
    first, span = draft.evidence[0], draft.evidence[0].spans[0]
    for chunk in chunks.values():
        if chunk.document == first.document and any(
            s.page == span.page and s.start <= span.start < s.end for s in chunk.spans
        ):
            return chunk
    return None


def reword(pairs: Sequence[QAPair], settings: Questions) -> list[QAPair]:
    """Test questions of the group "facts seen": ``settings.seen_share`` of the trained facts, in other words.

    Facts are drawn by seed; one that no rule can reword is passed over for the next.
    """
    trained = [pair for pair in pairs if pair.group == TRAINED and pair.answerable and not pair.after]
    asked = {wording(pair) for pair in pairs}
    facts = len({(p.document, p.answer, p.chunk) for p in trained})
    room = round(settings.seen_share * facts) - sum(pair.group == SEEN for pair in pairs)
    made: list[QAPair] = []
    told: set[tuple[str, str, str]] = set()
    for pair in sorted(trained, key=lambda p: content_hash("reword", str(settings.seed), p.id)):
        if len(made) >= room:
            break
        fact = (pair.document, pair.answer, pair.chunk)
        others = [] if fact in told else rephrase(pair, 1, settings.seed)
        for question in others:
            other = replace(
                pair, id=content_hash(pair.document, question, pair.answer)[:20], question=question, origin=ORIGIN,
                split="test", group=SEEN, author="", verdict="", scores={},
            )  # fmt: skip
            if wording(other) not in asked:
                asked.add(wording(other))
                told.add(fact)
                made.append(other)
    return made
