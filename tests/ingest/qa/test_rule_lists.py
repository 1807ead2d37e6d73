"""Questions from lists and procedures: what is asked of made-up lists and with which answer, and what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldguide.types import Chunk, Span
from ingest.qa.drafts import Rejection
from ingest.qa.rule_list_intros import intro_questions, procedure_name
from ingest.qa.rule_lists import list_candidates
from ingest.qa.rule_reading import Reading

COMMON = frozenset(("other", "revenue", "key", "areas"))


def chunk(text: str, heading: tuple[str, ...] = ("Drying",), n: int = 0) -> Chunk:
    return Chunk(f"c{n}", "doc", (Span(1 + n, 0, len(text)),), text, heading)


def asked(*texts: str, heading: tuple[str, ...] = ("Drying",)) -> dict[str, str]:
    chunks = [chunk(text, heading, n) for n, text in enumerate(texts)]
    return {
        template.replace("{d}", "the guide"): one.answer
        for here in list_candidates(chunks)
        for one in here
        if isinstance(one, Reading)
        for template in one.templates
    }


def reasons(*texts: str, heading: tuple[str, ...] = ("Drying",)) -> list[str]:
    chunks = [chunk(text, heading, n) for n, text in enumerate(texts)]
    return [one.reason for here in list_candidates(chunks) for one in here if isinstance(one, Rejection)]


def test_a_bulleted_list_is_asked_for_by_the_clause_above_it():
    text = """The following factors affect the rate of drying:
• the temperature of the air;
• the speed of
  the fan; and
• the depth of the grain.

Other things matter less."""
    answer = "the temperature of the air; the speed of the fan; the depth of the grain"
    assert asked(text) == {
        "According to the guide, which factors affect the rate of drying?": answer,
        "Which factors affect the rate of drying, according to the guide?": answer,
    }


def test_the_evidence_of_a_list_is_its_items():
    text = "The main risks are:\n• hail\n• late frost\n\nThe rest is small."
    here = chunk(text, n=2)
    (one,) = list_candidates([here])[0]
    assert isinstance(one, Reading)
    assert one.quote(here) == "hail\nlate frost"
    assert [evidence.spans for evidence in one.evidence(here)] == [
        (Span(3, text.index("hail"), text.index("hail") + 4),),
        (Span(3, text.index("late"), text.index("late") + 10),),
    ]
    assert one.answer == "hail; late frost"


def test_the_text_behind_a_list_is_no_part_of_its_last_item():
    text = (
        "The applicant must:\n(a) sign the form;\n(b) pay the fee; and\n(c) send both to us.\nThe file is then closed."
    )
    assert asked(text) == {
        "According to the guide, what must the applicant do?": "sign the form; pay the fee; send both to us",
        "What must the applicant do, according to the guide?": "sign the form; pay the fee; send both to us",
    }


def test_a_list_whose_bullets_are_drawings_is_told_by_its_semicolons():
    items = "the weather was bad;\nthe airplane was low;\nthe pilot was tired."
    text = f"There are three findings in most of the reports:\n\n{items}\n\nEnd"
    assert asked(text)["According to the guide, what are the three findings in most of the reports?"] == (
        "the weather was bad; the airplane was low; the pilot was tired"
    )


def test_items_that_explain_a_term_give_the_terms():
    text = """The network has the following services:
• Voice services. The firm carries calls from its own lines to those of others.
• Local services. The firm offers an array of dial tones to competitive carriers.

Prices follow."""
    assert (
        asked(text)["Which services does the network have, according to the guide?"] == "Voice services; Local services"
    )


def test_a_list_in_a_sentence():
    got = asked("The kit includes a pump, two filters, and a hose. The main types of soil are sand, silt and clay.")
    assert got["What does the kit include, according to the guide?"] == "a pump; two filters; a hose"
    assert got["According to the guide, what are the main types of soil?"] == "sand; silt; clay"
    assert reasons("An audit includes examining, on a test basis, evidence and books.") == [
        "items of a sentence are not plain"
    ]


STEPS = """How to calibrate the sprayer

1. Fill the tank with water.
2. Measure a distance of 100 feet.
3. Drive the distance.

