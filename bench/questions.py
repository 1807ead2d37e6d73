"""What are the question-answer pairs worth, by source and set? With --corrupt: who notices a swapped answer?

DIR holds sets: folders of PDFs (ntsb/, mmlongbench/pdfs/) and of passages with people's questions in SQuAD form
(agxqa/*.json). Each is ingested and asked about by the product's own main flow with its settings as they come, by

- default: what questions.sources = "auto" takes with the bundled model: the rules;
- adapter: the question adapter of the bundled model, read back by itself;
- model: the 0.5B model (--reader) by prompts.

Of the kept pairs, measured apart from the filters (bench/parts/question_measures.py): ``grounded`` (share whose quotes
stand at their spans of the page and hold the answer), ``self_contained``, ``distinct`` (no other kept question of the
set is alike), ``kept_share`` (of the drafts), ``pairs_per_100_chunks``, ``seconds_per_pair`` (sources, filters and
all), and ``round_trip``: the mean token F1 of the 0.5B model, which is not in the filter, given the chunk, divided by
what it reaches on people's pairs over their passages, with the same prompt. Figures without a prefix are those of the
default over all sets; the others are SOURCE_SET_NAME.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
# This script's folder would hide the package `ingest` behind bench/ingest.py.
sys.path[:] = [str(ROOT), *(path for path in sys.path if Path(path).resolve() != Path(__file__).parent.resolve())]

from bench.parts import question_measures as measures
from bench.parts import question_sets
from bench.parts.shelves import Shelf
from fieldguide.catalog import Catalog
from fieldguide.cli.session import quieten
from fieldguide.metrics import token_f1
from fieldguide.models import load_embedder, load_generator
from fieldguide.models.base import Embedder, Message
from fieldguide.models.sentence_transformer import bfloat16_on_cpu
from fieldguide.settings import Questions, Retrieval
from fieldguide.types import Chunk, Document, QAPair, Silent
from ingest.qa.adapter_source import AdapterSource
from ingest.qa.calls import Calls
from ingest.qa.drafts import Drafted, QuestionSource
from ingest.qa.generator_source import ModelSource
from ingest.qa.questions import make_pairs
from ingest.qa.reader import Reader
from ingest.qa.rules import RuleSource
from retrieval.retriever import HybridRetriever

SETS = ("ntsb", "agxqa", "mmlongbench")
SOURCES = ("default", "adapter", "model")
SHIPPED = ROOT / "fieldguide" / "models" / "question_adapter"
_QUICK = {"documents": 2, "chunks": 8, "read": 6}
_READ = "{context}\n\nQuestion: {asked}\n{how}"
_HOW = "Answer with the shortest words of the text that answer it."
_YES_NO = "Answer with yes or no."
_MEASURED = ("grounded", "self_contained", "distinct", "kept_share", "pairs_per_100_chunks", "seconds_per_pair")


@dataclass
class Models:
    """What is there to ask. ``bundled`` and ``strong`` keep what they generated, for all sets and sources."""

    embedder: Embedder
    bundled: Calls | None
    adapter: str | None
    strong: Calls | None


@dataclass
class Counted:
    """A source that counts what it drafts and is asked about."""

    source: QuestionSource
    drafts: int = 0
    chunks: set[str] = field(default_factory=set)

    @property
    def name(self) -> str:
        return self.source.name

    @property
    def id(self) -> str:
        return self.source.id

    @property
    def batch(self) -> int | None:
        return self.source.batch

    def takes(self, chunk: Chunk) -> bool:
        return self.source.takes(chunk)

    def draft(self, documents: Mapping[str, Document], chunks: Sequence[Chunk]) -> list[Drafted]:
        drafted = self.source.draft(documents, chunks)
        self.drafts += sum(len(drafts) for drafts, _ in drafted)
        self.chunks.update(chunk.id for chunk in chunks)
        return drafted


@dataclass(frozen=True)
class Made:
    """What a source made of a set: kept pairs with their chunks and titles, how many drafts, the rest by reason."""

    pairs: list[tuple[QAPair, Chunk, str]]
    pages: Mapping[tuple[str, int], str]
    languages: Mapping[str, str]
    chunks: int
    drafts: int
    rejected: Counter[str]
    seconds: float

    @property
    def kept(self) -> int:
        """How many of the drafts: pairs made from pairs are none."""
        return sum(pair.origin != "derived" for pair, _, _ in self.pairs)

    @property
    def figures(self) -> dict[str, float | None]:
        kept = [pair for pair, _, _ in self.pairs]
        answered = [pair for pair in kept if pair.answerable]
        alone = [pair for pair in kept if not pair.after]
        total = len(kept) or None
        return {
            "grounded": share([measures.is_grounded(pair, self.pages) for pair in answered]),
            "self_contained": share([measures.is_clear(pair.question) for pair in alone]),
            "kept_share": round(self.kept / self.drafts, 4) if self.drafts else None,
            "pairs_per_100_chunks": round(100 * len(kept) / self.chunks, 1) if self.chunks else None,
            "seconds_per_pair": round(self.seconds / total, 3) if total else None,
        }


def sources(name: str, models: Models, settings: Questions, shelf: Shelf) -> list[Counted]:
    """The sources that a name stands for; empty if what they need is not there."""
    made: list[QuestionSource] = []
    if name == "default":
        made.append(RuleSource(settings.seed, settings.per_chunk, settings.phrasings, settings.mix))
    if name == "adapter" and models.bundled is not None and models.adapter is not None:
        made.append(AdapterSource(models.bundled, models.adapter, settings, shelf.catalog.chunks))
    if name == "model" and models.strong is not None:
        made.append(ModelSource(models.strong, settings))
    return [Counted(source) for source in made]


def make(name: str, models: Models, settings: Questions, shelf: Shelf) -> Made | None:
    """Ask one source, or the default's, about a set that nobody was asked about; None if it is not there."""
    asked = sources(name, models, settings, shelf)
    if not asked:
        return None
    calls = [one for one in (models.bundled, models.strong) if one is not None]
    writer = models.strong if name == "model" else models.bundled if name == "adapter" else None
    reader = Reader(writer, models.adapter if name == "adapter" else None) if writer is not None else None
    retriever = HybridRetriever.open(shelf.catalog, shelf.index_folder, models.embedder, Retrieval())
    spent = {id(one): one.spent for one in calls}
    began = time.perf_counter()
    make_pairs(shelf.catalog, asked, settings, Silent(), embedder=models.embedder, reader=reader, retriever=retriever)
    seconds = time.perf_counter() - began
    saved = sum((one.spent.cached - spent[id(one)].cached) * pace(one) for one in calls)
    chunks = {chunk.id: chunk for chunk in shelf.catalog.chunks()}
    titles = {document.id: document.title for document in shelf.catalog.documents()}
    pairs = shelf.catalog.pairs()
    rejected: Counter[str] = Counter()
    for (_, reason), number in shelf.catalog.rejections().items():
        rejected[reason] += number
    return Made(
        pairs=[(pair, chunks[pair.chunk], titles[pair.document]) for pair in pairs],
        pages=pages_of(shelf.catalog, titles),
        languages=shelf.catalog.facet_of_chunks("language", sorted(chunks)),
        chunks=len(set().union(*(one.chunks for one in asked))),
        drafts=sum(one.drafts for one in asked),
        rejected=rejected,
        seconds=seconds + saved,
    )


