"""Plain text: headings, lists and paragraphs by the conventions of typists.

A form feed ends a page; a file without any gets pages of about 3,000 characters that end with a paragraph. Blank lines
part paragraphs, whose lines stay as they were wrapped; a list has one item a line. Headings are lines underlined with
===, --- or ~~~ (the underline is dropped), lines in capitals, and numbered lines ("2.1 Scope") that stand alone.
Tables drawn with spaces stay lines.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from ingest.parsed import Parsed
from ingest.readers.decoding import read_text
from ingest.readers.writing import Part, write_pages

_UNDERLINE = re.compile(r"={3,}|-{3,}|~{3,}|\^{3,}")
_BULLET = re.compile(r"\s*[-*+•◦▪‣·–o]\s+\S")
_NUMBER = re.compile(r"\s*(?:\(?(?:\d{1,3}|[A-Za-z]|[ivx]{2,5})[.)])\s+\S")
_SECTION = re.compile(
    r"\s{0,3}(?:(?:section|chapter|article|part|appendix|annex)\s+)?(\d{1,3}(?:\.\d{1,3}){0,5})\.?\s+[A-Z]\S*",
    re.IGNORECASE,
)
_LONGEST_HEADING = 100


def read(path: Path, max_pages: int) -> Parsed:
    text, faults = read_text(path)
    return Parsed("", {}, write_pages(_parts(text), "text", max_pages), faults)


def _parts(text: str) -> Iterator[Part | None]:
    for number, page in enumerate(text.replace("\r\n", "\n").replace("\r", "\n").split("\f")):
        if number:
            yield None
        runs = [[], *_runs(page), []]
        for before, run, after in zip(runs, runs[1:], runs[2:]):
            yield from _run_parts(run, _is_short_item(before) or _is_short_item(after))


def _runs(page: str) -> Iterator[list[str]]:
    """The lines between blank lines."""
    run: list[str] = []
    for line in page.split("\n"):
        if line.strip():
            run.append(line)
        elif run:
            yield run
            run = []
    if run:
        yield run


def _is_short_item(run: list[str]) -> bool:
    return len(run) == 1 and _NUMBER.match(run[0]) is not None


def _run_parts(run: list[str], among_items: bool) -> Iterator[Part]:
    """Headings at the start of a run of lines, then its paragraph or list."""
    start = 0
    while start < len(run):
        level, used = _heading(run[start : start + 2], len(run) == start + 1, among_items)
        if not used:
            break
        yield Part("heading", run[start].strip(), level)
        start += used
    run = run[start:]
    prose: list[str] = []
    items: list[str] = []
    listed = sum(1 for line in run if _is_item(line)) >= 2 or bool(run and (_is_item(run[0])))
    for line in run:
        if listed and _is_item(line):
            items.append(line)
        elif items:
            items[-1] = f"{items[-1]} {line.strip()}"
        else:
            prose.append(line)
    if prose:
        yield Part("paragraph", "\n".join(prose))
    if items:
        yield Part("list", "\n".join(items))


def _is_item(line: str) -> bool:
    return _BULLET.match(line) is not None or _NUMBER.match(line) is not None


def _heading(lines: list[str], last: bool, among_items: bool) -> tuple[int, int]:
    """(level, lines used) of a heading in the first of two lines, or in the ``last`` one; (0, 0): none."""
    line = lines[0].strip()
    if len(line) > _LONGEST_HEADING or not any(character.isalpha() for character in line):
        return 0, 0
    under = "" if last else lines[1].strip()
    if _UNDERLINE.fullmatch(under) and 2 * len(under) >= len(line):
        return (1 if under[0] == "=" else 2), 2
    if _is_capitals(line) and not _is_capitals(under) and not _BULLET.match(line):
        return 2, 1
    numbered = _SECTION.match(lines[0])
    if last and numbered and line[-1] not in ".;,:" and ("." in numbered.group(1) or not among_items):
        return numbered.group(1).count(".") + 1, 1
    return 0, 0


def _is_capitals(line: str) -> bool:
    if len(line) > _LONGEST_HEADING or not line.isupper() or line[-1] in ".,;":
        return False
    letters = sum(1 for character in line if character.isalpha())
    return letters >= 4 and 2 * letters > len(line)
