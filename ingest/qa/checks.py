"""Does a draft hold? Grounded in its chunk, well-formed, not trivial, and clear without the text.

Pure: a draft, its chunk and the document's language in, evidence or one fixed reason out. What needs a model (does a
reader give the same answer?) or the other pairs (has it been asked?) is in other modules.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from fieldguide import align
from fieldguide.types import PAGE_BREAK, Chunk, Evidence
from ingest.facets import language_of
from ingest.qa.drafts import Draft
from ingest.qa.self_contained import not_self_contained

FUZZY = 0.9
"""Least share of an answer's content words that its place must hold, with all of its numbers, if it is not exact."""

NO_QUESTION, CUT_QUESTION, LONG_QUESTION, JUNK, UNBALANCED, LANGUAGE = (
    "not a question",
    "question breaks off",
    "question too short or too long",
    "stray characters",
    "brackets or quotation marks not closed",
    "question not in the document's language",
)
NO_ANSWER, LONG_ANSWER, CUT_ANSWER, TRIVIAL = (
    "answer empty",
    "answer too long",
    "answer breaks off",
    "answer in question",
)
UNGROUNDED, NOT_IN_QUOTE, NO_QUOTE, MISPLACED, NOT_YES_NO = (
    "answer not in the chunk",
    "answer not in its quote",
    "quote not in the chunk",
    "evidence not at its place",
    "answer to a yes/no question is neither yes nor no",
)

_WORDS = (3, 40)
_MOST_CHARACTERS = 300
_MOST_OF_SEVERAL = 1200
_SEVERAL = frozenset(("list", "procedure", "comparison", "multi-hop"))
_LABELS = frozenset(("yes/no", "comparison"))
"""Kinds whose answer stands in the question, or is no part of the text, by nature."""
_LONG_ENOUGH = 60
"""Characters of a question from which its language is looked at: names and loan words mislead in shorter ones."""

_QUESTION_MARKS = ("?", "？", "؟", "՞", "፧")
_OPENING = (
    "what who whom whose which when where why how is are was were am be do does did has have had can could will would "
    "shall should may might must isn't aren't wasn't weren't don't doesn't didn't hasn't haven't hadn't can't couldn't "
    "won't wouldn't shouldn't what's who's where's how's when's why's"
)
_ASKS = frozenset(_OPENING.split())
_ASKING = frozenset(_OPENING.split()[:9])
_ENDLESS = "a an the of to and or at by for with as is are was were than that which its their his between into per"
_NO_END = frozenset(_ENDLESS.split())
_CUT_AT_POINT = ("jan", "feb", "aug", "sept", "oct", "nov", "dec", "mr", "mrs", "ms", "dr", "vs", "approx", "fig")
_NO_END_OF_QUESTION = frozenset(("a", "an", "the", "and", "or", "its", "their", "than", *_CUT_AT_POINT))
_STRAY = re.compile(r"\(cid:|_{3,}|\.{4,}|…{2,}|\|{2,}|[*#=~]{3,}|<[a-z/]+>|\\[nt]|\?{2,}|https?://\S{40,}")
_REPEATED = re.compile(r"\b(\w{2,})(?: \1\b){1,}", re.IGNORECASE)
_MAY_REPEAT = frozenset(("that", "had", "very", "bora", "walla", "baden", "pago"))
_YES_NO = re.compile(r"(?i)(?:yes|no|ja|nein|oui|non|sí|si|sì|não|nee)\b")
_ITEM = re.compile(r"[;\n•·]|, (?:and |or |und |et |y )?| (?:and|und|et|y|&) |^\W*(?:\d{1,2}[.)]|[-–])\s", re.MULTILINE)
_PAIRS = {")": "(", "]": "[", "”": "“", "»": "«"}


def check(draft: Draft, chunk: Chunk, language: str, others: Sequence[Chunk] = ()) -> tuple[str, tuple[Evidence, ...]]:
    """("", evidence) for a draft that holds, else (reason, ()).

    ``language`` is an ISO 639-1 code, "" if not known. ``others`` are further chunks that a draft's own evidence may
    lie in. A draft that says there is no answer needs none, and no evidence.
    """
    question = " ".join(draft.question.split())
    answer = " ".join(draft.answer.split())
    reason = malformed_question(question, language)
    if not reason and not draft.after:
        reason = not_self_contained(question, language, " ".join((chunk.context, *chunk.heading)))
    if reason or not draft.answerable:
        return reason, ()
    if reason := _malformed_answer(answer, draft.kind, language):
        return reason, ()
    if draft.kind not in _LABELS and is_trivial(question, answer):
        return TRIVIAL, ()
    return ground(draft, chunk, others)


