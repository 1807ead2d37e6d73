"""How well does retrieval find the passage, one row a switch; with --speed also how fast (bench/parts/speed.py).

DIR is a BEIR folder (corpus.jsonl, queries_test.jsonl, qrels/), a folder of PDFs with qa.jsonl, a folder with
xquad.*.json, or a folder that holds such folders. The shelves are read, cut, indexed and searched by the product's own
parts with its settings as they come, and ranked before anything is reordered for a reader.

- BEIR: nDCG@10, recall@10 and recall@100 of dense, words and both. ``disjoint_*`` are the queries that
  test_disjoint_queries.txt names: none of their documents answers a query of the train split.
- PDFs: ``page_hit1``, 5, 10: is a page of the evidence among the first so many pages, in the order of the best chunk
  on each? Over all documents of the set, and (``within``) when only the question's document is searched. Questions are
  those with an answer and an evidence page. Intervals are 95%, whole documents drawn; the step of a row is its paired
  difference in hit@5 to the row above.
- xquad: recall@5 of the paragraphs in each language.

``--tuned`` tunes retriever and reranker on the train queries (minutes) for ``disjoint_tuned_ndcg10``.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
# This script's folder would hide the package `retrieval` behind this file.
sys.path[:] = [str(ROOT), *(path for path in sys.path if Path(path).resolve() != Path(__file__).parent.resolve())]

from bench.parts import shelves
from bench.parts.shelves import Question, Shelf
from fieldguide.cli.session import quieten
from fieldguide.models import load_embedder
from fieldguide.models.base import Embedder
from fieldguide.settings import Access, Retrieval
from fieldguide.stats import mean_interval, paired_difference
from retrieval.retriever import HybridRetriever
from retrieval.scope import scope

SWITCHES: dict[str, dict[str, Any]] = {
    "dense": {"channels": ("dense",), "clues": False},
    "words": {"channels": ("words",), "clues": False},
    "both, by rank": {"fusion": "rank", "clues": False},
    "both, by score": {"fusion": "score", "clues": False},
    "and clues": {"fusion": "score", "clues": True},
}
"""One row each: the settings that differ from the defaults. The last row is the defaults."""
HYBRID = "and clues"
DEPTH = 100  # chunks that are ranked
_QUICK = 60  # queries, and three files of a set of PDFs

Run = dict[str, list[str]]
"""Of each question's id: what was found, best first, none twice."""


def search(retriever: HybridRetriever, questions: Sequence[Question]) -> list[list[Any]]:
    """The chunks that each question finds, best first."""
    ranked = retriever.retrieve([question.text for question in questions], DEPTH)
    return [[passage.chunk for passage in passages] for passages in ranked]


def opened(shelf: Shelf, embedder: Embedder) -> dict[str, HybridRetriever]:
    """A retriever for each row."""
    first = HybridRetriever.open(shelf.catalog, shelf.index_folder, embedder, Retrieval())
    return {name: first.using(Retrieval(k=DEPTH, depth=DEPTH, **given)) for name, given in SWITCHES.items()}


def measure(run: Run, questions: Sequence[Question], measures: Sequence[str]) -> dict[str, dict[str, float]]:
    """Each measure of each question, by ir-measures."""
    import ir_measures

    wanted = {question.id: dict.fromkeys(question.wanted, 1) for question in questions}
    scored = {name: {found: -float(rank) for rank, found in enumerate(ranked)} for name, ranked in run.items()}
    values: dict[str, dict[str, float]] = {name: dict.fromkeys(wanted, 0.0) for name in measures}
    parsed = [ir_measures.parse_measure(name) for name in measures]
    for found in ir_measures.iter_calc(parsed, wanted, scored):
        values[str(found.measure)][found.query_id] = found.value
    return values


def mean(values: Mapping[str, float]) -> float:
    return sum(values.values()) / len(values)


def texts_found(shelf: Shelf, embedder: Embedder, questions: Sequence[Question], rows: Sequence[str]) -> dict[str, Run]:
    """The texts that each row's switches find."""
    retrievers = opened(shelf, embedder)
    out = {}
    for row in rows:
        chunks = search(retrievers[row], questions)
        out[row] = {
            question.id: [shelf.names[chunk.id] for chunk in found]
            for question, found in zip(questions, chunks, strict=True)
        }
    return out


