"""The verb `fieldguide qa` and those below it: their options. Imports nothing heavy; see ``fieldguide.cli.pairs``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from fieldguide.cli.options import HERE, Json, Root

qa_app = typer.Typer(
    invoke_without_command=True,
    help="Make question-answer pairs from the chunks: checked against their source, split without leaks.",
)


@qa_app.callback()
def qa(
    context: typer.Context,
    workspace: Root = HERE,
    per_chunk: Annotated[int | None, typer.Option(help="At most so many pairs from one chunk and source.")] = None,
    model_chunks: Annotated[
        int | None, typer.Option(help="Ask the model about at most so many chunks; 0 = all.")
    ] = None,
    answers: Annotated[
        str | None, typer.Option(help="together: with the question; retrieved: afterwards, from retrieved passages.")
    ] = None,
    confidence: Annotated[
        str | None, typer.Option(help="auto: drop pairs below a confidence chosen on the dev pairs (CLEAR); off.")
    ] = None,
    budget_tokens: Annotated[int | None, typer.Option(help="Stop after so many tokens of a remote model.")] = None,
    budget_money: Annotated[float | None, typer.Option(help="Stop after so much money for a remote model.")] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before a run that costs money.")] = False,
    as_json: Json = False,
) -> None:
    """Make question-answer pairs from the chunks: checked against their source, split without leaks.

    Run again, it asks only about what is new. A killed run goes on where it was.
    """
    if context.invoked_subcommand is not None:
        sources = {name: context.get_parameter_source(name) for name in context.params}
        given = [name for name, source in sources.items() if source is not None and source.name == "COMMANDLINE"]
        if given:
            option = "--json" if given[0] == "as_json" else "--" + given[0].replace("_", "-")
            raise typer.BadParameter(f"{option} stands before {context.invoked_subcommand}; write it after that.")
        return
    from fieldguide.cli import pairs
    from fieldguide.cli.session import session

    flags = {
        "questions": {
            "per_chunk": per_chunk, "model_chunks": model_chunks, "answers": answers, "confidence": confidence,
            "budget_tokens": budget_tokens, "budget_money": budget_money,
        }
    }  # fmt: skip
    with session("qa", workspace, as_json=as_json, flags=flags) as s:
        s.emit(pairs.make(s, yes=yes))


@qa_app.command()
def review(
    export: Annotated[
        Path | None, typer.Option(help="Write the pairs to this .jsonl, .csv or .xlsx file, to be judged.")
    ] = None,
    take: Annotated[
        Path | None, typer.Option("--import", help="Take a person's verdicts, edits and new pairs from this file.")
    ] = None,
    author: Annotated[str, typer.Option(help="Who judged; recorded with each pair.")] = "",
    split: Annotated[str | None, typer.Option(help="Only pairs of this split: train, dev or test.")] = None,
    workspace: Root = HERE,
    as_json: Json = False,
) -> None:
    """Have a person judge, mend and add pairs, in a spreadsheet or editor.

    In the file, put accept, reject or edit into the column "verdict", mended text into "edited_question" and
    "edited_answer", and new pairs into rows without an id. Exit code 3: some rows could not be taken; the others were.
    """
    from fieldguide.cli import pairs
    from fieldguide.cli.session import session

    if (export is None) == (take is None):
        raise typer.BadParameter("give either --export FILE or --import FILE.")
    if take is not None and not author.strip():
        raise typer.BadParameter("--import needs --author, whose verdicts these are.")
    if take is not None and split is not None:
        raise typer.BadParameter("--split goes with --export.")
    result: dict[str, Any] = {}
    with session("qa review", workspace, as_json=as_json, write=take is not None) as s:
        if export is not None:
            result = pairs.export(s, export, split)
        elif take is not None:
            result = pairs.take(s, take, author.strip())
        s.emit(result)
    if result.get("faults"):
        raise typer.Exit(3)


@qa_app.command()
def report(
    judge: Annotated[
        bool | None, typer.Option("--judge/--no-judge", help="Have the generator rate a sample (not the bundled one).")
    ] = None,
    workspace: Root = HERE,
    as_json: Json = False,
) -> None:
    """Measure the pairs: the paper's question metrics, kinds, coverage, rejections by reason, as an HTML file."""
    from fieldguide.cli import pairs
    from fieldguide.cli.session import session

    with session("qa report", workspace, as_json=as_json) as s:
        s.emit(pairs.report(s, judge))


@qa_app.command()
def freeze(workspace: Root = HERE, as_json: Json = False) -> None:
    """Keep the test pairs as they are now: `compare` uses them, and prints their hash, until others are frozen."""
    from fieldguide.cli import pairs
    from fieldguide.cli.session import session

    with session("qa freeze", workspace, as_json=as_json) as s:
        s.emit(pairs.freeze(s))


@qa_app.command()
def prompts(
    folder: Annotated[Path, typer.Argument(help="Where to write them.")],
    as_json: Json = False,
) -> None:
    """Write the prompts that ask a model for pairs into a folder, to be edited; name it in questions.prompts."""
    from rich.console import Console

    from fieldguide.cli import pairs
    from fieldguide.cli.session import guarded

    console = Console(stderr=True, soft_wrap=True)
    with guarded(console, as_json):
        pairs.prompts(console, folder, as_json)


@qa_app.command()
def adapter(
    data: Annotated[Path, typer.Argument(help="A folder with train.jsonl and val.jsonl of people's pairs.")],
    out: Annotated[Path, typer.Option(help="Where to put the adapter; name it in questions.adapter.")],
    passages: Annotated[int, typer.Option(min=0, help="Learn from at most so many passages; 0 = all.")] = 800,
    epochs: Annotated[float, typer.Option(help="Passes over them.")] = 1.0,
    rank: Annotated[int, typer.Option(min=1, help="Rank of the adapter.")] = 16,
    workspace: Root = HERE,
    as_json: Json = False,
) -> None:
    """Teach the generator to write and to check questions, from people's pairs (story, section, question, answer).

    The adapter that comes with the bundled model was made with this command. Ctrl-C is safe: run it again.
    """
    from fieldguide.cli import pairs
    from fieldguide.cli.session import session

    flags = {"tuning": {"max_examples": passages, "epochs": epochs, "rank": rank, "alpha": 2 * rank}}
    with session("qa adapter", workspace, as_json=as_json, flags=flags) as s:
        s.emit(pairs.train_adapter(s, data, out))
