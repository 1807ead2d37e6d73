"""What each mistake gives: one sentence that says what to do, its exit code, and no traceback."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
REPORT = ROOT / "examples" / "ntsb" / "20080102X00002.pdf"
SCRIPT = Path(sys.executable).with_name("fieldguide")

HALF = "no parser can open it (pdfium: Data format error; pypdf: Stream has ended unexpectedly)"
LOCKED = "the file is encrypted: no password is given for it (FIELDGUIDE_PASSWORDS, ingest.keyfile)"
CLASSES = {
    "empty.pdf": ("empty", "the file has no bytes"),
    "text.pdf": ("not a document", "the file is not a PDF (its first bytes lack %PDF-)"),
    "half.pdf": ("damaged", HALF),
    "locked.pdf": ("password needed", LOCKED),
}


def state_of(root: Path) -> dict[str, bytes]:
    """Every file of a workspace but the lock and SQLite's own scratch files."""
    return {
        str(file.relative_to(root)): file.read_bytes()
        for file in sorted(root.rglob("*"))
        if file.is_file() and not file.name.endswith(("-wal", "-shm")) and file.name != "lock"
    }


# -- files


def test_a_missing_path(cli, fresh):
    done = cli("ingest", "/nowhere/a.pdf", "-w", fresh, "--json")
    assert done.code == 3
    assert done.json["files"] == [
        {
            "path": "/nowhere/a.pdf", "document": None, "bytes": 0, "status": "missing",
            "reason": "there is no such file or folder", "hash": "", "recipe": "",
        }
    ]  # fmt: skip
    assert "/nowhere/a.pdf: there is no such file or folder" in done.err
    assert "0 file(s)" not in done.err


@pytest.mark.parametrize("name", CLASSES)
def test_a_file_that_cannot_be_read(cli, fresh, bad_files, name):
    status, reason = CLASSES[name]
    done = cli("ingest", bad_files / name, "-w", fresh, "--json")
    assert done.code == 3
    assert done.json["classes"] == {status: 1}
    assert done.json["files"][0]["reason"] == reason
    assert (done.json["documents"], done.json["index"]) == (0, None)
    assert f"{bad_files / name}: {reason}" in done.err


def test_a_folder_of_good_and_bad_files(cli, fresh, bad_files):
    done = cli("ingest", bad_files, "-w", fresh, "--json")
    assert done.code == 3
    found = {Path(f["path"]).name: (f["status"], f["reason"]) for f in done.json["files"]}
    assert found == CLASSES | {"20080102X00002.pdf": ("read", ""), "20080102X00005.pdf": ("read", "")}
    assert done.json["classes"] == {"read": 2, "empty": 1, "damaged": 1, "password needed": 1, "not a document": 1}
    assert (done.json["documents"], done.json["new"], done.json["passed_over"]) == (2, 2, {".log": 1})
    assert "Passed over, because they are no documents: 1 .log." in done.err
    again = cli("ingest", bad_files, "-w", fresh, "--json")
    assert (again.code, again.json["new"], again.json["unchanged"]) == (3, 0, 2)
    assert set(cli("status", "-w", fresh, "--json").json["not_read"].values()) == {
        f"{status}: {reason}" for status, reason in CLASSES.values()
    }


def test_a_folder_without_documents(cli, fresh, tmp_path):
    (tmp_path / "none").mkdir()
    done = cli("ingest", tmp_path / "none", "-w", fresh)
    assert (done.code, done.err) == (
        2,
        f"There is no document in {tmp_path / 'none'}; name PDFs, text, HTML or office files, or a folder that holds "
        "some.\n",
    )  # fmt: skip


