"""Examples to token ids and labels. Pure; counts what goes in and out, and lets no answer be cut."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

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
class Tokenised:
    """``input_ids`` = prompt + answer + end token; ``labels`` the same with the prompt's positions ignored.

    The prompt is masked by its *length*: the bundled tokenizer's padding token is its end token, so masking by
    token id would hide the end of every answer.
    """

    input_ids: list[int]
    labels: list[int]


def tokenise(examples: Sequence[Example], renderer: Renderer, limit: int) -> list[Tokenised]:
    """One Tokenised per example, each with its whole answer.

    Raises FieldguideError if an example is longer than ``limit`` tokens: nothing is cut in silence.
    """
    out = []
    for example in examples:
        prompt = renderer.render(example.prompt)
        answer = renderer.completion_ids(example.completion)
        if len(prompt) + len(answer) > limit:
            raise FieldguideError(
                f"An example has {len(prompt) + len(answer)} tokens, the model reads {limit}; "
                "lower retrieval.k or ingest.chunk_tokens."
            )
        out.append(Tokenised(prompt + answer, [IGNORED] * len(prompt) + answer))
    return out
