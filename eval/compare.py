"""The main flow of comparison: questions × {base, tuned} × {without, with retrieval} → metrics, intervals, verdict.

All arms get the same questions, prompts, decoding and, with retrieval, the very same passages. Every answer carries
the adapter that was on in the weights; a comparison in which a base arm had one on fails.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from assistant.answer import answer_in_context, as_json, file_name
from eval.evidence import COMPARED, difference_row
from eval.failures import cause, is_right, table
from eval.questions import TestQuestion, questions_hash
from eval.significance import interaction
from eval.verdict import verdict
from fieldguide import __version__, metrics
from fieldguide.catalog import Catalog
from fieldguide.errors import IntegrityError
from fieldguide.models.base import Generator
from fieldguide.prompts import answer_prompt_hash
from fieldguide.settings import Settings
from fieldguide.stats import mean_interval
from fieldguide.types import Answer, Context, Document, Progress, Retriever, content_hash

_BATCH = 20
_METRICS = ("token_f1", "exact_match", "rouge_l", "containment", "citation_precision", "answered")
_GROUPS = {"train": "documents tuned on", "dev": "documents held out (dev)", "test": "documents held out (test)"}


@dataclass(frozen=True, slots=True)
class Arm:
    """One way to answer: with retrieval or not, with an adapter (its id in the generator) or not."""

    name: str
    retrieval: bool
    adapter: str | None


def arms(adapter: str | None) -> list[Arm]:
    """The two base arms and, where there is an adapter, the two tuned ones."""
    base = [Arm("base", False, None), Arm("base+RAG", True, None)]
    return base if adapter is None else [*base, Arm("tuned", False, adapter), Arm("tuned+RAG", True, adapter)]


def compare(
    questions: Sequence[TestQuestion],
    *,
    source: str,
    catalog: Catalog,
    retriever: Retriever,
    generator: Generator,
    adapter: str | None,
    settings: Settings,
    embedder_id: str,
    progress: Progress,
) -> dict[str, Any]:
    """Answer all questions in all arms and evaluate them; the result is an ``eval.report.Report``.

    Finished answers are kept in the catalogue under the hash of everything that decides them, so an interrupted
    comparison goes on where it was. Raises IntegrityError if an adapter was on in a base arm, off in a tuned one, or
    if the base weights at the end are not those at the beginning.
    """
    hash_start = generator.base_hash()
    documents = {document.id: document for document in catalog.documents()}
    started = time.perf_counter()
    contexts = retriever.contexts([question.question for question in questions])
    timings: dict[str, float] = {"retrieval": round(time.perf_counter() - started, 2)}
    chosen = arms(adapter)
    progress.start("answering", len(questions) * len(chosen))
    answers: dict[str, list[dict[str, Any]]] = {}
    stored: list[str] = []
    for arm in chosen:
        began = time.perf_counter()
        given: list[Context | None] = [context if arm.retrieval else None for context in contexts]
        answers[arm.name] = list(
            _arm_answers(
                arm, questions, given, catalog, documents, retriever, generator, settings, hash_start, progress, stored
            )
        )
        timings[arm.name] = round(time.perf_counter() - began, 2)
    hash_end = generator.base_hash()
    if hash_start != hash_end:
        for key in stored:  # they are not the answers of the weights that they are kept under
            catalog.store_answer(key, {})
        raise IntegrityError(
            f"The base model's weights changed during the comparison ({hash_start[:12]} to {hash_end[:12]}); "
            "its figures would mean nothing, so there is no report."
        )
    scored = {arm: [_score(q, a) for q, a in zip(questions, rows, strict=True)] for arm, rows in answers.items()}
    golds = [_gold(question, catalog, documents) for question in questions]
    failures = {
        arm.name: [
            None if is_right(s) else cause(q.answers, *gold, a)
            for q, gold, a, s in zip(questions, golds, answers[arm.name], scored[arm.name], strict=True)
        ]
        for arm in chosen if arm.retrieval
    }  # fmt: skip
    rows = [_arm_row(name, questions, values, settings) for name, values in scored.items()]
    differences = list(_differences(questions, scored, settings))
    kind, sentence = verdict(differences, rows)
    splits = catalog.splits()
    group_of = [
        q.group or _GROUPS.get(str(splits.get(q.document or "")), "documents not in the splits") for q in questions
    ]
    return {
        "title": "Does retrieval, tuning or both pay off?",
        "created": datetime.now().isoformat(" ", "seconds"),
        "version": __version__,
        "verdict": sentence,
        "verdict_kind": kind,
        "questions": {
            "n": len(questions), "source": source, "hash": questions_hash(questions),
            "by_split": dict(Counter(group_of)),
        },
        "arms": rows,
        "differences": differences,
        "interaction": _interaction(questions, scored, settings),
        "failures": {
            arm: table(causes, [s["token_f1"] for s in scored[arm]]) for arm, causes in failures.items()
        },
        "groups": list(_groups(questions, group_of, scored, settings)),
        "items": [
            {
                "id": q.id, "question": q.question, "reference": " / ".join(q.answers),
                "document": file_name(documents, q.document), "pages": list(q.pages),
                "answers": {
                    arm: _shown(answers[arm][n], scored[arm][n])
                    | ({"cause": failures[arm][n]} if arm in failures else {})
                    for arm in answers
                },
            }
            for n, q in enumerate(questions)
        ],
        "integrity": {"base_hash_start": hash_start, "base_hash_end": hash_end, "adapter": adapter, "ok": True},
        "settings": settings.model_dump(mode="json"),
        "timings": timings,
        "models": {"generator": generator.id, "embedder": embedder_id},
    }  # fmt: skip


def check_adapter(arm: Arm, answers: Sequence[Answer]) -> None:
    """Raises IntegrityError unless the answers were generated with the arm's adapter on, as read off the weights."""
    generated = [answer.trace for answer in answers if answer.trace.finish != "abstained"]
    wrong = {trace.adapter or "none" for trace in generated if trace.adapter != arm.adapter}
    if wrong:
        raise IntegrityError(
            f"The arm {arm.name} should have run with the adapter {arm.adapter or 'off'} but ran with "
            f"{', '.join(sorted(wrong))}; there is no report."
        )


