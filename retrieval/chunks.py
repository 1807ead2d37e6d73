"""Chunks by id from the catalogue, the ones that were asked for lately kept in memory: an index may hold millions."""

from __future__ import annotations

from collections.abc import Sequence

from fieldguide.catalog import Catalog
from fieldguide.types import Chunk

_KEPT = 20_000


class Chunks:
    """What retrieval reads of the catalogue."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._kept: dict[str, Chunk] = {}

    def get(self, ids: Sequence[str]) -> dict[str, Chunk]:
        """Those of the chunks that are still there."""
        missing = [name for name in dict.fromkeys(ids) if name not in self._kept]
        if missing:
            if len(self._kept) > _KEPT:
                self._kept.clear()
            self._kept |= self._catalog.chunks_by_id(missing)
        return {name: self._kept[name] for name in ids if name in self._kept}

    def of_document(self, document: str) -> Sequence[Chunk]:
        """A document's chunks in reading order."""
        return self._catalog.chunks(document)

    def page_text(self, document: str, number: int) -> str:
        """Raises KeyError if there is no such page."""
        return self._catalog.page(document, number).text
