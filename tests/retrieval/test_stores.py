"""One suite for every vector store, and what is special to one of them."""

import os
import socket
import subprocess
import sys
import sysconfig
import time
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from fieldguide.errors import IndexMismatch, WorkspaceError
from fieldguide.settings import Index
from retrieval.vectors import nearest, open_store, remove_store

VECTORS = {
    "east": [1.0, 0.0, 0.0],
    "north": [0.0, 1.0, 0.0],
    "between": [0.6, 0.8, 0.0],
    "west": [-1.0, 0.0, 0.0],
    "up: ü/漢": [0.0, 0.0, 1.0],
}
UP = "up: ü/漢"
KINDS = {
    "faiss": Index(),
    "faiss lists": Index(exact_up_to=0, compress="never"),
    "chroma": Index(store="chroma"),
    "chroma server": Index(store="chroma"),
}


def array(*rows):
    return np.asarray(rows, dtype=np.float32).reshape(-1, 3)


def random_vectors(count, dimension, seed=0):
    vectors = np.random.default_rng(seed).normal(size=(count, dimension)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """host:port of a Chroma server that runs as long as the tests do."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = tmp_path_factory.mktemp("server")
    command = Path(sysconfig.get_path("scripts")) / "chroma"
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, command, "run", "--path", folder / "data", "--host", "127.0.0.1", "--port", str(port)],
            stdout=log, stderr=log, cwd=folder, env={**os.environ, "ANONYMIZED_TELEMETRY": "False"},
        )  # fmt: skip
    try:
        for _ in range(200):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v2/heartbeat", timeout=1).close()
                break
            except OSError:
                assert process.poll() is None, (folder / "log").read_text()
                time.sleep(0.05)
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


@pytest.fixture(params=KINDS)
def settings(request):
    if request.param == "chroma server":
        return KINDS[request.param].model_copy(update={"server": request.getfixturevalue("server")})
    return KINDS[request.param]


@pytest.fixture
def part(tmp_path):
    """A folder; its name is no other part's, for the server keeps all of them."""
    return tmp_path / f"part-{os.urandom(8).hex()}"


def filled(settings, part, ids, vectors):
    store = open_store(settings, part, vectors.shape[1], len(ids))
    store.add(ids, vectors)
    store.save()
    return store


@pytest.fixture
def store(settings, part):
    opened = filled(settings, part, list(VECTORS), array(*VECTORS.values()))
    yield opened
    opened.close()


def hits(store, query, k, among=None, without=None):
    """Ids, and scores to five places."""
    ((*found,),) = store.search(array(query), k, among, without)
    return [name for name, _ in found], [score for _, score in found]


def test_best_first_with_cosine_values(store):
    assert hits(store, [1, 0, 0], 2) == (["east", "between"], pytest.approx([1.0, 0.6], abs=1e-5))
    names, scores = hits(store, [0.6, 0.8, 0], 3)
    assert names == ["between", "north", "east"]
    assert scores == pytest.approx([1.0, 0.8, 0.6], abs=1e-5)


def test_more_than_there_are_gives_all_with_negative_scores_and_ties_by_id(store):
    names, scores = hits(store, [1, 0, 0], 99)
    assert names == ["east", "between", "north", UP, "west"]
    assert scores == pytest.approx([1.0, 0.6, 0.0, 0.0, -1.0], abs=1e-5)
    assert len(store) == 5


def test_a_tie_at_the_cut_goes_to_the_first_ids(settings, part):
    tied = filled(settings, part, list("hgfedcba"), array(*[[0.6, 0.8, 0]] * 8))
    assert hits(tied, [0, 1, 0], 3) == (["a", "b", "c"], pytest.approx([0.8] * 3, abs=1e-5))
    assert hits(tied, [0, 1, 0], 2, without=frozenset("ab"))[0] == ["c", "d"]
    tied.close()


def test_queries_keep_their_order(store):
    found = store.search(array(VECTORS["west"], VECTORS[UP], VECTORS["east"]), 1)
    assert [name for ((name, _),) in found] == ["west", UP, "east"]


def test_nothing_asked_and_nothing_held(store, settings, part):
    assert store.search(array(), 3) == []
    assert store.search(array([1, 0, 0]), 0) == [[]]
    assert store.vectors([]).shape == (0, 3)
    nothing = filled(settings, part.with_name(part.name + "-empty"), [], array())
    assert len(nothing) == 0
    assert nothing.search(array([1, 0, 0], [0, 1, 0]), 3) == [[], []]
    assert nothing.search(array([1, 0, 0]), 3, frozenset({"east"}), frozenset({"west"})) == [[]]
    assert list(nothing.ids()) == []
    with pytest.raises(KeyError, match="east"):
        nothing.vectors(["east"])
    nothing.close()


def test_only_these_and_not_those(store):
    flat = frozenset({"east", "between", "west", "never there"})
    assert hits(store, [0, 0, 1], 9, among=flat)[0] == ["between", "east", "west"]
    assert hits(store, [0, 1, 0], 1, among=flat) == (["between"], pytest.approx([0.8], abs=1e-5))
    assert hits(store, [0, 1, 0], 2, without=frozenset({"north", "nor there"}))[0] == ["between", "east"]
    assert hits(store, [0, 1, 0], 9, flat, frozenset({"between"}))[0] == ["east", "west"]
    assert hits(store, [0, 1, 0], 9, frozenset()) == ([], [])
    assert hits(store, [0, 1, 0], 9, frozenset({"never there"})) == ([], [])
    assert hits(store, [0, 1, 0], 9, without=frozenset(VECTORS)) == ([], [])
    assert hits(store, [0, 1, 0], 1, None, frozenset())[0] == ["north"]


def test_vectors_and_ids_come_back(store):
    assert sorted(store.ids()) == sorted(VECTORS)
    found = store.vectors(["west", "between", UP, "west"])
    assert found.dtype == np.float32
    assert found == pytest.approx(array(VECTORS["west"], VECTORS["between"], VECTORS[UP], VECTORS["west"]), abs=1e-5)
    with pytest.raises(KeyError, match="nobody"):
        store.vectors(["west", "nobody"])


def test_it_is_the_same_after_reopening(store, settings, part):
    before = store.search(array(*VECTORS.values()), 9)
    store.close()
    again = open_store(settings, part, 3)
    assert len(again) == 5
    assert again.search(array(*VECTORS.values()), 9) == before
    again.close()


def test_a_new_part_takes_the_place_of_the_old(store, settings, part):
    store.close()
    new = filled(settings, part, ["down"], array([0, 0, -1]))
    assert hits(new, [0, 0, 1], 9) == (["down"], pytest.approx([-1.0], abs=1e-5))
    new.close()


def test_an_id_added_twice_is_refused(settings, part):
    with pytest.raises(ValueError, match="added twice"):
        filled(settings, part, ["a", "b", "a"], array([1, 0, 0], [0, 1, 0], [0, 0, 1]))


def test_what_is_not_there_or_was_removed(settings, part):
    with pytest.raises(IndexMismatch, match="run `fieldguide index`"):
        open_store(settings, part, 3)
    remove_store(settings, part)
    filled(settings, part, ["a"], array([1, 0, 0])).close()
    if settings.store == "faiss" or settings.server:
        remove_store(settings, part)
        with pytest.raises(IndexMismatch, match="run `fieldguide index`"):
            open_store(settings, part, 3)


@pytest.fixture(scope="module")
def cloud():
    return random_vectors(600, 8)


@pytest.fixture(params=KINDS, scope="module")
def clouded(request, cloud, tmp_path_factory):
    """600 vectors, added in three calls, named n000 to n599."""
    settings = KINDS[request.param]
    if request.param == "chroma server":
        settings = settings.model_copy(update={"server": request.getfixturevalue("server")})
    folder = tmp_path_factory.mktemp("cloud") / f"part-{os.urandom(8).hex()}"
    opened = open_store(settings, folder, 8, 600)
    for start in range(0, 600, 200):
        opened.add([f"n{n:03}" for n in range(start, start + 200)], cloud[start : start + 200])
    opened.save()
    yield opened
    opened.close()


some = st.none() | st.sets(st.integers(0, 650), max_size=40) | st.integers(1, 40).map(lambda n: set(range(0, 600, n)))


@hypothesis_settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 10**6), k=st.sampled_from([1, 7, 60, 599, 1000]), among=some, without=some)
def test_results_are_those_of_the_plain_product(clouded, cloud, seed, k, among, without):
    queries = random_vectors(3, 8, seed)
    rows = sorted(set(range(600) if among is None else among) - (without or set()) & set(range(650)))
    rows = [row for row in rows if row < 600]
    named = [None if chosen is None else frozenset(f"n{n:03}" for n in chosen) for chosen in (among, without)]
    found = clouded.search(queries, k, *named)
    for query, of_query in zip(queries, found, strict=True):
        scores = {f"n{row:03}": float(cloud[row] @ query) for row in rows}
        best = sorted(scores.values(), reverse=True)[:k]
        assert [score for _, score in of_query] == pytest.approx(best, abs=1e-5)
        assert [score for _, score in of_query] == pytest.approx([scores[name] for name, _ in of_query], abs=1e-5)
        assert len({name for name, _ in of_query}) == len(of_query)


