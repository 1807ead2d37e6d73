import json
import math
from dataclasses import asdict

import pytest
import torch

from fieldguide.errors import ModelError
from fieldguide.models.base import Message
from fieldguide.settings import Tuning
from fieldguide.types import Silent
from tuning.examples import Example
from tuning.loop import Loop, Plan, latest_checkpoint, read_plan
from tuning.loss import answer_loss
from tuning.tokenise import IGNORED, collate, tokenise
from tuning.watch import read_log

FILES = ("trainer_state.json", "optimizer.pt", "scheduler.pt", "adapter_model.safetensors")


def checkpoint(run, step, state="{}", without=()):
    folder = run / f"checkpoint-{step}"
    folder.mkdir(parents=True)
    for name in FILES:
        if name not in without:
            (folder / name).write_text(state)
    return folder


# -- what an interrupted run left


def test_the_newest_whole_checkpoint_is_taken_by_number(tmp_path):
    assert latest_checkpoint(tmp_path) is None
    checkpoint(tmp_path, 9)
    newest = checkpoint(tmp_path, 10)
    assert latest_checkpoint(tmp_path) == newest


@pytest.mark.parametrize("missing", FILES)
def test_a_checkpoint_without_one_of_its_files_is_none(tmp_path, missing):
    whole = checkpoint(tmp_path, 3)
    checkpoint(tmp_path, 6, without=[missing])
    assert latest_checkpoint(tmp_path) == whole


@pytest.mark.parametrize("state", ["", '{"global_step": 6, "log_hist'])
def test_a_checkpoint_whose_state_was_cut_off_is_none(tmp_path, state):
    whole = checkpoint(tmp_path, 3)
    checkpoint(tmp_path, 6, state=state)
    assert latest_checkpoint(tmp_path) == whole


@pytest.mark.parametrize(
    "text", [None, "", "{", "[]", '{"key": "k"}', '{"key": "k", "steps": 1, "dev_before": 0, "x": 1}']
)
def test_a_plan_that_cannot_be_read_is_none(tmp_path, text):
    if text is not None:
        (tmp_path / "plan.json").write_text(text)
    assert read_plan(tmp_path) is None


def test_a_plan_is_read_as_it_was_written(tmp_path):
    plan = Plan("k", 12, 0.1 + 0.2)
    (tmp_path / "plan.json").write_text(json.dumps(asdict(plan)))
    assert read_plan(tmp_path) == plan


# -- the loss


@pytest.fixture(scope="module")
def rows(tiny):
    """Two groups, of two questions and of one, with prompts and answers of different lengths."""
    asked = [("texts: how long?", "12 feet", 0), ("texts: who was it?", "the pilot", 0), ("what does it say?", "no", 1)]
    examples = [Example(q, (Message("user", q),), a, "retrieved", group) for q, a, group in asked]
    return tokenise(examples, tiny, 500)


def full_loss(model, batch):
    """Cross entropy over the logits of every position."""
    with torch.no_grad():
        logits = model(**{k: v for k, v in batch.items() if k != "labels"}).logits
    return torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), batch["labels"][:, 1:].flatten())


def test_answer_loss_is_the_cross_entropy_over_all_logits(tiny, rows):
    for chosen in (rows[:1], rows[1:], rows):
        batch = collate([asdict(row) for row in chosen], 2)
        with torch.no_grad():
            torch.testing.assert_close(answer_loss(tiny.model, batch), full_loss(tiny.model, batch))


def test_answer_loss_divides_by_the_items_given(tiny, rows):
    batch = collate([asdict(row) for row in rows], 2)
    labelled = int((batch["labels"] != IGNORED).sum())
    assert labelled == sum(len(tiny.completion_ids(a)) for a in ("12 feet", "the pilot", "no"))
    with torch.no_grad():
        mean, part = answer_loss(tiny.model, batch), answer_loss(tiny.model, batch, torch.tensor(4 * labelled))
    torch.testing.assert_close(part * 4, mean)


