"""Rank metrics of what was retrieved, question by question, by ir-measures. Before any reordering; knows ids only."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from fieldguide import align
from fieldguide.stats import Floats
from fieldguide.types import Chunk, ScoredChunk

CUTOFFS = (1, 3, 5, 10)


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


def page_metrics(
    ranked: Sequence[Sequence[ScoredChunk]],
    documents: Sequence[str],
    pages: Sequence[Collection[int]],
    answers: Sequence[Sequence[str]],
    chunks: Mapping[str, Sequence[Chunk]],
) -> dict[str, Floats]:
    """How well the pages where the answers stand were found, a value from 0 to 1 a query.

    ``ranked`` are passages, best first and before any reordering; the answer of query n stands on ``pages[n]`` of
    ``documents[n]``; ``chunks`` are all chunks of each document. *recall@c*: share of these pages among the first c
    passages; *mrr* and *ndcg* (at 10) count every chunk of these pages as relevant; *page_hit* and *span_hit*: one of
    the passages lies on such a page, or also holds an answer word for word.
    """
    on_pages = [
        {chunk.id for chunk in chunks.get(document, ()) if set(chunk.pages) & set(wanted)}
        for document, wanted in zip(documents, pages, strict=True)
    ]
    found = rank_metrics([[p.chunk.id for p in row] for row in ranked], on_pages, CUTOFFS[-1], CUTOFFS[-1])
    out = {"mrr": found["rr"], "ndcg": found["ndcg"]}
    for cutoff in CUTOFFS:
        out[f"recall@{cutoff}"] = np.array([
            len({page for p in row[:cutoff] if p.chunk.document == document for page in p.chunk.pages} & set(wanted))
            / max(1, len(set(wanted)))
            for row, document, wanted in zip(ranked, documents, pages, strict=True)
        ])  # fmt: skip
    hits = [
        [p for p in row[: CUTOFFS[-1]] if p.chunk.id in relevant]
        for row, relevant in zip(ranked, on_pages, strict=True)
    ]
    out["page_hit"] = np.array([float(bool(row)) for row in hits])
    out["span_hit"] = np.array([
        float(any(align.find_exact(answer, p.chunk.text) for p in row for answer in references))
        for row, references in zip(hits, answers, strict=True)
    ])  # fmt: skip
    return out
