import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldguide.catalog import Catalog, FileRecord, Reading
from fieldguide.errors import NotReady
from fieldguide.settings import Questions
from fieldguide.types import Chunk, Document, Page, Silent, Span
from ingest.drafts import Draft, Rejection
from ingest.questions import assign_splits, make_pairs, normal_question, verify

NAMES = st.sets(st.text("abcdef", min_size=1, max_size=6), max_size=40).map(sorted)
SHARES = st.tuples(st.floats(0, 0.7), st.floats(0, 0.29)).map(lambda s: Questions(dev_share=s[0], test_share=s[1]))

PAGES = ("The right wing hit a tree. The pilot flew on", "for 31 minutes. The wing spar had a 3-inch crack.")
CHUNK = Chunk("c1", "d1", (Span(1, 4, 44), Span(2, 0, len(PAGES[1]))), f"{PAGES[0][4:]}\n\n{PAGES[1]}")


def counts(splits):
    return [list(splits.values()).count(name) for name in ("train", "dev", "test")]


@pytest.mark.parametrize(
    ("total", "expected"),
    [(0, [0, 0, 0]), (1, [1, 0, 0]), (2, [1, 1, 0]), (3, [1, 1, 1]), (8, [6, 1, 1]), (20, [14, 3, 3])],
)
def test_shares(total, expected):
    assert counts(assign_splits([f"d{n}" for n in range(total)], {}, Questions())) == expected


def test_shares_of_zero_and_shares_that_round_up():
    names = [f"d{n}" for n in range(10)]
    assert counts(assign_splits(names, {}, Questions(dev_share=0, test_share=0.3))) == [7, 0, 3]
    assert counts(assign_splits(names[:3], {}, Questions(dev_share=0.9, test_share=0.05))) == [1, 2, 0]


@given(NAMES, NAMES, SHARES)
def test_splits_are_deterministic_stable_and_leave_something_for_training(first, more, settings):
    splits = assign_splits(first, {}, settings)
    assert splits == assign_splits(first[::-1], {}, settings)
    assert splits.keys() == set(first)
    assert not first or "train" in splits.values()
    later = assign_splits(sorted({*first, *more}), dict(splits), settings)
    assert later.keys() == set(more) - set(first)  # no document that has a split gets another


def test_the_seed_decides():
    names = [f"d{n}" for n in range(20)]
    assert assign_splits(names, {}, Questions(seed=1)) != assign_splits(names, {}, Questions(seed=2))


def check(question, answer, quote="", asked=()):
    kept, rejected = verify([Draft(question, answer, quote, "fact")], CHUNK, "dev", "rules", set(asked))
    return kept, [r.reason for r in rejected]


@pytest.mark.parametrize(
    ("question", "answer", "reason"),
    [
        ("The wing hit a tree.", "tree", "not a question"),
        ("What hit?", "tree", "not a question"),
        (f"What did the wing {'x' * 300} hit?", "tree", "too long"),
        ("What did the wing hit?", "tree " * 70, "too long"),
        ("What does this passage say was hit?", "a tree", "question refers to an unnamed text"),
        ("What did the wing hit in the report?", "a tree", "question refers to an unnamed text"),
        ("Which tree did the wing hit?", "a tree", None),
        ("Was it a tree that the wing hit?", "a TREE", "answer in question"),
        ("What did the wing hit?", "a house", "answer not in the chunk"),
        ("What did the wing hit?", "", "answer not in the chunk"),
        ("How long did he fly on?", "1 minutes", "answer not in the chunk"),
        ("How big is the crack?", "3-inch", "duplicate question"),
    ],
)
def test_each_reason_for_a_rejection(question, answer, reason):
    kept, reasons = check(question, answer, asked=[normal_question("how big  is the CRACK")])
    assert reasons == ([] if reason is None else [reason])
    assert len(kept) == (reason is None)


def test_a_named_report_may_be_asked_about():
    assert check("What did the report on Elyria say was hit?", "a tree")[1] == []


