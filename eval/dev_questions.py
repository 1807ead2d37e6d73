"""Questions to choose settings by: dev pairs, or a user's file, each with the chunks that hold its evidence.

Never the test split's pairs: what chose a setting cannot also judge it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from eval.questions import TestQuestion, draw, from_pairs, read_questions
from fieldguide import align
from fieldguide.catalog import Catalog
from fieldguide.settings import Retrieval
from fieldguide.types import Chunk, Retriever
from tuning.examples import choose, holds_evidence

NO_QUESTIONS = (
    "There are no dev questions: give a file with --questions, or ingest at least three documents and run "
    "`fieldguide qa`, so that one of them is kept for choosing settings."
)


class Switchable(Retriever, Protocol):
    """A retriever whose switches can be set otherwise over the same opened index."""

    def using(self, settings: Retrieval) -> Switchable: ...


@dataclass(frozen=True, slots=True)
class DevQuestion:
    """A question and its gold chunks: each holds the evidence by itself, the one that it was made from first.

    Empty where no single chunk is known to hold it.
    """

    asked: TestQuestion
    gold: tuple[Chunk, ...]

    @property
    def cluster(self) -> str:
        """What is drawn and held out together: the document, or the question itself if it names none."""
        return self.asked.document or self.asked.id


def dev_questions(catalog: Catalog, file: Path | None, limit: int, seed: int) -> list[DevQuestion]:
    """At most ``limit`` questions, drawn by the seed: of the file, or of the dev pairs, then in turn from every
    document and kind. None if there are no dev pairs. Raises FieldguideError for a faulty file."""
    if file is not None:
        documents = {document.id: document for document in catalog.documents()}
        return with_gold(draw(read_questions(file, documents), limit, seed), catalog)
    chunks = _chunks(catalog)
    pairs = choose([pair for pair in catalog.pairs("dev") if pair.answerable], limit, seed)
    out = []
    for pair, asked in zip(pairs, from_pairs(pairs) if pairs else (), strict=True):
        holding = [chunk for chunk in chunks.get(pair.document, ()) if holds_evidence(chunk, pair)]
        out.append(DevQuestion(asked, tuple(sorted(holding, key=lambda chunk: chunk.id != pair.chunk))))
    return out


def unanswerable_pairs(catalog: Catalog, limit: int, seed: int) -> list[DevQuestion]:
    """At most ``limit`` dev pairs that no document answers, drawn by the seed; their reference is ""."""
    every = catalog.pairs("dev", every=True)
    pairs = choose([p for p in every if not p.answerable and not p.after and p.verdict != "rejected"], limit, seed)
    return [DevQuestion(TestQuestion(p.id, p.question, ("",), p.document, (), p.kind), ()) for p in pairs]


def with_gold(questions: Sequence[TestQuestion], catalog: Catalog) -> list[DevQuestion]:
    """The questions with their gold chunks, by their pages (``on_pages``)."""
    chunks = _chunks(catalog)
    return [DevQuestion(q, on_pages(q, chunks.get(q.document or "", ()))) for q in questions]


def _chunks(catalog: Catalog) -> dict[str, list[Chunk]]:
    out: dict[str, list[Chunk]] = {}
    for chunk in catalog.iter_chunks():
        out.setdefault(chunk.document, []).append(chunk)
    return out


def on_pages(question: TestQuestion, own: Sequence[Chunk]) -> tuple[Chunk, ...]:
    """The document's chunks on the question's pages: those with an answer word for word, else all of them."""
    here = [chunk for chunk in own if set(chunk.pages) & set(question.pages)]
    literal = [chunk for chunk in here if any(align.find_exact(answer, chunk.text) for answer in question.answers)]
    return tuple(literal or here)


def documents_of(questions: Sequence[DevQuestion]) -> Mapping[str, int]:
    """How many of the questions each cluster has."""
    counts: dict[str, int] = {}
    for question in questions:
        counts[question.cluster] = counts.get(question.cluster, 0) + 1
    return counts
