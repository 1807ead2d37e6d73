"""Places on pages: `fieldguide page` on an opened session, and the boxes of citations for ``ask --boxes``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fieldguide import align
from fieldguide.cli.session import Session
from fieldguide.errors import FieldguideError
from fieldguide.files import write_atomically

if TYPE_CHECKING:
    from assistant.boxes import Box, BoxFinder
    from fieldguide.types import Citation, Document


def boxes_of(s: Session, citations: Sequence[Citation]) -> list[dict[str, Any]]:
    """For each citation its boxes (left, top, right, bottom), or why there are none."""
    from assistant.boxes import Quote

    if not citations:
        return []
    with _finder(s) as finder:
        found = finder.find([Quote(c.document, c.page, c.start, c.end) for c in citations])
    return [{"boxes": _sides(each.boxes), "boxes_missing": each.reason} for each in found]


def page(s: Session, name: str, number: int, output: Path, quote: str, dpi: float) -> dict[str, Any]:
    """Draw a page, the quote marked wherever it stands; what is not marked is said."""
    from assistant.boxes import Quote

    document = _document(s, name)
    places = _places(s, document, number, quote)
    with _finder(s) as finder:
        found = finder.find([Quote(document.id, number, start, end) for start, end in places])
        boxes = [box for each in found for box in each.boxes]
        picture = finder.page_image(document.id, number, boxes, dpi=dpi)
    write_atomically(output, picture)
    reasons = list(dict.fromkeys(each.reason for each in found if each.reason))
    s.say(f"Page {number} of {Path(document.source).name}: {output}")
    for reason in reasons:
        s.say(f"Not marked: {reason}.")
    return {
        "document": document.id, "page": number, "file": str(output), "boxes": _sides(boxes),
        "boxes_missing": "; ".join(reasons),
    }  # fmt: skip


def cited_page(s: Session, citation: Mapping[str, Any], start: int, end: int) -> Path:
    """Draw the page of a citation with its characters marked, and tell the file. Raises FieldguideError if it cannot be
    drawn; a place that cannot be told is left unmarked, and said."""
    from assistant.boxes import Quote

    with _finder(s) as finder:
        [found] = finder.find([Quote(citation["document"], citation["page"], start, end)])
        picture = finder.page_image(citation["document"], citation["page"], found.boxes)
    folder = s.workspace.state / "cache" / "pages"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{citation['document'][:16]}-{citation['page']}.png"
    write_atomically(path, picture)
    if found.reason:
        s.say(f"Not marked in the picture: {found.reason}.")
    return path


def _finder(s: Session) -> BoxFinder:
    from assistant.boxes import BoxFinder

    return BoxFinder(s.catalog, s.workspace.state, s.settings.ingest)


def _sides(boxes: Sequence[Box]) -> list[list[float]]:
    return [[box.left, box.top, box.right, box.bottom] for box in boxes]


def _document(s: Session, name: str) -> Document:
    """The document whose file has this name or path, or whose id begins so."""
    documents = s.catalog.documents()
    found = [d for d in documents if name in (Path(d.source).name, d.source)]
    found = found or [d for d in documents if len(name) >= 8 and d.id.startswith(name)]
    if not found:
        raise FieldguideError(f"No document here is called {name!r}; `fieldguide search` shows names and pages.")
    if len(found) > 1:
        paths = ", ".join(d.source for d in found)
        raise FieldguideError(f"{len(found)} documents are called {name!r}; name one by its path: {paths}.")
    return found[0]


def _places(s: Session, document: Document, number: int, quote: str) -> list[tuple[int, int]]:
    """Where the quote stands in the page's text; nowhere if there is no quote."""
    name = Path(document.source).name
    try:
        text = s.catalog.page(document.id, number).text
    except KeyError:
        raise FieldguideError(f"{name} has no page {number}.") from None
    found = [(match.start, match.end) for match in align.find_exact(quote, text)]
    if quote and not found:
        raise FieldguideError(f"Page {number} of {name} does not say {quote!r}; quote it as citations show it.")
    return found
