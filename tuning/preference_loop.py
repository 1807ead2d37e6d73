"""Direct preference optimisation (Rafailov et al. 2023, arXiv 2305.18290) of an adapter, by trl's DPOTrainer.

Knows token ids and a start adapter, not questions or documents.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fieldguide.errors import ModelError
from fieldguide.files import write_json
from fieldguide.settings import Tuning
from fieldguide.types import Progress
from tuning.preference_pairs import PreferenceIds


@dataclass(frozen=True, slots=True)
class PreferenceTuning:
    """``beta`` holds the adapter to its start (higher: closer). ``answer_weight`` is the weight of the chosen answers'
    own loss, without which both answers' likelihoods tend to fall (Pang et al. 2024, arXiv 2404.19733)."""

    beta: float = 0.1
    learning_rate: float = 5e-5
    epochs: float = 3.0
    batch_size: int = 2
    answer_weight: float = 1.0
    held_out: float = 0.2
    save_steps: int = 10
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Likelihoods:
    """Log-likelihoods of both answers of some pairs, in the pairs' order: sums over the answers' tokens."""

    chosen: list[float]
    rejected: list[float]


@dataclass(frozen=True, slots=True)
class PreferenceResult:
    """Losses by step, and the held-out pairs' likelihoods before and after."""

    losses: list[float]
    before: Likelihoods
    after: Likelihoods
    steps: int


def optimise(
    base: Any,
    tokenizer: Any,
    train: Sequence[PreferenceIds],
    held_out: Sequence[PreferenceIds],
    start: Path | None,
    strength: float,
    tuning: Tuning,
    settings: PreferenceTuning,
    run: Path,
    progress: Progress,
    stopped: Callable[[], bool],
) -> PreferenceResult:
    """Train from the adapter in ``start`` (None: a new one by ``tuning``) at ``strength``; leave the result in
    ``run``/adapter, which serves at strength 1, and the base as it was. Goes on from the run's checkpoints.

    The reference is the adapter as it was at the start, or the base where there was none.
    Raises KeyboardInterrupt when stopped (after a checkpoint).
    """
    from tuning.loop import latest_checkpoint
    from tuning.loss import training_copy

    model, ours = training_copy(base)
    kept = {name: value for name, value in vars(base).items() if name == "forward"}
    caching = base.config.use_cache
    wrapped = _wrapped(model, start, strength, tuning, run)
    try:
        steps = max(1, math.ceil(len(train) * settings.epochs / settings.batch_size))
        progress.start("likelihoods before", len(train) + len(held_out))
        before = likelihoods(wrapped, held_out, progress)
        reference = likelihoods(wrapped, train, progress)
        trainer = _trainer(wrapped, tokenizer, train, settings, run, steps, reference, progress, stopped)
        checkpoint = latest_checkpoint(run)
        done = int(checkpoint.name.rsplit("-", 1)[1]) if checkpoint is not None else 0
        progress.start("preference tuning", steps, done=done)
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint is not None else None)
        if trainer.state.global_step < steps:
            raise KeyboardInterrupt
        progress.start("likelihoods after", len(held_out))
        after = likelihoods(trainer.model, held_out, progress)
        trainer.model.save_pretrained(str(run / "adapter"), selected_adapters=["default"], safe_serialization=True)
        losses = [float(entry["loss"]) for entry in trainer.state.log_history if "loss" in entry]
        return PreferenceResult(losses, before, after, trainer.state.global_step)
    finally:
        if not ours:
            wrapped.unload()
            base.config.use_cache = caching
            vars(base).pop("forward", None)
            vars(base).update(kept)


def likelihoods(model: Any, pairs: Sequence[PreferenceIds], progress: Progress) -> Likelihoods:
    """Log-likelihoods of the answers after their prompts, with whatever adapter is on."""
    import torch

    device = next(model.parameters()).device
    sums: list[list[float]] = [[], []]
    model.eval()
    for pair in pairs:
        for out, answer in zip(sums, (pair.chosen_ids, pair.rejected_ids), strict=True):
            ids = torch.tensor([pair.prompt_ids + answer], device=device)
            with torch.no_grad():
                logits = model(input_ids=ids, logits_to_keep=len(answer) + 1).logits[0, :-1].float()
            picked = logits.log_softmax(-1).gather(1, ids[0, -len(answer) :, None])
            out.append(float(picked.sum()))
        progress.advance()
    return Likelihoods(*sums)