@pytest.mark.parametrize(
    ("answer", "quote", "spans", "text"),
    [
        ("a tree", "", (Span(1, 19, 25),), "a tree"),
        ("flew on for\n31 minutes", "", (Span(1, 37, 44), Span(2, 0, 14)), "flew on\n\nfor 31 minutes"),
        ("wing", "", (Span(1, 10, 14),), "wing"),
        ("wing", "The wing spar had a 3-inch crack", (Span(2, 20, 24),), "wing"),
        ("wing", "a quote that is not there", (Span(1, 10, 14),), "wing"),
        ("31 MINUTES.", "", (Span(2, 4, 14),), "31 minutes"),
    ],
)
def test_evidence_points_at_the_answer_on_the_page(answer, quote, spans, text):
    (pair,), _ = check("What is asked of it?", answer, quote)
    (evidence,) = pair.evidence
    assert evidence.spans == spans
    assert evidence.quote == text
    assert "\n\n".join(PAGES[s.page - 1][s.start : s.end] for s in spans) == text


def test_a_kept_pair():
    asked = set()
    draft = Draft(" What did the\nwing hit? ", " a  tree ", "", "cause")
    (pair,), rejected = verify([draft, draft], CHUNK, "dev", "model", asked)
    assert (pair.question, pair.answer, pair.kind, pair.origin) == (
        "What did the wing hit?",
        "a tree",
        "cause",
        "model",
    )
    assert (pair.document, pair.chunk, pair.split) == ("d1", "c1", "dev")
    assert rejected == [Rejection("duplicate question", " What did the\nwing hit?  |  a  tree ")]
    assert asked == {"what did the wing hit"}


class Scripted:
    """Asks each chunk for its number, drafts one wrong pair too, and stops the run at the chunk ``stop_at``."""

    name = "scripted"
    id = "scripted-1"

    def __init__(self, batch, stop_at=None, common=False):
        self.batch = batch
        self.stop_at = stop_at
        self.common = common
        self.seen = []

    def draft(self, documents, chunks):
        if self.stop_at in {chunk.id for chunk in chunks}:
            raise KeyboardInterrupt
        self.seen += [chunk.id for chunk in chunks]
        assert {chunk.document for chunk in chunks} <= documents.keys()
        return [(self._drafts(chunk), [Rejection("source's own", chunk.id)]) for chunk in chunks]

    def _drafts(self, chunk):
        question = "What number has it?" if self.common else f"What number has {chunk.id}?"
        return [
            Draft(question, chunk.text.split()[-1], "", "fact"),
            Draft(f"And what of {chunk.id}?", "absent", "", "fact"),
        ]


def fill(path, documents=4, chunks=5):
    catalog = Catalog.open(path)
    for d in range(documents):
        name = f"d{d}"
        texts = [f"The number is {d}{c}" for c in range(chunks)]
        catalog.store_document(
            Document(name, name, name), Reading("r"),
            [Page(name, n, str(n), text, "r") for n, text in enumerate(texts, 1)],
            [Chunk(f"{name}-{n}", name, (Span(n, 0, len(text)),), text) for n, text in enumerate(texts, 1)],
            FileRecord(name, name, 1, "read", ""),
        )  # fmt: skip
    return catalog


@pytest.fixture
def shelf(tmp_path):
    catalog = fill(tmp_path / "shelf.sqlite")
    yield catalog
    catalog.close()


def test_no_documents(catalog):
    with pytest.raises(NotReady, match="run `fieldguide ingest` first"):
        make_pairs(catalog, [Scripted(3)], Questions(), 0, Silent())


