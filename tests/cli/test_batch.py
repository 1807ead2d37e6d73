"""batch as a user runs it: every form in and out, filters, failures as rows, kill -9 in the middle and on again."""

import json
import os
import subprocess
import sys
import textwrap
from collections import Counter
from pathlib import Path

import openpyxl
import pytest

from assistant.table_writing import write_table
from assistant.tables import Row, Table, read_table
from fieldguide import models
from fieldguide.errors import ModelError
from fieldguide.models.scripted import ScriptedGenerator

ADDED = [
    "answer", "abstained", "confidence", "citations", "sources", "unsupported", "status", "reason", "trace",
]  # fmt: skip
CLUB = "Which flying club owned the Reims F172 M?"
OWNER = "Airclub Besancon la Veze"


def asked_of(prompt):
    return prompt[-1].content.rpartition("Question: ")[2]


@pytest.fixture
def scripted(monkeypatch):
    """The generator answers a question by what it holds, and fails for those that hold "bad"."""

    def reply(prompt, adapter):
        question = asked_of(prompt)
        if "bad" in question:
            raise ModelError("The server said no")
        return "not in the documents" if "moon" in question else OWNER if "club" in question else f"=Echo {question}"

    generator = ScriptedGenerator(reply, context_tokens=2000)
    monkeypatch.setattr(models, "load_generator", lambda *a, **k: generator)
    return generator


def rows_of(path):
    table = read_table(path)
    return [dict(zip(table.columns, row.cells, strict=True)) for row in table.rows]


def write_questions(path, *questions):
    write_table(path, Table(("question",), tuple(Row(n, (q,)) for n, q in enumerate(questions, 2))), {})
    return path


def asked(generator):
    return [asked_of(prompt) for prompt, _ in generator.calls]


@pytest.mark.parametrize("ending", ["csv", "xlsx", "jsonl", "parquet"])
def test_every_form_in_and_out(cli, shelf, scripted, tmp_path, ending):
    source, out = tmp_path / f"in.{ending}", tmp_path / f"out.{ending}"
    given = Table(("id", "Question", "note"), (
        Row(2, (1.5, CLUB, "=A1")), Row(3, (None, "Who walked on the moon?", None)), Row(4, (3, CLUB, "é")),
    ))  # fmt: skip
    write_table(source, given, {})
    done = cli("batch", source, "-o", out, "-w", shelf, "--json")
    assert done.code == 0, done.err
    told = done.json
    counts = ("rows", "answered", "not_in_the_documents", "failed", "repeated", "asked", "kept")
    assert {name: told[name] for name in counts} == {
        "rows": 3, "answered": 2, "not_in_the_documents": 1, "failed": 0, "repeated": 1, "asked": 2, "kept": 0,
    }  # fmt: skip
    assert (told["median_confidence"], told["reasons"], told["answers"]) == (None, {}, str(out))
    before, after = rows_of(source), rows_of(out)
    assert list(after[0]) == ["id", "Question", "note", *ADDED]
    assert [{name: row[name] for name in before[0]} for row in after] == before
    assert [row["answer"] or "" for row in after] == [OWNER, "", OWNER]
    assert [row["status"] for row in after] == ["answered", "not in the documents", "answered"]
    assert [str(row["abstained"]) for row in after] == ["False", "True", "False"]
    assert after[0]["sources"].startswith("20080102X00002.pdf p. 1")
    assert after[0]["citations"].startswith('20080102X00002.pdf p. 1: "')
    assert f"owned by {OWNER} and piloted by" in after[0]["citations"]
    trace = json.loads(after[0]["trace"])
    assert (trace["model"], trace["adapter"]) == (scripted.id, None)
    assert {"prompt", "context", "index", "prompt_tokens", "completion_tokens", "seconds"} <= set(trace)
    assert {k: v for k, v in after[2].items() if k not in before[0]} == {
        k: v for k, v in after[0].items() if k not in before[0]
    }
    assert asked(scripted) == [CLUB, "Who walked on the moon?"]
    assert sorted(path.name for path in tmp_path.glob("*out*")) == [f"out.{ending}"]


