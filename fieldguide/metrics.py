"""Metrics of one answer against its reference answers. Pure functions over strings, each from 0 to 1, higher is better.

Knows nothing of models, questions or citations. Every metric takes one reference or several; of several the best
counts. ``exact_match`` and ``token_f1`` are SQuAD's, flaws included: all ASCII punctuation is deleted before words are
compared, so "3.5" equals "35", and typographic quotes and dashes stay. Where a number's separator matters, look at the
answer's citation, which is aligned with the page (``fieldguide.align``).

Empty texts are those of which normalisation leaves nothing ("", "the", "..."): two empty texts agree (1.0), an empty
one and any other do not (0.0), as in SQuAD 2.0.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalise_answer(text: str) -> str:
    """Lower case, without ASCII punctuation and the articles a, an, the; single spaces between words (SQuAD)."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def exact_match(prediction: str, references: str | Sequence[str]) -> float:
    """1.0 if the normalised prediction equals a normalised reference."""
    return _best(_exact_match, prediction, references)


def token_f1(prediction: str, references: str | Sequence[str]) -> float:
    """Harmonic mean of precision and recall over the bags of normalised words; symmetric in its two texts."""
    return _best(_token_f1, prediction, references)


def rouge_l(prediction: str, references: str | Sequence[str]) -> float:
    """F-measure of the longest common subsequence of words (rouge-score's rougeL, no stemming).

    The library reads ASCII letters and digits only: a text without any scores 0.0 against every text, unless both are
    empty.
    """
    return _best(_rouge_l, prediction, references)


def chrf(prediction: str, references: str | Sequence[str]) -> float:
    """chrF2 of character n-grams up to six (sacrebleu): in any script, and in languages with many endings."""
    return _best(_chrf, prediction, references)


def containment(prediction: str, references: str | Sequence[str]) -> float:
    """1.0 if a normalised reference stands in the normalised prediction as a run of whole words.

    For short facts inside full sentences, which exact match and F1 punish. An empty reference is only contained in an
    empty prediction.
    """
    return _best(_containment, prediction, references)


def _best(score: Callable[[str, str], float], prediction: str, references: str | Sequence[str]) -> float:
    several = [references] if isinstance(references, str) else references
    if not several:
        raise ValueError("an answer metric needs at least one reference, got none")
    return max(score(prediction, reference) for reference in several)


def _exact_match(prediction: str, reference: str) -> float:
    return float(normalise_answer(prediction) == normalise_answer(reference))


def _token_f1(prediction: str, reference: str) -> float:
    said, wanted = normalise_answer(prediction).split(), normalise_answer(reference).split()
    if not said or not wanted:
        return float(said == wanted)
    shared = (Counter(said) & Counter(wanted)).total()
    return 2 * shared / (len(said) + len(wanted))


def _rouge_l(prediction: str, reference: str) -> float:
    if not normalise_answer(prediction) and not normalise_answer(reference):
        return 1.0
    return float(_rouge_scorer().score(reference, prediction)["rougeL"].fmeasure)


def _chrf(prediction: str, reference: str) -> float:
    if not prediction.strip() or not reference.strip():
        return float(not prediction.strip() and not reference.strip())
    return float(_chrf_scorer().sentence_score(prediction, [reference]).score) / 100


def _containment(prediction: str, reference: str) -> float:
    said, wanted = normalise_answer(prediction), normalise_answer(reference)
    if not wanted:
        return float(not said)
    return float(f" {wanted} " in f" {said} ")


@cache
def _rouge_scorer() -> Any:
    from rouge_score.rouge_scorer import RougeScorer

    return RougeScorer(["rougeL"], use_stemmer=False)


@cache
def _chrf_scorer() -> Any:
    from sacrebleu.metrics import CHRF

    return CHRF()
