"""Training in several processes at once, one for each GPU (or, on a CPU, for trying it out): torchrun starts them.

``train_together`` is the starting side, ``python -m tuning.together JOB`` what each process runs; `torchrun` and
`accelerate launch` can start that on several machines too. Knows token ids, not questions.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fieldguide.errors import ModelError
from fieldguide.files import write_json
from fieldguide.settings import Tuning
from fieldguide.types import Progress
from tuning.apart import read_rows
from tuning.loop import Loop, LoopResult, latest_checkpoint, read_plan
from tuning.watch import read_log

JOB, RESULT, STOP, OUTPUT = "job.json", "result.json", "stop", "processes.log"
_POLL = 0.5


def train_together(
    base: Path,
    dtype: str,
    rows: Path,
    settings: Tuning,
    run: Path,
    key: str,
    progress: Progress,
    stopped: Callable[[], bool],
    processes: int,
    *,
    start: Path | None = None,
    passes: int = 1,
    seconds: float | None = None,
) -> tuple[Path, LoopResult]:
    """Train as ``Loop.run`` does in so many processes, which share each step's rows; held-out loss alone is looked at.

    ``rows`` is a file of ``apart.write_rows``; ``seconds`` is the time that is left. Goes on from the run's
    checkpoints. Raises KeyboardInterrupt when stopped (after a checkpoint), ModelError if a process fails.
    """
    for old in (RESULT, STOP):
        (run / old).unlink(missing_ok=True)
    job = {
        "base": str(base.resolve()), "dtype": dtype, "rows": str(rows.resolve()), "run": str(run.resolve()),
        "settings": settings.model_dump(mode="json"), "key": key, "start": str(start.resolve()) if start else "",
        "passes": passes, "seconds": seconds,
    }  # fmt: skip
    write_json(run / JOB, job)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    progress.start(f"starting {processes} processes")
    with (run / OUTPUT).open("wb") as output:
        started = subprocess.Popen(
            [*command, "-m", "tuning.together", str(run / JOB)], stdout=output, stderr=output,
            cwd=Path(__file__).parents[1],
        )  # fmt: skip
        try:
            _follow(started, run, progress, stopped)
        finally:
            if started.poll() is None:
                started.terminate()
            started.wait()
    if (run / STOP).exists() and not (run / RESULT).exists():
        raise KeyboardInterrupt
    if started.returncode or not (run / RESULT).exists():
        raise ModelError(
            f"One of the {processes} processes that train ended with code {started.returncode}: see {run / OUTPUT}."
        )
    return run / "adapter", LoopResult(**json.loads((run / RESULT).read_text("utf-8")))


def _follow(started: subprocess.Popen[bytes], run: Path, progress: Progress, stopped: Callable[[], bool]) -> None:
    """Tell what the run's log says until the processes end; ask them to stop when we are asked."""
    told = int(found.name.rsplit("-", 1)[1]) if (found := latest_checkpoint(run)) is not None else 0
    begun = False
    while started.poll() is None:
        time.sleep(_POLL)
        if stopped():
            (run / STOP).touch()
        plan = read_plan(run)
        if plan is not None and not begun:
            progress.start("training", plan.steps, done=told)
            begun = True
        steps = [row for row in read_log(run) if "loss" in row and row["step"] > told]
        for row in steps if begun else ():
            progress.advance(note=f"loss {row['loss']:.3f}, {row['tokens_per_second']:.0f} tokens/s")
            told = row["step"]


class _Quiet:
    def start(self, label: str, total: int | None = None, done: int = 0) -> None:
        return None

    def advance(self, n: int = 1, note: str = "") -> None:
        return None


def work(path: Path) -> None:
    """What each process does: load the base on its own device and train; the first one writes what came out."""
    import os

    import torch

    from fieldguide.models.transformers_generator import TransformersGenerator

    job: dict[str, Any] = json.loads(path.read_text("utf-8"))
    run, settings = Path(job["run"]), Tuning(**job["settings"])
    rank = int(os.environ.get("LOCAL_RANK", "0"))
    device = f"cuda:{rank}" if torch.cuda.is_available() else "cpu"
    if device != "cpu":
        torch.cuda.set_device(rank)
    generator = TransformersGenerator(Path(job["base"]), name="base", device=device, dtype=job["dtype"])
    train, dev = read_rows(Path(job["rows"]))
    left = job["seconds"]
    loop = Loop(
        generator.model, generator.tokenizer, settings, run, _Quiet(), (run / STOP).exists,
        start=Path(job["start"]) if job["start"] else None, passes=job["passes"],
        left=None if left is None else lambda: float(left),
    )  # fmt: skip
    try:
        result = loop.run(train, dev, job["key"])
    except KeyboardInterrupt:
        return
    if int(os.environ.get("RANK", "0")) == 0:
        write_json(run / RESULT, asdict(result))


if __name__ == "__main__":
    work(Path(sys.argv[1]))
