from __future__ import annotations

from dataclasses import replace

import pytest

from fieldguide.models.base import Prompt
from fieldguide.models.scripted import ScriptedGenerator
from fieldguide.types import Chunk, Document, QAPair, Silent, Span
from ingest.qa.calls import Calls
from ingest.qa.confidence import Confidence
from ingest.qa.derived import ORIGIN
from ingest.qa.reader import Reader
from tuning.confident import most_confident

TEXT = "The wing is 11 feet. The mass is 12 pounds. The home is Port 13. The crew is 14."
CHUNKS = {"c": Chunk("c", "d", (Span(1, 0, len(TEXT)),), TEXT)}
DOCUMENTS = {"d": Document("d", "d.pdf", "the report")}


def pair(name: str, answer: str) -> QAPair:
    return QAPair(name, f"What is the {name}?", answer, "d", "c", (), "fact", "model", "train")


PAIRS = [pair("wing", "11 feet"), pair("mass", "99 stones"), pair("home", "Port 13"), pair("crew", "15")]


def judge() -> tuple[Confidence, ScriptedGenerator]:
    """Every sampled answer is the right one; asked for a verdict, it holds the crew's answer for uncertain."""
    right = {"wing": "11 feet", "mass": "12 pounds", "home": "Port 13", "crew": "14"}

    def reply(prompt: Prompt, adapter: str | None) -> str:
        asked = prompt[-1].content
        name = asked.split("What is the ")[1].split("?")[0]
        if "Proposed answer" in asked:
            return "C" if name == "crew" else "B" if name == "mass" else "A"
        return right[name]

    generator = ScriptedGenerator(reply)
    return Confidence(Reader(Calls(generator)), samples=1, temperature=0.0), generator


def test_the_least_confident_share_is_left_out_least_first():
    found = most_confident(PAIRS, CHUNKS, DOCUMENTS, judge()[0], 0.5, Silent())
    assert [(p.id, p.scores["confidence"]) for p in found.kept] == [("wing", 1.0), ("home", 1.0)]
    assert [(p.id, p.scores["confidence"]) for p in found.dropped] == [("mass", 0.0), ("crew", 0.15)]
    assert found.not_judged == 0


def test_the_share_is_rounded_down_and_of_equals_the_smaller_id_goes():
    found = most_confident(PAIRS[::2], CHUNKS, DOCUMENTS, judge()[0], 0.5, Silent())
    assert [p.id for p in found.dropped] == ["home"]
    assert most_confident(PAIRS[:3], CHUNKS, DOCUMENTS, judge()[0], 0.3, Silent()).dropped == ()


def test_a_share_of_0_asks_nothing_and_1_is_refused():
    confidence, generator = judge()
    found = most_confident(PAIRS, CHUNKS, DOCUMENTS, confidence, 0.0, Silent())
    assert (found.kept, found.dropped, found.not_judged) == (tuple(PAIRS), (), 4)
    assert generator.calls == []
    with pytest.raises(ValueError, match="below 1"):
        most_confident(PAIRS, CHUNKS, DOCUMENTS, confidence, 1.0, Silent())


def test_what_people_wrote_what_was_derived_and_what_cannot_be_judged_is_kept():
    mass = PAIRS[1]
    kept = [
        replace(mass, id="person", author="Ann"),
        replace(mass, id="derived", origin=ORIGIN),
        replace(mass, id="gone", chunk="no more"),
        replace(mass, id="leaning", after=("What is the wing?",)),
    ]
    found = most_confident([*kept, mass], CHUNKS, DOCUMENTS, judge()[0], 0.9, Silent())
    assert found.kept == tuple(kept)
    assert [p.id for p in found.dropped] == ["mass"]
    assert found.not_judged == 4
