"""Evidence re-anchored by its quote: unchanged pages, text moved, mended, gone."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldguide.types import Chunk, Evidence, QAPair, Span
from ingest.anchors import re_anchor, re_anchor_pair

PAGE = "The pilot flew from Elyria to Lorain. The wing hit a tree near the river at 14:30, and the flight was over."
PAGES = {1: "A title page without much.", 2: PAGE, 3: "The second pilot stayed at home.", 4: "Nothing else.", 5: "End"}


def at(page, quote, pages=PAGES):
    start = pages[page].index(quote)
    return Evidence("d", (Span(page, start, start + len(quote)),), quote)


def shown(evidence, pages):
    return [pages[span.page][span.start : span.end] for span in evidence.spans]


words = st.sampled_from(["pump", "valve", "water", "12", "3.5", "soil", "Elyria", "of", "the", "(a)", "ﬁeld", "—"])
page_texts = st.lists(st.lists(words, min_size=1, max_size=40).map(" ".join), min_size=1, max_size=4)


@settings(max_examples=50, deadline=None)
@given(page_texts, st.data())
def test_on_unchanged_pages_nothing_changes(texts, data):
    pages = dict(enumerate(texts, 1))
    spans = []
    for page in sorted(data.draw(st.sets(st.sampled_from(sorted(pages)), min_size=1))):
        start = data.draw(st.integers(0, len(pages[page]) - 1))
        spans.append(Span(page, start, data.draw(st.integers(start + 1, len(pages[page])))))
    quote = "\n\n".join(pages[span.page][span.start : span.end] for span in spans)
    evidence = Evidence("d", tuple(spans), quote)
    assert re_anchor(evidence, pages) == evidence
    assert re_anchor(evidence, pages, pages) == evidence


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 10**6), min_size=60, max_size=90, unique=True), st.data())
def test_text_put_in_or_taken_out_elsewhere_moves_the_same_characters(numbers, data):
    """Every word is another, so there is only one right place."""
    tokens = [f"w{number}x" for number in numbers]
    first = data.draw(st.integers(25, len(tokens) - 30))
    last = data.draw(st.integers(first, first + 4))
    before = {1: " ".join(tokens)}
    evidence = at(1, " ".join(tokens[first : last + 1]), before)
    added = data.draw(st.lists(st.sampled_from(["new", "Page 3\n", "\n\n", "¶"]), max_size=9))
    removed = data.draw(st.integers(0, 10))
    after = {1: " ".join([*added, *tokens[removed:first]]) + " " + "  ".join(tokens[first:-5])}
    found = re_anchor(evidence, after, before)
    assert [shown(found, after)[0].split()] == [tokens[first : last + 1]]
    assert found.quote == evidence.quote


def test_a_place_is_found_whatever_case_and_white_space_and_the_quote_stays():
    pages = {2: "Moved down.\n" + PAGE.replace("hit a tree", "HIT A\ntree")}
    found = re_anchor(at(2, "wing hit a tree"), pages, PAGES)
    assert shown(found, pages) == ["wing HIT A\ntree"]
    assert found.quote == "wing hit a tree"


def test_neighbours_come_next_then_the_document_if_it_is_there_once():
    evidence = at(2, "The wing hit a tree near the river")
    gone = {**PAGES, 2: "Now blank."}
    assert re_anchor(evidence, {**gone, 3: PAGE}, PAGES).spans[0].page == 3
    assert re_anchor(evidence, {**gone, 5: PAGE}, PAGES).spans[0].page == 5
    assert re_anchor(evidence, {**gone, 5: PAGE, 6: PAGE}, PAGES) is None
    assert re_anchor(evidence, gone, PAGES) is None
    assert re_anchor(evidence, {}, PAGES) is None


def test_mended_text_becomes_the_quote_but_never_another_number():
    old = {1: "The total available water of sandy loam soiI is 1.5 inches for each foot of rooting depth in the field."}
    evidence = at(1, old[1], old)
    new = {1: "Table 2. " + old[1].replace("soiI", "soil") + " More."}
    found = re_anchor(evidence, new, old)
    assert found.quote == shown(found, new)[0] == old[1].replace("soiI", "soil")
    assert re_anchor(evidence, {1: new[1].replace("1.5", "15")}, old) is None
    assert re_anchor(evidence, {1: new[1].replace("sandy loam", "heavy clay")}, old) is None


def test_one_of_several_places_is_told_by_what_stands_around_it():
    rows = "Cars sold in the north last year: 12\nTrucks sold in the south last year: 12\nVans lost in the east: 12"
    old = {1: rows}
    start = rows.index("12", 60)
    evidence = Evidence("d", (Span(1, start, start + 2),), "12")
    new = {1: "Sales of the whole company, as the table shows:\n" + rows}
    found = re_anchor(evidence, new, old)
    assert new[1][: found.spans[0].start].endswith("Trucks sold in the south last year: ")
    assert re_anchor(evidence, new) is None


def test_a_short_quote_is_not_taken_for_the_same_word_of_another_sentence():
    old = {1: "The number of engines is 2 in this airplane, built by Cessna."}
    evidence = at(1, "2", old)
    new = {
        1: "The number of engines is Z in this airplane, built by Cessna. " + "Other words follow here. " * 9 + "Page 2"
    }
    assert re_anchor(evidence, new, old) is None


def test_evidence_over_a_page_break_keeps_a_span_for_each_page():
    pages = {1: "Begin. The wing hit", 2: "a tall tree near Lorain. End."}
    quote = "The wing hit\n\na tall tree near Lorain"
    evidence = Evidence("d", (Span(1, 7, 19), Span(2, 0, 23)), quote)
    new = {1: "Page 1\n" + pages[1], 2: "Page 2\n" + pages[2]}
    assert re_anchor(evidence, new, pages) == Evidence("d", (Span(1, 14, 26), Span(2, 7, 30)), quote)
    assert re_anchor(evidence, {1: pages[2], 2: pages[1]}, pages) is None


def chunk(id, start, end, page=2, text=PAGE):
    return Chunk(id, "d", (Span(page, start, end),), text[start:end])


def pair(evidence, answer="14:30", chunk="c1"):
    return QAPair("p", "When did the wing hit a tree?", answer, "d", chunk, evidence, "date", "rules", "train")


def test_a_pair_follows_its_evidence_to_the_chunk_that_holds_it():
    old = pair((at(2, "14:30"),))
    new = {**PAGES, 2: "New first line. " + PAGE}
    chunks = [chunk("n1", 0, 40, text=new[2]), chunk("n2", 30, len(new[2]), text=new[2]), chunk("n3", 60, len(new[2]))]
    found = re_anchor_pair(old, new, chunks, PAGES)
    assert (found.chunk, found.answer, found.id) == ("n2", "14:30", "p")
    assert shown(found.evidence[0], new) == ["14:30"]
    own = re_anchor_pair(pair((at(2, "14:30"),), chunk="n3"), new, chunks, PAGES)
    assert own.chunk == "n3"
    assert re_anchor_pair(old, new, chunks[:1], PAGES) is None
    assert re_anchor_pair(old, {**PAGES, 2: "gone"}, chunks, PAGES) is None


def test_an_unchanged_pair_is_the_same_pair():
    old = pair((at(2, "14:30"),))
    assert re_anchor_pair(old, PAGES, [chunk("c0", 0, len(PAGE)), chunk("c1", 20, len(PAGE))]) == old


def test_an_answer_that_was_the_quote_follows_it():
    text = "The total available water of sandy loam soiI is 1.5 inches for each foot of rooting depth in the field"
    old = pair((at(2, text, {2: text}),), answer=text)
    mended = text.replace("soiI", "soil")
    found = re_anchor_pair(old, {2: mended}, [chunk("c1", 0, len(mended), text=mended)], {2: text})
    assert found.answer == found.evidence[0].quote == mended
    lost = pair((at(2, text, {2: text}),), answer="sandy loam soiI")
    assert re_anchor_pair(lost, {2: mended}, [chunk("c1", 0, len(mended), text=mended)], {2: text}) is None


@pytest.mark.parametrize(("chunks", "kept"), [([chunk("c1", 0, 9)], True), ([chunk("c2", 0, 9)], False)])
def test_a_pair_without_evidence_lives_as_long_as_its_chunk(chunks, kept):
    assert re_anchor_pair(pair(()), PAGES, chunks) == (pair(()) if kept else None)


def test_evidence_in_another_document_stays():
    other = Evidence("e", (Span(1, 0, 3),), "abc")
    found = re_anchor_pair(pair((other, at(2, "14:30"))), PAGES, [chunk("c1", 0, len(PAGE))])
    assert found.evidence == (other, at(2, "14:30"))
