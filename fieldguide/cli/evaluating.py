"""The work of ``compare``, ``eval``, ``report diff`` and ``judge calibrate`` on an opened session."""

from __future__ import annotations

import json
import resource
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from fieldguide.cli.pairs import test_pairs
from fieldguide.cli.session import Session
from fieldguide.cli.verbs import adapter_notes, load_adapter
from fieldguide.errors import FieldguideError, ModelError, SettingsError
from fieldguide.types import content_hash

if TYPE_CHECKING:
    from eval.arms import Arm
    from eval.judge import Judge
    from eval.judged import JudgeOfAnswers
    from eval.questions import TestQuestion
    from fieldguide.models.base import Generator
    from fieldguide.types import Context

_SHOWN = ("token_f1", "exact_match", "rouge_l", "citation_precision", "seconds")


def compare(s: Session, questions_file: Path | None) -> dict[str, Any]:
    """Run all arms and write the report."""
    from eval.arms import arms

    asked = _questions(s, questions_file)
    adapter = load_adapter(s, base=False, needed=True)
    report, folder = _run(s, asked, "compare", arms(adapter, s.settings.compare.variants), adapter, None)
    result = _written(s, report, folder)
    show_comparison(s, report)
    s.say(f"Report: {result['report']} (beside it report.json, report.csv, report.md)")
    return result


def evaluate(
    s: Session, questions_file: Path | None, gates: Sequence[str], *, base: bool
) -> tuple[dict[str, Any], bool]:
    """Answer the questions as ``ask`` does and write the report; also whether every threshold holds."""
    from eval.arms import served
    from eval.gate import check, read_thresholds

    thresholds = read_thresholds(gates)
    asked = _questions(s, questions_file)
    adapter = load_adapter(s, base=base)
    arm = served(adapter)
    report, folder = _run(s, asked, "eval", [arm], adapter, [arm])
    value = next(row for row in report["arms"] if row["name"] == arm.name)["metrics"]["token_f1"]
    report |= {"title": "How good are the answers?", "verdict_kind": "measured"}
    served_as = "Without an adapter" if base else "Served as it is now,"
    report["verdict"] = (
        f"{served_as} the model answers {report['questions']['n']} questions with {_words('token_f1', value)} points "
        "of token F1. Two such reports on the same questions are compared by `fieldguide report diff`."
    )
    found = check(report, arm.name, thresholds)
    report["gates"] = [{"threshold": str(one.threshold), "measured": one.measured, "ok": one.ok} for one in found]
    result = _written(s, report, folder)
    show_arms(s, report)
    for one in found:
        s.say(f"{'holds' if one.ok else 'FAILS'}: {one.threshold} (measured {one.measured})")
    s.say(f"Report: {result['report']} (beside it report.json, report.csv, report.md)")
    return result, all(one.ok for one in found)


def _run(
    s: Session, asked: tuple[str, Sequence[TestQuestion], list[TestQuestion]], verb: str, run: Sequence[Arm],
    adapter: str | None, chosen: Sequence[Arm] | None,
) -> tuple[dict[str, Any], Path]:  # fmt: skip
    """The report of these arms, and a new run's folder for it."""
    from eval.compare import compare as compare_arms

    source, found, questions = asked
    total = len(questions) * len(run)
    s.announce(f"{len(questions)} of {len(found)} questions, {len(run)} arms", {"answering": (total, 1.0)}, 5)
    retriever = s.retriever()
    report = compare_arms(
        questions, source=source, catalog=s.catalog, retriever=retriever, generator=s.generator, adapter=adapter,
        settings=s.settings.model_copy(update={"answer": s.answering}), embedder=s.embedder, progress=s.progress,
        chosen=chosen, likelihoods=_likelihoods(s, adapter) if chosen is None else None, judge=_judge_of_answers(s),
        looks=_looks(s, adapter, questions) if chosen is None else (),
    )  # fmt: skip
    s.progress.finish()
    report["notes"] += adapter_notes(s, retriever.recipe)
    unit = 2**20 if sys.platform == "darwin" else 2**10
    report["memory_mb"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit)
    report["since"] = _since(s, report, verb)
    return report, s.workspace.new_run(verb)


