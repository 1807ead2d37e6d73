"""The work of ``batch`` on an opened session: a file of questions in, the same file with answers out."""

from __future__ import annotations

import contextlib
import json
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from datetime import date, datetime
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from fieldguide.cli.session import Session
from fieldguide.cli.verbs import adapter_notes, wanted_facets
from fieldguide.errors import FieldguideError

if TYPE_CHECKING:
    from assistant.batch import Asked, Outcome
    from assistant.flow import Assistant
    from assistant.tables import Table
    from retrieval.retriever import HybridRetriever

EXIT_SOME_FAILED = 3
_PREFIX = "where:"
_REASONS = 8  # shown on the screen
Filter = dict[str, list[str]]


@dataclass(frozen=True)
class Wish:
    """What the command line asks for. ``columns`` name the columns that hold filters."""

    questions: Path
    answers: Path
    column: str
    columns: Sequence[str]
    where: Sequence[str]
    user: str | None
    base: bool
    size: int
    overwrite: bool


def batch(s: Session, wish: Wish) -> dict[str, Any]:
    """Answer every row and write the file of answers; what was asked before and kept is not asked again."""
    from assistant.batch import answer_all
    from assistant.journal import Journal
    from assistant.tables import read_table

    journal = Journal(wish.answers)
    _check_files(wish, journal.path)
    table = read_table(wish.questions)
    for note in table.notes:
        s.say(note)
    if not table.rows:
        raise FieldguideError(f"{wish.questions} holds no questions: there is no row below the names of its columns.")
    question_column, filter_columns = _columns(s, wish, table)
    with journal.held():
        kept = journal.read()
        begun = time.perf_counter()
        rows = _Rows(s, wish)
        planned = [rows.plan(row.cells, row.fault, question_column, filter_columns) for row in table.rows]
        asked = list({row.key: row for row in planned if not isinstance(row, str)}.values())
        done = sum(row.key in kept for row in asked)
        if kept:
            unused = f"; {len(kept) - done} belong to other questions or settings" if len(kept) > done else ""
            s.say(f"{done} of {len(asked)} questions were answered by an earlier run{unused}.")
        left = len(asked) - done
        s.announce(f"{left} questions", {"answering": (left, 1.0)}, 1)
        s.progress.start("answering", len(asked), done)
        try:
            found = answer_all(
                asked, rows.answer, kept=kept, keep=journal.add, size=wish.size, progress=s.progress
            )  # fmt: skip
        except KeyboardInterrupt:
            s.say(f"{len(journal.read())} answers are kept in {journal.path}.")
            raise
        s.progress.finish()
        result = _written(s, wish, table, planned, found)
        seconds = time.perf_counter() - begun
        result |= {
            "asked": left, "kept": done, "seconds": round(seconds, 1), "questions_per_second": round(left / seconds, 2),
        }  # fmt: skip
        if any(outcome.status == "failed" for outcome in found.values()):
            result["journal"] = str(journal.path)
        else:
            journal.remove()
    notes = rows.notes()
    for note in notes:
        s.say(f"Note: {note}")
    result["notes"] += notes
    _show(s, result)
    return result


def _check_files(wish: Wish, journal: Path) -> None:
    """Before anything is loaded: can the answers be written where they shall be?"""
    from assistant.tables import suffix_of
    from ingest.qa.sheets import load_openpyxl

    for file in (wish.questions, wish.answers):
        if suffix_of(file) == ".xlsx":
            load_openpyxl()
    if wish.answers.is_dir():
        raise FieldguideError(f"{wish.answers} is a folder; name a file for the answers.")
    if wish.answers.exists():
        if wish.questions.exists() and wish.questions.samefile(wish.answers):
            raise FieldguideError(f"The answers would take the place of the questions in {wish.answers}: name another.")
        if not wish.overwrite and not journal.exists():
            raise FieldguideError(f"{wish.answers} is there already: name another file, or replace it by --overwrite.")


