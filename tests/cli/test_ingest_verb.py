"""`fieldguide ingest` and `facets`: reports, pruning, following a folder, filters."""

from __future__ import annotations

import csv
import shutil
import signal
from pathlib import Path

import pytest


@pytest.fixture
def folder(tmp_path: Path, reports: tuple[Path, ...]) -> Path:
    folder = tmp_path / "reports"
    folder.mkdir()
    for report in reports[:2]:
        shutil.copy(report, folder)
    (folder / "notes.md").write_text("# Shelf\n\nThe reports came from the archive in Bergen in May 2019.\n")
    return folder


def test_the_report_says_what_became_of_each_file(cli, fresh, folder, tmp_path):
    shutil.copy(folder / "20080102X00002.pdf", folder / "same.pdf")
    (folder / "empty.pdf").touch()
    done = cli("ingest", folder, "-w", fresh, "--report", tmp_path / "report.csv")
    assert done.code == 3
    assert f"What became of each file: {tmp_path / 'report.csv'}" in done.err
    with (tmp_path / "report.csv").open(newline="") as file:
        rows = {Path(row["path"]).name: row for row in csv.DictReader(file)}
    assert {name: (row["class"], row["pages"], row["readers"]) for name, row in rows.items()} == {
        "20080102X00002.pdf": ("read", "3", "pdfium"), "20080102X00005.pdf": ("read", "4", "pdfium"),
        "same.pdf": ("read", "3", "pdfium"), "empty.pdf": ("empty", "", ""), "notes.md": ("read", "1", "markdown"),
    }  # fmt: skip
    assert rows["same.pdf"]["same as"] == str(folder / "20080102X00002.pdf")
    assert rows["empty.pdf"]["reason"] == "the file has no bytes"


def test_a_deleted_file_goes_with_prune_and_marks_the_adapter(cli, fresh, folder):
    run = lambda *arguments: cli(*arguments, "-w", fresh, "--json")  # noqa: E731
    run("ingest", folder)
    run("qa")
    tuned = run("tune").json
    (folder / "20080102X00002.pdf").unlink()
    kept = cli("ingest", folder, "-w", fresh)
    assert kept.code == 0
    assert "1 document(s) are held by no file any more; they stay until you ingest with --prune." in kept.err
    pruned = cli("ingest", folder, "-w", fresh, "--prune")
    assert "1 document(s) deleted, with their chunks, vectors, pairs, and all cached answers." in pruned.err
    assert f"Adapter {tuned['adapter']} was tuned on 1 document(s) that are deleted now" in pruned.err
    state = run("status").json
    assert (state["documents"], state["not_read"]) == (2, {})
    assert [p.name for p in (fresh / ".fieldguide" / "originals").rglob("*.pdf")].__len__() == 1
    again = run("ingest", folder).json
    assert (again["gone"], again["new"], again["index"]["embedded"]) == ([], 0, 0)


def test_facets_are_listed_and_filter_what_is_asked(cli, fresh, folder):
    cli("ingest", folder, "-w", fresh)
    found = cli("facets", "-w", fresh, "--json").json["facets"]
    assert set(found) == {"language", "date", "place", "organisation"}
    assert "Chevroux, France" in cli("facets", "place", "-w", fresh).err
    answered = cli("ask", "Where did it come from?", "-w", fresh, "--where", "date=2019-05", "--json").json
    assert {p["source"] for p in answered["passages"]} == {"notes.md"}
    none = cli("ask", "Where?", "-w", fresh, "--where", "place=Atlantis")
    assert (none.code, none.err) == (
        2, "No chunk has place=Atlantis; `fieldguide facets` shows which values there are.\n"
    )  # fmt: skip
    wrong = cli("ask", "Where?", "-w", fresh, "--where", "place")
    assert (wrong.code, wrong.err) == (
        2, "--where 'place' is not NAME=VALUE; `fieldguide facets` shows what there is.\n"
    )  # fmt: skip


def test_a_wrong_pattern_is_a_sentence(cli, fresh, folder, configure, model):
    configure(fresh, model, facets={"patterns": {"ship": "(unclosed"}})
    done = cli("ingest", folder, "-w", fresh)
    assert done.code == 2
    assert "facets.patterns.ship: '(unclosed' is not a regular expression" in done.err


def test_watch_reads_what_changes_until_interrupted(start, fresh, folder):
    watching = start("ingest", folder, "-w", fresh, "--watch")
    watching.wait_for("Watching; Ctrl-C ends it.")
    assert "In all 3 documents" in watching.seen
    (folder / "more.txt").write_text("One more text about the archive.")
    watching.wait_for("In all 4 documents")
    watching.wait_for(lambda: watching.seen.count("Watching; Ctrl-C ends it.") == 2)
    watching.send(signal.SIGINT)
    assert watching.end().code in (0, 130)
