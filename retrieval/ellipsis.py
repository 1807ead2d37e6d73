"""Fragments such as "And in 2019?" completed from the question before. Pure; knows forms, not meanings."""

from __future__ import annotations

import re

from retrieval.mentions import ASKING, AUXILIARIES, CALENDAR, PREPOSITIONS, content_words, mentions, names, words

_LONGEST = 8  # words; more than that is a sentence
_ABOUT = re.compile(
    r"(?:(?:and|but|und|so|ok|okay)[,\s]+)?(?:what\s+about|how\s+about|what\s+of|was\s+ist\s+mit(?=.*[A-ZÄÖÜ\d]\w*\s*\?)|wie\s+(?:ist|sieht)\s+es\s+mit)\s+",
    re.IGNORECASE,
)
_AND = re.compile(r"(?:and|or|but|und|oder|aber)\b[,\s]*", re.IGNORECASE)
_BARE = re.compile(
    r"(?:and\s+|but\s+)?(?:why|how|when|where|who|since when|why not|warum|wann|wo|wie|wer|like what|such as"
    r"|for example|how (?:many|much|long|so|often|far|old|tall|big|come)|how (?:many|much) \w+|which \w+"
    r"|(?:in|on|at|for|by|to|with|from|since|until) (?:whom|what|which)(?: \w+)?)\s*\?"
    r"|(?:and\s+)?(?:what|who|where|anything|any\s?one|any) (?:else|others?|more)\s*\?"
    r"|(?:please\s+)?(?:tell me more|more details|go on|(?:can you |could you )?elaborate|explain)\s*[.?!]?",
    re.IGNORECASE,
)
_MONTH = (
    r"(?:January|February|March|April|May|June|July|August|September|October|November|December"
    r"|Januar|Februar|März|Mai|Juni|Juli|Oktober|Dezember)"
)
_YEAR = r"(?:19|20)\d\d"
_KINDS = tuple(
    re.compile(pattern, re.IGNORECASE if n != 1 else 0)
    for n, pattern in enumerate(
        (
            rf"\bQ[1-4](?:\s+(?:of\s+)?(?:FY\s?)?{_YEAR})?\b",
            rf"\b(?:{_MONTH}(?:\s+\d{{1,2}},?)?\s+{_YEAR})\b",
            rf"\b(?:FY\s?|fiscal\s+(?:year\s+)?)?{_YEAR}\b",
            r"\b(?:figure|table|section|chapter|page|step|item|part|appendix|flight|phase|note|exhibit)\s+[\dA-Z][\w.-]*",
            r"\b(?:first|second|third|fourth|fifth|last)\b(?:\s+one\b)?",
        )
    )
)
_ORDINAL = len(_KINDS) - 1


def fragment_of(question: str) -> str | None:
    """What a fragment asks about ("in 2019" of "And in 2019?"); None where the question is a sentence of its own."""
    text = " ".join(question.split())
    if _BARE.fullmatch(text):
        return text.rstrip("?!. ")
    body = text.rstrip("?!. ")
    about = _ABOUT.match(text)
    if about is not None:
        rest = body[about.end() :]
        return (
            rest if rest and len(rest.split()) <= _LONGEST and not set(words(rest)) & (AUXILIARIES - {"may"}) else None
        )
    joined = _AND.match(text)
    rest = body[joined.end() :] if joined is not None else body
    said = words(rest)
    if not said or len(said) > _LONGEST or set(said) & (AUXILIARIES - {"may"}) or set(said) & ASKING:
        return None
    if joined is not None:
        return rest
    if not text.endswith("?"):
        return None
    leads = said[0] in PREPOSITIONS or re.fullmatch(r"the (?:\w+) one", rest, re.IGNORECASE) is not None
    named = [rest[start:end] for start, end in names(rest)] == [rest] and re.search(r"\d|[A-Z]\w*[A-Z]|\s[A-Z]", rest)
    whole = bool(named) or re.fullmatch(_YEAR, rest) is not None
    return rest if len(said) <= 5 and (leads or whole) else None


_PLACES = ("at", "in", "near", "on", "bei", "im")


