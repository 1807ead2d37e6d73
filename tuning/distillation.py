"""What the generator thinks of a passage: the likelihood of the gold answer after reading it (LLM-Embedder).

Zhang et al. 2023, "Retrieve Anything To Augment Large Language Models" (arXiv 2310.07554), section 3: a passage is as
useful as it makes the right answer likely, and the retriever learns the generator's preferences as soft labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile
from typing import Any

import numpy as np

from fieldguide.models.base import Prompt
from fieldguide.models.decoding import batches
from fieldguide.models.transformers_generator import TransformersGenerator
from fieldguide.prompts import answer_prompt
from fieldguide.types import Context, Progress, ScoredChunk
from tuning.mining import Mined

_BATCH_TOKENS = 4096


def answer_likelihoods(
    generator: TransformersGenerator,
    prompts: Sequence[Prompt],
    answers: Sequence[str],
    progress: Progress | None = None,
    adapter: str | None = None,
    lead: str = "",
) -> list[float]:
    """Mean log-likelihood of each answer's tokens (with the end of the turn) after its prompt, at most 0.

    By the base model, or with the adapter of this id (see ``load_adapter``) on. After a ``lead``, the words with which
    the reply is taken to begin, the answer's own tokens alone are counted: neither the lead nor the end of the turn.
    -inf where prompt and answer do not fit the model's window. Raises ModelError for an unknown adapter.
    """
    import torch

    rows = [_row(generator, prompt, answer, lead) for prompt, answer in zip(prompts, answers, strict=True)]
    found = [-np.inf] * len(rows)
    fitting = [n for n, (prompt, answer) in enumerate(rows) if len(prompt) + len(answer) <= generator.context_tokens]
    with generator.using(adapter) as model, torch.inference_mode():
        model.eval()
        for group in batches([sum(map(len, rows[n])) for n in fitting], _BATCH_TOKENS):
            part = [fitting[n] for n in group]
            for n, value in zip(part, _mean_log_likelihoods(model, [rows[n] for n in part], generator.device)):
                found[n] = value
            if progress is not None:
                progress.advance(len(part))
    return found


def _row(generator: TransformersGenerator, prompt: Prompt, answer: str, lead: str) -> tuple[list[int], list[int]]:
    """Token ids that are given and that are counted."""
    if not lead:
        return generator.render(prompt), generator.completion_ids(answer)
    ends = 0 if generator.chat.end_id is None else 1
    whole, begun = generator.completion_ids(f"{lead} {answer}"), generator.completion_ids(lead)
    whole, begun = whole[: len(whole) - ends], begun[: len(begun) - ends]
    given = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(whole, begun, strict=False)))
    return generator.render(prompt) + whole[:given], whole[given:]


def _mean_log_likelihoods(model: Any, rows: Sequence[tuple[list[int], list[int]]], device: str) -> list[float]:
    import torch

    width = max(len(prompt) + len(answer) for prompt, answer in rows)
    longest = max(len(answer) for _, answer in rows)
    ids = torch.zeros((len(rows), width), dtype=torch.long)
    mask = torch.zeros_like(ids)
    for row, (prompt, answer) in enumerate(rows):  # on the right side, so that the answers stand under each other
        ids[row, width - len(prompt) - len(answer) :] = torch.tensor(prompt + answer)
        mask[row, width - len(prompt) - len(answer) :] = 1
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    logits = model(
        input_ids=ids.to(device),
        attention_mask=mask.to(device),
        position_ids=positions.to(device),
        logits_to_keep=longest + 1,
    ).logits.float()
    likelihoods = torch.log_softmax(logits[:, :-1], dim=-1).cpu()
    targets = ids[:, width - longest :]
    chosen = likelihoods.gather(2, targets.unsqueeze(2)).squeeze(2)
    return [float(chosen[row, longest - len(answer) :].mean()) for row, (_, answer) in enumerate(rows)]


def teacher_scores(
    generator: TransformersGenerator, items: Sequence[Mined], progress: Progress
) -> list[tuple[float, ...]]:
    """For each item, the answer's mean log-likelihood given the positive and given each negative, alone.

    The prompt is the one that serves, with one passage.
    """
    prompts, answers = [], []
    for item in items:
        for chunk in (item.positive, *item.negatives):
            context = Context((ScoredChunk(chunk, 1.0, 1),), "rank")
            prompts.append(answer_prompt(item.pair.question, context))
            answers.append(item.pair.answer)
    progress.start("likelihood of the answers", len(prompts))
    values = iter(answer_likelihoods(generator, prompts, answers, progress))
    return [tuple(next(values) for _ in range(1 + len(item.negatives))) for item in items]
