"""How fast is a step of tuning, and in how much memory, against trl's SFTTrainer on the same examples?

Every arm (``bench.parts.tuning_arm``) trains the bundled model on the same examples in the same order, 8 in a step,
with the same learning rate, in a process of its own; the arms take turns, a few steps each, so that a change of the
machine's speed meets all. The first step of each warms up and is not timed. Examples: people's questions on passages
(SQuAD form; passages of at most 1,000 characters) in the prompt that is served, with the passage asked about and two
others that share most words with it.

- ``ratio_vs_trl``: seconds of trl's defaults by ours; ``ratio_vs_trl_no_checkpointing``: of trl without activation
  checkpointing by ours. In both every example has its own row, so both sides process the same tokens.
- ``memory_ratio_vs_trl``: our process's peak of resident memory by that of trl's defaults.
- ``ratio_shared``: our time, by our time for the same examples when those about one passage are a row in which they
  share the passages, as the product trains them.
- ``peak_share``: arithmetic that a step needs, by what the machine's bfloat16 products of 2048 x 2048 matrices reach in
  the same run. A step needs per token 4 x the frozen parameters of the layers (forward, and the gradient of the
  input) and 6 x the adapter's; attention and the output layer (only where there is a label) are not counted.
- ``loss_difference_*``: mean and largest absolute difference of our loss from trl's, over the steps;
  ``*_of_starts`` the same between two of our own trainings whose adapters begin with other random weights. The curves
  agree (``same_loss``) if the mean of the first is not larger than that of the second, or than 1% of the mean loss.
"""

from __future__ import annotations

import json
import random
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.parts.question_sets import human_pairs
from bench.parts.tuning_arm import BATCH
from fieldguide import align
from fieldguide.errors import FieldguideError
from fieldguide.models import load_generator
from fieldguide.models.child import Child
from fieldguide.models.transformers_generator import TransformersGenerator
from fieldguide.prompts import answer_prompt
from fieldguide.types import Chunk, Context, ScoredChunk
from tuning.examples import Example
from tuning.tokenise import tokenise

EXAMPLES, QUICK = 96, 32
ARMS = ("trl", "trl_no_checkpointing", "ours", "shared")
_A_TURN = 2  # steps
_PASSAGES = 3
_LONGEST = 1_000  # characters: longer passages would be cut into chunks
_SETTINGS = {"batch_size": BATCH, "save_steps": 10**6, "seed": 0}


