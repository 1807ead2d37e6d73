"""A folder of safetensors to a CTranslate2 model, by CTranslate2's own converter.

Beside CTranslate2's files the result has ``tokenizer/`` with what ``CTranslate2Generator`` needs to render prompts.
"""

from __future__ import annotations

import contextlib
import gc
import io
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

from fieldguide.errors import ModelError
from fieldguide.models.ctranslate2_generator import TOKENIZER
from fieldguide.models.weights import quiet

TYPES = {"int8": "int8", "f32": "float32", "f16": "float16", "bf16": "bfloat16"}
"""Ours for how weights are stored, to CTranslate2's."""
_HEAVY = ("*.safetensors", "*.safetensors.index.json")


def version() -> str:
    """CTranslate2's version. Raises ModelError where it is not installed."""
    try:
        import ctranslate2
    except ImportError as error:
        raise ModelError(
            "Exporting to CTranslate2 needs that package, which is not installed: pip install 'fieldguide[cpu-fast]'."
        ) from error
    return str(ctranslate2.__version__)


def convert(merged: Path, folder: Path, quantise: str) -> None:
    """Write the model in ``merged`` into ``folder`` (made if missing), its weights stored as ``quantise`` says (a key
    of ``TYPES``).

    Raises ModelError if CTranslate2 is missing, does not know the architecture, or numbered the tokens otherwise.
    """
    version()
    from ctranslate2.converters import TransformersConverter

    try:
        # The converter loads with transformers, whose bar no setting of its own turns off; and it collects garbage
        # after each layer, which takes long among the modules of a large programme.
        with quiet(), contextlib.redirect_stderr(io.StringIO()), _frozen():
            TransformersConverter(str(merged)).convert(str(folder), quantization=TYPES[quantise], force=True)
    except (ValueError, NotImplementedError, AttributeError, KeyError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ModelError(
            f"CTranslate2 {version()} cannot convert this model ({reason[:200]}): export it as gguf or safetensors."
        ) from error
    shutil.copytree(merged, folder / TOKENIZER, ignore=shutil.ignore_patterns(*_HEAVY))
    _check_vocabulary(folder)


@contextlib.contextmanager
def _frozen() -> Iterator[None]:
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def _check_vocabulary(folder: Path) -> None:
    """Raises ModelError unless each token of CTranslate2's list has, by its place, the id of the tokenizer's."""
    from transformers import AutoTokenizer

    with quiet():
        tokenizer = AutoTokenizer.from_pretrained(str(folder / TOKENIZER), local_files_only=True)
    numbered = {
        token: number for number, token in enumerate(json.loads((folder / "vocabulary.json").read_text("utf-8")))
    }
    wrong = [token for token, number in tokenizer.get_vocab().items() if numbered.get(token) != number]
    if wrong:
        raise ModelError(
            f"CTranslate2's converter numbered {len(wrong)} tokens otherwise than the tokenizer ({wrong[0]!r}): export "
            "this model as gguf or safetensors."
        )
