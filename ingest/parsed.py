"""What reading a file gives: its pages with their structure, or the class it ends in instead."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from fieldguide.types import Block

FileClass = Literal[
    "read", "read in part", "password needed", "damaged", "image-only", "empty", "too large", "timed out",
    "not a document",
]  # fmt: skip
"""What a file that exists ends in: exactly one of these."""


class NotRead(Exception):
    """The file cannot be used: its class ("damaged", "password needed", …) and the reason in a sentence."""

    def __init__(self, status: FileClass, reason: str) -> None:
        super().__init__(status, reason)
        self.status = status
        self.reason = reason


@dataclass(frozen=True, slots=True)
class ParsedPage:
    """A page's text as it is kept, its blocks (see ``fieldguide.types.Page``), and which reader gave it."""

    label: str
    text: str
    blocks: tuple[Block, ...]
    reader: str
    confidence: float | None = None


@dataclass(frozen=True, slots=True)
class Parsed:
    """A file's pages in order. ``faults`` are (page number from 1, reason): these pages hold no or not all text."""

    title: str
    metadata: dict[str, str]
    pages: list[ParsedPage]
    faults: list[tuple[int, str]] = field(default_factory=list)
