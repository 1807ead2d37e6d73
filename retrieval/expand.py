"""Further queries from a query: its parts, a made-up passage, the tuned model's own guess.

What was made is kept as long as the tools live, so that tuning, serving and a search of the settings do not ask a model
twice. What a model writes here is only ever a query: it is never shown or cited.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Sequence
from weakref import WeakKeyDictionary

from fieldguide import prompts
from fieldguide.errors import FieldguideError
from fieldguide.models.base import Generator, Message, Prompt
from fieldguide.settings import Retrieval
from fieldguide.types import content_hash
from retrieval.query import Expander, Tools
from retrieval.split_question import MOST_PARTS, split_question

_KEPT = 10_000  # queries whose expansions are remembered
_TOKENS = {"decompose": 64, "hyde": 96, "guess": 48}
_WORD = re.compile(r"\w+")
_BULLET = re.compile(r"^\s*(?:[-*•–]|\(?\d{1,2}[.):])\s*")
_LABEL = re.compile(
    r"^(?:(?:sub-?questions?|questions?|simple questions?|passage|answer)\s*\d*\s*:|the answer is\b:?)\s*",
    re.IGNORECASE,
)


class _Memory:
    """What was made already, under (name, adapter, query); shared by all retrievers that have the same tools."""

    def __init__(self) -> None:
        self.known: dict[tuple[str, str | None, str], list[str]] = {}
        self.lock = threading.Lock()


_MEMORIES: WeakKeyDictionary[Tools, _Memory] = WeakKeyDictionary()

Read = Callable[[str, str], list[str]]
"""(query, reply) to the further queries; none if the reply is of no use."""


def expander(name: str, settings: Retrieval, tools: Tools | None) -> Expander:
    """The step that retrieval.expand calls "decompose", "hyde" or "guess".

    "decompose" works without ``tools``, by rules alone. Raises FieldguideError for another name, or for one that
    needs a generator where there is none.
    """
    if name not in _TOKENS:
        raise FieldguideError(f"Unknown expansion {name!r}; known are {', '.join(_TOKENS)}.")
    if tools is None and name != "decompose":
        raise FieldguideError(f'retrieval.expand "{name}" needs a generator, and none was given here: leave it out.')
    if name == "decompose":
        return GeneratedQueries(name, decompose_prompt, read_parts, tools, rules=split_question)
    if name == "hyde":
        return GeneratedQueries(name, hyde_prompt, read_passage, tools)
    return GeneratedQueries(name, guess_prompt, read_guess, tools, adapted=True)


class GeneratedQueries:
    """Queries that a generator writes (greedily), read from its reply; first by ``rules`` if there are any.

    ``asked`` counts the prompts, ``unused`` the replies that gave no query: empty, an echo of the question, "none",
    or not asked at all because the prompt is over the model's limit.
    """

    def __init__(
        self,
        name: str,
        prompt_of: Callable[[str], Prompt],
        read: Read,
        tools: Tools | None,
        *,
        rules: Callable[[str], list[str]] | None = None,
        adapted: bool = False,
    ) -> None:
        self._name = name
        self._prompt_of = prompt_of
        self._read = read
        self._tools = tools
        self._rules = rules
        self._adapted = adapted
        self._memory = _MEMORIES.setdefault(tools, _Memory()) if tools is not None else _Memory()
        self.asked = self.unused = 0

    @property
    def name(self) -> str:
        return self._name

    @property
    def id(self) -> str:
        shown = content_hash(*(message.content for message in self._prompt_of("{question}")), str(_TOKENS[self._name]))
        if self._tools is None:
            return f"{self._name}:rules"
        return f"{self._name}:{self._tools.generator().id}:{self._adapter() or 'base'}:{shown[:16]}"

    def expand(self, queries: Sequence[str]) -> list[list[str]]:
        adapter = self._adapter()
        known = self._memory.known
        with self._memory.lock:
            missing = [text for text in dict.fromkeys(queries) if (self._name, adapter, text) not in known]
            fresh = dict(zip(missing, self._make(missing, adapter), strict=True))
            found = [fresh[text] if text in fresh else known[self._name, adapter, text] for text in queries]
            known.update({(self._name, adapter, text): made for text, made in fresh.items()})
            while len(known) > _KEPT:
                del known[next(iter(known))]
        return [list(made) for made in found]

    def _adapter(self) -> str | None:
        return self._tools.adapter() if self._adapted and self._tools is not None else None

    def _make(self, queries: Sequence[str], adapter: str | None) -> list[list[str]]:
        made = {text: self._rules(text) if self._rules is not None else [] for text in queries}
        open_ones = [text for text in queries if not made[text]]
        if open_ones and self._tools is not None:
            self._ask(open_ones, self._tools.generator(), adapter, made)
        return [made[text] for text in queries]

    def _ask(
        self, queries: Sequence[str], generator: Generator, adapter: str | None, made: dict[str, list[str]]
    ) -> None:
        tokens = _TOKENS[self._name]
        shown = {text: self._prompt_of(text) for text in queries}
        short = [t for t in queries if generator.count_tokens(shown[t]) + tokens <= generator.context_tokens]
        replies = generator.generate([shown[text] for text in short], max_new_tokens=tokens, adapter=adapter)
        for text, reply in zip(short, replies, strict=True):
            made[text] = self._read(text, reply.text)
        self.asked += len(queries)
        self.unused += sum(not made[text] for text in queries)


def decompose_prompt(question: str) -> Prompt:
    user = prompts.fill("decompose_user", question=question)
    return (Message("system", prompts.load("decompose_system")), Message("user", user))


def hyde_prompt(question: str) -> Prompt:
    """Gao et al. (2022), Precise Zero-Shot Dense Retrieval without Relevance Labels, arXiv 2212.10496, section 3.2."""
    user = prompts.fill("hyde_user", question=question)
    return (Message("system", prompts.load("hyde_system")), Message("user", user))


def guess_prompt(question: str) -> Prompt:
    """The prompt for an answer without passages: what the tuned model was trained on."""
    return prompts.answer_prompt(question, None)


def read_parts(query: str, reply: str) -> list[str]:
    """Sub-questions, one a line: two to MOST_PARTS, each of at least three words and with a word of the question's own.

    A line that is the question itself is no part of it.
    """
    words = _words(query)
    found: dict[str, str] = {}
    for line in reply.splitlines():
        part = _LABEL.sub("", _BULLET.sub("", line)).strip()
        own = _words(part)
        if len(own) >= 3 and own != words and words & {word for word in own if len(word) > 3}:
            found.setdefault(part.casefold(), part)
    parts = list(found.values())[:MOST_PARTS]
    return parts if len(parts) > 1 else []


def read_passage(query: str, reply: str) -> list[str]:
    """The made-up passage on one line, if it says anything that the question does not."""
    passage = _LABEL.sub("", " ".join(reply.split()))
    return [passage] if _words(passage) - _words(query) else []


def read_guess(query: str, reply: str) -> list[str]:
    """Question and guess in one query, if the guess has a word that the question does not have."""
    guess = _LABEL.sub("", " ".join(reply.split()))
    return [f"{query} {guess}"] if _words(guess) - _words(query) else []


def _words(text: str) -> set[str]:
    return set(_WORD.findall(text.casefold()))
