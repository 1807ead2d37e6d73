"""Preference tuning: accepted and rejected answers + production retriever → an adapter that prefers the accepted ones.

The loop is trl's DPOTrainer (``preference_loop``); what is ours are the prompts, as they are served, and the gate.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fieldguide import __version__
from fieldguide.catalog import Catalog
from fieldguide.errors import IntegrityError, ModelError, NotReady
from fieldguide.files import file_hash, folder_atomically, write_json
from fieldguide.models.adapter_strength import read_strength
from fieldguide.models.adapters import read_config, rewrites
from fieldguide.models.transformers_generator import TransformersGenerator
from fieldguide.prompts import answer_prompt_hash
from fieldguide.settings import Tuning
from fieldguide.types import Progress, Retriever, content_hash
from tuning.preference_loop import Likelihoods, PreferenceResult, PreferenceTuning, optimise
from tuning.preference_pairs import Fault, Preference, in_prompts, reasons, split_held_out
from tuning.train import KIND, active_adapter

_PLAN = "preference.json"


@dataclass(frozen=True, slots=True)
class PreferenceReport:
    """The adapter that came out, whether it was trained now, whether it is in use, and which lines were left out."""

    adapter: str
    folder: Path
    manifest: dict[str, Any]
    trained: bool
    active: bool
    faults: list[Fault]


def prefer(
    catalog: Catalog,
    retriever: Retriever,
    base: TransformersGenerator,
    pairs: Sequence[tuple[int, Preference]],
    tuning: Tuning,
    settings: PreferenceTuning,
    adapters: Path,
    runs: Path,
    new_run: Callable[[], Path],
    progress: Progress,
    stopped: Callable[[], bool] = lambda: False,
) -> PreferenceReport:
    """Tune the adapter in use (or, where none is, a new one) on preferences, each with the number of its line.

    The new adapter comes into use if on the held-out questions it prefers the chosen answers more often than not, and
    finds them no less likely than before. An interrupted run goes on from its last checkpoint; the same pairs are not
    trained twice. Raises NotReady without pairs, ModelError if the adapter in use rewrites its base, KeyboardInterrupt
    when stopped (after a checkpoint), IntegrityError if the base weights changed.
    """
    base_hash = base.base_hash()
    start_id, start, strength = _start(catalog, adapters)
    usable, faults = in_prompts(pairs, retriever, base, base.context_tokens)
    train, held_out = split_held_out(usable, settings.held_out, settings.seed)
    if not train:
        raise NotReady("None of the preferences can be trained on; each needs a question and two different answers.")
    pairs_hash = content_hash(*(pair.hash for _, pair in pairs))
    ids = json.dumps([asdict(pair) for pair in (*train, *held_out)])
    key = content_hash(ids, base_hash, start_id or "", str(strength), repr(settings), tuning.model_dump_json())
    done = next((a for a in catalog.artefacts(KIND) if a.manifest.get("key") == key), None)
    if done is not None and (adapters / done.id / "adapter_model.safetensors").exists():
        return PreferenceReport(done.id, adapters / done.id, dict(done.manifest), False, done.active, faults)
    run = _unfinished(runs, key) or new_run()
    write_json(run / _PLAN, {"key": key})
    base.unload_adapters()
    began = time.perf_counter()
    result = optimise(
        base.model, base.tokenizer, train, held_out, start, strength, tuning, settings, run, progress, stopped
    )
    if base.base_hash() != base_hash:
        raise IntegrityError("The base model's weights changed while an adapter was trained on them.")
    figures = measured(result)
    lengths = [len(pair.chosen_ids) for pair in held_out]
    manifest: dict[str, Any] = {
        "key": key, "method": "dpo", "start": start_id, "base": base.id, "base_hash": base_hash, "strength": 1.0,
        "retriever": retriever.recipe, "index": retriever.index_id, "prompt": answer_prompt_hash(),
        "training_set": pairs_hash, "pairs": pairs_hash, "examples": len(train), "dev_examples": len(held_out),
        "left_out": len(faults), "left_out_by_reason": reasons(faults),
        "settings": {**tuning.model_dump(mode="json"), **asdict(settings), "method": "dpo"},
        "loss": result.losses, "steps": result.steps, "planned_steps": result.steps,
        "dev_loss_base": _per_token(result.before.chosen, lengths),
        "dev_loss_tuned": _per_token(result.after.chosen, lengths), "preference": figures,
        "tokens": 0, "seconds": time.perf_counter() - began, "passed": passed(figures), "version": __version__,
        "created": time.strftime("%Y-%m-%dT%H:%M:%S"),
    }  # fmt: skip
    manifest, folder = _register(catalog, run, adapters, manifest)
    return PreferenceReport(manifest["id"], folder, manifest, True, manifest["passed"], faults)


def measured(result: PreferenceResult) -> dict[str, Any]:
    """Figures of the held-out pairs, before and after.

    "reward_accuracy": share whose chosen answer gained more likelihood than the rejected one (ties count half, so it is
    0.5 before, by definition). "prefers": share whose chosen answer is the likelier one. "margin": mean difference of
    log-likelihoods. "chosen" and "rejected": mean log-likelihood.
    """
    if not result.before.chosen:
        return {"n": 0, "before": None, "after": None}
    before, after = result.before, result.after
    gains = [
        (c1 - c0) - (r1 - r0)
        for c0, r0, c1, r1 in zip(before.chosen, before.rejected, after.chosen, after.rejected, strict=True)
    ]
    accuracy = sum(0.5 if gain == 0 else float(gain > 0) for gain in gains) / len(gains)
    return {
        "n": len(gains),
        "before": {"reward_accuracy": 0.5, **_likelihood_figures(before)},
        "after": {"reward_accuracy": accuracy, **_likelihood_figures(after)},
    }


def _likelihood_figures(likelihoods: Likelihoods) -> dict[str, float]:
    n = len(likelihoods.chosen)
    margins = [c - r for c, r in zip(likelihoods.chosen, likelihoods.rejected, strict=True)]
    return {
        "prefers": sum(margin > 0 for margin in margins) / n, "margin": sum(margins) / n,
        "chosen": sum(likelihoods.chosen) / n, "rejected": sum(likelihoods.rejected) / n,
    }  # fmt: skip


def passed(figures: dict[str, Any]) -> bool:
    """Whether the adapter may be served: only on the evidence of held-out pairs."""
    if not figures["n"]:
        return False
    before, after = figures["before"], figures["after"]
    return bool(after["reward_accuracy"] > 0.5 and after["chosen"] >= before["chosen"])


def _per_token(sums: Sequence[float], lengths: Sequence[int]) -> float | None:
    return -sum(sums) / sum(lengths) if lengths else None


def _start(catalog: Catalog, adapters: Path) -> tuple[str | None, Path | None, float]:
    """Id, folder and strength of the adapter in use. Raises ModelError if it rewrites its base."""
    active = active_adapter(catalog, adapters)
    if active is None:
        return None, None, 1.0
    found, folder = active
    if rewrites(read_config(folder, rewriting=True)):
        raise ModelError(
            f"The adapter in use, {found.id}, rewrites its base and cannot be tuned on: put another one in use first."
        )
    return found.id, folder, read_strength(folder)


def _unfinished(runs: Path, key: str) -> Path | None:
    """The folder of an interrupted run of the same training."""
    for plan in sorted(runs.glob(f"*-prefer*/{_PLAN}"), reverse=True):
        try:
            if json.loads(plan.read_text("utf-8"))["key"] == key and not (plan.parent / "metrics.json").exists():
                return plan.parent
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return None


def _register(catalog: Catalog, run: Path, adapters: Path, manifest: dict[str, Any]) -> tuple[dict[str, Any], Path]:
    trained = run / "adapter"
    digest = file_hash(trained / "adapter_model.safetensors")
    target = adapters / digest[:16]
    manifest = {"id": digest[:16], "sha256": digest, **manifest}
    with folder_atomically(target) as part:
        for name in ("adapter_model.safetensors", "adapter_config.json"):
            shutil.copy2(trained / name, part / name)
        write_json(part / "manifest.json", manifest)
    catalog.add_artefact(KIND, digest[:16], manifest, activate=manifest["passed"])
    write_json(run / "metrics.json", manifest)
    for leftover in (*run.glob("checkpoint-*"), run / "start", trained):
        shutil.rmtree(leftover, ignore_errors=True)
    return manifest, target
