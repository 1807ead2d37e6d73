import re
import string
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer
from sacrebleu.metrics import CHRF

from fieldguide.metrics import chrf, containment, exact_match, normalise_answer, rouge_l, token_f1

METRICS = [exact_match, token_f1, rouge_l, chrf, containment]

# Words that often meet, articles, punctuation and anything else that Unicode holds.
TEXTS = st.lists(
    st.sampled_from(["the", "a", "An", "cat", "Cats", "sat", "12,500", "3.5", "l'avion", "...", "U.S.", "“so”", "é"])
    | st.text(max_size=5),
    max_size=8,
).map(" ".join)


def squad_normalise(text: str) -> str:
    """The normalisation of SQuAD's evaluate-v2.0.py, step by step."""
    lowered = text.lower()
    without_punctuation = "".join(char for char in lowered if char not in set(string.punctuation))
    without_articles = re.sub(re.compile(r"\b(a|an|the)\b", re.UNICODE), " ", without_punctuation)
    return " ".join(without_articles.split())


def squad_f1(gold: str, predicted: str) -> float:
    gold_tokens = squad_normalise(gold).split() if gold else []
    predicted_tokens = squad_normalise(predicted).split() if predicted else []
    same = sum((Counter(gold_tokens) & Counter(predicted_tokens)).values())
    if len(gold_tokens) == 0 or len(predicted_tokens) == 0:
        return float(gold_tokens == predicted_tokens)
    if same == 0:
        return 0.0
    precision, recall = same / len(predicted_tokens), same / len(gold_tokens)
    return 2 * precision * recall / (precision + recall)


@pytest.mark.parametrize(
    ("text", "normalised"),
    [
        ("  The  Cat, sat.\n", "cat sat"),
        ("An apple a day", "apple day"),
        ("theatre", "theatre"),
        ("12,500 ft", "12500 ft"),
        ("U.S.-made", "usmade"),
        ("the", ""),
        ("", ""),
    ],
)
def test_normalise_answer(text: str, normalised: str) -> None:
    assert normalise_answer(text) == normalised


@pytest.mark.parametrize(
    ("prediction", "reference", "em", "f1", "rouge", "contained"),
    [
        ("The cat sat.", "cat sat", 1, 1, 0.8, 1),  # rouge-score keeps "the": 2 of 3 and 2 of 2 words
        ("the cat sat on a mat", "cat sat", 0, 2 * 2 / (4 + 2), 2 * 2 / (6 + 2), 1),
        ("sat cat", "cat sat", 0, 1, 0.5, 0),
        ("concatenate", "cat", 0, 0, 0, 0),
        ("35 knots", "5 knots", 0, 0.5, 0.5, 0),
        ("cat cat", "cat", 0, 2 / 3, 2 / 3, 1),
        ("", "cat", 0, 0, 0, 0),
        ("cat", "", 0, 0, 0, 0),
        ("", "", 1, 1, 1, 1),
        ("...", "", 1, 1, 1, 1),
    ],
)
def test_values(prediction: str, reference: str, em: float, f1: float, rouge: float, contained: float) -> None:
    assert exact_match(prediction, reference) == em
    assert token_f1(prediction, reference) == pytest.approx(f1)
    assert rouge_l(prediction, reference) == pytest.approx(rouge)
    assert containment(prediction, reference) == contained


@pytest.mark.parametrize("metric", METRICS)
def test_best_of_several_references(metric) -> None:
    references = ["a dog", "the cat sat", "nothing"]
    assert metric("cat sat", references) == max(metric("cat sat", reference) for reference in references)
    assert metric("cat sat", tuple(references)) == metric("cat sat", references)
    assert metric("cat sat", ["cat sat"]) == 1


@pytest.mark.parametrize("metric", METRICS)
def test_no_reference_is_an_error(metric) -> None:
    with pytest.raises(ValueError, match="at least one reference"):
        metric("cat", [])


@pytest.mark.parametrize("metric", METRICS)
@given(prediction=TEXTS, references=st.lists(TEXTS, min_size=1, max_size=3))
def test_range(metric, prediction: str, references: list[str]) -> None:
    assert 0 <= metric(prediction, references) <= 1


@pytest.mark.parametrize("metric", [exact_match, token_f1, containment])
@given(text=TEXTS)
def test_identity(metric, text: str) -> None:
    assert metric(text, text) == 1


@given(text=TEXTS)
def test_rouge_identity_where_it_reads_anything(text: str) -> None:
    readable = re.search("[a-z0-9]", text.lower()) or not normalise_answer(text)
    assert rouge_l(text, text) == (1 if readable else 0)


@given(text=TEXTS)
def test_normalising_twice_changes_nothing_more(text: str) -> None:
    once = normalise_answer(text)
    assert normalise_answer(once).split() == [word for word in once.split() if word not in {"a", "an", "the"}]


@given(a=TEXTS, b=TEXTS)
def test_symmetry(a: str, b: str) -> None:
    assert token_f1(a, b) == token_f1(b, a)
    assert exact_match(a, b) == exact_match(b, a)


@given(a=TEXTS, b=TEXTS)
def test_exact_match_implies_the_others(a: str, b: str) -> None:
    if exact_match(a, b):
        assert token_f1(a, b) == containment(a, b) == 1


@given(prediction=TEXTS, reference=TEXTS)
def test_agrees_with_squad(prediction: str, reference: str) -> None:
    assert normalise_answer(prediction) == squad_normalise(prediction)
    assert exact_match(prediction, reference) == float(squad_normalise(prediction) == squad_normalise(reference))
    assert token_f1(prediction, reference) == pytest.approx(squad_f1(reference, prediction))


@given(prediction=TEXTS, reference=TEXTS)
def test_agrees_with_rouge_score(prediction: str, reference: str) -> None:
    if normalise_answer(prediction) or normalise_answer(reference):
        wanted = RougeScorer(["rougeL"], use_stemmer=False).score(reference, prediction)["rougeL"].fmeasure
        assert rouge_l(prediction, reference) == wanted


@given(prediction=TEXTS, references=st.lists(TEXTS, min_size=1, max_size=3))
def test_agrees_with_sacrebleu(prediction: str, references: list[str]) -> None:
    """Several references: the library takes the best of them as well."""
    if prediction.strip() and all(reference.strip() for reference in references):
        assert chrf(prediction, references) == pytest.approx(CHRF().sentence_score(prediction, references).score / 100)


def test_chrf_reads_what_rouge_does_not() -> None:
    assert chrf("Bewässerungen", "Bewässerung") > 0.8
    assert chrf("", "") == chrf("灌溉", "灌溉") == 1
    assert chrf("", "灌溉") == 0


@given(st.lists(st.sampled_from(["wing", "fuel", "crew", "gear"]), min_size=1, max_size=6),
       st.lists(st.sampled_from(["wing", "fuel", "crew", "gear"]), min_size=1, max_size=6))  # fmt: skip
def test_token_f1_is_scikit_learns_f1_over_the_words(said: list[str], wanted: list[str]) -> None:
    """Each word's occurrences up to the shared number are hits; the rest is false, or missed."""
    from sklearn.metrics import f1_score

    truth, guess = [], []
    for word in {*said, *wanted}:
        a, b = said.count(word), wanted.count(word)
        truth += [1] * b + [0] * max(0, a - b)
        guess += [1] * min(a, b) + [0] * max(0, b - a) + [1] * max(0, a - b)
    assert token_f1(" ".join(said), " ".join(wanted)) == pytest.approx(f1_score(truth, guess))
