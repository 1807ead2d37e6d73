import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from dataclasses import replace

import pytest
from sqlalchemy import create_engine, text

from fieldguide import catalog as catalog_module
from fieldguide import schema
from fieldguide.catalog import LOST, Catalog, FileRecord, Reading
from fieldguide.errors import WorkspaceError
from fieldguide.schema import MIGRATIONS, migrate
from fieldguide.types import Block, Chunk, Document, Evidence, Page, QAPair, Span

DOCUMENT = Document("d1", "/shelf/a.pdf", "Tïtle", {"Author": "A. B.", "Title": "Tïtle"})
PAGES = (
    Page("d1", 1, "iv", "first page\n\x1c ✈", "r1", (Block("heading", 0, 10, 2), Block("table", 11, 14, 0, 12)), 0.75),
    Page("d1", 2, "1", "", "r1"),
    Page("d1", 10, "9", "tenth", "r1"),
)
CHUNKS = (
    Chunk("z", "d1", (Span(1, 6, 10),), "page", ("Part 1", "Findings"), "Elyria, OH"),
    Chunk("a", "d1", (Span(1, 0, 5), Span(10, 0, 5)), "first\n\ntenth"),
)
FILE = FileRecord("/shelf/a.pdf", "d1", 90, "read", "")
PAIR = QAPair(
    "p1", "What page?", "first ✈", "d1", "a", (Evidence("d1", (Span(1, 0, 5), Span(10, 0, 5)), "first\n\ntenth"),),
    "fact", "rules", "dev", "inferred", False, {"support": 0.75},
)  # fmt: skip


@pytest.fixture
def catalog(tmp_path):
    opened = Catalog.open(tmp_path / "catalog.sqlite")
    yield opened
    opened.close()


READING = Reading("recipe", "chunked", "faceted", "read in part", "page 2: torn", True, "2008-01", "ab12")
FACETS = [("", "language", "en"), ("z", "place", "Elyria, OH"), ("z", "place", "Ohio"), ("a", "place", "Ohio")]


def store(catalog, document=DOCUMENT, recipe="recipe", pages=PAGES, chunks=CHUNKS, file=FILE, **more):
    catalog.store_document(document, replace(READING, recipe=recipe), pages, chunks, file, **more)


def test_everything_comes_back_as_it_was_stored(catalog, tmp_path):
    store(catalog)
    catalog.store_pairs("a", "rules-1", [PAIR], [("too long", "Q | A"), ("too long", "R | B")])
    catalog.record_splits({"d1": "dev"})
    catalog.store_answer("key", {"text": "ünï", "n": [1, None]})
    catalog.record_rate("embed", 12.5)
    catalog.close()
    again = Catalog.open(tmp_path / "catalog.sqlite")
    assert again.documents() == [DOCUMENT]
    assert again.readings() == {"d1": READING}
    assert tuple(again.pages("d1")) == PAGES
    assert tuple(again.page("d1", page.number) for page in PAGES) == PAGES
    assert again.chunks() == again.chunks("d1") == list(CHUNKS)  # in reading order, not in that of their ids
    assert again.files() == {"/shelf/a.pdf": FILE}
    assert again.pairs(every=True) == again.pairs("dev", every=True) == [PAIR]
    assert again.pairs("test") == []
    assert again.drafted() == {("a", "rules-1")}
    assert again.rejections() == {("rules-1", "too long"): 2}
    assert again.splits() == {"d1": "dev"}
    assert again.answer("key") == {"text": "ünï", "n": [1, None]}
    assert again.rate("embed") == 12.5
    assert again.counts() == {"documents": 1, "pages": 3, "chunks": 2, "pairs": 1}
    again.close()


def test_what_is_not_there(catalog):
    with pytest.raises(KeyError):
        catalog.page("d1", 1)
    assert (catalog.answer("k"), catalog.rate("r"), catalog.active("index")) == (None,) * 3
    assert (catalog.readings(), catalog.pages("d1"), catalog.sizes(), catalog.facet_values()) == ({}, [], {}, {})


