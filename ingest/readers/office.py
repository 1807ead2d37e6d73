"""What .docx, .pptx and .xlsx files have in common: a zip archive of XML, which may be a trap.

Checks the archive before a library opens it, turns what the libraries raise into one sentence, and reads the core
properties. Entity tricks are shut out here: office files declare no document types, so one that does is refused.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from xml.parsers import expat

from ingest.parsed import NotRead

_MAX_UNPACKED = 1 << 29
_MAX_XML = 1 << 28
_MAX_RATIO = 300  # of XML once it is large; sheets of equal rows come to about 100
_LARGE_XML = 1 << 24
_MAX_MEMBERS = 20_000
_MAIN_PARTS = {".docx": "word/", ".pptx": "ppt/", ".xlsx": "xl/"}
_PROPERTIES = {
    "title": "Title", "creator": "Author", "subject": "Subject", "language": "Language", "created": "CreationDate",
    "modified": "ModDate",
}  # fmt: skip


def check_archive(path: Path) -> None:
    """Raises NotRead when the file is no office file of its ending, is encrypted, damaged, or unpacks to too much."""
    suffix = path.suffix.lower()
    with path.open("rb") as file:
        magic = file.read(8)
        if magic.startswith(b"\xd0\xcf\x11\xe0"):
            if "EncryptedPackage".encode("utf-16-le") in magic + file.read(1 << 24):
                raise NotRead("password needed", "the file is encrypted; office files with a password cannot be read")
            raise NotRead("not a document", f"the file is an old office file, not what its ending {suffix} says")
    if not magic.startswith(b"PK"):
        raise NotRead("not a document", f"the file is not a {suffix} file (it is no zip archive)")
    with faults("the zip archive is broken"), zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        names = {member.filename for member in members}
        if "[Content_Types].xml" not in names or not any(name.startswith(_MAIN_PARTS[suffix]) for name in names):
            raise NotRead("not a document", f"the file is a zip archive, but not a {suffix} file")
        xml = [member for member in members if member.filename.lower().endswith((".xml", ".rels", ".vml"))]
        unpacked, markup = sum(m.file_size for m in members), sum(m.file_size for m in xml)
        packed = sum(m.compress_size for m in xml)
        if len(members) > _MAX_MEMBERS or unpacked > _MAX_UNPACKED or markup > _MAX_XML:
            raise NotRead("too large", f"it unpacks to {unpacked >> 20:,} MB in {len(members):,} files")
        if markup > _LARGE_XML and markup > _MAX_RATIO * packed:
            raise NotRead("too large", f"its XML unpacks to {markup // max(packed, 1):,} times its size")
        for member in xml:
            _refuse_document_type(archive, member)


def _refuse_document_type(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> None:
    """Reads no further than the first element, before which a document type must stand."""
    parser = expat.ParserCreate()
    begun = False

    def on_type(*_: Any) -> None:
        raise NotRead("damaged", f"{member.filename} in it declares a document type, which office files never do")

    def on_element(*_: Any) -> None:
        nonlocal begun
        begun = True

    parser.StartDoctypeDeclHandler = on_type
    parser.StartElementHandler = on_element
    with archive.open(member) as file:
        while not begun and (data := file.read(4096)):
            try:
                parser.Parse(data, False)
            except expat.ExpatError:
                if not begun and not member.filename.endswith(".vml"):
                    raise NotRead("damaged", f"{member.filename} in it is no XML") from None
                return


@contextmanager
def faults(what: str) -> Iterator[None]:
    """Around a library's work: whatever it raises becomes NotRead, and so does its absence."""
    try:
        yield
    except (NotRead, MemoryError):
        raise
    except ImportError as error:
        reason = f"support for office files is not installed ({error.name}): pip install 'fieldguide[office]'"
        raise NotRead("not a document", reason) from None
    except Exception as error:  # zipfile and the office libraries raise many kinds on broken files
        raise NotRead("damaged", f"{what} ({_plain(error)})") from None


def properties(path: Path) -> dict[str, str]:
    """The core properties as metadata. The libraries invent dates where a file has none, so they are not asked."""
    from lxml import etree

    metadata: dict[str, str] = {}
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            if name.lower().endswith(("core.xml", ".psmdcp")):
                with suppress(etree.LxmlError):
                    root = etree.fromstring(archive.read(name), etree.XMLParser(resolve_entities=False))
                    for element in root.iter(etree.Element):
                        key = _PROPERTIES.get(etree.QName(element).localname)
                        if key and (element.text or "").strip():
                            metadata.setdefault(key, str(element.text))
    return metadata


def _plain(error: Exception) -> str:
    text = " ".join(str(error).split())[:120].rstrip(".")
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