# -- the command line and the settings


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["ask"], "Missing argument 'question'."),
        (["ingest"], "Missing argument 'paths'."),
        (["asc", "x"], "No such command 'asc'. Did you mean 'ask'?"),
        (["ask", "x", "--kk", "3"], "No such option: --kk"),
    ],
)
def test_a_mistake_in_the_command(shell, arguments, sentence):
    done = shell(*arguments, "--json")
    assert (done.code, done.json["exit_code"]) == (2, 2)
    assert done.json["error"].startswith(sentence)
    assert done.err == ""
    plain = shell(*arguments)
    assert (plain.code, plain.out) == (2, "")
    assert sentence in plain.err


def test_an_empty_question(cli, shelf):
    done = cli("ask", "  ", "-w", shelf)
    assert (done.code, done.err) == (
        2, 'The question is empty; ask one, like: fieldguide ask "What happened at Elyria?"\n'
    )  # fmt: skip


def test_faulty_settings_are_shown_all_at_once(cli, fresh):
    (fresh / "fieldguide.toml").write_text(
        "[models]\nembeder = 'hashing'\n[ingest]\nchunk_tokens = 3\n[retrieval]\nk = 'many'\norder = 'best'\n"
        "[tunning]\nrank = 4\n"
    )
    sentence = f"""5 fault(s) in {fresh}/fieldguide.toml (or flags, environment):
  models.embeder: unknown name; did you mean models.embedder?
  ingest.chunk_tokens: Input should be greater than or equal to 16, not 3
  retrieval.k: Input should be a valid integer, unable to parse string as an integer, not 'many'
  retrieval.order: Input should be 'rank', 'ends' or 'reverse', not 'best'
  tunning: unknown name; did you mean tuning?"""
    done = cli("ingest", REPORT, "-w", fresh)
    assert (done.code, done.out, done.err) == (2, "", sentence + "\n")
    assert cli("status", "-w", fresh, "--json").json == {"error": sentence, "exit_code": 2}


def test_settings_that_are_no_toml(cli, fresh):
    (fresh / "fieldguide.toml").write_text("[models\n")
    done = cli("status", "-w", fresh)
    assert (done.code, done.err) == (
        2,
        f"{fresh}/fieldguide.toml is not valid TOML: Expected ']' at the end of a table declaration "
        "(at line 1, column 8).\n",
    )


@pytest.mark.parametrize(
    ("variable", "value", "fault"),
    [
        ("FIELDGUIDE_RETRIEVAL__K", "0", "retrieval.k: Input should be greater than or equal to 1, not '0'"),
        ("FIELDGUIDE_RETRIEVAL__KK", "2", "retrieval.kk: unknown name; did you mean retrieval.k?"),
        (
            "FIELDGUIDE_RETREIVAL__K", "2",
            "FIELDGUIDE_RETREIVAL__K in the environment: unknown name; did you mean retrieval.k?",
        ),
        (
            "FIELDGUIDE_QUESTIONS__SOURCES", "rules",
            "questions.sources from the environment: lists are written as JSON, like '[\"rules\"]', not 'rules'",
        ),
    ],
)  # fmt: skip
def test_a_bad_value_in_the_environment(cli, fresh, monkeypatch, variable, value, fault):
    monkeypatch.setenv(variable, value)
    done = cli("status", "-w", fresh)
    assert (done.code, done.err) == (
        2, f"1 fault(s) in {fresh}/fieldguide.toml (or flags, environment):\n  {fault}\n"
    )  # fmt: skip


def test_a_bad_value_of_a_flag(cli, shelf):
    done = cli("ask", "Where?", "-w", shelf, "--order", "best", "--k", "0")
    assert (done.code, done.err) == (
        2,
        f"2 fault(s) in {shelf}/fieldguide.toml (or flags, environment):\n"
        "  retrieval.k: Input should be greater than or equal to 1, not 0\n"
        "  retrieval.order: Input should be 'rank', 'ends' or 'reverse', not 'best'\n",
    )


# -- the workspace and the order of the verbs


