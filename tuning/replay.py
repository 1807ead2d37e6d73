"""General examples among the domain's, against forgetting: a share of what the model could do before is trained along.

Replay (rehearsal) of a file that the user names, in the neutral prompt of ``tuning.general``: without the instruction
of this product, so that the adapter learns what to do when it is *not* asked about documents: to answer as before.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from fieldguide.types import content_hash
from tuning.examples import Example
from tuning.general import GeneralQuestion, neutral_prompt, read_suite

GOLD = "replay"
"""``Example.gold`` of these: they have no evidence that could be retrieved."""


@dataclass(frozen=True, slots=True)
class Replay:
    """The ``examples`` drawn, of so many ``available``; passed over were those ``too_long`` for the model (of those
    looked at), those ``measured`` by the general suite, and those ``without_answer``."""

    examples: list[Example]
    available: int
    too_long: int = 0
    measured: int = 0
    without_answer: int = 0


def replay_examples(
    path: Path,
    share: float,
    n_domain: int,
    seed: int,
    first_group: int,
    fits: Callable[[Example], bool] = lambda example: True,
    measured: Iterable[GeneralQuestion] = (),
) -> Replay:
    """So many general examples that they are the ``share`` (0 to below 1) of a set with ``n_domain`` others.

    Drawn by seed, one from each context before a second from any; fewer where the file holds fewer. Each is a group of
    its own, numbered from ``first_group``. ``fits`` says whether an example fits into the model. ``measured`` are the
    questions by which forgetting is measured: none of them, nor another about the same passage, is trained. Raises
    FieldguideError for a file that cannot be used (see ``general.read_suite``).
    """
    if not 0 <= share < 1:
        raise ValueError(f"the share of general examples must be from 0 to below 1, not {share}")
    wanted = round(n_domain * share / (1 - share))
    asked = {_subject(question) for question in measured}
    every = read_suite(path)
    answered = [question for question in every if question.answers]
    free = [question for question in answered if _subject(question) not in asked]
    found: list[Example] = []
    too_long = 0
    for question in _spread(free, seed):
        if len(found) == wanted:
            break
        name = f"general-{content_hash(question.context, question.question)[:16]}"
        example = Example(name, neutral_prompt(question), question.answers[0], GOLD, first_group + len(found))
        if fits(example):
            found.append(example)
        else:
            too_long += 1
    return Replay(found, len(free), too_long, len(answered) - len(free), len(every) - len(answered))


def _subject(question: GeneralQuestion) -> str:
    """What two questions share that must not be trained by one and measured by the other."""
    return " ".join((question.context or question.question).split()).casefold()


def _spread(questions: Sequence[GeneralQuestion], seed: int) -> list[GeneralQuestion]:
    """The questions in an order drawn by seed: one of each context, then a second of each, and so on."""
    drawn = list(questions)
    random.Random(f"replay {seed}").shuffle(drawn)
    seen = Counter[str]()
    turns: list[tuple[int, int, GeneralQuestion]] = []
    for place, question in enumerate(drawn):
        turns.append((seen[question.context] if question.context else 0, place, question))
        seen[question.context] += 1
    return [question for _, _, question in sorted(turns, key=lambda turn: turn[:2])]
