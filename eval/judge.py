"""A generator as a judge of answers: which of two is better, is one correct, how good is it.

Every pair is judged in both orders, since judges prefer a place (JudgeLM, arXiv 2310.17631, section 4.2, swaps them
too): where the orders disagree, it is a tie and counted as a flip. Replies are parsed strictly, with bounded retries;
what cannot be parsed is None and counted, never turned into a number. Knows generators, not arms or reports.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from fieldguide.models.base import Generator, Message, Prompt
from fieldguide.prompts import fill, load
from fieldguide.types import content_hash

Preference = Literal["first", "second", "tie"]
Correctness = Literal["correct", "partly", "wrong"]

ASPECTS = {
    "coherence": "is it well put, one thought leading to the next?",
    "relevance": "does it answer what was asked?",
    "groundedness": "is everything that it says said by the passages?",
    "succinctness": "is it free of what nobody asked for?",
}
"""What is rated from 1 to 5 (arXiv 2401.08406, section 5), higher is better; groundedness needs the passages."""

_RETRY_TEMPERATURE = 0.7
_TOKENS = 12
_LEAD = r"\W*(?:the\s+)?(?:(?:better|answer|verdict|reply|response|rating|grade|is|option)\b\W*)*"
_PAIR = re.compile(rf"{_LEAD}(a|b|tie|both|equal|neither)(?=\s*(?:$|[^\w\s]|is\b|are\b|\n))", re.IGNORECASE)
_GRADE = re.compile(rf"{_LEAD}(correct|fully|partly|partially|wrong|incorrect)\b", re.IGNORECASE)
_RATE = re.compile(rf"{_LEAD}([1-5])(?![\d.]*\d)", re.IGNORECASE)
_GRADES: dict[str, Correctness] = {
    "correct": "correct", "fully": "correct", "partly": "partly", "partially": "partly", "wrong": "wrong",
    "incorrect": "wrong",
}  # fmt: skip

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Pair:
    """Two answers to a question; ``reference`` "" where none is to be shown."""

    question: str
    first: str
    second: str
    reference: str = ""


@dataclass(frozen=True, slots=True)
class Judged:
    """``verdict`` of both orders together, None if one could not be parsed; ``orders`` what each said of the pair."""

    verdict: Preference | None
    orders: tuple[Preference | None, Preference | None]

    @property
    def flipped(self) -> bool:
        """The orders disagree."""
        return None not in self.orders and self.orders[0] != self.orders[1]


class Judge:
    """A generator, with an adapter of it or without, as a judge. ``retries`` of an unparsed reply are sampled."""

    def __init__(self, generator: Generator, adapter: str | None = None, *, retries: int = 2, seed: int = 0) -> None:
        self._generator, self._adapter, self._retries, self._seed = generator, adapter, retries, seed

    def compare(self, pairs: Sequence[Pair], *, both_orders: bool = True) -> list[Judged]:
        """Which answer of each pair is better."""
        asked = [_pair_prompt(pair) for pair in pairs]
        if both_orders:
            asked += [_pair_prompt(Pair(p.question, p.second, p.first, p.reference)) for p in pairs]
        said = self._ask(asked, parse_preference)
        straight = said[: len(pairs)]
        turned = [_turned(preference) for preference in said[len(pairs) :]] if both_orders else straight
        return [_together(one, other) for one, other in zip(straight, turned, strict=True)]

    def grade(
        self, questions: Sequence[str], references: Sequence[str], answers: Sequence[str]
    ) -> list[Correctness | None]:
        """Whether each answer says what its reference says; an empty answer is wrong without asking."""
        asked = [n for n, answer in enumerate(answers) if answer.strip()]
        prompts = [
            _prompt(fill("judge_grade", question=questions[n], reference=references[n], answer=answers[n]))
            for n in asked
        ]
        found: dict[int, Correctness | None] = dict(zip(asked, self._ask(prompts, parse_grade), strict=True))
        return [found.get(n, "wrong") for n in range(len(answers))]

    def rate(
        self, aspect: str, questions: Sequence[str], answers: Sequence[str], passages: Sequence[str] = ()
    ) -> list[int | None]:
        """1 to 5 for one of ``ASPECTS``; ``passages`` are shown where given. Raises KeyError for another aspect."""
        said = ASPECTS[aspect]
        shown = [f"Passages:\n{text}\n\n" for text in passages] or [""] * len(questions)
        prompts = [
            _prompt(fill("judge_rate", passages=p, question=q, answer=a, aspect=f"{aspect}: {said}"))
            for q, a, p in zip(questions, answers, shown, strict=True)
        ]
        return self._ask(prompts, parse_rating)

    def _ask(self, prompts: Sequence[Prompt], parse: Callable[[str], T]) -> list[T]:
        """What each reply says, after at most ``retries`` sampled ones for those that say nothing."""
        found: list[Any] = [None] * len(prompts)
        left = list(range(len(prompts)))
        for attempt in range(self._retries + 1):
            if not left:
                break
            made = self._generator.generate(
                [prompts[n] for n in left], max_new_tokens=_TOKENS, adapter=self._adapter,
                temperature=_RETRY_TEMPERATURE if attempt else 0.0, seed=self._seed + attempt,
            )  # fmt: skip
            for n, generation in zip(left, made, strict=True):
                found[n] = parse(generation.text)
            left = [n for n in left if found[n] is None]
        return found


def judge_hash() -> str:
    """Changes when a prompt of the judge changes."""
    return content_hash(*(load(f"judge_{name}") for name in ("answer_system", "pair", "reference", "grade", "rate")))


def parse_preference(reply: str) -> Preference | None:
    """What a reply to a pair says first; None where it says something else."""
    match = _PAIR.match(reply)
    if match is None:
        return None
    word = match[1].lower()
    return "first" if word == "a" else "second" if word == "b" else "tie"


def parse_grade(reply: str) -> Correctness | None:
    """A reply's grade; None where it gives none."""
    match = _GRADE.match(reply)
    return None if match is None else _GRADES[match[1].lower()]


def parse_rating(reply: str) -> int | None:
    """A reply's digit from 1 to 5; None where it gives none, or another number."""
    match = _RATE.match(reply)
    return None if match is None else int(match[1])


def _turned(preference: Preference | None) -> Preference | None:
    """What was said of the pair in the other order."""
    return {"first": "second", "second": "first"}.get(preference or "", preference)  # type: ignore[return-value]


def _together(one: Preference | None, other: Preference | None) -> Judged:
    if one is None or other is None:
        return Judged(None, (one, other))
    return Judged(one if one == other else "tie", (one, other))


def _pair_prompt(pair: Pair) -> Prompt:
    reference = fill("judge_reference", reference=pair.reference) + "\n\n" if pair.reference else ""
    return _prompt(
        fill("judge_pair", question=pair.question, first=pair.first, second=pair.second, reference=reference)
    )


def _prompt(user: str) -> Prompt:
    return (Message("system", load("judge_answer_system")), Message("user", user))
