import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fieldguide.catalog import Catalog, FileRecord
from fieldguide.errors import FieldguideError
from fieldguide.files import file_hash
from fieldguide.models.hashing import HashingEmbedder
from fieldguide.settings import Facets, Settings, load_settings
from fieldguide.types import PAGE_BREAK, Silent, content_hash
from ingest.pipeline import ingest_files, left_out, prune
from ingest.shelf import Originals, find_files

EMBEDDER = HashingEmbedder()


def settings(**ingest) -> Settings:
    facets = {"facets": ingest.pop("facets")} if "facets" in ingest else {}
    return load_settings(None, {"ingest": {"max_pages": 9, "workers": 1} | ingest} | facets)


@pytest.fixture
def shelf(tmp_path):
    folder = tmp_path / "shelf"
    folder.mkdir()
    return folder


@pytest.fixture
def run(catalog, tmp_path):
    """Ingests paths into the catalogue."""

    def run(*paths, tokenizer="words", **changed):
        return ingest_files(
            paths, catalog, settings(**changed), tmp_path / "state", EMBEDDER.count_tokens, tokenizer, Silent()
        )

    return run


def test_find_files_takes_documents_by_name_or_first_bytes_and_counts_the_others(shelf, good):
    names = ("b.pdf", "a.PDF", ".hidden.pdf", "deep/c.pdf", ".git/d.pdf", "note.txt", "~$note.docx", "x.png", "README")
    for name in (*names, "scan"):
        (shelf / name).parent.mkdir(exist_ok=True)
        (shelf / name).write_bytes(good if name == "scan" else b"text")
    found = find_files([shelf, shelf / "b.pdf", shelf / "x.png", shelf / "none.pdf"])
    assert [str(path.relative_to(shelf)) for path in found.files] == [
        "a.PDF", "b.pdf", "note.txt", "scan", "deep/c.pdf", "x.png",
    ]  # fmt: skip
    assert found.missing == [FileRecord(str(shelf / "none.pdf"), None, 0, "missing", "there is no such file or folder")]
    assert found.passed_over == {".png": 1, "no ending": 1}


def test_no_document_at_all_is_a_sentence(shelf, run):
    (shelf / "image.png").write_text("x")
    with pytest.raises(FieldguideError, match=f"There is no document in {shelf}"):
        run(shelf)


def test_every_bad_file_is_recorded_and_the_good_ones_are_read(shelf, run, catalog, pdf, bad_files):
    (shelf / "a good.pdf").write_bytes(pdf(["First report"]))
    (shelf / "z good.pdf").write_bytes(pdf(["Last report"]))
    for name, (raw, _, _) in bad_files.items():
        (shelf / name).write_bytes(raw)
    report = run(shelf, shelf / "none.pdf")
    expected = {name: (status, reason) for name, (_, status, reason) in bad_files.items()}
    expected |= {"a good.pdf": ("read", ""), "z good.pdf": ("read", "")}
    stored = {Path(path).name: (record.status, record.reason) for path, record in catalog.files().items()}
    assert stored == expected
    expected["none.pdf"] = ("missing", "there is no such file or folder")
    assert {Path(record.path).name: (record.status, record.reason) for record in report.files} == expected
    assert {d.title for d in catalog.documents()} == {"First report", "Last report"}
    assert (report.new, report.unchanged, report.all_read) == (2, 0, False)


def test_what_could_not_be_read_is_not_tried_again_until_something_changes(shelf, run, catalog, pdf, monkeypatch):
    from ingest.reading import Readers

    tried = []
    read = Readers.read
    monkeypatch.setattr(Readers, "read", lambda self, files: read(self, (tried.append(f[0].name) or f for f in files)))
    (shelf / "half.pdf").write_bytes(pdf(["x"])[:200])
    (shelf / "long.pdf").write_bytes(pdf(["x"] * 12))
    first = run(shelf).files
    assert sorted(tried) == ["half.pdf", "long.pdf"]
    assert run(shelf).files == first
    assert len(tried) == 2
    assert {Path(r.path).name: r.status for r in run(shelf, max_pages=12).files} == {
        "half.pdf": "damaged", "long.pdf": "read",
    }  # fmt: skip


