"""Frozen test sets: complete pairs in a file whose name is the hash of what it holds, so that reports can be compared.

A set is never changed; another one gets another name, and one that quotes a deleted document is deleted. Knows files,
not the catalogue.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fieldguide.errors import FieldguideError, IntegrityError, NotReady
from fieldguide.files import write_atomically, write_json
from fieldguide.models.base import Embedder
from fieldguide.rows import pair_of
from fieldguide.types import QAPair, content_hash
from ingest.qa.leaks import guard
from ingest.qa.same import documents_of

_SHORTEST = 8


@dataclass(frozen=True, slots=True)
class FrozenSet:
    """A frozen set: its hash (64 hex characters), its file (JSON lines), and what its manifest says."""

    hash: str
    path: Path
    manifest: dict[str, Any]


def freeze(pairs: Iterable[QAPair], folder: Path, seed: int) -> FrozenSet:
    """Write the pairs, all of the split test, to ``folder/HASH.jsonl`` with the manifest ``HASH.json``.

    The same pairs in any order are the same set, and freezing it again changes nothing. ``seed`` is that of the
    settings, for the manifest. Raises NotReady for no pairs, FieldguideError for one that is not of the test split.
    """
    held = sorted(pairs, key=lambda pair: pair.id)
    if not held:
        raise NotReady("There are no test pairs to freeze; run `fieldguide qa` first.")
    for pair in held:
        if pair.split != "test":
            raise FieldguideError(f"The pair {pair.id} is of the split {pair.split}; only test pairs are frozen.")
    lines = [json.dumps(asdict(pair), sort_keys=True) for pair in held]
    name = content_hash(*lines)
    path = folder / f"{name}.jsonl"
    if path.exists() and path.with_suffix(".json").exists():
        read_frozen(folder, name)  # raises if it was edited since
        return FrozenSet(name, path, json.loads(path.with_suffix(".json").read_text("utf-8")))
    manifest = {
        "hash": name,
        "n": len(held),
        "groups": _counts(pair.group for pair in held),
        "kinds": _counts(pair.kind for pair in held),
        "levels": _counts(pair.level for pair in held),
        "documents": sorted({name for pair in held for name in documents_of(pair)}),
        "seed": seed,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    write_atomically(path, "\n".join(lines) + "\n")
    path.chmod(0o444)
    write_json(path.with_suffix(".json"), manifest)  # last: a set without one was killed on the way
    return FrozenSet(name, path, manifest)


def read_frozen(folder: Path, name: str) -> list[QAPair]:
    """The pairs of the set with this hash, or the beginning of it (8 characters or more), in the order of their ids.

    Raises FieldguideError if there is none or several, IntegrityError if the file is not what its name says.
    """
    found = sorted(folder.glob(f"{name}*.jsonl")) if len(name) >= _SHORTEST and name.isalnum() else []
    if len(found) != 1:
        raise FieldguideError(f"There are {len(found) or 'no'} frozen test sets {name} in {folder}.")
    try:
        lines = found[0].read_text("utf-8").removesuffix("\n").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise FieldguideError(f"The frozen test set {found[0]} cannot be read: {error}.") from None
    if content_hash(*lines) != found[0].stem:
        raise IntegrityError(f"The frozen test set {found[0]} was edited since; restore it, or freeze anew.")
    return [pair_of(json.loads(line)) for line in lines]


def guard_frozen(
    frozen: Sequence[QAPair],
    pairs: Iterable[QAPair],
    embedder: Embedder | None,
    alike: float,
    ties: Mapping[str, str] | None = None,
) -> None:
    """Raises LeakError if one of the current ``pairs`` of the split train says what the frozen ones test."""
    guard([*(pair for pair in pairs if pair.split == "train"), *frozen], embedder, alike, ties)


def keep_only(folder: Path, documents: Collection[str]) -> list[str]:
    """Delete the sets that quote a document which is none of these, for its text shall be gone; their hashes."""
    gone = []
    for path in sorted(folder.glob("*.jsonl")):
        manifest = path.with_suffix(".json")
        if manifest.exists() and set(json.loads(manifest.read_text("utf-8"))["documents"]) <= set(documents):
            continue
        path.unlink()
        manifest.unlink(missing_ok=True)
        gone.append(path.stem)
    return gone


def _counts(values: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(values).items()))
