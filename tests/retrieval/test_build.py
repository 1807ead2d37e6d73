import json
import os
import shutil
from collections import Counter

import pytest

from fieldguide.catalog import Catalog, FileRecord, Reading
from fieldguide.errors import IndexMismatch, NotReady
from fieldguide.models.hashing import HashingEmbedder
from fieldguide.types import Chunk, Document, Silent, content_hash
from retrieval.build import CACHE, build_index, chunks_hash, open_index, purge_index
from retrieval.vector_cache import VectorCache


class Counting(HashingEmbedder):
    """Keeps every text that it embeds."""

    def __init__(self, dimension=64):
        super().__init__(dimension)
        self.seen = []

    def embed(self, texts):
        self.seen += texts
        return super().embed(texts)


@pytest.fixture
def catalog(tmp_path):
    opened = Catalog.open(tmp_path / "catalog.sqlite")
    add(opened, "d1", "the wing hit a tree", "the pilot was not hurt")
    add(opened, "d2", "a crack in the spar")
    yield opened
    opened.close()


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "index"


def add(catalog, name, *texts):
    chunks = [Chunk(f"{name}-{n}", name, (), text, (), f"about {name}") for n, text in enumerate(texts)]
    catalog.store_document(Document(name, name, name), Reading("r"), [], chunks, FileRecord(name, name, 1, "read", ""))


def build(catalog, folder, embedder, store="faiss"):
    return build_index(catalog, folder, store, embedder, Silent())


def test_nothing_to_index_and_nothing_indexed(tmp_path, catalog, folder):
    with pytest.raises(NotReady, match="There is no index yet; run `fieldguide ingest` first"):
        open_index(catalog, folder, Counting())
    empty = Catalog.open(tmp_path / "empty.sqlite")
    with pytest.raises(NotReady, match="There is no text to index"):
        build(empty, folder, Counting())
    empty.close()


def test_a_version_names_its_inputs_and_holds_every_chunk(catalog, folder):
    embedder = Counting()
    version = build(catalog, folder, embedder)
    assert (version.chunks, version.embedded, version.reused) == (3, 3, 0)
    assert sorted(embedder.seen) == [
        "about d1\nthe pilot was not hurt", "about d1\nthe wing hit a tree", "about d2\na crack in the spar",
    ]  # fmt: skip
    manifest = json.loads((folder / version.id / "manifest.json").read_text())
    assert manifest == catalog.active("index").manifest
    assert {name: manifest[name] for name in ("id", "store", "embedder", "dimension", "chunks", "chunks_hash")} == {
        "id": version.id, "store": "faiss", "embedder": "hashing:64:512", "dimension": 64, "chunks": 3,
        "chunks_hash": chunks_hash(c.id for c in catalog.chunks()),
    }  # fmt: skip
    opened, store = open_index(catalog, folder, embedder)
    assert opened == version.id
    for chunk in catalog.chunks():
        assert store.search(embedder.embed([chunk.indexed_text]), 1)[0][0] == (chunk.id, pytest.approx(1.0, abs=1e-6))
    store.close()


def test_the_same_chunks_give_the_same_version_and_no_work(catalog, folder, tmp_path):
    first = build(catalog, folder, Counting())
    embedder = Counting()
    second = build(catalog, folder, embedder)
    assert (second.id, second.embedded, second.reused, embedder.seen) == (first.id, 0, 3, [])
    assert build(catalog, tmp_path / "elsewhere", Counting()).id == first.id
    assert chunks_hash(["a", "b"]) == chunks_hash(["b", "a"]) != chunks_hash(["ab"])


