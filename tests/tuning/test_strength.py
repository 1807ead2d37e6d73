"""The choice by hand-made points; the sweep and the scaled adapters on a tiny real model."""

import json
import math
import shutil
from dataclasses import dataclass

import pytest

from fieldguide.errors import IntegrityError, ModelError
from fieldguide.models.adapter_strength import adapter_id, read_strength
from fieldguide.models.base import Message
from fieldguide.models.tiny import write_tiny_adapter
from fieldguide.models.transformers_generator import TransformersGenerator
from fieldguide.stats import Interval
from fieldguide.types import Silent
from tuning.distillation import answer_likelihoods
from tuning.general import LEAD, GeneralQuestion
from tuning.strength import Point, choose_strength, pareto_front, sweep

BASE = Point(0.0, 2.0, 1.0)
ASK = (Message("user", "what does the document say"),)
LONG = (Message("user", "word " * 2000),)


@dataclass(frozen=True)
class Item:
    prompt: tuple[Message, ...]
    completion: str
    group: int = 0


GENERAL = [
    GeneralQuestion("a", "What is said?", ("the fox",), "The fox jumps."),
    GeneralQuestion("b", "What is two?", ("2",)),
]


@pytest.fixture(scope="module")
def adapter(tiny_model, tmp_path_factory):
    return write_tiny_adapter(tmp_path_factory.mktemp("strength") / "adapter", tiny_model)


@pytest.fixture
def generator(tiny_model):
    return TransformersGenerator(tiny_model, name="tiny")


def at(folder, source, strength):
    """A copy of the adapter whose manifest names the strength."""
    shutil.copytree(source, folder)
    (folder / "manifest.json").write_text(json.dumps({"strength": strength}))
    return folder


# -- the choice


def test_the_front_holds_what_no_other_point_beats():
    points = [BASE, Point(0.5, 1.5, 1.2), Point(0.75, 1.6, 1.3), Point(1.0, 1.0, 2.0), Point(0.25, 1.5, 1.2)]
    assert pareto_front(points) == [True, True, False, True, True]


def test_what_is_gained_less_what_it_costs_decides():
    points = [Point(1.0, 1.0, 1.2), Point(0.5, 1.3, 1.05), BASE, Point(0.25, 1.6, 1.01)]
    choice = choose_strength(points)
    assert (choice.strength, choice.rule) == (1.0, "most gained, less what it costs")
    assert [point.strength for point in choice.points] == [0.0, 0.25, 0.5, 1.0]
    assert choice.on_front == (True, True, True, True)
    assert choose_strength(points, 2.5).strength == 0.5  # 4.0 against 3.925 and 4.125
    assert choose_strength(points, 20.0).strength == 0.25
    assert choose_strength(points, 0.0).strength == 1.0


def test_a_weaker_adapter_that_is_better_in_the_field_is_chosen_over_the_full_one():
    choice = choose_strength([BASE, Point(0.75, 1.2, 1.0), Point(1.0, 1.4, 1.0)], 0.05)
    assert (choice.strength, choice.on_front) == (0.75, (False, True, False))


def test_an_adapter_that_the_base_beats_everywhere_has_gained_nothing():
    choice = choose_strength([BASE, Point(0.5, 2.0, 1.01), Point(1.0, 2.5, 1.3)], 0.05)
    assert (choice.strength, choice.rule) == (0.5, "nothing gained")
    assert choice.on_front == (True, False, False)


def test_of_equals_the_smaller_strength_is_chosen():
    assert choose_strength([Point(1.0, 1.0, 1.0), Point(0.5, 1.0, 1.0), BASE], 0.05).strength == 0.5


def test_the_table_is_written_whole():
    row = choose_strength([BASE, Point(1.0, 1.0, 1.0, Interval(1.0, 0.5, 1.5, 8))], 0.1).row()
    assert (row["strength"], row["price"]) == (1.0, 0.1)
    assert [point["on_front"] for point in row["points"]] == [False, True]
    assert row["points"][1]["gain"] == {"mean": 1.0, "low": 0.5, "high": 1.5, "n": 8}
    assert json.loads(json.dumps(row)) == row


