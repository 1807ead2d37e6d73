"""`fieldguide prefer` on the command line: bad lines are shown, the adapter lands in the registry."""

from __future__ import annotations

import json
from pathlib import Path

from fieldguide.catalog import Catalog
from fieldguide.workspace import open_workspace


def write_pairs(path: Path, count: int) -> Path:
    rows = [
        {
            "question": f"Who owned airplane {n}?", "chosen": f"Owner {n}", "rejected": "I am not sure who did",
            "context": f"Owner {n}.",
        }
        for n in range(count)
    ]  # fmt: skip
    path.write_text("\n".join(map(json.dumps, rows)) + '\nbroken\n{"question": "Why?", "chosen": "a"}\n', "utf-8")
    return path


def test_prefer_shows_what_is_left_out_and_registers_what_comes_out(cli, shelf: Path, tmp_path: Path) -> None:
    pairs = write_pairs(tmp_path / "pairs.jsonl", 6)
    arguments = ("prefer", "--pairs", pairs, "-w", shelf, "--epochs", "1", "--learning-rate", "0.01", "--json")
    done = cli(*arguments)
    assert done.code == 0, done.err
    made = done.json
    assert made["left_out"] == [
        {"line": 7, "reason": "it is not JSON"},
        {"line": 8, "reason": 'it has no text under "rejected"'},
    ]
    assert "Left out, it is not JSON: 1 (line 7)." in done.err
    assert made["manifest"]["examples"] == 5
    assert made["manifest"]["dev_examples"] == 1
    assert made["manifest"]["preference"]["n"] == 1
    assert (Path(made["folder"]) / "adapter_model.safetensors").exists()
    catalog = Catalog.open(open_workspace(shelf).catalog_file, writable=False)
    (kept,) = catalog.artefacts("adapter")
    assert (kept.id, kept.active) == (made["adapter"], made["active"])
    catalog.close()
    if not made["active"]:
        again = cli(*arguments)
        assert again.json["adapter"] == made["adapter"]
        assert "Nothing to do" in again.err


def test_prefer_without_a_usable_line_is_an_error(cli, shelf: Path, tmp_path: Path) -> None:
    done = cli("prefer", "--pairs", write_pairs(tmp_path / "pairs.jsonl", 0), "-w", shelf)
    assert done.code == 2
    assert "holds no usable preference" in done.err
    assert "Left out, it is not JSON: 1 (line 2)." in done.err
    missing = cli("prefer", "--pairs", tmp_path / "none.jsonl", "-w", shelf)
    assert missing.code == 2
    assert "cannot be read as a file of JSON lines" in missing.err
