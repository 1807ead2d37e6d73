"""Pairs made from pairs: how many, of what, and who makes them."""

import json

import pytest

from fieldguide.models.scripted import ScriptedGenerator
from fieldguide.settings import Questions
from fieldguide.types import Chunk, Document, Evidence, QAPair, Span
from ingest.qa.calls import Calls
from ingest.qa.derived import ORIGIN, Maker, wanted

FIRST = "The mill at Oderbruch was built by Anton Veldkamp in 1871. It ground rye."
SECOND = "Anton Veldkamp died at Stralsund in the winter of 1902 after a long illness."
DOCUMENTS = {"d1": Document("d1", "a.pdf", "The mill"), "d2": Document("d2", "b.pdf", "Lives")}
CHUNKS = {
    "c1": Chunk("c1", "d1", (Span(1, 0, len(FIRST)),), FIRST),
    "c2": Chunk("c2", "d2", (Span(1, 0, len(SECOND)),), SECOND),
}


def pair(name="p1", question="Who built the mill at Oderbruch?", answer="Anton Veldkamp", **more):
    at = FIRST.find(answer)
    evidence = Evidence("d1", (Span(1, at, at + len(answer)),), answer)
    given = {"split": "train", "group": "trained", **more}
    return QAPair(name, question, answer, "d1", "c1", (evidence,), "fact", "rules", **given)


def test_as_many_as_the_mix_wants():
    assert wanted(100, "multi-hop", {}) == 10  # one of thirteen kinds; ten of them are not derived
    assert wanted(100, "multi-hop", {"multi-hop": 0}) == 0
    assert wanted(100, "unanswerable", {"unanswerable": 3}) == 30
    assert wanted(0, "follow-up", {}) == 0


def test_two_hops_are_written_by_a_generator_where_rules_find_none():
    def reply(prompt, adapter):
        return json.dumps({
            "question": "Where did the builder of the mill at Oderbruch die?", "answer": "Stralsund",
            "quotes": [
                {"passage": 1, "quote": "The mill at Oderbruch was built by Anton Veldkamp in 1871."},
                {"passage": 2, "quote": "Anton Veldkamp died at Stralsund in the winter of 1902"},
            ],
        })  # fmt: skip

    settings = Questions(mix={"multi-hop": 50, "unanswerable": 0, "follow-up": 0})
    made, _ = Maker(settings, writer=Calls(ScriptedGenerator(reply))).derive([pair()], CHUNKS, DOCUMENTS)
    (found,) = made
    assert (found.question, found.answer) == ("Where did the builder of the mill at Oderbruch die?", "Stralsund")
    assert (found.kind, found.level, found.origin) == ("multi-hop", "implicit fact", ORIGIN)
    assert {e.document for e in found.evidence} == {"d1", "d2"}
    assert Maker(settings).derive([pair()], CHUNKS, DOCUMENTS)[0] == []


def test_a_share_of_trained_facts_is_tested_in_other_words():
    settings = Questions(seen_share=0.6)
    held = pair("p2", "When was the mill at Oderbruch built?", "1871", split="test", group="facts held out")
    (made,) = Maker(settings).reword([pair("p3", "When was the mill built at Oderbruch?", "1871"), held])
    assert (made.split, made.group, made.origin, made.answer) == ("test", "facts seen", ORIGIN, "1871")
    assert made.question != "When was the mill built at Oderbruch?"
    assert Maker(Questions(seen_share=0)).reword([pair()]) == []


def test_a_generator_rewords_what_no_rule_can():
    asked = pair("p4", "Whose hands built the mill at Oderbruch?")
    settings = Questions(seen_share=0.99)
    assert Maker(settings).reword([asked]) == []
    calls = Calls(ScriptedGenerator(["By whose hands was the mill at Oderbruch built?"]))
    (made,) = Maker(settings, writer=calls).reword([asked])
    assert made.question == "By whose hands was the mill at Oderbruch built?"


@pytest.mark.parametrize("kinds", [("multi-hop", "unanswerable", "follow-up")])
def test_nothing_is_made_of_nothing(kinds):
    assert Maker(Questions()).derive([], {}, {}) == ([], [])
