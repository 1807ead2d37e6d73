"""Values of manifests as cells of a table: figures, changes, intervals, long lists. Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

_NAMES = 8  # of a long list
_DASH = "–"


def readable(value: Any) -> str:
    """A value of a manifest on a line or several."""
    if value is None:
        return _DASH
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, Mapping):
        rows = []
        for name, inner in value.items():
            shown = interval(inner)
            nested = isinstance(inner, Mapping) and inner and "mean" not in inner
            rows.append(f"{name}:\n{textwrap.indent(shown, '  ')}" if nested else f"{name}: {shown}")
        return "\n".join(rows) or "none"
    if isinstance(value, list | tuple):
        return listed([readable(v) for v in value])
    return str(value)


def listed(names: Sequence[str]) -> str:
    more = f", … and {len(names) - _NAMES} more (all with --json)" if len(names) > _NAMES else ""
    return ", ".join(names[:_NAMES]) + more if names else "none"


def interval(value: Any) -> str:
    """{mean, low, high, n} as "0.48 (0.40 to 0.55), n = 120"; anything else as it reads."""
    if not (isinstance(value, Mapping) and "mean" in value):
        return readable(value)
    low, high, n = value.get("low"), value.get("high"), value.get("n")
    between = f" ({low:.3f} to {high:.3f})" if low is not None and high is not None else ""
    mean = _DASH if value["mean"] is None else f"{value['mean']:.3f}"
    return mean + between + (f", n = {n}" if n is not None else "")


def plain(value: Any) -> str:
    return _DASH if value is None else f"{value:g}"


def change(before: float | None, after: float | None, form: str) -> str:
    """Two figures with an arrow, one alone, or a dash."""
    shown = [form.format(value) for value in (before, after) if value is not None]
    if len(shown) == 2:
        return " → ".join(shown)
    return shown[0] if shown else _DASH
