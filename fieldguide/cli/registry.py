"""`fieldguide adapters` on an opened session: what there is, side by side, and which one serves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from fieldguide.cli.cells import change, interval, listed, plain, readable
from fieldguide.cli.session import Session
from fieldguide.errors import FieldguideError, NotReady

if TYPE_CHECKING:
    from tuning.registry import Drift, Entry

BASE = "base"
"""What is named to have no adapter in use."""
_POINTS = 10  # of a curve, on the screen


def moved(s: Session, manifest: Mapping[str, Any], recipe: str | None, now: Mapping[str, str] | None = None) -> Drift:
    """What has moved since the adapter of this manifest was tuned; ``recipe`` is of the retriever that serves."""
    from fieldguide.prompts import answer_prompt_hash
    from tuning.registry import drift

    index = s.catalog.active("index")
    index_id = None if index is None else index.manifest.get("content", index.id)
    return drift(manifest, s.catalog, recipe, index_id, answer_prompt_hash(), now)


def list_all(s: Session) -> dict[str, Any]:
    """The table of adapters."""
    from tuning.registry import leftovers, standing

    known, others = _entries(s), leftovers(s.catalog, s.workspace.adapters_folder)
    now = standing(s.catalog) if any(entry.manifest.get("facts") for entry in known) else {}
    rows = [_row(s, entry, now) for entry in known]
    table = Table(title="Adapters", title_justify="left", show_lines=True)
    table.add_column("adapter", no_wrap=True)
    table.add_column("tuned")
    table.add_column("what came of it")
    for row in rows:
        table.add_row(*map(Text, _told(row)))
    if rows:
        s.console.print(table)
    else:
        s.say("There are no adapters yet; run `fieldguide tune` to make one.")
    for name in others:
        s.say(
            f"The folder {s.workspace.adapters_folder / name} belongs to no adapter: a deletion or a training was "
            f"stopped before its end. `fieldguide adapters delete {name}` removes it."
        )
    active = next((row["id"] for row in rows if row["in_use"]), None)
    return {"adapters": rows, "in_use": active, "used_before": s.catalog.used_before("adapter"), "leftovers": others}


def show(s: Session, given: str) -> dict[str, Any]:
    """One adapter's manifest, readable."""
    from tuning.manifests import curve, thin

    entry = _find(s, given)
    weights, since = _weights(entry), moved(s, entry.manifest, None)
    sources = {document.id: Path(document.source).name for document in s.catalog.documents()}
    state = "in use" if entry.active else "not in use"
    title = Text(f"Adapter {entry.id}, {state}, {entry.bytes / 1e6:.1f} MB, weights {weights}", style="italic")
    table = Table(title=title, title_justify="left", show_header=False)
    table.add_column("what", no_wrap=True)
    table.add_column("value", overflow="fold")  # hashes are there to be copied
    for name, value in entry.manifest.items():
        if name == "facts":
            shown = f"{len(value)} (their hashes: --json)"
        elif name in ("documents", "deleted_documents"):
            shown = listed([sources.get(document, f"{document[:16]} (deleted)") for document in value])
        elif name in ("curve", "loss"):
            continue
        else:
            shown = readable(value)
        table.add_row(name, Text(shown))
    s.console.print(table)
    points = curve(entry.manifest)
    if points:
        _show_points(s, thin(points, _POINTS), len(points))
    if since.clauses:
        s.say(since.sentence(entry.id))
    s.say(f"It lies in {entry.folder}")
    return {
        "id": entry.id, "in_use": entry.active, "folder": str(entry.folder), "bytes": entry.bytes, "weights": weights,
        "drift": _as_json(since), "manifest": dict(entry.manifest),
    }  # fmt: skip


def compare(s: Session, first: str, second: str) -> dict[str, Any]:
    """Two manifests side by side."""
    from tuning.manifests import differences, thin

    a, b = _find(s, first), _find(s, second)
    if a.id == b.id:
        raise FieldguideError(f"Both {first!r} and {second!r} name adapter {a.id}: give two that differ.")
    found = differences(a.manifest, b.manifest)
    for what, title in (("made_with", "Made with"), ("settings", "Settings that differ")):
        if found[what]:
            _side_by_side(s, title, a, b, {name: [readable(v) for v in both] for name, both in found[what].items()})
        elif what == "settings":
            s.say("Their settings are the same.")
    trained = found["training_set"]
    shown = {name: [readable(v) for v in trained[name]] for name in ("examples", "dev_examples", "left_out", "gold")}
    shown["hash"] = [readable(str(v)[:16] if v else None) for v in trained["hash"]]
    _side_by_side(s, "Training set" + {True: " (the same)", False: ""}.get(trained["same"], ""), a, b, shown)
    for what in ("facts", "documents"):
        if trained[what]:
            n = trained[what]
            other = f", {n['worded_otherwise']} of them worded otherwise" if n["worded_otherwise"] else ""
            s.say(f"  {what}: {n['shared']} shared{other}, {n['only_a']} only A, {n['only_b']} only B")
    rows = {}
    for name, before, after, form in (
        ("dev loss, base → tuned", "dev_loss_base", "dev_loss_tuned", "{:.3f}"),
        ("general, before → after", "general_before", "general_after", "{:.1%}"),
    ):
        pairs = zip(found["figures"][before], found["figures"][after], strict=True)
        rows[name] = [change(*pair, form) for pair in pairs]
    rows |= {name: [interval(value) for value in both] for name, both in found["metrics"].items()}
    _side_by_side(s, "Metrics (mean, 95% interval, n)", a, b, rows)
    if found["metrics"]:
        s.say("  The intervals are each adapter's own; `fieldguide compare` pairs the questions.")
    _show_curves(s, thin(found["curves"], _POINTS), len(found["curves"]))
    return {"a": a.id, "b": b.id, **found}


