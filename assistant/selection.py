"""Which of several sampled answers is given. Knows finished answers only; the first is the greedy one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from assistant.confidence import Calibration
from fieldguide.metrics import token_f1
from fieldguide.types import Answer

Worth = Callable[[Sequence[Answer], int], float]
"""What the n-th of several samples is worth against the others; higher is better."""


def pick(samples: Sequence[Answer], how: str, calibration: Calibration | None = None) -> Answer:
    """One of the samples of a question, with how far the others agree with it in its trace.

    "support": of which the largest share stands in the passages; "vote": with which the others agree most (mean token
    F1: self-consistency for answers in words, Wang et al. 2022, arXiv 2203.11171); "likelihood": of which the model is
    surest; "confidence": which the ``calibration`` takes for likeliest to be right (without one: as "support"). Of
    equals the earlier one; a refusal counts as an answer in a vote only. Raises KeyError for another way.
    """
    by_confidence: Worth = _support if calibration is None else partial(_confidence, calibration)
    ways: dict[str, Worth] = {
        "support": _support, "vote": _agreement, "likelihood": _likelihood, "confidence": by_confidence,
    }  # fmt: skip
    worth = ways[how]
    best = max(range(len(samples)), key=lambda n: (worth(samples, n), -n))
    chosen = samples[best]
    if len(samples) == 1:
        return chosen
    return replace(chosen, trace=replace(chosen.trace, agreement=_agreement(samples, best)))


def _confidence(calibration: Calibration, samples: Sequence[Answer], n: int) -> float:
    trace = replace(samples[n].trace, agreement=_agreement(samples, n))
    return calibration.confidence(replace(samples[n], trace=trace))


def _support(samples: Sequence[Answer], n: int) -> float:
    answer = samples[n]
    held = len({citation.statement for citation in answer.citations})
    return held / (held + len(answer.unsupported)) if answer.text else -1.0


def _agreement(samples: Sequence[Answer], n: int) -> float:
    others = [token_f1(samples[n].text, other.text) for i, other in enumerate(samples) if i != n]
    return sum(others) / len(others) if others else 1.0


def _likelihood(samples: Sequence[Answer], n: int) -> float:
    found = samples[n].trace.likelihood
    return -100.0 if found is None or not samples[n].text else found
