"""What the product needs of a model: its Protocols and the values they exchange.

Knows nothing of any library; one file beside this one for each implementation.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

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
    ``reused_tokens`` of the prompt were not computed anew, since the prompt before began with them.
    """

    text: str
    prompt_tokens: int
    completion_tokens: int
    finish: Literal["stop", "length"]
    adapter: str | None
    money: float = 0.0
    likelihood: float | None = field(default=None, compare=False)
    reused_tokens: int = 0


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


@runtime_checkable
class Streaming(Protocol):
    """What a Generator may be able to do besides: tell a text while it is being written."""

    def stream(
        self, prompt: Prompt, *, max_new_tokens: int, write: Callable[[str], None], adapter: str | None = None
    ) -> Generation:
        """What ``generate`` gives for this prompt at temperature 0, but for ``reused_tokens``.

        ``write`` is called with pieces of the text, never with half a character; joined they are the text. What it
        raises ends the generation and comes through.
        """
        ...


def stream_or_generate(
    generator: Generator, prompt: Prompt, *, max_new_tokens: int, write: Callable[[str], None], adapter: str | None
) -> Generation:
    """See ``Streaming.stream``; of a generator that cannot, ``write`` hears the text at once, if there is any."""
    if isinstance(generator, Streaming):
        return generator.stream(prompt, max_new_tokens=max_new_tokens, write=write, adapter=adapter)
    made = generator.generate([prompt], max_new_tokens=max_new_tokens, adapter=adapter)[0]
    if made.text:
        write(made.text)
    return made
