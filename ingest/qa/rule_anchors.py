"""Names by which a question says what it is about: a document's event, its thing, the document itself.

Knows forms, headings and titles; not how candidates are made or chosen. A document without a good name has none:
a question that needs one is then refused rather than asked of "the document".
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath

from fieldguide.align import content_tokens
from fieldguide.types import Chunk, Document
from ingest.qa.rule_forms import Form, read_form, split_field
from ingest.qa.rule_labels import EVENT, words
from ingest.qa.self_contained import not_self_contained

_FIRST_CHUNKS = 8
_LONGEST_TITLE = 90
_RECORD = (
    r"report|invoice|case|order|contract|permit|claim|policy|project|docket|application|ticket|course|account|bill"
)
_BOILERPLATE = re.compile(
    r"(?i)united states|securities and exchange commission|for immediate release|table of contents|contents|page \d"
    r"|not reported|cite as|untitled|microsoft word|document\d*|case \S*\d|no\. |.*\bfiled \d|.*\bpage\b.*\bof\b|\W"
    r"|.*\b(?:final|factual|annual|quarterly|interim) report$|(?:basic|general) .*information$|(?:draft|confidential)\b"
)
_ORGANISATION = re.compile(
    r"\b((?:[A-Z][\w&’'.-]*,? ){0,4}[A-Z][\w&’'-]*,? "
    r"(?:plc|PLC|Inc|Corporation|Corp|Ltd|Limited|LLC|AG|SE|N\.V)\b\.?)"
)
_FORM_NAME = re.compile(r"(?i)\bform (10-[KQ]|8-K|20-F|6-K|S-\d|DEF 14A)\b")
_TWICE = re.compile(r"\b(\w{3,}) \1\b")
_PERIOD = re.compile(r"(?i)\b(?:year|period|quarter|months)\s+ended:?\s+([A-Z][a-z]+ \d{1,2}, \d{4})")
_COMPANY = re.compile(r"\bthe (?:Company|Registrant|registrant|company|Corporation)\b")
_DANGLING = re.compile(
    r"(?i)\b(?:he|she|it|they|this|these|those|his|her|hers|its|their|him|them|we|us|our|you|your|my|herein|above|below"
    r"|former|latter|aforementioned|such)\b"
    r"|\bthe (?:passage|text|paragraph|excerpt|document|report|article|section|author|table"
    r"|figure|following|other|same)"
    r"\b(?! (?:on|about|of|for|[A-Z0-9“]))"
)
_THE_EVENT = re.compile(rf"\bthe (?:{EVENT})\b(?! (?:report|number|of|in|at|near|involving)\b)")
_THE_THING = re.compile(r"\bthe (?:airplane|aircraft|vehicle|vessel|helicopter)\b(?!['’\w])")
_PAST = re.compile(r"(?i)\b(?:did|was|were|had)\b")
_DEFINITE = re.compile(r"\b[Tt]he ([a-z][\w’'-]*)(?: ([\w’'-]+))?")
_INSTITUTION = re.compile(
    r"\b[Tt]he ([A-Z][\w’'&.-]*(?: [A-Z][\w’'&.-]*)?)(?![\w’'&.-])(?! [A-Z]| (?:of|for|and) [A-Z])"
)
_UNNAMED_DEED = re.compile(r"(?:What|Who) (?:is|are|was|were) (?:\w+ly )?\w+(?:ed|en|wn|ld|de)\b")
_NAME = re.compile(r"(?<![.?!] )(?<!^)\b[A-Z][\w’'&.-]+|\b[A-Z]{2,}\w*")
_AFTER_BARE = words(
    "in on at by from with to for and or but as that which who when while after before during because than into onto "
    "over under about is are was were be been has have had can could will would should must may might do does did not"
)
_ONE_OF_ITS_KIND = words("same first last most least best worst average typical total maximum minimum main only")


@dataclass(frozen=True, slots=True)
class Anchors:
    """Names for the places {e} (events), {t} (things) and {d} (documents) of a template, the best first.

    ``holder`` is the organisation that "the Company" stands for; "" if none is known.
    """

    events: tuple[str, ...]
    things: tuple[str, ...]
    documents: tuple[str, ...]
    holder: str = ""

    def of(self, place: str) -> tuple[str, ...]:
        return {"{e}": self.events, "{t}": self.things, "{d}": self.documents}[place]


def find_anchors(document: Document, chunks: Sequence[Chunk], forms: Sequence[Form] | None = None) -> Anchors:
    """Names for a document's event, thing and itself, from the first fields of its form; its title if it has none.

    ``chunks`` are the document's, in order (the first few are enough); ``forms`` what ``read_form`` made of them.
    """
    chunks = chunks[:_FIRST_CHUNKS]
    values = _form_values(chunks, forms or [read_form(chunk.text) for chunk in chunks])
    place = _first(values, r"location|place|city|site")
    place = place if place and place[0].isupper() and len(place.split()) <= 6 else ""
    number_label, number = _numbered(values)
    mark = _first(values, r"registration(?: number)?|tail number|licen[cs]e plate")
    mark = mark if re.fullmatch(r"[A-Z0-9][A-Z0-9-]{2,10}", mark) else ""
    thing = _first(values, r"aircraft|vehicle|vessel|product|equipment")
    thing = thing if thing and "," not in thing else _first(values, r"model/series|model")
    thing = f"the {thing}" if thing and len(thing.split()) <= 4 and "," not in thing else ""
    date = _first(values, r"date|date of \w+")
    date = date if re.fullmatch(r"[\d/.-]{6,10}|\w+ \d{1,2}, \d{4}", date) else ""
    event = next(iter(re.findall(rf"\b({EVENT})\b", f"{number_label} {document.title}".casefold())), "")

    events: list[str] = []
    if event and place:
        events += [f"the {place} {event}", f"the {event} at {place}", f"the {event} in {place}"]
    if event and number:
        events.append(f"{event} {number}")
    if event and mark:
        events += [f"the {event} involving {mark}", f"the {mark} {event}"]
    if event and thing and place:
        events += [f"{thing} {event} at {place}"]
    if event and date and place:
        events += [f"the {event} of {date} at {place}"]
    things = [mark] if mark else []
    if thing and mark:
        things.append(f"{thing} {mark}")
    if event and thing and place:
        things += [f"{thing} in the {place} {event}"]
    if not things and events:
        kind = "aircraft" if "aircraft" in values else ""
        things = [f"the {kind} in {name}" for name in events if kind]
    documents = [f"the report on {name}" for name in events]
    if event and number:
        documents.append(f"{event} report {number}")
    record = next(iter(re.findall(rf"\b({_RECORD})\b", number_label.casefold())), "")
    if record and number and not event:
        documents.append(f"{record} {number}")
    holder = _holder(chunks)
    if not documents:
        name = _document_name(document, chunks, values, holder)
        documents = [name] if name else []
    return Anchors(tuple(events), tuple(things), tuple(documents), holder)


def self_contained(question: str, anchors: Anchors) -> str | None:
    """The question if it names what it is about, else with a fitting anchor put in; None when nothing fits.

    "What did the pilot do after takeoff?" gives "What did the pilot do after takeoff in the Elyria, OH accident?".
    """
    question = " ".join(question.split())
    folded = question.casefold()
    if _DANGLING.search(question) or not question.endswith("?"):
        return None
    if any(name.casefold() in folded for name in (*anchors.events, *anchors.things, *anchors.documents)):
        return question
    if anchors.holder and _COMPANY.search(question):
        question = _COMPANY.sub(anchors.holder, question, count=1)
        if len(_COMPANY.findall(question)) == 0 and not _past_without_date(question):
            return question
    if names_its_subject(question) and not not_self_contained(question):
        return question
    return _with_anchor(question[:-1], anchors)


def _with_anchor(asked: str, anchors: Anchors) -> str | None:
    """A question without its mark, with the document's event, thing or name put in."""
    if anchors.events:
        event = anchors.events[0]
        if _THE_EVENT.search(asked):
            return f"{_THE_EVENT.sub(event, asked, count=1)}?"
        if anchors.things and _THE_THING.search(asked):
            return f"{_THE_THING.sub(anchors.things[0], asked, count=1)}?"
        if re.search(r"\b(?:in|into|on|at|from|with|to|by)$", asked):
            return f"In {event}, {asked[0].lower()}{asked[1:]}?"
        return f"{asked} in {event}?"
    if anchors.documents:
        question = f"{asked}, according to {anchors.documents[0]}?"
        return None if not_self_contained(question) else question
    return None


