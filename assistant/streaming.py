"""A reply's raw pieces as the pieces of an answer that a reader is shown: no marks, no reasoning, no refusal.

Knows how replies are read (``fieldguide.replies``), not where they come from.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from fieldguide.models.base import Generation, Generator, Prompt, stream_or_generate
from fieldguide.replies import settled


class Shown:
    """Tells ``write`` the answer within a reply as far as it is settled; ``text`` is what was told so far."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._raw = ""
        self.text = ""

    def begin(self) -> None:
        """A reply begins."""
        self._raw = ""

    def hear(self, piece: str) -> None:
        """The reply goes on."""
        self._raw += piece
        self.end(settled(self._raw))

    def end(self, answer: str) -> None:
        """The answer is, or begins with, ``answer``: what of it is not told yet is, unless something else was."""
        if len(answer) > len(self.text) and answer.startswith(self.text):
            more, self.text = answer[len(self.text) :], answer
            self._write(more)


class Telling:
    """A generator that tells ``shown`` what it writes, where that can be an answer's text: a single greedy reply, as
    long as nothing of another has been told. In everything else it is the generator given."""

    def __init__(self, generator: Generator, shown: Shown) -> None:
        self.generator = generator
        self._shown = shown

    @property
    def id(self) -> str:
        return self.generator.id

    @property
    def context_tokens(self) -> int:
        return self.generator.context_tokens

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
        """See ``Generator.generate``."""
        if len(prompts) != 1 or stop or temperature > 0 or self._shown.text:
            return self.generator.generate(
                prompts, max_new_tokens=max_new_tokens, stop=stop, temperature=temperature, seed=seed, adapter=adapter
            )
        self._shown.begin()
        return [
            stream_or_generate(
                self.generator, prompts[0], max_new_tokens=max_new_tokens, write=self._shown.hear, adapter=adapter
            )
        ]

    def load_adapter(self, folder: Path) -> str:
        return self.generator.load_adapter(folder)

    def base_hash(self) -> str:
        return self.generator.base_hash()

    def count_tokens(self, prompt: Prompt) -> int:
        return self.generator.count_tokens(prompt)
