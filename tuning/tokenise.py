"""Examples to token ids and labels. Pure; counts what goes in and out, and lets no answer be cut.

Examples with the same passages become one sequence: the shared beginning once, then every question with its answer.
Each question sees the shared beginning and itself, never its neighbours, at the positions that it would have alone
(``attention``), so the loss and its gradient are those of the separate examples at a fraction of the work.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby, takewhile
from typing import Any, Protocol

from fieldguide.errors import FieldguideError
from fieldguide.models.base import Prompt
from tuning.examples import Example

IGNORED = -100
"""Label of a token that does not count in the loss (torch's convention)."""


class Renderer(Protocol):
    """What tuning needs of a generator: the token ids that it would read and should write."""

    def render(self, prompt: Prompt) -> list[int]: ...

    def completion_ids(self, text: str) -> list[int]: ...


@dataclass(frozen=True, slots=True)
class Sequences:
    """Examples that share their beginning, in one row of tokens.

    ``part`` numbers the tokens' parts: 0 is the shared beginning, 1, 2, … the examples' own tokens.
    ``position_ids`` are those that each token has in its example alone. ``labels`` are the answers' tokens with
    their end tokens, all else is ignored. The prompt is masked by its *length*: the bundled tokenizer's padding
    token is its end token, so masking by token id would hide the end of every answer.
    """

    input_ids: list[int]
    labels: list[int]
    position_ids: list[int]
    part: list[int]

    @property
    def examples(self) -> int:
        return self.part[-1]


def tokenise(examples: Sequence[Example], renderer: Renderer, limit: int) -> list[Sequences]:
    """One row for each group of examples (they have to be neighbours), each with its whole answers.

    Raises FieldguideError if an example alone is longer than ``limit`` tokens: nothing is cut in silence.
    """
    rows = []
    for _, members in groupby(examples, key=lambda example: example.group):
        prompts, answers = [], []
        for example in members:
            prompts.append(renderer.render(example.prompt))
            answers.append(renderer.completion_ids(example.completion))
            if len(prompts[-1]) + len(answers[-1]) > limit:
                raise FieldguideError(
                    f"An example has {len(prompts[-1]) + len(answers[-1])} tokens, the model reads {limit}; "
                    "lower retrieval.k or ingest.chunk_tokens."
                )
        rows.append(_joined(prompts, answers))
    return rows


def _joined(prompts: Sequence[list[int]], answers: Sequence[list[int]]) -> Sequences:
    shared = sum(1 for _ in takewhile(lambda ids: len(set(ids)) == 1, zip(*prompts, strict=False)))
    shared = min(shared, *(len(prompt) - 1 for prompt in prompts))  # each keeps the token that predicts its answer
    ids, labels = list(prompts[0][:shared]), [IGNORED] * shared
    positions, part = list(range(shared)), [0] * shared
    for number, (prompt, answer) in enumerate(zip(prompts, answers, strict=True), 1):
        own = prompt[shared:]
        ids += own + answer
        labels += [IGNORED] * len(own) + answer
        positions += range(shared, shared + len(own) + len(answer))
        part += [number] * (len(own) + len(answer))
    return Sequences(ids, labels, positions, part)


def collate(rows: Sequence[dict[str, Any]], pad_id: int) -> dict[str, Any]:
    """A batch, padded on the right: ids, labels, positions of shape (rows, length), mask (rows, 1, length, length).

    ``attention_mask[r, 0, i, j]`` is true where token i of row r may look at token j: j is not after i, and j is of
    the shared beginning or of i's own part. A padding token looks at itself only, so that no row of the mask is empty.
    """
    import torch

    width = max(len(row["input_ids"]) for row in rows)

    def padded(name: str, filler: int) -> Any:
        return torch.tensor([row[name] + [filler] * (width - len(row[name])) for row in rows])

    part = padded("part", -1)
    same = part[:, :, None] == part[:, None, :]
    shared = (part[:, None, :] == 0) & (part[:, :, None] >= 0)
    mask = (same | shared) & torch.ones(width, width, dtype=torch.bool).tril()
    mask[:, range(width), range(width)] = True
    return {
        "input_ids": padded("input_ids", pad_id),
        "labels": padded("labels", IGNORED),
        "position_ids": padded("position_ids", 0),
        "attention_mask": mask[:, None],
    }
