"""The registry of adapters: what there is, which one is in use, what has moved since one was tuned.

An adapter is a folder with its weights and a row in the catalogue with its manifest; the row is what counts. Reads
manifests of every version: what an older one lacks is None. Loads no model.
"""

from __future__ import annotations

import difflib
import os
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fieldguide.catalog import Catalog
from fieldguide.errors import FieldguideError, ModelError, NotReady
from fieldguide.files import file_hash, folder_size
from fieldguide.models.adapters import CONFIG, WEIGHTS
from fieldguide.types import QAPair, content_hash

KIND = "adapter"
_ID = re.compile(r"[0-9a-f]{16}")
_DELETED = ".deleted"


@dataclass(frozen=True, slots=True)
class Entry:
    """An adapter of the catalogue and its folder. ``bytes`` is the size on the disk, 0 if the folder is gone."""

    id: str
    created: str
    active: bool
    manifest: Mapping[str, Any]
    folder: Path
    bytes: int

    @property
    def whole(self) -> bool:
        """Whether the files are there that serving needs."""
        return all((self.folder / name).is_file() for name in (WEIGHTS, CONFIG))


@dataclass(frozen=True, slots=True)
class Drift:
    """What has moved since an adapter was tuned.

    ``index``, ``retriever`` and ``prompt`` tell whether they are others now (None: not looked at, or not recorded).
    ``facts`` is how many it was tuned on (None: not recorded), of which ``edited`` say something else now,
    ``rejected`` were rejected by a person, and ``gone`` have no pair any more. ``deleted`` of ``documents`` are gone.
    """

    index: bool | None
    retriever: bool | None
    prompt: bool | None
    facts: int | None
    edited: int
    rejected: int
    gone: int
    documents: int
    deleted: int

    @property
    def changed(self) -> int:
        return self.edited + self.rejected + self.gone

    @property
    def share(self) -> float | None:
        """Share of the training facts that changed, 0 to 1; None if it is not known."""
        return None if self.facts is None else self.changed / max(self.facts, 1)

    @property
    def clauses(self) -> list[str]:
        """What moved, each as the rest of a sentence; empty if nothing did."""
        said = []
        if self.changed:
            parts = {"edited": self.edited, "rejected": self.rejected, "gone": self.gone}
            how = ", ".join(f"{n} {what}" for what, n in parts.items() if n)
            verb = "has" if self.changed == 1 else "have"
            share = _percent(self.changed, self.facts or 0)
            said.append(f"{self.changed} of {self.facts} facts ({share}) it was tuned on {verb} changed ({how})")
        if self.deleted:
            are = "is" if self.deleted == 1 else "are"
            said.append(f"{self.deleted} of {self.documents} documents it was tuned on {are} deleted")
        if self.index:
            said.append("the index has changed")
        elif self.retriever:
            what = "the retrieval settings have" if self.index is False else "the index or the retrieval settings have"
            said.append(f"{what} changed")
        if self.prompt:
            said.append("the prompt has changed")
        if said and self.facts is None:
            said.append("how many of its facts have changed is not known, since its manifest does not name them")
        return said

    def sentence(self, adapter: str) -> str:
        """One sentence for users, "" if nothing moved."""
        said = "; ".join(self.clauses)
        return f"Since adapter {adapter} was tuned, {said}." if said else ""


def fact(pair: QAPair) -> str:
    """Hash of what a pair teaches: question, answer and the quotes that prove it. Its places may move."""
    return content_hash(pair.question, pair.answer, *(evidence.quote for evidence in pair.evidence))


def facts(pairs: Iterable[QAPair]) -> dict[str, str]:
    """The hash of each pair's fact by the pair's id: what a manifest keeps under "facts"."""
    return {pair.id: fact(pair) for pair in pairs}


def standing(catalog: Catalog) -> dict[str, str]:
    """The facts of all pairs as they are now, "" for those that a person rejected."""
    return {pair.id: "" if pair.verdict == "rejected" else fact(pair) for pair in catalog.pairs(every=True)}


def drift(
    manifest: Mapping[str, Any],
    catalog: Catalog,
    retriever_recipe: str | None,
    index_id: str | None,
    prompt_hash: str | None,
    now: Mapping[str, str] | None = None,
) -> Drift:
    """What has moved since the adapter of this manifest was tuned. None: do not look at that.

    ``now`` is ``standing(catalog)``, for callers that ask about several adapters. Reads every pair once: 0.13 s
    of a core for 5,000 of them, 0.5 s for 20,000.
    """
    tuned_on = manifest.get("facts")
    edited = rejected = gone = 0
    if tuned_on:
        now = standing(catalog) if now is None else now
        found = [(was, now.get(name)) for name, was in tuned_on.items()]
        gone = sum(fact is None for _, fact in found)
        rejected = sum(fact == "" for _, fact in found)
        edited = sum(bool(fact) and fact != was for was, fact in found)
    documents = set(manifest.get("documents", ()))
    deleted = documents & set(manifest.get("deleted_documents", ()))
    if documents:
        deleted |= documents - {document.id for document in catalog.documents()}
    return Drift(
        _differs(manifest.get("index"), index_id), _differs(manifest.get("retriever"), retriever_recipe),
        _differs(manifest.get("prompt"), prompt_hash), None if tuned_on is None else len(tuned_on), edited, rejected,
        gone, len(documents), len(deleted),
    )  # fmt: skip


