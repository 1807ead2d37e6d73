"""What holds for the chunks of any pages, whatever the strategy; and the lines that name their place."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldguide.models.hashing import HashingEmbedder
from fieldguide.settings import Ingest
from fieldguide.types import PAGE_BREAK, Block, Page, Span
from ingest.chunk import CONTEXT_TOKENS, chunk_pages, context_line, document_line, settings_key

STRATEGIES = ["structure", "recursive", "character", "tokens"]
SMALL = Ingest(chunk_tokens=16, chunk_overlap=5)
LINES = st.sampled_from(
    ["a", "to be or not to be", "Total 5", "– 5 –", "goes on and", "The wing hit a tree. It was bent.", "\u2003x",
     "1. one two", "Label: value", "Sales | 2019: 5 | 2020: 6", "x1.y2.z3 " * 9, "\u4e00\u3002\u4e8c" * 60, "w" * 400]
)  # fmt: skip
REPEATED = st.tuples(LINES, st.integers(1, 20)).map(lambda given: "\n".join([given[0]] * given[1]))
TEXTS = REPEATED | st.lists(LINES | st.text(max_size=12), max_size=8).map("\n".join) | st.text("ab .\n", max_size=160)
KINDS = st.sampled_from(["heading", "paragraph", "list", "table", "caption", "header", "footer", None])
PAGES = st.lists(st.lists(st.tuples(KINDS, st.integers(1, 3), TEXTS), max_size=5), max_size=4)
count = HashingEmbedder().count_tokens


def words(texts):
    return [len(text.split()) for text in texts]


def page_of(number, parts):
    """A page of (kind, level, text) parts; a part of kind None is text that no block holds."""
    text, blocks = "", []
    for kind, level, part in parts:
        start = len(text) + 2 * bool(text)
        text = f"{text}\n\n{part}" if text else part
        if kind and part.strip():
            head = start + (part.find("\n") + 1 if kind == "table" and level > 1 else 0)
            blocks.append(Block(kind, start, len(text), level if kind == "heading" else 0, head))
    return Page("doc", number, str(number), text, "r", tuple(blocks))


def pages_of(texts):
    return [Page("doc", n, str(n), text, "r") for n, text in enumerate(texts, 1)]


@pytest.mark.parametrize("strategy", STRATEGIES)
@settings(max_examples=20, deadline=None)
@given(PAGES, st.integers(0, 15))
def test_chunks_are_their_spans_and_cover_the_body_and_nothing_else(strategy, parts, overlap):
    pages = [page_of(n, page) for n, page in enumerate(parts, 1)]
    asked = Ingest(chunk_tokens=16, chunk_overlap=overlap, strategy=strategy)
    chunks = chunk_pages(pages, asked, count, "Title")
    missing = [{n for n, char in enumerate(page.text) if not char.isspace()} for page in pages]
    edges = [set() for _ in pages]
    for page, rest, edge in zip(pages, missing, edges, strict=True):
        for block in page.blocks:
            if block.kind in ("header", "footer"):
                edge.update(rest.intersection(range(block.start, block.end)))
        rest -= edge
    for chunk in chunks:
        assert all(0 <= s.start < s.end <= len(pages[s.page - 1].text) for s in chunk.spans)
        assert chunk.text == PAGE_BREAK.join(pages[s.page - 1].text[s.start : s.end] for s in chunk.spans)
        assert chunk.text == chunk.text.strip() != ""
        assert count([chunk.text])[0] <= 16
        for span in chunk.spans:
            held = set(range(span.start, span.end))
            assert not held & edges[span.page - 1]
            missing[span.page - 1] -= held
    assert not any(missing)
    ends = [(chunk.spans[-1].page, chunk.spans[-1].end) for chunk in chunks]
    assert ends == sorted(set(ends))
    assert len({chunk.id for chunk in chunks}) == len(chunks)
    assert chunks == chunk_pages(pages, asked, count, "Title")


@settings(max_examples=20, deadline=None)
@given(PAGES, st.data())
def test_locate_finds_the_characters_on_their_pages(parts, data):
    pages = [page_of(n, page) for n, page in enumerate(parts, 1)]
    for chunk in chunk_pages(pages, SMALL, count):
        start = data.draw(st.integers(0, len(chunk.text)))
        end = data.draw(st.integers(start, len(chunk.text)))
        located = PAGE_BREAK.join(pages[s.page - 1].text[s.start : s.end] for s in chunk.locate(start, end))
        assert located.replace("\n", "") == chunk.text[start:end].replace("\n", "")
        assert chunk.locate(0, len(chunk.text)) == chunk.spans


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_chunk_runs_over_a_blank_page(strategy):
    asked = Ingest(chunk_tokens=16, chunk_overlap=5, strategy=strategy)
    (chunk,) = chunk_pages(pages_of(["The wing hit", " \n", "a tree."]), asked, words, "Elyria")
    assert chunk.text == "The wing hit\n\na tree."
    assert chunk.spans == (Span(1, 0, 12), Span(3, 0, 7))
    assert chunk.pages == (1, 3)
    assert chunk.indexed_text == "Elyria\nThe wing hit\n\na tree."
    assert chunk.locate(9, 20) == (Span(1, 9, 12), Span(3, 0, 6))
    assert chunk.locate(12, 14) == ()


@pytest.mark.parametrize(
    ("strategy", "ends"),
    [
        ("structure", [(0, 15), (11, 26), (22, 37)]),
        *((name, [(0, 10), (6, 21), (17, 32), (28, 37)]) for name in ("recursive", "character", "tokens")),
    ],
)
def test_overlap_repeats_whole_words_and_no_more_than_its_size(strategy, ends):
    text = " ".join(f"word{n}" for n in range(38))
    asked = Ingest(chunk_tokens=16, chunk_overlap=5, strategy=strategy)
    chunks = chunk_pages(pages_of([text]), asked, words)
    assert [(c.text.split()[0], c.text.split()[-1]) for c in chunks] == [(f"word{a}", f"word{b}") for a, b in ends]


@pytest.mark.parametrize("strategy", ["structure", "recursive"])
def test_repeated_lines_are_located_one_after_another(strategy):
    text = "\n".join(["to be or not to be"] * 9)
    asked = Ingest(chunk_tokens=16, chunk_overlap=0, strategy=strategy)
    spans = [c.spans[0] for c in chunk_pages(pages_of([text]), asked, words)]
    assert [(s.start, s.end) for s in spans] == [(0, 37), (38, 75), (76, 113), (114, 151), (152, 170)]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_headers_are_left_out_and_headings_named(strategy):
    page = page_of(1, [("header", 0, "ACME 2019"), ("heading", 1, "Wing"), ("paragraph", 0, "It is  bent.")])
    asked = Ingest(chunk_tokens=16, chunk_overlap=5, strategy=strategy)
    (chunk,) = chunk_pages([page], asked, words, "Report")
    assert (chunk.text, chunk.heading, chunk.context) == ("Wing\n\nIt is  bent.", ("Wing",), "Report > Wing")


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


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_no_text_no_chunks(strategy):
    asked = Ingest(strategy=strategy)
    assert chunk_pages([], asked, words) == chunk_pages(pages_of(["", " \n"]), asked, words) == []


@pytest.mark.parametrize(
    "text",
    ["\n" * 60_000, "a " * 10_000, "A. " * 3_000, "x" * 300_000, "| " * 10_000, "Label: " * 5_000, "1.\n" * 5_000],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["paragraph", "list", "table"])
def test_time_grows_with_length_only(text, kind):
    begun = time.perf_counter()
    chunks = chunk_pages([page_of(1, [(kind, 2, text)])], Ingest(context_line=False), words)
    assert time.perf_counter() - begun < 20
    assert max((len(chunk.text) for chunk in chunks), default=0) <= 16 * 128


@pytest.mark.parametrize(
    ("title", "page", "line"),
    [
        ("A  manual\nof wings", "Nothing but prose stands here.", "A manual of wings"),
        ("x" * 300, "", "x" * 160),
        ("dca", "Location: Elyria, OH\nDate: 01/02/2008\nAircraft: Cessna 150", "Elyria, OH; 01/02/2008; Cessna 150"),
        ("Sales", "Row | 2017: 5 | 2018: 6 | 2019: 7 | 2020: 8", "Sales"),
    ],
)
def test_a_document_is_named_by_its_form_or_its_title(title, page, line):
    assert document_line(title, page) == line


@pytest.mark.parametrize(
    ("document", "heading", "caption", "line"),
    [
        ("", (), "", ""),
        ("Annual report", (), "", "Annual report"),
        ("Annual report", ("Annual Report", "Sales"), "Table 2", "Annual report > Sales > Table 2"),
        ("D " * 20, ("Top", "mid " * 20, "Low"), "", "D " * 20 + " > Top > Low"),
        ("D " * 20, ("top " * 10, "mid " * 10, "low " * 10), "", "D " * 20 + " > " + "low " * 10),
        ("D", (), "c " * 20, "D > c c c c c c c c c c c…"),
    ],
)
def test_context_lines(document, heading, caption, line):
    tokens = {part: len(part.split()) for part in (document, *heading, caption)}
    assert context_line(document, heading, caption, tokens).split() == line.split()


@given(st.lists(st.text("ab ", max_size=150), min_size=2, max_size=7))
def test_context_lines_are_short(parts):
    tokens = dict(zip(parts, words(parts), strict=True))
    assert words([context_line(parts[0], parts[1:-1], parts[-1], tokens).replace(">", "")])[0] <= CONTEXT_TOKENS


def test_without_context_lines():
    (chunk,) = chunk_pages(pages_of(["Text."]), Ingest(context_line=False), words, "Title")
    assert chunk.context == ""


def test_the_caller_may_name_the_document_better():
    (chunk,) = chunk_pages(pages_of(["Text."]), Ingest(), words, "Title", "Acme; 2019")
    assert chunk.context == "Acme; 2019"


def test_settings_that_decide_chunks():
    assert len({settings_key(Ingest(**one)) for one in (
        {}, {"strategy": "tokens"}, {"chunk_tokens": 99}, {"chunk_overlap": 9}, {"context_line": False}, {"workers": 3},
    )}) == 5  # fmt: skip
