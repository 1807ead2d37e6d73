"""The verbs' work on an opened session: each package's main flow, its report on the screen, its result as a dict."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from fieldguide.cli.pairs import near_duplicates
from fieldguide.cli.session import Session
from fieldguide.errors import FieldguideError

if TYPE_CHECKING:
    from fieldguide.types import Answer, Document


def tune(s: Session, processes: int = 1) -> dict[str, Any]:
    """Train an adapter on the pairs, in this process or in several that train together."""
    from ingest.qa.leaks import guard
    from tuning.train import tune as run

    settings = s.settings.tuning
    guard(s.catalog.pairs(every=True), s.embedder, s.settings.questions.alike, near_duplicates(s))
    pairs = len(s.catalog.pairs("train"))
    used = min(pairs, settings.max_examples or pairs)
    steps = math.ceil(used * settings.epochs / settings.batch_size)
    guess = settings.batch_size / 30
    if settings.minutes:
        rate = s.catalog.rate("training") or 1 / (8 * guess)
        steps = min(steps, max(1, int(settings.minutes * 60 * rate)))
    s.announce(f"{used} pairs, at most {steps} steps", {"training": (steps, 1 / (8 * guess))}, 250)
    retriever = s.retriever()
    with interruptible(s) as stopped:
        report = run(
            s.catalog, retriever, s.trainable, settings, s.workspace.adapters_folder, s.workspace.runs_folder,
            lambda: s.workspace.new_run("tune"), s.progress, stopped, processes=processes,
        )  # fmt: skip
    m = report.manifest
    if not report.trained:
        s.say(f"Nothing to do: adapter {report.adapter} was tuned on exactly these examples and settings.")
    for line in tuning_report(m):
        s.say(line)
    s.say("It is in use." if report.active else "It is NOT in use: it is no better than the base model.")
    s.say(f"It lies in {report.folder}")
    if report.run is not None:
        s.say(f"Curve and log: {report.run}")
    return {
        "adapter": report.adapter,
        "folder": str(report.folder),
        "trained": report.trained,
        "active": report.active,
        "manifest": m,
        "run": str(report.run) if report.run is not None else None,
    }


_ENDED = {
    "time": "The time was up after {steps} of {planned_steps} planned steps.",
    "early": "Stopped after {steps} of {planned_steps} steps: the held-out examples got no better.",
}


def tuning_report(m: Mapping[str, Any]) -> Iterator[str]:
    """What a manifest tells a user, a sentence each."""
    gold = ", ".join(f"{n} gold {how}" for how, n in m["gold"].items())
    yield (
        f"Adapter {m['id']}, begun {m['start']['how']}: {m['examples']} examples ({gold}), {m['left_out']} pairs left "
        f"out, {m['steps']} steps, {m['tokens'] / max(m['seconds'], 1e-9):.0f} tokens/s."
    )
    yield from m["notes"]
    if m["ended"] in _ENDED:
        yield _ENDED[m["ended"]].format(**m)
    if m["best_step"] < m["steps"]:
        yield f"The best checkpoint is that of step {m['best_step']}."
    if m["dev_loss_base"] is None:
        yield "No held-out examples, so nothing was checked before this adapter is served."
    else:
        yield (
            f"Loss on {m['dev_examples']} held-out examples: "
            f"base {m['dev_loss_base']:.3f}, tuned {m['dev_loss_tuned']:.3f}."
        )
    if m["metrics"]:
        base, tuned, change = (m["metrics"][f"dev_f1_{name}"] for name in ("base", "tuned", "change"))
        yield (
            f"F1 of their answers: base {100 * base['mean']:.1f}, tuned {100 * tuned['mean']:.1f}, difference "
            f"{100 * change['mean']:+.1f} ({100 * change['low']:+.1f} to {100 * change['high']:+.1f})."
        )
    if m["general"]:
        loss = m["general"]["change"]["loss"]
        told = f"{loss['mean']:+.3f} ({loss['low']:+.3f} to {loss['high']:+.3f})"
        yield f"Forgotten, on {loss['n']} general questions: loss {told}; adapter served at strength {m['strength']:g}."


def dry_run(s: Session) -> dict[str, Any]:
    """Make the training set, write it, and show what is in it; nothing is trained."""
    from ingest.qa.leaks import guard
    from tuning.training_set import assemble, write_dry_run

    settings = s.settings.tuning
    guard(s.catalog.pairs(every=True), s.embedder, s.settings.questions.alike, near_duplicates(s))
    made = assemble(s.catalog, s.retriever(), s.trainable, settings, s.progress)
    file = s.workspace.new_run("tune-dry") / "training_set.jsonl"
    told = write_dry_run(made, s.trainable, file)
    table = Table("gold passage", "examples", "share", title="Training set", title_justify="left")
    for how, n in told["gold"].items():
        table.add_row(how, str(n), f"{100 * n / told['train']:.0f}%")
    s.progress.finish()
    s.console.print(table)
    s.say(
        f"{told['train']} examples in {told['passes']} passes over the pairs, {told['dev']} held out. "
        f"{told['rows']} rows of {told['row_tokens']} tokens (separate: {told['tokens_if_separate']}), "
        f"{told['answer_tokens']} of them answers. Longest row {told['longest_row']} of {told['context_tokens']} "
        f"tokens; {told['truncated']} truncated."
    )
    for reason, n in told["left_out"].items():
        s.say(f"Left out: {n} pairs, {reason}.")
    for line in told["notes"]:
        s.say(line)
    for example in told["examples"]:
        s.console.rule(f"{example['gold']}, {example['prompt_tokens']} + {example['answer_tokens']} tokens")
        for message in example["prompt"]:
            s.console.print(Text(f"{message['role']}: {message['content']}", style="dim"))
        s.console.print(Text(f"→ {example['completion']}", style="bold"))
    s.say(f"All of it: {file}")
    return told


@contextmanager
def interruptible(s: Session) -> Iterator[Callable[[], bool]]:
    """The first Ctrl-C lets the step under way end and be kept; a second one stops at once."""
    pressed: list[float] = []

    def on_signal(number: int, frame: Any) -> None:
        if pressed:
            raise KeyboardInterrupt
        pressed.append(time.time())
        s.console.print("Stopping after this step; press Ctrl-C again to stop at once.", style="yellow")

    before = signal.signal(signal.SIGINT, on_signal)
    try:
        yield lambda: bool(pressed)
    finally:
        signal.signal(signal.SIGINT, before)


def load_adapter(s: Session, *, base: bool, needed: bool = False) -> str | None:
    """The id, in the generator, of the adapter in use; None with ``base`` or where there is none."""
    found = None if base else s.adapter()
    if found is None and needed:
        s.say("No adapter is in use, so only the base model is compared; `fieldguide tune` makes one.")
    return found


def adapter_notes(s: Session, recipe: str | None) -> list[str]:
    """What has moved since the adapter in use was tuned, and how much of what it learned is true no longer."""
    from fieldguide.cli.registry import moved

    active = s.catalog.active("adapter")
    said = "" if active is None else moved(s, active.manifest, recipe).sentence(active.id)
    return [f"{said} Tune again with `fieldguide tune`."] if said else []


def ask(
    s: Session,
    question: str,
    *,
    rag: bool,
    base: bool,
    show_passages: bool,
    where: Sequence[str] = (),
    user: str | None = None,
) -> dict[str, Any]:
    """Answer one question and show where the answer stands."""
    from assistant.answer import as_json
    from retrieval.scope import EVERYTHING

    if user is not None and not rag:
        raise FieldguideError(
            "--no-rag answers from what the model has learned, which cannot be kept from a user: leave out --user."
        )
    question = question.encode("utf-8", "replace").decode("utf-8")  # bytes that are no UTF-8 come as lone surrogates
    if not question.strip():
        raise FieldguideError('The question is empty; ask one, like: fieldguide ask "What happened at Elyria?"')
    retriever = s.retriever(wanted_facets(where), user) if rag else None
    assistant = s.assistant(retriever, base=base)
    answer = assistant.answer([question])[0]
    recipe = retriever.within(EVERYTHING).recipe if retriever is not None else None  # whatever --where and --user say
    notes = adapter_notes(s, recipe) if assistant.adapter else []
    documents = assistant.documents
    if not s.as_json:
        show_answer(s, answer, documents, show_passages)
        for note in notes:
            s.say(f"Note: {note}")
    return {"question": question, **as_json(answer, documents), "notes": notes}


def wanted_facets(where: Sequence[str]) -> dict[str, list[str]]:
    """NAME=VALUE, several times, as {name: values}. Raises FieldguideError for anything else."""
    wanted: dict[str, list[str]] = {}
    for given in where:
        name, mark, value = given.partition("=")
        if not (mark and name.strip() and value.strip()):
            raise FieldguideError(f"--where {given!r} is not NAME=VALUE; `fieldguide facets` shows what there is.")
        wanted.setdefault(name.strip(), []).append(value.strip())
    return wanted


def show_answer(s: Session, answer: Answer, documents: Mapping[str, Document], show_passages: bool) -> None:
    """The answer on the screen, each citation with file, page and quote."""
    from fieldguide.prompts.as_data import visible

    out = s.console
    s.progress.finish()
    out.print(Text("\n" + (answer.text or "The documents hold nothing about this."), style="bold"))
    for number, c in enumerate(answer.citations, 1):
        out.print(
            Text(f"  [{number}] {Path(c.source).name}, page {c.page}, characters {c.start}–{c.end}", style="green")
        )
        out.print(Text(f"      “{visible(c.quote)}”"))
    for statement in answer.unsupported:
        if statement and answer.passages:
            out.print(Text(f"  No passage supports: {statement}", style="yellow"))
    if not answer.passages and answer.text:
        out.print(Text("  Answered without the documents: nothing here is checked.", style="yellow"))
    if show_passages:
        for number, p in enumerate(answer.passages, 1):
            name = Path(documents[p.chunk.document].source).name
            pages = ", ".join(map(str, p.chunk.pages))
            out.print(
                Text(f"\n  passage {number}: {name}, page {pages}, rank {p.rank}, score {p.score:.3f}", style="cyan")
            )
            out.print(Text(visible(p.chunk.text), style="dim"))
    t = answer.trace
    tuned = f"adapter {t.adapter[:16]}" if t.adapter else "no adapter"
    out.print(
        Text(f"\n  {t.model}, {tuned}, {len(answer.passages)} passages, {sum(t.seconds.values()):.1f} s", style="dim")
    )
