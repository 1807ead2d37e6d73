"""The flow of batch answering on made-up questions, its journal, and the retriever that goes by question."""

from dataclasses import replace

import pytest

from assistant.answer import answer_in_context
from assistant.batch import GIVE_UP, Asked, Outcome, answer_all, calls, failed, outcome_of, reason_of
from assistant.by_question import ByQuestion
from assistant.journal import Journal
from fieldguide.errors import FieldguideError, IntegrityError
from fieldguide.models.scripted import ScriptedGenerator
from fieldguide.settings import Answer as Settings
from fieldguide.types import Answer, Conflict, Context, Document, Span, Trace


def asked(*questions, where=""):
    return [Asked(f"{where}/{question}", question, where) for question in questions]


def said(text):
    return Outcome(text, False, 0.5, "", "", "", "answered", "", "{}")


class Answering:
    """Answers a question with itself; raises for those that hold "bad"."""

    def __init__(self, error=RuntimeError):
        self.calls, self.kept, self.error = [], {}, error

    def answer(self, call):
        self.calls.append([question.question for question in call])
        if any("bad" in question.question for question in call):
            raise self.error(f"no: {call[0].question}" if len(call) == 1 else "")
        return [said(question.question) for question in call]

    def run(self, questions, kept=None, size=4):
        return answer_all(questions, self.answer, kept=kept or {}, keep=self.kept.update, size=size)


def test_calls_hold_each_key_once_those_of_a_filter_together_and_no_text_twice():
    questions = [*asked("a", "b"), *asked("a", "c", where="x"), *asked("b", "d")]
    assert [[(q.question, q.filter) for q in call] for call in calls(questions, 3)] == [
        [("a", ""), ("b", ""), ("d", "")], [("a", "x"), ("c", "x")],
    ]  # fmt: skip
    assert [[(q.question, q.filter) for q in call] for call in calls(questions, 9)] == [
        [("a", ""), ("b", ""), ("d", ""), ("c", "x")], [("a", "x")],
    ]  # fmt: skip
    assert list(calls([], 3)) == []
    with pytest.raises(ValueError, match="at least 1"):
        list(calls(questions, 0))


def test_only_what_is_not_kept_is_asked_and_all_is_found():
    one = Answering()
    found = one.run(asked("a", "b", "c", "a", "d", "e"), kept={"/b": said("before"), "/z": said("unasked")}, size=2)
    assert one.calls == [["a", "c"], ["d", "e"]]
    assert {key: outcome.answer for key, outcome in found.items()} == {
        "/a": "a", "/b": "before", "/c": "c", "/d": "d", "/e": "e",
    }  # fmt: skip
    assert set(one.kept) == {"/a", "/c", "/d", "/e"}


def test_a_question_that_fails_is_asked_alone_and_takes_no_other_with_it():
    one = Answering()
    found = one.run(asked("a", "b", "bad", "c", "d"))
    assert one.calls == [["a", "b", "bad", "c"], ["a", "b"], ["bad", "c"], ["bad"], ["c"], ["d"]]
    assert found["/bad"] == failed("no: bad.")
    assert [found[f"/{q}"].answer for q in "abcd"] == list("abcd")
    assert set(one.kept) == {"/a", "/b", "/c", "/d"}
    alone = Answering()
    assert alone.run(asked("bad"))["/bad"].status == "failed"
    assert alone.calls == [["bad"], ["bad"]]


def test_what_breaks_everything_stops_the_run():
    one = Answering()
    with pytest.raises(FieldguideError, match=rf"^Stopped, since {GIVE_UP} questions failed .* no: bad19\. What was"):
        one.run(asked(*(f"bad{n}" for n in range(50))), size=8)
    assert max(int(q.removeprefix("bad")) for call in one.calls for q in call if len(call) == 1) == GIVE_UP - 1
    spared = Answering()
    mixed = asked(*(f"bad{n}" if n % 19 else f"good{n}" for n in range(57)))
    assert sum(outcome.status == "failed" for outcome in spared.run(mixed, size=1).values()) == 54
    for error in (IntegrityError, KeyboardInterrupt):
        with pytest.raises(error):
            Answering(error).run(asked("a", "bad"))


def test_an_error_as_a_line():
    assert reason_of(RuntimeError("two\nlines ")) == "two lines."
    assert reason_of(ValueError()) == "ValueError."
    assert len(reason_of(ValueError("x" * 999))) == 300


