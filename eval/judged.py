"""Every arm's answers before a judge: marks for each answer, and how far the judge can be trusted.

What could not be parsed is None and counted, never averaged.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from eval.judge import Judge
from eval.questions import TestQuestion
from fieldguide.types import Progress

CORRECT = {"correct": 1.0, "partly": 0.5, "wrong": 0.0}
_BATCH = 20


@dataclass(frozen=True, slots=True)
class Judged:
    """``marks``: by arm, of each answer {measure: 0 to 1, or None}; ``told``: the judge, how often it could not be
    parsed, and its calibration, for the report."""

    marks: Mapping[str, Sequence[Mapping[str, float | None]]]
    told: Mapping[str, Any]


@dataclass(frozen=True)
class JudgeOfAnswers:
    """A judge with its name and its ``calibration`` (``eval.calibration``, as JSON; None: not calibrated here).

    That has "pairs" and "grades", each None where people gave no such labels.

    ``aspects`` of ``eval.judge.ASPECTS`` are rated beside correctness against the reference.
    """

    judge: Judge
    name: str
    calibration: Mapping[str, Any] | None
    aspects: Sequence[str] = ()
    unparsed: Counter[str] = field(default_factory=Counter)
    """Replies that said nothing, by what was asked for."""

    def judge_arm(
        self, questions: Sequence[TestQuestion], answers: Sequence[Mapping[str, Any]]
    ) -> list[dict[str, float | None]]:
        """Correctness (1, 0.5, 0) and the aspects (1 to 5 as 0 to 1) of each answer."""
        asked, texts = [q.question for q in questions], [a["text"] for a in answers]
        grades = self.judge.grade(asked, [" / ".join(q.answers) for q in questions], texts)
        marks: list[dict[str, float | None]] = [{"judged_correct": None if g is None else CORRECT[g]} for g in grades]
        for mark, text, question in zip(marks, texts, questions, strict=True):
            if not text.strip() and "" in question.answers:
                mark["judged_correct"] = 1.0  # rightly nothing
        passages = ["\n\n".join(p["text"] for p in a["passages"]) for a in answers]
        for aspect in self.aspects:
            grounded = aspect == "groundedness"
            rated = [n for n, text in enumerate(texts) if text.strip() and (passages[n] or not grounded)]
            given = [passages[n] for n in rated] if grounded else ()
            ratings = self.judge.rate(aspect, [asked[n] for n in rated], [texts[n] for n in rated], given)
            for mark in marks:
                mark[f"judged_{aspect}"] = None
            for n, rating in zip(rated, ratings, strict=True):
                marks[n][f"judged_{aspect}"] = None if rating is None else (rating - 1) / 4
                self.unparsed[aspect] += rating is None
        self.unparsed["correct"] += sum(grade is None for grade in grades)
        return marks

    def judge_all(
        self, questions: Sequence[TestQuestion], answers: Mapping[str, Sequence[Mapping[str, Any]]], progress: Progress
    ) -> Judged:
        """Every arm's answers, in batches."""
        progress.start("judging", len(questions) * len(answers))
        marks: dict[str, list[dict[str, float | None]]] = {}
        for arm, given in answers.items():
            marks[arm] = []
            for start in range(0, len(questions), _BATCH):
                part = slice(start, start + _BATCH)
                marks[arm] += self.judge_arm(questions[part], given[part])
                progress.advance(len(questions[part]), note=arm)
        asked = sum(len(of) for of in marks.values())
        unparsed = {f"judged_{what}": self.unparsed[what] for what in ("correct", *self.aspects)}
        return Judged(marks, {
            "name": self.name, "asked": asked, "unparsed": unparsed, "calibration": self.calibration,
        })  # fmt: skip
