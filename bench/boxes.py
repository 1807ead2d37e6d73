"""How often are a citation's boxes found, and does what stands in them say what was cited?

Reads DIR/ntsb and DIR/mmlongbench/pdfs into a workspace of its own, draws 200 sentences and lines of 3 to 40 words from
the chunks by seed, a document each in turn, and finds their boxes (``assistant.boxes``), the files in the reading
process, as for a citation. Then pdfium is asked, past our own code, what text stands in the boxes.

- ``n``: quotes drawn; ``found``: those with boxes; ``reasons``: why the others have none, with their number.
- ``read_back_equal``: quotes whose boxes hold exactly the quote (of a table's row: some of its cells, in their order),
  but for case, white space and hyphens at line ends; of ``found``.
- ``rows``: quotes that hold a row of a table; ``rows_found``, and ``rows_share``: of the characters of those, the share
  that is in boxes (names of columns, which do not stand in the row, count as missing).
- ``repeated``: quotes that stand on their page's text more than once; ``repeated_found``.
- ``seconds_a_page``: the mean time for a page with its quotes.

``--pictures FOLDER`` writes the pictures of thirty of them, for the eye: whether the boxes lie on the right lines.
``--quick``: 40 quotes of the NTSB reports.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
# This script's folder would hide packages behind its files.
sys.path[:] = [str(ROOT), *(path for path in sys.path if Path(path).resolve() != Path(__file__).parent.resolve())]

QUOTES, QUICK, PICTURES = 200, 40, 30
_AROUND = 60.0  # points of the page shown above and below the boxes


def read(files: Sequence[Path], root: Path) -> Any:
    """A workspace of these files, cut as the bundled embedder wants them, without an index."""
    from fieldguide.catalog import Catalog
    from fieldguide.cli.session import quieten
    from fieldguide.models import load_embedder
    from fieldguide.settings import Settings
    from fieldguide.types import Silent
    from fieldguide.workspace import init_workspace
    from ingest.pipeline import ingest_files

    quieten()
    embedder = load_embedder("bundled", say=print)
    workspace = init_workspace(root)
    catalog = Catalog.open(workspace.catalog_file)
    ingest_files(files, catalog, Settings(), workspace.state, embedder.count_tokens, embedder.id, Silent())
    return catalog, workspace


def candidates(catalog: Any, document: str) -> list[Any]:
    """The sentences and lines of 3 to 40 words in the document's chunks, each within one page, none twice."""
    from assistant.boxes import Quote
    from fieldguide import align

    found = {}
    for chunk in catalog.chunks(document):
        for start, end in [*align.sentences(chunk.text), *align.lines(chunk.text)]:
            spans = chunk.locate(start, end)
            if 3 <= len(chunk.text[start:end].split()) <= 40 and len(spans) == 1:
                found[Quote(document, spans[0].page, spans[0].start, spans[0].end)] = None
    return list(found)


def draw(catalog: Any, count: int, seed: int) -> list[Any]:
    """Quotes by seed, from one document after another as long as they have any."""
    rng = random.Random(seed)
    pools = [candidates(catalog, document.id) for document in catalog.documents()]
    for pool in pools:
        rng.shuffle(pool)
    drawn: list[Any] = []
    while len(drawn) < count and any(pools):
        drawn += [pool.pop() for pool in pools if pool]
    return drawn[:count]


def read_back(path: Path, boxes: Sequence[Any]) -> str:
    """What pdfium says stands in the boxes, one after another."""
    import pypdfium2

    pdf = pypdfium2.PdfDocument(path)
    try:
        page = pdf[boxes[0].page - 1]
        left, bottom, right, top = page.get_bbox()
        turn = page.get_rotation() // 90
        text = page.get_textpage()
        said = []
        for box in boxes:
            x0, y0, x1, y1 = box.left, box.top, box.right, box.bottom
            corners = {
                0: (left + x0, top - y1, left + x1, top - y0),
                1: (left + y0, bottom + x0, left + y1, bottom + x1),
                2: (right - x1, bottom + y0, right - x0, bottom + y1),
                3: (right - y1, top - x1, right - y0, top - x0),
            }[turn]
            said.append(text.get_text_bounded(*corners))
        return "\n".join(said)
    finally:
        pdf.close()


def plain(text: str) -> str:
    """The text as it is compared: normalised, without white space and hyphens (ours checks those itself)."""
    from fieldguide import align
    from ingest.readers.legible import clean_word

    return "".join(c for c in align.normalise(" ".join(map(clean_word, text.split())))[0] if c not in " -\ufffd")


