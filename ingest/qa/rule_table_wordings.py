"""How a question names what stands in a table: the row, the column or the time it is, the unit, and the table itself.

Knows English labels and periods; not which cells are asked for (``ingest.qa.rule_tables``).
"""

from __future__ import annotations

import re

from ingest.qa.rule_labels import words
from ingest.qa.rule_reading import in_sentence, is_plural
from ingest.qa.rule_table_rows import Cell, Row, Table, bare

YEAR = re.compile(r"(?i)(?:(?:fy|fiscal(?: year)?|cy|calendar year|year)\s?)?((?:19|20)\d\d)")
ANY_YEAR = re.compile(r"(?<!\d)(?:19|20)\d\d(?!\d)")
NUMBER = re.compile(
    r"(?P<open>\(?)\s*(?P<sign>[-–−]?)\s*(?:US|C|A)?[$€£¥]?\s*(?P<inner>\(?)"
    r"(?P<digits>\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+)\s*\)?\s*(?P<percent>%?)\s*\)?"
)
"""A figure: with separators and a currency's sign, negative in parentheses or by its sign, a percentage."""

_MONTHS = "january|february|march|april|may|june|july|august|september|october|november|december"
_DAY = re.compile(rf"(?i)(?:(?:as of|as at|at|on)\s+)?((?:{_MONTHS})\s+\d{{1,2}},?\s+(?:19|20)\d\d)")
_MONTH = re.compile(rf"(?i)(?:{_MONTHS})\s+(?:19|20)\d\d")
_SPAN = re.compile(
    r"(?i)(?:(?:three|six|nine|twelve|\d{1,2})[ -](?:months?|weeks?)|(?:fiscal )?(?:years?|quarters?)|months?|weeks?)"
    rf"\s+end(?:ed|ing)\s+(?:{_MONTHS})\s+\d{{1,2}},?\s+(?:19|20)\d\d"
)
_QUARTER = re.compile(
    r"(?i)(?:q[1-4]|[1-4]q|(?:first|second|third|fourth) quarter)(?:\s+of)?\s*['’]?(?:(?:19|20)?\d\d)"
)
_YEARLESS = re.compile(
    r"(?i)\b(?:q[1-4]|[1-4]q|h[12]|(?:first|second|third|fourth) quarter|(?:three|six|nine|twelve) months|full year"
    rf"|ytd|{_MONTHS})\b"
)
_GENERAL = words(
    "basic diluted reported total totals subtotal other others net gross all amount amounts balance balances average"
    " sum domestic international foreign adjustments adjustment and the of in at as end beginning year period current"
    " noncurrent non-current various miscellaneous number percent value type name no yes none us u.s. ww intl change"
    " changes increase decrease granted vested exercised exercisable forfeited canceled cancelled"
    " expired outstanding issued additions disposals settled"
)
NOT_MONEY = re.compile(
    r"(?i)\b(per (?:\w+ )?share|eps|shares?|percent\w*|rates?|ratios?|margins?|yield|number|employees|headcount|stores"
    r"|units|days|years|hours|age|count|members?|customers|prices?|square|growth|multiple|volume|connections|accounts"
    r"|life|terms?|maturit(?:y|ies)|times|thousands?|millions?|billions?)\b|%"
)
"""Labels whose figures are not in the table's unit."""

MEASURE = re.compile(
    r"(?i)\b(?:sales|revenues?|turnover|incomes?|earnings?|profits?|loss(?:es)?|costs?|expenses?|expenditures?|spending"
    r"|assets?|liabilit(?:y|ies)|equity|cash|debts?|loans?|deposits?|taxes|margins?|rates?|shares?|numbers?|amounts?"
    r"|dividends?|benefits?|payments?|obligations?|charges?|fees?|prices?|values?|interest|depreciation|amortization"
    r"|inventor(?:y|ies)|receivables?|payables?|purchases?|proceeds|capital|investments?|rents?|wages?|salar(?:y|ies)"
    r"|population|production|output|yields?|volume|area|percent\w*|growth|emissions?|deaths?|cases|births?|temperature"
    r"|rainfall|weight|height|length|distance|speed|hours|days|enrol?lments?|exports?|imports?|consumption|capacity"
    r"|demand|supply|contributions?|budget|funding|grants?|goodwill|backlog|deliveries|balances?|reserves?|provisions?"
    r"|premiums?|claims|gains?|compensation|ratio|score|returns?|eps|ebitda)\b"
)
"""Words that say what a figure measures."""

