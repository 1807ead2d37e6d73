import pytest

from assistant.answer import answer_in_context
from assistant.flow import Assistant
from fieldguide.errors import ModelError
from fieldguide.files import file_hash
from fieldguide.models.scripted import ScriptedGenerator
from fieldguide.prompts import answer_prompt, answer_prompt_hash
from fieldguide.settings import Answer as Settings
from fieldguide.types import Context
from retrieval.order import reorder

QUESTIONS = ["How long is the wing?", "How large is the crew?"]


class Finding:
    """A retriever that finds all passages of a context for every question, best at both ends."""

    index_id = "index-1"
    recipe = "recipe"

    def __init__(self, context):
        self.found = context.passages
        self.k = len(self.found)
        self.asked = []

    def retrieve(self, queries, k):
        self.asked.append(list(queries))
        return [list(self.found[:k]) for _ in queries]

    def context(self, ranked):
        return Context(tuple(reorder(ranked, "ends")), "ends")

    def contexts(self, queries):
        return [self.context(ranked) for ranked in self.retrieve(queries, self.k)]


@pytest.fixture
def made(pages):
    return pages("The wing is 12 feet long.", "The crew was of 4 people.", "It was sold.", context="About the heron")


@pytest.fixture
def adapter(tmp_path):
    (tmp_path / "adapter_model.safetensors").write_bytes(b"an adapter's weights")
    return tmp_path


def put(made, generator, questions=QUESTIONS, retriever="all", adapter=None, **settings):
    retriever = Finding(made.context) if retriever == "all" else retriever
    return Assistant(retriever, generator, adapter, made.documents, Settings(**settings)).answer(questions)


def test_each_question_is_asked_over_its_passages_in_the_order_served(made):
    generator = ScriptedGenerator(["12 feet", "5 people"])
    first, second = put(made, generator)
    one, two, three = made.context.passages
    served = Context((one, three, two), "ends")
    assert generator.calls == [(answer_prompt(q, served), None) for q in QUESTIONS]
    shown = generator.calls[0][0][-1].content
    assert shown == (
        "[1] About the heron\nThe wing is 12 feet long.\n\n[2] About the heron\nIt was sold.\n\n"
        "[3] About the heron\nThe crew was of 4 people.\n\nQuestion: How long is the wing?"
    )
    assert [p.rank for p in first.passages] == [1, 3, 2]
    assert (first.question, first.text, first.abstained, first.unsupported) == (QUESTIONS[0], "12 feet", False, ())
    assert [(c.passage, c.document, made.text(c)) for c in first.citations] == [(1, "d1", "12 feet")]
    assert (second.question, second.text, second.citations, second.unsupported) == (
        QUESTIONS[1], "5 people", (), ("5 people",),
    )  # fmt: skip


def test_a_citation_numbers_the_passages_as_they_are_shown(made):
    [answer] = put(made, ScriptedGenerator(["4 people"]), QUESTIONS[1:])
    assert [(c.passage, c.document) for c in answer.citations] == [(3, "d2")]
    assert answer.passages[2].chunk.document == "d2"


def test_without_retrieval_the_prompt_has_no_passages_and_the_answer_no_citations(made):
    generator = ScriptedGenerator({"Question: How long is the wing?": "12 feet. I am sure.", "": ""})
    first, second = put(made, generator, retriever=None)
    assert generator.calls == [(answer_prompt(q, None), None) for q in QUESTIONS]
    assert (first.text, first.citations, first.passages) == ("12 feet. I am sure.", (), ())
    assert first.unsupported == ("12 feet. I am sure.",)
    assert (first.trace.context, first.trace.index) == (None, None)
    assert (second.abstained, second.unsupported, second.trace.finish) == (True, (), "stop")


def test_the_trace_says_how_the_answer_came_about(made):
    generator = ScriptedGenerator(["one two three four"])
    retriever = Finding(made.context)
    [answer] = put(made, generator, QUESTIONS[:1], retriever=retriever, max_new_tokens=3)
    trace = answer.trace
    assert answer.text == "one two three"
    assert (trace.model, trace.adapter, trace.index) == (generator.id, None, "index-1")
    assert (trace.prompt, trace.context) == (answer_prompt_hash(), retriever.contexts(QUESTIONS[:1])[0].hash)
    assert (trace.completion_tokens, trace.finish) == (3, "length")
    assert trace.prompt_tokens == generator.count_tokens(generator.calls[0][0])
    assert set(trace.seconds) == {"retrieve", "generate"}
    assert all(value >= 0 for value in trace.seconds.values())


def test_the_adapter_is_passed_on_and_the_trace_tells_which_was_on(made, adapter):
    generator = ScriptedGenerator(lambda prompt, on: "tuned" if on else "base")
    name = generator.load_adapter(adapter)
    assert name == file_hash(adapter / "adapter_model.safetensors")
    for wanted, said in ((None, "base"), (name, "tuned"), (None, "base")):
        [answer] = put(made, generator, QUESTIONS[:1], adapter=wanted)
        assert (answer.text, answer.trace.adapter, generator.calls[-1][1]) == (said, wanted, wanted)
    with pytest.raises(ModelError, match="is not loaded"):
        put(made, generator, adapter="f" * 64)


def test_where_nothing_is_found_nothing_is_generated(made):
    generator = ScriptedGenerator(["never"])
    for answer in put(made, generator, retriever=Finding(Context((), "ends"))):
        assert (answer.text, answer.abstained, answer.citations, answer.unsupported) == ("", True, (), ())
        assert (answer.trace.finish, answer.trace.adapter, answer.trace.completion_tokens) == ("abstained", None, 0)
        assert answer.trace.context == Context((), "ends").hash
    assert generator.calls == []


def test_a_batch_may_mix_passages_none_and_closed_book_and_stays_in_order(made):
    generator = ScriptedGenerator(lambda prompt, on: prompt[-1].content[-2])
    answers = answer_in_context(
        ["a?", "b?", "c?", "d?"], [made.context, Context((), "ends"), None, made.context], generator=generator,
        adapter=None, documents=made.documents, settings=Settings(), index="i",
    )  # fmt: skip
    assert [(a.question, a.text, a.abstained) for a in answers] == [
        ("a?", "a", False), ("b?", "", True), ("c?", "c", False), ("d?", "d", False),
    ]  # fmt: skip
    assert [len(a.passages) for a in answers] == [3, 0, 0, 3]
    assert len(generator.calls) == 3


def test_the_text_is_tidied_and_an_empty_one_is_an_abstention(made):
    tidy, empty = put(made, ScriptedGenerator(["  12\n\n feet  ", " \n"]))
    assert (tidy.text, [made.text(c) for c in tidy.citations]) == ("12 feet", ["12 feet"])
    assert (empty.text, empty.abstained, empty.unsupported, empty.trace.finish) == ("", True, (), "stop")


def test_support_comes_from_the_settings(made):
    said = "The wing is 12 feet in span"  # wing, 12, feet; not: span
    assert put(made, ScriptedGenerator([said]), QUESTIONS[:1], support=0.75)[0].unsupported == ()
    assert put(made, ScriptedGenerator([said]), QUESTIONS[:1], support=0.76)[0].unsupported == (said,)


def test_retrieval_is_asked_once_for_all_questions_and_no_questions_have_no_answers(made):
    retriever = Finding(made.context)
    put(made, ScriptedGenerator(["x"]), retriever=retriever)
    assert retriever.asked == [QUESTIONS]
    assert put(made, ScriptedGenerator(["x"]), []) == []
