"""One PDF: which parser reads which page, what becomes of the others, and the class a file ends in."""

import io
from dataclasses import replace

import pytest
from PIL import Image, ImageDraw, ImageFont

from ingest.layout.words import RawPage, Word
from ingest.parsed import NotRead
from ingest.readers import READER_VERSION, parse_file
from ingest.readers.base import CannotOpen, PageFault
from ingest.readers.pdf import PARSERS, Job, NeedsOcr

JOB = Job(max_pages=9)
OFF = replace(JOB, no_ocr="OCR is off (ingest.ocr)")


@pytest.fixture
def put(tmp_path):
    def put(raw, name="a.pdf"):
        path = tmp_path / name
        path.write_bytes(raw)
        return path

    return put


def refused(path, job=JOB):
    with pytest.raises(NotRead) as caught:
        parse_file(path, job)
    return caught.value.status, caught.value.reason


def scan(*texts):
    """A PDF of images, one a page."""
    images = []
    for text in texts:
        image = Image.new("L", (850, 1100), 255)
        ImageDraw.Draw(image).text((100, 100), text, fill=0, font=ImageFont.load_default(30))
        images.append(image)
    out = io.BytesIO()
    images[0].save(out, "PDF", resolution=100, save_all=True, append_images=images[1:])
    return out.getvalue()


def recognised(number, text, confidence=0.9):
    words = tuple(
        Word(word, 50 + 60 * n, 50, 100 + 60 * n, 62, 12, False, confidence) for n, word in enumerate(text.split())
    )
    return RawPage(number, "", 612, 792, words, "", "tesseract", confidence)


def faked(monkeypatch, name, page=None, opening=None):
    """Parser ``name`` with another way of reading pages or of opening."""
    real = PARSERS[name]

    class Fake(real):
        def __init__(self, path, password=""):
            if opening is not None:
                raise opening
            super().__init__(path, password)

        def page(self, number):
            return page(super(), number)

    monkeypatch.setitem(PARSERS, name, Fake if page is not None or opening is not None else real)


def test_pages_labels_title_and_metadata(put, good):
    parsed = parse_file(put(good), JOB)
    assert [(page.label, page.text, page.reader) for page in parsed.pages] == [
        ("1", "Report (one)\nThe wing hit a tree.", "pdfium"),
        ("2", "The pilot was not hurt.", "pdfium"),
    ]
    assert (parsed.title, parsed.metadata, parsed.faults) == ("Wing report", {"Title": "Wing report"}, [])


def test_title_without_metadata_is_the_first_lines_that_are_no_page_number(put, pdf):
    assert parse_file(put(pdf(["Page 1 of 5\nNTSB\nFinal Report\nMore"])), JOB).title == "NTSB – Final Report"
    assert parse_file(put(pdf(["Some text"], "final_v3.docx")), JOB).title == "Some text"
    assert parse_file(put(pdf(["x"], "Microsoft Word - Wing report")), JOB).title == "Wing report"


def test_bytes_before_the_header_and_other_endings_are_allowed(put, good):
    assert parse_file(put(b"\n" * 100 + good), JOB).pages[1].text == "The pilot was not hurt."
    assert parse_file(put(good, "scan.txt"), JOB).pages[1].text == "The pilot was not hurt."
    assert parse_file(put(good, "scan"), JOB).pages[1].text == "The pilot was not hurt."


def test_every_bad_file_has_its_class_and_reason(put, bad_files):
    for name, (raw, status, reason) in bad_files.items():
        assert (name, *refused(put(raw, name))) == (name, status, reason)


def test_passwords_are_tried_and_never_told(put, bad_files, owner_locked):
    locked = put(bad_files["locked.pdf"][0])
    assert parse_file(locked, replace(JOB, passwords=("", "guess", "secret"))).title == "Wing report"
    status, reason = refused(locked, replace(JOB, passwords=("", "guess")))
    assert status == "password needed"
    assert "none of the 1 passwords given for it opens it" in reason
    assert "guess" not in reason
    assert "guess" not in repr(replace(JOB, passwords=("", "guess")))
    assert parse_file(put(owner_locked, "owner.pdf"), JOB).metadata["Title"] == "Wing report"


def test_a_page_that_pdfium_cannot_read_is_read_by_pypdf(put, good, monkeypatch):
    def failing(real, number):
        if number == 1:
            raise PageFault("Failed to load page")
        return real.page(number)

    faked(monkeypatch, "pdfium", failing)
    parsed = parse_file(put(good), JOB)
    assert [page.reader for page in parsed.pages] == ["pypdf", "pdfium"]
    assert parsed.pages[0].text.split() == ["Report", "(one)", "The", "wing", "hit", "a", "tree."]
    assert parsed.faults == []


def test_a_page_that_pdfium_reads_as_garbage_is_read_by_pypdf(put, good, monkeypatch):
    faked(monkeypatch, "pdfium", lambda real, number: recognised(number, "\ue012\ue034 \ue056\ue078"))
    parsed = parse_file(put(good), JOB)
    assert [page.reader for page in parsed.pages] == ["pypdf", "pypdf"]


