"""The main flow of the assistant: question → passages → prompt → text → checked citations → answered or declined.

One object for ``ask``, chat, batch and the calibration of its own confidence. Knows the retriever and the generator
only by their Protocols.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from assistant.answer import answer_in_context
from assistant.confidence import Calibration
from assistant.conflicts import conflicts, outdated, without
from assistant.entailment import entailed
from assistant.selection import pick
from assistant.streaming import Shown, Telling
from fieldguide.models.base import Generator
from fieldguide.settings import Answer as AnswerSettings
from fieldguide.types import Answer, Context, Document, Retriever


def _no_dates() -> Mapping[str, str]:
    return {}


@dataclass(frozen=True)
class Assistant:
    """What answers questions: a retriever (None: the model alone, which cites nothing), a generator, and the adapter
    that is on (its id in the generator; None: the base model).

    ``calibration`` makes a confidence of an answer's signs (None: answers have none); ``dates`` gives the documents'
    own dates (ISO) where two contradict each other.
    """

    retriever: Retriever | None
    generator: Generator
    adapter: str | None
    documents: Mapping[str, Document]
    settings: AnswerSettings
    calibration: Calibration | None = None
    dates: Callable[[], Mapping[str, str]] = _no_dates

    def answer(self, questions: Sequence[str]) -> list[Answer]:
        """An answer to each question, in order, generated in batches."""
        started = time.perf_counter()
        contexts = self.contexts(questions)
        retrieved = time.perf_counter()
        answers = self.decide(self.answer_over(questions, contexts))
        done = time.perf_counter()
        n = max(len(questions), 1)
        seconds = {"retrieve": (retrieved - started) / n, "generate": (done - retrieved) / n}
        return [replace(answer, trace=replace(answer.trace, seconds=seconds)) for answer in answers]

    def contexts(self, questions: Sequence[str]) -> Sequence[Context | None]:
        """The passages of each question, None where the model answers alone."""
        return [None] * len(questions) if self.retriever is None else self.retriever.contexts(questions)

    def answer_over(self, questions: Sequence[str], contexts: Sequence[Context | None]) -> list[Answer]:
        """What the model says over these passages, cited and with its confidence, whatever that is."""
        answers = self._newest(self._picked(questions, contexts), contexts)
        if self.settings.entailment:
            answers = entailed(answers, self.generator)
        if self.calibration is None:
            return answers
        return [replace(a, confidence=self.calibration.confidence(a) if a.passages else None) for a in answers]

    def decide(self, answers: Sequence[Answer]) -> list[Answer]:
        """Decline where the confidence is below the threshold; then, if the settings say so, answer from memory, which
        is labelled (EREN's order: the notes, else the model's own, else a refusal; arXiv 2403.17431)."""
        decided = [self._declined(answer) if self._unsure(answer) else answer for answer in answers]
        empty = [n for n, answer in enumerate(decided) if answer.abstained and self.retriever is not None]
        if self.settings.from_memory and empty:
            own = self._generated([decided[n].question for n in empty], [None] * len(empty), 0.0, 0)
            for n, answer in zip(empty, own, strict=True):
                if answer.text:
                    decided[n] = replace(
                        decided[n], text=answer.text, unsupported=(answer.text,), abstained=False, origin="memory",
                        confidence=None, trace=answer.trace,
                    )  # fmt: skip
        return decided

    def stream(self, question: str, write: Callable[[str], None]) -> Answer:
        """One answer; ``write`` is told of its text piece by piece, as it is generated. What is returned counts: its
        citations are checked, and it may have been withheld."""
        shown = Shown(write)
        answer = replace(self, generator=Telling(self.generator, shown)).answer([question])[0]
        shown.end(answer.text)
        return answer

    def _unsure(self, answer: Answer) -> bool:
        if self.calibration is None or self.settings.refuse != "calibrated" or answer.confidence is None:
            return False
        return not answer.abstained and answer.confidence < self.calibration.threshold

    def _declined(self, answer: Answer) -> Answer:
        return replace(answer, text="", citations=(), unsupported=(), abstained=True, withheld=answer.text)

    def _picked(self, questions: Sequence[str], contexts: Sequence[Context | None]) -> list[Answer]:
        """The greedy answers, or of several samples the best."""
        drawn = [
            self._generated(questions, contexts, self.settings.temperature if n else 0.0, n)
            for n in range(self.settings.samples)
        ]
        return [pick(of_question, self.settings.pick, self.calibration) for of_question in zip(*drawn, strict=True)]

    def _newest(self, answers: list[Answer], contexts: Sequence[Context | None]) -> list[Answer]:
        """Where a newer document contradicts the one that was cited, the answer over the newer one; conflicts shown."""
        for n, answer in enumerate(answers):
            if len({p.chunk.document for p in answer.passages}) < 2 or not answer.citations:
                continue
            found = conflicts(answer, self.dates())
            if not found:
                continue
            answers[n] = replace(answer, conflicts=tuple(found))
            context, old = contexts[n], outdated(found)
            if not old or context is None or not self.settings.newest:
                continue
            again = self._generated([answer.question], [without(context, old)], 0.0, 0)[0]
            if again.citations:
                answers[n] = replace(again, conflicts=tuple(found))
        return answers

    def _generated(
        self, questions: Sequence[str], contexts: Sequence[Context | None], temperature: float, seed: int
    ) -> list[Answer]:
        return answer_in_context(
            questions, contexts, generator=self.generator, adapter=self.adapter, documents=self.documents,
            settings=self.settings, index=self.retriever.index_id if self.retriever is not None else None,
            temperature=temperature, seed=seed,
        )  # fmt: skip
