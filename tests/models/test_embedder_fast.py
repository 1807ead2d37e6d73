"""Engines of the embedder: one model, several ways to compute it, near enough to share an index."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import fieldguide.models as models
from fieldguide.errors import ModelError
from fieldguide.models import load_embedder
from fieldguide.models.sentence_transformer import PROBES, SentenceTransformerEmbedder, near

WORDS = ["the", "pump", "valve", "engine", "power", "lost", "pilot", "reported", "sales", "net", "year", "of", "."]
TEXTS = ["the pump", "", "pilot reported engine power lost .", "net sales of the year " * 9, "x", "valve " * 40]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random BERT of two layers as a sentence-transformers model, with a window of 32 tokens."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.models import Pooling, Transformer
    from transformers import BertConfig, BertModel, BertTokenizerFast

    torch.manual_seed(0)
    torch.set_num_threads(1)
    root = tmp_path_factory.mktemp("tiny-embedder")
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
    (root / "vocab.txt").write_text("\n".join(vocabulary) + "\n")
    config = BertConfig(
        vocab_size=len(vocabulary), hidden_size=64, num_hidden_layers=2, num_attention_heads=4, intermediate_size=128,
        max_position_embeddings=32,
    )  # fmt: skip
    BertModel(config).save_pretrained(root / "bert")
    BertTokenizerFast(vocab=str(root / "vocab.txt"), model_max_length=32).save_pretrained(root / "bert")
    inner = Transformer(str(root / "bert"), max_seq_length=32)
    SentenceTransformer(modules=[inner, Pooling(64, "mean")]).save(str(root / "model"))
    return root / "model"


@pytest.fixture(scope="module")
def reference(folder: Path) -> SentenceTransformerEmbedder:
    return SentenceTransformerEmbedder(folder, name="tiny", device="cpu")


@pytest.fixture(scope="module")
def cache(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache with the converted copy of the model."""
    pytest.importorskip("tokenizers")
    if not models.find_spec("openvino"):
        pytest.skip("OpenVINO is not installed")
    from fieldguide.models.openvino_embedder import OpenVinoEmbedder

    made = tmp_path_factory.mktemp("cache")
    OpenVinoEmbedder(folder, name="tiny", cache=made)
    return made


def test_openvino_gives_the_reference_s_vectors_under_the_same_id(
    folder: Path, cache: Path, reference: SentenceTransformerEmbedder
) -> None:
    fast = load_embedder(str(folder), cache=cache, device="cpu")
    assert getattr(fast, "engine", "") == "openvino int8"
    assert fast.id.split(":")[1:] == reference.id.split(":")[1:]
    assert (fast.dimension, fast.max_tokens) == (reference.dimension, reference.max_tokens) == (64, 30)
    vectors = fast.embed(TEXTS)
    assert np.sum(vectors * reference.embed(TEXTS), axis=1).min() >= 0.99
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    assert fast.count_tokens(TEXTS) == reference.count_tokens(TEXTS) == [2, 0, 6, 45, 1, 40]


def test_openvino_s_vectors_do_not_hang_on_the_batch(folder: Path, cache: Path) -> None:
    fast = load_embedder(str(folder), cache=cache, device="cpu")
    together = fast.embed(TEXTS * 3)
    alone = np.concatenate([fast.embed([text]) for text in TEXTS])
    np.testing.assert_allclose(together, np.tile(alone, (3, 1)), atol=1e-5)
    assert fast.embed([]).shape == (0, 64)


def test_the_model_is_converted_once(folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from fieldguide.models import openvino_embedder

    monkeypatch.setattr(openvino_embedder, "_convert", lambda *_: pytest.fail("converted again"))
    openvino_embedder.OpenVinoEmbedder(folder, name="tiny", cache=cache)


def test_a_copy_that_computes_something_else_is_not_used(folder: Path, cache: Path, tmp_path: Path) -> None:
    from fieldguide.models.openvino_embedder import OpenVinoEmbedder

    shutil.copytree(cache, tmp_path / "cache")
    (record,) = (tmp_path / "cache").rglob("record.json")
    content = json.loads(record.read_text())
    content["vectors"] = np.eye(len(PROBES), 64).tolist()
    record.write_text(json.dumps(content))
    with pytest.raises(ModelError, match="loses too much in 8 bits"):
        OpenVinoEmbedder(folder, name="tiny", cache=tmp_path / "cache")
    heard: list[str] = []
    (record.parent / "refused").unlink()
    for _ in range(2):  # said once, then known
        fallback = load_embedder(str(folder), cache=tmp_path / "cache", device="cpu", say=heard.append)
        assert isinstance(fallback, SentenceTransformerEmbedder)
    assert [text for text in heard if "runs without OpenVINO" in text] == heard
    assert len(heard) == 1


@pytest.mark.parametrize("has_bfloat16", [True, False])
def test_without_openvino_the_processor_decides(
    folder: Path, reference: SentenceTransformerEmbedder, has_bfloat16: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fieldguide.models.sentence_transformer as module

    monkeypatch.setattr(models, "find_spec", lambda name: None)
    monkeypatch.setattr(module, "bfloat16_on_cpu", lambda: has_bfloat16)
    found = load_embedder(str(folder), device="cpu")
    assert getattr(found, "engine", "") == f"sentence-transformers {'bfloat16' if has_bfloat16 else 'float32'}"
    assert found.id.split(":")[1:] == reference.id.split(":")[1:]
    assert near(found.embed(TEXTS), reference.embed(TEXTS))


def test_bfloat16_that_strays_turns_to_float32(
    folder: Path, reference: SentenceTransformerEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fieldguide.models.sentence_transformer as module

    monkeypatch.setattr(module, "near", lambda *_: False)
    found = SentenceTransformerEmbedder(folder, name="tiny", device="cpu", dtype="bfloat16")
    assert found.engine == "sentence-transformers float32"
    np.testing.assert_allclose(found.embed(TEXTS), reference.embed(TEXTS), atol=1e-6)


def test_unknown_dtype_is_refused() -> None:
    with pytest.raises(ValueError, match="dtype must be"):
        load_embedder("hashing", dtype="int4")


def test_near_is_a_cosine_of_99_hundredths() -> None:
    axis = np.asarray([[1, 0]], dtype=np.float32)
    assert near(np.asarray([[0.991, 0.1339]], dtype=np.float32), axis)
    assert not near(np.asarray([[0.989, 0.1479]], dtype=np.float32), axis)


def test_importing_openvino_tells_nobody(tmp_path: Path) -> None:
    if not models.find_spec("openvino"):
        pytest.skip("OpenVINO is not installed")
    code = (
        f"import sys; sys.path[:] = {sys.path!r}; from fieldguide.models.openvino_embedder import _openvino; "
        "_openvino(); print([name for name in sys.modules if name.startswith('openvino_telemetry')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env={"HOME": str(tmp_path)}, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
    assert list(tmp_path.iterdir()) == []
