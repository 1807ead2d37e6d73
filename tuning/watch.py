"""What is looked at while an adapter is trained: held-out loss and answers, the best checkpoint, the log and its plot.

Knows the trainer's callbacks and the run's folder, not how examples came about.
"""

from __future__ import annotations

import json
import math
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fieldguide.errors import ModelError
from fieldguide.files import folder_atomically, write_atomically
from fieldguide.types import Progress

LOG, CURVE, BEST = "log.jsonl", "curve.png", "best"


@dataclass(frozen=True, slots=True)
class Look:
    """One look at the held-out examples after ``step`` steps (0: before the first): mean loss per answer token, mean
    token F1 of greedy answers (0 to 1); None where there is nothing held out, or no answers were asked for."""

    step: int
    loss: float | None
    f1: float | None


@dataclass(frozen=True, slots=True)
class Judge:
    """Held-out questions as token ids of their prompts, what gives a mean score from 0 to 1 for the answers' token
    ids, and the tokens that end an answer."""

    prompts: Sequence[list[int]]
    score: Callable[[Sequence[list[int]]], float]
    ends: frozenset[int] = frozenset()


def merit(look: Look, base: Look) -> float:
    """How good a checkpoint is: the share of the base model's held-out loss that is gone, plus the answers' F1.

    -inf for a loss that is no number. Loss alone prefers hedging and goes up early where answers still improve; F1
    alone is coarse on few questions.
    """
    if look.loss is not None and not math.isfinite(look.loss):
        return -math.inf
    gone = 0.0 if not look.loss or not base.loss else 1 - look.loss / base.loss
    return gone + (look.f1 or 0.0)


def look_steps(steps: int, looks: int) -> list[int]:
    """After which steps to look: ``looks`` of them, evenly, the last at the end."""
    return sorted({max(1, round(steps * n / looks)) for n in range(1, looks + 1)})


class Log:
    """``log.jsonl`` of a run: a line for each step and each look. A run that goes on drops what it will do again."""

    def __init__(self, run: Path, done: int) -> None:
        self.path = run / LOG
        kept = [row for row in read_log(run) if row["step"] <= done]
        write_atomically(self.path, "".join(json.dumps(row) + "\n" for row in kept))

    def add(self, row: dict[str, Any]) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")


def read_log(run: Path) -> list[dict[str, Any]]:
    """The rows of a run's log; a line that a kill cut off is left out."""
    rows = []
    for line in (run / LOG).read_text("utf-8").splitlines() if (run / LOG).exists() else ():
        try:
            rows.append(json.loads(line))
        except ValueError:
            continue
    return [row for row in rows if isinstance(row, dict) and "step" in row]


def looks_of(rows: Sequence[dict[str, Any]]) -> list[Look]:
    """The looks among a log's rows, in order."""
    return [Look(row["step"], row["dev_loss"], row["dev_f1"]) for row in rows if "dev_loss" in row]


class Watch:
    """Looks at set steps, keeps the best adapter, and says when to stop.

    ``look`` measures now, ``save`` writes the adapter as it is into a folder; the best lies in ``best_folder``. Call
    ``begin`` before the first step and ``after_step`` after each. ``noise`` is by how much two looks' merits differ by
    chance.
    """

    def __init__(
        self,
        run: Path,
        base: Look,
        at: Sequence[int],
        patience: int,
        look: Callable[[int], Look],
        save: Callable[[Path], None],
        done: int = 0,
        noise: float = 0.0,
    ) -> None:
        self._run, self._base, self._at, self._patience, self._noise = run, base, set(at), patience, noise
        self._look, self._save = look, save
        self.log = Log(run, done)
        self.looks = looks_of(read_log(run))

    def begin(self, first: Look) -> None:
        """Take the look before the first step: what training begins with is a checkpoint like others."""
        if not self.looks:
            self._record(first)

    def after_step(self, step: int, last: bool = False) -> bool:
        """Look, if it is time (or this step is the ``last``); whether to stop, since nothing got better lately."""
        if (step in self._at or last) and all(look.step != step for look in self.looks):
            self._record(self._look(step))
        return self.worse_in_a_row >= self._patience

    @property
    def worse_in_a_row(self) -> int:
        """Looks since the one with the most merit."""
        merits = [merit(look, self._base) for look in self.looks]
        return 0 if not merits or self._blind else len(merits) - 1 - merits.index(max(merits))

    @property
    def best(self) -> Look:
        """The look of the checkpoint to serve: the last one whose merit is within the noise of the largest (what was
        trained longer has seen more of the field), the last of all where nothing is held out."""
        if self._blind:
            return self.looks[-1]
        merits = [merit(look, self._base) for look in self.looks]
        near = [look for look, m in zip(self.looks, merits, strict=True) if m >= max(merits) - self._noise]
        return near[-1]

    @property
    def best_folder(self) -> Path:
        """Where the adapter of the best look lies."""
        return self._run / f"{BEST}-{self.best.step}"

    @property
    def _blind(self) -> bool:
        return all(look.loss is None and look.f1 is None for look in self.looks)

    @property
    def note(self) -> str:
        """The last look, for the progress line."""
        look = self.looks[-1] if self.looks else self._base
        said = [f"held-out {look.loss:.3f}" if look.loss is not None else ""]
        said.append(f"F1 {100 * look.f1:.0f}" if look.f1 is not None else "")
        return ", ".join(filter(None, said))

    def _record(self, look: Look) -> None:
        self.looks.append(look)
        if self.best == look:
            shutil.rmtree(self.best_folder, ignore_errors=True)
            with folder_atomically(self.best_folder) as part:
                self._save(part)
        self.log.add({"step": look.step, "dev_loss": look.loss, "dev_f1": look.f1, "merit": merit(look, self._base)})
        plot(self._run, self._base)
        for old in self._run.glob(f"{BEST}-*"):
            if old != self.best_folder:
                shutil.rmtree(old, ignore_errors=True)


