"""The stages of one document after reading: pages → chunks → facets, each with the recipe that decides its result.

Pure, but for the check whether OCR is installed. Knows nothing of files or of the catalogue.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from fieldguide.catalog import FacetRow
from fieldguide.settings import Facets, Ingest
from fieldguide.types import Block, Chunk, Page, QAPair, content_hash
from ingest.anchors import re_anchor_pair
from ingest.chunk import CHUNKER_VERSION, chunk_pages, settings_key
from ingest.dates import day_first, document_date
from ingest.duplicates import SIGNATURE_VERSION, signature
from ingest.facets import FACETS_VERSION, document_facets, facets_of, languages_of_document
from ingest.parsed import Parsed
from ingest.readers import READER_VERSION
from ingest.readers.documents import VERSION as DOCUMENTS_VERSION

CountTokens = Callable[[Sequence[str]], list[int]]
BODY = ("heading", "paragraph", "list", "table", "caption")


def ocr_recipe(settings: Ingest) -> str:
    """What OCR would be done with, and why there is none where there is none."""
    if settings.ocr == "off":
        return "off"
    from ingest.readers.tesseract import missing_ocr, tesseract_version

    missing = missing_ocr(settings.ocr_language)
    return missing or f"{tesseract_version()}/{settings.ocr_language}/{settings.ocr_dpi}"


def read_recipe(ocr: str, used_ocr: bool) -> str:
    """What decides a document's pages. OCR counts only where it had, or would have had, a part in them."""
    return content_hash("read", READER_VERSION, DOCUMENTS_VERSION, SIGNATURE_VERSION, ocr if used_ocr else "")


def refusal_recipe(settings: Ingest, ocr: str) -> str:
    """What decides that a file cannot be read: a file is tried again when any of this changes."""
    limits = (settings.file_seconds, settings.file_memory_mb, settings.max_file_mb, settings.max_pages)
    return content_hash("refuse", READER_VERSION, DOCUMENTS_VERSION, ocr, *map(str, limits))


def chunk_recipe(settings: Ingest, tokenizer: str) -> str:
    """What decides a document's chunks, given its pages."""
    return content_hash("chunk", CHUNKER_VERSION, settings_key(settings), tokenizer)


def facet_recipe(settings: Facets) -> str:
    """What decides the facets that need no generator, given the chunks."""
    return content_hash("facet", FACETS_VERSION, settings.model_dump_json(exclude={"generated"}))


def used_ocr(parsed: Parsed) -> bool:
    """Whether OCR had a part in it, or would have had one."""
    return any("tesseract" in page.reader for page in parsed.pages) or any("OCR" in why for _, why in parsed.faults)


def pages_of(document: str, parsed: Parsed) -> list[Page]:
    return [
        Page(document, n, page.label, page.text, page.reader, page.blocks, page.confidence)
        for n, page in enumerate(parsed.pages, 1)
    ]


def cut(pages: Sequence[Page], title: str, settings: Ingest, count_tokens: CountTokens) -> list[Chunk]:
    return chunk_pages(pages, settings, count_tokens, title)


def body(pages: Iterable[Page]) -> str:
    """The text of a document without what its pages repeat at their edges."""
    return "\n".join(page.text[block.start : block.end] for page in pages for block in _body_blocks(page))


def _body_blocks(page: Page) -> Iterable[Block]:
    return (
        (block for block in page.blocks if block.kind in BODY)
        if page.blocks
        else (Block("paragraph", 0, len(page.text)),)
    )


def facet_rows(
    title: str, metadata: Mapping[str, str], pages: Sequence[Page], chunks: Sequence[Chunk], settings: Facets
) -> tuple[list[FacetRow], list[str]]:
    """The facets of the document (under the chunk "") and of each chunk; and what went wrong with patterns."""
    faults: list[str] = []
    texts = [page.text for page in pages]
    languages = languages_of_document(texts)
    language = languages[0] if languages else ""
    order = day_first(texts, metadata.get("Lang", language))
    own = document_facets(title, metadata, pages, settings, faults)
    rows = [("", name, value) for name, values in own.items() for value in values]
    for chunk in chunks:
        found = facets_of(chunk, settings, language, order, faults, mixed=len(languages) != 1)
        rows += [(chunk.id, name, value) for name, values in found.items() for value in values]
    return rows, list(dict.fromkeys(faults))


def date_and_signature(metadata: Mapping[str, str], pages: Sequence[Page]) -> tuple[str, str]:
    """The document's own date (ISO, "" if unknown) and the MinHash of its body (hexadecimal)."""
    texts = [page.text for page in pages]
    order = day_first(texts, metadata.get("Lang", ""))
    return document_date(metadata, texts[0] if texts else "", order), signature(body(pages)).hex()


def anchor_anew(
    pairs: Iterable[QAPair], before: Sequence[Page], pages: Sequence[Page], chunks: Sequence[Chunk]
) -> tuple[list[QAPair], list[tuple[str, str]]]:
    """Pairs of an earlier reading with their evidence where it stands now; and (id, what it said) of those lost."""
    was, now = ({page.number: page.text for page in each} for each in (before, pages))
    kept, lost = [], []
    for pair in pairs:
        anchored = re_anchor_pair(pair, now, chunks, was)
        if anchored is None:
            lost.append((pair.id, f"{pair.question} | {pair.answer}"))
        else:
            kept.append(anchored)
    return kept, lost
