"""`fieldguide qa` and what belongs to it, on an opened session: make pairs, have them judged, report, freeze."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console
from rich.table import Table

from fieldguide.cli.session import Session, print_json
from fieldguide.cli.shelving import TEST_SET, bring_up_to_date
from fieldguide.errors import FieldguideError, NotReady

if TYPE_CHECKING:
    from fieldguide.types import QAPair
    from ingest.qa.calls import Calls
    from ingest.qa.drafts import QuestionSource
    from ingest.qa.questions import QuestionsReport
    from retrieval.retriever import HybridRetriever

ADAPTER = Path(__file__).parents[1] / "models" / "question_adapter"
"""The question adapter that comes with the bundled generator."""
_JUDGED = 50


def make(s: Session, *, yes: bool = False) -> dict[str, Any]:
    """Make question-answer pairs from the chunks."""
    from ingest.qa.questions import make_pairs
    from ingest.qa.reader import Reader

    settings = s.settings.questions
    chunks = s.catalog.counts()["chunks"]
    names = source_names(s)
    asked = min(chunks, settings.model_chunks or chunks) if set(names) - {"rules"} else 0
    guesses = {"rules": 100.0, "adapter": 0.5, "model": 0.3}
    work = {f"questions ({name})": (chunks if name == "rules" else asked, guesses[name]) for name in names}
    s.announce(f"{chunks} chunks, {asked} of them for the model", work, 0.01 * chunks)
    retriever = _checker(s) if chunks else None
    judged = chunks > 0 and settings.confidence == "auto"  # of the rules' pairs as well
    calls = open_calls(s) if judged or set(names) - {"rules"} else None
    adapter = question_adapter(s) if calls is not None and _has_adapter(s) else None
    sources = [_source(s, name, calls, adapter) for name in names]
    if calls is not None and "model" in names:
        _agree(s, sources, yes)
    read = calls is not None and (settings.round_trip > 0 or settings.confidence == "auto")
    report = make_pairs(
        s.catalog, sources, settings, s.progress, embedder=s.embedder,
        reader=Reader(calls, adapter) if calls is not None and read else None, retriever=retriever,
        writer=calls if "model" in names else None,
    )  # fmt: skip
    if "questions" in s.settings.retrieval.channels and chunks:
        bring_up_to_date(s)
    s.progress.finish()
    return _show(s, report, calls)


def _checker(s: Session) -> HybridRetriever | None:
    """What checks that nothing answers a question: the index in use, by its plain channels. None, and said, without."""
    from retrieval.retriever import HybridRetriever

    settings = s.settings.retrieval
    channels = tuple(channel for channel in settings.channels if channel != "questions") or ("words",)
    plain = settings.model_copy(update={"channels": channels, "expand": (), "rerank": ()})
    try:
        return HybridRetriever.open(s.catalog, s.workspace.index_folder, s.embedder, plain)
    except NotReady as why:
        s.say(f"No unanswerable questions are made, since nothing can check them: {why}")
        return None


def source_names(s: Session) -> list[str]:
    """Who writes, with "auto" resolved: rules; and with them a question adapter that the settings name, or a generator
    by prompts. The bundled one writes too little that is right, by prompts or by its adapter (docs/questions.md)."""
    settings = s.settings
    if "auto" not in settings.questions.sources:
        return list(dict.fromkeys(settings.questions.sources))
    if settings.questions.adapter:
        return ["rules", "adapter"]
    return ["rules"] if settings.models.generator == "bundled" else ["rules", "model"]


def _has_adapter(s: Session) -> bool:
    return bool(s.settings.questions.adapter) or s.settings.models.generator == "bundled"


def question_adapter(s: Session) -> str:
    """The id, in the generator, of the question adapter. Raises ModelError if it does not fit."""
    folder = s.settings.questions.adapter
    return s.generator.load_adapter(Path(folder).expanduser() if folder else ADAPTER)


def open_calls(s: Session) -> Calls:
    """The generator, its replies kept in the catalogue, within the budget of the settings."""
    from ingest.qa.calls import Budget, Calls

    settings = s.settings.questions
    return Calls(s.generator, s.catalog, Budget(settings.budget_tokens, settings.budget_money))


def _source(s: Session, name: str, calls: Calls | None, adapter: str | None) -> QuestionSource:
    from ingest.qa.adapter_source import AdapterSource
    from ingest.qa.generator_source import ModelSource
    from ingest.qa.rules import RuleSource

    settings = s.settings.questions
    if calls is None or name == "rules":
        return RuleSource(settings.seed, settings.per_chunk, settings.phrasings, settings.mix)
    if name == "adapter":
        if adapter is None:
            raise FieldguideError(
                f"The generator {s.settings.models.generator} has no question adapter: name one in questions.adapter "
                "(`fieldguide qa adapter` trains it), or take the source model."
            )
        return AdapterSource(calls, adapter, settings, s.catalog.chunks)
    return ModelSource(calls, settings, s.retriever() if settings.answers == "retrieved" else None)


def _agree(s: Session, sources: Sequence[QuestionSource], yes: bool) -> None:
    """Say what a remote generator may cost, and ask before money is spent where somebody can answer."""
    from ingest.qa.generator_source import ModelSource
    from ingest.qa.questions import chunks_to_ask

    if not s.settings.models.generator.startswith("remote:"):
        return
    documents = {document.id: document for document in s.catalog.documents()}
    done = s.catalog.drafted()
    for source in sources:
        if isinstance(source, ModelSource):
            chosen = chunks_to_ask(s.catalog, source, s.settings.questions, documents)
            waiting = [c for chunks in chosen.values() for c in chunks if (c.id, source.id) not in done]
            told = source.estimate(documents, waiting)
            if not told.calls:
                continue
            money = f", at most {told.money:.2f} in money" if told.money else ", price not known"
            s.say(
                f"At most {told.calls} calls and {told.tokens} tokens to write{money}; what has to be asked for again, "
                "and reading back, come on top."
            )
            if told.money and not yes and s.console.is_terminal and not typer.confirm("Go on?", err=True):
                raise typer.Exit(130)


def _show(s: Session, report: QuestionsReport, calls: Calls | None) -> dict[str, Any]:
    table = Table("split", "pairs", title="Question-answer pairs", title_justify="left")
    for split in ("train", "dev", "test"):
        table.add_row(split, str(report.splits[split]))
        if split == "test":
            for group, n in sorted(report.groups.items()):
                table.add_row(f"  {group}", str(n), style="dim")
    s.console.print(table)
    made = ", ".join(f"{n} from {source}" for source, n in report.kept.items()) or "none"
    s.say(f"New pairs: {made}; {report.skipped_chunks} chunks had been asked about before.")
    if report.kinds:
        s.say("Kinds: " + ", ".join(f"{n} {kind}" for kind, n in report.kinds.most_common()))
    if report.rejected:
        s.say("Rejected: " + ", ".join(f"{n} {reason}" for reason, n in report.rejected.most_common()))
    if report.threshold is not None:
        t = report.threshold
        at = f"kept from {t.value:.2f} on, chosen on {t.pairs} dev pairs (balanced accuracy {t.balanced_accuracy:.2f})"
        s.say(f"Confidence: {t.note or at}.")
    if calls is not None and calls.spent.money:
        s.say(f"Spent: {calls.spent.calls} calls, {calls.spent.tokens} tokens, {calls.spent.money:.4g} in money.")
    if report.stopped:
        s.say(report.stopped)
    s.say(f"They lie in {s.workspace.catalog_file}; `fieldguide qa report` shows what they are like.")
    return {
        "kept": dict(report.kept), "kinds": dict(report.kinds), "rejected": dict(report.rejected),
        "splits": dict(report.splits), "groups": dict(report.groups), "skipped_chunks": report.skipped_chunks,
        "confidence": asdict(report.threshold) if report.threshold is not None else None, "stopped": report.stopped,
        "spent": asdict(calls.spent) if calls is not None else None,
    }  # fmt: skip


def export(s: Session, path: Path, split: str | None) -> dict[str, Any]:
    """Write the pairs for a person to judge."""
    from ingest.qa.review import export_pairs

    if split not in (None, "train", "dev", "test"):
        raise FieldguideError(f"There is no split {split!r}; choose train, dev or test.")
    pairs = [pair for pair in s.catalog.pairs(split, every=True) if pair.verdict != "rejected"]
    if not pairs:
        raise NotReady("There are no pairs to review: run `fieldguide qa`, which says why if it keeps none.")
    n = export_pairs(pairs, {document.id: document for document in s.catalog.documents()}, path)
    s.say(f"{n} pairs written to {path}: judge them in the column verdict (accept, reject, edit), then")
    s.say(f'  fieldguide qa review --import {path} --author "YOUR NAME"')
    return {"pairs": n, "file": str(path)}


def take(s: Session, path: Path, author: str) -> dict[str, Any]:
    """Take a person's verdicts, edits and new pairs."""
    from ingest.qa.leaks import guard
    from ingest.qa.review import import_review
    from ingest.qa.splits import group_tests

    documents = {document.id: document for document in s.catalog.documents()}
    before = s.catalog.pairs(every=True)
    review = import_review(path, before, s.catalog.chunks, documents, author)
    changed = {pair.id: pair for pair in [*review.changed, *review.added]}
    merged = [changed.pop(pair.id, pair) for pair in before] + list(changed.values())
    ties = near_duplicates(s)
    splits: Any = {document: split for document, split in s.catalog.splits().items() if split is not None}
    settled = group_tests(merged, splits, s.settings.questions, s.embedder, ties)
    guard(settled, s.embedder, s.settings.questions.alike, ties)
    old = {pair.id: pair for pair in before}
    s.catalog.put_pairs(pair for pair in settled if old.get(pair.id) != pair)
    told = ", ".join(f"{n} {what}" for what, n in review.counts.items() if n)
    s.say(f"{path.name} by {author}: {told or 'it has no rows'}")
    if review.comments:
        s.say(f"{len(review.comments)} comments, which are kept nowhere but in the file (and shown with --json).")
    for fault in review.faults:
        s.say(f"  line {fault.line}: {fault.reason}")
    return {
        "counts": review.counts, "faults": [asdict(fault) for fault in review.faults],
        "comments": [list(comment) for comment in review.comments],
    }  # fmt: skip