def test_an_added_document_embeds_only_its_chunks_and_a_removed_one_goes(catalog, folder):
    first = build(catalog, folder, Counting())
    add(catalog, "d3", "fuel starvation")
    embedder = Counting()
    second = build(catalog, folder, embedder)
    assert (second.embedded, second.reused, embedder.seen) == (1, 3, ["about d3\nfuel starvation"])
    assert second.id != first.id
    catalog.remove_documents(["d1"])
    embedder.seen.clear()
    third = build(catalog, folder, embedder)
    assert (third.chunks, third.reused, embedder.seen) == (2, 2, [])
    _, store = open_index(catalog, folder, embedder)
    assert [name for name, _ in store.search(embedder.embed(["about d3\nfuel starvation"]), 9)[0]] == ["d3-0", "d2-0"]
    store.close()


def test_a_version_that_fits_again_is_used_again(catalog, folder):
    first = build(catalog, folder, Counting())
    add(catalog, "d3", "fuel starvation")
    build(catalog, folder, Counting())
    catalog.remove_documents(["d3"])
    embedder = Counting()
    assert build(catalog, folder, embedder).id == first.id
    assert (catalog.active("index").id, embedder.seen) == (first.id, [])


def test_another_embedder_is_refused_and_then_embeds_everything(catalog, folder):
    build(catalog, folder, Counting(64))
    other = Counting(32)
    with pytest.raises(IndexMismatch) as caught:
        open_index(catalog, folder, other)
    assert str(caught.value) == (
        "The index was built with the embedder hashing:64:512, not with hashing:32:512; "
        "run `fieldguide ingest` to build it anew, or set models.embedder back."
    )
    assert build(catalog, folder, other).embedded == 3
    open_index(catalog, folder, other)[1].close()


@pytest.mark.parametrize(("before", "after"), [("faiss", "chroma"), ("chroma", "faiss")])
def test_another_store_takes_the_vectors_over(catalog, folder, before, after):
    embedder = Counting()
    first = build(catalog, folder, embedder, before)
    embedder.seen.clear()
    second = build(catalog, folder, embedder, after)
    assert (second.embedded, second.reused, embedder.seen) == (0, 3, [])
    assert second.id != first.id
    _, store = open_index(catalog, folder, embedder)
    for chunk in catalog.chunks():
        assert store.vectors([chunk.id])[chunk.id] == pytest.approx(embedder.embed([chunk.indexed_text])[0], abs=1e-6)
    store.close()


def test_a_folder_left_half_built_is_replaced(catalog, folder, tmp_path):
    version_id = build(catalog, tmp_path / "other", Counting()).id
    again = Catalog.open(tmp_path / "again.sqlite")
    add(again, "d1", "the wing hit a tree", "the pilot was not hurt")
    add(again, "d2", "a crack in the spar")
    (folder / version_id).mkdir(parents=True)
    (folder / version_id / "vectors.faiss").write_bytes(b"half")
    version = build(again, folder, Counting())
    assert (version.id, version.embedded) == (version_id, 3)
    _, store = open_index(again, folder, Counting())
    assert len(store) == 3
    store.close()
    again.close()


def test_a_build_that_is_stopped_leaves_the_version_in_use(catalog, folder):
    first = build(catalog, folder, Counting())
    add(catalog, "d3", "fuel starvation")

    class Stopped(Counting):
        def embed(self, texts):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build(catalog, folder, Stopped())
    assert catalog.active("index").id == first.id
    assert sorted(os.listdir(folder)) == sorted([first.id, CACHE])
    opened, store = open_index(catalog, folder, Counting())
    assert (opened, len(store)) == (first.id, 3)
    store.close()


def test_a_killed_build_goes_on_where_it_was(catalog, folder):
    texts = [f"part {n} of {'x ' * n}" for n in range(600)]
    add(catalog, "d3", *texts)

    class Killed(Counting):
        def embed(self, texts):
            if self.seen:
                raise KeyboardInterrupt
            return super().embed(texts)

    killed, embedder = Killed(), Counting()
    with pytest.raises(KeyboardInterrupt):
        build(catalog, folder, killed)
    version = build(catalog, folder, embedder)
    assert (len(killed.seen), len(embedder.seen), version.chunks) == (256, 347, 603)
    assert not set(killed.seen) & set(embedder.seen)