The rate is read off the table."""


def test_steps_in_order_are_a_procedure():
    got = asked(STEPS, heading=("How to calibrate the sprayer",))
    assert got["What are the steps to calibrate the sprayer, according to the guide?"] == (
        "Fill the tank with water; Measure a distance of 100 feet; Drive the distance"
    )
    assert got["According to the guide, what is the first step to calibrate the sprayer?"] == "Fill the tank with water"
    after = "According to the guide, which step to calibrate the sprayer comes right after “Fill the tank with water”?"
    assert got[after] == "Measure a distance of 100 feet"


def test_the_evidence_of_what_comes_next_is_both_steps():
    here = chunk(STEPS, ("How to calibrate the sprayer",))
    found = [x for x in list_candidates([here])[0] if isinstance(x, Reading)]
    assert {one.kind for one in found} == {"procedure"}
    assert found[-1].quote(here) == "Measure a distance of 100 feet\nDrive the distance"


def test_bullets_have_no_order_and_are_no_procedure():
    text = "Tips for dry grain:\n• Open the doors\n• Run the fan\n\nEnd"
    found = [x for here in list_candidates([chunk(text)]) for x in here if isinstance(x, Reading)]
    assert {one.kind for one in found} == {"list"}


@pytest.mark.parametrize(
    ("texts", "reason"),
    [
        (("• one thing\n• another thing\n\nEnd",), "list begins elsewhere"),
        (("The risks are:\n• hail\n• late frost", "• storm\n• fire"), "list goes on elsewhere"),
        (("The risks are:\n• hail;\n• late frost and", "Rain"), "list goes on elsewhere"),
        (("The risks are:\n• hail\n– in May\n– in June\n• frost\n\nEnd",), "list has lists within"),
        (("The risks are:\n3. hail\n4. frost\n\nEnd",), "list is not numbered from its start"),
        (("Some words here.\n• hail now\n• frost\n\nEnd",), "list has no introduction"),
        (("The questions are:\n• What is hail?\n• What is frost?\n\nEnd",), "items are questions"),
        (("They are:\n• hail\n• frost\n\nEnd",), "introduction has a pronoun"),
        (("The risks named below are:\n• hail\n• frost\n\nEnd",), "introduction points elsewhere"),
        (("A grower would be late if:\n• hail falls\n• frost comes\n\nEnd",), "introduction is not understood"),
        (("Drying\n\n• hail\n• frost\n\nEnd",), "heading does not say what is listed"),
        (("The risks are:\n" + "\n".join(f"• risk number {n}" for n in range(9)) + "\n\nEnd",), "list is too long"),
        (("The risks are:\n• hail\n• hail\n\nEnd",), "items are alike"),
        (("The risks are:\n• hail; storm\n• frost\n\nEnd",), "item holds a semicolon"),
        (("The risks are:\n• hail partly offset by\n• frost\n\nEnd",), "item is not whole"),
        (("The risks are:\n• " + "very " * 60 + "cold\n• frost\n\nEnd",), "answer too long"),
        (("The big risks are:\n• hail\n• wind\n\nA", "The big risks are:\n• ice\n• sun\n\nB"),
         "question has several answers in the document"),
    ],
)  # fmt: skip
def test_what_cannot_be_relied_on_is_refused(texts: tuple[str, ...], reason: str):
    assert reason in reasons(*texts)
    assert asked(*texts) == {}


@pytest.mark.parametrize(
    ("intro", "question"),
    [
        ("In addition, the following factors could affect sales", "which factors could affect sales"),
        ("The following are the goals of the plan", "what are the goals of the plan"),
        ("There are two kinds of fans", "what are the two kinds of fans"),
        ("The committee recommended the following measures", "which measures did the committee recommend"),
        ("The plan has three goals", "which goals does the plan have"),
        ("The network consists of", "what does the network consist of"),
        ("Other revenue decreased during 2022 and was primarily due to", "why did other revenue decrease during 2022"),
        ("The increase in cost was mainly due to the following", "what was the increase in cost mainly due to"),
        ("The driver must", "what must the driver do"),
        ("Key areas of work are as follows", "what are the key areas of work"),
    ],
)
def test_introductions_as_questions(intro: str, question: str):
    wordings = intro_questions(intro, False, COMMON)
    assert wordings == (f"According to {{d}}, {question}?", f"{question[0].upper()}{question[1:]}, according to {{d}}?")


def test_names_of_procedures():
    assert procedure_name("To install the pump, follow these steps") == " to install the pump"
    assert procedure_name("Steps to clean the fan") == " to clean the fan"
    assert procedure_name("Emergency shutdown") == " under “Emergency shutdown”"
    assert procedure_name("Do this with your hands") == ""


LINES = st.sampled_from(
    ["The risks are:", "• hail", "• frost and ice;", "1. Open the door.", "2. Close it.", "", "o nested", "The end.",
     "(a) one",
     "To dry grain:", "A | b: c", "Drying", "and more", "The kit includes a pump, a fan and a hose."]
)  # fmt: skip


@given(st.lists(st.lists(LINES, min_size=1, max_size=8), min_size=1, max_size=3))
@settings(max_examples=150, deadline=None)
def test_every_part_of_an_answer_stands_in_its_quotes(texts: list):
    chunks = [chunk("\n".join(lines), n=n) for n, lines in enumerate(texts)]
    found = list_candidates(chunks)
    assert len(found) == len(chunks)
    assert found == list_candidates(chunks)
    for here, ones in zip(chunks, found, strict=True):
        for one in ones:
            if isinstance(one, Reading):
                said = " ".join(one.quote(here).split())
                assert all(part in said for part in one.answer.split("; "))
                assert all(template.count("{d}") == 1 and template.endswith("?") for template in one.templates)
            else:
                assert one.reason


def test_an_introduction_that_repeats_its_heading_is_placed_in_the_section_above():
    text = "Cost of services\n\nCost of services increased during 2022 due to:\n• higher rent\n• higher wages\n\nOther"
    got = asked(text, heading=("Consumer group", "Cost of services"))
    assert got["According to “Consumer group” in the guide, why did cost of services increase during 2022?"] == (
        "higher rent; higher wages"
    )
