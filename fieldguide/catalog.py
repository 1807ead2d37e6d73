"""The catalogue: what was read, cut, asked, indexed and tuned, in one database (SQLAlchemy Core).

Every method is one short transaction, so a killed process leaves the last finished item behind, never half of one.
Knows the data types, not the stages.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, and_, delete, func, insert, null, or_, select, true, update

from fieldguide import schema
from fieldguide.rows import chunk_of, chunk_row, page_of, page_row, pair_of, pair_row
from fieldguide.schema import open_database, put
from fieldguide.types import Chunk, Document, Page, QAPair

_BATCH = 500  # SQLite takes at most some thousand values in one statement
_BEFORE = "in use before: "  # with a kind: the key of the ids that were, oldest first
_REMEMBERED = 100


@dataclass(frozen=True, slots=True)
class FileRecord:
    """What became of a file: its class ("read", "damaged", …) and the reason.

    ``hash`` is the SHA-256 of its bytes; ``recipe`` is what a file that could not be read was tried with.
    """

    path: str
    document: str | None
    bytes: int
    status: str
    reason: str
    hash: str = ""
    recipe: str = ""


@dataclass(frozen=True, slots=True)
class Reading:
    """What each stage of a document was made with (hashes of settings), and what came of reading it.

    ``ocr`` is whether OCR had a part in it, ``date`` is the document's own (ISO, "" if unknown), ``signature`` its
    MinHash.
    """

    recipe: str
    chunk_recipe: str = ""
    facet_recipe: str = ""
    status: str = "read"
    reason: str = ""
    ocr: bool = False
    date: str = ""
    signature: str = ""


LOST = "evidence not found when read anew"
"""Why a pair was given up that had been written about an earlier reading of its page."""

FacetRow = tuple[str, str, str]
"""(chunk id, "" for the whole document; the facet's name; a value)."""


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
        return cls(open_database(path, writable=writable))

    def close(self) -> None:
        self._engine.dispose()

    # -- files and documents

    def files(self) -> dict[str, FileRecord]:
        """Every file seen, by path."""
        with self._engine.connect() as c:
            return {r.path: FileRecord(*r) for r in c.execute(select(schema.files).order_by(schema.files.c.path))}

    def record_files(self, records: Iterable[FileRecord]) -> None:
        with self._engine.begin() as c:
            for record in records:
                put(c, schema.files, asdict(record))

    def forget_files(self, paths: Iterable[str]) -> None:
        """These paths hold nothing any more; their documents stay."""
        with self._engine.begin() as c:
            for part in _parts(paths):
                c.execute(delete(schema.files).where(schema.files.c.path.in_(part)))

    def record_source(self, document: str, source: str) -> None:
        """A document's file was moved or renamed."""
        with self._engine.begin() as c:
            c.execute(update(schema.documents).where(schema.documents.c.id == document).values(source=source))

    def readings(self) -> dict[str, Reading]:
        """How each document was read, by its id."""
        d = schema.documents.c
        query = select(
            d.id, d.recipe, d.chunk_recipe, d.facet_recipe, d.status, d.reason, d.ocr, d.date, d.signature
        ).order_by(d.id)
        with self._engine.connect() as c:
            return {r.id: Reading(*r[1:]) for r in c.execute(query)}

    def store_document(
        self,
        document: Document,
        reading: Reading,
        pages: Iterable[Page],
        chunks: Sequence[Chunk],
        file: FileRecord,
        *,
        facets: Iterable[FacetRow] = (),
        pairs: Iterable[QAPair] = (),
        lost: Iterable[tuple[str, str]] = (),
    ) -> None:
        """A document with its pages, chunks, facets and file, all or nothing; replaces an earlier reading of it.

        ``pairs`` are those of the earlier reading, anchored anew; ``lost`` are the ids of pairs that could not be,
        with what they said.
        """
        with self._engine.begin() as c:
            table = schema.documents
            split = c.execute(select(table.c.split).where(table.c.id == document.id)).scalar()
            put(
                c, table,
                asdict(reading) | {
                    "id": document.id, "source": document.source, "title": document.title,
                    "metadata": json.dumps(dict(document.metadata)), "split": split,
                },
            )  # fmt: skip
            c.execute(delete(schema.pages).where(schema.pages.c.document == document.id))
            for page in pages:
                c.execute(insert(schema.pages).values(**page_row(page)))
            _put_chunks(c, document.id, chunks)
            _put_facets(c, document.id, facets)
            _put_pairs(c, pairs, lost)
            put(c, schema.files, asdict(file))

    def store_chunks(
        self,
        document: str,
        recipe: str,
        chunks: Sequence[Chunk],
        pairs: Iterable[QAPair],
        lost: Iterable[tuple[str, str]],
    ) -> None:
        """A document's pages, cut anew. Its facets are due again."""
        with self._engine.begin() as c:
            changed = {"chunk_recipe": recipe, "facet_recipe": ""}
            c.execute(update(schema.documents).where(schema.documents.c.id == document).values(**changed))
            _put_chunks(c, document, chunks)
            _put_pairs(c, pairs, lost)

    def store_facets(self, document: str, recipe: str, facets: Iterable[FacetRow], keep: Sequence[str] = ()) -> None:
        """A document's facets, in place of those it had but for the names in ``keep``."""
        with self._engine.begin() as c:
            changed = {"facet_recipe": recipe}
            c.execute(update(schema.documents).where(schema.documents.c.id == document).values(**changed))
            _put_facets(c, document, facets, keep)

    def add_facets(self, facets: Iterable[tuple[str, str, str, str]]) -> None:
        """More facets, as (document, chunk, name, value)."""
        with self._engine.begin() as c:
            for document, chunk, name, value in facets:
                put(c, schema.facets, {"document": document, "chunk": chunk, "name": name, "value": value})

    def drop_facet(self, name: str) -> None:
        """Forget all values of a facet."""
        with self._engine.begin() as c:
            c.execute(delete(schema.facets).where(schema.facets.c.name == name))

    def facets(self, document: str | None = None) -> list[tuple[str, str, str, str]]:
        """(document, chunk, name, value) of all or of one document; chunk is "" for the document's own."""
        query = select(schema.facets).order_by(*schema.facets.primary_key)
        if document is not None:
            query = query.where(schema.facets.c.document == document)
        with self._engine.connect() as c:
            return [(r.document, r.chunk, r.name, r.value) for r in c.execute(query)]

    def facet_values(self) -> dict[str, dict[str, int]]:
        """How many chunks and documents have each value of each facet."""
        f = schema.facets.c
        query = (
            select(f.name, f.value, func.count())
            .where(f.value != "", f.name.not_like("\\_%", escape="\\"))
            .group_by(f.name, f.value)
        )
        found: dict[str, dict[str, int]] = {}
        with self._engine.connect() as c:
            for name, value, count in c.execute(query.order_by(f.name, func.count().desc(), f.value)):
                found.setdefault(name, {})[value] = count
        return found

    def chunks_where(
        self,
        facets: Mapping[str, Sequence[str]],
        documents: Set[str] | None = None,
        pages: Sequence[tuple[int, int]] = (),
    ) -> set[str]:
        """Ids of the chunks that have, themselves or by their document, one of the values of every facet named.

        A date stands for all that lie in it: "2022" for "2022-06-30" too; "2019..2021" for all from the first to the
        last, "2019.." and "..2021" for an open end. Only chunks of ``documents``, if given, and of one of the ranges
        of ``pages`` (first, last; from 1), if there are any.
        """
        f, k = schema.facets.c, schema.chunks.c
        query = select(k.id)
        for name, values in facets.items():
            fit = or_(f.value.in_(values), *([_within(f.value, value) for value in values] if name == "date" else ()))
            fits = select(f.chunk).where(f.name == name, fit)
            whole = select(f.document).where(f.name == name, fit, f.chunk == "")
            query = query.where(or_(k.id.in_(fits), k.document.in_(whole)))
        rest = documents  # what is left to sift
        if documents is not None and len(documents) <= _BATCH:
            query, rest = query.where(k.document.in_(documents)), None
        with self._engine.connect() as c:
            if not pages and rest is None:
                return set(c.execute(query).scalars())
            rows = c.execute(
                query.add_columns(k.document, k.spans if pages else null()).execution_options(yield_per=10_000)
            )
            return {
                name
                for name, document, spans in rows
                if (rest is None or document in rest) and (not pages or _touches(json.loads(spans), pages))
            }

    def sources(self) -> dict[str, tuple[str, ...]]:
        """Every path at which each document lies, the one it is shown with first, by the document's id."""
        d, f = schema.documents.c, schema.files.c
        with self._engine.connect() as c:
            found = {r.id: [r.source] for r in c.execute(select(d.id, d.source).order_by(d.source, d.id))}
            for path, document in c.execute(select(f.path, f.document).order_by(f.path)):
                if document in found and path not in found[document]:
                    found[document].append(path)
        return {document: tuple(paths) for document, paths in found.items()}

    def relate(self, kind: str, rows: Iterable[tuple[str, str, float]]) -> None:
        """What ties documents of this catalogue: (document, other document, score), in place of what was known."""
        with self._engine.begin() as c:
            c.execute(delete(schema.relations).where(schema.relations.c.kind == kind))
            for document, other, score in rows:
                row = {"document": document, "kind": kind, "other": other, "score": score}
                c.execute(insert(schema.relations).values(**row))

    def relations(self, kind: str) -> list[tuple[str, str, float]]:
        r = schema.relations.c
        query = select(r.document, r.other, r.score).where(r.kind == kind).order_by(r.document, r.other)
        with self._engine.connect() as c:
            return [(row[0], row[1], row[2]) for row in c.execute(query)]

    def remove_documents(self, ids: Sequence[str]) -> None:
        """Delete documents with their files, pages, chunks, facets, pairs and what was asked about them.

        Cached answers go too, all of them, since any may quote what is deleted; adapters and other artefacts whose
        manifest names one of the documents are marked with ``deleted_documents``.
        """
        if not ids:
            return
        with self._engine.begin() as c:
            for document in ids:
                c.execute(delete(schema.rejections).where(schema.rejections.c.chunk == document))
                for chunk, table in ((schema.chunks.c.id, schema.chunks), (schema.pairs.c.chunk, schema.pairs)):
                    asked = select(chunk).where(table.c.document == document)
                    for record in (schema.drafted, schema.rejections):
                        c.execute(delete(record).where(record.c.chunk.in_(asked)))
                for table in (schema.pages, schema.chunks, schema.facets, schema.pairs, schema.files):
                    c.execute(delete(table).where(table.c.document == document))
                c.execute(delete(schema.pairs).where(schema.pairs.c.body.contains(document)))  # evidence of several
                r = schema.relations.c
                c.execute(delete(schema.relations).where(or_(r.document == document, r.other == document)))
                c.execute(delete(schema.documents).where(schema.documents.c.id == document))
            c.execute(delete(schema.answers))
            c.execute(delete(schema.rejections).where(schema.rejections.c.chunk == ""))  # these may quote any document
            for row in c.execute(select(schema.artefacts)).all():
                manifest = json.loads(row.manifest)
                gone = sorted(set(manifest.get("documents", ())) & set(ids))
                if gone:
                    manifest["deleted_documents"] = sorted({*manifest.get("deleted_documents", ()), *gone})
                    put(c, schema.artefacts, row._asdict() | {"manifest": json.dumps(manifest)})

    def documents(self) -> list[Document]:
        d = schema.documents
        with self._engine.connect() as c:
            rows = c.execute(select(d).order_by(d.c.source, d.c.id))
            return [Document(r.id, r.source, r.title, json.loads(r.metadata)) for r in rows]

    def sizes(self) -> dict[str, tuple[int, int, str]]:
        """Of each document: its pages, its chunks, and the readers that gave its pages."""
        p, k = schema.pages.c, schema.chunks.c
        with self._engine.connect() as c:
            chunks = {r[0]: r[1] for r in c.execute(select(k.document, func.count()).group_by(k.document))}
            counts: dict[str, dict[str, int]] = {}
            for document, reader, number in c.execute(
                select(p.document, p.reader, func.count()).group_by(p.document, p.reader).order_by(p.reader)
            ):
                counts.setdefault(document, {})[reader] = number
        return {d: (sum(by.values()), chunks.get(d, 0), " ".join(by)) for d, by in counts.items()}

    def splits(self) -> dict[str, str | None]:
        """The split that each document was given, None before ``qa`` ran."""
        with self._engine.connect() as c:
            return {r.id: r.split for r in c.execute(select(schema.documents.c.id, schema.documents.c.split))}

    def record_splits(self, splits: Mapping[str, str]) -> None:
        with self._engine.begin() as c:
            for document, split in splits.items():
                c.execute(update(schema.documents).where(schema.documents.c.id == document).values(split=split))

    def page(self, document: str, number: int) -> Page:
        """Raises KeyError if there is no such page."""
        p = schema.pages
        with self._engine.connect() as c:
            row = c.execute(select(p).where(p.c.document == document, p.c.number == number)).one_or_none()
        if row is None:
            raise KeyError((document, number))
        return page_of(row)

    def pages(self, document: str) -> list[Page]:
        """A document's pages in order."""
        p = schema.pages
        with self._engine.connect() as c:
            return [page_of(row) for row in c.execute(select(p).where(p.c.document == document).order_by(p.c.number))]

    def chunks(self, document: str | None = None) -> list[Chunk]:
        """All chunks, or those of one document, in reading order."""
        return list(self.iter_chunks(document))

    def iter_chunks(self, document: str | None = None) -> Iterator[Chunk]:
        """As ``chunks``, but a few at a time in memory."""
        query = select(schema.chunks).order_by(schema.chunks.c.document, schema.chunks.c.ordinal)
        if document is not None:
            query = query.where(schema.chunks.c.document == document)
        with self._engine.connect() as c:
            for row in c.execution_options(yield_per=_BATCH).execute(query):
                yield chunk_of(row)

    def chunk_ids(self, without: Collection[str] = ()) -> list[str]:
        """Ids of all chunks but those of the documents ``without``, in reading order; texts stay where they are."""
        k = schema.chunks.c
        with self._engine.connect() as c:
            rows = c.execute(select(k.id, k.document).order_by(k.document, k.ordinal))
            return [row[0] for row in rows if row[1] not in without]

    def facet_of_chunks(self, name: str, ids: Sequence[str]) -> dict[str, str]:
        """A facet's value of each of the chunks that has one, itself or by its document (the first of several)."""
        f, k = schema.facets.c, schema.chunks.c
        found: dict[str, str] = {}
        with self._engine.connect() as c:
            for part in _parts(ids):
                rows = c.execute(
                    select(k.id, f.value)
                    .join(schema.facets, and_(f.document == k.document, or_(f.chunk == k.id, f.chunk == "")))
                    .where(f.name == name, k.id.in_(part))
                    .order_by(f.chunk.desc(), f.value)
                )
                for chunk, value in rows:
                    found.setdefault(chunk, value)
        return found

    def chunks_by_id(self, ids: Sequence[str]) -> dict[str, Chunk]:
        """Those of the chunks that are there."""
        found: dict[str, Chunk] = {}
        with self._engine.connect() as c:
            for part in _parts(ids):
                rows = c.execute(select(schema.chunks).where(schema.chunks.c.id.in_(part)))
                found.update((row.id, chunk_of(row)) for row in rows)
        return found

    # -- question-answer pairs

    def drafted(self) -> set[tuple[str, str]]:
        """(chunk, source id) of every chunk that a source has been asked about."""
        with self._engine.connect() as c:
            return {(r.chunk, r.source) for r in c.execute(select(schema.drafted.c.chunk, schema.drafted.c.source))}

    def store_pairs(
        self, chunk: str, source: str, pairs: Iterable[QAPair], rejections: Iterable[tuple[str, str]]
    ) -> None:
        """Everything that a source gave for a chunk, all or nothing. Rejections are (reason, detail).

        They take the place of what an earlier version of the source, with another hash in its id, had rejected.
        """
        name, r = f"{source.partition('-')[0]}-", schema.rejections.c
        with self._engine.begin() as c:
            c.execute(delete(schema.rejections).where(r.chunk == chunk, r.source.startswith(name, autoescape=True)))
            kept = 0
            for pair in pairs:
                kept += 1
                put(c, schema.pairs, pair_row(pair))
            for reason, detail in rejections:
                c.execute(insert(schema.rejections).values(chunk=chunk, source=source, reason=reason, detail=detail))
            put(c, schema.drafted, {"chunk": chunk, "source": source, "kept": kept})

    def replace_pairs(self, source: str, pairs: Iterable[QAPair], rejections: Iterable[tuple[str, str]]) -> None:
        """These pairs and rejections in place of all of the origin ``source``, but for those that a person judged."""
        with self._engine.begin() as c:
            for row in c.execute(select(schema.pairs.c.id, schema.pairs.c.body)).all():
                body = json.loads(row.body)
                if body["origin"] == source and not body.get("author"):
                    c.execute(delete(schema.pairs).where(schema.pairs.c.id == row.id))
            c.execute(delete(schema.rejections).where(schema.rejections.c.source == source))
            judged = set(c.execute(select(schema.pairs.c.id)).scalars())
            for pair in pairs:
                if pair.id not in judged:
                    put(c, schema.pairs, pair_row(pair))
            rows = [{"chunk": "", "source": source, "reason": r, "detail": d} for r, d in rejections]
            if rows:
                c.execute(insert(schema.rejections), rows)

    def put_pairs(self, pairs: Iterable[QAPair]) -> None:
        """New pairs, and pairs that changed in anything but their id, all or nothing."""
        with self._engine.begin() as c:
            for pair in pairs:
                put(c, schema.pairs, pair_row(pair))

    def reject_pairs(self, source: str, pairs: Iterable[tuple[QAPair, str]]) -> None:
        """Take pairs out, each with its reason, as if ``source`` had never let them pass; all or nothing."""
        with self._engine.begin() as c:
            for pair, reason in pairs:
                c.execute(delete(schema.pairs).where(schema.pairs.c.id == pair.id))
                detail = f"{pair.question} | {pair.answer}"
                row = {"chunk": pair.chunk, "source": source, "reason": reason, "detail": detail}
                c.execute(insert(schema.rejections).values(**row))

    def pairs(self, split: str | None = None, document: str | None = None, *, every: bool = False) -> list[QAPair]:
        """Pairs of all splits and documents, or of one, in the order of their ids.

        Those that can be asked as they stand and answered; with ``every`` also unanswerable questions, follow-ups, and
        what a person rejected.
        """
        query = select(schema.pairs.c.body).order_by(schema.pairs.c.id)
        if split is not None:
            query = query.where(schema.pairs.c.split == split)
        if document is not None:
            query = query.where(schema.pairs.c.document == document)
        with self._engine.connect() as c:
            found = [pair_of(json.loads(body)) for body in c.execute(query).scalars()]
        return found if every else [p for p in found if p.answerable and not p.after and p.verdict != "rejected"]

    def rejections(self) -> dict[tuple[str, str], int]:
        """How many drafts were rejected, by (source id, reason)."""
        query = select(schema.rejections.c.source, schema.rejections.c.reason, func.count()).group_by(
            schema.rejections.c.source, schema.rejections.c.reason
        )
        with self._engine.connect() as c:
            return {(r[0], r[1]): r[2] for r in c.execute(query)}

    # -- index versions and adapters

    def add_artefact(self, kind: str, id: str, manifest: Mapping[str, Any], *, activate: bool) -> None:
        """Record an index version or adapter; with ``activate`` it becomes the one in use, in the same transaction."""
        with self._engine.begin() as c:
            if activate:
                _switch(c, kind, id)
            row = {"kind": kind, "id": id, "created": datetime.now(UTC).isoformat(timespec="seconds")}
            put(c, schema.artefacts, row | {"active": activate, "manifest": json.dumps(manifest)})

    def activate(self, artefacts: Iterable[tuple[str, str]]) -> None:
        """These (kind, id) are the ones in use from now on, each of its kind, in one transaction."""
        with self._engine.begin() as c:
            for kind, name in artefacts:
                _switch(c, kind, name)

    def deactivate(self, kind: str) -> None:
        """None of this kind is in use any more."""
        with self._engine.begin() as c:
            _switch(c, kind, None)

    def used_before(self, kind: str) -> list[str]:
        """Ids of those in use before the one that is now, last first; those that were removed are left out."""
        with self._engine.connect() as c:
            rows = c.execute(select(schema.artefacts.c.id, schema.artefacts.c.active).where(_is(kind))).all()
            history = _history(c, kind)
        there = {row.id for row in rows}
        now = next((row.id for row in rows if row.active), None)
        found: list[str] = []
        for name in reversed(history):
            if name in there and name != (found[-1] if found else now):
                found.append(name)
        return found

    def step_back(self, kind: str) -> str | None:
        """Put in use what was before, so that a further step goes back further; its id, None where there is none."""
        before = next(iter(self.used_before(kind)), None)
        if before is not None:
            with self._engine.begin() as c:
                history = _history(c, kind)
                left = history[: len(history) - 1 - history[::-1].index(before)]
                c.execute(update(schema.artefacts).where(_is(kind)).values(active=schema.artefacts.c.id == before))
                put(c, schema.info, {"key": _BEFORE + kind, "value": json.dumps(left)})
        return before

    def remove_artefact(self, kind: str, id: str) -> None:
        """Forget an artefact and that it was ever in use; if it is in use, none is afterwards. Its files stay."""
        with self._engine.begin() as c:
            c.execute(delete(schema.artefacts).where(_is(kind), schema.artefacts.c.id == id))
            left = [name for name in _history(c, kind) if name != id]
            put(c, schema.info, {"key": _BEFORE + kind, "value": json.dumps(left)})

    def artefacts(self, kind: str) -> list[Artefact]:
        """Oldest first."""
        query = select(schema.artefacts).where(schema.artefacts.c.kind == kind).order_by(schema.artefacts.c.created)
        with self._engine.connect() as c:
            return [Artefact(r.kind, r.id, r.created, r.active, json.loads(r.manifest)) for r in c.execute(query)]

    def active(self, kind: str) -> Artefact | None:
        with self._engine.connect() as c:
            r = c.execute(select(schema.artefacts).where(_is(kind), schema.artefacts.c.active)).first()
        return None if r is None else Artefact(r.kind, r.id, r.created, r.active, json.loads(r.manifest))

    # -- answers and rates

    def answer(self, key: str) -> dict[str, Any] | None:
        """A cached answer as JSON, by the hash of everything that decides it."""
        with self._engine.connect() as c:
            body = c.execute(select(schema.answers.c.body).where(schema.answers.c.key == key)).scalar()
            return None if body is None else dict(json.loads(body))

    def store_answer(self, key: str, body: Mapping[str, Any]) -> None:
        with self._engine.begin() as c:
            put(c, schema.answers, {"key": key, "body": json.dumps(body)})

    def rate(self, stage: str) -> float | None:
        """Items per second that a stage last reached on this machine, None before its first run."""
        with self._engine.connect() as c:
            return c.execute(select(schema.rates.c.per_second).where(schema.rates.c.stage == stage)).scalar()

    def record_rate(self, stage: str, per_second: float) -> None:
        with self._engine.begin() as c:
            put(c, schema.rates, {"stage": stage, "per_second": per_second})

    def counts(self) -> dict[str, int]:
        """Rows of each kind, for ``status``."""
        tables = {"documents": schema.documents, "pages": schema.pages, "chunks": schema.chunks, "pairs": schema.pairs}
        with self._engine.connect() as c:
            return {name: c.execute(select(func.count()).select_from(t)).scalar_one() for name, t in tables.items()}


def _is(kind: str) -> ColumnElement[bool]:
    return schema.artefacts.c.kind == kind


def _history(c: Connection, kind: str) -> list[str]:
    """Ids that were in use and then another instead, oldest first."""
    stored = c.execute(select(schema.info.c.value).where(schema.info.c.key == _BEFORE + kind)).scalar()
    return list(json.loads(stored)) if stored else []


def _switch(c: Connection, kind: str, id: str | None) -> None:
    """Put one of a kind in use, or none, and remember which one was before."""
    a = schema.artefacts.c
    before = c.execute(select(a.id).where(_is(kind), a.active)).scalar()
    if before is not None and before != id:
        history = [*_history(c, kind), before][-_REMEMBERED:]
        put(c, schema.info, {"key": _BEFORE + kind, "value": json.dumps(history)})
    c.execute(update(schema.artefacts).where(_is(kind)).values(active=a.id == id if id is not None else False))


def _touches(spans: list[list[int]], pages: Sequence[tuple[int, int]]) -> bool:
    for page, *_ in spans:
        for first, last in pages:
            if first <= page <= last:
                return True
    return False


def _within(date: ColumnElement[str], wanted: str) -> ColumnElement[bool]:
    """Whether an ISO date lies in a year, month or day, or in a range of them."""
    first, dots, last = wanted.partition("..")
    if not dots:
        return date.startswith(wanted, autoescape=True)
    upto = or_(date <= last, date.startswith(last, autoescape=True)) if last else true()
    return and_(date != "", date >= first, upto)


def _parts(values: Iterable[str]) -> Iterator[list[str]]:
    listed = list(values)
    yield from (listed[start : start + _BATCH] for start in range(0, len(listed), _BATCH))


def _put_chunks(c: Connection, document: str, chunks: Sequence[Chunk]) -> None:
    """The chunks in place of those that the document had; of those that are gone, facets and what was asked about them
    go too."""
    table = schema.chunks
    before = set(c.execute(select(table.c.id).where(table.c.document == document)).scalars())
    c.execute(delete(table).where(table.c.document == document))
    if chunks:
        c.execute(insert(table), [chunk_row(chunk, n) for n, chunk in enumerate(chunks)])
    for part in _parts(sorted(before - {chunk.id for chunk in chunks})):
        for record in (schema.drafted, schema.rejections):
            c.execute(delete(record).where(record.c.chunk.in_(part)))
    left = select(table.c.id).where(table.c.document == document)
    f = schema.facets.c
    c.execute(delete(schema.facets).where(f.document == document, f.chunk != "", f.chunk.not_in(left)))


def _put_facets(c: Connection, document: str, facets: Iterable[FacetRow], keep: Sequence[str] = ()) -> None:
    f = schema.facets.c
    c.execute(delete(schema.facets).where(f.document == document, f.name.not_in(keep)))
    rows = [{"document": document, "chunk": chunk, "name": name, "value": v} for chunk, name, v in set(facets)]
    if rows:
        c.execute(insert(schema.facets), rows)


def _put_pairs(c: Connection, pairs: Iterable[QAPair], lost: Iterable[tuple[str, str]]) -> None:
    for pair in pairs:
        put(c, schema.pairs, pair_row(pair))
    for pair_id, detail in lost:
        document = c.execute(select(schema.pairs.c.document).where(schema.pairs.c.id == pair_id)).scalar()
        c.execute(delete(schema.pairs).where(schema.pairs.c.id == pair_id))
        row = {"chunk": document, "source": "re-anchoring", "reason": LOST, "detail": detail}  # its chunk may be gone
        c.execute(insert(schema.rejections).values(**row))
