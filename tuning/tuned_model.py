"""What the trainings of embedder and reranker share: the run of a trainer, and the folder that comes out of it.

The folder is a sentence-transformers model in safetensors with a manifest.json beside the weights.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fieldguide.files import folder_atomically, write_json
from fieldguide.models.weights import quiet, safetensors_hash
from fieldguide.types import Progress


@dataclass(frozen=True, slots=True)
class TunedModel:
    """What came out: ``better`` than the old one on the dev questions or not, and whether it was trained just now."""

    id: str
    folder: Path
    manifest: dict[str, Any]
    better: bool
    trained: bool


@contextmanager
def without_bars() -> Iterator[None]:
    """Silence the progress bars and warnings of transformers and datasets."""
    from datasets.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    before = are_progress_bars_disabled()
    disable_progress_bars()
    try:
        with quiet():
            yield
    finally:
        if not before:
            enable_progress_bars()


def run_trainer(
    trainer: Any,
    label: str,
    steps: int,
    progress: Progress,
    stopped: Callable[[], bool],
    after_epoch: Callable[[], bool],
    minutes: float,
) -> None:
    """Run a sentence-transformers trainer, telling each step; it ends when ``after_epoch`` says that it is enough or
    the minutes (0: no limit) are over. Raises KeyboardInterrupt when ``stopped``."""
    from transformers import TrainerCallback
    from transformers.trainer_callback import PrinterCallback

    end = time.perf_counter() + 60 * minutes if minutes else float("inf")

    class Report(TrainerCallback):  # type: ignore[misc]
        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
            if logs and "loss" in logs:
                progress.advance(note=f"loss {float(logs['loss']):.3f}")

        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
            if stopped():
                raise KeyboardInterrupt
            if time.perf_counter() > end:
                control.should_epoch_stop = True
            return control

        def on_epoch_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
            control.should_training_stop = after_epoch() or time.perf_counter() > end
            if stopped():  # while the dev questions were ranked
                raise KeyboardInterrupt
            if not control.should_training_stop and state.global_step < steps:
                progress.start(label, steps, done=state.global_step)  # the dev questions may have had a step of theirs
            return control

    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(Report())
    progress.start(label, steps)
    trainer.train()


def write_model(model: Any, folder: Path, manifest: Mapping[str, Any], better: bool) -> TunedModel:
    """Save a sentence-transformers model with its manifest to ``folder``/<id>, at once or not at all."""
    with tempfile.TemporaryDirectory() as scratch, quiet():
        saved = Path(scratch) / "model"
        model.save_pretrained(str(saved), create_model_card=False, safe_serialization=True)
        digest = safetensors_hash(saved)
        full = json.loads(json.dumps({"id": digest[:16], "sha256": digest, "better": better, **manifest}))
        target = folder / digest[:16]
        if not (target / "manifest.json").exists():
            shutil.rmtree(target, ignore_errors=True)
        with folder_atomically(target) as part:
            shutil.copytree(saved, part, dirs_exist_ok=True)
            write_json(part / "manifest.json", full)
    return TunedModel(digest[:16], target, full, better, True)


def keep_only(folder: Path, ids: Collection[str]) -> None:
    """Remove from ``folder`` what tuning left there before, but for these."""
    for old in folder.iterdir() if folder.exists() else ():
        if old.name not in ids:
            shutil.rmtree(old, ignore_errors=True)


def trained_before(folder: Path, key: str) -> TunedModel | None:
    """The model that came of the same inputs, if its weights are still what they were."""
    for file in sorted(folder.glob("*/manifest.json")):
        try:
            manifest = json.loads(file.read_text("utf-8"))
            if manifest["key"] == key and safetensors_hash(file.parent) == manifest["sha256"]:
                return TunedModel(manifest["id"], file.parent, manifest, bool(manifest["better"]), False)
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return None
