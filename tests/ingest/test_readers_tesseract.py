import shutil

import pytest
from PIL import Image, ImageDraw, ImageFont

from ingest.layout.words import RawPage, Word
from ingest.readers import tesseract
from ingest.readers.tesseract import OcrFault, from_json, missing_ocr, read_page, to_json

needs_tesseract = pytest.mark.skipif(
    shutil.which("tesseract") is None or bool(missing_ocr("eng")), reason="needs the system package tesseract-ocr"
)
TEXT = "The right wing hit a tree about one mile\nfrom the airport at Elyria, Ohio.\nThe pilot was not hurt."


class Drawn:
    """A file of one page that shows text at 150 dpi."""

    def __init__(self, text=TEXT, turn=0, colour=0):
        image = Image.new("L", (1000, 600), 255)
        ImageDraw.Draw(image).text((75, 150), text, fill=colour, font=ImageFont.load_default(40), spacing=24)
        self._image = image.rotate(turn, expand=True, fillcolor=255)

    def image(self, number, dpi):
        return self._image, 150.0


@needs_tesseract
def test_words_have_places_in_points_and_confidences():
    page = read_page(Drawn(), 3, 150, "eng", 60)
    assert " ".join(word.text for word in page.words) == " ".join(TEXT.split())
    assert (page.number, page.width, page.height, page.reader) == (3, 480, 288, "tesseract")
    first = page.words[0]
    assert first.x0 == pytest.approx(36, abs=3)
    assert 70 < first.top < first.bottom < 100
    assert 0.7 < page.confidence <= 1
    assert all(0 <= word.confidence <= 1 for word in page.words)


@needs_tesseract
@pytest.mark.parametrize("turn", [90, 180])
def test_a_page_on_its_side_or_head_is_turned(turn):
    page = read_page(Drawn(TEXT + "\n" + TEXT.upper(), turn), 1, 150, "eng", 60)
    assert "airport" in [word.text for word in page.words]
    assert page.width > page.height


@needs_tesseract
def test_a_blank_page_is_surely_empty():
    page = read_page(Drawn(""), 1, 150, "eng", 60)
    assert (page.words, page.confidence) == ((), 1.0)


@needs_tesseract
def test_the_time_limit():
    with pytest.raises(OcrFault, match=r"OCR took more than ingest.ocr_page_seconds = 0\.01"):
        read_page(Drawn(), 1, 150, "eng", 0.01)


@needs_tesseract
def test_a_missing_language_names_its_package():
    assert missing_ocr("eng+tlh_frak") == (
        "tesseract has no data for tlh_frak (ingest.ocr_language); install tesseract-ocr-tlh-frak"
    )


def test_a_missing_program_names_its_package(monkeypatch):
    pytesseract = pytest.importorskip("pytesseract")
    monkeypatch.setattr(pytesseract.pytesseract, "tesseract_cmd", "/nowhere/tesseract")
    monkeypatch.setattr(pytesseract, "get_tesseract_version", pytesseract.get_tesseract_version.__wrapped__)
    assert missing_ocr("eng") == "the program tesseract is not installed; install the system's package tesseract-ocr"


def test_the_missing_extra_is_named(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "pytesseract", None)
    assert missing_ocr("eng").startswith("OCR is not installed; install it with `pip install 'fieldguide[ocr]'`")


def test_lines_of_noise_are_left_out_of_an_unsure_page(monkeypatch):
    rows = {
        "level": [4, 5, 5, 4, 5], "text": ["", "Good", "line", "", "~%|aj;x#"], "conf": [-1, 80, 70, -1, 5],
        "left": [0, 0, 50, 0, 0], "top": [0, 0, 0, 40, 40], "width": [90, 40, 40, 90, 90], "height": [20] * 5,
    }  # fmt: skip
    pytesseract = pytest.importorskip("pytesseract")
    monkeypatch.setattr(pytesseract, "image_to_data", lambda *args, **options: rows)
    page = tesseract._read(Image.new("L", (100, 100)), 1, 72, "eng", 1)
    assert [word.text for word in page.words] == ["Good", "line"]
    assert page.confidence == pytest.approx((4 * 0.8 + 4 * 0.7 + 8 * 0.05) / 16)


def test_pages_survive_the_cache():
    page = RawPage(2, "", 612, 792, (Word("Straße", 1.5, 2, 3, 4, 5, False, 0.9),), "", "tesseract", 0.9)
    assert from_json(to_json(page)) == page
    for damaged in ("", "{}", "[]", '{"words": [{}]}', to_json(page)[:-5]):
        with pytest.raises(ValueError, match=r"not a page of OCR|Expecting|Unterminated|delimiter"):
            from_json(damaged)
