"""The words channel: values of BM25, languages, free text, filters, and versions that leave each other alone."""

import math
import os
import shutil
import threading

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fieldguide.errors import IndexMismatch
from retrieval import words as words_module
from retrieval.query import Queries
from retrieval.terms import normalised, variants
from retrieval.words import Entry, Words, WordsChannel, write_words

ENTRIES = [
    Entry("a", "The bank of the river Elbe", "Rivers", "en"),
    Entry("b", "A bank lends money to banks", "Money", "en"),
    Entry("c", "Die Häuser am Fluss, das Haus am See", "Wohnen", "de"),
    Entry("d", "机场距离市中心十二公里", "", "zh"),
    Entry("e", "การเดินทางไปสนามบิน", "", "th"),
    Entry("f", "Form 10-K shows $1,577 million, up 3.5%; the U.S. aircraft N8221Q", "Filing", "en"),
]


def written(folder, entries, **more):
    folder.mkdir()
    write_words(folder, entries, **more)
    return folder


@pytest.fixture(scope="module")
def words(tmp_path_factory):
    opened = Words(written(tmp_path_factory.mktemp("words") / "index", ENTRIES))
    yield opened
    opened.close()


def names(words, query, k=10, **more):
    return [name for name, _ in words.search([query], k, **more)[0]]


def test_scores_are_bm25(tmp_path):
    """Robertson's formula with k1 = 1.2 and b = 0.75; the logarithm as in Lucene, never negative."""
    texts = {"x": "red red fox", "y": "red hen sat down here", "z": "blue"}
    words = Words(written(tmp_path / "i", [Entry(name, text) for name, text in texts.items()]))
    mean = (3 + 5 + 1) / 3

    def bm25(tf, length, documents):
        idf = math.log(1 + (3 - documents + 0.5) / (documents + 0.5))
        return idf * tf * 2.2 / (tf + 1.2 * (0.25 + 0.75 * length / mean))

    ((*found,),) = words.search(["red fox fox"], 5)
    assert [name for name, _ in found] == ["x", "y"]
    # a word counts as often as the query has it
    assert found[0][1] == pytest.approx(bm25(2, 3, 2) + 2 * bm25(1, 3, 1), rel=1e-5)
    assert found[1][1] == pytest.approx(bm25(1, 5, 2), rel=1e-5)


def test_the_context_line_counts_for_its_weight(tmp_path):
    folder = written(tmp_path / "i", [Entry("x", "here it is", "Elbe"), Entry("y", "the Elbe here", "no")])
    one, half, none = (dict(Words(folder, weight).search(["elbe"], 5)[0]) for weight in (1.0, 0.5, 0.0))
    assert list(none) == ["y"]
    assert none["y"] == half["y"] == one["y"]
    assert half["x"] == pytest.approx(one["x"] / 2)


def test_each_language_has_its_stems_and_a_query_needs_none(words):
    assert names(words, "rivers") == ["a"]
    assert names(words, "banking") == ["b", "a"]
    assert names(words, "Hauses") == ["c"]
    assert names(words, "hauser") == ["c"]  # typed without its accent
    assert variants("Häuser running", ("en", "de", "xx")) == [("hauser", "haus"), ("run", "running")]


def test_scripts_without_spaces_are_found_by_their_pairs(words):
    assert names(words, "市中心") == ["d"]
    assert names(words, "สนามบิน") == ["e"]
    assert normalised("机场 ab 水") == " 机场  ab  水 "


@pytest.mark.parametrize("typed", ["10-K", "10K", "10‐k", "$1,577", "1577", "3.5", "3.5 %", "US", "u.s.", "n8221q"])
def test_numbers_and_codes_are_found_as_people_type_them(words, typed):
    assert names(words, typed) == ["f"]


def test_normal_form_has_values():
    assert normalised("Form 10-K: $1,577.50, U.S. company’s ﬁle_name").split() == [
        "form", "10", "k", "10k", "1577.50", "us", "company", "file", "name",
    ]  # fmt: skip
    assert normalised("COVID-19, 2022-06-30; 1,23 a.b").split() == [
        "covid", "19", "covid19", "2022", "06", "30", "1", "23", "a", "b",
    ]  # fmt: skip


