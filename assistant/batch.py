"""The main flow of batch answering: questions → calls of the assistant → an outcome for each, kept as it comes.

Pure: how questions are answered and where outcomes are kept is passed in. Equal questions are answered once; a question
that fails does not take others with it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from assistant.answer import as_json
from fieldguide.errors import FieldguideError, IntegrityError
from fieldguide.printable import visible
from fieldguide.types import Answer, Document, Progress, Silent

Status = Literal["answered", "not in the documents", "failed"]
GIVE_UP = 20
"""So many questions that fail one after the other are no fault of theirs: the run stops."""
_REASON = 300


@dataclass(frozen=True, slots=True)
class Asked:
    """A question with the name of the filter under which it is asked. ``key`` is a hash of everything that decides its
    answer: two with the same key have the same answer."""

    key: str
    question: str
    filter: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a question came to, in the columns of the file of answers.

    ``citations`` reads 'file.pdf p. 3: "quote"; …' and ``sources`` "file.pdf p. 3; …"; ``unsupported`` holds the
    statements that no passage supports. ``reason`` is why it failed, a sentence, or what else has to be known of an
    answer: from memory, too unsure, contradicted by another document. ``trace`` is JSON: model, adapter, hashes of
    prompt, context and index, tokens, seconds.
    """

    answer: str
    abstained: bool | None
    confidence: float | None
    citations: str
    sources: str
    unsupported: str
    status: Status
    reason: str
    trace: str


def outcome_of(answer: Answer, documents: Mapping[str, Document]) -> Outcome:
    """An answer as cells."""
    plain: dict[str, Any] = as_json(answer, documents)
    cited = [(f"{c['source']} p. {c['page']}", " ".join(visible(str(c["quote"])).split())) for c in plain["citations"]]
    trace = plain["trace"] | {"seconds": {name: round(s, 3) for name, s in plain["trace"]["seconds"].items()}}
    return Outcome(
        answer=plain["text"],
        abstained=plain["abstained"],
        confidence=plain["confidence"],
        citations="; ".join(dict.fromkeys(f'{place}: "{quote}"' for place, quote in cited)),
        sources="; ".join(dict.fromkeys(place for place, _ in cited)),
        unsupported="; ".join(plain["unsupported"]),
        status="not in the documents" if plain["abstained"] else "answered",
        reason=_remark(plain),
        trace=json.dumps(trace, ensure_ascii=False, separators=(",", ":")),
    )


def _remark(answer: Mapping[str, Any]) -> str:
    """What a reader of the sheet has to know of an answer beside its citations."""
    said = []
    if answer["origin"] == "memory":
        said.append("From the model's memory: the documents hold nothing about this.")
    if answer["withheld"]:
        said.append(f"Too unsure to answer (confidence {answer['confidence'] or 0.0:.2f}).")
    said += [
        f'{c["other_source"]} p. {c["other_span"]["page"]} says otherwise: "{visible(c["other"])}"'
        for c in answer["conflicts"]
    ]
    return " ".join(said)


def failed(reason: str) -> Outcome:
    """A question without an answer, and why."""
    return Outcome("", None, None, "", "", "", "failed", reason, "")


def answer_all(
    asked: Sequence[Asked],
    answer: Callable[[Sequence[Asked]], Sequence[Outcome]],
    *,
    kept: Mapping[str, Outcome],
    keep: Callable[[Mapping[str, Outcome]], None],
    size: int,
    progress: Progress | None = None,
) -> dict[str, Outcome]:
    """The outcome of each question, by key: those ``kept`` by an earlier run, and the others asked in calls of at most
    ``size`` questions.

    ``keep`` is told of outcomes as soon as they are there, but not of failures, so that these are asked again another
    time. Where a call fails its halves are asked, down to single questions, and a single one twice. Raises
    FieldguideError when GIVE_UP questions fail one after the other, and IntegrityError at once. ``progress`` hears of
    failures; of answers ``answer`` has to tell it.
    """
    run = _Run(answer, keep, progress if progress is not None else Silent())
    run.found.update({question.key: kept[question.key] for question in asked if question.key in kept})
    for call in calls([question for question in asked if question.key not in kept], size):
        run.ask(call)
    return run.found


def calls(asked: Sequence[Asked], size: int) -> Iterator[list[Asked]]:
    """The questions in groups of at most ``size``, each key once, those under one filter together.

    A question under two filters is in two calls, so that within a call its text tells its filter. The generator sorts a
    call's prompts by length: of 32 questions 4% of what it reads is padding, of all at once 0.1%.
    """
    if size < 1:
        raise ValueError(f"a call has at least 1 question, not {size}")
    order = {name: n for n, name in enumerate(dict.fromkeys(question.filter for question in asked))}
    left = sorted({question.key: question for question in asked}.values(), key=lambda question: order[question.filter])
    while left:
        call: dict[str, Asked] = {}
        later = []
        for n, question in enumerate(left):
            if len(call) == size:
                later += left[n:]
                break
            if question.question in call:
                later.append(question)
            else:
                call[question.question] = question
        yield list(call.values())
        left = later


@dataclass
class _Run:
    """What has been found so far, and how many questions failed since the last that did not."""

    answer: Callable[[Sequence[Asked]], Sequence[Outcome]]
    keep: Callable[[Mapping[str, Outcome]], None]
    progress: Progress
    found: dict[str, Outcome] = field(default_factory=dict)
    failures: int = 0

    def ask(self, call: Sequence[Asked], tries: int = 2) -> None:
        try:
            outcomes = self.answer(call)
        except IntegrityError:
            raise
        except Exception as error:  # whatever a generator raises for one prompt must not cost the others
            if len(call) > 1:
                self.ask(call[: len(call) // 2], 1)
                self.ask(call[len(call) // 2 :], 1)
            elif tries > 1:
                self.ask(call, tries - 1)
            else:
                self._give_up_on(call[0], error)
            return
        made = {question.key: outcome for question, outcome in zip(call, outcomes, strict=True)}
        self.keep(made)
        self.found.update(made)
        self.failures = 0

    def _give_up_on(self, question: Asked, error: Exception) -> None:
        reason = reason_of(error)
        self.found[question.key] = failed(reason)
        self.progress.advance(1, "failed")
        self.failures += 1
        if self.failures == GIVE_UP:
            raise FieldguideError(
                f"Stopped, since {GIVE_UP} questions failed one after the other, the last because: {reason} What was "
                "answered is kept: mend that and run the same command again."
            ) from error


def reason_of(error: Exception) -> str:
    """An error as one line."""
    said = " ".join(str(error).split()) or type(error).__name__
    said = said if len(said) <= _REASON else said[: _REASON - 1] + "…"
    return said if said.endswith((".", "…", "!", "?")) else said + "."