def _arm_answers(
    arm: Arm,
    questions: Sequence[TestQuestion],
    contexts: Sequence[Context | None],
    catalog: Catalog,
    documents: Mapping[str, Document],
    retriever: Retriever,
    generator: Generator,
    settings: Settings,
    base_hash: str,
    progress: Progress,
    stored: list[str],
) -> Iterator[dict[str, Any]]:
    """Answers in the order of the questions, as JSON, from the cache where they are there.

    The keys of those that are new are added to ``stored``; none is kept before its adapter was checked.
    """
    shared = (__version__, base_hash, str(arm.adapter), answer_prompt_hash())
    decoding = (settings.answer.model_dump_json(), generator.id)
    keys = [
        content_hash(
            *shared, question.question, context.hash if context is not None else "closed book", *decoding
        )
        for question, context in zip(questions, contexts, strict=True)
    ]  # fmt: skip
    for start in range(0, len(questions), _BATCH):
        part = range(start, min(start + _BATCH, len(questions)))
        known = {n: catalog.answer(keys[n]) or {} for n in part}
        todo = [n for n in part if not known[n]]
        fresh = answer_in_context(
            [questions[n].question for n in todo], [contexts[n] for n in todo], generator=generator,
            adapter=arm.adapter, documents=documents, settings=settings.answer, index=retriever.index_id,
        )  # fmt: skip
        check_adapter(arm, fresh)
        for n, answer in zip(todo, fresh, strict=True):
            known[n] = as_json(answer, documents)
            stored.append(keys[n])
            catalog.store_answer(keys[n], known[n])
        progress.advance(len(part), note=arm.name)
        for n in part:
            yield known[n]


def _is_gold(question: TestQuestion, citation: Mapping[str, Any]) -> bool:
    return citation["document"] == question.document and citation["page"] in question.pages


def _score(question: TestQuestion, answer: Mapping[str, Any]) -> dict[str, Any]:
    """Each metric of one answer, None where it does not apply; and for each citation whether its page is gold."""
    text = answer["text"]
    cited = [_is_gold(question, citation) for citation in answer["citations"]]
    applies = cited and question.document is not None and question.pages
    return {
        "token_f1": metrics.token_f1(text, question.answers),
        "exact_match": metrics.exact_match(text, question.answers),
        "rouge_l": metrics.rouge_l(text, question.answers),
        "containment": metrics.containment(text, question.answers),
        "citation_precision": sum(cited) / len(cited) if applies else None,
        "answered": float(not answer["abstained"]),
        "gold": cited,
    }


