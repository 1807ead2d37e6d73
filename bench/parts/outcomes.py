"""Simulated answers of four arms to the same questions, with known true means: questions of one document succeed and
fail together, and a question that is hard is hard for every arm.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

DOCUMENT, QUESTION = 0.15, 0.35
"""Shares of the latent variance that a document's questions, and a question's arms, have in common."""

_PARTLY = 0.4
"""Of the mean m of an arm, 0.8 m of the answers score 1 and 0.4 m score 0.5: about how token F1 is spread."""


@dataclass(frozen=True)
class Outcomes:
    """Scores of each arm (0 to 1) by question, and each question's document."""

    scores: dict[str, NDArray[np.float64]]
    documents: list[int]

    def first(self, n: int) -> Outcomes:
        """Those of the first n questions."""
        return Outcomes({arm: values[:n] for arm, values in self.scores.items()}, self.documents[:n])


def simulate(means: Mapping[str, float], sizes: Sequence[int], n: int, rng: np.random.Generator) -> Outcomes:
    """``n`` questions of documents whose numbers of questions are drawn from ``sizes``; ``means`` are at most 0.83."""
    documents: list[int] = []
    while len(documents) < n:
        document = documents[-1] + 1 if documents else 0
        documents += [document] * int(rng.choice(sizes))
    documents = documents[:n]
    of_document = rng.normal(size=documents[-1] + 1)[documents]
    of_question = rng.normal(size=n)
    scores = {}
    for arm, mean in means.items():
        alone = rng.normal(size=n)
        latent = DOCUMENT**0.5 * of_document + QUESTION**0.5 * of_question + (1 - DOCUMENT - QUESTION) ** 0.5 * alone
        rank = 1 - norm.cdf(latent)
        scores[arm] = np.where(rank < 0.8 * mean, 1.0, np.where(rank < (0.8 + _PARTLY) * mean, 0.5, 0.0))
    return Outcomes(scores, documents)
