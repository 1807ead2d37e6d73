"""A small catalogue of three documents, a retriever on it, and files of questions."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fieldguide.catalog import Catalog, FileRecord, Reading
from fieldguide.models.hashing import HashingEmbedder
from fieldguide.settings import Index, Retrieval
from fieldguide.types import Chunk, Document, Page, Silent, Span
from retrieval.build import build_index
from retrieval.retriever import HybridRetriever

TEXTS = {
    "heron": ("train", ["The heron wing is 12 feet.", "The heron crew was 4 people."]),
    "ibis": ("dev", ["The ibis wing is 31 feet."]),
    "stork": ("test", ["The stork wing is 57 feet.", "The stork home is Port Royal."]),
}


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    """Each text is a page of its document and a chunk."""
    opened = Catalog.open(tmp_path / "catalog.sqlite")
    for name, (split, texts) in TEXTS.items():
        pages = [Page(name, n, str(n), text, "made up") for n, text in enumerate(texts, 1)]
        chunks = [
            Chunk(f"{name}-{n}", name, (Span(n, 0, len(text)),), text, (), f"about {name}")
            for n, text in enumerate(texts, 1)
        ]
        file = FileRecord(f"{name}.pdf", name, 1, "read", "")
        opened.store_document(Document(name, f"/shelf/{name}.pdf", name), Reading("r"), pages, chunks, file)
        opened.record_splits({name: split})
    yield opened
    opened.close()


@pytest.fixture
def retriever(catalog: Catalog, tmp_path: Path) -> HybridRetriever:
    """One passage to a question."""
    embedder = HashingEmbedder()
    build_index(catalog, tmp_path / "index", Index(), embedder, Silent())
    return HybridRetriever.open(catalog, tmp_path / "index", embedder, Retrieval(k=1))


@pytest.fixture
def question_file(tmp_path: Path) -> Callable[..., Path]:
    """A file of the rows given: values are written as JSON, texts as they are."""

    def write(*rows: Any, encoding: str = "utf-8") -> Path:
        path = tmp_path / "questions.jsonl"
        lines = [row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) for row in rows]
        path.write_text("\n".join(lines), encoding)
        return path

    return write
