"""Why an answer over retrieved passages is wrong, what to do about it, and what mending each cause would bring.

Reads finished answers and the text of gold pages, no models. One cause an answer, the first in the order of the
pipeline: what was not read cannot be retrieved, and what was not retrieved cannot be used.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fieldguide import align

RIGHT_F1 = 0.5
"""From this token F1 on an answer is taken for right, as is one that contains the reference."""
_HOLDS = 0.8

CAUSES: Mapping[str, tuple[str, str]] = {
    "page not read": (
        "No text could be read on the page where the answer stands.",
        "See what `fieldguide ingest --report FILE` says of these pages; scans need OCR.",
    ),
    "reference doubtful": (
        "The answer stands on the gold page, and the reference does not.",
        "Check these references first: the figures cannot be better than they are.",
    ),
    "answered though nothing is there": (
        "The documents hold no answer, and one was given.",
        "Raise tuning.gold_missing_share, so that refusing is learned.",
    ),
    "not retrieved": (
        "No passage that was shown holds the answer.",
        "Try `fieldguide auto`, `fieldguide tune --retriever`, a larger retrieval.k or other chunks.",
    ),
    "refused though present": (
        "The passages hold the answer, and the model said that they do not.",
        "Lower tuning.gold_missing_share, or tune on more pairs.",
    ),
    "not supported": (
        "The passages hold the answer, and what was said stands in none of them.",
        "Tune on pairs of these documents, or use a larger model.",
    ),
    "not used": (
        "The answer was taken from another passage than the one that holds it.",
        "Fewer passages (`fieldguide tune-context`), a reranker, or tuning with hard negatives.",
    ),
    "used but wrong": (
        "The right passage was used, and the answer is wrong.",
        "Read some: tables and sums need a larger model, long answers are often right and only worded otherwise.",
    ),
}
"""Each cause, in the order in which they are tried: what it means and what to do next."""


def is_right(score: Mapping[str, Any]) -> bool:
    """Whether an answer with these metrics counts as right: "60 ft" shares half of its words with "5,194 ft", and no
    number, so where the reference has numbers they have to be stated."""
    return bool(score["containment"] == 1.0 or (score["token_f1"] >= RIGHT_F1 and score.get("numeric") != 0.0))


def cause(
    references: Sequence[str], gold: tuple[str, Sequence[int]] | None, gold_text: str | None, answer: Mapping[str, Any]
) -> str:
    """Why this wrong answer over passages is wrong: a key of ``CAUSES``.

    ``gold`` is the file and the pages where the reference stands and ``gold_text`` what was read there, None where it
    is not known; ``answer`` is as of ``assistant.answer.as_json``. Whether a passage holds the answer is decided by the
    reference's words; where the reference is not in the page's words, by the page.
    """
    if "" in references:
        return "answered though nothing is there"
    if gold_text is not None and not gold_text.strip():
        return "page not read"
    in_words = gold_text is None or _holds(references, gold_text)
    on_page = [p for p in answer["passages"] if gold and p["source"] == gold[0] and set(p["pages"]) & set(gold[1])]
    holding = [p for p in answer["passages"] if _holds(references, p["text"])] if in_words else on_page
    cited = [
        c for c in answer["citations"]
        if any(c["source"] == p["source"] and c["page"] in p["pages"] for p in holding)
    ]  # fmt: skip
    if not in_words and cited and not answer["unsupported"]:
        return "reference doubtful"
    if not holding:
        return "not retrieved"
    if answer["abstained"]:
        return "refused though present"
    if not answer["citations"]:
        return "not supported"
    return "used but wrong" if cited else "not used"


def table(causes: Sequence[str | None], scores: Sequence[float]) -> list[dict[str, Any]]:
    """A row for each cause that occurs, in the order of ``CAUSES``; None stands for a right answer.

    ``n`` questions, ``share`` of all, and ``brings``: by how much the mean score (0 to 1) rises if these were answered
    as well as the questions whose passages did hold the answer are on average (causes before the answer), or rightly
    (the others: the most that can be had).
    """
    reached = [s for c, s in zip(causes, scores, strict=True) if c not in ("page not read", "not retrieved")]
    usual = sum(reached) / len(reached) if reached else 1.0
    rows = []
    for name, (meaning, advice) in CAUSES.items():
        lost = [score for c, score in zip(causes, scores, strict=True) if c == name]
        if not lost:
            continue
        target = usual if name in ("page not read", "not retrieved") else 1.0
        rows.append({
            "cause": name, "n": len(lost), "share": len(lost) / len(scores),
            "brings": sum(max(0.0, target - score) for score in lost) / len(scores), "meaning": meaning,
            "advice": advice,
        })  # fmt: skip
    return rows


def _holds(references: Sequence[str], text: str) -> bool:
    """Whether a reference stands in the text, word for word or nearly."""
    for reference in references:
        close = align.find_close(reference, text)
        if align.find_exact(reference, text) or (close is not None and close.score >= _HOLDS):
            return True
    return False
