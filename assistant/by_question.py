"""A Retriever that sends each question to a retriever of its own: a batch under many filters stays one batch.

Knows retrievers only by their Protocol.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from fieldguide.types import Context, Retriever, ScoredChunk

_Found = TypeVar("_Found")


class ByQuestion:
    """``retrievers`` names the retriever of each question by its text; ``otherwise`` takes all others. All have to be
    over the same index and show the same number of passages."""

    def __init__(self, otherwise: Retriever, retrievers: Mapping[str, Retriever]) -> None:
        self._otherwise, self._retrievers = otherwise, dict(retrievers)

    @property
    def index_id(self) -> str:
        return self._otherwise.index_id

    @property
    def recipe(self) -> str:
        return self._otherwise.recipe

    @property
    def k(self) -> int:
        return self._otherwise.k

    def retrieve(self, queries: Sequence[str], k: int) -> list[list[ScoredChunk]]:
        return self._each(queries, lambda retriever, of: retriever.retrieve(of, k))

    def context(self, ranked: Sequence[ScoredChunk]) -> Context:
        return self._otherwise.context(ranked)

    def contexts(self, queries: Sequence[str]) -> list[Context]:
        return self._each(queries, lambda retriever, of: retriever.contexts(of))

    def _each(
        self, queries: Sequence[str], ask: Callable[[Retriever, Sequence[str]], Sequence[_Found]]
    ) -> list[_Found]:
        """What each retriever finds for its questions, asked together, in the order of all."""
        chosen = [self._retrievers.get(query, self._otherwise) for query in queries]
        found: dict[int, _Found] = {}
        for retriever in {id(one): one for one in chosen}.values():
            numbers = [n for n, one in enumerate(chosen) if one is retriever]
            found |= dict(zip(numbers, ask(retriever, [queries[n] for n in numbers]), strict=True))
        return [found[n] for n in range(len(queries))]
