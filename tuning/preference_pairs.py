"""Accepted and rejected answers, as feedback gives them: read, checked, put into the prompts that are served.

Pure but for reading the file and the retriever that is handed in. Knows nothing of training.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fieldguide.errors import FieldguideError
from fieldguide.prompts import answer_prompt
from fieldguide.types import Chunk, Context, Document, Retriever, ScoredChunk, content_hash
from tuning.tokenise import Renderer

_TEXTS = ("question", "chosen", "rejected")


@dataclass(frozen=True, slots=True)
class Preference:
    """Two answers to a question and which one was preferred. ``document`` is the file that the question is about, "" if
    none was named; ``context`` are the passages that the answers were given from, none: as retrieval finds them now."""

    question: str
    chosen: str
    rejected: str
    document: str = ""
    context: tuple[str, ...] = ()

    @property
    def hash(self) -> str:
        return content_hash(self.question, self.chosen, self.rejected, self.document, *self.context)


@dataclass(frozen=True, slots=True)
class Fault:
    """A line of the file that is left out, and why."""

    line: int
    reason: str


@dataclass(frozen=True, slots=True)
class PreferenceIds:
    """A preference in token ids: the prompt as it is served, and both answers with their end tokens."""

    question: str
    prompt_ids: list[int]
    chosen_ids: list[int]
    rejected_ids: list[int]


def read_preferences(
    path: Path, documents: Sequence[Document], test_questions: Collection[str] = ()
) -> tuple[list[tuple[int, Preference]], list[Fault]]:
    """The usable lines with their numbers (from 1), and the others with their reasons. Blank lines do not count.

    Raises FieldguideError if the file cannot be read.
    """
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise FieldguideError(f"{path} cannot be read as a file of JSON lines ({error}).") from error
    names = {name for document in documents for name in (document.id, document.source, Path(document.source).name)}
    held = {_plain(question) for question in test_questions}
    good: list[tuple[int, Preference]] = []
    faults, seen = [], set()
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        found = _parse(line)
        if isinstance(found, Preference):
            if found.document and found.document not in names:
                found = "its document is not on the shelf"
            elif _plain(found.question) in held:
                found = "its question is one of the test questions"
            elif found.hash in seen:
                found = "it stands in the file already"
        if isinstance(found, str):
            faults.append(Fault(number, found))
        else:
            seen.add(found.hash)
            good.append((number, found))
    return good, faults


def _parse(line: str) -> Preference | str:
    """The line's preference, or what is wrong with it."""
    try:
        row: Any = json.loads(line)
    except ValueError:
        return "it is not JSON"
    if not isinstance(row, dict):
        return "it is not a JSON object"
    texts: dict[str, str] = {}
    for name in _TEXTS:
        text = row.get(name)
        if not isinstance(text, str) or not text.strip():
            return f'it has no text under "{name}"'
        texts[name] = text.strip()
    context = row.get("context") or []
    passages = [context] if isinstance(context, str) else context
    if not isinstance(passages, list) or not all(isinstance(text, str) and text.strip() for text in passages):
        return 'its "context" is neither a text nor a list of texts'
    document = row.get("document") or ""
    if not isinstance(document, str):
        return 'its "document" is not a text'
    if _plain(texts["chosen"]) == _plain(texts["rejected"]):
        return "both answers are the same"
    return Preference(**texts, document=document, context=tuple(passages))


def _plain(text: str) -> str:
    return " ".join(text.lower().split())


def reasons(faults: Sequence[Fault]) -> dict[str, int]:
    """How many lines were left out for each reason, most frequent first."""
    return dict(Counter(fault.reason for fault in faults).most_common())


def in_prompts(
    numbered: Sequence[tuple[int, Preference]], retriever: Retriever, renderer: Renderer, limit: int
) -> tuple[list[PreferenceIds], list[Fault]]:
    """Each preference in its prompt, with the passages that it names or that retrieval finds; those over ``limit``
    tokens are left out, nothing is cut."""
    found = iter(retriever.contexts([pair.question for _, pair in numbered if not pair.context]))
    made, faults = [], []
    for number, pair in numbered:
        context = given(pair.context) if pair.context else next(found)
        prompt = renderer.render(answer_prompt(pair.question, context))
        answers = [renderer.completion_ids(text) for text in (pair.chosen, pair.rejected)]
        if len(prompt) + max(map(len, answers)) > limit:
            faults.append(Fault(number, "with its passages it is longer than the model reads"))
        else:
            made.append(PreferenceIds(pair.question, prompt, *answers))
    return made, faults


def given(texts: Sequence[str]) -> Context:
    """A context of these texts, in this order."""
    chunks = [Chunk(content_hash(text)[:16], "", (), text) for text in texts]
    return Context(tuple(ScoredChunk(chunk, 0.0, rank) for rank, chunk in enumerate(chunks, 1)), "as given")


def split_held_out(
    pairs: Sequence[PreferenceIds], share: float, seed: int
) -> tuple[list[PreferenceIds], list[PreferenceIds]]:
    """Pairs to train on and pairs held out, by question, so that no question is in both; at least one question is held
    out of five or more, none of fewer."""
    questions = sorted({pair.question for pair in pairs}, key=lambda text: content_hash(str(seed), text))
    count = max(1, round(share * len(questions))) if share and len(questions) >= 5 else 0
    held = set(questions[:count])
    return [pair for pair in pairs if pair.question not in held], [pair for pair in pairs if pair.question in held]
