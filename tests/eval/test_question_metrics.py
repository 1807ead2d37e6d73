import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval.question_metrics import DIRECTIONS, Judged, details, diversity, judge, overlap, reach, stands
from fieldguide.models.hashing import HashingEmbedder
from fieldguide.models.scripted import ScriptedGenerator
from fieldguide.types import Chunk, Evidence, QAPair, Silent, Span
from ingest.qa.calls import Calls

PAGE = "The right wing hit a tree. The pilot flew on."
CHUNK = Chunk("c1", "d1", (Span(1, 0, len(PAGE)),), PAGE, ("Events",), "Report 7")
OTHER = Chunk("c2", "d1", (Span(2, 0, 3),), "Ice", ("Weather",))
THIRD = Chunk("c3", "d2", (Span(1, 0, 3),), "Fog", ())


def pair(quote="a tree", start=19, question="What did the wing hit?", chunk="c1"):
    evidence = Evidence("d1", (Span(1, start, start + len(quote)),), quote)
    return QAPair("p", question, "a tree", "d1", chunk, (evidence,), "fact", "rules", "train")


def test_overlap_is_the_divergence_of_smoothed_words():
    # asked: hit 1, tree 1; told: hit 1, wing 2. With one added to each of 3 words: p = 2 2 1 of 5, q = 2 1 3 of 6.
    expected = 0.4 * math.log(0.4 / (2 / 6)) + 0.4 * math.log(0.4 / (1 / 6)) + 0.2 * math.log(0.2 / (3 / 6))
    assert overlap(["hit tree"], ["wing hit wing"]) == pytest.approx(expected)
    assert overlap([], ["wing"]) is None


@given(st.lists(st.text("abc ", max_size=12), min_size=1, max_size=5), st.lists(st.text("abcd ", max_size=12)))
def test_overlap_is_never_negative_and_zero_for_the_same_words(questions, source):
    value = overlap(questions, source)
    if value is not None:
        assert value >= -1e-12
        assert overlap(questions, questions) == pytest.approx(0.0)


def test_diversity_is_zero_for_one_question_twice_and_larger_for_others():
    embedder = HashingEmbedder()
    assert diversity(["Which wing hit trees?"] * 2, embedder, 3, 0) == pytest.approx(0.0, abs=1e-6)
    apart = diversity(["Which wing hit trees?", "Who paid rent early?"], embedder, 3, 0)
    assert apart is not None
    assert 0.5 < apart <= 2.0
    assert diversity(["Which wing hit trees?"], embedder, 3, 0) is None


def test_details_counts_words_and_numbers():
    assert details(["How many hours?", "Who flew at 10:45?"]) == 3.5
    assert details([]) is None


def test_evidence_stands_only_where_the_page_says_so():
    pages = {("d1", 1): PAGE}
    assert stands(pair(), pages)
    assert not stands(pair(start=20), pages)
    assert not stands(pair(), {})


def test_reach_counts_documents_sections_and_chunks():
    found = reach([pair(), pair(chunk="c3")], [CHUNK, OTHER, THIRD])
    assert (found.documents, found.sections, found.chunks) == ((2, 2), (2, 3), (2, 3))
    assert reach([pair()], [CHUNK, OTHER]).sections == (1, 2)


def test_the_judge_rates_with_and_without_the_passage():
    def reply(prompt, adapter):
        seen = prompt[-1].content
        if "Passage:" in seen:
            assert PAGE in seen
            return "relevance: 4\ncoverage: 5\nFluency: 3"
        assert PAGE not in seen
        return "Global relevance: 2"

    judged = judge([pair()], {"c1": CHUNK}, Calls(ScriptedGenerator(reply)), Silent())
    assert judged == Judged({"relevance": 4, "coverage": 5, "fluency": 3, "global_relevance": 2}, 1, 0)


@pytest.mark.parametrize("reply", ["", "relevance: 6", "relevance: 4", "relevance: 4.5\ncoverage: 1\nfluency: 1"])
def test_a_reply_that_is_no_rating_is_counted_and_not_averaged(reply):
    judged = judge([pair()], {"c1": CHUNK}, Calls(ScriptedGenerator([reply])), Silent())
    assert (judged.ratings, judged.unparsed) == ({}, 2)


def test_every_metric_has_its_direction():
    of_the_paper = {"relevance", "global_relevance", "coverage", "overlap", "diversity", "details", "fluency"}
    assert of_the_paper <= set(DIRECTIONS)