def normal_question(question: str) -> str:
    """A question without case, punctuation and spacing, to find repetitions."""
    return " ".join(align.tokens(question))


def malformed_question(question: str, language: str) -> str:
    """Why this is not one whole question in the language, or ""."""
    if not question.endswith(_QUESTION_MARKS):
        return NO_QUESTION
    words = question[:-1].casefold().replace("’", "'").split()
    low, high = _WORDS
    dense = _dense(question)
    if not low <= max(len(words), dense * 2 // 3) <= high or len(question) > _MOST_CHARACTERS:
        return LONG_QUESTION
    bare = [word.strip(".,;:()\"“”'") for word in words]
    if language in ("", "en") and not _asks(bare, words):
        return NO_QUESTION if language else ""
    if language == "en" and bare[-1] in _NO_END_OF_QUESTION:
        return CUT_QUESTION
    if is_junk(question, language) or question[0] in ",;:)]}”.?":
        return JUNK
    if not is_balanced(question):
        return UNBALANCED
    told = language_of(question) if language and len(question) >= _LONG_ENOUGH else ""
    return LANGUAGE if told and told != language else ""


def _dense(text: str) -> int:
    """How many characters are of a writing that puts no space between words."""
    return sum(unicodedata.east_asian_width(char) == "W" for char in text)


def _asks(bare: Sequence[str], words: Sequence[str]) -> bool:
    """A question word anywhere, or an auxiliary at the beginning of the question or of its last part."""
    after_mark = [b for w, b in zip(words, bare[1:], strict=False) if w.endswith((",", ":", ";", ".", "?"))]
    return any(word in _ASKING or word.split("'")[0] in _ASKING for word in bare) or any(
        word in _ASKS for word in (bare[0], *after_mark)
    )


def is_junk(text: str, language: str = "en") -> bool:
    """Characters or repetitions that no sentence has: what a bad reading or a model that loops leaves."""
    if any(unicodedata.category(char) in ("Cc", "Co", "Cn", "Cs") or char == "\ufffd" for char in text):
        return True
    if _STRAY.search(text) or any(len(word) > 60 for word in text.split()):
        return True
    twice = [found.group(1).casefold() for found in _REPEATED.finditer(text)] if language == "en" else []
    if any(word not in _MAY_REPEAT and not word.isdigit() for word in twice):
        return True
    letters = sum(char.isalnum() for char in text)
    return letters < 0.6 * sum(not char.isspace() for char in text)


def is_balanced(text: str) -> bool:
    """Whether brackets and quotation marks are closed in order. Inches and list numbers ("1)") are no brackets."""
    text = re.sub(r"(?<!\w)(?:\w{1,3}|\d+)\)", "", text) if text.count(")") > text.count("(") else text
    waiting: list[str] = []
    for char in text:
        if char in _PAIRS.values():
            waiting.append(char)
        elif char in _PAIRS:
            if char == "”" and "„" in text:
                continue
            if not waiting or waiting.pop() != _PAIRS[char]:
                return False
    straight = re.sub(r"\d\"", "", text).count('"')
    return (not waiting or ("„" in text and set(waiting) == {"“"})) and straight % 2 == 0


def _malformed_answer(answer: str, kind: str, language: str) -> str:
    """Why this cannot be an answer whatever the text, or ""."""
    if not any(char.isalnum() for char in answer):
        return NO_ANSWER
    if len(answer) > (_MOST_OF_SEVERAL if kind in _SEVERAL else _MOST_CHARACTERS):
        return LONG_ANSWER
    if kind == "yes/no" and not _YES_NO.match(answer):
        return NOT_YES_NO
    if any(unicodedata.category(char) in ("Cc", "Co", "Cs") or char == "\ufffd" for char in answer) or (
        "(cid:" in answer
    ):
        return JUNK
    words = answer.casefold().split()
    last = words[-1]
    if last.endswith(("-", "–", ",", ";", "(", "/")) or answer[0] in ",;:)]}”%":
        return CUT_ANSWER
    if language == "en" and len(words) > 1 and last in _NO_END:
        return CUT_ANSWER
    return "" if is_balanced(answer) else UNBALANCED


def is_trivial(question: str, answer: str) -> bool:
    """Whether the answer stands in the question, as it is or with all of its content words."""
    wanted = set(align.content_tokens(answer))
    return bool(align.find_exact(answer, question)) or (bool(wanted) and wanted <= set(align.tokens(question)))


def ground(draft: Draft, chunk: Chunk, others: Sequence[Chunk] = ()) -> tuple[str, tuple[Evidence, ...]]:
    """("", where the draft's answer stands) or (reason, ())."""
    answer = " ".join(draft.answer.split())
    if draft.evidence:
        if not all(_is_there(item, (chunk, *others)) for item in draft.evidence):
            return MISPLACED, ()
        texts = [item.quote for item in draft.evidence]
        held = draft.kind == "yes/no" or holds(answer, PAGE_BREAK.join(texts))
        return ("", draft.evidence) if held else (NOT_IN_QUOTE, ())
    if draft.kind == "yes/no":
        quote = find_quote(draft.quote, chunk, close=False)
        return ("", (quote,)) if quote is not None else (NO_QUOTE, ())
    if found := find_evidence(answer, draft.quote, chunk):
        return "", (found,)
    if draft.kind not in _SEVERAL:
        return UNGROUNDED, ()
    quote = find_quote(draft.quote, chunk)
    if quote is None:
        return NO_QUOTE, ()
    return ("", (quote,)) if holds(answer, quote.quote) else (NOT_IN_QUOTE, ())


def find_evidence(answer: str, quote: str, chunk: Chunk) -> Evidence | None:
    """The page spans of the answer in the chunk: inside the quote where the quote is found, else its first place.

    Exactly, or, where it stands nowhere so, the place with ``FUZZY`` of its content words and all of its numbers.
    """
    around = align.find_exact(quote, chunk.text) if quote else []
    if places := align.find_exact(answer, chunk.text):
        inside = [p for p in places if any(a.start <= p.start and p.end <= a.end for a in around)]
        place = (inside or places)[0]
        return _evidence(chunk, place.start, place.end)
    if _dense(answer) and (at := chunk.text.find(answer)) >= 0:
        return _evidence(chunk, at, at + len(answer))
    if len(align.content_tokens(answer)) < 2:
        return None
    for start, end in (*((a.start, a.end) for a in around), (0, len(chunk.text))):
        close = align.find_close(answer, chunk.text[start:end])
        if close is not None and close.score >= FUZZY:
            return _evidence(chunk, start + close.start, start + close.end)
    return None


def find_quote(quote: str, chunk: Chunk, *, close: bool = True) -> Evidence | None:
    """The page spans of a quote in the chunk: its first place, else (with ``close``) one that is nearly the same."""
    if places := align.find_exact(quote, chunk.text):
        return _evidence(chunk, places[0].start, places[0].end)
    match = align.find_close(quote, chunk.text) if close else None
    return _evidence(chunk, match.start, match.end) if match is not None and match.score >= FUZZY else None


def holds(answer: str, text: str) -> bool:
    """Whether the answer stands in the text: as a whole, or each of its items, exactly or nearly."""
    if _stands(answer, text):
        return True
    items = [item for item in _ITEM.split(answer) if item and align.content_tokens(item)]
    return bool(items) and all(_stands(item, text) for item in items)


def _stands(item: str, text: str) -> bool:
    if align.find_exact(item, text):
        return True
    close = align.find_close(item, text, slack=3.0) if len(align.content_tokens(item)) > 1 else None
    return close is not None and close.score >= FUZZY


def _evidence(chunk: Chunk, start: int, end: int) -> Evidence:
    return Evidence(chunk.document, chunk.locate(start, end), chunk.text[start:end])


def _is_there(evidence: Evidence, chunks: Sequence[Chunk]) -> bool:
    """Whether the evidence has spans, and the chunks that hold them have its quote there."""
    if not evidence.spans or not align.tokens(evidence.quote):
        return False
    said = align.tokens(evidence.quote)
    return any(chunk.document == evidence.document and align.tokens(_slices(chunk, evidence)) == said
               for chunk in chunks)  # fmt: skip


def _slices(chunk: Chunk, evidence: Evidence) -> str:
    """The chunk's text at the evidence's spans; "" if it does not hold all of them."""
    parts = []
    for wanted in evidence.spans:
        offset = 0
        for span in chunk.spans:
            if span.page == wanted.page and span.start <= wanted.start and wanted.end <= span.end:
                parts.append(chunk.text[offset + wanted.start - span.start : offset + wanted.end - span.start])
                break
            offset += span.end - span.start + len(PAGE_BREAK)
        else:
            return ""
    return PAGE_BREAK.join(parts)
