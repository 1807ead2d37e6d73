"""The verb `fieldguide adapters` and those below it: their options. Imports nothing heavy; see ``cli.registry``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fieldguide.cli.options import HERE, Json, Root

adapters_app = typer.Typer(
    invoke_without_command=True,
    help="List, compare, switch and delete the adapters that `fieldguide tune` made. Without a verb: list. An adapter "
    "is named by its id or the beginning of it.",
)
Id = Annotated[str, typer.Argument(metavar="ID", help="The adapter's id, or as much of it as no other begins with.")]
Check = Annotated[
    bool,
    typer.Option(
        "--check/--no-check",
        help="Load the model of the settings to see that the adapter was tuned on its weights; else only files and the "
        "model's name are checked.",
    ),
]


@adapters_app.callback()
def adapters(context: typer.Context, workspace: Root = HERE, as_json: Json = False) -> None:
    verb = context.invoked_subcommand
    if verb is None:
        list_(workspace, as_json)
        return
    for name, option in (("workspace", "--workspace"), ("as_json", "--json")):
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            raise typer.BadParameter(f"{option} stands before {verb}; write it after that.")


@adapters_app.command("list")
def list_(workspace: Root = HERE, as_json: Json = False) -> None:
    """Show every adapter: what it was tuned on, what came of it, which one is in use, and what to know about it."""
    from fieldguide.cli import registry
    from fieldguide.cli.session import session

    with session("adapters list", workspace, as_json=as_json, write=False) as s:
        s.emit(registry.list_all(s))


@adapters_app.command()
def show(adapter: Id, workspace: Root = HERE, as_json: Json = False) -> None:
    """Show the whole manifest of an adapter, whether its weights are unharmed, and what has moved since.

    With --json also the hash of each fact that it was tuned on.
    """
    from fieldguide.cli import registry
    from fieldguide.cli.session import session

    with session("adapters show", workspace, as_json=as_json, write=False) as s:
        s.emit(registry.show(s, adapter))


@adapters_app.command()
def compare(
    first: Annotated[str, typer.Argument(metavar="A", help="An adapter's id or its beginning.")],
    second: Annotated[str, typer.Argument(metavar="B", help="Another one's.")],
    workspace: Root = HERE,
    as_json: Json = False,
) -> None:
    """Show two adapters side by side: settings that differ, training sets, curves, and metrics with their intervals.

    Nothing is measured anew. For a verdict with paired statistics use one, run `fieldguide compare`, use the other, and
    run it again on the same questions.
    """
    from fieldguide.cli import registry
    from fieldguide.cli.session import session

    with session("adapters compare", workspace, as_json=as_json, write=False) as s:
        s.emit(registry.compare(s, first, second))


@adapters_app.command()
def use(
    adapter: Annotated[
        str, typer.Argument(metavar="ID", help="The adapter's id or its beginning; base: the model without any.")
    ],
    check: Check = True,
    workspace: Root = HERE,
    as_json: Json = False,
) -> None:
    """Put an adapter in use: `ask` and `compare` answer with it from now on.

    Refused where its files are missing or changed, or where it was tuned on another model than that of the settings.
    """
    from fieldguide.cli import registry
    from fieldguide.cli.session import session

    with session("adapters use", workspace, as_json=as_json) as s:
        s.emit(registry.use(s, adapter, check=check))


@adapters_app.command()
def back(check: Check = True, workspace: Root = HERE, as_json: Json = False) -> None:
    """Roll back to the adapter that was in use before this one; again, to the one before that."""
    from fieldguide.cli import registry
    from fieldguide.cli.session import session

    with session("adapters back", workspace, as_json=as_json) as s:
        s.emit(registry.back(s, check=check))


@adapters_app.command()
def delete(
    ids: Annotated[list[str], typer.Argument(metavar="ID...", help="Ids of adapters, or their beginnings.")],
    force: Annotated[
        bool, typer.Option("--force", help="Also the one in use; the model then answers without an adapter.")
    ] = False,
    workspace: Root = HERE,
    as_json: Json = False,
) -> None:
    """Delete adapters with their files: at once, all that are named or (if one cannot be) none.

    What a run left in .fieldguide/runs stays. The one in use is only deleted with --force.
    """
    from fieldguide.cli import registry
    from fieldguide.cli.session import session

    with session("adapters delete", workspace, as_json=as_json) as s:
        s.emit(registry.delete(s, ids, force=force))


@adapters_app.command()
def reader(
    data: Annotated[Path, typer.Argument(help="A folder with train.jsonl and val.jsonl of people's pairs.")],
    out: Annotated[Path, typer.Option(help="Where to put the adapter; name it in tuning.start.")],
    contexts: Annotated[int, typer.Option(min=0, help="Learn from at most so many contexts; 0 = all.")] = 0,
    epochs: Annotated[float, typer.Option(help="Passes over them.")] = 1.0,
    rank: Annotated[int, typer.Option(min=1, help="Rank of the adapter.")] = 16,
    workspace: Root = HERE,
    as_json: Json = False,
) -> None:
    """Teach the generator to read, from people's pairs (story, section, question, answer), for tuning to begin with.

    The reader that comes with the bundled model was made with this command. Ctrl-C is safe: run it again.
    """
    from fieldguide.cli import registry
    from fieldguide.cli.session import session

    flags = {"tuning": {"max_examples": contexts, "epochs": epochs, "rank": rank, "alpha": 2 * rank}}
    with session("adapters reader", workspace, as_json=as_json, flags=flags) as s:
        s.emit(registry.train_reader(s, data, out))
