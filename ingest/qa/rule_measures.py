"""Quantities and dates of a sentence: how long, how far, how many, what percentage, when.

Knows the wordings that introduce them; sentences are found in ``ingest.qa.rule_prose``, clauses in ``rule_clauses``.
"""

from __future__ import annotations

import re

from ingest.qa.rule_clauses import (
    LEANING,
    Clause,
    Sentence,
    about,
    base_form,
    clause_end,
    flat,
    lower_first,
    read_clause,
    spaced,
    upper_first,
)
from ingest.qa.rule_facts import Found
from ingest.qa.rule_labels import words

MONTH = (
    r"(?:Jan(?:uary|\.)|Feb(?:ruary|\.)|March|April|May|June|July|Aug(?:ust|\.)|Sept?(?:ember|\.)|Oct(?:ober|\.)"
    r"|Nov(?:ember|\.)|Dec(?:ember|\.))"
)
_DATE = (
    rf"(?:{MONTH} \d{{1,2}}(?:st|nd|rd|th)?(?:, \d{{4}})?|\d{{1,2}} {MONTH}(?: \d{{4}})?|{MONTH},? \d{{4}}"
    r"|(?:1[5-9]|20)\d\d(?![,.]?\d|[%-]))"
)
_NUMBER = r"(?:\d[\d,]*(?:\.\d+)?(?:(?: to | ?[-–] ?)\d[\d,]*(?:\.\d+)?)?)"
_ALONE = words("begin start end close open die retire resign arrive leave occur happen expire fail collapse sink crash")
_HOW = {"pound": "heavy", "ton": "heavy", "degree": "steep", "acre": "large"}
_LONG_THING = spaced(
    rf"\b(?:an?|the|his|its|approximate|about|planned)(?: approximate| planned| approximately)? ({_NUMBER})-"
    r"(inch|foot|mile|meter|metre|minute|hour|day|week|month|year|pound|ton|degree|acre)"
    r"(?:-(long|wide|high|deep|thick))? ((?:[a-z]+ ){0,1}[a-z]+)"
    r"(?= (?:in|of|to|at|on|and|with|from|between|near)\b|[,.;])"
)
_UNMEASURED = re.compile(
    r"(?:[a-z]+ )?(?:period|interval|time|window|span|basis|history|mark|old|point|range|limit|rate|risk"
    r"|survival|mortality|average|high|low|level)s?"
)
_LONG_AND_WIDE = spaced(
    r"\b([Rr]unway|[Ff]ield|[Rr]oad|[Bb]ridge|[Pp]ipe|[Ww]all|[Bb]ed)( \d+[LRC]?)?(?:,? (?:an?|the)|,| \() ?"
    rf"({_NUMBER}[- ](?:feet|foot|meters?|metres?|miles?|inch(?:es)?))[- ](long|wide)"
    rf"(?:, ({_NUMBER}[- ](?:feet|foot|meters?|metres?))[- ](wide|high))?"
)
_AWAY = spaced(
    rf"({_NUMBER} (?:nautical |statute )?(?:miles?|feet|meters|metres|kilometers|yards|km|inches)) "
    r"((?:north|south|east|west|northeast|northwest|southeast|southwest|prior to|short of|away from|from|above|below)"
    r"(?: (?:of|from))?) ((?:the )?[A-Za-z][\w -]{2,50}?)(?=[,.;]| (?:and|when|at|while|within|before)\b)"
)
_WIND = spaced(rf"\bwind (?:was )?from (\d+ degrees) at ({_NUMBER} knots)")
_SHARE = spaced(
    rf"({_NUMBER}\s?(?:%|percent)) of ((?:the |all )?(?:(?:Sept?|Aug|Oct|Nov|Dec|Jan|Feb)\. \d+|[^,.;:()]){{6,110}})"
    r"(?=\.(?:\s|$)|;|,)"
)
_VERB = re.compile(r"\b(?:is|are|was|were|has|have|had|can|will|became|[a-z]{3,}ed)\b (?!\d)")
_COUNTED = spaced(
    r"(?<![\d.,$#-])(two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|\d[\d,]*) "
    r"((?:[a-z]+ )?[a-z]+s)\b(?: of ((?:[a-z]+ ){0,3}[a-z]+))?"
)
_HEDGE = re.compile(
    r"\b(about|approximately|only|at least|over|nearly|up to|more than|the|a|completing|still|already|now|just|some"
    r"|another|around|roughly|almost|other|additional|these)$"
)
_ON_DATE = spaced(
    rf"(?:In|On|Since|By) ({_DATE}),(?: at (?:about |approximately )?"
    r"(\d[\d:]{2,4}(?: [a-z]+ [a-z]+ time| [A-Z]{2,4}| [ap]\.?m\.?)?),)? "
)
_DATED = spaced(rf"\b(in|on|since|until|by) ({_DATE})(?=[,.;]|$| (?:and|to|for|by|when|at|the)\b)")
_FOUNDED = re.compile(
    r"((?:the\s+)?[A-Z][\w&'’-]*(?:\s+(?:[A-Z][\w&'’-]*|of|the|for|and))*)(?:\s+\([A-Z]+\))?,\s+(established|founded|created"
    r"|built|enacted|adopted|published|signed|born|filed|released|opened|formed|passed|issued)\s+$"
)


