"""A cross-encoder tuned on the workspace's pairs: question and passage read together, one score.

It starts from any encoder's weights, the bundled embedder's included: the head is new. What it learns from few pairs is
less than what the channels know, so its score is joined with theirs, with the weight that ranks the dev questions best.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from fieldguide import __version__
from fieldguide.errors import ModelError
from fieldguide.models.sentence_transformer import bfloat16_on_cpu
from fieldguide.models.weights import pick_device, quiet, safetensors_hash
from fieldguide.types import Progress, ScoredChunk, content_hash
from retrieval.rescore import to_unit
from tuning.mining import Mining, left_out, require_trainable
from tuning.ranking import MAIN, compare_retrievers, figures
from tuning.tuned_model import TunedModel, run_trainer, trained_before, without_bars, write_model


@dataclass(frozen=True, slots=True)
class RerankerTuning:
    """How to train. ``weights`` are the shares of the new score that are tried on the dev questions."""

    loss: Literal["bce", "lambda"] = "bce"
    learning_rate: float = 5e-5
    epochs: int = 2
    batch_size: int = 16
    """Question-passage pairs in a step for "bce", questions for "lambda"."""
    max_tokens: int = 256
    patience: int = 1
    weights: tuple[float, ...] = (0.1, 0.2, 0.3, 0.5, 0.7, 1.0)
    minutes: float = 0.0
    seed: int = 0

    def steps(self, rows: int) -> int:
        """Of the optimiser, over so many rows in all epochs."""
        return -(-rows // self.batch_size) * self.epochs


@dataclass(frozen=True, slots=True)
class Ranked:
    """A question with the candidates that retrieval gives it, best first, and the ids of those that answer it."""

    question: str
    candidates: tuple[ScoredChunk, ...]
    gold: frozenset[str]
    document: str


def tune_reranker(
    train: Mining,
    dev: Sequence[Ranked],
    base: Path,
    folder: Path,
    settings: RerankerTuning,
    progress: Progress,
    *,
    stopped: Callable[[], bool] = lambda: False,
) -> TunedModel:
    """Train a cross-encoder from the encoder in ``base`` and write it to ``folder``/<id>, see ``tune_retriever``.

    ``dev`` are questions whose candidates were retrieved without this reranker. The weight of its score against theirs
    that ranks them best is "weight" in the manifest, which ``retrieval.cross_encoder`` reads; without dev questions it
    is the smallest. ``better`` is whether the joined order is at least as good as the candidates' own.

    Raises NotReady without anything to train on, ModelError if ``base`` cannot be loaded, KeyboardInterrupt when
    ``stopped``.
    """
    require_trainable(train)
    dev_hash = content_hash(*(part for item in dev for part in (item.question, *(h.chunk.id for h in item.candidates))))
    key = content_hash(safetensors_hash(base), train.hash, dev_hash, repr(asdict(settings)))
    done = trained_before(folder, key)
    if done is not None:
        return done
    started = time.perf_counter()
    model = load_base(base, settings.max_tokens)
    best: dict[str, Any] = {}
    history: list[dict[str, float]] = []

    def after_epoch() -> bool:
        outputs = score(model, dev, progress)
        tried = {f"{weight:g}": _main(joined(dev, outputs, weight), dev) for weight in settings.weights} if dev else {}
        history.append(tried)
        value = max(tried.values(), default=float(len(history)))
        if value > best.get("value", -1.0):
            weight = max(settings.weights, key=lambda w: (tried[f"{w:g}"], -w)) if dev else min(settings.weights)
            state = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
            best.update(value=value, epoch=len(history), weight=weight, outputs=outputs, state=state)
        return len(history) - int(best["epoch"]) >= settings.patience

    train_cross_encoder(model, train, settings, progress, stopped, after_epoch)
    model.load_state_dict(best["state"])
    before = [[held.chunk.id for held in item.candidates] for item in dev]
    compared = None
    if dev:
        after = joined(dev, best["outputs"], best["weight"])
        gold, documents = [item.gold for item in dev], [item.document for item in dev]
        compared = compare_retrievers(before, after, gold, groups=documents)
    manifest: dict[str, Any] = {
        "key": key, "base": safetensors_hash(base), "training_set": train.hash, "pairs": len(train.trainable),
        "documents": train.documents,
        "left_out": left_out(train), "dev_questions": len(dev), "settings": asdict(settings),
        "epoch": best["epoch"], "weight": best["weight"], "dev_by_epoch_and_weight": history, "dev": compared,
        "seconds": round(time.perf_counter() - started, 1), "version": __version__,
        "created": time.strftime("%Y-%m-%dT%H:%M:%S"),
    }  # fmt: skip
    return write_model(model, folder, manifest, compared is None or bool(compared["switch"]))


def load_base(base: Path, max_tokens: int) -> Any:
    """A CrossEncoder with a new head on the encoder in ``base``. Raises ModelError if it cannot be loaded."""
    from sentence_transformers import CrossEncoder

    try:
        with quiet():
            return CrossEncoder(
                str(base), num_labels=1, max_length=max_tokens, device=pick_device("auto"), trust_remote_code=False,
                local_files_only=True, model_kwargs={"use_safetensors": True, "dtype": "float32"},
            )  # fmt: skip
    except Exception as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ModelError(f"No cross-encoder can be made of the model at {base}: {reason}") from error


def train_cross_encoder(
    model: Any,
    train: Mining,
    settings: RerankerTuning,
    progress: Progress,
    stopped: Callable[[], bool],
    after_epoch: Callable[[], bool],
) -> None:
    """Train ``model`` in place; ``after_epoch`` says whether it is enough."""
    import torch
    from datasets import Dataset
    from sentence_transformers import CrossEncoderTrainer, CrossEncoderTrainingArguments
    from sentence_transformers.cross_encoder import losses

    rows: list[dict[str, Any]] = []
    for item in train.trainable:
        texts = [item.positive.indexed_text, *(chunk.indexed_text for chunk in item.negatives)]
        labels = [1.0] + [0.0] * len(item.negatives)
        if settings.loss == "lambda":
            rows.append({"query": item.pair.question, "docs": texts, "labels": labels})
        else:
            rows += [{"query": item.pair.question, "passage": t, "label": n} for t, n in zip(texts, labels)]
    if settings.loss == "lambda":
        loss: Any = losses.LambdaLoss(model)
    else:
        share = sum(row["label"] for row in rows) / len(rows)
        loss = losses.BinaryCrossEntropyLoss(model, pos_weight=torch.tensor((1 - share) / share))
    gpu = torch.cuda.is_available()
    model.model_card_data.widget = [{}]  # else examples are drawn, with a bar, for a card that is not written
    with tempfile.TemporaryDirectory() as scratch, without_bars():
        arguments = CrossEncoderTrainingArguments(
            output_dir=scratch, num_train_epochs=settings.epochs, per_device_train_batch_size=settings.batch_size,
            learning_rate=settings.learning_rate, lr_scheduler_type="linear", warmup_steps=0.1, use_cpu=not gpu,
            bf16=gpu or bfloat16_on_cpu(), save_strategy="no", report_to=[], disable_tqdm=True, logging_steps=1,
            seed=settings.seed, data_seed=settings.seed, dataloader_pin_memory=gpu,
        )  # fmt: skip
        trainer = CrossEncoderTrainer(model=model, args=arguments, train_dataset=Dataset.from_list(rows), loss=loss)
        run_trainer(
            trainer,
            "training the reranker",
            settings.steps(len(rows)),
            progress,
            stopped,
            after_epoch,
            settings.minutes,
        )


def score(model: Any, items: Sequence[Ranked], progress: Progress) -> list[list[float]]:
    """The model's raw output for each candidate of each question."""
    import torch

    progress.start("scoring the dev questions", len(items))
    found = []
    for item in items:  # in float32, as it will serve: bfloat16 makes close candidates equal
        pairs = [(item.question, held.chunk.indexed_text) for held in item.candidates]
        outputs = model.predict(pairs, show_progress_bar=False, activation_fn=torch.nn.Identity()) if pairs else []
        found.append([float(value) for value in outputs])
        progress.advance()
    return found


def joined(items: Sequence[Ranked], outputs: Sequence[Sequence[float]], weight: float) -> list[list[str]]:
    """Ids of each question's candidates by weight · output + (1 − weight) · retrieval's score, both from 0 to 1 over
    the question's candidates, as ``retrieval.cross_encoder`` joins them; equal ones as they stood before."""
    ranked = []
    for item, values in zip(items, outputs, strict=True):
        if weight == 1:
            total = np.asarray(values, dtype=np.float64)
        else:
            total = weight * to_unit(values) + (1 - weight) * to_unit([held.score for held in item.candidates])
        order = np.argsort(-total, kind="stable")
        ranked.append([item.candidates[n].chunk.id for n in order])
    return ranked


def _main(ranked: Sequence[Sequence[str]], items: Sequence[Ranked]) -> float:
    return float(figures(ranked, [item.gold for item in items])[MAIN].mean())
