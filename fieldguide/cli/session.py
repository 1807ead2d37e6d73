"""What every verb shares: the opened workspace, catalogue and models, progress, and one place where errors end."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console

from fieldguide.cli.progress import TerminalProgress, estimate, expected
from fieldguide.errors import FieldguideError, ModelError
from fieldguide.printable import printable
from fieldguide.replies import room

if TYPE_CHECKING:
    from assistant.flow import Assistant
    from fieldguide.catalog import Artefact, Catalog
    from fieldguide.models.base import Embedder, Generator
    from fieldguide.models.transformers_generator import TransformersGenerator
    from fieldguide.settings import Answer
    from fieldguide.types import Retriever
    from fieldguide.workspace import Workspace
    from retrieval.query import Tools
    from retrieval.retriever import HybridRetriever

STOPPED = "Stopped. Finished work is kept: run the same command again to go on."

_LITTLE = 2**20


@dataclass
class Session:
    """An opened workspace for one verb. Models are loaded when first used and kept."""

    verb: str
    workspace: Workspace
    catalog: Catalog
    console: Console
    progress: TerminalProgress
    as_json: bool
    closing: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)
    """What has to be closed when the verb ends."""

    @property
    def settings(self) -> Any:
        return self.workspace.settings

    def say(self, text: str) -> None:
        """A line for the user, on the error stream."""
        self.progress.finish()
        self.console.print(printable(text), highlight=False, markup=False)

    def announce(self, what: str, work: Mapping[str, tuple[int, float]], megabytes: float) -> None:
        """Say how long the work will take and how much disk, from rates measured here before where there are any.

        Nothing is said where there is nothing to do: what comes next says why.
        """
        if not any(items for items, _ in work.values()):
            return
        rates = {step: self.catalog.rate(step) for step in work}
        seconds, measured = expected(rates, work)
        self.say(estimate(seconds, megabytes, what, measured))

    def emit(self, result: Mapping[str, Any]) -> None:
        """The result for machines, if asked for."""
        self.progress.finish()
        if self.as_json:
            print_json(result)

    @property
    def offline_folder(self) -> Path | None:
        """The folder of weights for machines without a network, if the settings name one."""
        folder = self.settings.models.folder
        return Path(folder).expanduser() if folder else None

    def _model_options(self) -> dict[str, Any]:
        return {"folder": self.offline_folder, "device": self.settings.models.device, "say": self.say}

    @cached_property
    def embedder(self) -> Embedder:
        """The embedder of the settings, or the one in use that was tuned from it."""
        tuned = self.tuned_embedder
        return self.base_embedder if tuned is None else self.load_embedder(str(self.tuned_folder(tuned)))

    @cached_property
    def base_embedder(self) -> Embedder:
        """The embedder of the settings, whatever was tuned from it."""
        return self.load_embedder(self.settings.models.embedder)

    @property
    def tuned_embedder(self) -> Artefact | None:
        """The embedder in use that was tuned from the one of the settings, if its files are there."""
        tuned, models = self.catalog.active("embedder"), self.settings.models
        if tuned is None or not models.tuned or tuned.manifest["base"] != models.embedder:
            return None
        return tuned if self.tuned_folder(tuned).exists() else None

    @property
    def tokenizer_id(self) -> str:
        """What counts tokens: tuning changes an embedder's weights, not its tokenizer, so chunks stay as they were."""
        tuned = self.tuned_embedder
        return self.embedder.id if tuned is None else str(tuned.manifest["base_id"])

    def tuned_folder(self, tuned: Artefact) -> Path:
        """Where the weights of an embedder or cross-encoder lie that was tuned here."""
        return self.workspace.retrievers_folder / tuned.id

    def load_embedder(self, name: str) -> Embedder:
        """By name or folder, as the settings say that models are loaded."""
        from fieldguide.models import load_embedder

        return load_embedder(name, dtype=self.settings.models.dtype, **self._model_options())

    def load_generator(self, name: str) -> Generator:
        """By name or folder, as the settings say that models are loaded."""
        from fieldguide.models import load_generator

        models = self.settings.models
        return load_generator(
            name, dtype=models.dtype, url=models.url, concurrency=models.concurrency, price_input=models.price_input,
            price_output=models.price_output, **self._model_options(),
        )  # fmt: skip

    @cached_property
    def generator(self) -> Generator:
        """The generator of the settings; one that asks rewriting adapters in a process of their own, where the adapter
        in use is of that kind."""
        from fieldguide.models.transformers_generator import TransformersGenerator
        from tuning.methods import CONVERTED, REWRITES

        loaded = self.load_generator(self.settings.models.generator)
        active = self.catalog.active("adapter")
        rewrites = active is not None and active.manifest.get("method") in REWRITES - CONVERTED
        if not rewrites or not isinstance(loaded, TransformersGenerator):
            return loaded
        from fieldguide.models.separate import SeparateGenerator, SwitchingGenerator

        name, dtype = loaded.id.rpartition(":")[0], str(loaded.dtype).removeprefix("torch.")
        switching = SwitchingGenerator(
            loaded,
            lambda folder: SeparateGenerator(loaded.path, folder, name=name, device=loaded.device, dtype=dtype),
        )
        self.closing.callback(switching.close)
        return switching

    @property
    def trainable(self) -> TransformersGenerator:
        """The generator, if it is one whose weights are in memory and can be tuned."""
        from fieldguide.models.transformers_generator import TransformersGenerator

        found = getattr(self.generator, "local", self.generator)
        if not isinstance(found, TransformersGenerator):
            raise ModelError(
                f"The generator {self.settings.models.generator} cannot be tuned here; name local weights."
            )
        return found

    @property
    def answering(self) -> Answer:
        """The settings of answering, with room for reasoning where the adapter in use writes it before the answer."""
        given: Answer = self.settings.answer
        active = self.catalog.active("adapter")
        style = str((active.manifest.get("settings") or {}).get("target", "")) if active is not None else ""
        return given.model_copy(update={"max_new_tokens": room(given.max_new_tokens, style)})

    def retriever(
        self, where: Mapping[str, Sequence[str]] | None = None, user: str | None = None, *, reading: bool = True
    ) -> HybridRetriever:
        """The retriever that serves, over the chunks with these facets that the user may see (None: the owner).

        ``reading``: a model will be shown what is found, so passages are packed into its window.
        """
        from fieldguide.prompts import answer_prompt
        from retrieval.passages import budget_of
        from retrieval.retriever import HybridRetriever
        from retrieval.scope import scope

        seen = scope(self.catalog, where or {}, self.settings.access, user)
        budget = budget_of(lambda: self.generator, self.answering.max_new_tokens, answer_prompt)
        return HybridRetriever.open(
            self.catalog, self.workspace.index_folder, self.embedder, self.settings.retrieval,
            scope=seen, tools=self.tools, budget=budget if reading else None,
        )  # fmt: skip

    def assistant(self, retriever: Retriever | None, *, base: bool = False, calibrated: bool = True) -> Assistant:
        """What answers questions over this retriever (None: from the model alone), as ``ask``, chat and batch serve."""
        from assistant.flow import Assistant
        from fieldguide.cli.calibrating import read_calibration

        documents = {document.id: document for document in self.catalog.documents()}
        adapter = None if base else self.adapter()
        calibration = read_calibration(self, adapter) if calibrated and retriever is not None else None
        return Assistant(
            retriever, self.generator, adapter, documents, self.answering, calibration,
            lambda: {document: reading.date for document, reading in self.catalog.readings().items()},
        )  # fmt: skip

    @property
    def cross_encoder(self) -> Path | None:
        """The folder of the cross-encoder in use that was tuned on this workspace's pairs."""
        tuned = self.catalog.active("cross-encoder")
        return self.tuned_folder(tuned) if tuned is not None and self.tuned_folder(tuned).exists() else None

    def standalone(self, question: str, before: Sequence[str]) -> str:
        """The question as it reads without those asked before; said if it changed."""
        return self.in_conversation(question, [(earlier, "") for earlier in before])

    def in_conversation(self, question: str, turns: Sequence[tuple[str, str]]) -> str:
        """The question as it reads without the (question, answer) pairs before it; said if it changed. A larger
        generator than the bundled one may rewrite it, else rules do."""
        if not turns:
            return question
        from retrieval.rewrite import standalone

        able = self.settings.models.generator != "bundled"
        asked = standalone(question, turns, self.generator if able else None)
        if asked != question:
            self.say(f"Asked as: {asked}")
        return asked

    @cached_property
    def tools(self) -> Tools:
        """What single steps of retrieval need, each loaded when a step first uses it."""
        from retrieval.query import Tools

        device = self.settings.models.device
        return Tools(lambda: self.generator, self.adapter, self.cross_encoder, self.offline_folder, device)

    def adapter(self) -> str | None:
        """The id, in the generator, of the adapter in use, None where there is none."""
        from tuning.train import active_adapter

        found = active_adapter(self.catalog, self.workspace.adapters_folder)
        return None if found is None else self.generator.load_adapter(found[1])


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
    with guarded(console, as_json, root):
        from fieldguide.catalog import Catalog
        from fieldguide.prompts import look_in
        from fieldguide.workspace import open_workspace

        workspace = open_workspace(root, flags)
        own = workspace.settings.answer.prompts
        look_in(workspace.root / Path(own).expanduser() if own else None)
        with contextlib.ExitStack() as stack:
            if write:
                stack.enter_context(workspace.lock(verb))
            catalog = Catalog.open(workspace.catalog_file, writable=workspace.writable)
            stack.callback(catalog.close)
            opened = Session(verb, workspace, catalog, console, TerminalProgress(console), as_json)
            stack.enter_context(opened.closing)
            try:
                yield opened
            except (FieldguideError, typer.Exit):
                raise
            except Exception as error:
                # libraries tell of a full disk in words of their own, torch.save in none
                if write and shutil.disk_usage(workspace.state).free < _LITTLE:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(workspace.state)) from error
                raise
            finally:
                opened.progress.finish()
            # Not after Ctrl-C: that may have left a transaction open, which would block every other one.
            if write:
                for step, rate in opened.progress.rates.items():
                    catalog.record_rate(step, rate)


