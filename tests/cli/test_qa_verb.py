"""`fieldguide qa` and its verbs: make, report, review, freeze, prompts, adapter; and what leaks or costs says so."""

from __future__ import annotations

import csv
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from fieldguide.catalog import Catalog
from fieldguide.settings import Settings


def catalog_of(root, writable=False):
    return Catalog.open(root / ".fieldguide" / "catalog.sqlite", writable=writable)


def pairs_of(root, **more):
    catalog = catalog_of(root)
    found = catalog.pairs(**more)
    catalog.close()
    return found


def test_test_questions_come_in_groups(shelf):
    groups = {pair.group for pair in pairs_of(shelf, every=True) if pair.split == "test"}
    assert groups == {"facts seen", "facts held out", "same attribute, elsewhere"}
    assert {pair.group for pair in pairs_of(shelf, split="train")} == {"trained"}
    kinds = {pair.kind for pair in pairs_of(shelf, every=True)}
    assert {"fact", "quantity", "date", "unanswerable", "follow-up"} <= kinds


def test_report(cli, shelf):
    done = cli("qa", "report", "-w", shelf, "--json")
    assert done.code == 0
    values = {row["name"]: row["value"] for row in done.json["metrics"]}
    assert values["extractive_coverage"] == 1.0
    assert done.json["reach"]["documents"] == [3, 3]
    assert "replies were not understood" in done.json["judge"]  # the tiny model is no judge, and that is said
    assert "fluency" not in values
    assert done.json["report"].endswith("questions.html")


def test_a_person_rejects_edits_and_adds(cli, shelf, tmp_path):
    path = tmp_path / "pairs.csv"
    assert cli("qa", "review", "--export", path, "-w", shelf).code == 0
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len([p for p in pairs_of(shelf, every=True) if p.verdict != "rejected"])
    rows[0]["verdict"], rows[1]["verdict"] = "reject", "accept"
    rows.append(dict.fromkeys(rows[0], "") | {"question": "Is this all?", "answer": "never written anywhere"})
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    done = cli("qa", "review", "--import", path, "--author", "Ann", "-w", shelf, "--json")
    assert done.code == 3  # the new pair stands nowhere
    assert (done.json["counts"]["rejected"], done.json["counts"]["accepted"]) == (1, 1)
    assert [fault["line"] for fault in done.json["faults"]] == [path.read_text("utf-8").count("\n")]
    judged = {pair.id: pair for pair in pairs_of(shelf, every=True)}
    assert (judged[rows[0]["id"]].verdict, judged[rows[0]["id"]].author) == ("rejected", "Ann")
    assert rows[0]["id"] not in {pair.id for pair in pairs_of(shelf)}
    again = cli("qa", "-w", shelf, "--json").json  # a rejected pair does not come back
    assert again["kept"].get("rules", 0) == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "give either --export FILE or --import FILE"),
        (["--export", "a.csv", "--import", "b.csv"], "give either --export FILE or --import FILE"),
        (["--import", "b.csv"], "--import needs --author"),
        (["--import", "b.csv", "--author", "Ann", "--split", "dev"], "--split goes with --export"),
    ],
)
def test_review_says_what_is_missing(cli, shelf, arguments, said):
    done = cli("qa", "review", *arguments, "-w", shelf)
    assert done.code == 2
    assert said in " ".join(done.err.split())


def test_the_frozen_test_set_is_what_compare_asks(cli, shelf):
    frozen = cli("qa", "freeze", "-w", shelf, "--json").json
    assert frozen["n"] == len(pairs_of(shelf, split="test"))
    assert frozen["not_asked"] == len(pairs_of(shelf, split="test", every=True)) - frozen["n"] > 0
    compared = cli("compare", "-w", shelf, "--json").json
    assert compared["questions"]["source"] == f"frozen test set {frozen['hash'][:16]}"
    assert compared["questions"]["hash"]


def test_a_frozen_set_goes_with_a_document_that_it_quotes(cli, fresh, reports, tmp_path):
    folder = tmp_path / "papers"
    folder.mkdir()
    for path in reports:
        shutil.copy(path, folder)
    for verb in (["ingest", folder], ["qa"], ["qa", "freeze"]):
        assert cli(*verb, "-w", fresh).code == 0
    frozen = catalog_of(fresh).active("test set")
    tested = frozen.manifest["documents"][0]
    catalog = catalog_of(fresh)
    source = next(d.source for d in catalog.documents() if d.id == tested)
    catalog.close()
    (folder / source.rpartition("/")[2]).unlink()
    pruned = cli("ingest", folder, "--prune", "-w", fresh)
    assert pruned.code == 0
    said = f"The frozen test set {frozen.id} quoted what is deleted now, and went with it: run `fieldguide qa freeze`."
    assert said in pruned.err
    assert not list((fresh / ".fieldguide" / "testsets").iterdir())
    refused = cli("compare", "-w", fresh, "--json")
    assert refused.code == 2
    assert refused.json["error"].startswith(f"The frozen test set {frozen.id} quoted 1 document(s) that are deleted")


