"""The nouns of the field, as frozen values. Knows nothing of files, models or databases.

Conventions: pages count from 1; characters from 0, end exclusive; scores are similarities, higher is better.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

Split = Literal["train", "dev", "test"]


def content_hash(*parts: str | bytes) -> str:
    """SHA-256 (hex, 64 characters) of the parts, each preceded by its length so that no two lists collide."""
    digest = hashlib.sha256()
    for part in parts:
        raw = part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part
        digest.update(len(raw).to_bytes(8, "big"))
        digest.update(raw)
    return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class Document:
    """A file that was read. ``id`` is the SHA-256 of its bytes, so a moved or renamed file keeps it."""

    id: str
    source: str
    title: str
    metadata: Mapping[str, str] = field(default_factory=dict)


BlockKind = Literal["heading", "paragraph", "list", "table", "caption", "header", "footer"]


@dataclass(frozen=True, slots=True)
class Block:
    """A structural unit: characters ``start`` to ``end`` of a page's text.

    ``level`` is a heading's depth from 1 (0 for other kinds). A table is written one row a line, each row with its
    label and its cells under their column's name; ``head`` is where its header rows end (``start`` if it has none).
    "header" and "footer" are what the page repeats at its edges: kept on the page, left out of chunks.
    """

    kind: BlockKind
    start: int
    end: int
    level: int = 0
    head: int = 0


@dataclass(frozen=True, slots=True)
class Page:
    """One page as a reader gave it. ``number`` counts from 1; ``label`` is the printed one ("iv", "12").

    ``blocks`` are in reading order, do not overlap, and together hold all of the text but white space (empty: the
    structure is not known). ``confidence`` is the mean word confidence of OCR, 0 to 1; None for text that was there.
    """

    document: str
    number: int
    label: str
    text: str
    reader: str
    blocks: tuple[Block, ...] = ()
    confidence: float | None = None

    @property
    def text_hash(self) -> str:
        return content_hash(self.text)


@dataclass(frozen=True, slots=True)
class Span:
    """Characters ``start`` to ``end`` (exclusive) of page ``page`` of a document."""

    page: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of a document's text: ``text == PAGE_BREAK.join(page text[start:end] for each span)``.

    ``context`` says where the chunk comes from (title, place): it is indexed with the text and shown above it,
    but never cited.
    """

    id: str
    document: str
    spans: tuple[Span, ...]
    text: str
    heading: tuple[str, ...] = ()
    context: str = ""

    @property
    def indexed_text(self) -> str:
        """What is embedded: the context line, then the text."""
        return f"{self.context}\n{self.text}" if self.context else self.text

    @property
    def pages(self) -> tuple[int, ...]:
        return tuple(span.page for span in self.spans)

    def locate(self, start: int, end: int) -> tuple[Span, ...]:
        """Page spans of the characters ``start`` to ``end`` of this chunk's text (empty if none)."""
        found = []
        offset = 0
        for span in self.spans:
            length = span.end - span.start
            low, high = max(start - offset, 0), min(end - offset, length)
            if low < high:
                found.append(Span(span.page, span.start + low, span.start + high))
            offset += length + len(PAGE_BREAK)
        return tuple(found)


SUPERSEDED, NEAR_DUPLICATE = "superseded by", "near duplicate of"
"""How one document may relate to another in the catalogue."""

