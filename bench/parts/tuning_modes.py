"""The further modes of bench/tuning.py: raw text, learning curve, refusals, the papers' order, reordering, options."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.parts.arms import Scores, answer, closed_prompts, difference, load, rag_prompts, summary, without_gold
from bench.parts.squad import Item, SquadShelf, store_human_pairs
from fieldguide.prompts.indicator import marked
from fieldguide.settings import Tuning
from retrieval.retriever import HybridRetriever
from tuning.start import find_start

if TYPE_CHECKING:
    from bench.tuning import Bench

BENCH_SETTINGS: dict[str, Any] = {
    "checks": 3, "general_questions": 0, "strength": 1.0, "dev_examples": 20,
}  # fmt: skip
"""What the bench sets beside the defaults: no general suite, whose questions would take as long as the test."""
DEV_SHARE = 0.12


def at(retriever: HybridRetriever, k: int, order: str) -> HybridRetriever:
    """The same retrieval with so many passages in this order."""
    return retriever.using(retriever.settings.model_copy(update={"k": k, "order": order}))


def _opened(bench: Bench, pairs: int = 0) -> tuple[SquadShelf, list[Item], list[int]]:
    """The first seed's shelf with people's pairs, its test questions and their passages."""
    shelf = bench.shelf(0)
    store_human_pairs(shelf, 0, DEV_SHARE, pairs or bench.pairs)
    items = bench.items(shelf)
    return shelf, items, [item.passage for item in items]


def _told(name: str, scores: Scores) -> Scores:
    print(f"  {name}: F1 {sum(scores.f1) / len(scores.f1):.3f}, refused {sum(scores.refused):.0f} of {len(scores.f1)}",
          file=sys.stderr, flush=True)  # fmt: skip
    return scores


def _figures(scores: dict[str, Scores], clusters: Sequence[int]) -> dict[str, Any]:
    return summary({name: [found] for name, found in scores.items()}, [clusters])


def curve(bench: Bench, sizes: Iterable[int] = (25, 50, 100, 0)) -> dict[str, Any]:
    """Tuned + RAG by the number of pairs trained on (0 = all)."""
    scores: dict[str, Scores] = {}
    clusters: list[int] = []
    for size in sizes:
        shelf, items, clusters = _opened(bench, size)
        rag = rag_prompts(shelf.retriever, items)
        if not scores:
            start, _ = find_start(bench.settings, bench.generator.base_hash())
            scores["0"] = _told("0 pairs", answer(bench.generator, rag, items, load(bench.generator, start)))
        pairs = len(shelf.catalog.pairs("train"))
        report, _ = bench.tune(shelf, 0)
        found = answer(bench.generator, rag, items, load(bench.generator, report.folder))
        scores[str(pairs)] = _told(f"{pairs} pairs", found)
        load(bench.generator, None)
    return {"curve": _figures(scores, clusters)}


def raw(bench: Bench) -> dict[str, Any]:
    """Continued pre-training on the trained half's text, without pairs; then with passages and without."""
    from fieldguide.types import QAPair

    shelf, items, clusters = _opened(bench)
    trained = {shelf.documents[n] for n in shelf.trained}
    chunks = [chunk for chunk in shelf.catalog.chunks() if chunk.document in trained]
    for old in {(p.chunk, p.origin) for p in shelf.catalog.pairs(every=True)}:
        shelf.catalog.store_pairs(*old, [], [])
    for chunk in chunks:  # the text itself as what to say, closed book
        pair = QAPair(f"raw-{chunk.id}", "Recite.", chunk.text, chunk.document, chunk.id, (), "fact", "text", "train")
        shelf.catalog.store_pairs(chunk.id, "text", [pair], [])
    report, minutes = bench.tune(shelf, 0, closed_book_share=1.0, gold_missing_share=0.0, start="none")
    scores = {}
    for name, prompts in (("raw", closed_prompts(items)), ("raw_rag", rag_prompts(shelf.retriever, items))):
        found = answer(bench.generator, prompts, items, load(bench.generator, report.folder))
        scores[name] = _told(name, found)
    load(bench.generator, None)
    table = _figures(scores, clusters)
    return {f"{name}_f1": row["f1"]["mean"] for name, row in table.items()} | {"intervals": table, "minutes": minutes}


