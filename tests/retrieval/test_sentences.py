from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from fieldguide.models.base import Vectors
from fieldguide.models.hashing import HashingEmbedder
from fieldguide.types import Chunk, ScoredChunk, Span
from retrieval.query import Queries
from retrieval.sentences import SentenceReranker, sentences, standardised


class Counting(HashingEmbedder):
    def __init__(self) -> None:
        super().__init__(1024)
        self.texts: list[str] = []

    def embed(self, texts: Sequence[str]) -> Vectors:
        self.texts += texts
        return super().embed(texts)


def chunk(name: str, text: str, context: str = "") -> Chunk:
    return Chunk(name, "d", (Span(1, 0, len(text)),), text, (), context)


LONG = chunk("long", "Herons are tall grey birds. The pump holds nine litres of oil. They stand in water all day long.")
SHORT = chunk("short", "The pump is old and it holds some rusty water in winter.")
OTHER = chunk("other", "Cranes dance in spring near the wide and open sea.")
CANDIDATES = [ScoredChunk(c, s, r) for r, (c, s) in enumerate(((SHORT, 0.9), (OTHER, 0.5), (LONG, 0.1)), 1)]
QUESTION = "how many litres of oil the pump holds"


def test_the_passage_with_the_best_sentence_comes_first() -> None:
    embedder = Counting()
    (ranked,) = SentenceReranker(embedder, 1.0).rerank(Queries([QUESTION], embedder), [CANDIDATES])
    assert [held.chunk.id for held in ranked] == ["long", "short", "other"]
    assert [held.rank for held in ranked] == [1, 2, 3]
    (query,) = embedder.embed([QUESTION])
    best = [max(embedder.embed(sentences(h.chunk)) @ query) for h in CANDIDATES]
    by_id = {h.chunk.id: s for h, s in zip(CANDIDATES, standardised(np.array(best, dtype=float)), strict=True)}
    assert {h.chunk.id: h.scores["sentences"] for h in ranked} == pytest.approx(by_id)


def test_a_weight_of_zero_keeps_the_order() -> None:
    embedder = Counting()
    (ranked,) = SentenceReranker(embedder, 0.0).rerank(Queries([QUESTION], embedder), [CANDIDATES])
    assert [held.chunk.id for held in ranked] == ["short", "other", "long"]
    with pytest.raises(ValueError, match="between 0 and 1"):
        SentenceReranker(embedder, 1.5)


def test_sentences_are_embedded_once_and_under_their_context() -> None:
    embedder = Counting()
    reranker = SentenceReranker(embedder)
    for _ in range(2):
        reranker.rerank(Queries([QUESTION], embedder), [CANDIDATES])
    assert embedder.texts.count("The pump holds nine litres of oil.") == 1
    assert sentences(chunk("c", "Yes. The pump holds oil.", "Manual")) == ["Manual\nThe pump holds oil."]
    assert sentences(chunk("c", "Yes. No.")) == ["Yes. No."]


def test_nothing_to_rerank() -> None:
    embedder = Counting()
    assert SentenceReranker(embedder).rerank(Queries([QUESTION], embedder), [[]]) == [[]]
    assert standardised(np.array([2.0, 2.0])).tolist() == [0, 0]
