import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldguide.models.scripted import ScriptedGenerator
from retrieval.mentions import word_set
from retrieval.rewrite import is_open, read_rewritten, standalone

REVENUE = [("What was 3M's revenue in 2018?", "$32.8 billion")]
PILOT = [("Who was the pilot of the Cessna 172 in Denver?", "John Smith")]
AIRCRAFT = [("What aircraft did the pilot fly?", "A Cessna 172S, N12345.")]
ENGINE = [("Did the engine fail?", "Yes, it lost power.")]
LIST = [("What engines were installed?", "Lycoming O-320 and Continental O-200")]
FINDING = [("What was the first finding?", "The pilot did not hold a rating.")]
CHAIN = [("What was Boeing's revenue in 2018?", "$101 billion"), ("And in 2019?", "$76 billion")]
CEO = [("Who is the CEO of Boeing?", "Dennis Muilenburg")]
CORN = [("How should farmers irrigate corn?", "Use a pivot.")]
TOTAL = [("What is the total revenue of Costco in 2022?", "$226,954 million")]
DIVIDEND = [("Does 3M have a dividend?", "Yes")]
TOWER = [("When was the Eiffel Tower built?", "1889")]
SIEMENS = [("Wie hoch war der Umsatz von Siemens im Jahr 2018?", "83 Mrd.")]


@pytest.mark.parametrize(
    ("history", "question", "alone"),
    [
        (REVENUE, "And in 2019?", "What was 3M's revenue in 2019?"),
        (REVENUE, "in 2019?", "What was 3M's revenue in 2019?"),
        (REVENUE, "2019?", "What was 3M's revenue in 2019?"),
        (REVENUE, "What about FY2020?", "What was 3M's revenue in FY2020?"),
        (REVENUE, "What about Boeing?", "What was Boeing's revenue in 2018?"),
        (REVENUE, "And for Boeing in 2017?", "What was Boeing's revenue in 2017?"),
        (REVENUE, "What about net income?", "What about net income (3M, 2018)?"),
        (REVENUE, "How about its net income?", "How about 3M's net income?"),
        (REVENUE, "Why?", "What was 3M's revenue in 2018? Why?"),
        (CHAIN, "And in 2020?", "What was Boeing's revenue in 2020?"),
        (CHAIN, "What about Airbus?", "What was Airbus's revenue in 2019?"),
        (CHAIN, "Who is its CEO?", "Who is Boeing's CEO?"),
        (PILOT, "How many hours had he flown?", "How many hours had John Smith flown?"),
        (PILOT, "How old was he when he died?", "How old was John Smith when he died?"),
        (PILOT, "What was his age?", "What was John Smith's age?"),
        (PILOT, "What about its registration?", "What about the Cessna 172's registration?"),
        (PILOT, "Was it damaged?", "Was the Cessna 172 in Denver damaged?"),
        (AIRCRAFT, "What was its registration?", "What was the Cessna 172S's registration?"),
        (AIRCRAFT, "Did he own it?", "Did the pilot own the Cessna 172S?"),
        (AIRCRAFT, "And the copilot?", "What aircraft did the copilot fly?"),
        (TOTAL, "What was it in 2021?", "What was the total revenue of Costco in 2021?"),
        (TOTAL, "How much did it grow?", "How much did the total revenue of Costco in 2022 grow?"),
        (TOTAL, "What was their net income?", "What was Costco's net income?"),
        (TOTAL, "and for Walmart?", "What is the total revenue of Walmart in 2022?"),
        (TOTAL, "How does that compare?", "What is the total revenue of Costco in 2022? How does that compare?"),
        (DIVIDEND, "How much is it?", "Does 3M have a dividend? How much is it?"),
        (DIVIDEND, "Why not?", "Does 3M have a dividend? Why not?"),
        (DIVIDEND, "Tell me more.", "Does 3M have a dividend? Tell me more."),
        (DIVIDEND, "Since when?", "Does 3M have a dividend? Since when?"),
        (TOWER, "How tall is it?", "How tall is the Eiffel Tower?"),
        (TOWER, "What about the Statue of Liberty?", "When was the Statue of Liberty built?"),
        (DIVIDEND, "Did the pilot like it?", "Does 3M have a dividend? Did the pilot like it?"),
        (ENGINE, "Why?", "Why did the engine fail?"),
        (ENGINE, "When was it last inspected?", "When was the engine last inspected?"),
        (ENGINE, "What caused it?", "Did the engine fail? What caused it?"),
        (ENGINE, "Why was that?", "Did the engine fail? Why was that?"),
        (LIST, "How heavy is the second one?", "How heavy is Continental O-200?"),
        (LIST, "What is the horsepower of the former?", "What is the horsepower of Lycoming O-320?"),
        (LIST, "How old were they?", "How old were the engines?"),
        (ENGINE, "How heavy is the second one?", "Did the engine fail? How heavy is the second one?"),
        (FINDING, "and the second one?", "What was the second finding?"),
        (CEO, "What is its revenue?", "What is Boeing's revenue?"),
        (CEO, "How long has he been in office?", "How long has Dennis Muilenburg been in office?"),
        (CORN, "When should they stop?", "When should farmers stop?"),
        (CORN, "How often?", "How should farmers irrigate corn? How often?"),
        ([("What is the capital of France?", "Paris.")], "And of Germany?", "What is the capital of Germany?"),
        ([("What is the capital of France?", "Paris.")], "What is its population?", "What is Paris's population?"),
        ([("What does Table 3 show?", "Yields.")], "And Table 4?", "What does Table 4 show?"),
        ([("Where was the princess born?", "In a tower.")], "Why did she leave?", "Why did the princess leave?"),
        (SIEMENS, "Und im Jahr 2019?", "Wie hoch war der Umsatz von Siemens im Jahr 2019?"),
        (SIEMENS, "Und von Bosch?", "Wie hoch war der Umsatz von Bosch im Jahr 2018?"),
    ],
)
def test_a_gap_is_filled_from_the_conversation(history, question, alone):
    assert is_open(question)
    assert standalone(question, history) == alone


