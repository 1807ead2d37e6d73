import json
import shutil
from collections import Counter

import pytest

from fieldguide.catalog import Catalog, FileRecord, Reading
from fieldguide.errors import IndexMismatch, NotReady
from fieldguide.models.hashing import HashingEmbedder
from fieldguide.settings import Index
from fieldguide.types import Chunk, Document, QAPair, Silent, content_hash
from retrieval.build import build_index, purge_index
from retrieval.index import gone_ids, open_index
from retrieval.query import Queries
from retrieval.vector_cache import VectorCache
from retrieval.versions import CACHE, Plan, chunks_hash, plan


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


def build(catalog, folder, embedder, store="faiss", **options):
    return build_index(catalog, folder, Index(store=store, **options.pop("index", {})), embedder, Silent(), **options)


def parts(folder):
    return sorted(path.name for path in (folder / "parts").iterdir() if path.is_dir())


def versions(folder):
    return sorted(path.name for path in folder.iterdir() if path.is_dir() and path.name != "parts")


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
    active = catalog.active("index")
    manifest = json.loads((folder / active.id / "manifest.json").read_text())
    assert manifest == active.manifest
    told = ("content", "store", "embedder", "dimension", "chunks", "chunks_hash")
    assert {name: manifest[name] for name in told} == {
        "content": version.id, "store": "faiss", "embedder": "hashing:64:512", "dimension": 64, "chunks": 3,
        "chunks_hash": chunks_hash(c.id for c in catalog.chunks()),
    }  # fmt: skip
    opened = open_index(catalog, folder, embedder)
    assert opened.id == version.id
    store = opened.dense
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
    store = open_index(catalog, folder, embedder).dense
    assert [name for name, _ in store.search(embedder.embed(["about d3\nfuel starvation"]), 9)[0]] == ["d3-0", "d2-0"]
    store.close()


def test_a_version_that_fits_again_is_used_again(catalog, folder):
    first = build(catalog, folder, Counting())
    add(catalog, "d3", "fuel starvation")
    build(catalog, folder, Counting())
    catalog.remove_documents(["d3"])
    embedder = Counting()
    assert build(catalog, folder, embedder).id == first.id
    assert (catalog.active("index").manifest["content"], embedder.seen) == (first.id, [])


def test_another_embedder_is_refused_and_then_embeds_everything(catalog, folder):
    build(catalog, folder, Counting(64))
    other = Counting(32)
    with pytest.raises(IndexMismatch) as caught:
        open_index(catalog, folder, other)
    assert str(caught.value) == (
        "The index was built with the embedder hashing:64:512, not with hashing:32:512; "
        "run `fieldguide index` to build it anew, or set models.embedder back."
    )
    assert build(catalog, folder, other).embedded == 3
    open_index(catalog, folder, other).close()


@pytest.mark.parametrize(("before", "after"), [("faiss", "chroma"), ("chroma", "faiss")])
def test_another_store_takes_the_vectors_over(catalog, folder, before, after):
    embedder = Counting()
    first = build(catalog, folder, embedder, before)
    embedder.seen.clear()
    second = build(catalog, folder, embedder, after)
    assert (second.embedded, second.reused, embedder.seen) == (0, 3, [])
    assert second.id != first.id
    store = open_index(catalog, folder, embedder).dense
    for chunk in catalog.chunks():
        assert store.vectors([chunk.id])[0] == pytest.approx(embedder.embed([chunk.indexed_text])[0], abs=1e-6)
    store.close()


def test_a_part_left_half_written_is_replaced(catalog, folder, tmp_path):
    build(catalog, tmp_path / "other", Counting())
    manifest = catalog.active("index").manifest
    again = Catalog.open(tmp_path / "again.sqlite")
    add(again, "d1", "the wing hit a tree", "the pilot was not hurt")
    add(again, "d2", "a crack in the spar")
    for named in manifest["parts"].values():
        for part in named:
            (folder / "parts" / part).mkdir(parents=True)
            (folder / "parts" / part / "vectors.faiss").write_bytes(b"half")
    version = build(again, folder, Counting())
    assert (version.id, version.embedded) == (manifest["content"], 3)
    store = open_index(again, folder, Counting()).dense
    assert sorted(store.ids()) == ["d1-0", "d1-1", "d2-0"]
    store.close()
    again.close()


def test_a_build_that_is_stopped_leaves_the_version_in_use(catalog, folder):
    first = build(catalog, folder, Counting())
    before = parts(folder)
    add(catalog, "d3", "fuel starvation")

    class Stopped(Counting):
        def embed(self, texts):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build(catalog, folder, Stopped())
    assert catalog.active("index").manifest["content"] == first.id
    assert parts(folder) == before
    opened = open_index(catalog, folder, Counting())
    assert (opened.id, len(opened.dense)) == (first.id, 3)
    opened.close()


IDS = [f"c{n}" for n in range(20)]
BASE = ("base", frozenset(IDS))