PAGE_BREAK = "\n\n"
"""Stands between two pages' texts where a chunk runs over a page's end."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """Where an answer stands: the page spans, and the quote that re-anchors them if the page is read anew."""

    document: str
    spans: tuple[Span, ...]
    quote: str


Kind = Literal[
    "fact", "definition", "quantity", "date", "list", "comparison", "procedure", "cause", "table lookup", "yes/no",
    "multi-hop", "unanswerable", "follow-up",
]  # fmt: skip
"""What a question asks for; the last three are made from pairs that are there already."""

Level = Literal["explicit fact", "implicit fact", "interpretable rationale", "hidden rationale"]
"""What has to be done to answer (Zhao et al. 2024, "Retrieval Augmented Generation (RAG) and Beyond", section 2):
read it off one place; join several; follow a rationale that the documents give; find one that they do not spell out."""


@dataclass(frozen=True, slots=True)
class QAPair:
    """A question with its answer, the evidence for it, and the split it belongs to.

    ``origin`` names the source that wrote it ("rules", a generator's name, "written"), ``author`` the person who
    wrote, edited or judged it. ``kind`` and ``level`` are a ``Kind`` and a ``Level``. Not ``answerable``: the
    documents do not hold the answer, which is "" then. ``after`` holds what was asked before, oldest first, where the
    question leans on it. ``group`` tells test pairs apart: "facts seen" (another wording of a trained fact), "facts
    held out", "same attribute, elsewhere". ``verdict`` is a person's: "accepted", "rejected" or "".
    """

    id: str
    question: str
    answer: str
    document: str
    chunk: str
    evidence: tuple[Evidence, ...]
    kind: str
    origin: str
    split: Split
    level: str = "explicit fact"
    answerable: bool = True
    scores: Mapping[str, float] = field(default_factory=dict)
    after: tuple[str, ...] = ()
    group: str = ""
    author: str = ""
    verdict: str = ""


@dataclass(frozen=True, slots=True)
class ScoredChunk:
    """A chunk with its similarity to a query, its rank (from 1), and the score and rank that each step gave it.

    Steps are channels ("dense", "words", "questions"), "fused", and rerankers by name.
    """

    chunk: Chunk
    score: float
    rank: int
    scores: Mapping[str, float] = field(default_factory=dict)
    ranks: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Context:
    """What a model is given to read: passages in the order shown, and the hash of exactly that.

    ``policy`` is the order's name; ``passages[i]`` is shown under the number i + 1.
    """

    passages: tuple[ScoredChunk, ...]
    policy: str

    @property
    def hash(self) -> str:
        parts = [self.policy]
        for passage in self.passages:
            parts += [passage.chunk.id, passage.chunk.context, passage.chunk.text]
        return content_hash(*parts)


@dataclass(frozen=True, slots=True)
class Citation:
    """A statement of the answer and the characters of a page that say it.

    ``verified`` is true when the statement was aligned with the page's text (see ``assistant.cite``).
    ``passage`` is the number, from 1, of the passage in the context.
    """

    statement: str
    document: str
    source: str
    page: int
    start: int
    end: int
    quote: str
    passage: int
    score: float
    verified: bool


@dataclass(frozen=True, slots=True)
class Trace:
    """How an answer came about, by hashes. ``adapter`` is read off the loaded weights, None when none was on.

    ``likelihood`` is the mean log-likelihood of the answer's tokens, ``agreement`` the mean token F1 (0 to 1) of the
    other samples with it; None where that is not known.
    ``reused_tokens`` of the prompt stood at the beginning of the one before it and were not computed anew.
    """

    model: str
    adapter: str | None
    prompt: str
    context: str | None
    index: str | None
    prompt_tokens: int
    completion_tokens: int
    finish: str
    seconds: Mapping[str, float] = field(default_factory=dict)
    likelihood: float | None = None
    agreement: float | None = None
    reused_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Conflict:
    """Two documents that say different things: the sentence cited, and the one that says otherwise.

    ``newer`` is the document (its id) that was preferred for its date, "" where no date tells.
    """

    statement: str
    cited: Span
    cited_document: str
    other: str
    other_span: Span
    other_document: str
    newer: str = ""


Origin = Literal["documents", "memory"]
"""Where an answer comes from: passages, or what the model has learned (then it is labelled so, and cites nothing)."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer with its citations, the statements that no passage supports, and its trace.

    ``abstained``: it says that the documents do not hold the answer; ``text`` is then "", and ``withheld`` what the
    model wrote, if it wrote anything. ``confidence`` is the calibrated chance that the answer is right, 0 to 1, None
    where nothing was calibrated (``assistant.confidence``).
    """

    question: str
    text: str
    citations: tuple[Citation, ...]
    unsupported: tuple[str, ...]
    passages: tuple[ScoredChunk, ...]
    abstained: bool
    trace: Trace
    confidence: float | None = None
    origin: Origin = "documents"
    withheld: str = ""
    conflicts: tuple[Conflict, ...] = ()


class Retriever(Protocol):
    """Finds and orders passages. The same object serves training, answering and evaluation."""

    @property
    def index_id(self) -> str:
        """Identifier of the index version that this retriever pinned."""
        ...

    def retrieve(self, queries: Sequence[str], k: int) -> list[list[ScoredChunk]]:
        """The k best chunks of each query, best first (fewer where the index holds fewer)."""
        ...

    @property
    def recipe(self) -> str:
        """Hash of what decides a context: index version, number and order of passages."""
        ...

    @property
    def k(self) -> int:
        """How many passages a context holds."""
        ...

    def context(self, ranked: Sequence[ScoredChunk]) -> Context:
        """Ranked chunks in the order in which the model is shown them."""
        ...

    def contexts(self, queries: Sequence[str]) -> list[Context]:
        """Retrieve and reorder, as the settings say, for each query."""
        ...


class Progress(Protocol):
    """Where a long piece of work reports. The command line draws it; libraries never print."""

    def start(self, label: str, total: int | None = None, done: int = 0) -> None:
        """A new step begins, of ``total`` items, ``done`` of which an earlier run finished."""
        ...

    def advance(self, n: int = 1, note: str = "") -> None:
        """``n`` more items of the step are done; ``note`` is shown beside it."""
        ...


class Silent:
    """A Progress that shows nothing."""

    def start(self, label: str, total: int | None = None, done: int = 0) -> None:
        return None

    def advance(self, n: int = 1, note: str = "") -> None:
        return None
