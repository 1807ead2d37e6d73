"""The main flow of retrieval: query → channels → fusion → reranking → passages → order.

One object for tuning, serving and evaluation. Every step is a switch in the settings, and leaves its scores and ranks
on what it found.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path

from fieldguide.catalog import Catalog
from fieldguide.errors import NotReady
from fieldguide.models.base import Embedder
from fieldguide.settings import Retrieval
from fieldguide.types import SUPERSEDED, Context, ScoredChunk, content_hash
from retrieval.chunks import Chunks
from retrieval.clues import Clues
from retrieval.expand import GeneratedQueries, expander
from retrieval.fusion import fuse
from retrieval.index import Index, open_index
from retrieval.listwise import ListwiseReranker
from retrieval.order import reorder
from retrieval.passages import Budget, pack, with_neighbours
from retrieval.query import Channel, Expander, Queries, Reranker, Tools
from retrieval.rerank import reranker
from retrieval.scope import EVERYTHING, Scope
from retrieval.trace import CLUES, Clock, Found, Places, places_of
from retrieval.vectors import Hits

_MORE = 3  # passages fetched for each that is wanted, where a later step may put some behind or together


class HybridRetriever:
    """A Retriever over one index version, which it keeps. ``using`` and ``within`` give others over the same."""

    def __init__(
        self,
        index: Index,
        chunks: Chunks,
        embedder: Embedder,
        settings: Retrieval,
        scope: Scope = EVERYTHING,
        newer: Mapping[str, str] | None = None,
        tools: Tools | None = None,
        budget: Budget | None = None,
        clues: Clues | None = None,
    ) -> None:
        """``newer`` tells of a superseded document which one took its place: where both are found, the newer one's
        chunks come first. ``budget`` is what the model's window leaves for passages. Raises NotReady if the index has
        not the channels that the settings name."""
        absent = [name for name in settings.channels if name not in index.channels]
        if absent:
            raise NotReady(
                f"The index has no channel {' or '.join(absent)}; name it in retrieval.channels and run "
                "`fieldguide index` (questions come from pairs: `fieldguide qa`)."
            )
        self._index, self._chunks, self._embedder = index, chunks, embedder
        self._settings, self._scope, self._newer = settings, scope, dict(newer or {})
        self._tools, self._budget = tools, budget
        self._clues = clues if settings.clues else None
        self._all_clues = clues

    @classmethod
    def open(
        cls,
        catalog: Catalog,
        folder: Path,
        embedder: Embedder,
        settings: Retrieval,
        *,
        scope: Scope = EVERYTHING,
        tools: Tools | None = None,
        budget: Budget | None = None,
        artefact: str | None = None,
    ) -> HybridRetriever:
        """On the index version in use, or on the one named. Raises NotReady or IndexMismatch."""
        index = open_index(catalog, folder, embedder, artefact)
        newer = {older: other for older, other, _ in catalog.relations(SUPERSEDED)}
        clues = Clues(catalog.sources(), catalog.counts()["pages"])
        return cls(index, Chunks(catalog), embedder, settings, scope, newer, tools, budget, clues)

    def using(self, settings: Retrieval) -> HybridRetriever:
        """The same index, with other switches."""
        return self._with(settings, self._scope)

    def within(self, scope: Scope) -> HybridRetriever:
        """The same index, only the chunks in the scope."""
        return self._with(self._settings, scope)

    def _with(self, settings: Retrieval, scope: Scope) -> HybridRetriever:
        return HybridRetriever(
            self._index, self._chunks, self._embedder, settings, scope, self._newer, self._tools, self._budget,
            self._all_clues,
        )  # fmt: skip

    def close(self) -> None:
        """Let go of the index; every retriever made from this one ends with it."""
        self._index.close()

    @property
    def settings(self) -> Retrieval:
        return self._settings

    @property
    def index_id(self) -> str:
        return self._index.id

    @property
    def k(self) -> int:
        return self._settings.k

    @property
    def recipe(self) -> str:
        parts = [self._index.id, self._settings.model_dump_json(), self._scope.key]
        parts += [*(step.id for step in self._expanders), *(step.id for step in self._rerankers)]
        parts += [f"{older}:{newer}" for older, newer in sorted(self._newer.items())]
        parts.append(self._clues.id if self._clues is not None else "")
        return content_hash(*parts)

    @property
    def notes(self) -> list[str]:
        """What a generator said in retrieval that could not be used, counted."""
        said = [
            f"{step.name}: {step.unused} of {step.asked} replies gave no further query."
            for step in self._expanders
            if isinstance(step, GeneratedQueries) and step.unused
        ]
        return said + [
            f"listwise: {step.unparsed} of {step.asked} replies named no passage, {step.incomplete} left some out."
            for step in self._rerankers
            if isinstance(step, ListwiseReranker) and (step.unparsed or step.incomplete)
        ]

    @cached_property
    def _expanders(self) -> list[Expander]:
        return [expander(name, self._settings, self._tools) for name in self._settings.expand]

    @cached_property
    def _rerankers(self) -> list[Reranker]:
        return [
            reranker(name, self._settings, self._tools, self._index.dense.vectors, self._embedder)
            for name in self._settings.rerank
        ]

    @cached_property
    def _channels(self) -> list[Channel]:
        return [self._index.channels[name] for name in self._settings.channels]

    def retrieve(self, queries: Sequence[str], k: int) -> list[list[ScoredChunk]]:
        return [found.passages for found in self.search(queries, k)]

    def search(self, queries: Sequence[str], k: int) -> list[Found]:
        """The k best passages of each query, best first, with every step that led to them."""
        if not queries:
            return []
        clock = Clock()
        asked = self._expanded(queries, clock)
        hits = self._hits(asked, max(self._settings.depth, k), clock)
        fused = [self._fused(of_query) for of_query in hits]
        clock.stop("fusion", fused)
        found = fused
        if self._clues is not None:
            found = [self._by_clues(query, of_query) for query, of_query in zip(queries, fused, strict=True)]
            clock.stop(CLUES, found)
        wanted = k if not (self._newer or self._settings.neighbours) else _MORE * k
        depth = max(wanted, self._settings.rerank_depth) if self._settings.rerank else wanted
        places = [places_of(*steps) for steps in zip(hits, fused, found, strict=True)]
        ranked = self._passages(found, places, depth)
        clock.stop("reading", ranked)
        given = Queries(queries, self._embedder)
        for step in self._rerankers:
            best = step.rerank(given, [of_query[: self._settings.rerank_depth] for of_query in ranked])
            rest = (of_query[self._settings.rerank_depth :] for of_query in ranked)
            ranked = [[*first, *others] for first, others in zip(best, rest, strict=True)]
            clock.stop(step.name, ranked)
        ranked = [self._newest_first(of_query) for of_query in ranked]
        if self._settings.neighbours:
            ranked = [self._wider(of_query[:wanted], k) for of_query in ranked]
            clock.stop("neighbours", ranked)
        return [
            Found(
                query,
                [dataclasses.replace(passage, rank=rank) for rank, passage in enumerate(of_query[:k], 1)],
                texts,
                clock.steps(number),
            )
            for number, (query, of_query, texts) in enumerate(zip(queries, ranked, asked, strict=True))
        ]

    def _expanded(self, queries: Sequence[str], clock: Clock) -> list[list[str]]:
        """Each query with the further ones that were made from it."""
        asked = [[query] for query in queries]
        for step in self._expanders:
            for texts, more in zip(asked, step.expand(queries), strict=True):
                texts += [text for text in more if text not in texts]
            clock.stop(step.name, asked)
        return asked

    def _hits(self, asked: Sequence[Sequence[str]], depth: int, clock: Clock) -> list[dict[str, Hits]]:
        """What each channel found for each query: "dense" for the query itself, "dense+1" for its first further one.

        The channels search at the same time: words are found while the query is being embedded.
        """
        queries = Queries([text for texts in asked for text in texts], self._embedder)
        hits: list[dict[str, Hits]] = [{} for _ in asked]
        owners = [(number, n) for number, texts in enumerate(asked) for n in range(len(texts))]

        def search(channel: Channel) -> tuple[list[Hits], float]:
            began = time.perf_counter()
            return channel.search(queries, depth, self._scope.among), time.perf_counter() - began

        with ThreadPoolExecutor(len(self._channels)) as pool:
            searched = list(pool.map(search, self._channels))
        for channel, (found, seconds) in zip(self._channels, searched, strict=True):
            for (number, n), of_query in zip(owners, found, strict=True):
                hits[number][f"{channel.name}+{n}" if n else channel.name] = of_query
            clock.stop(channel.name, found, seconds)
        return hits

    def _fused(self, hits: Mapping[str, Hits]) -> Hits:
        if len(hits) == 1:
            return next(iter(hits.values()))
        weights = {name: self._settings.weights.get(name.partition("+")[0], 1.0) for name in hits}
        return fuse(hits, self._settings.fusion, weights)

    def _by_clues(self, query: str, hits: Hits) -> Hits:
        """The hits, those first whose file or page the query names."""
        assert self._clues is not None
        clue = self._clues.of(query)
        return hits if clue is None else self._clues.reorder(hits, clue, self._chunks.get([name for name, _ in hits]))

    def _passages(self, found: Sequence[Hits], places: Sequence[Places], depth: int) -> list[list[ScoredChunk]]:
        """The first chunks of each list, with the score and rank that each step gave them."""
        chunks = self._chunks.get([name for of_query in found for name, _ in of_query[:depth]])
        short = [of_query for of_query in found if any(name not in chunks for name, _ in of_query[:depth])]
        if short:  # of what was deleted since the index was made; what is behind it moves up
            chunks |= self._chunks.get([name for of_query in short for name, _ in of_query])
        out = []
        for of_query, steps in zip(found, places, strict=True):
            here = [(name, score) for name, score in of_query if name in chunks][:depth]
            passages = []
            for rank, (name, score) in enumerate(here, 1):
                scores = {step: at[name][0] for step, at in steps.items() if name in at}
                ranks = {step: at[name][1] for step, at in steps.items() if name in at}
                passages.append(ScoredChunk(chunks[name], score, rank, scores, ranks))
            out.append(passages)
        return out

    def _newest_first(self, ranked: list[ScoredChunk]) -> list[ScoredChunk]:
        """In their order, but passages of a document behind all others if its successor is among them."""
        if not self._newer:
            return ranked
        documents = {passage.chunk.document for passage in ranked}
        return sorted(ranked, key=lambda passage: self._newer.get(passage.chunk.document) in documents)

    def _wider(self, ranked: list[ScoredChunk], k: int) -> list[ScoredChunk]:
        chunks, allowed = self._chunks, self._scope.among
        return with_neighbours(ranked, self._settings.neighbours, chunks.of_document, chunks.page_text, allowed, k)

    def context(self, ranked: Sequence[ScoredChunk]) -> Context:
        """The passages that fit the model's window and retrieval.context_tokens, whole, in the order in which the
        model is shown them. Tokens are the model's; the embedder's where no model is told of."""
        limits = [self._settings.context_tokens] if self._settings.context_tokens else []
        if self._budget is not None:
            limits.append(self._budget.tokens())
        if limits:
            count = self._budget.count if self._budget is not None else self._embedder.count_tokens
            ranked = pack(ranked, min(limits), count)
        return Context(tuple(reorder(ranked, self._settings.order)), self._settings.order)

    def contexts(self, queries: Sequence[str]) -> list[Context]:
        return [self.context(ranked) for ranked in self.retrieve(queries, self.k)]
