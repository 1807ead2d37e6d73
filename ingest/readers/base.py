"""What every parser of PDFs offers, and how it says no. Knows no parser, no layout and no limits."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from ingest.layout.words import OutlineEntry, RawPage


class CannotOpen(Exception):
    """This parser cannot open the file; the reason is a phrase without a full stop."""


class PasswordNeeded(CannotOpen):
    """The file is encrypted, and the password tried does not open it."""


class PageFault(Exception):
    """This parser cannot read this page; the others may be fine."""


@dataclass(frozen=True, slots=True)
class FileInfo:
    """What a file says of itself. ``labels`` are the printed page numbers, one a page, or none at all."""

    metadata: dict[str, str] = field(default_factory=dict)
    labels: tuple[str, ...] = ()
    outline: tuple[OutlineEntry, ...] = ()


class PdfParser(Protocol):
    """An open file. Its constructor takes a path and a password ("" for none) and raises CannotOpen."""

    name: str
    page_count: int

    def page(self, number: int) -> RawPage:
        """Page ``number`` (from 1), its label not yet known (""). Raises PageFault."""
        ...

    def info(self) -> FileInfo:
        """Metadata, labels and outline as far as they can be read; never raises for a broken file."""
        ...

    def close(self) -> None: ...


def phrase(error: BaseException) -> str:
    """An error as a short phrase for a reason: its kind where it says nothing itself."""
    text = " ".join(str(error).split()).rstrip(". ")
    return text[:200] if text else type(error).__name__
