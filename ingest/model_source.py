"""Question-answer drafts from any Generator, with the prompt files question_system and question_user.

Knows nothing of what the model is; what it writes is only a draft until ``ingest.questions`` has checked it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from fieldguide import align
from fieldguide.models.base import Generator, Message
from fieldguide.prompts import load, question_prompt
from fieldguide.types import Chunk, Document, content_hash
from ingest.drafts import Draft, Drafted, Rejection

_EXAMPLE_TEXT = (
    "The bridge over the Aller at Celle was opened on 3 May 1931. It was closed to lorries in 2004 because two "
    "girders had rusted through."
)
_EXAMPLE_REPLY = (
    "Question: When was the bridge over the Aller at Celle opened?\nAnswer: 3 May 1931\n"
    "Question: Why was the bridge at Celle closed to lorries?\nAnswer: two girders had rusted through"
)
_BLOCK = re.compile(r"Question:\s*(?P<q>.+?)\s*\n\s*Answer:\s*(?P<a>.+?)\s*(?=\n|$)", re.IGNORECASE)
_KINDS = (
    ("when", "date"),
    ("why", "cause"),
    ("how many", "quantity"),
    ("how much", "quantity"),
    ("how far", "quantity"),
)


class ModelSource:
    """A QuestionSource that asks a model for "Question: … Answer: …" lines, at most ``per_chunk`` for a chunk."""

    name = "model"
    batch = 8

    def __init__(self, generator: Generator, per_chunk: int, seed: int, max_new_tokens: int = 160) -> None:
        self._generator = generator
        self._per_chunk = per_chunk
        self._seed = seed
        self._max_new_tokens = max_new_tokens

    @property
    def id(self) -> str:
        prompts = content_hash(load("question_system"), load("question_user"), _EXAMPLE_TEXT, _EXAMPLE_REPLY)[:12]
        return f"model-{self._generator.id}-{prompts}-{self._per_chunk}-{self._seed}-{self._max_new_tokens}"

    def draft(self, documents: Mapping[str, Document], chunks: Sequence[Chunk]) -> list[Drafted]:
        example = (
            question_prompt("City engineer's report on the Celle bridge", _EXAMPLE_TEXT)[-1],
            Message("assistant", _EXAMPLE_REPLY),
        )
        prompts = [question_prompt(c.context or documents[c.document].title, c.text, example) for c in chunks]
        room = self._generator.context_tokens - self._max_new_tokens
        fits = [n for n, prompt in enumerate(prompts) if self._generator.count_tokens(prompt) <= room]
        replies = self._generator.generate(
            [prompts[n] for n in fits], max_new_tokens=self._max_new_tokens, seed=self._seed
        )
        found = {n: self._parse(reply.text, chunks[n]) for n, reply in zip(fits, replies, strict=True)}
        too_long: Drafted = ([], [Rejection("chunk too long for the model", f"{room} tokens fit")])
        return [found.get(n, too_long) for n in range(len(chunks))]

    def _parse(self, reply: str, chunk: Chunk) -> Drafted:
        blocks = list(_BLOCK.finditer(reply))
        if not blocks:
            return [], [Rejection("reply without question and answer", reply[:200])]
        drafts = []
        rejections = []
        for block in blocks:
            question, answer = block["q"].strip(), block["a"].strip().rstrip(".")
            if question in _EXAMPLE_REPLY:
                rejections.append(Rejection("repeats the example", question))
                continue
            drafts.append(Draft(question, answer, _quote(answer, chunk.text), _kind(question)))
        rejections += [Rejection("more than questions.per_chunk", d.question) for d in drafts[self._per_chunk :]]
        return drafts[: self._per_chunk], rejections


def _kind(question: str) -> str:
    lowered = question.casefold()
    return next((kind for start, kind in _KINDS if lowered.startswith(start)), "fact")


def _quote(answer: str, text: str) -> str:
    places = align.find_exact(answer, text)
    if not places:
        return ""
    around = [s for s in align.sentences(text) if s[0] <= places[0].start < s[1]]
    return text[around[0][0] : around[0][1]] if around else ""
