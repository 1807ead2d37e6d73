"""Answers over given passages: prompt → text → checked citations. ``assistant.flow`` is the whole way from a question.

Works on batches; one question is a batch of one. Knows the generator only by its Protocol.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from assistant.cite import cite
from fieldguide.models.base import Generation, Generator, Message, Prompt
from fieldguide.prompts import answer_prompt, answer_prompt_hash, instructed, with_examples
from fieldguide.prompts.indicator import marked
from fieldguide.replies import read_reply
from fieldguide.settings import Answer as AnswerSettings
from fieldguide.types import Answer, Context, Document, Trace


def answer_in_context(
    questions: Sequence[str],
    contexts: Sequence[Context | None],
    *,
    generator: Generator,
    adapter: str | None,
    documents: Mapping[str, Document],
    settings: AnswerSettings,
    index: str | None,
    examples: Sequence[Message] = (),
    wording: int = 1,
    temperature: float = 0.0,
    seed: int = 0,
) -> list[Answer]:
    """An answer to each question over the passages given (None: without any), with checked citations.

    ``examples`` are turns that every prompt shows before its question (``fieldguide.prompts.with_examples``), and
    ``wording`` is that of its instruction (``instructed``). At a ``temperature`` over 0 answers are drawn by ``seed``.

    Where a context is empty the answer abstains: nothing is generated without a passage to check it against. So it
    does where the model replies that the documents do not hold it. Marks and quotes that a model was trained to write
    are read off (``fieldguide.replies``); citations do not rest on them.
    """
    asked = [n for n, context in enumerate(contexts) if context is None or context.passages]
    prompts = [with_examples(prompt_of(questions[n], contexts[n], settings, wording), examples) for n in asked]
    started = time.perf_counter()
    replies = generator.generate(
        prompts, max_new_tokens=settings.max_new_tokens, adapter=adapter, temperature=temperature, seed=seed
    )
    generated = dict(zip(asked, replies, strict=True))
    seconds = {"generate": (time.perf_counter() - started) / max(len(questions), 1)}
    return [
        _answer(question, context, generated.get(n), documents, settings, generator.id, index, wording, seconds)
        for n, (question, context) in enumerate(zip(questions, contexts, strict=True))
    ]


def prompt_of(question: str, context: Context | None, settings: AnswerSettings, wording: int = 1) -> Prompt:
    """The prompt of a question over these passages (None: without any), marked where the settings want that."""
    prompt = instructed(answer_prompt(question, context), wording)
    return marked(prompt) if settings.indicator and context is not None else prompt


def _answer(
    question: str,
    context: Context | None,
    generation: Generation | None,
    documents: Mapping[str, Document],
    settings: AnswerSettings,
    model: str,
    index: str | None,
    wording: int,
    seconds: Mapping[str, float],
) -> Answer:
    reply = read_reply(generation.text) if generation is not None else None
    text = reply.answer if reply is not None else ""
    passages = context.passages if context is not None else ()
    citations, unsupported = (
        cite(question, text, context, documents, settings.support, reply.marks if reply is not None else ())
        if context
        else ([], [text] * bool(text))
    )
    trace = Trace(
        model=model,
        adapter=generation.adapter if generation is not None else None,
        prompt=answer_prompt_hash(wording),
        context=context.hash if context is not None else None,
        index=index,
        prompt_tokens=generation.prompt_tokens if generation is not None else 0,
        completion_tokens=generation.completion_tokens if generation is not None else 0,
        finish=generation.finish if generation is not None else "abstained",
        seconds=seconds,
        likelihood=generation.likelihood if generation is not None else None,
        reused_tokens=generation.reused_tokens if generation is not None else 0,
    )
    return Answer(question, text, tuple(citations), tuple(unsupported), passages, not text, trace)


def as_json(answer: Answer, documents: Mapping[str, Document]) -> dict[str, Any]:
    """An answer as plain values; sources are file names."""
    return {
        "text": answer.text,
        "abstained": answer.abstained,
        "confidence": answer.confidence,
        "origin": answer.origin,
        "withheld": answer.withheld,
        "conflicts": [
            asdict(c)
            | {name: file_name(documents, of) for name, of in (
                ("source", c.cited_document), ("other_source", c.other_document), ("newer_source", c.newer))}
            for c in answer.conflicts
        ],
        "citations": [asdict(c) | {"source": Path(c.source).name} for c in answer.citations],
        "unsupported": list(answer.unsupported),
        "passages": [
            {
                "source": file_name(documents, p.chunk.document), "pages": list(p.chunk.pages), "text": p.chunk.text,
                "rank": p.rank, "score": round(p.score, 4),
            }
            for p in answer.passages
        ],
        "trace": asdict(answer.trace),
    }  # fmt: skip


def file_name(documents: Mapping[str, Document], document: str | None) -> str:
    """Name of a document's file without its folder, "" if the document is not known."""
    found = documents.get(document or "")
    return Path(found.source).name if found is not None else ""
