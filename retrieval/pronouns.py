"""Pronouns in a question: which of them have nothing in it to stand for, and what a conversation has for them. Pure.

It knows English forms, no meanings, and in doubt takes a pronoun to be resolved: a good question must stay good.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from retrieval.mentions import (
    ASKING,
    AUXILIARIES,
    FUNCTION,
    PREPOSITIONS,
    Kind,
    Mention,
    mentions,
    word_set,
    words,
)

Turns = Sequence[tuple[str, str]]
"""(question, answer), oldest first."""

_SHORT_ANSWER = 8  # words; a longer answer is not a name for what was asked
_OF_PERSONS = {"he", "she", "him", "his", "her", "hers"}
_OF_MANY = {"they", "them", "their", "theirs"}
_POSSESSIVE = {"his", "her", "its", "their"}
_PRONOUN = re.compile(r"\b(he|she|him|his|hers|her|its|it|they|them|theirs|their)\b(?!['’-])", re.IGNORECASE)
_EXPLETIVE = re.compile(
    r"\bit\s+(?:(?:really|usually|normally|ever|still|also)\s+)?(?:"
    r"(?:takes?|costs?|means?|requires?|matters?|make\s+sense|helps?)\b.*\b(?:to|for|if|when|that|whether)\b"
    r"|rain\w*|snow\w*|(?:is|was|be)\b)"
    r"|\b(?:is|was|be|would|isn't|wasn't)\s+it\s+(?:\w+\s+){0,3}(?:that|to|for|if|when|who|which|whether|how|what|why)\b"
    r"|\bwhat\s+(?:time|day|date)\s+(?:is|was)\s+it\b|\bif\s+it\s+(?:is|rains|snows)\b",
    re.IGNORECASE,
)
_PLURAL = re.compile(rf"(?!(?:{'|'.join(sorted(FUNCTION))})$)\w+[^sui]s")
_RELATIONS = {"difference", "differences", "similarity", "similarities", "relationship", "comparison", "link"}
_YEAR_BEHIND = re.compile(
    r"\s+(?:in|for|of|during)\s+(?:the\s+year\s+|fiscal\s+(?:year\s+)?|FY\s?)?(?:19|20)\d\d\b", re.IGNORECASE
)
_NOT_PERSONS = word_set("report document board airplane aircraft accident company engine flight study")
_IRREGULAR = {"people", "children", "men", "women", "police", "staff", "cattle", "sheep", "mice", "data"}
_ASKED_ONLY = re.compile(
    rf"(?:(?:and|or|but|{'|'.join(sorted(PREPOSITIONS))})\s+)*"
    rf"(?:{'|'.join(sorted(ASKING))})\b[^,;]*\b(?:{'|'.join(sorted(AUXILIARIES))})",
    re.IGNORECASE,
)
_ENGLISH = word_set(
    "the is are was were did does do how what when where who why which has had have and of to can could will would",
    "about its his their",
)
_GERMAN = word_set(
    "der die das und ist wie wer wann wo nicht ein eine für mit von auf dem den des im zum zur war hat hatte wurde",
    "welche welcher welches er sie es ihr ihre sein seine warum viele viel",
)


def is_foreign(text: str) -> bool:
    """Whether a text looks more like German than English."""
    held = set(words(text))
    return len(held & _GERMAN) > len(held & _ENGLISH) or (
        not held & _ENGLISH and bool(held & {"und", "er", "sie", "es"})
    )


def _kind(pronoun: str) -> Kind:
    low = pronoun.casefold()
    return "person" if low in _OF_PERSONS else "plural" if low in _OF_MANY else "thing"


def open_pronouns(question: str) -> list[re.Match[str]]:
    """The first pronoun of each kind that has nothing before it in the question that it could stand for."""
    if is_foreign(question):
        return []
    found: dict[Kind, re.Match[str]] = {}
    resolved: set[Kind] = set()
    blind = [match.span() for match in _EXPLETIVE.finditer(question)]
    for match in _PRONOUN.finditer(question):
        kind = _kind(match.group())
        if kind in found or kind in resolved:
            continue
        expletive = match.group().casefold() == "it" and any(low <= match.start() < high for low, high in blind)
        if expletive or (match.group() == "IT"):
            continue
        before, behind = question[: match.start()], question[match.end() :]
        asks = ASKING | AUXILIARIES
        announced = not set(words(before)) & asks and bool(set(words(behind)) & asks)  # "In its report, what did"
        if announced or _has_antecedent(before, kind, _owns(match, question)):
            resolved.add(kind)
        else:
            found[kind] = match
    return list(found.values())


def _owns(match: re.Match[str], question: str) -> bool:
    """Whether a pronoun is a possessive before its noun."""
    behind = re.match(r"\s+([\w'’-]+)", question[match.end() :])
    return match.group().casefold() in _POSSESSIVE and behind is not None and behind.group(1).casefold() not in FUNCTION


def _has_antecedent(before: str, kind: Kind, owns: bool) -> bool:
    """Whether something in the text before a pronoun may be what it stands for; in doubt it is."""
    tokens = words(before)
    inverted = _ASKED_ONLY.fullmatch(before.rstrip()) is not None and not set(tokens[:-1]) & AUXILIARIES
    if inverted and not (owns and tokens[-1] in ("has", "have", "had")):
        # "What altitude did it": what is asked for is not the subject
        return any(words(m.base)[0] not in ASKING for m in mentions(before))
    held = mentions(before)
    if kind == "person":
        return any(words(m.base)[-1] not in _NOT_PERSONS for m in held)
    if kind == "thing":
        return any(m.kind != "person" or m.named for m in held)
    many = (word.endswith("s") or word in _IRREGULAR for word in tokens if word not in FUNCTION)
    return bool(held) or any(many)


def with_antecedents(question: str, turns: Turns) -> str:
    """The question with its open pronouns filled in, as far as the conversation tells for certain."""
    for match in sorted(open_pronouns(question), key=lambda m: -m.start()):
        owns = _owns(match, question)
        kind = _kind(match.group())
        found = _antecedent(kind, owns, turns)
        if found is None:
            continue
        if owns:
            said = found.base + ("'" if found.base.endswith("s") and found.kind == "plural" else "'s")
        else:
            said = found.base if kind == "person" and found.named else found.text
            said += "'s" if match.group().casefold() in ("hers", "theirs") else ""
            said = _YEAR_BEHIND.sub("", said) if _YEAR_BEHIND.search(question) else said
        said = re.sub(r"^(?:an?|the|this|that|which|what|these|those)\s", "the ", said, flags=re.IGNORECASE)
        if match.start() == 0:
            said = said[0].upper() + said[1:]
        question = question[: match.start()] + said + question[match.end() :]
    return question


def _antecedent(kind: Kind, owns: bool, turns: Turns) -> Mention | None:
    """What a pronoun stands for: in the nearest turn that has such, what was asked for if the answer names it, else
    what the question was about; None where two things are as likely."""
    for asked, answer in reversed(turns):
        opening = next((word for word in words(asked) if word in ASKING), "")
        short = len(answer.split()) <= _SHORT_ANSWER
        answered = mentions(answer.strip().rstrip(".")) if short or opening == "who" else []
        heads = [m for m in mentions(asked) if words(m.base)[-1] not in _RELATIONS]
        told = [m for m in heads if words(m.base)[0] not in ("which", "what")]
        if kind == "person":
            found = _person(opening, told, answered, mentions(answer), heads)
        elif kind == "thing":
            named = [m for m in answered if m.named and m.kind != "person"]
            if opening in ("what", "which") and named:
                return named[0]
            things = [_innermost(m) if owns or m.kind == "person" else m for m in told]
            things = [m for m in things if m.kind == "thing"] or [m for m in things if m.kind == "plural" and owns]
            found = things or [m for m in mentions(answer) if m.kind == "thing"][:1]
            if len({m.text for m in found}) > 1 and not (owns and len({m.text for m in found if m.named}) == 1):
                return None
            found = [m for m in found if m.named] or found
        else:
            found = [m for m in [*told, *heads] if m.kind == "plural"] or _bare_plural(asked)
            found = found or [m for m in mentions(answer) if m.kind == "plural"]
            found = found or [m for m in map(_innermost, told) if m.named and m.kind == "thing"]
        if found:
            return found[0]
    return None


def _person(
    opening: str, told: list[Mention], answered: list[Mention], said: list[Mention], heads: list[Mention]
) -> list[Mention]:
    """Persons in the order in which they are likely meant: who was asked for, who was asked about, who is named."""
    first = [m for m in answered if m.named] if opening == "who" else []
    return [m for group in (first, told, answered, said, heads) for m in group if m.kind == "person"]


def _bare_plural(text: str) -> list[Mention]:
    """The first noun in the plural without a determiner: "How should farmers …"."""
    for match in re.finditer(r"\b[a-z]{3,}\b", text):
        if match.group() in _IRREGULAR or _PLURAL.fullmatch(match.group()):
            return [Mention(match.group(), match.group(), "plural", match.start(), False)]
    return []


def _innermost(mention: Mention) -> Mention:
    """Of "the cause of the accident in Bethel" the accident in Bethel."""
    _, of, rest = mention.text[len(mention.base) :].rpartition(" of ")
    inner = mentions(f"of {rest}") if of else []
    return inner[0] if inner else mention
