import json
from dataclasses import replace

import pytest

from fieldguide.errors import FieldguideError, IntegrityError, NotReady
from fieldguide.types import Evidence, QAPair, Span
from ingest.qa.frozen import freeze, guard_frozen, keep_only, read_frozen
from ingest.qa.leaks import LeakError

SPOT = Evidence("d", (Span(1, 3, 9), Span(2, 0, 4)), "où \ud800\n“x”")
PAIR = QAPair(
    "b", "Où\u2028est-ce ?", "là", "d", "c", (SPOT,), "fact", "rules", "test", scores={"clear": 0.5}, after=("Quoi ?",),
    group="facts seen", author="Ann", verdict="accepted",
)  # fmt: skip
OTHER = replace(PAIR, id="a", question="What is one?", group="facts held out", kind="date", evidence=())


def test_a_frozen_set_comes_back_whole_whatever_the_order(tmp_path):
    frozen = freeze([PAIR, OTHER], tmp_path, 7)
    assert frozen.path == tmp_path / f"{frozen.hash}.jsonl"
    assert len(frozen.hash) == 64
    assert read_frozen(tmp_path, frozen.hash) == [OTHER, PAIR]
    assert read_frozen(tmp_path, frozen.hash[:12]) == [OTHER, PAIR]
    before = frozen.path.stat().st_mtime_ns
    assert freeze([OTHER, PAIR], tmp_path, 7) == frozen
    assert frozen.path.stat().st_mtime_ns == before
    manifest = json.loads((tmp_path / f"{frozen.hash}.json").read_text())
    assert manifest.pop("created")
    assert manifest == {
        "hash": frozen.hash, "n": 2, "groups": {"facts held out": 1, "facts seen": 1}, "kinds": {"date": 1, "fact": 1},
        "levels": {"explicit fact": 2}, "documents": ["d"], "seed": 7,
    }  # fmt: skip


@pytest.mark.parametrize(
    "change", [{"answer": "lá"}, {"scores": {"clear": 0.6}}, {"group": "facts held out"}, {"evidence": ()}]
)
def test_any_change_of_a_pair_is_another_set(tmp_path, change):
    assert freeze([PAIR], tmp_path, 0).hash != freeze([replace(PAIR, **change)], tmp_path, 0).hash
    assert len(list(tmp_path.glob("*.jsonl"))) == 2


@pytest.mark.parametrize(
    "edit", [lambda t: t.replace("What", "Who"), lambda t: t + "{}\n", lambda t: t[:-9], lambda t: ""]
)
def test_an_edited_set_is_refused(tmp_path, edit):
    frozen = freeze([PAIR, OTHER], tmp_path, 0)
    frozen.path.chmod(0o644)
    frozen.path.write_text(edit(frozen.path.read_text("utf-8")), "utf-8")
    with pytest.raises(IntegrityError, match="was edited since"):
        read_frozen(tmp_path, frozen.hash)
    with pytest.raises(IntegrityError, match="was edited since"):
        freeze([PAIR, OTHER], tmp_path, 0)


def test_a_set_killed_before_its_manifest_is_frozen_again(tmp_path):
    frozen = freeze([PAIR], tmp_path, 0)
    (tmp_path / f"{frozen.hash}.json").unlink()
    assert freeze([PAIR], tmp_path, 0).hash == frozen.hash
    assert (tmp_path / f"{frozen.hash}.json").exists()


def test_what_cannot_be_frozen_or_found(tmp_path):
    with pytest.raises(NotReady, match="no test pairs"):
        freeze([], tmp_path, 0)
    with pytest.raises(FieldguideError, match="pair b is of the split train"):
        freeze([replace(PAIR, split="train")], tmp_path, 0)
    frozen = freeze([PAIR], tmp_path, 0)
    for name in ("0" * 64, frozen.hash[:4], "*" * 64, "../" + frozen.hash):
        with pytest.raises(FieldguideError, match="no frozen test sets"):
            read_frozen(tmp_path, name)


def test_a_frozen_set_is_guarded_against_what_is_trained_on_now(tmp_path):
    name = freeze([OTHER], tmp_path, 0).hash
    current = [
        replace(OTHER, id="x", split="test"),
        replace(OTHER, id="y", question="What is two?", document="e", split="train"),
    ]
    guard_frozen(read_frozen(tmp_path, name), current, None, 0.9)
    with pytest.raises(LeakError, match="What is one"):
        guard_frozen(read_frozen(tmp_path, name), [*current, replace(OTHER, id="z", split="train")], None, 0.9)


def test_sets_that_quote_a_deleted_document_are_deleted(tmp_path):
    kept = freeze([PAIR], tmp_path, 0)
    joined = freeze([replace(PAIR, evidence=(SPOT, replace(SPOT, document="e")))], tmp_path, 0)
    killed = freeze([OTHER], tmp_path, 0)
    (tmp_path / f"{killed.hash}.json").unlink()
    assert keep_only(tmp_path, {"d"}) == sorted([joined.hash, killed.hash])
    assert {path.name for path in tmp_path.iterdir()} == {f"{kept.hash}.jsonl", f"{kept.hash}.json"}
    assert keep_only(tmp_path / "none", {"d"}) == []
