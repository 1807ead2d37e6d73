"""The embedder's and the reranker's training on a random BERT of two layers, and the folders that come out."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fieldguide.errors import ModelError, NotReady
from fieldguide.models.sentence_transformer import SentenceTransformerEmbedder
from fieldguide.models.tiny import write_tiny_encoder
from fieldguide.types import Chunk, QAPair, ScoredChunk, Silent, Span
from retrieval.cross_encoder import CrossEncoderReranker
from retrieval.query import Queries
from tuning.mining import Mined, Mining
from tuning.reranker_tuning import Ranked, RerankerTuning, joined, tune_reranker
from tuning.retriever_tuning import RetrieverTuning, blended, dev_pool, training_rows, tune_retriever

THINGS = ["pump", "valve", "engine", "pilot", "sales", "crane", "bridge", "turbine"]
CODES = ["red", "green", "blue", "black", "white", "brown", "grey", "pink"]
FAST = RetrieverTuning(learning_rate=5e-3, epochs=4, batch_size=4, patience=4, pool=2, blends=(0.5, 1.0))


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import torch

    torch.set_num_threads(1)
    words = ["what", "of", "the", "is", *THINGS, *CODES]
    return write_tiny_encoder(tmp_path_factory.mktemp("tiny-encoder") / "model", words)


CHUNKS = [Chunk(f"c{n}", f"d{n // 2}", (Span(1, 0, 9),), f"{code} is {code}", (), "") for n, code in enumerate(CODES)]


def item(n: int, *negatives: int) -> Mined:
    """Each thing belongs to the colour of its number, which only training can tell."""
    asked = QAPair(f"p{n}", f"what of the {THINGS[n]}", "", f"d{n // 2}", f"c{n}", (), "fact", "test", "train")
    return Mined(asked, CHUNKS[n], frozenset({f"c{n}"}), tuple(CHUNKS[m] for m in negatives))


TRAIN = Mining(tuple(item(n, (n + 1) % 8, (n + 3) % 8) for n in range(8)), {})
NOTHING = Mining((), {})


def test_training_teaches_what_belongs_together(base: Path, tmp_path: Path) -> None:
    made = tune_retriever(TRAIN, TRAIN, CHUNKS, base, tmp_path, FAST, Silent())
    dev = made.manifest["dev"]["figures"]["ndcg@10"]
    assert made.better
    assert made.trained
    assert dev["new"] > dev["old"] + 0.1
    assert made.manifest["dev_by_blend"][f"{made.manifest['blend']:g}"] == pytest.approx(dev["new"])
    assert json.loads((made.folder / "manifest.json").read_text()) == made.manifest
    tuned = SentenceTransformerEmbedder(made.folder, name="tuned", device="cpu")
    assert tuned.id == f"tuned:{made.id}:32"
    pool = dev_pool(TRAIN.items, CHUNKS, 2, 0)
    hits = [row[0] in gold for row, gold in zip(pool.ranked(tuned.embed), pool.wanted, strict=True)]
    assert np.mean(hits) == pytest.approx(made.manifest["dev"]["figures"]["recall@1"]["new"])
    again = tune_retriever(TRAIN, TRAIN, CHUNKS, base, tmp_path, FAST, Silent())
    assert (again.id, again.trained, again.manifest) == (made.id, False, made.manifest)
    assert [p.name for p in tmp_path.iterdir()] == [made.id]


def test_the_teacher_decides_where_the_pairs_are_silent(base: Path, tmp_path: Path) -> None:
    """With the contrast all but off, the vectors follow the teacher's preference for the first negative."""
    settings = RetrieverTuning(
        learning_rate=5e-3, epochs=25, batch_size=8, patience=25, blends=(1.0,), distil=1000.0, teacher_temperature=0.1
    )
    teacher = [(-3.0, -0.1, -3.0)] * 8
    made = tune_retriever(TRAIN, NOTHING, CHUNKS, base, tmp_path, settings, Silent(), teacher=teacher)
    assert made.manifest["distilled"]
    embedder = SentenceTransformerEmbedder(made.folder, name="tuned", device="cpu")
    questions = embedder.embed([i.pair.question for i in TRAIN.items])
    wins = []
    for question, i in zip(questions, TRAIN.items, strict=True):
        positive, first, second = embedder.embed([c.indexed_text for c in (i.positive, *i.negatives)]) @ question
        wins.append(first > positive and first > second)
    assert np.mean(wins) >= 0.75


def test_without_dev_questions_the_old_weights_have_most_to_say(base: Path, tmp_path: Path) -> None:
    made = tune_retriever(TRAIN, NOTHING, CHUNKS, base, tmp_path, FAST, Silent())
    assert (made.better, made.manifest["blend"], made.manifest["dev"]) == (True, 0.5, None)