def report(s: Session, judge: bool | None) -> dict[str, Any]:
    """Measure the pairs and write the page."""
    from eval.question_metrics import judge as rate
    from eval.question_report import measure, render
    from fieldguide.files import write_json

    pairs = s.catalog.pairs()
    if not pairs:
        raise NotReady("There are no pairs to report on: run `fieldguide qa`, which says why if it keeps none.")
    settings = s.settings.questions
    name = s.settings.models.generator
    judged, told = None, "Relevance, coverage and fluency need a judge: --judge has the generator of the settings rate."
    if judge or (judge is None and name != "bundled"):
        chosen = random.Random(settings.seed).sample(pairs, min(_JUDGED, len(pairs)))
        judged = rate(chosen, s.catalog.chunks_by_id([p.chunk for p in chosen]), open_calls(s), s.progress)
        told = f"{judged.n} questions rated by {name}; {judged.unparsed} replies were not understood and count nowhere."
    s.progress.start("measuring")
    found = measure(s.catalog, s.embedder, settings.mix, settings.seed, judged, told)
    s.progress.finish()
    folder = s.workspace.new_run("qa-report")
    write_json(folder / "questions.json", found)
    page = render(found, folder)
    table = Table("measure", "value", "direction", title=f"{found['pairs']} pairs", title_justify="left")
    for row in found["metrics"]:
        table.add_row(row["name"].replace("_", " "), "–" if row["value"] is None else f"{row['value']:.3f}",
                      row["direction"])  # fmt: skip
    s.console.print(table)
    s.say(told)
    s.say(f"Report: {page}")
    return {**found, "report": str(page)}


