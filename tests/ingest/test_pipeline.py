import os
import shutil
from pathlib import Path

import pytest

from fieldguide.catalog import FileRecord
from fieldguide.errors import FieldguideError
from fieldguide.files import file_hash
from fieldguide.models.hashing import HashingEmbedder
from fieldguide.settings import Ingest
from fieldguide.types import PAGE_BREAK, Silent, content_hash
from ingest.pipeline import find_files, ingest_files

SETTINGS = Ingest(max_pages=9)


@pytest.fixture
def shelf(tmp_path):
    folder = tmp_path / "shelf"
    folder.mkdir()
    return folder


@pytest.fixture
def run(catalog):
    """Ingests paths into the catalogue."""

    def run(*paths, settings=SETTINGS, tokenizer="words"):
        return ingest_files(paths, catalog, settings, lambda text: len(text.split()), tokenizer, Silent())

    return run


def test_find_files_takes_pdfs_by_name_or_first_bytes_and_counts_the_others(shelf, good):
    for name in ("b.pdf", "a.PDF", ".hidden.pdf", "deep/c.pdf", ".git/d.pdf", "note.txt", "README", "scan"):
        (shelf / name).parent.mkdir(exist_ok=True)
        (shelf / name).write_bytes(good if name == "scan" else b"text")
    found = find_files([shelf, shelf / "b.pdf", shelf / "note.txt", shelf / "none.pdf"])
    assert [str(path.relative_to(shelf)) for path in found.files] == [
        "a.PDF",
        "b.pdf",
        "scan",
        "deep/c.pdf",
        "note.txt",
    ]
    assert found.missing == [FileRecord(str(shelf / "none.pdf"), None, 0, "missing", "there is no such file or folder")]
    assert found.passed_over == {".txt": 1, "no ending": 1}


def test_no_pdf_at_all_is_a_sentence(shelf, run):
    (shelf / "note.txt").write_text("x")
    with pytest.raises(FieldguideError, match=f"There is no PDF in {shelf}"):
        run(shelf)


def test_every_bad_file_is_recorded_and_the_good_ones_are_read(shelf, run, catalog, pdf, bad_files, monkeypatch):
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
    assert report.classes["not a document"] == 2


def test_a_document_as_stored(shelf, run, catalog, good):
    path = shelf / "a.pdf"
    path.write_bytes(good)
    assert run(shelf).all_read
    (document,) = catalog.documents()
    assert (document.id, document.source, document.title) == (file_hash(path), str(path), "Wing report")
    page = catalog.page(document.id, 2)
    assert (page.text, page.label, page.reader) == ("The pilot was not hurt.", "2", "pdfium-1")
    assert page.text_hash == content_hash("The pilot was not hurt.")
    (chunk,) = catalog.chunks()
    assert chunk.text == "Report (one)\nThe wing hit a tree.\n\nThe pilot was not hurt."
    assert chunk.context == "Wing report"


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
    assert (report.new, report.unchanged, report.removed_documents) == (0, 1, 0)
    assert (catalog.documents()[0].id, catalog.chunks()) == before
    assert catalog.documents()[0].source == str(shelf / "renamed.pdf")


def test_the_same_bytes_twice_are_one_document(shelf, run, catalog, good):
    for name in ("a.pdf", "b.pdf"):
        (shelf / name).write_bytes(good)
    report = run(shelf)
    assert report.duplicates == [(str(shelf / "b.pdf"), str(shelf / "a.pdf"))]
    assert (report.new, len(catalog.documents())) == (1, 1)


@pytest.mark.parametrize(
    "change", [{"settings": Ingest(chunk_tokens=64)}, {"settings": Ingest(context_line=False)}, {"tokenizer": "other"}]
)
def test_what_decides_chunks_makes_it_read_again(shelf, run, catalog, good, change):
    (shelf / "a.pdf").write_bytes(good)
    run(shelf)
    assert run(shelf, **change).new == 1
    assert run(shelf, **change).new == 0
    assert (
        run(shelf, **(change | {"settings": change.get("settings", SETTINGS).model_copy(update={"max_pages": 8})})).new
        == 0
    )


def test_replaced_content_removes_the_old_document(shelf, run, catalog, pdf):
    path = shelf / "a.pdf"
    path.write_bytes(pdf(["Old"]))
    run(shelf)
    path.write_bytes(pdf(["New"]))
    report = run(shelf)
    assert (report.new, report.removed_documents) == (1, 1)
    assert [d.title for d in catalog.documents()] == ["New"]
    assert [c.text for c in catalog.chunks()] == ["New"]
    path.write_bytes(b"")
    assert run(shelf).removed_documents == 1
    assert (catalog.documents(), catalog.files()[str(path)].status) == ([], "empty")


def test_content_that_comes_back_after_a_run_that_was_killed(shelf, run, catalog, pdf, monkeypatch):
    path = shelf / "a.pdf"
    path.write_bytes(pdf(["Old"]))
    run(shelf)
    path.write_bytes(pdf(["New"]))
    with monkeypatch.context() as patched:
        patched.setattr(catalog, "remove_orphans", lambda: [])  # killed before it got there
        run(shelf)
    path.write_bytes(pdf(["Old"]))
    assert (run(shelf).new, [d.title for d in catalog.documents()]) == (1, ["Old"])


def test_a_file_name_that_is_no_unicode(shelf, run, catalog, good):
    name = os.fsencode(shelf) + b"/Bericht_\xe4.pdf"
    try:
        Path(os.fsdecode(name)).write_bytes(good)
    except OSError:
        pytest.skip("this disk takes only Unicode names")
    assert run(shelf).new == 1
    assert list(catalog.files()) == [f"{shelf}/Bericht_\\udce4.pdf"]
    assert run(shelf).new == 0


def test_a_file_that_vanishes_is_recorded(shelf, run, catalog, good, monkeypatch):
    from ingest.reading import Reader

    def vanished(self, path):
        raise FileNotFoundError(2, "No such file or directory")

    (shelf / "a.pdf").write_bytes(good)
    monkeypatch.setattr(Reader, "read", vanished)
    run(shelf)
    record = catalog.files()[str(shelf / "a.pdf")]
    assert (record.status, record.reason) == ("damaged", "cannot be opened: No such file or directory")


def test_real_reports(catalog, ntsb, elyria, tmp_path):
    embedder = HashingEmbedder()
    report = ingest_files([ntsb], catalog, Ingest(), embedder.count_tokens, embedder.id, Silent())
    assert (report.new, report.all_read, report.passed_over[".md"]) == (8, True, 1)
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
    assert len(contexts) == 1
    assert {"Elyria, OH", "CHI08CA048"} <= set(contexts.pop().split("; "))
    shutil.copy(elyria, tmp_path / "copy.pdf")
    again = ingest_files([tmp_path / "copy.pdf"], catalog, Ingest(), embedder.count_tokens, embedder.id, Silent())
    assert (again.new, again.files[0].document) == (0, document.id)
