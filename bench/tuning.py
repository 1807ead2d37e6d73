"""Does tuning on people's pairs make the model read better? Token F1, exact match and containment of all arms.

The passages of DIR/dev.json (SQuAD form) are split into halves, all are indexed as documents, people's questions on one
half are the training pairs and those on the other are the test. Modes, each with its own figures:

  (none)          base, base + RAG, few-shot base + RAG, the start alone + RAG, tuned, tuned + RAG; several seeds
  --generated     the same, trained on pairs that rules make from the trained half
  --raw           the same, trained on the trained half's text without pairs (continued pre-training)
  --curve         gain by the number of training pairs
  --unanswerable  refusals with the gold passage removed, and false refusals, before and after
  --order         direct tuning, RAG tuning, RAG tuning with reasoning; k from 1 to 10
  --reorder       trained with rank or ends, served with rank or ends, at several k
  --options       each option of the training set against none
  --speed         tokens a second and memory against trl's SFTTrainer
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# This script's folder would hide packages behind its files; the project's root holds `bench.parts`.
sys.path[:] = [path for path in sys.path if Path(path).resolve() != Path(__file__).parent.resolve()]
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.parts import tuning_modes as modes
from bench.parts.arms import Scores, answer, closed_prompts, difference, few_shot, load, rag_prompts, shots_of, summary
from bench.parts.squad import Item, SquadShelf, squad_shelf, store_generated_pairs, store_human_pairs
from fieldguide.cli.session import quieten
from fieldguide.models import load_embedder, load_generator
from fieldguide.models.sentence_transformer import bfloat16_on_cpu
from fieldguide.models.transformers_generator import TransformersGenerator
from fieldguide.prompts import answer_prompt_hash
from fieldguide.settings import Tuning
from tuning.start import find_start
from tuning.train import TuneReport, tune

DEV_SHARE = 0.12
SHOTS = 2


class Said:
    """Progress as lines on the error stream, one a step and then one a half minute."""

    def __init__(self) -> None:
        self._last = 0.0

    def start(self, label: str, total: int | None = None, done: int = 0) -> None:
        print(f"  … {label} {done or ''}/{total or ''}", file=sys.stderr, flush=True)
        self._n, self._total, self._last = done, total, time.monotonic()

    def advance(self, n: int = 1, note: str = "") -> None:
        self._n += n
        if time.monotonic() - self._last > 30:
            self._last = time.monotonic()
            print(f"    {self._n}/{self._total} {note}", file=sys.stderr, flush=True)


@dataclass
class Bench:
    """What all modes share."""

    data: Path
    root: Path
    generator: TransformersGenerator
    embedder: Any
    settings: Tuning
    seeds: list[int]
    passages: int
    questions: int
    pairs: int
    only: tuple[str, ...] = ()

    def shelf(self, seed: int, name: str = "") -> SquadShelf:
        return squad_shelf(self.data, self.root / f"seed-{seed}{name}", self.embedder, seed, self.passages)

    def items(self, shelf: SquadShelf) -> list[Item]:
        return shelf.questions(tested=True)[: self.questions or None]

    def tune(self, shelf: SquadShelf, seed: int, **changes: Any) -> tuple[TuneReport, float]:
        """Tune by the product's own flow; returns its report and the minutes that it took, all in all."""
        workspace, began = shelf.workspace, time.monotonic()
        settings = self.settings.model_copy(update={"seed": seed, **changes})
        report = tune(
            shelf.catalog, shelf.retriever, self.generator, settings, workspace.adapters_folder, workspace.runs_folder,
            lambda: workspace.new_run("tune"), Said(),
        )  # fmt: skip
        return report, (time.monotonic() - began) / 60


