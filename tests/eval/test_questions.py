from dataclasses import replace

import pytest

from eval.questions import TestQuestion, draw, from_pairs, questions_hash, read_questions
from fieldguide.errors import FieldguideError, NotReady
from fieldguide.types import Document, Evidence, QAPair, Span

DOCUMENTS = {name: Document(name, f"/shelf/{name}.pdf", name) for name in ("heron", "ibis")}


def row(name="q1", **values):
    return {"id": name, "question": f"{name}?", "answer": "12 feet", **values}


def test_every_field_is_read_and_pages_are_merged(question_file):
    path = question_file(
        row("full", answer=["12 feet", "twelve feet"], document="heron.pdf", page=3, pages=[5, 3, 5], kind="table"),
        "",
        row("bare"),
        row("more", document="ibis.pdf", page=7, source="page 7 of the report", level=2),
        "   ",
    )
    assert read_questions(path, DOCUMENTS) == [
        TestQuestion("full", "full?", ("12 feet", "twelve feet"), "heron", (5, 3), "table"),
        TestQuestion("bare", "bare?", ("12 feet",), None, (), ""),
        TestQuestion("more", "more?", ("12 feet",), "ibis", (7,), "", level="2"),
    ]


def test_a_file_from_windows_and_a_line_break_of_unicode_inside_a_text_are_read(question_file):
    path = question_file(row("q1", question="Where\u2028is\x85it?"), row("q2"), encoding="utf-8-sig")
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert [q.question for q in read_questions(path, DOCUMENTS)] == ["Where\u2028is\x85it?", "q2?"]


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("{not json", "line 2: not JSON"),
        ("[1, 2]", "line 2: not an object"),
        ('{"id": "x"}', "line 2: question: Field required"),
        (row("x", id=""), "line 2: id: String should have at least 1 character"),
        (row("x", question=""), "line 2: question: String should have at least 1 character"),
        (row("x", answer=5), "line 2: answer.str: Input should be a valid string"),
        (row("x", answer=[]), "List should have at least 1 item"),
        (row("x", answer=[5]), "line 2: answer.list"),
        (row("x", page=0), "line 2: page: Input should be greater than or equal to 1"),
        (row("x", pages=[1, 0]), "line 2: pages.1: Input should be greater than or equal to 1"),
        (row("x", document="crane.pdf"), "line 2: no documents named crane.pdf have been read"),
        (row("x", document="heron"), "line 2: no documents named heron have been read"),
        (row("q1"), "id 'q1' stands 2 times"),
    ],
)
def test_each_fault_is_named_with_its_line(question_file, line, fault):
    path = question_file(row(), line)
    with pytest.raises(FieldguideError) as raised:
        read_questions(path, DOCUMENTS)
    assert fault in str(raised.value)
    assert str(path) in str(raised.value)


def test_all_faults_are_listed_at_once(question_file):
    path = question_file(
        row("a"), "{", {"question": "?"}, row("a", document="no.pdf"), row("b", page=-1), row("a"), row("fine")
    )
    with pytest.raises(FieldguideError) as raised:
        read_questions(path, DOCUMENTS)
    first, *faults = str(raised.value).split("\n  ")
    assert first == f"6 fault(s) in {path}:"
    assert [fault.split(" (")[0] for fault in faults] == [
        "line 2: not JSON",
        "line 3: id: Field required",
        "line 3: answer: Field required",
        "line 4: no documents named no.pdf have been read",
        "line 5: page: Input should be greater than or equal to 1",
        "id 'a' stands 3 times",
    ]


def test_a_name_that_two_documents_share_is_a_fault(question_file):
    twice = DOCUMENTS | {"other": Document("other", "/elsewhere/heron.pdf", "other")}
    path = question_file(row(document="heron.pdf"), row("q2", document="ibis.pdf"))
    with pytest.raises(FieldguideError, match=r"^1 fault.*\n  line 1: 2 documents named heron.pdf have been read$"):
        read_questions(path, twice)


@pytest.mark.parametrize("text", ["", "\n \n"])
def test_a_file_without_questions_is_a_fault(question_file, text):
    path = question_file(text)
    with pytest.raises(FieldguideError, match=rf"^{path} holds no questions\.$"):
        read_questions(path, DOCUMENTS)


def test_a_file_that_cannot_be_read_is_a_fault(tmp_path):
    with pytest.raises(FieldguideError, match=r"none.jsonl cannot be read: .*No such file"):
        read_questions(tmp_path / "none.jsonl", DOCUMENTS)
    (tmp_path / "latin").write_bytes(b'{"id": "\xe9"}')
    with pytest.raises(FieldguideError, match="cannot be read: they are not UTF-8"):
        read_questions(tmp_path / "latin", DOCUMENTS)


# -- from pairs


def test_pairs_become_questions_with_the_pages_of_their_evidence():
    evidence = (
        Evidence("heron", (Span(2, 0, 5), Span(3, 0, 9)), "a"),
        Evidence("heron", (Span(2, 50, 55), Span(1, 0, 2)), "b"),
    )
    pair = QAPair("p1", "How long?", "12 feet", "heron", "c", evidence, "fact", "rules", "test")
    assert from_pairs([pair]) == [
        TestQuestion("p1", "How long?", ("12 feet",), "heron", (2, 3, 1), "fact", level="explicit fact")
    ]


def test_no_pairs_are_not_ready():
    with pytest.raises(
        NotReady, match=r"There are no test questions: give a file with --questions, or .*`fieldguide qa`"
    ):
        from_pairs([])


# -- drawing and freezing


def questions(n):
    return [TestQuestion(f"q{i}", f"{i}?", (str(i),), "heron", (i + 1,), "") for i in range(n)]


def test_a_draw_is_decided_by_its_seed_and_keeps_the_order():
    found = draw(questions(50), 10, seed=4)
    assert found == draw(questions(50), 10, seed=4)
    assert found != draw(questions(50), 10, seed=5)
    assert len(set(found)) == 10
    assert found == [q for q in questions(50) if q in found]
    assert draw(questions(10), 10, seed=4) == draw(questions(10), 99, seed=4) == questions(10)


@pytest.mark.parametrize(
    "change", [{"id": "z"}, {"question": "z"}, {"answers": ("0", "z")}, {"document": None}, {"pages": (1, 2)}]
)
def test_the_hash_changes_with_the_content_and_the_order(change):
    asked = questions(3)
    assert questions_hash(asked) == questions_hash(questions(3))
    assert questions_hash([replace(asked[0], **change), *asked[1:]]) != questions_hash(asked)
    assert questions_hash(asked[::-1]) != questions_hash(asked)
    assert questions_hash(asked[:2]) != questions_hash(asked)
