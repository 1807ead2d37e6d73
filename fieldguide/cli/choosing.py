"""The verbs that choose settings by measuring them: ``tune-context`` (k and order) and ``auto`` (retrieval)."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from fieldguide.cli.session import Session
from fieldguide.cli.verbs import adapter_notes, load_adapter
from fieldguide.errors import NotReady


def tune_context(
    s: Session, questions_file: Path | None, ks: Sequence[int], max_questions: int, *, base: bool, dry_run: bool
) -> dict[str, Any]:
    """Measure answers by k and order, with the model and adapter in use; set what has earned it."""
    from eval.answering import Answering
    from eval.context_choice import STEP, most_answers
    from eval.context_choice import tune_context as run
    from eval.dev_questions import NO_QUESTIONS, dev_questions, documents_of
    from eval.plots import plot_context
    from fieldguide.files import write_atomically, write_json

    settings = s.settings
    questions = dev_questions(s.catalog, questions_file, max_questions, settings.compare.seed)
    if not questions:
        raise NotReady(NO_QUESTIONS)
    ks = sorted({*ks, settings.retrieval.k})
    answers = most_answers(len(questions), ks)
    listed = ", ".join(map(str, ks))
    what = (
        f"{len(questions)} questions about {len(documents_of(questions))} documents, k = {listed}, every order, and "
        f"the probes: at most {answers} answers"
    )
    s.announce(what, {STEP: (answers, 0.5)}, 5)
    retriever = s.retriever()
    adapter = load_adapter(s, base=base)
    answering = Answering(
        s.catalog, s.generator, adapter, s.answering,
        {document.id: document for document in s.catalog.documents()}, retriever.index_id, s.generator.base_hash(),
    )  # fmt: skip
    report = run(
        questions, retriever=retriever, chunks=s.catalog.chunks(), answering=answering, retrieval=settings.retrieval,
        compare=settings.compare, ks=ks, progress=s.progress,
    )  # fmt: skip
    s.progress.finish()
    report |= {"adapter": adapter, "model": s.generator.id, "source": _source(questions_file)}
    folder = s.workspace.new_run("tune-context")
    write_json(folder / "context.json", report)
    write_atomically(folder / "context.csv", _csv(report))
    plot = plot_context(report, folder / "context.png")
    _show_context(s, report)
    decision = report["decision"]
    s.say(decision["why"])
    changed = {n: decision[n] for n in ("k", "order") if decision[n] != getattr(settings.retrieval, n)}
    written = _write(s, changed, dry_run)
    if written and adapter is not None:
        s.say("The adapter in use was tuned on contexts of the settings before; `fieldguide tune` makes one for these.")
    for note in adapter_notes(s, None):
        s.say(f"Note: {note}")
    s.say(f"Table and plot: {plot}")
    told = ("questions", "documents", "baseline", "before", "decision", "settings", "gold_position", "negatives")
    return {name: report[name] for name in told} | {
        "written": written, "changes": changed, "folder": str(folder), "plot": str(plot),
    }  # fmt: skip


def auto(
    s: Session, questions_file: Path | None, minutes: float, max_questions: int, *, dry_run: bool
) -> dict[str, Any]:
    """Search the switches of retrieval for ``minutes``; set the best."""
    from eval.auto import auto as run
    from eval.dev_questions import dev_questions
    from fieldguide.files import write_json

    questions = dev_questions(s.catalog, questions_file, max_questions, s.settings.compare.seed)
    s.say(f"{len(questions)} questions: at most {minutes:g} min, about 1 MB of disk.")
    report = run(
        questions, retriever=s.retriever(reading=False), retrieval=s.settings.retrieval, compare=s.settings.compare,
        minutes=minutes, progress=s.progress,
    )  # fmt: skip
    s.progress.finish()
    report["source"] = _source(questions_file)
    folder = s.workspace.new_run("auto")
    _show_search(s, report)
    written = _write(s, report["changes"], dry_run)
    report["written"] = written
    write_json(folder / "auto.json", report)
    s.say(f"Everything measured: {folder / 'auto.json'}")
    return report | {"folder": str(folder)}


def _source(questions_file: Path | None) -> str:
    return questions_file.name if questions_file else "pairs of the dev split"


def _write(s: Session, changed: Mapping[str, Any], dry_run: bool) -> bool:
    """Write what changes in [retrieval], or say why nothing is written."""
    import os

    from fieldguide.settings_file import change_settings
    from fieldguide.workspace import SETTINGS_FILE

    path = s.workspace.root / SETTINGS_FILE
    shown = _settings(changed)
    if not changed:
        s.say(f"{path} stays as it is.")
        return False
    if dry_run:
        s.say(f"Not written (--dry-run): {shown}")
        return False
    change_settings(path, {"retrieval": changed})
    s.say(f"Written to {path}: {shown}")
    set_elsewhere = [name for name in changed if f"FIELDGUIDE_RETRIEVAL__{name.upper()}" in map(str.upper, os.environ)]
    if set_elsewhere:
        s.say(
            f"The environment still sets retrieval.{', retrieval.'.join(set_elsewhere)}, which comes before the file."
        )
    return True


def _settings(values: Mapping[str, Any]) -> str:
    return "; ".join(f"{name} = {_value(value)}" for name, value in values.items())


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{name}: {weight:g}" for name, weight in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(str, value)) + "]"
    return str(value)


def _points(row: Mapping[str, Any]) -> str:
    if not row["n"]:
        return "–"
    return f"{100 * row['mean']:.1f} ({100 * row['low']:.1f} to {100 * row['high']:.1f})"


def _show_context(s: Session, report: Mapping[str, Any]) -> None:
    before = report["before"]
    title = f"Token F1 on {report['questions']} questions: mean and 95% interval (points of 100)"
    table = Table("k", "order", "token F1", "against the baseline", "", title=title, title_justify="left")
    for row in report["settings"]:
        is_baseline = {name: row[name] for name in ("k", "order")} == report["baseline"]
        is_before = (row["k"], row["order"]) == (before["k"], before["order"])
        marks = [word for word, holds in (("chosen", row["chosen"]), ("before", is_before)) if holds]
        difference = "baseline" if is_baseline else _signed(row["difference"])
        table.add_row(str(row["k"]), row["order"], _points(row), difference, ", ".join(marks))
    s.console.print(table)
    probes = Table("probe", "k", "token F1", "questions", title="Why: the gold passage given", title_justify="left")
    for row in report["gold_position"]:
        probes.add_row(f"gold {row['position']}, hard negatives", str(row["k"]), _points(row), str(row["n"]))
    for row in report["negatives"]:
        kind = "gold alone" if row["k"] == 1 else f"gold first, {row['negatives']} negatives"
        if row["k"] > 1 or row["negatives"] == "hard":
            probes.add_row(kind, str(row["k"]), _points(row), str(row["n"]))
    s.console.print(probes)


def _signed(row: Mapping[str, Any]) -> str:
    return f"{100 * row['mean']:+.1f} ({100 * row['low']:+.1f} to {100 * row['high']:+.1f})"


def _csv(report: Mapping[str, Any]) -> str:
    """All rows: what was measured, k, its value, and token F1."""
    out = io.StringIO()
    rows = csv.writer(out, lineterminator="\n")
    rows.writerow(["measured", "k", "value", "mean", "low", "high", "n", "chosen"])
    for part, key in (("settings", "order"), ("gold_position", "position"), ("negatives", "negatives")):
        for row in report[part]:
            figures = [row[name] for name in ("mean", "low", "high", "n")]
            rows.writerow([key, row["k"], row[key], *figures, row.get("chosen", "")])
    return out.getvalue()


def _show_search(s: Session, report: Mapping[str, Any]) -> None:
    title = f"{report['questions']} questions about {report['documents']} documents (points of 100)"
    table = Table(title=title, title_justify="left")
    table.add_column("settings", min_width=24)
    for name in ("RR@10", "nDCG@10", f"hit@{s.settings.retrieval.k}", "ms", "MB"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("")
    for row in report["table"]:
        memory = "–" if row["megabytes"] is None else f"{max(row['megabytes'], 0):.0f}"
        figures = [f"{100 * row[name]:.1f}" for name in ("rr", "ndcg", "success")]
        table.add_row(
            Text(_settings(row["changes"]) or "as they are"), *figures, f"{row['milliseconds']:.1f}", memory,
            "chosen" if row["chosen"] else "",
        )  # fmt: skip
    s.console.print(table)
    nested = report["nested"]
    s.say(
        f"On documents that the choice had not seen ({nested['folds']} folds): reciprocal rank (RR@10) "
        f"{_points(nested['chosen'])}, before {_points(nested['before'])}, difference {_signed(nested['difference'])}."
    )
    s.say("The table's own figures were selected on: they flatter what was chosen.")
    if report["without_evidence"]:
        s.say(f"{report['without_evidence']} questions have no known evidence and were left out.")
    for reason, what in report["failed"].items():
        s.say(f"Not tried: {_settings(what)}. {reason}")
    if report["too_slow"]:
        counts = Counter(row["switch"] for row in report["too_slow"])
        slow = ", ".join(f"{name} ({n} settings)" for name, n in counts.items())
        s.say(f"Too slow for the time that was left: {slow}; --minutes gives more.")
    if report["not_tried"]:
        s.say(f"Not tried, for the time was up: {', '.join(report['not_tried'])}; --minutes gives more.")
    if not report["holds"]:
        s.say("What was chosen is no clear gain on documents that it was not chosen on, so the settings stay.")
