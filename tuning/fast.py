"""Faster training steps on a CPU, with the same numbers: attention in blocks, LoRA layers and the rest of a Llama
block as single operations of autograd.

What it does not know: data, losses, optimisers. ``speed_up`` changes a peft model in place and returns what undoes it.
Modules of another make are left alone and run as they are, so any model trains; Llama-like ones train faster.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

BLOCK = 128
"""Rows of queries that attend together: they only look at columns up to the block's end."""

ATTENTION = "fieldguide_blocks"


def block_attention(
    module: Any, query: Any, key: Any, value: Any, attention_mask: Any, scaling: float | None = None, **unused: Any
) -> tuple[Any, None]:
    """Causal attention of queries (b, heads, n, d) over keys (b, kv heads, n, d), as transformers calls it.

    ``attention_mask`` is boolean (true: may look) or additive, of shape (b, 1, n, n). Rows are worked on in blocks
    whose columns end where the block ends: half of the work of the whole square, in matrix products that a CPU runs
    near its peak; heads that share keys are one product. Where that does not fit (with a cache, while answers are
    written; with dropout of the weights) torch's own attention does it.
    """
    if attention_mask is None or key.shape[2] != query.shape[2] or unused.get("dropout"):
        from transformers.integrations.sdpa_attention import sdpa_attention_forward

        found: tuple[Any, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, scaling=scaling, **unused
        )
        return found
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    mask = _additive(attention_mask, query.dtype)
    return _functions()[3].apply(query, key, value, mask, scale), None


_last: tuple[Any, Any] = (None, None)


def _additive(mask: Any, dtype: Any) -> Any:
    """A boolean mask as one to add; all layers of a step are given the same one, so the last is kept."""
    global _last
    import torch

    if mask.dtype != torch.bool:
        return mask
    if _last[0] is not mask:
        _last = mask, torch.zeros(mask.shape, dtype=dtype).masked_fill_(~mask, torch.finfo(dtype).min)
    return _last[1]


