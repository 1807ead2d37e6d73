"""Rerankers by name: an explicit factory that imports and loads nothing before it is called."""

from __future__ import annotations

from fieldguide.errors import FieldguideError
from fieldguide.models.base import Embedder
from fieldguide.settings import Retrieval
from retrieval.query import Reranker, Tools, VectorsOf


def reranker(
    name: str, settings: Retrieval, tools: Tools | None, vectors_of: VectorsOf, embedder: Embedder
) -> Reranker:
    """The step that retrieval.rerank calls "cross-encoder", "sentences", "listwise", "qim" or "mmr".

    Raises FieldguideError for another name or a step that needs ``tools`` and has none, NotReady or ModelError where
    there is no cross-encoder.
    """
    if name == "qim":
        from retrieval.qim import QimReranker

        return QimReranker(vectors_of)
    if name == "mmr":
        from retrieval.mmr import MmrReranker

        return MmrReranker(settings.diversity, vectors_of)
    if name == "sentences":
        from retrieval.sentences import SentenceReranker

        return SentenceReranker(embedder)
    if name == "cross-encoder":
        from retrieval.cross_encoder import CrossEncoderReranker

        return CrossEncoderReranker.load(settings.cross_encoder, tools)
    if name == "listwise":
        from retrieval.listwise import ListwiseReranker

        if tools is None:
            raise FieldguideError(
                'retrieval.rerank "listwise" needs a generator, and none was given here: leave it out.'
            )
        return ListwiseReranker(tools.generator())
    raise FieldguideError(f"Unknown reranker {name!r}; known are cross-encoder, sentences, listwise, qim and mmr.")
