"""The main flow of question generation: chunks → drafts → verified pairs, in splits by document.

Sources only draft; here every draft is checked against its chunk, and each rejection is kept with its reason.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import get_args

from fieldguide import align
from fieldguide.catalog import Catalog
from fieldguide.errors import NotReady
from fieldguide.settings import Questions
from fieldguide.types import Chunk, Evidence, Progress, QAPair, Split, content_hash
from ingest.drafts import Draft, QuestionSource, Rejection

_MAX_QUESTION = 300
_MAX_ANSWER = 300
_VAGUE = re.compile(
    r"\b(?:[Tt]his|[Tt]he) (?:passage|text|paragraph|excerpt|document|report|article|section)\b"
    r"(?! (?:on|about|of|for|[A-Z0-9]))"
)


@dataclass
class QuestionsReport:
    """Pairs made in this run by source and kind, rejections by reason, and all pairs by split."""

    chunks: int = 0
    skipped_chunks: int = 0
    kept: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)
    splits: Counter[str] = field(default_factory=Counter)


def assign_splits(documents: Sequence[str], known: dict[str, str | None], settings: Questions) -> dict[str, Split]:
    """A split for each document that has none yet, so that the shares come out as the settings say.

    Documents keep the split they have: a test document never becomes a training one. With one document
    everything is for training; dev comes before test when there are too few for both.
    """
    names: tuple[Split, ...] = get_args(Split)
    counts = Counter(split for split in known.values() if split is not None)
    order = sorted(document for document in documents if known.get(document) is None)
    random.Random(settings.seed).shuffle(order)
    total = len(documents)
    want: dict[Split, int] = {
        "dev": _share(settings.dev_share, total, 2),
        "test": _share(settings.test_share, total, 3),
    }
    want["dev"] = min(want["dev"], max(total - 1, 0))  # one document is left for training whatever the rounding
    want["test"] = min(want["test"], max(total - 1 - want["dev"], 0))
    fresh: dict[Split, list[str]] = {name: [] for name in names}
    for name in ("dev", "test"):
        split: Split = "dev" if name == "dev" else "test"
        for _ in range(want[split] - counts[split]):
            if order:
                fresh[split].append(order.pop())
    fresh["train"] = order
    return {document: split for split, members in fresh.items() for document in members}


def _share(share: float, total: int, least: int) -> int:
    """``share`` of ``total``, rounded, at least one where there are ``least`` documents or more."""
    return max(round(share * total), 1) if share > 0 and total >= least else 0


def make_pairs(
    catalog: Catalog, sources: Sequence[QuestionSource], settings: Questions, model_chunks: int, progress: Progress
) -> QuestionsReport:
    """Ask every source about every chunk that it has not been asked about, and keep the drafts that hold.

    ``model_chunks`` bounds how many chunks sources other than the rules see, spread over the documents; 0 = all.
    Each batch of chunks is stored when it is done, so a killed run goes on where it was.
    """
    documents = {document.id: document for document in catalog.documents()}
    if not documents:
        raise NotReady("There are no documents yet; run `fieldguide ingest` first.")
    catalog.record_splits(assign_splits(list(documents), catalog.splits(), settings))
    split_of = catalog.splits()
    report = QuestionsReport()
    done = catalog.drafted()
    asked = {normal_question(pair.question) for pair in catalog.pairs()}
    for source in sources:
        chosen = {document: catalog.chunks(document) for document in documents}
        if source.batch is not None and model_chunks:
            chosen = _spread(chosen, model_chunks)
        total = sum(map(len, chosen.values()))
        waiting = {c.id for chunks in chosen.values() for c in chunks if (c.id, source.id) not in done}
        report.skipped_chunks += total - len(waiting)
        progress.start(f"questions ({source.name})", total, done=total - len(waiting))
        for part in _batches(chosen, waiting, source.batch):
            for chunk, (drafts, rejections) in zip(part, source.draft(documents, part), strict=True):
                if chunk.id not in waiting:
                    continue
                kept, refused = verify(drafts, chunk, split_of[chunk.document] or "train", source.name, asked)
                refused = [*rejections, *refused]
                catalog.store_pairs(chunk.id, source.id, kept, [(r.reason, r.detail) for r in refused])
                report.chunks += 1
                report.kept[source.name] += len(kept)
                report.kinds.update(pair.kind for pair in kept)
                report.rejected.update(r.reason for r in refused)
                progress.advance(note=f"{sum(report.kept.values())} pairs")
    report.splits.update(pair.split for pair in catalog.pairs())
    return report


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


def verify(
    drafts: Sequence[Draft], chunk: Chunk, split: str, origin: str, asked: set[str]
) -> tuple[list[QAPair], list[Rejection]]:
    """The drafts that hold, as pairs with evidence spans, and why the others do not.

    ``asked`` holds the normalised questions of all pairs so far and is extended.
    """
    kept: list[QAPair] = []
    rejected: list[Rejection] = []
    for draft in drafts:
        reason, evidence = _check(draft, chunk, asked)
        if reason or evidence is None:
            rejected.append(Rejection(reason, f"{draft.question} | {draft.answer}"))
            continue
        asked.add(normal_question(draft.question))
        answer = " ".join(draft.answer.split())
        question = " ".join(draft.question.split())
        kept.append(
            QAPair(
                id=content_hash(chunk.document, question, answer)[:20], question=question, answer=answer,
                document=chunk.document, chunk=chunk.id, evidence=(evidence,), kind=draft.kind, origin=origin,
                split="dev" if split == "dev" else "test" if split == "test" else "train",
            )
        )  # fmt: skip
    return kept, rejected


def _check(draft: Draft, chunk: Chunk, asked: set[str]) -> tuple[str, Evidence | None]:
    """("", evidence) for a draft that holds, else (reason, None)."""
    question, answer = draft.question.strip(), draft.answer.strip()
    if not question.endswith("?") or len(question.split()) < 3:
        return "not a question", None
    if len(question) > _MAX_QUESTION or len(answer) > _MAX_ANSWER:
        return "too long", None
    if _VAGUE.search(question):
        return "question refers to an unnamed text", None
    if align.find_exact(answer, question):
        return "answer in question", None
    evidence = find_evidence(answer, draft.quote, chunk)
    if evidence is None:
        return "answer not in the chunk", None
    if normal_question(question) in asked:
        return "duplicate question", None
    return "", evidence


def find_evidence(answer: str, quote: str, chunk: Chunk) -> Evidence | None:
    """The page spans of the answer in the chunk: inside the quote where the quote is found, else its first place."""
    places = align.find_exact(answer, chunk.text)
    if not places:
        return None
    around = align.find_exact(quote, chunk.text) if quote else []
    inside = [p for p in places if any(a.start <= p.start and p.end <= a.end for a in around)]
    place = (inside or places)[0]
    return Evidence(chunk.document, chunk.locate(place.start, place.end), chunk.text[place.start : place.end])


def normal_question(question: str) -> str:
    """A question without case, punctuation and spacing, to find repetitions."""
    return " ".join(align.tokens(question))
