"""A generator whose every output a test can compute by hand. Tokens are words split at white space."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal

from fieldguide.errors import ModelError
from fieldguide.files import file_hash
from fieldguide.models.base import Generation, Prompt
from fieldguide.types import content_hash

_WORDS = re.compile(r"\s*\S+|\s+$")

Replies = Callable[[Prompt, str | None], str] | Sequence[str] | Mapping[str, str]


class ScriptedGenerator:
    """Answers from a script instead of a model.

    ``replies`` is a function of (prompt, adapter id or None); or texts that are given out in turn, round and round;
    or a mapping in which the content of the last message is looked up, "" being the reply to anything else.
    At a temperature over 0 the reply ends in " #<seed>", so that a test sees that the seed came through.
    """

    def __init__(
        self, replies: Replies, *, context_tokens: int = 4096, base: str = "scripted base", name: str = "scripted"
    ) -> None:
        self._replies = replies
        self._context_tokens = context_tokens
        self._adapters: set[str] = set()
        self._turn = 0
        self._lock = threading.RLock()
        self._id = f"{name}:{content_hash(base)[:16]}"
        self.base = base
        """Stands for the base weights: a test that assigns it plays a base that was changed."""
        self.calls: list[tuple[Prompt, str | None]] = []
        """Every (prompt, adapter) that was asked, in order."""
        self.on_batch: Callable[[int], None] | None = None

    @property
    def id(self) -> str:
        return self._id

    @property
    def context_tokens(self) -> int:
        return self._context_tokens

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
        """See ``Generator.generate``. Raises ModelError for an unknown adapter or a prompt over the limit."""
        if max_new_tokens < 1 or temperature < 0 or not all(stop):
            raise ValueError("max_new_tokens must be at least 1, temperature at least 0, and no stop string empty")
        if adapter is not None and adapter not in self._adapters:
            raise ModelError(f"The adapter {adapter[:16]} is not loaded.")
        for number, prompt in enumerate(prompts, 1):
            if (length := self.count_tokens(prompt)) + max_new_tokens > self._context_tokens:
                raise ModelError(
                    f"Prompt {number} of {len(prompts)} has {length} tokens; with {max_new_tokens} for the answer that "
                    f"is over the model's limit of {self._context_tokens}."
                )
        found = []
        with self._lock:
            for prompt in prompts:
                self.calls.append((prompt, adapter))
                text = self._reply(prompt, adapter)
                if temperature > 0:
                    text = f"{text} #{seed}"
                found.append(self._cut(text, prompt, max_new_tokens, stop, adapter))
        if self.on_batch is not None and found:
            self.on_batch(len(found))
        return found

    def stream(
        self, prompt: Prompt, *, max_new_tokens: int, write: Callable[[str], None], adapter: str | None = None
    ) -> Generation:
        """See ``Streaming.stream``: a piece for each word, with the white space before it."""
        made = self.generate([prompt], max_new_tokens=max_new_tokens, adapter=adapter)[0]
        for piece in _WORDS.findall(made.text):
            write(piece)
        return made

    def _reply(self, prompt: Prompt, adapter: str | None) -> str:
        if callable(self._replies):
            return self._replies(prompt, adapter)
        if isinstance(self._replies, Mapping):
            last = prompt[-1].content if prompt else ""
            if last not in self._replies and "" not in self._replies:
                raise KeyError(f"the script has no reply to {last!r}")
            return self._replies.get(last, self._replies.get("", ""))
        text = self._replies[self._turn % len(self._replies)]
        self._turn += 1
        return text

    def _cut(
        self, text: str, prompt: Prompt, max_new_tokens: int, stop: Sequence[str], adapter: str | None
    ) -> Generation:
        finish: Literal["stop", "length"] = "stop"
        words = text.split()
        if len(words) > max_new_tokens:
            finish, text = "length", " ".join(words[:max_new_tokens])
        ends = [text.index(mark) for mark in stop if mark in text]
        if ends:
            finish, text = "stop", text[: min(ends)]
        return Generation(text, self.count_tokens(prompt), len(text.split()), finish, adapter)

    def load_adapter(self, folder: Path) -> str:
        """The SHA-256 of ``folder``'s adapter_model.safetensors. Raises ModelError if there is none."""
        path = folder / "adapter_model.safetensors"
        if not path.is_file():
            raise ModelError(f"There is no adapter in {folder}: adapter_model.safetensors is missing.")
        adapter = file_hash(path)
        self._adapters.add(adapter)
        return adapter

    def base_hash(self) -> str:
        return content_hash(self.base)

    def count_tokens(self, prompt: Prompt) -> int:
        """Words of all messages, and one for each role."""
        return sum(1 + len(message.content.split()) for message in prompt)
