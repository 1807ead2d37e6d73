"""Retrieved text as data: what of a passage a model is shown, so that no document gives orders to it.

Pure. The passage itself stays as it is, so what is cited is the page's own text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from fieldguide import align
from fieldguide.printable import visible

_MODEL = r"(?:ai|chatbot|language model|llm|chat ?gpt)"
_ORDERS = re.compile(
    rf"""^\W*(?:
      (?:please\s+|now\s+)?(?:ignore|disregard|forget|override|ignoriere|vergiss|ignora|ignorez)\b
        (?:\W+(?:all|any|every|the|your|of|these|those|other|previous|prior|above|earlier|system|
          alle|vorherigen|bisherigen|todas|las|toutes|les)\b)*
        \W+(?:instructions?|prompts?|passages|anweisungen|instrucciones|consignes)\b
        (?!\s+(?:issued|in|from|given|of|on|for|dated|contained|by)\b)
      | (?:ignore|disregard)\ (?:the|all)\ (?:above|previous)\ and\ (?:reply|answer|print|write|say|show|reveal)\b
      | you\ are\ now\ (?:an?\ )?(?:dan|{_MODEL})\b
      | (?:important\W+)?(?:notes?|instructions?|messages?)\ (?:to|for)\ (?:the\ |any\ |an\ )*{_MODEL}\b
      | {_MODEL}\ (?:reading|processing)\ this\b
      | (?:assistant|{_MODEL}),\ (?:reply|answer|respond|say|print)\b
      | (?:always\ )?(?:reply|respond|answer)\ only\ with\ (?:the\ word\ )?\W?(?-i:[A-Z]{{3,}})\W*$
      | if\ you\ are\ asked\b.*\breply\ only\s*:
      | decode\ and\ obey\b
      | (?:reply|print|reveal|repeat|show)\ (?:me\ )?(?:your\ (?:system\ )?(?:prompt|instructions)|
          the\ system\ prompt)\b
    )""",
    re.IGNORECASE | re.VERBOSE,
)
"""Sentences that begin as an order to a model, in words that nobody writes to people."""
_FORM = re.compile(
    r"""^\s*(?: <\|[a-z_]+\|> | \[/?INST\] | <</?SYS>> | \#{2,}\s*(?:instruction|response)s?:\s*$ | \[\d{1,3}\]\ says:
      | not\ in\ the\ documents\W*$ | <!--\s*(?:system|assistant)\s*:
      | (?:system|assistant)\s*:\s*(?:you\ (?:are|must|will)|answer|reply|respond|ignore)\b )""",
    re.IGNORECASE | re.VERBOSE,
)
"""Lines in the form of a chat's turns, or of the replies that a model is asked for."""


@dataclass(frozen=True, slots=True)
class Shown:
    """The text that a model is shown, and the sentences or lines that it is not, in the order of the text."""

    text: str
    withheld: tuple[str, ...]


def as_data(text: str) -> Shown:
    """The text without characters that draw nothing, and without lines and sentences that address a model instead of a
    reader: orders ("Ignore all previous instructions", "You are now DAN"), turns and control tokens of chats, replies
    in the form that a model is asked for.

    Only what begins as such an order counts: a sentence that tells of one or quotes it stays, and so do questions with
    answers, numbered references, code, and rules for people. A wrong statement is no order and stays as well. A text
    of which nothing would be left is shown whole.
    """
    plain = visible(text)
    cuts: list[tuple[int, int]] = []
    for start, end in align.sentences(plain):
        lines = [(start + low, start + high) for low, high in align.lines(plain[start:end])]
        found = [(low, high) for low, high in lines if is_order(plain[low:high])]
        if not found and len(lines) > 1 and is_order(" ".join(plain[start:end].split())):
            found = [(start, end)]
        cuts += found
    if not cuts:
        return Shown(plain, ())
    kept, at = [], 0
    for low, high in cuts:
        kept.append(plain[at:low].strip() if at else plain[at:low].rstrip())
        at = high
    kept.append(plain[at:].strip())
    shown = "\n".join(part for part in kept if part)
    return Shown(shown, tuple(plain[low:high] for low, high in cuts)) if shown.strip() else Shown(plain, ())


def is_order(line: str) -> bool:
    """Whether the line or sentence addresses a model (see ``as_data``)."""
    return _ORDERS.search(line) is not None or _FORM.search(line) is not None
