"""Answers to many questions over given contexts, from the catalogue's cache where they are there.

The key of an answer is the hash of everything that decides it, so an interrupted run goes on where it was, and the
same question over the same passages is answered once, whichever command asks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from assistant.answer import answer_in_context, as_json
from fieldguide import __version__
from fieldguide.catalog import Catalog
from fieldguide.errors import IntegrityError
from fieldguide.models.base import Generator, Message
from fieldguide.prompts import answer_prompt_hash
from fieldguide.settings import Answer
from fieldguide.types import Answer as Given
from fieldguide.types import Context, Document, content_hash

_BATCH = 20

Asked = tuple[str, Context | None]
"""A question and its passages; None: without any."""


@dataclass(frozen=True)
class Answering:
    """What decides answers beside question and context: model, adapter (its id in the generator; None: base), settings,
    the ``wording`` of the instruction and the worked ``examples`` that every prompt begins with.

    ``base_hash`` is that of the base weights at the beginning; ``name`` is what errors call it.
    """

    catalog: Catalog
    generator: Generator
    adapter: str | None
    settings: Answer
    documents: Mapping[str, Document]
    index: str
    base_hash: str
    examples: Sequence[Message] = ()
    wording: int = 1
    name: str = "The answers"
    _stored: list[str] = field(default_factory=list)

    def key(self, question: str, context: Context | None) -> str:
        """The key of an answer in the cache."""
        shown = [f"{message.role}: {message.content}" for message in self.examples]
        return content_hash(
            __version__, self.base_hash, str(self.adapter), answer_prompt_hash(self.wording), question,
            context.hash if context is not None else "closed book", self.settings.model_dump_json(), self.generator.id,
            *shown,
        )  # fmt: skip

    def missing(self, asked: Sequence[Asked]) -> list[Asked]:
        """Those that are not in the cache, each once."""
        by_key = {self.key(*each): each for each in asked}
        return [each for key, each in by_key.items() if not self.catalog.answer(key)]

    def fill(self, asked: Sequence[Asked]) -> Iterator[int]:
        """Answer and keep all of them, a batch at a time; yields how many each batch had.

        Raises IntegrityError if the adapter that was on in the weights is not the one asked for.
        """
        for start in range(0, len(asked), _BATCH):
            part = asked[start : start + _BATCH]
            answers = answer_in_context(
                [question for question, _ in part], [context for _, context in part], generator=self.generator,
                adapter=self.adapter, documents=self.documents, settings=self.settings, index=self.index,
                examples=self.examples, wording=self.wording,
            )  # fmt: skip
            self._check_adapter(answers)
            for answer, each in zip(answers, part, strict=True):
                key = self.key(*each)
                self._stored.append(key)
                self.catalog.store_answer(key, as_json(answer, self.documents))
            yield len(part)

    def answers(self, asked: Sequence[Asked], done: Callable[[int], None] = lambda n: None) -> list[dict[str, Any]]:
        """The answers as ``as_json`` has them, in order; ``done`` is told how many more there are, kept or new."""
        found = []
        for start in range(0, len(asked), _BATCH):
            part = asked[start : start + _BATCH]
            for _ in self.fill(self.missing(part)):
                pass
            found += [self.catalog.answer(self.key(*each)) or {} for each in part]
            done(len(part))
        return found

    def texts(self, asked: Sequence[Asked]) -> list[str]:
        """The answers' texts; all must have been answered (KeyError)."""
        found: list[Mapping[str, Any]] = [self.catalog.answer(self.key(*each)) or {} for each in asked]
        return [answer["text"] for answer in found]

    def check(self, now: str | None = None) -> None:
        """Raises IntegrityError, and forgets what was answered since, if the base weights have changed.

        ``now`` is their hash, where it is known already.
        """
        now = self.generator.base_hash() if now is None else now
        if now != self.base_hash:
            for key in self._stored:  # they are not the answers of the weights that they are kept under
                self.catalog.store_answer(key, {})
            raise IntegrityError(
                f"The base model's weights changed on the way ({self.base_hash[:12]} to {now[:12]}); "
                "the figures would mean nothing, so there are none."
            )

    def _check_adapter(self, answers: Sequence[Given]) -> None:
        generated = [answer.trace for answer in answers if answer.trace.finish != "abstained"]
        wrong = {trace.adapter or "none" for trace in generated if trace.adapter != self.adapter}
        if wrong:
            raise IntegrityError(
                f"{self.name} should have run with the adapter {self.adapter or 'off'} but ran with "
                f"{', '.join(sorted(wrong))}; there is no report."
            )
