"""How fast do files become an index, against stock LangChain, and how much memory does a long shelf take?

Both sides read DIR/financebench/pdfs, cut the text into chunks of 128 tokens with 16 shared, embed them with the same
all-MiniLM-L6-v2 and put the vectors into FAISS on disk, each in a process of its own, on the same cores, in turns; the
quicker round of each counts. Loading the libraries and the model is not in the time (``load_seconds``). Ours is the
product's pipeline with its settings as they come: layout, tables, facets, duplicates, originals, catalogue are in it.
LangChain's: PyPDFLoader, RecursiveCharacterTextSplitter.from_huggingface_tokenizer, HuggingFaceEmbeddings, FAISS.

- ``ratio_vs_langchain``: its seconds by ours; ``pages_per_s``, ``chunks_per_s``; ``peak_mb``: resident memory of
  the whole process tree, pages that two processes share counted twice.
- ``text_coverage``: for each evidence text of the questions, the share of its characters that the chunks of its page
  hold (measured as in bench/coverage.py); the mean.

``--memory PAGES`` instead reads a made-up shelf of that many pages, NTSB reports with their lines in another order and
other figures, and tells our ``peak_mb`` and ``pages_per_s``.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from statistics import mean
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
# This script's folder would hide the package `ingest` behind this file.
sys.path[:] = [str(ROOT), *(path for path in sys.path if Path(path).resolve() != Path(__file__).parent.resolve())]

PAGES_A_FILE = 200
_SAMPLE = 0.1  # seconds between two looks at the memory


class Watch:
    """A Progress that keeps the seconds under each label; what follows a label's last item goes to ``rest``."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._label = "rest"
        self._since = time.perf_counter()

    def _close(self, label: str) -> None:
        now = time.perf_counter()
        self.seconds[label] += now - self._since
        self._since = now

    def start(self, label: str, total: int | None = None, done: int = 0) -> None:
        self._close("rest")
        self._label = label

    def advance(self, n: int = 1, note: str = "") -> None:
        self._close(self._label)


Pages = dict[str, dict[int, str]]
"""Of each file name, what the chunks hold of each page (from 0) that was asked for."""


def ours(files: Sequence[Path], wanted: dict[str, list[int]], root: Path) -> dict[str, Any]:
    """One run of the product's pipeline in a new workspace below ``root``."""
    from bench.coverage import on_page, page_text
    from fieldguide.catalog import Catalog
    from fieldguide.cli.session import quieten
    from fieldguide.models import load_embedder
    from fieldguide.settings import Index, Settings
    from fieldguide.workspace import init_workspace
    from ingest.pipeline import ingest_files
    from retrieval.build import build_index

    quieten()
    began = time.perf_counter()
    embedder = load_embedder("bundled", say=print)
    embedder.embed(["a text before the clock starts"])
    load = time.perf_counter() - began
    settings = Settings()
    workspace = init_workspace(root)
    catalog = Catalog.open(workspace.catalog_file)
    reading, indexing = Watch(), Watch()
    began = time.perf_counter()
    ingest_files(files, catalog, settings, workspace.state, embedder.count_tokens, embedder.id, reading)
    read = time.perf_counter() - began
    build_index(catalog, workspace.index_folder, Index(), embedder, indexing)
    seconds = time.perf_counter() - began
    pages: Pages = {}
    counts = {"pages": 0, "chunks": 0}
    for document in catalog.documents():
        name = Path(document.source).name
        chunks = catalog.chunks(document.id)
        counts["pages"] += len(catalog.pages(document.id))
        counts["chunks"] += len(chunks)
        pages[name] = {n: page_text(on_page(chunks, n + 1), n + 1) for n in wanted.get(name, [])}
    catalog.close()
    embed = indexing.seconds["embedding"]
    stages = {"read_and_split": read, "embed": embed, "index": seconds - read - embed}
    steps = {f"ingest_{label}": value for label, value in reading.seconds.items()}
    engine = getattr(embedder, "engine", embedder.id)
    return {"seconds": seconds, "load": load, "stages": stages | steps, "engine": engine, **counts, "held": pages}


