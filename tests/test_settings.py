import tomllib

import pytest

from fieldguide.errors import SettingsError
from fieldguide.settings import Settings, load_settings, names, template


@pytest.fixture(autouse=True)
def no_environment(monkeypatch):
    import os

    for name in [name for name in os.environ if name.upper().startswith("FIELDGUIDE_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def write(tmp_path):
    def write(text):
        path = tmp_path / "fieldguide.toml"
        path.write_text(text, "utf-8")
        return path

    return write


def faults(path, flags=None):
    """The lines of the error, without the first."""
    with pytest.raises(SettingsError) as caught:
        load_settings(path, flags)
    return [line.strip() for line in str(caught.value).splitlines()[1:]]


def test_template_holds_every_setting_with_its_description_and_loads_to_the_defaults(write):
    text = template()
    assert load_settings(write(text)) == Settings()
    lines = text.splitlines()
    uncommented = "\n".join(line[2:] if " = " in line else line for line in lines)
    loaded = tomllib.loads(uncommented)
    assert [f"{section}.{name}" for section, held in loaded.items() for name in held] == [name for name, _ in names()]
    assert all(any(line.endswith(f"# {info.description}") for line in lines) for _, info in names())
    assert load_settings(write(uncommented)) == Settings()


def test_template_keeps_the_values_given(write):
    values = {"retrieval": {"k": 7}, "questions": {"sources": ("rules",)}, "models": {"embedder": 'a "b" \\ ü'}}
    settings = load_settings(write(template(values)))
    assert (settings.retrieval.k, settings.questions.sources) == (7, ("rules",))
    assert settings.models.embedder == 'a "b" \\ ü'
    assert settings.tuning == Settings().tuning


def test_precedence_flag_environment_file_default(write, monkeypatch):
    path = write("[retrieval]\nk = 4\norder = 'rank'\n[tuning]\nrank = 8\n[ingest]\nmax_pages = 10\n")
    monkeypatch.setenv("FIELDGUIDE_RETRIEVAL__K", "5")
    monkeypatch.setenv("FIELDGUIDE_TUNING__RANK", "9")
    settings = load_settings(path, {"retrieval": {"k": 6, "order": None}})
    assert settings.retrieval.k == 6  # flag over environment over file
    assert settings.tuning.rank == 9  # environment over file
    assert settings.ingest.max_pages == 10  # file over default
    assert settings.retrieval.order == "rank"  # a flag that was not given is none
    assert settings.ingest.chunk_tokens == 128


def test_environment_with_underscores_and_lists(monkeypatch):
    monkeypatch.setenv("FIELDGUIDE_QUESTIONS__SOURCES", '["rules"]')
    monkeypatch.setenv("FIELDGUIDE_TUNING__MAX_EXAMPLES", "12")
    settings = load_settings(None)
    assert (settings.questions.sources, settings.tuning.max_examples) == (("rules",), 12)


def test_all_faults_at_once_each_with_the_nearest_name_or_range(write, monkeypatch):
    path = write(
        "[ingest]\nchunk_tokns = 64\nmax_pages = 0\n[retrival]\nk = 3\n[retrieval]\norder = 'best'\n"
        "[questions]\nsources = []\n"
    )
    monkeypatch.setenv("FIELDGUIDE_TUNING__EPOCH", "1")
    assert sorted(faults(path, {"answer": {"suport": 0.5}})) == [
        "answer.suport: unknown name; did you mean answer.support?",
        "ingest.chunk_tokns: unknown name; did you mean ingest.chunk_tokens?",
        "ingest.max_pages: Input should be greater than or equal to 1, not 0",
        "questions.sources: name at least one source, not []",
        "retrieval.order: Input should be 'rank', 'ends' or 'reverse', not 'best'",
        "retrival: unknown name; did you mean retrieval?",
        "tuning.epoch: unknown name; did you mean tuning.epochs?",
    ]


def test_a_name_without_its_section_is_found(write):
    assert faults(write("chunk_tokens = 64\n")) == ["chunk_tokens: unknown name; did you mean ingest.chunk_tokens?"]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (
            "[ingest]\nchunk_tokens = 32\nchunk_overlap = 32\n",
            "ingest.chunk_overlap: must be smaller than chunk_tokens",
        ),
        ("[ingest]\nchunk_tokens = 16\n", "ingest.chunk_overlap: must be smaller than chunk_tokens, not 16"),
        ("[questions]\ndev_share = 0.5\ntest_share = 0.5\n", "questions.test_share: dev_share + test_share must leave"),
        ("[questions]\ndev_share = 0.9\n", "questions.test_share: dev_share + test_share must leave"),
    ],
)
def test_settings_are_checked_against_each_other_also_where_one_is_a_default(write, text, fault):
    (line,) = faults(write(text))
    assert line.startswith(fault)


@pytest.mark.parametrize(
    ("text", "part"), [("[ingest\n", "is not valid TOML: Expected ']'"), ("k = 'ü", "is not valid TOML")]
)
def test_invalid_toml(write, text, part):
    with pytest.raises(SettingsError, match=r"fieldguide\.toml") as caught:
        load_settings(write(text))
    assert part in str(caught.value)


def test_a_file_that_is_no_utf8_or_missing(tmp_path):
    path = tmp_path / "fieldguide.toml"
    with pytest.raises(SettingsError, match="make one with `fieldguide init`"):
        load_settings(path)
    path.write_bytes(b"k = '\xff'")
    with pytest.raises(SettingsError, match="is not valid TOML"):
        load_settings(path)


def test_an_environment_value_that_is_no_json_is_a_sentence(monkeypatch):
    monkeypatch.setenv("FIELDGUIDE_QUESTIONS__SOURCES", "rules")
    with pytest.raises(SettingsError, match=r"questions.*lists are written as JSON"):
        load_settings(None)


@pytest.mark.parametrize("names", [["tuned"], ["a", "a"], ["two paths of mine"]])
def test_variants_of_a_comparison_have_names_of_their_own(names):
    with pytest.raises(SettingsError, match="each variant needs a name of its own"):
        load_settings(None, {"compare": {"variants": [{"name": name} for name in names]}})
    assert load_settings(None, {"compare": {"variants": [{"name": "k 2", "k": 2}]}}).compare.variants[0].k == 2
