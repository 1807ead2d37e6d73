"""Forms: "Label: value" pairs of a text, the questions they answer, and names by which a document can be asked for.

Knows labels and layouts, not prose (see ``ingest.rule_prose``) and not which question is chosen in the end.
Templates hold the places {e} (an event: "the Elyria, OH accident"), {t} (a thing: "N2699G"), {d} (the document).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from ingest.drafts import Rejection


@dataclass(frozen=True, slots=True)
class Candidate:
    """A possible question: its wordings, and where answer and quote stand in the chunk's text. Rank 0 is the best."""

    kind: str
    label: str
    answer: tuple[int, int]
    quote: tuple[int, int]
    templates: tuple[str, ...]
    rank: int = 1


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

    fields: list[Field] = field(default_factory=list)
    prose: list[tuple[int, int]] = field(default_factory=list)
    rejections: list[Rejection] = field(default_factory=list)
    section: str = ""


_PLACEHOLDER = re.compile(
    r"(?i)(unknown|unk\.?|n/?a|on file|not (applicable|available|reported|provided|given|known|recorded)|tbd|t\.b\.d\."
    r"|pending|see (above|below|attached).*|[-–—_./\s]+)"
)
_FURNITURE = re.compile(r"(?i)^(page\s+\d+(\s+of\s+\d+)?\b.{0,40}|[-–—_=*.\s\d]*)$")
_CONNECTORS = frozenset("of from in at the and for to or since by on per with & / a an".split())
_WORDS = frozenset(
    "account accident action activity actual address age agency airport airspace altimeter altitude amateur amount "
    "approach approved area as at author bank basis birth budget building built business by capacity case category "
    "certificate certificated certified city class clearance clearing cloud code color colour company condition "
    "contact control cost count country county course crew currency customer damage data date day delivery department "
    "departure depth description designator destination dew diameter direction distance district division docket does "
    "document duration due edition elevation email e-mail end engine engines event exam expiration explosion extension "
    "facility fax fee file filed filing final fire first flight forecast form frequency from fuel gear gender grade "
    "gross gusts hearing height held hours hours id identification in injuries inspection instrument interval invoice "
    "issue issued item job landing last latest length level license licence light limit limits line location "
    "longitude latitude lot lowest make manager manufacture manufacturer marital material max maximum mean method "
    "middle min minimum mode model month name nationality negotiated no number occupant occupants occupation occupied "
    "of office on operating operation operator operators order other origin owner page part passenger passengers "
    "patient performed period permit person phase phone place plan point policy position postal power precipitation "
    "prepared present pressure price priority process product program project province purchase purpose quantity "
    "range rate rated rating reason record reference region registered registration release report reported requested "
    "response restraint result revision role route run runway sample schedule score seat seats second section serial "
    "series service setting severity sex shift signature since site size slope source speed sponsor stage standard "
    "start state station status step street subject supplier surface swath system take-off takeoff target tax team "
    "tel telephone temperature term terms terrain test time title to total toxicology type under unit units update "
    "updated usage use used user value vehicle vendor version vessel vfr ifr visibility volume voltage wage water "
    "weather website weight width wind word work wt year zip zone additional publish pilot medical aircraft "
    "review equivalent turbulence severity".split()
)
PEOPLE = (
    "pilot|co-pilot|copilot|instructor|owner|operator|applicant|patient|student|author|driver|captain|employee|"
    "contact|officer|passenger|inspector|customer|tenant|plaintiff|defendant|physician|teacher|engineer|crew|member|"
    "manager|director|investigator|investigators|witness|controller|mechanic|farmer|grower|nurse|doctor|president"
)
EVENT = r"accident|incident|crash|collision|inspection|audit|meeting|hearing|trial|survey|outbreak|spill|mishap"
PERSON = re.compile(rf"(?i)\b({PEOPLE})s?$")
_UNIT_ADJECTIVE = {
    "length": "long", "width": "wide", "elevation": "high", "height": "high", "depth": "deep", "age": "old",
}  # fmt: skip
_ENUMERATOR = re.compile(r"^\s*\(?(?:\d{1,2}|[a-z])[.)]\s+(?=[A-Z])")
_ITEMS = re.compile(r"(\d[\d,.]*)\s+(hours|days|years|miles|times)\s+\(([^)]*)\)")
_LONGEST_VALUE = 14
NEGATIVE = 4
"""The rank of fields that say no more than "None", "No" or "Yes".""" 

