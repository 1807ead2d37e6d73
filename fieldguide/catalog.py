"""The catalogue: what was read, cut, asked, indexed and tuned, in one database (SQLAlchemy Core).

Every method is one short transaction, so a killed process leaves the last finished item behind, never half of one.
Knows the data types, not the stages.
"""

from __future__ import annotations

import functools
import json
import shutil
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import (
    URL,
    Boolean,
    Column,
    Connection,
    Engine,
    Float,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    create_engine,
    delete,
    event,
    func,
    insert,
    inspect,
    select,
    update,
)
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import DatabaseError

from fieldguide.errors import WorkspaceError
from fieldguide.types import Chunk, Document, Evidence, Page, QAPair, Span

_meta = MetaData()
_info = Table("info", _meta, Column("key", String, primary_key=True), Column("value", Text))
_files = Table(
    "files", _meta, Column("path", String, primary_key=True), Column("document", String, index=True),
    Column("bytes", Integer), Column("status", String), Column("reason", Text),
)  # fmt: skip
_documents = Table(
    "documents", _meta, Column("id", String, primary_key=True), Column("source", String), Column("title", Text),
    Column("metadata", Text), Column("recipe", String), Column("split", String),
)  # fmt: skip
_pages = Table(
    "pages", _meta, Column("document", String, primary_key=True), Column("number", Integer, primary_key=True),
    Column("label", String), Column("text", Text), Column("reader", String), Column("text_hash", String),
)  # fmt: skip
_chunks = Table(
    "chunks", _meta, Column("id", String, primary_key=True), Column("document", String, index=True),
    Column("ordinal", Integer), Column("spans", Text), Column("heading", Text), Column("text", Text),
    Column("context", Text),
)  # fmt: skip
_pairs = Table(
    "pairs", _meta, Column("id", String, primary_key=True), Column("document", String, index=True),
    Column("split", String, index=True), Column("chunk", String), Column("body", Text),
)  # fmt: skip
_drafted = Table(
    "drafted", _meta, Column("chunk", String, primary_key=True), Column("source", String, primary_key=True),
    Column("kept", Integer),
)  # fmt: skip
_rejections = Table(
    "rejections", _meta, Column("id", Integer, primary_key=True), Column("chunk", String, index=True),
    Column("source", String), Column("reason", String), Column("detail", Text),
)  # fmt: skip
_artefacts = Table(
    "artefacts", _meta, Column("kind", String, primary_key=True), Column("id", String, primary_key=True),
    Column("created", String), Column("active", Boolean), Column("manifest", Text),
)  # fmt: skip
_answers = Table("answers", _meta, Column("key", String, primary_key=True), Column("body", Text))
_rates = Table("rates", _meta, Column("stage", String, primary_key=True), Column("per_second", Float))


def _create_all(connection: Connection) -> None:
    _meta.create_all(connection)


MIGRATIONS: tuple[Callable[[Connection], None], ...] = (_create_all,)
"""Step i brings a catalogue from schema version i to i + 1. Steps are only ever appended."""


@dataclass(frozen=True, slots=True)
class FileRecord:
    """What became of a file: its class ("read", "damaged", …) and the reason."""

    path: str
    document: str | None
    bytes: int
    status: str
    reason: str


@dataclass(frozen=True, slots=True)
class Artefact:
    """An index version or an adapter: an id, its manifest, and whether it is the one in use."""

    kind: str
    id: str
    created: str
    active: bool
    manifest: Mapping[str, Any]


