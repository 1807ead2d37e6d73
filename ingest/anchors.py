"""Evidence found again in pages that were read anew, by its quote.

Pure functions over values: what was not found is None, and the caller lists it. Knows nothing of readers or the
catalogue. A quote that the new reading changes by more than a tenth is not found, nor is
any change found in a quote of more than 2,000 characters.
"""

from __future__ import annotations

import difflib
import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from fieldguide import align
from fieldguide.types import PAGE_BREAK, Chunk, Evidence, QAPair, Span

SIMILAR = 0.9
"""Least likeness of a quote and the text that takes its place."""

_AROUND = 80
_SHORT = 4
_WIDER = 4
_LONGEST = 2000
_SAME_SURROUNDINGS = 0.5


def re_anchor(evidence: Evidence, pages: Mapping[int, str], before: Mapping[int, str] | None = None) -> Evidence | None:
    """The evidence with the spans that its quote has in ``pages`` (number → text now), or None.

    Looked for on its page, then on the page before and after, then, if it is only once there, in the document; first
    whatever the white space and case (the quote stays as it was), then with a likeness of 0.9 and the same numbers
    (the new text becomes the quote). ``before`` holds the pages as the spans index them: by what stood around it a
    quote that is on the page several times is told apart, and a short one is not taken for another. Without it, several
    places are no place.
    """
    slices = [_slice(pages, span) for span in evidence.spans]
    if slices and PAGE_BREAK.join(slices) == evidence.quote:
        return evidence
    quotes = _parts(evidence)
    if quotes is None:
        return None
    spans: list[Span] = []
    texts: list[str] = []
    changed = False
    for span, quote in zip(evidence.spans, quotes, strict=True):
        found, exact = _find(span, quote, pages, _surroundings(span, quote, before))
        if found is None or (spans and (found.page, found.start) < (spans[-1].page, spans[-1].end)):
            return None
        changed = changed or not exact
        spans.append(found)
        texts.append(_slice(pages, found))
    return Evidence(evidence.document, tuple(spans), PAGE_BREAK.join(texts) if changed else evidence.quote)


def re_anchor_pair(
    pair: QAPair, pages: Mapping[int, str], chunks: Sequence[Chunk], before: Mapping[int, str] | None = None
) -> QAPair | None:
    """The pair with its evidence re-anchored and the chunk that holds all of it, or None if either is not there.

    ``pages``, ``before`` (see ``re_anchor``) and ``chunks`` are those of the pair's document; evidence in other
    documents stays. An answer that was the quote follows it; one that stood in the quote must still stand there.
    The pair keeps its id. A pair without evidence in the document is kept while its chunk exists.
    """
    evidence = []
    answer = pair.answer
    for old in pair.evidence:
        new = re_anchor(old, pages, before) if old.document == pair.document else old
        if new is None:
            return None
        if new.quote != old.quote:
            if align.tokens(answer) == align.tokens(old.quote):
                answer = " ".join(new.quote.split())
            elif align.find_exact(answer, old.quote) and not align.find_exact(answer, new.quote):
                return None
        evidence.append(new)
    spans = [span for item in evidence if item.document == pair.document for span in item.spans]
    order = sorted(chunks, key=lambda chunk: chunk.id != pair.chunk)  # stable: its own chunk first, then as they come
    holder = next((c for c in order if _holds(c, spans) and (spans or c.id == pair.chunk)), None)
    return replace(pair, answer=answer, evidence=tuple(evidence), chunk=holder.id) if holder is not None else None


def _holds(chunk: Chunk, spans: Sequence[Span]) -> bool:
    return all(
        any(own.page == span.page and own.start <= span.start and span.end <= own.end for own in chunk.spans)
        for span in spans
    )


def _slice(pages: Mapping[int, str], span: Span) -> str:
    return pages.get(span.page, "")[span.start : span.end]


def _parts(evidence: Evidence) -> list[str] | None:
    """The quote's part for each span; None if it cannot be told which characters belong to which."""
    lengths = [span.end - span.start for span in evidence.spans]
    if evidence.spans and sum(lengths) + len(PAGE_BREAK) * (len(lengths) - 1) == len(evidence.quote):
        parts = []
        offset = 0
        for length in lengths:
            parts.append(evidence.quote[offset : offset + length])
            offset += length + len(PAGE_BREAK)
        return parts
    parts = [evidence.quote] if len(lengths) == 1 else evidence.quote.split(PAGE_BREAK)
    return parts if len(parts) == len(lengths) else None


