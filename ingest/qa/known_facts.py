"""Pairs as facts that others can be made of: what a question names, what it asks for, and what draws on two of them.

Pure. An attribute is known from the form field that a pair's evidence stands in, where the rules wrote the pair, else
from the question around its document's name.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fieldguide import align
from fieldguide.types import Chunk, Document, Kind, QAPair, content_hash
from ingest.qa.drafts import Draft
from ingest.qa.names import Naming, by_document, document_names, find_naming, place_in, read_forms, usable
from ingest.qa.rule_anchors import Anchors
from ingest.qa.rule_forms import Form, plain, split_field
from ingest.qa.rule_labels import WORDS, words

_EMPTY = words("none no yes unknown n/a other normal male female clear day night")
_SHORTEST_NAME = 4
_AROUND = 40
_NAMEABLE = re.compile(
    r"(?:.* )?(?:make|model|manufacturer|owner|operator|category|class|company|agency|department|author|publisher|"
    r"supplier|vendor|customer|court|judge|country|state|city|currency|language|type|investigator|sponsor|client|"
    r"contractor|director|manager|chair|county|region|airport|institution|organi[sz]ation|lawyer|buyer|seller|editor)"
)


@dataclass(frozen=True, slots=True)
class Fact:
    """A pair, where its question names the document, and what it asks for."""

    pair: QAPair
    naming: Naming
    label: str
    attribute: str


@dataclass(frozen=True, slots=True)
class Shelf:
    """What is unique can only be judged by all documents: their chunks, names, and which of them hold a word."""

    chunks: Mapping[str, Chunk]
    names: Mapping[str, Anchors]
    holders: Mapping[str, frozenset[str]]
    small: frozenset[str]
    """Words that are written small somewhere: common ones, however a form writes them."""

    def holding(self, text: str) -> frozenset[str]:
        """The documents that hold every word and number of a text, wherever."""
        held = [self.holders.get(word, frozenset()) for word in set(align.tokens(text))]
        return frozenset.intersection(*held) if held else frozenset()


def read_facts(
    pairs: Sequence[QAPair], chunks: Mapping[str, Chunk], documents: Mapping[str, Document], seed: int
) -> tuple[list[Fact], Shelf]:
    """The pairs whose questions name their document, in an order drawn from the seed, and the shelf."""
    forms = read_forms(chunks)
    holders: dict[str, set[str]] = defaultdict(set)
    small: set[str] = set()
    for chunk in chunks.values():
        small.update(re.findall(r"\b[a-z]+\b", chunk.text))
        for word in set(align.tokens(chunk.text)):
            holders[word].add(chunk.document)
    names = document_names(documents, chunks, forms)
    shelf = Shelf(chunks, names, {word: frozenset(held) for word, held in holders.items()}, frozenset(small))
    facts = [fact for pair in usable(pairs, chunks) if (fact := _fact(pair, shelf, forms[pair.chunk]))]
    common = _common([fact.pair for fact in facts], shelf)
    facts = [fact for fact in facts if fact.pair.id not in common]
    return sorted(facts, key=lambda fact: content_hash(str(seed), fact.pair.id)), shelf


def _common(pairs: Sequence[QAPair], shelf: Shelf) -> set[str]:
    """The pairs whose evidence stands in the same words in another document: no fact of one document."""
    members = by_document(shelf.chunks)
    found = set()
    for pair in pairs:
        text = shelf.chunks[pair.chunk].text
        place = place_in(pair.evidence[0], shelf.chunks[pair.chunk])
        if place is None:
            continue
        around = " ".join(text[max(0, place[0] - _AROUND) : place[1] + _AROUND].split()[1:-1])
        others = shelf.holding(around) - {pair.document}
        if any(around in " ".join(chunk.text.split()) for other in others for chunk in members[other]):
            found.add(pair.id)
    return found


def _fact(pair: QAPair, shelf: Shelf, form: Form) -> Fact | None:
    anchors = shelf.names.get(pair.document)
    naming = find_naming(pair.question, anchors) if anchors else None
    if naming is None:
        return None
    section, label, item = _label(pair, shelf.chunks[pair.chunk], form) if pair.origin == "rules" else ("", "", "")
    attribute = f"{section}\n{label}\n{item}" if label else f"{naming.before}{naming.place}{naming.after}".casefold()
    return Fact(pair, naming, "" if item else label, attribute)


def _label(pair: QAPair, chunk: Chunk, form: Form) -> tuple[str, str, str]:
    """Section and label of the form field that a pair's evidence stands in, and what tells it from the rest of the
    value ("3 hours (this make and model)"); the label is "" if it is in none or is a part that nothing tells apart."""
    place = place_in(pair.evidence[0], chunk)
    if place is None:
        return "", "", ""
    for item in form.fields:
        for one in split_field(chunk.text, item):
            if one.value[0] <= place[0] and place[1] <= one.value[1]:
                if place == one.value:
                    return one.section, plain(one.label), ""
                told = re.match(r"\s*\(([^)]+)\)", chunk.text[place[1] : one.value[1]])
                return (one.section, plain(one.label), told.group(1)) if told else ("", "", "")
    return "", "", ""


def rivals(facts: Sequence[Fact]) -> list[tuple[list[Fact], list[Fact]]]:
    """The wordings of one fact in each of two documents that share an attribute, attributes in turn.

    A document that gives several answers for the attribute is left out.
    """
    groups: dict[str, dict[str, list[Fact]]] = defaultdict(lambda: defaultdict(list))
    for fact in facts:
        groups[fact.attribute][fact.pair.document].append(fact)
    turns: list[list[tuple[list[Fact], list[Fact]]]] = []
    for held in groups.values():
        single = [same for same in held.values() if len({fact.pair.answer.casefold() for fact in same}) == 1]
        ring = single[1:] + (single[:1] if len(single) > 2 else [])
        turns.append(list(zip(single, ring, strict=False)))
    longest = max(map(len, turns), default=0)
    return [held[turn] for turn in range(longest) for held in turns if turn < len(held)]


def is_name(value: str) -> bool:
    """Whether an answer reads like a proper name: capitalised words, without digits, in a few words."""
    words = value.split()
    return (
        len(value) >= _SHORTEST_NAME and len(words) <= 5 and sum(w[0].isupper() for w in words) * 2 > len(words)
        and words[0][0].isupper() and not re.search(r"[\d;:/(]| [-–—] ", value)
        and not (value.isupper() and len(words) > 1) and value.casefold() not in _EMPTY
    )  # fmt: skip


def nameable(label: str) -> bool:
    """Whether a label consists of common words, the last of which asks for the name of somebody or something."""
    return bool(_NAMEABLE.fullmatch(label)) and set(re.findall(r"[a-z-]+", label)) <= WORDS | {"of", "in"}


def alike(value: str, anchors: Anchors) -> bool:
    """Whether a value shares a word with a name of the document, and so is given away by it."""
    told = {word for one in (*anchors.events, *anchors.things, *anchors.documents) for word in align.tokens(one)}
    return bool(told & {word for word in align.tokens(value) if len(word) > 2})


def join(question: str, answer: str, first: QAPair, second: QAPair, compared: bool = False) -> Draft:
    """A draft with the evidence of both pairs; it belongs to the first one's chunk."""
    evidence = (*first.evidence, *second.evidence)
    question = question[:1].upper() + question[1:]
    kind: Kind = "comparison" if compared else "multi-hop"
    return Draft(question, answer, first.evidence[0].quote, kind, "implicit fact", evidence)
