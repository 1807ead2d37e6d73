"""What makes answers what they are: ``fieldguide calibrate``, the confidence from which on they are given, and
``fieldguide prompts``, the prompts to edit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fieldguide.cli.options import HERE, Json, Root

if TYPE_CHECKING:
    from assistant.confidence import Calibration
    from fieldguide.cli.session import Session

REMOVED = 0.5
"""Of the dev questions with a known passage, the share that is asked once more without it."""


def calibrate(
    workspace: Root = HERE,
    questions: Annotated[
        Path | None,
        typer.Option(
            "--questions",
            help='JSON lines with id, question, answer ("" where the documents hold none), document, page; else the '
            "dev split's pairs.",
        ),
    ] = None,
    precision: Annotated[
        float, typer.Option(min=0.05, max=0.99, help="Of the answers that are given, the share that shall be right.")
    ] = 0.8,
    max_questions: Annotated[int, typer.Option(min=1, help="At most so many questions, drawn by seed.")] = 100,
    base: Annotated[bool, typer.Option("--base", help="For the base model, without the adapter.")] = False,
    as_json: Json = False,
) -> None:
    """Learn when to decline: fit a confidence on dev questions and choose the threshold for a wanted precision.

    Half of the questions are asked a second time with their passage taken away, so that answers are also seen where
    there is none. From then on `ask`, `chat` and `batch` tell a confidence and decline below the threshold
    (answer.refuse). It holds for the model, adapter and prompt that it was made with.
    """
    from fieldguide.cli.session import session

    with session("calibrate", workspace, as_json=as_json) as s:
        s.emit(run(s, questions, precision, max_questions, base=base))


def run(s: Session, file: Path | None, precision: float, max_questions: int, *, base: bool) -> dict[str, Any]:
    """The work of the verb on an opened session."""
    from eval.dev_questions import NO_QUESTIONS, dev_questions, unanswerable_pairs
    from eval.refusal import fit, outcomes
    from fieldguide.errors import NotReady
    from fieldguide.files import write_json

    seed = s.settings.compare.seed
    questions = dev_questions(s.catalog, file, max_questions, seed)
    if file is None:
        questions += unanswerable_pairs(s.catalog, max_questions, seed)
    if not questions:
        raise NotReady(NO_QUESTIONS)
    retriever = s.retriever()
    assistant = s.assistant(retriever, base=base, calibrated=False)
    total = len(questions) + round(REMOVED * sum(bool(question.gold) for question in questions))
    s.announce(f"{len(questions)} dev questions, {total} answers", {"dev answers": (total, 1.0)}, 1)
    s.progress.start("dev answers", total)
    found = outcomes(questions, assistant, retriever, REMOVED, s.progress.advance)
    s.progress.finish()
    made = fit(found, assistant, precision, seed)
    write_json(calibration_file(s), made.as_json())
    m = made.measured
    s.say(
        f"Of {m['n']} dev answers the model gave {m['answered_by_model']}, {_share(m['precision_without'])} of them "
        f"right. From a confidence of {made.threshold:.2f} on: {_share(m['coverage'])} of the questions are answered, "
        f"{_share(m['precision'])} of these answers are right (cross-validated)."
    )
    if m["precision"] is None or m["precision"] < precision:
        s.say(f"The wanted {_share(precision)} were not reached: this is the best that the signs can do.")
    s.say(f"Refused rightly: {_share(m['refusal_precision'])}; of what cannot be answered: "
          f"{_share(m['refusal_recall'])} refused. Kept in {calibration_file(s)}")  # fmt: skip
    return made.as_json()


def prompts(
    folder: Annotated[Path, typer.Argument(help="Where to write them; files that are there stay as they are.")],
    as_json: Json = False,
) -> None:
    """Write the prompts of answering into a folder, to be edited; name it in answer.prompts.

    An adapter is tuned with the prompts that serve: tune again after a change.
    """
    from rich.console import Console

    from fieldguide.cli.session import guarded, print_json
    from fieldguide.files import write_atomically
    from fieldguide.prompts import EDITABLE, shipped

    console = Console(stderr=True, soft_wrap=True)
    with guarded(console, as_json):
        folder.mkdir(parents=True, exist_ok=True)
        written = [name for name in EDITABLE if not (folder / f"{name}.txt").exists()]
        for name in written:
            write_atomically(folder / f"{name}.txt", shipped(name) + "\n")
        if as_json:
            print_json({"folder": str(folder), "written": written})
        console.print(
            f'{len(written)} prompts written to {folder}; name it in fieldguide.toml: answer.prompts = "{folder}".',
            highlight=False, markup=False,
        )  # fmt: skip


def calibration_file(s: Session) -> Path:
    """Where the workspace keeps it."""
    return s.workspace.state / "confidence.json"


def read_calibration(s: Session, adapter: str | None) -> Calibration | None:
    """The workspace's, if it was made for this model, adapter and prompt; else None, and said why."""
    from assistant.confidence import Calibration
    from fieldguide.prompts import answer_prompt_hash

    try:
        found = Calibration.from_json(json.loads(calibration_file(s).read_text("utf-8")))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError):
        s.say("The confidence was calibrated by another version; `fieldguide calibrate` makes it anew.")
        return None
    if found.fits(s.generator.id, adapter, answer_prompt_hash()):
        return found
    s.say("The confidence was calibrated for another model, adapter or prompt, and is not used; "
          "`fieldguide calibrate` makes it anew.")  # fmt: skip
    return None


def _share(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.0f}%"
