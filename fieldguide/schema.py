"""The tables of the catalogue, how they came to be, and how a database is opened (SQLAlchemy Core).

Knows columns and versions, not what they mean (see ``fieldguide.catalog``).
"""

from __future__ import annotations

import functools
import shutil
import sqlite3
from collections.abc import Callable, Mapping, Sequence
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
    insert,
    inspect,
    select,
)
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import DatabaseError
from sqlalchemy.schema import CreateColumn

from fieldguide.errors import WorkspaceError

meta = MetaData()
info = Table("info", meta, Column("key", String, primary_key=True), Column("value", Text))
files = Table(
    "files", meta, Column("path", String, primary_key=True), Column("document", String, index=True),
    Column("bytes", Integer), Column("status", String), Column("reason", Text), Column("hash", String, default=""),
    Column("recipe", String, default=""),
)  # fmt: skip
documents = Table(
    "documents", meta, Column("id", String, primary_key=True), Column("source", String), Column("title", Text),
    Column("metadata", Text), Column("recipe", String), Column("split", String),
    Column("chunk_recipe", String, default=""), Column("facet_recipe", String, default=""),
    Column("status", String, default="read"), Column("reason", Text, default=""), Column("ocr", Boolean, default=False),
    Column("date", String, default=""), Column("signature", Text, default=""),
)  # fmt: skip
pages = Table(
    "pages", meta, Column("document", String, primary_key=True), Column("number", Integer, primary_key=True),
    Column("label", String), Column("text", Text), Column("reader", String), Column("text_hash", String),
    Column("blocks", Text, default="[]"), Column("confidence", Float),
)  # fmt: skip
chunks = Table(
    "chunks", meta, Column("id", String, primary_key=True), Column("document", String, index=True),
    Column("ordinal", Integer), Column("spans", Text), Column("heading", Text), Column("text", Text),
    Column("context", Text),
)  # fmt: skip
facets = Table(
    "facets", meta, Column("document", String, primary_key=True), Column("chunk", String, primary_key=True),
    Column("name", String, primary_key=True), Column("value", String, primary_key=True),
)  # fmt: skip
relations = Table(
    "relations", meta, Column("document", String, primary_key=True), Column("kind", String, primary_key=True),
    Column("other", String, primary_key=True), Column("score", Float),
)  # fmt: skip
pairs = Table(
    "pairs", meta, Column("id", String, primary_key=True), Column("document", String, index=True),
    Column("split", String, index=True), Column("chunk", String), Column("body", Text),
)  # fmt: skip
drafted = Table(
    "drafted", meta, Column("chunk", String, primary_key=True), Column("source", String, primary_key=True),
    Column("kept", Integer),
)  # fmt: skip
rejections = Table(
    "rejections", meta, Column("id", Integer, primary_key=True), Column("chunk", String, index=True),
    Column("source", String), Column("reason", String), Column("detail", Text),
)  # fmt: skip
artefacts = Table(
    "artefacts", meta, Column("kind", String, primary_key=True), Column("id", String, primary_key=True),
    Column("created", String), Column("active", Boolean), Column("manifest", Text),
)  # fmt: skip
answers = Table("answers", meta, Column("key", String, primary_key=True), Column("body", Text))
rates = Table("rates", meta, Column("stage", String, primary_key=True), Column("per_second", Float))


def _create_all(connection: Connection) -> None:
    meta.create_all(connection)


def _add_structure(connection: Connection) -> None:
    """Blocks, stages, facets and relations. What was read before has no recipes for them and is read again."""
    meta.create_all(connection)
    for table in meta.sorted_tables:
        there = {column["name"] for column in inspect(connection).get_columns(table.name)}
        for column in table.columns:
            if column.name not in there:
                definition = CreateColumn(column).compile(dialect=connection.dialect)
                given: Any = column.default
                default = "" if given is None else f" DEFAULT {_literal(given.arg)}"
                connection.exec_driver_sql(f"ALTER TABLE {table.name} ADD COLUMN {definition}{default}")


def _literal(value: Any) -> str:
    return str(int(value)) if isinstance(value, bool) else f"'{value}'"


MIGRATIONS: tuple[Callable[[Connection], None], ...] = (_create_all, _add_structure)
"""Step i brings a catalogue from schema version i to i + 1. Steps are only ever appended."""


def open_database(path: Path, *, writable: bool) -> Engine:
    """The SQLite file at ``path``, made or migrated. Raises WorkspaceError if it is damaged or of a newer version."""
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
    return engine


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
                put(c, info, {"key": "schema", "value": str(number + 1)})


def _schema(c: Connection) -> int:
    if not inspect(c).has_table("info"):
        return 0
    return int(c.execute(select(info.c.value).where(info.c.key == "schema")).scalar() or 0)


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


def put(c: Connection, table: Table, row: Mapping[str, Any]) -> None:
    """Insert or replace by primary key."""
    c.execute(delete(table).where(*(column == row[column.name] for column in table.primary_key)))
    c.execute(insert(table).values(**row))
