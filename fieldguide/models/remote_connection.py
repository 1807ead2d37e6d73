"""LangChain's chat models of one provider and address: which there are, what their options are called, their key.

Secrets come from the environment alone, under the names that the provider's package looks for.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Set
from typing import Any
from urllib.parse import urlsplit

from fieldguide.errors import ModelError
from fieldguide.models.remote_errors import lacks_key, no_key, unreachable, why_not_made
from fieldguide.models.remote_replies import window_of

RETRIES = 6
_CONNECT_SECONDS = 10.0

# What we say, and what the chat classes of LangChain's packages call it.
_NAMES = {
    "temperature": ("temperature",),
    "max_tokens": ("max_tokens", "max_output_tokens", "max_new_tokens", "num_predict"),
    "seed": ("seed", "random_seed"),
    "timeout": ("timeout", "request_timeout"),
    "max_retries": ("max_retries",),
}
_ADDRESSES = {"openai": ("OPENAI_API_BASE", "OPENAI_BASE_URL")}  # in LangChain's order; part of what is asked
_NO_KEY = {"api_key": "none"}  # chat classes insist on one, a server of one's own does not


class Connection:
    """The model ``model`` of ``provider``, at ``url`` where that is not empty. The network is asked nothing as yet."""

    def __init__(self, provider: str, model: str, url: str, seconds: float) -> None:
        """Raises ModelError if the provider, the address, the package or the key is wrong."""
        self.provider = provider
        self.model = model
        told = (os.environ[name] for name in _ADDRESSES.get(provider, ()) if name in os.environ)
        self.url = _checked(url or next(told, ""))
        self.variable = f"{provider.upper()}_API_KEY"
        """The environment variable with the key."""
        self._seconds = seconds
        self._key: dict[str, str] = {}
        bare = self._with_key()
        fields = type(bare).model_fields
        known = {*fields, *(field.alias for field in fields.values() if field.alias)}
        self._names = {ours: name for ours, names in _NAMES.items() for name in names[::-1] if name in known}
        self._client_options = "client_kwargs" in known
        self._speaks_openai = hasattr(bare, "root_client")
        self.own_server = bool(self.url) and self._speaks_openai
        """Whether it is some server that speaks OpenAI's protocol, rather than a provider's own."""
        self.retries_itself = "max_retries" in self._names
        """Whether LangChain's class repeats failed requests, at most ``RETRIES`` times."""
        profile: Mapping[str, Any] = getattr(bare, "profile", None) or {}
        self.window = int(profile.get("max_input_tokens") or 0)
        """The model's limit in tokens by LangChain's list of models, 0 if it is not there."""

    def _with_key(self) -> Any:
        """The chat model as such, once it is sure that it has a key, or that it needs none."""
        bare = self._make({})
        keys = {holder: variable for holder, variable in bare.lc_secrets.items() if variable.endswith("_KEY")}
        for holder, variable in keys.items():
            self.variable = variable
            secret: Any = getattr(bare, holder, None)
            if hasattr(secret, "get_secret_value") and not secret.get_secret_value():
                if not self.url:
                    raise ModelError(no_key(self.provider, variable))
                self._key = _NO_KEY
        return bare

    def _make(self, arguments: Mapping[str, Any]) -> Any:
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

    def chat(self, max_tokens: int, temperature: float, seed: int, left_out: Set[str]) -> Any:
        """LangChain's chat model with these options under its own names for them.

        Of ``left_out``, "temperature" and "seed" are not sent, and "max_tokens" is called max_completion_tokens.
        """
        wanted = {"temperature": temperature, "seed": seed, "max_tokens": max_tokens, "max_retries": RETRIES}
        sent: dict[str, Any] = {name: value for name, value in wanted.items() if name not in left_out - {"max_tokens"}}
        more: dict[str, Any] = {"client_kwargs": {"timeout": self._seconds}} if self._client_options else {}
        sent["timeout"] = self._seconds
        if self._speaks_openai:
            sent["timeout"] = (_CONNECT_SECONDS, self._seconds, self._seconds, self._seconds)
        if self.own_server and "max_tokens" not in left_out:
            # LangChain sends max_completion_tokens, which Ollama and older llama.cpp pass over in silence.
            more["extra_body"] = {"max_tokens": sent.pop("max_tokens")}
        return self._make(more | {self._names[name]: value for name, value in sent.items() if name in self._names})

    def served(self) -> dict[str, int]:
        """The models that a server of OpenAI's protocol lists, with their windows in tokens; 0 where it tells none.

        Raises what its client does if the server cannot be reached: better now than after all the retries.
        """
        if not self.own_server:
            return {}
        client = self._make({}).root_client.with_options(timeout=_CONNECT_SECONDS, max_retries=1)
        try:
            return {str(entry.id): window_of(entry.model_dump()) for entry in client.models.list().data}
        except Exception as error:
            if unreachable(error):
                raise
            return {}  # the list is an extra that not every server has


def _checked(url: str) -> str:
    url = url.strip().rstrip("/")
    parts = urlsplit(url)
    if url and (parts.scheme not in ("http", "https") or not parts.hostname):
        raise ModelError(f'models.url must be an address such as "http://localhost:8000/v1", not {url!r}.')
    if parts.username or parts.password or parts.query:
        raise ModelError("models.url must hold no user, password or query: keys are read from the environment alone.")
    return url
