"""The main flow of `auto`: retrieval's switches × dev questions, within a time budget → the best settings.

A greedy search, one switch after the other, the most promising first. It is nested by document: beside the search on
all questions, the same search runs for each fold without that fold's documents, and what *it* chose is measured on
them. That figure, unlike the chosen setting's own mean, was not selected on.

Only ranks are measured, before reordering: k, order and neighbours decide how much is read, not what is found.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from eval.choice import near_best, standard_error
from eval.dev_questions import DevQuestion, Switchable, documents_of
from eval.retrieval_metrics import rank_metrics
from eval.switches import SWITCHES, Switch, asks_generator, changes, cost, variants
from fieldguide.errors import FieldguideError, NotReady
from fieldguide.settings import Compare, Retrieval
from fieldguide.stats import Floats, mean_interval, paired_difference
from fieldguide.types import Progress

FEWEST_QUESTIONS, FEWEST_DOCUMENTS = 20, 3
CUTOFF = 10
STEP = "settings tried"
"""The step's name in progress and rates."""
_ALL = -1  # the search on all questions, beside those that leave a fold out
_MOST_FOLDS = 5
_BATCH = 16
_LOADING, _ASKING = 60.0, 0.3  # seconds of the generator, to load and for a question, until they are measured
_TIMED, _TIMED_SECONDS = 15, 3.0  # queries that are timed one by one, and for how long at most


@dataclass(frozen=True, slots=True)
class Measured:
    """One setting on all questions. ``megabytes``: growth of this process while it was first measured, so a part that
    several settings share is counted once, with the first; None where it cannot be read."""

    settings: Retrieval
    switch: str
    scores: Mapping[str, Floats]
    milliseconds: float
    megabytes: float | None


class _TooSlow(Exception):
    """What is left of the time would not do."""


def auto(
    questions: Sequence[DevQuestion],
    *,
    retriever: Switchable,
    retrieval: Retrieval,
    compare: Compare,
    minutes: float,
    progress: Progress,
) -> dict[str, Any]:
    """Search the switches from ``retrieval`` on; the result is plain values, with ``changes`` to the settings.

    There are none where the search found nothing better, or where it did not hold: on the documents they had not seen,
    its choices must be more than one standard error better than ``retrieval``, or cheaper and not worse. Raises
    NotReady with fewer than 20 questions with known evidence, or about fewer than 3 documents.
    """
    known = [question for question in questions if question.gold and question.asked.document]
    documents = documents_of(known)
    if len(known) < FEWEST_QUESTIONS or len(documents) < FEWEST_DOCUMENTS:
        raise NotReady(
            f"There are not enough dev questions to choose by: {len(known)} with known evidence, about "
            f"{len(documents)} document(s), and it takes {FEWEST_QUESTIONS} about {FEWEST_DOCUMENTS}. Ingest more "
            "documents and run `fieldguide qa`, or give your own with --questions; the settings stay as they are."
        )
    began = time.monotonic()
    start = retrieval.model_copy(update={"neighbours": 0})
    search = _Search(known, retriever, retrieval.k, began + 60 * minutes, progress)
    progress.start(STEP)
    search.measure(start, "before", always=True)
    fold_of = folds(documents)
    clusters = [question.cluster for question in known]
    placed = np.array([fold_of[cluster] for cluster in clusters])
    parts = {fold: np.flatnonzero(placed != fold).tolist() for fold in (_ALL, *sorted(set(fold_of.values())))}
    chosen = dict.fromkeys(parts, start)
    not_tried = []
    for switch in SWITCHES:
        if search.time_is_up:
            not_tried.append(switch.name)
            continue
        for now in dict.fromkeys(map(_key, chosen.values())):
            for variant in variants(switch, search.known[now].settings):
                search.measure(variant, switch.name)
        for fold, inside in parts.items():
            chosen[fold] = _pick(switch, chosen[fold], search.known, inside, clusters)
    outer = np.zeros(len(known))
    for fold in parts.keys() - {_ALL}:
        held_out = placed == fold
        outer[held_out] = search.known[_key(chosen[fold])].scores["rr"][held_out]
    before = search.known[_key(start)].scores["rr"]
    best = chosen[_ALL]
    given: dict[str, Any] = {"seed": compare.seed, "samples": compare.samples, "clusters": clusters}
    gain = float((outer - before).mean())
    error = standard_error(outer - before, clusters)
    holds = gain > error or (gain >= -error and cost(best) < cost(start))
    return {
        "questions": len(known), "without_evidence": len(questions) - len(known), "documents": len(documents),
        "metric": f"reciprocal rank at {CUTOFF}", "minutes": round((time.monotonic() - began) / 60, 2),
        "before": _shown(start), "chosen": _shown(best), "changes": changes(start, best) if holds else {},
        "holds": holds, "not_tried": not_tried, "too_slow": search.too_slow, "failed": search.failed,
        "table": [_row(measured, start, best) for measured in search.known.values()],
        "nested": {
            "folds": len(parts) - 1, "chosen": asdict(mean_interval(outer, **given)),
            "before": asdict(mean_interval(before, **given)),
            "difference": asdict(paired_difference(outer, before, **given)),
            "picks": [changes(start, chosen[fold]) for fold in parts if fold != _ALL],
        },
    }  # fmt: skip


