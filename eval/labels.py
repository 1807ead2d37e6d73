"""What reports call measures and arms, and how they write numbers. Pure; page, tables and screen share it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from eval.scores import ANSWERS, CITATIONS, COSTS

BLANK = "–"
_HIGHER = "Higher is better."

METRICS: Mapping[str, tuple[str, str, str]] = {
    "token_f1": (
        "Token F1",
        "How far the words of the answer and of the reference agree: the harmonic mean of precision and recall.",
        _HIGHER,
    ),
    "exact_match": (
        "Exact match",
        "Share of answers that equal the reference, but for case, punctuation and articles.",
        _HIGHER,
    ),
    "rouge_l": (
        "ROUGE-L",
        "Longest sequence of words, in order, that the answer shares with the reference (F-measure).",
        _HIGHER,
    ),
    "chrf": (
        "chrF",
        "How far the pieces of up to six characters agree, in any script and whatever the endings (sacrebleu’s chrF2).",
        _HIGHER,
    ),
    "containment": (
        "Containment",
        "Share of answers in which the whole reference occurs, whatever else they say.",
        _HIGHER,
    ),
    "numeric": (
        "Numbers",
        "Of the references with numbers, the share of answers that state all of them, units converted, within 0.5%.",
        _HIGHER,
    ),
    "similarity": (
        "Similarity",
        "Cosine of answer and reference by the embedder: sees the same said in other words, and not always a wrong "
        "number.",
        _HIGHER,
    ),
    "answered": (
        "Answered",
        "Share of questions that were answered rather than declined as not in the documents.",
        "Neither direction is better by itself: a question that the documents do not answer should be declined.",
    ),
    "citation_precision": (
        "Citation precision",
        "Share of citations that lead to a page on which the reference’s evidence stands. "
        "Arms without retrieval cite nothing.",
        _HIGHER,
    ),
    "citation_recall": (
        "Citation recall",
        "Share of the pages with the reference’s evidence that are cited.",
        _HIGHER,
    ),
    "faithfulness": (
        "Faithfulness",
        "Share of the answers’ statements that a passage supports which was shown.",
        _HIGHER,
    ),
    "judged_correct": ("Judged correct", "A judge’s grade by the reference: right 100, partly 50, wrong 0.", _HIGHER),
    "judged_coherence": ("Judged coherence", "A judge’s rating, 1 to 5 as 0 to 100.", _HIGHER),
    "judged_relevance": ("Judged relevance", "A judge’s rating, 1 to 5 as 0 to 100.", _HIGHER),
    "judged_groundedness": (
        "Judged groundedness", "A judge’s rating over the passages, 1 to 5 as 0 to 100.", _HIGHER,
    ),
    "judged_succinctness": ("Judged succinctness", "A judge’s rating, 1 to 5 as 0 to 100.", _HIGHER),
    "seconds": ("Seconds", "Time to write an answer, without retrieval; many at a time, which is faster.",
                "Lower is better."),
    "prompt_tokens": ("Prompt tokens", "Tokens read for an answer.", "Lower is cheaper."),
    "completion_tokens": ("Answer tokens", "Tokens written for an answer.", "Lower is cheaper."),
    "words": ("Words", "Length of the answer.", "Neither direction is better by itself."),
}  # fmt: skip
"""Label, meaning and direction of each measure, in the order shown."""

RETRIEVAL: Mapping[str, str] = {
    "recall@1": "Recall@1", "recall@3": "Recall@3", "recall@5": "Recall@5", "recall@10": "Recall@10", "mrr": "MRR@10",
    "ndcg": "nDCG@10", "page_hit": "Page found", "span_hit": "Answer found",
}  # fmt: skip

TABLES: Mapping[str, tuple[str, ...]] = {
    "Answers": ANSWERS,
    "Citations": CITATIONS,
    "By the judge": (
        "judged_correct", "judged_coherence", "judged_relevance", "judged_groundedness", "judged_succinctness",
    ),
    "What an answer costs": COSTS,
}  # fmt: skip
"""Which measures stand in one table."""


def label_of(measure: str) -> str:
    """The measure's name for people."""
    return METRICS[measure][0] if measure in METRICS else measure


def arm_label(name: str) -> str:
    """An arm's name with room around its plus."""
    return name.replace("+", " + ")


def known(value: Any) -> bool:
    """Whether an estimate ({mean, low, high, n}) holds numbers."""
    return bool(value) and value["n"] > 0 and all(finite(value[key]) for key in ("mean", "low", "high"))


def finite(value: Any) -> bool:
    """Whether this is a number that can be shown."""
    return isinstance(value, int | float) and math.isfinite(value)


def points(share: Any) -> str:
    """A share as points of 100 with one decimal and a proper minus."""
    if not finite(share):
        return BLANK
    text = f"{100 * share:.1f}"
    return "0.0" if text == "-0.0" else text.replace("-", "\u2212")


def signed(share: Any) -> str:
    """The same with its sign."""
    text = points(share)
    return f"+{text}" if finite(share) and share > 0 and text != "0.0" else text


def number(value: Any) -> str:
    """A number with two digits below ten, one below a hundred, else whole."""
    if not finite(value):
        return BLANK
    return f"{value:.2f}" if abs(value) < 10 else f"{value:.1f}" if abs(value) < 100 else f"{value:,.0f}"


def interval_words(value: Any, measure: str = "") -> str:
    """An interval in words; equal ends give none, since a width of zero would look like certainty."""
    if not known(value):
        return BLANK
    if value["low"] == value["high"]:
        return "no spread"
    show = number if measure in COSTS else points
    return f"{show(value['low'])} to {show(value['high'])}"


def mean_words(value: Any, measure: str = "") -> str:
    """A mean as its measure is shown."""
    return (number if measure in COSTS else points)(value["mean"]) if known(value) else BLANK


def value_words(measure: str, value: Any) -> str:
    """Mean and interval in one cell; of seconds, which are a batch's average, the mean alone."""
    if not known(value):
        return BLANK
    mean = mean_words(value, measure)
    return mean if measure == "seconds" else f"{mean} ({interval_words(value, measure)})"
