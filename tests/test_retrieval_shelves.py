"""The parts of bench/retrieval.py that decide what counts as found."""

import json

import pytest

from bench.parts import shelves
from fieldguide.catalog import Catalog, FileRecord, Reading
from fieldguide.types import Chunk, Document, Page, Span

PAGES = ("A cover page of few words", "Net sales were 1,577 million in the year", "The board met in the town of Oslo")


@pytest.fixture
def catalog(tmp_path):
    opened = Catalog.open(tmp_path / "catalog.sqlite")
    pages = [Page("d", n, str(n), text, "made") for n, text in enumerate(PAGES, 1)]
    chunks = [Chunk(f"c{n}", "d", (Span(n, 0, len(text)),), text) for n, text in enumerate(PAGES, 1)]
    file = FileRecord("/x/report.pdf", "d", 1, "read", "")
    opened.store_document(Document("d", "/x/report.pdf", ""), Reading("made"), pages, chunks, file)
    yield opened
    opened.close()


def test_what_a_folder_holds(tmp_path):
    assert shelves.kind(tmp_path) == ""
    (tmp_path / "pdfs").mkdir()
    (tmp_path / "pdfs" / "b.pdf").write_bytes(b"12")
    (tmp_path / "pdfs" / "a.pdf").write_bytes(b"1")
    assert shelves.kind(tmp_path) == ""
    (tmp_path / "qa.jsonl").touch()
    assert shelves.kind(tmp_path) == "pdfs"
    assert [path.name for path in shelves.pdfs(tmp_path)] == ["a.pdf", "b.pdf"]
    (tmp_path / "qrels").mkdir()
    (tmp_path / "corpus.jsonl").touch()
    assert shelves.kind(tmp_path) == "beir"


@pytest.mark.parametrize(
    ("evidence", "base"),
    [
        ([(0, "")], 0),
        ([(2, "")], 1),
        ([(1, "Net sales were 1,577 million")], 0),
        ([(2, "Net sales were 1,577 million")], 1),
        ([(1, "Net sales were 1,577 million"), (2, "the board met in the town"), (3, "the town of Oslo")], 0),
        ([(3, "not on any page at all")], 1),
    ],
)
def test_whether_pages_count_from_0_or_from_1(catalog, evidence, base):
    assert shelves.page_base([(("report.pdf", number), text) for number, text in evidence], catalog) == base


def test_questions_with_their_pages(tmp_path, catalog):
    rows = [
        {"question": "one", "evidence": [{"doc_name": "report", "evidence_page_num": 1, "evidence_text": PAGES[1]}]},
        {"question": "two", "evidence": [{"doc_name": "other", "evidence_page_num": 1}]},
        {"question": "three", "answer": shelves.UNANSWERABLE, "doc_id": "report.pdf", "evidence_pages": "[2]"},
        {"question": "four", "answer": "?", "doc_id": "report.pdf", "evidence_pages": "[]"},
        {"question": "five", "answer": "x", "doc_id": "report.pdf", "evidence_pages": "[1, 2]"},
    ]
    (tmp_path / "qa.jsonl").write_text("\n".join(json.dumps(row) for row in rows), "utf-8")
    found = shelves.page_questions(tmp_path, catalog, [tmp_path / "report.pdf"], None)
    assert [(q.text, q.document, sorted(q.wanted)) for q in found] == [
        ("one", "report.pdf", ["report.pdf|2"]),
        ("five", "report.pdf", ["report.pdf|2", "report.pdf|3"]),
    ]
    told = shelves.page_questions(tmp_path, catalog, [tmp_path / "report.pdf"], 1)
    assert [sorted(q.wanted) for q in told] == [["report.pdf|1"], ["report.pdf|1", "report.pdf|2"]]


def test_beir(tmp_path):
    (tmp_path / "corpus.jsonl").write_text('{"_id": "7", "title": "T", "text": "body"}\n', "utf-8")
    (tmp_path / "queries_test.jsonl").write_text('{"_id": "1", "text": "q"}\n{"_id": "2", "text": "r"}\n', "utf-8")
    (tmp_path / "qrels").mkdir()
    (tmp_path / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n1\t7\t1\n2\t7\t0\n", "utf-8")
    assert shelves.beir(tmp_path) == {"7": "T\nbody"}
    assert shelves.beir_questions(tmp_path, "test") == [shelves.Question("1", "q", frozenset({"7"}))]
