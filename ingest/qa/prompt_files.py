"""The prompts of question generation as files: those of the package, or a user's own folder with changed ones.

A file holds a whole chat: each turn begins with a line "=== system", "=== user" or "=== assistant", so that worked
examples stand where the model sees them. ``{slots}`` are filled by the caller. Knows nothing of questions or models.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from pathlib import Path

from fieldguide.errors import SettingsError
from fieldguide.files import write_atomically
from fieldguide.models.base import Message, Prompt
from fieldguide.prompts import load
from fieldguide.types import content_hash

SLOTS = {
    "question_pairs": ("metadata", "title", "about", "text", "count", "kinds", "levels"),
    "question_only": ("metadata", "title", "about", "text", "count", "kinds", "levels"),
    "question_answer": ("passages", "question"),
    "question_multi_hop": ("passages", "entity"),
    "question_retry": ("error",),
}
"""The prompt files by name (without ".txt"), each with the slots that it may use."""

_NEEDED = {
    "question_pairs": ("text",),
    "question_only": ("text",),
    "question_answer": ("passages", "question"),
    "question_multi_hop": ("passages",),
    "question_retry": ("error",),
}
_MESSAGE = "question_retry"
"""The one file that is a single message, not a chat."""

_TURN = re.compile(r"^=== *(\w+) *$", re.MULTILINE)
_SLOT = re.compile(r"\{(\w+)\}")


class PromptFiles:
    """Prompt files by name, read once; those in ``folder``, if given, take precedence over the package's.

    Raises SettingsError for a folder that is not there, and for a file in it whose name, turns or slots are not those
    that some use needs: before anything is asked.
    """

    def __init__(self, folder: Path | None = None) -> None:
        own = _read_folder(folder) if folder is not None else {}
        self._texts = {
            name: own[path].rstrip("\r\n") if (path := _path(folder, name)) in own else load(name) for name in SLOTS
        }
        self._chats = {n: _read_chat(n, t, _path(folder, n)) for n, t in self._texts.items() if n != _MESSAGE}
        _check_slots(_MESSAGE, self._texts[_MESSAGE], _path(folder, _MESSAGE))

    def chat(self, name: str) -> Prompt:
        """The file's turns, with its slots still open."""
        return self._chats[name]

    def fill(self, name: str, **values: str) -> Prompt:
        """The chat with its slots filled in one pass: braces and marks inside a value stay what they are."""
        return tuple(Message(turn.role, _filled(turn.content, values)) for turn in self.chat(name))

    def correction(self, error: str) -> str:
        """What a model is told whose reply cannot be used."""
        return _filled(self._texts[_MESSAGE], {"error": error})

    def replies(self, name: str) -> tuple[str, ...]:
        """What the assistant says in the file's worked examples."""
        return tuple(turn.content for turn in self.chat(name) if turn.role == "assistant")

    def hash(self, names: Sequence[str]) -> str:
        """Changes with the text of any of the files named (64 hex characters)."""
        return content_hash(*(part for name in names for part in (name, self._texts[name])))


def _path(folder: Path | None, name: str) -> Path:
    return (folder or Path()) / f"{name}.txt"


def _read_folder(folder: Path) -> dict[Path, str]:
    if not folder.is_dir():
        raise SettingsError(
            f"questions.prompts: there is no folder {folder}; "
            f"`fieldguide qa prompts {folder}` writes prompts there, to be edited."
        )
    found = {}
    for path in sorted(folder.glob("question_*.txt")):
        if path.stem not in SLOTS:
            raise SettingsError(f"{path}: there is no such prompt; known are {', '.join(SLOTS)}.")
        try:
            found[path] = path.read_text("utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(f"The prompt {path} cannot be read as UTF-8 text: {error}.") from None
    return found


def _read_chat(name: str, text: str, path: Path) -> Prompt:
    marks = list(_TURN.finditer(text))
    turns: list[Message] = []
    for mark, following in itertools.zip_longest(marks, marks[1:]):
        role = mark[1]
        content = text[mark.end() : following.start() if following else len(text)].strip("\r\n")
        if role == "system" and not turns:
            turns.append(Message("system", content))
        elif role in ("user", "assistant"):
            turns.append(Message("user" if role == "user" else "assistant", content))
        else:
            raise SettingsError(
                f'{path}: "=== {role}" is no turn here; the first may be system, the others user or assistant.'
            )
    if not turns or turns[-1].role != "user" or text[: marks[0].start()].strip():
        raise SettingsError(f'{path}: begin with a line "=== system" or "=== user", and end with a user\'s turn.')
    _check_slots(name, " ".join(turn.content for turn in turns), path)
    return tuple(turns)


def _check_slots(name: str, text: str, path: Path) -> None:
    used = set(_SLOT.findall(text))
    if strange := sorted(used - set(SLOTS[name])):
        raise SettingsError(f"{path}: unknown slot {{{strange[0]}}}; there are {_listed(SLOTS[name])}.")
    if missing := [slot for slot in _NEEDED[name] if slot not in used]:
        raise SettingsError(f"{path}: the slot {{{missing[0]}}} is missing; the model would not see it.")


def write_prompts(folder: Path) -> list[Path]:
    """Write the package's prompt files into a folder, to be edited there; returns those that were not there yet.

    Raises SettingsError, and writes nothing, if the folder holds a file that differs from the package's.
    """
    edited = [p for n in SLOTS if (p := folder / f"{n}.txt").exists() and p.read_bytes() != _packaged(n)]
    if edited:
        listed = ", ".join(path.name for path in edited)
        raise SettingsError(
            f"{folder} holds prompts that were edited ({listed}); move them away, or name another folder."
        )
    folder.mkdir(parents=True, exist_ok=True)
    fresh = [path for name in SLOTS if not (path := folder / f"{name}.txt").exists()]
    for path in fresh:
        write_atomically(path, _packaged(path.stem))
    return fresh


def _packaged(name: str) -> bytes:
    return (load(name) + "\n").encode()


def _filled(text: str, values: dict[str, str]) -> str:
    return _SLOT.sub(lambda slot: values[slot.group(1)], text)


def _listed(slots: Sequence[str]) -> str:
    return ", ".join(f"{{{slot}}}" for slot in slots)
