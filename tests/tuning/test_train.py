import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch

from fieldguide.catalog import FileRecord, Reading
from fieldguide.errors import IntegrityError, NotReady
from fieldguide.files import file_hash
from fieldguide.models.sentence_transformer import bfloat16_on_cpu
from fieldguide.prompts import answer_prompt_hash
from fieldguide.types import Chunk, Document, Silent, Span
from tuning.contexts import Shape, build_examples
from tuning.examples import choose, set_hash
from tuning.loop import latest_checkpoint
from tuning.loss import answer_loss
from tuning.registry import fact
from tuning.tokenise import collate, tokenise
from tuning.train import active_adapter

LOOSE = 2e-2 if bfloat16_on_cpu() else 1e-4


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def forget_pairs(catalog, *splits):
    """Pairs of some splits, moved to the test split."""
    for p in catalog.pairs():
        if p.split in splits:
            catalog.store_pairs(p.chunk, "written", [replace(p, split="test")], [])


def adapters(shelf):
    return sorted(p.name for p in shelf.workspace.adapters_folder.iterdir())


# -- an undisturbed run


def test_the_manifest_names_every_input_and_what_came_out(trained):
    shelf, report, m = trained.shelf, trained.report, trained.report.manifest
    pairs = choose(shelf.catalog.pairs("train"), 0, 0)
    shape = Shape(8, (1, 2 * shelf.retriever.k - 1), closed_book_share=0.3, gold_missing_share=0.1, passes=2)
    examples = build_examples(pairs, [shelf.retriever], shelf.catalog.chunks(), shape)
    assert m["base_hash"] == trained.hash_before == trained.base.base_hash()
    assert m["base"] == trained.base.id
    assert m["training_set"] == set_hash(examples)
    assert m["gold"] == {gold: sum(e.gold == gold for e in examples) for gold in ("retrieved", "none", "removed")}
    assert m["gold"]["retrieved"] == 24
    assert 0 < m["gold"]["none"] < 24
    assert 0 < m["gold"]["removed"] < 10
    assert (m["examples"], m["passes"]) == (len(examples), 2)
    assert m["facts"] == {p.id: fact(p) for p in pairs}
    assert m["start"]["adapter"] == ""
    assert (m["left_out"], m["dev_examples"]) == (0, 4)
    assert m["documents"] == ["heron", "ibis", "stork"]
    assert (m["index"], m["retriever"]) == (shelf.retriever.index_id, shelf.retriever.recipe)
    assert m["prompt"] == answer_prompt_hash()
    assert m["settings"] == shelf.settings.model_dump(mode="json")
    assert m["steps"] == m["planned_steps"] == len(m["loss"])
    assert m["sha256"] == file_hash(report.folder / "adapter_model.safetensors")
    assert report.adapter == report.folder.name == m["id"] == m["sha256"][:16]
    assert json.loads((report.folder / "manifest.json").read_text()) == m
    assert json.loads((report.run / "metrics.json").read_text()) == m


def test_it_is_registered_in_use_and_its_checkpoints_are_gone(trained):
    shelf, report = trained.shelf, trained.report
    found = active_adapter(shelf.catalog, shelf.workspace.adapters_folder)
    assert found is not None
    assert (found[0].id, found[0].active, found[1]) == (report.adapter, True, report.folder)
    assert dict(found[0].manifest) == report.manifest
    assert (report.trained, report.active) == (True, True)
    assert sorted(p.name for p in report.run.iterdir() if p.is_dir()) == []


def test_training_lowers_the_loss_and_the_dev_loss(trained):
    m = trained.report.manifest
    quarter = len(m["loss"]) // 4
    assert sum(m["loss"][-quarter:]) < sum(m["loss"][:quarter]) - quarter
    assert m["dev_loss_tuned"] < m["dev_loss_base"] - 0.5


def test_the_dev_losses_are_those_of_the_base_model_and_of_the_adapter_as_it_is_served(trained):
    shelf, m = trained.shelf, trained.report.manifest
    dev = choose(shelf.catalog.pairs("dev"), 4, 0)
    examples = build_examples(dev, [shelf.retriever], shelf.catalog.chunks(), Shape())
    assert [e.gold for e in examples] == ["retrieved"] * 4
    serving = shelf.generator()

    def loss():
        rows = tokenise(examples, serving, 1024)
        with torch.no_grad():
            return float(answer_loss(serving.model, collate([asdict(row) for row in rows], 2)))

    assert loss() == pytest.approx(m["dev_loss_base"], rel=LOOSE)
    adapter = serving.load_adapter(trained.report.folder)
    assert loss() == pytest.approx(m["dev_loss_base"], rel=LOOSE)
    serving._switch(adapter)
    assert loss() == pytest.approx(m["dev_loss_tuned"], rel=LOOSE)


