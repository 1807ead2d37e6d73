from collections import Counter
from dataclasses import replace

from fieldguide.prompts import answer_prompt
from fieldguide.replies import REFUSAL
from fieldguide.types import Chunk, Context, Evidence, QAPair, ScoredChunk, Span
from retrieval.order import reorder
from tuning.contexts import Shape, build_examples, sentence_of
from tuning.examples import holds_evidence, shares


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


def build(pairs, retriever, chunks, closed=0.0, **shape):
    return build_examples(pairs, [retriever], chunks, Shape(closed_book_share=closed, **shape))


def shown(*chunks):
    return Context(tuple(ScoredChunk(c, 0.0, 0) for c in chunks), "ends")


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
    assert len(found) == 400 + len(closed)
    assert Counter(e.gold for e in found)["retrieved"] == 400  # closed book ones come on top
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


# -- mixes and draws


class Noting(Ranking):
    """A retriever that gives every question the same chunks."""

    def __init__(self, k, chunks, order="ends"):
        super().__init__(k, {})
        self.chunks, self.order = chunks, order

    def retrieve(self, queries, k):
        self.asked += [(query, k) for query in queries]
        return [[ScoredChunk(c, 1 / n, n) for n, c in enumerate(self.chunks[:k], 1)] for _ in queries]


def texts(example):
    """The passages' texts, as shown."""
    return [part.split("\n", 1)[1].strip() for part in example.prompt[1].content.split("\n\n")[:-1]]


MANY = [chunk(f"m{n}", f"Text {n} here.", start=1000 + 100 * n) for n in range(9)]


def test_gold_missing_examples_come_on_top_without_any_passage_that_holds_the_answer():
    asked = [pair(f"p{n}", "12 feet", chunk="A", spans=[Span(1, 5, 12)]) for n in range(6)]
    found = build(asked, Noting(3, [A, *MANY]), [A, *MANY], gold_missing_share=1.0)
    removed = [e for e in found if e.gold == "removed"]
    assert Counter(e.gold for e in found) == {"retrieved": 6, "removed": 6}
    assert {e.completion for e in removed} == {REFUSAL}
    assert {tuple(texts(e)) for e in removed} == {("Text 0 here.", "Text 2 here.", "Text 1 here.")}  # best at both ends
    assert not {e.group for e in removed} & {e.group for e in found if e.gold != "removed"}


def test_a_pair_that_no_document_answers_keeps_what_it_finds_and_learns_to_refuse():
    never = replace(pair("never", ""), answerable=False)
    [only] = build([never], Noting(2, MANY), MANY, closed=0.0)
    assert (only.gold, only.completion, texts(only)) == ("absent", REFUSAL, ["Text 0 here.", "Text 1 here."])
    assert shares(build([never], Noting(2, MANY), MANY, gold_missing_share=1.0)) == {"absent": 1}


def test_retrievers_take_turns_and_change_places_in_the_next_pass():
    asked = [pair(f"p{n}", "12 feet", chunk=f"c{n}", spans=[Span(1, 5, 12)]) for n in range(4)]
    one, other = Noting(1, [A]), Noting(1, [A])
    build_examples(asked, [one, other], [A], Shape(passes=2))
    assert [q for q, _ in one.asked] == ["p0?", "p2?", "p1?", "p3?"]
    assert [q for q, _ in other.asked] == ["p1?", "p3?", "p0?", "p2?"]


def test_the_number_of_passages_is_drawn_from_its_range():
    asked = [pair(f"p{n}", "12 feet", chunk=f"c{n}", spans=[Span(1, 5, 12)]) for n in range(60)]
    found = build(asked, Noting(3, [A, *MANY]), [A, *MANY], passages=(2, 4))
    counts = Counter(len(texts(e)) for e in found)
    assert set(counts) == {2, 3, 4}
    assert min(counts.values()) > 8
    assert found == build(asked, Noting(3, [A, *MANY]), [A, *MANY], passages=(2, 4))
    assert found != build(asked, Noting(3, [A, *MANY]), [A, *MANY], passages=(2, 4), seed=1)


def test_orders_take_turns():
    asked = [pair(f"p{n}", "12 feet", chunk=f"c{n}", spans=[Span(1, 5, 12)]) for n in range(3)]
    found = build(asked, Noting(3, [A, *MANY]), [A, *MANY], orders=("rank", "reverse", "ends"))
    first, second, third = "Wing 12 feet.", "Text 0 here.", "Text 1 here."
    assert [texts(e) for e in found] == [
        [first, second, third], [third, second, first], [first, third, second]
    ]  # fmt: skip
    drawn = build(asked * 20, Noting(3, [A, *MANY]), [A, *MANY], orders=("random",))
    assert {tuple(texts(e)) for e in drawn} >= {(first, second, third), (third, second, first), (second, first, third)}


def test_passes_repeat_the_pairs_with_another_question_leading_and_never_share_a_group():
    asked = [pair(f"b{n}", "5 pounds", chunk="B", spans=[Span(1, 55, 63)]) for n in range(3)]
    retriever = Noting(1, [B])
    found = build(asked, retriever, [B], per_context=3, passes=3)
    assert [q for q, _ in retriever.asked] == ["b0?", "b1?", "b2?"]
    assert [(e.pair, e.group) for e in found] == [
        ("b0", 0), ("b1", 0), ("b2", 0), ("b1", 1), ("b2", 1), ("b0", 1), ("b2", 2), ("b0", 2), ("b1", 2),
    ]  # fmt: skip


class Narrow(Noting):
    """One whose window takes fewer passages than it finds."""

    def context(self, ranked):
        return super().context(ranked[:1])


def test_a_gold_passage_that_would_not_fit_is_put_first():
    [only] = build([pair("q", "5 pounds", chunk="B", spans=[Span(1, 55, 63)])], Narrow(3, [A, C, B]), [A, B, C])
    assert (only.gold, texts(only)) == ("inserted", ["Mass 5 pounds."])


def test_styles_name_the_place_of_the_gold_passage_as_shown():
    asked = pair("q", "12 feet", chunk="A", spans=[Span(1, 5, 12)], question="How long is the wing?")
    [marked] = build([asked], Noting(3, [*MANY[:1], A, *MANY[1:]]), [A], style="marked")
    assert (marked.completion, texts(marked)[2]) == ("12 feet [3]", "Wing 12 feet.")
    [reasoned] = build([asked], Noting(3, [A, *MANY]), [A], style="reasoned")
    assert reasoned.completion == "[1] says: “Wing 12 feet.”\nAnswer: 12 feet"
    closed = build([asked], Noting(3, [A]), [A], closed=1.0, style="reasoned")
    assert [(e.gold, e.completion) for e in closed] == [("none", "12 feet")]


def test_the_sentence_quoted_holds_the_answer_and_shares_most_with_the_question():
    asked = pair("q", "9", question="How large was the crew at Elyria?")
    text = "There were 9 seats. The crew at Elyria was 9. The crew was tired."
    assert sentence_of(asked, text) == "The crew at Elyria was 9."
    assert holds_evidence(chunk("A", text), replace(asked, chunk="A"))
