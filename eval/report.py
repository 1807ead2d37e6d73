"""The evaluation's report: one self-contained HTML file that can be mailed, printed and archived.

Lays out a finished, JSON-able ``Report``; computes no statistics and reads no model, index or catalogue. All text in it
may come from hostile documents or models: everything is escaped, and the page's content security policy runs no script
but its own and loads nothing.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, NotRequired, TypedDict

from eval.labels import (
    BLANK,
    METRICS,
    RETRIEVAL,
    TABLES,
    arm_label,
    interval_words,
    known,
    label_of,
    mean_words,
    number,
    points,
    signed,
)  # fmt: skip
from eval.significance import holm
from fieldguide.files import write_atomically
from fieldguide.printable import printable

ArmName = str


class Estimate(TypedDict):
    """A mean with its 95% interval. ``n`` is 0 where there was nothing to measure; the numbers are then ignored."""

    mean: float | None
    low: float | None
    high: float | None
    n: int


class ArmRow(TypedDict):
    name: ArmName
    metrics: Mapping[str, Estimate]  # by the names in METRICS


class DifferenceRow(Estimate):
    """The mean of a - b over the same questions; ``clear`` as in ``fieldguide.stats.Difference``."""

    a: ArmName
    b: ArmName
    metric: str
    clear: bool


class GroupRow(TypedDict):
    """A group of questions, and each arm's token F1 on it."""

    name: str
    n: int
    arms: Mapping[str, Estimate]


class CitationRow(TypedDict):
    """``gold``: it cites a page on which the reference's evidence stands."""

    source: str
    page: int
    quote: str
    verified: bool
    gold: bool


class PassageRow(TypedDict):
    source: str
    pages: Sequence[int]
    text: str
    score: float


class ArmAnswer(TypedDict):
    """One arm's answer to one question; ``unsupported`` are its statements that no passage says."""

    text: str
    token_f1: float
    exact_match: float
    scores: NotRequired[Mapping[str, float | None]]
    citations: Sequence[CitationRow]
    unsupported: Sequence[str]
    trace: Mapping[str, Any]
    passages: Sequence[PassageRow]


class ItemRow(TypedDict):
    """One question; ``document`` and ``pages`` are where its evidence stands. An arm without an answer is left out."""

    id: str
    question: str
    reference: str
    document: str
    pages: Sequence[int]
    answers: Mapping[str, ArmAnswer]


class QuestionSet(TypedDict):
    n: int
    source: str
    hash: str
    by_split: Mapping[str, int]


class Integrity(TypedDict):
    base_hash_start: str
    base_hash_end: str
    adapter: str | None
    ok: bool


class ModelNames(TypedDict):
    generator: str
    embedder: str


class Report(TypedDict):
    """What ``render`` takes. Shares are from 0 to 1; timings are seconds; times and versions are shown as given."""

    title: str
    created: str
    version: str
    verdict: str
    verdict_kind: Literal["tuned_rag", "base_rag", "tuned", "base", "undecided"]
    questions: QuestionSet
    arms: Sequence[ArmRow]
    differences: Sequence[DifferenceRow]
    groups: Sequence[GroupRow]
    items: Sequence[ItemRow]
    integrity: Integrity
    settings: Mapping[str, Any]
    timings: Mapping[str, Any]
    models: ModelNames
    costs: NotRequired[Mapping[str, float | None]]  # by arm: of a thousand answers
    retrieval: NotRequired[Mapping[str, Estimate]]  # eval.retrieval_metrics.page_metrics
    judge: NotRequired[Mapping[str, Any] | None]  # eval.judged.Judged.told
    since: NotRequired[Mapping[str, Any] | None]  # eval.report_diff: against an earlier report
    look: NotRequired[Mapping[str, Any]]  # number, level, spent (eval.looks)
    prompts: NotRequired[Mapping[str, Sequence[Mapping[str, Any]]]]  # by arm: what was tried (eval.best_prompt)
    memory_mb: NotRequired[int]  # the most that the process held
    interaction: NotRequired[Mapping[str, Any] | None]  # eval.significance.interaction of token F1
    failures: NotRequired[Mapping[str, Sequence[Mapping[str, Any]]]]  # by arm: eval.failures.table
    notes: NotRequired[Sequence[str]]  # failures, exclusions, warnings: shown under the verdict


HEADLINES = {
    "tuned_rag": "Serve the tuned model with retrieval",
    "base_rag": "Serve the base model with retrieval",
    "tuned": "Serve the tuned model without retrieval",
    "base": "Serve the base model without retrieval",
    "undecided": "Not enough evidence yet",
}

_OPTIONAL = ("numeric",)
"""Measures that are left out where they apply to nothing."""
_UNUSABLE = "Do not use these figures"
_COLOURS = {"base": "#6b6b6b", "base+RAG": "#0072b2", "tuned": "#a65f00", "tuned+RAG": "#00735c"}  # after Okabe and Ito
_MARKERS = {"base": "o", "base+RAG": "s", "tuned": "^", "tuned+RAG": "D"}