def test_a_new_reading_replaces_the_old_one_and_keeps_the_split_and_pairs(catalog):
    store(catalog)
    catalog.record_splits({"d1": "test"})
    catalog.store_pairs("a", "rules-1", [PAIR], [])
    page, chunk = Page("d1", 1, "1", "new text", "r2"), Chunk("n", "d1", (Span(1, 0, 8),), "new text")
    store(catalog, replace(DOCUMENT, title="New"), "recipe 2", (page,), (chunk,))
    assert [d.title for d in catalog.documents()] == ["New"]
    assert catalog.readings()["d1"].recipe == "recipe 2"
    assert catalog.page("d1", 1) == page
    with pytest.raises(KeyError):
        catalog.page("d1", 10)
    assert catalog.chunks() == [chunk]
    assert catalog.splits() == {"d1": "test"}
    assert catalog.pairs(every=True) == [PAIR]


def test_a_reading_that_fails_changes_nothing(catalog):
    store(catalog)

    def pages():
        yield Page("d1", 1, "1", "new", "r2")
        raise OSError("torn")

    with pytest.raises(OSError, match="torn"):
        catalog.store_document(replace(DOCUMENT, title="New"), Reading("recipe 2"), pages(), (), FILE)
    assert catalog.documents() == [DOCUMENT]
    assert catalog.page("d1", 1) == PAGES[0]
    assert catalog.chunks() == list(CHUNKS)


def test_a_pair_or_draft_stored_again_is_replaced(catalog):
    catalog.store_pairs("a", "rules-1", [PAIR], [])
    other = replace(PAIR, answer="other", split="train")
    catalog.store_pairs("a", "rules-1", [other], [])
    assert catalog.pairs(every=True) == catalog.pairs("train", every=True) == [other]
    assert catalog.drafted() == {("a", "rules-1")}


def test_deleted_documents_go_with_all_made_from_them_and_mark_adapters(catalog):
    store(catalog)
    store(
        catalog, replace(DOCUMENT, id="d2"), pages=(), chunks=(Chunk("c2", "d2", (), "x"),),
        file=FileRecord("/shelf/b.pdf", "d2", 9, "read", ""),
    )  # fmt: skip
    kept = replace(PAIR, id="p2", document="d2", chunk="c2", evidence=())
    joined = replace(PAIR, id="p3", document="d2", chunk="c2")  # its evidence lies in d1
    catalog.store_pairs("a", "rules-1", [PAIR], [("too long", "")])
    catalog.store_pairs("c2", "rules-1", [kept], [("vague", "")])
    catalog.replace_pairs("derived", [joined], [("no name", "quotes d1")])
    catalog.relate("near duplicate of", [("d2", "d1", 0.95)])
    catalog.store_answer("k", {"text": "quotes d1"})
    catalog.add_artefact("adapter", "x", {"documents": ["d1", "d2"]}, activate=True)
    catalog.add_artefact("adapter", "y", {"documents": ["d2"]}, activate=False)
    catalog.remove_documents([])
    assert catalog.answer("k") is not None
    catalog.remove_documents(["d1"])
    assert (catalog.answer("k"), catalog.relations("near duplicate of")) == (None, [])
    marked = {a.id: a.manifest.get("deleted_documents") for a in catalog.artefacts("adapter")}
    assert marked == {"x": ["d1"], "y": None}
    assert catalog.active("adapter").id == "x"
    assert list(catalog.files()) == ["/shelf/b.pdf"]
    assert [d.id for d in catalog.documents()] == ["d2"]
    assert [c.id for c in catalog.chunks()] == ["c2"]
    assert catalog.pairs(every=True) == [kept]
    assert catalog.drafted() == {("c2", "rules-1")}
    assert catalog.rejections() == {("rules-1", "vague"): 1}


