"""What went wrong at a provider, in one sentence that says what to do.

LangChain's packages raise their providers' errors; most are also of LangChain's own classes, the others are told by
their HTTP status or their name. Knows nothing of how the request was made.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

PASSING = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
"""HTTP status codes after which the same request may succeed."""

_PACKAGE = re.compile(r"pip install ([\w.-]+)")
_VARIABLE = re.compile(r"\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)*_(?:KEY|TOKEN)\b")
_KEY = re.compile(r"api[_ -]?key|credentials|authentication method|access[_ ]token", re.IGNORECASE)
_OVER = re.compile(
    r"context[_ ]?(?:length|window|size)|prompt is too long|(?:input|prompt)\b.{0,40}\btoo (?:long|large)|"
    r"exceeds?\b.{0,60}\btokens|maximum\b.{0,40}\btokens",
    re.IGNORECASE,
)


def status_of(error: BaseException) -> int | None:
    """The HTTP status of the failure, or the code that an error in a reply's body holds."""
    told = _body(error).get("code") if in_body(error) else getattr(error, "status_code", getattr(error, "code", None))
    return told if isinstance(told, int) else None


def in_body(error: BaseException) -> bool:
    """Whether the reply was fine by its status and held an error, as OpenRouter hands on those of other providers."""
    return isinstance(error, ValueError) and bool(_body(error))


def _body(error: BaseException) -> Mapping[str, Any]:
    return error.args[0] if error.args and isinstance(error.args[0], Mapping) else {}


def unreachable(error: BaseException) -> bool:
    """Whether there was no connection, or no answer in time."""
    return _is(error, "ModelConnectionError", "ModelTimeoutError") or _named(error, "connect", "timeout")


def refuses_request(error: BaseException) -> bool:
    """Whether the request as such was not accepted, for another reason than its length."""
    return not _over(error) and (status_of(error) in (400, 422) or isinstance(error, TypeError))


def lacks_key(error: BaseException) -> bool:
    """Whether a key was looked for in the environment and not found."""
    return status_of(error) is None and not isinstance(error, ImportError) and bool(_KEY.search(str(error)))


def why_not_made(error: Exception, provider: str, model: str) -> str:
    """Why LangChain has no chat model of this name here."""
    # LangChain looks for ChatOllama in langchain-community too, which no longer has it
    if isinstance(error, ImportError | AttributeError):
        found = _PACKAGE.search(str(error))
        package = found[1] if found else f"langchain-{provider}"
        wanted = "'fieldguide[openai]'" if package == "langchain-openai" else package
        return f"The generator remote:{provider}:{model} needs another package: pip install {wanted}"
    if lacks_key(error):
        found = _VARIABLE.search(str(error))
        return no_key(provider, found[0] if found else f"{provider.upper()}_API_KEY")
    if "Unsupported provider" in str(error):
        known = re.sub(r"(?s).*providers are: ", "", str(error))
        return f'LangChain has no provider "{provider}" (it has {known}); a server of OpenAI\'s protocol is "openai".'
    return f"The generator remote:{provider}:{model} cannot be made: {_detail(error)}"


def explain(error: BaseException, where: str, model: str, variable: str, served: Sequence[str] = ()) -> str:
    """Why a request failed. ``where`` begins the sentence, ``variable`` is the environment's name for the key.

    ``served`` are the models that the server lists, if it does.
    """
    status = status_of(error)
    if status in (401, 403) or lacks_key(error) or _is(error, "ModelAuthenticationError", "ModelPermissionDeniedError"):
        # without the server's own words, which may hold a part of the key
        return f"{where} refuses the key ({status or 'none'}): check the environment variable {variable}."
    if status == 404 or _is(error, "ModelNotFoundError"):
        has = f" (it has {', '.join(served[:8])}{', …' if len(served) > 8 else ''})" if served else ""
        return f"{where} has no model {model}{has}: mend models.generator or models.url."
    if _over(error):
        return f"A prompt is too long for {model}: show fewer or shorter passages ({_detail(error)})"
    if _is(error, "ModelTimeoutError") or _named(error, "timeout"):
        return f"{where} gave no answer in time: try again, or lower models.concurrency."
    if unreachable(error):
        return f"{where} cannot be reached: check that it runs, the network, and models.url."
    if status == 429:
        return f"{where} takes no more requests for now: wait, lower models.concurrency, or check your quota there."
    if status is not None and status >= 500:
        return f"{where} fails with status {status}: try again later ({_detail(error)})"
    if status is not None:
        return f"{where} refuses the request ({status}): {_detail(error)}"
    return f"{where} gave a reply that cannot be read: {_detail(error)}"


def no_key(provider: str, variable: str) -> str:
    return f"The provider {provider} needs a key: set the environment variable {variable}."


def _over(error: BaseException) -> bool:
    return _is(error, "ContextOverflowError") or (
        status_of(error) in (400, 413, 422) and bool(_OVER.search(str(error)))
    )


def _detail(error: BaseException) -> str:
    """The first line of what was said, at most 200 characters."""
    body = getattr(error, "body", None) or _body(error)
    while isinstance(body, Mapping) and "message" not in body:
        body = body.get("error")
    told = body["message"] if isinstance(body, Mapping) else error
    return (str(told).strip().splitlines() or [type(error).__name__])[0][:200]


def _is(error: BaseException, *names: str) -> bool:
    """Whether the error is of one of these classes of LangChain's."""
    from langchain_core import exceptions

    return isinstance(error, tuple(getattr(exceptions, name) for name in names))


def _named(error: BaseException, *parts: str) -> bool:
    """Whether a part is in the name of one of the error's classes."""
    return any(part in kind.__name__.lower() for kind in type(error).__mro__ for part in parts)
