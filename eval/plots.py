"""Plots of measurements, as PNG files. Knows rows of means and intervals, not where they come from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

from fieldguide.files import write_atomically

_COLOURS = {"rank": "#0072b2", "ends": "#a65f00", "reverse": "#00735c", "hard": "#b5342a", "random": "#6b6b6b"}
_MARKERS = {"rank": "o", "ends": "s", "reverse": "^", "hard": "D", "random": "o"}
_NAMES = {
    "rank": "best first (rank)", "ends": "best at both ends (ends)", "reverse": "best last (reverse)",
    "hard": "hard: retrieved", "random": "random",
}  # fmt: skip


def plot_places(report: Mapping[str, Any], path: Path) -> Path:
    """``eval.robustness``: token F1 by the right passage's place, a curve a model (before and after tuning)."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.0), dpi=160, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    colours, markers = ("#6b6b6b", "#00735c", "#a65f00"), ("o", "D", "s")
    models = dict.fromkeys(row["model"] for row in report["places"])
    for model, colour, marker in zip(models, colours, markers, strict=False):
        rows = [row for row in report["places"] if row["model"] == model and row["n"]]
        _points(axes, [row["place"] for row in rows], rows, colour, marker, model)
    axes.set_xticks(range(1, report["k"] + 1))
    axes.set_xlabel(f"place of the right passage among {report['k']}", fontsize=9)
    axes.set_ylabel("Token F1, points of 100 (mean and 95% interval)", fontsize=9)
    axes.set_ylim(0, 105)
    axes.grid(axis="y", color="#dddddd", linewidth=0.8)
    axes.spines[["right", "top"]].set_visible(False)
    axes.legend(frameon=False, fontsize=9)
    out = BytesIO()
    figure.savefig(out, format="png", metadata={"Software": None})
    write_atomically(path, out.getvalue())
    return path


def plot_context(report: Mapping[str, Any], path: Path) -> Path:
    """Three panels of ``eval.context_choice``'s result: quality by k and order, by negatives, by the gold's place."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11.5, 4.6), dpi=160, layout="constrained")
    FigureCanvasAgg(figure)  # becomes the figure's canvas: Agg, whatever the machine is set to
    served, negatives, positions = figure.subplots(1, 3, sharey=True, width_ratios=(1.25, 1.0, 0.7))
    at = _curves(served, report["settings"], "order", "Passages as retrieved, by their order")
    chosen = report["decision"]["order"], report["decision"]["k"]
    served.plot(*at[chosen], "o", markersize=13, fillstyle="none", color="#1b1b1b", label="chosen")
    served.set_ylabel("Token F1, points of 100 (mean and 95% interval)", fontsize=9)
    _curves(negatives, report["negatives"], "negatives", "Gold passage first, then k − 1 negatives")
    rows = [row for row in report["gold_position"] if row["n"]]
    _points(positions, range(len(rows)), rows, _COLOURS["hard"], "o", line=False)
    positions.set_xticks(range(len(rows)), [row["position"] for row in rows])
    positions.set_xlim(-0.6, max(len(rows), 1) - 0.4)
    most = rows[0]["k"] if rows else 0
    positions.set_title(f"Gold's place among {most} passages" if rows else "Gold's place: not measured", fontsize=10)
    positions.set_xlabel("place of the gold passage", fontsize=9)
    for axes in (served, negatives, positions):
        axes.grid(axis="y", color="#dddddd", linewidth=0.8)
        axes.set_axisbelow(True)
        axes.tick_params(labelsize=9)
        axes.spines[["right", "top"]].set_visible(False)
    for axes in (served, negatives):
        axes.set_xlabel("passages shown (k)", fontsize=9)
        axes.legend(frameon=False, fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=2)
    out = BytesIO()
    figure.savefig(out, format="png", metadata={"Software": None})
    write_atomically(path, out.getvalue())
    return path


def _curves(
    axes: Any, rows: Sequence[Mapping[str, Any]], key: str, title: str
) -> dict[tuple[str, int], tuple[float, float]]:
    """One curve over k for each value of ``key``, side by side so that the intervals can be told apart.

    The result says where each (value, k) stands.
    """
    names = [name for name in _NAMES if any(row[key] == name for row in rows)]
    at: dict[tuple[str, int], tuple[float, float]] = {}
    ks = sorted({row["k"] for row in rows})
    for n, name in enumerate(names):
        mine = [row for row in rows if row[key] == name and row["n"]]
        shift = 0.1 * (n - (len(names) - 1) / 2)
        at |= {(name, row["k"]): (row["k"] + shift, 100 * row["mean"]) for row in mine}
        _points(axes, [row["k"] + shift for row in mine], mine, _COLOURS[name], _MARKERS[name], _NAMES[name])
    axes.set_xticks(ks)
    axes.set_title(title, fontsize=10)
    return at


def _points(
    axes: Any,
    at: Sequence[float] | range,
    rows: Sequence[Mapping[str, Any]],
    colour: str,
    marker: str,
    label: str | None = None,
    *,
    line: bool = True,
) -> None:
    means = [100 * row["mean"] for row in rows]
    spread = [[100 * (row["mean"] - row["low"]) for row in rows], [100 * (row["high"] - row["mean"]) for row in rows]]
    axes.errorbar(
        list(at), means, yerr=spread, color=colour, marker=marker, markersize=5, linewidth=1.6 if line else 0,
        elinewidth=1.2, capsize=0, label=label,
    )  # fmt: skip