class Catalog:
    """An open catalogue. ``Catalog.open`` makes, checks and migrates; close with ``close()``."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @classmethod
    def open(cls, path: Path, *, writable: bool = True) -> Catalog:
        """Open the SQLite file at ``path``. Raises WorkspaceError if it is damaged or of a newer version."""
        if writable:
            engine = create_engine(URL.create("sqlite", database=str(path)))
            event.listen(engine, "connect", _pragmas)
            event.listen(engine, "handle_error", functools.partial(_on_error, path))
        elif path.exists():
            # "immutable" works on any read-only disk, but passes over what a killed run left in the write-ahead log
            query = {"mode": "ro", "uri": "true"} | ({} if _has_log(path) else {"immutable": "1"})
            engine = create_engine(URL.create("sqlite", database=path.resolve().as_uri(), query=query))
        else:
            raise WorkspaceError(f"{path} does not exist and the workspace is read-only.")
        try:
            migrate(engine, path, write=writable)
        except DatabaseError as error:
            engine.dispose()
            if not writable and _has_log(path):
                raise WorkspaceError(
                    f"{path} has unfinished changes in {path.name}-wal; open it once where it can be written."
                ) from None
            if "locked" in str(error.orig):
                raise WorkspaceError(f"{path} is in use by another process; try again when it has ended.") from None
            raise WorkspaceError(
                f"{path} cannot be opened as a catalogue ({error.orig}); restore it from a backup, or delete it and "
                "run `fieldguide ingest` again."
            ) from None
        return cls(engine)

    def close(self) -> None:
        self._engine.dispose()

    # -- files and documents

    def files(self) -> dict[str, FileRecord]:
        """Every file seen, by path."""
        with self._engine.connect() as c:
            return {r.path: FileRecord(*r) for r in c.execute(select(_files).order_by(_files.c.path))}

    def record_file(self, record: FileRecord) -> None:
        with self._engine.begin() as c:
            _put(c, _files, asdict(record))

    def record_source(self, document: str, source: str) -> None:
        """A document's file was moved or renamed."""
        with self._engine.begin() as c:
            c.execute(update(_documents).where(_documents.c.id == document).values(source=source))

    def recipe(self, document: str) -> str | None:
        """Hash of the settings that a document was read with, None if it was not read."""
        with self._engine.connect() as c:
            return c.execute(select(_documents.c.recipe).where(_documents.c.id == document)).scalar()

    def store_document(
        self, document: Document, recipe: str, pages: Iterable[Page], chunks: Sequence[Chunk], file: FileRecord
    ) -> None:
        """A document with its pages, chunks and file, all or nothing; replaces an earlier reading of it."""
        with self._engine.begin() as c:
            split = c.execute(select(_documents.c.split).where(_documents.c.id == document.id)).scalar()
            _forget(c, document.id)
            c.execute(
                insert(_documents).values(
                    id=document.id, source=document.source, title=document.title,
                    metadata=json.dumps(dict(document.metadata)), recipe=recipe, split=split,
                )
            )  # fmt: skip
            for page in pages:
                c.execute(
                    insert(_pages).values(
                        document=page.document, number=page.number, label=page.label, text=page.text,
                        reader=page.reader, text_hash=page.text_hash,
                    )
                )  # fmt: skip
            if chunks:
                c.execute(insert(_chunks), [_chunk_row(chunk, n) for n, chunk in enumerate(chunks)])
            _put(c, _files, asdict(file))

    def remove_orphans(self) -> list[str]:
        """Delete documents that no file holds any more, with their pairs and what was asked; returns their ids."""
        with self._engine.begin() as c:
            held = select(_files.c.document).where(_files.c.document.is_not(None))
            gone = list(c.execute(select(_documents.c.id).where(_documents.c.id.not_in(held))).scalars())
            for document in gone:
                for chunk, table in ((_chunks.c.id, _chunks), (_pairs.c.chunk, _pairs)):
                    asked = select(chunk).where(table.c.document == document)
                    c.execute(delete(_drafted).where(_drafted.c.chunk.in_(asked)))
                    c.execute(delete(_rejections).where(_rejections.c.chunk.in_(asked)))
                _forget(c, document)
                c.execute(delete(_pairs).where(_pairs.c.document == document))
            return gone

    def documents(self) -> list[Document]:
        with self._engine.connect() as c:
            rows = c.execute(select(_documents).order_by(_documents.c.source, _documents.c.id))
            return [Document(r.id, r.source, r.title, json.loads(r.metadata)) for r in rows]

    def splits(self) -> dict[str, str | None]:
        """The split that each document was given, None before ``qa`` ran."""
        with self._engine.connect() as c:
            return {r.id: r.split for r in c.execute(select(_documents.c.id, _documents.c.split))}

    def record_splits(self, splits: Mapping[str, str]) -> None:
        with self._engine.begin() as c:
            for document, split in splits.items():
                c.execute(update(_documents).where(_documents.c.id == document).values(split=split))

    def page(self, document: str, number: int) -> Page:
        """Raises KeyError if there is no such page."""
        with self._engine.connect() as c:
            row = c.execute(
                select(_pages).where(_pages.c.document == document, _pages.c.number == number)
            ).one_or_none()
        if row is None:
            raise KeyError((document, number))
        return Page(row.document, row.number, row.label, row.text, row.reader)

    def chunks(self, document: str | None = None) -> list[Chunk]:
        """All chunks, or those of one document, in reading order."""
        query = select(_chunks).order_by(_chunks.c.document, _chunks.c.ordinal)
        if document is not None:
            query = query.where(_chunks.c.document == document)
        with self._engine.connect() as c:
            return [
                Chunk(
                    r.id, r.document, tuple(Span(*s) for s in json.loads(r.spans)), r.text,
                    tuple(json.loads(r.heading)), r.context,
                )
                for r in c.execute(query)
            ]  # fmt: skip

    # -- question-answer pairs

    def drafted(self) -> set[tuple[str, str]]:
        """(chunk, source id) of every chunk that a source has been asked about."""
        with self._engine.connect() as c:
            return {(r.chunk, r.source) for r in c.execute(select(_drafted.c.chunk, _drafted.c.source))}

    def store_pairs(
        self, chunk: str, source: str, pairs: Iterable[QAPair], rejections: Iterable[tuple[str, str]]
    ) -> None:
        """Everything that a source gave for a chunk, all or nothing. Rejections are (reason, detail)."""
        with self._engine.begin() as c:
            kept = 0
            for pair in pairs:
                kept += 1
                row = {"id": pair.id, "document": pair.document, "split": pair.split, "chunk": pair.chunk}
                _put(c, _pairs, row | {"body": json.dumps(asdict(pair))})
            for reason, detail in rejections:
                c.execute(insert(_rejections).values(chunk=chunk, source=source, reason=reason, detail=detail))
            _put(c, _drafted, {"chunk": chunk, "source": source, "kept": kept})

    def pairs(self, split: str | None = None) -> list[QAPair]:
        """All pairs, or those of one split, in the order of their ids."""
        query = select(_pairs.c.body).order_by(_pairs.c.id)
        if split is not None:
            query = query.where(_pairs.c.split == split)
        with self._engine.connect() as c:
            return [_pair(json.loads(body)) for body in c.execute(query).scalars()]

    def rejections(self) -> dict[tuple[str, str], int]:
        """How many drafts were rejected, by (source id, reason)."""
        query = select(_rejections.c.source, _rejections.c.reason, func.count()).group_by(
            _rejections.c.source, _rejections.c.reason
        )
        with self._engine.connect() as c:
            return {(r[0], r[1]): r[2] for r in c.execute(query)}

    # -- index versions and adapters

    def add_artefact(self, kind: str, id: str, manifest: Mapping[str, Any], *, activate: bool) -> None:
        """Record an index version or adapter; with ``activate`` it becomes the one in use, in the same transaction."""
        with self._engine.begin() as c:
            if activate:
                c.execute(update(_artefacts).where(_artefacts.c.kind == kind).values(active=False))
            row = {"kind": kind, "id": id, "created": datetime.now(UTC).isoformat(timespec="seconds")}
            _put(c, _artefacts, row | {"active": activate, "manifest": json.dumps(manifest)})

    def artefacts(self, kind: str) -> list[Artefact]:
        """Oldest first."""
        query = select(_artefacts).where(_artefacts.c.kind == kind).order_by(_artefacts.c.created)
        with self._engine.connect() as c:
            return [Artefact(r.kind, r.id, r.created, r.active, json.loads(r.manifest)) for r in c.execute(query)]

    def active(self, kind: str) -> Artefact | None:
        return next((a for a in self.artefacts(kind) if a.active), None)

    # -- answers and rates

    def answer(self, key: str) -> dict[str, Any] | None:
        """A cached answer as JSON, by the hash of everything that decides it."""
        with self._engine.connect() as c:
            body = c.execute(select(_answers.c.body).where(_answers.c.key == key)).scalar()
            return None if body is None else dict(json.loads(body))

    def store_answer(self, key: str, body: Mapping[str, Any]) -> None:
        with self._engine.begin() as c:
            _put(c, _answers, {"key": key, "body": json.dumps(body)})

    def rate(self, stage: str) -> float | None:
        """Items per second that a stage last reached on this machine, None before its first run."""
        with self._engine.connect() as c:
            return c.execute(select(_rates.c.per_second).where(_rates.c.stage == stage)).scalar()

    def record_rate(self, stage: str, per_second: float) -> None:
        with self._engine.begin() as c:
            _put(c, _rates, {"stage": stage, "per_second": per_second})

    def counts(self) -> dict[str, int]:
        """Rows of each kind, for ``status``."""
        tables = {"documents": _documents, "pages": _pages, "chunks": _chunks, "pairs": _pairs}
        with self._engine.connect() as c:
            return {name: c.execute(select(func.count()).select_from(t)).scalar_one() for name, t in tables.items()}


