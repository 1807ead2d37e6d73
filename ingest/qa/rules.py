"""A source of question-answer drafts that needs no model: rules over forms, prose, tables and lists.

Knows how to choose among candidates and how a question comes to name its document; what makes a candidate is in
``ingest.qa.rule_fields``, ``rule_prose``, ``rule_tables`` and ``rule_lists``, names are found in ``rule_anchors``.
The same document, chunks and seed give the same drafts.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from fieldguide.align import find_exact, tokens
from fieldguide.types import Chunk, Document, Kind, content_hash
from ingest.qa.checks import is_trivial
from ingest.qa.drafts import Draft, Drafted, Rejection
from ingest.qa.rule_anchors import Anchors, find_anchors, self_contained
from ingest.qa.rule_fields import field_candidates
from ingest.qa.rule_forms import Candidate, Form, read_form, split_field
from ingest.qa.rule_lists import list_candidates
from ingest.qa.rule_prose import prose_candidates
from ingest.qa.rule_reading import Reading
from ingest.qa.rule_tables import table_candidates

__all__ = ["VERSION", "Anchors", "RuleSource", "find_anchors", "self_contained"]

VERSION = "4"
"""Changes whenever the rules write something else, and the source's id with it."""

_KINDS: tuple[Kind, ...] = (
    "cause", "procedure", "list", "table lookup", "quantity", "date", "comparison", "definition", "fact", "yes/no",
)  # fmt: skip
"""What the rules can ask for; of kinds that are wanted alike, the first is taken first."""

_LONGEST_QUESTION = 40
_MOST_OF_A_SENTENCE = 2
_SHARE_YES_NO = 0.15
_SHARE_FIELDS = 0.5
_OVERLAP = 30

_PRESENT = re.compile(
    r"(?:(?:What|Who|How|When|Where|Why|For what reason|In which year|By wh\w+) )?"
    r"(?i:is|are|does|do|has|have|can|may|must|should|will)\b"
)
_CHANGE = re.compile(
    r"\b(?:bent|broken|damaged|destroyed|burn(?:ed|t)|flooded|lost|stolen|killed|injured|arrested|convicted|separated|removed"
    r"|replaced|closed|opened|cancel?led|delayed|postponed|suspended|terminated|completed|rejected|approved|denied|granted"
    r"|dismissed|repealed|merged|sold|acquired|moved|transferred|demolished|rebuilt|restored|renamed|abandoned|reversed)\b"
)
"""What a person would answer to "What happened to …?", where no event is told of."""

Found = Candidate | Reading | Rejection


@dataclass(slots=True)
class _Told:
    """What a document's chunks have been asked so far: questions, and facts by their wording and answer, sentences."""

    questions: set[str] = field(default_factory=set)
    facts: set[tuple[str, str]] = field(default_factory=set)
    sentences: Counter[tuple[str, str]] = field(default_factory=Counter)

    def of_sentence(self, quote: str) -> dict[str, int]:
        """How many questions of each kind a sentence has; chunks may overlap, so it counts in all of them."""
        return {kind: self.sentences[quote, kind] for kind in _KINDS if self.sentences[quote, kind]}


