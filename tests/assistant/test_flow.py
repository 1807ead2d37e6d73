"""The assistant's decisions: declining, memory, samples, contradicting documents, entailment."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest

from assistant.confidence import Calibration
from assistant.entailment import says_yes
from assistant.flow import Assistant
from assistant.selection import pick
from fieldguide.models.scripted import ScriptedGenerator
from fieldguide.settings import Answer as Settings

QUESTION = "How long is the wing of the heron?"


@dataclass
class Found:
    context: Any
    index_id: str = "index"
    recipe: str = "recipe"
    k: int = 3

    def contexts(self, queries):
        return [self.context for _ in queries]


def by_support(threshold: float) -> Calibration:
    """A confidence of about 1 for what a passage supports, and about 0 for what none does."""
    return Calibration("m", None, "p", ("support",), (0.5,), (0.5,), (10.0,), 0.0, threshold, {})


def assistant(made, replies, calibration=None, dates=None, **settings) -> Assistant:
    generator = ScriptedGenerator(replies)
    return Assistant(
        Found(made.context), generator, None, made.documents, Settings(**settings), calibration, lambda: dates or {}
    )


def test_below_the_threshold_it_declines_and_keeps_what_was_said(pages):
    made = pages("The wing of the heron is 12 feet long.")
    sure, unsure = (assistant(made, [text], by_support(0.5)).answer([QUESTION])[0] for text in ("12 feet", "9 miles"))
    assert (sure.text, sure.abstained, round(sure.confidence, 2)) == ("12 feet", False, 1.0)
    assert (unsure.text, unsure.abstained, unsure.withheld) == ("", True, "9 miles")
    assert unsure.confidence < 0.01
    assert (unsure.citations, unsure.unsupported) == ((), ())
    assert [p.chunk.id for p in unsure.passages] == ["c1"]  # the nearest passages are still there to be shown


def test_the_model_alone_decides_where_the_settings_say_so(pages):
    made = pages("The wing of the heron is 12 feet long.")
    answer = assistant(made, ["9 miles"], by_support(0.5), refuse="model").answer([QUESTION])[0]
    assert (answer.text, answer.abstained) == ("9 miles", False)
    assert answer.confidence < 0.01


def test_without_a_calibration_there_is_no_confidence(pages):
    answer = assistant(pages("The wing is 12 feet long."), ["12 feet"]).answer([QUESTION])[0]
    assert answer.confidence is None


def test_memory_comes_after_the_documents_and_is_labelled(pages):
    made = pages("The crew was of 4 people.")

    def reply(prompt, adapter):
        return "not in the documents" if "[1]" in prompt[-1].content else "11 feet, I think"

    answer = assistant(made, reply, from_memory=True).answer([QUESTION])[0]
    assert (answer.text, answer.origin, answer.abstained) == ("11 feet, I think", "memory", False)
    assert (answer.citations, answer.unsupported, answer.confidence) == ((), ("11 feet, I think",), None)
    assert assistant(made, reply).answer([QUESTION])[0].abstained
    silent = assistant(made, ["not in the documents"], from_memory=True).answer([QUESTION])[0]
    assert (silent.abstained, silent.origin) == (True, "documents")


@pytest.mark.parametrize(("how", "said", "agreement"), [("support", "12 feet #1", 0.0), ("vote", "9 miles", 0.4)])
def test_one_of_several_samples_is_given_with_how_far_the_others_agree(pages, how, said, agreement):
    """A scripted generator ends what it draws with "#" and the seed: the draws are "12 feet #1" and "9 miles #2"."""
    made = pages("The wing of the heron is 12 feet #1 long.")
    drawn = iter(["9 miles", "12 feet", "9 miles"])
    answer = assistant(made, lambda prompt, adapter: next(drawn), samples=3, pick=how).answer([QUESTION])[0]
    assert answer.text == said
    assert answer.trace.agreement == pytest.approx(agreement)  # of "9 miles" with "9 miles #2": 2 of 2 and 2 of 3 words


def test_the_likeliest_sample_and_an_unknown_way(pages):
    made = pages("The wing of the heron is 12 feet long.")
    one, two = (assistant(made, [text]).answer([QUESTION])[0] for text in ("9 miles", "12 feet"))
    one, two = (replace(a, trace=replace(a.trace, likelihood=v)) for a, v in ((one, -0.1), (two, -0.2)))
    assert pick([two, one], "likelihood").text == "9 miles"
    with pytest.raises(KeyError):
        pick([one], "luck")
    assert pick([one, two], "confidence", by_support(0.5)).text == "12 feet"
    assert pick([one, two], "confidence").text == "12 feet"  # without a calibration by support


OLD, NEW = "The wing of the heron is 12 feet long.", "The wing of the heron is 14 feet long."


def first_passage(prompt, adapter):
    """Answers with the length in the first passage that is shown."""
    shown = prompt[-1].content
    return "12 feet" if "12 feet" in shown.split("[2]")[0] else "14 feet"


@pytest.mark.parametrize(
    ("dates", "text", "newer"),
    [
        ({"d1": "2001-05-01", "d2": "2019"}, "14 feet", "d2"),
        ({"d1": "2019", "d2": "2001"}, "12 feet", "d1"),
        ({"d1": "2019-05", "d2": "2019"}, "12 feet", ""),
        ({}, "12 feet", ""),
    ],
)
def test_of_two_documents_that_contradict_each_other_the_newer_is_preferred(pages, dates, text, newer):
    made = pages(OLD, NEW)
    answer = assistant(made, first_passage, dates=dates).answer([QUESTION])[0]
    assert answer.text == text
    (conflict,) = answer.conflicts
    assert (conflict.cited_document, conflict.other_document, conflict.newer) == ("d1", "d2", newer)
    assert conflict.other == NEW
    assert made.texts["d2", conflict.other_span.page][conflict.other_span.start : conflict.other_span.end] == NEW


def test_the_older_one_stays_where_the_settings_say_so(pages):
    answer = assistant(pages(OLD, NEW), first_passage, dates={"d1": "2001", "d2": "2019"}, newest=False).answer(
        [QUESTION]
    )
    assert (answer[0].text, len(answer[0].conflicts)) == ("12 feet", 1)


@pytest.mark.parametrize(
    "other",
    [
        "The wing of the heron is 3.6576 m long.",  # the same in another unit
        "The wing of the stork is 14 feet long.",  # of another bird
        "The heron is sold for 14 dollars.",  # about something else
        "A long time ago, the wing of the heron was known to be exactly twelve feet long.",
    ],
)
def test_what_is_no_contradiction(pages, other):
    assert assistant(pages(OLD, other), ["12 feet"]).answer([QUESTION])[0].conflicts == ()


def test_names_contradict_each_other_too(pages):
    made = pages("The registered owner of the heron was Smith.", "The registered owner of the heron was Jones.")
    answer = assistant(made, ["Smith"]).answer(["Who was the owner of the heron?"])[0]
    assert [c.other for c in answer.conflicts] == ["The registered owner of the heron was Jones."]


def test_a_generator_that_says_no_takes_a_close_citation_away(pages):
    made = pages("The wing of the grey heron measures 12 feet.")

    def reply(prompt, adapter):
        return "No, it does not." if "Claimed answer" in prompt[-1].content else "The heron wing measures 12 feet long"

    believed = assistant(made, reply).answer([QUESTION])[0]
    asked = assistant(made, reply, entailment=True).answer([QUESTION])[0]
    assert len(believed.citations) == 1
    assert (asked.citations, asked.unsupported) == ((), ("The heron wing measures 12 feet long",))


@pytest.mark.parametrize(("said", "means"), [("Yes.", True), (" no", False), ("Perhaps", None), ("nobody knows", None)])
def test_yes_and_no_are_read_strictly(said, means):
    assert says_yes(said) is means


def test_a_close_match_needs_the_names(pages):
    made = pages("The aircraft of John Smith landed near Akron in the evening of the day.")
    said = "The aircraft of John Brown landed near Akron in the evening"
    answer = assistant(made, [said]).answer(["Whose aircraft landed?"])[0]
    assert answer.unsupported == (said,)
    right = assistant(made, ["John Smith landed the aircraft near Akron in the evening"]).answer(["Whose?"])[0]
    assert len(right.citations) == 1


def test_a_mark_of_the_model_decides_between_equal_places_and_is_not_believed_elsewhere(pages):
    made = pages("It was 12 feet.", "It was 12 feet.", "It was blue.")
    assert [assistant(made, [f"12 feet [{n}]"]).answer(["?"])[0].citations[0].passage for n in (1, 2, 3)] == [1, 2, 1]
