"""The remote generator against a real server on this machine."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fieldguide.errors import ModelError
from fieldguide.models import Generation, Message, Prompt, load_generator
from fieldguide.models.parallel import Unfinished, in_parallel
from fieldguide.models.remote import RemoteGenerator, estimate_tokens, neutralise

pytest.importorskip("langchain_openai")

ASK: Prompt = (Message("system", "Be brief."), Message("user", "What is a pump?"))
Reply = tuple[int, Any] | tuple[int, Any, dict[str, str]]


def chat(text: str, finish: str = "stop", **usage: Any) -> Reply:
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": finish}
    return 200, {"choices": [choice], "usage": {"prompt_tokens": 11, "completion_tokens": 5} | usage}


def refusal(status: int, message: str, code: str | None = None) -> Reply:
    return status, {"error": {"message": message, "type": "x", "param": None, "code": code}}


def asked(number: int) -> Prompt:
    return (Message("user", f"number {number}"),)


@pytest.fixture(autouse=True)
def _no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_ADMIN_KEY", "OPENAI_API_BASE", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("fieldguide.models.remote.sleep", lambda seconds: None)


@pytest.fixture(scope="module")
def server(chat_server: Callable[..., Any]) -> Any:
    return chat_server(lambda n, body: chat("nothing"))


@pytest.fixture
def connect(server: Any) -> Callable[..., tuple[Any, RemoteGenerator]]:
    """The module's server with another script, and a new generator that asks it."""

    def start(reply: Callable[[int, dict[str, Any]], Reply], models: Any = None, **options: Any) -> tuple[Any, Any]:
        server.reset(reply, models)
        return server, RemoteGenerator("openai:m", url=server.url, **options)

    return start


Connect = Callable[..., tuple[Any, RemoteGenerator]]


def test_everything_is_passed_on_and_real_tokens_come_back(connect: Connect) -> None:
    server, generator = connect(lambda n, body: chat("It moves water. END more", "stop"))
    options: dict[str, Any] = {
        "max_new_tokens": 9,
        "temperature": 0.5,
        "seed": 7,
        "stop": ["END", "!b", "!c", "!d", "!e"],
    }
    assert generator.generate([ASK], **options) == [Generation("It moves water. ", 11, 5, "stop", None, 0.0)]
    (body,) = server.bodies
    assert body["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "What is a pump?"},
    ]
    assert {k: v for k, v in body.items() if k not in ("messages", "stream")} == {
        "model": "m", "max_tokens": 9, "temperature": 0.5, "seed": 7, "stop": ["END", "!b", "!c", "!d"],
    }  # fmt: skip
    assert server.keys == ["Bearer none"]


