"""How fast is the whole hybrid query against its bare parts and against LangChain, and how good is the dense index?

Shelves of 10⁴, 10⁵ and 10⁶ chunks go through the product's own catalogue, index and retriever. Their texts are runs of
sentences from the abstracts of DIR/scifact. Their vectors are made: each lies between the vectors of a real run of
sentences and of one of its 30 neighbours, with noise of the covariance of real vectors, so that the similarities of
first, tenth and hundredth neighbours and the intrinsic dimension are those of real chunks (vectors of Gaussian noise
alone would be far harder and never occur). Queries are scifact's claims, embedded when they are asked.

- ``qps``, ``p50_ms``, ``p95_ms``: the whole query, one at a time: embedding, both channels, fusion, reading the chunks.
- ``ratio_vs_bare``: its time by that of embedding, a bare FAISS search of the same index and a bare tantivy search
  (its English analyser, the ids of the hits read), asked the same queries in turns in the same process.
- ``ratio_vs_langchain``: the time of LangChain's EnsembleRetriever (FAISS and BM25Retriever, same vectors, texts and
  embedder) by ours; to 10⁵ chunks.
- ``ann_recall10``: share of the 10 exactly nearest that the index with inverted lists finds.
- ``*_bytes_per_chunk`` on disk, of which what is searched is mapped into memory; ``opened_mb``: resident memory that
  opening and 300 queries took; ``build_s`` and ``update_s`` (1,000 chunks more) without embedding the texts.
"""

from __future__ import annotations

import json
import re
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fieldguide.catalog import Catalog, FileRecord, Reading
from fieldguide.files import folder_size
from fieldguide.models import load_embedder
from fieldguide.models.base import Embedder, Vectors
from fieldguide.settings import Index, Retrieval
from fieldguide.types import Chunk, Document, Page, Silent, Span, content_hash
from retrieval.build import build_index
from retrieval.parts import part_folder
from retrieval.retriever import HybridRetriever
from retrieval.vector_cache import VectorCache
from retrieval.vectors import open_store
from retrieval.versions import CACHE

SIZES = (10_000, 100_000, 1_000_000)
QUICK = (10_000,)
LANGCHAIN_UP_TO = 100_000
_A_DOCUMENT = 200  # chunks
_UPDATE = 1_000
_DEPTH = 100  # hits of each channel, as in the settings
_K = 10
_PEER_QUERIES = 50
_REAL = 4_000  # real vectors that the made ones lie between, 16 chunks or more to each
_BATCH = 10_000


