"""`fieldguide qa report`: what the pairs are like, as one self-contained HTML file."""

from __future__ import annotations

import base64
import random
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any, get_args

from eval.question_metrics import DIRECTIONS, Judged, Reach, details, diversity, overlap, reach, stands
from eval.questions import from_pairs, questions_hash
from eval.report import page_environment
from fieldguide import __version__
from fieldguide.catalog import Catalog
from fieldguide.files import write_atomically
from fieldguide.models.base import Embedder
from fieldguide.printable import printable
from fieldguide.types import Kind, Level, QAPair, Split

_SAMPLE, _EXAMPLES = 200, 40


def measure(
    catalog: Catalog, embedder: Embedder, wanted: Mapping[str, float], seed: int, judged: Judged | None, judge: str
) -> dict[str, Any]:
    """Everything the page shows, JSON-able. ``wanted`` are the weights of kinds, ``judge`` says who rated, or why none.

    Unanswerable questions and follow-ups count in the mix, and not in what the metrics say of answers.
    """
    every = [pair for pair in catalog.pairs(every=True) if pair.verdict != "rejected"]
    plain = [pair for pair in every if pair.answerable]
    documents = {document.id: document for document in catalog.documents()}
    chunks = catalog.chunks()
    pages = {(page.document, page.number): page.text for d in documents for page in catalog.pages(d)}
    asked = [pair.question for pair in every]
    values = {
        "overlap": overlap(asked, [chunk.text for chunk in chunks]),
        "diversity": diversity(asked, embedder, _SAMPLE, seed),
        "details": details(asked),
        "extractive_coverage": sum(stands(pair, pages) for pair in plain) / len(plain) if plain else None,
        **(judged.ratings if judged is not None else {}),
    }
    covered = reach(every, chunks)
    rejected: Counter[str] = Counter()
    for (source, reason), n in catalog.rejections().items():
        rejected[f"{source.partition('-')[0]}: {reason}"] += n  # a source's id ends in a hash
    test = [pair for pair in plain if pair.split == "test" and not pair.after]
    return {
        "created": time.strftime("%Y-%m-%d %H:%M"), "version": __version__, "pairs": len(every),
        "test_set": questions_hash(from_pairs(test)) if test else "",
        "metrics": [{"name": n, "value": v, "direction": DIRECTIONS[n]} for n, v in values.items()],
        "judge": judge, "reach": _reach(covered),
        "kinds": _mix(every, wanted), "levels": _counted(Counter(p.level for p in every), get_args(Level)),
        "splits": _splits(every), "origins": dict(Counter(p.origin for p in every)),
        "yield_per_100_chunks": round(100 * len(every) / max(len(chunks), 1), 1),
        "rejections": dict(rejected.most_common()),
        "examples": [_example(p, documents[p.document].source) for p in _drawn(every, seed) if p.document in documents],
    }  # fmt: skip


def _reach(covered: Reach) -> dict[str, tuple[int, int]]:
    return {"documents": covered.documents, "sections": covered.sections, "chunks": covered.chunks}


def _mix(pairs: Sequence[QAPair], wanted: Mapping[str, float]) -> dict[str, dict[str, float]]:
    """Of each kind: how many, the share it has, and the share that the settings want (of kinds not named: 1)."""
    counts = Counter(pair.kind for pair in pairs)
    weights = {kind: wanted.get(kind, 1.0) for kind in get_args(Kind)}
    total = sum(weights.values()) or 1.0
    return {
        kind: {"n": counts[kind], "share": counts[kind] / max(len(pairs), 1), "wanted": weight / total}
        for kind, weight in weights.items()
    }


def _counted(counts: Counter[str], names: Sequence[str]) -> dict[str, int]:
    return {name: counts[name] for name in names}


def _splits(pairs: Sequence[QAPair]) -> dict[str, int]:
    counts = Counter(f"{p.split}, {p.group}" if p.group else p.split for p in pairs)
    return {name: counts[name] for split in get_args(Split) for name in sorted(counts) if name.startswith(split)}


