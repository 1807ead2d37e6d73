"""The main flow of export: base + adapter → merged weights → the wished format → manifest → a parity test.

Each format is a module of its own; nothing heavy is imported before ``export`` is called.
"""

from __future__ import annotations

import glob
import json
import platform
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from fieldguide import __version__
from fieldguide.errors import FieldguideError
from fieldguide.files import file_hash, folder_atomically, write_json
from fieldguide.prompts import answer_prompt_hash
from fieldguide.types import Progress, content_hash

if TYPE_CHECKING:
    from fieldguide.models.base import Generator, Prompt
    from fieldguide.models.transformers_generator import TransformersGenerator

Format = Literal["safetensors", "ct2", "gguf"]
FORMATS: dict[Format, tuple[str, ...]] = {
    "safetensors": ("f32", "bf16", "f16"),
    "ct2": ("f32", "int8", "bf16", "f16"),
    "gguf": ("f16", "q8_0", "bf16", "f32"),
}
"""How weights may be stored in each format; the first is the default."""
MANIFEST = "manifest.json"


@dataclass(frozen=True, slots=True)
class ExportReport:
    """What came out: its folder, the name under which ``load_generator`` takes it, its manifest, and whether it was
    written now or was there already, of exactly the same inputs."""

    folder: Path
    generator: str
    manifest: dict[str, Any]
    written: bool


def export(
    base: TransformersGenerator,
    adapter: Path | None,
    folder: Path,
    format: Format,
    quantise: str | None = None,
    *,
    progress: Progress,
    say: Callable[[str], None],
    max_new_tokens: int = 48,
    converter: Path | None = None,
    cache: Path | None = None,
    offline: Path | None = None,
) -> ExportReport:
    """Write the base with the adapter of a folder (None: the base alone) as one model into ``folder``.

    The same inputs are not converted twice. The base in memory stays as it is. ``max_new_tokens`` goes into the Ollama
    Modelfile; ``converter``, ``cache`` and ``offline`` are those of ``converter.found``.

    Raises FieldguideError for an unknown format or quantisation or a folder that holds something else, ModelError if
    the adapter cannot be merged or the model not be converted, OSError if the disk is full.
    """
    from tuning.export import merged

    kind, stored = check_options(format, quantise)
    inputs: dict[str, Any] = {
        "format": kind, "quantise": stored, "base": base.id, "base_hash": base.base_hash(),
        **merged.adapter_inputs(adapter), "prompt": answer_prompt_hash(), "max_new_tokens": max_new_tokens,
    }  # fmt: skip
    key = content_hash(json.dumps(inputs, sort_keys=True), __version__)
    name = generator_name(folder, kind)
    known = read_manifest(folder)
    if known is not None and known["key"] == key and _unharmed(folder, known):
        return ExportReport(folder, name, known, False)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        what = "another or a damaged export" if known is not None else "something else"
        raise FieldguideError(f"{folder} holds {what}: name another folder with --out, or delete that one.")
    for leftover in folder.parent.glob(f".{glob.escape(folder.name)}.*.part"):  # of an export that was killed
        shutil.rmtree(leftover, ignore_errors=True)
    started = time.perf_counter()
    with folder_atomically(folder) as part:
        tool = _write(base, adapter, part, kind, stored, progress, say, max_new_tokens, converter, cache, offline)
        manifest = {
            "key": key, **inputs, "tool": tool, "tools": tools(), "bytes": 0, "files": {},
            "seconds": round(time.perf_counter() - started, 1), "version": __version__,
            "created": time.strftime("%Y-%m-%dT%H:%M:%S"), "parity": None,
        }  # fmt: skip
        manifest["files"] = {path: file_hash(part / path) for path in _files(part)}
        manifest["bytes"] = sum((part / path).stat().st_size for path in _files(part))
        write_json(part / MANIFEST, manifest)
        if folder.is_dir():
            folder.rmdir()  # it is empty
    return ExportReport(folder, name, manifest, True)


