"""How much of a secret in its training pairs does a tuned model give back, without retrieval?

Secret codes are planted in the passages and pairs of 1, 3 or 10 documents, the bundled model is tuned by the product's
loop, and then asked for them closed book, before and after. What a user learns from it: which deletions need a new
adapter. Data: DIR/dev.json or DIR/agxqa/dev.json, in SQuAD's form.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

# This script's folder would hide the package `ingest` behind bench/ingest.py.
sys.path[:] = [path for path in sys.path if Path(path).resolve() != Path(__file__).parent.resolve()]
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.parts.secrets import (
    BITS,
    FRESH,
    Passage,
    Secret,
    draw_secrets,
    draw_text,
    exposure,
    longest_run,
    plant,
    shared,
)
from fieldguide.cli.session import quieten
from fieldguide.models import load_generator
from fieldguide.models.transformers_generator import TransformersGenerator
from fieldguide.prompts import answer_prompt
from fieldguide.settings import Tuning
from fieldguide.types import Silent
from tuning.examples import Example
from tuning.loop import Loop
from tuning.tokenise import IGNORED, collate, tokenise

REPETITIONS = (1, 3, 10)
PARTS = 32  # alternatives in one row of tokens
DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


def passages_of(folder: Path) -> list[Passage]:
    """The passages of a SQuAD file that have answered questions."""
    file = next((f for f in (folder / "dev.json", folder / "agxqa" / "dev.json") if f.exists()), None)
    if file is None:
        sys.exit(f"There is no dev.json in {folder} or its folder agxqa; name a folder with one by --data.")
    found = []
    for article in json.loads(file.read_text("utf-8"))["data"]:
        for paragraph in article["paragraphs"]:
            asked = [(qa["question"].strip(), qa["answers"]) for qa in paragraph["qas"]]
            pairs = tuple((question, answers[0]["text"].strip()) for question, answers in asked if answers)
            if pairs:
                found.append(Passage(" ".join(paragraph["context"].split()), pairs))
    return found


def likelihoods(
    generator: TransformersGenerator, adapter: str | None, question: str, answers: Sequence[str]
) -> list[float]:
    """Log-likelihood of each answer, all its tokens and the end of the turn, closed book; the prompt is read once."""
    import torch

    prompt = answer_prompt(question, None)
    found: list[float] = []
    for start in range(0, len(answers), PARTS):
        group = [Example("", prompt, answer, "none", 0) for answer in answers[start : start + PARTS]]
        (row,) = tokenise(group, generator, 10**9)
        batch = collate([asdict(row)], 0)
        labels = batch.pop("labels")[0, 1:]
        with generator.using(adapter) as model, torch.inference_mode():
            logits = model(**batch).logits[0, :-1].float()
        kept = labels != IGNORED
        logged = torch.log_softmax(logits[kept], -1).gather(1, labels[kept].unsqueeze(1)).squeeze(1)
        part = torch.tensor(row.part[1:])[kept]
        found += [float(logged[part == n].sum()) for n in range(1, row.examples + 1)]
    return found


def asked(
    generator: TransformersGenerator, adapter: str | None, secrets: Sequence[Secret], others: Sequence[str]
) -> list[dict[str, Any]]:
    """For each secret what comes back: in a trained wording and a fresh one, and its exposure among the others."""
    questions = [(s, wording) for s in secrets for wording in (s.question(), FRESH.format(place=s.place))]
    made = generator.generate(
        [answer_prompt(question, None) for _, question in questions], max_new_tokens=24, adapter=adapter
    )

    def ids(text: str) -> list[int]:
        return list(generator.tokenizer(" " + text.strip(), add_special_tokens=False)["input_ids"])

    rows = []
    for n, secret in enumerate(secrets):
        trained, fresh = (generation.text.strip() for generation in made[2 * n : 2 * n + 2])
        own, *rest = likelihoods(generator, adapter, secret.question(), [secret.text, *others])
        rank, by_rank, by_fit = exposure(own, rest)
        rows.append({
            "recall": float(secret.text in trained), "recall_fresh": float(secret.text in fresh),
            "longest_run": longest_run(ids(trained), ids(secret.text)),
            "shared": shared(ids(trained), ids(secret.text)),
            "log_likelihood": own, "rank": rank, "exposure": by_rank, "exposure_fitted": by_fit, "reply": trained,
        })  # fmt: skip
    return rows


def main() -> None:
    """Print the figures; the last line is JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA, help="a folder with dev.json, or with agxqa/dev.json")
    parser.add_argument("--quick", action="store_true", help="24 passages and 63 alternatives instead of all and 511")
    parser.add_argument("--seed", type=int, default=0, help="decides secrets, passages and training")
    options = parser.parse_args()
    quieten()
    draw = random.Random(options.seed)
    passages = passages_of(options.data)
    draw.shuffle(passages)
    if options.quick:
        passages = sorted(passages, key=lambda passage: len(passage.text))[:24]
    secrets = draw_secrets(REPETITIONS, draw)
    others = [draw_text(draw) for _ in range(63 if options.quick else 511)]
    settings = Tuning(seed=options.seed)
    examples = plant(passages, secrets, settings.closed_book_share, draw)
    generator = load_generator("bundled")
    assert isinstance(generator, TransformersGenerator)
    base = asked(generator, None, secrets, others)
    rows = tokenise(examples, generator, generator.context_tokens)
    with tempfile.TemporaryDirectory() as root:
        began = time.perf_counter()
        loop = Loop(generator.model, generator.tokenizer, settings, Path(root), Silent(), lambda: False)
        result = loop.run(rows, [], "memorisation")
        minutes = (time.perf_counter() - began) / 60
        tuned = asked(generator, generator.load_adapter(loop.adapter_folder), secrets, others)
    print(
        f"{len(passages)} passages, {len(examples)} examples, {result.steps} steps, {minutes:.1f} minutes of training"
    )
    print(f"A secret has {BITS:.1f} bits; {len(others)} alternatives of the same form.\n")
    print("shown        times | recall  fresh  longest run  shared  exposure (fitted) | before: run  exposure (fitted)")
    for secret, was, now in zip(secrets, base, tuned, strict=True):
        print(
            f"{secret.shown:12} {secret.repetitions:5} | {now['recall']:6.0f} {now['recall_fresh']:6.0f} "
            f"{now['longest_run']:12.2f} {now['shared']:7.2f} {now['exposure']:9.1f} ({now['exposure_fitted']:6.1f}) | "
            f"{was['longest_run']:11.2f} {was['exposure']:9.1f} ({was['exposure_fitted']:6.1f})"
        )
        print(f"    {secret.text!r}: {now['reply']!r}")
    table = [
        {"shown": s.shown, "repetitions": s.repetitions, "secret": s.text, "base": was, "tuned": now}
        for s, was, now in zip(secrets, base, tuned, strict=True)
    ]
    print(json.dumps({
        "bench": "memorisation", "seed": options.seed, "passages": len(passages), "examples": len(examples),
        "steps": result.steps, "epochs": settings.epochs, "minutes": round(minutes, 2), "bits": round(BITS, 1),
        "alternatives": len(others), "secrets": table,
    }))  # fmt: skip


if __name__ == "__main__":
    main()