def names_its_subject(question: str) -> bool:
    """Whether a question can be understood by itself: no "the X" that only its document explains, and either a name
    or, if it is not about something past, enough words of its own."""
    for match in _DEFINITE.finditer(question):
        noun, after = match.group(1), match.group(2)
        bare = (
            after is None or after in _AFTER_BARE or after.endswith("ly") or _asks_of(question[: match.start()], after)
        )
        if noun not in _ONE_OF_ITS_KIND and bare:
            return False
    named = _NAME.search(question)
    if _INSTITUTION.search(question) or (_UNNAMED_DEED.match(question) and not named):
        return False
    if _PAST.search(question):
        return len(_NAME.findall(question)) > 1
    return bool(named) or len(content_tokens(question)) >= 4


def _asks_of(before: str, after: str) -> bool:
    """Whether the word behind "the X" is likely the question's verb: "did the city receive", "was the site sold"."""
    if not after[0].islower():
        return False
    if re.search(r"(?i)\b(?:did|does|do|can|could|will|would|should|may|must)\s$", before):
        return True
    return bool(
        re.search(r"(?i)\b(?:was|were|is|are|has|have|had)\s$", before) and re.search(r"(?:ed|en|wn|ing)$", after)
    )


def _past_without_date(question: str) -> bool:
    return bool(_PAST.search(question)) and not re.search(r"\b(?:19|20)\d\d\b", question)


