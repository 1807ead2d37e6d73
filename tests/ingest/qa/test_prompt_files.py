import pytest

from fieldguide.errors import SettingsError
from fieldguide.models.base import Message
from ingest.qa.prompt_files import SLOTS, PromptFiles, write_prompts

CHAT = "=== system\nBe {brief}.\n=== user\nOf {text}\n"


def test_every_packaged_chat_can_be_filled():
    for name, slots in SLOTS.items():
        values = {slot: f"<{slot} {{text}} === user>" for slot in slots}
        if name == "question_retry":
            assert "<error {text} === user>" in PromptFiles().correction(values["error"])
        else:
            prompt = PromptFiles().fill(name, **values)
            assert (prompt[0].role, prompt[-1].role) == ("system", "user")
            assert all(value in prompt[-1].content for value in values.values())
            assert not any(value in message.content for value in values.values() for message in prompt[:-1])


def test_written_files_are_those_of_the_package(tmp_path):
    folder = tmp_path / "new" / "prompts"
    assert write_prompts(folder) == [folder / f"{name}.txt" for name in SLOTS]
    assert PromptFiles(folder).hash(list(SLOTS)) == PromptFiles().hash(list(SLOTS))
    assert write_prompts(folder) == []
    (folder / "question_only.txt").unlink()
    assert write_prompts(folder) == [folder / "question_only.txt"]


def test_edited_files_are_not_overwritten(tmp_path):
    (tmp_path / "question_only.txt").write_text("mine", "utf-8")
    with pytest.raises(SettingsError, match=r"edited \(question_only.txt\)"):
        write_prompts(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["question_only.txt"]
    assert (tmp_path / "question_only.txt").read_text("utf-8") == "mine"


def test_a_users_file_takes_precedence_and_changes_the_hash(tmp_path):
    (tmp_path / "question_pairs.txt").write_text("=== user\r\nOn {title}:\n{text}\n\n", "utf-8")
    files = PromptFiles(tmp_path)
    assert files.fill("question_pairs", title="a {text}", text="b") == (Message("user", "On a {text}:\nb"),)
    assert files.chat("question_only") == PromptFiles().chat("question_only")
    assert files.hash(["question_only"]) == PromptFiles().hash(["question_only"])
    assert files.hash(["question_pairs"]) != PromptFiles().hash(["question_pairs"])
    assert files.replies("question_pairs") == ()


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("Ask about {text}", "begin with a line"),
        ("Hello\n=== user\n{text}", "begin with a line"),
        ("=== user\n{text}\n=== assistant\nYes", "end with a user's turn"),
        ("=== user\n{text}\n=== system\nYes\n=== user\n", '"=== system" is no turn here'),
        ("=== robot\n{text}", '"=== robot" is no turn here'),
        ("=== user\n{text} {words}", r"unknown slot \{words\}; there are \{metadata\}, \{title\}"),
        ("=== user\nAsk something", r"the slot \{text\} is missing"),
        (b"=== user\n\xff{text}", "cannot be read as UTF-8"),
    ],
)
def test_faults_of_a_users_file_are_told(tmp_path, text, fault):
    (tmp_path / "question_pairs.txt").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(SettingsError, match=fault) as error:
        PromptFiles(tmp_path)
    assert str(tmp_path / "question_pairs.txt") in str(error.value)


def test_a_folder_that_is_not_there_and_a_file_that_nothing_reads_are_told(tmp_path):
    with pytest.raises(SettingsError, match=r"questions.prompts: there is no folder .*none"):
        PromptFiles(tmp_path / "none")
    (tmp_path / "question_pair.txt").write_text(CHAT, "utf-8")
    with pytest.raises(SettingsError, match=r"question_pair.txt: there is no such prompt"):
        PromptFiles(tmp_path)


def test_the_retry_must_show_the_error(tmp_path):
    (tmp_path / "question_retry.txt").write_text("Again", "utf-8")
    with pytest.raises(SettingsError, match=r"question_retry.txt: the slot \{error\} is missing"):
        PromptFiles(tmp_path)
