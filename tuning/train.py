"""The main flow of tuning: pairs + production retriever → examples → LoRA (peft, trl) → adapter with manifest.

The loop is trl's SFTTrainer; what is ours is the training set, its labels, the time plan, resuming, and the gate.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fieldguide import __version__
from fieldguide.catalog import Artefact, Catalog
from fieldguide.errors import IntegrityError, NotReady
from fieldguide.files import file_hash, folder_atomically, write_json
from fieldguide.models.transformers_generator import TransformersGenerator
from fieldguide.prompts import answer_prompt_hash
from fieldguide.replies import room
from fieldguide.settings import Tuning
from fieldguide.types import Progress, QAPair, Retriever, content_hash
from tuning.apart import train_apart, write_rows
from tuning.examples import Example, set_hash, shares
from tuning.gate import Weighed, weigh
from tuning.loop import ANSWER_TOKENS, Loop, LoopResult, latest_checkpoint, read_plan
from tuning.methods import APART
from tuning.registry import facts
from tuning.rounds import still_wrong, variants
from tuning.start import find_start, start_hash
from tuning.together import train_together
from tuning.tokenise import Sequences, tokenise
from tuning.training_set import TrainingSet, assemble, extended, judge_of

KIND = "adapter"


@dataclass(frozen=True, slots=True)
class TuneReport:
    """The adapter that came out, whether it was trained now (or was there already), and whether it is served."""

    adapter: str
    folder: Path
    manifest: dict[str, Any]
    trained: bool
    active: bool
    run: Path | None


def tune(
    catalog: Catalog,
    retriever: Retriever,
    base: TransformersGenerator,
    settings: Tuning,
    adapters: Path,
    runs: Path,
    new_run: Callable[[], Path],
    progress: Progress,
    stopped: Callable[[], bool] = lambda: False,
    processes: int = 1,
) -> TuneReport:
    """Train an adapter on the catalogue's train pairs and register it.

    It becomes the one in use if it passes the gate on the dev pairs (arXiv 2401.08406 and others saw tuning lower
    accuracy, so no adapter is served unseen). An interrupted run goes on from its last checkpoint; the same inputs are
    not trained twice. ``stopped`` is asked after each step; ``processes`` share the training. With
    ``settings.minutes`` all of it ends within that time.

    Raises NotReady without pairs, KeyboardInterrupt when stopped (after a checkpoint), IntegrityError if the base
    weights changed.
    """
    end = time.monotonic() + 60 * settings.minutes if settings.minutes else None
    base_hash = base.base_hash()
    start, begun = find_start(settings, base_hash)
    made = assemble(catalog, retriever, base, settings, progress, start)
    training_set = set_hash(made.train)
    key = content_hash(training_set, set_hash(made.dev), base_hash, _settings_key(settings), start_hash(start))
    done = next((a for a in catalog.artefacts(KIND) if a.manifest["key"] == key), None)
    if done is not None and _is_whole(adapters / done.id):
        better = bool(done.manifest.get("passed", True))
        if better and not done.active:
            catalog.add_artefact(KIND, done.id, done.manifest, activate=True)
        return TuneReport(done.id, adapters / done.id, dict(done.manifest), False, better, None)
    run = next((p.parent for p in sorted(runs.glob("*-tune*/plan.json")) if _unfinished(p, key)), None) or new_run()
    base.unload_adapters()
    weighing = Weighed.begin(base, made.dev, settings, progress)
    training = _Training(base, run, progress, stopped, processes, end, weighing.tail)
    trained, result, made = _rounds(catalog, made, settings, key, start, training)
    if base.base_hash() != base_hash:
        raise IntegrityError("The base model's weights changed while an adapter was trained on them.")
    weighed = weigh(trained, base, made.dev, weighing, settings, result, progress)
    manifest: dict[str, Any] = {
        "key": key, "base": base.id, "base_hash": base_hash, "method": settings.method,
        "start": {"adapter": start_hash(start)[:16], "how": begun}, "retriever": retriever.recipe,
        "index": retriever.index_id, "prompt": answer_prompt_hash(), "training_set": training_set,
        "order": list(settings.orders), "examples": len(made.train), "passes": made.passes, "gold": shares(made.train),
        "left_out": made.left_out.total(), "left_out_by_reason": dict(made.left_out), "notes": made.notes,
        "dev_examples": len(made.dev), "documents": sorted({pair.document for pair in made.pairs}),
        "facts": facts(made.pairs), "settings": settings.model_dump(mode="json"), "loss": result.losses,
        "curve": result.curve, "dev_loss_base": result.dev_before, "dev_loss_tuned": result.dev_after,
        "dev_f1_tuned": result.f1_after, "steps": result.steps,
        "best_step": result.best_step, "planned_steps": result.planned, "ended": result.ended,
        "tokens": result.tokens, "seconds": result.seconds, **weighed, "version": __version__,
        "created": time.strftime("%Y-%m-%dT%H:%M:%S"),
    }  # fmt: skip
    return _register(catalog, trained, adapters, manifest, run)


def active_adapter(catalog: Catalog, adapters: Path) -> tuple[Artefact, Path] | None:
    """The adapter in use and its folder, None if none is. Raises NotReady if its files are gone."""
    active = catalog.active(KIND)
    if active is None:
        return None
    folder = adapters / active.id
    if not _is_whole(folder):
        raise NotReady(f"The files of the adapter in use are missing from {folder}; run `fieldguide tune` again.")
    return active, folder


@dataclass(frozen=True, slots=True)
class _Training:
    """What one training shares with the next round's: the base model, the run's folder, how to report and to stop,
    the moment at which all of it has to have ended (None: none), and the seconds that what follows will take."""

    base: TransformersGenerator
    run: Path
    progress: Progress
    stopped: Callable[[], bool]
    processes: int
    end: float | None
    tail: float

    def left(self) -> float | None:
        """Seconds for training and looks, None for any number."""
        return None if self.end is None else self.end - time.monotonic() - self.tail

    def once(
        self, made: TrainingSet, settings: Tuning, key: str, start: Path | None, run: Path
    ) -> tuple[Path, LoopResult]:
        """One training: here, in several processes, or in a child where the method needs a base of its own."""
        base = self.base
        train, dev = _rows(made.train, base), _rows(made.dev, base)
        file, dtype = run / "rows.jsonl", str(base.dtype).removeprefix("torch.")
        if settings.method in APART:
            write_rows(file, train, dev)
            return train_apart(
                base.path, dtype, file, settings, run, key, self.progress, self.stopped, device=base.device,
                passes=made.passes, seconds=self.left(),
            )  # fmt: skip
        if self.processes > 1:
            write_rows(file, train, dev)
            return train_together(
                base.path, dtype, file, settings, run, key, self.progress, self.stopped, self.processes, start=start,
                passes=made.passes, seconds=self.left(),
            )  # fmt: skip
        left = None if self.end is None else lambda: self.left() or 0.0
        loop = Loop(
            base.model, base.tokenizer, settings, run, self.progress, self.stopped, start=start, passes=made.passes,
            left=left,
        )  # fmt: skip
        return loop.adapter_folder, loop.run(train, dev, key, judge_of(made.dev, base))


def _rounds(
    catalog: Catalog, made: TrainingSet, settings: Tuning, key: str, start: Path | None, training: _Training
) -> tuple[Path, LoopResult, TrainingSet]:
    """Train; then, for each further round, add a variant of each training pair that is still answered wrong and go on
    from the adapter so far (LLM2LLM). Each round has a folder of its own and goes on there when resumed."""
    trained, result = training.once(made, settings, key, start, training.run)
    written: list[QAPair] = []
    for number in range(1, settings.rounds + 1):
        base = training.base
        adapter = base.load_adapter(trained)
        wrong = still_wrong(made.train, base, adapter, room(ANSWER_TOKENS, settings.target), training.progress)
        base.unload_adapters()
        known = [*catalog.pairs(every=True), *written]
        more = variants([*made.pairs, *written], wrong, known=known, seed=settings.seed + number)
        written += more
        made.notes.append(f"Round {number}: {len(wrong)} training examples still wrong, {len(more)} variants added.")
        if not more:
            break
        made = extended(made, more, settings)
        folder = training.run / f"round-{number}"
        folder.mkdir(exist_ok=True)
        key = content_hash(key, set_hash(made.train))
        trained, result = training.once(made, settings, key, trained, folder)
    return trained, result, made


def _rows(examples: Sequence[Example], base: TransformersGenerator) -> list[Sequences]:
    """The examples as rows. Raises IntegrityError if one got lost on the way."""
    rows = tokenise(examples, base, base.context_tokens)
    came_out = sum(row.examples for row in rows)
    if came_out != len(examples):
        raise IntegrityError(f"{len(examples)} examples went into tokenisation, {came_out} came out.")
    return rows


def _is_whole(folder: Path) -> bool:
    return (folder / "adapter_model.safetensors").exists() and (folder / "adapter_config.json").exists()


def _settings_key(settings: Tuning) -> str:
    return settings.model_dump_json(exclude={"save_steps", "tensorboard"})


def _unfinished(plan: Path, key: str) -> bool:
    stored = read_plan(plan.parent)
    return stored is not None and stored.key == key and latest_checkpoint(plan.parent) is not None


def _register(catalog: Catalog, trained: Path, adapters: Path, manifest: dict[str, Any], run: Path) -> TuneReport:
    digest = file_hash(trained / "adapter_model.safetensors")
    target = adapters / digest[:16]
    if not _is_whole(target):
        shutil.rmtree(target, ignore_errors=True)
    manifest = {"id": digest[:16], "sha256": digest, **manifest}
    with folder_atomically(target) as part:
        for name in ("adapter_model.safetensors", "adapter_config.json"):
            shutil.copy2(trained / name, part / name)
        write_json(part / "manifest.json", manifest)
    better = bool(manifest["passed"])
    catalog.add_artefact(KIND, digest[:16], manifest, activate=better)
    write_json(run / "metrics.json", manifest)
    for leftover in (*run.glob("checkpoint-*"), *run.glob("round-*"), *run.glob("best-*"), run / "adapter", trained):
        shutil.rmtree(leftover, ignore_errors=True)
    return TuneReport(digest[:16], target, manifest, True, better, run)