def migrate(engine: Engine, path: Path, *, write: bool, steps: Sequence[Callable[[Connection], None]] = ()) -> None:
    """Bring the catalogue to this version, step by step, each in its own transaction.

    Raises WorkspaceError if it is of a newer version, or of an older one and may not be written.
    """
    steps = steps or MIGRATIONS
    with engine.connect() as c:
        version = _schema(c)
    if version > len(steps):
        raise WorkspaceError(
            f"{path} was written by a newer Fieldguide (schema {version}, this one knows {len(steps)}); update it."
        )
    if version < len(steps) and not write:
        raise WorkspaceError(f"{path} is of an older version and read-only; open it once where it can be written.")
    for number in range(version, len(steps)):
        with engine.begin() as c:
            if c.dialect.name == "sqlite":
                c.exec_driver_sql("BEGIN IMMEDIATE")  # the driver begins none before CREATE or ALTER
            if _schema(c) == number:  # else another process was faster
                steps[number](c)
                _put(c, _info, {"key": "schema", "value": str(number + 1)})


def _schema(c: Connection) -> int:
    if not inspect(c).has_table("info"):
        return 0
    return int(c.execute(select(_info.c.value).where(_info.c.key == "schema")).scalar() or 0)


def _has_log(path: Path) -> bool:
    log = path.with_name(f"{path.name}-wal")
    return log.exists() and log.stat().st_size > 0


