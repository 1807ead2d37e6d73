"""Aligning a statement with a text: where does it stand, character by character?

Pure functions over strings. Knows nothing of pages, models or citations. All offsets are of the original text.
"""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

_FOLD = {
    "‘": "'", "’": "'", "‚": "'", "“": '"', "”": '"', "„": '"', "«": '"', "»": '"',
    "‐": "-", "‑": "-", "‒": "-", "–": "-", "—": "-", "−": "-", "ﬁ": "fi", "ﬂ": "fl", "\u00ad": "", "\u200b": "",
}  # fmt: skip
_SOFT_HYPHEN = "\u00ad"
_BEFORE_POINT = " \t\r\n\xa0$£€([<>=~±+-–−"
_TOKEN = re.compile(r"\d+(?:[.,:/]\d+)*|\w+", re.UNICODE)
_STOPWORDS = frozenset(
    [
        "a",
        "an",
        "and",
        "are",
        "as",
        "at",
        "be",
        "by",
        "did",
        "do",
        "does",
        "for",
        "from",
        "had",
        "has",
        "have",
        "in",
        "into",
        "is",
        "it",
        "its",
        "of",
        "on",
        "or",
        "that",
        "the",
        "their",
        "there",
        "this",
        "to",
        "was",
        "were",
        "what",
        "when",
        "where",
        "which",
        "who",
        "whom",
        "whose",
        "why",
        "how",
        "with",
        "would",
        "will",
    ]
)


@dataclass(frozen=True, slots=True)
class Match:
    """Characters ``start`` to ``end`` of a text, and how much of the statement they hold (0 to 1)."""

    start: int
    end: int
    score: float


def normalise(text: str) -> tuple[str, list[int]]:
    """Case-folded text with plain quotes and dashes and single spaces, and the origin of each of its characters.

    A word that a soft hyphen splits at a line's end is one word; ".5" is "0.5", "1½" is "1 1/2", and a raised number
    is no part of the one before it. ``offsets`` has one entry more than the normalised text has characters; the last
    is ``len(text)``.
    """
    out: list[str] = []
    offsets: list[int] = []
    gap = hyphen = False
    for i, char in enumerate(text):
        if char.isspace():
            gap = gap or (bool(out) and not (hyphen and char in "\r\n"))
            continue
        hyphen = char == _SOFT_HYPHEN
        folded = _FOLD.get(char)
        if folded is None:
            folded = unicodedata.normalize("NFKC", char).casefold().replace("\N{FRACTION SLASH}", "/")
        if not folded:
            continue
        if char == "." and text[i + 1 : i + 2].isdecimal() and (i == 0 or text[i - 1] in _BEFORE_POINT):
            folded = "0."
        if gap or (out and out[-1].isdecimal() and unicodedata.category(char) == "No"):
            out.append(" ")
            offsets.append(i - 1)
            gap = False
        for piece in folded:
            out.append(" " if piece.isspace() else piece)
            offsets.append(i)
    offsets.append(len(text))
    return "".join(out), offsets


def tokens(text: str) -> list[str]:
    """Case-folded words and numbers of the text, in order; a number keeps its separators ("12,500", "10:45")."""
    return _TOKEN.findall(normalise(text)[0])


def content_tokens(text: str) -> list[str]:
    """Tokens that carry meaning: without the commonest English function words."""
    return [token for token in tokens(text) if token not in _STOPWORDS]


def names(statement: str) -> set[str]:
    """The words that are written as names, case-folded: with a capital, and not at the beginning unless another such
    word follows. In German, where every noun has one, they are all nouns."""
    found: set[str] = set()
    words = re.findall(r"[^\W\d_][\w'’-]*", statement)
    capital = [word[:1].isupper() and word.casefold() not in _STOPWORDS for word in words]
    for n, word in enumerate(words):
        if capital[n] and (n > 0 or (len(words) > 1 and capital[1])):
            found.update(tokens(word))
    return found


