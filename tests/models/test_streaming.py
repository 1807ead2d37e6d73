"""What every generator that streams promises, asserted on each of them, and the reuse of a prompt's beginning."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from fieldguide.errors import IntegrityError, ModelError
from fieldguide.models import Generation, Generator, Message, Prompt, Streaming, load_generator
from fieldguide.models.base import stream_or_generate
from fieldguide.models.remote import RemoteGenerator
from fieldguide.models.scripted import ScriptedGenerator
from fieldguide.models.separate import SwitchingGenerator
from fieldguide.models.streaming import Pieces, PrefixCache, greedy, stamp

LIMIT = 24


@dataclass
class Subject:
    generator: Any
    adapter: Path | None


def prompt(text: str) -> Prompt:
    return (Message("system", "Answer briefly."), Message("user", text))


PROMPTS = [prompt(text) for text in ("What is a pump?", "Name the parts of an engine. " * 6, "Why?", "Größe in €?")]


def script(asked: Prompt, adapter: str | None) -> str:
    return " ".join(f"{c.strip()}{(adapter or 'base')[:4]}{i}" for i, c in enumerate(asked[-1].content))


def events(*parts: dict[str, Any] | str) -> tuple[int, str, dict[str, str]]:
    """A reply of server-sent events."""
    told = [part if isinstance(part, str) else json.dumps(part) for part in parts]
    return 200, "".join(f"data: {line}\n\n" for line in told), {"content-type": "text/event-stream"}


def piece(text: str, finish: str | None = None) -> dict[str, Any]:
    choice = {"index": 0, "delta": {"role": "assistant", "content": text}, "finish_reason": finish}
    return {"id": "c", "object": "chat.completion.chunk", "created": 0, "model": "m", "choices": [choice]}


def usage(sent: int, received: int) -> dict[str, Any]:
    counted = {"prompt_tokens": sent, "completion_tokens": received, "total_tokens": sent + received}
    return {"id": "c", "object": "chat.completion.chunk", "created": 0, "model": "m", "choices": [], "usage": counted}


def remote(chat_server: Callable[..., Any]) -> Generator:
    pytest.importorskip("langchain_openai")
    model = ScriptedGenerator(script)

    def reply(number: int, body: dict[str, Any]) -> Any:
        asked = tuple(Message(m["role"], m["content"]) for m in body["messages"])
        (made,) = model.generate([asked], max_new_tokens=body["max_tokens"])
        counts = (generator.count_tokens(asked), made.completion_tokens)
        if not body.get("stream"):
            choice = {"index": 0, "message": {"role": "assistant", "content": made.text}, "finish_reason": made.finish}
            return 200, {"choices": [choice], "usage": dict(zip(("prompt_tokens", "completion_tokens"), counts))}
        assert body["stream_options"] == {"include_usage": True}
        words = [piece(text) for text in made.text.split(" ")]
        for later in words[1:]:
            later["choices"][0]["delta"]["content"] = " " + later["choices"][0]["delta"]["content"]
        return events(piece(""), *words, piece("", made.finish), usage(*counts), "[DONE]")

    server = chat_server(reply, models=[{"id": "script", "object": "model", "max_model_len": 512}])
    generator = load_generator("remote:openai:script", url=server.url)
    return generator


def merged(model: Path, folder: Path) -> Generator:
    pytest.importorskip("ctranslate2")
    from tuning.export.ct2 import convert

    convert(model, folder, "f32")
    return load_generator(f"ct2:{folder}")


def never(folder: Path) -> Any:
    raise AssertionError(folder)


PARAMS = ["scripted", "remote", "tiny", "switching", "ct2", pytest.param("bundled", marks=pytest.mark.slow)]


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
        yield Subject(load_generator(str(tiny_model)), tiny_adapter)
    elif request.param == "switching":
        yield Subject(SwitchingGenerator(load_generator(str(tiny_model)), never), tiny_adapter)
    elif request.param == "ct2":
        yield Subject(merged(tiny_model, tmp_path_factory.mktemp("ct2") / "merged"), None)
    else:
        yield Subject(load_generator("bundled"), None)


def streamed(generator: Any, asked: Prompt, limit: int = LIMIT, adapter: str | None = None) -> tuple[Any, list[str]]:
    pieces: list[str] = []
    made = generator.stream(asked, max_new_tokens=limit, write=pieces.append, adapter=adapter)
    return made, pieces


def same(made: Generation) -> Generation:
    return replace(made, reused_tokens=0)


def test_streamed_text_is_the_generated_one_in_whole_characters(subject: Subject) -> None:
    assert isinstance(subject.generator, Streaming)
    expected = subject.generator.generate(PROMPTS, max_new_tokens=LIMIT)
    for asked, whole in zip(PROMPTS, expected, strict=True):
        made, pieces = streamed(subject.generator, asked)
        assert same(made) == whole
        assert "".join(pieces) == made.text
        assert all(pieces)
        assert len(pieces) > 1 or len(whole.text) < 3
        assert all(piece.encode("utf-8").decode("utf-8") == piece for piece in pieces)


def test_the_likelihood_is_that_of_the_generated_text(subject: Subject) -> None:
    told = streamed(subject.generator, PROMPTS[0], 6)[0].likelihood
    wanted = subject.generator.generate([PROMPTS[0]], max_new_tokens=6)[0].likelihood
    assert told == (None if wanted is None else pytest.approx(wanted, abs=2e-3))


def test_length_is_respected(subject: Subject) -> None:
    whole = subject.generator.generate([PROMPTS[1]], max_new_tokens=3)[0]
    made, pieces = streamed(subject.generator, PROMPTS[1], 3)
    assert same(made) == whole
    assert (made.finish, made.completion_tokens, "".join(pieces)) == ("length", 3, whole.text)


def test_adapter_on_off_on(subject: Subject) -> None:
    if subject.adapter is None:
        pytest.skip("it takes no adapters")
    adapter = subject.generator.load_adapter(subject.adapter)
    for on in (None, adapter, adapter, None):
        (whole,) = subject.generator.generate([PROMPTS[1]], max_new_tokens=LIMIT, adapter=on)
        made, pieces = streamed(subject.generator, PROMPTS[1], adapter=on)
        assert same(made) == whole
        assert (made.adapter, "".join(pieces)) == (on, whole.text)


def test_what_write_raises_ends_the_text_and_comes_through(subject: Subject) -> None:
    heard: list[str] = []

    def write(text: str) -> None:
        heard.append(text)
        if len(heard) == 2:
            raise KeyboardInterrupt

    whole = subject.generator.generate([PROMPTS[1]], max_new_tokens=LIMIT)[0]
    with pytest.raises(KeyboardInterrupt):
        subject.generator.stream(PROMPTS[1], max_new_tokens=LIMIT, write=write)
    assert len(heard) == 2
    assert whole.text.startswith("".join(heard))
    assert same(streamed(subject.generator, PROMPTS[1])[0]) == whole


def test_mistakes_are_errors_before_anything_is_written(subject: Subject) -> None:
    long = prompt("pump " * subject.generator.context_tokens)
    with pytest.raises(ModelError, match=r"Prompt 1 of 1 has \d+ tokens"):
        subject.generator.stream(long, max_new_tokens=2, write=never)
    with pytest.raises(ModelError, match="adapter abcd is not loaded"):
        subject.generator.stream(PROMPTS[0], max_new_tokens=2, write=never, adapter="abcd")
    with pytest.raises(ValueError, match="must be at least 1"):
        subject.generator.stream(PROMPTS[0], max_new_tokens=0, write=never)


def test_a_generator_that_cannot_stream_tells_its_text_at_once() -> None:
    class Plain:
        def __init__(self, *replies: str) -> None:
            self.generate = ScriptedGenerator(replies).generate

    told: list[str] = []
    plain: Any = Plain("two words", "")
    assert not isinstance(plain, Streaming)
    made = stream_or_generate(plain, PROMPTS[0], max_new_tokens=9, write=told.append, adapter=None)
    assert (made.text, told) == ("two words", ["two words"])
    stream_or_generate(plain, PROMPTS[0], max_new_tokens=9, write=never, adapter=None)


class Bytes:
    """A tokenizer whose tokens are bytes."""

    def decode(self, ids: list[int], **options: Any) -> str:
        return bytes(ids).decode("utf-8", "replace")


@pytest.mark.parametrize(
    ("raw", "pieces"),
    [
        ("aé€😀".encode(), ["a", "é", "€", "😀"]),
        (b"\xc3(", ["\ufffd("]),  # a byte that no character begins with
        (b"a\xe2\x82", ["a", "\ufffd"]),  # ends within a character
        ("x\ufffdy".encode(), ["x", "\ufffdy"]),
        (b"", []),
    ],
)
def test_half_a_character_is_held_back(raw: bytes, pieces: list[str]) -> None:
    told: list[str] = []
    subject = Pieces(Bytes(), told.append)
    for byte in raw:
        subject.add(byte)
    subject.end()
    assert told == pieces
    assert "".join(told) == raw.decode("utf-8", "replace")


# ---- reuse of a prompt's beginning


def conversation(passages: str, question: str) -> Prompt:
    return (Message("system", "Answer from the passages."), Message("user", f"{passages}\n\nQuestion: {question}"))


PASSAGES = "[1] The quick brown fox reported a loss of engine power. [2] The lazy dog jumps over page 12."
FIRST, FOLLOW_UP = conversation(PASSAGES, "What did the fox report?"), conversation(PASSAGES, "And the dog?")


@pytest.fixture
def tiny(tiny_model: Path) -> Any:
    return load_generator(str(tiny_model))


def shared(generator: Any, one: Prompt, other: Prompt) -> int:
    """Tokens with which both prompts begin."""
    pairs = list(zip(generator.render(one), generator.render(other)))
    return next(i for i, (a, b) in enumerate(pairs) if a != b)


def test_a_follow_up_reuses_the_shared_beginning_and_says_the_same(tiny: Any, tiny_model: Path) -> None:
    fresh = load_generator(str(tiny_model))
    assert streamed(tiny, FIRST)[0].reused_tokens == 0
    made, pieces = streamed(tiny, FOLLOW_UP)
    assert made.reused_tokens == shared(tiny, FIRST, FOLLOW_UP) > 40
    assert made.reused_tokens < made.prompt_tokens
    alone, alone_pieces = streamed(fresh, FOLLOW_UP)
    assert (same(made), pieces) == (same(alone), alone_pieces)
    assert same(made) == fresh.generate([FOLLOW_UP], max_new_tokens=LIMIT)[0]


def test_the_same_prompt_again_computes_its_last_token_alone(tiny: Any) -> None:
    first, _ = streamed(tiny, FIRST)
    again, _ = streamed(tiny, FIRST)
    assert again.reused_tokens == first.prompt_tokens - 1
    assert same(again) == first


def test_what_was_written_is_reused_too(tiny: Any) -> None:
    ids = tiny.render(FIRST)
    prefix, limit = PrefixCache(), 6
    made, _, _ = greedy(tiny.model, ids, limit, (), lambda token: None, prefix=prefix, owner="one")
    longer = [*ids, *made, *tiny.completion_ids("dog")]
    _, reused, _ = greedy(tiny.model, longer, limit, (), lambda token: None, prefix=prefix, owner="one")
    assert reused == len(ids) + limit - 1  # the last token was chosen and never read


def test_logits_over_a_reused_beginning_are_those_without(tiny: Any) -> None:
    import torch

    first, second = tiny.render(FIRST), tiny.render(FOLLOW_UP)
    prefix = PrefixCache()
    greedy(tiny.model, first, 8, (), lambda token: None, prefix=prefix, owner="one")
    cache, reused = prefix.take("one", second)
    with torch.inference_mode():
        whole = tiny.model(input_ids=torch.tensor([second])).logits[0, reused:]
        part = tiny.model(input_ids=torch.tensor([second[reused:]]), past_key_values=cache).logits[0]
    assert part.shape == whole.shape
    torch.testing.assert_close(part, whole, rtol=1e-4, atol=1e-4)


def test_another_adapter_shares_nothing(tiny: Any, tiny_adapter: Path) -> None:
    adapter = tiny.load_adapter(tiny_adapter)
    streamed(tiny, FIRST)
    assert streamed(tiny, FIRST, adapter=adapter)[0].reused_tokens == 0
    assert streamed(tiny, FIRST, adapter=adapter)[0].reused_tokens > 0
    assert streamed(tiny, FIRST)[0].reused_tokens == 0


def test_loading_and_unloading_adapters_drops_the_state(tiny: Any, tiny_adapter: Path, other_adapter: Path) -> None:
    streamed(tiny, FIRST)
    one = tiny.load_adapter(tiny_adapter)
    assert streamed(tiny, FIRST)[0].reused_tokens == 0
    tiny.load_adapter(other_adapter)
    assert streamed(tiny, FIRST)[0].reused_tokens == 0
    tiny.unload_adapter(one)
    assert streamed(tiny, FIRST)[0].reused_tokens == 0
    tiny.unload_adapters()
    assert streamed(tiny, FIRST)[0].reused_tokens == 0
    assert streamed(tiny, FIRST)[0].reused_tokens > 0


def test_changed_weights_share_nothing(tiny: Any) -> None:
    import torch

    streamed(tiny, FIRST)
    before = stamp(tiny.model)
    with torch.no_grad():
        next(tiny.model.parameters()).add_(0.25)
    assert stamp(tiny.model) != before
    changed, _ = streamed(tiny, FIRST)
    assert changed.reused_tokens == 0
    assert same(changed) == tiny.generate([FIRST], max_new_tokens=LIMIT)[0]


def test_an_interrupted_text_leaves_no_half_state(tiny: Any) -> None:
    streamed(tiny, FIRST)
    with pytest.raises(ZeroDivisionError):
        tiny.stream(FOLLOW_UP, max_new_tokens=LIMIT, write=lambda text: 1 / 0)
    made, _ = streamed(tiny, FOLLOW_UP)
    assert made.reused_tokens == 0
    assert same(made) == tiny.generate([FOLLOW_UP], max_new_tokens=LIMIT)[0]


def test_a_state_that_cannot_be_cut_is_not_kept(tiny: Any) -> None:
    from transformers import DynamicCache, MistralConfig

    prefix = PrefixCache()
    sliding = DynamicCache(config=MistralConfig(sliding_window=4, num_hidden_layers=1))
    prefix.keep("one", [1, 2], sliding)
    assert prefix.take("one", [1, 2, 3]) == (None, 0)
    prefix.keep("one", [1, 2], DynamicCache())  # of another length than the tokens
    assert prefix.take("one", [1, 2, 3]) == (None, 0)


def test_the_adapter_is_read_off_the_weights(tiny: Any, tiny_adapter: Path) -> None:
    adapter = tiny.load_adapter(tiny_adapter)
    tiny._switch = lambda wanted: None  # as if switching had failed
    with pytest.raises(IntegrityError, match="was asked for and none is on"):
        tiny.stream(FIRST, max_new_tokens=2, write=never, adapter=adapter)


# ---- a server that fails


def failing(number: int, body: dict[str, Any]) -> Any:
    return 503, {"error": {"message": "overloaded", "type": "x"}}


@pytest.fixture
def connect(chat_server: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    pytest.importorskip("langchain_openai")
    monkeypatch.setattr("fieldguide.models.remote.sleep", lambda seconds: None)

    def start(reply: Callable[[int, dict[str, Any]], Any]) -> tuple[Any, RemoteGenerator]:
        server = chat_server(reply)
        return server, RemoteGenerator("openai:m", url=server.url)

    return start


def test_a_request_is_repeated_before_the_first_piece(connect: Callable[..., Any]) -> None:
    good = events(piece("It "), piece("moves.", "stop"), usage(7, 2), "[DONE]")
    server, generator = connect(lambda n, body: failing(n, body) if n < 3 else good)
    made, pieces = streamed(generator, PROMPTS[0])
    assert (made, pieces) == (Generation("It moves.", 7, 2, "stop", None), ["It ", "moves."])
    assert len(server.bodies) == 3


def test_an_error_before_the_first_piece_in_a_good_reply_is_repeated(connect: Callable[..., Any]) -> None:
    busy = events(piece(""), {"error": {"message": "overloaded", "code": 503}})
    server, generator = connect(lambda n, body: busy)
    with pytest.raises(ModelError):
        streamed(generator, PROMPTS[0])
    assert 1 <= len(server.bodies) <= 7


def test_a_reply_that_breaks_off_is_an_error_and_not_repeated(connect: Callable[..., Any]) -> None:
    broken = events(piece("It "), {"error": {"message": "gone", "code": 503}})
    server, generator = connect(lambda n, body: broken)
    told: list[str] = []
    with pytest.raises(ModelError, match="The reply broke off after it had begun"):
        generator.stream(PROMPTS[0], max_new_tokens=9, write=told.append)
    assert (told, len(server.bodies)) == (["It "], 1)


def test_a_server_that_counts_no_streams_is_asked_without(connect: Callable[..., Any]) -> None:
    good = events(piece("Yes.", "stop"), "[DONE]")
    refusal = 400, {"error": {"message": "unknown field stream_options", "type": "x"}}
    _, generator = connect(lambda n, body: refusal if "stream_options" in body else good)
    made, _ = streamed(generator, PROMPTS[0])
    assert (made.text, made.prompt_tokens) == ("Yes.", generator.count_tokens(PROMPTS[0]))
    assert made.completion_tokens > 0


@pytest.mark.parametrize("kind", ["tiny", "ct2"])
def test_the_end_token_ends_the_text_and_is_not_in_it(kind: str, tiny_model: Path, tmp_path: Path) -> None:
    subject: Any = load_generator(str(tiny_model)) if kind == "tiny" else merged(tiny_model, tmp_path / "merged")
    whole, _ = streamed(subject, PROMPTS[1])
    row = subject.chat.render(PROMPTS[1])
    if kind == "tiny":
        ids, _, _ = greedy(subject.model, row, LIMIT, (), lambda token: None, prefix=PrefixCache(), owner="one")
    else:
        [(ids, _)] = subject._greedy([row], LIMIT, ())
    end = next(token for n, token in enumerate(ids) if n >= 4 and token not in ids[:n])
    subject._end_ids = (end,)
    if kind == "tiny":
        subject.model.generation_config.eos_token_id = [end]
    (cut,) = subject.generate([PROMPTS[1]], max_new_tokens=LIMIT)
    made, pieces = streamed(subject, PROMPTS[1])
    assert same(made) == cut
    assert (made.finish, "".join(pieces)) == ("stop", cut.text)
    assert whole.text.startswith(cut.text)
    assert 4 <= made.completion_tokens < LIMIT
