"""Modules of ours that run as processes and speak lines of JSON with their parent, and the child's side of that.

Knows nothing of what is said. A child ends when its input does, so it never outlives its parent.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from fieldguide import errors
from fieldguide.errors import FieldguideError, ModelError

_PATIENCE = 10.0  # seconds for a child to end after its input has
_ROOT = Path(__file__).resolve().parents[2]


class Child:
    """A module of ours that runs as a process and answers lines of JSON with lines of JSON.

    An answer is an object; {"error": …} raises what happened in the child, {"done": n} comes before an answer.
    """

    def __init__(self, module: str, what: str) -> None:
        """``what`` the child does is named in errors."""
        self._what = what
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 (lives as long as the child)
        path = os.pathsep.join(filter(None, (str(_ROOT), os.environ.get("PYTHONPATH"))))
        # -P: what lies in the current folder is not taken for one of our packages
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", module], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors,
            env={**os.environ, "PYTHONPATH": path}, text=True, encoding="utf-8",
        )  # fmt: skip

    @property
    def pid(self) -> int:
        return self._process.pid

    def ask(self, request: dict[str, Any], on_done: Callable[[Any], None] | None = None) -> dict[str, Any]:
        """Send a request, give every {"done": …} to ``on_done``, return the answer.

        Raises ModelError if the child has died. Whatever else interrupts the wait ends the child: its answer would be
        taken for the next one's.
        """
        try:
            self.tell(request)
            while True:
                answer = self._read()
                if "error" in answer:
                    raise _error(answer["error"])
                if "done" not in answer:
                    return answer
                if on_done is not None:
                    on_done(answer["done"])
        except FieldguideError:
            raise
        except BaseException:
            self.kill()
            raise

    def tell(self, message: dict[str, Any]) -> None:
        """Send a line that has no answer of its own. Raises ModelError if the child has died."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(message) + "\n")
            self._process.stdin.flush()
        except (OSError, ValueError):
            raise self._dead() from None

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline() if not self._process.stdout.closed else ""
        if not line.endswith("\n"):
            raise self._dead()
        return dict(json.loads(line))

    def _dead(self) -> ModelError:
        self.kill()
        self._errors.seek(0)
        said = self._errors.read().decode("utf-8", "replace").strip().splitlines()
        code = self._process.returncode
        why = f"killed by signal {-code}; too little memory?" if code < 0 else f"exit code {code}"
        last = f"; it last said: {said[-1]}" if said else ""
        return ModelError(f"The process for {self._what} has ended ({why}{last}): run it again.")

    def close(self) -> None:
        """End the child by ending its input; kill it if it does not heed that."""
        with contextlib.suppress(OSError, ValueError):
            if self._process.stdin is not None:
                self._process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_PATIENCE)
        self.kill()

    def kill(self) -> None:
        """End the child now."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError, ValueError):
                if stream is not None:
                    stream.close()


def _error(told: dict[str, str]) -> Exception:
    """The exception that was raised in the child, if it is one of ours, else a ModelError with its text."""
    kind = getattr(errors, told["kind"], None)
    if isinstance(kind, type) and issubclass(kind, FieldguideError):
        return kind(told["message"])
    return ModelError(f"The process of its own failed: {told['kind']}: {told['message']}")


def told_error(error: Exception) -> dict[str, Any]:
    """The answer by which a child tells an exception."""
    first = (str(error).strip().splitlines() or [""])[0]
    return {"error": {"kind": type(error).__name__, "message": str(error) if _ours(error) else first}}


def _ours(error: Exception) -> bool:
    return isinstance(error, FieldguideError)


def protocol_streams() -> tuple[IO[str], IO[str]]:
    """A child's lines in and out. What libraries print goes to standard error, and Ctrl-C is the parent's to handle."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return os.fdopen(os.dup(0), "r", encoding="utf-8"), out
