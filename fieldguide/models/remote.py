"""A generator behind an API: any provider that LangChain knows, and any server that speaks OpenAI's protocol.

Knows nothing of budgets and caches: see ``ingest.qa.calls``.
"""

from __future__ import annotations

import math
import re
import threading
from collections.abc import Callable, Generator, Mapping, Sequence, Set
from contextlib import closing
from pathlib import Path
from time import sleep
from typing import Any, Literal, NamedTuple

from fieldguide.errors import ModelError
from fieldguide.models.base import Generation, Prompt
from fieldguide.models.decoding import cut_at
from fieldguide.models.parallel import in_parallel
from fieldguide.models.remote_connection import RETRIES, Connection
from fieldguide.models.remote_errors import PASSING, explain, in_body, refuses_request, status_of, unreachable
from fieldguide.models.remote_replies import cost_of, was_cut
from fieldguide.types import content_hash

_HOSTED_WINDOW = 32_768
_OWN_WINDOW = 4096  # what Ollama gives a model if nobody says otherwise; longer prompts it cuts without a word
_STOPS = 4  # OpenAI's limit; the others are cut here

_ROLES = {"system": "system", "user": "human", "assistant": "ai"}
_MARKS = re.compile(r"<\|(?=\S)([^<>|]{1,40})\|>|<((?:start|end)_of_turn)>|\[(/?INST)\]|<(/?s)>")
_PIECES = re.compile(r"[A-Za-z]+|[^\sA-Za-z]")


class _Options(NamedTuple):
    max_tokens: int
    temperature: float
    seed: int
    stop: tuple[str, ...]


