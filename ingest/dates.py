"""Dates in a text as ISO strings, to the day, month or year that is written; and the date of a document.

Knows month names in English, German, French, Spanish and Italian. Numbers alone ("12/06/2007") are a date only where
the order of day and month is certain: by a part over 12, by the language, or by other dates of the same text.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable, Iterator, Mapping

_MONTH_NAMES = """
january janvier januar enero gennaio jänner jan janv ene gen
february février fevrier februar febrero febbraio feb févr
march mars märz marzo mar mär
april avril abril aprile apr avr abr
may mai mayo maggio mag
june juin juni junio giugno jun giu
july juillet juli julio luglio jul juil lug
august août aout agosto aug ago
september septembre septiembre settembre sep sept set
october octobre oktober octubre ottobre oct okt ott
november novembre noviembre nov
december décembre decembre dezember diciembre dicembre dec dez déc dic
"""
_MONTHS = {name: number for number, line in enumerate(_MONTH_NAMES.strip().splitlines(), 1) for name in line.split()}
_NAME = "(?P<name>" + "|".join(sorted(_MONTHS, key=len, reverse=True)) + r")\b\.?"
_YEAR = r"(?P<year>(?:1[89]|20)\d\d)(?![\d%]|[.,]\d)"
_ANY_YEAR = re.compile(r"(?<!\d)(?:1[89]|20)\d\d(?!\d)")
_TO = r"(?:\s?[-–]\s?\d{1,2}(?:st|nd|rd|th)?)?"
_WRITTEN = re.compile(
    rf"""\b(?:
        (?P<us>{_NAME}\s(?P<day>\d{{1,2}})(?:st|nd|rd|th)?{_TO},?\s{_YEAR})
      | (?P<eu>\b(?P<day2>\d{{1,2}})(?:st|nd|rd|th|er|[.º°])?{_TO}\s(?:of\s|de\s)?{_NAME.replace("name", "name2")},?\s
        (?:del?\s)?{_YEAR.replace("year", "year2")})
      | (?P<month>{_NAME.replace("name", "name3")},?\s(?:of\s|del?\s)?{_YEAR.replace("year", "year3")})
    )""",
    re.VERBOSE | re.IGNORECASE,
)
_ISO = re.compile(r"(?<![\d/.-])((?:1[89]|20)\d\d)([-/.])(\d\d)\2(\d\d)(?![\d/]|[.-]\d)")
_NUMBERS = re.compile(r"(?<![\d/.-])(\d{1,2})([/.-])(\d{1,2})\2((?:1[89]|20)\d\d)(?![\d/]|[.-]\d)")
_CUED_YEAR = re.compile(
    rf"""(?:
        \b(?:fiscal|calendar|financial|model|tax|school|academic|crop|[Ff]iscal\s[Yy]ear|FY|[Yy]ear|[Yy]ears\s[Ee]nded)\s?
      | \b(?:[Ii]n|[Ss]ince|[Dd]uring|[Uu]ntil|[Jj]ahre?|[Aa]nn[ée]e|[Aa]ño|[Aa]nno|[Ee]n|[Nn]el|[Ss]eit)\s
      | \bQ[1-4]\s | © \s? | \([Cc]\)\s? | \|\s(?=\d{{4}}:\s)
    ){_YEAR}(?!\s?(?:[-–]?\s?(?:feet|foot|ft|miles?|km|m|kg|lbs?|pounds|hours?|units?|people|dollars|employees)\b|[-/]\d))
    """,
    re.VERBOSE,
)
_LOWER_CASE_WORDS = {"may", "march", "mar", "mag", "set", "gen", "jan", "sep", "dec", "dic", "ago", "lug", "ene", "apr"}
_YEAR_FIRST = {"zh", "ja", "ko", "hu", "lt", "mn"}


def _iso(year: str, month: int, day: str = "") -> str:
    """The date if there is such a day, else ""."""
    try:
        date = datetime.date(int(year), month, int(day or 1))
    except ValueError:
        return ""
    return date.isoformat() if day else date.isoformat()[:7]


def day_first(texts: Iterable[str], language: str = "") -> bool | None:
    """Whether "06/12/2007" has the day first: by dates of these texts that can be read one way only, else by the
    language (of English, by its region: "en-US", "en-GB"); None if neither tells."""
    votes = {int(m[1]) > 12 for t in texts for m in _NUMBERS.finditer(t) if (int(m[1]) > 12) != (int(m[3]) > 12)}
    if votes:
        return votes.pop() if len(votes) == 1 else None
    base, _, region = language.partition("-")
    if base == "en":
        return {"": None, "us": False, "ph": False}.get(region.casefold(), True)
    return None if not base or base in _YEAR_FIRST else True


def _matches(text: str, order: bool | None) -> Iterator[tuple[int, int, str]]:
    """(start, end, ISO date) of each date, as they are found."""
    if not _ANY_YEAR.search(text):  # most texts have none, and the patterns take long to find that out
        return
    for m in _WRITTEN.finditer(text):
        if m["us"]:
            name, year, day = m["name"], m["year"], m["day"]
        elif m["eu"]:
            name, year, day = m["name2"], m["year2"], m["day2"]
        else:
            name, year, day = m["name3"], m["year3"], ""
        if name in _LOWER_CASE_WORDS and not day:  # "which may 2018 …" is no date
            continue
        yield m.start(), m.end(), _iso(year, _MONTHS[name.casefold()], day)
    for m in _ISO.finditer(text):
        yield m.start(), m.end(), _iso(m[1], int(m[3]), m[4])
    for m in _NUMBERS.finditer(text):
        a, b = int(m[1]), int(m[3])
        first = True if a > 12 else False if b > 12 else order
        if first is None and a != b:
            continue
        yield m.start(), m.end(), _iso(m[4], b if first else a, str(a if first else b))


def dates(text: str, order: bool | None = None) -> list[str]:
    """The dates of a text, ISO ("2023-06-30", "2023-06", "2023"), each once, in the order in which they stand.

    ``order`` is what ``day_first`` gave. A lone year counts only after a word that makes it one ("fiscal 2022",
    "in 2022", "© 2022") or as a table's column.
    """
    found = [(start, iso) for start, _, iso in _matches(text, order) if iso]
    found += [(m.start(), m["year"]) for m in _CUED_YEAR.finditer(text)]
    return list(dict.fromkeys(iso for _, iso in sorted(found)))


_STATED = re.compile(
    r"""(?:
        \b(?:last\s)?(?:revised|updated|revision\sdate|revision|rev\.)
      | (?:^|[|(;])\s{0,3}(?:amended|issued|published|publication\sdate|release\sdate|effective(?:\sdate)?
          |version\sdate|date\sof\s(?:this\s)?(?:report|issue|publication)|(?:report|issue|document|print)\sdate
          |dated?|stand|datum|fecha|data|version\sdu|édition\sdu|mise\sà\sjour)
    )\b\s{0,2}(?:\([^()\n]{1,60}\)\s{0,2})?(?:[:=|]|\b(?:on|of|vom|am|du|le|del)\b)?\s{0,3}(?=(?P<rest>[^\n|]{1,40}))""",
    re.VERBOSE | re.IGNORECASE | re.MULTILINE,
)
_EVENT = re.compile(
    r"""(?:^|\|)\s{0,3}(?:date\s?(?:&|and)\s?time|(?:for\sthe\s)?(?:fiscal\s|financial\s)?(?:year|(?:quarterly\s)?period
    |quarter)\send(?:ed|ing)|event\sdate|decision\sdate|filed|hearing\sdate)\s{0,2}:?\s{0,3}(?=(?P<rest>[^\n|]{1,40}))""",
    re.VERBOSE | re.IGNORECASE | re.MULTILINE,
)
_MONTH_AND_YEAR = re.compile(r"^(0?[1-9]|1[0-2])/((?:(?:19|20)\d\d)|\d\d)(?![\d/])")
_PDF_DATE = re.compile(r"^(?:D:)?(\d{4})(\d\d)(\d\d)(?:\d{2,6})?(?:Z|[+-]|$|\D)")
_STATED_KEYS = ("date", "issued", "published", "publicationdate", "dcdate", "dctermsissued", "modified")
_MADE_KEYS = ("creationdate", "created", "xmpcreatedate", "createdate", "moddate", "modifydate", "xmpmodifydate")
_WEEKDAY = re.compile(r"^(?:[A-Z][a-z]{2,6}day|Mon|Tues?|Wed|Thu(?:rs)?|Fri|Sat|Sun)[.,]?\s+(?=[A-Z\d])")
_HEAD = 4000
_HEAD_LINES = 25


def document_date(metadata: Mapping[str, str], first_page: str, order: bool | None = None) -> str:
    """The date of a document, ISO, or "" if none is found: what tells which of two versions is newer.

    In this order: a date that the first page states as its own ("Revised May 2018", "Date of report: …"; the latest
    of several), a line that is nothing but a date, a date stated in the metadata, the end of the period or the time of
    the event that it reports on, when the file was made. ``order`` is what ``day_first`` gave.
    """
    head = first_page[:_HEAD]
    stated = [iso for m in _STATED.finditer(head) if (iso := _leading(m["rest"], order))]
    alone = [iso for line in head.split("\n")[:_HEAD_LINES] if len(line) < 60 and (iso := _only(line, order))]
    known = {re.sub(r"[^a-z]", "", key.casefold()): value for key, value in metadata.items()}
    event = [iso for m in _EVENT.finditer(head) if (iso := _leading(m["rest"], order))]
    found = (
        max(stated, default=""),
        *alone[:1],
        *(_metadata_date(known.get(key, "")) for key in _STATED_KEYS),
        *event[:1],
        *(_metadata_date(known.get(key, "")) for key in _MADE_KEYS),
    )
    return next((iso for iso in found if iso), "")


def _leading(text: str, order: bool | None) -> str:
    """The date with which a text begins (after a weekday at most), or ""."""
    text = _WEEKDAY.sub("", text.strip())
    if m := _MONTH_AND_YEAR.match(text):
        return _iso(m[2] if len(m[2]) == 4 else ("20" if int(m[2]) < 70 else "19") + m[2], int(m[1]))
    starts = [(start, -end, iso) for start, end, iso in _matches(text, order) if iso and start == 0]
    return min(starts)[2] if starts else ""


def _only(line: str, order: bool | None) -> str:
    """The date of a line that holds nothing else but a weekday or a time, or ""."""
    found = sorted((start, -end, iso) for start, end, iso in _matches(line, order) if iso)
    if not found:
        return ""
    start, end, iso = found[0][0], -found[0][1], found[0][2]
    before = line[:start].strip(" ,.-–()")
    after = line[end:].strip(" ,.-–()")
    weekday = not before or (
        re.fullmatch(r"[A-Za-zéäöü]{3,10}", before) is not None and before.endswith(("day", "tag"))
    )
    return iso if weekday and re.fullmatch(r"(?:\d{1,2}:\d\d\s?(?:[AaPp]\.?[Mm]\.?)?)?", after) else ""


def _metadata_date(value: str) -> str:
    value = value.strip()
    if m := _PDF_DATE.match(value):
        return _iso(m[1], int(m[2]), m[3])
    if m := re.match(r"((?:19|20)\d\d)(?:-(\d\d)(?:-(\d\d))?)?(?!\d)", value):
        if m[2] is None:
            return m[1]
        return _iso(m[1], int(m[2]), m[3] or "") if 1 <= int(m[2]) <= 12 else ""
    return ""
