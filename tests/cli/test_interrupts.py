"""Ctrl-C and kill at a moment seen on the error stream; then the same command again ends as an undisturbed one."""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import sqlite3
import time
from pathlib import Path

import pytest

from fieldguide.catalog import Catalog

STOPPED = "Stopped. Finished work is kept: run the same command again to go on."


def count(root: Path, what: str) -> int:
    """Rows in the catalogue of a workspace that another process is writing to."""
    with contextlib.suppress(Exception):
        catalog = Catalog.open(root / ".fieldguide" / "catalog.sqlite")
        try:
            return len(catalog.drafted()) if what == "drafted" else catalog.counts()[what]
        finally:
            catalog.close()
    return 0


def content(root: Path) -> dict[str, object]:
    """What a workspace holds, without times."""
    catalog = Catalog.open(root / ".fieldguide" / "catalog.sqlite")
    try:
        return {
            "documents": sorted(d.id for d in catalog.documents()), "chunks": sorted(c.id for c in catalog.chunks()),
            "pairs": sorted(p.id for p in catalog.pairs()), "splits": catalog.splits(),
            "files": {p: (r.document, r.status) for p, r in catalog.files().items()},
            "index": active.id if (active := catalog.active("index")) else None,
        }  # fmt: skip
    finally:
        catalog.close()


def leftovers(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if ".part" in path.name or path.name == "lock.json"]


@pytest.fixture(scope="session")
def papers(tmp_path_factory, reports):
    """Twenty-four reports: three, each under eight different bytes."""
    folder = tmp_path_factory.mktemp("papers")
    for n in range(24):
        raw = reports[n % 3].read_bytes()
        (folder / f"{n:02}.pdf").write_bytes(raw + f"\n%copy {n}\n".encode())  # what follows the end is not read
    return folder


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory, papers, model, start, configure):
    """The workspace that ingest and qa make of the papers when nobody disturbs them."""
    root = tmp_path_factory.mktemp("undisturbed") / "shelf"
    configure(root, model)
    for arguments in (["ingest", papers], ["qa"]):
        assert start(*arguments, "-w", root).end().code == 0
    return root


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGKILL, -9)], ids=["Ctrl-C", "kill -9"])
def test_ingest(start, fresh, papers, undisturbed, number, code):
    running = start("ingest", papers, "-w", fresh)
    running.wait_for(lambda: count(fresh, "documents") >= 3)
    running.send(number)
    done = running.end()
    assert (done.code, done.out) == (code, "")
    assert (STOPPED in done.err) == (code == 130)
    kept = count(fresh, "documents")
    assert 3 <= kept < 24
    assert content(fresh)["index"] is None

    again = start("ingest", papers, "-w", fresh, "--json").end()
    assert again.code == 0
    assert (again.json["unchanged"], again.json["new"], again.json["documents"]) == (kept, 24 - kept, 24)
    whole = content(undisturbed)
    ours = content(fresh)
    assert {k: ours[k] for k in ("documents", "chunks", "files", "index")} == {
        k: whole[k] for k in ("documents", "chunks", "files", "index")
    }
    assert leftovers(fresh) == []


def test_ingest_interrupted_while_its_reading_process_starts(start, fresh, papers):
    running = start("ingest", papers, "-w", fresh)
    running.wait_for("… reading (24)")
    time.sleep(0.05)  # the reading process takes a quarter of a second to start
    running.send(signal.SIGINT)
    done = running.end()
    assert done.code == 130
    assert done.err.endswith(STOPPED + "\n")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGKILL, -9)], ids=["Ctrl-C", "kill -9"])
def test_qa(start, papers, undisturbed, fresh, number, code):
    assert start("ingest", papers, "-w", fresh).end().code == 0
    running = start("qa", "-w", fresh)
    running.wait_for(lambda: count(fresh, "drafted") >= 3)
    running.send(number)
    done = running.end()
    assert (done.code, done.out) == (code, "")
    assert (STOPPED in done.err) == (code == 130)
    kept = count(fresh, "drafted")
    assert 3 <= kept < count(fresh, "chunks")

    again = start("qa", "-w", fresh, "--json").end()
    assert again.code == 0
    assert again.json["skipped_chunks"] == kept
    assert content(fresh) == content(undisturbed)
    assert leftovers(fresh) == []


LONG = {"tuning": {"rank": 2, "max_examples": 8, "questions_per_context": 1, "epochs": 2.0, "dev_examples": 2}}


def checkpoints(root: Path) -> list[int]:
    return sorted(int(p.name.rsplit("-", 1)[1]) for p in root.glob(".fieldguide/runs/*-tune/checkpoint-*"))


@pytest.fixture
def long_shelf(shelf, model, configure):
    """Pairs enough for a tuning of some seconds."""
    configure(shelf, model, **LONG)
    return shelf