_PACES: dict[int, float] = {}


def pace(calls: Calls) -> float:
    """Seconds that a call took when it was made, so that a cached one counts as much."""
    return _PACES.get(id(calls), 0.0)


def timed(calls: Calls) -> Calls:
    """The calls, of which each that is made is timed for ``pace``."""
    generate: Callable[..., Any] = calls.generator.generate
    total = [0.0, 0]

    def measured(prompts: Sequence[Any], **options: Any) -> Any:
        began = time.perf_counter()
        made = generate(prompts, **options)
        total[0] += time.perf_counter() - began
        total[1] += len(prompts)
        _PACES[id(calls)] = total[0] / total[1]
        return made

    calls.generator.generate = measured  # type: ignore[method-assign]
    return calls


def pages_of(catalog: Catalog, documents: Mapping[str, str]) -> dict[tuple[str, int], str]:
    return {(document, page.number): page.text for document in documents for page in catalog.pages(document)}


def read_back(calls: Calls, pairs: Sequence[tuple[QAPair, Chunk, str]], most: int, seed: int) -> list[float]:
    """The token F1 of the model's answer with each of at most so many drawn pairs (those that stand alone).

    The prompt is the bench's own: that of the product's reader offers a way out ("not in the text"), which this model
    takes nearly always.
    """
    able = [one for one in pairs if one[0].answerable and not one[0].after and one[0].kind != "multi-hop"]
    drawn = random.Random(seed).sample(able, min(most, len(able)))
    prompts = [
        (
            Message(
                "user",
                _READ.format(
                    context=f"{chunk.context or title}\n{chunk.text}".strip(),
                    asked=pair.question,
                    how=_YES_NO if pair.kind == "yes/no" else _HOW,
                ),
            ),
        )
        for pair, chunk, title in drawn
    ]
    said = calls.ask(prompts, max_new_tokens=40)
    return [token_f1(answer.text, pair.answer) for answer, (pair, _, _) in zip(said, drawn, strict=True)]


