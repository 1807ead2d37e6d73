from pathlib import Path

import pytest

from fieldguide.errors import SettingsError
from ingest.readers.passwords import Passwords, load_passwords


def test_the_empty_password_comes_first_then_the_environment_then_the_keyfile(tmp_path):
    keyfile = tmp_path / "keys"
    keyfile.write_text("# comment\n\n*.pdf = from=file\nother.pdf=never\nlate.pdf=env\n")
    passwords = load_passwords(str(keyfile), {"FIELDGUIDE_PASSWORDS": "late.pdf=env;*=all\nshelf/*.pdf=folder"})
    assert passwords(Path("/a/late.pdf")) == ("", "env", "all", "from=file")
    assert passwords(Path("/a/shelf/x.pdf")) == ("", "all", "folder", "from=file")
    assert passwords(Path("/a/x.PDF")) == ("", "all")


def test_no_passwords():
    assert load_passwords("", {})(Path("a.pdf")) == ("",)


def test_passwords_are_not_shown():
    assert "secret" not in repr(load_passwords("", {"FIELDGUIDE_PASSWORDS": "*=secret"}))
    assert Passwords((("*", "secret"),))(Path("a")) == ("", "secret")


@pytest.mark.parametrize("line", ["secretonly", "=secret", "*.pdf="])
def test_a_bad_line_is_told_by_its_number_alone(tmp_path, line):
    keyfile = tmp_path / "keys"
    keyfile.write_text(f"*=x\n{line}\n")
    with pytest.raises(SettingsError) as caught:
        load_passwords(str(keyfile), {})
    assert str(caught.value) == f"Line 2 of {keyfile} (ingest.keyfile) is not of the form PATTERN=PASSWORD."
    with pytest.raises(SettingsError, match="Line 1 of FIELDGUIDE_PASSWORDS in the environment is not"):
        load_passwords("", {"FIELDGUIDE_PASSWORDS": line})


def test_a_keyfile_that_cannot_be_read_is_one_sentence(tmp_path):
    with pytest.raises(SettingsError, match=r"keys \(ingest.keyfile\) cannot be read: No such file or directory\."):
        load_passwords(str(tmp_path / "keys"), {})
    (tmp_path / "keys").write_bytes(b"*=\xff\xfe\xfa")
    with pytest.raises(SettingsError, match="it is not UTF-8 text"):
        load_passwords(str(tmp_path / "keys"), {})
