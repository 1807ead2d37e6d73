"""Citations by alignment: which characters of which page say what the answer says? No model is believed.

A statement is supported by a passage if it stands there word for word (whatever case and spacing), or if a short
window of the passage holds at least ``support`` of its content words, all of its numbers and all of its names.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fieldguide import align
from fieldguide.types import Citation, Context, Document, ScoredChunk

_QUOTE_LIMIT = 400
_BEGINS = re.compile(
    r"(?<=[.!?])\s+((?:The|This|That|These|Those|It|Its|In|On|At|He|She|They|We|There|But|And|However)\b)"
)


@dataclass(frozen=True, slots=True)
class _Support:
    passage: int
    start: int
    end: int
    score: float
    relevance: float


def cite(
    question: str, answer: str, context: Context, documents: Mapping[str, Document], support: float,
    marks: Sequence[int] = (),
) -> tuple[list[Citation], list[str]]:  # fmt: skip
    """A citation for each statement of the answer that a passage supports, and the statements without one.

    Where a statement stands in several places, the one whose surroundings share most words with the question is
    cited, then one that the model named (``marks``, numbers of passages from 1: only where they check out), then the
    better ranked passage.
    """
    citations: list[Citation] = []
    unsupported: list[str] = []
    for statement in statements(answer):
        found = [
            best
            for number, passage in enumerate(context.passages)
            if (best := _support(question, statement, number, passage, support)) is not None
        ]
        if not found:
            unsupported.append(statement)
            continue
        best = max(
            found,
            key=lambda f: (f.score, f.relevance, f.passage + 1 in marks, -context.passages[f.passage].rank),
        )
        citations += _citations(statement, best, context, documents)
    return citations, unsupported


def statements(answer: str) -> list[str]:
    """The sentences of an answer, also after an initial or an abbreviation ("the F172 M. The crew …"), where a word
    follows that begins sentences and no name: two statements taken for one would share a citation."""
    found: list[str] = []
    for start, end in align.sentences(answer):
        at = start
        for match in _BEGINS.finditer(answer, start, end):
            found.append(answer[at : match.start()].rstrip())
            at = match.start(1)
        found.append(answer[at:end])
    return [statement for statement in found if statement]


def _support(question: str, statement: str, number: int, passage: ScoredChunk, support: float) -> _Support | None:
    text = passage.chunk.text
    matches = align.find_exact(statement, text)
    if not matches:
        close = align.find_close(statement, text)
        if close is None or close.score < support or len(align.content_tokens(statement)) < 2:
            return None
        low, high = _surroundings(text, close.start, close.end)
        if align.names(statement) - set(align.tokens(f"{passage.chunk.context} {text[low:high]}")):
            return None
        matches = [close]
    asked = set(align.content_tokens(question))
    return max(
        (_Support(number, m.start, m.end, m.score, _shared(asked, passage, m)) for m in matches),
        key=lambda s: (s.relevance, -s.start),
    )


def _shared(asked: set[str], passage: ScoredChunk, match: align.Match) -> float:
    """How many of the question's words stand around the match, and a tenth for those elsewhere in the passage."""
    low, high = _surroundings(passage.chunk.text, match.start, match.end)
    near = asked & set(align.content_tokens(passage.chunk.text[low:high]))
    anywhere = asked & set(align.content_tokens(passage.chunk.indexed_text))
    return len(near) + 0.1 * len(anywhere)


def _surroundings(text: str, start: int, end: int) -> tuple[int, int]:
    """The sentence (or, in forms, the line) that holds the characters, cut to a readable length."""
    low, high = start, end
    for first, last in align.sentences(text):
        if first < end and start < last:
            low, high = min(low, first), max(high, last)
    if high - low > _QUOTE_LIMIT:
        low, high = start, end
        for first, last in align.lines(text):
            if first < end and start < last:
                low, high = min(low, first), max(high, last)
    return low, high


def _citations(statement: str, found: _Support, context: Context, documents: Mapping[str, Document]) -> list[Citation]:
    passage = context.passages[found.passage]
    chunk = passage.chunk
    low, high = _surroundings(chunk.text, found.start, found.end)
    quote = " ".join(chunk.text[low:high].split())
    document = documents.get(chunk.document)
    source = document.source if document is not None else chunk.document
    return [
        Citation(
            statement, chunk.document, source, span.page, span.start, span.end, quote, found.passage + 1,
            round(found.score, 4), True,
        )
        for span in chunk.locate(found.start, found.end)
    ]  # fmt: skip
