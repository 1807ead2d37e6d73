"""Progress on the terminal: a bar with rate and time left for each step, and how long steps took, for estimates."""

from __future__ import annotations

import time
from collections.abc import Mapping

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as RichProgress
from rich.text import Text


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        if not speed:
            return Text("")
        return Text(f"{speed:.1f}/s" if speed >= 1 else f"{1 / speed:.1f} s each", style="dim")


class TerminalProgress:
    """A ``fieldguide.types.Progress`` that draws on the error stream, so that --json output stays clean.

    Where the stream is no terminal (a log file), each step is one line when it begins and one when it ends.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bar: RichProgress | None = None
        self._task: TaskID | None = None
        self._label = ""
        self._done = 0
        self._began = 0.0
        self.rates: dict[str, float] = {}
        """Items per second of each step that took a second or more; a shorter one says little."""

    def start(self, label: str, total: int | None = None, done: int = 0) -> None:
        self.finish()
        self._label, self._done, self._began = label, 0, time.perf_counter()
        if not self._console.is_terminal:
            count = "" if total is None else f" ({total - done} of {total} to do)" if done else f" ({total})"
            self._console.print(f"… {label}{count}")
            return
        self._bar = RichProgress(
            SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _Rate(),
            TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(), TextColumn("[dim]{task.fields[note]}"),
            console=self._console,
        )  # fmt: skip
        self._bar.start()
        self._task = self._bar.add_task(label, total=total, completed=done, note="")

    def advance(self, n: int = 1, note: str = "") -> None:
        self._done += n
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, advance=n, note=escape(note[:72]))

    def finish(self) -> None:
        """End the step that is under way and keep its rate."""
        seconds = time.perf_counter() - self._began
        if self._done and seconds >= 1:
            self.rates[self._label] = self._done / seconds
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
        elif self._label:
            self._console.print(f"  {self._label}: {self._done} in {seconds:.1f} s")
        self._label, self._done = "", 0


def estimate(seconds: float | None, megabytes: float, what: str, measured: bool) -> str:
    """One line that says, before the work, how long it will take and how much disk."""
    if seconds is None or seconds < 1:
        duration, measured = "a moment", True
    elif seconds < 90:
        duration = f"about {seconds:.0f} s"
    else:
        duration = f"about {seconds / 60:.0f} min"
    basis = "" if measured else " (a guess: not yet measured on this machine)"
    return f"{what}: {duration}{basis}, about {max(megabytes, 1):.0f} MB of disk."


def expected(rates: Mapping[str, float | None], work: Mapping[str, tuple[int, float]]) -> tuple[float, bool]:
    """Seconds for ``work`` = {step: (items, guessed items per second)}, and whether all of it was measured here."""
    measured = all(rates.get(step) for step, (items, _) in work.items() if items)
    return sum(items / (rates.get(step) or guess) for step, (items, guess) in work.items()), measured