def arms(bench: Bench, store: Callable[[SquadShelf, int], tuple[int, int]]) -> dict[str, Any]:
    """The main figure: every arm on every seed's test half."""
    scores: dict[str, list[Scores]] = {}
    clusters: list[list[int]] = []
    minutes, best_steps, strengths, counts = [], [], [], []
    generator = bench.generator
    for seed in bench.seeds:
        shelf = bench.shelf(seed)
        counts.append(store(shelf, seed))
        items = bench.items(shelf)
        clusters.append([item.passage for item in items])
        rag, closed = rag_prompts(shelf.retriever, items), closed_prompts(items)
        shots = shots_of(sorted(shelf.catalog.pairs("train"), key=lambda p: p.id), shelf.retriever, SHOTS)
        report, took = bench.tune(shelf, seed)
        minutes.append(took)
        best_steps.append(f"{report.manifest['best_step']}/{report.manifest['planned_steps']}")
        strengths.append(report.manifest["strength"])
        start, _ = find_start(bench.settings, generator.base_hash())
        for arm, folder, prompts in (
            ("base", None, closed), ("base_rag", None, rag), ("base_rag_few_shot", None, few_shot(rag, shots)),
            ("start_rag", start, rag), ("tuned", report.folder, closed), ("tuned_rag", report.folder, rag),
        ):  # fmt: skip
            if (arm == "start_rag" and start is None) or (bench.only and arm not in bench.only):
                continue
            adapter = load(generator, folder)
            found = answer(generator, prompts, items, adapter)
            scores.setdefault(arm, []).append(found)
            mean = sum(found.f1) / len(found.f1)
            print(f"  seed {seed} {arm}: F1 {mean:.3f} of {len(items)}", file=sys.stderr, flush=True)
        load(generator, None)
        shelf.catalog.close()
    table = summary(scores, clusters)
    out: dict[str, Any] = {"pairs": counts, "seeds": bench.seeds, "best_step": best_steps, "strength": strengths}
    for arm, row in table.items():
        out |= {f"{arm}_f1": row["f1"]["mean"], f"{arm}_em": row["em"]["mean"]}
        out[f"{arm}_containment"] = row["containment"]["mean"]
        print(f"{arm:18} " + "  ".join(f"{m} {row[m]['mean']:.3f} ({row[m]['low']:.3f} to {row[m]['high']:.3f})"
                                       for m in ("f1", "em", "containment", "refused"))
              + f"  by seed {row['by_seed']}  n = {row['n']}")  # fmt: skip
    bases = [arm for arm in ("base_rag", "base_rag_few_shot") if arm in table]
    best = max(bases, key=lambda arm: table[arm]["f1"]["mean"], default=None)
    for other, name in ((best, "best_base"), ("start_rag", "start")):
        if other in scores and "tuned_rag" in scores:
            out[f"tuned_rag_minus_{name}"] = difference(scores["tuned_rag"], scores[other], clusters)
    out["intervals"] = table
    return out | {"best_base": best, "minutes": round(max(minutes), 2)}


def human(bench: Bench) -> Callable[[SquadShelf, int], tuple[int, int]]:
    """People's pairs."""
    return lambda shelf, seed: store_human_pairs(shelf, seed, DEV_SHARE, bench.pairs)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the figures; the last line is JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="a folder that holds dev.json")
    parser.add_argument("--quick", action="store_true", help="one seed, 16 passages, 1 pass, 12 questions")
    for mode in ("generated", "raw", "curve", "unanswerable", "order", "reorder", "options", "speed"):
        parser.add_argument(f"--{mode}", action="store_true")
    parser.add_argument("--model", default="bundled", help="a generator by name or path")
    parser.add_argument("--start", default="auto", help="tuning.start")
    parser.add_argument("--seeds", type=int, default=3, help="so many splits into halves")
    parser.add_argument("--pairs", type=int, default=0, help="train on at most so many pairs; 0 = all")
    parser.add_argument("--only", nargs="*", default=[], help="of the arms, or of --options, only these")
    parser.add_argument("--minutes", type=float, default=30.0, help="limit of a tuning; 0: none")
    parser.add_argument("--questions", type=int, default=0, help="at most so many test questions; 0 = all")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="a setting of [tuning], as JSON"
    )
    parser.add_argument("--replay", default="", help="tuning.replay: general examples, for the row of --options")
    parser.add_argument("--root", type=Path, help="keep the shelves and adapters in this folder")
    options = parser.parse_args(arguments)
    quieten()
    if options.speed:
        from bench.parts.tuning_speed import run

        print(json.dumps(run(options.data, options.quick)))
        return
    changes = {name: json.loads(value) for name, _, value in (given.partition("=") for given in options.set)}
    given = {"start": options.start, "minutes": options.minutes, "replay": options.replay}
    settings = Tuning(**{**given, **modes.BENCH_SETTINGS, **changes})
    if options.quick:
        settings = settings.model_copy(update={"epochs": 1.0, "checks": 1, "general_questions": 4, "dev_examples": 4})
    dtype = "bfloat16" if bfloat16_on_cpu() else "auto"
    generator = load_generator(options.model, dtype=dtype)
    assert isinstance(generator, TransformersGenerator)
    with tempfile.TemporaryDirectory() as scratch:
        bench = Bench(
            options.data, options.root or Path(scratch), generator, load_embedder("bundled"), settings,
            list(range(1 if options.quick else options.seeds)), 16 if options.quick else 0,
            12 if options.quick else options.questions, options.pairs, tuple(options.only),
        )  # fmt: skip
        bench.root.mkdir(parents=True, exist_ok=True)
        chosen = next((m for m in ("raw", "curve", "unanswerable", "order", "reorder", "options")
                       if getattr(options, m)), "")  # fmt: skip
        if chosen:
            figures = getattr(modes, chosen)(bench)
        elif options.generated:
            figures = arms(bench, lambda shelf, seed: store_generated_pairs(shelf, seed, bench.embedder))
        else:
            figures = arms(bench, human(bench))
    print(json.dumps({"model": generator.id, "prompt": answer_prompt_hash()[:12], **figures}))


if __name__ == "__main__":
    main()
