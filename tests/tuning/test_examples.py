from collections import Counter
from dataclasses import replace

import pytest

from fieldguide.prompts import answer_prompt
from fieldguide.types import Chunk, Evidence, QAPair, Span, content_hash
from tuning.examples import Example, choose, holds_evidence, set_hash, shares


def pair(name, answer="", *, document="d", chunk="", kind="fact", spans=(), question=""):
    evidence = (Evidence(document, tuple(spans), answer),)
    return QAPair(name, question or f"{name}?", answer, document, chunk, evidence, kind, "written", "train")


def chunk(name, text, *, document="d", page=1, start=0):
    return Chunk(name, document, (Span(page, start, start + len(text)),), text)


# -- choosing


def test_choose_takes_in_turn_from_every_document_and_kind():
    many = [pair(f"a{n}", document="a", kind="x") for n in range(20)]
    few = [pair("b0", document="b", kind="x"), pair("b1", document="b", kind="y"), pair("a!", document="a", kind="y")]
    chosen = choose(many + few, 6, seed=3)
    assert Counter((p.document, p.kind) for p in chosen) == {("a", "x"): 3, ("b", "x"): 1, ("b", "y"): 1, ("a", "y"): 1}
    assert {(p.document, p.kind) for p in chosen[:4]} == {("a", "x"), ("b", "x"), ("b", "y"), ("a", "y")}


def test_choose_depends_on_the_seed_and_not_on_the_order_given():
    pairs = [pair(f"{d}{n}", document=d) for d in "abc" for n in range(9)]
    assert choose(pairs[::-1], 7, seed=1) == choose(pairs, 7, seed=1)
    assert choose(pairs, 7, seed=2) != choose(pairs, 7, seed=1)
    assert choose(pairs, 7, seed=1) == choose(pairs, 0, seed=1)[:7]
    assert sorted(p.id for p in choose(pairs, 0, seed=1)) == sorted(p.id for p in pairs)
    assert choose([], 5, seed=1) == []


# -- evidence


def test_a_chunk_holds_evidence_by_characters_by_words_or_because_the_pair_was_made_from_it():
    at = pair("q", "12 feet", chunk="c", spans=[Span(2, 10, 17)])
    assert holds_evidence(chunk("other", "x" * 7, page=2, start=10), at)
    assert not holds_evidence(chunk("other", "x" * 6, page=2, start=10), at)
    assert not holds_evidence(chunk("other", "x" * 7, page=2, start=11), at)
    assert not holds_evidence(chunk("other", "x" * 7, page=1, start=10), at)
    assert holds_evidence(chunk("other", "It was 12\nFEET long.", page=9), at)
    assert not holds_evidence(chunk("other", "It was 112 feet long.", page=9), at)
    assert not holds_evidence(chunk("other", "It was 12 feet long.", document="e", page=2, start=0), at)
    assert holds_evidence(chunk("c", "read anew, other words"), at)
    lone = pair("q", "12", chunk="c", spans=[Span(2, 10, 12)])
    assert not holds_evidence(chunk("other", "It was 12 feet long.", page=9), lone)


def test_evidence_on_two_pages_is_held_only_by_a_chunk_that_has_both():
    both = pair("q", "never in the text", spans=[Span(1, 90, 100), Span(2, 0, 5)])
    text = "x" * 10 + "\n\n" + "y" * 5
    assert holds_evidence(Chunk("c", "d", (Span(1, 90, 100), Span(2, 0, 5)), text), both)
    assert not holds_evidence(chunk("c", "x" * 10, start=90), both)


# -- the set


@pytest.mark.parametrize("change", ["pair", "completion", "group", "prompt"])
def test_the_hash_of_a_training_set_changes_with_each_part_of_an_example_and_with_the_order(change):
    examples = [Example(name, answer_prompt(f"{name}?", None), "12 feet", "none", 0) for name in "ab"]
    new = {"pair": "z", "completion": "13 feet", "group": 9, "prompt": answer_prompt("z?", None)}[change]
    changed = [replace(examples[0], **{change: new}), examples[1]]
    assert set_hash(changed) != set_hash(examples)
    assert set_hash(examples[::-1]) != set_hash(examples)
    assert set_hash(list(examples)) == set_hash(examples) == content_hash(*(e.hash for e in examples))


def test_shares_count_each_way_in_which_gold_came():
    golds = ["retrieved", "none", "retrieved"]
    assert shares([Example(g, (), "", g, 0) for g in golds]) == {"retrieved": 2, "none": 1}
