"""The fake generator's outputs, computed by hand."""

from __future__ import annotations

import pytest

from fieldguide.errors import ModelError
from fieldguide.models import Generation, Message, load_embedder, load_generator
from fieldguide.models.scripted import ScriptedGenerator

ASK = (Message("user", "what now"),)


def test_texts_are_given_in_turn() -> None:
    generator = ScriptedGenerator(["one two", "three"])
    made = generator.generate([ASK] * 3, max_new_tokens=9)
    assert [g.text for g in made] == ["one two", "three", "one two"]
    assert made[0] == Generation("one two", 3, 2, "stop", None)
    assert generator.calls == [(ASK, None)] * 3


def test_mapping_is_looked_up_by_the_last_message() -> None:
    generator = ScriptedGenerator({"what now": "this", "": "else"})
    made = generator.generate([ASK, (Message("user", "other"),)], max_new_tokens=9)
    assert [g.text for g in made] == ["this", "else"]
    with pytest.raises(KeyError, match="no reply to 'what now'"):
        ScriptedGenerator({"x": "y"}).generate([ASK], max_new_tokens=1)


def test_length_stop_and_seed() -> None:
    generator = ScriptedGenerator(["a b c d"])
    assert generator.generate([ASK], max_new_tokens=2)[0] == Generation("a b", 3, 2, "length", None)
    assert generator.generate([ASK], max_new_tokens=9, stop=[" c"])[0] == Generation("a b", 3, 2, "stop", None)
    assert generator.generate([ASK], max_new_tokens=9, temperature=1.0, seed=7)[0].text == "a b c d #7"


def test_base_can_be_changed_by_a_test() -> None:
    generator = ScriptedGenerator(["a"])
    before = generator.base_hash()
    generator.base = "another"
    assert generator.base_hash() != before


def test_scripted_cannot_be_loaded_by_name() -> None:
    with pytest.raises(ModelError, match="for tests and is constructed in code"):
        load_generator("scripted")
    with pytest.raises(ModelError, match='the embedder for tests is "hashing"'):
        load_embedder("scripted")
    with pytest.raises(ModelError, match="is an embedder, not a generator"):
        load_generator("hashing")
