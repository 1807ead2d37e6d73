from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldguide.errors import FieldguideError
from fieldguide.models.base import Message
from tuning.general import GeneralQuestion
from tuning.replay import GOLD, replay_examples


def lines(path: Path, *rows: object) -> Path:
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows) + "\n")
    return path


def many(path: Path, n: int) -> Path:
    return lines(path, *({"question": f"What is {i}?", "answer": str(i), "context": f"c{i % 4}"} for i in range(n)))


def test_examples_are_groups_of_their_own_without_instruction(tmp_path):
    path = lines(
        tmp_path / "g.jsonl",
        {"question": "Where?", "answer": ["Rome", "in Rome"], "context": "It was in Rome."},
        {"question": "What is 2 + 2?", "answer": "4"},
    )
    found = replay_examples(path, 0.5, 2, 0, 7)
    assert {(e.prompt, e.completion, e.gold) for e in found.examples} == {
        ((Message("user", "It was in Rome.\n\nWhere?"),), "Rome", GOLD),
        ((Message("user", "What is 2 + 2?"),), "4", GOLD),
    }
    assert [e.group for e in found.examples] == [7, 8]
    assert len({e.pair for e in found.examples}) == 2


def test_no_context_gives_a_second_before_each_has_given_one(tmp_path):
    found = replay_examples(many(tmp_path / "g.jsonl", 40), 0.5, 8, 0, 0)
    contexts = [e.prompt[0].content.split("\n")[0] for e in found.examples]
    assert sorted(contexts[:4]) == sorted(contexts[4:]) == ["c0", "c1", "c2", "c3"]


@given(st.floats(0, 0.95), st.integers(0, 60), st.integers(0, 3))
def test_they_make_the_share_of_the_whole_as_far_as_the_file_goes(tmp_path_factory, share, domain, seed):
    path = tmp_path_factory.getbasetemp() / "many.jsonl"
    if not path.exists():
        many(path, 30)
    found = replay_examples(path, share, domain, seed, 5)
    assert len(found.examples) == min(30, round(domain * share / (1 - share)))
    assert [e.group for e in found.examples] == list(range(5, 5 + len(found.examples)))
    assert found == replay_examples(path, share, domain, seed, 5)
    assert (found.available, found.too_long) == (30, 0)


def test_what_does_not_fit_is_passed_over_and_counted(tmp_path):
    found = replay_examples(
        many(tmp_path / "g.jsonl", 10), 0.5, 10, 0, 0, fits=lambda example: int(example.completion) % 2 == 0
    )
    assert sorted(int(e.completion) for e in found.examples) == [0, 2, 4, 6, 8]
    assert (found.available, found.too_long) == (10, 5)
    assert [e.group for e in found.examples] == [0, 1, 2, 3, 4]


def test_no_passage_or_question_that_is_measured_is_trained(tmp_path):
    path = lines(
        tmp_path / "g.jsonl",
        {"question": "Where?", "answer": "Rome", "context": "It was in  Rome."},
        {"question": "Who?", "answer": "Ann", "context": "Ann came."},
        {"question": "What is 2 + 2?", "answer": "4"},
        {"question": "What is 2 + 3?", "answer": "5"},
    )
    measured = [
        GeneralQuestion("1", "In what town?", ("Rome",), "It was in Rome."),
        GeneralQuestion("2", "what is 2 + 2?", ("4",)),
    ]
    found = replay_examples(path, 0.5, 4, 0, 0, measured=measured)
    assert sorted(e.completion for e in found.examples) == ["5", "Ann"]
    assert (found.available, found.measured) == (2, 2)


def test_squad_is_read_and_its_questions_without_an_answer_are_counted(tmp_path):
    asked = [
        {"id": "a", "question": "Where? ", "answers": [{"text": "Rome"}, {"text": "in Rome"}]},
        {"id": "b", "question": "Who?", "answers": [], "is_impossible": True},
    ]
    path = tmp_path / "squad.json"
    path.write_text(json.dumps({"data": [{"paragraphs": [{"context": "It was in Rome.", "qas": asked}]}]}))
    found = replay_examples(path, 0.5, 2, 0, 0)
    assert [(e.prompt[0].content, e.completion) for e in found.examples] == [("It was in Rome.\n\nWhere?", "Rome")]
    assert (found.available, found.without_answer) == (1, 1)


def test_a_file_that_is_not_there_and_a_share_of_all_are_refused(tmp_path):
    with pytest.raises(FieldguideError, match="cannot be read"):
        replay_examples(tmp_path / "none.jsonl", 0.5, 2, 0, 0)
    with pytest.raises(ValueError, match="below 1"):
        replay_examples(tmp_path / "none.jsonl", 1.0, 2, 0, 0)
