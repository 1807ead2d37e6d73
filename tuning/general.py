"""What a model still knows beside its field: a small fixed general suite, before and after tuning.

The suite is asked in a neutral prompt (the user's passage and question, no instruction of ours), so that what is
measured is not the answering of questions about documents, which tuning changes on purpose. Every question keeps its
values, so that before and after are compared question by question.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fieldguide.errors import FieldguideError
from fieldguide.metrics import containment, exact_match, token_f1
from fieldguide.models.base import Message, Prompt
from fieldguide.models.transformers_generator import TransformersGenerator
from fieldguide.settings import Tuning
from fieldguide.stats import Interval, mean_interval
from fieldguide.types import Progress, Silent, content_hash
from tuning.distillation import answer_likelihoods

SHIPPED = Path(__file__).parent / "general_suite.jsonl"
"""40 questions, written for this project and in the public domain: reading, knowledge, arithmetic, instructions."""

LEAD = "The answer is"
"""With what the reply is taken to begin where its likelihood is measured."""


@dataclass(frozen=True, slots=True)
class GeneralQuestion:
    """A question with its reference answers (none: the passage does not hold it) and the passage it is about, or ""."""

    id: str
    question: str
    answers: tuple[str, ...]
    context: str = ""
    kind: str = ""

    @property
    def cluster(self) -> str:
        """Questions about one passage succeed and fail together."""
        return content_hash("passage", self.context) if self.context else content_hash("question", self.id)


@dataclass(frozen=True, slots=True)
class General:
    """One measurement, of "f1", "containment", "em" (higher is better) and "loss" (lower is better; see ``losses``).

    ``values[metric][i]`` and ``replies[i]`` belong to ``questions[i]``. ``suite`` is the hash of these; ``left_out``
    counts by reason what was not asked; ``seconds`` is what it took.
    """

    adapter: str | None
    suite: str
    questions: tuple[GeneralQuestion, ...]
    values: Mapping[str, tuple[float, ...]]
    replies: tuple[str, ...]
    left_out: Mapping[str, int]
    seconds: float

    @property
    def intervals(self) -> dict[str, Interval]:
        """Mean and 95% interval of each metric, over further passages."""
        clusters = [question.cluster for question in self.questions]
        return {name: mean_interval(values, seed=0, clusters=clusters) for name, values in self.values.items()}

    def row(self) -> dict[str, Any]:
        """As JSON for a manifest: intervals by metric, the values that they are made of, and what was left out."""
        return {
            "adapter": self.adapter,
            "suite": self.suite,
            "metrics": {name: asdict(interval) for name, interval in self.intervals.items()},
            "values": {name: [round(v, 4) for v in values] for name, values in self.values.items()},
            "questions": [question.id for question in self.questions],
            "left_out": dict(self.left_out),
            "seconds": round(self.seconds, 1),
        }


def read_suite(path: Path | None = None) -> list[GeneralQuestion]:
    """The questions of a file (None: the shipped suite): SQuAD's JSON, or JSON lines with question, answer (a text or a
    list of texts) and optionally context, id and kind.

    SQuAD's impossible questions are kept, without answers; ``draw`` and ``measure`` leave them out and count them.
    Raises FieldguideError if the file cannot be read as either, has no question, or has two of the same id.
    """
    path = SHIPPED if path is None else path
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise FieldguideError(
            f"The general suite {path} cannot be read ({error}); mend it, or its name in the settings."
        ) from error
    found = _squad(text, path) if path.suffix.lower() == ".json" else _lines(text, path)
    if not found:
        raise FieldguideError(f"The general suite {path} holds no question; mend it, or leave the setting empty.")
    seen: set[str] = set()
    for question in found:
        if question.id in seen:
            raise FieldguideError(
                f"The general suite {path} has two questions with the id {question.id!r}; rename one."
            )
        seen.add(question.id)
    return found


def draw(suite: Sequence[GeneralQuestion], n: int, seed: int) -> list[GeneralQuestion]:
    """At most ``n`` of the questions that have an answer, drawn by seed, in the order of the suite.

    The draw goes by the questions' ids: it does not depend on their order.
    """
    order = sorted((q for q in suite if q.answers), key=lambda q: content_hash(str(seed), q.id))
    chosen = {question.id for question in order[:n]}
    return [question for question in suite if question.id in chosen]


def suite_of(settings: Tuning) -> list[GeneralQuestion]:
    """The questions by which these settings measure forgetting: those drawn of their suite, if any are asked."""
    path = Path(settings.general).expanduser() if settings.general else None
    return draw(read_suite(path), settings.general_questions, settings.seed) if settings.general_questions else []


def suite_hash(suite: Iterable[GeneralQuestion]) -> str:
    """Hash of the questions, their answers and passages, in their order: measurements with equal ones can be paired."""
    return content_hash(*(part for q in suite for part in (q.id, q.question, q.context, *q.answers)))


def neutral_prompt(question: GeneralQuestion) -> Prompt:
    """The passage, if there is one, and the question, as one message of a user and without a word of ours."""
    return (Message("user", f"{question.context}\n\n{question.question}" if question.context else question.question),)


def losses(
    generator: TransformersGenerator,
    suite: Sequence[GeneralQuestion],
    adapter: str | None,
    progress: Progress | None = None,
) -> list[float]:
    """Negative log-likelihood of each question's first reference answer after ``LEAD``, mean over its tokens; inf if it
    does not fit the model's window. Teacher-forced, so cheap, and less noisy than what the model writes.

    Without the lead, the loss would say how the model likes to begin and to end its replies: an adapter tuned on short
    answers makes it fall steeply while it forgets the answers themselves (docs/forgetting.md).
    """
    prompts = [neutral_prompt(question) for question in suite]
    answers = [question.answers[0] for question in suite]
    return [-value for value in answer_likelihoods(generator, prompts, answers, progress, adapter, LEAD)]


def measure(
    generator: TransformersGenerator,
    adapter: str | None,
    suite: Sequence[GeneralQuestion],
    max_new_tokens: int,
    progress: Progress | None = None,
) -> General:
    """Ask every question with this adapter on (None: the base model), greedily, and take the references' likelihood.

    Questions without an answer, and those that do not fit the model's window with ``max_new_tokens`` and the
    reference, are left out and counted. Raises FieldguideError if none is left, ModelError for an unknown adapter.
    """
    progress = progress or Silent()
    began = time.perf_counter()
    asked, left_out = _that_fit(generator, suite, max_new_tokens)
    if not asked:
        raise FieldguideError(
            f"None of the general suite's {len(suite)} questions has an answer and fits the model's "
            f"{generator.context_tokens} tokens; use shorter passages in tuning.general."
        )
    progress.start("general suite: likelihoods", len(asked))
    found = losses(generator, asked, adapter, progress)
    progress.start("general suite: answers", len(asked))
    before, generator.on_batch = generator.on_batch, progress.advance
    try:
        made = generator.generate(
            [neutral_prompt(question) for question in asked], max_new_tokens=max_new_tokens, adapter=adapter
        )
    finally:
        generator.on_batch = before
    replies = tuple(generation.text.strip() for generation in made)
    scored = list(zip(replies, (question.answers for question in asked), strict=True))
    values = {
        "f1": tuple(token_f1(reply, answers) for reply, answers in scored),
        "containment": tuple(containment(reply, answers) for reply, answers in scored),
        "em": tuple(exact_match(reply, answers) for reply, answers in scored),
        "loss": tuple(found),
    }
    return General(
        adapter, suite_hash(asked), tuple(asked), values, replies, left_out, time.perf_counter() - began
    )  # fmt: skip


def change(before: General, after: General) -> dict[str, Interval]:
    """After minus before of each metric, with its paired interval.

    Raises ValueError if they asked different questions.
    """
    if before.suite != after.suite:
        raise ValueError("the two measurements asked different questions and cannot be paired")
    clusters = [question.cluster for question in before.questions]
    return {
        name: mean_interval([b - a for a, b in zip(values, after.values[name], strict=True)], seed=0, clusters=clusters)
        for name, values in before.values.items()
    }


def forgetting(before: General, after: General) -> dict[str, Any]:
    """What an adapter's manifest holds under "general": before, after, and their paired change."""
    rows = {name: asdict(interval) for name, interval in change(before, after).items()}
    return {"before": before.row(), "after": after.row(), "change": rows}