def _differs(before: str | None, now: str | None) -> bool | None:
    return None if before is None or now is None else before != now


def _percent(part: int, whole: int) -> str:
    """A share that is never rounded to none or all."""
    rate = 100 * part / max(whole, 1)
    return "<1%" if 0 < rate < 1 else ">99%" if 99 < rate < 100 else f"{rate:.0f}%"


def entries(catalog: Catalog, folder: Path) -> list[Entry]:
    """Every adapter of the catalogue, oldest first."""
    found = []
    for row in catalog.artefacts(KIND):
        where = folder / row.id
        created = str(row.manifest.get("created", row.created))
        found.append(Entry(row.id, created, row.active, row.manifest, where, folder_size(where)))
    return sorted(found, key=lambda entry: (entry.created, entry.id))


def leftovers(catalog: Catalog, folder: Path) -> list[str]:
    """Folders of adapters that the catalogue does not know: a deletion or a training was killed before its end."""
    known = {row.id for row in catalog.artefacts(KIND)}
    here = {path.name for path in folder.iterdir() if path.is_dir()} if folder.is_dir() else set()
    return sorted(name for name in here - known if _ID.fullmatch(name))


def find(given: str, known: Sequence[Entry], others: Sequence[str] = ()) -> str:
    """The id that begins with ``given``, also of the whole SHA-256 that answers show; ``others`` are further ids.

    Raises NotReady if there is no adapter at all, FieldguideError if none or several begin so.
    """
    names = {entry.id: str(entry.manifest.get("sha256", entry.id)) for entry in known} | {name: name for name in others}
    if not names:
        raise NotReady("There are no adapters yet; run `fieldguide tune` to make one.")
    wanted = given.strip().lower()
    fits = sorted(n for n, whole in names.items() if wanted and (n.startswith(wanted) or whole.startswith(wanted)))
    if len(fits) == 1:
        return fits[0]
    if fits:
        raise FieldguideError(f"{len(fits)} adapters begin with {given!r} ({', '.join(fits)}): give more of the id.")
    nearest = difflib.get_close_matches(wanted, names, 1, 0.0) or sorted(names)[:1]
    raise FieldguideError(
        f"No adapter begins with {given!r}; the nearest is {nearest[0]} (`fieldguide adapters list` shows all)."
    )


def check(entry: Entry, base: str, base_hash: str | None = None) -> None:
    """Raises ModelError, in one sentence, if this adapter cannot be served.

    That is: files are missing, its weights are not those of its manifest, or it belongs to another model than ``base``
    (the name, without a hash) or, where it is known, than the one with this ``base_hash``.
    """
    if not entry.whole:
        raise ModelError(
            f"The files of adapter {entry.id} are missing from {entry.folder}: put them back, or run "
            f"`fieldguide adapters delete {entry.id}` and tune again."
        )
    wanted, found = entry.manifest.get("sha256"), file_hash(entry.folder / WEIGHTS)
    if wanted is not None and found != wanted:
        raise ModelError(
            f"The weights of adapter {entry.id} in {entry.folder} have the SHA-256 {found[:16]}… and its manifest says "
            f"{wanted[:16]}…: put the right file back, or delete the adapter and tune again."
        )
    name = str(entry.manifest.get("base", "")).rpartition(":")[0]
    if name and name != base:
        raise ModelError(
            f"Adapter {entry.id} belongs to the model {name} and models.generator is {base}: set that to the "
            "adapter's model first, or tune anew."
        )
    hashes = entry.manifest.get("base_hash")
    hashes = list(hashes.values()) if isinstance(hashes, Mapping) else [hashes]
    if base_hash is not None and hashes[0] is not None and base_hash not in hashes:
        raise ModelError(
            f"Adapter {entry.id} was tuned on other weights of {base} (hash {str(hashes[0])[:16]}, loaded is "
            f"{base_hash[:16]}): use those weights, in the same dtype, or tune anew."
        )


def delete(catalog: Catalog, folder: Path, ids: Sequence[str]) -> int:
    """Remove adapters, by their whole ids: rows, then folders; returns the bytes that became free.

    The row goes first, so at every moment an adapter is either whole or unknown; what a killed deletion left of a
    folder is removed by the next one, or, not yet renamed, is one of ``leftovers``.
    """
    freed = 0
    for name in ids:
        catalog.remove_artefact(KIND, name)
        if (folder / name).is_dir():
            os.replace(folder / name, _free(folder, name))
    for old in folder.glob(f".*{_DELETED}*"):
        freed += folder_size(old)
        shutil.rmtree(old)
    return freed


def _free(folder: Path, name: str) -> Path:
    """A hidden name that no earlier deletion of the same adapter has left behind."""
    paths = (folder / f".{name}{_DELETED}{n or ''}" for n in range(1000))
    return next(path for path in paths if not path.exists())
