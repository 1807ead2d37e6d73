"""The measure of bench/coverage.py: what counts as held, and what must not."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from fieldguide.types import Chunk, Span

TABLE = "Net sales\n$\n14,694 \n$\n14,544 \nCost of sales\n(11,969)\n(11,724)\nGoodwill\n72\n-\n"
EVIDENCE = f"Consolidated Statements of Income\nFor the years ended June 30,\n2023\n2022\n{TABLE}"
WRITTEN = (
    "Consolidated Statements of Income\nFor the years ended June 30,\n"
    "Net sales | 2023: $14,694 | 2022: $14,544\nCost of sales | 2023: (11,969) | 2022: (11,724)\nGoodwill | 2023: 72"
)


@pytest.fixture(scope="module")
def coverage() -> ModuleType:
    path = Path(__file__).resolve().parents[1] / "bench" / "coverage.py"
    spec = importlib.util.spec_from_file_location("bench_coverage", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def lost(coverage: ModuleType, evidence: str, page: str) -> list[str]:
    """The words of the evidence that the page does not hold."""
    folded = coverage.fold(evidence)
    held = coverage.align(folded, coverage.fold(page))
    taken = [at for at in held if at >= 0]
    assert len(taken) == len(set(taken))
    return [folded.chars[low:high] for low, high in coverage._stretches([at < 0 for at in held])]


def test_spaces_quotes_dashes_case_and_order_do_not_matter(coverage: ModuleType) -> None:
    evidence = "Restructuringchargescostofgoodssold\nThe Companys notes were not repaid in 2022."
    page = "the Company’s “notes”  were\nnot re­paid in 2022.\n\nRestructuring charges – cost of goods sold | 3"
    assert lost(coverage, evidence, page) == []


def test_a_table_may_be_written_with_its_columns_names_between_the_values(coverage: ModuleType) -> None:
    assert lost(coverage, EVIDENCE, WRITTEN) == []


def test_what_is_left_out_is_missing_and_counts_nowhere_else(coverage: ModuleType) -> None:
    assert lost(coverage, EVIDENCE, WRITTEN.replace("Cost of sales | 2023: (11,969) | 2022: (11,724)\n", "")) == [
        "costofsales(11,969)(11,724)"
    ]
    assert lost(coverage, EVIDENCE, WRITTEN.replace("(11,969)", "(11,96)").replace(": 72", ": 720")) == [
        "(11,969)",
        "72",
    ]
    far = WRITTEN.replace("Goodwill | 2023: 72", "x" * 2 * coverage.REACH + " Goodwill | 2023: 72")
    assert lost(coverage, EVIDENCE, far) == ["goodwill72"]


def test_another_text_of_the_same_words_holds_nothing(coverage: ModuleType) -> None:
    evidence = "The notes of the company were repaid in June of the year 2022, as the trustee had asked."
    page = "Asked in 2022, the trustee had repaid the company as notes were of June, the year of the"
    assert len("".join(lost(coverage, evidence, page))) == len(coverage.fold(evidence).chars)


def test_page_text_takes_only_the_page_and_lays_overlaps_over_each_other(coverage: ModuleType) -> None:
    chunks = [
        Chunk("a", "d", (Span(1, 5, 9), Span(2, 0, 3)), "last\n\none"),
        Chunk("b", "d", (Span(2, 0, 7),), "one two"),
        Chunk("c", "d", (Span(2, 9, 14),), "three"),
    ]
    assert coverage.page_text(chunks, 1) == "     last"
    assert coverage.page_text(chunks, 2) == "one two  three"
    assert coverage.page_text(chunks, 3) == ""


def test_triples_come_from_headers_and_rows_of_the_same_number(coverage: ModuleType) -> None:
    triples, unused = coverage.triples(f"{EVIDENCE}Equity in income\nof affiliates\n5\n6\n")
    assert [(t.label, t.header, t.value) for t in triples] == [
        ("Net sales", "2023", "14,694"),
        ("Net sales", "2022", "14,544"),
        ("Cost of sales", "2023", "(11,969)"),
        ("Cost of sales", "2022", "(11,724)"),
        ("Goodwill", "2023", "72"),
        ("Equity in income of affiliates", "2023", "5"),
        ("Equity in income of affiliates", "2022", "6"),
    ]
    assert triples[0].others == ("2022",)
    assert unused == 0


@pytest.mark.parametrize(
    ("headers", "n"),
    [
        ("January 28, 2023\nJanuary 29, 2022\nJanuary 30, 2021", 3),
        ("2022\n2021\n2022 vs. 2021", 3),
        ("Fiscal 2019 Fiscal 2018", 2),
        ("2022\n2021\n% Change", 3),
    ],
)
def test_headers(coverage: ModuleType, headers: str, n: int) -> None:
    triples, _ = coverage.triples(f"{headers}\nRevenue\n" + "\n".join(str(7 + i) for i in range(n)))
    assert [t.value for t in triples] == [str(7 + i) for i in range(n)]
    assert " ".join(t.header for t in triples) == headers.replace("\n", " ").replace(
        "Fiscal 2019 Fis", "Fiscal 2019 Fis"
    )


def test_rows_that_do_not_fit_their_header_are_counted_not_guessed(coverage: ModuleType) -> None:
    assert coverage.triples("2022\n2021\nRevenue\n1\n2\n3\nCost\n4\n5\n6\nTax\n7\n8\n") == ([], 3)
    assert coverage.triples("Best Buy\n908\n907\n") == ([], 1)


def test_a_cell_is_whole_only_with_its_own_header(coverage: ModuleType) -> None:
    def hits(text: str, context: str = "") -> set[str]:
        chunk = Chunk("a", "d", (Span(1, 0, len(text)),), text, (), context)
        triple = coverage.Triple("Net sales", "2022", "14,544", ("2023",))
        return {name for name, hit in coverage.table_hits(triple, [chunk]).items() if hit}

    assert hits("Net sales | 2023: 14,694 | 2022: 14,544") == {"coverage", "with_context", "adjacent"}
    assert hits("2023 2022\nNet sales $14,694 $14,544") == {"coverage", "with_context"}
    assert hits("Net sales | 2023: 14,544 | 2022: 14,694") == {"coverage", "with_context", "misplaced"}
    assert hits("Net sales $14,694 $14,544", "Years 2023 and 2022") == {"with_context"}
    assert (
        hits("Net sales | 2022: (14,544)") == hits("Net sales | 2022: 114,544") == hits("Cost | 2022: 14,544") == set()
    )