def unanswerable(bench: Bench) -> dict[str, Any]:
    """Refusals where the gold passage is gone, false refusals where it is there; base, start and tuned."""
    shelf, items, clusters = _opened(bench)
    there, gone = rag_prompts(shelf.retriever, items), without_gold(shelf.retriever, items, shelf.documents)
    report, _ = bench.tune(shelf, 0)
    start, _ = find_start(bench.settings, bench.generator.base_hash())
    scores: dict[str, Scores] = {}
    for name, folder in (("base", None), ("start", start), ("tuned", report.folder)):
        if name == "start" and folder is None:
            continue
        adapter = load(bench.generator, folder)
        for kind, prompts in (("there", there), ("gone", gone)):
            scores[f"{name}_{kind}"] = _told(f"{name}, gold {kind}", answer(bench.generator, prompts, items, adapter))
    load(bench.generator, None)
    table = _figures(scores, clusters)
    out: dict[str, Any] = {"intervals": table}
    for name in ("base", "start", "tuned"):
        if f"{name}_gone" in table:
            out[f"{name}_refusals"] = table[f"{name}_gone"]["refused"]["mean"]
            out[f"{name}_false_refusals"] = table[f"{name}_there"]["refused"]["mean"]
    return out


def order(bench: Bench, ks: Sequence[int] = (1, 2, 3, 5, 10)) -> dict[str, Any]:
    """Direct tuning < RAG tuning < RAG tuning with reasoning? With k from 1 to 10. Also drawn, beside the root."""
    shelf, items, clusters = _opened(bench)
    kinds: dict[str, dict[str, Any]] = {
        "direct": {"closed_book_share": 1.0, "gold_missing_share": 0.0},
        "rag": {"passages": (1, 5)},
        "rag_reasoned": {"passages": (1, 5), "target": "reasoned"},
    }
    scores: dict[str, Scores] = {}
    prompts = {k: rag_prompts(at(shelf.retriever, k, "ends"), items) for k in ks}
    for k in ks:
        scores[f"base_k{k}"] = _told(f"base, k {k}", answer(bench.generator, prompts[k], items, None))
    for name, changes in kinds.items():
        report, _ = bench.tune(shelf, 0, **changes)
        adapter = load(bench.generator, report.folder)
        if name == "direct":
            scores["direct_closed"] = _told(name, answer(bench.generator, closed_prompts(items), items, adapter))
        for k in ks:
            found = answer(bench.generator, prompts[k], items, adapter, changes.get("target", "answer"))
            scores[f"{name}_k{k}"] = _told(f"{name}, k {k}", found)
        load(bench.generator, None)
    table = _figures(scores, clusters)
    _plot(bench.root / "order.png", table, ["base", *kinds], ks)
    return {"intervals": table, "plot": str(bench.root / "order.png")}


def _plot(path: Path, table: dict[str, Any], names: Sequence[str], ks: Sequence[int]) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.5, 3.8), layout="constrained")
    FigureCanvasAgg(figure)
    axis = figure.add_subplot()
    for name in names:
        rows = [table[f"{name}_k{k}"]["f1"] for k in ks]
        axis.errorbar(ks, [100 * r["mean"] for r in rows], capsize=2, marker="o", label=name.replace("_", " "),
                      yerr=[[100 * (r["mean"] - r["low"]) for r in rows],
                            [100 * (r["high"] - r["mean"]) for r in rows]])  # fmt: skip
    axis.set_xlabel("passages shown")
    axis.set_ylabel("token F1")
    axis.set_ylim(0, 100)
    axis.legend(frameon=False)
    figure.savefig(path, dpi=120)


