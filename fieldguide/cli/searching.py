"""`fieldguide search` on an opened session: the passages that a query finds, and why."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from fieldguide.cli.session import Session
from fieldguide.cli.verbs import wanted_facets
from fieldguide.errors import FieldguideError

if TYPE_CHECKING:
    from fieldguide.types import Document, ScoredChunk
    from retrieval.trace import Found

_SNIPPET = 300


def search(s: Session, query: str, where: Sequence[str], user: str | None, explain: bool) -> dict[str, Any]:
    """Retrieve, show the passages with file and page and, with ``explain``, each step's ranks and times."""
    if not query.strip():
        raise FieldguideError('The query is empty; ask for something, like: fieldguide search "fuel starvation"')
    retriever = s.retriever(wanted_facets(where), user, reading=False)
    found = retriever.search([query], retriever.k)[0]
    documents = {document.id: document for document in s.catalog.documents()}
    s.progress.finish()
    if not s.as_json:
        _show(s, found, documents)
        if explain:
            _explain(s, found)
        for note in retriever.notes:
            s.say(f"Note: {note}")
    return {
        "query": query, "queries": found.queries, "index": retriever.index_id, "notes": retriever.notes,
        "passages": [_as_json(passage, documents) for passage in found.passages],
        "steps": [{"name": t.name, "seconds": round(t.seconds, 5), "candidates": t.candidates} for t in found.steps],
    }  # fmt: skip


def _as_json(passage: ScoredChunk, documents: dict[str, Document]) -> dict[str, Any]:
    chunk = passage.chunk
    return {
        "rank": passage.rank, "score": passage.score, "scores": dict(passage.scores), "ranks": dict(passage.ranks),
        "chunk": chunk.id, "document": chunk.document, "source": Path(documents[chunk.document].source).name,
        "spans": [{"page": span.page, "start": span.start, "end": span.end} for span in chunk.spans],
        "heading": list(chunk.heading), "context": chunk.context, "text": chunk.text,
    }  # fmt: skip


def _show(s: Session, found: Found, documents: dict[str, Document]) -> None:
    for passage in found.passages:
        chunk = passage.chunk
        pages = [str(page) for page in dict.fromkeys(chunk.pages)]
        where = f"{'page' if len(pages) == 1 else 'pages'} {', '.join(pages)}"
        name = Path(documents[chunk.document].source).name
        s.console.print(Text(f"\n[{passage.rank}] {name}, {where}", style="green"))
        if chunk.heading:
            s.console.print(Text("    " + " › ".join(chunk.heading), style="dim"))
        body = " ".join(chunk.text.split())
        s.console.print(Text("    " + (body if len(body) <= _SNIPPET else body[:_SNIPPET] + " …")))
    if not found.passages:
        s.say("Nothing was found.")


def _explain(s: Session, found: Found) -> None:
    """A row for each passage: its place in every step, "–" where a step did not have it."""
    steps = list(dict.fromkeys(name for passage in found.passages for name in passage.ranks))
    table = Table("passage", *steps, title="Rank (score) in each step", title_justify="left")
    for passage in found.passages:
        cells = (
            f"{passage.ranks[name]} ({passage.scores[name]:.3f})" if name in passage.ranks else "–" for name in steps
        )
        table.add_row(str(passage.rank), *cells)
    s.console.print(table)
    for number, text in enumerate(found.queries[1:], 1):
        s.say(f"Further query {number}: {text}")
    times = ", ".join(f"{step.name} {1000 * step.seconds:.1f} ms ({step.candidates})" for step in found.steps)
    s.say(f"Steps (candidates after each): {times}")
