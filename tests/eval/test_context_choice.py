"""Choosing k and order on a shelf whose readers' answers can be worked out by hand."""

import json
import re

import pytest

from eval.answering import Answering
from eval.context_choice import distinct_orders, most_answers, tune_context
from eval.dev_questions import DevQuestion, dev_questions
from eval.plots import plot_context
from eval.questions import TestQuestion
from fieldguide.errors import IntegrityError
from fieldguide.models.scripted import ScriptedGenerator
from fieldguide.settings import Answer, Compare, Retrieval
from fieldguide.types import Chunk, Context, Document, ScoredChunk, Silent, Span
from retrieval.order import reorder

COMPARE = Compare(samples=300)
GOLD_RANK = 2


def chunk(name, document, text):
    return Chunk(name, document, (Span(1, 0, len(text)),), text)


class Kept:
    """The catalogue's answers, in memory."""

    def __init__(self):
        self.answers = {}

    def answer(self, key):
        return self.answers.get(key)

    def store_answer(self, key, body):
        self.answers[key] = body


class Shelf:
    """A retriever that finds the gold of "question 7" at rank 2, behind and before other documents' fillers."""

    index_id, recipe = "shelf", "shelf"

    def __init__(self, documents, settings=None, room=99):
        self.documents, self.settings, self.room = documents, settings or Retrieval(), room
        self.gold = [chunk(f"gold{n}", f"d{n}", f"The answer is word{n}.") for n in range(documents)]
        self.fillers = [chunk(f"filler{n}", "other", f"Filler number {n}.") for n in range(5)]
        self.far = [chunk(f"far{n}", "far", f"Far away {n}.") for n in range(20)]

    def using(self, settings):
        return Shelf(self.documents, settings, self.room)

    @property
    def k(self):
        return self.settings.k

    def retrieve(self, queries, k):
        found = []
        for query in queries:
            ranked = list(self.fillers)
            ranked.insert(GOLD_RANK - 1, self.gold[int(query.split()[1])])
            found.append([ScoredChunk(c, 1 / rank, rank) for rank, c in enumerate(ranked[:k], 1)])
        return found

    def context(self, ranked):
        return Context(tuple(reorder(ranked[: self.room], self.settings.order)), self.settings.order)

    def contexts(self, queries):
        return [self.context(ranked) for ranked in self.retrieve(queries, self.k)]


def reader(can_use):
    """A generator that gives the answer if ``can_use(place from 0, passages)`` for the passage that holds it."""

    def reply(prompt, adapter):
        passages = re.findall(r"^\[\d+\].*\n(.*)", prompt[-1].content, re.MULTILINE)
        asked = int(re.search(r"question (\d+)", prompt[-1].content).group(1))
        places = [n for n, text in enumerate(passages) if text == f"The answer is word{asked}."]
        return f"word{asked}" if places and can_use(places[0], len(passages)) else "nothing"

    return ScriptedGenerator(reply)


EDGES = reader(lambda place, n: place in (0, n - 1))


@pytest.fixture
def run():
    catalog = Kept()

    def choose(generator, ks, documents=8, each=2, retrieval=None, room=99, gold=True):
        retrieval = retrieval or Retrieval()
        shelf = Shelf(documents, retrieval, room)
        questions = [
            DevQuestion(
                TestQuestion(f"{n}-{m}", f"question {n} form {m}", (f"word{n}",), f"d{n}", (1,), ""),
                (shelf.gold[n],) if gold else (),
            )
            for n in range(documents)
            for m in range(each)
        ]
        known = {f"d{n}": Document(f"d{n}", f"/d{n}.pdf", "") for n in range(documents)}
        known |= {name: Document(name, f"/{name}.pdf", "") for name in ("other", "far")}
        answering = Answering(catalog, generator, None, Answer(), known, "shelf", generator.base_hash())
        return tune_context(
            questions, retriever=shelf, chunks=[*shelf.gold, *shelf.fillers, *shelf.far], answering=answering,
            retrieval=retrieval, compare=COMPARE, ks=ks, progress=Silent(),
        )  # fmt: skip

    return choose


def means(rows, *names):
    return {tuple(row[name] for name in names): row["mean"] for row in rows}


def test_orders_that_show_the_same_are_measured_once():
    assert [distinct_orders(k) for k in (1, 2, 3)] == [["rank"], ["rank", "reverse"], ["rank", "ends", "reverse"]]


def test_the_order_that_wins_is_chosen(run):
    """The gold is second: in the middle by rank, at an edge by "ends", and this model reads edges only."""
    report = run(EDGES, [3])
    assert means(report["settings"], "k", "order") == {(3, "rank"): 0, (3, "ends"): 1, (3, "reverse"): 0}
    assert {k: report["decision"][k] for k in ("k", "order", "won")} == {"k": 3, "order": "ends", "won": True}
    assert [row["order"] for row in report["settings"] if row["chosen"]] == ["ends"]
    assert report["baseline"] == {"k": 3, "order": "rank"}
    difference = next(row["difference"] for row in report["settings"] if row["order"] == "ends")
    assert (difference["mean"], difference["low"], difference["high"], difference["n"]) == (1, 1, 1, 16)


