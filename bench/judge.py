"""How far can a judge be trusted? Its verdicts against people's, beside measures that need no judge.

Pairs: DIR/pandalm/dev.json, 500 pairs of answers with three people's preferences each (the majority counts, a tie where
there is none), both orders. Grades: DIR/financebench/judged_answers.jsonl, answers of known systems labelled correct or
incorrect (refusals are told by people there and left out), with the reference shown; beside it token F1, ROUGE-L,
numeric match and the embedder's similarity, each cut where it agrees best on the other half of the questions. Any
generator by --model, several after one another.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

# This script's folder would hide packages behind its files; the project's root holds `bench.parts`.
sys.path[:] = [path for path in sys.path if Path(path).resolve() != Path(__file__).parent.resolve()]
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from eval.calibration import Calibration, calibrate, majority
from eval.judge import Judge, Pair
from fieldguide import metrics
from fieldguide.cli.session import quieten
from fieldguide.models import load_embedder, load_generator
from fieldguide.quantities import numeric_match

LONGEST = 2400
"""Characters of a text that are shown, so that the bundled model's window holds both answers."""


def pairs_of(data: Path, limit: int) -> tuple[list[Pair], list[str], list[str]]:
    """Pairs, people's majority ("first", "second", "tie") and the instruction of each, a random ``limit`` of them."""
    rows = json.loads((data / "pandalm" / "dev.json").read_text("utf-8"))
    random.Random(0).shuffle(rows)
    rows = rows[:limit] if limit else rows
    names = {1: "first", 2: "second", 0: "tie"}
    pairs = [
        Pair(f"{r['instruction']}\n{r['input']}".strip()[:LONGEST], r["response1"][:LONGEST], r["response2"][:LONGEST])
        for r in rows
    ]
    people = [str(majority([names[r[f"annotator{n}"]] for n in (1, 2, 3)], "tie")) for r in rows]
    return pairs, people, [pair.question for pair in pairs]


def graded(data: Path, limit: int) -> list[dict[str, str]]:
    """Answers that people called correct or incorrect, a random ``limit`` of them."""
    file = data / "financebench" / "judged_answers.jsonl"
    rows = [json.loads(line) for line in file.read_text("utf-8").splitlines() if line.strip()]
    rows = [{name: str(value) for name, value in row.items()} for row in rows]  # some answers are bare numbers
    rows = [row for row in rows if "refus" not in label_of(row) and row["model_answer"].strip()]
    random.Random(0).shuffle(rows)
    return rows[:limit] if limit else rows


def label_of(row: dict[str, str]) -> str:
    """People's label in lower case."""
    return str(row["label"]).lower()


def measures(rows: Sequence[dict[str, str]]) -> dict[str, list[float]]:
    """Each measure's value of each answer."""
    embedder = load_embedder("bundled")
    gold, said = (embedder.embed([row[name] for row in rows]) for name in ("gold_answer", "model_answer"))
    of: dict[str, Callable[[str, str], float | None]] = {
        "token_f1": metrics.token_f1, "rouge_l": metrics.rouge_l, "containment": metrics.containment,
        "numeric_match": numeric_match,
    }  # fmt: skip
    found = {name: [float(f(r["model_answer"], r["gold_answer"]) or 0.0) for r in rows] for name, f in of.items()}
    return found | {"similarity": [float(a @ b) for a, b in zip(gold, said, strict=True)]}


def cut(values: Sequence[float], people: Sequence[str], questions: Sequence[str]) -> list[str]:
    """ "correct" from a value on: for each half of the questions the one that agrees best on the other half."""
    half = {q: n % 2 for n, q in enumerate(sorted(set(questions)))}
    side = np.array([half[q] for q in questions])
    numbers, right = np.array(values), np.array([label == "correct" for label in people])
    out = np.zeros(len(numbers), dtype=bool)
    for mine in (0, 1):
        other = side != mine
        levels = np.unique(numbers[other])
        best = max(levels, key=lambda level: float(((numbers[other] >= level) == right[other]).mean()))
        out[side == mine] = numbers[side == mine] >= best
    return ["correct" if value else "wrong" for value in out]


def told(name: str, found: Calibration) -> dict[str, Any]:
    """Printed, and as plain values."""
    row = asdict(found)
    agreement = found.agreement
    said = "–" if agreement is None else f"{agreement.mean:.3f} ({agreement.low:.3f} to {agreement.high:.3f})"
    print(f"{name:44} agreement {said}  kappa {found.kappa:+.3f}  flips {found.flip_rate:.3f}  "
          f"unparsed {found.unparsed:.3f}  n = {found.n}", flush=True)  # fmt: skip
    return row


def main() -> None:
    """Print the figures; the last line is JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="a folder with pandalm/ and financebench/")
    parser.add_argument("--quick", action="store_true", help="24 pairs and 24 answers")
    parser.add_argument("--pairs", type=int, default=0, help="at most so many pairs; 0 = all")
    parser.add_argument("--answers", type=int, default=0, help="at most so many answers; 0 = all")
    parser.add_argument("--model", nargs="+", default=["bundled"], help="judges, by name or path")
    options = parser.parse_args()
    missing = [f for f in ("pandalm/dev.json", "financebench/judged_answers.jsonl") if not (options.data / f).is_file()]
    if missing:
        sys.exit(f"There is no {missing[0]} in {options.data}; name a folder that holds it by --data.")
    quieten()
    pairs, people, instructions = pairs_of(options.data, 24 if options.quick else options.pairs)
    rows = graded(options.data, 24 if options.quick else options.answers)
    labels = ["wrong" if label_of(row).startswith("incorrect") else "correct" for row in rows]
    asked = [row["question"] for row in rows]
    table: dict[str, Any] = {"pairs": {}, "grades": {}}
    longer = ["first" if len(p.first) > len(p.second) else "second" for p in pairs]
    table["pairs"]["the longer answer"] = told(
        "pairs: the longer answer", calibrate(longer, people, clusters=instructions)
    )
    for name, values in measures(rows).items():
        table["grades"][name] = told(f"grades: {name}", calibrate(cut(values, labels, asked), labels, clusters=asked))
    began = time.perf_counter()
    for model in options.model:
        judge = Judge(load_generator(model))
        judged = judge.compare(pairs)
        table["pairs"][model] = told(f"pairs: {model}", calibrate(
            [j.verdict for j in judged], people, [j.flipped for j in judged], clusters=instructions))  # fmt: skip
        made = judge.grade(
            asked, [r["gold_answer"][:LONGEST] for r in rows], [r["model_answer"][:LONGEST] for r in rows]
        )
        said = [None if grade is None else "correct" if grade == "correct" else "wrong" for grade in made]
        table["grades"][model] = told(f"grades: {model}", calibrate(said, labels, clusters=asked))
    main_row = table["pairs"][options.model[0]]
    print(json.dumps({
        "bench": "judge", "models": options.model, "agreement": (main_row["agreement"] or {}).get("mean"),
        "kappa": main_row["kappa"], "flip_rate": main_row["flip_rate"], "unparsed": main_row["unparsed"],
        "table": table, "seconds": round(time.perf_counter() - began),
    }))  # fmt: skip


if __name__ == "__main__":
    main()
