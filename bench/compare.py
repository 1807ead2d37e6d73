"""Does retrieval, tuning or both pay off? `fieldguide compare` on real documents and questions, from nothing.

On the folders of DIR that are there (``bench.parts.people``; --only picks some). Every step is the product's own:
ingest, qa, tune, compare, with the base model's best prompt as an arm more. Prints each report's arms and verdict, how
the time of the comparison splits, and keeps report.md and report.json with --out.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

# This script's folder would hide packages behind its files; the project's root holds `bench.parts`.
sys.path[:] = [path for path in sys.path if Path(path).resolve() != Path(__file__).parent.resolve()]
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.parts.people import SETS, shelf, tune
from fieldguide.cli import evaluating
from fieldguide.cli.session import quieten, session

VARIANTS = [{"name": "base+RAG, best prompt", "tuned": False, "prompt": "best"}]
"""A base model deserves its best prompt, chosen on dev pairs."""


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
        "compare": {"max_questions": 6 if options.quick else options.questions, "variants": VARIANTS},
    }
    most = 4 if options.quick else 0
    out: dict[str, Any] = {}
    for name in options.only or SETS:
        if not (options.data / name).is_dir():
            print(f"{name}: not in {options.data}")
            continue
        with tempfile.TemporaryDirectory() as scratch:
            root = (options.root or Path(scratch)) / name
            _, left_out = shelf(name, options.data, root, settings, most)
            out[name] = measured(root, name, options.out) | {"left_out": left_out}
        row = out[name]
        print(f"{name}: {row['n']} questions ({left_out} left out), verdict {row['verdict_kind']}")
        for arm, (mean, low, high) in row["token_f1"].items():
            print(f"  {arm:24} F1 {mean:.3f} ({low:.3f} to {high:.3f})")
    print(json.dumps({"bench": "compare", "model": options.model, "sets": out}))


def measured(root: Path, name: str, keep: Path | None) -> dict[str, Any]:
    """Tune and compare in the workspace; the figures, with seconds."""
    began = time.perf_counter()
    tuned = tune(root)
    tuning = time.perf_counter() - began
    began = time.perf_counter()
    with session("bench", root) as s:
        found = evaluating.compare(s, root / "questions.jsonl")
    seconds = time.perf_counter() - began
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        for form in ("md", "json"):
            shutil.copyfile(Path(found["report"]).with_suffix(f".{form}"), keep / f"{name}.{form}")
    arms = {row["name"]: row["metrics"] for row in found["arms"]}
    return {
        "n": found["questions"]["n"], "verdict_kind": found["verdict_kind"], "verdict": found["verdict"],
        "pairs": tuned["manifest"]["examples"] if tuned else None, "tuning_minutes": round(tuning / 60, 2),
        "seconds": round(seconds, 1), "timings": found["timings"],
        "token_f1": {arm: [m["token_f1"][key] for key in ("mean", "low", "high")] for arm, m in arms.items()},
        "exact_match": {arm: m["exact_match"]["mean"] for arm, m in arms.items()},
        "recall_at_3": found["retrieval"].get("recall@3", {}).get("mean"),
    }  # fmt: skip


if __name__ == "__main__":
    main()
