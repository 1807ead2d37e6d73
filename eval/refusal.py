"""When to decline: a confidence fitted on dev questions, and the threshold for a wanted precision.

Every dev question is answered over its passages as they are served, and a part of them also over passages without the
one that holds the answer, where any answer is wrong. Chances are cross-validated by document (of fewer than five
documents by question), so that the threshold is chosen on answers that the regression has not seen.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from assistant.confidence import SIGNS, Calibration, risk_coverage, signs, threshold_for
from assistant.flow import Assistant
from eval.dev_questions import DevQuestion
from eval.failures import is_right
from fieldguide import metrics
from fieldguide.errors import NotReady
from fieldguide.prompts import answer_prompt_hash
from fieldguide.quantities import numeric_match
from fieldguide.stats import Floats
from fieldguide.types import Answer, Context, Retriever

_BATCH = 20
_FOLDS = 5
_LOOSE = 0.3
FEWEST = 20
"""Answers, right and wrong ones among them, that a regression can be fitted on."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """An answer to a dev question: its signs, whether it is right, whether its passages held an answer, and what it is
    held out with (its document)."""

    answer: Answer
    right: bool
    answerable: bool
    cluster: str


def outcomes(
    questions: Sequence[DevQuestion], assistant: Assistant, retriever: Retriever, share_removed: float,
    done: Callable[[int], None],
) -> list[Outcome]:  # fmt: skip
    """Each question answered as served; the first ``share_removed`` (0 to 1) of those whose evidence is known also
    without the passages that hold it. ``done`` is told of every answer."""
    asked: list[tuple[DevQuestion, Context, bool]] = []
    texts = [question.asked.question for question in questions]
    for question, context in zip(questions, retriever.contexts(texts), strict=True):
        asked.append((question, context, "" not in question.asked.answers))
    known = [question for question in questions if question.gold]
    known = known[: round(share_removed * len(known))]
    deep = retriever.retrieve([q.asked.question for q in known], 3 * retriever.k) if known else []
    for question, ranked in zip(known, deep, strict=True):
        gold = {chunk.id for chunk in question.gold}
        rest = [p for p in ranked if p.chunk.id not in gold and not _holds_answer(question, p.chunk.text)]
        asked.append((question, retriever.context(rest[: retriever.k]), False))
    found: list[Outcome] = []
    for start in range(0, len(asked), _BATCH):
        part = asked[start : start + _BATCH]
        answers = assistant.answer_over([q.asked.question for q, _, _ in part], [context for _, context, _ in part])
        for (question, _, answerable), answer in zip(part, answers, strict=True):
            found.append(Outcome(answer, answerable and _right(question, answer), answerable, question.cluster))
        done(len(part))
    return found


def _holds_answer(question: DevQuestion, text: str) -> bool:
    return any(answer and metrics.containment(text, answer) for answer in question.asked.answers)


def _right(question: DevQuestion, answer: Answer) -> bool:
    references = [reference for reference in question.asked.answers if reference]
    if not answer.text or not references:
        return False
    f1, held = (metric(answer.text, references) for metric in (metrics.token_f1, metrics.containment))
    return is_right({"token_f1": f1, "containment": held, "numeric": numeric_match(answer.text, references)})


def fit(found: Sequence[Outcome], assistant: Assistant, wanted: float, seed: int) -> Calibration:
    """The regression and its threshold. ``wanted`` is the share of the answers given that shall be right, 0 to 1.

    Raises NotReady where there are too few answers, or only right or only wrong ones.
    """
    given = [one for one in found if one.answer.text]
    right = np.array([one.right for one in given], dtype=bool)
    if len(given) < FEWEST or right.all() or not right.any():
        raise NotReady(
            f"A confidence needs at least {FEWEST} answers to dev questions, right and wrong ones among them; there "
            f"are {len(given)}, of which {int(right.sum())} are right. Make more pairs (`fieldguide qa`), or give a "
            "file with --questions."
        )
    table = [signs(one.answer) for one in given]
    names = tuple(name for name in SIGNS if all(name in row for row in table) and len({r[name] for r in table}) > 1)
    values = np.array([[row[name] for name in names] for row in table])
    chances = _cross_validated(values, right, _groups(given), seed)
    threshold = float(threshold_for(list(chances), list(right), wanted))
    kept = chances >= threshold
    declined = [one for one in found if not one.answer.text] + [
        one for one, k in zip(given, kept, strict=True) if not k
    ]
    refused_rightly = sum(not one.answerable for one in declined)
    unanswerable = sum(not one.answerable for one in found)
    means, scales, weights, intercept = _regression(values, right)
    return Calibration(
        assistant.generator.id, assistant.adapter, answer_prompt_hash(), names, tuple(means), tuple(scales),
        tuple(weights), intercept, threshold,
        {
            "n": len(found), "answered_by_model": len(given), "wanted": wanted,
            "precision": float(right[kept].mean()) if kept.any() else None,
            "coverage": float(kept.sum() / len(found)),
            "precision_without": float(right.mean()), "coverage_without": len(given) / len(found),
            "refusal_precision": refused_rightly / len(declined) if declined else None,
            "refusal_recall": refused_rightly / unanswerable if unanswerable else None,
            "curve": [list(point) for point in risk_coverage(list(chances), list(right), len(found))],
        },
    )  # fmt: skip


def _groups(given: Sequence[Outcome]) -> list[str]:
    """What is held out together: documents, or where they are too few to learn from the others, questions."""
    documents = [one.cluster for one in given]
    return documents if len(set(documents)) >= _FOLDS else [one.answer.question for one in given]


def _cross_validated(values: Floats, right: Any, clusters: Sequence[str], seed: int) -> Floats:
    """The chance of each answer, from a regression over the answers of other clusters."""
    from sklearn.model_selection import StratifiedGroupKFold

    folds = min(_FOLDS, len(set(clusters)))
    if folds < 2:
        means, scales, weights, intercept = _regression(values, right)
        return _chances((values - means) / scales, weights, intercept)
    out = np.zeros(len(right))
    splits = StratifiedGroupKFold(folds, shuffle=True, random_state=seed).split(values, right, clusters)
    for train, test in splits:
        if right[train].all() or not right[train].any():
            out[test] = right[train].mean()
            continue
        means, scales, weights, intercept = _regression(values[train], right[train])
        out[test] = _chances((values[test] - means) / scales, weights, intercept)
    return out


def _regression(values: Floats, right: Any) -> tuple[Floats, Floats, Floats, float]:
    """Means and scales of the signs, and weights and intercept over the standardised ones.

    Each sign speaks for an answer, so no weight is below zero: what says otherwise on few documents is chance. A
    penalty of |weights|² / (2 · ``_LOOSE``) keeps them small.
    """
    from scipy.optimize import minimize

    means, scales = values.mean(axis=0), np.maximum(values.std(axis=0), 1e-6)
    standard, side = (values - means) / scales, 2 * np.asarray(right, dtype=np.float64) - 1

    def loss(given: Floats) -> float:
        fit = np.logaddexp(0, -side * (standard @ given[:-1] + given[-1])).sum()
        return float(fit + (given[:-1] ** 2).sum() / (2 * _LOOSE))

    n = values.shape[1]
    found = minimize(loss, np.zeros(n + 1), method="L-BFGS-B", bounds=[(0, None)] * n + [(None, None)])
    return means, scales, found.x[:-1], float(found.x[-1])


def _chances(standard: Floats, weights: Floats, intercept: float) -> Floats:
    chances: Floats = 1 / (1 + np.exp(-(standard @ weights + intercept)))
    return chances
