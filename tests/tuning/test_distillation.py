from __future__ import annotations

import numpy as np
import pytest

from fieldguide.models.base import Message
from fieldguide.models.transformers_generator import TransformersGenerator
from fieldguide.types import Chunk, QAPair, Silent, Span
from tuning.distillation import answer_likelihoods, teacher_scores
from tuning.mining import Mined

PROMPTS = [
    (Message("user", "what does the document say?"),),
    (Message("user", "the fox"),),
    (Message("user", "the pilot reported a loss of engine power on page 12. " * 3),),
]
ANSWERS = ["the lazy dog", "the quick brown fox jumps over it", "page 12"]


def test_likelihoods_are_the_model_s_own_one_by_one(tiny: TransformersGenerator) -> None:
    import torch

    expected = []
    for prompt, answer in zip(PROMPTS, ANSWERS, strict=True):
        start, ids = tiny.render(prompt), tiny.completion_ids(answer)
        with torch.inference_mode():
            logits = tiny.model(torch.tensor([start + ids])).logits[0].log_softmax(-1)
        expected.append(np.mean([float(logits[len(start) + n - 1, token]) for n, token in enumerate(ids)]))
    assert answer_likelihoods(tiny, PROMPTS, ANSWERS) == pytest.approx(expected, abs=1e-4)


def test_what_does_not_fit_the_window_is_impossible(tiny: TransformersGenerator) -> None:
    long = (Message("user", "fox " * 2000),)
    found = answer_likelihoods(tiny, [PROMPTS[0], long], ANSWERS[:2])
    assert found[1] == -np.inf
    assert found[0] == pytest.approx(answer_likelihoods(tiny, PROMPTS[:1], ANSWERS[:1])[0])
    assert answer_likelihoods(tiny, [], []) == []


def test_teacher_scores_stand_in_the_order_of_positive_and_negatives(tiny: TransformersGenerator) -> None:
    from fieldguide.prompts import answer_prompt
    from fieldguide.types import Context, ScoredChunk

    chunks = [Chunk(str(n), "d", (Span(1, 0, 9),), text) for n, text in enumerate(["the fox", "a dog", "page 12"])]
    pair = QAPair("p", "what?", "the fox", "d", "0", (), "fact", "test", "train")
    items = [
        Mined(pair, chunks[0], frozenset("0"), tuple(chunks[1:])),
        Mined(pair, chunks[1], frozenset("1"), (chunks[0],)),
    ]
    scores = teacher_scores(tiny, items, Silent())
    assert [len(row) for row in scores] == [3, 2]
    prompt = answer_prompt("what?", Context((ScoredChunk(chunks[1], 1.0, 1),), "rank"))
    (single,) = answer_likelihoods(tiny, [prompt], ["the fox"])
    assert scores[0][1] == pytest.approx(single, abs=1e-4)
    assert scores[1][0] == pytest.approx(single, abs=1e-4)
