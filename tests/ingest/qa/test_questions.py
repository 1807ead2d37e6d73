import pytest

from fieldguide.catalog import Catalog, FileRecord, Reading
from fieldguide.errors import FieldguideError, NotReady
from fieldguide.models.hashing import HashingEmbedder
from fieldguide.models.scripted import ScriptedGenerator
from fieldguide.settings import Questions
from fieldguide.types import Chunk, Document, Page, Silent, Span
from ingest.qa.calls import Budget, Calls
from ingest.qa.drafts import Draft, Rejection
from ingest.qa.questions import chunks_to_ask, make_pairs
from ingest.qa.reader import Reader

PLAIN = Questions(held_out_share=0, seen_share=0, mix={"multi-hop": 0, "unanswerable": 0, "follow-up": 0})
"""Settings of which only the asking is seen."""


def made(catalog, sources, settings=PLAIN, **more):
    return make_pairs(catalog, sources, settings, Silent(), embedder=HashingEmbedder(), **more)


class Scripted:
    """Asks each chunk for its number, drafts one wrong pair too, and stops the run at the chunk ``stop_at``."""

    name = "scripted"
    id = "scripted-1"

    def __init__(self, batch, stop_at=None, common=False):
        self.batch = batch
        self.stop_at = stop_at
        self.common = common
        self.seen = []

    def takes(self, chunk):
        return True

    def draft(self, documents, chunks):
        if self.stop_at in {chunk.id for chunk in chunks}:
            raise KeyboardInterrupt
        self.seen += [chunk.id for chunk in chunks]
        assert {chunk.document for chunk in chunks} <= documents.keys()
        return [(self._drafts(chunk), [Rejection("source's own", chunk.id)]) for chunk in chunks]

    def _drafts(self, chunk):
        question = "What number has Bergen?" if self.common else f"What number has {chunk.id}?"
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
        made(catalog, [Scripted(3)])


def test_pairs_rejections_and_splits_are_stored_and_counted(shelf):
    report = made(shelf, [Scripted(3)])
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
    made(undisturbed, [Scripted(batch)])
    killed = fill(tmp_path / "b.sqlite")
    first = Scripted(batch, stop_at="d2-2")
    with pytest.raises(KeyboardInterrupt):
        made(killed, [first])
    assert len(killed.pairs()) == len(first.seen) == (9 if batch else 10)
    second = Scripted(batch)
    report = made(killed, [second])
    assert (report.chunks, report.skipped_chunks) == (20 - len(first.seen), len(first.seen))
    assert sorted(first.seen + second.seen) == sorted(chunk.id for chunk in killed.chunks())  # none asked twice
    assert killed.pairs() == undisturbed.pairs()
    assert killed.rejections() == undisturbed.rejections()
    third = Scripted(batch)
    assert made(killed, [third]).skipped_chunks == 20
    assert third.seen == []
    undisturbed.close()
    killed.close()


def test_a_question_is_kept_once_over_chunks_sources_and_runs(shelf):
    other = Scripted(4, common=True)
    other.id, other.name = "other-1", "other"
    report = made(shelf, [Scripted(3, common=True), other])
    assert report.kept == {"scripted": 1, "other": 0}
    assert report.rejected["same question, another answer"] == 38
    third = Scripted(3, common=True)
    third.id = "scripted-2"
    assert made(shelf, [third]).rejected["duplicate question"] == 1
    assert [(p.question, p.answer) for p in shelf.pairs()] == [("What number has Bergen?", "00")]


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
    settings = PLAIN.model_copy(update={"model_chunks": wanted})
    made(shelf, [source, rules], settings)
    assert source.seen == seen
    told = chunks_to_ask(shelf, source, settings, shelf.splits())
    assert [chunk.id for chunks in told.values() for chunk in chunks] == seen  # also once all have been asked about
    assert len(rules.seen) == 20  # the bound is not for sources that cost nothing