@pytest.mark.parametrize(
    ("points", "price", "says"),
    [
        ([BASE], 0.1, "at least one other"),
        ([Point(0.5, 1, 1), Point(1.0, 1, 1)], 0.1, "the base"),
        ([BASE, Point(1.0, 1, 1), Point(1.0, 2, 2)], 0.1, "each once"),
        ([BASE, Point(1.0, math.inf, 1)], 0.1, "finite"),
        ([BASE, Point(1.0, 1, math.nan)], 0.1, "finite"),
        ([BASE, Point(1.0, 1, 1)], -0.1, "price"),
        ([BASE, Point(1.0, 1, 1)], math.nan, "price"),
    ],
)
def test_points_that_cannot_be_compared_are_refused(points, price, says):
    with pytest.raises(ValueError, match=says):
        choose_strength(points, price)


# -- the scaled adapter


def test_the_manifest_says_the_strength(generator, adapter, tmp_path):
    assert read_strength(adapter) == 1.0
    full = generator.load_adapter(adapter)
    half = generator.load_adapter(at(tmp_path / "half", adapter, 0.5))
    assert half == f"{full}@0_5"
    assert generator.load_adapter(at(tmp_path / "full", adapter, 1)) == full
    assert generator.loaded == {full, half}
    (made,) = generator.generate([ASK], max_new_tokens=2, adapter=half)
    assert made.adapter == half


@pytest.mark.parametrize("order", [(0.5, 1.0), (1.0, 0.5)])
def test_both_strengths_stay_what_they_are_in_any_order(tiny_model, adapter, order):
    alone = {}
    for strength in order:
        generator = TransformersGenerator(tiny_model, name="tiny")
        name = generator.load_adapter(adapter, strength)
        alone[strength] = answer_likelihoods(generator, [ASK], ["the fox"], adapter=name)
    both = TransformersGenerator(tiny_model, name="tiny")
    names = {strength: both.load_adapter(adapter, strength) for strength in order}
    for strength, name in names.items():
        assert answer_likelihoods(both, [ASK], ["the fox"], adapter=name) == pytest.approx(alone[strength], abs=1e-6)
    assert alone[0.5] != pytest.approx(alone[1.0], abs=1e-3)


def test_the_effect_is_linear_in_the_strength(generator, adapter):
    """One linear layer's output: base + strength · (tuned - base)."""
    import torch

    ids = torch.tensor([generator.render(ASK)])
    outputs = {}
    for strength in (0.0, 0.25, 1.0):
        name = generator.load_adapter(adapter, strength) if strength else None
        with generator.using(name) as model, torch.inference_mode():
            layer = model.model.layers[0].self_attn.v_proj
            outputs[strength] = layer(model.model.embed_tokens(ids))
    expected = outputs[0.0] + 0.25 * (outputs[1.0] - outputs[0.0])
    assert torch.allclose(outputs[0.25], expected, atol=1e-5)
    assert not torch.allclose(outputs[0.25], outputs[0.0], atol=1e-2)


def test_doras_magnitudes_go_from_base_to_tuned(generator, tiny_model, tmp_path):
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_pretrained(str(tiny_model), local_files_only=True)
    wrapped = get_peft_model(
        model, LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj"], use_dora=True, task_type="CAUSAL_LM")
    )
    for name, weight in wrapped.named_parameters():
        if "lora_B" in name or "magnitude" in name:
            torch.nn.init.normal_(weight, mean=2.0, std=0.5)
    wrapped.save_pretrained(str(tmp_path / "dora"))
    base = answer_likelihoods(generator, [ASK], ["the fox"])
    found = {}
    for strength in (1e-4, 0.5, 1.0):
        name = generator.load_adapter(tmp_path / "dora", strength)
        found[strength] = answer_likelihoods(generator, [ASK], ["the fox"], adapter=name)
    assert found[1e-4] == pytest.approx(base, abs=1e-2)
    assert abs(found[1.0][0] - base[0]) > 0.05
    assert found[0.5] != pytest.approx(found[1.0], abs=1e-3)
    assert answer_likelihoods(generator, [ASK], ["the fox"]) == pytest.approx(base, abs=1e-6)


