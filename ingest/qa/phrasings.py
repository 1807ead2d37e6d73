"""Other wordings of one question, the fact kept: by rule, or by a generator that is checked.

Names, numbers and negations stay what they are. The rules change the form of a question only where the answer shows
what is asked for (a year, a date, a length); they know English alone and return fewer wordings rather than doubtful
ones. Nothing is verified against a text here.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from typing import cast

from fieldguide import align, prompts
from fieldguide.models.base import Message, Prompt
from fieldguide.types import Kind, Level, QAPair, content_hash
from ingest.qa.calls import Calls
from ingest.qa.drafts import Draft, Drafted, Rejection
from ingest.qa.names import kept_words
from ingest.qa.rule_phrasings import INDIRECT, YES_NO, reworded

_LONGEST = 40
_TOKENS_EACH = 48
_YES_OR_NO = re.compile(r"^(?i:yes or no): ")


def rephrase(pair: QAPair, n: int, seed: int = 0) -> list[str]:
    """At most ``n`` other wordings of the pair's question, the least like it first; [] where no rule fits.

    None is the question itself, holds the answer where the question does not, or gains or loses a name, a number or a
    negation. The same pair and seed give the same wordings.
    """
    question = " ".join(pair.question.split())
    question = question[:1].upper() + question[1:]
    if not question.endswith("?") or question.count("?") != 1:
        return []
    found: dict[str, str] = {}
    for one in dict.fromkeys(text[:1].upper() + text[1:] for text in reworded(question, pair.answer)):
        if one != question and not _fault(question, one, pair.answer):
            found.setdefault(" ".join(align.tokens(one)), one)
    base = _pairs_of_words(question)
    return sorted(
        found.values(),
        key=lambda one: (round(_likeness(base, _pairs_of_words(one)), 1), content_hash(str(seed), pair.id, one)),
    )[:n]


def _fault(question: str, other: str, answer: str) -> str:
    """Why another wording cannot stand for a question; "" if it can."""
    if align.tokens(other) == align.tokens(question):
        return "the same wording"
    other = _YES_OR_NO.sub("", other)
    if not other.endswith("?") or other.count("?") != 1 or "\n" in other:
        return "not one question"
    if len(other.split()) > _LONGEST:
        return "question too long"
    if kept_words(other) != kept_words(question):
        return "names or numbers changed"
    if _is_yes_no(question) != _is_yes_no(other):
        return "another sort of question"
    if align.find_exact(answer, other) and not align.find_exact(answer, question):
        return "answer in question"
    return ""


def _is_yes_no(question: str) -> bool:
    """Whether a question asks for yes or no; "Can you tell me who" does not."""
    return bool(YES_NO.match(question[:1].upper() + question[1:]) and not INDIRECT.match(question))


def _pairs_of_words(text: str) -> set[tuple[str, str]]:
    return set(itertools.pairwise(["", *align.tokens(text), ""]))


def _likeness(first: set[tuple[str, str]], second: set[tuple[str, str]]) -> float:
    return len(first & second) / max(len(first | second), 1)


def rephrase_prompt(pair: QAPair, n: int) -> Prompt:
    """The prompt that asks for ``n`` other wordings of a pair's question."""
    user = prompts.fill("rephrase_user", question=pair.question, answer=pair.answer, number=str(n))
    return (Message("system", prompts.load("rephrase_system")), Message("user", user))


def rephrase_by(calls: Calls, pairs: Sequence[QAPair], n: int, seed: int = 0) -> list[Drafted]:
    """At most ``n`` drafts a pair in a generator's words, and what was refused; in the order of the pairs.

    Answer, evidence, kind and level are the pair's. One call a pair, cached by its content.
    """
    asked = [rephrase_prompt(pair, n) for pair in pairs]
    replies = calls.ask(asked, max_new_tokens=_TOKENS_EACH * (n + 1), temperature=0.7 if n > 1 else 0.0, seed=seed)
    return [_checked(pair, reply.text, n) for pair, reply in zip(pairs, replies, strict=True)]


def _checked(pair: QAPair, reply: str, n: int) -> Drafted:
    drafts: list[Draft] = []
    rejections: list[Rejection] = []
    told = {" ".join(align.tokens(pair.question))}
    for line in reply.splitlines():
        one = re.sub(r"^\s*(?:[-*•]|\d{1,2}[.)])?\s*", "", line).strip().strip('"“”')
        if not one:
            continue
        reason = _fault(pair.question, one, pair.answer)
        if not reason and " ".join(align.tokens(one)) in told:
            reason = "the same wording"
        if not reason and len(drafts) == n:
            reason = "enough wordings"
        if reason:
            rejections.append(Rejection(reason, one[:200]))
            continue
        told.add(" ".join(align.tokens(one)))
        quote = pair.evidence[0].quote if pair.evidence else ""
        drafts.append(
            Draft(
                one, pair.answer, quote, cast(Kind, pair.kind), cast(Level, pair.level), pair.evidence,
                pair.answerable, pair.after,
            )
        )  # fmt: skip
    return drafts, rejections
