"""Every kind of adapter trains on a tiny model and says the same when it is loaded again, each in its own way."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import ValidationError

from fieldguide.errors import ModelError, SettingsError
from fieldguide.models.adapters import read_config, rewrites
from fieldguide.models.rewriting import put_on
from fieldguide.models.transformers_generator import TransformersGenerator
from fieldguide.settings import Method, Tuning
from fieldguide.types import Silent
from tuning.apart import read_rows, train_apart, write_rows
from tuning.methods import (
    APART,
    CONVERTED,
    REWRITES,
    calibrate,
    convert,
    decomposed,
    describe,
    half_of,
    linear_names,
    lora_config,
    penalty,
)
from tuning.tokenise import Sequences

METHODS = get_args(Method)
STEPS = 12


def load(folder: Path, method: str = "lora") -> Any:
    """The bare model, as it is on the disk; in 4 bit for QLoRA."""
    import torch
    from transformers import AutoModelForCausalLM

    if method == "qlora":
        from tuning.quantised import load_4bit

        return load_4bit(folder, dtype=torch.float32)
    return AutoModelForCausalLM.from_pretrained(str(folder))


@pytest.fixture(scope="module")
def ids() -> Any:
    import torch

    return torch.randint(3, 300, (1, 40), generator=torch.Generator().manual_seed(0))


def wrap(folder: Path, settings: Tuning, ids: Any) -> Any:
    """The model with a new adapter, as ``Loop`` makes it."""
    import torch
    from peft import get_peft_model

    torch.manual_seed(0)
    model = load(folder, settings.method)
    calibrate(settings, model, [{"input_ids": ids}])
    return get_peft_model(model, lora_config(settings, model))


def train(wrapped: Any, ids: Any) -> list[float]:
    import torch

    optimiser = torch.optim.Adam([w for w in wrapped.parameters() if w.requires_grad], lr=0.01)
    losses = []
    wrapped.train()
    for _ in range(STEPS):
        loss = wrapped(input_ids=ids, labels=ids).loss
        losses.append(float(loss))
        (loss + penalty(wrapped)).backward()
        optimiser.step()
        optimiser.zero_grad()
    wrapped.eval()
    return losses


def logits(model: Any, ids: Any) -> Any:
    import torch

    model.eval()
    with torch.no_grad():
        return model(input_ids=ids).logits


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("method", METHODS)
def test_trains_and_says_the_same_when_loaded_again(
    method: str, half: bool, tiny_model: Path, ids: Any, tmp_path: Path
) -> None:
    if method in ("qlora", "loftq"):
        pytest.importorskip("bitsandbytes")
    settings = Tuning(method=method, rank=4, alpha=8, half=half)
    wrapped = wrap(tiny_model, settings, ids)
    losses = train(wrapped, ids)
    assert losses[-1] < 0.6 * losses[0]
    trained = logits(wrapped, ids)
    layers = {int(name.split(".layers.")[1][0]) for name, w in wrapped.named_parameters() if w.requires_grad}
    assert layers == (set(half_of(2, 0)) if half else {0, 1})

    wrapped.save_pretrained(str(tmp_path / "adapter"))
    found = rewrites(read_config(tmp_path / "adapter", rewriting=True))
    assert bool(found) == (method in REWRITES)
    if method == "corda":
        with pytest.raises(ValueError, match="convert it"):
            put_on(load(tiny_model), tmp_path / "adapter", "again", "cpu")
    else:
        again = put_on(load(tiny_model, method), tmp_path / "adapter", "again", "cpu")
        assert (logits(again, ids) - trained).abs().max() < 1e-4
    if method in CONVERTED:
        convert(tmp_path / "adapter", wrap(tiny_model, settings, ids), tmp_path / "plain")
        assert rewrites(read_config(tmp_path / "plain")) == []
        plain = TransformersGenerator(tiny_model, name="tiny")  # hot-swapped: it checks that the base stays
        adapter = plain.load_adapter(tmp_path / "plain")
        with plain.using(adapter) as model:
            assert (logits(model, ids) - trained).abs().max() < 1e-3
        assert json.loads((tmp_path / "plain" / "adapter_config.json").read_text("utf-8"))["r"] == 8
    if found:
        with pytest.raises(ModelError, match="serve it in a process of its own"):
            read_config(tmp_path / "adapter")


def test_before_training_only_kasa_and_loftq_and_4_bit_change_what_the_model_says(tiny_model: Path, ids: Any) -> None:
    base = logits(load(tiny_model), ids)
    for method in METHODS:
        if method in ("qlora", "loftq"):
            pytest.importorskip("bitsandbytes")
        changed = (logits(wrap(tiny_model, Tuning(method=method, rank=4, alpha=8), ids), ids) - base).abs().max()
        assert (changed > 0.1) == (method in ("qlora", "loftq", "kasa")), method


def test_loftq_begins_nearer_to_the_base_than_4_bit_alone(tiny_model: Path, ids: Any) -> None:
    pytest.importorskip("bitsandbytes")
    weight = load(tiny_model).model.layers[0].mlp.down_proj.weight
    layer = wrap(tiny_model, Tuning(method="loftq", rank=8, alpha=16), ids).base_model.model.model.layers[0].mlp
    quantised = layer.down_proj.base_layer.weight
    started = quantised + layer.down_proj.get_delta_weight("default")
    assert 0 < (started - weight).norm() < 0.85 * (quantised - weight).norm()


@pytest.mark.parametrize("method", sorted(CONVERTED))
def test_a_decomposition_is_checked(method: Any, tiny_model: Path, ids: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    settings, model, base = Tuning(method=method, rank=4, alpha=8), load(tiny_model), load(tiny_model)
    calibrate(settings, model, [{"input_ids": ids}])
    assert (logits(decomposed(settings, model), ids) - logits(base, ids)).abs().max() < 1e-3
    if method == "corda":
        return
    name = {"pissa": "svd", "olora": "qr"}[method]
    right = getattr(torch.linalg, name)
    times = iter([1.0] * 3 + [1e30] + [1.0] * 20)  # the fourth layer's goes wrong

    def wrong(*args: Any, **kwargs: Any) -> Any:
        first, *rest = right(*args, **kwargs)
        return (first, next(times) * rest[0], *rest[1:])

    monkeypatch.setattr(torch.linalg, name, wrong)
    with pytest.raises(ModelError, match=f"{method} decomposed model.layers.0.self_attn.o_proj wrongly"):
        decomposed(settings, load(tiny_model))


def test_each_method_is_described_and_has_its_place() -> None:
    assert all("arXiv" in describe(method) for method in METHODS)
    assert set(METHODS) > APART > REWRITES > CONVERTED
    with pytest.raises(KeyError):
        describe("other")


def test_named_layers_and_half_of_them(tiny_model: Path) -> None:
    model = load(tiny_model)
    names = linear_names(model)
    assert names == ["down_proj", "gate_proj", "k_proj", "o_proj", "q_proj", "up_proj", "v_proj"]
    config = lora_config(Tuning(modules=("q_proj", "v_proj"), half=True, seed=3), model)
    assert config.target_modules == {"q_proj", "v_proj"}
    assert config.layers_to_transform == half_of(2, 3)
    with pytest.raises(SettingsError, match=r"tuning\.modules names query, which the model has not"):
        lora_config(Tuning(modules=("query", "v_proj")), model)
    assert half_of(30, 0) == half_of(30, 0) != half_of(30, 1)
    assert len(half_of(30, 0)) == 15
    assert half_of(1, 0) == [0]


def test_more_of_pefts_arguments_reach_the_layers(tiny_model: Path, ids: Any) -> None:
    peft: Any = {"rank_pattern": {"q_proj": 2}, "alpha_pattern": {"q_proj": 8.0}, "exclude_modules": ["down_proj"]}
    wrapped = wrap(tiny_model, Tuning(rank=4, alpha=8, peft={**peft, "init_lora_weights": "orthogonal"}), ids)
    layer = wrapped.base_model.model.model.layers[0]
    assert layer.self_attn.q_proj.lora_A["default"].weight.shape[0] == 2
    assert layer.self_attn.q_proj.scaling["default"] == 4
    assert layer.self_attn.v_proj.lora_A["default"].weight.shape[0] == 4
    assert not hasattr(layer.mlp.down_proj, "lora_A")
    assert layer.self_attn.v_proj.lora_B["default"].weight.abs().max() > 0
    difference = logits(wrapped, ids) - logits(load(tiny_model), ids)
    assert difference.abs().max() < 1e-4  # its B A is zero all the same


@pytest.mark.parametrize(
    ("peft", "method", "said"),
    [
        ({"r": 4}, "lora", "r"),
        ({"rank_pattern": {"q_proj": 0}}, "lora", "greater than or equal to 1"),
        ({"init_lora_weights": "pissa"}, "lora", "'gaussian' or 'orthogonal'"),
        ({"init_lora_weights": "orthogonal", "rank_pattern": {"q_proj": 3}}, "lora", "even ranks"),
        ({"rank_pattern": {"q_proj": 4}}, "pissa", "pissa sets all of it itself"),
    ],
)
def test_arguments_that_do_not_go_are_refused(peft: Any, method: Any, said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Tuning(method=method, peft=peft)


@pytest.mark.parametrize(
    ("peft", "said"),
    [
        (
            {"rank_pattern": {"query": 4}},
            r"rank_pattern names query, which the model has not; its linear layers are down",
        ),
        ({"exclude_modules": ["proj"]}, "exclude_modules names proj"),
        ({"alpha_pattern": {"(": 4}}, "no regular expression"),
    ],
)
def test_patterns_that_match_no_layer_are_told(peft: Any, said: str, tiny_model: Path) -> None:
    with pytest.raises(SettingsError, match=said):
        lora_config(Tuning(peft=peft), load(tiny_model))


@pytest.mark.parametrize(("method", "most"), [("pissa", 16), ("kasa", 15)])
def test_rank_over_a_layers_width_is_an_error_where_it_is_decomposed(method: Any, most: int, tiny_model: Path) -> None:
    model = load(tiny_model)
    assert lora_config(Tuning(method=method, rank=most), model).r == most
    with pytest.raises(SettingsError, match=f"tuning.rank is {most + 1}"):
        lora_config(Tuning(method=method, rank=most + 1), model)


def rows(count: int) -> list[Sequences]:
    """Rows that are learned by heart: the same answer of four tokens after different prompts."""
    made = []
    for n in range(count):
        prompt, answer = [5 + n, 6, 7 + n, 8, 9], [40, 41, 42, 2]
        labels = [-100] * 5 + answer
        made.append(Sequences(prompt + answer, labels, list(range(9)), [0] * 4 + [1] * 5))
    return made


def test_rows_survive_their_file(tmp_path: Path) -> None:
    write_rows(tmp_path / "rows.jsonl", rows(3), rows(1))
    assert read_rows(tmp_path / "rows.jsonl") == (rows(3), rows(1))


class Heard(Silent):
    """A progress that keeps what it hears."""

    def __init__(self) -> None:
        self.steps = 0
        self.labels: list[str] = []

    def start(self, label: str, total: int | None = None, done: int = 0) -> None:
        self.labels.append(label)

    def advance(self, n: int = 1, note: str = "") -> None:
        self.steps += n


def test_training_apart_stops_goes_on_and_comes_out_as_plain_lora(
    tiny_model: Path, tmp_path: Path, read_weights: Callable[[Path], dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # as the tests' own process
    settings = Tuning(method="pissa", rank=4, alpha=8, learning_rate=0.02, epochs=4, save_steps=2, checks=1)
    run = tmp_path / "run"
    run.mkdir()
    write_rows(run / "rows.jsonl", rows(4), rows(1))
    heard = Heard()

    def train_it(stopped: Callable[[], bool]) -> Any:
        return train_apart(tiny_model, "float32", run / "rows.jsonl", settings, run, "key", heard, stopped)

    try:
        with pytest.raises(KeyboardInterrupt):
            train_it(lambda: heard.steps >= 3)
    except ModelError as error:  # seen in CI twice and nowhere else: see docs/methods.md, "What is not understood"
        if "no number" in str(error) or "wrongly" in str(error):
            pytest.xfail(f"{error} {(run / 'log.jsonl').read_text('utf-8') if (run / 'log.jsonl').exists() else ''}")
        raise
    assert list(run.glob("checkpoint-*"))
    folder, result = train_it(lambda: False)
    assert folder == run / "adapter"
    assert result.steps == result.planned == len(result.losses) == 16
    assert result.losses[-1] < 0.5 * result.losses[0]
    assert result.dev_after < result.dev_before
    assert "training" in heard.labels
    generator = TransformersGenerator(tiny_model, name="tiny")
    adapter = generator.load_adapter(folder)
    assert len(adapter) == 64
    assert {min(w.shape) for w in read_weights(folder).values()} == {8}


def test_training_apart_tells_what_is_wrong(tiny_model: Path, tmp_path: Path) -> None:
    write_rows(tmp_path / "rows.jsonl", rows(2), [])
    with pytest.raises(SettingsError, match=r"tuning\.rank is 64, and kasa can have no more"):
        train_apart(
            tiny_model, "float32", tmp_path / "rows.jsonl", Tuning(method="kasa", rank=64), tmp_path, "key", Silent()
        )
