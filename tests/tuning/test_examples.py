from collections import Counter
from dataclasses import replace

import pytest

from fieldguide.prompts import answer_prompt
from fieldguide.types import Chunk, Context, Evidence, QAPair, ScoredChunk, Span, content_hash
from retrieval.order import reorder
from tuning.examples import build_examples, choose, holds_evidence, set_hash, shares


def pair(name, answer="", *, document="d", chunk="", kind="fact", spans=(), question=""):
    evidence = (Evidence(document, tuple(spans), answer),)
    return QAPair(name, question or f"{name}?", answer, document, chunk, evidence, kind, "written", "train")


def chunk(name, text, *, document="d", page=1, start=0):
    return Chunk(name, document, (Span(page, start, start + len(text)),), text)


class Ranking:
    """A retriever that gives each question the chunks that the test wrote down, best at both ends."""

    index_id = recipe = "ranking"

    def __init__(self, k, ranked):
        self.k = k
        self.ranked = ranked
        self.asked = []

    def retrieve(self, queries, k):
        self.asked += queries
        return [
            [ScoredChunk(c, 1 / rank, rank) for rank, c in enumerate(self.ranked[query][:k], 1)] for query in queries
        ]

    def context(self, ranked):
        return Context(tuple(reorder(ranked, "ends")), "ends")

    def contexts(self, queries):
        return [self.context(ranked) for ranked in self.retrieve(queries, self.k)]


def build(pairs, retriever, chunks, closed=0.0, per_context=1, seed=0):
    return build_examples(pairs, retriever, chunks, closed_book_share=closed, per_context=per_context, seed=seed)


def shown(*chunks):
    return Context(tuple(ScoredChunk(c, 0.0, 0) for c in chunks), "ends")


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


# -- building

A, B, C = chunk("A", "Wing 12 feet."), chunk("B", "Mass 5 pounds.", start=50), chunk("C", "Crew 9.", start=90)
OTHER = chunk("other", "Wing 12 feet.", document="e")


def test_gold_is_retrieved_inserted_in_the_last_place_or_missing():
    seen = pair("seen", "12 feet", chunk="A", spans=[Span(1, 5, 12)])
    missed = pair("missed", "5 pounds", chunk="B", spans=[Span(1, 55, 63)])
    recut = pair("recut", "9", chunk="gone", spans=[Span(1, 95, 96)])
    lost = pair("lost", "17 knots", chunk="gone", spans=[Span(7, 0, 8)])
    retriever = Ranking(
        3, {"seen?": [C, OTHER, A], "missed?": [A, C, OTHER], "recut?": [OTHER, A, B], "lost?": [A, B, C]}
    )
    found = build([seen, missed, recut, lost], retriever, [A, B, C, OTHER])
    assert [(e.pair, e.gold, e.group) for e in found] == [
        ("seen", "retrieved", 0), ("missed", "inserted", 1), ("recut", "inserted", 2), ("lost", "missing", 3),
    ]  # fmt: skip
    # rank 2 goes to the end, so the third rank (the one given up for the gold) stands second
    assert [e.prompt for e in found] == [
        answer_prompt("seen?", shown(C, A, OTHER)),
        answer_prompt("missed?", shown(A, B, C)),
        answer_prompt("recut?", shown(OTHER, C, A)),
        answer_prompt("lost?", shown(A, C, B)),
    ]
    assert [e.completion for e in found] == ["12 feet", "5 pounds", "9", "17 knots"]
    assert shares(found) == {"retrieved": 1, "inserted": 2, "missing": 1}


def test_gold_joins_where_fewer_than_k_were_retrieved_and_takes_the_only_place_of_one():
    missed = pair("q", "5 pounds", chunk="B", spans=[Span(1, 55, 63)])
    [few] = build([missed], Ranking(3, {"q?": [A]}), [A, B])
    assert few.prompt == answer_prompt("q?", shown(A, B))
    [one] = build([missed], Ranking(1, {"q?": [A]}), [A, B])
    assert one.prompt == answer_prompt("q?", shown(B))