def test_the_output_layer_runs_only_where_there_is_a_label(tiny, rows):
    widths = []
    head = tiny.model.get_output_embeddings()
    hook = head.register_forward_pre_hook(lambda module, given: widths.append(given[0].shape[1]))
    try:
        with torch.no_grad():
            answer_loss(tiny.model, collate([asdict(rows[0])], 2))
    finally:
        hook.remove()
    assert widths == [sum(label != IGNORED for label in rows[0].labels)]


def test_the_loss_is_that_of_trls_own_trainer(shelf, tmp_path, rows):
    base = shelf.generator()
    made = Loop(base.model, base.tokenizer, shelf.settings, tmp_path, Silent(), lambda: False)
    trainer = made._trainer(base.model, rows, [], 1)
    trl = type(trainer).__mro__[1]
    assert trl.__name__ == "SFTTrainer"
    batch = collate([asdict(row) for row in rows], 2)
    items = torch.tensor(int((batch["labels"] != IGNORED).sum()))
    trainer.model.eval()
    with torch.no_grad():
        for given in (None, items, 3 * items):
            ours = trainer.compute_loss(trainer.model, dict(batch), num_items_in_batch=given)
            theirs = trl.compute_loss(trainer, trainer.model, dict(batch), num_items_in_batch=given)
            torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)


# -- the plan of steps


class Progress(Silent):
    def __init__(self):
        self.seen = []

    def start(self, label, total=None, done=0):
        self.seen.append((label, total, done))

    def advance(self, n=1, note=""):
        self.seen.append(note)


def run(shelf, folder, rows, progress=None, dev=(), **changes):
    changes = {"dropout": 0.0, "epochs": 4, "save_steps": 50, **changes}
    base = shelf.generator()
    settings = shelf.settings.model_copy(update=changes)
    loop = Loop(base.model, base.tokenizer, settings, folder, progress or Silent(), lambda: False)
    return loop, loop.run(rows, list(dev), "k")


@pytest.mark.parametrize(
    ("epochs", "batch", "steps"), [(2.0, 1, 4), (0.5, 1, 1), (1.5, 1, 3), (3.0, 2, 3), (0.1, 64, 1)]
)
def test_steps_are_epochs_over_rows_whatever_is_left_rounded_up(shelf, tmp_path, rows, epochs, batch, steps):
    progress = Progress()
    _, result = run(shelf, tmp_path, rows, progress, epochs=epochs, batch_size=batch)
    assert result.steps == result.planned == len(result.losses) == steps
    assert read_plan(tmp_path) == Plan("k", steps, None)
    assert progress.seen[0] == ("training", steps, 0)
    assert [note.partition(",")[0] for note in progress.seen[1:]] == [f"loss {loss:.3f}" for loss in result.losses]
    assert result.dev_before is result.dev_after is None


def test_minutes_shorten_the_plan_and_the_rate_falls_within_it(shelf, tmp_path, rows, monkeypatch):
    monkeypatch.setattr(Loop, "_seconds_per_step", lambda self, trainer: 20.0)
    _, result = run(shelf, tmp_path, rows, minutes=1.2)  # 72 s less 1.5 times a start of a few seconds
    assert result.planned == result.steps == 3
    rates = [entry["learning_rate"] for entry in _log(tmp_path) if "learning_rate" in entry]
    assert rates == pytest.approx([0, 0.02, 0.01])  # of a cosine over three steps, the first of which warms up


def test_minutes_that_are_over_leave_one_step_and_minutes_to_spare_leave_all(shelf, tmp_path, rows, monkeypatch):
    monkeypatch.setattr(Loop, "_seconds_per_step", lambda self, trainer: 1e6)
    assert run(shelf, tmp_path / "a", rows, minutes=1)[1].steps == 1
    monkeypatch.setattr(Loop, "_seconds_per_step", lambda self, trainer: 0.0)  # nothing could be measured
    assert run(shelf, tmp_path / "b", rows, minutes=1)[1].steps == 8