def test_no_workspace(cli, tmp_path):
    sentence = f"{tmp_path} is no Fieldguide workspace; make one there with `fieldguide init {tmp_path}`."
    for arguments in (["ingest", REPORT], ["qa"], ["tune"], ["ask", "x"], ["compare"], ["status"]):
        done = cli(*arguments, "-w", tmp_path, "--json")
        assert (done.code, done.json, done.err) == (2, {"error": sentence, "exit_code": 2}, "")
    assert list(tmp_path.iterdir()) == []


def test_a_workspace_that_is_a_file(cli, fresh):
    file = fresh / "fieldguide.toml"
    done = cli("status", "-w", file)
    assert (done.code, done.err) == (
        2, f"{file} is a file; a workspace is a folder, made by `fieldguide init FOLDER`.\n"
    )  # fmt: skip
    done = cli("init", file)
    assert done.code == 2
    assert done.err.startswith(f"Cannot make a workspace in {file}: ")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["ask", "Where?"], "There is no index yet; run `fieldguide ingest` first."),
        (["qa"], "There are no documents yet; run `fieldguide ingest` first."),
        (["tune"], "There is no index yet; run `fieldguide ingest` first."),
    ],
)
def test_a_verb_before_ingest(cli, fresh, arguments, sentence):
    done = cli(*arguments, "-w", fresh)
    assert (done.code, done.out, done.err) == (2, "", sentence + "\n")


def test_tune_and_compare_before_qa(cli, fresh):
    assert cli("ingest", REPORT, "-w", fresh).code == 0
    done = cli("tune", "-w", fresh)
    assert (done.code, done.err) == (
        2, "There are no question-answer pairs to train on; run `fieldguide qa` first.\n"
    )  # fmt: skip
    done = cli("compare", "-w", fresh)
    assert (done.code, done.err) == (
        2,
        "There are no test questions: give a file with --questions, or ingest at least three documents and run "
        "`fieldguide qa`, so that one of them is kept for testing.\n",
    )


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        (None, ["cannot be read", "No such file or directory"]),
        ("", ["holds no questions."]),
        (
            '{"id": "a"}\nnot json\n{"id": "b", "question": "Who?", "answer": "x", "document": "zzz.pdf"}\n',
            [
                "4 fault(s) in", "line 1: question: Field required", "line 1: answer: Field required",
                "line 2: not JSON", "line 3: no document", "named zzz.pdf",
            ],
        ),
    ],
)  # fmt: skip
def test_a_questions_file_that_is_missing_or_faulty(cli, shelf, tmp_path, content, parts):
    file = tmp_path / "questions.jsonl"
    if content is not None:
        file.write_text(content)
    done = cli("compare", "--questions", file, "-w", shelf)
    assert (done.code, done.out) == (2, "")
    assert all(part in done.err for part in [str(file), *parts]), done.err
    assert not (shelf / ".fieldguide" / "runs").exists()


# -- models


def set_model(root: Path, kind: str, name: str) -> None:
    file = root / "fieldguide.toml"
    lines = [f'{kind} = "{name}"' if line.startswith(f"{kind} = ") else line for line in file.read_text().splitlines()]
    file.write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize(
    ("kind", "arguments"),
    [("embedder", ["ingest", REPORT]), ("generator", ["ask", "Where?"]), ("generator", ["tune"])],
)
def test_an_unknown_model(shell, shelf, tmp_path, kind, arguments):
    set_model(shelf, kind, "acme/none-such")
    before = state_of(shelf)
    done = shell(*arguments, "-w", shelf, "--json", HF_HUB_OFFLINE="1", HF_HOME=str(tmp_path / "hub"))
    sentence = (
        "The model 'acme/none-such' is not on this machine and HF_HUB_OFFLINE forbids to fetch it: "
        "unset it, or put the model into an offline folder."
    )
    assert (done.code, done.json) == (2, {"error": sentence, "exit_code": 2})
    assert state_of(shelf) == before
    assert not any(file.is_file() for file in (tmp_path / "hub").rglob("*"))


