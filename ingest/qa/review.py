"""A person's part: pairs out to a file that any spreadsheet opens; verdicts, edits and new pairs back in.

Pure but for the file: what changed is returned and the caller stores it. Nothing of a file is lost in silence: every
row is counted, and what cannot be used is a fault with its line and reason.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import get_args

from fieldguide import align
from fieldguide.errors import FieldguideError
from fieldguide.types import Chunk, Document, Evidence, Kind, Level, QAPair, content_hash
from ingest.qa.by_hand import by_words, ground_by_hand
from ingest.qa.checks import holds
from ingest.qa.same import wording
from ingest.qa.sheets import Row, printable, read_rows, write_rows

COLUMNS: Mapping[str, int] = {
    "id": 10, "question": 50, "answer": 40, "quote": 40, "source file": 24, "page": 8, "kind": 12, "level": 14,
    "split": 8, "origin": 12, "scores": 16, "verdict": 12, "edited_question": 40, "edited_answer": 40, "comment": 30,
}  # fmt: skip
"""The columns of a file, and how wide they are in a spreadsheet."""
ACCEPTED, REJECTED = "accepted", "rejected"
_SAID = {
    ACCEPTED: "a accept accepted ok okay y yes good keep kept fine right correct true 1 + ✓ ✔ x",
    REJECTED: "r reject rejected n no bad drop dropped delete remove wrong incorrect false 0 - ✗ ✘",
    "edit": "e edit edited fix fixed change changed amend amended",
}
_VERDICTS = {word: verdict for verdict, words in _SAID.items() for word in words.split()}
COUNTS = (ACCEPTED, REJECTED, "edited", "new", "unchanged", "faulty")
WRITTEN = "written"
"""Origin of a pair that a person wrote."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A row that was not used: its line in the file, from 1, and why."""

    line: int
    reason: str


@dataclass(frozen=True, slots=True)
class Review:
    """What a person's file says: ``changed`` pairs keep their ids, ``added`` are new, ``comments`` are (id, text).

    ``counts`` has each of ``COUNTS``; they add up to the rows that are not empty.
    """

    changed: list[QAPair]
    added: list[QAPair]
    faults: list[Fault]
    counts: dict[str, int]
    comments: list[tuple[str, str]] = field(default_factory=list)


class _Unusable(Exception):
    """Why a row cannot be used."""


def export_pairs(pairs: Iterable[QAPair], documents: Mapping[str, Document], path: Path) -> int:
    """Write the pairs to ``path`` (.jsonl, .csv or .xlsx) by document and page; how many they are.

    Raises FieldguideError for another ending, or for .xlsx without openpyxl.
    """
    rows = [_row(pair, documents) for pair in sorted(pairs, key=lambda pair: _place(pair, documents))]
    write_rows(path, rows, COLUMNS)
    return len(rows)


def import_review(
    path: Path,
    pairs: Sequence[QAPair],
    chunks_of: Callable[[str], list[Chunk]],
    documents: Mapping[str, Document],
    author: str,
) -> Review:
    """What a person made of an export; ``pairs`` are all of the catalogue, ``chunks_of`` gives those of a document.

    A row with an id judges that pair by its verdict, or edits it: edited_question, edited_answer, and quote, kind or
    level in place. A row without id but with question, answer and source file is a new one, best with a page or quote.
    Edited and new answers must be found in the document (in the quote, on the page, in the pair's chunk first). An
    edited pair is accepted and keeps its id, split and group; the split of a new one is settled by
    ``splits.group_tests``. ``author`` is recorded. A rejected pair stays, so that its question does not come back.
    A row about words that the pair no longer has is a fault; one that was imported before changes nothing.

    Raises FieldguideError if the file cannot be read or nobody is named as its author.
    """
    if not author.strip():
        raise FieldguideError("Say whose verdicts these are, with --author.")
    desk = _Desk({pair.id: pair for pair in pairs}, chunks_of, documents, " ".join(author.split()))
    review = Review([], [], [], dict.fromkeys(COUNTS, 0))
    used: dict[str, int] = {}
    for row in read_rows(path, COLUMNS, ("id", "question")):
        try:
            if row.fault:
                raise _Unusable(row.fault)
            name = row.cells.get("id", "").strip()
            if name in used:
                raise _Unusable(f"the id {name} stood in line {used[name]} already")
            counted, pair = desk.judge(name, row) if name else desk.add(row)
            if name:
                used[name] = row.line
        except _Unusable as reason:
            review.faults.append(Fault(row.line, str(reason)))
            review.counts["faulty"] += 1
            continue
        review.counts[counted] += 1
        if counted != "unchanged":
            (review.added if counted == "new" else review.changed).append(pair)
        if comment := row.cells.get("comment", "").strip():
            review.comments.append((pair.id, comment))
    return review


