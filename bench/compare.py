"""Does retrieval, tuning or both pay off? `fieldguide compare` on real documents and questions, from nothing.

Of the folders of DIR that are there (layout of shared/data; --only picks some): agxqa (passages split into halves,
people's pairs of one half trained, people's questions on the other asked), ntsb (the project's examples and the
questions written for them, where DIR/ntsb has no questions.jsonl), mmlongbench and financebench (people's questions;
pairs made by the product's rules). Every step is the product's own: ingest, qa, tune, compare. Prints each report's
arms and verdict, how the time of the comparison splits, and keeps report.md and report.json with --out.
"""

from __future__ import annotations

import argparse
import ast
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

# This script's folder would hide packages behind its files; the project's root holds `bench.parts`.
sys.path[:] = [path for path in sys.path if Path(path).resolve() != Path(__file__).parent.resolve()]
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.parts.shelves import pdfs, rows
from bench.parts.squad import squad_shelf, store_human_pairs
from fieldguide.cli import evaluating, pairs, shelving, verbs
from fieldguide.cli.session import quieten, session
from fieldguide.models import load_embedder
from fieldguide.workspace import init_workspace

EXAMPLES = Path(__file__).resolve().parents[1] / "examples" / "ntsb"
SETS = ("agxqa", "ntsb", "mmlongbench", "financebench")
LONGEST_REFERENCE = 30
"""Words: what people explain at length cannot be scored by words that agree. Longer ones are left out, and counted."""

Question = dict[str, Any]


def ntsb(data: Path) -> tuple[list[Path], list[Question]]:
    """Files and written questions."""
    folder = data / "ntsb" if (data / "ntsb" / "questions.jsonl").is_file() else EXAMPLES
    return sorted(folder.glob("*.pdf")), rows(folder / "questions.jsonl")


def mmlongbench(data: Path) -> tuple[list[Path], list[Question]]:
    """Questions that can be answered; pages count from 1."""
    folder = data / "mmlongbench"
    found = [
        {"id": f"mm-{n}", "question": row["question"], "answer": str(row["answer"]), "document": row["doc_id"],
         "pages": ast.literal_eval(row["evidence_pages"]), "kind": row["answer_format"]}
        for n, row in enumerate(rows(folder / "qa.jsonl"))
        if row["answer"] != "Not answerable"
    ]  # fmt: skip
    return pdfs(folder), found


def financebench(data: Path) -> tuple[list[Path], list[Question]]:
    """People's questions; pages count from 0."""
    folder = data / "financebench"
    found = [
        {"id": row["financebench_id"], "question": row["question"], "answer": row["answer"],
         "document": f"{row['doc_name']}.pdf", "kind": row["question_type"],
         "pages": sorted({e["evidence_page_num"] + 1 for e in row["evidence"]})}
        for row in rows(folder / "qa.jsonl")
    ]  # fmt: skip
    return pdfs(folder), found


def short(questions: list[Question]) -> list[Question]:
    """Those with references that are short enough to be compared word by word."""
    return [q for q in questions if len(str(q["answer"]).split()) <= LONGEST_REFERENCE]


def pdf_set(
    load: Callable[[Path], tuple[list[Path], list[Question]]], data: Path, root: Path, settings: Mapping[str, Any],
    most: int,
) -> tuple[list[Question], int]:  # fmt: skip
    """Workspace, documents and generated pairs; the questions about documents that were read, and how many were not
    used."""
    files, asked = load(data)
    init_workspace(root, settings)
    with session("bench", root) as s:
        read = shelving.ingest(s, files[:most] if most else files, None, None)
        pairs.make(s)
    held = {Path(file["path"]).name for file in read["files"] if file["document"]}
    kept = [q for q in short(asked) if q["document"] in held]
    return kept, len(asked) - len(kept)


