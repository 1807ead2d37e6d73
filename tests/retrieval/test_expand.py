import pytest

from fieldguide.errors import FieldguideError
from fieldguide.models.scripted import ScriptedGenerator
from fieldguide.prompts import answer_prompt
from fieldguide.settings import Retrieval
from retrieval.expand import expander, read_guess, read_parts, read_passage
from retrieval.query import Tools
from retrieval.split_question import split_question

SETTINGS = Retrieval()


def tools(generator, adapter=None):
    return Tools(lambda: generator, lambda: adapter)


@pytest.mark.parametrize(
    ("question", "parts"),
    [
        ("When was the bridge built, and who designed it?", ["When was the bridge built?", "Who designed the bridge?"]),
        ("Who was the pilot and what was his age?", ["Who was the pilot?", "What was the pilot's age?"]),
        ("Who was the CEO? What was the revenue?", ["Who was the CEO?", "What was the revenue?"]),
        (
            "Is the airplane airworthy or was it damaged?",
            ["Is the airplane airworthy?", "Was the airplane damaged?"],
        ),
        ("Compare the revenue of 3M with Boeing.", ["the revenue of 3M", "the revenue of Boeing"]),
        ("Compare 3M and Boeing", ["3M", "Boeing"]),
        ("What is the difference between QLoRA and LoRA?", ["QLoRA", "LoRA"]),
        ("What is the difference in revenue between 3M and Boeing?", ["revenue 3M", "revenue Boeing"]),
        ("What was the revenue in 2018 and 2019?", ["What was the revenue in 2018?", "What was the revenue in 2019?"]),
        ("What did both Boeing and Airbus report?", ["What did Boeing report?", "What did Airbus report?"]),
        ("What is a? What is b? What is c? What is d? What is e?", [f"What is {x}?" for x in "abcd"]),
    ],
)
def test_compound_questions_are_split_by_rules(question, parts):
    assert split_question(question) == parts


@pytest.mark.parametrize(
    "question",
    [
        "What are the terms and conditions?",
        "What is Johnson and Johnson's revenue?",
        "How did revenue change from 2017 to 2018?",
        "What was the revenue between 2018 and 2019?",
        "What happened when the engine failed and why?",
        "Who backed policies that sound good but have poor prospects?",
        "Wie hoch war der Umsatz und wer ist der Vorstand?",
        "engine failure",
        "",
    ],
)
def test_what_is_one_question_stays_whole(question):
    assert split_question(question) == []


def test_decompose_by_rules_asks_no_generator():
    generator = ScriptedGenerator(["never"])
    step = expander("decompose", SETTINGS, tools(generator))
    assert step.expand(["Compare 3M and Boeing"]) == [["3M", "Boeing"]]
    assert generator.calls == []
    alone = expander("decompose", SETTINGS, None)
    assert alone.expand(["Compare 3M and Boeing", "What is 3M?"]) == [["3M", "Boeing"], []]
    assert (alone.id, alone.asked) == ("decompose:rules", 0)


def test_decompose_by_the_generator_where_rules_see_one_question():
    lines = [
        "1. What is the weight of the Cessna?",
        "2) What is the weight of the Piper?",
        "",
        "- What is the weight of the Piper?",
    ]
    reply = "\n".join(lines)
    step = expander("decompose", SETTINGS, tools(ScriptedGenerator([reply])))
    assert step.expand(["Which has more weight, the Cessna or the Piper?"]) == [
        ["What is the weight of the Cessna?", "What is the weight of the Piper?"]
    ]
    assert (step.name, step.asked, step.unused) == ("decompose", 1, 0)


@pytest.mark.parametrize(
    "reply",
    ["", "none", "Which has more weight?", "What is one thing?\nWhat is another thing?", "Which weight has more?\nyes"],
)
def test_parts_that_are_none_give_no_query(reply):
    assert read_parts("Which has more weight?", reply) == []


def test_parts_are_bounded():
    reply = "\n".join(f"What weight has number {n}?" for n in range(9))
    assert read_parts("Which has more weight?", reply) == [f"What weight has number {n}?" for n in range(4)]


def test_hyde_searches_with_a_made_up_passage():
    generator = ScriptedGenerator(["Passage: The pilot had\n 300 hours."])
    step = expander("hyde", SETTINGS, tools(generator))
    assert step.expand(["How many hours?"]) == [["The pilot had 300 hours."]]
    assert "Question: How many hours?" in generator.calls[0][0][-1].content


def test_guess_is_the_tuned_models_answer_without_passages(tmp_path):
    (tmp_path / "adapter_model.safetensors").write_bytes(b"weights")
    generator = ScriptedGenerator(lambda prompt, adapter: "300 hours" if adapter else "no idea")
    adapter = generator.load_adapter(tmp_path)
    tuned, base = (expander("guess", SETTINGS, tools(generator, held)) for held in (adapter, None))
    assert tuned.expand(["How many?"]) == [["How many? 300 hours"]]
    assert base.expand(["How many?"]) == [["How many? no idea"]]
    assert generator.calls == [(answer_prompt("How many?", None), adapter), (answer_prompt("How many?", None), None)]
    assert tuned.id != base.id


def test_a_query_is_asked_once_by_all_retrievers_with_the_same_tools():
    generator = ScriptedGenerator(["one", "two", "three"])
    held = tools(generator)
    step = expander("guess", SETTINGS, held)
    assert step.expand(["a?", "b?", "a?"]) == [["a? one"], ["b? two"], ["a? one"]]
    assert expander("guess", SETTINGS, held).expand(["b?", "a?"]) == [["b? two"], ["a? one"]]
    assert len(generator.calls) == 2
    assert expander("hyde", SETTINGS, held).expand(["a?"]) == [["three"]]
    assert expander("guess", SETTINGS, tools(generator)).expand(["a?"]) == [["a? one"]]
    assert len(generator.calls) == 4


def test_empty_and_echoing_replies_give_no_query_and_are_counted():
    replies = {answer_prompt(q, None)[-1].content: r for q, r in (("a b?", ""), ("c d?", "d C"), ("e?", "five"))}
    step = expander("guess", SETTINGS, tools(ScriptedGenerator(replies)))
    assert step.expand(["a b?", "c d?", "e?"]) == [[], [], ["e? five"]]
    assert (step.asked, step.unused) == (3, 2)
    assert read_passage("c d?", "D, c.") == read_guess("c d?", " \n") == read_guess("c d?", "The answer is: C.") == []


def test_a_question_over_the_models_limit_gives_no_query_and_is_counted():
    step = expander("guess", SETTINGS, tools(ScriptedGenerator(["yes"], context_tokens=100)))
    assert step.expand(["why " * 60, "why?"]) == [[], ["why? yes"]]
    assert (step.asked, step.unused) == (2, 1)


def test_what_decides_the_queries_is_in_the_id(monkeypatch):
    ids = {expander(name, SETTINGS, tools(ScriptedGenerator([""]))).id for name in ("decompose", "hyde", "guess")}
    ids |= {expander("hyde", SETTINGS, tools(ScriptedGenerator([""], base="other"))).id}
    monkeypatch.setattr("fieldguide.prompts.load", lambda name: "other {question}")
    ids |= {expander("hyde", SETTINGS, tools(ScriptedGenerator([""]))).id}
    assert len(ids) == 5


def test_factory_says_what_is_missing():
    with pytest.raises(FieldguideError, match="known are decompose, hyde, guess"):
        expander("best", SETTINGS, None)
    for name in ("hyde", "guess"):
        with pytest.raises(FieldguideError, match="needs a generator"):
            expander(name, SETTINGS, None)
