"""Hard negatives: what the production retriever finds for a question and is not its answer.

Knows pairs, chunks and scores, not models that are trained with them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from fieldguide import align
from fieldguide.errors import NotReady
from fieldguide.models.base import Embedder, Vectors
from fieldguide.types import Chunk, QAPair, ScoredChunk, content_hash
from tuning.examples import holds_evidence

NEAR_DUPLICATE = 0.95
"""Cosine from which two passages count as one text in two places."""
_TELLING = 2  # words that an answer needs for its mere presence to mean something


class Finds(Protocol):
    """What of a retriever is needed here."""

    def retrieve(self, queries: Sequence[str], k: int) -> list[list[ScoredChunk]]: ...


@dataclass(frozen=True, slots=True)
class Mined:
    """A question with the chunk that answers it and chunks that look as if they did, hardest first.

    ``gold`` are the ids of all chunks that answer it, ``positive`` among them. Without ``negatives`` it can be tested
    on, but not trained on.
    """

    pair: QAPair
    positive: Chunk
    gold: frozenset[str]
    negatives: tuple[Chunk, ...]


@dataclass(frozen=True, slots=True)
class Mining:
    """What was mined and, by reason, how many pairs and candidates were not."""

    items: tuple[Mined, ...]
    left_out: Mapping[str, int]

    @property
    def trainable(self) -> tuple[Mined, ...]:
        """The items that have negatives."""
        return tuple(item for item in self.items if item.negatives)

    @property
    def documents(self) -> list[str]:
        """Ids of the documents that the pairs of training are about, sorted."""
        return sorted({item.pair.document for item in self.trainable})

    @property
    def hash(self) -> str:
        """Of questions, positives and negatives, in their order."""
        parts = []
        for item in self.items:
            parts += [item.pair.question, item.positive.id, str(len(item.negatives))]
            parts += [chunk.id for chunk in item.negatives]
        return content_hash(*parts)


def require_trainable(mining: Mining) -> None:
    """Raises NotReady without anything to train on."""
    if not mining.trainable:
        raise NotReady("There are no question-answer pairs with hard negatives to train on; run `fieldguide qa` first.")


def left_out(mining: Mining) -> dict[str, int]:
    """What training does not see of it, by reason."""
    without = len(mining.items) - len(mining.trainable)
    return {**mining.left_out, **({"without negatives": without} if without else {})}


def mine(
    pairs: Sequence[QAPair],
    chunks: Sequence[Chunk],
    retriever: Finds,
    embedder: Embedder,
    *,
    negatives: int = 2,
    depth: int = 30,
    margin: float = 1.0,
) -> Mining:
    """Up to ``negatives`` hard negatives for each answerable pair, from the ``depth`` best that the retriever finds.

    No negative is a chunk that answers the question (made for it, holds its evidence, or in any document its answer
    word for word; or answers a pair with the same question), that stands just before or after one that does, that
    nearly equals one, or whose cosine to the question is over ``margin`` times the positive's: those are often answers
    that nobody marked (NV-Retriever, arXiv 2407.15831, section 3.2, TopK-PercPos, there 0.95). A retriever whose
    positives score low would lose its most telling negatives to that rule, so 1.0 and more are allowed; 0 is "no rule".
    ``chunks`` are all of the index, in the order of their documents.
    """
    wanted = [pair for pair in pairs if pair.answerable]
    skipped = Counter({"not answerable": len(pairs) - len(wanted)})
    by_document: dict[str, list[Chunk]] = {}
    for chunk in chunks:
        by_document.setdefault(chunk.document, []).append(chunk)
    gold = _gold(wanted, by_document)
    kept = [pair for pair in wanted if gold[pair.id]]
    skipped["without passage"] += len(wanted) - len(kept)
    place = {chunk.id: (chunk.document, n) for own in by_document.values() for n, chunk in enumerate(own)}
    known = {chunk.id: chunk for chunk in chunks}
    found = retriever.retrieve([pair.question for pair in kept], depth) if kept else []
    positives = {pair.id: _positive(pair, gold[pair.id], found[n], known) for n, pair in enumerate(kept)}
    vectors = _vectors(embedder, [*positives.values(), *(held.chunk for ranked in found for held in ranked)])
    questions = embedder.embed([pair.question for pair in kept])
    items = []
    for pair, ranked, question in zip(kept, found, questions, strict=True):
        positive = positives[pair.id]
        limit = margin * float(question @ vectors[positive.id]) if margin else 2.0
        chosen: list[Chunk] = []
        for chunk in (held.chunk for held in ranked):
            if chunk.id in gold[pair.id]:
                continue
            if _beside(place.get(chunk.id), gold[pair.id], place):
                skipped["beside the answer"] += 1
            elif _says(chunk, pair.answer):
                skipped["says the answer"] += 1
            elif float(vectors[chunk.id] @ vectors[positive.id]) >= NEAR_DUPLICATE:
                skipped["near duplicate"] += 1
            elif float(question @ vectors[chunk.id]) > limit:
                skipped["over the margin"] += 1
            elif len(chosen) < negatives:
                chosen.append(chunk)
        items.append(Mined(pair, positive, gold[pair.id], tuple(chosen)))
    return Mining(tuple(items), {reason: n for reason, n in sorted(skipped.items()) if n})


def _gold(pairs: Sequence[QAPair], by_document: Mapping[str, Sequence[Chunk]]) -> dict[str, frozenset[str]]:
    """By pair: every chunk that answers its question, whichever pair with that question says so."""
    words = {chunk.id: frozenset(align.tokens(chunk.text)) for chunks in by_document.values() for chunk in chunks}
    own = {}
    for pair in pairs:
        pages = {span.page for evidence in pair.evidence for span in evidence.spans}
        answer = set(align.tokens(pair.answer))
        likely = (  # the rest cannot hold it, and a look at every chunk for every pair would take long
            chunk
            for chunk in by_document.get(pair.document, ())
            if chunk.id == pair.chunk or pages.intersection(chunk.pages) or answer <= words[chunk.id]
        )
        own[pair.id] = {chunk.id for chunk in likely if holds_evidence(chunk, pair)}
    same: dict[tuple[str, ...], set[str]] = {}
    for pair in pairs:
        same.setdefault(_key(pair.question), set()).update(own[pair.id])
    return {pair.id: frozenset(same[_key(pair.question)]) if own[pair.id] else frozenset() for pair in pairs}


def _key(question: str) -> tuple[str, ...]:
    return tuple(align.tokens(question))


def _positive(pair: QAPair, gold: frozenset[str], ranked: Sequence[ScoredChunk], known: Mapping[str, Chunk]) -> Chunk:
    """The chunk that the pair was made from; if it is gone, the best one found, else the first by id."""
    if pair.chunk in gold:
        return known[pair.chunk]
    return known[next((held.chunk.id for held in ranked if held.chunk.id in gold), min(gold))]


def _vectors(embedder: Embedder, chunks: Sequence[Chunk]) -> dict[str, Vectors]:
    unique = {chunk.id: chunk.indexed_text for chunk in chunks}
    return dict(zip(unique, embedder.embed(list(unique.values())), strict=True))


def _beside(place: tuple[str, int] | None, gold: frozenset[str], places: Mapping[str, tuple[str, int]]) -> bool:
    if place is None:
        return False
    document, n = place
    return any(places[name] in ((document, n - 1), (document, n + 1)) for name in gold)


def _says(chunk: Chunk, answer: str) -> bool:
    return len(align.tokens(answer)) >= _TELLING and bool(align.find_exact(answer, chunk.text))
