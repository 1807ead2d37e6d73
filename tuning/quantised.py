"""A base model in 4 bit for QLoRA (Dettmers et al. 2023, arXiv 2305.14314): NF4 with double quantisation.

Works on the CPU too. Knows how a model is loaded, not how it is trained.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fieldguide.errors import ModelError
from fieldguide.models.rewriting import bitsandbytes
from fieldguide.models.weights import quiet


def load_4bit(path: Path, *, dtype: Any, device: str = "cpu") -> Any:
    """The model of this folder of safetensors: linear layers in NF4, the others and all computation in ``dtype``.

    Frozen, in evaluation mode, input gradients on as ``prepare_model_for_kbit_training`` sets them. Raises ModelError
    if bitsandbytes is missing or the model cannot be loaded.
    """
    bitsandbytes()
    import torch
    from peft import prepare_model_for_kbit_training
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    quantisation = BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=dtype
    )
    try:
        with quiet():
            model: Any = AutoModelForCausalLM.from_pretrained(
                str(path), dtype=dtype, quantization_config=quantisation, device_map={"": device},
                use_safetensors=True, trust_remote_code=False, local_files_only=True,
            )  # fmt: skip
            model = prepare_model_for_kbit_training(model, use_gradient_checkpointing=torch.cuda.is_available())
    except Exception as error:  # transformers raises many kinds
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ModelError(f"The model at {path} cannot be loaded in 4 bit: {reason}") from error
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            # else evaluation repacks the weights in place, with coarser scales, and not at all for narrow layers
            module.support_avx512bf16_for_cpu = False
    model.eval()
    model.requires_grad_(False)
    return model
