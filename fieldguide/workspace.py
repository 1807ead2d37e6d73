"""The workspace: one folder with fieldguide.toml and .fieldguide/, one writer at a time, a folder for each run.

Knows where things lie, not what they mean.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from fieldguide.errors import WorkspaceError
from fieldguide.files import write_atomically, write_json
from fieldguide.settings import Settings, load_settings, template

SETTINGS_FILE = "fieldguide.toml"
STATE_FOLDER = ".fieldguide"


@dataclass(frozen=True)
class Workspace:
    """An opened workspace. ``writable`` is false on read-only media: asking works, changing does not."""

    root: Path
    settings: Settings
    writable: bool

    @property
    def state(self) -> Path:
        return self.root / STATE_FOLDER

    @property
    def catalog_file(self) -> Path:
        return self.state / "catalog.sqlite"

    @property
    def index_folder(self) -> Path:
        return self.state / "index"

    @property
    def adapters_folder(self) -> Path:
        return self.state / "adapters"

    @property
    def retrievers_folder(self) -> Path:
        return self.state / "retrievers"

    @property
    def test_sets_folder(self) -> Path:
        return self.state / "testsets"

    @property
    def chats_folder(self) -> Path:
        return self.state / "chats"

    @property
    def feedback_file(self) -> Path:
        return self.state / "feedback.jsonl"

    @property
    def runs_folder(self) -> Path:
        return self.state / "runs"

    def new_run(self, verb: str) -> Path:
        """A new folder ``runs/<time>-<verb>`` that holds the settings; raises WorkspaceError when read-only."""
        self.require_writable(verb)
        stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
        for n in range(1000):
            folder = self.runs_folder / (f"{stamp}-{verb}" if n == 0 else f"{stamp}-{verb}-{n}")
            with contextlib.suppress(FileExistsError):
                folder.mkdir(parents=True)
                write_json(folder / "settings.json", self.settings.model_dump(mode="json"))
                return folder
        raise WorkspaceError(f"No free name for a run below {self.runs_folder}.")

    def require_writable(self, verb: str) -> None:
        if not self.writable:
            raise WorkspaceError(
                f"{self.root} is read-only, so `fieldguide {verb}` cannot run there; "
                "`ask` and `status` work, or copy the workspace to a disk that can be written."
            )

    @contextlib.contextmanager
    def lock(self, verb: str) -> Iterator[None]:
        """Hold the one writer's lock. Raises WorkspaceError, naming the holder, when another process has it."""
        from filelock import FileLock, Timeout

        self.require_writable(verb)
        holder = self.state / "lock.json"
        lock = FileLock(self.state / "lock", timeout=0)
        try:
            lock.acquire()
        except Timeout:
            raise WorkspaceError(
                f"{_holder(holder)} is writing to {self.root}; wait until it ends (or stop it) and try again."
            ) from None
        try:
            write_json(holder, {"pid": os.getpid(), "verb": verb, "since": datetime.now().isoformat(" ", "seconds")})
            yield
        finally:
            holder.unlink(missing_ok=True)
            lock.release()


def _holder(path: Path) -> str:
    try:
        held = json.loads(path.read_text("utf-8"))
        return f"`fieldguide {held['verb']}` (process {held['pid']}, since {held['since']})"
    except (OSError, ValueError, KeyError, TypeError):
        return "Another fieldguide process"


def _is_writable(folder: Path) -> bool:
    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError as error:
        return error.errno not in (errno.EROFS, errno.EACCES, errno.EPERM)  # a full disk is another matter


def init_workspace(root: Path, values: Mapping[str, Mapping[str, Any]] | None = None) -> Workspace:
    """Make a workspace in ``root`` (made if missing). An existing one keeps its settings and state."""
    settings_file = root / SETTINGS_FILE
    try:
        (root / STATE_FOLDER).mkdir(parents=True, exist_ok=True)
        if not settings_file.exists():
            write_atomically(settings_file, template(values))
    except OSError as error:
        raise WorkspaceError(f"Cannot make a workspace in {root}: {error.strerror or error}.") from None
    return open_workspace(root)


def open_workspace(root: Path, flags: Mapping[str, Mapping[str, Any]] | None = None) -> Workspace:
    """Open the workspace in ``root``. Raises WorkspaceError if there is none, SettingsError for bad settings."""
    settings_file = root / SETTINGS_FILE
    if root.is_file():
        raise WorkspaceError(f"{root} is a file; a workspace is a folder, made by `fieldguide init FOLDER`.")
    if not settings_file.exists():
        raise WorkspaceError(f"{root} is no Fieldguide workspace; make one there with `fieldguide init {root}`.")
    settings = load_settings(settings_file, flags)
    state = root / STATE_FOLDER
    if not state.exists():
        try:
            state.mkdir()
        except OSError as error:
            raise WorkspaceError(f"{root} has no {STATE_FOLDER} folder and none can be made: {error}.") from None
    return Workspace(root, settings, _is_writable(state))
