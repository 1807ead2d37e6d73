"""Questions over two chunks: their exact words, answers and evidence, and what is left alone."""

from __future__ import annotations

from collections.abc import Sequence

from fieldguide.types import Chunk, Document, Evidence, QAPair, Span
from ingest.qa.drafts import Draft
from ingest.qa.multi_hop import multi_hop, shared_entities
from ingest.qa.names import find_naming
from ingest.qa.rule_anchors import Anchors

ELYRIA = (
    "Location: Elyria, OH\nAccident Number: CHI08CA048\nRegistration: N2699G\nAircraft: Aerostar 601",
    "Engine Manufacturer: Continental\nRated Power: 290 hp\nSeats: 5",
    "Airframe Total Time: 3000 hours\nRunway Width: 100 ft",
)
SOLEDAD = (
    "Location: Soledad, CA\nAccident Number: LAX08CA034\nRegistration: N6024M\nAircraft: Air Tractor AT-401",
    "Engine Manufacturer: Lycoming\nRated Power: 600 hp\nSeats: 1",
    "Airframe Total Time: 3000 hours\nRunway Width: 60 m",
)
DOCUMENTS = {name: Document(name, f"{name}.pdf", f"{name} accident report") for name in ("elyria", "soledad")}


def chunks_of(document: str, texts: Sequence[str]) -> list[Chunk]:
    return [Chunk(f"{document}{i}", document, (Span(i + 1, 0, len(t)),), t) for i, t in enumerate(texts)]


CHUNKS = {chunk.id: chunk for chunk in (*chunks_of("elyria", ELYRIA), *chunks_of("soledad", SOLEDAD))}


def pair(chunk: str, question: str, answer: str, origin: str = "rules") -> QAPair:
    held = CHUNKS[chunk]
    start = held.text.index(answer)
    evidence = Evidence(held.document, held.locate(start, start + len(answer)), answer)
    return QAPair(f"{chunk} {question}", question, answer, held.document, chunk, (evidence,), "fact", origin, "train")


def made(*pairs: QAPair, wanted: int = 20) -> list[tuple[str, str, str]]:
    drafts, _ = multi_hop(pairs, CHUNKS, DOCUMENTS, wanted)
    return [(draft.kind, draft.question, draft.answer) for draft in drafts]


def test_two_amounts_of_one_attribute_are_compared() -> None:
    pairs = (
        pair("elyria1", "What was the rated power of N2699G?", "290 hp"),
        pair("soledad1", "How powerful was the engine of N6024M?", "600 hp"),
    )
    drafts, _ = multi_hop(pairs, CHUNKS, DOCUMENTS, 5)
    assert [draft.question for draft in drafts] in (
        ["Which was higher, the rated power of N2699G or the rated power of N6024M?"],
        ["Which was more powerful, the engine of N6024M or the engine of N2699G?"],
    )
    assert drafts[0].answer.endswith("of N6024M (600 hp against 290 hp)")
    assert (drafts[0].kind, drafts[0].level) == ("comparison", "implicit fact")
    assert sorted(evidence.quote for evidence in drafts[0].evidence) == ["290 hp", "600 hp"]


def test_amounts_that_are_equal_or_in_other_units_are_not_compared() -> None:
    pairs = (
        pair("elyria2", "What was the total time on the airframe of N2699G?", "3000 hours"),
        pair("soledad2", "What was the total time on the airframe of N6024M?", "3000 hours"),
        pair("elyria2", "How wide is the runway in the Elyria, OH accident?", "100 ft"),
        pair("soledad2", "How wide is the runway in the Soledad, CA accident?", "60 m"),
    )
    drafts, rejections = multi_hop(pairs, CHUNKS, DOCUMENTS, 5)
    assert not [draft for draft in drafts if draft.kind == "comparison"]
    assert {r.reason for r in rejections} >= {"amounts cannot be compared"}


def test_two_documents_are_asked_for_the_same_name() -> None:
    pairs = (
        pair("elyria1", "Who made the engine of N2699G?", "Continental"),
        pair("soledad1", "Which company built the engine in the Soledad, CA accident?", "Lycoming"),
    )
    (kind, question, answer), *rest = made(*pairs)
    assert (kind, rest) == ("comparison", [])
    assert question.startswith("Do the report on ")
    assert question.endswith(" give the same engine manufacturer?")
    assert answer in ("No: Continental and Lycoming", "No: Lycoming and Continental")


def test_what_only_one_document_gives_stands_for_its_name() -> None:
    pairs = (
        pair("elyria1", "Who made the engine of N2699G?", "Continental"),
        pair("elyria2", "How wide is the runway in the Elyria, OH accident?", "100 ft"),
    )
    drafts, _ = multi_hop(pairs, CHUNKS, DOCUMENTS, 1)
    assert drafts == [
        Draft(
            "How wide is the runway in the accident whose report gives Continental as the engine manufacturer?",
            "100 ft",
            "100 ft",
            "multi-hop",
            "implicit fact",
            (*pairs[1].evidence, *pairs[0].evidence),
        )
    ]