def _gold(
    question: TestQuestion, catalog: Catalog, documents: Mapping[str, Document]
) -> tuple[tuple[str, Sequence[int]] | None, str | None]:
    """File and pages where the question's evidence stands, and what was read there; None where it is not known."""
    if question.document is None or not question.pages:
        return None, None
    read = {page.number: page.text for page in catalog.pages(question.document)}
    text = "\n".join(read.get(number, "") for number in question.pages)
    return (file_name(documents, question.document), question.pages), text


def _arm_row(
    name: str, questions: Sequence[TestQuestion], scores: Sequence[Mapping[str, Any]], settings: Settings
) -> dict[str, Any]:
    return {"name": name, "metrics": {m: _interval(questions, scores, m, settings) for m in _METRICS}}


def _interval(
    questions: Sequence[TestQuestion], scores: Sequence[Mapping[str, Any]], metric: str, settings: Settings
) -> dict[str, Any]:
    """Mean and interval, questions clustered by document; n = 0 where the metric applies to no answer."""
    pairs = [(s[metric], _cluster(q)) for q, s in zip(questions, scores, strict=True) if s[metric] is not None]
    if not pairs:
        return {"mean": None, "low": None, "high": None, "n": 0}
    compare = settings.compare
    found = mean_interval(
        [value for value, _ in pairs], seed=compare.seed, samples=compare.samples, clusters=[c for _, c in pairs]
    )
    return asdict(found)


def _cluster(question: TestQuestion) -> str:
    return question.document or question.id


def _differences(
    questions: Sequence[TestQuestion], scored: Mapping[str, Sequence[Mapping[str, Any]]], settings: Settings
) -> Iterator[dict[str, Any]]:
    clusters, compare = [_cluster(q) for q in questions], settings.compare
    for a, b in COMPARED:
        if a not in scored or b not in scored:
            continue
        for metric in ("token_f1", "exact_match", "rouge_l"):
            yield difference_row(
                a, b, metric, [s[metric] for s in scored[a]], [s[metric] for s in scored[b]], clusters,
                seed=compare.seed, samples=compare.samples,
            )  # fmt: skip


def _interaction(
    questions: Sequence[TestQuestion], scored: Mapping[str, Sequence[Mapping[str, Any]]], settings: Settings
) -> dict[str, Any] | None:
    """Of token F1 (``eval.significance.interaction``); None unless all four arms were run."""
    four = ("base", "base+RAG", "tuned", "tuned+RAG")
    if any(arm not in scored for arm in four):
        return None
    found = interaction(
        *([s["token_f1"] for s in scored[arm]] for arm in four), seed=settings.compare.seed,
        samples=settings.compare.samples, clusters=[_cluster(q) for q in questions],
    )  # fmt: skip
    return asdict(found) | {"clear": found.clear}


def _groups(
    questions: Sequence[TestQuestion],
    group_of: Sequence[str],
    scored: Mapping[str, Sequence[Mapping[str, Any]]],
    settings: Settings,
) -> Iterator[dict[str, Any]]:
    for name in sorted(set(group_of)):
        members = [n for n, group in enumerate(group_of) if group == name]
        inside = [questions[n] for n in members]
        means = {
            arm: _interval(inside, [rows[n] for n in members], "token_f1", settings) for arm, rows in scored.items()
        }
        yield {"name": name, "n": len(members), "arms": means}


def _shown(answer: Mapping[str, Any], score: Mapping[str, Any]) -> dict[str, Any]:
    citations = [
        {k: citation[k] for k in ("source", "page", "quote", "verified")} | {"gold": gold}
        for citation, gold in zip(answer["citations"], score["gold"], strict=True)
    ]
    return {
        "text": answer["text"], "token_f1": score["token_f1"], "exact_match": score["exact_match"],
        "citations": citations, "unsupported": answer["unsupported"], "trace": answer["trace"],
        "passages": answer["passages"],
    }  # fmt: skip
