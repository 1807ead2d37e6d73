from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldguide.models.base import Message, Prompt
from fieldguide.models.scripted import ScriptedGenerator
from fieldguide.prompts import answer_prompt
from fieldguide.replies import REFUSAL, target
from fieldguide.types import Silent
from tuning.examples import Example
from tuning.own_answers import Counts, answered, is_right, judged, own_answers, question_of


def example(question: str, completion: str, group: int = 0, gold: str = "retrieved") -> Example:
    return Example(f"pair {question}", answer_prompt(question, None), completion, gold, group)


def by_question(replies: dict[str, str]) -> ScriptedGenerator:
    return ScriptedGenerator({f"Question: {question}": reply for question, reply in replies.items()})


@pytest.mark.parametrize(
    ("said", "gold", "question"),
    [
        ("31 minutes", "31 minutes", ""),
        ("The 31 minutes.", "31 minutes", ""),
        ("It had taken off from Chalon.", "Chalon", ""),
        ("The Reims took off from Chalon.", "Chalon", "Where had the Reims taken off?"),
        ("a loss of directional control in landing", "loss of directional control during landing", ""),
        ("No, it was not.", "No", "Was the crew injured?"),
        ("Not in the documents.", "", ""),
        ("not in the documents", REFUSAL, ""),
    ],
)
def test_an_answer_that_says_the_same_is_right(said, gold, question):
    assert is_right(said, gold, question)


@pytest.mark.parametrize(
    ("said", "gold", "question"),
    [
        ("13 minutes", "31 minutes", ""),
        ("The flight took 31 or 32 minutes", "31 minutes", ""),
        ("Chalon or Lyon", "Chalon", ""),
        ("The Reims took off from Chalon.", "Chalon", "Where had the airplane taken off?"),
        ("not structural icing of the wing", "structural icing of the wing", ""),
        ("structural icing of the tail", "structural icing on one wing", ""),
        ("It was in Chalon that the pilot had taken off on that day", "Chalon", ""),
        ("", "Chalon", ""),
        ("Not in the documents", "Chalon", ""),
        ("Chalon", "", ""),
        ("Yes", "No", ""),
    ],
)
def test_an_answer_that_says_something_else_or_too_much_is_wrong(said, gold, question):
    assert not is_right(said, gold, question)


@given(st.text("abcde 0123", min_size=1), st.text("abcde 0123"))
def test_every_answer_says_what_it_says_itself_and_no_more_room_makes_none_right(gold, said):
    if gold.strip():
        assert is_right(gold, gold)
    if is_right(said, gold, extra_words=0):
        assert is_right(said, gold, extra_words=5)
    if is_right(said, gold, f1=0.9):
        assert is_right(said, gold, f1=0.5)


def test_the_models_own_right_answers_become_the_targets_and_all_is_counted():
    examples = [
        example("How long?", "31 minutes"),
        example("Where from?", "Chalon"),
        example("Who?", "Ann Lee"),
        example("What color?", REFUSAL, gold="removed"),
        example("Which way?", "north"),
    ]
    generator = by_question(
        {
            "How long?": "about 31 minutes",
            "Where from?": "Chalon",
            "Who?": "Bob Ray",
            "What color?": "Not in the documents!",
            "Which way?": "north of the river and then always along it",
        }
    )
    out, counts = own_answers(examples, generator, 8, Silent())
    assert [e.completion for e in out] == ["about 31 minutes", "Chalon", "Ann Lee", REFUSAL, "north"]
    assert [replace(e, completion="") for e in out] == [replace(e, completion="") for e in examples]
    assert counts == Counts(examples=5, right=3, replaced=1, cut_off=1, no_room=0)
    assert {adapter for _, adapter in generator.calls} == {None}


@pytest.mark.parametrize("style", ["answer", "marked", "reasoned"])
def test_the_style_of_a_target_stays(style):
    quote = "It took 31 minutes to land."
    given = example("How long?", target(style, "31 minutes", 2, quote))
    out, counts = own_answers([given], by_question({"How long?": "It took 31 minutes"}), 8, Silent())
    assert out[0].completion == target(style, "It took 31 minutes", 2, quote)
    assert (counts.right, counts.replaced) == (1, 1)


def test_a_right_answer_in_several_lines_or_a_prompt_without_room_keeps_the_gold_answer():
    long = Example("long", (Message("user", "word " * 50),), "31 minutes", "none", 1)
    examples = [example("How long?", "31 minutes"), long]
    generator = ScriptedGenerator(["31\nminutes"], context_tokens=50)
    out, counts = own_answers(examples, generator, 8, Silent())
    assert out == examples
    assert counts == Counts(examples=2, right=0, replaced=0, cut_off=0, no_room=1)
    assert [prompt for prompt, _ in generator.calls] == [examples[0].prompt]


def test_the_shortest_prompts_are_answered_first_and_each_reply_keeps_its_place():
    def reply(prompt: Prompt, adapter: str | None) -> str:
        return str(len(prompt[-1].content.split()))

    examples = [example("a b c?", "1"), example("a?", "2"), example("a b?", "3")]
    assert [(n, g.text) for n, g in answered(examples, ScriptedGenerator(reply), 4, None, Silent())] == [
        (1, "2"), (2, "3"), (0, "4"),
    ]  # fmt: skip


def test_an_adapter_to_start_from_gives_the_answers(tmp_path):
    (tmp_path / "adapter_model.safetensors").write_bytes(b"weights")
    generator = ScriptedGenerator(lambda prompt, adapter: "31 minutes, about" if adapter else "32")
    key = generator.load_adapter(tmp_path)
    out, counts = own_answers([example("How long?", "31 minutes")], generator, 8, Silent(), adapter=key)
    assert (out[0].completion, counts.replaced) == ("31 minutes, about", 1)


def test_the_question_is_the_last_paragraph_of_the_prompt():
    given = Example("p", (Message("user", "[1] a\nb\n\nc\n\nQuestion: Where?"),), "x", "retrieved", 0)
    assert question_of(given) == "Question: Where?"


def test_a_reply_of_any_style_is_judged_by_its_answer():
    given = example("How long?", "31 minutes")
    assert judged(given, "[2] says: “It took 31 minutes.”\nAnswer: 31 minutes")
    assert judged(given, "31 minutes [1]")
    assert not judged(given, "[2] says: “It took 31 minutes.”\nAnswer: 13 minutes")
    assert not judged(given, REFUSAL)
    assert not judged(example("How long?", REFUSAL), "31 minutes")