def _questions(s: Session, file: Path | None) -> tuple[str, Sequence[TestQuestion], list[TestQuestion]]:
    """Where the questions are from, all of them, and those drawn."""
    from eval.questions import draw, from_pairs, read_questions

    settings = s.settings.compare
    if file is not None:
        documents = {document.id: document for document in s.catalog.documents()}
        source, found = file.name, read_questions(file, documents)
    else:
        source, tested = test_pairs(s)
        found = from_pairs(tested)
    return source, found, draw(found, settings.max_questions, settings.seed)


def _written(s: Session, report: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Write the report in every form; what ``--json`` prints."""
    from eval.report import render
    from eval.tables import to_csv, to_markdown
    from fieldguide.files import write_atomically, write_json

    write_json(folder / "report.json", report)
    write_atomically(folder / "report.csv", to_csv(report))
    write_atomically(folder / "report.md", to_markdown(report))
    page = render(report, folder)
    told = (
        "verdict", "verdict_kind", "questions", "arms", "retrieval", "differences", "interaction", "groups", "since",
        "gates", "judge", "integrity", "timings",
    )  # fmt: skip
    return {k: report[k] for k in told if k in report} | {
        "report": str(page), "report_json": str(folder / "report.json"),
    }  # fmt: skip


def _reports(s: Session, verb: str) -> Iterator[dict[str, Any]]:
    """The workspace's reports of this verb, the newest first; what cannot be read is passed over."""
    for file in sorted(s.workspace.runs_folder.glob(f"*-{verb}*/report.json"), reverse=True):
        try:
            report = json.loads(file.read_text("utf-8"))
        except (OSError, ValueError):  # half a file
            continue
        if isinstance(report, dict):
            yield report


def _looks(s: Session, adapter: str | None, questions: Sequence[TestQuestion]) -> list[frozenset[str]]:
    """The questions of earlier comparisons of the same model and adapter, each set once, the oldest first; up to these
    very questions, if they were asked before."""
    now = frozenset(question.id for question in questions)
    sets: list[frozenset[str]] = []
    for report in _reports(s, "compare"):
        try:
            if (report["integrity"]["adapter"], report["models"]["generator"]) == (adapter, s.generator.id):
                sets.append(frozenset(item["id"] for item in report["items"]))
        except (KeyError, TypeError):  # of an older version
            continue
    oldest_first = list(dict.fromkeys(reversed(sets)))
    return oldest_first[: oldest_first.index(now)] if now in oldest_first else oldest_first


def _since(s: Session, report: Mapping[str, Any], verb: str) -> dict[str, Any] | None:
    """Against the newest earlier report of this verb on the same questions; None where there is none."""
    from eval.report_diff import diff

    for earlier in _reports(s, verb):
        try:
            if earlier["questions"]["hash"] != report["questions"]["hash"]:
                continue
            compare = s.settings.compare
            return diff(earlier, report, seed=compare.seed, samples=compare.samples)
        except (KeyError, TypeError, FieldguideError):  # of an older version
            continue
    return None


def _likelihoods(s: Session, adapter: str | None) -> Any:
    """What tells likelihoods, where a setting wants it and the weights are in memory; else None."""
    if "likelihood" not in s.settings.compare.two_paths:
        return None
    from assistant.answer import prompt_of
    from tuning.distillation import answer_likelihoods

    try:
        model = s.trainable
    except ModelError:
        raise SettingsError(
            'compare.two_paths names "likelihood", which a model behind an API does not tell; take it out, or name '
            "local weights as models.generator."
        ) from None
    if adapter is not None and adapter not in model.loaded:
        raise SettingsError(
            'compare.two_paths names "likelihood", which an adapter in a process of its own does not tell; take it out.'
        )

    def of(
        adapter: str | None, questions: Sequence[str], contexts: Sequence[Context | None], answers: Sequence[str]
    ) -> list[float]:
        prompts = [prompt_of(q, c, s.answering) for q, c in zip(questions, contexts, strict=True)]
        return answer_likelihoods(model, prompts, answers, adapter=adapter)

    return of


def robustness(s: Session, questions_file: Path | None, limit: int, k: int) -> dict[str, Any]:
    """Ask base and tuned model under every condition; write table and plot."""
    from eval.answering import Answering
    from eval.dev_questions import with_gold
    from eval.plots import plot_places
    from eval.questions import draw
    from eval.robustness import robustness as run
    from fieldguide.files import write_json

    source, found, _ = _questions(s, questions_file)
    questions = with_gold(draw(found, limit, s.settings.compare.seed), s.catalog)
    adapter = load_adapter(s, base=False, needed=True)
    names = {"base": None} | ({"tuned": adapter} if adapter is not None else {})
    conditions = 6 + k
    s.announce(
        f"{len(questions)} questions, {conditions} conditions, {len(names)} models",
        {"answers under conditions": (len(questions) * conditions * len(names), 1.0)}, 5,
    )  # fmt: skip
    retriever = s.retriever()
    documents = {document.id: document for document in s.catalog.documents()}
    base_hash = s.generator.base_hash()
    models = {
        name: Answering(s.catalog, s.generator, which, s.answering, documents, retriever.index_id, base_hash, name=name)
        for name, which in names.items()
    }
    report = run(
        questions, retriever=retriever, retrieval=s.settings.retrieval, models=models, compare=s.settings.compare, k=k,
        progress=s.progress,
    )  # fmt: skip
    s.progress.finish()
    report |= {"source": source, "adapter": adapter, "model": s.generator.id}
    folder = s.workspace.new_run("robustness")
    write_json(folder / "robustness.json", report)
    plot = plot_places(report, folder / "places.png")
    _show_robustness(s, report)
    s.say(f"Written: {folder / 'robustness.json'}, {plot}")
    return report | {"plot": str(plot)}


def _show_robustness(s: Session, report: Mapping[str, Any]) -> None:
    from eval.labels import interval_words, mean_words, signed

    table = Table(
        "model", "condition", "token F1", "against as served", "right or wrong as before", title_justify="left",
        title=f"{report['questions']} questions, mean and 95% interval (points of 100)",
    )  # fmt: skip
    for row in [*report["conditions"], *report["places"]]:
        gap = row["difference"]
        told = f"{signed(gap['mean'])} ({interval_words(gap)})" if gap else "–"
        same = f"{100 * row['same']:.0f}%" if row["same"] is not None else "–"
        table.add_row(Text(row["model"]), row["condition"], _words("", row), told, same)
    s.console.print(table)
    for row in report["counterfactual"]:
        if row["n"]:
            shares = ", ".join(f"{mean_words(row[kind])}% {kind}" for kind in ("follows", "remembers", "other"))
            s.say(f"Answer changed in the passage, {row['model']}, {row['n']} questions: {shares}")


# -- judges


def _judge_of_answers(s: Session) -> JudgeOfAnswers | None:
    """The judge of the settings with its calibration, if one was made here."""
    from eval.judged import JudgeOfAnswers

    name = s.settings.compare.judge
    if not name:
        return None
    judge, generator = _judge(s, name)
    try:
        kept = json.loads(_calibration_file(s, generator).read_text("utf-8"))
        calibration = {kind: kept[kind] for kind in ("pairs", "grades")}
    except (OSError, ValueError, KeyError, TypeError):
        calibration = None
    return JudgeOfAnswers(judge, name, calibration, s.settings.compare.aspects)


def _judge(s: Session, name: str) -> tuple[Judge, Generator]:
    from eval.judge import Judge

    generator = s.generator if name == s.settings.models.generator else s.load_generator(name)
    return Judge(generator, seed=s.settings.compare.seed), generator


def _calibration_file(s: Session, generator: Generator) -> Path:
    from eval.judge import judge_hash

    return s.workspace.state / "judges" / f"{content_hash(generator.id, judge_hash())[:16]}.json"


def calibrate(s: Session, labels: Path, model: str) -> dict[str, Any]:
    """Judge what people have judged, tell how far they agree, and keep it for reports."""
    from eval.calibration import calibrate as compare_labels
    from eval.labelled import read_labels
    from fieldguide.files import write_json

    rows = read_labels(labels)
    name = model or s.settings.compare.judge or s.settings.models.generator
    judge, generator = _judge(s, name)
    seed = s.settings.compare.seed
    out: dict[str, Any] = {"judge": name, "model": generator.id, "labels": labels.name, "pairs": None, "grades": None}
    s.progress.start("judging", 2 * len(rows.pairs) + len(rows.graded))
    if rows.pairs:
        judged = judge.compare([pair for pair, _ in rows.pairs])
        s.progress.advance(2 * len(rows.pairs))
        out["pairs"] = asdict(compare_labels(
            [one.verdict for one in judged], [label for _, label in rows.pairs], [one.flipped for one in judged],
            clusters=[pair.question for pair, _ in rows.pairs], seed=seed))  # fmt: skip
    if rows.graded:
        grades = judge.grade(*(list(column) for column in zip(*(row[:3] for row in rows.graded), strict=True)))
        s.progress.advance(len(rows.graded))
        out["grades"] = asdict(compare_labels(
            grades, [row[3] for row in rows.graded], clusters=[row[0] for row in rows.graded], seed=seed))  # fmt: skip
    s.progress.finish()
    for kind in ("pairs", "grades"):
        if out[kind] is not None:
            s.say(_calibration_words(kind, out[kind]))
    file = _calibration_file(s, generator)
    file.parent.mkdir(parents=True, exist_ok=True)
    earlier = json.loads(file.read_text("utf-8")) if file.exists() else {}
    write_json(file, out | {kind: out[kind] or earlier.get(kind) for kind in ("pairs", "grades")})
    s.say(f"Kept for reports that {name} judges: {file}")
    return out


def _calibration_words(kind: str, value: Mapping[str, Any]) -> str:
    agreement = value["agreement"]
    said = "no reply could be parsed"
    if agreement is not None:
        said = f"agrees with people in {_words('', agreement)}%, Cohen's kappa {value['kappa']:.2f}"
    flips = f", order flips {100 * value['flip_rate']:.1f}%" if kind == "pairs" else ""
    return f"{kind} ({value['n']}): {said}{flips}, not parsed {100 * value['unparsed']:.1f}%"


# -- on the screen


def report_diff(before: Path, after: Path, say: Callable[[str], None]) -> dict[str, Any]:
    """Compare two finished reports. Raises FieldguideError for files that are none."""
    from eval.report_diff import diff, told

    found = diff(_read_report(before), _read_report(after))
    for line in told(found):
        say(line)
    return found


def _read_report(path: Path) -> dict[str, Any]:
    file = path / "report.json" if path.is_dir() else path.with_suffix(".json")
    try:
        report: dict[str, Any] = json.loads(file.read_text("utf-8"))
        if not all(answer["scores"] for item in report["items"] for answer in item["answers"].values()):
            raise KeyError("scores")
    except OSError as error:
        raise FieldguideError(f"The report {file} cannot be read: {error.strerror}.") from None
    except (ValueError, KeyError, TypeError):
        raise FieldguideError(
            f"{file} is no report of this version: give the report.json (or the run's folder) of `fieldguide compare` "
            "or `fieldguide eval`."
        ) from None
    return report


def show_comparison(s: Session, report: dict[str, Any]) -> None:
    """The arms with their intervals, the differences, and the verdict."""
    show_arms(s, report)
    for row in report["differences"]:
        if row["metric"] == "token_f1":
            clear = "" if row["clear"] else "   not clear of zero"
            low, high = 100 * row["low"], 100 * row["high"]
            points = f"{100 * row['mean']:+.1f} F1 points ({low:+.1f} to {high:+.1f})"
            s.say(f"  {row['a']} − {row['b']}: {points}{clear}")
    for row in (report["since"] or {}).get("arms", []):
        if row["negative"] or row["positive"]:
            s.say(
                f"  {row['name']}, since {report['since']['before']}: {len(row['negative'])} right before and wrong "
                f"now, {len(row['positive'])} the other way round"
            )
    s.say(report["verdict"])


def show_arms(s: Session, report: dict[str, Any]) -> None:
    """The arms' means with their intervals."""
    from eval.labels import label_of

    table = Table(
        "arm", *map(label_of, _SHOWN), title_justify="left",
        title=f"{report['questions']['n']} questions, mean and 95% interval (points of 100)",
    )  # fmt: skip
    for arm in report["arms"]:
        table.add_row(Text(arm["name"]), *(_words(name, arm["metrics"].get(name)) for name in _SHOWN))
    s.console.print(table)


def _words(measure: str, value: Any) -> str:
    from eval.labels import value_words

    return value_words(measure, value)
