"""Training pairs without the least confident ones: CLEAR's filter (Chen & Mueller 2024, arXiv 2403.12776).

The confidence itself is that of ``ingest.qa.confidence``. There, a threshold is chosen by the dev pairs; here, the
share that is left out is given, so that runs with and without the filter can be compared at any share.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from fieldguide.types import Chunk, Document, Progress, QAPair
from ingest.qa.confidence import Confidence
from ingest.qa.derived import ORIGIN
from ingest.qa.reader import asked_of

SCORE = "confidence"
_BATCH = 16


@dataclass(frozen=True, slots=True)
class Curated:
    """``kept`` pairs in the order given, those that are ``dropped``, least confident first, each with its confidence
    among its scores, and how many of the kept were not ``judged``."""

    kept: tuple[QAPair, ...]
    dropped: tuple[QAPair, ...]
    not_judged: int


def most_confident(
    pairs: Sequence[QAPair],
    chunks: Mapping[str, Chunk],
    documents: Mapping[str, Document],
    judge: Confidence,
    share: float,
    progress: Progress,
) -> Curated:
    """The pairs without the ``share`` (0 to 1, of all pairs, rounded down) in which the judge has least confidence.

    Not judged, and kept, are pairs that a person wrote or judged, pairs made from pairs (their answers were judged
    with these), those whose chunk is not among ``chunks`` (by id), and those that the judge cannot tell. Of equally
    confident pairs the one with the smaller id goes first. With ``share`` 0 nothing is asked.
    """
    if not 0 <= share < 1:
        raise ValueError(f"the share to leave out must be from 0 to below 1, not {share}")
    told = [n for n, pair in enumerate(pairs) if share and _is_judged(pair, chunks, judge)]
    progress.start(SCORE, len(told))
    scored = list(pairs)
    for start in range(0, len(told), _BATCH):
        part = told[start : start + _BATCH]
        asked = [
            asked_of(pairs[n].question, [chunks[pairs[n].chunk]], documents[pairs[n].document].title) for n in part
        ]
        found = judge.scores(asked, [pairs[n].answer for n in part])
        for n, score in zip(part, found, strict=True):
            scored[n] = replace(pairs[n], scores={**pairs[n].scores, SCORE: round(score, 4)})
        progress.advance(len(part))
    least = sorted(told, key=lambda n: (scored[n].scores[SCORE], scored[n].id))[: int(share * len(pairs))]
    out = set(least)
    kept = tuple(pair for n, pair in enumerate(scored) if n not in out)
    return Curated(kept, tuple(scored[n] for n in least), len(pairs) - len(told))


def _is_judged(pair: QAPair, chunks: Mapping[str, Chunk], judge: Confidence) -> bool:
    by_machine = not pair.author and not pair.after and pair.origin != ORIGIN
    return by_machine and pair.chunk in chunks and judge.judges(pair.answer)
