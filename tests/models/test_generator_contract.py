"""What every Generator promises, asserted on each of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from fieldguide.errors import ModelError
from fieldguide.files import file_hash
from fieldguide.models import Generator, Message, Prompt, load_generator
from fieldguide.models.bundled import generator_folder
from fieldguide.models.scripted import ScriptedGenerator
from fieldguide.models.tiny import write_tiny_adapter


@dataclass
class Subject:
    generator: Generator
    adapter: Path | None


def prompt(text: str) -> Prompt:
    return (Message("system", "Answer briefly."), Message("user", text))


PROMPTS = [prompt(text) for text in ("What is a pump?", "Name the parts of an engine. " * 6, "Why?", "Count to 9.")]


def script(asked: Prompt, adapter: str | None) -> str:
    """One word for each character of the question: the character, then the adapter's first letters, then its place."""
    return " ".join(f"{c.strip()}{(adapter or 'base')[:4]}{i}" for i, c in enumerate(asked[-1].content))


def remote(chat_server: Callable[..., Any]) -> Generator:
    """A generator whose server plays the script and counts a prompt's tokens as it is estimated here."""
    pytest.importorskip("langchain_openai")
    model = ScriptedGenerator(script)

    def reply(number: int, body: dict[str, Any]) -> tuple[int, Any]:
        asked = tuple(Message(m["role"], m["content"]) for m in body["messages"])
        options = {"temperature": body["temperature"], "seed": body["seed"], "stop": body.get("stop", ())}
        (made,) = model.generate([asked], max_new_tokens=body["max_tokens"], **options)
        choice = {"index": 0, "message": {"role": "assistant", "content": made.text}, "finish_reason": made.finish}
        usage = {"prompt_tokens": generator.count_tokens(asked), "completion_tokens": made.completion_tokens}
        return 200, {"choices": [choice], "usage": usage}

    server = chat_server(reply, models=[{"id": "script", "object": "model", "max_model_len": 512}])
    generator = load_generator("remote:openai:script", url=server.url, concurrency=3)
    return generator


def merged(model: Path, folder: Path) -> Generator:
    """The tiny model as CTranslate2 runs it."""
    pytest.importorskip("ctranslate2")
    from tuning.export.ct2 import convert

    convert(model, folder, "f32")
    return load_generator(f"ct2:{folder}", batch_tokens=128)


@pytest.fixture
def adapter_folder(subject: Subject) -> Path:
    if subject.adapter is None:
        pytest.skip("a remote or a merged model takes no adapters")
    return subject.adapter


PARAMS = ["scripted", "remote", "tiny", "ct2", pytest.param("bundled", marks=pytest.mark.slow)]


@pytest.fixture(scope="module", params=PARAMS)
def subject(
    request: pytest.FixtureRequest,
    tiny_model: Path,
    tiny_adapter: Path,
    tmp_path_factory: pytest.TempPathFactory,
    chat_server: Callable[..., Any],
) -> Iterator[Subject]:
    if request.param == "scripted":
        yield Subject(ScriptedGenerator(script, context_tokens=512), tiny_adapter)
    elif request.param == "remote":
        yield Subject(remote(chat_server), None)
    elif request.param == "tiny":
        yield Subject(load_generator(str(tiny_model), batch_tokens=128), tiny_adapter)
    elif request.param == "ct2":
        yield Subject(merged(tiny_model, tmp_path_factory.mktemp("ct2") / "merged"), None)
    else:
        base = generator_folder(None, None, print)
        adapter = write_tiny_adapter(tmp_path_factory.mktemp("bundled"), base)
        yield Subject(load_generator("bundled", batch_tokens=128), adapter)


def test_batches_equal_singles_in_the_order_given(subject: Subject) -> None:
    together = subject.generator.generate(PROMPTS, max_new_tokens=8)
    alone = [subject.generator.generate([p], max_new_tokens=8)[0] for p in PROMPTS]
    backwards = subject.generator.generate(PROMPTS[::-1], max_new_tokens=8)[::-1]
    assert together == alone == backwards
    assert len({generation.text for generation in together}) == len(PROMPTS)
    assert [g.prompt_tokens for g in together] == [subject.generator.count_tokens(p) for p in PROMPTS]


def test_no_prompts_give_nothing(subject: Subject) -> None:
    assert subject.generator.generate([], max_new_tokens=8) == []


def test_length_is_respected(subject: Subject) -> None:
    (short,) = subject.generator.generate([PROMPTS[1]], max_new_tokens=3)
    (longer,) = subject.generator.generate([PROMPTS[1]], max_new_tokens=5)
    assert (short.finish, short.completion_tokens) == ("length", 3)
    assert longer.text.startswith(short.text)
    assert len(longer.text) > len(short.text)


def test_stop_ends_the_text_and_is_not_in_it(subject: Subject) -> None:
    (full,) = subject.generator.generate([PROMPTS[1]], max_new_tokens=12)
    stop = next(c for c in full.text[3:] if c.isascii() and c.isalnum())
    (cut,) = subject.generator.generate([PROMPTS[1]], max_new_tokens=12, stop=[stop, "never to be seen"])
    assert cut.text == full.text[: full.text.index(stop)]
    assert cut.finish == "stop"
    assert cut.completion_tokens < full.completion_tokens
    (same,) = subject.generator.generate([PROMPTS[1]], max_new_tokens=12, stop=["never to be seen"])
    assert same == full


