"""The command `fieldguide`: its verbs and options. Imports nothing heavy; the work is in ``fieldguide.cli.verbs``."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from fieldguide import __version__
from fieldguide.cli import calibrating, reports
from fieldguide.cli.adapters import adapters_app
from fieldguide.cli.exporting import export
from fieldguide.cli.options import HERE, After, Json, Root, User, Where
from fieldguide.cli.qa import qa_app

app = typer.Typer(
    name="fieldguide",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Turn a shelf of PDFs into an assistant that knows that field: answers cited to page and span, and evidence "
    "whether retrieval, fine-tuning or both were worth it. Start with `fieldguide init`, or see `fieldguide demo`.",
)


def _version(value: bool) -> None:
    if value:
        typer.echo(f"fieldguide {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    return None


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(help="Where to make the workspace.")] = HERE,
    show: Annotated[bool, typer.Option("--print", help="Only print a fieldguide.toml with all settings.")] = False,
    as_json: Json = False,
) -> None:
    """Make a workspace: fieldguide.toml with all settings, and .fieldguide/ for everything made from documents."""
    from rich.console import Console

    from fieldguide.cli.session import guarded, print_json

    console = Console(stderr=True, soft_wrap=True)
    with guarded(console, as_json):
        from fieldguide.settings import template
        from fieldguide.workspace import init_workspace

        if show:
            if as_json:
                print_json({"template": template()})
            else:
                typer.echo(template(), nl=False)
            return
        root = init_workspace(folder).root.resolve()
        if as_json:
            print_json({"workspace": str(root)})
        where = "" if root == Path.cwd() else f" -w {folder}"
        for line in (
            f"Workspace {root}: settings in fieldguide.toml, state in .fieldguide/.",
            f"Next: fieldguide ingest FOLDER_OF_PDFS{where}",
        ):
            console.print(line, highlight=False, markup=False)


@app.command()
def ingest(
    paths: Annotated[
        list[Path], typer.Argument(help="PDF, text, Markdown, HTML or office files, or folders that hold some.")
    ],
    workspace: Root = HERE,
    prune: Annotated[
        bool | None,
        typer.Option("--prune/--keep", help="Delete or keep documents whose file is gone; a terminal asks."),
    ] = None,
    report: Annotated[Path | None, typer.Option(help="Write what became of each file to this CSV file.")] = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="Follow the folders and read what changes, until Ctrl-C.")
    ] = False,
    ocr: Annotated[str | None, typer.Option(help="auto: pages without usable text are read by OCR; off.")] = None,
    ocr_language: Annotated[str | None, typer.Option(help='Languages for OCR, such as "eng+deu".')] = None,
    workers: Annotated[int | None, typer.Option(help="Files read at a time; 0 = one for each core.")] = None,
    as_json: Json = False,
) -> None:
    """Read documents into pages and chunks, and bring the index up to date. Unchanged files are skipped.

    Exit code 0: every file was read; 3: some were not (the table says which and why). Passwords come from the variable
    FIELDGUIDE_PASSWORDS (PATTERN=PASSWORD, one a line) or the file that ingest.keyfile names.
    """
    from fieldguide.cli import shelving
    from fieldguide.cli.session import session

    flags = {"ingest": {"ocr": ocr, "ocr_language": ocr_language, "workers": workers}}
    result: dict[str, Any] = {"all_read": True}
    for _ in shelving.changes(paths) if watch else (None,):
        with session("ingest", workspace, as_json=as_json, flags=flags) as s:
            result = shelving.ingest(s, paths, prune, report)
            s.emit(result)
        if watch:
            typer.echo("Watching; Ctrl-C ends it.", err=True)
    if not result["all_read"]:
        raise typer.Exit(shelving.EXIT_SOME_NOT_READ)


@app.command()
def index(
    workspace: Root = HERE,
    merge: Annotated[
        bool, typer.Option("--merge", help="Write everything anew, so that nothing of what was deleted is left.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Bring the index up to date with chunks, pairs and settings; `ingest` and `qa` do it by themselves."""
    from fieldguide.cli import shelving
    from fieldguide.cli.session import session

    with session("index", workspace, as_json=as_json) as s:
        s.emit(shelving.index(s, merge))


@app.command()
def facets(
    name: Annotated[str | None, typer.Argument(help="Show all values of this facet.")] = None,
    workspace: Root = HERE,
    as_json: Json = False,
) -> None:
    """Show what documents and chunks can be filtered by: language, dates, places, organisations, and your own."""
    from fieldguide.cli import shelving
    from fieldguide.cli.session import session

    with session("facets", workspace, as_json=as_json, write=False) as s:
        s.emit(shelving.facets(s, name))


app.add_typer(qa_app, name="qa")


