"""Near-duplicates and superseding versions, on real reports and on hand-made names."""

from __future__ import annotations

import itertools
import time
from pathlib import Path

import pypdfium2
import pytest

from ingest.duplicates import VersionInfo, exact_similarity, near_duplicates, signature, supersedes

TEXT = " ".join(f"word{n} of sentence {n // 7}" for n in range(400))


@pytest.fixture(scope="module")
def reports():
    texts = {}
    for path in sorted((Path(__file__).parents[2] / "examples" / "ntsb").glob("*.pdf")):
        pdf = pypdfium2.PdfDocument(path)
        texts[path.stem] = "\n".join(page.get_textpage().get_text_bounded() for page in pdf)
        pdf.close()
    return texts


def test_a_signature_is_the_same_for_the_same_words_and_tells_others_apart():
    assert signature(TEXT) == signature(TEXT.upper().replace(" ", "\n"))
    assert signature(TEXT) != signature(TEXT.replace("7", "eight"))
    assert len(signature(TEXT)) == len(signature("two words")) == 1024
    assert signature(" .,; \n") == b""


def test_a_signature_does_not_change_between_versions():
    """Stored signatures are compared with new ones: whoever breaks this test changes SIGNATURE_VERSION."""
    assert signature("the quick brown fox jumps over the lazy dog")[:8].hex() == "4c5d593230583e00"


