"""What peft has done to a model: which adapters may be loaded, which one is on, and what the base weights are.

All answers are read off the modules in memory, never off what was asked for.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from typing import Any

from fieldguide.errors import IntegrityError, ModelError
from fieldguide.types import content_hash

WEIGHTS = "adapter_model.safetensors"
CONFIG = "adapter_config.json"
_KEEPS_BASE = (True, False, None, "gaussian", "eva", "orthogonal", "mica")
_REWRITES_BASE = ("kasa_config", "corda_config", "lora_ga_config", "loftq_config", "layer_replication", "arrow_config")


def read_config(folder: Path, *, rewriting: bool = False) -> dict[str, Any]:
    """The adapter's configuration. Raises ModelError if it is missing, pickled, or (but with ``rewriting``) rewrites
    its base."""
    if not (folder / WEIGHTS).is_file():
        pickled = (folder / "adapter_model.bin").exists()
        why = "it has pickled weights only, which are refused" if pickled else f"{WEIGHTS} is missing"
        raise ModelError(f"The adapter in {folder} cannot be loaded: {why}.")
    try:
        config: dict[str, Any] = dict(json.loads((folder / CONFIG).read_text("utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise ModelError(f"The adapter in {folder} has no readable {CONFIG} ({error}).") from error
    kind = config.get("peft_type")
    if kind != "LORA":
        raise ModelError(f"The adapter in {folder} is of the kind {kind}; only LORA adapters are switched on and off.")
    what = rewrites(config)
    if what and not rewriting:
        raise ModelError(
            f"The adapter in {folder} rewrites its base model ({', '.join(what)}), so that switching it off would not "
            "give the base back: serve it in a process of its own, or merge it into a model of its own."
        )
    return config


def rewrites(config: Mapping[str, Any]) -> list[str]:
    """The settings by which an adapter with this configuration rewrites its base; none for one that only adds."""
    start = config.get("init_lora_weights", True)
    what = [name for name in _REWRITES_BASE if config.get(name)]
    if start not in _KEEPS_BASE:
        what.append(f"init_lora_weights={start!r}")
    if config.get("bias", "none") != "none":
        what.append(f"bias={config['bias']!r}")
    return what


def check_manifest(folder: Path, base: str) -> None:
    """Raises ModelError if the manifest.json beside the adapter names another base hash under "base_hash".

    It may name several, by dtype, where the adapter fits the same weights in each.
    """
    path = folder / "manifest.json"
    if not path.exists():
        return
    try:
        manifest = json.loads(path.read_text("utf-8"))
        wanted = manifest.get("base_hash")
    except (OSError, ValueError, AttributeError) as error:
        raise ModelError(f"The adapter's manifest {path} cannot be read ({error}).") from error
    hashes = list(wanted.values()) if isinstance(wanted, dict) else [wanted]
    if wanted is not None and base not in hashes:
        raise ModelError(
            f"The adapter in {folder} was trained on another base model (hash {str(hashes[0])[:16]}, loaded is "
            f"{base[:16]}): load that model, in the same dtype, or tune anew."
        )


def active_adapter(model: Any) -> str | None:
    """Name of the one adapter that is on in every peft layer of the model, None if it is off in all.

    Raises IntegrityError if layers differ, if several are on at once, or if one is merged into the base.
    """
    states: dict[tuple[str, ...], str] = {}
    held = False
    for name, layer in _wrappers(model):
        if layer.merged_adapters:
            raise IntegrityError(f"The adapter {layer.merged_adapters[0]} is merged into the base weights at {name}.")
        active = () if layer.disable_adapters else tuple(layer.active_adapters)
        states[active] = name
        held = held or bool(active and set(active) & set(layer._get_available_adapters()))
    if len(states) > 1:
        raise IntegrityError("Adapters are on in some layers and off, or others, elsewhere: " + _differences(states))
    active = next(iter(states), ())
    if len(active) > 1:
        raise IntegrityError(f"Several adapters are on at once: {', '.join(active)}.")
    if active and not held:
        raise IntegrityError(f"The adapter {active[0]} is switched on and no layer holds weights of it.")
    return active[0] if active else None


def _differences(states: dict[tuple[str, ...], str]) -> str:
    return "; ".join(f"{', '.join(active) or 'none'} at {name}" for active, name in states.items())


def _wrappers(model: Any) -> Iterator[tuple[str, Any]]:
    if "peft" not in sys.modules:  # nobody can have wrapped anything, and importing it takes seconds
        return
    from peft.tuners.tuners_utils import BaseTunerLayer
    from peft.utils.other import AuxiliaryTrainingWrapper

    for name, module in model.named_modules():
        if isinstance(module, BaseTunerLayer | AuxiliaryTrainingWrapper):
            yield name, module


def base_tensors(model: Any) -> Iterator[tuple[str, Any]]:
    """(name, tensor) of each base parameter and persistent buffer, under the names it has without peft.

    A tensor that is tied to several places comes once. Buffers that the model computes from its configuration and
    does not save (rotary frequencies, which some models extend while they generate) are left out.
    """
    seen: set[int] = set()

    def walk(module: Any, prefix: str) -> Iterator[tuple[str, Any]]:
        inner = _unwrapped(module)
        if inner is not module:
            yield from walk(inner, prefix)
            return
        kept = {k: b for k, b in module._buffers.items() if k not in module._non_persistent_buffers_set}
        for key, tensor in (*module._parameters.items(), *kept.items()):
            if tensor is not None and id(tensor) not in seen:
                seen.add(id(tensor))
                yield prefix + key, tensor
        for key, child in module._modules.items():
            if child is not None:
                yield from walk(child, f"{prefix}{key}.")

    yield from walk(model, "")


def _unwrapped(module: Any) -> Any:
    """What peft put this module around; the module itself if it is none of peft's."""
    if "peft" not in sys.modules:
        return module
    from peft import PeftModel
    from peft.tuners.tuners_utils import BaseTunerLayer
    from peft.utils.other import AuxiliaryTrainingWrapper

    if isinstance(module, PeftModel):
        return module.get_base_model()
    if isinstance(module, BaseTunerLayer):
        return module.get_base_layer()
    return module.original_module if isinstance(module, AuxiliaryTrainingWrapper) else module


def base_hash(model: Any) -> str:
    """SHA-256 over name, dtype, shape and bytes of every base tensor, sorted by name."""
    import torch

    def one(item: tuple[str, Any]) -> str:
        name, tensor = item
        flat = tensor.detach().to("cpu").contiguous().reshape(-1).view(torch.uint8)
        digest = sha256(memoryview(flat.numpy())).hexdigest()  # releases the GIL
        return content_hash(name, str(tensor.dtype), str(tuple(tensor.shape)), digest)

    with ThreadPoolExecutor(max_workers=4) as pool:
        return content_hash(*pool.map(one, sorted(base_tensors(model), key=lambda item: item[0])))
