import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldguide.types import Chunk, Evidence, Span
from ingest.qa import checks
from ingest.qa.checks import check, find_evidence, holds, is_balanced, is_junk, malformed_question, normal_question
from ingest.qa.drafts import Draft

TEXT = (
    "The Celle mill was built by Jan Vos in 1902. It has two mill stones, a sluice and a wheel of 9.5 m. "
    "Before the wheel is\nstarted, the sluice has to be opened; then the brake is let go. The mill is open to visitors."
)
CHUNK = Chunk("c", "doc", (Span(3, 100, 100 + len(TEXT)),), TEXT, ("Mills",), "Mills of Lower Saxony · Celle")


def verdict(question: str, answer: str, quote: str = "", kind: str = "fact", **more: object) -> str:
    return check(Draft(question, answer, quote, kind, **more), CHUNK, "en")[0]  # type: ignore[arg-type]


def shown(evidence: tuple[Evidence, ...]) -> list[tuple[str, int, str]]:
    return [(e.quote, e.spans[0].page, TEXT[e.spans[0].start - 100 : e.spans[-1].end - 100]) for e in evidence]


def test_a_draft_that_holds_has_the_place_of_its_answer_as_evidence() -> None:
    reason, evidence = check(Draft("Who built the Celle mill?", "jan  Vos", "", "fact"), CHUNK, "en")
    assert reason == ""
    assert shown(evidence) == [("Jan Vos", 3, "Jan Vos")]


def test_evidence_lies_inside_the_quote() -> None:
    evidence = find_evidence("mill", "The mill is open to visitors.", CHUNK)
    assert evidence is not None
    assert evidence.spans[0].start - 100 == TEXT.rindex("mill ")


def test_an_answer_that_nearly_stands_there_is_held_by_its_place_but_not_with_another_number() -> None:
    close = find_evidence("two mill stones and a sluice and a wheel of 9.5 m", "", CHUNK)
    assert close is not None
    assert close.quote == "two mill stones, a sluice and a wheel of 9.5 m"
    assert find_evidence("two mill stones and a sluice and a wheel of 8.5 m", "", CHUNK) is None


def test_a_language_without_spaces_is_searched_by_characters() -> None:
    chunk = Chunk("c", "d", (Span(1, 0, 12),), "磨坊由扬·沃斯建于一九零二")
    evidence = find_evidence("扬·沃斯", "", chunk)
    assert evidence == Evidence("d", (Span(1, 3, 7),), "扬·沃斯")


@pytest.mark.parametrize(
    ("question", "answer", "quote", "kind", "reason"),
    [
        ("Who built the Celle mill?", "Piet Vos", "", "fact", checks.UNGROUNDED),
        ("Who built the Celle mill?", "", "", "fact", checks.NO_ANSWER),
        ("Who built the Celle mill?", "…", "", "fact", checks.NO_ANSWER),
        ("Who built the Celle mill?", "built by Jan Vos in", "", "fact", ""),
        ("Who built the Celle mill?", "mill was built by", "", "fact", checks.CUT_ANSWER),
        ("What does the Celle mill have?", "It has two mill stones,", "", "fact", checks.CUT_ANSWER),
        ("Who built the Celle mill?", "Jan Vos " * 50, "", "fact", checks.LONG_ANSWER),
        ("Did Jan Vos build the Celle mill?", "Jan Vos", "", "fact", checks.TRIVIAL),
        ("What do the visitors see when the Celle mill is open?", "mill open to visitors", "", "fact", checks.TRIVIAL),
        ("Is the Celle mill open to visitors?", "Yes", "The mill is open to visitors.", "yes/no", ""),
        ("Is the Celle mill open to visitors?", "Yes", "The mill is closed.", "yes/no", checks.NO_QUOTE),
        ("Is the Celle mill open to visitors?", "Yes", "", "yes/no", checks.NO_QUOTE),
        ("Is the Celle mill open to visitors?", "visitors", "", "yes/no", checks.NOT_YES_NO),
        ("What is a part of the Celle mill?", "a wheel; two mill stones", TEXT[:100], "list", ""),
        ("What is a part of the Celle mill?", "a wheel; a roof", TEXT[:100], "list", checks.NOT_IN_QUOTE),
        ("What is a part of the Celle mill?", "Jan Vos; the brake", "a tower", "list", checks.NO_QUOTE),
        ("Which has more parts, the Celle sluice or the mill?", "the mill", "two mill stones", "comparison", ""),
    ],
)  # fmt: skip
def test_answers(question: str, answer: str, quote: str, kind: str, reason: str) -> None:
    assert verdict(question, answer, quote, kind) == reason