def quantities(sentence: Sentence) -> Found:
    """Measures: how long, how far, how wide, what temperature, what percentage."""
    asked: tuple[str, ...]
    for m in sentence.find(_LONG_THING):
        how = m.group(3) or _HOW.get(m.group(2), "long")
        if _UNMEASURED.fullmatch(m.group(4)):
            continue
        answer = (m.start(1), m.end(2))
        yield sentence.ask("quantity", f"how {how} {m.group(4)}", answer, about(f"how {how} was the {m.group(4)}"))
    for m in sentence.find(_LONG_AND_WIDE):
        noun = f"{m.group(1).lower()}{m.group(2)}" if m.group(2) else f"the {m.group(1).lower()}"
        for value, how in ((3, m.group(4)), (5, m.group(6))):
            if m.group(value):
                yield sentence.ask("quantity", f"how {how} {noun}", m.span(value), about(f"how {how} was {noun}"))
    for m in sentence.find(_AWAY):
        how = "high" if m.group(2) == "above" else "deep" if m.group(2) == "below" else "far"
        q = f"how {how} {flat(m.group(2))} {flat(m.group(3))}"
        head = sentence.clause_before(m.start()) if sentence.begins else None
        if head:
            rest = re.sub(r"\s*\b(about|approximately|at|around|some)$", "", head.rest)
            yield sentence.ask("quantity", q, m.span(1), about(f"{q} {head.asked(rest)}"))
        elif not sentence.begins and re.match(r"(north|south|east|west)", m.group(2)):
            asked = (f"{upper_first(q)} did {{e}} happen?",)
            yield sentence.ask("quantity", q, m.span(1), asked)
    for m in sentence.find(_WIND):
        asked = ("From what direction was the wind blowing in {e}?",)
        yield sentence.ask("quantity", "wind from", m.span(1), asked)
        asked = ("How strong was the wind in {e}?",)
        yield sentence.ask("quantity", "wind speed", m.span(2), asked)
    for m in sentence.find(_SHARE):
        yield from _share(sentence, m)


def _share(sentence: Sentence, m: re.Match[str]) -> Found:
    """What percentage of something does something; what the sentence begins with ("In 2022, ...") is asked along."""
    before = sentence.text[sentence.start : m.start()]
    led = re.match(r"(In|By|During|For|As of|Since)\s[^,]{3,60},\s+$", before)
    if not (
        led or re.fullmatch(r"(?i)(?:about|only|approximately|around|nearly|over|some|in total,|overall,)?\s*", before)
    ):
        return
    whom = flat(m.group(2))
    if not _VERB.search(whom) or not sentence.begins:
        return
    lead = f"{lower_first(flat(led.group().rstrip(', ' + chr(10))))}, " if led else ""
    yield sentence.ask(
        "quantity", "share", m.span(1), about(upper_first(f"{lead}what percentage of {whom}"), thing=False)
    )


