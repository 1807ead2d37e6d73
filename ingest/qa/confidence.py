"""The confidence of a pair, and the threshold below which pairs are left out: CLEAR's curation.

Confidence = β · observed consistency + (1 − β) · self-reflection, as in BSDetector (Chen & Mueller 2023, "Quantifying
Uncertainty in Answers from any Language Model", arXiv 2308.16175), used to filter training data as in CLEAR (Chen &
Mueller 2024, "Automated Data Curation for Robust Language Model Fine-Tuning", arXiv 2403.12776). Two things differ:
agreement of answers is by words, not by an entailment model, and the threshold is not set by hand but chosen where it
tells dev pairs best from the same pairs with swapped answers.
"""

from __future__ import annotations

import random
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from fieldguide import align
from fieldguide.metrics import token_f1
from fieldguide.models.base import Message
from fieldguide.prompts import fill, load
from fieldguide.types import QAPair
from ingest.qa.reader import Asked, Reader, agreement, is_yes_no

BETA = 0.7
"""Weight of consistency against reflection, BSDetector's."""

SAMPLES = 4
TEMPERATURE = 0.7
LEAST_PAIRS = 20
"""Fewer dev pairs than this cannot choose a threshold."""

LOW = "low confidence"
"""Why a pair below the threshold is left out."""

_SWAPPED_F1 = 0.3
_VERDICTS = {"a": 1.0, "b": 0.0, "c": 0.5}


@dataclass(frozen=True, slots=True)
class Threshold:
    """A confidence from which pairs are kept, and how well it told the dev pairs from swapped ones (shares, 0 to 1).

    ``value`` is 0 (everything is kept) with ``note`` saying why, where the dev pairs cannot choose one.
    """

    value: float
    pairs: int
    balanced_accuracy: float
    kept: float
    caught: float
    note: str = ""


def swap_answers(pairs: Sequence[QAPair], seed: int) -> list[str]:
    """For each pair the answer of another: of its chunk, else of its document, else any, and of its kind if there is
    one; "" where no other pair has a different answer (token F1 below 0.3)."""
    by_place: dict[str, list[QAPair]] = defaultdict(list)
    for pair in pairs:
        for place in (f"chunk {pair.chunk}", f"document {pair.document}", ""):
            by_place[place].append(pair)
    draw = random.Random(seed)
    swapped = []
    for pair in pairs:
        answer = ""
        for place in (f"chunk {pair.chunk}", f"document {pair.document}", ""):
            others = [p for p in by_place[place] if p.answer and token_f1(p.answer, pair.answer) < _SWAPPED_F1]
            if others:
                answer = draw.choice([p for p in others if p.kind == pair.kind] or others).answer
                break
        swapped.append(answer)
    return swapped


def choose_threshold(good: Sequence[float], bad: Sequence[float]) -> Threshold:
    """The confidence that tells ``good`` pairs (kept: at or above it) from ``bad`` ones best: the highest balanced
    accuracy, of equal ones the lowest threshold. Nothing is dropped if there are fewer than 20 of either, or if no
    threshold does better than chance."""
    if min(len(good), len(bad)) < LEAST_PAIRS:
        fewest = min(len(good), len(bad))
        note = f"{fewest} dev pairs are too few to choose a confidence (at least {LEAST_PAIRS}): none is dropped"
        return Threshold(0.0, len(good), 0.5, 1.0, 0.0, note)
    best: tuple[float, float] = (0.5, 0.0)
    for value in sorted({0.0, *good, *bad}):
        accuracy = (_share_from(good, value) + 1 - _share_from(bad, value)) / 2
        if accuracy > best[0] + 1e-12:
            best = (accuracy, value)
    accuracy, value = best
    note = "" if value > 0 else "no confidence tells dev pairs from swapped ones: none is dropped"
    return Threshold(value, len(good), accuracy, _share_from(good, value), 1 - _share_from(bad, value), note)


def _share_from(scores: Sequence[float], value: float) -> float:
    return sum(score >= value for score in scores) / len(scores)


def combine(consistency: float, reflection: float, beta: float = BETA) -> float:
    """β · consistency + (1 − β) · reflection; all from 0 to 1."""
    return beta * consistency + (1 - beta) * reflection