_FLOW = re.compile(
    r"(?i)\b(?:sales|revenues?|turnover|income|earnings|profits?|loss(?:es)?|costs?|expenses?|expenditures?|purchases?"
    r"|(?:re)?payments?|repurchases?|proceeds|dividends|depreciation|amortization|additions|acquisitions|issuances?"
    r"|changes?|increase|decrease|effect|provided by|used (?:in|for)|charges?|taxes|borrowings? of|contributions?)\b"
)
_STOCK = re.compile(
    r"(?i)\b(?:receivables?|payables?|accrued|accumulated|deferred|prepaid|unearned|retained|assets?|liabilit(?:y|ies)|equity"
    r"|balances?|portion|outstanding|in excess|investments?|(?:at|end|beginning) of|held for|current"
    r"|net of accumulated|allowances?|reserves?)\b"
)
_NOUN = re.compile(
    r"(?i)\b(?:name|title|date|type|category|area|description|status|percentage|rate|ratio|value|price|cost|amount|number"
    r"|jurisdiction|country|state|city|location|address|owner|role|position|source|target|baseline|measure|unit|level"
    r"|score|grade|symbol|exchange|term|life|range|service|domain|component|standard|topic|model|code|result|goal"
    r"|objective|activity|task|purpose|method|material|size|weight|length|height|width|depth|temperature|pressure|speed"
    r"|frequency|duration|time|deadline|department|agency|organi[sz]ation|company|product|color|colour|language|age|sex"
    r"|score|dose|dosage|limit|threshold|capacity|population|percent|currency|fee|budget|salary|total|balance|grouping"
    r"|format|version|class|group|species|variety|crop|yield|phone|e-?mail|website|requirement|condition|outcome)$"
)
_LONG_NAME = 6  # words; behind a longer name a question may be too long, so one wording does without it
_SIMPLE = re.compile(r"[A-Z(]?[\w'’%&/.$-]+(?: [\w'’%&/.$-]+){0,7}")


def is_general(text: str) -> bool:
    """Whether a label says nothing without the table around it ("Total", "Other")."""
    return all(word in _GENERAL for word in re.findall(r"[\w.-]+", text.casefold()))


def is_measure(table: Table | None, row: Row) -> bool:
    """Whether the row's label, or the table's name, says what a figure under a year measures."""
    label = bare(row.label)
    words = label.split()
    named = table is not None and MEASURE.search(table.name)
    return bool(MEASURE.search(label) or named) or (len(words) > 2 and words[1].islower())


def when(column: str) -> str:
    """A column's name as a time in a question: "in 2022", "for June 30, 2022"; "" if it is none."""
    column = " ".join(column.split())
    if m := YEAR.fullmatch(column):
        said = "fiscal year " if re.match(r"(?i)fy|fiscal", column) else ""
        return f"in {said}{m.group(1)}"
    if m := _DAY.fullmatch(column):
        return f"for {m.group(1)}"
    if _MONTH.fullmatch(column):
        return f"in {column}"
    if _SPAN.fullmatch(column):
        span = re.sub(r"(?i)\byears\b", "year", column)
        return f"for the {re.sub(rf'(?i)^(.*?)(?= (?:{_MONTHS}))', lambda m: m.group(1).lower(), span)}"
    if _QUARTER.fullmatch(column):
        named = "quarter" in column.casefold()
        return f"in the {re.sub(r' (?=[12]|’)', ' of ', column.lower())}" if named else f"in {column}"
    return ""


def is_flow_on_a_day(row: Row, cell: Cell) -> bool:
    """Whether what is measured over a period stands under a single day, the last one of the period."""
    label = bare(row.label)
    return bool(_DAY.fullmatch(bare(cell.column)) and _FLOW.search(label) and not _STOCK.search(label))


def is_yearless(column: str) -> bool:
    """Whether a column's name is a period of a year that it does not tell ("Q2")."""
    return bool(_YEARLESS.search(column)) and not ANY_YEAR.search(column)


