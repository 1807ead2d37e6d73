"""The sets of bench/questions.py as catalogues, and people's own questions about passages (SQuAD form)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.parts.shelves import Shelf, _workspace, pdf_shelf, pdfs
from fieldguide.catalog import FileRecord, Reading
from fieldguide.models.base import Embedder
from fieldguide.settings import Settings
from fieldguide.types import Chunk, Document, Evidence, Page, QAPair, Silent, Span, content_hash
from ingest import stages
from retrieval.build import build_index


@dataclass(frozen=True)
class Passage:
    """A passage, and what people asked about it: (question, answer, where the answer begins)."""

    title: str
    text: str
    asked: tuple[tuple[str, str, int], ...]


def kind(folder: Path) -> str:
    """ "passages" (a .json file in SQuAD form), "pdfs", or "" for neither."""
    if squad_file(folder) is not None:
        return "passages"
    return "pdfs" if folder.is_dir() and pdfs(folder) else ""


def squad_file(folder: Path) -> Path | None:
    return next((path for path in sorted(folder.glob("*.json")) if '"paragraphs"' in path.read_text("utf-8")), None)


def shelf(folder: Path, work: Path, embedder: Embedder, most: int | None) -> Shelf:
    """The set's documents (at most so many), ingested by the product's own parts with its settings as they come."""
    if kind(folder) == "pdfs":
        return pdf_shelf(pdfs(folder)[:most], work, embedder)
    return passages_shelf(passages(folder)[:most], work, embedder)


def passages(folder: Path) -> list[Passage]:
    file = squad_file(folder)
    found = []
    for article in json.loads(file.read_text("utf-8"))["data"] if file is not None else []:
        for paragraph in article["paragraphs"]:
            asked = [
                (qa["question"].strip(), qa["answers"][0]["text"], int(qa["answers"][0]["answer_start"]))
                for qa in paragraph["qas"]
                if qa.get("answers")
            ]
            found.append(Passage(article.get("title") or "", paragraph["context"], tuple(asked)))
    return found


def passages_shelf(texts: Sequence[Passage], root: Path, embedder: Embedder) -> Shelf:
    """Each passage is a document of one page."""
    catalog, index_folder = _workspace(root)
    settings = Settings()
    known = catalog.readings()
    for number, passage in enumerate(texts):
        own = document_id(passage)
        if own in known:
            continue
        name = f"{number}.txt"
        page = Page(own, 1, "1", passage.text, "bench")
        chunks = stages.cut([page], passage.title, settings.ingest, embedder.count_tokens)
        facets, _ = stages.facet_rows(passage.title, {}, [page], chunks, settings.facets)
        document = Document(own, name, passage.title)
        catalog.store_document(
            document, Reading("bench"), [page], chunks, FileRecord(name, own, 0, "read", ""), facets=facets
        )
    build_index(catalog, index_folder, settings.index, embedder, Silent())
    return Shelf(catalog, index_folder, {})


def document_id(passage: Passage) -> str:
    return content_hash("bench", passage.title, passage.text)


def human_pairs(folder: Path) -> list[tuple[QAPair, Chunk]]:
    """Each question of a person as a pair, with its passage whole as the chunk."""
    found = []
    for passage in passages(folder):
        own = document_id(passage)
        chunk = Chunk(own, own, (Span(1, 0, len(passage.text)),), passage.text, (), passage.title)
        for question, answer, start in passage.asked:
            evidence = Evidence(own, (Span(1, start, start + len(answer)),), answer)
            said = " ".join(answer.split())
            pair = QAPair(
                id=content_hash(own, question, answer)[:20], question=question, answer=said, document=own, chunk=own,
                evidence=(evidence,), kind="fact", origin="people", split="test",
            )  # fmt: skip
            found.append((pair, chunk))
    return found
