"""How often is the verdict wrong, and how often does it abstain? On simulated outcomes whose truth is known.

Each scenario says what the four arms are truly worth. Comparisons of 30, 100 and 300 questions are drawn many times,
and so is a set that grows to 300 questions and is looked at five times, of which the first recommendation counts. A
recommendation is wrong if another arm is truly better, or if a simpler one is as good (but tuned + RAG, which cites,
may be recommended where tuned is as good). DIR/dev.json (SQuAD's form) gives how many questions a document has.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

# This script's folder would hide packages behind its files; the project's root holds `bench.parts`.
sys.path[:] = [path for path in sys.path if Path(path).resolve() != Path(__file__).parent.resolve()]
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.parts.outcomes import Outcomes, simulate
from bench.parts.squad import read_squad
from eval.evidence import COMPARED, difference_row
from eval.looks import level_of_look
from eval.verdict import KINDS, verdict

ARMS = ("base", "base+RAG", "tuned", "tuned+RAG")
SCENARIOS: Mapping[str, tuple[float, float, float, float]] = {
    "all equal": (0.3, 0.3, 0.3, 0.3),
    "retrieval +10": (0.25, 0.35, 0.25, 0.35),
    "tuning +10 with retrieval": (0.1, 0.3, 0.1, 0.4),
    "tuning +10 at a high level": (0.3, 0.6, 0.4, 0.7),
    "tuning +3 with retrieval": (0.1, 0.3, 0.1, 0.33),
    "tuning -10 with retrieval": (0.1, 0.4, 0.1, 0.3),
    "tuning alone +10": (0.2, 0.25, 0.4, 0.3),
    "retrieval -10": (0.4, 0.3, 0.3, 0.2),
}
TEN = ("tuning +10 with retrieval", "tuning +10 at a high level", "tuning -10 with retrieval",
       "tuning alone +10", "retrieval -10")  # fmt: skip
"""Those where the best arm is 10 points or more ahead of all that it competes with."""
LOOKS = (60, 120, 180, 240, 300)


def recommend(outcomes: Outcomes, samples: int, earlier: Sequence[int] = ()) -> str:
    """The verdict's kind on these outcomes, as `fieldguide compare` comes to it after looks at so many of them."""
    level = level_of_look([frozenset(map(str, range(n))) for n in (*earlier, len(outcomes.documents))])
    rows = [
        difference_row(
            a, b, "token_f1", outcomes.scores[a], outcomes.scores[b], outcomes.documents, level=level, samples=samples
        )
        for a, b in COMPARED
    ]
    n = len(outcomes.documents)
    arms = [
        {"name": arm, "metrics": {"token_f1": {"mean": float(outcomes.scores[arm].mean()), "n": n}}} for arm in ARMS
    ]
    return verdict(rows, arms)[0]


def is_wrong(kind: str, truth: Mapping[str, float]) -> bool:
    """Another arm is truly better, or a simpler one as good; where tuned is as good, tuned + RAG is right."""
    if kind == "undecided":
        return False
    value = {KINDS[arm]: mean for arm, mean in truth.items()}
    order = list(KINDS.values())
    simpler = [other for other in order[: order.index(kind)] if (other, kind) != ("tuned", "tuned_rag")]
    return value[kind] < max(value.values()) or any(value[other] >= value[kind] for other in simpler)


def main() -> None:
    """Print the figures; the last line is JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="a folder with dev.json, or with agxqa/dev.json")
    parser.add_argument("--quick", action="store_true", help="40 draws of each scenario instead of 400")
    parser.add_argument("--draws", type=int, default=0, help="draws of each scenario")
    parser.add_argument("--samples", type=int, default=2000, help="bootstrap samples")
    options = parser.parse_args()
    _, items = read_squad(options.data)
    sizes = list(np.bincount([item.passage for item in items]))
    sizes = [int(size) for size in sizes if size]
    draws = options.draws or (40 if options.quick else 400)
    began = time.perf_counter()
    table: dict[str, Any] = {}
    for name, means in SCENARIOS.items():
        truth = dict(zip(ARMS, means, strict=True))
        found: dict[str, list[str]] = {"30": [], "100": [], "300": [], "looks": []}
        for draw in range(draws):
            outcomes = simulate(truth, sizes, 300, np.random.default_rng([draw, *name.encode()]))
            for n in (30, 100, 300):
                found[str(n)].append(recommend(outcomes.first(n), options.samples))
            looks = (recommend(outcomes.first(n), options.samples, LOOKS[:k]) for k, n in enumerate(LOOKS))
            found["looks"].append(next((kind for kind in looks if kind != "undecided"), "undecided"))
        table[name] = {
            key: {"wrong": sum(is_wrong(kind, truth) for kind in kinds) / draws,
                  "abstained": kinds.count("undecided") / draws}
            for key, kinds in found.items()
        }  # fmt: skip
        print(f"{name:28} " + "  ".join(f"{key}: wrong {row['wrong']:.3f} abstained {row['abstained']:.2f}"
                                        for key, row in table[name].items()), flush=True)  # fmt: skip
    worst = {key: max(row[key]["wrong"] for row in table.values()) for key in ("30", "100", "300", "looks")}
    ten = {key: max(table[name][key]["abstained"] for name in TEN) for key in ("30", "100", "300", "looks")}
    print(json.dumps({
        "bench": "verdict", "draws": draws, "wrong_recommendations": max(worst.values()), "wrong_by_size": worst,
        "abstained_30": ten["30"], "abstained_100": ten["100"], "abstained_300": ten["300"],
        "abstained_after_looks": ten["looks"], "scenarios": table, "seconds": round(time.perf_counter() - began),
    }))  # fmt: skip


if __name__ == "__main__":
    main()
