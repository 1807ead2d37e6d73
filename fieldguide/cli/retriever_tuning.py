"""`fieldguide tune --retriever` and `--reranker` on an opened session: train, compare old and new, and switch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table

from fieldguide.cli.session import Session
from fieldguide.cli.verbs import interruptible

if TYPE_CHECKING:
    from fieldguide.types import Chunk, Retriever
    from tuning.mining import Mining
    from tuning.tuned_model import TunedModel

_SHOWN = ("recall@1", "recall@5", "mrr@10", "ndcg@10")
_DEPTH = 10  # passages that old and new are compared on


def tune_retriever(s: Session, *, minutes: float, distil: bool) -> dict[str, Any]:
    """Tune the embedder on the pairs, index with it beside the old one, and switch if the dev questions say so."""
    from fieldguide.models import find_embedder, load_embedder
    from retrieval.build import build_index
    from retrieval.retriever import HybridRetriever
    from tuning.distillation import teacher_scores
    from tuning.ranking import compare_retrievers
    from tuning.retriever_tuning import RetrieverTuning
    from tuning.retriever_tuning import tune_retriever as run

    models, name = s.settings.models, s.settings.models.embedder
    offline = Path(models.folder).expanduser() if models.folder else None
    base = find_embedder(name, folder=offline, say=s.say)
    chunks = s.catalog.chunks()
    old = s.retriever(reading=False)
    train, dev = _mined(s, old, chunks)
    s.announce(f"{len(train.trainable)} pairs with hard negatives", {"training": (3 * len(train.trainable), 8.0)}, 250)
    with interruptible(s) as stopped:
        teacher = teacher_scores(s.trainable, train.trainable, s.progress) if distil else None
        tuned = run(
            train, dev, chunks, base, s.workspace.retrievers_folder, RetrieverTuning(minutes=minutes), s.progress,
            teacher=teacher, stopped=stopped,
        )  # fmt: skip
    s.progress.finish()
    _say_trained(s, "Embedder", tuned)
    s.catalog.add_artefact("embedder", tuned.id, {**tuned.manifest, "base": name}, activate=False)
    result: dict[str, Any] = {"embedder": tuned.id, "folder": str(tuned.folder), "manifest": tuned.manifest}
    if not tuned.better:
        s.say("It is NOT in use: on the held-out questions it ranks the passages worse than the one before.")
        return result | {"active": False, "comparison": None}
    embedder = load_embedder(str(tuned.folder), dtype=models.dtype, device=models.device, say=s.say)
    questions = "questions" in s.settings.retrieval.channels
    version = build_index(
        s.catalog, s.workspace.index_folder, s.settings.index, embedder, s.progress,
        questions=questions, left_out=_left_out(s), activate=False,
    )  # fmt: skip
    new = HybridRetriever.open(
        s.catalog, s.workspace.index_folder, embedder, s.settings.retrieval, tools=s.tools, artefact=version.artefact
    )
    asked = [item.pair.question for item in dev.items]
    comparison = None
    if asked:
        comparison = compare_retrievers(
            _ids(old, asked), _ids(new, asked), [item.gold for item in dev.items],
            groups=[item.pair.document for item in dev.items],
        )  # fmt: skip
        _show(s, "Whole retrieval with the old and the new embedder", comparison)
    better = comparison is None or bool(comparison["switch"])
    if better:
        s.catalog.activate([("embedder", tuned.id), ("index", version.artefact)])
        s.say(f"It is in use, with its own index {version.id}. `models.tuned = false` in the settings goes back.")
    else:
        s.say("It is NOT in use: whole retrieval finds less with it on the held-out questions.")
    return result | {"active": better, "comparison": comparison}


def tune_reranker(s: Session, *, minutes: float) -> dict[str, Any]:
    """Tune a cross-encoder on the pairs, and put it among the reranking steps if the dev questions say so."""
    from fieldguide.models import find_embedder
    from fieldguide.settings_file import change_settings
    from fieldguide.workspace import SETTINGS_FILE
    from tuning.reranker_tuning import Ranked, RerankerTuning
    from tuning.reranker_tuning import tune_reranker as run

    settings, models = s.settings.retrieval, s.settings.models
    offline = Path(models.folder).expanduser() if models.folder else None
    base = find_embedder(models.embedder, folder=offline, say=s.say)
    others = tuple(step for step in settings.rerank if step != "cross-encoder")
    old = s.retriever(reading=False).using(settings.model_copy(update={"rerank": others}))
    train, dev = _mined(s, old, s.catalog.chunks())
    work = {"training": (2 * 3 * len(train.trainable), 8.0)}
    s.announce(f"{len(train.trainable)} pairs with hard negatives", work, 100)
    found = old.retrieve([item.pair.question for item in dev.items], settings.rerank_depth)
    held_out = [
        Ranked(item.pair.question, tuple(candidates), item.gold, item.pair.document)
        for item, candidates in zip(dev.items, found, strict=True)
    ]
    with interruptible(s) as stopped:
        tuned = run(
            train, held_out, base, s.workspace.retrievers_folder, RerankerTuning(minutes=minutes), s.progress,
            stopped=stopped,
        )  # fmt: skip
    s.progress.finish()
    _say_trained(s, "Cross-encoder", tuned)
    comparison = tuned.manifest["dev"]
    if comparison is not None:
        _show(s, "Whole retrieval without and with the cross-encoder", comparison)
    s.catalog.add_artefact("cross-encoder", tuned.id, tuned.manifest, activate=tuned.better)
    if tuned.better:
        steps = [*others, "cross-encoder"]
        change_settings(s.workspace.root / SETTINGS_FILE, {"retrieval": {"rerank": steps}})
        s.say(f"It is in use: retrieval.rerank = {steps} is in the settings now.")
    else:
        s.say("It is NOT in use: with it the held-out questions find less.")
    return {
        "cross_encoder": tuned.id, "folder": str(tuned.folder), "manifest": tuned.manifest, "active": tuned.better,
        "comparison": comparison,
    }  # fmt: skip


def _mined(s: Session, retriever: Retriever, chunks: Sequence[Chunk]) -> tuple[Mining, Mining]:
    """Train and dev pairs with what retrieval finds for them; what was left out is told."""
    from tuning.mining import left_out, mine

    both = [mine(s.catalog.pairs(split), chunks, retriever, s.embedder) for split in ("train", "dev")]
    for split, mining in zip(("train", "dev"), both, strict=True):
        told = ", ".join(f"{n} {reason}" for reason, n in left_out(mining).items()) or "nothing"
        s.say(f"{split}: {len(mining.items)} questions, {len(mining.trainable)} with hard negatives. Left out: {told}.")
    return both[0], both[1]


def _left_out(s: Session) -> Any:
    from ingest.pipeline import left_out

    return left_out(s.catalog, s.settings)


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
    table = Table("", "old", "new", "difference", title=f"{title}, {comparison['questions']} held-out questions")
    for name in _SHOWN:
        row = comparison["figures"][name]
        low, high = 100 * row["low"], 100 * row["high"]
        difference = f"{100 * row['difference']:+.1f} ({low:+.1f} to {high:+.1f})"
        table.add_row(name, f"{100 * row['old']:.1f}", f"{100 * row['new']:.1f}", difference)
    s.console.print(table)
    if not comparison["clear"]:
        s.say("The difference in nDCG@10 is not clear of zero.")
