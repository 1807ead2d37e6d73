from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval.questions import TestQuestion
from eval.retrieval_metrics import page_metrics
from eval.scores import COSTS, MEASURES, score, similarities
from fieldguide.models.hashing import HashingEmbedder
from fieldguide.types import Chunk, ScoredChunk, Span

QUESTION = TestQuestion("q", "How long is the wing?", ("12 feet",), "heron", (1, 3), "")


def answer(text: str, *pages: int, unsupported: int = 0, passages: int = 2, document: str = "heron") -> dict[str, Any]:
    cited = [{"document": document, "page": page, "statement": f"s{page}"} for page in pages]
    return {
        "text": text, "abstained": not text, "citations": cited, "unsupported": ["x"] * unsupported,
        "passages": [{}] * passages,
        "trace": {"seconds": {"generate": 1.5, "retrieve": 0.5}, "prompt_tokens": 100, "completion_tokens": 7},
    }  # fmt: skip


def measured(question: TestQuestion, given: dict[str, Any], similarity: float, reading: bool = True) -> Any:
    return score(question, given, similarity, reading=reading)


def test_measures_by_hand() -> None:
    found = measured(QUESTION, answer("It is 3.66 m long", 1, 2, unsupported=2), 0.25)
    assert set(found) == set(MEASURES)
    assert found["numeric"] == 1.0  # 12 feet are 3.66 m within half a per cent
    assert (found["exact_match"], found["containment"], found["similarity"], found["answered"]) == (0, 0, 0.25, 1)
    assert found["citation_precision"] == 0.5  # of pages 1 and 2, page 1 is gold
    assert found["citation_recall"] == 0.5  # of the gold pages 1 and 3, page 1 is cited
    assert found["faithfulness"] == 0.5  # two statements stand in a passage, two in none
    assert [found[name] for name in COSTS] == [2.0, 100, 7, 5]


def test_what_does_not_apply_is_none() -> None:
    closed = measured(QUESTION, answer("12 feet", passages=0), 1.0, reading=False)
    assert [closed[m] for m in ("citation_precision", "citation_recall", "faithfulness")] == [None, None, None]
    refused = measured(QUESTION, answer(""), 0.0)
    assert [refused[m] for m in ("answered", "citation_recall", "faithfulness")] == [0, 0, None]
    free = TestQuestion("f", "Where?", ("Port Royal",), None, (), "")
    found = measured(free, answer("Port Royal", 1), 1.0)
    assert [found[m] for m in ("numeric", "citation_precision", "citation_recall")] == [None, None, None]
    elsewhere = measured(QUESTION, answer("12 feet", 1, document="ibis"), 1.0)
    assert (elsewhere["citation_precision"], elsewhere["citation_recall"]) == (0, 0)
    from_memory = measured(
        QUESTION, answer("12 feet", passages=0, unsupported=1), 1.0
    )  # picked by a judge of two paths
    assert [from_memory[m] for m in ("citation_recall", "faithfulness")] == [0, 0]


def test_similarity_is_the_cosine_to_the_best_reference() -> None:
    several = TestQuestion("s", "?", ("nothing alike", "the heron wing"), None, (), "")
    found = similarities(
        [several, several, QUESTION], [answer("the heron wing"), answer(" "), answer("12 miles")], HashingEmbedder()
    )
    assert found[:2] == [pytest.approx(1.0), 0.0]
    assert 0.3 < found[2] < 0.9
    assert similarities([QUESTION], [answer("")], HashingEmbedder()) == [0.0]
    nothing = TestQuestion("n", "?", ("",), None, (), "")
    assert similarities([nothing, nothing], [answer(""), answer("x")], HashingEmbedder()) == [1.0, 0.0]


def chunk(document: str, page: int, text: str = "") -> Chunk:
    return Chunk(f"{document}-{page}-{text}", document, (Span(page, 0, 9),), text or "text", (), "")


def ranked(*chunks: Chunk) -> list[ScoredChunk]:
    return [ScoredChunk(one, 1.0, n) for n, one in enumerate(chunks, 1)]


def test_retrieval_is_measured_by_pages_of_the_right_document() -> None:
    gold1, gold3, other = chunk("heron", 1), chunk("heron", 3, "12 feet"), chunk("ibis", 1)
    shelf = {"heron": [gold1, gold3, chunk("heron", 2)], "ibis": [other]}
    found = page_metrics(
        [ranked(other, gold1, chunk("heron", 2), gold3), ranked(other), []], ["heron"] * 3, [(1, 3)] * 3,
        [("12 feet",)] * 3, shelf,
    )  # fmt: skip
    assert found["recall@1"].tolist() == [0, 0, 0]
    assert found["recall@3"].tolist() == [0.5, 0, 0]
    assert found["recall@5"].tolist() == found["recall@10"].tolist() == [1, 0, 0]
    assert found["mrr"].tolist() == [0.5, 0, 0]
    ideal = 1 + 1 / np.log2(3)
    assert found["ndcg"].tolist() == pytest.approx([(1 / np.log2(3) + 1 / np.log2(5)) / ideal, 0, 0])
    assert found["page_hit"].tolist() == [1, 0, 0]
    assert found["span_hit"].tolist() == [1, 0, 0]
    shelf["heron"] = [gold1]
    alone = page_metrics([ranked(gold1)], ["heron"], [(1,)], [("12 feet",)], shelf)
    assert (alone["page_hit"].tolist(), alone["span_hit"].tolist(), alone["ndcg"].tolist()) == ([1], [0], [1])


@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.integers(1, 4)), unique=True), st.sets(st.integers(1, 4), min_size=1)
)
def test_recall_grows_with_the_cutoff_and_is_one_where_all_pages_are_found(
    places: list[tuple[str, int]], wanted: set[int]
) -> None:
    chunks = [chunk(document, page) for document, page in places]
    found = page_metrics(
        [ranked(*chunks)], ["a"], [sorted(wanted)], [("x",)], {"a": [c for c in chunks if c.document == "a"]}
    )
    recalls = [float(found[f"recall@{c}"][0]) for c in (1, 3, 5, 10)]
    assert recalls == sorted(recalls)
    assert (recalls[-1] == 1.0) == (wanted <= {page for document, page in places if document == "a"})
    assert found["page_hit"][0] == float(recalls[-1] > 0)
