from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from eval.looks import LEVEL_OF_FIRST_LOOK, level_of_look, spent


def growing(*sizes: int) -> list[frozenset[str]]:
    return [frozenset(map(str, range(size))) for size in sizes]


def bounds(sets: list[frozenset[str]]) -> np.ndarray:
    return np.array([norm.ppf((1 + level_of_look(sets[: n + 1])) / 2) for n in range(len(sets))])


def test_what_is_spent() -> None:
    assert [round(spent(look), 4) for look in (1, 2, 5)] == [0.03, 0.035, 0.05]
    assert level_of_look(growing(40)) == pytest.approx(LEVEL_OF_FIRST_LOOK) == pytest.approx(0.97)


@pytest.mark.parametrize("sizes", [(60, 120, 180, 240, 300), (20, 30, 300), (10, 11, 12, 13, 14)])
def test_all_looks_at_a_growing_set_err_as_often_as_was_spent(sizes: tuple[int, ...]) -> None:
    """Simulated: sums of normal values without any difference, looked at where the sets end."""
    ends = bounds(growing(*sizes))
    values = np.random.default_rng(1).normal(size=(40_000, sizes[-1])).cumsum(axis=1)
    z = np.abs(np.stack([values[:, n - 1] / n**0.5 for n in sizes], axis=1))
    crossed = (z > ends).any(axis=1).mean()
    assert crossed == pytest.approx(spent(len(sizes)), abs=0.004)


def test_looks_that_share_nothing_are_independent() -> None:
    sets = [frozenset(f"{look}-{n}" for n in range(50)) for look in range(3)]
    errs = 1 - np.prod([level_of_look(sets[: n + 1]) for n in range(3)])
    assert errs == pytest.approx(spent(3), abs=2e-4)


def test_more_looks_than_were_planned_each_err_in_half_a_percent_more() -> None:
    seven = bounds(growing(*range(50, 400, 50)))
    assert 2.4 < seven[6] < 2.81  # between five looks alone and one of half a percent


def test_a_look_needs_questions() -> None:
    for sets in ([], [frozenset()]):
        with pytest.raises(ValueError, match="needs questions"):
            level_of_look(sets)
