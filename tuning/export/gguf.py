"""A folder of safetensors to one GGUF file with its chat template, and an Ollama Modelfile beside it.

The conversion is llama.cpp's own (``converter``); what is here is what has to be said to it, and about the result.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from fieldguide.errors import ModelError
from fieldguide.files import write_atomically
from fieldguide.models.chat import Chat
from tuning.export.converter import Converter, run
from tuning.export.modelfile import modelfile

TYPES = {"f32": "f32", "f16": "f16", "bf16": "bf16", "q8_0": "q8_0"}
MODEL = "model.gguf"
MODELFILE = "Modelfile"


def convert(
    merged: Path,
    folder: Path,
    quantise: str,
    converter: Converter,
    chat: Chat,
    context_tokens: int,
    max_new_tokens: int,
) -> None:
    """Write ``model.gguf`` and ``Modelfile`` into ``folder`` (made if missing) from the model in ``merged``.

    ``chat`` renders for the same model. Raises ModelError if the converter fails or leaves out the chat template.
    """
    folder.mkdir(parents=True, exist_ok=True)
    run(converter, merged, folder / MODEL, TYPES[quantise], pre_tokenizer(merged))
    told = metadata(folder / MODEL)
    if chat.tokenizer.chat_template and not told.get("tokenizer.chat_template"):
        raise ModelError(f"llama.cpp's converter {converter.name} left the chat template out: use a newer one.")
    (folder / MODEL).chmod(0o644)
    text = modelfile(chat, MODEL, context_tokens, max_new_tokens, adds_bos(told))
    write_atomically(folder / MODELFILE, text)


def pre_tokenizer(merged: Path) -> str | None:
    """llama.cpp's name for this tokenizer's way of cutting text before its merges, where it can be read off the
    tokenizer itself: "gpt-2" for GPT-2's byte-level expression and nothing else; None: the converter has to know it.

    The converter tells tokenizers apart by a hash of what they do to one text, which is not enough for a model that
    came from a GGUF file, as the bundled one: transformers rebuilt its tokenizer with GPT-2's expression alone, and
    the hash takes it for SmolLM2's own, which also cuts between digits, so that line breaks before a number
    become other tokens than those that the model was tuned on.
    """
    try:
        told = json.loads((merged / "tokenizer.json").read_text("utf-8"))
    except (OSError, ValueError):
        return None
    cut = told.get("pre_tokenizer") or {}
    plain = cut.get("type") == "ByteLevel" and cut.get("use_regex", True) and not cut.get("add_prefix_space")
    return "gpt-2" if plain and told.get("normalizer") is None and told["model"].get("type") == "BPE" else None


def metadata(path: Path) -> dict[str, Any]:
    """The single values in a GGUF file's head: numbers, texts and truth values, by name. Raises ModelError."""
    from gguf import GGUFReader, GGUFValueType

    try:
        fields = GGUFReader(path).fields
    except (OSError, ValueError, KeyError, IndexError) as error:
        raise ModelError(f"{path} is no readable GGUF file ({error}).") from error
    return {
        name: field.contents()
        for name, field in fields.items()
        if field.types and field.types[0] != GGUFValueType.ARRAY
    }


def adds_bos(told: dict[str, Any]) -> bool:
    """Whether llama.cpp puts the first token before a text by itself, by the file's metadata or its own default."""
    explicit = told.get("tokenizer.ggml.add_bos_token")
    if explicit is not None:
        return bool(explicit)
    return told.get("tokenizer.ggml.model") == "llama" or told.get("tokenizer.ggml.pre") == "llama-bpe"
