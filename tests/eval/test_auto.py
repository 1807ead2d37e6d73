"""The nested search over retrieval's switches, with a retriever whose ranks are a function of its settings."""

import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eval.auto import auto, folds
from eval.dev_questions import DevQuestion
from eval.questions import TestQuestion
from eval.switches import SWITCHES, changes, cost
from fieldguide.errors import NotReady
from fieldguide.settings import Compare, Retrieval
from fieldguide.types import Chunk, ScoredChunk, Silent, Span

COMPARE = Compare(samples=200)


class Ranks:
    """Finds the gold of "d3 question 5" at the rank that ``rank_of(settings, document, number)`` says."""

    def __init__(self, rank_of, now=None):
        self.rank_of, self.now = rank_of, now or Retrieval()

    def using(self, now):
        if "questions" in now.channels or now.expand or "cross-encoder" in now.rerank or "listwise" in now.rerank:
            raise NotReady("Not here.")
        return Ranks(self.rank_of, now)

    def retrieve(self, queries, k):
        found = []
        for query in queries:
            document, _, number = query.split()
            ranked = [Chunk(f"filler{n}", "x", (Span(1, 0, 1),), "x") for n in range(k)]
            ranked.insert(self.rank_of(self.now, document, int(number)) - 1, gold(document, number))
            found.append([ScoredChunk(c, 1 / rank, rank) for rank, c in enumerate(ranked[:k], 1)])
        return found


def gold(document, number):
    return Chunk(f"{document}-{number}", document, (Span(1, 0, 1),), "x")


def asked(documents, each):
    return [
        DevQuestion(TestQuestion(f"{d}-{n}", f"d{d} question {n}", ("x",), f"d{d}", (1,), ""), (gold(f"d{d}", str(n)),))
        for d in range(documents)
        for n in range(each)
    ]


def search(rank_of, documents=6, each=5, minutes=1.0, start=None):
    return auto(
        asked(documents, each), retriever=Ranks(rank_of), retrieval=start or Retrieval(), compare=COMPARE,
        minutes=minutes, progress=Silent(),
    )  # fmt: skip


def test_what_is_better_everywhere_is_chosen_and_reported_from_unseen_documents():
    report = search(lambda now, d, n: 1 if now.channels == ("words",) else 2)
    assert report["changes"]["channels"] == ["words"]
    assert report["changes"].keys() == {"channels", "depth"}
    assert report["changes"]["depth"] == 30  # makes no difference here, so the least does
    assert report["nested"]["chosen"]["mean"] == 1
    assert report["nested"]["before"]["mean"] == 0.5
    assert report["nested"]["difference"]["mean"] == 0.5
    assert report["nested"]["folds"] == 5
    row = next(row for row in report["table"] if row["changes"] == {"channels": ["words"]})
    assert (row["rr"], row["ndcg"], row["success"]) == (1, 1, 1)
    json.dumps(report)


def test_channels_stay_where_they_are_not_worse():
    start = Retrieval(depth=30)
    assert search(lambda now, d, n: 2, start=start)["changes"] == {}
    equal = search(lambda now, d, n: 1 + (n + (now.channels == ("words",))) % 2, each=4, start=start)
    assert equal["changes"] == {}


def test_a_choice_that_does_not_hold_on_unseen_documents_is_not_written():
    """Depth 30 puts the first document's gold first, and the others' third instead of second."""
    report = search(lambda now, d, n: 2 if now.depth != 30 else 1 if d == "d0" else 3, documents=3, each=10)
    assert report["chosen"]["depth"] == 30
    assert report["nested"]["difference"]["mean"] == pytest.approx((0 - 1 / 6 - 1 / 6) / 3)
    assert not report["holds"]
    assert report["changes"] == {}


def test_a_dearer_choice_must_gain_on_unseen_documents_and_a_cheaper_one_need_not():
    """mmr helps two documents of three: enough for the search on all, not for the searches that lack one of them."""

    def rank_of(now, document, number):
        return 1 if now.rerank == ("mmr",) and document in ("d0", "d1") else 2

    report = search(rank_of, documents=3, each=10, start=Retrieval(depth=30))
    assert report["chosen"]["rerank"] == ["mmr"]
    assert [pick.get("rerank") for pick in report["nested"]["picks"]] == [None, None, ["mmr"]]
    assert report["nested"]["difference"]["mean"] == 0
    assert (report["holds"], report["changes"]) == (False, {})
    report = search(lambda now, d, n: 2, documents=3, each=10)
    assert (report["holds"], report["changes"]) == (True, {"depth": 30})


