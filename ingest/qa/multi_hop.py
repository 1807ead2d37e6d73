"""Questions that need two places: made from pairs that are there already, by rule, or chosen for a generator.

Shapes, each only where nothing is left to guess: a bridge (a fact that only one document gives stands for its name), a
chain (what one pair asks for stands for the name that answers it), a comparison of two documents (see
``ingest.qa.comparisons``), and two questions on one document asked together. The answers are those of the pairs;
nothing is read anew.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence

from fieldguide import align
from fieldguide.types import Chunk, Document, QAPair, content_hash
from ingest.qa.comparisons import comparisons, same_values
from ingest.qa.drafts import Draft, Drafted, Rejection
from ingest.qa.known_facts import Fact, Shelf, alike, is_name, join, nameable, read_facts
from ingest.qa.names import Naming, names_in, usable
from ingest.qa.rule_labels import EVENT, WORDS, words

_ASKS = re.compile(
    r"(?:How|What|Which|Who|When|Where|Why|At what|On what|In what|In which|From what|By whom|To whom)\b"
)
_NAMED = re.compile(r"(?:What|Who) (?:is|was) (?:the name of )?(?P<np>the [^,?]+)\?")
_SUBJECT = re.compile(
    r"(?:Who|(?:Which|What) (?P<noun>[a-z]+)) "
    r"(?P<verb>(?!(?:is|was|are|were|did|does|do|has|had|have|will|would|can)\b)"
    r"(?:[a-z]+(?:ed|s)|wrote|made|built|led|won|gave|ran|held|took|sold|bought|drew)) (?P<rest>[^,?]+)\?"
)
_MONTH = re.compile(r"January|February|March|April|May|June|July|August|September|October|November|December|Mr|Ms|Dr")
_ASKING = words(
    "many much given listed recorded stated reported figure amount percentage according million millions thousand "
    "thousands dollars total report table months ended year years july june march december september time date "
    "place happen happened occur occurred took take under out"
)
_LONGEST = 40
_LONGEST_PART = 16
_LONGEST_ANSWER = 12
_MOST_HELD = 2
_SHORTEST_NAME = 4


def multi_hop(
    pairs: Sequence[QAPair],
    chunks: Mapping[str, Chunk],
    documents: Mapping[str, Document],
    wanted: int,
    seed: int = 0,
) -> Drafted:
    """At most ``wanted`` drafts that need two of the chunks, shapes in turn, and what was considered but not used.

    ``chunks`` by id holds all chunks of the corpus, a document's in their order: what is unique is judged by them.
    Each draft has two pieces of evidence, one a hop; the first is of the chunk that the draft belongs to. The same
    pairs, chunks and seed give the same drafts.
    """
    facts, shelf = read_facts(pairs, chunks, documents, seed)
    shapes = [
        _bridges(facts, shelf),
        comparisons(facts, shelf),
        _chains(sorted(usable(pairs, chunks), key=lambda pair: content_hash(str(seed), pair.id)), shelf),
        same_values(facts, shelf),
        _joined(facts, shelf),
    ]
    drafts: list[Draft] = []
    rejections: list[Rejection] = []
    asked: set[str] = set()
    while shapes and len(drafts) < wanted:
        for shape in list(shapes):
            draft = None
            for one in shape:
                refused = one if isinstance(one, Rejection) else _refused(one, asked)
                if refused is None and isinstance(one, Draft):
                    draft = one
                    break
                if refused is not None:
                    rejections.append(refused)
            if draft is None:
                shapes.remove(shape)
            elif len(drafts) < wanted:
                asked.add(draft.question)
                drafts.append(draft)
    return drafts, rejections


def _refused(draft: Draft, asked: set[str]) -> Rejection | None:
    if draft.question in asked:
        return Rejection("duplicate question", draft.question)
    if len(draft.question.split()) > _LONGEST:
        return Rejection("question too long", draft.question)
    if draft.kind == "multi-hop" and any(align.find_exact(part, draft.question) for part in draft.answer.split("; ")):
        return Rejection("answer in question", draft.question)
    return None


def _bridges(facts: Sequence[Fact], shelf: Shelf) -> Iterator[Draft | Rejection]:
    """A document's name replaced by what only that document gives for a label: "the accident whose report gives
    ACME as the operator"."""
    keys = _telling(facts, shelf)
    used: Counter[str] = Counter()
    for fact in facts:
        if fact.naming.place == "{t}":
            continue
        anchors = shelf.names[fact.pair.document]
        for key in sorted(keys.get(fact.pair.document, ()), key=lambda one: used[one.pair.id]):
            question = fact.naming.of(_described(key, fact.naming))
            named = any(align.find_exact(one, question) for one in (*anchors.events, *anchors.things))
            if named or key.label == fact.label or _share(key.pair, fact.pair, shelf):
                continue
            used[key.pair.id] += 1
            yield join(question, fact.pair.answer, fact.pair, key.pair)
            break
        else:
            yield Rejection("no fact that only this document gives", fact.pair.question)