def report_callback(
    progress: Progress,
    watch: Watch,
    stopped: Callable[[], bool],
    late: Callable[[], bool],
    tokens_a_step: float,
    agree: Callable[[tuple[bool, bool]], tuple[bool, bool]],
) -> Any:
    """The trainer's callback: shows each step, looks, asks for a checkpoint before a stop, and stops.

    ``agree`` makes what the first process decided everybody's, where several train. Raises ModelError in the trainer
    when the loss is no number any more.
    """
    import psutil
    from transformers import TrainerCallback

    class Report(TrainerCallback):  # type: ignore[misc]
        began = seconds = 0.0

        def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            if state.global_step and state.is_world_process_zero:  # stopped where a look was due
                watch.after_step(state.global_step)

        def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            self.began = time.perf_counter()

        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
            self.seconds = time.perf_counter() - self.began
            stop, over = stopped(), late()
            enough = False
            if state.is_world_process_zero and not stop:
                enough = watch.after_step(state.global_step, last=over)
            stop, end = agree((stop, over or enough))
            control.should_save = control.should_save or stop
            control.should_training_stop = control.should_training_stop or stop or end
            return control

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
            if not logs or "loss" not in logs or not state.is_world_process_zero:
                return
            rate, memory = tokens_a_step / max(self.seconds, 1e-9), psutil.Process().memory_info().rss / 2**20
            loss = float(logs["loss"])
            if not math.isfinite(loss):  # every weight is gone with it, and no later step brings them back
                raise ModelError(
                    f"The loss is no number any more at step {state.global_step} (learning rate "
                    f"{args.learning_rate:g}): lower tuning.learning_rate and run it again."
                )
            watch.log.add(
                {"step": state.global_step, "loss": loss, "learning_rate": logs.get("learning_rate"),
                 "tokens_per_second": round(rate, 1), "memory_mb": round(memory)}
            )  # fmt: skip
            progress.advance(note=f"loss {loss:.3f}, {watch.note}, {rate:.0f} tokens/s, {memory / 1024:.1f} GB")

    return Report()


def curve(run: Path) -> list[dict[str, Any]]:
    """A run's log in one list, a row a step: what was measured after it, None where nothing was."""
    by_step: dict[int, dict[str, Any]] = {}
    for row in read_log(run):
        by_step.setdefault(row["step"], {}).update(row)
    return [by_step[step] for step in sorted(by_step)]


def plot(run: Path, base: Look) -> None:
    """Draw losses and held-out answers by step into ``run``/curve.png."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = read_log(run)
    steps = [(row["step"], row["loss"]) for row in rows if row.get("loss") is not None]
    looks = looks_of(rows)
    figure = Figure(figsize=(7, 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    axis = figure.add_subplot()
    axis.plot(*zip(*steps, strict=True) if steps else ([], []), color="#9db4c0", linewidth=1, label="training loss")
    held_out = [(look.step, look.loss) for look in looks if look.loss is not None]
    if held_out:
        axis.plot(*zip(*held_out, strict=True), "o-", color="#253237", label="held-out loss")
    if base.loss is not None:
        axis.axhline(base.loss, color="#253237", linestyle=":", linewidth=1, label="held-out loss of the base model")
    axis.set_xlabel("step")
    axis.set_ylabel("loss")
    answers = [(look.step, 100 * look.f1) for look in looks if look.f1 is not None]
    if answers:
        other = axis.twinx()
        other.plot(*zip(*answers, strict=True), "s--", color="#c1440e", label="held-out F1 (right)")
        other.set_ylim(0, 100)
        other.legend(loc="upper right", frameon=False, fontsize=8)
    axis.legend(loc="upper center", frameon=False, fontsize=8)
    temporary = run / f".{CURVE}"
    figure.savefig(temporary, dpi=120, format="png")
    temporary.replace(run / CURVE)
