"""How an index version comes about: which parts stay, what a new part gets, and the manifest that names them."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fieldguide import __version__
from fieldguide.catalog import Artefact, Catalog
from fieldguide.files import folder_atomically, write_json
from fieldguide.models.base import Embedder
from fieldguide.settings import Index as IndexSettings
from fieldguide.types import Progress, content_hash
from retrieval.index import GONE, KIND, gone_ids, is_there
from retrieval.parts import FOLDER, is_whole, make_part, part_folder, remove_others, told_of
from retrieval.vector_cache import VectorCache
from retrieval.vectors import open_store
from retrieval.words import ANALYSIS, Entry, write_words

CACHE = "vectors.sqlite"
_EMBED = 256  # texts that are embedded before their vectors are on disk
_ADD = 4096  # vectors that are handed to a store at a time
SHARE = 0.1
"""Of the base part: so much may be added or gone before the parts are merged."""

Texts = Callable[[Sequence[str]], dict[str, str]]


@dataclass(frozen=True, slots=True)
class Plan:
    """Which parts stay, which ids a new part gets (none: no new part), and which ids of those that stay are gone."""

    keep: tuple[str, ...]
    write: tuple[str, ...]
    gone: frozenset[str]


def chunks_hash(ids: Iterable[str]) -> str:
    """Hash of a set of ids, whatever their order."""
    return content_hash(*sorted(ids))


def plan(parts: Sequence[tuple[str, frozenset[str]]], wanted: Sequence[str], share: float = SHARE) -> Plan:
    """How the wanted ids come about from the parts that are there (base first), each with its ids.

    Where more than ``share`` of the base part is to be added or is gone, everything is written anew.
    """
    if not parts:
        return Plan((), tuple(wanted), frozenset())
    base, held = parts[0]
    new, gone = [name for name in wanted if name not in held], held - frozenset(wanted)
    if max(len(new), len(gone)) > share * len(held):
        return Plan((), tuple(wanted), frozenset())
    if not new:
        return Plan((base,), (), gone)
    for later, added in parts[1:]:
        if added == set(new):
            return Plan((base, later), (), gone)
    return Plan((base,), tuple(new), gone)


class Maker:
    """Makes a version of this content: parts from what the last version has, then its manifest, then its row."""

    def __init__(
        self,
        catalog: Catalog,
        folder: Path,
        settings: IndexSettings,
        embedder: Embedder,
        progress: Progress,
        chunks: Sequence[str],
        asked: Mapping[str, str],
        activate: bool,
    ) -> None:
        self._catalog, self._folder, self._settings = catalog, folder, settings
        self._embedder, self._progress = embedder, progress
        self._chunks, self._asked, self._activate = chunks, asked, activate
        self._hashes = (chunks_hash(chunks), chunks_hash(asked) if asked else "")
        self._cache = VectorCache(folder / CACHE, embedder.id, embedder.dimension)
        self.content = content_hash(settings.model_dump_json(), embedder.id, ANALYSIS, *self._hashes)[:16]
        self.embedded = 0

    def close(self) -> None:
        self._cache.close()

    @property
    def slow(self) -> bool:
        """Whether the base part in use is one that takes long to write."""
        base = self._last().get("parts", {}).get("dense", ())[:1]
        return self._settings.store == "faiss" and any(self._size(part) > self._settings.exact_up_to for part in base)

    def make(self, share: float) -> str:
        """The id of the version with at most this share of the base part beside it or gone."""
        found = self._made_before(share)
        if found is not None:
            if self._activate and not found.active:
                self._catalog.activate([(KIND, found.id)])
            known = [artefact.manifest for artefact in self._catalog.artefacts(KIND)]
            clear(self._folder, [manifest for manifest in known if is_there(self._folder, manifest)])
            return found.id
        last = self._last()
        dense = self._vectors(last, "dense", self._chunks, lambda ids: indexed_texts(self._catalog, ids), share)
        asked = self._asked
        asking = self._vectors(last, "questions", list(asked), lambda ids: {i: asked[i] for i in ids}, share)
        anew = share == 0 or dense.keep[0] not in last.get("parts", {}).get("dense", ())
        parts = {"dense": dense.keep, "questions": asking.keep, "words": (self._words({} if anew else last),)}
        gone = sorted(dense.gone | asking.gone)
        version = content_hash(self.content, json.dumps(parts))[:16]
        manifest = {
            "id": version, "content": self.content, "store": self._settings.store,
            "settings": self._settings.model_dump(), "embedder": self._embedder.id,
            "dimension": self._embedder.dimension, "chunks": len(self._chunks), "chunks_hash": self._hashes[0],
            "questions": len(asked), "questions_hash": self._hashes[1], "parts": parts, "gone": len(gone),
            "analysis": ANALYSIS, "version": __version__, "created": time.strftime("%Y-%m-%dT%H:%M:%S"),
        }  # fmt: skip
        if not is_there(self._folder, manifest):  # what is there is the same, and may be in use
            shutil.rmtree(self._folder / version, ignore_errors=True)
            with folder_atomically(self._folder / version) as made:
                write_json(made / GONE, gone)
                write_json(made / "manifest.json", manifest)
        before = self._catalog.active(KIND)
        self._catalog.add_artefact(KIND, version, manifest, activate=self._activate)
        clear(self._folder, [manifest, before.manifest if before is not None else {}])
        return version

    def _made_before(self, share: float) -> Artefact | None:
        """A version of this content that is still there and whose parts need no merging; the one in use first."""
        known = [a for a in self._catalog.artefacts(KIND) if a.manifest.get("content") == self.content]
        for artefact in sorted(known, key=lambda a: not a.active):
            if is_there(self._folder, artefact.manifest) and self._beside(artefact.manifest) <= share:
                return artefact
        return None

    def _beside(self, manifest: Mapping[str, Any]) -> float:
        """What lies beside the base part or is gone, as a share of the base part, in the channel where that is most.

        Never 0 with words that were copied from an earlier part: what was deleted may still be in their segments.
        """
        parts = manifest["parts"]
        sizes = [[self._size(part) for part in parts[name]] for name in ("dense", "questions") if parts[name]]
        copied = told_of(self._folder, parts["words"][0]).get("copied", True)
        gone = int(manifest["gone"]) / sizes[0][0]
        return max(gone, 1e-9 if copied else 0.0, *(sum(later) / base for base, *later in sizes))

    def _size(self, part: str) -> int:
        return int(told_of(self._folder, part)["vectors"])

    def _last(self) -> Mapping[str, Any]:
        """The manifest of the version in use, if its parts can be used further."""
        active = self._catalog.active(KIND)
        last = active.manifest if active is not None else {}
        same = last.get("settings") == self._settings.model_dump() and last.get("embedder") == self._embedder.id
        return last if same and is_there(self._folder, last) else {}

    def _vectors(self, last: Mapping[str, Any], channel: str, ids: Sequence[str], texts: Texts, share: float) -> Plan:
        """The parts that hold the vectors of these ids, the new one written."""
        if not ids:
            return Plan((), (), frozenset())
        named: Sequence[str] = last.get("parts", {}).get(channel, ())
        chosen = plan([(part, self._ids(part)) for part in named], ids, share)
        if not chosen.write:
            return chosen
        part = content_hash(channel, self._settings.model_dump_json(), self._embedder.id, *sorted(chosen.write))[:16]
        if not is_whole(self._folder, part):
            keys = self._embed(chosen.write, texts)
            told = {"channel": channel, "embedder": self._embedder.id, "vectors": len(chosen.write)}
            make_part(
                self._folder, part, self._settings, told, lambda target: self._fill(target, channel, chosen.write, keys)
            )
        return Plan((*chosen.keep, part), chosen.write, chosen.gone)

    def _ids(self, part: str) -> frozenset[str]:
        store = open_store(self._settings, part_folder(self._folder, part), self._embedder.dimension)
        held = frozenset(store.ids())
        store.close()
        return held

    def _embed(self, ids: Sequence[str], texts: Texts) -> dict[str, str]:
        """Embed the texts that have no vector, the longest first so that batches hold texts of a length; text keys."""
        keys: dict[str, str] = {}
        lengths: dict[str, tuple[int, str]] = {}
        for start in range(0, len(ids), _ADD):
            found = texts(ids[start : start + _ADD])
            keys |= {name: content_hash(text) for name, text in found.items()}
            known = self._cache.known({keys[name] for name in found})
            lengths |= {keys[name]: (-len(text), name) for name, text in found.items() if keys[name] not in known}
        waiting = sorted(lengths, key=lambda key: (lengths[key][0], key))
        self._progress.start("embedding", len(ids), done=len(ids) - len(waiting))
        for start in range(0, len(waiting), _EMBED):
            part = waiting[start : start + _EMBED]
            names = [lengths[key][1] for key in part]
            found = texts(names)
            self._cache.put(part, self._embedder.embed([found[name] for name in names]))
            self._progress.advance(len(part))
        self.embedded += len(waiting)
        return keys

    def _fill(self, target: Path, channel: str, ids: Sequence[str], keys: Mapping[str, str]) -> None:
        store = open_store(self._settings, target, self._embedder.dimension, len(ids))
        self._progress.start(f"indexing ({channel})", len(ids))
        mixed = sorted(ids)  # by hash: an approximate store learns from the first ones, which must not be one document
        for start in range(0, len(mixed), _ADD):
            part = mixed[start : start + _ADD]
            store.add(part, self._cache.get([keys[name] for name in part]))
            self._progress.advance(len(part))
        store.save()
        store.close()

    def _words(self, last: Mapping[str, Any]) -> str:
        """The part that holds the chunks' words: a copy of the last one, if any, with what has changed since."""
        further = last.get("analysis") == ANALYSIS
        named: Sequence[str] = last["parts"]["words"] if further else ()
        part = content_hash("words", ANALYSIS, self._hashes[0], *named)[:16]
        before = part_folder(self._folder, named[0]) if named else None
        held: frozenset[str] = frozenset()
        if before is not None:
            held = frozenset(name for p in last["parts"]["dense"] for name in self._ids(p))
            held -= gone_ids(self._folder, last)
        wanted = frozenset(self._chunks)
        new = [name for name in self._chunks if name not in held]
        if named and not new and held == wanted:
            return named[0]

        def fill(target: Path) -> None:
            self._progress.start("indexing (words)", len(new))
            write_words(target, self._entries(new), held - wanted, before)

        told = {"channel": "words", "chunks": len(self._chunks), "copied": bool(named)}
        make_part(self._folder, part, self._settings, told, fill)
        return part

    def _entries(self, ids: Sequence[str]) -> Iterable[Entry]:
        for start in range(0, len(ids), _ADD):
            part = ids[start : start + _ADD]
            languages = self._catalog.facet_of_chunks("language", part)
            for name, chunk in self._catalog.chunks_by_id(part).items():
                yield Entry(name, chunk.text, chunk.context, languages.get(name, ""))
            self._progress.advance(len(part))


def indexed_texts(catalog: Catalog, ids: Sequence[str]) -> dict[str, str]:
    return {name: chunk.indexed_text for name, chunk in catalog.chunks_by_id(ids).items()}


def clear(folder: Path, keep: Sequence[Mapping[str, Any]]) -> None:
    """Remove what earlier and killed runs left, but for the version before, which readers may still open."""
    versions = {manifest["id"] for manifest in keep if manifest}
    parts = {part for manifest in keep for named in manifest.get("parts", {}).values() for part in named}
    for old in folder.iterdir():
        if old.is_dir() and old.name not in versions and old.name != FOLDER:
            shutil.rmtree(old, ignore_errors=True)
    remove_others(folder, parts)
