import pytest

from eval.verdict import questions_needed, verdict


def arms(**means: float):
    names = {"base": "base", "base_rag": "base+RAG", "tuned": "tuned", "tuned_rag": "tuned+RAG"}
    return [
        {"name": names[key], "metrics": {"token_f1": {"mean": mean, "low": mean - 0.05, "high": mean + 0.05, "n": 60}}}
        for key, mean in means.items()
    ]


def gap(a: str, b: str, mean: float, low: float, high: float, n: int = 60, *, clear: bool | None = None):
    clear = (low > 0 or high < 0) if clear is None else clear
    return {"a": a, "b": b, "metric": "token_f1", "mean": mean, "low": low, "high": high, "n": n, "clear": clear}


FOUR = arms(base=0.2, base_rag=0.4, tuned=0.3, tuned_rag=0.452)
RETRIEVAL = gap("base+RAG", "base", 0.2, 0.15, 0.25)
OVER_BASE = gap("tuned+RAG", "base", 0.252, 0.2, 0.3)


def test_adapter_pays() -> None:
    kind, words = verdict([gap("tuned+RAG", "base+RAG", 0.052, 0.011, 0.09), RETRIEVAL, OVER_BASE], FOUR)
    assert kind == "tuned_rag"
    assert words == (
        "On these questions tuned + RAG is better than base + RAG by 5.2 F1 points "
        "(95% interval 1.1 to 9.0, 60 questions). "
        "Retrieval pays off: it adds 20.0 F1 points to the base model (95% interval 15.0 to 25.0, 60 questions). "
        "The best arm is tuned + RAG with 45.2 F1 points: serve it."
    )


def test_the_order_of_a_difference_does_not_matter() -> None:
    rows = [gap("tuned+RAG", "base+RAG", 0.052, 0.011, 0.09), RETRIEVAL]
    turned = [gap("base+RAG", "tuned+RAG", -0.052, -0.09, -0.011), gap("base", "base+RAG", -0.2, -0.25, -0.15)]
    assert verdict(turned, FOUR) == verdict(rows, FOUR)


def test_other_metrics_are_not_read() -> None:
    other = {**gap("tuned+RAG", "base+RAG", -0.5, -0.6, -0.4), "metric": "rouge_l"}
    rows = [gap("tuned+RAG", "base+RAG", 0.052, 0.011, 0.09), RETRIEVAL]
    assert verdict([other, *rows], FOUR) == verdict(rows, FOUR)


def test_not_enough_evidence() -> None:
    kind, words = verdict([gap("tuned+RAG", "base+RAG", 0.052, -0.05, 0.154), RETRIEVAL], FOUR)
    assert kind == "undecided"
    assert "not enough evidence to tell tuned + RAG from base + RAG" in words
    assert "95% interval −5.0 to 15.4, 60 questions" in words
    assert "about 660 more questions" in words
    assert "rough" in words
    assert words.endswith("that is not evidence enough; until it is, serve base + RAG.")


def test_no_difference_visible() -> None:
    kind, words = verdict([gap("tuned+RAG", "base+RAG", 0.001, -0.05, 0.05), RETRIEVAL], FOUR)
    assert kind == "undecided"
    assert "No difference between tuned + RAG and base + RAG is visible (95% interval −5.0 to 5.0" in words
    assert "more questions" not in words


def test_adapter_harms() -> None:
    rows = [gap("tuned+RAG", "base+RAG", -0.1, -0.15, -0.05), RETRIEVAL]
    kind, words = verdict(rows, arms(base=0.2, base_rag=0.4, tuned=0.2, tuned_rag=0.3))
    assert kind == "base_rag"
    assert "tuned + RAG is worse than base + RAG by 10.0 F1 points (95% interval −15.0 to −5.0" in words
    assert "Do not serve the adapter" in words
    assert words.endswith("The best arm is base + RAG with 40.0 F1 points: serve it.")


