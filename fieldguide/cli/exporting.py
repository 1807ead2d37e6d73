"""The verb `fieldguide export`: its options, its work on an opened session, what it shows. Imports nothing heavy."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fieldguide.cli.options import HERE, Json, Root

if TYPE_CHECKING:
    from fieldguide.cli.session import Session
    from fieldguide.models.base import Prompt
    from tuning.export import ExportReport

_BASE = "base"
_BYTES = {"f32": 4.0, "f16": 2.0, "bf16": 2.0, "q8_0": 1.1, "int8": 1.1}
_BUNDLED = 135  # million weights of the bundled model, of which the first estimates are
_ALIKE = 0.9
"""Share of identical answers below which the difference is pointed out."""


def export(
    format: Annotated[
        str,
        typer.Option(
            "--format", "-f", help="safetensors: for transformers; ct2: for a fast CPU; gguf: for llama.cpp and Ollama."
        ),
    ] = "safetensors",
    adapter: Annotated[
        str | None,
        typer.Option("--adapter", help="The adapter's id or its beginning, else the one in use; base: without any."),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="The folder to write, else one in .fieldguide/.")] = None,
    quantise: Annotated[
        str | None,
        typer.Option(
            "--quantise",
            help="How weights are stored: f32, f16, bf16; int8 with ct2; q8_0 with gguf. Else gguf f16, others f32.",
        ),
    ] = None,
    check: Annotated[
        int, typer.Option("--check", min=0, help="Compare with the original on so many test questions; 0 = do not.")
    ] = 20,
    questions: Annotated[
        Path | None,
        typer.Option("--questions", help="JSON lines with id, question, answer to compare on, else the test pairs."),
    ] = None,
    converter: Annotated[
        Path | None,
        typer.Option("--converter", help="llama.cpp's convert_hf_to_gguf.py, else the PATH's, else the pinned one's."),
    ] = None,
    workspace: Root = HERE,
    as_json: Json = False,
) -> None:
    """Write base and adapter as one model for other programmes, and compare its answers with the original's.

    The result has a manifest.json with the hashes of what it was made from and the agreement found. GGUF is written by
    llama.cpp's own converter, which is fetched once (0.4 MB) if it is not on the PATH; an Ollama Modelfile comes along.
    """
    from fieldguide.cli.session import session

    with session("export", workspace, as_json=as_json) as s:
        s.emit(run(s, format, adapter, out, quantise, check, questions, converter))


def run(
    s: Session,
    format: str,
    adapter: str | None,
    out: Path | None,
    quantise: str | None,
    check: int,
    questions: Path | None,
    converter: Path | None,
) -> dict[str, Any]:
    """Export and check on an opened session."""
    from tuning.export import check_options, check_parity
    from tuning.export import export as write

    kind, stored = check_options(format, quantise)
    source = _adapter(s, adapter)
    asked, from_where = _questions(s, check, questions)
    base = s.trainable
    weights = sum(parameter.numel() for parameter in base.model.parameters()) / 1e6
    rate = 0.5 * _BUNDLED / weights
    answers = {f"answers of the {side}": (len(asked), rate) for side in ("original", "export")}
    scratch = 0 if kind == "safetensors" else 4  # bytes a weight, for the merged model that is converted
    s.announce(
        f"{weights:.0f}M weights as {kind} {stored}",
        {"exporting": (1, 1 / (10 + weights / 10))} | answers,
        weights * (_BYTES[stored] + scratch),
    )
    folder = out or s.workspace.state / "exports" / f"{source.name if source else _BASE}-{kind}-{stored}"
    report = write(
        base, source, folder.expanduser().resolve(), kind, stored, progress=s.progress, say=s.say,
        max_new_tokens=s.answering.max_new_tokens, converter=converter, offline=s.offline_folder,
    )  # fmt: skip
    if not report.written:
        s.say("Nothing to convert: this folder holds the export of exactly these inputs.")
    if asked:
        report = check_parity(
            report, s.generator, s.generator.load_adapter(source) if source is not None else None, _prompts(s, asked),
            max_new_tokens=s.answering.max_new_tokens, progress=s.progress, device=s.settings.models.device,
        )  # fmt: skip
    _show(s, report, from_where if asked else None)
    return {
        "folder": str(report.folder), "generator": report.generator, "format": kind, "quantise": stored,
        "adapter": source.name if source is not None else None, "written": report.written,
        "bytes": report.manifest["bytes"], "parity": report.manifest["parity"],
    }  # fmt: skip


def _adapter(s: Session, given: str | None) -> Path | None:
    """The folder of the adapter to merge, None for the base alone. Raises FieldguideError."""
    from fieldguide.errors import NotReady
    from tuning.registry import check, entries, find

    if given is not None and given.strip().lower() == _BASE:
        return None
    known = entries(s.catalog, s.workspace.adapters_folder)
    if given is not None:
        wanted = find(given, known)
    else:
        wanted = next((entry.id for entry in known if entry.active), "")
        if not wanted:
            raise NotReady(
                "No adapter is in use; name one with --adapter ID (`fieldguide adapters list` shows them), or export "
                "the model without any with --adapter base."
            )
    entry = next(entry for entry in known if entry.id == wanted)
    check(entry, s.trainable.id.rpartition(":")[0], s.trainable.base_hash())
    return entry.folder


def _questions(s: Session, limit: int, path: Path | None) -> tuple[list[str], str]:
    """At most ``limit`` questions to compare on, and what they are: a file's, else the pairs' that no tuning saw."""
    from eval.questions import draw, from_pairs, read_questions

    if not limit:
        return [], ""
    if path is not None:
        found, name = read_questions(path, {document.id: document for document in s.catalog.documents()}), path.name
    else:
        sets = {split: s.catalog.pairs(split) for split in ("test", "dev", "train")}
        name = next((split for split, pairs in sets.items() if pairs), "")
        found = from_pairs(sets[name]) if name else []
        name = f"pairs of the {name} split"
    return [question.question for question in draw(found, limit, s.settings.compare.seed)], name


def _prompts(s: Session, questions: list[str]) -> list[Prompt]:
    """The prompts that `ask` would make of these questions; those without any passage are left out, as there."""
    from fieldguide.prompts import answer_prompt

    contexts = s.retriever().contexts(questions)
    return [answer_prompt(question, context) for question, context in zip(questions, contexts) if context.passages]


def _show(s: Session, report: ExportReport, asked: str | None) -> None:
    m = report.manifest
    parity = m["parity"] if asked is not None else None
    if parity is not None:
        same = round(parity["identical"] * parity["n"])
        s.say(
            f"Agreement with the original on {parity['n']} questions ({asked}): {same} answers identical "
            f"({100 * parity['identical']:.0f}%), token F1 between the two {parity['token_f1']:.3f}."
        )
        speeds = [f"{parity[side]['tokens_per_second']:.0f}" for side in ("original", "exported")]
        s.say(f"Tokens read and written a second: original {speeds[0]}, export {speeds[1]}.")
        for number, was, now in parity["differing"]:
            s.say(f"  question {number}: {was!r} became {now!r}")
        if parity["identical"] < _ALIKE:
            s.say(
                "They differ in more than one answer of ten: measure the export with `fieldguide compare` before it is "
                "used, or store it in more bits (--quantise)."
            )
    else:
        s.say("Its answers were not compared with the original's.")
    s.say(f"It lies in {report.folder} ({m['bytes'] / 1e6:.0f} MB, manifest.json says what it was made from).")
    s.say(f'To answer with it here: models.generator = "{report.generator}", and `fieldguide adapters use base`.')
    if m["format"] == "gguf":
        s.say(f"For Ollama: ollama create NAME -f {report.folder / 'Modelfile'}")
