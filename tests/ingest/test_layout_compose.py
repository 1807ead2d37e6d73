"""Layout of whole pages: reading order, blocks, and what holds for any words wherever they stand."""

from __future__ import annotations

import math
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.layout.compose import lay_out
from ingest.layout.words import OutlineEntry, RawPage, Word

SIZE = 10.0


def line(text, x=50.0, top=50.0, size=SIZE, bold=False):
    """The words of a line, each character 0.5 of the size wide; "~" stands for a gap of three characters."""
    words = []
    for part in text.split(" "):
        gap = len(part) - len(part.lstrip("~"))
        x += 3 * gap * size / 2
        part = part.lstrip("~")
        words.append(Word(part, x, top, x + len(part) * size / 2, top + size * 1.2, size, bold))
        x += (len(part) + 1) * size / 2
    return words


def raw(*words, number=1, text="", width=612.0, height=792.0):
    return RawPage(number, str(number), width, height, tuple(words), text, "pdfium")


def column(texts, x, top, step=12.0):
    return [word for n, text in enumerate(texts) for word in line(text, x, top + n * step)]


def blocks(page):
    return [(block.kind, page.text[block.start : block.end]) for block in page.blocks]


def check(raw_page, page):
    """What holds for every page: blocks in order, apart, and over all of the text but white space."""
    end = 0
    for block in page.blocks:
        assert end <= block.start < block.end <= len(page.text)
        assert not page.text[end : block.start].strip()
        assert block.head == 0 or block.start <= block.head <= block.end
        assert (block.level > 0) == (block.kind == "heading")
        assert block.level <= 6
        end = block.end
    assert not page.text[end:].strip()
    assert not any(ord(char) < 32 and char != "\n" for char in page.text)
    page.text.encode()


LEFT = [f"left {n} of the words that fill this column" for n in "abcdefgh"]
RIGHT = [f"right {n} of the words that fill that column" for n in "abcdefgh"]


def test_columns_that_were_written_one_after_the_other():
    title = line("A title that runs over both of the columns of this page here", 100, 50, 16.0, True)
    page = raw(*title, *column(LEFT, 50, 100), *column(RIGHT, 320, 100))
    (found,) = lay_out([page])
    assert blocks(found) == [
        ("heading", "A title that runs over both of the columns of this page here"),
        ("paragraph", "\n".join(LEFT)),
        ("paragraph", "\n".join(RIGHT)),
    ]


def test_columns_that_were_written_line_by_line():
    rows = [w for n in range(8) for w in line(LEFT[n], 50, 100 + 12 * n) + line(RIGHT[n], 320, 100 + 12 * n)]
    (found,) = lay_out([raw(*rows)])
    assert found.text == "\n".join(LEFT) + "\n\n" + "\n".join(RIGHT)


def test_columns_with_baselines_of_their_own():
    page = raw(*column(LEFT, 50, 100, 12.0), *column(RIGHT, 320, 105, 12.0))
    assert lay_out([page])[0].text == "\n".join(LEFT) + "\n\n" + "\n".join(RIGHT)


def test_a_form_keeps_its_lines():
    rows = [
        "Location: Chevroux, France ~~~~~~~Accident Number: DEN08WA042",
        "Date & Time: 11/27/2007 ~~~~~~~~~~Registration: N74SR",
        "Aircraft: Sorrell SNJ-7 ~~~~~~~~~~Aircraft Damage: Substantial",
        "Defining Event: none known ~~~~~~~Injuries: 1 None",
    ]
    page = raw(*(word for n, row in enumerate(rows) for word in line(row, 50, 100 + 20 * n)))
    assert lay_out([page])[0].text == "\n".join(row.replace("~", "") for row in rows)


def test_three_columns_under_a_title():
    middle = [f"middle {n} of the words in here" for n in "abcdefgh"]
    short = [text[:30].strip() for text in LEFT]
    title = line("The news of the county, in three columns, for all who farm", 100, 50, 16.0, True)
    page = raw(*title, *column(short, 40, 100), *column(middle, 220, 100), *column(RIGHT, 400, 100))
    found = [text for _, text in blocks(lay_out([page])[0])]
    assert found[1:] == ["\n".join(short), "\n".join(middle), "\n".join(RIGHT)]


