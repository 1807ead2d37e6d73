"""What the steps of retrieval share: the queries, and the Protocols of channels, rerankers and expanders.

Knows no library. ``retrieval.retriever`` puts the steps together.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from fieldguide.models.base import Embedder, Generator, Vectors
from fieldguide.types import ScoredChunk
from retrieval.vectors import Hits

Among = frozenset[str] | None
"""The only chunk ids that take part in a search; None: all. The same object comes again and again: what is derived
from it (a selector, a filter) may be kept."""


class Queries:
    """A batch of queries; they are embedded once, when the first step asks for it."""

    def __init__(self, texts: Sequence[str], embedder: Embedder) -> None:
        # bytes that are no UTF-8 come from a command line as lone surrogates, which no tokenizer takes
        self.texts = tuple(text.encode("utf-8", "replace").decode("utf-8") for text in texts)
        self._embedder = embedder
        self._lock = threading.Lock()  # channels that search at the same time share the vectors
        self._vectors: Vectors | None = None

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def vectors(self) -> Vectors:
        """Unit vectors of shape (len(texts), dimension)."""
        with self._lock:
            if self._vectors is None:
                self._vectors = self._embedder.embed(self.texts)
            return self._vectors


class Channel(Protocol):
    """One way to find chunks: by vectors, by words, by the questions that were generated from them."""

    @property
    def name(self) -> str: ...

    def search(self, queries: Queries, k: int, among: Among = None) -> list[Hits]:
        """The k best chunk ids of each query with the channel's own score (higher is better), best first."""
        ...


class Reranker(Protocol):
    """Brings candidates into a better order."""

    @property
    def name(self) -> str:
        """As the setting retrieval.rerank says it, such as "mmr"."""
        ...

    @property
    def id(self) -> str:
        """Changes with everything that decides the order (weights, parameters)."""
        ...

    def rerank(self, queries: Queries, ranked: Sequence[Sequence[ScoredChunk]]) -> list[list[ScoredChunk]]:
        """The same candidates of each query, best first, each with its new ``score``, the same under ``scores[name]``,
        and its ``rank`` from 1."""
        ...


class Expander(Protocol):
    """Makes further queries from a query; what they find is fused with what the query finds."""

    @property
    def name(self) -> str:
        """As the setting retrieval.expand says it, such as "hyde"."""
        ...

    @property
    def id(self) -> str:
        """Changes with everything that decides the queries."""
        ...

    def expand(self, queries: Sequence[str]) -> list[list[str]]:
        """Further queries for each (none is fine)."""
        ...


VectorsOf = Callable[[Sequence[str]], Vectors]
"""Unit vectors of shape (len(ids), dimension) of indexed chunks. Raises KeyError for an id that has none."""


@dataclass(frozen=True)
class Tools:
    """What single steps need beside the index, loaded when a step is first used.

    ``generator`` gives the generator; ``adapter`` is the id in it of the tuned adapter (None: base).
    ``cross_encoder`` is the folder of the one that was tuned on this workspace's pairs, if any; ``models`` an offline
    folder of weights, ``device`` as in settings.
    """

    generator: Callable[[], Generator]
    adapter: Callable[[], str | None]
    cross_encoder: Path | None = None
    models: Path | None = None
    device: str = "auto"
