"""Thresholds that a configuration has to hold, for the CI of users: "token_f1>=0.4". Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from eval.labels import METRICS, RETRIEVAL, value_words
from eval.scores import COSTS
from fieldguide.errors import SettingsError

_FORM = re.compile(r"\s*([a-z_]+[a-z0-9_@]*)\s*(>=|<=)\s*(\d+(?:\.\d+)?|\.\d+)\s*")
FLIPS = "negative_flips"


@dataclass(frozen=True, slots=True)
class Threshold:
    """``measure`` has to be at least (">=") or at most ("<=") ``bound``."""

    measure: str
    sign: str
    bound: float

    def holds(self, value: float) -> bool:
        """Whether this value passes."""
        return value >= self.bound if self.sign == ">=" else value <= self.bound

    def __str__(self) -> str:
        return f"{self.measure}{self.sign}{self.bound:g}"


@dataclass(frozen=True, slots=True)
class Passed:
    """A threshold, what was measured in words, and whether it holds; a measure that applies to nothing fails."""

    threshold: Threshold
    measured: str
    ok: bool


def read_thresholds(texts: Sequence[str]) -> list[Threshold]:
    """Thresholds as written. Raises SettingsError for another form, an unknown measure, or a share over 1."""
    found = []
    for text in texts:
        match = _FORM.fullmatch(text)
        names = [*METRICS, *RETRIEVAL, FLIPS]
        if match is None or match[1] not in names:
            raise SettingsError(
                f"--gate {text!r} is no threshold: write MEASURE>=NUMBER or MEASURE<=NUMBER, where MEASURE is one of "
                f"{', '.join(names)}."
            )
        threshold = Threshold(match[1], match[2], float(match[3]))
        if threshold.measure not in (*COSTS, FLIPS) and threshold.bound > 1:
            raise SettingsError(f"--gate {text!r}: {match[1]} is a share from 0 to 1, so 40 points are 0.4.")
        found.append(threshold)
    return found


def check(report: Mapping[str, Any], arm: str, thresholds: Sequence[Threshold]) -> list[Passed]:
    """Each threshold against the arm's means, the retrieval's, and the negative flips since the report before."""
    row = next(row for row in report["arms"] if row["name"] == arm)
    found = []
    for threshold in thresholds:
        name = threshold.measure
        if name == FLIPS:
            since = report.get("since")
            flips = [r["negative"] for r in since["arms"] if r["arm"] == arm] if since else []
            ok = bool(flips) and threshold.holds(len(flips[0]))
            said = f"{len(flips[0])}" if flips else "there is no earlier report on these questions"
        else:
            value = row["metrics"].get(name) or report.get("retrieval", {}).get(name)
            ok = bool(value and value["n"]) and threshold.holds(value["mean"])
            said = value_words(name, value) if value and value["n"] else "nothing that it applies to"
        found.append(Passed(threshold, said, ok))
    return found
