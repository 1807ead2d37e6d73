"""How much work does sharing passages among questions save in tuning, and is the loss the same?

The same examples, bundled model, forward and backward, in one process and interleaved: grouped rows (ours), one row an
example with the output layer at the answer only, and one row an example with trl's own loss. Data: DIR/ntsb/*.pdf.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

# This script's folder would hide the package `ingest` behind bench/ingest.py.
sys.path[:] = [path for path in sys.path if Path(path).resolve() != Path(__file__).parent.resolve()]

from fieldguide.catalog import Catalog
from fieldguide.cli.session import quieten
from fieldguide.models import load_embedder, load_generator
from fieldguide.models.sentence_transformer import bfloat16_on_cpu
from fieldguide.models.transformers_generator import TransformersGenerator
from fieldguide.settings import Index, Settings
from fieldguide.types import Silent
from fieldguide.workspace import init_workspace
from ingest.pipeline import ingest_files
from ingest.qa.questions import make_pairs
from ingest.qa.rules import RuleSource
from retrieval.build import build_index
from retrieval.retriever import HybridRetriever
from tuning.contexts import Shape, build_examples
from tuning.examples import Example, choose
from tuning.loss import answer_loss
from tuning.tokenise import Sequences, collate, tokenise

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


def examples_of(folder: Path, root: Path, wanted: int, per_context: int) -> list[Example]:
    """``wanted`` training examples from the PDFs, in groups."""
    workspace = init_workspace(root)
    settings = Settings()
    catalog = Catalog.open(workspace.catalog_file)
    embedder = load_embedder("bundled")
    ingest_files([folder], catalog, settings, workspace.state, embedder.count_tokens, embedder.id, Silent())
    build_index(catalog, workspace.index_folder, Index(), embedder, Silent())
    make_pairs(catalog, [RuleSource(seed=0, per_chunk=8)], settings.questions, Silent(), embedder=embedder)
    retriever = HybridRetriever.open(catalog, workspace.index_folder, embedder, settings.retrieval)
    pairs = choose(catalog.pairs("train"), 0, 0)
    found = build_examples(pairs, [retriever], catalog.chunks(), Shape(per_context=per_context))
    catalog.close()
    return found[:wanted]


def batches(rows: list[Sequences], size: int, pad: int) -> list[dict[str, Any]]:
    """Rows of similar length together."""
    from dataclasses import asdict

    order = sorted(rows, key=lambda row: len(row.input_ids))
    return [collate([asdict(row) for row in order[i : i + size]], pad) for i in range(0, len(order), size)]


def main() -> None:
    """Print the figures; the last line is JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=EXAMPLES, help="a folder that holds ntsb/*.pdf")
    parser.add_argument("--quick", action="store_true", help="16 examples instead of 96")
    options = parser.parse_args()
    quieten()
    import torch
    from peft import LoraConfig, get_peft_model
    from trl.trainer.sft_config import SFTConfig
    from trl.trainer.sft_trainer import SFTTrainer

    wanted = 16 if options.quick else 96
    generator = load_generator("bundled")
    assert isinstance(generator, TransformersGenerator)
    with tempfile.TemporaryDirectory() as root:
        examples = examples_of(options.data / "ntsb", Path(root), wanted, 8)
    alone = [Example(e.pair, e.prompt, e.completion, e.gold, n) for n, e in enumerate(examples)]
    grouped = tokenise(examples, generator, generator.context_tokens)
    single = tokenise(alone, generator, generator.context_tokens)
    pad = int(generator.tokenizer.pad_token_id)
    model = get_peft_model(
        generator.model, LoraConfig(r=16, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM")
    )
    with tempfile.TemporaryDirectory() as output:
        from datasets import Dataset

        rows = [{"input_ids": row.input_ids, "labels": row.labels} for row in single]
        config = SFTConfig(
            output_dir=output, use_cpu=True, bf16=False, gradient_checkpointing=False, max_length=None, report_to=[],
            dataset_kwargs={"skip_prepare_dataset": True},
        )  # fmt: skip
        peer = SFTTrainer(model, config, train_dataset=Dataset.from_list(rows), processing_class=generator.tokenizer)
        ordered = sorted(rows, key=lambda row: len(row["input_ids"]))
        peer_batches = [peer.data_collator(ordered[i : i + 4]) for i in range(0, len(ordered), 4)]

        def trl_loss(batch: dict[str, Any]) -> Any:
            return peer.compute_loss(model, dict(batch))

        def ours(batch: dict[str, Any]) -> Any:
            return answer_loss(model, batch)

        arms = {
            "grouped": (ours, batches(grouped, 1, pad)),
            "single": (ours, batches(single, 4, pad)),
            "trl": (trl_loss, peer_batches),
        }
        seconds = dict.fromkeys(arms, 0.0)
        losses = dict.fromkeys(arms, 0.0)
        rounds = max(len(parts) for _, parts in arms.values())
        for n in range(-1, rounds):  # interleaved, so that a change of the machine's speed meets all; -1 warms up
            for name, (loss_of, parts) in arms.items():
                first, last = (len(parts) * n // rounds, len(parts) * (n + 1) // rounds) if n >= 0 else (0, 1)
                for batch in parts[first:last]:
                    count = int((batch["labels"][:, 1:] != -100).sum())
                    began = time.perf_counter()
                    with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16_on_cpu()):
                        loss = loss_of(batch)
                    loss.backward()
                    if n >= 0:
                        seconds[name] += time.perf_counter() - began
                        losses[name] += float(loss) * count
                    model.zero_grad()
    tokens = sum(label != -100 for row in single for label in row.labels)
    figures = {
        "examples": len(examples),
        "ratio_grouped_vs_single": round(seconds["single"] / seconds["grouped"], 2),
        "ratio_grouped_vs_trl": round(seconds["trl"] / seconds["grouped"], 2),
        **{f"seconds_{name}": round(value, 1) for name, value in seconds.items()},
        **{f"loss_{name}": round(value / tokens, 4) for name, value in losses.items()},
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