def test_measuring_the_pace_changes_no_weight(shelf, tmp_path, rows, read_weights):
    plain, _ = run(shelf, tmp_path / "plain", rows)
    timed, result = run(shelf, tmp_path / "timed", rows, minutes=1000)
    assert result.steps == 8
    one, other = read_weights(plain.adapter_folder), read_weights(timed.adapter_folder)
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_the_first_loss_is_that_of_the_base_model_and_the_dev_loss_weighs_tokens(shelf, tmp_path, rows, tiny):
    _, result = run(shelf, tmp_path, rows, dev=rows, batch_size=2, epochs=1, learning_rate=1e-12)
    with torch.no_grad():
        wanted = float(full_loss(tiny.model, collate([asdict(row) for row in rows], 2)))
    assert result.losses == [pytest.approx(wanted, rel=1e-2)]  # bfloat16 where the processor has it
    _, single = run(shelf, tmp_path / "single", rows, dev=rows, batch_size=1, epochs=1, learning_rate=1e-12)
    assert result.dev_before == pytest.approx(wanted, rel=1e-2)
    assert single.dev_before == pytest.approx(result.dev_before, rel=1e-2)


def test_a_loss_that_is_no_number_ends_the_training_and_is_told(shelf, tmp_path, rows, monkeypatch):
    calls = []

    def spoilt(model, inputs, items=None):
        calls.append(1)
        return answer_loss(model, inputs, items) * (math.nan if len(calls) == 3 else 1.0)

    monkeypatch.setattr("tuning.loss.answer_loss", spoilt)
    with pytest.raises(
        ModelError, match=r"no number any more at step 3 \(learning rate 0\.02\): lower tuning\.learning"
    ):
        run(shelf, tmp_path, rows, batch_size=1)
    assert [entry["step"] for entry in read_log(tmp_path) if "loss" in entry] == [1, 2]
    assert not (tmp_path / "adapter").exists()


def test_the_model_is_given_back_bare_and_as_it_was(shelf, tmp_path, rows):
    base = shelf.generator()
    modules = {name: type(module) for name, module in base.model.named_modules()}
    before, config = base.base_hash(), base.model.config.to_dict()
    generation = base.model.generation_config.to_dict()
    loop = Loop(base.model, base.tokenizer, Tuning(epochs=1), tmp_path, Silent(), lambda: False)
    loop.run(rows, [], "k")
    assert {name: type(module) for name, module in base.model.named_modules()} == modules
    assert base.base_hash() == before
    assert base.model.config.to_dict() == config
    assert base.model.generation_config.to_dict() == generation
    assert not any(p.requires_grad or p.grad is not None for p in base.model.parameters())
    assert config["use_cache"] is True
    assert "forward" not in vars(base.model)


def test_a_failing_run_gives_the_model_back_too(shelf, tmp_path, rows, monkeypatch):
    def fail(trainer):
        raise RuntimeError("no loss")

    monkeypatch.setattr("tuning.loop.held_out_loss", fail)
    base = shelf.generator()
    names = [name for name, _ in base.model.named_modules()]
    with pytest.raises(RuntimeError, match="no loss"):
        Loop(base.model, base.tokenizer, Tuning(), tmp_path, Silent(), lambda: False).run(rows, rows, "k")
    assert [name for name, _ in base.model.named_modules()] == names
    assert base.model.config.use_cache is True


def _log(folder):
    return json.loads((latest_checkpoint(folder) / "trainer_state.json").read_text())["log_history"]


def test_time_that_is_up_ends_a_training_that_was_planned_longer(shelf, tmp_path, rows, monkeypatch):
    monkeypatch.setattr(Loop, "_seconds_per_step", lambda self, trainer: 1e-6)  # a plan made on a faster machine
    monkeypatch.setattr(Loop, "_late", lambda self: True)
    _, result = run(shelf, tmp_path, rows, minutes=1)
    assert (result.steps, result.planned) == (1, 8)