def test_the_same_text_is_embedded_once(catalog, folder):
    chunks = [Chunk(f"s{n}", "d4", (), "Page intentionally left blank", (), "d") for n in range(3)]
    catalog.store_document(Document("d4", "d4", "d4"), Reading("r"), [], chunks, FileRecord("d4", "d4", 1, "read", ""))
    embedder = Counting()
    version = build(catalog, folder, embedder)
    assert (version.chunks, version.embedded, embedder.seen.count("d\nPage intentionally left blank")) == (6, 4, 1)
    _, store = open_index(catalog, folder, embedder)
    assert len(store) == 6
    store.close()


def test_documents_left_out_are_not_indexed(catalog, folder):
    version = build_index(catalog, folder, "faiss", Counting(), Silent(), {"d1"})
    _, store = open_index(catalog, folder, Counting())
    assert (version.chunks, len(store)) == (1, 1)
    store.close()


def test_a_purge_leaves_nothing_of_what_was_deleted(catalog, folder):
    first = build(catalog, folder, Counting())
    catalog.remove_documents(["d1"])
    second = build(catalog, folder, Counting())
    purge_index(catalog, folder)
    assert sorted(path.name for path in folder.iterdir() if path.is_dir()) == [second.id]
    assert first.id != second.id
    cache = VectorCache(folder / CACHE, Counting().id, 64)
    assert cache.known() == {content_hash("about d2\na crack in the spar")}
    cache.close()
    catalog.remove_documents(["d2"])
    purge_index(catalog, folder)
    assert catalog.active("index") is None
    assert [path.name for path in folder.iterdir() if path.is_dir()] == []


def test_a_damaged_cache_is_made_anew(catalog, folder):
    folder.mkdir()
    (folder / CACHE).write_bytes(b"no database at all" * 100)
    assert build(catalog, folder, Counting()).embedded == 3


def test_a_version_whose_folder_is_gone_is_built_again(catalog, folder):
    first = build(catalog, folder, Counting())
    shutil.rmtree(folder / first.id)
    with pytest.raises(NotReady):
        open_index(catalog, folder, Counting())
    again = build(catalog, folder, Counting())
    assert (again.id, again.reused) == (first.id, 3)


@pytest.mark.parametrize("kept", [0, 5, 200, -1])
def test_a_damaged_vector_file_is_a_sentence(catalog, folder, kept):
    first = build(catalog, folder, Counting())
    path = folder / first.id / "vectors.faiss"
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(IndexMismatch, match=f"{path} is damaged; delete {path.parent} and run `fieldguide ingest`"):
        open_index(catalog, folder, Counting())
    shutil.rmtree(path.parent)
    assert build(catalog, folder, Counting()).reused == 3


def test_more_chunks_than_a_batch_each_get_their_own_vector(catalog, folder):
    texts = [f"part {n} {'x ' * (n % 7)}" for n in range(150)]
    add(catalog, "d3", *texts)
    embedder = Counting(256)
    build(catalog, folder, embedder)
    assert Counter(embedder.seen) == Counter(chunk.indexed_text for chunk in catalog.chunks())
    _, store = open_index(catalog, folder, embedder)
    for chunk in catalog.chunks("d3")[::10]:
        assert store.vectors([chunk.id])[chunk.id] == pytest.approx(embedder.embed([chunk.indexed_text])[0], abs=1e-6)
    store.close()


def test_only_the_version_before_is_kept(catalog, folder):
    embedder = Counting()
    ids = [build(catalog, folder, embedder).id]
    for name in ("d3", "d4"):
        add(catalog, name, f"text of {name}")
        ids.append(build(catalog, folder, embedder).id)
    (folder / ".killed.part").mkdir()
    add(catalog, "d5", "text of d5")
    ids.append(build(catalog, folder, embedder).id)
    assert sorted(path.name for path in folder.iterdir()) == sorted([*ids[-2:], CACHE])