@pytest.fixture(scope="module")
def clusters():
    """40,000 vectors around 1,000 centres, and 50 queries of the same kind."""
    rng = np.random.default_rng(3)
    vectors = random_vectors(1000, 32)[rng.integers(0, 1000, 40050)] + 0.15 * rng.normal(size=(40050, 32))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return vectors[:40000], vectors[40000:]


def recall(found, queries, vectors, rows):
    scores = np.full((len(queries), len(vectors)), -np.inf)
    scores[:, rows] = queries @ vectors[rows].T
    best = np.argsort(-scores, axis=1)[:, :10]
    return np.mean([len({int(name) for name, _ in hits} & set(row)) / 10 for hits, row in zip(found, best.tolist())])


@pytest.mark.parametrize("compress", ["always", "never"])
def test_lists_find_nearly_all_with_any_filter(clusters, compress, tmp_path):
    vectors, queries = clusters
    names = [str(n) for n in range(40_000)]
    lists = filled(Index(exact_up_to=1000, compress=compress), tmp_path, names, vectors)
    every = range(40_000)
    assert recall(lists.search(queries, 10), queries, vectors, every) >= 0.97
    for step in (2, 5, 30):
        chosen = frozenset(names[::step])
        assert recall(lists.search(queries, 10, chosen), queries, vectors, every[::step]) >= 0.97
    assert recall(lists.search(queries, 10, None, frozenset(names[::2])), queries, vectors, every[1::2]) >= 0.97
    assert lists.vectors(names[:99]) == pytest.approx(vectors[:99], abs=0.02 if compress == "always" else 1e-6)
    size = (tmp_path / "vectors.faiss").stat().st_size / 40_000
    assert size == pytest.approx({"always": 32, "never": 128}[compress] + 26, abs=5)  # and row, ids, list


