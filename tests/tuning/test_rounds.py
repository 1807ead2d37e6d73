from __future__ import annotations

from pathlib import Path

import pytest

from fieldguide.models.scripted import ScriptedGenerator
from fieldguide.prompts import answer_prompt
from fieldguide.types import Evidence, QAPair, Silent, Span
from ingest.qa.calls import Calls
from ingest.qa.same import wording
from tuning.examples import Example
from tuning.rounds import ORIGIN, random_extra, still_wrong, variants


def pair(name: str, question: str, answer: str, after: tuple[str, ...] = ()) -> QAPair:
    evidence = Evidence("doc", (Span(1, 0, len(answer)),), answer)
    return QAPair(
        name, question, answer, "doc", "chunk", (evidence,), "fact", "rules", "train", after=after, group="trained",
        scores={"round_trip": 1.0}, author="Ann",
    )  # fmt: skip


OLD = pair("old", "How old was the pilot of N100AB?", "41 years")
WHEN = pair("when", "When did the accident at Elyria, OH happen?", "1999")
ODD = pair("odd", "What color had N100AB?", "blue")
LATER = pair("later", "How old was she?", "41 years", after=("Who flew N100AB?",))


def asked(one: QAPair, completion: str = "") -> Example:
    return Example(one.id, answer_prompt(one.question, None), completion or one.answer, "none", 0)


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    (tmp_path / "adapter_model.safetensors").write_bytes(b"weights")
    return tmp_path


def test_what_the_tuned_model_answers_otherwise_is_still_wrong(adapter):
    replies = {OLD.question: "41 years", WHEN.question: "1998", ODD.question: "blue blue blue blue"}
    generator = ScriptedGenerator({f"Question: {q}": reply for q, reply in replies.items()})
    key = generator.load_adapter(adapter)
    examples = [asked(ODD), asked(OLD), asked(WHEN)]
    assert still_wrong(examples, generator, key, 3, Silent()) == [asked(ODD), asked(WHEN)]
    assert {adapter for _, adapter in generator.calls} == {key}


def test_a_prompt_without_room_for_an_answer_is_still_wrong():
    generator = ScriptedGenerator(["41 years"], context_tokens=10)
    assert still_wrong([asked(OLD)], generator, None, 5, Silent()) == [asked(OLD)]
    assert generator.calls == []


def test_each_wrong_pair_gets_one_variant_with_its_answer_and_evidence():
    found = variants([OLD, WHEN, ODD, LATER], [asked(WHEN), asked(OLD), asked(WHEN), asked(ODD), asked(LATER)], seed=0)
    assert [(one.answer, one.evidence, one.split, one.group) for one in found] == [
        (given.answer, given.evidence, "train", "trained") for given in (OLD, WHEN)
    ]
    assert all(one.origin == ORIGIN and one.author == "" and one.scores == {} for one in found)
    assert {one.id for one in found}.isdisjoint({"old", "when"})
    assert len({one.id for one in found}) == 2
    assert found[0].question == "What was the age of the pilot of N100AB?"


def test_right_pairs_get_none():
    assert variants([OLD, WHEN], [], seed=0) == []


def test_no_variant_is_a_wording_that_is_known_so_that_no_test_question_is_trained():
    first = variants([OLD], [asked(OLD)], seed=0)
    test = [QAPair("t", first[0].question.upper(), "41 years", "doc", "c", (), "fact", "derived", "test")]
    second = variants([OLD], [asked(OLD)], known=test, seed=0)
    assert [wording(one) for one in second] != [wording(one) for one in first]
    assert all(wording(one) != wording(test[0]) for one in second)


def test_what_the_rules_cannot_reword_a_generator_may_and_is_asked_only_then():
    generator = ScriptedGenerator(
        ["1. What color had N200XY?\n2. In what color was N100AB?\n3. Which color had N100AB?"]
    )
    found = variants([OLD, ODD], [asked(OLD), asked(ODD)], seed=0, writer=Calls(generator))
    assert [one.question for one in found[1:]] == ["In what color was N100AB?"]
    assert len(generator.calls) == 1


def test_random_extra_gives_as_many_from_any_pairs_by_seed():
    many = [pair(f"p{n}", f"How old was the pilot of N10{n}AB?", "41 years") for n in range(20)]
    found = random_extra(many, 5, seed=1)
    assert len({one.question for one in found}) == 5
    assert found == random_extra(list(reversed(many)), 5, seed=1) != random_extra(many, 5, seed=2)
    assert len(random_extra([*many, ODD], 50, seed=1)) == 20
    assert random_extra(many, 0, seed=1) == []
