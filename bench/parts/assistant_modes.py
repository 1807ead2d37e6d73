"""The modes of bench/assistant.py: each makes its workspaces, asks the assistant as the product does, and measures."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assistant.confidence import Calibration, risk_coverage
from bench.parts.people import mmlongbench, shelf, tune
from eval.dev_questions import DevQuestion, with_gold
from eval.failures import is_right
from eval.questions import TestQuestion, read_questions
from eval.refusal import Outcome, fit, outcomes
from fieldguide import metrics
from fieldguide.cli import calibrating
from fieldguide.cli.session import Session, session
from fieldguide.errors import NotReady
from fieldguide.quantities import numeric_match
from fieldguide.stats import mean_interval
from fieldguide.types import Answer

_METRICS: Mapping[str, Callable[[str, Sequence[str]], float | None]] = {
    "token_f1": metrics.token_f1, "containment": metrics.containment, "numeric": numeric_match,
}  # fmt: skip
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
    """Precision and recall of citations by people's evidence pages, over both sets and of each: of the answers that are
    given with a confidence that the workspace's own dev pairs calibrated, and (``_all``) of whatever the model says."""
    rows: list[dict[str, Any]] = []
    for name in ("ntsb", "mmlongbench"):
        with session("bench", bench.workspace(name)) as s:
            asked = _drawn(s, bench.questions or 30)
            try:
                calibrating.run(s, None, bench.precision, 60, base=False)
            except NotReady as error:
                print(f"{name}: {error}")
            assistant = s.assistant(s.retriever())
            texts = [question.question for question in asked]
            every = assistant.answer_over(texts, assistant.contexts(texts))
            kept = assistant.decide(every)
            rows += [_cited(name, *row) for row in zip(asked, every, kept, strict=True)]
    out: dict[str, Any] = {}
    for name in ("", "ntsb", "mmlongbench"):
        part = [row for row in rows if name in ("", row["set"])]
        for label, given in (("", [row for row in part if row["given"]]), ("_all", part)):
            key = f"{f'_{name}' if name else ''}{label}"
            pages = [(gold, row["document"]) for row in given for gold in row["gold"]]
            right = [(float(any(row["gold"])), row["document"]) for row in given if row["right"]]
            out |= {
                f"citation_precision{key}": _interval(pages), f"citation_recall{key}": _interval(right),
                f"answered{key}": sum(bool(row["answer"]) for row in given), f"right{key}": len(right),
            }  # fmt: skip
        print(f"{name or 'both'}: { ({k: v for k, v in out.items() if not name or name in k}) }")
    cited = [row for row in rows if row["quotes"] and row["given"]]
    for row in random.Random(0).sample(cited, min(30, len(cited))):
        shown = {key: row[key] for key in ("question", "answer", "quotes", "gold", "right")}
        print(json.dumps(shown, ensure_ascii=False))
    return out | {"n": len(rows)}


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


def _cited(name: str, question: TestQuestion, answer: Answer, kept: Answer) -> dict[str, Any]:
    gold = [float(c.document == question.document and c.page in question.pages) for c in answer.citations]
    found = {name: metric(answer.text, question.answers) for name, metric in _METRICS.items()}
    return {
        "set": name, "question": question.question, "answer": answer.text, "document": question.document or question.id,
        "gold": gold, "right": bool(answer.text) and is_right(found), "given": not kept.abstained,
        "quotes": [c.quote for c in answer.citations],
    }  # fmt: skip


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
