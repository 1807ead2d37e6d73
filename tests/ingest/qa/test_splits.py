from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st

from fieldguide.settings import Questions
from fieldguide.types import Evidence, QAPair, Span
from ingest.qa.leaks import find_leaks
from ingest.qa.same import attribute, clusters, shared_facts
from ingest.qa.splits import CHOOSING, ELSEWHERE, HELD_OUT, SEEN, TRAINED, assign_splits, group_tests, tie

NAMES = st.sets(st.text("abcdef", min_size=1, max_size=6), max_size=40).map(sorted)
SHARES = st.tuples(st.floats(0, 0.7), st.floats(0, 0.29)).map(lambda s: Questions(dev_share=s[0], test_share=s[1]))


def counts(splits):
    return [list(splits.values()).count(name) for name in ("train", "dev", "test")]


def place(document, fact, *, width=10):
    return Evidence(document, (Span(1, fact * 100, fact * 100 + width),), f"value {fact}")


def pair(document, fact, way=0, **given):
    """A wording of a fact of a document; facts of one document never overlap."""
    values = {
        "id": f"{document}-{fact}-{way}", "question": f"What about {'xyzuvw'[way]} is thing {fact} of {document}?",
        "answer": f"value {fact}", "document": document, "chunk": "c", "evidence": (place(document, fact),),
        "kind": "fact", "origin": "rules", "split": "train",
    }  # fmt: skip
    return QAPair(**(values | given))


def by_id(pairs):
    return {p.id: (p.split, p.group) for p in pairs}


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
def test_documents_get_one_split_for_good_and_something_is_left_for_training(first, more, settings):
    splits = assign_splits(first, {}, settings)
    assert splits == assign_splits(first[::-1], {}, settings)
    assert splits.keys() == set(first)
    assert not first or "train" in splits.values()
    later = assign_splits(sorted({*first, *more}), dict(splits), settings)
    assert later.keys() == set(more) - set(first)  # no document that has a split gets another


def test_the_seed_decides():
    names = [f"d{n}" for n in range(20)]
    assert assign_splits(names, {}, Questions(seed=1)) != assign_splits(names, {}, Questions(seed=2))


@given(NAMES, st.lists(st.tuples(st.integers(0, 39), st.integers(0, 39)), max_size=20), SHARES)
def test_near_duplicates_are_never_parted(names, related, settings):
    rows = [(names[a % len(names)], names[b % len(names)], 0.95) for a, b in related] if names else []
    splits = assign_splits(names, {}, settings, tie(names, rows))
    assert splits.keys() == set(names)
    assert all(splits[a] == splits[b] for a, b, _ in rows)
    assert not names or "train" in splits.values()


def test_a_new_document_goes_where_its_near_duplicate_is():
    ties = tie(["a", "b", "c", "n"], [("n", "b", 0.97), ("gone", "a", 0.9)])
    assert ties == {"a": "a", "b": "b", "c": "c", "n": "b"}
    known = {"a": "train", "b": "test", "c": "train", "n": None}
    assert assign_splits(["a", "b", "c", "n"], known, Questions(test_share=0), ties) == {"n": "test"}


def test_what_one_fact_is():
    d = "d"
    base = pair(d, 1, answer="31 minutes")
    said = replace(base, id="long", question="How long, in full?", answer="about 31 minutes")
    yes = replace(base, id="yes", question="Did it take 31 minutes?", answer="Yes", kind="yes/no")
    other = replace(base, id="other", question="Who flew on?", answer="the pilot")
    twice = replace(base, id="twice", question="How long again?", evidence=(place(d, 7),))
    short = replace(base, id="short", answer="no", evidence=(place(d, 8),))
    short2 = replace(short, id="short2", question="Was there fire?", evidence=(place(d, 9),))
    joined = replace(base, id="joined", question="What of both?", evidence=(place(d, 1), place(d, 7)))
    pairs = [base, said, yes, other, twice, short, short2, joined]
    held = {frozenset((pairs[a].id, pairs[b].id)) for a, b in shared_facts(pairs)}
    assert held == {frozenset(two) for two in [("d-1-0", "long"), ("d-1-0", "yes"), ("d-1-0", "twice")]}
    assert clusters(5, [(3, 4), (1, 3)]) == [0, 1, 2, 1, 1]
    assert [*shared_facts([base, replace(base, id="e", document="e", evidence=(place("e", 1),))], {"e": "d"})] == [
        (0, 1)
    ]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("12/06/2007", "December 6, 2007", True),
        ("1045 UTC", "1045 coordinated universal time", True),
        ("1045 UTC", "1046 UTC", False),
        ("the left wing", "the LEFT wing.", True),
        ("100 ft", "75 ft", False),
        ("Yes", "Yes", False),
        ("3", "3", False),
    ],
)
def test_a_document_may_state_a_fact_twice(one, other, same):
    pairs = [pair("d", 1, answer=one, question="What is it?"), pair("d", 2, answer=other, question="Is there more?")]
    assert ([*shared_facts(pairs)] == [(0, 1)]) is same


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("How many hours had the pilot in Belen, NM flown?", "How many hours had the pilot in Elyria, OH flown?", True),
        ("What was the width of the runway used by N103JT?", "What was the width of the runway used by N50DS?", True),
        ("What engines did the Piper PA-18-135 N1181Y have?", "What engines did the Cessna 152 have?", True),
        ("What was revenue in the report for 2019?", "What was revenue in fiscal 2021?", False),
        ("How old was the pilot in Belen, NM?", "How old was the passenger in Belen, NM?", False),
    ],
)
def test_an_attribute_is_the_question_without_names_and_numbers(one, other, same):
    assert (attribute(one) == attribute(other)) is same
    assert attribute(one)


