"""What the README says can be done, can: its commands run, its make targets, settings and files exist."""

from __future__ import annotations

import importlib.util
import io
import json
import re
import shlex
from pathlib import Path

import pytest
import typer.main

from fieldguide.cli.main import app
from fieldguide.models.tiny import write_tiny_encoder
from fieldguide.settings import Settings, names

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")
PAGES = [README, *(page.read_text("utf-8") for page in sorted((ROOT / "docs").glob("*.md")) if page.name != "log.md")]
BLOCKS = re.findall(r"^```[a-z]*\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
SPANS = [
    span for page in PAGES for span in re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", page, flags=re.M | re.S))
]
COMMAND = re.compile(r"^(\$ )?(fieldguide .*|cd .*)$")


def parts(command: str) -> list[str]:
    return shlex.split(command, comments=True)


LINES = [line.strip() for block in BLOCKS for line in block.splitlines()]
IN_BLOCKS = [found for line in LINES if (found := COMMAND.match(line))]
COMMANDS = sorted({found[2] for found in IN_BLOCKS if found[2].startswith("fieldguide ")})
MENTIONED = sorted({span for span in SPANS if span.startswith("fieldguide ")})
TARGETS = sorted({found[1] for text in [*LINES, *SPANS] if (found := re.match(r"(?:\$ )?make ([a-z-]+)", text))})


def test_there_is_something_to_check():
    assert COMMANDS
    assert {"demo", "test"} <= set(TARGETS)


@pytest.mark.parametrize("command", [*COMMANDS, *MENTIONED])
def test_a_command_parses(command):
    _, *arguments = parts(command)
    group = typer.main.get_command(app)
    if arguments[0].startswith("--"):
        assert arguments[0] in {"--help", "--version", "--json"}
        return
    assert arguments[0] in group.commands
    verb = group.commands[arguments[0]]
    if len(arguments) == 1 and command in MENTIONED:
        return  # named, not shown
    with verb.make_context(arguments[0], arguments[1:]) as context:
        assert context.params or hasattr(verb, "commands")


@pytest.mark.parametrize("target", TARGETS)
def test_a_make_target_exists(target):
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)


def test_sections_and_settings_exist():
    known = {name for name, _ in names()}
    sections = re.findall(r"`\[([a-z_]+)\]`", README)
    assert set(sections) <= set(Settings.model_fields) | {"ocr", "openai", "ray", "qlora", "postgres"}, sections
    for span in SPANS:
        dotted = re.fullmatch(r"([a-z_]+)\.([a-z_]+)((?:\.[a-z_]+)*)(?: = .*)?", span)
        if dotted and dotted[1] in Settings.model_fields:
            assert f"{dotted[1]}.{dotted[2]}" in known or is_ours(span), span
    for variable in re.findall(r"FIELDGUIDE_[A-Z]+__[A-Z_]+", README):
        assert variable.removeprefix("FIELDGUIDE_").lower().replace("__", ".", 1) in known


def is_ours(dotted: str) -> bool:
    """Whether a dotted name is a module of ours or something in one."""
    module, _, name = dotted.rpartition(".")
    try:
        return importlib.util.find_spec(dotted) is not None
    except ModuleNotFoundError:  # its last part but one is no package: then it is a module
        return hasattr(importlib.import_module(module), name)


def test_linked_files_exist():
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", README):
        assert target.startswith("http") or (ROOT / target).exists(), target


def test_every_command_runs(cli, configure, model, reports, tmp_path, monkeypatch):
    """In the order of the README, the typed ones (without "$") first, on the tiny model and three reports."""
    monkeypatch.chdir(tmp_path)
    questions = [
        {"id": f"{report.stem}-{n}", "question": "Who?", "answer": "x", "document": report.name, "page": 1 + n % 3}
        for report in reports
        for n in range(7)
    ]
    root = tmp_path / "shelf"
    words = sorted(set(re.findall("[a-z]+", (ROOT / "examples" / "ntsb" / "questions.jsonl").read_text().lower())))
    encoder = write_tiny_encoder(tmp_path / "encoder", words, window=256)  # which can tell passages apart
    all_trained = {"test_share": 0.0, "dev_share": 0.3, "held_out_share": 0.0}  # three reports are few to learn from
    configure(root, model, models={"embedder": str(encoder), "dtype": "float32"}, questions=all_trained)
    (tmp_path / "mine.jsonl").write_text("".join(json.dumps(question) + "\n" for question in questions))
    (tmp_path / "mine.csv").write_text("question\nWho?\n")
    monkeypatch.setattr("sys.stdin", io.StringIO("Who?\n/quit\n"))
    ran = []
    for found in sorted(IN_BLOCKS, key=lambda found: bool(found[1])):
        program, *arguments = parts(found[2])
        if program == "cd" or arguments[0] == "demo":
            continue  # every command is given its workspace; the demo has its own test
        verb = arguments[0]
        if verb == "ingest":
            arguments = ["ingest", *(str(report) for report in reports)]
        for option, value in (("-w", str(root)), ("--workspace", str(root)), ("--questions", "mine.jsonl")):
            if option in arguments:
                arguments[arguments.index(option) + 1] = value
        arguments += {"auto": ["--minutes", "0.05"], "tune-context": ["--max-questions", "2", "-k", "2"]}.get(verb, [])
        if "--retriever" in arguments:
            arguments += ["--minutes", "0.05"]
        if verb not in ("doctor", "init") and "-w" not in arguments and "--workspace" not in arguments:
            arguments += ["-w", str(root)]
        done = cli(*arguments)
        if verb != "doctor":  # whose finding is about this machine
            allowed = {"eval": (0, 1), "calibrate": (0, 2)}.get(verb, (0,))  # 2: a random model is never right
            assert done.code in allowed, (found[2], done.err)
        if verb == "adapters":  # a random model may fail the gate; what follows wants an adapter
            [made, *_] = [path.name for path in (root / ".fieldguide" / "adapters").iterdir() if path.is_dir()]
            assert cli("adapters", "use", made, "-w", str(root)).code == 0
        ran.append(verb)
    assert {"ingest", "qa", "tune", "ask", "chat", "batch", "search", "auto", "tune-context", "compare"} <= set(ran)
