"""Do passages of two documents contradict each other about what was answered, and which document is newer?

By alignment alone: another document has a sentence with the words of the cited one and something else in the place of
the answer, and it speaks of the question no less. Knows answers and passages; no model is asked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet

from fieldguide import align
from fieldguide.quantities import quantities, same_quantity
from fieldguide.types import Answer, Citation, Conflict, Context, ScoredChunk, Span

_ALIKE = 0.7
"""Share of the cited sentence's words, without the answer's, that the other sentence must have."""

_FEWEST = 3
"""Words that they must share: shorter lines (of forms) say nothing about being about the same thing."""

_LONGER = 2.0


def conflicts(answer: Answer, dates: Mapping[str, str]) -> list[Conflict]:
    """A conflict for each citation that a passage of another document contradicts, at most one each.

    ``dates`` are the documents' own dates, ISO, where they are known: the later one is the newer; of equal or unknown
    dates neither is.
    """
    found = []
    for citation in answer.citations:
        passage = answer.passages[citation.passage - 1]
        for other in answer.passages:
            if other.chunk.document == citation.document or not _speaks_of_it(answer.question, passage, other):
                continue
            place = _contradiction(citation, answer.text, other)
            if place is None:
                continue
            start, end = place
            spans = other.chunk.locate(start, end)
            found.append(Conflict(
                citation.statement, Span(citation.page, citation.start, citation.end), citation.document,
                " ".join(other.chunk.text[start:end].split()), spans[0], other.chunk.document,
                _newer(citation.document, other.chunk.document, dates),
            ))  # fmt: skip
            break
    return found


def without(context: Context, documents: AbstractSet[str]) -> Context:
    """The context without the passages of these documents."""
    return Context(tuple(p for p in context.passages if p.chunk.document not in documents), context.policy)


def outdated(found: Sequence[Conflict]) -> set[str]:
    """The cited documents that a newer one contradicts."""
    return {c.cited_document for c in found if c.newer and c.newer == c.other_document}


def _newer(one: str, other: str, dates: Mapping[str, str]) -> str:
    first, second = dates.get(one, ""), dates.get(other, "")
    if not first or not second:
        return ""
    length = min(len(first), len(second))  # "2019" and "2019-05-03" do not tell which is later
    if first[:length] == second[:length]:
        return ""
    return one if first > second else other


def _speaks_of_it(question: str, passage: ScoredChunk, other: ScoredChunk) -> bool:
    """Whether the other passage has every word of the question that this one has, context lines included."""
    asked = set(align.content_tokens(question))
    return asked & set(align.content_tokens(passage.chunk.indexed_text)) <= set(
        align.content_tokens(other.chunk.indexed_text)
    )


def _contradiction(citation: Citation, text: str, other: ScoredChunk) -> tuple[int, int] | None:
    """Where a sentence of the passage has the cited sentence's words and another thing in the answer's place."""
    said = set(align.content_tokens(citation.statement))
    frame = set(align.content_tokens(citation.quote)) - said
    if len(frame) < _FEWEST:
        return None
    for start, end in align.sentences(other.chunk.text):
        sentence = other.chunk.text[start:end]
        words = set(align.content_tokens(sentence))
        alike = len(frame & words) / len(frame)
        if alike < _ALIKE or len(words) > _LONGER * (len(frame) + len(said)) or align.find_exact(text, sentence):
            continue
        if _says_otherwise(citation.statement, said, frame, sentence, words):
            return start, end
    return None


def _says_otherwise(
    statement: str, said: AbstractSet[str], frame: AbstractSet[str], sentence: str, words: AbstractSet[str]
) -> bool:
    """Other numbers of the same kind; of a statement without numbers, none of its own words and others instead."""
    mine, theirs = quantities(statement), quantities(sentence)
    if mine:
        return any(
            any(same_quantity(one, other) is False for other in theirs)
            and not any(same_quantity(one, other) for other in theirs)
            for one in mine
        )
    return not said & words and bool(words - frame)