def test_switches_build_on_each_other():
    def rank_of(now, document, number):
        return 4 - (now.channels == ("dense",)) - (now.rerank == ("mmr",)) - (now.diversity == 0.1)

    chosen = search(rank_of)["chosen"]
    assert (chosen["channels"], chosen["rerank"], chosen["diversity"]) == (["dense"], ["mmr"], 0.1)


def test_without_time_nothing_but_the_present_is_measured():
    report = search(lambda now, d, n: 1 if now.channels == ("words",) else 2, minutes=0.0)
    assert [row["switch"] for row in report["table"]] == ["before"]
    assert report["not_tried"] == [switch.name for switch in SWITCHES]
    assert report["changes"] == {}


def test_what_would_take_too_long_is_told_and_the_time_is_kept(monkeypatch):
    """The generator would need 60 s to load and 0.3 s a question; half a minute is not enough, and is not spent."""
    monkeypatch.setattr(Ranks, "using", lambda self, now: Ranks(self.rank_of, now))
    report = search(lambda now, d, n: 2, minutes=0.5)
    assert {row["switch"] for row in report["too_slow"]} == {"expand", "listwise"}
    assert not any("expand" in row["changes"] for row in report["table"])
    assert report["minutes"] < 0.5


def test_what_cannot_be_had_is_a_value_of_the_result():
    report = search(lambda now, d, n: 2)
    assert report["failed"] == {"Not here.": {"channels": ["questions"]}}
    assert not any("expand" in row["changes"] for row in report["table"])


def test_neighbours_k_and_order_stay():
    report = search(lambda now, d, n: 2, start=Retrieval(neighbours=2, k=7, order="reverse"))
    assert report["changes"].keys() <= {"depth", "channels"}
    assert {row["changes"].get("neighbours") for row in report["table"]} == {None}


@pytest.mark.parametrize(("documents", "each"), [(2, 30), (6, 3), (0, 0)])
def test_too_few_questions_or_documents(documents, each):
    with pytest.raises(NotReady, match="not enough dev questions"):
        search(lambda now, d, n: 1, documents, each)


def test_questions_without_evidence_are_counted():
    without = DevQuestion(TestQuestion("w", "Who?", ("x",), "d0", (), ""), ())
    report = auto(
        [*asked(4, 5), without], retriever=Ranks(lambda now, d, n: 1), retrieval=Retrieval(), compare=COMPARE,
        minutes=1.0, progress=Silent(),
    )  # fmt: skip
    assert (report["questions"], report["without_evidence"]) == (20, 1)


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 10**6))
def test_a_folds_choice_does_not_depend_on_its_own_documents(seed):
    """The ranks of one document are changed: the search that leaves it out chooses as before."""

    def rank_of(now, document, number, spoilt=None):
        return random.Random(f"{seed} {now} {document} {number} {spoilt if document == 'd1' else ''}").randint(1, 4)

    fold = folds({f"d{n}": 7 for n in range(4)})["d1"]
    one = search(rank_of, 4, 7)["nested"]["picks"][fold]
    other = search(lambda *given: rank_of(*given, spoilt="yes"), 4, 7)["nested"]["picks"][fold]
    assert one == other


@given(st.dictionaries(st.text(max_size=3), st.integers(1, 50), min_size=3, max_size=30))
def test_folds_hold_every_document_once_and_none_is_empty(documents):
    found = folds(documents)
    assert found.keys() == documents.keys()
    assert set(found.values()) == set(range(min(5, len(documents))))
    sizes = [sum(n for name, n in documents.items() if found[name] == fold) for fold in set(found.values())]
    assert max(sizes) - min(sizes) <= max(documents.values())


def test_the_simpler_setting_costs_less():
    plain = Retrieval(channels=("words",))
    dearer = [
        Retrieval(channels=("dense",)), Retrieval(), Retrieval(weights={"dense": 0.5}), Retrieval(rerank=("mmr",)),
        Retrieval(rerank=("cross-encoder",)), Retrieval(expand=("hyde",)),
    ]  # fmt: skip
    costs = [cost(each) for each in (plain, *dearer)]
    assert costs == sorted(costs)
    assert len(set(costs)) == len(costs)


def test_changes_are_those_of_the_second():
    assert changes(Retrieval(k=3), Retrieval(k=3, rerank=("mmr",), weights={"dense": 2.0})) == {
        "rerank": ["mmr"], "weights": {"dense": 2.0},
    }  # fmt: skip
