"""What the comparison says, in plain words: which arm to serve, or how many more questions it would take to know.

Knows nothing of how figures came about; reads means and intervals of token F1. A difference counts only where it is
``clear`` (``eval.evidence``: at a level that allows for looking several times). The best arm is recommended only if it
clearly beats the arms that it competes with; an adapter whose gain is not clear is not recommended, whatever its mean.
The rules and how often they err: docs/verdict.md.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from eval import significance

VerdictKind = Literal["tuned_rag", "base_rag", "tuned", "base", "undecided"]

KINDS: Mapping[str, VerdictKind] = {"base": "base", "base+RAG": "base_rag", "tuned": "tuned", "tuned+RAG": "tuned_rag"}
"""The arms, simplest first: of equal means the simpler arm is the better one."""

_RIVALS = {
    "base": ("base+RAG", "tuned"),
    "base+RAG": ("base", "tuned+RAG"),
    "tuned": ("base", "tuned+RAG", "base+RAG"),
    "tuned+RAG": ("base", "base+RAG"),
}
"""What the best arm has to beat clearly, where that arm was measured; a comparison that is missing was not won. Tuned +
RAG need not beat tuned: at equal worth it is the one that cites."""

_NOTHING = 0.005  # half an F1 point: no difference to speak of
_MOST_QUESTIONS = 10_000

Row = Mapping[str, Any]


def verdict(differences: Sequence[Row], arms: Sequence[Row]) -> tuple[VerdictKind, str]:
    """The arm to serve, or "undecided", and two to four sentences that say why.

    ``differences`` and ``arms`` are those of ``eval.report.Report``; a difference may be given either way round.
    """
    means = {
        arm["name"]: float(arm["metrics"]["token_f1"]["mean"])
        for arm in arms
        if arm["name"] in KINDS and arm["metrics"].get("token_f1", {}).get("n")
    }
    if not means:
        return "undecided", "No arm has answered a question yet, so there is nothing to compare."
    best = max((name for name in KINDS if name in means), key=means.__getitem__)
    adapter = _difference(differences, "tuned+RAG", "base+RAG")
    retrieval = _difference(differences, "base+RAG", "base")
    kind: VerdictKind = KINDS[best] if _won(best, means, differences) else "undecided"
    said = []
    if adapter is not None:
        said.append(_compare("tuned + RAG", "base + RAG", adapter))
        if adapter["clear"] and adapter["mean"] < 0:
            said.append("Do not serve the adapter with retrieval.")
    if retrieval is not None:
        said.append(_retrieval(retrieval))
    said.append(_advice(kind, best, means, adapter, retrieval))
    return kind, " ".join(said)


def questions_needed(row: Row) -> str | None:
    """Roughly how many more questions would make this difference clear if its mean stays (with a power of 80%); None
    if it is about zero."""
    if abs(row["mean"]) < _NOTHING:
        return None
    more = significance.questions_needed(row)
    if more > _MOST_QUESTIONS:
        return f"more than {_MOST_QUESTIONS:,}"
    step = 10 ** max(1, math.floor(math.log10(max(more, 1))) - 1)  # two digits are more than it is good for
    return f"{max(10, math.ceil(more / step) * step):,}"


def _won(best: str, means: Mapping[str, float], differences: Sequence[Row]) -> bool:
    rivals = [rival for rival in _RIVALS[best] if rival in means]
    gaps = [_difference(differences, best, rival) for rival in rivals]
    return bool(gaps) and all(gap is not None and gap["clear"] and gap["mean"] > 0 for gap in gaps)


def _difference(differences: Sequence[Row], a: str, b: str) -> Row | None:
    """The row of token F1 for a minus b, turned round if it was given as b minus a; None if it was not measured."""
    for row in differences:
        if row["metric"] != "token_f1" or not row["n"]:
            continue
        if (row["a"], row["b"]) == (a, b):
            return row
        if (row["a"], row["b"]) == (b, a):
            return {**row, "a": a, "b": b, "mean": -row["mean"], "low": -row["high"], "high": -row["low"]}
    return None


def _compare(a: str, b: str, row: Row) -> str:
    gap = _points(abs(row["mean"]))
    if row["clear"]:
        word = "better" if row["mean"] > 0 else "worse"
        return f"On these questions {a} is {word} than {b} by {gap} F1 points ({_interval(row)})."
    if row["low"] > 0 or row["high"] < 0:
        return (
            f"There is not enough evidence to tell {a} from {b}: it is {'ahead' if row['mean'] > 0 else 'behind'} by "
            f"{gap} F1 points ({_interval(row)}), but on too few questions or documents to rely on. "
            "Ask about more documents."
        )
    needed = questions_needed(row)
    if needed is None:
        return f"No difference between {a} and {b} is visible ({_interval(row)})."
    return (
        f"There is not enough evidence to tell {a} from {b}: the difference is {_points(row['mean'])} F1 points "
        f"({_interval(row)}). Ask about {needed} more questions to know, by a rough estimate."
    )


def _retrieval(row: Row) -> str:
    gap = _points(abs(row["mean"]))
    if not row["clear"]:
        return (
            "Whether retrieval pays off for the base model is not clear: the difference is "
            f"{_points(row['mean'])} F1 points ({_interval(row)})."
        )
    if row["mean"] > 0:
        return f"Retrieval pays off: it adds {gap} F1 points to the base model ({_interval(row)})."
    return f"Retrieval does harm: it costs the base model {gap} F1 points ({_interval(row)})."


def _advice(
    kind: VerdictKind, best: str, means: Mapping[str, float], adapter: Row | None, retrieval: Row | None
) -> str:
    mean = f"{_points(means[best])} F1 points"
    if kind == KINDS[best]:
        return f"The best arm is {_name(best)} with {mean}: serve it."
    advice = f"The highest mean is that of {_name(best)}, {mean}, but that is not evidence enough"
    if best.startswith("tuned") and adapter is not None and adapter["clear"] and adapter["mean"] > 0:
        return f"{advice}; until it is, serve tuned + RAG, which has proved itself against base + RAG."
    if retrieval is not None and retrieval["clear"] and retrieval["mean"] > 0:
        return f"{advice}; until it is, serve base + RAG."
    if adapter is not None or any(name.startswith("tuned") for name in means):
        return f"{advice}; until it is, do not serve an adapter."
    return f"{advice}."


def _name(arm: str) -> str:
    return arm.replace("+", " + ")


def _interval(row: Row) -> str:
    n = int(row["n"])
    return f"95% interval {_points(row['low'])} to {_points(row['high'])}, {n:,} question{'' if n == 1 else 's'}"


def _points(value: float) -> str:
    """A share as points of 100 with one decimal, with a proper minus."""
    text = f"{100 * value:.1f}"
    return "0.0" if text == "-0.0" else text.replace("-", "\u2212")
