"""`fieldguide tune --retriever` and `--reranker` on a shelf whose pairs only training can tell apart."""

from __future__ import annotations

import functools
import os
import re
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from fieldguide.catalog import Catalog
from fieldguide.cli.progress import TerminalProgress
from fieldguide.models.tiny import write_tiny_encoder
from fieldguide.types import QAPair
from tuning.reranker_tuning import RerankerTuning
from tuning.retriever_tuning import RetrieverTuning

THINGS = ["pump", "valve", "engine", "pilot", "sales", "crane", "bridge", "turbine"]
CODES = ["red", "green", "blue", "black", "white", "brown", "grey", "pink"]
WORDS = ["what", "which", "of", "the", "is", "paint", ".", "?", *THINGS, *CODES]
FAST = {"learning_rate": 5e-3, "epochs": 10, "batch_size": 8, "patience": 10}
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
        asked = [
            pair(n, f"what is of the {THINGS[n]}", chunk, "train"),
            pair(n, f"what is the {THINGS[n]}", chunk, "dev"),
        ]
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


def first(run, thing: str) -> str:
    """The colour that is found first for a thing."""
    done = run("search", f"what is the {thing}", "-k", "1", "--json")
    assert done.code == 0, done.json
    return Path(done.json["passages"][0]["source"]).stem


def hits(run) -> float:
    """The share of things whose colour comes first."""
    return sum(first(run, thing) == colour for thing, colour in zip(THINGS, CODES, strict=True)) / len(THINGS)


def folders(paints: Path) -> list[str]:
    kept = paints / ".fieldguide" / "retrievers"
    return sorted(path.name for path in kept.iterdir()) if kept.exists() else []


def state(paints: Path) -> tuple[str | None, str | None, str, list[str]]:
    """Index, embedder, settings and tuned folders that are there."""
    catalog = Catalog.open(paints / ".fieldguide" / "catalog.sqlite")
    active = [found.id if (found := catalog.active(kind)) else None for kind in ("index", "embedder")]
    catalog.close()
    return active[0], active[1], (paints / "fieldguide.toml").read_text("utf-8"), folders(paints)


def foreign_lines(err: str) -> list[str]:
    """What is neither a step, nor a row of a table, nor a sentence of ours."""
    ours = ("train: ", "dev: ", "… ", "  ", "Embedder ", "Cross-encoder ", "It ", "To go back: ", "The ", "Whole ")
    return [line for line in err.splitlines() if not line.startswith((*ours, *"┃│┏┡└"))]


def interrupt_at(monkeypatch, label: str) -> None:
    """Ctrl-C, once, when a step of this name advances."""
    advance, pressed = TerminalProgress.advance, []

    def advancing(self, n: int = 1, note: str = "") -> None:
        advance(self, n, note)
        if self._label == label and not pressed:
            pressed.append(label)
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(TerminalProgress, "advance", advancing)


# -- the embedder


