"""Question-answer drafts by a question adapter: a small model that learned to write them from single sentences.

Prose only: fields and table rows are the rules' work. Knows which sentences are worth asking about and how the adapter
is asked (``fieldguide.prompts.write_prompt``); whether a draft holds is for the checks and the reader to say.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from fieldguide import align
from fieldguide.models.base import Generation, Prompt
from fieldguide.prompts import question_adapter_hash, write_prompt
from fieldguide.settings import Questions
from fieldguide.types import Chunk, Document, Kind, content_hash
from ingest.qa.calls import Calls
from ingest.qa.drafts import Draft, Drafted, Rejection
from ingest.qa.misfits import misfit
from ingest.qa.reader import join_lines, plain
from ingest.qa.rule_anchors import Anchors, find_anchors, self_contained
from ingest.qa.rule_forms import read_form
from ingest.qa.self_contained import PRONOUN, TEXT, not_self_contained

VERSION = "1"
"""Changes whenever sentences are chosen or replies are read in another way, and the source's id with it."""

_MAX_NEW_TOKENS = 60
_TEMPERATURE = 0.8
_LEAST_CONTENT = 5
_MOST_WORDS = 70
_SECOND_DRAFT = 10
_ALIKE = 0.7
_SHORT_CHUNK = 60
_LEANING = re.compile(
    r"(?:(?:However|Also|Then|Therefore|In addition|Additionally|Furthermore|Moreover|As a result),? )?"
    r"(?:he|she|it|they|this|these|those|that|his|her|its|their|both|such|another|one|the (?:former|latter|same))\b",
    re.IGNORECASE,
)
_ITEM = re.compile(r"^\s*(?:\(?(?:\d{1,3}|[a-zA-Z])[.)]\s|\d{1,2}(?:\.\d{1,2})+\s|\d{1,3}\s(?=[A-Z])|[•▪*–—-]\s)\s*")
_BEGINS = re.compile(r"[\"“'(]*[A-Z0-9]")
_ENDS = re.compile(r"(?<! [A-Za-z])[.!][\"'”’)]*$")
_DEBRIS = re.compile(r"\w@\w|[•▪§|_]{2}|[•▪|]|§ [A-Z]|\bo [A-Z]|https?://|www\.|\. ?\. ?\.|\S{40}")
_SMALL_WORD = re.compile(r"\b[a-zà-ÿ]{2,}")


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence of a chunk that a question can be asked about, flat, and how many words of meaning it has."""

    text: str
    content: int
    leans: bool


@dataclass(frozen=True, slots=True)
class _Task:
    """A sentence of the chunk ``number`` of those asked about, and what is shown with it."""

    number: int
    sentence: Sentence
    title: str
    text: str

    @property
    def prompt(self) -> Prompt:
        return write_prompt(self.title, self.text, self.sentence.text)


class AdapterSource:
    """A QuestionSource that writes from each prose sentence of a chunk, at most ``settings.per_chunk`` drafts.

    Greedy first; where room is left, once more from the longest sentences, drawn at a temperature. ``chunks_of``
    gives all chunks of a document, by which names and the text before a chunk are found; without it the chunks asked
    about are taken for all there are.
    """

    name = "adapter"
    batch = 16

    def __init__(
        self,
        calls: Calls,
        adapter: str,
        settings: Questions,
        chunks_of: Callable[[str], Sequence[Chunk]] | None = None,
    ) -> None:
        self._calls = calls
        self._adapter = adapter
        self._per_chunk = settings.per_chunk
        self._seed = settings.seed
        self._chunks_of = chunks_of

    @property
    def id(self) -> str:
        parts = (VERSION, self._calls.generator.id, self._adapter, question_adapter_hash())
        return f"{self.name}-{content_hash(*parts, str(self._per_chunk), str(self._seed))[:12]}"

    def takes(self, chunk: Chunk) -> bool:
        return bool(read_sentences(chunk, None)[0])

    def draft(self, documents: Mapping[str, Document], chunks: Sequence[Chunk]) -> list[Drafted]:
        """Drafts and rejections for each chunk, in order; all sentences of all chunks are asked in one call."""
        shelf = self._shelf(chunks)
        anchors = {name: find_anchors(documents[name], members) for name, members in shelf.items()}
        places = {chunk.id: (members, n) for members in shelf.values() for n, chunk in enumerate(members)}
        outcomes: list[Drafted] = []
        tasks: list[_Task] = []
        for number, chunk in enumerate(chunks):
            members, place = places[chunk.id]
            before = members[place - 1] if place else None
            sentences, rejections = read_sentences(chunk, before)
            chosen = choose_sentences(sentences, self._per_chunk)
            rejections += [Rejection("chunk has enough questions", s.text[:80]) for s in sentences if s not in chosen]
            outcomes.append(([], rejections))
            title = chunk.context or documents[chunk.document].title
            for sentence in chosen:
                task = _Task(number, sentence, title, shown_text(chunk, before, sentence))
                if self._calls.count_tokens(task.prompt) + _MAX_NEW_TOKENS <= self._calls.context_tokens:
                    tasks.append(task)
                else:
                    rejections.append(Rejection("chunk too long for the model", sentence.text[:80]))
        for temperature, asked in ((0.0, tasks), (_TEMPERATURE, self._again(tasks))):
            made = self._calls.ask(
                [task.prompt for task in asked], max_new_tokens=_MAX_NEW_TOKENS, temperature=temperature,
                seed=self._seed, adapter=self._adapter,
            )  # fmt: skip
            for task, generation in zip(asked, made, strict=True):
                chunk = chunks[task.number]
                drafts, rejections = outcomes[task.number]
                one = self._read(task, generation, anchors[chunk.document], " ".join((chunk.context, *chunk.heading)))
                if isinstance(one, Rejection):
                    rejections.append(one)
                elif any(align.tokens(one.question) == align.tokens(other.question) for other in drafts):
                    rejections.append(Rejection("duplicate question", one.question))
                else:
                    drafts.append(one)
        return outcomes

    def _shelf(self, chunks: Sequence[Chunk]) -> dict[str, Sequence[Chunk]]:
        of_document: dict[str, list[Chunk]] = defaultdict(list)
        for chunk in chunks:
            of_document[chunk.document].append(chunk)
        if self._chunks_of is None:
            return dict(of_document)
        return {name: self._chunks_of(name) for name in of_document}

    def _again(self, tasks: Sequence[_Task]) -> list[_Task]:
        """Those of the tasks that are done once more: long sentences, while their chunk has room."""
        room: dict[int, int] = defaultdict(lambda: self._per_chunk)
        for task in tasks:
            room[task.number] -= 1
        chosen = set()
        for place, task in sorted(enumerate(tasks), key=lambda item: -item[1].sentence.content):
            if task.sentence.content >= _SECOND_DRAFT and room[task.number] > 0:
                room[task.number] -= 1
                chosen.add(place)
        return [tasks[place] for place in sorted(chosen)]

    def _read(self, task: _Task, made: Generation, anchors: Anchors, known: str) -> Draft | Rejection:
        """The draft in a reply, with its kind and a question that names what it is about; or why there is none."""
        draft = read_reply(made.text, task.sentence.text) if made.finish == "stop" else None
        if draft is None:
            return Rejection("reply is not an answer and a question", made.text[:200])
        detail = f"{draft.question} | {draft.answer}"
        if reason := misfit(draft.question, draft.answer, draft.quote, f"{task.title}\n{task.text}"):
            return Rejection(reason, detail)
        question = name_subject(draft.question, anchors, known)
        if question is None:
            return Rejection("no name for what the question is about", detail)
        return replace(draft, question=question, kind=question_kind(draft.question, draft.answer))


def read_reply(reply: str, sentence: str) -> Draft | None:
    """The draft in a reply of the form "answer, line break, question"; None if it has another form."""
    lines = [line.strip() for line in reply.strip().split("\n") if line.strip()]
    if len(lines) != 2 or not lines[1].endswith("?"):
        return None
    answer, question = lines[0].rstrip(" .,;:"), lines[1]
    if not answer or answer.endswith("?"):
        return None
    return Draft(question[0].upper() + question[1:], answer, sentence, "fact")


def read_sentences(chunk: Chunk, before: Chunk | None) -> tuple[list[Sentence], list[Rejection]]:
    """The sentences of a chunk's prose that are whole, new and say something, and why the others are not used."""
    text = join_lines(chunk.text)
    earlier = " ".join(before.text.split()) if before is not None else ""
    found: list[Sentence] = []
    rejections: list[Rejection] = []
    for start, end in _prose(chunk.text, text):
        for low, high in align.sentences(text[start:end]):
            flat = " ".join(text[start + low : start + high].split())
            said = _ITEM.sub("", flat)
            content = len(set(align.content_tokens(said)))
            if content < _LEAST_CONTENT or len(_SMALL_WORD.findall(said)) < _LEAST_CONTENT:
                if content > 1:
                    rejections.append(Rejection("sentence says too little", flat[:80]))
            elif _DEBRIS.search(said):
                rejections.append(Rejection("sentence is no plain prose", flat[:80]))
            elif not (_BEGINS.match(said) and _ENDS.search(said)):
                rejections.append(Rejection("sentence is cut", flat[:80]))
            elif len(said.split()) > _MOST_WORDS:
                rejections.append(Rejection("sentence is too long", flat[:80]))
            elif said in earlier:
                rejections.append(Rejection("sentence repeats the chunk before", flat[:80]))
            else:
                found.append(Sentence(said, content, bool(_LEANING.match(said))))
    return found, rejections


