from typing import Any

import pytest

from eval.failures import CAUSES, cause, is_right, table
from fieldguide.metrics import containment, token_f1
from fieldguide.quantities import numeric_match

PAGE = "The heron wing is 12 feet long. The heron crew was 4 people."
GOLD = ("heron.pdf", [1])


def passage(text: str, source: str = "heron.pdf", page: int = 1) -> dict[str, Any]:
    return {"source": source, "pages": [page], "text": text, "score": 1.0}


def answer(
    text: str, passages: list[dict[str, Any]], cites: list[tuple[str, int]] | None = None, *, unsupported: bool = False
) -> dict[str, Any]:
    citations = [{"source": source, "page": page} for source, page in cites or []]
    return {
        "text": text, "abstained": not text, "citations": citations, "unsupported": [text] * unsupported,
        "passages": passages,
    }  # fmt: skip


RIGHT, WRONG = passage("The heron wing is 12 feet long."), passage("The ibis wing is 31 feet.", "ibis.pdf")


@pytest.mark.parametrize(
    ("found", "given"),
    [
        ("not retrieved", answer("31 feet", [WRONG], [("ibis.pdf", 1)])),
        ("refused though present", answer("", [WRONG, RIGHT])),
        ("not supported", answer("90 miles", [RIGHT], unsupported=True)),
        ("not used", answer("31 feet", [RIGHT, WRONG], [("ibis.pdf", 1)])),
        ("used but wrong", answer("long", [RIGHT, WRONG], [("heron.pdf", 1)])),
    ],
)
def test_each_cause(found: str, given: dict[str, Any]) -> None:
    assert cause(["12 feet"], GOLD, PAGE, given) == found


def test_a_page_without_text_comes_first() -> None:
    assert cause(["12 feet"], GOLD, " \n", answer("31 feet", [WRONG])) == "page not read"


def test_a_reference_that_its_page_does_not_hold_is_judged_by_the_page() -> None:
    said = answer("12 feet", [RIGHT], [("heron.pdf", 1)])
    assert cause(["thirteen yards"], GOLD, PAGE, said) == "reference doubtful"
    assert cause(["thirteen yards"], GOLD, PAGE, answer("31 feet", [WRONG], [("ibis.pdf", 1)])) == "not retrieved"
    assert cause(["thirteen yards"], GOLD, PAGE, answer("", [RIGHT])) == "refused though present"


def test_without_a_known_page_the_words_decide() -> None:
    assert cause(["12 feet"], None, None, answer("", [RIGHT])) == "refused though present"
    assert cause(["12 feet"], None, None, answer("31 feet", [WRONG], [("ibis.pdf", 1)])) == "not retrieved"


def test_what_mending_would_bring() -> None:
    rows = table([None, None, "not retrieved", "refused though present"], [1.0, 0.6, 0.1, 0.0])
    assert [row["cause"] for row in rows] == ["not retrieved", "refused though present"]
    usual = (1.0 + 0.6 + 0.0) / 3
    assert rows[0]["brings"] == pytest.approx((usual - 0.1) / 4)
    assert (rows[1]["n"], rows[1]["share"], rows[1]["brings"]) == (1, 0.25, 0.25)
    assert all(row["advice"] == CAUSES[row["cause"]][1] for row in rows)
    assert table([None], [1.0]) == []


def test_right_is_half_the_words_or_the_whole_reference() -> None:
    assert is_right({"token_f1": 0.5, "containment": 0.0})
    assert is_right({"token_f1": 0.1, "containment": 1.0})
    assert not is_right({"token_f1": 0.4, "containment": 0.0})


@pytest.mark.parametrize(
    ("answer", "reference", "right"),
    [
        ("60 ft", "5,194 ft", False),
        ("5194 ft", "5,194 ft", True),
        ("the north wing", "north wing", True),
        ("a", "b", False),
    ],
)
def test_an_answer_with_other_numbers_is_not_right(answer: str, reference: str, right: bool) -> None:
    score = {"token_f1": token_f1(answer, reference), "containment": containment(answer, reference),
             "numeric": numeric_match(answer, reference)}  # fmt: skip
    assert is_right(score) is right
