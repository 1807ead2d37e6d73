"""The registry: ids by prefix, what may be served, what has moved, the way back, and deletions that are killed."""

from __future__ import annotations

import shutil
import time
from dataclasses import replace

import pytest

from fieldguide.catalog import Catalog
from fieldguide.errors import FieldguideError, ModelError, NotReady
from fieldguide.files import file_hash, write_json
from fieldguide.types import Evidence, QAPair, Span, content_hash
from tuning import registry
from tuning.manifests import curve, differences, no_better, summary, thin
from tuning.registry import Drift, check, delete, drift, entries, facts, find, leftovers, standing

IDS = ("2556554219d2d40f", "25a0000000000000", "f000000000000000")


def pair(number: int, **more) -> QAPair:
    said = f"{number} feet"
    evidence = Evidence("d1", (Span(1, number, number + 6),), f"it is {said}")
    made = QAPair(f"p{number}", f"How long is {number}?", said, "d1", "c1", (evidence,), "fact", "rules", "train")
    return replace(made, **more)


@pytest.fixture
def catalog(tmp_path):
    opened = Catalog.open(tmp_path / "catalog.sqlite")
    yield opened
    opened.close()


def add(catalog, folder, name, *, activate=False, **manifest):
    """A made adapter: two files and a row."""
    where = folder / name
    where.mkdir(parents=True)
    (where / "adapter_model.safetensors").write_bytes(name.encode())
    (where / "adapter_config.json").write_text("{}")
    sha = file_hash(where / "adapter_model.safetensors")
    full = {"id": name, "sha256": sha, "base": "tiny:0011", "base_hash": "0011", **manifest}
    write_json(where / "manifest.json", full)
    catalog.add_artefact("adapter", name, full, activate=activate)


@pytest.fixture
def shelf_of_three(catalog, tmp_path):
    folder = tmp_path / "adapters"
    for number, name in enumerate(IDS):
        add(catalog, folder, name, activate=True, created=f"2026-01-0{number + 1}T00:00:00")
    return folder


# -- facts and drift


def test_a_fact_is_question_answer_and_quotes_not_places():
    (known,) = facts([pair(1)]).values()
    assert known == content_hash("How long is 1?", "1 feet", "it is 1 feet")
    moved = pair(1, evidence=(Evidence("d1", (Span(9, 0, 5),), "it is 1 feet"),), chunk="other", split="dev")
    assert facts([moved]) == {"p1": known}
    for other in (pair(1, question="?"), pair(1, answer="2 feet"), pair(1, evidence=())):
        assert facts([other])["p1"] != known


def test_drift_counts_what_was_edited_rejected_and_is_gone(catalog):
    pairs = [pair(n) for n in range(20)]
    catalog.put_pairs(pairs)
    manifest = {"facts": facts(pairs), "index": "i", "retriever": "r", "prompt": "p"}
    assert drift(manifest, catalog, "r", "i", "p") == Drift(False, False, False, 20, 0, 0, 0, 0, 0)
    assert drift(manifest, catalog, "r", "i", "p").sentence("a") == ""
    catalog.put_pairs(
        [pair(3, answer="33 feet"), pair(4, verdict="rejected", author="Ann"), pair(5, chunk="elsewhere")]
    )
    catalog.reject_pairs("test", [(pair(6), "why"), (pair(7), "why")])
    found = drift(manifest, catalog, "r2", "i", "p2")
    assert found == Drift(False, True, True, 20, 1, 1, 2, 0, 0)
    assert (found.changed, found.share) == (4, 0.2)
    assert found.sentence("2556") == (
        "Since adapter 2556 was tuned, 4 of 20 facts (20%) it was tuned on have changed (1 edited, 1 rejected, 2 gone)"
        "; the retrieval settings have changed; the prompt has changed."
    )
    assert drift(manifest, catalog, "r2", "i2", "p").clauses[1:] == ["the index has changed"]
    assert drift(manifest, catalog, "r2", None, None).clauses[1:] == [
        "the index or the retrieval settings have changed"
    ]
    assert drift(manifest, catalog, None, None, None, now=standing(catalog)) == replace(
        found, index=None, retriever=None, prompt=None
    )


