"""`fieldguide search` and `index`: what is found and why, who may see it, and what an index that does not fit says."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from fieldguide import models
from fieldguide.catalog import Catalog
from fieldguide.models.hashing import HashingEmbedder
from fieldguide.settings import Settings

GUIDE = (Path(__file__).parents[2] / "docs" / "retrieval.md").read_text("utf-8")
FRENCH, BELEN, WAUSAU = "20080102X00002.pdf", "20080102X00005.pdf", "20080104X00020.pdf"
CLUB = "Airclub Besancon la Veze"
SENTENCE = "French investigators reported that the airplane collided with the ground in bad weather conditions"


@pytest.fixture
def run(cli, shelf):
    """A command on the shelf of three reports; its one JSON object where it was asked for."""

    def run(*arguments: object):
        return cli(*arguments, "-w", shelf)

    return run


def sources(done) -> list[str]:
    return [passage["source"] for passage in done.json["passages"]]


# -- what is shown


def test_passages_are_shown_with_file_page_and_heading(run):
    done = run("search", SENTENCE, "-k", "2")
    assert (done.code, done.out) == (0, "")
    first, second = done.err.strip().split("\n\n")
    assert first.splitlines()[0] == f"[1] {FRENCH}, page 1"
    assert first.splitlines()[1].strip() == "National Transportation Safety Board Aviation Accident Factual Report"
    assert first.splitlines()[2].startswith("    The French investigators reported that the airplane collided with the")
    assert second.startswith("[2] ")
    assert "Rank (score)" not in done.err


def test_neighbours_are_shown_with_all_their_pages(run):
    done = run("search", "Wind Speed/Gusts", "-k", "1", "--neighbours", "1", "--where", f"document={WAUSAU}")
    assert re.fullmatch(rf"\[1\] {WAUSAU}, pages (\d, )*3, 4", done.err.splitlines()[1])


def test_explain_shows_rank_and_score_in_each_channel_and_the_times(run, monkeypatch):
    monkeypatch.setenv("FIELDGUIDE_RETRIEVAL__FUSION", "rank")
    monkeypatch.setenv("FIELDGUIDE_RETRIEVAL__DIVERSITY", "0.4")
    done = run("search", SENTENCE, "-k", "1", "--explain", "--rerank", "mmr")
    lines = done.err.splitlines()
    head = next(line for line in lines if "passage ┃" in line)
    assert [cell.strip() for cell in head.strip("┃").split("┃")] == ["passage", "dense", "words", "fused", "mmr"]
    row = [cell.strip() for cell in lines[lines.index(head) + 2].strip("│").split("│")]
    assert row[0] == "1"
    assert [cell.partition(" ")[0] for cell in row[1:]] == ["1", "1", "1", "1"]
    assert row[3] == "1 (0.033)"  # 1/61 from each of two channels
    assert row[4] == "1 (0.600)"  # the best one's relevance 1, weighted by 1 − diversity
    steps = next(line for line in lines if line.startswith("Steps (candidates after each): "))
    names = [step.split()[0] for step in steps.partition(": ")[2].split(", ")]
    assert names == ["dense", "words", "fusion", "clues", "reading", "mmr"]


def test_a_channel_that_did_not_find_a_passage_shows_a_dash(run):
    lines = run("search", "Besancon", "-k", "3", "--explain").err.splitlines()
    rows = [line.strip("│").split("│") for line in lines if line.startswith("│")]
    assert [row[0].strip() for row in rows] == ["1", "2", "3"]
    assert "–" in [cell.strip() for row in rows for cell in row]


def test_further_queries_are_told(run):
    asked = "What was the wind and who was the pilot?"
    done = run("search", asked, "--expand", "decompose", "--explain", "--channel", "words")
    assert "Further query 1: What was the wind?" in done.err
    assert "Further query 2: Who was the pilot?" in done.err
    assert run("search", asked, "--expand", "decompose", "--json").json["queries"] == [
        asked, "What was the wind?", "Who was the pilot?"
    ]  # fmt: skip


def test_a_question_that_leans_on_an_earlier_one_is_asked_as_it_stands_alone(run):
    before = "What was the registration of the Aerostar at Elyria?"
    assert run("search", "And at Madill?", "--after", before).err.startswith(
        "Asked as: What was the registration of the Aerostar at Madill?\n"
    )
    alone = "Which aircraft was damaged at Soledad?"
    assert run("search", alone, "--after", before, "--json").json["query"] == alone


def test_json_has_every_value(run, monkeypatch):
    monkeypatch.setenv("FIELDGUIDE_RETRIEVAL__FUSION", "rank")
    done = run("search", SENTENCE, "-k", "2", "--json")
    assert set(done.json) == {"query", "queries", "index", "passages", "steps", "notes"}
    assert (done.json["query"], done.json["queries"]) == (SENTENCE, [SENTENCE])
    assert done.json["index"] == run("status", "--json").json["index"] == run("index", "--json").json["id"]
    best, second = done.json["passages"]
    assert best["rank"] == 1
    assert best["ranks"] == {"dense": 1, "words": 1, "fused": 1}
    assert best["score"] == best["scores"]["fused"] == pytest.approx(2 / 61)
    assert (best["source"], [span["page"] for span in best["spans"]]) == (FRENCH, [1])
    assert best["heading"] == ["National Transportation Safety Board Aviation Accident Factual Report"]
    assert best["text"].startswith("The French investigators reported that")
    assert second["rank"] == 2
    assert second["score"] < best["score"]
    assert [step["name"] for step in done.json["steps"]] == [
        "dense", "words", "fusion", "clues", "reading"
    ]  # fmt: skip
    assert [step["candidates"] for step in done.json["steps"]][-1] == 2


def test_one_channel_alone_ranks_by_its_own_score(run):
    done = run("search", CLUB, "--channel", "words", "--json").json
    assert all(set(passage["ranks"]) == {"words"} for passage in done["passages"])
    assert [passage["score"] for passage in done["passages"]] == sorted(
        (passage["scores"]["words"] for passage in done["passages"]), reverse=True
    )
    assert "Nothing was found." in run("search", "zzyzx", "--channel", "words").err


# -- filters and access


@pytest.mark.parametrize(
    ("where", "found"),
    [
        (["place=Wausau, WI"], {WAUSAU}),
        ([f"document={BELEN}"], {BELEN}),
        (["document=20080102X00002", "document=20080104X00020"], {FRENCH, WAUSAU}),
        (["date=2007-12-17..2007-12-20"], {FRENCH}),
        (["date=..2007-11-30", "place=Belen, NM"], {BELEN}),
    ],
)
def test_only_what_fits_is_searched(run, where, found):
    options = [option for wish in where for option in ("--where", wish)]
    assert set(sources(run("search", "airplane", "-k", "100", *options, "--json"))) == found


def test_pages_limit_the_search(run):
    wish = ("--where", f"document={WAUSAU}", "--where", "page=2-3")
    done = run("search", "airplane", "-k", "100", *wish, "--json").json
    pages = [{span["page"] for span in passage["spans"]} for passage in done["passages"]]
    assert len(pages) > 2
    assert all(p & {2, 3} for p in pages)


def test_a_wish_that_cannot_be_met_or_read(run):
    done = run("search", "wind", "--where", "page=x")
    assert (done.code, done.err) == (2, "page is a number such as 3 or a range such as 3-7, not 'x'.\n")
    done = run("search", "wind", "--where", "document=nine.pdf", "--json")
    assert (done.code, done.json["error"]) == (
        2, "No chunk has document=nine.pdf; `fieldguide facets` shows which values there are."
    )  # fmt: skip


@pytest.fixture
def guarded(configure, shelf, model):
    """The French report is for those with the label "fr"."""
    access = {"documents": {"*00002.pdf": ["fr"]}, "users": {"ann": ["us"], "bob": ["fr"]}}
    configure(shelf, model, access=access)


def test_what_a_user_may_not_see_is_never_found(run, guarded):
    assert set(sources(run("search", CLUB, "-k", "100", "--user", "ann", "--json"))) == {BELEN, WAUSAU}
    assert sources(run("search", CLUB, "-k", "1", "--user", "bob", "--json")) == [FRENCH]
    assert sources(run("search", CLUB, "-k", "1", "--json")) == [FRENCH]  # the owner at the command line
    hidden = run("search", CLUB, "-k", "100", "--user", "ann", "--explain", "--neighbours", "2").err
    assert FRENCH in run("search", CLUB, "--user", "bob").err
    assert FRENCH not in hidden
    assert "Besancon" not in hidden
    read = run("ask", CLUB, "--user", "ann", "--show-passages").err
    assert "passage 3: " in read
    assert FRENCH not in read
    assert {p["source"] for p in run("ask", CLUB, "--user", "ann", "--json").json["passages"]} <= {BELEN, WAUSAU}


def test_a_hidden_document_is_named_like_one_that_is_not_there(run, guarded):
    done = run("search", CLUB, "--user", "ann", "--where", f"document={FRENCH}")
    assert (done.code, done.err) == (
        2, f"No chunk has document={FRENCH}; `fieldguide facets` shows which values there are.\n"
    )  # fmt: skip


@pytest.mark.parametrize("verb", ["search", "ask"])
def test_an_unknown_user(run, guarded, verb):
    done = run(verb, "wind", "--user", "eve")
    assert (done.code, done.err) == (
        2, "There is no user 'eve'; those under [access.users] of the settings may search.\n"
    )  # fmt: skip


def test_a_user_who_may_see_nothing(run, configure, shelf, model):
    configure(shelf, model, access={"documents": {"**": ["all"]}, "users": {"ann": []}})
    done = run("search", "wind", "--user", "ann")
    assert (done.code, done.err) == (
        2, "ann may see no document of this workspace; give them one of its labels under [access.users].\n"
    )  # fmt: skip


def test_status_names_a_pattern_that_protects_nothing(run, configure, shelf, model):
    configure(shelf, model, access={"documents": {"hr/": ["hr"], "*.pdf": ["all"]}})
    line = "access.documents: no document fits 'hr/', so its labels protect nothing."
    assert run("status", "--json").json["stale"] == [line]
    assert f"Out of date: {line}" in run("status").err


# -- the index


def test_an_empty_query_and_no_index(cli, run, fresh):
    done = run("search", "  ")
    assert (done.code, done.err) == (
        2, 'The query is empty; ask for something, like: fieldguide search "fuel starvation"\n'
    )  # fmt: skip
    root = fresh.parent / "new"
    cli("init", root)
    done = cli("search", "wind", "-w", root, "--json")
    assert (done.code, done.json["error"]) == (2, "There is no index yet; run `fieldguide ingest` first.")
    done = cli("index", "-w", root)
    assert (done.code, done.err) == (
        2, "There is no text to index; run `fieldguide ingest` on files that can be read.\n"
    )  # fmt: skip


def test_an_index_of_another_embedder(run, monkeypatch):
    monkeypatch.setattr(models, "load_embedder", lambda *a, **k: HashingEmbedder(64))
    done = run("search", "wind")
    assert (done.code, done.err) == (
        2, "The index was built with the embedder hashing:256:512, not with hashing:64:512; run `fieldguide index` to "
        "build it anew, or set models.embedder back.\n",
    )  # fmt: skip
    assert run("index", "--json").json["embedded"] == run("status", "--json").json["chunks"]
    assert sources(run("search", CLUB, "-k", "1", "--json")) == [FRENCH]


def test_an_index_of_an_earlier_fieldguide(run, shelf):
    with_old = Catalog.open(shelf / ".fieldguide" / "catalog.sqlite")
    old = {
        "id": "0123456789abcdef", "store": "faiss", "embedder": "hashing:256:512", "dimension": 256, "chunks": 31,
        "chunks_hash": "ab", "version": "0.1.0",
    }  # fmt: skip
    with_old.add_artefact("index", old["id"], old, activate=True)
    with_old.close()
    done = run("search", "wind")
    assert (done.code, done.err) == (
        2, "The index was made by an earlier version of Fieldguide; run `fieldguide index` to make it anew.\n"
    )  # fmt: skip
    assert run("status", "--json").json["stale"] == [
        "The index was made by an earlier version of Fieldguide: run `fieldguide index`."
    ]
    assert run("index").code == 0
    assert run("status", "--json").json["stale"] == []
    assert sources(run("search", CLUB, "-k", "1", "--json")) == [FRENCH]


def test_merge_leaves_nothing_of_what_is_gone(run, shelf, configure, model):
    index = shelf / ".fieldguide" / "index"
    before = run("index", "--json").json
    merged = run("index", "--merge", "--json").json
    assert (merged["id"], merged["embedded"], merged["chunks"]) == (before["id"], 0, before["chunks"])
    said = run("index", "--merge")
    n = before["chunks"]
    assert said.err.endswith(f"Index {before['id']}: {n} chunks, 0 texts embedded, {n} reused.\n")
    assert (index / merged["artefact"] / "gone.json").read_text().strip() == "[]"


def test_status_tells_an_index_that_is_older_than_the_documents(run, shelf, tmp_path, monkeypatch):
    from fieldguide.cli import shelving

    def stopped(*arguments, **options):
        raise KeyboardInterrupt

    (tmp_path / "note.md").write_text("# Note\n\nThe archive lies in Bergen.\n")
    with monkeypatch.context() as patched:
        patched.setattr(shelving, "bring_up_to_date", stopped)
        assert run("ingest", tmp_path / "note.md").code == 130
    assert run("status", "--json").json["stale"] == ["The index is older than the documents: run `fieldguide index`."]
    assert sources(run("search", "Bergen", "-k", "1", "--channel", "words", "--json")) == []
    assert run("index", "--json").json["embedded"] == 1
    assert run("status", "--json").json["stale"] == []
    assert sources(run("search", "Bergen", "-k", "1", "--json")) == ["note.md"]


def test_status_tells_an_index_of_other_settings(run, configure, shelf, model):
    configure(shelf, model, index={"compress": "always"})
    assert run("status", "--json").json["stale"] == [
        "The index was made with other settings of [index]: run `fieldguide index`."
    ]
    assert run("index", "--json").json["embedded"] == 0
    assert run("status", "--json").json["stale"] == []


def test_the_questions_channel_is_built_and_kept_up_to_date(run, configure, shelf, model):
    done = run("search", "wind", "--channel", "questions")
    assert (done.code, done.err) == (
        2,
        "The index has no channel questions; name it in retrieval.channels and run `fieldguide index` (questions come "
        "from pairs: `fieldguide qa`).\n",
    )  # fmt: skip
    configure(shelf, model, retrieval={"channels": ["dense", "words", "questions"]})
    old = "The questions channel is older than the pairs: run `fieldguide index`."
    assert run("status", "--json").json["stale"] == [old]
    pairs = run("status", "--json").json["pairs"]
    assert 0 < run("index", "--json").json["embedded"] <= pairs
    assert run("status", "--json").json["stale"] == []
    found = run("search", f"To whom belonged the airplane of {CLUB}?", "-k", "1", "--json").json["passages"]
    assert set(found[0]["ranks"]) == {"dense", "words", "questions", "fused"}

    catalog = Catalog.open(shelf / ".fieldguide" / "catalog.sqlite")
    pair = next(pair for pair in catalog.pairs() if pair.answerable)
    catalog.store_pairs(pair.chunk, "reviewed", [replace(pair, question="Which one was it?")], ())  # as many as before
    catalog.close()
    assert run("status", "--json").json["stale"] == [old]


def test_qa_builds_the_questions_channel(cli, fresh, configure, model, reports):
    configure(fresh, model, retrieval={"channels": ["words", "questions"]})
    read = cli("ingest", reports[0], "-w", fresh, "--json").json["index"]
    made = cli("qa", "-w", fresh, "--json")
    assert made.json["kept"]["rules"] > 0
    status = cli("status", "-w", fresh, "--json").json
    assert (status["stale"], status["index"] != read["id"]) == ([], True)
    found = cli("search", "Who piloted it?", "-w", fresh, "--channel", "questions", "--json").json["passages"]
    assert {Path(passage["source"]).name for passage in found} == {FRENCH}


# -- docs/retrieval.md


def test_the_guide_names_every_setting_with_its_default():
    for section in ("index", "retrieval", "access"):
        fields = Settings.model_fields[section].annotation.model_fields
        for name, info in fields.items():
            default = info.get_default(call_default_factory=True)
            assert f"| `{name}` | `{json.dumps(default)}` |" in GUIDE, name


def test_the_guides_langchain_example_runs(shelf, monkeypatch, capsys):
    (code,) = re.findall(r"^```python\n(.*?)^```", GUIDE, re.MULTILINE | re.DOTALL)
    monkeypatch.chdir(shelf.parent)
    names: dict[str, object] = {}
    exec(code, names)
    shown = capsys.readouterr().out
    assert all(name in shown for name in (FRENCH, BELEN))
    names["found"].close()
    names["catalog"].close()