@pytest.mark.parametrize(
    "history", [REVENUE, PILOT, LIST, CORN, SIEMENS, [*REVENUE, ("Who was it?", "Smith, the owner.")]]
)
@pytest.mark.parametrize(
    "question",
    [
        "What was the total flight time of the pilot?",
        "Which company changed its name in 2020?",
        "Which university has its origins in a school of medicine?",
        "How long does it take to drain the tank?",
        "Is it legal to fly without a transponder?",
        "How was it that the pilot survived?",
        "What does it mean when a pump cavitates?",
        "What happens if it rains during harvest?",
        "What time is it in Tokyo?",
        "Does the report say that it was raining?",
        "What did the pilot say before he crashed?",
        "When did the beekeeper lose his hives?",
        "How did Smith and his wife escape?",
        "How do farmers protect their crops?",
        "Why do people wash their hands?",
        "Did Amazon increase its dividend?",
        "Did the crew complete their checklist?",
        "Which states have the most wells and how deep are they?",
        "When the pump fails, how can it be repaired?",
        "Explain how the pump works when it is on.",
        "Outside of its use of automobiles, what else is California famous for using?",
        "What are the risks that the company lists in its annual report?",
        "Who was the former lead guitarist of Dire Straits?",
        "Is there a table of contents?",
        "How many fatalities were there?",
        "In this report, what is the probable cause?",
        "What does this document say about irrigation?",
        "Was that engine inspected?",
        "What is IT infrastructure?",
        "And who owned the airplane?",
        'And what does the term "ETOPS" mean?',
        "What about safety is emphasised in the introduction?",
        "For Boeing, what was the total debt in 2020?",
        "In 2019, what was the revenue of Boeing?",
        "At what altitude did the engine fail?",
        "About how many hectares burned?",
        "Of the engines inspected, which had cracks?",
        "Revenue 2019?",
        "engine failure Alaska",
        "Summarize the findings.",
        "List all customers and their locations.",
        "Can you tell me the name of the officer?",
        "According to the survey, do Hispanics think their children will be better off?",
        "Wie hoch war der Umsatz im Jahr 2019?",
        "Was ist die Ursache des Unfalls?",
        "In welchem Jahr starb Tesla?",
        "Hat er den Motor geprüft?",
        "Und warum ist das wichtig?",
        "Wer hat das Buch geschrieben und wann?",
        "",
    ],
)  # fmt: skip
def test_a_good_question_stays_as_it_is(history, question):
    assert standalone(question, history) == question


def test_without_a_conversation_nothing_is_touched():
    for question in ("And in 2019?", "How many hours had he flown?", "the second one?"):
        assert standalone(question, []) == question