def langchain(files: Sequence[Path], wanted: dict[str, list[int]], root: Path) -> dict[str, Any]:
    """One run of LangChain's stock parts."""
    from langchain_community.document_loaders import PyPDFLoader
    from langchain_community.embeddings import HuggingFaceEmbeddings
    from langchain_community.vectorstores import FAISS
    from langchain_text_splitters import RecursiveCharacterTextSplitter
    from transformers import AutoTokenizer

    from fieldguide.cli.session import quieten
    from fieldguide.models.bundled import embedder_folder
    from fieldguide.settings import Ingest

    quieten()
    began = time.perf_counter()
    model = str(embedder_folder(None, None, print))
    embedder = HuggingFaceEmbeddings(model_name=model)
    embedder.embed_documents(["a text before the clock starts"])
    splitter = RecursiveCharacterTextSplitter.from_huggingface_tokenizer(
        AutoTokenizer.from_pretrained(model), chunk_size=Ingest().chunk_tokens, chunk_overlap=Ingest().chunk_overlap
    )
    clock = [began, time.perf_counter()]
    documents = [page for path in files for page in PyPDFLoader(str(path)).load()]
    clock.append(time.perf_counter())
    chunks = splitter.split_documents(documents)
    clock.append(time.perf_counter())
    texts = [chunk.page_content for chunk in chunks]
    vectors = embedder.embed_documents(texts)  # FAISS.from_documents in its two steps, to time them
    clock.append(time.perf_counter())
    store = FAISS.from_embeddings(
        list(zip(texts, vectors, strict=True)), embedder, metadatas=[chunk.metadata for chunk in chunks]
    )
    store.save_local(str(root / "faiss"))
    clock.append(time.perf_counter())
    pages: Pages = {name: dict.fromkeys(numbers, "") for name, numbers in wanted.items()}
    for chunk in chunks:
        held = pages.get(Path(chunk.metadata["source"]).name, {})
        if chunk.metadata["page"] in held:
            held[chunk.metadata["page"]] += chunk.page_content + "\n"
    spans = [end - start for start, end in pairwise(clock)]
    return {
        "seconds": clock[-1] - clock[1], "load": spans[0], "pages": len(documents), "chunks": len(chunks),
        "stages": dict(zip(("read", "split", "embed", "index"), spans[1:], strict=True)),
        "engine": "sentence-transformers float32", "held": pages,
    }  # fmt: skip


SIDES = {"ours": ours, "langchain": langchain}


def run(side: str, files: Sequence[Path], wanted: dict[str, list[int]]) -> dict[str, Any]:
    """The side's result from a process of its own, with ``peak_mb``."""
    import psutil

    with tempfile.TemporaryDirectory() as folder:
        task = Path(folder, "task.json")
        task.write_text(json.dumps({"side": side, "files": [str(path) for path in files], "wanted": wanted}))
        child = subprocess.Popen([sys.executable, __file__, "--task", str(task)])
        process, peak = psutil.Process(child.pid), 0
        while child.poll() is None:
            peak = max(peak, resident(process))
            time.sleep(_SAMPLE)
        if child.returncode:
            raise SystemExit(f"{side} failed")
        result: dict[str, Any] = json.loads(task.with_name("result.json").read_text())
    return result | {"peak_mb": round(peak / 2**20)}


def resident(process: Any) -> int:
    """Bytes of the process and all below it; one that ends meanwhile has none."""
    import psutil

    total = 0
    try:
        for member in [process, *process.children(recursive=True)]:
            try:
                total += member.memory_info().rss
            except psutil.Error:
                continue
    except psutil.Error:
        return total
    return total


def do_task(task: Path) -> None:
    """What the process of one side does."""
    given = json.loads(task.read_text())
    root = task.parent / "work"
    root.mkdir()
    result = SIDES[given["side"]]([Path(path) for path in given["files"]], given["wanted"], root)
    task.with_name("result.json").write_text(json.dumps(result))


def coverage(rows: Sequence[dict[str, Any]], held: dict[str, dict[str, str]]) -> float | None:
    """Mean share of the evidence texts' characters that the chunks of their page hold; None without evidence."""
    from bench.coverage import align, fold

    shares = []
    for row in rows:
        text = held.get(f"{row['doc_name']}.pdf", {}).get(str(row["evidence_page_num"]), "")
        shares.append(mean(at >= 0 for at in align(fold(row["evidence_text"]), fold(text))))
    return round(mean(shares), 4) if shares else None


def shelf(pages: int, folder: Path) -> list[Path]:
    """PDFs of PAGES_A_FILE pages, ``pages`` together, of the example reports' lines with other figures."""
    import pypdfium2

    lines = []
    for path in sorted((ROOT / "examples" / "ntsb").glob("*.pdf")):
        document = pypdfium2.PdfDocument(path)
        lines.append([page.get_textpage().get_text_bounded().splitlines() for page in document])
    pool = [page for report in lines for page in report]
    rng = random.Random(0)
    files = []
    for first in range(0, pages, PAGES_A_FILE):
        count = min(PAGES_A_FILE, pages - first)
        path = folder / f"shelf{first:06}.pdf"
        path.write_bytes(pdf([list(varied(rng.choice(pool), rng, first + n)) for n in range(count)]))
        files.append(path)
    return files