def test_a_value_of_two_documents_stands_for_neither() -> None:
    chunks = dict(CHUNKS)
    chunks["soledad1"] = Chunk("soledad1", "soledad", (Span(2, 0, 32),), "Engine Manufacturer: Continental")
    pairs = (
        pair("elyria1", "Who made the engine of N2699G?", "Continental"),
        pair("elyria2", "How wide is the runway in the Elyria, OH accident?", "100 ft"),
    )
    drafts, rejections = multi_hop(pairs, chunks, DOCUMENTS, 5)
    assert "no fact that only this document gives" in {r.reason for r in rejections}
    assert not [draft for draft in drafts if "Continental" in draft.question]


def test_a_name_is_replaced_by_the_question_that_it_answers() -> None:
    texts = ("ACME Works was founded by Jane Roe in Ohio.", "Jane Roe was born in Akron.")
    chunks = {c.id: c for c in chunks_of("d", texts)}

    def of(chunk: str, question: str, answer: str) -> QAPair:
        start = chunks[chunk].text.index(answer)
        evidence = Evidence("d", chunks[chunk].locate(start, start + len(answer)), answer)
        return QAPair(question, question, answer, "d", chunk, (evidence,), "fact", "model", "train")

    pairs = [of("d0", "Who founded ACME Works?", "Jane Roe"), of("d1", "Where was Jane Roe born?", "Akron")]
    drafts, _ = multi_hop(pairs, chunks, {"d": Document("d", "d.pdf", "works")}, 5)
    assert [(d.question, d.answer) for d in drafts] == [("Where was the person who founded ACME Works born?", "Akron")]
    assert [evidence.quote for evidence in drafts[0].evidence] == ["Akron", "Jane Roe"]


def test_two_questions_on_one_document_are_asked_together_if_two_chunks_answer_them() -> None:
    seats = pair("elyria1", "How many seats did N2699G have?", "5")
    time = pair("elyria2", "How many hours had the engine of N2699G run?", "3000 hours")
    power = pair("elyria1", "How powerful was the engine of N2699G?", "290 hp")
    assert made(seats, power) == []
    assert made(seats, time) == []  # nothing but the document in common
    ((kind, question, answer),) = made(power, time)
    assert kind == "multi-hop"
    assert (question, answer) in (
        (
            "How powerful was the engine of N2699G, and how many hours had the engine of N2699G run?",
            "290 hp; 3000 hours",
        ),
        (
            "How many hours had the engine of N2699G run, and how powerful was the engine of N2699G?",
            "3000 hours; 290 hp",
        ),
    )


def test_the_number_is_bounded_and_the_same_each_time() -> None:
    pairs = [
        pair("elyria1", "Who made the engine of N2699G?", "Continental"),
        pair("soledad1", "Who made the engine of N6024M?", "Lycoming"),
        pair("elyria2", "How wide is the runway in the Elyria, OH accident?", "100 ft"),
        pair("elyria1", "How powerful was the engine of N2699G?", "290 hp"),
        pair("soledad1", "How powerful was the engine of N6024M?", "600 hp"),
    ]
    first = multi_hop(pairs, CHUNKS, DOCUMENTS, 2, seed=3)
    assert len(first[0]) == 2
    assert multi_hop(list(reversed(pairs)), CHUNKS, DOCUMENTS, 2, seed=3) == first
    assert multi_hop(pairs, CHUNKS, DOCUMENTS, 0) == ([], [])


def test_a_question_is_cut_around_the_longest_name_of_its_document() -> None:
    anchors = Anchors(("the Elyria, OH accident",), ("N2699G",), ("the report on the Elyria, OH accident",))
    naming = find_naming("What does the report on the Elyria, OH accident say?", anchors)
    assert naming is not None
    assert (naming.before, naming.after, naming.place) == ("What does ", " say?", "{d}")
    assert naming.of("it") == "What does it say?"
    assert find_naming("Is N2699G older than N2699G was?", anchors) is None
    assert find_naming("Is N2699GA old?", anchors) is None


def test_chunks_are_paired_by_rare_names_across_documents_first() -> None:
    texts = {
        "a": ["The plan was made by Jane Roe of Akron Mills.", "Akron Mills was sold in May.", "Rated Power: 3 hp"],
        "b": ["In the end Jane Roe left the board.", "Rated Power: 4 hp"],
    }
    chunks = [chunk for name, held in texts.items() for chunk in chunks_of(name, held)]
    found = [(first.id, second.id, name) for first, second, name in shared_entities(chunks, 5)]
    assert found == [("a0", "b0", "Jane Roe"), ("a0", "a1", "Akron Mills")]
    assert [name for _, _, name in shared_entities(chunks, 1)] == ["Jane Roe"]
