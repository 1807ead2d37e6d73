import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assistant.cite import cite, statements
from fieldguide.align import normalise
from fieldguide.types import Citation


def check(made, answer, question="?", support=0.6):
    return cite(question, answer, made.context, made.documents, support)


def only(made, answer, question="?", support=0.6):
    """The one citation of an answer that is supported whole."""
    citations, unsupported = check(made, answer, question, support)
    assert unsupported == []
    [citation] = citations
    return citation


# -- where it stands


def test_a_citation_names_document_page_characters_passage_and_quote(pages):
    made = pages("Nothing here.", "It had a crack. The wing is 12 feet long. It was sold.")
    assert only(made, "12 feet") == Citation(
        statement="12 feet", document="d2", source="/shelf/d2.pdf", page=20, start=45, end=52,
        quote="The wing is 12 feet long.", passage=2, score=1.0, verified=True,
    )  # fmt: skip
    assert made.texts["d2", 20][45:52] == "12 feet"


@pytest.mark.parametrize(
    ("passage", "answer", "cited"),
    [
        ("The pilot reported\n   a loss of power.", "a loss of power", "a loss of power"),
        ("The pilot reported a loss\nof engine\tpower.", "Loss of engine power.", "loss\nof engine\tpower"),
        ("He said “don’t land” twice.", '"DON\'T LAND"', "don’t land"),
        ("From 1999–2004 it flew.", "1999-2004", "1999–2004"),
        ("The aircraft was in com\u00ad\nmercial use.", "commercial use", "com\u00ad\nmercial use"),
        ("It cost $12,500.50 in all.", "$12,500.50", "$12,500.50"),
    ],
)
def test_case_spacing_quotes_and_dashes_do_not_matter(pages, passage, answer, cited):
    made = pages(passage)
    found = only(made, answer)
    assert made.text(found) == cited
    assert (found.score, found.quote) == (1.0, " ".join(passage.split()))


def test_over_a_page_break_there_is_a_span_on_each_page(pages):
    made = pages(["The pilot had logged", "1100 hours in all. He was 40."])
    citations, unsupported = check(made, "logged 1100 hours")
    assert unsupported == []
    assert [(c.page, made.text(c)) for c in citations] == [(10, "logged"), (11, "1100 hours")]
    assert {(c.passage, c.verified, c.statement) for c in citations} == {(1, True, "logged 1100 hours")}
    assert {c.quote for c in citations} == {"The pilot had logged 1100 hours in all."}


def test_the_quote_is_the_line_where_a_form_has_no_sentences(pages):
    lines = [f"Field {n}: {'value ' * 8}{n}" for n in range(12)]
    lines[5] = "Wind speed: 14 knots gusting"
    made = pages("\n".join(lines))
    found = only(made, "14 knots")
    assert (found.quote, made.text(found)) == ("Wind speed: 14 knots gusting", "14 knots")


def test_a_document_that_is_no_longer_known_is_cited_by_its_id(pages):
    made = pages("The wing is 12 feet long.")
    made.documents.clear()
    assert only(made, "12 feet").source == "d1"


# -- what is not there


@pytest.mark.parametrize(
    ("passage", "answer"),
    [
        ("The pilot had logged 1100 hours.", "14 hours"),
        ("The pilot had logged 1100 hours.", "The pilot had logged 1101 hours."),
        ("The pilot had logged 1,100.5 hours.", "100.5 hours"),
        ("He flew 110 hours.", "10"),
        ("The wing is 3.5 feet long.", "5 feet"),
        ("It was northbound.", "north"),
        ("The wing is 12 feet long.", "The owner sold it in spring."),
        ("The pilot.", "hours"),
        ("", "12 feet"),
        ("The wing is 12 feet long.", "..."),
    ],
)
def test_a_statement_that_no_passage_makes_is_unsupported(pages, passage, answer):
    assert check(pages(passage), answer) == ([], [answer])


def test_a_context_line_is_never_cited(pages):
    made = pages("The wing is long.", context="Report on the heron, 12 feet")
    assert check(made, "12 feet") == ([], ["12 feet"])


def test_no_answer_and_no_passages(pages):
    assert check(pages("The wing is long."), "") == ([], [])
    assert check(pages(), "12 feet. So it was.") == ([], ["12 feet.", "So it was."])


# -- statements in other words


def test_a_statement_in_other_words_is_supported_by_enough_of_its_words_and_all_of_its_numbers(pages):
    made = pages("In the end the pilot landed the aircraft with 14 gallons of fuel in a field.")
    answer = "The pilot landed with 14 gallons safely."  # pilot, landed, 14, gallons; not: safely
    found = only(made, answer)
    assert (found.score, found.verified) == (0.8, True)
    assert made.text(found) == "pilot landed the aircraft with 14 gallons"
    assert only(made, answer, support=0.8).score == 0.8
    assert check(made, answer, support=0.81) == ([], [answer])
    assert check(made, answer.replace("14", "15")) == ([], [answer.replace("14", "15")])


def test_words_far_apart_do_not_support_a_statement(pages):
    made = pages(
        "The pilot " + "went on and on and " * 20 + "landed in a field " + "of green corn " * 20 + "with fuel."
    )
    assert check(made, "pilot landed fuel")[1] == ["pilot landed fuel"]


