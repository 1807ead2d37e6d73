from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from fieldguide.models.hashing import HashingEmbedder
from fieldguide.types import Chunk, Evidence, QAPair, ScoredChunk, Span
from tuning.mining import left_out, mine


def chunk(name: str, document: str, text: str, page: int = 1) -> Chunk:
    return Chunk(name, document, (Span(page, 0, len(text)),), text)


def pair(name: str, question: str, answer: str, gold: Chunk, answerable: bool = True) -> QAPair:
    evidence = Evidence(gold.document, gold.spans, gold.text)
    return QAPair(
        name, question, answer, gold.document, gold.id, (evidence,), "fact", "test", "train", answerable=answerable
    )


CHUNKS = [
    chunk("a1", "a", "Preface of the pump manual.", 1),
    chunk("a2", "a", "The pump holds nine litres of oil.", 2),
    chunk("a3", "a", "Oil is drained from the pump below.", 3),
    chunk("a4", "a", "The pump valve opens at five bar.", 4),
    chunk("b1", "b", "The crane pump holds nine litres of oil too.", 1),
    chunk("b2", "b", "The pump holds nine  litres of oil!", 2),
    chunk("b3", "b", "The crane pump is painted green and holds.", 3),
    chunk("b4", "b", "Nothing about it here at all.", 4),
]
BY_ID = {c.id: c for c in CHUNKS}


class Fixed:
    """Finds the same chunks for every question, in the order given."""

    def __init__(self, *order: str) -> None:
        self.order = order

    def retrieve(self, queries: Sequence[str], k: int) -> list[list[ScoredChunk]]:
        found = [ScoredChunk(BY_ID[name], 1 / n, n) for n, name in enumerate(self.order[:k], 1)]
        return [found for _ in queries]


EVERYTHING = Fixed("b2", "b1", "a2", "a3", "b3", "a4", "b4")
OIL = pair("p1", "How much oil does the pump hold?", "nine litres", CHUNKS[1])


def test_negatives_are_what_is_found_and_does_not_answer() -> None:
    mined = mine([OIL], CHUNKS, EVERYTHING, HashingEmbedder(), negatives=2)
    (item,) = mined.items
    assert item.positive.id == "a2"
    assert item.gold == {"a2"}
    assert [c.id for c in item.negatives] == ["b3", "a4"]
    assert mined.left_out == {"beside the answer": 1, "says the answer": 2}


def test_near_duplicates_are_left_out_whatever_the_answer() -> None:
    short = pair("p1", "How much oil does the pump hold?", "9", CHUNKS[1])
    mined = mine([short], CHUNKS, Fixed("b2", "b3"), HashingEmbedder())
    assert [c.id for c in mined.items[0].negatives] == ["b3"]
    assert mined.left_out == {"near duplicate": 1}


def test_margin_leaves_out_what_is_too_near_the_question() -> None:
    embedder = HashingEmbedder()
    question, positive, b3, b4 = embedder.embed([OIL.question, *(BY_ID[n].indexed_text for n in ("a2", "b3", "b4"))])
    share = float(question @ b3) / float(question @ positive)
    assert float(question @ b4) / float(question @ positive) < share < 1
    for margin, kept in ((share + 0.01, ["b3", "b4"]), (share - 0.01, ["b4"]), (0, ["b3", "b4"])):
        mined = mine([OIL], CHUNKS, Fixed("b3", "b4"), embedder, margin=margin)
        assert [c.id for c in mined.items[0].negatives] == kept


def test_answers_to_the_same_question_are_no_negatives_of_each_other() -> None:
    other = pair("p2", "how much oil does the pump hold", "green", CHUNKS[6])
    mined = mine([OIL, other], CHUNKS, Fixed("b3", "a2", "a4"), HashingEmbedder())
    assert [item.gold for item in mined.items] == [{"a2", "b3"}] * 2
    assert [item.positive.id for item in mined.items] == ["a2", "b3"]
    assert [[c.id for c in item.negatives] for item in mined.items] == [["a4"], ["a4"]]


def test_pairs_that_cannot_be_used_are_counted() -> None:
    gone = pair("p3", "Where is it?", "in Hull", chunk("z", "z", "It is in Hull."))
    unanswerable = pair("p4", "Why?", "", CHUNKS[0], answerable=False)
    mined = mine([OIL, gone, unanswerable], CHUNKS, Fixed("a2"), HashingEmbedder())
    assert [(item.pair.id, item.negatives) for item in mined.items] == [("p1", ())]
    assert mined.trainable == ()
    assert mined.left_out == {"not answerable": 1, "without passage": 1}
    assert left_out(mined) == {"not answerable": 1, "without passage": 1, "without negatives": 1}
    assert mine([], CHUNKS, EVERYTHING, HashingEmbedder()).items == ()


def test_the_hash_knows_questions_positives_and_negatives() -> None:
    one, two = (mine([OIL], CHUNKS, EVERYTHING, HashingEmbedder(), negatives=n) for n in (1, 2))
    assert one.hash == mine([OIL], CHUNKS, EVERYTHING, HashingEmbedder(), negatives=1).hash != two.hash


def test_vectors_are_taken_of_every_candidate_once() -> None:
    class Counting(HashingEmbedder):
        texts: list[str] = []

        def embed(self, texts: Sequence[str]) -> np.ndarray:  # type: ignore[type-arg]
            self.texts += texts
            return super().embed(texts)

    embedder = Counting()
    mine([OIL, pair("p5", "What colour is it?", "green paint", CHUNKS[6])], CHUNKS, EVERYTHING, embedder)
    indexed = [c.indexed_text for c in CHUNKS]
    assert all(embedder.texts.count(text) <= 1 for text in indexed)
    assert pytest.approx(1.0) == float(np.linalg.norm(embedder.embed(["a"])[0]))