def test_from_csv_to_a_spreadsheet_no_answer_is_a_formula(cli, shelf, scripted, tmp_path):
    source = write_questions(tmp_path / "in.csv", "What is it?")
    assert cli("batch", source, "-o", tmp_path / "out.xlsx", "-w", shelf).code == 0
    cell = openpyxl.load_workbook(tmp_path / "out.xlsx").worksheets[0]["B2"]
    assert (cell.value, cell.data_type) == ("'=Echo What is it?", "s")


def test_each_row_is_asked_under_its_filters(cli, shelf, scripted, tmp_path):
    source = tmp_path / "in.csv"
    source.write_text(
        "question,where:document,Page\n"
        f"{CLUB},,\n{CLUB},20080104X00020.pdf,\n{CLUB},20080102X00002; 20080102X00005.pdf,\n"
        f"{CLUB},20080102X00002.pdf,2-3\n"
        f"{CLUB},nowhere.pdf,\n{CLUB},,first\n"
    )
    out = tmp_path / "out.jsonl"
    done = cli("batch", source, "-o", out, "-w", shelf, "--where-column", "page", "--json")
    assert done.code == 3
    rows = rows_of(out)
    assert [row["status"] for row in rows] == ["answered"] * 4 + ["failed"] * 2
    assert [row["sources"] for row in rows[:2]] == ["20080102X00002.pdf p. 1", ""]
    assert rows[2]["sources"] == "20080102X00002.pdf p. 1"
    assert "p. 1" not in rows[3]["sources"]
    contexts = [json.loads(row["trace"])["context"] for row in rows[:4]]
    assert len({contexts[0], contexts[1], contexts[3]}) == 3
    assert rows[4]["reason"] == "No chunk has document=nowhere.pdf; `fieldguide facets` shows which values there are."
    assert rows[5]["reason"] == "page is a number such as 3 or a range such as 3-7, not 'first'."
    assert len(scripted.calls) == 4
    assert done.json["reasons"] == {rows[4]["reason"]: 1, rows[5]["reason"]: 1}
    assert not (tmp_path / "out.jsonl.partial.jsonl").exists()  # asking again would change nothing

    limited = cli("batch", source, "-o", tmp_path / "b.jsonl", "-w", shelf, "--where", "document=20080104X00020.pdf")
    assert limited.code == 3
    first = rows_of(tmp_path / "b.jsonl")
    assert first[0]["sources"] == ""
    assert first[2]["sources"] == "20080102X00002.pdf p. 1"  # the row's own file goes before that of all


def test_failures_are_rows_with_reasons_and_are_asked_again(cli, shelf, scripted, tmp_path):
    source = tmp_path / "in.jsonl"
    source.write_text(
        f'{{"question": "{CLUB}"}}\n{{"question": "a bad one"}}\n{{"question": "  "}}\n{{"note": 1}}\nnot json\n'
        f'{{"question": "{"long " * 3000}"}}\n{{"question": "the other club?"}}\n'
    )
    out = tmp_path / "out.jsonl"
    done = cli("batch", source, "-o", out, "-w", shelf, "--base")
    assert done.code == 3
    rows = rows_of(out)
    assert [row["status"][0] for row in rows] == list("afffffa")
    assert [row["reason"] for row in rows][1:4] == ["The server said no."] + ["The question is empty."] * 2
    assert rows[4]["reason"].startswith("Line 5 is not JSON (")
    assert rows[4]["unreadable"] == "not json"
    assert rows[5]["reason"].startswith("The question has 30")
    assert rows[5]["reason"].endswith(" tokens, more than the model reads (1992).")
    assert "7 rows: 2 answered, 0 not in the documents, 5 failed.\n" in done.err
    assert "  2 failed: The question is empty.\n" in done.err
    assert f"ask only those that failed; the answers are kept in {out}.partial.jsonl.\n" in done.err

    scripted.calls.clear()
    scripted._replies = lambda prompt, adapter: "mended"
    again = cli("batch", source, "-o", out, "-w", shelf, "--base", "--json")
    assert (again.code, again.json["asked"], again.json["kept"]) == (3, 1, 2)
    assert [row["answer"] for row in rows_of(out)][:2] == [OWNER, "mended"]
    assert asked(scripted) == ["a bad one"]
    assert not (tmp_path / "out.jsonl.partial.jsonl").exists()


