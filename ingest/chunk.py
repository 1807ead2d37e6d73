"""Page texts to chunks that know their page spans. Pure; the splitter is LangChain's."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from fieldguide.settings import Ingest
from fieldguide.types import PAGE_BREAK, Chunk, Page, Span, content_hash
from ingest.rule_forms import read_form

SEPARATORS = ["\n\n", "\n", ". ", " ", ""]
_CONTEXT_FIELDS = 5
_CONTEXT_VALUE = 48
_NOT_SPACE = re.compile(r"\S")


def chunk_pages(
    pages: Sequence[Page], settings: Ingest, count_tokens: Callable[[str], int], context: str = ""
) -> list[Chunk]:
    """Cut a document's pages (in order) into chunks of at most ``chunk_tokens`` tokens.

    A chunk may run over a page's end and then has a span on each page; ``Chunk.text`` is exactly those spans'
    texts joined by PAGE_BREAK. White space around a chunk belongs to none.
    """
    from langchain_text_splitters import RecursiveCharacterTextSplitter

    read = [page for page in pages if page.text.strip()]
    text = PAGE_BREAK.join(page.text for page in read)
    splitter = RecursiveCharacterTextSplitter(
        separators=SEPARATORS, keep_separator="end", chunk_size=settings.chunk_tokens,
        chunk_overlap=settings.chunk_overlap, length_function=count_tokens, strip_whitespace=True,
    )  # fmt: skip
    chunks = []
    for start, end in _locate(text, splitter.split_text(text)):
        spans = _page_spans(read, start, end)
        body = text[start:end]
        key = [read[0].document, context, body, *(f"{s.page}:{s.start}:{s.end}" for s in spans)]
        chunks.append(Chunk(content_hash(*key), read[0].document, spans, body, (), context))
    return chunks


def _locate(text: str, pieces: Sequence[str]) -> list[tuple[int, int]]:
    """Where each piece stands: pieces come in order, may overlap, and only white space lies between two.

    Where a text repeats itself, a piece is put as late as leaves no gap; one that brings nothing new then is left out.
    """
    found: list[tuple[int, int]] = []
    covered = 0
    for piece in pieces:
        unread = _NOT_SPACE.search(text, covered)
        start = text.rfind(piece, 0, (unread.start() if unread else covered) + len(piece))
        if start < 0:
            raise AssertionError(f"the splitter changed the text: {piece[:60]!r}")
        if start + len(piece) > covered:
            covered = start + len(piece)
            found.append((start, covered))
    return found


def _page_spans(pages: Sequence[Page], start: int, end: int) -> tuple[Span, ...]:
    spans = []
    offset = 0
    for page in pages:
        low, high = max(start - offset, 0), min(end - offset, len(page.text))
        if low < high:
            spans.append(Span(page.number, low, high))
        offset += len(page.text) + len(PAGE_BREAK)
    return tuple(spans)


def context_line(title: str, first_page: str) -> str:
    """A line that tells the document from its neighbours: the values of the form fields at its head, else its title."""
    head = first_page[:1200]
    values: list[str] = []
    for field in read_form(head).fields:
        value = " ".join(head[slice(*field.value)].split())
        if value and len(value) <= _CONTEXT_VALUE and value not in values:
            values.append(value)
    if len(values) >= 3:
        return "; ".join(values[:_CONTEXT_FIELDS])
    return " ".join(title.split())[:160]
