import os

import pytest

from fieldguide.files import file_hash, folder_atomically, folder_size, write_atomically, write_json


def failing_replace(*_args):
    raise OSError("no space left")


def test_write_replaces_and_leaves_nothing_beside(tmp_path):
    path = tmp_path / "new" / "a.txt"
    write_atomically(path, "old")
    write_atomically(path, "néw\n")
    assert path.read_bytes() == "néw\n".encode()
    assert os.listdir(path.parent) == ["a.txt"]
    assert path.stat().st_mode & 0o777 == 0o644


def test_write_keeps_the_old_content_when_it_fails(tmp_path, monkeypatch):
    path = tmp_path / "a.bin"
    write_atomically(path, b"old")
    monkeypatch.setattr(os, "replace", failing_replace)
    with pytest.raises(OSError, match="no space left"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.bin"]


def test_json_keeps_order_and_letters(tmp_path):
    write_json(tmp_path / "a.json", {"z": "ü", "a": [1]})
    assert (tmp_path / "a.json").read_text("utf-8") == '{\n "z": "ü",\n "a": [\n  1\n ]\n}\n'


def test_folder_appears_only_when_the_block_ends(tmp_path):
    with folder_atomically(tmp_path / "x" / "folder") as part:
        (part / "deep").mkdir()
        (part / "deep" / "a").write_text("a")
        assert not (tmp_path / "x" / "folder").exists()
    assert (tmp_path / "x" / "folder" / "deep" / "a").read_text() == "a"
    assert os.listdir(tmp_path / "x") == ["folder"]


@pytest.mark.parametrize("failure", [KeyboardInterrupt, ValueError])
def test_folder_vanishes_when_the_block_fails(tmp_path, failure):
    def fail(part):
        (part / "a").write_text("a")
        raise failure

    with pytest.raises(failure), folder_atomically(tmp_path / "folder") as part:
        fail(part)
    assert os.listdir(tmp_path) == []


def test_folder_vanishes_when_the_rename_fails(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "replace", failing_replace)
    with pytest.raises(OSError, match="no space left"), folder_atomically(tmp_path / "folder") as part:
        (part / "a").write_text("a")
    assert os.listdir(tmp_path) == []


def test_folder_of_a_faster_process_stays(tmp_path):
    with folder_atomically(tmp_path / "folder") as part:
        (part / "a").write_text("mine")
        (tmp_path / "folder").mkdir()
        (tmp_path / "folder" / "a").write_text("theirs")
    assert (tmp_path / "folder" / "a").read_text() == "theirs"
    assert os.listdir(tmp_path) == ["folder"]


def test_hash_and_size(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert file_hash(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert folder_size(tmp_path) == 3
