"""Questions that compare two documents, made from two pairs that ask the same of each. Pure; nothing is read anew."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from fieldguide import align
from ingest.dates import dates, day_first
from ingest.qa.drafts import Draft, Rejection
from ingest.qa.known_facts import Fact, Shelf, alike, is_name, join, nameable, rivals
from ingest.qa.names import by_document, same_style
from ingest.qa.rule_anchors import Anchors
from ingest.qa.rule_labels import PEOPLE

_MORE = {
    "old": "older", "long": "longer", "wide": "wider", "high": "higher", "deep": "deeper", "tall": "taller",
    "fast": "faster", "heavy": "heavier", "large": "larger", "big": "bigger", "steep": "steeper", "thick": "thicker",
    "powerful": "more powerful", "strong": "stronger", "expensive": "more expensive", "warm": "warmer",
}  # fmt: skip
_MEASURES = (
    r"speed|temperature|dew point|elevation|altitude|height|length|width|depth|distance|visibility|ceiling|power|"
    r"weight|age|cost|price|budget|fee|rate|revenue|income|profit|population|area|capacity|yield|percentage|share|average|"
    r"number of [\w ]+|total time|total \w+|amount(?: of [\w ]+)?|size|duration"
)
_HAVE = re.compile(r"How (?:many|much) (?P<what>.+?) (?:did|does|do) (?P<who>.+\0) have(?P<rest>\b[^,]*)\?")
_HOW = re.compile(r"How (?P<how>\w+) (?P<be>was|is) (?P<who>.+\0)\?")
_MEASURE = re.compile(rf"What (?P<be>was|is) (?P<who>the (?:[\w-]+ ){{0,4}}?(?:{_MEASURES})\b.+\0)\?")
_HAPPENED = re.compile(r"(?:When|On (?:what|which) date) did (?P<who>.+\0) (?:happen|take place|occur)\?")
_DONE = re.compile(
    r"(?:When|On (?:what|which) date|In (?:what|which) year) was (?P<who>.+\0) "
    r"(?P<done>founded|established|built|published|issued|signed|created|completed|opened|released)\?"
)
_AMOUNT = re.compile(
    r"(?:about |approximately |around )?[$€£]?(-?\d[\d,]*(?:\.\d+)?)(?:[ -]?([A-Za-z°%][\w°%/² ]{0,24}))?"
)
_PERSON = re.compile(rf"the (?:\w+ )?(?:{PEOPLE})\b")


def comparisons(facts: Sequence[Fact], shelf: Shelf) -> Iterator[Draft | Rejection]:
    """The amounts or dates that two documents give for one attribute: "Which …er, … or …?". The answer names the
    winner and both values."""
    orders = {document: day_first(c.text for c in held) for document, held in by_document(shelf.chunks).items()}
    for firsts, seconds in rivals(facts):
        second = seconds[0]
        worded = [(fact, found) for fact in firsts if (found := _worded(fact, shelf.names[second.pair.document]))]
        if not worded:
            yield Rejection("no wording for a comparison", firsts[0].pair.question)
            continue
        first, (question, one, other, dated) = worded[0]
        values = first.pair.answer, second.pair.answer
        if dated:
            days = [dates(fact.pair.answer, orders[fact.pair.document]) for fact in (first, second)]
            if not (len(days[0]) == len(days[1]) == 1 and len(days[0][0]) == len(days[1][0])) or days[0] == days[1]:
                yield Rejection("dates cannot be told apart", " | ".join(values))
                continue
            wins = days[0][0] < days[1][0]
        else:
            low, high = map(_amount, values)
            if low is None or high is None or low[1] != high[1]:
                yield Rejection("amounts cannot be compared", " | ".join(values))
                continue
            if low[0] == high[0]:
                yield Rejection("amounts are equal", " | ".join(values))
                continue
            wins = low[0] > high[0]
        best, worst = values if wins else values[::-1]
        yield join(question, f"{one if wins else other} ({best} against {worst})", first.pair, second.pair, True)


def _worded(fact: Fact, other: Anchors) -> tuple[str, str, str, bool] | None:
    """The question, the two compared things as it names them, and whether dates are compared."""
    shape = _shape(fact.naming.before + "\0" + fact.naming.after)
    name = same_style(fact.naming.name, other.of(fact.naming.place))
    if shape is None or not name:
        return None
    opening, who, dated = shape
    if not re.match(r"the |\0", who):
        return None
    one, two = who.replace("\0", fact.naming.name), who.replace("\0", name)
    return f"{opening}, {one} or {two}?", one, two, dated


def _shape(question: str) -> tuple[str, str, bool] | None:
    """Opening of a comparison, the compared thing with a slot for the name, and whether dates are compared."""
    if match := _HAVE.fullmatch(question):
        return f"{_asking(match['who'])} had more {match['what']}{match['rest']}", match["who"], False
    if (match := _HOW.fullmatch(question)) and match["how"] in _MORE:
        return f"{_asking(match['who'])} {match['be']} {_MORE[match['how']]}", match["who"], False
    if match := _MEASURE.fullmatch(question):
        return f"Which {match['be']} higher", match["who"], False
    if match := _HAPPENED.fullmatch(question):
        return "Which happened first", match["who"], True
    if match := _DONE.fullmatch(question):
        return f"Which was {match['done']} first", match["who"], True
    return None


def _asking(who: str) -> str:
    return "Who" if _PERSON.match(who) else "Which"


def _amount(answer: str) -> tuple[float, str] | None:
    """Value and unit of an answer that is one amount."""
    match = _AMOUNT.fullmatch(answer.strip())
    if match is None:
        return None
    unit = (match.group(2) or "").strip().casefold()
    sign = "".join(re.findall(r"[$€£]", answer))
    return float(match.group(1).replace(",", "")), sign + (unit[:-1] if unit.endswith("s") else unit)


def same_values(facts: Sequence[Fact], shelf: Shelf) -> Iterator[Draft | Rejection]:
    """Whether two documents give the same name for a label ("engine manufacturer"): "Yes, both …" or "No: … and …"."""
    labelled = [fact for fact in facts if is_name(fact.pair.answer) and nameable(fact.label)]
    for firsts, seconds in rivals(labelled):
        first, second = firsts[0], seconds[0]
        own, other = (shelf.names[fact.pair.document].documents for fact in (first, second))
        values = first.pair.answer, second.pair.answer
        words = [set(align.tokens(value)) for value in values]
        if not own or not other:
            yield Rejection("no name for what the question is about", first.pair.question)
        elif words[0] != words[1] and words[0] & words[1]:
            yield Rejection("values are neither the same nor quite different", " | ".join(values))
        elif any(alike(fact.pair.answer, shelf.names[fact.pair.document]) for fact in (first, second)):
            yield Rejection("answer in question", " | ".join(values))
        else:
            question = f"Do {own[0]} and {same_style(own[0], other)} give the same {first.label}?"
            same = words[0] == words[1]
            answer = f"Yes, both give {values[0]}" if same else f"No: {values[0]} and {values[1]}"
            yield join(question, answer, first.pair, second.pair, True)
