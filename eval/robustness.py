"""How much answers depend on what should not matter: wording, order, place of the right passage, and on memory.

The same questions are asked of the base and of the tuned model as they are served, reworded, over shuffled passages,
with the right passage at every place among hard negatives, and over passages in which the answer was changed: a model
that reads follows the passage, one that does not repeats what it remembers (arXiv 2411.02688, "context-awareness").
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np

from eval.answering import Answering, Asked
from eval.context_choice import with_gold_at
from eval.dev_questions import DevQuestion, Switchable
from fieldguide import align
from fieldguide.metrics import containment, normalise_answer, token_f1
from fieldguide.settings import Compare, Retrieval
from fieldguide.stats import Floats, mean_interval, paired_difference
from fieldguide.types import Chunk, Context, Progress, ScoredChunk, content_hash

SERVED = "as served"
PLACE = "right passage at place "
COUNTERFACTUAL = "answer changed in the passage"
_SPARE = 10  # candidates beyond k, of which some hold the answer
_DIGIT = re.compile(r"\d")


@dataclass(frozen=True, slots=True)
class Condition:
    """One way to ask: for each question what is asked and shown, None where it cannot be made; and the references."""

    name: str
    asked: tuple[Asked | None, ...]
    references: tuple[Sequence[str], ...]


def rewordings() -> Mapping[str, Callable[[str], str]]:
    """Ways to say the same that need no model: name → rewording."""
    return {
        "polite": lambda q: f"Could you please tell me: {q[:1].lower()}{q[1:]}",
        "hurried": lambda q: q.lower().rstrip("?").replace("what is", "whats").strip(),
        "mistyped": _mistyped,
    }


def conditions(
    questions: Sequence[DevQuestion], retriever: Switchable, retrieval: Retrieval, k: int, seed: int
) -> list[Condition]:
    """All ways to ask. ``k`` is the number of passages around the right one; with 1 there is only one place."""
    plain = retriever.using(retrieval.model_copy(update={"k": k, "order": "rank", "neighbours": 0}))
    texts = [question.asked.question for question in questions]
    truth = tuple(question.asked.answers for question in questions)
    served = retriever.contexts(texts)
    out = [Condition(SERVED, tuple(zip(texts, served, strict=True)), truth)]
    for name, reword in rewordings().items():
        worded = [reword(text) for text in texts]
        out.append(Condition(f"reworded: {name}", tuple(zip(worded, retriever.contexts(worded), strict=True)), truth))
    shuffled = [_shuffled(context, content_hash(str(seed), q)) for context, q in zip(served, texts, strict=True)]
    out.append(Condition("passages shuffled", tuple(zip(texts, shuffled, strict=True)), truth))
    found = plain.retrieve(texts, k + _SPARE)
    hard = [_negatives(q, ranked, k - 1) for q, ranked in zip(questions, found, strict=True)]
    for place in range(k):
        asked = [_around(plain, q, given, place, k) for q, given in zip(questions, hard, strict=True)]
        out.append(Condition(f"{PLACE}{place + 1}", tuple(asked), truth))
    changed = [
        _changed(plain, q, given, n, questions, k) for n, (q, given) in enumerate(zip(questions, hard, strict=True))
    ]
    out.append(Condition(
        COUNTERFACTUAL, tuple(one[0] if one else None for one in changed),
        tuple((one[1],) if one else ("",) for one in changed),
    ))  # fmt: skip
    return out


def robustness(
    questions: Sequence[DevQuestion],
    *,
    retriever: Switchable,
    retrieval: Retrieval,
    models: Mapping[str, Answering],
    compare: Compare,
    k: int,
    progress: Progress,
) -> dict[str, Any]:
    """Token F1 under every condition for each of the ``models`` (name → answering), against as served.

    ``conditions``: rows {model, condition, mean, low, high, n, difference, same}, where ``same`` is the share of
    questions that are as right or wrong as when served. ``places``: the same of the places, for a plot.
    ``counterfactual``: for each model the shares of answers that follow the changed passage, that repeat the old answer
    though it stands nowhere, and others. Raises IntegrityError if weights or adapter moved.
    """
    made = conditions(questions, retriever, retrieval, k, compare.seed)
    total = sum(one is not None for condition in made for one in condition.asked) * len(models)
    progress.start("answers under conditions", total)
    clusters = [question.cluster for question in questions]
    rows: list[dict[str, Any]] = []
    followed: list[dict[str, Any]] = []
    for name, answering in models.items():
        served: Floats | None = None
        for condition in made:
            texts = _texts(condition, answering, lambda n, name=name: progress.advance(n, note=name))  # type: ignore[misc]
            if condition.name == COUNTERFACTUAL:
                followed.append({"model": name} | _followed(condition, texts, questions, clusters, compare))
                continue
            values = np.array([
                np.nan if text is None else token_f1(text, references)
                for text, references in zip(texts, condition.references, strict=True)
            ])  # fmt: skip
            served = values if served is None else served
            rows.append({"model": name, "condition": condition.name} | _against(values, served, clusters, compare))
        answering.check()
    return {
        "questions": len(questions), "k": k, "metric": "token_f1",
        "conditions": [row for row in rows if not row["condition"].startswith(PLACE)],
        "places": [
            row | {"place": int(row["condition"].removeprefix(PLACE))}
            for row in rows
            if row["condition"].startswith(PLACE)
        ],
        "counterfactual": followed,
    }  # fmt: skip


def _texts(condition: Condition, answering: Answering, done: Callable[[int], None]) -> list[str | None]:
    asked = [one for one in condition.asked if one is not None]
    texts = iter([answer["text"] for answer in answering.answers(asked, done)])
    return [None if one is None else next(texts) for one in condition.asked]


def _against(values: Floats, served: Floats, clusters: Sequence[str], compare: Compare) -> dict[str, Any]:
    """Mean and interval, and the difference to ``served`` over the questions that have both."""
    here = np.flatnonzero(~np.isnan(values)).tolist()
    if not here:
        return {"mean": None, "low": None, "high": None, "n": 0, "difference": None, "same": None}
    inside = [clusters[n] for n in here]
    options: dict[str, Any] = {"seed": compare.seed, "samples": compare.samples, "clusters": inside}
    gap = paired_difference(values[here], served[here], **options)
    same = float(((values[here] >= 0.5) == (served[here] >= 0.5)).mean())
    return asdict(mean_interval(values[here], **options)) | {
        "difference": asdict(gap) | {"clear": gap.clear}, "same": same,
    }  # fmt: skip


def _followed(
    condition: Condition, texts: Sequence[str | None], questions: Sequence[DevQuestion], clusters: Sequence[str],
    compare: Compare,
) -> dict[str, Any]:  # fmt: skip
    """Shares of answers by what they say: the passage's changed answer, the true one, something else."""
    kinds: list[Literal["follows", "remembers", "other"]] = []
    inside: list[str] = []
    for text, (changed, *_), question, cluster in zip(texts, condition.references, questions, clusters, strict=True):
        if text is None:
            continue
        new, old = (
            max(containment(text, said), token_f1(text, said)) for said in (changed, question.asked.answers)
        )  # fmt: skip
        kinds.append("other" if max(new, old) < 0.5 or new == old else "follows" if new > old else "remembers")
        inside.append(cluster)
    out: dict[str, Any] = {"n": len(kinds)}
    for kind in ("follows", "remembers", "other"):
        values = [float(one == kind) for one in kinds]
        found = mean_interval(values, seed=compare.seed, samples=compare.samples, clusters=inside) if values else None
        out[kind] = asdict(found) if found is not None else None
    return out


