"""How much of the human evidence do the chunks hold, and is a table's cell in one chunk with its row and its column?

Data: DIR/financebench (evidence texts with pages, from 0) and DIR/mmlongbench (evidence pages, from 1).

- ``text_coverage``: for each evidence text, the share of its characters that the chunks of its page hold; the mean.
- ``table_coverage``: share of the (row label, column header, value) triples of the evidence that one chunk holds;
  ``table_adjacent``: with the value straight behind its header, in a line with its label; ``table_misplaced``: behind
  another column's header instead. The triples come from the evidence text alone.
- ``mm_coverage``: share of the evidence pages of mmlongbench that have text in chunks.

Beside ``text_coverage`` stands what the same measure gives where it has to fall: for another page of the document, and
with every second chunk left out (next to it, the share that the whole page's alignment puts into the chunks that stay).
Knows nothing of how pages are read and cut: only texts are compared.
"""

from __future__ import annotations

import argparse
import ast
import importlib
import json
import random
import re
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from pathlib import Path
from statistics import mean
from typing import Any, get_args

# This script's folder would hide the package `ingest` behind bench/ingest.py.
sys.path[:] = [path for path in sys.path if Path(path).resolve() != Path(__file__).parent.resolve()]

from fieldguide.align import normalise
from fieldguide.cli.session import quieten
from fieldguide.settings import Ingest, Settings
from fieldguide.types import PAGE_BREAK, Chunk, Silent, Span

LONG = 20
"""A run of whole words with so many characters counts wherever on the page it stands."""
REACH = 600
"""A shorter one counts within so many characters of the run that stands next to it in the evidence."""

_UNCOMPARED = re.compile(r"[^!-~]|['\"`_-]|\.{3,}")
_WORD = re.compile(r"\d+(?:[.,:/]\d+)*(?![a-z0-9])|[a-z0-9]+|\S")


@dataclass(frozen=True)
class Folded:
    """The characters of ``text`` that are compared, where each comes from, and whether a word begins there.

    ``cuts`` has one entry more than ``chars``: the end.
    """

    text: str
    chars: str
    origin: tuple[int, ...]
    cuts: tuple[bool, ...]

    def find(self, pattern: str) -> bool:
        """Does the regular expression match whole words? (Overlapping matches count.)"""
        return any(self.cuts[m.start()] and self.cuts[m.end(1)] for m in re.finditer(f"(?=({pattern}))", self.chars))


def fold(text: str) -> Folded:
    """Case, white space, quotes, dashes, leaders, rules and all beyond ASCII are not compared: the evidence lost them.

    Its "Restructuringchargescostofgoodssold" is the page's "Restructuring charges – cost of goods sold".
    """
    plain, offsets = normalise(text)
    plain = _UNCOMPARED.sub(lambda m: " " * len(m.group()), plain)
    words = [(m.start(), m.group()) for m in _WORD.finditer(plain)]
    origin = tuple(offsets[start + i] for start, word in words for i in range(len(word)))
    cuts = (*(i == 0 for _, word in words for i in range(len(word))), True)
    return Folded(text, "".join(word for _, word in words), origin, cuts)


def align(evidence: Folded, page: Folded) -> list[int]:
    """For each character of the evidence the page's character that holds it, or -1. No character holds two.

    First the longest common runs of whole words, LONG or longer, in any order: columns and tables may be read in
    another order than the evidence's. Then what is left, cell by cell: a line of the evidence or what remains of it
    (of a line of figures, each), whole, but only near the run or label before it in the evidence or the run behind it.
    So a row may be written with its columns' names between the values, and a figure far off on the page does not count.
    """
    held = [-1] * len(evidence.chars)
    free = [True] * len(page.chars)

    def place(start: int, at: int, length: int) -> None:
        held[start : start + length] = range(at, at + length)
        free[at : at + length] = [False] * length

    for length, start, at in sorted(_common(evidence.chars, page.chars), reverse=True):
        for low, high in _stretches([held[start + n] < 0 and free[at + n] for n in range(length)]):
            ends = [n for n in range(low, high + 1) if evidence.cuts[start + n] and page.cuts[at + n]]
            if ends and ends[-1] - ends[0] >= LONG:
                place(start + ends[0], at + ends[0], ends[-1] - ends[0])
    _place_cells(evidence, page, held, free, place)
    return held


