"""LoRA variants that write new weights into the base model, and how one is put on a base that was loaded afresh.

Switching such an adapter off does not give the base back, so it has a base, and a process, to itself
(``fieldguide.models.separate``). Knows how a base is rewritten, not how adapters are trained.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fieldguide.errors import ModelError

BLOCK = 64
"""Weights that share a scale in NF4 (QLoRA, arXiv 2305.14314, section 3)."""


def nf4(weight: Any) -> Any:
    """What is left of a weight (any shape, floating) in 4-bit NormalFloat with double quantisation, in its own dtype.

    Exactly what a base loaded in 4 bit holds. Raises ModelError where bitsandbytes is missing.
    """
    library = bitsandbytes()
    packed, state = library.functional.quantize_4bit(
        weight.detach().float().contiguous(), blocksize=BLOCK, compress_statistics=True, quant_type="nf4"
    )
    return library.functional.dequantize_4bit(packed, state).to(weight.dtype)


def bitsandbytes() -> Any:
    """The library that quantises. Raises ModelError where it is missing."""
    try:
        import bitsandbytes as library
    except ImportError as error:
        raise ModelError(
            "Training or answering with 4-bit weights needs bitsandbytes: pip install 'fieldguide[qlora]'."
        ) from error
    return library


def prepared(config: Any) -> Any:
    """The LoraConfig, so that peft can put it on: LoftQ's own initialisation in peft knows no CPU."""
    if config.init_lora_weights == "loftq":
        import torch

        config._register_custom_module({torch.nn.Linear: _loftq_linear()})
    return config


def put_on(model: Any, folder: Path, name: str, device: str) -> Any:
    """The model with the adapter of this folder, which may rewrite it, under ``name``; raises ValueError if it does
    not fit.

    ``model`` has to hold its weights as they were loaded: each method takes the same away from them as in training.
    """
    from peft import LoraConfig, PeftModel, set_peft_model_state_dict
    from safetensors.torch import load_file

    state = load_file(folder / "adapter_model.safetensors", device=device)
    config = LoraConfig.from_pretrained(str(folder))
    if config.init_lora_weights == "corda":
        raise ValueError("CorDA rewrites the base by its training texts, which are not in the adapter; convert it")
    config.inference_mode = True
    wrapped = PeftModel(model, prepared(config), adapter_name=name)
    result: Any = set_peft_model_state_dict(wrapped, state, adapter_name=name)
    missing = [key for key in result.missing_keys if name in key]
    if missing or result.unexpected_keys:
        raise ValueError(f"its weights do not fit ({[*missing, *result.unexpected_keys][0]})")
    wrapped.requires_grad_(False)
    return wrapped


def _loftq_linear() -> type:
    """peft's LoRA layer with LoftQ on any device (Li et al. 2023, arXiv 2310.08659, algorithm 1 with T = 1).

    The base becomes NF4(W), the factors the best approximation of W - NF4(W) of their rank. With one iteration the
    base depends on W alone, so a base that is loaded anew comes to the same.
    """
    import torch
    from peft.tuners.lora.layer import Linear

    class LoftqLinear(Linear):  # type: ignore[misc]
        def loftq_init(self, adapter_name: str, config: Any) -> None:
            layer = self.get_base_layer()
            weight = layer.weight.data
            kept = nf4(weight)
            if not config.inference_mode:  # saved factors follow
                u, s, v = torch.linalg.svd(weight.float() - kept.float(), full_matrices=False)
                rank = self.r[adapter_name]
                root = (s[:rank] / self.scaling[adapter_name]).sqrt()
                self.lora_A[adapter_name].weight.data = (root[:, None] * v[:rank]).contiguous()
                self.lora_B[adapter_name].weight.data = (u[:, :rank] * root).contiguous()
            layer.weight.data = kept

    return LoftqLinear