def test_a_document_that_comes_back_is_asked_about_again(shelf):
    made(shelf, [Scripted(3)])
    record, document = shelf.files()["d1"], next(d for d in shelf.documents() if d.id == "d1")
    pages, chunks = [shelf.page("d1", n) for n in range(1, 6)], shelf.chunks("d1")
    shelf.remove_documents(["d1"])
    shelf.store_document(document, Reading("r"), pages, chunks, record)
    source = Scripted(3)
    made(shelf, [source])
    assert source.seen == [chunk.id for chunk in chunks]
    assert sum(pair.document == "d1" for pair in shelf.pairs()) == 5


def test_what_the_reader_does_not_find_again_is_rejected(shelf):
    def says(prompt, adapter):
        text = prompt[-1].content
        return "nothing" if "d1-" in text.split("Question")[-1] else text.split("The number is ")[1].split()[0]

    reader = Reader(Calls(ScriptedGenerator(says)))
    report = made(shelf, [Scripted(3)], PLAIN.model_copy(update={"dependency": False}), reader=reader)
    assert report.rejected["the reader answers otherwise"] == 5
    assert {pair.document for pair in shelf.pairs()} == {"d0", "d2", "d3"}
    assert {pair.scores["round_trip"] for pair in shelf.pairs()} == {1.0}


def test_a_share_of_facts_is_held_out_of_training_documents(shelf):
    report = made(shelf, [Scripted(3)], PLAIN.model_copy(update={"held_out_share": 0.2}))
    assert report.groups["facts held out"] == 2 + 5 - report.groups["same attribute, elsewhere"]
    train = {document for document, split in shelf.splits().items() if split == "train"}
    held = [pair for pair in shelf.pairs("test") if pair.document in train]
    assert len(held) == 2
    assert {pair.group for pair in held} == {"facts held out"}
    again = made(shelf, [Scripted(3)], PLAIN.model_copy(update={"held_out_share": 0.2}))
    assert again.splits == report.splits


def test_a_budget_that_is_reached_keeps_what_is_done(shelf):
    calls = Calls(ScriptedGenerator(["a b c"]), budget=Budget(tokens=60))

    class Paid(Scripted):
        def draft(self, documents, chunks):
            from fieldguide.models.base import Message

            calls.ask([(Message("user", chunk.id),) for chunk in chunks], max_new_tokens=10)
            return super().draft(documents, chunks)

    report = made(shelf, [Paid(2)])
    assert report.stopped.startswith("The budget is reached")
    assert 0 < report.kept["scripted"] < 20
    assert len(shelf.pairs()) == report.kept["scripted"]


def test_a_leak_planted_on_purpose_is_refused(shelf):
    from dataclasses import replace

    made(shelf, [Scripted(3)])
    tested = shelf.pairs("test")[0]
    planted = replace(tested, id="planted", split="train", group="trained", author="Mallory")
    shelf.put_pairs([planted])
    with pytest.raises(FieldguideError, match=r"Training and test share 1 question\(s\) or fact\(s\)"):
        made(shelf, [Scripted(3)])


def test_a_confidence_once_chosen_stays_for_later_runs(tmp_path):
    shelf = fill(tmp_path / "shelf.sqlite", 4, 25)
    made(shelf, [Scripted(3)], PLAIN)
    pairs = {pair.question: pair.answer for pair in shelf.pairs()}
    weak = {question for n, question in enumerate(sorted(pairs)) if n % 5 == 0}

    def reply(prompt, adapter):
        """Reads what is there, but for every fifth question; holds for correct what it read."""
        last = prompt[-1].content
        question = next(question for question in pairs if question in last)
        if "Proposed answer" in last:
            return "A" if f"Proposed answer: {pairs[question]}\n" in last and question not in weak else "B"
        return "nothing of that" if question in weak else pairs[question]

    settings = PLAIN.model_copy(update={"confidence": "auto"})
    reader = Reader(Calls(ScriptedGenerator(reply)), None)
    first = made(shelf, [Scripted(3)], settings, reader=reader)
    assert first.threshold.pairs == 25
    assert first.rejected == {"low confidence": 20}
    assert first.kept["scripted"] == 0  # they came of an earlier run, so none is taken off this one's
    assert {pair.question for pair in shelf.pairs()} == set(pairs) - weak
    again = made(shelf, [Scripted(3)], settings, reader=reader)
    assert again.threshold == first.threshold
    assert again.rejected == {}
    shelf.close()
