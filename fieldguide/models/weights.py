"""From a model's name to a folder of safe weights on this disk, and the hashes of what is there.

Knows where weights may lie (an offline folder, a path, the Hugging Face cache or hub) and which files are refused.
Knows nothing of how they are loaded.
"""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from logging import getLogger
from pathlib import Path
from typing import Any

from fieldguide.errors import ModelError
from fieldguide.files import file_hash
from fieldguide.types import content_hash

_PICKLED = {".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt"}
_FETCHED = ["*.safetensors", "*.json", "*.txt", "*.jinja", "*.model"]
_SKIPPED = ["onnx/*", "openvino/*", "original/*", "*/onnx/*"]
_PROBE_SECONDS = 5.0


def default_cache() -> Path:
    """$FIELDGUIDE_CACHE, else $XDG_CACHE_HOME/fieldguide, else ~/.cache/fieldguide."""
    if own := os.environ.get("FIELDGUIDE_CACHE"):
        return Path(own).expanduser()
    if xdg := os.environ.get("XDG_CACHE_HOME"):
        return Path(xdg).expanduser() / "fieldguide"
    return Path.home() / ".cache" / "fieldguide"


def refuse_code(folder: Path, what: str) -> None:
    """Raises ModelError if the modules.json of this ``what`` names a class from outside sentence-transformers."""
    modules = folder / "modules.json"
    if not modules.exists():
        return
    try:
        kinds = [str(entry["type"]) for entry in json.loads(modules.read_text("utf-8"))]
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{modules} is not a list of sentence-transformers modules.") from error
    foreign = [kind for kind in kinds if not kind.startswith("sentence_transformers.")]
    if foreign:
        raise ModelError(f"The {what} at {folder} wants to run code of its own ({foreign[0]}), which is refused.")


def safetensors_hash(folder: Path) -> str:
    """SHA-256 of the folder's safetensors: of the file itself if it is one, else over names and hashes.

    Raises ModelError where there is none.
    """
    files = sorted(folder.rglob("*.safetensors"))
    if not files:
        raise ModelError(f"The folder {folder} holds no safetensors file; convert the model to safetensors first.")
    if len(files) == 1:
        return file_hash(files[0])
    return content_hash(*(part for file in files for part in (str(file.relative_to(folder)), file_hash(file))))


def resolve(name: str, folder: Path | None) -> Path:
    """The folder (or .gguf file) that holds the weights of ``name``.

    With an offline ``folder``: folder/name, else folder/(last part of name), else the name as a path; never the
    network. Without: the name as a path, else the Hugging Face cache, else the hub.
    Raises ModelError if there is nothing, or only pickled weights.
    """
    path = Path(name).expanduser()
    if folder is not None:
        for candidate in (folder / name, folder / path.name, path):
            if candidate.exists():
                return _checked(candidate)
        raise ModelError(
            f"The model {name!r} is not in the offline folder {folder}: put its files into {folder / path.name}."
        )
    if path.exists():
        return _checked(path)
    if path.is_absolute() or name.startswith((".", "~")) or path.suffix == ".gguf" or len(path.parts) > 2:
        raise ModelError(f"There is no model at {path}: check the path.")
    return _checked(_from_hub(name))


def _checked(path: Path) -> Path:
    if path.is_file():
        if path.suffix != ".gguf":
            raise ModelError(f"{path} is not a model: name a folder with safetensors, or a .gguf file.")
        return path
    for file in sorted(path.rglob("*")):
        if file.suffix in _PICKLED and not any(file.parent.glob("*.safetensors")) and file.is_file():
            raise ModelError(
                f"The model at {path} has pickled weights only ({file.name}), which can run code when they are opened: "
                "use a copy in safetensors format."
            )
    if not any(path.rglob("*.safetensors")):
        raise ModelError(f"The folder {path} holds no safetensors file: it is not a complete model.")
    return path


def _from_hub(name: str) -> Path:
    """Snapshot of a hub repository without pickles; the cached one if it is whole. Raises ModelError."""
    from huggingface_hub import HfApi, constants, snapshot_download
    from huggingface_hub.errors import HFValidationError, RepositoryNotFoundError

    try:
        cached = Path(snapshot_download(name, local_files_only=True))
    except HFValidationError as error:
        raise ModelError(f"{name!r} is neither a path nor the name of a model on the Hugging Face hub.") from error
    except OSError:
        cached = None
    if cached is not None and _is_whole(cached):
        return cached
    if constants.HF_HUB_OFFLINE:
        raise ModelError(
            f"The model {name!r} is not on this machine and HF_HUB_OFFLINE forbids to fetch it: "
            "unset it, or put the model into an offline folder."
        )
    try:
        info = HfApi().model_info(name, timeout=_PROBE_SECONDS)
    except RepositoryNotFoundError as error:
        raise ModelError(
            f"The Hugging Face hub has no model {name!r} that is open to you: check the name, or set HF_TOKEN."
        ) from error
    except Exception as error:  # the HTTP library's errors are not OSErrors in every version
        raise ModelError(
            f"The model {name!r} is not on this machine and the Hugging Face hub cannot be reached "
            f"({_first_line(error)}): connect, or put the model into an offline folder."
        ) from error
    names = [sibling.rfilename for sibling in info.siblings or []]
    if not any(file.endswith(".safetensors") for file in names):
        raise ModelError(f"The hub's model {name!r} has no safetensors file: choose one that has.")
    try:
        with quiet():
            return Path(snapshot_download(name, allow_patterns=_FETCHED, ignore_patterns=_SKIPPED))
    except Exception as error:
        raise ModelError(
            f"Fetching the model {name!r} failed ({_first_line(error)}): run it again to go on where it stopped."
        ) from error


def _is_whole(folder: Path) -> bool:
    """Whether a cached snapshot has its configuration and every shard that its index names."""
    if not (folder / "config.json").exists() or not any(folder.rglob("*.safetensors")):
        return False
    try:
        modules = folder / "modules.json"
        if modules.exists():
            parts = [entry["path"] for entry in json.loads(modules.read_text("utf-8"))]
            parts = [part for part in parts if not part.endswith("_Normalize")]
            if not all((folder / part).is_dir() for part in parts):
                return False
        for index in folder.rglob("*.safetensors.index.json"):
            shards = set(json.loads(index.read_text("utf-8"))["weight_map"].values())
            if not all((index.parent / shard).exists() for shard in shards):
                return False
    except (ValueError, KeyError, TypeError):
        return False
    return True


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]


@contextmanager
def quiet() -> Iterator[None]:
    """Silence the progress bars and warnings of transformers, sentence-transformers and huggingface_hub, and put them
    back after."""
    import huggingface_hub.utils as hub_module
    import transformers.utils.logging as logging_module

    hub: Any = hub_module
    logging: Any = logging_module
    level, bars, hub_bars = logging.get_verbosity(), logging.is_progress_bar_enabled(), hub.are_progress_bars_disabled()
    sentences = getLogger("sentence_transformers")
    sentences_level = sentences.level
    sentences.setLevel("ERROR")
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    if not hub_bars:
        hub.disable_progress_bars()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.set_verbosity(level)
        sentences.setLevel(sentences_level)
        if bars:
            logging.enable_progress_bar()
        if not hub_bars:
            hub.enable_progress_bars()


def pick_device(device: str) -> str:
    """The device itself, or for "auto" the best of cuda, mps and cpu."""
    if device != "auto":
        return device
    import torch

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"
