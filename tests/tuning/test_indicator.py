from __future__ import annotations

from fieldguide.models.base import Message
from fieldguide.models.scripted import ScriptedGenerator
from fieldguide.prompts import answer_prompt
from fieldguide.prompts.indicator import MARK, marked
from fieldguide.types import Chunk, Context, QAPair, ScoredChunk, Silent
from tuning.examples import Example
from tuning.indicator import indicated, known_without
from tuning.own_answers import judged

CONTEXT = Context((ScoredChunk(Chunk("c", "d", (), "It is 41."), 1.0, 1),), "rank")


def pair(name: str, answer: str) -> QAPair:
    return QAPair(name, f"What is {name}?", answer, "d", "c", (), "fact", "rules", "train", answerable=bool(answer))


def test_the_mark_stands_behind_the_question_and_changes_nothing_before_it():
    prompt = answer_prompt("What?", CONTEXT)
    assert marked(prompt) == (prompt[0], Message("user", f"[1]\nIt is 41.\n\nQuestion: What?\n{MARK}"))


def test_only_replies_that_depend_on_passages_are_marked():
    golds = ["retrieved", "inserted", "removed", "absent", "missing", "none", "replay"]
    examples = [Example(gold, answer_prompt("What?", CONTEXT), "41", gold, n) for n, gold in enumerate(golds)]
    found = indicated(examples, known=["inserted"])
    assert [e.pair for e, before in zip(found, examples, strict=True) if e != before] == [
        "retrieved", "removed", "absent",
    ]  # fmt: skip
    assert found[0].prompt == marked(examples[0].prompt)


def test_known_is_what_the_model_answers_right_without_passages():
    pairs = [pair("a", "41"), pair("b", "42"), pair("c", ""), pair("d", "43")]
    replies = {"a": "It is 41.", "b": "43", "d": "43 " * 9}
    generator = ScriptedGenerator({f"Question: What is {name}?": reply for name, reply in replies.items()})
    assert known_without(pairs, generator, 5, Silent()) == {"a"}
    assert [prompt for prompt, _ in generator.calls] == [answer_prompt(p.question, None) for p in pairs if p.answer]


def test_the_mark_does_not_disturb_the_judge():
    example = Example("p", marked(answer_prompt("Where in Rome?", CONTEXT)), "the forum", "retrieved", 0)
    assert judged(example, "In Rome, the forum")
    assert not judged(example, "In Paris, the forum")
