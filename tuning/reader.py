"""Training of a general reader: people's questions over stories, among retrieved passages, so that a base model knows
how to read before it is tuned on a shelf (``tuning.start``).

The prompt is the one that serves. Questions about neighbouring passages share one context, so each one's gold passage
is a hard negative for the others; the rest of a context is what the production retriever finds for one of them. Each
context also has a question that it does not answer, whose target is the refusal.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fieldguide import align
from fieldguide.catalog import Catalog, FileRecord, Reading
from fieldguide.models.base import Embedder
from fieldguide.models.transformers_generator import TransformersGenerator
from fieldguide.prompts import answer_prompt, answer_prompt_hash
from fieldguide.replies import REFUSAL
from fieldguide.settings import Index, Retrieval, Tuning
from fieldguide.types import Chunk, Context, Document, Page, Progress, Retriever, ScoredChunk, Span, content_hash
from fieldguide.workspace import init_workspace
from retrieval.build import build_index
from retrieval.retriever import HybridRetriever
from tuning.examples import Example
from tuning.human_pairs import FILES, HumanPair, read_human_pairs, title_of, train_on_people

PIECE_WORDS = 110
"""Words of a passage, about what ``ingest.chunk_tokens`` gives."""
_PASSAGES = (2, 5)
_QUESTIONS = (3, 8)
_REFUSED = 0.6
_TITLED = 0.5


@dataclass(frozen=True, slots=True)
class Asked:
    """A person's question with the passage, as it stands in ``pieces``, that holds its answer word for word."""

    question: str
    answer: str
    piece: Chunk


def pieces_of(stories: dict[str, list[str]]) -> list[Chunk]:
    """Every section cut at sentences into passages of at most ``PIECE_WORDS`` words (more where a sentence is longer).

    ``document`` is the story; half of them, by hash, name it in their context line.
    """
    out = []
    for story, sections in stories.items():
        number = 0
        for section in sections:
            for text in _cut(" ".join(section.split())):
                number += 1
                key = content_hash(story, str(number), text)
                context = title_of(story) if int(key[:8], 16) / 16**8 < _TITLED else ""
                out.append(Chunk(key, story, (Span(number, 0, len(text)),), text, (), context))
    return out


def _cut(section: str) -> list[str]:
    out: list[str] = []
    for start, end in align.sentences(section):
        sentence = section[start:end]
        if out and len(out[-1].split()) + len(sentence.split()) <= PIECE_WORDS:
            out[-1] += " " + sentence
        else:
            out.append(sentence)
    return out


def find_asked(pairs: Sequence[HumanPair], pieces: Sequence[Chunk]) -> list[Asked]:
    """The questions whose answer stands word for word in a passage of their own section, with the passage that
    shares most words with the question; the answer in the passage's own characters. Others cannot teach to copy."""
    by_story: dict[str, list[Chunk]] = {}
    for piece in pieces:
        by_story.setdefault(piece.document, []).append(piece)
    out = []
    for pair in pairs:
        section, asked = " ".join(pair.section.split()), set(align.content_tokens(pair.question))
        best: tuple[int, Chunk, str] | None = None
        for piece in by_story.get(pair.story, ()):
            found = align.find_exact(pair.answer.strip().rstrip("."), piece.text) if piece.text in section else []
            shared = len(asked & set(align.content_tokens(piece.text)))
            if found and (best is None or shared > best[0]):
                best = (shared, piece, piece.text[found[0].start : found[0].end])
        if best is not None:
            out.append(Asked(pair.question, best[2], best[1]))
    return out


