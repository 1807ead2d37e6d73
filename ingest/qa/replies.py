"""What a model replies, as values: JSON by schema, tolerant of what stands around it, or plain "Question: …" lines.

Asks again, with the model's own reply and what is wrong with it, a bounded number of times. Knows nothing of chunks.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from fieldguide.models.base import Generation, Message, Prompt
from ingest.qa.calls import Calls
from ingest.qa.drafts import Rejection

NO_JSON, NO_FIT, CUT_OFF = "reply without JSON or question lines", "reply does not fit the schema", "reply is cut off"
BROKEN = "part of the reply is no JSON"
TOO_LONG = "chunk too long for the model"


class ReplyFault(ValueError):
    """A reply that cannot be used: ``reason`` is counted, ``error`` is told to the model."""

    def __init__(self, reason: str, error: str) -> None:
        super().__init__(error)
        self.reason = reason
        self.error = error


def _text(value: Any) -> Any:
    """Lists as their items with commas, numbers and truth values as words: what models write where text is asked."""
    if isinstance(value, bool):
        return "Yes" if value else "No"
    if value is None:
        return ""
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, list) and all(isinstance(part, str | int | float) for part in value):
        parts = [str(part) for part in value]
        return ("; " if any("," in part for part in parts) else ", ").join(parts)
    return value


def _number(value: Any) -> Any:
    found = re.search(r"\d{1,4}", str(value)) if isinstance(value, str | list) else None
    return int(found.group()) if found else value if isinstance(value, int) else 0


Text = Annotated[str, BeforeValidator(_text)]


class Item(BaseModel):
    """A question of a reply, with its answer where that was asked for. What else a model adds is passed over."""

    model_config = ConfigDict(extra="ignore", frozen=True, str_strip_whitespace=True)

    question: Text = Field(min_length=1)
    answer: Text = ""
    quote: Text = ""
    kind: Text = ""
    level: Text = ""


class Pair(Item):
    """A question that must come with its answer."""

    answer: Text = Field(min_length=1)


class Quote(BaseModel):
    """Words of the passage that is shown under a number (0: the model did not say which)."""

    model_config = ConfigDict(extra="ignore", frozen=True, str_strip_whitespace=True)

    passage: Annotated[int, BeforeValidator(_number)] = 0
    quote: Text = ""


class Quoted(BaseModel):
    """An answer with its quotes, and the question where that was asked for; "" where the passages do not hold it."""

    model_config = ConfigDict(extra="ignore", frozen=True, str_strip_whitespace=True)

    question: Text = ""
    answer: Text = ""
    quotes: tuple[Quote, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _one_quote(cls, given: Any) -> Any:
        """Accepts {"quote": …, "passage": …} and a list of strings for what should be a list of quotes."""
        if not isinstance(given, dict):
            return given
        quotes = given.get("quotes", [given["quote"]] if given.get("quote") else [])
        quotes = quotes if isinstance(quotes, list) else [quotes]
        number = given.get("passage", given.get("passages", 0))
        numbers = number if isinstance(number, list) and len(number) == len(quotes) else [number] * len(quotes)
        pairs = zip(quotes, numbers, strict=True)
        return {**given, "quotes": [{"quote": q, "passage": n} if isinstance(q, str) else q for q, n in pairs]}


_Schema = TypeVar("_Schema", bound=BaseModel)
_Reply = TypeVar("_Reply")

_LINE = re.compile(
    r"^[\s>*#\-\d.)(]{0,12}(?P<key>question|answer|quote|kind|level|passage|q|a) ?\d{0,3} ?[*_]{0,3} ?[:：]"
    r"[*_]{0,3}[ \t]*(?P<value>.*)$",
    re.IGNORECASE,
)
_SHORT = {"q": "question", "a": "answer"}
_QUESTION_KEY = re.compile(r'"question"\s*:', re.IGNORECASE)
_TRAILING_COMMA = re.compile(r",(?=\s*[\]}])")


def find_objects(reply: str) -> list[dict[str, Any]]:
    """The outermost JSON objects of a reply that can be read, in order; lists and wrappers around them are opened.

    Code fences and prose are passed over, and of a list that is cut off the whole objects are kept.
    """
    return _scan(reply) or _scan(_TRAILING_COMMA.sub("", reply))


def _scan(text: str) -> list[dict[str, Any]]:
    decoder = json.JSONDecoder(strict=False)
    found: list[dict[str, Any]] = []
    place = text.find("{")
    while place >= 0:
        try:
            value, end = decoder.raw_decode(text, place)
        except (ValueError, RecursionError):
            end = place + 1
        else:
            lists = [v for v in value.values() if isinstance(v, list) and v and all(isinstance(i, dict) for i in v)]
            found += lists[0] if len(value) == 1 and lists else [value]
        place = text.find("{", end)
    return found


def find_lines(reply: str) -> list[dict[str, str]]:
    """ "Question: …", "Answer: …" lines as objects; a question, or a key that was there, begins the next one."""
    found: list[dict[str, str]] = []
    key = ""
    for line in reply.splitlines():
        match = _LINE.match(line)
        if match:
            name = match["key"].lower()
            key = _SHORT.get(name, name)
            if not found or key == "question" or key in found[-1]:
                found.append({})
            found[-1][key] = match["value"].strip()
        elif not line.strip():
            key = ""
        elif key:
            found[-1][key] = f"{found[-1][key]}\n{line.strip()}".strip()
    return found


def parse(reply: Generation, schema: type[_Schema]) -> tuple[list[_Schema], list[Rejection]]:
    """What of a reply fits the schema, and what does not. An empty JSON list gives nothing, and is no fault.

    Raises ReplyFault if nothing can be used.
    """
    objects: Sequence[dict[str, Any]] = find_objects(reply.text) or find_lines(reply.text)
    if not objects:
        if re.search(r"\[\s*\]|\{\s*\}", reply.text):
            return [], []
        if reply.finish == "length":
            raise ReplyFault(CUT_OFF, "it is cut off before its first object ends; write less")
        raise ReplyFault(NO_JSON, "it holds no JSON")
    fitting: list[_Schema] = []
    faults: list[tuple[str, str]] = []
    for item in objects:
        try:
            fitting.append(schema.model_validate({str(key).strip().lower(): value for key, value in item.items()}))
        except ValidationError as error:
            first = error.errors()[0]
            faults.append((json.dumps(item, ensure_ascii=False)[:200], f"{_where(first['loc'])}: {first['msg']}"))
    if not fitting:
        raise ReplyFault(NO_FIT, faults[0][1])
    lost = Rejection(CUT_OFF if reply.finish == "length" else BROKEN, reply.text[-200:])
    unread = max(len(_QUESTION_KEY.findall(reply.text)) - len(objects), 0)
    return fitting, [*(Rejection(NO_FIT, f"{fault}: {shown}") for shown, fault in faults), *[lost] * unread]


def _where(location: Sequence[int | str]) -> str:
    return ".".join(map(str, location)) or "the object"


def ask_until_parsed(
    calls: Calls,
    prompts: Sequence[Prompt],
    read: Callable[[Generation], _Reply],
    correction: Callable[[str], str],
    *,
    max_new_tokens: int,
    retries: int,
    seed: int,
) -> list[_Reply | Rejection]:
    """What ``read`` makes of the reply to each prompt, in order; a Rejection where it still fails at the end.

    A reply for which ``read`` raises ReplyFault is shown to the model with ``correction(error)``, at most ``retries``
    times, as long as that fits its context.
    """
    outcome: dict[int, _Reply | Rejection] = {}
    waiting = dict(enumerate(prompts))
    for turn in range(retries + 1):
        fits = {n: p for n, p in waiting.items() if calls.count_tokens(p) + max_new_tokens <= calls.context_tokens}
        for n in waiting.keys() - fits.keys():
            outcome.setdefault(n, Rejection(TOO_LONG, f"{calls.context_tokens - max_new_tokens} tokens fit"))
        replies = calls.ask(list(fits.values()), max_new_tokens=max_new_tokens, seed=seed) if fits else []
        waiting = {}
        for n, reply in zip(fits, replies, strict=True):
            try:
                outcome[n] = read(reply)
            except ReplyFault as fault:
                outcome[n] = Rejection(fault.reason, f"{fault.error}: {reply.text[:200]}")
                if turn < retries:
                    shown = (Message("assistant", reply.text), Message("user", correction(fault.error)))
                    waiting[n] = (*prompts[n], *shown)
    return [outcome[n] for n in range(len(prompts))]