# A label (regular expression, whole) and ways a person asks for it; {l} is the label, {s} whose section it stands in.
_QUESTIONS: tuple[tuple[str, tuple[str, ...]], ...] = tuple(
    (pattern, tuple(line.strip() for line in lines.split("|")))
    for pattern, lines in (
        ("age", "How old was {s} in {e}?|What was the age of {s} in {e}?|What age is given for {s} in {d}?"),
        ("(sex|gender)", "What is the sex of {s} in {d}?|Was {s} in {e} a man or a woman?"),
        ("(location|place)", "Where did {e} take place?|In what place did {e} happen?|What is the location of {e}?"
         "|Where was {t} when the event happened?|What place is {d} about?"),
        ("date( of (accident|incident|event|loss))?", "On what date did {e} happen?|When did {e} take place?"
         "|What is the date of {e}?|What date is given in {d}?"),
        ("time( of (accident|incident|event))?", "At what time did {e} happen?|What time of day was it when {e} "
         "occurred?|What time is recorded for {e}?"),
        ("aircraft|vehicle|vessel", "What {l} does {d} concern?|What type of {l} was {t}?"
         "|What was the type of {l} in {e}?"),
        ("registration( number)?", "What was the registration in {e}?"
         "|Which registration number is recorded for {e}?|What registration does {d} give?"),
        ("(aircraft |vehicle )?damage", "How badly was {t} damaged?|How much damage was there in {e}?"
         "|What was the extent of the {l} in {e}?"),
        ("(total )?injuries", "What injuries resulted from {e}?|What is the injury count for {e}?"
         "|Which {l} are recorded for {e}?"),
        ("(.+) injuries", "What {l} were there in {e}?|Which {l} does {d} record?|What is entered for {l} in {e}?"),
        ("flight conducted under|conducted under", "Under which rules was the flight of {t} conducted?"
         "|Which regulations applied to the flight in {e}?|Under what part was the flight in {e} conducted?"),
        ("certificates?", "What certificate did {s} in {e} hold?|Which certificate does {d} give for {s}?"
         "|What kind of certificate did {s} of {t} have?"),
        ("(.+) ratings?", "What {l} did {s} in {e} hold?|Which {l} did {s} of {t} have?|What is recorded as the {l} of "
         "{s} in {e}?"),
        ("seat occupied", "Which seat did {s} in {e} occupy?|In which seat was {s} of {t} sitting?"
         "|Where was {s} seated in {e}?"),
        ("restraint used", "What restraint did {s} in {e} use?|How was {s} of {t} strapped in?"
         "|Which restraints were used by {s} in {e}?"),
        ("second pilot present", "Was a second pilot present in {e}?|Was there a second pilot on board {t}?"
         "|Did {t} have a second pilot on board?"),
        ("toxicology performed", "Was toxicology performed on {s} after {e}?|Was {s} of {t} tested for toxicology?"),
        ("medical certification", "What medical certification did {s} in {e} have?|What class of medical certificate "
         "did {s} of {t} hold?|Which medical certification does {d} give for {s}?"),
        ("last (.*)exam", "When was the {l} of {s} in {e}?|What is the date of the {l} of {s} in {d}?"
         "|When did {s} of {t} have the {l}?"),
        ("last flight review or equivalent", "When did {s} in {e} have the last flight review?"
         "|What is the date of the last flight review of {s} of {t}?"),
        ("amateur built", "Was {t} amateur built?|Is {t} a home-built machine?|Does {d} mark the machine as amateur "
         "built?"),
        ("airworthiness certificate", "What kind of airworthiness certificate did {t} have?"
         "|Which airworthiness certificate was {t} flying under?|What is the airworthiness certificate in {d}?"),
        ("serial number", "What is the serial number of {t}?|Which serial number does {t} have?"
         "|What serial number is recorded in {d}?"),
        ("(aircraft |vehicle )?make", "Who made {t}?|What make is {t}?|What is the {l} in {e}?"),
        ("model/series|model|series", "What model was involved in {e}?|Which model is named in {d}?"
         "|What was the model in {e}?"),
        ("aircraft category", "What category of aircraft was {t}?|What is the aircraft category in {e}?"),
        ("landing gear type", "What kind of landing gear did {t} have?|What type of landing gear was fitted in {e}?"
         "|How was the landing gear of {t} arranged?"),
        ("seats", "How many seats did {t} have?|What number of seats is given for {t}?|How many seats are recorded in "
         "{d}?"),
        ("engines", "How many engines of what type did {t} have?|What engines did {t} have?|What is said of the "
         "engines in {d}?"),
        ("engine manufacturer", "Who made the engine of {t}?|Which company built the engine in {e}?"
         "|Who was the engine manufacturer of {t}?"),
        ("engine model/series|engine model", "Which engine model powered {t}?|What engine model was fitted to {t}?"
         "|What engine did {t} have, by model?"),
        ("rated power", "How powerful was the engine of {t}?|What was the rated power of {t}?"
         "|What power is the engine in {e} rated at?"),
        ("certified max gross wt", "How heavy may {t} be at most?|What is the certified maximum gross weight of {t}?"
         "|What was the maximum gross weight in {e}?"),
        ("date of last inspection", "When was {t} last inspected?|On what date was the last inspection of {t}?"
         "|When was the last inspection before {e}?"),
        ("type of last inspection", "What type of inspection did {t} have last?|What kind was the last inspection of "
         "{t}?|Which inspection had {t} undergone last?"),
        ("time since last inspection", "How much time had passed since the last inspection of {t}?"
         "|How many hours since its last inspection did {t} have?"),
        ("airframe total time", "How many hours did the airframe of {t} have?|What was the total time on the airframe "
         "of {t}?|How long had the airframe in {e} been in use?"),
        ("elt", "Was there an ELT in {t}, and did it work?|What is said about the ELT of {t}?|What was the state of the "
         "ELT in {e}?"),
        ("registered owner|owner", "Who owned {t}?|Who was the registered owner of {t}?|To whom was {t} registered?"
         "|Who is listed as the owner in {d}?"),
        ("operator", "Who operated {t}?|Who was the operator in {e}?|By whom was {t} operated?"),
        ("operator does business as", "Under what name does the operator of {t} do business?"
         "|What is the business name of the operator in {e}?"),
        ("operator designator code", "What is the designator code of the operator of {t}?"
         "|Which operator designator code is in {d}?"),
        ("operating certificates held", "Which operating certificates did the operator of {t} hold?"
         "|What operating certificates were held in {e}?"),
        ("conditions at accident site", "What were the conditions at the site of {e}?|What flying conditions were there "
         "at the scene of {e}?|Which conditions prevailed where {e} happened?"),
        ("condition of light", "What was the light like at the time of {e}?|What light condition is given for {e}?"
         "|Did {e} happen by day or in the dark?"),
        ("visibility", "What was the visibility at the time of {e}?|How far could one see when {e} happened?"
         "|How good was the visibility in {e}?"),
        ("lowest cloud condition", "What was the lowest cloud condition at the time of {e}?|What clouds were lowest when "
         "{e} happened?|What cloud condition does {d} report?"),
        ("lowest ceiling", "What was the lowest ceiling at the time of {e}?|How low was the ceiling in {e}?"
         "|What ceiling was reported for {e}?"),
        ("wind speed", "How strong was the wind at the time of {e}?|What was the wind speed in {e}?"
         "|How fast was the wind blowing when {e} happened?"),
        ("wind direction", "From what direction was the wind in {e}?|What was the wind direction at the time of {e}?"
         "|Where was the wind coming from when {e} happened?"),
        ("temperature", "What was the temperature at the time of {e}?|How warm was it when {e} happened?"
         "|What temperature was observed for {e}?"),
        ("dew point", "What was the dew point at the time of {e}?|Which dew point was observed for {e}?"
         "|What dew point does {d} give?"),
        ("altimeter setting", "What was the altimeter setting in {e}?|What altimeter setting was reported for {e}?"
         "|Which altimeter setting applied when {e} happened?"),
        ("precipitation and obscuration", "What precipitation or obscuration was there in {e}?|Was there rain, snow or "
         "haze at the time of {e}?|What weather was obscuring the view in {e}?"),
        ("observation facility", "Which facility observed the weather for {e}?|Where was the weather observed for {e}?"
         "|What observation facility is named in {d}?"),
        ("observation time", "At what time was the weather observed for {e}?|When was the weather observation for {e} "
         "made?|What observation time is in {d}?"),
        ("distance from (.+)", "How far from the {1} of {e} was the weather observed?"
         "|At what distance from the {1} of {e} was the observation made?"),
        ("direction from (.+)", "In which direction from the {1} of {e} was the weather observed?"),
        ("departure point|origin", "Where did the flight of {t} depart from?|From where had {t} taken off?"
         "|What was the departure point in {e}?|Where did the trip in {e} begin?"),
        ("destination", "Where was {t} going?|What was the destination in {e}?|Where was the flight in {e} headed?"
         "|To which place was {t} flying?"),
        ("departure time", "At what time did {t} depart?|When did the flight in {e} leave?|What was the departure time "
         "in {e}?"),
        ("type of flight plan filed", "What type of flight plan was filed for {t}?|Which kind of flight plan was filed "
         "in {e}?|Under what flight plan was {t} flying?"),
        ("type of clearance", "What clearance did {t} have?|What type of clearance was given in {e}?"),
        ("airport", "At which airport did {e} happen?|What airport is named in {d}?|Which airport was {t} using?"),
        ("airport elevation", "How high is the airport in {e}?|What is the elevation of the airport in {e}?"
         "|At what elevation lies the airport of {e}?"),
        ("runway used", "Which runway was used in {e}?|What runway did {t} use?|On which runway was {t}?"),
        ("runway length", "How long is the runway in {e}?|What is the length of the runway used by {t}?"
         "|What runway length is given for {e}?"),
        ("runway width", "How wide is the runway in {e}?|What is the width of the runway used by {t}?"),
        ("runway surface type", "What was the runway in {e} made of?|What surface did the runway in {e} have?"
         "|What type of surface was the runway that {t} used?"),
        ("runway surface condition", "What condition was the runway in at the time of {e}?|What was the state of the "
         "runway surface in {e}?|Was the runway dry or wet in {e}?"),
        ("vfr approach/landing|ifr approach|vfr approach", "What kind of {l} did {t} make?|What {l} was flown in {e}?"
         "|Which {l} does {d} record?"),
        ("aircraft fire", "What is recorded about an aircraft fire in {e}?|Was there any aircraft fire in {e}, and where?"
         "|What aircraft fire does {d} note?"),
        ("aircraft explosion", "Was there any explosion in {e}, and where?|What is recorded about an explosion in {e}?"),
        ("latitude", "At what latitude did {e} happen?|What is the latitude of the site of {e}?"),
        ("longitude", "At what longitude did {e} happen?|What is the longitude of the site of {e}?"),
        ("investigator in charge.*", "Who was the investigator in charge of {e}?|Who led the investigation of {e}?"
         "|Who investigated {e}?|Which investigator handled {e}?"),
        ("report date", "When was the report on {e} issued?|What is the date of the report on {e}?"
         "|On what date was the report about {t} issued?"),
        ("additional participating persons", "Who else took part in the investigation of {e}?"
         "|Which other persons participated in the investigation of {e}?|Who helped to investigate {e}?"),
        ("(occurrence|event|finding|step|phase|item) ?#? ?(\\d+)", "What was {l} in {e}?|What is listed as {l} in {d}?"
         "|Which event is {l} in {e}?"),
        ("phase of (operation|flight)", "In which phase of {1} did {o} happen in {e}?|What was the phase of {1} for {o} "
         "in {e}?|During what phase of {1} did {o} of {e} occur?"),
        ("(author|prepared|written|submitted|signed)s?( by)?", "Who wrote {d}?|Who is named as the author of {d}?"),
        ("(agency|company|organi[sz]ation|department|bureau|sponsor|manufacturer|supplier|vendor|client|customer)",
         "Which {l} is named in {d}?|What is the {l} in {d}?|What {l} does {d} concern?"),
        ("(tele)?phone( number)?|tel|fax", "What {l} number is given in {d}?|What is the {l} number in {d}?"),
        ("e-?mail( address)?", "What e-mail address is given in {d}?|At what e-mail address can they be reached, "
         "according to {d}?"),
    )
)  # fmt: skip
_FALLBACK = (
    "What was recorded as the {l} in {e}?", "What is given as the {l} in {d}?", "What is the {l} in {d}?",
    "Which {l} does {d} state?", "What {l} was reported for {e}?", "What does {d} list as the {l}?",
)  # fmt: skip
_FALLBACK_PLURAL = (
    "What were the {l} in {e}?", "What are the {l} in {d}?", "Which {l} does {d} state?", "What {l} are listed in {d}?",
)  # fmt: skip
_FALLBACK_NEGATIVE = ("What is entered for the {l} in {d}?", "What does {d} say under {l}?", "What is said about {l} in {e}?")


