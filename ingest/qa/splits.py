"""Which documents, facts and wordings train, choose and test: splits that share no fact.

First by document (``assign_splits``), then by fact (``group_tests``). Both leave what is settled where it is, however
many documents and pairs come later. Knows pairs, not how they came about nor where they are stored.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import get_args

from fieldguide import align
from fieldguide.models.base import Embedder
from fieldguide.settings import Questions
from fieldguide.types import QAPair, Split, content_hash
from ingest.qa.same import (
    alike_questions,
    asked_before,
    attribute,
    clusters,
    documents_of,
    is_joined,
    overlapping,
    same_wordings,
    shared_facts,
    wording,
)

TRAINED = "trained"
"""Group of the pairs that are trained on. A pair without a group has not been settled yet."""
CHOOSING = "dev"
SEEN, HELD_OUT, ELSEWHERE = "facts seen", "facts held out", "same attribute, elsewhere"
"""Groups of test pairs."""
_KEPT = (HELD_OUT, ELSEWHERE, CHOOSING)
_GROUPS: Mapping[Split, str] = {"train": TRAINED, "dev": CHOOSING, "test": HELD_OUT}


def tie(documents: Iterable[str], relations: Iterable[tuple[str, str, float]]) -> dict[str, str]:
    """Of each document the first, by id, of those that it may not be parted from.

    ``relations`` are rows of the catalogue (kind NEAR_DUPLICATE); those with other documents are passed over.
    """
    names = sorted(documents)
    place = {name: n for n, name in enumerate(names)}
    related = [(place[a], place[b]) for a, b, _ in relations if a in place and b in place]
    return {name: names[first] for name, first in zip(names, clusters(len(names), related), strict=True)}


def assign_splits(
    documents: Sequence[str],
    known: Mapping[str, str | None],
    settings: Questions,
    ties: Mapping[str, str] | None = None,
) -> dict[str, Split]:
    """A split for each document that has none yet, so that the shares come out as the settings say.

    Documents keep the split they have: a test document never becomes a training one. With one document
    everything is for training; dev comes before test when there are too few for both. ``ties`` (see ``tie``) keeps
    near-duplicates together: a new one goes where its like is, to test or dev if they are in several splits.
    """
    names: tuple[Split, ...] = get_args(Split)
    ties = ties or {}
    held: dict[str, list[str]] = defaultdict(list)
    for document in sorted(documents):
        held[ties.get(document, document)].append(document)
    found: dict[str, Split] = {}
    counts = Counter(split for split in known.values() if split is not None)
    order = []
    for key, members in held.items():
        fresh = [document for document in members if known.get(document) is None]
        theirs = {known.get(document) for document in members}
        settled: Split | None = next((name for name in ("test", "dev", "train") if name in theirs), None)
        if settled is not None:
            found |= dict.fromkeys(fresh, settled)
            counts[settled] += len(fresh)
        else:
            order.append(key)
    random.Random(settings.seed).shuffle(order)
    total, left = len(documents), sum(len(held[key]) for key in order)
    want: dict[Split, int] = {
        "dev": _share(settings.dev_share, total, 2),
        "test": _share(settings.test_share, total, 3),
    }
    want["dev"] = min(want["dev"], max(total - 1, 0))  # one document is left for training whatever the rounding
    want["test"] = min(want["test"], max(total - 1 - want["dev"], 0))
    for split in names[1:]:
        passed = []
        while order:
            key = order.pop()
            n = len(held[key])
            if n <= want[split] - counts[split] and (n < left or counts["train"]):
                found |= dict.fromkeys(held[key], split)
                counts[split] += n
                left -= n
            else:  # too many near-duplicates for this share, or all that there is to train on
                passed.append(key)
        order = passed[::-1]
    return found | {document: "train" for key in order for document in held[key]}


def _share(share: float, total: int, least: int) -> int:
    """``share`` of ``total``, rounded, at least one where there are ``least`` documents or more."""
    return max(round(share * total), 1) if share > 0 and total >= least else 0


@dataclass(slots=True)
class _Fact:
    """Pairs about one fact, by their place; ``split`` is where the fact goes, None while that is open.

    ``trained`` facts have pairs that were trained on, or are needed by one; those that are ``parted`` too have settled
    pairs on both sides: they met only through a pair that came later.
    """

    members: list[int]
    split: Split | None = None
    trained: bool = False
    parted: bool = False


def group_tests(
    pairs: Sequence[QAPair],
    splits: Mapping[str, Split],
    settings: Questions,
    embedder: Embedder | None = None,
    ties: Mapping[str, str] | None = None,
) -> list[QAPair]:
    """The pairs, in order, each with its split and group; ``splits`` are those of the documents, ``ties`` as above.

    - Pairs of dev and test documents stay with their document. What says the same fact or asks the same elsewhere is
      kept from training with them.
    - Of the facts of training documents ``held_out_share`` are kept for testing with all their pairs ("facts held
      out"); of those that are trained on in two wordings or more, ``seen_share`` give one of them ("facts seen").
    - Test pairs of test documents are "same attribute, elsewhere" if what they ask is trained on in another document,
      else "facts held out".
    - A pair that needs several facts, or leans on an earlier question, is trained on only if all of these are; it
      tests if one of them does.
    - A fact that was trained on (a pair of it has the group "trained") is never held out, a fact held out is never
      trained on. Where a later pair brings a trained fact to a test or dev document, it is "facts seen" if it is in
      other words; in the same words it is for training, as the fact is.

    The draw is by seed and pair, so later documents do not change it. Pairs that a person rejected keep their place
    with their fact and count for no share. With an embedder, questions that are alike (``settings.alike``) with the
    same answer are one fact too.
    """
    related = [*shared_facts(pairs, ties), *same_wordings(pairs)]
    if embedder is not None:
        related += alike_questions(pairs, embedder, settings.alike)
    fact_of = clusters(len(pairs), related)
    facts: dict[int, _Fact] = {}
    for n, key in enumerate(fact_of):
        facts.setdefault(key, _Fact([])).members.append(n)
    needs = _needs(pairs, fact_of)
    homes = [_home(pair, splits) for pair in pairs]
    _settle(pairs, facts, needs, homes)
    _hold_out(pairs, facts, needs, homes, settings)
    placed = _place(pairs, facts, fact_of, needs, homes)
    return _by_attribute(_give_wordings(placed, pairs, facts, settings), splits)


def _needs(pairs: Sequence[QAPair], fact_of: Sequence[int]) -> list[set[int]]:
    """The facts that each pair needs beside its own: where its evidence overlaps theirs, or it leans on a question."""
    needs: list[set[int]] = [set() for _ in pairs]
    for one, other in overlapping(pairs):
        for a, b in ((one, other), (other, one)):
            if is_joined(pairs[a]) and not is_joined(pairs[b]):
                needs[a].add(fact_of[b])
    for later, earlier in asked_before(pairs):
        needs[later].add(fact_of[earlier])
    return [held - {fact_of[n]} for n, held in enumerate(needs)]


def _home(pair: QAPair, splits: Mapping[str, Split]) -> Split:
    """The strictest of the splits of the documents that the pair needs."""
    return _strictest({splits.get(document, "train") for document in documents_of(pair)})


def _strictest(splits: Collection[str | None]) -> Split:
    return "test" if "test" in splits else "dev" if "dev" in splits else "train"


def _settle(
    pairs: Sequence[QAPair], facts: Mapping[int, _Fact], needs: Sequence[set[int]], homes: Sequence[Split]
) -> None:
    """Decides the facts that were trained on or kept from it before, and those that a dev or test document has."""
    needed = {key for n, pair in enumerate(pairs) if pair.group == TRAINED for key in needs[n]}
    for key, fact in facts.items():
        held = [pairs[n] for n in fact.members]
        fact.trained = key in needed or any(pair.group == TRAINED for pair in held)
        kept = {pair.split for pair in held if pair.group in _KEPT}
        fact.parted = fact.trained and bool(kept)
        if fact.trained:
            fact.split = "train"
            continue
        kept |= {pair.split for pair in held if pair.group == SEEN}  # what was trained on then is gone
        kept |= {homes[n] for n in fact.members if not is_joined(pairs[n])} - {"train"}
        fact.split = _strictest(kept) if kept else None


def _hold_out(
    pairs: Sequence[QAPair],
    facts: Mapping[int, _Fact],
    needs: Sequence[set[int]],
    homes: Sequence[Split],
    settings: Questions,
) -> None:
    """Decides the facts that are still open. What only joins others' facts is not drawn: it follows them."""
    ours = [
        fact
        for fact in facts.values()
        if any(pairs[n].verdict != "rejected" and homes[n] == "train" and not needs[n] for n in fact.members)
    ]
    wanted = round(settings.held_out_share * len(ours)) - sum(fact.split == "test" for fact in ours)
    free = [fact for fact in ours if fact.split is None]
    free.sort(key=lambda fact: min(_lot("fact", settings.seed, pairs[n]) for n in fact.members))
    for fact in free[: max(wanted, 0)]:
        fact.split = "test"
    for fact in facts.values():
        fact.split = fact.split or "train"


def _lot(draw: str, seed: int, pair: QAPair) -> str:
    return content_hash(draw, str(seed), pair.id)


def _place(
    pairs: Sequence[QAPair],
    facts: Mapping[int, _Fact],
    fact_of: Sequence[int],
    needs: Sequence[set[int]],
    homes: Sequence[Split],
) -> list[QAPair]:
    """Each pair where its fact, the facts that it needs and its documents want it."""

    def wanted(n: int) -> Split:
        pair = pairs[n]
        if pair.group:
            return pair.split  # settled
        if homes[n] == "dev" and not is_joined(pair):
            return "dev"
        return _strictest({homes[n], facts[fact_of[n]].split, *(facts[key].split for key in needs[n])})

    while True:
        places = [wanted(n) for n in range(len(pairs))]
        # a fact that nothing is left to train on is tested, and so is what needs it
        left = [
            fact
            for fact in facts.values()
            if fact.split == "train" and not fact.trained and all(places[n] != "train" for n in fact.members)
        ]
        for fact in left:
            fact.split = _strictest({places[n] for n in fact.members})
        if not left:
            break
    out = []
    for n, pair in enumerate(pairs):
        fact, split, group = facts[fact_of[n]], places[n], _GROUPS[places[n]]
        if pair.group not in (TRAINED, *_KEPT) and fact.split == "train" and (fact.parted or split != "train"):
            trained = {wording(pairs[m]) for m in fact.members if m != n and places[m] == "train"}
            split, group = (split if split != "train" else "test"), SEEN
            if wording(pair) in trained and pair.group != SEEN:
                split, group = "train", TRAINED
        out.append(replace(pair, split=split, group=group))
    return out


def _give_wordings(
    placed: Sequence[QAPair], pairs: Sequence[QAPair], facts: Mapping[int, _Fact], settings: Questions
) -> list[QAPair]:
    """Moves one wording of some trained facts to the test, never one that was trained on before."""
    out = list(placed)
    history = {" ".join(align.tokens(asked)) for pair in out if pair.split == "train" for asked in pair.after}
    given, several = 0, 0
    choices: list[int] = []
    for fact in facts.values():
        live = [n for n in fact.members if out[n].verdict != "rejected" and not is_joined(out[n])]
        trained = [n for n in live if out[n].group == TRAINED]
        seen = any(out[n].group == SEEN for n in live)
        words = Counter(wording(out[n]) for n in trained)
        several += len(words) > 1 or (seen and bool(words))
        given += seen and bool(words)
        free = [n for n in trained if pairs[n].group == "" and words[wording(out[n])] == 1 and len(words) > 1]
        free = [n for n in free if wording(out[n]) not in history]
        if free and not seen:
            choices.append(min(free, key=lambda n: _lot("wording", settings.seed, out[n])))
    choices.sort(key=lambda n: _lot("seen", settings.seed, out[n]))
    for n in choices[: max(round(settings.seen_share * several) - given, 0)]:
        out[n] = replace(out[n], split="test", group=SEEN)
    return out


def _by_attribute(pairs: Sequence[QAPair], splits: Mapping[str, Split]) -> list[QAPair]:
    """Test pairs of test documents, told apart by whether what they ask is trained on in another document."""
    trained: dict[frozenset[str], set[str]] = defaultdict(set)
    for pair in pairs:
        if pair.split == "train" and pair.answerable and pair.verdict != "rejected":
            trained[attribute(pair.question)].add(pair.document)
    out = []
    for pair in pairs:
        if pair.group in (HELD_OUT, ELSEWHERE) and splits.get(pair.document) == "test":
            asked = attribute(pair.question)
            known = bool(asked) and pair.answerable and bool(trained.get(asked, set()) - {pair.document})
            pair = replace(pair, group=ELSEWHERE if known else HELD_OUT)
        out.append(pair)
    return out
