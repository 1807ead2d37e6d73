import json
import os
from datetime import datetime

import pytest

from assistant import chat
from assistant.chat import Command, Turn
from fieldguide.errors import FieldguideError
from fieldguide.files import append_json, read_json_lines

CITED = {
    "document": "d1", "source": "one.pdf", "page": 3, "start": 4, "end": 11, "quote": "The wing is 12 feet.",
    "passage": 1, "score": 1.0, "statement": "12 feet", "verified": True,
}  # fmt: skip
ANSWER = {
    "text": "12 feet", "abstained": False, "citations": [CITED], "unsupported": [], "passages": [],
    "trace": {"context": "c0ffee", "adapter": "ab12", "model": "m"},
}  # fmt: skip


def turn(question="How long?", **more):
    return Turn(question, f"{question} (asked)", ANSWER, **more)


# ---- what is typed


@pytest.mark.parametrize(
    ("typed", "command"),
    [
        ("What about /why?", None),
        ("", None),
        ("/why", Command("why", "")),
        ("  /Open  2 ", Command("open", "2")),
        ("/bad", Command("bad", "")),
        ("/bad it is older", Command("bad", "it is older")),
        ("/correct In 1978.\nOr 1979.", Command("correct", "In 1978.\nOr 1979.")),
    ],
)
def test_commands_are_told_from_questions(typed, command):
    assert chat.parse(typed) == command


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("/histry", "There is no command /histry; the nearest is /history, and /help shows all."),
        ("/etc/passwd", "There is no command /etc/passwd; the nearest is /"),
        ("/", "There is no command /; the nearest is /"),
        ("/open", "/open needs the number of a citation, as in /open 2."),
        ("/correct  ", "/correct needs the right answer"),
        ("/good because", "/good takes nothing behind it"),
    ],
)
def test_a_mistyped_command_is_one_sentence(typed, told):
    with pytest.raises(FieldguideError) as error:
        chat.parse(typed)
    assert str(error.value).startswith(told)
    assert "\n" not in str(error.value)


def entries(*lines):
    """All that is typed by these lines, and of each line whether an entry was under way when it was asked for."""
    waiting, asked = list(lines), []

    def line(more):
        if not waiting:
            raise EOFError
        asked.append(more)
        return waiting.pop(0)

    found = []
    while True:
        try:
            found.append(chat.read_entry(line))
        except EOFError:
            return found, asked


def test_lines_are_joined_by_backslashes_and_between_quotation_marks():
    found, asked = entries("one", "two\\", "more\\", "end", '"""', "a", "", "/b\\", ' """ ', "last")
    assert found == ["one", "two\nmore\nend", "a\n\n/b\\", "last"]
    assert asked == [False, False, True, True, False, True, True, True, True, False]


def test_an_entry_that_the_input_ends_within_is_what_there_is_of_it():
    assert entries("one\\")[0] == ["one"]
    assert entries('"""', "a", "b")[0] == ["a\nb"]
    assert entries('"""')[0] == [""]


# ---- the history


def test_turns_come_back_as_they_were_kept(tmp_path):
    path = chat.start(tmp_path / "chats", datetime(2026, 1, 2, 3, 4, 5))
    assert path.name == "20260102-030405.jsonl"
    turns = [turn(), turn("Wie groß? \ud83d 😀\n", interrupted=True, first_piece=0.5, user="ann")]
    for one in turns:
        chat.keep(path, one)
    assert chat.read(path) == (turns, [])
    assert len(path.read_text().splitlines()) == 2


def test_two_conversations_of_one_second_are_two(tmp_path):
    now = datetime(2026, 1, 2, 3, 4, 5)
    assert [chat.start(tmp_path, now).stem for _ in range(3)] == [
        "20260102-030405", "20260102-030405-2", "20260102-030405-3",
    ]  # fmt: skip


@pytest.mark.parametrize("left", [1, 20, -1])
def test_half_a_last_line_is_told_and_what_follows_is_kept(tmp_path, left):
    path = chat.start(tmp_path, datetime(2026, 1, 1))
    chat.keep(path, turn("one"))
    chat.keep(path, turn("two"))
    whole = path.read_bytes()
    first = whole.index(b"\n") + 1
    path.write_bytes(whole[: first + left] if left > 0 else whole[: left - 1])  # killed while it wrote the second
    assert chat.read(path) == ([turn("one")], [2])
    chat.keep(path, turn("three"))
    assert chat.read(path) == ([turn("one"), turn("three")], [2])


