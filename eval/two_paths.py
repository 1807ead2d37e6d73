"""Two paths to an answer, the tuned model's own and the one over passages, and a judge that picks one of them.

Rangan and Yin (2024), arXiv 2402.17081: a fine-tuned model and a vector store answer side by side. Where the judge
cannot tell, the answer over passages is taken: it can be checked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from assistant.cite import cite
from fieldguide.models.base import Embedder
from fieldguide.types import Context, Document
from retrieval.qim import influence

Answers = Sequence[Mapping[str, Any]]
Picks = list[bool]
"""Of each question, whether the answer over passages is taken."""


def by_support(
    questions: Sequence[str], closed: Answers, rag: Answers, contexts: Sequence[Context],
    documents: Mapping[str, Document], support: float,
) -> Picks:  # fmt: skip
    """The answer of which a larger share stands in the passages that the other one was given."""

    def share(question: str, text: str, context: Context) -> float:
        cited, unsupported = cite(question, text, context, documents, support) if text else ([], [])
        held = len({c.statement for c in cited})
        return held / (held + len(unsupported)) if text else 0.0

    return [
        share(q, r["text"], context) >= share(q, c["text"], context)
        for q, c, r, context in zip(questions, closed, rag, contexts, strict=True)
    ]


def by_refusal(closed: Answers, rag: Answers) -> Picks:
    """The answer over passages, unless it says that they do not hold one and the model has one of its own (EREN: answer
    from the notes, and only where they are of no use from memory; Chen et al. 2024, arXiv 2403.17431)."""
    return [bool(r["text"]) or not c["text"] for c, r in zip(closed, rag, strict=True)]


def by_influence(questions: Sequence[str], closed: Answers, rag: Answers, embedder: Embedder) -> Picks:
    """The answer that question and passages have more influence on: the mean QIM from the question and from the passage
    nearest to the answer. An empty answer has none."""
    texts: list[str] = []
    for question, c, r in zip(questions, closed, rag, strict=True):
        texts += [question, c["text"], r["text"], *(p["text"] for p in r["passages"])]
    kept = [text for text in dict.fromkeys(texts) if text]
    vectors = dict(zip(kept, np.asarray(embedder.embed(kept), dtype=np.float64), strict=True))

    def worth(question: str, answer: str, passages: Sequence[str]) -> float:
        if not answer:
            return -1.0
        target = vectors[answer][None, :]
        from_passages = [float(influence(vectors[text], target)[0]) for text in passages if text]
        return (float(influence(vectors[question], target)[0]) + max(from_passages, default=0.0)) / 2

    picks = []
    for question, c, r in zip(questions, closed, rag, strict=True):
        passages = [p["text"] for p in r["passages"]]
        picks.append(worth(question, r["text"], passages) >= worth(question, c["text"], passages))
    return picks


def by_likelihood(
    questions: Sequence[str], closed: Answers, rag: Answers, contexts: Sequence[Context],
    likelihoods: Callable[[Sequence[str], Sequence[Context | None], Sequence[str]], Sequence[float]],
) -> Picks:  # fmt: skip
    """The answer of which the model is surer: mean log-likelihood of its tokens after its own prompt.

    ``likelihoods`` takes questions, passages (None: without) and answers.
    """
    own = likelihoods(questions, [None] * len(questions), [c["text"] for c in closed])
    over = likelihoods(questions, contexts, [r["text"] for r in rag])
    return [bool(r["text"]) and (not c["text"] or b >= a) for c, r, a, b in zip(closed, rag, own, over, strict=True)]


def picked(closed: Answers, rag: Answers, picks: Picks) -> list[dict[str, Any]]:
    """The answers taken; each cost what both did."""
    out = []
    for c, r, takes_rag in zip(closed, rag, picks, strict=True):
        chosen = r if takes_rag else c
        spent = {
            name: c["trace"][name] + r["trace"][name] for name in ("prompt_tokens", "completion_tokens")
        }  # fmt: skip
        seconds = {
            name: c["trace"]["seconds"].get(name, 0.0) + r["trace"]["seconds"].get(name, 0.0)
            for name in {**c["trace"]["seconds"], **r["trace"]["seconds"]}
        }
        out.append({**chosen, "trace": {**chosen["trace"], **spent, "seconds": seconds}})
    return out
