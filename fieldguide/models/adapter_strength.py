"""An adapter at a share of its strength: interpolation between the base model (0) and the tuned one (1).

Wortsman et al. 2022, "Robust fine-tuning of zero-shot models" (arXiv 2109.01903, WiSE-FT), section 3. A LoRA layer
computes W x + scaling · B A x, so that scaling its ``scaling`` interpolates the weights exactly.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fieldguide.errors import ModelError

MANIFEST = "manifest.json"


def read_strength(folder: Path) -> float:
    """``strength`` in the adapter's manifest.json, 1.0 where there is none. Raises ModelError unless 0 < it <= 1."""
    path = folder / MANIFEST
    if not path.exists():
        return 1.0
    try:
        value = dict(json.loads(path.read_text("utf-8"))).get("strength", 1.0)
    except (OSError, ValueError, TypeError) as error:
        raise ModelError(f"The adapter's manifest {path} cannot be read ({error}).") from error
    return checked_strength(value, str(path))


def checked_strength(value: Any, where: str) -> float:
    """The value as a float. Raises ModelError unless it is a number with 0 < value <= 1."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 1:
        raise ModelError(f"The strength of an adapter is a number over 0 and at most 1, not {value!r} ({where}).")
    return float(value)


def adapter_id(weights: str, strength: float) -> str:
    """Hash of the weights, followed by the strength where that is not 1: "ab12…@0_5". Without a dot, which peft's
    names cannot hold; different strengths give different ids."""
    return weights if strength == 1.0 else f"{weights}@{repr(strength).replace('.', '_')}"


def check_scalable(config: Mapping[str, Any], strength: float, folder: Path) -> None:
    """Raises ModelError if an adapter with this configuration holds what has no scale: modules trained in full."""
    whole = [name for name in ("modules_to_save", "trainable_token_indices") if config.get(name)]
    if whole and strength != 1.0:
        raise ModelError(
            f"The adapter in {folder} has weights that cannot be scaled ({whole[0]}): serve it at strength 1, not "
            f"{strength:g}."
        )


def apply_strength(model: Any, adapter: str, strength: float) -> None:
    """Scale the adapter (a peft name) in every layer of ``model``, once, after its weights were loaded.

    DoRA's magnitudes are interpolated along with the update: the ends are the base and the tuned model, the way
    between them is not straight.
    """
    if strength == 1.0:
        return
    import torch
    from peft.utils.integrations import dequantize_module_weight

    for layer in _layers(model, adapter).values():
        layer.scaling[adapter] *= strength
        if adapter in layer.lora_magnitude_vector:
            magnitude = layer.lora_magnitude_vector[adapter]
            with torch.no_grad():
                base = magnitude.get_weight_norm(dequantize_module_weight(layer.get_base_layer()), 0.0, 0.0)
                magnitude.weight.lerp_(base.to(magnitude.weight.dtype), 1 - strength)


def scalings(model: Any, adapter: str) -> dict[str, float]:
    """The factor of the adapter's update in each layer that holds it, by the layer's name, as it is in memory now."""
    return {name: float(layer.scaling[adapter]) for name, layer in _layers(model, adapter).items()}


def _layers(model: Any, adapter: str) -> dict[str, Any]:
    from peft.tuners.lora.layer import LoraLayer

    return {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, LoraLayer) and adapter in module.scaling
    }
