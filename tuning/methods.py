"""The kinds of LoRA that can be trained, as peft makes them, and what each does to the base weights.

Knows peft's configurations and a model's layers, not data or the loop. The loop asks ``lora_config`` what to put
on; methods in ``APART`` are trained through ``tuning.apart``.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from fieldguide.errors import ModelError, SettingsError
from fieldguide.files import file_hash
from fieldguide.models.rewriting import prepared
from fieldguide.settings import Tuning

REWRITES: frozenset[str] = frozenset({"pissa", "olora", "corda", "loftq", "kasa"})
"""Methods that write new weights into the base: trained on a base of their own, never switched off and on."""

CONVERTED: frozenset[str] = frozenset({"pissa", "olora", "corda"})
"""Those of them that come out as plain LoRA of twice the rank on the base as it was (``convert``)."""

APART: frozenset[str] = REWRITES | {"qlora"}
"""Methods whose base is loaded for them alone: rewritten, or in 4 bit."""

_ALL_LINEAR = "all-linear"

_MOST_OFF = 0.05
"""Largest change of a layer's output by its decomposition, as a share; rounding to bfloat16 makes up to .01."""

_DESCRIPTIONS: Mapping[str, str] = {
    "lora": "LoRA (arXiv 2106.09685): W + (alpha / r) B A, B starts at zero.",
    "rslora": "rsLoRA (arXiv 2312.03732): LoRA scaled by alpha / sqrt(r), so that higher ranks learn as fast.",
    "dora": "DoRA (arXiv 2402.09353): the size of each output's weights is learned apart from their direction.",
    "qlora": "QLoRA (arXiv 2305.14314): LoRA trained on a base in 4-bit NormalFloat with double quantisation.",
    "pissa": "PiSSA (arXiv 2404.02948): trains the base's r largest singular components, the rest is the new base.",
    "olora": "OLoRA (arXiv 2406.01775): begins with an orthonormal basis of the base (QR), the rest is the new base.",
    "corda": "CorDA (arXiv 2406.05223): PiSSA, weighted by what the training texts activate (instruction-previewed).",
    "loftq": "LoftQ (arXiv 2310.08659): the base becomes its NF4, the adapter begins with what that lost.",
    "kasa": "KaSA (arXiv 2412.06071): the base loses its r smallest singular components; B A has a learned diagonal.",
}


def describe(method: str) -> str:
    """One sentence on a method, with its paper. Raises KeyError for an unknown one."""
    return _DESCRIPTIONS[method]


def lora_config(settings: Tuning, model: Any) -> Any:
    """The peft.LoraConfig of the settings for this model, ready for ``get_peft_model``.

    CorDA needs ``calibrate`` on the model before. Raises SettingsError for layers that the model does not have and for
    ranks that the method cannot have on them. ``settings.peft`` goes over what the method sets.
    """
    from peft import LoraConfig
    from peft.tuners.lora.config import KasaConfig

    _check_rank(settings, model)
    _check_patterns(settings, model)
    by_method: dict[str, dict[str, Any]] = {
        "lora": {},
        "qlora": {},
        "rslora": {"use_rslora": True},
        "dora": {"use_dora": True},
        "pissa": {"init_lora_weights": "pissa"},
        "olora": {"init_lora_weights": "olora"},
        "corda": {"init_lora_weights": "corda", "corda_config": _corda()},
        "loftq": {"init_lora_weights": "loftq", "loftq_config": {"loftq_bits": 4, "loftq_iter": 1}},
        "kasa": {"kasa_config": KasaConfig()},
    }
    config = LoraConfig(
        r=settings.rank, lora_alpha=settings.alpha, lora_dropout=settings.dropout, task_type="CAUSAL_LM", bias="none",
        target_modules=target_modules(settings, model), layers_to_transform=_layers(settings, model),
        **{**by_method[settings.method], **settings.peft},
    )  # fmt: skip
    return prepared(config)


def calibrate(settings: Tuning, model: Any, batches: Iterable[Mapping[str, Any]]) -> None:
    """For CorDA: measure on these batches (arguments of the model's forward, one row each) what the layers are fed.

    Leaves the decomposition on each layer, where ``get_peft_model`` takes it away. Does nothing for other methods.
    """
    if settings.method != "corda":
        return
    import torch
    from peft.tuners.lora.corda import preprocess_corda

    def feed() -> None:
        with torch.no_grad():
            for batch in batches:
                model(**batch)

    preprocess_corda(model, lora_config(settings, model), run_model=feed)


def decomposed(settings: Tuning, model: Any) -> Any:
    """The model with a new PiSSA, OLoRA or CorDA adapter, which at first leaves what it says as it was.

    Whether it does is checked layer by layer on a random input: a decomposition that came out wrong would be trained
    on, and taken off again with another that came out right. Raises ModelError if one did.
    """
    import torch
    from peft import get_peft_model

    def probe(weight: Any) -> Any:
        draw = torch.randn(weight.shape[1], generator=torch.Generator().manual_seed(0))
        return draw.to(weight.device, torch.float32)

    before = {name: layer.weight.detach().float() @ probe(layer.weight) for name, layer in _linear(model)}
    wrapped = get_peft_model(model, lora_config(settings, model))
    for name, layer in wrapped.get_base_model().named_modules():
        if not getattr(layer, "lora_A", None):
            continue
        (adapter,) = layer.lora_A
        a, b = (part[adapter].weight.detach().float() for part in (layer.lora_A, layer.lora_B))
        weight = layer.get_base_layer().weight.detach().float()
        x = probe(weight)
        off = float((weight @ x + layer.scaling[adapter] * (b @ (a @ x)) - before[name]).norm() / before[name].norm())
        if not off < _MOST_OFF:
            raise ModelError(
                f"{settings.method} decomposed {name} wrongly: with its parts put together again the layer is off by "
                f"{off:.2g} of its output (largest weights: base {float(weight.abs().max()):.2g}, factors "
                f"{float(a.abs().max()):.2g} and {float(b.abs().max()):.2g}). Run it again, or with another "
                "tuning.method."
            )
    return wrapped


