"""`fieldguide tune --retriever` and `--reranker` on an opened session: train, compare old and new, and switch."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table

from fieldguide.cli.session import Session
from fieldguide.cli.verbs import interruptible
from fieldguide.errors import NotReady, SettingsError

if TYPE_CHECKING:
    from fieldguide.models.base import Embedder
    from fieldguide.types import Chunk, Retriever
    from retrieval.build import IndexVersion
    from retrieval.retriever import HybridRetriever
    from tuning.mining import Mining
    from tuning.tuned_model import TunedModel

_SHOWN = ("recall@1", "recall@5", "mrr@10", "ndcg@10")
_DEPTH = 10  # passages that old and new are compared on


def tune_retriever(s: Session, *, minutes: float, distil: bool) -> dict[str, Any]:
    """Tune the embedder on the pairs, index with it beside the old one, and switch if the dev questions say so."""
    from tuning.distillation import teacher_scores
    from tuning.ranking import compare_retrievers
    from tuning.retriever_tuning import RetrieverTuning
    from tuning.retriever_tuning import tune_retriever as run

    name = s.settings.models.embedder
    if not s.settings.models.tuned:
        raise SettingsError(
            "models.tuned is false in the settings, so a tuned embedder would not be used: set it to true first."
        )
    base = _weights(s)
    old, before = s.retriever(reading=False), s.tuned_embedder
    chunks = s.catalog.chunks()
    # always from what the untuned embedder finds, so that the same pairs give the same training
    train, dev = _mined(s, old if before is None else _over(s, s.base_embedder)[0], chunks, s.base_embedder)
    settings = RetrieverTuning(minutes=minutes)
    label, held_out = "training the embedder", bool(dev.items)
    work = {
        label: (_within(s, label, settings.steps(len(train.trainable)), 0.05, minutes), 0.05),
        "ranking the dev questions": (int(held_out), 0.1),
        "blending old and new weights": (len(settings.blends) * held_out, 0.15),
        "likelihood of the answers": (3 * len(train.trainable) * distil, 1.0),
        "embedding": (len(chunks), 60.0),
    }
    s.announce(f"{len(train.trainable)} pairs with hard negatives", work, 250)
    teacher = teacher_scores(s.trainable, train.trainable, s.progress) if distil else None
    with interruptible(s) as stopped:
        tuned = run(
            train, dev, chunks, base, s.workspace.retrievers_folder, settings, s.progress, teacher=teacher,
            stopped=stopped,
        )  # fmt: skip
    _say_trained(s, "Embedder", tuned)
    told = {"embedder": tuned.id, "folder": str(tuned.folder), "trained": tuned.trained, "manifest": tuned.manifest}
    if before is not None and before.id == tuned.id:
        s.say("It is in use.")
        return told | {"active": True, "comparison": before.manifest["comparison"]}
    comparison, better, version = None, tuned.better, None
    if better:
        new, version = _over(s, s.load_embedder(str(tuned.folder)))
        asked = [item.pair.question for item in dev.items]
        if asked:
            comparison = compare_retrievers(
                _ids(old, asked), _ids(new, asked), [item.gold for item in dev.items],
                groups=[item.pair.document for item in dev.items],
            )  # fmt: skip
            _show(s, "Whole retrieval with the old and the new embedder", comparison)
            better = bool(comparison["switch"])
    manifest = {**tuned.manifest, "base": name, "base_id": s.base_embedder.id, "comparison": comparison}
    s.catalog.add_artefact("embedder", tuned.id, manifest, activate=False)
    if better and version is not None:
        s.catalog.activate([("embedder", tuned.id), ("index", version.artefact)])
        s.say(f"It is in use, with its own index {version.id}.")
        s.say("To go back: models.tuned = false in the settings, then `fieldguide index`.")
    elif version is not None:
        s.say("It is NOT in use: whole retrieval finds less with it on the held-out questions.")
    else:
        s.say("It is NOT in use: on the held-out questions it ranks the passages worse than the one it came from.")
    _tidy(s, tuned)
    return told | {"active": better, "comparison": comparison}


def tune_reranker(s: Session, *, minutes: float) -> dict[str, Any]:
    """Tune a cross-encoder on the pairs, and put it among the reranking steps if the dev questions say so."""
    from fieldguide.settings_file import change_settings
    from fieldguide.workspace import SETTINGS_FILE
    from tuning.reranker_tuning import Ranked, RerankerTuning
    from tuning.reranker_tuning import tune_reranker as run

    settings, training = s.settings.retrieval, RerankerTuning(minutes=minutes)
    base = _weights(s)
    others = tuple(step for step in settings.rerank if step != "cross-encoder")
    old = s.retriever(reading=False).using(settings.model_copy(update={"rerank": others}))
    train, dev = _mined(s, old, s.catalog.chunks(), s.embedder)
    rows, label = sum(1 + len(item.negatives) for item in train.trainable), "training the reranker"
    work = {
        label: (_within(s, label, training.steps(rows), 0.2, minutes), 0.2),
        "scoring the dev questions": (len(dev.items) * (1 if minutes else training.epochs), 2.0),
    }
    s.announce(f"{len(train.trainable)} pairs with hard negatives", work, 100)
    found = old.retrieve([item.pair.question for item in dev.items], settings.rerank_depth) if dev.items else []
    held_out = [
        Ranked(item.pair.question, tuple(candidates), item.gold, item.pair.document)
        for item, candidates in zip(dev.items, found, strict=True)
    ]
    with interruptible(s) as stopped:
        tuned = run(train, held_out, base, s.workspace.retrievers_folder, training, s.progress, stopped=stopped)
    _say_trained(s, "Cross-encoder", tuned)
    comparison = tuned.manifest["dev"]
    if comparison is not None:
        _show(s, "Whole retrieval without and with the cross-encoder", comparison)
    if tuned.better:
        s.catalog.add_artefact("cross-encoder", tuned.id, tuned.manifest, activate=True)
        steps = [*others, "cross-encoder"]
        named: dict[str, Any] = {"cross_encoder": ""} if settings.cross_encoder else {}
        change_settings(s.workspace.root / SETTINGS_FILE, {"retrieval": {"rerank": steps, **named}})
        s.say(f"It is in use: retrieval.rerank = {json.dumps(steps)} is in the settings now.")
    else:
        s.catalog.add_artefact("cross-encoder", tuned.id, tuned.manifest, activate=False)
        s.say("It is NOT in use: with it the held-out questions find less.")
    _tidy(s, tuned)
    return {
        "cross_encoder": tuned.id, "folder": str(tuned.folder), "trained": tuned.trained, "manifest": tuned.manifest,
        "active": tuned.better, "comparison": comparison,
    }  # fmt: skip


def _weights(s: Session) -> Path:
    """The folder of the embedder that training begins with. Raises what makes training impossible, before any work."""
    from fieldguide.models import find_embedder

    base = find_embedder(s.settings.models.embedder, folder=s.offline_folder, say=s.say)
    if not s.catalog.pairs("train"):
        raise NotReady("There are no question-answer pairs to train on; run `fieldguide qa` first.")
    return base


def _over(s: Session, embedder: Embedder) -> tuple[HybridRetriever, IndexVersion]:
    """Retrieval over an index by this embedder, made beside the one in use."""
    from ingest.pipeline import left_out
    from retrieval.build import build_index
    from retrieval.retriever import HybridRetriever

    settings, folder = s.settings, s.workspace.index_folder
    version = build_index(
        s.catalog, folder, settings.index, embedder, s.progress, questions="questions" in settings.retrieval.channels,
        left_out=left_out(s.catalog, settings), activate=False,
    )  # fmt: skip
    retriever = HybridRetriever.open(
        s.catalog, folder, embedder, settings.retrieval, tools=s.tools, artefact=version.artefact
    )
    return retriever, version


def _mined(
    s: Session, retriever: HybridRetriever, chunks: Sequence[Chunk], embedder: Embedder
) -> tuple[Mining, Mining]:
    """Train and dev pairs with what retrieval finds for them; what was left out is told. Raises NotReady where there
    is nothing to train on."""
    from tuning.mining import left_out, mine, require_trainable

    both = [mine(s.catalog.pairs(split), chunks, retriever, embedder) for split in ("train", "dev")]
    for split, mining in zip(("train", "dev"), both, strict=True):
        told = ", ".join(f"{n} {reason}" for reason, n in left_out(mining).items()) or "nothing"
        s.say(f"{split}: {len(mining.items)} questions, {len(mining.trainable)} with hard negatives. Left out: {told}.")
    require_trainable(both[0])
    return both[0], both[1]


def _within(s: Session, label: str, steps: int, guess: float, minutes: float) -> int:
    """So many of the steps as the minutes (0: no limit) are enough for, at the rate measured here or else guessed."""
    return min(steps, max(1, int(60 * minutes * (s.catalog.rate(label) or guess)))) if minutes else steps


def _tidy(s: Session, tuned: TunedModel) -> None:
    """Of what was tuned, what is in use and the last one stay on the disk."""
    from tuning.tuned_model import keep_only

    active = [s.catalog.active(kind) for kind in ("embedder", "cross-encoder")]
    keep_only(s.workspace.retrievers_folder, {tuned.id, *(found.id for found in active if found is not None)})


def _ids(retriever: Retriever, questions: Sequence[str]) -> list[list[str]]:
    return [[held.chunk.id for held in ranked] for ranked in retriever.retrieve(questions, _DEPTH)]


def _say_trained(s: Session, what: str, tuned: TunedModel) -> None:
    if tuned.trained:
        s.say(f"{what} {tuned.id}: {tuned.manifest['pairs']} pairs, {tuned.manifest['seconds']:.0f} s.")
    else:
        s.say(f"{what} {tuned.id} was tuned on exactly these pairs and settings before.")
    s.say(f"It lies in {tuned.folder}")


def _show(s: Session, title: str, comparison: Mapping[str, Any]) -> None:
    """Old, new, and the difference with its interval, in points of 100."""
    s.progress.finish()
    table = Table("", "old", "new", "difference", title=f"{title}, {comparison['questions']} held-out questions")
    for name in _SHOWN:
        row = comparison["figures"][name]
        low, high = 100 * row["low"], 100 * row["high"]
        difference = f"{100 * row['difference']:+.1f} ({low:+.1f} to {high:+.1f})"
        table.add_row(name, f"{100 * row['old']:.1f}", f"{100 * row['new']:.1f}", difference)
    s.console.print(table)
    if not comparison["clear"]:
        s.say("The difference in nDCG@10 is not clear of zero.")
    s.say("The same questions chose when training ended and how much it counts, so new ones may gain less.")
