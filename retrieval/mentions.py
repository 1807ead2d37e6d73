"""What a text speaks of: names and noun phrases, by their form. Pure; knows English, and harms no other language.

No model and no list of names: a name is a run of capitalised words or a code with digits, a noun phrase is what stands
between a determiner and the next function word. It errs; ``retrieval.rewrite`` uses it only where a question has a
gap to fill.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Kind = Literal["person", "thing", "plural"]


def word_set(*lines: str) -> frozenset[str]:
    """The words of the lines."""
    return frozenset(" ".join(lines).split())


AUXILIARIES = word_set(
    "is are was were am be been being do does did has have had can could will would shall should may might must",
)
ASKING = word_set(
    "who whom whose what which when where why how",
    "wie was wer wem wen wann wo warum wieso weshalb welche welcher welches welchem welchen wessen",
    "wodurch woran worin wofür womit woher wohin wieviel",
)
PREPOSITIONS = word_set(
    "of in at on for from to by with about near during before after since until under over between against into",
    "through für im bei von mit nach vor seit bis auf an am zu zum zur",
)
FUNCTION = (
    AUXILIARIES
    | ASKING
    | PREPOSITIONS
    | word_set(
        "a an the this that these those and or but so not no if then than as it its he she him her his hers they them",
        "their theirs there here i you we my your our me us one ones also too any some all both each such same other",
        "many much more most few long old far often please tell say give show list name describe explain according",
        "der die das den dem des ein eine einen einem einer eines und oder aber ist sind war waren wird wurde wurden",
        "hat haben hatte hatten es er sie ihr ihre sein seine",
    )
)
_PERSONS = word_set(
    "pilot copilot captain officer instructor student passenger driver ceo cfo president chairman chairwoman director",
    "manager author doctor physician patient engineer mechanic owner operator employee worker teacher king queen",
    "prince princess girl boy man woman person father mother son daughter brother sister wife husband farmer minister",
    "secretary judge inspector investigator controller founder professor researcher scientist nurse soldier commander",
    "witness player coach artist writer lawyer attorney candidate governor mayor senator defendant plaintiff",
)
_GROUPS = word_set("board crew company team staff committee agency police family government council department")
CALENDAR = word_set(
    "january february march april may june july august september october november december monday tuesday wednesday",
    "thursday friday saturday sunday januar februar märz mai juni juli oktober dezember year fiscal quarter",
    "jahr jahre quartal geschäftsjahr",
)
_ORGANISATION = re.compile(
    r"\b(?:inc|corp|corporation|company|co|ltd|llc|plc|ag|gmbh|group|university|board|agency|department|bank|airlines?|"
    r"institute|association|council|committee|ministry|court|association|services?|systems?|industries)\b\.?",
    re.IGNORECASE,
)
_PART = r"(?:[A-ZÄÖÜ][\w'’&.-]*\w|[A-ZÄÖÜ]|\d+[A-Z]\w*)"
_NAME = re.compile(rf"(?<![\w-]){_PART}(?:(?:\s+(?:of|de|van|&)\s+|\s+){_PART}|\s+(?!(?:19|20)\d\d\b)\d[\w-]*)*")
_DETERMINED = re.compile(r"\b(the|an?|this|that|these|those|which|what)\s+", re.IGNORECASE)
_WORD = re.compile(r"[\w'’&-]+(?:\.\d+)?")
_PLACE = re.compile(r"\s+(?:of|in|at|near|from|on|for)\s+(?=the\s|[A-ZÄÖÜ]|\d)")
_PARTICIPLE = re.compile(r".{2,}(?:ed|ing)$")
_LONGEST = 5


@dataclass(frozen=True, slots=True)
class Mention:
    """What stands at character ``start`` of a text: "the pilot of the Cessna 172 in Denver", "Boeing's revenue".

    ``base`` is without what follows the noun ("the pilot") or what the name owns ("Boeing"), and is of the ``kind``.
    ``named``: the base is or holds a name.
    """

    text: str
    base: str
    kind: Kind
    start: int
    named: bool


def words(text: str) -> list[str]:
    return [word.casefold() for word in _WORD.findall(text)]


def content_words(text: str) -> set[str]:
    """The words that are not function words; a possessive counts as its noun."""
    return {word.removesuffix("'s").removesuffix("’s") for word in words(text)} - FUNCTION


def names(text: str) -> list[tuple[int, int]]:
    """Where names stand: "Cessna 172", "3M", "N123AB", "University of Nebraska"."""
    found = []
    for match in _NAME.finditer(text):
        start, end = match.span()
        while start < end:  # drop what is capitalised for another reason, from the front
            first = _WORD.match(text, start)
            if first is None:
                start += 1
                continue
            word = first.group().casefold()
            opens = not text[:start].strip() or text[:start].rstrip()[-1] in ".?!:"
            plain = opens and first.group().isalpha() and first.group()[1:].islower() and first.end() >= end
            if word not in FUNCTION and word not in CALENDAR and not (plain and text.strip(" .?!") != first.group()):
                break
            start = first.end()
            while start < end and text[start].isspace():
                start += 1
        shown = text[start:end].rstrip(".,'’")
        shown = re.sub(r"['’]s$", "", shown)
        if shown and not shown.isdigit():
            found.append((start, start + len(shown)))
    return found


def mentions(text: str) -> list[Mention]:
    """Names and noun phrases in the order in which they begin."""
    found = list(_phrases(text))
    held = [(m.start, m.start + len(m.text)) for m in found]
    for start, end in names(text):
        if not any(low <= start < high for low, high in held):
            name = text[start:end]
            whole = text[start : _owned(text, end)]
            found.append(Mention(whole, name, _kind_of_name(name), start, True))
    return sorted(found, key=lambda m: m.start)


def _owned(text: str, end: int) -> int:
    """Where what a name owns ends ("'s net income"); ``end`` if it owns nothing."""
    found = re.compile(r"['’]s?((?:\s[a-z][\w-]*){1,3})").match(text, end)
    if found is None:
        return end
    at = last = found.start(1)
    for word in _WORD.finditer(found.group(1)):
        if word.group() in FUNCTION or _PARTICIPLE.match(word.group()):
            break
        last = at + word.end()
    return last if last > at else end


def _phrases(text: str) -> Iterator[Mention]:
    inverted = _inverted(text)
    for match in _DETERMINED.finditer(text):
        end = match.end()
        run: list[re.Match[str]] = []
        while len(run) < _LONGEST and (word := _WORD.match(text, end)) and word.group().casefold() not in FUNCTION:
            run.append(word)
            end = word.end()
            if text[end : end + 1] != " ":
                break
            end += 1
        asked = match.group(1).casefold() in ("which", "what")
        follows = _WORD.match(text, run[-1].end() + 1) if run else None
        next_word = follows.group().casefold() if follows is not None else ""
        subject = match.start() == inverted and next_word not in ("of", "in")
        asks_verb = (
            asked and bool(next_word) and next_word not in AUXILIARIES | PREPOSITIONS
        )  # "Which firm changed its"
        ends_in_verb = bool(run) and _PARTICIPLE.match(run[-1].group()) and run[-1].group()[0].islower()
        if asks_verb or ends_in_verb or (subject and len(run) > 1):
            run = run[:-1]
        if not run:
            continue
        base = text[match.start() : run[-1].end()]
        base = re.sub(r"['’]s?$", "", base)
        end = match.start() + len(base)
        whole = text[match.start() : _chain(text, end)]
        yield Mention(whole, base, _kind_of_noun(base), match.start(), bool(names(base[1:])))


def _inverted(text: str) -> int | None:
    """Where the subject begins behind an auxiliary ("When did |the engine fail", "Was |the pilot hurt"); None: nowhere.

    Not behind who, what or which with a form of "be": there a noun phrase has no verb behind it.
    """
    heads = list(_WORD.finditer(text))
    for before, word in zip([None, *heads], heads):
        low = word.group().casefold()
        if low in AUXILIARIES:
            be = low in ("is", "are", "was", "were")
            identity = before is not None and before.group().casefold() in ("who", "what", "which")
            follows = re.compile(r"\s+").match(text, word.end())
            return None if (be and identity) or follows is None else follows.end()
    return None


def _chain(text: str, end: int) -> int:
    """Where the phrases end that follow a noun: "of the Cessna 172 in Denver in 2019"."""
    while (link := _PLACE.match(text, end)) is not None:
        at = link.end()
        determined = re.compile(r"the\s+").match(text, at)
        at = determined.end() if determined else at
        last = at
        while (word := _WORD.match(text, at)) and word.group().casefold() not in FUNCTION:
            shown = word.group()
            if not determined and not (shown[0].isupper() or shown[0].isdigit()):
                break
            last = word.end()
            if text[last : last + 1] != " ":
                break
            at = last + 1
        if last == (determined.end() if determined else link.end()):
            break
        end = last
    return end


def _kind_of_noun(base: str) -> Kind:
    head = words(base)[-1]
    if head in _PERSONS:
        return "person"
    if head in _GROUPS or (head.endswith("s") and not head.endswith(("ss", "us", "is")) and not base[-2].isupper()):
        return "plural"
    return "thing"


def _kind_of_name(name: str) -> Kind:
    parts = name.partition(" of ")[0].split()
    if re.match(r"(?:Mr|Mrs|Ms|Dr|Prof)\b", name):
        return "person"
    letters = all(re.fullmatch(r"[A-ZÄÖÜ](?:\.|[\w.'’-]*[a-zäöüß][\w.'’-]*)", part) for part in parts)
    digits = any(char.isdigit() for char in name)
    return "person" if 2 <= len(parts) <= 4 and letters and not digits and not _ORGANISATION.search(name) else "thing"
