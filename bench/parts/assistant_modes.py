"""The modes of bench/assistant.py: each makes its workspaces, asks the assistant as the product does, and measures."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assistant.confidence import Calibration, risk_coverage
from assistant.flow import Assistant
from bench.parts.people import mmlongbench, shelf, tune
from eval.dev_questions import DevQuestion, with_gold
from eval.failures import is_right
from eval.questions import TestQuestion, read_questions
from eval.refusal import Outcome, fit, outcomes
from fieldguide import metrics
from fieldguide.cli.session import Session, session
from fieldguide.stats import mean_interval
from fieldguide.types import Answer

_CHOOSING = 0.5  # of agxqa's tested documents, those that choose the threshold


@dataclass(frozen=True)
class Bench:
    """Where data and workspaces lie, the settings of new ones, documents and questions of each (0: all, or as many as
    bench/assistant.py says), and the precision that the threshold is chosen for."""

    data: Path
    root: Path
    settings: Mapping[str, Any]
    documents: int
    questions: int
    precision: float

    def workspace(self, name: str) -> Path:
        """A tuned workspace of this set, made if it is not there."""
        root = self.root / name
        shelf(name, self.data, root, self.settings, self.documents)
        tune(root)
        return root


def citations(bench: Bench) -> dict[str, Any]:
    """Precision and recall of citations by people's evidence pages, over both sets and of each."""
    rows: list[dict[str, Any]] = []
    for name in ("ntsb", "mmlongbench"):
        with session("bench", bench.workspace(name)) as s:
            asked = _drawn(s, bench.questions or 30)
            for question, answer in zip(asked, _answers(s, asked), strict=True):
                rows.append(_cited(name, question, answer))
    out: dict[str, Any] = {}
    for label, part in (("", rows), *((f"_{n}", [r for r in rows if r["set"] == n]) for n in ("ntsb", "mmlongbench"))):
        pages = [(gold, row["document"]) for row in part for gold in row["gold"]]
        right = [(float(any(row["gold"])), row["document"]) for row in part if row["right"]]
        out[f"citation_precision{label}"] = _interval(pages)
        out[f"citation_recall{label}"] = _interval(right)
        out[f"n{label}"] = len(part)
        out[f"answered{label}"] = sum(bool(row["answer"]) for row in part)
        print(f"{label or 'both'}: {out[f'n{label}']} questions, {len(pages)} citations on a page of the evidence "
              f"{out[f'citation_precision{label}']}, {len(right)} right answers rightly cited "
              f"{out[f'citation_recall{label}']}")  # fmt: skip
    cited = [row for row in rows if row["quotes"]]
    for row in random.Random(0).sample(cited, min(30, len(cited))):
        shown = {key: row[key] for key in ("question", "answer", "quotes", "gold", "right")}
        print(json.dumps(shown, ensure_ascii=False))
    return out


def abstention(bench: Bench) -> dict[str, Any]:
    """Refusals at a threshold chosen on one half of agxqa's tested documents: on the other half, and on mmlongbench, of
    which there are too few generated dev pairs to choose on."""
    out: dict[str, Any] = {}
    with session("bench", bench.workspace("agxqa")) as s:
        every = with_gold(read_questions(s.workspace.root / "questions.jsonl", _documents(s)), s.catalog)
        names = sorted({question.cluster for question in every})
        random.Random(0).shuffle(names)
        choosing = set(names[: round(_CHOOSING * len(names))])
        first = [q for q in every if q.cluster in choosing][: bench.questions or None]
        second = [q for q in every if q.cluster not in choosing][: bench.questions or None]
        assistant = s.assistant(s.retriever(), calibrated=False)
        calibration = fit(outcomes(first, assistant, s.retriever(), 1.0, _quiet), assistant, bench.precision, 0)
        chosen = {key: value for key, value in calibration.measured.items() if key != "curve"}
        print(f"chosen on {len(first)} questions: threshold {calibration.threshold:.3f}, {chosen}")
        print(f"weights: {dict(zip(calibration.names, calibration.weights, strict=True))}")
        out |= _refusals(s, "agxqa", calibration, second, 1.0)
    with session("bench", bench.workspace("mmlongbench")) as s:
        asked = with_gold(_mmlongbench(bench.data, _documents(s)), s.catalog)[: bench.questions or None]
        out |= _refusals(s, "mmlongbench", calibration, asked, 0.0)
    return out | {name: out[f"{name}_agxqa"] for name in ("refusal_precision", "refusal_recall")}


