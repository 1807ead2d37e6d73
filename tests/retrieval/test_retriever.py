import numpy as np
import pytest

from fieldguide.catalog import Catalog, FileRecord, Reading
from fieldguide.errors import NotReady
from fieldguide.models.hashing import HashingEmbedder
from fieldguide.settings import Index as IndexSettings
from fieldguide.settings import Retrieval
from fieldguide.types import Chunk, Document, Page, Silent, Span
from retrieval.build import build_index
from retrieval.index import Index
from retrieval.retriever import HybridRetriever
from retrieval.scope import Scope

TEXTS = {"c1": "a", "c2": "b", "c3": "c", "c4": "d"}
DENSE = {"east": ["c1", "c2", "c3", "c4"], "north": ["c4", "c3", "c2", "c1"], "south": ["c1", "c2", "c3", "c4"]}
WORDS = {"east": ["c4", "c1"], "north": ["c4"], "south": []}


class Scripted:
    """A channel that finds what is written here, in steps of 0.1 from 1.0."""

    def __init__(self, name, found):
        self.name, self._found = name, found

    def search(self, queries, k, among=None):
        return [
            [(name, 1.0 - n / 10) for n, name in enumerate(self._found[text]) if among is None or name in among][:k]
            for text in queries.texts
        ]


class Held:
    """Chunks by hand, each on its own page of document d (c4: of document e)."""

    def __init__(self, without=()):
        self._chunks = {
            name: Chunk(name, "e" if name == "c4" else "d", (Span(n, 0, 1),), text)
            for n, (name, text) in enumerate(TEXTS.items(), 1)
            if name not in without
        }

    def get(self, ids):
        return {name: self._chunks[name] for name in ids if name in self._chunks}

    def of_document(self, document):
        return [chunk for chunk in self._chunks.values() if chunk.document == document]

    def page_text(self, document, number):
        return list(TEXTS.values())[number - 1]


class Vectors:
    """The chunks' vectors on a quarter circle."""

    def vectors(self, ids):
        return np.asarray([[np.cos(n / 2), np.sin(n / 2)] for n in (list(TEXTS).index(i) for i in ids)], np.float32)


class Compass(HashingEmbedder):
    def embed(self, texts):
        return np.asarray([{"east": [1.0, 0.0], "north": [0.0, 1.0]}[text] for text in texts], dtype=np.float32)


@pytest.fixture
def retriever():
    def make(settings=None, without=(), **options):
        settings = settings or Retrieval(k=3, channels=("dense",))
        channels = {"dense": Scripted("dense", DENSE), "words": Scripted("words", WORDS)}
        index = Index("version", Vectors(), channels, None)
        return HybridRetriever(index, Held(without), Compass(2), settings, **options)

    return make


def names(passages):
    return [passage.chunk.id for passage in passages]


def test_one_channel_gives_its_own_order_scores_and_ranks(retriever):
    east, north = retriever().retrieve(["east", "north"], 3)
    assert names(east) == ["c1", "c2", "c3"]
    assert names(north) == ["c4", "c3", "c2"]
    assert [(p.rank, p.score, p.scores, p.ranks) for p in north] == [
        (1, 1.0, {"dense": 1.0}, {"dense": 1}), (2, 0.9, {"dense": 0.9}, {"dense": 2}),
        (3, 0.8, {"dense": 0.8}, {"dense": 3}),
    ]  # fmt: skip


def test_channels_are_fused_and_each_passage_tells_its_ranks(retriever):
    found = retriever(Retrieval(fusion="rank")).retrieve(["east"], 4)[0]
    assert names(found) == ["c1", "c4", "c2", "c3"]
    assert found[0].score == pytest.approx(1 / 61 + 1 / 62)
    assert found[1].score == pytest.approx(1 / 64 + 1 / 61)
    assert found[0].ranks == {"dense": 1, "words": 2, "fused": 1}
    assert found[1].ranks == {"dense": 4, "words": 1, "fused": 2}
    assert found[2].ranks == {"dense": 2, "fused": 3}
    assert found[1].scores == {"dense": 0.7, "words": 1.0, "fused": found[1].score}
    heavy = retriever(Retrieval(fusion="rank", weights={"words": 9.0})).retrieve(["east"], 4)[0]
    assert names(heavy) == ["c4", "c1", "c2", "c3"]


def test_the_trace_names_every_step_with_its_candidates(retriever):
    (found,) = retriever(Retrieval(rerank=("mmr",), rerank_depth=2)).search(["east"], 3)
    assert (found.query, found.queries) == ("east", ["east"])
    assert [(step.name, step.candidates) for step in found.steps] == [
        ("dense", 4), ("words", 2), ("fusion", 4), ("reading", 3), ("mmr", 3),
    ]  # fmt: skip
    assert all(step.seconds >= 0 for step in found.steps)


def test_a_reranker_reorders_the_best_and_leaves_the_rest(retriever):
    settings = Retrieval(channels=("dense",), rerank=("qim",), rerank_depth=3)
    found = retriever(settings).retrieve(["north"], 4)[0]
    assert sorted(names(found)[:3]) == ["c2", "c3", "c4"]
    assert names(found)[3] == "c1"
    assert [p.rank for p in found] == [1, 2, 3, 4]
    assert "qim" in found[0].ranks
    assert "qim" not in found[3].ranks