def test_an_outcome_reads_as_cells(pages):
    made = pages("The wing is 12 feet long.", "The crew was of 4 people.")
    answers = answer_in_context(
        ["How long?", "Who?", "What?"], [made.context] * 3, documents=made.documents, settings=Settings(), adapter=None,
        generator=ScriptedGenerator(["12 feet. 4 people. Ganymede is far.", "not in the documents", "Nothing like it"]),
        index="i",
    )  # fmt: skip
    first, second, third = (outcome_of(answer, made.documents) for answer in answers)
    assert first.citations == ('d1.pdf p. 10: "The wing is 12 feet long."; d2.pdf p. 20: "The crew was of 4 people."')
    assert (first.sources, first.unsupported) == ("d1.pdf p. 10; d2.pdf p. 20", "Ganymede is far.")
    assert (first.status, first.abstained, first.reason) == ("answered", False, "")
    assert f'"context":"{made.context.hash}"' in first.trace
    assert '"index":"i"' in first.trace
    assert (second.answer, second.status, second.abstained, second.sources) == ("", "not in the documents", True, "")
    assert (third.citations, third.unsupported) == ("", "Nothing like it")


def test_a_journal_loses_at_most_the_line_that_was_being_written(tmp_path):
    journal = Journal(tmp_path / "a.xlsx")
    assert journal.path == tmp_path / "a.xlsx.partial.jsonl"
    assert journal.read() == {}
    odd = said("é \ud800 \u2028 \x1b[0m")
    journal.add({"1": odd})
    journal.add({"2": failed("so"), "3": said("c")})
    with journal.path.open("ab") as file:
        file.write(b'{"key": "4", "answ')
    journal = Journal(tmp_path / "a.xlsx")
    assert journal.read() == {"1": odd, "2": failed("so"), "3": said("c")}
    journal.add({"4": said("d")})
    assert list(journal.read()) == ["1", "2", "3", "4"]
    with journal.path.open("ab") as file:
        file.write(b'[1]\n{"key": "5", "of another version": 1}\n\n{"key": "6", "answer": "too little"}\n')
    assert list(journal.read()) == ["1", "2", "3", "4"]
    journal.remove()
    assert journal.read() == {}


def test_a_journal_is_held_by_one(tmp_path):
    with (
        Journal(tmp_path / "a.csv").held(),
        pytest.raises(FieldguideError, match=r"Another run is answering into .*a\.csv"),
        Journal(tmp_path / "a.csv").held(),
    ):
        pass
    assert list(tmp_path.iterdir()) == []


class Named:
    """A retriever whose contexts say by their policy who made them, and for how many questions at a time."""

    index_id, recipe, k = "i", "r", 2

    def __init__(self, name):
        self.name = name

    def retrieve(self, queries, k):
        return [[f"{self.name}{k}"] for _ in queries]

    def context(self, ranked):
        return Context(tuple(ranked), self.name)

    def contexts(self, queries):
        return [Context((), f"{self.name}{len(queries)}") for _ in queries]


def test_each_question_goes_to_its_retriever_together_with_those_that_go_there_too():
    x = Named("x")
    routed = ByQuestion(Named("all"), {"b": x, "d": x, "c": Named("y")})
    assert [c.policy for c in routed.contexts(["a", "b", "c", "d", "e"])] == ["all2", "x2", "y1", "x2", "all2"]
    assert routed.retrieve(["d", "a"], 3) == [["x3"], ["all3"]]
    assert (routed.index_id, routed.recipe, routed.k, routed.context([]).policy) == ("i", "r", 2, "all")
    assert routed.contexts([]) == []


def test_what_has_to_be_known_of_an_answer_stands_in_the_sheet() -> None:
    trace = Trace("m", None, "p", "c", "i", 1, 1, "stop")
    conflict = Conflict("12 feet", Span(1, 0, 7), "d1", "It is 14 feet.", Span(3, 0, 14), "d2", "d2")
    documents = {name: Document(name, f"/shelf/{name}.pdf", name) for name in ("d1", "d2")}
    plain = Answer("?", "12 feet", (), (), (), False, trace)
    memory = replace(plain, origin="memory")
    unsure = replace(plain, text="", abstained=True, withheld="9 miles", confidence=0.2)
    reasons = [
        outcome_of(answer, documents).reason
        for answer in (plain, memory, unsure, replace(plain, conflicts=(conflict,)))
    ]
    assert reasons == [
        "",
        "From the model's memory: the documents hold nothing about this.",
        "Too unsure to answer (confidence 0.20).",
        'd2.pdf p. 3 says otherwise: "It is 14 feet."',
    ]  # fmt: skip
