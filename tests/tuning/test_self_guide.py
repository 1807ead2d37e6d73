from __future__ import annotations

from collections.abc import Sequence

import pytest

from fieldguide.models.base import Message, Prompt
from fieldguide.models.scripted import ScriptedGenerator
from fieldguide.prompts import load
from fieldguide.types import Chunk, Context, Evidence, QAPair, ScoredChunk, Silent, Span, Split
from tuning.self_guide import (
    ANSWER_LENGTH,
    ASKED,
    CUT_OFF,
    KEPT_FOR_TESTS,
    ORIGIN,
    QUESTION_LENGTH,
    REFUSED,
    TOO_LONG,
    Lengths,
    self_guide,
)
from tuning.worked_examples import write_prompt

OIL = "The Nord pump of the Celle station holds nine litres of mineral oil."
VALVE = "The outlet valve of the Hamlin boiler opens at five bar of pressure."
STAFF = "Ines Vogt has been the operator of the Aller turbine since March 2014."


def chunk(name: str, text: str, document: str = "") -> Chunk:
    return Chunk(name, document or f"doc {name}", (Span(1, 0, len(text)),), text, (), f"Report {name}")


CHUNKS = [chunk("oil", OIL), chunk("valve", VALVE), chunk("staff", STAFF)]


class Finds:
    """Shows for every question the chunk that shares most words with it."""

    k, recipe, index_id = 1, "recipe", "index"

    def contexts(self, queries: Sequence[str]) -> list[Context]:
        found = [max(CHUNKS, key=lambda c: len(set(query.split()) & set(c.text.split()))) for query in queries]
        return [Context((ScoredChunk(one, 1.0, 1),), "rank") for one in found]

    def retrieve(self, queries: Sequence[str], k: int) -> list[list[ScoredChunk]]:
        raise NotImplementedError

    def context(self, ranked: Sequence[ScoredChunk]) -> Context:
        raise NotImplementedError


def student(questions: dict[str, str], answers: dict[str, str], **limits: int) -> ScriptedGenerator:
    """Writes the question of the sentence that it is asked about, and the answer of the question."""

    def reply(prompt: Prompt, adapter: str | None) -> str:
        last = prompt[-1].content
        writes = prompt[0].content == load("self_guide_system")
        return next((text for key, text in (questions if writes else answers).items() if key in last), "")

    return ScriptedGenerator(reply, **limits)


QUESTIONS = {
    OIL: "How much oil does the Nord pump of the Celle station hold?",
    VALVE: "At what pressure does the outlet valve of the Hamlin boiler open?",
    STAFF: "Who has been the operator of the Aller turbine since March 2014?",
}
ANSWERS = {QUESTIONS[OIL]: "nine litres.", QUESTIONS[VALVE]: "five bar", QUESTIONS[STAFF]: "Ines Vogt"}


def run(questions, answers, wanted=10, known=(), retriever=None, **limits):
    generator = student(questions, answers, **limits)
    pairs, rejected = self_guide(CHUNKS, retriever or Finds(), generator, wanted, 0, Silent(), known=known)
    return {p.chunk: p for p in pairs}, {k: n for k, n in rejected.items() if n}, generator


def pair(of: Chunk, question: str, answer: str, split: Split = "train") -> QAPair:
    start = of.text.index(answer)
    evidence = Evidence(of.document, (Span(1, start, start + len(answer)),), answer)
    return QAPair(question, question, answer, of.document, of.id, (evidence,), "fact", "rules", split)


def test_questions_of_each_sentence_with_answers_that_stand_in_it_become_pairs():
    pairs, rejected, generator = run(QUESTIONS, ANSWERS)
    assert {name: (p.question, p.answer) for name, p in pairs.items()} == {
        "oil": (QUESTIONS[OIL], "nine litres"),
        "valve": (QUESTIONS[VALVE], "five bar"),
        "staff": (QUESTIONS[STAFF], "Ines Vogt"),
    }
    assert rejected == {}
    oil = pairs["oil"]
    start = OIL.index("nine litres")
    assert oil.evidence == (Evidence("doc oil", (Span(1, start, start + 11),), "nine litres"),)
    assert (oil.origin, oil.split, oil.kind) == (ORIGIN, "train", "quantity")
    assert {adapter for _, adapter in generator.calls} == {None}
    assert len(generator.calls) == 6


def test_inputs_are_drawn_at_a_temperature_if_that_is_wanted_and_outputs_never():
    generator = student({OIL: QUESTIONS[OIL]}, {QUESTIONS[OIL]: "nine litres"})
    given = {"temperature": 0.5, "languages": {"oil": "fr"}}
    pairs, rejected = self_guide(CHUNKS[:1], Finds(), generator, 1, 7, Silent(), **given)  # type: ignore[arg-type]
    assert (pairs, rejected["not a question"]) == ([], 1)  # "… hold? #7": what was drawn carries the seed


def test_no_more_than_wanted():
    assert len(run(QUESTIONS, ANSWERS, wanted=2)[0]) == 2
    pairs, _, generator = run(QUESTIONS, ANSWERS, wanted=0)
    assert (pairs, generator.calls) == ({}, [])