def _telling(facts: Sequence[Fact], shelf: Shelf) -> dict[str, list[Fact]]:
    """For each document the facts that tell it from all others: proper names, under labels of common words, with a
    word that stands in no other document, so that another spelling elsewhere is no second answer."""
    found: dict[str, dict[tuple[str, str], Fact]] = defaultdict(dict)
    for fact in facts:
        value = fact.pair.answer
        if nameable(fact.label) and is_name(value) and not alike(value, shelf.names[fact.pair.document]):
            own = [word for word in align.tokens(value) if shelf.holders[word] == {fact.pair.document}]
            if any(len(word) >= _SHORTEST_NAME and word not in shelf.small for word in own):
                found[fact.pair.document].setdefault((fact.label, value), fact)
    return {document: list(held.values()) for document, held in found.items()}


def _share(first: QAPair, second: QAPair, shelf: Shelf) -> bool:
    """Whether one of the two chunks holds both answers, so that one hop would do."""
    return first.chunk == second.chunk or bool(
        align.find_exact(first.answer, shelf.chunks[second.chunk].text)
        or align.find_exact(second.answer, shelf.chunks[first.chunk].text)
    )


def _described(key: Fact, naming: Naming) -> str:
    article = "" if key.label.endswith("s") and not key.label.endswith("ss") else "the "
    given = f"{key.pair.answer} as {article}{key.label}"
    if naming.place == "{d}":
        noun = "report" if re.search(r"\breport\b", naming.name) else "document"
        return f"the {noun} that gives {given}"
    event = re.search(rf"\b(?:{EVENT})\b", naming.name)
    return f"the {event.group() if event else 'case'} whose report gives {given}"


def _chains(pairs: Sequence[QAPair], shelf: Shelf) -> Iterator[Draft | Rejection]:
    """A name in a question replaced by the words of the question that it answers: "the person who founded ACME"."""
    naming: dict[str, list[QAPair]] = defaultdict(list)
    for pair in pairs:
        if is_name(pair.answer) and (_NAMED.fullmatch(pair.question) or _SUBJECT.fullmatch(pair.question)):
            naming[pair.answer.casefold()].append(pair)
    for pair in pairs:
        for name in names_in(pair.question):
            for key in naming.get(name.text.casefold(), ()):
                described = _description(key)
                near = key.chunk == pair.chunk or align.find_exact(pair.answer, shelf.chunks[key.chunk].text)
                if not described or near or len(align.find_exact(name.text, pair.question)) != 1:
                    yield Rejection("name cannot be described", f"{key.question} | {pair.question}")
                    continue
                start = name.start - (4 if pair.question[: name.start].casefold().endswith("the ") else 0)
                yield join(pair.question[:start] + described + pair.question[name.end :], pair.answer, pair, key)
                break


def _description(pair: QAPair) -> str:
    """What a question asks for, as words that stand for its answer; "" where its form does not tell."""
    if match := _NAMED.fullmatch(pair.question):
        return match["np"]
    match = _SUBJECT.fullmatch(pair.question)
    if match is None:
        return ""
    if match["noun"]:
        return f"the {match['noun']} that {match['verb']} {match['rest']}"
    persons = [name.sort for name in names_in(pair.answer)] in (["name"], ["person"]) and len(pair.answer.split()) > 1
    return f"the person who {match['verb']} {match['rest']}" if persons else ""


def _joined(facts: Sequence[Fact], shelf: Shelf) -> Iterator[Draft | Rejection]:
    """Two short questions about one document, answered by different chunks, asked together."""
    waiting: dict[str, list[Fact]] = defaultdict(list)
    for fact in facts:
        question, answer = _bare(fact), fact.pair.answer
        short = len(question.split()) <= _LONGEST_PART and len(answer.split()) <= _LONGEST_ANSWER
        if not (short and _ASKS.match(question) and question.count("?") == 1 and ";" not in answer):
            yield Rejection("question does not join another", fact.pair.question)
            continue
        held = waiting[fact.pair.document]
        partner = next((one for one in held if _fit(one, fact, shelf)), None)
        if partner is None:
            held.append(fact)
            continue
        held.remove(partner)
        both = f"{_bare(partner).rstrip('?')}, and {_small(question)}"
        if _bare(partner) != partner.pair.question:
            both = f"According to {partner.naming.name}, {_small(both)}"
        yield join(both, f"{partner.pair.answer}; {answer}", partner.pair, fact.pair)


