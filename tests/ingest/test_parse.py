import pytest

from ingest import parse
from ingest.parse import NotRead, clean, parse_pdf


@pytest.fixture
def put(tmp_path):
    def put(raw, name="a.pdf"):
        path = tmp_path / name
        path.write_bytes(raw)
        return path

    return put


def test_pages_labels_title_and_metadata(put, good):
    parsed = parse_pdf(put(good), 5000)
    assert parsed.pages == [("1", "Report (one)\nThe wing hit a tree."), ("2", "The pilot was not hurt.")]
    assert (parsed.title, parsed.metadata, parsed.faults) == ("Wing report", {"Title": "Wing report"}, [])


def test_title_without_metadata_is_the_first_lines_that_are_no_page_number(put, pdf):
    assert parse_pdf(put(pdf(["Page 1 of 5\nNTSB\nFinal Report\nMore"])), 9).title == "NTSB – Final Report"
    assert parse_pdf(put(pdf(["", "only page two"]), "shelf mark.pdf"), 9).title == "shelf mark"


def test_a_page_without_text_keeps_its_number(put, pdf):
    parsed = parse_pdf(put(pdf(["one", "", "three"])), 9)
    assert parsed.pages == [("1", "one"), ("2", ""), ("3", "three")]


def test_bytes_before_the_header_are_allowed(put, good):
    assert parse_pdf(put(b"\n" * 100 + good), 9).pages[1] == ("2", "The pilot was not hurt.")


def test_every_bad_file_has_its_class_and_reason(put, bad_files):
    for name, (raw, status, reason) in bad_files.items():
        with pytest.raises(NotRead) as caught:
            parse_pdf(put(raw, name), 9)
        assert (name, caught.value.status, caught.value.reason) == (name, status, reason)


def test_an_owner_password_alone_does_not_lock_a_file(put, owner_locked):
    parsed = parse_pdf(put(owner_locked), 9)
    assert parsed.pages[0] == ("1", "Report (one)\nThe wing hit a tree.")
    assert parsed.metadata["Title"] == "Wing report"


def test_metadata_that_cannot_be_read_costs_nothing_else(put, good, monkeypatch):
    import pypdf

    def broken(path):
        raise RecursionError

    monkeypatch.setattr(pypdf, "PdfReader", broken)
    parsed = parse_pdf(put(good), 9)
    assert (parsed.title, parsed.metadata) == ("Report (one) – The wing hit a tree.", {})
    assert parsed.pages[1] == ("2", "The pilot was not hurt.")


def failing_page(number):
    """pdfium whose page ``number`` (from 0; None: every one) cannot be loaded."""
    import pypdfium2

    real = pypdfium2.PdfDocument.__getitem__

    def get(self, n):
        if number is None or n == number:
            raise pypdfium2.PdfiumError("Failed to load page.")
        return real(self, n)

    return get


def test_a_page_that_fails_is_recorded_and_the_others_are_read(put, good, monkeypatch):
    import pypdfium2

    monkeypatch.setattr(pypdfium2.PdfDocument, "__getitem__", failing_page(0))
    parsed = parse_pdf(put(good), 9)
    assert parsed.pages == [("1", ""), ("2", "The pilot was not hurt.")]
    assert parsed.faults == [(1, "Failed to load page")]


def test_a_file_all_of_whose_pages_fail_is_damaged(put, good, monkeypatch):
    import pypdfium2

    monkeypatch.setattr(pypdfium2.PdfDocument, "__getitem__", failing_page(None))
    with pytest.raises(NotRead) as caught:
        parse_pdf(put(good), 9)
    assert (caught.value.status, caught.value.reason) == (
        "damaged",
        "no page can be read (page 1: Failed to load page)",
    )


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("a \r\nb\t\rc", "a\nb\nc"),
        ("air\ufffe\nplane, air\x02plane", "airplane, airplane"),
        ("a\x00b\x07c\ud800d\uffff", "abcd"),
        ("5\xa0miles\xa0\n", "5 miles\n"),
        ("tab\there ✈ ½", "tab\there ✈ ½"),
    ],
)
def test_clean(raw, text):
    assert clean(raw) == text


def test_metadata_is_cleaned_too(put, pdf):
    assert parse_pdf(put(pdf(["text"], r"Wing\000 report\002")), 9).title == "Wing report"


def test_real_report(elyria):
    parsed = parse_pdf(elyria, 5000)
    assert [label for label, _ in parsed.pages] == ["1", "2", "3", "4", "5"]
    assert "the right wing impacted a tree. This occurred approximately 1 mile from the airport" in parsed.pages[0][1]
    assert parsed.title == "National Transportation Safety Board – Aviation Accident Final Report"
    assert parse.READER_VERSION == "pdfium-1"  # change it whenever the text above changes
