"""What the product needs of a model: two Protocols and the values they exchange.

Knows nothing of any library; one file beside this one for each implementation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]
"""Shape (n, dimension), float32, each row of Euclidean length 1."""


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a chat prompt. ``content`` is data: control tokens in it are neutralised when rendered."""

    role: Literal["system", "user", "assistant"]
    content: str


Prompt = tuple[Message, ...]


@dataclass(frozen=True, slots=True)
class Generation:
    """What a generator wrote. ``finish`` is "stop" (end token or stop string) or "length".

    ``adapter`` is the id of the adapter that was active in the weights while generating, None if none was.
    ``money`` is what it cost at a provider, in the currency of the provider or of the prices in the settings.
    ``likelihood`` is the mean log-likelihood of its tokens and its end, at most 0; None where the model does not tell;
    it plays no part where generations are compared, since batches differ in the last digits.
    """

    text: str
    prompt_tokens: int
    completion_tokens: int
    finish: Literal["stop", "length"]
    adapter: str | None
    money: float = 0.0
    likelihood: float | None = field(default=None, compare=False)


class Embedder(Protocol):
    """Texts to unit vectors."""

    @property
    def id(self) -> str:
        """Name and hash of weights and settings; an index records it and refuses another."""
        ...

    @property
    def dimension(self) -> int: ...

    @property
    def max_tokens(self) -> int:
        """Longest text, in tokens, that is read; what is beyond it does not influence the vector."""
        ...

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Vectors of shape (len(texts), dimension). The same text gives the same vector in any batch."""
        ...

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Length of each text in this embedder's tokens, without special tokens."""
        ...


class Generator(Protocol):
    """Prompts to text, with adapters that can be switched per call."""

    @property
    def id(self) -> str:
        """Name and hash of the base weights."""
        ...

    @property
    def context_tokens(self) -> int:
        """The model's limit for prompt plus completion, in tokens."""
        ...

    def generate(
        self,
        prompts: Sequence[Prompt],
        *,
        max_new_tokens: int,
        stop: Sequence[str] = (),
        temperature: float = 0.0,
        seed: int = 0,
        adapter: str | None = None,
    ) -> list[Generation]:
        """One generation per prompt, in the order given. Greedy at temperature 0.

        ``stop`` strings end the text and are not part of it. ``adapter`` is an id from ``load_adapter``;
        None means the base model. Raises ModelError for an unknown adapter or a prompt over the limit.
        """
        ...

    def load_adapter(self, folder: Path) -> str:
        """Load an adapter and return its id. Loading it twice is harmless.

        The id is the SHA-256 of its weights; where its manifest.json says a ``strength`` other than 1, "@" and the
        strength follow, so that two strengths of the same weights are two adapters.
        """
        ...

    def base_hash(self) -> str:
        """SHA-256 over the base weights as they are in memory now (not as they were when loaded)."""
        ...

    def count_tokens(self, prompt: Prompt) -> int:
        """Length of the rendered prompt in tokens."""
        ...
