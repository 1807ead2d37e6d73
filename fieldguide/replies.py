"""What a generator is taught to reply, and how a reply is read: answer, passage mark, quote, refusal.

One writer for training (``target``) and one reader for serving and evaluation (``read_reply``). The reader takes
every style, so nobody has to know in which one an adapter was trained. Pure; knows nothing of models.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from fieldguide.printable import visible

Style = Literal["answer", "marked", "reasoned"]
"""The answer alone; with the mark of its passage behind it; or, before it, which passage matters and what it says
(the intermediate reasoning of arXiv 2410.05983, section 5)."""

REASONING_TOKENS = 96
"""Room for the passage and its sentence, where a reply begins with them."""

REFUSAL = "not in the documents"
"""What the generator replies, word for word, where the passages do not hold the answer."""

_REASONED = re.compile(r"^\s*\[(\d{1,3})\] says: [\"“](.*?)[\"”]\s*(?:\n|$)\s*(?:Answer:)?\s*(.*)$", re.DOTALL)
_LEAD = re.compile(r"^\s*Answer:\s*", re.IGNORECASE)
_MARK = re.compile(r"\s*\[(\d{1,3})\]")
_UNSETTLED = re.compile(r"\s*(?:\[\d{0,3})?$")
_QUOTING = re.compile(r"^\s*\[\d{1,3}\] says: [\"“]")
_QUOTED = re.compile(_QUOTING.pattern + r".*?[\"”]\s*\n\s*(?:Answer:)?\s*", re.DOTALL)
_NO_WORDS = re.compile(r"[^a-z ]")


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply read: ``answer`` without marks, "" if it refuses; ``marks`` are numbers of passages, from 1, as the
    model wrote them (nobody has checked them); ``quote`` is what it says that the passage says."""

    answer: str
    refused: bool
    marks: tuple[int, ...] = ()
    quote: str = ""


def room(tokens: int, style: str) -> int:
    """Most tokens of a reply whose answer may have ``tokens`` of them."""
    return tokens + REASONING_TOKENS * (style == "reasoned")


def target(style: Style, answer: str, passage: int | None, quote: str) -> str:
    """What to reply with ``answer`` ("" = refuse), found in passage number ``passage`` (from 1; None: without
    passages) in the sentence ``quote``."""
    if not answer:
        return REFUSAL
    if passage is None or style == "answer":
        return answer
    if style == "marked":
        return f"{answer} [{passage}]"
    return f"[{passage}] says: “{' '.join(quote.split())}”\nAnswer: {answer}"


def read_reply(text: str) -> Reply:
    """The reply in any style, without characters that draw nothing or steer a terminal; a reply that was cut off within
    its quote has no answer and is no refusal."""
    quote, marks = "", []
    text = visible(text)
    found = _REASONED.match(text)
    if found is not None:
        marks.append(int(found[1]))
        quote, text = found[2], found[3]
    elif _QUOTING.match(text):
        return Reply("", False, (int(re.findall(r"\d+", text)[0]),), "")
    text = _LEAD.sub("", text)
    marks += [int(number) for number in _MARK.findall(text)]
    answer = " ".join(_MARK.sub("", text).split())
    refused = is_refusal(answer)
    return Reply("" if refused else answer, refused, tuple(dict.fromkeys(marks)), quote)


def settled(text: str) -> str:
    """Of a reply that is still being written, the part of its answer that nothing to come can change.

    ``read_reply(whole).answer`` begins with it, whatever the whole turns out to be: what may yet become a mark, a
    quote or the refusal is held back.
    """
    begun = re.match(r"\s*\[\d{1,3}\](.*)", text, re.DOTALL)
    if begun is not None and " says: ".startswith(begun[1]):
        return ""
    if _QUOTING.match(text):
        said = _QUOTED.match(text)
        if said is None:
            return ""
        text = text[said.end() :]
    text = _LEAD.sub("", text)
    if "answer:".startswith(text.strip().lower()):
        return ""
    certain = " ".join(_MARK.sub("", _UNSETTLED.sub("", text)).split())
    return "" if REFUSAL.startswith(_letters(certain)) else certain


def is_refusal(text: str) -> bool:
    """Whether the text says no more than that the documents do not hold the answer."""
    return _letters(text) == REFUSAL


def _letters(text: str) -> str:
    return " ".join(_NO_WORDS.sub("", text.lower()).split())
