"""CLEAR: what the confidence of a pair is made of, and how its threshold is chosen on dev pairs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldguide.metrics import token_f1
from fieldguide.models.scripted import ScriptedGenerator
from fieldguide.types import QAPair
from ingest.qa.calls import Calls
from ingest.qa.confidence import (
    BETA,
    Confidence,
    Threshold,
    choose_threshold,
    combine,
    holding_sentence,
    read_verdict,
    swap_answers,
)
from ingest.qa.reader import Asked, Reader

TEXT = "The bridge at Celle was opened on 3 May 1931. It was closed to lorries in 2004."
ASKED = Asked("When was the bridge at Celle opened?", "Celle", TEXT)


def pair(n, answer, chunk="c", document="d", kind="fact"):
    return QAPair(f"p{n}", f"q{n}?", answer, document, chunk, (), kind, "rules", "dev")


def test_the_threshold_lies_where_good_and_bad_part():
    good, bad = [0.9] * 18 + [0.3] * 2, [0.1] * 15 + [0.6] * 5
    assert choose_threshold(good, bad) == Threshold(0.9, 20, 0.95, 0.9, 1.0)
    assert choose_threshold([0.8] * 20, [0.2] * 20) == Threshold(0.8, 20, 1.0, 1.0, 1.0)


def test_of_equal_thresholds_the_lower_one_is_taken():
    good = [0.5] * 10 + [0.7] * 10
    bad = [0.1] * 10 + [0.6] * 10  # at 0.5 and at 0.7 the balanced accuracy is 0.75
    assert choose_threshold(good, bad).value == 0.5


def test_too_few_dev_pairs_drop_nothing_and_say_so():
    found = choose_threshold([0.9] * 19, [0.1] * 30)
    assert (found.value, found.kept, found.caught) == (0.0, 1.0, 0.0)
    assert found.note == "19 dev pairs are too few to choose a confidence (at least 20): none is dropped"


def test_scores_that_tell_nothing_drop_nothing():
    found = choose_threshold([0.4] * 30, [0.4] * 30)
    assert (found.value, found.balanced_accuracy, found.kept) == (0.0, 0.5, 1.0)
    assert found.note == "no confidence tells dev pairs from swapped ones: none is dropped"


UNIT = st.floats(0, 1)


@given(st.lists(UNIT, min_size=20, max_size=40), st.lists(UNIT, min_size=20, max_size=40))
def test_no_other_threshold_is_better(good, bad):
    chosen = choose_threshold(good, bad)
    for value in {0.0, 1.0, *good, *bad}:
        kept, caught = sum(g >= value for g in good) / len(good), sum(b < value for b in bad) / len(bad)
        assert (kept + caught) / 2 <= chosen.balanced_accuracy + 1e-9
    assert chosen.kept + chosen.caught == pytest.approx(2 * chosen.balanced_accuracy)


def test_swaps_come_from_the_chunk_then_the_document_and_keep_the_kind():
    pairs = [
        pair(1, "3 May 1931", "c", "d", "date"),
        pair(2, "rust", "c", "d", "cause"),
        pair(3, "in 2004", "c", "d", "date"),
        pair(4, "Lower Saxony", "e", "d"),
        pair(5, "wheat", "f", "g"),
    ]
    swapped = swap_answers(pairs, 0)
    assert swapped[0] == "in 2004"
    assert swapped[2] == "3 May 1931"
    assert swapped[1] in ("3 May 1931", "in 2004")
    assert swapped[3] in ("3 May 1931", "rust", "in 2004")
    assert swapped[4] in ("Lower Saxony",)
    assert swapped == swap_answers(pairs, 0)


def test_an_answer_without_any_other_is_not_swapped():
    assert swap_answers([pair(1, "the bridge"), pair(2, "The bridge.")], 0) == ["", ""]


@given(
    st.lists(st.sampled_from(["red", "blue cow", "3 May", "a red cow", "no"]), min_size=2, max_size=12),
    st.integers(0, 5),
)
def test_a_swapped_answer_is_another_answer(answers, seed):
    for old, new in zip(answers, swap_answers([pair(n, a) for n, a in enumerate(answers)], seed), strict=True):
        assert new == "" or token_f1(old, new) < 0.3


def test_consistency_is_the_share_of_samples_that_agree():
    def reply(prompt, adapter):
        generator.turn = getattr(generator, "turn", 0) + 1
        return "3 May 1931" if generator.turn <= 3 else "Hamburg\n"

    generator = ScriptedGenerator(reply)
    confidence = Confidence(Reader(Calls(generator)), samples=4)
    # a scripted sample ends in its seed ("3 May 1931 #2"), which containment forgives
    assert confidence.consistency([ASKED], ["3 May 1931"]) == pytest.approx([0.75])


def test_the_model_is_asked_whether_the_answer_is_correct():
    def reply(prompt, adapter):
        if "Proposed answer: 3 May 1931" in prompt[-1].content:
            return "(A)"
        return "(B)" if "Proposed answer" in prompt[-1].content else "3 May 1931"

    confidence = Confidence(Reader(Calls(ScriptedGenerator(reply))), samples=2)
    assert confidence.reflection([ASKED, ASKED], ["3 May 1931", "2004"]) == [1.0, 0.0]
    assert confidence.scores([ASKED, ASKED], ["3 May 1931", "2004"]) == pytest.approx([1.0, 0.0])


def test_an_adapter_reads_again_from_the_sentence_alone(tmp_path):
    (tmp_path / "adapter_model.safetensors").write_bytes(b"weights")
    generator = ScriptedGenerator(lambda p, a: "3 May 1931" if "3 May" in p[-1].content else "not in the text")
    confidence = Confidence(Reader(Calls(generator), generator.load_adapter(tmp_path)))
    assert confidence.reflection([ASKED, ASKED], ["3 May 1931", "2004"]) == [1.0, 0.0]
    shown = [prompt[-1].content for prompt, _ in generator.calls]
    assert "lorries" not in shown[0]
    assert "1931" not in shown[1]


def test_yes_and_no_are_beyond_an_adapter_and_stay(tmp_path):
    (tmp_path / "adapter_model.safetensors").write_bytes(b"weights")
    generator = ScriptedGenerator(["3 May 1931"])
    confidence = Confidence(Reader(Calls(generator), generator.load_adapter(tmp_path)), samples=1)
    assert confidence.scores([ASKED, ASKED], ["yes", "2004"]) == [1.0, 0.0]
    assert confidence.choose([pair(n, "no") for n in range(40)], [ASKED] * 40).note.startswith("0 dev pairs")


def test_the_sentence_that_holds_the_answer():
    assert holding_sentence(ASKED, "2004") == "It was closed to lorries in 2004."
    assert holding_sentence(ASKED, "the bridge").startswith("The bridge at Celle was opened")
    assert holding_sentence(ASKED, "Hamburg") == TEXT


@pytest.mark.parametrize(
    ("reply", "score"),
    [("(A)", 1.0), ("B", 0.0), ("C.", 0.5), ("It is correct", 1.0), ("Incorrect.", 0.0), ("who knows", 0.5), ("", 0.5)],
)
def test_verdicts(reply, score):
    assert read_verdict(reply) == score


def test_choosing_on_dev_pairs_with_swapped_answers():
    asked = [Asked(f"q{n}?", "d", f"The code of q{n} is x{n}.") for n in range(24)]

    def reply(prompt, adapter):
        text = prompt[-1].content
        code = text.split("is x")[1].split(".")[0]
        if "Proposed answer" in text:
            return "A" if f"Proposed answer: x{code}\n" in text else "B"
        return f"x{code}\n"

    confidence = Confidence(Reader(Calls(ScriptedGenerator(reply))), samples=2)
    pairs = [pair(n, f"x{n}") for n in range(24)]
    assert confidence.choose(pairs, asked) == Threshold(pytest.approx(1.0), 24, 1.0, 1.0, 1.0)
    assert confidence.choose(pairs[:5], asked[:5]).note.startswith("5 dev pairs are too few")


def test_the_weights_are_those_of_the_paper():
    assert combine(1.0, 0.0) == BETA == 0.7
    assert combine(0.5, 1.0) == pytest.approx(0.65)
