"""The general suite: reading it, drawing from it, and the figures before and after, on a tiny real model."""

import json

import pytest

from fieldguide.errors import FieldguideError, ModelError
from fieldguide.metrics import normalise_answer
from fieldguide.models.base import Generation, Message
from fieldguide.models.tiny import write_tiny_adapter
from fieldguide.models.transformers_generator import TransformersGenerator
from fieldguide.stats import Interval
from tuning.distillation import answer_likelihoods
from tuning.general import (
    LEAD,
    General,
    GeneralQuestion,
    change,
    draw,
    forgetting,
    measure,
    neutral_prompt,
    read_suite,
    suite_of,
)

SUITE = [
    GeneralQuestion("a", "What jumps?", ("the fox", "fox"), "The fox jumps."),
    GeneralQuestion("b", "What is two?", ("2",)),
    GeneralQuestion("none", "Who is it?", (), "The fox jumps."),
    GeneralQuestion("long", "What?", ("that",), "word " * 3000),
]


def squad(tmp_path, *questions):
    path = tmp_path / "squad.json"
    path.write_text(json.dumps({"data": [{"paragraphs": [{"context": " The text. ", "qas": list(questions)}]}]}))
    return path


def lines(tmp_path, *rows):
    path = tmp_path / "suite.jsonl"
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows))
    return path


# -- reading


def test_the_shipped_suite_is_whole_and_its_answers_stand_in_its_passages():
    suite = read_suite()
    assert len(suite) == 40
    kinds = [question.kind for question in suite]
    assert {kind: kinds.count(kind) for kind in kinds} == {
        "reading": 16, "knowledge": 10, "arithmetic": 6, "instruction": 8,
    }  # fmt: skip
    for question in suite:
        assert normalise_answer(question.answers[0])
        assert (question.kind == "reading") == bool(question.context)
        if question.context:
            passage = normalise_answer(question.context)
            assert any(normalise_answer(answer) in passage for answer in question.answers), question.id
    assert len({question.cluster for question in suite}) == 6 + 24


def test_squad_is_read_with_impossible_questions_kept_without_an_answer(tmp_path):
    path = squad(
        tmp_path,
        {"id": 7, "question": " Which? ", "answers": [{"text": "this"}, {"text": "that "}, {"text": "this"}]},
        {"id": "x", "question": "Who?", "answers": [{"text": "plausible"}], "is_impossible": True},
    )
    assert read_suite(path) == [
        GeneralQuestion("7", "Which?", ("this", "that"), "The text.", "reading"),
        GeneralQuestion("x", "Who?", (), "The text.", "reading"),
    ]


def test_lines_are_read_with_one_answer_or_several(tmp_path):
    path = lines(
        tmp_path,
        {"question": "Which?", "answer": "this"},
        "",
        {"id": "q", "question": "Who?", "answer": ["A", "B"], "context": "Text.", "kind": "reading"},
    )
    assert read_suite(path) == [
        GeneralQuestion("1", "Which?", ("this",)),
        GeneralQuestion("q", "Who?", ("A", "B"), "Text.", "reading"),
    ]


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ("{", "Line 2 of the general suite"),
        ("[1]", "not an object"),
        ({"question": "Which?"}, "its question or its answer is missing"),
        ({"question": " ", "answer": "x"}, "its question or its answer is missing"),
        ({"question": "Which?", "answer": 5}, "are texts"),
        ({"question": "Which?", "answer": ["x", 5]}, "are texts"),
        ({"question": "Which?", "answer": "x", "context": ["y"]}, "are texts"),
        ({"question": "Which?", "answer": [" "]}, "its question or its answer is missing"),
    ],
)
def test_a_line_that_is_no_question_is_said_with_its_number(tmp_path, row, says):
    with pytest.raises(FieldguideError, match=says) as caught:
        read_suite(lines(tmp_path, {"question": "Which?", "answer": "this"}, row))
    assert "Line 2" in str(caught.value)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"data": 5}', '{"data": [{"paragraphs": [{"qas": []}]}, 1]}', "{"])
def test_a_file_not_in_squads_form_is_said(tmp_path, text):
    path = tmp_path / "bad.json"
    path.write_text(text)
    with pytest.raises(FieldguideError, match="not in SQuAD's form"):
        read_suite(path)


def test_files_that_are_missing_empty_or_ambiguous_are_said(tmp_path):
    with pytest.raises(FieldguideError, match="cannot be read"):
        read_suite(tmp_path / "none.jsonl")
    with pytest.raises(FieldguideError, match="holds no question"):
        read_suite(lines(tmp_path, ""))
    twice = {"id": "a", "question": "Which?", "answer": "this"}
    with pytest.raises(FieldguideError, match="two questions with the id 'a'"):
        read_suite(lines(tmp_path, twice, twice))


# -- drawing


