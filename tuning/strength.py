"""How strong an adapter is served: the share of it that gains most in the field without losing the general.

Scaling an adapter by 0 to 1 interpolates between base and tuned model (Wortsman et al. 2022, arXiv 2109.01903,
WiSE-FT). Strengths are compared by the teacher-forced loss of held-out answers, in the field and in the general suite
(``tuning.general``), and the choice is made on the Pareto front of the two.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from fieldguide.models.base import Prompt
from fieldguide.models.transformers_generator import TransformersGenerator
from fieldguide.stats import Interval, mean_interval
from fieldguide.types import Progress
from tuning.distillation import answer_likelihoods
from tuning.general import GeneralQuestion, losses

SCALES = (0.25, 0.5, 0.75, 1.0)
PRICE = 1.0
"""What a nat of general loss counts in nats of domain loss, both per answer token."""

Rule = Literal["most gained, less what it costs", "nothing gained"]


class Asked(Protocol):
    """What a held-out example needs to have: the prompt as served, the answer to expect, and the number of the context
    that it shares with others (``tuning.examples.Example``)."""

    @property
    def prompt(self) -> Prompt: ...

    @property
    def completion(self) -> str: ...

    @property
    def group(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Point:
    """One strength (0: the base model) with its losses, nats per answer token, lower is better.

    ``gain`` (base minus this, in the field) and ``rise`` (this minus base, in the general suite) are paired over the
    same examples, with intervals; they are for the report, the choice goes by the losses.
    """

    strength: float
    domain_loss: float
    general_loss: float
    gain: Interval | None = None
    rise: Interval | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    """The strength, the rule that chose it, and all points by strength, with whether each is on the front."""

    strength: float
    rule: Rule
    price: float
    points: tuple[Point, ...]
    on_front: tuple[bool, ...]

    def row(self) -> dict[str, Any]:
        """As JSON, for a manifest and a report."""
        table = [asdict(point) | {"on_front": on} for point, on in zip(self.points, self.on_front, strict=True)]
        return {"strength": self.strength, "rule": self.rule, "price": self.price, "points": table}


def pareto_front(points: Sequence[Point]) -> list[bool]:
    """Of each point, whether no other is at least as good in both losses and better in one."""
    return [not any(_dominates(other, point) for other in points) for point in points]


def choose_strength(points: Sequence[Point], price: float = PRICE) -> Choice:
    """The strength to serve. The base (strength 0), to which losses are compared, is among the points but never chosen.

    Of the points on the front the one whose domain loss plus ``price`` times its general loss is lowest; if the base is
    at least as good as every point in both, the one with the lowest domain loss, as "nothing gained". Of equals the
    smaller strength.

    Raises ValueError without the base or anything else, for a strength twice, a loss that is not finite, or a negative
    price.
    """
    ordered = tuple(sorted(points, key=lambda point: point.strength))
    strengths = [point.strength for point in ordered]
    if len(ordered) < 2 or strengths[0] != 0 or len(set(strengths)) < len(strengths):
        raise ValueError(
            f"the base (strength 0) and at least one other strength are needed, each once, not {strengths}"
        )
    if not all(math.isfinite(loss) for point in ordered for loss in (point.domain_loss, point.general_loss)):
        raise ValueError("losses must be finite")
    if not price >= 0:
        raise ValueError(f"the price must be at least 0, not {price}")
    on_front = tuple(pareto_front(ordered))
    front = [point for point, on in zip(ordered[1:], on_front[1:], strict=True) if on]
    if front:
        chosen = min(front, key=lambda point: point.domain_loss + price * point.general_loss)
        return Choice(chosen.strength, "most gained, less what it costs", price, ordered, on_front)
    chosen = min(ordered[1:], key=lambda point: point.domain_loss)
    return Choice(chosen.strength, "nothing gained", price, ordered, on_front)


def sweep(
    generator: TransformersGenerator,
    folder: Path,
    domain: Sequence[Asked],
    general: Sequence[GeneralQuestion],
    scales: Sequence[float],
    progress: Progress,
) -> list[Point]:
    """The base and the adapter in ``folder`` at each scale (over 0, at most 1; whatever its manifest says), measured on
    held-out examples and on the general suite. The generator holds the adapters afterwards that it held before.

    What does not fit the model's window counts at no scale. Raises ValueError if then nothing is left of either, and
    what ``load_adapter`` raises.
    """
    values: dict[float, tuple[list[float], list[float]]] = {}
    for scale in (0.0, *dict.fromkeys(scales)):
        progress.start(f"strength {scale:g}", len(domain) + len(general))
        with _loaded(generator, folder, scale) as adapter:
            prompts, answers = [item.prompt for item in domain], [item.completion for item in domain]
            likelihoods = answer_likelihoods(generator, prompts, answers, progress, adapter)
            values[scale] = ([-value for value in likelihoods], losses(generator, general, adapter, progress))
    return _points(values, [item.group for item in domain], [question.cluster for question in general])


@contextmanager
def _loaded(generator: TransformersGenerator, folder: Path, scale: float) -> Iterator[str | None]:
    """The id of the adapter at this scale (None at 0), taken off again if it was not there before."""
    if not scale:
        yield None
        return
    before = generator.loaded
    adapter = generator.load_adapter(folder, scale)
    try:
        yield adapter
    finally:
        if adapter not in before:
            generator.unload_adapter(adapter)


def _points(
    values: dict[float, tuple[list[float], list[float]]], contexts: Sequence[int], passages: Sequence[str]
) -> list[Point]:
    base_domain, base_general = (_finite(part) for part in values[0.0])
    if not base_domain or not base_general:
        raise ValueError("no held-out example, or no question of the general suite, fits the model's window")
    points = []
    for scale, (domain, general) in values.items():
        gain = mean_interval(
            [base_domain[n] - domain[n] for n in base_domain], seed=0, clusters=[contexts[n] for n in base_domain]
        )
        rise = mean_interval(
            [general[n] - base_general[n] for n in base_general], seed=0, clusters=[passages[n] for n in base_general]
        )
        domain_mean = math.fsum(domain[n] for n in base_domain) / len(base_domain)
        general_mean = math.fsum(general[n] for n in base_general) / len(base_general)
        points.append(Point(scale, domain_mean, general_mean, gain, rise))
    return points


def _finite(values: Sequence[float]) -> dict[int, float]:
    return {n: value for n, value in enumerate(values) if math.isfinite(value)}


def _dominates(a: Point, b: Point) -> bool:
    better = a.domain_loss < b.domain_loss or a.general_loss < b.general_loss
    return better and a.domain_loss <= b.domain_loss and a.general_loss <= b.general_loss
