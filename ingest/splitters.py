"""LangChain's text splitters over a document's body: where each of their pieces stands.

Knows strings only. LangChain gives texts, not places; so it is asked for pieces that do not overlap, which can be found
again whatever the text repeats, and the overlap is put before them here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Literal

from ingest.chunk_units import CountTokens, weigh

Splitter = Literal["recursive", "character", "tokens"]

_SEPARATORS = ["\n\n", "\n", ". ", " ", ""]
_MEMORY = 1 << 18
_NOT_SPACE = re.compile(r"\S")
_LAST_WORD = re.compile(r"\S+\s*\Z")
_LONGEST_WORD = 200


def split(text: str, splitter: Splitter, size: int, overlap: int, count_tokens: CountTokens) -> list[tuple[int, int]]:
    """Start and end of each piece, in order, each of at most ``size`` tokens, the overlap with the one before included.

    "recursive" cuts at paragraphs, then lines, sentences, words; "character" at blank lines only, and "tokens" at any
    word; what they leave too long is cut by "recursive". Between two neighbours lies only white space.
    """
    from langchain_text_splitters import CharacterTextSplitter, RecursiveCharacterTextSplitter

    own = size - overlap

    @lru_cache(_MEMORY)
    def length(part: str) -> int:
        return weigh([part], count_tokens)[0]

    recursive = RecursiveCharacterTextSplitter(
        separators=_SEPARATORS, keep_separator="end", chunk_size=own, chunk_overlap=0, length_function=length
    )
    if splitter == "recursive":
        pieces = recursive.split_text(text)
    else:
        flat = CharacterTextSplitter(
            separator="\n\n" if splitter == "character" else r"\s+", is_separator_regex=splitter == "tokens",
            keep_separator="end", chunk_size=own, chunk_overlap=0, length_function=lambda part: min(length(part), own),
        )  # fmt: skip
        pieces = []
        for piece in flat.split_text(text):
            pieces += [piece] if length(piece) <= own else recursive.split_text(piece)
    return [(_back(text, start, overlap, length), end) for start, end in _locate(text, pieces)]


def _locate(text: str, pieces: Sequence[str]) -> list[tuple[int, int]]:
    """Where each piece stands: each begins with the first character, but white space, behind the one before."""
    found: list[tuple[int, int]] = []
    end = 0
    for piece in filter(None, map(str.strip, pieces)):
        first = _NOT_SPACE.search(text, end)
        if first is None or not text.startswith(piece, first.start()):
            raise AssertionError(f"the splitter changed the text: {piece[:60]!r}")
        end = first.start() + len(piece)
        found.append((first.start(), end))
    return found


def _back(text: str, start: int, overlap: int, length: Callable[[str], int]) -> int:
    """Where the whole words before ``start`` begin that have at most ``overlap`` tokens."""
    while overlap > 0 and (word := _LAST_WORD.search(text[max(0, start - _LONGEST_WORD) : start])):
        overlap -= length(word.group())
        if overlap < 0 or len(word.group()) == _LONGEST_WORD:
            break
        start -= len(word.group())
    return start
