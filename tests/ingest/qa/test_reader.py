"""The reader of the round trip: what it is asked, how answers are compared, which pairs fall and why."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldguide.models.scripted import ScriptedGenerator
from fieldguide.prompts import read_prompt
from fieldguide.settings import Questions
from fieldguide.types import Chunk
from ingest.qa.calls import Calls
from ingest.qa.drafts import Draft
from ingest.qa.reader import (
    GIVEN_AWAY,
    NO_ANSWER,
    OTHERWISE,
    TOO_LONG,
    Asked,
    Reader,
    RoundTrip,
    agreement,
    asked_of,
    join_lines,
    plain,
    refuse_unread,
    round_trip,
    semantic_agreement,
)

TEXT = "The bridge at Celle was opened on 3 May 1931. It was closed to lorries in 2004."
WHEN = Asked("When was the bridge at Celle opened?", "Celle bridge", TEXT)


def scripted(with_text, without="no idea", **options):
    """A generator that answers one thing where it sees a passage and another where it does not."""
    return ScriptedGenerator(lambda p, a: with_text if "Text from" in p[-1].content else without, **options)


@pytest.fixture
def adapter(tmp_path):
    (tmp_path / "adapter_model.safetensors").write_bytes(b"weights")
    return tmp_path


def test_an_adapter_reads_by_the_prompt_it_was_trained_with(adapter):
    generator = scripted("3 May 1931")
    name = generator.load_adapter(adapter)
    assert Reader(Calls(generator), name).read([WHEN]) == ["3 May 1931"]
    assert generator.calls == [(read_prompt("Celle bridge", TEXT, WHEN.question), name)]


def test_without_a_passage_the_plain_model_is_asked(adapter):
    generator = scripted("3 May 1931", "In 1900, I think.")
    reader = Reader(Calls(generator), generator.load_adapter(adapter))
    assert reader.read([Asked(WHEN.question, "", None)]) == ["In 1900, I think."]
    (prompt, active), *_ = generator.calls
    assert active is None
    assert "Celle opened?" in prompt[-1].content
    assert "1931" not in prompt[-1].content


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        ("3 May 1931", "3 May 1931"),
        ("\n Answer: 3 May 1931\nbecause the text says so", "3 May 1931"),
        ("The answer is: 3 May 1931", "3 May 1931"),
        ("Not in the text.", ""),
        ("not in the text, sorry", ""),
        ("not in the report", ""),
        ("It is not mentioned in the passage.", ""),
        ("not in the garden", "not in the garden"),
        ("", ""),
    ],
)
def test_replies_are_read_as_answers(reply, said):
    assert Reader(Calls(scripted(reply))).read([WHEN]) == [said]


def test_answers_come_in_the_order_asked():
    generator = ScriptedGenerator(lambda p, a: p[-1].content.rsplit(" ", 1)[-1])
    asked = [Asked("say one", "d", TEXT), Asked("say two", "", None), Asked("say three", "d", TEXT)]
    assert [answer.split()[-1] for answer in Reader(Calls(generator)).read(asked)] == ["one", "two", "three"]


@pytest.mark.parametrize(
    ("said", "answer", "expected"),
    [
        ("Chalon", "Chalon (LFLH)", 1.0),
        ("on 3 May 1931", "3 May 1931", 1.0),
        ("two girders", "Two girders.", 1.0),
        ("1931", "2004", 0.0),
        ("35", "5", 0.0),
        ("", "1931", 0.0),
        ("", "", 1.0),
        ("red and blue", "blue and green", 2 / 3),
        ("it was opened on a fine day in May and closed again later", "May", 2 / 13),
    ],
)
def test_agreement_values(said, answer, expected):
    assert agreement(said, answer) == pytest.approx(expected)


@given(st.text(max_size=40), st.text(max_size=40))
def test_agreement_is_symmetric_and_between_0_and_1(a, b):
    assert 0.0 <= agreement(a, b) == agreement(b, a) <= 1.0


class Turned:
    """An embedder by a table of angles."""

    def __init__(self, **degrees):
        self.degrees = degrees

    def embed(self, texts):
        turns = np.radians([self.degrees[text] for text in texts])
        return np.stack([np.cos(turns), np.sin(turns)], axis=1).astype("float32")


def test_meaning_raises_agreement_but_not_over_a_different_number():
    embedder = Turned(lorry=0, truck=60)
    pairs = [("lorry", "truck"), ("5 lorries", "6 lorries"), ("", "truck")]
    assert semantic_agreement(embedder, pairs) == pytest.approx([0.5, 0.5, 0.0])


def reasons(generator, answers, **options):
    settings = {"threshold": 0.5, **options}
    return [r.reason for r in round_trip(Reader(Calls(generator)), [WHEN] * len(answers), answers, **settings)]


def test_round_trip_reasons():
    assert reasons(scripted("3 May 1931"), ["3 May 1931", "2004"]) == ["", OTHERWISE]
    assert reasons(scripted("not in the text"), ["3 May 1931", ""]) == [NO_ANSWER, ""]
    assert reasons(scripted("3 May 1931"), [""]) == [OTHERWISE]


def test_what_is_answered_without_the_passage_falls():
    knows = scripted("3 May 1931", "It was opened on 3 May 1931.")
    assert reasons(knows, ["3 May 1931"]) == [GIVEN_AWAY]
    assert reasons(knows, ["3 May 1931"], dependency=False) == [""]
    half = round_trip(Reader(Calls(scripted("3 May 1931", "May"))), [WHEN], ["3 May 1931"], threshold=0.5)
    assert half == [RoundTrip("3 May 1931", 1.0, 0.5, "")]


def test_yes_and_no_are_not_asked_without_the_passage_and_not_of_an_adapter(adapter):
    generator = scripted("Yes", "Yes")
    assert reasons(generator, ["yes"]) == [""]
    assert len(generator.calls) == 1
    reader = Reader(Calls(generator), generator.load_adapter(adapter))
    assert round_trip(reader, [WHEN], ["No"], threshold=0.5) == [RoundTrip("", None, None, "")]
    assert len(generator.calls) == 1


def test_a_passage_that_does_not_fit_is_said_to_be_too_long():
    generator = scripted("x", context_tokens=60)
    assert reasons(generator, ["3 May 1931"]) == [TOO_LONG]
    assert generator.calls == []


def test_the_passage_is_shown_under_its_place_without_hard_line_breaks():
    lines = "The pilot reported that he had lost all power in\nthe engine.\n\nAge: 61\nSeats: 2"
    asked = asked_of("Why?", [Chunk("c", "d", (), lines, (), "A > B")], "Title")
    text = "The pilot reported that he had lost all power in the engine.\n\nAge: 61\nSeats: 2"
    assert asked == Asked("Why?", "A > B", text)
    bare = Chunk("c", "d", (), "x", (), "")
    assert asked_of("Why?", [bare, bare], "Title") == Asked("Why?", "Title", "x\n\nx")


def test_drafts_are_refused_with_a_reason_and_scored():
    chunk = Chunk("c", "d", (), TEXT, (), "")
    drafts = [
        Draft(WHEN.question, "3 May 1931", TEXT, "date"),
        Draft(WHEN.question, "2004", TEXT, "date"),
        Draft("Who was the mayor?", "", "", "unanswerable", answerable=False),
    ]
    given = [(draft, [chunk], "Celle bridge") for draft in drafts]
    reader = Reader(Calls(scripted("3 May 1931", "1931")))
    assert refuse_unread(reader, given, Questions()) == [
        ("", {"round_trip": 1.0, "closed_book": 0.5}),
        (OTHERWISE, {"round_trip": 0.0}),
        (OTHERWISE, {"round_trip": 0.0}),
    ]
    assert refuse_unread(reader, given, Questions(round_trip=0)) == [("", {})] * 3


def test_a_double_spaced_paragraph_is_one_and_a_list_item_is_its_own():
    text = "This Court has original jurisdiction over this\n\naction in Michigan,\n\n4. Venue is\n\nproper."
    assert plain(text) == "This Court has original jurisdiction over this action in Michigan,\n\n4. Venue is proper."


@given(st.text(alphabet="ab A.:,\n1", max_size=80))
def test_joined_lines_keep_every_character_in_its_place(text):
    joined = join_lines(text)
    assert len(joined) == len(text)
    assert all(a == b or (a in "\n " and b == " ") for a, b in zip(text, joined, strict=True))


def test_the_id_names_model_and_adapter():
    generator = scripted("x")
    ids = {Reader(Calls(generator)).id, Reader(Calls(generator), "a").id, Reader(Calls(scripted("x", base="b"))).id}
    assert len(ids) == 3
    assert Reader(Calls(scripted("y"))).id == Reader(Calls(generator)).id