def test_marks_stay_in_their_words():
    assert [options[0] for options in variants("हिन्दी में", ("",))] == ["हिन्दी", "में"]


@pytest.mark.parametrize("query", ["", "   ", "?!", "zzzz", '"', "(*:", "AND"])
def test_no_word_in_the_index_no_hit(words, query):
    assert names(words, query) == []


def test_operators_are_words(tmp_path):
    words = Words(written(tmp_path / "i", [Entry("x", "this and that"), Entry("y", "bank text:river")]))
    assert names(words, "AND") == ["x"]
    assert names(words, "text:bank -river NOT") == ["y"]
    assert names(words, '"bank river"~2 ban*') == ["y"]


@given(st.text(max_size=200))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_text_is_a_query_and_finds_itself(words, text):
    hits = words.search([text], 10)[0]
    assert hits == sorted(hits, key=lambda hit: (-hit[1], hit[0]))
    assert all(score > 0 for _, score in hits)


@given(st.lists(st.text(max_size=60), min_size=1, max_size=4))
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_text_can_be_indexed_and_finds_itself(tmp_path_factory, texts):
    folder = written(tmp_path_factory.mktemp("any") / "i", [Entry(str(i), text) for i, text in enumerate(texts)])
    words = Words(folder)
    for i, text in enumerate(texts):
        assert (str(i) in names(words, text)) == bool(variants(text, ("",)))


def test_a_pasted_page_is_a_query(words):
    page = " ".join(f"word{i}" for i in range(5000)) + " river " + "bank " * 1000
    assert names(words, page) == ["b", "a"]


def many(count=300):
    return [Entry(f"{i * 7 % count:03}", f"common {'rare' if i % 3 == 0 else 'other'} w{i % 11}") for i in range(count)]


@pytest.fixture(scope="module")
def crowd(tmp_path_factory):
    return Words(written(tmp_path_factory.mktemp("crowd") / "index", many()))


def test_ties_go_by_id_whatever_the_order_of_writing(crowd, tmp_path):
    assert names(crowd, "common", 5) == ["000", "001", "002", "003", "004"]
    turned = Words(written(tmp_path / "i", reversed(many())))
    for k in (1, 7, 299, 300, 10_000):
        assert turned.search(["common w3", "rare"], k) == crowd.search(["common w3", "rare"], k)