def test_shares_of_facts_and_groups():
    pairs = [pair("d", fact, way) for fact in range(40) for way in range(2)]
    out = group_tests(pairs, {"d": "train"}, Questions(held_out_share=0.2, seen_share=0.25))
    facts = {}
    for p in out:
        facts.setdefault(p.id.split("-")[1], []).append((p.split, p.group))
    kinds = Counter(tuple(sorted(held)) for held in facts.values())
    assert kinds == {
        (("test", HELD_OUT),) * 2: 8,
        (("test", SEEN), ("train", TRAINED)): 8,
        (("train", TRAINED),) * 2: 24,
    }
    assert [p.id for p in out] == [p.id for p in pairs]
    assert by_id(out) == by_id(group_tests(pairs[::-1], {"d": "train"}, Questions(held_out_share=0.2, seen_share=0.25)))
    assert by_id(out) != by_id(
        group_tests(pairs, {"d": "train"}, Questions(held_out_share=0.2, seen_share=0.25, seed=1))
    )


def test_pairs_of_dev_and_test_documents_and_the_attribute_that_is_trained_on():
    asked = "How many hours had the pilot in {} flown?"
    pairs = [
        pair("a", 1, question=asked.format("Belen, NM"), answer="475 hours"),
        pair("t", 1, question=asked.format("Elyria, OH"), answer="90 hours"),
        pair("t", 2, question="What did the tree weigh in Elyria, OH?", answer="two tons"),
        pair("v", 1, question=asked.format("Madill, OK"), answer="12 hours"),
    ]
    splits = {"a": "train", "t": "test", "v": "dev"}
    out = group_tests(pairs, splits, Questions(held_out_share=0))
    assert [(p.split, p.group) for p in out] == [
        ("train", TRAINED), ("test", ELSEWHERE), ("test", HELD_OUT), ("dev", CHOOSING),
    ]  # fmt: skip
    assert [p.group for p in group_tests(pairs[1:], splits, Questions())] == [HELD_OUT, HELD_OUT, CHOOSING]


def test_a_question_over_several_facts_is_trained_on_only_if_all_are():
    both = (place("a", 1), place("a", 2))
    pairs = [
        pair("a", 1), pair("a", 2), pair("t", 1), pair("v", 1),
        pair("a", 5, id="same", question="Which is more, one or two?", answer="one", evidence=both),
        pair("a", 6, id="far", question="What of both shelves?", evidence=(place("a", 1), place("t", 3))),
        pair("v", 7, id="mixed", question="What of all of it?", evidence=(place("v", 4), place("t", 4))),
        pair("a", 8, id="dev", question="What of these?", evidence=(place("a", 2), place("v", 5))),
    ]  # fmt: skip
    splits = {"a": "train", "t": "test", "v": "dev"}
    out = by_id(group_tests(pairs, splits, Questions(held_out_share=0)))
    assert out["same"] == ("train", TRAINED)
    assert (out["far"], out["mixed"], out["dev"]) == (("test", HELD_OUT), ("test", HELD_OUT), ("dev", CHOOSING))
    held = [replace(pairs[0], group=HELD_OUT, split="test"), *pairs[1:]]
    assert by_id(group_tests(held, splits, Questions(held_out_share=0)))["same"] == ("test", HELD_OUT)


def test_a_follow_up_goes_with_what_was_asked_before():
    first = pair("a", 1, group=HELD_OUT, split="test")
    later = pair("a", 2, id="later", question="And how old was he?", after=(first.question.upper(),))
    out = by_id(group_tests([first, later], {"a": "train"}, Questions(held_out_share=0)))
    assert out["later"] == ("test", HELD_OUT)


