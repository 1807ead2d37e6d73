import pytest

from fieldguide.models.scripted import ScriptedGenerator
from fieldguide.types import Chunk, Document
from ingest.drafts import Draft, Rejection
from ingest.model_source import _EXAMPLE_REPLY, ModelSource

DOCUMENTS = {"d": Document("d", "a.pdf", "Wing manual")}


def chunk(text, context="Report 7"):
    return Chunk("c", "d", (), text, (), context)


TREE = chunk("It flew low. The right wing hit a tree. It landed at 10:45 a.m. on Friday.")


def draft(reply, per_chunk=8, given=TREE):
    ((drafts, rejections),) = ModelSource(ScriptedGenerator([reply]), per_chunk, 0).draft(DOCUMENTS, [given])
    return drafts, rejections


def test_blocks_become_drafts_with_kind_and_quote():
    drafts, rejections = draft(
        "Sure!\nQuestion: What did the right wing hit?\nAnswer: a tree.\n\n"
        "question:  When did it land? \n  ANSWER:  10:45 \nQuestion: Why did it fall?\nAnswer: a bird\n"
        "Question: How many?\nand no answer\nQuestion: How far did it fly?\nAnswer: low"
    )
    assert drafts == [
        Draft("What did the right wing hit?", "a tree", "The right wing hit a tree.", "fact"),
        Draft("When did it land?", "10:45", "It landed at 10:45 a.m. on Friday.", "date"),
        Draft("Why did it fall?", "a bird", "", "cause"),
        Draft("How far did it fly?", "low", "It flew low.", "quantity"),
    ]
    assert rejections == []


@pytest.mark.parametrize("reply", ["", "I cannot do that.", "Question: What?\nQuestion: Which?", "Answer: a tree"])
def test_a_reply_without_blocks_is_rejected_and_kept(reply):
    assert draft(reply) == ([], [Rejection("reply without question and answer", reply)])


def test_repeats_of_the_example_are_rejected():
    drafts, rejections = draft(f"{_EXAMPLE_REPLY}\nQuestion: What did the wing hit?\nAnswer: a tree")
    assert [d.question for d in drafts] == ["What did the wing hit?"]
    assert rejections == [
        Rejection("repeats the example", "When was the bridge over the Aller at Celle opened?"),
        Rejection("repeats the example", "Why was the bridge at Celle closed to lorries?"),
    ]


def test_at_most_per_chunk():
    reply = "\n".join(f"Question: Is it {n}?\nAnswer: {n}" for n in range(5))
    drafts, rejections = draft(reply, per_chunk=3)
    assert [d.answer for d in drafts] == ["0", "1", "2"]
    assert rejections == [Rejection("more than questions.per_chunk", f"Is it {n}?") for n in (3, 4)]


def test_each_chunk_is_asked_with_the_example_and_its_context_or_title():
    generator = ScriptedGenerator(["Question: Is it a?\nAnswer: a", "nothing"])
    source = ModelSource(generator, 8, 0)
    found = source.draft(DOCUMENTS, [chunk("text one"), chunk("text two", context="")])
    assert [len(drafts) for drafts, _ in found] == [1, 0]
    (first, _), (second, _) = generator.calls
    assert [message.role for message in first] == ["system", "user", "assistant", "user"]
    assert first[2].content == _EXAMPLE_REPLY
    assert first[3].content.startswith("Text from Report 7:\ntext one\n\n")
    assert second[3].content.startswith("Text from Wing manual:\ntext two\n\n")


def test_id_names_everything_that_decides_the_drafts():
    ids = {
        ModelSource(ScriptedGenerator([""], base=base), per_chunk, seed, tokens).id
        for base in ("a", "b")
        for per_chunk in (4, 8)
        for seed in (0, 1)
        for tokens in (100, 160)
    }
    assert len(ids) == 16
    same = [ModelSource(ScriptedGenerator([""]), 8, 0).id for _ in range(2)]
    assert same[0] == same[1]


def test_a_chunk_that_does_not_fit_is_rejected_and_the_others_go_on():
    reply = "Question: What did the right wing hit?\nAnswer: a tree"
    source = ModelSource(ScriptedGenerator(lambda prompt, adapter: reply, context_tokens=400), 8, 0)
    long, short = source.draft(DOCUMENTS, [chunk("word " * 600), TREE])
    assert long == ([], [Rejection("chunk too long for the model", "240 tokens fit")])
    assert [draft.answer for draft in short[0]] == ["a tree"]
