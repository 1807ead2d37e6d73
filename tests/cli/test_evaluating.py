"""compare, eval, report diff and judge calibrate as a user runs them, on a scripted model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fieldguide import models
from fieldguide.models.scripted import ScriptedGenerator

RIGHT = "Airclub Besancon la Veze"


@pytest.fixture
def says(monkeypatch: pytest.MonkeyPatch):
    """Make the generator answer this to questions, and that to a judge's."""

    def put(text: str, judged: str = "correct") -> None:
        def reply(prompt: Any, adapter: Any) -> str:
            return judged if "Reply with one" in prompt[-1].content else text

        monkeypatch.setattr(models, "load_generator", lambda *a, **k: ScriptedGenerator(reply, base=text))

    return put


@pytest.fixture
def asked(tmp_path: Path) -> Path:
    path = tmp_path / "mine.jsonl"
    rows = [
        {"id": f"q{n}", "question": f"{n}: Which flying club owned the Reims F172 M?", "answer": RIGHT,
         "document": "20080102X00002.pdf", "page": 1, "kind": "name", "level": n}
        for n in range(3)
    ]  # fmt: skip
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def test_eval_measures_what_ask_serves_and_holds_the_gates(cli, shelf, says, asked):
    says(RIGHT)
    gates = ("--gate", "token_f1>=0.9", "--gate", "recall@10>=0.5")
    done = cli("eval", "-w", shelf, "--questions", asked, *gates, "--json")
    assert done.code == 0, done.err
    assert [arm["name"] for arm in done.json["arms"]] == ["base+RAG"]
    assert done.json["arms"][0]["metrics"]["token_f1"]["mean"] == 1.0
    assert done.json["arms"][0]["metrics"]["citation_recall"]["mean"] == 1.0
    assert [gate["ok"] for gate in done.json["gates"]] == [True, True]
    assert "holds: token_f1>=0.9 (measured 100.0 (no spread))" in done.err
    folder = Path(done.json["report"]).parent
    assert {"report.html", "report.json", "report.csv", "report.md"} <= {path.name for path in folder.iterdir()}
    assert "How good are the answers?" in (folder / "report.html").read_text("utf-8")


def test_a_gate_that_does_not_hold_ends_with_code_1_and_the_report_is_there(cli, shelf, says, asked):
    says(RIGHT)
    cli("eval", "-w", shelf, "--questions", asked)
    says("Ganymede")
    gates = ("--gate", "token_f1>=0.5", "--gate", "negative_flips<=2")
    done = cli("eval", "-w", shelf, "--questions", asked, *gates, "--json")
    assert done.code == 1
    assert "FAILS: token_f1>=0.5 (measured 0.0 (no spread))" in done.err
    assert "FAILS: negative_flips<=2 (measured 3)" in done.err
    assert done.json["since"]["arms"][0]["negative"] == ["q0", "q1", "q2"]
    assert Path(done.json["report"]).exists()
    wrong = cli("eval", "-w", shelf, "--questions", asked, "--gate", "quality>=1", "--json")
    assert wrong.code == 2
    assert "is no threshold" in wrong.json["error"]


def test_two_reports_are_compared(cli, shelf, says, asked, tmp_path):
    says("Ganymede")
    before = Path(cli("eval", "-w", shelf, "--questions", asked, "--json").json["report"])
    says(RIGHT)
    after = cli("eval", "-w", shelf, "--questions", asked, "--json").json["report_json"]
    done = cli("report", "diff", before.parent, after, "--json")
    assert done.code == 0
    assert done.json["arms"][0]["positive"] == ["q0", "q1", "q2"]
    assert "base + RAG: +100.0 F1 points" in done.err
    assert "models.generator" in done.json["changed"]
    other = tmp_path / "other.json"
    other.write_text('{"items": 3}')
    wrong = cli("report", "diff", other, after, "--json")
    assert (wrong.code, wrong.json["exit_code"]) == (2, 2)
    assert "is no report of this version" in wrong.json["error"]
    assert "cannot be read" in cli("report", "diff", tmp_path / "none", after, "--json").json["error"]


def test_a_judge_is_calibrated_and_the_report_prints_that(cli, shelf, says, asked, tmp_path, configure, model):
    labels = tmp_path / "labels.jsonl"
    rows = [{"question": f"Q{n}", "reference": "R", "answer": "A", "label": "wrong" if n == 3 else "correct"}
            for n in range(4)]  # fmt: skip
    rows += [{"question": "P", "first": "A", "second": "B", "label": "tie"}]
    labels.write_text("\n".join(map(json.dumps, rows)))
    says("Ganymede")
    (shelf / "fieldguide.toml").unlink()
    configure(shelf, model, compare={"judge": "somebody"})
    done = cli("judge", "calibrate", labels, "-w", shelf, "--json")
    assert done.code == 0, done.err
    assert done.json["grades"]["agreement"]["mean"] == 0.75
    assert (done.json["grades"]["kappa"], done.json["grades"]["unparsed"]) == (0, 0)
    assert done.json["pairs"]["unparsed"] == 1.0  # "correct" is no preference
    assert "agrees with people in 75.0" in done.err
    compared = cli("compare", "-w", shelf, "--questions", asked, "--json")
    assert compared.code == 0, compared.err
    assert compared.json["judge"]["calibration"]["grades"]["kappa"] == 0
    assert compared.json["arms"][1]["metrics"]["judged_correct"]["mean"] == 1.0
    page = Path(compared.json["report"]).read_text("utf-8")
    assert "Against people’s grades this judge agrees in 75.0%" in page
    assert "order flips 0.0%" in page  # of the pair, whose reply could not be parsed
    labels.write_text(json.dumps(rows[-1]))
    assert cli("judge", "calibrate", labels, "-w", shelf).code == 0
    kept = json.loads(next((shelf / ".fieldguide" / "judges").iterdir()).read_text("utf-8"))
    assert kept["grades"]["n"] == 4  # not lost by labels of the other kind
    labels.write_text("{}")
    assert cli("judge", "calibrate", labels, "-w", shelf).code == 2


def test_likelihood_needs_weights_in_memory(cli, shelf, says, asked, configure, model):
    (shelf / "fieldguide.toml").unlink()
    configure(shelf, model, compare={"two_paths": ["likelihood"]})
    done = cli("compare", "-w", shelf, "--questions", asked, "--json")
    assert done.code == 0, done.err
    assert [arm["name"] for arm in done.json["arms"]] == ["base", "base+RAG", "two paths by likelihood"]
    says(RIGHT)
    assert (
        'compare.two_paths names "likelihood"'
        in cli("compare", "-w", shelf, "--questions", asked, "--json").json["error"]
    )


def test_robustness_asks_under_every_condition(cli, shelf, says, asked):
    says(RIGHT)
    done = cli("robustness", "-w", shelf, "--questions", asked, "-k", "2", "--json")
    assert done.code == 0, done.err
    assert [row["condition"] for row in done.json["conditions"]] == [
        "as served", "reworded: polite", "reworded: hurried", "reworded: mistyped", "passages shuffled",
    ]  # fmt: skip
    assert [(row["place"], row["mean"]) for row in done.json["places"]] == [(1, 1.0), (2, 1.0)]
    assert Path(done.json["plot"]).stat().st_size > 1000
    assert "No adapter is in use, so only the base model is compared" in done.err