def test_a_stopped_training_leaves_nothing(base: Path, tmp_path: Path) -> None:
    asked: Iterator[bool] = iter([False, False, True])
    with pytest.raises(KeyboardInterrupt):
        tune_retriever(TRAIN, TRAIN, CHUNKS, base, tmp_path, FAST, Silent(), stopped=lambda: next(asked))
    with pytest.raises(KeyboardInterrupt):
        tune_reranker(TRAIN, DEV, base, tmp_path, RANKING, Silent(), stopped=lambda: True)
    assert list(tmp_path.iterdir()) == []


def test_nothing_to_train_on_is_said(base: Path, tmp_path: Path) -> None:
    with pytest.raises(NotReady, match="fieldguide qa"):
        tune_retriever(NOTHING, NOTHING, CHUNKS, base, tmp_path, FAST, Silent())
    with pytest.raises(NotReady, match="fieldguide qa"):
        tune_reranker(NOTHING, DEV, base, tmp_path, RANKING, Silent())
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "model.safetensors").write_bytes(b"")
    with pytest.raises(ModelError, match="No cross-encoder can be made"):
        tune_reranker(TRAIN, DEV, tmp_path / "x", tmp_path, RANKING, Silent())


def test_rows_have_one_width_and_labels_in_their_order() -> None:
    rows = training_rows([item(0, 1, 2), item(3, 4)], [(-1, -2, -3), (-1, -np.inf)])
    assert rows[1]["negative_1"] == rows[1]["negative_2"] == CHUNKS[4].text
    assert [row["label"] for row in rows] == [[-1, -2, -3], [-1, -100, -100]]
    assert list(training_rows([item(0, 1)], None)[0]) == ["anchor", "positive", "negative_1"]


def test_blends_lie_between() -> None:
    import torch

    old, new = ({"w": torch.tensor([v]), "n": torch.tensor([int(v)])} for v in (1.0, 3.0))
    mixed = blended(old, new, 0.25)
    assert (float(mixed["w"]), int(mixed["n"])) == (1.5, 3)


def test_the_pool_holds_gold_negatives_and_others() -> None:
    pool = dev_pool([item(0, 1), item(2, 1)], CHUNKS, 3, seed=1)
    assert pool.texts[:3] == tuple(c.indexed_text for c in CHUNKS[:3])
    assert len(set(pool.texts)) == 6
    assert pool.gold == ({0}, {2})
    assert pool.documents == ("d0", "d1")
    assert dev_pool([item(0, 1), item(2, 1)], CHUNKS, 3, seed=1) == pool
    everywhere = pool.ranked(lambda texts: np.eye(6)[[pool.texts.index(t) if t in pool.texts else 2 for t in texts]])
    assert [row[0] for row in everywhere] == ["2", "2"]


RANKING = RerankerTuning(learning_rate=2e-3, epochs=12, batch_size=8, max_tokens=32, patience=12, weights=(0.3, 1.0))


def candidates(n: int) -> tuple[ScoredChunk, ...]:
    """The wrong one first."""
    return tuple(ScoredChunk(CHUNKS[m % 8], 1 / r, r) for r, m in enumerate((n + 1, n, n + 3), 1))


DEV = [Ranked(item(n).pair.question, candidates(n), frozenset({f"c{n}"}), f"d{n}") for n in range(8)]


@pytest.mark.parametrize("loss", ["bce", "lambda"])
def test_the_reranker_learns_and_serves_as_it_was_measured(base: Path, tmp_path: Path, loss: Any) -> None:
    settings = RerankerTuning(**{**_fields(RANKING), "loss": loss})
    made = tune_reranker(TRAIN, DEV, base, tmp_path, settings, Silent())
    dev = made.manifest["dev"]["figures"]
    assert dev["recall@1"]["old"] == 0
    assert dev["recall@1"]["new"] > 0.6
    assert made.better
    reranker = CrossEncoderReranker.load(str(made.folder), None)
    queries = Queries([d.question for d in DEV], embedder=None)  # type: ignore[arg-type]
    ranked = reranker.rerank(queries, [d.candidates for d in DEV])
    assert np.mean([row[0].chunk.id in d.gold for row, d in zip(ranked, DEV, strict=True)]) == dev["recall@1"]["new"]
    again = tune_reranker(TRAIN, DEV, base, tmp_path, settings, Silent())
    assert (again.id, again.trained) == (made.id, False)


def _fields(settings: RerankerTuning) -> dict[str, Any]:
    from dataclasses import asdict

    return asdict(settings)


def test_joined_scores_as_retrieval_joins_them() -> None:
    outputs: Sequence[Sequence[float]] = [[0.0, 1.0, 0.9]]
    assert joined(DEV[:1], outputs, 1.0) == [["c0", "c3", "c1"]]
    assert joined(DEV[:1], outputs, 0.1) == [["c1", "c0", "c3"]]
    assert joined(DEV[:1], outputs, 0.0) == [["c1", "c0", "c3"]]
