"""Which kinds of question to ask of a chunk, so that the wanted mix comes out over the corpus; and what kind one is.

Pure functions; the words that hint at a kind are English, and a text without hints is asked for every kind alike.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import get_args

from fieldguide.types import Chunk, Kind, Level, content_hash

ASKED: tuple[Kind, ...] = (
    "fact", "definition", "quantity", "date", "list", "comparison", "procedure", "cause", "table lookup", "yes/no",
)  # fmt: skip
"""The kinds that are asked of one chunk; the others are made from pairs."""

LEVELS: tuple[Level, ...] = get_args(Level)

_FAINT = 0.15
_OFTEN: Mapping[Kind, float] = {"fact": 0.7, "quantity": 0.7, "yes/no": 0.5, "table lookup": 3.0}
"""What nearly every chunk carries is asked of one less often, and what few carry more often, for an even mix."""
_TABLE_ROW = re.compile(r"^[^|\n]*\S \| \S.*$", re.MULTILINE)
_HINTS: Mapping[Kind, re.Pattern[str]] = {
    "definition": re.compile(r"(?i)\b(means|defined|refers? to|known as|called|consists? of)\b|\b(is|are) an?\b"),
    "quantity": re.compile(r"\d"),
    "date": re.compile(
        r"(?i)\b(1[5-9]|20)\d\d\b|\b\d{1,2}[/.]\d{1,2}[/.]\d{2,4}|\b\d{1,2}:\d\d\b|\b(january|february|march|april|june"
        r"|july|august|september|october|november|december|spring|summer|autumn|winter)\b"
    ),
    "list": re.compile(r"(?m),[^,.;\n]+,[^,.;]*\b(and|or)\b|(^[ \t]*([-•*]|\(?\w{1,2}[.)])\s.*\n){2}"),
    "comparison": re.compile(
        r"(?i)\b(than|compared|versus|both|whereas|while|unlike|instead|differ\w*|higher|lower)\b"
    ),
    "procedure": re.compile(
        r"(?i)\b(steps?|must|should|shall|first|then|before|after|remove|install|press|apply|use)\b"
    ),
    "cause": re.compile(
        r"(?i)\b(because|due to|caus\w+|results? (in|from)|resulted|led to|fail\w+|reasons?|since|so that|therefore"
        r"|prevents?|to avoid)\b"
    ),
}  # fmt: skip
_QUESTION_STARTS: tuple[tuple[str, Kind], ...] = (
    ("why", "cause"), ("when", "date"), ("how many", "quantity"), ("how much", "quantity"), ("how far", "quantity"),
    ("how long", "quantity"), ("what year", "date"), ("what date", "date"), ("on what date", "date"),
    ("on which da", "date"), ("in what year", "date"), ("in which year", "date"),
)  # fmt: skip
_ENGLISH = re.compile(r"(?i)\b(what|which|how|who|when|where|does|did|is|are|was|were)\b")
_ASKED_WITH: Mapping[Kind, re.Pattern[str]] = {
    "comparison": re.compile(
        r"(?i)\b(or|than|compare[ds]?|differ\w*|both|versus|more|less|same|between|unlike|higher|lower|larger|smaller|older"
        r"|newer|longer|shorter|better|greater)\b"
    ),
    "procedure": re.compile(
        r"(?i)\bhow\b(?! (many|much|long|far|old|high))|\b(steps?|do|done|process|procedure|should)\b"
    ),
    "definition": re.compile(r"(?i)\bwhat (is|are|was|were|does)\b|\b(mean\w*|defin\w+|refers?|stands? for|called)\b"),
}
"""Words that an English question of a kind has; models name kinds that they were asked for and did not write."""
_SEVERAL = re.compile(r"[,;、\n]|\b(and|or|und|et|y)\b")
_YES_NO = re.compile(r"(?i)(yes|no|ja|nein|oui|non|sí|sì|sim|não|nee)(?=\s*$|[,.;:])")


def allot(chunk: Chunk, count: int, mix: Mapping[str, float], seed: int) -> list[Kind]:
    """The kinds of ``count`` questions to ask of a chunk, in the order of ``ASKED``.

    ``mix`` holds weights by kind, 1 for those not named. The chunk's place in a systematic sample is drawn from its
    id and the seed alone: each kind comes up, over many chunks, in proportion to its weight times what the text hints
    at (``carries``), whatever order the chunks are asked in. Empty if every weight is 0.
    """
    weights = [mix.get(kind, 1.0) * carries(kind, chunk.text) for kind in ASKED]
    total = sum(weights)
    if total <= 0:
        return []
    bounds = list(accumulate(weights))
    start = int(content_hash("kinds", str(seed), chunk.id)[:12], 16) / 16**12
    last = max(n for n, weight in enumerate(weights) if weight > 0)
    return [ASKED[min(bisect_right(bounds, (start + n) / count * total), last)] for n in range(count)]


def carries(kind: Kind, text: str) -> float:
    """How often a text should be asked for a kind, against the others: little without a hint of it, and never for a
    table's cell where there is no table."""
    if kind == "table lookup" and len(_TABLE_ROW.findall(text)) < 2:
        return 0.0
    hint = _HINTS.get(kind)
    return _OFTEN.get(kind, 1.0) * (1.0 if hint is None or hint.search(text) else _FAINT)


def kind_of(named: str, question: str, answer: str, text: str) -> Kind:
    """The kind of a question: as the model named it where that can be, else as its words tell.

    An ``answer`` that is not known yet ("") excludes no kind.
    """
    if _YES_NO.match(answer):
        return "yes/no"
    lowered = question.casefold()
    told: Kind = next((kind for start, kind in _QUESTION_STARTS if lowered.startswith(start)), "fact")
    named = named.casefold().strip(' ."')
    given: Kind = next((kind for kind in ASKED if kind == named), told)
    if told == "cause" or (told != "fact" and given in ("fact", "quantity", "date", "yes/no")):
        return told
    impossible = answer and (
        given == "yes/no"
        or (given in ("quantity", "date") and not re.search(r"\d", answer))
        or (given == "table lookup" and not _TABLE_ROW.search(text))
        or (given == "list" and not _SEVERAL.search(answer))
        or (given in _ASKED_WITH and _ENGLISH.search(question) and not _ASKED_WITH[given].search(question))
    )
    return "fact" if impossible else given


def plain_answer(kind: Kind, answer: str) -> str:
    """The answer; of a yes or no only that word, as the evidence says the rest."""
    said = _YES_NO.match(answer)
    return said.group().capitalize() if kind == "yes/no" and said else answer


def level_of(named: str, kind: Kind, found: bool) -> Level:
    """The level as the model named it, else by whether the answer stands in the text as it is (``found``)."""
    named = named.casefold().strip(' ."')
    for level in LEVELS:
        if level == named:
            return level
    return "explicit fact" if found or kind == "yes/no" else "implicit fact"


def described(kinds: Sequence[str]) -> str:
    """Kinds as a prompt lists them: each once, with how many where there are several."""
    counts = {kind: list(kinds).count(kind) for kind in kinds}
    return ", ".join(kind if n == 1 else f"{kind} ({n})" for kind, n in counts.items())
