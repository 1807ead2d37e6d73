"""What a rule reads off a table or a list: a question's wordings, its answer, and the places that prove it.

Unlike a ``Candidate`` of ``ingest.qa.rule_forms`` the answer need not stand in one piece: the items of a list, or the
label of the higher of two rows. Knows nothing of how tables and lists are found.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from fieldguide.types import Chunk, Evidence, Kind, Level

_LONGEST_NAME = 12
_NUMBERING = re.compile(
    r"^(?:(?:item|note|section|part|chapter|article|exhibit|appendix|annex|schedule)\s+[\dIVXLA-Z]+(?:[.\d]*\d)?[a-z]?"
    r"|\d+(?:\.\d+)*)\s*(?:[.:)–—-]+\s*|\s+(?=[A-Z])|$)",
    re.IGNORECASE,
)
_UNITS = re.compile(
    r"(?i)\s*[(,]?\s*(?:\$|(?:u\.s\. )?dollars|usd|euros|amounts|unaudited)?,?\s*"
    r"\bin (?:thousands|millions|billions)\b.*$"
)
_OF_A_PLACE = re.compile(r"(?:an|ese|ish|ench|utch)$")
_NO_NAME = re.compile(
    r"(?i)(?:(?:table of )?contents|index|signatures?|notes?|summary|overview|introduction|background|general|other"
    r"|page|exhibits?|appendix|references?|continued|(?:see|as) .*|\W*)"
)

_ADDRESS = re.compile(
    r"[A-Za-z],? \d{5}(?:-\d{4})?$|\b(?:Street|Avenue|Boulevard|Road|Suite|P\.? ?O\.? Box)\b.*(?:\d|, [A-Z])|@|www\."
)


@dataclass(frozen=True, slots=True)
class Reading:
    """A possible question with its answer. Rank 0 is the best.

    ``quotes`` are ranges of the chunk's text, in order, that together prove the answer. Each of the ``templates``
    holds the place {d}, the name of the document, once.
    """

    kind: Kind
    label: str
    answer: str
    quotes: tuple[tuple[int, int], ...]
    templates: tuple[str, ...]
    rank: int = 1
    level: Level = "explicit fact"

    def quote(self, chunk: Chunk) -> str:
        """The text that proves the answer, a line for each place."""
        return "\n".join(chunk.text[start:end] for start, end in self.quotes)

    def evidence(self, chunk: Chunk) -> tuple[Evidence, ...]:
        """The places that prove the answer, each with its page spans."""
        return tuple(
            Evidence(chunk.document, chunk.locate(start, end), chunk.text[start:end]) for start, end in self.quotes
        )


def readable_name(text: str) -> str:
    """A heading or caption as a question can quote it, without its numbering; "" if it is too long or names nothing."""
    name = _UNITS.sub("", " ".join(text.split()))
    name = _NUMBERING.sub("", name, count=1).strip(" .:;,–—-") if not name.casefold().startswith("table") else name
    name = re.sub(r"\s*\((?:continued|unaudited|cont['’]?d)\)$", "", name, flags=re.IGNORECASE).strip(" .:;,–—-*")
    name = re.sub(r"[“”\"]", "'", name)
    fits = len(name.split()) <= _LONGEST_NAME and len(name) <= 90 and re.search(r"[^\W\d_]{3}", name)
    whole = name.count("(") == name.count(")") and not re.search(
        r"(?i)\.{3}|[{}|…]|\b(?:and|of|or|the|for|to|in)$|[$€£]|\d{3}\W+\d{3}|\w: .*\d", name
    )
    return name if fits and whole and not _NO_NAME.fullmatch(name) and not _ADDRESS.search(name) else ""


def heading_name(path: Sequence[str]) -> str:
    """The innermost heading, if it can name a place in the document."""
    return readable_name(path[-1]) if path else ""


def lower_words(texts: Sequence[str]) -> frozenset[str]:
    """Words that the texts write in small letters: common words, not names."""
    return frozenset(word for text in texts for word in re.findall(r"(?<![\w'’.-])[a-z]{2,}(?![\w'’])", text))


def in_sentence(label: str, common: frozenset[str]) -> str:
    """A label as it stands inside a sentence: common words lose the capitals that their place gave them."""
    words = label.split()
    shouted = re.findall(r"[A-Z]+", label) if label.isupper() and len(label) > 4 else []
    if shouted and all(word.casefold() in common for word in shouted):
        return label.lower()
    first = words[0]
    small_next = not any(word[:1].isupper() and not word.isupper() for word in words[1:])
    if small_next and re.fullmatch(r"[A-Z][a-z]+(?:[-/][a-z]+)*,?", first):
        base = re.split(r"[-/,]", first)[0].casefold()
        if base in common or (len(words) > 1 and not _OF_A_PLACE.search(base)):
            words[0] = first[0].lower() + first[1:]
    return " ".join(words)


def is_plural(label: str) -> bool:
    """Whether the label's head noun looks like a plural ("net sales", "costs of goods")."""
    label = re.sub(r"^(?:the|an?) ", "", label)
    head = re.split(
        r"\s+(?:of|for|from|by|in|on|at|per|to|with|under|provided|used|before|after|attributable|due|net|outstanding|payable|receivable|held|sold|issued|paid"
        r"|\w+ed (?=to|by|from|in|on|for|of|as|at|with|and))\b|[,(:–—]",
        label,
        flags=re.IGNORECASE,
    )[0].split()
    return bool(head) and bool(re.search(r"(?<!ga|ia|va)(?<![ius])s$", head[-1].casefold()))
