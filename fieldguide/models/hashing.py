"""An embedder of hashed words: deterministic, instant and without weights. For tests and as a floor to compare with.

Two texts are as similar as the words that they share. Knows nothing of meaning.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

import numpy as np

from fieldguide.align import tokens
from fieldguide.models.base import Vectors


class HashingEmbedder:
    """Each folded word adds +1 or -1 to the one dimension that its hash picks; the sum is scaled to length 1."""

    def __init__(self, dimension: int = 256, max_tokens: int = 512) -> None:
        """Raises ValueError unless both are at least 1."""
        if dimension < 1 or max_tokens < 1:
            raise ValueError(f"dimension and max_tokens must be at least 1, not {dimension} and {max_tokens}")
        self._dimension = dimension
        self._max_tokens = max_tokens

    @property
    def id(self) -> str:
        return f"hashing:{self._dimension}:{self._max_tokens}"

    @property
    def dimension(self) -> int:
        return self._dimension

    @property
    def max_tokens(self) -> int:
        return self._max_tokens

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Vectors (len(texts), dimension). A text without words gives the first unit vector."""
        vectors = np.zeros((len(texts), self._dimension), dtype=np.float64)
        for row, text in enumerate(texts):
            for token in tokens(text)[: self._max_tokens]:
                column, sign = self.place(token)
                vectors[row, column] += sign
        lengths = np.linalg.norm(vectors, axis=1)
        vectors[lengths == 0, 0] = 1.0
        lengths[lengths == 0] = 1.0
        unit: Vectors = (vectors / lengths[:, None]).astype(np.float32)
        return unit

    def place(self, token: str) -> tuple[int, int]:
        """Dimension and sign (+1 or -1) of a folded token."""
        value = int.from_bytes(blake2b(token.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")
        return (value >> 1) % self._dimension, 1 if value & 1 else -1

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return [len(tokens(text)) for text in texts]
