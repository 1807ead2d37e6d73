"""Our retriever inside a real LangChain chain."""

import pytest
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnablePassthrough

from fieldguide.catalog import Catalog, FileRecord, Reading
from fieldguide.models.hashing import HashingEmbedder
from fieldguide.settings import Index, Retrieval
from fieldguide.types import Chunk, Document, Page, Silent, Span
from retrieval.build import build_index
from retrieval.langchain import FieldguideRetriever
from retrieval.retriever import HybridRetriever

TEXTS = ("the right wing hit a tree", "the pilot was not hurt", "a crack in the wing spar")


@pytest.fixture
def retriever(tmp_path):
    catalog = Catalog.open(tmp_path / "catalog.sqlite")
    pages = [Page("d", n, str(n), text, "test") for n, text in enumerate(TEXTS, 1)]
    chunks = [Chunk(f"c{n}", "d", (Span(n, 0, len(t)),), t, ("Report", "Damage")) for n, t in enumerate(TEXTS, 1)]
    document = Document("d", "/shelf/report.pdf", "Report")
    catalog.store_document(document, Reading("r"), pages, chunks, FileRecord("d", "d", 1, "read", ""))
    embedder = HashingEmbedder(4096)
    build_index(catalog, tmp_path, Index(), embedder, Silent())
    found = HybridRetriever.open(catalog, tmp_path, embedder, Retrieval(k=3, order="reverse"))
    yield FieldguideRetriever(retriever=found, sources={d.id: d.source for d in catalog.documents()})
    found.close()
    catalog.close()


def test_documents_carry_where_they_stand(retriever):
    *_, best = retriever.invoke("crack in the spar")
    assert (best.id, best.page_content) == ("c3", TEXTS[2])
    assert best.metadata == {
        "document": "d", "source": "/shelf/report.pdf", "pages": [3], "spans": [(3, 0, len(TEXTS[2]))],
        "heading": ["Report", "Damage"], "context": "", "rank": 1, "score": best.metadata["score"],
        "ranks": {"dense": 1, "words": 1, "fused": 1},
    }  # fmt: skip
    assert [d.id for d in FieldguideRetriever(retriever=retriever.retriever, k=1).invoke("crack in the spar")] == ["c3"]


def test_in_a_chain_the_model_reads_our_passages_in_our_order(retriever):
    read = []

    class Model(GenericFakeChatModel):
        def _generate(self, messages, *args, **options):
            read.append(messages[0].content)
            return super()._generate(messages, *args, **options)

    prompt = ChatPromptTemplate.from_messages([("human", "{context}\nQuestion: {question}")])
    chain = (
        {
            "context": retriever | (lambda found: "\n".join(d.page_content for d in found)),
            "question": RunnablePassthrough(),
        }
        | prompt
        | Model(messages=iter(["In the wing spar."]))
        | StrOutputParser()
    )
    assert chain.invoke("Where was the crack in the spar?") == "In the wing spar."
    *passages, question = read[0].split("\n")[-4:]
    assert question == "Question: Where was the crack in the spar?"
    assert passages[-1] == TEXTS[2]  # "reverse": the best stands next to the question
