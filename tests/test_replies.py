import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldguide.printable import visible
from fieldguide.replies import REFUSAL, Reply, is_refusal, read_reply, room, target


@pytest.mark.parametrize(
    ("style", "written"),
    [
        ("answer", "12 feet"),
        ("marked", "12 feet [2]"),
        ("reasoned", "[2] says: “The wing is 12 feet.”\nAnswer: 12 feet"),
    ],
)
def test_what_is_taught_in_each_style_is_read_back(style, written):
    said = target(style, "12 feet", 2, "The wing is\n  12 feet.")
    assert said == written
    reply = read_reply(said)
    assert (reply.answer, reply.refused) == ("12 feet", False)
    assert reply.marks == (() if style == "answer" else (2,))


def test_without_passages_or_answer_there_is_nothing_to_mark():
    assert target("reasoned", "12 feet", None, "") == "12 feet"
    assert target("reasoned", "", 2, "quote") == target("answer", "", None, "") == REFUSAL


@pytest.mark.parametrize("text", ["not in the documents", "Not in the documents.", " NOT in the\ndocuments! [3]"])
def test_a_refusal_is_read_whatever_its_case_and_marks(text):
    reply = read_reply(text)
    assert (reply.refused, reply.answer) == (True, "")


@pytest.mark.parametrize("text", ["It is not in the documents that he flew", "in the documents", "", "documents"])
def test_what_only_holds_these_words_is_no_refusal(text):
    assert not is_refusal(text)


def test_a_reply_cut_off_in_its_quote_has_no_answer_and_refuses_nothing():
    assert read_reply("[3] says: “The wing is") == Reply("", False, (3,), "")


def test_marks_come_once_each_in_their_order_and_leave_the_answer():
    assert read_reply("Port 3 [2], or Port 4 [1] [2]") == Reply("Port 3, or Port 4", False, (2, 1))


@given(st.text(st.characters(codec="ascii", exclude_characters='[]"“”'), min_size=1, max_size=40), st.integers(1, 99))
def test_any_plain_answer_survives_every_style(answer, passage):
    plain = " ".join(visible(answer).split())
    for style in ("answer", "marked", "reasoned"):
        reply = read_reply(target(style, plain, passage, "a sentence."))
        if plain and not is_refusal(plain) and not plain.lower().startswith("answer:"):
            assert reply.answer == plain


def test_reasoning_gets_room_before_the_answer():
    assert (room(48, "answer"), room(48, "marked"), room(48, "reasoned")) == (48, 48, 144)
