"""Answers of a model in several arms to the same questions, scored, with intervals clustered by passage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench.parts.squad import Item
from fieldguide import metrics
from fieldguide.models.base import Message, Prompt
from fieldguide.models.transformers_generator import TransformersGenerator
from fieldguide.prompts import answer_prompt, with_examples
from fieldguide.replies import read_reply, room
from fieldguide.stats import mean_interval, paired_difference
from fieldguide.types import Context, QAPair, Retriever

ANSWER_TOKENS = 48
"""Longest answer; where an adapter reasons first, it gets room for that (``style``)."""


@dataclass(frozen=True)
class Scores:
    """Of each question, in order: token F1, exact match, containment, whether it was refused."""

    f1: list[float]
    em: list[float]
    containment: list[float]
    refused: list[float]
    texts: list[str]


def answer(
    generator: TransformersGenerator,
    prompts: Sequence[Prompt],
    items: Sequence[Item],
    adapter: str | None,
    style: str = "answer",
) -> Scores:
    """Greedy answers, read as they are when served, against every reference of their question."""
    made = generator.generate(prompts, max_new_tokens=room(ANSWER_TOKENS, style), adapter=adapter)
    replies = [read_reply(generation.text) for generation in made]
    return Scores(
        [metrics.token_f1(r.answer, i.answers) for r, i in zip(replies, items, strict=True)],
        [metrics.exact_match(r.answer, i.answers) for r, i in zip(replies, items, strict=True)],
        [metrics.containment(r.answer, i.answers) for r, i in zip(replies, items, strict=True)],
        [float(r.refused) for r in replies],
        [generation.text for generation in made],
    )


def rag_prompts(retriever: Retriever, items: Sequence[Item]) -> list[Prompt]:
    """The prompts as served."""
    contexts = retriever.contexts([item.question for item in items])
    return [answer_prompt(item.question, context) for item, context in zip(items, contexts, strict=True)]


def closed_prompts(items: Sequence[Item]) -> list[Prompt]:
    """The prompts without passages."""
    return [answer_prompt(item.question, None) for item in items]


def without_gold(retriever: Retriever, items: Sequence[Item], documents: Sequence[str | None]) -> list[Prompt]:
    """The prompts as served, with every passage of the question's own document taken out."""
    found = retriever.retrieve([item.question for item in items], retriever.k + 6)
    prompts = []
    for item, ranked in zip(items, found, strict=True):
        left = [p for p in ranked if p.chunk.document != documents[item.passage]
                and not any(a.lower() in p.chunk.text.lower() for a in item.answers)][: retriever.k]  # fmt: skip
        context: Context = retriever.context(left)
        prompts.append(answer_prompt(item.question, context))
    return prompts


def few_shot(prompts: Sequence[Prompt], shots: Sequence[tuple[Prompt, str]]) -> list[Prompt]:
    """Each prompt after worked examples, as turns of one conversation."""
    turns: list[Message] = []
    for prompt, said in shots:
        turns += [prompt[-1], Message("assistant", said)]
    return [with_examples(prompt, turns) for prompt in prompts]


def shots_of(pairs: Sequence[QAPair], retriever: Retriever, n: int) -> list[tuple[Prompt, str]]:
    """The first pairs with their prompts as served."""
    chosen = list(pairs)[:n]
    contexts = retriever.contexts([pair.question for pair in chosen])
    return [(answer_prompt(pair.question, c), pair.answer) for pair, c in zip(chosen, contexts, strict=True)]


def load(generator: TransformersGenerator, folder: Path | None) -> str | None:
    """The adapter in the folder as the only one of the generator."""
    generator.unload_adapters()
    return None if folder is None else generator.load_adapter(folder)


def summary(scores: Mapping[str, Sequence[Scores]], clusters: Sequence[Sequence[Any]]) -> dict[str, Any]:
    """Of each arm over all seeds' questions: mean and 95% interval of each metric, drawn by passage.

    ``scores[arm][s]`` and ``clusters[s]`` belong to seed s; a passage counts as itself whichever seed tested it.
    """
    out: dict[str, Any] = {}
    groups = [cluster for of_seed in clusters for cluster in of_seed]
    for arm, by_seed in scores.items():
        row: dict[str, Any] = {"n": len(groups), "by_seed": [round(float(np.mean(s.f1)), 3) for s in by_seed]}
        for name in ("f1", "em", "containment", "refused"):
            values = [value for s in by_seed for value in getattr(s, name)]
            found = mean_interval(values, seed=0, clusters=groups)
            row[name] = {"mean": round(found.mean, 4), "low": round(found.low, 4), "high": round(found.high, 4)}
        out[arm] = row
    return out


def difference(a: Sequence[Scores], b: Sequence[Scores], clusters: Sequence[Sequence[Any]]) -> dict[str, float]:
    """Paired difference in F1, a minus b, with its interval by passage."""
    groups = [cluster for of_seed in clusters for cluster in of_seed]
    one, other = ([value for s in part for value in s.f1] for part in (a, b))
    found = paired_difference(one, other, seed=0, clusters=groups)
    return {"mean": round(found.mean, 4), "low": round(found.low, 4), "high": round(found.high, 4)}
