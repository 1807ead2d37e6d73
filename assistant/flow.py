"""The main flow of the assistant: question → passages → prompt → text → checked citations → answered or not.

One object for ``ask``, chat and batch. Knows the retriever and the generator only by their Protocols.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from assistant.answer import answer_in_context
from assistant.streaming import Shown, Telling
from fieldguide.models.base import Generator
from fieldguide.settings import Answer as AnswerSettings
from fieldguide.types import Answer, Context, Document, Retriever


@dataclass(frozen=True)
class Assistant:
    """What answers questions: a retriever (None: the model alone, which cites nothing), a generator, and the adapter
    that is on (its id in the generator; None: the base model)."""

    retriever: Retriever | None
    generator: Generator
    adapter: str | None
    documents: Mapping[str, Document]
    settings: AnswerSettings

    def answer(self, questions: Sequence[str]) -> list[Answer]:
        """An answer to each question, in order, generated in batches."""
        contexts: Sequence[Context | None] = [None] * len(questions)
        started = time.perf_counter()
        if self.retriever is not None:
            contexts = self.retriever.contexts(questions)
        answers = answer_in_context(
            questions, contexts, generator=self.generator, adapter=self.adapter, documents=self.documents,
            settings=self.settings, index=self.retriever.index_id if self.retriever is not None else None,
        )  # fmt: skip
        total = time.perf_counter() - started
        generate = sum(answer.trace.seconds["generate"] for answer in answers)
        seconds = {"retrieve": (total - generate) / max(len(answers), 1), "generate": generate / max(len(answers), 1)}
        return [replace(answer, trace=replace(answer.trace, seconds=seconds)) for answer in answers]

    def stream(self, question: str, write: Callable[[str], None]) -> Answer:
        """One answer; ``write`` is told of its text piece by piece, as it is generated. What is returned counts: its
        citations are checked, and it may have been withheld."""
        shown = Shown(write)
        answer = replace(self, generator=Telling(self.generator, shown)).answer([question])[0]
        shown.end(answer.text)
        return answer
