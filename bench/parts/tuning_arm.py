"""One arm of the speed of tuning, as a process of its own: it builds a trainer, then takes steps when it is told to.

Arms: "trl" is trl's SFTTrainer with its defaults on a CPU (bfloat16 autocast, activation checkpointing, 8 examples a
batch), "trl_no_checkpointing" the same without checkpointing, "ours" the product's loop (``tuning.loop``) on the same
rows, "shared" the loop on rows in which the examples of one chunk share its passages, "peak" no training at all, but
products of bfloat16 matrices.

Knows rows of tokens and steps, nothing of questions or figures. Run by ``bench.parts.tuning_speed``.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from fieldguide.cli.session import quieten
from fieldguide.models.child import protocol_streams, told_error

Lines = Iterator[dict[str, Any]]
Tell = Callable[[dict[str, Any]], None]

BATCH = 8
"""Examples in a step: the default batch of the peer."""

_SIDE = 2048
_PRODUCTS = 8


def example_tokens(row: dict[str, Any]) -> int:
    """Tokens of a row's examples as they would be alone: each with the whole beginning that they share."""
    longest: dict[int, int] = {}
    for part, position in zip(row["part"], row["position_ids"], strict=True):
        longest[part] = max(longest.get(part, 0), position + 1)
    return sum(length for part, length in longest.items() if part > 0)


class Steps:
    """Answers {"steps": n} with time, tokens and peak of the next n steps, while a trainer runs."""

    def __init__(
        self, lines: Iterator[dict[str, Any]], tell: Callable[[dict[str, Any]], None], rows_a_step: int
    ) -> None:
        self._lines, self._tell, self._rows_a_step = lines, tell, rows_a_step
        self.rows: list[tuple[int, int, str]] = []
        """Of every row in the order of training: tokens of its examples, tokens, hash."""
        self._from = 0
        self._until = 0
        self._began = (0.0, 0.0)

    def next(self, done: int) -> None:
        """Wait for the next request."""
        self._from, self._until = done, done + int(next(self._lines)["steps"])
        self._began = (time.perf_counter(), time.process_time())

    def after(self, done: int) -> bool:
        """Called after every step; whether that was the last one of a request, which is answered then."""
        if done < self._until:
            return False
        seconds, cpu = time.perf_counter() - self._began[0], time.process_time() - self._began[1]
        rows = self.rows[self._from * self._rows_a_step : self._until * self._rows_a_step]
        steps = [rows[n : n + self._rows_a_step] for n in range(0, len(rows), self._rows_a_step)]
        self._tell({
            "seconds": seconds, "cpu_seconds": cpu, "example_tokens": sum(row[0] for row in rows),
            "tokens": sum(row[1] for row in rows), "peak_mb": peak_mb(),
            "rows": [sorted(row[2] for row in step) for step in steps],
        })  # fmt: skip
        return True

    def collator(self, inner: Callable[[Any], Any]) -> Callable[[Any], Any]:
        """``inner``, with a note of what it is given: batches are trained on in the order in which they are made."""

        def collate(rows: Sequence[dict[str, Any]]) -> Any:
            for row in rows:
                alone = example_tokens(row) if "part" in row else len(row["input_ids"])
                name = hashlib.sha256(json.dumps(row["input_ids"]).encode()).hexdigest()[:12]
                self.rows.append((alone, len(row["input_ids"]), name))
            return inner(rows)

        return collate


def peak_mb() -> float:
    """The most resident memory that this process has had, from its start."""
    status = Path("/proc/self/status")
    if status.exists():  # getrusage counts what the parent held when it started us, too
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def make_trainer(arm: str, generator: Any, rows: Sequence[dict[str, Any]], settings: Any, steps: int, run: Path) -> Any:
    """The arm's trainer over the rows, which are the same for all arms but "shared", ready for ``train``."""
    if arm.startswith("trl"):
        return _peer(arm == "trl", generator, rows, settings, steps, run)
    from fieldguide.types import Silent
    from tuning.fast import speed_up
    from tuning.loop import Loop
    from tuning.loss import training_copy
    from tuning.tokenise import Sequences

    model, ours = training_copy(generator.model)
    loop = Loop(model, generator.tokenizer, settings, run, Silent(), lambda: False)
    trainer = loop._trainer(model, [Sequences(**row) for row in rows], [], steps)
    if ours:
        speed_up(trainer.model)
    return trainer


