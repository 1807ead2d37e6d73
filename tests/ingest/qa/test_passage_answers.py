import json

import pytest

from fieldguide.models.scripted import ScriptedGenerator
from fieldguide.types import Chunk, Document, Evidence, Span
from ingest.qa.calls import Calls
from ingest.qa.drafts import Draft, Rejection
from ingest.qa.passage_answers import Answered, answer_questions, clean_answer, draft_multi_hop, place_quote
from ingest.qa.prompt_files import PromptFiles

DOCUMENTS = {"d": Document("d", "a.pdf", "Wing manual"), "e": Document("e", "b.pdf", "Staff list")}
CRASH = Chunk("c", "d", (Span(2, 10, 64),), "The Piper N12AB hit an oak at Celle on the 3rd of May.", (), "Crash")
STAFF = Chunk("s", "e", (Span(1, 0, 53),), "Ann Lee flew N12AB from 2017 on. N12AB hit an oak too.", (), "")


def hop(reply):
    scripted = ScriptedGenerator([reply if isinstance(reply, str) else json.dumps(reply)])
    return draft_multi_hop(Calls(scripted), CRASH, STAFF, "N12AB", DOCUMENTS, retries=0), scripted


def quoted(*quotes, question="Who flew the Piper that hit an oak at Celle?", answer="Ann Lee"):
    quotes = [{"passage": n, "quote": quote} for n, quote in enumerate(quotes, 1)]
    return {"question": question, "answer": answer, "quotes": quotes}


def test_a_question_over_two_chunks_has_evidence_in_both():
    outcome, scripted = hop(quoted("hit an oak at Celle", "Ann Lee flew N12AB"))
    assert outcome == (
        [
            Draft(
                "Who flew the Piper that hit an oak at Celle?", "Ann Lee", "hit an oak at Celle", "multi-hop",
                "implicit fact",
                (
                    Evidence("d", (Span(2, 26, 45),), "hit an oak at Celle"),
                    Evidence("e", (Span(1, 0, 18),), "Ann Lee flew N12AB"),
                ),
            )
        ],
        [],
    )  # fmt: skip
    ((prompt, _),) = scripted.calls
    assert prompt[-1].content == (
        f"[1] Crash\n{CRASH.text}\n\n[2] Staff list\n{STAFF.text}\n\nBoth are about: N12AB\n"
        "Write one question that needs both passages, as JSON."
    )


EXAMPLE = "Who was in charge of the Celle pumping station that stopped for six hours on 3 May 2019?"


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (quoted(question="", answer=""), "no question needs both chunks"),
        ("[]", "no question needs both chunks"),
        (quoted("hit an oak at Celle", "She flew it."), "quote not in the passages"),
        (quoted("hit an oak", "Ann Lee flew N12AB"), "one chunk alone holds the quotes"),
        (quoted("Ann Lee flew N12AB", "from 2017 on"), "one chunk alone holds the quotes"),
        (quoted("hit an oak at Celle", "Ann Lee flew", question=EXAMPLE), "repeats the example"),
        ("No.", "reply without JSON or question lines"),
    ],
)
def test_what_does_not_need_both_is_rejected(reply, reason):
    (drafts, rejections), _ = hop(reply)
    assert drafts == []
    assert [r.reason for r in rejections] == [reason]
    assert all(isinstance(r, Rejection) and r.detail for r in rejections)


@pytest.mark.parametrize(
    ("quote", "found"),
    [
        ("hit an OAK", "hit an oak"),
        ("“The Piper … hit an oak at Celle on”", "hit an oak at Celle on"),
        (
            "The Piper N12AB struck an oak at Celle on the 3rd of May",
            "Piper N12AB hit an oak at Celle on the 3rd of May",
        ),
        ("hit a beech", None),
        ("The Piper N12AB hit an oak at Celle on the 4th of May", None),
        ("", None),
    ],
)
def test_place_quote(quote, found):
    place = place_quote(quote, CRASH.text)
    assert (CRASH.text[slice(*place)] if place else None) == found


@pytest.mark.parametrize(
    ("answer", "clean"),
    [("a tree.", "a tree"), ('"a\n tree"', "a tree"), ("10:45 a.m.", "10:45 a.m."), ("1.5 m.", "1.5 m."), ("", "")],
)
def test_clean_answer(answer, clean):
    assert clean_answer(answer) == clean


@pytest.mark.parametrize(
    ("answer", "quote", "evidence"),
    [
        ("Ann Lee", "from 2017 on", (Evidence("e", (Span(1, 19, 31),), "from 2017 on"),
                                     Evidence("e", (Span(1, 0, 7),), "Ann Lee"))),
        ("Ann Lee", "nobody knows", (Evidence("e", (Span(1, 0, 7),), "Ann Lee"),)),
        ("Ann Lee", "Ann Lee flew", (Evidence("e", (Span(1, 0, 12),), "Ann Lee flew"),)),
        ("too", "nobody knows", None),
    ],
)  # fmt: skip
def test_an_answer_that_no_quote_holds_is_its_own_evidence(answer, quote, evidence):
    scripted = ScriptedGenerator([json.dumps({"answer": answer, "quotes": [{"passage": 1, "quote": quote}]})])
    (found,) = answer_questions(Calls(scripted), ["Who flew N12AB?"], [[CRASH, STAFF]], prompts=PromptFiles())
    if evidence is None:
        assert found == Rejection("quote not in the passages", "Who flew N12AB? | too | nobody knows")
    else:
        assert found == Answered("Ann Lee", evidence[0].quote, evidence)
