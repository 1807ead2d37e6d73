"""Bytes to text: byte order mark, declared encoding, UTF-8, UTF-16, else what charset-normalizer detects.

Knows no format but the signatures of files that are no text.
"""

from __future__ import annotations

import codecs
import logging
import re
from pathlib import Path

from ingest.parsed import NotRead
from ingest.readers.writing import MAX_CHARACTERS, too_much_text

_SIGNATURES = {
    b"%PDF-": "a PDF", b"PK\x03\x04": "a zip archive or office file", b"\xd0\xcf\x11\xe0": "an old office file",
    b"\x89PNG": "an image", b"\xff\xd8\xff": "an image", b"GIF8": "an image", b"\x1f\x8b": "a gzip archive",
    b"{\\rtf": "a Rich Text file", b"\x7fELF": "a program",
}  # fmt: skip
_MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"),
          (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))  # fmt: skip
_CONTROL = bytes(n for n in range(32) if n not in b"\t\n\r\f\x08\x1a\x1b")
_SAMPLE = 65_536
_HIGH_RUN = re.compile(rb"[^\n]{0,200}[\x80-\xff][^\n]{0,200}")


def read_text(path: Path, declared: re.Pattern[bytes] | None = None) -> tuple[str, list[tuple[int, str]]]:
    """The file's text, and faults as in Parsed where bytes fit no encoding (they become U+FFFD).

    ``declared`` finds, in the file's first bytes, the encoding that the format declares. Raises NotRead ("not a
    document" for binary content, "too large").
    """
    if path.stat().st_size > 4 * MAX_CHARACTERS:
        raise too_much_text()
    raw = path.read_bytes()
    for signature, what in _SIGNATURES.items():
        if raw.startswith(signature):
            raise NotRead("not a document", f"the file is {what}, not what its ending {path.suffix} says")
    text = _decoded(raw, path.suffix, declared)
    broken = "�" in text and "�".encode() not in raw
    return text, [(1, "some bytes fit no encoding; U+FFFD stands for them")] if broken else []


def _decoded(raw: bytes, suffix: str, declared: re.Pattern[bytes] | None) -> str:
    for mark, encoding in _MARKS:
        if raw.startswith(mark):
            return raw[len(mark) if encoding == "utf-8" else 0 :].decode(encoding, "replace")
    sample = raw[:_SAMPLE]
    if b"\x00" in sample and (wide := _wide(sample)):
        return raw.decode(wide, "replace")
    if b"\x00" in sample or len(sample) - len(sample.translate(None, _CONTROL)) > 0.02 * len(sample):
        raise NotRead("not a document", f"the file holds binary data, not the text that its ending {suffix} promises")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        pass
    if declared is not None and (found := declared.search(raw[:4096])):
        try:
            codec = codecs.lookup(found.group(1).decode("ascii")).name
            # Browsers read Latin-1 as Windows-1252, and so do those who write it.
            return raw.decode("cp1252" if codec in ("iso8859-1", "ascii") else codec, "replace")
        except (LookupError, UnicodeError, ValueError):
            pass
    text = raw.decode("utf-8", "replace")
    others = sum(1 for character in text if character > "\x7f")
    return text if text.count("�") <= 0.1 * others else raw.decode(_detected(raw), "replace")


def _wide(sample: bytes) -> str:
    """UTF-16 without a mark: every other byte of Western text is zero."""
    half = len(sample) // 2
    if sample[1::2].count(0) > 0.4 * half and sample[::2].count(0) < 0.05 * half:
        return "utf-16-le"
    if sample[::2].count(0) > 0.4 * half and sample[1::2].count(0) < 0.05 * half:
        return "utf-16-be"
    return ""


def _detected(raw: bytes) -> str:
    from charset_normalizer import from_bytes

    logging.getLogger("charset_normalizer").setLevel(logging.CRITICAL)
    telling = b"\n".join(match.group() for match, _ in zip(_HIGH_RUN.finditer(raw), range(200)))
    matches = from_bytes(telling[:_SAMPLE])
    best = matches.best()
    if best is None:
        return "cp1252"
    western = next((match for match in matches if match.encoding == "cp1252"), best)
    as_good = western.chaos <= best.chaos and western.coherence >= best.coherence - 0.1
    return western.encoding if as_good else best.encoding
