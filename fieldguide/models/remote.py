"""A generator behind an API: any provider that LangChain knows, and any server that speaks OpenAI's protocol.

Secrets come from the environment alone, under the names that the provider's package looks for. Knows nothing of
budgets and caches: see ``ingest.qa.calls``.
"""

from __future__ import annotations

import math
import re
import threading
from collections.abc import Callable, Mapping, Sequence, Set
from functools import cached_property
from pathlib import Path
from time import sleep
from typing import Any, Literal, NamedTuple
from urllib.parse import urlsplit

from fieldguide.errors import ModelError
from fieldguide.models.base import Generation, Prompt
from fieldguide.models.decoding import cut_at
from fieldguide.models.parallel import in_parallel
from fieldguide.models.remote_errors import (
    PASSING,
    explain,
    in_body,
    lacks_key,
    no_key,
    refuses_request,
    status_of,
    unreachable,
    why_not_made,
)
from fieldguide.types import content_hash

_RETRIES = 6
_CONNECT_SECONDS = 10.0
_HOSTED_WINDOW = 32_768
_LOCAL_WINDOW = 4096  # what Ollama gives a model if nobody says otherwise; longer prompts it cuts without a word
_STOPS = 4  # OpenAI's limit; the others are cut here

# What we say, and what the chat classes of LangChain's packages call it.
_NAMES = {
    "temperature": ("temperature",),
    "max_tokens": ("max_tokens", "max_output_tokens", "num_predict"),
    "seed": ("seed", "random_seed"),
    "timeout": ("timeout", "request_timeout"),
    "max_retries": ("max_retries",),
}
_ROLES = {"system": "system", "user": "human", "assistant": "ai"}
_NO_KEY = {"api_key": "none"}  # chat classes insist on one, a server of one's own does not
_TOO_LONG = ("length", "max_tokens", "model_length")
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
    such a server needs no key. ``concurrency`` requests run at a time. ``prices`` are those of a million tokens sent
    and received, for providers that do not tell what a call costs. A request is given up after ``seconds`` without an
    answer; rate limits, time-outs and failures of the server are tried again, up to six times and ever later.

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
        self.provider, _, self.model = name.partition(":")
        if not self.provider or not self.model:
            raise ModelError(
                f'The generator "remote:{name}" must name a provider and a model, as in "remote:openai:gpt-4o-mini".'
            )
        if concurrency < 1 or seconds <= 0 or min(prices) < 0:
            raise ValueError("concurrency must be at least 1, seconds above 0, and prices at least 0")
        self.url = _checked(url)
        self.concurrency = concurrency
        self.on_batch: Callable[[int], None] | None = None
        """Called with 1 after each reply."""
        self.money_known = any(prices)
        """Whether prices are set, or a reply has told what it cost."""
        self._prices = prices
        self._seconds = seconds
        self._say = say
        self._lock = threading.Lock()
        self._refused: set[str] = set()
        self._key: dict[str, str] = {}
        self._variable = f"{self.provider.upper()}_API_KEY"
        bare = self._with_key()
        fields = type(bare).model_fields
        known = {*fields, *(field.alias for field in fields.values() if field.alias)}
        self._names = {ours: name for ours, names in _NAMES.items() for name in names[::-1] if name in known}
        self._client_options = "client_kwargs" in known
        self._speaks_openai = hasattr(bare, "root_client")
        self._profile: Mapping[str, Any] = getattr(bare, "profile", None) or {}
        self._base = content_hash("remote", self.provider, self.model, self.url)

    def _with_key(self) -> Any:
        """The chat model as such, once it is sure that it has a key, or that it needs none."""
        bare = self._make({})
        keys = {holder: variable for holder, variable in bare.lc_secrets.items() if variable.endswith("_KEY")}
        for holder, variable in keys.items():
            self._variable = variable
            secret: Any = getattr(bare, holder, None)
            if hasattr(secret, "get_secret_value") and not secret.get_secret_value():
                if not self.url:
                    raise ModelError(no_key(self.provider, variable))
                self._key = _NO_KEY
        return bare

    @property
    def id(self) -> str:
        return f"remote:{self.provider}:{self.model}:{self._base[:16]}"

    def base_hash(self) -> str:
        """SHA-256 of provider, model and address: what weights the server holds cannot be seen from here."""
        return self._base

    @property
    def context_tokens(self) -> int:
        """What the server or LangChain's list of models tells; 4,096 for another server, 32,768 for a provider."""
        told = self._served.get(self.model) or self._profile.get("max_input_tokens")
        return int(told or (_LOCAL_WINDOW if self.url else _HOSTED_WINDOW))

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
            f"The adapter in {folder} cannot be put on {self.id.rpartition(':')[0]}: a server has LoRA adapters of its "
            "own, each under a name; set models.generator to that name."
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
        limit = self.context_tokens
        for number, prompt in enumerate(prompts, 1):
            if (length := self.count_tokens(prompt)) + max_new_tokens > limit:
                raise ModelError(
                    f"Prompt {number} of {len(prompts)} has {length} tokens by estimate; with {max_new_tokens} for the "
                    f"answer that is over the limit of {limit} of {self.model}: show fewer or shorter passages."
                )
        options = _Options(max_new_tokens, temperature, seed, tuple(stop))
        return in_parallel(lambda n: self._ask(prompts[n], options), len(prompts), self.concurrency, self.on_batch)

    def _ask(self, prompt: Prompt, options: _Options) -> Generation:
        messages = [(_ROLES[message.role], neutralise(message.content)) for message in prompt]
        tried = 0
        while True:
            left_out = frozenset(self._refused)
            try:
                chat = self._make(self._arguments(options, left_out))
                stop = None if "stop" in left_out else list(options.stop[:_STOPS]) or None
                return self._finish(chat.invoke(messages, stop=stop), prompt, options.stop)
            except Exception as error:  # each provider's package has errors of its own
                if self._drop(error, left_out):
                    continue
                if tried < self._tries(error):
                    sleep(min(0.5 * 2**tried, 8.0))
                    tried += 1
                    continue
                raise ModelError(self._explain(error)) from error

    def _arguments(self, options: _Options, left_out: Set[str]) -> dict[str, Any]:
        """Options and limits under the names that the provider's class has for them."""
        wanted: dict[str, Any] = {
            "max_tokens": options.max_tokens,
            "temperature": options.temperature,
            "seed": options.seed,
            "timeout": self._seconds,
            "max_retries": _RETRIES,
        }
        more: dict[str, Any] = {"client_kwargs": {"timeout": self._seconds}} if self._client_options else {}
        if self._speaks_openai:
            wanted["timeout"] = (_CONNECT_SECONDS, self._seconds, self._seconds, self._seconds)
            if self.url and "max_tokens" not in left_out:
                # LangChain sends max_completion_tokens, which Ollama and older llama.cpp pass over in silence.
                more["extra_body"] = {"max_tokens": wanted.pop("max_tokens")}
        named = {
            self._names[k]: v for k, v in wanted.items() if k in self._names and k not in left_out - {"max_tokens"}
        }
        return more | named

    def _drop(self, error: Exception, left_out: Set[str]) -> bool:
        """Whether the model refuses an option that was sent; it is left out from now on."""
        if not refuses_request(error):
            return False
        sent = {"temperature", "seed", "stop", "max_tokens"} - left_out
        refused = next((option for option in sorted(sent) if re.search(rf"\b{option}", str(error))), None)
        if refused is None or (refused == "max_tokens" and not (self.url and self._speaks_openai)):
            return False
        with self._lock:
            if refused not in self._refused and refused in ("temperature", "seed"):
                self._say(f"{self.model} takes no {refused}: it is left out, and answers may differ from run to run.")
            self._refused.add(refused)
        return True

    def _tries(self, error: Exception) -> int:
        """How often to ask again from here: a provider's package does so itself, where it can and saw the failure."""
        if in_body(error):
            return _RETRIES if status_of(error) in PASSING else 0
        if "max_retries" in self._names:
            return 0
        if unreachable(error):
            return 2
        return _RETRIES if status_of(error) in PASSING else 0

    def _finish(self, reply: Any, prompt: Prompt, stop: tuple[str, ...]) -> Generation:
        text, stopped = cut_at(str(reply.text), stop)
        usage: Mapping[str, int] = reply.usage_metadata or {}
        sent = usage.get("input_tokens") or self.count_tokens(prompt)
        received = usage.get("output_tokens") if usage else estimate_tokens(text)
        told: Mapping[str, Any] = reply.response_metadata
        reason = str(told.get("finish_reason") or told.get("stop_reason") or told.get("done_reason") or "").lower()
        finish: Literal["stop", "length"] = "length" if reason in _TOO_LONG and not stopped else "stop"
        cost = _cost(told)
        if cost is not None:
            self.money_known = True
        money = self.price(sent, received or 0) if cost is None else cost
        return Generation(text, sent, received or 0, finish, None, money)

    @cached_property
    def _served(self) -> dict[str, int]:
        """The models that a server of OpenAI's protocol lists, with their windows in tokens; 0 where it tells none.

        Raises ModelError if the server cannot be reached: better now than after all the retries.
        """
        if not self.url or not self._speaks_openai:
            return {}
        client = self._make({}).root_client.with_options(timeout=_CONNECT_SECONDS, max_retries=1)
        try:
            return {str(entry.id): _window(entry.model_dump()) for entry in client.models.list().data}
        except Exception as error:
            if unreachable(error):
                raise ModelError(self._explain(error)) from error
            return {}  # the list is an extra that not every server has

    def _explain(self, error: Exception) -> str:
        known = sorted(self.__dict__.get("_served", {}))
        where = f"The server at {self.url}" if self.url else f"The provider {self.provider}"
        message = explain(error, where, self.model, self._variable, known)
        if self.url and self._speaks_openai and not self.url.endswith("/v1") and status_of(error) == 404:
            message += ' The address of most servers ends in "/v1".'
        return message

    def _make(self, arguments: Mapping[str, Any]) -> Any:
        """LangChain's chat model. Raises ModelError if there is none of the name, or its package or key is missing."""
        from langchain.chat_models import init_chat_model

        every: dict[str, Any] = {"model_provider": self.provider, **self._key, **arguments}
        if self.url:
            every["base_url"] = self.url
        try:
            return init_chat_model(self.model, **every)
        except Exception as error:
            if self.url and not self._key and lacks_key(error):
                self._key = _NO_KEY
                return self._make(arguments)
            raise ModelError(why_not_made(error, self.provider, self.model)) from error


