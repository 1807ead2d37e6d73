"""The embedder tuned on the workspace's pairs: contrastive with hard negatives, held back by its old weights.

The loop is sentence-transformers' trainer; what is ours is the training set, the dev pool that stops it, and the
blend of old and new weights. Knows nothing of indexes: the caller builds one with the new embedder, compares
(``tuning.ranking``), and switches.
"""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fieldguide import __version__
from fieldguide.models.sentence_transformer import SentenceTransformerEmbedder, bfloat16_on_cpu
from fieldguide.models.weights import safetensors_hash
from fieldguide.types import Chunk, Progress, content_hash
from tuning.mining import Mined, Mining, left_out, require_trainable
from tuning.ranking import MAIN, compare_retrievers, figures
from tuning.tuned_model import TunedModel, run_trainer, trained_before, without_bars, write_model

Weights = Mapping[str, Any]
"""A model's state dict."""


@dataclass(frozen=True, slots=True)
class RetrieverTuning:
    """How to train. ``blends`` are the shares of the new weights that are tried on the dev pool, the rest being old:
    WiSE-FT (Wortsman et al. 2021, arXiv 2109.01903). ``distil`` weighs the divergence from the teacher's scores."""

    learning_rate: float = 2e-5
    epochs: int = 3
    batch_size: int = 32
    mini_batch: int = 0
    """0: the whole batch is in memory at once; else so many texts at a time (GradCache, arXiv 2101.06983)."""
    max_tokens: int = 0
    """Texts are cut there while training; 0: the model's own window. Half the length takes less than half the time."""
    scale: float = 20.0
    distil: float = 1.0
    teacher_temperature: float = 0.5
    """In nats of mean log-likelihood; what the softmax over a question's passages is sharpened by."""
    patience: int = 1
    """Epochs without a better dev figure after which training ends."""
    blends: tuple[float, ...] = (0.25, 0.5, 0.75, 1.0)
    pool: int = 1000
    """Random passages among which the dev questions must find theirs, beside all gold and mined ones."""
    minutes: float = 0.0
    seed: int = 0

    def steps(self, rows: int) -> int:
        """Of the optimiser, over so many rows in all epochs."""
        return -(-rows // self.batch_size) * self.epochs


@dataclass(frozen=True)
class Pool:
    """Questions, each with the places of its gold texts, and the texts among which they are to be found."""

    questions: tuple[str, ...]
    gold: tuple[frozenset[int], ...]
    texts: tuple[str, ...]
    documents: tuple[str, ...]

    def ranked(self, embed: Callable[[Sequence[str]], Any]) -> list[list[str]]:
        """The places of each question's ten best texts, as strings, best first."""
        if not self.questions:
            return []
        scores = np.asarray(embed(self.questions)) @ np.asarray(embed(self.texts)).T
        return [[str(n) for n in row] for row in np.argsort(-scores, axis=1, kind="stable")[:, :10]]

    @property
    def wanted(self) -> list[set[str]]:
        return [{str(n) for n in places} for places in self.gold]


def dev_pool(dev: Sequence[Mined], chunks: Sequence[Chunk], size: int, seed: int) -> Pool:
    """The dev questions among their gold and mined chunks and ``size`` others, drawn by seed."""
    known = {chunk.id: chunk for chunk in chunks}
    ids = {name for item in dev for name in item.gold} | {chunk.id for item in dev for chunk in item.negatives}
    others = sorted(known.keys() - ids)
    order = sorted(ids) + random.Random(seed).sample(others, min(size, len(others)))
    place = {name: n for n, name in enumerate(order)}
    return Pool(
        tuple(item.pair.question for item in dev),
        tuple(frozenset(place[name] for name in item.gold) for item in dev),
        tuple(known[name].indexed_text for name in order),
        tuple(item.pair.document for item in dev),
    )


def tune_retriever(
    train: Mining,
    dev: Mining,
    chunks: Sequence[Chunk],
    base: Path,
    folder: Path,
    settings: RetrieverTuning,
    progress: Progress,
    *,
    teacher: Sequence[Sequence[float]] | None = None,
    stopped: Callable[[], bool] = lambda: False,
) -> TunedModel:
    """Train the embedder in ``base`` and write it to ``folder``/<first 16 digits of its weights' SHA-256>.

    ``teacher`` are scores of the positive and the negatives of each trainable item, see ``tuning.distillation``. The
    state after the epoch, and the blend with the old weights, that rank the dev questions' passages best are kept;
    without dev questions the last epoch and the smallest blend. The manifest's "dev" figures are those that it was
    chosen on, and flatter it: the comparison before a switch wants other questions. Nothing is written before the end:
    a stopped run starts again, and a set that was trained on before is not trained on twice.

    Raises NotReady without anything to train on, ModelError if ``base`` cannot be loaded, KeyboardInterrupt when
    ``stopped``.
    """
    require_trainable(train)
    key = content_hash(safetensors_hash(base), train.hash, dev.hash, repr(teacher), repr(asdict(settings)))
    done = trained_before(folder, key)
    if done is not None:
        return done
    started = time.perf_counter()
    model = SentenceTransformerEmbedder(base, name="base", dtype="float32").model
    old = _state(model)
    pool = dev_pool(dev.items, chunks, settings.pool, settings.seed)
    embed = encoder(model)
    progress.start("ranking the dev questions", 1)
    before = pool.ranked(embed)
    progress.advance()
    best, epoch, after, scores = _best_epoch(model, train.trainable, teacher, settings, progress, stopped, pool, embed)
    chosen, blend, ranked = old, 0.0, before
    tried: dict[str, float] = {}
    if pool.questions:
        progress.start("blending old and new weights", len(settings.blends))
        for share in settings.blends:
            model.load_state_dict(blended(old, best, share))
            found = pool.ranked(embed) if share < 1 else after
            tried[f"{share:g}"] = _main(found, pool)
            if blend == 0 or tried[f"{share:g}"] > _main(ranked, pool):
                chosen, blend, ranked = blended(old, best, share), share, found
            progress.advance(note=f"{share:g}: {tried[f'{share:g}']:.3f}")
    else:
        blend = min(settings.blends)
        chosen = blended(old, best, blend)
    compared = compare_retrievers(before, ranked, pool.wanted, groups=pool.documents) if pool.questions else None
    model.load_state_dict(chosen)
    manifest: dict[str, Any] = {
        "key": key, "base": safetensors_hash(base), "training_set": train.hash, "pairs": len(train.trainable),
        "documents": train.documents,
        "left_out": left_out(train), "dev_set": dev.hash, "dev_pairs": len(dev.items),
        "distilled": teacher is not None, "settings": asdict(settings), "epoch": epoch, "dev_by_epoch": scores,
        "blend": blend, "dev_by_blend": tried, "dev": compared, "seconds": round(time.perf_counter() - started, 1),
        "version": __version__, "created": time.strftime("%Y-%m-%dT%H:%M:%S"),
    }  # fmt: skip
    return write_model(model, folder, manifest, compared is None or bool(compared["switch"]))


def _best_epoch(
    model: Any,
    items: Sequence[Mined],
    teacher: Sequence[Sequence[float]] | None,
    settings: RetrieverTuning,
    progress: Progress,
    stopped: Callable[[], bool],
    pool: Pool,
    embed: Callable[[Sequence[str]], Any],
) -> tuple[Weights, int, list[list[str]], list[float]]:
    """Weights after the epoch that ranks the pool best (without questions: the last), its number and its ranking, and
    every epoch's figure."""
    best: list[tuple[Weights, int, list[list[str]]]] = []
    scores: list[float] = []

    def after_epoch() -> bool:
        ranked = pool.ranked(embed)
        scores.append(_main(ranked, pool) if ranked else float(len(scores)))
        if scores[-1] > max(scores[:-1], default=-1.0):
            best[:] = [(_state(model), len(scores), ranked)]
        return len(scores) - best[0][1] >= settings.patience

    train_embedder(model, items, teacher, settings, progress, stopped, after_epoch)
    return *best[0], scores if pool.questions else []


def train_embedder(
    model: Any,
    items: Sequence[Mined],
    teacher: Sequence[Sequence[float]] | None,
    settings: RetrieverTuning,
    progress: Progress,
    stopped: Callable[[], bool],
    after_epoch: Callable[[], bool],
) -> None:
    """Train ``model`` (a SentenceTransformer) in place; ``after_epoch`` says whether it is enough.

    Raises KeyboardInterrupt when ``stopped``, asked after each step.
    """
    import torch
    from datasets import Dataset
    from sentence_transformers import SentenceTransformerTrainer, SentenceTransformerTrainingArguments
    from sentence_transformers.base.training_args import BatchSamplers

    gpu = torch.cuda.is_available()
    rows = training_rows(items, teacher)
    window = model.max_seq_length
    model.model_card_data.widget = [{}]  # else examples are drawn, with a bar, for a card that is not written
    with tempfile.TemporaryDirectory() as scratch, without_bars():
        arguments = SentenceTransformerTrainingArguments(
            output_dir=scratch, num_train_epochs=settings.epochs, per_device_train_batch_size=settings.batch_size,
            learning_rate=settings.learning_rate, lr_scheduler_type="linear", warmup_steps=0.1, use_cpu=not gpu,
            bf16=gpu or bfloat16_on_cpu(), batch_sampler=BatchSamplers.NO_DUPLICATES, save_strategy="no", report_to=[],
            disable_tqdm=True, logging_steps=1, seed=settings.seed, data_seed=settings.seed,
            dataloader_pin_memory=gpu,
        )  # fmt: skip
        trainer = SentenceTransformerTrainer(
            model=model, args=arguments, train_dataset=Dataset.from_list(rows), loss=_loss(model, settings, teacher)
        )
        limits = [limit for limit in (settings.max_tokens, window) if limit]
        short = min(limits, default=None)
        model.max_seq_length = short

        def after_epoch_whole() -> bool:
            model.max_seq_length = window
            enough = after_epoch()
            model.max_seq_length = short
            return enough

        try:
            run_trainer(
                trainer,
                "training the embedder",
                settings.steps(len(rows)),
                progress,
                stopped,
                after_epoch_whole,
                settings.minutes,
            )
        finally:
            model.max_seq_length = window


def training_rows(items: Sequence[Mined], teacher: Sequence[Sequence[float]] | None) -> list[dict[str, Any]]:
    """Columns anchor, positive, negative_1, ... (and label, the teacher's scores); as many negatives as every item
    has at most, an item with fewer repeating its own."""
    most = max(len(item.negatives) for item in items)
    rows: list[dict[str, Any]] = []
    scores = teacher if teacher is not None else [()] * len(items)
    for item, given in zip(items, scores, strict=True):
        places = [n % len(item.negatives) for n in range(most)]
        row: dict[str, Any] = {"anchor": item.pair.question, "positive": item.positive.indexed_text}
        row |= {f"negative_{n}": item.negatives[at].indexed_text for n, at in enumerate(places, 1)}
        if teacher is not None:
            row["label"] = [max(float(value), -100.0) for value in (given[0], *(given[1 + at] for at in places))]
        rows.append(row)
    return rows


def _loss(model: Any, settings: RetrieverTuning, teacher: object) -> Any:
    from sentence_transformers.sentence_transformer import losses

    if teacher is not None:
        return _distilling(model, settings)
    if settings.mini_batch:
        return losses.CachedMultipleNegativesRankingLoss(
            model, scale=settings.scale, mini_batch_size=settings.mini_batch
        )
    return losses.MultipleNegativesRankingLoss(model, scale=settings.scale)


def _distilling(model: Any, settings: RetrieverTuning) -> Any:
    """Contrastive loss plus ``distil`` times the divergence from the teacher, over the same vectors (LLM-Embedder)."""
    import torch
    from sentence_transformers.base.losses.merged_forward import embed_columns
    from sentence_transformers.sentence_transformer import losses
    from sentence_transformers.util import pairwise_cos_sim

    class Distilling(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model
            self.contrast = losses.MultipleNegativesRankingLoss(model, scale=settings.scale)
            self.divergence = losses.DistillKLDivLoss(
                model,
                similarity_fct=lambda a, b: settings.scale * pairwise_cos_sim(a, b),
                teacher_temperature=settings.teacher_temperature,
            )

        def forward(self, features: Any, labels: Any) -> Any:
            vectors = embed_columns(self.model, features)
            contrast = self.contrast.compute_loss_from_embeddings(vectors, labels)
            return contrast + settings.distil * self.divergence.compute_loss_from_embeddings(vectors, labels)

    return Distilling()


def encoder(model: Any) -> Callable[[Sequence[str]], Any]:
    """Unit vectors by a SentenceTransformer as it is at the time of the call, in the precision it is trained in."""
    import torch

    def embed(texts: Sequence[str]) -> Any:
        fast = torch.autocast(model.device.type, torch.bfloat16, enabled=bfloat16_on_cpu() or torch.cuda.is_available())
        with fast:
            vectors = model.encode(list(texts), batch_size=32, show_progress_bar=False, convert_to_tensor=True)
        return torch.nn.functional.normalize(vectors.float(), dim=1).cpu().numpy()

    return embed


def blended(old: Weights, new: Weights, share: float) -> dict[str, Any]:
    """``share`` of the new weights and the rest of the old ones; what is no floating-point number is the new one's."""
    return {
        name: ((1 - share) * old[name] + share * value if value.is_floating_point() else value.clone())
        for name, value in new.items()
    }


def _state(model: Any) -> dict[str, Any]:
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


def _main(ranked: Sequence[Sequence[str]], pool: Pool) -> float:
    return float(figures(ranked, pool.wanted)[MAIN].mean())