def test_a_model_at_a_path_that_does_not_exist(cli, shelf):
    set_model(shelf, "generator", "/nowhere/model")
    done = cli("ask", "Where?", "-w", shelf)
    assert (done.code, done.err) == (2, "There is no model at /nowhere/model: check the path.\n")


def test_a_folder_of_pickled_weights(cli, shelf, model, tmp_path):
    folder = Path(shutil.copytree(model, tmp_path / "pickled"))
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    set_model(shelf, "generator", str(folder))
    done = cli("ask", "Where?", "-w", shelf)
    assert (done.code, done.err) == (
        2,
        f"The model at {folder} has pickled weights only (pytorch_model.bin), which can run code when they are "
        "opened: use a copy in safetensors format.\n",
    )


def test_another_embedder_than_the_index_was_made_with(cli, shelf, model):
    set_model(shelf, "embedder", str(model))
    done = cli("ask", "Where?", "-w", shelf)
    assert done.code == 2
    assert "The index was built with the embedder hashing:" in done.err
    assert "run `fieldguide index` to build it anew, or set models.embedder back." in done.err


# -- a workspace that is held, read-only, or on a full disk

HOLDER = """
import sys, time
from pathlib import Path
from fieldguide.workspace import open_workspace
with open_workspace(Path(sys.argv[1])).lock("ingest"):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_second_ingest_while_one_runs(cli, shelf):
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(shelf)], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )  # fmt: skip
    try:
        assert holder.stdout.readline() == "held\n"
        done = cli("ingest", REPORT, "-w", shelf)
        assert done.code == 2
        assert done.err.startswith(f"`fieldguide ingest` (process {holder.pid}, since 20")
        assert done.err.endswith(f") is writing to {shelf}; wait until it ends (or stop it) and try again.\n")
        assert cli("status", "-w", shelf, "--json").json["documents"] == 3
        assert cli("ask", "Where?", "-w", shelf).code == 0
    finally:
        holder.kill()
        holder.wait()
        holder.stdout.close()
    assert cli("ingest", REPORT, "-w", shelf).code == 0


def test_a_catalogue_that_a_foreign_program_is_writing_to(cli, shelf, monkeypatch):
    from sqlalchemy import Engine, event

    with contextlib.closing(sqlite3.connect(shelf / ".fieldguide" / "catalog.sqlite", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        impatient = lambda connection, record: connection.execute("PRAGMA busy_timeout=10")  # noqa: E731
        event.listen(Engine, "connect", impatient)
        try:
            done = cli("ingest", REPORT.parent, "-w", shelf)
        finally:
            event.remove(Engine, "connect", impatient)
    file = shelf / ".fieldguide" / "catalog.sqlite"
    assert (done.code, done.err.splitlines()[-1]) == (
        2, f"{file} is being written to by another process; try again when that has ended."
    )  # fmt: skip


def in_a_mount(script: str, *arguments: object, cwd: Path) -> list[str]:
    """Lines of a shell script run with mounts of its own; skips where mounting is not allowed."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("FIELDGUIDE_")}
    env |= {"COLUMNS": "200", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "FIELDGUIDE": str(SCRIPT)}
    if shutil.which("unshare") is None or not SCRIPT.exists():
        pytest.skip("there is no unshare, or no console script")
    command = ["unshare", "-m", "sh", "-c", script, "sh", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, env=env, cwd=cwd, timeout=120)
    if not done.stdout.startswith("mounted"):
        pytest.skip("mounting is not allowed here")
    assert "Traceback" not in done.stderr, done.stderr
    return done.stdout.splitlines()[1:]


READ_ONLY = """
mount --bind "$1" "$1" && mount -o remount,ro,bind "$1" && echo mounted || exit 1
for verb in "ask Where?" "search Where?" "status" "ingest $2" "qa" "tune" "compare"; do
    $FIELDGUIDE $verb -w "$1" --json; echo $?
done
"""