def test_a_strength_that_was_changed_in_memory_is_noticed(generator, adapter):
    name = generator.load_adapter(adapter, 0.5)
    generator.model.model.layers[1].self_attn.q_proj.scaling[name] *= 2
    with pytest.raises(IntegrityError, match="another strength"):
        generator.generate([ASK], max_new_tokens=1, adapter=name)
    with pytest.raises(IntegrityError, match="another strength"):
        answer_likelihoods(generator, [ASK], ["x"], adapter=name)
    assert len(generator.generate([ASK], max_new_tokens=1)) == 1


def test_weights_that_cannot_be_scaled_are_refused(generator, adapter, tmp_path):
    folder = at(tmp_path / "saved", adapter, 0.5)
    config = json.loads((folder / "adapter_config.json").read_text())
    (folder / "adapter_config.json").write_text(json.dumps(config | {"trainable_token_indices": [1]}))
    with pytest.raises(
        ModelError, match=r"cannot be scaled .trainable_token_indices.: serve it at strength 1, not 0.5"
    ):
        generator.load_adapter(folder)
    assert generator.loaded == frozenset()


@pytest.mark.parametrize("strength", [0, -0.5, 1.5, "0.5", True, None, [1]])
def test_a_strength_that_is_none_is_refused(generator, adapter, tmp_path, strength):
    with pytest.raises(ModelError, match="strength of an adapter is a number over 0 and at most 1"):
        generator.load_adapter(at(tmp_path / "odd", adapter, strength))


def test_a_manifest_that_cannot_be_read_is_said(adapter, tmp_path):
    folder = at(tmp_path / "broken", adapter, 1)
    (folder / "manifest.json").write_text("[1")
    with pytest.raises(ModelError, match="cannot be read"):
        read_strength(folder)


def test_ids_of_different_strengths_differ_and_hold_no_dot():
    ids = {adapter_id("ab", strength) for strength in (1.0, 0.5, 0.05, 0.3333, 0.3334, 1e-5)}
    assert len(ids) == 6
    assert not any("." in name for name in ids)
    assert adapter_id("ab", 1.0) == "ab"


def test_one_adapter_is_unloaded_and_the_others_stay(generator, adapter):
    before = generator.base_hash()
    full, half = generator.load_adapter(adapter), generator.load_adapter(adapter, 0.5)
    wanted = answer_likelihoods(generator, [ASK], ["the fox"], adapter=full)
    generator.unload_adapter(half)
    assert generator.loaded == {full}
    assert answer_likelihoods(generator, [ASK], ["the fox"], adapter=full) == wanted
    with pytest.raises(ModelError, match="is not loaded"):
        generator.unload_adapter(half)
    generator.unload_adapter(full)
    assert generator.loaded == frozenset()
    assert not any("lora" in name for name, _ in generator.model.named_modules())
    assert generator.base_hash() == before


# -- the sweep


def test_the_sweep_measures_what_was_asked_and_leaves_the_generator_as_it_was(generator, adapter):
    held = generator.load_adapter(adapter)
    domain = [Item(ASK, "the fox"), Item(LONG, "too long"), Item(ASK, "a dog", 1)]
    points = sweep(generator, adapter, domain, GENERAL, (0.5, 1.0, 0.5), Silent())
    assert [point.strength for point in points] == [0.0, 0.5, 1.0]
    assert generator.loaded == {held}
    by_hand = answer_likelihoods(generator, [ASK, ASK], ["the fox", "a dog"], adapter=held)
    assert points[2].domain_loss == pytest.approx(-sum(by_hand) / 2, abs=1e-5)
    general = [(Message("user", "The fox jumps.\n\nWhat is said?"),), (Message("user", "What is two?"),)]
    base = answer_likelihoods(generator, general, ["the fox", "2"], lead=LEAD)
    assert points[0].general_loss == pytest.approx(-sum(base) / 2, abs=1e-5)
    assert points[0].gain == Interval(0.0, 0.0, 0.0, 2)
    assert points[1].rise.mean == pytest.approx(points[1].general_loss - points[0].general_loss)
    assert points[1].rise.low <= points[1].rise.mean <= points[1].rise.high
    assert points[2].gain.n == 2


def test_a_sweep_of_what_does_not_fit_is_refused(generator, adapter):
    with pytest.raises(ValueError, match="no held-out example"):
        sweep(generator, adapter, [Item(LONG, "x")], GENERAL, (1.0,), Silent())
    assert generator.loaded == frozenset()
