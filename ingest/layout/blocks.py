"""Lines of a region, from the top down, to blocks: paragraphs, lists, captions, and what may be a heading.

Parts them at white space, indentation, and changes of font; knows the region only, neither the document's fonts (see
``ingest.layout.headings``) nor tables.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from fieldguide.types import BlockKind
from ingest.layout.lines import Line

BULLETS = frozenset("•◦‣⁃▪▫■□●○◆◇►▶➢➤✓✔➔→·∙❖❑❒✦★☐☑\uf0b7\uf0a7\uf0d8\uf076\uf0fc\u25aa")
_DASHES = frozenset("-–—*−")
_ENUMERATOR = re.compile(r"^(?:\(?(\d{1,3}|[a-zA-Z]|[ivxIVX]{1,5})[.)]|\((\d{1,3}|[a-zA-Z]|[ivx]{1,5})\))$")
_CAPTION = re.compile(
    r"^(?:Fig(?:ure|\.)?|FIG(?:URE|\.)?|Tab(?:le|\.)|TABLE|Exhibit|EXHIBIT|Chart|CHART|Box|BOX|Plate|Scheme|Map|Graph"
    r"|Abbildung|Abb\.|Tabelle|Figura|Tabla|Tableau)\s*"
    r"(?:[A-Z]?[\-.]?\d{1,3}(?:[.\-–]\d{1,3}){0,3}[a-z]?|[IVXLC]{1,6}|[A-Z])(?!\w)(?P<mark>\s*[.:–—|)]|\s*-\s|$)?(?P<rest>.{0,40})"
)
_FIELD = re.compile(r"^\S[^:]{0,50}:(\s|$)")
_OPEN = (",", "-", "–", "&", "/")
_SENTENCE_END = re.compile(r"[.!?:;…][\"'”’)\]]*$")


@dataclass(frozen=True, slots=True)
class Draft:
    """A block to be: its kind, its lines, and the white space above and below in line heights (99 at an end).

    ``rows`` hold a table's text, the first ``head`` of them its header; ``level`` is a heading's depth once known.
    """

    kind: BlockKind
    lines: tuple[Line, ...]
    above: float = 99.0
    below: float = 99.0
    rows: tuple[str, ...] = ()
    head: int = 0
    level: int = 0

    @property
    def text(self) -> str:
        return "\n".join([line.text for line in self.lines])


def split_blocks(lines: Sequence[Line], marked: frozenset[int] = frozenset()) -> list[Draft]:
    """Blocks of consecutive lines. ``marked`` are indices of lines that start a block of their own (outline titles)."""
    lines, marked = _with_bullets(lines, marked)
    if not lines:
        return []
    left = sorted(line.x0 for line in lines)[len(lines) // 10]
    right = sorted(line.x1 for line in lines)[-1 - len(lines) // 10]
    full = right - 0.4 * (right - left)  # a bold title that reaches so far may run over its line
    pitch = _pitches(lines)
    groups: list[list[int]] = [[0]]
    for n in range(1, len(lines)):
        ended = n - 1 in marked and not (lines[n - 1].bold and lines[n].bold and lines[n - 1].x1 > full)
        starts = (n in marked and n - 1 not in marked) or (n not in marked and ended)
        if starts or _is_break(lines, n, len(groups[-1]), pitch, left, right):
            groups.append([n])
        else:
            groups[-1].append(n)
    drafts = [Draft(_kind([lines[n] for n in group]), tuple(lines[n] for n in group)) for group in groups]
    return _merged(_spaced(drafts))


def item_marker(line: Line) -> str:
    """The class of the bullet or enumerator that the line starts with: "•", "-", "1", "a", …; empty if none."""
    if len(line.words) < 2:
        return ""
    first, second = line.words[0], line.words[1]
    text = first.text
    if text in BULLETS:
        return "•"
    if not any(char.isalpha() for word in line.words[1:4] for char in word.text):
        return ""
    if text in _DASHES or text == "§":  # the bullet of a symbol font
        return "-"
    if text == "o" and second.x0 - first.x1 > 0.4 * line.height:
        return "o"
    if text[0] in BULLETS and len(text) > 1:
        return "•"
    found = _ENUMERATOR.match(text) if len(text) < 8 else None
    if not found:
        return ""
    value = found[1] or found[2]
    return ("1" if value.isdigit() else "i" if set(value.lower()) <= set("ivx") else "a") + text[-1]


def is_caption(lines: Sequence[Line]) -> bool:
    """Whether the lines start with "Figure 3." or "Table 4 –", not with "Table 4 shows"."""
    found = _CAPTION.match(lines[0].text)
    if not found:
        return False
    rest = found["rest"].strip()
    if not rest and len(lines) == 1 and found[0][:1] in "Ee":  # "Exhibit 31.1" is a title
        return False
    if found["mark"] is not None:
        return True
    if lines[0].words[0].bold and not all(word.bold for line in lines for word in line.words):
        return True
    return len(lines) <= 2 and rest[:1].isupper() and not _SENTENCE_END.search(lines[-1].text)


def _with_bullets(lines: Sequence[Line], marked: frozenset[int]) -> tuple[list[Line], frozenset[int]]:
    """Lines that hold a bullet only join the line nearest in height."""
    out: list[Line] = []
    kept: set[int] = set()
    waiting: Line | None = None
    for n, line in enumerate(lines):
        if len(line.words) == 1 and line.words[0].text in BULLETS and n + 1 < len(lines):
            if waiting is not None:
                out.append(waiting)
            waiting = line
            continue
        if waiting is not None:
            if line.top <= waiting.bottom + line.height and waiting.x0 <= line.x0:
                line = Line(waiting.words + line.words)
            else:
                out.append(waiting)
            waiting = None
        if n in marked:
            kept.add(len(out))
        out.append(line)
    if waiting is not None:
        out.append(waiting)
    return out, frozenset(kept)


def _pitches(lines: Sequence[Line]) -> dict[int, float]:
    """The usual distance of two baselines, for each font size (rounded)."""
    steps: dict[int, list[float]] = defaultdict(list)
    for last, line in pairwise(lines):
        step, height = line.base - last.base, line.height
        if round(last.size) == round(line.size) and 0.5 * height < step < 2.5 * height:
            steps[round(line.size)].append(step)
    return {size: sorted(found)[int(len(found) * 0.3)] for size, found in steps.items()}


def _is_break(lines: Sequence[Line], n: int, size: int, pitch: dict[int, float], left: float, right: float) -> bool:
    """Whether a new block starts at line ``n``; the one before it has ``size`` lines so far."""
    last, line = lines[n - 1], lines[n]
    following = lines[n + 1] if n + 1 < len(lines) else None
    first = lines[n - size]
    height = line.height
    step = line.base - last.base
    if step < 0.5 * height and line.x0 > last.x1:  # beside the last line (in the parser's order)
        return abs(step) > 1.5 * height
    if step <= 0:
        return True
    if abs(line.size - last.size) > 0.12 * max(line.size, last.size):
        return True
    fields = bool(_FIELD.match(last.text) and _FIELD.match(line.text)) and not item_marker(line)
    if step > 1.2 * pitch.get(round(line.size), 1.2 * height) + 0.5:
        return step > 2 * height or not fields
    if fields:
        return False
    if item_marker(line) and not _runs_on(last, line, first, right - 0.1 * (right - left)):
        return True
    narrow = right - 0.1 * (right - left)
    heavy, light = (last, line) if last.bold else (line, last)
    labels = _FIELD.match(heavy.text) and _FIELD.match(light.text) and light.words[0].bold
    starts = last.bold and not line.text[:1].islower() and not _is_open(last)
    if last.bold != line.bold and (heavy.x1 < narrow or starts) and not labels:
        return True
    indent, unit = line.x0 - last.x0, 0.6 * line.size
    if heavy.bold and light.bold and abs(indent) < unit and size == 1:
        room = narrow - last.x1 - unit  # what would have stood on the first line, had it been one title
        return line.words[0].x1 - line.x0 < room and not _is_open(last) and not line.text[:1].islower()
    if item_marker(first):
        return indent < -unit and line.x0 < first.words[1].x0 - unit and last.x1 < narrow
    centred = abs(line.x0 + line.x1 - last.x0 - last.x1) < 2 * unit and abs(line.x1 - last.x1) > unit
    if centred:
        return False
    if indent > 5 * height:  # the second line of a cell
        return False
    if indent > unit:
        alone = following is not None and following.x0 < line.x0 - unit and abs(following.x0 - last.x0) < unit
        return alone and (size > 1 or last.x1 < narrow)
    if indent < -unit:
        return size > 1 and abs(line.x0 - first.x0) < unit and lines[n - size + 1].x0 > first.x0 + unit
    ends = bool(_SENTENCE_END.search(last.words[-1].text))
    return ends and last.x1 < right - 0.3 * (right - left) and len(last.words) > 1 and size > 2


def _is_open(line: Line) -> bool:
    """Whether a title goes on after the line: "Johnson & Johnson and"."""
    end = line.words[-1].text
    return end.endswith(_OPEN) or (end.islower() and len(end) < 5)


def _runs_on(last: Line, line: Line, first: Line, narrow: float) -> bool:
    """Whether what looks like an item's marker is a word inside a sentence: "Smith", "v. Jones"."""
    marker = item_marker(line)
    full = last.x1 >= narrow and abs(line.x0 - last.x0) < 0.3 * line.height
    inside = not _SENTENCE_END.search(last.words[-1].text) and item_marker(last) != marker != item_marker(first)
    return full and inside and marker[0].isalnum() and line.bold == last.bold


