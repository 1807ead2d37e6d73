"""What tuning brings on a BEIR folder: trained and chosen on its train queries alone, reported on its test queries.

Chosen on: a third of the train queries that shares no text with the rest. Reported on: the queries of
test_disjoint_queries.txt where there is such a file, since a text that train queries name too proves nothing.
"""

from __future__ import annotations

import random
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from bench.parts.shelves import Question, Shelf, beir, beir_questions, texts_shelf
from fieldguide.models import Embedder, load_embedder
from fieldguide.models.bundled import embedder_folder
from fieldguide.settings import Retrieval
from fieldguide.stats import paired_difference
from fieldguide.types import Chunk, QAPair, ScoredChunk, Silent
from retrieval.query import Queries
from retrieval.retriever import HybridRetriever
from retrieval.sentences import SentenceReranker
from tuning.mining import Mined, Mining
from tuning.ranking import MAIN, figures
from tuning.retriever_tuning import RetrieverTuning, tune_retriever

DEPTH = 30
FOLDS = 3
WEIGHTS = (0.0, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)
TRAINING = RetrieverTuning(learning_rate=5e-5, epochs=2, patience=2, max_tokens=128, blends=(0.5, 1.0), pool=300)


def run(folder: Path, quick: bool = False) -> dict[str, Any]:
    """Figures of the hybrid before, with the tuned embedder, and with the sentences step too; nDCG@10 and recall.

    ``quick`` trains on a few queries in one epoch, to see that everything runs.
    """
    train, rest = split(beir_questions(folder, "train"))
    dev = rest[: 10 if quick else 140]
    train = train[: 40 if quick else None]
    test = beir_questions(folder, "test")
    disjoint = folder / "test_disjoint_queries.txt"
    if disjoint.exists():
        kept = set(disjoint.read_text("utf-8").split())
        test = [question for question in test if question.id in kept]
    texts = beir(folder)
    base = embedder_folder(None, None, print)
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        embedder = load_embedder("bundled")
        shelf = texts_shelf(texts, root / "old", embedder)
        old = opened(shelf, embedder)
        chunks = shelf.catalog.chunks()
        by_name = {shelf.names[chunk.id]: chunk for chunk in chunks}
        tuned = tune_retriever(
            mined(train, old, by_name), mined(dev, old, by_name), chunks, base, root / "tuned",
            RetrieverTuning(**{**asdict(TRAINING), "epochs": 1 if quick else TRAINING.epochs}), Silent(),
        )  # fmt: skip
        tuned_embedder = load_embedder(str(tuned.folder))
        new = opened(texts_shelf(texts, root / "new", tuned_embedder), tuned_embedder)
        before, after = (found(retriever, test) for retriever in (old, new))
        out: dict[str, Any] = {"questions": len(test), "train": len(train), "dev": len(dev)}
        out["embedder"] = {
            name: tuned.manifest[name] for name in ("epoch", "blend", "dev_by_epoch", "dev_by_blend", "seconds")
        }
        rows = {"hybrid": before, "tuned_embedder": after}
        chosen: dict[str, tuple[float, float]] = {}
        for name, retriever, model, ranked in (("old", old, embedder, before), ("new", new, tuned_embedder, after)):
            chosen[name] = best_weight(dev, found(retriever, dev), model, shelf)
            rows[f"sentences_{name}"] = joined(test, ranked, model, chosen[name][1])
        out["dev"] = {name: {"ndcg10": round(value, 4), "weight": weight} for name, (value, weight) in chosen.items()}
        out["chosen"] = max(chosen, key=lambda name: chosen[name][0])  # on dev, before any test query is looked at
        rows["tuned"] = rows.pop(f"sentences_{out['chosen']}")
        scores = {name: of(test, ranked, shelf) for name, ranked in rows.items()}
        for name, values in scores.items():
            out[f"{name}_ndcg10"] = round(float(values[MAIN].mean()), 4)
            out[f"{name}_recall10"] = round(float(values["recall@10"].mean()), 4)
            if name != "hybrid":
                gain = paired_difference(values[MAIN], scores["hybrid"][MAIN], seed=0)
                out[f"{name}_gain"] = [round(number, 4) for number in (gain.mean, gain.low, gain.high)]
    return out


def split(questions: Sequence[Question]) -> tuple[list[Question], list[Question]]:
    """Questions to train on and to choose on; those that share a text, even by way of others, stay together."""
    group: dict[str, str] = {}

    def root(name: str) -> str:
        while group.setdefault(name, name) != name:
            name = group[name]
        return name

    for question in questions:
        first, *others = sorted(question.wanted)
        for other in others:
            group[root(other)] = root(first)
    names = sorted({root(min(question.wanted)) for question in questions})
    random.Random(0).shuffle(names)
    held = set(names[: len(names) // FOLDS])
    out: tuple[list[Question], list[Question]] = ([], [])
    for question in questions:
        out[root(min(question.wanted)) in held].append(question)
    return out


def opened(shelf: Shelf, embedder: Embedder) -> HybridRetriever:
    return HybridRetriever.open(shelf.catalog, shelf.index_folder, embedder, Retrieval())


def found(retriever: HybridRetriever, questions: Sequence[Question]) -> list[list[ScoredChunk]]:
    return retriever.retrieve([question.text for question in questions], DEPTH)


def mined(questions: Sequence[Question], retriever: HybridRetriever, by_name: dict[str, Chunk]) -> Mining:
    """Each question with each of its texts and one of the ten best others; every relevant text is marked in the set."""
    draw = random.Random(0)
    items = []
    for question, ranked in zip(questions, found(retriever, questions), strict=True):
        gold = frozenset(by_name[name].id for name in question.wanted)
        wrong = [held.chunk for held in ranked if held.chunk.id not in gold][:10]
        for name in sorted(question.wanted):
            pair = QAPair(question.id, question.text, "", name, by_name[name].id, (), "claim", "written", "train")
            items.append(Mined(pair, by_name[name], gold, (draw.choice(wrong),)))
    draw.shuffle(items)
    return Mining(tuple(items), {})


def joined(
    questions: Sequence[Question], ranked: Sequence[Sequence[ScoredChunk]], embedder: Embedder, weight: float
) -> list[list[ScoredChunk]]:
    queries = Queries([question.text for question in questions], embedder)
    return SentenceReranker(embedder, weight).rerank(queries, ranked)


def best_weight(
    questions: Sequence[Question], ranked: Sequence[Sequence[ScoredChunk]], embedder: Embedder, shelf: Shelf
) -> tuple[float, float]:
    """The best nDCG@10 of these questions and the weight of the sentences that gives it; of equal ones the smallest."""
    queries = Queries([question.text for question in questions], embedder)
    reranker = SentenceReranker(embedder)
    values = [
        (float(of(questions, reranker.weighing(w).rerank(queries, ranked), shelf)[MAIN].mean()), w) for w in WEIGHTS
    ]
    return max(values, key=lambda pair: (pair[0], -pair[1]))


def of(
    questions: Sequence[Question], ranked: Sequence[Sequence[ScoredChunk]], shelf: Shelf
) -> dict[str, np.ndarray[Any, Any]]:
    names = [[shelf.names[held.chunk.id] for held in row] for row in ranked]
    return figures(names, [question.wanted for question in questions])