def penalty(model: Any) -> Any:
    """What a method adds to the loss (KaSA, equations 9 to 11: keeps the factors near orthonormal), 0.0 for others."""
    inner = getattr(model, "base_model", None)
    configs = getattr(model, "peft_config", {}).values()
    if inner is None or not any(getattr(config, "kasa_config", None) for config in configs):
        return 0.0
    return inner._get_kasa_loss()


def target_modules(settings: Tuning, model: Any) -> str | list[str]:
    """Which layers get an adapter, as peft takes them. Raises SettingsError for names that the model does not have."""
    names = linear_names(model)
    if _ALL_LINEAR in settings.modules:
        by_name = settings.half or settings.method == "corda"  # peft takes "all-linear" for neither
        return names if by_name else _ALL_LINEAR
    unknown = [name for name in settings.modules if name not in names]
    if unknown:
        raise SettingsError(
            f"tuning.modules names {', '.join(unknown)}, which the model has not; its linear layers are "
            f"{', '.join(names)}."
        )
    return list(settings.modules)


def linear_names(model: Any) -> list[str]:
    """Last names of the model's linear layers, but of the output layer, sorted."""
    return sorted({name.rpartition(".")[2] for name, _ in _linear(model)})


def half_of(layers: int, seed: int) -> list[int]:
    """Numbers of half of the layers, drawn by the seed (half fine-tuning, arXiv 2404.18466: the rest keeps what the
    model knew)."""
    return sorted(random.Random(f"half {seed}").sample(range(layers), max(1, layers // 2)))


def convert(trained: Path, initial: Any, folder: Path) -> str:
    """Write a PiSSA, OLoRA or CorDA adapter as plain LoRA of twice its rank for the base as it was before.

    W_new + s B A = W + s (B A - B0 A0), where ``initial`` is a model with the adapter as it began (its factors are
    B0, A0). The same sum as peft's ``path_initial_model_for_weight_conversion``, without a second adapter in the
    trained model. Returns the SHA-256 of the written weights.
    """
    import torch
    from peft import LoraConfig, get_peft_model_state_dict
    from safetensors.torch import load_file, save_file

    after = load_file(trained / "adapter_model.safetensors")
    before = get_peft_model_state_dict(initial)
    joined = {}
    for name, tensor in after.items():
        start = before[name].to(tensor.dtype)
        is_a = "lora_A" in name
        joined[name] = torch.cat([tensor, start if is_a else -start], dim=0 if is_a else 1).contiguous()
    config = LoraConfig.from_pretrained(str(trained))
    config.lora_alpha *= 2 if not config.use_rslora else 2**0.5
    config.r *= 2
    config.init_lora_weights, config.corda_config = True, None
    config.inference_mode = True
    folder.mkdir(parents=True, exist_ok=True)
    save_file(joined, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    config.save_pretrained(str(folder))
    return file_hash(folder / "adapter_model.safetensors")


def _corda() -> Any:
    from peft.tuners.lora.config import CordaConfig

    return CordaConfig(corda_method="ipm")


def _linear(model: Any) -> list[tuple[str, Any]]:
    import torch
    from transformers.pytorch_utils import Conv1D

    output = model.get_output_embeddings()
    return [
        (name, module)
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear | Conv1D) and module is not output
    ]


def _layers(settings: Tuning, model: Any) -> list[int] | None:
    if not settings.half:
        return None
    return half_of(int(model.config.get_text_config().num_hidden_layers), settings.seed)


def _check_rank(settings: Tuning, model: Any) -> None:
    """A decomposition has no more components than its matrix has rows or columns. Raises SettingsError."""
    if settings.method not in REWRITES:
        return
    wanted = None if _ALL_LINEAR in settings.modules else set(settings.modules)
    narrow = min(
        min(module.weight.shape)
        for name, module in _linear(model)
        if wanted is None or name.rpartition(".")[2] in wanted
    )
    if settings.rank > narrow - (settings.method == "kasa"):
        raise SettingsError(
            f"tuning.rank is {settings.rank}, and {settings.method} can have no more than the narrowest layer is wide "
            f"({narrow}): lower it."
        )


def _check_patterns(settings: Tuning, model: Any) -> None:
    """Peft leaves a pattern alone that no layer matches; here that is a SettingsError."""
    layers = [name for name, _ in _linear(model)]
    given = settings.peft
    for setting, patterns in (
        ("rank_pattern", list(given.get("rank_pattern", {}))),
        ("alpha_pattern", list(given.get("alpha_pattern", {}))),
        ("exclude_modules", given.get("exclude_modules", [])),
    ):
        for pattern in patterns:
            try:
                found = any(re.fullmatch(rf"(.*\.)?({pattern})", layer) for layer in layers)
            except re.error as error:
                raise SettingsError(
                    f"tuning.peft: {setting} holds {pattern!r}, no regular expression: {error}."
                ) from None
            if not found:
                raise SettingsError(
                    f"tuning.peft: {setting} names {pattern}, which the model has not; its linear layers are "
                    f"{', '.join(linear_names(model))}."
                )