def beir(folder: Path, work: Path, embedder: Embedder, quick: bool) -> dict[str, Any]:
    """nDCG@10 and recall, of all test queries and of the disjoint ones."""
    texts, questions = shelves.beir(folder), shelves.beir_questions(folder, "test")
    if quick:
        questions = questions[:_QUICK]
        wanted = {name for question in questions for name in question.wanted}
        texts = {name: text for n, (name, text) in enumerate(texts.items()) if n < 500 or name in wanted}
    listed = folder / "test_disjoint_queries.txt"
    chosen = set(listed.read_text("utf-8").split()) if listed.exists() else set()
    disjoint = [question for question in questions if question.id in chosen]
    shelf = shelves.texts_shelf(texts, work / folder.name, embedder)
    print(f"\n{folder.name}: {len(texts)} texts, {len(questions)} queries, {len(disjoint)} disjoint")
    print(f"{'':16}{'nDCG@10':>24}{'R@10':>8}{'R@100':>8}{'disjoint nDCG@10':>26}")
    figures: dict[str, Any] = {}
    names = {"dense": "dense", "words": "words", "both, by rank": "rank_fusion", "both, by score": "hybrid"}
    for row, run in texts_found(shelf, embedder, questions, list(names)).items():
        values = measure(run, questions, ("nDCG@10", "R@10", "R@100"))
        some = {question.id: values["nDCG@10"][question.id] for question in disjoint}
        print(
            f"{row:16}{interval(values['nDCG@10']):>24}{mean(values['R@10']):8.3f}{mean(values['R@100']):8.3f}"
            f"{interval(some):>26}"
        )
        figures |= {
            f"{names[row]}_ndcg10": round(mean(values["nDCG@10"]), 4),
            f"{names[row]}_recall10": round(mean(values["R@10"]), 4),
            f"{names[row]}_recall100": round(mean(values["R@100"]), 4),
            f"disjoint_{names[row]}_ndcg10": round(mean(some), 4) if some else None,
        }
    return figures


def interval(values: Mapping[str, float], clusters: Sequence[str] | None = None) -> str:
    if not values:
        return "–"
    found = mean_interval(list(values.values()), seed=0, clusters=clusters)
    return f"{found.mean:.3f} [{found.low:.3f}, {found.high:.3f}]"


def pages_found(shelf: Shelf, retriever: HybridRetriever, questions: Sequence[Question], within: bool) -> Run:
    """The pages of the chunks found, each once, in the order of the best chunk on it."""
    names = {document: Path(paths[0]).name for document, paths in shelf.catalog.sources().items()}
    batches: dict[str, list[Question]] = defaultdict(list)
    for question in questions:
        batches[question.document if within else ""].append(question)
    run: Run = {}
    for document, batch in batches.items():
        limited = retriever
        if document:
            limited = retriever.within(scope(shelf.catalog, {"document": [document]}, Access(), None))
        for question, chunks in zip(batch, search(limited, batch), strict=True):
            pages = [shelves.page_id(names[chunk.document], page) for chunk in chunks for page in chunk.pages]
            run[question.id] = list(dict.fromkeys(pages))
    return run


def pages(
    folder: Path, work: Path, embedder: Embedder, quick: bool, base: int | None
) -> tuple[dict[str, Any], dict[str, list[float]]]:
    """Hits of pages, and the values behind the pooled ones of the defaults, by figure."""
    files = shelves.pdfs(folder)[: 3 if quick else None]
    shelf = shelves.pdf_shelf(files, work / folder.name, embedder)
    questions = shelves.page_questions(folder, shelf.catalog, files, base)
    documents = [question.document for question in questions]
    counts = shelf.catalog.counts()
    sizes = f"{len(files)} files, {counts['pages']} pages, {counts['chunks']} chunks"
    print(f"\n{folder.name}: {sizes}, {len(questions)} questions")
    if not questions:
        return {}, {}
    print(f"{'hit@':16}{'1':>6}{'5':>22}{'10':>6}{'step in hit@5':>26}   within 1{'5':>22}{'10':>6}")
    figures: dict[str, Any] = {}
    before: list[float] = []
    pooled: dict[str, list[float]] = {}
    for row, retriever in opened(shelf, embedder).items():
        measures = ("Success@1", "Success@5", "Success@10")
        everywhere, inside = (
            measure(pages_found(shelf, retriever, questions, within), questions, measures) for within in (False, True)
        )
        now = list(everywhere["Success@5"].values())
        step = ""
        if before:
            change = paired_difference(now, before, seed=0, clusters=documents)
            step = f"{change.mean:+.3f} [{change.low:+.3f}, {change.high:+.3f}]"
        before = now
        print(
            f"{row:16}{mean(everywhere['Success@1']):6.2f}{interval(everywhere['Success@5'], documents):>22}"
            f"{mean(everywhere['Success@10']):6.2f}{step:>26}{mean(inside['Success@1']):11.2f}"
            f"{interval(inside['Success@5'], documents):>22}{mean(inside['Success@10']):6.2f}"
        )
        if row == HYBRID:
            for name in measures:
                key = name.replace("Success@", "page_hit")
                figures[f"{folder.name}_{key}"] = round(mean(everywhere[name]), 4)
                figures[f"{folder.name}_{key}_within"] = round(mean(inside[name]), 4)
                pooled[key] = list(everywhere[name].values())
                pooled[f"{key}_within"] = list(inside[name].values())
    return figures, pooled