def test_a_generator_that_answers_nothing_stops_the_run(cli, shelf, scripted, tmp_path):
    source = write_questions(tmp_path / "in.csv", CLUB, *(f"bad {n}" for n in range(30)))
    done = cli("batch", source, "-o", tmp_path / "out.csv", "-w", shelf, "--batch-size", 4, "--json")
    assert done.code == 2
    assert done.json["error"].startswith(
        "Stopped, since 20 questions failed one after the other, the last because: The"
    )
    assert not (tmp_path / "out.csv").exists()
    assert len((tmp_path / "out.csv.partial.jsonl").read_text().splitlines()) == 1


def test_answers_of_other_settings_are_not_used(cli, shelf, scripted, tmp_path):
    source = write_questions(tmp_path / "in.csv", CLUB, "bad")
    out = tmp_path / "out.csv"
    assert cli("batch", source, "-o", out, "-w", shelf).code == 3
    assert cli("batch", source, "-o", out, "-w", shelf, "--json").json["kept"] == 1
    other = cli("batch", source, "-o", out, "-w", shelf, "--where", "document=20080104X00020.pdf")
    assert "0 of 2 questions were answered by an earlier run; 1 belong to other questions or settings.\n" in other.err


def test_a_column_that_is_there_already_keeps_its_name(cli, shelf, scripted, tmp_path):
    source, out = tmp_path / "in.csv", tmp_path / "out.csv"
    source.write_text(f"question,Answer\n{CLUB},mine\n")
    done = cli("batch", source, "-o", out, "-w", shelf)
    assert "in.csv has a column “answer” already; ours is “fieldguide answer”.\n" in done.err
    (row,) = rows_of(out)
    assert (row["Answer"], row["fieldguide answer"]) == ("mine", OWNER)


def test_an_output_that_is_there_is_replaced_only_when_that_is_wished(cli, shelf, scripted, tmp_path):
    source = write_questions(tmp_path / "in.csv", CLUB)
    out = write_questions(tmp_path / "out.csv", "precious")
    refused = cli("batch", source, "-o", out, "-w", shelf)
    assert (refused.code, refused.err) == (
        2, f"{out} is there already: name another file, or replace it by --overwrite.\n"
    )  # fmt: skip
    assert rows_of(out) == [{"question": "precious"}]
    assert cli("batch", source, "-o", out, "-w", shelf, "--overwrite").code == 0
    assert rows_of(out)[0]["answer"] == OWNER
    same = cli("batch", source, "-o", source, "-w", shelf, "--overwrite")
    assert same.err == f"The answers would take the place of the questions in {source}: name another.\n"


