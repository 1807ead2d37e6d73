"""The two verbs that choose settings, on a real shelf with the tiny model."""

import csv
import json
import tomllib
from pathlib import Path

import pytest


@pytest.fixture
def questions(shelf, tmp_path) -> Path:
    """Up to eight questions a report, each the beginning of one of its chunks."""
    from fieldguide.catalog import Catalog

    catalog = Catalog.open(shelf / ".fieldguide" / "catalog.sqlite")
    rows = []
    for document in catalog.documents():
        for n, chunk in enumerate(catalog.chunks(document.id)[:8]):
            words = chunk.text.split()
            rows.append(
                {
                    "id": f"{document.id[:8]}-{n}", "question": " ".join(words[:9]), "answer": " ".join(words[9:12]),
                    "document": Path(document.source).name, "page": chunk.pages[0],
                }
            )  # fmt: skip
    catalog.close()
    path = tmp_path / "questions.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def settings_of(shelf):
    return tomllib.loads((shelf / "fieldguide.toml").read_text())


def test_auto_writes_only_what_it_says(cli, shelf, questions):
    before = settings_of(shelf)
    dry = cli("auto", "-w", shelf, "--questions", questions, "--minutes", "0.1", "--dry-run", "--json").json
    assert settings_of(shelf) == before
    asked = len(questions.read_text().splitlines())
    assert (dry["questions"], dry["documents"], dry["written"]) == (asked, 3, False)
    ran = cli("auto", "-w", shelf, "--questions", questions, "--minutes", "0.1", "--json").json
    now = settings_of(shelf)
    assert now.pop("retrieval", {}) == {**before.get("retrieval", {}), **ran["changes"]}
    before.pop("retrieval", None)
    assert now == before
    saved = json.loads((Path(ran["folder"]) / "auto.json").read_text())
    assert saved["nested"] == ran["nested"]
    assert {row["switch"] for row in saved["table"]} >= {"before", "channels"}
    assert ran["nested"]["chosen"]["n"] == asked


def test_auto_without_enough_questions_leaves_the_settings(cli, shelf):
    before = (shelf / "fieldguide.toml").read_bytes()
    ran = cli("auto", "-w", shelf)
    assert ran.code == 2
    assert "not enough dev questions" in ran.err
    assert (shelf / "fieldguide.toml").read_bytes() == before


@pytest.mark.slow
def test_tune_context_keeps_rank_where_nothing_wins(cli, shelf, questions):
    """The tiny model is random, so no order can win; what is not rank becomes rank."""
    arguments = ("tune-context", "-w", shelf, "--questions", questions, "--max-questions", "3", "--k", "1")
    dry = cli(*arguments, "--dry-run", "--json").json
    assert dry["decision"]["order"] == "rank"
    assert "order" in dry["changes"]
    assert not dry["written"]
    ran = cli(*arguments)
    assert ran.code == 0
    assert "Nothing clearly beats k = 3" in ran.err
    assert "order = rank" in ran.err
    assert settings_of(shelf)["retrieval"]["order"] == "rank"
    folder = Path(dry["folder"])
    assert (folder / "context.png").read_bytes()[:4] == b"\x89PNG"
    rows = list(csv.DictReader((folder / "context.csv").open()))
    assert [(r["k"], r["value"]) for r in rows if r["measured"] == "order"] == [
        ("1", "rank"), ("3", "rank"), ("3", "ends"), ("3", "reverse"),
    ]  # fmt: skip
