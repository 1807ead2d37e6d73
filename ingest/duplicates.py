"""Documents that nearly equal another, and documents that a newer version supersedes.

Works on signatures (MinHash of runs of five words, 1 KB a document), titles, file names and dates. Knows nothing of
the catalogue: what becomes of a near-duplicate is the caller's decision.
"""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datasketch import MinHash

SIGNATURE_VERSION = "minhash-affine32-256-5-1"
"""Changes when a stored signature is no longer comparable with a new one."""

_RUN = 5
_PERMUTATIONS = 256
_BLOCK = 4096
# A script without spaces would be one endless word: each of its characters is a word of its own.
_WORD = re.compile(r"[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff]|[^\W\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff]+")
_ESTIMATE_ERROR = 0.1
_ONE_WORK = 0.6


def _runs(text: str) -> Iterator[bytes]:
    """Every run of five words, case-folded; a text of fewer words is one run."""
    window: deque[bytes] = deque(maxlen=_RUN)
    short = True
    for match in _WORD.finditer(text.casefold()):
        window.append(match.group().encode("utf-8", "surrogatepass"))
        if len(window) == _RUN:
            short = False
            yield b" ".join(window)
    if window and short:
        yield b" ".join(window)


@cache
def _permutations() -> Any:
    from datasketch import MinHash

    return MinHash(_PERMUTATIONS, seed=1, scheme="affine32").permutations


def signature(text: str) -> bytes:
    """1,024 bytes that estimate, beside another's, the share of 5-word runs common to both texts; b"" of no words.

    The same text gives the same bytes on every machine. Time is linear in the text; memory beside it is small.
    """
    from datasketch import MinHash

    runs = _runs(text)
    made = MinHash(_PERMUTATIONS, seed=1, permutations=_permutations(), scheme="affine32")
    while block := list(itertools.islice(runs, _BLOCK)):
        made.update_batch(block)
    return b"" if made.is_empty() else made.hashvalues.astype("<u4").tobytes()


def _sketch(stored: bytes) -> MinHash:
    import numpy as np
    from datasketch import MinHash

    values = np.frombuffer(stored, dtype="<u4")
    return MinHash(seed=1, hashvalues=values, permutations=_permutations(), scheme="affine32")


def exact_similarity(a: str, b: str) -> float:
    """Jaccard similarity of the 5-word runs of two texts, 0 to 1; 0 for texts without any word."""
    one, other = set(_runs(a)), set(_runs(b))
    return len(one & other) / len(one | other) if one or other else 0.0


def _bands(similarity: float) -> tuple[int, int]:
    """(bands, rows) of the hash table that finds 999 in 1,000 pairs of this similarity, with the fewest others."""
    for rows in range(_PERMUTATIONS, 1, -1):
        bands = _PERMUTATIONS // rows
        if (1 - similarity**rows) ** bands <= 0.001:
            return bands, rows
    return _PERMUTATIONS, 1


def near_duplicates(
    signatures: Mapping[str, bytes], similarity: float, text: Callable[[str], str] | None = None
) -> list[tuple[str, str, float]]:
    """(later id, earlier id, similarity 0 to 1) of each document that nearly equals an earlier one of the mapping.

    The earlier one is the likest that is no near-duplicate itself, so a series of ever so slightly changed documents
    cannot lose its end to its beginning, and a thousand copies give a thousand rows. Empty signatures equal nothing.
    Similarities are estimates (standard error 0.02 at 0.9) unless ``text`` gives a document's text by its id: then
    they, and the decision, are exact. Memory is 1 KB and a few table entries a document.
    """
    from datasketch import MinHashLSH

    floor = similarity if text is None else max(similarity - _ESTIMATE_ERROR, 0.01)
    table = MinHashLSH(num_perm=_PERMUTATIONS, params=_bands(floor))
    kept: dict[str, MinHash] = {}
    found = []
    for document, stored in signatures.items():
        if not stored:
            continue
        sketch = _sketch(stored)
        rated = sorted((-float(sketch.jaccard(kept[other])), other) for other in table.query(sketch))
        near = [(-negative, other) for negative, other in rated if -negative >= floor]
        if text is not None and near:
            own = text(document)
            near = [(exact_similarity(own, text(other)), other) for _, other in near]
        near = [(rate, other) for rate, other in near if rate >= similarity]
        if near:
            rate, other = max(near, key=lambda pair: pair[0])
            found.append((document, other, rate))
        else:
            table.insert(document, sketch, check_duplication=False)
            kept[document] = sketch
    return found


@dataclass(frozen=True, slots=True)
class VersionInfo:
    """What tells versions of one document apart. ``date`` is ISO, possibly only a year or month; "" if not known.

    ``signature`` (see ``signature``) lets documents of one title but different file names be told from a series.
    """

    id: str
    title: str
    source: str
    date: str
    signature: bytes = b""


