"""Prompts as files, and the one renderer that training, answering and evaluation share.

Knows nothing of models; what it renders is turned into tokens by a Generator.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from fieldguide.errors import SettingsError
from fieldguide.models.base import Message, Prompt
from fieldguide.prompts.as_data import as_data, is_order
from fieldguide.types import Chunk, Context, ScoredChunk, content_hash

_FOLDER = Path(__file__).parent
_SLOT = re.compile(r"\{(\w+)\}")


EDITABLE = (
    "answer_system", "answer_with_passages", "answer_system_closed", "answer_closed_book", "rewrite_system",
    "rewrite_user", "entail_system", "entail_user",
)  # fmt: skip
"""Prompts of answering that a user may put in the place of these (``look_in``)."""

_own: dict[str, str] = {}


@cache
def load(name: str) -> str:
    """Text of the prompt file ``name``.txt, without the line break at its end; the user's own, where there is one."""
    return _own[name] if name in _own else shipped(name)


def shipped(name: str) -> str:
    """The text that comes with the product."""
    return (_FOLDER / f"{name}.txt").read_text("utf-8").rstrip("\n")


def look_in(folder: Path | None) -> None:
    """From now on take the ``EDITABLE`` prompts from this folder where it has them (None: from none).

    It holds for the whole process: training, answering and evaluation ask alike. Raises SettingsError that lists every
    fault: a folder that is not there, a file that is no prompt or no UTF-8, a slot that is missing or unknown.
    """
    found: dict[str, str] = {}
    faults: list[str] = []
    if folder is not None and not folder.is_dir():
        raise SettingsError(f"answer.prompts: there is no folder {folder}; `fieldguide prompts {folder}` makes it.")
    for file in sorted(folder.glob("*.txt")) if folder is not None else ():
        if file.stem not in EDITABLE:
            near = difflib.get_close_matches(file.stem, EDITABLE, 1)
            hint = f"did you mean {near[0]}.txt?" if near else f"known are {', '.join(EDITABLE)}"
            faults.append(f"{file.name} is no prompt of answering; {hint}")
            continue
        try:
            text = file.read_text("utf-8").rstrip("\n")
        except (OSError, UnicodeDecodeError):
            faults.append(f"{file.name} cannot be read as UTF-8")
            continue
        wanted, has = set(_SLOT.findall(shipped(file.stem))), set(_SLOT.findall(text))
        faults += [f"{file.name} lacks {{{slot}}}" for slot in sorted(wanted - has)]
        faults += [f"{file.name}: nothing is known to fill {{{slot}}} with" for slot in sorted(has - wanted)]
        found[file.stem] = text
    if faults:
        raise SettingsError(f"answer.prompts, {folder}: " + "; ".join(faults) + ".")
    _own.clear()
    _own.update(found)
    load.cache_clear()


def fill(name: str, **values: str) -> str:
    """The prompt with its {slots} filled in one pass: braces inside a value stay what they are.

    Raises KeyError for a slot without a value.
    """
    return _SLOT.sub(lambda slot: values[slot.group(1)], load(name))


def passage_text(number: int, chunk: Chunk) -> str:
    """One passage as the model sees it: its number, where it comes from, its text, both as data (``as_data``)."""
    head = f"[{number}] {_place(chunk)}".rstrip()
    return f"{head}\n{as_data(chunk.text).text}"


def _place(chunk: Chunk) -> str:
    """Where the chunk comes from; nothing where a document's title gives an order."""
    return "" if is_order(chunk.context) else as_data(chunk.context).text


def answer_prompt(question: str, context: Context | None) -> Prompt:
    """The prompt for an answer, with passages or (None) without: the same in tuning, serving and evaluation."""
    if context is None:
        user = fill("answer_closed_book", question=question)
        return (Message("system", load("answer_system_closed")), Message("user", user))
    passages = "\n\n".join(passage_text(n, p.chunk) for n, p in enumerate(context.passages, 1))
    user = fill("answer_with_passages", passages=passages, question=question)
    return (Message("system", load("answer_system")), Message("user", user))


WORDINGS = 4
SERVED = ("answer_system", "answer_system_closed")
"""Prompt files that serve; wording n of each, from 2, is the file with "_n" at its end."""


def instructed(prompt: Prompt, wording: int) -> Prompt:
    """The prompt with its instruction in the ``wording`` of that number (from 1, which serves); as it is where it has
    none.

    Raises ValueError for a number of which there is no wording.
    """
    if not 1 <= wording <= WORDINGS:
        raise ValueError(f"wordings count from 1 to {WORDINGS}, there is none with the number {wording}")
    if wording == 1:
        return prompt
    others = {load(name): load(f"{name}_{wording}") for name in SERVED}
    return tuple(
        Message("system", others.get(message.content, message.content)) if message.role == "system" else message
        for message in prompt
    )


def with_examples(prompt: Prompt, examples: Sequence[Message]) -> Prompt:
    """The prompt with worked examples, as earlier turns of the conversation, between instruction and question."""
    return (prompt[0], *examples, *prompt[1:])


def answer_prompt_hash(wording: int = 1) -> str:
    """Changes when any file or the layout of an answer's prompt in this wording changes."""
    sample = ScoredChunk(Chunk("", "", (), "{text}", (), "{context}"), 0.0, 1)
    prompts = (answer_prompt("{question}", Context((sample, sample), "")), answer_prompt("{question}", None))
    shown = [message for prompt in prompts for message in instructed(prompt, wording)]
    return content_hash(*(part for message in shown for part in (message.role, message.content)))


NOT_THERE = "not in the text"
"""What the reader of a question adapter answers where the passage does not hold the answer."""


def write_prompt(document: str, text: str, sentence: str) -> Prompt:
    """The prompt by which a question adapter writes "answer, line break, question" from one sentence of a text."""
    return _adapter_prompt("adapter_write", document=document, text=text, sentence=sentence)


def read_prompt(document: str, text: str, question: str) -> Prompt:
    """The prompt by which a question adapter answers a question with words of a text, or with ``NOT_THERE``."""
    return _adapter_prompt("adapter_read", document=document, text=text, question=question)


def _adapter_prompt(name: str, **values: str) -> Prompt:
    return (Message("system", load("adapter_system")), Message("user", fill(name, **values)))


def question_adapter_hash() -> str:
    """Changes when a prompt changes that question adapters are trained with."""
    return content_hash(NOT_THERE, *(load(f"adapter_{name}") for name in ("system", "write", "read")))