def test_one_changed_fact_of_many_is_not_rounded_away(catalog):
    pairs = [pair(n) for n in range(240)]
    catalog.put_pairs(pairs[1:])
    (said,) = drift({"facts": facts(pairs)}, catalog, None, None, None).clauses
    assert said == "1 of 240 facts (<1%) it was tuned on has changed (1 gone)"
    catalog.reject_pairs("test", [(p, "why") for p in pairs[1:-1]])
    (said,) = drift({"facts": facts(pairs)}, catalog, None, None, None).clauses
    assert said == "239 of 240 facts (>99%) it was tuned on have changed (239 gone)"


def test_deleted_documents_and_a_manifest_without_facts(shelf):
    manifest = {"documents": ["heron", "ibis", "gone"], "deleted_documents": ["left"], "index": "i"}
    found = drift(manifest, shelf.catalog, None, "j", None)
    assert (found.documents, found.deleted, found.facts, found.share) == (3, 1, None, None)
    assert found.sentence("a") == (
        "Since adapter a was tuned, 1 of 3 documents it was tuned on is deleted; the index has changed; how many of "
        "its facts have changed is not known, since its manifest does not name them."
    )
    shelf.catalog.remove_documents(["ibis"])
    assert drift(manifest, shelf.catalog, None, "i", None).deleted == 2
    assert drift({}, shelf.catalog, "r", "i", "p") == Drift(None, None, None, None, 0, 0, 0, 0, 0)


def test_drift_is_fast_on_thousands_of_pairs(catalog):
    pairs = [pair(n) for n in range(5000)]
    catalog.put_pairs(pairs)
    manifest = {"facts": facts(pairs)}
    started = time.process_time()
    assert drift(manifest, catalog, None, None, None).changed == 0
    assert time.process_time() - started < 2  # 0.13 s where nothing else runs


def test_training_leaves_a_shelf_without_drift(trained):
    """Of a real manifest, whatever version wrote it."""
    (entry,) = entries(trained.shelf.catalog, trained.shelf.workspace.adapters_folder)
    m = entry.manifest
    found = drift(m, trained.shelf.catalog, m["retriever"], m["index"], m["prompt"])
    assert (found.index, found.retriever, found.prompt, found.changed, found.deleted) == (False, False, False, 0, 0)
    assert (entry.whole, entry.id, entry.bytes > 1000) == (True, trained.report.adapter, True)
    check(entry, "tiny", trained.base.base_hash())


# -- ids


def test_ids_by_their_beginning(catalog, shelf_of_three):
    known = entries(catalog, shelf_of_three)
    assert [entry.id for entry in known] == list(IDS)
    assert [find(given, known) for given in ("255", " F", IDS[1])] == [IDS[0], IDS[2], IDS[1]]
    whole = known[0].manifest["sha256"]
    named = [replace(known[0], id=whole[:16])]
    assert find(whole, named) == whole[:16]  # as answers show it
    with pytest.raises(FieldguideError) as told:
        find("25", known)
    assert str(told.value) == f"2 adapters begin with '25' ({IDS[0]}, {IDS[1]}): give more of the id."
    for wrong, nearest in (("2557", IDS[0]), ("f00f", IDS[2]), ("", None), ("zzz", None)):
        with pytest.raises(FieldguideError, match=f"No adapter begins with '{wrong}'; the nearest is ") as told:
            find(wrong, known)
        assert nearest is None or f"nearest is {nearest} (" in str(told.value)
    with pytest.raises(NotReady, match="There are no adapters yet; run `fieldguide tune`"):
        find("25", [])


# -- what may be served


def test_what_cannot_be_served_is_refused_in_a_sentence(catalog, shelf_of_three):
    def entry(**manifest):
        found = entries(catalog, shelf_of_three)[0]
        return replace(found, manifest={**found.manifest, **manifest})

    check(entry(), "tiny", "0011")
    check(entry(base_hash={"float32": "0011", "bfloat16": "2222"}), "tiny", "2222")
    check(entry(), "tiny")
    with pytest.raises(ModelError, match=r"belongs to the model tiny and models\.generator is bundled: set that"):
        check(entry(), "bundled")
    with pytest.raises(ModelError, match=r"other weights of tiny \(hash 0011, loaded is 3333\)"):
        check(entry(), "tiny", "3333")
    (shelf_of_three / IDS[0] / "adapter_model.safetensors").write_bytes(b"other")
    with pytest.raises(ModelError, match=r"have the SHA-256 [0-9a-f]{16}… and its manifest says [0-9a-f]{16}…"):
        check(entry(), "tiny")
    (shelf_of_three / IDS[0] / "adapter_config.json").unlink()
    with pytest.raises(ModelError, match=f"The files of adapter {IDS[0]} are missing from ") as told:
        check(entry(), "tiny")
    assert f"`fieldguide adapters delete {IDS[0]}`" in str(told.value)


