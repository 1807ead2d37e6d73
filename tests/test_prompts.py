import pytest

from fieldguide import prompts
from fieldguide.replies import REFUSAL
from fieldguide.types import Chunk, Context, ScoredChunk


def passage(name: str, text: str, context: str = "") -> ScoredChunk:
    return ScoredChunk(Chunk(name, "doc", (), text, (), context), 0.5, 1)


def test_passages_are_numbered_in_the_order_shown():
    context = Context((passage("b", "second best", "Report B"), passage("a", "best")), "reverse")
    system, user = prompts.answer_prompt("Which?", context)
    assert (system.role, user.role) == ("system", "user")
    assert user.content == "[1] Report B\nsecond best\n\n[2]\nbest\n\nQuestion: Which?"


def test_closed_book_has_no_passages_and_the_same_instruction_but_for_how_to_refuse():
    closed = prompts.answer_prompt("Which?", None)
    assert closed[1].content == "Question: Which?"
    shown = prompts.answer_prompt("Which?", Context((passage("a", "best"),), "rank"))
    assert shown[0].content == f"{closed[0].content} If the answer is not there, reply only: {REFUSAL}."


def test_braces_in_values_survive():
    context = Context((passage("a", "f{x} {question} {{y}} {passages}", "{context}"),), "rank")
    user = prompts.answer_prompt("What is {text}?", context)[1].content
    assert user == "[1] {context}\nf{x} {question} {{y}} {passages}\n\nQuestion: What is {text}?"


def test_a_slot_without_a_value_is_an_error():
    with pytest.raises(KeyError, match="question"):
        prompts.fill("answer_closed_book")


def test_an_adapters_prompts_hold_the_passage_before_what_is_asked():
    written = prompts.write_prompt("Report {1}", "text {2}", "A sentence.")
    read = prompts.read_prompt("Report {1}", "text {2}", "What?")
    assert written[0] == read[0]
    shared = "Text from Report {1}:\ntext {2}\n\n"
    assert written[1].content == f"{shared}Write an answer and its question from this sentence of the text: A sentence."
    assert read[1].content == f"{shared}Answer this question with words of the text: What?"


@pytest.mark.parametrize("name", ["adapter_system", "adapter_write", "adapter_read"])
def test_an_adapters_hash_changes_with_every_file(monkeypatch, name):
    before, load = prompts.question_adapter_hash(), prompts.load
    monkeypatch.setattr(prompts, "load", lambda asked: load(asked) + ("!" if asked == name else ""))
    assert prompts.question_adapter_hash() != before


@pytest.mark.parametrize("name", ["answer_system", "answer_with_passages", "answer_closed_book"])
def test_hash_changes_with_every_file(monkeypatch, name):
    before, load = prompts.answer_prompt_hash(), prompts.load
    assert prompts.answer_prompt_hash() == before
    monkeypatch.setattr(prompts, "load", lambda asked: load(asked) + ("!" if asked == name else ""))
    assert prompts.answer_prompt_hash() != before


def test_hash_changes_with_the_layout_of_a_passage_and_not_with_the_question_prompts(monkeypatch):
    before, load = prompts.answer_prompt_hash(), prompts.load
    monkeypatch.setattr(prompts, "load", lambda asked: load(asked) + ("!" if asked.startswith("question") else ""))
    assert prompts.answer_prompt_hash() == before
    monkeypatch.setattr(prompts, "passage_text", lambda number, chunk: f"({number}) {chunk.text}")
    assert prompts.answer_prompt_hash() != before
