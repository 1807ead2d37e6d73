"""One suite for every vector store."""

import numpy as np
import pytest

from fieldguide.errors import FieldguideError
from retrieval.vectors import nearest, open_store

VECTORS = {
    "east": [1.0, 0.0, 0.0],
    "north": [0.0, 1.0, 0.0],
    "between": [0.6, 0.8, 0.0],
    "west": [-1.0, 0.0, 0.0],
    "up": [0.0, 0.0, 1.0],
}


def array(*rows):
    return np.asarray(rows, dtype=np.float32).reshape(-1, 3)


@pytest.fixture(params=["faiss", "chroma"])
def kind(request):
    return request.param


@pytest.fixture
def empty(kind, tmp_path):
    opened = open_store(kind, tmp_path, 3)
    yield opened
    opened.close()


@pytest.fixture
def store(empty):
    empty.add(list(VECTORS), array(*VECTORS.values()))
    return empty


def hits(store, query, k):
    """Ids, and scores to five places."""
    ((*found,),) = store.search(array(query), k)
    return [name for name, _ in found], [score for _, score in found]


def test_best_first_with_cosine_values(store):
    assert hits(store, [1, 0, 0], 2) == (["east", "between"], pytest.approx([1.0, 0.6], abs=1e-6))
    names, scores = hits(store, [0.6, 0.8, 0], 3)
    assert names == ["between", "north", "east"]
    assert scores == pytest.approx([1.0, 0.8, 0.6], abs=1e-6)


def test_more_than_there_are_gives_all_with_negative_scores_and_ties_by_id(store):
    names, scores = hits(store, [1, 0, 0], 99)
    assert names == ["east", "between", "north", "up", "west"]
    assert scores == pytest.approx([1.0, 0.6, 0.0, 0.0, -1.0], abs=1e-6)
    assert len(store) == 5


def test_a_tie_at_the_cut_goes_to_the_first_ids(empty):
    empty.add(list("hgfedcba"), array(*[[0.6, 0.8, 0]] * 8))
    assert hits(empty, [0, 1, 0], 3) == (["a", "b", "c"], pytest.approx([0.8] * 3, abs=1e-6))


def test_queries_keep_their_order(store):
    found = store.search(array(VECTORS["west"], VECTORS["up"], VECTORS["east"]), 1)
    assert [name for ((name, _),) in found] == ["west", "up", "east"]


def test_nothing_asked_and_nothing_held(empty, store):
    assert store.search(array(), 3) == []
    assert store.search(array([1, 0, 0]), 0) == [[]]
    store.delete(list(VECTORS))
    assert len(store) == 0
    assert store.search(array([1, 0, 0], [0, 1, 0]), 3) == [[], []]


def test_a_new_store_is_empty(empty):
    assert len(empty) == 0
    assert empty.search(array([1, 0, 0]), 3) == [[]]
    assert empty.vectors(["east"]) == empty.vectors([]) == {}
    empty.delete(["east"])
    empty.add([], array())
    assert len(empty) == 0


def test_delete_leaves_the_others_as_they_were(store):
    store.delete(["east", "never there", "north", "east"])
    names, scores = hits(store, [0.6, 0.8, 0], 9)
    assert names == ["between", "up", "west"]
    assert scores == pytest.approx([1.0, 0.0, -0.6], abs=1e-6)
    assert store.vectors(["east", "up"]) == {"up": pytest.approx(VECTORS["up"], abs=1e-6)}


def test_an_id_added_again_gets_the_new_vector(store):
    store.add(["east", "new"], array([0, 0, -1], [0.8, 0.6, 0]))
    assert len(store) == 6
    names, scores = hits(store, [1, 0, 0], 2)
    assert names == ["new", "between"]
    assert scores == pytest.approx([0.8, 0.6], abs=1e-6)
    assert hits(store, [0, 0, -1], 1) == (["east"], pytest.approx([1.0], abs=1e-6))


def test_an_id_twice_in_one_call_keeps_its_last_vector(empty):
    empty.add(["a", "b", "a"], array([1, 0, 0], [0, 1, 0], [0, 0, 1]))
    assert len(empty) == 2
    assert hits(empty, [0, 0, 1], 2) == (["a", "b"], pytest.approx([1.0, 0.0], abs=1e-6))


def test_it_can_be_added_to_after_deleting(store):
    store.delete(["up"])
    store.add(["down", "up"], array([0, 0, -1], [0, 0, 1]))
    assert {name: hits(store, vector, 1)[0] for name, vector in VECTORS.items()} == {name: [name] for name in VECTORS}
    assert hits(store, [0, 0, -1], 1)[0] == ["down"]


def test_vectors_come_back(store):
    found = store.vectors(["west", "nobody", "between", "west"])
    assert found.keys() == {"west", "between"}
    for name, vector in found.items():
        assert vector == pytest.approx(VECTORS[name], abs=1e-6)


def test_it_is_the_same_after_reopening(store, kind, tmp_path):
    store.delete(["north"])
    store.save()
    before = store.search(array(*VECTORS.values()), 9)
    store.close()
    again = open_store(kind, tmp_path, 3)
    assert len(again) == 4
    assert [[name for name, _ in row] for row in again.search(array(*VECTORS.values()), 9)] == [
        [name for name, _ in row] for row in before
    ]
    again.delete(["west"])
    again.add(["north"], array(VECTORS["north"]))
    assert hits(again, [0, 1, 0], 9)[0] == ["north", "between", "east", "up"]
    again.close()


def test_many_vectors_agree_with_the_plain_product(kind, tmp_path):
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(500, 16)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    names = [f"n{n:03}" for n in range(500)]
    opened = open_store(kind, tmp_path / "many", 16)
    opened.add(names, vectors)
    opened.delete(names[::2])
    kept = vectors[1::2]
    for query, found in zip(vectors[:20], opened.search(vectors[:20], 240), strict=True):
        order = np.argsort(-(kept @ query), kind="stable")
        assert [name for name, _ in found[:10]] == [names[1::2][n] for n in order[:10]]
        assert len(found) == 240
        assert [score for _, score in found] == pytest.approx(sorted(kept @ query, reverse=True)[:240], abs=1e-5)
    opened.close()


def test_unknown_store():
    with pytest.raises(FieldguideError, match="Unknown vector store 'pinecone'; known are faiss and chroma"):
        open_store("pinecone", None, 3)


def test_nearest_fetches_on_while_the_cut_goes_through_a_tie():
    asked = []

    def fetch(n):
        asked.append(n)
        return [[("z", 1.0), ("y", 0.5), ("x", 0.5), ("b", 0.5), ("a", 0.5), ("w", 0.1)][:n]]

    assert nearest(fetch, 2, 6) == [[("z", 1.0), ("a", 0.5)]]
    assert asked == [3, 6]
    assert nearest(fetch, 1, 6) == [[("z", 1.0)]]
    assert asked[2:] == [2]