# -- the way back


def test_back_goes_back_step_by_step(catalog, shelf_of_three):
    a, b, c = IDS
    assert (catalog.active("adapter").id, catalog.used_before("adapter")) == (c, [b, a])
    catalog.activate([("adapter", a)])
    assert catalog.used_before("adapter") == [c, b, a]
    assert [catalog.step_back("adapter") for _ in range(4)] == [c, b, a, None]
    assert (catalog.active("adapter").id, catalog.used_before("adapter")) == (a, [])
    catalog.activate([("adapter", a)])  # the same again is no step
    assert catalog.used_before("adapter") == []
    catalog.deactivate("adapter")
    assert (catalog.active("adapter"), catalog.used_before("adapter")) == (None, [a])
    assert catalog.step_back("adapter") == a


def test_a_removed_adapter_is_no_step_on_the_way_back(catalog, shelf_of_three):
    a, b, c = IDS
    catalog.activate([("adapter", b)])  # a, b, c, b
    catalog.remove_artefact("adapter", c)
    assert catalog.used_before("adapter") == [a]
    catalog.remove_artefact("adapter", b)
    assert (catalog.active("adapter"), catalog.used_before("adapter")) == (None, [a])
    catalog.add_artefact("adapter", c, {}, activate=True)  # tuned again
    assert catalog.used_before("adapter") == [a]


def test_kinds_have_ways_of_their_own_and_a_workspace_of_before_has_none(catalog):
    catalog.add_artefact("index", "i", {}, activate=True)
    catalog.add_artefact("adapter", "x", {}, activate=True)
    assert (catalog.used_before("index"), catalog.used_before("adapter")) == ([], [])
    assert catalog.step_back("adapter") is None
    assert catalog.active("adapter").id == "x"


# -- deletion


def test_delete_removes_rows_and_folders(catalog, shelf_of_three):
    size = sum(entry.bytes for entry in entries(catalog, shelf_of_three)[:2])
    assert delete(catalog, shelf_of_three, IDS[:2]) == size
    assert [path.name for path in shelf_of_three.iterdir()] == [IDS[2]]
    assert [entry.id for entry in entries(catalog, shelf_of_three)] == [IDS[2]]
    assert delete(catalog, shelf_of_three, []) == 0


