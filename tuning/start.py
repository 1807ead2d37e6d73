"""The adapter that a training begins with: the shipped reader where it fits, one that the settings name, or none."""

from __future__ import annotations

import json
from pathlib import Path

from fieldguide.errors import ModelError, SettingsError
from fieldguide.models.adapters import check_manifest, read_config
from fieldguide.settings import Tuning

READER = Path(__file__).parents[1] / "fieldguide" / "models" / "reader"
"""The reader that comes with the bundled generator (``tuning.reader``)."""


def find_start(settings: Tuning, base_hash: str, reader: Path = READER) -> tuple[Path | None, str]:
    """The folder of the adapter to begin with, and the reason in a few words.

    Raises SettingsError if the settings name one that does not fit the base model or the other settings.
    """
    if settings.start == "none":
        return None, "from nothing, as tuning.start says"
    folder = reader if settings.start == "auto" else Path(settings.start).expanduser()
    why = _misfit(folder, settings, base_hash)
    if why and settings.start != "auto":
        raise SettingsError(f"tuning.start names {folder}, which cannot be begun with: {why}.")
    return (None, f"from nothing, since {why}") if why else (folder, f"from {folder.name}")


def _misfit(folder: Path, settings: Tuning, base_hash: str) -> str:
    """Why a training with these settings cannot begin with the adapter, "" if it can."""
    try:
        config = read_config(folder)
        check_manifest(folder, base_hash)
    except ModelError as error:
        return str(error).rstrip(".")
    if settings.method != "lora" or settings.half or settings.peft:
        return "only method lora over all layers, without tuning.peft, goes on from another adapter"
    if config["r"] != settings.rank or config["lora_alpha"] != settings.alpha:
        return f"it has rank {config['r']} and alpha {config['lora_alpha']}, not {settings.rank} and {settings.alpha}"
    if settings.modules != ("all-linear",) or config.get("lora_dropout", 0.0) != settings.dropout:
        return "tuning.modules or tuning.dropout are not its own"
    return ""


def start_hash(folder: Path | None) -> str:
    """The hash of the adapter's weights by its manifest, "" for none."""
    if folder is None:
        return ""
    from fieldguide.files import file_hash
    from fieldguide.models.adapters import WEIGHTS

    manifest = folder / "manifest.json"
    told = json.loads(manifest.read_text("utf-8")).get("sha256") if manifest.exists() else None
    return str(told or file_hash(folder / WEIGHTS))
