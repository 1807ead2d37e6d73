"""Faster steps give the numbers of the plain modules, and can be undone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from tuning import fast
from tuning.tokenise import IGNORED, Sequences, collate

NEAR = {"atol": 1e-5, "rtol": 1e-5}
SHORT = 16  # rows of a block, so that short sequences have several


@pytest.fixture(autouse=True)
def short_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fast, "BLOCK", SHORT)


def row(*parts: int) -> dict[str, Any]:
    """A row of made-up tokens with so many in the shared beginning and in each example; each example ends in labels."""
    ids, labels, positions, part = [], [], [], []
    for number, count in enumerate(parts):
        begin = 0 if number == 0 else parts[0]
        new = [3 + (7 * (len(ids) + n)) % 300 for n in range(count)]
        labels += [IGNORED] * count if number == 0 else [IGNORED] * (count - 3) + new[-3:]
        ids += new
        positions += range(begin, begin + count)
        part += [number] * count
    return asdict(Sequences(ids, labels, positions, part))


ROWS = {
    "one example": [row(0, 37)],
    "exactly two blocks": [row(0, 32)],
    "within one block": [row(0, 9)],
    "shared beginning": [row(20, 13, 9, 21)],
    "padded": [row(0, 37), row(9, 6, 5)],
}


@pytest.mark.parametrize("additive", [False, True])
@pytest.mark.parametrize("name", ROWS)
@pytest.mark.parametrize(("heads", "kv"), [(4, 4), (4, 2), (3, 1)])
def test_attention_in_blocks_is_attention(name: str, heads: int, kv: int, additive: bool) -> None:
    import torch

    mask = collate(ROWS[name], 0)["attention_mask"]
    b, n = mask.shape[0], mask.shape[-1]
    torch.manual_seed(0)
    inputs = [torch.randn(b, h, n, 8, requires_grad=True) for h in (heads, kv, kv)]
    weight = torch.randn(b, n, heads, 8)
    given = torch.zeros(mask.shape).masked_fill(~mask, torch.finfo(torch.float32).min) if additive else mask
    found, _ = fast.block_attention(None, *inputs, given)
    q, k, v = inputs
    expected = torch.nn.functional.scaled_dot_product_attention(
        q, k.repeat_interleave(heads // kv, 1), v.repeat_interleave(heads // kv, 1), mask
    ).transpose(1, 2)
    assert found.shape == (b, n, heads, 8)
    torch.testing.assert_close(found, expected, **NEAR)
    gradients = torch.autograd.grad((found * weight).sum(), inputs)
    for ours, theirs in zip(gradients, torch.autograd.grad((expected * weight).sum(), inputs), strict=True):
        torch.testing.assert_close(ours, theirs, **NEAR)


def test_attention_with_another_scale() -> None:
    import torch

    mask = collate(ROWS["one example"], 0)["attention_mask"]
    torch.manual_seed(0)
    q, k, v = (torch.randn(1, 2, 37, 8) for _ in range(3))
    found, _ = fast.block_attention(None, q, k, v, mask, scaling=0.7)
    expected = torch.nn.functional.scaled_dot_product_attention(q, k, v, mask, scale=0.7)
    torch.testing.assert_close(found, expected.transpose(1, 2), **NEAR)


def gradients(module: Callable[..., Any], inputs: list[Any], parameters: list[Any]) -> list[Any]:
    """Output, and gradients of inputs and parameters, of a weighted sum of the output."""
    import torch

    out = module(*inputs)
    weight = torch.linspace(-1, 1, out.numel()).view(out.shape)
    return [out.detach(), *torch.autograd.grad((out * weight).sum(), [*inputs, *parameters])]


def agree(ours: list[Any], theirs: list[Any]) -> None:
    import torch

    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, **NEAR)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("rank", [1, 4])
def test_lora_linear(bias: bool, rank: int) -> None:
    import torch
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(12, 20, bias=bias))
    net.requires_grad_(False)
    model = get_peft_model(net, LoraConfig(r=rank, lora_alpha=3 * rank, target_modules=["0"]))
    layer = model.base_model.model[0]
    torch.nn.init.normal_(layer.lora_B["default"].weight)
    x = torch.randn(2, 5, 12, requires_grad=True)
    weights = [layer.lora_A["default"].weight, layer.lora_B["default"].weight]
    theirs = gradients(layer, [x], weights)
    assert fast._is_plain_lora(layer)
    layer.forward = fast._lora_forward(layer, fast._functions()[0])
    agree(gradients(layer, [x], weights), theirs)
    with model.disable_adapter():
        torch.testing.assert_close(layer(x), layer.get_base_layer()(x))
    agree(gradients(layer, [x], weights), theirs)
    agree(
        gradients(lambda: layer(x.detach()), [], weights), [theirs[0], *theirs[2:]]
    )  # the first layer's input has none


def test_norm() -> None:
    import torch
    from transformers.models.llama.modeling_llama import LlamaRMSNorm

    torch.manual_seed(0)
    layer = LlamaRMSNorm(24, eps=1e-3).requires_grad_(False)
    torch.nn.init.normal_(layer.weight)
    x = torch.randn(2, 5, 24, requires_grad=True)
    before = x.detach().clone()
    agree(gradients(fast._norm_forward(layer, fast._functions()[1]), [x], []), gradients(layer, [x], []))
    assert torch.equal(x.detach(), before)


def test_gated_unit() -> None:
    import torch

    torch.manual_seed(0)
    gate, up = (torch.randn(2, 5, 24, requires_grad=True) for _ in range(2))
    agree(
        gradients(fast._functions()[2].apply, [gate, up], []),
        gradients(lambda g, u: torch.nn.functional.silu(g) * u, [gate, up], []),
    )


@pytest.fixture
def llama(tiny_model: Path) -> Any:
    """The tiny Llama in float32 with a LoRA adapter on every linear layer, both factors non-zero."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    base = AutoModelForCausalLM.from_pretrained(str(tiny_model))
    torch.manual_seed(0)
    model = get_peft_model(base, LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", task_type="CAUSAL_LM"))
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.05)
    return model