def _words(text: str) -> list[str]:
    return text.split()


def _bare(word: str) -> str:
    return re.sub(r"\(s\)|[(),.:#]", "", word).casefold()


def _is_label_word(word: str) -> bool:
    return all(part in _WORDS or part in _CONNECTORS for part in re.split(r"[/&]", _bare(word)) if part)


def is_label(text: str) -> bool:
    """Whether text before a colon reads like a label: short, capitalised, without the look of a sentence."""
    words = _words(text)
    if not words or len(words) > 7 or len(text) > 60 or not words[0][0].isalpha() or not words[0][0].isupper():
        return False
    if re.search(r"[.;?!\"“”]\s|[,;]$|https?$", text):
        return False
    small = [word for word in words if word[0].islower() and word not in _CONNECTORS]
    return not small or (len(words) <= 4 and all(_is_label_word(word) for word in small))


def split_label(text: str) -> int | None:
    """Where, in the text between two colons, the value ends and the next label begins. None if that cannot be told."""
    found = list(re.finditer(r"\S+", text))
    first: int | None = None
    known = False
    for i in range(len(found) - 1, max(-1, len(found) - 8), -1):
        word = found[i].group()
        last = i == len(found) - 1
        marked = word[-1] == ";" or (word[-1] == "," and (last or not _is_label_word(word)))
        abbreviation = not last and word.isupper() and len(word) <= 4
        if marked or re.search(r"\d", word) or not (_is_label_word(word) or abbreviation or (last and word[0] == "(")):
            break
        if word[0].isupper() and _is_label_word(word) and word.casefold() not in _CONNECTORS:
            here = bool(_known(plain(" ".join(w.group() for w in found[i:]))))
            first, known = (i, here or known) if here or not known or word[-1] == "," else (first, known)
    if first is None and found:  # a capitalised run behind a number, a unit or a mark
        run = len(found)
        while run and found[run - 1].group()[0].isupper() and not re.search(r"[\d,;)]", found[run - 1].group()):
            run -= 1
        before = found[run - 1].group() if run else ""
        if 0 < len(found) - run <= 3 and run and before[-1] in ",;)" or before.isdigit():
            first = run if run < len(found) else None
    return found[first].start() if first is not None else None