def complete(question: str, fragment: str, last: str, *, anchors: bool = True) -> str:
    """The last question with the fragment in the place of what it is parallel to; else (with ``anchors``) the fragment
    with the names and years of the last question; else both, one after the other."""
    question, last = question.strip(), last.strip()
    if _BARE.fullmatch(question):
        return _with_asking(question, last)
    made = _substituted(fragment, last)
    if not made and fragment.split()[0].casefold() in _PLACES:
        return f"{last} {question}"
    return made or (_anchored(question, fragment, last) if anchors else f"{last} {question}")


def _with_asking(bare: str, last: str) -> str:
    asking = bare.rstrip("? ")
    asking = asking.split()[-1] if _AND.match(asking) else asking
    first = words(last)[0] if words(last) else ""
    if first in AUXILIARIES and asking.casefold() in ("why", "how", "when", "where", "how often", "how long"):
        return f"{asking[0].upper()}{asking[1:]} {last[0].lower()}{last[1:]}"
    return f"{last} {bare}"


def _substituted(fragment: str, last: str) -> str:
    """The last question with each item of the fragment (a year, a name, a number) in its counterpart's place; "" where
    an item has no single counterpart or the fragment says more than its items."""
    rest, made = fragment, last
    for kind, pattern in enumerate(_KINDS):
        here = list(pattern.finditer(rest))
        if not here:
            continue
        there = list(pattern.finditer(made))
        if len(here) != 1 or len(there) > 1:
            return ""
        if not there:
            appended = _lead(rest, here[0].start())
            if kind == _ORDINAL or not appended:
                return ""
            made = f"{made.rstrip('?. ')} {appended}{here[0].group()}?"
        else:
            new = here[0].group()
            new = new.split()[0] if kind == _ORDINAL else new
            old = there[0].group().split()[0] if kind == _ORDINAL else there[0].group()
            made = made[: there[0].start()] + new + made[there[0].start() + len(old) :]
        rest = rest[: here[0].start()] + rest[here[0].end() :]
    for start, end in reversed(names(rest)):
        spot = _counterpart(rest, start, made, fragment)
        if spot is None:
            return ""
        made = made[: spot[0]] + rest[start:end] + made[spot[1] :]
        rest = rest[:start] + rest[end:]
    persons = [m for m in mentions(rest) if m.kind == "person"]
    if len(persons) == 1 and (others := [m for m in mentions(made) if m.kind == "person"]) and len(others) == 1:
        low = others[0].start
        made = made[:low] + persons[0].base + made[low + len(others[0].base) :]
        rest = rest.replace(persons[0].base, "")
    return "" if content_words(rest) - CALENDAR or made == last else made


def _lead(text: str, at: int) -> str:
    """The preposition, with an article, before character ``at``."""
    found = re.search(r"(\w+\s+(?:the\s+)?)$", text[:at])
    return found.group(1) if found is not None and found.group(1).split()[0].casefold() in PREPOSITIONS else ""


def _counterpart(fragment: str, at: int, last: str, whole: str) -> tuple[int, int] | None:
    """The name in the last question that a fragment's name takes the place of: the only one, or the only one behind
    the same preposition."""
    spots = [spot for spot in names(last) if last[slice(*spot)] not in whole]
    lead = _lead(fragment, at).casefold()
    if len(spots) == 1:
        start, end = spots[0]
        thing = last[:start].casefold().endswith("the ") or last[start : end + 2].endswith(("'s", "’s"))
        return None if thing and lead.strip() in _PLACES else spots[0]  # "at Madill" is no counterpart of "the Cessna"
    alike = [spot for spot in spots if lead and _lead(last, spot[0]).casefold() == lead]
    return alike[0] if len(alike) == 1 else None


def _anchored(question: str, fragment: str, last: str) -> str:
    held = fragment.casefold()
    anchors = [last[start:end] for start, end in names(last)]
    anchors += [found.group() for found in _KINDS[2].finditer(last)]
    anchors += [] if anchors else [m.text for m in mentions(last) if m.base.split()[0].casefold() == "the"][:1]
    anchors = [anchor for anchor in dict.fromkeys(anchors) if anchor.casefold() not in held]
    if not anchors or not content_words(fragment):
        return f"{last} {question}"
    return f"{question.rstrip('?. ')} ({', '.join(anchors)})?"
