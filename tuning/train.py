"""The main flow of tuning: pairs + production retriever → examples → LoRA (peft, trl) → adapter with manifest.

The loop is trl's SFTTrainer; what is ours is the training set, its labels, the time plan, resuming, and the gate.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fieldguide import __version__
from fieldguide.catalog import Artefact, Catalog
from fieldguide.errors import IntegrityError, NotReady
from fieldguide.files import file_hash, folder_atomically, write_json
from fieldguide.models.transformers_generator import TransformersGenerator
from fieldguide.prompts import answer_prompt_hash
from fieldguide.settings import Tuning
from fieldguide.types import Progress, Retriever, content_hash
from tuning.examples import Example, build_examples, choose, set_hash, shares
from tuning.loop import Loop, latest_checkpoint, read_plan
from tuning.tokenise import tokenise

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
) -> TuneReport:
    """Train an adapter on the catalogue's train pairs and register it.

    It becomes the one in use if its loss on the dev pairs is lower than the base model's (arXiv 2401.08406 and
    others saw tuning lower accuracy, so no adapter is served unseen). An interrupted run goes on from its last
    checkpoint; the same inputs are not trained twice. ``stopped`` is asked after each step.

    Raises NotReady without pairs, KeyboardInterrupt when stopped (after a checkpoint), IntegrityError if the base
    weights changed.
    """
    train, dev, left_out = _examples(catalog, retriever, settings)
    base_hash = base.base_hash()
    training_set = set_hash(train)
    key = content_hash(training_set, set_hash(dev), base_hash, _settings_key(settings))
    done = next((a for a in catalog.artefacts(KIND) if a.manifest["key"] == key), None)
    if done is not None and _is_whole(adapters / done.id):
        better = _is_better(done.manifest["dev_loss_base"], done.manifest["dev_loss_tuned"])
        if better and not done.active:
            catalog.add_artefact(KIND, done.id, done.manifest, activate=True)
        return TuneReport(done.id, adapters / done.id, dict(done.manifest), False, better, None)
    run = next((p.parent for p in sorted(runs.glob("*-tune*/plan.json")) if _unfinished(p, key)), None) or new_run()
    sets = [tokenise(examples, base, base.context_tokens) for examples in (train, dev)]
    came_out = [sum(row.examples for row in rows) for rows in sets]
    if came_out != [len(train), len(dev)]:
        raise IntegrityError(f"{len(train)} + {len(dev)} examples went into tokenisation, {came_out} came out.")
    base.unload_adapters()
    loop = Loop(base.model, base.tokenizer, settings, run, progress, stopped)
    result = loop.run(sets[0], sets[1], key)
    if base.base_hash() != base_hash:
        raise IntegrityError("The base model's weights changed while an adapter was trained on them.")
    manifest: dict[str, Any] = {
        "key": key, "base": base.id, "base_hash": base_hash, "retriever": retriever.recipe,
        "index": retriever.index_id, "prompt": answer_prompt_hash(), "training_set": training_set,
        "examples": len(train), "gold": shares(train), "left_out": left_out, "dev_examples": len(dev),
        "documents": sorted({p.document for p in catalog.pairs("train")}), "settings": settings.model_dump(mode="json"),
        "loss": result.losses, "dev_loss_base": result.dev_before, "dev_loss_tuned": result.dev_after,
        "steps": result.steps, "planned_steps": result.planned, "tokens": result.tokens, "seconds": result.seconds,
        "version": __version__, "created": time.strftime("%Y-%m-%dT%H:%M:%S"),
    }  # fmt: skip
    better = _is_better(result.dev_before, result.dev_after)
    return _register(catalog, loop.adapter_folder, adapters, manifest, better, run)


def active_adapter(catalog: Catalog, adapters: Path) -> tuple[Artefact, Path] | None:
    """The adapter in use and its folder, None if none is. Raises NotReady if its files are gone."""
    active = catalog.active(KIND)
    if active is None:
        return None
    folder = adapters / active.id
    if not _is_whole(folder):
        raise NotReady(f"The files of the adapter in use are missing from {folder}; run `fieldguide tune` again.")
    return active, folder


def _examples(catalog: Catalog, retriever: Retriever, settings: Tuning) -> tuple[list[Example], list[Example], int]:
    """Training and dev examples, and how many pairs are left out because their evidence is in no chunk any more."""
    pairs = choose(catalog.pairs("train"), settings.max_examples, settings.seed)
    if not pairs:
        raise NotReady("There are no question-answer pairs to train on; run `fieldguide qa` first.")
    dev_pairs = choose(catalog.pairs("dev"), settings.dev_examples, settings.seed) if settings.dev_examples else []
    chunks = catalog.chunks()
    shape = {"per_context": settings.questions_per_context, "seed": settings.seed}
    train = build_examples(pairs, retriever, chunks, closed_book_share=settings.closed_book_share, **shape)
    dev = build_examples(dev_pairs, retriever, chunks, closed_book_share=0.0, **shape)
    kept = [example for example in train if example.gold != "missing"]
    if not kept:
        raise NotReady(
            f"The evidence of all {len(train)} pairs is missing from the text as it is read now; run `fieldguide qa` "
            "to write new ones."
        )
    return kept, [example for example in dev if example.gold != "missing"], len(train) - len(kept)


def _is_whole(folder: Path) -> bool:
    return (folder / "adapter_model.safetensors").exists() and (folder / "adapter_config.json").exists()


def _is_better(before: float | None, after: float | None) -> bool:
    """Whether the adapter may be served: its dev loss is lower than the base model's, or nothing was held out."""
    return before is None or after is None or after < before


def _settings_key(settings: Tuning) -> str:
    return settings.model_dump_json(exclude={"save_steps"})


def _unfinished(plan: Path, key: str) -> bool:
    stored = read_plan(plan.parent)
    return stored is not None and stored.key == key and latest_checkpoint(plan.parent) is not None


def _register(
    catalog: Catalog, trained: Path, adapters: Path, manifest: dict[str, Any], better: bool, run: Path
) -> TuneReport:
    digest = file_hash(trained / "adapter_model.safetensors")
    target = adapters / digest[:16]
    if not _is_whole(target):
        shutil.rmtree(target, ignore_errors=True)
    manifest = {"id": digest[:16], "sha256": digest, **manifest}
    with folder_atomically(target) as part:
        for name in ("adapter_model.safetensors", "adapter_config.json"):
            shutil.copy2(trained / name, part / name)
        write_json(part / "manifest.json", manifest)
    catalog.add_artefact(KIND, digest[:16], manifest, activate=better)
    write_json(run / "metrics.json", manifest)
    for checkpoint in run.glob("checkpoint-*"):
        shutil.rmtree(checkpoint, ignore_errors=True)
    shutil.rmtree(trained, ignore_errors=True)
    return TuneReport(digest[:16], target, manifest, True, better, run)
