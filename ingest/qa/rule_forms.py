"""Forms: the "Label: value" pairs of a text, and the prose between them.

Knows labels and layouts; what a field is asked for is in ``ingest.qa.rule_fields``, prose in ``ingest.qa.rule_prose``.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from dataclasses import dataclass

from fieldguide.types import Kind
from ingest.qa.drafts import Rejection
from ingest.qa.rule_labels import CONNECTORS, QUESTIONS, WORDS


@dataclass(frozen=True, slots=True)
class Candidate:
    """A possible question: its wordings, and where answer and quote stand in the chunk's text. Rank 0 is the best.

    ``said`` is the answer where it is not the text's own ("Yes"); ``field``: it was read off a form's field.
    """

    kind: Kind
    label: str
    answer: tuple[int, int]
    quote: tuple[int, int]
    templates: tuple[str, ...]
    rank: int = 1
    said: str = ""
    field: bool = False


@dataclass(frozen=True, slots=True)
class Field:
    """A label with its value (start, end), the lines that hold both, and the heading they stand under."""

    label: str
    value: tuple[int, int]
    lines: tuple[int, int]
    section: str = ""
    of: str = ""


@dataclass(slots=True)
class Form:
    """What was read of a text: fields, the runs of lines that are prose, and what was given up."""

    fields: list[Field] = dataclasses.field(default_factory=list)
    prose: list[tuple[int, int]] = dataclasses.field(default_factory=list)
    rejections: list[Rejection] = dataclasses.field(default_factory=list)
    section: str = ""


_FURNITURE = re.compile(r"(?i)^(page\s+\d+(\s+of\s+\d+)?\b.{0,40}|[-–—_=*.\s\d]*)$")
_ENUMERATOR = re.compile(r"^\s*\(?(?:\d{1,2}|[a-z])[.)]\s+(?=[A-Z])")
ITEMS = re.compile(r"(\d[\d,.]*)\s+(hours|days|years|miles|times)\s+\(([^)]*)\)")
_HURT = re.compile(r"(?i)\d+ (?:none|minor|serious|fatal)(?:, \d+ (?:none|minor|serious|fatal))*")
_ONE_HURT = re.compile(r"(?i)(\d+) (none|minor|serious|fatal)")
_HOW_BADLY = {"none": "not hurt", "minor": "slightly hurt", "serious": "seriously hurt", "fatal": "killed"}
_WHOSE = {"total": "people", "crew": "crew members", "passenger": "passengers", "ground": "people on the ground"}
CUT = re.compile(r"(?i)(?:[,;:&/–—-]|\b(?:and|or|of|the|with|to|for|in|by|a|not|did|was|is))$")
_LONGEST_VALUE = 14
_CELLS = " | "
_NEGATIVE = re.compile(r"(?i)(?:none|no|nil|no (?:injuries|damage))")


def _words(text: str) -> list[str]:
    return text.split()


def bare_word(word: str) -> str:
    return re.sub(r"\(s\)|[(),.:#]", "", word).casefold()


def is_label_word(word: str) -> bool:
    return all(part in WORDS or part in CONNECTORS for part in re.split(r"[/&]", bare_word(word)) if part)


def is_label(text: str) -> bool:
    """Whether text before a colon reads like a label: short, capitalised, without the look of a sentence."""
    words = _words(text)
    if not words or len(words) > 7 or len(text) > 60 or not words[0][0].isalpha() or not words[0][0].isupper():
        return False
    if re.search(r"[.;?!\"“”]\s|[,;]$|https?$", text):
        return False
    small = [word for word in words if word[0].islower() and word not in CONNECTORS]
    return not small or (len(words) <= 4 and all(is_label_word(word) for word in small))


def split_label(text: str) -> int | None:
    """Where, in the text between two colons, the value ends and the next label begins. None if that cannot be told."""
    found = list(re.finditer(r"\S+", text))
    first: int | None = None
    known = False
    for i in range(len(found) - 1, max(-1, len(found) - 8), -1):
        word = found[i].group()
        last = i == len(found) - 1
        marked = word[-1] == ";" or (word[-1] == "," and (last or not is_label_word(word)))
        abbreviation = not last and word.isupper() and len(word) <= 4
        if marked or re.search(r"\d", word) or not (is_label_word(word) or abbreviation or (last and word[0] == "(")):
            break
        if word[0].isupper() and is_label_word(word) and word.casefold() not in CONNECTORS:
            here = bool(known_wordings(plain(" ".join(w.group() for w in found[i:]))))
            first, known = (i, here or known) if here or not known or word[-1] == "," else (first, known)
    if first is None and found:  # a capitalised run behind a number, a unit or a mark
        run = len(found)
        while run and found[run - 1].group()[0].isupper() and not re.search(r"[\d,;)]", found[run - 1].group()):
            run -= 1
        before = found[run - 1].group() if run else ""
        if run and 0 < len(found) - run <= 3 and (before[-1] in ",;)" or before.isdigit()):
            first = run
    return found[first].start() if first is not None else None


def known_wordings(label: str) -> tuple[tuple[str, ...], str] | None:
    """The wordings of a label of the table, and the part of the label that they may name."""
    for pattern, templates in QUESTIONS:
        if match := pattern.fullmatch(label):
            return templates, next((group for group in match.groups() if group), "")
    return None


def is_heading(line: str) -> bool:
    """Whether a line stands over others: short, capitalised, without a mark at its end."""
    words = _words(line)
    if not 1 <= len(words) <= 8 or line.rstrip()[-1] in ".,;:?!" or not words[0][0].isupper():
        return False
    return all(word[0].isupper() or word.casefold() in CONNECTORS or not word[0].isalpha() for word in words)


def read_form(text: str, section: str = "") -> Form:
    """The fields and the prose of a text. ``section`` is the heading that holds where the text begins."""
    form = Form(section=section)
    lines = [(m.start(), m.end()) for m in re.finditer(r"[^\n]+", text) if m.group().strip()]
    i, run, numbered = 0, None, ""
    while i < len(lines):
        start, end = lines[i]
        if _CELLS in text[start:end]:  # a row of a table: its cells are no fields of the document
            form.rejections.append(Rejection("row of a table", text[start:end]))
            run, i = None, i + 1
            continue
        last, fields, joined = i, [], False
        if i + 1 < len(lines) and _wraps_label(text[start:end], text[slice(*lines[i + 1])]):
            last, joined = i + 1, True
        pairs = _pairs(text, start, lines[last][1])
        if pairs:
            own, first = pairs[-1], last
            last = _continued(text, lines, last, pairs, joined)
            if last > first and len(pairs) > 1 and CUT.search(text[slice(*pairs[-2][1])].rstrip()):
                pairs[-1] = own  # the next line goes on with the value before it, in another column
            fields = [(label, _trim(text, *value)) for label, value in pairs]
        line = text[start:end]
        long = [v for _, v in fields if len(_words(text[slice(*v)])) > _LONGEST_VALUE and not ITEMS.search(text, *v)]
        if fields and not long:
            quote = _trim(text, start, lines[last][1])
            for label, value in fields:
                numbered = label if re.search(r"#\s?\d+$", label) else numbered
                form.fields.append(Field(label, value, quote, form.section, "" if label == numbered else numbered))
            run = None
        elif _FURNITURE.match(line.strip()):
            run, last = None, i
        elif not fields and is_heading(line) and (run is None or text[: lines[i - 1][1]].rstrip()[-1] in '.:!?"'):
            form.section, run, numbered, last = line.strip(), None, "", i
        else:
            if fields:
                form.rejections.append(Rejection("answer too long", fields[-1][0]))
                start, last, run = fields[-1][1][0], i, None
            if run is None:
                form.prose.append((start, end))
            run = form.prose[-1][0]
            form.prose[-1] = (run, end)
        i = last + 1
    return form


def _wraps_label(line: str, after: str) -> bool:
    """Whether a line's last words and the next line make one label ("Operating Certificate(s) / Held:")."""
    words = _words(line)
    return (
        ":" in line
        and line[-1].isspace()
        and bool(re.fullmatch(r"\s*[A-Z][\w/()]*( [A-Z][\w/()]*)?:\s*", after))
        and is_label_word(words[-1])
        and not words[-1].endswith(":")
    )


