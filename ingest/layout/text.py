"""Words to clean text: no control characters or lone surrogates; lines joined, with cut words made whole again."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

_UNWANTED = re.compile("[\x00-\x1f\x7f-\x9f\u00ad\ud800-\udfff\ufffe\uffff]")
_MARK = "\u00ad"
"""The soft hyphen: a word is cut here."""
_MARKS = re.compile("[\x02\ufffe\u00ad]+")
"""What stands for a hyphen at a line's end: pdfium's marks, and the soft hyphen."""
_CUT = re.compile(f"(?<=\\w){_MARK}(?=\\s|$)")
_HYPHENS = "-\u2010" + _MARK
_EDGES = ".,;:!?()[]{}\"'“”‘’"
_CONJUNCTIONS = frozenset({"and", "or", "to", "und", "oder", "bis", "y", "o", "et", "ou"})
"""What parts "pre- and postwar": the hyphen stays, and the words are two."""
_PREFIXES = re.compile(
    "all|anti|co|cross|ex|half|high|inter|intra|long|low|mid|multi|non|off|on|post|pre|pro|quasi|self|semi|short|sub"
    "|super|well|year|two|three|four|five|six|seven|eight|nine|ten"
)
"""What most often keeps its hyphen before another word."""
_STEMS = re.compile("every|head|here|over|some|state|them|there|under|where|with")
"""What most often has none."""


def clean(text: str) -> str:
    """The text without what no text may hold, white space folded; a mark at a word's end becomes "-"."""
    if text.isprintable() and "  " not in text:
        return text
    text = _CUT.sub("-", _MARKS.sub(_MARK, text))
    text = " ".join(text.split())
    return _UNWANTED.sub(lambda found: "\ufffd" if "\ud800" <= found[0] <= "\udfff" else "", text).strip()


def keep_mark(text: str) -> str:
    """A word cleaned, but for a soft hyphen at its end, which says that the word goes on on the next line."""
    cleaned = clean(text)
    return cleaned[:-1] + _MARK if len(cleaned) > 1 and text[-1] in "\x02\ufffe\u00ad" else cleaned


def clean_rows(rows: Sequence[str]) -> list[str]:
    """A table's rows, each cleaned and kept, though it may be empty."""
    return [clean(row.strip()) for row in rows]


def vocabulary(texts: Sequence[str]) -> frozenset[str]:
    """The words of a document, in lower case and without the marks around them."""
    return frozenset(text.strip(_EDGES).lower() for text in texts)


def join_lines(lines: Sequence[Sequence[str]], known: Collection[str]) -> str:
    """Lines (their words, as the parser gave them) to text: "irriga-", "tion is" → "irrigation\\nis"."""
    out: list[list[str]] = []
    for words in lines:
        rest = list(words)
        if out and out[-1] and rest:
            whole = _whole(out[-1][-1], rest[0], known)
            if whole:
                out[-1][-1] = whole
                del rest[0]
        if rest:
            out.append(rest)
    return "\n".join(filter(None, (" ".join(filter(None, map(clean, line))) for line in out)))


def _whole(head: str, tail: str, known: Collection[str]) -> str:
    """The word that a line's end cut into ``head`` and ``tail``; empty if they are two words."""
    if len(head) < 2 or head[-1] not in _HYPHENS or not head[-2].isalpha() or not tail[0].isalpha():
        return ""
    stem = head[:-1]
    if not tail[0].islower():
        return stem + tail if head[-1] == _MARK else ""
    first, last = stem.strip(_EDGES).lower(), tail.strip(_EDGES).lower()
    if last in _CONJUNCTIONS:
        return ""
    hyphened = f"{stem}-{tail}"
    if f"{first}-{last}" in known:
        return hyphened
    if first + last in known:
        return stem + tail
    if "-" in stem or "-" in tail or _PREFIXES.fullmatch(first):
        return hyphened
    if min(len(first), len(last)) > 3 and first in known and last in known and not _STEMS.fullmatch(first):
        return hyphened
    return stem + tail