def _known(label: str) -> tuple[tuple[str, ...], str] | None:
    """The wordings of a label of the table, and the part of the label that they may name."""
    for pattern, templates in _QUESTIONS:
        if match := re.fullmatch(pattern, label):
            return templates, next((group for group in match.groups() if group), "")
    return None


def is_heading(line: str) -> bool:
    """Whether a line stands over others: short, capitalised, without a mark at its end."""
    words = _words(line)
    if not 1 <= len(words) <= 8 or line.rstrip()[-1] in ".,;:?!" or not words[0][0].isupper():
        return False
    return all(word[0].isupper() or word.casefold() in _CONNECTORS or not word[0].isalpha() for word in words)


def read_form(text: str, section: str = "") -> Form:
    """The fields and the prose of a text. ``section`` is the heading that holds where the text begins."""
    form = Form(section=section)
    lines = [(m.start(), m.end()) for m in re.finditer(r"[^\n]+", text) if m.group().strip()]
    i, run, numbered = 0, None, ""
    while i < len(lines):
        start, end = lines[i]
        last, fields, joined = i, [], False
        if i + 1 < len(lines) and _wraps_label(text[start:end], text[slice(*lines[i + 1])]):
            last, joined = i + 1, True
        pairs = _pairs(text, start, lines[last][1])
        if pairs:
            last = _continued(text, lines, last, pairs, joined)
            fields = [(label, _trim(text, *value)) for label, value in pairs]
        line = text[start:end]
        long = [v for _, v in fields if len(_words(text[slice(*v)])) > _LONGEST_VALUE and not _ITEMS.search(text, *v)]
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
        and _is_label_word(words[-1])
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
        if hit and hit.group(1).casefold() in _WORDS:  # a label without its colon: "Clear Visibility 10 Miles"
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
        elif not (text[high - 1].isspace() or line.strip()[0].islower() or line.strip()[0] == "("):
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
    return " ".join(w.lower() if all(re.fullmatch(r"[\W\d]*[A-Z]?[a-z().-]*", part) for part in w.split("/")) else w for w in label.split())