def _bare(fact: Fact) -> str:
    """The question without "according to" its document, where it begins or ends with that."""
    question = fact.naming.before + "\0" + fact.naming.after
    bare = re.sub(r", according to \0\?$", "?", question)
    bare = re.sub(r"^According to \0, ", "", bare)
    return fact.pair.question if "\0" in bare else bare[:1].upper() + bare[1:]


def _small(question: str) -> str:
    return question[:1].lower() + question[1:]


def _fit(first: Fact, second: Fact, shelf: Shelf) -> bool:
    bare = [_bare(fact) != fact.pair.question for fact in (first, second)]
    return (
        bare[0] == bare[1]
        and first.naming.place == second.naming.place
        and first.attribute != second.attribute
        and _opening(first) != _opening(second)
        and bool(_about(first) & _about(second))
        and not _share(first.pair, second.pair, shelf)
    )


def _about(fact: Fact) -> set[str]:
    """What a question speaks of beside its document: two that share nothing of it are not asked in one breath."""
    question = f"{fact.naming.before} {fact.naming.after}"
    return {word for word in align.content_tokens(question) if word.isalpha() and word not in _ASKING}


def _opening(fact: Fact) -> str:
    """What sort of thing is asked: two questions for a time or a place may ask for the same one."""
    question = _bare(fact).casefold()
    return "when" if re.match(r"when|(?:at|on|in)? ?(?:what|which) (?:time|date|year|day)", question) else question


def shared_entities(chunks: Sequence[Chunk], wanted: int, seed: int = 0) -> list[tuple[Chunk, Chunk, str]]:
    """At most ``wanted`` pairs of chunks, each with a rare name that both hold, for a generator to ask about.

    The name (a name, place, organisation, person or code) stands in at most two documents and three chunks, and in
    neither chunk's place line or heading. Pairs across documents come first; documents take turns.
    """
    held: dict[str, list[Chunk]] = defaultdict(list)
    spelled: dict[str, str] = {}
    small = {word for chunk in chunks for word in re.findall(r"\b[a-z]+\b", chunk.text)}
    for chunk in chunks:
        about = " ".join((chunk.context, *chunk.heading)).casefold()
        for name in names_in(chunk.text):
            key = " ".join(name.text.split())
            common = key.casefold() in about or key.casefold() in small
            if common or not _is_entity(chunk.text, name.start, name.end, name.sort):
                continue
            spelled.setdefault(key.casefold(), key)
            if chunk not in held[key.casefold()][-1:]:
                held[key.casefold()].append(chunk)
    rare = []
    for key, members in held.items():
        if 2 <= len(members) <= 3 and len({chunk.document for chunk in members}) <= _MOST_HELD:
            first = members[0]
            second = next((one for one in members[1:] if one.document != first.document), members[1])
            rare.append((first, second, spelled[key]))
    rare.sort(key=lambda one: (one[0].document == one[1].document, content_hash(str(seed), one[2])))
    chosen: list[tuple[Chunk, Chunk, str]] = []
    seen: set[tuple[str, str]] = set()
    used: Counter[str] = Counter()
    while rare and len(chosen) < wanted:
        best = min(range(len(rare)), key=lambda n: (used[rare[n][0].document] + used[rare[n][1].document], n))
        first, second, entity = rare.pop(best)
        if (first.id, second.id) not in seen:
            seen.add((first.id, second.id))
            used.update({first.document, second.document})
            chosen.append((first, second, entity))
    return chosen


def _is_entity(text: str, start: int, end: int, sort: str) -> bool:
    """Whether a name is one of something in the world, not the label of a field or a heading in capitals."""
    name = text[start:end]
    parts = name.split()
    if sort in ("title", "date", "year", "number") or len(name) < _SHORTEST_NAME or "\n" in name:
        return False
    if sort != "name":
        return True
    label = any(word.casefold().strip(".") in WORDS for word in parts)
    if label or (name.isupper() and len(parts) > 1) or len(parts[-1]) == 1 or _MONTH.fullmatch(name):
        return False
    return len(parts) > 1 or bool(re.search(r"[a-z,] $", text[max(0, start - 2) : start]))
