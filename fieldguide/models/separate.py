"""A generator in a process of its own, for adapters that rewrite their base: the base is loaded afresh for each.

``SeparateGenerator`` is the parent's side, ``python -m fieldguide.models.separate`` the child's. They speak lines of
JSON over the child's standard input and output; the child ends when its input does, so it never outlives its parent.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any, Self

from fieldguide.errors import IntegrityError, ModelError
from fieldguide.models import adapters
from fieldguide.models.base import Generation, Generator, Message, Prompt, stream_or_generate
from fieldguide.models.child import Child, protocol_streams, told_error


class SeparateGenerator:
    """The base and one adapter on it, which may rewrite it, in a child process. Calls from several threads take turns.

    ``id`` names the base as it was loaded; ``base_hash`` is of the base as the adapter has rewritten it. The base
    without the adapter cannot be had from here, so ``generate`` wants the adapter's id. Close it, or use ``with``.
    """

    def __init__(
        self,
        base: Path,
        adapter: Path,
        *,
        name: str,
        device: str = "auto",
        dtype: str = "auto",
        batch_tokens: int = 4096,
    ) -> None:
        """Raises ModelError if base or adapter cannot be loaded."""
        self.on_batch: Callable[[int], None] | None = None
        """Called after each batch with the number of prompts that it finished."""
        self._lock = threading.RLock()
        self._child = Child("fieldguide.models.separate", f"the adapter {adapter.name}")
        try:
            ready = self._child.ask(
                {
                    "base": str(base.resolve()), "adapter": str(adapter.resolve()), "name": name, "device": device,
                    "dtype": dtype, "batch_tokens": batch_tokens,
                }
            )  # fmt: skip
        except BaseException:
            self._child.kill()
            raise
        self._id, self._context_tokens = str(ready["id"]), int(ready["context_tokens"])
        self.adapter = str(ready["adapter"])

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
        """See ``Generator.generate``; ``Generation.adapter`` is read off the weights in the child.

        Raises ModelError also for ``adapter=None`` and when the child has died.
        """
        if max_new_tokens < 1 or temperature < 0 or not all(stop) or isinstance(stop, str):
            raise ValueError("max_new_tokens must be at least 1, temperature at least 0, stop non-empty strings")
        if adapter is None:
            raise ModelError(
                f"The adapter {self.adapter[:16]} has rewritten the base of its process: ask the base model elsewhere."
            )
        if adapter != self.adapter:
            raise ModelError(f"The adapter {adapter[:16]} is not loaded.")
        request = {
            "do": "generate", "prompts": [[asdict(message) for message in prompt] for prompt in prompts],
            "options": {
                "max_new_tokens": max_new_tokens, "stop": list(stop), "temperature": temperature, "seed": seed,
                "adapter": adapter,
            },
        }  # fmt: skip
        with self._lock:
            made = self._child.ask(request, self.on_batch)["generations"]
        return [Generation(**one) for one in made]

    def load_adapter(self, folder: Path) -> str:
        """The id of the adapter that this process was started with. Raises ModelError for any other."""
        from fieldguide.files import file_hash

        adapters.read_config(folder, rewriting=True)
        if file_hash(folder / adapters.WEIGHTS) != self.adapter:
            raise ModelError(f"The adapter in {folder} needs its own process: this one serves {self.adapter[:16]}.")
        return self.adapter

    def base_hash(self) -> str:
        """See ``Generator.base_hash``: of the rewritten base; the same as long as nothing goes wrong."""
        with self._lock:
            return str(self._child.ask({"do": "base_hash"})["hash"])

    def count_tokens(self, prompt: Prompt) -> int:
        with self._lock:
            return int(self._child.ask({"do": "count", "prompt": [asdict(message) for message in prompt]})["tokens"])

    def close(self) -> None:
        """End the child, after the call under way. Harmless when it has ended."""
        with self._lock:
            self._child.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class SwitchingGenerator:
    """One generator for all arms: the base and adapters that only add come from ``local``, each adapter that rewrites
    its base from a process of its own, which ``start`` makes when the adapter is loaded."""

    def __init__(self, local: Generator, start: Callable[[Path], SeparateGenerator]) -> None:
        self.local = local
        self._start = start
        self._apart: dict[str, SeparateGenerator] = {}

    @property
    def id(self) -> str:
        return self.local.id

    @property
    def context_tokens(self) -> int:
        return self.local.context_tokens

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
        return self._serving(adapter).generate(
            prompts, max_new_tokens=max_new_tokens, stop=stop, temperature=temperature, seed=seed, adapter=adapter
        )

    def stream(
        self, prompt: Prompt, *, max_new_tokens: int, write: Callable[[str], None], adapter: str | None = None
    ) -> Generation:
        """See ``Streaming.stream``; what an adapter's own process writes is told at once, when it is done."""
        one = self._serving(adapter)
        return stream_or_generate(one, prompt, max_new_tokens=max_new_tokens, write=write, adapter=adapter)

    def _serving(self, adapter: str | None) -> Generator:
        return self._apart.get(adapter or "") or self.local

    def load_adapter(self, folder: Path) -> str:
        """See ``Generator.load_adapter``. Raises IntegrityError if the process came to another base than ``local``."""
        from fieldguide.files import file_hash

        config = adapters.read_config(folder, rewriting=True)
        if not adapters.rewrites(config):
            return self.local.load_adapter(folder)
        adapter = file_hash(folder / adapters.WEIGHTS)
        if adapter not in self._apart:
            child = self._start(folder)
            if child.id != self.local.id:
                child.close()
                raise IntegrityError(
                    f"The process of the adapter in {folder} has the base {child.id}, here is {self.id}."
                )
            self._apart[adapter] = child
        return adapter

    def base_hash(self) -> str:
        """Of ``local``, which no adapter rewrites."""
        return self.local.base_hash()

    def count_tokens(self, prompt: Prompt) -> int:
        return self.local.count_tokens(prompt)

    def close(self) -> None:
        """End every process."""
        for child in self._apart.values():
            child.close()
        self._apart.clear()


def _serve(lines: IO[str], out: IO[str]) -> None:
    """Load what the first line names, then answer until the input ends."""

    def send(answer: dict[str, Any]) -> None:
        out.write(json.dumps(answer) + "\n")
        out.flush()

    loaded: Any = None
    for line in lines:
        request = json.loads(line)
        try:
            if loaded is None:
                loaded = _load(request)
                send({"id": loaded.id, "context_tokens": loaded.context_tokens, "adapter": loaded.rewriting})
                loaded.on_batch = lambda n: send({"done": n})
            elif request["do"] == "generate":
                prompts = [tuple(Message(**message) for message in prompt) for prompt in request["prompts"]]
                made = loaded.generate(prompts, **request["options"])
                send({"generations": [asdict(one) for one in made]})
            elif request["do"] == "base_hash":
                send({"hash": loaded.base_hash()})
            else:
                send({"tokens": loaded.count_tokens(tuple(Message(**message) for message in request["prompt"]))})
        except Exception as error:
            send(told_error(error))
            if loaded is None:
                return


def _load(request: dict[str, Any]) -> Any:
    """The base with the adapter on it. Raises ModelError."""
    from fieldguide.models.rewritten_generator import RewrittenGenerator

    options = {key: request[key] for key in ("name", "device", "dtype", "batch_tokens")}
    return RewrittenGenerator(Path(request["base"]), Path(request["adapter"]), **options)


if __name__ == "__main__":
    _serve(*protocol_streams())
