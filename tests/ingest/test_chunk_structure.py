"""Each rule of the strategy "structure", by example. A word is a token."""

import pytest

from fieldguide.settings import Ingest
from fieldguide.types import Block, Page
from ingest.chunk import chunk_pages


def words(texts):
    return [len(text.split()) for text in texts]


def page_of(*parts, number=1):
    """A page of (kind, text) or (kind, text, level) parts; a table's level is the number of its header rows."""
    text, blocks = "", []
    for kind, part, *level in parts:
        start = len(text) + 2 * bool(text)
        text = f"{text}\n\n{part}" if text else part
        rows = part.split("\n")[: level[0]] if kind == "table" and level else []
        head = start + sum(len(row) + 1 for row in rows)
        blocks.append(Block(kind, start, len(text), level[0] if kind == "heading" else 0, head))
    return Page("doc", number, str(number), text, "r", tuple(blocks))


def cut(*pages, tokens=16, overlap=0, title=""):
    return chunk_pages(pages, Ingest(chunk_tokens=tokens, chunk_overlap=overlap), words, title)


def texts(*pages, **settings):
    return [chunk.text for chunk in cut(*pages, **settings)]


def some(n, word="w"):
    """A sentence of n words."""
    return " ".join([word.upper()] + [word] * (n - 1)) + "."


def test_a_heading_goes_with_the_text_that_follows_and_starts_a_chunk():
    page = page_of(("paragraph", some(12)), ("heading", "Wings", 1), ("paragraph", some(12, "x")))
    assert texts(page) == [some(12), f"Wings\n\n{some(12, 'x')}"]


def test_a_heading_stays_with_text_that_fills_a_chunk_by_itself():
    page = page_of(("heading", "Wings", 1), ("paragraph", "a b c d e f g h\ni j k l m n o p."))
    assert texts(page) == ["Wings\n\na b c d e f g h", "i j k l m n o p."]


def test_headings_upon_headings_are_open_together():
    page = page_of(("heading", "One", 1), ("heading", "Two", 2), ("paragraph", some(5)), ("heading", "Three", 1))
    chunks = cut(page, title="Report")
    assert [(c.text, c.heading, c.context) for c in chunks] == [
        (f"One\n\nTwo\n\n{some(5)}\n\nThree", ("One", "Two"), "Report > One > Two")
    ]


def test_paths_close_with_their_level():
    sections = [("A", 1), ("B", 2), ("C", 2), ("D", 1), ("E", 3)]
    parts = [part for name, level in sections for part in (("heading", name, level), ("paragraph", some(12)))]
    assert [c.heading for c in cut(page_of(*parts))] == [("A",), ("A", "B"), ("A", "C"), ("D",), ("D", "E")]


def test_long_headings_are_shortened():
    (chunk,) = cut(page_of(("heading", "wing " * 40, 1), ("paragraph", "Text.")), tokens=64)
    assert chunk.heading == (("wing " * 23).strip() + "…",)


def test_small_sections_share_a_chunk_and_large_ones_do_not():
    small = [part for n in range(4) for part in (("heading", f"H{n}", 2), ("paragraph", some(2)))]
    assert texts(page_of(*small)) == ["\n\n".join(f"H{n}\n\n{some(2)}" for n in range(4))]
    large = [part for n in range(2) for part in (("heading", f"H{n}", 2), ("paragraph", some(7)))]
    assert texts(page_of(*large)) == [f"H{n}\n\n{some(7)}" for n in range(2)]


def test_sentences_stay_whole():
    page = page_of(("paragraph", " ".join([some(7), some(7, "x"), some(7, "y")])))
    assert texts(page) == [f"{some(7)} {some(7, 'x')}", some(7, "y")]


def test_the_overlap_is_of_whole_sentences_of_one_paragraph():
    page = page_of(("paragraph", " ".join([some(9), some(4, "x"), some(9, "y")])), ("paragraph", some(10, "z")))
    assert texts(page, overlap=5) == [f"{some(9)} {some(4, 'x')}", f"{some(4, 'x')} {some(9, 'y')}", some(10, "z")]


def test_a_list_stays_with_the_line_that_introduces_it():
    page = page_of(("paragraph", some(10)), ("paragraph", "Bring:"), ("list", "• one two\n• three\nfour\n• five"))
    assert texts(page) == [some(10), "Bring:\n\n• one two\n• three\nfour\n• five"]


def test_a_long_list_is_cut_between_items():
    items = [f"{n}. {'item ' * 5}\nmore" for n in range(1, 5)]
    assert texts(page_of(("list", "\n".join(items)))) == ["\n".join(items[:2]), "\n".join(items[2:])]