def test_what_rules_cannot_mend_gets_the_last_question_before_it():
    history = [("Were there any?", "No.")]
    assert standalone("What did he do?", history) == "Were there any? What did he do?"


def test_an_antecedent_may_stand_further_back():
    history = [*PILOT, ("What was the weather like?", "Clear.")]
    assert standalone("How many hours had he flown?", history) == "How many hours had John Smith flown?"


@given(st.text(max_size=60), st.lists(st.tuples(st.text(max_size=60), st.text(max_size=60)), max_size=3))
def test_any_text_is_survived_and_no_word_of_the_question_without_a_gap_lost(question, history):
    found = standalone(question, history)
    assert found == question or is_open(question)


VOCABULARY = word_set(
    "the a who what which when did was is had he it its they his their Boeing 3M N12AB John Smith pilot engine of in",
    "and about 2018 2019 second one latter there this that cost to if revenue , ? . 's he's Why Und",
)
sentences = st.lists(st.sampled_from(sorted(VOCABULARY)), max_size=12).map(" ".join)


@given(sentences, st.lists(st.tuples(sentences, sentences), min_size=1, max_size=3))
def test_any_words_are_survived_and_what_has_no_gap_stays(question, history):
    found = standalone(question, history)
    assert "\n" not in found
    assert found == question or is_open(question)


# By a generator


def test_a_generator_is_shown_the_conversation_and_its_question_taken():
    generator = ScriptedGenerator(["How many hours had the pilot John Smith flown?"])
    assert standalone("How many hours had he flown?", PILOT, generator) == (
        "How many hours had the pilot John Smith flown?"
    )
    shown = generator.calls[0][0][-1].content
    assert "User: Who was the pilot of the Cessna 172 in Denver?\nAssistant: John Smith\n" in shown
    assert "Last question: How many hours had he flown?" in shown


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "He had flown 300 hours.",
        "John Smith",
        "How many hours had he flown?",
        "How many hours had John Smith flown?\nHe had flown 20.",
        "How old was John Smith?",
        "How many hours had John Smith flown over Paris in total?",
    ],
)
def test_a_reply_that_is_no_rewritten_question_gives_way_to_the_rules(reply):
    generator = ScriptedGenerator([reply])
    assert standalone("How many hours had he flown?", PILOT, generator) == "How many hours had John Smith flown?"
    assert len(generator.calls) == 1


def test_a_generator_may_see_a_gap_that_has_no_form():
    generator = ScriptedGenerator(["How many hours had the pilot of the Cessna 172 flown?"])
    question = "How many hours had the pilot flown?"
    assert standalone(question, PILOT) == question
    assert standalone(question, PILOT, generator) == "How many hours had the pilot of the Cessna 172 flown?"


def test_a_question_that_names_something_new_is_not_given_to_the_generator():
    generator = ScriptedGenerator(["never"])
    assert standalone("What was Airbus's revenue?", REVENUE, generator) == "What was Airbus's revenue?"
    assert generator.calls == []


def test_a_long_conversation_is_cut_to_its_last_turn_and_then_left_out():
    long = [("What is it?", "word " * 300), *PILOT]
    asked = "How many hours had he flown?"
    shown = ScriptedGenerator(["How many hours had John Smith flown?"], context_tokens=200)
    assert standalone(asked, long, shown) == "How many hours had John Smith flown?"
    assert "word word" not in shown.calls[0][0][-1].content
    tiny = ScriptedGenerator(["never"], context_tokens=70)
    assert standalone(asked, long, tiny) == "How many hours had John Smith flown?"
    assert tiny.calls == []


def test_quotes_around_a_rewritten_question_go():
    assert read_rewritten('"How many hours had John Smith flown?"', "How many hours had he flown?", PILOT) == (
        "How many hours had John Smith flown?"
    )


@pytest.mark.parametrize(
    ("before", "question", "asked"),
    [
        ("What was the registration of the Aerostar?", "And at Madill?", None),
        ("What was the Aerostar's registration?", "And at Madill?", None),
        ("What was the Aerostar's registration?", "And of the Cessna?", "What was the Cessna's registration?"),
        ("What happened at Elyria?", "And at Madill?", "What happened at Madill?"),
    ],
)
def test_a_place_takes_no_things_place(before, question, asked):
    assert standalone(question, [(before, "")]) == (asked or f"{before} {question}")
