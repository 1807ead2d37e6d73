from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldguide.models.base import Message
from fieldguide.prompts import SERVED, WORDINGS, answer_prompt, answer_prompt_hash, instructed, load
from fieldguide.replies import REFUSAL
from fieldguide.types import Chunk, Context, ScoredChunk
from tuning.examples import Example
from tuning.instructions import varied

CONTEXT = Context((ScoredChunk(Chunk("c", "d", (), "text"), 1.0, 1),), "rank")


def example(group: int, context: Context | None = None) -> Example:
    return Example(f"p{group}", answer_prompt("Where?", context), "here", "none", group)


def is_worded(one: Example, number: int) -> bool:
    """Whether the example's instruction is in the wording of that number, with passages or without."""
    served = [answer_prompt("Where?", context) for context in (None, CONTEXT)]
    return one.prompt[0] in [instructed(prompt, number)[0] for prompt in served]


def test_every_wording_is_another_text_and_only_those_with_passages_name_the_refusal():
    texts = [load(name + (f"_{n}" if n > 1 else "")) for name in SERVED for n in range(1, WORDINGS + 1)]
    assert len(set(texts)) == 2 * WORDINGS
    assert [REFUSAL in text for text in texts] == [True] * WORDINGS + [False] * WORDINGS


@pytest.mark.parametrize("context", [None, CONTEXT])
def test_an_instruction_is_exchanged_and_the_rest_stays(context):
    prompt = answer_prompt("Where?", context)
    name = SERVED[0] if context else SERVED[1]
    assert instructed(prompt, 1) == prompt
    assert instructed(prompt, 3) == (Message("system", load(f"{name}_3")), prompt[1])


def test_a_prompt_without_the_instruction_stays_and_an_unknown_wording_is_refused():
    plain = (Message("user", load(SERVED[0])),)
    assert instructed(plain, 2) == plain
    for wording in (0, WORDINGS + 1):
        with pytest.raises(ValueError, match="from 1 to 4"):
            instructed(plain, wording)


def test_wordings_are_spread_evenly_over_groups_and_a_group_keeps_one():
    examples = [example(n // 2, CONTEXT if n < 8 else None) for n in range(16)]
    found = varied(examples, 4, seed=3)
    of_group = {one.group: {one.prompt[0].content} for one in found}
    for one in found:
        of_group[one.group].add(one.prompt[0].content)
    assert all(len(texts) == 1 for texts in of_group.values())
    numbers = Counter(n for one in found[::2] for n in range(1, WORDINGS + 1) if is_worded(one, n))
    assert numbers == {1: 2, 2: 2, 3: 2, 4: 2}
    assert found == varied(examples, 4, seed=3)
    assert any(found != varied(examples, 4, seed=seed) for seed in range(4))


@given(st.integers(1, 4), st.integers(0, 5), st.integers(1, 12))
def test_nothing_but_the_instruction_changes_and_one_wording_changes_nothing(wordings, seed, groups):
    general = Example("g", (Message("user", "What is 2 + 2?"),), "4", "replay", groups)
    examples = [*map(example, range(groups)), general]
    found = varied(examples, wordings, seed)
    assert [(e.pair, e.prompt[-1], e.completion, e.group) for e in found] == [
        (e.pair, e.prompt[-1], e.completion, e.group) for e in examples
    ]
    assert found[-1] == general
    if wordings == 1:
        assert found == examples


def test_the_hash_of_the_served_prompt_does_not_know_of_the_others(monkeypatch):
    from fieldguide import prompts

    before, real = answer_prompt_hash(), prompts.load
    monkeypatch.setattr(prompts, "load", lambda name: real(name) + ("!" if name[-1].isdigit() else ""))
    assert answer_prompt_hash() == before