@pytest.mark.parametrize(
    ("question", "answer", "reason"),
    [
        ("It holds oil.", "nine litres", "not a question"),
        ("What does this passage say about the Nord pump?", "nine litres", "question refers to an unnamed text"),
        (QUESTIONS[OIL], "twelve litres", "answer not in the chunk"),
        (QUESTIONS[OIL], "Nord pump", "answer in question"),
        (QUESTIONS[OIL], "mineral", "answer of another kind than asked for"),
        (QUESTIONS[OIL], "Not in the documents.", REFUSED),
        (QUESTIONS[OIL], "", REFUSED),
        (QUESTIONS[OIL], "nine litres " * 30, CUT_OFF),
        ("How much oil " + "and oil " * 40, "nine litres", CUT_OFF),
    ],
)
def test_noise_is_rejected_with_its_reason(question, answer, reason):
    pairs, rejected, _ = run({**QUESTIONS, OIL: question}, {**ANSWERS, QUESTIONS[OIL]: answer})
    assert set(pairs) == {"valve", "staff"}
    assert rejected == {reason: 1}


def test_an_answer_that_retrieval_cannot_lead_to_is_rejected():
    class Astray(Finds):
        def contexts(self, queries: Sequence[str]) -> list[Context]:
            return [Context((ScoredChunk(CHUNKS[1], 1.0, 1),), "rank") for _ in queries]

    pairs, rejected, _ = run(QUESTIONS, {"Report valve": "five bar"}, retriever=Astray())
    assert set(pairs) == {"valve"}
    assert rejected == {"answer not in the chunk": 2}


def test_what_is_known_is_not_asked_again_and_no_fact_of_a_test_is_trained():
    known = [
        pair(CHUNKS[0], QUESTIONS[OIL].lower(), "nine litres"),
        pair(CHUNKS[1], "When does the valve of the Hamlin boiler open?", "five bar", "test"),
    ]
    pairs, rejected, _ = run(QUESTIONS, ANSWERS, known=known)
    assert set(pairs) == {"staff"}
    assert rejected == {ASKED: 1, KEPT_FOR_TESTS: 1}


def test_lengths_stay_within_two_deviations_of_the_pairs_that_are_there():
    known = [pair(CHUNKS[0], f"Is {'very ' * 9}long question {n} asked?", "oil") for n in range(5)]
    pairs, rejected, _ = run(QUESTIONS, ANSWERS, known=known)
    assert (pairs, rejected) == ({}, {QUESTION_LENGTH: 3})
    known = [pair(CHUNKS[0], f"{'word ' * n}", "oil") for n in range(5, 25)]
    pairs, rejected, _ = run(QUESTIONS, {**ANSWERS, QUESTIONS[STAFF]: "Vogt"}, known=known)
    assert set(pairs) == {"staff"}
    assert rejected == {ANSWER_LENGTH: 2}


def test_lengths():
    assert Lengths.of(["a b", "a b c d"] * 3) == Lengths(1.0, 5.0)
    assert Lengths.of(["a"] * 4) == Lengths()
    assert [Lengths(1.0, 2.0).fit(text) for text in ("", "a", "a b", "a b c")] == [False, True, True, False]


def test_worked_examples_come_from_train_pairs_with_their_sentence():
    shown = pair(CHUNKS[2], "Who runs the Aller turbine?", "Ines Vogt")
    held = pair(CHUNKS[1], "What opens at five bar?", "outlet valve", "test")
    _, _, generator = run(QUESTIONS, ANSWERS, known=[shown, held])
    task = "Text from Report {}:\n{}\n\nWrite one question that this text answers."
    turn = (Message("user", task.format("staff", STAFF)), Message("assistant", "Who runs the Aller turbine?"))
    written = [prompt for prompt, _ in generator.calls if prompt[0].content == load("self_guide_system")]
    answered = [prompt for prompt, _ in generator.calls if prompt not in written]
    assert len(written) == len(answered) == 3
    read = Message("user", f"[1] Report staff\n{STAFF}\n\nQuestion: Who runs the Aller turbine?")
    assert all(prompt[1:-1] == (read, Message("assistant", "Ines Vogt")) for prompt in answered)
    assert all(prompt[1:3] == turn and len(prompt) == 4 for prompt in written)
    assert write_prompt(CHUNKS[0], OIL, [turn]) in written


def test_an_adapter_to_start_from_gives_the_outputs_in_the_bare_prompt(tmp_path):
    (tmp_path / "adapter_model.safetensors").write_bytes(b"weights")
    generator = student(QUESTIONS, ANSWERS)
    key = generator.load_adapter(tmp_path)
    known = [pair(CHUNKS[2], "Who runs the Aller turbine?", "Ines Vogt")]
    pairs, _ = self_guide(CHUNKS, Finds(), generator, 10, 0, Silent(), known=known, adapter=key)
    assert len(pairs) == 3
    assert [(adapter, len(prompt)) for prompt, adapter in generator.calls] == [(None, 4)] * 3 + [(key, 2)] * 3


def test_prompts_without_room_are_counted():
    pairs, rejected, generator = run(QUESTIONS, ANSWERS, context_tokens=90)
    assert (pairs, rejected, generator.calls) == ({}, {TOO_LONG: 3}, [])


def test_a_sentence_that_several_chunks_repeat_is_asked_about_once():
    generator = student(QUESTIONS, ANSWERS)
    again = [*CHUNKS, chunk("copy", OIL)]
    self_guide(again, Finds(), generator, 10, 0, Silent())
    assert sum(OIL in prompt[-1].content and len(prompt) == 2 and prompt[0].content == load("self_guide_system")
               for prompt, _ in generator.calls) == 1  # fmt: skip
