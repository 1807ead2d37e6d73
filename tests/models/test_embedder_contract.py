"""What every Embedder promises, asserted on each of them."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fieldguide.models import Embedder, load_embedder
from fieldguide.models.hashing import HashingEmbedder

TEXTS = [
    "The pilot reported a loss of engine power.",
    "Loss of power in the engine was reported by the pilot.",
    "The recipe calls for two cups of flour and an egg.",
    "",
    "naïve café, 12,500 hours " * 60,
    "x",
]


REAL = [pytest.param(("bundled", dtype), marks=pytest.mark.slow) for dtype in ("auto", "bfloat16", "float32")]


@pytest.fixture(scope="module", params=[("hashing", "auto"), *REAL])
def embedder(request: pytest.FixtureRequest) -> Embedder:
    name, dtype = request.param
    return load_embedder(name, dtype=dtype)


@pytest.fixture
def near(embedder: Embedder) -> float:
    """How far two vectors of one text may be apart in a number: bfloat16 has 8 bits, and sums in another order."""
    return 5e-3 if getattr(embedder, "engine", "").endswith("bfloat16") else 1e-5


def test_shape_type_and_unit_length(embedder: Embedder) -> None:
    vectors = embedder.embed(TEXTS)
    assert vectors.shape == (len(TEXTS), embedder.dimension)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-5)


def test_no_texts_give_no_rows(embedder: Embedder) -> None:
    vectors = embedder.embed([])
    assert vectors.shape == (0, embedder.dimension)
    assert vectors.dtype == np.float32


def test_same_text_same_vector_in_any_batch_and_order(embedder: Embedder, near: float) -> None:
    together = embedder.embed(TEXTS)
    alone = np.concatenate([embedder.embed([text]) for text in TEXTS])
    backwards = embedder.embed(TEXTS[::-1])[::-1]
    many = embedder.embed(TEXTS * 12)[-len(TEXTS) :]
    for other in (alone, backwards, many):
        np.testing.assert_allclose(other, together, atol=near)


def test_similar_texts_are_closer_than_dissimilar_ones(embedder: Embedder) -> None:
    first, similar, other = embedder.embed(TEXTS[:3])
    assert first @ similar > first @ other + 0.3


def test_text_beyond_the_window_is_not_read(embedder: Embedder, near: float) -> None:
    word = "engine "
    fits = embedder.max_tokens // embedder.count_tokens([word])[0]
    inside, beyond = embedder.embed([word * fits, word * fits + "flour egg sugar " * 20])
    np.testing.assert_allclose(inside, beyond, atol=near)
    (short,) = embedder.embed([word * (fits - 30) + "flour egg sugar " * 10])
    assert short @ inside < 0.99999


def test_count_tokens_adds_up(embedder: Embedder) -> None:
    assert embedder.count_tokens(["", "the pilot", "the pilot " * 1000]) == [0, 2, 2000]
    assert embedder.count_tokens([]) == []


def test_id_is_stable(embedder: Embedder) -> None:
    assert embedder.id == load_embedder(embedder.id.split(":")[0]).id


@pytest.mark.slow
def test_bundled_id_names_the_pinned_weights_and_the_window() -> None:
    embedder = load_embedder("bundled")
    assert embedder.id == "bundled:53aa51172d142c89:256"
    assert (embedder.dimension, embedder.max_tokens) == (384, 254)


def test_hashing_values_by_hand() -> None:
    embedder = HashingEmbedder(dimension=256)
    places = {token: embedder.place(token) for token in ("pump", "valve", "red", "blue")}
    assert len({column for column, _ in places.values()}) == 4  # no two of them collide
    a, b, c = embedder.embed(["Pump valve", "valve, PUMP!", "pump red blue"])
    np.testing.assert_array_equal(a, b)
    assert a @ c == pytest.approx(1 / math.sqrt(6))  # one word of two and three is shared
    column, sign = places["pump"]
    assert a[column] == pytest.approx(sign / math.sqrt(2))
    assert embedder.embed(["pump pump valve"])[0][column] == pytest.approx(2 * sign / math.sqrt(5))


def test_hashing_is_the_same_in_every_process() -> None:
    # Python's own hash() differs from run to run; these values must not.
    assert [HashingEmbedder().place(token) for token in ("pump", "valve")] == [(30, -1), (192, -1)]


def test_hashing_gives_text_without_words_the_first_unit_vector() -> None:
    for text in ("", " \n", "...!"):
        vector = HashingEmbedder(8).embed([text])[0]
        np.testing.assert_array_equal(vector, [1, 0, 0, 0, 0, 0, 0, 0])


def test_hashing_refuses_a_dimension_of_nothing() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        HashingEmbedder(0)