def test_the_embedder_is_trained_compared_and_switched_with_its_index(run, paints):
    before, untuned = run("status", "--json").json, hits(run)
    assert (before["embedder"], before["stale"]) == (None, [])

    done = run("tune", "--retriever")
    assert (done.code, done.out) == (0, "")
    assert re.search(r"^train: 8 questions, \d with hard negatives\. Left out: ", done.err, re.MULTILINE)
    head, *rows = (line for line in done.err.splitlines() if "┃" in line or "│" in line)
    assert [cell.strip() for cell in head.strip("┃").split("┃")] == ["", "old", "new", "difference"]
    cells = [[cell.strip() for cell in row.strip("│").split("│")] for row in rows]
    assert [row[0] for row in cells] == ["recall@1", "recall@5", "mrr@10", "ndcg@10"]
    assert all(re.fullmatch(r"[+-][\d.]+ \([+-][\d.]+ to [+-][\d.]+\)", row[3]) for row in cells)
    assert "Whole retrieval with the old and the new embedder, 8 held-out questions" in done.err
    assert "The same questions chose when training ended" in done.err
    assert "It is in use, with its own index " in done.err
    assert len(foreign_lines(done.err)) == 1  # the time announced

    after = run("status", "--json").json
    assert after["stale"] == []
    assert after["index"] != before["index"]
    assert [after["embedder"]] == folders(paints)
    assert f"{after['embedder']}, tuned 20" in run("status").err
    assert hits(run) > untuned
    assert [row[1] for row in cells[:1]] == [f"{100 * untuned:.1f}"]
    assert [row[2] for row in cells[:1]] == [f"{100 * hits(run):.1f}"]  # what was measured is what is served
    assert run("ask", "what is the pump", "--json").code == 0

    again = run("tune", "--retriever", "--json")
    assert (again.json["trained"], again.json["active"]) == (False, True)
    assert again.json["embedder"] == after["embedder"]
    assert again.json["comparison"]["figures"]["recall@1"]["new"] == hits(run)
    assert "was tuned on exactly these pairs and settings before" in again.err
    assert run("status", "--json").json == after

    # a file that comes later is embedded by the tuned one, and the others are not cut anew for it
    new = write_paint(paints.parent / "files", "paint")
    files = sorted((paints.parent / "files").iterdir())
    ingested = run("ingest", *files, "--json").json
    assert (ingested["new"], ingested["recut"], ingested["index"]["embedded"]) == (1, 0, 1)
    assert new.name in [Path(p["source"]).name for p in run("search", "paint", "-k", "9", "--json").json["passages"]]
    assert run("status", "--json").json["embedder"] == after["embedder"]


def test_going_back_takes_one_setting_and_an_index(run, paints):
    search = ("search", "what is the pump", "--json")
    before, untuned = run("status", "--json").json["index"], run(*search).json["passages"]
    run("tune", "--retriever")
    tuned = run(*search).json["passages"]
    assert tuned[0]["scores"] != untuned[0]["scores"]
    settings = paints / "fieldguide.toml"
    text = settings.read_text("utf-8")
    settings.write_text(text.replace("[models]", "[models]\ntuned = false"), "utf-8")
    refused = run(*search)
    assert refused.code == 2
    assert "run `fieldguide index`" in refused.json["error"]
    again = run("tune", "--retriever", "--json")
    assert (again.code, again.json["error"]) == (
        2, "models.tuned is false in the settings, so a tuned embedder would not be used: set it to true first."
    )  # fmt: skip
    assert run("index", "--json").json["embedded"] == 0  # the old vectors are still known
    assert (run("status", "--json").json["index"], run(*search).json["passages"]) == (before, untuned)
    settings.write_text(text, "utf-8")
    run("index")
    assert run(*search).json["passages"] == tuned


def test_one_that_is_worse_is_not_put_in_use(run, paints, monkeypatch):
    catalog = Catalog.open(paints / ".fieldguide" / "catalog.sqlite")
    chunk_of = {next(code for code in CODES if code in chunk.text): chunk for chunk in catalog.chunks()}
    for n, thing in enumerate(THINGS):  # what is found first now is called right, and training teaches otherwise
        asked = pair(n, f"what is the {thing}", chunk_of[first(run, thing)], "dev")
        catalog.store_pairs(asked.chunk, "again", [asked], ())
    catalog.close()
    wild = functools.partial(RetrieverTuning, learning_rate=0.1, epochs=1, batch_size=2, blends=(1.0,))
    monkeypatch.setattr("tuning.retriever_tuning.RetrieverTuning", wild)
    before = state(paints)
    worse = run("tune", "--retriever", "--json")
    assert (worse.code, worse.json["active"], worse.json["manifest"]["better"]) == (0, False, False)
    assert "It is NOT in use: on the held-out questions it ranks the passages worse" in worse.err
    assert state(paints)[:3] == before[:3]
    assert first(run, "pump") in CODES

    # the embedder alone may be better, and the whole retrieval with it worse
    monkeypatch.setattr("tuning.retriever_tuning.compare_retrievers", lambda *_, **__: {"switch": True})
    monkeypatch.setattr("tuning.retriever_tuning.RetrieverTuning", functools.partial(wild, seed=1))
    whole = run("tune", "--retriever", "--json")
    assert (whole.json["trained"], whole.json["active"]) == (True, False)
    assert whole.json["comparison"]["figures"]["recall@1"]["old"] == 1.0
    assert "It is NOT in use: whole retrieval finds less with it" in whole.err
    assert state(paints)[:3] == before[:3]
    assert folders(paints) == [whole.json["embedder"]]  # the other one is not kept: nothing uses it
    assert run("search", "what is the pump").code == 0