def step(model: Any, rows: list[dict[str, Any]]) -> tuple[float, dict[str, Any]]:
    """Loss and gradients of a batch."""
    from tuning.loss import answer_loss

    model.train()
    model.zero_grad()
    loss = answer_loss(model, collate(rows, 2))
    loss.backward()
    return float(loss.detach()), {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("name", ROWS)
def test_a_whole_model_learns_the_same(llama: Any, name: str) -> None:
    loss, plain = step(llama, ROWS[name])
    fast.speed_up(llama)
    faster_loss, faster = step(llama, ROWS[name])
    assert faster_loss == pytest.approx(loss, abs=1e-5)
    assert faster.keys() == plain.keys()
    for weight, gradient in plain.items():
        assert (faster[weight] - gradient).norm() <= 1e-4 * gradient.norm() + 1e-6, weight


def test_undone_is_as_before(llama: Any) -> None:
    loss, plain = step(llama, ROWS["padded"])
    modules = {name: dict(vars(module)) for name, module in llama.named_modules()}
    attention = llama.config._attn_implementation
    undo = fast.speed_up(llama)
    assert llama.get_base_model().config._attn_implementation == fast.ATTENTION
    patched = [name for name, module in llama.named_modules() if "forward" in vars(module)]
    assert len(patched) == 2 * (7 + 2 + 1) + 1  # linear layers, norms and MLP of two layers, the last norm
    undo()
    assert llama.get_base_model().config._attn_implementation == attention
    assert {name: vars(module).keys() for name, module in llama.named_modules()} == {
        name: before.keys() for name, before in modules.items()
    }
    again, gradient = step(llama, ROWS["padded"])
    assert again == loss
    assert all(bool((gradient[name] == plain[name]).all()) for name in plain)


def test_writes_the_same(llama: Any) -> None:
    import torch

    ids = torch.tensor([[2, 2, 5, 9, 40, 7], [11, 80, 5, 9, 40, 7]])
    mask = (ids != 2).long()

    def written() -> list[list[int]]:
        llama.eval()
        with torch.no_grad():
            out: list[list[int]] = llama.generate(
                input_ids=ids, attention_mask=mask, max_new_tokens=24, do_sample=False, use_cache=True, pad_token_id=2
            ).tolist()
        return out

    plain = written()
    fast.speed_up(llama)
    assert written() == plain
    assert len(set(plain[1][6:])) > 3


def test_another_make_is_left_alone_and_trains() -> None:
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=320, n_positions=64, n_embd=32, n_layer=2, n_head=4, resid_pdrop=0, embd_pdrop=0, attn_pdrop=0
    )
    lora = LoraConfig(r=4, target_modules=["c_attn", "c_proj"], task_type="CAUSAL_LM", fan_in_fan_out=True)
    model = get_peft_model(GPT2LMHeadModel(config), lora)
    loss, plain = step(model, ROWS["padded"])
    fast.speed_up(model)
    assert not [name for name, module in model.named_modules() if "forward" in vars(module)]
    faster_loss, faster = step(model, ROWS["padded"])
    assert faster_loss == pytest.approx(loss, abs=1e-5)
    for name, gradient in plain.items():
        torch.testing.assert_close(faster[name], gradient, **NEAR)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=0.01)
    for _ in range(5):
        step(model, ROWS["padded"])
        optimizer.step()
    assert step(model, ROWS["padded"])[0] < loss - 0.1


def test_dropout_of_attention_weights_is_not_lost() -> None:
    import torch

    mask = collate(ROWS["one example"], 0)["attention_mask"]
    torch.manual_seed(0)
    q, k, v = (torch.randn(1, 2, 37, 8) for _ in range(3))
    layer = torch.nn.Module().train()
    torch.manual_seed(1)
    found, _ = fast.block_attention(layer, q, k, v, mask, dropout=0.5)
    torch.manual_seed(1)
    expected = torch.nn.functional.scaled_dot_product_attention(q, k, v, mask, dropout_p=0.5)
    torch.testing.assert_close(found, expected.transpose(1, 2))


@pytest.mark.parametrize(
    "changes",
    [{"lora_dropout": 0.1}, {"use_dora": True}, {"lora_bias": True}, {"lora_dropout": 0.1, "use_rslora": True}],
)
def test_other_adapters_run_as_they_are(tiny_model: Path, changes: dict[str, Any]) -> None:
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    base = AutoModelForCausalLM.from_pretrained(str(tiny_model))
    model = get_peft_model(base, LoraConfig(r=4, target_modules=["q_proj"], task_type="CAUSAL_LM", **changes))
    fast.speed_up(model)
    assert not [name for name, module in model.named_modules() if name.endswith("q_proj") and "forward" in vars(module)]
