"""The arms of a comparison: what each is, the passages it is shown, and its answers.

All arms get the same questions and decoding; with the same k and order also the very same passages.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from eval.answering import Answering
from eval.questions import TestQuestion
from fieldguide.models.base import Message
from fieldguide.prompts import answer_prompt
from fieldguide.settings import Variant
from fieldguide.types import Context, QAPair
from retrieval.retriever import HybridRetriever


@dataclass(frozen=True, slots=True)
class Arm:
    """One way to answer: with retrieval or not, with an adapter (its id in the generator) or not. ``k`` 0 and ``order``
    "" are as served; ``examples`` is how many worked examples come first."""

    name: str
    retrieval: bool
    adapter: str | None
    k: int = 0
    order: str = ""
    examples: int = 0


def arms(adapter: str | None, variants: Sequence[Variant] = ()) -> list[Arm]:
    """The two base arms, the two tuned ones where there is an adapter, and the variants.

    A variant that is tuned is left out where there is no adapter.
    """
    base = [Arm("base", False, None), Arm("base+RAG", True, None)]
    tuned = [] if adapter is None else [Arm("tuned", False, adapter), Arm("tuned+RAG", True, adapter)]
    more = [
        Arm(v.name, v.retrieval, adapter if v.tuned else None, v.k, v.order, v.examples)
        for v in variants
        if adapter is not None or not v.tuned
    ]
    return [*base, *tuned, *more]


def served(adapter: str | None) -> Arm:
    """The arm that ``ask`` serves: with retrieval, and the adapter if there is one."""
    return arms(adapter)[-1]


def contexts_of(arm: Arm, questions: Sequence[TestQuestion], retriever: HybridRetriever) -> list[Context | None]:
    """The passages of each question as this arm shows them, None for an arm without retrieval."""
    if not arm.retrieval:
        return [None] * len(questions)
    settings = retriever.settings
    wanted = settings.model_copy(update={"k": arm.k or settings.k, "order": arm.order or settings.order})
    chosen = retriever if wanted == settings else retriever.using(wanted)
    return list(chosen.contexts([question.question for question in questions]))


def examples_of(arm: Arm, pairs: Sequence[QAPair], retriever: HybridRetriever) -> list[Message]:
    """The arm's worked examples from these pairs, as turns: prompts as it is asked, with the pairs' answers.

    The first pairs by id, each about another document while there are enough.
    """
    turns: list[Message] = []
    seen: set[str] = set()
    by_id = sorted((pair for pair in pairs if pair.answerable), key=lambda pair: pair.id)
    fresh = [pair for pair in by_id if pair.document not in seen and not seen.add(pair.document)]  # type: ignore[func-returns-value]
    chosen = [*fresh, *(pair for pair in by_id if pair not in fresh)][: arm.examples]
    shown = contexts_of(arm, [_asked(pair) for pair in chosen], retriever) if chosen else []
    for pair, context in zip(chosen, shown, strict=True):
        turns += [answer_prompt(pair.question, context)[-1], Message("assistant", pair.answer)]
    return turns


def answers_of(
    arm: Arm, questions: Sequence[TestQuestion], contexts: Sequence[Context | None], answering: Answering,
    examples: Sequence[Message], done: Callable[[int], None],
) -> tuple[list[dict[str, Any]], float]:  # fmt: skip
    """The arm's answers, as ``assistant.answer.as_json`` has them, and the seconds that they took."""
    began = time.perf_counter()
    mine = replace(answering, adapter=arm.adapter, examples=tuple(examples), name=f"The arm {arm.name}")
    asked = [(question.question, context) for question, context in zip(questions, contexts, strict=True)]
    return mine.answers(asked, done), round(time.perf_counter() - began, 2)


def _asked(pair: QAPair) -> TestQuestion:
    return TestQuestion(pair.id, pair.question, (pair.answer,), pair.document, (), pair.kind)