def test_a_draw_goes_by_seed_and_leaves_out_what_has_no_answer():
    suite = [GeneralQuestion(str(n), f"q{n}", () if n % 5 == 0 else ("x",)) for n in range(100)]
    drawn = draw(suite, 20, seed=3)
    assert len(drawn) == 20
    assert all(question.answers for question in drawn)
    assert drawn == draw(suite, 20, seed=3) == sorted(drawn, key=lambda q: int(q.id))
    assert set(drawn) == set(draw(suite[::-1], 20, seed=3))
    assert set(drawn) != set(draw(suite, 20, seed=4))
    assert len(draw(suite, 1000, seed=0)) == 80


def test_the_prompt_is_the_passage_and_the_question_alone():
    assert neutral_prompt(SUITE[0]) == (Message("user", "The fox jumps.\n\nWhat jumps?"),)
    assert neutral_prompt(SUITE[1]) == (Message("user", "What is two?"),)


# -- measuring


def test_replies_are_scored_against_all_references(tiny, monkeypatch):
    said = iter(["A fox", "It is 2, I think."])
    monkeypatch.setattr(
        tiny, "generate", lambda prompts, **_: [Generation(next(said), 1, 1, "stop", None) for _ in prompts]
    )
    found = measure(tiny, None, SUITE, 8)
    assert [question.id for question in found.questions] == ["a", "b"]
    assert found.left_out == {"without an answer": 1, "too long": 1}
    assert found.replies == ("A fox", "It is 2, I think.")
    assert found.values["em"] == (1.0, 0.0)
    assert found.values["containment"] == (1.0, 1.0)
    assert found.values["f1"] == pytest.approx((1.0, 2 / 6))
    likelihoods = answer_likelihoods(tiny, [neutral_prompt(q) for q in SUITE[:2]], ["the fox", "2"], lead=LEAD)
    assert found.values["loss"] == pytest.approx([-value for value in likelihoods])
    assert found.intervals["em"].mean == 0.5
    row = found.row()
    assert row["metrics"]["em"] == {"mean": 0.5, "low": 0.0, "high": 1.0, "n": 2}
    assert row["values"]["containment"] == [1.0, 1.0]
    assert json.loads(json.dumps(row)) == row


def test_before_and_after_are_paired(tiny_model, tmp_path):
    generator = TransformersGenerator(tiny_model, name="tiny")
    adapter = generator.load_adapter(write_tiny_adapter(tmp_path / "adapter", tiny_model))
    before, after = measure(generator, None, SUITE[:2], 4), measure(generator, adapter, SUITE[:2], 4)
    assert (before.adapter, after.adapter) == (None, adapter)
    assert before.values["loss"] != after.values["loss"]
    assert before.replies != after.replies
    report = forgetting(before, after)
    expected = after.intervals["loss"].mean - before.intervals["loss"].mean
    assert report["change"]["loss"]["mean"] == pytest.approx(expected)
    assert report["after"]["adapter"] == adapter
    assert measure(generator, None, SUITE[:2], 4).values == before.values


def test_a_change_that_is_the_same_everywhere_has_no_width():
    def general(*values):
        return General(None, "suite", tuple(SUITE[:2]), {"f1": values}, ("", ""), {}, 0.0)

    assert change(general(0.5, 0.25), general(0.25, 0.0))["f1"] == Interval(-0.25, -0.25, -0.25, 2)


def test_measurements_of_different_questions_are_not_paired(tiny):
    first, second = measure(tiny, None, SUITE[:1], 2), measure(tiny, None, SUITE[1:2], 2)
    with pytest.raises(ValueError, match="different questions"):
        change(first, second)


def test_nothing_to_ask_and_unknown_adapters_are_errors(tiny):
    with pytest.raises(FieldguideError, match="None of the general suite's 2 questions"):
        measure(tiny, None, SUITE[2:], 4)
    with pytest.raises(ModelError, match="not loaded"):
        measure(tiny, "nothing", SUITE[:2], 4)


def test_after_a_lead_the_answers_own_tokens_alone_are_counted(tiny):
    import torch

    prompt = neutral_prompt(SUITE[0])
    start, lead = tiny.render(prompt), tiny.completion_ids(LEAD)[:-1]
    whole = tiny.completion_ids(f"{LEAD} the fox")[:-1]
    assert whole[: len(lead)] == lead
    with torch.inference_mode():
        logits = tiny.model(torch.tensor([start + whole])).logits[0].log_softmax(-1)
    own = [float(logits[len(start) + n - 1, whole[n]]) for n in range(len(lead), len(whole))]
    found = answer_likelihoods(tiny, [prompt], ["the fox"], lead=LEAD)
    assert found == pytest.approx([sum(own) / len(own)], abs=1e-4)
    assert found != pytest.approx(answer_likelihoods(tiny, [prompt], ["the fox"]), abs=1e-3)


def test_only_the_questions_that_are_drawn_measure_and_so_only_they_are_kept_from_replay():
    from fieldguide.settings import Tuning

    assert suite_of(Tuning(general_questions=0)) == []
    whole = read_suite()
    assert suite_of(Tuning(general_questions=3, seed=1)) == draw(whole, 3, 1)
    assert len(suite_of(Tuning(general_questions=3))) == 3 < len(whole)
