import copy
import itertools
from dataclasses import asdict

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldguide.errors import FieldguideError
from fieldguide.models.base import Message
from fieldguide.prompts import answer_prompt
from tuning.contexts import Shape, build_examples
from tuning.examples import Example
from tuning.loss import answer_loss
from tuning.tokenise import IGNORED, collate, tokenise

END = 0


class Letters:
    """A renderer whose tokens are characters and whose end token is also its padding."""

    def render(self, prompt):
        return [ord(c) for message in prompt for c in message.content]

    def completion_ids(self, text):
        return [*map(ord, text), END]


def example(prompt, completion, group=0):
    return Example(f"{prompt}-{group}", (Message("user", prompt),), completion, "retrieved", group)


def apart(examples):
    return [Example(e.pair, e.prompt, e.completion, e.gold, n) for n, e in enumerate(examples)]


# -- rows


def test_one_example_is_its_prompt_and_its_answer_with_the_end_token_labelled():
    [row] = tokenise([example("ab?", "yes")], Letters(), 100)
    assert row.input_ids == [*map(ord, "ab?yes"), END]
    assert row.labels == [IGNORED] * 3 + [*map(ord, "yes"), END]
    assert row.position_ids == list(range(7))
    assert row.examples == 1


def test_a_group_has_its_common_beginning_once_and_each_example_at_its_own_positions():
    group = [example("texts: a?", "yes"), example("texts: bc?", "no"), example("texts: a!", "5")]
    [row] = tokenise(group, Letters(), 100)
    assert row.input_ids == [
        *map(ord, "texts: "),
        *map(ord, "a?yes"),
        END,
        *map(ord, "bc?no"),
        END,
        *map(ord, "a!5"),
        END,
    ]
    assert row.part == [0] * 7 + [1] * 6 + [2] * 6 + [3] * 4
    assert row.position_ids == [*range(7), *range(7, 13), *range(7, 13), *range(7, 11)]
    assert row.labels == [
        *[IGNORED] * 9, *map(ord, "yes"), END, *[IGNORED] * 3, *map(ord, "no"), END, *[IGNORED] * 2, ord("5"), END,
    ]  # fmt: skip
    assert row.examples == 3


def test_the_token_that_predicts_an_answer_is_never_shared():
    [row] = tokenise([example("same?", "yes"), example("same?", "no")], Letters(), 100)
    assert row.part == [0] * 4 + [1] * 5 + [2] * 4
    [row] = tokenise([example("ab", "x"), example("abc", "y")], Letters(), 100)
    assert row.part == [0] + [1] * 3 + [2] * 4


def test_groups_stay_apart_and_in_their_order():
    rows = tokenise(
        [example("a?", "1", 0), example("a?", "2", 0), example("a?", "3", 1), example("a?", "4", 2)], Letters(), 9
    )
    assert [row.examples for row in rows] == [2, 1, 1]
    assert [[chr(t) for t in row.labels if t > END] for row in rows] == [["1", "2"], ["3"], ["4"]]


def test_an_example_over_the_limit_is_an_error_and_a_group_over_it_is_none():
    fits = [example("0123456?", "1"), example("0123457?", "2")]  # ten tokens each, fourteen together
    assert [len(row.input_ids) for row in tokenise(fits, Letters(), 10)] == [14]
    with pytest.raises(FieldguideError, match=r"has 10 tokens, the model reads 9; lower retrieval.k"):
        tokenise(fits, Letters(), 9)
    with pytest.raises(FieldguideError, match="has 11 tokens"):
        tokenise([*fits, example("0123456?", "12")], Letters(), 10)


words = st.text("ab", max_size=6)
groups = st.lists(st.lists(st.tuples(words.map(lambda w: "p" + w), words), min_size=1, max_size=4), max_size=4)


