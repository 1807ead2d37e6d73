import numpy as np
import pytest

from fieldguide.catalog import Catalog, FileRecord, Reading
from fieldguide.errors import NotReady
from fieldguide.models.hashing import HashingEmbedder
from fieldguide.settings import Retrieval
from fieldguide.types import Chunk, Document, Silent
from retrieval.build import build_index
from retrieval.faiss_store import FaissStore
from retrieval.retriever import DenseRetriever

THREE = Retrieval(k=3)
TEXTS = {"c1": "a", "c2": "b", "c3": "c", "c4": "d"}
PLACES = {"c1": [1.0, 0.0], "c2": [0.8, 0.6], "c3": [0.6, 0.8], "c4": [0.0, 1.0]}
QUERIES = {"east": [1.0, 0.0], "north": [0.0, 1.0], "south": [0.0, -1.0]}


class Compass(HashingEmbedder):
    """Vectors of the queries, by hand."""

    def embed(self, texts):
        return np.asarray([QUERIES[text] for text in texts], dtype=np.float32)


@pytest.fixture
def retriever(tmp_path):
    def make(settings=THREE, without=()):
        store = FaissStore(tmp_path, 2)
        store.add(list(PLACES), np.asarray(list(PLACES.values()), dtype=np.float32))
        chunks = {name: Chunk(name, "d", (), text) for name, text in TEXTS.items() if name not in without}
        return DenseRetriever("version", store, chunks, Compass(2), settings)

    return make


def names(passages):
    return [passage.chunk.id for passage in passages]


def test_ranked_by_similarity_with_ranks_from_one(retriever):
    east, north = retriever().retrieve(["east", "north"], 3)
    assert names(east) == ["c1", "c2", "c3"]
    assert names(north) == ["c4", "c3", "c2"]
    assert [passage.rank for passage in north] == [1, 2, 3]
    assert [passage.score for passage in north] == pytest.approx([1.0, 0.8, 0.6], abs=1e-6)
    assert [passage.scores["dense"] for passage in north] == [passage.score for passage in north]


def test_k_of_the_call_and_of_the_settings(retriever):
    found = retriever(Retrieval(k=2))
    assert found.k == 2
    assert names(found.retrieve(["east"], 1)[0]) == ["c1"]
    assert names(found.retrieve(["south"], 99)[0]) == ["c1", "c2", "c3", "c4"]
    assert names(found.contexts(["east"])[0].passages) == ["c1", "c2"]
    assert found.retrieve([], 3) == found.contexts([]) == []


@pytest.mark.parametrize(
    ("order", "shown"),
    [("rank", ["c1", "c2", "c3", "c4"]), ("ends", ["c1", "c3", "c4", "c2"]), ("reverse", ["c4", "c3", "c2", "c1"])],
)
def test_contexts_are_shown_in_the_order_of_the_policy(retriever, order, shown):
    found = retriever(Retrieval(k=4, order=order))
    (context,) = found.contexts(["east"])
    assert names(context.passages) == shown
    assert context.policy == order
    assert {p.chunk.id: p.rank for p in context.passages} == {"c1": 1, "c2": 2, "c3": 3, "c4": 4}
    assert context == found.context(found.retrieve(["east"], 4)[0])


def test_a_chunk_that_is_gone_leaves_no_gap_in_the_ranks(retriever):
    found = retriever(without=("c1",)).retrieve(["east"], 3)[0]
    assert [(passage.chunk.id, passage.rank) for passage in found] == [("c2", 1), ("c3", 2)]


def test_recipe_changes_with_what_decides_a_context(retriever):
    same = [retriever(Retrieval(k=3)).recipe for _ in range(2)]
    assert same[0] == same[1]
    assert len({same[0], retriever(Retrieval(k=2)).recipe, retriever(Retrieval(k=3, order="rank")).recipe}) == 3


def test_open_pins_the_version_in_use(tmp_path):
    catalog = Catalog.open(tmp_path / "catalog.sqlite")
    embedder = HashingEmbedder(4096)
    texts = ["the right wing hit a tree", "the pilot was not hurt", "a crack in the wing spar"]
    chunks = [Chunk(f"c{n}", "d", (), text) for n, text in enumerate(texts)]
    catalog.store_document(Document("d", "d", "d"), Reading("r"), [], chunks, FileRecord("d", "d", 1, "read", ""))
    with pytest.raises(NotReady):
        DenseRetriever.open(catalog, tmp_path, embedder, Retrieval())
    version = build_index(catalog, tmp_path, "faiss", embedder, Silent())
    found = DenseRetriever.open(catalog, tmp_path, embedder, Retrieval(k=2))
    assert found.index_id == version.id
    first, second = found.retrieve(["crack in the spar"], 2)[0]
    assert (first.chunk, second.chunk) == (chunks[2], chunks[1])
    assert first.score == pytest.approx(4 / (4 * 6) ** 0.5, abs=1e-6)  # four words shared, of four and of six
    assert second.score == pytest.approx(1 / (4 * 5) ** 0.5, abs=1e-6)  # "the", of four and of five
    more = Chunk("e", "e", (), "crack in the spar")
    catalog.store_document(Document("e", "e", "e"), Reading("r"), [], [more], FileRecord("e", "e", 1, "read", ""))
    build_index(catalog, tmp_path, "faiss", embedder, Silent())
    assert names(found.retrieve(["crack in the spar"], 1)[0]) == ["c2"]
    assert names(
        DenseRetriever.open(catalog, tmp_path, embedder, Retrieval()).retrieve(["crack in the spar"], 1)[0]
    ) == ["e"]
    catalog.close()
