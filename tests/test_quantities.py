import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldguide.quantities import Quantity, numeric_match, quantities


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("12 feet and 3.5 in", [Quantity(12, 1, "feet"), Quantity(3.5, 1, "in")]),
        ("$1,577.00", [Quantity(1577, 1, "$")]),
        ("$1.5 billion", [Quantity(1.5, 1e9, "$")]),
        ("a loss of (1,200)", [Quantity(-1200, 1, "")]),
        ("10-12 gallons", [Quantity(10, 1, ""), Quantity(12, 1, "gallons")]),
        ("-5 %", [Quantity(-5, 1, "%")]),
        ("two to four inches of water", [Quantity(2, 1, ""), Quantity(4, 1, "inches")]),
        ("in 2023 it rained", [Quantity(2023, 1, "")]),
        ("75 °F", [Quantity(75, 1, "°f")]),
        ("someone, often", []),
        ("a 250-foot pivot", [Quantity(250, 1, "foot")]),
    ],
)
def test_numbers_with_their_units(text: str, found: list[Quantity]) -> None:
    assert quantities(text) == found


@pytest.mark.parametrize(
    ("said", "wanted", "score"),
    [
        ("It is 12 feet long.", "12 feet", 1.0),
        ("3.66 m", "12 feet", 1.0),
        ("12", "12 feet", 1.0),
        ("12 inches", "12 feet", 0.0),
        ("5", "35", 0.0),
        ("0.08", "8%", 1.0),
        ("8 percent", "8%", 1.0),
        ("8 acres", "8%", 0.0),
        ("$1,577 million", "$1577.00", 1.0),
        ("1.577 billion dollars", "$1,577 million", 1.0),
        ("$1,577 thousand", "$1,577 million", 0.0),
        ("23.9 °C", "75 °F", 1.0),
        ("2 inches", "two to four inches", 0.0),
        ("between 2 and 4 inches", "two to four inches", 1.0),
        ("65.4%", "65.2%", 1.0),
        ("66%", "65%", 0.0),
        ("many", "12", 0.0),
    ],
)
def test_an_answer_states_the_numbers(said: str, wanted: str, score: float) -> None:
    assert numeric_match(said, wanted) == score


def test_it_does_not_apply_where_no_number_is_wanted() -> None:
    assert numeric_match("12 feet", "the wing") is None
    assert numeric_match("12 feet", ["the wing", "12 ft"]) == 1.0


def test_of_several_references_the_best_counts() -> None:
    assert numeric_match("13 feet", ["12 feet", "13 feet"]) == 1.0


@settings(deadline=None)
@given(st.integers(0, 10**9), st.sampled_from(["feet", "%", "kg", "$", ""]))
def test_every_number_matches_itself_however_it_is_written(number: int, unit: str) -> None:
    plain, grouped = f"{number} {unit}", f"It was {number:,} {unit} then"
    assert numeric_match(plain, grouped) == numeric_match(grouped, plain) == 1.0


@settings(deadline=None)
@given(st.text(max_size=60))
def test_any_text_can_be_read(text: str) -> None:
    assert numeric_match(text, text) in (None, 1.0)
