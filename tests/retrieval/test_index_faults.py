# Faults that a hostile reading of the index and the retriever found, each with what must hold instead.

import shutil
import sqlite3

import pytest

from fieldguide.catalog import Catalog, FileRecord, Reading
from fieldguide.errors import IndexMismatch, WorkspaceError
from fieldguide.models.hashing import HashingEmbedder
from fieldguide.settings import Access, Index, Retrieval
from fieldguide.types import Chunk, Document, QAPair, Silent
from retrieval import build as building
from retrieval import index as reading
from retrieval.build import build_index, purge_index
from retrieval.index import open_index
from retrieval.parts import make_part, part_folder, told_of
from retrieval.query import Queries
from retrieval.retriever import HybridRetriever
from retrieval.scope import scope
from retrieval.vector_cache import VectorCache
from retrieval.versions import CACHE
from retrieval.words import Entry, write_words

EMBEDDER = HashingEmbedder(64)


@pytest.fixture
def catalog(tmp_path):
    opened = Catalog.open(tmp_path / "catalog.sqlite")
    for n in range(20):
        add(opened, f"d{n:02}", f"wing number {n}", f"engine number {n}")
    yield opened
    opened.close()


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "index"


def add(catalog, name, *texts, path=None):
    chunks = [Chunk(f"{name}-{n}", name, (), text, (), "") for n, text in enumerate(texts)]
    record = FileRecord(path or f"{name}.pdf", name, 1, "read", "")
    catalog.store_document(Document(name, name, name), Reading("r"), [], chunks, record)


def build(catalog, folder, **options):
    return build_index(catalog, folder, Index(), EMBEDDER, Silent(), **options)


def opened(catalog, folder, settings, **options):
    return HybridRetriever.open(catalog, folder, EMBEDDER, settings, **options)


def test_a_half_written_copy_of_the_words_never_counts_as_whole(tmp_path):
    def first(target):
        write_words(target, [Entry("a", "wing")])

    make_part(tmp_path, "one", Index(), {}, first)

    def killed(target):
        write_words(target, [Entry("b", "tree")], before=part_folder(tmp_path, "one"))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_part(tmp_path, "two", Index(), {}, killed)
    assert not (part_folder(tmp_path, "two") / "part.json").exists()
    assert told_of(tmp_path, "one") == {"id": "one"}


def test_merging_writes_words_anew_where_only_they_hold_what_was_deleted(catalog, folder):
    build(catalog, folder)
    add(catalog, "secret", "zanzibar")
    build(catalog, folder)
    add(catalog, "other", "tree")
    build(catalog, folder)
    catalog.remove_documents(["secret", "other"])
    build(catalog, folder)
    before = catalog.active("index").manifest
    assert (len(before["parts"]["dense"]), before["gone"]) == (1, 0)
    assert told_of(folder, before["parts"]["words"][0])["copied"]
    merged = build(catalog, folder, merge=True)
    after = catalog.active("index").manifest
    assert after["parts"]["dense"] == before["parts"]["dense"]
    assert not told_of(folder, after["parts"]["words"][0])["copied"]
    assert build(catalog, folder, merge=True).artefact == merged.artefact


def test_words_are_written_anew_together_with_the_base_part(catalog, folder):
    build(catalog, folder)
    catalog.remove_documents([f"d{n:02}" for n in range(15)])
    build(catalog, folder)
    parts = catalog.active("index").manifest["parts"]
    assert (len(parts["dense"]), told_of(folder, parts["words"][0])["copied"]) == (1, False)


def test_what_was_deleted_since_the_index_was_made_leaves_room_for_what_is_behind_it(catalog, folder):
    add(catalog, "new", "a wing in a tree")
    build(catalog, folder)
    found = opened(catalog, folder, Retrieval(clues=False)).retrieve(["wing tree"], 1)[0]
    assert found[0].chunk.id == "new-0"
    catalog.remove_documents(["new"])
    for batch in (["wing tree"], ["engine", "wing tree"]):
        assert [hit.chunk.text[:4] for hit in opened(catalog, folder, Retrieval()).retrieve(batch, 3)[-1]] == [
            "wing"
        ] * 3


def test_more_passages_than_the_depth_are_found_if_they_are_wanted(catalog, folder):
    build(catalog, folder)
    found = opened(catalog, folder, Retrieval(channels=("dense",), depth=1, k=30)).retrieve(["wing"], 30)[0]
    assert [hit.rank for hit in found] == list(range(1, 31))


def test_many_questions_of_a_chunk_do_not_keep_other_chunks_out(catalog, folder):
    for chunk in catalog.chunks():
        number = 30 if chunk.id == "d03-0" else 1
        pairs = [
            QAPair(f"{chunk.id}-{n}", f"{chunk.text} {'wing ' * number}{n}?", f"a{n}", chunk.document, chunk.id, (),
                   "fact", "rules", "train")
            for n in range(number)
        ]  # fmt: skip
        catalog.store_pairs(chunk.id, "rules", pairs, [])
    build(catalog, folder, questions=True)
    channel = open_index(catalog, folder, EMBEDDER).channels["questions"]
    alone = channel.search(Queries(["wing wing"], EMBEDDER), 5)[0]
    assert alone[0][0] == "d03-0"
    assert len(alone) == 5
    assert channel.search(Queries(["wing wing", "engine number 3 wing 0?"], EMBEDDER), 5)[0] == alone