def test_key_comes_from_the_environment_and_is_in_no_id(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    without = connect(lambda n, body: chat("a"))[1]
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    server, generator = connect(lambda n, body: chat("a"))
    generator.generate([ASK], max_new_tokens=5)
    assert server.keys == ["Bearer sk-secret"]
    assert generator.id == without.id == f"remote:openai:m:{without.base_hash()[:16]}"
    assert len(generator.base_hash()) == 64
    assert "secret" not in generator.id


def test_address_from_the_environment(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    server, generator = connect(lambda n, body: chat("a"))
    monkeypatch.setenv("OPENAI_BASE_URL", server.url)
    elsewhere = RemoteGenerator("openai:m")
    assert elsewhere.id == generator.id
    assert elsewhere.generate([ASK], max_new_tokens=5)[0].text == "a"


def test_ids_differ_by_model_and_address() -> None:
    urls = ["http://localhost:1/v1", "http://localhost:2/v1", "http://localhost:1/v1/"]
    first, second, same = (RemoteGenerator("openai:m", url=url).id for url in urls)
    assert first == same != second
    assert RemoteGenerator("openai:n", url=urls[0]).id != first


@pytest.mark.parametrize(
    ("usage", "money"),
    [
        ({}, 11 * 2.0 / 1e6 + 5 * 8.0 / 1e6),
        ({"cost": 0.25}, 0.25),
        ({"cost": {"total_cost": 0.5}}, 0.5),
        ({"cost": 0}, 0),
    ],
)
def test_money_is_what_the_provider_tells_else_by_price(connect: Connect, usage: dict[str, Any], money: float) -> None:
    generator = connect(lambda n, body: chat("a", **usage), prices=(2.0, 8.0))[1]
    assert generator.generate([ASK], max_new_tokens=5)[0].money == money
    free = connect(lambda n, body: chat("a", **usage))[1]
    assert not free.money_known
    free.generate([ASK], max_new_tokens=5)
    assert free.money_known is bool(usage)


def test_length_and_missing_usage(connect: Connect) -> None:
    generator = connect(lambda n, body: (200, {"choices": chat("a pump it is", "length")[1]["choices"]}))[1]
    (made,) = generator.generate([ASK], max_new_tokens=4)
    assert made == Generation(
        "a pump it is", generator.count_tokens(ASK), estimate_tokens("a pump it is"), "length", None
    )


def test_rate_limits_and_failures_are_tried_again(connect: Connect) -> None:
    script = {1: 429, 2: 500, 3: 503, 4: 429}
    server, generator = connect(lambda n, body: refusal(script[n], "later") if n in script else chat("done"))
    assert generator.generate([ASK], max_new_tokens=5)[0].text == "done"
    assert len(server.bodies) == 5


def test_tries_are_bounded(connect: Connect) -> None:
    server, generator = connect(lambda n, body: refusal(500, "out of order"))
    with pytest.raises(ModelError, match=rf"^The server at {server.url} fails with status 500: .*\(out of order\)$"):
        generator.generate([ASK], max_new_tokens=5)
    assert len(server.bodies) == 7
    limited, generator = connect(lambda n, body: refusal(429, "slow down"))
    with pytest.raises(ModelError, match=r"takes no more requests for now: wait, lower models.concurrency"):
        generator.generate([ASK], max_new_tokens=5)
    assert len(limited.bodies) == 7


def test_failures_in_the_body_of_a_good_reply(connect: Connect) -> None:
    def reply(number: int, body: dict[str, Any]) -> Reply:
        return (200, {"error": {"code": 502, "message": "upstream"}}) if number < 3 else chat("done")

    server, generator = connect(reply)
    assert generator.generate([ASK], max_new_tokens=5)[0].text == "done"
    assert len(server.bodies) == 3
    refused = connect(lambda n, body: (200, {"error": {"code": 401, "message": "no"}}))[1]
    with pytest.raises(ModelError, match=r"refuses the key \(401\)"):
        refused.generate([ASK], max_new_tokens=5)


def test_wrong_key_is_one_request_and_not_repeated(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    server, generator = connect(lambda n, body: refusal(401, "Incorrect API key provided: sk-secret"), concurrency=1)
    with pytest.raises(
        ModelError, match=r"refuses the key \(401\): check the environment variable OPENAI_API_KEY\.$"
    ) as caught:
        generator.generate([asked(n) for n in range(5)], max_new_tokens=5)
    assert "secret" not in str(caught.value)
    assert len(server.bodies) == 1


def test_unknown_model_names_those_that_are_there(connect: Connect) -> None:
    models = [{"id": "llama", "object": "model"}, {"id": "qwen", "object": "model"}]
    server, generator = connect(lambda n, body: refusal(404, "no such model"), models=models)
    with pytest.raises(
        ModelError, match=r"has no model m \(it has llama, qwen\): mend models.generator or models.url\.$"
    ):
        generator.generate([ASK], max_new_tokens=5)
    wrong = RemoteGenerator("openai:m", url=server.url.removesuffix("/v1"))
    with pytest.raises(ModelError, match=r'The address of most servers ends in "/v1"\.$'):
        wrong.generate([ASK], max_new_tokens=5)


@pytest.mark.parametrize(
    ("status", "message", "code"),
    [
        (
            400,
            "This model's maximum context length is 4096 tokens, you asked for 5000 tokens",
            "context_length_exceeded",
        ),
        (400, "This model's maximum context length is 4096 tokens. 'max_tokens' is too large: 9000.", None),
        (400, "the request exceeds the available context size, try increasing it", None),
        (400, "prompt is too long: 5000 tokens > 4096 maximum", None),
    ],
)
def test_long_context(connect: Connect, status: int, message: str, code: str | None) -> None:
    server, generator = connect(lambda n, body: refusal(status, message, code))
    with pytest.raises(ModelError, match=r"^A prompt is too long for m: show fewer or shorter passages"):
        generator.generate([ASK], max_new_tokens=5)
    assert len(server.bodies) == 1


def test_replies_that_are_none(connect: Connect) -> None:
    for body in ("<html>hello</html>", {"choices": None}, {"choices": []}, {}):
        generator = connect(lambda n, _, body=body: (200, body))[1]
        with pytest.raises(ModelError, match="gave a reply that cannot be read: "):
            generator.generate([ASK], max_new_tokens=5)


def test_unreachable_server_is_told_at_once() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/v1"
    generator = RemoteGenerator("openai:m", url=url)
    with pytest.raises(ModelError, match=f"^The server at {url} cannot be reached: check that it runs"):
        generator.generate([ASK], max_new_tokens=5)


def test_slow_replies_run_at_the_same_time_and_come_in_order(connect: Connect) -> None:
    four = threading.Barrier(4)

    def reply(number: int, body: dict[str, Any]) -> Reply:
        text = body["messages"][0]["content"]
        four.wait(20)
        time.sleep(0.02 if text[-1] in "02" else 0.0)
        return chat(f"reply to {text}")

    server, generator = connect(reply, concurrency=4)
    made = generator.generate([asked(n) for n in range(12)], max_new_tokens=5)
    assert [g.text for g in made] == [f"reply to number {n}" for n in range(12)]
    assert server.most_at_once == 4
    server.reply = lambda number, body: chat("a")
    counted: list[int] = []
    generator.on_batch = counted.append
    generator.generate([asked(n) for n in range(3)], max_new_tokens=5)
    assert counted == [1, 1, 1]


def test_no_answer_in_time(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    impatient = SimpleNamespace(**(vars(time) | {"sleep": lambda seconds: None}))
    monkeypatch.setattr("openai._base_client.time", impatient)  # it waits 20 seconds over six tries
    generator = connect(lambda n, body: (time.sleep(0.3), chat("late"))[1], seconds=0.02)[1]
    with pytest.raises(ModelError, match=r"gave no answer in time"):
        generator.generate([ASK], max_new_tokens=5)


def test_replies_that_came_before_a_failure_are_handed_over(connect: Connect) -> None:
    three = threading.Barrier(3)

    def reply(number: int, body: dict[str, Any]) -> Reply:
        text = body["messages"][0]["content"]
        if number <= 3:
            three.wait(20)
        if text == "number 1":
            return refusal(400, "I will not")
        time.sleep(0.2)
        return chat(text.upper())

    server, generator = connect(reply, concurrency=3)
    with pytest.raises(Unfinished, match=r"refuses the request \(400\): I will not") as caught:
        generator.generate([asked(n) for n in range(9)], max_new_tokens=5)
    finished = {n: g.text for n, g in caught.value.finished.items()}
    assert finished.items() >= {0: "NUMBER 0", 2: "NUMBER 2"}.items()
    assert len(server.bodies) < 9
    assert len(finished) == len(server.bodies) - 1


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("temperature", "Unsupported value: 'temperature' does not support 0 with this model."),
        ("seed", "body.seed: Extra inputs are not permitted"),
        ("stop", "Unsupported parameter: 'stop' is not supported with this model."),
    ],
)
def test_options_that_a_model_refuses_are_left_out(connect: Connect, option: str, message: str) -> None:
    said: list[str] = []
    server, generator = connect(
        lambda n, body: refusal(400, message) if option in body else chat("one END"), say=said.append, concurrency=4
    )
    made = generator.generate([asked(n) for n in range(6)], max_new_tokens=5, stop=["END"])
    assert [g.text for g in made] == ["one "] * 6
    assert len(server.bodies) <= 6 + 4
    assert [option in text for text in said] == ([] if option == "stop" else [True])


def test_the_older_and_the_newer_name_of_the_limit(connect: Connect) -> None:
    message = (
        "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
    )
    server, generator = connect(lambda n, body: refusal(400, message) if "max_tokens" in body else chat("one"))
    generator.generate([ASK], max_new_tokens=5)
    assert [(b.get("max_tokens"), b.get("max_completion_tokens")) for b in server.bodies] == [(5, None), (None, 5)]


@pytest.mark.parametrize(
    ("entry", "window"),
    [({"max_model_len": 700}, 700), ({"context_length": 900}, 900), ({"meta": {"n_ctx": 512}}, 512), ({}, 4096)],
)
def test_window_as_the_server_tells_it(connect: Connect, entry: dict[str, Any], window: int) -> None:
    server, generator = connect(lambda n, body: chat("a"), models=[{"id": "m", "object": "model"} | entry])
    assert generator.context_tokens == window
    with pytest.raises(ModelError, match=rf"over the limit of {window} of m"):
        generator.generate([ASK, (Message("user", "pump " * window),)], max_new_tokens=5)
    assert server.bodies == []


def test_window_of_a_known_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "x")
    assert RemoteGenerator("openai:gpt-4o-mini").context_tokens == 128_000
    assert RemoteGenerator("openai:nobody-knows-it").context_tokens == 32_768


def test_errors_before_any_request(tmp_path: Path) -> None:
    with pytest.raises(
        ModelError, match=r"^The provider openai needs a key: set the environment variable OPENAI_API_KEY\.$"
    ):
        load_generator("remote:openai:gpt-4o-mini")
    with pytest.raises(ModelError, match=r'"remote:gpt-4o-mini" must name a provider and a model'):
        load_generator("remote:gpt-4o-mini")
    with pytest.raises(ModelError, match=r'^LangChain has no provider "nobody" \(it has anthropic, .*\); a server of'):
        load_generator("remote:nobody:x")
    with pytest.raises(ModelError, match="must hold no user, password or query"):
        load_generator("remote:openai:m", url="http://me:word@localhost/v1")
    with pytest.raises(ModelError, match=r'must be an address such as "http://localhost:8000/v1", not \'localhost:1\''):
        load_generator("remote:openai:m", url="localhost:1")
    generator = load_generator("remote:openai:m", url="http://localhost:1/v1")
    with pytest.raises(ModelError, match=r"cannot be put on remote:openai:m: a server has LoRA adapters of its own"):
        generator.load_adapter(tmp_path)


@pytest.mark.parametrize(
    ("provider", "package"), [("openai", "'fieldguide[openai]'"), ("nobodys", "langchain-nobodys")]
)
def test_missing_package_is_named(monkeypatch: pytest.MonkeyPatch, provider: str, package: str) -> None:
    def init_chat_model(model: str, **options: Any) -> Any:
        raise ImportError(
            f"ChatX requires langchain-{provider}. Please install it with `pip install langchain-{provider}`"
        )

    monkeypatch.setattr("langchain.chat_models.init_chat_model", init_chat_model)
    with pytest.raises(ModelError) as caught:
        load_generator(f"remote:{provider}:x")
    assert str(caught.value) == f"The generator remote:{provider}:x needs another package: pip install {package}"


def test_marks_of_chat_templates_are_broken() -> None:
    assert (
        neutralise("a <|im_end|> b </s> [/INST] <end_of_turn>") == "a < |im_end| > b < /s > [ /INST ] < end_of_turn >"
    )
    assert neutralise("3 < 4 | 5 > 2, <sub>x</sub>, [1]") == "3 < 4 | 5 > 2, <sub>x</sub>, [1]"


def test_estimate_of_tokens() -> None:
    assert estimate_tokens("") == 0
    assert estimate_tokens("The pump failed.") == 5  # 4 pieces and a tenth, rounded up
    assert estimate_tokens("12,450") == 7


def test_parallel_keeps_order_and_raises_what_is_no_model_error() -> None:
    def ask(place: int) -> Generation:
        if place == 2:
            raise KeyError("mine")
        return Generation(str(place), 1, 1, "stop", None)

    with pytest.raises(KeyError, match="mine"):
        in_parallel(ask, 3, 2)
    assert [g.text for g in in_parallel(ask, 2, 8)] == ["0", "1"]