@given(
    st.none() | st.frozensets(st.integers(0, 310), max_size=310),
    st.none() | st.frozensets(st.integers(0, 310), max_size=60),
    st.integers(1, 20),
    st.sampled_from(["common", "rare w3 w4", "w5", "common other"]),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_filters_act_before_the_search(crowd, among, without, k, query):
    """The same hits with the same scores as in the whole list, sifted."""
    among = None if among is None else frozenset(f"{i:03}" for i in among)
    without = None if without is None else frozenset(f"{i:03}" for i in without)
    whole = crowd.search([query], 300)[0]
    may = [hit for hit in whole if (among is None or hit[0] in among) and hit[0] not in (without or ())]
    assert crowd.search([query], k, among, without)[0] == may[:k]


def test_what_is_allowed_is_found_though_all_that_is_better_is_not(tmp_path):
    """Half of the ids may be seen, none of them among the best: the filter has to act inside the index."""
    entries = [Entry(f"{i:04}", "fox fox fox" if i < 1000 else "fox and some more words") for i in range(2000)]
    words = Words(written(tmp_path / "i", entries))
    worse = frozenset(f"{i:04}" for i in range(1000, 2000))
    assert names(words, "fox", 3, among=worse) == ["1000", "1001", "1002"]
    assert names(words, "fox", 3, among=worse, without=frozenset({"1001"})) == ["1000", "1002", "1003"]


def fingerprint(folder):
    return {file.name: (file.read_bytes(), file.stat().st_mtime_ns) for file in folder.iterdir()}


def test_a_new_version_leaves_the_old_one_as_it_was(tmp_path):
    old = written(tmp_path / "old", ENTRIES)
    pinned = Words(old)
    before = fingerprint(old)
    new = written(
        tmp_path / "new", [Entry("b", "a replaced text", "", "en"), Entry("g", "rivers", "", "en")],
        remove=["a", "missing"], before=old,
    )  # fmt: skip
    assert fingerprint(old) == before
    assert not list(new.glob("*.lock")) + list(old.glob("*.lock"))
    shared = {file.name for file in old.iterdir() if file.samefile(new / file.name)}
    assert {name.partition(".")[2] for name in shared} >= {"idx", "term", "store", "fast", "fieldnorm"}
    changed = Words(new)
    assert (names(pinned, "river bank"), len(pinned)) == (["a", "b"], 6)
    assert (names(changed, "river bank"), len(changed)) == (["g"], 6)
    assert names(changed, "replaced") == ["b"]
    shutil.rmtree(old)
    shutil.rmtree(new)
    assert names(pinned, "lending money") == ["b"]
    assert names(changed, "rivers") == ["g"]


def test_the_last_entry_of_an_id_counts(tmp_path):
    words = Words(written(tmp_path / "i", [Entry("x", "red"), Entry("y", "red"), Entry("x", "blue")]))
    assert (names(words, "red"), names(words, "blue"), len(words)) == (["y"], ["x"], 2)


def test_many_small_versions_keep_few_segments(tmp_path):
    folder = written(tmp_path / "0", many())
    for i in range(1, 21):
        folder = written(tmp_path / str(i), [Entry(f"new{i:02}", f"fresh w{i}")], remove=[f"{i:03}"], before=folder)
    assert len(list(folder.glob("*.idx"))) <= 8
    words = Words(folder)
    assert names(words, "fresh", 30) == [f"new{i:02}" for i in range(1, 21)]
    assert len(words) == 300


def test_without_links_it_copies(tmp_path, monkeypatch):
    def no_links(*_):
        raise OSError("no links here")

    old = written(tmp_path / "old", ENTRIES)
    monkeypatch.setattr(os, "link", no_links)
    monkeypatch.setattr(os, "symlink", no_links)
    words = Words(written(tmp_path / "new", [], remove=["a"], before=old))
    assert names(words, "river bank") == ["b"]


def test_an_empty_index_finds_nothing(tmp_path):
    words = Words(written(tmp_path / "i", []))
    assert (words.search(["anything", ""], 3), len(words)) == ([[], []], 0)


@pytest.mark.parametrize("part", ["meta.json", "*.idx", "*.fast", "*.store", "*.term", "analysis.txt"])
def test_damage_is_one_sentence(tmp_path, part):
    folder = written(tmp_path / "i", ENTRIES)
    (file,) = folder.glob(part)
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2] if part != "analysis.txt" else b"\xff")
    with pytest.raises(IndexMismatch, match=r"^\S+ is damaged; delete it and run `fieldguide ingest` to build"):
        Words(folder)
    with pytest.raises(IndexMismatch, match="is damaged"):
        Words(tmp_path / "nothing")


def test_another_analysis_is_refused(tmp_path, monkeypatch):
    folder = written(tmp_path / "i", ENTRIES)
    monkeypatch.setattr(words_module, "ANALYSIS", "words-99")
    with pytest.raises(IndexMismatch, match=r"was made with another analysis of text \(words-1, now words-99\)"):
        Words(folder)


def test_threads_with_other_filters_may_share_it(crowd):
    """None is ever given what only another one may see."""
    scopes = [frozenset(f"{i:03}" for i in range(start, 300, 8)) for start in range(8)]
    wanted = [crowd.search(["rare w3"], 9, among) for among in scopes]
    found = {}

    def ask(i):
        found[i] = [crowd.search(["rare w3"], 9, scopes[i]) for _ in range(20)]

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {i: [wanted[i]] * 20 for i in range(8)}


def test_as_a_channel(words):
    channel = WordsChannel(words)
    assert channel.name == "words"
    assert [[name for name, _ in hits] for hits in channel.search(Queries(["river", "money"], None), 3)] == [
        ["a"],
        ["b"],
    ]


def test_closed_is_closed(tmp_path):
    words = Words(written(tmp_path / "i", ENTRIES))
    words.close()
    with pytest.raises(ValueError, match="closed"):
        words.search(["bank"], 1)


def test_half_a_character_from_a_torn_file_is_passed_over(tmp_path):
    words = Words(written(tmp_path / "i", [Entry("x", "torn \ud800 text")]))
    assert names(words, "\udc00 torn") == ["x"]