def _wrapped(model: Any, start: Path | None, strength: float, tuning: Tuning, run: Path) -> Any:
    """The model with the adapter to train as "default"."""
    from peft import PeftModel, get_peft_model

    from tuning.methods import lora_config

    if start is None:
        import torch

        torch.manual_seed(tuning.seed)
        return get_peft_model(model, lora_config(tuning.model_copy(update={"method": "lora"}), model))
    return PeftModel.from_pretrained(model, str(_at_strength(start, strength, run)), is_trainable=True)


def _at_strength(start: Path, strength: float, run: Path) -> Path:
    """A folder with the adapter whose full strength is ``strength`` of the one in ``start``. Raises ModelError for
    DoRA, whose magnitudes do not scale."""
    if strength == 1.0:
        return start
    config = json.loads((start / "adapter_config.json").read_text("utf-8"))
    if config.get("use_dora"):
        raise ModelError(
            f"The adapter in {start} is DoRA served at strength {strength:g}, which cannot be trained on: activate one "
            "of strength 1, or start from the base."
        )
    config["lora_alpha"] *= strength
    config["alpha_pattern"] = {name: value * strength for name, value in (config.get("alpha_pattern") or {}).items()}
    folder = run / "start"
    folder.mkdir(exist_ok=True)
    write_json(folder / "adapter_config.json", config)
    (folder / "adapter_model.safetensors").write_bytes((start / "adapter_model.safetensors").read_bytes())
    return folder


def _trainer(
    model: Any,
    tokenizer: Any,
    train: Sequence[PreferenceIds],
    settings: PreferenceTuning,
    run: Path,
    steps: int,
    reference: Likelihoods,
    progress: Progress,
    stopped: Callable[[], bool],
) -> Any:
    import torch
    from datasets import Dataset
    from transformers import TrainerCallback
    from transformers.trainer_callback import PrinterCallback
    from trl.trainer.dpo_config import DPOConfig
    from trl.trainer.dpo_trainer import DPOTrainer

    class IdsTrainer(DPOTrainer):  # type: ignore[misc]
        """Takes our token ids: trl's own would render the chat template, in which control tokens of a document are
        control tokens."""

        def _prepare_dataset(self, dataset: Any, *args: Any, **kwargs: Any) -> Any:
            return dataset

        def _precompute_ref_logps(self, dataset: Any, *args: Any, **kwargs: Any) -> Any:
            chosen, rejected = list(reference.chosen), list(reference.rejected)
            return dataset.add_column("ref_chosen_logps", chosen).add_column("ref_rejected_logps", rejected)

        def create_model_card(self, *args: Any, **kwargs: Any) -> None:
            return None

    class Report(TrainerCallback):  # type: ignore[misc]
        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
            if logs and "loss" in logs:
                progress.advance(note=f"loss {float(logs['loss']):.3f}")

        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
            if stopped():
                control.should_save = control.should_training_stop = True
            return control

    gpu = torch.cuda.is_available()
    weights = {"sigmoid": 1.0} | ({"sft": settings.answer_weight} if settings.answer_weight else {})
    together = settings.batch_size if gpu else 1  # on a CPU one pair at a time: hardly anything is padded
    arguments = DPOConfig(
        output_dir=str(run), max_steps=steps, per_device_train_batch_size=together,
        gradient_accumulation_steps=settings.batch_size // together, learning_rate=settings.learning_rate,
        lr_scheduler_type="cosine", warmup_steps=0.1, weight_decay=0.0, seed=settings.seed, data_seed=settings.seed,
        use_cpu=not gpu, bf16=gpu, gradient_checkpointing=gpu, max_length=None, beta=settings.beta,
        loss_type=list(weights), loss_weights=list(weights.values()), precompute_ref_log_probs=True,
        remove_unused_columns=False, logging_steps=1, save_strategy="steps", save_steps=settings.save_steps,
        save_total_limit=2, report_to=[], disable_tqdm=True, dataloader_pin_memory=gpu,
    )  # fmt: skip
    rows = [{name: value for name, value in asdict(pair).items() if name != "question"} for pair in train]
    trainer = IdsTrainer(model=model, args=arguments, train_dataset=Dataset.from_list(rows), processing_class=tokenizer)
    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(Report())
    return trainer