def passage_set(data: Path, root: Path, settings: Mapping[str, Any], most: int) -> tuple[list[Question], int]:
    """The first split of the passages: people's pairs of one half in the catalogue, their questions on the other."""
    init_workspace(root, settings)
    shelf = squad_shelf(data / "agxqa", root, load_embedder("bundled"), 0, most and 3 * most)
    store_human_pairs(shelf, 0, 0.12, 0)
    items = [item for item in shelf.questions(tested=True) if shelf.documents[item.passage] is not None]
    shelf.catalog.close()
    return [
        {"id": item.id, "question": item.question, "answer": list(item.answers), "document": f"{item.passage:03}.txt",
         "page": 1, "kind": "people"}
        for item in items
    ], 0  # fmt: skip


def main() -> None:
    """Print the figures; the last line is JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="a folder with some of agxqa, mmlongbench, …")
    parser.add_argument("--quick", action="store_true", help="4 documents of each, a minute of tuning, 6 questions")
    parser.add_argument("--only", nargs="*", choices=SETS, default=[], help="only these sets")
    parser.add_argument("--model", default="bundled", help="a generator by name or path")
    parser.add_argument("--minutes", type=float, default=10.0, help="limit of each tuning")
    parser.add_argument("--questions", type=int, default=100, help="at most so many questions of each")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="of [tuning], as JSON")
    parser.add_argument("--out", type=Path, help="keep the reports in this folder")
    parser.add_argument("--root", type=Path, help="keep the workspaces in this folder")
    options = parser.parse_args()
    quieten()
    changes = {name: json.loads(value) for name, _, value in (given.partition("=") for given in options.set)}
    minutes = 1.0 if options.quick else options.minutes
    settings = {
        "models": {"generator": options.model},
        "tuning": {"minutes": minutes, "general_questions": 0, "strength": 1.0, **changes},
        "compare": {"max_questions": 6 if options.quick else options.questions},
    }
    most = 4 if options.quick else 0
    readers = {"ntsb": ntsb, "mmlongbench": mmlongbench, "financebench": financebench}
    out: dict[str, Any] = {}
    for name in options.only or SETS:
        if not (options.data / name).is_dir():
            print(f"{name}: not in {options.data}")
            continue
        with tempfile.TemporaryDirectory() as scratch:
            root = (options.root or Path(scratch)) / name
            if name in readers:
                asked, left_out = pdf_set(readers[name], options.data, root, settings, most)
            else:
                asked, left_out = passage_set(options.data, root, settings, most)
            out[name] = measured(root, name, asked, options.out) | {"left_out": left_out}
        row = out[name]
        print(f"{name}: {row['n']} questions ({left_out} left out), verdict {row['verdict_kind']}")
        for arm, (mean, low, high) in row["token_f1"].items():
            print(f"  {arm:24} F1 {mean:.3f} ({low:.3f} to {high:.3f})")
    print(json.dumps({"bench": "compare", "model": options.model, "sets": out}))


def measured(root: Path, name: str, asked: list[Question], keep: Path | None) -> dict[str, Any]:
    """Tune and compare in the workspace; the figures, with seconds."""
    file = root / "questions.jsonl"
    file.write_text("".join(json.dumps(question) + "\n" for question in asked), "utf-8")
    began = time.perf_counter()
    with session("bench", root) as s:
        tuned = verbs.tune(s)
    tuning = time.perf_counter() - began
    began = time.perf_counter()
    with session("bench", root) as s:
        found = evaluating.compare(s, file)
    seconds = time.perf_counter() - began
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        for form in ("md", "json"):
            shutil.copyfile(Path(found["report"]).with_suffix(f".{form}"), keep / f"{name}.{form}")
    arms = {row["name"]: row["metrics"] for row in found["arms"]}
    return {
        "n": found["questions"]["n"], "verdict_kind": found["verdict_kind"], "verdict": found["verdict"],
        "pairs": tuned["manifest"]["examples"], "tuning_minutes": round(tuning / 60, 2),
        "seconds": round(seconds, 1), "timings": found["timings"],
        "token_f1": {arm: [m["token_f1"][key] for key in ("mean", "low", "high")] for arm, m in arms.items()},
        "exact_match": {arm: m["exact_match"]["mean"] for arm, m in arms.items()},
        "recall_at_3": found["retrieval"].get("recall@3", {}).get("mean"),
    }  # fmt: skip


if __name__ == "__main__":
    main()
