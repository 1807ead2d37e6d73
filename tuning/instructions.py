"""Several wordings of the instruction in training, so that what is learned does not hang on the words of one.

The wordings of the two instructions that serve (with passages, and without) are prompt files that say the same.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

from fieldguide.models.base import Message, Prompt
from fieldguide.prompts import load
from tuning.examples import Example

WORDINGS = 4
SERVED = ("answer_system", "answer_system_closed")
"""Prompt files that serve; wording n of each, from 2, is the file with "_n" at its end."""


def instructed(prompt: Prompt, wording: int) -> Prompt:
    """The prompt with its instruction in the ``wording`` of that number (from 1, which serves); as it is where it has
    none.

    Raises ValueError for a number of which there is no wording.
    """
    if not 1 <= wording <= WORDINGS:
        raise ValueError(f"wordings count from 1 to {WORDINGS}, there is none with the number {wording}")
    if wording == 1:
        return prompt
    others = {load(name): load(f"{name}_{wording}") for name in SERVED}
    return tuple(
        Message("system", others.get(message.content, message.content)) if message.role == "system" else message
        for message in prompt
    )


def varied(examples: Sequence[Example], wordings: int, seed: int) -> list[Example]:
    """The examples, in order, with the first ``wordings`` wordings spread evenly over their groups.

    Examples of one group keep one wording, as they are trained in one row that shares its beginning. Which group gets
    which is drawn by seed. Prompts without the instruction, such as those of general examples, stay as they are.
    """
    groups = sorted({example.group for example in examples if instructed(example.prompt, 2) != example.prompt})
    random.Random(f"instructions {seed}").shuffle(groups)
    chosen = {group: place % wordings + 1 for place, group in enumerate(groups)}
    return [replace(example, prompt=instructed(example.prompt, chosen.get(example.group, 1))) for example in examples]