@pytest.mark.parametrize("at", ["the rename", "the removal"])
def test_a_killed_deletion_leaves_no_half_adapter_and_can_be_finished(catalog, shelf_of_three, monkeypatch, at):
    def killed(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(*((registry.os, "replace") if at == "the rename" else (registry.shutil, "rmtree")), killed)
        with pytest.raises(KeyboardInterrupt):
            delete(catalog, shelf_of_three, [IDS[2]])
    assert [entry.id for entry in entries(catalog, shelf_of_three)] == list(IDS[:2])
    assert all(entry.whole for entry in entries(catalog, shelf_of_three))
    assert (catalog.active("adapter"), catalog.used_before("adapter")) == (None, [IDS[1], IDS[0]])
    assert leftovers(catalog, shelf_of_three) == ([IDS[2]] if at == "the rename" else [])
    if at == "the rename":
        assert find("f0", entries(catalog, shelf_of_three), leftovers(catalog, shelf_of_three)) == IDS[2]
        assert delete(catalog, shelf_of_three, [IDS[2]]) > 0
    else:
        add(catalog, shelf_of_three, IDS[2])  # tuned again meanwhile, and deleted again
        delete(catalog, shelf_of_three, [IDS[2]])
    assert sorted(path.name for path in shelf_of_three.iterdir()) == sorted(IDS[:2])


def test_an_adapter_without_its_folder_can_be_deleted(catalog, shelf_of_three):
    shutil.rmtree(shelf_of_three / IDS[0])
    first = entries(catalog, shelf_of_three)[0]
    assert (first.whole, first.bytes) == (False, 0)
    assert delete(catalog, shelf_of_three, [IDS[0]]) == 0
    assert len(entries(catalog, shelf_of_three)) == 2


# -- manifests beside each other

OLD = {
    "base": "tiny:00", "examples": 8, "dev_loss_base": 2.0, "dev_loss_tuned": 1.0, "loss": [3.0, 2.0, 1.0], "steps": 12,
    "settings": {"rank": 4, "epochs": 2.0}, "training_set": "t1", "documents": ["d1", "d2"], "gold": {"shown": 8},
}  # fmt: skip
NEW = OLD | {
    "method": "dora", "strength": 0.75, "start": "none", "training_set": "t2", "documents": ["d2", "d3", "d4"],
    "settings": {"rank": 8, "epochs": 2.0, "half": True}, "dev_loss_tuned": 2.5, "facts": {"p1": "x", "p2": "y"},
    "curve": [
        {"step": 4, "loss": 2.5, "dev_loss": 2.6, "dev_f1": 0.5},
        {"step": 12, "loss": 2.0, "dev_loss": 2.5, "dev_f1": 0.4},
    ],
    "metrics": {"dev_f1_tuned": {"mean": 0.48, "low": 0.4, "high": 0.56, "n": 24}},
    "general": {"before": {"suite": "s", "metrics": {"f1": {"mean": 0.3}, "loss": {"mean": 2.0}}}, "after": 0.25},
}  # fmt: skip


def test_summaries_of_every_version():
    assert summary(NEW) == {
        "base": "tiny:00", "method": "dora", "examples": 8, "dev_loss_base": 2.0, "dev_loss_tuned": 2.5,
        "dev_f1_base": None, "dev_f1": 0.48, "general_before": 0.3, "general_after": 0.25, "strength": 0.75,
    }  # fmt: skip
    old = summary(OLD)
    assert (old["method"], old["dev_f1"], old["strength"], old["general_after"]) == ("lora", None, None, None)
    assert summary(NEW | {"metrics": {}})["dev_f1"] == 0.5  # the best point of the curve
    assert set(summary({}).values()) == {None, "lora"}
    assert summary(OLD | {"dev_f1_base": 0.125, "dev_f1_tuned": 0.25})["dev_f1_base"] == 0.125
    assert (no_better(OLD), no_better(NEW), no_better({})) == (False, True, False)
    assert (no_better(OLD | {"passed": False}), no_better(NEW | {"passed": True})) == (True, False)


def test_differences():
    found = differences(OLD, NEW)
    assert found["settings"] == {"rank": [4, 8], "half": [None, True]}
    assert found["made_with"] == {"method": [None, "dora"], "start": [None, "none"], "strength": [None, 0.75]}
    trained = found["training_set"]
    assert (trained["same"], trained["hash"], trained["examples"]) == (False, ["t1", "t2"], [8, 8])
    assert trained["documents"] == {"shared": 1, "worded_otherwise": 0, "only_a": 1, "only_b": 2}
    assert trained["facts"] is None  # the older one does not name them
    assert found["metrics"] == {"dev_f1_tuned": [None, NEW["metrics"]["dev_f1_tuned"]]}
    assert [(row["step"], row["a"] and row["a"]["loss"], row["b"] and row["b"]["loss"]) for row in found["curves"]] == [
        (4, 3.0, 2.5), (8, 2.0, None), (12, 1.0, 2.0)
    ]  # fmt: skip
    other = differences(NEW, NEW | {"facts": {"p2": "z", "p3": "y"}})
    assert other["training_set"]["facts"] == {"shared": 1, "worded_otherwise": 1, "only_a": 1, "only_b": 1}
    assert (other["training_set"]["same"], other["settings"], other["made_with"]) == (True, {}, {})


def test_curves_are_thinned_to_the_points_that_were_looked_at():
    rows = [{"step": n, "dev_loss": 1.0 if n % 10 == 0 else None} for n in range(1, 41)]
    assert [row["step"] for row in thin(rows, 10)] == [10, 20, 30, 40]
    assert [row["step"] for row in thin(rows, 2)] == [20, 40]
    assert [row["step"] for row in thin([{"step": n} for n in range(1, 101)], 4)] == [25, 50, 75, 100]
    assert curve({}) == []
