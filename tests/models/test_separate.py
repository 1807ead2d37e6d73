"""A generator in a process of its own: what it serves is what was trained, and its end is told, not guessed."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fieldguide.errors import IntegrityError, ModelError
from fieldguide.files import file_hash, write_json
from fieldguide.models import Message, Prompt
from fieldguide.models.rewriting import nf4, prepared
from fieldguide.models.rewritten_generator import RewrittenGenerator
from fieldguide.models.separate import SeparateGenerator, SwitchingGenerator
from fieldguide.models.tiny import write_tiny_model
from fieldguide.models.transformers_generator import TransformersGenerator

PROMPTS: list[Prompt] = [(Message("user", text),) for text in ("what is a pump", "Name the parts. " * 6, "Why?")]


def rewriting_adapter(folder: Path, model_folder: Path, kind: str) -> tuple[Path, list[str]]:
    """An adapter that rewrites its base, and what base and adapter say together, each in this process."""
    import torch
    from peft import LoraConfig, get_peft_model
    from peft.tuners.lora.config import KasaConfig

    options: dict[str, Any] = {
        "kasa": {"kasa_config": KasaConfig()},
        "loftq": {"init_lora_weights": "loftq", "loftq_config": {"loftq_bits": 4, "loftq_iter": 1}},
    }[kind]
    base = TransformersGenerator(model_folder, name="tiny")
    config = LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", task_type="CAUSAL_LM", **options)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        model = get_peft_model(base.model, prepared(config))
        for name, weight in model.named_parameters():
            if "lora_B" in name:
                weight.data += torch.randn_like(weight) * 0.3
    model.save_pretrained(str(folder))
    said = []
    model.eval()
    for prompt in PROMPTS:
        ids = torch.tensor([base.render(prompt)])
        with torch.no_grad():
            out = model.generate(input_ids=ids, max_new_tokens=8, do_sample=False)
        said.append(base._finish(0, out[0, ids.shape[1] :].tolist(), (), None).text)
    return folder, said


@pytest.fixture(scope="module")
def kasa(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    return rewriting_adapter(tmp_path_factory.mktemp("kasa") / "adapter", tiny_model, "kasa")


@pytest.fixture(scope="module")
def separate(tiny_model: Path, kasa: tuple[Path, list[str]]) -> Iterator[SeparateGenerator]:
    with SeparateGenerator(tiny_model, kasa[0], name="tiny") as made:
        yield made


def texts(generator: Any, adapter: str | None) -> list[str]:
    return [made.text for made in generator.generate(PROMPTS, max_new_tokens=8, adapter=adapter)]


def test_the_process_says_what_base_and_adapter_say_together(
    separate: SeparateGenerator, kasa: tuple[Path, list[str]], tiny_model: Path
) -> None:
    base = TransformersGenerator(tiny_model, name="tiny")
    made = separate.generate(PROMPTS, max_new_tokens=8, adapter=separate.adapter)
    assert [one.text for one in made] == kasa[1] != texts(base, None)
    assert {one.adapter for one in made} == {file_hash(kasa[0] / "adapter_model.safetensors")}
    assert separate.id == base.id
    assert separate.context_tokens == base.context_tokens
    assert [one.prompt_tokens for one in made] == [separate.count_tokens(prompt) for prompt in PROMPTS]
    assert separate.count_tokens(PROMPTS[1]) == base.count_tokens(PROMPTS[1])


def test_the_base_is_rewritten_there_and_stays_so(separate: SeparateGenerator, tiny_model: Path) -> None:
    before = separate.base_hash()
    assert before != TransformersGenerator(tiny_model, name="tiny").base_hash()
    texts(separate, separate.adapter)
    assert separate.base_hash() == before


def test_progress_and_samples_by_seed(separate: SeparateGenerator) -> None:
    counts: list[int] = []
    separate.on_batch = counts.append
    drawn = [
        separate.generate(PROMPTS, max_new_tokens=6, temperature=1.5, seed=seed, adapter=separate.adapter)
        for seed in (1, 1, 2)
    ]
    separate.on_batch = None
    assert sum(counts) == 3 * len(PROMPTS)
    assert drawn[0] == drawn[1] != drawn[2]


def test_loading_its_own_adapter_is_harmless_and_another_is_an_error(
    separate: SeparateGenerator, kasa: tuple[Path, list[str]], tiny_adapter: Path
) -> None:
    assert separate.load_adapter(kasa[0]) == separate.adapter
    with pytest.raises(ModelError, match="needs its own process"):
        separate.load_adapter(tiny_adapter)


def test_the_base_alone_is_refused_and_errors_of_the_child_are_ours(separate: SeparateGenerator) -> None:
    with pytest.raises(ModelError, match="ask the base model elsewhere"):
        texts(separate, None)
    with pytest.raises(ModelError, match="abcd is not loaded"):
        texts(separate, "abcd")
    with pytest.raises(ModelError, match=r"Prompt 1 of 1 has \d+ tokens"):
        separate.generate([(Message("user", "pump " * 600),)], max_new_tokens=2, adapter=separate.adapter)
    assert texts(separate, separate.adapter)  # and it goes on after them


def test_nf4_has_16_values_a_block_and_is_a_fixed_point() -> None:
    pytest.importorskip("bitsandbytes")
    import torch

    weight = torch.randn(8, 64, generator=torch.Generator().manual_seed(0))
    once = nf4(weight)
    assert all(len(set(row.tolist())) <= 16 for row in once)
    assert 0 < (once - weight).abs().max() < weight.abs().max() * 0.2
    assert nf4(weight.to(torch.bfloat16)).dtype == torch.bfloat16


def test_what_cannot_be_loaded_is_told_from_the_child(tmp_path: Path, kasa: tuple[Path, list[str]]) -> None:
    with pytest.raises(ModelError, match=r"'nothing' at .* cannot be loaded"):
        SeparateGenerator(tmp_path, kasa[0], name="nothing")


def test_adapters_of_another_base_or_without_weights_are_refused(
    tiny_model: Path, kasa: tuple[Path, list[str]], tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match=r"adapter_model.safetensors is missing"):
        RewrittenGenerator(tiny_model, tmp_path, name="tiny")
    folder = tmp_path / "adapter"
    folder.mkdir()
    for name in ("adapter_model.safetensors", "adapter_config.json"):
        (folder / name).write_bytes((kasa[0] / name).read_bytes())
    write_json(folder / "manifest.json", {"base_hash": TransformersGenerator(tiny_model, name="tiny").base_hash()})
    with pytest.raises(ModelError, match="trained on another base model"):
        RewrittenGenerator(write_tiny_model(tmp_path / "other", seed=9), folder, name="other")
    write_json(folder / "manifest.json", {"strength": 0.5})
    with pytest.raises(ModelError, match="strength can only be 1"):
        RewrittenGenerator(tiny_model, folder, name="tiny")


def test_one_generator_for_base_plain_and_rewriting_adapters_until_a_child_dies(
    tiny_model: Path, tiny_adapter: Path, tmp_path: Path
) -> None:
    pytest.importorskip("bitsandbytes")
    folder, expected = rewriting_adapter(tmp_path / "loftq", tiny_model, "loftq")
    local = TransformersGenerator(tiny_model, name="tiny")
    base, started = texts(local, None), []

    def start(adapter: Path) -> SeparateGenerator:
        started.append(SeparateGenerator(tiny_model, adapter, name="tiny"))
        return started[-1]

    both = SwitchingGenerator(local, start)
    rewriting, plain = both.load_adapter(folder), both.load_adapter(tiny_adapter)
    assert both.load_adapter(folder) == rewriting
    assert texts(both, rewriting) == expected
    assert texts(both, plain) == texts(local, plain)
    assert texts(both, None) == base
    assert len(started) == 1
    os.kill(started[0]._child.pid, signal.SIGKILL)
    with pytest.raises(ModelError, match=r"has ended .killed by signal 9; too little memory"):
        texts(both, rewriting)
    with pytest.raises(ModelError, match="has ended"):
        started[0].base_hash()
    assert texts(both, None) == base
    both.close()
    both.close()
    with pytest.raises(ModelError, match="is not loaded"):
        texts(both, rewriting)


def test_another_base_in_the_process_is_an_error(tiny_model: Path, kasa: tuple[Path, list[str]]) -> None:
    closed: list[bool] = []
    stranger: Any = SimpleNamespace(id="tiny:0000", close=lambda: closed.append(True))
    both = SwitchingGenerator(TransformersGenerator(tiny_model, name="tiny"), lambda folder: stranger)
    with pytest.raises(IntegrityError, match="has the base tiny:0000"):
        both.load_adapter(kasa[0])
    assert closed == [True]


def test_closing_ends_the_process(separate: SeparateGenerator) -> None:
    separate.close()
    assert separate._child._process.returncode == 0
    separate.close()
