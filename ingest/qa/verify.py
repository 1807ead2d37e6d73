"""Which drafts hold, and why the others do not: the checks, the reader, and what was asked before, in that order."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from fieldguide.models.base import Embedder
from fieldguide.settings import Questions
from fieldguide.types import Chunk, Document, Evidence, QAPair, content_hash
from ingest.qa.checks import check
from ingest.qa.dedupe import Deduper
from ingest.qa.drafts import Draft, Drafted, Rejection
from ingest.qa.reader import Reader, refuse_unread

Verified = tuple[list[QAPair], list[Rejection]]
"""Of one chunk: the pairs that hold, and what was refused."""

_Holding = tuple[int, Draft, tuple[Evidence, ...]]


def pair_of(
    draft: Draft, evidence: tuple[Evidence, ...], chunk: Chunk, origin: str, splits: Mapping[str, str | None]
) -> QAPair:
    """The pair that a draft becomes, in the split of its document and in no group yet."""
    answer, question = " ".join(draft.answer.split()), " ".join(draft.question.split())
    split = splits.get(chunk.document)
    return QAPair(
        id=content_hash(chunk.document, question, answer, *draft.after)[:20], question=question, answer=answer,
        document=chunk.document, chunk=chunk.id, evidence=evidence, kind=draft.kind, origin=origin,
        split="dev" if split == "dev" else "test" if split == "test" else "train", level=draft.level,
        answerable=draft.answerable, scores=dict(draft.scores), after=draft.after,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Verifier:
    """What every draft has to pass. ``chunks_of`` gives a document's chunks.

    Rules copy what they read, so the reader (None: nobody reads back) is asked about other sources' drafts only.
    """

    settings: Questions
    deduper: Deduper
    embedder: Embedder
    reader: Reader | None
    documents: Mapping[str, Document]
    chunks_of: Callable[[str], Sequence[Chunk]]
    splits: Mapping[str, str | None]

    def verify(
        self, drafted: Sequence[tuple[Chunk, Drafted]], origin: str, languages: Mapping[str, str]
    ) -> list[Verified]:
        """For each chunk, in order. ``languages`` (ISO 639-1) by chunk, as far as they are known."""
        refused = [list(rejections) for _, (_, rejections) in drafted]
        holding: list[_Holding] = []
        for n, (chunk, (drafts, _)) in enumerate(drafted):
            for draft in drafts:
                reason, evidence = check(draft, chunk, languages.get(chunk.id, ""), self._others(draft, chunk))
                if reason:
                    refused[n].append(draft.refused(reason))
                else:
                    holding.append((n, draft, evidence))
        chunks = [chunk for chunk, _ in drafted]
        if self.reader is not None and origin != "rules":
            holding = self._read(self.reader, holding, chunks, refused)
        made = [pair_of(draft, evidence, chunks[n], origin, self.splits) for n, draft, evidence in holding]
        kept: list[list[QAPair]] = [[] for _ in drafted]
        for (n, draft, _), pair, reason in zip(holding, made, self.deduper.refuse(made), strict=True):
            if reason:
                refused[n].append(draft.refused(reason))
            else:
                kept[n].append(pair)
        return list(zip(kept, refused, strict=True))

    def _others(self, draft: Draft, chunk: Chunk) -> list[Chunk]:
        """The chunks, but for its own, that the draft's evidence lies in."""
        found = [c for e in draft.evidence for c in self.chunks_of(e.document) if c.id != chunk.id and _touches(c, e)]
        return list({c.id: c for c in found}.values())

    def _read(
        self, reader: Reader, holding: list[_Holding], chunks: Sequence[Chunk], refused: list[list[Rejection]]
    ) -> list[_Holding]:
        """The drafts whose answer the reader finds too, with its agreement as their score."""
        asked = [
            (draft, self._read_for(draft, evidence, chunks[n]), self.documents[chunks[n].document].title)
            for n, draft, evidence in holding
        ]
        found = refuse_unread(reader, asked, self.settings, self.embedder)
        left: list[_Holding] = []
        for (n, draft, evidence), (reason, scores) in zip(holding, found, strict=True):
            if reason:
                refused[n].append(draft.refused(reason))
            else:
                left.append((n, replace(draft, scores={**draft.scores, **scores}), evidence))
        return left

    def _read_for(self, draft: Draft, evidence: tuple[Evidence, ...], chunk: Chunk) -> list[Chunk]:
        """The chunks that hold the evidence: its own, unless the draft placed it elsewhere."""
        if not draft.evidence:
            return [chunk]
        others = self._others(draft, chunk)
        return [*([chunk] if any(_touches(chunk, e) for e in evidence) or not others else []), *others]


def _touches(chunk: Chunk, evidence: Evidence) -> bool:
    return chunk.document == evidence.document and any(
        a.page == b.page and a.start < b.end and b.start < a.end for a in chunk.spans for b in evidence.spans
    )
