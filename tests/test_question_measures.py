from bench.parts.question_measures import alike, is_clear, is_grounded
from fieldguide.models.hashing import HashingEmbedder
from fieldguide.types import Evidence, QAPair, Span

PAGES = {("d", 1): "The mill was built by Jan Vos in 1902.", ("d", 2): "It has a wheel."}


def pair(question: str, answer: str, *evidence: Evidence, kind: str = "fact", document: str = "d") -> QAPair:
    return QAPair(question, question, answer, document, "c", evidence, kind, "rules", "train")


def test_evidence_is_read_from_the_page() -> None:
    there = Evidence("d", (Span(1, 22, 29),), "Jan Vos")
    assert is_grounded(pair("Who?", "Jan Vos", there), PAGES)
    assert not is_grounded(pair("Who?", "Jan Bos", there), PAGES)
    assert not is_grounded(pair("Who?", "Jan Vos", Evidence("d", (Span(1, 23, 30),), "Jan Vos")), PAGES)
    assert not is_grounded(pair("Who?", "Jan Vos", Evidence("e", (Span(1, 22, 29),), "Jan Vos")), PAGES)
    assert not is_grounded(pair("Who?", "Jan Vos"), PAGES)
    over = Evidence("d", (Span(1, 33, 38), Span(2, 0, 5)), "1902.\n\nIt ha")
    assert is_grounded(pair("When?", "1902", over), PAGES)
    assert is_grounded(pair("Was it built?", "Yes", there, kind="yes/no"), PAGES)
    assert (
        is_grounded(pair("Who was first, Jan or Piet Vos?", "Jan Vos, not Piet", there, kind="comparison"), PAGES)
        is False
    )
    assert is_grounded(pair("Who was first, Jan or Piet Vos?", "Jan Vos and Piet", there, kind="comparison"), PAGES)


def test_a_question_is_clear_where_nothing_points_elsewhere() -> None:
    clear = ("Who built the mill at Celle?", "What is leaching?", "How long does it take to fill a tank?",
             "When did Jan Vos leave his mill?", "What was N123 built of?")  # fmt: skip
    unclear = ("Who built it?", "What does this show?", "Why did the pilot land?", "How many were hurt?",
               "What is the company's revenue?", "Which soil is named in the passage?")  # fmt: skip
    assert [is_clear(question) for question in clear] == [True] * len(clear)
    assert [is_clear(question) for question in unclear] == [False] * len(unclear)


def test_questions_are_alike_unless_a_number_or_a_name_tells_them_apart() -> None:
    asked = [
        pair("Who built the mill at Celle?", "Jan"), pair("Who built at Celle the mill?", "Jan"),
        pair("Who built the mill at Gifhorn?", "Jan"), pair("Who built the mill of 1902?", "Jan"),
    ]  # fmt: skip
    assert alike(asked, HashingEmbedder())[0] == [True, True, False, False]
    assert alike(asked[:1], HashingEmbedder()) == ([False], [False])
