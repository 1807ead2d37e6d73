"""Pairs made from pairs: of two facts, without an answer, asked after another question, in other words.

All of them are made anew whenever pairs changed, so they are always what the pairs at hand give.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

from fieldguide.settings import Questions
from fieldguide.types import Chunk, Document, Kind, QAPair, Retriever, content_hash
from ingest.qa.calls import Calls
from ingest.qa.checks import check
from ingest.qa.drafts import Draft, Drafted, Rejection
from ingest.qa.follow_ups import follow_ups
from ingest.qa.multi_hop import multi_hop, shared_entities
from ingest.qa.passage_answers import draft_multi_hop
from ingest.qa.phrasings import rephrase, rephrase_by
from ingest.qa.prompt_files import PromptFiles
from ingest.qa.reader import Asked, Reader
from ingest.qa.same import wording
from ingest.qa.splits import SEEN, TRAINED
from ingest.qa.unanswerable import unanswerable
from ingest.qa.verify import pair_of

ORIGIN = "derived"
"""The origin of these pairs, and the source of what was rejected on the way."""

Derived = tuple[list[QAPair], list[Rejection]]


def wanted(pairs: int, kind: Kind, mix: Mapping[str, float]) -> int:
    """How many pairs of a derived kind belong to so many of the others, by the weights of ``questions.mix``."""
    weights = {name: mix.get(name, 1.0) for name in get_args(Kind)}
    plain = sum(weight for name, weight in weights.items() if name not in ("multi-hop", "unanswerable", "follow-up"))
    return round(pairs * weights[kind] / plain) if plain else 0


@dataclass(frozen=True, slots=True)
class Maker:
    """Who makes them: rules; and where they are given a retriever and a reader that check, and a generator that writes.

    Without ``retriever`` no pair without an answer is made, since nothing could check it.
    """

    settings: Questions
    retriever: Retriever | None = None
    reader: Reader | None = None
    writer: Calls | None = None

    def derive(
        self, pairs: Sequence[QAPair], chunks: Mapping[str, Chunk], documents: Mapping[str, Document]
    ) -> Derived:
        """Pairs of two hops, without an answer, and asked after another, as many as ``settings.mix`` wants.

        ``pairs`` are those that can be asked and answered as they stand; ``chunks`` by id are all of the corpus, a
        document's in order. Raises BudgetReached.
        """
        n, seed, mix = len(pairs), self.settings.seed, self.settings.mix
        hops = multi_hop(pairs, chunks, documents, wanted(n, "multi-hop", mix), seed)
        found = [hops, follow_ups(pairs, chunks, documents, wanted(n, "follow-up", mix), seed)]
        if self.writer is not None:
            found.append(self._written(self.writer, chunks, documents, wanted(n, "multi-hop", mix) - len(hops[0])))
        if self.retriever is not None:
            read = None if self.reader is None else self._read
            many = wanted(n, "unanswerable", mix)
            found.append(unanswerable(pairs, chunks, self.retriever, many, seed, read))
        drafts = [draft for made, _ in found for draft in made]
        rejections = [rejection for _, refused in found for rejection in refused]
        made: dict[str, QAPair] = {}
        for draft in drafts:
            holder = _holder(draft, chunks)
            if holder is None:
                rejections.append(Rejection("evidence in no chunk", draft.question))
            else:
                pair = pair_of(draft, draft.evidence, holder, ORIGIN, {})
                made.setdefault(pair.id, pair)
        return list(made.values()), rejections

    def _read(self, asked: Sequence[tuple[str, str]]) -> list[str]:
        assert self.reader is not None
        return self.reader.read([Asked(question, "", text) for question, text in asked])

    def _written(
        self, writer: Calls, chunks: Mapping[str, Chunk], documents: Mapping[str, Document], many: int
    ) -> Drafted:
        """Two-hop drafts by the generator, over chunks that share a rare entity."""
        drafts: list[Draft] = []
        rejections: list[Rejection] = []
        prompts = PromptFiles(Path(self.settings.prompts).expanduser()) if self.settings.prompts else None
        for first, second, entity in shared_entities(list(chunks.values()), max(many, 0), self.settings.seed):
            made, refused = draft_multi_hop(writer, first, second, entity, documents, prompts=prompts)
            rejections += refused
            for draft in made:
                reason, evidence = check(draft, first, "", (second,))
                if reason:
                    rejections.append(draft.refused(reason))
                else:
                    drafts.append(replace(draft, evidence=evidence))
        return drafts, rejections

    def reword(self, pairs: Sequence[QAPair]) -> list[QAPair]:
        """Test questions of the group "facts seen": ``settings.seen_share`` of the trained facts, in other words.

        Facts are drawn by seed; one that neither rules nor the generator can reword is passed over for the next.
        """
        seed = self.settings.seed
        trained = [pair for pair in pairs if pair.group == TRAINED and pair.answerable and not pair.after]
        asked = {wording(pair) for pair in pairs}
        facts = len({_fact(pair) for pair in trained})
        room = round(self.settings.seen_share * facts) - len({_fact(p) for p in pairs if p.group == SEEN})
        made: list[QAPair] = []
        told: set[tuple[str, str, str]] = set()
        for pair in sorted(trained, key=lambda p: content_hash("reword", str(seed), p.id)):
            if len(made) >= room:
                break
            for question in () if _fact(pair) in told else self._reworded(pair):
                other = replace(
                    pair, id=content_hash(pair.document, question, pair.answer)[:20], question=question, origin=ORIGIN,
                    split="test", group=SEEN, author="", verdict="", scores={},
                )  # fmt: skip
                if wording(other) not in asked:
                    asked.add(wording(other))
                    told.add(_fact(pair))
                    made.append(other)
        return made

    def _reworded(self, pair: QAPair) -> list[str]:
        found = rephrase(pair, 1, self.settings.seed)
        if found or self.writer is None:
            return found
        (drafts, _), *_rest = rephrase_by(self.writer, [pair], 1, self.settings.seed)
        return [draft.question for draft in drafts]


def _fact(pair: QAPair) -> tuple[str, str, str]:
    return pair.document, pair.answer, pair.chunk


def _holder(draft: Draft, chunks: Mapping[str, Chunk]) -> Chunk | None:
    """The chunk that holds the draft's first piece of evidence."""
    if not draft.evidence or not draft.evidence[0].spans:
        return None
    first, span = draft.evidence[0], draft.evidence[0].spans[0]
    for chunk in chunks.values():
        if chunk.document == first.document and any(
            s.page == span.page and s.start <= span.start < s.end for s in chunk.spans
        ):
            return chunk
    return None