def _mistyped(question: str) -> str:
    """Two letters of the longest word change places."""
    word = max(re.findall(r"[A-Za-z]+", question), key=len, default="")
    if len(word) < 4:
        return question
    at = len(word) // 2
    return question.replace(word, word[: at - 1] + word[at] + word[at - 1] + word[at + 1 :], 1)


def _shuffled(context: Context, seed: str) -> Context:
    passages = list(context.passages)
    random.Random(seed).shuffle(passages)
    return Context(tuple(passages), "shuffled")


def _negatives(question: DevQuestion, ranked: Sequence[ScoredChunk], wanted: int) -> list[Chunk]:
    """The best-ranked passages that are not gold and do not hold an answer word for word."""
    gold = {chunk.id for chunk in question.gold}
    free = [
        passage.chunk
        for passage in ranked
        if passage.chunk.id not in gold
        and not any(align.find_exact(answer, passage.chunk.text) for answer in question.asked.answers)
    ]
    return free[:wanted]


def _around(
    retriever: Switchable, question: DevQuestion, negatives: Sequence[Chunk], place: int, k: int
) -> Asked | None:
    """The gold passage at ``place`` (from 0) among k - 1 negatives; None without gold, enough negatives, or room."""
    context = with_gold_at(retriever, question, negatives, k, place)
    return None if context is None else (question.asked.question, context)


def _changed(
    retriever: Switchable,
    question: DevQuestion,
    negatives: Sequence[Chunk],
    n: int,
    questions: Sequence[DevQuestion],
    k: int,
) -> tuple[Asked, str] | None:
    """The question over its gold passage with another answer in it, first among the negatives, and that answer.

    None where no answer stands in the gold passage word for word, or no other can be put in its place.
    """
    if not question.gold:
        return None
    chunk = question.gold[0]
    answer = next((a for a in question.asked.answers if normalise_answer(a) and align.find_exact(a, chunk.text)), None)
    other = None if answer is None else _other(answer, n, questions, chunk.text)
    if answer is None or other is None:
        return None
    text = chunk.text
    for match in sorted(align.find_exact(answer, text), key=lambda match: -match.start):  # whole words only
        text = text[: match.start] + other + text[match.end :]
    told = replace(chunk, text=text)
    if any(containment(told.text, a) for a in question.asked.answers):
        return None  # it stands there in another form too
    shown = [told, *negatives[: k - 1]]
    context = retriever.context([ScoredChunk(each, 0.0, rank) for rank, each in enumerate(shown, 1)])
    return ((question.asked.question, context), other) if len(context.passages) == len(shown) else None


def _other(answer: str, n: int, questions: Sequence[DevQuestion], text: str) -> str | None:
    """Other numbers in the answer, or for one without digits another question's answer of about its length."""
    if _DIGIT.search(answer):
        return _DIGIT.sub(lambda digit: str((int(digit[0]) + 3) % 9 + 1), answer)
    size = len(answer.split())
    for step in range(1, len(questions)):
        for candidate in questions[(n + step) % len(questions)].asked.answers:
            near = abs(len(candidate.split()) - size) <= max(1, size // 2) and not _DIGIT.search(candidate)
            if near and not token_f1(candidate, answer) and not containment(text, candidate):
                return candidate
    return None
