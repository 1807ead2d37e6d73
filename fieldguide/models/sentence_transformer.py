"""An embedder over sentence-transformers. Knows nothing of where weights come from (see ``weights``).

The rule for every engine and precision: vectors have at least NEAR cosine to the float32 model's, which is checked on
PROBES at each load. So an index made by one can be searched with another, and the id names only weights and window.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from fieldguide.errors import ModelError
from fieldguide.models.base import Vectors
from fieldguide.models.weights import pick_device, quiet, refuse_code, safetensors_hash

NEAR = 0.99
PROBES = (
    "The pilot reported a loss of engine power.",
    "Net sales | 2023: $ 14,694 | 2022: $ 14,544 | 2021: $ 12,861",
    "1",
    "Items 1 to 7 of section 3.2 apply to every pump that was delivered before June 30, 2021. " * 6,
)
_BATCH = 32


class SentenceTransformerEmbedder:
    """Unit vectors of a sentence-transformers model in a local folder."""

    def __init__(
        self, folder: Path, *, name: str, device: str = "auto", dtype: Literal["float32", "bfloat16"] = "float32"
    ) -> None:
        """``dtype`` is what is computed in; "bfloat16" turns to float32 where that takes the vectors too far.

        Raises ModelError if the folder's model cannot be loaded or would run code of its own.
        """
        refuse_code(folder, "embedder")
        self.model = _load(folder, name, device)
        tokenizer = self.model.tokenizer
        self.window = int(self.model.max_seq_length or min(int(tokenizer.model_max_length), _positions(self.model)))
        self._dimension = int(self.model.get_embedding_dimension())
        self._max_tokens = self.window - int(tokenizer.num_special_tokens_to_add())
        self._id = f"{name}:{safetensors_hash(folder)[:16]}:{self.window}"
        self.engine = f"sentence-transformers {dtype}"
        if dtype == "bfloat16":
            reference = self.embed(PROBES)
            self.model.bfloat16()
            if not near(self.embed(PROBES), reference):
                self.model = _load(folder, name, device)
                self.engine = "sentence-transformers float32"

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
        ).astype(np.float32)
        return np.ascontiguousarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12))

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        if not texts:
            return []
        encoded = self.model.tokenizer(list(texts), add_special_tokens=False, truncation=False, verbose=False)
        return [len(ids) for ids in encoded["input_ids"]]


def bfloat16_on_cpu() -> bool:
    """Whether this processor multiplies bfloat16 in hardware; elsewhere it is slower than float32."""
    import torch

    checks = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(bool(getattr(torch.cpu, name, lambda: False)()) for name in checks)


def near(vectors: Vectors, reference: Vectors) -> bool:
    """Whether each unit vector has at least NEAR cosine to the one of the same row."""
    return bool(np.all(np.sum(vectors * reference, axis=1) >= NEAR))


def _load(folder: Path, name: str, device: str) -> Any:
    from sentence_transformers import SentenceTransformer

    try:
        with quiet():
            return SentenceTransformer(
                str(folder),
                device=pick_device(device),
                trust_remote_code=False,
                local_files_only=True,
                model_kwargs={"use_safetensors": True, "dtype": "float32"},
            )
    except Exception as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ModelError(f"The embedder {name!r} at {folder} cannot be loaded: {reason}") from error


def _positions(model: Any) -> int:
    config = getattr(model[0], "config", None) or getattr(getattr(model[0], "auto_model", None), "config", None)
    return int(getattr(config, "max_position_embeddings", 512))
