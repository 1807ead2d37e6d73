"""`fieldguide tune` on the tiny model: the training set as a file, methods that rewrite their base, wrong wishes."""

import json
from pathlib import Path

import pytest


def lines(path):
    return [json.loads(line) for line in Path(path).read_text("utf-8").splitlines()]


def test_a_dry_run_writes_the_training_set_and_trains_nothing(cli, shelf):
    done = cli("tune", "-w", shelf, "--dry-run", "--json")
    told, rows = done.json, lines(done.json["file"])
    train = [row for row in rows if row["set"] == "train"]
    assert (told["train"], told["dev"]) == (len(train), len(rows) - len(train))
    assert told["gold"]["retrieved"] + told["gold"].get("inserted", 0) + told["gold"].get("absent", 0) == 8
    assert {row["truncated"] for row in rows} == {False}
    assert told["tokens_if_separate"] == sum(row["prompt_tokens"] + row["answer_tokens"] for row in train)
    assert told["row_tokens"] <= told["tokens_if_separate"]
    assert train[0]["prompt"][0]["role"] == "system"
    assert train[0]["completion"]
    assert "Training set" in done.err
    assert f"All of it: {told['file']}" in done.err
    assert train[0]["completion"] in done.err
    assert cli("status", "-w", shelf, "--json").json["adapter"] is None


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--method", "lor"), "tuning.method"),
        (("--target", "marks"), "tuning.target"),
        (("--start", "nowhere"), "tuning.start names nowhere, which cannot be begun with"),
    ],
)
def test_wishes_that_cannot_be_met_are_one_message(cli, shelf, arguments, says):
    done = cli("tune", "-w", shelf, *arguments)
    assert done.code == 2
    assert says in done.err
    assert "Traceback" not in done.err


def test_options_of_the_adapter_do_not_go_with_the_retriever(cli, shelf):
    done = cli("tune", "-w", shelf, "--retriever", "--dry-run")
    assert done.code == 2
    assert "only --minutes and --distil go with --retriever" in done.err


@pytest.mark.slow
def test_an_adapter_that_rewrites_its_base_is_trained_and_served_in_processes_of_its_own(cli, shelf):
    tuned = cli("tune", "-w", shelf, "--method", "kasa", "--json").json
    assert tuned["manifest"]["method"] == "kasa"
    if not tuned["active"]:
        assert cli("adapters", "use", tuned["adapter"], "-w", shelf).code == 0
    asked = cli("ask", "Which club owned it?", "-w", shelf, "--json").json
    assert asked["trace"]["adapter"] == tuned["manifest"]["sha256"]
    base = cli("ask", "Which club owned it?", "-w", shelf, "--base", "--json").json
    assert base["trace"]["adapter"] is None
