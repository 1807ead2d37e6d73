"""`fieldguide ingest` and `fieldguide facets` on an opened session: the work, the table of files, the report."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from fieldguide.cli.session import Session
from fieldguide.files import write_atomically

if TYPE_CHECKING:
    from ingest.pipeline import IngestReport
    from retrieval.build import IndexVersion

EXIT_SOME_NOT_READ = 3
TUNED = {
    "adapter": "fieldguide tune",
    "embedder": "fieldguide tune --retriever",
    "cross-encoder": "fieldguide tune --reranker",
}
"""What is tuned on documents, each with the command that tunes it anew."""
TEST_SET = "test set"
"""Kind of the artefact that names the frozen test set in use."""
_SHOWN = 20  # reasons of a class on the screen; the report has all
_COLUMNS = ("path", "class", "reason", "document", "bytes", "pages", "chunks", "readers", "same as")


def ingest(s: Session, paths: Sequence[Path], prune: bool | None, report_file: Path | None) -> dict[str, Any]:
    """Read the files, cut them, and bring the index up to date. ``prune`` None: ask, where somebody can answer."""
    from ingest.pipeline import ingest_files, left_out
    from ingest.pipeline import prune as remove
    from ingest.qa.frozen import keep_only
    from ingest.shelf import find_files
    from retrieval.build import purge_index

    files = find_files(paths).files
    size = sum(f.stat().st_size for f in files if f.exists()) / 2**20
    chunks = int(size * 60) + len(files)  # text-heavy PDFs have about 60 chunks a megabyte
    work = {"looking": (len(files), 500.0), "reading": (len(files), 4.0), "embedding": (chunks, 60.0)}
    s.announce(f"{len(files)} file(s), {size:.1f} MB", work, 0.02 * chunks + 0.2 * size)
    embedder = s.embedder
    _warn_of_window(s, embedder.max_tokens)
    report = ingest_files(
        paths, s.catalog, s.settings, s.workspace.state, embedder.count_tokens, s.tokenizer_id, s.progress
    )
    s.progress.finish()
    if not report.new:
        s.progress.rates.pop("reading", None)  # recognising a file is much faster than reading it
    pruned = bool(report.gone) and (_agreed(s, report) if prune is None else prune)
    if pruned:
        remove(s.catalog, report.gone, s.workspace.state)
    refused = _tag(s)
    absent = left_out(s.catalog, s.settings)
    version = None
    if s.catalog.counts()["chunks"]:
        version = bring_up_to_date(s, merge=pruned)
    if pruned or report.replaced:
        purge_index(s.catalog, s.workspace.index_folder, absent)
        keep_only(s.workspace.test_sets_folder, {document.id for document in s.catalog.documents()})
    s.progress.finish()
    if report_file is not None:
        write_atomically(report_file, _as_csv(s, report))
    _show(s, report, pruned, version, report_file, refused)
    return {
        "files": [asdict(record) for record in report.files], "classes": dict(report.classes), "new": report.new,
        "recut": report.recut, "unchanged": report.unchanged, "replaced": report.replaced,
        "duplicates": report.duplicates, "near_duplicates": report.near_duplicates, "superseded": report.superseded,
        "gone": report.gone, "pruned": pruned, "moved": report.moved, "lost_pairs": report.lost,
        **s.catalog.counts(), "index": asdict(version) if version is not None else None, "all_read": report.all_read,
        "passed_over": dict(report.passed_over), "report": str(report_file) if report_file else None,
    }  # fmt: skip


def bring_up_to_date(s: Session, *, merge: bool = False) -> IndexVersion:
    """The index that fits chunks, pairs and settings, in use."""
    from ingest.pipeline import left_out
    from retrieval.build import build_index

    return build_index(
        s.catalog, s.workspace.index_folder, s.settings.index, s.embedder, s.progress,
        questions="questions" in s.settings.retrieval.channels, left_out=left_out(s.catalog, s.settings), merge=merge,
    )  # fmt: skip


def index(s: Session, merge: bool) -> dict[str, Any]:
    """Bring the index up to date, and say what was done."""
    version = bring_up_to_date(s, merge=merge)
    s.progress.finish()
    s.say(f"Index {version.id}: {version.chunks} chunks, {version.embedded} texts embedded, {version.reused} reused.")
    return asdict(version)


def _warn_of_window(s: Session, window: int) -> None:
    from ingest.chunk import CONTEXT_TOKENS

    size = s.settings.ingest.chunk_tokens + (CONTEXT_TOKENS if s.settings.ingest.context_line else 0)
    if size > window:
        s.say(
            f"Chunks of up to {size} tokens, with the line that names their place, do not fit the embedder's window of "
            f"{window}: their ends are not searched. Lower ingest.chunk_tokens."
        )


def changes(paths: Sequence[Path]) -> Iterator[None]:
    """Yields once the folders are watched, then whenever something below them changed. Ends with Ctrl-C."""
    from watchfiles import watch

    watcher = watch(*paths, debounce=2000, step=200, rust_timeout=500, yield_on_timeout=True, raise_interrupt=False)
    next(watcher, None)
    yield None
    for changed in watcher:
        if changed:
            yield None


def _agreed(s: Session, report: IngestReport) -> bool:
    if s.as_json or not sys.stdin.isatty() or not s.console.is_terminal:
        return False
    sources = {document.id: document.source for document in s.catalog.documents()}
    for document in report.gone[:_SHOWN]:
        s.say(f"Gone: {_shown(sources[document])}")
    question = f"Delete {len(report.gone)} document(s) whose file is gone, with all made from them? [y/N] "
    return s.console.input(Text(question)).strip().lower() in ("y", "yes")


def _tag(s: Session) -> dict[str, int]:
    """Facets that the generator picks, where the settings name some."""
    if not s.settings.facets.generated:
        return {}
    from ingest.tagging import tag

    return dict(tag(s.catalog, s.settings.facets, s.generator, s.progress))


def _show(
    s: Session,
    report: IngestReport,
    pruned: bool,
    version: IndexVersion | None,
    report_file: Path | None,
    refused: dict[str, int],
) -> None:
    s.console.print(_table(report))
    if report.passed_over:
        kinds = ", ".join(f"{n} {ending}" for ending, n in report.passed_over.most_common())
        s.say(f"Passed over, because they are no documents: {kinds}.")
    for path, first in report.duplicates:
        s.say(f"{_shown(path)} is the same file as {_shown(first)}; it is stored once.")
    left = " and left out of the index" if s.settings.ingest.near_duplicates == "leave out" else ""
    for source, other, rate in report.near_duplicates:
        s.say(f"{_shown(source)} nearly equals {_shown(other)} ({rate:.0%} of 5-word runs){left}.")
    for old, new in report.superseded:
        s.say(f"{_shown(old)} is superseded by {_shown(new)}: both can be cited, the newer is preferred.")
    for old, new in report.moved:
        s.say(f"{_shown(old)} is now {_shown(new)}.")
    if report.gone and not pruned:
        s.say(f"{len(report.gone)} document(s) are held by no file any more; they stay until you ingest with --prune.")
    if pruned:
        s.say(f"{len(report.gone)} document(s) deleted, with their chunks, vectors, pairs, and all cached answers.")
        _show_marked(s)
    for lost in report.lost:
        s.say(f"A pair was given up, since its evidence is not found as the page is read now: {lost}")
    for fault in sorted(report.facet_faults):
        s.say(fault)
    for reason, number in refused.items():
        s.say(f"Facet {reason}: {number} chunk(s).")
    counts = s.catalog.counts()
    s.say(
        f"{report.new} read now, {report.recut} cut anew, {report.unchanged} unchanged, {report.replaced} replaced. "
        f"In all {counts['documents']} documents, {counts['pages']} pages, {counts['chunks']} chunks."
    )
    if version is not None:
        s.say(
            f"Index {version.id}: {version.embedded} embedded, {version.reused} kept. "
            f"It lies in {s.workspace.index_folder}"
        )
    if report_file is not None:
        s.say(f"What became of each file: {report_file}")


def _show_marked(s: Session) -> None:
    for kind, command in TUNED.items():
        for made in s.catalog.artefacts(kind):
            gone = len(made.manifest.get("deleted_documents", ()))
            if gone:
                what = f"{kind.capitalize()} {made.id} was tuned on {gone} document(s) that are deleted now"
                s.say(f"{what}: run `{command}`.")
    for frozen in s.catalog.artefacts(TEST_SET):
        if frozen.manifest.get("deleted_documents"):
            again = ": run `fieldguide qa freeze`" if frozen.active else ""
            s.say(f"The frozen test set {frozen.id} quoted what is deleted now, and went with it{again}.")


def _table(report: IngestReport) -> Table:
    table = Table("class", "files", "what to know", title="Files", title_justify="left")
    for status, number in report.classes.most_common():
        reasons = [f"{_shown(r.path)}: {r.reason}" for r in report.files if r.status == status and r.reason]
        more = [f"… and {len(reasons) - _SHOWN} more (all with --report FILE)"] if len(reasons) > _SHOWN else []
        table.add_row(status, str(number), Text("\n".join([*reasons[:_SHOWN], *more])))
    return table


def _as_csv(s: Session, report: IngestReport) -> str:
    sizes, same = s.catalog.sizes(), dict(report.duplicates)
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(_COLUMNS)
    for r in report.files:
        pages, chunks, readers = sizes.get(r.document or "", ("", "", ""))
        row = (r.path, r.status, r.reason, r.document or "", r.bytes, pages, chunks, readers, same.get(r.path, ""))
        writer.writerow(row)
    return out.getvalue()


def facets(s: Session, name: str | None) -> dict[str, Any]:
    """The facets of the documents and chunks, each value with how many have it; ``name``: all values of that one."""
    found = s.catalog.facet_values()
    if name is not None:
        found = {name: found.get(name, {})}
    table = Table("facet", "values", "the most frequent", title="Facets", title_justify="left")
    for facet, values in found.items():
        top = [f"{value} ({n})" for value, n in values.items()]
        table.add_row(facet, str(len(values)), Text("\n".join(top) if name is not None else ", ".join(top[:8])))
    s.console.print(table)
    if found:
        s.say('Use them like: fieldguide ask "…" --where NAME=VALUE')
    return {"facets": found}


def _shown(path: str) -> str:
    """A path as it is shortest: from the current folder where it lies below that."""
    return str(Path(path).relative_to(Path.cwd())) if Path(path).is_relative_to(Path.cwd()) else path