def share(flags: Sequence[bool]) -> float | None:
    return round(sum(flags) / len(flags), 4) if flags else None


def mean(values: Sequence[float]) -> float | None:
    return round(sum(values) / len(values), 4) if values else None


def report(name: str, made: Made, figures: Mapping[str, Any], show: int, seed: int) -> None:
    """Print one source's figures on a set, rejections by reason, and drawn pairs as rows of Markdown."""
    kinds = Counter(pair.kind for pair, _, _ in made.pairs)
    derived = len(made.pairs) - made.kept
    print(f"\n{name}: {made.kept} of {made.drafts} drafts from {made.chunks} chunks kept, {derived} pairs made of them")
    print("  " + ", ".join(f"{key} {value}" for key, value in figures.items()))
    print("  kinds: " + (", ".join(f"{n} {kind}" for kind, n in kinds.most_common()) or "none"))
    print("  rejected: " + (", ".join(f"{n} {reason}" for reason, n in made.rejected.most_common()) or "none"))
    if show and made.pairs:
        print("\n| kind | question | answer | clear |\n|---|---|---|---|")
        for pair, _, _ in random.Random(seed).sample(made.pairs, min(show, len(made.pairs))):
            asked = " / ".join((*pair.after, pair.question)).replace("|", "\\|")
            answer = (pair.answer or "(no answer)").replace("|", "\\|")
            print(f"| {pair.kind} | {asked} | {answer[:200]} | {'yes' if measures.is_clear(pair.question) else 'NO'} |")


def find_reader(given: Path | None, data: Path, work: Path) -> Path | None:
    """The 0.5B model: as given, in the cache, or fetched by the script beside the data; None with a sentence why."""
    cached = Path(os.environ.get("FIELDGUIDE_CACHE", "")) / "qwen.gguf"
    script = data.resolve().parent / "tools" / "get-stronger-model"
    for path in (given, cached if os.environ.get("FIELDGUIDE_CACHE") else None):
        if path is not None and path.is_file():
            return path
    if given is None and script.is_file():
        target = (cached.parent if os.environ.get("FIELDGUIDE_CACHE") else work) / "qwen.gguf"
        done = subprocess.run([str(script), str(target)], capture_output=True, text=True, check=False)
        if done.returncode == 0 and target.is_file():
            return target
        print(f"The 0.5B model could not be fetched, so the round trip is null: {done.stderr.strip()[-200:]}")
    else:
        print("There is no 0.5B model (--reader PATH), so the round trip is null.")
    return None