def _context(text: str, start: int, end: int) -> dict[str, float]:
    """The words within 80 characters of a place, each with 1 / (how many words away it is at its nearest).

    Which words, not on which side, because a better reader may mend the order.
    """
    before = align.tokens(text[max(start - _AROUND, 0) : start])[::-1]
    after = align.tokens(text[end : end + _AROUND])
    weights: dict[str, float] = {}
    for side in (before, after):
        for away, word in enumerate(side, 1):
            weights[word] = max(weights.get(word, 0.0), 1 / away)
    return weights


def _surroundings(span: Span, quote: str, before: Mapping[int, str] | None) -> Mapping[str, float] | None:
    """What stood around the quote; None if that is not known, or is not the text that the spans index."""
    if before is None or align.tokens(_slice(before, span)) != align.tokens(quote):
        return None
    return _context(before[span.page], span.start, span.end)


def _find(
    span: Span, quote: str, pages: Mapping[int, str], around: Mapping[str, float] | None
) -> tuple[Span | None, bool]:
    """(the quote's new place, whether it stands there as it was)."""
    near = [number for number in (span.page - 1, span.page + 1) if number in pages]
    own = [span.page] if span.page in pages else []
    for numbers in (own, near):
        places = _exact(quote, pages, numbers)
        if place := _choose(places, quote, pages, around, span):
            return place, True
        if not places and (place := _close(quote, pages, numbers)):
            return place, False
        if places:  # it is there, but which one it was cannot be told
            return None, False
    everywhere = _exact(quote, pages, [number for number in pages if number not in (*own, *near)])
    return (_choose(everywhere, quote, pages, around, span) if len(everywhere) == 1 else None), True


def _exact(quote: str, pages: Mapping[int, str], numbers: Sequence[int]) -> list[Span]:
    return [Span(n, match.start, match.end) for n in numbers for match in align.find_exact(quote, pages[n])]


def _choose(
    places: Sequence[Span], quote: str, pages: Mapping[int, str], around: Mapping[str, float] | None, old: Span
) -> Span | None:
    """The place that the quote had; None if there is none, or if that cannot be told."""
    if around is None:
        return places[0] if len(places) == 1 else None
    short = len(align.tokens(quote)) < _SHORT
    if len(places) == 1 and not short:
        return places[0]
    rated = [(_agreement(around, _context(pages[p.page], p.start, p.end)), p) for p in places]
    rated = [(rate, place) for rate, place in rated if rate >= _SAME_SURROUNDINGS]
    return max(rated, key=lambda r: (r[0], -abs(r[1].start - old.start)))[1] if rated else None


def _agreement(around: Mapping[str, float], here: Mapping[str, float]) -> float:
    """How much of what stood around a quote stands as near to it here, 0 to 1; 1 if nothing stood around it."""
    total = sum(around.values())
    return sum(min(weight, here.get(word, 0.0)) for word, weight in around.items()) / total if total else 1.0


def _close(quote: str, pages: Mapping[int, str], numbers: Sequence[int]) -> Span | None:
    """The likest text of these pages, if its likeness is 0.9 and it holds the same numbers."""
    best: tuple[float, Span] | None = None
    for number in numbers if len(quote) <= _LONGEST else ():
        match = align.find_close(quote, pages[number])
        if match is None or match.score < SIMILAR:
            continue
        rate, start, end = _fitted(quote, pages[number], match.start, match.end)
        same = rate >= SIMILAR and _numbers(pages[number][start:end]) == _numbers(quote)
        if same and (best is None or rate > best[0]):
            best = rate, Span(number, start, end)
    return best[1] if best is not None else None


def _fitted(quote: str, text: str, start: int, end: int) -> tuple[float, int, int]:
    """(likeness, start, end) of the place widened by the words at its ends that make it likest: ``find_close`` stops
    at the outermost words that carry meaning."""
    wanted = difflib.SequenceMatcher(None, b=align.normalise(quote)[0], autojunk=False)

    def rated(start: int, end: int) -> tuple[float, int, int]:
        wanted.set_seq1(align.normalise(text[start:end])[0])
        return wanted.ratio(), start, end

    low = max(start - _AROUND, 0)
    starts = [start, *[low + m.start() for m in re.finditer(r"\S+", text[low:start])][-_WIDER:]]
    ends = [end, *(end + m.end() for m in itertools.islice(re.finditer(r"\S+", text[end : end + _AROUND]), _WIDER))]
    best = max((rated(s, end) for s in starts), key=lambda r: (r[0], r[1]))
    return max((rated(best[1], e) for e in ends), key=lambda r: (r[0], -r[2]))


def _numbers(text: str) -> list[str]:
    return [token for token in align.tokens(text) if token[0].isdigit()]