def test_a_document_as_stored(shelf, run, catalog, good, tmp_path):
    path = shelf / "a.pdf"
    path.write_bytes(good)
    assert run(shelf).all_read
    (document,) = catalog.documents()
    assert (document.id, document.source, document.title) == (file_hash(path), str(path), "Wing report")
    page = catalog.page(document.id, 2)
    assert (page.text, page.label, page.reader) == ("The pilot was not hurt.", "2", "pdfium")
    assert page.text_hash == content_hash("The pilot was not hurt.")
    assert [(b.kind, page.text[b.start : b.end]) for b in page.blocks] == [("paragraph", page.text)]
    assert {c.context.split(" > ")[0] for c in catalog.chunks()} == {"Wing report"}
    assert Originals(tmp_path / "state" / "originals", "none").find(document.id).read_bytes() == good


def test_a_second_run_reads_nothing(shelf, run, pdf):
    for n in range(3):
        (shelf / f"{n}.pdf").write_bytes(pdf([f"Report {n}"]))
    assert (run(shelf).new, run(shelf).new) == (3, 0)
    (shelf / "3.pdf").write_bytes(pdf(["Report 3"]))
    again = run(shelf)
    assert (again.new, again.unchanged) == (1, 3)


def test_a_moved_file_keeps_its_document(shelf, run, catalog, good):
    (shelf / "a.pdf").write_bytes(good)
    run(shelf)
    before = catalog.documents()[0].id, catalog.chunks()
    (shelf / "a.pdf").rename(shelf / "renamed.pdf")
    report = run(shelf)
    assert (report.new, report.unchanged, report.replaced, report.gone) == (0, 1, 0, [])
    assert report.moved == [(str(shelf / "a.pdf"), str(shelf / "renamed.pdf"))]
    assert (catalog.documents()[0].id, catalog.chunks()) == before
    assert catalog.documents()[0].source == str(shelf / "renamed.pdf")
    assert list(catalog.files()) == [str(shelf / "renamed.pdf")]


def test_the_same_bytes_twice_are_one_document(shelf, run, catalog, good):
    for name in ("a.pdf", "b.pdf"):
        (shelf / name).write_bytes(good)
    report = run(shelf)
    assert report.duplicates == [(str(shelf / "b.pdf"), str(shelf / "a.pdf"))]
    assert (report.new, len(catalog.documents())) == (1, 1)
    (shelf / "a.pdf").unlink()
    report = run(shelf)
    assert (report.gone, catalog.documents()[0].source) == ([], str(shelf / "b.pdf"))


@pytest.mark.parametrize(
    "change", [{"chunk_tokens": 32}, {"context_line": False}, {"strategy": "recursive"}, {"tokenizer": "other"}]
)
def test_what_decides_chunks_only_cuts_again(shelf, run, catalog, ntsb, change, monkeypatch):
    from ingest.reading import Readers

    run(ntsb)
    (pages,) = [catalog.pages(d.id) for d in catalog.documents()[:1]]
    monkeypatch.setattr(Readers, "read", lambda self, files: iter(list(files)[:0]))  # nothing can be read now
    again = run(ntsb, **change)
    assert (again.new, again.recut, run(ntsb, **change).recut) == (0, 9, 0)
    assert catalog.pages(catalog.documents()[0].id) == pages


def test_what_decides_facets_only_tags_again(shelf, run, catalog, ntsb):
    run(ntsb)
    chunks = catalog.chunks()
    assert "registration" not in catalog.facet_values()
    again = run(ntsb, facets=Facets(patterns={"registration": r"Registration: (\w+)"}).model_dump())
    assert (again.new, again.recut, catalog.chunks()) == (0, 0, chunks)
    assert "N2699G" in catalog.facet_values()["registration"]
    assert catalog.facet_values()["place"]["Elyria, OH"] >= 1