def build_reader_examples(
    asked: Sequence[Asked], pieces: Sequence[Chunk], retriever: Retriever, seed: int
) -> list[Example]:
    """Examples in groups that share a context of 2 to 5 passages, in random order; one refusal in most groups."""
    draw = random.Random(seed)
    groups = _neighbours(asked, pieces)
    draw.shuffle(groups)
    by_story: dict[str, list[Asked]] = {}
    for item in asked:
        by_story.setdefault(item.piece.document, []).append(item)
    leads = [draw.choice(group).question for group in groups]
    found = retriever.retrieve(leads, _PASSAGES[1])
    examples: list[Example] = []
    for number, (group, ranked) in enumerate(zip(groups, found, strict=True)):
        gold = list({item.piece.id: item.piece for item in group}.values())
        k = max(draw.randint(*_PASSAGES), len(gold))
        others = [r.chunk for r in ranked if all(r.chunk.id != piece.id for piece in gold)]
        chosen = gold + others[: k - len(gold)]
        draw.shuffle(chosen)
        context = Context(tuple(ScoredChunk(piece, 0.0, n) for n, piece in enumerate(chosen, 1)), "random")
        rows = [(item.question, item.answer, "retrieved") for item in group]
        missing = [
            item for item in by_story[group[0].piece.document]
            if not any(align.find_exact(item.answer, piece.text) for piece in chosen)
        ]  # fmt: skip
        if missing and draw.random() < _REFUSED:
            rows.append((draw.choice(missing).question, REFUSAL, "removed"))
        draw.shuffle(rows)
        examples += [
            Example(f"{number}.{n}", answer_prompt(question, context), answer, gold_is, number)
            for n, (question, answer, gold_is) in enumerate(rows)
        ]
    return examples


def _neighbours(asked: Sequence[Asked], pieces: Sequence[Chunk]) -> list[list[Asked]]:
    """Questions about passages that follow each other, 3 to 8 together, of at most three passages."""
    place = {piece.id: n for n, piece in enumerate(pieces)}
    groups: list[list[Asked]] = []
    for item in sorted(asked, key=lambda item: place[item.piece.id]):
        last = groups[-1] if groups else []
        near = bool(last) and last[0].piece.document == item.piece.document
        room = len({i.piece.id for i in last} | {item.piece.id}) <= _QUESTIONS[0] and len(last) < _QUESTIONS[1]
        if near and room and (len(last) < _QUESTIONS[0] or last[-1].piece.id == item.piece.id):
            last.append(item)
        else:
            groups.append([item])
    return groups


def shelve(pieces: Sequence[Chunk], root: Path, embedder: Embedder, progress: Progress) -> HybridRetriever:
    """The production retriever over the passages, in a workspace of their own below ``root``."""
    workspace = init_workspace(root / content_hash(*(piece.id for piece in pieces))[:16])
    catalog = Catalog.open(workspace.catalog_file)
    if not catalog.documents():
        stories: dict[str, list[Chunk]] = {}
        for piece in pieces:
            stories.setdefault(piece.document, []).append(piece)
        for story, own in stories.items():
            pages = [Page(story, number, str(number), piece.text, "reader") for number, piece in enumerate(own, 1)]
            file = FileRecord(story, story, 0, "read", "")
            catalog.store_document(Document(story, story, title_of(story)), Reading("reader"), pages, own, file)
    build_index(catalog, workspace.index_folder, Index(), embedder, progress)
    return HybridRetriever.open(catalog, workspace.index_folder, embedder, Retrieval())


def train_reader(
    data: Path,
    base: TransformersGenerator,
    embedder: Embedder,
    settings: Tuning,
    run: Path,
    out: Path,
    progress: Progress,
    stopped: Callable[[], bool] = lambda: False,
    *,
    command: str = "",
) -> dict[str, Any]:
    """Train on ``data``/train.jsonl (held out: val.jsonl) and write the adapter with its manifest to ``out``.

    ``settings.max_examples`` bounds the contexts, ``dev_examples`` the
    held-out ones. Raises FieldguideError for data of another layout, KeyboardInterrupt when stopped.
    """
    sets = []
    for name, limit in zip(FILES, (settings.max_examples, settings.dev_examples), strict=True):
        pairs = read_human_pairs(data / name)
        stories: dict[str, list[str]] = {}
        for pair in pairs:
            sections = stories.setdefault(pair.story, [])
            if pair.section not in sections:
                sections.append(pair.section)
        pieces = pieces_of(stories)
        found = shelve(pieces, run / "shelf", embedder, progress)
        examples = build_reader_examples(find_asked(pairs, pieces), pieces, found, settings.seed)
        sets.append([example for example in examples if not limit or example.group < limit])
    about = {"kind": "reader", "command": command, "prompt": answer_prompt_hash()}
    manifest = train_on_people(data, sets, base, settings, run, out, progress, stopped, about)
    shutil.rmtree(run, ignore_errors=True)
    return manifest
