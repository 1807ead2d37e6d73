import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldguide.settings import Ingest
from fieldguide.types import PAGE_BREAK, Page, Span
from ingest.chunk import chunk_pages, context_line

SMALL = Ingest(chunk_tokens=16, chunk_overlap=5)
LINES = st.sampled_from(
    ["a", "to be or not to be", "Total 5", "– 5 –", "", " ", "The wing hit a tree. It was bent.", "\t\u2003x"]
)
REPEATED = st.tuples(LINES, st.integers(1, 20), LINES).map(lambda given: "\n".join([given[0]] * given[1] + [given[2]]))
TEXTS = (
    REPEATED
    | st.lists(LINES | st.text(max_size=12), max_size=14).map("\n".join)
    | st.text(alphabet="ab .\n", max_size=160)
)
SHELVES = st.lists(TEXTS, max_size=4)


def words(text: str) -> int:
    return len(text.split())


def pages_of(texts):
    return [Page("doc", n, str(n), text, "r") for n, text in enumerate(texts, 1)]


@settings(max_examples=150, deadline=None)
@given(SHELVES, st.integers(0, 15))
def test_chunks_are_their_spans_and_cover_everything(texts, overlap):
    pages = pages_of(texts)
    chunks = chunk_pages(pages, Ingest(chunk_tokens=16, chunk_overlap=overlap), words)
    missing = [[not char.isspace() for char in text] for text in texts]
    for chunk in chunks:
        assert chunk.text == PAGE_BREAK.join(texts[s.page - 1][s.start : s.end] for s in chunk.spans)
        assert chunk.text == chunk.text.strip() != ""
        assert words(chunk.text) <= 16
        for span in chunk.spans:
            missing[span.page - 1][span.start : span.end] = [False] * (span.end - span.start)
    assert not any(any(page) for page in missing)
    assert len({chunk.id for chunk in chunks}) == len(chunks)
    assert chunks == chunk_pages(pages, Ingest(chunk_tokens=16, chunk_overlap=overlap), words)


@settings(max_examples=100, deadline=None)
@given(SHELVES, st.data())
def test_locate_finds_the_characters_on_their_pages(texts, data):
    for chunk in chunk_pages(pages_of(texts), SMALL, words):
        start = data.draw(st.integers(0, len(chunk.text)))
        end = data.draw(st.integers(start, len(chunk.text)))
        located = PAGE_BREAK.join(texts[s.page - 1][s.start : s.end] for s in chunk.locate(start, end))
        assert located.replace("\n", "") == chunk.text[start:end].replace("\n", "")
        whole = chunk.locate(0, len(chunk.text))
        assert whole == chunk.spans


def test_a_chunk_runs_over_a_blank_page():
    (chunk,) = chunk_pages(pages_of(["The wing hit", " \n", "a tree."]), SMALL, words, "Elyria")
    assert chunk.text == "The wing hit\n\na tree."
    assert chunk.spans == (Span(1, 0, 12), Span(3, 0, 7))
    assert chunk.pages == (1, 3)
    assert chunk.indexed_text == "Elyria\nThe wing hit\n\na tree."
    assert chunk.locate(9, 20) == (Span(1, 9, 12), Span(3, 0, 6))
    assert chunk.locate(12, 14) == ()


def test_overlap_repeats_whole_pieces_and_no_more_than_its_size():
    text = " ".join(f"w{n}" for n in range(40))
    chunks = chunk_pages(pages_of([text]), SMALL, words)
    assert [(c.text.split()[0], c.text.split()[-1]) for c in chunks] == [
        ("w0", "w15"),
        ("w11", "w26"),
        ("w22", "w37"),
        ("w33", "w39"),
    ]


def test_repeated_lines_are_located_one_after_another():
    text = "\n".join(["to be or not to be"] * 9)
    spans = [c.spans[0] for c in chunk_pages(pages_of([text]), Ingest(chunk_tokens=16, chunk_overlap=0), words)]
    assert spans == [Span(1, 0, 37), Span(1, 38, 75), Span(1, 76, 113), Span(1, 114, 151), Span(1, 152, 170)]


def test_ids_depend_on_place_context_and_document():
    ids = {
        chunk_pages([page], SMALL, words, context)[0].id
        for page in (
            Page("doc", 1, "1", "same", "r"),
            Page("doc", 2, "2", "same", "r"),
            Page("other", 1, "1", "same", "r"),
        )
        for context in ("", "here")
    }
    assert len(ids) == 6


def test_no_text_no_chunks():
    assert chunk_pages([], SMALL, words) == chunk_pages(pages_of(["", " \n"]), SMALL, words) == []


@pytest.mark.parametrize(
    ("title", "page", "line"),
    [
        ("A  manual\nof wings", "Nothing but prose stands here.", "A manual of wings"),
        ("x" * 300, "", "x" * 160),
    ],
)
def test_context_line_falls_back_on_the_title(title, page, line):
    assert context_line(title, page) == line