@pytest.mark.parametrize(
    ("name", "content", "options", "message"),
    [
        ("in.csv", "What happened?\nWho died?\n", (), "are: What happened?. Name the right one with --column."),
        ("in.csv", "q,n\nWho?,1\n", ("--column", "x"), "has no column “x” of questions"),
        ("in.csv", "question\nWho?\n", ("--where-column", "year"), "has no column “year” of filters"),
        ("in.csv", "question,where:colour\nWho?,red\n", (), "filters by “colour”, and there is no such"),
        ("in.csv", "question\n", (), "in.csv holds no questions: there is no row below the names of its columns."),
        ("in.csv", "", (), "in.csv holds no questions"),
        ("in.ods", "", (), "in.ods does not end in one of .csv, .xlsx, .jsonl, .parquet."),
        ("in.csv", "question\nWho?\n", ("--user", "eve"), "There is no user 'eve'"),
        ("in.csv", "question\nWho?\n", ("--where", "document=x"), "No chunk has document=x"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_one_sentence(cli, shelf, scripted, tmp_path, name, content, options, message):
    (tmp_path / name).write_text(content)
    done = cli("batch", tmp_path / name, "-o", tmp_path / "out.csv", "-w", shelf, *options)
    assert done.code == 2
    assert message in done.err
    assert done.err.count("\n") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([name, "shelf"])
    assert scripted.calls == []


def test_a_folder_or_another_ending_for_the_answers(cli, shelf, scripted, tmp_path):
    source = write_questions(tmp_path / "in.csv", CLUB)
    (tmp_path / "out.csv").mkdir()
    assert "is a folder; name a file" in cli("batch", source, "-o", tmp_path / "out.csv", "-w", shelf).err
    assert "out.pdf does not end in one of" in cli("batch", source, "-o", tmp_path / "out.pdf", "-w", shelf).err


DYING = textwrap.dedent("""
    import os, signal, sys
    from fieldguide import models
    from fieldguide.models.scripted import ScriptedGenerator
    how, left, log = sys.argv.pop(1), int(sys.argv.pop(1)), open(sys.argv.pop(1), "a")
    def reply(prompt, adapter):
        global left
        question = prompt[-1].content.rpartition("Question: ")[2]
        log.write(question + chr(10)); log.flush()
        left -= 1
        if left == 0:
            os.kill(os.getpid(), getattr(signal, how))
        return "I say " + question
    generator = ScriptedGenerator(reply)
    models.load_generator = lambda *a, **k: generator
    from fieldguide.cli.main import main
    sys.argv[0] = "fieldguide"
    main()
""")


@pytest.mark.parametrize(("how", "code", "ending"), [("SIGKILL", -9, "xlsx"), ("SIGINT", 130, "csv")])
def test_every_row_once_after_two_kills_in_the_middle(shelf, tmp_path, how, code, ending):
    questions = [f"What is number {n % 25}?" for n in range(30)]
    source, out, log = write_questions(tmp_path / "in.csv", *questions), tmp_path / f"out.{ending}", tmp_path / "log"
    root = Path(__file__).parents[2]
    env = {k: v for k, v in os.environ.items() if not k.startswith("FIELDGUIDE_") or k == "FIELDGUIDE_CACHE"}

    def run(left):
        command = [sys.executable, "-c", DYING, how, str(left), str(log), "batch", str(source), "-o", str(out)]
        command += ["-w", str(shelf), "--batch-size", "4", "--json"]
        done = subprocess.run(
            command, env=env | {"PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}, cwd=root, capture_output=True,
            text=True, timeout=120,
        )  # fmt: skip
        assert "Traceback" not in done.stderr, done.stderr
        return done

    journal = tmp_path / f"out.{ending}.partial.jsonl"
    for left, kept in ((10, 8), (7, 12)):  # in the third call, and then in the second
        done = run(left)
        assert done.returncode == code
        assert len(journal.read_text().splitlines()) == kept
        assert not out.exists()
        if how == "SIGINT":
            assert f"{kept} answers are kept in {journal}.\n" in done.stderr
            assert json.loads(done.stdout)["error"] == (
                "Stopped. Finished work is kept: run the same command again to go on."
            )
    with journal.open("ab") as file:
        file.write(b'{"key": "half')
    last = run(0)
    assert last.returncode == 0
    told = json.loads(last.stdout)
    assert (told["rows"], told["kept"], told["asked"], told["repeated"]) == (30, 12, 13, 5)
    assert [row["answer"] for row in rows_of(out)] == [f"I say {question}" for question in questions]
    assert {path.name for path in tmp_path.iterdir()} == {"in.csv", f"out.{ending}", "log", "shelf"}
    times = Counter(log.read_text().splitlines())
    assert set(times) == set(questions)
    assert sum(times.values()) == 10 + 7 + 13  # of what a kill met, a call at most was asked again