def _columns(s: Session, wish: Wish, table: Table) -> tuple[int, dict[int, str]]:
    """The place of the question column, and the facet that each filter column holds values of."""
    from ingest.qa.sheets import spelling

    spelt = [spelling(name) for name in table.columns]

    def place(name: str, what: str, option: str) -> int:
        for names, wanted in ((table.columns, name), (spelt, spelling(name))):
            if wanted in names:
                return list(names).index(wanted)
        there = ", ".join(name[:60] for name in table.columns if name)
        raise FieldguideError(
            f"{wish.questions} has no column “{name}” {what}; its columns, named by its first row, are: {there}. "
            f"Name the right one with {option}."
        )

    question = place(wish.column, "of questions", "--column")
    given = [place(name, "of filters", "--where-column") for name in wish.columns]
    given += [n for n, name in enumerate(spelt) if name.startswith(_PREFIX) and n not in given]
    known = {spelling(name): name for name in ("document", "page", *s.catalog.facet_values())}
    filters = {}
    for column in given:
        name = spelt[column].removeprefix(_PREFIX).strip()
        if name not in known:
            raise FieldguideError(
                f"The column “{table.columns[column]}” of {wish.questions} filters by “{name}”, and there is no such "
                f"facet; there are: {', '.join(known.values())}."
            )
        filters[column] = known[name]
    return question, filters


class _Rows:
    """What answers rows: the retriever and the assistant, and the filters that were asked for."""

    def __init__(self, s: Session, wish: Wish) -> None:
        from fieldguide.prompts import answer_prompt_hash

        self._s, self._user = s, wish.user
        self._everywhere = wanted_facets(wish.where)
        self._retriever: HybridRetriever = s.retriever(self._everywhere, wish.user)
        self._assistant: Assistant = s.assistant(self._retriever, base=wish.base)
        self._wheres: dict[str, Filter] = {}
        self._recipes: dict[str, str | FieldguideError] = {"": self._retriever.recipe}
        calibration = self._assistant.calibration
        self._decided = [
            s.generator.id, self._assistant.adapter or "", s.answering.model_dump_json(), answer_prompt_hash(),
            json.dumps(calibration.as_json(), sort_keys=True) if calibration is not None else "",
        ]  # fmt: skip
        self.uses_adapter = self._assistant.adapter is not None

    def plan(
        self, cells: Sequence[Any], fault: str, question_column: int, filter_columns: Mapping[int, str]
    ) -> Asked | str:
        """What is asked of a row, or why nothing can be."""
        from assistant.batch import Asked
        from fieldguide.types import content_hash
        from ingest.qa.sheets import plain, unescape

        if fault:
            return fault
        question = " ".join(unescape(_cell(cells[question_column], plain)).split())
        question = question.encode("utf-8", "replace").decode("utf-8")  # halves of surrogate pairs
        if not question:
            return "The question is empty."
        wanted = {}
        for column, name in filter_columns.items():
            values = [value.strip() for value in unescape(_cell(cells[column], plain)).split(";") if value.strip()]
            if values:
                wanted[name] = values
        key = (
            content_hash(*(part for name in sorted(wanted) for part in (name, *sorted(wanted[name])))) if wanted else ""
        )
        self._wheres[key] = wanted
        recipe = self._recipe(key)
        if isinstance(recipe, FieldguideError):
            return str(recipe)
        if too_long := self._too_long(question):
            return too_long
        return Asked(content_hash(question, recipe, *self._decided), question, key)

    def answer(self, call: Sequence[Asked]) -> list[Outcome]:
        """The outcomes of one call; the bar follows the generator's batches where it tells of them."""
        from assistant.batch import outcome_of
        from assistant.by_question import ByQuestion

        own = {name: self._limited(name) for name in {asked.filter for asked in call} if name}
        routes = {asked.question: own[asked.filter] for asked in call if asked.filter}
        assistant = replace(self._assistant, retriever=ByQuestion(self._retriever, routes)) if own else self._assistant
        with _followed(self._s, len(call)):
            answers = assistant.answer([asked.question for asked in call])
        return [outcome_of(answer, self._assistant.documents) for answer in answers]

    def notes(self) -> list[str]:
        """What the user should know of the adapter that answered."""
        from retrieval.scope import EVERYTHING

        return adapter_notes(self._s, self._retriever.within(EVERYTHING).recipe) if self.uses_adapter else []

    def _limited(self, name: str) -> HybridRetriever:
        """The retriever under a row's filter; a name that the row gives takes the place of the same one of --where."""
        from retrieval.scope import scope

        where = self._everywhere | self._wheres[name]
        return self._retriever.within(scope(self._s.catalog, where, self._s.settings.access, self._user))

    def _recipe(self, name: str) -> str | FieldguideError:
        if name not in self._recipes:
            try:
                self._recipes[name] = self._limited(name).recipe
            except FieldguideError as error:
                self._recipes[name] = error
        return self._recipes[name]

    def _too_long(self, question: str) -> str:
        """Why the model cannot be asked this, "" if it can."""
        from fieldguide.prompts import answer_prompt
        from fieldguide.types import Context

        generator = self._s.generator
        room = generator.context_tokens - self._s.answering.max_new_tokens
        if 2 * len(question) < room:  # worth no counting
            return ""
        tokens = generator.count_tokens(answer_prompt(question, Context((), "rank")))
        return f"The question has {tokens} tokens, more than the model reads ({room})." if tokens > room else ""