def _pairs(text: str, start: int, end: int) -> list[tuple[str, tuple[int, int]]]:
    """Labels with the span of their value, in one line (or one line and the wrapped end of its last label)."""
    if numbered := _ENUMERATOR.match(text[start:end]):
        start += numbered.end()
    colons = [m.start() for m in re.compile(r"(?<=[\w)#.?]):(?=\s|$)").finditer(text, start, end)]
    if not colons or not is_label(text[start : colons[0]]):
        return []
    found: list[tuple[str, int, int]] = [(text[start : colons[0]], colons[0] + 1, end)]
    for colon in colons[1:]:
        label, low, _ = found[-1]
        cut = split_label(text[low:colon])
        if cut is None:
            continue
        found[-1] = (label, low, low + cut)
        found.append((text[low + cut : colon], colon + 1, end))
    pairs = []
    for label, low, high in found:
        inner = re.search(r"(?<=\S)\s+([A-Z]\w{4,})\s+(\d[\d.,]*\s+[A-Z]\w+)\s*$", text[low:high])
        first = re.match(r"\s*([A-Z]\w{4,})\s+(\d[\d.,]*\s+[A-Z]\w+)\s*$", text[low:high])
        hit = inner or first
        if hit and hit.group(1).casefold() in WORDS:  # a label without its colon: "Clear Visibility 10 Miles"
            pairs.append((label, (low, low + hit.start())))
            pairs.append((hit.group(1), (low + hit.start(2), low + hit.end(2))))
        else:
            pairs.append((label, (low, high)))
    return [(" ".join(label.split()), span) for label, span in pairs]


