"""The drafts that rules write from small texts, to the letter of the answer; and what holds for any text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldguide.align import find_exact
from fieldguide.types import Chunk, Document, Kind, Span
from ingest.qa.drafts import Draft, QuestionSource, Rejection
from ingest.qa.rule_clauses import base_form, read_clause
from ingest.qa.rule_forms import read_form
from ingest.qa.rules import Anchors, RuleSource, find_anchors, self_contained

FORM = """Page 1 of 5
Aviation Accident Final Report
Location: Elyria, OH Accident Number: CHI08CA048
Date & Time: 12/11/2007, 1430 EST Registration: N2699G
Aircraft: Aerostar 601 Aircraft Damage: Substantial
Defining Event: Injuries: 1 None
Runway Length/Width: 3898 ft / 100 ft Operator: On file"""
PILOT = """Pilot Information
Certificate: Private Age: 58, Male
Airplane Rating(s): Multi-engine Land; Single-engine 
Land
Seat Occupied: Left
Flight Time: 2411 hours (Total, all aircraft), 789 hours (Total, this make and 
model)"""  # noqa: W291 - a wrapped cell of a PDF ends in a space
STORY = """The pilot reported that he lost visual contact with the ground immediately upon 
liftoff. The right wing impacted a tree. The runway was closed because the snow was deep. 
The National Transportation Safety Board determines the probable cause(s) of this accident to be:
The pilot's momentary loss of control after takeoff, which resulted in an in-flight collision with
a tree. A contributing factor was the presence of the tree."""  # noqa: W291


def chunks_of(*texts: str, document: str = "d") -> list[Chunk]:
    return [Chunk(f"{document}{i}", document, (Span(1, 0, len(text)),), text) for i, text in enumerate(texts)]


def drafts(*texts: str, title: str = "A guide to dams", seed: int = 0, per_chunk: int = 60) -> list[Draft]:
    outcomes = RuleSource(seed, per_chunk).draft({"d": Document("d", "d.pdf", title)}, chunks_of(*texts))
    return [draft for found, _ in outcomes for draft in found]


def rejections(*texts: str, per_chunk: int = 60) -> list[Rejection]:
    outcomes = RuleSource(0, per_chunk).draft({"d": Document("d", "d.pdf", "A guide to dams")}, chunks_of(*texts))
    return [rejection for _, found in outcomes for rejection in found]


def answers(found: Sequence[Draft], kind: str) -> set[str]:
    return {draft.answer for draft in found if draft.kind == kind}


def asking(found: Sequence[Draft], answer: str) -> list[str]:
    return [draft.question for draft in found if draft.answer == answer]


def test_fields_two_to_a_line_with_wrapped_composite_and_empty_values() -> None:
    assert {draft.answer for draft in drafts(FORM)} == {
        "Elyria, OH", "CHI08CA048", "12/11/2007", "1430 EST", "N2699G", "Aerostar 601", "Substantial", "1",
        "3898 ft", "100 ft",
    }  # fmt: skip
    assert {draft.answer for draft in drafts(FORM, PILOT)} >= {
        "Private", "58", "Male", "Multi-engine Land; Single-engine Land", "Left", "2411 hours", "789 hours",
    }  # fmt: skip


def test_rejected_fields_have_reasons() -> None:
    found = rejections(FORM, "Note: see page 3\nContact: Unknown\nSite Visit Date: soon")
    assert Rejection("value empty", "Defining Event") in found
    assert Rejection("value is a placeholder", "Operator: On file") in found
    assert Rejection("value is a placeholder", "Contact: Unknown") in found
    assert Rejection("value does not fit its label", "Site Visit Date: soon") in found
    assert Rejection("label asks for nothing", "Note: see page 3") in found
    found = rejections("Wind Direction: 90° Turbulence Severity\nLowest Ceiling: Visibility")
    assert Rejection("value is a label", "Wind Direction: 90° Turbulence Severity") in found
    assert Rejection("value is a label", "Lowest Ceiling: Visibility") in found


def test_a_label_with_two_values_is_asked_only_by_its_number() -> None:
    one, two = "Occurrence #1: LOSS OF CONTROL\nPhase: LANDING\n", "Occurrence #2: NOSE OVER\nPhase: TAXI"
    found = drafts(FORM, (one + two).replace("Phase", "Phase of Operation"))
    for number, phase in ((1, "LANDING"), (2, "TAXI")):
        assert [f"occurrence #{number}" in question for question in asking(found, phase)] == [True]
    assert Rejection("label has several values in the document", "Colour: red") in rejections(
        "Colour: red", "Colour: blue"
    )


def test_the_quote_of_a_field_is_its_line_and_of_a_sentence_the_sentence() -> None:
    found = {draft.answer: draft for draft in drafts(FORM, PILOT, STORY)}
    assert found["CHI08CA048"].quote == "Location: Elyria, OH Accident Number: CHI08CA048"
    wrapped = found["Multi-engine Land; Single-engine Land"]
    assert wrapped.quote == "Airplane Rating(s): Multi-engine Land; Single-engine Land"
    assert found["the presence of the tree"].quote == "A contributing factor was the presence of the tree."


def test_anchors_come_from_the_form_and_fall_back_to_the_title() -> None:
    document = Document("d", "d.pdf", "20080115X00053")
    chunks = chunks_of(FORM)
    anchors = find_anchors(document, chunks, [read_form(chunk.text) for chunk in chunks])
    assert set(anchors.events) >= {"the Elyria, OH accident", "accident CHI08CA048", "the accident involving N2699G"}
    assert anchors.things == ("N2699G", "the Aerostar 601 N2699G", "the Aerostar 601 in the Elyria, OH accident")
    plain = find_anchors(
        Document("d", "d.pdf", "A guide to dams"), chunks_of("Water flows."), [read_form("Water flows.")]
    )
    assert (plain.events, plain.things) == ((), ())
    assert plain.documents == ("“A guide to dams”",)


def test_a_file_name_is_not_used_where_the_text_has_a_title() -> None:
    found = drafts("Exhibit 300: Business Case Summary\nBureau: Consular Affairs", title="936c0e2c2e6c8e0c07c51bfa")
    assert all("936c0e" not in draft.question for draft in found)
    assert any("Business Case Summary" in draft.question for draft in found)


def test_a_question_names_its_document_and_never_holds_its_answer() -> None:
    names = ("Elyria", "CHI08CA048", "N2699G", "Aerostar")
    for draft in drafts(FORM, PILOT, STORY):
        assert any(name in draft.question for name in names), draft
        assert not find_exact(draft.answer, draft.question), draft


def test_causes() -> None:
    found = drafts(FORM, STORY)
    assert answers(found, "cause") == {
        "The pilot's momentary loss of control after takeoff",
        "the presence of the tree",
        "an in-flight collision with a tree",
        "the snow was deep",
    }
    assert any("was the runway closed" in question for question in asking(found, "the snow was deep"))


def test_facts_of_a_narrative() -> None:
    found = drafts(FORM, STORY)
    said = "he lost visual contact with the ground immediately upon liftoff"
    assert all("the pilot" in question and "report" in question for question in asking(found, said))
    assert any("what did the right wing impact" in q.lower() for q in asking(found, "a tree"))
    assert asking(found, "The right wing") == []  # one question of a kind from a sentence


@pytest.mark.parametrize(
    ("text", "kind", "answer", "part"),
    [
        ("The National Weather Service (NWS) issued a warning.", "definition", "National Weather Service", "NWS"),
        ("A weir is a low wall across a river.", "definition", "a low wall across a river", "hat is a weir"),
        ("The purpose of a levee is to hold floods.", "fact", "to hold floods", "purpose of a levee"),
        ("The term head loss means the fall of pressure.", "definition", "the fall of pressure", "head loss mean"),
        ("The dam was closed on March 3, 2011.", "date", "March 3, 2011", "was the dam closed"),
        ("In 1967, the board adopted the new rules.", "date", "1967", "did the board adopt the new rules"),
        ("The Safety Board, established in 1967, is free.", "date", "1967", "was the Safety Board established"),
        ("The farmer planted 23 acres of maize.", "quantity", "23", "acres of maize did the farmer plant"),
        ("For maize, the water use is 7.0 inches.", "quantity", "7.0 inches", "or maize, what is the water use"),
        ("In 2022, 65% of all fields became wetter.", "quantity", "65%", "n 2022, what percentage of all fields"),
        ("Net sales of Dam Works increased by 4%, or $3.", "quantity", "4%", "much did net sales of Dam Works incr"),
        ("Poor drainage can reduce grain yield and quality.", "fact", "grain yield and quality", "poor drainage red"),
        ("Sand filters should be flushed after each storm.", "procedure", "after each storm", "hould sand filters"),
        ("Earth dams are much cheaper than dams of concrete.", "comparison", "much cheaper", "How do earth dams comp"),
        ("Earth dams do not need any cement.", "yes/no", "No", "Do earth dams need"),
        ("No seepage was found at Hoover Dam.", "yes/no", "No", "Was any seepage found at Hoover Dam?"),
        ("The crew found a 3-inch crack in the spar.", "quantity", "3-inch", "ow long was the crack"),
        ("About 65% of the fields became wetter.", "quantity", "65%", "percentage of the fields became wetter"),
        ("The gates were opened due to the flood.", "cause", "the flood", "were the gates opened"),
        ("The long drought led to a shortage of feed.", "cause", "a shortage of feed", "did the long drought lead to"),
        ("The rear spar was bent.", "fact", "was bent", "hat happened to the rear spar"),
        ("Sea gates will protect Venice from floods.", "fact", "Venice from floods", "hat will sea gates protect"),
        ("The canal was operated by Dam Works Inc.", "fact", "Dam Works Inc", "y what was the canal operated"),
        ("The inspection revealed a leak.", "fact", "a leak", "the inspection"),
    ],
)  # fmt: skip
def test_a_sentence_of_each_shape(text: str, kind: str, answer: str, part: str) -> None:
    found = [draft for draft in drafts(text) if draft.kind == kind and draft.answer == answer]
    assert any(part in draft.question for draft in found), (drafts(text), rejections(text))
    assert all(draft.quote == text for draft in found)


@pytest.mark.parametrize(
    "text",
    [
        "and the rest of the wall, which the builders left behind",
        "It was raining. They were late. This is so.",
        "Dockets released prior to June 1, 2009 are publicly available.",
        "|||| 12 13 14 ____ ....",
        "see http://example.org/a: b",
    ],
)
def test_nothing_is_asked_of_what_is_not_understood(text: str) -> None:
    assert drafts(text) == []


def test_a_sentence_cut_by_the_chunk_is_rejected_where_it_is_cut() -> None:
    found = drafts("The left wing struck the old", "hangar. The nose gear collapsed in the mud.")
    assert answers(found, "fact") == {"in the mud"}
    assert Rejection("sentence is cut", "The left wing struck the old") in rejections("The left wing struck the old")


def test_no_more_than_asked_for_and_fields_leave_room() -> None:
    outcomes = RuleSource(0, 6).draft({"d": Document("d", "d.pdf", "t")}, chunks_of(FORM, FORM + "\n\n" + STORY))
    assert [len(found) for found, _ in outcomes] == [3, 6]
    assert {draft.kind for draft in outcomes[1][0]} >= {"cause", "fact"}
    assert "chunk has enough questions" in {rejection.reason for rejection in outcomes[0][1]}


def test_wording_varies_with_the_seed_but_not_from_run_to_run() -> None:
    assert drafts(FORM, PILOT, STORY) == drafts(FORM, PILOT, STORY)
    assert drafts(FORM, PILOT, STORY) != drafts(FORM, PILOT, STORY, seed=1)
    assert RuleSource(0).id == RuleSource(0).id != RuleSource(1).id
    assert RuleSource(0).id.startswith("rules-")
    source: QuestionSource = RuleSource()
    assert source.name == "rules"


def test_no_question_twice_in_a_document() -> None:
    found = [draft.question for draft in drafts(FORM, FORM, PILOT, STORY, STORY)]
    assert len(found) == len(set(found))


def test_per_chunk_must_be_positive() -> None:
    with pytest.raises(ValueError, match="at least 1, not 0"):
        RuleSource(per_chunk=0)


@pytest.mark.parametrize(
    ("past", "base"),
    [("landed", "land"), ("stated", "state"), ("filed", "file"), ("applied", "apply"), ("collided", "collide"),
     ("occurred", "occur"), ("struck", "strike"), ("included", "include"), ("passed", "pass"), ("stopped", "stop")],
)  # fmt: skip
def test_base_form(past: str, base: str) -> None:
    assert base_form(past) == base


def test_read_clause() -> None:
    text = "The airplane then bounced on the runway"
    clause = read_clause(text, 0, len(text))
    assert clause is not None
    assert (clause.subject, clause.adverb, clause.verb, clause.rest) == (
        "the airplane",
        "then",
        "bounced",
        "on the runway",
    )
    assert read_clause("Calculating the water needed for maize", 0, 38) is None


WORDS = """The pilot airplane reported that was bent because due to resulted in 23 feet on March 3, 2011 of a is
Location: Date: Age: N12AB Elyria, OH "he" (ABC) and 65% Accident Number: He landed struck tree. runway, 1.5 {e} – ’s £5
probable cause(s) to be: None Unknown /"""
GAPS = st.sampled_from([" ", " ", " ", "\n", " \n", "  ", ". ", "\n\n"])
PROSE = st.lists(st.tuples(st.sampled_from(WORDS.split()), GAPS), max_size=60).map(
    lambda pairs: "".join(word + gap for word, gap in pairs)
)


@settings(max_examples=200, deadline=None)
@given(st.lists(PROSE | st.text(max_size=200), max_size=4), st.text(max_size=30), st.integers(0, 3))
def test_every_answer_stands_in_its_chunk_and_quote_and_not_in_its_question(
    texts: list[str], title: str, seed: int
) -> None:
    documents, chunks = {"d": Document("d", "d.pdf", title)}, chunks_of(*texts)
    outcomes = RuleSource(seed).draft(documents, chunks)
    assert len(outcomes) == len(chunks)
    assert outcomes == RuleSource(seed).draft(documents, chunks)
    for chunk, (found, _) in zip(chunks, outcomes, strict=True):
        flat = " ".join(chunk.text.split())
        for draft in found:
            assert draft.evidence or draft.quote in flat
            if draft.kind in ("list", "procedure", "comparison", "table lookup", "yes/no"):
                continue
            assert draft.answer in flat
            assert find_exact(draft.answer, draft.quote)
            assert not find_exact(draft.answer, draft.question)
            assert draft.kind in get_args(Kind)


def test_chunks_of_several_documents_keep_their_order_and_names() -> None:
    documents = {name: Document(name, f"{name}.pdf", f"A guide to {name}") for name in ("dams", "wells")}
    chunks = [*chunks_of("Depth: 3 m", "Height: 9 m", document="dams"), *chunks_of("Yield: 7 l", document="wells")]
    mixed = [chunks[0], chunks[2], chunks[1]]
    found = [draft for outcome, _ in RuleSource().draft(documents, mixed) for draft in outcome]
    assert [(draft.answer, draft.question.count("dams")) for draft in found] == [("3 m", 1), ("7 l", 0), ("9 m", 1)]


def test_a_field_has_the_kind_of_its_value() -> None:
    found = {draft.answer: draft.kind for draft in drafts(FORM, PILOT, "Second Pilot Present: No\nAircraft Fire: None")}
    assert (found["12/11/2007"], found["100 ft"], found["N2699G"]) == ("date", "quantity", "fact")
    assert found["No"] == "yes/no"


def test_the_mix_leaves_a_kind_out_or_takes_it_first() -> None:
    document, chunks = {"d": Document("d", "d.pdf", "t")}, chunks_of(FORM + "\n\n" + STORY)
    without = RuleSource(0, 6, mix={"cause": 0}).draft(document, chunks)[0]
    assert "cause" not in {draft.kind for draft in without[0]}
    assert "kind is not wanted" in {rejection.reason for rejection in without[1]}
    first = RuleSource(0, 2, mix={"cause": 9}).draft(document, chunks)[0][0]
    assert [draft.kind for draft in first] == ["cause", "cause"]


def test_phrasings_are_different_wordings_of_one_fact() -> None:
    document, chunks = {"d": Document("d", "d.pdf", "t")}, chunks_of(FORM)
    one = RuleSource(0, 6).draft(document, chunks)[0][0]
    three = RuleSource(0, 6, phrasings=3).draft(document, chunks)[0][0]
    assert len({draft.answer for draft in one}) == len(one) == 3
    asked = [draft.question for draft in three if draft.answer == "Elyria, OH" or draft.answer == three[0].answer]
    assert len(set(asked)) == len(asked) > 1
    assert RuleSource(0, 3, phrasings=3).id != RuleSource(0, 3).id


def test_a_question_with_two_answers_in_the_document_is_not_asked() -> None:
    text = "The long drought led to a shortage of feed."
    assert all("drought lead" not in draft.question for draft in drafts(text, text.replace("feed", "seed")))
    assert "question has several answers in the document" in {
        rejection.reason for rejection in rejections(text, text.replace("feed", "seed"))
    }


ELYRIA = Anchors(("the Elyria, OH accident",), ("N2699G",), ("the report on the Elyria, OH accident",))
GUIDE = Anchors((), (), ("“A guide to dams”",))


@pytest.mark.parametrize(
    ("question", "anchors", "expected"),
    [
        (
            "What did the pilot do after takeoff?",
            ELYRIA,
            "What did the pilot do after takeoff in the Elyria, OH accident?",
        ),
        ("What caused the accident?", ELYRIA, "What caused the Elyria, OH accident?"),
        ("What did the airplane strike?", ELYRIA, "What did N2699G strike?"),
        ("Who owned N2699G?", ELYRIA, "Who owned N2699G?"),
        ("What did he report?", ELYRIA, None),
        ("What does this report say of the pilot?", ELYRIA, None),
        ("How much water does corn use at tasseling?", GUIDE, "How much water does corn use at tasseling?"),
        ("When was the dam closed?", GUIDE, "When was the dam closed, according to “A guide to dams”?"),
        ("When was the dam closed?", Anchors((), (), ()), None),
        ("What does the Company sell?", Anchors((), (), (), "Dam Works Inc"), "What does Dam Works Inc sell?"),
    ],
)
def test_self_contained(question: str, anchors: Anchors, expected: str | None) -> None:
    assert self_contained(question, anchors) == expected


def test_a_title_of_boilerplate_is_no_name() -> None:
    text = (
        "FORM 10-K\nFor the fiscal year ended June 30, 2022\nDam Works, Inc. (the registrant)\nDam Works, Inc. builds."
    )
    filing = find_anchors(Document("d", "d.pdf", "UNITED STATES SECURITIES AND EXCHANGE COMMISSION"), chunks_of(text))
    assert filing.documents == ("Dam Works, Inc.’s Form 10-K of June 30, 2022",)
    assert find_anchors(Document("d", "936c0e2c.pdf", "936c0e2c"), chunks_of("water flows.")).documents == ()
    named = find_anchors(Document("d", "dams/DAM_WORKS_2022_10K.pdf", "FOR IMMEDIATE RELEASE"), chunks_of("water."))
    assert named.documents == ("“DAM WORKS 2022 10K”",)


@pytest.mark.parametrize(
    ("text", "question", "answer"),
    [
        ("Since 1983, Dam Works has run the pumps.", "Since when has Dam Works run the pumps", "1983"),
        ("The Spanish renamed the old fort in 1566.", "What did the Spanish rename", "the old fort"),
        ("The Ministry of Gender and Child Affairs employed 400 officers in 2009.",
         "When did the Ministry of Gender and Child Affairs employ 400 officers?", "2009"),
        ("CONCLUSION Malaria is a disease of the blood.", "What is Malaria?", "a disease of the blood"),
        ("Hanson is an elected official of Dewey Beach.", "Who is Hanson?", "an elected official of Dewey Beach"),
        ("TraceMonkey can simply observe the result of the search.", "What can TraceMonkey observe?",
         "the result of the search"),
        ("The interpreter must hit a loop edge and enter the monitor.", "What must the interpreter hit",
         "a loop edge"),
        ("For beans, the approximate days to maturity is 25.", "For beans, what are the approximate days to maturity?",
         "25"),
        ("Acetylation prevents DNA binding and increases stress.", "What does Acetylation prevent", "DNA binding"),
        ("Net sales of Dam Works fell by 4% for the six months ended May 31, 2022, compared to 2021.",
         "By how much did net sales of Dam Works fall for the six months ended May 31, 2022", "4%"),
    ],
)  # fmt: skip
def test_what_was_worded_badly_once(text: str, question: str, answer: str) -> None:
    found = [(draft.question.split(", according")[0], draft.answer) for draft in drafts(text)]
    assert any(asked.startswith(question) and said == answer for asked, said in found), (found, rejections(text))


@pytest.mark.parametrize(
    ("text", "not_asked"),
    [
        ("Algiers lost 30 thousand people to it in 1620.", "What did Algiers lose"),
        ("A town was established there in 1822.", "there"),
        ("That the plague was caused by bad air became the most widely accepted theory.", "caused by"),
        ("Two large portraits of a couple painted in watercolour on silk date from 1810.", "What painted"),
        ("The affected region was about 1,160 miles of forest, compared to 734 in 2005.", "When"),
        ("Tropical Storm Bonnie would cause minor damage in 2004.", "When would"),
        ("The effect of the drug on growth was assessed in s.c. and other models.", "assessed in s"),
        ("A similar process is used to emphasize the influence of schools.", "What is used"),
        ("The past record was held by John Elway.", "By what"),
        ("The announcement came a day after Setanta Sports closed.", "What did the announcement"),
        ("Pooled relative risks and confidence intervals were calculated.", "What happened"),
        ("The university runs a program called the Council on Advanced Studies in Arts.", "What called"),
        ("Steven Moffat described the companion as the main character of the show.", "What did Steven Moffat"),
        ("Non-GAAP financial measures may be calculated differently by some companies.", "What does"),
        ("Fractionation of the cytosol led to the identification of an enzyme.", "What led"),
        ("The survey told of a 30-year survival rate of patients.", "How long"),
        ("The Musical Instruments gallery closed 25 February 2010.", "What did"),
        ("Weighted mean effect sizes were calculated for all changes in height.", "What do"),
        ("A loop may behave differently during startup than during its execution.", "What may"),
        ("The key observation is that when a trace aborts because the tree is not ready, it waits.", "reason"),
    ],
)
def test_what_only_the_text_before_explains_is_not_asked(text: str, not_asked: str) -> None:
    assert not [draft for draft in drafts(text) if not_asked in draft.question]


@pytest.mark.parametrize(
    ("past", "base"),
    [
        ("developed", "develop"), ("renamed", "rename"), ("restored", "restore"), ("agreed", "agree"),
        ("floated", "float"), ("created", "create"), ("treated", "treat"), ("claimed", "claim"), ("aired", "air"),
        ("described", "describe"), ("settled", "settle"), ("controlled", "control"), ("scheduled", "schedule"),
        ("visited", "visit"), ("invited", "invite"), ("monitored", "monitor"), ("explored", "explore"),
        ("challenged", "challenge"), ("belonged", "belong"), ("degraded", "degrade"), ("panicked", "panic"),
    ],
)  # fmt: skip
def test_infinitives(past: str, base: str) -> None:
    assert base_form(past) == base


def test_injuries_and_engines_are_counted_one_by_one() -> None:
    text = FORM.replace("1 None", "1 Fatal, 2 None") + "\nAirworthiness Certificate: Normal Engines: 2 Reciprocating"
    found = {(draft.answer, " ".join(draft.question.split()[:5])) for draft in drafts(text)}
    assert {("1", "How many people were killed"), ("2", "How many people were not")} <= found
    assert {draft.answer for draft in drafts(text) if "ype of engine" in draft.question or "kind of engine" in
            draft.question} == {"Reciprocating"}  # fmt: skip
    assert not [draft for draft in drafts(text) if draft.answer in ("1 Fatal, 2 None", "2 Reciprocating")]


def test_a_line_that_goes_on_with_another_column_is_not_the_last_fields() -> None:
    text = FORM + "\nAirframe Total Time: 5950 Hours at time of Engine Manufacturer: Textron Lycoming \naccident"
    assert [draft.answer for draft in drafts(text) if "engine" in draft.question] == ["Textron Lycoming"]


def test_an_empty_field_does_not_take_the_next_label() -> None:
    text = (
        FORM
        + "\nWind Direction: 90° Turbulence Severity\nWind Speed/Gusts: 8 knots / Turbulence Type\nDestination: (AUW)"
    )
    assert not [draft for draft in drafts(text) if "Turbulence" in draft.answer or draft.answer == "(AUW)"]


def test_boilerplate_is_asked_without_the_event_and_alike_in_every_report() -> None:
    boilerplate = "The National Transportation Safety Board (NTSB), established in 1967, is independent. "
    asked = [
        {draft.question for draft in RuleSource(0, 60).draft({name: Document(name, f"{name}.pdf", "t")},
         chunks_of(form, boilerplate, document=name))[1][0]}
        for name, form in (("a", FORM), ("b", FORM.replace("Elyria, OH", "Latrobe, PA")))
    ]  # fmt: skip
    assert asked[0] == asked[1] != set()
    assert not [question for question in asked[0] if "accident" in question]


def test_a_value_goes_on_until_its_parenthesis_is_closed() -> None:
    text = (
        "Flight Time: 2411 hours (Total, all aircraft), 2314 hours (Pilot In\n"
        "Command, all aircraft), 0\nhours (Last 24 hours, all aircraft)\nNext Label: x"
    )
    form = read_form(text)
    assert [(one.label, text[slice(*one.value)]) for one in form.fields] == [
        ("Flight Time", text[len("Flight Time: ") : text.index("\nNext")]), ("Next Label", "x"),
    ]  # fmt: skip