def _is_title(draft: Draft, others: Sequence[Draft]) -> bool:
    """Whether what looks like an item is a title: a bold line, where the other items are none."""
    bold = len(draft.lines) <= 2 and all(line.bold for line in draft.lines)
    return bold and item_marker(draft.lines[0])[:1].isalnum() and not all(_all_bold(other) for other in others)


def _all_bold(draft: Draft) -> bool:
    return all(line.bold for line in draft.lines)


def _kind(lines: Sequence[Line]) -> BlockKind:
    if is_caption(lines):
        return "caption"
    return "list" if item_marker(lines[0]) else "paragraph"


def _spaced(drafts: Sequence[Draft]) -> list[Draft]:
    """The drafts with the white space around them."""
    gaps = [99.0]
    for last, draft in pairwise(drafts):
        gaps.append((draft.lines[0].top - last.lines[-1].bottom) / max(draft.lines[0].height, 1e-6))
    gaps.append(99.0)
    return [replace(draft, above=gaps[n], below=gaps[n + 1]) for n, draft in enumerate(drafts)]


def _merged(drafts: Sequence[Draft]) -> list[Draft]:
    """Items of one kind that follow each other, as one list; a single enumerator without a bullet is no list."""
    items = [draft for draft in drafts if draft.kind == "list"]
    titled = [
        replace(draft, kind="paragraph") if draft.kind == "list" and _is_title(draft, items) else draft
        for draft in drafts
    ]
    runs: list[list[Draft]] = []
    for draft in titled:
        if draft.kind == "list" and runs and runs[-1][0].kind == "list" and draft.above < 2.5:
            runs[-1].append(draft)
        else:
            runs.append([draft])
    out: list[Draft] = []
    for run in runs:
        first = run[0]
        if first.kind != "list":
            out.append(first)
        elif len(run) == 1 and item_marker(first.lines[0]) not in ("•", "o"):
            out.append(replace(first, kind="paragraph"))
        else:
            out.append(Draft("list", tuple(line for draft in run for line in draft.lines), first.above, run[-1].below))
    return out
