"""Documents with people's questions as workspaces of the product: read, paired and tuned by its own verbs.

Of a folder DIR in the layout of shared/data: agxqa (passages split into halves, people's pairs of one half trained,
people's questions on the other asked), ntsb (the project's examples and the questions written for them, where DIR/ntsb
has no questions.jsonl), mmlongbench and financebench (people's questions; pairs made by the product's rules).
"""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.parts.shelves import UNANSWERABLE, pdfs, rows
from bench.parts.squad import squad_shelf, store_human_pairs
from fieldguide.cli import pairs, shelving, verbs
from fieldguide.cli.session import session
from fieldguide.models import load_embedder
from fieldguide.workspace import init_workspace

EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "ntsb"
SETS = ("agxqa", "ntsb", "mmlongbench", "financebench")
LONGEST_REFERENCE = 30
"""Words: what people explain at length cannot be scored by words that agree. Longer ones are left out, and counted."""

Question = dict[str, Any]


def ntsb(data: Path) -> tuple[list[Path], list[Question]]:
    """Files and written questions."""
    folder = data / "ntsb" if (data / "ntsb" / "questions.jsonl").is_file() else EXAMPLES
    return sorted(folder.glob("*.pdf")), rows(folder / "questions.jsonl")


def mmlongbench(data: Path) -> tuple[list[Path], list[Question]]:
    """Questions; those that the documents do not answer have the answer "". Pages count from 1."""
    folder = data / "mmlongbench"
    found = [
        {"id": f"mm-{n}", "question": row["question"], "document": row["doc_id"], "kind": row["answer_format"],
         "answer": "" if row["answer"] == UNANSWERABLE else str(row["answer"]),
         "pages": ast.literal_eval(row["evidence_pages"])}
        for n, row in enumerate(rows(folder / "qa.jsonl"))
    ]  # fmt: skip
    return pdfs(folder), found


def financebench(data: Path) -> tuple[list[Path], list[Question]]:
    """People's questions; pages count from 0 there, from 1 here."""
    folder = data / "financebench"
    found = [
        {"id": row["financebench_id"], "question": row["question"], "answer": row["answer"],
         "document": f"{row['doc_name']}.pdf", "kind": row["question_type"],
         "pages": sorted({e["evidence_page_num"] + 1 for e in row["evidence"]})}
        for row in rows(folder / "qa.jsonl")
    ]  # fmt: skip
    return pdfs(folder), found


def shelf(name: str, data: Path, root: Path, settings: Mapping[str, Any], most: int) -> tuple[list[Question], int]:
    """A workspace in ``root`` with documents and pairs, at most ``most`` documents (0 = all); its questions with a
    short answer, and how many others there are. One that is there already is taken as it is."""
    kept = root / "questions.jsonl"
    if kept.is_file():
        return rows(kept), 0
    if name == "agxqa":
        asked, left_out = _passages(data, root, settings, most), 0
    else:
        files, every = {"ntsb": ntsb, "mmlongbench": mmlongbench, "financebench": financebench}[name](data)
        init_workspace(root, settings)
        with session("bench", root) as s:
            read = shelving.ingest(s, files[:most] if most else files, None, None)
            pairs.make(s)
        held = {Path(file["path"]).name for file in read["files"] if file["document"]}
        asked = [
            q for q in every
            if q["document"] in held and q["answer"] and len(str(q["answer"]).split()) <= LONGEST_REFERENCE
        ]  # fmt: skip
        left_out = len(every) - len(asked)
    kept.write_text("".join(json.dumps(question) + "\n" for question in asked), "utf-8")
    return asked, left_out


def tune(root: Path) -> dict[str, Any]:
    """`fieldguide tune` in the workspace, unless an adapter is in use there; what it told, {} if nothing was done.

    The adapter is put in use whatever its own gate says of a few held-out examples: it is what shall be measured.
    """
    with session("bench", root) as s:
        if s.catalog.active("adapter") is not None:
            return {}
        told = verbs.tune(s)
        s.catalog.activate([("adapter", told["adapter"])])
        return told


def _passages(data: Path, root: Path, settings: Mapping[str, Any], most: int) -> list[Question]:
    """The first split of the passages: people's pairs of one half in the catalogue, their questions on the other."""
    init_workspace(root, settings)
    made = squad_shelf(data / "agxqa", root, load_embedder("bundled"), 0, most and 3 * most)
    store_human_pairs(made, 0, 0.12, 0)
    items = [item for item in made.questions(tested=True) if made.documents[item.passage] is not None]
    made.catalog.close()
    return [
        {"id": item.id, "question": item.question, "answer": list(item.answers), "document": f"{item.passage:03}.txt",
         "page": 1, "kind": "people"}
        for item in items
    ]  # fmt: skip
