import json

import pytest

from eval.question_metrics import Judged
from eval.question_report import measure, render
from fieldguide.catalog import Catalog, FileRecord, Reading
from fieldguide.models.hashing import HashingEmbedder
from fieldguide.types import Chunk, Document, Evidence, Page, QAPair, Span

TEXT = "The right wing hit a tree at 10:45. <script>alert(1)</script>"


@pytest.fixture
def catalog(tmp_path):
    opened = Catalog.open(tmp_path / "catalog.sqlite", writable=True)
    chunk = Chunk("c1", "d1", (Span(1, 0, len(TEXT)),), TEXT, ("Events",), "Report 7")
    opened.store_document(
        Document("d1", "shelf/a.pdf", "Report 7"), Reading("r"), [Page("d1", 1, "1", TEXT, "r")], [chunk],
        FileRecord("shelf/a.pdf", "d1", 1, "read", ""), facets=[], pairs=[], lost=[],
    )  # fmt: skip

    def pair(name, question, answer, kind="fact", **more):
        at = TEXT.find(answer) if answer else 0
        evidence = (Evidence("d1", (Span(1, at, at + len(answer)),), answer),) if answer else ()
        return QAPair(name, question, answer, "d1", "c1", evidence, kind, "rules", **{"split": "train", **more})

    opened.store_pairs(
        "c1", "rules-1",
        [
            pair("p1", "What did the wing hit?", "a tree"),
            pair("p2", "When did the wing hit a tree?", "10:45", "date", split="test", group="facts held out"),
            pair("p3", "What did the wing of Bergen hit?", "", "unanswerable", answerable=False),
            pair("p4", "What hit?", "tree", verdict="rejected", author="Ann"),
        ],
        [("not a question", "x"), ("not a question", "y")],
    )  # fmt: skip
    yield opened
    opened.close()


def test_what_is_measured(catalog):
    found = measure(catalog, HashingEmbedder(), {"fact": 2.0, "date": 0.0}, 0, None, "nobody rated")
    assert json.loads(json.dumps(found))["pairs"] == 3
    assert found["kinds"]["fact"] == {"n": 1, "share": 1 / 3, "wanted": 2 / 13}
    assert found["kinds"]["date"]["wanted"] == 0
    assert found["levels"]["explicit fact"] == 3
    assert found["splits"] == {"train": 2, "test, facts held out": 1}
    assert found["rejections"] == {"rules: not a question": 2}
    assert found["reach"] == {"documents": (1, 1), "sections": (1, 1), "chunks": (1, 1)}
    values = {row["name"]: row["value"] for row in found["metrics"]}
    assert values["extractive_coverage"] == 1.0
    assert set(values) == {"overlap", "diversity", "details", "extractive_coverage"}
    assert found["yield_per_100_chunks"] == 300.0
    assert len(found["test_set"]) == 64
    assert {example["question"] for example in found["examples"]} == {
        "What did the wing hit?", "When did the wing hit a tree?", "What did the wing of Bergen hit?",
    }  # fmt: skip


def test_the_page_shows_it_escaped(catalog, tmp_path):
    judged = Judged({"fluency": 3.5}, 2, 1)
    page = render(measure(catalog, HashingEmbedder(), {}, 0, judged, "rated by <b>x</b>"), tmp_path)
    text = page.read_text("utf-8")
    assert page.name == "questions.html"
    assert "What did the wing hit?" in text
    assert "3.500" in text
    assert "rated by &lt;b&gt;x&lt;/b&gt;" in text
    assert "<b>x" not in text
    assert text.count("data:image/png;base64,") == 2
