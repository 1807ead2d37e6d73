"""Worked examples before a task of SELF-GUIDE: how a question is written of a sentence, and how one is answered."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

from fieldguide.models.base import Message, Prompt
from fieldguide.prompts import answer_prompt, fill, load
from fieldguide.types import Chunk, Context, QAPair, ScoredChunk
from ingest.qa.adapter_source import read_sentences
from ingest.qa.names import place_in

SHOWN = 3
"""Examples that are shown before a task."""

_LONGEST = 45


@dataclass(frozen=True, slots=True)
class WorkedExample:
    """A worked example from a pair of the document: writing its question, and reading its answer."""

    document: str
    write: Prompt
    read: Prompt


def worked_examples(train: Sequence[QAPair], chunks: Sequence[Chunk], seed: int) -> list[WorkedExample]:
    """Worked examples: train pairs whose evidence has a sentence that can be shown, in an order drawn by seed."""
    by_id = {chunk.id: chunk for chunk in chunks}
    found: list[WorkedExample] = []
    for pair in train:
        chunk = by_id.get(pair.chunk)
        if chunk is None or len(pair.evidence) != 1 or (place := place_in(pair.evidence[0], chunk)) is None:
            continue
        sentences = [one.text for one in read_sentences(chunk, None)[0]]
        quote = " ".join(chunk.text[slice(*place)].split())
        held = next((one for one in sentences if quote in one and len(one.split()) <= _LONGEST), None)
        if held is not None:
            write = (Message("user", _task_text(chunk, held)), Message("assistant", pair.question))
            context = Context((ScoredChunk(replace(chunk, text=held), 1.0, 1),), "rank")
            read = (answer_prompt(pair.question, context)[-1], Message("assistant", pair.answer))
            found.append(WorkedExample(pair.document, write, read))
    random.Random(f"shown {seed}").shuffle(found)
    return found


def _task_text(chunk: Chunk, sentence: str) -> str:
    return fill("self_guide_write", document=chunk.context or "a document", text=sentence)


def write_prompt(chunk: Chunk, sentence: str, turns: Sequence[Prompt]) -> Prompt:
    """The prompt that asks the student for a question about a sentence, after worked examples."""
    shown = tuple(message for turn in turns for message in turn)
    return (Message("system", load("self_guide_system")), *shown, Message("user", _task_text(chunk, sentence)))


def shown(turns: Sequence[WorkedExample], number: int) -> list[WorkedExample]:
    """The worked examples of the task with this number: in turn over all there are, of different documents first."""
    order = [turns[(number * SHOWN + n) % len(turns)] for n in range(len(turns))]
    chosen: dict[str, WorkedExample] = {}
    for turn in order:
        chosen.setdefault(turn.document, turn)
    return [*chosen.values(), *(turn for turn in order if turn not in chosen.values())][:SHOWN]
