"""Questions from tables: what is asked of made-up tables and with which answer, and what is refused and why."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldguide.types import PAGE_BREAK, Chunk, Span
from ingest.qa.drafts import Rejection
from ingest.qa.rule_reading import Reading, heading_name, in_sentence, is_plural, readable_name
from ingest.qa.rule_table_rows import bare, read_tables
from ingest.qa.rule_table_wordings import when
from ingest.qa.rule_tables import table_candidates

TABLE = "the table “Table 3. Results of the dairy” of the yearbook"
REVIEW = "“Financial review” in the yearbook"
SALES = """Table 3. Results of the dairy (in millions of dollars)

Item | 2023 | 2022 | 2021
Net sales | 2023: 14,694 | 2022: 14,544 | 2021: 12,861
Research and development expense | 2023: 101 | 2022: 100 | 2021: 96
Restructuring costs | 2023: — | 2022: 234 | 2021: (96)
Gross margin | 2023: 18.5% | 2022: 19.4% | 2021: 21.2%
"""


def chunk(text: str, heading: tuple[str, ...] = ("Financial review",), n: int = 0, context: str = "") -> Chunk:
    return Chunk(f"c{n}", "doc", (Span(1 + n, 0, len(text)),), text, heading, context)


def asked(*texts: str, heading: tuple[str, ...] = ("Financial review",)) -> dict[str, str]:
    """Questions with their answers, the document being called "the yearbook"."""
    chunks = [chunk(text, heading, n) for n, text in enumerate(texts)]
    return {
        template.replace("{d}", "the yearbook"): one.answer
        for here in table_candidates(chunks)
        for one in here
        if isinstance(one, Reading)
        for template in one.templates
    }


def refused(*texts: str) -> set[tuple[str, str]]:
    chunks = [chunk(text, n=n) for n, text in enumerate(texts)]
    return {(x.reason, x.detail) for here in table_candidates(chunks) for x in here if isinstance(x, Rejection)}


def reasons(*texts: str) -> set[str]:
    return {reason for reason, _ in refused(*texts)}


def test_a_cell_is_asked_for_by_row_year_unit_and_caption():
    got = asked(SALES)
    assert got[f"According to {TABLE}, what were the net sales in 2022, in millions of dollars?"] == "14,544"
    assert (
        got[f"What was the research and development expense in 2023, in millions of dollars, according to {TABLE}?"]
        == "101"
    )
    assert (
        got[f"What amount, in millions of dollars, is given for the restructuring costs in 2021 in {TABLE}?"] == "(96)"
    )


def test_a_percentage_has_no_unit():
    assert asked(SALES)[f"What percentage is given for the gross margin in 2021 in {TABLE}?"] == "21.2%"


def test_an_empty_cell_is_refused():
    assert ("cell is empty or a placeholder", "Restructuring costs | 2023: —") in refused(SALES)


def test_the_quote_of_a_cell_is_its_row_and_its_evidence_has_its_page():
    here = chunk(SALES, n=4)
    found = [one for one in table_candidates([here])[0] if isinstance(one, Reading)]
    one = next(one for one in found if one.kind == "table lookup" and one.answer == "14,544")
    assert one.quote(here) == "Net sales | 2023: 14,694 | 2022: 14,544 | 2021: 12,861"
    (evidence,) = one.evidence(here)
    start = SALES.index("Net sales")
    assert evidence.spans == (Span(5, start, start + len(one.quote(here))),)
    assert evidence.quote == one.quote(here)
    assert one.level == "explicit fact"


def test_the_highest_of_three_years_and_the_higher_of_two_rows_are_asked_for():
    got = asked(SALES)
    assert got[f"In which of the three years given in {TABLE} was the gross margin highest?"] == "2021"
    assert got[f"In which of the three years given in {TABLE} were the net sales highest?"] == "2023"
    two = "Costs\n\nMilk costs | 2023: $12 | 2022: $14\nFeed costs | 2023: $9 | 2022: $20\n"
    got = asked(two)
    assert got[f"According to {REVIEW}, were the milk costs higher in 2022 or in 2023?"] == "2022"
    assert got[f"According to {REVIEW}, which was higher in 2023: the milk costs or the feed costs?"] == "Milk costs"


def test_a_comparison_rests_on_its_rows_and_joins_facts():
    two = "Milk costs | 2023: $12 | 2022: $14\nFeed costs | 2023: $9 | 2022: $20\n"
    here = chunk(two)
    found = [x for x in table_candidates([here])[0] if isinstance(x, Reading) and " / " in x.label]
    assert [one.quote(here) for one in found] == [two.strip()]
    assert found[0].level == "implicit fact"


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ("Net loss | 2023: (5) | 2022: 3\nNet cost | 2023: 4 | 2022: 3\n", "figures are not comparable"),
        ("Net cost | 2023: 3% | 2022: 3\nOld cost | 2023: 4 | 2022: 3\n", "figures are not comparable"),
        ("Net cost | 2023: 3 | 2022: 3\nOld cost | 2023: 4 | 2022: 1\n", "figures are alike"),
        ("Net cost | 2023: 3 | 2022: 4\nTotal | 2023: 3 | 2022: 4\n", "row label is too general"),
        ("Net cost | 2023: 3 | 2022: 4\nNet cost | 2023: 5 | 2022: 6\n", "row label is not unique in its table"),
        ("Net cost | 2023: 3 | 2023: 4\nOld cost | 2023: 5 | 2023: 6\n", "column name is not unique"),
        ("Net cost | 2023: 3 | 7\nOld cost | 2023: 5 | 8\n", "row has a cell without a column"),
        ("and other costs | 2023: 3 | 2022: 7\nOld cost | 2023: 5 | 2022: 8\n", "row label is cut"),
        ("2023: 3 | 2022: 7\nOld cost | 2023: 5 | 2022: 8\nNew cost | 2023: 5 | 2022: 9\n", "row has no label"),
        (
            "Net cost | Q1 Amount: 3 | Q2 Amount: 4\nOld cost | Q1 Amount: 5 | Q2 Amount: 6\n",
            "column is a period without its year",
        ),
        (
            "Net cost | 2021: 3 | Pension 2020: 4\nOld cost | 2021: 5 | Pension 2020: 6\n",
            "column name is a merged header",
        ),
        ("Net rate | 2021: 3.1% | 2020: 4.5\nOld rate | 2021: 3.2% | 2020: 4.1\n", "unit is not clear"),
        ("Net cost | Growth: 3.1% | Weight: 4\nOld cost | Growth: 5.2% | Weight: 6\n", "unit is not clear"),
        ("Methods | Page: 31\nResults of 2022 | Page: 45\n", "column asks for nothing"),
        ("Europe | 2023: 3 | 2022: 7\nAsia | 2023: 5 | 2022: 8\n", "what is measured is not clear"),
        ("Pump A | Owner: the\nPump B | Owner: the firm of\n", "row is cut"),
        ("Net cost ............ | Shop: 33\nOld cost | Shop: 35\n", "row label is not clean"),
        ("Net cost | Shop: 33\nOld cost | Other: 35\n", "column name is not sure"),
    ],
)
def test_what_cannot_be_relied_on_is_refused(rows: str, reason: str):
    assert reason in reasons(rows)


def test_a_label_with_several_values_in_the_document_is_not_asked_about():
    north = "North\n\nMilk costs | 2023: 12 | 2022: 14\nFeed costs | 2023: 9 | 2022: 20\n"
    south = "South\n\nMilk costs | 2023: 13 | 2022: 14\nSeed costs | 2023: 9 | 2022: 20\n"
    got = asked(north, south)
    assert not any("milk costs" in question and "2023" in question for question in got)
    assert got[f"What figure is given for the milk costs in 2022 under {REVIEW}?"] == "14"
    assert ("label has several values in the document", "Milk costs | 2023: 12") in refused(north, south)


def test_a_table_goes_on_in_the_next_chunk_with_its_unit():
    first = "Costs (in thousands)\n\nItem | 2023 | 2022\nMilk costs | 2023: 12 | 2022: 14"
    got = asked(first, "Feed costs | 2023: 9 | 2022: 20")
    assert got[f"What were the feed costs in 2023, in thousands, according to {REVIEW}?"] == "9"


def test_a_unit_in_the_label_stands_for_itself():
    rows = "(in millions)\n\nTotal assets (billions) | 2023: $94 | 2022: $90\nCash costs | 2023: $4 | 2022: $5\n"
    got = asked(rows)
    assert got[f"What amount is given for “Total assets (billions)” in 2023 under {REVIEW}?"] == "$94"


def test_text_columns_are_asked_for_by_their_name():
    rows = "Ann Bell | Position: Chief engineer (d) | Team: Pumps\nBo Carr | Position: Clerk | Team: Seeds\n"
    staff = f"Each position is listed.\n\nName | Position | Team\n{rows}"
    got = asked(staff, heading=("Staff of the plant",))
    assert got["What position is given for Ann Bell under “Staff of the plant” in the yearbook?"] == "Chief engineer"
    assert got["According to “Staff of the plant” in the yearbook, what is listed as “Team” for Bo Carr?"] == "Seeds"


def test_a_heading_that_is_the_document_or_numbered_or_far_away():
    same = chunk("Field A1 | Use: corn\nField B1 | Use: wheat\n", ("Yearbook",), context="Yearbook > Yearbook")
    assert read_tables([same])[0][0].name == "Yearbook"
    templates = [t for x in table_candidates([same])[0] if isinstance(x, Reading) for t in x.templates]
    assert templates
    assert not any("Yearbook" in t for t in templates)
    far = [chunk("Begin here.", ("Review",), 0), chunk("Field A1 | Use: corn\nField B1 | Use: wheat\n", ("Review",), 5)]
    assert read_tables(far)[0][0].name == ""
    rows = "Field A1 | Use: corn\nField B1 | Use: wheat\n"
    for heading, name in (("Review", "Review"), ("Balance sheets", "")):  # the next page's table has its own heading
        assert read_tables([chunk("Begin here.", (heading,), 0), chunk(rows, (heading,), 1)])[0][0].name == name


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Item 7. Results of operations", "Results of operations"),
        ("Note 21 – Segments", "Segments"),
        ("3.2 Yield by variety:", "Yield by variety"),
        ("Table 9: Card data", "Table 9: Card data"),
        ("Consolidated Statements of Cash Flows $ in millions", "Consolidated Statements of Cash Flows"),
        ("PART II", ""),
        ("Contents", ""),
        ("Registrant’s telephone number: (212) 395-1000", ""),
        ("Statements of Changes in Equity and", ""),
        ("one two three four five six seven eight nine ten eleven twelve thirteen", ""),
    ],
)
def test_headings_that_can_name_a_table(text: str, name: str):
    assert readable_name(text) == name
    assert heading_name(("Above", text)) == name


@pytest.mark.parametrize(
    ("column", "said"),
    [
        ("2022", "in 2022"),
        ("FY2022", "in fiscal year 2022"),
        ("At December 31, 2022", "for December 31, 2022"),
        ("June 2020", "in June 2020"),
        ("Three Months Ended July 29, 2023", "for the three months ended July 29, 2023"),
        ("Years Ended December 31, 2022", "for the year ended December 31, 2022"),
        ("Q2 2022", "in Q2 2022"),
        ("FOURTH QUARTER 2022", "in the fourth quarter of 2022"),
        ("Change", ""),
        ("2022 vs. 2021", ""),
    ],
)
def test_columns_that_are_times(column: str, said: str):
    assert when(column) == said


def test_labels_inside_a_sentence():
    common = frozenset(("revenue", "net", "query"))
    assert in_sentence("Net sales", common) == "net sales"
    assert in_sentence("Revenue", common) == "revenue"
    assert in_sentence("Europe", common) == "Europe"
    assert in_sentence("Health and Safety", common) == "Health and Safety"
    assert in_sentence("Canadian brands", common) == "Canadian brands"
    assert is_plural("net sales")
    assert is_plural("diluted earnings per share")
    assert is_plural("gross increases related to tax")
    assert is_plural("the key areas of work")
    assert not is_plural("the cost of goods")
    assert not is_plural("natural gas")


LABELS = st.sampled_from(
    [
        "Net sales",
        "Milk costs",
        "Total",
        "Feed costs (1)",
        "and other",
        "Interest income",
        "",
        "A: b",
        "Ünit costs",
        "(x",
    ]
)
VALUES = st.sampled_from(["1,234", "(5)", "—", "12%", "$3", "3.5", "corn and", "Well, yes", "N/A", "2022", "a: b", ""])
COLUMNS = st.sampled_from(["2023: ", "2022: ", "Q1: ", "Owner: ", "", "Change 2023 vs. 2022: ", "Cost of: "])
ROWS = st.lists(st.tuples(LABELS, st.lists(st.tuples(COLUMNS, VALUES), min_size=1, max_size=4)), min_size=1, max_size=6)


@given(st.lists(ROWS, min_size=1, max_size=3), st.booleans())
@settings(max_examples=150, deadline=None)
def test_every_answer_stands_in_its_quote_and_every_wording_names_the_document_once(tables: list, blank: bool):
    texts = ["\n".join(" | ".join([label, *(c + v for c, v in cells)]) for label, cells in rows) for rows in tables]
    chunks = [chunk(("Costs in thousands\n\n" if blank else "") + text, n=n) for n, text in enumerate(texts)]
    found = table_candidates(chunks)
    assert len(found) == len(chunks)
    assert found == table_candidates(chunks)
    for here, ones in zip(chunks, found, strict=True):
        for one in ones:
            if isinstance(one, Rejection):
                assert one.reason
                continue
            quote = one.quote(here)
            assert one.answer in quote
            assert all(template.count("{d}") == 1 and template.endswith("?") for template in one.templates)
            assert all(not re.search(r"\{(?!d\})", template) for template in one.templates)
            assert PAGE_BREAK not in quote
            if one.kind == "table lookup":
                assert len(one.quotes) == 1


def test_a_year_in_a_document_of_quarters_is_not_asked_for():
    text = "Report on the three months and the six months of the second quarter\n\n" + SALES
    assert not asked(text)
    assert ("column is a period without its length", "Net sales") in refused(text)


def test_what_flows_is_asked_for_by_its_period_and_what_stands_by_its_day():
    rows = "Cost of sales | May 31, 2023: $12\nAccounts receivable | May 31, 2023: $14"
    got = asked(f"Costs of the year\n\n{rows}")
    assert got[f"According to {REVIEW}, what was the cost of sales for the period ended May 31, 2023?"] == "$12"
    assert got[f"According to {REVIEW}, what were the accounts receivable for May 31, 2023?"] == "$14"


def test_days_do_not_stand_under_a_statement_of_income():
    rows = "Accounts receivable | May 31, 2023: $14 | May 31, 2022: $15\nGoodwill | May 31, 2023: $7 | May 31, 2022: $8"
    got = asked(f"Assets\n\n{rows}", heading=("Consolidated Statements of Income",))
    assert "What were the accounts receivable for May 31, 2023, according to the yearbook?" in got


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (
            "2007 | Goal: better service | Target: fewer calls\n2008 | Goal: speed | Target: fewer steps",
            "row label is a number",
        ),
        (
            "Receivables, net of $23 and $25, respectively | 2023: 4 | 2022: 5\nLong-term debt | 2023: 7 | 2022: 8",
            "row label holds a figure",
        ),
        (
            "Other pay | controlling Interests: 57 | Retained Earnings: 12\n"
            "Shares | controlling Interests: 7 | Retained Earnings: 2",
            "column name is cut",
        ),
    ],
)
def test_what_a_table_does_not_say_in_full_is_refused(row: str, reason: str):
    assert reason in reasons(f"Costs of the year\n\n{row}")


def test_footnotes_behind_a_word_and_addresses_are_no_names():
    assert bare("Adjusted EPS (diluted)1,4") == "Adjusted EPS (diluted)"
    assert bare("Operational1,2") == "Operational"
    assert bare("Level 2") == "Level 2"
    assert readable_name("West 34th Street, New York, New York 10001") == ""
    assert readable_name("Streets of the town") == "Streets of the town"


def test_rows_under_a_label_that_is_no_group_are_refused():
    rows = "Net income: New shares | Total Equity: 12\nNet income: Balance at May 31, 2022 | Total Equity: 47"
    assert ("row stands under another row", "Net income: New shares") in refused(f"Equity\n\n{rows}")
    assert not asked(f"Equity\n\n{rows}")
