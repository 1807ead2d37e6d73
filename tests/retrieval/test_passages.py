import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldguide.errors import FieldguideError
from fieldguide.models.base import Message
from fieldguide.models.scripted import ScriptedGenerator
from fieldguide.prompts import answer_prompt, passage_text
from fieldguide.settings import Ingest
from fieldguide.types import PAGE_BREAK, Chunk, Context, Page, ScoredChunk, Span
from ingest.chunk import chunk_pages
from retrieval.passages import QUESTION_TOKENS, budget_of, pack, with_neighbours

PAGES = {1: "aaa bbb ccc ddd", 2: "eee HEAD fff ggg"}


def page_text(document, number):
    return PAGES[number]


def chunk(name, *spans, heading=(), context=""):
    text = PAGE_BREAK.join(PAGES[page][start:end] for page, start, end in spans)
    return Chunk(name, "doc", tuple(Span(*span) for span in spans), text, heading, context)


ORDER = [
    chunk("a", (1, 0, 3), context="A"), chunk("b", (1, 4, 7)), chunk("c", (1, 4, 11), heading=("C",), context="C"),
    chunk("d", (1, 12, 15), (2, 0, 3)), chunk("e", (2, 9, 12)), chunk("f", (2, 13, 16)),
]  # fmt: skip
BY_NAME = {held.id: held for held in ORDER}


def hits(*names):
    return [
        ScoredChunk(BY_NAME[name], 1 / rank, rank, {"dense": 1 / rank}, {"dense": rank})
        for rank, name in enumerate(names, 1)
    ]


def widened(found, around=1, allowed=None, k=None):
    return with_neighbours(found, around, lambda document: ORDER, page_text, allowed, k)


def test_a_hit_is_read_with_its_neighbours():
    (found,) = widened(hits("b"))
    assert found.chunk.text == "aaa bbb ccc"
    assert found.chunk.spans == (Span(1, 0, 11),)
    assert (found.score, found.rank, found.scores, found.ranks) == (1.0, 1, {"dense": 1.0}, {"dense": 1})


def test_pages_and_running_heads_part_spans_and_white_space_does_not():
    (found,) = widened(hits("d"))
    assert found.chunk.spans == (Span(1, 4, 15), Span(2, 0, 3), Span(2, 9, 12))
    assert found.chunk.text == "bbb ccc ddd\n\neee\n\nfff"
    assert found.chunk.locate(13, 21) == (Span(2, 0, 3), Span(2, 9, 12))


def test_overlapping_and_touching_passages_are_one_at_the_best_rank():
    found = widened(hits("a", "f", "c"))
    assert [held.chunk.text for held in found] == ["aaa bbb ccc ddd\n\neee\n\nfff ggg"]
    apart = widened(hits("f", "a"))
    assert [held.chunk.text for held in apart] == ["fff ggg", "aaa bbb"]
    assert [held.rank for held in apart] == [1, 2]
    best_last = widened(hits("a", "e"))
    assert [held.chunk.text for held in best_last] == ["aaa bbb", "ddd\n\neee\n\nfff ggg"]


def test_a_later_hit_may_join_two_passages():
    found = widened(hits("f", "a", "d"))
    assert len(found) == 1
    assert (found[0].score, found[0].rank) == (1.0, 1)
    assert found[0].chunk.spans == (Span(1, 0, 15), Span(2, 0, 3), Span(2, 9, 16))


def test_heading_and_context_are_those_of_the_best_hit():
    (found,) = widened(hits("c", "b"))
    assert (found.chunk.heading, found.chunk.context) == (("C",), "C")
    assert widened(hits("c"))[0].chunk.id != BY_NAME["c"].id
    assert widened(hits("c"))[0].chunk.id == widened(hits("c"))[0].chunk.id


def test_what_is_not_allowed_is_neither_taken_nor_passed():
    (found,) = widened(hits("c"), 2, frozenset("acde"))
    assert found.chunk.text == "bbb ccc ddd\n\neee\n\nfff"
    (alone,) = widened(hits("f"), 3, frozenset("af"))
    assert alone == hits("f")[0]


def test_hits_stay_as_they_are_without_neighbours_and_without_their_document():
    assert widened(hits("b", "c"), 0) == hits("b", "c")
    stranger = ScoredChunk(Chunk("x", "doc", (Span(1, 0, 3),), "aaa"), 1.0, 1)
    assert widened([stranger]) == [stranger]


def test_hits_behind_the_last_passage_wanted_do_not_lengthen_the_first():
    assert [held.chunk.text for held in widened(hits("a", "f", "c"), k=1)] == ["aaa bbb"]
    assert len(widened(hits("a", "f", "c"), k=2)) == 1


def test_the_same_places_in_two_documents_are_two_passages():
    other = ScoredChunk(Chunk("b", "other", (Span(1, 4, 7),), "bbb"), 0.1, 2)
    orders = {"doc": ORDER, "other": [other.chunk]}
    found = with_neighbours([*hits("b"), other], 1, orders.__getitem__, page_text)
    assert [(held.chunk.document, held.rank) for held in found] == [("doc", 1), ("other", 2)]


words = st.text("abcde \n.", min_size=0, max_size=60)


