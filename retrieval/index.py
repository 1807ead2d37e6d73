"""An index version as it is read: its channels over its parts. ``retrieval.build`` makes versions.

A reader keeps what it opened: a version that is put in use later does not change it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fieldguide.catalog import Artefact, Catalog
from fieldguide.errors import IndexMismatch, NotReady
from fieldguide.models.base import Embedder
from fieldguide.settings import Index as IndexSettings
from retrieval.parts import Parts, is_whole, part_folder
from retrieval.query import Among, Channel, Queries
from retrieval.questions import QuestionsChannel
from retrieval.vectors import Hits, open_store
from retrieval.words import Words, WordsChannel

KIND = "index"
GONE = "gone.json"


class DenseChannel:
    """Chunks by the cosine similarity of their vectors to the query's."""

    name = "dense"

    def __init__(self, store: Parts) -> None:
        self._store = store

    def search(self, queries: Queries, k: int, among: Among = None) -> list[Hits]:
        return self._store.search(queries.vectors, k, among)


@dataclass(frozen=True)
class Index:
    """An opened version. ``id`` is the hash of its content: the same chunks, questions, embedder and settings."""

    id: str
    dense: Parts
    channels: Mapping[str, Channel]
    words: Words
    questions: Parts | None = None

    def close(self) -> None:
        """Let go of files and connections."""
        self.dense.close()
        self.words.close()
        if self.questions is not None:
            self.questions.close()


def is_there(folder: Path, manifest: Mapping[str, Any]) -> bool:
    """Whether the version's own folder and all its parts are on the disk."""
    parts = [part for named in manifest.get("parts", {}).values() for part in named]
    return bool(parts) and (folder / manifest["id"] / GONE).exists() and all(is_whole(folder, part) for part in parts)


def gone_ids(folder: Path, manifest: Mapping[str, Any]) -> frozenset[str]:
    """Ids that the version's parts hold and that count as deleted. Raises IndexMismatch if the file is damaged."""
    version = folder / manifest["id"]
    try:
        return frozenset(json.loads((version / GONE).read_text("utf-8")))
    except ValueError:
        raise IndexMismatch(
            f"{version / GONE} is damaged; delete {version} and run `fieldguide index` to build the index anew."
        ) from None


def open_index(catalog: Catalog, folder: Path, embedder: Embedder, artefact: str | None = None) -> Index:
    """The version in use, or the one named. Raises NotReady if there is none, IndexMismatch for another embedder."""
    while artefact is None:
        found = catalog.active(KIND)
        try:
            return _opened(folder, embedder, found)
        except (NotReady, IndexMismatch, OSError):
            now = catalog.active(KIND)
            if now is None or found is None or now.id == found.id:
                raise  # else another process has put a version in use meanwhile, and removed the one before
    return _opened(folder, embedder, next((known for known in catalog.artefacts(KIND) if known.id == artefact), None))


def _opened(folder: Path, embedder: Embedder, found: Artefact | None) -> Index:
    if found is None or not is_there(folder, found.manifest):
        made_before = found is not None and "parts" not in found.manifest
        raise NotReady(
            "The index was made by an earlier version of Fieldguide; run `fieldguide index` to make it anew."
            if made_before
            else "There is no index yet; run `fieldguide ingest` first."
        )
    manifest = found.manifest
    if manifest["embedder"] != embedder.id:
        raise IndexMismatch(
            f"The index was built with the embedder {manifest['embedder']}, not with {embedder.id}; "
            "run `fieldguide index` to build it anew, or set models.embedder back."
        )
    settings = IndexSettings.model_validate(manifest["settings"])
    gone = gone_ids(folder, manifest)

    def parts(channel: str) -> Parts:
        named = manifest["parts"][channel]
        return Parts([open_store(settings, part_folder(folder, p), embedder.dimension) for p in named], gone)

    dense = parts("dense")
    words = Words(part_folder(folder, manifest["parts"]["words"][0]))
    channels: dict[str, Channel] = {"dense": DenseChannel(dense), "words": WordsChannel(words)}
    questions = parts("questions") if manifest["parts"]["questions"] else None
    if questions is not None:
        channels["questions"] = QuestionsChannel(questions)
    return Index(manifest["content"], dense, channels, words, questions)
