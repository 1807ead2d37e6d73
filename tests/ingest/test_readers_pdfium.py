"""Places of words and page images: what only pdfium tells."""

import io

import pypdf
import pytest

from ingest.readers.base import PageFault
from ingest.readers.pdfium import MAX_PIXELS, MAX_SIDE, PdfiumFile, page_image


@pytest.fixture
def read(tmp_path):
    """Page 1 of bytes, as they are or after a change by pypdf."""

    def read(raw, change=None):
        writer = pypdf.PdfWriter(clone_from=io.BytesIO(raw))
        if change is not None:
            change(writer)
        path = tmp_path / "a.pdf"
        writer.write(path)
        file = PdfiumFile(path)
        try:
            return file.page(1)
        finally:
            file.close()

    return read


def places(page):
    return {word.text: (round(word.x0), round((word.top + word.bottom) / 2)) for word in page.words}


UPRIGHT = {"one": (50, 50), "two": (75, 50), "three": (50, 64)}


def test_places_are_points_from_the_top_left(read, pdf):
    page = read(pdf(["one two\nthree"]))
    found = places(page)
    assert [found[word][0] for word in UPRIGHT] == pytest.approx([x for x, _ in UPRIGHT.values()], abs=3)
    assert [found[word][1] for word in UPRIGHT] == pytest.approx([y for _, y in UPRIGHT.values()], abs=3)
    assert {word.text: word.size for word in page.words} == pytest.approx({"one": 12, "two": 12, "three": 12}, abs=1.5)
    assert not any(word.bold for word in page.words)


@pytest.mark.parametrize("turn", [90, 180, 270])
def test_a_turned_page_is_read_upright_as_its_text_stands(read, pdf, turn):
    plain = read(pdf(["one two\nthree"]))
    turned = read(pdf(["one two\nthree"]), lambda writer: writer.pages[0].rotate(turn))
    assert places(turned) == places(plain)
    assert (turned.width, turned.height) == (612, 792)


@pytest.mark.parametrize("turn", [90, 180, 270])
def test_text_that_lies_on_its_side_is_set_upright_with_its_page(read, pdf, turn):
    def lay_down(writer):
        writer.pages[0].rotate(turn)
        writer.pages[0].transfer_rotation_to_content()

    page = read(pdf(["one two\nthree"]), lay_down)
    one, two, three = (next(word for word in page.words if word.text == text) for text in ("one", "two", "three"))
    assert one.x1 < two.x0
    assert one.bottom <= three.top + 3
    assert abs(one.x0 - three.x0) < 1
    assert (round(page.width), round(page.height)) == (612, 792)


def test_a_crop_box_moves_the_origin_and_hides_what_lies_outside(read, pdf):
    def crop(writer):
        writer.pages[0].cropbox = pypdf.generic.RectangleObject((40, 100, 500, 760))
        writer.pages[0].mediabox = pypdf.generic.RectangleObject((0, 0, 612, 792))

    plain = read(pdf(["one two\nthree"]))
    page = read(pdf(["one two\nthree"]), crop)
    assert (page.width, page.height) == (460, 660)
    assert places(page) == {word: (x - 40, y - 32) for word, (x, y) in places(plain).items()}

    def cut(writer):
        writer.pages[0].cropbox = pypdf.generic.RectangleObject((0, 0, 60, 792))

    assert [word.text for word in read(pdf(["one and much more"]), cut).words] == []


def test_a_cut_word_keeps_its_hyphen_and_each_part_its_place(read, pdf):
    page = read(pdf(["the air-\nplane landed"]))
    assert [word.text for word in page.words] == ["the", "air-", "plane", "landed"]
    assert page.words[1].bottom < page.words[2].bottom
    assert page.words[2].x0 == pytest.approx(50, abs=2)


def test_the_image_of_a_huge_page_stays_within_bounds(tmp_path, pdf):
    for width, height in ((14_400, 14_400), (14_400, 10)):
        writer = pypdf.PdfWriter()
        writer.add_blank_page(width, height)
        path = tmp_path / "huge.pdf"
        writer.write(path)
        file = PdfiumFile(path)
        image, dpi = file.image(1, 2400)
        file.close()
        assert image.width * image.height <= MAX_PIXELS * 1.01
        assert max(image.size) <= MAX_SIDE + 1
        assert image.width == pytest.approx(width * dpi / 72, abs=2)


def test_blank_pages_and_pages_with_something_on_them(tmp_path, pdf):
    path = tmp_path / "a.pdf"
    path.write_bytes(pdf(["", "text"]))
    file = PdfiumFile(path)
    assert (file.is_blank(1), file.is_blank(2)) == (True, False)
    assert (file.image_share(1), file.image_share(2)) == (0, 0)
    file.close()


def test_page_image(tmp_path, pdf):
    path = tmp_path / "a.pdf"
    path.write_bytes(pdf(["text"]))
    image = page_image(path, 1, 72)
    assert image.size == (612, 792)
    assert image.convert("L").getextrema()[0] < 100
    with pytest.raises(PageFault):
        page_image(path, 2)


def test_glyphs_are_those_of_the_words_and_lie_in_their_boxes(elyria):
    file = PdfiumFile(elyria)
    for number in (1, 4):
        page, glyphs = file.page(number), file.glyphs(number)
        assert ["".join(g.text for g in word) for word in glyphs.words] == [word.text for word in page.words]
        assert (glyphs.width, glyphs.height, glyphs.turn) == (page.width, page.height, 0)
        for word, letters in zip(page.words, glyphs.words, strict=True):
            assert (letters[0].x0, letters[-1].x1) == (word.x0, word.x1)
            assert all(g.x0 <= g.ink[0] < g.ink[2] <= g.x1 for g in letters)
            assert all(g.top <= g.ink[1] < g.ink[3] <= g.bottom for g in letters)
    file.close()


def test_the_places_of_a_page_with_too_many_characters_are_not_told(tmp_path, pdf, monkeypatch):
    path = tmp_path / "a.pdf"
    path.write_bytes(pdf(["one two"]))
    file = PdfiumFile(path)
    assert [len(word) for word in file.glyphs(1).words] == [3, 3]
    monkeypatch.setattr("ingest.readers.pdfium_text.MAX_GLYPHS", 5)
    with pytest.raises(PageFault, match=r"^the page holds more than 5 characters$"):
        file.glyphs(1)
    file.close()