_NUMBERED = re.compile(r"(?<![^\W_])(?:version|vers?|revision|rev)[\s._-]*\d{1,3}(?:\.\d{1,3}){0,3}(?![^\W_])", re.I)
_LEADING = re.compile(r"^\s*(?:copy[\s_-]of|draft|entwurf|borrador|brouillon|bozza)(?![^\W_])", re.I)
# At the end only: "Clean water" and "V8 engines" are what a document is about.
_TRAILING = re.compile(
    r"""(?:
        (?<![^\W_])(?:v[\s._-]?\d{1,3}(?:\.\d{1,3}){0,3}
            |(?:final|draft|entwurf|borrador|brouillon|bozza|copy|copie|kopie|copia|updated|revised|latest|clean|signed)
             (?:[\s._-]?\d{1,2})?)
      | [(\[]\s?\d{1,2}\s?[)\]]
    )[\s()\[\]._-]*$""",
    re.VERBOSE | re.IGNORECASE,
)
_DATE = re.compile(r"(?<!\d)(?:19|20)\d\d([._-]?)(?:0[1-9]|1[0-2])\1(?:0[1-9]|[12]\d|3[01])(?!\d)")
_YEAR = re.compile(r"(?<!\d)(?:19|20)\d\d(?!\d)")
_GENERIC_WORDS = """
a an the of and for to in on no untitled document doc docs file scan scanned image page pages report reports
annual quarterly monthly weekly final factual preliminary microsoft word powerpoint excel slide slides presentation
title cover letter form forms pdf print output output1 book chapter appendix exhibit index table contents
confidential memo memorandum minutes agenda notes invoice manual guide handbook policy readme download attachment
unbenannt dokument bericht sans titre sin titulo documento rapport informe united states"""
_GENERIC = frozenset(_GENERIC_WORDS.split())
_APPLICATION = re.compile(r"^(?:microsoft \w+|powerpoint presentation|pdf\w*|libreoffice \w+)\s+-\s+", re.IGNORECASE)


def _key(text: str) -> str:
    """A title or name without case, punctuation and markers of a version; "" if nothing tells it from another.

    Years and dates stay: "Annual Report 2021" is another document than "Annual Report 2022".
    """
    folded = _LEADING.sub("", _APPLICATION.sub("", unicodedata.normalize("NFKC", text[:300]).strip()))
    folded = _NUMBERED.sub(" ", folded).rstrip()
    while (shorter := _TRAILING.sub("", folded).rstrip()) != folded:
        folded = shorter
    words = re.findall(r"[^\W_]+", folded.casefold())
    telling = [word for word in words if word not in _GENERIC and not word.isdecimal() and len(word) > 1]
    return " ".join(words) if telling else ""


def _years(path: PurePath) -> tuple[str, ...]:
    """Years that the folders and the name hold, whole dates apart: editions of a series differ in them."""
    return tuple(_YEAR.findall(_DATE.sub(" ", str(path))))


def _later(newer: str, older: str) -> bool:
    """Whether one date is later as far as both are known: 2018-05-12 is not later than 2018."""
    known = min(len(newer), len(older))
    return newer[:known] > older[:known]


def supersedes(documents: Sequence[VersionInfo]) -> dict[str, str]:
    """Older id → id of the newest version, for documents of one name or one title of which the later date is known.

    The name is the file's without version marks ("v2", "rev. 3", "final", "draft", "copy", "(1)"); so is the title.
    Years are content and are never folded, neither in titles, names nor folders. Names that differ in a whole date
    ("policy_2023-06-30") count as one only if the title is one too. Documents of one title under different names are
    versions only if 0.6 of their 5-word runs are common: reports of a series share their first line. Generic titles and
    names never count, a document without a date neither supersedes nor is superseded, and of two equally new ones
    neither does.
    """
    groups: dict[tuple[object, ...], list[VersionInfo]] = {}
    alike: dict[tuple[object, ...], list[VersionInfo]] = {}
    for document in documents:
        if not document.date:
            continue
        path = PurePath(document.source)
        years, name, title = _years(path), _key(path.stem), _key(document.title)
        if name:
            groups.setdefault(("name", years, name), []).append(document)
        if title:
            alike.setdefault((years, title), []).append(document)
            if bare := _key(_DATE.sub(" ", path.stem)):
                groups.setdefault(("title", years, title, bare), []).append(document)
    newest: dict[str, VersionInfo] = {}
    for members in groups.values():
        _record(newest, _by_newest(members))
    for members in alike.values():
        _record(newest, _by_likeness(members))
    return {older: _head(newest, newer).id for older, newer in newest.items()}


def _by_newest(members: list[VersionInfo]) -> Iterator[tuple[VersionInfo, VersionInfo]]:
    """(older, newest) within documents known to be versions of one; none if two are equally new."""
    top = max(members, key=lambda d: d.date)
    rivals = [d for d in members if d.id != top.id and not _later(top.date, d.date)]
    if not rivals:
        yield from ((d, top) for d in members if d.id != top.id)


def _by_likeness(members: list[VersionInfo]) -> Iterator[tuple[VersionInfo, VersionInfo]]:
    """(older, newer) within documents of one title whose texts are alike, in time linear in their number."""
    if len(members) < 2:
        return
    ordered = {d.id: d for d in sorted(members, key=lambda d: (d.date, d.id), reverse=True)}
    for older, newer, _ in near_duplicates({d.id: d.signature for d in ordered.values()}, _ONE_WORK):
        if _later(ordered[newer].date, ordered[older].date):
            yield ordered[older], ordered[newer]


def _record(newest: dict[str, VersionInfo], pairs: Iterable[tuple[VersionInfo, VersionInfo]]) -> None:
    for older, newer in pairs:
        known = newest.get(older.id)
        if known is None or _later(newer.date, known.date):
            newest[older.id] = newer


def _head(newest: dict[str, VersionInfo], document: VersionInfo) -> VersionInfo:
    """The last of a chain of versions; dates rise along it, so it ends."""
    while document.id in newest:
        document = newest[document.id]
    return document