def places(table: Table) -> tuple[str, str]:
    """How a question says where: "according to …" and "… is given in …"."""
    if table.captioned:
        return f"the table “{table.name}” of {{d}}", f"in the table “{table.name}” of {{d}}"
    if table.name:
        return f"“{table.name}” in {{d}}", f"under “{table.name}” in {{d}}"
    return "{d}", "in {d}"


def row_name(label: str, common: frozenset[str]) -> tuple[str, bool]:
    """A row's label in a question, and whether it reads like a plain phrase there; others are quoted."""
    plain = in_sentence(bare(label), common)
    if (
        not _SIMPLE.fullmatch(plain)
        or " - " in plain
        or re.match(r"(?i)(?:less|add|plus|deduct|due|of which|including)\b", plain)
    ):
        return f"“{bare(label)}”", False
    return (f"the {plain}" if plain[0].islower() and plain != bare(label) else plain), True


def _unit(table: Table, row: Row, cell: Cell) -> str:
    """What to say of the unit (", in millions of dollars"), where the table tells it and the cell is in it.

    A fraction without a currency's sign may be anything: a price, a term, a number of shares.
    """
    label, column = bare(row.label), bare(cell.column)
    if not table.scale or "%" in cell.value or NOT_MONEY.search(label) or NOT_MONEY.search(column):
        return ""
    if not NUMBER.fullmatch(cell.value) or ("." in cell.value and "$" not in cell.value):
        return ""
    of = table.currency and "$" not in cell.value
    return f", in {table.scale}" + (f" of {table.currency}" if of else "")


def wordings(table: Table, row: Row, cell: Cell, common: frozenset[str]) -> tuple[str, ...]:
    """Questions for a cell, each with the place {d}. ``common`` holds words that are no names."""
    time = when(bare(cell.column))
    return _at_a_time(table, row, cell, common, time) if time else _under_a_column(table, row, cell, common)


def _at_a_time(table: Table, row: Row, cell: Cell, common: frozenset[str], time: str) -> tuple[str, ...]:
    name, simple = row_name(row.label, common)
    by, inside = places(table)
    if is_flow_on_a_day(row, cell):
        time = time.replace("for ", "for the period ended ", 1)
    if not NUMBER.fullmatch(cell.value):
        return f"What is given for {name} {time} {inside}?", f"According to {by}, what is given for {name} {time}?"
    unit = _unit(table, row, cell)
    aside = f"{unit}," if unit else ""
    what = "percentage" if "%" in cell.value else "amount" if unit or "$" in cell.value else "figure"
    plain: tuple[str, ...] = (f"What {what}{aside} is given for {name} {time} {inside}?",)
    of_itself = simple and is_measure(None, row)
    if not of_itself or "cash flow" in table.name.casefold():  # there a label stands for its change
        return plain
    was = "were" if is_plural(name) else "was"
    if len(table.name.split()) > _LONG_NAME:
        plain = (*plain, f"According to {{d}}, what {was} {name} {time}{unit}?")
    return (
        *plain,
        f"According to {by}, what {was} {name} {time}{unit}?",
        f"What {was} {name} {time}{unit}, according to {by}?",
    )


def _under_a_column(table: Table, row: Row, cell: Cell, common: frozenset[str]) -> tuple[str, ...]:
    name, simple = row_name(row.label, common)
    by, inside = places(table)
    column = bare(cell.column)
    unit = _unit(table, row, cell)
    aside = f"{unit}," if unit else ""
    at = "in" if YEAR.fullmatch(bare(row.label)) else "for"
    name = bare(row.label) if simple or at == "in" else name
    what = f"What {'amount' if unit else 'figure'}{aside}" if NUMBER.fullmatch(cell.value) else "What"
    quoted = f"{what} is given under “{column}” {at} {name} {inside}?"
    if (
        _NOUN.search(column)
        and not re.search(r"[,;:()]", column)
        and len(column.split()) <= 4
        and not is_plural(column)
    ):
        noun = in_sentence(column, common)
        return (
            f"What {noun}{aside} is given {at} {name} {inside}?",
            f"According to {by}, what is the {noun}{aside} {at} {name}?",
            quoted,
        )
    return quoted, f"According to {by}, what is listed as “{column}”{aside} {at} {name}?"