def _place(pair: QAPair, documents: Mapping[str, Document]) -> tuple[str, int, int, str]:
    source = documents[pair.document].source if pair.document in documents else ""
    span = pair.evidence[0].spans[0] if pair.evidence and pair.evidence[0].spans else None
    return source, span.page if span else 0, span.start if span else 0, pair.id


def _row(pair: QAPair, documents: Mapping[str, Document]) -> dict[str, str]:
    """The cells of a pair by column; those of several documents or pages are joined by "; " and ", "."""
    names = list(dict.fromkeys([pair.document, *(item.document for item in pair.evidence)]))
    pages = {name: {s.page for item in pair.evidence if item.document == name for s in item.spans} for name in names}
    cells = {
        "id": pair.id,
        "question": pair.question,
        "answer": pair.answer,
        "quote": _quote(pair),
        "source file": "; ".join(_file(name, documents) for name in names),
        "page": "; ".join(", ".join(map(str, sorted(pages[name]))) for name in names),
        "kind": pair.kind,
        "level": pair.level,
        "split": pair.split,
        "origin": pair.origin,
        "scores": ", ".join(f"{name} {value:.3g}" for name, value in sorted(pair.scores.items())),
        "verdict": pair.verdict,
        "edited_question": "",
        "edited_answer": "",
        "comment": "",
    }
    return {name: printable(cell) for name, cell in cells.items()}


def _quote(pair: QAPair) -> str:
    return "\n".join(item.quote for item in pair.evidence)


def _file(document: str, documents: Mapping[str, Document]) -> str:
    return Path(documents[document].source).name if document in documents else document


