"""A source of question-answer drafts that needs no model: rules over forms and prose.

Knows how to choose among candidates and how to name a document in a question; what makes a candidate is in
``ingest.rule_forms`` and ``ingest.rule_prose``. The same document, chunks and seed give the same drafts.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from fieldguide.align import find_exact
from fieldguide.types import Chunk, Document, content_hash
from ingest.drafts import Draft, Drafted, Rejection
from ingest.rule_forms import NEGATIVE, Candidate, Form, field_candidates, read_form, split_field
from ingest.rule_labels import EVENT
from ingest.rule_prose import prose_candidates

VERSION = "1"
"""Changes whenever the rules write something else, and the source's id with it."""

_KINDS = ("cause", "definition", "quantity", "date", "fact", "field")
_LONGEST_QUESTION = 36
_WORDINGS = 3
_MOST_NEGATIVE = 3
_MOST_REPEATED = 2
_OVERLAP = 30


@dataclass(frozen=True, slots=True)
class Anchors:
    """Names by which a question says what it is about, for the places {e}, {t} and {d} of a template."""

    events: tuple[str, ...]
    things: tuple[str, ...]
    documents: tuple[str, ...]

    def of(self, place: str) -> tuple[str, ...]:
        return {"{e}": self.events, "{t}": self.things, "{d}": self.documents}[place]


