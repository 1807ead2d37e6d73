"""The main flow of question generation: chunks → drafts → pairs that hold → pairs made from pairs → splits.

Sources only draft. Every draft is checked, read back and compared with what was asked before (``ingest.qa.verify``),
and each rejection is kept with its reason.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import asdict, dataclass, field, replace
from functools import cache

from fieldguide.catalog import Catalog
from fieldguide.errors import NotReady
from fieldguide.models.base import Embedder
from fieldguide.settings import Questions
from fieldguide.types import NEAR_DUPLICATE, Chunk, Document, Progress, QAPair, Retriever, Split, content_hash
from ingest.qa.calls import BudgetReached, Calls
from ingest.qa.confidence import LOW, Confidence, Threshold
from ingest.qa.dedupe import Deduper
from ingest.qa.derived import ORIGIN, Maker
from ingest.qa.drafts import QuestionSource
from ingest.qa.leaks import guard
from ingest.qa.reader import Reader, asked_of
from ingest.qa.splits import TRAINED, assign_splits, group_tests, tie
from ingest.qa.verify import Verifier

_CURATION = "confidence"


@dataclass
class QuestionsReport:
    """Pairs made in this run by source and kind, rejections by reason, and all pairs by split and group.

    ``stopped`` says why not all chunks were asked about ("" if they were).
    """

    chunks: int = 0
    skipped_chunks: int = 0
    kept: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)
    splits: Counter[str] = field(default_factory=Counter)
    groups: Counter[str] = field(default_factory=Counter)
    threshold: Threshold | None = None
    stopped: str = ""


def make_pairs(
    catalog: Catalog,
    sources: Sequence[QuestionSource],
    settings: Questions,
    progress: Progress,
    *,
    embedder: Embedder,
    reader: Reader | None = None,
    retriever: Retriever | None = None,
    writer: Calls | None = None,
) -> QuestionsReport:
    """Ask every source about every chunk that it has not been asked about, and keep the drafts that hold.

    Each batch of chunks is stored when it is done, so a killed run goes on where it was. ``settings.model_chunks``
    bounds how many chunks sources that want batches see, spread over the documents. ``reader`` reads back what models
    wrote; ``retriever`` checks that questions without an answer have none (without it none are made); ``writer``, a
    generator that follows prompts, joins chunks and rewords where rules cannot. A budget that is reached ends the
    asking; what is done is kept.

    Raises NotReady without documents, LeakError if tests and training share what they must not.
    """
    documents = {document.id: document for document in catalog.documents()}
    if not documents:
        raise NotReady("There are no documents yet; run `fieldguide ingest` first.")
    ties = tie(documents, catalog.relations(NEAR_DUPLICATE))
    catalog.record_splits(assign_splits(list(documents), catalog.splits(), settings, ties))
    splits = catalog.splits()
    there = catalog.pairs(every=True)
    deduper = Deduper(embedder, settings.alike, there, phrasings=settings.phrasings)
    chunks_of = cache(catalog.chunks)
    verifier = Verifier(settings, deduper, embedder, reader, documents, chunks_of, splits)
    report = QuestionsReport()
    before = {pair.id for pair in there}
    try:
        for source in sources:
            _ask(catalog, source, settings, verifier, report, progress)
        if settings.confidence == "auto" and reader is not None:
            report.threshold = _curate(catalog, reader, documents, settings, before, report, progress)
    except BudgetReached as reached:
        report.stopped = str(reached)
        reader = writer = None
    maker = Maker(settings, retriever, reader, writer)
    _settle(catalog, documents, settings, embedder, ties, maker, report, progress)
    return report


def chunks_to_ask(
    catalog: Catalog, source: QuestionSource, settings: Questions, documents: Iterable[str]
) -> dict[str, list[Chunk]]:
    """The chunks, by document, that ``make_pairs`` asks the source about, or has asked it about already."""
    chunks = {document: catalog.chunks(document) for document in documents}
    if source.batch is None or not settings.model_chunks:
        return chunks
    taken = {document: [c for c in members if source.takes(c)] for document, members in chunks.items()}
    return _spread(taken, settings.model_chunks)


def _ask(
    catalog: Catalog, source: QuestionSource, settings: Questions, verifier: Verifier, report: QuestionsReport,
    progress: Progress,
) -> None:  # fmt: skip
    """One source about all chunks that are left to ask it about."""
    done = catalog.drafted()
    documents = verifier.documents
    chosen = chunks_to_ask(catalog, source, settings, documents)
    total = sum(map(len, chosen.values()))
    waiting = {c.id for chunks in chosen.values() for c in chunks if (c.id, source.id) not in done}
    report.skipped_chunks += total - len(waiting)
    progress.start(f"questions ({source.name})", total, done=total - len(waiting))
    languages = catalog.facet_of_chunks("language", sorted(waiting))
    for part in _batches(chosen, waiting, source.batch):
        drafted = zip(part, source.draft(documents, part), strict=True)
        fresh = [(chunk, given) for chunk, given in drafted if chunk.id in waiting]
        for (chunk, _), (kept, refused) in zip(fresh, verifier.verify(fresh, source.name, languages), strict=True):
            catalog.store_pairs(chunk.id, source.id, kept, [(r.reason, r.detail) for r in refused])
            report.chunks += 1
            report.kept[source.name] += len(kept)
            report.kinds.update(pair.kind for pair in kept)
            report.rejected.update(r.reason for r in refused)
            progress.advance(note=f"{sum(report.kept.values())} pairs")


def _curate(
    catalog: Catalog,
    reader: Reader,
    documents: Mapping[str, Document],
    settings: Questions,
    before: Set[str],
    report: QuestionsReport,
    progress: Progress,
) -> Threshold:
    """CLEAR: a confidence for every pair that has none, and out with those below the threshold of the dev pairs.

    A threshold that was chosen stays, since those left after it would choose another; ``before`` are the pairs that
    were there before this run.
    """
    pairs = [pair for pair in catalog.pairs() if pair.origin != ORIGIN and not pair.author]
    chunks = catalog.chunks_by_id([pair.chunk for pair in pairs])
    pairs = [pair for pair in pairs if pair.chunk in chunks]
    judge = Confidence(reader, seed=settings.seed)
    splits = catalog.splits()
    dev = [pair for pair in pairs if splits.get(pair.document) == "dev"]
    progress.start("confidence", len(pairs))
    asked = {p.id: asked_of(p.question, [chunks[p.chunk]], documents[p.document].title) for p in pairs}
    threshold = _threshold(
        catalog, f"{reader.id} {settings.seed}", lambda: judge.choose(dev, [asked[p.id] for p in dev])
    )
    low: list[tuple[QAPair, str]] = []
    for start in range(0, len(pairs), 16):
        part = pairs[start : start + 16]
        scores = judge.scores([asked[pair.id] for pair in part], [pair.answer for pair in part])
        scored = [replace(p, scores={**p.scores, "confidence": round(s, 4)}) for p, s in zip(part, scores, strict=True)]
        catalog.put_pairs(scored)
        low += [(pair, LOW) for pair in scored if pair.scores["confidence"] < threshold.value]
        progress.advance(len(part))
    catalog.reject_pairs(_CURATION, low)
    report.rejected.update(reason for _, reason in low)
    for pair, _ in low:
        if pair.id not in before:
            report.kept[pair.origin] -= 1
            report.kinds[pair.kind] -= 1
    report.kinds = +report.kinds
    return threshold


def _threshold(catalog: Catalog, judge: str, choose: Callable[[], Threshold]) -> Threshold:
    """The threshold that was chosen for this judge, else a new one; kept before any pair goes by it."""
    known = catalog.active(_CURATION)
    if known is not None and known.manifest["judge"] == judge:
        return Threshold(**known.manifest["threshold"])
    threshold = choose()
    if not threshold.note:
        held = {"judge": judge, "threshold": asdict(threshold)}
        catalog.add_artefact(_CURATION, content_hash(_CURATION, judge)[:16], held, activate=True)
    return threshold


def _settle(
    catalog: Catalog,
    documents: Mapping[str, Document],
    settings: Questions,
    embedder: Embedder,
    ties: Mapping[str, str],
    maker: Maker,
    report: QuestionsReport,
    progress: Progress,
) -> None:
    """Pairs made from pairs, and every pair in its split and group; then nothing may leak."""
    splits: dict[str, Split] = {d: s for d, s in catalog.splits().items() if s is not None}  # type: ignore[misc]
    progress.start("splits")
    before = {pair.id: pair for pair in catalog.pairs(every=True)}
    base = [pair for pair in before.values() if pair.origin != ORIGIN or pair.author]
    if catalog.artefacts("adapter") and not any(pair.group for pair in base):  # pairs of before there were groups
        base = [replace(pair, group=TRAINED) if pair.split == "train" else pair for pair in base]
    chunks = {chunk.id: chunk for chunk in catalog.iter_chunks()}
    plain = [p for p in base if p.answerable and not p.after and p.verdict != "rejected" and p.chunk in chunks]
    grouped = group_tests(base, splits, settings, embedder, ties)
    try:
        derived, rejections = maker.derive(plain, chunks, documents)
        derived += maker.reword(grouped)
    except BudgetReached as reached:
        report.stopped = str(reached)
        rules = Maker(settings, maker.retriever)
        derived, rejections = rules.derive(plain, chunks, documents)
        derived += rules.reword(grouped)
    known = {pair.id for pair in base}
    derived = [_as_before(pair, before) for pair in derived if pair.id not in known]
    everything = group_tests([*grouped, *derived], splits, settings, embedder, ties)
    settled = {pair.id: pair for pair in everything}
    guard(everything, embedder, settings.alike, ties)
    catalog.put_pairs(settled[p.id] for p in base if settled[p.id] != p)
    catalog.replace_pairs(ORIGIN, (settled[p.id] for p in derived), [(r.reason, r.detail) for r in rejections])
    new = [pair for pair in derived if pair.id not in before]
    report.kept.update(pair.origin for pair in new)
    report.kinds.update(pair.kind for pair in new)
    report.rejected.update(r.reason for r in rejections if new)
    report.splits.update(pair.split for pair in everything if pair.verdict != "rejected")
    report.groups.update(pair.group for pair in everything if pair.split == "test" and pair.verdict != "rejected")


def _as_before(pair: QAPair, before: Mapping[str, QAPair]) -> QAPair:
    """The derived pair in the split and group in which the same one was settled before, if it was."""
    old = before.get(pair.id)
    return pair if old is None else replace(pair, split=old.split, group=old.group)


def _batches(chosen: dict[str, list[Chunk]], waiting: set[str], size: int | None) -> Iterator[list[Chunk]]:
    """Waiting chunks, ``size`` at a time; None: every document that has some, whole, so that a resumed run sees
    exactly what an undisturbed one does."""
    if size is None:
        yield from (chunks for chunks in chosen.values() if any(c.id in waiting for c in chunks))
        return
    todo = [c for chunks in chosen.values() for c in chunks if c.id in waiting]
    yield from (todo[start : start + size] for start in range(0, len(todo), size))


def _spread(chunks: dict[str, list[Chunk]], wanted: int) -> dict[str, list[Chunk]]:
    """At most ``wanted`` chunks, taken evenly from the documents and evenly over the length of each."""
    least, more = divmod(wanted, max(len(chunks), 1))
    out = {}
    for n, (document, members) in enumerate(chunks.items()):
        share = least + (n < more)
        step = max(len(members) / max(share, 1), 1.0)
        out[document] = [members[int(n * step)] for n in range(share) if int(n * step) < len(members)]
    return out