@given(groups)
@settings(max_examples=150, deadline=None)
def test_every_example_can_be_read_back_from_its_row(drawn):
    given_ = [example(prompt, answer, n) for n, members in enumerate(drawn) for prompt, answer in members]
    rows = tokenise(given_, Letters(), 100)
    assert sum(row.examples for row in rows) == len(given_)
    back = []
    for row in rows:
        for part in range(1, row.examples + 1):
            own = [i for i, p in enumerate(row.part) if p in (0, part)]
            assert [row.position_ids[i] for i in own] == list(range(len(own)))
            answer = [row.labels[i] for i in own if row.labels[i] != IGNORED]
            ids = [row.input_ids[i] for i in own]
            assert answer == ids[-len(answer) :]
            back.append((ids[: -len(answer)], answer))
        assert all(label == IGNORED for label, part in zip(row.labels, row.part, strict=True) if part == 0)
    letters = Letters()
    assert back == [(letters.render(e.prompt), letters.completion_ids(e.completion)) for e in given_]


def test_the_real_tokenizer_pads_with_its_end_token_which_is_learnt_all_the_same(tiny):
    assert tiny.tokenizer.pad_token_id == tiny.chat.end_id
    rows = tokenise([example("a?", "yes"), example("a?", "it is said to be no", 1)], tiny, 500)
    batch = collate([asdict(row) for row in rows], tiny.tokenizer.pad_token_id)
    for n, text in enumerate(["yes", "it is said to be no"]):
        labelled = batch["labels"][n][batch["labels"][n] != IGNORED].tolist()
        assert labelled == tiny.completion_ids(text)
        assert labelled[-1] == tiny.chat.end_id


# -- batches


def test_the_mask_lets_a_token_see_the_shared_beginning_and_its_own_part_only():
    row, short = tokenise([example("sa", "x"), example("sb", "y"), example("q", "z", 1)], Letters(), 100)
    batch = collate([asdict(row), asdict(short)], 77)
    assert batch["input_ids"].tolist() == [
        [*map(ord, "sax"), END, *map(ord, "by"), END],
        [*map(ord, "qz"), END, *[77] * 4],
    ]
    assert batch["labels"].tolist()[1] == [IGNORED, ord("z"), END, *[IGNORED] * 4]
    assert batch["position_ids"].tolist() == [[0, 1, 2, 3, 1, 2, 3], [0, 1, 2, 0, 0, 0, 0]]
    assert batch["attention_mask"].shape == (2, 1, 7, 7)
    assert batch["attention_mask"].int().tolist()[0][0] == [
        [1, 0, 0, 0, 0, 0, 0],
        [1, 1, 0, 0, 0, 0, 0],
        [1, 1, 1, 0, 0, 0, 0],
        [1, 1, 1, 1, 0, 0, 0],
        [1, 0, 0, 0, 1, 0, 0],
        [1, 0, 0, 0, 1, 1, 0],
        [1, 0, 0, 0, 1, 1, 1],
    ]
    mask = batch["attention_mask"][1, 0]
    assert mask[:3, :3].equal(torch.ones(3, 3, dtype=torch.bool).tril())
    assert not mask[:3, 3:].any()
    assert mask.any(dim=1).all()
    assert not mask[3:, :3].any()


@pytest.fixture(scope="module")
def trainable(tiny):
    """A copy of the tiny Llama, all of whose weights take gradients."""
    return copy.deepcopy(tiny.model).requires_grad_(True)


def loss_and_gradients(model, rows, pad):
    model.zero_grad()
    loss = answer_loss(model, collate([asdict(row) for row in rows], pad))
    loss.backward()
    return loss.detach(), {name: p.grad.clone() for name, p in model.named_parameters()}


def weighted(model, rows, pad):
    """Loss and gradients of the rows one by one, weighted by their answer tokens."""
    counts = [sum(label != IGNORED for label in row.labels) for row in rows]
    each = [loss_and_gradients(model, [row], pad) for row in rows]
    loss = sum(one * n for (one, _), n in zip(each, counts, strict=True)) / sum(counts)
    gradients = {
        name: sum(grads[name] * n for (_, grads), n in zip(each, counts, strict=True)) / sum(counts)
        for name in each[0][1]
    }
    return loss, gradients


def assert_equal(found, wanted):
    torch.testing.assert_close(found[0], wanted[0], atol=1e-5, rtol=1e-5)
    assert found[1].keys() == wanted[1].keys()
    for name, gradient in wanted[1].items():
        assert gradient.abs().max() > 1e-4, name
        torch.testing.assert_close(
            found[1][name], gradient, atol=1e-5, rtol=1e-5, msg=lambda m, name=name: f"{name}: {m}"
        )


