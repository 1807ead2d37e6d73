"""Contexts of made-up passages whose page texts are known, so that a test reads off the page what a citation cites."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pytest

from fieldguide.types import PAGE_BREAK, Chunk, Citation, Context, Document, ScoredChunk, Span


@dataclass
class Pages:
    """Documents "d1", "d2", … each with one passage; ``text`` is what stands on a page."""

    context: Context
    documents: dict[str, Document]
    texts: dict[tuple[str, int], str] = field(default_factory=dict)

    def text(self, citation: Citation) -> str:
        return self.texts[citation.document, citation.page][citation.start : citation.end]


def make_pages(*passages: str | Sequence[str], ranks: Sequence[int] = (), context: str = "") -> Pages:
    """One passage for each text, or for several that stand at the end and the beginning of pages that follow."""
    shown, texts, documents = [], {}, {}
    for number, passage in enumerate(passages, 1):
        name = f"d{number}"
        parts = [passage] if isinstance(passage, str) else list(passage)
        spans = []
        for page, part in enumerate(parts, 10 * number):
            before = f"Head of page {page}. " if page == 10 * number else ""
            spans.append(Span(page, len(before), len(before) + len(part)))
            texts[name, page] = before + part + " Foot."
        chunk = Chunk(f"c{number}", name, tuple(spans), PAGE_BREAK.join(parts), (), context)
        rank = ranks[number - 1] if ranks else number
        shown.append(ScoredChunk(chunk, 1 / rank, rank))
        documents[name] = Document(name, f"/shelf/{name}.pdf", name)
    return Pages(Context(tuple(shown), "rank"), documents, texts)


@pytest.fixture(scope="session")
def pages() -> Callable[..., Pages]:
    return make_pages