def test_a_report_with_some_words_changed_is_a_near_duplicate_and_another_accident_is_not(reports):
    original, text = max(reports.items(), key=lambda item: len(item[1]))
    words = text.split()
    for place in (50, len(words) // 2, len(words) - 50):
        words[place] = "changed"
    texts = {**reports, "changed": " ".join(words)}
    signatures = {name: signature(text) for name, text in texts.items()}
    [(later, earlier, rate)] = near_duplicates(signatures, 0.9)
    assert (later, earlier) == ("changed", original)
    assert rate == pytest.approx(exact_similarity(text, texts["changed"]), abs=0.06)
    highest = max(exact_similarity(a, b) for a, b in itertools.combinations(reports.values(), 2))
    assert highest < 0.6


def test_the_order_says_which_is_earlier_and_a_copy_of_a_copy_points_to_the_first():
    same = signature(TEXT)
    assert near_duplicates({"b": same, "a": same, "c": same, "empty": b"", "none": b""}, 0.9) == [
        ("a", "b", 1.0),
        ("c", "b", 1.0),
    ]
    assert near_duplicates({}, 0.5) == []


def test_exact_texts_decide_at_the_border():
    words = [f"w{n}" for n in range(400)]
    other = [*words[:390], *(f"x{n}" for n in range(10))]
    texts = {"a": " ".join(words), "b": " ".join(other)}
    exact = exact_similarity(texts["a"], texts["b"])
    assert exact == (396 - 10) / (396 + 10)
    signatures = {name: signature(text) for name, text in texts.items()}
    assert near_duplicates(signatures, exact, texts.__getitem__) == [("b", "a", exact)]
    assert near_duplicates(signatures, exact + 0.001, texts.__getitem__) == []


def test_texts_without_spaces_have_words_too():
    text = "".join(chr(0x4E00 + (n * 37) % 3000) for n in range(500))
    assert exact_similarity(text, text[:250] + "一" + text[251:]) > 0.97
    assert exact_similarity("", "") == 0.0


def test_many_documents_take_time_and_rows_linear_in_their_number():
    signatures = {str(n): signature(f"{TEXT} {'odd' if n % 2 else 'even'}") for n in range(2)}
    many = {f"{n}": signatures[str(n % 2)] for n in range(1000)}
    start = time.process_time()
    assert len(near_duplicates(many, 0.9)) == 999
    assert time.process_time() - start < 5


def version(id, title="", source="x.pdf", date="2020", text=""):
    return VersionInfo(id, title, source, date, signature(text) if text else b"")


def test_the_latest_date_wins_among_names_with_version_marks():
    documents = [
        version("old", source="a/pump-repair_v1.pdf", date="2019-05-01"),
        version("older", source="b/Pump Repair draft.pdf", date="2018"),
        version("new", source="pump_repair (1).pdf", date="2021-01"),
        version("undated", source="pump-repair-final.pdf", date=""),
        version("other", source="valve-repair v2.pdf", date="2022"),
        version("copy", source="Copy of Pump repair, rev. 3 - v1.2 FINAL (2).pdf", date="2017"),
    ]
    assert supersedes(documents) == {"old": "new", "older": "new", "copy": "new"}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (version("a", source="acme 2021.pdf", date="2021"), version("b", source="acme 2022.pdf", date="2022")),
        (version("a", source="2021/acme.pdf", date="2021"), version("b", source="2022/acme.pdf", date="2022")),
        (
            version("a", "Acme Annual Report 2021", "x.pdf", "2021", TEXT),
            version("b", "Acme Annual Report 2022", "y.pdf", "2022", TEXT),
        ),
        (version("a", source="V8 engines.pdf", date="2021"), version("b", source="V12 engines.pdf", date="2022")),
        (version("a", source="clean water.pdf", date="2021"), version("b", source="water.pdf", date="2022")),
        (version("a", source="report.pdf", date="2021"), version("b", source="report v2.pdf", date="2022")),
        (
            version("a", "Microsoft Word - untitled", "k1.pdf", "2021", TEXT),
            version("b", "Untitled", "k2.pdf", "2022", TEXT),
        ),
        (version("a", source="pump.pdf", date="2021"), version("b", source="pump v2.pdf", date="2021")),
        (version("a", source="pump.pdf", date="2021"), version("b", source="pump v2.pdf", date="2021-05")),
        (version("a", source="pump.pdf", date=""), version("b", source="pump v2.pdf", date="2022")),
        (
            version("a", source="council_2023-05-01.pdf", date="2023-05-01"),
            version("b", source="council_2023-06-01.pdf", date="2023-06-01"),
        ),
        (
            version("a", "Pump Handbook", "k1.pdf", "2021", "quite another text than the other"),
            version("b", "Pump Handbook", "k2.pdf", "2022", TEXT),
        ),
    ],
    ids=["year", "folder", "title year", "engine", "water",
         "generic", "untitled", "tie", "unsure", "undated", "date", "unlike"],
)  # fmt: skip
def test_these_are_not_versions_of_one_document(one, other):
    assert supersedes([one, other]) == {}


def test_one_title_under_other_names_needs_a_like_text_or_names_that_differ_in_a_date():
    a = version("a", "Pump Handbook v1", "k1.pdf", "2021", TEXT)
    b = version("b", "Pump Handbook (2)", "elsewhere.pdf", "2022", TEXT + " and some more")
    assert supersedes([a, b]) == {"a": "b"}
    c = version("c", "Pump Handbook", "pump_2021-06-30.pdf", "2021-06-30")
    d = version("d", "Pump Handbook", "pump_2023-06-30.pdf", "2023-06-30")
    assert supersedes([d, c]) == {"c": "d"}


def test_a_chain_ends_at_the_newest():
    a = version("a", "Pump Handbook", "first.pdf", "2019", TEXT)
    b = version("b", "Pump Handbook", "second.pdf", "2020", TEXT)
    c = version("c", "", "second v2.pdf", "2021")
    assert supersedes([a, b, c]) == {"a": "c", "b": "c"}


def test_reports_of_different_accidents_do_not_supersede_each_other(reports):
    title = "National Transportation Safety Board Aviation Accident Final Report"
    documents = [
        version(name, title, f"{name}.pdf", f"2008-01-{n:02}", text)
        for n, (name, text) in enumerate(reports.items(), 1)
    ]
    assert supersedes(documents) == {}