class RemoteGenerator:
    """``name`` is "PROVIDER:MODEL", as in "openai:gpt-4o-mini", "anthropic:…", "ollama:…" (LangChain's names).

    With ``url`` the provider "openai" is any server that speaks its protocol (vLLM, llama.cpp, Ollama, OpenRouter);
    it needs a key only if it asks for one. Without, OPENAI_BASE_URL holds as it does for other programs.
    ``concurrency`` requests run at a time. ``prices`` are those of a million tokens sent and received, for providers
    that do not tell what a call costs. A request is given up after ``seconds`` without an answer; rate limits,
    time-outs and failures of the server are tried again, up to six times and ever later.

    The tokens of a ``Generation`` are those that the provider counts; ``count_tokens`` is an estimate, since its
    tokenizer is not here. Options that a model refuses (a temperature, a seed) are left out and ``say`` hears of it.
    """

    def __init__(
        self,
        name: str,
        *,
        url: str = "",
        concurrency: int = 4,
        prices: tuple[float, float] = (0.0, 0.0),
        seconds: float = 300.0,
        say: Callable[[str], None] = lambda text: None,
    ) -> None:
        """Asks nothing of the network. Raises ModelError if the name, the address, the package or the key is wrong."""
        provider, _, model = name.partition(":")
        if not provider or not model:
            raise ModelError(
                f'The generator "remote:{name}" must name a provider and a model, as in "remote:openai:gpt-4o-mini".'
            )
        if concurrency < 1 or seconds <= 0 or min(prices) < 0:
            raise ValueError("concurrency must be at least 1, seconds above 0, and prices at least 0")
        self.concurrency = concurrency
        self.on_batch: Callable[[int], None] | None = None
        """Called with 1 after each reply."""
        self.money_known = any(prices)
        """Whether prices are set, or a reply has told what it cost."""
        self._prices = prices
        self._say = say
        self._lock = threading.Lock()
        self._refused: set[str] = set()
        self._served: dict[str, int] | None = None
        self._connection = Connection(provider, model, url, seconds)
        self._model = model
        self._base = content_hash("remote", provider, model, self._connection.url)
        self._id = f"remote:{provider}:{model}:{self._base[:16]}"

    @property
    def id(self) -> str:
        return self._id

    def base_hash(self) -> str:
        """SHA-256 of provider, model and address: what weights the server holds cannot be seen from here."""
        return self._base

    @property
    def context_tokens(self) -> int:
        """What the server or LangChain's list of models tells; 4,096 for another server, 32,768 for a provider."""
        to = self._connection
        if self._served is None:
            try:
                self._served = to.served()
            except Exception as error:  # of a client that each provider's package brings
                raise ModelError(self._explain(error)) from error
        return self._served.get(to.model) or to.window or (_OWN_WINDOW if to.url else _HOSTED_WINDOW)

    def count_tokens(self, prompt: Prompt) -> int:
        """An estimate: 7 letters of a word, a digit and a mark are one token each, and a tenth is added.

        On chunks of reports and filings it came to 1.0–1.2 times what the tokenizers of SmolLM2 and Qwen2.5 give.
        """
        return 3 + sum(4 + estimate_tokens(message.content) for message in prompt)

    def price(self, prompt_tokens: int, completion_tokens: int) -> float:
        """What so many tokens cost by the prices; 0 if there are none."""
        return (prompt_tokens * self._prices[0] + completion_tokens * self._prices[1]) / 1_000_000

    def load_adapter(self, folder: Path) -> str:
        """Always raises ModelError."""
        raise ModelError(
            f"The adapter in {folder} cannot be put on {self._id.rpartition(':')[0]}: a server has LoRA adapters of "
            "its own, each under a name; set models.generator to that name."
        )

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
        """See ``Generator.generate``; a seed binds a provider as far as it says it does.

        Raises ModelError for an adapter, a prompt over the limit (by estimate, before any work), and what the server
        refuses; then the error is an ``Unfinished``, which holds the replies that came, since they are paid for.
        """
        if max_new_tokens < 1 or temperature < 0 or not all(stop) or isinstance(stop, str):
            raise ValueError("max_new_tokens must be at least 1, temperature at least 0, stop non-empty strings")
        if adapter is not None:
            raise ModelError(f"The adapter {adapter[:16]} is not loaded.")
        if not prompts:
            return []
        self._check_room(prompts, max_new_tokens)
        options = _Options(max_new_tokens, temperature, seed, tuple(stop))
        return in_parallel(lambda n: self._ask(prompts[n], options), len(prompts), self.concurrency, self.on_batch)

    def stream(
        self, prompt: Prompt, *, max_new_tokens: int, write: Callable[[str], None], adapter: str | None = None
    ) -> Generation:
        """See ``Streaming.stream``; errors as of ``generate``, and ModelError where the reply breaks off: it is asked
        for again only as long as ``write`` has heard nothing."""
        if max_new_tokens < 1:
            raise ValueError("max_new_tokens must be at least 1")
        if adapter is not None:
            raise ModelError(f"The adapter {adapter[:16]} is not loaded.")
        self._check_room([prompt], max_new_tokens)
        so_far, rest = self._tried(_Options(max_new_tokens, 0.0, 0, ()), lambda chat, left_out: self._begun(
            chat, _messages(prompt), left_out))  # fmt: skip
        with closing(rest):
            piece = str(so_far.text)
            while True:
                if piece:
                    write(piece)
                try:
                    more = next(rest, None)
                except Exception as error:
                    raise ModelError(f"The reply broke off after it had begun: {self._explain(error)}") from error
                if more is None:
                    return self._finish(so_far, prompt, ())
                piece = str(more.text)
                so_far += more

    def _begun(self, chat: Any, messages: list[tuple[str, str]], left_out: Set[str]) -> tuple[Any, Generator[Any]]:
        """What a reply begins with, up to its first text, and the rest of its parts as they come."""
        # servers of OpenAI's protocol count the tokens of such a reply only if they are asked to
        counted = self._connection.own_server and "stream_options" not in left_out
        parts = chat.stream(messages, **({"stream_usage": True} if counted else {}))
        so_far = next(parts)
        while not so_far.text and (more := next(parts, None)) is not None:
            so_far += more
        return so_far, parts

    def _check_room(self, prompts: Sequence[Prompt], max_new_tokens: int) -> None:
        """Raises ModelError for a prompt over the limit."""
        limit = self.context_tokens
        for number, prompt in enumerate(prompts, 1):
            if (length := self.count_tokens(prompt)) + max_new_tokens > limit:
                raise ModelError(
                    f"Prompt {number} of {len(prompts)} has {length} tokens by estimate; with {max_new_tokens} for the "
                    f"answer that is over the limit of {limit} of {self._model}: show fewer or shorter passages."
                )

    def _ask(self, prompt: Prompt, options: _Options) -> Generation:
        def reply(chat: Any, left_out: Set[str]) -> Any:
            stop = None if "stop" in left_out else list(options.stop[:_STOPS]) or None
            return chat.invoke(_messages(prompt), stop=stop)

        return self._finish(self._tried(options, reply), prompt, options.stop)

    def _tried(self, options: _Options, request: Callable[[Any, Set[str]], Any]) -> Any:
        """What the request gives for LangChain's chat model and the options left out, tried again where that helps."""
        tried = 0
        while True:
            left_out = frozenset(self._refused)
            try:
                chat = self._connection.chat(options.max_tokens, options.temperature, options.seed, left_out)
                return request(chat, left_out)
            except ModelError:
                raise
            except Exception as error:  # each provider's package has errors of its own
                if self._drop(error, left_out):
                    continue
                if tried < self._tries(error):
                    sleep(min(0.5 * 2**tried, 8.0))
                    tried += 1
                    continue
                raise ModelError(self._explain(error)) from error

    def _drop(self, error: Exception, left_out: Set[str]) -> bool:
        """Whether the model refuses an option that was sent; it is left out from now on."""
        if not refuses_request(error):
            return False
        sent = {"temperature", "seed", "stop", "max_tokens", "stream_options"} - left_out
        refused = next((option for option in sorted(sent) if re.search(rf"\b{option}", str(error))), None)
        if refused is None or (refused == "max_tokens" and not self._connection.own_server):
            return False
        with self._lock:
            if refused not in self._refused and refused in ("temperature", "seed"):
                self._say(f"{self._model} takes no {refused}: it is left out, and answers may differ from run to run.")
            self._refused.add(refused)
        return True

    def _tries(self, error: Exception) -> int:
        """How often to ask again from here: a provider's package does so itself, where it can and saw the failure."""
        if in_body(error):
            return RETRIES if status_of(error) in PASSING else 0
        if self._connection.retries_itself:
            return 0
        if unreachable(error):
            return 2
        return RETRIES if status_of(error) in PASSING else 0

    def _finish(self, reply: Any, prompt: Prompt, stop: tuple[str, ...]) -> Generation:
        text, stopped = cut_at(str(reply.text), stop)
        usage: Mapping[str, int] = reply.usage_metadata or {}
        sent = usage.get("input_tokens") or self.count_tokens(prompt)
        received = usage.get("output_tokens") if usage else estimate_tokens(text)
        finish: Literal["stop", "length"] = "length" if was_cut(reply.response_metadata) and not stopped else "stop"
        cost = cost_of(reply.response_metadata)
        if cost is not None:
            self.money_known = True
        money = self.price(sent, received or 0) if cost is None else cost
        return Generation(text, sent, received or 0, finish, None, money)

    def _explain(self, error: Exception) -> str:
        to = self._connection
        where = f"The server at {to.url}" if to.url else f"The provider {to.provider}"
        message = explain(error, where, to.model, to.variable, sorted(self._served or ()))
        if to.own_server and not to.url.endswith("/v1") and status_of(error) == 404:
            message += ' The address of most servers ends in "/v1".'
        return message


def _messages(prompt: Prompt) -> list[tuple[str, str]]:
    return [(_ROLES[message.role], neutralise(message.content)) for message in prompt]


def neutralise(text: str) -> str:
    """The text with the marks of common chat templates broken by spaces: a server may read them as its own."""
    return _MARKS.sub(lambda found: f"{found[0][0]} {found[0][1:-1]} {found[0][-1]}", text)


def estimate_tokens(text: str) -> int:
    """About how many tokens a text has in some tokenizer that is not here; rather too many than too few."""
    pieces = _PIECES.findall(text)
    return math.ceil(1.1 * sum(1 + (len(piece) - 1) // 7 for piece in pieces))
