"""What a source of question-answer pairs gives: drafts, not yet verified. See ``ingest.questions`` for the rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from fieldguide.types import Chunk, Document


@dataclass(frozen=True, slots=True)
class Draft:
    """A question and answer as a source wrote them. ``quote`` is the text of the chunk that is said to prove it."""

    question: str
    answer: str
    quote: str
    kind: str


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why something was not used: counted and shown, never dropped in silence."""

    reason: str
    detail: str


class QuestionSource(Protocol):
    """Writes drafts from chunks."""

    @property
    def name(self) -> str:
        """Recorded as the pairs' origin."""
        ...

    @property
    def id(self) -> str:
        """Name and hash of everything that decides what it writes; a chunk is not asked twice of the same id."""
        ...

    def draft(self, document: Document, chunks: Sequence[Chunk]) -> list[tuple[list[Draft], list[Rejection]]]:
        """Drafts and rejections for each chunk, in order."""
        ...