def _cell(cell: Any, plain: Any) -> str:
    from assistant.tables import ABSENT

    if cell is ABSENT:
        return ""
    if isinstance(cell, datetime):
        return cell.date().isoformat()
    return cell.isoformat() if isinstance(cell, date) else str(plain(cell))


@contextlib.contextmanager
def _followed(s: Session, questions: int) -> Iterator[None]:
    """The bar moves with each batch of the generator, by as many as there are questions in all; back on an error."""
    told = 0

    def on_batch(n: int) -> None:
        nonlocal told
        step = min(n, questions - told)  # retrieval may ask the generator too
        told += step
        s.progress.advance(step)

    generator: Any = s.generator
    tells = hasattr(generator, "on_batch")
    if tells:
        generator.on_batch = on_batch
    try:
        yield
    except BaseException:
        s.progress.advance(-told)
        raise
    else:
        s.progress.advance(questions - told)
    finally:
        if tells:
            generator.on_batch = None


def _written(
    s: Session, wish: Wish, table: Table, planned: Sequence[Asked | str], found: Mapping[str, Outcome]
) -> dict[str, Any]:
    """Write the file of answers; what ``--json`` tells of its rows."""
    from assistant.batch import Outcome, failed
    from assistant.table_writing import write_table
    from ingest.qa.sheets import spelling

    outcomes = [failed(row) if isinstance(row, str) else found[row.key] for row in planned]
    taken = {spelling(name) for name in table.columns}
    added: dict[str, list[Any]] = {}
    for column in fields(Outcome):
        name, n = column.name, 1
        while spelling(name) in taken:
            name, n = f"fieldguide {column.name}" + (f" {n}" if n > 1 else ""), n + 1
        added[name] = [asdict(outcome)[column.name] for outcome in outcomes]
        if name != column.name:
            s.say(f"{wish.questions.name} has a column “{column.name}” already; ours is “{name}”.")
    for note in write_table(wish.answers, table, added):
        s.say(note)
    statuses = Counter(outcome.status for outcome in outcomes)
    reasons = Counter(outcome.reason for outcome in outcomes if outcome.status == "failed")
    sure = [
        outcome.confidence for outcome in outcomes if outcome.status == "answered" and outcome.confidence is not None
    ]
    return {
        "answers": str(wish.answers),
        "rows": len(outcomes),
        "answered": statuses["answered"],
        "not_in_the_documents": statuses["not in the documents"],
        "failed": statuses["failed"],
        "reasons": dict(reasons.most_common()),
        "repeated": sum(not isinstance(row, str) for row in planned) - len(found),
        "median_confidence": median(sure) if sure else None,
        "notes": list(table.notes),
    }


def _show(s: Session, result: Mapping[str, Any]) -> None:
    """The summary on the screen."""
    repeated = f" ({result['repeated']} of them repeat another)" if result["repeated"] else ""
    s.say(
        f"{result['rows']} rows{repeated}: {result['answered']} answered, {result['not_in_the_documents']} not in the "
        f"documents, {result['failed']} failed."
    )
    for reason, n in list(result["reasons"].items())[:_REASONS]:
        s.say(f"  {n} failed: {reason}")
    if len(result["reasons"]) > _REASONS:
        s.say(f"  and {len(result['reasons']) - _REASONS} more reasons, in the column “reason”")
    if result["median_confidence"] is not None:
        s.say(f"Median confidence of the answers: {result['median_confidence']:.2f}.")
    s.say(f"{result['asked']} questions asked in {result['seconds']:.1f} s, {result['questions_per_second']:.2f}/s.")
    if "journal" in result:
        s.say(f"Run the same command again to ask only those that failed; the answers are kept in {result['journal']}.")
    s.say(f"Answers: {result['answers']}")