class Confidence:
    """Scores pairs by a reader's own doubts: ``samples`` answers drawn at a temperature, and a reflection.

    The samples are drawn once for a question, whatever answers it is compared with (cached by content).
    """

    def __init__(
        self, reader: Reader, *, samples: int = SAMPLES, temperature: float = TEMPERATURE, seed: int = 0
    ) -> None:
        if samples < 1:
            raise ValueError(f"samples must be at least 1, not {samples}")
        self.reader = reader
        self.samples = samples
        self.temperature = temperature
        self.seed = seed

    def judges(self, answer: str) -> bool:
        """Whether the reader can tell: an adapter answers with words of the text and knows nothing of yes and no."""
        return self.reader.adapter is None or not is_yes_no(answer)

    def scores(self, asked: Sequence[Asked], answers: Sequence[str]) -> list[float]:
        """The confidence, 0 to 1, of each answer to its question over its passage; 1.0 where it cannot be judged."""
        told = [n for n, answer in enumerate(answers) if self.judges(answer)]
        some, given = [asked[n] for n in told], [answers[n] for n in told]
        found = [1.0] * len(answers)
        for n, c, r in zip(told, self.consistency(some, given), self.reflection(some, given), strict=True):
            found[n] = combine(c, r)
        return found

    def consistency(self, asked: Sequence[Asked], answers: Sequence[str]) -> list[float]:
        """Mean agreement of the sampled answers with each pair's answer ("" agrees with a refusal)."""
        drawn = [self.reader.read(asked, temperature=self.temperature, seed=self.seed + n) for n in range(self.samples)]
        return [fmean(agreement(said[n], answer) for said in drawn) for n, answer in enumerate(answers)]

    def reflection(self, asked: Sequence[Asked], answers: Sequence[str]) -> list[float]:
        """Whether the model itself holds each answer for correct: 1 correct, 0.5 not certain, 0 incorrect.

        A question adapter cannot be asked that. In its place it reads again, from nothing but the sentence that holds
        the answer (``holding_sentence``), and the agreement is the score: that asks whether the sentence answers the
        question, not whether the model thinks so.
        """
        if self.reader.adapter is None:
            return self._judged(asked, answers)
        narrowed = [
            Asked(a.question, a.document, holding_sentence(a, answer)) for a, answer in zip(asked, answers, strict=True)
        ]
        return [agreement(said, answer) for said, answer in zip(self.reader.read(narrowed), answers, strict=True)]

    def _judged(self, asked: Sequence[Asked], answers: Sequence[str]) -> list[float]:
        prompts = [
            (
                Message("system", load("reader_system")),
                Message("user", fill("reader_reflect", document=a.document, text=a.text or "", question=a.question,
                                     answer=answer or "not in the text")),
            )
            for a, answer in zip(asked, answers, strict=True)
        ]  # fmt: skip
        made = self.reader.calls.ask(prompts, max_new_tokens=8)
        return [read_verdict(generation.text) for generation in made]

    def choose(self, pairs: Sequence[QAPair], asked: Sequence[Asked]) -> Threshold:
        """The threshold by dev ``pairs``, each asked as ``asked``, against the same with swapped answers."""
        told = [n for n, pair in enumerate(pairs) if self.judges(pair.answer)]
        swapped = swap_answers([pairs[n] for n in told], self.seed)
        bad = [(n, answer) for n, answer in zip(told, swapped, strict=True) if answer and self.judges(answer)]
        if len(bad) < LEAST_PAIRS:
            return choose_threshold([0.0] * len(told), [0.0] * len(bad))
        good_scores = self.scores([asked[n] for n in told], [pairs[n].answer for n in told])
        bad_scores = self.scores([asked[n] for n, _ in bad], [answer for _, answer in bad])
        return choose_threshold(good_scores, bad_scores)


def read_verdict(reply: str) -> float:
    """(A) 1.0, (B) 0.0, (C) or anything that is none of the three 0.5."""
    found = re.search(r"\(?\b([ABC])\b\)?", reply) or re.search(r"(?i)\b(incorrect|correct)\b", reply)
    if found is None:
        return 0.5
    said = found.group(1).casefold()
    return _VERDICTS.get(said, 1.0 if said == "correct" else 0.0)


def holding_sentence(asked: Asked, answer: str) -> str:
    """The sentence of the passage that holds the answer and shares most words with the question; the passage if none
    does."""
    text = asked.text or ""
    wanted = set(align.content_tokens(asked.question))
    found = [text[start:end] for start, end in align.sentences(text)]
    holding = [sentence for sentence in found if align.find_exact(answer, sentence)]
    return max(holding, key=lambda s: len(wanted & set(align.content_tokens(s))), default=text)
