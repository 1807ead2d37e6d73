"""Two reports on the same questions: what got better, what got worse, and which answers flipped.

MUSCLE (arXiv 2407.09435): a release is judged by its negative flips too, since a user notices what used to be right.
Reads finished reports; asks no model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from eval.evidence import difference_row
from eval.failures import is_right
from eval.labels import arm_label, interval_words, signed
from fieldguide.errors import FieldguideError

MEASURES = ("token_f1", "exact_match", "containment", "citation_precision", "faithfulness")


def diff(
    before: Mapping[str, Any], after: Mapping[str, Any], *, seed: int = 0, samples: int = 10_000
) -> dict[str, Any]:
    """The arms of both reports, on the questions of both (same id, question and reference).

    ``arms``: for each {name, arm (the later report's name), difference (token F1, after − before, as of
    ``eval.evidence``), measures (of each, the same), negative, positive (ids that were right and are wrong now, and the
    other way round)}. Two reports with one arm each are compared whatever their arms are called. Also what ``changed``:
    settings and hashes. Raises FieldguideError where no question or no arm is in both.
    """
    shared = _shared(before, after)
    if not shared:
        raise FieldguideError(
            "The two reports have no question in common (same id, question and reference), so there is nothing to "
            "compare; run both with the same --questions file."
        )
    names = [arm["name"] for arm in before["arms"]], [arm["name"] for arm in after["arms"]]
    pairs = [(name, name) for name in names[0] if name in names[1]]
    if not pairs and len(names[0]) == len(names[1]) == 1:
        pairs = [(names[0][0], names[1][0])]
    if not pairs:
        raise FieldguideError(f"The two reports have no arm in common ({', '.join(names[0])}; {', '.join(names[1])}).")
    rows = []
    for a, b in pairs:
        old = [one["answers"][a] for one, _ in shared]
        new = [other["answers"][b] for _, other in shared]
        clusters = [one.get("cluster") or one["document"] or one["id"] for one, _ in shared]
        measures = {
            name: row for name in MEASURES if (row := _difference(name, old, new, clusters, seed, samples)) is not None
        }
        was, now = ([is_right(answer["scores"]) for answer in answers] for answers in (old, new))
        ids = [one["id"] for one, _ in shared]
        rows.append({
            "name": b if a == b else f"{a} → {b}", "arm": b, "difference": measures["token_f1"], "measures": measures,
            "negative": [i for i, w, n in zip(ids, was, now, strict=True) if w and not n],
            "positive": [i for i, w, n in zip(ids, was, now, strict=True) if n and not w],
        })  # fmt: skip
    return {
        "before": before["created"], "after": after["created"], "shared": len(shared),
        "only_before": len(before["items"]) - len(shared), "only_after": len(after["items"]) - len(shared),
        "arms": rows, "changed": _changed(before, after),
    }  # fmt: skip


def told(found: Mapping[str, Any]) -> list[str]:
    """A diff in lines for the screen."""
    lines = [
        f"{found['shared']} questions in both ({found['only_before']} only before, {found['only_after']} only after)."
    ]
    for row in found["arms"]:
        d = row["difference"]
        clear = "" if d["clear"] else ", not clear of zero"
        lines.append(
            f"{arm_label(row['name'])}: {signed(d['mean'])} F1 points ({interval_words(d)}){clear}; "
            f"{len(row['negative'])} right before and wrong now, {len(row['positive'])} the other way round"
        )
        if row["negative"]:
            listed = ", ".join(row["negative"][:10])
            lines.append(f"  wrong now: {listed}{' …' if len(row['negative']) > 10 else ''}")
    lines += [f"  {name}: {a} → {b}" for name, (a, b) in found["changed"].items()]
    return lines


def _shared(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[tuple[Any, Any]]:
    old = {item["id"]: item for item in before["items"]}
    return [
        (old[item["id"]], item)
        for item in after["items"]
        if item["id"] in old and all(old[item["id"]][key] == item[key] for key in ("question", "reference"))
    ]


def _difference(
    name: str, old: Sequence[Any], new: Sequence[Any], clusters: Sequence[str], seed: int, samples: int
) -> dict[str, Any] | None:
    """After − before over the answers to which the measure applies in both; None where it applies to none."""
    values = [(b["scores"].get(name), a["scores"].get(name), c) for a, b, c in zip(old, new, clusters, strict=True)]
    kept = [(after, before, c) for after, before, c in values if after is not None and before is not None]
    if not kept:
        return None
    return difference_row(
        "after", "before", name, [row[0] for row in kept], [row[1] for row in kept], [row[2] for row in kept],
        seed=seed, samples=samples,
    )  # fmt: skip


def _changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """Settings, models and hashes that are not the same, by dotted name."""
    out: dict[str, tuple[str, str]] = {}
    for part in ("settings", "models", "integrity"):
        old, new = _flat(before.get(part, {}), part), _flat(after.get(part, {}), part)
        out |= {n: (old.get(n, "–"), new.get(n, "–")) for n in {**old, **new} if old.get(n) != new.get(n)}
    return out


def _flat(value: Mapping[str, Any], prefix: str) -> dict[str, str]:
    out: dict[str, str] = {}
    for key, inner in value.items():
        if isinstance(inner, Mapping):
            out |= _flat(inner, f"{prefix}.{key}")
        else:
            out[f"{prefix}.{key}"] = str(inner)
    return out
