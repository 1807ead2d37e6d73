"""Small PDFs made by hand, and what else a shelf may hold."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import pypdf
import pytest

from fieldguide.catalog import Catalog

NTSB = Path(__file__).parents[2] / "examples" / "ntsb"
ELYRIA = NTSB / "20080115X00053.pdf"


def make_pdf(pages: Sequence[str], title: str = "") -> bytes:
    """A PDF whose pages hold these texts, a line of Helvetica each, with its cross-reference table."""
    kids = " ".join(f"{4 + 2 * n} 0 R" for n in range(len(pages)))
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    for n, text in enumerate(pages):
        escaped = [line.replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)") for line in text.split("\n")]
        stream = f"BT /F1 12 Tf 50 740 Td 14 TL {' '.join(f'({line}) Tj T*' for line in escaped)} ET"
        objects.append(
            "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Resources << /Font << /F1 3 0 R >> >> "
            f"/Contents {5 + 2 * n} 0 R >>"
        )
        objects.append(f"<< /Length {len(stream)} >>\nstream\n{stream}\nendstream")
    objects.append(f"<< /Title ({title}) >>" if title else "<< >>")
    parts = [b"%PDF-1.4\n"]
    offsets = []
    length = len(parts[0])
    for number, body in enumerate(objects, 1):
        offsets.append(length)
        parts.append(f"{number} 0 obj\n{body}\nendobj\n".encode("latin-1"))
        length += len(parts[-1])
    table = "".join(f"{offset:010d} 00000 n \n" for offset in offsets)
    parts.append(
        f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}"
        f"trailer\n<< /Size {len(objects) + 1} /Root 1 0 R /Info {len(objects)} 0 R >>\n"
        f"startxref\n{length}\n%%EOF\n".encode("latin-1")
    )
    return b"".join(parts)


def encrypted(raw: bytes, user: str, owner: str) -> bytes:
    writer = pypdf.PdfWriter(clone_from=io.BytesIO(raw))
    writer.encrypt(user, owner)
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def blank_pages(count: int) -> bytes:
    writer = pypdf.PdfWriter()
    for _ in range(count):
        writer.add_blank_page(612, 792)
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


GOOD = make_pdf(["Report (one)\nThe wing hit a tree.", "The pilot was not hurt."], "Wing report")
HALF = "no parser can open it (pdfium: Data format error; pypdf: Stream has ended unexpectedly)"
BLANK = "all of its 2 page(s) are blank (nothing or one colour on each)"
NO_HEADER = "the file is not a PDF (its first bytes lack %PDF-)"
LOCKED = "the file is encrypted: no password is given for it (FIELDGUIDE_PASSWORDS, ingest.keyfile)"
BAD_FILES = {
    "blank.pdf": (blank_pages(2), "empty", BLANK),
    "empty.pdf": (b"", "empty", "the file has no bytes"),
    "half.pdf": (ELYRIA.read_bytes()[:47292], "damaged", HALF),
    "header.pdf": (b"X" * 1024 + ELYRIA.read_bytes()[1024:], "not a document", NO_HEADER),
    "locked.pdf": (encrypted(GOOD, "secret", "owner"), "password needed", LOCKED),
    "long.pdf": (make_pdf(["x"] * 12), "too large", "it has 12 pages, more than ingest.max_pages = 9"),
    "text.pdf": (b"only text\n", "not a document", NO_HEADER),
}
"""File name: its bytes, the class it falls into with max_pages = 9, and the reason."""


@pytest.fixture
def pdf():
    """The function that makes a PDF of page texts."""
    return make_pdf


@pytest.fixture
def elyria():
    """A real report of five pages."""
    return ELYRIA


@pytest.fixture
def ntsb():
    """The folder of real reports."""
    return NTSB


@pytest.fixture
def good():
    return GOOD


@pytest.fixture
def owner_locked():
    """Encrypted, but readable with the empty user password."""
    return encrypted(GOOD, "", "owner")


@pytest.fixture
def bad_files():
    return BAD_FILES


@pytest.fixture
def catalog(tmp_path):
    opened = Catalog.open(tmp_path / "catalog.sqlite")
    yield opened
    opened.close()
