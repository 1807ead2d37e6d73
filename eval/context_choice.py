"""The main flow of choosing the context: dev questions × (k, order) → answer quality → the setting that has earned it.

Long-Context LLMs Meet RAG (Jin et al. 2024, arXiv 2410.05983): more passages help until their hard negatives hurt, and
reordering helps at large k, so both are measured with the model and adapter that will read. Two probes say why: where
the gold passage stands among hard negatives, and hard against random negatives. They inform and decide nothing.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from eval.answering import Answering
from eval.choice import near_best, winners
from eval.dev_questions import DevQuestion, Switchable, documents_of
from fieldguide.metrics import token_f1
from fieldguide.settings import Compare, Retrieval
from fieldguide.stats import FEWEST_UNITS, Floats, mean_interval, paired_difference
from fieldguide.types import Chunk, Context, Progress, ScoredChunk, content_hash
from retrieval.order import Policy, reorder

ORDERS: tuple[Policy, ...] = ("rank", "ends", "reverse")
STEP = "answers in contexts"
"""The step's name in progress and rates."""
_SPARE = 10  # candidates beyond the largest k, of which some may be gold


@dataclass(frozen=True, slots=True)
class Trial:
    """One way to make contexts, and each question's (None: it cannot be made for that question)."""

    name: Mapping[str, Any]
    contexts: tuple[Context | None, ...]


@dataclass(frozen=True, slots=True)
class Decision:
    """``won``: something beat the baseline. ``why`` says so in words."""

    k: int
    order: Policy
    won: bool
    why: str


def distinct_orders(k: int) -> list[Policy]:
    """The policies that show k passages differently: one for 1, two for 2, three from 3 on."""
    seen: dict[tuple[int, ...], Policy] = {}
    for policy in ORDERS:
        seen.setdefault(tuple(reorder(range(k), policy)), policy)
    return list(seen.values())


def most_answers(questions: int, ks: Sequence[int]) -> int:
    """How many answers ``tune_context`` asks for at most."""
    served = sum(len(distinct_orders(k)) for k in ks)
    probes = len(ks) + sum(k > 1 for k in ks) + 2 * (max(ks) > 2)
    return questions * (served + probes)


def tune_context(
    questions: Sequence[DevQuestion],
    *,
    retriever: Switchable,
    chunks: Sequence[Chunk],
    answering: Answering,
    retrieval: Retrieval,
    compare: Compare,
    ks: Sequence[int],
    progress: Progress,
) -> dict[str, Any]:
    """Measure every k with every distinct order, and the probes; decide. ``compare`` gives seed and bootstrap samples.

    The result is plain values: ``settings`` (a row a setting), ``gold_position``, ``negatives``, ``decision``, and what
    they rest on. ``retrieval.k`` is always among the k measured. Raises IntegrityError if weights or adapter moved.
    """
    ks = sorted({*ks, retrieval.k})
    served = _served(questions, retriever, retrieval, ks)
    positions, negatives = _probes(questions, retriever, retrieval, chunks, ks, compare.seed)
    trials = [*served, *positions, *negatives]
    texts = [question.asked.question for question in questions]
    asked = [(q, c) for trial in trials for q, c in zip(texts, trial.contexts, strict=True) if c is not None]
    missing = answering.missing(asked)
    total = len({answering.key(*each) for each in asked})
    progress.start(STEP, total, done=total - len(missing))
    for done in answering.fill(missing):
        progress.advance(done)
    answering.check()
    scores = [_scores(trial, questions, answering) for trial in trials]
    clusters = [question.cluster for question in questions]
    decision = decide([trial.name for trial in served], scores[: len(served)], clusters, retrieval, compare)
    rows = [_row(trial, values, clusters, compare) for trial, values in zip(trials, scores, strict=True)]
    a, b = len(served), len(served) + len(positions)
    baseline = scores[[trial.name for trial in served].index({"k": retrieval.k, "order": "rank"})]
    for row, values in zip(rows[:a], scores[:a], strict=True):
        row["difference"] = asdict(_difference(values, baseline, clusters, compare))
        row["chosen"] = (row["k"], row["order"]) == (decision.k, decision.order)
    return {
        "questions": len(questions), "documents": len(documents_of(questions)), "metric": "token_f1",
        "baseline": {"k": retrieval.k, "order": "rank"}, "before": {"k": retrieval.k, "order": retrieval.order},
        "settings": rows[:a], "gold_position": rows[a:b], "negatives": rows[b:], "decision": asdict(decision),
        "hard_minus_random": _hard_minus_random(negatives, scores[b:], clusters, compare),
    }  # fmt: skip


