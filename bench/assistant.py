"""How far can the assistant's answers be trusted, and how fast are many of them?

--citations: 60 questions of people over ntsb and mmlongbench: of the citations the share on a page where the evidence
stands (citation_precision), of the right answers the share with such a citation (citation_recall). --abstention: on
mmlongbench's and agxqa's questions, and on those that the documents do not answer, refusals at the threshold that other
questions chose (refusal_precision, refusal_recall), with the risk-coverage curve. --batch: questions a second against
LangChain's retrieval chain on the same model, adapter, passages and limits (ratio_vs_langchain), and the same answers
by CTranslate2. Workspaces are made by the product (``bench.parts.people``); --root keeps them.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

# This script's folder would hide packages behind its files; the project's root holds `bench.parts`.
sys.path[:] = [path for path in sys.path if Path(path).resolve() != Path(__file__).parent.resolve()]
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.parts import assistant_modes
from fieldguide.cli.session import quieten

MODES = ("citations", "abstention", "batch")


def main() -> None:
    """Print the figures; the last line is JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="a folder with agxqa, mmlongbench and ntsb")
    parser.add_argument("--quick", action="store_true", help="few documents, a minute of tuning, 6 questions of a set")
    for mode in MODES:
        parser.add_argument(f"--{mode}", action="store_true")
    parser.add_argument("--model", default="bundled", help="a generator by name or path")
    parser.add_argument("--minutes", type=float, default=10.0, help="limit of each tuning")
    parser.add_argument("--precision", type=float, default=0.8, help="what the threshold is chosen for, 0 to 1")
    parser.add_argument("--questions", type=int, default=0, help="of each set; 0 = 30 for citations, 64 for batch")
    parser.add_argument("--root", type=Path, help="keep the workspaces in this folder, or use those that are there")
    options = parser.parse_args()
    chosen = [mode for mode in MODES if getattr(options, mode)] or list(MODES)
    quieten()
    settings = {
        "models": {"generator": options.model},
        "tuning": {"minutes": 1.0 if options.quick else options.minutes, "general_questions": 0, "strength": 1.0},
    }
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as scratch:
        bench = assistant_modes.Bench(
            options.data, options.root or Path(scratch), settings, 3 if options.quick else 0,
            6 if options.quick else options.questions, options.precision,
        )  # fmt: skip
        for mode in chosen:
            figures |= getattr(assistant_modes, mode)(bench)
    print(json.dumps({"bench": "assistant", "model": options.model, **figures}))


if __name__ == "__main__":
    main()
