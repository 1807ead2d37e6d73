"""An embedder over sentence-transformers. Knows nothing of where weights come from (see ``weights``)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fieldguide.errors import ModelError
from fieldguide.models.base import Vectors
from fieldguide.models.weights import pick_device, quiet, safetensors_hash

_BATCH = 32


class SentenceTransformerEmbedder:
    """Unit vectors of a sentence-transformers model in a local folder, in float32."""

    def __init__(self, folder: Path, *, name: str, device: str = "auto") -> None:
        """Raises ModelError if the folder's model cannot be loaded or would run code of its own."""
        from sentence_transformers import SentenceTransformer

        _refuse_code(folder)
        try:
            with quiet():
                model: Any = SentenceTransformer(
                    str(folder),
                    device=pick_device(device),
                    trust_remote_code=False,
                    local_files_only=True,
                    model_kwargs={"use_safetensors": True, "dtype": "float32"},
                )
        except Exception as error:
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise ModelError(f"The embedder {name!r} at {folder} cannot be loaded: {reason}") from error
        self.model = model
        tokenizer = model.tokenizer
        window = model.max_seq_length or min(int(tokenizer.model_max_length), _positions(model))
        self._dimension = int(model.get_embedding_dimension())
        self._max_tokens = int(window) - int(tokenizer.num_special_tokens_to_add())
        self._id = f"{name}:{safetensors_hash(folder)[:16]}:{int(window)}"

    @property
    def id(self) -> str:
        return self._id

    @property
    def dimension(self) -> int:
        return self._dimension

    @property
    def max_tokens(self) -> int:
        """The model's window without its special tokens, so that it compares with ``count_tokens``."""
        return self._max_tokens

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Vectors (len(texts), dimension); the library sorts by length and batches."""
        if not texts:
            return np.zeros((0, self._dimension), dtype=np.float32)
        vectors = self.model.encode(
            list(texts),
            batch_size=_BATCH,
            show_progress_bar=False,
            convert_to_numpy=True,
            normalize_embeddings=True,
        )
        return np.ascontiguousarray(vectors, dtype=np.float32)

    def count_tokens(self, text: str) -> int:
        encoded = self.model.tokenizer(text, add_special_tokens=False, truncation=False, verbose=False)
        return len(encoded["input_ids"])


def _positions(model: Any) -> int:
    config = getattr(model[0], "config", None) or getattr(getattr(model[0], "auto_model", None), "config", None)
    return int(getattr(config, "max_position_embeddings", 512))


def _refuse_code(folder: Path) -> None:
    """Raises ModelError if modules.json names a class from outside sentence-transformers."""
    modules = folder / "modules.json"
    if not modules.exists():
        return
    try:
        types = [str(entry["type"]) for entry in json.loads(modules.read_text("utf-8"))]
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{modules} is not a list of sentence-transformers modules.") from error
    foreign = [name for name in types if not name.startswith("sentence_transformers.")]
    if foreign:
        raise ModelError(f"The embedder at {folder} wants to run code of its own ({foreign[0]}), which is refused.")
