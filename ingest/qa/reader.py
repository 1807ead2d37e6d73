"""A reader that answers questions from a passage, and the round trip: does it give the same answer as the pair?

Knows prompts and how to compare answers; where the pairs come from and what becomes of them is not its business.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from fieldguide.metrics import containment, normalise_answer, token_f1
from fieldguide.models.base import Embedder, Message, Prompt
from fieldguide.prompts import fill, load, question_adapter_hash, read_prompt
from fieldguide.settings import Questions
from fieldguide.types import Chunk, content_hash
from ingest.qa.calls import Calls
from ingest.qa.drafts import Draft

OTHERWISE = "the reader answers otherwise"
NO_ANSWER = "the reader finds no answer"
GIVEN_AWAY = "answered without the passage"
TOO_LONG = "passage too long for the reader"

_MAX_NEW_TOKENS = 40
_MAX_ALONE = 24
_REFUSAL = re.compile(r"(?:\w+ ){0,3}not (?:\w+ )?in (?:text|report|passage|document|article|story)\b")
"""``NOT_THERE`` and what models make of it, normalised."""
_BREAK = re.compile(r"[ \t]*\n[ \t]*(?:\n[ \t]*)?")
_ITEM = re.compile(r"\(?(?:\d{1,2}|[a-z])[.)]\s|[•▪*–—-]\s")
_LONG_LINE = 8


@dataclass(frozen=True, slots=True)
class Asked:
    """A question to a reader, and the passage to read: ``document`` names where ``text`` is from. None: no passage."""

    question: str
    document: str
    text: str | None


@dataclass(frozen=True, slots=True)
class RoundTrip:
    """What the reader said and how far it agrees with the pair's answer (0 to 1).

    ``alone`` is the agreement of what it said without the passage, None where it was not asked. ``score`` is None
    where this reader cannot be asked (yes or no of an adapter, which answers with words of the passage). ``reason``
    is "" for a pair that holds.
    """

    said: str
    score: float | None
    alone: float | None
    reason: str

    @property
    def scores(self) -> dict[str, float]:
        """What was found, by name, as a pair records it."""
        named = {"round_trip": self.score, "closed_book": self.alone}
        return {name: round(value, 4) for name, value in named.items() if value is not None}


class Reader:
    """Answers with the words of a passage: by a question adapter (its hash), or by the prompt files reader_*.

    Without a passage it is always the plain model that is asked: an adapter has learned to copy, not to know.
    """

    def __init__(self, calls: Calls, adapter: str | None = None) -> None:
        self.calls = calls
        self.adapter = adapter

    @property
    def id(self) -> str:
        """Name and hash of the model, the adapter and the prompts that it answers with."""
        prompts = (question_adapter_hash(), *(load(f"reader_{name}") for name in ("system", "user", "closed")))
        made = content_hash(self.calls.generator.id, self.adapter or "", *prompts)
        return f"reader-{self.calls.generator.id}-{made[:12]}"

    def prompt(self, asked: Asked) -> Prompt:
        """What the model is shown."""
        if asked.text is None:
            return (Message("user", fill("reader_closed", question=asked.question)),)
        if self.adapter is not None:
            return read_prompt(asked.document, asked.text, asked.question)
        user = fill("reader_user", document=asked.document, text=asked.text, question=asked.question)
        return (Message("system", load("reader_system")), Message("user", user))

    def fits(self, asked: Asked) -> bool:
        """Whether the passage leaves room for an answer."""
        return self.calls.count_tokens(self.prompt(asked)) + _MAX_NEW_TOKENS <= self.calls.context_tokens

    def read(self, asked: Sequence[Asked], *, temperature: float = 0.0, seed: int = 0) -> list[str]:
        """An answer to each, in order; "" where the reader says that the passage does not hold one, or none fits."""
        answers = [""] * len(asked)
        fitting = [n for n, one in enumerate(asked) if self.fits(one)]
        for with_text in (True, False):
            chosen = [n for n in fitting if (asked[n].text is not None) is with_text]
            if not chosen:
                continue
            made = self.calls.ask(
                [self.prompt(asked[n]) for n in chosen],
                max_new_tokens=_MAX_NEW_TOKENS, temperature=temperature, seed=seed,
                adapter=self.adapter if with_text else None,
            )  # fmt: skip
            for n, generation in zip(chosen, made, strict=True):
                answers[n] = _said(generation.text)
        return answers


def _said(reply: str) -> str:
    """The first line of a reply that says anything; "" if that is that the answer is not there."""
    line = next((line for line in map(str.strip, reply.split("\n")) if line), "")
    line = re.sub(r"(?i)^(?:the )?answer(?: is)?\s*:\s*", "", line)
    return "" if _REFUSAL.match(normalise_answer(line)) else line


def join_lines(text: str) -> str:
    """The text, of the same length, with spaces for the line breaks within a paragraph (also of a double-spaced one).

    A line goes on in the next if it ends without a mark and is long, or the next begins small and is no list item.
    """
    pieces, last = [], 0
    for found in _BREAK.finditer(text):
        before, after = text[last : found.start()].rsplit("\n", 1)[-1], text[found.end() : found.end() + 8]
        open_end = bool(before) and before[-1] not in ".!?:;|"
        runs_on = len(before.split()) >= _LONG_LINE or after[:1].islower()
        joined = open_end and runs_on and after[:1].strip() and not _ITEM.match(after)
        pieces += [text[last : found.start()], " " * len(found.group()) if joined else found.group()]
        last = found.end()
    return "".join([*pieces, text[last:]])


def plain(text: str) -> str:
    """The text with one line for a paragraph and single spaces, as question adapters learned to read it."""
    return re.sub(r"[ \t]+", " ", join_lines(text)).strip()


def asked_of(question: str, chunks: Sequence[Chunk], title: str) -> Asked:
    """The question with the chunks that its answer is drawn from, under the place of the first, else ``title``."""
    return Asked(question, chunks[0].context or title, "\n\n".join(plain(chunk.text) for chunk in chunks))


def agreement(said: str, answer: str) -> float:
    """Token F1; 1.0 where one answer stands whole inside the other and is at least a third of its words.

    A reader that says "Chalon (LFLH), France" or "at Chalon" for "Chalon" is right, and F1 alone is hard on it.
    """
    words = sorted(len(normalise_answer(text).split()) for text in (said, answer))
    if words[0] and words[1] <= 3 * words[0] and (containment(said, answer) or containment(answer, said)):
        return 1.0
    return token_f1(said, answer)


def semantic_agreement(embedder: Embedder, pairs: Sequence[tuple[str, str]]) -> list[float]:
    """``agreement`` or the cosine of the two answers' vectors, whichever is more, for each (said, answer).

    Answers with different numbers never gain by their vectors, which hardly see a number.
    """
    found = [agreement(said, answer) for said, answer in pairs]
    close = [n for n, (said, answer) in enumerate(pairs) if said and answer and _numbers(said) == _numbers(answer)]
    if close:
        left, right = (embedder.embed([pairs[n][side] for n in close]) for side in (0, 1))
        for n, cosine in zip(close, (left * right).sum(axis=1), strict=True):
            found[n] = max(found[n], min(float(cosine), 1.0))
    return found


def _numbers(text: str) -> set[str]:
    return set(re.findall(r"\d+(?:[.,]\d+)*", text))


def is_yes_no(answer: str) -> bool:
    return normalise_answer(answer) in ("yes", "no")


def round_trip(
    reader: Reader,
    asked: Sequence[Asked],
    answers: Sequence[str],
    *,
    threshold: float,
    dependency: bool = True,
    embedder: Embedder | None = None,
) -> list[RoundTrip]:
    """Read each passage for its question and compare with the pair's answer ("" for a pair that is unanswerable).

    A pair holds if the agreement reaches ``threshold`` (token F1; with ``embedder`` also by meaning) and, where
    ``dependency`` is asked for, the plain model without the passage does not give the same answer. Without the
    passage nobody is asked about yes or no, which is right half of the time, nor about pairs that fall already.
    """
    found: list[RoundTrip | None] = [None] * len(asked)
    waiting = []
    for n, (one, answer) in enumerate(zip(asked, answers, strict=True)):
        if reader.adapter is not None and is_yes_no(answer):
            found[n] = RoundTrip("", None, None, "")
        elif not reader.fits(one):
            found[n] = RoundTrip("", None, None, TOO_LONG)
        else:
            waiting.append(n)
    said = reader.read([asked[n] for n in waiting])
    compared = [(reply, answers[n]) for n, reply in zip(waiting, said, strict=True)]
    scores = semantic_agreement(embedder, compared) if embedder is not None else [agreement(*c) for c in compared]
    for n, reply, score in zip(waiting, said, scores, strict=True):
        reason = "" if score >= threshold else OTHERWISE if reply else NO_ANSWER
        found[n] = RoundTrip(reply, score, None, reason)
    done = [one for one in found if one is not None]
    if not dependency:
        return done
    left = [n for n, one in enumerate(done) if not one.reason and answers[n] and not is_yes_no(answers[n])]
    for n, reply in zip(left, reader.read([replace(asked[n], text=None) for n in left]), strict=True):
        alone = max(token_f1(reply, answers[n]), containment(reply, answers[n]))
        same = alone >= max(threshold, _SAME) and not containment(asked[n].question, answers[n])
        done[n] = replace(done[n], alone=alone, reason=GIVEN_AWAY if same else "")
    return done


_SAME = 0.8
"""Least agreement of an answer without the passage that counts as the same: a guess shares words by chance."""


def refuse_unread(
    reader: Reader,
    drafts: Sequence[tuple[Draft, Sequence[Chunk], str]],
    settings: Questions,
    embedder: Embedder | None = None,
) -> list[tuple[str, Mapping[str, float]]]:
    """For each draft, with the chunks that hold it and its document's title: why it does not survive the round trip,
    or "", and the scores found on the way ("round_trip" and "closed_book", 0 to 1, where they were asked for).

    With ``settings.round_trip`` 0 nothing is asked, as nothing would fall.
    """
    if not settings.round_trip:
        return [("", {}) for _ in drafts]
    found = round_trip(
        reader,
        [asked_of(draft.question, chunks, title) for draft, chunks, title in drafts],
        [draft.answer if draft.answerable else "" for draft, _, _ in drafts],
        threshold=settings.round_trip, dependency=settings.dependency, embedder=embedder,
    )  # fmt: skip
    return [(one.reason, one.scores) for one in found]