def _that_fit(
    generator: TransformersGenerator, suite: Sequence[GeneralQuestion], max_new_tokens: int
) -> tuple[list[GeneralQuestion], dict[str, int]]:
    asked, left_out = [], {"without an answer": 0, "too long": 0}
    for question in suite:
        if not question.answers:
            left_out["without an answer"] += 1
            continue
        answer = max(max_new_tokens, len(generator.completion_ids(f"{LEAD} {question.answers[0]}")))
        if generator.count_tokens(neutral_prompt(question)) + answer > generator.context_tokens:
            left_out["too long"] += 1
        else:
            asked.append(question)
    return asked, {reason: n for reason, n in left_out.items() if n}


def _squad(text: str, path: Path) -> list[GeneralQuestion]:
    found = []
    try:
        for article in json.loads(text)["data"]:
            for paragraph in article["paragraphs"]:
                for asked in paragraph["qas"]:
                    answers = [] if asked.get("is_impossible") else [str(a["text"]).strip() for a in asked["answers"]]
                    question, context = str(asked["question"]).strip(), str(paragraph["context"]).strip()
                    unique = tuple(dict.fromkeys(filter(None, answers)))
                    found.append(GeneralQuestion(str(asked["id"]), question, unique, context, "reading"))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise FieldguideError(
            f"The general suite {path} is not in SQuAD's form, data → paragraphs → qas → answers "
            f"({type(error).__name__}: {error}); for JSON lines, name it .jsonl."
        ) from error
    return found


def _lines(text: str, path: Path) -> list[GeneralQuestion]:
    found = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            found.append(_line(json.loads(line), number))
        except (ValueError, TypeError) as error:
            raise FieldguideError(
                f"Line {number} of the general suite {path} is not a question ({error}); each line is a JSON object "
                "with question, answer and, if it is about one, its passage as context."
            ) from error
    return found


def _line(row: Any, number: int) -> GeneralQuestion:
    """Raises ValueError or TypeError for what is not a question with an answer."""
    if not isinstance(row, dict):
        raise ValueError("not an object")
    texts = {name: row.get(name, "") for name in ("question", "context", "kind")}
    answers = row.get("answer", "")
    several = [answers] if isinstance(answers, str) else answers
    if not isinstance(several, list) or not all(isinstance(t, str) for t in (*texts.values(), *several)):
        raise ValueError("question, answer and context are texts")
    unique = tuple(dict.fromkeys(answer.strip() for answer in several if answer.strip()))
    if not texts["question"].strip() or not unique:
        raise ValueError("its question or its answer is missing or empty")
    return GeneralQuestion(
        str(row.get("id", number)), texts["question"].strip(), unique, texts["context"].strip(), texts["kind"]
    )
