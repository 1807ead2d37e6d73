"""Index versions: building one from the chunks, embedding and writing only what is new, and making it the one in use.

A version is a manifest that names immutable parts (``retrieval.parts``): vectors in a base part and at most one small
part of later additions, words, questions. What was deleted since a part was written is named beside the manifest.
Nothing that is being read is changed; one row in the catalogue makes another version the one in use, in all channels.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from fieldguide.catalog import Catalog
from fieldguide.errors import NotReady, WorkspaceError
from fieldguide.models.base import Embedder
from fieldguide.settings import Index as IndexSettings
from fieldguide.types import Progress, content_hash
from retrieval.index import KIND
from retrieval.questions import question_entries
from retrieval.vector_cache import VectorCache
from retrieval.versions import CACHE, SHARE, Maker, clear, indexed_texts


@dataclass(frozen=True, slots=True)
class IndexVersion:
    """What was built or found: ``embedded`` texts are new, ``reused`` had their vectors already.

    ``id`` is the hash of the content; ``artefact`` is the version's id in the catalogue.
    """

    id: str
    artefact: str
    chunks: int
    embedded: int
    reused: int


def build_index(
    catalog: Catalog,
    folder: Path,
    settings: IndexSettings,
    embedder: Embedder,
    progress: Progress,
    *,
    questions: bool = False,
    left_out: Collection[str] = (),
    merge: bool = False,
    activate: bool = True,
) -> IndexVersion:
    """Make the version that fits the catalogue's chunks, and make it the one in use; nothing to do if it is already.

    Chunks of the documents ``left_out`` are not indexed. ``questions`` adds the channel of the pairs' questions.
    Vectors come from the cache beside the versions wherever the same text was embedded before by the same embedder;
    new ones are in it as soon as their batch is done, so a killed run goes on where it was. An approximate index,
    which takes long to write anew, is first put in use with what was added beside it and merged afterwards, while it
    is searched. ``merge`` leaves nothing of what is gone in any part. Without ``activate`` the version is made and not
    put in use (see ``Catalog.activate``). Raises NotReady if there is no chunk.
    """
    chunks = catalog.chunk_ids(left_out)
    if not chunks:
        raise NotReady("There is no text to index; run `fieldguide ingest` on files that can be read.")
    asked = question_entries(catalog.pairs(), set(chunks)) if questions else {}
    try:
        with contextlib.closing(Maker(catalog, folder, settings, embedder, progress, chunks, asked, activate)) as maker:
            if merge or not maker.slow:
                artefact = maker.make(0.0 if merge else SHARE)
            else:
                maker.make(1.0)
                artefact = maker.make(SHARE)
    except sqlite3.OperationalError as error:
        raise WorkspaceError(f"{folder / CACHE} cannot be written ({error}): mend that and run it again.") from error
    except sqlite3.DatabaseError as error:
        raise WorkspaceError(f"{folder / CACHE} is damaged ({error}): delete it, it is a cache.") from error
    reused = len(chunks) + len(asked) - maker.embedded
    return IndexVersion(maker.content, artefact, len(chunks), maker.embedded, reused)


def purge_index(catalog: Catalog, folder: Path, left_out: Collection[str] = ()) -> None:
    """Forget what is in no chunk any more: earlier versions go, and the cache is cut down.

    The version in use stays as it is; ``build_index`` with ``merge``, before, leaves nothing in its parts either.
    """
    chunks = catalog.chunk_ids(left_out)
    if not chunks:
        catalog.deactivate(KIND)
    active = catalog.active(KIND)
    if folder.exists():
        clear(folder, [active.manifest] if active is not None else [])
    if (folder / CACHE).exists():
        texts = [pair.question for pair in catalog.pairs()]
        texts += indexed_texts(catalog, chunks).values()
        cache = VectorCache(folder / CACHE, "", 0)
        cache.keep_only(content_hash(text) for text in texts)
        cache.close()