def split_field(text: str, item: Field) -> list[Field]:
    """The parts of a field that holds two ("Runway Length/Width: 3078 ft / 100 ft"), or the field itself."""
    label, (start, end) = item.label, item.value
    value = text[start:end]

    def part(name: str, match: re.Match[str], group: int) -> Field:
        return Field(name, (start + match.start(group), start + match.end(group)), item.lines, item.section, item.of)

    if re.fullmatch(r"(?i)age", label) and (m := re.match(r"(\d+),\s*(\w+)$", value)):
        return [part("Age", m, 1), part("Sex", m, 2)]
    if m := re.fullmatch(r"(.+?)(\w+) ?[/&,] ?(\w[\w ]*)", " " + label):
        before, one, two = m.group(1).strip(), m.group(2), m.group(3)
        if " of " in two:
            names = (f"{one} {two[two.index('of '):]}", two)
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


def field_candidates(text: str, item: Field, several: frozenset[tuple[str, str]]) -> list[Candidate | Rejection]:
    """Questions that a field answers. ``several`` holds the (section, label) pairs with different values."""
    found: list[Candidate | Rejection] = []
    for one in split_field(text, item):
        value = " ".join(text[slice(*one.value)].split())
        label = plain(one.label)
        if not value:
            found.append(Rejection("value empty", one.label))
        elif _PLACEHOLDER.fullmatch(value):
            found.append(Rejection("value is a placeholder", f"{one.label}: {value}"))
        elif re.search(r"(?i)\b(date|time)\b", label) and not re.search(r"\d", value):
            found.append(Rejection("value does not fit its label", f"{one.label}: {value}"))
        elif not re.search(r"\w", value) or label in ("note", "notes", "warning", "caution", "http", "https"):
            found.append(Rejection("label asks for nothing", one.label))
        elif (one.section, one.label) in several and not one.of:
            found.append(Rejection("label has several values in the document", one.label))
        elif items := list(_ITEMS.finditer(text[slice(*one.value)])):
            found.extend(_itemised(one, m) for m in items)
        else:
            found.append(Candidate("field", one.label, one.value, one.lines, _wordings(one, label, value), _rank(value)))
    return found


