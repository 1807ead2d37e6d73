"""Questions that lean on the one before: the words they are left with, and when none is made."""

from __future__ import annotations

import pytest

from fieldguide.types import Chunk, Document, Evidence, QAPair, Span
from ingest.qa.drafts import Drafted
from ingest.qa.follow_ups import follow_ups

TEXTS = {
    "e0": "Location: Elyria, OH\nAccident Number: CHI08CA048\nRegistration: N2699G\nAge: 58, Female\nSeats: 5",
    "s0": "Location: Soledad, CA\nAccident Number: LAX08CA034\nRegistration: N6024M\nAge: 40, Male\nSeats: 1",
}
CHUNKS = {key: Chunk(key, key[0], (Span(1, 0, len(text)),), text) for key, text in TEXTS.items()}
DOCUMENTS = {key: Document(key, f"{key}.pdf", "Accident report") for key in "es"}


def pair(chunk: str, question: str, answer: str) -> QAPair:
    start = TEXTS[chunk].rindex(answer)
    evidence = Evidence(chunk[0], CHUNKS[chunk].locate(start, start + len(answer)), answer)
    return QAPair(f"{chunk}{question}", question, answer, chunk[0], chunk, (evidence,), "fact", "rules", "train")


def made(*pairs: QAPair, wanted: int = 10) -> Drafted:
    return follow_ups(pairs, CHUNKS, DOCUMENTS, wanted)


def without_and(question: str) -> str:
    return question.removeprefix("And ")[:1].upper() + question.removeprefix("And ")[1:]


@pytest.mark.parametrize(
    ("first", "second", "answer", "asked"),
    [
        ("Where did N2699G fly?", "How many seats did N2699G have?", "5", "How many seats did it have?"),
        ("Where did N2699G fly?", "What was the seat count of N2699G?", "5", "What was its seat count?"),
        ("Did the Elyria, OH accident happen by day?", "What resulted from the Elyria, OH accident?", "5",
         "What resulted from it?"),
        ("Who was the pilot of N2699G, if known?", "How old was the pilot of N2699G?", "58", "How old was she?"),
        ("How tall was the pilot of N2699G?", "What was the age of the pilot of N2699G?", "58", "What was her age?"),
    ],
)  # fmt: skip
def test_the_subject_of_the_first_question_is_a_pronoun_in_the_second(
    first: str, second: str, answer: str, asked: str
) -> None:
    opening = pair("e0", first, "CHI08CA048")
    drafts, _ = made(opening, pair("e0", second, answer))
    (draft,) = [one for one in drafts if one.answer == answer]
    assert without_and(draft.question) == asked
    assert draft.after == (first,)
    assert (draft.kind, draft.level, draft.evidence[0].quote) == ("follow-up", "explicit fact", answer)


@pytest.mark.parametrize(
    ("first", "second", "answer"),
    [
        ("Where was N2699G?", "How many seats had the crew in N2699G?", "5"),  # no pronoun fits
        ("Where did N2699G meet Tom Roe?", "How many seats did N2699G have?", "5"),  # two things to stand for
        ("What is said of the wing in N2699G?", "How many seats did N2699G have?", "5"),  # not its subject
        ("Where was the pilot of N2699G?", "What sex was the pilot of N2699G?", "Female"),  # the pronoun tells
        ("Where was N2699G in Elyria, OH?", "What was the place of N2699G?", "Elyria, OH"),  # answered before
    ],
)
def test_what_would_not_be_clear_is_left_alone(first: str, second: str, answer: str) -> None:
    drafts, _ = made(pair("e0", first, "CHI08CA048"), pair("e0", second, answer))
    assert [one for one in drafts if one.answer == answer] == []


def test_the_same_is_asked_of_another_document() -> None:
    drafts, _ = made(
        pair("e0", "How many seats did N2699G have?", "5"), pair("s0", "How many seats did N6024M have?", "1")
    )
    (draft,) = drafts
    assert (draft.question, draft.after, draft.answer) in (
        ("What about N6024M?", ("How many seats did N2699G have?",), "1"),
        ("And N6024M?", ("How many seats did N2699G have?",), "1"),
        ("What about N2699G?", ("How many seats did N6024M have?",), "5"),
        ("And N2699G?", ("How many seats did N6024M have?",), "5"),
    )


def test_a_person_is_asked_about_elsewhere_with_the_noun() -> None:
    drafts, _ = made(
        pair("e0", "How old was the pilot of N2699G?", "58"), pair("s0", "How old was the pilot of N6024M?", "40")
    )
    assert drafts[0].question in (
        "What about the pilot of N6024M?",
        "And the pilot of N6024M?",
        "What about the pilot of N2699G?",
        "And the pilot of N2699G?",
    )


def test_the_number_is_bounded_and_the_same_each_time() -> None:
    pairs = [
        pair("e0", "Where did N2699G fly?", "CHI08CA048"),
        pair("e0", "How many seats did N2699G have?", "5"),
        pair("e0", "Where was N2699G?", "Elyria, OH"),
    ]
    assert made(*pairs, wanted=1) == made(*pairs[::-1], wanted=1)
    assert len(made(*pairs, wanted=1)[0]) == 1
