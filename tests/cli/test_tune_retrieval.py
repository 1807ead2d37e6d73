"""`fieldguide tune --retriever` and `--reranker` on a shelf whose pairs only training can tell apart."""

from __future__ import annotations

import functools
import json
import os
import re
import shutil
import signal
from pathlib import Path

import pytest

from fieldguide.catalog import Catalog
from fieldguide.cli.progress import TerminalProgress
from fieldguide.models.tiny import write_tiny_encoder
from fieldguide.types import QAPair
from tuning.ranking import compare_retrievers
from tuning.reranker_tuning import RerankerTuning
from tuning.retriever_tuning import RetrieverTuning

THINGS = ["pump", "valve", "engine", "pilot", "sales", "crane", "bridge", "turbine"]
CODES = ["red", "green", "blue", "black", "white", "brown", "grey", "pink"]
WORDS = ["what", "which", "of", "the", "is", "paint", ".", "?", *THINGS, *CODES]
FAST = {"learning_rate": 5e-3, "epochs": 10, "batch_size": 4, "patience": 10}
STOPPED = "Stopped. Finished work is kept: run the same command again to go on.\n"


@pytest.fixture(scope="session")
def encoder(tmp_path_factory) -> Path:
    import torch

    torch.set_num_threads(1)
    return write_tiny_encoder(tmp_path_factory.mktemp("encoder") / "tiny", WORDS, window=64)


def write_paint(folder: Path, colour: str) -> Path:
    folder.mkdir(exist_ok=True)
    file = folder / f"{colour}.txt"
    file.write_text(f"{colour} {colour} {colour} {colour}\n", "utf-8")
    return file


def pair(n: int, question: str, chunk, split) -> QAPair:
    return QAPair(f"{split}-{n}", question, "", chunk.document, chunk.id, (), "fact", "test", split)


@pytest.fixture(scope="session")
def _paints(tmp_path_factory, model, encoder, configure) -> Path:
    """Eight files, each of a colour; the pairs say which thing has which, and no file does."""
    from typer.testing import CliRunner

    from fieldguide.cli import main

    top = tmp_path_factory.mktemp("paints")
    models = {"embedder": str(encoder), "dtype": "float32", "device": "cpu"}
    configure(
        top / "shelf", model, models=models, retrieval={"channels": ["dense"], "clues": False},
        ingest={"context_line": False, "chunk_tokens": 48, "chunk_overlap": 0},
    )  # fmt: skip
    files = [write_paint(top / "files", colour) for colour in CODES]
    done = CliRunner().invoke(main.app, ["ingest", *map(str, files), "-w", str(top / "shelf")])
    assert done.exit_code == 0, done.stderr
    catalog = Catalog.open(top / "shelf" / ".fieldguide" / "catalog.sqlite")
    for chunk in catalog.chunks():
        n = next(n for n, colour in enumerate(CODES) if colour in chunk.text)
        asked = [pair(n, f"what is of the {THINGS[n]}", chunk, "train"), pair(n, f"what is the {THINGS[n]}", chunk, "dev")]
        catalog.store_pairs(chunk.id, "test", asked, ())
    catalog.close()
    return top


@pytest.fixture
def paints(_paints, tmp_path) -> Path:
    return Path(shutil.copytree(_paints, tmp_path / "paints")) / "shelf"


@pytest.fixture
def run(cli, paints, monkeypatch):
    """A command on that shelf, trained fast and much."""
    made = functools.partial(RetrieverTuning, **FAST, pool=2, blends=(0.5, 1.0))
    monkeypatch.setattr("tuning.retriever_tuning.RetrieverTuning", made)
    made = functools.partial(RerankerTuning, **FAST, max_tokens=32, weights=(0.3, 1.0))
    monkeypatch.setattr("tuning.reranker_tuning.RerankerTuning", made)
    return lambda *arguments: cli(*arguments, "-w", paints)


def found(run, thing: str) -> str:
    done = run("search", f"what is the {thing}", "-k", "1", "--json")
    assert done.code == 0, done.json
    return Path(done.json["passages"][0]["source"]).stem


def hits(run) -> int:
    return sum(found(run, thing) == colour for thing, colour in zip(THINGS, CODES, strict=True))


def folders(paints: Path) -> list[str]:
    kept = paints / ".fieldguide" / "retrievers"
    return sorted(path.name for path in kept.iterdir()) if kept.exists() else []


def test_explore(run, paints):
    before = hits(run)
    done = run("tune", "--retriever")
    print(done.err, done.out)
    print(before, hits(run))
    print(run("status").err)
    print(run("tune", "--retriever").err)
    done = run("tune", "--reranker")
    print(done.err, done.out)
    print(run("search", "what is the pump", "--explain").err)
    assert 0
