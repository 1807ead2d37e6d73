"""A SQuAD-form file as a shelf: each passage a document read by the product's own ingestion, people's questions as
pairs, split by passage.
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from fieldguide import align
from fieldguide.catalog import Catalog
from fieldguide.models.base import Embedder
from fieldguide.settings import Questions, Settings
from fieldguide.types import Chunk, Evidence, QAPair, Silent, content_hash
from fieldguide.workspace import Workspace, init_workspace
from ingest.pipeline import ingest_files
from ingest.qa.questions import make_pairs
from ingest.qa.rules import RuleSource
from retrieval.build import build_index
from retrieval.retriever import HybridRetriever


@dataclass(frozen=True)
class Item:
    """A person's question on one passage, with every answer that counts."""

    id: str
    question: str
    answers: tuple[str, ...]
    passage: int


@dataclass
class SquadShelf:
    """The passages indexed, and the questions of both halves of them. ``trained`` and ``tested`` hold passage numbers;
    ``documents[n]`` is the id of passage n's document (None where ingestion took it for a copy of another)."""

    workspace: Workspace
    catalog: Catalog
    retriever: HybridRetriever
    items: list[Item]
    documents: list[str | None]
    trained: frozenset[int]
    tested: frozenset[int]

    def questions(self, *, tested: bool) -> list[Item]:
        wanted = self.tested if tested else self.trained
        return [item for item in self.items if item.passage in wanted]


def read_squad(data: Path) -> tuple[list[str], list[Item]]:
    """Passages and questions of ``data``/dev.json (or ``data``/agxqa/dev.json)."""
    file = next((f for f in (data / "dev.json", data / "agxqa" / "dev.json", data) if f.is_file()), None)
    if file is None:
        sys.exit(f"There is no dev.json in {data} or its folder agxqa; name a folder with one by --data.")
    passages: list[str] = []
    items: list[Item] = []
    for article in json.loads(file.read_text("utf-8"))["data"]:
        for paragraph in article["paragraphs"]:
            for n, qa in enumerate(paragraph["qas"]):
                answers = tuple(dict.fromkeys(a["text"].strip() for a in qa["answers"] if a["text"].strip()))
                if answers and not qa.get("is_impossible"):
                    items.append(
                        Item(str(qa.get("id", f"{len(passages)}.{n}")), qa["question"], answers, len(passages))
                    )
            passages.append(paragraph["context"])
    return passages, items


def squad_shelf(data: Path, root: Path, embedder: Embedder, seed: int, limit: int = 0) -> SquadShelf:
    """The shelf of ``data``, split by passage into halves drawn by ``seed``; ``limit`` > 0: so many passages only."""
    passages, items = read_squad(data)
    if limit:
        passages, items = passages[:limit], [item for item in items if item.passage < limit]
    workspace = init_workspace(root)
    catalog = Catalog.open(workspace.catalog_file)
    settings = Settings()
    folder = root / "passages"
    folder.mkdir(exist_ok=True)
    for n, text in enumerate(passages):
        (folder / f"{n:03}.txt").write_text(text.strip() + "\n", "utf-8")
    ingest_files([folder], catalog, settings, workspace.state, embedder.count_tokens, embedder.id, Silent())
    build_index(catalog, workspace.index_folder, settings.index, embedder, Silent())
    by_name = {Path(path).name: record.document for path, record in catalog.files().items()}
    documents = [by_name.get(f"{n:03}.txt") for n in range(len(passages))]
    order = list(range(len(passages)))
    random.Random(seed).shuffle(order)
    half = len(order) // 2
    return SquadShelf(
        workspace, catalog, HybridRetriever.open(catalog, workspace.index_folder, embedder, settings.retrieval), items,
        documents, frozenset(order[:half]), frozenset(order[half:]),
    )  # fmt: skip


def store_human_pairs(shelf: SquadShelf, seed: int, dev_share: float, limit: int = 0) -> tuple[int, int]:
    """People's pairs of the trained half into the catalogue: train and, of some passages, dev. Returns how many."""
    order = sorted(shelf.trained)
    random.Random(f"dev {seed}").shuffle(order)
    held_out = set(order[: round(dev_share * len(order))])
    chosen = shelf.questions(tested=False)
    train = [item for item in chosen if item.passage not in held_out]
    if limit:
        random.Random(f"limit {seed}").shuffle(train)
        train = train[:limit]
    dev = [item for item in chosen if item.passage in held_out]
    pairs = [pair for split, part in (("train", train), ("dev", dev)) for item in part
             if (pair := _pair(shelf, item, split)) is not None]  # fmt: skip
    _replace_pairs(shelf.catalog, pairs)
    shelf.catalog.record_splits({
        document: "dev" if n in held_out else "train" if n in shelf.trained else "test"
        for n, document in enumerate(shelf.documents) if document
    })  # fmt: skip
    return sum(p.split == "train" for p in pairs), sum(p.split == "dev" for p in pairs)


def store_generated_pairs(shelf: SquadShelf, seed: int, embedder: Embedder) -> tuple[int, int]:
    """Pairs made by the product's rules from all passages; those about the trained half train, a sixth of them dev."""
    settings = Questions(seed=seed)
    make_pairs(shelf.catalog, [RuleSource(seed=seed, per_chunk=8)], settings, Silent(), embedder=embedder)
    trained = {shelf.documents[n] for n in shelf.trained}
    made = [pair for pair in shelf.catalog.pairs(every=True) if pair.document in trained and pair.answerable]
    documents = sorted({pair.document for pair in made})
    random.Random(f"dev {seed}").shuffle(documents)
    held_out = set(documents[: max(1, len(documents) // 6)])
    pairs = [replace(pair, split="dev" if pair.document in held_out else "train") for pair in made]
    _replace_pairs(shelf.catalog, pairs)
    return sum(p.split == "train" for p in pairs), sum(p.split == "dev" for p in pairs)


def _replace_pairs(catalog: Catalog, pairs: Sequence[QAPair]) -> None:
    for old in {(p.chunk, p.origin) for p in catalog.pairs(every=True)}:
        catalog.store_pairs(*old, [], [])
    for chunk in {pair.chunk for pair in pairs}:
        own = [pair for pair in pairs if pair.chunk == chunk]
        for origin in {pair.origin for pair in own}:
            catalog.store_pairs(chunk, origin, [pair for pair in own if pair.origin == origin], [])


def _pair(shelf: SquadShelf, item: Item, split: str) -> QAPair | None:
    """The pair with its evidence in the chunk that holds the answer and shares most words with the question."""
    document = shelf.documents[item.passage]
    found = [(chunk, spans) for chunk in shelf.catalog.chunks() if chunk.document == document
             if (spans := align.find_exact(item.answers[0], chunk.text))]  # fmt: skip
    if not found:
        return None
    asked = set(align.content_tokens(item.question))

    def shared(entry: tuple[Chunk, list[align.Match]]) -> int:
        return len(asked & set(align.content_tokens(entry[0].text)))

    chunk, spans = max(found, key=shared)
    quote = chunk.text[spans[0].start : spans[0].end]
    evidence = Evidence(chunk.document, chunk.locate(spans[0].start, spans[0].end), quote)
    name = content_hash(item.id, item.question, chunk.id)
    return QAPair(name, item.question, quote, chunk.document, chunk.id, (evidence,), "fact", "written", split)  # type: ignore[arg-type]
