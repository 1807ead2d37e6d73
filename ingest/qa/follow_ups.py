"""Questions as they are asked in the course of a conversation: made from two pairs, the second leaning on the first.

What the first question is about, its subject, is left to a pronoun in the second ("When was it last inspected?",
"What class of certificate did she hold?"); or the second asks the same of another document and says no more than its
name ("What about N2151J?"). Only where the rewording is grammatical and the first question has no other subject.
Knows nothing of how a conversation is understood later.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from fieldguide import align
from fieldguide.types import Chunk, Document, QAPair, content_hash
from ingest.qa.drafts import Draft, Drafted, Rejection
from ingest.qa.known_facts import Fact, Shelf, read_facts, rivals
from ingest.qa.names import names_in, same_style
from ingest.qa.rule_labels import PEOPLE

Sex = Literal["", "he", "she", "it"]

_BE = r"(?:did|does|do|was|is|were|are|has|have|had|can|could|will|would|should)"
_SUBJECT = re.compile(rf"\b{_BE} $", re.IGNORECASE)
_OF = re.compile(
    r"\bthe (?P<what>(?!(?:name|time|site|scene|day|end)\b)[\w/-]+(?: (?!of\b|in\b|at\b|on\b|for\b)[\w/-]+){0,3}) of $"
)
_WITH = re.compile(r"\b(?:from|for|about) $")
_HAPPENED = re.compile(r"(?:\bwhen|\bbefore|\bafter) $")
_PRONOUN = re.compile(r"(?i)\b(?:it|its|he|she|they|his|her|him|them|their|this|that|these|those)\b")
_PERSON = re.compile(rf"\bthe (?:student |other |second |first )?(?P<noun>{PEOPLE}) (?:of|in) $")
_NOT_ONE = frozenset({"owner", "operator", "crew", "customer", "tenant", "investigators", "plaintiff", "defendant"})
_SEX = re.compile(r"\b(?:Sex|Gender|Age)\b[:,\s\d]{0,8}(Male|Female|Man|Woman)\b")
_POSSESSIVE = {"it": "its", "he": "his", "she": "her"}
_LONGEST = 30


@dataclass(frozen=True, slots=True)
class _Topic:
    """What a question speaks of: the words from ``start`` to ``end`` of it, and the pronoun that stands for them.

    ``key`` is the same for two questions of a document that speak of the same.
    """

    key: str
    start: int
    end: int
    pronoun: Sex


def follow_ups(
    pairs: Sequence[QAPair],
    chunks: Mapping[str, Chunk],
    documents: Mapping[str, Document],
    wanted: int,
    seed: int = 0,
) -> Drafted:
    """At most ``wanted`` drafts with the question before them in ``after``; pronouns and bare names in turn.

    The answer and the evidence are the second pair's. The same pairs, chunks and seed give the same drafts.
    """
    facts, shelf = read_facts(pairs, chunks, documents, seed)
    shapes = [_with_pronouns(facts, shelf), _elsewhere(facts, shelf)]
    drafts: list[Draft] = []
    rejections: list[Rejection] = []
    while shapes and len(drafts) < wanted:
        for shape in list(shapes):
            for one in shape:
                if isinstance(one, Draft):
                    if len(drafts) < wanted:
                        drafts.append(one)
                    break
                rejections.append(one)
            else:
                shapes.remove(shape)
    return drafts, rejections


def _draft(first: Fact, second: Fact, question: str) -> Draft:
    pair = second.pair
    quote = pair.evidence[0].quote
    return Draft(
        question, pair.answer, quote, "follow-up", "explicit fact", pair.evidence, after=(first.pair.question,)
    )


def _with_pronouns(facts: Sequence[Fact], shelf: Shelf) -> Iterator[Draft | Rejection]:
    """Two facts on one thing or person of a document, the second with a pronoun for it; documents in turn."""
    sexes = {document: _sex(document, shelf) for document in shelf.names}
    opening: dict[tuple[str, str], list[Fact]] = defaultdict(list)
    for fact in facts:
        topic = _topic(fact, sexes)
        if topic and _SUBJECT.search(fact.pair.question[: topic.start]) and _only(fact, topic):
            opening[fact.pair.document, topic.key].append(fact)
    turns: dict[str, list[Fact]] = defaultdict(list)
    for fact in facts:
        turns[fact.pair.document].append(fact)
    for turn in range(max(map(len, turns.values()), default=0)):
        for held in turns.values():
            if turn < len(held):
                yield _leaning(held[turn], opening, sexes)


def _leaning(
    fact: Fact, opening: Mapping[tuple[str, str], Sequence[Fact]], sexes: Mapping[str, Sex]
) -> Draft | Rejection:
    topic = _topic(fact, sexes)
    if topic is None:
        return Rejection("no pronoun for what the question is about", fact.pair.question)
    before = [
        one
        for one in opening[fact.pair.document, topic.key]
        if one.attribute != fact.attribute
        and not align.find_exact(fact.pair.answer, f"{one.pair.question} {one.pair.answer}")
    ]
    question = _shortened(fact.pair.question, topic)
    if not question or _SEX.search(f"Sex: {fact.pair.answer}"):
        return Rejection("question cannot take a pronoun", fact.pair.question)
    if not before:
        return Rejection("no question before it with the same subject", fact.pair.question)
    draw = int(content_hash(fact.pair.id)[:6], 16)
    question = f"And {question[:1].lower()}{question[1:]}" if draw % 3 == 0 else question
    return _draft(before[draw % len(before)], fact, question)


def _topic(fact: Fact, sexes: Mapping[str, Sex]) -> _Topic | None:
    """The person of the document, or the thing, event or document itself, that a question speaks of."""
    naming = fact.naming
    start, end = len(naming.before), len(naming.before) + len(naming.name)
    if person := _PERSON.search(naming.before):
        sex = "" if person["noun"] in _NOT_ONE else sexes[fact.pair.document]
        return _Topic(person["noun"], person.start(), end, sex) if sex else None
    return _Topic(naming.place, start, end, "it")


def _only(fact: Fact, topic: _Topic) -> bool:
    """Whether the question names nothing beside its topic, so that the pronoun can stand for nothing else."""
    question = fact.pair.question
    outside = [name for name in names_in(question) if name.end <= topic.start or name.start >= topic.end]
    return not outside and len(question.split()) <= _LONGEST


def _shortened(question: str, topic: _Topic) -> str:
    """The question with the pronoun for its topic; "" where that would not be English, or would not lean."""
    before, after = question[: topic.start], question[topic.end :]
    if _PRONOUN.search(before + after) or not re.match(r"[ ?]", after):
        return ""
    if re.match(r" (?:in|at|of|on|from|with|involving)\b", after) and topic.pronoun == "it":
        return ""
    if match := _OF.search(before):
        return f"{before[: match.start()]}{_POSSESSIVE[topic.pronoun]} {match['what']}{after}"
    if _SUBJECT.search(before) or (_HAPPENED.search(before) and re.match(r" (?:happen|occur|took|take)", after)):
        return f"{before}{topic.pronoun}{after}"
    if topic.pronoun == "it" and _WITH.search(before) and after == "?":
        return f"{before}it?"
    return ""


def _sex(document: str, shelf: Shelf) -> Sex:
    """The pronoun for a person of a document that gives one sex throughout; "" if it gives none or both."""
    told = {
        match.group(1)
        for chunk in shelf.chunks.values()
        if chunk.document == document
        for match in _SEX.finditer(chunk.text)
    }
    return "" if len(told) != 1 else "he" if told <= {"Male", "Man"} else "she"


def _elsewhere(facts: Sequence[Fact], shelf: Shelf) -> Iterator[Draft | Rejection]:
    """The same asked of another document, in no more words than its name."""
    for firsts, seconds in rivals(facts):
        first, second = firsts[0], seconds[0]
        if align.find_exact(second.pair.answer, f"{first.pair.answer} {second.naming.name}"):
            yield Rejection("answer in question or as before", first.pair.question)
            continue
        naming = first.naming
        name = same_style(naming.name, shelf.names[second.pair.document].of(naming.place))
        person = _PERSON.search(naming.before)
        topic = _Topic(
            "", person.start() if person else len(naming.before), len(naming.before) + len(naming.name), "it"
        )
        if not name or not _only(first, topic) or _PRONOUN.search(naming.before + naming.after):
            yield Rejection("question cannot be asked again of another name", first.pair.question)
            continue
        said = f"{first.pair.question[topic.start : len(naming.before)]}{name}"
        subject = _SUBJECT.search(first.pair.question[: topic.start])
        draw = int(content_hash(second.pair.id)[:6], 16)
        yield _draft(first, second, f"And {said}?" if subject and draw % 2 else f"What about {said}?")