class RuleSource:
    """Writes drafts from "Label: value" lines and sentences of known shapes.

    At most ``per_chunk`` for a chunk, no more than half of them from fields.
    """

    name = "rules"

    def __init__(self, seed: int = 0, per_chunk: int = 12) -> None:
        if per_chunk < 1:
            raise ValueError(f"per_chunk must be at least 1, not {per_chunk}")
        self.seed = seed
        self.per_chunk = per_chunk

    @property
    def id(self) -> str:
        return f"{self.name}-{content_hash(VERSION, str(self.seed), str(self.per_chunk))[:12]}"

    @property
    def batch(self) -> None:
        """All chunks of a document at a time: its names are found in its first chunks."""
        return None

    def draft(self, documents: Mapping[str, Document], chunks: Sequence[Chunk]) -> list[Drafted]:
        """Drafts and rejections for each chunk, in order; a document's chunks are read together."""
        of_document: dict[str, list[Chunk]] = defaultdict(list)
        for chunk in chunks:
            of_document[chunk.document].append(chunk)
        drafted = {name: iter(self._draft(documents[name], members)) for name, members in of_document.items()}
        return [next(drafted[chunk.document]) for chunk in chunks]

    def _draft(self, document: Document, chunks: Sequence[Chunk]) -> list[Drafted]:
        """Drafts and rejections for each chunk of one document, in order."""
        forms: list[Form] = []
        for chunk in chunks:
            forms.append(read_form(chunk.text, forms[-1].section if forms else ""))
        anchors = find_anchors(document, chunks, forms)
        several = _several(chunks, forms)
        asked: set[str] = set()
        outcomes = []
        seen: Counter[tuple[str, str]] = Counter()
        for i, (chunk, form) in enumerate(zip(chunks, forms, strict=True)):
            found: list[Candidate | Rejection] = [*form.rejections]
            for item in form.fields:
                key = (item.label, " ".join(chunk.text[slice(*item.value)].split()))
                seen[key] += bool(key[1])
                if seen[key] > _MOST_REPEATED:
                    found.append(Rejection("field is repeated", f"{key[0]}: {key[1]}"))
                else:
                    found.extend(field_candidates(chunk.text, item, several))
            found.extend(
                prose_candidates(chunk.text, form.prose, i > 0 and _breaks_off(chunks[i - 1], forms[i - 1], chunk))
            )
            outcomes.append(self._choose(chunk, found, anchors, asked))
        return outcomes

    def _choose(
        self, chunk: Chunk, found: Sequence[Candidate | Rejection], anchors: Anchors, asked: set[str]
    ) -> Drafted:
        """Drafts of the chunk's best candidates, kinds in turn; prose in up to three wordings, if there is room."""
        rejections = [one for one in found if isinstance(one, Rejection)]
        candidates = _mixed([one for one in found if isinstance(one, Candidate)], f"{self.seed} {chunk.id}")
        most_fields = max(1, self.per_chunk // 2)
        drafts: list[Draft] = []
        worded: list[Candidate] = []
        kinds: Counter[str] = Counter()
        for candidate in candidates:
            kind = "negative" if candidate.kind == "field" and candidate.rank == NEGATIVE else candidate.kind
            if len(drafts) == self.per_chunk or (candidate.kind == "field" and kinds["field"] == most_fields):
                rejections.append(Rejection("chunk has enough questions", candidate.label))
                continue
            if kind == "negative" and kinds[kind] == _MOST_NEGATIVE:
                rejections.append(Rejection("chunk has enough negative answers", candidate.label))
                continue
            outcome = self._word(chunk, candidate, anchors, asked)
            if isinstance(outcome, Rejection):
                rejections.append(outcome)
                continue
            kinds.update({kind, candidate.kind})
            asked.add(outcome.question)
            drafts.append(outcome)
            worded.append(candidate)
        prose = [candidate for candidate in worded if candidate.kind not in ("field", "definition")]
        for turned in range(1, _WORDINGS):
            for candidate in prose:
                if len(drafts) == self.per_chunk:
                    break
                again = self._word(
                    chunk, candidate, anchors, asked, turned=turned * (1 + len(candidate.templates) // _WORDINGS)
                )
                if isinstance(again, Draft):
                    asked.add(again.question)
                    drafts.append(again)
        return drafts, rejections

    def _word(
        self, chunk: Chunk, candidate: Candidate, anchors: Anchors, asked: set[str], turned: int = 0
    ) -> Draft | Rejection:
        """The first wording, in an order drawn from the chunk and the label, that makes a sound draft."""
        answer = " ".join(chunk.text[slice(*candidate.answer)].split())
        quote = " ".join(chunk.text[slice(*candidate.quote)].split())
        if not (find_exact(answer, chunk.text) and find_exact(answer, quote)):
            return Rejection("answer cannot be found in its quote", candidate.label)
        reason = "no name for what the question is about"
        draw = int(content_hash(str(self.seed), chunk.id, candidate.label, answer)[:12], 16)
        for turn in range(len(candidate.templates)):
            template = candidate.templates[(draw + turned + turn) % len(candidate.templates)]
            for question in _filled(template, anchors, draw // 97 + turned):
                if find_exact(answer, question):
                    reason = "answer in question"
                elif question in asked:
                    reason = "duplicate question"
                elif len(question.split()) > _LONGEST_QUESTION:
                    reason = "question too long"
                else:
                    return Draft(question, answer, quote, candidate.kind)
        return Rejection(reason, f"{candidate.label}: {answer[:80]}")


def _filled(template: str, anchors: Anchors, draw: int) -> Iterable[str]:
    """The template with each name in turn, beginning with the drawn one. A template names at most two things."""
    places = [place for place in ("{e}", "{t}", "{d}") if place in template]
    if any(not anchors.of(place) for place in places):
        return
    for turn in range(max((len(anchors.of(place)) for place in places), default=1)):
        question = template
        for place in places:
            names = anchors.of(place)
            question = question.replace(place, names[(draw + turn) % len(names)])
        yield question[:1].upper() + question[1:]


def _mixed(candidates: Sequence[Candidate], draw: str) -> list[Candidate]:
    """Kinds in turn, the best of each first; equal ones in the order of the text, but fields in a drawn order."""
    by_kind: dict[str, list[Candidate]] = defaultdict(list)
    drawn = {c.label: content_hash(draw, c.label) if c.kind == "field" else "" for c in candidates}
    for candidate in sorted(candidates, key=lambda c: (c.rank, drawn[c.label])):
        by_kind[candidate.kind].append(candidate)
    order = []
    while any(by_kind.values()):
        order += [by_kind[kind].pop(0) for kind in _KINDS if by_kind[kind]]
    return order


def _breaks_off(before: Chunk, form: Form, chunk: Chunk) -> bool:
    """Whether the chunk begins within a sentence of the chunk before, which it may overlap."""
    overlap = before.text.rfind(chunk.text[:_OVERLAP])
    text = before.text[: overlap if overlap >= 0 else None].rstrip()
    in_prose = any(start < len(text) <= end for start, end in form.prose)
    return in_prose and text[-1] not in '.!?:)"”'


def _several(chunks: Sequence[Chunk], forms: Sequence[Form]) -> frozenset[tuple[str, str]]:
    """Labels that the document fills with different values under one heading: asking for "the" value is unfair."""
    values: dict[tuple[str, str], set[str]] = defaultdict(set)
    for chunk, form in zip(chunks, forms, strict=True):
        for item in form.fields:
            for one in split_field(chunk.text, item):
                if value := " ".join(chunk.text[slice(*one.value)].split()):
                    values[one.section, one.label.casefold()].add(value)
    return frozenset(key for key, held in values.items() if len(held) > 1)


_RECORD = (
    r"report|invoice|case|order|contract|permit|claim|policy|project|docket|application|file|ticket|course|account|bill"
)


def find_anchors(document: Document, chunks: Sequence[Chunk], forms: Sequence[Form]) -> Anchors:
    """Names for a document's event, thing and itself, from the first fields of its form; its title if it has none."""
    values: dict[str, str] = {}
    for chunk, form in list(zip(chunks, forms, strict=True))[:8]:
        for item in form.fields:
            for one in split_field(chunk.text, item):
                value = " ".join(chunk.text[slice(*one.value)].split())
                if value and len(value) <= 60:
                    values.setdefault(one.label.casefold(), value)
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
    title = _first(values, r"(?:document |report |project |course )?title|project name|subject") or readable_title(
        document, chunks
    )
    if not documents or (len(documents) < 3 and title):
        documents += [f"“{title}”", f"the text of “{title}”", f"the pages of “{title}”"]
    return Anchors(tuple(events), tuple(things), tuple(documents))


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


def readable_title(document: Document, chunks: Sequence[Chunk]) -> str:
    """The document's title; if that is a bare file name, the first line that reads like one."""
    names = [document.title, *(chunk.context for chunk in chunks[:1])]
    lines = [line for chunk in chunks[:2] for line in chunk.text.split("\n")]
    for least, candidates in ((2, names), (3, lines), (2, lines)):
        for name in candidates:
            name = " ".join(name.split())
            words = re.findall(r"(?<!\S)[^\W\d_]{3,}", name)
            if len(words) >= least and len(name) <= 100 and not re.match(r"(?i)page \d", name) and name[-1] not in ":,":
                return name
    return " ".join(document.title.split()) or "the document"