def test_the_adapter_changes_what_is_said_and_the_base_says_what_it_did(trained, saying):
    assert saying(trained.base, trained.prompts) == trained.said_before
    adapter = trained.base.load_adapter(trained.report.folder)
    tuned = saying(trained.base, trained.prompts, adapter)
    assert all(one != other for one, other in zip(tuned, trained.said_before, strict=True))
    assert saying(trained.base, trained.prompts) == trained.said_before
    fresh = trained.shelf.generator()
    assert saying(fresh, trained.prompts, fresh.load_adapter(trained.report.folder)) == tuned
    trained.base.unload_adapters()


def test_the_same_inputs_are_not_trained_twice(trained, monkeypatch):
    monkeypatch.setattr("tuning.train.Loop", None)
    runs = len(trained.shelf.made)
    again = trained.shelf.tune(trained.base)
    assert (again.trained, again.active, again.run) == (False, True, None)
    assert (again.adapter, again.folder, again.manifest) == (
        trained.report.adapter, trained.report.folder, trained.report.manifest,
    )  # fmt: skip
    assert len(trained.shelf.made) == runs
    assert trained.shelf.tune(trained.base, save_steps=1).trained is False


def test_the_seed_alone_decides_the_weights(shelf, trained, read_weights):
    torch.manual_seed(1234)
    torch.rand(7)
    assert same(read_weights(shelf.tune(shelf.generator()).folder), trained.weights)
    assert not same(read_weights(shelf.tune(shelf.generator(), seed=1).folder), trained.weights)


def test_an_adapter_that_is_on_the_model_is_taken_off_first(shelf, trained, read_weights, saying):
    base = shelf.generator()
    base.load_adapter(trained.report.folder)
    assert same(read_weights(shelf.tune(base).folder), trained.weights)
    assert saying(base, trained.prompts) == trained.said_before
    assert saying(base, trained.prompts, base.load_adapter(trained.report.folder)) != trained.said_before


# -- interruptions


def test_a_stopped_run_goes_on_to_the_same_weights(shelf, trained, stop_after, read_weights):
    base = shelf.generator()
    with pytest.raises(KeyboardInterrupt):
        shelf.tune(base, stop_after(2))
    assert base.base_hash() == trained.hash_before
    assert [p.name for p in shelf.made[0].glob("checkpoint-*")] == ["checkpoint-2"]
    assert shelf.catalog.artefacts("adapter") == []
    with pytest.raises(KeyboardInterrupt):
        shelf.tune(base, stop_after(3))
    assert latest_checkpoint(shelf.made[0]).name == "checkpoint-5"
    report = shelf.tune(shelf.generator())
    assert len(shelf.made) == 1
    assert (report.trained, report.run) == (True, shelf.made[0])
    assert same(read_weights(report.folder), trained.weights)
    for name in ("loss", "steps", "dev_loss_base", "dev_loss_tuned", "key", "sha256"):
        assert report.manifest[name] == trained.report.manifest[name], name


def test_a_run_whose_folder_has_a_number_goes_on_too(shelf, trained, stop_after, monkeypatch):
    """The second run of a second is called -tune-1."""
    folder = shelf.workspace.runs_folder / "20260102-030405-tune-1"
    monkeypatch.setattr(shelf, "run_folder", lambda: folder)
    base = shelf.generator()
    with pytest.raises(KeyboardInterrupt):
        shelf.tune(base, stop_after(2))
    monkeypatch.setattr(shelf, "run_folder", None)
    assert (report := shelf.tune(base)).run == folder
    assert report.adapter == trained.report.adapter


def test_a_stop_in_the_last_step_comes_too_late_to_stop_anything(shelf, trained, stop_after):
    assert shelf.tune(shelf.generator(), stop_after(trained.report.manifest["steps"])).adapter == trained.report.adapter


def test_other_settings_do_not_go_on_from_a_stopped_run(shelf, stop_after):
    base = shelf.generator()
    with pytest.raises(KeyboardInterrupt):
        shelf.tune(base, stop_after(2))
    report = shelf.tune(base, epochs=1)
    assert report.run == shelf.made[1] != shelf.made[0]
    assert report.manifest["steps"] == len(report.manifest["loss"])


def test_half_a_checkpoint_is_passed_over(shelf, trained, stop_after):
    base = shelf.generator()
    with pytest.raises(KeyboardInterrupt):
        shelf.tune(base, stop_after(4))
    newest = latest_checkpoint(shelf.made[0])
    shutil.copytree(newest, newest.with_name("checkpoint-6"))
    (newest.with_name("checkpoint-6") / "trainer_state.json").unlink()
    report = shelf.tune(base)
    assert (report.run, report.adapter) == (shelf.made[0], trained.report.adapter)