def test_replaced_content_removes_the_old_document(shelf, run, catalog, pdf, tmp_path):
    path = shelf / "a.pdf"
    path.write_bytes(pdf(["Old"]))
    run(shelf)
    old = catalog.documents()[0].id
    path.unlink()
    path.write_bytes(pdf(["New"]))
    report = run(shelf)
    assert (report.new, report.replaced) == (1, 1)
    assert [d.title for d in catalog.documents()] == ["New"]
    assert [c.text for c in catalog.chunks()] == ["New"]
    assert Originals(tmp_path / "state" / "originals", "none").find(old) is None


def test_a_file_that_became_unreadable_keeps_its_document_until_pruned(shelf, run, catalog, pdf, tmp_path):
    path = shelf / "a.pdf"
    path.write_bytes(pdf(["Old"]))
    run(shelf)
    (document,) = catalog.documents()
    path.unlink()
    path.write_bytes(b"")
    report = run(shelf)
    assert (report.gone, catalog.files()[str(path)].status) == ([document.id], "empty")
    assert catalog.documents() == [document]
    prune(catalog, report.gone, tmp_path / "state")
    assert catalog.documents() == []
    assert not [p for p in (tmp_path / "state" / "originals").rglob("*") if p.is_file()]


def test_a_deleted_file_is_listed_and_its_document_stays_until_pruned(shelf, run, catalog, pdf, tmp_path):
    for n in range(2):
        (shelf / f"{n}.pdf").write_bytes(pdf([f"Report {n}"]))
    run(shelf)
    (shelf / "0.pdf").unlink()
    gone = file_hash_of(pdf(["Report 0"]))
    assert run(shelf).gone == run(shelf).gone == [gone]
    assert len(catalog.documents()) == 2
    prune(catalog, [gone], tmp_path / "state")
    assert [d.title for d in catalog.documents()] == ["Report 1"]
    assert run(shelf).gone == []
    elsewhere = tmp_path / "other"
    elsewhere.mkdir()
    (elsewhere / "x.pdf").write_bytes(pdf(["Report x"]))
    (shelf / "1.pdf").unlink()
    assert run(elsewhere).gone == []  # only what lies below the paths given is looked for


def file_hash_of(raw: bytes) -> str:
    import hashlib

    return hashlib.sha256(raw).hexdigest()


def test_content_that_comes_back_after_a_run_that_was_killed(shelf, run, catalog, pdf, monkeypatch):
    from ingest import pipeline

    path = shelf / "a.pdf"
    path.write_bytes(pdf(["Old"]))
    run(shelf)
    path.write_bytes(pdf(["New"]))
    with monkeypatch.context() as patched:
        patched.setattr(pipeline._Shelf, "tidy", lambda *_: None)  # killed before it got there
        run(shelf)
    path.write_bytes(pdf(["Old"]))
    run(shelf)
    assert [d.title for d in catalog.documents()] == ["Old"]


def test_a_file_that_is_written_to_while_it_is_read_is_read_at_the_next_run(shelf, run, catalog, pdf, monkeypatch):
    from ingest.reading import Readers

    path = shelf / "a.pdf"
    path.write_bytes(pdf(["Half"]))
    read = Readers.read

    def slow(self, files):
        for given, result in read(self, files):
            path.write_bytes(pdf(["The whole text"]))
            yield given, result

    with monkeypatch.context() as patched:
        patched.setattr(Readers, "read", slow)
        assert run(shelf).files[0].reason == "it was written to while it was being read; ingest it again"
    assert (run(shelf).new, [d.title for d in catalog.documents()]) == (1, ["The whole text"])


