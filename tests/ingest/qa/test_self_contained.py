import pytest

from ingest.qa.self_contained import DEFINITE, EVENT, PRONOUN, TEXT, not_self_contained


@pytest.mark.parametrize(
    ("question", "reason"),
    [
        ("What does this passage say about soil?", TEXT),
        ("What is the subject of the report?", TEXT),
        ("What is the subject of the report on the Celle mill?", ""),
        ("What is the subject of the text of “Mills of Saxony”?", ""),
        ("Which method is described above?", TEXT),
        ("Which of the following is a crop?", TEXT),
        ("According to the authors, what is soil?", TEXT),
        ("What does Table 3 show?", TEXT),
        ("What does Table 3 of the Boeing report show?", ""),
        ("Where was he born?", PRONOUN),
        ("How many hours did they fly?", PRONOUN),
        ("When was this leader elected?", PRONOUN),
        ("What happened here in 1960?", PRONOUN),
        ("Why is it important to check soil moisture?", ""),
        ("How long does it take to fill a tank?", ""),
        ("How warm was it when Jan Vos left Celle?", ""),
        ("Who was the investigator in charge of the Elyria accident?", ""),
        ("Which gusts are listed in the report on the Elyria accident?", ""),
        ("Which gusts are listed in the report?", TEXT),
        ("What is drip irrigation and how does it work?", ""),
        ("When did Jan Vos leave his mill?", ""),
        ("Which company increased its revenue?", ""),
        ("If a leaf wilts, what does this mean?", ""),
        ("Who are those who may vote?", ""),
        ("Will sandy soils hold even less?", PRONOUN),
        ("What was the pilot's flight time?", DEFINITE),
        ("Why did the accident happen?", DEFINITE),
        ("What was the cause of the accident?", DEFINITE),
        ("What was the cause of the accident in 2019?", DEFINITE),
        ("What was the cause of the Elyria accident?", ""),
        ("What was the cause of the accident at Elyria?", ""),
        ("What was the cause of accident ERA22LA001?", ""),
        ("What was the company's revenue in FY2022?", DEFINITE),
        ("What was the revenue of the company Boeing in FY2022?", ""),
        ("What was Boeing's revenue in FY2022?", ""),
        ("What does the Tenant pay on the first day?", DEFINITE),
        ("What should the pilot check before takeoff?", ""),
        ("How does the heart pump blood?", ""),
        ("How does the steam engine work?", ""),
        ("What did the steam engine drive?", DEFINITE),
        ("What is the date?", DEFINITE),
        ("What is the greenhouse effect?", ""),
        ("When was the treaty signed?", EVENT),
        ("When was the treaty of Gent signed?", ""),
        ("How many people were injured?", EVENT),
        ("What was recovered in Elyria?", ""),
        ("Who was the first to cross the sea?", ""),
        ("What is the best way to use up water left in soil?", ""),
    ],
)
def test_english(question: str, reason: str) -> None:
    assert not_self_contained(question) == reason


def test_a_name_that_the_document_is_known_by_tells_which_one_is_meant() -> None:
    question = "Did Cessna inspect the aircraft?"
    assert not_self_contained(question, "en", "The accident at Elyria") == DEFINITE
    assert not_self_contained(question, "en", "Cessna Service Letters") == ""


@pytest.mark.parametrize(
    ("question", "language", "reason"),
    [
        ("Worum geht es in diesem Text?", "de", TEXT),
        ("Was steht in dem Bericht über Celle?", "de", ""),
        ("¿De qué trata este documento?", "es", TEXT),
        ("De quoi parle ce texte ?", "fr", TEXT),
        ("Where was he born?", "zh", ""),
    ],
)
def test_other_languages_have_only_the_words_for_this_text(question: str, language: str, reason: str) -> None:
    assert not_self_contained(question, language) == reason