def _served(
    questions: Sequence[DevQuestion], retriever: Switchable, retrieval: Retrieval, ks: Sequence[int]
) -> list[Trial]:
    """The contexts as they would be served under each setting."""
    trials = []
    for k in ks:
        found = retriever.using(retrieval.model_copy(update={"k": k})).retrieve(
            [q.asked.question for q in questions], k
        )
        for order in distinct_orders(k):
            shown = retriever.using(retrieval.model_copy(update={"k": k, "order": order}))
            trials.append(Trial({"k": k, "order": order}, tuple(shown.context(ranked) for ranked in found)))
    return trials


def _probes(
    questions: Sequence[DevQuestion],
    retriever: Switchable,
    retrieval: Retrieval,
    chunks: Sequence[Chunk],
    ks: Sequence[int],
    seed: int,
) -> tuple[list[Trial], list[Trial]]:
    """(gold positions at the largest k among hard negatives, k with the gold first and hard or random negatives).

    Hard negatives are the best-ranked passages that do not hold the evidence; random ones are drawn from the chunks
    that are neither.
    """
    most = max(ks)
    plain = retriever.using(retrieval.model_copy(update={"k": most, "order": "rank", "neighbours": 0}))
    found = plain.retrieve([question.asked.question for question in questions], most + _SPARE)
    hard, other = [], []
    for question, ranked in zip(questions, found, strict=True):
        gold = {chunk.id for chunk in question.gold}
        hard.append([passage.chunk for passage in ranked if passage.chunk.id not in gold][: most - 1])
        taken = gold | {chunk.id for chunk in hard[-1]}
        rest = [chunk for chunk in chunks if chunk.id not in taken]
        draw = random.Random(content_hash(str(seed), question.asked.id))
        other.append(draw.sample(rest, min(most - 1, len(rest))))

    def contexts(k: int, negatives: Sequence[Sequence[Chunk]], place: int) -> tuple[Context | None, ...]:
        return tuple(with_gold_at(plain, q, given, k, place) for q, given in zip(questions, negatives, strict=True))

    positions = [("first", 0), ("middle", most // 2), ("last", most - 1)] if most > 2 else []
    return (
        [Trial({"k": most, "position": name}, contexts(most, hard, place)) for name, place in positions],
        [
            Trial({"k": k, "negatives": kind}, contexts(k, drawn, 0))
            for kind, drawn in (("hard", hard), ("random", other))
            for k in ks
        ],
    )


def with_gold_at(
    retriever: Switchable, question: DevQuestion, negatives: Sequence[Chunk], k: int, place: int
) -> Context | None:
    """The gold passage at ``place`` among k - 1 negatives; None without gold, enough negatives, or room for all."""
    if not question.gold or len(negatives) < k - 1:
        return None
    shown = [*negatives[: k - 1]]
    shown.insert(place, question.gold[0])
    context = retriever.context([ScoredChunk(chunk, 0.0, rank) for rank, chunk in enumerate(shown, 1)])
    return context if len(context.passages) == k else None


def _scores(trial: Trial, questions: Sequence[DevQuestion], answering: Answering) -> Floats:
    """Token F1 of each question; NaN where it has no context."""
    asked = [(q.asked.question, c) for q, c in zip(questions, trial.contexts, strict=True) if c is not None]
    texts = iter(answering.texts(asked))
    return np.array(
        [
            np.nan if context is None else token_f1(next(texts), question.asked.answers)
            for question, context in zip(questions, trial.contexts, strict=True)
        ]
    )


def _row(trial: Trial, values: Floats, clusters: Sequence[str], compare: Compare) -> dict[str, Any]:
    here = np.flatnonzero(~np.isnan(values)).tolist()
    row = dict(trial.name)
    if not here:
        return row | {"mean": None, "low": None, "high": None, "n": 0}
    inside = [clusters[n] for n in here]
    return row | asdict(mean_interval(values[here], seed=compare.seed, samples=compare.samples, clusters=inside))


def _difference(a: Floats, b: Floats, clusters: Sequence[str], compare: Compare) -> Any:
    return paired_difference(a, b, seed=compare.seed, samples=compare.samples, clusters=clusters)


def _hard_minus_random(
    negatives: Sequence[Trial], scores: Sequence[Floats], clusters: Sequence[str], compare: Compare
) -> list[dict[str, Any]]:
    """For each k, how much worse hard negatives are than random ones, over the questions that have both."""
    by_name = {
        (trial.name["negatives"], trial.name["k"]): values for trial, values in zip(negatives, scores, strict=True)
    }
    out = []
    for (kind, k), hard in by_name.items():
        both = np.flatnonzero(~np.isnan(hard) & ~np.isnan(by_name["random", k])).tolist()
        if kind == "hard" and k > 1 and both:
            inside = [clusters[n] for n in both]
            out.append({"k": k} | asdict(_difference(hard[both], by_name["random", k][both], inside, compare)))
    return out


def decide(
    names: Sequence[Mapping[str, Any]],
    scores: Sequence[Floats],
    clusters: Sequence[str],
    retrieval: Retrieval,
    compare: Compare,
) -> Decision:
    """The setting that beats (present k, rank order) clearly, Holm's correction over all tried; else rank order.

    Of several that cannot be told apart it is the one with the fewest passages and the simplest order. Where nothing
    wins, k stays if no smaller one is better by more than one standard error, and else becomes the smallest that is
    within one of the best: more passages cost time, so more must be clearly better.
    """
    of = {(name["k"], name["order"]): values for name, values in zip(names, scores, strict=True)}
    baseline = of[retrieval.k, "rank"]
    others = [name for name in of if name != (retrieval.k, "rank")]
    won = [
        others[n]
        for n in winners([of[name] for name in others], baseline, clusters, seed=compare.seed, samples=compare.samples)
    ]
    n, documents = len(clusters), len(set(clusters))
    if won:
        near = near_best([of[name] for name in won], clusters)
        k, order = min((won[n] for n in near), key=lambda name: (name[0], ORDERS.index(name[1])))
        gain = _difference(of[k, order], baseline, clusters, compare)
        alone = " The questions are about one document, and the figures hold for it alone." if documents == 1 else ""
        return Decision(
            k, order, True,
            f"k = {k} in the order {order} beats k = {retrieval.k} in rank order by {100 * gain.mean:.1f} points of "
            f"token F1 ({100 * gain.low:.1f} to {100 * gain.high:.1f}) on the same {n} questions; with Holm's "
            f"correction for {len(others)} settings tried this is clear.{alone}",
        )  # fmt: skip
    ks = sorted(k for k, order in of if order == "rank" and k <= retrieval.k)
    near_ks = [ks[i] for i in near_best([of[k, "rank"] for k in ks], clusters)]
    k = retrieval.k if retrieval.k in near_ks else min(near_ks)
    kept = f"k stays {k}" if k == retrieval.k else f"k becomes {k}, which did better with less to read"
    few = 1 < documents < FEWEST_UNITS
    more = f" With questions about fewer than {FEWEST_UNITS} documents nothing can be clear." if few else ""
    return Decision(
        k, "rank", False,
        f"Nothing clearly beats k = {retrieval.k} in rank order on these {n} questions, so the order is rank; "
        f"{kept}.{more}",
    )  # fmt: skip
