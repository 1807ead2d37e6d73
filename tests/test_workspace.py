import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from fieldguide import workspace as workspace_module
from fieldguide.catalog import Catalog, FileRecord
from fieldguide.errors import SettingsError, WorkspaceError
from fieldguide.workspace import init_workspace, open_workspace

HOLDER = """
import sys, time
from pathlib import Path
from fieldguide.workspace import open_workspace
with open_workspace(Path(sys.argv[1])).lock("tune"):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the lock of the workspace in tmp_path."""
    init_workspace(tmp_path)
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_init_twice_keeps_settings_and_state(tmp_path):
    root = tmp_path / "deep" / "shelf"
    assert init_workspace(root, {"retrieval": {"k": 5}}).settings.retrieval.k == 5
    (root / ".fieldguide" / "kept").write_text("x")
    again = init_workspace(root, {"retrieval": {"k": 9}})
    assert again.settings.retrieval.k == 5
    assert (again.state / "kept").read_text() == "x"
    assert again.writable


def test_init_where_a_file_stands(tmp_path):
    (tmp_path / "shelf").write_text("a file")
    with pytest.raises(WorkspaceError, match=r"Cannot make a workspace in .*shelf: (Not a directory|File exists)"):
        init_workspace(tmp_path / "shelf")


def test_no_workspace_names_the_command(tmp_path):
    with pytest.raises(WorkspaceError) as caught:
        open_workspace(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path} is no Fieldguide workspace; make one there with `fieldguide init {tmp_path}`."
    )


def test_flags_and_faults_reach_the_settings(tmp_path):
    init_workspace(tmp_path)
    assert open_workspace(tmp_path, {"retrieval": {"k": 9}}).settings.retrieval.k == 9
    (tmp_path / "fieldguide.toml").write_text("[retrieval]\nkk = 1\n")
    with pytest.raises(SettingsError, match=r"retrieval.kk: unknown name; did you mean retrieval.k"):
        open_workspace(tmp_path)


def test_a_lost_state_folder_is_made_again(tmp_path):
    init_workspace(tmp_path).state.rmdir()
    assert open_workspace(tmp_path).state.is_dir()


def test_runs_get_folders_of_their_own_with_the_settings(tmp_path):
    workspace = init_workspace(tmp_path, {"retrieval": {"k": 5}})
    first, second = workspace.new_run("tune"), workspace.new_run("tune")
    assert first != second
    assert re.fullmatch(r"\d{8}-\d{6}-tune", first.name)
    assert json.loads((second / "settings.json").read_text())["retrieval"]["k"] == 5


def test_lock_of_a_second_process_names_its_pid_and_verb(holder, tmp_path):
    workspace = open_workspace(tmp_path)
    with pytest.raises(WorkspaceError) as caught, workspace.lock("ingest"):
        pass
    assert f"`fieldguide tune` (process {holder.pid}, since 20" in str(caught.value)
    assert str(caught.value).endswith(f"is writing to {tmp_path}; wait until it ends (or stop it) and try again.")


def test_lock_is_free_after_its_holder_was_killed(holder, tmp_path):
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    with open_workspace(tmp_path).lock("ingest"):
        held = json.loads((tmp_path / ".fieldguide" / "lock.json").read_text())
        assert (held["pid"], held["verb"]) == (os.getpid(), "ingest")


def test_lock_is_free_after_an_error_and_names_nobody(tmp_path):
    workspace = init_workspace(tmp_path)
    with pytest.raises(ValueError, match="boom"), workspace.lock("qa"):
        raise ValueError("boom")
    assert not (workspace.state / "lock.json").exists()
    with workspace.lock("qa"):
        pass


def test_lock_whose_holder_left_no_name(tmp_path):
    workspace = init_workspace(tmp_path)
    with workspace.lock("qa"):
        (workspace.state / "lock.json").write_text("{")
        with pytest.raises(WorkspaceError, match=r"^Another fieldguide process is writing"), workspace.lock("qa"):
            pass


def test_read_only_workspace_reads_and_refuses_to_write(tmp_path, monkeypatch):
    catalog = Catalog.open(init_workspace(tmp_path).catalog_file)
    catalog.record_files([FileRecord("a.pdf", None, 3, "empty", "the file has no bytes")])
    catalog.close()
    monkeypatch.setattr(workspace_module, "_is_writable", lambda folder: False)
    workspace = open_workspace(tmp_path)
    assert not workspace.writable
    for act in (
        lambda: workspace.require_writable("tune"),
        lambda: workspace.new_run("tune"),
        workspace.lock("tune").__enter__,
    ):
        with pytest.raises(WorkspaceError) as caught:
            act()
        assert str(caught.value) == (
            f"{tmp_path} is read-only, so `fieldguide tune` cannot run there; "
            "`ask` and `status` work, or copy the workspace to a disk that can be written."
        )
    read = Catalog.open(workspace.catalog_file, writable=False)
    assert read.files() == {"a.pdf": FileRecord("a.pdf", None, 3, "empty", "the file has no bytes")}
    read.close()


READ_ONLY = """
import sys
from pathlib import Path
from fieldguide.catalog import Catalog
from fieldguide.workspace import open_workspace
workspace = open_workspace(Path(sys.argv[1]))
print(workspace.writable, list(Catalog.open(workspace.catalog_file, writable=workspace.writable).files()))
"""


def test_on_a_disk_mounted_read_only(tmp_path):
    catalog = Catalog.open(init_workspace(tmp_path).catalog_file)
    catalog.record_files([FileRecord("a.pdf", None, 3, "empty", "")])
    catalog.close()
    mounted = 'mount --bind "$1" "$1" && mount -o remount,ro,bind "$1" && echo mounted && exec "$2" -c "$3" "$1"'
    command = ["unshare", "-m", "sh", "-c", mounted, "sh", str(tmp_path), sys.executable, READ_ONLY]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, cwd=Path(__file__).parents[1])
    except FileNotFoundError:
        pytest.skip("there is no unshare")
    if not done.stdout.startswith("mounted"):
        pytest.skip("mounting is not allowed here")
    assert done.stdout == "mounted\nFalse ['a.pdf']\n", done.stderr