def test_too_few_documents() -> None:
    rows = [gap("tuned+RAG", "base+RAG", 0.052, 0.011, 0.09, clear=False), RETRIEVAL]
    kind, words = verdict(rows, FOUR)
    assert kind == "undecided"
    assert "not enough evidence" in words
    assert "Ask about more documents." in words


def test_nothing_tuned() -> None:
    kind, words = verdict([RETRIEVAL], arms(base=0.2, base_rag=0.4))
    assert kind == "base_rag"
    assert "adapter" not in words
    assert words.startswith("Retrieval pays off")
    kind, words = verdict([gap("base+RAG", "base", 0.02, -0.1, 0.14)], arms(base=0.2, base_rag=0.22))
    assert kind == "undecided"
    assert words.startswith("Whether retrieval pays off for the base model is not clear: the difference is 2.0")
    assert "adapter" not in words


def test_retrieval_harms() -> None:
    kind, words = verdict([gap("base+RAG", "base", -0.2, -0.3, -0.1)], arms(base=0.4, base_rag=0.2))
    assert kind == "base"
    assert "Retrieval does harm: it costs the base model 20.0 F1 points" in words


@pytest.mark.parametrize("against_tuned_rag", [0.1, -0.02])
def test_tuned_alone(against_tuned_rag: float) -> None:
    four = arms(base=0.2, base_rag=0.3, tuned=0.5, tuned_rag=0.4)
    rows = [
        gap("tuned+RAG", "base+RAG", 0.1, 0.05, 0.15),
        gap("tuned", "base", 0.3, 0.2, 0.4),
        gap("tuned", "base+RAG", 0.2, 0.1, 0.3),
        gap("tuned+RAG", "tuned", -0.1, -0.2, -against_tuned_rag / 2),
    ]
    kind, words = verdict(rows, four)
    if against_tuned_rag > 0:
        assert kind == "tuned"
        assert words.endswith("The best arm is tuned with 50.0 F1 points: serve it.")
    else:  # ahead of tuned + RAG, but not clearly, and tuned + RAG has proved itself
        assert kind == "undecided"
        assert words.endswith("until it is, serve tuned + RAG, which has proved itself against base + RAG.")


@pytest.mark.parametrize("against_base_rag", [[], [gap("tuned", "base+RAG", 0.01, -0.05, 0.07)]])
def test_an_unproven_adapter_is_never_recommended(against_base_rag) -> None:
    four = arms(base=0.2, base_rag=0.49, tuned=0.5, tuned_rag=0.4)
    rows = [gap("tuned+RAG", "tuned", -0.1, -0.2, -0.05), gap("tuned", "base", 0.3, 0.2, 0.4), *against_base_rag]
    kind, words = verdict(rows, four)
    assert kind == "undecided"
    assert words.endswith("do not serve an adapter.")


def test_of_equal_means_the_simpler_arm_is_best() -> None:
    _, words = verdict([], arms(tuned_rag=0.4, base_rag=0.4, base=0.4))
    assert "that of base," in words


def test_nothing_measured() -> None:
    empty = [{"name": "base", "metrics": {"token_f1": {"mean": None, "low": None, "high": None, "n": 0}}}]
    for nothing in ([], empty):
        assert verdict([], nothing)[0] == "undecided"


@pytest.mark.parametrize(
    ("mean", "half", "n", "needed"),
    [
        (0.05, 0.1, 100, "1,200"),  # half as wide as 1.76 times the mean has to be: twelve times as many
        (-0.05, 0.1, 100, "1,200"),
        (0.05, 0.02, 100, "10"),
        (0.01, 0.05, 50, "3,900"),
        (0.006, 0.3, 50, "more than 10,000"),
        (0.004, 0.1, 50, None),
        (0.0, 0.0, 50, None),
    ],
)
def test_questions_needed(mean: float, half: float, n: int, needed: str | None) -> None:
    assert questions_needed({"mean": mean, "low": mean - half, "high": mean + half, "n": n}) == needed
