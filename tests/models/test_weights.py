"""Names to folders: what is found, what is refused, and that nothing waits for a network."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from fieldguide.errors import ModelError
from fieldguide.models import load_embedder, load_generator
from fieldguide.models.weights import default_cache, resolve, safetensors_hash


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The hub's library in offline mode with an empty cache."""
    from huggingface_hub import constants

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))


@pytest.mark.usefixtures("offline")
@pytest.mark.parametrize("load", [load_generator, load_embedder])
def test_unknown_hub_name_offline_is_one_sentence_at_once(load: object) -> None:
    start = time.monotonic()
    with pytest.raises(ModelError) as caught:
        load("no-such-org/no-such-model")  # type: ignore[operator]
    assert str(caught.value) == (
        "The model 'no-such-org/no-such-model' is not on this machine and HF_HUB_OFFLINE forbids to fetch it: "
        "unset it, or put the model into an offline folder."
    )
    assert time.monotonic() - start < 10  # most of it is importing libraries


def test_unreachable_hub_is_one_sentence_within_seconds(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from huggingface_hub import HfApi, constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)

    def refuse(*args: object, timeout: float, **kwargs: object) -> None:
        assert timeout <= 5
        raise OSError("connection refused\nsecond line")

    monkeypatch.setattr(HfApi, "model_info", refuse)
    with pytest.raises(ModelError, match=r"cannot be reached \(connection refused\): connect, or put") as caught:
        load_generator("no-such-org/no-such-model")
    assert "\n" not in str(caught.value)


def test_hub_is_asked_only_for_what_is_not_whole_in_the_cache(
    monkeypatch: pytest.MonkeyPatch, tiny_model: Path, tmp_path: Path
) -> None:
    import huggingface_hub
    from huggingface_hub import constants

    calls: list[dict[str, object]] = []
    siblings = ["config.json", "pytorch_model.bin"]

    def snapshot(name: str, **options: object) -> str:
        calls.append(options)
        if not (tmp_path / "model.safetensors").exists() and "local_files_only" not in options:
            shutil.copytree(tiny_model, tmp_path, dirs_exist_ok=True)
        return str(tmp_path)

    def info(*args: object, **options: object) -> SimpleNamespace:
        return SimpleNamespace(siblings=[SimpleNamespace(rfilename=name) for name in siblings])

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", info)
    with pytest.raises(ModelError, match="'org/name' has no safetensors file"):
        resolve("org/name", None)
    siblings.append("model.safetensors")
    calls.clear()
    assert resolve("org/name", None) == tmp_path
    assert [sorted(options) for options in calls] == [["local_files_only"], ["allow_patterns", "ignore_patterns"]]
    assert not any("bin" in pattern for pattern in calls[1]["allow_patterns"])  # type: ignore[attr-defined]
    calls.clear()
    assert resolve("org/name", None) == tmp_path
    assert calls == [{"local_files_only": True}]


def test_nonsense_names_are_one_sentence() -> None:
    with pytest.raises(ModelError, match="neither a path nor the name"):
        load_generator("not a name!")
    with pytest.raises(ModelError, match="There is no model at /no/such/folder"):
        load_generator("/no/such/folder")
    with pytest.raises(ModelError, match=r"There is no model at model\.gguf"):
        load_generator("model.gguf")


def test_offline_folder_finds_by_name_or_its_last_part(tiny_model: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_model, tmp_path / "short")
    shutil.copytree(tiny_model, tmp_path / "org" / "long")
    assert resolve("org/short", tmp_path) == tmp_path / "short"
    assert resolve("org/long", tmp_path) == tmp_path / "org" / "long"
    generator = load_generator("org/short", folder=tmp_path)
    assert generator.id.startswith("org/short:")  # the same wherever the weights were found


@pytest.mark.parametrize("load", [load_generator, load_embedder])
def test_offline_folder_never_asks_the_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, load: object) -> None:
    import huggingface_hub

    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", refuse)
    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", refuse)
    monkeypatch.setattr(subprocess, "run", refuse)
    with pytest.raises(ModelError, match=r"is not in the offline folder .*: put its files into"):
        load("org/missing", folder=tmp_path)  # type: ignore[operator]
    with pytest.raises(ModelError, match="does not hold the bundled model: put"):
        load("bundled", folder=tmp_path, cache=tmp_path / "cache")  # type: ignore[operator]


@pytest.mark.parametrize("load", [load_generator, load_embedder])
def test_pickled_weights_are_refused(tiny_model: Path, tmp_path: Path, load: object) -> None:
    folder = tmp_path / "pickled"
    shutil.copytree(tiny_model, folder)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match=r"has pickled weights only \(pytorch_model.bin\), which can run code"):
        load(str(folder))  # type: ignore[operator]


def test_folder_without_weights_and_a_file_that_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="holds no safetensors file"):
        load_generator(str(tmp_path))
    (tmp_path / "notes.txt").write_text("x", "utf-8")
    with pytest.raises(ModelError, match="is not a model: name a folder"):
        load_generator(str(tmp_path / "notes.txt"))
    (tmp_path / "broken.gguf").write_bytes(b"GGUF nonsense")
    with pytest.raises(ModelError, match="cannot be read by transformers") as caught:
        load_generator(str(tmp_path / "broken.gguf"))
    assert "\n" not in str(caught.value)


def test_truncated_weights_are_one_sentence(tiny_model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "cut"
    shutil.copytree(tiny_model, folder)
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(ModelError, match=r"cannot be loaded") as caught:
        load_generator(str(folder))
    assert "\n" not in str(caught.value)


def test_embedder_that_brings_code_is_refused(tiny_model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "code"
    shutil.copytree(tiny_model, folder)
    modules = [{"idx": 0, "name": "0", "path": "", "type": "mine.Evil"}]
    (folder / "modules.json").write_text(json.dumps(modules), "utf-8")
    (folder / "mine.py").write_text("raise SystemExit", "utf-8")
    with pytest.raises(ModelError, match=r"code of its own \(mine.Evil\)"):
        load_embedder(str(folder))


def test_hash_of_shards_depends_on_each(tiny_model: Path, tmp_path: Path) -> None:
    one = safetensors_hash(tiny_model)
    shutil.copy(tiny_model / "model.safetensors", tmp_path / "a.safetensors")
    assert safetensors_hash(tmp_path) == one
    (tmp_path / "b.safetensors").write_bytes(b"x")
    two = safetensors_hash(tmp_path)
    (tmp_path / "b.safetensors").write_bytes(b"y")
    assert len({one, two, safetensors_hash(tmp_path)}) == 3


def test_cache_folder_by_precedence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FIELDGUIDE_CACHE", str(tmp_path / "own"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert default_cache() == tmp_path / "own"
    monkeypatch.delenv("FIELDGUIDE_CACHE")
    assert default_cache() == tmp_path / "xdg" / "fieldguide"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert default_cache() == Path.home() / ".cache" / "fieldguide"


def test_importing_the_models_imports_no_heavy_library() -> None:
    code = (
        "import sys, fieldguide.models, fieldguide.models.bundled, fieldguide.models.sentence_transformer, "
        "fieldguide.models.transformers_generator, fieldguide.models.tiny, fieldguide.models.hashing; "
        "sys.exit(str(sorted({'torch', 'transformers', 'peft', 'sentence_transformers'} & set(sys.modules))) "
        "if {'torch', 'transformers', 'peft', 'sentence_transformers'} & set(sys.modules) else 0)"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
