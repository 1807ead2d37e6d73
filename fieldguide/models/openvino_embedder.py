"""A sentence-transformers model on OpenVINO: 8-bit matrix products on a CPU, from a copy converted once.

The copy lies in the cache: the graph with 8-bit weights (a scale for each output; activations are quantised for each
token as they come, so a text's vector does not hang on its neighbours), the tokenizer, and the float32 vectors of a
few texts, against which every load is checked. Knows nothing of where weights come from (see ``weights``).
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import numpy.typing as npt

from fieldguide.errors import ModelError
from fieldguide.files import folder_atomically, write_atomically, write_json
from fieldguide.models.base import Vectors
from fieldguide.models.sentence_transformer import PROBES, SentenceTransformerEmbedder, near
from fieldguide.models.weights import quiet, safetensors_hash
from fieldguide.processor import usable_cores

RECIPE = "int8-1"
_ROWS = 6  # more rows fall out of the processor's cache, fewer leave the matrix units waiting
_WIDTH = 16  # widths are rounded up to this, since each new shape costs a compilation
_GROUP = 64  # activations that share a scale
_MOST_STREAMS = 8  # batches at a time
_TELEMETRY = "openvino_telemetry"
_REFUSED = "refused"
REFUSED = "it was tried before and loses too much in 8 bits"


class OpenVinoEmbedder:
    """Unit vectors within 0.99 cosine of the float32 model's; the same ``id``, since the two serve one index."""

    engine = "openvino int8"

    def __init__(self, folder: Path, *, name: str, cache: Path, say: Callable[[str], None] = lambda _: None) -> None:
        """Converts the model in ``folder`` if ``cache`` has no copy of it, and says so.

        Raises ModelError if the model cannot be converted, or its vectors are not near the float32 model's here.
        """
        from tokenizers import Tokenizer

        openvino = _openvino()
        weights = safetensors_hash(folder)
        copy = cache / "openvino" / f"{weights[:16]}-{RECIPE}-{openvino.__version__.split('-')[0]}"
        if (copy / _REFUSED).exists():
            raise ModelError(REFUSED)
        if not (copy / "record.json").exists():
            say(f"converting the embedder {name} for this processor (once)")
            _convert(folder, name, copy)
        try:
            record = json.loads((copy / "record.json").read_text("utf-8"))
            self._dimension, window = int(record["dimension"]), int(record["window"])
            self._pad = int(record["pad"])
            self._tokenizer: Any = Tokenizer.from_file(str(copy / "tokenizer.json"))
            self._tokenizer.no_padding()
            self._max_tokens = window - int(self._tokenizer.num_special_tokens_to_add(False))
            self._tokenizer.no_truncation()
            self._counter: Any = Tokenizer.from_str(self._tokenizer.to_str())
            self._tokenizer.enable_truncation(window)
            self._queue: Any = _compile(copy / "model.xml")
            self._queue.set_callback(_keep)
            self._lock = Lock()
            self._id = f"{name}:{weights[:16]}:{window}"
            reference = np.asarray(record["vectors"], dtype=np.float32)
            alike = near(self.embed(PROBES), reference)
        except Exception as error:
            raise ModelError(f"The converted copy of the embedder at {copy} cannot be used: {error}") from error
        if not alike:
            write_atomically(copy / _REFUSED, "")  # so that the next load does not try again
            raise ModelError(f"The embedder {name!r} loses too much in 8 bits on this processor.")

    @property
    def id(self) -> str:
        return self._id

    @property
    def dimension(self) -> int:
        return self._dimension

    @property
    def max_tokens(self) -> int:
        """The model's window without its special tokens, so that it compares with ``count_tokens``."""
        return self._max_tokens

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Vectors (len(texts), dimension), worked on in batches of texts of about the same length."""
        vectors = np.zeros((len(texts), self._dimension), dtype=np.float32)
        if not texts:
            return vectors
        encoded = [entry.ids for entry in self._tokenizer.encode_batch_fast(list(texts))]
        order = sorted(range(len(encoded)), key=lambda n: -len(encoded[n]))
        with self._lock:  # one caller at a time: the queue knows no other
            for start in range(0, len(order), _ROWS):
                rows = order[start : start + _ROWS]
                ids, mask = _padded([encoded[n] for n in rows], self._pad)
                self._queue.start_async({0: ids, 1: mask}, (vectors, rows))
            self._queue.wait_all()
        vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
        return vectors

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        found = self._counter.encode_batch_fast(list(texts), add_special_tokens=False)
        return [len(entry) for entry in found]


def _keep(request: Any, place: tuple[Vectors, list[int]]) -> None:
    vectors, rows = place
    vectors[rows] = request.get_output_tensor(0).data


def _padded(encoded: Sequence[Sequence[int]], pad: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Token ids and mask, shape (texts, width)."""
    width = -(-max(map(len, encoded)) // _WIDTH) * _WIDTH
    ids = np.full((len(encoded), width), pad, dtype=np.int64)
    mask = np.zeros_like(ids)
    for row, tokens in enumerate(encoded):
        ids[row, : len(tokens)] = tokens
        mask[row, : len(tokens)] = 1
    return ids, mask


def _openvino() -> Any:
    """The library, without its telemetry: importing it would else tell its makers, over the network and unasked."""
    missing = object()
    before: Any = sys.modules.get(_TELEMETRY, missing)
    if "openvino" not in sys.modules:
        sys.modules[_TELEMETRY] = None  # type: ignore[assignment]  # Python's way to say "cannot be imported"
    try:
        import openvino
    finally:
        if before is missing:
            sys.modules.pop(_TELEMETRY, None)
        else:
            sys.modules[_TELEMETRY] = before
    return openvino


def _compile(path: Path) -> Any:
    """A queue over the graph made ready for this processor: bfloat16 between the 8-bit products where it has that.

    Each thread works on a batch of its own: on two cores that is a tenth faster than both on one.
    """
    openvino = _openvino()
    core = openvino.Core()
    bfloat16 = "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    options: dict[str, Any] = {
        "INFERENCE_PRECISION_HINT": "bf16" if bfloat16 else "f32",
        "DYNAMIC_QUANTIZATION_GROUP_SIZE": _GROUP,
        "PERFORMANCE_HINT": "THROUGHPUT",
        "ENABLE_CPU_PINNING": False,  # two processes would be pinned to the same cores
    }
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    threads = int(wanted) if wanted.isdecimal() and int(wanted) else usable_cores()
    options |= {"INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": min(threads, _MOST_STREAMS)}
    model = core.compile_model(core.read_model(str(path)), "CPU", options)
    return openvino.AsyncInferQueue(model, min(threads, _MOST_STREAMS))


