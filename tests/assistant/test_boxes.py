"""Boxes of citations: what stands in them is the quote, and they are the quote's own, or there are none."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass, field
from pathlib import Path

import pypdf
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pypdf.generic import DictionaryObject, RectangleObject, StreamObject
from pypdf.generic import NameObject as N

from assistant.boxes import BoxFinder, PageNotShown, Quote
from assistant.placing import ABSENT, NOTHING, SEVERAL, Sheet
from assistant.placing_rows import COVERED, place
from fieldguide.settings import Ingest
from fieldguide.types import Page
from ingest.layout.glyphs import Glyph, Glyphs
from ingest.readers import parse_file
from ingest.readers.pdf import Job

NTSB = Path(__file__).parents[2] / "examples" / "ntsb"
WIDE, HIGH, PITCH = 6.0, 10.0, 12.0


def drawn(*lines: str | list[tuple[float, str]], order: list[int] | None = None) -> Sheet:
    """A page whose lines hold words, each character 6 by 10 points; cells of a list begin at columns."""
    words = []
    for row, line in enumerate(lines):
        for column, text in [(0, line)] if isinstance(line, str) else line:
            at = 0
            for word in text.split(" "):
                words.append(tuple(glyph(char, column + at + n, row) for n, char in enumerate(word)))
                at += len(word) + 1
    words = [words[n] for n in order] if order else words
    return Sheet(Glyphs(600, 800, 0, tuple(word for word in words if word)))


def glyph(char: str, column: float, row: float) -> Glyph:
    box = WIDE * column, PITCH * row, WIDE * (column + 1), PITCH * row + HIGH
    return Glyph(char, *box, (box[0] + 1, box[1] + 1, box[2] - 1, box[3] - 1))


def found(text: str, quote: str, sheet: Sheet, nth: int = 0) -> list[tuple[int, int, int]] | str:
    """The boxes of the n-th place of the quote as (row, first column, end column), or the reason."""
    start = -1
    for _ in range(nth + 1):
        start = text.index(quote, start + 1)
    placed = place(text, start, start + len(quote), sheet)
    assert bool(placed.rects) != bool(placed.reason)
    cells = [(int(t // PITCH), int(x // WIDE), int(-(-y // WIDE))) for x, t, y, _ in placed.rects]
    return placed.reason or cells


def test_a_quote_gets_a_box_for_each_line():
    sheet = drawn("The wing hit", "a tall tree.")
    assert found("The wing hit\na tall tree.", "wing hit\na tall", sheet) == [(0, 4, 12), (1, 0, 6)]


def test_what_does_not_stand_there_as_a_whole_word_has_no_box():
    sheet = drawn("35 planes", "The pilot")
    assert found("5 planes", "5 planes", sheet) == ABSENT
    assert found("The pilots", "The pilots", sheet) == ABSENT
    assert place("The pilot", 3, 4, sheet).reason == NOTHING


@pytest.mark.parametrize(
    ("lines", "text", "boxes"),
    [
        (("an irriga-", "tion canal"), "an irrigation\ncanal", [(0, 0, 10), (1, 0, 10)]),
        (("a well-", "known canal"), "a well-known\ncanal", [(0, 0, 7), (1, 0, 11)]),
        (("an re-sign it",), "an resign it", ABSENT),
        (("it was 10-20 m",), "it was 1020 m", ABSENT),
    ],
)
def test_hyphens_may_only_be_missing_at_line_ends(lines, text, boxes):
    assert found(text, text, drawn(*lines)) == boxes


def test_equal_quotes_are_told_apart_by_what_stands_around_them():
    lines = ("Weather was no factor", "Fuel was no factor", "and so on")
    text = "\n".join(lines)
    assert [found(text, "was no factor", drawn(*lines), n) for n in (0, 1)] == [[(0, 8, 21)], [(1, 5, 18)]]


def test_equal_lines_are_told_apart_by_their_turn_where_the_order_is_beyond_doubt():
    lines = ("None seen", "None seen", "None seen")
    assert [found("\n".join(lines), "None seen", drawn(*lines), n) for n in range(3)] == [[(n, 0, 9)] for n in range(3)]
    upwards = drawn(*lines, order=[4, 5, 2, 3, 0, 1])
    beside = drawn([(0, "None seen"), (40, "None seen")], order=[2, 3, 0, 1])  # which one is first?
    assert found("\n".join(lines), "None seen", upwards, 1) == [(1, 0, 9)]  # between the others whichever way
    assert found("\n".join(lines[:2]), "None seen", beside) == SEVERAL
    assert found("None seen", "None seen", drawn(*lines)) == SEVERAL


def test_columns_that_the_page_draws_line_by_line_are_followed():
    sheet = drawn([(0, "The left"), (40, "and the")], [(0, "column ends"), (40, "right one")])
    text = "The left\ncolumn ends\n\nand the\nright one"
    assert found(text, "The left\ncolumn ends", sheet) == [(0, 0, 8), (1, 0, 11)]


def test_a_row_of_a_table_has_boxes_for_its_label_and_its_values_without_the_columns_names():
    sheet = drawn(
        [(20, "2007"), (30, "2008")], [(0, "Total hours"), (20, "1,200"), (30, "1,300")],
        [(0, "Night"), (20, "0"), (30, "0")],
    )  # fmt: skip
    text = "2007 | 2008\nTotal hours | 2007: 1,200 | 2008: 1,300\nNight | 2007: 0 | 2008: 0"
    assert found(text, "Total hours | 2007: 1,200 | 2008: 1,300", sheet) == [(1, 0, 11), (1, 20, 25), (1, 30, 35)]
    assert found(text, "Night | 2007: 0 | 2008: 0", sheet) == [(2, 0, 5), (2, 20, 21), (2, 30, 31)]
    assert found(text, "hours | 2007: 1,2", sheet) == [(1, 6, 11), (1, 20, 23)]
    assert found(text, "2008: 0", sheet) == [(2, 30, 31)]
    assert found("Night | 2007: 1", "Night | 2007: 1", sheet) == ABSENT


def test_a_row_whose_label_runs_over_lines_has_the_cells_that_stand_at_its_height():
    lines = ([(0, "Hours in"), (20, "1,200")], [(0, "this make")], [(0, "Hours in"), (20, "77")], [(0, "all")])
    sheet = drawn(*lines, order=[0, 1, 3, 4, 2, 5, 6, 8, 7])  # cell by cell
    text = "Hours in this make | All: 1,200\nHours in all | All: 77"
    assert found(text, "Hours in this make | All: 1,200", sheet) == [(0, 0, 8), (1, 0, 9), (0, 20, 25)]


def test_text_that_lies_over_other_text_has_no_box():
    over = [glyph(char, n + 0.2, 0.1) for n, char in enumerate("other")]
    plain = drawn("wings here").page.words
    assert found("wings here", "wings here", Sheet(Glyphs(600, 800, 0, (*plain, tuple(over))))) == COVERED


WORDS = st.sampled_from(["a", "no", "wing", "pilot", "fuel", "12", "1,200", "well-known", "ﬁre", "½", "(b)", "x."])


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_boxes_are_the_quotes_own_or_none(data):
    """Few words, so that most quotes stand in several places; cut at line ends; rows of a table among the lines."""
    page, text, origin = [], "", []  # of each character of the text: its row and column, if it is drawn
    for row in range(data.draw(st.integers(1, 6))):
        words = data.draw(st.lists(WORDS, min_size=1, max_size=5))
        if data.draw(st.booleans()) and len(words) > 1:
            page.append([(30 * n, word) for n, word in enumerate(words)])
            for n, word in enumerate(words):
                name = "" if n == 0 else f" | Name {n}: "
                text += name + word
                origin += [None] * len(name) + [(row, 30 * n + k) for k in range(len(word))]
        else:
            page.append(" ".join(words))
            text += page[-1]
            origin += [(row, n) for n in range(len(page[-1]))]
        text += "\n"
        origin.append(None)
    start = data.draw(st.integers(0, len(text) - 1))
    end = data.draw(st.integers(start + 1, len(text)))
    placed = place(text, start, end, drawn(*page))
    own = {at for at, char in zip(origin[start:end], text[start:end], strict=True) if at and char != " "}
    boxed = {
        (row, column)
        for x0, top, x1, _ in placed.rects
        for row in [int(top // PITCH)]
        for column in range(int(x0 // WIDE), int(-(-x1 // WIDE)))
    }
    drawn_there = {at for at, char in zip(origin, text, strict=True) if at and char != " "}
    has_row = any(" | " in line for line in text[text.rfind("\n", 0, start) + 1 : end].split("\n"))
    if placed.reason:
        assert not placed.rects
    elif has_row:
        assert boxed & drawn_there <= own
        assert boxed & own
    else:
        assert boxed & drawn_there == own


# --- whole files -------------------------------------------------------------------------------------------------


def make_pdf(*lines: tuple[float, float, str], rotate: int = 0, crop: tuple[int, int, int, int] | None = None) -> bytes:
    """A page of 612 × 792 points with lines of Helvetica 12 at (x, y from the bottom)."""
    writer = pypdf.PdfWriter()
    page = writer.add_blank_page(612, 792)
    font = DictionaryObject({N("/Type"): N("/Font"), N("/Subtype"): N("/Type1"), N("/BaseFont"): N("/Helvetica")})
    page[N("/Resources")] = DictionaryObject({N("/Font"): DictionaryObject({N("/F1"): font})})
    content = StreamObject()
    content.set_data(f"BT /F1 12 Tf {' '.join(f'1 0 0 1 {x} {y} Tm ({line}) Tj' for x, y, line in lines)} ET".encode())
    page[N("/Contents")] = writer._add_object(content)
    page.rotate(rotate)
    if crop:
        page.cropbox = RectangleObject(crop)
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


@dataclass
class Shelf:
    """What ``BoxFinder`` asks of a catalogue."""

    folder: Path
    pages: dict[tuple[str, int], Page] = field(default_factory=dict)
    files: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def add(self, raw: bytes, name: str = "a.pdf") -> str:
        """Read the file as ingestion does; its id."""
        path = self.folder / name
        path.write_bytes(raw)
        parsed = parse_file(path, Job(100, no_ocr="off"))
        document = hashlib.sha256(raw).hexdigest()
        self.files[document] = (str(path),)
        for number, p in enumerate(parsed.pages, 1):
            self.pages[document, number] = Page(document, number, p.label, p.text, p.reader, p.blocks)
        return document

    def page(self, document: str, number: int) -> Page:
        return self.pages[document, number]

    def sources(self) -> dict[str, tuple[str, ...]]:
        return self.files

    def quote(self, document: str, text: str, number: int = 1, nth: int = 0) -> Quote:
        start = -1
        for _ in range(nth + 1):
            start = self.pages[document, number].text.index(text, start + 1)
        return Quote(document, number, start, start + len(text))


@pytest.fixture
def shelf(tmp_path):
    return Shelf(tmp_path)


@pytest.fixture
def finder(shelf):
    with BoxFinder(shelf, shelf.folder / "state", Ingest()) as opened:
        yield opened


LINES = ((50.0, 700.0, "The wing hit a tree."), (50.0, 680.0, "The pilot was not hurt."))


def sides(boxes):
    return [(box.left, box.top, box.right, box.bottom) for box in boxes.boxes]


def test_boxes_are_points_from_the_top_left_of_the_page_as_displayed(shelf, finder):
    ids = [
        shelf.add(make_pdf(*LINES, rotate=turn, crop=crop), f"{n}.pdf")
        for n, (turn, crop) in enumerate([(0, None), (90, None), (180, None), (270, None), (0, (40, 100, 500, 760))])
    ]
    plain, right, over, left, cropped = finder.find([shelf.quote(each, "pilot was") for each in ids])
    assert plain.text == "pilot was"
    ((x0, top, x1, bottom),) = sides(plain)
    assert (x0, bottom) == (pytest.approx(73.4, abs=1.5), pytest.approx(792 - 677, abs=1.5))  # below the baseline: "p"
    assert (x1, top) == (pytest.approx(121, abs=1.5), pytest.approx(792 - 689, abs=1.5))
    assert sides(right) == [pytest.approx((792 - bottom, x0, 792 - top, x1), abs=0.02)]
    assert sides(over) == [pytest.approx((612 - x1, 792 - bottom, 612 - x0, 792 - top), abs=0.02)]
    assert sides(left) == [pytest.approx((top, 612 - x1, bottom, 612 - x0), abs=0.02)]
    assert sides(cropped) == [pytest.approx((x0 - 40, top - 32, x1 - 40, bottom - 32), abs=0.02)]


def test_a_box_for_each_line_and_each_of_two_equal_quotes_its_own(shelf, finder):
    document = shelf.add(make_pdf(*LINES, (50, 640, "The tail hit a tree."), (50, 620, "Nobody was there.")))
    quotes = [
        shelf.quote(document, "hit a tree."),
        shelf.quote(document, "hit a tree.", nth=1),
        shelf.quote(document, "a tree.\nThe pilot"),
    ]
    first, second, both = finder.find(quotes)
    assert [round(sides(each)[0][1]) for each in (first, second)] == [83, 143]
    assert len(both.boxes) == 2
    assert both.boxes[0].bottom < both.boxes[1].top


def test_the_word_that_a_line_end_cuts_is_in_both_lines(shelf, finder):
    document = shelf.add(make_pdf((50, 700, "They saw the irriga-"), (50, 686, "tion canal and the tree.")))
    assert "irrigation" in shelf.page(document, 1).text
    (boxes,) = finder.find([shelf.quote(document, "the irrigation\ncanal")])
    assert boxes.text == "the irriga- tion canal"
    assert len(boxes.boxes) == 2


def test_a_real_report(shelf, finder):
    """A form's line over two columns, a sentence over four lines."""
    document = shelf.add((NTSB / "20080115X00053.pdf").read_bytes())
    form, prose = finder.find(
        [
            shelf.quote(document, "Location: Elyria, OH Accident Number: CHI08CA048"),
            shelf.quote(document, "within\n1 minute of takeoff"),
        ]
    )
    assert form.text == "Location: Elyria, OH Accident Number: CHI08CA048"
    assert len(form.boxes) == 4  # names and values stand far apart
    assert len({round(box.bottom - box.top) for box in form.boxes}) <= 2
    assert max(box.top for box in form.boxes) < min(box.bottom for box in form.boxes)
    assert prose.boxes[0].left > prose.boxes[1].right
    assert prose.boxes[0].bottom <= prose.boxes[1].top