def _continued(
    text: str, lines: Sequence[tuple[int, int]], last: int, pairs: list[tuple[str, tuple[int, int]]], joined: bool
) -> int:
    """Lengthen the last pair's value over the lines it wraps to; the last line used."""
    label, (low, high) = pairs[-1]
    for follow in range(last + 1, min(last + 4, len(lines))):
        line = text[slice(*lines[follow])]
        if _pairs(text, *lines[follow]) or _FURNITURE.match(line.strip()):
            break
        if not text[low:high].strip():
            if not joined:
                break
        elif not (
            text[high - 1].isspace()
            or line.strip()[0].islower()
            or line.strip()[0] == "("
            or text[low:high].count("(") > text[low:high].count(")")
        ):
            break
        high, last, joined = lines[follow][1], follow, False
    pairs[-1] = (label, (low, high))
    return last


def _trim(text: str, start: int, end: int, marks: str = " /;,") -> tuple[int, int]:
    while start < end and (text[start].isspace() or text[start] in marks):
        start += 1
    while end > start and (text[end - 1].isspace() or text[end - 1] in marks):
        end -= 1
    return start, end


def plain(label: str) -> str:
    """A label as it stands inside a sentence: lower case but for abbreviations and codes, "(s)" made a plural."""
    label = re.sub(r"\s*\([^()]*\)$", "", label.replace("(s)", "s")).rstrip(".")
    return " ".join(
        w.lower() if len(w) > 1 and all(re.fullmatch(r"[\W\d]*[A-Z]?[a-z().-]*", part) for part in w.split("/")) else w
        for w in label.split()
    )


def split_field(text: str, item: Field) -> list[Field]:
    """The parts of a field that holds two ("Runway Length/Width: 3078 ft / 100 ft"), or the field itself."""
    label, (start, end) = item.label, item.value
    value = text[start:end]

    def part(name: str, match: re.Match[str], group: int) -> Field:
        return Field(name, (start + match.start(group), start + match.end(group)), item.lines, item.section, item.of)

    if re.fullmatch(r"(?i)age", label) and (m := re.match(r"(\d+),\s*(\w+)$", value)):
        return [part("Age", m, 1), part("Sex", m, 2)]
    if label.casefold() == "engines" and (m := re.match(r"(\d+) ([A-Z][a-z][\w ]+)$", value)):
        return [part("Number of engines", m, 1), part("Engine type", m, 2)]
    who = re.fullmatch(r"(?i)(?:(total|crew|passenger|ground) )?injuries", label)
    if who and _HURT.fullmatch(value):
        whose = _WHOSE[(who.group(1) or "total").casefold()]
        return [part(f"{whose} {_HOW_BADLY[m.group(2).casefold()]}", m, 1) for m in _ONE_HURT.finditer(value)]
    if m := re.fullmatch(r"(.+?)(\w+) ?[/&,] ?(\w[\w ]*)", " " + label):
        before, one, two = m.group(1).strip(), m.group(2), m.group(3)
        if " of " in two:
            names = (f"{one} {two[two.index('of ') :]}", two)
        else:
            names = (f"{before} {one}".strip(), f"{before} {two}".strip())
            if "," in label and before:
                names = (names[0], f"{two} of the {names[0]}")
        if both := re.fullmatch(r"(.+?)\s+/\s+(.+)|([^,]*\d[^,]*|\w+),\s+([^,]+)", value, re.S):
            g = 1 if both.group(1) else 3
            return [part(names[0], both, g), part(names[1], both, g + 1)]
        if "/" in label and re.search(r"\d", value) and before and not re.search("(?i)model|approach", label):
            return [Field(names[0], item.value, item.lines, item.section, item.of)]
    return [item]
