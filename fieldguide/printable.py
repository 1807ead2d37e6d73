"""Text of documents and models made fit for a page or a terminal: nothing in it is obeyed. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_BREAKS = re.compile("\r\n|[\r\v\f]")
_UNPRINTABLE = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f\u202d\u202e\ud800-\udfff\ufffe\uffff]")
_INVISIBLE = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u00ad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff"
    "\U000e0000-\U000e007f]|(?<=[!-~])[\u200c\u200d](?=[!-~])"
)
"""Control and direction marks, what draws nothing, tags; joiners only between Latin letters, since scripts and pictures
made of several need them."""


def visible(text: str) -> str:
    """The text without control and direction marks and without characters that draw nothing; line breaks stay."""
    return _INVISIBLE.sub("", text)


def printable(value: Any) -> Any:
    """The same with plain line ends, without what draws nothing (``visible``), and with a mark in the place of what a
    page cannot or should not carry.

    Control characters (those that begin a terminal's commands among them), halves of surrogate pairs, and the
    overrides of writing direction, which could make a hostile document's text read otherwise than it stands.
    """
    if isinstance(value, str):
        return visible(_UNPRINTABLE.sub("\ufffd", _BREAKS.sub("\n", value)))
    if isinstance(value, Mapping):
        return {printable(key): printable(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [printable(inner) for inner in value]
    return value


def on_one_line(text: str) -> str:
    """``printable`` for a place where a line break would begin a line of the text's own making: a file's name."""
    return " ".join(str(printable(text)).split())
