"""The main flow of ingestion: files → documents, pages, chunks, facets in the catalogue. Only new work is done.

Every stage has a recipe (``ingest.stages``): a document goes through a stage again only when that stage's recipe
changed. Each document is stored in one transaction, so a killed run loses at most the files it was reading.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from fieldguide.catalog import Catalog, FacetRow, FileRecord, Reading
from fieldguide.errors import FieldguideError
from fieldguide.files import FolderCache
from fieldguide.settings import Settings
from fieldguide.types import NEAR_DUPLICATE, SUPERSEDED, Chunk, Document, Page, Progress, QAPair
from ingest import stages
from ingest.duplicates import VersionInfo, near_duplicates, supersedes
from ingest.facets import compiled
from ingest.parsed import NotRead, Parsed
from ingest.readers.passwords import load_passwords
from ingest.reading import Readers
from ingest.shelf import Originals, Seen, find_files, look_at
from ingest.stages import CountTokens
from ingest.tagging import MARK

READ, READ_IN_PART = "read", "read in part"
CHANGED = "it was written to while it was being read; ingest it again"


@dataclass
class IngestReport:
    """What became of each file given, and what changed in the catalogue.

    ``files`` are in the order found. ``new``, ``recut``, ``unchanged`` count documents; ``replaced`` those whose file
    now holds another. ``duplicates`` are (path, path of the same bytes); ``near_duplicates`` (source, source of the
    earlier, similarity); ``superseded`` (source, source of the newer). ``gone`` are ids of documents that no file
    holds any more, ``moved`` (old path, new path). ``lost`` says which pairs could not be anchored anew,
    ``facet_faults`` what went wrong with the user's patterns.
    """

    files: list[FileRecord] = field(default_factory=list)
    passed_over: Counter[str] = field(default_factory=Counter)
    new: int = 0
    recut: int = 0
    unchanged: int = 0
    replaced: int = 0
    duplicates: list[tuple[str, str]] = field(default_factory=list)
    near_duplicates: list[tuple[str, str, float]] = field(default_factory=list)
    superseded: list[tuple[str, str]] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    moved: list[tuple[str, str]] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    facet_faults: set[str] = field(default_factory=set)

    @property
    def classes(self) -> Counter[str]:
        return Counter(record.status for record in self.files)

    @property
    def all_read(self) -> bool:
        return all(record.status == READ for record in self.files)


def ingest_files(
    paths: Sequence[Path],
    catalog: Catalog,
    settings: Settings,
    state: Path,
    count_tokens: CountTokens,
    tokenizer_id: str,
    progress: Progress,
) -> IngestReport:
    """Read every file that is new or changed, and bring every document of the catalogue to the settings.

    ``state`` is the workspace's folder for originals and caches; ``tokenizer_id`` names what ``count_tokens`` counts.
    A file that cannot be read is recorded with its class and reason, and the rest goes on. Documents whose file is
    gone stay until ``prune``. Raises FieldguideError if the paths hold no document.
    """
    found = find_files(paths)
    if not found.files and not found.missing:
        raise FieldguideError(
            f"There is no document in {', '.join(map(str, paths))}; name PDFs, text, HTML or office files, or a folder "
            "that holds some."
        )
    compiled(settings.facets)  # a pattern that is none is said before the work
    report = IngestReport(passed_over=found.passed_over)
    shelf = _Shelf(catalog, settings, count_tokens, tokenizer_id, report)
    originals = Originals(state / "originals", settings.ingest.originals)
    progress.start("looking", len(found.files))
    todo: dict[str, Seen] = {}
    seen = []
    for file in look_at(found.files):
        seen.append(file)
        if file.hash and not shelf.is_known(file.hash):
            todo.setdefault(file.hash, file)
        progress.advance(note=file.path.name)
    progress.start("reading", len(found.files), done=len(found.files) - len(todo))
    by_path = {file.path: file for file in todo.values()}
    passwords = load_passwords(settings.ingest.keyfile)
    with Readers(settings.ingest, passwords, FolderCache(state / "cache" / "ocr")) as readers:
        for path, result in readers.read((file.path, file.hash) for file in todo.values()):
            file = by_path[path]
            if not file.is_as_it_was():
                result = NotRead("damaged", CHANGED)
            if isinstance(result, Parsed):
                originals.keep(file.path, file.hash)
            shelf.store(file, result)
            progress.advance(note=file.path.name)
    shelf.record(seen)
    report.files += found.missing
    shelf.bring_up_to_date(progress)
    shelf.tidy(seen, paths)
    shelf.relate()
    originals.keep_only(set(catalog.readings()))
    return report


def prune(catalog: Catalog, gone: Sequence[str], state: Path) -> None:
    """Delete documents with all that was made from them, and their originals. The index has to be built anew."""
    catalog.remove_documents(gone)
    Originals(state / "originals", "none").keep_only(set(catalog.readings()))


def left_out(catalog: Catalog, settings: Settings) -> set[str]:
    """The documents that the index shall not hold, by the settings."""
    if settings.ingest.near_duplicates != "leave out":
        return set()
    return {document for document, _, _ in catalog.relations(NEAR_DUPLICATE)}


class _Shelf:
    """One run's view of the catalogue: what is known, and what is stored."""

    def __init__(
        self, catalog: Catalog, settings: Settings, count_tokens: CountTokens, tokenizer_id: str, report: IngestReport
    ) -> None:
        self._catalog = catalog
        self._settings = settings
        self._count_tokens = count_tokens
        self._report = report
        self._readings = catalog.readings()
        self._files = catalog.files()
        ocr = stages.ocr_recipe(settings.ingest)
        self._read_recipe = {used: stages.read_recipe(ocr, used) for used in (False, True)}
        self._refusal_recipe = stages.refusal_recipe(settings.ingest, ocr)
        self._chunk_recipe = stages.chunk_recipe(settings.ingest, tokenizer_id)
        self._facet_recipe = stages.facet_recipe(settings.facets)
        self._refused = {r.hash: r for r in self._files.values() if r.document is None and r.recipe and r.hash}
        self._fresh: set[str] = set()

    def is_known(self, digest: str) -> bool:
        """Whether a file with these bytes need not be read: it was, or it cannot be with these settings."""
        reading = self._readings.get(digest)
        if reading is not None and reading.recipe == self._read_recipe[reading.ocr]:
            return True
        refused = self._refused.get(digest)
        return reading is None and refused is not None and refused.recipe == self._refusal_recipe

    def store(self, file: Seen, result: Parsed | NotRead) -> None:
        """A file that was read now, with all stages, in one transaction; or why it was not."""
        self._fresh.add(file.hash)
        if isinstance(result, NotRead):
            passing = result.status == "password needed" or result.reason.startswith(("cannot be opened", CHANGED))
            recipe = "" if passing else self._refusal_recipe
            self._refused[file.hash] = FileRecord(
                file.name, None, file.bytes, result.status, result.reason, file.hash, recipe
            )
            return
        pages = stages.pages_of(file.hash, result)
        chunks = stages.cut(pages, result.title, self._settings.ingest, self._count_tokens)
        used = stages.used_ocr(result)
        faults = "; ".join(f"page {number}: {reason}" for number, reason in result.faults)
        date, signature = stages.date_and_signature(result.metadata, pages)
        reading = Reading(
            self._read_recipe[used], self._chunk_recipe, self._facet_recipe, READ_IN_PART if faults else READ, faults,
            used, date, signature,
        )  # fmt: skip
        pairs, lost = self._anchored(file.hash, pages, chunks)
        self._catalog.store_document(
            Document(file.hash, file.name, result.title, result.metadata), reading, pages, chunks,
            FileRecord(file.name, file.hash, file.bytes, reading.status, reading.reason, file.hash),
            facets=self._facets(result.title, result.metadata, pages, chunks), pairs=pairs, lost=lost,
        )  # fmt: skip
        self._readings[file.hash] = reading
        self._report.new += 1

    def _anchored(
        self, document: str, pages: Sequence[Page], chunks: Sequence[Chunk]
    ) -> tuple[list[QAPair], list[tuple[str, str]]]:
        pairs = self._catalog.pairs(document=document, every=True)
        if not pairs:
            return [], []
        kept, lost = stages.anchor_anew(pairs, self._catalog.pages(document), pages, chunks)
        self._report.lost += [said for _, said in lost]
        return kept, lost

    def _facets(
        self, title: str, metadata: Mapping[str, str], pages: Sequence[Page], chunks: Sequence[Chunk]
    ) -> list[FacetRow]:
        rows, faults = stages.facet_rows(title, metadata, pages, chunks, self._settings.facets)
        self._report.facet_faults.update(faults)
        return rows

    def record(self, seen: Sequence[Seen]) -> None:
        """What became of each file; only rows that changed are written."""
        first: dict[str, str] = {}
        for file in seen:
            reading = self._readings.get(file.hash)
            if reading is not None:
                record = FileRecord(file.name, file.hash, file.bytes, reading.status, reading.reason, file.hash)
            elif file.hash in self._refused:
                record = replace(self._refused[file.hash], path=file.name, bytes=file.bytes)
            else:
                record = FileRecord(file.name, None, file.bytes, "damaged", file.fault)
            self._report.files.append(record)
            if record.document is not None:
                if record.document in first:
                    self._report.duplicates.append((file.name, first[record.document]))
                first.setdefault(record.document, file.name)
        changed = [record for record in self._report.files if self._files.get(record.path) != record]
        self._catalog.record_files(changed)
        self._files |= {record.path: record for record in changed}
        self._report.unchanged = len(first.keys() - self._fresh)

    def bring_up_to_date(self, progress: Progress) -> None:
        """Cut or tag anew every document whose recipe for that changed; its file is not needed."""
        stale = [
            document
            for document in self._catalog.documents()
            if (self._readings[document.id].chunk_recipe, self._readings[document.id].facet_recipe)
            != (self._chunk_recipe, self._facet_recipe)
        ]
        if not stale:
            return
        progress.start("cutting", len(stale))
        for document in stale:
            pages = self._catalog.pages(document.id)
            if self._readings[document.id].chunk_recipe != self._chunk_recipe:
                chunks = stages.cut(pages, document.title, self._settings.ingest, self._count_tokens)
                pairs, lost = self._anchored(document.id, pages, chunks)
                self._catalog.store_chunks(document.id, self._chunk_recipe, chunks, pairs, lost)
                self._report.recut += 1
            chunks = self._catalog.chunks(document.id)
            rows = self._facets(document.title, document.metadata, pages, chunks)
            generated = [MARK, *self._settings.facets.generated]
            self._catalog.store_facets(document.id, self._facet_recipe, rows, generated)
            progress.advance(note=document.title)

    def tidy(self, seen: Sequence[Seen], paths: Sequence[Path]) -> None:
        """Follow moved files, remove documents whose file now holds another one, and find those whose file is gone."""
        here = {file.name for file in seen}
        roots = [path.resolve() for path in paths]
        left = {
            path: record
            for path, record in self._files.items()
            if path not in here and any(Path(path).is_relative_to(root) for root in roots) and not Path(path).exists()
        }
        held: dict[str, str] = {}
        for path, record in self._files.items():
            if record.document is not None and path not in left:
                held.setdefault(record.document, path)
        sources = {document.id: document.source for document in self._catalog.documents()}
        for document, source in sources.items():
            if document in held and (source in left or not self._files.get(source)):
                self._catalog.record_source(document, held[document])
                self._report.moved.append((source, held[document]))
        self._catalog.forget_files(
            path for path, record in left.items() if record.document is None or record.document in held
        )
        orphans = sources.keys() - held.keys()
        replaced = [d for d in orphans if (self._files.get(sources[d]) or _NONE).document not in (None, d)]
        self._catalog.remove_documents(sorted(replaced))
        self._report.replaced = len(replaced)
        self._report.gone = sorted(orphans - set(replaced))

    def relate(self) -> None:
        """Find near-duplicates and superseded documents, as the settings say."""
        documents = self._catalog.documents()
        readings = self._catalog.readings()
        source = {document.id: document.source for document in documents}
        signatures = {d.id: bytes.fromhex(readings[d.id].signature) for d in documents}
        wanted = self._settings.ingest
        near = []
        if wanted.near_duplicates != "off":
            near = near_duplicates(signatures, wanted.near_duplicate_similarity)
        self._catalog.relate(NEAR_DUPLICATE, near)
        self._report.near_duplicates = [(source[a], source[b], rate) for a, b, rate in near]
        newer: dict[str, str] = {}
        if wanted.supersede:
            versions = [VersionInfo(d.id, d.title, d.source, readings[d.id].date, signatures[d.id]) for d in documents]
            newer = supersedes(versions)
        self._catalog.relate(SUPERSEDED, ((old, new, 1.0) for old, new in newer.items()))
        self._report.superseded = [(source[old], source[new]) for old, new in newer.items()]


_NONE = FileRecord("", None, 0, "", "")