def use(s: Session, given: str, *, check: bool) -> dict[str, Any]:
    """Put an adapter, or with ``BASE`` none, in use."""
    before = s.catalog.active("adapter")
    was = None if before is None else before.id
    if given.strip().lower() == BASE:
        s.catalog.deactivate("adapter")
        s.say("No adapter is in use: the model answers as it is." + (f" Before it was {was}." if was else ""))
        return {"in_use": None, "before": was, "notes": []}
    entry = _find(s, given)
    _check(s, entry, check)
    s.catalog.activate([("adapter", entry.id)])
    return _switched(s, entry, was)


def back(s: Session, *, check: bool) -> dict[str, Any]:
    """Put in use what was before."""
    now, before = s.catalog.active("adapter"), next(iter(s.catalog.used_before("adapter")), None)
    was = None if now is None else now.id
    if before is None:
        here = f"before {was}" if was else "before"
        raise NotReady(f"No adapter was in use {here}; `fieldguide adapters use base` serves the model without one.")
    entry = next(entry for entry in _entries(s) if entry.id == before)
    _check(s, entry, check)
    s.catalog.step_back("adapter")
    return _switched(s, entry, was)


def delete(s: Session, given: Sequence[str], *, force: bool) -> dict[str, Any]:
    """Delete adapters, all that are named or none."""
    from tuning.registry import delete as run
    from tuning.registry import find, leftovers

    known, others = _entries(s), leftovers(s.catalog, s.workspace.adapters_folder)
    ids = list(dict.fromkeys(find(name, known, others) for name in given))
    active = next((entry.id for entry in known if entry.active), None)
    if active in ids and not force:
        raise FieldguideError(
            f"Adapter {active} is in use: use another first (`fieldguide adapters use ID` or `back`), or give --force, "
            "and the model answers without one."
        )
    freed = run(s.catalog, s.workspace.adapters_folder, ids)
    s.say(f"Deleted {', '.join(ids)}: {freed / 1e6:.1f} MB are free again.")
    if active in ids:
        s.say("No adapter is in use now: the model answers as it is.")
    return {"deleted": ids, "bytes": freed, "in_use": None if active in ids else active}


def _switched(s: Session, entry: Entry, was: str | None) -> dict[str, Any]:
    from tuning.manifests import no_better, summary

    notes = [moved(s, entry.manifest, None).sentence(entry.id)]
    if no_better(entry.manifest):
        found = summary(entry.manifest)
        loss = change(found["dev_loss_base"], found["dev_loss_tuned"], "{:.3f}")
        f1 = change(found["dev_f1_base"], found["dev_f1"], "{:.1%}")
        notes.append(f"On held-out pairs it was no better than the model alone (loss {loss}, F1 {f1}).")
    notes = [note for note in notes if note]
    s.say(f"Adapter {entry.id} is in use." + (f" Before it was {was}." if was not in (None, entry.id) else ""))
    for note in notes:
        s.say(f"Note: {note}")
    return {"in_use": entry.id, "before": was, "notes": notes}


def _check(s: Session, entry: Entry, with_model: bool) -> None:
    """Raises ModelError if this adapter cannot be served by the model of the settings."""
    from tuning.registry import check

    given = str(s.settings.models.generator)
    name = Path(given).name if Path(given).expanduser().exists() else given
    check(entry, name)
    if with_model:
        check(entry, name, s.generator.base_hash())


def _entries(s: Session) -> list[Entry]:
    from tuning.registry import entries

    return entries(s.catalog, s.workspace.adapters_folder)


def _find(s: Session, given: str) -> Entry:
    from tuning.registry import find

    known = _entries(s)
    wanted = find(given, known)
    return next(entry for entry in known if entry.id == wanted)


