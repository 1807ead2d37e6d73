"""Index versions: building one from the chunks, reusing what the last one holds, and opening the one in use.

A version is a folder with vectors and a manifest that names its inputs by hash. It is never changed once it is
there; one row in the catalogue makes another version the one in use.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fieldguide import __version__
from fieldguide.catalog import Catalog
from fieldguide.errors import IndexMismatch, NotReady
from fieldguide.files import folder_atomically, write_json
from fieldguide.models.base import Embedder
from fieldguide.types import Chunk, Progress, content_hash
from retrieval.vectors import VectorStore, open_store

KIND = "index"
_BATCH = 64


@dataclass(frozen=True, slots=True)
class IndexVersion:
    """What was built or found: ``embedded`` chunks are new, ``reused`` were taken over from the version before."""

    id: str
    chunks: int
    embedded: int
    reused: int


def chunks_hash(chunks: Sequence[Chunk]) -> str:
    """Hash of a set of chunks, whatever their order."""
    return content_hash(*sorted(chunk.id for chunk in chunks))


def build_index(catalog: Catalog, folder: Path, store: str, embedder: Embedder, progress: Progress) -> IndexVersion:
    """Make the version that fits the catalogue's chunks, and make it the one in use; nothing to do if it is already.

    Vectors of unchanged chunks are taken over from the version in use if it is of the same embedder.
    """
    chunks = catalog.chunks()
    if not chunks:
        raise NotReady("There is no text to index; run `fieldguide ingest` on files that can be read.")
    version = content_hash(store, embedder.id, chunks_hash(chunks))[:16]
    target = folder / version
    known = {a.id: a for a in catalog.artefacts(KIND)}
    if version in known and target.exists():
        if not known[version].active:
            catalog.add_artefact(KIND, version, known[version].manifest, activate=True)
        return IndexVersion(version, len(chunks), 0, len(chunks))
    shutil.rmtree(target, ignore_errors=True)  # left by a run that was killed before its row was written
    reused = _reusable(catalog, folder, embedder, chunks)
    fresh = [chunk for chunk in chunks if chunk.id not in reused]
    vectors = np.zeros((len(chunks), embedder.dimension), dtype=np.float32)
    row = {chunk.id: n for n, chunk in enumerate(chunks)}
    for name, vector in reused.items():
        vectors[row[name]] = vector
    progress.start("embedding", len(chunks), done=len(chunks) - len(fresh))
    fresh.sort(key=lambda chunk: len(chunk.indexed_text))
    for start in range(0, len(fresh), _BATCH):
        part = fresh[start : start + _BATCH]
        vectors[[row[chunk.id] for chunk in part]] = embedder.embed([chunk.indexed_text for chunk in part])
        progress.advance(len(part))
    manifest = _manifest(version, store, embedder, chunks)
    with folder_atomically(target) as part_folder:
        opened = open_store(store, part_folder, embedder.dimension)
        opened.add([chunk.id for chunk in chunks], vectors)
        opened.save()
        opened.close()
        write_json(part_folder / "manifest.json", manifest)
    before = catalog.active(KIND)
    catalog.add_artefact(KIND, version, manifest, activate=True)
    _clear(folder, keep={version, before.id if before is not None else version})
    return IndexVersion(version, len(chunks), len(fresh), len(reused))


def _clear(folder: Path, keep: set[str]) -> None:
    """Remove what earlier and killed runs left, but for the version before, which readers may still have open."""
    for old in folder.iterdir():
        if old.is_dir() and old.name not in keep:
            shutil.rmtree(old, ignore_errors=True)


def _manifest(version: str, store: str, embedder: Embedder, chunks: Sequence[Chunk]) -> dict[str, Any]:
    return {
        "id": version, "store": store, "embedder": embedder.id, "dimension": embedder.dimension,
        "chunks": len(chunks), "chunks_hash": chunks_hash(chunks), "version": __version__,
        "created": time.strftime("%Y-%m-%dT%H:%M:%S"),
    }  # fmt: skip


def _reusable(catalog: Catalog, folder: Path, embedder: Embedder, chunks: Sequence[Chunk]) -> dict[str, list[float]]:
    active = catalog.active(KIND)
    if active is None or active.manifest["embedder"] != embedder.id or not (folder / active.id).exists():
        return {}
    store = open_store(active.manifest["store"], folder / active.id, embedder.dimension)
    try:
        return store.vectors([chunk.id for chunk in chunks])
    finally:
        store.close()


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
