"""A made-up shelf with pairs and an index, a tiny Llama, and ``tune`` on them: everything that one training needs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from fieldguide.catalog import Catalog, FileRecord, Reading
from fieldguide.models.base import Prompt
from fieldguide.models.hashing import HashingEmbedder
from fieldguide.models.tiny import write_tiny_model
from fieldguide.models.transformers_generator import TransformersGenerator
from fieldguide.prompts import answer_prompt
from fieldguide.settings import Index, Retrieval, Tuning
from fieldguide.types import Chunk, Document, Evidence, Page, QAPair, Silent, Span
from fieldguide.workspace import Workspace, init_workspace
from retrieval.build import build_index
from retrieval.retriever import HybridRetriever

SPLITS = {"heron": "train", "ibis": "train", "stork": "train", "egret": "dev"}
FACTS = (
    ("wing", "{name} wing is {n}1 feet", "How long is the {name} wing?", "{n}1 feet"),
    ("mass", "{name} mass is {n}2 pounds", "What is the {name} mass?", "{n}2 pounds"),
    ("home", "{name} home is Port {n}3", "Where is the {name} home?", "Port {n}3"),
    ("crew", "{name} crew is {n}4 people", "How large is the {name} crew?", "{n}4 people"),
)


def document(name: str, number: int) -> tuple[list[Page], list[Chunk], list[QAPair]]:
    """Two pages of one chunk each, each chunk with two facts, each fact with its pair."""
    pages, chunks, pairs = [], [], []
    for page in (1, 2):
        facts = FACTS[2 * page - 2 : 2 * page]
        text = ". ".join(fact.format(name=name, n=number) for _, fact, _, _ in facts) + "."
        chunk = Chunk(f"{name}-{page}", name, (Span(page, 0, len(text)),), text, (), f"about {name}")
        for kind, _, question, answer in facts:
            said = answer.format(n=number)
            start = text.index(said)
            evidence = Evidence(name, (Span(page, start, start + len(said)),), said)
            pairs.append(
                QAPair(
                    f"{name}-{kind}", question.format(name=name), said, name, chunk.id, (evidence,), kind, "written",
                    SPLITS[name],  # type: ignore[arg-type]
                )
            )  # fmt: skip
        pages.append(Page(name, page, str(page), text, "made up"))
        chunks.append(chunk)
    return pages, chunks, pairs


def fill(catalog: Catalog) -> None:
    for number, name in enumerate(SPLITS, 1):
        pages, chunks, pairs = document(name, number)
        file = FileRecord(f"{name}.pdf", name, 1, "read", "")
        catalog.store_document(Document(name, f"{name}.pdf", name), Reading("recipe"), pages, chunks, file)
        for chunk in chunks:
            catalog.store_pairs(chunk.id, "written", [p for p in pairs if p.chunk == chunk.id], [])
    catalog.record_splits(SPLITS)


@dataclass
class Shelf:
    """A workspace that is ready to be tuned on."""

    workspace: Workspace
    catalog: Catalog
    model: Path
    settings: Tuning
    retriever: HybridRetriever = field(init=False)
    made: list[Path] = field(default_factory=list)

    def index(self) -> None:
        """Build the index of what the catalogue holds now, and open a retriever on it."""
        embedder = HashingEmbedder()
        build_index(self.catalog, self.workspace.index_folder, Index(), embedder, Silent())
        self.retriever = HybridRetriever.open(self.catalog, self.workspace.index_folder, embedder, Retrieval(k=2))

    def generator(self) -> TransformersGenerator:
        return TransformersGenerator(self.model, name="tiny")

    def run_folder(self) -> Path:
        self.made.append(self.workspace.new_run("tune"))
        return self.made[-1]

    def tune(
        self,
        base: TransformersGenerator,
        stopped: Callable[[], bool] = lambda: False,
        progress: Any = None,
        processes: int = 1,
        **changes: Any,
    ) -> Any:
        from tuning.train import tune

        return tune(
            self.catalog, self.retriever, base, self.settings.model_copy(update=changes),
            self.workspace.adapters_folder, self.workspace.runs_folder, self.run_folder, progress or Silent(), stopped,
            processes,
        )  # fmt: skip


def weights(folder: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return dict(load_file(folder / "adapter_model.safetensors"))


class StopAfter:
    """``stopped`` that turns true after so many steps, and stays so."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    def __call__(self) -> bool:
        self.left -= 1
        return self.left <= 0


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a random Llama of 2 layers; its pad token is its end token, as the bundled model's is."""
    import gc

    import torch
    import trl.trainer.sft_trainer  # noqa: F401

    torch.set_num_threads(1)
    gc.freeze()  # the trainer collects garbage several times a run, which takes long among so many modules
    return write_tiny_model(tmp_path_factory.mktemp("tiny") / "tiny-model", context_tokens=1024)


@pytest.fixture(scope="session")
def tiny(tiny_model: Path) -> TransformersGenerator:
    """The tiny Llama, for tests that leave it as it is."""
    return TransformersGenerator(tiny_model, name="tiny")


def make_shelf(root: Path, model: Path) -> Shelf:
    """Six groups of two pairs to train on; the caller closes the catalogue."""
    workspace = init_workspace(root)
    catalog = Catalog.open(workspace.catalog_file)
    fill(catalog)
    settings = Tuning(
        rank=4, alpha=8, learning_rate=0.02, epochs=2, dropout=0.1, save_steps=3, dev_examples=4, closed_book_share=0.3,
        general_questions=0, patience=100,
    )  # fmt: skip
    shelf = Shelf(workspace, catalog, model, settings)
    shelf.index()
    return shelf


@pytest.fixture
def shelf(tmp_path: Path, tiny_model: Path) -> Iterator[Shelf]:
    made = make_shelf(tmp_path / "work", tiny_model)
    yield made
    made.catalog.close()


@dataclass(frozen=True)
class Trained:
    """What a training that nothing disturbed came to."""

    shelf: Shelf
    report: Any
    base: TransformersGenerator
    prompts: tuple[Prompt, ...]
    hash_before: str
    said_before: list[str]

    @property
    def weights(self) -> dict[str, Any]:
        return weights(self.report.folder)


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Iterator[Trained]:
    made = make_shelf(tmp_path_factory.mktemp("trained") / "work", tiny_model)
    base = made.generator()
    questions = ["How long is the heron wing?", "Where is the egret home?"]
    prompts = tuple(map(answer_prompt, questions, made.retriever.contexts(questions)))
    hash_before, said_before = base.base_hash(), said(base, prompts)
    yield Trained(made, made.tune(base), base, prompts, hash_before, said_before)
    made.catalog.close()


def said(generator: TransformersGenerator, prompts: Sequence[Prompt], adapter: str | None = None) -> list[str]:
    return [g.text for g in generator.generate(prompts, max_new_tokens=12, adapter=adapter)]


@pytest.fixture(scope="session")
def saying() -> Callable[..., list[str]]:
    return said


@pytest.fixture(scope="session")
def read_weights() -> Callable[[Path], dict[str, Any]]:
    return weights


@pytest.fixture
def stop_after() -> type[StopAfter]:
    return StopAfter