def test_facets_of_documents_and_chunks_choose_chunks(catalog):
    store(catalog, facets=FACETS)
    store(
        catalog, replace(DOCUMENT, id="d2"), pages=(), chunks=(Chunk("c2", "d2", (), "x"),),
        file=FileRecord("/shelf/b.pdf", "d2", 9, "read", ""), facets=[("", "language", "de"), ("c2", "place", "Ohio")],
    )  # fmt: skip
    assert catalog.facets("d2") == [("d2", "", "language", "de"), ("d2", "c2", "place", "Ohio")]
    assert catalog.facet_values() == {"language": {"de": 1, "en": 1}, "place": {"Ohio": 3, "Elyria, OH": 1}}
    assert catalog.chunks_where({"language": ["en"]}) == {"z", "a"}
    assert catalog.chunks_where({"place": ["Ohio"]}) == {"z", "a", "c2"}
    assert catalog.chunks_where({"place": ["Elyria, OH", "Rome"], "language": ["en"]}) == {"z"}
    assert catalog.chunks_where({"place": ["Rome"]}) == set()
    catalog.add_facets([("d1", "z", "date", "2022-06-30")])
    assert catalog.chunks_where({"date": ["2022"]}) == {"z"}
    assert catalog.chunks_where({"date": ["20_2"]}) == catalog.chunks_where({"date": ["2023"]}) == set()
    catalog.drop_facet("date")
    catalog.add_facets([("d1", "z", "topic", "wing"), ("d1", "z", "_note", "r")])
    assert catalog.facet_values()["topic"] == {"wing": 1}
    assert "_note" not in catalog.facet_values()
    catalog.store_facets("d1", "new", [("", "language", "fr")], keep=["topic"])
    assert catalog.facets("d1") == [("d1", "", "language", "fr"), ("d1", "z", "topic", "wing")]
    assert catalog.readings()["d1"].facet_recipe == "new"
    catalog.drop_facet("topic")
    assert catalog.facets("d1") == [("d1", "", "language", "fr")]


def test_what_was_asked_about_chunks_that_are_gone_goes_with_them(catalog):
    store(catalog)
    catalog.store_pairs("a", "rules-1", [PAIR], [("too long", "quotes chunk a")])
    catalog.store_pairs("z", "rules-1", [], [("too long", "quotes chunk z")])
    catalog.store_chunks("d1", "chunked 2", [CHUNKS[0]], [], [(PAIR.id, "quotes chunk a")])
    assert catalog.drafted() == {(CHUNKS[0].id, "rules-1")}
    assert catalog.rejections() == {("rules-1", "too long"): 1, ("re-anchoring", LOST): 1}
    catalog.remove_documents(["d1"])
    assert catalog.rejections() == {}


def test_chunks_cut_anew_take_their_pairs_along(catalog):
    store(catalog, facets=FACETS)
    lost = replace(PAIR, id="p2", question="Which wing?")
    catalog.store_pairs("a", "rules-1", [PAIR, lost], [])
    kept = replace(PAIR, chunk="n")
    cut = Chunk("n", "d1", (Span(1, 0, 10),), "first page")
    catalog.store_chunks("d1", "chunked 2", [cut, CHUNKS[0]], [kept], [("p2", "Which wing? | first ✈")])
    assert catalog.chunks() == [cut, CHUNKS[0]]
    assert catalog.pairs(document="d1", every=True) == [kept]
    assert catalog.rejections() == {("re-anchoring", "evidence not found when read anew"): 1}
    assert {chunk for _, chunk, _, _ in catalog.facets("d1")} == {"", "z"}  # those of chunk a went with it
    assert catalog.readings()["d1"] == replace(READING, chunk_recipe="chunked 2", facet_recipe="")
    assert catalog.chunks_by_id(["n", "nobody"]) == {"n": cut}
    assert catalog.sizes() == {"d1": (3, 2, "r1")}


def test_a_catalogue_of_the_first_schema_is_migrated(tmp_path):
    path = tmp_path / "old.sqlite"
    old = sqlite3.connect(path)
    old.executescript(
        """
        CREATE TABLE info (key VARCHAR PRIMARY KEY, value TEXT);
        INSERT INTO info VALUES ('schema', '1');
        CREATE TABLE files (path VARCHAR PRIMARY KEY, document VARCHAR, bytes INTEGER, status VARCHAR, reason TEXT);
        INSERT INTO files VALUES ('/shelf/a.pdf', 'd1', 90, 'read', '');
        CREATE TABLE documents (id VARCHAR PRIMARY KEY, source VARCHAR, title TEXT, metadata TEXT, recipe VARCHAR,
            split VARCHAR);
        INSERT INTO documents VALUES ('d1', '/shelf/a.pdf', 'T', '{}', 'r', 'dev');
        CREATE TABLE pages (document VARCHAR, number INTEGER, label VARCHAR, text TEXT, reader VARCHAR,
            text_hash VARCHAR, PRIMARY KEY (document, number));
        INSERT INTO pages VALUES ('d1', 1, '1', 'text', 'pdfium-1', 'h');
        """
    )
    old.commit()
    old.close()
    catalog = Catalog.open(path)
    assert catalog.documents() == [Document("d1", "/shelf/a.pdf", "T")]
    assert catalog.readings() == {"d1": Reading("r")}
    assert catalog.pages("d1") == [Page("d1", 1, "1", "text", "pdfium-1")]
    assert catalog.files() == {"/shelf/a.pdf": FILE}
    assert (catalog.splits(), catalog.facets()) == ({"d1": "dev"}, [])
    catalog.close()


