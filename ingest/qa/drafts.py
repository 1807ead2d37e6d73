"""What a source of question-answer pairs gives: drafts, not yet verified. See ``ingest.qa.questions`` for the rest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from fieldguide.types import Chunk, Document, Evidence, Kind, Level


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why something was not used: counted and shown, never dropped in silence."""

    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Draft:
    """A question and answer as a source wrote them. ``quote`` is the text of the chunk that is said to prove it.

    ``evidence`` is given by a source that has placed it already, as it must where it is not in the chunk alone.
    The other fields are those of ``QAPair``.
    """

    question: str
    answer: str
    quote: str
    kind: Kind
    level: Level = "explicit fact"
    evidence: tuple[Evidence, ...] = ()
    answerable: bool = True
    after: tuple[str, ...] = ()
    scores: Mapping[str, float] = field(default_factory=dict)

    def refused(self, reason: str) -> Rejection:
        """The rejection of this draft."""
        return Rejection(reason, f"{self.question} | {self.answer}")


Drafted = tuple[list[Draft], list[Rejection]]
"""What a source made of one chunk."""


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

    @property
    def batch(self) -> int | None:
        """How many chunks it wants at a time; None: all chunks of one document."""
        ...

    def takes(self, chunk: Chunk) -> bool:
        """Whether it would write anything about the chunk at all; a bound on chunks counts only these."""
        ...

    def draft(self, documents: Mapping[str, Document], chunks: Sequence[Chunk]) -> list[Drafted]:
        """What it writes about each chunk, in order; ``documents`` by id holds those of the chunks."""
        ...