def neutralise(text: str) -> str:
    """The text with the marks of common chat templates broken by spaces: a server may read them as its own."""
    return _MARKS.sub(lambda found: f"{found[0][0]} {found[0][1:-1]} {found[0][-1]}", text)


def estimate_tokens(text: str) -> int:
    """About how many tokens a text has in some tokenizer that is not here; rather too many than too few."""
    pieces = _PIECES.findall(text)
    return math.ceil(1.1 * sum(1 + (len(piece) - 1) // 7 for piece in pieces))


def _checked(url: str) -> str:
    url = url.strip().rstrip("/")
    parts = urlsplit(url)
    if url and (parts.scheme not in ("http", "https") or not parts.hostname):
        raise ModelError(f'models.url must be an address such as "http://localhost:8000/v1", not {url!r}.')
    if parts.username or parts.password or parts.query:
        raise ModelError("models.url must hold no user, password or query: keys are read from the environment alone.")
    return url


def _window(entry: Mapping[str, Any]) -> int:
    """Of a listed model, as vLLM, OpenRouter, Groq, LM Studio and llama.cpp name it; 0 if it is not told."""
    meta = entry.get("meta")
    places = [entry.get(name) for name in ("max_model_len", "context_length", "context_window", "max_context_length")]
    places.append(meta.get("n_ctx") if isinstance(meta, Mapping) else None)
    return next((place for place in places if isinstance(place, int) and place > 0), 0)


def _cost(told: Mapping[str, Any]) -> float | None:
    """The money that a reply says it cost (OpenRouter, Perplexity), None if it says nothing."""
    for holder in (told.get("token_usage"), told.get("usage"), told):
        cost = holder.get("cost") if isinstance(holder, Mapping) else None
        if isinstance(cost, Mapping):
            cost = cost.get("total_cost")
        if isinstance(cost, int | float):
            return float(cost)
    return None
