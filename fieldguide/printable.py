"""Text of documents and models made fit for a page or a terminal: nothing in it is obeyed. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_BREAKS = re.compile("\r\n|[\r\v\f]")
_UNPRINTABLE = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f\u202d\u202e\ud800-\udfff\ufffe\uffff]")


def printable(value: Any) -> Any:
    """The same with plain line ends, and with a mark in the place of what a page cannot or should not carry.

    Control characters (those that begin a terminal's commands among them), halves of surrogate pairs, and the
    overrides of writing direction, which could make a hostile document's text read otherwise than it stands.
    """
    if isinstance(value, str):
        return _UNPRINTABLE.sub("\ufffd", _BREAKS.sub("\n", value))
    if isinstance(value, Mapping):
        return {printable(key): printable(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [printable(inner) for inner in value]
    return value


def on_one_line(text: str) -> str:
    """``printable`` for a place where a line break would begin a line of the text's own making: a file's name."""
    return " ".join(str(printable(text)).split())