def reorder(bench: Bench, ks: Sequence[int] = (5, 10, 20)) -> dict[str, Any]:
    """Trained with rank or ends × served with rank or ends."""
    shelf, items, clusters = _opened(bench)
    scores: dict[str, Scores] = {}
    for trained in ("rank", "ends"):
        report, _ = bench.tune(shelf, 0, passages=(3, 10), orders=(trained,))
        adapter = load(bench.generator, report.folder)
        for served in ("rank", "ends"):
            for k in ks:
                prompts = rag_prompts(at(shelf.retriever, k, served), items)
                name = f"{trained}_{served}_k{k}"
                scores[name] = _told(name, answer(bench.generator, prompts, items, adapter))
        load(bench.generator, None)
    return {"reorder": _figures(scores, clusters)}


OPTIONS: dict[str, dict[str, Any]] = {
    "none": {},
    "start none": {"start": "none"},
    "questions_per_context 1": {"questions_per_context": 1},
    "retrievers mixed": {"retrievers": ("served", "words", "dense")},
    "orders mixed": {"orders": ("rank", "ends", "random")},
    "passages 1 to 5": {"passages": (1, 5)},
    "target marked": {"target": "marked"},
    "target reasoned": {"target": "reasoned"},
    "own answers (S3FT)": {"own_answers": True},
    "self_guide 60": {"self_guide": 60},
    "rounds 1 (LLM2LLM)": {"rounds": 1},
    "clear 0.2 (CLEAR)": {"clear": 0.2},
    "instructions 3": {"instructions": 3},
    "replay 0.2": {"replay_share": 0.2},  # with --replay FILE
    "indicator": {"indicator": True},
    "half": {"half": True, "start": "none"},
    "gold_missing_share 0": {"gold_missing_share": 0.0},
    "rsLoRA": {"method": "rslora", "start": "none"},
    "DoRA": {"method": "dora", "start": "none"},
}
"""Each option against the settings of the bench; those that cannot begin with the reader stand beside "start none"."""


def options(bench: Bench) -> dict[str, Any]:
    """Tuned + RAG with each option, on the first seed; gold gone as well, and what was forgotten."""
    shelf, items, clusters = _opened(bench)
    there, gone = rag_prompts(shelf.retriever, items), without_gold(shelf.retriever, items, shelf.documents)
    scores: dict[str, Scores] = {}
    rows: dict[str, Any] = {}
    for name, changes in OPTIONS.items():
        if (bench.only and name not in bench.only) or ("replay_share" in changes and not bench.settings.replay):
            continue
        if "replay_share" not in changes:
            changes = {"replay": "", **changes}
        Tuning(**{**bench.settings.model_dump(), **changes})  # checked before anything runs
        report, minutes = bench.tune(shelf, 0, **changes)
        adapter = load(bench.generator, report.folder)
        served = [
            [marked(p) for p in part] if report.manifest["settings"]["indicator"] else part for part in (there, gone)
        ]
        style = changes.get("target", "answer")
        scores[name] = _told(name, answer(bench.generator, served[0], items, adapter, style))
        refused = answer(bench.generator, served[1], items, adapter, style).refused
        load(bench.generator, None)
        m = report.manifest
        general = m["general"]["change"] if m["general"] else {}
        rows[name] = {
            "f1": round(sum(scores[name].f1) / len(items), 4), "em": round(sum(scores[name].em) / len(items), 4),
            "refusals": round(sum(refused) / len(items), 3),
            "false_refusals": round(sum(scores[name].refused) / len(items), 3), "minutes": round(minutes, 2),
            "general_loss": round(general.get("loss", {}).get("mean", math.nan), 3), "notes": m["notes"],
        }  # fmt: skip
        against = "start none" if changes.get("start") == "none" and name != "start none" else "none"
        if against in scores and name != against:
            rows[name]["against"] = against
            rows[name]["difference"] = difference([scores[name]], [scores[against]], [clusters])
        print(json.dumps({name: rows[name]}), file=sys.stderr, flush=True)
    return {"options": rows, "intervals": _figures(scores, clusters)}
