"""`fieldguide export`: which adapter, where to, what it says, and that the result answers in its place."""

from __future__ import annotations

import json
import shutil

import pytest

from fieldguide.catalog import Catalog
from fieldguide.files import file_hash
from fieldguide.models.tiny import write_tiny_adapter


@pytest.fixture
def tuned(shelf, model, tmp_path):
    """The shelf with a random adapter in use, at half of its strength."""
    folder = write_tiny_adapter(tmp_path / "adapter", model)
    digest = file_hash(folder / "adapter_model.safetensors")
    manifest = {"id": digest[:16], "sha256": digest, "base": f"{model.name}:0", "strength": 0.5, "key": "k"}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    target = shelf / ".fieldguide" / "adapters" / digest[:16]
    shutil.copytree(folder, target)
    catalog = Catalog.open(shelf / ".fieldguide" / "catalog.sqlite", writable=True)
    catalog.add_artefact("adapter", digest[:16], manifest, activate=True)
    catalog.close()
    return shelf, digest[:16]


def test_the_adapter_in_use_as_safetensors(cli, tuned, configure):
    root, adapter = tuned
    done = cli("export", "-w", root, "--check", 3, "--json")
    assert done.code == 0
    said = done.json
    folder = root.resolve() / ".fieldguide" / "exports" / f"{adapter}-safetensors-f32"
    assert (said["folder"], said["generator"], said["adapter"]) == (str(folder), str(folder), adapter)
    assert (said["written"], said["parity"]["n"], said["parity"]["identical"]) == (True, 3, 1.0)
    manifest = json.loads((folder / "manifest.json").read_text())
    assert (manifest["strength"], manifest["parity"]) == (0.5, said["parity"])
    assert "3 answers identical (100%)" in done.err
    again = cli("export", "-w", root, "--adapter", adapter[:6], "--check", 0, "--json")
    assert (again.code, again.json["written"]) == (0, False)
    assert "Nothing to convert" in again.err
    tuned_says = cli("ask", "Who owned the airplane?", "-w", root, "--json").json
    cli("adapters", "use", "base", "-w", root)
    configure(root, folder)
    merged_says = cli("ask", "Who owned the airplane?", "-w", root, "--json").json
    assert merged_says["text"] == tuned_says["text"]
    assert (merged_says["trace"]["adapter"], tuned_says["trace"]["adapter"] is None) == (None, False)


def test_ct2_to_a_folder_of_ones_own(cli, tuned, tmp_path):
    pytest.importorskip("ctranslate2")
    root, _ = tuned
    done = cli("export", "-w", root, "--format", "ct2", "--out", tmp_path / "out", "--check", 2, "--json")
    assert (done.code, done.json["quantise"], done.json["parity"]["identical"]) == (0, "f32", 1.0)
    assert done.json["generator"] == f"ct2:{(tmp_path / 'out').resolve()}"
    assert "models.generator" in done.err


def test_base_alone_without_a_check(cli, shelf, tmp_path):
    done = cli("export", "-w", shelf, "--adapter", "base", "--quantise", "bf16", "--check", 0, "--json")
    assert (done.code, done.json["adapter"], done.json["parity"]) == (0, None, None)
    assert "were not compared" in done.err


def test_what_it_refuses(cli, shelf, tuned, tmp_path):
    root, _ = tuned
    for arguments, message in (
        (("--format", "onnx"), "There is no format 'onnx'"),
        (("--format", "gguf", "--quantise", "int8"), "gguf is not stored as 'int8'"),
        (("--adapter", "ffff"), "No adapter begins with 'ffff'"),
        (("--format", "gguf", "--converter", tmp_path / "nowhere"), "There is no convert_hf_to_gguf.py"),
    ):
        done = cli("export", "-w", root, "--check", 0, *arguments, "--json")
        assert done.code == 2
        assert message in done.json["error"]
    exports = root / ".fieldguide" / "exports"
    assert not exports.exists() or list(exports.iterdir()) == []


def test_no_adapter_in_use(cli, shelf):
    done = cli("export", "-w", shelf, "--json")
    assert done.code == 2
    assert "No adapter is in use" in done.json["error"]
