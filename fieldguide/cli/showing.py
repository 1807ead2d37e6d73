"""Answers on the screen, as ``ask`` and ``chat`` show them. What documents and models wrote is made printable."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.text import Text

from fieldguide.cli.session import Session
from fieldguide.printable import on_one_line, printable

if TYPE_CHECKING:
    from fieldguide.types import Answer, Document

NOTHING = "The documents hold nothing about this."


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
    shown = as_json(answer, documents)
    for number, c in enumerate(shown["citations"], 1):
        place = f"{on_one_line(c['source'])}, page {c['page']}, characters {c['start']}–{c['end']}"
        out.print(Text(f"  [{number}] {place}", style="green"))
        out.print(Text(f"      “{printable(c['quote'])}”"))
    for statement in answer.unsupported:
        if statement and answer.passages:
            out.print(Text(f"  No passage supports: {printable(statement)}", style="yellow"))
    if not answer.passages and answer.text:
        out.print(Text("  Answered without the documents: nothing here is checked.", style="yellow"))
    if show_passages:
        show_sources(s, shown["passages"])
    t = answer.trace
    tuned = f"adapter {t.adapter[:16]}" if t.adapter else "no adapter"
    out.print(
        Text(f"\n  {t.model}, {tuned}, {len(answer.passages)} passages, {sum(t.seconds.values()):.1f} s", style="dim")
    )


def show_sources(s: Session, passages: Sequence[Mapping[str, Any]]) -> None:
    """The passages that a model was given to read, as ``assistant.answer.as_json`` tells them."""
    for number, p in enumerate(passages, 1):
        pages = ", ".join(map(str, p["pages"]))
        head = f"\n  passage {number}: {on_one_line(p['source'])}, page {pages}, rank {p['rank']}, "
        s.console.print(Text(f"{head}score {p['score']:.3f}", style="cyan"))
        s.console.print(Text(printable(p["text"]), style="dim"))
