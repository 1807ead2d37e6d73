"""Test questions: from a user's file (JSON lines) or from the catalogue's test split. Frozen by a hash."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fieldguide.errors import FieldguideError, NotReady
from fieldguide.types import Document, QAPair, content_hash


@dataclass(frozen=True, slots=True)
class TestQuestion:
    """A question with its reference answers and, if known, the document and the pages where the answer stands.

    ``group`` is the generated pair's (``QAPair.group``), "" for a question of a user's file.
    """

    __test__ = False

    id: str
    question: str
    answers: tuple[str, ...]
    document: str | None
    pages: tuple[int, ...]
    kind: str
    group: str = ""
    level: str = ""


class _Row(BaseModel):
    """One line of a question file."""

    model_config = ConfigDict(extra="ignore")

    id: str = Field(min_length=1)
    question: str = Field(min_length=1)
    answer: str | Annotated[list[str], Field(min_length=1)]
    document: str | None = None
    page: int | None = Field(None, ge=1)
    pages: list[Annotated[int, Field(ge=1)]] = []
    kind: str = ""
    level: str | int = ""


def read_questions(path: Path, documents: Mapping[str, Document]) -> list[TestQuestion]:
    """Questions of a JSON-lines file; ``document`` in it is a file name, found among the documents read.

    Raises FieldguideError that lists every faulty line: not JSON, missing fields, an id twice, a document that is
    unknown or named like another one.
    """
    by_name: dict[str, list[str]] = {}
    for known in documents.values():
        by_name.setdefault(Path(known.source).name, []).append(known.id)
    try:
        lines = path.read_text("utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "they are not UTF-8"
        raise FieldguideError(f"The questions in {path} cannot be read: {reason}.") from None
    faults: list[str] = []
    found: list[TestQuestion] = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
            if not isinstance(value, dict):
                faults.append(f"line {number}: not an object with id, question and answer")
                continue
            row = _Row.model_validate(value)
        except ValidationError as error:
            faults += [f"line {number}: {'.'.join(map(str, e['loc'])) or 'all'}: {e['msg']}" for e in error.errors()]
            continue
        except ValueError as error:
            faults.append(f"line {number}: not JSON ({error})")
            continue
        named = by_name.get(row.document, []) if row.document is not None else []
        if row.document is not None and len(named) != 1:
            faults.append(f"line {number}: {len(named) or 'no'} documents named {row.document} have been read")
        pages = tuple(dict.fromkeys([*row.pages, *([row.page] if row.page else [])]))
        answers = tuple([row.answer] if isinstance(row.answer, str) else row.answer)
        found.append(
            TestQuestion(
                row.id, row.question, answers, named[0] if named else None, pages, row.kind, level=str(row.level)
            )
        )
    faults += [f"id {name!r} stands {n} times" for name, n in Counter(q.id for q in found).items() if n > 1]
    if faults:
        raise FieldguideError(f"{len(faults)} fault(s) in {path}:\n  " + "\n  ".join(faults))
    if not found:
        raise FieldguideError(f"{path} holds no questions.")
    return found


def from_pairs(pairs: Sequence[QAPair]) -> list[TestQuestion]:
    """The pairs of the test split as questions. Raises NotReady if there are none."""
    if not pairs:
        raise NotReady(
            "There are no test questions: give a file with --questions, or ingest at least three documents and run "
            "`fieldguide qa`, so that one of them is kept for testing."
        )
    return [
        TestQuestion(
            p.id, p.question, (p.answer,), p.document,
            tuple(dict.fromkeys(s.page for e in p.evidence for s in e.spans)), p.kind, p.group, p.level,
        )
        for p in pairs
    ]  # fmt: skip


def draw(questions: Sequence[TestQuestion], limit: int, seed: int) -> list[TestQuestion]:
    """At most ``limit`` of the questions, drawn by the seed, in their order."""
    if len(questions) <= limit:
        return list(questions)
    chosen = set(random.Random(seed).sample(range(len(questions)), limit))
    return [question for n, question in enumerate(questions) if n in chosen]


def questions_hash(questions: Sequence[TestQuestion]) -> str:
    """Hash of a frozen question set."""
    return content_hash(*(f"{q.id}|{q.question}|{q.answers}|{q.document}|{q.pages}" for q in questions))
