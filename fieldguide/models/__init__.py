"""Models by name: an explicit factory that imports and loads nothing before it is called."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from fieldguide.errors import ModelError
from fieldguide.models.base import Embedder, Generation, Generator, Message, Prompt, Streaming, Vectors

__all__ = [
    "Embedder",
    "Generation",
    "Generator",
    "Message",
    "Prompt",
    "Streaming",
    "Vectors",
    "find_embedder",
    "load_embedder",
    "load_generator",
]


def _say_nothing(text: str) -> None:
    return None


def load_embedder(
    name: str,
    *,
    folder: Path | None = None,
    cache: Path | None = None,
    device: str = "auto",
    dtype: str = "auto",
    say: Callable[[str], None] = _say_nothing,
) -> Embedder:
    """An embedder: "bundled", "hashing", a sentence-transformers name, or a folder with one.

    ``folder`` is an offline folder of weights: with it the network is never touched. ``cache`` is where the bundled
    weights are unpacked (default: see ``weights.default_cache``). ``say`` hears of downloads. ``dtype`` is "float32",
    "bfloat16", or "auto": on a CPU the fastest engine here whose vectors stay near float32's, else float32.
    Raises ModelError if the model cannot be found, fetched, checked or loaded, ValueError for another dtype.
    """
    if dtype not in ("auto", "float32", "bfloat16"):
        raise ValueError(f'dtype must be "auto", "float32" or "bfloat16", not {dtype!r}')
    if name == "hashing":
        from fieldguide.models.hashing import HashingEmbedder

        return HashingEmbedder()
    if name == "scripted":
        raise ModelError('"scripted" is a generator for tests, not an embedder; the embedder for tests is "hashing".')
    from fieldguide.models.sentence_transformer import SentenceTransformerEmbedder, bfloat16_on_cpu
    from fieldguide.models.weights import default_cache, pick_device

    path, label = _find(name, folder, cache, say, "embedder")
    if dtype == "auto" and find_spec("openvino") and pick_device(device) == "cpu":
        from fieldguide.models.openvino_embedder import REFUSED, OpenVinoEmbedder

        try:
            return OpenVinoEmbedder(path, name=label, cache=cache or default_cache(), say=say)
        except (ModelError, OSError) as error:
            if str(error) != REFUSED:
                say(f"the embedder runs without OpenVINO: {error}")
    short = dtype == "bfloat16" or (dtype == "auto" and pick_device(device) == "cpu" and bfloat16_on_cpu())
    return SentenceTransformerEmbedder(path, name=label, device=device, dtype="bfloat16" if short else "float32")


def find_embedder(
    name: str, *, folder: Path | None = None, cache: Path | None = None, say: Callable[[str], None] = _say_nothing
) -> Path:
    """The folder with an embedder's weights; arguments and errors as of ``load_embedder``."""
    if name == "hashing":
        raise ModelError('"hashing" is an embedder for tests and has no weights; name a model, or "bundled".')
    return _find(name, folder, cache, say, "embedder")[0]


def load_generator(
    name: str,
    *,
    folder: Path | None = None,
    cache: Path | None = None,
    device: str = "auto",
    dtype: str = "auto",
    batch_tokens: int = 4096,
    url: str = "",
    concurrency: int = 4,
    price_input: float = 0.0,
    price_output: float = 0.0,
    say: Callable[[str], None] = _say_nothing,
) -> Generator:
    """A generator: "bundled", a hub name, a folder of safetensors, one .gguf file, "ct2:FOLDER" (a merged model that
    `fieldguide export` made for a fast CPU), or "remote:PROVIDER:MODEL".

    ``dtype`` is "auto" (float32 on a CPU, bfloat16 on CUDA) or torch's name for one; ``batch_tokens`` bounds the
    padded prompt tokens that are worked on at once. Of a remote one, ``url`` is the server's address where it is not
    the provider's own, ``concurrency`` the requests at a time, and the prices are those of a million tokens (see
    ``remote.RemoteGenerator``). The other arguments are those of ``load_embedder``.
    Raises ModelError if the model cannot be found, fetched, checked or loaded.
    """
    if name.startswith("remote:"):
        from fieldguide.models.remote import RemoteGenerator

        prices = (price_input, price_output)
        return RemoteGenerator(name.removeprefix("remote:"), url=url, concurrency=concurrency, prices=prices, say=say)
    if name == "scripted":
        raise ModelError(
            'The generator "scripted" is for tests and is constructed in code with its replies '
            "(fieldguide.models.scripted.ScriptedGenerator); name a model instead."
        )
    if name == "hashing":
        raise ModelError('"hashing" is an embedder, not a generator; name a model, or "bundled".')
    if name.startswith("ct2:"):
        from fieldguide.models.ctranslate2_generator import CTranslate2Generator, find

        path = find(name.removeprefix("ct2:"), folder)
        return CTranslate2Generator(
            path, name=f"ct2:{path.name}", device=device, dtype=dtype, batch_tokens=batch_tokens
        )
    from fieldguide.models.transformers_generator import TransformersGenerator

    path, label = _find(name, folder, cache, say, "generator")
    return TransformersGenerator(path, name=label, device=device, dtype=dtype, batch_tokens=batch_tokens)


def _find(
    name: str, folder: Path | None, cache: Path | None, say: Callable[[str], None], kind: str
) -> tuple[Path, str]:
    """The weights' place, and the name that goes into the model's id (of a path only its last part)."""
    if name == "bundled":
        from fieldguide.models import bundled

        find = bundled.embedder_folder if kind == "embedder" else bundled.generator_folder
        return find(cache, folder, say), name
    from fieldguide.models.weights import resolve

    path = resolve(name, folder)
    return path, path.name if Path(name).expanduser().exists() else name