def folder_of(data: Path, name: str) -> Path | None:
    """A set's folder, or its pdfs/."""
    return next((path for path in (data / name, data / name / "pdfs") if question_sets.kind(path)), None)


def main() -> None:
    """Print tables and pairs; the last line is JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="a folder that holds the sets")
    parser.add_argument("--quick", action="store_true", help="a few documents, chunks and questions of each set")
    parser.add_argument("--sets", nargs="+", default=SETS, help="names of the sets' folders")
    parser.add_argument("--sources", nargs="+", choices=SOURCES, default=SOURCES)
    parser.add_argument("--adapter", type=Path, default=SHIPPED, help="folder of the question adapter")
    parser.add_argument("--reader", type=Path, help="the 0.5B model, a .gguf file")
    parser.add_argument("--chunks", type=int, default=0, help="ask the models about at most so many chunks of a set")
    parser.add_argument("--read", type=int, default=60, help="pairs of each set and source that the reader reads")
    parser.add_argument("--show", type=int, default=0, help="print so many kept pairs of each set and source")
    parser.add_argument("--corrupt", action="store_true", help="swap answers and see who notices")
    parser.add_argument("--work", type=Path, help="keep the catalogues here")
    options = parser.parse_args()
    quieten()
    began = time.perf_counter()
    found = {name: folder for name in options.sets if (folder := folder_of(options.data, name)) is not None}
    if not found:
        parser.error(f"{options.data} holds none of {', '.join(options.sets)}")
    with tempfile.TemporaryDirectory() as scratch:
        figures = run(options, found, options.work or Path(scratch))
    print(json.dumps(figures | {"seconds": round(time.perf_counter() - began)}))


def run(options: argparse.Namespace, found: Mapping[str, Path], work: Path) -> dict[str, Any]:
    work.mkdir(parents=True, exist_ok=True)
    cache = Catalog.open(work / "calls.sqlite")
    models = open_models(options, cache, work)
    settings = Questions(model_chunks=options.chunks or (_QUICK["chunks"] if options.quick else 0))
    most_read = _QUICK["read"] if options.quick else options.read
    reader = models.strong
    people = [one for folder in found.values() for one in question_sets.human_pairs(folder)]
    human = read_back(reader, [(pair, chunk, "") for pair, chunk in people], 2 * most_read, 0) if reader else []
    figures: dict[str, Any] = dict.fromkeys((*_MEASURED[:2], "round_trip", *_MEASURED[2:]))
    figures |= {"human_f1": mean(human), "adapter": models.adapter}
    print(f"The 0.5B reader's mean token F1 on {len(human)} of {len(people)} people's pairs: {mean(human)}")
    good: list[tuple[QAPair, Chunk, str]] = []
    languages: dict[str, str] = {}
    pooled: list[tuple[Made, list[bool], list[float]]] = []
    for set_name, folder in found.items():
        for source in options.sources:
            root = work / f"{set_name}-{source}-{time.time_ns()}"
            shelf = question_sets.shelf(folder, root, models.embedder, _QUICK["documents"] if options.quick else None)
            made = make(source, models, settings, shelf)
            shelf.catalog.close()
            if made is None:
                print(f"\n{source} on {set_name}: not there (it needs the question adapter or the 0.5B model)")
                continue
            # "facts seen" asks trained facts again in other words, on purpose.
            once = [pair for pair, _, _ in made.pairs if pair.group != "facts seen"]
            alike, near = measures.alike(once, models.embedder)
            read = read_back(reader, made.pairs, most_read, 0) if reader else []
            own = made.figures | {
                "distinct": share([not flag for flag in alike]),
                "distinct_by_cosine": share([not flag for flag in near]),
                "reader_f1": mean(read),
                "round_trip": ratio(read, human),
            }
            report(f"{source} on {set_name}", made, own, options.show, 0)
            figures |= {f"{source}_{set_name}_{key}": value for key, value in own.items()}
            if source == "default":
                pooled.append((made, alike, read))
                good += [one for one in made.pairs if one[0].answerable and not one[0].after]
                languages |= made.languages
    figures |= pool(pooled, human)
    if options.corrupt:
        figures |= corruption(models, settings, good, people, languages, options.quick)
    cache.close()
    return figures


def open_models(options: argparse.Namespace, cache: Catalog, work: Path) -> Models:
    bundled = adapter = None
    if (options.adapter / "adapter_model.safetensors").is_file():
        bundled = timed(Calls(load_generator("bundled", say=print), cache))
        adapter = bundled.generator.load_adapter(options.adapter)
    else:
        print(f"There is no question adapter in {options.adapter}.")
    path = find_reader(options.reader, options.data, work)
    dtype = "bfloat16" if bfloat16_on_cpu() else "auto"  # half the time of a reply
    strong = timed(Calls(load_generator(str(path), dtype=dtype), cache)) if path is not None else None
    return Models(load_embedder("bundled", say=print), bundled, adapter, strong)


def ratio(read: Sequence[float], human: Sequence[float]) -> float | None:
    own, theirs = mean(read), mean(human)
    return round(own / theirs, 4) if own is not None and theirs else None


def pool(made: Sequence[tuple[Made, list[bool], list[float]]], human: Sequence[float]) -> dict[str, Any]:
    """The default's figures over all sets, every pair counting the same."""
    pairs = [pair for one, _, _ in made for pair, _, _ in one.pairs]
    grounded = [measures.is_grounded(p, one.pages) for one, _, _ in made for p, _, _ in one.pairs if p.answerable]
    drafts, chunks = sum(one.drafts for one, _, _ in made), sum(one.chunks for one, _, _ in made)
    return {
        "grounded": share(grounded),
        "self_contained": share([measures.is_clear(pair.question) for pair in pairs if not pair.after]),
        "distinct": share([not flag for _, alike, _ in made for flag in alike]),
        "kept_share": round(sum(one.kept for one, _, _ in made) / drafts, 4) if drafts else None,
        "pairs_per_100_chunks": round(100 * len(pairs) / chunks, 1) if chunks else None,
        "seconds_per_pair": round(sum(one.seconds for one, _, _ in made) / len(pairs), 3) if pairs else None,
        "reader_f1": mean([value for _, _, read in made for value in read]),
        "round_trip": ratio([value for _, _, read in made for value in read], human),
    }


def corruption(
    models: Models, settings: Questions, kept: Sequence[tuple[QAPair, Chunk, str]],
    people: Sequence[tuple[QAPair, Chunk]], languages: Mapping[str, str], quick: bool,
) -> dict[str, Any]:  # fmt: skip
    """Swapped answers among people's pairs and among the default's."""
    from bench.parts.question_corruption import corrupt

    reader = Reader(models.bundled, models.adapter) if models.bundled is not None and models.adapter else None
    figures: dict[str, Any] = {}
    most = 20 if quick else 150
    for name, pairs in (("people", [(pair, chunk, "") for pair, chunk in people]), ("kept", list(kept))):
        drawn = random.Random(0).sample(pairs, min(most, len(pairs)))
        if len(drawn) < 2:
            continue
        told = languages if name == "kept" else {chunk.id: "en" for _, chunk, _ in drawn}
        found = corrupt(drawn, reader, told, settings, 0)
        print(f"\nswapped answers among {name} pairs: {found}")
        figures |= {f"corrupt_{name}_{key}": value for key, value in found.items()}
    return figures


if __name__ == "__main__":
    main()
