"""Question-answer drafts from any Generator by prompts, from a strong model behind an API to a small local one.

The recipe of Balaguer et al. 2024 (arXiv 2401.08406, section 3.3): a role, the document's metadata and the heading path
as JSON, worked examples, title and text; with answers at once, or questions first and answers from retrieved passages.
Knows nothing of what the model is; what it writes is only a draft until ``ingest.qa.questions`` has checked it.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fieldguide import align
from fieldguide.models.base import Generation, Prompt
from fieldguide.settings import Questions
from fieldguide.types import Chunk, Document, Kind, Level, Retriever, content_hash
from ingest.qa.calls import Calls, Estimate
from ingest.qa.checks import holds, normal_question
from ingest.qa.drafts import Draft, Drafted, Rejection
from ingest.qa.kinds import LEVELS, allot, described, kind_of, level_of, plain_answer
from ingest.qa.passage_answers import (
    ANSWER_TOKENS,
    EXAMPLE,
    Answered,
    answer_questions,
    clean_answer,
    place_quote,
)
from ingest.qa.prompt_files import PromptFiles
from ingest.qa.replies import Item, Pair, ask_until_parsed, find_objects, parse

VERSION = "1"
"""Changes whenever the same replies would become other drafts, and the source's id with it."""

RETRIES = 2
USUAL_LEVELS: tuple[Level, ...] = tuple(level for level in LEVELS if level != "hidden rationale")

_WORDS_A_QUESTION = 14
_FEWEST_LETTERS = 60
_FEWEST_WORDS = 5
_PAIR_TOKENS, _QUESTION_TOKENS, _FRAME_TOKENS = 110, 50, 60
_HOUSEKEEPING = frozenset(
    [
        "title",
        "author",
        "creator",
        "producer",
        "creationdate",
        "moddate",
        "sourcemodified",
        "trapped",
        "company",
        "lang",
    ]
)
_LONGEST_METADATA = 200


@dataclass(frozen=True, slots=True)
class _Asked:
    """A question of a reply, with the kind and level it has turned out to have."""

    question: str
    item: Item
    kind: Kind
    level: Level