def test_what_a_close_match_cannot_see(pages):
    """Known limits of counting words: a negation is one word among others, and so is the order."""
    made = pages("The pilot was not hurt in the accident. The car hit the tree.")
    assert made.text(only(made, "The pilot was hurt in the accident.")) == "pilot was not hurt in the accident"
    assert made.text(only(made, "The tree hit the car")) == "car hit the tree"


@pytest.mark.parametrize(("answer", "cited"), [("No", "no"), ("5", "5"), ("Yes", None), ("The injuries", None)])
def test_one_word_has_to_stand_there_itself(pages, answer, cited):
    """A single word or number has no close match. Where it stands as a word it is cited, whatever it means there."""
    made = pages("There were no injuries. It carried 5 people, 35 bags and 2.5 tons through forests.")
    citations, unsupported = check(made, answer)
    assert [made.text(c) for c in citations] == ([cited] if cited else [])
    assert unsupported == ([] if cited else [answer])


# -- which place


def test_the_place_whose_surroundings_share_the_questions_words_is_cited(pages):
    passage = "The tail is 12 feet tall. The wing is 12 feet long. The nose is 12 feet off."
    made = pages(passage)
    for part, sentence in (("tail", "The tail is 12 feet tall."), ("wing", "The wing is 12 feet long.")):
        found = only(made, "12 feet", f"How long is the {part}?" if part == "wing" else f"How tall is the {part}?")
        assert found.quote == sentence
        assert found.start == made.texts["d1", 10].index(sentence) + sentence.index("12")
    assert only(made, "12 feet", "?").quote == "The tail is 12 feet tall."


def test_near_words_count_more_than_words_elsewhere_in_the_passage(pages):
    made = pages("The heron wing is new. Its tail is 12 feet.", "Its wing is 12 feet.", ranks=(1, 2))
    assert only(made, "12 feet", "How long is the wing of it?").passage == 2
    assert only(made, "12 feet", "heron?").passage == 1
    assert only(made, "12 feet", "Is the heron's wing new?").passage == 2


def test_of_equal_places_the_better_ranked_passage_is_cited_and_then_the_first_in_it(pages):
    made = pages("It is 12 feet.", "It is 12 feet. It is 12 feet.", "It is 12 feet.", ranks=(3, 1, 2))
    found = only(made, "12 feet")
    assert (found.passage, found.document, found.start) == (2, "d2", made.texts["d2", 20].index("12"))


def test_words_that_stand_there_beat_words_that_nearly_do(pages):
    made = pages("The wing of the heron is 12 feet.", "12 feet long.")
    found = only(made, "12 feet long", "How much is the wing of the heron?")
    assert (found.passage, found.score) == (2, 1.0)
    near = only(pages("The wing of the heron is 12 feet."), "12 feet long", "How much is the wing of the heron?")
    assert near.score == pytest.approx(0.6667, abs=1e-4)


# -- several statements


def test_each_statement_has_its_own_citation_and_the_unsupported_one_is_named(pages):
    made = pages("The wing is 12 feet long.", "The crew of 4 was not hurt.")
    citations, unsupported = check(made, "The wing is 12 feet long. It was raining hard. The crew of 4 was not hurt.")
    assert [(c.statement, c.passage, made.text(c)) for c in citations] == [
        ("The wing is 12 feet long.", 1, "The wing is 12 feet long"),
        ("The crew of 4 was not hurt.", 2, "The crew of 4 was not hurt"),
    ]
    assert unsupported == ["It was raining hard."]


def test_an_abbreviation_does_not_end_a_statement(pages):
    made = pages("It belonged to Dr. Ames of Ohio.")
    assert made.text(only(made, "Dr. Ames")) == "Dr. Ames"


# -- everything that stands there is found

word = st.text("abxyzéﬁ0123456789", min_size=1, max_size=5)
gap = st.sampled_from([" ", "  ", "\n", " \n ", "\t", "\xa0"])


@given(st.data())
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_run_of_a_passages_words_is_cited_where_it_stands(pages, data):
    words = data.draw(st.lists(word, min_size=1, max_size=12))
    gaps = [data.draw(gap) for _ in words]
    turn = data.draw(st.integers(0, len(words)))  # the words from here stand on the next page
    parts = [
        "".join(w + g for w, g in zip(words[a:b], gaps[a:b], strict=True)).strip() for a, b in ((0, turn), (turn, None))
    ]
    made = pages([part for part in parts if part])
    first = data.draw(st.integers(0, len(words) - 1))
    answer = " ".join(words[first : data.draw(st.integers(first + 1, len(words)))]).upper()
    citations, unsupported = check(made, answer)
    assert unsupported == []
    assert normalise(" ".join(made.text(c) for c in citations))[0] == normalise(answer)[0]
    assert all(c.verified and c.score == 1.0 and c.passage == 1 and c.statement == answer for c in citations)
    assert [c.page for c in citations] in ([10], [11], [10, 11])
    for citation in citations:
        assert normalise(made.text(citation))[0] in normalise(citation.quote)[0]


@pytest.mark.parametrize(
    ("answer", "parts"),
    [
        ("It was a Reims F172 M. The crew was rescued.", ["It was a Reims F172 M.", "The crew was rescued."]),
        ("J. Smith of Cessna Inc. flew it", ["J. Smith of Cessna Inc. flew it"]),
        ("At 5 p.m. It was dark.", ["At 5 p.m.", "It was dark."]),
        ("", []),
    ],
)
def test_an_initial_does_not_join_two_statements(answer, parts):
    assert statements(answer) == parts