def test_pairs_of_one_chunk_share_the_passages_of_the_first_of_them():
    pairs = [pair(f"b{n}", "5 pounds", chunk="B", spans=[Span(1, 55, 63)]) for n in range(3)]
    pairs.insert(1, pair("a", "12 feet", chunk="A", spans=[Span(1, 5, 12)]))
    ranked = {"b0?": [B, C], "b1?": [C, A], "b2?": [A, B], "a?": [A, C]}
    retriever = Ranking(2, ranked)
    found = build(pairs, retriever, [A, B, C], per_context=2)
    assert [(e.pair, e.group) for e in found] == [("b0", 0), ("b1", 0), ("b2", 1), ("a", 2)]
    assert retriever.asked == ["b0?", "b2?", "a?"]
    assert [e.prompt for e in found] == [
        answer_prompt("b0?", shown(B, C)), answer_prompt("b1?", shown(B, C)),
        answer_prompt("b2?", shown(A, B)), answer_prompt("a?", shown(A, C)),
    ]  # fmt: skip

    own = build(pairs, Ranking(2, ranked), [A, B, C], per_context=1)
    assert len({e.group for e in own}) == 4
    assert {e.pair: e.gold for e in own} == {"b0": "retrieved", "b1": "inserted", "b2": "retrieved", "a": "retrieved"}
    assert {e.pair: e.prompt for e in own}["b1"] == answer_prompt("b1?", shown(C, B))


def test_a_shared_context_is_gold_only_if_one_passage_holds_the_evidence_of_all():
    pairs = [
        pair("first", "12 feet", chunk="whole", spans=[Span(1, 5, 12)]),
        pair("second", "5 pounds", chunk="whole", spans=[Span(1, 55, 63)]),
    ]
    whole = chunk("whole", "Wing 12 feet." + " " * 37 + "Mass 5 pounds.")
    found = build(pairs, Ranking(2, {"first?": [A, B]}), [A, B, whole], per_context=2)
    assert {e.gold for e in found} == {"inserted"}
    assert [e.prompt for e in found] == [answer_prompt(p.question, shown(A, whole)) for p in pairs]


def test_closed_book_examples_have_no_passages_and_nothing_is_retrieved_for_them():
    pairs = [pair(f"p{n}", "12 feet", chunk="A", spans=[Span(1, 5, 12)]) for n in range(400)]
    retriever = Ranking(1, {p.question: [A] for p in pairs})
    found = build(pairs, retriever, [A], closed=0.25, per_context=8)
    closed = [e for e in found if e.gold == "none"]
    assert len(found) == 400
    assert 70 <= len(closed) <= 130
    assert all(e.prompt == answer_prompt(f"{e.pair}?", None) for e in closed)
    assert max(Counter(e.group for e in found).values()) == 8
    assert not {e.group for e in closed} & {e.group for e in found if e.gold != "none"}
    assert [e.group for e in found] == sorted(e.group for e in found)
    assert found == build(pairs, retriever, [A], closed=0.25, per_context=8)
    assert {e.pair for e in closed} != {
        e.pair for e in build(pairs, retriever, [A], closed=0.25, per_context=8, seed=1) if e.gold == "none"
    }

    untouched = Ranking(1, {})
    assert shares(build(pairs, untouched, [A], closed=1.0)) == {"none": 400}
    assert untouched.asked == []


def test_training_prompts_are_the_prompts_that_are_served(shelf):
    pairs = shelf.catalog.pairs("train")
    found = build(pairs, shelf.retriever, shelf.catalog.chunks())
    questions = {p.id: p.question for p in pairs}
    served = {p.id: answer_prompt(p.question, shelf.retriever.contexts([p.question])[0]) for p in pairs}
    assert {e.pair: e.prompt for e in found if e.gold == "retrieved"} == served
    shared = build(pairs, shelf.retriever, shelf.catalog.chunks(), per_context=8)
    first = {e.group: questions[e.pair] for e in reversed(shared)}
    for example in shared:
        context = shelf.retriever.context(shelf.retriever.retrieve([first[example.group]], shelf.retriever.k)[0])
        assert example.prompt == answer_prompt(questions[example.pair], context)


@pytest.mark.parametrize("change", ["pair", "completion", "group", "prompt"])
def test_the_hash_of_a_training_set_changes_with_each_part_of_an_example_and_with_the_order(change):
    examples = build(
        [pair("a", "12 feet", chunk="A"), pair("b", "12 feet", chunk="A")], Ranking(1, {"a?": [A], "b?": [A]}), [A]
    )
    new = {"pair": "z", "completion": "13 feet", "group": 9, "prompt": answer_prompt("z?", None)}[change]
    changed = [replace(examples[0], **{change: new}), examples[1]]
    assert set_hash(changed) != set_hash(examples)
    assert set_hash(examples[::-1]) != set_hash(examples)
    assert set_hash(list(examples)) == set_hash(examples) == content_hash(*(e.hash for e in examples))
