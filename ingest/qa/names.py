"""Names, numbers and dates in a question: which there are, of what sort, and by which of them a document is called.

Pure, by form alone: capitals, digits, and the patterns of places and organisations that facets use. It knows no
meanings: a capitalised run that nothing marks is a "name".
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from fieldguide import align
from fieldguide.types import Chunk, Document, Evidence, QAPair
from ingest.facet_patterns import organisations
from ingest.qa.rule_anchors import Anchors, find_anchors
from ingest.qa.rule_forms import Form, read_form
from ingest.qa.rule_labels import words

Sort = Literal["title", "date", "place", "organisation", "person", "code", "year", "number", "name"]

_MONTH = (
    r"(?:Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?|Aug(?:ust)?|Sept?(?:ember)?|Oct(?:ober)?|"
    r"Nov(?:ember)?|Dec(?:ember)?)\.?"
)
_ANY_YEAR = r"(?:18|19|20)\d\d"
_WORD = r"(?:[A-Z](?:[\w’'&-]*\w)?|(?:[A-Z]\.)+)"
_CITY = r"(?:St\.?|[A-Z][a-z’'-]+(?:[A-Z][a-z]+)?)"
_PATTERNS: tuple[tuple[Sort, re.Pattern[str]], ...] = (
    ("title", re.compile(r"“[^”]{1,200}”|\"[^\"]{1,200}\"")),
    (
        "date",
        re.compile(
            rf"\b{_MONTH} \d{{1,2}}(?:st|nd|rd|th)?(?:, {_ANY_YEAR})?\b|\b\d{{1,2}} {_MONTH}(?: {_ANY_YEAR})?\b"
            rf"|\b{_MONTH} {_ANY_YEAR}\b|\b\d{{1,2}}[/.]\d{{1,2}}[/.]\d{{2,4}}\b|\b\d{{4}}-\d\d-\d\d\b"
        ),
    ),
    (
        "place",
        re.compile(
            rf"\b{_CITY}(?: {_CITY}){{0,2}}, (?!(?:Inc|Corp|LLC|Ltd|Co|PLC|Jr|Sr|Mr|Ms|Dr)\b)"
            rf"(?:[A-Z]{{2}}\b|{_CITY}(?: (?:of (?:the )?)?{_CITY}){{0,4}}\b(?!,| and\b))"
        ),
    ),
    (
        "person",
        re.compile(rf"\b(?:Dr|Mr|Mrs|Ms|Prof|Professor|Judge|Captain|President|Senator)\.? {_WORD}(?: {_WORD}){{0,2}}"),
    ),
    ("code", re.compile(r"(?<![\w-])(?=[\w/-]*\d)(?=[\w/-]*[A-Z])[A-Z0-9][A-Za-z0-9]*(?:[-/][A-Za-z0-9]+)*(?![\w-])")),
    ("year", re.compile(r"(?<![\w.,/-])(?:18|19|20)\d\d(?![\w/-]|[.,]\d)")),
    ("number", re.compile(r"(?<!\w)[$€£]?\d+(?:[.,:/-]\d+)*%?")),
    ("name", re.compile(rf"(?<!\w){_WORD}(?:(?: (?:de|van|von|&) | ){_WORD})*")),
)
_OPENERS = words(
    "a an the who whom whose what when where which why how is are was were do does did has have had can could will "
    "would should may might must in on at by for from to of with within during after before under according besides "
    "and or if as than that this these those there it its he she they his her their i you we please tell about into "
    "since until while over through between among not no yes because due besides aside apart upon per"
)
_NEGATIVE = words("not no never none without except besides unless nor neither t cannot")


@dataclass(frozen=True, slots=True)
class Name:
    """A name, number or date at characters ``start`` to ``end`` of a text."""

    text: str
    start: int
    end: int
    sort: Sort


def names_in(text: str) -> list[Name]:
    """The names, numbers and dates of a text in order, none within another. The word that opens a question, or any
    other word that is only capitalised for its place, is none."""
    found: list[Name] = []
    free = [True] * len(text)

    def take(start: int, end: int, sort: Sort) -> None:
        if end > start and all(free[start:end]):
            free[start:end] = [False] * (end - start)
            found.append(Name(text[start:end], start, end, sort))

    for sort, pattern in _PATTERNS:
        if sort == "code":
            for held in organisations(text):
                for match in re.finditer(rf"(?<!\w){re.escape(held)}(?!\w)", text):
                    take(match.start(), match.end(), "organisation")
        for match in pattern.finditer(text):
            start = match.start()
            if sort in ("name", "place", "person"):
                start = _behind_openers(text, start, match.end())
            take(start, match.end(), sort)
    return sorted(found, key=lambda name: name.start)


def _behind_openers(text: str, start: int, end: int) -> int:
    """Where a capitalised run begins without the words before it that only open the sentence."""
    while start < end:
        word = re.match(r"[\w’'&.-]+", text[start:end])
        if (
            word is None
            or word.group().casefold().rstrip(".") not in _OPENERS
            or (word.group().isupper() and len(word.group()) > 1)
        ):
            return start
        start += word.end()
        start += len(text[start:end]) - len(text[start:end].lstrip())
    return end


def kept_words(text: str) -> frozenset[str]:
    """What another wording of a question may neither lose nor gain: words of names, numbers, and negations."""
    found: set[str] = set()
    for name in names_in(text):
        found.update({word for word in align.tokens(name.text) if word not in _OPENERS})
    found.update(_NEGATIVE & set(align.tokens(text)))
    return frozenset(found)


def document_names(
    documents: Mapping[str, Document], chunks: Mapping[str, Chunk], forms: Mapping[str, Form]
) -> dict[str, Anchors]:
    """The names of each document that are no other's: those by which a question can say which document it is about."""
    members = by_document(chunks)
    named = {
        key: find_anchors(documents[key], held, [forms[chunk.id] for chunk in held])
        for key, held in members.items()
        if key in documents
    }
    owners: Counter[str] = Counter()
    for anchors in named.values():
        owners.update({one.casefold() for one in (*anchors.events, *anchors.things, *anchors.documents)})

    def own(held: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(one for one in held if owners[one.casefold()] == 1)

    return {
        key: replace(held, events=own(held.events), things=own(held.things), documents=own(held.documents))
        for key, held in named.items()
    }


def by_document(chunks: Mapping[str, Chunk]) -> dict[str, list[Chunk]]:
    """The chunks of each document, in the order in which the mapping holds them."""
    members: dict[str, list[Chunk]] = defaultdict(list)
    for chunk in chunks.values():
        members[chunk.document].append(chunk)
    return members


def read_forms(chunks: Mapping[str, Chunk]) -> dict[str, Form]:
    """The form of each chunk by its id, each read under the heading that the chunk before ends with."""
    forms: dict[str, Form] = {}
    for held in by_document(chunks).values():
        section = ""
        for chunk in held:
            forms[chunk.id] = read_form(chunk.text, section)
            section = forms[chunk.id].section
    return forms


@dataclass(frozen=True, slots=True)
class Naming:
    """A question cut around the name of its document: ``before + name + after``; ``place`` is "{e}", "{t}" or "{d}"."""

    before: str
    name: str
    after: str
    place: str

    def of(self, name: str) -> str:
        """The question asked of another name."""
        text = self.before + name + self.after
        return text[:1].upper() + text[1:]


def find_naming(question: str, anchors: Anchors) -> Naming | None:
    """Where a question names its document; None where it does not, or does so twice."""
    held = [(one, place) for place in ("{d}", "{e}", "{t}") for one in anchors.of(place)]
    for one, place in sorted(held, key=lambda item: -len(item[0])):
        if one[1:] not in question:
            continue
        opening = re.escape(one[:1].upper() + one[1:])
        matches = list(re.finditer(rf"(?<!\w)(?:{re.escape(one)}|^{opening})(?!\w)", question))
        if len(matches) == 1:
            match = matches[0]
            return Naming(question[: match.start()], match.group(), question[match.end() :], place)
        if matches:
            return None
    return None


def same_style(name: str, others: Iterable[str]) -> str:
    """Of other documents' names the one that is built like this name, else the first; "" if there is none."""
    held = list(others)
    return next((one for one in held if _style(one) == _style(name)), held[0] if held else "")


def _style(name: str) -> str:
    return re.sub(r"(?:[A-Z0-9][\w./-]*,? ?)+", "§ ", name).strip()


def place_in(evidence: Evidence, chunk: Chunk) -> tuple[int, int] | None:
    """Characters of the chunk's text where the first span of the evidence stands; None if it is not in the chunk."""
    if not evidence.spans or evidence.document != chunk.document:
        return None
    wanted, offset = evidence.spans[0], 0
    for span in chunk.spans:
        if span.page == wanted.page and span.start <= wanted.start and wanted.end <= span.end:
            return offset + wanted.start - span.start, offset + wanted.end - span.start
        offset += span.end - span.start + 2
    return None


def usable(pairs: Iterable[QAPair], chunks: Mapping[str, Chunk]) -> list[QAPair]:
    """The pairs from which others may be made: answered from one chunk that is there, and refused by nobody."""
    made = {"multi-hop", "unanswerable", "follow-up", "comparison"}
    return [
        pair
        for pair in pairs
        if pair.answerable and pair.chunk in chunks and len(pair.evidence) == 1
        and pair.kind not in made and not pair.after and pair.verdict != "rejected"
    ]  # fmt: skip