@pytest.mark.parametrize("label", ["training the embedder", "embedding"])
def test_ctrl_c_leaves_the_old_retrieval_in_use(run, paints, monkeypatch, label):
    before, found = state(paints), first(run, "pump")
    with monkeypatch.context() as patch:
        interrupt_at(patch, label)
        stopped = run("tune", "--retriever")
    assert (stopped.code, stopped.out) == (130, "")
    assert stopped.err.endswith(STOPPED)
    assert state(paints)[:3] == before[:3]
    assert len(folders(paints)) == (label == "embedding")  # trained by then, so not trained again
    assert not list(paints.rglob("*.part*"))
    assert first(run, "pump") == found
    done = run("tune", "--retriever", "--json").json
    assert (done["active"], done["trained"]) == (True, label != "embedding")


def test_both_are_kept_and_marked_when_what_they_learned_is_deleted(run, paints):
    (paints / ".fieldguide" / "retrievers" / "0123456789abcdef").mkdir(parents=True)
    made = [run("tune", "--retriever", "--json").json["embedder"]]
    assert folders(paints) == made
    made.append(run("tune", "--reranker", "--json").json["cross_encoder"])
    assert folders(paints) == sorted(made)

    catalog = Catalog.open(paints / ".fieldguide" / "catalog.sqlite")
    trained = catalog.active("embedder").manifest["documents"]
    file = next(Path(document.source) for document in catalog.documents() if document.id in trained)
    catalog.close()
    content = file.read_bytes()
    file.unlink()
    try:
        done = run("ingest", file.parent, "--prune")
        stale = run("status", "--json").json["stale"]
    finally:
        file.write_bytes(content)
    for kind, name, command in zip(("Embedder", "Cross-encoder"), made, ("--retriever", "--reranker"), strict=True):
        said = f"{kind} {name} was tuned on 1 document(s) that are deleted now: run `fieldguide tune {command}`.\n"
        assert said in done.err
        gone = f"documents that the {kind.lower()} was tuned on are gone: run `fieldguide tune {command}`."
        assert sum(line.startswith("1 of ") and line.endswith(gone) for line in stale) == 1
    shutil.rmtree(paints / ".fieldguide" / "retrievers")
    lost = [line for line in run("status", "--json").json["stale"] if "missing" in line]
    assert [line.partition(" in use")[0] for line in lost] == [
        "The files of the tuned embedder", "The files of the tuned cross-encoder"
    ]  # fmt: skip


def test_distilling_asks_the_generator(run, paints):
    done = run("tune", "--retriever", "--distil", "--json")
    assert (done.code, done.json["trained"], done.json["manifest"]["distilled"]) == (0, True, True)
    assert "… likelihood of the answers (" in done.err
    assert run("tune", "--retriever", "--json").json["manifest"]["distilled"] is False  # another training
    assert len(foreign_lines(done.err)) == 1


# -- the reranker


