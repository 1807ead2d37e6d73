"""What bench/questions.py measures of pairs, each apart from the filters of the product: nothing of ingest.qa here.

Evidence is read anew from the pages. Self-containedness is told by one crude and strict rule of its own, which counts
some good questions as bad. Two questions are one if their vectors are near and no number or name tells them apart.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np

from fieldguide.metrics import normalise_answer
from fieldguide.models.base import Embedder
from fieldguide.types import PAGE_BREAK, QAPair

NEAR = 0.95
"""Cosine from which two questions may be one."""

SAME = 0.98
"""Cosine from which two questions about one document are one, whatever their answers."""

_POINTING = re.compile(
    r"\b(this|these|those|it|its|he|she|they|him|her|his|them|their|here|above|below|aforementioned|former|latter)\b"
    r"|\b(?:passage|excerpt|paragraph)\b",
    re.IGNORECASE,
)
_FREE = re.compile(
    r"\b(?:is|was|be|does|did|would|will|can|should|make|makes) it (?:take|cost|important|possible|necessary|best|"
    r"recommended|useful|better|called|required)\b|\bit takes?\b|\b(?:this|these|those) (?:who|that)\b|\b(?:above|"
    r"below) (?:\d|the|a|average|normal|field|ground|sea|zero)|(?:above|below)(?=\?)",
    re.IGNORECASE,
)
_BOUND = re.compile(
    r"\b(?:the|our) (?:[a-z-]+ ){0,2}?(?:accident|incident|event|crash|flight|airplane|aircraft|helicopter|pilot|"
    r"passengers?|crew|company|firm|organi[sz]ation|agency|department|patient|authors?|report|document|text|article|"
    r"section|table|figure|chart|page|form|study|paper|survey|project|program(?:me)?|contract|agreement|plaintiffs?|"
    r"defendants?|court|judge|committee|board|opinion|order|case|policy|site|facility|course|instructor|students?|"
    r"respondents?|participants|owner|operator|witness|investigation|tenant|employer)\b(?:['’]s)?",
)
_PAST = re.compile(r"\b(?:did|was|were|had)\b|^(?:Who|What|Which \w+|How many \w+) \w+ed\b")
_NAME = re.compile(r"(?<!^)(?<![.?!:] )\b[A-Z][\w&.-]*")
_QUOTED = re.compile(r"[“\"][^”\"]{3,}[”\"]")
_MONTHS = frozenset(
    ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
     "December", "I")
)  # fmt: skip


def is_grounded(pair: QAPair, pages: Mapping[tuple[str, int], str]) -> bool:
    """Whether each quote stands at its spans, to the character, and every word of the answer in the quotes.

    The answer to a yes/no question cannot; there the quotes must stand. One that draws on several places may also say
    what the question says, and join the parts ("both", "against"). ``pages`` by document and number.
    """
    if not pair.evidence:
        return False
    for item in pair.evidence:
        read = PAGE_BREAK.join(pages.get((item.document, s.page), "")[s.start : s.end] for s in item.spans)
        if not item.spans or read != item.quote:
            return False
    if pair.kind == "yes/no":
        return True
    held = set(normalise_answer(" ".join(item.quote for item in pair.evidence)).split())
    if pair.kind in ("comparison", "multi-hop"):
        held |= {"yes", "no", "both", "and", "against", "give", "than", *normalise_answer(pair.question).split()}
    said = normalise_answer(pair.answer).split()
    loose = 0.9 if len(said) > 9 else 1.0
    return bool(said) and sum(word in held for word in said) >= loose * len(said)


def is_clear(question: str) -> bool:
    """Whether nothing in the question points elsewhere and, where it is about one event or thing, a name is in it."""
    names = [name for name in _NAME.findall(question) if name not in _MONTHS]
    telling = bool(names or _QUOTED.search(question))
    for found in _POINTING.finditer(_FREE.sub(" ", question)):
        before = question[: found.start()]
        personal = found.group(1) and found.group(1).lower() not in ("this", "these", "those", "here", "above", "below")
        if not personal or not (_NAME.search(before) or len(re.findall(r"[a-z]{4,}", before)) >= 3):
            return False
    if _BOUND.search(question) and not telling:
        return False
    return telling or bool(re.search(r"\d", question)) or not _PAST.search(question)


def alike(pairs: Sequence[QAPair], embedder: Embedder) -> tuple[list[bool], list[bool]]:
    """For each pair whether another question is alike: by what they ask, and by their vectors alone.

    The first wants one answer, or in one document almost the same vector, and no number or name to tell them apart.
    """
    if len(pairs) < 2:
        return [False] * len(pairs), [False] * len(pairs)
    vectors = embedder.embed([" ".join((*pair.after, pair.question)) for pair in pairs])
    asked, near = [False] * len(pairs), [False] * len(pairs)
    told = [(_numbers(pair.question), frozenset(_NAME.findall(pair.question))) for pair in pairs]
    answers = [normalise_answer(pair.answer) or pair.document for pair in pairs]
    for start in range(0, len(pairs), 1024):
        cosines = vectors[start : start + 1024] @ vectors.T
        for row, column in np.argwhere(cosines >= NEAR):
            a, b = int(row) + start, int(column)
            if a == b:
                continue
            near[a] = True
            same = pairs[a].document == pairs[b].document and cosines[row, column] >= SAME
            (numbers, names), (others, more) = told[a], told[b]
            if (same or answers[a] == answers[b]) and numbers == others and not (names - more and more - names):
                asked[a] = True
    return asked, near


def _numbers(text: str) -> frozenset[str]:
    return frozenset(re.findall(r"\w*\d\w*", text))
