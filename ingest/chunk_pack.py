"""Which pieces make a chunk: the division of a document whose cuts cost least.

Knows pieces, units and costs; nothing of pages or context lines. A chunk costs 1, so full chunks are cheap; a cut
costs more the closer the two sides belong together; so does a chunk that runs on into the next section.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from ingest.chunk_units import Piece, Unit

_NEVER = 100.0  # behind a heading, within a table's header rows
_INNER = 0.9  # within a sentence, an item or a row
_TOGETHER = 0.8  # what would fit a chunk as a whole; a caption and its table, a line and the list that it introduces
_WITHIN = 0.35  # between sentences, items or rows of what is longer
_BETWEEN = 0.1  # between blocks of a section
_EMPTY = 0.3  # for a chunk that is all but empty; grows with the square
_INTO_SMALL = 0.2  # on into a section, where it or the one before is small
_INTO_LARGE = 2.0
_LEAVES = 0.3  # besides, if the next section has another parent
_EQUAL = 1e-9  # of equal divisions the one with the fuller first chunks is taken
_SMALL = 0.25  # of the budget
_HEAD_SHARE = 3  # header rows longer than a third of the budget are not repeated


@dataclass(frozen=True, slots=True)
class Packed:
    """Pieces number ``first`` to ``last`` (exclusive), with the pieces repeated before them (empty if ``lead`` is)."""

    lead: range
    first: int
    last: int


def pack(
    pieces: Sequence[Piece], units: Sequence[Unit], introduces: Sequence[bool], budget: int, overlap: int
) -> list[Packed]:
    """All pieces in chunks of at most ``budget`` tokens, with repeated sentences or header rows counted.

    ``introduces[n]``: unit n ends with a colon. Time grows with the number of pieces times those of one chunk.
    """
    leads = _leads(pieces, units, budget, overlap)
    lead_tokens = [sum(pieces[n].tokens for n in lead) for lead in leads]
    cuts = _cut_costs(pieces, units, introduces, budget)
    crossings = _crossing_costs(pieces, units, budget)
    best = [0.0] + [float("inf")] * len(pieces)
    begins = [0] * (len(pieces) + 1)
    for last in range(1, len(pieces) + 1):
        length, crossed = 0, 0.0
        for first in range(last - 1, -1, -1):
            length += pieces[first].tokens
            if length > budget and first < last - 1:
                break
            total = length + lead_tokens[first]
            if total <= budget or first == last - 1:
                cost = best[first] + cuts[first] + crossed + 1 + _EMPTY * max(0.0, 1 - total / budget) ** 2
                if cost < best[last] - _EQUAL:
                    best[last], begins[last] = cost, first
            crossed += crossings[first]
    found = []
    last = len(pieces)
    while last:
        found.append(Packed(leads[begins[last]], begins[last], last))
        last = begins[last]
    return found[::-1]


def _leads(pieces: Sequence[Piece], units: Sequence[Unit], budget: int, overlap: int) -> list[range]:
    """What a chunk that begins with a piece repeats: the sentences or items before it, or its table's header rows,
    unless the rows carry the columns' names themselves."""
    leads = []
    first = heads = length = 0  # where the unit begins, how many of its pieces are header rows, and their tokens
    for n, piece in enumerate(pieces):
        unit = units[piece.unit]
        if n == 0 or pieces[n - 1].unit != piece.unit:
            first, heads, length = n, 0, 0
        low, high = n, n
        if unit.kind == "table" and piece.ranges[0][0] < unit.head:
            heads += 1
            length += piece.tokens
        elif unit.kind == "table" and unit.named:
            pass
        elif unit.kind == "table" and length <= min(budget // _HEAD_SHARE, budget - piece.tokens):
            low, high = first, first + heads
        elif unit.kind in ("paragraph", "list"):
            room = min(overlap, budget - piece.tokens)
            while low > first and pieces[low - 1].tokens <= room:
                low -= 1
                room -= pieces[low].tokens
        leads.append(range(low, high))
    return leads


def _cut_costs(pieces: Sequence[Piece], units: Sequence[Unit], introduces: Sequence[bool], budget: int) -> list[float]:
    """What it costs to begin a chunk with each piece."""
    lengths = [0] * len(units)
    for piece in pieces:
        lengths[piece.unit] += piece.tokens
    costs = [0.0]
    for before, piece in pairwise(pieces):
        unit, above = units[piece.unit], units[before.unit]
        if before.unit != piece.unit:
            costs.append(_between_units(above, unit, introduces[before.unit]))
        elif unit.kind == "heading" or (unit.kind == "table" and before.ranges[0][0] < unit.head):
            costs.append(_NEVER)
        elif piece.inner:
            costs.append(_INNER)
        else:
            costs.append(_TOGETHER if lengths[piece.unit] <= budget else _WITHIN)
    return costs


def _between_units(before: Unit, unit: Unit, introduces: bool) -> float:
    if before.kind == "heading":
        return _NEVER
    if unit.kind == "heading":
        return 0.0
    captioned = "caption" in (before.kind, unit.kind) and "table" in (before.kind, unit.kind)
    introduced = introduces and unit.kind in ("list", "table") and before.kind != "table"
    return _TOGETHER if captioned or introduced else _BETWEEN


def _crossing_costs(pieces: Sequence[Piece], units: Sequence[Unit], budget: int) -> list[float]:
    """What it costs to have each piece in a chunk with the one before it: nothing within a section."""
    lengths: dict[int, int] = {}
    for piece in pieces:
        section = units[piece.unit].section
        lengths[section] = lengths.get(section, 0) + piece.tokens
    costs = [0.0]
    for before, piece in pairwise(pieces):
        old, new = units[before.unit], units[piece.unit]
        if old.section == new.section:
            costs.append(0.0)
            continue
        small = min(lengths[old.section], lengths[new.section]) < budget * _SMALL
        leaves = len(new.path) < len(old.path)
        costs.append((_INTO_SMALL if small else _INTO_LARGE) + _LEAVES * leaves)
    return costs