class ModelSource:
    """A QuestionSource that prompts a model for questions of wanted kinds, at most ``per_chunk`` for a chunk.

    With ``settings.answers`` "retrieved" it needs a ``retriever``, whose passages answer the questions. ``levels`` are
    those that are asked for: a hidden rationale only where it is named.
    """

    name = "model"
    batch = 8

    def __init__(
        self,
        calls: Calls,
        settings: Questions,
        retriever: Retriever | None = None,
        *,
        levels: Sequence[Level] = USUAL_LEVELS,
        retries: int = RETRIES,
    ) -> None:
        if settings.answers == "retrieved" and retriever is None:
            raise ValueError('questions.answers = "retrieved" needs a retriever')
        self._calls = calls
        self._settings = settings
        self._retriever = retriever if settings.answers == "retrieved" else None
        self._levels = tuple(levels)
        self._retries = retries
        self._prompts = PromptFiles(Path(settings.prompts).expanduser() if settings.prompts else None)
        self._chat = "question_pairs" if self._retriever is None else "question_only"
        self._examples = frozenset(
            normal_question(str(item.get("question", "")))
            for reply in self._prompts.replies(self._chat)
            for item in find_objects(reply)
        )

    @property
    def id(self) -> str:
        names = [self._chat, "question_retry", *(["question_answer"] if self._retriever else [])]
        wanted = json.dumps([sorted(self._settings.mix.items()), self._levels, self._retries])
        retrieved = [self._retriever.index_id, self._retriever.recipe] if self._retriever else []
        decided = content_hash(
            VERSION,
            self._prompts.hash(names),
            wanted,
            str(self._settings.per_chunk),
            str(self._settings.seed),
            *retrieved,
        )
        return f"{self.name}-{self._calls.generator.id}-{decided[:12]}"

    def takes(self, chunk: Chunk) -> bool:
        return not isinstance(self._kinds(chunk), Rejection)

    def draft(self, documents: Mapping[str, Document], chunks: Sequence[Chunk]) -> list[Drafted]:
        """Drafts and rejections for each chunk, in order; chunks that carry no question cost no call."""
        outcome: dict[int, tuple[list[_Asked], list[Rejection]]] = {}
        prompts: dict[int, Prompt] = {}
        for n, chunk in enumerate(chunks):
            kinds = self._kinds(chunk)
            if isinstance(kinds, Rejection):
                outcome[n] = ([], [kinds])
            else:
                prompts[n] = self._prompt(documents[chunk.document], chunk, kinds)
        replies = ask_until_parsed(
            self._calls, list(prompts.values()), self._read, self._prompts.correction,
            max_new_tokens=self._room(), retries=self._retries, seed=self._settings.seed,
        )  # fmt: skip
        for n, reply in zip(prompts, replies, strict=True):
            outcome[n] = ([], [reply]) if isinstance(reply, Rejection) else self._choose(*reply, chunks[n])
        chosen = [outcome[n] for n in range(len(chunks))]
        if self._retriever is not None:
            return self._answer(self._retriever, chosen)
        return [
            (drafts, [*refused, *missing])
            for (found, refused), chunk in zip(chosen, chunks, strict=True)
            for drafts, missing in [_with_answers(found, chunk)]
        ]

    def estimate(self, documents: Mapping[str, Document], chunks: Sequence[Chunk]) -> Estimate:
        """Calls, tokens and money for these chunks if each is asked once and every reply is as long as it may be.

        For answers from retrieved passages as many questions as are asked for are counted, each with passages of the
        chunk's own length.
        """
        kinds = [(chunk, self._kinds(chunk)) for chunk in chunks]
        asked = [(chunk, wanted) for chunk, wanted in kinds if not isinstance(wanted, Rejection)]
        prompts = [self._prompt(documents[chunk.document], chunk, wanted) for chunk, wanted in asked]
        estimate = self._calls.estimate(prompts, self._room())
        if self._retriever is None:
            return estimate
        answering = [
            self._prompts.fill(
                "question_answer",
                passages="\n\n".join([chunk.indexed_text] * self._retriever.k),
                question=f"{kind} {n} of {chunk.id}?",
            )
            for chunk, wanted in asked
            for n, kind in enumerate(wanted)
        ]
        more = self._calls.estimate(answering, ANSWER_TOKENS)
        return Estimate(estimate.calls + more.calls, estimate.tokens + more.tokens, estimate.money + more.money)

    def _kinds(self, chunk: Chunk) -> list[Kind] | Rejection:
        """The kinds to ask of a chunk, or why it is not worth a call."""
        words = {token for token in align.tokens(chunk.text) if any(map(str.isalpha, token))}
        size = letters(chunk.text)
        if size + sum(map(str.isdigit, chunk.text)) < _FEWEST_LETTERS:
            return Rejection("chunk too short to ask about", chunk.text[:80])
        if len(words) < _FEWEST_WORDS and size < _FEWEST_LETTERS:
            return Rejection("chunk holds only numbers", chunk.text[:80])
        count = max(1, min(self._settings.per_chunk, len(chunk.text.split()) // _WORDS_A_QUESTION, self._most()))
        found = allot(chunk, count, self._settings.mix, self._settings.seed)
        return found or Rejection("chunk carries no wanted kind", chunk.text[:80])

    def _most(self) -> int:
        """So many questions fit into half of the model's context."""
        return max(1, (self._calls.context_tokens // 2 - _FRAME_TOKENS) // self._size())

    def _size(self) -> int:
        return _PAIR_TOKENS if self._retriever is None else _QUESTION_TOKENS

    def _room(self) -> int:
        return _FRAME_TOKENS + self._size() * min(self._settings.per_chunk, self._most())

    def _prompt(self, document: Document, chunk: Chunk, kinds: Sequence[Kind]) -> Prompt:
        return self._prompts.fill(
            self._chat,
            metadata=json.dumps(metadata_of(document, chunk), ensure_ascii=False),
            title=document.title,
            about=chunk.context or document.title,
            text=chunk.text,
            count=str(len(kinds)),
            kinds=described(kinds),
            levels=", ".join(self._levels),
        )

    def _read(self, reply: Generation) -> tuple[list[Item], list[Rejection]]:
        schema = Pair if self._retriever is None else Item
        found, faults = parse(reply, schema)
        return [*found], faults

    def _choose(
        self, items: Sequence[Item], faults: Sequence[Rejection], chunk: Chunk
    ) -> tuple[list[_Asked], list[Rejection]]:
        """The questions of a reply that were asked for, at most ``per_chunk``."""
        refused = [*faults]
        chosen: dict[str, _Asked] = {}
        if not items and not faults:
            refused.append(Rejection("the model asks nothing of the chunk", chunk.text[:80]))
        for item in items:
            question = " ".join(item.question.split())
            key = normal_question(question)
            kind = kind_of(item.kind, question, item.answer, chunk.text)
            level = level_of(item.level, kind, bool(align.find_exact(item.answer, chunk.text)))
            if key in self._examples:
                refused.append(Rejection(EXAMPLE, question))
            elif key in chosen:
                refused.append(Rejection("repeats itself", question))
            elif self._settings.mix.get(kind, 1.0) == 0:
                refused.append(Rejection("kind not wanted (questions.mix)", f"{kind}: {question}"))
            elif level not in self._levels:
                refused.append(Rejection("level not wanted", f"{level}: {question}"))
            elif len(chosen) == self._settings.per_chunk:
                refused.append(Rejection("more than questions.per_chunk", question))
            else:
                chosen[key] = _Asked(question, item, kind, level)
        return list(chosen.values()), refused

    def _answer(self, retriever: Retriever, chosen: Sequence[tuple[list[_Asked], list[Rejection]]]) -> list[Drafted]:
        """Answers to the questions of all chunks from passages that the retriever finds."""
        questions = [one.question for asked, _ in chosen for one in asked]
        contexts = retriever.contexts(questions) if questions else []
        passages = [[passage.chunk for passage in context.passages] for context in contexts]
        answers = iter(
            answer_questions(
                self._calls, questions, passages, prompts=self._prompts, retries=self._retries, seed=self._settings.seed
            )
        )
        outcome: list[Drafted] = []
        for asked, refused in chosen:
            drafts: list[Draft] = []
            faults = [*refused]
            for one in asked:
                answer = next(answers)
                if isinstance(answer, Answered):
                    drafts.append(_retrieved(one, answer))
                else:
                    faults.append(answer)
            outcome.append((drafts, faults))
        return outcome


def metadata_of(document: Document, chunk: Chunk) -> dict[str, str | list[str]]:
    """What tells where a chunk stands: title, its context line, its headings, and what the file says of its content."""
    found: dict[str, str | list[str]] = {"title": document.title}
    if chunk.context and chunk.context != document.title:
        found["about"] = chunk.context
    if chunk.heading:
        found["section"] = list(chunk.heading)
    for name, value in document.metadata.items():
        if value.strip() and name.casefold() not in _HOUSEKEEPING:
            found[name.casefold()] = " ".join(value.split())[:_LONGEST_METADATA]
    return found


def letters(text: str) -> int:
    """Letters of a text, those of scripts that write a word in one or two signs counted threefold."""
    return sum(3 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text if c.isalpha())


def _with_answers(asked: Sequence[_Asked], chunk: Chunk) -> Drafted:
    """Drafts with the quote as it stands in the chunk, and why the others are none."""
    drafts: list[Draft] = []
    refused: list[Rejection] = []
    for one in asked:
        answer = plain_answer(one.kind, clean_answer(one.item.answer))
        reason, quote = _quoted(one, answer, chunk.text)
        if reason:
            refused.append(Rejection(reason, f"{one.question} | {answer} | {one.item.quote}"))
        else:
            drafts.append(Draft(one.question, answer, quote, one.kind, one.level))
    return drafts, refused


def _quoted(asked: _Asked, answer: str, text: str) -> tuple[str, str]:
    """("", the words of the text that are said to prove the answer), or (reason, "").

    An answer of several words may stand outside of the quote, and is then proved by its own sentence; one word that
    does not stand in the sentences of its quote ("1", in a date) proves nothing.
    """
    if not answer:
        return "answer is empty", ""
    place = place_quote(asked.item.quote, text)
    if asked.kind == "yes/no":
        return ("", text[slice(*place)]) if place else ("quote not in the chunk", "")
    if place and holds(answer, text[slice(*place)]):
        found = text[slice(*place)]
    else:
        around = [s for s in align.sentences(text) if place and s[0] < place[1] and place[0] < s[1]]
        widened = text[around[0][0] : around[-1][1]] if around else ""
        if widened and holds(answer, widened):
            found = widened
        elif place and len(align.content_tokens(answer)) < 2 and align.find_exact(answer, text):
            return "answer not in its quote", ""
        else:
            found = _sentence_around(answer, text) or asked.item.quote
    return ("answer is a field's label", "") if _is_label(answer, text) else ("", found)


def _is_label(answer: str, text: str) -> bool:
    """Whether the answer stands only before colons, as "Age" does in "Certificate: Age: 41"; not in a table's rows,
    where the name of a column may well be the answer."""
    after = [text[match.end :].partition("\n")[0].lstrip(" ") for match in align.find_exact(answer, text)]
    return bool(after) and all(rest.startswith(":") and " | " not in rest for rest in after)


def _retrieved(asked: _Asked, answer: Answered) -> Draft:
    """Kinds and levels are looked at again, now that the answer is there."""
    kind = kind_of(asked.item.kind, asked.question, answer.answer, answer.quote)
    several = len(answer.evidence) > 1 and asked.level == "explicit fact"
    level = "implicit fact" if several else asked.level
    return Draft(asked.question, plain_answer(kind, answer.answer), answer.quote, kind, level, answer.evidence)


def _sentence_around(answer: str, text: str) -> str:
    places = align.find_exact(answer, text)
    if not places:
        return ""
    around = [s for s in align.sentences(text) if s[0] <= places[0].start < s[1]]
    return text[around[0][0] : around[0][1]] if around else ""