def _prose(text: str, joined: str) -> list[tuple[int, int]]:
    """The runs of prose of a text; those that only a line break within a paragraph parts are one."""
    runs: list[tuple[int, int]] = []
    for start, end in read_form(text).prose:
        if runs and "\n" not in joined[runs[-1][1] : start].strip(" ") and not joined[runs[-1][1] : start].strip():
            runs[-1] = (runs[-1][0], end)
        else:
            runs.append((start, end))
    return runs


def choose_sentences(sentences: Sequence[Sentence], most: int) -> list[Sentence]:
    """At most ``most`` sentences in the order of the text: those that say most, none much like one chosen before."""
    chosen: list[tuple[int, set[str]]] = []
    order = sorted(range(len(sentences)), key=lambda n: (-min(sentences[n].content, _SECOND_DRAFT), n))
    for n in order:
        words = set(align.content_tokens(sentences[n].text))
        alike = any(len(words & other) > _ALIKE * min(len(words), len(other)) for _, other in chosen)
        if len(chosen) < most and not alike:
            chosen.append((n, words))
    return [sentences[n] for n in sorted(n for n, _ in chosen)]


def shown_text(chunk: Chunk, before: Chunk | None, sentence: Sentence) -> str:
    """What the adapter reads: the chunk, after the end of the one before where the chunk is short or the sentence
    leans on what was said."""
    text = plain(chunk.text)
    if before is None or not (sentence.leans or len(text.split()) < _SHORT_CHUNK):
        return text
    earlier = plain(before.text)
    tail = earlier[align.sentences(earlier)[-3:][0][0] :] if earlier else ""
    return f"{tail}\n{text}".strip()