def xquad(folder: Path, work: Path, embedder: Embedder, quick: bool) -> dict[str, Any]:
    """Recall@5 of the paragraphs by language."""
    print(f"\n{folder.name}: recall@5")
    figures: dict[str, Any] = {}
    for file in sorted(folder.glob("xquad.*.json")):
        language = file.name.split(".")[1]
        texts, questions = shelves.xquad(file)
        questions = questions[:_QUICK] if quick else questions
        shelf = shelves.texts_shelf(texts, work / f"xquad-{language}", embedder)
        runs = texts_found(shelf, embedder, questions, ("dense", "words", "both, by score"))
        values = {row: mean(measure(run, questions, ("R@5",))["R@5"]) for row, run in runs.items()}
        print(f"{language:4}" + "  ".join(f"{row} {value:.3f}" for row, value in values.items()))
        figures[f"xquad_{language}_recall5"] = round(values["dense"], 4)
        figures[f"xquad_{language}_words_recall5"] = round(values["words"], 4)
        figures[f"xquad_{language}_hybrid_recall5"] = round(values["both, by score"], 4)
    return figures


def main() -> None:
    """Print the tables; the last line is JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="a set, or a folder that holds sets")
    parser.add_argument("--quick", action="store_true", help="a part of each set")
    parser.add_argument("--speed", action="store_true", help="speed as well (needs a BEIR set for its texts)")
    parser.add_argument("--tuned", action="store_true", help="tune on the train queries of the BEIR set as well")
    parser.add_argument("--pages-from", type=int, choices=(0, 1), help="number of a first page in qa.jsonl")
    parser.add_argument("--work", type=Path, help="keep the indexed shelves here and use them again")
    options = parser.parse_args()
    quieten()
    logging.getLogger("ir_measures").setLevel(logging.ERROR)
    sets = [path for path in (options.data, *sorted(options.data.iterdir())) if path.is_dir() and shelves.kind(path)]
    if not sets:
        parser.error(f"{options.data} neither is nor holds a BEIR set, PDFs with qa.jsonl, or xquad.*.json")
    began = time.perf_counter()
    embedder = load_embedder("bundled", say=print)
    figures: dict[str, Any] = {"disjoint_tuned_ndcg10": None}
    pooled: dict[str, list[float]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as scratch:
        work = options.work or Path(scratch)
        for folder in sets:
            if shelves.kind(folder) == "beir":
                figures |= beir(folder, work, embedder, options.quick)
                if options.tuned:
                    from bench.parts import tuned

                    figures["tuning"] = tuned.run(folder, options.quick)
                    figures["disjoint_tuned_ndcg10"] = figures["tuning"]["tuned_ndcg10"]
                if options.speed:
                    from bench.parts import speed

                    figures |= speed.run(folder, speed.QUICK if options.quick else speed.SIZES)
            elif shelves.kind(folder) == "pdfs":
                found, values = pages(folder, work, embedder, options.quick, options.pages_from)
                figures |= found
                for name, listed in values.items():
                    pooled[name] += listed
            else:
                figures |= xquad(folder, work, embedder, options.quick)
    figures |= {name: round(sum(listed) / len(listed), 4) for name, listed in pooled.items()}
    figures |= {"embedder": embedder.id, "seconds": round(time.perf_counter() - began)}
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
