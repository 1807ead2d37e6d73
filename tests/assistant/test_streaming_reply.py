"""What of a streamed reply is shown: the answer alone, and nothing that has to be taken back."""

import itertools
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assistant.flow import Assistant
from assistant.streaming import Shown, Telling
from fieldguide.models.base import Message
from fieldguide.models.scripted import ScriptedGenerator
from fieldguide.replies import REFUSAL, read_reply, settled
from fieldguide.settings import Answer as Settings
from fieldguide.types import Context

PARTS = [
    "[", "]", "1", "23", "[2]", "[1] says: “", " says: ", "“", "”", '"', "\n", " ", "Answer:", "answer: ", "Ans",
    REFUSAL, "not in", " the documents", "no", "wing", ".", "\u00e9", "\t",
]  # fmt: skip


def shown(raw, size=1):
    """What is written, piece by piece, of a reply that comes in pieces of so many characters."""
    told = []
    reader = Shown(told.append)
    for start in range(0, len(raw), size):
        reader.hear(raw[start : start + size])
    reader.end(read_reply(raw).answer)
    return told


@pytest.mark.parametrize(
    ("raw", "answer"),
    [
        ("12 feet", "12 feet"),
        ("12 feet [2]", "12 feet"),
        ("Port 3 [2], or [1] Port 4", "Port 3, or Port 4"),
        ("[2] says: “The wing is 12 feet.”\nAnswer: 12 feet", "12 feet"),
        ('[2] says: "He said "no" twice."\n12 feet', "12 feet"),
        ("[2] says: “The wing", ""),
        ("[2] 12 feet", "12 feet"),
        ("[2] said so", "said so"),
        ("not in the documents", ""),
        ("Not in the documents. [1]", ""),
        ("Not in the hangar", "Not in the hangar"),
        ("not in the documents but on the wing", "not in the documents but on the wing"),
        ("Answer: 12 feet", "12 feet"),
        ("Ansgar", "Ansgar"),
        ("in 1978 [", "in 1978 ["),
        ("a[1234] b", "a[1234] b"),
        ("1978", "1978"),
        ("", ""),
    ],
)
@pytest.mark.parametrize("size", [1, 2, 5, 100])
def test_the_pieces_are_the_answer(raw, answer, size):
    assert read_reply(raw).answer == answer
    assert "".join(shown(raw, size)) == answer


def test_words_are_shown_as_soon_as_nothing_can_change_them():
    assert shown("The wing [2] is long.", 1) == [*"The", " w", *"ing", " i", "s", " l", *"ong."]
    assert shown("Not in the hangar", 1)[0] == "Not in the h"  # what is before may become the refusal


@given(st.lists(st.sampled_from(PARTS), max_size=12))
def test_nothing_is_shown_that_the_whole_reply_does_not_begin_with(parts):
    raw = "".join(parts)
    answer = read_reply(raw).answer
    told = [settled(raw[:n]) for n in range(len(raw) + 1)]
    assert all(answer.startswith(text) for text in told)
    assert all(later.startswith(text) for text, later in itertools.pairwise(told))
    assert "".join(shown(raw)) == answer


class Finding:
    index_id = "index-1"

    def __init__(self, context):
        self.context = context

    def contexts(self, queries):
        return [self.context for _ in queries]


class Plain:
    """A generator that cannot stream."""

    def __init__(self, generator):
        self.id, self.generate = generator.id, generator.generate


def assistant(pages, generator, *texts):
    made = pages(*texts)
    return Assistant(Finding(made.context), generator, None, made.documents, Settings())


@pytest.mark.parametrize("kind", [lambda generator: generator, Plain])
@pytest.mark.parametrize(
    "reply", ["12 feet [1]", "[1] says: “The wing is 12 feet long.”\nAnswer: 12 feet", "not in the documents"]
)
def test_a_streamed_answer_is_the_answer_given_at_once(pages, kind, reply):
    asked = assistant(pages, kind(ScriptedGenerator([reply])), "The wing is 12 feet long.")
    told = []
    answer = asked.stream("How long is the wing?", told.append)
    again = asked.answer(["How long is the wing?"])[0]
    assert "".join(told) == answer.text == again.text == read_reply(reply).answer
    assert [c.statement for c in answer.citations] == [c.statement for c in again.citations]
    assert (answer.abstained, answer.trace.finish) == (again.abstained, "stop")
    assert set(answer.trace.seconds) == {"retrieve", "generate"}


def test_the_answer_comes_in_pieces(pages):
    told = []
    assistant(pages, ScriptedGenerator(["The wing is long [1]"]), "The wing is long.").stream("How?", told.append)
    assert told == ["The", " wing", " is", " long"]


def test_without_passages_nothing_is_generated_and_nothing_told(pages):
    generator = ScriptedGenerator(["never"])
    asked = Assistant(Finding(Context((), "rank")), generator, None, {}, Settings())
    answer = asked.stream("How?", lambda text: pytest.fail(text))
    assert (answer.text, answer.abstained, generator.calls) == ("", True, [])


PROMPT = (Message("user", "How?"),)


def test_only_a_single_greedy_reply_is_told_and_only_one():
    told = []
    telling = Telling(ScriptedGenerator(["not in the documents", "one two", "three"]), Shown(told.append))
    assert telling.generate([PROMPT], max_new_tokens=9)[0].text == "not in the documents"
    assert told == []
    telling.generate([PROMPT], max_new_tokens=9, temperature=1.0)
    telling.generate([PROMPT, PROMPT], max_new_tokens=9)
    telling.generate([PROMPT], max_new_tokens=9, stop=["x"])
    assert told == []
    assert telling.generate([PROMPT], max_new_tokens=9)[0].text == "three"
    assert telling.generate([PROMPT], max_new_tokens=9)[0].text == "not in the documents"
    assert telling.generate([PROMPT], max_new_tokens=9)[0].text == "one two"
    assert told == ["three"]


def test_reused_tokens_are_in_the_trace(pages):
    class Reusing(ScriptedGenerator):
        def stream(self, prompt, **options):
            return replace(super().stream(prompt, **options), reused_tokens=7)

    asked = assistant(pages, Reusing(["long"]), "The wing is long.")
    assert asked.stream("How?", lambda text: None).trace.reused_tokens == 7
    assert asked.answer(["How?"])[0].trace.reused_tokens == 0