def _drawn(pairs: Sequence[QAPair], seed: int) -> list[QAPair]:
    return random.Random(seed).sample(list(pairs), min(_EXAMPLES, len(pairs)))


def _example(pair: QAPair, source: str) -> dict[str, Any]:
    return {
        "question": pair.question, "answer": pair.answer, "kind": pair.kind, "level": pair.level, "split": pair.split,
        "group": pair.group, "origin": pair.origin, "source": Path(source).name,
        "pages": sorted({span.page for e in pair.evidence for span in e.spans}),
        "quotes": [e.quote for e in pair.evidence],
    }  # fmt: skip


def render(report: Mapping[str, Any], folder: Path) -> Path:
    """Write ``questions.html`` into the folder, complete or not at all, and return its path."""
    shown = {**printable(report), "plots": _plots(report), "tables": _tables(printable(report))}
    page = page_environment().get_template("questions.html.j2").render(report=shown)
    path = folder / "questions.html"
    write_atomically(path, page)
    return path


def _tables(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    rejected = sorted(report["rejections"].items(), key=lambda item: (-item[1], item[0]))
    percent = "{:.1f} %".format
    kinds = [(k, v["n"], percent(100 * v["share"]), percent(100 * v["wanted"])) for k, v in report["kinds"].items()]
    return [
        {"title": "Kinds", "columns": ("kind", "pairs", "share", "wanted share"), "rows": kinds,
         "note": "Wanted shares are the weights of questions.mix; a kind that the texts do not hold cannot reach its."},
        {"title": "Levels", "columns": ("level", "pairs"), "rows": list(report["levels"].items()), "note": ""},
        {"title": "Splits", "columns": ("split", "pairs"), "rows": list(report["splits"].items()),
         "note": "Test questions about trained facts in other words, about facts kept from training, and about "
                 "documents kept from training are told apart."},
        {"title": "Sources", "columns": ("source", "pairs"), "rows": list(report["origins"].items()),
         "note": f"{report['yield_per_100_chunks']} pairs for 100 chunks."},
        {"title": "Rejected", "columns": ("source and reason", "drafts"), "rows": rejected,
         "note": "Everything that a source wrote and that was not kept, by its reason."},
    ]  # fmt: skip


def _plots(report: Mapping[str, Any]) -> list[dict[str, str]]:
    kinds = {name: value["n"] for name, value in report["kinds"].items() if value["n"]}
    rejected = dict(sorted(report["rejections"].items(), key=lambda item: -item[1])[:12])
    told = (("Pairs by kind", kinds), ("Rejected drafts, the commonest reasons", rejected))
    return [{"png": _bars(rows), "caption": title, "words": _words(rows)} for title, rows in told if rows]


def _words(rows: Mapping[str, int]) -> str:
    return "; ".join(f"{name} {n}" for name, n in rows.items())


def _bars(rows: Mapping[str, int]) -> str:
    """A bar for each row, as a base64 PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.6, 0.7 + 0.32 * len(rows)), dpi=160, layout="constrained")
    FigureCanvasAgg(figure)  # becomes the figure's canvas: Agg, whatever the machine is set to
    axes = figure.add_subplot()
    bars = axes.barh(range(len(rows)), list(rows.values()), color="#0072b2", height=0.7)
    axes.bar_label(bars, padding=3, fontsize=8)
    axes.set_yticks(range(len(rows)))
    for label, name in zip(axes.set_yticklabels(list(rows)), rows, strict=True):
        label.set(parse_math=False, fontsize=9)
        label.set_text(str(name)[:60])
    axes.invert_yaxis()
    axes.tick_params(axis="x", labelsize=8)
    axes.spines[["right", "top"]].set_visible(False)
    out = BytesIO()
    figure.savefig(out, format="png", metadata={"Software": None})
    return base64.b64encode(out.getvalue()).decode("ascii")