def _weights(entry: Entry) -> str:
    from fieldguide.files import file_hash
    from fieldguide.models.adapters import WEIGHTS

    if not entry.whole:
        return "missing"
    wanted = entry.manifest.get("sha256")
    return "unharmed" if wanted in (None, file_hash(entry.folder / WEIGHTS)) else "changed"


def _row(s: Session, entry: Entry, now: Mapping[str, str]) -> dict[str, Any]:
    from tuning.manifests import no_better, summary

    since = moved(s, entry.manifest, None, now)
    marks = [] if entry.whole else ["files missing"]
    marks += [f"{since.deleted} of {since.documents} documents deleted"] if since.deleted else []
    marks += [f"{since.changed} of {since.facts} facts changed"] if since.changed else []
    marks += [f"{what} changed" for what, other in (("index", since.index), ("prompt", since.prompt)) if other]
    marks += ["no better than the model alone"] if no_better(entry.manifest) else []
    return {
        "id": entry.id, "created": entry.created, **summary(entry.manifest), "in_use": entry.active,
        "bytes": entry.bytes, "drift": _as_json(since), "marks": marks,
    }  # fmt: skip


def _told(row: Mapping[str, Any]) -> tuple[str, str, str]:
    """The cells of an adapter, narrow enough that three stand side by side on a terminal of 80 columns."""
    state = "in use, " if row["in_use"] else ""
    strength = "" if row["strength"] is None else f", strength {row['strength']:g}"
    tuned = [
        row["created"][:16].replace("T", " "),
        str(row["base"] or "–"),
        f"{row['method']}{strength}, {plain(row['examples'])} examples",
    ]
    came = [
        f"dev loss {change(row['dev_loss_base'], row['dev_loss_tuned'], '{:.3f}')}",
        f"dev F1 {change(row['dev_f1_base'], row['dev_f1'], '{:.1%}')}",
        f"general {change(row['general_before'], row['general_after'], '{:.1%}')}",
        *row["marks"],
    ]
    return f"{row['id']}\n{state}{row['bytes'] / 1e6:.1f} MB", "\n".join(tuned), "\n".join(came)


def _as_json(since: Drift) -> dict[str, Any]:
    return {**asdict(since), "changed": since.changed, "share": since.share}


def _side_by_side(s: Session, title: str, a: Entry, b: Entry, rows: Mapping[str, Sequence[str]]) -> None:
    table = Table("", f"A: {a.id}", f"B: {b.id}", title=title, title_justify="left")
    for name, (left, right) in rows.items():
        table.add_row(name, Text(left), Text(right))
    s.console.print(table)


_COURSE = {"loss": "loss", "dev_loss": "dev loss", "dev_f1": "dev F1"}


def _show_points(s: Session, points: Sequence[Mapping[str, Any]], whole: int) -> None:
    names = list(dict.fromkeys(name for point in points for name in point))
    table = Table(*names, title=_course_title(len(points), whole), title_justify="left")
    for point in points:
        table.add_row(*(readable(point.get(name)) for name in names))
    s.console.print(table)


def _show_curves(s: Session, rows: Sequence[Mapping[str, Any]], whole: int) -> None:
    if not rows:
        return
    heads = [f"{which.upper()} {title}" for title in _COURSE.values() for which in "ab"]
    table = Table("step", *heads, title=_course_title(len(rows), whole), title_justify="left")
    for row in rows:
        cells = [readable((row[which] or {}).get(name)) for name in _COURSE for which in "ab"]
        table.add_row(str(row["step"]), *cells)
    s.console.print(table)


def _course_title(shown: int, whole: int) -> str:
    return "Course" if shown == whole else f"Course ({shown} of {whole} points; all with --json)"


def train_reader(s: Session, data: Path, out: Path) -> dict[str, Any]:
    """Teach the generator to read from people's pairs."""
    from fieldguide.cli.verbs import interruptible
    from tuning.reader import train_reader as run

    settings = s.settings.tuning.model_copy(update={"batch_size": 2, "dev_examples": 24})
    folder = s.workspace.runs_folder / f"reader-{out.name}"
    folder.mkdir(parents=True, exist_ok=True)
    with interruptible(s) as stopped:
        manifest = run(
            data, s.trainable, s.base_embedder, settings, folder, out, s.progress, stopped,
            command=f"fieldguide adapters reader {data.name} --out {out.name} --contexts {settings.max_examples} "
            f"--epochs {settings.epochs:g} --rank {settings.rank}",
        )  # fmt: skip
    before, after = manifest["dev_loss_base"], manifest["dev_loss_tuned"]
    s.say(f"Loss on {manifest['dev_examples']} held-out examples: base {before:.3f}, reader {after:.3f}.")
    s.say(f'The reader lies in {out}; put start = "{out}" below [tuning] in fieldguide.toml.')
    return manifest
