"""Several wordings of the instruction in training, so that what is learned does not hang on the words of one."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

from fieldguide.prompts import instructed
from tuning.examples import Example


def varied(examples: Sequence[Example], wordings: int, seed: int) -> list[Example]:
    """The examples, in order, with the first ``wordings`` wordings spread evenly over their groups.

    Examples of one group keep one wording, as they are trained in one row that shares its beginning. Which group gets
    which is drawn by seed. Prompts without the instruction, such as those of general examples, stay as they are.
    """
    groups = sorted({example.group for example in examples if instructed(example.prompt, 2) != example.prompt})
    random.Random(f"instructions {seed}").shuffle(groups)
    chosen = {group: place % wordings + 1 for place, group in enumerate(groups)}
    return [replace(example, prompt=instructed(example.prompt, chosen.get(example.group, 1))) for example in examples]
