"""Changing a settings file: the values named change, and nothing else does."""

import tomllib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fieldguide.errors import SettingsError
from fieldguide.settings import Retrieval, load_settings, template
from fieldguide.settings_file import change_settings


def file(tmp_path, text):
    path = tmp_path / "fieldguide.toml"
    path.write_bytes(text.encode())
    return path


def test_a_commented_default_becomes_a_value_and_keeps_its_description(tmp_path):
    path = file(tmp_path, template())
    change_settings(path, {"retrieval": {"k": 5, "weights": {"dense": 1.0, "words": 0.5}}, "compare": {"seed": 4}})
    before, after = template().splitlines(), path.read_text().splitlines()
    changed = {new: old for old, new in zip(before, after, strict=True) if old != new}
    assert changed == {
        "k = 5  # passages shown to the model": "# k = 3  # passages shown to the model",
        "weights = {dense = 1.0, words = 0.5}  # weight of a channel in the fusion; those not named have 1": (
            "# weights = {}  # weight of a channel in the fusion; those not named have 1"
        ),
        "seed = 4  # decides the draw and the bootstrap": "# seed = 0  # decides the draw and the bootstrap",
    }
    assert after.index("seed = 4  # decides the draw and the bootstrap") > after.index("[compare]")


def test_comments_order_and_other_values_stay(tmp_path):
    text = (
        "# mine\n[answer]\nsupport = 0.5 # checked by hand\n\n[retrieval] # the reading\n"
        'order = "ends" # best at both ends\n# k = 7 was too slow\nk = 4\n'
        'channels = [\n  "dense", # one\n  "words",\n]\n'
    )
    path = file(tmp_path, text)
    change_settings(path, {"retrieval": {"order": "rank", "k": 4, "channels": ("dense", "words")}})
    assert path.read_text() == text.replace('"ends"', '"rank"')


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ("", "[retrieval]\nk = 5\n"),
        ("[answer]\nsupport = 0.5\n", "[answer]\nsupport = 0.5\n\n[retrieval]\nk = 5\n"),
        ("[retrieval]", "[retrieval]\nk = 5\n"),
        ('[retrieval]\norder = "rank"\n\n[answer]\n', '[retrieval]\norder = "rank"\nk = 5\n\n[answer]\n'),
        ("retrieval = { k = 3 } # all\n", "retrieval = { k = 5 } # all\n"),
        ("retrieval.k = 3\nanswer.support = 0.5\n", "retrieval.k = 5\nanswer.support = 0.5\n"),
        ("[retrieval]\r\nk = 3 # few\r\ndepth = 9\r\n", "[retrieval]\r\nk = 5 # few\r\ndepth = 9\r\n"),
        ("[retrieval]\n# k = 2 # a\n[answer]\n# k = 3\n", "[retrieval]\nk = 5 # a\n[answer]\n# k = 3\n"),
    ],
)
def test_every_form_of_the_file(tmp_path, text, after):
    path = file(tmp_path, text)
    change_settings(path, {"retrieval": {"k": 5}})
    assert path.read_bytes().decode() == after


def test_a_table_of_its_own_stays_one(tmp_path):
    path = file(tmp_path, "[retrieval.weights]\ndense = 2.0\nwords = 3.0\n\n[answer]\nsupport = 0.5\n")
    change_settings(path, {"retrieval": {"weights": {"words": 1.5}}})
    assert tomllib.loads(path.read_text()) == {"retrieval": {"weights": {"words": 1.5}}, "answer": {"support": 0.5}}


@pytest.mark.parametrize("values", [{"retrieval": {"k": 0}}, {"retrieval": {"kk": 3}}, {"nothing": {"k": 3}}])
def test_a_bad_value_leaves_the_file_alone(tmp_path, values):
    path = file(tmp_path, "[retrieval]\nk = 3 # few\n")
    with pytest.raises(SettingsError):
        change_settings(path, values)
    assert path.read_text() == "[retrieval]\nk = 3 # few\n"
    assert [p.name for p in tmp_path.iterdir()] == ["fieldguide.toml"]


def test_a_faulty_file_is_named_and_left_alone(tmp_path):
    path = file(tmp_path, "[retrieval]\nk = 0\n")
    with pytest.raises(SettingsError, match=r"retrieval\.k"):
        change_settings(path, {"retrieval": {"k": 3}})
    assert path.read_text() == "[retrieval]\nk = 0\n"


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    real = file(tmp_path / "elsewhere", "[retrieval]\nk = 3\n")
    link = tmp_path / "fieldguide.toml"
    link.symlink_to(real)
    change_settings(link, {"retrieval": {"k": 5}})
    assert link.is_symlink()
    assert real.read_text() == "[retrieval]\nk = 5\n"


CHANGES = st.fixed_dictionaries(
    {},
    optional={
        "k": st.integers(1, 100),
        "order": st.sampled_from(["rank", "ends", "reverse"]),
        "channels": st.lists(st.sampled_from(["dense", "words", "questions"]), min_size=1, max_size=3).map(tuple),
        "weights": st.dictionaries(st.sampled_from(["dense", "words", "questions"]), st.floats(0, 9)),
        "rerank": st.sampled_from([(), ("mmr",), ("qim", "mmr")]),
        "cross_encoder": st.text(st.characters(max_codepoint=0xFFFF, exclude_categories=["Cs", "Cc"]), max_size=9),
        "diversity": st.floats(0, 1),
    },
)
GIVEN = st.fixed_dictionaries(
    {},
    optional={
        "retrieval": CHANGES,
        "answer": st.fixed_dictionaries({}, optional={"support": st.floats(0.1, 1)}),
        "tuning": st.fixed_dictionaries({}, optional={"seed": st.integers(0, 9), "rank": st.integers(1, 9)}),
    },
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(start=GIVEN, first=CHANGES, second=CHANGES)
def test_only_the_named_values_change(tmp_path, start, first, second):
    path = file(tmp_path, template(start))
    before, comments = load_settings(path), path.read_text().count("  # ")
    change_settings(path, {"retrieval": first})
    change_settings(path, {"retrieval": second})
    after = load_settings(path)
    assert after.retrieval == Retrieval.model_validate(before.retrieval.model_dump() | first | second)
    assert after == before.model_copy(update={"retrieval": after.retrieval})
    assert path.read_text().count("  # ") == comments
