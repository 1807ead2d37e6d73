"""Calls are cached by content, counted, and kept within a budget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldguide.catalog import Catalog
from fieldguide.models.base import Generation, Message, Prompt
from fieldguide.models.parallel import Unfinished
from fieldguide.models.scripted import ScriptedGenerator
from ingest.qa.calls import Budget, BudgetReached, Calls, Estimate, Spent


def prompt(text: str) -> Prompt:
    return (Message("system", "Be brief."), Message("user", text))


def numbered(count: int) -> list[Prompt]:
    return [prompt(f"number {n}") for n in range(count)]


def echo(asked: Prompt, adapter: str | None) -> str:
    return f"reply to {asked[-1].content}"


class Shop(ScriptedGenerator):
    """Takes ``fee`` for each reply, and fails at the prompts of ``broken``. A prompt has 6 tokens, a reply 4."""

    def __init__(self, fee: float = 0.0, price: float = 0.0, broken: Sequence[str] = ()) -> None:
        super().__init__(echo)
        self.fee, self.each, self.broken = fee, price, broken
        self.batches: list[int] = []

    @property
    def money_known(self) -> bool:
        return bool(self.fee or self.each)

    def price(self, prompt_tokens: int, completion_tokens: int) -> float:
        return (prompt_tokens + completion_tokens) * self.each

    def generate(self, prompts: Sequence[Prompt], **options: Any) -> list[Generation]:
        self.batches.append(len(prompts))
        made = [replace(g, money=self.fee) for g in super().generate(prompts, **options)]
        bad = [n for n, asked in enumerate(prompts) if asked[-1].content in self.broken]
        if bad:
            raise Unfinished("the server fails", {n: g for n, g in enumerate(made) if n not in bad})
        return made


class Kept(dict[str, Mapping[str, Any]]):
    """A cache that a test can look into."""

    def answer(self, key: str) -> Mapping[str, Any] | None:
        return self.get(key)

    def store_answer(self, key: str, body: Mapping[str, Any]) -> None:
        self[key] = dict(body)


def test_a_second_run_asks_nothing_and_gives_the_same(tmp_path: Path) -> None:
    with_money = Shop(fee=0.25)
    catalog = Catalog.open(tmp_path / "catalog.sqlite")
    first = Calls(with_money, catalog)
    made = first.ask(numbered(3), max_new_tokens=9, stop=["#"])
    assert made[2] == Generation("reply to number 2", 6, 4, "stop", None, 0.25)
    assert first.spent == Spent(calls=3, cached=0, prompt_tokens=18, completion_tokens=12, money=0.75)
    catalog.close()
    catalog = Catalog.open(tmp_path / "catalog.sqlite")
    again = Shop()
    second = Calls(again, catalog)
    assert second.ask(numbered(3)[::-1], max_new_tokens=9, stop=["#"]) == made[::-1]
    assert again.batches == []
    assert second.spent == Spent(calls=0, cached=3)
    catalog.close()


@pytest.mark.parametrize(
    "other",
    [{"max_new_tokens": 8}, {"temperature": 0.5}, {"seed": 1}, {"stop": ["x"]}, {"stop": ["x", "y"]}, {"stop": ["xy"]}],
)
def test_every_option_makes_a_key_of_its_own(other: dict[str, Any]) -> None:
    calls = Calls(ScriptedGenerator(echo), cache := Kept())
    calls.ask([prompt("a")], max_new_tokens=9)
    calls.ask([prompt("a")], **({"max_new_tokens": 9} | other))
    assert (calls.spent.calls, len(cache)) == (2, 2)


def test_generator_adapter_and_roles_are_in_the_key(tmp_path: Path) -> None:
    cache = Kept()
    (tmp_path / "adapter_model.safetensors").write_bytes(b"x")
    generator = ScriptedGenerator(echo)
    adapter = generator.load_adapter(tmp_path)
    Calls(generator, cache).ask([prompt("a")], max_new_tokens=9)
    (tuned,) = Calls(generator, cache).ask([prompt("a")], max_new_tokens=9, adapter=adapter)
    assert tuned.adapter == adapter
    Calls(ScriptedGenerator(echo, base="another"), cache).ask([prompt("a")], max_new_tokens=9)
    Calls(generator, cache).ask([(Message("user", "Be brief."), Message("user", "a"))], max_new_tokens=9)
    assert len(cache) == 4


def test_equal_prompts_are_asked_once_and_drawn_each() -> None:
    generator = ScriptedGenerator(echo)
    calls = Calls(generator)
    same = [prompt("a"), prompt("b"), prompt("a")]
    assert [g.text for g in calls.ask(same, max_new_tokens=9)] == ["reply to a", "reply to b", "reply to a"]
    assert calls.spent == Spent(calls=2, cached=1, prompt_tokens=10, completion_tokens=6)
    drawn = [g.text for g in calls.ask(same, max_new_tokens=9, temperature=1.0, seed=3)]
    assert drawn[:2] == ["reply to a #3", "reply to b #3"]
    assert drawn[2] != drawn[0]


def test_draws_do_not_depend_on_what_is_cached() -> None:
    options: dict[str, Any] = {"max_new_tokens": 9, "temperature": 1.0, "seed": 3}
    undisturbed = Calls(ScriptedGenerator(echo)).ask([prompt("a")] * 3, **options)
    resumed = Calls(ScriptedGenerator(echo))
    resumed.ask([prompt("a")], **options)
    assert resumed.ask([prompt("a")] * 3, **options) == undisturbed
    assert len({g.text for g in undisturbed}) == 3


def test_batches_grow_with_concurrency_and_each_is_kept_when_done() -> None:
    generator, cache = Shop(), Kept()
    Calls(generator, cache).ask(numbered(20), max_new_tokens=9)
    assert generator.batches == [8, 8, 4]
    wide = Shop()
    wide.concurrency = 6  # type: ignore[attr-defined]
    Calls(wide).ask(numbered(20), max_new_tokens=9)
    assert wide.batches == [12, 8]


def test_a_failure_loses_nothing_that_was_paid_for() -> None:
    cache = Kept()
    calls = Calls(Shop(fee=1.0, broken=["number 9"]), cache)
    with pytest.raises(Unfinished, match="the server fails"):
        calls.ask(numbered(12), max_new_tokens=9)
    assert calls.spent == Spent(calls=11, cached=0, prompt_tokens=66, completion_tokens=44, money=11.0)
    mended = Shop()
    made = Calls(mended, cache).ask(numbered(12), max_new_tokens=9)
    assert mended.batches == [1]
    assert [g.text for g in made] == [f"reply to number {n}" for n in range(12)]


def test_a_budget_of_tokens_is_never_passed() -> None:
    cache = Kept()
    calls = Calls(Shop(), cache, Budget(tokens=100))
    with pytest.raises(BudgetReached, match=r"^The budget is reached: 9 calls used 90 tokens, and the next may go"):
        calls.ask(numbered(50), max_new_tokens=5)  # 11 at most, 10 in fact
    assert (calls.spent.tokens, len(cache)) == (90, 9)
    again = Calls(Shop(), cache, Budget(tokens=100))
    with pytest.raises(BudgetReached):
        again.ask(numbered(50), max_new_tokens=5)
    assert (again.spent.calls, again.spent.cached, len(cache)) == (9, 9, 18)
    assert [g.text for g in again.ask(numbered(2), max_new_tokens=5)] == ["reply to number 0", "reply to number 1"]


def test_a_budget_of_money_by_price() -> None:
    calls = Calls(Shop(fee=0.1, price=0.01), budget=Budget(money=0.5))
    with pytest.raises(BudgetReached, match=r"4 calls used 40 tokens and 0.4 in money"):
        calls.ask(numbered(50), max_new_tokens=5)
    assert calls.spent.money == pytest.approx(0.4)


def test_a_budget_of_money_as_the_provider_tells_it_is_passed_by_one_batch_at_most() -> None:
    generator = Shop(fee=0.1)
    calls = Calls(generator, budget=Budget(money=1.3))
    with pytest.raises(BudgetReached):
        calls.ask(numbered(50), max_new_tokens=5)
    assert generator.batches == [8, 4]  # the first batch shows that a token costs 0.01: 4 * 0.11 fit, 5 do not


def test_a_budget_of_money_that_cannot_be_kept_is_refused() -> None:
    calls = Calls(Shop(), budget=Budget(money=1.0))
    with pytest.raises(BudgetReached, match=r"set models.price_input and models.price_output"):
        calls.ask(numbered(50), max_new_tokens=5)
    assert calls.spent.calls == 8
    assert len(Calls(ScriptedGenerator(echo), budget=Budget(money=1.0)).ask(numbered(50), max_new_tokens=5)) == 50


def test_estimate_counts_what_is_not_cached_at_its_longest() -> None:
    calls = Calls(Shop(price=0.5))
    assert calls.estimate(numbered(3) * 2, 10) == Estimate(calls=3, tokens=48, money=24.0)
    calls.ask(numbered(2), max_new_tokens=10)
    assert calls.estimate(numbered(3), 10) == Estimate(calls=1, tokens=16, money=8.0)
    assert calls.estimate(numbered(2), 10, seed=1).calls == 2
    assert (calls.count_tokens(prompt("a b")), calls.context_tokens) == (6, 4096)


@given(st.lists(st.sampled_from("abcdefghij"), max_size=30), st.lists(st.integers(0, 30), max_size=4))
@settings(max_examples=60, deadline=None)
def test_any_interruptions_give_what_an_undisturbed_run_gives(letters: list[str], stops: list[int]) -> None:
    prompts = [prompt(letter) for letter in letters]
    options: dict[str, Any] = {"max_new_tokens": 9, "temperature": 1.0}
    whole = Calls(Shop())
    expected = whole.ask(prompts, **options)
    cache, paid = Kept(), 0
    for stop in [*stops, 0]:  # 0 is no limit
        calls = Calls(Shop(), cache, Budget(tokens=stop * 14))
        try:
            made = calls.ask(prompts, **options)
        except BudgetReached:
            made = []
        paid += calls.spent.calls
    assert made == expected
    assert paid == whole.spent.calls == len(cache)
