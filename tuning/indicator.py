"""Which examples depend on their passages, and get the mark that serving with passages puts into every prompt.

Conditional tuning of Wang et al. 2024 (arXiv 2411.02688): what the model knows without reading teaches it not to read,
so the two sorts are told apart by a mark, and at inference the mark asks for reading. The paper finds what depends on
the context by attention; here, it is what the model does not answer right without the passages.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from fieldguide.models.base import Generator
from fieldguide.prompts import answer_prompt
from fieldguide.prompts.indicator import marked
from fieldguide.types import Progress, QAPair
from tuning.examples import Example
from tuning.own_answers import answered, judged

WITH_PASSAGES = frozenset(("retrieved", "inserted", "removed", "absent"))
"""``Example.gold`` of prompts with passages on which the reply depends, refusals among them."""


def known_without(
    pairs: Sequence[QAPair],
    generator: Generator,
    max_new_tokens: int,
    progress: Progress,
    *,
    adapter: str | None = None,
) -> frozenset[str]:
    """Ids of the pairs that the model (with ``adapter``, None: bare) answers right in the prompt without passages."""
    examples = [
        Example(pair.id, answer_prompt(pair.question, None), pair.answer, "none", number)
        for number, pair in enumerate(pairs)
        if pair.answerable
    ]
    progress.start("known without passages", len(examples))
    found = answered(examples, generator, max_new_tokens, adapter, progress)
    return frozenset(examples[n].pair for n, made in found if made.finish == "stop" and judged(examples[n], made.text))


def indicated(examples: Sequence[Example], known: Collection[str]) -> list[Example]:
    """The examples, in order, with the mark in prompts with passages, but for pairs that are ``known`` without them."""
    return [
        replace(example, prompt=marked(example.prompt))
        if example.gold in WITH_PASSAGES and example.pair not in known
        else example
        for example in examples
    ]