@pytest.fixture(scope="module")
def questions(tiny):
    """Four questions over the same passages and three without any, with answers of different lengths."""
    from fieldguide.types import Chunk, Context, ScoredChunk

    passages = [Chunk("c", "d", (), "The wing is 12 feet long. The crew was not hurt.", (), "about d")]
    context = Context(tuple(ScoredChunk(c, 1.0, 1) for c in passages), "rank")
    asked = [
        ("How long is the wing?", "12 feet"),
        ("How long?", "12 feet, says the report"),
        ("Who?", "x"),
        ("Why?", ""),
    ]
    with_passages = [Example(q, answer_prompt(q, context), a, "retrieved", 0) for q, a in asked]
    closed = [Example(q, answer_prompt(q, None), a, "none", 1) for q, a in asked[:3]]
    return with_passages + closed


def test_loss_and_gradients_of_a_grouped_row_are_those_of_the_separate_examples(tiny, trainable, questions):
    pad = tiny.tokenizer.pad_token_id
    together = tokenise(questions, tiny, 500)
    alone = tokenise(apart(questions), tiny, 500)
    assert [row.examples for row in together] == [4, 3]
    assert [row.examples for row in alone] == [1] * 7
    assert len(together[0].input_ids) < sum(len(row.input_ids) for row in alone[:4]) / 2
    assert_equal(loss_and_gradients(trainable, together[:1], pad), weighted(trainable, alone[:4], pad))
    assert_equal(loss_and_gradients(trainable, together, pad), weighted(trainable, alone, pad))


def test_a_neighbour_in_the_row_changes_no_logit_of_an_example(tiny, questions):
    [row] = tokenise(questions[:4], tiny, 500)
    batch = collate([asdict(row)], 2)
    ids = batch["input_ids"].clone()
    second = torch.tensor(row.part) == 2
    ids[0, second] = 9
    with torch.no_grad():
        before = tiny.model(**{k: v for k, v in batch.items() if k != "labels"}).logits[0]
        after = tiny.model(**{k: v for k, v in batch.items() if k != "labels"} | {"input_ids": ids}).logits[0]
    assert torch.equal(before[~second], after[~second])
    assert not torch.isclose(before[second], after[second]).all()


def test_padding_changes_nothing_whatever_the_padding_token(tiny, trainable, questions):
    rows = tokenise(apart(questions), tiny, 500)
    assert len({len(row.input_ids) for row in rows}) > 3
    found = loss_and_gradients(trainable, rows, 2)
    assert_equal(found, weighted(trainable, rows, 2))
    other = loss_and_gradients(trainable, rows, 7)
    assert torch.equal(found[0], other[0])
    assert all(torch.equal(found[1][name], other[1][name]) for name in found[1])


def test_a_plain_causal_mask_gives_the_same_loss_for_a_single_example(tiny, questions):
    for row in tokenise(apart(questions), tiny, 500):
        ids, labels = torch.tensor([row.input_ids]), torch.tensor([row.labels])
        with torch.no_grad():
            theirs = tiny.model(input_ids=ids, labels=labels).loss
            ours = answer_loss(tiny.model, collate([asdict(row)], 2))
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)


def test_rows_of_the_production_examples_hold_every_pair_once(shelf, tiny):
    pairs = shelf.catalog.pairs("train")
    examples = build_examples(
        pairs, [shelf.retriever], shelf.catalog.chunks(), Shape(closed_book_share=0.3, per_context=8)
    )
    rows = tokenise(examples, tiny, 1024)
    answers = []
    for row in rows:
        for part, tokens in itertools.groupby(zip(row.part, row.labels, strict=True), key=lambda t: t[0]):
            if part:
                answers.append([label for _, label in tokens if label != IGNORED])
    assert answers == [tiny.completion_ids(e.completion) for e in examples]
    assert sorted(e.pair for e in examples if e.gold != "none") == sorted(p.id for p in pairs)
