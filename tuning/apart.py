"""Training in a process of its own, on a base loaded afresh: for methods that rewrite the base or train it in 4 bit.

``train_apart`` is the parent's side, ``python -m tuning.apart`` the child's. Knows token ids, not questions.
"""

from __future__ import annotations

import json
import math
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from fieldguide.files import write_atomically
from fieldguide.models.child import Child, protocol_streams, told_error
from fieldguide.settings import Tuning
from fieldguide.types import Progress
from tuning.tokenise import IGNORED, Sequences, collate

if TYPE_CHECKING:
    from tuning.loop import LoopResult

_CALIBRATION_ROWS = 64
"""Rows on which CorDA measures: its paper takes 256 samples of 2048 tokens for 4096 dimensions."""


def write_rows(path: Path, train: Sequence[Sequences], dev: Sequence[Sequences]) -> None:
    """The tokenised rows as JSON lines, each with its part: what ``train_apart`` reads."""
    rows = [{"set": name, **asdict(row)} for name, part in (("train", train), ("dev", dev)) for row in part]
    write_atomically(path, "".join(json.dumps(row) + "\n" for row in rows))


def read_rows(path: Path) -> tuple[list[Sequences], list[Sequences]]:
    """Train and dev rows, as ``write_rows`` got them."""
    parts: dict[str, list[Sequences]] = {"train": [], "dev": []}
    with path.open(encoding="utf-8") as file:
        for line in file:
            row = json.loads(line)
            parts[row.pop("set")].append(Sequences(**row))
    return parts["train"], parts["dev"]


def train_apart(
    base: Path,
    dtype: str,
    rows: Path,
    settings: Tuning,
    run: Path,
    key: str,
    progress: Progress,
    stopped: Callable[[], bool] = lambda: False,
    *,
    device: str = "auto",
    passes: int = 1,
    seconds: float | None = None,
) -> tuple[Path, LoopResult]:
    """Train as ``Loop.run`` does, in a child that loads ``base`` itself; its adapter's folder (``run``/adapter) and
    what the loop came to. Goes on from the run's checkpoints.

    PiSSA, OLoRA and CorDA come out as plain LoRA of twice the rank on the base as it was; LoftQ and KaSA as adapters
    that only ``SeparateGenerator`` serves; QLoRA as LoRA. ``rows`` is a file of ``write_rows``, ``passes`` how often
    they repeat the set already, ``seconds`` what is left of the time for training. ``dev_before`` of the result is the
    loss of the base as it was, which a rewritten base with the adapter off is not.
    Raises KeyboardInterrupt when stopped (after a checkpoint), ModelError if the child dies.
    """
    from tuning.loop import LoopResult

    child = Child("tuning.apart", f"training by {settings.method}")
    told = False

    def on_done(event: Any) -> None:
        nonlocal told
        getattr(progress, event["call"])(*event["args"])
        if stopped() and not told:
            told = True
            child.tell({"do": "stop"})

    try:
        answer = child.ask(
            {
                "base": str(base.resolve()), "dtype": dtype, "device": device, "rows": str(rows.resolve()),
                "settings": settings.model_dump(mode="json"), "run": str(run.resolve()), "key": key,
                "passes": passes, "seconds": seconds,
            },
            on_done,
        )  # fmt: skip
        if "stopped" in answer:
            raise KeyboardInterrupt
        return run / "adapter", LoopResult(**answer["result"])
    finally:
        child.close()


class _Told:
    """A Progress whose calls the parent makes; tells also each step's end, where the parent may want to stop."""

    def __init__(self, send: Callable[[dict[str, Any]], None]) -> None:
        self._send = send

    def start(self, label: str, total: int | None = None, done: int = 0) -> None:
        self._send({"done": {"call": "start", "args": [label, total, done]}})

    def advance(self, n: int = 1, note: str = "") -> None:
        self._send({"done": {"call": "advance", "args": [n, note]}})