def test_no_boxes_in_a_file_that_is_gone_or_has_changed_unless_the_original_was_kept(shelf, finder):
    raw = make_pdf(*LINES)
    document = shelf.add(raw)
    quote = shelf.quote(document, "pilot was")
    path = shelf.folder / "a.pdf"
    path.write_bytes(raw + b"\n")
    (changed,) = finder.find([quote])
    path.unlink()
    (gone,) = finder.find([quote])
    assert [(b.boxes, b.reason) for b in (changed, gone)] == [
        ((), "its file has changed since it was read"), ((), "its file is not there any more"),
    ]  # fmt: skip
    with pytest.raises(PageNotShown, match=r"^Page 1 cannot be drawn: its file is not there any more\.$"):
        finder.page_image(document, 1)
    kept = shelf.folder / "state" / "originals" / document[:2] / f"{document}.pdf"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(raw)
    assert finder.find([quote])[0].text == "pilot was"


def test_no_boxes_on_pages_whose_text_is_not_the_pdfs(shelf, finder):
    document = shelf.add(make_pdf(*LINES))
    told = {}
    for reader in ("tesseract", "docx"):
        shelf.pages[document, 2] = Page(document, 2, "2", "The pilot was not hurt.", reader, confidence=0.9)
        told[reader] = finder.find([Quote(document, 2, 0, 9)])[0].reason
    assert told == {
        "tesseract": "the page was read by OCR",
        "docx": "only pages of PDFs have places that can be told",
    }
    assert finder.find([Quote(document, 9, 0, 9)])[0].reason == "the catalogue has no such page"


