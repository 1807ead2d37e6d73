import pytest

from fieldguide.printable import on_one_line, printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain\ttext\n", "plain\ttext\n"),
        ("a\r\nb\rc\vd\fe", "a\nb\nc\nd\ne"),
        ("\x1b[31mred\x1b]0;t\x07", "\ufffd[31mred\ufffd]0;t\ufffd"),
        ("\x9b2J \x7f\x00", "\ufffd2J \ufffd\ufffd"),
        ("\u202eabc\ud83d", "\ufffdabc\ufffd"),
        ("Größe 😀 עברית", "Größe 😀 עברית"),
    ],
)
def test_what_a_terminal_would_obey_is_marked(text, shown):
    assert printable(text) == shown


def test_values_within_values_and_keys_are_reached():
    assert printable({"a\x1b": ["\x1b", 1, None, ("\r",)]}) == {"a\ufffd": ["\ufffd", 1, None, ["\n"]]}


def test_a_name_begins_no_line_of_its_own():
    assert on_one_line(" a\n  [1] b\x1b.pdf\r\n") == "a [1] b\ufffd.pdf"
