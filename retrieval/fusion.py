"""Several ranked lists to one. Pure; knows ids and scores only."""

from __future__ import annotations

import math
from collections.abc import Mapping
from statistics import fmean
from typing import Literal

from retrieval.vectors import Hits

Fusion = Literal["rank", "score"]
RANK_CONSTANT = 60
"""Cormack, Clarke and Büttcher (2009): reciprocal rank fusion outperforms Condorcet, SIGIR, section 2."""


def fuse(found: Mapping[str, Hits], fusion: Fusion, weights: Mapping[str, float]) -> Hits:
    """One list from each channel's hits (best first), by the weighted sum over the channels; ties by id.

    rank: a hit at rank r is worth 1 / (60 + r), an id that the channel did not find nothing. score: the channel's
    scores of all ids that any channel found, brought to mean 0 and deviation 1 (a convex combination of normalised
    scores: Bruch, Gai and Ingber 2023, arXiv 2210.11934); see ``_scores`` for ids that the channel did not find.
    Channels not in ``weights`` weigh 1.
    """
    ids = sorted({name for hits in found.values() for name, _ in hits})
    longest = max((len(hits) for hits in found.values()), default=0)
    total = dict.fromkeys(ids, 0.0)
    for channel, hits in found.items():
        weight = weights.get(channel, 1.0)
        if fusion == "rank":
            for rank, (name, _) in enumerate(hits, 1):
                total[name] += weight / (RANK_CONSTANT + rank)
        elif hits:
            scores = _scores(hits, ids, whole=len(hits) < longest)
            mean = fmean(scores)
            deviation = math.sqrt(fmean((score - mean) ** 2 for score in scores))
            if deviation > 0 and max(scores) > min(scores):  # of equal scores rounding may leave some deviation
                for name, score in zip(ids, scores, strict=True):
                    total[name] += weight * (score - mean) / deviation
    return sorted(total.items(), key=lambda hit: (-hit[1], hit[0]))


def _scores(hits: Hits, ids: list[str], whole: bool) -> list[float]:
    """A channel's score of each id.

    A ``whole`` list, shorter than another channel's, holds all that had anything in common with the query: what is not
    on it has 0. A list that was cut may just have missed an id, which gets the most it can have: the last hit's score.
    """
    known = dict(hits)
    missed = min(0.0, hits[-1][1]) if whole else hits[-1][1]
    return [known.get(name, missed) for name in ids]