def test_a_file_that_pdfium_cannot_open_is_read_by_pypdf_and_the_other_way_round(put, good, monkeypatch):
    faked(monkeypatch, "pdfium", opening=CannotOpen("no"))
    assert {page.reader for page in parse_file(put(good), JOB).pages} == {"pypdf"}
    monkeypatch.undo()
    faked(monkeypatch, "pypdf", opening=CannotOpen("no"))
    parsed = parse_file(put(good), JOB)
    assert {page.reader for page in parsed.pages} == {"pdfium"}
    assert (parsed.title, parsed.pages[1].label) == ("Wing report", "2")


def test_pages_that_no_parser_reads(put, good, monkeypatch):
    def failing(real, number):
        if number == 1:
            raise PageFault("broken stream")
        return real.page(number)

    faked(monkeypatch, "pdfium", failing)
    faked(monkeypatch, "pypdf", failing)
    parsed = parse_file(put(good), OFF)
    assert [page.text for page in parsed.pages] == ["", "The pilot was not hurt."]
    assert parsed.faults == [(1, "pdfium: broken stream; pypdf: broken stream")]
    assert parse_file(put(good), JOB) == NeedsOcr((1,))
    one = put(good[: good.rindex(b"trailer")] + good[good.rindex(b"trailer") :], "one.pdf")
    faked(monkeypatch, "pdfium", lambda real, number: failing(real, 1))
    faked(monkeypatch, "pypdf", lambda real, number: failing(real, 1))
    assert refused(one, OFF)[0] == "damaged"


def test_scans_ask_for_ocr_and_are_laid_out_with_what_it_found(put):
    path = put(scan("page one", "page two"))
    assert parse_file(path, JOB) == NeedsOcr((1, 2))
    parsed = parse_file(path, replace(JOB, recognised={1: recognised(1, "page one"), 2: "OCR failed (x)"}))
    assert [(page.text, page.reader, page.confidence) for page in parsed.pages] == [
        ("page one", "tesseract", 0.9),
        ("", "pdfium", None),
    ]
    assert parsed.faults == [(2, "no text; OCR failed (x)")]


def test_scans_without_ocr_are_image_only_and_the_reason_says_what_to_do(put):
    assert refused(put(scan("page one")), OFF) == (
        "image-only",
        "none of its 1 page(s) holds text: OCR is off (ingest.ocr)",
    )


def test_scans_in_which_ocr_finds_nothing(put):
    nothing = RawPage(1, "", 612, 792, (), "", "tesseract", None)
    assert refused(put(scan("?")), replace(JOB, recognised={1: nothing})) == (
        "image-only",
        "none of its 1 page(s) holds text (page 1: no text found by OCR)",
    )
    assert refused(put(scan("")), replace(JOB, recognised={1: replace(nothing, confidence=1.0)}))[0] == "empty"


def test_a_page_of_which_ocr_is_unsure_is_told(put):
    parsed = parse_file(put(scan("page")), replace(JOB, recognised={1: recognised(1, "page", 0.4)}))
    assert parsed.faults == [(1, "OCR could not make out all of it (confidence 0.40)")]


def test_a_scan_with_a_stamp_is_read_by_ocr_and_the_better_text_is_kept(put, monkeypatch):
    faked(monkeypatch, "pdfium", lambda real, number: replace(real.page(number), words=recognised(1, "Page 7").words))
    path = put(scan("a long text"))
    assert parse_file(path, JOB) == NeedsOcr((1,))
    better = parse_file(path, replace(JOB, recognised={1: recognised(1, "Page 7 and a long text")}))
    assert better.pages[0].text == "Page 7 and a long text"
    worse = parse_file(path, replace(JOB, recognised={1: recognised(1, "P")}))
    assert (worse.pages[0].text, worse.faults) == ("Page 7", [])
    off = parse_file(path, OFF)
    assert off.pages[0].text == "Page 7"
    assert off.faults == [(1, "an image covers it, and what it shows is not read: OCR is off (ingest.ocr)")]


def test_metadata_that_cannot_be_read_costs_nothing_else(put, good, monkeypatch):
    import pypdf

    def broken(*args, **options):
        raise RecursionError

    monkeypatch.setattr(pypdf, "PdfReader", broken)
    parsed = parse_file(put(good), JOB)
    assert (parsed.title, parsed.pages[1].text) == ("Wing report", "The pilot was not hurt.")


@pytest.mark.parametrize("trouble", [MemoryError, TimeoutError])
def test_metadata_that_takes_too_much_costs_nothing_else(put, good, monkeypatch, trouble):
    def broken(self):
        raise trouble

    monkeypatch.setattr(PARSERS["pypdf"], "info", broken)
    parsed = parse_file(put(good), JOB)
    assert (parsed.title, parsed.pages[1].text) == ("Wing report", "The pilot was not hurt.")


def test_metadata_that_takes_too_long_is_given_up(put, good, monkeypatch):
    def endless(self):
        while True:
            pass

    monkeypatch.setattr(PARSERS["pypdf"], "info", endless)
    monkeypatch.setattr("ingest.readers.pdf._INFO_SECONDS", 0.1)
    assert parse_file(put(good), JOB).title == "Wing report"


def test_real_report(elyria):
    parsed = parse_file(elyria, Job(5000))
    assert [page.label for page in parsed.pages] == ["1", "2", "3", "4", "5"]
    text = " ".join(parsed.pages[0].text.split())
    assert "the right wing impacted a tree. This occurred approximately 1 mile from the airport" in text
    assert READER_VERSION == "pdf-1"  # change it whenever the text changes