def test_a_run_that_was_killed_before_its_first_checkpoint_starts_anew(shelf, trained, stop_after):
    base = shelf.generator()
    with pytest.raises(KeyboardInterrupt):
        shelf.tune(base, stop_after(1))
    shutil.rmtree(shelf.made[0] / "checkpoint-1")
    report = shelf.tune(base)
    assert (report.run, report.adapter) == (shelf.made[1], trained.report.adapter)


@pytest.mark.parametrize("epochs", [2.0, 1.5])
def test_a_crash_in_the_last_look_goes_on_from_the_last_checkpoint(shelf, trained, epochs, monkeypatch):
    import tuning.loop

    real, calls = tuning.loop.held_out_loss, []

    def once(trainer):
        calls.append(trainer.state.global_step)
        if calls.count(trainer.args.max_steps) == 1 and calls[-1] == trainer.args.max_steps:
            raise MemoryError
        return real(trainer)

    monkeypatch.setattr(tuning.loop, "held_out_loss", once)
    base = shelf.generator()
    with pytest.raises(MemoryError):
        shelf.tune(base, epochs=epochs)
    report = shelf.tune(base, epochs=epochs)
    steps = report.manifest["planned_steps"]
    assert calls[-2:] == [steps, steps]
    assert report.manifest["steps"] == len(report.manifest["loss"]) == steps
    assert len(shelf.made) == 1
    if epochs == 2.0:
        assert report.adapter == trained.report.adapter


KILLED = """
import importlib.util, os, signal, sys
from pathlib import Path
import torch
torch.set_num_threads(1)
spec = importlib.util.spec_from_file_location("shelf_of_tests", sys.argv[1])
made = importlib.util.module_from_spec(spec)
sys.modules["shelf_of_tests"] = made
spec.loader.exec_module(made)
from transformers import Trainer
from fieldguide.workspace import open_workspace
shelf = made.make_shelf(Path(sys.argv[2]), Path(sys.argv[3]))
whole = Trainer._save_rng_state
def half(self, folder):
    whole(self, folder)
    if self.state.global_step == 6:
        os.kill(os.getpid(), signal.SIGKILL)
Trainer._save_rng_state = half
shelf.tune(shelf.generator())
"""


@pytest.mark.slow
def test_kill_9_while_a_checkpoint_is_written_and_the_run_goes_on_from_the_one_before(
    tmp_path, tiny_model, trained, shelf, monkeypatch, read_weights
):
    root = shelf.workspace.root
    shelf.catalog.close()
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(Path(__file__).with_name("conftest.py")), str(root), str(tiny_model)],
        capture_output=True, env={**os.environ, "OMP_NUM_THREADS": "1"}, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()[-2000:]
    [run] = shelf.workspace.runs_folder.iterdir()
    assert sorted(p.name for p in run.glob("checkpoint-*")) == ["checkpoint-3", "checkpoint-6"]
    assert latest_checkpoint(run).name == "checkpoint-3"

    class Steps(Silent):
        started = None

        def start(self, label, total=None, done=0):
            self.started = (label, total, done) if label == "training" else self.started

    progress = Steps()
    report = shelf.tune(shelf.generator(), progress=progress)
    assert progress.started == ("training", trained.report.manifest["steps"], 3)
    assert (report.run, shelf.made) == (run, [])
    assert same(read_weights(report.folder), trained.weights)


# -- the gate


def looks_at(monkeypatch, losses):
    """Held-out losses as written down: of the base model, before the first step, after the last; and so on."""
    monkeypatch.setattr("tuning.loop.held_out_loss", lambda trainer: losses.pop(0))


@pytest.mark.parametrize(
    ("before", "after", "served"), [(1.0, 0.9, True), (1.0, 1.0, False), (1.0, 1.1, False), (1.0, float("nan"), False)]
)
def test_only_a_lower_dev_loss_brings_an_adapter_into_use(shelf, monkeypatch, before, after, served):
    looks_at(monkeypatch, [before, before, after])
    report = shelf.tune(shelf.generator(), epochs=0.2, checks=1)
    assert report.active is served
    [kept] = shelf.catalog.artefacts("adapter")
    assert (kept.id, kept.active) == (report.adapter, served)
    assert (active_adapter(shelf.catalog, shelf.workspace.adapters_folder) is not None) is served
    assert adapters(shelf) == [report.adapter]
    monkeypatch.setattr("tuning.train.Loop", None)
    again = shelf.tune(shelf.generator(), epochs=0.2, checks=1)
    assert (again.trained, again.active) == (False, served)


