"""Tiny real models on disk, made once a session, and a real server of OpenAI's protocol."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from fieldguide.models.tiny import write_tiny_adapter, write_tiny_model


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a random Llama of 2 layers with tokenizer and chat template."""
    import torch

    torch.set_num_threads(1)  # two test runs on one machine's cores slow each other down tenfold otherwise
    return write_tiny_model(tmp_path_factory.mktemp("tiny") / "tiny-model")


@pytest.fixture(scope="session")
def tiny_adapter(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a random LoRA adapter of ``tiny_model`` that changes its outputs."""
    return write_tiny_adapter(tmp_path_factory.mktemp("tiny") / "adapter", tiny_model)


@pytest.fixture(scope="session")
def other_adapter(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A second adapter of ``tiny_model`` with other weights."""
    return write_tiny_adapter(tmp_path_factory.mktemp("tiny") / "other", tiny_model, seed=2)


class ChatServer:
    """Answers POST /v1/chat/completions by ``reply`` and GET /v1/models by ``models``; keeps what was sent.

    ``reply`` gets the number of the request and its body, and gives (status, body) or (status, body, headers).
    """

    def __init__(self, reply: Callable[[int, dict[str, Any]], Any], models: Any = None) -> None:
        self.url = ""
        self.lock = threading.Lock()
        self.reset(reply, models)

    def reset(self, reply: Callable[[int, dict[str, Any]], Any], models: Any = None) -> None:
        self.reply = reply
        self.models = models
        self.bodies: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.at_once = self.most_at_once = 0

    @contextmanager
    def running(self) -> Iterator[ChatServer]:
        chat = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self.give(*((404, {}) if chat.models is None else (200, {"object": "list", "data": chat.models})))

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                if self.path != "/v1/chat/completions":
                    self.give(404, {})
                    return
                with chat.lock:
                    chat.bodies.append(body)
                    chat.keys.append(self.headers["authorization"])
                    number = len(chat.bodies)
                    chat.at_once += 1
                    chat.most_at_once = max(chat.most_at_once, chat.at_once)
                answer = chat.reply(number, body)
                with chat.lock:
                    chat.at_once -= 1
                self.give(*answer)

            def give(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
                raw = body.encode() if isinstance(body, str) else json.dumps(body).encode()
                self.send_response(status)
                # the client's own wait before another try would make the tests slow
                all_headers = {"retry-after-ms": "1", "content-type": "application/json"} | (headers or {})
                for name, value in all_headers.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)

            def log_message(self, format: str, *args: Any) -> None:
                return

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        self.url = f"http://127.0.0.1:{server.server_port}/v1"
        try:
            yield self
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


@pytest.fixture(scope="module")
def chat_server() -> Iterator[Callable[..., ChatServer]]:
    """Starts a ``ChatServer``; all are stopped at the end of the module."""
    with ExitStack() as stack:
        yield lambda *args, **kwargs: stack.enter_context(ChatServer(*args, **kwargs).running())
