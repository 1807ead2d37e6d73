"""Our retriever as a LangChain ``BaseRetriever``, for users' own chains. Nothing inside Fieldguide uses it."""

from __future__ import annotations

from langchain_core.callbacks import CallbackManagerForRetrieverRun
from langchain_core.documents import Document as LangChainDocument
from langchain_core.retrievers import BaseRetriever
from pydantic import ConfigDict, Field

from fieldguide.types import ScoredChunk
from retrieval.retriever import HybridRetriever


class FieldguideRetriever(BaseRetriever):
    """Finds passages as Fieldguide does, in the order in which a model should read them.

    Each LangChain document's metadata names the document's id, the page spans of its text (page from 1, characters
    from 0, end exclusive), the heading path, the context line, rank, score, and the ranks that each step gave.
    ``sources`` gives documents' file names by id (``{d.id: d.source for d in catalog.documents()}``).
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    retriever: HybridRetriever
    sources: dict[str, str] = Field(default_factory=dict)
    k: int | None = None
    """Passages to return; None: as the settings say."""

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun
    ) -> list[LangChainDocument]:
        ranked = self.retriever.retrieve([query], self.k or self.retriever.k)[0]
        return [self._document(passage) for passage in self.retriever.context(ranked).passages]

    def _document(self, passage: ScoredChunk) -> LangChainDocument:
        chunk = passage.chunk
        return LangChainDocument(
            id=chunk.id,
            page_content=chunk.text,
            metadata={
                "document": chunk.document,
                "source": self.sources.get(chunk.document, ""),
                "pages": list(dict.fromkeys(chunk.pages)),
                "spans": [(span.page, span.start, span.end) for span in chunk.spans],
                "heading": list(chunk.heading),
                "context": chunk.context,
                "rank": passage.rank,
                "score": passage.score,
                "ranks": dict(passage.ranks),
            },
        )
