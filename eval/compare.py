"""The main flow of comparison: questions × arms → measures, intervals, verdict.

The arms are {base, tuned} × {without, with retrieval}, variants of the settings, and judges that pick from two of
them. All get the same questions, prompts, decoding and, with retrieval, the very same passages. Every answer carries
the adapter that was on in the weights; a comparison in which a base arm had one on fails.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime
from functools import partial
from typing import Any

from assistant.answer import file_name
from eval.answering import Answering
from eval.arms import Arm, Contexts, answers_of, arms, examples_of
from eval.best_prompt import TRIED, Choice, choose_prompt
from eval.dev_questions import dev_questions
from eval.failures import cause, is_right, table
from eval.judged import JudgeOfAnswers
from eval.looks import level_of_look, spent
from eval.questions import TestQuestion, questions_hash
from eval.retrieval_metrics import CUTOFFS, page_metrics
from eval.scores import Score, is_gold, score, similarities
from eval.summary import (
    arm_rows,
    cluster,
    cost_of,
    difference_rows,
    group_rows,
    interaction_of,
    retrieval_rows,
)
from eval.two_paths import by_influence, by_likelihood, by_refusal, by_support, picked
from eval.verdict import verdict
from fieldguide import __version__
from fieldguide.catalog import Catalog
from fieldguide.models.base import Embedder, Generator
from fieldguide.prompts import answer_prompt_hash
from fieldguide.settings import Compare, Settings
from fieldguide.types import Chunk, Context, Document, Progress, QAPair
from retrieval.retriever import HybridRetriever

_GROUPS = {"train": "documents tuned on", "dev": "documents held out (dev)", "test": "documents held out (test)"}

Likelihoods = Callable[[str | None, Sequence[str], Sequence[Context | None], Sequence[str]], Sequence[float]]
"""Mean log-likelihood of answers with an adapter on: (adapter, questions, passages, answers)."""

Answers = dict[str, list[dict[str, Any]]]


def compare(
    questions: Sequence[TestQuestion],
    *,
    source: str,
    catalog: Catalog,
    retriever: HybridRetriever,
    generator: Generator,
    adapter: str | None,
    settings: Settings,
    embedder: Embedder,
    progress: Progress,
    chosen: Sequence[Arm] | None = None,
    likelihoods: Likelihoods | None = None,
    judge: JudgeOfAnswers | None = None,
    looks: Sequence[AbstractSet[str]] = (),
) -> dict[str, Any]:
    """Answer all questions in all arms (or the ``chosen``) and evaluate them; the result is an ``eval.report.Report``.

    ``looks`` are the ids of the questions of earlier comparisons of these arms (``eval.looks``).

    Finished answers are kept in the catalogue under the hash of everything that decides them, so an interrupted
    comparison goes on where it was. Raises IntegrityError if an adapter was on in a base arm, off in a tuned one, or
    if the base weights at the end are not those at the beginning.
    """
    documents = {document.id: document for document in catalog.documents()}
    run = list(chosen) if chosen is not None else arms(adapter, settings.compare.variants)
    answering = Answering(
        catalog, generator, None, settings.answer, documents, retriever.index_id, generator.base_hash()
    )
    started = time.perf_counter()
    contexts = Contexts(questions, retriever)
    shown = {arm.name: contexts.of(arm) for arm in run}
    whole = retriever.using(retriever.settings.model_copy(update={"neighbours": 0}))  # chunks as the catalogue has them
    ranked = whole.retrieve([q.question for q in questions], CUTOFFS[-1])
    timings: dict[str, float] = {"retrieval": round(time.perf_counter() - started, 2)}
    answers: Answers = {}
    notes: list[str] = []
    pairs = catalog.pairs("train") if any(arm.examples or arm.best for arm in run) else []
    run, prompts = _prompts(run, pairs, retriever, answering, settings.compare, progress)
    notes += [choice.words for choice in prompts.values()]
    if any(arm.best for arm in run):
        notes.append("A best prompt is chosen on dev pairs, and there are none: those arms are as served.")
    progress.start("answering", len(questions) * len(run))
    for arm in run:
        examples, note = examples_of(arm, pairs, retriever, questions, shown[arm.name], generator, settings.answer)
        notes += [note] if note else []
        answers[arm.name], timings[arm.name] = answers_of(
            arm, questions, shown[arm.name], answering, examples, partial(_advance, progress, arm.name)
        )  # fmt: skip
    hash_end = generator.base_hash()
    answering.check(hash_end)
    if chosen is None:
        answers |= _two_paths(questions, answers, shown, adapter, documents, settings, embedder, likelihoods)
    reading = {arm.name for arm in run if arm.retrieval} | (answers.keys() - shown.keys())
    near = iter(similarities([*questions] * len(answers), [a for rows in answers.values() for a in rows], embedder))
    scored = {
        name: [score(q, a, next(near), reading=name in reading) for q, a in zip(questions, rows, strict=True)]
        for name, rows in answers.items()
    }
    judged = judge.judge_all(questions, answers, progress) if judge is not None else None
    if judged is not None:
        for name, marks in judged.marks.items():
            scored[name] = [{**s, **mark} for s, mark in zip(scored[name], marks, strict=True)]
    golds = [_gold(question, catalog, documents) for question in questions]
    failures = {
        name: [
            None if is_right(s) else cause(q.answers, *gold, a)
            for q, gold, a, s in zip(questions, golds, rows, scored[name], strict=True)
        ]
        for name, rows in answers.items() if any(context is not None for context in shown.get(name, []))
    }  # fmt: skip
    splits = catalog.splits()
    group_of = [
        q.group or _GROUPS.get(str(splits.get(q.document or "")), "documents not in the splits") for q in questions
    ]
    files = [file_name(documents, q.document) for q in questions]
    rows = arm_rows(questions, scored, settings.compare)
    level = level_of_look([*looks, {q.id for q in questions}])
    differences = list(difference_rows(questions, scored, settings.compare, level))
    kind, sentence = verdict(differences, rows)
    return {
        "title": "Does retrieval, tuning or both pay off?",
        "created": datetime.now().isoformat(" ", "seconds"),
        "version": __version__,
        "verdict": sentence,
        "verdict_kind": kind,
        "notes": notes,
        "questions": {
            "n": len(questions), "source": source, "hash": questions_hash(questions),
            "by_split": dict(Counter(group_of)),
        },
        "arms": rows,
        "costs": {row["name"]: cost_of(row, settings.compare) for row in rows},
        "differences": differences,
        "look": {"number": len(looks) + 1, "level": level, "spent": spent(len(looks) + 1)},
        "prompts": {name: choice.rows for name, choice in prompts.items()},
        "interaction": interaction_of(questions, scored, settings.compare),
        "retrieval": _retrieval(questions, ranked, catalog, settings),
        "failures": {
            name: table(causes, [float(s["token_f1"] or 0.0) for s in scored[name]])
            for name, causes in failures.items()
        },
        "groups": list(group_rows(questions, group_of, files, scored, settings.compare)),
        "judge": judged.told if judged is not None else None,
        "items": [
            {
                "id": q.id, "question": q.question, "reference": " / ".join(q.answers), "document": files[n],
                "pages": list(q.pages), "cluster": cluster(q),
                "answers": {
                    name: _shown(q, given[n], scored[name][n])
                    | ({"cause": failures[name][n]} if name in failures else {})
                    for name, given in answers.items()
                },
            }
            for n, q in enumerate(questions)
        ],
        "integrity": {
            "base_hash_start": answering.base_hash, "base_hash_end": hash_end, "adapter": adapter, "ok": True,
            "prompt": answer_prompt_hash(), "index": retriever.index_id,
        },
        "settings": settings.model_dump(mode="json"),
        "timings": timings,
        "models": {"generator": generator.id, "embedder": embedder.id},
    }  # fmt: skip


def _prompts(
    run: Sequence[Arm], pairs: Sequence[QAPair], retriever: HybridRetriever, answering: Answering, settings: Compare,
    progress: Progress,
) -> tuple[list[Arm], dict[str, Choice]]:  # fmt: skip
    """The arms, those that want it with their best prompt on dev questions, and what was chosen for each of these."""
    wanting = [arm for arm in run if arm.best]
    dev = dev_questions(answering.catalog, None, settings.dev_questions, settings.seed) if wanting else []
    if not dev:
        return list(run), {}
    progress.start("choosing prompts", TRIED * len(dev) * len(wanting))
    asked = [question.asked for question in dev]
    found = {
        arm.name: choose_prompt(arm, asked, pairs, retriever, answering, partial(_advance, progress, arm.name))
        for arm in wanting
    }
    return [found[arm.name].arm if arm.best else arm for arm in run], found


def _advance(progress: Progress, arm: str, n: int) -> None:
    progress.advance(n, note=arm)


def _two_paths(
    questions: Sequence[TestQuestion],
    answers: Answers,
    shown: Mapping[str, Sequence[Context | None]],
    adapter: str | None,
    documents: Mapping[str, Document],
    settings: Settings,
    embedder: Embedder,
    likelihoods: Likelihoods | None,
) -> Answers:
    """An arm for each judge of the settings that picks from the answers with and without passages; by likelihood only
    where the model can tell."""
    name = "base" if adapter is None else "tuned"
    closed, rag = answers[name], answers[f"{name}+RAG"]
    contexts = [context for context in shown[f"{name}+RAG"] if context is not None]
    asked = [question.question for question in questions]
    out: Answers = {}
    for judge in settings.compare.two_paths:
        if judge == "support":
            picks = by_support(asked, closed, rag, contexts, documents, settings.answer.support)
        elif judge == "refusal":
            picks = by_refusal(closed, rag)
        elif judge == "qim":
            picks = by_influence(asked, closed, rag, embedder)
        elif likelihoods is not None:
            picks = by_likelihood(asked, closed, rag, contexts, lambda *given: likelihoods(adapter, *given))
        else:
            continue
        out[f"two paths by {judge}"] = picked(closed, rag, picks)
    return out


def _retrieval(
    questions: Sequence[TestQuestion], ranked: Sequence[Any], catalog: Catalog, settings: Settings
) -> dict[str, Any]:
    """Measures of retrieval over the questions whose pages are known, {} where there are none."""
    known = [n for n, q in enumerate(questions) if q.document is not None and q.pages]
    if not known:
        return {}
    wanted = {questions[n].document for n in known}
    chunks: dict[str, list[Chunk]] = {}
    for chunk in catalog.chunks():
        if chunk.document in wanted:
            chunks.setdefault(chunk.document, []).append(chunk)
    found = page_metrics(
        [ranked[n] for n in known], [str(questions[n].document) for n in known], [questions[n].pages for n in known],
        [questions[n].answers for n in known], chunks,
    )  # fmt: skip
    return retrieval_rows(found, [cluster(questions[n]) for n in known], settings.compare)


def _gold(
    question: TestQuestion, catalog: Catalog, documents: Mapping[str, Document]
) -> tuple[tuple[str, Sequence[int]] | None, str | None]:
    """File and pages where the question's evidence stands, and what was read there; None where it is not known."""
    if question.document is None or not question.pages:
        return None, None
    read = {page.number: page.text for page in catalog.pages(question.document)}
    text = "\n".join(read.get(number, "") for number in question.pages)
    return (file_name(documents, question.document), question.pages), text


def _shown(question: TestQuestion, answer: Mapping[str, Any], scores: Score) -> dict[str, Any]:
    citations = [
        {k: citation[k] for k in ("source", "page", "quote", "verified")} | {"gold": gold}
        for citation, gold in zip(answer["citations"], is_gold(question, answer), strict=True)
    ]
    return {
        "text": answer["text"], "token_f1": scores["token_f1"], "exact_match": scores["exact_match"],
        "scores": scores, "citations": citations, "unsupported": answer["unsupported"], "trace": answer["trace"],
        "passages": answer["passages"],
    }  # fmt: skip
