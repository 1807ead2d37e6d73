"""Base and adapter as one model of plain weights: a folder of safetensors that any loader of transformers takes.

The base in memory is read and never touched: the adapter is merged into a copy that is built from the configuration.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fieldguide.errors import IntegrityError, ModelError
from fieldguide.files import file_hash
from fieldguide.models import adapters
from fieldguide.models.adapter_strength import MANIFEST, apply_strength, check_scalable, read_strength
from fieldguide.models.rewriting import put_on
from fieldguide.models.transformers_generator import TransformersGenerator
from fieldguide.models.weights import quiet

DTYPES = {"f32": "float32", "f16": "float16", "bf16": "bfloat16"}
_NAME = "exported"


def write_merged(base: TransformersGenerator, adapter: Path | None, folder: Path, dtype: str = "f32") -> None:
    """Write the base with the adapter of this folder, at the strength of its manifest, into ``folder`` as safetensors
    in ``dtype`` (a key of ``DTYPES``), with tokenizer, chat template, configuration and generation configuration.

    Merged in float32, also where the base is in memory in less. W + strength · scaling · B A for LoRA (arXiv
    2106.09685, section 4.1); peft's own merging for its relatives, those that rewrite their base included.

    Raises ModelError if the adapter does not belong to this base or cannot be merged, IntegrityError if the base in
    memory changed meanwhile, OSError if the folder cannot be written.
    """
    import torch

    before = base.base_hash()
    if adapter is not None:
        config = adapters.read_config(adapter, rewriting=True)
        adapters.check_manifest(adapter, before)
        check_scalable(config, read_strength(adapter), adapter)
        if adapters.rewrites(config) and read_strength(adapter) != 1.0:
            raise ModelError(
                f"The adapter in {adapter} rewrites its base, so its strength can only be 1: mend its {MANIFEST}."
            )
    model = copied(base)
    if adapter is not None:
        model = _merge(model, adapter)
    model = model.to(getattr(torch, DTYPES[dtype]))
    model.config.dtype = getattr(torch, DTYPES[dtype])
    model.generation_config = base.model.generation_config
    folder.mkdir(parents=True, exist_ok=True)
    with quiet():
        try:
            model.save_pretrained(folder, safe_serialization=True)
        except Exception as error:
            if isinstance(error, OSError) or "No space left" not in str(error):
                raise
            raise OSError(28, "No space left on device") from error  # safetensors has an error type of its own
        base.tokenizer.save_pretrained(folder)
    for file in folder.glob("*.safetensors"):
        file.chmod(0o644)  # safetensors writes 0600, and an export may be shared
    if base.base_hash() != before:
        raise IntegrityError("The base model's weights changed while an adapter was merged into a copy of them.")


def copied(base: TransformersGenerator) -> Any:
    """A float32 model on the CPU with the base's weights, whatever adapters the base has on in memory.

    Built from the configuration without its quantisation entry, since transformers refuses to save what it loaded
    from GGUF. Raises ModelError if the weights do not fit the configuration.
    """
    import torch
    from transformers import AutoModelForCausalLM

    plain = {key: value for key, value in base.model.config.to_dict().items() if key != "quantization_config"}
    auto: Any = AutoModelForCausalLM
    with quiet(), torch.random.fork_rng(devices=[]):
        model = auto.from_config(type(base.model.config).from_dict(plain), dtype=torch.float32)
    own = dict(adapters.base_tensors(model))
    given = dict(adapters.base_tensors(base.model))
    unlike = sorted(own.keys() ^ given.keys()) or [name for name in own if own[name].shape != given[name].shape]
    if unlike:
        raise ModelError(
            f"The model {base.id} cannot be copied: its weight {unlike[0]} does not fit its configuration."
        )
    with torch.no_grad():
        for name, tensor in own.items():  # tied weights are one tensor, and stay tied
            tensor.copy_(given[name])
    model.eval()
    model.requires_grad_(False)
    return model


def _merge(model: Any, folder: Path) -> Any:
    try:
        with quiet():
            wrapped = put_on(model, folder, _NAME, "cpu")
            apply_strength(model, _NAME, read_strength(folder))
            return wrapped.merge_and_unload(safe_merge=True)
    except ModelError:
        raise
    except Exception as error:  # peft raises many kinds for what it cannot put on or merge
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ModelError(f"The adapter in {folder} cannot be merged: {reason}") from error


def adapter_inputs(adapter: Path | None) -> dict[str, Any]:
    """What the manifest of an export says of the adapter: id, hash of its weights, strength; all None without one."""
    if adapter is None:
        return {"adapter": None, "adapter_sha256": None, "strength": None}
    return {
        "adapter": adapter.name,
        "adapter_sha256": file_hash(adapter / adapters.WEIGHTS),
        "strength": read_strength(adapter),
    }