def test_options_of_qa_before_its_verbs_are_refused_not_passed_over(cli, shelf):
    for options, name in ((["-w", shelf], "--workspace"), (["--per-chunk", 2], "--per-chunk"), (["--json"], "--json")):
        done = cli("qa", *options, "freeze")
        assert done.code == 2
        assert f"{name} stands before freeze" in " ".join(done.err.split())


def test_a_leak_is_refused_by_tune_and_compare(cli, shelf):
    catalog = catalog_of(shelf, writable=True)
    tested = catalog.pairs("test")[0]
    catalog.put_pairs([replace(tested, id="planted", split="train", group="trained")])
    catalog.close()
    for verb in ("tune", "compare"):
        done = cli(verb, "-w", shelf, "--json")
        assert done.code == 2
        assert re.match(r"Training and test share \d+ question\(s\) or fact\(s\)", done.json["error"])
        assert "planted" in done.json["error"]


def test_confidence_that_is_asked_for_judges_the_pairs_of_rules_too(cli, fresh, tmp_path):
    note = tmp_path / "celle.txt"
    note.write_text("Waterworks of Celle\n\nThe Waterworks of Celle was founded in 1904 by Karl Brandt.\n", "utf-8")
    assert cli("ingest", note, "-w", fresh).code == 0
    done = cli("qa", "--confidence", "auto", "-w", fresh)
    assert done.code == 0
    assert "0 dev pairs are too few to choose a confidence" in done.err
    pairs = pairs_of(fresh)
    assert pairs
    assert all("confidence" in pair.scores for pair in pairs if pair.origin == "rules")


def test_prompts_are_written_once_and_not_over_edits(cli, tmp_path):
    folder = tmp_path / "prompts"
    first = cli("qa", "prompts", folder, "--json").json
    assert len(first["written"]) >= 3
    edited = folder / "question_pairs.txt"
    edited.write_text(edited.read_text("utf-8") + "Be brief.\n", "utf-8")
    done = cli("qa", "prompts", folder)
    assert done.code == 2
    assert "question_pairs.txt" in done.err
    assert edited.read_text("utf-8").endswith("Be brief.\n")


def test_an_adapter_is_trained_from_peoples_pairs_and_used(cli, shelf, tmp_path):
    section = "The old miller had three sons. The youngest son found a golden key under the oak tree."
    rows = [
        {"story": f"mill-{n}", "section": f"{section} It was year {n}.", "question": question, "answer": answer}
        for n in range(3)
        for question, answer in (
            ("How many sons had the old miller?", "three"),
            ("Where did the youngest son find a golden key?", "under the oak tree"),
        )
    ]
    data = tmp_path / "people"
    data.mkdir()
    for name in ("train.jsonl", "val.jsonl"):
        (data / name).write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    out = tmp_path / "adapter"
    done = cli("qa", "adapter", data, "--out", out, "--rank", "2", "-w", shelf, "--json")
    assert done.code == 0, done.err
    files = {"adapter_model.safetensors", "adapter_config.json", "manifest.json"}
    assert {path.name for path in out.iterdir()} == files
    manifest = json.loads((out / "manifest.json").read_text("utf-8"))
    assert (manifest["contexts"], manifest["examples"], manifest["settings"]["rank"]) == (3, 12, 2)
    assert set(manifest["base_hash"]) == {"float32", "bfloat16"}
    text = (shelf / "fieldguide.toml").read_text("utf-8")
    text = text.replace('sources = ["rules"]', f'sources = ["adapter"]\nadapter = "{out}"\nmodel_chunks = 2')
    (shelf / "fieldguide.toml").write_text(text, "utf-8")
    made = cli("qa", "-w", shelf, "--json")  # a random model writes nothing of use, and all of it is counted
    assert made.code == 0, made.err
    assert made.json["spent"]["calls"] > 0
    assert made.json["rejected"]


def test_an_adapter_needs_pairs_that_can_be_read(cli, shelf, tmp_path):
    done = cli("qa", "adapter", tmp_path, "--out", tmp_path / "x", "-w", shelf)
    assert done.code == 2
    assert "cannot be read" in done.err


def test_the_guide_names_every_setting_with_its_default():
    guide = (Path(__file__).parents[2] / "docs" / "questions.md").read_text("utf-8")
    for name, info in Settings.model_fields["questions"].annotation.model_fields.items():
        default = info.get_default(call_default_factory=True)
        assert f"| `{name}` | `{json.dumps(default)}` | {info.description} |" in guide, name