def _work(lines: IO[str], out: IO[str]) -> None:
    """Train what the first line names; a further line, or the end of the input, stops it after the step under way."""
    import threading

    stop = threading.Event()

    def send(answer: dict[str, Any]) -> None:
        try:
            out.write(json.dumps(answer) + "\n")
            out.flush()
        except OSError:  # the parent is gone
            stop.set()

    first = lines.readline()
    if not first:
        return

    def listen() -> None:
        lines.readline()
        stop.set()

    threading.Thread(target=listen, daemon=True).start()
    try:
        send({"result": _train(json.loads(first), _Told(send), stop.is_set)})
    except KeyboardInterrupt:
        send({"stopped": True})
    except Exception as error:
        send(told_error(error))


def _train(job: dict[str, Any], progress: Progress, stopped: Callable[[], bool]) -> dict[str, Any]:
    """The loop on a fresh base; converts what can be. Its result as JSON has it."""
    from tuning.loop import Loop
    from tuning.methods import CONVERTED, calibrate

    settings, run = Tuning(**job["settings"]), Path(job["run"])
    train, dev = read_rows(Path(job["rows"]))
    generator = _base(job, settings)
    progress.start(f"preparing {settings.method}")
    calibrate(settings, generator.model, _calibration(train, generator, settings))
    before = None if settings.method == "qlora" else _dev_loss(generator, dev)
    end = None if job["seconds"] is None else time.monotonic() + job["seconds"]
    left = None if end is None else lambda: end - time.monotonic()
    loop = Loop(generator.model, generator.tokenizer, settings, run, progress, stopped, passes=job["passes"], left=left)
    result = loop.run(train, dev, job["key"])
    del generator, loop
    if settings.method in CONVERTED:
        _convert(job, settings, train, run / "adapter")
    return asdict(result) | ({} if before is None else {"dev_before": before})


def _dev_loss(generator: Any, dev: Sequence[Sequences]) -> float | None:
    """Mean loss of the bare base over the answers' tokens, None where nothing is held out."""
    import torch

    from tuning.loss import answer_loss

    total, tokens = 0.0, 0
    for row in dev:
        batch = {name: value.to(generator.device) for name, value in _batch(row, generator).items()}
        count = int((batch["labels"][:, 1:] != IGNORED).sum())
        with torch.no_grad():
            total += float(answer_loss(generator.model, batch)) * count
        tokens += count
    return total / tokens if tokens else None


def _batch(row: Sequences, generator: Any) -> dict[str, Any]:
    return collate([asdict(row)], int(generator.tokenizer.pad_token_id or 0))


def _base(job: dict[str, Any], settings: Tuning) -> Any:
    """The base, loaded afresh, in the precision of the training, so that a method takes it apart as it is trained; in 4
    bit for QLoRA."""
    from fieldguide.models.sentence_transformer import bfloat16_on_cpu
    from fieldguide.models.transformers_generator import TransformersGenerator
    from fieldguide.models.weights import pick_device

    device = pick_device(job["device"])
    dtype = "bfloat16" if device == "cpu" and bfloat16_on_cpu() else job["dtype"]
    generator = TransformersGenerator(Path(job["base"]), name="base", device=device, dtype=dtype)
    if settings.method == "qlora":
        from tuning.quantised import load_4bit

        generator.model = load_4bit(Path(job["base"]), dtype=generator.dtype, device=generator.device)
    return generator


def _calibration(train: Sequence[Sequences], generator: Any, settings: Tuning) -> Any:
    """Rows, one at a time, as the model is fed them in training: a fixed even draw."""
    every = math.ceil(len(train) / _CALIBRATION_ROWS)
    for row in train[::every]:
        batch = _batch(row, generator).items()
        yield {name: value.to(generator.device) for name, value in batch if name != "labels"}


def _convert(job: dict[str, Any], settings: Tuning, train: Sequence[Sequences], folder: Path) -> None:
    """Replace the adapter in ``folder`` by the plain LoRA that does the same to the base as it was; leave one alone
    that is so already, from a session that was killed after this."""
    from fieldguide.models.adapters import read_config, rewrites
    from tuning.methods import calibrate, convert, decomposed

    if not rewrites(read_config(folder, rewriting=True)):
        return
    fresh = _base(job, settings)
    calibrate(settings, fresh.model, _calibration(train, fresh, settings))
    initial = decomposed(settings, fresh.model)
    plain = folder.with_name(folder.name + "-plain")
    convert(folder, initial, plain)
    shutil.rmtree(folder)
    plain.rename(folder)


if __name__ == "__main__":
    _work(*protocol_streams())
