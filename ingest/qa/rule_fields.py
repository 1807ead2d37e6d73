"""The questions that the fields of a form answer: "Location: Elyria, OH" is "Where did the accident take place?".

Knows what a value may look like and how a label is asked for; forms are read in ``ingest.qa.rule_forms``. Templates
hold the places {e} (an event: "the Elyria, OH accident"), {t} (a thing: "N2699G"), {d} (the document).
"""

from __future__ import annotations

import re

from fieldguide.types import Kind
from ingest.qa.drafts import Rejection
from ingest.qa.rule_forms import (
    CUT,
    ITEMS,
    Candidate,
    Field,
    bare_word,
    is_label_word,
    known_wordings,
    plain,
    split_field,
)
from ingest.qa.rule_labels import GENERAL, GENERAL_PLURAL, HOW, PERSON, WORDS, YES_NO

_PLACEHOLDER = re.compile(
    r"(?i)(unknown|unk\.?|n/?a|on file|not (applicable|available|reported|provided|given|known|recorded)|tbd|t\.b\.d\."
    r"|pending|see (above|below|attached).*|[-–—_./\s]+)"
)
_NO_LABEL = (
    "notes?|warning|caution|https?|ex|examples?|tips?|hint|answers?|questions?|sources?|remember|re|cc|goals?|add|less"
    "|plus"
)
_YES_OR_NO = re.compile(r"(?i)(?:none|no|yes|nil)")
_DONE = (
    r"(?:present|required|performed|used|filed|held|installed|approved|completed|included|attached|available|applicable"
    r"|activated|occupied|needed|provided|reviewed|involved|built|certified|enclosed)"
)
_CODE = re.compile(
    r"(?i)\b(number|no|id|code|registration|runway used|series|model|zip|phone|fax|tel|docket|occurrence)\b"
)
_A_DATE = re.compile(
    r"(?i)(?:\d{1,4}[/.-]\d{1,2}[/.-]\d{1,4}|\d{1,2} [a-z]{3,9}\.? \d{4}|[a-z]{3,9}\.? \d{1,2}, \d{4}"
    r"|[a-z]{3,9} \d{4})\b.*"
)
_AMOUNT = re.compile(r"[-–+±$€£<>~]?\s?\d[\d.,]*(?:\s?(?:[%°]|[A-Za-z/²³%°]+))?(?:\s[A-Za-z]+)?")


def field_candidates(
    text: str, item: Field, several: frozenset[tuple[str, str]], is_form: bool = True
) -> list[Candidate | Rejection]:
    """Questions that a field answers. ``several`` holds the (section, label) pairs with different values.

    ``is_form``: the document is a form; a line with a colon in other documents must look more like a field.
    """
    found: list[Candidate | Rejection] = []
    for one in split_field(text, item):
        value = " ".join(text[slice(*one.value)].split())
        label = plain(one.label)
        reason = _unasked(one, label, value, several, is_form)
        if reason:
            found.append(Rejection(reason, f"{one.label}: {value[:80]}" if value else one.label))
        elif items := list(ITEMS.finditer(text[slice(*one.value)])):
            found.extend(_itemised(one, m) for m in items)
        elif _YES_OR_NO.fullmatch(value):
            found.append(_yes_or_no(one, label, value))
        else:
            asked = _wordings(one, label)
            kind = _kind(label, value)
            found.append(Candidate(kind, one.label, one.value, one.lines, asked, 2, field=True))
    return found


def _unasked(one: Field, label: str, value: str, several: frozenset[tuple[str, str]], is_form: bool) -> str:
    """Why a field makes no question, or ""."""
    if not value:
        return "value empty"
    if _PLACEHOLDER.fullmatch(value):
        return "value is a placeholder"
    if re.search(r"(?i)\b(date|time)\b", label) and not re.search(r"\d", value):
        return "value does not fit its label"
    if _is_next_label(value) or value.endswith(":"):
        return "value is a label"
    if "|" in value or "☐" in value or "☒" in value:
        return "value is not clean"
    if re.search(r"\w[^,;]* [A-Z][^,;]*\b(?:None|Unknown|N/A|Yes|No)$", value):
        return "value runs into the next field"
    if re.match(r"\((?:\S+ ){4}", value) or re.search(r"(?i)\b(you|your|we|our|I)\b|\?$", value):
        return "value is an instruction"
    if re.search(rf"(?i)\b{re.escape(label)}\b", value):
        return "value repeats its label"
    if not re.search(r"\w", value) or re.fullmatch(_NO_LABEL, label) or len(label) < 3:
        return "label asks for nothing"
    if value.count("(") != value.count(")") or CUT.search(value) or re.fullmatch(r"\([^()]*\)", value):
        return "value is cut"
    if (one.section, one.label.casefold()) in several and not one.of:
        return "label has several values in the document"
    if not is_form and not _looks_like_data(one.label, label, value):
        return "not a field of a form"
    return ""


def _looks_like_data(written: str, label: str, value: str) -> bool:
    """Whether a line of running text reads like a field: a label of a form's words and a short value of data."""
    if len(value.split()) > 8 or value[0].islower() or re.search(r"[.!]$", value) or written.isupper():
        return False
    return all(is_label_word(word) for word in label.split()) and len(label.split()) > 1


