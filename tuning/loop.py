"""The training loop: trl's SFTTrainer with peft, a time plan, checkpoints that a killed run goes on from, and looks at
held-out examples that choose the checkpoint to serve.

Knows token ids and labels, not questions or documents.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fieldguide.files import write_json
from fieldguide.replies import room
from fieldguide.settings import Tuning
from fieldguide.types import Progress
from tuning.fast import speed_up
from tuning.loss import batch_loss, greedy, held_out_loss, trainer_class, training_copy
from tuning.methods import CONVERTED, decomposed, lora_config
from tuning.tokenise import Sequences, collate
from tuning.watch import Judge, Look, Watch, curve, look_steps, report_callback

ANSWER_TOKENS = 48
"""Longest held-out answer, in tokens, where answers are looked at."""
_PROBES = 2
_CHECKPOINT_FILES = ("trainer_state.json", "optimizer.pt", "scheduler.pt", "adapter_model.safetensors")


@dataclass(frozen=True, slots=True)
class Plan:
    """What an interrupted run must not change: its inputs, its steps, and the base model's held-out loss."""

    key: str
    steps: int
    dev_before: float | None


@dataclass(frozen=True, slots=True)
class LoopResult:
    """Losses by step (mean over a step's answer tokens); held-out loss of the base model, and with F1 of the checkpoint
    that is served, taken after ``best_step`` of ``steps``; the cost of this session. ``curve`` as of ``watch.curve``.

    ``ended`` is "planned", "early" (nothing got better) or "time".
    """

    losses: list[float]
    dev_before: float | None
    dev_after: float | None
    steps: int
    planned: int
    tokens: int
    seconds: float
    f1_after: float | None = None
    best_step: int = 0
    ended: str = "planned"
    curve: list[dict[str, Any]] | None = None


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
    """One training of one adapter on a base model in memory, whose own weights stay as they are.

    ``start`` is a folder with the adapter to begin with. ``passes`` says how often the rows repeat the set already
    (``contexts.Shape``). ``left`` gives the seconds that are left for training and the looks; without it the minutes
    of the settings count from the beginning of ``run``.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        settings: Tuning,
        run: Path,
        progress: Progress,
        stopped: Callable[[], bool],
        *,
        start: Path | None = None,
        passes: int = 1,
        left: Callable[[], float] | None = None,
    ) -> None:
        self._base, self._tokenizer, self._settings, self._run = model, tokenizer, settings, run
        self._progress, self._stopped, self._start, self._passes = progress, stopped, start, passes
        self._left = left
        self._end = math.inf
        self.adapter_folder = run / "adapter"

    def run(
        self, train: Sequence[Sequences], dev: Sequence[Sequences], key: str, judge: Judge | None = None
    ) -> LoopResult:
        """Train (or go on), leave the best adapter in ``adapter_folder`` and the base model as it was."""
        checkpoint = latest_checkpoint(self._run)
        plan = read_plan(self._run) if checkpoint is not None else None
        rows = len(train) * self._settings.epochs / self._passes
        full = max(1, math.ceil(round(rows / self._settings.batch_size, 6)))
        started = time.perf_counter()
        if self._left is not None:
            self._end = started + self._left()
        elif self._settings.minutes:
            self._end = started + 60 * self._settings.minutes
        with ExitStack() as stack:
            model, ours = training_copy(self._base)
            stack.callback(_give_back(self._base))
            trainer = self._trainer(model, train, dev, full if plan is None else plan.steps)
            stack.callback(trainer.model.unload)
            if plan is None:
                checkpoint = None
                with trainer.model.disable_adapter():
                    before = held_out_loss(trainer)
            if ours:
                stack.callback(speed_up(trainer.model))
            first = None
            if plan is None:
                began = time.perf_counter()
                first = self._look(trainer, judge, 0)
                plan = Plan(key, self._planned(trainer, time.perf_counter() - began, full), before)
                trainer.args.max_steps = plan.steps
                write_json(self._run / "plan.json", asdict(plan))
            return self._train(trainer, plan, checkpoint, train, judge, started, first)

    def _train(
        self,
        trainer: Any,
        plan: Plan,
        checkpoint: Path | None,
        train: Sequence[Sequences],
        judge: Judge | None,
        started: float,
        first: Look | None,
    ) -> LoopResult:
        done = int(checkpoint.name.rsplit("-", 1)[1]) if checkpoint is not None else 0
        mean = sum(len(item.input_ids) for item in train) / len(train)
        watch = Watch(
            self._run, Look(0, plan.dev_before, None), look_steps(plan.steps, self._settings.checks),
            self._settings.patience, lambda step: self._look(trainer, judge, step),
            lambda folder: trainer.model.save_pretrained(str(folder), safe_serialization=True), done,
            0.5 / math.sqrt(len(judge.prompts)) if judge is not None and judge.prompts else 0.0,  # F1's standard error
        )  # fmt: skip
        if first is not None and trainer.is_world_process_zero():
            watch.begin(first)
        per_step = mean * self._settings.batch_size
        trainer.add_callback(report_callback(self._progress, watch, self._stopped, self._late, per_step, _agree))
        self._progress.start("training", plan.steps, done=done)
        if checkpoint is not None and (done >= plan.steps or watch.worse_in_a_row >= self._settings.patience):
            _restore(trainer, checkpoint)  # the trainer itself would go on to the end of the epoch
        else:
            trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint is not None else None)
        step = trainer.state.global_step
        if step < plan.steps and self._stopped():
            raise KeyboardInterrupt
        if trainer.is_world_process_zero():
            watch.after_step(step, last=True)
            watch.best_folder.rename(self.adapter_folder) if not self.adapter_folder.exists() else None
        ended = "planned" if step >= plan.steps else "time" if self._late() else "early"
        best = watch.best if watch.looks else Look(step, None, None)
        losses = [float(entry["loss"]) for entry in trainer.state.log_history if "loss" in entry]
        return LoopResult(
            losses, plan.dev_before, best.loss, step, plan.steps, int(per_step * (step - done)),
            time.perf_counter() - started, best.f1, best.step, ended, curve(self._run),
        )  # fmt: skip

    def _trainer(self, model: Any, train: Sequence[Sequences], dev: Sequence[Sequences], steps: int) -> Any:
        import torch
        from datasets import Dataset
        from transformers.trainer_callback import PrinterCallback
        from trl.trainer.sft_config import SFTConfig

        gpu, settings = torch.cuda.is_available(), self._settings
        together = settings.batch_size if gpu else 1  # on a CPU one row at a time: nothing is padded
        half = gpu and not torch.cuda.is_bf16_supported()
        arguments = SFTConfig(
            output_dir=str(self._run), max_steps=steps, per_device_train_batch_size=together,
            gradient_accumulation_steps=settings.batch_size // together, per_device_eval_batch_size=together,
            learning_rate=settings.learning_rate, lr_scheduler_type=settings.schedule, warmup_steps=0.04,
            weight_decay=0.0, seed=settings.seed, data_seed=settings.seed, use_cpu=not gpu, bf16=gpu and not half,
            fp16=half, gradient_checkpointing=gpu, max_length=None, packing=False, remove_unused_columns=False,
            logging_steps=1, save_strategy="steps", save_steps=settings.save_steps, save_total_limit=2,
            report_to=["tensorboard"] if settings.tensorboard else [], disable_tqdm=True,
            dataset_kwargs={"skip_prepare_dataset": True}, dataloader_pin_memory=gpu, logging_nan_inf_filter=False,
        )  # fmt: skip
        if self._start is not None:
            from peft import PeftModel

            model = PeftModel.from_pretrained(model, str(self._start), is_trainable=True)
        elif settings.method in CONVERTED:
            model = decomposed(settings, model)
        trainer = trainer_class()(
            model=model,
            args=arguments,
            train_dataset=Dataset.from_list([asdict(item) for item in train]),
            eval_dataset=Dataset.from_list([asdict(item) for item in dev]) if dev else None,
            processing_class=self._tokenizer,
            data_collator=self._collate,
            peft_config=None if hasattr(model, "peft_config") else lora_config(settings, model),
        )
        trainer.remove_callback(PrinterCallback)
        return trainer

    def _planned(self, trainer: Any, look: float, full: int) -> int:
        """As many steps as the time that is left is enough for, with looks of so many seconds, at most ``full``."""
        if self._end == math.inf:
            return full
        a_step = self._seconds_per_step(trainer)
        left = self._end - time.perf_counter() - self._settings.checks * look
        return max(1, min(full, int(0.95 * left / a_step))) if a_step else full

    def _look(self, trainer: Any, judge: Judge | None, step: int) -> Look:
        """Held-out loss and answers as the model is now; the training's random numbers do not notice."""
        import torch

        f1 = None
        with torch.random.fork_rng(devices=[]):
            if judge is not None and judge.prompts:
                ends = {self._tokenizer.eos_token_id, *judge.ends} - {None}
                pad, most = int(self._tokenizer.pad_token_id or 0), room(ANSWER_TOKENS, self._settings.target)
                f1 = judge.score(greedy(trainer.model, judge.prompts, sorted(ends), pad, most))
            return Look(step, held_out_loss(trainer), f1)

    def _late(self) -> bool:
        return time.perf_counter() > self._end

    def _collate(self, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
        return collate(rows, int(self._tokenizer.pad_token_id or 0))

    def _seconds_per_step(self, trainer: Any) -> float:
        """Time of a step of average length, from forward and backward over some, without changing any weight."""
        seconds, tokens = 0.0, 0
        trainer.model.train()
        for n, batch in enumerate(trainer.get_train_dataloader()):
            began = time.perf_counter()
            batch_loss(trainer, batch).backward()
            if n:  # the first one warms up
                seconds += time.perf_counter() - began
                tokens += batch["input_ids"].numel()
            if n == _PROBES:
                break
        trainer.model.zero_grad()
        lengths = [len(ids) for ids in trainer.train_dataset["input_ids"]]
        mean = sum(lengths) / len(lengths)
        return seconds / max(tokens, 1) * mean * self._settings.batch_size


def _agree(mine: tuple[bool, bool]) -> tuple[bool, bool]:
    """What the first of several processes says; one alone is the first."""
    import torch.distributed as distributed

    if not (distributed.is_available() and distributed.is_initialized()):
        return mine
    said = [mine]
    distributed.broadcast_object_list(said, src=0)
    return said[0]


def _give_back(model: Any) -> Callable[[], None]:
    """What makes a model again what it is now: the trainer turns its cache off and wraps its forward."""
    caching = model.config.use_cache
    forward = {name: value for name, value in vars(model).items() if name == "forward"}

    def undo() -> None:
        model.config.use_cache = caching
        vars(model).pop("forward", None)
        vars(model).update(forward)

    return undo


def _restore(trainer: Any, checkpoint: Path) -> None:
    """Weights and state of a run that had taken all its steps."""
    from transformers.trainer_callback import TrainerState

    trainer._load_from_checkpoint(str(checkpoint))
    trainer.state = TrainerState.load_from_json(str(checkpoint / "trainer_state.json"))