def test_stop_of_one_row_leaves_the_others_alone(subject: Subject) -> None:
    full = subject.generator.generate(PROMPTS, max_new_tokens=12)
    stop = next(c for c in full[1].text[3:] if c.isascii() and c.isalnum())
    for cut, whole in zip(subject.generator.generate(PROMPTS, max_new_tokens=12, stop=[stop]), full, strict=True):
        assert cut.text == whole.text.split(stop)[0]


def test_seed_decides_samples_and_nothing_at_temperature_0(subject: Subject) -> None:
    def texts(seed: int, temperature: float, prompts: list[Prompt] = PROMPTS) -> list[str]:
        made = subject.generator.generate(prompts, max_new_tokens=8, temperature=temperature, seed=seed)
        return [generation.text for generation in made]

    assert texts(1, 1.5) == texts(1, 1.5)
    assert texts(1, 1.5) != texts(2, 1.5)
    assert texts(1, 1.5)[::-1] == texts(1, 1.5, PROMPTS[::-1])
    assert texts(1, 0.0) == texts(2, 0.0)


def test_adapter_on_off_on(subject: Subject, adapter_folder: Path) -> None:
    generator = subject.generator
    base = generator.generate(PROMPTS, max_new_tokens=8)
    adapter = generator.load_adapter(adapter_folder)
    assert adapter == file_hash(adapter_folder / "adapter_model.safetensors")
    assert generator.load_adapter(adapter_folder) == adapter
    tuned = generator.generate(PROMPTS, max_new_tokens=8, adapter=adapter)
    off = generator.generate(PROMPTS, max_new_tokens=8)
    on = generator.generate(PROMPTS, max_new_tokens=8, adapter=adapter)
    assert off == base
    assert on == tuned
    assert [g.text for g in tuned] != [g.text for g in base]
    assert {g.adapter for g in tuned} == {adapter}
    assert {g.adapter for g in base} == {None}


def test_base_hash_is_the_same_before_with_and_after_an_adapter(subject: Subject, adapter_folder: Path) -> None:
    generator = subject.generator
    before = generator.base_hash()
    adapter = generator.load_adapter(adapter_folder)
    loaded = generator.base_hash()
    generator.generate(PROMPTS[:1], max_new_tokens=2, adapter=adapter)
    assert before == loaded == generator.base_hash()
    assert len(before) == 64
    assert generator.id.rpartition(":")[2] == before[:16]


def test_unknown_adapter_is_an_error(subject: Subject) -> None:
    with pytest.raises(ModelError, match="adapter abcd is not loaded"):
        subject.generator.generate(PROMPTS[:1], max_new_tokens=2, adapter="abcd")


@pytest.mark.usefixtures("adapter_folder")
def test_folder_without_an_adapter_is_an_error(subject: Subject, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"adapter_model.safetensors is missing"):
        subject.generator.load_adapter(tmp_path)


def test_prompt_over_the_limit_is_an_error_before_any_work(subject: Subject) -> None:
    long = prompt("pump " * subject.generator.context_tokens)
    with pytest.raises(ModelError, match=r"Prompt 2 of 2 has \d+ tokens"):
        subject.generator.generate([PROMPTS[0], long], max_new_tokens=2)
    limit = subject.generator.context_tokens - subject.generator.count_tokens(PROMPTS[0])
    with pytest.raises(ModelError, match="Prompt 1 of 1"):
        subject.generator.generate(PROMPTS[:1], max_new_tokens=limit + 1)


@pytest.mark.parametrize(
    "options", [{"max_new_tokens": 0}, {"max_new_tokens": 1, "temperature": -1.0}, {"max_new_tokens": 1, "stop": [""]}]
)
def test_impossible_options_are_errors(subject: Subject, options: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="must be at least"):
        subject.generator.generate(PROMPTS[:1], **options)  # type: ignore[arg-type]


def test_progress_counts_every_prompt_once(subject: Subject) -> None:
    counts: list[int] = []
    subject.generator.on_batch = counts.append  # type: ignore[attr-defined]
    subject.generator.generate(PROMPTS, max_new_tokens=2)
    subject.generator.on_batch = None  # type: ignore[attr-defined]
    assert sum(counts) == len(PROMPTS)


def test_likelihood_is_what_a_forward_pass_gives(subject: Subject, tiny_model: Path) -> None:
    made = subject.generator.generate(PROMPTS, max_new_tokens=6)
    if not hasattr(subject.generator, "tokenizer"):
        assert [generation.likelihood for generation in made] == [None] * len(PROMPTS)
        return
    import torch

    compared = 0
    judge: Any = subject.generator if hasattr(subject.generator, "using") else load_generator(str(tiny_model))
    for prompt_, generation in zip(PROMPTS, made, strict=True):
        before = judge.render(prompt_)
        new = judge.tokenizer(generation.text, add_special_tokens=False)["input_ids"]
        if judge.tokenizer.decode(new) != generation.text or len(new) != generation.completion_tokens:
            continue  # text that does not come back as the same tokens
        new += [judge.chat.end_id] * (generation.finish == "stop")
        with torch.inference_mode():
            logits = judge.model(torch.tensor([before + new])).logits[0, len(before) - 1 : -1].float()
        wanted = logits.log_softmax(-1).gather(-1, torch.tensor(new)[:, None]).mean()
        assert generation.likelihood == pytest.approx(float(wanted), abs=2e-3)
        compared += 1
    assert compared
