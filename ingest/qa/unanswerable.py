"""Questions that the documents do not answer, made from pairs that they do answer.

Either a name, code, date, year or number of the question is swapped with one of the same sort, from elsewhere in the
corpus or near it, so that no document holds everything that the question names; or the question stays and its document
is taken away. Both are checked by retrieval, and by a reader where one is given. Knows nothing of how passages are
found: a ``Retriever`` is given.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from fieldguide import align
from fieldguide.types import Chunk, QAPair, Retriever, content_hash
from ingest.qa.drafts import Draft, Drafted, Rejection
from ingest.qa.names import Name, names_in, usable

Read = Callable[[Sequence[tuple[str, str]]], Sequence[str]]
"""Answers to (question, passage's text) pairs, "" where the passage does not hold one."""

GOLD_REMOVED = "gold removed"
"""Score (1) of a draft that cannot be answered only where its own document is not there to be read."""

_PASSAGES = 10
_READ = 3  # of the passages that hold what was swapped in, the best are read
_LONGEST = 40
_PLACE = re.compile(r"[A-Z][a-z]+(?: [A-Z][a-z]+)?, [A-Z]{2}")
_SWAPPED = frozenset({"place", "organisation", "person", "code", "date", "year", "name"})
_VARIED = frozenset({"code", "date", "year"})
_ASKING = frozenset({"many", "much", "according", "given", "listed", "recorded"})
_WANTS: tuple[tuple[re.Pattern[str], re.Pattern[str]], ...] = (
    (re.compile(r"\b(?:how (?:many|much|old|long|wide|high|deep|far|fast|large)|what (?:number|amount|percentage))\b"),
     re.compile(r"\d|\b(?:one|two|three|four|five|six|seven|eight|nine|ten|dozen|hundred|thousand|million|half)\b")),
    (re.compile(r"\b(?:when|(?:what|which) (?:date|year|day|month|time))\b"),
     re.compile(r"\d|\b(?:January|February|March|April|May|June|July|August|September|October|November|December)\b")),
    (re.compile(r"\b(?:who|whom|whose)\b"), re.compile(r"[A-Z]\w+|\b(?:he|she|they|pilot|owner|staff|team)\b")),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Corpus:
    """Which documents hold a word, and each document's text as one line of words."""

    holders: Mapping[str, frozenset[str]]
    lines: Mapping[str, str]

    def holding(self, names: Sequence[str]) -> set[str]:
        """The documents that hold every one of the names, however cased and spaced; a place also without its state."""
        found = set(self.lines)
        for name in names:
            wanted = align.tokens(name)
            for word in wanted:
                found &= self.holders.get(word, frozenset())
            phrase = f" {' '.join(wanted)} "
            found = {document for document in found if phrase in self.lines[document]}
        return found


def unanswerable(
    pairs: Sequence[QAPair],
    chunks: Mapping[str, Chunk],
    retriever: Retriever,
    wanted: int,
    seed: int = 0,
    read: Read | None = None,
) -> Drafted:
    """At most ``wanted`` drafts without an answer, one for a pair, documents in turn, and what was refused and why.

    A swapped question is kept if no document holds all names, codes, dates and numbers of it; if no passage retrieved
    for it (of ``_PASSAGES``) holds them together with something of the asked sort, the document's name for a passage
    counting as held; and if the reader finds no answer in the passages that hold what was swapped in. The evidence is
    that of the pair it was made from: the place that it resembles.
    """
    corpus = _read(chunks)
    pool = _Pool(pairs, chunks)
    tried: list[tuple[QAPair, str, Name, str]] = []
    rejections: list[Rejection] = []
    seen = {pair.question for pair in pairs}
    used: Counter[str] = Counter()
    for pair in _in_turn(usable(pairs, chunks), seed):
        if len(tried) >= 2 * wanted:
            break
        reason = "nothing in the question to swap"
        for name, other in pool.swaps(pair, seed, used):
            question = pair.question[: name.start] + other + pair.question[name.end :]
            named = [one.text for one in names_in(question)]
            if question in seen or len(question.split()) > _LONGEST:
                reason = "duplicate question"
            elif corpus.holding(named):
                reason = "a document holds all that it names"
            elif name.sort not in _VARIED and not corpus.holding([other]):
                reason = "no document holds what was swapped in"  # another spelling of what one holds
            else:
                seen.add(question)
                used[name.sort] += 1
                tried.append((pair, question, name, other))
                break
        else:
            rejections.append(Rejection(reason, pair.question))
    ranked = retriever.retrieve([question for _, question, _, _ in tried], _PASSAGES) if tried else []
    open_ones: list[tuple[QAPair, str, list[str]]] = []
    for (pair, question, _, other), found in zip(tried, ranked, strict=True):
        reason, near = _answered(question, other, [one.chunk for one in found], corpus)
        if reason:
            rejections.append(Rejection(reason, question))
        else:
            open_ones.append((pair, question, near[:_READ]))
    drafts: list[Draft] = []
    while open_ones and len(drafts) < wanted:
        part, open_ones = open_ones[: wanted - len(drafts)], open_ones[wanted - len(drafts) :]
        told = _told([(question, near) for _, question, near in part], read)
        for (pair, question, _), answered in zip(part, told, strict=True):
            if answered:
                rejections.append(Rejection("a reader finds an answer", question))
            else:
                drafts.append(_draft(pair, question))
    return drafts, rejections


def _told(asked: Sequence[tuple[str, Sequence[str]]], read: Read | None) -> list[bool]:
    """Whether the reader finds an answer to each question in one of its passages; all are read in one go."""
    rows = [(question, text) for question, near in asked for text in near]
    said = iter(read(rows) if read is not None and rows else [""] * len(rows))
    answered = [[bool(next(said)) for _ in near] for _, near in asked]
    return [any(found) for found in answered]


def gold_removed(
    pairs: Sequence[QAPair],
    chunks: Mapping[str, Chunk],
    retriever: Retriever,
    wanted: int,
    seed: int = 0,
    read: Read | None = None,
) -> Drafted:
    """At most ``wanted`` drafts whose question is a pair's own, to be asked of a corpus without the pair's document.

    Kept if the question names something that stands in its own document only, and if none of the passages retrieved
    from other documents holds the pair's answer with half of the question's words, nor gives the reader an answer.
    Whoever trains on them must leave out passages of ``evidence[0].document``; ``scores`` marks them.
    """
    corpus = _read(chunks)
    rejections: list[Rejection] = []
    tried: list[QAPair] = []
    for pair in _in_turn(usable(pairs, chunks), seed):
        if len(tried) >= 2 * wanted:
            break
        named = [name.text for name in names_in(pair.question)]
        if not named:
            rejections.append(Rejection("no name in the question", pair.question))
        elif corpus.holding(named) - {pair.document}:
            rejections.append(Rejection("another document holds all that it names", pair.question))
        else:
            tried.append(pair)
    drafts: list[Draft] = []
    ranked = retriever.retrieve([pair.question for pair in tried], 2 * _PASSAGES) if tried else []
    for pair, found in zip(tried, ranked, strict=True):
        if len(drafts) == wanted:
            break
        others = [one.chunk for one in found if one.chunk.document != pair.document][:_PASSAGES]
        asked = set(align.content_tokens(pair.question))
        told = [
            chunk
            for chunk in others
            if align.find_exact(pair.answer, chunk.text)
            and 2 * len(asked & set(align.tokens(chunk.indexed_text))) >= len(asked)
        ]
        if told:
            rejections.append(Rejection("a passage of another document holds the answer", pair.question))
        elif read is not None and any(read([(pair.question, chunk.indexed_text) for chunk in others])):
            rejections.append(Rejection("a reader finds an answer", pair.question))
        else:
            drafts.append(_draft(pair, pair.question, {GOLD_REMOVED: 1.0}))
    return drafts, rejections


def _draft(pair: QAPair, question: str, scores: Mapping[str, float] | None = None) -> Draft:
    return Draft(
        question, "", pair.evidence[0].quote, "unanswerable", evidence=pair.evidence, answerable=False,
        scores=scores or {},
    )  # fmt: skip


def _read(chunks: Mapping[str, Chunk]) -> _Corpus:
    words: dict[str, list[str]] = defaultdict(list)
    for chunk in chunks.values():
        words[chunk.document] += align.tokens(chunk.indexed_text)
    holders: dict[str, set[str]] = defaultdict(set)
    for document, held in words.items():
        for word in set(held):
            holders[word].add(document)
    lines = {document: f" {' '.join(held)} " for document, held in words.items()}
    return _Corpus({word: frozenset(held) for word, held in holders.items()}, lines)


def _in_turn(pairs: Sequence[QAPair], seed: int) -> Iterator[QAPair]:
    """Pairs in an order drawn from the seed, documents in turn."""
    members: dict[str, list[QAPair]] = defaultdict(list)
    for pair in sorted(pairs, key=lambda one: content_hash(str(seed), one.id)):
        members[pair.document].append(pair)
    for turn in range(max(map(len, members.values()), default=0)):
        yield from (held[turn] for held in members.values() if turn < len(held))


class _Pool:
    """What can stand in a question instead of a name: names of the same sort and build, best first."""

    def __init__(self, pairs: Sequence[QAPair], chunks: Mapping[str, Chunk]) -> None:
        held: Counter[tuple[str, str]] = Counter()
        self._beside: dict[tuple[str, str, str], set[str]] = defaultdict(set)
        for pair in pairs:
            for name in names_in(pair.question):
                cut = re.search(r"[A-Z][\w’'-]* $", pair.question[: name.start])
                held[name.sort, name.text] += not (name.sort == "organisation" and cut)
                self._beside[_around(pair.question, name)].add(name.text)
        for chunk in chunks.values():
            for name in names_in(chunk.text):
                written = name.sort == "person" or _PLACE.fullmatch(name.text)
                if written and "\n" not in name.text:
                    held[name.sort, name.text] += 1
        self._of_sort: dict[str, list[str]] = defaultdict(list)
        for sort, text in sorted(key for key, count in held.items() if count):
            self._of_sort[sort].append(text)

    def swaps(self, pair: QAPair, seed: int, used: Counter[str]) -> Iterator[tuple[Name, str]]:
        """Each name of the question, rarely ``used`` sorts first, with what it can be swapped for, at most ten."""
        names = [name for name in names_in(pair.question) if name.sort in _SWAPPED]
        order = sorted(names, key=lambda name: (used[name.sort], content_hash(str(seed), pair.id, name.text)))
        for name in order:
            if name.sort == "year":
                others = [] if sum(one.sort == "year" for one in names) > 1 else _years(name.text, seed, pair.id)
            elif name.sort == "date":
                others = [_other_year(name.text, seed, pair.id)]
            elif name.sort == "code":
                others = [_other_code(name.text, seed, pair.id)]
            elif name.sort == "name":
                others = sorted(self._beside[_around(pair.question, name)])
            else:
                others = self._of_sort[name.sort]
            drawn = sorted(others, key=lambda text: content_hash(str(seed), pair.id, text))
            fitting = [text for text in drawn if text and _fits(text, name.text, pair.question)]
            yield from ((name, text) for text in fitting[:10])


def _around(question: str, name: Name) -> tuple[str, str, str]:
    """The sort of a name, the four words before and the three behind it: what can stand there is of one kind."""
    before, after = question[: name.start].casefold().split(), question[name.end :].casefold().split()
    return name.sort, " ".join(before[-4:]), " ".join(after[:3])


def _fits(text: str, name: str, question: str) -> bool:
    """Whether a name is another one, with no word but a short one ("of", a state's code) in common, and is written
    the same way as regards capitals."""
    shared = {word for word in align.tokens(text) if len(word) > 3} & set(align.tokens(name))
    return not shared and text not in question and text != name and text.isupper() == name.isupper()


def _years(year: str, seed: int, key: str) -> list[str]:
    draw = int(content_hash(str(seed), key, year)[:8], 16)
    steps = (1, -1, 2, -2, 3, -3)
    return [str(int(year) + steps[(draw + n) % len(steps)]) for n in range(len(steps))][:4]


def _other_year(date: str, seed: int, key: str) -> str:
    """The same day of another year near it; "" for a date without a year."""
    match = re.search(r"(?:18|19|20)\d\d", date)
    if match is None:
        return ""
    return date[: match.start()] + _years(match.group(), seed, key)[0] + date[match.end() :]


def _other_code(code: str, seed: int, key: str) -> str:
    """The code with its last two digits changed, so that it keeps its build; "" if it has fewer than three digits."""
    digits = [n for n, character in enumerate(code) if character.isdigit()]
    if len(digits) < 3:
        return ""
    draw = int(content_hash(str(seed), key, code)[:8], 16)
    characters = list(code)
    for place, n in enumerate(digits[-2:]):
        characters[n] = str((int(characters[n]) + 1 + (draw >> (4 * place)) % 9) % 10)
    return "".join(characters)


def _answered(question: str, other: str, passages: Sequence[Chunk], corpus: _Corpus) -> tuple[str, list[str]]:
    """Why a passage may answer the question, "" if none does; and the passages that hold what was swapped in."""
    named = [one.text for one in names_in(question)]
    holding = corpus.holding(named)
    wants = next((held for asks, held in _WANTS if asks.search(question.casefold())), None)
    asked = set(align.content_tokens(question)) - {word for name in named for word in align.tokens(name)} - _ASKING
    swapped_in = []
    for chunk in passages:
        text = chunk.indexed_text
        words = set(align.tokens(text))
        if chunk.document in holding and (wants is None or wants.search(chunk.text)):
            return "a passage may answer it", []
        if set(align.tokens(other)) <= words:
            swapped_in.append(text)
            if asked and asked <= words and (wants is None or wants.search(chunk.text)):
                return "a passage on what was swapped in may answer it", []
    return "", swapped_in
