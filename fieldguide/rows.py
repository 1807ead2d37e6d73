"""Values of ``fieldguide.types`` to rows of the catalogue and back. Pure."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from sqlalchemy import Row

from fieldguide.types import Block, Chunk, Evidence, Page, QAPair, Span


def page_row(page: Page) -> dict[str, Any]:
    return {
        "document": page.document, "number": page.number, "label": page.label, "text": page.text,
        "reader": page.reader, "text_hash": page.text_hash, "confidence": page.confidence,
        "blocks": json.dumps([[b.kind, b.start, b.end, b.level, b.head] for b in page.blocks]),
    }  # fmt: skip


def page_of(row: Row[Any]) -> Page:
    blocks = tuple(Block(*block) for block in json.loads(row.blocks))
    return Page(row.document, row.number, row.label, row.text, row.reader, blocks, row.confidence)


def chunk_row(chunk: Chunk, ordinal: int) -> dict[str, Any]:
    return {
        "id": chunk.id, "document": chunk.document, "ordinal": ordinal, "text": chunk.text, "context": chunk.context,
        "spans": json.dumps([[s.page, s.start, s.end] for s in chunk.spans]), "heading": json.dumps(chunk.heading),
    }  # fmt: skip


def chunk_of(row: Row[Any]) -> Chunk:
    spans = tuple(Span(*span) for span in json.loads(row.spans))
    return Chunk(row.id, row.document, spans, row.text, tuple(json.loads(row.heading)), row.context)


def pair_row(pair: QAPair) -> dict[str, Any]:
    row = {"id": pair.id, "document": pair.document, "split": pair.split, "chunk": pair.chunk}
    return row | {"body": json.dumps(asdict(pair))}


def pair_of(body: dict[str, Any]) -> QAPair:
    evidence = tuple(
        Evidence(e["document"], tuple(Span(**s) for s in e["spans"]), e["quote"]) for e in body["evidence"]
    )
    return QAPair(**(body | {"evidence": evidence, "after": tuple(body.get("after", ()))}))
