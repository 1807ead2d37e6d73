"""Seeded corruption: a tenth of good pairs get the answer of another pair; who notices, and what good ones are lost?

The checks see the answer without its old evidence, as a source that made the mistake would have given it. The round
trip and CLEAR ask a reader; CLEAR's threshold is chosen on the first half of the pairs and measured on the second.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from fieldguide.settings import Questions
from fieldguide.types import Chunk, Kind, QAPair
from ingest.qa.checks import check
from ingest.qa.confidence import Confidence, swap_answers
from ingest.qa.drafts import Draft
from ingest.qa.reader import Reader, asked_of, refuse_unread

SHARE = 0.1


def corrupt(
    good: Sequence[tuple[QAPair, Chunk, str]], reader: Reader | None, languages: Mapping[str, str], settings: Questions,
    seed: int,
) -> dict[str, Any]:  # fmt: skip
    """Shares of the swapped pairs that are caught and of the good ones that are lost, by each means and by any.

    ``good`` are pairs with their chunks and titles. Without a ``reader`` only the checks are asked.
    """
    swapped = swap_answers([pair for pair, _, _ in good], seed)
    able = [n for n, answer in enumerate(swapped) if answer]
    chosen = set(random.Random(seed).sample(able, min(len(able), max(1, round(SHARE * len(good))))))
    tried = [
        (replace(pair, answer=swapped[n]) if n in chosen else pair, chunk, title)
        for n, (pair, chunk, title) in enumerate(good)
    ]
    drafts = [(_draft(pair), chunk, title) for pair, chunk, title in tried]
    flagged = {"checks": [bool(check(d, chunk, languages.get(chunk.id, ""))[0]) for d, chunk, _ in drafts]}
    figures: dict[str, Any] = {"pairs": len(good), "swapped": len(chosen)}
    if reader is not None:
        read = [(draft, [chunk], title) for draft, chunk, title in drafts]
        flagged["round_trip"] = [bool(reason) for reason, _ in refuse_unread(reader, read, settings)]
        flagged["confidence"], figures["threshold"] = _doubted([pair for pair, _, _ in tried], good, reader, seed)
    flagged["any"] = [any(found) for found in zip(*flagged.values(), strict=True)]
    for name, found in flagged.items():
        figures[f"{name}_caught"] = _share([found[n] for n in sorted(chosen)])
        figures[f"{name}_lost"] = _share([flag for n, flag in enumerate(found) if n not in chosen])
    return figures


def _draft(pair: QAPair) -> Draft:
    quote = pair.evidence[0].quote if pair.kind == "yes/no" and pair.evidence else ""
    return Draft(pair.question, pair.answer, quote, cast(Kind, pair.kind))


def _doubted(
    tried: Sequence[QAPair], good: Sequence[tuple[QAPair, Chunk, str]], reader: Reader, seed: int
) -> tuple[list[bool], float]:
    """Which pairs fall below the threshold that the other half of the good pairs chooses."""
    confidence = Confidence(reader, seed=seed)
    asked = [asked_of(pair.question, [chunk], title) for pair, chunk, title in good]
    flags = [False] * len(tried)
    values = []
    for half in (0, 1):
        choosing = [n for n in range(len(good)) if n % 2 == half]
        judged = [n for n in range(len(good)) if n % 2 != half]
        threshold = confidence.choose([good[n][0] for n in choosing], [asked[n] for n in choosing]).value
        scores = confidence.scores([asked[n] for n in judged], [tried[n].answer for n in judged])
        values.append(threshold)
        for n, score in zip(judged, scores, strict=True):
            flags[n] = score < threshold
    return flags, round(sum(values) / 2, 4)


def _share(flags: Sequence[bool]) -> float | None:
    return round(sum(flags) / len(flags), 4) if flags else None