def test_pairs_rejections_and_splits_are_stored_and_counted(shelf):
    report = make_pairs(shelf, [Scripted(3)], Questions(), 0, Silent())
    assert (report.chunks, report.skipped_chunks) == (20, 0)
    assert (report.kept, report.kinds) == ({"scripted": 20}, {"fact": 20})
    assert report.rejected == {"source's own": 20, "answer not in the chunk": 20}
    assert report.splits == {"train": 10, "dev": 5, "test": 5}
    assert shelf.rejections() == {("scripted-1", "source's own"): 20, ("scripted-1", "answer not in the chunk"): 20}
    split_of = shelf.splits()
    by_question = {pair.question: pair for pair in shelf.pairs()}
    pair = by_question["What number has d2-3?"]
    assert (pair.answer, pair.document, pair.chunk, pair.split) == ("22", "d2", "d2-3", split_of["d2"])
    assert pair.evidence[0].spans == (Span(3, 14, 16),)


@pytest.mark.parametrize("batch", [3, None])
def test_a_killed_run_goes_on_where_it_was(tmp_path, batch):
    undisturbed = fill(tmp_path / "a.sqlite")
    make_pairs(undisturbed, [Scripted(batch)], Questions(), 0, Silent())
    killed = fill(tmp_path / "b.sqlite")
    first = Scripted(batch, stop_at="d2-2")
    with pytest.raises(KeyboardInterrupt):
        make_pairs(killed, [first], Questions(), 0, Silent())
    assert len(killed.pairs()) == len(first.seen) == (9 if batch else 10)
    second = Scripted(batch)
    report = make_pairs(killed, [second], Questions(), 0, Silent())
    assert (report.chunks, report.skipped_chunks) == (20 - len(first.seen), len(first.seen))
    assert sorted(first.seen + second.seen) == sorted(chunk.id for chunk in killed.chunks())  # none asked twice
    assert killed.pairs() == undisturbed.pairs()
    assert killed.rejections() == undisturbed.rejections()
    third = Scripted(batch)
    assert make_pairs(killed, [third], Questions(), 0, Silent()).skipped_chunks == 20
    assert third.seen == []
    undisturbed.close()
    killed.close()


def test_a_question_is_kept_once_over_chunks_sources_and_runs(shelf):
    other = Scripted(4, common=True)
    other.id, other.name = "other-1", "other"
    report = make_pairs(shelf, [Scripted(3, common=True), other], Questions(), 0, Silent())
    assert report.kept == {"scripted": 1, "other": 0}
    assert report.rejected["duplicate question"] == 39
    third = Scripted(3, common=True)
    third.id = "scripted-2"
    assert make_pairs(shelf, [third], Questions(), 0, Silent()).rejected["duplicate question"] == 20
    assert [(p.question, p.answer) for p in shelf.pairs()] == [("What number has it?", "00")]


@pytest.mark.parametrize(
    ("wanted", "seen"),
    [
        (1, ["d0-1"]),
        (4, ["d0-1", "d1-1", "d2-1", "d3-1"]),
        (6, ["d0-1", "d0-3", "d1-1", "d1-3", "d2-1", "d3-1"]),
        (99, [f"d{d}-{c}" for d in range(4) for c in range(1, 6)]),
    ],
)
def test_at_most_so_many_chunks_spread_over_the_documents(shelf, wanted, seen):
    source, rules = Scripted(3), Scripted(None)
    rules.id = "rules-1"
    make_pairs(shelf, [source, rules], Questions(), wanted, Silent())
    assert source.seen == seen
    assert len(rules.seen) == 20  # the bound is not for sources that cost nothing


def test_a_document_that_comes_back_is_asked_about_again(shelf):
    make_pairs(shelf, [Scripted(3)], Questions(), 0, Silent())
    record, document = shelf.files()["d1"], next(d for d in shelf.documents() if d.id == "d1")
    pages, chunks = [shelf.page("d1", n) for n in range(1, 6)], shelf.chunks("d1")
    shelf.remove_documents(["d1"])
    shelf.store_document(document, Reading("r"), pages, chunks, record)
    source = Scripted(3)
    make_pairs(shelf, [source], Questions(), 0, Silent())
    assert source.seen == [chunk.id for chunk in chunks]
    assert sum(pair.document == "d1" for pair in shelf.pairs()) == 5
