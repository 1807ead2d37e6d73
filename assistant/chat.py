"""A conversation: its turns and the file that keeps them, what is typed in it, and what is said of an answer.

Knows nothing of models, retrieval and terminals; an answer is what ``assistant.answer.as_json`` tells of it.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from fieldguide import align
from fieldguide.errors import FieldguideError
from fieldguide.files import append_json, read_json_lines

COMMANDS = {
    "sources": "all passages that the model was shown",
    "open": "N: the page around citation N, what is cited marked",
    "why": "how the last answer came about: hashes, times, tokens, scores",
    "good": "the last answer is right",
    "bad": "[REASON]: the last answer is wrong",
    "correct": "TEXT: what the last answer should have been",
    "history": "the conversation so far",
    "new": "begin a new conversation",
    "help": "these commands",
    "quit": "end (so do Ctrl-C and Ctrl-D on an empty line)",
}
_WANTS = {"open": "the number of a citation, as in /open 2", "correct": "the right answer, as in /correct In 1978."}
_FENCE = '"""'
_ID = re.compile(r"[\w-]+")
_CITED = {"document", "source", "page", "start", "end", "quote", "passage", "score"}

Verdict = Literal["good", "bad", "corrected"]


@dataclass(frozen=True, slots=True)
class Command:
    """``/name argument``."""

    name: str
    argument: str


def parse(entry: str) -> Command | None:
    """The command that was typed, None for a question. Raises FieldguideError for a command that is none, lacks what
    belongs behind it, or has something behind it that does not."""
    typed = entry.strip()
    if not typed.startswith("/"):
        return None
    name, _, argument = typed[1:].partition(" ")
    name, argument = name.lower(), argument.strip()
    if name not in COMMANDS:
        [nearest] = difflib.get_close_matches(name, COMMANDS, n=1, cutoff=0.0)
        raise FieldguideError(f"There is no command /{name[:40]}; the nearest is /{nearest}, and /help shows all.")
    if name in _WANTS and not argument:
        raise FieldguideError(f"/{name} needs {_WANTS[name]}.")
    if argument and name not in (*_WANTS, "bad"):
        raise FieldguideError(f"/{name} takes nothing behind it; a question is asked without a stroke before it.")
    return Command(name, argument)


def read_entry(line: Callable[[bool], str]) -> str:
    """What is typed next: one line, more where each ends in a backslash, or those between lines of three quotation
    marks. ``line`` gives the next one, told whether an entry is under way, and raises EOFError when there is none."""
    first = line(False)
    if first.strip() == _FENCE:
        return "\n".join(_until(line, lambda text: text.strip() == _FENCE))
    parts = [first]
    while parts[-1].endswith("\\"):
        parts[-1] = parts[-1][:-1]
        try:
            parts.append(line(True))
        except EOFError:
            break
    return "\n".join(parts)


def _until(line: Callable[[bool], str], ends: Callable[[str], bool]) -> list[str]:
    lines: list[str] = []
    while True:
        try:
            text = line(True)
        except EOFError:
            return lines
        if ends(text):
            return lines
        lines.append(text)


@dataclass(frozen=True, slots=True)
class Turn:
    """A question as typed and as asked, and its answer as ``as_json`` tells it.

    ``interrupted``: the answer was stopped and holds only the text that had been written. ``first_piece`` is the time
    in seconds from the question to the first text, None if there was none. ``user`` is whose eyes it was read with.
    """

    question: str
    asked: str
    answer: Mapping[str, Any]
    interrupted: bool = False
    first_piece: float | None = None
    user: str | None = None


def cut_short(text: str) -> dict[str, Any]:
    """An answer that was stopped when this was written: nothing of it is checked."""
    return {"text": text, "abstained": False, "citations": [], "unsupported": [], "passages": [], "trace": {}}


def said_before(turns: Sequence[Turn]) -> list[tuple[str, str]]:
    """The conversation as the next question is understood by it."""
    return [(turn.asked, str(turn.answer["text"])) for turn in turns]


