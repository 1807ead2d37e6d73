"""The switches of retrieval that `auto` tries, what each may be set to, and which of two settings is the simpler."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fieldguide.settings import Retrieval


@dataclass(frozen=True, slots=True)
class Switch:
    """A name and the ways to set it, given what the other switches are. ``stay``: what there is stays unless it is
    worse, since questions of another kind than the dev questions may need it; else a simpler one is preferred."""

    name: str
    variants: Callable[[Retrieval], list[dict[str, Any]]]
    stay: bool = False


def _channels(now: Retrieval) -> list[dict[str, Any]]:
    names = ("dense", "words", "questions")
    subsets = [c for n in range(1, len(names) + 1) for c in itertools.combinations(names, n)]
    return [{"channels": chosen, "weights": {}} for chosen in subsets]


def _fusion(now: Retrieval) -> list[dict[str, Any]]:
    if len(now.channels) < 2:
        return []
    weights = [{}, *({name: weight} for name in now.channels for weight in (0.5, 0.25))]
    return [{"fusion": fusion, "weights": given} for fusion in ("rank", "score") for given in weights]


def _clues(now: Retrieval) -> list[dict[str, Any]]:
    return [{"clues": used} for used in (False, True)]


def _rerank(now: Retrieval) -> list[dict[str, Any]]:
    return [
        {"rerank": steps}
        for steps in ((), ("qim",), ("mmr",), ("sentences",), ("cross-encoder",), ("cross-encoder", "mmr"))
    ]


def _rerank_depth(now: Retrieval) -> list[dict[str, Any]]:
    return [{"rerank_depth": depth} for depth in (10, 30, 100)] if now.rerank else []


def _diversity(now: Retrieval) -> list[dict[str, Any]]:
    return [{"diversity": weight} for weight in (0.1, 0.3, 0.5)] if "mmr" in now.rerank else []


def _depth(now: Retrieval) -> list[dict[str, Any]]:
    return [{"depth": depth} for depth in (30, 100, 300)]


def _expand(now: Retrieval) -> list[dict[str, Any]]:
    return [{"expand": steps} for steps in ((), ("decompose",), ("hyde",), ("guess",))]


def _listwise(now: Retrieval) -> list[dict[str, Any]]:
    return [{"rerank": (*(step for step in now.rerank if step != "listwise"), "listwise")}]


SWITCHES = (
    Switch("channels", _channels, stay=True),
    Switch("fusion and weights", _fusion),
    Switch("clues", _clues, stay=True),
    Switch("rerank", _rerank),
    Switch("rerank_depth", _rerank_depth),
    Switch("diversity", _diversity),
    Switch("depth", _depth),
    Switch("expand", _expand),
    Switch("listwise", _listwise),
)
"""By expected gain for the time they take; the last two ask the generator for every question."""


def variants(switch: Switch, now: Retrieval) -> list[Retrieval]:
    """The present settings with the switch set in each of its ways."""
    return [now.model_copy(update=update) for update in switch.variants(now)]


def cost(settings: Retrieval) -> tuple[int, ...]:
    """How much a setting does for a query, the dearest first: to be compared with others'."""
    asks = len(settings.expand) + settings.rerank.count("listwise")
    embedding = any(name != "words" for name in settings.channels)
    return (
        asks, settings.rerank.count("cross-encoder"), embedding, len(settings.channels), len(settings.rerank),
        len(settings.weights), settings.rerank_depth * bool(settings.rerank),
        settings.depth,
    )  # fmt: skip


def asks_generator(settings: Retrieval) -> bool:
    """Whether every query waits for the generator."""
    return cost(settings)[0] > 0


def changes(before: Retrieval, after: Retrieval) -> dict[str, Any]:
    """The settings in which the two differ, as the second has them."""
    old, new = before.model_dump(mode="json"), after.model_dump(mode="json")
    return {name: new[name] for name in new if new[name] != old[name]}
