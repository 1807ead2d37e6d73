"""How sure is an answer? A calibrated chance that it is right, from what can be seen of it without a reference.

Signs: how near the passages are to the question, how likely the answer was to the model, how much of it stands in the
passages and how near to the question's words and numbers, and whether other samples agree. A logistic regression over
them, fitted on dev questions (``eval.refusal``), makes one number of them; below the threshold chosen there, the
assistant declines.
Knows finished answers, not models, references or files.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from fieldguide import align
from fieldguide.types import Answer

SIGNS = ("retrieval", "likelihood", "support", "nearness", "agreement")


def signs(answer: Answer) -> dict[str, float]:
    """What can be seen of an answer over passages; a sign that is not known is left out.

    *retrieval*: similarity of the best passage to the question; *likelihood*: mean log-likelihood of the tokens;
    *support*: share of the statements that a passage supports; *nearness*: share of the question's words around what is
    cited, times the share of its numbers and numbered names there (of two rows of a table, only the right one has
    them all);
    *agreement*: mean token F1 of the other samples.
    """
    out: dict[str, float] = {}
    if answer.passages:
        out["retrieval"] = max(p.scores.get("dense", p.score) for p in answer.passages)
    if answer.trace.likelihood is not None:
        out["likelihood"] = max(answer.trace.likelihood, -10.0)
    if answer.trace.agreement is not None:
        out["agreement"] = answer.trace.agreement
    held = len({citation.statement for citation in answer.citations})
    said = held + len(answer.unsupported)
    out["support"] = held / said if said else 0.0
    out["nearness"] = _nearness(answer)
    return out


def _nearness(answer: Answer) -> float:
    asked = set(align.content_tokens(answer.question))
    numbers = {token for token in asked if any(c.isdigit() for c in token)}
    around: set[str] = set()
    for citation in answer.citations:
        passage = answer.passages[citation.passage - 1].chunk
        around |= set(align.content_tokens(f"{passage.context} {citation.quote}"))
    words = len(asked & around) / len(asked) if asked else 0.0
    return words * len(numbers & around) / len(numbers) if numbers else words


@dataclass(frozen=True, slots=True)
class Calibration:
    """A fitted regression over standardised signs, and the confidence below which nothing is answered.

    ``model``, ``adapter`` and ``prompt`` are those whose answers it was fitted on; ``measured`` what it came to on the
    dev questions, cross-validated: n, wanted, precision, coverage, curve.
    """

    model: str
    adapter: str | None
    prompt: str
    names: tuple[str, ...]
    means: tuple[float, ...]
    scales: tuple[float, ...]
    weights: tuple[float, ...]
    intercept: float
    threshold: float
    measured: Mapping[str, Any]

    def confidence(self, answer: Answer) -> float:
        """The chance, 0 to 1, that the answer is right; 0 for none. A sign that is not known counts as usual."""
        return self.of_signs(signs(answer)) if answer.text else 0.0

    def of_signs(self, found: Mapping[str, float]) -> float:
        """The same from signs."""
        total = self.intercept + sum(
            weight * (found.get(name, mean) - mean) / scale
            for name, mean, scale, weight in zip(self.names, self.means, self.scales, self.weights, strict=True)
        )
        return 1 / (1 + math.exp(-max(-50.0, min(50.0, total))))

    def fits(self, model: str, adapter: str | None, prompt: str) -> bool:
        """Whether it was fitted on answers of this model, adapter and prompt."""
        return (self.model, self.adapter, self.prompt) == (model, adapter, prompt)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Calibration:
        """Raises KeyError, TypeError or ValueError for what is none."""
        lists = {name: tuple(value[name]) for name in ("names", "means", "scales", "weights")}
        if len({len(one) for one in lists.values()}) != 1:
            raise ValueError("as many weights as signs")
        return cls(**{**value, **lists})


def threshold_for(confidences: Sequence[float], right: Sequence[bool], wanted: float, fewest: int = 10) -> float:
    """The lowest confidence from which on at least ``wanted`` of the answers are right.

    Only thresholds that leave ``fewest`` answers count, since fewer tell nothing; where none reaches ``wanted``, the
    one of the highest precision. 0 where there are no more answers than that.
    """
    if len(confidences) != len(right):
        raise ValueError(f"as many outcomes as confidences, got {len(right)} for {len(confidences)}")
    order = sorted(zip(confidences, right, strict=True), reverse=True)
    best: tuple[float, float] | None = None
    lowest: float | None = None
    hits = 0
    for n, (value, is_right) in enumerate(order, 1):
        hits += is_right
        last_of_its_value = n == len(order) or order[n][0] < value
        if n < fewest or not last_of_its_value:
            continue
        precision = hits / n
        if precision >= wanted:
            lowest = value
        if best is None or precision > best[0]:
            best = (precision, value)
    if lowest is not None:
        return lowest
    return best[1] if best is not None else 0.0


def risk_coverage(confidences: Sequence[float], right: Sequence[bool], asked: int) -> list[tuple[float, float]]:
    """(coverage, risk) at every threshold, the surest first: the share of all ``asked`` questions that are answered,
    and the share of these answers that are wrong."""
    order = sorted(zip(confidences, right, strict=True), key=lambda pair: -pair[0])
    wrong = 0
    curve = []
    for n, (_, is_right) in enumerate(order, 1):
        wrong += not is_right
        curve.append((n / asked, wrong / n))
    return curve