@app.command()
def tune(
    workspace: Root = HERE,
    minutes: Annotated[float | None, typer.Option(help="Plan the training to end within so many minutes.")] = None,
    epochs: Annotated[float | None, typer.Option(help="Passes over the training examples.")] = None,
    max_examples: Annotated[int | None, typer.Option(help="Train on at most so many pairs; 0 = all.")] = None,
    method: Annotated[
        str | None, typer.Option(help="lora, rslora, dora, qlora, pissa, olora, corda, loftq or kasa.")
    ] = None,
    target: Annotated[str | None, typer.Option(help="What is learned: answer, marked or reasoned.")] = None,
    start: Annotated[str | None, typer.Option(help="Adapter to begin with: auto, none or a folder.")] = None,
    processes: Annotated[int, typer.Option(min=1, help="Processes that train together: one for each GPU.")] = 1,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only write the training set as JSON lines, and show what is in it.")
    ] = False,
    retriever: Annotated[
        bool, typer.Option("--retriever", help="Tune the embedder instead, with an index of its own.")
    ] = False,
    reranker: Annotated[bool, typer.Option("--reranker", help="Tune a cross-encoder that reranks, instead.")] = False,
    distil: Annotated[
        bool, typer.Option("--distil", help="With --retriever: learn also which passages help the generator.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Tune a LoRA adapter on the pairs, over the passages that retrieval really returns.

    Ctrl-C is safe: run it again, and it goes on where it was. With --retriever or --reranker retrieval itself is tuned
    on the pairs, compared with what is in use on held-out questions, and put in use only if it is no worse.
    """
    from fieldguide.cli import retriever_tuning, verbs
    from fieldguide.cli.session import session

    if retriever and reranker:
        raise typer.BadParameter("choose --retriever or --reranker: one is trained after the other.")
    if distil and not retriever:
        raise typer.BadParameter("--distil goes with --retriever.")
    given = {"epochs": epochs, "max_examples": max_examples, "method": method, "target": target, "start": start}
    if (retriever or reranker) and (dry_run or processes > 1 or any(value is not None for value in given.values())):
        raise typer.BadParameter(
            "only --minutes and --distil go with --retriever and --reranker; the rest is for the adapter."
        )
    flags = {"tuning": {"minutes": minutes, **given}}
    with session("tune", workspace, as_json=as_json, flags=flags) as s:
        if retriever:
            s.emit(retriever_tuning.tune_retriever(s, minutes=minutes or 0.0, distil=distil))
        elif reranker:
            s.emit(retriever_tuning.tune_reranker(s, minutes=minutes or 0.0))
        elif dry_run:
            s.emit(verbs.dry_run(s))
        else:
            s.emit(verbs.tune(s, processes))


app.add_typer(adapters_app, name="adapters")
app.command()(export)


@app.command()
def prefer(
    pairs: Annotated[
        Path, typer.Option("--pairs", help="JSON lines with question, chosen, rejected; also document, context.")
    ],
    workspace: Root = HERE,
    beta: Annotated[
        float | None, typer.Option(min=0.001, help="How close the adapter stays to its start; default 0.1.")
    ] = None,
    learning_rate: Annotated[float | None, typer.Option(min=0.0, max=1.0, help="Peak; default 0.00005.")] = None,
    epochs: Annotated[float | None, typer.Option(min=0.01, help="Passes over the pairs; default 3.")] = None,
    as_json: Json = False,
) -> None:
    """Tune the adapter in use on accepted and rejected answers (DPO), in the prompts in which they are served.

    The new adapter is used only if it prefers the accepted answers of questions held out. Ctrl-C is safe: run it again,
    and it goes on where it was.
    """
    from fieldguide.cli import preferring
    from fieldguide.cli.session import session

    with session("prefer", workspace, as_json=as_json) as s:
        s.emit(preferring.prefer(s, pairs, beta=beta, learning_rate=learning_rate, epochs=epochs))


@app.command()
def ask(
    question: Annotated[str, typer.Argument(help="The question.")],
    workspace: Root = HERE,
    no_rag: Annotated[
        bool, typer.Option("--no-rag", help="Let the model answer from memory, without passages.")
    ] = False,
    base: Annotated[bool, typer.Option("--base", help="Use the base model, without the adapter.")] = False,
    show_passages: Annotated[
        bool, typer.Option("--show-passages", help="Show what the model was given to read.")
    ] = False,
    where: Where = None,
    user: User = None,
    after: After = None,
    k: Annotated[int | None, typer.Option(help="Passages shown to the model.")] = None,
    order: Annotated[str | None, typer.Option(help="Order of the passages: rank, ends or reverse.")] = None,
    boxes: Annotated[
        bool, typer.Option("--boxes", help="With --json: where on its page each citation stands, a box for each line.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Answer a question from the documents, each statement cited to a page and the characters that say it."""
    from fieldguide.cli import verbs
    from fieldguide.cli.session import session

    if boxes and not as_json:
        raise typer.BadParameter("--boxes goes with --json; `fieldguide page` draws a page with a quote marked.")
    flags = {"retrieval": {"k": k, "order": order}}
    with session("ask", workspace, as_json=as_json, flags=flags, write=False) as s:
        asked = s.standalone(question, after or ())
        s.emit(
            verbs.ask(
                s, asked, rag=not no_rag, base=base, show_passages=show_passages, where=where or (), user=user,
                boxes=boxes,
            )
        )  # fmt: skip


@app.command()
def page(
    document: Annotated[str, typer.Argument(help="Name of a document's file, as citations show it.")],
    number: Annotated[int, typer.Argument(min=1, help="The page, from 1.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The PNG file to write.")],
    quote: Annotated[str | None, typer.Option(help="Mark this text of the page, wherever it stands there.")] = None,
    dpi: Annotated[float, typer.Option(min=20, max=600, help="Resolution; less for very large pages.")] = 110,
    workspace: Root = HERE,
    as_json: Json = False,
) -> None:
    """Draw a page of a document that was read, with a quote marked where it stands. Pages of PDFs only."""
    from fieldguide.cli import drawing
    from fieldguide.cli.session import session

    with session("page", workspace, as_json=as_json, write=False) as s:
        s.emit(drawing.page(s, document, number, output, quote or "", dpi))


@app.command()
def chat(
    workspace: Root = HERE,
    resume: Annotated[
        str | None, typer.Option(help='Go on with the conversation of this id, or with the "last".')
    ] = None,
    show: Annotated[bool, typer.Option("--list", help="Only show the conversations that can be gone on with.")] = False,
    base: Annotated[bool, typer.Option("--base", help="Use the base model, without the adapter.")] = False,
    where: Where = None,
    user: User = None,
    as_json: Json = False,
) -> None:
    """Talk with the documents: answers appear as they are written, with their citations; /help shows the commands.

    Questions may lean on those before. What is said is kept in .fieldguide/chats, verdicts on answers (/good, /bad,
    /correct) in .fieldguide/feedback.jsonl. Lines may be piped in. Exit code 1: some of those could not be answered.
    """
    from fieldguide.cli import chatting
    from fieldguide.cli.session import session

    with session("chat", workspace, as_json=as_json, write=False) as s:
        if show:
            s.emit(chatting.show_histories(s))
        elif not chatting.run(s, resume=resume, base=base, where=where or (), user=user):
            raise typer.Exit(1)


@app.command()
def batch(
    questions: Annotated[Path, typer.Argument(help="A .csv, .xlsx, .jsonl or .parquet file with a question a row.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Write the answers here: .csv, .xlsx, .jsonl or .parquet.")
    ],
    workspace: Root = HERE,
    column: Annotated[str, typer.Option(help="The column that holds the questions.")] = "question",
    where_column: Annotated[
        list[str] | None,
        typer.Option(help="A column with values of the facet that it is named after, for its row; may be repeated."),
    ] = None,
    where: Where = None,
    user: User = None,
    base: Annotated[bool, typer.Option("--base", help="Use the base model, without the adapter.")] = False,
    batch_size: Annotated[int, typer.Option(min=1, help="Questions asked together, and kept together.")] = 32,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the file of answers if there is one.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Answer every question of a file, and write it again with answers and citations.

    All other columns come through. A column named where:NAME holds facet values for its row, divided by semicolons.
    After Ctrl-C or a kill, run it again: answers are kept beside the output until it is whole, and only what is missing
    is asked. Exit code 3: some rows failed (the column "reason" says why); the others are answered.
    """
    from fieldguide.cli import batching
    from fieldguide.cli.session import session

    wish = batching.Wish(
        questions, output, column, where_column or (), where or (), user, base, batch_size, overwrite
    )  # fmt: skip
    with session("batch", workspace, as_json=as_json, write=False) as s:
        result = batching.batch(s, wish)
        s.emit(result)
    if result["failed"]:
        raise typer.Exit(batching.EXIT_SOME_FAILED)


@app.command()
def search(
    query: Annotated[str, typer.Argument(help="What to look for: a question or a few words.")],
    workspace: Root = HERE,
    k: Annotated[int | None, typer.Option("-k", "--k", help="Passages to show.")] = None,
    where: Where = None,
    user: User = None,
    after: After = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Show rank and score of each passage in every step, and the steps' times.")
    ] = False,
    channel: Annotated[
        list[str] | None, typer.Option(help="Only this channel: dense, words or questions; may be repeated.")
    ] = None,
    rerank: Annotated[
        list[str] | None,
        typer.Option(help="Rerank by cross-encoder, sentences, listwise, qim or mmr; may be repeated."),
    ] = None,
    expand: Annotated[
        list[str] | None, typer.Option(help="Further queries by decompose, hyde or guess; may be repeated.")
    ] = None,
    neighbours: Annotated[int | None, typer.Option(help="Chunks before and after a hit that come with it.")] = None,
    as_json: Json = False,
) -> None:
    """Show the passages that a question finds, without any model's answer."""
    from fieldguide.cli import searching
    from fieldguide.cli.session import session

    steps = {"channels": channel, "rerank": rerank, "expand": expand}
    flags = {"retrieval": {"k": k, "neighbours": neighbours} | {name: given or None for name, given in steps.items()}}
    with session("search", workspace, as_json=as_json, flags=flags, write=False) as s:
        s.emit(searching.search(s, s.standalone(query, after or ()), where or (), user, explain))


Questions = Annotated[
    Path | None,
    typer.Option(
        "--questions", help="JSON lines with id, question, answer, document, page; else the dev split's pairs."
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Measure and show, but leave the settings as they are.")]


@app.command("tune-context")
def tune_context(
    workspace: Root = HERE,
    questions: Questions = None,
    k: Annotated[
        list[int] | None, typer.Option("--k", "-k", help="Try so many passages; may be repeated. Else 1, 2, 3, 5, 8.")
    ] = None,
    max_questions: Annotated[int, typer.Option(min=1, help="At most so many questions, drawn by seed.")] = 40,
    base: Annotated[bool, typer.Option("--base", help="With the base model, without the adapter.")] = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Measure answers by number and order of the passages, and set what has earned it.

    Also shows what the place of the right passage among others does, and hard against random wrong passages.
    """
    from fieldguide.cli import choosing
    from fieldguide.cli.session import session

    with session("tune-context", workspace, as_json=as_json) as s:
        tried = k or [1, 2, 3, 5, 8]
        s.emit(choosing.tune_context(s, questions, tried, max_questions, base=base, dry_run=dry_run))


@app.command()
def auto(
    workspace: Root = HERE,
    questions: Questions = None,
    minutes: Annotated[float, typer.Option(min=0.05, help="Time for the search.")] = 5.0,
    max_questions: Annotated[int, typer.Option(min=1, help="At most so many questions, drawn by seed.")] = 200,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Search the switches of retrieval on the dev questions within a time, show the table, and set the best.

    The figure that it reports was measured on documents that the choice had not seen.
    """
    from fieldguide.cli import choosing
    from fieldguide.cli.session import session

    with session("auto", workspace, as_json=as_json) as s:
        s.emit(choosing.auto(s, questions, minutes, max_questions, dry_run=dry_run))


app.command()(calibrating.calibrate)
app.command()(calibrating.prompts)
app.command()(reports.compare)
app.command("eval")(reports.evaluate)
app.command()(reports.robustness)
app.add_typer(reports.report_app, name="report")
app.add_typer(reports.judge_app, name="judge")


@app.command()
def status(workspace: Root = HERE, as_json: Json = False) -> None:
    """Show what the workspace holds, what is in use, and what is out of date."""
    from fieldguide.cli import checks
    from fieldguide.cli.session import session

    with session("status", workspace, as_json=as_json, write=False) as s:
        s.emit(checks.status(s))


@app.command()
def doctor(as_json: Json = False) -> None:
    """Check this installation: packages, weights, disk, memory, processor. Exit code 1 if something is wrong."""
    from fieldguide.cli import checks

    if not checks.doctor(as_json):
        raise typer.Exit(1)


@app.command()
def demo(
    folder: Annotated[Path, typer.Argument(help="A folder for the demo's workspace.")] = Path("demo"),
    minutes: Annotated[float, typer.Option(help="Time for the tuning.")] = 6.0,
    as_json: Json = False,
) -> None:
    """Run the main job on eight accident reports: ingest, qa, tune, ask, compare. Takes some minutes on two cores."""
    from fieldguide.cli import showcase

    showcase.run(folder, minutes, as_json)


def main() -> None:
    """Entry point of the console script."""
    code: int | None = 0
    try:
        code = _run(sys.argv[1:])
    except KeyboardInterrupt:  # before or after the verb had its own hand on it
        code = 130
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C must not interrupt the clearing up
    sys.exit(code)


def _run(arguments: list[str]) -> int | None:
    """Parse and run; with --json also a mistake in the command line is one JSON object."""
    from typer.exceptions import TyperException

    if "--json" not in arguments:
        app(arguments)
        return 0
    try:
        return app(arguments, standalone_mode=False)  # type: ignore[no-any-return]
    except TyperException as error:
        from fieldguide.cli.session import print_json

        print_json({"error": error.format_message(), "exit_code": error.exit_code})
        return error.exit_code