def test_lines_of_a_form_stay_whole():
    lines = [f"Label: value {n} and what\ngoes on behind it." for n in range(3)]
    assert texts(page_of(("paragraph", "\n".join(lines))), tokens=18) == ["\n".join(lines[:2]), lines[2]]


def test_a_table_repeats_its_header_rows_and_names_its_caption():
    rows = [f"Row {n} | value {n} | value {n}" for n in range(4)]
    page = page_of(("caption", "Table 1"), ("table", "\n".join(["Name | 2019", *rows]), 1), ("footer", "7"))
    first, second = cut(page, tokens=24, title="Report")
    assert first.text == "\n".join(["Table 1\n\nName | 2019", *rows[:2]])
    assert second.text == "Name | 2019\n\n" + "\n".join(rows[2:])
    assert [page.text[s.start : s.end] for s in second.spans] == ["Name | 2019", "\n".join(rows[2:])]
    assert (first.context, second.context) == ("Report", "Report > Table 1")


def test_header_rows_are_not_repeated_where_each_row_names_its_columns():
    rows = [f"Row {n} | 2019: {n} | 2020: {n}" for n in range(4)]
    page = page_of(("table", "\n".join(["Name | 2019 | 2020", *rows]), 1))
    assert texts(page, tokens=24) == ["\n".join(["Name | 2019 | 2020", *rows[:2]]), "\n".join(rows[2:])]


def test_a_heading_that_nearly_all_chunks_stand_under_is_not_in_their_line():
    parts = [("heading", "Air Report", 1)]
    for n in range(6):
        parts += [("heading", f"Part {n}", 2), ("paragraph", some(14, f"w{n}"))]
    chunks = cut(page_of(*parts), tokens=20, title="Doc")
    assert [chunk.context for chunk in chunks] == [f"Doc > Part {n}" for n in range(6)]
    assert chunks[3].heading == ("Air Report", "Part 3")


def test_long_header_rows_are_not_repeated():
    head = "Name | " + "long " * 8
    page = page_of(("table", "\n".join([head, *["a | b: c | d"] * 4]), 1))
    assert [text.count("Name") for text in texts(page)] == [1, 0, 0]


def test_a_row_too_long_is_cut_between_cells():
    cells = [f"Column {n}: one two three" for n in range(5)]
    row = " | ".join(["Label", *cells])
    assert texts(page_of(("table", row))) == [
        "Label | Column 0: one two three |",
        "Column 1: one two three | Column 2: one two three |",
        "Column 3: one two three | Column 4: one two three",
    ]


def test_a_paragraph_goes_on_over_a_page_end_and_its_edges():
    first = page_of(("paragraph", "The wing hit"), ("footer", "Page 1"))
    second = page_of(("header", "Report"), ("paragraph", "a tall tree. It was bent."), number=2)
    (chunk,) = cut(first, second)
    assert chunk.text == "The wing hit\n\na tall tree. It was bent."
    assert [(s.page, s.start, s.end) for s in chunk.spans] == [(1, 0, 12), (2, 8, 33)]
    full = page_of(("paragraph", f"{some(12)} The wing hit"), ("footer", "Page 1"))
    assert texts(full, second) == [some(12), "The wing hit\n\na tall tree. It was bent."]


@pytest.mark.parametrize("last", ["The wing hit.", "Made of:"])
def test_a_paragraph_that_ends_does_not_go_on(last):
    pages = page_of(("paragraph", f"{some(9)} {last}")), page_of(("paragraph", "a tall tree of dry wood."), number=2)
    assert texts(*pages) == [f"{some(9)} {last}", "a tall tree of dry wood."]


def test_text_without_spaces_is_cut_behind_its_marks_then_anywhere():
    def characters(texts):
        return [len("".join(text.split())) for text in texts]

    def cut_so(text):
        chunks = chunk_pages([page_of(("paragraph", text))], Ingest(chunk_tokens=16, chunk_overlap=0), characters)
        return [chunk.text for chunk in chunks]

    assert cut_so("飛機撞上一棵大樹。機翼彎曲，無人受傷。") == ["飛機撞上一棵大樹。", "機翼彎曲，無人受傷。"]
    assert cut_so("機" * 40) == ["機" * 10] * 4
    assert cut_so("ก\u0e49" * 16)[0][-1] == "\u0e49"


def test_text_that_no_block_holds_is_paragraphs():
    page = Page("doc", 1, "1", f"{some(12)}\n \n{some(12, 'x')}", "r")
    assert texts(page) == [some(12), some(12, "x")]
