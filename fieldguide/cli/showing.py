"""Answers on the screen, as ``ask`` and ``chat`` show them. What documents and models wrote is made printable."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.text import Text

from fieldguide.cli.session import Session
from fieldguide.printable import on_one_line, printable
from fieldguide.prompts.as_data import as_data

if TYPE_CHECKING:
    from fieldguide.types import Answer, Document

NOTHING = "The documents hold nothing about this."
_NEAREST = 3
_BEGINNING = 160


def show_answer(
    s: Session, answer: Answer, documents: Mapping[str, Document], show_passages: bool, told: str = ""
) -> None:
    """The answer, each citation with file, page and quote. Of its text ``told`` stands on the screen already."""
    from assistant.answer import as_json

    out = s.console
    s.progress.finish()
    if told and told == answer.text:
        out.print()
    else:
        if told:
            out.print(Text("\nWhat stands above is taken back:", style="yellow"))
        out.print(Text("\n" + (printable(answer.text) or NOTHING), style="bold"))
    if answer.abstained and answer.withheld and answer.confidence is not None:
        out.print(Text(f"  Too unsure to answer (confidence {answer.confidence:.2f}).", style="yellow"))
    if answer.origin == "memory":
        out.print(Text("  From the model's memory: the documents hold nothing about this.", style="yellow"))
    shown = as_json(answer, documents)
    for number, c in enumerate(shown["citations"], 1):
        place = f"{on_one_line(c['source'])}, page {c['page']}, characters {c['start']}–{c['end']}"
        out.print(Text(f"  [{number}] {place}", style="green"))
        out.print(Text(f"      “{printable(c['quote'])}”"))
    for statement in answer.unsupported:
        if statement and answer.passages:
            out.print(Text(f"  No passage supports: {printable(statement)}", style="yellow"))
    for conflict in shown["conflicts"]:
        told_of = {conflict["other_document"]: "newer, preferred", conflict["cited_document"]: "older"}
        which = told_of.get(conflict["newer"], "no date tells which is newer")
        place = f"{on_one_line(conflict['other_source'])}, page {conflict['other_span']['page']}"
        out.print(Text(f"  {place}, says otherwise ({which}): “{printable(conflict['other'])}”", style="yellow"))
    for number, passage in enumerate(answer.passages, 1):
        for line in as_data(passage.chunk.text).withheld:
            where = f"passage {number} ({on_one_line(shown['passages'][number - 1]['source'])})"
            out.print(
                Text(f"  Kept from the model, since {where} orders it about: “{on_one_line(line)}”", style="yellow")
            )
    if answer.abstained and not show_passages:
        for p in shown["passages"][:_NEAREST]:
            place = f"{on_one_line(p['source'])}, page {p['pages'][0]}"
            out.print(Text(f"  nearest: {place}: “{_beginning(printable(p['text']))}”", style="dim"))
    if not answer.passages and answer.text:
        out.print(Text("  Answered without the documents: nothing here is checked.", style="yellow"))
    if show_passages:
        show_sources(s, shown["passages"])
    t = answer.trace
    tuned = f"adapter {t.adapter[:16]}" if t.adapter else "no adapter"
    sure = f", confidence {answer.confidence:.2f}" if answer.confidence is not None else ""
    how = f"{t.model}, {tuned}, {len(answer.passages)} passages{sure}, {sum(t.seconds.values()):.1f} s"
    out.print(Text(f"\n  {how}", style="dim"))


def _beginning(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _BEGINNING else line[:_BEGINNING].rsplit(" ", 1)[0] + " …"


def show_sources(s: Session, passages: Sequence[Mapping[str, Any]]) -> None:
    """The passages that a model was given to read, as ``assistant.answer.as_json`` tells them."""
    for number, p in enumerate(passages, 1):
        pages = ", ".join(map(str, p["pages"]))
        head = f"\n  passage {number}: {on_one_line(p['source'])}, page {pages}, rank {p['rank']}, "
        s.console.print(Text(f"{head}score {p['score']:.3f}", style="cyan"))
        s.console.print(Text(printable(p["text"]), style="dim"))
