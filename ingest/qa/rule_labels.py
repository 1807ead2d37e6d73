"""Words of forms: what labels are made of, and how a person asks for the value of a common label.

Only words, no reading of forms (see ``ingest.qa.rule_forms``). A label that is not here is asked for in a general way.
"""

from __future__ import annotations

import re


def words(text: str) -> frozenset[str]:
    """The words of a text, as a set."""
    return frozenset(text.split())


CONNECTORS = words("of from in at the and for to or since by on per with & / a an")
WORDS = words(
    "accident account action activity actual additional address age agency aircraft airport airspace altimeter "
    "altitude amateur amount approach approved area as at author bank basis birth budget building built business by "
    "capacity case category certificate certificated certified city class clearance clearing cloud code color colour "
    "company condition contact control cost count country county course crew currency customer damage data date day "
    "delivery department departure depth description designator destination dew diameter direction distance district "
    "division docket document does due duration e-mail edition elevation email end engine engines equivalent event "
    "exam expiration explosion extension facility fax fee file filed filing final fire first flight forecast form "
    "frequency from fuel gear gender grade gross gusts hearing height held hours id identification ifr in injuries "
    "inspection instrument internet interval invoice issue issued item job landing last latest latitude length level "
    "licence license light limit limits line location longitude lot lowest mail make manager manufacture "
    "manufacturer marital material max maximum mean medical method middle min minimum mode model month name "
    "nationality negotiated no number occupant occupants occupation occupied of office on operating operation "
    "operator operators order origin other owner page part passenger passengers patient performed period permit "
    "person phase phone pilot place plan point policy position postal power precipitation prepared present pressure "
    "price priority process product program project province publish purchase purpose quantity range rate rated "
    "rating reason record reference region registered registration release report reported requested response "
    "restraint result review revision role route run runway sample schedule score seat seats second section serial "
    "series service setting severity sex shift signature since site size slope source speed sponsor stage standard "
    "start state station status step street subject supplier surface swath system take-off takeoff target tax team "
    "tel telephone temperature term terms terrain test time title to total toxicology turbulence type under unit "
    "units update updated usage use used user value vehicle vendor version vessel vfr visibility voltage volume wage "
    "water weather web website weight width wind word work wt year zip zone"
)
EVENT = r"accident|incident|crash|collision|inspection|audit|meeting|hearing|trial|survey|outbreak|spill|mishap"
PEOPLE = (
    "pilot|co-pilot|copilot|instructor|owner|operator|applicant|patient|student|author|driver|"
    "captain|employee|attorney|counsel|lawyer|clerk|secretary|minister|irrigator|producer|grower|"
    "candidate|user|participant|judge|voter|contact|officer|passenger|inspector|customer|tenant|"
    "plaintiff|defendant|physician|teacher|engineer|crew|member|manager|director|investigator|"
    "investigators|witness|controller|mechanic|farmer|nurse|doctor|president"
)
PERSON = re.compile(rf"(?i)\b({PEOPLE})s?$")

