"""The measures of single answers: against the reference, against the passages, and what they cost.

Reads finished answers (``assistant.answer.as_json``); draws no intervals and asks no generator.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from eval.questions import TestQuestion
from fieldguide import metrics
from fieldguide.models.base import Embedder
from fieldguide.quantities import numeric_match

ANSWERS = ("token_f1", "exact_match", "rouge_l", "chrf", "containment", "numeric", "similarity", "answered")
CITATIONS = ("citation_precision", "citation_recall", "faithfulness")
COSTS = ("seconds", "prompt_tokens", "completion_tokens", "words")
MEASURES = (*ANSWERS, *CITATIONS, *COSTS)
"""Shares from 0 to 1 (similarity: a cosine), but for those of COSTS."""

Score = dict[str, float | None]


def score(question: TestQuestion, answer: Mapping[str, Any], similarity: float | None, *, reading: bool) -> Score:
    """Each measure of one answer, None where it does not apply.

    *numeric*: all numbers of a reference are stated, units converted; for references with numbers.
    *citation_precision*: share of citations that lead to a page where the reference's evidence stands.
    *citation_recall*: share of those pages that are cited; both where the pages are known.
    *faithfulness*: share of the answer's statements that a shown passage supports. ``reading``: the arm answers over
    passages, so what it leaves uncited or unsupported counts, also where it was shown none.
    """
    text, citations, trace = answer["text"], answer["citations"], answer["trace"]
    gold = is_gold(question, answer)
    known = bool(question.document is not None and question.pages)
    supported = len({citation["statement"] for citation in citations})
    statements = supported + len(answer["unsupported"])
    pages = {c["page"] for c, is_right in zip(citations, gold, strict=True) if is_right}
    return {
        "token_f1": metrics.token_f1(text, question.answers),
        "exact_match": metrics.exact_match(text, question.answers),
        "rouge_l": metrics.rouge_l(text, question.answers),
        "chrf": metrics.chrf(text, question.answers),
        "containment": metrics.containment(text, question.answers),
        "numeric": numeric_match(text, question.answers),
        "similarity": similarity,
        "answered": float(not answer["abstained"]),
        "citation_precision": sum(gold) / len(gold) if gold and known else None,
        "citation_recall": len(pages) / len(question.pages) if known and reading else None,
        "faithfulness": supported / statements if reading and statements else None,
        "seconds": float(sum(trace["seconds"].values())),
        "prompt_tokens": float(trace["prompt_tokens"]),
        "completion_tokens": float(trace["completion_tokens"]),
        "words": float(len(text.split())),
    }


def is_gold(question: TestQuestion, answer: Mapping[str, Any]) -> list[bool]:
    """Of each citation, whether it leads to a page on which the reference's evidence stands."""
    return [c["document"] == question.document and c["page"] in question.pages for c in answer["citations"]]


def similarities(
    questions: Sequence[TestQuestion], answers: Sequence[Mapping[str, Any]], embedder: Embedder
) -> list[float]:
    """Cosine of each answer's vector and its reference's, of several references the best; an empty answer has 0, or 1
    where nothing is what is to be said.

    Sentence similarity by an embedder: what a measure of words misses ("12 ft" and "twelve feet").
    """
    said = [n for n, answer in enumerate(answers) if answer["text"].strip()]
    references = [(n, reference) for n in said for reference in questions[n].answers]
    out = [float(not a["text"].strip() and "" in q.answers) for q, a in zip(questions, answers, strict=True)]
    if not said:
        return out
    texts = list(dict.fromkeys([*(answers[n]["text"] for n in said), *(reference for _, reference in references)]))
    vectors = dict(zip(texts, np.asarray(embedder.embed(texts), dtype=np.float64), strict=True))
    best: dict[int, float] = {}
    for n, reference in references:
        best[n] = max(best.get(n, -1.0), float(vectors[answers[n]["text"]] @ vectors[reference]))
    for n, value in best.items():
        out[n] = value
    return out
