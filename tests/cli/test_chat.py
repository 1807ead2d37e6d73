"""The chat as a user runs it: lines piped in, Ctrl-C, a kill, a terminal."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fieldguide import models
from fieldguide.errors import ModelError
from fieldguide.models.scripted import ScriptedGenerator

CLUB = "Which flying club owned the Reims F172 M?"
REPLY = "Airclub Besancon la Veze"


@pytest.fixture
def script(monkeypatch):
    """Put a generator with these replies, or this generator, in the place of the model."""

    def put(*replies):
        made = replies[0] if isinstance(replies[0], ScriptedGenerator) else ScriptedGenerator(replies)
        monkeypatch.setattr(models, "load_generator", lambda *a, **k: made)
        return made

    return put


@pytest.fixture
def talk(cli, shelf):
    """Pipe lines into a chat on the shelf."""

    def run(*lines, options=()):
        return cli("chat", "-w", shelf, *options, typed="".join(f"{line}\n" for line in lines))

    return run


def answers(done):
    return [json.loads(line) for line in done.out.splitlines()]


def kept(shelf):
    [path] = (shelf / ".fieldguide" / "chats").glob("*.jsonl")
    return path, [json.loads(line) for line in path.read_text().splitlines()]


def test_an_answer_is_shown_with_its_sources_and_kept(talk, shelf, script):
    script(f"Answer: {REPLY} [1]")
    done = talk(CLUB)
    assert (done.code, done.out) == (0, "")
    assert f"\n{REPLY}\n  [1] 20080102X00002.pdf, page 1, characters " in done.err
    assert "Answer:" not in done.err
    assert "no adapter, 3 passages" in done.err
    path, [turn] = kept(shelf)
    assert (turn["question"], turn["asked"], turn["interrupted"], turn["user"]) == (CLUB, CLUB, False, None)
    assert turn["answer"]["text"] == REPLY
    assert turn["answer"]["citations"][0]["source"] == "20080102X00002.pdf"
    assert len(turn["answer"]["passages"]) == 3
    assert turn["answer"]["trace"]["context"]
    assert 0 < turn["first_piece"] < 60
    assert path.stem[:8].isdigit()


def test_each_answer_is_a_line_of_json(talk, script):
    generator = script(REPLY, "no question", "not in the documents")  # the second where the follow-up is rewritten
    done = talk(CLUB, "", "And in 2008?", options=["--json"])
    first, second = answers(done)
    assert (first["question"], first["text"], first["abstained"]) == (CLUB, REPLY, False)
    assert (second["question"], second["abstained"], second["text"]) == ("And in 2008?", True, "")
    assert second["asked"] == "Which flying club owned the Reims F172 M in 2008?"
    assert f"Asked as: {second['asked']}" in done.err
    assert generator.calls[2][0][-1].content.endswith(f"Question: {second['asked']}")
    assert first["chat"] == second["chat"]


def test_a_refusal_is_not_shown_as_an_answer(talk, script):
    script("Not in the documents.")
    done = talk(CLUB)
    assert "The documents hold nothing about this." in done.err
    assert "Not in the documents" not in done.err


def test_commands_tell_of_the_last_answer(talk, shelf, script):
    script(REPLY)
    done = talk(CLUB, "/sources", "/open 1", "/why", "/history", "/help")
    assert done.code == 0
    _, [turn] = kept(shelf)
    trace = turn["answer"]["trace"]
    for passage in turn["answer"]["passages"]:
        assert passage["text"] in done.err
    assert f"owned by {REPLY} and piloted by" in done.err.replace("\n", " ")
    assert "»On December 17, 2007" in done.err
    for told in (
        f"context: {trace['context']}", f"prompt: {trace['prompt']}", f"index: {trace['index']}",
        f"tokens: {trace['prompt_tokens']} read, 0 of them known from the prompt before; 4 written, ended by stop",
        "to the first piece", "citation 1: passage", f"  1. {CLUB}", f"     {REPLY}", "/correct  TEXT",
    ):  # fmt: skip
        assert told in done.err, told
    picture = Path(re.search(r"As a picture: (\S+)", done.err)[1])
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert "Not marked" not in done.err


def test_verdicts_are_kept_one_a_line(talk, shelf, script):
    script(REPLY)
    done = talk(CLUB, "/good", "/bad too short", "/correct Airclub\\", "Besancon")
    assert done.err.count("Kept: ") == 3
    lines = (shelf / ".fieldguide" / "feedback.jsonl").read_text().splitlines()
    good, bad, corrected = map(json.loads, lines)
    _, [turn] = kept(shelf)
    assert set(good) == {
        "question", "answer", "citations", "context", "adapter", "verdict", "correction", "reason",
    }  # fmt: skip
    assert (good["question"], good["answer"], good["verdict"], good["adapter"]) == (CLUB, REPLY, "good", None)
    assert good["context"] == turn["answer"]["trace"]["context"]
    assert good["citations"] == turn["answer"]["citations"]
    assert (bad["verdict"], bad["reason"]) == ("bad", "too short")
    assert (corrected["verdict"], corrected["correction"]) == ("corrected", "Airclub\nBesancon")


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("/histry", "There is no command /histry; the nearest is /history, and /help shows all."),
        ("/open 9", "There is no citation '9'; the last answer has 1 to 1."),
        ("/open one", "There is no citation 'one'"),
    ],
)
def test_a_mistake_is_one_sentence_and_the_conversation_goes_on(talk, script, typed, told):
    script(REPLY)
    done = talk(CLUB, typed, CLUB)
    assert told in done.err
    assert done.code == 1
    assert done.err.count("no adapter, 3 passages") == 2
    done = talk(CLUB, typed, options=["--json"])
    assert answers(done)[1]["error"].startswith(told)


def test_commands_before_any_answer_say_so(talk, script):
    script(REPLY)
    done = talk("/why", "/history", "/quit", CLUB)
    assert "/why is about an answer, and nothing has been asked yet." in done.err
    assert "Nothing has been asked yet." in done.err
    assert REPLY not in done.err


def test_a_question_that_fails_does_not_end_the_conversation(talk, shelf, script):
    class Failing(ScriptedGenerator):
        def stream(self, prompt, **options):
            if "wind" in prompt[-1].content.rpartition("Question:")[2]:
                raise ModelError("The server is away: try again.")
            return super().stream(prompt, **options)

    script(Failing([REPLY]))
    done = talk("What was the wind?", CLUB)
    assert "The server is away: try again." in done.err
    assert REPLY in done.err
    assert [turn["question"] for turn in kept(shelf)[1]] == [CLUB]


def test_several_lines_are_one_question(talk, shelf, script):
    script(REPLY)
    talk('"""', "Which flying club", "owned it?", '"""', "Which flying club\\", "owned it?")
    assert [turn["question"] for turn in kept(shelf)[1]] == ["Which flying club\nowned it?"] * 2


def test_bytes_that_are_no_text_are_asked_with_a_mark_in_their_place(cli, shelf, script):
    script(REPLY)
    done = cli("chat", "-w", shelf, "--json", typed=b"Which club\xff?\n")
    assert answers(done)[0]["question"] == "Which club\ufffd?"


# ---- going on with a conversation


def test_a_conversation_is_gone_on_with_after_a_kill(talk, cli, shelf, script):
    generator = script(REPLY)
    talk(CLUB, "What was the wind speed?")
    path, _ = kept(shelf)
    path.write_bytes(path.read_bytes()[:-40])  # killed while it wrote the second turn
    done = talk("And in 2008?", "/history", options=["--resume", "last"])
    assert done.code == 0
    assert f"Going on with the conversation {path.stem}, 1 questions so far." in done.err
    assert f"Left out: line 2 of {path}, cut off when the program was ended" in done.err
    assert "Reims F172 M" in generator.calls[-1][0][-1].content.rpartition("Question:")[2]
    lines = path.read_text().splitlines()
    assert [json.loads(line)["question"] for line in (lines[0], lines[2])] == [CLUB, "And in 2008?"]

    again = talk("/why", "/open 1", options=["--resume", path.stem])
    assert "2 questions so far" in again.err
    assert "asked as: " in again.err
    listed = cli("chat", "-w", shelf, "--list", "--json").json["chats"]
    assert [(one["id"], one["turns"], one["first"]) for one in listed] == [(path.stem, 2, CLUB)]
    assert path.stem in cli("chat", "-w", shelf, "--list").err


def test_what_cannot_be_gone_on_with_is_said(talk, script):
    script(REPLY)
    assert "There is no conversation to go on with yet" in talk(options=["--resume", "last"]).err
    talk(CLUB)
    done = talk(options=["--resume", "20"])
    assert done.code == 2
    assert "There is no conversation '20'; the nearest is 20" in done.err


def test_a_conversation_of_the_owner_is_not_shown_to_a_user(talk, shelf, script):
    script(REPLY)
    talk(CLUB)
    done = talk("/history", options=["--resume", "last", "--user", "ann"])
    assert done.code == 2
    assert REPLY not in done.err


def test_new_begins_another_conversation(talk, shelf, script):
    generator = script(REPLY)
    talk(CLUB, "/new", "And in 2008?")
    paths = sorted((shelf / ".fieldguide" / "chats").glob("*.jsonl"))
    assert [len(path.read_text().splitlines()) for path in paths] == [1, 1]
    assert generator.calls[-1][0][-1].content.endswith("Question: And in 2008?")


def test_without_a_question_nothing_is_kept(talk, cli, shelf, script):
    script(REPLY)
    assert talk("/help").code == 0
    assert not (shelf / ".fieldguide" / "chats").exists()
    assert "There is no conversation yet" in cli("chat", "-w", shelf, "--list").err


# ---- untrusted text


def test_no_command_of_a_terminal_comes_out_of_a_text(talk, shelf, script):
    nasty = "/shelf/\x1b]0;owned\x07\nbad\u202e.pdf"
    with sqlite3.connect(shelf / ".fieldguide" / "catalog.sqlite") as raw:
        raw.execute("update documents set source = ?", (nasty,))
    reply = f"{REPLY} \x1b[2J\x9b31m\x07 done\r\x08"
    script(reply, REPLY)
    done = talk("Who is \x1b[5m it?", CLUB, "/sources", "/open 1", "/why", "/history")
    assert not [c for c in done.err if (ord(c) < 32 and c != "\n") or 127 <= ord(c) < 160 or c == "\u202e"]
    assert "]0;owned\ufffd bad\ufffd.pdf, page 1" in done.err
    assert f"{REPLY} \ufffd[2J\ufffd31m\ufffd done" in done.err


# ---- Ctrl-C


class Pressing(ScriptedGenerator):
    """Ctrl-C is pressed after the second word of the first reply."""

    pressed = False

    def stream(self, prompt, *, write, **options):
        words = []

        def hear(piece):
            write(piece)
            words.append(piece)
            if len(words) == 2 and not self.pressed:
                self.pressed = True
                os.kill(os.getpid(), signal.SIGINT)
                time.sleep(0.01)

        return super().stream(prompt, write=hear, **options)


def test_ctrl_c_stops_that_answer_alone_and_keeps_what_was_written(talk, shelf, script):
    script(Pressing([REPLY]))
    done = talk(CLUB, "/why", CLUB)
    assert done.code == 0
    assert "Stopped; what is written is kept, and nothing of it is checked." in done.err
    assert "stopped while it was being written" in done.err
    _, [first, second] = kept(shelf)
    assert (first["interrupted"], first["answer"]["text"]) == (True, "Airclub Besancon")
    assert (first["answer"]["citations"], first["answer"]["trace"]) == ([], {})
    assert (second["interrupted"], second["answer"]["text"]) == (False, REPLY)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


# ---- a process of its own, and a terminal


def test_the_process_is_killed_and_nothing_answered_is_lost(shell, shelf, command, surroundings):
    process = subprocess.Popen(
        [*command, "chat", "-w", str(shelf), "--json"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, env=surroundings,
    )  # fmt: skip
    try:
        process.stdin.write(f"{CLUB}\n")
        process.stdin.flush()
        first = json.loads(process.stdout.readline())
        process.stdin.write("What was the wind speed?\n")
        process.stdin.flush()
    finally:
        process.kill()
        process.communicate()
    _, turns = kept(shelf)
    assert turns[0]["answer"]["text"] == first["text"]
    done = shell("chat", "-w", shelf, "--list", "--json")
    assert done.json["chats"][0]["turns"] >= 1


SPAWN = "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))"


class Terminal:
    """A command on a terminal of its own."""

    def __init__(self, *arguments, env):
        self.seen = ""
        self.process = subprocess.Popen(
            [sys.executable, "-c", SPAWN, *map(str, arguments)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            env=env | {"TERM": "dumb"},
        )  # fmt: skip

    def until(self, text):
        """Wait for what is shown next to hold the text; it counts from behind it then."""
        end = time.time() + 60
        while text not in self.seen:
            assert time.time() < end, self.seen
            if select.select([self.process.stdout], [], [], 0.1)[0]:
                more = os.read(self.process.stdout.fileno(), 65536)
                assert more, self.seen
                self.seen += more.decode()
        self.seen = self.seen.partition(text)[2]

    def press(self, keys):
        self.process.stdin.write(keys)
        self.process.stdin.flush()


def test_on_a_terminal_lines_are_edited_and_ctrl_c_ends_only_at_an_empty_one(shelf, command, surroundings):
    pytest.importorskip("readline")
    terminal = Terminal(*command, "chat", "-w", shelf, env=surroundings)
    try:
        terminal.until("> ")
        terminal.press(b"/histry\n")
        terminal.until("the nearest is /history")
        terminal.until("> ")
        terminal.press(b"half a question")
        terminal.until("half a question")
        time.sleep(0.2)
        terminal.press(b"\x03")  # forgets the line
        terminal.until("> ")
        terminal.press(b"\x1b[A\x7f\x7fory\n")  # the line before, mended
        terminal.until("Nothing has been asked yet.")
        terminal.until("> ")
        for _ in range(100):
            terminal.press(b"\x03")  # ends; one that comes before the line is listened for is not heard
            try:
                assert terminal.process.wait(0.5) == 0
                break
            except subprocess.TimeoutExpired:
                continue
        assert terminal.process.returncode == 0
    finally:
        terminal.process.kill()
        terminal.process.communicate()
    assert "/histry" in (shelf / ".fieldguide" / "chat_history").read_text()