def _write(
    base: TransformersGenerator,
    adapter: Path | None,
    part: Path,
    format: Format,
    stored: str,
    progress: Progress,
    say: Callable[[str], None],
    max_new_tokens: int,
    converter: Path | None,
    cache: Path | None,
    offline: Path | None,
) -> dict[str, str]:
    """Fill ``part``; returns name and hash or version of the tool that converted."""
    from tuning.export import ct2, gguf, merged
    from tuning.export.converter import found

    if format == "safetensors":
        progress.start("exporting", 1)
        merged.write_merged(base, adapter, part, stored)
        progress.advance()
        return {"name": "peft", "version": version("peft")}
    if format == "ct2":
        ct2.version()  # before the work of merging
    with tempfile.TemporaryDirectory(prefix=f"{part.name}.", suffix=".part", dir=part.parent) as scratch:
        plain = Path(scratch) / (adapter.name if adapter is not None else "base")
        if format == "ct2":
            progress.start("exporting", 1)
            merged.write_merged(base, adapter, plain)
            ct2.convert(plain, part, stored)
            progress.advance()
            return {"name": "ctranslate2", "version": ct2.version()}
        with found(converter, cache, offline, say) as tool:
            progress.start("exporting", 1)
            merged.write_merged(base, adapter, plain)
            gguf.convert(plain, part, stored, tool, base.chat, base.context_tokens, max_new_tokens)
            progress.advance()
            return {"name": f"llama.cpp convert_hf_to_gguf.py ({tool.name})", "sha256": tool.sha256}


def check_parity(
    report: ExportReport,
    original: Generator,
    adapter: str | None,
    prompts: Sequence[Prompt],
    *,
    max_new_tokens: int,
    progress: Progress,
    device: str = "auto",
) -> ExportReport:
    """Run the exported model against the original on these prompts, and record the agreement in its manifest.

    ``adapter`` is the id under which ``original`` has loaded what was merged. Raises ModelError if the exported model
    cannot be loaded.
    """
    from fieldguide.models import load_generator
    from tuning.export.parity import measure

    exported = load_generator(report.generator, device=device)
    agreement = measure(
        original, exported, prompts, adapter=adapter, max_new_tokens=max_new_tokens, progress=progress
    )  # fmt: skip
    asked = content_hash(*(message.role + message.content for prompt in prompts for message in prompt))
    parity = {"prompts": asked, "max_new_tokens": max_new_tokens, **agreement.as_json()}
    manifest = json.loads(json.dumps(report.manifest | {"parity": parity}))
    write_json(report.folder / MANIFEST, manifest)
    return ExportReport(report.folder, report.generator, manifest, report.written)


def check_options(format: str, quantise: str | None) -> tuple[Format, str]:
    """The format, and how its weights are stored, by default the format's own way. Raises FieldguideError."""
    known = next((name for name in FORMATS if name == format), None)
    if known is None:
        raise FieldguideError(f"There is no format {format!r}; choose {', '.join(FORMATS)}.")
    stored = quantise or FORMATS[known][0]
    if stored not in FORMATS[known]:
        raise FieldguideError(f"{format} is not stored as {stored!r}; choose {', '.join(FORMATS[known])}.")
    return known, stored


def generator_name(folder: Path, format: Format) -> str:
    """What ``load_generator``, and the setting models.generator, call the model exported to this folder."""
    if format == "ct2":
        return f"ct2:{folder}"
    return str(folder / "model.gguf" if format == "gguf" else folder)


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """The manifest of an export, None where there is none or another kind of file of that name."""
    try:
        manifest = dict(json.loads((folder / MANIFEST).read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        return None
    return manifest if {"key", "format", "files"} <= manifest.keys() else None


def tools() -> dict[str, str]:
    """Versions of what an export depends on besides its tool."""
    return {"python": platform.python_version()} | {name: version(name) for name in ("torch", "transformers", "peft")}


def _files(folder: Path) -> list[str]:
    return sorted(
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST
    )


def _unharmed(folder: Path, manifest: dict[str, Any]) -> bool:
    files = manifest["files"]
    return _files(folder) == sorted(files) and all(file_hash(folder / path) == sha for path, sha in files.items())