def test_a_read_only_workspace_can_be_asked_and_not_changed(shelf, tmp_path):
    before = state_of(shelf)
    lines = in_a_mount(READ_ONLY, shelf, REPORT, cwd=tmp_path)
    given = [(json.loads(value), int(code)) for value, code in zip(lines[::2], lines[1::2], strict=True)]
    (answer, answered), (search, searched), (status, shown), *refused = given
    assert (answered, searched, shown) == (0, 0, 0)
    assert len(answer["passages"]) == len(search["passages"]) == 3
    assert (status["documents"], status["writable"]) == (3, False)
    for verb, (value, code) in zip(("ingest", "qa", "tune", "compare"), refused, strict=True):
        sentence = (
            f"{shelf} is read-only, so `fieldguide {verb}` cannot run there; `ask` and `status` work, "
            "or copy the workspace to a disk that can be written."
        )
        assert (value, code) == ({"error": sentence, "exit_code": 2}, 2)
    assert state_of(shelf) == before


FULL = """
mount -t tmpfs -o size=8m tmpfs "$2" && echo mounted || exit 1
cp -r "$1" "$2/shelf"
free=$(df -k --output=avail "$2" | tail -1)
head -c $(((free - $3) * 1024)) /dev/zero > "$2/filling"
$FIELDGUIDE $4 -w "$2/shelf" --json; echo $?
find "$2/shelf" -name '*.part*' | wc -l
rm "$2/filling"
$FIELDGUIDE $4 -w "$2/shelf" --json; echo $?
"""


@pytest.mark.parametrize(
    ("left", "where"),
    [(0, ""), (8, "/.fieldguide/catalog.sqlite"), (300, "/.fieldguide/catalog.sqlite"), (580, "/.fieldguide")],
    ids=["at once", "the catalogue", "a document", "the index"],
)
def test_ingest_on_a_full_disk_says_so_and_goes_on_when_there_is_room(fresh, tmp_path, left, where):
    (tmp_path / "disk").mkdir()
    lines = in_a_mount(FULL, fresh, tmp_path / "disk", left, f"ingest {REPORT.parent}", cwd=tmp_path)
    value, code, parts, after, code_after = lines
    sentence = json.loads(value)["error"]
    assert code == "2"
    assert sentence.startswith(f"The disk that holds {tmp_path}/disk/shelf{where}"), sentence
    assert sentence.endswith(
        " is full: make room and run it again; finished work is kept, and nothing half-written is."
    )
    assert parts == "0"
    assert (code_after, json.loads(after)["documents"], json.loads(after)["all_read"]) == ("0", 9, True)
    assert json.loads(after)["index"]["chunks"] == json.loads(after)["chunks"] > 50


@pytest.mark.slow
def test_tune_on_a_full_disk_says_so_and_goes_on_when_there_is_room(shelf, tmp_path):
    (tmp_path / "disk").mkdir()
    lines = in_a_mount(FULL, shelf, tmp_path / "disk", 150, "tune", cwd=tmp_path)  # full inside torch.save
    value, code, parts, after, code_after = lines
    assert (code, parts) == ("2", "0")
    assert " is full: make room and run it again; finished work is kept" in json.loads(value)["error"]
    assert (code_after, json.loads(after)["trained"]) == ("0", True)


def test_an_error_of_the_disk_elsewhere(cli, shelf, monkeypatch):
    import errno

    from fieldguide.cli import pairs

    def fail(session, *, yes):
        raise PermissionError(errno.EACCES, "Permission denied", "/elsewhere/x")

    monkeypatch.setattr(pairs, "make", fail)
    done = cli("qa", "-w", shelf)
    assert (done.code, done.err) == (
        2, "Permission denied (/elsewhere/x): mend that and run it again; finished work is kept.\n"
    )  # fmt: skip
