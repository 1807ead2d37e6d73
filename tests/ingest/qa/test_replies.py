import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldguide.models.base import Generation
from ingest.qa.drafts import Rejection
from ingest.qa.replies import Pair, Quote, Quoted, ReplyFault, find_lines, find_objects, parse

ONE, TWO = {"question": "a?", "answer": "b"}, {"question": "c?", "answer": "d"}


def generation(text, finish="stop"):
    return Generation(text, 1, 1, finish, None)


@pytest.mark.parametrize(
    ("reply", "objects"),
    [
        (json.dumps([ONE, TWO]), [ONE, TWO]),
        (f"Sure {{well}}:\n```json\n{json.dumps([ONE, TWO], indent=2)}\n```\nDone.", [ONE, TWO]),
        (json.dumps({"questions": [ONE, TWO]}), [ONE, TWO]),
        (f"{json.dumps(ONE)}\n{json.dumps(TWO)}", [ONE, TWO]),
        (json.dumps([ONE, TWO])[:-12], [ONE]),
        (json.dumps({"pairs": [ONE, TWO]})[:-12], [ONE]),
        ('[{"question": "a?", "answer": "b",},]', [ONE]),
        ('{"question": "a\nb"}', [{"question": "a\nb"}]),
        ('{"quotes": [{"quote": "x"}], "answer": "b"}', [{"quotes": [{"quote": "x"}], "answer": "b"}]),
        ("nothing", []),
        ('{"a":' * 3000, []),
        ("[" * 3000, []),
    ],
)
def test_find_objects(reply, objects):
    assert find_objects(reply) == objects


@given(st.lists(st.dictionaries(st.sampled_from(["question", "answer"]), st.text(max_size=20), min_size=1), max_size=4))
def test_whatever_json_holds_is_found_again(items):
    text = json.dumps(items, ensure_ascii=False)
    assert find_objects(f"Here: {text} and no more") == items


def test_find_lines():
    text = "1. Question: a?\nAnswer: b\nc\n\nnoise\n- **Q2:** d?\n**A2**: e\nQuote: f\nAnswer: g"
    assert find_lines(text) == [
        {"question": "a?", "answer": "b\nc"}, {"question": "d?", "answer": "e", "quote": "f"}, {"answer": "g"},
    ]  # fmt: skip


def test_parse_takes_what_fits_and_counts_the_rest():
    text = json.dumps([{"Question": " a? ", "answer": ["x", 2], "extra": 1}, {"question": "c?", "answer": {"no": 1}}])
    fitting, rejected = parse(generation(text), Pair)
    assert fitting == [Pair(question="a?", answer="x, 2")]
    assert rejected == [
        Rejection(
            "reply does not fit the schema",
            'answer: Input should be a valid string: {"question": "c?", "answer": {"no": 1}}',
        )
    ]
    assert parse(generation('{"question": "a?", "answer": false}'), Pair)[0] == [Pair(question="a?", answer="No")]


@pytest.mark.parametrize(
    ("reply", "reason", "error"),
    [
        (generation("no"), "reply without JSON or question lines", "it holds no JSON"),
        (generation('[{"question": "a', "length"), "reply is cut off",
         "it is cut off before its first object ends; write less"),
        (generation('[{"question": "a?"}]'), "reply does not fit the schema", "answer: Field required"),
        (generation('[{"question": "", "answer": "b"}]'), "reply does not fit the schema",
         "question: String should have at least 1 character"),
    ],
)  # fmt: skip
def test_a_reply_of_no_use_says_why(reply, reason, error):
    with pytest.raises(ReplyFault) as fault:
        parse(reply, Pair)
    assert (fault.value.reason, fault.value.error) == (reason, error)


def test_an_empty_list_is_no_fault():
    assert parse(generation("```json\n[ ]\n```"), Pair) == ([], [])


@pytest.mark.parametrize(
    ("given", "quotes"),
    [
        ({"quotes": [{"passage": "[2]", "quote": "x"}]}, (Quote(passage=2, quote="x"),)),
        ({"quote": "x", "passage": 3}, (Quote(passage=3, quote="x"),)),
        ({"quotes": ["x", "y"], "passages": [2, 1]}, (Quote(passage=2, quote="x"), Quote(passage=1, quote="y"))),
        ({"quotes": "x", "passage": "Passage 1"}, (Quote(passage=1, quote="x"),)),
        ({}, ()),
    ],
)
def test_quotes_in_all_the_forms_models_write(given, quotes):
    assert Quoted.model_validate({"answer": "a", **given}).quotes == quotes


@pytest.mark.parametrize(
    ("finish", "reason"), [("stop", "part of the reply is no JSON"), ("length", "reply is cut off")]
)
def test_what_of_a_reply_cannot_be_read_is_counted(finish, reason):
    text = '[{"question": "a?", "answer": "b"}, {"question": "c "quoted"?", "answer": "d"}, {"question": "e?", "ans'
    fitting, rejected = parse(generation(text, finish), Pair)
    assert fitting == [Pair(question="a?", answer="b")]
    assert [r.reason for r in rejected] == [reason, reason]
