from typing import Any

import pytest

from eval.two_paths import by_influence, by_likelihood, by_refusal, by_support, picked
from fieldguide.models.hashing import HashingEmbedder
from fieldguide.types import Chunk, Context, Document, ScoredChunk, Span

TEXT = "The heron wing is 12 feet. The crew was 4 people."
CONTEXT = Context((ScoredChunk(Chunk("c", "heron", (Span(1, 0, len(TEXT)),), TEXT, (), ""), 1.0, 1),), "rank")
DOCUMENTS = {"heron": Document("heron", "heron.pdf", "Heron")}
ASKED = "How long is the heron wing?"


def answer(text: str, passages: tuple[str, ...] = (), seconds: float = 1.0) -> dict[str, Any]:
    return {
        "text": text, "passages": [{"text": p} for p in passages],
        "trace": {"prompt_tokens": 10, "completion_tokens": 2, "seconds": {"generate": seconds}, "adapter": "a"},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("closed", "rag", "takes_rag"),
    [
        ("12 feet", "57 feet", False),  # only the model's own answer stands in the passages
        ("57 feet", "12 feet", True),
        ("12 feet", "12 feet", True),  # as good: the one that can be checked
        ("57 feet", "31 feet", True),
        ("12 feet", "", False),  # refused though it is there
        ("", "", True),
    ],
)
def test_by_support(closed: str, rag: str, takes_rag: bool) -> None:
    found = by_support([ASKED], [answer(closed)], [answer(rag, (TEXT,))], [CONTEXT], DOCUMENTS, 0.6)
    assert found == [takes_rag]


def test_by_influence_takes_what_question_and_passages_point_to() -> None:
    embedder = HashingEmbedder()

    def takes_rag(closed: str, rag: str) -> bool:
        return by_influence([ASKED], [answer(closed)], [answer(rag, (TEXT,))], embedder)[0]

    assert takes_rag("the moon", "The heron wing is 12 feet")
    assert not takes_rag("The heron wing is 12 feet", "the moon")
    assert not takes_rag("something", "")
    assert takes_rag("", "something")
    assert takes_rag("", "")


def test_by_likelihood_takes_what_the_model_is_surer_of() -> None:
    def sure(asked: Any, contexts: Any, answers: Any) -> list[float]:
        assert len(asked) == len(contexts) == len(answers) == 3
        return [-1.0, -1.0, -1.0] if contexts[0] is None else [-0.5, -2.0, -0.5]

    closed, rag = [answer("a"), answer("a"), answer("a")], [answer("b"), answer("b"), answer("")]
    assert by_likelihood([ASKED] * 3, closed, rag, [CONTEXT] * 3, sure) == [True, False, False]


def test_by_refusal_takes_memory_only_where_the_passages_gave_nothing() -> None:
    closed, rag = [answer("a"), answer("a"), answer("")], [answer("b"), answer(""), answer("")]
    assert by_refusal(closed, rag) == [True, False, True]


def test_an_answer_that_was_picked_cost_what_both_did() -> None:
    closed, rag = answer("a", seconds=1.0), answer("b", (TEXT,), seconds=2.5)
    first, second = picked([closed, closed], [rag, rag], [True, False])
    assert (first["text"], second["text"]) == ("b", "a")
    for one in (first, second):
        assert one["trace"]["prompt_tokens"] == 20
        assert one["trace"]["seconds"] == {"generate": 3.5}
    assert closed["trace"]["prompt_tokens"] == 10