def test_evidence_that_a_source_gives_is_verified_at_its_place() -> None:
    start = TEXT.index("Jan Vos")
    there = Evidence("doc", (Span(3, 100 + start, 107 + start),), "Jan Vos")
    moved = Evidence("doc", (Span(3, 101 + start, 108 + start),), "Jan Vos")
    asked = "Who built the Celle mill?"
    assert check(Draft(asked, "Jan Vos", "", "fact", evidence=(there,)), CHUNK, "en") == ("", (there,))
    assert verdict(asked, "Jan Vos", evidence=(moved,)) == checks.MISPLACED
    assert verdict(asked, "Piet Vos", evidence=(there,)) == checks.NOT_IN_QUOTE
    assert verdict(asked, "Jan Vos", evidence=(Evidence("doc", (), "Jan Vos"),)) == checks.MISPLACED


def test_evidence_in_another_chunk_holds_if_that_chunk_is_shown() -> None:
    other = Chunk("o", "far", (Span(1, 0, 5), Span(2, 0, 4)), "Gouda\n\nis 0")
    away = Evidence("far", (Span(1, 0, 5),), "Gouda")
    draft = Draft("Where was the builder of the Celle mill born?", "Gouda", "", "multi-hop", evidence=(away,))
    assert check(draft, CHUNK, "en")[0] == checks.MISPLACED
    assert check(draft, CHUNK, "en", [other]) == ("", (away,))
    over_the_page = Evidence("far", (Span(1, 0, 5), Span(2, 0, 2)), "Gouda\n\nis")
    both = Draft("Where is the cheese of Celle from?", "Gouda", "", "fact", evidence=(over_the_page,))
    assert check(both, CHUNK, "en", [other])[0] == ""


def test_a_question_without_an_answer_needs_no_evidence_but_has_to_be_a_question() -> None:
    assert check(Draft("Who built the Gouda mill?", "", "", "unanswerable", answerable=False), CHUNK, "en") == ("", ())
    assert verdict("Who built it?", "", kind="unanswerable", answerable=False) != ""


def test_a_follow_up_may_lean_on_what_was_asked_before() -> None:
    assert verdict("Who built it?", "Jan Vos") != ""
    assert verdict("Who built it?", "Jan Vos", after=("When was the Celle mill built?",)) == ""


@pytest.mark.parametrize(
    ("question", "language", "reason"),
    [
        ("What is leaching?", "en", ""),
        ("In which year was the Celle mill built?", "en", ""),
        ("According to Jan Vos, is the mill old?", "en", ""),
        ("The mill at Celle is old?", "en", checks.NO_QUESTION),
        ("Who built the Celle mill.", "en", checks.NO_QUESTION),
        ("Who built?", "en", checks.LONG_QUESTION),
        ("Who " + "really " * 3 + "built?", "en", checks.JUNK),
        ("Who " + " ".join(map(str, range(40))) + "?", "en", checks.LONG_QUESTION),
        ("What is the height of the?", "en", checks.CUT_QUESTION),
        ("What became wetter from August to Sept?", "en", checks.CUT_QUESTION),
        ("Who built the mill (at Celle?", "en", checks.UNBALANCED),
        ("Who built the “mill at Celle?", "en", checks.UNBALANCED),
        ("How far is 1) Celle?", "en", ""),
        ("What is a 12\" pipe for?", "en", ""),
        ("Who built the \ufffd mill?", "en", checks.JUNK),
        ("Who built the mill ____ Celle?", "en", checks.JUNK),
        ("Wer hat die Mühle in Celle gebaut, und wann wurde sie wieder geschlossen?", "en", checks.NO_QUESTION),
        ("Wer hat die Mühle in Celle gebaut, und wann wurde sie wieder geschlossen?", "de", ""),
        ("Who built the mill in the old town by the river, and when was it closed again?", "de", checks.LANGUAGE),
        ("Wer baute, was die die Mühle trieb?", "de", ""),
        ("¿Quién construyó el molino?", "es", ""),
        ("谁建造了这座磨坊？", "zh", ""),
        ("磨坊？", "zh", checks.LONG_QUESTION),
    ],
)  # fmt: skip
def test_questions(question: str, language: str, reason: str) -> None:
    assert malformed_question(question, language) == reason


@given(st.text(alphabet='()[]“”ab "', max_size=20))
def test_brackets_put_around_balanced_text_stay_balanced(text: str) -> None:
    assert is_balanced(f"([{text}])") or not is_balanced(text)
    if is_balanced(text):
        assert not is_balanced(f"{text}(")


@given(st.integers(0, len(TEXT) - 1), st.integers(1, 60))
def test_evidence_of_any_words_of_the_chunk_is_those_words(start: int, length: int) -> None:
    answer = " ".join(TEXT[start : start + length].split())
    evidence = find_evidence(answer, "", CHUNK)
    if evidence is not None:
        (span,) = evidence.spans
        assert TEXT[span.start - 100 : span.end - 100] == evidence.quote
        assert holds(answer, evidence.quote)


def test_junk_and_normal_form() -> None:
    assert is_junk("a ;;;; |||| b")
    assert not is_junk("Had Jan had had enough of 24 24 V?")
    assert normal_question(" Who  built “It” ? ") == "who built it"
