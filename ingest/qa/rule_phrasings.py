"""Other wordings of a question by rule: the form of what is asked, its frame, a word for another. Pure; English only.

A rule changes a question only where the answer shows what it asks for (a year, a date, a length) or where the change
holds whatever the words mean; it gives nothing rather than something doubtful. What it may not change is checked in
``ingest.qa.phrasings``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ingest.qa.rule_labels import EVENT, words

_LONGEST_NOUN = 16
_BE = r"(?P<be>was|is|were|are)"
_DO = r"(?P<do>did|does|do|will|can|could|would|should)"
_NOUN = {
    "old": "age", "wide": "width", "high": "height", "deep": "depth", "tall": "height", "heavy": "weight",
    "fast": "speed", "thick": "thickness",
}  # fmt: skip
_TIME_UNIT = re.compile(r"(?i)\b(?:second|minute|hour|day|week|month|year)s?\b")
_LENGTH_UNIT = re.compile(r"(?i)\b(?:inch(?:es)?|feet|foot|ft|miles?|met(?:er|re)s?|m|km|cm|mm|yards?)\b|[\"”]$")
_YEAR = re.compile(r"(?:1[5-9]|20)\d\d")
_DATE = re.compile(
    r"\d{1,2}[/.]\d{1,2}[/.]\d{2,4}|[A-Z][a-z]{2,8}\.? \d{1,2}(?:st|nd|rd|th)?,? \d{4}|\d{1,2} [A-Z][a-z]{2,8} \d{4}"
)
_CLOCK = re.compile(r"(?i)\d{1,2}[:.]\d\d(?: ?[ap]\.?m\.?)?(?: [a-z]{2,4})?|\d{1,2} [ap]\.?m\.?|\d{4} [A-Z]{3}")
_PLACE = re.compile(r"[A-Z][\w'’.-]+(?: [A-Z][\w'’.-]+){0,3}(?:, [A-Z][\w .]+)?(?: \(\w+\))?")
_DIRECTION = re.compile(r"\b(?:from|to|going|headed|bound|flying|heading)\b")
_VERB = re.compile(
    r"\b(?:was|is|were|are|be|been|did|does|do|has|have|had|can|could|will|would|should|may|must|that|which|who|when|"
    r"where|if|because|made|given|held|done|called|known|used|[a-z]+(?:ed|ing))\b"
)
_NO_VERB = re.compile(
    r"\b(?:landing|rating|building|meeting|hearing|finding|filing|ceiling|wing|spring|training|rated|involving|estimated|"
    r"needed|irrigated|combined|registered)\b"
)
_GERUND = re.compile(r"(?!doing|happening|missing|going|coming)[a-z-]+ing")
_PASSIVE = re.compile(
    r"(?:Who|What|(?:What|Which) [a-z]+) "
    r"(?:(?:is|was|are|were) (?:[a-z]+ed|known|made|given|held|found|built|shown|done)"
    r"|(?:can|should|must|may|might|could|will|would) be)\b"
)
YES_NO = re.compile(r"(?:Was|Were|Is|Are|Did|Does|Do|Has|Have|Had|Can|Could|Will|Would|Should|May|Must) ")
INDIRECT = re.compile(r"(?:Can|Could) you tell me |Do you know |Is it known ")
_ASKED = re.compile(r"(?:Who|What|Which|(?:What|Which) [a-z]+) (?P<verb>[a-z]+)\b")
_AUXILIARY = words("was is were are did does do has have had can could will would should may might must")
_SUBJECT_VERB = re.compile(r"[a-z]+ed|made|built|wrote|led|won|gave|ran|held|took|sold|bought|drew|happened|owns|owned")
_NAMES = r"(?:[A-Z0-9“][\w’'./,#-]*”? )*"
_TAIL = (
    r"(?P<tail>(?:the (?:time of the |(?:report|study|survey) (?:on|of|about) the )?)?"
    rf"{_NAMES}(?:{EVENT})(?: (?:(?:at|in|of|involving|and) )?[A-Z0-9][\w’'./,#-]*)*)"
)


def reworded(question: str, answer: str) -> Iterator[str]:
    """Every change alone, then two changes of different sorts together."""
    changes = (_cores, _frames, _synonyms)
    for first in changes:
        for one in first(question, answer):
            yield one
            for second in changes:
                if second is not first:
                    yield from second(one[:1].upper() + one[1:], answer)


def _small(text: str) -> str:
    return text[:1].lower() + text[1:]


def _framed(question: str) -> tuple[str, str, str]:
    """What stands before the question itself ("According to …, "), the question, and what stands behind it."""
    if match := re.fullmatch(
        r"((?:According to|In|At|During) [^?]+?, )((?:what|which|who|how|when|where|why)\b[^?]*)\?", question
    ):
        return match.group(1), match.group(2)[:1].upper() + match.group(2)[1:], ""
    if match := re.fullmatch(r"([^?]+?)(, according to [^?]+)\?", question):
        return "", match.group(1), match.group(2)
    return "", question[:-1], ""


def _cores(question: str, answer: str) -> Iterator[str]:
    """Another form of what is asked: "How old was …" as "What was the age of …"."""
    before, core, behind = _framed(question)
    for one in _other_cores(core, answer.strip()):
        if not (before and INDIRECT.match(one)):
            yield f"{before}{_small(one) if before else one}{behind}?"


def _other_cores(core: str, answer: str) -> Iterator[str]:
    if match := re.fullmatch(rf"How (?P<how>\w+) {_BE} (?P<rest>.+)", core):
        noun = _NOUN.get(match["how"], "")
        if match["how"] == "long":
            noun = "duration" if _TIME_UNIT.search(answer) else "length" if _LENGTH_UNIT.search(answer) else ""
        if noun and match["be"] in ("was", "is") and re.match(r"the |a |an |[A-Z]", match["rest"]):
            yield f"What {match['be']} the {noun} of {match['rest']}"
    if match := re.fullmatch(
        r"What (?P<be>was|is) the (?P<noun>age|width|height|depth|length|duration) of (?P<rest>.+)", core
    ):
        how = {"age": "old", "width": "wide", "height": "high", "depth": "deep", "length": "long", "duration": "long"}
        yield f"How {how[match['noun']]} {match['be']} {match['rest']}"
    if match := re.fullmatch(rf"How (?P<q>many|much) (?P<what>(?:(?!what|which)[^,])+?) {_DO} (?P<rest>.+)", core):
        yield f"What {'number' if match['q'] == 'many' else 'amount'} of {match['what']} {match['do']} {match['rest']}"
    yield from _times_and_places(core, answer)
    if match := re.fullmatch(r"Why (?P<rest>(?:did|was|were|is|are|does|do|has|had|can|could|should) .+)", core):
        yield f"For what reason {match['rest']}"
    if match := re.fullmatch(r"For what reason (?P<rest>.+)", core):
        yield f"Why {match['rest']}"
    if (match := re.fullmatch(r"What caused (?P<rest>the .+)", core)) and " to " not in match["rest"]:
        yield f"What was the cause of {match['rest']}"
    if match := re.fullmatch(r"What was the cause of (?P<rest>.+)", core):
        yield f"What caused {match['rest']}"
    if match := re.fullmatch(r"What does (?P<what>[A-Z]\w*) stand for", core):
        yield f"What do the letters {match['what']} stand for"
        yield f"What is {match['what']} short for"
    if match := re.fullmatch(r"What (?:is (?P<a>[A-Z]\w*) short for|do the letters (?P<b>[A-Z]\w*) mean)", core):
        yield f"What does {match['a'] or match['b']} stand for"
    match = re.fullmatch(r"What (?:is|are) (?P<what>(?!the )[a-z-]+(?: [a-z-]+){0,3})", core)
    if match and (_GERUND.fullmatch(match["what"]) or not _VERB.search(match["what"])):
        yield f"What is meant by {match['what']}"
    yield from _turned(core)
    yield from _indirect(core)
    if YES_NO.match(core):
        yield f"Yes or no: {_small(core)}"


def _times_and_places(core: str, answer: str) -> Iterator[str]:
    """ "When" and "where" as what the answer shows them to ask for, and back."""
    if match := re.fullmatch(r"When (?P<rest>(?:did|was|were|is|are|does|will) .+)", core):
        if _YEAR.fullmatch(answer):
            yield f"In what year {match['rest']}"
            yield f"In which year {match['rest']}"
        elif _DATE.fullmatch(answer):
            yield f"On what date {match['rest']}"
            yield f"On which day {match['rest']}"
        elif _CLOCK.fullmatch(answer):
            yield f"At what time {match['rest']}"
    if match := re.fullmatch(
        r"(?:On (?:what|which) (?:date|day)|In (?:what|which) year|At (?:what|which) time) (?P<rest>.+)", core
    ):
        yield f"When {match['rest']}"
    match = re.fullmatch(r"Where (?P<rest>(?:did|was|were) .+)", core)
    if match and _PLACE.fullmatch(answer) and not _DIRECTION.search(match["rest"]):
        yield f"In what place {match['rest']}"
        yield f"At which place {match['rest']}"
    if match := re.fullmatch(r"(?:In|At) (?:what|which) place (?P<rest>.+)", core):
        yield f"Where {match['rest']}"


def _turned(core: str) -> Iterator[str]:
    """The preposition at the other end, or what a document gives with the document at the other end."""
    if match := re.fullmatch(r"(?P<how>To|By|From|For|With) whom (?P<rest>(?:was|were|did|is|are) .+)", core):
        yield f"Who {match['rest']} {match['how'].lower()}"
    if match := re.fullmatch(r"What (?P<rest>(?:is|was|are|were) .+ attributed) to", core):
        yield f"To what {match['rest']}"
    if match := re.fullmatch(r"To what (?P<rest>(?:is|was|are|were) .+ attributed)", core):
        yield f"What {match['rest']} to"
    if match := re.fullmatch(
        r"What does (?P<who>[^,]+?) (?P<verb>list|give|record|state) as (?P<what>the [^,]+)", core
    ):
        done = {"list": "listed", "give": "given", "record": "recorded", "state": "stated"}[match["verb"]]
        yield f"What is {done} as {match['what']} in {match['who']}"
    if match := re.fullmatch(
        r"What is (?P<verb>listed|given|recorded|stated) as (?P<what>the [^,]+?) in (?P<who>[^,]*report.+)", core
    ):
        does = {"listed": "list", "given": "give", "recorded": "record", "stated": "state"}[match["verb"]]
        yield f"What does {match['who']} {does} as {match['what']}"


def _indirect(core: str) -> Iterator[str]:
    """ "Can you tell me who …": only where the order of words stays, or one verb moves to the end."""
    match = _ASKED.match(core)
    subject = match and match["verb"] not in _AUXILIARY and _SUBJECT_VERB.fullmatch(match["verb"])
    if subject or _PASSIVE.match(core):
        yield f"Can you tell me {_small(core)}"
        yield f"Do you know {_small(core)}"
    if match := re.fullmatch(r"(?P<what>What|Who) (?P<be>was|is) (?P<rest>the .+)", core):
        noun = match["rest"].split()
        if len(noun) <= _LONGEST_NOUN and "like" not in noun and not _VERB.search(_NO_VERB.sub("", match["rest"])):
            yield f"Can you tell me {_small(match['what'])} {match['rest']} {match['be']}"
            yield f"Do you know {_small(match['what'])} {match['rest']} {match['be']}"


def _frames(question: str, _answer: str) -> Iterator[str]:
    """What the question is about, or what it is taken from, named at its other end."""
    before, core, behind = _framed(question)
    if before:
        where = before.rstrip(", ")
        if where.startswith("According"):
            yield f"{core}, {_small(where)}?"
        elif not re.search(r"\b(?:in|at|on|of|from|to|with|for|by|about|into|as)$", core):
            yield f"{core} {_small(where)}?"
    elif behind and not INDIRECT.match(core):
        yield f"{behind[2:3].upper()}{behind[3:]}, {_small(core)}?"
    elif match := re.fullmatch(
        rf"(?P<core>(?:How|What|Which|Who)\b.*?\b(?:was|were|did|is)\b.*) (?P<how>in|at) {_TAIL}", core
    ):
        whole = not re.search(r"\b(?:of|and|or|on|in|at|the|is|was|were|did)$", match["core"])
        if whole and not _VERB.search(_NO_VERB.sub("", match["tail"])):
            yield f"{match['how'].capitalize()} {match['tail']}, {_small(match['core'])}?"


_SAME: tuple[tuple[str, tuple[str, ...]], ...] = (
    (r"(?P<a>\bdid .+ )(?:take place|happen|occur)(?P<z>\?|,)", ("take place", "happen", "occur")),
    (r"(?P<a>\bwhen .+ )(?:took place|happened|occurred)(?P<z>\?|,)", ("took place", "happened", "occurred")),
    (r"(?P<a>\b(?:is|are) )(?:given|recorded|stated)(?P<z> for )", ("given", "recorded", "stated")),
    (r"(?P<a>^What )(?:type|kind|sort)(?P<z> of )", ("type", "kind")),
    (r"(?P<a>^)(?:What|Which)(?P<z> (?:airport|company|engine|make|model|registration|place|seat|person)\b)",
     ("What", "Which")),
    (r"(?P<a>\bcan be )(?:used|employed)(?P<z> (?:to|for|in)\b)", ("used", "employed")),
)  # fmt: skip
_AT_PLACE = re.compile(rf"\bthe ((?:[A-Z][\w'’.-]+ ?){{1,4}}, [A-Z]\w+) ({EVENT})\b")
_PLACE_EVENT = re.compile(rf"\bthe ({EVENT}) (?:at|in) ((?:[A-Z][\w'’.-]+ ?){{1,4}}, [A-Z][A-Z])\b")


def _synonyms(question: str, _answer: str) -> Iterator[str]:
    """One word or name as it is also said: "took place" for "happened", "the accident at P" for "the P accident"."""
    for pattern, ways in _SAME:
        for word in ways:
            yield re.sub(pattern, rf"\g<a>{word}\g<z>", question, count=1)
    yield _AT_PLACE.sub(r"the \2 at \1", question, count=1)
    yield _PLACE_EVENT.sub(r"the \2 \1", question, count=1)
