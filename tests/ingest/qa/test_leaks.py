from dataclasses import replace

import numpy as np
import pytest

from fieldguide.errors import FieldguideError
from fieldguide.types import Evidence, QAPair, Span
from ingest.qa.leaks import ALIKE, ASKED, FACT, NEEDED, SAME, LeakError, find_leaks, guard


class Words:
    """Embeds a text as its words; names and numbers count as any other."""

    id = "words"
    dimension = 64
    max_tokens = 100

    def embed(self, texts):
        vectors = np.zeros((len(texts), self.dimension), dtype=np.float32)
        for row, text in zip(vectors, texts):
            for word in text.casefold().strip("?").split():
                row[sum(map(ord, word)) % self.dimension] += 1
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def place(document, start, end):
    return Evidence(document, (Span(1, start, end),), "q")


TRAINED = QAPair(
    "t1", "How long was the flight of N103JT to Belen that day?", "31 minutes", "a", "c", (place("a", 10, 20),),
    "quantity", "rules", "train", group="trained",
)  # fmt: skip
CLEAN = replace(
    TRAINED, id="s1", split="test", group="facts held out", document="b", evidence=(place("b", 10, 20),),
    question="How long was the flight of N50DS to Madill that day?",
)  # fmt: skip


def found(*tested, trained=(TRAINED,), embedder=None):
    leaks = find_leaks([*trained, *tested], embedder, 0.9)
    return [(leak.reason, leak.trained.id, leak.tested.id) for leak in leaks]


def test_nothing_is_found_where_nothing_is_shared():
    assert found(CLEAN, replace(CLEAN, id="s2", split="dev", group="dev"), embedder=Words()) == []
    assert found(embedder=Words()) == []
    assert find_leaks([], Words(), 0.9) == []


@pytest.mark.parametrize("split", ["test", "dev"])
@pytest.mark.parametrize(
    ("planted", "reason"),
    [
        ({"question": "how long was the flight of N103JT to BELEN, that day"}, SAME),
        ({"document": "a", "evidence": (place("a", 15, 40),), "answer": "about 31 minutes"}, FACT),
        (
            {"document": "a", "evidence": (place("a", 500, 520),), "question": "In what time did N103JT get there?"},
            FACT,
        ),
        ({"question": "How long was the flight of N103JT to Belen that night?"}, ALIKE),
        ({"question": "How long was the flight of N103JT to Belen on that day?", "answer": "40 minutes"}, None),
        ({"question": "How long was the flight of N104JT to Belen that day?"}, None),
        ({"document": "a", "evidence": (place("a", 20, 40),), "answer": "the left wing"}, None),
        ({"question": TRAINED.question, "verdict": "rejected"}, None),
    ],
)
def test_a_leak_planted_on_purpose_is_found(planted, reason, split):
    leaky = replace(CLEAN, id="leak", split=split, **planted)
    expected = [] if reason is None else [(reason, "t1", "leak")]
    assert found(CLEAN, leaky, embedder=Words()) == expected
    assert found(leaky, CLEAN, embedder=None) == ([] if reason == ALIKE else expected)


def test_a_trained_question_that_needs_or_follows_a_tested_one():
    tested = replace(CLEAN, question="Where did it end?", answer="Madill")
    joined = replace(
        TRAINED, id="j", answer="Yes", question="Were both long?", evidence=(place("a", 90, 95), place("b", 15, 16))
    )
    later = replace(TRAINED, id="f", question="And the other?", answer="9", evidence=(), after=("Where did it END?",))
    assert found(tested, trained=(joined, later)) == [(NEEDED, "j", "s1"), (ASKED, "f", "s1")]
    seen = replace(tested, group="facts seen")
    assert found(seen, trained=(joined, later)) == []


def test_a_seen_fact_may_share_everything_but_its_words():
    seen = replace(TRAINED, id="s", split="test", group="facts seen", question="How long did N103JT fly to Belen?")
    assert found(seen, embedder=Words()) == []
    assert found(replace(seen, question=TRAINED.question)) == [(SAME, "t1", "s")]


def test_near_duplicate_documents_are_one():
    copy = replace(CLEAN, question="In what time did N103JT get there?")
    assert found(copy) == []
    assert [leak.reason for leak in find_leaks([TRAINED, copy], None, 0.9, {"b": "a"})] == [FACT]


def test_the_guard_names_the_first_leaks_and_lets_clean_pairs_pass():
    guard([TRAINED, CLEAN], Words(), 0.9)
    leaky = [replace(CLEAN, id=f"leak{n}", question=TRAINED.question) for n in range(5)]
    with pytest.raises(
        LeakError, match=r"(?s)share 5 question.*same words.*N103JT.*t1, trained.*leak0, test.*and 2 more"
    ) as error:
        guard([TRAINED, CLEAN, *leaky], None, 0.9)
    assert isinstance(error.value, FieldguideError)
