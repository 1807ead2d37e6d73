"""Proof that nothing which is trained on is tested: looked for pair by pair, whatever made the splits.

Knows pairs and an embedder; how splits come about is ``ingest.qa.splits``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from fieldguide.errors import FieldguideError
from fieldguide.models.base import Embedder
from fieldguide.types import QAPair
from ingest.qa.same import alike_questions, asked_before, is_joined, overlapping, same_wordings, shared_facts
from ingest.qa.splits import SEEN

FACT, NEEDED, ASKED, SAME, ALIKE = (
    "a tested fact is trained on",
    "a trained question needs a tested fact",
    "a trained question leans on a tested one",
    "a tested question is trained on in the same words",
    "a tested question is trained on in nearly the same words",
)
_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Leak:
    """What is trained on and tested at once."""

    reason: str
    trained: QAPair
    tested: QAPair


class LeakError(FieldguideError):
    """Training would see what is tested."""


def find_leaks(
    pairs: Sequence[QAPair], embedder: Embedder | None, alike: float, ties: Mapping[str, str] | None = None
) -> list[Leak]:
    """All leaks between the pairs of the split train and the others; each two pairs once, by the first reason.

    Two pairs are one fact as ``same.shared_facts`` says. Questions are alike at a cosine of ``alike`` or more with the
    same answer, names and numbers; without an embedder only those in the same words are found. A test pair of the
    group "facts seen" may share its fact with training, but not its words. Pairs that a person rejected are neither
    trained on nor tested. ``ties`` (see ``splits.tie``) makes one document of near-duplicates.
    """
    used = [pair for pair in pairs if pair.verdict != "rejected"]
    found: dict[tuple[str, str], Leak] = {}
    for leak in _leaks(used, embedder, alike, ties):
        found.setdefault((leak.trained.id, leak.tested.id), leak)
    return list(found.values())


def guard(
    pairs: Sequence[QAPair], embedder: Embedder | None, alike: float, ties: Mapping[str, str] | None = None
) -> None:
    """Raises LeakError that names the first leaks (see ``find_leaks``) if there are any."""
    if leaks := find_leaks(pairs, embedder, alike, ties):
        listed = [
            f"  {leak.reason}: {leak.trained.question!r} ({leak.trained.id}, trained) and {leak.tested.question!r} "
            f"({leak.tested.id}, {leak.tested.split})"
            for leak in leaks[:_SHOWN]
        ]
        more = f"\n  and {len(leaks) - _SHOWN} more" if len(leaks) > _SHOWN else ""
        raise LeakError(
            f"Training and test share {len(leaks)} question(s) or fact(s), so the figures would prove nothing; reject "
            "one of each two with `fieldguide qa review`:\n" + "\n".join(listed) + more
        )


def _leaks(
    pairs: Sequence[QAPair], embedder: Embedder | None, alike: float, ties: Mapping[str, str] | None
) -> Iterator[Leak]:
    def told(one: int, other: int, reason: str, seen_too: bool) -> Iterator[Leak]:
        a, b = pairs[one], pairs[other]
        for trained, tested in ((a, b), (b, a)):
            if trained.split == "train" and tested.split != "train" and (seen_too or tested.group != SEEN):
                yield Leak(reason, trained, tested)

    for one, other in same_wordings(pairs):
        yield from told(one, other, SAME, True)
    for one, other in shared_facts(pairs, ties):
        yield from told(one, other, FACT, False)
    for one, other in overlapping(pairs):
        for a, b in ((one, other), (other, one)):
            if is_joined(pairs[a]) and not is_joined(pairs[b]) and pairs[a].split == "train":
                yield from told(a, b, NEEDED, False)
    for later, earlier in asked_before(pairs):
        if pairs[later].split == "train":
            yield from told(later, earlier, ASKED, False)
    if embedder is not None:
        for one, other in alike_questions(pairs, embedder, alike):
            yield from told(one, other, ALIKE, False)
