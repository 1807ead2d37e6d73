"""Every parser of PDFs behind the Protocol runs this suite."""

import io

import pypdf
import pytest

from ingest.layout.words import OutlineEntry
from ingest.readers.base import CannotOpen, PageFault, PasswordNeeded
from ingest.readers.pdf import PARSERS, page_text


@pytest.fixture(params=sorted(PARSERS))
def parser(request):
    return PARSERS[request.param]


@pytest.fixture
def opened(parser, tmp_path):
    """Opens bytes in the parser; what was opened is closed at the end."""
    files = []

    def opened(raw, password=""):
        path = tmp_path / f"{len(files)}.pdf"
        path.write_bytes(raw)
        files.append(parser(path, password))
        return files[-1]

    yield opened
    for file in files:
        file.close()


def rewritten(raw, change):
    writer = pypdf.PdfWriter(clone_from=io.BytesIO(raw))
    change(writer)
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def words(page):
    return page_text(page).split()


def test_pages_in_order(opened, good):
    file = opened(good)
    assert file.page_count == 2
    assert words(file.page(1)) == ["Report", "(one)", "The", "wing", "hit", "a", "tree."]
    assert words(file.page(2)) == ["The", "pilot", "was", "not", "hurt."]
    page = file.page(1)
    assert (page.number, page.width, page.height, page.reader) == (1, 612, 792, file.name)


def test_a_page_without_text_is_empty(opened, pdf):
    assert page_text(opened(pdf([""])).page(1)) == ""


def test_metadata_labels_and_outline(opened, good):
    def labelled(writer):
        writer.set_page_label(0, 0, style="/r", start=4)
        top = writer.add_outline_item("First part", 0)
        writer.add_outline_item("Below", 1, parent=top)
        writer.add_metadata({"/Author": "A. Writer"})

    info = opened(rewritten(good, labelled)).info()
    assert (info.metadata["Title"], info.metadata["Author"]) == ("Wing report", "A. Writer")
    assert info.labels[0] == "iv"
    assert info.outline == (OutlineEntry("First part", 1, 1), OutlineEntry("Below", 2, 2))


def test_a_file_that_says_nothing_of_itself(opened, pdf):
    info = opened(pdf(["x"])).info()
    assert info.metadata.get("Title") is None
    assert info.outline == ()


def test_passwords(opened, good):
    locked = rewritten(good, lambda writer: writer.encrypt("secret", "owner"))
    for wrong in ("", "guess"):
        with pytest.raises(PasswordNeeded):
            opened(locked, wrong)
    assert words(opened(locked, "secret").page(2)) == ["The", "pilot", "was", "not", "hurt."]
    assert words(opened(locked, "owner").page(2)) == ["The", "pilot", "was", "not", "hurt."]


def test_an_owner_password_alone_locks_nothing(opened, owner_locked):
    assert words(opened(owner_locked).page(2)) == ["The", "pilot", "was", "not", "hurt."]


def test_what_is_no_pdf_cannot_be_opened(opened):
    with pytest.raises(CannotOpen) as caught:
        opened(b"%PDF-1.4\nnothing follows")
    assert not isinstance(caught.value, PasswordNeeded)
    assert "\n" not in str(caught.value)


def test_a_page_that_is_not_there(opened, good):
    with pytest.raises(PageFault):
        opened(good).page(3)


def test_filled_in_fields_are_text(opened):
    page = opened(form("Jane Doe", "name")).page(1)
    assert {"Jane", "Doe"} <= set(words(page))


def form(value, name):
    """A page with one text field, filled in, and its appearance."""
    writer = pypdf.PdfWriter()
    page = writer.add_blank_page(612, 792)
    page[pypdf.generic.NameObject("/Annots")] = pypdf.generic.ArrayObject()
    font = writer._add_object(names("/Type /Font /Subtype /Type1 /BaseFont /Helvetica"))
    stream = pypdf.generic.StreamObject()
    stream._data = f"/Tx BMC q BT /F1 12 Tf 2 5 Td ({value}) Tj ET Q EMC".encode()
    stream.update(names("/Type /XObject /Subtype /Form"))
    generic = pypdf.generic
    stream[generic.NameObject("/BBox")] = generic.ArrayObject(map(generic.FloatObject, (0, 0, 200, 20)))
    fonts = generic.DictionaryObject({generic.NameObject("/F1"): font})
    resources = generic.DictionaryObject({generic.NameObject("/Font"): fonts})
    stream[generic.NameObject("/Resources")] = resources
    field = names("/Type /Annot /Subtype /Widget /FT /Tx")
    field[generic.NameObject("/T")] = generic.TextStringObject(name)
    field[generic.NameObject("/V")] = generic.TextStringObject(value)
    field[generic.NameObject("/F")] = generic.NumberObject(4)
    field[generic.NameObject("/Rect")] = generic.ArrayObject(map(generic.FloatObject, (100, 700, 300, 720)))
    field[generic.NameObject("/AP")] = generic.DictionaryObject({generic.NameObject("/N"): writer._add_object(stream)})
    reference = writer._add_object(field)
    page["/Annots"].append(reference)
    writer._root_object[generic.NameObject("/AcroForm")] = generic.DictionaryObject(
        {
            generic.NameObject("/Fields"): generic.ArrayObject([reference]),
            generic.NameObject("/DR"): resources,
            generic.NameObject("/DA"): generic.TextStringObject("/F1 12 Tf 0 g"),
        }
    )
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def names(text):
    """A dictionary of names, from "/Key /Value /Key /Value"."""
    parts = list(map(pypdf.generic.NameObject, text.split()))
    return pypdf.generic.DictionaryObject(zip(parts[::2], parts[1::2], strict=True))
