"""The training loop: trl's SFTTrainer with peft, a time plan, checkpoints that a killed run goes on from.

Knows token ids and labels, not questions or documents.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fieldguide.files import write_json
from fieldguide.models.sentence_transformer import bfloat16_on_cpu
from fieldguide.settings import Tuning
from fieldguide.types import Progress
from tuning.fast import speed_up
from tuning.tokenise import IGNORED, Sequences, collate

_PROBES = 2
_CHECKPOINT_FILES = ("trainer_state.json", "optimizer.pt", "scheduler.pt", "adapter_model.safetensors")


@dataclass(frozen=True, slots=True)
class Plan:
    """What an interrupted run must not change: its inputs, its steps, and the dev loss of the base model."""

    key: str
    steps: int
    dev_before: float | None


@dataclass(frozen=True, slots=True)
class LoopResult:
    """Losses by step (mean over a step's answer tokens), dev loss before and after, and the cost of this session."""

    losses: list[float]
    dev_before: float | None
    dev_after: float | None
    steps: int
    planned: int
    tokens: int
    seconds: float


def read_plan(run: Path) -> Plan | None:
    """The plan of an interrupted run, None if there is none or it cannot be read."""
    try:
        return Plan(**json.loads((run / "plan.json").read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def latest_checkpoint(run: Path) -> Path | None:
    """The newest checkpoint that is complete: a kill while one is written leaves the one before."""
    found = [p for p in run.glob("checkpoint-*") if all((p / name).exists() for name in _CHECKPOINT_FILES)]
    found = [p for p in found if _is_json(p / "trainer_state.json")]
    return max(found, key=lambda p: int(p.name.rsplit("-", 1)[1]), default=None)


def _is_json(path: Path) -> bool:
    try:
        json.loads(path.read_text("utf-8"))
    except ValueError:
        return False
    return True


class Loop:
    """One training of one adapter on a base model in memory, whose own weights stay as they are."""

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        settings: Tuning,
        run: Path,
        progress: Progress,
        stopped: Callable[[], bool],
    ) -> None:
        self._base, self._fast = training_copy(model)
        self._tokenizer = tokenizer
        self._settings = settings
        self._run = run
        self._progress = progress
        self._stopped = stopped
        self._deadline = math.inf
        self.adapter_folder = run / "adapter"

    def run(self, train: Sequence[Sequences], dev: Sequence[Sequences], key: str) -> LoopResult:
        """Train (or go on), save the adapter to ``adapter_folder`` and give the base model back as it was."""
        checkpoint = latest_checkpoint(self._run)
        plan = read_plan(self._run) if checkpoint is not None else None
        full = math.ceil(len(train) / self._settings.batch_size * self._settings.epochs)
        started = time.perf_counter()
        if self._settings.minutes:
            self._deadline = started + 60 * self._settings.minutes  # where the plan meets a machine grown slower
        caching = self._base.config.use_cache  # the trainer turns it off, and answering without it is slow
        forward = {name: value for name, value in vars(self._base).items() if name == "forward"}
        trainer = self._trainer(train, dev, full if plan is None else plan.steps)
        undo = speed_up(trainer.model) if self._fast else None
        try:
            if plan is None:
                checkpoint = None
                before = _dev_loss(trainer, dev)
                steps = full
                if self._settings.minutes:
                    seconds = self._seconds_per_step(trainer)
                    left = self._settings.minutes * 60 - (time.perf_counter() - started) * 1.5
                    steps = max(1, min(full, int(left / seconds))) if seconds else full
                    trainer.args.max_steps = steps
                plan = Plan(key, steps, before)
                write_json(self._run / "plan.json", asdict(plan))
            return self._train(trainer, plan, checkpoint, train, dev, started)
        finally:
            if undo is not None:
                undo()
            trainer.model.unload()
            self._base.config.use_cache = caching
            vars(self._base).pop("forward", None)  # trl's, which would be wrapped once more by the next run
            vars(self._base).update(forward)

    def _train(
        self,
        trainer: Any,
        plan: Plan,
        checkpoint: Path | None,
        train: Sequence[Sequences],
        dev: Sequence[Sequences],
        started: float,
    ) -> LoopResult:
        done = int(checkpoint.name.rsplit("-", 1)[1]) if checkpoint is not None else 0
        self._progress.start("training", plan.steps, done=done)
        if checkpoint is not None and done >= plan.steps:
            _restore(trainer, checkpoint)  # the trainer itself would go on to the end of the epoch
        else:
            trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint is not None else None)
        if trainer.state.global_step < plan.steps and self._stopped():
            raise KeyboardInterrupt
        after = _dev_loss(trainer, dev)
        trainer.model.save_pretrained(str(self.adapter_folder), safe_serialization=True)
        losses = [float(entry["loss"]) for entry in trainer.state.log_history if "loss" in entry]
        mean = sum(len(item.input_ids) for item in train) / len(train)
        tokens = int(mean * self._settings.batch_size * (trainer.state.global_step - done))
        seconds = time.perf_counter() - started
        return LoopResult(losses, plan.dev_before, after, trainer.state.global_step, plan.steps, tokens, seconds)

    def _trainer(self, train: Sequence[Sequences], dev: Sequence[Sequences], steps: int) -> Any:
        import torch
        from datasets import Dataset
        from peft import LoraConfig
        from transformers.trainer_callback import PrinterCallback
        from trl.trainer.sft_config import SFTConfig

        gpu = torch.cuda.is_available()
        settings = self._settings
        arguments = SFTConfig(
            output_dir=str(self._run), max_steps=steps, per_device_train_batch_size=settings.batch_size,
            per_device_eval_batch_size=settings.batch_size, learning_rate=settings.learning_rate,
            lr_scheduler_type="cosine", warmup_steps=0.04, weight_decay=0.0, seed=settings.seed,
            data_seed=settings.seed, use_cpu=not gpu, bf16=gpu, gradient_checkpointing=gpu,
            max_length=None, packing=False, remove_unused_columns=False, logging_steps=1,
            save_strategy="steps", save_steps=settings.save_steps, save_total_limit=2, report_to=[],
            disable_tqdm=True, dataset_kwargs={"skip_prepare_dataset": True}, dataloader_pin_memory=gpu,
            logging_nan_inf_filter=False,
        )  # fmt: skip
        adapter = LoraConfig(
            r=settings.rank, lora_alpha=settings.alpha, lora_dropout=settings.dropout, target_modules="all-linear",
            task_type="CAUSAL_LM", bias="none",
        )  # fmt: skip
        trainer = _trainer_class()(
            model=self._base,
            args=arguments,
            train_dataset=Dataset.from_list([asdict(item) for item in train]),
            eval_dataset=Dataset.from_list([asdict(item) for item in dev]) if dev else None,
            processing_class=self._tokenizer,
            data_collator=self._collate,
            peft_config=adapter,
        )
        trainer.remove_callback(PrinterCallback)
        trainer.add_callback(_callback(self._progress, self._stopped, self._late))
        return trainer

    def _late(self) -> bool:
        return time.perf_counter() > self._deadline

    def _collate(self, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
        return collate(rows, int(self._tokenizer.pad_token_id or 0))

    def _seconds_per_step(self, trainer: Any) -> float:
        """Time of a step of average length, from forward and backward over some, without changing any weight."""
        seconds, tokens = 0.0, 0
        trainer.model.train()
        for n, batch in enumerate(trainer.get_train_dataloader()):
            began = time.perf_counter()
            _loss(trainer, batch).backward()
            if n:  # the first one warms up
                seconds += time.perf_counter() - began
                tokens += batch["input_ids"].numel()
            if n == _PROBES:
                break
        trainer.model.zero_grad()
        lengths = [len(ids) for ids in trainer.train_dataset["input_ids"]]
        mean = sum(lengths) / len(lengths)
        return seconds / max(tokens, 1) * mean * self._settings.batch_size


def training_copy(model: Any) -> tuple[Any, bool]:
    """The model to train adapters on, and whether it is one that ``tuning.fast`` may change: on a CPU a copy, in
    bfloat16 where the processor has it; on a GPU the model itself."""
    from copy import deepcopy

    import torch

    if next(model.parameters()).device.type != "cpu":
        return model, False
    copy = deepcopy(model)
    return (copy.to(torch.bfloat16) if bfloat16_on_cpu() else copy), True


def answer_loss(model: Any, inputs: dict[str, Any], items: Any = None) -> Any:
    """Mean cross entropy over the labelled tokens (over ``items`` tokens where given, for accumulated batches).

    The output layer, a fifth of a small model's work and most of its memory, runs only at positions where some
    example of the batch has a label.
    """
    import torch

    shifted = inputs["labels"][:, 1:]
    positions = (shifted != IGNORED).any(dim=0).nonzero().flatten()
    rest = {name: value for name, value in inputs.items() if name != "labels"}
    logits = model(**rest, logits_to_keep=positions).logits.float()
    targets = shifted[:, positions].reshape(-1)
    loss = torch.nn.functional.cross_entropy(
        logits.reshape(-1, logits.shape[-1]), targets, ignore_index=IGNORED, reduction="sum"
    )
    return loss / (items if items is not None else (targets != IGNORED).sum())


def _trainer_class() -> Any:
    from trl.trainer.sft_trainer import SFTTrainer

    class AnswerTrainer(SFTTrainer):  # type: ignore[misc]
        """trl's SFTTrainer with ``answer_loss``: its own runs the output layer at every position."""

        def compute_loss(
            self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
        ) -> Any:
            return answer_loss(model, inputs, num_items_in_batch)

    return AnswerTrainer


def _restore(trainer: Any, checkpoint: Path) -> None:
    """Weights and state of a run that had taken all its steps."""
    from transformers.trainer_callback import TrainerState

    trainer._load_from_checkpoint(str(checkpoint))
    trainer.state = TrainerState.load_from_json(str(checkpoint / "trainer_state.json"))


def _loss(trainer: Any, batch: Any) -> Any:
    """Loss of a batch in the precision of the training."""
    with trainer.accelerator.autocast():
        return answer_loss(trainer.model, trainer._prepare_inputs(batch))


def _dev_loss(trainer: Any, dev: Sequence[Sequences]) -> float | None:
    """Mean loss over the answer tokens of the dev examples, None if there are none."""
    import torch

    if not dev:
        return None
    total, tokens = 0.0, 0
    trainer.model.eval()
    with torch.no_grad():
        for batch in trainer.get_eval_dataloader():
            count = int((batch["labels"][:, 1:] != IGNORED).sum())
            total += float(_loss(trainer, batch)) * count
            tokens += count
    return total / max(tokens, 1)


def _callback(progress: Progress, stopped: Callable[[], bool], late: Callable[[], bool]) -> Any:
    from transformers import TrainerCallback

    class Report(TrainerCallback):  # type: ignore[misc]
        """Tells the progress of each step; at a stop asks for a checkpoint first; ends the training when time is up."""

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
            if logs and "loss" in logs:
                progress.advance(note=f"loss {float(logs['loss']):.3f}")

        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
            stop = stopped()
            control.should_save = control.should_save or stop
            control.should_training_stop = control.should_training_stop or stop or late()
            return control

    return Report()