def _rank(value: str) -> int:
    return NEGATIVE if value.casefold() in ("none", "no", "yes") else 2 if re.search(r"\d", value) or len(value) > 12 else 3


def subject(section: str) -> str:
    """Whom a section is about: "Student Pilot Information" gives "the student pilot"; empty if not a person."""
    name = re.sub(r"(?i)\s+(information|data|details|summary|record|history)$", "", section)
    return f"the {name.casefold()}" if PERSON.search(name) and len(name.split()) <= 3 and "/" not in name else ""


def _wordings(one: Field, label: str, value: str) -> tuple[str, ...]:
    who = subject(one.section) or "the pilot"
    if known := _known(label):
        templates, group = known
        usable = (subject(one.section) or "{s}" not in templates[0]) and (one.of or "{o}" not in templates[0])
        if usable:
            filled = (t.replace("{s}", who).replace("{1}", group).replace("{o}", plain(one.of)) for t in templates)
            return tuple(t.replace("{l}", label) for t in filled)
    words = label.split()
    negative = value.casefold() in ("none", "no", "yes")
    plural = words[-1].endswith("s") and not words[-1].endswith(("ss", "us", "is"))
    chosen = _FALLBACK_NEGATIVE if negative else _FALLBACK_PLURAL if plural else _FALLBACK
    asked: tuple[str, ...] = ()
    adjective = _UNIT_ADJECTIVE.get(words[-1])
    if adjective and len(words) > 1 and re.match(r"-?\d", value):
        asked = (f"How {adjective} is the {' '.join(words[:-1])} in {{e}}?", f"How {adjective} is the {' '.join(words[:-1])} in {{d}}?")
    if subject(one.section) and not negative:
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
    templates = (
        f"How many {unit} of {what} did {who or 'the person'} in {{e}} have {way}?",
        f"What {what} ({way}) does {{d}} give for {who or 'the person'}?",
        f"How much {what} did {who or 'the person'} of {{t}} have {way}?",
    )
    return Candidate("field", f"{one.label} {match.group(3)}", (start, one.value[0] + match.end(2)), one.lines, templates, 2)