@given(
    texts=st.lists(words, min_size=1, max_size=4),
    size=st.integers(16, 24),
    overlap=st.integers(0, 8),
    picks=st.lists(st.integers(0, 200), max_size=5),
    around=st.integers(1, 3),
    barred=st.sets(st.integers(0, 30), max_size=5),
)
def test_passages_hold_what_their_chunks_hold_every_character_once(texts, size, overlap, picks, around, barred):
    pages = dict(enumerate(texts, 1))
    order = chunk_pages(
        [Page("doc", n, str(n), text, "test") for n, text in pages.items()],
        Ingest(chunk_tokens=size, chunk_overlap=overlap),
        lambda parts: [len(part) for part in parts],
    )
    allowed = frozenset(held.id for n, held in enumerate(order) if n not in barred)
    names = list(dict.fromkeys(order[n % len(order)].id for n in picks)) if order else []
    by_name = {held.id: held for held in order}
    asked = [ScoredChunk(by_name[name], 1.0, rank) for rank, name in enumerate(names, 1) if name in allowed]
    found = with_neighbours(asked, around, lambda d: order, lambda d, n: pages[n], allowed)

    def characters(held):
        return [
            (span.page, at) for span in held.spans for at in range(span.start, span.end)
            if not pages[span.page][at].isspace()
        ]  # fmt: skip

    seen = [characters(passage.chunk) for passage in found]
    positions = {held.id: n for n, held in enumerate(order)}
    wanted = set()
    for hit in asked:
        for step in (-1, 1):
            at = positions[hit.chunk.id]
            for _ in range(around + 1):
                if not 0 <= at < len(order) or order[at].id not in allowed:
                    break
                wanted |= set(characters(order[at]))
                at += step
    assert {one for passage in seen for one in passage} == wanted  # nothing lost, nothing from what is not allowed
    for passage, held in zip(found, seen, strict=True):
        assert len(held) == len(set(held))
        spans = passage.chunk.spans
        assert passage.chunk.text == PAGE_BREAK.join(pages[s.page][s.start : s.end] for s in spans)
        assert list(spans) == sorted(spans, key=lambda s: (s.page, s.start))
        for at, char in enumerate(passage.chunk.text):
            for span in passage.chunk.locate(at, at + 1):
                assert pages[span.page][span.start] == char
    assert [passage.rank for passage in found] == list(range(1, len(found) + 1))


def sized(*lengths):
    return [ScoredChunk(Chunk(str(n), "d", (), "x" * length), 1.0, n) for n, length in enumerate(lengths, 1)]


def count(texts):
    return [text.count("x") for text in texts]


def test_whole_passages_in_rank_order_and_a_long_one_is_passed_over():
    found = pack(sized(5, 4, 3, 1), 9, count)
    assert [held.rank for held in found] == [1, 2]
    assert [held.rank for held in pack(sized(5, 6, 3, 2, 1), 10, count)] == [1, 3, 4]
    assert [held.rank for held in pack(sized(5, 6), 11, count)] == [1, 2]
    assert pack([], 0, count) == []


def test_a_best_passage_over_the_budget_is_an_error_that_names_the_settings():
    with pytest.raises(
        FieldguideError, match=r"has 12 tokens and there is room for 9: raise retrieval\.context_tokens"
    ):
        pack(sized(12, 1), 9, count)
    with pytest.raises(FieldguideError, match="room for 0"):
        pack(sized(1), -5, count)


def test_passages_are_counted_as_they_are_shown():
    seen = []
    held = ScoredChunk(Chunk("a", "d", (), "text", (), "Report"), 1.0, 1)
    pack([held], 99, lambda texts: seen.extend(texts) or [1])
    assert seen == [passage_text(1, held.chunk) + PAGE_BREAK]


def test_the_budget_is_what_the_window_leaves():
    generator = ScriptedGenerator([""], context_tokens=2000)
    budget = budget_of(lambda: generator, 48, answer_prompt)
    around = generator.count_tokens(answer_prompt("", Context((), "rank")))
    assert budget.tokens() == 2000 - around - 48 - QUESTION_TOKENS
    assert budget.count(["one two", ""]) == [2, 0]
    assert budget_of(lambda: ScriptedGenerator([""], context_tokens=80), 48, answer_prompt).tokens() == max(
        0, 80 - around - 48 - 10
    )
    assert budget_of(lambda: ScriptedGenerator([""], context_tokens=40), 48, answer_prompt).tokens() == 0


def test_what_was_packed_fits_the_window():
    generator = ScriptedGenerator([""], context_tokens=400)
    budget = budget_of(lambda: generator, 48, answer_prompt)
    ranked = [ScoredChunk(Chunk(str(n), "d", (), "word " * 30, (), "Report"), 1.0, n) for n in range(1, 20)]
    found = pack(ranked, budget.tokens(), budget.count)
    prompt = answer_prompt("Which of the two?", Context(tuple(found), "rank"))
    assert generator.count_tokens(prompt) + 48 <= 400
    assert len(found) == budget.tokens() // 32
    assert generator.generate([prompt], max_new_tokens=48)[0].finish == "stop"
    assert isinstance(prompt[0], Message)