def test_the_name_of_a_hidden_file_leaves_no_trace(catalog, folder):
    add(catalog, "h", "nothing to see", path="hr/acmemerger.pdf")
    build(catalog, folder)
    access = Access(documents={"hr/": ("hr",)}, users={"bob": ("other",), "eve": ("hr",)})

    def ranks(query, user):
        seen = opened(catalog, folder, Retrieval(), scope=scope(catalog, {}, access, user))
        return [(hit.chunk.id, hit.ranks, hit.scores) for hit in seen.retrieve([query], 5)[0]]

    assert all("clues" not in steps for _, steps, _ in ranks("wing acmemerger", "bob"))
    assert "clues" in ranks("nothing acmemerger", "eve")[0][1]


@pytest.mark.parametrize(
    "query", ["", "wing\0", "caf\udce9 wing", "wing " * 20_000, "x" * 100_000, 'a:"b" AND (', "飞机"]
)
def test_any_text_is_a_query(catalog, folder, query):
    build(catalog, folder)
    assert len(opened(catalog, folder, Retrieval()).retrieve([query], 3)[0]) == 3
    assert all(text.encode() is not None for text in Queries([query], EMBEDDER).texts)


def test_a_cache_that_cannot_be_opened_now_is_not_deleted(tmp_path, catalog, folder, monkeypatch):
    build(catalog, folder)
    before = (folder / CACHE).stat().st_size

    def full(file):
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr("retrieval.vector_cache._open", full)
    with pytest.raises(sqlite3.OperationalError):
        VectorCache(folder / CACHE, EMBEDDER.id, 64)
    with pytest.raises(WorkspaceError, match=r"vectors\.sqlite cannot be written \(database or disk is full\)"):
        build(catalog, folder)
    assert (folder / CACHE).stat().st_size == before


def test_a_cache_damaged_in_the_middle_is_a_sentence(catalog, folder, monkeypatch):
    def damaged(self, keys):
        raise sqlite3.DatabaseError("database disk image is malformed")

    monkeypatch.setattr(building.VectorCache, "known", damaged)
    with pytest.raises(WorkspaceError, match="delete it, it is a cache"):
        build(catalog, folder)


def test_a_reader_takes_the_new_version_if_the_old_one_goes_while_it_opens(catalog, folder, monkeypatch):
    build(catalog, folder)
    real, calls = reading.is_there, []

    def late(where, manifest):
        if not calls:
            calls.append(manifest["id"])
            add(catalog, "new", "a tree")
            build(catalog, folder, merge=True)
            purge_index(catalog, folder)
        return real(where, manifest)

    monkeypatch.setattr(reading, "is_there", late)
    found = open_index(catalog, folder, EMBEDDER)
    assert (len(found.dense), calls == [catalog.active("index").id]) == (41, False)


@pytest.mark.parametrize("weights", [{"dens": 1.0}, {"dense": -1.0}, {"words": float("nan")}, {"words": float("inf")}])
def test_absurd_weights_are_refused(weights):
    with pytest.raises(ValueError, match=r"no channel dens|must be 0 or more"):
        Retrieval(weights=weights)


def test_a_damaged_list_of_what_is_gone_is_a_sentence_and_is_mended_as_it_says(catalog, folder):
    version = folder / build(catalog, folder).artefact
    (version / "gone.json").write_text("")
    with pytest.raises(IndexMismatch, match=r"gone\.json is damaged; delete .* and run `fieldguide index`"):
        open_index(catalog, folder, EMBEDDER)
    shutil.rmtree(version)
    assert build(catalog, folder).embedded == 0
    assert len(open_index(catalog, folder, EMBEDDER).dense) == 40


@pytest.mark.parametrize("store", ["faiss", "chroma"])
def test_a_reader_goes_on_while_another_updates_merges_and_purges(catalog, folder, store):
    settings = Index(store=store)
    build_index(catalog, folder, settings, EMBEDDER, Silent())
    reader = opened(catalog, folder, Retrieval(clues=False))
    unread = opened(catalog, folder, Retrieval(clues=False))
    before = reader.retrieve(["wing number 3", "engine"], 5)
    add(catalog, "new", "wing number 3")
    build_index(catalog, folder, settings, EMBEDDER, Silent())
    build_index(catalog, folder, settings, EMBEDDER, Silent(), merge=True)
    purge_index(catalog, folder)
    assert reader.retrieve(["wing number 3", "engine"], 5) == before
    assert unread.retrieve(["wing number 3", "engine"], 5) == before
    assert opened(catalog, folder, Retrieval(clues=False)).retrieve(["wing number 3"], 9)[0] != before[0]