@dataclass
class _Search:
    """What was measured so far, each setting once for all folds."""

    questions: Sequence[DevQuestion]
    retriever: Switchable
    shown: int
    deadline: float
    progress: Progress
    known: dict[str, Measured] = field(default_factory=dict)
    too_slow: list[dict[str, Any]] = field(default_factory=list)
    failed: dict[str, dict[str, Any]] = field(default_factory=dict)
    loading: float = _LOADING
    asking: float = _ASKING
    """Seconds until the generator is loaded, and that a question to it takes."""

    @property
    def time_is_up(self) -> bool:
        return time.monotonic() >= self.deadline

    def measure(self, settings: Retrieval, switch: str, *, always: bool = False) -> None:
        """Add the setting to those known, unless it is, or the time will not do (``always``: it will), or it fails."""
        if _key(settings) in self.known or (self.time_is_up and not always):
            return
        try:
            self.known[_key(settings)] = self._measured(settings, switch, always)
        except _TooSlow:
            self.too_slow.append({"switch": switch, "changes": changes(self._first, settings)})
        except FieldguideError as error:  # such as no cross-encoder: a value of the result, and the search goes on
            if always:
                raise
            self.failed.setdefault(str(error), changes(self._first, settings))
        self.progress.advance(1, note=switch)

    @property
    def _first(self) -> Retrieval:
        return next(iter(self.known.values())).settings

    def _measured(self, settings: Retrieval, switch: str, always: bool) -> Measured:
        texts = [question.asked.question for question in self.questions]
        wanted = max(CUTOFF, self.shown)
        if asks_generator(settings):
            self._check(self.loading + len(texts) * self.asking, always)
        before = resident_megabytes()
        retriever = self.retriever.using(settings)
        retriever.retrieve(texts[:1], wanted)  # loads what the setting needs
        ranked: list[list[str]] = []
        began, each = time.monotonic(), 0.0
        for start, end in itertools.pairwise([0, 1, *range(_BATCH, len(texts), _BATCH), len(texts)]):
            self._check(each * (len(texts) - start), always)
            found = retriever.retrieve(texts[start:end], wanted)
            ranked += [[passage.chunk.id for passage in of_query] for of_query in found]
            each = (time.monotonic() - began) / len(ranked)
            if asks_generator(settings):
                self.loading, self.asking = 0.0, each
        relevant = [[chunk.id for chunk in question.gold] for question in self.questions]
        after = resident_megabytes()
        growth = after - before if before is not None and after is not None else None
        milliseconds = 1000 * float(np.median(list(_seconds(retriever, texts, wanted))))
        return Measured(settings, switch, rank_metrics(ranked, relevant, CUTOFF, self.shown), milliseconds, growth)

    def _check(self, seconds: float, always: bool) -> None:
        """Raises _TooSlow if so many seconds more would go over the time."""
        if time.monotonic() + seconds > self.deadline and not always:
            raise _TooSlow


def _seconds(retriever: Switchable, texts: Sequence[str], k: int) -> Iterator[float]:
    """Seconds of single queries, one at a time."""
    end = time.monotonic() + _TIMED_SECONDS
    for text in texts[:_TIMED]:
        began = time.perf_counter()
        retriever.retrieve([text], k)
        yield time.perf_counter() - began
        if time.monotonic() > end:
            break


def _pick(
    switch: Switch, now: Retrieval, known: Mapping[str, Measured], inside: Sequence[int], clusters: Sequence[str]
) -> Retrieval:
    """Of the present setting and the variants that were measured, on these questions: of those that cannot be told
    from the best, the present one (``stay``) or the simplest."""
    options = list({_key(option): option for option in (now, *variants(switch, now)) if _key(option) in known}.values())
    scores = [known[_key(option)].scores["rr"][inside] for option in options]
    means = {_key(option): float(score.mean()) for option, score in zip(options, scores, strict=True)}
    near = [options[n] for n in near_best(scores, [clusters[n] for n in inside])]
    if switch.stay and now in near:
        return now
    return min(near, key=lambda option: (cost(option), option != now, -means[_key(option)]))


def folds(documents: Mapping[str, int]) -> dict[str, int]:
    """A fold for each document, at most five, about equally large: the largest document first, into the emptiest."""
    count = min(_MOST_FOLDS, len(documents))
    sizes = [0] * count
    out = {}
    for name in sorted(documents, key=lambda name: (-documents[name], name)):
        fold = sizes.index(min(sizes))
        out[name] = fold
        sizes[fold] += documents[name]
    return out


def resident_megabytes() -> float | None:
    """Memory that this process holds; None where it cannot be read."""
    try:
        import psutil

        return float(psutil.Process().memory_info().rss) / 2**20
    except (ImportError, OSError):
        return None


def _key(settings: Retrieval) -> str:
    return settings.model_dump_json()


def _shown(settings: Retrieval) -> dict[str, Any]:
    return settings.model_dump(mode="json", exclude={"neighbours", "k", "order", "context_tokens"})


def _row(measured: Measured, start: Retrieval, best: Retrieval) -> dict[str, Any]:
    means = {name: float(values.mean()) for name, values in measured.scores.items()}
    return {
        "switch": measured.switch, "changes": changes(start, measured.settings), **means,
        "milliseconds": measured.milliseconds, "megabytes": measured.megabytes, "chosen": measured.settings == best,
    }  # fmt: skip