# A label (regular expression, whole) and the ways to ask: {e} an event, {t} a thing, {d} the document, {l} the label,
# {1} what the expression's group holds, {s} the person whose section the label stands in, {o} the numbered item above.
_TABLE = r"""
age = How old was {s} in {e}? | What was the age of {s} in {e}? | What age is given for {s} in {d}?
(sex|gender) = What is the sex of {s} in {d}? | Was {s} in {e} a man or a woman?
(location|place) = Where did {e} take place? | In what place did {e} happen? | What is the location of {e}? | Where
    was {t} when the event happened? | What place is {d} about?
date( of (accident|incident|event|loss))? = On what date did {e} happen? | When did {e} take place? | What is the date
    of {e}?
time( of (accident|incident|event))? = At what time did {e} happen? |
    What time is recorded for {e}?
aircraft|vehicle|vessel = What {l} does {d} concern? | What type of {l} was {t}? | What was the type of {l} in {e}?
registration( number)? = What was the registration in {e}? | Which registration number is recorded for {e}? | What
    registration does {d} give?
(aircraft |vehicle )?damage = How badly was {t} damaged? | How much damage was there in {e}? | What was the extent of
    the {l} in {e}?
(total )?injuries = What injuries resulted from {e}? | What is the injury count for {e}? | Which {l} are recorded for
    {e}?
(.+) injuries = What {l} were there in {e}? | Which {l} does {d} record? | What is entered for {l} in {e}?
flight conducted under|conducted under = Under which rules was the flight of {t} conducted? | Which regulations
    applied to the flight in {e}? | Under what part was the flight in {e} conducted?
certificates? = What certificate did {s} in {e} hold? | Which certificate does {d} give for {s}? | What kind of
    certificate did {s} of {t} have?
(.+) ratings? = What {l} did {s} in {e} hold? | Which {l} did {s} of {t} have? | What is recorded as the {l} of {s} in
    {e}?
seat occupied = Which seat did {s} in {e} occupy? | In which seat was {s} of {t} sitting? | Where was {s} seated in
    {e}?
restraint used = What restraint did {s} in {e} use? | How was {s} of {t} strapped in? | Which restraints were used by
    {s} in {e}?
medical certification = What medical certification did {s} in {e} have? | What class of medical certificate did {s} of
    {t} hold? | Which medical certification does {d} give for {s}?
last (.*)exam = When was the {l} of {s} in {e}? | What is the date of the {l} of {s} in {d}? | When did {s} of {t}
    have the {l}?
last flight review or equivalent = When did {s} in {e} have the last flight review? | What is the date of the last
    flight review of {s} of {t}?
airworthiness certificate = What kind of airworthiness certificate did {t} have? | Which airworthiness certificate was
    {t} flying under? | What is the airworthiness certificate in {d}?
serial number = What is the serial number of {t}? | Which serial number does {t} have? | What serial number is
    recorded in {d}?
(aircraft |vehicle )?make = Who made {t}? | What make is {t}? | What is the {l} in {e}?
model/series|model|series = What model was involved in {e}? | Which model is named in {d}? | What was the model in
    {e}?
aircraft category = What category of aircraft was {t}? | What is the aircraft category in {e}?
landing gear type = What kind of landing gear did {t} have? | What type of landing gear was fitted in {e}? | How was
    the landing gear of {t} arranged?
seats = How many seats did {t} have? | What number of seats is given for {t}? | How many seats are recorded in {d}?
engines = What engines did {t} have? | Which engines are recorded for {t}?
number of engines = How many engines did {t} have? | What number of engines is given for {t}?
engine type = What type of engine did {t} have? | What kind of engine powered {t}?
people (killed|\w+ hurt) = How many people were {1} in {e}?
crew members (killed|\w+ hurt) = How many crew members were {1} in {e}? | How many of the crew of {t} were {1}?
passengers (killed|\w+ hurt) = How many passengers were {1} in {e}? | How many of the passengers of {t} were {1}?
people on the ground (killed|\w+ hurt) = How many people on the ground were {1} in {e}?
engine manufacturer = Who made the engine of {t}? | Which company built the engine in {e}? | Who was the engine
    manufacturer of {t}?
engine model/series|engine model = Which engine model powered {t}? | What engine model was fitted to {t}? | Which
    engine model did {t} have?
rated power = How powerful was the engine of {t}? | What was the rated power of {t}? | What power is the engine in {e}
    rated at?
certified max gross wt = How heavy may {t} be at most? | What is the certified maximum gross weight of {t}? | What was
    the maximum gross weight in {e}?
date of last inspection = When was {t} last inspected? | On what date was the last inspection of {t}? | When was the
    last inspection before {e}?
type of last inspection = What type of inspection did {t} have last? | What kind was the last inspection of {t}? |
    Which inspection had {t} undergone last?
time since last inspection = How much time had passed since the last inspection of {t}? | How many hours since its
    last inspection did {t} have?
airframe total time = How many hours did the airframe of {t} have? | What was the total time on the airframe of {t}? |
    How long had the airframe in {e} been in use?
elt = What is said about the ELT of {t}? | What was the state of the ELT
    in {e}?
registered owner|owner = Who owned {t}? | Who was the registered owner of {t}? | To whom was {t} registered? | Who is
    listed as the owner in {d}?
operator = Who operated {t}? | Who was the operator in {e}? | By whom was {t} operated?
operator does business as = Under what name does the operator of {t} do business? | What is the business name of the
    operator in {e}?
operator designator code = What is the designator code of the operator of {t}? | Which operator designator code is in
    {d}?
operating certificates held = Which operating certificates did the operator of {t} hold? | What operating certificates
    were held in {e}?
conditions at accident site = What were the conditions at the site of {e}? | What flying conditions were there at the
    scene of {e}? | Which conditions prevailed where {e} happened?
condition of light = What was the light like at the time of {e}? | What light condition is given for {e}? | Did {e}
    happen by day or in the dark?
visibility = What was the visibility at the time of {e}? | How good was the
    visibility in {e}?
lowest cloud condition = What was the lowest cloud condition at the time of {e}? | What clouds were lowest when {e}
    happened? | What cloud condition does {d} give?
lowest ceiling = What was the lowest ceiling at the time of {e}? | How low was the ceiling in {e}? | What ceiling was
    reported for {e}?
wind speed = How strong was the wind at the time of {e}? | What was the wind speed in {e}? | How fast was the wind
    blowing when {e} happened?
wind direction = From what direction was the wind in {e}? | What was the wind direction at the time of {e}? | Where
    was the wind coming from when {e} happened?
temperature = What was the temperature at the time of {e}? | What temperature was
    observed for {e}?
dew point = What was the dew point at the time of {e}? | Which dew point was observed for {e}? | What dew point does
    {d} give?
altimeter setting = What was the altimeter setting in {e}? | What altimeter setting was reported for {e}? | Which
    altimeter setting applied when {e} happened?
precipitation and obscuration = What is recorded on precipitation and obscuration for {e}? | What does {d} record under
    precipitation and obscuration?
observation facility = Which facility observed the weather for {e}? | Where was the weather observed for {e}? | What
    observation facility is named in {d}?
observation time = At what time was the weather observed for {e}? | When was the weather observation for {e} made? |
    What observation time is in {d}?
distance from (?:accident |incident )?(.+) = How far from the {1} of {e} was the weather observed? | At what distance
    from the {1} of {e} was the observation made?
direction from (?:accident |incident )?(.+) = In which direction from the {1} of {e} was the weather observed?
departure point|origin = Where did the flight of {t} depart from? | From where had {t} taken off? | What was the
    departure point in {e}? | Where did the trip in {e} begin?
destination = Where was {t} going? | What was the destination in {e}? | Where was the flight in {e} headed? | To which
    place was {t} flying?
departure time = At what time did {t} depart? | When did the flight in {e} leave? | What was the departure time in
    {e}?
type of flight plan filed = What type of flight plan was filed for {t}? | Which kind of flight plan was filed in {e}?
    | Under what flight plan was {t} flying?
type of clearance = What clearance did {t} have? | What type of clearance was given in {e}?
airport = At which airport did {e} happen? | What airport is named in {d}? | Which airport was {t} using?
airport elevation = How high is the airport in {e}? | What is the elevation of the airport in {e}? | At what elevation
    lies the airport of {e}?
runway used = Which runway was used in {e}? | What runway did {t} use? | On which runway was {t}?
runway length = How long is the runway in {e}? | What is the length of the runway used by {t}? | What runway length is
    given for {e}?
runway width = How wide is the runway in {e}? | What is the width of the runway used by {t}?
runway surface type = What was the runway in {e} made of? | What surface did the runway in {e} have? | What type of
    surface was the runway that {t} used?
runway surface condition = What condition was the runway in at the time of {e}? | What was the state of the runway
    surface in {e}?
vfr approach/landing|ifr approach|vfr approach = What kind of {l} did {t} make? | What {l} was flown in {e}? | Which
    {l} does {d} record?
aircraft fire = What is recorded about an aircraft fire in {e}? | What aircraft fire does {d} note?
aircraft explosion = What is recorded about an explosion in {e}?
latitude = At what latitude did {e} happen? | What is the latitude of the site of {e}?
longitude = At what longitude did {e} happen? | What is the longitude of the site of {e}?
investigator in charge.* = Who led the investigation of {e}? | Who
    investigated {e}? | Which investigator handled {e}?
report date = When was the report on {e} issued? | What is the date of the report on {e}? | On what date was the
    report about {t} issued?
additional participating persons = Who else took part in the investigation of {e}? | Which other persons participated
    in the investigation of {e}? | Who helped to investigate {e}?
(occurrence|event|finding|step|phase|item) ?#? ?(\d+) = What was {l} in {e}? | What is listed as {l} in {d}? | Which
    event is {l} in {e}?
phase of (operation|flight) = In which phase of {1} did {o} happen in {e}? | What was the phase of {1} for {o} in {e}?
    | During what phase of {1} did {o} of {e} occur?
(section|unit|part|chapter|quiz|exhibit|appendix|module|lesson|figure|table|step|annex) ?#?([\dA-Z]{1,4}) = What is
    the title of {l} in {d}? | What is {l} of {d} about? | What does {l} in {d} cover?
date (filed|issued|signed|published|received|submitted|adopted|revised|approved|effective) = When was {d} {1}? | On
    what date was {d} {1}? | What is the {l} of {d}?
(author|prepared|written|submitted|signed)s?( by)? = Who wrote {d}? | Who is named as the author of {d}?
(agency|company|organi[sz]ation|department|bureau|sponsor|manufacturer|supplier|vendor|client|customer) = Which {l} is
    named in {d}? | What is the {l} in {d}? | What {l} does {d} concern?
(tele)?phone( number)?|tel|fax = What {l} number is given in {d}? | What is the {l} number in {d}?
e-?mail( address)? = What e-mail address is given in {d}? | At what e-mail address can they be reached, according to
    {d}?
"""