def _pragmas(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA busy_timeout=10000")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.close()


_LITTLE = 2**20


def _on_error(path: Path, context: ExceptionContext) -> None:
    """A full or failing disk is the user's to mend: one sentence in place of SQLAlchemy's error."""
    code = getattr(context.original_exception, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_IOERR and shutil.disk_usage(path.parent).free < _LITTLE:
        code = sqlite3.SQLITE_FULL  # that is how the write-ahead log says it
    if code == sqlite3.SQLITE_FULL:
        raise WorkspaceError(
            f"The disk that holds {path} is full: make room and run it again; finished work is kept, and nothing "
            "half-written is."
        ) from None
    if code == sqlite3.SQLITE_BUSY:
        raise WorkspaceError(f"{path} is being written to by another process; try again when that has ended.") from None
    if code == sqlite3.SQLITE_IOERR:
        raise WorkspaceError(
            f"The disk that holds {path} cannot be read or written ({context.original_exception}): mend that and "
            "run it again."
        ) from None


def _put(c: Connection, table: Table, row: Mapping[str, Any]) -> None:
    """Insert or replace by primary key."""
    c.execute(delete(table).where(*(column == row[column.name] for column in table.primary_key)))
    c.execute(insert(table).values(**row))


def _forget(c: Connection, document: str) -> None:
    c.execute(delete(_documents).where(_documents.c.id == document))
    c.execute(delete(_pages).where(_pages.c.document == document))
    c.execute(delete(_chunks).where(_chunks.c.document == document))


def _chunk_row(chunk: Chunk, ordinal: int) -> dict[str, Any]:
    return {
        "id": chunk.id, "document": chunk.document, "ordinal": ordinal, "text": chunk.text, "context": chunk.context,
        "spans": json.dumps([[s.page, s.start, s.end] for s in chunk.spans]), "heading": json.dumps(chunk.heading),
    }  # fmt: skip


def _pair(body: dict[str, Any]) -> QAPair:
    evidence = tuple(
        Evidence(e["document"], tuple(Span(**s) for s in e["spans"]), e["quote"]) for e in body["evidence"]
    )
    return QAPair(**(body | {"evidence": evidence}))