def freeze(s: Session) -> dict[str, Any]:
    """Keep the test pairs as they are."""
    from ingest.qa.frozen import freeze as run

    frozen = run(s.catalog.pairs("test"), s.workspace.test_sets_folder, s.settings.questions.seed)
    s.catalog.add_artefact(TEST_SET, frozen.hash[:16], frozen.manifest, activate=True)
    groups = ", ".join(f"{n} {group}" for group, n in frozen.manifest["groups"].items())
    others = len([p for p in s.catalog.pairs("test", every=True) if p.verdict != "rejected"]) - frozen.manifest["n"]
    s.say(f"Frozen: {frozen.manifest['n']} test questions ({groups}), hash {frozen.hash[:16]}.")
    if others:
        s.say(f"Not in it: {others} follow-ups and questions without an answer, for `compare` does not ask them.")
    s.say(f"They lie in {frozen.path}; `fieldguide compare` uses them from now on.")
    return {**frozen.manifest, "file": str(frozen.path), "not_asked": others}


def near_duplicates(s: Session) -> dict[str, str]:
    """Of each document the first of those that nearly equal it: what they say is one fact."""
    from fieldguide.types import NEAR_DUPLICATE
    from ingest.qa.splits import tie

    return tie([document.id for document in s.catalog.documents()], s.catalog.relations(NEAR_DUPLICATE))