def run(scifact: Path, sizes: Sequence[int] = SIZES, *, queries: int = 300) -> dict[str, Any]:
    """The figures of every size, named ``figure_size``, and those of 10⁵ (or the last size) under their plain names."""
    embedder = load_embedder("bundled")
    runs, claims = _texts(scifact, min(_REAL, max(sizes) // 16)), _claims(scifact)[:queries]
    space = Space(embedder.embed(runs))
    vectors = embedder.embed(claims)
    out: dict[str, Any] = {}
    for size in sizes:
        with tempfile.TemporaryDirectory(prefix="fieldguide-speed-") as folder:
            found = _of_size(Path(folder), size, runs, space, claims, vectors, embedder)
        print(json.dumps({"chunks": size} | found), flush=True)
        out |= {f"{name}_{size}": value for name, value in found.items()}
    shown = 100_000 if 100_000 in sizes else sizes[-1]
    names = ("qps", "p50_ms", "p95_ms", "ratio_vs_bare", "ratio_vs_langchain", "ann_recall10")
    return {name: out[f"{name}_{shown}"] for name in names if f"{name}_{shown}" in out} | out


def _texts(scifact: Path, count: int) -> list[str]:
    """Runs of four sentences, one from an abstract before the next from any."""
    abstracts = [json.loads(line)["text"] for line in (scifact / "corpus.jsonl").read_text("utf-8").splitlines()]
    cut = [re.split(r"(?<=[.?!])\s+", text) for text in abstracts]
    runs = [[" ".join(one[n : n + 4]) for n in range(0, len(one), 4)] for one in cut]
    turns = max(map(len, runs))
    return [one[turn] for turn in range(turns) for one in runs if turn < len(one)][:count]


def _claims(scifact: Path) -> list[str]:
    files = ("queries_test.jsonl", "queries_train.jsonl")
    return [json.loads(line)["text"] for name in files for line in (scifact / name).read_text("utf-8").splitlines()]


class Space:
    """Any number of vectors like the real ones it was given."""

    def __init__(self, real: Vectors) -> None:
        import faiss

        index = faiss.IndexFlatIP(real.shape[1])
        index.add(real)
        self._real = real
        self._near = index.search(real, 30)[1]
        covariance = np.cov(real.T) + 1e-6 * np.eye(real.shape[1])
        self._noise = np.linalg.cholesky(covariance).astype(np.float32).T

    def draw(self, count: int, seed: int) -> Vectors:
        """Shape (count, dimension), rows of length 1."""
        rng = np.random.default_rng(seed)
        first = rng.integers(0, len(self._real), count)
        second = self._near[first, rng.integers(1, self._near.shape[1], count)]
        share = rng.uniform(0.5, 1, count).astype(np.float32)[:, None]
        mixed = share * self._real[first] + (1 - share) * self._real[second]
        mixed /= np.linalg.norm(mixed, axis=1, keepdims=True)
        mixed += 0.33 * rng.standard_normal(mixed.shape, dtype=np.float32) @ self._noise
        return np.asarray(mixed / np.linalg.norm(mixed, axis=1, keepdims=True), dtype=np.float32)


def _documents(sentences: Sequence[str], count: int, seed: int) -> Iterator[tuple[Document, list[Chunk]]]:
    """Documents of 200 chunks, each a run of sentences with half of another."""
    rng = np.random.default_rng(seed)
    for start in range(0, count, _A_DOCUMENT):
        document = content_hash("speed", str(seed), str(start))
        chunks = []
        for n in range(start, min(start + _A_DOCUMENT, count)):
            one, other = (sentences[i] for i in rng.integers(0, len(sentences), 2))
            text = f"{one} {other[: len(other) // 2]} [{seed}.{n}]"
            chunks.append(Chunk(content_hash(document, str(n)), document, (Span(1, 0, len(text)),), text))
        yield Document(document, f"{document}.pdf", ""), chunks


def _fill(
    catalog: Catalog, folder: Path, embedder: Embedder, space: Space, sentences: Sequence[str], count: int, seed: int
) -> tuple[list[str], list[Vectors]]:
    """Documents in the catalogue, their vectors in the index's cache as if they had been embedded; texts, vectors."""
    cache = VectorCache(folder / CACHE, embedder.id, embedder.dimension)
    texts: list[str] = []
    waiting: list[str] = []
    drawn: list[Vectors] = []
    for document, chunks in _documents(sentences, count, seed):
        page = Page(document.id, 1, "1", "", "made")
        file = FileRecord(document.source, document.id, 0, "read", "")
        catalog.store_document(document, Reading("made"), [page], chunks, file, facets=[("", "language", "en")])
        waiting += [chunk.indexed_text for chunk in chunks]
        if len(waiting) >= _BATCH or len(texts) + len(waiting) == count:
            drawn.append(space.draw(len(waiting), seed * 1_000 + len(drawn)))
            cache.put([content_hash(text) for text in waiting], drawn[-1])
            texts += waiting
            waiting = []
    cache.close()
    return texts, drawn


def _of_size(
    folder: Path,
    size: int,
    sentences: Sequence[str],
    space: Space,
    claims: Sequence[str],
    claim_vectors: Vectors,
    embedder: Embedder,
) -> dict[str, Any]:
    catalog = Catalog.open(folder / "catalog.db")
    index_folder = folder / "index"
    texts, drawn = _fill(catalog, index_folder, embedder, space, sentences, size, 1)
    settings = Index()
    built, build_s = _timed(lambda: build_index(catalog, index_folder, settings, embedder, Silent()))
    manifest = next(a.manifest for a in catalog.artefacts("index") if a.id == built.artefact)
    dense, words = (part_folder(index_folder, manifest["parts"][name][0]) for name in ("dense", "words"))
    out: dict[str, Any] = {
        "ann_recall10": _recall(folder / "ann", drawn, claim_vectors),
        "vectors_bytes_per_chunk": round(folder_size(dense) / size),
        "words_bytes_per_chunk": round(folder_size(words) / size),
        "build_s": round(build_s, 1),
    }
    before = _resident_mb()
    retriever = HybridRetriever.open(catalog, index_folder, embedder, Retrieval(depth=_DEPTH, k=_K))
    bare = Bare(folder / "bare", dense / "vectors.faiss", texts, embedder)
    arms: dict[str, Callable[[str], Any]] = {"ours": lambda text: retriever.search([text], _K)} | bare.arms
    if size <= LANGCHAIN_UP_TO:
        arms["langchain"] = _langchain(texts, np.concatenate(drawn), embedder)
    seconds = _in_turns(arms, claims)
    ours, parts = seconds["ours"], sum(seconds[name] for name in bare.arms)
    out |= {
        "qps": round(1 / ours.mean(), 1),
        "p50_ms": _ms(ours, 0.5),
        "p95_ms": _ms(ours, 0.95),
        "ratio_vs_bare": round(float(ours.sum() / np.sum(parts)), 2),
        **{f"{name}_p50_ms": _ms(seconds[name], 0.5) for name in arms if name != "ours"},
    }
    if "langchain" in seconds:
        out["ratio_vs_langchain"] = round(float(seconds["langchain"].sum() / ours[:_PEER_QUERIES].sum()), 1)
    else:
        out["opened_mb"] = round(_resident_mb() - before)
    _fill(catalog, index_folder, embedder, space, sentences, _UPDATE, 2)
    out["update_s"] = round(_timed(lambda: build_index(catalog, index_folder, settings, embedder, Silent()))[1], 2)
    later = HybridRetriever.open(catalog, index_folder, embedder, Retrieval(depth=_DEPTH, k=_K))
    after = _in_turns({"ours": lambda text: later.search([text], _K)}, claims)["ours"]
    out["updated_p50_ms"] = _ms(after, 0.5)
    later.close()
    retriever.close()
    catalog.close()
    return out


def _recall(folder: Path, drawn: Sequence[Vectors], queries: Vectors) -> float:
    """Share of the 10 nearest that inverted lists find, whatever size they begin at."""
    import faiss

    size = sum(map(len, drawn))
    exact = faiss.IndexFlatIP(queries.shape[1])
    store = open_store(Index(exact_up_to=0), folder, queries.shape[1], size)
    first = 0
    for part in drawn:
        exact.add(part)
        store.add([str(n) for n in range(first, first + len(part))], part)
        first += len(part)
    store.save()
    best = exact.search(queries, 10)[1]
    found = store.search(queries, 10)
    store.close()
    both = [len({int(name) for name, _ in hits} & set(row)) for hits, row in zip(found, best.tolist(), strict=True)]
    return round(float(np.mean(both)) / 10, 4)


class Bare:
    """The libraries alone, on the same vectors and texts: ``arms`` are embedding, FAISS, tantivy."""

    def __init__(self, folder: Path, vectors: Path, texts: Sequence[str], embedder: Embedder) -> None:
        import faiss
        import tantivy

        self._vector: Vectors = embedder.embed(["warm"])
        self._embedder = embedder
        self._faiss = faiss.read_index(str(vectors), faiss.IO_FLAG_MMAP_IFC)
        if isinstance(self._faiss, faiss.IndexIVF):  # as large a share of the lists as the product looks at
            self._faiss.nprobe = round(self._faiss.nlist * 0.12 * (1e5 / len(texts)) ** 0.25)
        schema = tantivy.SchemaBuilder()
        schema.add_unsigned_field("n", stored=True)
        schema.add_text_field("text", tokenizer_name="en_stem", index_option="freq")
        folder.mkdir()
        self._tantivy = tantivy.Index(schema.build(), str(folder))
        with self._tantivy.writer(200_000_000, 1) as writer:
            for n, text in enumerate(texts):
                document = tantivy.Document()
                document.add_unsigned("n", n)
                document.add_text("text", text)
                writer.add_document(document)
        self._tantivy.reload()
        self._searcher = self._tantivy.searcher()
        self.arms: dict[str, Callable[[str], Any]] = {
            "embedding": self._embed, "faiss": self._nearest, "tantivy": self._words
        }  # fmt: skip

    def _embed(self, text: str) -> None:
        self._vector = self._embedder.embed([text])

    def _nearest(self, _: str) -> Any:
        """With the vector that was just embedded."""
        return self._faiss.search(self._vector, _DEPTH)

    def _words(self, text: str) -> list[Any]:
        query, _ = self._tantivy.parse_query_lenient(text, ["text"])
        hits = self._searcher.search(query, _DEPTH, count=False).hits
        return [self._searcher.doc(address).get_first("n") for _, address in hits]


def _langchain(texts: Sequence[str], vectors: Vectors, embedder: Embedder) -> Callable[[str], Any]:
    from langchain_classic.retrievers import EnsembleRetriever
    from langchain_community.retrievers import BM25Retriever
    from langchain_community.vectorstores import FAISS
    from langchain_core.embeddings import Embeddings

    class Same(Embeddings):
        def embed_documents(self, texts: list[str]) -> list[list[float]]:
            return [list(map(float, vector)) for vector in embedder.embed(texts)]

        def embed_query(self, text: str) -> list[float]:
            return self.embed_documents([text])[0]

    pairs = ((text, vector.tolist()) for text, vector in zip(texts, vectors, strict=True))
    dense = FAISS.from_embeddings(pairs, Same()).as_retriever(search_kwargs={"k": _DEPTH})
    words = BM25Retriever.from_texts(texts)
    words.k = _DEPTH
    both = EnsembleRetriever(retrievers=[dense, words], weights=[0.5, 0.5])
    return lambda text: both.invoke(text)


def _in_turns(arms: dict[str, Callable[[str], Any]], queries: Sequence[str]) -> dict[str, Any]:
    """Seconds of each query, shape (queries,), the arms taking turns; LangChain is asked the first few."""
    for call in arms.values():
        for text in ("one query to warm up", "another one"):
            call(text)
    seconds: dict[str, list[float]] = {name: [] for name in arms}
    for number, text in enumerate(queries):
        for name, call in arms.items():
            if name == "langchain" and number >= _PEER_QUERIES:
                continue
            began = time.perf_counter()
            call(text)
            seconds[name].append(time.perf_counter() - began)
    return {name: np.asarray(values) for name, values in seconds.items()}


def _timed(call: Callable[[], Any]) -> tuple[Any, float]:
    began = time.perf_counter()
    return call(), time.perf_counter() - began


def _ms(seconds: Any, quantile: float) -> float:
    return round(float(np.quantile(seconds, quantile)) * 1e3, 2)


def _resident_mb() -> float:
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024