def test_of_equal_winners_the_fewest_passages_and_simplest_order(run):
    report = run(EDGES, [1, 2, 3, 5])
    assert means(report["settings"], "k", "order") == {
        (1, "rank"): 0, (2, "rank"): 1, (2, "reverse"): 1, (3, "rank"): 0, (3, "ends"): 1, (3, "reverse"): 0,
        (5, "rank"): 0, (5, "ends"): 1, (5, "reverse"): 0,
    }  # fmt: skip
    assert (report["decision"]["k"], report["decision"]["order"]) == (2, "rank")


def test_where_nothing_wins_the_order_is_rank_and_k_stays(run):
    report = run(reader(lambda place, n: True), [1, 2, 5])
    assert {k: report["decision"][k] for k in ("k", "order", "won")} == {"k": 3, "order": "rank", "won": False}
    assert report["before"]["order"] == "ends"
    assert "k stays 3" in report["decision"]["why"]


def test_a_larger_k_must_win_clearly(run):
    """Five documents are too few for anything to be clear: k stays, though the gold is only seen from k = 2 on."""
    report = run(reader(lambda place, n: True), [2, 5], documents=5, retrieval=Retrieval(k=1))
    assert {k: report["decision"][k] for k in ("k", "order", "won")} == {"k": 1, "order": "rank", "won": False}
    report = run(reader(lambda place, n: True), [2, 5], documents=6, retrieval=Retrieval(k=1))
    assert {k: report["decision"][k] for k in ("k", "order", "won")} == {"k": 2, "order": "rank", "won": True}


def test_k_becomes_the_smallest_of_the_best_where_it_is_not_among_them(run):
    """Five documents are too few for anything to be clear, but k = 5 is worse than smaller ones."""
    report = run(reader(lambda place, n: n < 5), [1, 2, 3], documents=5, retrieval=Retrieval(k=5))
    assert {k: report["decision"][k] for k in ("k", "order", "won")} == {"k": 2, "order": "rank", "won": False}
    assert "fewer than 6 documents" in report["decision"]["why"]


def test_the_probes_show_where_the_gold_is_read_and_what_hard_negatives_do(run):
    """The first model reads edges; the second is led astray by two fillers, which is what retrieval finds."""
    report = run(EDGES, [1, 3, 5])
    assert means(report["gold_position"], "k", "position") == {(5, "first"): 1, (5, "middle"): 0, (5, "last"): 1}

    def reply(prompt, adapter):
        text = prompt[-1].content
        asked = int(re.search(r"question (\d+)", text).group(1))
        return "astray" if text.count("Filler") > 1 else f"word{asked}"

    report = run(ScriptedGenerator(reply, base="another"), [1, 3, 5])
    assert means(report["negatives"], "k", "negatives") == {
        (1, "hard"): 1, (3, "hard"): 0, (5, "hard"): 0, (1, "random"): 1, (3, "random"): 1, (5, "random"): 1,
    }  # fmt: skip
    assert {row["k"]: row["mean"] for row in report["hard_minus_random"]} == {3: -1, 5: -1}


def test_answers_are_kept_and_counted(run):
    run(EDGES, [1, 3])
    asked = len(EDGES.calls)
    run(EDGES, [1, 3])
    assert len(EDGES.calls) == asked
    generator = reader(lambda place, n: True)
    run(generator, [1, 2, 5])
    assert 0 < len(generator.calls) <= most_answers(16, [1, 2, 3, 5])


def test_without_gold_the_probes_are_empty_and_without_room_left_out(run, tmp_path):
    for report in (run(EDGES, [3, 5], gold=False), run(EDGES, [4], room=2)):
        assert {row["n"] for row in report["gold_position"]} == {0}
        assert report["decision"]["won"] in (True, False)
        assert plot_context(report, tmp_path / "plot.png").stat().st_size > 10_000
        json.dumps(report)


def test_weights_that_move_decide_nothing(run):
    generator = reader(lambda place, n: True)

    def moves(n):
        generator.base = "other weights"

    generator.on_batch = moves
    with pytest.raises(IntegrityError, match="weights changed"):
        run(generator, [1])


def test_dev_questions_come_with_the_chunks_that_hold_their_evidence(catalog, question_file):
    rows = (
        {"id": "a", "question": "How long is the stork wing?", "answer": "57 feet", "document": "stork.pdf", "page": 1},
        {"id": "b", "question": "Where?", "answer": "Rome", "document": "stork.pdf", "pages": [1, 2]},
        {"id": "c", "question": "Who?", "answer": "Nobody"},
    )
    found = dev_questions(catalog, question_file(*rows), 10, 0)
    assert [[c.id for c in q.gold] for q in found] == [["stork-1"], ["stork-1", "stork-2"], []]
    assert [q.cluster for q in found] == ["stork", "stork", "c"]
    assert dev_questions(catalog, None, 10, 0) == []