@cache
def _functions() -> tuple[Any, Any, Any, Any]:
    """The operations, as torch.autograd.Functions; torch is imported when they are first wanted."""
    import torch

    class LoraLinear(torch.autograd.Function):
        """x W' + b + s (x A') B' with the gradients of x, A and B; W and b are frozen."""

        @staticmethod
        def forward(ctx: Any, x: Any, weight: Any, bias: Any, a: Any, b: Any, scale: float) -> Any:
            flat = x.reshape(-1, x.shape[-1])
            a16, b16 = a.to(x.dtype), b.to(x.dtype)
            inner = flat @ a16.t()
            out = flat @ weight.t() if bias is None else torch.addmm(bias, flat, weight.t())
            out.addmm_(inner, b16.t(), alpha=scale)
            ctx.save_for_backward(flat, weight, a16, b16, inner)
            ctx.scale, ctx.shape, ctx.dtype = scale, x.shape, a.dtype
            return out.view(*x.shape[:-1], -1)

        @staticmethod
        def backward(ctx: Any, grad: Any) -> Any:
            flat, weight, a, b, inner = ctx.saved_tensors
            g = grad.reshape(-1, grad.shape[-1])
            through = (g @ b).mul_(ctx.scale)
            grad_b = (g.t() @ inner).mul_(ctx.scale).to(ctx.dtype)
            grad_a = (through.t() @ flat).to(ctx.dtype)
            grad_x = None
            if ctx.needs_input_grad[0]:
                grad_x = (g @ weight).addmm_(through, a).view(ctx.shape)
            return grad_x, None, None, grad_a, grad_b, None

    class RmsNorm(torch.autograd.Function):
        """x / rms(x) * w with the gradient of x; w is frozen. Computed in float32."""

        @staticmethod
        def forward(ctx: Any, x: Any, weight: Any, eps: float) -> Any:
            wide = x.float()
            inverse = torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + eps)
            ctx.save_for_backward(x, weight, inverse)
            return wide.mul_(inverse).to(x.dtype).mul_(weight) if x.dtype != torch.float32 else wide * inverse * weight

        @staticmethod
        def backward(ctx: Any, grad: Any) -> Any:
            x, weight, inverse = ctx.saved_tensors
            scaled = grad.float() * weight.float()
            normed = x.float() * inverse
            mean = (scaled * normed).mean(-1, keepdim=True)
            return scaled.sub_(normed.mul_(mean)).mul_(inverse).to(x.dtype), None, None

    class SwiGlu(torch.autograd.Function):
        """silu(g) * u with both gradients."""

        @staticmethod
        def forward(ctx: Any, gate: Any, up: Any) -> Any:
            ctx.save_for_backward(gate, up)
            return torch.nn.functional.silu(gate).mul_(up)

        @staticmethod
        def backward(ctx: Any, grad: Any) -> Any:
            gate, up = ctx.saved_tensors
            grad_gate = torch.ops.aten.silu_backward(grad * up, gate)
            return grad_gate, torch.nn.functional.silu(gate).mul_(grad)

    class BlockAttention(torch.autograd.Function):
        """``block_attention`` with an additive mask, and its gradients; the result has the shape (b, n, heads, d)."""

        @staticmethod
        def forward(ctx: Any, query: Any, key: Any, value: Any, mask: Any, scale: float) -> Any:
            b, heads, n, d = query.shape
            kv = key.shape[1]
            grouped = (query * scale).reshape(b, kv, heads // kv, n, d)
            k, v = key.reshape(b * kv, n, d), value.reshape(b * kv, n, d)
            out = query.new_empty(b, n, heads, d)
            spans = [(start, min(start + BLOCK, n)) for start in range(0, n, BLOCK)]
            kept = []
            for start, end in spans:
                rows = grouped[:, :, :, start:end].reshape(b * kv, -1, d)
                scores = torch.bmm(rows, k[:, :end].transpose(1, 2))
                scores.view(b, heads, end - start, end).add_(mask[:, :, start:end, :end])
                weights = scores.softmax(-1)
                out[:, start:end] = torch.bmm(weights, v[:, :end]).view(b, heads, end - start, d).transpose(1, 2)
                kept += [rows, weights]
            ctx.save_for_backward(k, v, *kept)
            ctx.shape, ctx.spans, ctx.scale = (b, heads, kv, n, d), spans, scale
            return out

        @staticmethod
        def backward(ctx: Any, grad: Any) -> Any:
            k, v, *kept = ctx.saved_tensors
            b, heads, kv, n, d = ctx.shape
            grad_q, grad_k, grad_v = grad.new_empty(b, n, heads, d), torch.zeros_like(k), torch.zeros_like(v)
            for (start, end), rows, weights in zip(ctx.spans, kept[::2], kept[1::2], strict=True):
                g = grad[:, start:end].transpose(1, 2).reshape(b * kv, -1, d)
                grad_v[:, :end] += torch.bmm(weights.transpose(1, 2), g)
                through = torch.bmm(g, v[:, :end].transpose(1, 2))
                through = torch.ops.aten._softmax_backward_data(through, weights, -1, weights.dtype)
                grad_k[:, :end] += torch.bmm(through.transpose(1, 2), rows)
                grad_q[:, start:end] = torch.bmm(through, k[:, :end]).view(b, heads, end - start, d).transpose(1, 2)
            grad_q = grad_q.mul_(ctx.scale).transpose(1, 2)
            return grad_q, grad_k.view(b, kv, n, d), grad_v.view(b, kv, n, d), None, None

    return LoraLinear, RmsNorm, SwiGlu, BlockAttention


def speed_up(model: Any) -> Callable[[], None]:
    """Make a peft model's training steps faster in place, where its modules are of a kind that is known.

    LoRA layers without dropout, DoRA, bias or several adapters; Llama's and Qwen2's norms and MLPs with frozen
    weights. Attention goes by ``block_attention`` where the configuration can be told. Returns a function that
    undoes all of it.
    """
    lora, norm, swiglu, _ = _functions()
    patched: list[Any] = []

    def patch(module: Any, forward: Callable[..., Any]) -> None:
        module.forward = forward
        patched.append(module)

    for module in model.modules():
        if _is_plain_lora(module):
            patch(module, _lora_forward(module, lora))
        elif _is_rms_norm(module):
            patch(module, _norm_forward(module, norm))
        elif _is_silu_mlp(module):
            patch(module, _mlp_forward(module, swiglu))
    config = model.get_base_model().config
    attention = config._attn_implementation
    if attention == "sdpa":
        _register_attention()
        config._attn_implementation = ATTENTION

    def undo() -> None:
        for module in patched:
            vars(module).pop("forward", None)
        config._attn_implementation = attention

    return undo


def _register_attention() -> None:
    from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS, eager_mask
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    ALL_ATTENTION_FUNCTIONS.register(ATTENTION, block_attention)
    ALL_MASK_ATTENTION_FUNCTIONS.register(ATTENTION, eager_mask)


def _is_plain_lora(module: Any) -> bool:
    from peft.tuners.lora import Linear

    if type(module) is not Linear or module.disable_adapters or module.merged or len(module.active_adapters) != 1:
        return False
    name = module.active_adapters[0]
    if name not in module.lora_A or module.lora_variant.get(name) is not None or module.lora_bias.get(name):
        return False
    base = module.get_base_layer()
    if getattr(module.lora_dropout[name], "p", 0.0) or module.fan_in_fan_out:
        return False
    return not base.weight.requires_grad


def _lora_forward(module: Any, function: Any) -> Callable[..., Any]:
    name = module.active_adapters[0]
    base, a, b = module.get_base_layer(), module.lora_A[name], module.lora_B[name]

    def forward(x: Any, *args: Any, **kwargs: Any) -> Any:
        if module.disable_adapters:
            return base(x)
        return function.apply(x, base.weight, base.bias, a.weight, b.weight, module.scaling[name])

    return forward


def _is_rms_norm(module: Any) -> bool:
    return type(module).__name__ in ("LlamaRMSNorm", "Qwen2RMSNorm") and not module.weight.requires_grad


def _norm_forward(module: Any, function: Any) -> Callable[..., Any]:
    return lambda x: function.apply(x, module.weight, module.variance_epsilon)


def _is_silu_mlp(module: Any) -> bool:
    from torch import nn

    if type(module).__name__ not in ("LlamaMLP", "Qwen2MLP"):
        return False
    return isinstance(module.act_fn, nn.SiLU) or type(module.act_fn).__name__ == "SiLUActivation"


def _mlp_forward(module: Any, function: Any) -> Callable[..., Any]:
    return lambda x: module.down_proj(function.apply(module.gate_proj(x), module.up_proj(x)))
