"""Numbers with their units in a text, and whether an answer states a reference's numbers. Pure functions over strings.

Knows common units of length, mass, volume, area, time, speed, pressure, power, temperature, money and shares, as people
write them; another unit is taken as it is written.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

TOLERANCE = 0.005
"""Relative error that rounding in an answer may bring."""

_WORDS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]
_SCALES = {"hundred": 1e2, "thousand": 1e3, "million": 1e6, "billion": 1e9, "trillion": 1e12, "mn": 1e6, "bn": 1e9}
_UNITS: dict[str, tuple[str, float]] = {}
"""Each unit's name as written → its dimension and how many of the dimension's first unit it is."""

for _dimension, _table in {
    "length": """m metre metres meter meters=1 cm=0.01 mm=0.001 km kilometre kilometres kilometer kilometers=1000
        ft foot feet '=0.3048 in inch inches "=0.0254 mi mile miles=1609.344 nm=1852 yd yard yards=0.9144""",
    "mass": """kg kilogram kilograms=1 g gram grams=0.001 mg=1e-6 lb lbs pound pounds=0.45359237
        oz ounce ounces=0.0283495 t tonne tonnes=1000 ton tons=907.18474""",
    "volume": """l liter liters litre litres=1 ml=0.001 gal gallon gallons=3.785411784 quart quarts=0.946353
        pint pints=0.473176""",
    "area": "ha hectare hectares=1 acre acres=0.40468564",
    "time": """s sec secs second seconds=1 min mins minute minutes=60 h hr hrs hour hours=3600 day days=86400
        week weeks=604800""",
    "years": "year years yr yrs=1 month months=0.083333333",
    "speed": "mph=0.44704 kt kts knot knots=0.514444 km/h kph=0.277778 m/s=1 fpm=0.00508",
    "pressure": "pa=1 kpa=1000 psi=6894.757 bar=100000 mb hpa=100",
    "power": "w watt watts=1 kw kilowatt kilowatts=1000 mw=1e6 hp horsepower=745.7",
    "share": "% percent pct=0.01",
    "dollars": "$ usd dollar dollars us$=1",
    "euros": "€ eur euro euros=1",
    "pounds sterling": "£ gbp=1",
    "angle": "° degree degrees deg=1",
}.items():
    _names: list[str] = []
    for _part in _table.split():
        _name, _, _size = _part.partition("=")
        _names.append(_name)
        if _size:
            _UNITS |= dict.fromkeys(_names, (_dimension, float(_size)))
            _names = []

_NUMBER = r"\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d*\.\d+|\d+"
_QUANTITY = re.compile(
    rf"(?P<money>us\$|[$€£])?\s?(?P<open>\()?(?P<minus>(?<![\w)])[-\u2212])?(?P<money2>[$€£])?"
    rf"(?:(?P<number>{_NUMBER})(?![\d])|(?<!\w)(?P<word>{'|'.join(_WORDS)})(?!\w))"
    rf"(?P<close>\))?[\s-]?(?P<scale>(?:{'|'.join(_SCALES)})\b)?\s?"
    r"(?P<unit>°\s?[cf]\b|km/h|m/s|[%°'\"€£$]|[a-z]+)?",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number as it stands (``number``), the factor of its scale word (``scale``, 1.0 without), and its unit's name in
    lower case, "" without."""

    number: float
    scale: float
    unit: str

    @property
    def value(self) -> float:
        return self.number * self.scale


def quantities(text: str) -> list[Quantity]:
    """The numbers in the text, in order; a unit is only taken where it is known and follows at once (or, for money, is
    before). "(1,200)" of accounts is negative; a hyphen between numbers ("10-12") is none."""
    found = []
    for match in _QUANTITY.finditer(text):
        digits = match["number"]
        number = float(digits.replace(",", "")) if digits else float(_WORDS.index(match["word"].lower()))
        if match["minus"] or (match["open"] and match["close"] and "," in (digits or "")):
            number = -number
        unit = (match["unit"] or "").lower().replace(" ", "")
        known = unit if unit in _UNITS or unit in ("°c", "°f") else ""
        money = (match["money"] or match["money2"] or "").lower()
        found.append(Quantity(number, _SCALES.get((match["scale"] or "").lower(), 1.0), money or known))
    return found


def numeric_match(prediction: str, references: str | Sequence[str], tolerance: float = TOLERANCE) -> float | None:
    """1.0 if the prediction states every number of a reference within the relative ``tolerance``, else 0.0; None where
    no reference holds a number.

    Units of one dimension are converted; where one side names no unit, or no scale word, it is taken to mean the
    other's ("1577" for "$1,577 million", as tables in millions are quoted). Of several references the best counts.
    """
    several = [references] if isinstance(references, str) else references
    wanted = [quantities(reference) for reference in several]
    said = quantities(prediction)
    scores = [float(all(any(_same(w, s, tolerance) for s in said) for w in part)) for part in wanted if part]
    return max(scores) if scores else None


def same_quantity(one: Quantity, other: Quantity) -> bool | None:
    """Whether two quantities of one dimension are equal, units converted; None where their dimensions differ."""
    return _same(one, other, TOLERANCE) if _dimension_of(one) == _dimension_of(other) else None


def _same(wanted: Quantity, said: Quantity, tolerance: float) -> bool:
    if not wanted.unit or not said.unit:
        pairs = [(wanted.value, said.value)]
        if "share" in (_dimension_of(wanted), _dimension_of(said)):  # 8% and 0.08
            pairs.append((_converted(wanted), _converted(said)))
    elif _dimension_of(wanted) == _dimension_of(said):
        pairs = [(_converted(wanted), _converted(said))]
    else:
        return False
    if (wanted.scale == 1.0) != (said.scale == 1.0):
        pairs.append((wanted.number, said.number))
    return any(math.isclose(a, b, rel_tol=tolerance, abs_tol=1e-9) for a, b in pairs)


def _dimension_of(quantity: Quantity) -> str:
    if quantity.unit in ("°c", "°f"):
        return "temperature"
    return _UNITS.get(quantity.unit, (quantity.unit, 1.0))[0]


def _converted(quantity: Quantity) -> float:
    """The value in its dimension's first unit."""
    if quantity.unit == "°f":
        return (quantity.value - 32) / 1.8
    return quantity.value * _UNITS.get(quantity.unit, ("", 1.0))[1]
