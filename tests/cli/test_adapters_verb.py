"""`fieldguide adapters`: list, show, compare, use, back and delete, with made manifests and real adapters of the tiny
model; and what `ask` and `status` say when something has moved since an adapter was tuned."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from fieldguide.catalog import Catalog
from fieldguide.files import file_hash, write_json
from fieldguide.models.tiny import write_tiny_adapter
from fieldguide.models.transformers_generator import TransformersGenerator
from fieldguide.prompts import answer_prompt_hash
from tuning.registry import facts

VERBS = {
    "list": [], "show": ["ID"], "compare": ["A", "B"], "use": ["ID"], "back": [], "delete": ["ID..."],
}  # fmt: skip


@pytest.fixture(scope="session")
def made(tmp_path_factory, model):
    """Two adapters of the tiny model, and its hash."""
    folder = tmp_path_factory.mktemp("made")
    written = [write_tiny_adapter(folder / str(seed), model, seed=seed) for seed in (1, 2)]
    return written, TransformersGenerator(model, name="tiny").base_hash()


@pytest.fixture
def tuned(shelf, made):
    """A workspace with two adapters, the second in use; their ids. Each was tuned on every train pair."""
    written, base_hash = made
    catalog = Catalog.open(shelf / ".fieldguide" / "catalog.sqlite")
    pairs = catalog.pairs("train")
    index = catalog.active("index")
    ids = []
    for number, source in enumerate(written):
        sha = file_hash(source / "adapter_model.safetensors")
        target = shelf / ".fieldguide" / "adapters" / sha[:16]
        shutil.copytree(source, target)
        manifest = {
            "id": sha[:16], "sha256": sha, "key": f"key{number}", "base": f"tiny:{base_hash[:16]}",
            "base_hash": base_hash, "retriever": "not looked at", "index": index.manifest["content"],
            "prompt": answer_prompt_hash(),
            "training_set": f"set{number}", "examples": 40 + number, "gold": {"shown": 40}, "left_out": 0,
            "dev_examples": 4, "documents": sorted({p.document for p in pairs}), "facts": facts(pairs),
            "settings": {"rank": 4 * (number + 1), "epochs": 2.0}, "loss": [3.0, 2.5], "dev_loss_base": 2.875,
            "dev_loss_tuned": 2.5 - number, "steps": 8, "planned_steps": 8, "tokens": 900, "seconds": 3.5,
            "version": "0.1.0", "created": f"2026-03-0{number + 1}T10:00:00",
        }  # fmt: skip
        if number:
            manifest |= {
                "method": "rslora", "strength": 0.75, "general": {"before": 0.31, "after": 0.305},
                "metrics": {"dev_f1_tuned": {"mean": 0.4375, "low": 0.25, "high": 0.625, "n": 16}},
                "curve": [
                    {"step": 4, "loss": 2.25, "dev_loss": 2.0, "dev_f1": 0.25, "memory_mb": 900},
                    {"step": 8, "loss": 1.75, "dev_loss": 1.5, "dev_f1": 0.4375, "memory_mb": 900},
                ],
            }  # fmt: skip
        write_json(target / "manifest.json", manifest)
        catalog.add_artefact("adapter", sha[:16], manifest, activate=True)
        ids.append(sha[:16])
    catalog.close()
    return ids


@pytest.fixture
def run(cli, shelf):
    def ran(*arguments):
        done = cli("adapters", *arguments, "-w", shelf)
        assert "Traceback" not in done.err
        return done

    return ran


def change_pairs(shelf):
    """Of the train pairs one is edited, one rejected and two are gone; how many there were."""
    from dataclasses import replace

    catalog = Catalog.open(shelf / ".fieldguide" / "catalog.sqlite")
    pairs = catalog.pairs("train")
    catalog.put_pairs([replace(pairs[0], answer="other"), replace(pairs[1], verdict="rejected", author="Ann")])
    catalog.reject_pairs("test", [(pairs[2], "why"), (pairs[3], "why")])
    catalog.close()
    return len(pairs)


def test_list(run, tuned, shelf, monkeypatch):
    done = run("list", "--json")
    first, second = done.json["adapters"]
    assert [first["id"], second["id"]] == tuned
    assert (done.json["in_use"], done.json["used_before"], done.json["leftovers"]) == (tuned[1], [tuned[0]], [])
    told = {k: second[k] for k in (
        "method", "examples", "dev_loss_base", "dev_loss_tuned", "dev_f1", "general_before", "general_after",
        "strength", "in_use", "marks",
    )}  # fmt: skip
    assert told == {
        "method": "rslora", "examples": 41, "dev_loss_base": 2.875, "dev_loss_tuned": 1.5, "dev_f1": 0.4375,
        "general_before": 0.31, "general_after": 0.305, "strength": 0.75, "in_use": True, "marks": [],
    }  # fmt: skip
    assert (first["method"], first["dev_f1"], first["in_use"], first["created"]) == (
        "lora", None, False, "2026-03-01T10:00:00"
    )  # fmt: skip
    folder = shelf / ".fieldguide" / "adapters" / tuned[0]
    assert first["bytes"] == sum(file.stat().st_size for file in folder.iterdir())
    for shown in (
        *tuned, "dev loss 2.875 → 1.500", "dev F1 43.8%", "general 31.0% → 30.5%", "in use, ",
        "rslora, strength 0.75, 41 examples", "2026-03-02 10:00",
    ):  # fmt: skip
        assert shown in done.err, shown
    monkeypatch.setenv("COLUMNS", "80")
    assert all(f"│ {name} │" in run("list").err for name in tuned)


def test_list_marks_what_is_wrong(run, tuned, shelf):
    n = change_pairs(shelf)
    (shelf / ".fieldguide" / "adapters" / tuned[0] / "adapter_config.json").unlink()
    (shelf / ".fieldguide" / "adapters" / "0123456789abcdef").mkdir()
    catalog = Catalog.open(shelf / ".fieldguide" / "catalog.sqlite")
    trained = catalog.artefacts("adapter")[0].manifest["documents"]
    catalog.remove_documents(trained[:1])
    catalog.close()
    done = run("list", "--json")
    gone = f"1 of {len(trained)} documents deleted"
    assert [row["marks"][:2] for row in done.json["adapters"]] == [
        ["files missing", gone], [gone, done.json["adapters"][1]["marks"][1]]
    ]  # fmt: skip
    drift = done.json["adapters"][1]["drift"]
    assert (drift["facts"], drift["edited"] <= 1, drift["gone"] >= 2) == (n, True, True)
    assert done.json["adapters"][1]["marks"][1] == f"{drift['changed']} of {n} facts changed"
    assert done.json["leftovers"] == ["0123456789abcdef"]
    assert "belongs to no adapter: a deletion or a training was stopped before its end." in done.err
    assert run("delete", "0123", "--json").json["deleted"] == ["0123456789abcdef"]
    assert run("list", "--json").json["leftovers"] == []


def test_a_workspace_without_adapters(run):
    assert run("list", "--json").json == {"adapters": [], "in_use": None, "used_before": [], "leftovers": []}
    for verb, ids in (("show", ["a"]), ("use", ["a"]), ("delete", ["a"]), ("compare", ["a", "b"])):
        done = run(verb, *ids)
        assert (done.code, done.err) == (2, "There are no adapters yet; run `fieldguide tune` to make one.\n")
    done = run("back")
    assert (done.code, done.err) == (
        2, "No adapter was in use before; `fieldguide adapters use base` serves the model without one.\n"
    )  # fmt: skip


def test_show(run, tuned, shelf, monkeypatch):
    done = run("show", tuned[1][:5], "--json")
    assert (done.json["id"], done.json["in_use"], done.json["weights"]) == (tuned[1], True, "unharmed")
    assert done.json["manifest"]["metrics"]["dev_f1_tuned"]["n"] == 16
    n = len(done.json["manifest"]["facts"])
    assert (done.json["drift"]["facts"], done.json["drift"]["share"]) == (n, 0.0)
    for shown in (
        "rslora", "rank: 8", f"{n} (their hashes: --json)", "dev_f1_tuned: 0.438 (0.250 to 0.625), n = 16", "memory_mb",
        "general", "before: 0.31", f"It lies in {shelf / '.fieldguide' / 'adapters' / tuned[1]}",
    ):  # fmt: skip
        assert shown in done.err, shown
    monkeypatch.setenv("COLUMNS", "80")
    folded = "".join(run("show", tuned[1]).err.replace("│", "").split())
    assert done.json["manifest"]["sha256"] in folded  # nothing is cut off
    for name in done.json["manifest"]:
        assert name in done.err or name in ("curve", "loss")
    weights = shelf / ".fieldguide" / "adapters" / tuned[1] / "adapter_model.safetensors"
    weights.write_bytes(b"other")
    assert "weights changed" in run("show", tuned[1]).err
    weights.unlink()
    assert run("show", tuned[1], "--json").json["weights"] == "missing"


def test_compare(run, tuned):
    done = run("compare", tuned[0], tuned[1], "--json")
    assert (done.json["a"], done.json["b"]) == tuple(tuned)
    assert done.json["settings"] == {"rank": [4, 8]}
    assert done.json["made_with"] == {"method": [None, "rslora"], "strength": [None, 0.75]}
    assert (done.json["training_set"]["same"], done.json["training_set"]["examples"]) == (False, [40, 41])
    assert done.json["training_set"]["facts"]["worded_otherwise"] == 0
    assert [(row["step"], row["a"]["loss"], row["b"]["loss"]) for row in done.json["curves"]] == [
        (4, 3.0, 2.25), (8, 2.5, 1.75)
    ]  # fmt: skip
    for shown in (
        f"A: {tuned[0]}", f"B: {tuned[1]}", "rank", "2.875 → 2.500", "2.875 → 1.500", "0.438 (0.250 to 0.625), n = 16",
        "facts: ", "shared, 0 only A, 0 only B", "`fieldguide compare` pairs the questions", "B dev loss",
    ):  # fmt: skip
        assert shown in done.err, shown
    same = run("compare", tuned[0], tuned[0][:8])
    assert (same.code, same.err.endswith(f"name adapter {tuned[0]}: give two that differ.\n")) == (2, True)


def test_use_and_back_change_what_answers(cli, run, tuned, shelf):
    def answering(*options):
        return cli("ask", "What was the wind?", "-w", shelf, "--json", *options).json["trace"]["adapter"]

    assert answering()[:16] == tuned[1]
    used = run("use", tuned[0][:6], "--json")
    assert used.json == {"in_use": tuned[0], "before": tuned[1], "notes": []}
    assert used.err == f"Adapter {tuned[0]} is in use. Before it was {tuned[1]}.\n"
    assert answering()[:16] == tuned[0]
    assert run("back", "--json").json == {"in_use": tuned[1], "before": tuned[0], "notes": []}
    assert answering()[:16] == tuned[1]
    assert run("back", "--json").json["in_use"] == tuned[0]  # before all that, as it was tuned first
    done = run("back", "--json")
    assert (done.code, done.json["error"]) == (
        2,
        f"No adapter was in use before {tuned[0]}; `fieldguide adapters use base` serves the model without one.",
    )
    assert run("use", "base", "--json").json == {"in_use": None, "before": tuned[0], "notes": []}
    assert answering() is None
    assert run("back", "--json").json["in_use"] == tuned[0]


def test_use_refuses_what_cannot_be_served(run, tuned, shelf, configure, tmp_path, model):
    weights = shelf / ".fieldguide" / "adapters" / tuned[0] / "adapter_model.safetensors"
    kept = weights.read_bytes()
    weights.write_bytes(b"other")
    refused = run("use", tuned[0], "--json")
    assert (refused.code, "have the SHA-256" in refused.json["error"]) == (2, True)
    weights.unlink()
    refused = run("use", tuned[0])
    assert refused.err.startswith(f"The files of adapter {tuned[0]} are missing from ")
    assert run("back").err == refused.err  # where the way back leads to it, it says the same
    weights.write_bytes(kept)

    from fieldguide.models.tiny import write_tiny_model

    other = write_tiny_model(tmp_path / "tiny", seed=7, context_tokens=8192)  # of the same name
    configure(shelf, other)
    refused = run("use", tuned[0])
    assert (refused.code, "was tuned on other weights of tiny (hash " in refused.err) == (2, True)
    assert run("list", "--json").json["in_use"] == tuned[1]
    assert run("use", tuned[0], "--no-check").code == 0
    configure(shelf, Path("bundled"))
    refused = run("use", tuned[1], "--no-check")
    assert refused.err == (
        f"Adapter {tuned[1]} belongs to the model tiny and models.generator is bundled: set that to the "
        "adapter's model first, or tune anew.\n"
    )


def test_use_says_what_is_doubtful(run, tuned, shelf):
    n = change_pairs(shelf)
    catalog = Catalog.open(shelf / ".fieldguide" / "catalog.sqlite")
    worse = next(a for a in catalog.artefacts("adapter") if a.id == tuned[0])
    catalog.add_artefact("adapter", tuned[0], {**worse.manifest, "dev_loss_tuned": 3.0}, activate=False)
    catalog.close()
    share = f"{100 * 4 / n:.0f}%"
    assert run("use", tuned[0], "--json").json["notes"] == [
        f"Since adapter {tuned[0]} was tuned, 4 of {n} facts ({share}) it was tuned on have changed (1 edited, "
        "1 rejected, 2 gone).",
        "On held-out pairs it was no better than the model alone (loss 2.875 → 3.000, F1 –).",
    ]
    assert "no better than the model alone" in run("list").err


def test_ask_and_status_warn_and_say_by_how_much(cli, tuned, shelf, reports, tmp_path):
    asked = ("ask", "What was the wind?", "-w", shelf)
    retrieval = "the retrieval settings have changed"  # the made manifest names no retriever that there is
    assert cli(*asked, "--json").json["notes"] == [
        f"Since adapter {tuned[1]} was tuned, {retrieval}. Tune again with `fieldguide tune`."
    ]
    assert cli("status", "-w", shelf, "--json").json["stale"] == []
    n = change_pairs(shelf)
    moved = (
        f"Since adapter {tuned[1]} was tuned, 4 of {n} facts ({100 * 4 / n:.0f}%) it was tuned on have changed "
        "(1 edited, 1 rejected, 2 gone)"
    )
    assert cli(*asked, "--json").json["notes"] == [f"{moved}; {retrieval}. Tune again with `fieldguide tune`."]
    assert f"Note: {moved}" in cli(*asked).err
    assert cli(*asked, "--base", "--json").json["notes"] == []
    assert cli("status", "-w", shelf, "--json").json["stale"] == [f"{moved}: run `fieldguide tune`."]
    (tmp_path / "note.md").write_text("# Note\n\nThe archive lies in Bergen.\n")
    assert cli("ingest", tmp_path / "note.md", "-w", shelf).code == 0
    said = f"{moved}; the index has changed"
    assert cli("status", "-w", shelf, "--json").json["stale"] == [f"{said}: run `fieldguide tune`."]
    assert cli(*asked, "--json").json["notes"] == [f"{said}. Tune again with `fieldguide tune`."]


def test_delete(run, tuned, shelf):
    folder = shelf / ".fieldguide" / "adapters"
    refused = run("delete", *tuned, "--json")
    assert (refused.code, refused.json["error"]) == (
        2,
        f"Adapter {tuned[1]} is in use: use another first (`fieldguide adapters use ID` or `back`), or give --force, "
        "and the model answers without one.",
    )
    assert run("delete", tuned[0], "nonesuch").code == 2  # all or none
    assert sorted(path.name for path in folder.iterdir()) == sorted(tuned)
    size = sum(file.stat().st_size for file in (folder / tuned[0]).iterdir())
    assert run("delete", tuned[0][:4], "--json").json == {"deleted": [tuned[0]], "bytes": size, "in_use": tuned[1]}
    assert run("back").code == 2
    done = run("delete", tuned[1], "--force", "--json")
    assert (done.json["deleted"], done.json["in_use"]) == ([tuned[1]], None)
    assert done.err.endswith("No adapter is in use now: the model answers as it is.\n")
    assert list(folder.iterdir()) == []
    assert run("list", "--json").json["adapters"] == []


def test_unknown_and_ambiguous_ids_give_a_sentence(run, tuned, shelf):
    done = run("show", tuned[0][:-1] + "x")
    assert (done.code, f"the nearest is {tuned[0]} (`fieldguide adapters list` shows all)." in done.err) == (2, True)
    (shelf / ".fieldguide" / "adapters" / f"{tuned[0][:3]}{'0' * 13}").mkdir()
    done = run("delete", tuned[0][:3])
    assert (done.code, f"2 adapters begin with '{tuned[0][:3]}' (" in done.err) == (2, True)


@pytest.mark.parametrize("verb", VERBS)
def test_help(cli, verb):
    done = cli("adapters", verb, "--help")
    said = " ".join(done.out.split())
    assert done.code == 0
    for shown in ("--json", "--workspace", *VERBS[verb]):
        assert shown in said
    assert all(name in cli("adapters", "--help").out for name in VERBS)


def test_without_a_verb_it_lists_and_options_stand_behind_the_verb(cli, tuned, shelf):
    assert cli("adapters", "-w", shelf, "--json").json == cli("adapters", "list", "-w", shelf, "--json").json
    for options, name in ((["-w", shelf], "--workspace"), (["--json"], "--json")):
        done = cli("adapters", *options, "back")
        assert (done.code, f"{name} stands before back; write it after that." in " ".join(done.err.split())) == (
            2,
            True,
        )


def test_switching_leaves_the_files_alone_and_works_in_a_process_of_its_own(shell, tuned, shelf):
    before = {path: path.stat().st_mtime_ns for path in (shelf / ".fieldguide" / "adapters").rglob("*")}
    assert shell("adapters", "list", "-w", shelf, "--json").json["in_use"] == tuned[1]
    assert shell("adapters", "use", tuned[0], "--no-check", "-w", shelf, "--json").json["in_use"] == tuned[0]
    assert before == {path: path.stat().st_mtime_ns for path in (shelf / ".fieldguide" / "adapters").rglob("*")}
