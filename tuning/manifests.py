"""What the manifests of adapters say, in one row or beside each other. Pure; knows nothing of files or catalogues.

A manifest may be of any version: what it lacks is None here, never an error.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Manifest = Mapping[str, Any]

_MADE_WITH = (
    "base", "base_hash", "method", "start", "order", "strength", "retriever", "index", "prompt", "steps",
    "planned_steps", "passes", "best_step", "ended", "tokens", "seconds", "version",
)  # fmt: skip
_DEV_F1 = {"base": ("dev_f1_base",), "tuned": ("dev_f1_tuned",)}
_GENERAL = {"before": ("before",), "after": ("after",)}


def summary(manifest: Manifest) -> dict[str, Any]:
    """The figures that adapters are listed with. Means are from 0 to 1, losses in nats a token."""
    measured, general = {**manifest, **(manifest.get("metrics") or {})}, manifest.get("general") or {}
    tuned = _first(measured, _DEV_F1["tuned"])
    return {
        "base": manifest.get("base"), "method": manifest.get("method", "lora"), "examples": manifest.get("examples"),
        "dev_loss_base": manifest.get("dev_loss_base"), "dev_loss_tuned": manifest.get("dev_loss_tuned"),
        "dev_f1_base": _first(measured, _DEV_F1["base"]),
        "dev_f1": tuned if tuned is not None else _best(curve(manifest)),
        "general_before": _first(general, _GENERAL["before"]), "general_after": _first(general, _GENERAL["after"]),
        "strength": manifest.get("strength"),
    }  # fmt: skip


def no_better(manifest: Manifest) -> bool:
    """Whether the adapter was measured on held-out pairs and did not pass there, or (an older manifest, which does not
    say) its loss is not lower than the base model's."""
    if "passed" in manifest:
        return not manifest["passed"]
    before, after = manifest.get("dev_loss_base"), manifest.get("dev_loss_tuned")
    return before is not None and after is not None and after >= before


def curve(manifest: Manifest) -> list[dict[str, Any]]:
    """The course of the training, each point with its step. Of an older manifest: its losses, evenly over the steps."""
    points = manifest.get("curve")
    if points is not None:
        return [dict(point) for point in points]
    losses = manifest.get("loss") or []
    steps = manifest.get("steps") or len(losses)
    return [{"step": round((n + 1) * steps / len(losses)), "loss": loss} for n, loss in enumerate(losses)]


def differences(a: Manifest, b: Manifest) -> dict[str, Any]:
    """Two adapters beside each other; whatever comes in twos is of ``a`` and of ``b``.

    "settings" and "made_with" hold only what differs; "metrics" has every metric of either, with mean, interval and n
    as they stand in the manifests: the intervals are each adapter's own and not those of a difference.
    """
    settings = _two(a.get("settings") or {}, b.get("settings") or {})
    made_with = _two({name: a.get(name) for name in _MADE_WITH}, {name: b.get(name) for name in _MADE_WITH})
    return {
        "settings": {name: both for name, both in settings.items() if both[0] != both[1]},
        "made_with": {name: both for name, both in made_with.items() if both[0] != both[1]},
        "training_set": _training_sets(a, b),
        "figures": _two(summary(a), summary(b)),
        "metrics": _two(a.get("metrics") or {}, b.get("metrics") or {}),
        "general": [a.get("general"), b.get("general")],
        "curves": _curves(curve(a), curve(b)),
    }


def thin(rows: Sequence[Mapping[str, Any]], most: int) -> list[Mapping[str, Any]]:
    """At most so many points of a curve (or rows of ``differences``' curves), evenly drawn, the last among them; those
    where the held-out examples were looked at, if there are any."""
    looked = [
        row for row in rows if any((p or {}).get("dev_loss") is not None for p in (row, row.get("a"), row.get("b")))
    ]
    drawn = looked if len(looked) > 1 else rows
    if len(drawn) <= most:
        return list(drawn)
    return [drawn[round((n + 1) * len(drawn) / most) - 1] for n in range(most)]


def _training_sets(a: Manifest, b: Manifest) -> dict[str, Any]:
    hashes = [a.get("training_set"), b.get("training_set")]
    counted = ("examples", "dev_examples", "left_out", "gold")
    return {
        "same": None if None in hashes else hashes[0] == hashes[1],
        "hash": hashes,
        **{name: [a.get(name), b.get(name)] for name in counted},
        "facts": _overlap(a.get("facts"), b.get("facts")),
        "documents": _overlap(_as_map(a.get("documents")), _as_map(b.get("documents"))),
    }


def _as_map(names: Sequence[str] | None) -> dict[str, str] | None:
    return None if names is None else dict.fromkeys(names, "")


def _overlap(a: Mapping[str, str] | None, b: Mapping[str, str] | None) -> dict[str, int] | None:
    """How many both have, how many of these are worded differently, and how many only one has; None if not known."""
    if a is None or b is None:
        return None
    shared = a.keys() & b.keys()
    other = sum(a[name] != b[name] for name in shared)
    return {
        "shared": len(shared),
        "worded_otherwise": other,
        "only_a": len(a) - len(shared),
        "only_b": len(b) - len(shared),
    }


def _curves(a: Sequence[Manifest], b: Sequence[Manifest]) -> list[dict[str, Any]]:
    """The points of both by step, None where one has none."""
    by_step = [{int(point["step"]): point for point in points} for points in (a, b)]
    steps = sorted(by_step[0].keys() | by_step[1].keys())
    return [{"step": step, "a": by_step[0].get(step), "b": by_step[1].get(step)} for step in steps]


def _two(a: Manifest, b: Manifest) -> dict[str, list[Any]]:
    names: Iterator[str] = iter(dict.fromkeys([*a, *b]))
    return {name: [a.get(name), b.get(name)] for name in names}


def _best(points: Sequence[Manifest]) -> float | None:
    return max((point["dev_f1"] for point in points if point.get("dev_f1") is not None), default=None)


def _first(found: Manifest, names: Sequence[str]) -> float | None:
    return next((mean for name in names if (mean := _mean(found.get(name))) is not None), None)


def _mean(value: Any) -> float | None:
    """A figure that stands alone, as {mean, low, high, n}, or as the F1 among several metrics."""
    if isinstance(value, Mapping):
        return next((m for name in ("mean", "f1", "metrics") if (m := _mean(value.get(name))) is not None), None)
    return float(value) if isinstance(value, int | float) else None