class _Desk:
    """What is known while a file is read: the pairs, as the rows so far left them, and the documents."""

    def __init__(
        self,
        pairs: dict[str, QAPair],
        chunks_of: Callable[[str], list[Chunk]],
        documents: Mapping[str, Document],
        author: str,
    ) -> None:
        self._pairs = pairs
        self._asked = {wording(pair): pair.id for pair in pairs.values()}
        self._chunks_of = chunks_of
        self._documents = documents
        self._author = author
        self._by_name: dict[str, list[str]] = {}
        for document in documents.values():
            self._by_name.setdefault(Path(document.source).name.casefold(), []).append(document.id)

    def judge(self, name: str, row: Row) -> tuple[str, QAPair]:
        """(what it counts as, the pair as the row leaves it). Raises _Unusable."""
        pair = self._pairs.get(name)
        if pair is None:
            raise _Unusable(f"there is no pair with the id {name}; for a new pair leave the id empty")
        was = _row(pair, self._documents)
        question, answer = (_pending(row, was, name) for name in ("question", "answer"))
        pending = question is not None or answer is not None
        done = not pending and any(row.cells.get(name, "").strip() for name in ("edited_question", "edited_answer"))
        quote, kind, level = (None if done else _other(row, was, name) for name in ("quote", "kind", "level"))
        said = row.cells.get("verdict", "").strip()
        verdict = "" if said == pair.verdict else _verdict(said)
        edited = any(cell is not None for cell in (question, answer, quote, kind, level))
        if verdict == REJECTED and edited:
            raise _Unusable("rejected and edited at once")
        if verdict == "edit" and not edited and not done:
            raise _Unusable("the verdict says edit, but nothing is edited")
        if edited:
            made = self._edited(pair, question, answer, quote, kind, level, vouched=bool(said))
            if made != pair:
                return "edited", self._keep(replace(made, verdict=ACCEPTED, author=self._author))
        if verdict in (ACCEPTED, REJECTED) and verdict != pair.verdict:
            return verdict, self._keep(replace(pair, verdict=verdict, author=self._author))
        return "unchanged", pair

    def _edited(
        self, pair: QAPair, question: str | None, answer: str | None, quote: str | None, kind: str | None,
        level: str | None, *, vouched: bool,
    ) -> QAPair:  # fmt: skip
        """The pair as edited, None meaning as it was. ``vouched``: with a verdict, the quote shown is the person's."""
        made = replace(
            pair,
            question=_whole(pair.question if question is None else question),
            answer=" ".join((pair.answer if answer is None else answer).split()),
            kind=_known(kind, get_args(Kind), "kind", pair.kind),
            level=_known(level, get_args(Level), "level", pair.level),
        )
        other = self._asked.get(wording(made))
        if other not in (None, pair.id):
            raise _Unusable(f"the pair {other} asks this already")
        if (answer is None and quote is None) or not pair.answerable:
            if answer and not pair.answerable:
                raise _Unusable("the pair is unanswerable; reject it and write a new one with this answer")
            return made
        shown = _quote(pair)
        near = sorted(self._chunks_of(pair.document), key=lambda chunk: chunk.id != pair.chunk)
        if quote is None:
            near = [chunk for chunk in near if chunk.id == pair.chunk]
        if quote is None and holds(made.answer, shown) and len(pair.evidence) > 1:
            return made  # put together from several places, and still is
        chunk, evidence = _grounded(made, quote or "", shown, near, vouched=vouched)
        return replace(made, chunk=chunk.id, evidence=(evidence,))

    def add(self, row: Row) -> tuple[str, QAPair]:
        """("new", the pair), or ("unchanged", the pair) if it was added before. Raises _Unusable."""
        cells = {name: row.cells.get(name, "").strip() for name in COLUMNS}
        question = _whole(cells["edited_question"] or cells["question"])
        answer = " ".join((cells["edited_answer"] or cells["answer"]).split())
        kind = _known(cells["kind"], get_args(Kind), "kind", "fact")
        level = _known(cells["level"], get_args(Level), "level", "explicit fact")
        if cells["verdict"] and _verdict(cells["verdict"]) == REJECTED:
            raise _Unusable("a new pair that is rejected at once")
        if not answer and kind != "unanswerable":
            raise _Unusable("a new pair needs an answer")
        document = self._document(cells["source file"])
        name = content_hash(document, question, answer)[:20]
        pair = QAPair(
            name, question, answer, document, "", (), kind, WRITTEN, "train", level,
            answerable=bool(answer), author=self._author, verdict=ACCEPTED,
        )  # fmt: skip
        if other := self._asked.get(wording(pair)):
            if other == name and self._pairs[other].verdict != REJECTED:
                return "unchanged", self._pairs[other]
            was = "was rejected; accept that one" if self._pairs[other].verdict == REJECTED else "asks this already"
            raise _Unusable(f"the pair {other} {was}")
        if answer:
            pages = _pages(cells["page"])
            near = [chunk for chunk in self._chunks_of(document) if not pages or pages & set(chunk.pages)]
            if not near:
                raise _Unusable(f"there is no text on page {cells['page']} of {cells['source file']}")
            chunk, evidence = _grounded(pair, cells["quote"], "", by_words(question, near))
            pair = replace(pair, chunk=chunk.id, evidence=(evidence,))
        return "new", self._keep(pair)

    def _document(self, name: str) -> str:
        if not name:
            raise _Unusable("a new pair needs the name of its source file")
        found = self._by_name.get(Path(name).name.casefold(), [])
        exact = [key for key in found if self._documents[key].source == name]
        if len(exact or found) != 1:
            near = difflib.get_close_matches(name.casefold(), self._by_name, 1)
            hint = f"; did you mean {near[0]}?" if near and not found else "; give its path" if found else ""
            raise _Unusable(f"{len(found) or 'no'} documents named {name} have been read{hint}")
        return (exact or found)[0]

    def _keep(self, pair: QAPair) -> QAPair:
        if pair.id in self._pairs:
            self._asked.pop(wording(self._pairs[pair.id]), None)
        self._pairs[pair.id] = pair
        self._asked[wording(pair)] = pair.id
        return pair