def test_a_file_name_that_is_no_unicode(shelf, run, catalog, good):
    name = os.fsencode(shelf) + b"/Bericht_\xe4.pdf"
    try:
        Path(os.fsdecode(name)).write_bytes(good)
    except OSError:
        pytest.skip("this disk takes only Unicode names")
    assert run(shelf).new == 1
    assert list(catalog.files()) == [f"{shelf}/Bericht_\\udce4.pdf"]
    assert run(shelf).new == 0


def test_near_duplicates_are_told_and_left_out_if_wanted(shelf, run, catalog, pdf):
    words = random.Random(1).sample([f"word{n}" for n in range(2000)], 400)
    lines = [" ".join(words[n : n + 8]) for n in range(0, 400, 8)]
    (shelf / "a.pdf").write_bytes(pdf(["\n".join(lines)]))
    (shelf / "b.pdf").write_bytes(pdf(["\n".join(["Changed first line", *lines[1:]])]))
    ((source, other, rate),) = run(shelf).near_duplicates
    assert (Path(source).name, Path(other).name) == ("b.pdf", "a.pdf")
    assert 0.9 <= rate < 1
    assert left_out(catalog, settings()) == set()
    second = next(d.id for d in catalog.documents() if d.source.endswith("b.pdf"))
    assert left_out(catalog, settings(near_duplicates="leave out")) == {second}
    assert run(shelf, near_duplicates="off").near_duplicates == []


def test_a_newer_version_supersedes_the_older_if_wanted(shelf, run, catalog, pdf):
    (shelf / "Irrigation guide v1.pdf").write_bytes(pdf(["Irrigation guide\nRevised May 2016\nWater at night."]))
    (shelf / "Irrigation guide v2.pdf").write_bytes(pdf(["Irrigation guide\nRevised June 2021\nWater at dawn."]))
    assert run(shelf).superseded == []
    assert run(shelf, supersede=True).superseded == [
        (str(shelf / "Irrigation guide v1.pdf"), str(shelf / "Irrigation guide v2.pdf"))
    ]


def test_a_better_reading_takes_the_pairs_along(shelf, run, catalog, pdf, monkeypatch):
    from dataclasses import replace

    from fieldguide.types import Evidence, QAPair, Span
    from ingest import stages

    (shelf / "a.pdf").write_bytes(pdf(["The wing hit a tree.\nNobody was hurt."]))
    run(shelf)
    (chunk,) = catalog.chunks()
    page = catalog.page(chunk.document, 1)

    def about(name, quote):
        start = page.text.index(quote)
        evidence = (Evidence(chunk.document, (Span(1, start, start + len(quote)),), quote),)
        return QAPair(name, f"{name}?", quote, chunk.document, chunk.id, evidence, "fact", "rules", "train")

    catalog.store_pairs(chunk.id, "rules", [about("kept", "a tree"), about("lost", "Nobody was hurt")], [])
    pages_of = stages.pages_of
    better = "On Monday the wing hit a tree.\nThe end."
    monkeypatch.setattr(stages, "pages_of", lambda *a: [replace(p, text=better, blocks=()) for p in pages_of(*a)])
    monkeypatch.setattr(stages, "READER_VERSION", "better")
    report = run(shelf)
    assert (report.new, report.lost) == (1, ["lost? | Nobody was hurt"])
    (pair,) = catalog.pairs()
    (span,) = pair.evidence[0].spans
    assert (better[span.start : span.end], pair.chunk) == ("a tree", catalog.chunks()[0].id)


def test_originals_by_link_and_copy(tmp_path, shelf):
    path = shelf / "a.txt"
    path.write_text("as it was read")
    digest = file_hash(path)
    for mode in ("link", "copy"):
        kept = Originals(tmp_path / mode, mode)
        kept.keep(path, digest)
        assert kept.find(digest).samefile(path) == (mode == "link")
    path.write_text("written over in place")
    assert Originals(tmp_path / "link", "link").find(digest) is None
    assert Originals(tmp_path / "copy", "copy").find(digest).read_text() == "as it was read"
    Originals(tmp_path / "none", "none").keep(path, digest)
    assert not (tmp_path / "none").exists()


