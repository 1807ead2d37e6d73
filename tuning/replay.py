"""General examples among the domain's, against forgetting: a share of what the model could do before is trained along.

Replay (rehearsal) of a file that the user names, in a prompt without the instruction of this product, so that the
adapter learns what to do when it is *not* asked about documents: to answer as before.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fieldguide.errors import FieldguideError
from fieldguide.models.base import Message, Prompt
from fieldguide.types import content_hash
from tuning.examples import Example

GOLD = "replay"
"""``Example.gold`` of these: they have no evidence that could be retrieved."""

_MOST_FAULTS = 5


@dataclass(frozen=True, slots=True)
class GeneralItem:
    """A question of no particular domain, the answers that are right (one or more), what to read ("" = nothing)."""

    question: str
    answers: tuple[str, ...]
    context: str = ""

    @property
    def prompt(self) -> Prompt:
        """What the model is asked: context and question, without any instruction."""
        return (Message("user", f"{self.context}\n\n{self.question}" if self.context else self.question),)


@dataclass(frozen=True, slots=True)
class Replay:
    """The ``examples`` drawn, of so many ``available``; of those looked at, so many were ``too_long``."""

    examples: list[Example]
    available: int
    too_long: int


class _Row(BaseModel):
    model_config = ConfigDict(extra="ignore")

    question: str = Field(min_length=1)
    answer: str | list[str] = Field(min_length=1)
    context: str = ""


def replay_examples(
    path: Path,
    share: float,
    n_domain: int,
    seed: int,
    first_group: int,
    fits: Callable[[Example], bool] = lambda example: True,
) -> Replay:
    """So many general examples that they are the ``share`` (0 to below 1) of a set with ``n_domain`` others.

    Drawn by seed, one from each context before a second from any; fewer where the file holds fewer. Each is a group of
    its own, numbered from ``first_group``. ``fits`` says whether an example fits into the model; one that does not is
    passed over and counted. Raises FieldguideError for a file that cannot be used.
    """
    if not 0 <= share < 1:
        raise ValueError(f"the share of general examples must be from 0 to below 1, not {share}")
    wanted = round(n_domain * share / (1 - share))
    items = read_items(path)
    found: list[Example] = []
    too_long = 0
    for item in _spread(items, seed):
        if len(found) == wanted:
            break
        name = f"general-{content_hash(item.context, item.question)[:16]}"
        example = Example(name, item.prompt, item.answers[0], GOLD, first_group + len(found))
        if fits(example):
            found.append(example)
        else:
            too_long += 1
    return Replay(found, len(items), too_long)


def read_items(path: Path) -> list[GeneralItem]:
    """The items of a file: lines of JSON with question, answer (a text or a list) and, if you like, context; or one
    JSON object in SQuAD's format, of which questions without an answer are left out.

    Raises FieldguideError if it cannot be read, has faulty lines (the first five are named), or holds no item.
    """
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise FieldguideError(f"The general examples in {path} cannot be read: {error}.") from None
    try:
        whole = json.loads(text)
    except ValueError:
        whole = None
    if isinstance(whole, dict) and "data" in whole:
        items = _of_squad(whole, path)
    else:
        items = _of_lines(text, path)
    if not items:
        raise FieldguideError(
            f"There is no question with an answer in {path}: give lines of JSON with question and answer, or a file in "
            "SQuAD's format."
        )
    return list(dict.fromkeys(items))


def _of_lines(text: str, path: Path) -> list[GeneralItem]:
    items: list[GeneralItem] = []
    faults: list[str] = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = _Row.model_validate(json.loads(line))
        except ValidationError as error:
            first = error.errors()[0]
            faults.append(f"line {number}: {first['loc'][0] if first['loc'] else 'all'}: {first['msg']}")
            continue
        except ValueError as error:
            faults.append(f"line {number}: not JSON ({error})")
            continue
        answers = (row.answer,) if isinstance(row.answer, str) else tuple(row.answer)
        if not row.question.strip() or not all(answer.strip() for answer in answers):
            faults.append(f"line {number}: an empty question or answer")
            continue
        items.append(GeneralItem(row.question.strip(), tuple(map(str.strip, answers)), row.context.strip()))
    if faults:
        more = f"; and {len(faults) - _MOST_FAULTS} more" if len(faults) > _MOST_FAULTS else ""
        raise FieldguideError(
            f"The general examples in {path} have faulty lines, mend or remove them: "
            f"{'; '.join(faults[:_MOST_FAULTS])}{more}."
        )
    return items


def _of_squad(whole: dict[str, Any], path: Path) -> list[GeneralItem]:
    items: list[GeneralItem] = []
    try:
        for article in whole["data"]:
            for paragraph in article["paragraphs"]:
                for asked in paragraph["qas"]:
                    answers = dict.fromkeys(str(answer["text"]).strip() for answer in asked["answers"])
                    if any(answers) and str(asked["question"]).strip():
                        right = tuple(answer for answer in answers if answer)
                        items.append(GeneralItem(asked["question"].strip(), right, paragraph["context"].strip()))
    except (KeyError, TypeError, AttributeError) as error:
        raise FieldguideError(
            f"The general examples in {path} are in another form than SQuAD's ({type(error).__name__}: {error}): "
            "give data → paragraphs → context and qas → question and answers → text."
        ) from None
    return items


def _spread(items: Sequence[GeneralItem], seed: int) -> list[GeneralItem]:
    """The items in an order drawn by seed: one of each context, then a second of each, and so on."""
    drawn = list(items)
    random.Random(f"replay {seed}").shuffle(drawn)
    seen: dict[str, int] = {}
    turns: list[tuple[int, int, GeneralItem]] = []
    for place, item in enumerate(drawn):
        turn = seen.get(item.context, 0) if item.context else 0
        seen[item.context] = turn + 1
        turns.append((turn, place, item))
    return [item for _, _, item in sorted(turns, key=lambda one: one[:2])]
