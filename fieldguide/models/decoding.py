"""How one batch of token ids is continued: stopping at strings, drawing with a seed, cutting the result.

Each row's draws depend on the seed and its own prompt alone, so the batch it happens to be in changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fieldguide.types import content_hash


def batches(lengths: Sequence[int], batch_tokens: int) -> list[list[int]]:
    """Indices sorted by length, longest first, in groups of at most ``batch_tokens`` padded tokens (or of one)."""
    order = sorted(range(len(lengths)), key=lambda i: (-lengths[i], i))
    groups: list[list[int]] = []
    for index in order:
        if groups and lengths[groups[-1][0]] * (len(groups[-1]) + 1) <= batch_tokens:
            groups[-1].append(index)
        else:
            groups.append([index])
    return groups


def draw_seeds(rows: Sequence[Sequence[int]], seed: int) -> list[int]:
    """A seed for each prompt from its ids, the seed, and how many equal prompts came before it."""
    seen: dict[str, int] = {}
    seeds = []
    for ids in rows:
        key = content_hash(",".join(map(str, ids)))
        seen[key] = seen.get(key, 0) + 1
        seeds.append(int(content_hash(key, str(seed), str(seen[key]))[:15], 16))
    return seeds


class Stopper:
    """A stopping criterion that ends each row at its first stop string. ``lengths[row]`` counts its new tokens.

    It is given to transformers' ``generate`` in a list; called with the ids so far (rows, length).
    """

    def __init__(self, tokenizer: Any, stop: Sequence[str], prompt_length: int, rows: int) -> None:
        self.tokenizer = tokenizer
        self.stop = tuple(stop)
        self.prompt_length = prompt_length
        self.lengths: list[int | None] = [None] * rows
        # A character takes at most four byte tokens; the stop string's last token may carry more behind it.
        self._window = 4 * max((len(mark) for mark in self.stop), default=0) + 8

    def __call__(self, input_ids: Any, scores: Any, **kwargs: Any) -> Any:
        import torch

        made = input_ids.shape[1] - self.prompt_length
        for row, length in enumerate(self.lengths):
            if length is None:
                tail = input_ids[row, self.prompt_length :][-self._window :].tolist()
                if self._ends(tail):
                    self.lengths[row] = made
        done = [length is not None for length in self.lengths]
        return torch.tensor(done, dtype=torch.bool, device=input_ids.device)

    def _ends(self, tail: list[int]) -> bool:
        text = decode(self.tokenizer, tail)
        return any(mark in text for mark in self.stop)


class Likelihoods:
    """A logits processor that changes nothing and notes how likely each token was that was chosen.

    The tokens of one call are known at the next, those of the last one only in the end (``of``).
    """

    def __init__(self) -> None:
        self._before: Any = None
        self._chosen: list[Any] = []

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        self._note(input_ids[:, -1])
        self._before = scores.detach().float()
        return scores

    def _note(self, tokens: Any) -> None:
        if self._before is not None:
            self._chosen.append(self._before.log_softmax(-1).gather(-1, tokens[:, None])[:, 0])

    def of(self, last: Any, lengths: Sequence[int]) -> list[float | None]:
        """Mean log-likelihood of each row's first ``lengths[row]`` tokens; None for a row of none.

        ``last`` are the tokens of the last call, shape (rows,).
        """
        import torch

        self._note(last)
        self._before = None
        table = torch.stack(self._chosen)
        return [float(table[:n, row].mean()) if n else None for row, n in enumerate(lengths)]


class SeededDraw:
    """A logits processor that makes the greedy choice a draw from softmax(logits / temperature).

    It adds Gumbel noise from one random generator for each row and leaves torch's global one alone.
    """

    def __init__(self, seeds: Sequence[int], temperature: float) -> None:
        import torch

        self.temperature = temperature
        self._generators = [torch.Generator().manual_seed(seed) for seed in seeds]

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        import torch

        # In float64: of float32's 2**24 random values the smallest would make a random word win once in 300 steps.
        shape = scores.shape[-1]
        rows = [torch.empty(shape, dtype=torch.float64).exponential_(generator=g) for g in self._generators]
        noise = torch.stack(rows).log_().neg_().float()
        return scores.float() / self.temperature + noise.to(scores.device)


def decode(tokenizer: Any, ids: Sequence[int]) -> str:
    """Text of the ids without control tokens, its spaces left as they are."""
    return str(tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False))


def cut_at(text: str, stop: Sequence[str]) -> tuple[str, bool]:
    """The text before its first stop string, and whether there was one."""
    ends = [text.index(mark) for mark in stop if mark in text]
    return (text[: min(ends)], True) if ends else (text, False)