def test_one_artefact_of_a_kind_is_active(catalog, monkeypatch):
    for kind, name, activate in [
        ("index", "i1", True),
        ("adapter", "a1", True),
        ("index", "i2", True),
        ("index", "i3", False),
    ]:
        catalog.add_artefact(kind, name, {"of": name}, activate=activate)
    assert {a.id: a.active for a in catalog.artefacts("index")} == {"i1": False, "i2": True, "i3": False}
    assert (catalog.active("index").id, catalog.active("adapter").id) == ("i2", "a1")
    assert catalog.active("index").manifest == {"of": "i2"}

    def torn(*_args):
        raise OSError("torn")

    monkeypatch.setattr(catalog_module, "put", torn)  # the old one is already switched off when this is called
    with pytest.raises(OSError, match="torn"):
        catalog.add_artefact("index", "i1", {}, activate=True)
    monkeypatch.undo()
    assert catalog.active("index").id == "i2"
    catalog.add_artefact("index", "i1", {"of": "i1"}, activate=True)
    assert {a.id for a in catalog.artefacts("index") if a.active} == {"i1"}


def steps(log):
    """The real steps, and two made-up ones that note when they ran."""

    def second(c):
        log.append(2)
        c.execute(text("CREATE TABLE second (a INT)"))

    def third(c):
        log.append(3)
        c.execute(text("INSERT INTO second VALUES (7)"))

    return (MIGRATIONS[0], MIGRATIONS[1], second, third)


def test_migrations_are_applied_once_and_in_order(tmp_path, monkeypatch):
    path, log = tmp_path / "catalog.sqlite", []
    first = Catalog.open(path)
    store(first)
    first.close()
    monkeypatch.setattr(schema, "MIGRATIONS", steps(log))
    with pytest.raises(WorkspaceError, match="older version and read-only; open it once where it can be written"):
        Catalog.open(path, writable=False)
    for _ in range(2):
        opened = Catalog.open(path)
        assert opened.documents() == [DOCUMENT]
        opened.close()
    assert log == [2, 3]
    assert sqlite3.connect(path).execute("SELECT a FROM second").fetchall() == [(7,)]
    monkeypatch.undo()
    for writable in (True, False):
        with pytest.raises(WorkspaceError, match=r"newer Fieldguide \(schema 4, this one knows 2\); update it"):
            Catalog.open(path, writable=writable)


def test_a_migration_that_fails_leaves_nothing_and_is_tried_again(tmp_path):
    path, log = tmp_path / "catalog.sqlite", []
    engine = create_engine(f"sqlite:///{path}")

    def torn(c):
        steps(log)[2](c)
        raise RuntimeError("torn")

    with pytest.raises(RuntimeError, match="torn"):
        migrate(engine, path, write=True, steps=(*MIGRATIONS, torn))
    assert sqlite3.connect(path).execute("SELECT value FROM info").fetchall() == [("2",)]
    migrate(engine, path, write=True, steps=steps(log))
    assert log == [2, 2, 3]
    engine.dispose()


@pytest.mark.parametrize("writable", [True, False])
def test_a_damaged_file_is_a_sentence(tmp_path, writable):
    path = tmp_path / "catalog.sqlite"
    path.write_bytes(b"garbage " * 1000)
    with pytest.raises(WorkspaceError) as caught:
        Catalog.open(path, writable=writable)
    assert str(caught.value) == (
        f"{path} cannot be opened as a catalogue (file is not a database); restore it from a backup, or delete it and "
        "run `fieldguide ingest` again."
    )
    assert path.read_bytes() == b"garbage " * 1000


