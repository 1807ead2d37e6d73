"""Documents that are no PDFs: what they hold, where it stands, and what hostile ones end in."""

from __future__ import annotations

import datetime
import io
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.parsed import NotRead
from ingest.readers.documents import SUFFIXES, read_document
from ingest.readers.tables import Cell, table
from ingest.readers.writing import Part, tidy, write_page, write_pages


@pytest.fixture
def read(tmp_path):
    def read(name, content, max_pages=5000):
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return read_document(path, max_pages)

    return read


@pytest.fixture
def refused(read):
    def refused(name, content, max_pages=5000):
        with pytest.raises(NotRead) as caught:
            read(name, content, max_pages)
        return caught.value.status, caught.value.reason

    return refused


def shown(page):
    """(kind, level, text) of each block, a table's header set off by //."""
    found = []
    for block in page.blocks:
        text = page.text[block.start : block.end]
        if block.kind == "table":
            cut = block.head - block.start
            text = text[:cut] + "//" + text[cut:]
        found.append((block.kind, block.level, text))
    return found


def saved(document):
    out = io.BytesIO()
    document.save(out)
    return out.getvalue()


def rezipped(raw, name, change):
    """The archive with one member's content changed."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(raw)) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        for member in old.namelist():
            content = old.read(member)
            new.writestr(member, change(content) if member == name else content)
    return out.getvalue()


# --- the builder

texts = st.text(st.sampled_from("ab \n\t|\r\f\x00\x0b\xa0\xad\u2028\u200bé·日"), max_size=30)
parts = st.builds(
    Part, st.sampled_from(["heading", "paragraph", "list", "table", "caption", "header", "footer"]), texts,
    head=st.integers(0, 3),
)  # fmt: skip


@given(st.lists(st.one_of(parts, st.none()), max_size=12))
def test_blocks_are_sorted_apart_and_hold_all_but_white_space(given_parts):
    pages = write_pages(given_parts, "text", 5000)
    written = "".join(page.text for page in pages)
    assert "".join(written.split()) == "".join("".join(tidy(p.text) for p in given_parts if p).split())
    for page in pages:
        end = -2
        for block in page.blocks:
            assert page.text[end + 2 if end < 0 else end : block.start] == ("" if end < 0 else "\n\n")
            assert block.start < block.end
            inside = page.text[block.start : block.end]
            assert inside == inside.strip()
            assert "\n\n" not in inside
            assert block.start <= block.head <= block.end if block.kind == "table" else block.head == 0
            end = block.end
        assert end in (-2, len(page.text))


@given(texts)
def test_tidying_twice_changes_nothing(text):
    assert tidy(tidy(text)) == tidy(text)


def test_a_long_text_without_pages_is_cut_at_paragraph_ends_and_headings_stay_with_their_text():
    parts = [Part("paragraph", f"{n} " + "x" * 1000) for n in range(4)]
    pages = write_pages([*parts[:3], Part("heading", "Next", 1), parts[3]], "text", 9)
    assert [page.label for page in pages] == ["1", "2"]
    assert [page.text[:6] for page in pages] == ["0 xxxx", "Next\n\n"]
    with pytest.raises(NotRead, match=r"it has 2 pages, more than ingest\.max_pages = 1"):
        write_pages([*parts], "text", 1)


def test_neighbouring_items_are_one_list():
    page = write_page([Part("list", "- a"), Part("list", "  - b"), Part("heading", "H", 3)], "1", "text")
    assert shown(page) == [("list", 0, "- a\n  - b"), ("heading", 3, "H")]


# --- tables


def cells(*rows):
    return [[Cell(text) for text in row] for row in rows]


def test_a_row_reads_alone():
    made = table(cells(("Item", "2019", "2020"), ("Revenue", "5", "6"), ("Cost", "", "4")))
    assert (made.text, made.head) == ("Item | 2019 | 2020\nRevenue | 2019: 5 | 2020: 6\nCost | 2020: 4", 1)


def test_spans_name_their_columns_and_stand_in_their_rows():
    made = table([
        [Cell("", rows=2), Cell("Men", columns=2), Cell("Women", columns=2)],
        [Cell("2019"), Cell("2020"), Cell("2019"), Cell("2020")],
        [Cell("North", rows=2), Cell("$"), Cell("1"), Cell("2"), Cell("3")],
        [Cell("4"), Cell("5"), Cell("("), Cell("6"), Cell(")")],
    ])  # fmt: skip
    assert made.text.split("\n") == [
        "Men | Women",
        "2019 | 2020 | 2019 | 2020",
        "North | Men 2020: $1 | Women 2019: 2 | Women 2020: 3",
        "North | Men 2019: 4 | Men 2020: 5 | Women 2020: (6)",
    ]
    assert made.head == 2


def test_a_table_without_header_has_none():
    made = table(cells(("Name", "Ann"), ("Age", "42"), ("Town", "Oslo")))
    assert (made.text, made.head) == ("Name | Ann\nAge | 42\nTown | Oslo", 0)


# --- plain text


def test_text_has_headings_lists_paragraphs_and_pages(read):
    parsed = read(
        "notes.txt",
        "The Report\n==========\n\nFirst line\nsecond line.\n\nFINDINGS\n\nWe saw:\n- one\n  thing\n- two\n\f"
        "2.1 Scope\n\nAll of it.\n\n1. First\n\n2. Second\n",
    )
    assert parsed.title == "The Report"
    assert shown(parsed.pages[0]) == [
        ("heading", 1, "The Report"),
        ("paragraph", 0, "First line\nsecond line."),
        ("heading", 2, "FINDINGS"),
        ("paragraph", 0, "We saw:"),
        ("list", 0, "- one thing\n- two"),
    ]
    assert shown(parsed.pages[1]) == [
        ("heading", 2, "2.1 Scope"),
        ("paragraph", 0, "All of it."),
        ("list", 0, "1. First\n2. Second"),
    ]
    assert [(page.label, page.reader) for page in parsed.pages] == [("1", "text"), ("2", "text")]


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("utf-8-sig", "Grüße aus München"),
        ("utf-16", "Grüße aus München"),
        ("utf-16-le", "Plain words without a mark"),
        ("cp1252", "Les élèves français étudiaient à l’école près de l’hôtel où l’été s’achève."),
        ("cp1252", "Les élèves français étudiaient à l'école près de l'hôtel."),
        ("cp1251", "Это русский текст для проверки кодировки, он довольно длинный."),
        ("shift_jis", "日本語の文章です。これは試験です。文字コードを調べます。"),
    ],
)
def test_encodings_are_found(read, encoding, text):
    assert read("a.txt", "\n".join([text] * 5).encode(encoding)).pages[0].text == "\n".join([text] * 5)


def test_a_broken_byte_leaves_the_rest_and_is_told(read):
    parsed = read("a.txt", "Grüße aus München\n".encode() * 20 + b"\xff end")
    assert parsed.pages[0].text.endswith("Grüße aus München\n� end")
    assert parsed.faults == [(1, "some bytes fit no encoding; U+FFFD stands for them")]


def test_files_that_are_not_what_they_say(refused):
    assert refused("a.txt", b"") == ("empty", "the file has no bytes")
    assert refused("a.txt", " \n\t\n") == ("empty", "it holds no text (pictures are not read)")
    assert refused("a.txt", b"%PDF-1.4 x") == ("not a document", "the file is a PDF, not what its ending .txt says")
    binary = "the file holds binary data, not the text that its ending .md promises"
    assert refused("a.md", bytes(range(256)) * 9) == ("not a document", binary)
    for name in ("a.docx", "a.pptx", "a.xlsx"):
        assert refused(name, "only text") == (
            "not a document", f"the file is not a {name[1:]} file (it is no zip archive)",
        )  # fmt: skip
        assert refused(name, b"PK\x03\x04 broken")[0] == "damaged"


def test_a_title_is_the_first_heading_or_the_name(read):
    assert read("shelf mark.txt", "only a line.").title == "shelf mark"
    assert set(SUFFIXES) == {".txt", ".md", ".markdown", ".html", ".htm", ".docx", ".pptx", ".xlsx"}


# --- Markdown


def test_markdown(read):
    parsed = read(
        "a.md",
        "---\ntitle: 'The *plan*'\ndate: 2020-01-02\ntags:\n  - x\n---\n"
        "# Head *one*\n\nA [link](http://x) and `code`\nwrapped.\n\n"
        "1. one\n   - deep\n2. two\n\n> quoted\n\n| Item | 2019 |\n|--|--|\n| Cost | 5 |\n\n"
        "```\ndef f():\n\n    return 1\n```\n"
        "<h2>In <b>HTML</b></h2>\n<!-- hidden -->\n",
    )
    assert (parsed.title, parsed.metadata) == ("The *plan*", {"Title": "The *plan*", "CreationDate": "2020-01-02"})
    assert shown(parsed.pages[0]) == [
        ("heading", 1, "Head one"),
        ("paragraph", 0, "A link and code wrapped."),
        ("list", 0, "1. one\n  - deep\n2. two"),
        ("paragraph", 0, "quoted"),
        ("table", 0, "Item | 2019//\nCost | 2019: 5"),
        ("paragraph", 0, "def f():\n    return 1"),
        ("heading", 2, "In HTML"),
    ]
    assert parsed.pages[0].reader == "markdown"


# --- HTML

PAGE = """<!DOCTYPE html>
<html lang=en><head><meta charset="iso-8859-1"><title>A  page</title><meta name=author content="Bo">
<meta property="article:published_time" content="2020-01-02"><style>p{}</style></head><body>
<nav>Home<br>About</nav><h1>The <em>head</em></h1><p>Caf\xe9 &amp; <a href=x>link</a><br>next<script>evil()</script>
<ul><li>one<ol start=3><li>deep<li>deeper</ol><li>two</ul>
<table><caption>Table 1</caption><thead><tr><th>Item<th colspan=2>2019</thead>
<tr><td>Cost<td>$<td>5<tr><td rowspan=2>Tax<td>1<td>2<tr><td>3<td>4</table>
<table><tr><td><h2>Laid out</h2>text<td>more</table>
<pre>a
  b</pre><p hidden>secret</p><footer>(c)</footer>"""


def test_html(read):
    parsed = read("a.html", PAGE.encode("latin-1"))
    assert parsed.title == "A page"
    assert parsed.metadata == {
        "Title": "A page", "Author": "Bo", "CreationDate": "2020-01-02", "Language": "en",
    }  # fmt: skip
    assert shown(parsed.pages[0]) == [
        ("heading", 1, "The head"),
        ("paragraph", 0, "Café & link\nnext"),
        ("list", 0, "- one\n  3. deep\n  4. deeper\n- two"),
        ("caption", 0, "Table 1"),
        ("table", 0, "Item | 2019//\nCost | 2019: $5\nTax | 2019: 1 | 2019: 2\nTax | 2019: 3 | 2019: 4"),
        ("heading", 2, "Laid out"),
        ("paragraph", 0, "text"),
        ("paragraph", 0, "more"),
        ("paragraph", 0, "a\n  b"),
    ]


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("<div>" * 100_000 + "deep" + "</div>" * 100_000 + "<p>after", "deep\n\nafter"),
        ("<ul><li>" * 10_000 + "deep", "- deep"),
        ("<table><tr><td>" * 10_000 + "deep", "deep"),
        ("<nav><div>" * 10_000 + "</div></nav>" * 10_000 + "after", "after"),
    ],
)
def test_deep_html_costs_nothing(read, content, text):
    assert read("a.html", content).pages[0].text == text


def test_html_knows_no_entities_of_its_own(read):
    page = '<!DOCTYPE html [<!ENTITY a "ha"><!ENTITY x SYSTEM "file:///etc/passwd">]><p>&a; &x; end'
    assert read("a.html", page).pages[0].text == "]>\n\n&a; &x; end"


def test_spans_cannot_fill_the_memory(refused, monkeypatch):
    monkeypatch.setattr("ingest.readers.tables.MAX_CELLS", 20_000)
    rows = "<tr><td rowspan=65534>x" * 300
    assert refused("a.html", f"<table>{rows}</table>") == ("too large", "a table in it has more than 20,000 cells")


# --- office files


def test_word(read):
    docx = pytest.importorskip("docx", reason="python-docx (extra: office) is not installed")
    document = docx.Document()
    document.core_properties.title, document.core_properties.author = "Annual plan", "A. Smith"
    document.sections[0].header.paragraphs[0].text = "ACME"
    document.sections[0].footer.paragraphs[0].text = "Page\t1"
    document.add_heading("Scope", 2)
    for text, style in (
        ("first", "List Bullet"),
        ("deep", "List Bullet 2"),
        ("one", "List Number"),
        ("two", "List Number"),
    ):
        document.add_paragraph(text, style=style)
    made = document.add_table(rows=3, cols=3)
    for row, texts in zip(made.rows, (("Item", "2019", "2020"), ("Cost", "5", "6"), ("Both", "7", ""))):
        for cell, text in zip(row.cells, texts):
            cell.text = text
    made.cell(2, 1).merge(made.cell(2, 2))
    document.add_paragraph("Table 1", style="Caption")
    paragraph = document.add_paragraph("before")
    paragraph.runs[0].add_break(docx.enum.text.WD_BREAK.PAGE)
    paragraph.add_run("after")
    parsed = read("a.docx", saved(document))
    assert (parsed.title, parsed.metadata["Author"]) == ("Annual plan", "A. Smith")
    assert [shown(page) for page in parsed.pages] == [
        [
            ("header", 0, "ACME"),
            ("heading", 2, "Scope"),
            ("list", 0, "- first\n  - deep\n1. one\n2. two"),
            ("table", 0, "Item | 2019 | 2020//\nCost | 2019: 5 | 2020: 6\nBoth | 2019: 7"),
            ("caption", 0, "Table 1"),
            ("paragraph", 0, "before"),
            ("footer", 0, "Page 1"),
        ],
        [("paragraph", 0, "after")],
    ]


def test_word_keeps_insertions_boxes_and_rendered_pages_and_drops_deletions(read):
    docx = pytest.importorskip("docx", reason="python-docx (extra: office) is not installed")
    document = docx.Document()
    document.add_paragraph("MARK")
    body = (
        b"</w:t></w:r><w:ins><w:r><w:t>new</w:t></w:r></w:ins><w:del><w:r><w:delText>old</w:delText></w:r></w:del>"
        b"<w:r><w:lastRenderedPageBreak/><w:t> next page"
    )
    raw = rezipped(saved(document), "word/document.xml", lambda xml: xml.replace(b"MARK", b"a " + body))
    assert [page.text for page in read("a.docx", raw).pages] == ["a new", "next page"]


def test_slides(read):
    pptx = pytest.importorskip("pptx", reason="python-pptx (extra: office) is not installed")
    deck = pptx.Presentation()
    slide = deck.slides.add_slide(deck.slide_layouts[1])
    slide.shapes.title.text = "Results"
    frame = slide.placeholders[1].text_frame
    frame.text = "Sales rose"
    added = frame.add_paragraph()
    added.text, added.level = "by 5%", 1
    slide.notes_slide.notes_text_frame.text = "Say thanks."
    slide = deck.slides.add_slide(deck.slide_layouts[6])
    grid = slide.shapes.add_table(2, 2, 0, 0, 100, 100).table
    for (row, column), text in {(0, 0): "Region", (0, 1): "Q1", (1, 0): "North", (1, 1): "2"}.items():
        grid.cell(row, column).text = text
    parsed = read("a.pptx", saved(deck))
    assert [shown(page) for page in parsed.pages] == [
        [
            ("heading", 1, "Results"),
            ("list", 0, "- Sales rose\n  - by 5%"),
            ("heading", 2, "Notes"),
            ("paragraph", 0, "Say thanks."),
        ],
        [("table", 0, "Region | Q1//\nNorth | Q1: 2")],
    ]


def workbook():
    openpyxl = pytest.importorskip("openpyxl", reason="openpyxl (extra: office) is not installed")
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.title = "Budget"
    for row in (
        ["Costs of the year"], [], ["Item", "When", "Cost", "Share"],
        ["Desk", datetime.date(2020, 1, 2), 1234.5, 0.25], ["Chair", datetime.datetime(2020, 1, 2, 3, 4), 7, 0.125], [],
        ["Sum", "=C4+C5"], ["Rest", 0.1 + 0.2],
    ):  # fmt: skip
        sheet.append(row)
    sheet["C4"].number_format, sheet["D4"].number_format = '"$"#,##0.00', "0.0%"
    return book


def test_sheets(read):
    book = workbook()
    book.create_sheet("Far")["XFD900"] = "far"
    parsed = read("a.xlsx", saved(book))
    assert [page.label for page in parsed.pages] == ["Budget", "Far"]
    assert shown(parsed.pages[0]) == [
        ("heading", 1, "Budget"),
        ("paragraph", 0, "Costs of the year"),
        (
            "table", 0,
            "Item | When | Cost | Share//\nDesk | When: 2020-01-02 | Cost: $1,234.50 | Share: 25.0%\n"
            "Chair | When: 2020-01-02 03:04:00 | Cost: 7 | Share: 0.125",
        ),
        ("table", 0, "//Sum | =C4+C5\nRest | 0.3"),
    ]  # fmt: skip
    assert shown(parsed.pages[1]) == [("heading", 1, "Far"), ("paragraph", 0, "far")]
    assert parsed.faults == [(1, "1 formula(s) have no stored value; the formulas stand instead")]


def test_the_same_bytes_give_the_same_metadata(read):
    raw = rezipped(saved(workbook()), "docProps/core.xml", lambda xml: b"<none/>")
    assert read("a.xlsx", raw).metadata == {}


LAUGHS = (
    b'<!DOCTYPE z [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;"><!ENTITY x SYSTEM "file:///etc/passwd">]>'
)  # fmt: skip


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_office_files_with_entities_are_refused(refused, encoding):
    def poisoned(xml):
        text = xml.decode().split("?>", 1)[-1]
        return f'<?xml version="1.0" encoding="{encoding}"?>{LAUGHS.decode()}{text}'.encode(encoding)

    raw = rezipped(saved(workbook()), "xl/workbook.xml", poisoned)
    reason = "xl/workbook.xml in it declares a document type, which office files never do"
    assert refused("a.xlsx", raw) == ("damaged", reason)


def test_zip_bombs_are_not_unpacked(refused):
    sheet = b"<worksheet>" + b" " * 20_000_000
    status, reason = refused("a.xlsx", rezipped(saved(workbook()), "xl/worksheets/sheet1.xml", lambda _: sheet))
    assert status == "too large"
    assert reason.startswith("its XML unpacks to ")


def test_office_files_of_other_kinds(refused):
    book = saved(workbook())
    assert refused("a.docx", book) == ("not a document", "the file is a zip archive, but not a .docx file")
    old = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
    assert refused("a.xlsx", old + b"x" * 600)[0] == "not a document"
    locked = "the file is encrypted; office files with a password cannot be read"
    encrypted = old + b"\x00" * 600 + "EncryptedPackage".encode("utf-16-le")
    assert refused("a.xlsx", encrypted) == ("password needed", locked)
    assert refused("a.xlsx", rezipped(book, "xl/workbook.xml", lambda xml: xml[:200]))[0] == "damaged"
    assert refused("a.xlsx", book, max_pages=0) == ("too large", "it has 1 sheets, more than ingest.max_pages = 0")


def test_a_missing_extra_says_what_to_install(refused, monkeypatch):
    raw = saved(workbook())
    monkeypatch.setitem(__import__("sys").modules, "openpyxl", None)
    status, reason = refused("a.xlsx", raw)
    assert status == "not a document"
    assert reason.endswith("pip install 'fieldguide[office]'")