def counts(sentence: Sentence) -> Found:
    """How many of something a clause counts."""
    for m in sentence.find(_COUNTED):
        head = sentence.clause_before(m.start())
        if head is None or head.adverb or re.match(r"\s+(?:to|or|and|that|which)\s", sentence.text[m.end() :]):
            continue
        if head.rest.count(" ") > 3 or head.verb in ("is", "are", "was", "were"):
            continue
        what = " ".join(m.group(0).split()[1:])
        if what.startswith("times"):
            continue
        if re.search(r"\b(of|at|to|by|in|than|from|within|for|first|last|next|past|previous)$", head.rest):
            continue
        if head.subject.startswith("a number") or re.search(r"\b(prior|ago|later|before|after|is|was|has)\b", what):
            continue
        q = f"how many {what} {head.asked(_HEDGE.sub('', head.rest).strip())}"
        yield sentence.ask("quantity", f"how many {what}", m.span(1), about(q))


def dates(sentence: Sentence) -> Found:
    asked: tuple[str, ...]
    text, end = sentence.text, sentence.end
    for m in sentence.find(_ON_DATE):
        if m.start() != sentence.start:
            continue
        if m.group(2):
            asked = ("At what time did {e} happen?", "What was the time of {e}?")
            yield sentence.ask("date", "at what time", m.span(2), asked)
        clause = read_clause(text, m.end(), clause_end(text, m.end(), end))
        if clause:
            tail = clause.asked(clause.rest)
            if _whole_deed(clause, tail):
                when = {"S": "since when", "B": "by when"}.get(text[m.start()], "when")
                other = f"on what date {tail}" if when == "when" and re.search(r" \d{1,2}", m.group(1)) else ""
                asked = (*about(f"{when} {tail}"), *(about(other) if other else ()))
                yield sentence.ask("date", f"when {tail}", m.span(1), asked)
        elif m.group(2):
            asked = ("On what date did {e} happen?", "When did {e} occur?")
            yield sentence.ask("date", "on what date", m.span(1), asked)
    for m in sentence.find(_DATED):
        founded = _FOUNDED.search(text[sentence.start : m.start()])
        if founded and len(founded.group(1)) > 3:
            noun = flat(founded.group(1))
            q = f"when was {lower_first(noun)} {founded.group(2)}"
            asked = (f"{upper_first(q)}?",)
            if m.group(1) == "in":
                asked += (f"In which year was {lower_first(noun)} {founded.group(2)}?",)
            yield sentence.ask("date", q, m.span(2), asked)
        elif clause := sentence.clause_before(m.start()):
            tail = clause.asked(clause.rest)
            when = {"since": "since when", "until": "until when", "by": "by when"}.get(m.group(1), "when")
            if not _whole_deed(clause, tail):
                continue
            yield sentence.ask("date", f"when {tail}", m.span(2), about(f"{when} {tail}"))


def _stands_alone(verb: str) -> bool:
    return base_form(verb) in _ALONE | {
        "land",
        "fall",
        "grow",
        "move",
        "enter",
        "live",
        "work",
        "participate",
        "go",
        "come",
    }


_SURE = words("is are was were has have had will")


def _whole_deed(clause: Clause, tail: str) -> bool:
    """Whether a question of a clause has what its verb needs: more than "did the board adopt", and no second verb."""
    if not clause.is_aux and len(clause.rest.split()) < 1 and base_form(clause.verb) not in _ALONE:
        return False
    if clause.is_aux and (not clause.rest or clause.verb not in _SURE):
        return False
    if LEANING.match(clause.subject) or re.search(
        r"\b(?:compared|versus|relative to|compares|whereas|while|although)\b", clause.rest
    ):
        return False  # the date may be that of the other side
    if clause.verb in ("is", "are") and not re.match(r"(?:due|scheduled|expected|required|effective)\b", clause.rest):
        return False
    if not clause.is_aux and re.match(r"(?:in|by|under|on|from|as)\b", clause.rest) and not _stands_alone(clause.verb):
        return False  # the verb may be a participle: "the rate enacted in ..."
    if re.search(r"\band \w+ed\b", tail) or read_clause(clause.rest, 0, len(clause.rest)):
        return False
    return not re.search(
        r"\b(?:ended|ending|as of|dated|subject to|compared to|beginning|and|but|or)$", tail
    ) and not re.search(r"\d[\d,.]*(?: (?:million|billion))?$|\b(?:not|that|which|who)\b", tail)
