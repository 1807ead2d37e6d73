"""Other wordings of a question: which, and that names, numbers and negations stay."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldguide.models.base import Generation, Prompt
from fieldguide.types import Evidence, QAPair, Span
from ingest.qa.calls import Calls
from ingest.qa.names import kept_words, names_in
from ingest.qa.phrasings import rephrase, rephrase_by, rephrase_prompt


def pair(question: str, answer: str) -> QAPair:
    evidence = (Evidence("d", (Span(1, 0, len(answer)),), answer),)
    return QAPair(question, question, answer, "d", "c", evidence, "fact", "rules", "train")


@pytest.mark.parametrize(
    ("question", "answer", "wording"),
    [
        ("How old was the pilot of N2699G?", "58", "What was the age of the pilot of N2699G?"),
        ("How long was the crack?", "3-inch", "What was the length of the crack?"),
        ("How long was the flight?", "31-minute", "What was the duration of the flight?"),
        ("How many seats did N2699G have?", "5", "What number of seats did N2699G have?"),
        ("When was the Board established?", "1967", "In what year was the Board established?"),
        ("When did the flood begin?", "May 3, 2011", "On what date did the flood begin?"),
        ("When did the flood begin?", "10:45 am", "At what time did the flood begin?"),
        ("On which date did the flood begin?", "May 3, 2011", "When did the flood begin?"),
        ("Where did the flood begin?", "Akron, OH", "In what place did the flood begin?"),
        ("Why was the runway closed?", "the snow", "For what reason was the runway closed?"),
        ("What caused the flood in Akron?", "rain", "What was the cause of the flood in Akron?"),
        ("Who founded ACME Works?", "Jane Roe", "Can you tell me who founded ACME Works?"),
        ("What was the rated power of N2699G?", "290 hp", "Can you tell me what the rated power of N2699G was?"),
        ("What does VFD stand for?", "variable frequency drive", "What is VFD short for?"),
        ("what is leaching?", "loss", "What is meant by leaching?"),
        ("According to “Water”, who pays?", "growers", "Who pays, according to “Water”?"),
        ("How deep was the snow, according to “Water”?", "3 ft", "According to “Water”, how deep was the snow?"),
        ("In the Elyria, OH accident, how long was the crack?", "3-inch",
         "How long was the crack in the Elyria, OH accident?"),
        ("Was the pilot hurt?", "No", "Yes or no: was the pilot hurt?"),
        ("To whom was N2699G registered?", "ACME", "Who was N2699G registered to?"),
    ],
)  # fmt: skip
def test_a_question_is_asked_in_other_words(question: str, answer: str, wording: str) -> None:
    assert wording in rephrase(pair(question, answer), 50)


@pytest.mark.parametrize(
    ("question", "answer", "wrong"),
    [
        ("How long was the flight?", "a day too many", "length"),
        ("When did the flood begin?", "after the rain", "year"),
        ("Where was the flight going?", "Akron, OH", "place"),
        ("What was the light like at noon?", "dim", "tell me"),
        ("What did the runway near the accident use, and why?", "sand", "In the"),
    ],
)
def test_what_the_answer_does_not_show_is_not_asked(question: str, answer: str, wrong: str) -> None:
    assert not [one for one in rephrase(pair(question, answer), 50) if wrong in one]


def test_the_least_alike_come_first_and_the_number_is_bounded() -> None:
    asked = pair("When did the Elyria, OH accident happen?", "12/11/2007")
    wordings = rephrase(asked, 50)
    assert rephrase(asked, 2) == wordings[:2]
    assert wordings[0].startswith("On ")
    assert "the accident at Elyria, OH" in wordings[0]
    assert asked.question not in wordings
    assert len(set(wordings)) == len(wordings)
    assert rephrase(asked, 0) == []
    assert rephrase(pair("No question", "x"), 5) == []


_OPENING = st.sampled_from(
    ["How old was", "When was", "Where was", "Why did", "What was the cost of", "How many seats did", "Who built",
     "In the Akron, OH accident, what was", "Was", "What caused the loss of", "According to “Water”, how wide is"]
)  # fmt: skip
_NAME = st.sampled_from(
    ["N2699G", "Jane Roe", "the Upper Big Blue NRD", "ACME Works, Inc.", "Akron, OH", "the 2007 flood", "runway 04",
     "the plan that was not approved"]
)  # fmt: skip
_END = st.sampled_from(
    ["", " have", " in 2019", " on May 3, 2011", " at 12,500 feet", " without rain", " in the N12 accident"]
)
_ANSWER = st.sampled_from(["1967", "12/11/2007", "Akron, OH", "58", "3-inch", "No", "the rain"])


@given(_OPENING, _NAME, _END, _ANSWER, st.integers(0, 5))
@settings(max_examples=150, deadline=None)
def test_names_numbers_and_negations_are_kept(opening: str, name: str, end: str, answer: str, seed: int) -> None:
    asked = pair(f"{opening} {name}{end}?", answer)
    for one in rephrase(asked, 20, seed):
        assert kept_words(one.removeprefix("Yes or no: ")) == kept_words(asked.question)
        assert one.endswith("?")
        assert one.count("?") == 1
        for held in names_in(asked.question):
            if any(character.isdigit() for character in held.text):
                assert held.text in one
    assert rephrase(asked, 3, seed) == rephrase(asked, 3, seed)


class Says:
    """A generator that always says the same."""

    id = "says"
    context_tokens = 1000

    def __init__(self, text: str) -> None:
        self.text = text

    def count_tokens(self, prompt: Prompt) -> int:
        return 1

    def generate(self, prompts: object, **_: object) -> list[Generation]:
        return [Generation(self.text, 1, 1, "stop", None) for _ in prompts]  # type: ignore[attr-defined]


def test_a_generators_wordings_are_checked() -> None:
    asked = pair("How old was the pilot of N2699G in 2007?", "58")
    said = (
        "1. What was the age of N2699G's pilot in 2007?\n- How old was the pilot of N2699G in 2008?\n"
        "Was the pilot of N2699G old in 2007?\nThe pilot of N2699G was old in 2007.\n"
        "How old was the pilot of N2699G in 2007?\nWas he of N2699G, in 2007, not 58?\n"
        "In 2007, how many years old was the pilot of N2699G?\nWhat age did the pilot of N2699G have in 2007?"
    )
    ((drafts, rejections),) = rephrase_by(Calls(Says(said)), [asked], 2)  # type: ignore[arg-type]
    assert [draft.question for draft in drafts] == [
        "What was the age of N2699G's pilot in 2007?",
        "In 2007, how many years old was the pilot of N2699G?",
    ]
    assert {(draft.answer, draft.evidence, draft.kind) for draft in drafts} == {("58", asked.evidence, "fact")}
    assert [rejection.reason for rejection in rejections] == [
        "names or numbers changed",
        "another sort of question",
        "not one question",
        "the same wording",
        "names or numbers changed",
        "enough wordings",
    ]


def test_the_prompt_holds_question_answer_and_number() -> None:
    system, user = rephrase_prompt(pair("How old was Jane Roe?", "58"), 3)
    assert system.role == "system"
    assert "Question: How old was Jane Roe?\nAnswer: 58\n" in user.content
    assert "Write 3 other wordings" in user.content
