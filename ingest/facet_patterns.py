"""Places and organisations in a text, by what marks them in writing: precision before recall.

Knows the United States' states, the names of countries in English, and the words that begin or end the name of an
organisation. Every pattern is bounded, so time is linear in the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_STATE_LIST = """Alabama AL|Alaska AK|Arizona AZ|Arkansas AR|California CA|Colorado CO|Connecticut CT|Delaware DE
Florida FL|Georgia GA|Hawaii HI|Idaho ID|Illinois IL|Indiana IN|Iowa IA|Kansas KS|Kentucky KY|Louisiana LA|Maine ME
Maryland MD|Massachusetts MA|Michigan MI|Minnesota MN|Mississippi MS|Missouri MO|Montana MT|Nebraska NE|Nevada NV
New Hampshire NH|New Jersey NJ|New Mexico NM|New York NY|North Carolina NC|North Dakota ND|Ohio OH|Oklahoma OK
Oregon OR|Pennsylvania PA|Rhode Island RI|South Carolina SC|South Dakota SD|Tennessee TN|Texas TX|Utah UT|Vermont VT
Virginia VA|Washington WA|West Virginia WV|Wisconsin WI|Wyoming WY|District of Columbia DC|Puerto Rico PR|Guam GU"""
_STATES = dict(entry.rsplit(" ", 1) for entry in _STATE_LIST.replace("\n", "|").split("|"))
_COUNTRY_LIST = """Afghanistan|Albania|Algeria|Andorra|Angola|Antigua and Barbuda|Argentina|Armenia|Australia|Austria
Azerbaijan|Bahamas|Bahrain|Bangladesh|Barbados|Belarus|Belgium|Belize|Benin|Bermuda|Bhutan|Bolivia
Bosnia and Herzegovina|Botswana|Brazil|Brunei|Bulgaria|Burkina Faso|Burundi|Cambodia|Cameroon|Canada|Cape Verde
Central African Republic|Chile|China|Colombia|Comoros|Costa Rica|Croatia|Cuba|Cyprus|Czech Republic|Czechia
Democratic Republic of the Congo|Denmark|Djibouti|Dominican Republic|Ecuador|Egypt|El Salvador|Equatorial Guinea|Eritrea
Estonia|Eswatini|Ethiopia|Fiji|Finland|France|Gabon|Gambia|Germany|Ghana|Greece|Grenada|Guatemala|Guinea-Bissau|Guyana
Haiti|Honduras|Hong Kong|Hungary|Iceland|India|Indonesia|Iran|Iraq|Ireland|Israel|Italy|Ivory Coast|Jamaica|Japan
Kazakhstan|Kenya|Kiribati|Kosovo|Kuwait|Kyrgyzstan|Laos|Latvia|Lebanon|Lesotho|Liberia|Libya|Liechtenstein|Lithuania
Luxembourg|Macau|Madagascar|Malawi|Malaysia|Maldives|Malta|Mauritania|Mauritius|Mexico|Micronesia|Moldova|Monaco
Mongolia|Montenegro|Morocco|Mozambique|Myanmar|Namibia|Nauru|Nepal|Netherlands|New Zealand|Nicaragua|Nigeria
North Korea|North Macedonia|Norway|Oman|Pakistan|Palau|Panama|Papua New Guinea|Paraguay|Peru|Philippines|Poland
Portugal|Qatar|Romania|Russia|Rwanda|Saint Kitts and Nevis|Saint Lucia|Saint Vincent and the Grenadines|Samoa
San Marino|Saudi Arabia|Senegal|Serbia|Seychelles|Sierra Leone|Singapore|Slovakia|Slovenia|Solomon Islands|Somalia
South Africa|South Korea|South Sudan|Spain|Sri Lanka|St Kitts and Nevis|Sudan|Suriname|Sweden|Switzerland|Syria|Taiwan
Tajikistan|Tanzania|Thailand|Timor-Leste|Trinidad and Tobago|Tunisia|Turkmenistan|Tuvalu|Uganda|Ukraine
United Arab Emirates|United Kingdom|United States|Uruguay|Uzbekistan|Vanuatu|Vatican City|Venezuela|Vietnam|Yemen
Zambia|Zimbabwe"""
_COUNTRIES = {name.casefold(): name for name in _COUNTRY_LIST.replace("\n", "|").split("|")}
# Also a person's or another place's name: countries only after a comma, as in "Amman, Jordan".
_DOUBTFUL = {"chad": "Chad", "georgia": "Georgia", "guinea": "Guinea", "jordan": "Jordan", "mali": "Mali",
             "niger": "Niger", "togo": "Togo", "turkey": "Turkey", "dominica": "Dominica"}  # fmt: skip


def _any(names: object) -> str:
    ordered = sorted(map(str, names), key=len, reverse=True)  # type: ignore[call-overload]
    return "|".join(re.escape(name).replace(r"\ ", r"\s") for name in ordered)


_WORD = r"(?:St\.|Ft\.|Mt\.|[A-Z][\w'’-]{1,24})"
_CITY = rf"(?P<city>{_WORD}(?:[ ](?:de[ ]|la[ ]|of[ ])?{_WORD}){{0,2}})"
_CITY_STATE = re.compile(
    rf"\b{_CITY},[ \n](?:(?P<code>{_any(_STATES.values())})|(?P<state>{_any(_STATES)}))\b(?P<zip>\s\d{{5}}\b)?"
)
_CITY_COUNTRY = re.compile(rf"\b{_CITY},[ \n](?i:(?P<country>{_any([*_COUNTRIES, *_DOUBTFUL])}))\b(?!,|[ ]and\b)")
# States stand first, so that "New Mexico" is not Mexico.
_COUNTRY = re.compile(rf"\b(?:{_any(_STATES)}|(?P<country>{_any(_COUNTRIES.values())}))\b")
_LABELLED = re.compile(
    r"^(?:Location|Place|Site|City|Venue|Ort|Lieu|Lugar|Luogo)\s?[:|]\s{0,3}(?P<place>[A-Z][^\n|:;]{1,59})"
    r"(?=\s*(?:$|[|;]))",
    re.MULTILINE,
)
_DEGREES = {"MD", "PA", "MA", "MS", "DC"}
_WORDS_TOO = {"OR", "IN", "ME", "OK", "HI", "OH", "PA", "MA", "AL", "LA", "DE", "ID", "CO"}
_FIRST_WORDS = {
        "In", "At", "Near", "From", "The", "Of", "On", "To", "By", "For", "And", "Both", "Between", "Since", "Our",
        "While", "With", "As", "A", "An", "Location", "City", "This", "That", "If", "When", "Its",
        "Greater", "Downtown",
        "IN", "AT", "NEAR", "FROM", "THE", "OF", "ON", "TO", "BY", "FOR", "AND",
    }  # fmt: skip
_STREETS = {"Street", "Drive", "Avenue", "Road", "Boulevard", "Lane", "Way", "Suite", "Floor", "Parkway", "Highway",
            "Plaza", "Square", "Court", "Circle", "Ave", "Blvd", "Rd", "Dr"}  # fmt: skip
_REGIONS = {"Asia", "Europe", "Africa", "America", "Americas", "Pacific", "Union", "EU", "East", "Oceania", "Mexico"}
_SAID = re.compile(r"(?:\b(?:in|at|near|of|from|to)|:)\s$")


def _name(words: str) -> str:
    """A name on one line, without the words before it that only begin a sentence; "" if nothing is left."""
    parts = words.split()
    while parts and (parts[0] in _FIRST_WORDS or parts[0].islower()):
        parts = parts[1:]
    return " ".join(parts)


def _city(words: str) -> str:
    """The name of a city, without the street before it; "" for what is none."""
    parts = words.split()
    before = [n for n, part in enumerate(parts) if part.endswith(("'s", "’s")) or part in _STREETS]
    city = _name(" ".join(parts[max(before, default=-1) + 1 :]))
    other = (city in _STATES and city not in ("New York", "Washington")) or city.casefold() in _COUNTRIES
    return "" if not city or other or city.split()[-1] in _REGIONS else city


def places(text: str) -> list[str]:
    """Places that are written so that they can be nothing else, each once, in the order in which they stand.

    "City, ST" of the United States (also "City, State", given as "City, ST"), "City, Country", the name of a country,
    and what a label such as "Location:" gives up to the end of its line.
    """
    found: list[tuple[int, str]] = []
    for m in _CITY_STATE.finditer(text):
        code = m["code"] or _STATES[" ".join(m["state"].split())]
        city = _city(m["city"])
        # A person may have a state or a degree after the name, but not "in" before it or a postal code behind.
        sure = bool(m["zip"]) or bool(_SAID.search(text, max(m.start() - 8, 0), m.start()))
        doubtful = (
            bool(m["state"])
            or (code in _DEGREES and not city.casefold().startswith("washington"))
            or (city.isupper() and code in _WORDS_TOO)
        )
        if city and (sure or not doubtful):
            found.append((m.start(), f"{city}, {code}"))
    for m in _CITY_COUNTRY.finditer(text):
        country = _country(m["country"])
        if (city := _city(m["city"])) and country != "Georgia":  # the state is likelier, and is found above
            found += [(m.start(), f"{city}, {country}"), (m.start(), country)]
    found += [(m.start(), _country(m["country"])) for m in _COUNTRY.finditer(text) if m["country"]]
    for m in _LABELLED.finditer(text):
        place = " ".join(m["place"].split())
        known = re.search(r"\d", place) or _CITY_STATE.search(place) or _CITY_COUNTRY.search(place)
        if len(place.split()) <= 6 and not known:
            found.append((m.start(), place))
    return list(dict.fromkeys(place for _, place in sorted(found, key=lambda f: f[0])))


def _country(name: str) -> str:
    folded = " ".join(name.split()).casefold()
    return _COUNTRIES.get(folded) or _DOUBTFUL[folded]


_PART = r"(?:(?:[A-Z]\.){1,4}|[A-Z][\w'’-]{0,30}(?:&[A-Z]\w{0,20})?)"
_JOINT = r"(?:[ ]|[ ]&[ ]|[ ]of[ ](?:the[ ])?|[ ]and[ ]|[ ]for[ ]|,[ ](?=\w{1,30},?[ ]and[ ]))"
_COMPANY = re.compile(
    rf"\b(?P<name>{_PART}(?:[ ](?:&[ ])?{_PART}){{0,6}}),?[ ]"
    r"(?P<suffix>Inc\b\.?|INC\b\.?|Corp\b\.?|CORP\b\.?|Corporation\b|CORPORATION\b|Ltd\b\.?|LTD\b\.?|Limited\b|LLC\b"
    r"|L\.L\.C\.|LLP\b|L\.P\.|plc\b|PLC\b|GmbH\b|AG\b|S\.A\.|S\.p\.A\.|N\.V\.|B\.V\.|Co\.(?![ ]\w)|Company\b"
    r"|Pty[ ]Ltd\b\.?)"
)
_BODY = re.compile(
    rf"\b(?P<name>(?:{_PART}[ ]){{0,3}}(?:University|Institute|Institutes|Department|Ministry|Agency|Board|Commission|"
    rf"Bureau|Academy|Court)[ ]of[ ](?:the[ ])?{_PART}(?:{_JOINT}{_PART}){{0,4}})"
)
_NAMED_BODY = re.compile(
    rf"\b(?P<name>{_PART}(?:[ ](?:(?:and|&|of)[ ])?{_PART}){{0,5}}[ ](?P<body>University|Hospital|Board|Agency|"
    r"Commission|Administration|Association|Foundation|Authority|Institute|College))\b(?![ ]of\b)"
)
_GENERIC = {
        "Emerging", "Growth", "Outstanding", "Independent", "Acquiring", "Related", "Smaller", "Reporting",
        "Registered",
        "Parent", "Holding", "Operating", "Insurance", "Public", "Private", "Limited", "Subsidiary", "Registrant",
        "Management", "Supervisory", "Executive", "Advisory", "Audit", "Governing", "State", "Local", "General",
        "National", "Federal", "Business", "Regional", "Medical", "Community", "Teaching", "Regulatory", "Trade",
        "Listed", "Investment", "Stock", "Company", "Corporation", "New", "Other", "Any", "Each", "Such", "No",
        "Associated", "Affiliated", "Surviving", "Successor", "Parent's", "Host", "Shell", "Group", "Our",
        "Government", "European", "Certificate", "Articles", "City", "County", "School", "District", "Full",
        "Date", "Name", "Contract", "Project", "Program", "System", "Data", "Risk", "Safety", "Security",
    }  # fmt: skip
_ANY_COMPANYS = re.compile(r"\bBoard of (?:the )?(?:Directors|Trustees|Governors|Managers)")
_NEEDS_TWO = {"Board", "Agency", "Commission", "Administration", "Authority", "Association", "Institute", "Foundation"}


def organisations(text: str) -> list[str]:
    """Names of companies (by "Inc.", "GmbH", …) and public bodies ("Department of …", "… Safety Board"), each once,
    in the order in which they stand; of names that overlap, the longest."""
    found = sorted(_organisations(text), key=lambda f: (f[0] - f[1], f[0]))
    kept: list[tuple[int, int, str]] = []
    taken: set[int] = set()
    for start, end, name in found:
        if taken.isdisjoint(range(start, end)):
            taken.update(range(start, end))
            kept.append((start, end, name))
    return list(dict.fromkeys(name for _, _, name in sorted(kept)))


def _organisations(text: str) -> Iterator[tuple[int, int, str]]:
    """(start, end, name); they may overlap."""
    for m in _COMPANY.finditer(text):
        words = _name(m["name"]).split()
        specific = [word for word in words if word not in _GENERIC and len(word) > 1]
        if specific and (m["suffix"] != "Company" or len(words) == len(specific)):
            yield m.start(), m.end(), " ".join([*words, m["suffix"]])
    for m in _BODY.finditer(text):
        if (name := _name(m["name"])) and not _ANY_COMPANYS.search(name):
            yield m.start(), m.end(), name
    for m in _NAMED_BODY.finditer(text):
        words = _name(m["name"]).split()
        specific = [word for word in words[:-1] if word not in _GENERIC and len(word) > 1]
        if specific and (m["body"] not in _NEEDS_TWO or len(words) > 2):
            yield m.start(), m.end(), " ".join(words)