def test_pairs(s: Session) -> tuple[str, list[QAPair]]:
    """What `compare` asks without a file, and its name: the frozen test set, else the pairs of the test split.

    Raises LeakError if what is trained on now says what is tested, NotReady if the frozen set was deleted.
    """
    from ingest.qa.frozen import guard_frozen, read_frozen
    from ingest.qa.leaks import guard

    frozen, alike = s.catalog.active(TEST_SET), s.settings.questions.alike
    if frozen is None:
        guard(s.catalog.pairs(every=True), s.embedder, alike, near_duplicates(s))
        return "pairs of the test split", s.catalog.pairs("test")
    if gone := len(frozen.manifest.get("deleted_documents", ())):
        raise NotReady(
            f"The frozen test set {frozen.id} quoted {gone} document(s) that are deleted now, so it is deleted too: "
            "run `fieldguide qa freeze` for another one."
        )
    pairs = read_frozen(s.workspace.test_sets_folder, frozen.manifest["hash"])
    guard_frozen(pairs, s.catalog.pairs("train", every=True), s.embedder, alike, near_duplicates(s))
    return f"frozen test set {frozen.id}", pairs


def prompts(console: Console, folder: Path, as_json: bool) -> None:
    """Write the prompt files to be edited."""
    from ingest.qa.prompt_files import write_prompts

    written = write_prompts(folder)
    if as_json:
        print_json({"written": [str(path) for path in written]})
    for line in (
        f"{len(written)} prompt files written to {folder}.",
        f'Edit them, and put prompts = "{folder}" below [questions] in fieldguide.toml.',
    ):
        console.print(line, highlight=False, markup=False)


def train_adapter(s: Session, data: Path, out: Path) -> dict[str, Any]:
    """Teach the generator to write and check questions from people's pairs."""
    from fieldguide.cli.verbs import interruptible
    from tuning.question_adapter import train_question_adapter

    settings = s.settings.tuning.model_copy(update={"batch_size": 2, "dev_examples": 40, "save_steps": 100})
    run = s.workspace.runs_folder / f"qa-adapter-{out.name}"
    run.mkdir(parents=True, exist_ok=True)
    with interruptible(s) as stopped:
        manifest = train_question_adapter(
            data, s.trainable, settings, run, out, s.progress, stopped,
            command=f"fieldguide qa adapter {data.name} --out {out.name} --passages {settings.max_examples} "
            f"--epochs {settings.epochs:g} --rank {settings.rank}",
        )  # fmt: skip
    before, after = manifest["dev_loss_base"], manifest["dev_loss_tuned"]
    s.say(f"Loss on {manifest['dev_examples']} held-out tasks: base {before:.3f}, adapter {after:.3f}.")
    s.say(f'The adapter lies in {out}; put adapter = "{out}" below [questions] in fieldguide.toml.')
    return manifest
