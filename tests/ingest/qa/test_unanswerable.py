"""Questions without an answer: what is swapped, how it is checked, and what is refused."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from fieldguide.types import Chunk, Context, Evidence, QAPair, ScoredChunk, Span
from ingest.qa.names import names_in
from ingest.qa.unanswerable import GOLD_REMOVED, gold_removed, unanswerable

TEXTS = {
    "a": "The Cessna crashed near Elyria, OH in 2007. Its registration was N2699G. The pilot flew 2411 hours.",
    "b": "The Piper crashed near Soledad, CA in 2009. Its registration was N6024M. The pilot flew 11000 hours.",
    "c": "An office in Akron, OH handled the claims.",
}
CHUNKS = {key: Chunk(key, key, (Span(1, 0, len(text)),), text) for key, text in TEXTS.items()}


class All:
    """A retriever that finds every chunk for every question, in the order given."""

    index_id = recipe = "all"
    k = 3

    def __init__(self, order: str = "abc") -> None:
        self.order = order

    def retrieve(self, queries: Sequence[str], k: int) -> list[list[ScoredChunk]]:
        found = [ScoredChunk(CHUNKS[key], 1.0, rank) for rank, key in enumerate(self.order, 1)]
        return [found[:k] for _ in queries]

    def context(self, ranked: Sequence[ScoredChunk]) -> Context:
        return Context(tuple(ranked), "rank")

    def contexts(self, queries: Sequence[str]) -> list[Context]:
        return [self.context(found) for found in self.retrieve(queries, self.k)]


def pair(chunk: str, question: str, answer: str) -> QAPair:
    start = TEXTS[chunk].index(answer)
    evidence = Evidence(chunk, (Span(1, start, start + len(answer)),), answer)
    return QAPair(question, question, answer, chunk, chunk, (evidence,), "fact", "rules", "train")


HOURS = pair("a", "How many hours had the pilot of the Cessna flown in the Elyria, OH crash of 2007?", "2411 hours")
OWN = pair("a", "How many hours had the pilot of N2699G flown?", "2411 hours")


@pytest.mark.parametrize("seed", range(6))
def test_one_name_is_swapped_with_one_of_its_sort_and_nothing_else(seed: int) -> None:
    (draft,), rejections = unanswerable([HOURS], CHUNKS, All(), 5, seed)
    assert rejections == []
    before, after = ([(n.sort, n.text) for n in names_in(q)] for q in (HOURS.question, draft.question))
    changed = [(one, other) for one, other in zip(before, after, strict=True) if one != other]
    assert len(changed) == 1
    assert changed[0][0][0] == changed[0][1][0]
    assert changed[0][0][0] in ("place", "year")
    assert (draft.answer, draft.answerable, draft.kind) == ("", False, "unanswerable")
    assert draft.evidence == HOURS.evidence


def test_a_code_keeps_its_build_and_is_one_that_stands_nowhere() -> None:
    (draft,), _ = unanswerable([OWN], CHUNKS, All(), 5)
    code = draft.question.removeprefix("How many hours had the pilot of ").removesuffix(" flown?")
    assert code[:3] == "N26"
    assert code[5] == "G"
    assert code != "N2699G"
    assert len(code) == 6
    assert all(code not in text for text in TEXTS.values())


def test_a_question_that_another_document_answers_is_refused() -> None:
    """With Soledad and 2009 in one document, nothing but a name that no document joins with the rest may be used."""
    question = pair("a", "What crashed near Elyria, OH?", "The Cessna")
    drafts, rejections = unanswerable([question], CHUNKS, All(), 5)
    assert drafts == []
    assert [r.reason for r in rejections] == ["a document holds all that it names"]


def test_a_question_without_names_is_refused() -> None:
    question = pair("a", "How many hours had the pilot flown?", "2411 hours")
    assert [r.reason for r in unanswerable([question], CHUNKS, All(), 5)[1]] == ["nothing in the question to swap"]


def test_a_passage_that_holds_what_was_swapped_in_with_the_words_of_the_question_may_answer_it() -> None:
    chunks = {
        **CHUNKS,
        "c": Chunk("c", "c", (Span(1, 0, 60),), "Akron, OH: hours that the pilot of the crash had flown: 7"),
    }
    retriever = All("c")
    retriever.retrieve = lambda queries, k: [[ScoredChunk(chunks["c"], 1.0, 1)] for _ in queries]  # type: ignore[method-assign]
    question = pair("a", "How many hours had the pilot flown in the Elyria, OH crash of N2699G?", "2411 hours")
    outcomes = [unanswerable([question], chunks, retriever, 5, seed) for seed in range(30)]
    assert not [draft for drafts, _ in outcomes for draft in drafts if "Akron, OH" in draft.question]
    reasons = {rejection.reason for _, refused in outcomes for rejection in refused}
    assert reasons == {"a passage on what was swapped in may answer it"}


def test_a_reader_is_asked_about_the_passages_that_hold_what_was_swapped_in() -> None:
    asked: list[tuple[str, str]] = []

    def read(questions: Sequence[tuple[str, str]]) -> list[str]:
        asked.extend(questions)
        return ["11000 hours" for _ in questions]

    outcomes = [unanswerable([HOURS], CHUNKS, All(), 5, seed, read) for seed in range(6)]
    assert {r.reason for _, refused in outcomes for r in refused} == {"a reader finds an answer"}
    assert asked
    assert all(text in TEXTS.values() and text != TEXTS["a"] for _, text in asked)


def test_the_document_is_taken_away_where_no_other_one_answers() -> None:
    (draft,), rejections = gold_removed([OWN], CHUNKS, All(), 5)
    assert (draft.question, draft.answerable, draft.scores) == (OWN.question, False, {GOLD_REMOVED: 1.0})
    assert draft.evidence[0].document == "a"
    assert rejections == []
    plain = pair("a", "How many hours had the pilot flown?", "2411 hours")
    assert [r.reason for r in gold_removed([plain], CHUNKS, All(), 5)[1]] == ["no name in the question"]
    refused = gold_removed([OWN], CHUNKS, All(), 5, read=lambda asked: ["11000 hours"] * len(asked))
    assert refused[0] == []
    assert [r.reason for r in refused[1]] == ["a reader finds an answer"]


def test_the_number_is_bounded_and_the_same_each_time() -> None:
    pairs = [HOURS, OWN]
    first = unanswerable(pairs, CHUNKS, All(), 1, 4)
    assert len(first[0]) == 1
    assert unanswerable(pairs[::-1], CHUNKS, All(), 1, 4) == first