class RuleSource:
    """Writes drafts from "Label: value" lines, sentences of known shapes, tables and lists.

    At most ``per_chunk`` for a chunk, no more than half of them from fields. A fact is asked in one wording, or in up
    to ``phrasings`` different ones, which share their answer's place. ``mix`` holds weights by kind (1 for those not
    named, 0 leaves a kind out): kinds are taken in turn by their weights.
    """

    name = "rules"

    def __init__(
        self, seed: int = 0, per_chunk: int = 12, phrasings: int = 1, mix: Mapping[str, float] | None = None
    ) -> None:
        if per_chunk < 1 or phrasings < 1:
            raise ValueError(f"per_chunk and phrasings must be at least 1, not {per_chunk} and {phrasings}")
        self.seed = seed
        self.per_chunk = per_chunk
        self.phrasings = phrasings
        self.mix = dict(mix or {})

    @property
    def id(self) -> str:
        settings = (VERSION, str(self.seed), str(self.per_chunk), str(self.phrasings), str(sorted(self.mix.items())))
        return f"{self.name}-{content_hash(*settings)[:12]}"

    @property
    def batch(self) -> None:
        """All chunks of a document at a time: its names are found in its first chunks."""
        return None

    def takes(self, chunk: Chunk) -> bool:
        return True

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
        found = _read(chunks, forms, anchors)
        unsure = _several_answers(chunks, found)
        told = _Told()
        return [self._choose(chunk, ones, anchors, told, unsure) for chunk, ones in zip(chunks, found, strict=True)]

    def _choose(
        self, chunk: Chunk, found: Sequence[Found], anchors: Anchors, told: _Told, unsure: frozenset[str]
    ) -> Drafted:
        """Drafts of the chunk's best candidates, kinds in turn by their weights."""
        rejections = [one for one in found if isinstance(one, Rejection)]
        candidates = [one for one in found if not isinstance(one, Rejection)]
        wanted = [one for one in candidates if self.mix.get(one.kind, 1.0) > 0]
        rejections += [Rejection("kind is not wanted", one.label) for one in candidates if one not in wanted]
        drafts: list[Draft] = []
        counts: Counter[str] = Counter()
        waiting = _queues(wanted, f"{self.seed} {chunk.id}")
        while kind := self._next_kind(waiting, counts):
            candidate = waiting[kind].pop(0)
            reason = self._limit(candidate, drafts, counts, told.of_sentence(_quoted(chunk, candidate)))
            if not reason and _key(candidate) in unsure:
                reason = "question has several answers in the document"
            outcome = Rejection(reason, candidate.label) if reason else self._word(chunk, candidate, anchors, told)
            if isinstance(outcome, Rejection):
                rejections.append(outcome)
                continue
            counts[kind] += 1
            counts["field"] += isinstance(candidate, Candidate) and candidate.field
            told.sentences[_quoted(chunk, candidate), kind] += 1
            drafts += outcome
        return drafts, rejections

    def _next_kind(self, waiting: Mapping[str, Sequence[Found]], counts: Mapping[str, int]) -> str:
        """The kind that lags most behind its weight; "" if none waits."""
        kinds = [kind for kind in _KINDS if waiting.get(kind)]
        return min(kinds, key=lambda kind: (counts.get(kind, 0) + 1) / self.mix.get(kind, 1.0), default="")

    def _limit(
        self,
        candidate: Candidate | Reading,
        drafts: Sequence[Draft],
        counts: Mapping[str, int],
        of_sentence: Mapping[str, int],
    ) -> str:
        """Why there is no room for a candidate, or ""."""
        if len(drafts) >= self.per_chunk * self.phrasings:
            return "chunk has enough questions"
        of_form = isinstance(candidate, Candidate) and candidate.field
        if of_form and counts.get("field", 0) >= max(1, round(_SHARE_FIELDS * self.per_chunk)):
            return "chunk has enough questions"
        asked = candidate.kind in self.mix and self.mix[candidate.kind] > 1
        enough = counts.get("yes/no", 0) >= max(1, round(_SHARE_YES_NO * self.per_chunk))
        if candidate.kind == "yes/no" and enough and not asked:
            return "chunk has enough yes/no questions"
        if candidate.kind == "definition" and candidate.rank > 1 and counts.get("definition"):
            return "chunk has enough definitions"
        if isinstance(candidate, Candidate) and not candidate.field:
            most = 1 if candidate.kind == "yes/no" else _MOST_OF_A_SENTENCE
            if sum(of_sentence.values()) >= most or (candidate.kind == "fact" and of_sentence.get("fact")):
                return "sentence has enough questions"
        return ""

    def _word(
        self, chunk: Chunk, candidate: Candidate | Reading, anchors: Anchors, told: _Told
    ) -> list[Draft] | Rejection:
        """The first sound wordings, in an order drawn from the chunk and the label; at most ``phrasings``."""
        draft = _unworded(chunk, candidate)
        if draft is None:
            return Rejection("answer cannot be found in its quote", candidate.label)
        fact = (_key(candidate), " ".join(tokens(draft.answer)))
        if fact in told.facts:
            return Rejection("fact is asked already", candidate.label)
        reason = "no name for what the question is about"
        drafts: list[Draft] = []
        templates = _usable(candidate.templates, anchors)
        if anchors.events and _is_general(candidate):
            templates = [candidate.templates[0]]
        # what names no document is worded alike in all of them, so that boilerplate is asked once
        of = chunk.id if any(map(_places, templates)) else ""
        draw = int(content_hash(str(self.seed), of, candidate.label, draft.answer)[:12], 16)
        for turn in range(len(templates)):
            for question in _filled(templates[(draw + turn) % len(templates)], anchors, draw // 97):
                fault = _fault(question, draft, told) or _says_little(question, draft, anchors)
                if not fault:
                    drafts.append(replace(draft, question=question))
                    told.questions.add(_plain(question))
                    break
                reason = fault
            if len(drafts) == self.phrasings:
                break
        if not drafts:
            return Rejection(reason, f"{candidate.label}: {draft.answer[:80]}")
        told.facts.add(fact)
        return drafts


def _quoted(chunk: Chunk, candidate: Candidate | Reading) -> str:
    if isinstance(candidate, Reading):
        return candidate.quote(chunk)
    return " ".join(chunk.text[slice(*candidate.quote)].split())


def _read(chunks: Sequence[Chunk], forms: Sequence[Form], anchors: Anchors) -> list[list[Found]]:
    """Candidates and rejections of each chunk of a document, in the order of its text."""
    several = _several(chunks, forms)
    is_form = bool(anchors.events) or _is_form(forms)
    tables, lists = table_candidates(chunks), list_candidates(chunks)
    seen: set[tuple[str, str]] = set()
    read: list[list[Found]] = []
    for i, (chunk, form) in enumerate(zip(chunks, forms, strict=True)):
        found: list[Found] = [*form.rejections]
        for item in form.fields:
            key = (item.label, " ".join(chunk.text[slice(*item.value)].split()))
            if key in seen and key[1]:
                found.append(Rejection("field is repeated", f"{key[0]}: {key[1]}"))
            else:
                found.extend(field_candidates(chunk.text, item, several, is_form))
            seen.add(key)
        broken = i > 0 and _breaks_off(chunks[i - 1], forms[i - 1], chunk)
        found.extend(prose_candidates(chunk.text, form.prose, broken))
        read.append([*found, *tables[i], *lists[i]])
    return read


def _is_form(forms: Sequence[Form]) -> bool:
    """Whether the document is mostly fields: more of them than runs of prose."""
    return sum(len(form.fields) for form in forms) > 2 * sum(len(form.prose) for form in forms)


def _key(candidate: Candidate | Reading) -> str:
    """What stands for a question whatever its wording."""
    return candidate.templates[0].casefold() if candidate.templates else candidate.label


def _several_answers(chunks: Sequence[Chunk], found: Sequence[Sequence[Found]]) -> frozenset[str]:
    """Keys of the questions that the document answers in different ways: none of them has one clear answer."""
    answers: dict[str, set[str]] = defaultdict(set)
    for chunk, ones in zip(chunks, found, strict=True):
        for one in ones:
            if not isinstance(one, Rejection) and (draft := _unworded(chunk, one)):
                answers[_key(one)].add(" ".join(tokens(draft.answer)))
    return frozenset(key for key, held in answers.items() if len(held) > 1)


def _unworded(chunk: Chunk, candidate: Candidate | Reading) -> Draft | None:
    """The draft without its question; None if the answer does not stand in the quote."""
    if isinstance(candidate, Reading):
        return Draft(
            "", candidate.answer, candidate.quote(chunk), candidate.kind, candidate.level, candidate.evidence(chunk)
        )
    quote = " ".join(chunk.text[slice(*candidate.quote)].split())
    answer = candidate.said or " ".join(chunk.text[slice(*candidate.answer)].split())
    if not find_exact(quote, chunk.text) or not (candidate.said or find_exact(answer, quote)):
        return None
    return Draft("", answer, quote, candidate.kind)


def _usable(templates: Sequence[str], anchors: Anchors) -> list[str]:
    """Templates whose places have names; those with places alone where the document has an event."""
    usable = [t for t in templates if all(anchors.of(place) for place in _places(t))]
    placed = [t for t in usable if _places(t)]
    return placed if placed and anchors.events else usable


def _places(template: str) -> list[str]:
    return [place for place in ("{e}", "{t}", "{d}") if place in template]


def _filled(template: str, anchors: Anchors, draw: int) -> Iterable[str]:
    """The template with each name in turn, beginning with the drawn one; without a place, as it can stand alone."""
    places = _places(template)
    if not places:
        question = self_contained(template, anchors)
        yield from [question] if question else []
        return
    for turn in range(max(len(anchors.of(place)) for place in places)):
        question = template
        for place in places:
            names = anchors.of(place)
            question = question.replace(place, names[(draw + turn) % len(names)])
        yield question[:1].upper() + question[1:]


def _fault(question: str, draft: Draft, told: _Told) -> str:
    """Why a worded question will not do, or ""."""
    if draft.kind not in ("yes/no", "comparison") and is_trivial(question, draft.answer):
        return "answer in question"
    if _plain(question) in told.questions:
        return "duplicate question"
    if len(question.split()) > _LONGEST_QUESTION:
        return "question too long"
    return ""


def _says_little(question: str, draft: Draft, anchors: Anchors) -> str:
    """Why an answer that would do for an event says too little elsewhere, or ""."""
    if anchors.events or draft.kind != "fact":
        return ""
    told = re.match(r"(?:was|were|is|are)\b(.*)", draft.answer)
    if question.startswith("What happened to") and told and not _CHANGE.search(told.group(1)):
        return "answer says too little"
    return (
        "answer says too little" if re.fullmatch(r"(?:an? [A-Z]\w+|(?:its|his|her|some) [\w-]+)", draft.answer) else ""
    )


def _is_general(candidate: Candidate | Reading) -> bool:
    """Whether a sentence tells what holds always: asked for in the present tense, it is not about an event."""
    if isinstance(candidate, Reading) or candidate.field:
        return False
    return bool(_PRESENT.match(candidate.templates[0])) and not _places(candidate.templates[0])


def _plain(question: str) -> str:
    return " ".join(tokens(question))


def _queues(candidates: Sequence[Candidate | Reading], draw: str) -> dict[str, list[Candidate | Reading]]:
    """Candidates by kind, the best first; equal ones in the order of the text, but fields in a drawn order."""
    drawn = {c.label: content_hash(draw, c.label) if isinstance(c, Candidate) and c.field else "" for c in candidates}
    queues: dict[str, list[Candidate | Reading]] = defaultdict(list)
    for candidate in sorted(candidates, key=lambda c: (c.rank, drawn[c.label])):
        queues[candidate.kind].append(candidate)
    return queues


def _breaks_off(before: Chunk, form: Form, chunk: Chunk) -> bool:
    """Whether the chunk begins within a sentence of the chunk before, which it may overlap."""
    overlap = before.text.rfind(chunk.text[:_OVERLAP])
    text = before.text[: overlap if overlap >= 0 else None].rstrip()
    in_prose = any(start < len(text) <= end for start, end in form.prose)
    return in_prose and not re.search(r"[.!?:)\"”’]$", text)


def _several(chunks: Sequence[Chunk], forms: Sequence[Form]) -> frozenset[tuple[str, str]]:
    """Labels that the document fills with different values under one heading: asking for "the" value is unfair."""
    values: dict[tuple[str, str], set[str]] = defaultdict(set)
    for chunk, form in zip(chunks, forms, strict=True):
        for item in form.fields:
            for one in split_field(chunk.text, item):
                if value := " ".join(chunk.text[slice(*one.value)].split()):
                    values[one.section, one.label.casefold()].add(value)
    return frozenset(key for key, held in values.items() if len(held) > 1)