def test_the_reranker_goes_into_the_settings_and_is_used(run, paints):
    text = (paints / "fieldguide.toml").read_text("utf-8")
    done = run("tune", "--reranker")
    assert (done.code, done.out) == (0, "")
    assert "Whole retrieval without and with the cross-encoder, 8 held-out questions" in done.err
    assert 'It is in use: retrieval.rerank = ["cross-encoder"] is in the settings now.\n' in done.err
    now = (paints / "fieldguide.toml").read_text("utf-8")
    assert "rerank = [" not in "".join(line for line in text.splitlines() if not line.startswith("#"))
    assert 'rerank = ["cross-encoder"]' in now
    explained = run("search", "what is the pump", "--explain").err
    head = next(line for line in explained.splitlines() if "passage ┃" in line)
    assert [cell.strip() for cell in head.strip("┃").split("┃")] == ["passage", "dense", "cross-encoder"]
    again = run("tune", "--reranker", "--json")
    assert (again.json["trained"], again.json["active"]) == (False, True)
    assert again.json["comparison"]["figures"]["recall@1"]["new"] == hits(run)
    assert run("status", "--json").json["cross_encoder"] == again.json["cross_encoder"]
    assert (paints / "fieldguide.toml").read_text("utf-8") == now


# -- what is refused, in one sentence


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--retriever", "--reranker"], "choose --retriever or --reranker: one is trained after the other."),
        (["--distil"], "--distil goes with --retriever."),
        (["--reranker", "--distil"], "--distil goes with --retriever."),
        (["--retriever", "--epochs", "2"], "only --minutes and --distil go with --retriever"),
    ],
)
def test_flags_that_do_not_go_together(run, flags, said):
    done = run("tune", *flags)
    assert done.code == 2
    assert said in " ".join(done.err.split())
    assert "Traceback" not in done.err


@pytest.mark.parametrize("kind", ["--retriever", "--reranker"])
def test_without_pairs_or_weights(cli, run, paints, shelf, kind):
    done = cli("tune", kind, "-w", shelf, "--json")
    assert (done.code, done.json["error"]) == (
        2, '"hashing" is an embedder for tests and has no weights; name a model, or "bundled".'
    )  # fmt: skip
    catalog = Catalog.open(paints / ".fieldguide" / "catalog.sqlite")
    for asked in catalog.pairs("train"):
        catalog.store_pairs(asked.chunk, "test", [replace(asked, split="dev")], ())
    catalog.close()
    done = run("tune", kind)
    assert (done.code, done.err) == (
        2, "There are no question-answer pairs to train on; run `fieldguide qa` first.\n"
    )  # fmt: skip
    done = run("search", "what", "--rerank", "cross-encoder")
    assert (done.code, done.err) == (
        2, "There is no cross-encoder for retrieval.rerank: name one in retrieval.cross_encoder, or make one from your "
        "own pairs with `fieldguide tune --reranker`.\n"
    )  # fmt: skip


# -- the terminal


def test_time_is_announced_by_what_was_measured_and_bounded_by_the_minutes(run, paints):
    def measured_before():
        catalog = Catalog.open(paints / ".fieldguide" / "catalog.sqlite")
        steps = {"training the embedder": 0.05, "ranking the dev questions": 10.0, "blending old and new weights": 10.0}
        for step, rate in {**steps, "embedding": 100.0}.items():
            catalog.record_rate(step, rate)
        catalog.close()

    measured_before()
    assert "with hard negatives: about 3 min, about 250 MB of disk." in run("tune", "--retriever").err  # 10 steps
    measured_before()  # the run has measured its own
    assert "with hard negatives: about 60 s, about 250 MB" in run("tune", "--retriever", "--minutes", "1").err


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["--retriever", "--reranker"])
def test_no_library_speaks(paints, shell, kind):
    """In a process of its own, where bars and warnings go to the error stream."""
    done = shell("tune", kind, "-w", paints)
    assert (done.code, done.out) == (0, "")
    assert len(foreign_lines(done.err)) == 1, foreign_lines(done.err)
    assert "pairs with hard negatives: about" in foreign_lines(done.err)[0]
