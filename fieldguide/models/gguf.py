"""One GGUF file to a folder of safetensors, or to a model in memory, through transformers' own reader."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import Any

from fieldguide.errors import ModelError
from fieldguide.models.weights import quiet


def load_gguf(path: Path, dtype: Any) -> tuple[Any, Any]:
    """(model, tokenizer) of a .gguf file, its weights dequantised to ``dtype`` (a torch dtype). Raises ModelError.

    The model is rebuilt from its configuration without the quantisation entry, since transformers refuses to save
    or to train one that it loaded from GGUF.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    try:
        # transformers' GGUF reader draws a progress bar that no setting turns off.
        with quiet(), contextlib.redirect_stderr(io.StringIO()):
            tokenizer = AutoTokenizer.from_pretrained(str(path.parent), gguf_file=path.name, local_files_only=True)
            read: Any = AutoModelForCausalLM.from_pretrained(
                str(path.parent), gguf_file=path.name, dtype=dtype, local_files_only=True
            )
            plain = {key: value for key, value in read.config.to_dict().items() if key != "quantization_config"}
            config = type(read.config).from_dict(plain)
            state = read.state_dict()
            auto: Any = AutoModelForCausalLM
            model = auto.from_config(config, dtype=dtype)
            model.load_state_dict(state)
            model.tie_weights()
            del read, state
    except (MemoryError, torch.OutOfMemoryError) as error:
        raise ModelError(f"The model {path.name} does not fit into memory: choose a smaller one.") from error
    except Exception as error:  # transformers raises whatever its reader stumbles on
        if isinstance(error, OSError) and error.errno is not None:
            raise
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ModelError(f"The GGUF file {path} cannot be read by transformers: {reason}") from error
    return model, tokenizer


def dequantise(path: Path, folder: Path) -> None:
    """Write a .gguf file's model into ``folder``: float32 safetensors, configuration and tokenizer.

    Raises ModelError if it cannot be read, OSError if it cannot be written.
    """
    import torch

    model, tokenizer = load_gguf(path, torch.float32)
    with quiet():
        try:
            model.save_pretrained(folder, safe_serialization=True)
        except Exception as error:
            if isinstance(error, OSError) or "No space left" not in str(error):
                raise
            raise OSError(28, "No space left on device") from error  # safetensors has an error type of its own
        tokenizer.save_pretrained(folder)
    for file in folder.glob("*.safetensors"):
        file.chmod(0o644)  # safetensors writes 0600, and a cache may be shared