def test_the_plan_adds_a_part_and_names_what_is_gone():
    assert plan([], IDS) == Plan((), tuple(IDS), frozenset())
    assert plan([BASE], IDS) == Plan(("base",), (), frozenset())
    assert plan([BASE], [*IDS, "new"]) == Plan(("base",), ("new",), frozenset())
    assert plan([BASE], IDS[1:]) == Plan(("base",), (), frozenset({"c0"}))
    assert plan([BASE, ("later", frozenset({"new"}))], [*IDS[1:], "new"]) == Plan(
        ("base", "later"), (), frozenset({"c0"})
    )


def test_the_plan_writes_the_later_part_anew_with_what_came_since():
    later = ("later", frozenset({"new"}))
    assert plan([BASE, later], [*IDS, "new", "newer"]) == Plan(("base",), ("new", "newer"), frozenset())
    assert plan([BASE, later], IDS) == Plan(("base",), (), frozenset())


def test_the_plan_merges_beyond_a_tenth_of_the_base_part():
    three = [*IDS, "x", "y", "z"]
    assert plan([BASE], three) == Plan((), tuple(three), frozenset())
    assert plan([BASE], IDS[3:]) == Plan((), tuple(IDS[3:]), frozenset())
    assert plan([BASE], three, share=1.0) == Plan(("base",), ("x", "y", "z"), frozenset())
    assert plan([BASE], IDS[1:], share=0.0) == Plan((), tuple(IDS[1:]), frozenset())


def test_a_small_change_writes_a_small_part_and_changes_no_other(catalog, folder):
    add(catalog, "d3", *(f"part {n} of many" for n in range(40)))
    embedder = Counting()
    build(catalog, folder, embedder)
    first = catalog.active("index").manifest["parts"]
    base, words = first["dense"][0], first["words"]
    written = {path: path.stat().st_mtime_ns for path in (folder / "parts" / base).iterdir()}
    pinned = open_index(catalog, folder, embedder)
    add(catalog, "d4", "fuel starvation")
    catalog.remove_documents(["d2"])
    build(catalog, folder, embedder)
    manifest = catalog.active("index").manifest
    assert manifest["parts"]["dense"][0] == base
    assert {path: path.stat().st_mtime_ns for path in (folder / "parts" / base).iterdir()} == written
    later = json.loads((folder / "parts" / manifest["parts"]["dense"][1] / "part.json").read_text())
    assert later["vectors"] == 1
    assert gone_ids(folder, manifest) == {"d2-0"}
    opened = open_index(catalog, folder, embedder)
    query = Queries(["a crack in the spar"], embedder)
    fuel = Queries(["fuel starvation"], embedder)
    for channel in opened.channels.values():
        assert "d2-0" not in [name for name, _ in channel.search(query, 99)[0]]
        assert channel.search(fuel, 1)[0][0][0] == "d4-0"
    for channel in pinned.channels.values():  # what was opened before sees what it saw
        assert channel.search(query, 1)[0][0][0] == "d2-0"
        assert "d4-0" not in [name for name, _ in channel.search(fuel, 99)[0]]
    assert len(opened.dense) == 43
    assert opened.dense.vectors(["d4-0", "d3-7"]) == pytest.approx(
        embedder.embed(["about d4\nfuel starvation", "about d3\npart 7 of many"]), abs=1e-6
    )
    with pytest.raises(KeyError):
        opened.dense.vectors(["never"])
    assert manifest["parts"]["words"] != words
    pinned.close()
    opened.close()


def test_an_approximate_index_is_in_use_with_the_addition_before_it_is_merged(catalog, folder):
    add(catalog, "d3", *(f"part {n} of many" for n in range(40)))
    small = {"index": {"exact_up_to": 10}}
    build(catalog, folder, Counting(), **dict(small))
    seen = []
    record = catalog.add_artefact

    def watch(kind, id, manifest, *, activate):
        seen.append([len(manifest["parts"]["dense"]), manifest["gone"]])
        record(kind, id, manifest, activate=activate)

    catalog.add_artefact = watch
    add(catalog, "d4", *(f"piece {n} of few" for n in range(10)))
    version = build(catalog, folder, Counting(), **{"index": {"exact_up_to": 10}})
    assert seen == [[2, 0], [1, 0]]
    opened = open_index(catalog, folder, Counting())
    assert (opened.id, len(opened.dense)) == (version.id, 53)
    opened.close()


def test_a_merge_leaves_nothing_of_what_is_gone_in_any_part(catalog, folder):
    add(catalog, "d3", *(f"part {n} of many" for n in range(40)))
    build(catalog, folder, Counting())
    catalog.remove_documents(["d2"])
    version = build(catalog, folder, Counting())
    assert catalog.active("index").manifest["gone"] == 1
    merged = build(catalog, folder, Counting(), merge=True)
    purge_index(catalog, folder)
    manifest = catalog.active("index").manifest
    assert (merged.id, manifest["gone"], len(manifest["parts"]["dense"])) == (version.id, 0, 1)
    raw = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file() and "sqlite" not in path.name)
    assert b"d2-0" not in raw
    assert b"crack" not in raw