def test_read_only_never_makes_a_file(tmp_path):
    with pytest.raises(WorkspaceError, match="does not exist and the workspace is read-only"):
        Catalog.open(tmp_path / "catalog.sqlite", writable=False)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("name", ["a b", "what?", "100%20", "#1", "ü"])
def test_any_folder_name(tmp_path, name):
    (tmp_path / name).mkdir()
    path = tmp_path / name / "catalog.sqlite"
    written = Catalog.open(path)
    store(written)
    written.close()
    assert path.exists()
    read = Catalog.open(path, writable=False)
    assert read.documents() == [DOCUMENT]
    read.close()


def test_read_only_sees_what_a_killed_run_left_in_the_log(catalog, tmp_path):
    store(catalog)
    left = tmp_path / "left"
    left.mkdir()
    for name in ("catalog.sqlite", "catalog.sqlite-wal"):
        shutil.copy(tmp_path / name, left)  # as a kill leaves them: nothing was written back
    read = Catalog.open(left / "catalog.sqlite", writable=False)
    assert read.documents() == [DOCUMENT]
    read.close()


WRITER = """
import sys
from pathlib import Path
from fieldguide.catalog import Catalog, FileRecord, Reading
from fieldguide.types import Block, Chunk, Document, Page, Span
catalog = Catalog.open(Path(sys.argv[1]))
for n in range(int(sys.argv[2]), 100000):
    name = f"d{n}"
    pages = [Page(name, i, str(i), f"page {i} of {name}", "r") for i in range(1, 41)]
    chunks = [Chunk(f"{name}-{i}", name, (Span(i, 0, 4),), "page") for i in range(1, 41)]
    file = FileRecord(name, name, 1, "read", "")
    catalog.store_document(Document(name, name, name), Reading("r"), pages, chunks, file)
    if n == int(sys.argv[2]):
        print("stored", flush=True)
"""


def test_a_kill_in_the_middle_of_storing_leaves_whole_documents_only(tmp_path):
    path = tmp_path / "catalog.sqlite"
    stored = 0
    for turn in range(3):
        process = subprocess.Popen([sys.executable, "-c", WRITER, str(path), str(stored)], stdout=subprocess.PIPE)
        assert process.stdout.readline() == b"stored\n"
        time.sleep(0.1 + 0.013 * turn)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
        catalog = Catalog.open(path)
        names = [document.id for document in catalog.documents()]
        assert len(names) > stored
        stored = len(names)
        assert sorted(names) == sorted(f"d{n}" for n in range(stored))
        assert catalog.files().keys() == set(names)
        assert catalog.counts() == {"documents": stored, "pages": 40 * stored, "chunks": 40 * stored, "pairs": 0}
        assert catalog.page(f"d{stored - 1}", 40).text == f"page 40 of d{stored - 1}"
        catalog.close()


def test_pairs_that_can_be_asked_as_they_stand(catalog):
    store(catalog)
    plain = replace(PAIR, answerable=True)
    others = [
        replace(plain, id="p2", answerable=False, answer=""), replace(plain, id="p3", after=("Who flew?",)),
        replace(plain, id="p4", verdict="rejected", author="Ann"),
    ]  # fmt: skip
    catalog.store_pairs("a", "rules-1", [plain, *others], [])
    assert catalog.pairs() == [plain]
    assert catalog.pairs(every=True) == [plain, *others]


def test_derived_pairs_are_replaced_but_for_those_a_person_judged(catalog):
    store(catalog)
    old = replace(PAIR, id="p1", origin="derived")
    judged = replace(PAIR, id="p2", origin="derived", author="Ann", verdict="accepted")
    catalog.replace_pairs("derived", [old, judged], [("no name", "x")])
    new, again = replace(old, id="p3"), replace(judged, author="", verdict="")
    catalog.replace_pairs("derived", [new, again], [("too long", "y")])
    assert catalog.pairs(every=True) == [judged, new]
    assert catalog.rejections() == {("derived", "too long"): 1}


def test_pairs_taken_out_are_counted(catalog):
    store(catalog)
    catalog.store_pairs("a", "rules-1", [PAIR], [])
    catalog.reject_pairs("confidence", [(PAIR, "low confidence")])
    assert catalog.pairs(every=True) == []
    assert catalog.rejections() == {("confidence", "low confidence"): 1}
