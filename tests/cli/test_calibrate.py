"""calibrate, prompts, and counted looks, as a user runs them on a scripted model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fieldguide import models
from fieldguide.models.scripted import ScriptedGenerator

RIGHT = "Airclub Besancon la Veze"


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch):
    def put(reply: Any, base: str = "scripted") -> None:
        monkeypatch.setattr(models, "load_generator", lambda *a, **k: ScriptedGenerator(reply, base=base))

    return put


def rows(path: Path, n: int) -> Path:
    lines = [
        {"id": f"q{i}", "question": f"{i}: Which flying club owned the Reims F172 M?", "answer": RIGHT,
         "document": "20080102X00002.pdf", "page": 1}
        for i in range(n)
    ]  # fmt: skip
    path.write_text("\n".join(map(json.dumps, lines)))
    return path


def reply(prompt: Any, adapter: Any) -> str:
    """Right where the passages hold the answer, else something that they do not say."""
    return RIGHT if RIGHT in prompt[-1].content else "Ganymede of the moons"


def test_a_confidence_is_fitted_told_and_used(cli, shelf, scripted, tmp_path):
    scripted(reply)
    file = rows(tmp_path / "dev.jsonl", 24)
    done = cli("calibrate", "-w", shelf, "--questions", file, "--precision", "0.97", "--json")
    assert done.code == 0, done.err
    assert done.json["measured"]["precision"] == 1.0
    assert done.json["measured"]["refusal_recall"] > 0.8
    assert "of these answers are right (cross-validated)" in done.err
    sure = cli("ask", "-w", shelf, "Which flying club owned the Reims F172 M?", "--json")
    assert sure.json["text"] == RIGHT
    assert sure.json["confidence"] > 0.8
    scripted(["Ganymede of the moons"])
    unsure = cli("ask", "-w", shelf, "Which flying club owned the Reims F172 M?", "--json")
    assert (unsure.json["text"], unsure.json["abstained"]) == ("", True)
    assert unsure.json["withheld"] == "Ganymede of the moons"
    said = cli("ask", "-w", shelf, "Which flying club owned the Reims F172 M?").err
    assert "Too unsure to answer (confidence 0." in said
    assert "nearest: 2008" in said
    scripted(["Ganymede of the moons"], base="another model")
    other = cli("ask", "-w", shelf, "Which flying club owned the Reims F172 M?")
    assert "calibrated for another model, adapter or prompt, and is not used" in other.err
    assert "Ganymede" in other.err


def test_too_few_questions_are_one_sentence(cli, shelf, scripted, tmp_path):
    scripted(reply)
    done = cli("calibrate", "-w", shelf, "--questions", rows(tmp_path / "dev.jsonl", 3))
    assert done.code == 2
    assert "A confidence needs at least 20 answers to dev questions" in done.err


def test_a_look_is_counted_where_other_questions_were_asked_before(cli, shelf, scripted, tmp_path):
    scripted([RIGHT])
    levels = []
    for n in (3, 6, 6, 3):
        done = cli("compare", "-w", shelf, "--questions", rows(tmp_path / f"{n}.jsonl", n), "--json")
        report = json.loads(Path(done.json["report_json"]).read_text())
        levels.append((report["look"]["number"], round(report["look"]["level"], 3), round(report["look"]["spent"], 3)))
    assert levels[0] == (1, 0.97, 0.03)
    assert levels[1][0] == levels[2][0] == 2  # the same questions again are no new look
    assert levels[1][2] == 0.035
    assert 0.985 < levels[1][1] < 0.995
    assert levels[3] == levels[0]  # as they were looked at first
    assert "this is look number 1" in Path(done.json["report"]).read_text()


def test_prompts_are_written_edited_and_checked(cli, shelf, scripted, tmp_path, monkeypatch):
    seen: list[str] = []
    scripted(lambda prompt, adapter: seen.append(prompt[0].content) or RIGHT)
    folder = tmp_path / "prompts"
    assert cli("prompts", folder).code == 0
    assert "{passages}" in (folder / "answer_with_passages.txt").read_text()
    before = cli("ask", "-w", shelf, "Who?", "--json").json["trace"]["prompt"]
    (folder / "answer_system.txt").write_text("Answer like a pirate.")
    monkeypatch.setenv("FIELDGUIDE_ANSWER__PROMPTS", str(folder))
    after = cli("ask", "-w", shelf, "Who?", "--json").json["trace"]["prompt"]
    assert before != after
    assert seen[-1] == "Answer like a pirate."
    assert json.loads(cli("prompts", folder, "--json").out)["written"] == []  # what is there stays
    (folder / "answer_with_passages.txt").write_text("{question} {mood}")
    (folder / "answer_sistem.txt").write_text("x")
    wrong = cli("ask", "-w", shelf, "Who?")
    assert wrong.code == 2
    assert "answer_sistem.txt is no prompt of answering; did you mean answer_system.txt?" in wrong.err
    assert "answer_with_passages.txt lacks {passages}" in wrong.err
    assert "nothing is known to fill {mood} with" in wrong.err
    monkeypatch.setenv("FIELDGUIDE_ANSWER__PROMPTS", str(tmp_path / "none"))
    assert "there is no folder" in cli("ask", "-w", shelf, "Who?").err
    monkeypatch.delenv("FIELDGUIDE_ANSWER__PROMPTS")
    assert cli("ask", "-w", shelf, "Who?", "--json").json["trace"]["prompt"] == before
