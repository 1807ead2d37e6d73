"""What servers tell beside the text: why it ended, what it cost, and how long the windows of their models are.

Each provider has names of its own for these; all that are known are tried.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_CUT = ("length", "max_tokens", "model_length")


def was_cut(told: Mapping[str, Any]) -> bool:
    """Whether a reply's metadata say that it reached the limit (OpenAI, Anthropic, Google, Mistral, Ollama)."""
    reason = told.get("finish_reason") or told.get("stop_reason") or told.get("done_reason")
    return str(reason).lower() in _CUT


def cost_of(told: Mapping[str, Any]) -> float | None:
    """The money that a reply's metadata say it cost (OpenRouter, Perplexity), None if they say nothing."""
    for holder in (told.get("token_usage"), told.get("usage"), told):
        cost = holder.get("cost") if isinstance(holder, Mapping) else None
        if isinstance(cost, Mapping):
            cost = cost.get("total_cost")
        if isinstance(cost, int | float):
            return float(cost)
    return None


def window_of(entry: Mapping[str, Any]) -> int:
    """Tokens of a model in a server's list (vLLM, OpenRouter, Groq, LM Studio, llama.cpp); 0 if it is not told."""
    meta = entry.get("meta")
    told = [entry.get(name) for name in ("max_model_len", "context_length", "context_window", "max_context_length")]
    told.append(meta.get("n_ctx") if isinstance(meta, Mapping) else None)
    return next((tokens for tokens in told if isinstance(tokens, int) and tokens > 0), 0)