def name_subject(question: str, anchors: Anchors, known: str) -> str | None:
    """The question if it can be understood by itself, else with a name of its event or its document; None if neither
    helps. ``known`` names what the document is about (``not_self_contained``).

    A question about what happened is only left as it is if it holds a name or a number: "What was used to clear the
    snow?" reads well and can be asked of a hundred documents.
    """
    reason = not_self_contained(question, "en", known)
    if not reason and (not _PAST.search(question) or _NAMED.search(question)):
        return question
    if reason in (TEXT, PRONOUN):
        return None
    if fitted := self_contained(question, anchors):
        return fitted
    lowered = question if question.split()[0].isupper() else question[0].lower() + question[1:]
    place = next((f"In {name}" for name in anchors.events), "") or next(
        (f"According to {name}" for name in anchors.documents), ""
    )
    return f"{place}, {lowered}" if place else None


_PAST = re.compile(r"\b(?:did|was|were|had)\b|^(?:Who|What) \w+ed\b")
_NAMED = re.compile(r"(?<=[ (“\"])[A-Z]|\d")
_MONTHS = (
    "january|february|march|april|may|june|july|august|september|october|november|december|(?:mon|tues|wednes|thurs|fri"
    "|satur|sun)day"
)
_DATE = re.compile(
    rf"(?i)(?:^|\b)(?:(?:{_MONTHS})\b.*\d|(?:in |by |since |until )?(?:1[5-9]|20)\d\d$|\d{{1,2}}[:/]\d\d)"
)
_KINDS: tuple[tuple[Kind, str], ...] = (
    ("cause", r"why\b|for what reason|what (?:\w+ ){0,2}(?:caused?|causes|led|made|resulted|prompted|reason)\b"),
    ("date", r"when\b|(?:in |on |by |at |since |until )?(?:what|which) (?:\w+ )?(?:year|date|day|month|time|season)\b"),
    ("quantity", r"how (?:many|much|long|far|high|tall|old|deep|wide|big|large|heavy|fast|often|big|close)\b"
                 r"|what (?:\w+ ){0,2}(?:percentage|number|amount|share|proportion|rate|distance|temperature)\b"),
    ("procedure", r"how (?:can|do|does|should|to|must|could|would)\b|what (?:steps?|should|must)\b"),
    ("definition", r"what (?:does .+ (?:mean|stand for)|(?:is|are) (?:an? |the term )?(?:\w+[ -]?){1,3})\?$"),
    ("comparison", r"(?:which|what|who) .*\b(?:more|less|fewer|better|worse|larger|smaller|higher|lower)\b.* than\b"),
    ("yes/no", r"(?:is|are|was|were|do|does|did|has|have|had|can|could|will|would|should|must|may)\b"),
)  # fmt: skip


def question_kind(question: str, answer: str) -> Kind:
    """The kind of a question, by its first words and the shape of its answer."""
    said = question.strip().casefold()
    said = re.sub(r"^(?:according to|in|on|at|for|during) [^,?]{3,120}, ", "", said)
    for kind, pattern in _KINDS:
        if re.match(pattern, said):
            return kind
    if answer.count(",") >= 2 or re.search(r"\w+, .+(?:,| and| or) \w+", answer):
        return "list"
    if _DATE.search(answer) and len(answer.split()) <= 6:
        return "date"
    if (
        re.match(r"(?:about |approximately |nearly |over |\$)?\d[\d,.]*(?:\s*%|\s|$)", answer)
        and len(answer.split()) <= 5
    ):
        return "quantity"
    return "fact"