def test_tune(start, cli, long_shelf, tmp_path):
    alone = cli("tune", "-w", shutil.copytree(long_shelf, tmp_path / "alone"), "--json").json
    running = start("tune", "-w", long_shelf)
    running.wait_for("… training (")
    time.sleep(1)
    running.send(signal.SIGINT)
    done = running.end()
    assert (done.code, done.out) == (130, "")
    assert "Stopping after this step; press Ctrl-C again to stop at once." in done.err
    assert done.err.endswith(STOPPED + "\n")
    (step,) = checkpoints(long_shelf)
    assert 1 <= step < alone["manifest"]["steps"]
    assert list(long_shelf.glob(".fieldguide/adapters/*")) == []

    again = cli("tune", "-w", long_shelf, "--json")
    assert again.code == 0
    assert f"({alone['manifest']['steps'] - step} of {alone['manifest']['steps']} to do)" in again.err
    ours, theirs = again.json["manifest"], alone["manifest"]
    for name in ("key", "training_set", "base_hash", "steps", "planned_steps", "dev_loss_base"):
        assert ours[name] == theirs[name], name
    assert ours["loss"] == pytest.approx(theirs["loss"], abs=1e-4)
    assert ours["dev_loss_tuned"] == pytest.approx(theirs["dev_loss_tuned"], abs=1e-4)
    assert ours["sha256"] == theirs["sha256"]
    assert checkpoints(long_shelf) == []
    assert leftovers(long_shelf) == []


@pytest.mark.slow
def test_tune_stopped_at_once_by_a_second_press(start, long_shelf):
    running = start("tune", "-w", long_shelf)
    running.wait_for("… training (")
    running.send(signal.SIGINT)
    running.wait_for("Stopping after this step")
    running.send(signal.SIGINT)
    done = running.end()
    assert done.code == 130
    assert done.err.endswith(STOPPED + "\n")
    assert leftovers(long_shelf) == []


@pytest.mark.slow
def test_tune_before_its_training_begins(start, long_shelf):
    running = start("tune", "-w", long_shelf, "--json")
    running.wait_for("steps: ")
    time.sleep(0.5)  # it is loading libraries
    running.send(signal.SIGINT)
    done = running.end()
    assert done.code == 130
    assert done.json == {"error": STOPPED, "exit_code": 130}


@pytest.mark.slow
def test_compare(start, cli, configure, shelf, model, tmp_path):
    configure(
        shelf, model, compare={"max_questions": 8, "samples": 100}, answer={"max_new_tokens": 32}
    )  # fmt: skip
    assert cli("tune", "-w", shelf).code == 0
    alone = Path(shutil.copytree(shelf, tmp_path / "alone"))
    whole = cli("compare", "-w", alone, "--json")
    assert whole.code == 0

    running = start("compare", "-w", shelf)
    running.wait_for(lambda: answers_kept(shelf) >= 8)
    running.send(signal.SIGINT)
    done = running.end()
    assert (done.code, done.out) == (130, "")
    assert done.err.endswith(STOPPED + "\n")
    assert list(shelf.glob(".fieldguide/runs/*-compare")) == []
    assert 8 <= answers_kept(shelf) < answers_kept(alone)

    again = cli("compare", "-w", shelf, "--json")
    assert again.code == 0
    resumed, undisturbed = again.json, whole.json
    for result in (resumed, undisturbed):  # all but what the clock says
        for arm in result["arms"]:
            arm["metrics"].pop("seconds")
    for name in ("verdict", "questions", "arms", "differences", "groups", "integrity"):
        assert resumed[name] == undisturbed[name], name
    assert answers_of(resumed) == answers_of(undisturbed)
    assert leftovers(shelf) == []


def answers_kept(root: Path) -> int:
    with contextlib.closing(sqlite3.connect(root / ".fieldguide" / "catalog.sqlite")) as catalog:
        return int(catalog.execute("select count(*) from answers").fetchone()[0])


def answers_of(result: dict) -> list[dict[str, str]]:
    report = json.loads(Path(result["report_json"]).read_text("utf-8"))
    return [{arm: answer["text"] for arm, answer in item["answers"].items()} for item in report["items"]]


def test_a_press_inside_a_transaction_blocks_nothing(cli, shelf, monkeypatch):
    """Seen on a terminal: the rates were then written, waited ten seconds for the lost transaction, and failed."""
    from fieldguide.cli import pairs

    lost = []

    def stopped_inside(session, *, yes):
        connection = session.catalog._engine.connect()
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        lost.append(connection)
        session.progress.rates["questions (rules)"] = 7.0
        raise KeyboardInterrupt

    monkeypatch.setattr(pairs, "make", stopped_inside)
    began = time.perf_counter()
    done = cli("qa", "-w", shelf)
    assert (done.code, done.err) == (130, STOPPED + "\n")
    assert time.perf_counter() - began < 5
    lost.pop().close()


def test_a_press_before_anything_has_begun(start, fresh):
    """In the first tenths of a second, while Python starts: no traceback then either, if we are there to catch it."""
    running = start("status", "-w", fresh)
    time.sleep(0.25)
    running.send(signal.SIGINT)
    _, err = running.process.communicate(timeout=60)
    assert running.process.returncode in (0, 130, -signal.SIGINT), err.decode()