def test_rows_of_short_cells_stay_lines():
    rows = [("Common Stock of the bank", "JNJ", "New York Exchange"), ("Notes due in May", "JNK", "Boston Exchange")]
    words = [word for x, part in ((50, 0), (300, 1), (400, 2)) for n, row in enumerate(rows * 2)
             for word in line(row[part], x, 100 + 12 * n)]  # fmt: skip
    assert lay_out([raw(*words)])[0].text == "\n".join(" ".join(row) for row in rows * 2)


def test_words_cut_at_a_lines_end():
    lines = ["We speak of irriga-", "tion and a well-", "known self-", "made map; see coop\u00ad", "erate"]
    page = raw(*(w for n, text in enumerate(lines) for w in line(text, 50, 100 + 12 * n)))
    (found,) = lay_out([page])
    assert found.text == "We speak of irrigation\nand a well-known\nself-made\nmap; see cooperate"


def test_the_other_form_of_a_word_decides_on_its_hyphen():
    lines = ["a by-", "product and a data-", "base; the by-product", "of each database"]
    page = raw(*(w for n, text in enumerate(lines) for w in line(text, 50, 100 + 12 * n)))
    assert lay_out([page])[0].text == "a by-product\nand a database;\nthe by-product\nof each database"


def test_compounds_keep_their_hyphen():
    lines = [
        "They use percentage-",
        "of-completion and pre-",
        "and postwar prices; a",
        "mixed growth, its use, a mixed-",
    ]
    lines += ["growth crop"]
    page = raw(*(w for n, text in enumerate(lines) for w in line(text, 50, 100 + 12 * n)))
    assert lay_out([page])[0].text == (
        "They use percentage-of-completion\nand pre-\nand postwar prices; a\n"
        "mixed growth, its use, a mixed-growth\ncrop"
    )


def test_furniture_is_kept_at_the_edges():
    pages = []
    for n in range(1, 5):
        body = column([f"Page {n} tells about the {m} thing at some length here" for m in ("first", "second")], 50, 100)
        head = line("Annual report of the works", 50, 30)
        foot = line(f"Water and soil ~~~~~~~~~~~{n}", 50, 760)
        pages.append(raw(*body, *head, *foot, number=n))
    for n, page in enumerate(lay_out(pages), 1):
        assert [kind for kind, _ in blocks(page)] == ["header", "paragraph", "footer"]
        assert blocks(page)[0][1] == "Annual report of the works"
        assert blocks(page)[2][1] == f"Water and soil {n}"


def body(n, top=140.0):
    return column([f"{m} thing that page {n} tells about at some length here" for m in ("First", "Second")], 50, top)


def test_running_heads_of_several_lines_are_furniture():
    pages = [
        raw(*line(f"Page {n}", 500, 30), *line("Not Reported in A.3d", 50, 60),
            *line("(Cite as: 2012)", 50, 72, 10, True), *body(n), number=n)
        for n in range(1, 7)
    ]  # fmt: skip
    for n, page in enumerate(lay_out(pages), 1):
        assert blocks(page)[0] == ("header", f"Page {n}\nNot Reported in A.3d\n(Cite as: 2012)")


def test_what_tables_repeat_is_no_furniture():
    title = "Statement of Earnings of the Bank"
    pages = [
        raw(*line("Johnson and Sons", 50, 30), *(line(title, 50, 60, 10, True) if n in (3, 4, 5) else ()),
            *body(n), number=n)
        for n in range(1, 13)
    ]  # fmt: skip
    for n, page in enumerate(lay_out(pages), 1):
        assert blocks(page)[0] == ("header", "Johnson and Sons")
        assert (title in blocks(page)[1][1]) == (n in (3, 4, 5))


def test_two_pages_with_the_same_foot():
    pages = [raw(*body(n), *line("Form 12 of the county office", 50, 760), number=n) for n in (1, 2)]
    assert [blocks(page)[-1] for page in lay_out(pages)] == [("footer", "Form 12 of the county office")] * 2


def test_prose_in_a_larger_font_than_the_forms_is_no_heading():
    form = [w for n in range(30) for w in line(f"Label {n}: the value of the field {n}", 50, 300 + 12 * n, 8.0)]
    prose = [
        *column(["The pilot said that the airplane would not climb over the hill",
                 "and that he saw no other way than to land in a field nearby",
                 "where the airplane was damaged and nobody at all was hurt."], 50, 60),
        *line("Civil Aviation Bureau", 50, 120), *line("200 rue de Paris", 50, 140),
    ]  # fmt: skip
    kinds = {kind for kind, _ in blocks(lay_out([raw(*prose, *form)])[0])}
    assert "heading" not in kinds