def _form_values(chunks: Sequence[Chunk], forms: Sequence[Form]) -> dict[str, str]:
    """The first value of each label, case-folded, of the first chunks."""
    values: dict[str, str] = {}
    for chunk, form in zip(chunks, forms, strict=False):
        for item in form.fields:
            for one in split_field(chunk.text, item):
                value = " ".join(chunk.text[slice(*one.value)].split())
                if value and len(value) <= 60:
                    values.setdefault(one.label.casefold(), value)
    return values


def _first(values: dict[str, str], pattern: str) -> str:
    return next((value for label, value in values.items() if re.fullmatch(pattern, label)), "")


def _numbered(values: dict[str, str]) -> tuple[str, str]:
    """The first label that names an event or a record by its number, and the number."""
    for label, value in values.items():
        if re.search(rf"\b({EVENT}|{_RECORD})\s+(number|no\.?|id|#)$", label) and re.fullmatch(
            r"[\w/.-]*\d[\w/.-]*", value
        ):
            return label, value
    return "", ""


def _holder(chunks: Sequence[Chunk]) -> str:
    """The organisation that the first chunks name most often, if they call it "the Company" or the like."""
    text = " ".join(" ".join(chunk.text.split()) for chunk in chunks)
    if not re.search(r"(?i)\b(?:the company|registrant)\b", text):
        return ""
    found = Counter(name.rstrip(",") for name in _ORGANISATION.findall(text))
    return found.most_common(1)[0][0] if found else ""


def _document_name(document: Document, chunks: Sequence[Chunk], values: dict[str, str], holder: str) -> str:
    """How a text names the document: its form and organisation, else its title in quotes, else ""."""
    text = " ".join(" ".join(chunk.text.split()) for chunk in chunks)
    subject = " ".join((document.title, document.metadata.get("Title", ""), document.metadata.get("Subject", "")))
    if (form := _FORM_NAME.search(f"{subject} {text[:3000]}")) and holder:
        period = _PERIOD.search(text)
        return f"{holder}’s Form {form.group(1)}" + (f" of {period.group(1)}" if period else "")
    title = readable_title(
        document, chunks, _first(values, r"(?:document |report |project |course )?title|project name")
    )
    return f"“{title}”" if title else ""


def readable_title(document: Document, chunks: Sequence[Chunk], given: str = "") -> str:
    """The title a form gives, the document's, its file name, or the first line, if it reads like one; else ""."""
    stem = _TWICE.sub(r"\1", re.sub(r"[_\s]+", " ", PurePath(document.source).stem).strip())
    parts = re.findall(r"[^\W\d_]{4,}", stem)
    for title in (given, document.title, document.title.split(" – ")[0], document.metadata.get("Title", "")):
        if found := _as_title(title, 2):
            return found
    if parts and (len(parts) > 1 or re.search(r"\s\S*\d", stem)) and " " in stem:
        return stem
    lines = [line for chunk in chunks[:1] for line in chunk.text.split("\n")[:4]]
    return next((found for line in lines if (found := _as_title(line, 3)) and found[0].isupper()), "")


def _as_title(text: str, least: int) -> str:
    """The text as a title, if it has ``least`` words of three letters and is neither boilerplate nor cut; else ""."""
    name = _TWICE.sub(r"\1", " ".join(text.split()).strip('"“”'))
    said = re.findall(r"(?<!\S)[^\W\d_]{3,}", name)
    if len(said) < least or len(name) > _LONGEST_TITLE or name[-1] in ":,.;?!" or _BOILERPLATE.match(name):
        return ""
    cut = re.search(r"\b(?:and|of|the|for)$|\band –", name, re.IGNORECASE)
    return "" if cut or len(re.findall(r"\b[A-Z]\b", name)) > 3 else name