def _kind(label: str, value: str) -> Kind:
    if _A_DATE.fullmatch(value) or (
        re.search(r"(?i)\b(?:date|time)\b", label)
        and re.search(r"\d[/:.-]?\d", value)
        and not re.search("(?i)total|since", label)
    ):
        return "date"
    return "quantity" if _AMOUNT.fullmatch(value) and not _CODE.search(label) else "fact"


def _yes_or_no(one: Field, label: str, value: str) -> Candidate | Rejection:
    """Whether something is so: "Second Pilot Present: No"; "Aircraft Fire: None"."""
    said = "Yes" if value.casefold() == "yes" else "No"
    who = subject(one.section)
    templates = next((asked for pattern, asked in YES_NO if pattern.fullmatch(label)), ())
    if any("{s}" in template for template in templates) and not who:
        templates = tuple(t.replace("{s}", "the pilot") for t in templates)
    templates = tuple(t.replace("{s}", who).replace("{l}", label) for t in templates)
    if not templates and (m := re.fullmatch(rf"([a-z][a-z ]{{2,30}}) ({_DONE})", label)) and value.casefold() != "none":
        noun = m.group(1)
        templates = (f"Was the {noun} {m.group(2)} in {{e}}?", f"Is the {noun} {m.group(2)}, according to {{d}}?")
    if not templates:
        return Rejection("no question for a yes or no", f"{one.label}: {value}")
    return Candidate("yes/no", one.label, one.value, one.lines, templates, 2, said, field=True)


def _is_next_label(value: str) -> bool:
    """Whether a value is, or ends in, a label whose colon stands elsewhere ("90° Turbulence Severity")."""
    tail = re.search(r"\d\S*\s+([A-Z]\S+(?:\s+[A-Z]\S+)+)$", value)
    runs_on = tail and all(bare_word(word) in WORDS for word in tail.group(1).split())
    names = len(value.split()) > 1 and all(bare_word(word) in WORDS for word in value.split())
    if names and re.search(
        r"(?:Severity|Type|Number|Time|Date|Code|Facility|Setting|Factors|Distance|Direction)$", value
    ):
        return True
    return bool(runs_on) or (value[0].isupper() and known_wordings(value.casefold()) is not None)


def subject(section: str) -> str:
    """Whom a section is about: "Student Pilot Information" gives "the student pilot"; empty if not a person."""
    name = re.sub(r"(?i)\s+(information|data|details|summary|record|history)$", "", section)
    return f"the {name.casefold()}" if PERSON.search(name) and len(name.split()) <= 3 and "/" not in name else ""


def _wordings(one: Field, label: str) -> tuple[str, ...]:
    who = subject(one.section) or "the pilot"
    if known := known_wordings(label):
        templates, group = known
        usable = (subject(one.section) or "{s}" not in templates[0]) and (one.of or "{o}" not in templates[0])
        if usable:
            filled = (t.replace("{s}", who).replace("{1}", group).replace("{o}", plain(one.of)) for t in templates)
            return tuple(t.replace("{l}", label) for t in filled)
    words = label.split()
    plural = words[-1].endswith("s") and not words[-1].endswith(("ss", "us", "is"))
    chosen = GENERAL_PLURAL if plural else GENERAL[:3] if label.startswith("last ") else GENERAL
    asked: tuple[str, ...] = ()
    adjective = HOW.get(words[-1])
    if adjective and len(words) > 1:
        asked = (
            f"How {adjective} is the {' '.join(words[:-1])} in {{e}}?",
            f"How {adjective} is the {' '.join(words[:-1])} in {{d}}?",
        )
    if subject(one.section) and not label.startswith("last"):
        asked += (f"What {label} did {who} in {{e}} have?", f"What is given as the {label} of {who} in {{d}}?")
        return asked
    return asked + tuple(t.replace("{l}", label) for t in chosen)


def _itemised(one: Field, match: re.Match[str]) -> Candidate:
    """One of "475 hours (Total, all aircraft), 3 hours (Total, this make and model)"."""
    who, unit, said = subject(one.section), match.group(2), match.group(3).split(", ")
    head = " ".join(said[0].casefold().split())
    tail = " ".join((" ".join(said[1:])).split())
    tail = "" if head != "total" and tail == "all aircraft" else f"in {tail}" if tail else ""
    way = "in total" if head == "total" else f"in the {head}" if head.startswith("last") else f"as {head}"
    way = " ".join(f"{way} {tail}".split()).replace("in total in this", "in this")
    what = plain(one.label)
    start = one.value[0] + match.start(1)
    templates: tuple[str, ...] = (
        f"How many {unit} of {what} {way} are recorded for {{e}}?",
        f"What {what} ({way}) does {{d}} give?",
        f"How many {unit} of {what} {way} does {{d}} record?",
    )
    if who:
        templates = (
            f"How many {unit} of {what} did {who} in {{e}} have {way}?",
            f"What {what} ({way}) does {{d}} give for {who}?",
            f"How much {what} did {who} of {{t}} have {way}?",
        )
    return Candidate(
        "quantity", f"{one.label} {match.group(3)}", (start, one.value[0] + match.end(2)), one.lines, templates, 2,
        field=True,
    )  # fmt: skip
