"""Calls to a generator that are cached by content, counted, and kept within a budget.

Knows nothing of what is asked. Whoever asks the same again, in this run or after a kill, is answered from the cache.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple, Protocol

from fieldguide.errors import FieldguideError
from fieldguide.models.base import Generation, Generator, Prompt
from fieldguide.models.parallel import Unfinished
from fieldguide.types import content_hash

_BATCH = 8


class Cache(Protocol):
    """Bodies by key; ``fieldguide.catalog.Catalog`` is one."""

    def answer(self, key: str) -> Mapping[str, Any] | None: ...

    def store_answer(self, key: str, body: Mapping[str, Any]) -> None: ...


@dataclass(frozen=True, slots=True)
class Budget:
    """The most that one run may use; 0 is no limit. ``money`` is in the currency of the provider or the prices."""

    tokens: int = 0
    money: float = 0.0


NO_BUDGET = Budget()


class BudgetReached(FieldguideError):
    """The next call would go beyond the budget."""


@dataclass(frozen=True, slots=True)
class Spent:
    """What was used so far. ``calls`` were made and paid for, ``cached`` were not; tokens are those of the calls."""

    calls: int = 0
    cached: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    money: float = 0.0

    @property
    def tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens


@dataclass(frozen=True, slots=True)
class Estimate:
    """The most that prompts may use: each answer as long as it may be. ``money`` is 0 if no price is known."""

    calls: int
    tokens: int
    money: float


class _Options(NamedTuple):
    """Everything beside the prompt that decides what is generated."""

    max_new_tokens: int
    temperature: float
    seed: int
    stop: tuple[str, ...]
    adapter: str | None


class _Call(NamedTuple):
    """One thing to generate, and the key that it is cached under."""

    key: str
    prompt: Prompt
    seed: int


class Calls:
    """A generator whose replies are kept: the same prompt with the same options is generated once.

    Without ``cache`` replies are kept in memory, for this object's life. Batches are of ``max(8, 2 * concurrency)``
    prompts; a batch is stored when it is done, so that a killed run loses at most one.
    """

    def __init__(self, generator: Generator, cache: Cache | None = None, budget: Budget = NO_BUDGET) -> None:
        self.generator = generator
        self._cache = cache if cache is not None else _Memory()
        self._budget = budget
        self._spent = Spent()
        self._batch = max(_BATCH, 2 * int(getattr(generator, "concurrency", 1)))

    @property
    def spent(self) -> Spent:
        return self._spent

    @property
    def context_tokens(self) -> int:
        return self.generator.context_tokens

    def count_tokens(self, prompt: Prompt) -> int:
        return self.generator.count_tokens(prompt)

    def ask(
        self,
        prompts: Sequence[Prompt],
        *,
        max_new_tokens: int,
        temperature: float = 0.0,
        seed: int = 0,
        stop: Sequence[str] = (),
        adapter: str | None = None,
    ) -> list[Generation]:
        """One generation for each prompt, in order; arguments and errors as of ``Generator.generate``.

        Equal prompts get one and the same reply at temperature 0, else a draw each. What a batch may use at most is
        compared with the budget before it is sent; of a batch that would go beyond it only the prompts that fit are
        sent, and then BudgetReached is raised. Whatever was generated is in the cache, also if the call raises.
        """
        options = _Options(max_new_tokens, temperature, seed, tuple(stop), adapter)
        calls = _calls(prompts, options, self.generator.id)
        found: dict[str, Generation] = {}
        waiting: dict[int, dict[str, _Call]] = {}
        for call in calls:
            missing = waiting.setdefault(call.seed, {})
            if call.key not in found and call.key not in missing:
                body = self._cache.answer(call.key)
                if body is None:
                    missing[call.key] = call
                else:
                    found[call.key] = Generation(**body)
        self._count(cached=len(calls) - sum(map(len, waiting.values())))
        for drawn, missing in waiting.items():
            todo = list(missing.values())
            while todo:
                batch = self._affordable(todo[: self._batch], max_new_tokens)
                found |= self._generate(batch, options._replace(seed=drawn))
                todo = todo[len(batch) :]
        return [found[call.key] for call in calls]

    def estimate(
        self,
        prompts: Sequence[Prompt],
        max_new_tokens: int,
        *,
        temperature: float = 0.0,
        seed: int = 0,
        stop: Sequence[str] = (),
        adapter: str | None = None,
    ) -> Estimate:
        """What ``ask`` with these arguments may use at most: calls that are cached cost nothing."""
        options = _Options(max_new_tokens, temperature, seed, tuple(stop), adapter)
        calls = {call.key: call for call in _calls(prompts, options, self.generator.id)}
        return self._estimate([c for c in calls.values() if self._cache.answer(c.key) is None], max_new_tokens)

    def _generate(self, batch: Sequence[_Call], options: _Options) -> dict[str, Generation]:
        prompts = [call.prompt for call in batch]
        try:
            replies = self.generator.generate(prompts, **options._asdict())
        except Unfinished as error:
            self._keep(batch, error.finished)
            raise
        return self._keep(batch, dict(enumerate(replies)))

    def _keep(self, batch: Sequence[_Call], replies: Mapping[int, Generation]) -> dict[str, Generation]:
        kept = {}
        for place, generation in sorted(replies.items()):
            kept[batch[place].key] = generation
            self._cache.store_answer(batch[place].key, asdict(generation))
            self._count(generation)
        return kept

    def _count(self, made: Generation | None = None, cached: int = 0) -> None:
        s = self._spent
        self._spent = Spent(
            s.calls + (made is not None),
            s.cached + cached,
            s.prompt_tokens + (made.prompt_tokens if made else 0),
            s.completion_tokens + (made.completion_tokens if made else 0),
            s.money + (made.money if made else 0.0),
        )

    def _estimate(self, calls: Sequence[_Call], max_new_tokens: int) -> Estimate:
        sent = sum(self.generator.count_tokens(call.prompt) for call in calls)
        tokens = sent + max_new_tokens * len(calls)
        price = getattr(self.generator, "price", None)
        money = price(sent, max_new_tokens * len(calls)) if price is not None else 0.0
        if self._spent.tokens:  # what the provider charged says more than the prices
            money = max(money, self._spent.money / self._spent.tokens * tokens)
        return Estimate(len(calls), tokens, money)

    def _affordable(self, batch: list[_Call], max_new_tokens: int) -> list[_Call]:
        """As many of the batch's calls, from its beginning, as the budget allows. Raises BudgetReached if none."""
        if self._budget == NO_BUDGET:
            return batch
        b, s = self._budget, self._spent
        if b.money and s.calls and not getattr(self.generator, "money_known", True):
            raise BudgetReached(
                "The budget of money cannot be kept: the provider does not tell what a call costs; set "
                "models.price_input and models.price_output, or questions.budget_tokens instead."
            )
        for number in range(len(batch), 0, -1):
            need = self._estimate(batch[:number], max_new_tokens)
            if (not b.tokens or s.tokens + need.tokens <= b.tokens) and (
                not b.money or s.money + need.money <= b.money
            ):
                return batch[:number]
        raise BudgetReached(
            f"The budget is reached: {s.calls} calls used {s.tokens} tokens"
            + (f" and {s.money:.4g} in money" if s.money else "")
            + ", and the next may go beyond it; what is done is kept: raise questions.budget_tokens or "
            "questions.budget_money, and run it again to go on."
        )


def _calls(prompts: Sequence[Prompt], options: _Options, generator: str) -> list[_Call]:
    made = []
    drawn: dict[Prompt, int] = {}
    for prompt in prompts:
        turn = drawn[prompt] = drawn.get(prompt, -1) + 1
        seed = options.seed
        if options.temperature > 0 and turn > 0:
            # A draw must not depend on which of the others are in the cache, so each has a seed of its own.
            seed = int(content_hash(str(seed), str(turn))[:7], 16)
        told = [part for message in prompt for part in (message.role, message.content)]
        decoding = (options.max_new_tokens, float(options.temperature), seed, options.adapter, len(options.stop))
        key = content_hash("call", generator, repr(decoding), *options.stop, *told)
        made.append(_Call(key, prompt, seed))
    return made


class _Memory:
    """A cache that ends with the object that holds it."""

    def __init__(self) -> None:
        self._bodies: dict[str, dict[str, Any]] = {}

    def answer(self, key: str) -> Mapping[str, Any] | None:
        return self._bodies.get(key)

    def store_answer(self, key: str, body: Mapping[str, Any]) -> None:
        self._bodies[key] = dict(body)
