"""Index versions: building one from the chunks, embedding only what is new, and opening the one in use.

A version is a folder with vectors and a manifest that names its inputs by hash. It is never changed once it is
there; one row in the catalogue makes another version the one in use.
"""

from __future__ import annotations

import shutil
import sqlite3
import time
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fieldguide import __version__
from fieldguide.catalog import Catalog
from fieldguide.errors import IndexMismatch, NotReady, WorkspaceError
from fieldguide.files import folder_atomically, write_json
from fieldguide.models.base import Embedder
from fieldguide.types import Progress, content_hash
from retrieval.vector_cache import VectorCache
from retrieval.vectors import VectorStore, open_store

KIND = "index"
CACHE = "vectors.sqlite"
_EMBED = 256  # texts that are embedded before their vectors are on disk
_ADD = 4096  # vectors that are handed to the store at a time


@dataclass(frozen=True, slots=True)
class IndexVersion:
    """What was built or found: ``embedded`` chunks are new, ``reused`` had their vectors already."""

    id: str
    chunks: int
    embedded: int
    reused: int


@dataclass(frozen=True, slots=True)
class _Entry:
    """A chunk to be indexed: its id, the hash of its indexed text, and that text's length in characters."""

    id: str
    key: str
    length: int


def chunks_hash(ids: Iterable[str]) -> str:
    """Hash of a set of chunk ids, whatever their order."""
    return content_hash(*sorted(ids))


def build_index(
    catalog: Catalog,
    folder: Path,
    store: str,
    embedder: Embedder,
    progress: Progress,
    left_out: Collection[str] = (),
) -> IndexVersion:
    """Make the version that fits the catalogue's chunks, and make it the one in use; nothing to do if it is already.

    Chunks of the documents ``left_out`` are not indexed. Vectors come from the cache beside the versions wherever
    the same text was embedded before by the same embedder; new ones are in it as soon as their batch is done, so a
    killed run goes on where it was. Raises NotReady if there is no chunk.
    """
    entries = _entries(catalog, left_out)
    if not entries:
        raise NotReady("There is no text to index; run `fieldguide ingest` on files that can be read.")
    hashed = chunks_hash(entry.id for entry in entries)
    version = content_hash(store, embedder.id, hashed)[:16]
    target = folder / version
    known = {a.id: a for a in catalog.artefacts(KIND)}
    if version in known and target.exists():
        if not known[version].active:
            catalog.add_artefact(KIND, version, known[version].manifest, activate=True)
        return IndexVersion(version, len(entries), 0, len(entries))
    shutil.rmtree(target, ignore_errors=True)  # left by a run that was killed before its row was written
    manifest = _manifest(version, store, embedder, len(entries), hashed)
    cache = VectorCache(folder / CACHE, embedder.id, embedder.dimension)
    try:
        fresh = _embed_missing(catalog, entries, cache, embedder, progress)
        with folder_atomically(target) as part_folder:
            opened = open_store(store, part_folder, embedder.dimension)
            for start in range(0, len(entries), _ADD):
                part = entries[start : start + _ADD]
                opened.add([entry.id for entry in part], cache.get([entry.key for entry in part]))
            opened.save()
            opened.close()
            write_json(part_folder / "manifest.json", manifest)
    except sqlite3.OperationalError as error:
        raise WorkspaceError(f"{folder / CACHE} cannot be written ({error}): mend that and run it again.") from error
    finally:
        cache.close()
    before = catalog.active(KIND)
    catalog.add_artefact(KIND, version, manifest, activate=True)
    _clear(folder, keep={version, before.id if before is not None else version})
    return IndexVersion(version, len(entries), fresh, len(entries) - fresh)


def purge_index(catalog: Catalog, folder: Path, left_out: Collection[str] = ()) -> None:
    """Forget every vector of what is in no chunk any more: earlier versions go, and the cache is cut down."""
    entries = _entries(catalog, left_out)
    if not entries:
        catalog.deactivate(KIND)
    active = catalog.active(KIND)
    if folder.exists():
        _clear(folder, keep={active.id} if active is not None else set())
    if (folder / CACHE).exists():
        cache = VectorCache(folder / CACHE, "", 0)
        cache.keep_only(entry.key for entry in entries)
        cache.close()


def _entries(catalog: Catalog, left_out: Collection[str]) -> list[_Entry]:
    return [
        _Entry(chunk.id, content_hash(chunk.indexed_text), len(chunk.indexed_text))
        for chunk in catalog.iter_chunks()
        if chunk.document not in left_out
    ]


def _embed_missing(
    catalog: Catalog, entries: Sequence[_Entry], cache: VectorCache, embedder: Embedder, progress: Progress
) -> int:
    """Embed the texts that have no vector, the longest first so that batches hold texts of a length."""
    known = cache.known()
    missing = {entry.key: entry for entry in entries if entry.key not in known}
    waiting = sorted(missing.values(), key=lambda entry: (-entry.length, entry.key))
    progress.start("embedding", len(entries), done=len(entries) - len(waiting))
    for start in range(0, len(waiting), _EMBED):
        part = waiting[start : start + _EMBED]
        chunks = catalog.chunks_by_id([entry.id for entry in part])
        cache.put([entry.key for entry in part], embedder.embed([chunks[entry.id].indexed_text for entry in part]))
        progress.advance(len(part))
    return len(waiting)


def _clear(folder: Path, keep: set[str]) -> None:
    """Remove what earlier and killed runs left, but for the version before, which readers may still have open."""
    for old in folder.iterdir():
        if old.is_dir() and old.name not in keep:
            shutil.rmtree(old, ignore_errors=True)


def _manifest(version: str, store: str, embedder: Embedder, chunks: int, hashed: str) -> dict[str, Any]:
    return {
        "id": version, "store": store, "embedder": embedder.id, "dimension": embedder.dimension,
        "chunks": chunks, "chunks_hash": hashed, "version": __version__,
        "created": time.strftime("%Y-%m-%dT%H:%M:%S"),
    }  # fmt: skip


def open_index(catalog: Catalog, folder: Path, embedder: Embedder) -> tuple[str, VectorStore]:
    """The version in use and its store. Raises NotReady if there is none, IndexMismatch for another embedder."""
    active = catalog.active(KIND)
    if active is None or not (folder / active.id / "manifest.json").exists():
        raise NotReady("There is no index yet; run `fieldguide ingest` first.")
    if active.manifest["embedder"] != embedder.id:
        raise IndexMismatch(
            f"The index was built with the embedder {active.manifest['embedder']}, not with {embedder.id}; "
            "run `fieldguide ingest` to build it anew, or set models.embedder back."
        )
    return active.id, open_store(active.manifest["store"], folder / active.id, embedder.dimension)
