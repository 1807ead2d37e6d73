"""Several wordings of the instruction in training, so that what is learned does not hang on the words of one.

The wordings are the prompt files answer_system (the one that serves) and answer_system_2 … 4, which say the same.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

from fieldguide.models.base import Message, Prompt
from fieldguide.prompts import load
from tuning.examples import Example

WORDINGS = ("answer_system", "answer_system_2", "answer_system_3", "answer_system_4")
"""Prompt files, the one that serves first."""


def instructed(prompt: Prompt, wording: int) -> Prompt:
    """The prompt with its instruction in the ``wording`` of that number (from 1); as it is where it has none.

    Raises ValueError for a number of which there is no wording.
    """
    if not 1 <= wording <= len(WORDINGS):
        raise ValueError(f"wordings count from 1 to {len(WORDINGS)}, there is none with the number {wording}")
    served = Message("system", load(WORDINGS[0]))
    other = Message("system", load(WORDINGS[wording - 1]))
    return tuple(other if message == served else message for message in prompt)


def varied(examples: Sequence[Example], wordings: int, seed: int) -> list[Example]:
    """The examples, in order, with the first ``wordings`` wordings spread evenly over their groups.

    Examples of one group keep one wording, as they are trained in one row that shares its beginning. Which group gets
    which is drawn by seed. Prompts without the instruction, such as those of general examples, stay as they are.
    """
    groups = sorted({example.group for example in examples if instructed(example.prompt, 2) != example.prompt})
    random.Random(f"instructions {seed}").shuffle(groups)
    chosen = {group: place % wordings + 1 for place, group in enumerate(groups)}
    return [
        replace(example, prompt=instructed(example.prompt, chosen.get(example.group, 1))) for example in examples
    ]
