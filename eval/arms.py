"""The arms of a comparison: what each is, the passages it is shown, and its answers.

All arms get the same questions and decoding; with the same k and order also the very same passages.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from assistant.answer import prompt_of
from eval.answering import Answering
from eval.questions import TestQuestion
from fieldguide.models.base import Generator, Message
from fieldguide.prompts import with_examples
from fieldguide.settings import Answer, Variant
from fieldguide.types import Context, QAPair
from retrieval.retriever import HybridRetriever


@dataclass(frozen=True, slots=True)
class Arm:
    """One way to answer: with retrieval or not, with an adapter (its id in the generator) or not. ``k`` 0 and ``order``
    "" are as served; ``examples`` is how many worked examples come first, and ``wording`` that of the instruction, both
    still to be chosen where ``best``."""

    name: str
    retrieval: bool
    adapter: str | None
    k: int = 0
    order: str = ""
    examples: int = 0
    wording: int = 1
    best: bool = False


def arms(adapter: str | None, variants: Sequence[Variant] = ()) -> list[Arm]:
    """The two base arms, the two tuned ones where there is an adapter, and the variants.

    A variant that is tuned is left out where there is no adapter.
    """
    base = [Arm("base", False, None), Arm("base+RAG", True, None)]
    tuned = [] if adapter is None else [Arm("tuned", False, adapter), Arm("tuned+RAG", True, adapter)]
    more = [
        Arm(v.name, v.retrieval, adapter if v.tuned else None, v.k, v.order, v.examples, best=v.prompt == "best")
        for v in variants
        if adapter is not None or not v.tuned
    ]
    return [*base, *tuned, *more]


def served(adapter: str | None) -> Arm:
    """The arm that ``ask`` serves: with retrieval, and the adapter if there is one."""
    return arms(adapter)[-1]


class Contexts:
    """The passages of each question, retrieved once for each number and order of passages."""

    def __init__(self, questions: Sequence[TestQuestion], retriever: HybridRetriever) -> None:
        self._asked, self._retriever = [question.question for question in questions], retriever
        self._found: dict[tuple[int, str], list[Context]] = {}

    def of(self, arm: Arm) -> list[Context | None]:
        """As this arm shows them, None for an arm without retrieval."""
        if not arm.retrieval:
            return [None] * len(self._asked)
        settings = self._retriever.settings
        wanted = settings.model_copy(update={"k": arm.k or settings.k, "order": arm.order or settings.order})
        key = (wanted.k, wanted.order)
        if key not in self._found:
            chosen = self._retriever if wanted == settings else self._retriever.using(wanted)
            self._found[key] = chosen.contexts(self._asked)
        return list(self._found[key])


def examples_of(
    arm: Arm, pairs: Sequence[QAPair], retriever: HybridRetriever, questions: Sequence[TestQuestion],
    contexts: Sequence[Context | None], generator: Generator, settings: Answer,
) -> tuple[list[Message], str]:  # fmt: skip
    """The arm's worked examples from these pairs, as turns: prompts as it is asked, with the pairs' answers; and a
    sentence where there are fewer than it wants.

    The first pairs by id, each about another document while there are enough; as many as fit the model's window before
    the longest of the questions.
    """
    if not arm.examples:
        return [], ""
    seen: set[str] = set()
    fresh: list[QAPair] = []
    more: list[QAPair] = []
    for pair in sorted((pair for pair in pairs if pair.answerable), key=lambda pair: pair.id):
        (more if pair.document in seen else fresh).append(pair)
        seen.add(pair.document)
    chosen = [*fresh, *more][: arm.examples]
    asked = [TestQuestion(p.id, p.question, (p.answer,), p.document, (), p.kind) for p in chosen]
    turns: list[Message] = []
    for pair, context in zip(chosen, Contexts(asked, retriever).of(arm), strict=True):
        turns += [prompt_of(pair.question, context, settings)[-1], Message("assistant", pair.answer)]
    prompts = [
        prompt_of(q.question, context, settings, arm.wording) for q, context in zip(questions, contexts, strict=True)
    ]
    room = generator.context_tokens - settings.max_new_tokens
    longest = max(prompts, key=generator.count_tokens)
    while turns and generator.count_tokens(with_examples(longest, turns)) > room:
        turns = turns[:-2]
    given = len(turns) // 2
    why = "more do not fit the model's window" if given < len(chosen) else "there are no more trained pairs"
    short = f"The arm {arm.name} has {given} of the {arm.examples} worked examples that it should have: {why}."
    return turns, short if given < arm.examples else ""


def answers_of(
    arm: Arm, questions: Sequence[TestQuestion], contexts: Sequence[Context | None], answering: Answering,
    examples: Sequence[Message], done: Callable[[int], None],
) -> tuple[list[dict[str, Any]], float]:  # fmt: skip
    """The arm's answers, as ``assistant.answer.as_json`` has them, and the seconds that they took."""
    began = time.perf_counter()
    mine = replace(
        answering, adapter=arm.adapter, examples=tuple(examples), wording=arm.wording, name=f"The arm {arm.name}"
    )
    asked = [(question.question, context) for question, context in zip(questions, contexts, strict=True)]
    return mine.answers(asked, done), round(time.perf_counter() - began, 2)