def varied(lines: Sequence[str], rng: random.Random, number: int) -> Iterator[str]:
    """The lines in another order, each digit and the order of each line's words drawn anew."""
    yield f"Report {number}"
    for line in rng.sample(lines, len(lines)):
        words = re.sub(r"\d", lambda _: str(rng.randrange(10)), line).split()
        yield " ".join(rng.sample(words, len(words)))


def pdf(pages: Sequence[Sequence[str]]) -> bytes:
    """A PDF with a line of Helvetica for each string."""
    count = len(pages)
    kids = " ".join(f"{4 + 2 * n} 0 R" for n in range(count))
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        f"<</Type/Pages/Count {count}/Kids[{kids}]>>".encode(),
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
    ]
    for n, lines in enumerate(pages):
        safe = [re.sub(r"([()\\])", r"\\\1", line).encode("latin-1", "replace") for line in lines]
        body = b"BT /F 8 Tf 10 TL 40 800 Td " + b" ".join(b"(" + line + b") Tj T*" for line in safe) + b" ET"
        page = "<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Resources<</Font<</F 3 0 R>>>>"
        objects.append(f"{page}/Contents {5 + 2 * n} 0 R>>".encode())
        objects.append(b"<</Length %d>>stream\n" % len(body) + body + b"\nendstream")
    out, offsets = bytearray(b"%PDF-1.4\n"), []
    for n, content in enumerate(objects, 1):
        offsets.append(len(out))
        out += b"%d 0 obj\n" % n + content + b"\nendobj\n"
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    out += b"trailer<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, start)
    return bytes(out)


def figures(side: str, result: dict[str, Any], rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The numbers of one side's best round; prints its stages."""
    stages = ", ".join(f"{label} {value:.1f}" for label, value in result["stages"].items())
    print(f"{side} ({result['engine']}): {result['seconds']:.1f} s: {stages}")
    return {
        "seconds": round(result["seconds"], 1), "load_seconds": round(result["load"], 1),
        "pages": result["pages"], "chunks": result["chunks"],
        "pages_per_s": round(result["pages"] / result["seconds"], 2),
        "chunks_per_s": round(result["chunks"] / result["seconds"], 1),
        "peak_mb": result["peak_mb"], "text_coverage": coverage(rows, result["held"]),
    }  # fmt: skip


def compare(data: Path, quick: bool, rounds: int) -> dict[str, Any]:
    """Both sides on the same files."""
    files = sorted((data / "financebench" / "pdfs").glob("*.pdf"), key=lambda path: path.stat().st_size)
    files = files[:3] if quick else files
    names = {path.stem for path in files}
    questions = (data / "financebench" / "qa.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [row for line in questions for row in json.loads(line)["evidence"] if row["doc_name"] in names]
    wanted: dict[str, list[int]] = defaultdict(list)
    for name, page in sorted({(row["doc_name"], row["evidence_page_num"]) for row in rows}):
        wanted[f"{name}.pdf"].append(page)
    best: dict[str, dict[str, Any]] = {}
    for n in range(rounds):
        for side in list(SIDES)[:: -1 if n % 2 else 1]:
            found = run(side, files, wanted)
            if side not in best or found["seconds"] < best[side]["seconds"]:
                best[side] = found
    mine, peer = (figures(side, best[side], rows) for side in SIDES)
    ratio = best["langchain"]["seconds"] / best["ours"]["seconds"]
    return {"ratio_vs_langchain": round(ratio, 2)} | mine | {f"langchain_{name}": v for name, v in peer.items()}


def main() -> None:
    """Print the figures; the last line is JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder that holds financebench/")
    parser.add_argument("--quick", action="store_true", help="only the three smallest files")
    parser.add_argument("--rounds", type=int, default=1, help="runs of each side, in turns")
    parser.add_argument("--memory", type=int, metavar="PAGES", help="only ours, on a made-up shelf of so many pages")
    parser.add_argument("--task", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.task:
        do_task(options.task)
        return
    if options.memory:
        with tempfile.TemporaryDirectory() as folder:
            found = figures("ours", run("ours", shelf(options.memory, Path(folder)), {}), [])
    elif options.data:
        found = compare(options.data, options.quick, max(options.rounds, 1))
    else:
        parser.error("--data or --memory is needed")
    print(json.dumps(found | {"cores": len(os.sched_getaffinity(0)), "threads": os.environ.get("OMP_NUM_THREADS", "")}))


if __name__ == "__main__":
    main()