def feedback(turn: Turn, verdict: Verdict, *, correction: str = "", reason: str = "") -> dict[str, Any]:
    """What is kept of a verdict on an answer: enough to learn from and to know what was answered how, no more."""
    trace = turn.answer["trace"]
    return {
        "question": turn.asked, "answer": turn.answer["text"], "citations": turn.answer["citations"],
        "context": trace.get("context"), "adapter": trace.get("adapter"), "verdict": verdict,
        "correction": correction, "reason": reason,
    }  # fmt: skip


def start(folder: Path, now: datetime) -> Path:
    """A new, empty history in ``folder``; its name without the ending is the conversation's id."""
    folder.mkdir(parents=True, exist_ok=True)
    stamp = now.strftime("%Y%m%d-%H%M%S")
    number = 1
    while True:
        path = folder / f"{stamp if number == 1 else f'{stamp}-{number}'}.jsonl"
        try:
            path.open("x").close()
        except FileExistsError:
            number += 1
            continue
        return path


def keep(path: Path, turn: Turn) -> None:
    """Add a turn to a history."""
    append_json(path, asdict(turn))


def read(path: Path) -> tuple[list[Turn], list[int]]:
    """The turns of a history, and the numbers of its lines that are none."""
    values, broken = read_json_lines(path)
    turns = [Turn(**value) for value in values.values() if _is_turn(value)]
    return turns, sorted([*broken, *(number for number, value in values.items() if not _is_turn(value))])


def _is_turn(value: Any) -> bool:
    if not isinstance(value, dict) or not {"question", "asked", "answer"} <= set(value) <= set(Turn.__slots__):
        return False
    answer = value["answer"]
    return (
        isinstance(answer, dict)
        and isinstance(answer.get("text"), str)
        and isinstance(answer.get("trace"), dict)
        and all(isinstance(answer.get(name), list) for name in ("citations", "passages"))
        and all(isinstance(c, dict) and set(c) >= _CITED for c in answer["citations"])
    )


def histories(folder: Path) -> list[Path]:
    """All histories, the one written to last at the end."""
    return sorted(folder.glob("*.jsonl"), key=lambda path: (path.stat().st_mtime_ns, path.name))


def find(folder: Path, wanted: str) -> Path:
    """The history with this id, or the "last" one. Raises FieldguideError."""
    found = histories(folder)
    if wanted == "last" and found:
        return found[-1]
    path = folder / f"{wanted}.jsonl"
    if not found:
        raise FieldguideError("There is no conversation to go on with yet; `fieldguide chat` begins one.")
    if not _ID.fullmatch(wanted) or path not in found:
        [nearest] = difflib.get_close_matches(wanted, [one.stem for one in found], n=1, cutoff=0.0)
        raise FieldguideError(
            f"There is no conversation {wanted!r}; the nearest is {nearest}, and `fieldguide chat --list` shows all."
        )
    return path


def place_of(citation: Mapping[str, Any], text: str) -> tuple[int, int]:
    """Where in its page's text the citation's quote stands, or, if it does not, the characters cited."""
    start, end = min(citation["start"], len(text)), min(citation["end"], len(text))
    for match in align.find_exact(citation["quote"], text):
        if match.start < end and start < match.end:
            return match.start, match.end
    return start, end


def around(text: str, start: int, end: int, reach: int = 600) -> tuple[str, str, str]:
    """The characters, and up to ``reach`` on either side, from and to the nearest space, with "…" where more stands."""
    low, high = max(start - reach, 0), min(end + reach, len(text))
    if low:
        low = next((i + 1 for i in range(low, start) if text[i].isspace()), low)
    if high < len(text):
        high = next((i for i in range(high, end, -1) if text[i].isspace()), high)
    return "…" * bool(low) + text[low:start], text[start:end], text[end:high] + "…" * (high < len(text))
