import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fieldguide.models.base import Vectors
from fieldguide.models.hashing import HashingEmbedder
from fieldguide.types import Evidence, QAPair, Span, content_hash
from ingest.qa.dedupe import ALIKE, CONTRARY, DUPLICATE, WORDINGS, Deduper

MOST = 0.6
"""Cosine of two questions of the same words but one or two, with the embedder for tests."""


class Same:
    """An embedder to which all texts are one: what remains is what the questions are about."""

    id, dimension, max_tokens = "same", 4, 100

    def embed(self, texts: list[str]) -> Vectors:
        return np.tile(np.array([[0.5, 0.5, 0.5, 0.5]], dtype=np.float32), (len(texts), 1))

    def count_tokens(self, texts: list[str]) -> list[int]:
        return [len(text.split()) for text in texts]


def pair(question: str, answer: str, document: str = "d", start: int = 0, **more: object) -> QAPair:
    evidence = (Evidence(document, (Span(1, start, start + max(len(answer), 1)),), answer),)
    values = {"kind": "fact", "evidence": evidence, "after": (), "answerable": True} | more
    return QAPair(
        id=content_hash(document, question, answer), question=question, answer=answer, document=document, chunk="c",
        origin="rules", split="train", **values,
    )  # fmt: skip


def refused(*pairs: QAPair, phrasings: int = 1) -> list[str]:
    return Deduper(Same(), 0.95, phrasings=phrasings).refuse(pairs)


def test_a_repetition_is_refused_whatever_its_case_and_punctuation() -> None:
    first = pair("Where is the bridge at Celle?", "Aller")
    again = pair("where is the  bridge at Celle ?", "aller", start=50)
    assert refused(first, again) == ["", DUPLICATE]


def test_one_question_with_two_answers_is_refused_even_in_two_documents() -> None:
    first = pair("What is the height of the bridge?", "12 m")
    assert refused(first, pair("What is the height of the bridge?", "14 m", "e")) == ["", CONTRARY]
    assert refused(first, pair("What height is the bridge?", "14 m", start=90)) == ["", CONTRARY]


def test_left_and_right_with_different_answers_are_two_questions() -> None:
    left = pair("What is the left engine's power?", "180")
    assert refused(left, pair("What is the right engine's power?", "160")) == ["", ""]


def test_templates_about_other_names_numbers_or_documents_are_two_questions() -> None:
    celle = pair("Where did the Celle accident begin?", "at noon")
    assert refused(celle, pair("Where did the Gifhorn accident begin?", "at noon", "e")) == ["", ""]
    first = pair("What was Boeing's revenue in 2017?", "93")
    assert refused(first, pair("What was Boeing's revenue in 2018?", "93", start=40)) == ["", ""]
    assert refused(pair("What is a furrow made of?", "soil"), pair("What is a ridge made of?", "clay", "e")) == ["", ""]
    assert refused(pair("When was the mill built?", "1900"), pair("Where was the mill built?", "1900", "e")) == ["", ""]


def test_the_same_words_with_the_same_answer_elsewhere_are_alike() -> None:
    first = pair("How is soil moisture measured?", "by sensors")
    assert refused(first, pair("How can soil moisture be measured?", "by sensors", start=300)) == ["", ALIKE]
    assert refused(first, pair("How can soil moisture be measured?", "by sensors", "e")) == ["", ALIKE]


def test_an_answer_with_its_unit_is_the_one_without() -> None:
    first = pair("How many hours had Jan Vos flown?", "23")
    assert refused(first, pair("How much flight time had Jan Vos?", "23 hours", start=80)) == ["", ALIKE]
    assert refused(first, pair("How much flight time had Jan Vos?", "24 hours", start=80)) == ["", ""]


def test_as_many_wordings_of_a_fact_pass_as_the_setting_says() -> None:
    asked = [
        pair("Who built the mill at Celle?", "Jan Vos"),
        pair("Who was the builder of the mill at Celle?", "Jan Vos"),
        pair("By whom was the mill at Celle built?", "Jan Vos"),
    ]
    assert refused(*asked) == ["", WORDINGS, WORDINGS]
    assert refused(*asked, phrasings=2) == ["", "", WORDINGS]
    assert refused(*asked, phrasings=3) == ["", "", ""]


def test_one_fact_named_in_two_ways_is_one_fact() -> None:
    first = pair("What is the weight of the Celle bell?", "3 t")
    assert refused(first, pair("What is the weight of the bell by Jan Vos?", "3 t")) == ["", WORDINGS]


def test_a_question_over_two_places_is_no_wording_of_one_over_one() -> None:
    one = pair("Where does the maker of the bell live?", "Gent")
    both = (*one.evidence, Evidence("e", (Span(3, 0, 9),), "Jan Vos"))
    two = pair("Where does the maker of the Celle clock live?", "Gent", evidence=both)
    assert Deduper(Same(), 1.1).refuse([one, two]) == ["", ""]


def test_a_follow_up_is_no_wording_of_the_question_it_was_made_from() -> None:
    whole = pair("How high is the mill at Celle?", "9 m")
    after = pair("And how high is it?", "9 m", after=("Where is the mill at Celle?",))
    assert refused(whole, after) == ["", ""]
    assert refused(whole, after, after) == ["", "", DUPLICATE]


def test_questions_without_an_answer_are_alike_only_in_one_document() -> None:
    first = pair("How is the sluice opened?", "", answerable=False)
    other = pair("How was the sluice opened?", "", "e", answerable=False)
    same = pair("How was the sluice opened?", "", answerable=False)
    assert refused(first, other) == ["", ""]
    assert refused(first, same)[1] in (ALIKE, WORDINGS)


def test_a_resumed_run_judges_as_an_undisturbed_one() -> None:
    asked = [pair(f"How {w} is the {n} at {p}?", f"{w} {n}", start=k) for k, (w, n, p) in enumerate(WORDED)]
    whole = Deduper(HashingEmbedder(), MOST).refuse(asked)
    done = [one for one, reason in zip(asked[:20], whole[:20], strict=True) if not reason]
    assert Deduper(HashingEmbedder(), MOST, done).refuse(asked[20:]) == whole[20:]
    one_by_one = Deduper(HashingEmbedder(), MOST)
    assert [one_by_one.refuse([one])[0] for one in asked] == whole
    assert set(whole) > {""}


_TOWNS = ("Celle", "celle town", "Celle now", "Celle")
WORDED = [(w, n, p) for w in ("deep", "long", "old", "wide") for n in ("lock", "mill") for p in _TOWNS]


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.sampled_from("xyz"), st.sampled_from("de")), max_size=30))
def test_what_passes_has_no_question_twice_and_all_pass_that_are_new(drawn: list[tuple[str, str, str]]) -> None:
    asked = [pair(f"What is the {a} of the thing {n}?", b, d) for n, (a, b, d) in enumerate(drawn)]
    asked += asked
    verdicts = Deduper(HashingEmbedder(), 1.0).refuse(asked)
    kept = [one.question for one, reason in zip(asked, verdicts, strict=True) if not reason]
    assert len(kept) == len(set(kept))
    assert set(verdicts[len(drawn) :]) <= {DUPLICATE, CONTRARY, ALIKE, WORDINGS}