def test_fewer_vectors_than_were_expected(tmp_path):
    store = open_store(Index(exact_up_to=10), tmp_path, 3, 100_000)
    store.add(list(VECTORS), array(*VECTORS.values()))
    store.save()
    assert hits(store, [1, 0, 0], 2) == (["east", "between"], pytest.approx([1.0, 0.6], abs=1e-5))


def test_one_choice_of_ids_is_looked_up_once(tmp_path, monkeypatch):
    store = filled(Index(), tmp_path, list(VECTORS), array(*VECTORS.values()))
    looked_up = []
    rows = type(store)._rows
    monkeypatch.setattr(type(store), "_rows", lambda self, ids: (looked_up.append(ids), rows(self, ids))[1])
    chosen = frozenset({"east", "west"})
    for _ in range(3):
        assert hits(store, [1, 0, 0], 5, chosen)[0] == ["east", "west"]
    assert looked_up == [chosen]


@pytest.mark.parametrize("compress", ["never", "always"])
def test_a_damaged_file_is_told_in_one_sentence(tmp_path, compress):
    file = tmp_path / "vectors.faiss"
    filled(Index(compress=compress), tmp_path, list(VECTORS), array(*VECTORS.values())).close()
    whole = file.read_bytes()
    for broken in (b"", b"x", whole[:-1], whole[: len(whole) // 2], whole[9:], b"IxZZ" + whole[4:], whole + b"\0"):
        file.write_bytes(broken)
        with pytest.raises(IndexMismatch, match=r"vectors\.faiss is missing or damaged"):
            open_store(Index(), tmp_path, 3)
    file.write_bytes(whole)
    with pytest.raises(IndexMismatch, match="missing or damaged"):
        open_store(Index(), tmp_path, 4)
    assert hits(open_store(Index(), tmp_path, 3), [0, 1, 0], 1)[0] == ["north"]


@pytest.mark.parametrize("server", ["127.0.0.1:9", "nohost", "127.0.0.1:port"])
def test_a_server_that_is_not_there(server, part):
    with pytest.raises(WorkspaceError, match=rf"No Chroma server answers at {server} .*`chroma run`"):
        open_store(Index(store="chroma", server=server), part, 3, 1)


def test_nearest_fetches_on_while_the_cut_goes_through_a_tie():
    asked = []

    def fetch(n):
        asked.append(n)
        return [[("z", 1.0), ("y", 0.5), ("x", 0.5), ("b", 0.5), ("a", 0.5), ("w", 0.1)][:n]]

    assert nearest(fetch, 2, 6) == [[("z", 1.0), ("a", 0.5)]]
    assert asked == [3, 6]
    assert nearest(fetch, 1, 6) == [[("z", 1.0)]]
    assert asked[2:] == [2]


def test_shelves_that_share_a_server_keep_their_parts_apart(server, tmp_path):
    settings = Index(store="chroma", server=server)
    one, other = tmp_path / "one" / "part", tmp_path / "other" / "part"
    for folder, vector in ((one, [1.0, 0.0]), (other, [0.0, 1.0])):
        store = open_store(settings, folder, 2, 1)
        store.add(["a"], np.asarray([vector], dtype=np.float32))
        store.save()
        store.close()
    remove_store(settings, one)
    kept = open_store(settings, other, 2)
    assert kept.vectors(["a"]).tolist() == [[0.0, 1.0]]
    kept.close()
    with pytest.raises(IndexMismatch, match="does not hold this part of the index"):
        open_store(settings, one, 2)
