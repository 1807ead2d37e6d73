"""Scores of all arms on the same questions, summed up: arms, differences, groups, with intervals clustered by document.

Numbers in, rows of an ``eval.report.Report`` out; asks no model and reads no catalogue.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from eval.evidence import COMPARED, difference_row
from eval.questions import TestQuestion
from eval.scores import COSTS, Score
from eval.significance import interaction
from eval.verdict import KINDS
from fieldguide.settings import Compare
from fieldguide.stats import Floats, mean_interval

Scored = Mapping[str, Sequence[Score]]
"""By arm: the scores of every question, in one order."""

_TESTED = ("token_f1", "exact_match", "rouge_l")
_MOST_GROUPS = 20
_FOUR = tuple(KINDS)


def arm_rows(questions: Sequence[TestQuestion], scored: Scored, settings: Compare) -> list[dict[str, Any]]:
    """A row an arm: mean and interval of each measure."""
    rows = []
    for name, scores in scored.items():
        measures = list(dict.fromkeys(measure for score in scores for measure in score))
        rows.append({"name": name, "metrics": {m: interval_of(questions, scores, m, settings) for m in measures}})
    return rows


def interval_of(
    questions: Sequence[TestQuestion], scores: Sequence[Score], measure: str, settings: Compare
) -> dict[str, Any]:
    """Mean and interval, questions clustered by document; n = 0 where the measure applies to no answer."""
    pairs = [(s[measure], cluster(q)) for q, s in zip(questions, scores, strict=True) if s.get(measure) is not None]
    if not pairs:
        return {"mean": None, "low": None, "high": None, "n": 0}
    found = mean_interval(
        [float(value or 0.0) for value, _ in pairs], seed=settings.seed, samples=settings.samples,
        clusters=[name for _, name in pairs],
    )  # fmt: skip
    return asdict(found)


def cluster(question: TestQuestion) -> str:
    """What the question is drawn with in a bootstrap: its document."""
    return question.document or question.id


def difference_rows(
    questions: Sequence[TestQuestion], scored: Scored, settings: Compare, level: float
) -> Iterator[dict[str, Any]]:
    """The pairs of ``COMPARED``, then each further arm against the arm that is served; ``level`` is the look's."""
    clusters = [cluster(q) for q in questions]
    against = next((name for name in ("tuned+RAG", "base+RAG") if name in scored), None)
    further = [(name, against) for name in scored if name not in _FOUR and against is not None]
    for a, b in (*COMPARED, *further):
        if a not in scored or b not in scored:
            continue
        for measure in _TESTED if (a, b) in COMPARED else _TESTED[:1]:
            yield difference_row(
                a, str(b), measure, [s[measure] or 0.0 for s in scored[a]], [s[measure] or 0.0 for s in scored[str(b)]],
                clusters, level=level, seed=settings.seed, samples=settings.samples,
            )  # fmt: skip


def interaction_of(questions: Sequence[TestQuestion], scored: Scored, settings: Compare) -> dict[str, Any] | None:
    """Of token F1 (``eval.significance.interaction``); None unless all four arms were run."""
    if any(arm not in scored for arm in _FOUR):
        return None
    found = interaction(
        *([s["token_f1"] or 0.0 for s in scored[arm]] for arm in _FOUR), seed=settings.seed, samples=settings.samples,
        clusters=[cluster(q) for q in questions],
    )  # fmt: skip
    return asdict(found) | {"clear": found.clear}


def group_rows(
    questions: Sequence[TestQuestion], splits: Sequence[str], names: Sequence[str], scored: Scored, settings: Compare
) -> Iterator[dict[str, Any]]:
    """Token F1 of the questions of one split, and where there are several kinds, levels, documents: of one of these.

    ``splits`` and ``names`` are the split and the file name of each question's document.
    """
    dimensions = {
        "": splits, "kind": [q.kind for q in questions], "level": [q.level for q in questions], "document": names,
    }  # fmt: skip
    for dimension, of in dimensions.items():
        sizes = Counter(name for name in of if name)
        if dimension and not 2 <= len(sizes) <= _MOST_GROUPS:
            continue
        for name in sorted(sizes):
            members = [n for n, other in enumerate(of) if other == name]
            inside = [questions[n] for n in members]
            means = {
                arm: interval_of(inside, [rows[n] for n in members], "token_f1", settings)
                for arm, rows in scored.items()
            }
            yield {"name": f"{dimension}: {name}" if dimension else name, "n": len(members), "arms": means}


def retrieval_rows(values: Mapping[str, Floats], clusters: Sequence[str], settings: Compare) -> dict[str, Any]:
    """Mean and interval of each measure of retrieval."""
    return {
        name: asdict(mean_interval(of, seed=settings.seed, samples=settings.samples, clusters=clusters))
        for name, of in values.items()
    }


def cost_of(row: Mapping[str, Any], settings: Compare) -> float | None:
    """What a thousand answers of an arm cost, by its seconds an answer and the settings' price of an hour."""
    seconds = row["metrics"].get(COSTS[0], {}).get("mean")
    return None if seconds is None or not settings.hour_costs else 1000 * seconds / 3600 * settings.hour_costs