def is_within(part: str, whole: str) -> bool:
    """Whether the characters of ``part`` come one after another in ``whole``, others perhaps between them."""
    rest = iter(whole)
    return all(char in rest for char in part)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with ntsb and mmlongbench/pdfs")
    parser.add_argument("--quick", action="store_true", help="40 quotes of the NTSB reports")
    parser.add_argument("--quotes", type=int, default=QUOTES)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--pictures", type=Path, help="write pictures of thirty quotes here")
    arguments = parser.parse_args()
    folders = ["ntsb"] if arguments.quick else ["ntsb", "mmlongbench/pdfs"]
    files = [path for name in folders for path in sorted((arguments.data / name).glob("*.pdf"))]
    with tempfile.TemporaryDirectory() as root:
        catalog, workspace = read(files, Path(root))
        print(json.dumps(measure(catalog, workspace, arguments)))
        catalog.close()


def measure(catalog: Any, workspace: Any, arguments: argparse.Namespace) -> dict[str, Any]:
    from assistant.boxes import BoxFinder

    quotes = draw(catalog, QUICK if arguments.quick else arguments.quotes, arguments.seed)
    sources = {document.id: Path(document.source) for document in catalog.documents()}
    texts = [catalog.page(q.document, q.page).text for q in quotes]
    with BoxFinder(catalog, workspace.state, workspace.settings.ingest) as finder:
        began = time.perf_counter()
        found = finder.find(quotes)
        seconds = time.perf_counter() - began
        if arguments.pictures:
            drawn = [(q, b) for q, b in zip(quotes, found, strict=True) if b.boxes][:PICTURES]
            write_pictures(finder, drawn, sources, catalog, arguments.pictures)
    figures: Counter[str] = Counter()
    shares = []
    for quote, boxes, text in zip(quotes, found, texts, strict=True):
        said = text[quote.start : quote.end]
        is_row = any(" | " in line for line in lines_of(text, quote))
        repeated = plain(text).count(plain(said)) > 1
        figures["rows"] += is_row
        figures["repeated"] += repeated
        if boxes.boxes:
            figures["found"] += 1
            figures["rows_found"] += is_row
            figures["repeated_found"] += repeated
            there = plain(read_back(sources[quote.document], boxes.boxes))
            equal = is_within(there, plain(said)) and there == plain(boxes.text) if is_row else there == plain(said)
            figures["read_back_equal"] += equal
            if is_row:
                shares.append(len(there) / max(len(plain(said.replace(" | ", " "))), 1))
            if not equal:
                print(f"NOT EQUAL: {sources[quote.document].name}, page {quote.page}: {said!r} | {there!r}")
        else:
            print(f"{boxes.reason}: {sources[quote.document].name}, page {quote.page}: {said!r}")
    names = ("found", "read_back_equal", "rows", "rows_found", "repeated", "repeated_found")
    return {
        "n": len(quotes), **{name: figures[name] for name in names},
        "rows_share": round(sum(shares) / max(len(shares), 1), 3),
        "reasons": dict(Counter(boxes.reason for boxes in found if boxes.reason)),
        "seconds_a_page": round(seconds / max(len({(q.document, q.page) for q in quotes}), 1), 3),
    }  # fmt: skip


def lines_of(text: str, quote: Any) -> Iterator[str]:
    """The whole lines of the page's text that the quote touches."""
    from fieldguide import align

    for start, end in align.lines(text):
        if start < quote.end and quote.start < end:
            yield text[start:end]


def write_pictures(finder: Any, drawn: Sequence[Any], sources: dict[str, Path], catalog: Any, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number, (quote, found) in enumerate(drawn, 1):
        text = catalog.page(quote.document, quote.page).text
        top = max(min(box.top for box in found.boxes) - _AROUND, 0)
        bottom = max(box.bottom for box in found.boxes) + _AROUND
        crop = (0.0, top, max(620.0, *(box.right for box in found.boxes)), bottom)
        picture = finder.page_image(quote.document, quote.page, found.boxes, crop=crop)
        (folder / f"{number:02}.png").write_bytes(picture)
        quoted = " ".join(text[quote.start : quote.end].split())
        print(f"picture {number:02}: {sources[quote.document].name}, page {quote.page}: {quoted}")


if __name__ == "__main__":
    main()