def render(report: Mapping[str, Any], folder: Path) -> Path:
    """Write ``report.html`` into the folder, which is made if missing, and return its path.

    ``report`` is a ``Report``. The file is complete or not there: it is written beside and renamed.
    """
    environment = page_environment()
    environment.filters.update(
        arm=arm_label,
        points=points,
        interval=interval_words,
        mean=mean_words,
        signed=signed,
        pages=_pages,
        flat=_flat,
        number=number,
    )
    page = environment.get_template("report.html.j2").render(_view(printable(report)))
    path = folder / "report.html"
    write_atomically(path, page)
    return path


def page_environment() -> Any:
    """The jinja environment of report pages: everything is escaped, and nothing may be missing."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    environment.filters.update(csp_hash=_csp_hash)
    return environment


def _view(report: Any) -> dict[str, Any]:
    """The report with what the template shows and does not work out itself."""
    arms = [arm["name"] for arm in report["arms"]]
    measured = {
        metric
        for arm in report["arms"]
        for metric, value in arm["metrics"].items()
        if metric in METRICS and (metric not in _OPTIONAL or value["n"])
    }
    costs = {arm: cost for arm, cost in report.get("costs", {}).items() if cost is not None}
    items = [_item(item, arms) for item in report["items"]]
    return {
        "report": report,
        "headline": HEADLINES.get(report["verdict_kind"], "Verdict") if report["integrity"]["ok"] else _UNUSABLE,
        "arms": arms,
        "tables": {title: rows for title, of in TABLES.items() if (rows := [name for name in of if name in measured])},
        "metrics": {name: METRICS[name] for name in METRICS if name in measured},
        "retrieval": [(RETRIEVAL.get(name, name), value) for name, value in report.get("retrieval", {}).items()],
        "judge": report.get("judge"),
        "since": report.get("since"),
        "costs": costs,
        "best": {metric: _best_arms(report["arms"], metric) for metric in measured},
        "plot": _plot(report["arms"]),
        "plot_words": _plot_words(report["arms"]),
        "differences": _differences(report["differences"]),
        "interaction": _interaction(report.get("interaction")),
        "failures": {arm: rows for arm, rows in report.get("failures", {}).items() if rows},
        "items": items,
        "counts": {kind: sum(item["change"] == kind for item in items) for kind in ("better", "worse")},
    }


def _item(item: Any, arms: Sequence[str]) -> dict[str, Any]:
    scores = {arm: item["answers"][arm]["token_f1"] for arm in arms if arm in item["answers"]}
    top = max(scores.values(), default=0.0)
    differ = len(set(scores.values())) > 1
    gain = scores["tuned+RAG"] - scores["base+RAG"] if {"tuned+RAG", "base+RAG"} <= scores.keys() else 0.0
    columns: list[dict[str, Any]] = []
    for arm in arms:
        answer = item["answers"].get(arm)
        if answer is None:
            columns.append({"arm": arm, "answer": None})
            continue
        same = [c["arm"] for c in columns if c["answer"] and c["answer"]["passages"] == answer["passages"]]
        parts, elsewhere = _marked(answer["text"], answer["unsupported"])
        columns.append(
            {
                "arm": arm,
                "answer": answer,
                "best": differ and answer["token_f1"] == top,
                "parts": parts,
                "elsewhere": elsewhere,
                "same_passages_as": same[0] if same else None,
            }
        )
    change = "same" if abs(gain) < 1e-9 else "better" if gain > 0 else "worse"
    return {"item": item, "columns": columns, "change": change, "gain": gain}


def _marked(text: str, unsupported: Sequence[str]) -> tuple[list[tuple[str, bool]], list[str]]:
    """The text cut into (piece, is unsupported), and the unsupported statements that do not stand in it literally."""
    flags = [False] * len(text)
    elsewhere = []
    for statement in unsupported:
        start = text.find(statement) if statement else -1
        if start < 0:
            elsewhere.append(statement)
        else:
            flags[start : start + len(statement)] = [True] * len(statement)
    cuts = [0, *(i for i in range(1, len(text)) if flags[i] != flags[i - 1]), len(text)]
    return [(text[a:b], flags[a]) for a, b in pairwise(cuts) if a < b], elsewhere


def _best_arms(arms: Sequence[Any], metric: str) -> list[str]:
    """The arms with the highest mean, where more than one was measured and a higher mean is better."""
    means = {arm["name"]: arm["metrics"][metric]["mean"] for arm in arms if known(arm["metrics"].get(metric))}
    if not METRICS[metric][2].startswith("Higher") or len(set(means.values())) < 2:
        return []
    return [name for name, mean in means.items() if mean == max(means.values())]


def _differences(rows: Sequence[Any]) -> list[dict[str, Any]]:
    """Each row with its words, the class of their colour, and its p as corrected over all rows. (In a template
    ``row.clear`` is the dict's method.)"""
    adjusted = holm({n: row["p"] for n, row in enumerate(rows) if row.get("p") is not None})
    out = []
    for n, row in enumerate(rows):
        words, colour = _difference_words(row)
        label = label_of(row["metric"])
        p = adjusted.get(n)
        said = BLANK if p is None else "< 0.001" if p < 0.001 else f"{p:.3f}"
        out.append({"row": row, "metric": label, "words": words, "colour": colour, "p": said})
    return out


def _interaction(value: Mapping[str, Any] | None) -> str:
    """Whether tuning and retrieval help each other, in a sentence."""
    if not known(value) or value is None:
        return ""
    found = f"{signed(value['mean'])} F1 points, {interval_words(value)}"
    if not value["clear"]:
        return f"Whether tuning and retrieval help each other or stand in for each other is not clear ({found})."
    if value["mean"] > 0:
        return f"Tuning and retrieval help each other: retrieval adds more to the tuned model ({found})."
    return f"Tuning and retrieval stand in for each other: retrieval adds less to the tuned model ({found})."


def _difference_words(row: Any) -> tuple[str, Literal["soft", "up", "down", ""]]:
    if not known(row):
        return "not measured", "soft"
    if not row["clear"]:
        apart = row["low"] > 0 or row["high"] < 0
        return "too few questions or documents to rely on" if apart else "no clear difference", "soft"
    more = row["mean"] > 0
    if row["metric"] == "answered":
        return f"{arm_label(row['a'])} answers {'more' if more else 'less'} often", ""
    return (f"{arm_label(row['a'])} is better", "up") if more else (f"{arm_label(row['a'])} is worse", "down")


def _plot(arms: Sequence[Any]) -> str | None:
    """Dot and interval of each arm's token F1, as a base64 PNG; None if nothing was measured."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = [(arm["name"], arm["metrics"]["token_f1"]) for arm in arms if known(arm["metrics"].get("token_f1"))]
    if not rows:
        return None
    figure = Figure(figsize=(7.6, 0.9 + 0.46 * len(rows)), dpi=200, layout="constrained")
    FigureCanvasAgg(figure)  # becomes the figure's canvas: Agg, whatever the machine is set to
    axes = figure.add_subplot()
    for y, (name, value) in enumerate(rows):
        mean, low, high = (100 * value[key] for key in ("mean", "low", "high"))
        colour = _COLOURS.get(name, "#333333")
        axes.plot([low, high], [y, y], color=colour, linewidth=2.2, solid_capstyle="butt")
        axes.plot([mean], [y], color=colour, marker=_MARKERS.get(name, "o"), markersize=8)
        axes.annotate(
            f"{mean:.1f}",
            (mean, y),
            xytext=(0, 7),
            textcoords="offset points",
            ha="center",
            fontsize=9,
            color="#1b1b1b",
        )
    lowest, highest = (pick(100 * value[key] for _, value in rows) for pick, key in ((min, "low"), (max, "high")))
    margin = max(2.0, 0.06 * (highest - lowest))
    axes.set_xlim(lowest - margin, highest + margin)
    axes.set_ylim(len(rows) - 0.5, -0.7)
    axes.set_yticks(range(len(rows)))
    for label, (name, _) in zip(axes.set_yticklabels([arm_label(name) for name, _ in rows]), rows, strict=True):
        label.set(parse_math=False, fontsize=10, color=_COLOURS.get(name, "#333333"))
    axes.set_xlabel("Token F1, points of 100 (mean and 95% interval)", fontsize=9)
    axes.tick_params(axis="y", length=0)
    axes.tick_params(axis="x", labelsize=9)
    axes.grid(axis="x", color="#dddddd", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["left", "right", "top"]].set_visible(False)
    out = BytesIO()
    figure.savefig(out, format="png", metadata={"Software": None})
    return base64.b64encode(out.getvalue()).decode("ascii")


def _plot_words(arms: Sequence[Any]) -> str:
    """What the plot shows, for those who cannot see it."""
    return "; ".join(
        f"{arm_label(arm['name'])} {points(value['mean'])}, interval {interval_words(value)}"
        for arm in arms
        if known(value := arm["metrics"].get("token_f1"))
    )


def _pages(numbers: Sequence[int]) -> str:
    return ("p. " if len(numbers) == 1 else "pp. ") + ", ".join(map(str, numbers)) if numbers else ""


def _flat(value: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Nested settings as (dotted key, text), in their order."""
    rows: list[tuple[str, str]] = []
    for key, inner in value.items():
        name = f"{prefix}{key}"
        if isinstance(inner, Mapping) and inner:
            rows += _flat(inner, f"{name}.")
        else:
            rows.append((name, _plain_text(inner)))
    return rows


def _plain_text(value: Any) -> str:
    if value is None or value in ("", [], {}):
        return BLANK
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list):
        return ", ".join(map(_plain_text, value))
    return str(value)


def _csp_hash(text: str) -> str:
    """The source expression by which a content security policy allows exactly this script or style."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")