def _peer(
    checkpointing: bool, generator: Any, rows: Sequence[dict[str, Any]], settings: Any, steps: int, run: Path
) -> Any:
    """trl's SFTTrainer as it comes, but for what is the same in all arms."""
    from datasets import Dataset
    from peft import LoraConfig
    from trl.trainer.sft_config import SFTConfig
    from trl.trainer.sft_trainer import SFTTrainer

    same = {
        "max_steps": steps, "learning_rate": settings.learning_rate, "lr_scheduler_type": settings.schedule,
        "warmup_steps": 0.04, "weight_decay": 0.0, "seed": settings.seed, "data_seed": settings.seed,
        "logging_steps": 1, "save_strategy": "no", "report_to": [], "disable_tqdm": True,
    }  # fmt: skip
    if not checkpointing:
        same["gradient_checkpointing"] = False
    arguments = SFTConfig(output_dir=str(run), use_cpu=True, max_length=None, **same)
    assert arguments.per_device_train_batch_size == BATCH
    return SFTTrainer(
        model=generator.model, args=arguments, processing_class=generator.tokenizer,
        train_dataset=Dataset.from_list([{name: row[name] for name in ("input_ids", "labels")} for row in rows]),
        peft_config=LoraConfig(
            r=settings.rank, lora_alpha=settings.alpha, target_modules="all-linear", task_type="CAUSAL_LM"
        ),
    )  # fmt: skip


def parameters(model: Any) -> dict[str, int]:
    """How many parameters are frozen (but for embedding and output layer), the adapter's, and the output layer's."""
    ends = {id(layer.weight) for layer in (model.get_input_embeddings(), model.get_output_embeddings())}
    frozen = sum(p.numel() for p in model.parameters() if not p.requires_grad and id(p) not in ends)
    return {
        "frozen": frozen,
        "adapter": sum(p.numel() for p in model.parameters() if p.requires_grad),
        "output_layer": model.get_output_embeddings().weight.numel(),
    }


def _train(request: dict[str, Any], lines: Lines, tell: Tell) -> None:
    import torch
    from transformers.trainer_callback import PrinterCallback, TrainerCallback

    from fieldguide.models import load_generator
    from fieldguide.settings import Tuning

    settings = Tuning(**request["settings"])
    rows = json.loads(Path(request["rows"]).read_text("utf-8"))
    steps = int(request["steps"])
    with tempfile.TemporaryDirectory() as run:
        trainer = make_trainer(request["arm"], load_generator(request["model"]), rows, settings, steps, Path(run))
        if request["other_start"]:
            torch.manual_seed(settings.seed + 1)
            for name, weight in trainer.model.named_parameters():
                if "lora_A" in name:
                    torch.nn.init.kaiming_uniform_(weight, a=5**0.5)
        asked = Steps(lines, tell, trainer.args.per_device_train_batch_size * trainer.args.gradient_accumulation_steps)
        trainer.data_collator = asked.collator(trainer.data_collator)

        class Paced(TrainerCallback):  # type: ignore[misc]
            def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
                asked.next(0)

            def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
                if asked.after(state.global_step) and state.global_step < steps:
                    asked.next(state.global_step)

        trainer.remove_callback(PrinterCallback)
        trainer.add_callback(Paced)
        tell({"parameters": parameters(trainer.model), "loaded_mb": peak_mb()})
        trainer.train()
        next(lines)
        tell({"losses": [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]})


def _multiply(lines: Lines, tell: Tell) -> None:
    import torch

    one, other = (torch.randn(_SIDE, _SIDE).to(torch.bfloat16) for _ in range(2))
    one @ other
    tell({"ready": True})
    for _ in lines:
        began = time.perf_counter()
        for _ in range(_PRODUCTS):
            one @ other
        tell({"seconds": time.perf_counter() - began, "gflop": _PRODUCTS * 2 * _SIDE**3 / 1e9})


def _serve(read: IO[str], write: IO[str]) -> None:
    def tell(message: dict[str, Any]) -> None:
        write.write(json.dumps(message) + "\n")
        write.flush()

    lines = (json.loads(line) for line in read)
    request = next(lines)
    try:
        if request["arm"] == "peak":
            _multiply(lines, tell)
        else:
            _train(request, lines, tell)
    except StopIteration:  # the parent wants no more
        return
    except Exception as error:
        tell(told_error(error))


if __name__ == "__main__":
    quieten()
    _serve(*protocol_streams())
