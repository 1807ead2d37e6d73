"""The sets of bench/retrieval.py as shelves: an indexed catalogue, and questions with what answers them.

A folder is told by what lies in it: corpus.jsonl, queries_*.jsonl and qrels/ (BEIR), pdfs/ and qa.jsonl, xquad.*.json.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.coverage import align, fold
from fieldguide.catalog import Catalog, FileRecord, Reading
from fieldguide.models.base import Embedder
from fieldguide.settings import Index, Settings
from fieldguide.types import Chunk, Document, Page, Silent, Span, content_hash
from fieldguide.workspace import init_workspace
from ingest.facets import languages_of_document
from ingest.pipeline import ingest_files
from retrieval.build import build_index

UNANSWERABLE = "Not answerable"
Place = tuple[str, int]
"""A file's name and a page, from 1."""


@dataclass(frozen=True)
class Question:
    """``wanted`` are the ids of the texts, or the "file|page", that answer it; ``document`` is the file they are in."""

    id: str
    text: str
    wanted: frozenset[str]
    document: str = ""


@dataclass(frozen=True)
class Shelf:
    """An indexed catalogue; ``names`` gives the set's own id of each chunk (BEIR, xquad)."""

    catalog: Catalog
    index_folder: Path
    names: Mapping[str, str]


def kind(folder: Path) -> str:
    """ "beir", "pdfs", "xquad", or "" for none of them."""
    if (folder / "corpus.jsonl").exists() and (folder / "qrels").is_dir():
        return "beir"
    if (folder / "qa.jsonl").exists() and pdfs(folder):
        return "pdfs"
    return "xquad" if any(folder.glob("xquad.*.json")) else ""


def pdfs(folder: Path) -> list[Path]:
    """A set's files, the smallest first."""
    return sorted({*folder.glob("*.pdf"), *folder.glob("pdfs/*.pdf")}, key=lambda path: (path.stat().st_size, path))


def rows(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text("utf-8").splitlines() if line.strip()]


def texts_shelf(texts: Mapping[str, str], root: Path, embedder: Embedder) -> Shelf:
    """Each text, by its id, is one chunk, as the published figures have it."""
    catalog, index_folder = _workspace(root)
    document = content_hash("bench", *(f"{name} {text}" for name, text in texts.items()))
    chunks = [
        Chunk(content_hash(document, name), document, (Span(n, 0, len(text)),), text)
        for n, (name, text) in enumerate(texts.items(), 1)
    ]
    if document not in catalog.readings():
        pages = [Page(document, n, str(n), chunk.text, "bench") for n, chunk in enumerate(chunks, 1)]
        languages = languages_of_document([chunk.text for chunk in chunks])[:1]
        catalog.store_document(
            Document(document, "texts", ""), Reading("bench"), pages, chunks,
            FileRecord("texts", document, 0, "read", ""), facets=[("", "language", code) for code in languages],
        )  # fmt: skip
    build_index(catalog, index_folder, Index(), embedder, Silent())
    return Shelf(catalog, index_folder, {chunk.id: name for chunk, name in zip(chunks, texts, strict=True)})


def pdf_shelf(files: Sequence[Path], root: Path, embedder: Embedder) -> Shelf:
    """The product's own ingestion, with its settings as they come."""
    catalog, index_folder = _workspace(root)
    settings = Settings()
    ingest_files(files, catalog, settings, root / ".fieldguide", embedder.count_tokens, embedder.id, Silent())
    build_index(catalog, index_folder, settings.index, embedder, Silent())
    return Shelf(catalog, index_folder, {})


def _workspace(root: Path) -> tuple[Catalog, Path]:
    root.mkdir(parents=True, exist_ok=True)
    workspace = init_workspace(root)
    return Catalog.open(workspace.catalog_file), workspace.index_folder


def beir(folder: Path) -> dict[str, str]:
    """Title and body of each text, as BEIR joins them."""
    return {row["_id"]: f"{row.get('title', '')}\n{row['text']}".strip() for row in rows(folder / "corpus.jsonl")}


def beir_questions(folder: Path, split: str) -> list[Question]:
    """The split's queries that have a relevant text."""
    wanted: dict[str, set[str]] = {}
    with (folder / "qrels" / f"{split}.tsv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            if int(row["score"]) > 0:
                wanted.setdefault(row["query-id"], set()).add(row["corpus-id"])
    file_of = next(path for path in (folder / f"queries_{split}.jsonl", folder / "queries.jsonl") if path.exists())
    return [
        Question(row["_id"], row["text"], frozenset(wanted[row["_id"]]))
        for row in rows(file_of)
        if row["_id"] in wanted
    ]


def xquad(file: Path) -> tuple[dict[str, str], list[Question]]:
    """The paragraphs, and the questions each with its paragraph."""
    texts: dict[str, str] = {}
    questions = []
    for article in json.loads(file.read_text("utf-8"))["data"]:
        for paragraph in article["paragraphs"]:
            name = str(len(texts))
            texts[name] = paragraph["context"]
            questions += [Question(qa["id"], qa["question"], frozenset({name})) for qa in paragraph["qas"]]
    return texts, questions


def page_questions(data: Path, catalog: Catalog, files: Iterable[Path], base: int | None) -> list[Question]:
    """The answerable questions about these files. ``base`` is the number of a first page (None: see ``page_base``)."""
    names = {path.name for path in files}
    asked = [(row, _evidence(row)) for row in rows(data / "qa.jsonl") if row.get("answer") != UNANSWERABLE]
    asked = [(row, found) for row, found in asked if found and {name for (name, _), _ in found} <= names]
    first = page_base([one for _, found in asked for one in found], catalog) if base is None else base
    questions = []
    for n, (row, found) in enumerate(asked):
        wanted = frozenset(page_id(name, number - first + 1) for (name, number), _ in found)
        questions.append(Question(f"{data.name}{n}", row["question"], wanted, found[0][0][0]))
    return questions


def page_id(name: str, page: int) -> str:
    return f"{name}|{page}"


def page_base(evidence: Sequence[tuple[Place, str]], catalog: Catalog) -> int:
    """Whether a set counts pages from 0 or from 1.

    From 0 if there is a page 0; else each evidence text votes for the count under which more of it stands on its page;
    from 1, as people count, where nothing can be told.
    """
    if any(number == 0 for (_, number), _ in evidence):
        return 0
    ids = {Path(path).name: document for document, paths in catalog.sources().items() for path in paths}
    votes = 0
    for (name, number), text in evidence:
        if text and name in ids:
            held = [_share(text, catalog, ids[name], number + shift) for shift in (0, 1)]
            votes += (held[0] > held[1]) - (held[0] < held[1])
    return 0 if votes < 0 else 1


def _share(text: str, catalog: Catalog, document: str, number: int) -> float:
    """Share of the text's characters that stand on a page."""
    try:
        page = catalog.page(document, number).text
    except KeyError:
        return 0.0
    found = align(fold(text), fold(page))
    return sum(at >= 0 for at in found) / max(1, len(found))


def _evidence(row: Mapping[str, Any]) -> list[tuple[Place, str]]:
    """File and page, as the set counts, of each piece of evidence, with its text if the set has it."""
    if "evidence" in row:
        return [
            ((f"{one['doc_name']}.pdf", one["evidence_page_num"]), one.get("evidence_text", ""))
            for one in row["evidence"]
        ]
    return [((row["doc_id"], number), "") for number in json.loads(row["evidence_pages"])]