def test_files_that_cannot_be_opened_cost_their_reason_only(shelf, finder):
    writer = pypdf.PdfWriter(clone_from=io.BytesIO(make_pdf(*LINES)))
    writer.encrypt("secret", "owner")
    locked = io.BytesIO()
    writer.write(locked)
    good = shelf.add(make_pdf(*LINES), "good.pdf")
    quotes = []
    for name, raw in (("locked.pdf", locked.getvalue()), ("broken.pdf", b"%PDF-1.4\nnothing")):
        (shelf.folder / name).write_bytes(raw)
        document = hashlib.sha256(raw).hexdigest()
        shelf.files[document] = (str(shelf.folder / name),)
        shelf.pages[document, 1] = Page(document, 1, "1", "The pilot was not hurt.", "pdfium")
        quotes.append(Quote(document, 1, 0, 9))
    shelf.pages[good, 7] = Page(good, 7, "7", "The pilot was not hurt.", "pdfium")
    found = finder.find([*quotes, Quote(good, 7, 0, 9), shelf.quote(good, "pilot was")])
    assert [each.reason for each in found] == [
        "the file is encrypted", "the file cannot be opened: Data format error",
        "pdfium cannot read the page: Failed to load page", "",
    ]  # fmt: skip


def test_the_limits_of_reading_hold(shelf):
    document = shelf.add(make_pdf(*LINES))
    quote = shelf.quote(document, "pilot was")
    with BoxFinder(shelf, shelf.folder, Ingest(file_seconds=1e-9)) as finder:
        reasons = {finder.find([quote])[0].reason for _ in range(2)}
    assert reasons <= {"the page was not read within ingest.file_seconds = 1e-09", ""}
    Path(shelf.folder / "a.pdf").write_bytes(big := make_pdf(*LINES) + b" " * 2**20)
    shelf.files = {hashlib.sha256(big).hexdigest(): shelf.files[document]}
    shelf.pages = {(hashlib.sha256(big).hexdigest(), 1): shelf.pages[document, 1]}
    with BoxFinder(shelf, shelf.folder, Ingest(max_file_mb=1)) as finder:
        (found,) = finder.find([Quote(hashlib.sha256(big).hexdigest(), 1, quote.start, quote.end)])
    assert found.reason == "the file 1 MB is more than ingest.max_file_mb = 1"


def test_the_picture_of_a_page_shows_the_boxes(shelf, finder):
    from PIL import Image

    document = shelf.add(make_pdf(*LINES))
    (found,) = finder.find([shelf.quote(document, "pilot was")])
    picture = Image.open(io.BytesIO(finder.page_image(document, 1, found.boxes, dpi=72))).convert("RGB")
    assert picture.size == (612, 792)
    (box,) = found.boxes
    marked = {(x, y) for x in range(612) for y in range(792) if (c := picture.getpixel((x, y)))[2] < 120 and c[0] > 180}
    assert (min(x for x, _ in marked), max(x for x, _ in marked)) == pytest.approx((box.left, box.right), abs=2)
    assert (min(y for _, y in marked), max(y for _, y in marked)) == pytest.approx((box.top, box.bottom), abs=2)
    part = Image.open(io.BytesIO(finder.page_image(document, 1, found.boxes, dpi=72, crop=(50, 100, 250, 130))))
    assert part.size == (200, 30)