def test_a_worse_adapter_leaves_the_one_in_use_and_the_earlier_settings_bring_theirs_back(shelf, monkeypatch):
    losses = [2.0, 2.0, 1.0, 2.0, 2.0, 3.0, 2.0, 2.0, 1.5]
    looks_at(monkeypatch, losses)
    base = shelf.generator()

    def in_use():
        return shelf.catalog.active("adapter").id

    first = shelf.tune(base, epochs=0.2, checks=1, seed=1)
    worse = shelf.tune(base, epochs=0.2, checks=1, seed=2)
    assert (worse.active, in_use()) == (False, first.adapter)
    third = shelf.tune(base, epochs=0.2, checks=1, seed=3)
    assert (third.active, in_use()) == (True, third.adapter)
    again = shelf.tune(base, epochs=0.2, checks=1, seed=1)
    assert (again.trained, again.active, in_use()) == (False, True, first.adapter)
    assert losses == []


@pytest.mark.parametrize("how", ["none asked for", "none there"])
def test_without_dev_pairs_the_adapter_is_used_unchecked_and_the_manifest_says_so(shelf, how):
    if how == "none there":
        forget_pairs(shelf.catalog, "dev")
    report = shelf.tune(shelf.generator(), epochs=0.2, **({"dev_examples": 0} if how == "none asked for" else {}))
    m = report.manifest
    assert (report.active, m["dev_loss_base"], m["dev_loss_tuned"], m["dev_examples"]) == (True, None, None, 0)


# -- what goes wrong


def test_nothing_to_train_on_names_the_command(shelf):
    forget_pairs(shelf.catalog, "train")
    with pytest.raises(
        NotReady, match=r"^There are no question-answer pairs to train on; run `fieldguide qa` first\.$"
    ):
        shelf.tune(shelf.generator())
    assert shelf.made == []


def reread(shelf, name, text):
    """The document's only page now says something else, and the index knows it."""
    chunk = Chunk(f"{name}-new", name, (Span(9, 0, len(text)),), text)
    file = FileRecord(f"{name}.pdf", name, 1, "read", "")
    shelf.catalog.store_document(Document(name, f"{name}.pdf", name), Reading("new"), [], [chunk], file)
    shelf.index()


def test_pairs_whose_evidence_is_gone_are_left_out_and_counted(shelf):
    reread(shelf, "stork", "Nothing of it is left.")
    report = shelf.tune(shelf.generator(), epochs=0.2, closed_book_share=0.0, gold_missing_share=0.0)
    assert (report.manifest["examples"], report.manifest["left_out"]) == (8, 4)
    assert report.manifest["gold"] == {"retrieved": 8}


def test_no_evidence_at_all_is_not_ready(shelf):
    for name in ("heron", "ibis", "stork"):
        reread(shelf, name, "Nothing of it is left.")
    with pytest.raises(NotReady, match=r"The evidence of all 12 pairs is missing .* run `fieldguide qa`"):
        shelf.tune(shelf.generator(), closed_book_share=0.0)
    assert shelf.made == []


@pytest.mark.parametrize("gone", ["adapter_model.safetensors", "adapter_config.json"])
def test_an_adapter_whose_files_are_gone_is_not_ready_and_tuning_makes_it_anew(shelf, gone):
    report = shelf.tune(shelf.generator(), epochs=0.2)
    (report.folder / gone).unlink()
    with pytest.raises(NotReady, match=rf"missing from {report.folder}; run `fieldguide tune` again\.$"):
        active_adapter(shelf.catalog, shelf.workspace.adapters_folder)
    again = shelf.tune(shelf.generator(), epochs=0.2)
    assert (again.trained, again.adapter) == (True, report.adapter)
    found = active_adapter(shelf.catalog, shelf.workspace.adapters_folder)
    assert found is not None
    assert file_hash(found[1] / "adapter_model.safetensors") == report.manifest["sha256"]


def test_no_adapter_in_use_is_none(shelf):
    assert active_adapter(shelf.catalog, shelf.workspace.adapters_folder) is None


def test_examples_lost_on_the_way_are_an_error(shelf, monkeypatch):
    monkeypatch.setattr("tuning.train.tokenise", lambda examples, *rest: tokenise(examples[1:], *rest))
    with pytest.raises(IntegrityError, match=r"^31 examples went into tokenisation, 30 came out\.$"):
        shelf.tune(shelf.generator())


def test_base_weights_that_changed_are_an_error_and_nothing_is_registered(shelf, monkeypatch):
    import tuning.loop

    base, real = shelf.generator(), tuning.loop.held_out_loss

    def spoiling(trainer):
        with torch.no_grad():
            base.model.get_input_embeddings().weight[0, 0] += 1
        return real(trainer)

    monkeypatch.setattr(tuning.loop, "held_out_loss", spoiling)
    with pytest.raises(IntegrityError, match="The base model's weights changed while an adapter was trained"):
        shelf.tune(base, epochs=0.2)
    assert shelf.catalog.artefacts("adapter") == []
    assert not shelf.workspace.adapters_folder.exists()