def _stretches(flags: Sequence[bool]) -> list[tuple[int, int]]:
    """Start and end of each run of true flags."""
    edges = [n for n, (before, flag) in enumerate(pairwise([False, *flags, False])) if before != flag]
    return list(zip(edges[::2], edges[1::2], strict=True))


def _common(a: str, b: str) -> Iterator[tuple[int, int, int]]:
    """Length and the two starts of each common run that cannot be made longer."""
    where = defaultdict(list)
    for at in range(len(b) - LONG + 1):
        where[b[at : at + LONG]].append(at)
    for start in range(len(a) - LONG + 1):
        for at in where.get(a[start : start + LONG], ()):
            if start == 0 or at == 0 or a[start - 1] != b[at - 1]:
                length = LONG
                while a[start + length : start + length + 1] == b[at + length : at + length + 1] != "":
                    length += 1
                yield length, start, at


def _place_cells(
    evidence: Folded, page: Folded, held: Sequence[int], free: Sequence[bool], place: Callable[[int, int, int], None]
) -> None:
    before, after = list(held), list(held)  # where the run before each character of the evidence ends, the next begins
    for n in range(1, len(held)):
        before[n] = before[n - 1] if held[n] < 0 else held[n]
        after[-n - 1] = after[-n] if held[-n - 1] < 0 else held[-n - 1]
    label = -1  # where the last cell in letters stands: a short label is as good as a run
    for start, end in _cells(evidence, _stretches([at < 0 for at in held])):
        piece = evidence.chars[start:end]
        found = [
            (abs(at - anchor), at)
            for anchor in {before[start], label, after[start]} - {-1}
            for at in _occurrences(page, piece, anchor - REACH, anchor + REACH)
            if all(free[at : at + end - start])
        ]
        if found:
            place(start, min(found)[1], end - start)
            label = min(found)[1] if any(char.isalpha() for char in piece) else label


