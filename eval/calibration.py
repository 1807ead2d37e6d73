"""How far a judge can be trusted: its verdicts against people's. Labels in, figures out; knows no models."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from fieldguide.stats import Interval, mean_interval


@dataclass(frozen=True, slots=True)
class Calibration:
    """``agreement``: share of parsed verdicts that equal people's, with its interval; ``kappa``: Cohen's, that is
    agreement beyond what the two label frequencies give by chance (1 all, 0 chance, below 0 worse); ``unparsed`` and
    ``flip_rate``: shares of all, and of those judged in both orders; ``n`` all."""

    agreement: Interval | None
    kappa: float
    unparsed: float
    flip_rate: float
    n: int


def calibrate(
    judged: Sequence[Hashable | None],
    people: Sequence[Hashable],
    flips: Sequence[bool] = (),
    *,
    clusters: Sequence[Hashable] | None = None,
    seed: int = 0,
) -> Calibration:
    """A judge's labels (None: unparsed) against people's. Raises ValueError for unequal lengths or no labels."""
    if len(judged) != len(people) or not people:
        raise ValueError(f"labels must be equally many, and some: got {len(judged)} and {len(people)}")
    kept = [n for n, label in enumerate(judged) if label is not None]
    names = [clusters[n] for n in kept] if clusters is not None else None
    same = [float(judged[n] == people[n]) for n in kept]
    return Calibration(
        mean_interval(same, seed=seed, clusters=names) if kept else None,
        cohens_kappa([judged[n] for n in kept], [people[n] for n in kept]) if kept else 0.0,
        1 - len(kept) / len(people), sum(flips) / len(flips) if flips else 0.0, len(people),
    )  # fmt: skip


def cohens_kappa(a: Sequence[Hashable], b: Sequence[Hashable]) -> float:
    """Cohen's (1960) kappa of two raters; 1.0 where both give one and the same label to all."""
    n = len(a)
    observed = sum(x == y for x, y in zip(a, b, strict=True)) / n
    of_a, of_b = Counter(a), Counter(b)
    chance = sum(of_a[label] * of_b[label] for label in of_a) / n**2
    return 1.0 if chance == 1 else (observed - chance) / (1 - chance)


def majority(labels: Sequence[Hashable], tie: Hashable) -> Hashable:
    """The label that most people gave; ``tie`` where no label has more than every other."""
    (best, most), *others = Counter(labels).most_common()
    return tie if others and others[0][1] == most else best
