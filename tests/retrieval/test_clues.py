import math

import pytest

from fieldguide.types import Chunk, Span
from retrieval.clues import Clues, asked_words, name_words, named_pages

NAMES = {
    "best17": ["/shelf/BESTBUY_2017_10K.pdf"],
    "best24": ["/shelf/BESTBUY_2024Q2_10Q.pdf"],
    "foot": ["/shelf/FootLocker 2022.pdf", "/shelf/copy/fl.pdf"],
    "hash": ["/shelf/3276a5b991c49cf5f9a4af0f7d6fce67.pdf"],
    "ver21": ["/shelf/verizon-2021.pdf"],
    "ver22": ["/shelf/verizon-2022.pdf"],
}
CLUES = Clues(NAMES, 60)


def chunk(document, *pages):
    return Chunk(f"{document}{pages}", document, tuple(Span(page, 0, 1) for page in pages), "text")


def rarity(having, of):
    return math.log(1 + (of - having + 0.5) / (having + 0.5))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("BESTBUY_2024Q2_10Q", {"bestbuy", "2024q2", "2024", "2024q", "q2", "10q", "10"}),
        ("BestBuy", {"bestbuy", "best", "buy"}),
        ("FY2023", {"fy2023", "fy", "2023"}),
        ("3276a5b991c49cf5f9a4af0f7d6fce67", {"3276a5b991c49cf5f9a4af0f7d6fce67"}),
        ("The history of the x", {"history"}),
        ("Straße_42", {"straße", "42"}),
        ("", set()),
    ],
)
def test_words_of_names(name, words):
    assert name_words(name) == words


def test_words_that_a_name_may_run_on():
    assert {"bestbuy", "best", "buy", "fy2024", "2024", "q2"} <= asked_words("Best Buy stores in Q2 of FY2024?")


@pytest.mark.parametrize(
    ("question", "pages"),
    [
        ("What is the fax number on page fourteen?", {14}),
        ("the date at the beginning of page(1), and on pp. 3", {1, 3}),
        ("How many lines are yellow on the first page?", {1}),
        ("Which court is noted on the cover page?", {1}),
        ("Was steht auf Seite 12, ¿y en la página 4?", {12, 4}),
        ("Tell it in one page, per page, on the homepage 3 of pageant 4", set()),
        ("page", set()),
    ],
)
def test_pages_that_a_question_names(question, pages):
    assert named_pages(question) == pages


def test_a_company_and_a_year_point_at_its_file_most():
    clue = CLUES.of("What did Verizon pay in FY2022?")
    company, year = rarity(2, 6), rarity(2, 6)
    assert CLUES.worth(clue, chunk("ver22", 1)) == pytest.approx(company + year)
    assert CLUES.worth(clue, chunk("ver21", 1)) == pytest.approx(company)
    assert CLUES.worth(clue, chunk("foot", 1)) == pytest.approx(year)
    assert CLUES.worth(clue, chunk("hash", 1)) == 0
    assert CLUES.worth(clue, chunk("unknown", 1)) == 0


def test_a_word_and_its_parts_count_once():
    clue = CLUES.of("Did Foot Locker close?")
    assert CLUES.worth(clue, chunk("foot", 1)) == pytest.approx(rarity(1, 6))


def test_a_named_page_is_worth_its_rarity_once():
    clue = CLUES.of("Which date stands on page 2, and on page 3?")
    assert CLUES.worth(clue, chunk("hash", 2, 3)) == pytest.approx(rarity(6, 60))
    assert CLUES.worth(clue, chunk("hash", 4)) == 0


@pytest.mark.parametrize("question", ["", "What is it?", "Where is the shelf?", "What does 7 have?"])
def test_nothing_named_is_no_clue(question):
    assert CLUES.of(question) is None  # "shelf" is in every path


def test_no_documents():
    assert Clues({}, 0).of("What does page 3 of Verizon's report say?") is not None
    assert Clues({}, 0).of("Verizon?") is None


def test_the_worth_is_added_in_deviations_of_the_scores():
    hits = [("x", 5.0), ("y", 3.0), ("z", 1.0)]
    chunks = {"x": chunk("hash", 1), "y": chunk("ver21", 1), "z": chunk("ver22", 1)}
    clue = CLUES.of("What did Verizon pay in 2022?")
    unit = (8 / 3) ** 0.5
    assert CLUES.reorder(hits, clue, chunks) == [
        ("x", 5.0),
        ("y", pytest.approx(3 + unit * rarity(2, 6))),
        ("z", pytest.approx(1 + unit * 2 * rarity(2, 6))),
    ]
    assert CLUES.reorder(hits[:1], clue, chunks) == hits[:1]
    assert CLUES.reorder([], clue, chunks) == []


def test_equal_scores_are_told_apart_by_the_clue_and_unknown_chunks_stay():
    chunks = {"b": chunk("ver22", 1)}
    clue = CLUES.of("Verizon 2022")
    assert [name for name, _ in CLUES.reorder([("a", 1.0), ("b", 1.0)], clue, chunks)] == ["b", "a"]


def test_the_id_changes_with_the_names():
    assert Clues(NAMES, 60).id == CLUES.id
    assert Clues(NAMES | {"new": ["new.pdf"]}, 60).id != CLUES.id