def batch(bench: Bench) -> dict[str, Any]:
    """Questions a second, ours and LangChain's, and whether CTranslate2 says the same."""
    from bench.parts.batch_speed import measured

    with session("bench", bench.workspace("agxqa")) as s:
        return measured(s, _drawn(s, bench.questions or 64))


def _refusals(
    s: Session, name: str, calibration: Calibration, tested: Sequence[DevQuestion], removed: float
) -> dict[str, Any]:
    """What the threshold does on these questions, a share ``removed`` of them also asked without their passage;
    ``_model``: what the model declines by itself."""
    assistant = s.assistant(s.retriever(), calibrated=False)
    found = outcomes(tested, assistant, s.retriever(), removed, _quiet)
    kept = [bool(o.answer.text) and calibration.confidence(o.answer) >= calibration.threshold for o in found]
    out: dict[str, Any] = {"n": len(found), "unanswerable": sum(not o.answerable for o in found)}
    for label, answered in (("", kept), ("_model", [bool(o.answer.text) for o in found])):
        out |= {f"{key}{label}": value for key, value in _figures(found, answered).items()}
    out["curve"] = _curve([(calibration.confidence(o.answer), o) for o in found if o.answer.text], len(found))
    print(f"{name}: {out}", flush=True)
    return {f"{key}_{name}": value for key, value in out.items()}


def _figures(found: Sequence[Outcome], answered: Sequence[bool]) -> dict[str, Any]:
    """Of refusals and of answers, over all outcomes."""
    refused = [o for o, given in zip(found, answered, strict=True) if not given]
    given = [o for o, is_given in zip(found, answered, strict=True) if is_given]
    none = sum(not o.answerable for o in found)
    rightly = sum(not o.answerable for o in refused)
    return {
        "refusal_precision": rightly / len(refused) if refused else None,
        "refusal_recall": rightly / none if none else None,
        "precision": _interval([(float(o.right), o.cluster) for o in given]),
        "coverage": len(given) / len(found),
        "coverage_of_answerable": sum(o.answerable for o in given) / max(1, len(found) - none),
    }


def _curve(sure: Sequence[tuple[float, Outcome]], asked: int) -> list[tuple[float, float]]:
    points = risk_coverage([value for value, _ in sure], [o.right for _, o in sure], asked)
    return [(round(c, 3), round(r, 3)) for c, r in points[:: max(1, len(points) // 12)]]


def _cited(name: str, question: TestQuestion, answer: Answer) -> dict[str, Any]:
    gold = [float(c.document == question.document and c.page in question.pages) for c in answer.citations]
    f1, held = (metric(answer.text, question.answers) for metric in (metrics.token_f1, metrics.containment))
    return {
        "set": name, "question": question.question, "answer": answer.text, "document": question.document or question.id,
        "gold": gold, "right": bool(answer.text) and is_right({"token_f1": f1, "containment": held}),
        "quotes": [c.quote for c in answer.citations],
    }  # fmt: skip


def _answers(s: Session, asked: Sequence[TestQuestion]) -> list[Answer]:
    assistant: Assistant = s.assistant(s.retriever())
    started = time.perf_counter()
    answers = assistant.answer([question.question for question in asked])
    print(f"{len(asked)} answers in {time.perf_counter() - started:.0f} s")
    return answers


def _drawn(s: Session, limit: int) -> list[TestQuestion]:
    from eval.questions import draw

    return draw(read_questions(s.workspace.root / "questions.jsonl", _documents(s)), limit, 0)


def _mmlongbench(data: Path, documents: Mapping[str, Any]) -> list[TestQuestion]:
    """Those that the documents answer and those that they do not (reference "")."""
    names = {Path(document.source).name: document.id for document in documents.values()}
    return [
        TestQuestion(
            row["id"], row["question"], (row["answer"],), names[row["document"]], tuple(row["pages"]), "people"
        )
        for row in mmlongbench(data)[1]
        if row["document"] in names
    ]


def _documents(s: Session) -> dict[str, Any]:
    return {document.id: document for document in s.catalog.documents()}


def _interval(pairs: Sequence[tuple[float, str]]) -> list[float] | None:
    """Mean and 95% interval, documents drawn."""
    if not pairs:
        return None
    found = mean_interval([value for value, _ in pairs], seed=0, clusters=[name for _, name in pairs])
    return [round(found.mean, 4), round(found.low, 4), round(found.high, 4)]


def _quiet(n: int) -> None:
    return None
