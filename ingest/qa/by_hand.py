"""Where in a document an answer stands that a person wrote: found as any other, but a person's quote is trusted more.

Pure, over chunks. Knows nothing of files and verdicts (see ``ingest.qa.review``).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from fieldguide import align
from fieldguide.types import Chunk, Evidence
from ingest.qa.checks import find_evidence, find_quote, holds


def by_words(question: str, chunks: Sequence[Chunk]) -> list[Chunk]:
    """The chunks with the most words of the question that carry meaning first, else in order."""
    return sorted(chunks, key=lambda chunk: -_common(question, " ".join((chunk.context, *chunk.heading, chunk.text))))


def ground_by_hand(
    question: str, answer: str, kind: str, quote: str, before: str, chunks: Sequence[Chunk]
) -> tuple[Chunk, Evidence] | None:
    """The first of the chunks that proves the answer, and where; None if none does.

    Without a quote the answer itself is looked for: at the evidence so far (``before``, "" for a new pair), else in
    the sentence that is most like the question. A quote, or the evidence so far, proves an answer in other words if it
    holds its items, or its letters and numbers but for spaces and punctuation. A person's own ``quote`` proves any
    answer whose numbers are in it. A yes or no needs one of the two, for no text says it.
    """
    for chunk in () if quote or kind == "yes/no" else chunks:
        if found := find_evidence(answer, before or _sentence(question, answer, chunk), chunk):
            return chunk, found
    shown = quote or before
    for chunk in chunks if shown else ():
        place = find_quote(shown, chunk)
        if place is None:
            continue
        inside = find_evidence(answer, place.quote, chunk) if kind != "yes/no" else None
        if inside is not None and _within(inside, place):
            return chunk, inside
        in_other_words = _numbers(answer, place.quote) and (quote or _squeezed(answer) in _squeezed(place.quote))
        if kind == "yes/no" or holds(answer, place.quote) or in_other_words:
            return chunk, place
    return None


def _sentence(question: str, answer: str, chunk: Chunk) -> str:
    """Of the chunk's sentences that hold the answer the one with most words of the question; "" if none does."""
    held = [chunk.text[start:end] for start, end in align.sentences(chunk.text)]
    held = [sentence for sentence in held if align.find_exact(answer, sentence)]
    return max(held, key=lambda sentence: _common(question, sentence), default="")


def _common(question: str, text: str) -> int:
    return len(set(align.content_tokens(question)) & set(align.tokens(text)))


def _within(inner: Evidence, outer: Evidence) -> bool:
    return all(
        any(own.page == span.page and own.start <= span.start and span.end <= own.end for own in outer.spans)
        for span in inner.spans
    )


def _squeezed(text: str) -> str:
    """A text without white space and punctuation, for a person mends what a reader ran together ("theFrench")."""
    return re.sub(r"\W", "", align.normalise(text)[0])


def _numbers(answer: str, quote: str) -> bool:
    """Whether all numbers of the answer stand in the quote: then the words are the person's to answer for."""
    return {token for token in align.tokens(answer) if token[0].isdigit()} <= set(align.tokens(quote))