def find_exact(statement: str, text: str) -> list[Match]:
    """Every place where the statement stands in the text, whatever case, white space, quotes or dashes.

    Only whole words match: "5" is not found in "35". Empty for a statement without any word or number.
    """
    needle = normalise(statement)[0].strip(" .,;:\"'")
    if not _TOKEN.search(needle):
        return []
    haystack, offsets = normalise(text)
    left = r"(?<!\w)(?<!\d[.,:/])" if needle[0].isalnum() else ""
    right = r"(?!\w)(?![.,:/]\d)" if needle[-1].isalnum() else ""
    pattern = re.compile(left + re.escape(needle) + right)
    return [Match(offsets[m.start()], offsets[m.end() - 1] + 1, 1.0) for m in pattern.finditer(haystack) if m.end() > 0]


def _token_spans(text: str) -> list[tuple[str, int, int]]:
    folded, offsets = normalise(text)
    return [(m.group(), offsets[m.start()], offsets[m.end() - 1] + 1) for m in _TOKEN.finditer(folded)]


def find_close(statement: str, text: str, *, slack: float = 1.5) -> Match | None:
    """The window of the text that holds most of the statement's content tokens, and the share it holds.

    The window is at most ``slack`` times as long as the statement, in tokens, plus four. None if it holds nothing,
    or if a number of the statement is missing from it: a close text with another number says another thing.
    """
    wanted = content_tokens(statement)
    if not wanted:
        return None
    need = set(wanted)
    numbers = {token for token in need if token[0].isdigit()}
    found = _token_spans(text)
    width = int(slack * len(tokens(statement))) + 4
    best: tuple[int, int, int, int] | None = None  # (tokens held, -length, first, last)
    for first, (token, _, _) in enumerate(found):
        if token not in need:
            continue
        held: set[str] = set()
        for last in range(first, min(first + width, len(found))):
            if found[last][0] in need and found[last][0] not in held:
                held.add(found[last][0])
                if numbers <= held or not numbers:
                    candidate = (len(held), first - last, first, last)
                    best = candidate if best is None or candidate[:2] > best[:2] else best
    if best is None:
        return None
    return Match(found[best[2]][1], found[best[3]][2], best[0] / len(need))


_SENTENCE_END = re.compile(r"(?<=[.!?])[\"')\]]*\s+(?=[\"'(\[]?[A-Z0-9])|\n\s*\n")
_ABBREVIATIONS = re.compile(
    r"(?:\b(?:[A-Z]|No|Mr|Mrs|Ms|Dr|St|vs|etc|approx|Inc|Ltd|Co|Fig|Sec|e\.g|i\.e|U\.S|a\.m|p\.m)\.)$"
)
_LONGEST_ABBREVIATION = 24


def sentences(text: str) -> list[tuple[int, int]]:
    """Spans of the text's sentences (start, end), without the white space around them; covers every word."""
    bounds = [0]
    for match in _SENTENCE_END.finditer(text):
        if not _ABBREVIATIONS.search(
            text[max(bounds[-1], match.start() - _LONGEST_ABBREVIATION) : match.start()].rstrip()
        ):
            bounds.append(match.end())
    bounds.append(len(text))
    return list(_trimmed(text, itertools.pairwise(bounds)))


def lines(text: str) -> list[tuple[int, int]]:
    """Spans of the text's lines that hold anything, without the white space around them."""
    spans = []
    start = 0
    for line in text.split("\n"):
        spans.append((start, start + len(line)))
        start += len(line) + 1
    return list(_trimmed(text, spans))


def _trimmed(text: str, spans: Iterable[tuple[int, int]]) -> Iterable[tuple[int, int]]:
    for start, end in spans:
        while start < end and text[start].isspace():
            start += 1
        while end > start and text[end - 1].isspace():
            end -= 1
        if start < end:
            yield start, end