def _pending(row: Row, was: Mapping[str, str], name: str) -> str | None:
    """What a person wrote for the question or answer; None if nothing, or what it is already. White space is equal.

    Raises _Unusable if the row is about other words than the pair's: it was edited since, or in the wrong column.
    """
    edit = _other(row, was, f"edited_{name}", name)
    applied = edit is None and row.cells.get(f"edited_{name}", "").strip()
    if not applied and _other(row, was, name) is not None:
        raise _Unusable(f"the {name} is not the pair's any more; write a new one in the column edited_{name}")
    return edit


def _other(row: Row, was: Mapping[str, str], name: str, old: str = "") -> str | None:
    """A cell that a person filled with something else than the pair has."""
    cell = row.cells.get(name, "").strip()
    return cell if cell and cell.split() != was[old or name].split() else None


def _verdict(said: str) -> str:
    """A verdict however it is spelt; "" of nothing."""
    word = said.strip().casefold().rstrip(".!")
    if not word or word in _VERDICTS:
        return _VERDICTS.get(word, "")
    first = word.split()[0].strip(",;:-")
    near = difflib.get_close_matches(word, [w for w in _VERDICTS if len(w) > 3], 1, 0.75)
    known = _VERDICTS.get(first) if len(first) > 1 else None
    if known is None and not near:
        raise _Unusable(f"the verdict {said.strip()!r} is none of accept, reject, edit")
    return known or _VERDICTS[near[0]]


def _whole(question: str) -> str:
    text = " ".join(question.split())
    if len(align.tokens(text)) < 2:
        raise _Unusable("there is no question")
    return text


def _known(value: str | None, names: Sequence[str], what: str, default: str) -> str:
    word = " ".join((value or "").casefold().split())
    if word and word not in names:
        raise _Unusable(f"there is no {what} {word!r}; known are {', '.join(names)}")
    return word or default


def _grounded(
    pair: QAPair, quote: str, before: str, chunks: Sequence[Chunk], *, vouched: bool = False
) -> tuple[Chunk, Evidence]:
    found = ground_by_hand(pair.question, pair.answer, pair.kind, quote, before, chunks)
    if found is None and vouched and not quote:
        found = ground_by_hand(pair.question, pair.answer, pair.kind, before, "", chunks)
    if found is not None:
        return found
    if quote:
        raise _Unusable("the quote was not found in the document, or not the answer's numbers in it")
    hint = "give a quote that proves it" + (", or the verdict accept if the one shown does" if before else "")
    where = "where the pair's evidence stands" if before else "in the document"
    raise _Unusable(f"the answer {pair.answer[:80]!r} was not found {where}; {hint}")


def _pages(cell: str) -> set[int]:
    if re.search(r"[^\d,; -]|\d-|-\d", cell):
        raise _Unusable(f"the page is {cell!r}, not a number")
    return {int(number) for number in re.findall(r"\d+", cell)}