def _read(table: str) -> tuple[tuple[re.Pattern[str], tuple[str, ...]], ...]:
    """The rows of a table, a longer one going on in lines that begin with spaces: a label's pattern, its wordings."""
    rows = (row.partition(" = ") for row in re.sub(r"\n +", " ", table.strip()).split("\n"))
    return tuple((re.compile(label, re.IGNORECASE), tuple(asked.split(" | "))) for label, _, asked in rows)


QUESTIONS = _read(_TABLE)
GENERAL = (
    "What was recorded as the {l} in {e}?",
    "What is given as the {l} in {d}?",
    "What is the {l} in {d}?",
    "Which {l} does {d} state?",
    "What {l} was reported for {e}?",
    "What does {d} list as the {l}?",
)
GENERAL_PLURAL = (
    "What were the {l} in {e}?",
    "What are the {l} in {d}?",
    "Which {l} does {d} state?",
    "What {l} are listed in {d}?",
)
_YES_NO = r"""
second pilot present = Was a second pilot present in {e}? | Was there a second pilot on board {t}? | Did {t} have a
    second pilot on board?
toxicology performed = Was toxicology performed on {s} after {e}? | Was {s} of {t} tested for toxicology?
amateur built = Was {t} amateur built? | Is {t} a home-built machine?
stretcher|.* injuries = Were there {l} in {e}?
(aircraft|vehicle|vessel|building) (fire|explosion) = Was there any {l} in {e}? | Is any {l} recorded for {e}?
(.* )?damage = Was there any {l} in {e}?
type of flight plan filed = Was a flight plan filed for {t}? | Was any flight plan filed in {e}?
type of clearance = Did {t} have any clearance? | Was any clearance given in {e}?
(vfr|ifr) approach(/landing)? = Is any {l} recorded for {e}? | Does {d} record any {l}?
(other aircraft|instrument|instructor|airplane) ratings? = Did {s} in {e} hold any {l}? | Did {s} of {t} have any {l}?
certificates? = Did {s} in {e} hold any certificate?
medical certification = Did {s} in {e} have any medical certification?
operating certificates held = Did the operator of {t} hold any operating certificates?
lowest ceiling = Was any ceiling reported at the time of {e}? | Was there any ceiling in {e}?
"""
HOW = {"length": "long", "width": "wide", "elevation": "high", "height": "high", "depth": "deep", "age": "old"}
YES_NO = _read(_YES_NO)
"""How to ask for what a field answers with Yes, No or None."""
