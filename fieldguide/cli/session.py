"""What every verb shares: the opened workspace, catalogue and models, progress, and one place where errors end."""

from __future__ import annotations

import contextlib
import errno
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console

from fieldguide.cli.progress import TerminalProgress, estimate, expected
from fieldguide.errors import FieldguideError, ModelError

if TYPE_CHECKING:
    from fieldguide.catalog import Catalog
    from fieldguide.models.base import Embedder, Generator
    from fieldguide.models.transformers_generator import TransformersGenerator
    from fieldguide.workspace import Workspace
    from retrieval.retriever import DenseRetriever

STOPPED = "Stopped. Finished work is kept: run the same command again to go on."


@dataclass
class Session:
    """An opened workspace for one verb. Models are loaded when first used and kept."""

    verb: str
    workspace: Workspace
    catalog: Catalog
    console: Console
    progress: TerminalProgress
    as_json: bool
    _estimated: list[str] = field(default_factory=list)

    @property
    def settings(self) -> Any:
        return self.workspace.settings

    def say(self, text: str) -> None:
        """A line for the user, on the error stream."""
        self.progress.finish()
        self.console.print(text, highlight=False, markup=False)

    def announce(self, what: str, work: Mapping[str, tuple[int, float]], megabytes: float) -> None:
        """Say how long the work will take and how much disk, from rates measured here before where there are any."""
        rates = {step: self.catalog.rate(step) for step in work}
        seconds, measured = expected(rates, work)
        self.say(estimate(seconds, megabytes, what, measured))

    def emit(self, result: Mapping[str, Any]) -> None:
        """The result for machines, if asked for."""
        self.progress.finish()
        if self.as_json:
            typer.echo(json.dumps(result, ensure_ascii=False))

    def _model_options(self) -> dict[str, Any]:
        models = self.settings.models
        folder = Path(models.folder).expanduser() if models.folder else None
        return {"folder": folder, "device": models.device, "say": self.say}

    @cached_property
    def embedder(self) -> Embedder:
        from fieldguide.models import load_embedder

        return load_embedder(self.settings.models.embedder, **self._model_options())

    @cached_property
    def generator(self) -> Generator:
        from fieldguide.models import load_generator

        return load_generator(self.settings.models.generator, dtype=self.settings.models.dtype, **self._model_options())

    @property
    def trainable(self) -> TransformersGenerator:
        """The generator, if it is one whose weights are in memory and can be tuned."""
        from fieldguide.models.transformers_generator import TransformersGenerator

        if not isinstance(self.generator, TransformersGenerator):
            raise ModelError(
                f"The generator {self.settings.models.generator} cannot be tuned here; name local weights."
            )
        return self.generator

    def retriever(self) -> DenseRetriever:
        from retrieval.retriever import DenseRetriever

        return DenseRetriever.open(self.catalog, self.workspace.index_folder, self.embedder, self.settings.retrieval)


@contextlib.contextmanager
def session(
    verb: str,
    root: Path,
    *,
    as_json: bool = False,
    flags: Mapping[str, Mapping[str, Any]] | None = None,
    write: bool = True,
) -> Iterator[Session]:
    """Open the workspace for a verb; with ``write`` hold its lock. Errors end in ``guarded``."""
    quieten()
    console = Console(stderr=True, soft_wrap=True)
    with guarded(console, as_json):
        from fieldguide.catalog import Catalog
        from fieldguide.workspace import open_workspace

        workspace = open_workspace(root, flags)
        with contextlib.ExitStack() as stack:
            if write:
                stack.enter_context(workspace.lock(verb))
            catalog = Catalog.open(workspace.catalog_file, writable=workspace.writable)
            stack.callback(catalog.close)
            opened = Session(verb, workspace, catalog, console, TerminalProgress(console), as_json)
            try:
                yield opened
            finally:
                opened.progress.finish()
                if write:
                    for step, rate in opened.progress.rates.items():
                        catalog.record_rate(step, rate)


@contextlib.contextmanager
def guarded(console: Console, as_json: bool = False) -> Iterator[None]:
    """Turns what a user can mend into one message and an exit code: no traceback, and nothing half-said."""
    try:
        yield
    except FieldguideError as error:
        _fail(console, str(error), error.exit_code, as_json)
    except KeyboardInterrupt:
        _fail(console, STOPPED, 130, as_json)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES):
            raise
        where = f" ({error.filename})" if error.filename else ""
        _fail(
            console, f"{error.strerror}{where}; nothing half-written was kept: make room and run it again.", 2, as_json
        )


def _fail(console: Console, message: str, code: int, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({"error": message, "exit_code": code}, ensure_ascii=False))
    else:
        console.print(message, style="bold red" if code != 130 else "yellow", highlight=False, markup=False)
    raise typer.Exit(code) from None


def quieten() -> None:
    """Libraries report through us: no bars, notices or telemetry of their own."""
    import warnings

    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("ANONYMIZED_TELEMETRY", "False")
    warnings.filterwarnings("ignore")
