import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eval.calibration import calibrate, cohens_kappa, majority
from eval.judge import Judge, Pair, parse_grade, parse_preference, parse_rating
from fieldguide.models.scripted import ScriptedGenerator

PAIR = Pair("How long?", "12 feet", "long")


def better(wanted):
    """A judge that finds one text better wherever it stands."""

    def reply(prompt, adapter):
        first = prompt[-1].content.partition("Answer A:\n")[2].partition("\n")[0]
        return "A" if first == wanted else "B"

    return ScriptedGenerator(reply)


@pytest.mark.parametrize(
    ("reply", "said"),
    [("A", "first"), ("b.", "second"), ("Tie", "tie"), ("The better answer is B", "second"), ("**A**", "first"),
     ("Answer A: 12 feet", "first"), ("Both are good", "tie"), ("As a judge", None), ("", None), ("12 feet", None),
     ("banana", None), ("A man is better", None)],
)  # fmt: skip
def test_a_preference_is_parsed_strictly(reply, said):
    assert parse_preference(reply) == said


@pytest.mark.parametrize(
    ("reply", "said"), [("Correct.", "correct"), ("partially", "partly"), ("incorrect", "wrong"), ("It depends", None)]
)
def test_a_grade_is_parsed_strictly(reply, said):
    assert parse_grade(reply) == said


@pytest.mark.parametrize(("reply", "said"), [("4", 4), ("Rating: 5", 5), ("10", None), ("4.5", None), ("six", None)])
def test_a_rating_is_parsed_strictly(reply, said):
    assert parse_rating(reply) == said


@settings(deadline=None)
@given(st.text(max_size=40))
def test_any_reply_is_parsed_or_none(reply):
    assert parse_preference(reply) in ("first", "second", "tie", None)
    assert parse_rating(reply) in (1, 2, 3, 4, 5, None)


def test_a_judge_that_sees_the_better_answer_says_so_in_both_orders():
    judged = Judge(better("12 feet")).compare([PAIR, Pair("How long?", "long", "12 feet")])
    assert [j.verdict for j in judged] == ["first", "second"]
    assert not any(j.flipped for j in judged)


def test_a_judge_that_prefers_a_place_says_tie_and_is_found_out():
    [judged] = Judge(ScriptedGenerator(["A"])).compare([PAIR])
    assert (judged.verdict, judged.flipped, judged.orders) == ("tie", True, ("first", "second"))
    [once] = Judge(ScriptedGenerator(["A"])).compare([PAIR], both_orders=False)
    assert once.verdict == "first"


def test_garbage_is_asked_again_so_often_and_then_none():
    generator = ScriptedGenerator(["garbage"])
    [judged] = Judge(generator, retries=2).compare([PAIR])
    assert (judged.verdict, judged.flipped) == (None, False)
    assert len(generator.calls) == 2 * 3
    recovering = ScriptedGenerator(["garbage", "garbage", "A", "B"])
    assert [j.verdict for j in Judge(recovering, retries=1).compare([PAIR])] == ["first"]


def test_an_answer_is_graded_against_its_reference_and_nothing_is_wrong_without_asking():
    generator = ScriptedGenerator(["correct"])
    assert Judge(generator).grade(["Q", "Q"], ["R", "R"], ["12 feet", " "]) == ["correct", "wrong"]
    assert len(generator.calls) == 1
    assert "R" in generator.calls[0][0][-1].content


def test_braces_in_an_answer_stay_what_they_are():
    generator = ScriptedGenerator(["A"])
    Judge(generator).compare([Pair("{reference}", "{first}", "{question}", "{second}")])
    shown = generator.calls[0][0][-1].content
    assert "Answer A:\n{first}" in shown
    assert "to compare with:\n{second}" in shown


def test_ratings_show_the_passages():
    generator = ScriptedGenerator(["3"])
    assert Judge(generator).rate("groundedness", ["Q"], ["A"], ["The wing is 12 feet."]) == [3]
    assert "The wing is 12 feet." in generator.calls[0][0][-1].content
    with pytest.raises(KeyError):
        Judge(generator).rate("beauty", ["Q"], ["A"])


def test_calibration_counts_what_was_not_parsed_apart():
    found = calibrate(["a", "b", None, "a"], ["a", "a", "a", "a"], [True, False, False, False])
    assert found.agreement.mean == pytest.approx(2 / 3)
    assert (found.unparsed, found.flip_rate, found.n) == (0.25, 0.25, 4)
    assert calibrate([None], ["a"]).agreement is None
    with pytest.raises(ValueError, match="equally many"):
        calibrate(["a"], [])


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("abc")), min_size=1, max_size=30))
def test_kappa_equals_scikit_learns(pairs):
    from sklearn.metrics import cohen_kappa_score

    a, b = zip(*pairs, strict=True)
    if len({*a, *b}) > 1:
        assert cohens_kappa(a, b) == pytest.approx(cohen_kappa_score(a, b))
    else:
        assert cohens_kappa(a, b) == 1.0


def test_majority():
    assert majority([1, 1, 2], 0) == 1
    assert majority([1, 2, 0], 0) == 0
    assert majority([1, 2], 0) == 0