def test_a_superseded_document_stands_behind_its_successor(retriever):
    found = retriever(newer={"d": "e"}).retrieve(["east"], 4)[0]
    assert names(found) == ["c4", "c1", "c2", "c3"]


def test_only_what_is_in_scope_is_found(retriever):
    whole = retriever(Retrieval(k=4))
    part = whole.within(Scope(frozenset({"c2", "c4"}), "some"))
    assert names(part.retrieve(["east"], 4)[0]) == ["c4", "c2"]
    assert whole.recipe != part.recipe
    assert names(whole.retrieve(["east"], 4)[0]) == names(retriever(Retrieval(k=4)).retrieve(["east"], 4)[0])


def test_neighbours_come_with_a_hit_but_never_from_outside_the_scope(retriever):
    settings = Retrieval(channels=("dense",), neighbours=1)
    (first, *rest) = retriever(settings).retrieve(["east"], 2)[0]
    assert first.chunk.text == "a\n\nb\n\nc"
    assert first.chunk.spans == (Span(1, 0, 1), Span(2, 0, 1), Span(3, 0, 1))
    assert [p.chunk.text for p in rest] == ["d"]
    seen = retriever(settings).within(Scope(frozenset({"c1", "c4"}), "some"))
    assert [p.chunk.text for p in seen.retrieve(["east"], 2)[0]] == ["a", "d"]


def test_a_channel_that_the_index_lacks_is_a_sentence(retriever):
    with pytest.raises(NotReady, match=r"The index has no channel questions; name it in retrieval\.channels"):
        retriever(Retrieval(channels=("dense", "questions")))


def test_k_of_the_call_and_of_the_settings(retriever):
    found = retriever(Retrieval(k=2, channels=("dense",)))
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
    found = retriever(Retrieval(k=4, order=order, channels=("dense",)))
    (context,) = found.contexts(["east"])
    assert names(context.passages) == shown
    assert context.policy == order
    assert {p.chunk.id: p.rank for p in context.passages} == {"c1": 1, "c2": 2, "c3": 3, "c4": 4}
    assert context == found.context(found.retrieve(["east"], 4)[0])


def test_a_chunk_that_is_gone_leaves_no_gap_in_the_ranks(retriever):
    found = retriever(without=("c1",)).retrieve(["east"], 3)[0]
    assert [(passage.chunk.id, passage.rank) for passage in found] == [("c2", 1), ("c3", 2), ("c4", 3)]


def test_recipe_changes_with_what_decides_a_context(retriever):
    same = [retriever(Retrieval(k=3)).recipe for _ in range(2)]
    assert same[0] == same[1]
    others = [Retrieval(k=2), Retrieval(k=3, order="rank"), Retrieval(channels=("words",)), Retrieval(rerank=("mmr",))]
    assert len({same[0], *(retriever(settings).recipe for settings in others)}) == 5
    assert retriever(Retrieval(k=3)).using(others[0]).recipe == retriever(others[0]).recipe


def add(catalog, name, *texts):
    pages = [Page(name, n, str(n), text, "test") for n, text in enumerate(texts, 1)]
    chunks = [Chunk(f"{name}{n}", name, (Span(n, 0, len(text)),), text) for n, text in enumerate(texts, 1)]
    catalog.store_document(
        Document(name, f"/shelf/{name}.pdf", name), Reading("r"), pages, chunks, FileRecord(name, name, 1, "read", "")
    )
    return chunks


def test_open_pins_the_version_in_use(tmp_path):
    catalog = Catalog.open(tmp_path / "catalog.sqlite")
    embedder = HashingEmbedder(4096)
    chunks = add(catalog, "d", "the right wing hit a tree", "the pilot was not hurt", "a crack in the wing spar")
    settings = Retrieval(k=2, fusion="rank")
    with pytest.raises(NotReady):
        HybridRetriever.open(catalog, tmp_path, embedder, settings)
    version = build_index(catalog, tmp_path, IndexSettings(), embedder, Silent())
    found = HybridRetriever.open(catalog, tmp_path, embedder, settings)
    assert found.index_id == version.id
    first, second = found.retrieve(["crack in the spar"], 2)[0]
    assert (first.chunk, second.chunk) == (chunks[2], chunks[1])
    assert first.score == pytest.approx(2 / 61, abs=1e-9)
    assert first.scores["dense"] == pytest.approx(4 / (4 * 6) ** 0.5, abs=1e-6)  # four words shared, of four and of six
    assert second.scores["dense"] == pytest.approx(1 / (4 * 5) ** 0.5, abs=1e-6)  # "the", of four and of five
    (more,) = add(catalog, "e", "crack in the spar")
    build_index(catalog, tmp_path, IndexSettings(), embedder, Silent())
    assert names(found.retrieve(["crack in the spar"], 1)[0]) == ["d3"]
    again = HybridRetriever.open(catalog, tmp_path, embedder, settings)
    assert again.retrieve(["crack in the spar"], 1)[0][0].chunk == more
    assert names(again.using(settings.model_copy(update={"channels": ("words",)})).retrieve(["spar"], 2)[0]) == [
        "e1", "d3",
    ]  # fmt: skip
    found.close()
    again.close()
    catalog.close()