def test_settled_facts_stay_and_new_pairs_follow_them():
    held = pair("a", 1, group=HELD_OUT, split="test")
    trained = pair("a", 2, group=TRAINED)
    pairs = [held, trained, pair("a", 1, 1), pair("a", 2, 1)]
    for share in (0.0, 0.9):
        out = by_id(group_tests(pairs, {"a": "train"}, Questions(held_out_share=share, seen_share=0)))
        assert [*out.values()] == [("test", HELD_OUT), ("train", TRAINED)] * 2


def test_a_trained_fact_that_a_test_document_brings_is_seen_or_trained():
    trained = pair("a", 2, group=TRAINED, question="What is the FAA?", answer="an agency")
    same = pair("t", 1, id="same", question="What is the FAA ?", answer="an agency")
    other = pair("t", 1, 1, id="other", question="What is the FAA, in short?", answer="an agency")
    out = by_id(group_tests([trained, same, other], {"a": "train", "t": "test"}, Questions()))
    assert out == {"a-2-0": ("train", TRAINED), "same": ("train", TRAINED), "other": ("test", SEEN)}


def test_facts_that_a_later_pair_joins_stay_apart():
    held = pair("a", 1, group=HELD_OUT, split="test", answer="three")
    trained = pair("a", 2, group=TRAINED, answer="four")
    wide = Evidence("a", (Span(1, 100, 300),), "three … four")
    joins = pair("a", 3, id="joins", answer="three and four", evidence=(wide,))
    out = group_tests([held, trained, joins], {"a": "train"}, Questions(held_out_share=0))
    assert by_id(out) == {"a-1-0": ("test", HELD_OUT), "a-2-0": ("train", TRAINED), "joins": ("test", SEEN)}
    assert find_leaks(out, None, 0.95) == []


def test_rejected_pairs_count_for_no_share():
    pairs = [pair("a", fact, verdict="rejected" if fact < 8 else "") for fact in range(10)]
    out = group_tests(pairs, {"a": "train"}, Questions(held_out_share=0.5))
    assert [p.group for p in out[8:]].count(HELD_OUT) == 1


DOCUMENTS = "abcdefg"
PLACES = st.tuples(st.sampled_from(DOCUMENTS), st.integers(0, 12), st.integers(1, 6)).map(
    lambda p: (p[0], p[1], p[1] + p[2])
)


@st.composite
def shelves(draw):
    pairs = []
    for n in range(draw(st.integers(1, 12))):
        spots = draw(st.lists(PLACES, min_size=1, max_size=2))
        document = spots[0][0]
        evidence = tuple(Evidence(d, (Span(1, a, b),), "q") for d, a, b in spots)
        question = f"What is {draw(st.sampled_from(['one', 'two', 'three', 'four']))} {draw(st.integers(0, 9))} here?"
        earlier = [p.question for p in pairs if p.document == document and not p.after]
        after = (draw(st.sampled_from(earlier)),) if earlier and draw(st.integers(0, 4)) == 0 else ()
        answer = draw(st.sampled_from(["red", "blue", "red or blue", "Yes", "seven tall trees"]))
        verdict = draw(st.sampled_from(["", "", "rejected"]))
        pairs.append(
            pair(
                document,
                n,
                id=f"p{n:02}",
                question=question,
                answer=answer,
                evidence=evidence,
                after=after,
                verdict=verdict,
            )
        )
    return list({(p.question, p.after): p for p in pairs}.values())  # as after deduplication


@effort(deadline=None, max_examples=60)
@given(
    shelves(), st.integers(0, 12), st.sampled_from([0.0, 0.1, 0.4]), st.sampled_from([0.0, 0.1, 0.6]), st.integers(0, 3)
)
def test_no_fact_straddles_and_nothing_that_is_settled_moves(pairs, cut, held_out, seen, seed):
    settings = Questions(held_out_share=held_out, seen_share=seen, seed=seed)
    splits = dict(zip(DOCUMENTS, ["train", "train", "train", "train", "dev", "test", "test"]))
    first = group_tests(pairs[:cut], splits, settings)
    assert find_leaks(first, None, 1.0) == []
    assert by_id(group_tests(first, splits, settings)) == by_id(first)
    later = group_tests([*first, *pairs[cut:]], splits, settings)
    assert find_leaks(later, None, 1.0) == []
    before, after = by_id(first), by_id(later)
    assert {name: after[name][0] for name in before} == {name: split for name, (split, _) in before.items()}