def test_bold_titles_between_the_items_of_a_list():
    words = [
        *line("89. It is because they did not view them as material that they", 50, 60),
        *line("bought the shares;", 75, 72),
        *line("II. ABSENCE OF DISCLOSURES", 50, 96, 10, True),
        *line("90. The reports did not correct any statement of that kind, as in Smith", 50, 120),
        *line("v. Jones they should have;", 50, 132),
        *line("91. More was not said.", 50, 150),
    ]
    found = blocks(lay_out([raw(*words)])[0])
    assert found[1] == ("heading", "II. ABSENCE OF DISCLOSURES")
    assert found[2][1].split("\n")[1] == "v. Jones they should have;"


def test_titles_in_plain_type_and_before_lists():
    words = [
        *line("Fair Value of Instruments", 50, 60),
        *column(["The values of all that we hold at the end of the year were as stated in", "the notes."], 50, 84),
        *line("UNIT 7: Designing Structures", 50, 124, 10, True),
        *line("What you will learn:", 50, 154, 10, True),
        *line("• a weir, which is cheap", 60, 170),
        *line("• a flume, which is not", 60, 182),
        *line("He said what he had to say.", 50, 220),
    ]
    kinds = [(kind, text) for kind, text in blocks(lay_out([raw(*words)])[0]) if kind == "heading"]
    assert [text for _, text in kinds] == [
        "Fair Value of Instruments", "UNIT 7: Designing Structures", "What you will learn:"
    ]  # fmt: skip


def test_levels_follow_the_outline():
    words = [
        *line("Note 14 Equity of the bank", 50, 60, 12.0, True), *line("It has some of it.", 50, 84),
        *line("Note 15 Debt of the bank", 50, 120, 12.0, True), *line("It has some of that.", 50, 144),
        *line("Common stock", 50, 180, 11.0, True), *line("It has no such thing.", 50, 204),
    ]  # fmt: skip
    (found,) = lay_out([raw(*words)], [OutlineEntry("Note 14 Equity of the bank", 4, 1)])
    assert [block.level for block in found.blocks if block.kind == "heading"] == [4, 4, 5]


def test_a_form_with_labels_of_two_lines_is_one_block():
    texts = {100: "Location: Here", 120: "Gusts: 13 knots ~~~~~Turbulence Type", 148: "Altimeter: 30 ~~Light: Day"}
    rows = [word for top, text in texts.items() for word in line(text, 50, top)]
    rows = [Word(w.text, w.x0, w.top, w.x1, w.bottom, w.size, w.text.endswith(":")) for w in rows]
    page = raw(*rows, *line("Forecast:", 180, 131, 10, True))
    assert [kind for kind, _ in blocks(lay_out([page])[0])] == ["paragraph"]


def test_turned_words_stay_together():
    turned = [
        Word(text, 20, top, 32, top + 6 * len(text), 10) for text, top in (("4", 300), ("The", 312), ("County", 336))
    ]
    turned.append(Word("of", 20, 378, 32, 390, 10))
    turned.append(Word("Exeter", 20, 396, 32, 432, 10))
    (found,) = lay_out([raw(*turned, *column(LEFT, 100, 100, 40))])
    assert blocks(found)[-1] == ("paragraph", "4 The County of Exeter")


def test_a_page_that_layout_fails_on_keeps_its_words(monkeypatch):
    def fail(*_):
        raise ZeroDivisionError

    monkeypatch.setattr("ingest.layout.compose.regions", fail)
    first, second = lay_out([raw(*column(LEFT, 50, 100)), raw(text="a page without words", number=2)])
    assert blocks(first) == [("paragraph", " ".join(LEFT))]
    assert second.text == "a page without words"