def _cells(evidence: Folded, stretches: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """The stretches cut at the ends of lines; a line of figures also at its white space."""
    for low, high in stretches:
        gaps = [evidence.text[evidence.origin[n - 1] + 1 : evidence.origin[n]] for n in range(low + 1, high)]
        for start, end in pairwise([low, *(low + n for n, gap in enumerate(gaps, 1) if "\n" in gap), high]):
            spaces = [n for n in range(start + 1, end) if " " in gaps[n - low - 1]]
            figures = not any(char.isalpha() for char in evidence.chars[start:end])
            yield from pairwise([start, *(spaces if figures else []), end])


def _occurrences(text: Folded, piece: str, low: int, high: int) -> Iterator[int]:
    """Where the piece stands in whole words, begun at ``low`` to ``high``."""
    at = text.chars.find(piece, max(low, 0), high + len(piece))
    while at >= 0:
        if text.cuts[at] and text.cuts[at + len(piece)]:
            yield at
        at = text.chars.find(piece, at + 1, high + len(piece))


@dataclass(frozen=True)
class Triple:
    """A cell of the evidence: its row's label, its column's header, its value; and the headers of other columns."""

    label: str
    header: str
    value: str
    others: tuple[str, ...]


_PERIOD = (
    r"(?:(?:[a-z]+ (?:months|weeks) ended|years? ended|as of|at) )?"
    r"(?:(?:fiscal(?: year)?|fy|q[1-4]|(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.?(?: \d\d?,?)?) )?"
    r"(?:19|20)\d\d"
)
_COLUMN = re.compile(rf"{_PERIOD}(?: vs\.? {_PERIOD})?|[$%]? ?change", re.IGNORECASE)
_NUMBER = re.compile(r"\(\d[\d,]*(?:\.\d+)?\)|\d[\d,]*(?:\.\d+)?|\(?\.\d+\)?|-")


def triples(evidence: str) -> tuple[list[Triple], int]:
    """The cells of the evidence's tables whose column can be told from it, and how many rows of two cells have none.

    Two or more periods in succession ("2022", "June 30, 2023", "2022 vs. 2021") are a table's headers; a row is a line
    of text with the numbers that follow it. The i-th number belongs to the i-th header where there are as many of
    both. A table where most rows have more or fewer is left out: its headers are others, or stand over several columns.
    """
    found: list[Triple] = []
    unused = 0
    for headers, all_rows in _tables(evidence):
        rows = [(label, values) for label, values in all_rows if len(values) >= 2]
        fitting = [row for row in rows if len(row[1]) == len(headers)]
        if 2 * len(fitting) <= len(rows):
            fitting = []
        unused += len(rows) - len(fitting)
        for label, values in fitting:
            cells = list(zip(headers, values, strict=True))
            for header, value in cells:
                others = tuple(h for h, v in cells if h != header and v != value)
                if value != "-":
                    found.append(Triple(label, header, value, others))
    return found, unused


def _tables(evidence: str) -> list[tuple[list[str], list[tuple[str, list[str]]]]]:
    """Headers and rows (label, numbers), a new table at each run of headers; what stands above the first has none."""
    tables: list[tuple[list[str], list[tuple[str, list[str]]]]] = [([], [])]
    label = ""
    for kind, group in groupby(_lines(evidence), lambda line: line[0]):
        lines = [(text, cells) for _, text, cells in group]
        texts = [text for text, _ in lines]
        cells = [cell for _, cells in lines for cell in cells]
        if kind == "columns" and len(cells) >= 2:
            tables.append((cells, []))
        elif kind == "numbers":
            tables[-1][1].append((label, cells))
        else:
            label = texts.pop()
            while texts and label[:1].islower():  # a label that runs over two lines
                label = f"{texts.pop()} {label}"
    return [(headers, [row for row in rows if row[0]]) for headers, rows in tables]


def _lines(evidence: str) -> Iterator[tuple[str, str, list[str]]]:
    """Each line that holds anything: "columns", "numbers" or "text", itself, its headers or numbers."""
    for line in (" ".join(line.split()) for line in evidence.split("\n")):
        columns = _COLUMN.findall(line)
        if columns and not _COLUMN.sub("", line).strip():
            yield "columns", line, columns
            continue
        words = line.split()
        tail: list[str] = []
        while words and not re.sub(rf"{_NUMBER.pattern}|[$%#]", "", words[-1]):
            tail.insert(0, words.pop())
        numbers = _NUMBER.findall(" ".join(tail))
        if words and len(numbers) < 2:
            yield "text", line, []
        elif words:
            yield "text", " ".join(words), []
        if numbers and (not words or len(numbers) >= 2):
            yield "numbers", line, numbers


def table_hits(triple: Triple, chunks: Sequence[Chunk]) -> dict[str, bool]:
    """What holds for the triple in one of the chunks; see ``main`` for the names."""
    label = re.escape(fold(triple.label).chars.strip(":.,"))
    header, *others = (re.escape(fold(name).chars) for name in (triple.header, *triple.others))
    value = r"(?<!\()" + re.escape(fold(triple.value).chars)
    holding = [chunk for chunk in chunks if fold(chunk.text).find(value)]
    together = [chunk for chunk in holding if _all(fold(chunk.text), label, header)]
    shown = [chunk for chunk in holding if _all(fold(chunk.indexed_text), label, header)]
    rows = [row for chunk in holding for row in map(fold, chunk.text.split("\n")) if row.find(label)]
    behind = [[row.find(f"{name}[^0-9|]{{0,40}}?{value}") for row in rows] for name in (header, *others)]
    adjacent, *elsewhere = (any(found) for found in behind)
    return {
        "coverage": bool(together), "with_context": bool(shown), "adjacent": adjacent,
        "misplaced": not adjacent and any(elsewhere),
    }  # fmt: skip


def _all(text: Folded, *patterns: str) -> bool:
    return all(text.find(pattern) for pattern in patterns)


def page_text(chunks: Sequence[Chunk], page: int) -> str:
    """What the chunks hold of the page: its characters at their places, white space where no chunk has them."""
    out: list[str] = []
    for chunk in chunks:
        offset = 0
        for span in chunk.spans:
            length = span.end - span.start
            if span.page == page:
                out += " " * (span.end - len(out))
                out[span.start : span.end] = chunk.text[offset : offset + length]
            offset += length + len(PAGE_BREAK)
    return "".join(out)


def on_page(chunks: Sequence[Chunk], page: int) -> list[Chunk]:
    return [chunk for chunk in chunks if page in chunk.pages]


def chunks_of(files: Sequence[Path], strategy: str | None) -> dict[str, list[Chunk]]:
    """Each file's chunks, by file name, as the product makes them; a file that cannot be read has none."""
    from fieldguide.catalog import Catalog
    from fieldguide.models import load_embedder
    from fieldguide.workspace import init_workspace
    from ingest.pipeline import ingest_files

    settings = Settings()
    changes = {"originals": "none"} | ({"strategy": strategy} if strategy else {})
    settings = settings.model_copy(update={"ingest": settings.ingest.model_copy(update=changes)})
    embedder = load_embedder("bundled")
    with tempfile.TemporaryDirectory() as root:
        workspace = init_workspace(Path(root))
        catalog = Catalog.open(workspace.catalog_file)
        ingest_files(files, catalog, settings, workspace.state, embedder.count_tokens, embedder.id, Silent())
        found = {Path(document.source).name: catalog.chunks(document.id) for document in catalog.documents()}
        catalog.close()
    return {path.name: found.get(path.name, []) for path in files}


def pages_of(files: dict[Path, set[int]], function: str) -> dict[str, list[Chunk]]:
    """Pages instead of chunks: MODULE:FUNCTION(path, page numbers or None for all) -> {page number: text}."""
    module, _, name = function.partition(":")
    read: Callable[[Path, set[int]], dict[int, str]] = getattr(importlib.import_module(module), name)
    return {
        path.name: [Chunk("", path.name, (Span(n, 0, len(text)),), text) for n, text in read(path, pages).items()]
        for path, pages in files.items()
    }


def text_figures(rows: Sequence[dict[str, Any]], chunks: dict[str, list[Chunk]], worst: int) -> dict[str, Any]:
    """``text_coverage`` and its checks over the evidence texts (as in qa.jsonl); prints the ``worst`` ones."""
    rng = random.Random(0)
    shares, elsewhere, halves, expected = [], [], [], []
    missing = []
    for row in rows:
        document, page = chunks[f"{row['doc_name']}.pdf"], row["evidence_page_num"] + 1
        evidence, here = fold(row["evidence_text"]), on_page(document, page)
        text = fold(page_text(here, page))
        held = align(evidence, text)
        shares.append(mean(at >= 0 for at in held))
        missing.append((shares[-1], row["doc_name"], page, _lost(evidence, held)))
        others = sorted({n for chunk in document for n in chunk.pages} - {page})
        if others:
            other = rng.choice(others)
            elsewhere.append(mean(at >= 0 for at in align(evidence, fold(page_text(on_page(document, other), other)))))
        if len(here) > 1:
            kept = page_text(here[::2], page)
            halves.append(mean(at >= 0 for at in align(evidence, fold(kept))))
            stays = [bool(kept[origin : origin + 1].strip()) for origin in text.origin]
            expected.append(mean(at >= 0 and stays[at] for at in held))
    for share, name, page, lost in sorted(row for row in missing if row[0] < 1)[:worst]:
        print(f"{share:.3f}  {name}, page {page}, without: {lost}\n")
    return {
        "text_coverage": round(mean(shares), 4),
        "texts": len(shares),
        "texts_below_97": sum(share < 0.97 for share in shares),
        "text_other_page": round(mean(elsewhere), 4) if elsewhere else None,
        "text_half_of_chunks": round(mean(halves), 4) if halves else None,
        "text_half_of_chunks_expected": round(mean(expected), 4) if expected else None,
    }


def _lost(evidence: Folded, held: Sequence[int]) -> str:
    origin = evidence.origin
    parts = [evidence.text[origin[low] : origin[high - 1] + 1] for low, high in _stretches([at < 0 for at in held])]
    return " … ".join(" ".join(part.split()) for part in parts)


def table_figures(rows: Sequence[dict[str, Any]], chunks: dict[str, list[Chunk]], worst: int) -> dict[str, Any]:
    """``table_coverage`` and its kin over all evidence texts' triples; prints ``worst`` of the missing ones."""
    hits: dict[str, list[bool]] = defaultdict(list)
    unused = with_tables = 0
    for row in rows:
        cells, without = triples(row["evidence_text"])
        unused += without
        with_tables += bool(cells)
        page = row["evidence_page_num"] + 1
        here = on_page(chunks[f"{row['doc_name']}.pdf"], page)
        for cell in cells:
            found = table_hits(cell, here)
            for name, hit in found.items():
                hits[name].append(hit)
            if not found["adjacent"] and worst > 0:
                worst -= 1
                print(f"{row['doc_name']}, page {page}: {found}, {cell}\n")
    figures = {f"table_{name}": round(mean(values), 4) for name, values in hits.items()}
    count = len(next(iter(hits.values()), []))
    return figures | {"table_cells": count, "texts_with_tables": with_tables, "table_rows_not_used": unused}


def mm_figures(pages: dict[str, set[int]], chunks: dict[str, list[Chunk]]) -> dict[str, Any]:
    """``mm_coverage``: share of the evidence pages with a character in chunks; and with fifty."""
    texts = [page_text(chunks[name], page) for name, wanted in pages.items() for page in sorted(wanted)]
    sizes = [len("".join(text.split())) for text in texts]
    return {
        "mm_coverage": round(mean(size > 0 for size in sizes), 4),
        "mm_coverage_50_characters": round(mean(size >= 50 for size in sizes), 4),
        "mm_pages": len(sizes),
    }


def main() -> None:
    """Print the figures; the last line is JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder that holds financebench/ and mmlongbench/")
    parser.add_argument("--quick", action="store_true", help="only the four smallest files of each set")
    parser.add_argument("--set", choices=["financebench", "mmlongbench"], help="only this set")
    parser.add_argument(
        "--strategy", choices=get_args(Ingest.model_fields["strategy"].annotation), help="how chunks are cut"
    )
    parser.add_argument("--pages", metavar="MODULE:FUNCTION", help="use page texts, not chunks; see pages_of")
    parser.add_argument("--worst", type=int, default=0, help="print so many of the worst texts and missing cells")
    options = parser.parse_args()
    quieten()
    figures: dict[str, Any] = {}
    for name in [options.set] if options.set else ["financebench", "mmlongbench"]:
        folder = options.data / name
        lines = (folder / "qa.jsonl").read_text(encoding="utf-8").splitlines()
        rows = [json.loads(line) for line in lines]
        if name == "financebench":
            rows = [evidence for row in rows for evidence in row["evidence"]]
            asked = [(f"{row['doc_name']}.pdf", [row["evidence_page_num"] + 1]) for row in rows]
        else:
            asked = [(row["doc_id"], ast.literal_eval(row["evidence_pages"])) for row in rows]
        wanted: dict[Path, set[int]] = defaultdict(set)
        for file, pages in asked:
            wanted[folder / "pdfs" / file].update(pages)
        files = sorted((path for path in wanted if wanted[path]), key=lambda path: path.stat().st_size)
        files = files[:4] if options.quick else files
        wanted = {path: wanted[path] for path in files}
        chunks = pages_of(wanted, options.pages) if options.pages else chunks_of(files, options.strategy)
        if name == "financebench":
            rows = [row for row in rows if f"{row['doc_name']}.pdf" in chunks]
            figures |= text_figures(rows, chunks, options.worst) | table_figures(rows, chunks, options.worst)
        else:
            figures |= mm_figures({path.name: pages for path, pages in wanted.items()}, chunks)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
