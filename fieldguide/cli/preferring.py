"""`fieldguide prefer` on an opened session: what is left out, the training, and what the held-out pairs say."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from rich.table import Table

from fieldguide.cli.session import Session
from fieldguide.cli.verbs import interruptible
from fieldguide.errors import NotReady

_SHOWN_FAULTS = 5
_FIGURES = {
    "reward_accuracy": "chosen gained more",
    "prefers": "chosen is likelier",
    "margin": "log-likelihood, chosen − rejected",
    "chosen": "log-likelihood, chosen",
}


def prefer(
    s: Session, pairs: Path, *, beta: float | None, learning_rate: float | None, epochs: float | None
) -> dict[str, Any]:
    """Tune the adapter in use on accepted and rejected answers."""
    from tuning.preference import prefer as run
    from tuning.preference_loop import PreferenceTuning
    from tuning.preference_pairs import read_preferences, reasons

    asked_to_test = [pair.question for pair in s.catalog.pairs("test")]
    good, faults = read_preferences(pairs, s.catalog.documents(), asked_to_test)
    show_faults(s, faults)
    if not good:
        raise NotReady(
            f'{pairs} holds no usable preference; each line needs "question", "chosen" and "rejected", as JSON.'
        )
    given: dict[str, Any] = {"beta": beta, "learning_rate": learning_rate, "epochs": epochs}
    settings = PreferenceTuning(**{name: value for name, value in given.items() if value is not None})
    steps = math.ceil(len(good) * settings.epochs / settings.batch_size)
    s.announce(f"{len(good)} preferences, at most {steps} steps", {"preference tuning": (steps, 0.2)}, 100)
    with interruptible(s) as stopped:
        report = run(
            s.catalog, s.retriever(), s.trainable, good, s.settings.tuning, settings, s.workspace.adapters_folder,
            s.workspace.runs_folder, lambda: s.workspace.new_run("prefer"), s.progress, stopped,
        )  # fmt: skip
    show_faults(s, report.faults)
    every = [*faults, *report.faults]
    m = report.manifest
    if report.trained:
        start = f"adapter {m['start']}" if m["start"] else "the base model"
        s.say(f"Adapter {report.adapter}: {m['examples']} preferences, {m['steps']} steps from {start}.")
    else:
        s.say(f"Nothing to do: adapter {report.adapter} was tuned on exactly these preferences and settings.")
    _show(s, m["preference"])
    if report.active:
        s.say("It is in use.")
    elif not m["preference"]["n"]:
        s.say("It is NOT in use: fewer than five questions, so none was held out to judge it by.")
    else:
        s.say(
            "It is NOT in use: on the held-out questions it does not prefer the chosen answers, or not by raising them."
        )
    s.say(f"It lies in {report.folder}")
    return {
        "adapter": report.adapter, "folder": str(report.folder), "trained": report.trained, "active": report.active,
        "left_out": [{"line": fault.line, "reason": fault.reason} for fault in every],
        "left_out_by_reason": reasons(every), "manifest": m,
    }  # fmt: skip


def show_faults(s: Session, faults: list[Any]) -> None:
    """How many lines are left out, why, and the first of each kind."""
    from tuning.preference_pairs import reasons

    for reason, count in reasons(faults).items():
        lines = [str(fault.line) for fault in faults if fault.reason == reason]
        more = ", …" if len(lines) > _SHOWN_FAULTS else ""
        s.say(f"Left out, {reason}: {count} (line {', '.join(lines[:_SHOWN_FAULTS])}{more}).")


def _show(s: Session, figures: dict[str, Any]) -> None:
    """The held-out pairs before and after."""
    if not figures["n"]:
        return
    table = Table("", "before", "after", title=f"{figures['n']} held-out preferences", title_justify="left")
    for name, label in _FIGURES.items():
        before, after = figures["before"][name], figures["after"][name]
        share = name in ("reward_accuracy", "prefers")
        table.add_row(label, *(f"{100 * value:.0f} %" if share else f"{value:.2f}" for value in (before, after)))
    s.console.print(table)