def test_lists_captions_and_headings():
    words = [
        *line("2.1 Measuring flow", 50, 60, 12.0, True),
        *line("Water that runs in a ditch is measured with one of these devices,", 50, 90),
        *line("and none of them is cheap enough for every farm in the county.", 50, 102),
        *line("• a weir, which is", 60, 122),
        *line("cheap", 70, 134),
        *line("• a flume", 60, 146),
        *line("Figure 3. Flow over a weir as the", 50, 180),
        *line("gauge saw it", 50, 192),
        *line("Another paragraph of the text stands below the figure, as it would.", 50, 230),
    ]
    (found,) = lay_out([raw(*words)])
    assert [(block.kind, block.level) for block in found.blocks] == [
        ("heading", 2), ("paragraph", 0), ("list", 0), ("caption", 0), ("paragraph", 0),
    ]  # fmt: skip
    assert blocks(found)[2][1] == "• a weir, which is\ncheap\n• a flume"
    assert blocks(found)[3][1] == "Figure 3. Flow over a weir as the\ngauge saw it"


def test_the_outline_makes_headings():
    words = column(
        ["3. Results of the year", "They were good, and the weather was bad.", "More was not said."], 50, 100
    )
    (found,) = lay_out([raw(*words)], [OutlineEntry("Results of the Year", 2, 1)])
    assert [(block.kind, block.level) for block in found.blocks] == [("heading", 2), ("paragraph", 0)]


def test_a_page_without_words_gives_its_lines():
    (found,) = lay_out([raw(text="One\xa0line  \r\nand one\x07\r\n\r\n\r\nThen \ud800 more")])
    assert found.text == "One line\nand one\n\nThen \ufffd more"
    assert [block.kind for block in found.blocks] == ["paragraph", "paragraph"]


def test_absurd_boxes_leave_the_parsers_order():
    words = [Word(text, math.nan, math.inf, -math.inf, math.nan, math.nan) for text in ("one", "two", "three")]
    (found,) = lay_out([raw(*words, text="one two\nthree")])
    assert found.text == "one two\nthree"


def test_right_to_left_lines_keep_the_parsers_order():
    words = [Word("שלום", 100, 50, 130, 62, 10), Word("לכל", 60, 50, 95, 62, 10), Word("העולם", 20, 50, 55, 62, 10)]
    assert lay_out([raw(*words)])[0].text == "שלום לכל העולם"


texts = st.text(st.characters(exclude_categories=("Zs", "Zl", "Zp")), min_size=1, max_size=8)
coordinates = st.one_of(
    st.integers(-20, 800).map(float),
    st.floats(allow_nan=True, allow_infinity=True),
    st.sampled_from([0.0, 1e-9, 1e300]),
)
wild = st.builds(Word, texts, coordinates, coordinates, coordinates, coordinates, coordinates, st.booleans())


@settings(max_examples=80, deadline=None)
@given(st.lists(st.lists(wild, max_size=12), max_size=4), st.text(max_size=40))
def test_any_words_anywhere(pages, text):
    given_pages = [raw(*words, number=n + 1, text=text) for n, words in enumerate(pages)]
    found = lay_out(given_pages)
    assert found == lay_out(given_pages)
    assert len(found) == len(pages)
    for raw_page, page in zip(given_pages, found, strict=True):
        check(raw_page, page)


def at(text, x, y, size, bold):
    return Word(text, x * 7.0, y * 6.0, x * 7.0 + len(text) * size / 2, y * 6.0 + size, size, bold)


SOME = ["The", "flow", "of", "water", "12", "3.4", "•", "1.", "(a)", "Figure", "Table", "7:", "Total:", "–", "known-"]
sizes = st.sampled_from([8.0, 10.0, 14.0])
placed = st.builds(at, st.sampled_from(SOME), st.integers(0, 80), st.integers(0, 120), sizes, st.booleans())


@settings(max_examples=80, deadline=None)
@given(st.lists(st.lists(placed, max_size=120), min_size=1, max_size=4))
def test_every_word_is_in_the_text_once(pages):
    given_pages = [raw(*words, number=n + 1) for n, words in enumerate(pages)]
    for raw_page, page in zip(given_pages, lay_out(given_pages), strict=True):
        check(raw_page, page)
        if any(block.kind == "table" for block in page.blocks):
            continue  # its rows repeat the columns' names
        want = Counter("".join(word.text for word in raw_page.words).replace("-", ""))
        assert Counter("".join(page.text.split()).replace("-", "")) == want


def test_a_huge_page_takes_time_in_line_with_its_words():
    words = [Word("w", n % 600, n % 790, n % 600 + 3, n % 790 + 8, 8.0) for n in range(100_000)]
    (found,) = lay_out([raw(*words)])
    assert found.text.count("w") == 100_000
