"""The commands that measure answers: compare, eval, robustness, report and judge. Their work is in ``evaluating``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fieldguide.cli.options import HERE, Json, Root

TestQuestions = Annotated[
    Path | None,
    typer.Option(help="JSON lines with id, question, answer, document, page; else the test split's pairs."),
]
Most = Annotated[int | None, typer.Option(help="At most so many questions, drawn by seed.")]


def compare(
    workspace: Root = HERE,
    questions: TestQuestions = None,
    max_questions: Most = None,
    as_json: Json = False,
) -> None:
    """Compare base and tuned, each with and without retrieval, on held-out questions; write an HTML report."""
    from fieldguide.cli import evaluating
    from fieldguide.cli.session import session

    flags = {"compare": {"max_questions": max_questions}}
    with session("compare", workspace, as_json=as_json, flags=flags) as s:
        s.emit(evaluating.compare(s, questions))


def evaluate(
    workspace: Root = HERE,
    questions: TestQuestions = None,
    max_questions: Most = None,
    gate: Annotated[
        list[str] | None,
        typer.Option(help="MEASURE>=NUMBER or MEASURE<=NUMBER, e.g. 'token_f1>=0.4', 'negative_flips<=2'; repeatable."),
    ] = None,
    base: Annotated[bool, typer.Option("--base", help="Without the adapter in use.")] = False,
    as_json: Json = False,
) -> None:
    """Measure the answers as `ask` gives them now; with --gate exit code 1 where a threshold does not hold."""
    from fieldguide.cli import evaluating
    from fieldguide.cli.session import session

    flags = {"compare": {"max_questions": max_questions}}
    with session("eval", workspace, as_json=as_json, flags=flags) as s:
        result, passed = evaluating.evaluate(s, questions, gate or [], base=base)
        s.emit(result)
    if not passed:
        raise typer.Exit(1)


def robustness(
    workspace: Root = HERE,
    questions: TestQuestions = None,
    max_questions: Annotated[int, typer.Option(min=1, help="At most so many questions, drawn by seed.")] = 60,
    k: Annotated[int, typer.Option("-k", min=1, max=20, help="Passages: the right one among hard negatives.")] = 5,
    as_json: Json = False,
) -> None:
    """How much answers of base and tuned model depend on wording, order, place of the right passage, and memory."""
    from fieldguide.cli import evaluating
    from fieldguide.cli.session import session

    with session("robustness", workspace, as_json=as_json) as s:
        s.emit(evaluating.robustness(s, questions, max_questions, k))


report_app = typer.Typer(help="Finished reports of compare and eval.", no_args_is_help=True)


@report_app.command()
def diff(
    before: Annotated[Path, typer.Argument(help="The older report.json, or its run's folder.")],
    after: Annotated[Path, typer.Argument(help="The newer one.")],
    as_json: Json = False,
) -> None:
    """Compare two reports on the same questions: what got better or worse, and which answers flipped."""
    from rich.console import Console

    from fieldguide.cli import evaluating
    from fieldguide.cli.session import guarded, print_json

    console = Console(stderr=True, soft_wrap=True)
    with guarded(console, as_json):
        found = evaluating.report_diff(before, after, lambda line: console.print(line, highlight=False, markup=False))
        if as_json:
            print_json(found)


judge_app = typer.Typer(help="Models that judge answers.", no_args_is_help=True)


@judge_app.command()
def calibrate(
    labels: Annotated[Path, typer.Argument(help="JSON lines that people labelled: see docs/evaluation.md.")],
    workspace: Root = HERE,
    model: Annotated[str, typer.Option(help="By name or folder; else compare.judge, else the generator.")] = "",
    as_json: Json = False,
) -> None:
    """Compare a judge with people's labels; reports print the result beside every judged figure."""
    from fieldguide.cli import evaluating
    from fieldguide.cli.session import session

    with session("judge", workspace, as_json=as_json) as s:
        s.emit(evaluating.calibrate(s, labels, model))
