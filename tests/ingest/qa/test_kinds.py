from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldguide.types import Chunk
from ingest.qa.kinds import ASKED, allot, carries, described, kind_of, level_of, plain_answer

RICH = (
    "A flap is a surface, called slat, plate, and wing. It fails because of 3 faults in May 2019, which is more than "
    "before. First remove it.\nPart | Load | Limit\nSlat | 3 | 4\n"
)


def chunk(name, text=RICH):
    return Chunk(name, "d", (), text)


def asked(mix, text=RICH, count=5, chunks=400):
    return Counter(kind for n in range(chunks) for kind in allot(chunk(str(n), text), count, mix, 0))


EVEN = {"fact": 1 / 0.7, "quantity": 1 / 0.7, "yes/no": 2, "table lookup": 1 / 3}
"""A mix that asks this text for every kind alike."""


def test_kinds_come_up_as_their_weights_say():
    found = asked(EVEN)
    assert all(abs(found[kind] - 200) <= 12 for kind in ASKED)
    found = asked(EVEN | {"cause": 4, "yes/no": 0})
    assert found["yes/no"] == 0
    assert abs(found["cause"] - 2000 * 4 / 12) <= 40
    assert abs(found["fact"] - 2000 / 12) <= 20


def test_a_text_without_hints_is_asked_for_other_kinds_less_and_never_for_a_table():
    found = asked({}, text="Der Flügel ist rot und weich")
    assert found["table lookup"] == 0
    assert found["fact"] > 4 * found["cause"] > 0


@given(
    st.text(max_size=20),
    st.integers(1, 12),
    st.integers(0, 9),
    st.dictionaries(st.sampled_from(ASKED), st.floats(0, 9)),
)
def test_an_allotment_is_whole_repeatable_and_wanted(name, count, seed, mix):
    kinds = allot(chunk(name), count, mix, seed)
    assert kinds == allot(chunk(name), count, mix, seed)
    assert len(kinds) in (0, count)
    assert all(mix.get(kind, 1) > 0 for kind in kinds)
    assert [ASKED.index(kind) for kind in kinds] == sorted(ASKED.index(kind) for kind in kinds)


def test_no_kind_is_wanted():
    assert allot(chunk("a"), 3, dict.fromkeys(ASKED, 0.0), 0) == []


def test_carries():
    often = {"fact": 0.7, "quantity": 0.7, "yes/no": 0.5, "table lookup": 3.0}
    assert {kind: carries(kind, RICH) for kind in ASKED} == dict.fromkeys(ASKED, 1.0) | often
    plain = {kind: round(carries(kind, "The wing was red"), 3) for kind in ASKED}
    faint = dict.fromkeys(["definition", "date", "list", "comparison", "procedure", "cause"], 0.15)
    assert plain == faint | {"quantity": 0.105, "fact": 0.7, "yes/no": 0.5, "table lookup": 0.0}


@pytest.mark.parametrize(
    ("named", "question", "answer", "kind"),
    [
        ("fact", "Was it red?", "Yes", "yes/no"),
        ("fact", "Was it red?", "no, it was blue", "yes/no"),
        ("yes/no", "What was damaged?", "No part of the wing", "fact"),
        ("yes/no", "What was it?", "red", "fact"),
        ("Date", "In which month did it fall?", "May 2019", "date"),
        ("date", "Where did it fall?", "Celle", "fact"),
        ("quantity", "What is its load?", "3 kg", "quantity"),
        ("quantity", "What is its colour?", "red", "fact"),
        ("", "How many were there?", "three", "quantity"),
        ("yes/no", "Was it red?", "", "yes/no"),
        ("comparison", "What is the most reliable method?", "to measure", "fact"),
        ("comparison", "Which is higher, the wing or the tail?", "the tail", "comparison"),
        ("procedure", "Which method is used?", "rinsing", "fact"),
        ("procedure", "How is it cleaned?", "by rinsing", "procedure"),
        ("definition", "Who flew it?", "Ann Lee", "fact"),
        ("definition", "Quid est ala?", "pars", "definition"),
        ("list", "Which parts are there?", "one", "fact"),
        ("list", "Which parts are there?", "wing, tail", "list"),
        ("quantity", "What is its load?", "", "quantity"),
        ("list", "Why did it fall?", "ice", "cause"),
        ("table lookup", "What is the load?", "3", "fact"),
        ("follow-up", "What is a flap?", "a surface", "fact"),
        ("definition", "What is a flap?", "a surface", "definition"),
    ],
)
def test_kind_of(named, question, answer, kind):
    assert kind_of(named, question, answer, "no table") == kind


def test_table_lookup_needs_a_table():
    assert kind_of("table lookup", "What is the load of the slat?", "3", RICH) == "table lookup"


@pytest.mark.parametrize(
    ("named", "kind", "found", "level"),
    [
        ("Implicit fact", "fact", True, "implicit fact"),
        ("", "fact", True, "explicit fact"),
        ("easy", "fact", False, "implicit fact"),
        ("", "yes/no", False, "explicit fact"),
    ],
)
def test_level_of(named, kind, found, level):
    assert level_of(named, kind, found) == level


def test_described():
    assert described(["fact", "cause", "cause"]) == "fact, cause (2)"


@pytest.mark.parametrize(
    ("kind", "answer", "plain"),
    [
        ("yes/no", "no, it was blue", "No"),
        ("yes/no", "Yes.", "Yes"),
        ("yes/no", "maybe", "maybe"),
        ("fact", "yes", "yes"),
    ],
)
def test_plain_answer(kind, answer, plain):
    assert plain_answer(kind, answer) == plain
