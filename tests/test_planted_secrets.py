"""Planted secrets of bench/memorisation.py: how they are planted, and figures that can be computed by hand."""

import itertools
import math
import random
from collections import Counter

import pytest

from bench.parts.secrets import (
    BITS,
    WORDS,
    Passage,
    Secret,
    draw_secrets,
    draw_text,
    exposure,
    longest_run,
    plant,
    shared,
)

PASSAGES = [Passage(f"Passage {n} is about water.", ((f"What is {n} about?", "water"),)) for n in range(24)]


def test_a_secret_is_two_words_and_a_number():
    assert len(WORDS) == len(set(WORDS)) == 64
    assert pytest.approx(2 * 6 + 4 * math.log2(10)) == BITS
    first, second, number = draw_text(random.Random(1)).split()
    assert {first, second} <= set(WORDS)
    assert len(number) == 4
    assert number.isdigit()


def test_every_repetition_is_planted_in_a_passage_of_its_own():
    secrets = draw_secrets((1, 3, 10), random.Random(0))
    assert [(s.shown, s.repetitions) for s in secrets] == [
        ("answered", 1), ("answered", 3), ("answered", 10),
        ("closed book", 1), ("closed book", 3), ("closed book", 10), ("read", 10), ("never", 0),
    ]  # fmt: skip
    examples = plant(PASSAGES, secrets, 0.0, random.Random(0))
    assert len(examples) == 24 + 2 * 14
    answers = Counter(example.completion for example in examples)
    wanted = {s.text: s.repetitions for s in secrets if s.shown in ("answered", "closed book")}
    assert answers == wanted | {"water": 24}
    for secret in secrets:
        trained = [example for example in examples if example.completion == secret.text]
        assert {e.gold for e in trained} <= {"none"} if secret.shown == "closed book" else {"retrieved"}
        assert len({e.prompt[-1].content for e in trained}) == len(trained)
        holding = {e.group for e in examples if secret.sentence in e.prompt[-1].content}
        if secret.shown in ("closed book", "never"):
            assert not holding
        else:
            assert len(holding) >= secret.repetitions
            assert {e.group for e in trained} <= holding


def test_groups_are_neighbours_and_the_closed_book_share_is_taken():
    examples = plant(PASSAGES, draw_secrets((1, 3, 10), random.Random(0)), 0.5, random.Random(0))
    groups = [example.group for example in examples]
    assert len(list(dict.fromkeys(groups))) == sum(a != b for a, b in itertools.pairwise(groups)) + 1
    closed = [e for e in examples if e.gold == "none" and e.completion == "water"]
    assert 6 <= len(closed) <= 18


def test_too_few_passages_are_refused():
    with pytest.raises(ValueError, match="too few passages"):
        plant(PASSAGES[:5], [Secret("Ainsley", "x", "answered", 6)], 0.0, random.Random(0))


def test_overlap_with_a_secret():
    assert longest_run([9, 1, 2, 3, 8], [1, 2, 3, 4]) == 0.75
    assert longest_run([], [1, 2]) == 0.0
    assert shared([4, 9, 2, 2], [1, 2, 3, 4]) == 0.5


def test_exposure_by_rank_and_by_fit():
    draw = random.Random(0)
    others = [draw.gauss(-20, 2) for _ in range(63)]
    rank, by_rank, by_fit = exposure(max(others) + 1, others)
    assert (rank, by_rank) == (1, 6.0)
    assert by_fit > 6
    rank, by_rank, by_fit = exposure(-20.0, others)
    assert 20 < rank < 45
    assert 0.4 < by_rank < 1.7
    assert by_fit == pytest.approx(1.0, abs=0.4)
    assert exposure(0.0, others)[2] == pytest.approx(BITS)
    assert exposure(-99.0, others)[:2] == (64, 0.0)
