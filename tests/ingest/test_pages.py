"""The pages shown in docs/ingest.md: two columns with a table, and a scan; what the doc shows is what is made."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from fieldguide.catalog import Catalog
from fieldguide.models.hashing import HashingEmbedder
from fieldguide.settings import load_settings
from fieldguide.types import Chunk, Silent
from ingest.pipeline import ingest_files

DOCS = Path(__file__).parents[2] / "docs"


def chunks_of(name: str, catalog: Catalog, state: Path) -> list[Chunk]:
    embedder = HashingEmbedder()
    settings = load_settings(None, {"ingest": {"workers": 1}})
    ingest_files([DOCS / "pages" / name], catalog, settings, state, embedder.count_tokens, embedder.id, Silent())
    return catalog.chunks()


def shown(chunks: list[Chunk]) -> list[str]:
    return [f"[{chunk.context}]\n{chunk.text}" for chunk in chunks]


def in_the_doc(number: int) -> list[str]:
    """The chunks that the doc shows below its ``number``-th picture (from 0)."""
    part = re.split(r"^!\[.*$", (DOCS / "ingest.md").read_text("utf-8"), flags=re.MULTILINE)[number + 1]
    return re.findall(r"^```\n(.*?)\n```$", part.split("\n## ")[0].split("\n### ")[0], re.MULTILINE | re.DOTALL)


def test_two_columns_and_a_table(catalog, tmp_path):
    chunks = chunks_of("two-columns.pdf", catalog, tmp_path)
    assert in_the_doc(0) == shown(chunks)
    text = "\n".join(chunk.text for chunk in chunks)
    assert text.index("Collision with terrain") < text.index("near Chevroux") < text.index("What the reports have")
    assert "Pilot in command | Total: 2,314 | Last 90 days: 1 | This make Total: 702" in text


@pytest.mark.skipif(shutil.which("tesseract") is None, reason="needs the system package tesseract-ocr")
def test_a_scan(catalog, tmp_path):
    chunks = chunks_of("scan.pdf", catalog, tmp_path)
    text = "\n".join(chunk.text for chunk in chunks)
    for found in (
        "Flight Time: 2411 hours",
        "Registration: N2699G",
        "Serial Number: 61-0163-083",
        "Rated Power: 290 hp",
    ):
        assert found in text
    (page,) = catalog.pages(chunks[0].document)
    assert page.reader == "tesseract"
    assert 0.8 < (page.confidence or 0) < 1
