"""What the trainings on people's pairs share (question adapter, reader): the pairs, the training, and the adapter that
is shipped."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fieldguide import __version__
from fieldguide.errors import FieldguideError
from fieldguide.files import file_hash, folder_atomically, write_json
from fieldguide.models.adapters import CONFIG, WEIGHTS, base_hash
from fieldguide.models.transformers_generator import TransformersGenerator
from fieldguide.settings import Tuning
from fieldguide.types import Progress, content_hash
from tuning.examples import Example, set_hash
from tuning.loop import Loop
from tuning.tokenise import tokenise

FILES = ("train.jsonl", "val.jsonl")
"""What is trained on, and what is held out, in a folder of people's pairs."""


@dataclass(frozen=True, slots=True)
class HumanPair:
    """A person's question about a passage (``section`` of ``story``), and the answer."""

    story: str
    section: str
    question: str
    answer: str


def read_human_pairs(path: Path) -> list[HumanPair]:
    """Pairs of a JSON-lines file with story, section, question, answer (the layout of FairytaleQA).

    Raises FieldguideError for a file that is missing or has another layout.
    """
    try:
        rows = [json.loads(line) for line in path.read_text("utf-8").splitlines() if line.strip()]
        return [HumanPair(*(str(row[name]) for name in ("story", "section", "question", "answer"))) for row in rows]
    except OSError as error:
        raise FieldguideError(f"{path} cannot be read ({error.strerror}): name the file with the pairs.") from None
    except (ValueError, KeyError, TypeError) as error:
        raise FieldguideError(
            f"{path} is not JSON lines with story, section, question and answer ({error!r})."
        ) from None


def title_of(story: str) -> str:
    """A story's name as a title."""
    return " ".join(story.replace("-", " ").split()).capitalize()


def train_on_people(
    data: Path,
    sets: Sequence[Sequence[Example]],
    base: TransformersGenerator,
    settings: Tuning,
    run: Path,
    out: Path,
    progress: Progress,
    stopped: Callable[[], bool],
    about: dict[str, Any],
) -> dict[str, Any]:
    """Train on the first set, made of ``data``'s first file, hold out the second, write the adapter to ``out``.

    ``about`` opens the manifest, which is returned. An interrupted ``run`` goes on from its last checkpoint. Raises
    FieldguideError where there is nothing to train on, KeyboardInterrupt when stopped (after a checkpoint).
    """
    train, dev = sets
    if not train:
        raise FieldguideError(f"{data / FILES[0]} has no pair whose answer stands word for word in its section.")
    rows = [tokenise(examples, base, base.context_tokens) for examples in sets]
    base.unload_adapters()
    key = content_hash(set_hash(train), set_hash(dev), *base_hashes(base).values(), settings.model_dump_json())
    loop = Loop(base.model, base.tokenizer, settings, run, progress, stopped)
    result = loop.run(rows[0], rows[1], key)
    manifest: dict[str, Any] = {
        **about, "base": base.id, "data": {name: file_hash(data / name) for name in FILES}, "examples": len(train),
        "contexts": len(rows[0]), "settings": settings.model_dump(mode="json"), "dev_examples": len(dev),
        "dev_loss_base": result.dev_before, "dev_loss_tuned": result.dev_after, "steps": result.steps,
        "tokens": result.tokens, "seconds": round(result.seconds), "version": __version__,
    }  # fmt: skip
    package(loop.adapter_folder, out, manifest, base)
    return manifest


def base_hashes(base: TransformersGenerator) -> dict[str, str]:
    """The hash of the base weights as they are loaded, and as they are where they are loaded in bfloat16."""
    import torch

    copy = deepcopy(base.model).to(torch.bfloat16)
    return {str(base.dtype).removeprefix("torch."): base.base_hash(), "bfloat16": base_hash(copy)}


def package(trained: Path, out: Path, manifest: dict[str, Any], base: TransformersGenerator) -> None:
    """The adapter's weights in bfloat16, half the size, with configuration, and the manifest, to which the hashes of
    its weights and of the base in each dtype are added."""
    manifest = {"base_hash": base_hashes(base), **manifest}
    import torch
    from safetensors.torch import load_file, save_file

    weights = {name: w.to(torch.bfloat16).contiguous() for name, w in load_file(trained / WEIGHTS).items()}
    with folder_atomically(out) as part:
        save_file(weights, part / WEIGHTS, metadata={"format": "pt"})
        config = json.loads((trained / CONFIG).read_text("utf-8"))
        write_json(part / CONFIG, config | {"base_model_name_or_path": manifest["base"].partition(":")[0]})
        write_json(part / "manifest.json", {"sha256": file_hash(part / WEIGHTS), **manifest})
