"""The command line on a tiny model: in this process where that will do, in its own where signals and disks matter."""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pypdf
import pytest
from typer.testing import CliRunner

from fieldguide.models.tiny import write_tiny_model
from fieldguide.workspace import init_workspace

ROOT = Path(__file__).parents[2]
NTSB = ROOT / "examples" / "ntsb"
REPORTS = tuple(NTSB / f"{name}.pdf" for name in ("20080102X00002", "20080102X00005", "20080104X00020"))
SCRIPT = Path(sys.executable).with_name("fieldguide")
CALL = "import sys; from fieldguide.cli.main import main; sys.argv[0] = 'fieldguide'; main()"
COMMAND = (str(SCRIPT),) if SCRIPT.exists() else (sys.executable, "-c", CALL)


@dataclass(frozen=True)
class Ran:
    """What a command gave."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one JSON object on standard output; fails if there is anything else."""
        assert self.out.count("\n") == 1, self.out
        return json.loads(self.out)


def environment(**more: str) -> dict[str, str]:
    """This environment without settings of Fieldguide; wide, so that no line of a table is folded."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("FIELDGUIDE_") or k == "FIELDGUIDE_CACHE"}
    return kept | {"COLUMNS": "200", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)} | more


class Running:
    """A command in a process group of its own, as a terminal starts it."""

    def __init__(self, *arguments: object) -> None:
        self.seen = ""
        self.process = subprocess.Popen(
            [*COMMAND, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT,
            env=environment(), start_new_session=True,
        )  # fmt: skip

    def wait_for(self, ready: Callable[[], bool] | str, seconds: float = 60) -> None:
        """Until the text is on the error stream, or the function says so."""
        end = time.time() + seconds
        while not (ready in self.seen if isinstance(ready, str) else ready()):
            assert time.time() < end, f"nothing to interrupt; so far: {self.seen}"
            assert self.process.poll() is None, f"it ended before it could be interrupted: {self._rest()}"
            if select.select([self.process.stderr], [], [], 0.002)[0]:
                self.seen += os.read(self.process.stderr.fileno(), 65536).decode()

    def send(self, number: int) -> None:
        """To the whole group, as Ctrl-C on a terminal."""
        os.killpg(self.process.pid, number)

    def end(self) -> Ran:
        try:
            out, err = self.process.communicate(timeout=90)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
        done = Ran(self.process.returncode, out.decode(), self.seen + err.decode())
        assert "Traceback" not in done.err, done.err
        assert "Exception ignored" not in done.err, done.err
        return done

    def _rest(self) -> str:
        out, err = self.process.communicate()
        return self.seen + err.decode() + out.decode()


def write_settings(root: Path, model: Path, **sections: dict[str, Any]) -> None:
    """A workspace in ``root`` on the hashing embedder and the tiny model, small in everything."""
    values: dict[str, dict[str, Any]] = {
        "models": {"embedder": "hashing", "generator": str(model), "device": "cpu"},
        "questions": {"sources": ["rules"]},
        "tuning": {
            "rank": 2,
            "max_examples": 8,
            "epochs": 1.0,
            "dev_examples": 2,
            "checks": 1,
            "general_questions": 2,
            "strength": 1.0,
        },
        "answer": {"max_new_tokens": 8},
        "compare": {"max_questions": 3, "samples": 100},
    }
    for section, given in sections.items():
        values[section] = values.get(section, {}) | given
    (root / "fieldguide.toml").unlink(missing_ok=True)
    init_workspace(root, values)


@pytest.fixture(scope="session")
def start() -> type[Running]:
    """Begin a command that can be interrupted."""
    return Running


@pytest.fixture(scope="session")
def command() -> tuple[str, ...]:
    """What a process of its own is started with."""
    return COMMAND


@pytest.fixture
def surroundings() -> dict[str, str]:
    """The environment of such a process."""
    return environment()


@pytest.fixture(scope="session")
def configure() -> Callable[..., None]:
    """``write_settings``."""
    return write_settings


@pytest.fixture(scope="session")
def reports() -> tuple[Path, ...]:
    """Three real reports: 3, 4 and 5 pages."""
    return REPORTS


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a random Llama that reads enough for three passages in its byte-like tokens."""
    import torch

    torch.set_num_threads(1)
    return write_tiny_model(tmp_path_factory.mktemp("cli") / "tiny", context_tokens=8192)


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch):
    """Run a command in this process, with what is ``typed`` piped in."""
    from fieldguide.cli import main

    for name in [name for name in os.environ if name.startswith("FIELDGUIDE_") and name != "FIELDGUIDE_CACHE"]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("COLUMNS", "200")
    settle = dict(os.environ)

    def run(*arguments: object, typed: str | bytes | None = None) -> Ran:
        done = CliRunner().invoke(main.app, [str(a) for a in arguments], input=typed)
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return Ran(done.exit_code, done.stdout, done.stderr)

    yield run
    for name in set(os.environ) - set(settle):
        monkeypatch.delenv(name)


@pytest.fixture
def shell():
    """Run a command in a process of its own, as a user does."""

    def run(*arguments: object, cwd: Path = ROOT, **env: str) -> Ran:
        command = [*COMMAND, *(str(a) for a in arguments)]
        done = subprocess.run(command, capture_output=True, text=True, env=environment(**env), cwd=cwd, timeout=120)
        assert "Traceback" not in done.stderr, done.stderr
        return Ran(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture
def fresh(tmp_path: Path, model: Path) -> Path:
    """A workspace that holds nothing yet."""
    root = tmp_path / "shelf"
    write_settings(root, model)
    return root


@pytest.fixture(scope="session")
def bad_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two good reports, one file of every bad kind, and one that is no document."""
    folder = tmp_path_factory.mktemp("bad")
    (folder / "empty.pdf").write_bytes(b"")
    (folder / "text.pdf").write_text("only text\n")
    raw = REPORTS[2].read_bytes()
    (folder / "half.pdf").write_bytes(raw[: len(raw) // 2])
    writer = pypdf.PdfWriter(clone_from=REPORTS[2])
    writer.encrypt("secret", "owner")
    writer.write(folder / "locked.pdf")
    for report in REPORTS[:2]:
        (folder / report.name).write_bytes(report.read_bytes())
    (folder / "notes.log").write_text("x")
    return folder


@pytest.fixture(scope="session")
def _shelf(tmp_path_factory: pytest.TempPathFactory, model: Path) -> Path:
    from fieldguide.cli import main

    root = tmp_path_factory.mktemp("shelf") / "shelf"
    write_settings(root, model)
    for arguments in (["ingest", *map(str, REPORTS)], ["qa"]):
        assert CliRunner().invoke(main.app, [*arguments, "-w", str(root)]).exit_code == 0
    return root


@pytest.fixture
def shelf(_shelf: Path, tmp_path: Path) -> Path:
    """A workspace of three reports with pairs, no adapter; a copy of its own for each test."""
    return Path(shutil.copytree(_shelf, tmp_path / "shelf"))