@contextlib.contextmanager
def guarded(console: Console, as_json: bool = False, place: Path | None = None) -> Iterator[None]:
    """Turns what a user can mend into one message and an exit code: no traceback, and nothing half-said."""
    try:
        yield
    except FieldguideError as error:
        _fail(console, str(error), error.exit_code, as_json)
    except KeyboardInterrupt:
        _fail(console, STOPPED, 130, as_json)
    except OSError as error:
        if error.errno not in _ENVIRONMENT and not _says_full(error):
            raise
        _fail(console, _about_disk(error, place), 2, as_json)
    except Exception as error:
        if not _says_full(error):
            raise
        _fail(console, _about_disk(error, place), 2, as_json)


_FULL = (errno.ENOSPC, errno.EDQUOT)
_ENVIRONMENT = (*_FULL, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO, errno.ENAMETOOLONG)


def _says_full(error: BaseException) -> bool:
    """Whether a library's error of its own kind (safetensors, torch, FAISS) goes back to a full disk."""
    seen: BaseException | None = error
    while seen is not None:
        if getattr(seen, "errno", None) in _FULL or "No space left on device" in str(seen):
            return True
        seen = seen.__cause__ or seen.__context__
    return False


def _about_disk(error: Exception, place: Path | None) -> str:
    filename = getattr(error, "filename", None) or place
    if _says_full(error):
        where = f" that holds {filename}" if filename else ""
        return (
            f"The disk{where} is full: make room and run it again; finished work is kept, and nothing half-written is."
        )
    where = f" ({filename})" if filename else ""
    return f"{getattr(error, 'strerror', None) or error}{where}: mend that and run it again; finished work is kept."


def _fail(console: Console, message: str, code: int, as_json: bool) -> None:
    if as_json:
        print_json({"error": message, "exit_code": code})
    else:
        console.print(printable(message), style="bold red" if code != 130 else "yellow", highlight=False, markup=False)
    raise typer.Exit(code) from None


def print_json(value: Mapping[str, Any]) -> None:
    """One JSON object on standard output, whatever characters its encoding lacks."""
    text = json.dumps(value, ensure_ascii=False)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        text = json.dumps(value)
    typer.echo(text)


def quieten() -> None:
    """Libraries report through us: no bars, notices or telemetry of their own."""
    import logging
    import warnings

    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("ANONYMIZED_TELEMETRY", "False")
    warnings.filterwarnings("ignore")
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)  # tells of kernels that it would fetch from a hub
