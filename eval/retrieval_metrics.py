"""Rank metrics of what was retrieved, question by question, by ir-measures. Before any reordering; knows ids only."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from fieldguide.stats import Floats


def rank_metrics(
    ranked: Sequence[Sequence[str]], relevant: Sequence[Collection[str]], cutoff: int, shown: int
) -> Mapping[str, Floats]:
    """Reciprocal rank and nDCG at ``cutoff``, and whether a relevant id is among the first ``shown``.

    ``ranked`` are ids, best first, ``relevant`` those that answer: both one row a query. Each array has a value from 0
    to 1 a query; a query that found nothing has 0. Keys: "rr", "ndcg", "success".
    """
    from ir_measures import RR, Success, iter_calc, nDCG

    measures = {"rr": RR @ cutoff, "ndcg": nDCG @ cutoff, "success": Success @ shown}
    names = {measure: name for name, measure in measures.items()}
    qrels = {str(n): dict.fromkeys(ids, 1) for n, ids in enumerate(relevant)}
    run = {str(n): {name: -float(rank) for rank, name in enumerate(ids)} for n, ids in enumerate(ranked)}
    out = {name: np.zeros(len(ranked)) for name in measures}
    for value in iter_calc(list(measures.values()), qrels, run):
        out[names[value.measure]][int(value.query_id)] = value.value
    return out