def test_a_line_that_lacks_only_its_end_is_whole(tmp_path):
    path = chat.start(tmp_path, datetime(2026, 1, 1))
    chat.keep(path, turn("one"))
    path.write_bytes(path.read_bytes().rstrip(b"\n"))
    chat.keep(path, turn("two"))
    assert chat.read(path) == ([turn("one"), turn("two")], [])


@pytest.mark.parametrize(
    "line",
    [
        b"7", b"[]", b'{"question": "q"}', b"\xff\xfe", b"\x00\x00",
        json.dumps({"question": "q", "asked": "q", "answer": {"text": "a"}}).encode(),
        json.dumps({"question": "q", "asked": "q", "answer": {**ANSWER, "citations": [{}]}}).encode(),
        json.dumps({"question": "q", "asked": "q", "answer": ANSWER, "more": 1}).encode(),
    ],
)  # fmt: skip
def test_what_is_no_turn_is_counted(tmp_path, line):
    path = tmp_path / "x.jsonl"
    chat.keep(path, turn("one"))
    path.write_bytes(line + b"\n" + path.read_bytes())
    assert chat.read(path) == ([turn("one")], [1])


def test_values_of_a_file_of_lines_go_by_their_line(tmp_path):
    path = tmp_path / "deep" / "lines.jsonl"
    append_json(path, {"a": "é"})
    path.write_bytes(path.read_bytes() + b'\n{"b": ')
    append_json(path, [1])
    assert read_json_lines(path) == ({1: {"a": "é"}, 4: [1]}, [3])


def test_a_conversation_is_found_by_its_id_or_as_the_last_written(tmp_path):
    with pytest.raises(FieldguideError, match="no conversation to go on with yet"):
        chat.find(tmp_path / "none", "last")
    one, two = (chat.start(tmp_path, datetime(2026, 1, day)) for day in (1, 2))
    os.utime(two, (1, 1))
    assert chat.find(tmp_path, "last") == one
    assert chat.find(tmp_path, two.stem) == two
    for wrong in ("20260103-00000", "../20260101-000000", "*"):
        with pytest.raises(FieldguideError, match="the nearest is 2026010"):
            chat.find(tmp_path, wrong)


# ---- verdicts, pages


def test_a_verdict_holds_what_is_learned_from_and_no_more():
    assert chat.feedback(turn(user="ann"), "corrected", correction="13 feet") == {
        "question": "How long? (asked)", "answer": "12 feet", "citations": [CITED], "context": "c0ffee",
        "adapter": "ab12", "verdict": "corrected", "correction": "13 feet", "reason": "",
    }  # fmt: skip
    stopped = Turn("How?", "How?", chat.cut_short("12"), True)
    told = chat.feedback(stopped, "bad", reason="slow")
    assert (told["answer"], told["context"], told["adapter"], told["reason"]) == ("12", None, None, "slow")


def test_the_next_question_is_understood_by_what_was_asked_and_said():
    assert chat.said_before([turn("one"), turn("two")]) == [("one (asked)", "12 feet"), ("two (asked)", "12 feet")]


PAGE = "Head. The wing\nis  12 feet. The wing is 12 feet. Foot."


def test_the_quote_is_marked_where_the_citation_stands():
    at = PAGE.rindex("12 feet")
    start, end = chat.place_of(CITED | {"start": at, "end": at + 7}, PAGE)
    assert (PAGE[start:end].rstrip("."), start) == ("The wing is 12 feet", PAGE.rindex("The"))
    at = PAGE.index("12 feet")
    start, end = chat.place_of(CITED | {"start": at, "end": at + 7}, PAGE)
    assert PAGE[start:end].rstrip(".") == "The wing\nis  12 feet"


def test_a_page_read_anew_marks_what_was_cited_within_what_there_is():
    assert chat.place_of(CITED | {"quote": "gone"}, PAGE) == (4, 11)
    assert chat.place_of(CITED | {"quote": "gone", "start": 900, "end": 999}, "short") == (5, 5)


def test_around_is_cut_at_spaces():
    text = "aaa bbb ccc QUOTE ddd eee fff"
    at = text.index("QUOTE")
    assert chat.around(text, at, at + 5, reach=6) == ("…ccc ", "QUOTE", " ddd…")
    assert chat.around(text, at, at + 5) == ("aaa bbb ccc ", "QUOTE", " ddd eee fff")
    assert chat.around("x" * 50, 20, 30, reach=5) == ("…" + "x" * 5, "x" * 10, "x" * 5 + "…")
    assert chat.around("", 0, 0) == ("", "", "")