def _convert(folder: Path, name: str, copy: Path) -> None:
    """Write the converted copy of the model in ``folder``: model.xml, tokenizer.json and record.json."""
    openvino = _openvino()
    import torch
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    reference = SentenceTransformerEmbedder(folder, name=name, device="cpu", dtype="float32")
    tokenizer = reference.model.tokenizer

    class Whole(torch.nn.Module):
        """Token ids and mask in, sentence vectors out."""

        def __init__(self) -> None:
            super().__init__()
            self.inner = reference.model

        def forward(self, input_ids: Any, attention_mask: Any) -> Any:
            return self.inner({"input_ids": input_ids, "attention_mask": attention_mask})["sentence_embedding"]

    try:
        example = torch.ones((2, 16), dtype=torch.long)
        with torch.inference_mode(), _tracing():
            decoder = TorchScriptPythonDecoder(Whole(), example_input=(example, example))
            frontend = FrontEndManager().load_by_framework("pytorch")
            model = frontend.convert(frontend.load(decoder))
            _shorten_weights(model)
        with folder_atomically(copy) as part:
            openvino.save_model(model, str(part / "model.xml"), compress_to_fp16=False)
            tokenizer.backend_tokenizer.save(str(part / "tokenizer.json"))
            record = {
                "dimension": reference.dimension,
                "window": reference.window,
                "pad": int(tokenizer.pad_token_id or 0),
                "vectors": reference.embed(PROBES).tolist(),
            }
            write_json(part / "record.json", record)
    except OSError:
        raise
    except Exception as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ModelError(f"The embedder {name!r} cannot be converted for OpenVINO: {reason}") from error


@contextmanager
def _tracing() -> Iterator[None]:
    """Silence what the libraries say about being traced: what matters of it would fail the check of the vectors."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with quiet():
            yield
    finally:
        logging.disable(before)


def _shorten_weights(model: Any) -> None:
    """Replace each weight matrix of a product by 8-bit integers and a scale for each of its outputs."""
    openvino = _openvino()
    from openvino import opset13 as graph

    for node in model.get_ordered_ops():
        if node.get_type_name() != "MatMul":
            continue
        constant = node.input_value(1).get_node()
        if constant.get_type_name() != "Constant" or constant.data.ndim != 2:
            continue
        weight = constant.data.astype(np.float32)
        axis = 1 if node.get_attributes()["transpose_b"] else 0
        scale = np.maximum(np.abs(weight).max(axis=axis, keepdims=True) / 127, 1e-12)
        short = graph.constant(np.round(weight / scale).astype(np.int8), openvino.Type.i8)
        full = graph.multiply(graph.convert(short, "f32"), graph.constant(scale.astype(np.float32)))
        node.input(1).replace_source_output(full.output(0))