def run(data: Path, quick: bool, model: str = "bundled") -> dict[str, Any]:
    """A model's figures, over ``data``/dev.json (or ``data``/agxqa/dev.json). Raises FieldguideError if it has too few
    questions or an arm's process ends."""
    examples = read_examples(data if (data / "dev.json").exists() else data / "agxqa", QUICK if quick else EXAMPLES)
    generator = load_generator(model)
    assert isinstance(generator, TransformersGenerator)
    limit = generator.context_tokens
    alone = [asdict(row) for n, e in enumerate(examples) for row in tokenise([e], generator, limit)]
    shared = [asdict(row) for row in tokenise(examples, generator, limit)]
    del generator
    with tempfile.TemporaryDirectory() as folder:
        files = {name: Path(folder) / f"{name}.json" for name in ("alone", "shared")}
        for name, rows in (("alone", alone), ("shared", shared)):
            files[name].write_text(json.dumps(rows), "utf-8")
        measured, gflops = _in_turns(model, files, len(alone) // BATCH, len(shared))
        other = _losses_from_another_start(model, files["alone"], len(alone) // BATCH)
    return figures(measured, gflops, other) | {"examples": len(alone), "shared_rows": len(shared)}


def read_examples(folder: Path, count: int, seed: int = 0) -> list[Example]:
    """``count`` questions with their prompts, those about a passage next to each other, passages drawn by ``seed``."""
    by_chunk: dict[Chunk, list[tuple[str, str, str]]] = {}
    for pair, chunk in human_pairs(folder):
        if len(chunk.text) <= _LONGEST:
            by_chunk.setdefault(chunk, []).append((pair.id, pair.question, pair.answer))
    if sum(map(len, by_chunk.values())) < count:
        raise FieldguideError(f"{folder} has no dev.json with {count} questions to train on: name another by --data.")
    chunks = sorted(by_chunk, key=lambda chunk: chunk.id)
    random.Random(seed).shuffle(chunks)
    words = {chunk: set(align.content_tokens(chunk.text)) for chunk in chunks}
    examples: list[Example] = []
    for group, chunk in enumerate(chunks):
        others = sorted((c for c in chunks if c is not chunk), key=lambda c: -len(words[c] & words[chunk]))
        shown = [chunk, *others[: _PASSAGES - 1]]
        random.Random(f"{seed} {chunk.id}").shuffle(shown)
        context = Context(tuple(ScoredChunk(c, 0.0, rank) for rank, c in enumerate(shown, 1)), "rank")
        for name, question, answer in by_chunk[chunk]:
            examples.append(Example(name, answer_prompt(question, context), answer, "retrieved", group))
    return examples[:count]


def _in_turns(
    model: str, files: dict[str, Path], steps: int, shared_rows: int
) -> tuple[dict[str, dict[str, Any]], list[float]]:
    """What each arm measured over its timed steps, and GFLOP and seconds of the products between them."""
    turns = [1] + [_A_TURN] * ((steps - 1) // _A_TURN) + [1] * ((steps - 1) % _A_TURN)
    found: dict[str, dict[str, Any]] = {}
    peak = [0.0, 0.0]
    with ExitStack() as stack:
        arms = {}
        for name in (*ARMS, "peak"):
            arms[name] = Child("bench.parts.tuning_arm", f"the arm {name}")
            stack.callback(arms[name].close)
        arms["peak"].ask({"arm": "peak"})
        for name in ARMS:
            sharing = name == "shared"
            rows_a_step = max(1, shared_rows // steps) if sharing else BATCH
            found[name] = arms[name].ask(
                _request(model, name, files["shared" if sharing else "alone"], steps, rows_a_step)
            )
            found[name] |= {"seconds": 0.0, "cpu_seconds": 0.0, "example_tokens": 0, "tokens": 0, "rows": []}
        for turn, count in enumerate(turns):
            for name in ARMS:
                said = arms[name].ask({"steps": count})
                found[name]["peak_mb"] = said["peak_mb"]
                found[name]["rows"] += said["rows"]
                if turn:
                    for figure in ("seconds", "cpu_seconds", "example_tokens", "tokens"):
                        found[name][figure] += said[figure]
                speed = said["example_tokens"] / said["seconds"]
                print(
                    f"turn {turn + 1} of {len(turns)}  {name:21} {speed:7.0f} tokens/s  {said['peak_mb']:6.0f} MB",
                    flush=True,
                )
                product = arms["peak"].ask({})
                peak = [peak[0] + product["gflop"], peak[1] + product["seconds"]]
        for name in ARMS:
            found[name]["losses"] = arms[name].ask({})["losses"]
    return found, peak


def _losses_from_another_start(model: str, rows: Path, steps: int) -> list[float]:
    child = Child("bench.parts.tuning_arm", "another start")
    try:
        child.ask(_request(model, "ours", rows, steps, BATCH, other_start=True))
        child.ask({"steps": steps})
        return list(child.ask({})["losses"])
    finally:
        child.close()


def _request(
    model: str, arm: str, rows: Path, steps: int, rows_a_step: int, *, other_start: bool = False
) -> dict[str, Any]:
    return {
        "model": model, "arm": arm, "rows": str(rows), "steps": steps, "other_start": other_start,
        "settings": _SETTINGS | {"batch_size": rows_a_step},
    }  # fmt: skip


def figures(measured: dict[str, dict[str, Any]], peak: Sequence[float], other: Sequence[float]) -> dict[str, Any]:
    """The figures of this module's docstring. ``peak`` is GFLOP and seconds, ``other`` losses from another start."""
    ours, shared = measured["ours"], measured["shared"]
    speed = {name: arm["example_tokens"] / arm["seconds"] for name, arm in measured.items()}
    # forward and the gradient of the input for frozen weights, for the adapter's those and their own
    needed = (4 * ours["parameters"]["frozen"] + 6 * ours["parameters"]["adapter"]) / 1e9
    reached = peak[0] / peak[1]
    out: dict[str, Any] = {
        "same_examples": all(measured[name]["rows"] == ours["rows"] for name in ("trl", "trl_no_checkpointing")),
        "timed_tokens": ours["tokens"],
        "ratio_shared": round(speed["shared"] / speed["ours"], 2),
        "tokens_per_second": {name: round(value, 1) for name, value in speed.items()},
        "peak_mb": {name: round(arm["peak_mb"]) for name, arm in measured.items()},
        "loaded_mb": {name: round(arm["loaded_mb"]) for name, arm in measured.items()},
        "peak_gflops": round(reached, 1),
        "gflop_per_token": round(needed, 3),
        "peak_share": round(speed["ours"] * needed / reached, 3),
        "losses": {n: [round(x, 4) for x in arm["losses"]] for n, arm in measured.items() if arm is not shared},
    }  # fmt: skip
    for name in ("trl", "trl_no_checkpointing"):
        out[f"ratio_vs_{name}"] = round(speed["ours"] / speed[name], 2)
        out[f"cpu_ratio_vs_{name}"] = round(measured[name]["cpu_seconds"] / ours["cpu_seconds"], 2)
        out[f"memory_ratio_vs_{name}"] = round(ours["peak_mb"] / measured[name]["peak_mb"], 2)
        out |= _differences(ours["losses"], measured[name]["losses"], name)
    out |= _differences(ours["losses"], other, "of_starts")
    noise = max(out["loss_difference_of_starts"]["mean"], 0.01 * sum(ours["losses"]) / len(ours["losses"]))
    out["same_loss"] = out["loss_difference_trl"]["mean"] <= noise
    return out


def _differences(one: Sequence[float], other: Sequence[float], name: str) -> dict[str, dict[str, float]]:
    gaps = [abs(a - b) for a, b in zip(one, other, strict=True)]
    return {f"loss_difference_{name}": {"mean": round(sum(gaps) / len(gaps), 4), "max": round(max(gaps), 4)}}
