"""Does an exported model say what the original says? Both answer the same prompts, greedily, and are compared.

Knows generators by their Protocol only, so any two can be compared.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from fieldguide.metrics import token_f1
from fieldguide.models.base import Generation, Generator, Prompt
from fieldguide.types import Progress

_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Side:
    """How one of the two answered: seconds in all, and tokens (prompts and answers) a second."""

    id: str
    seconds: float
    tokens_per_second: float


@dataclass(frozen=True, slots=True)
class Agreement:
    """How alike the answers to ``n`` questions are.

    ``identical`` is the share of answers that are the same but for spaces, ``token_f1`` the mean of that metric between
    the two answers, both from 0 to 1. ``diverges_after`` is the mean number of words before the first one that
    differs, over the answers that differ (None if none does); greedy decoding goes its own way from there.
    ``differing`` shows the first few of them: number of the question, the original's answer, the exported one's.
    """

    n: int
    identical: float
    token_f1: float
    diverges_after: float | None
    differing: tuple[tuple[int, str, str], ...]
    original: Side
    exported: Side

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def measure(
    original: Generator,
    exported: Generator,
    prompts: Sequence[Prompt],
    *,
    adapter: str | None,
    max_new_tokens: int,
    progress: Progress,
) -> Agreement:
    """The agreement of ``exported`` with ``original``, the latter with its ``adapter`` (an id that it has loaded).

    Raises ValueError without prompts, ModelError for a prompt over a model's limit.
    """
    if not prompts:
        raise ValueError("comparing two models needs at least one prompt")
    first, was = _answers(original, prompts, adapter, max_new_tokens, "answers of the original", progress)
    second, now = _answers(exported, prompts, None, max_new_tokens, "answers of the export", progress)
    return compare(was, now, first, second)


def _answers(
    generator: Generator, prompts: Sequence[Prompt], adapter: str | None, limit: int, label: str, progress: Progress
) -> tuple[Side, list[str]]:
    progress.start(label, len(prompts))
    told = hasattr(generator, "on_batch")
    if told:
        generator.on_batch = progress.advance  # type: ignore[attr-defined]
    started = time.perf_counter()
    try:
        made: list[Generation] = generator.generate(prompts, max_new_tokens=limit, adapter=adapter)
    finally:
        if told:
            generator.on_batch = None  # type: ignore[attr-defined]
    seconds = time.perf_counter() - started
    tokens = sum(one.prompt_tokens + one.completion_tokens for one in made)
    side = Side(generator.id, round(seconds, 3), round(tokens / max(seconds, 1e-9), 1))
    return side, [" ".join(one.text.split()) for one in made]


def compare(was: Sequence[str], now: Sequence[str], original: Side, exported: Side) -> Agreement:
    """The agreement of two lists of answers of one length."""
    pairs = list(zip(was, now, strict=True))
    differing = [(number, a, b) for number, (a, b) in enumerate(pairs, 1) if a != b]
    places = [_first_difference(a.split(), b.split()) for _, a, b in differing]
    return Agreement(
        n=len(pairs),
        identical=1 - len(differing) / len(pairs),
        token_f1=sum(token_f1(b, a) for a, b in pairs) / len(pairs),
        diverges_after=sum(places) / len(places) if places else None,
        differing=tuple(differing[:_SHOWN]),
        original=original,
        exported=exported,
    )


def _first_difference(a: Sequence[str], b: Sequence[str]) -> int:
    return next((i for i, (x, y) in enumerate(zip(a, b)) if x != y), min(len(a), len(b)))