def test_real_reports(catalog, ntsb, elyria, tmp_path, run):
    report = run(ntsb)
    assert (report.new, report.all_read) == (9, True)
    chunks = catalog.chunks()
    for chunk in chunks:
        pages = {number: catalog.page(chunk.document, number).text for number in chunk.pages}
        assert chunk.text == PAGE_BREAK.join(pages[s.page][s.start : s.end] for s in chunk.spans)
    document = next(d for d in catalog.documents() if d.source == str(elyria))
    first = catalog.page(document.id, 1).text
    assert (
        "The pilot's momentary loss of control after takeoff, which resulted in an in-flight collision with\na tree."
        in first
    )
    contexts = {c.context for c in chunks if c.document == document.id}
    assert {"Elyria, OH", "CHI08CA048"} <= set(contexts.pop().split(" > ")[0].split("; "))
    shutil.copy(elyria, tmp_path / "copy.pdf")
    again = run(tmp_path / "copy.pdf")
    assert (again.new, again.files[0].document) == (0, document.id)


INGEST = """
import sys
from pathlib import Path
from fieldguide.catalog import Catalog
from fieldguide.models.hashing import HashingEmbedder
from fieldguide.settings import Index, load_settings
from fieldguide.types import Silent
from ingest.pipeline import ingest_files
from retrieval.build import build_index

if __name__ == "__main__":  # the reading children import this again
    shelf, state = map(Path, sys.argv[1:])
    state.mkdir(exist_ok=True)
    catalog, embedder = Catalog.open(state / "catalog.sqlite"), HashingEmbedder()
    settings = load_settings(None, {"ingest": {"workers": 2}})
    ingest_files([shelf], catalog, settings, state, embedder.count_tokens, embedder.id, Silent())
    build_index(catalog, state / "index", Index(), embedder, Silent())
    catalog.close()
"""


def ingest_apart(shelf, state, script, seconds=None):
    """Ingest in another process, killed (-9) with all its children after so many seconds; whether it was."""
    script.write_text(INGEST)
    process = subprocess.Popen(
        [sys.executable, script, shelf, state], start_new_session=True, stderr=subprocess.PIPE, text=True
    )
    try:
        _, errors = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return True
    assert process.returncode == 0, errors
    return False


def everything(state):
    """Hashes of the content of the catalogue's tables, and of the index in use."""
    tables = {}
    database = sqlite3.connect(state / "catalog.sqlite")
    for table in ("files", "documents", "pages", "chunks", "facets", "relations", "pairs"):
        tables[table] = content_hash(*sorted(map(repr, database.execute(f"SELECT * FROM {table}"))))
    database.close()
    catalog = Catalog.open(state / "catalog.sqlite")
    index = catalog.active("index").manifest
    catalog.close()
    (dense,) = index["parts"]["dense"]
    return tables, index["id"], file_hash(state / "index" / "parts" / dense / "vectors.faiss")


@pytest.mark.slow
def test_killed_at_ten_moments_it_ends_as_if_undisturbed(ntsb, tmp_path):
    shelf = tmp_path / "shelf"
    shutil.copytree(ntsb, shelf)
    began = time.perf_counter()
    ingest_apart(shelf, tmp_path / "undisturbed", tmp_path / "run.py")
    whole = time.perf_counter() - began
    expected = everything(tmp_path / "undisturbed")
    state, moments = tmp_path / "killed", random.Random(3)
    killed = sum(ingest_apart(shelf, state, tmp_path / "run.py", moments.uniform(0.3, 0.95) * whole) for _ in range(10))
    assert killed >= 1
    ingest_apart(shelf, state, tmp_path / "run.py")
    assert everything(state) == expected
