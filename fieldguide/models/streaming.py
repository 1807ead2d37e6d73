"""Greedy decoding of one prompt, token by token: whole characters as they come, and the state of the last prompt kept.

Keys and values of a prompt depend on the tokens before them alone, so a prompt that begins as the last one did
computes only the rest. Knows nothing of prompts, adapters and chat templates.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Sequence
from typing import Any, NamedTuple

from fieldguide.models.decoding import decode

_HALF = "\ufffd"  # what tokenizers decode the first bytes of a character to


class Pieces:
    """Tells ``write`` the text of token ids that come one by one, whole characters only."""

    def __init__(self, tokenizer: Any, write: Callable[[str], None]) -> None:
        self._tokenizer = tokenizer
        self._write = write
        self._told = ""
        self.ids: list[int] = []

    def add(self, token: int) -> None:
        """One more token, not the one that ends the text."""
        self.ids.append(token)
        self._tell(decode(self._tokenizer, self.ids).rstrip(_HALF))

    def end(self) -> None:
        """No more tokens: what was held back as half a character is told as it is."""
        self._tell(decode(self._tokenizer, self.ids))

    def _tell(self, text: str) -> None:
        if len(text) > len(self._told) and text.startswith(self._told):
            more, self._told = text[len(self._told) :], text
            self._write(more)


class _Held(NamedTuple):
    owner: Hashable
    ids: tuple[int, ...]
    cache: Any


class PrefixCache:
    """The state of one sequence of tokens, kept for the next that begins alike.

    ``owner`` is whatever else the state depends on (weights, adapter): another owner's is dropped. At most one state
    is kept; it takes as much memory as the model needed for that sequence.
    """

    def __init__(self) -> None:
        self._held: _Held | None = None

    def take(self, owner: Hashable, ids: Sequence[int]) -> tuple[Any, int]:
        """The state of the longest shared beginning, and its length in tokens: less than ``ids`` has, for the last
        one has to be computed. (None, 0) where nothing is shared. Nothing is kept afterwards."""
        held, self._held = self._held, None
        if held is None or held.owner != owner:
            return None, 0
        shared = 0
        for old, new in zip(held.ids, ids[:-1], strict=False):
            if old != new:
                break
            shared += 1
        if not shared:
            return None, 0
        held.cache.crop(shared - len(held.ids))
        return held.cache, shared

    def keep(self, owner: Hashable, ids: Sequence[int], cache: Any) -> None:
        """Keep the state of exactly these tokens, if it is of the kind that can be cut (no sliding windows, no
        recurrent layers)."""
        from transformers.cache_utils import DynamicLayer

        layers = getattr(cache, "layers", ())
        if layers and all(type(layer) is DynamicLayer and layer.get_seq_length() == len(ids) for layer in layers):
            self._held = _Held(owner, tuple(ids), cache)

    def drop(self) -> None:
        self._held = None


def stamp(model: Any) -> tuple[tuple[int, int], ...]:
    """Changes when a weight of the model is replaced, or changed in place: its address and torch's count of changes."""
    return tuple((weight.data_ptr(), 0 if weight.is_inference() else weight._version) for weight in model.parameters())


def greedy(
    model: Any, ids: Sequence[int], limit: int, ends: Collection[int], hear: Callable[[int], None], *,
    prefix: PrefixCache, owner: Hashable,
) -> tuple[list[int], int, float]:  # fmt: skip
    """The most likely continuation, at most ``limit`` tokens up to and with one of ``ends``, how many tokens of
    ``ids`` were not computed anew, and the mean log-likelihood of what was made. ``hear`` is called with each token but
    the end; what it raises ends the decoding.

    On 16-bit weights two ways to the same state round differently, so that a near tie may fall otherwise than without
    the kept state.
    """
    import torch

    cache, reused = prefix.take(owner, ids)
    made: list[int] = []
    likely = 0.0
    fed, step = list(ids), list(ids[reused:])
    with torch.inference_mode():
        while True:
            output = model(
                input_ids=torch.tensor([step], device=model.device), past_key_values=cache, use_cache=True,
                logits_to_keep=1,
            )  # fmt: skip
            cache = output.past_key_values
            scores = output.logits[0, -1].float().log_softmax(-1)
            token = int(scores.argmax())
            made.append(token)
            likely += float(scores[token])
            ended = token in ends or len(made) == limit
            if token not in ends:
                hear(token)
            if ended:
                break
            fed.append(token)
            step = [token]
    prefix.keep(owner, fed, cache)
    return made, reused, likely / len(made)