def test_questions_point_at_their_chunks(catalog, folder):
    pairs = [
        QAPair(f"q{n}", question, answer, "d1", chunk, (), "fact", "written", "train")
        for n, (question, answer, chunk) in enumerate(
            [
                ("What did the wing hit?", "a tree", "d1-0"),
                ("Which object was struck by the wing?", "a tree", "d1-0"),
                ("Who was not hurt?", "the pilot", "d1-1"),
                ("What stood there before?", "nothing", "gone"),
            ]
        )
    ]
    catalog.store_pairs("d1-0", "written", pairs, [])
    embedder = Counting(512)
    build(catalog, folder, embedder, questions=True)
    opened = open_index(catalog, folder, embedder)
    channel = opened.channels["questions"]
    assert sorted(name.partition(":")[0] for name in opened.questions.ids()) == ["d1-0", "d1-0", "d1-1"]
    hits = channel.search(Queries(["Who was hurt?"], embedder), 2)[0]
    assert [name for name, _ in hits] == ["d1-1", "d1-0"]
    assert hits[0][1] == pytest.approx(3 / (3 * 4) ** 0.5, abs=1e-6)
    # a question that is in the index finds neither itself nor its paraphrase, which would give the answer away
    assert [name for name, _ in channel.search(Queries(["what did the wing hit"], embedder), 2)[0]] == ["d1-1"]
    assert channel.search(Queries(["Who was hurt?"], embedder), 2, frozenset({"d1-0"}))[0][0][0] == "d1-0"
    opened.close()
    again = build(catalog, folder, embedder, questions=True)
    assert (again.embedded, again.reused) == (0, 6)


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
    store = open_index(catalog, folder, embedder).dense
    assert len(store) == 6
    store.close()


def test_documents_left_out_are_not_indexed(catalog, folder):
    version = build(catalog, folder, Counting(), left_out={"d1"})
    store = open_index(catalog, folder, Counting()).dense
    assert (version.chunks, len(store)) == (1, 1)
    store.close()


def test_a_purge_leaves_nothing_of_what_was_deleted(catalog, folder):
    first = build(catalog, folder, Counting())
    catalog.remove_documents(["d1"])
    second = build(catalog, folder, Counting())
    purge_index(catalog, folder)
    assert versions(folder) == [catalog.active("index").id]
    assert first.id != second.id
    kept, dropped = content_hash("about d2\na crack in the spar"), content_hash("about d1\nthe wing hit a tree")
    cache = VectorCache(folder / CACHE, Counting().id, 64)
    assert cache.known({kept, dropped}) == {kept}
    cache.close()
    catalog.remove_documents(["d2"])
    purge_index(catalog, folder)
    assert catalog.active("index") is None
    assert versions(folder) == parts(folder) == []


def test_a_damaged_cache_is_made_anew(catalog, folder):
    folder.mkdir()
    (folder / CACHE).write_bytes(b"no database at all" * 100)
    assert build(catalog, folder, Counting()).embedded == 3


def test_a_version_whose_folder_is_gone_is_built_again(catalog, folder):
    first = build(catalog, folder, Counting())
    shutil.rmtree(folder / catalog.active("index").id)
    with pytest.raises(NotReady):
        open_index(catalog, folder, Counting())
    again = build(catalog, folder, Counting())
    assert (again.id, again.reused) == (first.id, 3)


@pytest.mark.parametrize("kept", [0, 5, 200, -1])
def test_a_damaged_vector_file_is_a_sentence(catalog, folder, kept):
    build(catalog, folder, Counting())
    path = folder / "parts" / catalog.active("index").manifest["parts"]["dense"][0] / "vectors.faiss"
    path.write_bytes(path.read_bytes()[:kept])
    said = f"{path} is missing or damaged; delete {path.parent} and run `fieldguide index`"
    with pytest.raises(IndexMismatch, match=said):
        open_index(catalog, folder, Counting())
    shutil.rmtree(path.parent)
    assert build(catalog, folder, Counting()).reused == 3


def test_more_chunks_than_a_batch_each_get_their_own_vector(catalog, folder):
    texts = [f"part {n} {'x ' * (n % 7)}" for n in range(150)]
    add(catalog, "d3", *texts)
    embedder = Counting(256)
    build(catalog, folder, embedder)
    assert Counter(embedder.seen) == Counter(chunk.indexed_text for chunk in catalog.chunks())
    store = open_index(catalog, folder, embedder).dense
    for chunk in catalog.chunks("d3")[::10]:
        assert store.vectors([chunk.id])[0] == pytest.approx(embedder.embed([chunk.indexed_text])[0], abs=1e-6)
    store.close()


def test_only_the_version_before_is_kept(catalog, folder):
    used = []
    for name in ("d3", "d4", "d5"):
        add(catalog, name, f"text of {name}")
        (folder / ".killed.part").mkdir(parents=True)
        build(catalog, folder, Counting())
        used.append(catalog.active("index").manifest)
    assert versions(folder) == sorted(manifest["id"] for manifest in used[-2:])
    assert parts(folder) == sorted({part for m in used[-2:] for named in m["parts"].values() for part in named})
    assert not (folder / ".killed.part").exists()
