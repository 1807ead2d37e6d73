"""Follow-ups to standalone questions, from the conversation. Pure but for the generator that it may be given.

The first rule is to leave a good question alone: only what has a gap that the conversation can fill is touched, "he"
without a man before it, "And in 2019?". The rules know English; questions in other languages stay as they are, but for
a fragment with a year or a name ("Und 2019?"). They do not know what words mean: "How many hours had the pilot flown?"
stands as it is, whichever pilot was spoken of.
"""

from __future__ import annotations

import re

from fieldguide import prompts
from fieldguide.models.base import Generator, Message, Prompt
from retrieval.ellipsis import complete, fragment_of
from retrieval.mentions import AUXILIARIES, content_words, names, words
from retrieval.pronouns import Turns, is_foreign, open_pronouns, with_antecedents

_TURNS = 6  # how far back antecedents are looked for
_TOKENS = 64
_POINTING = re.compile(
    r"\b(?:is|was|did|does|do|caused|explain|of|to|about|from|for|after|before|why|in)\s+(?:this|that)"
    r"(?=\s*[?.!]|$|\s+(?:\w+ed|possible|true|happen|mean|matter|compare|affect|cause|change|work|lead|the|an?)\b)",
    re.IGNORECASE,
)
_THERE = re.compile(
    r"(?<!\bis )(?<!\bare )(?<!\bwas )(?<!\bwere )(?<!\bbe )(?<!\bbeen )\bthere\s*[?.!]?$", re.IGNORECASE
)
_ONE = re.compile(
    r"\bthe\s+(?:(first|second|third|fourth|fifth|last|other)\s+one"
    r"|(former|latter)(?=\s*[?.,]|$|\s+(?:is|are|was|were|has|had|did|does)\b))\b",
    re.IGNORECASE,
)
_EVENT = re.compile(
    r"\b(?:caus(?:e|es|ed|ing)|explain(?:s|ed)?|prevent(?:s|ed)?|trigger(?:s|ed)?)\s+it\b"
    r"|\bit\s+(?:happen|occur)(?:ed)?\b",
    re.IGNORECASE,
)
_PLACES = {"first": 0, "second": 1, "third": 2, "fourth": 3, "fifth": 4, "last": -1, "former": 0, "latter": 1}
_LONGEST_ITEM = 12  # words
_SAYS = AUXILIARIES | {"yes", "no", "it", "he", "she", "they", "which"}  # an answer with these is no list of things
_ITEMS = re.compile(
    r"\s*(?:\n|;|,\s*(?:and|or)\s|,|\s(?:and|or|und|oder)\s)\s*(?:[-*•]|\d{1,2}[.)])?\s*", re.IGNORECASE
)


def standalone(question: str, history: Turns, generator: Generator | None = None) -> str:
    """The question, understandable without the conversation before it; itself where it is so already.

    With a generator, what it writes is taken if it is one line, keeps the question's own words, and brings in none but
    the conversation's; else, and without one, rules fill the gap (see ``is_open``) from the last questions and answers,
    or put the last question before one that they cannot mend.
    """
    if not history or not question.strip():
        return question
    turns: list[tuple[str, str]] = []
    for asked, answer in list(history)[-_TURNS:]:
        turns.append((_by_rules(asked, turns), answer))
    ruled = _by_rules(question, turns)
    if generator is None or (ruled == question and names(question) and not _named_before(question, turns)):
        return ruled
    prompt = rewrite_prompt(question, turns)
    if generator.count_tokens(prompt) + _TOKENS > generator.context_tokens:
        prompt = rewrite_prompt(question, turns[-1:])
        if generator.count_tokens(prompt) + _TOKENS > generator.context_tokens:
            return ruled
    reply = generator.generate([prompt], max_new_tokens=_TOKENS)[0].text
    return read_rewritten(reply, question, turns) or ruled


def rewrite_prompt(question: str, history: Turns) -> Prompt:
    """The conversation and the question that ends it."""
    told = "\n".join(f"User: {asked}\nAssistant: {' '.join(answer.split())}" for asked, answer in history)
    user = prompts.fill("rewrite_user", history=told, question=question)
    return (Message("system", prompts.load("rewrite_system")), Message("user", user))


def read_rewritten(reply: str, question: str, history: Turns) -> str:
    """The question that a generator's reply holds; "" if it drops the question's words or adds foreign ones."""
    lines = [line.strip().strip("\"'“”") for line in reply.strip().splitlines() if line.strip()]
    if len(lines) != 1 or (question.rstrip().endswith("?") and not lines[0].endswith("?")):
        return ""
    told = content_words(" ".join([question, *(part for turn in history for part in turn)]))
    wanted, said = content_words(question) - {"one", "what", "about"}, content_words(lines[0])
    ordinals = set(_PLACES) | {"other"}
    if not (wanted - ordinals) <= said or not said <= told or is_open(lines[0]):
        return ""
    return lines[0]


def is_open(question: str) -> bool:
    """Whether a question leans on something said before it: a fragment, or a pronoun without what it stands for."""
    return bool(fragment_of(question) is not None or open_pronouns(question) or _open_other(question))


def _open_other(question: str) -> bool:
    if is_foreign(question):
        return False
    return any(pattern.search(question) for pattern in (_ONE, _POINTING, _THERE))


def _by_rules(question: str, turns: Turns) -> str:
    if not turns:
        return question
    asked = question
    if not is_foreign(question):
        last = turns[-1][0].strip()
        if open_pronouns(question) and _EVENT.search(question):
            return f"{last} {question.strip()}"
        asked = with_antecedents(_with_item(asked, turns), turns)
        if open_pronouns(asked) or _POINTING.search(asked) or _THERE.search(asked):
            return f"{last} {asked.strip()}"
    fragment = fragment_of(asked)
    if fragment is None and not is_foreign(question) and _ONE.search(asked):
        return f"{turns[-1][0].strip()} {asked.strip()}"
    if fragment is None or (asked != question and content_words(fragment) - content_words(question)):
        return asked
    return complete(asked, fragment, turns[-1][0], anchors=not is_foreign(question))


def _named_before(question: str, turns: Turns) -> bool:
    told = " ".join(part for turn in turns for part in turn)
    return all(question[start:end] in told for start, end in names(question))


def _with_item(question: str, turns: Turns) -> str:
    """The question with "the second one" or "the latter" replaced by that item of the last answer, or question."""
    match = _ONE.search(question)
    if match is None:
        return question
    which = (match.group(1) or match.group(2)).casefold()
    asked, answer = turns[-1]
    items = [item.strip(" .") for item in _ITEMS.split(answer) if len(item.strip(" .")) > 1]
    if len(items) < 2 or any(len(item.split()) > _LONGEST_ITEM or set(words(item)) & _SAYS for item in items):
        items = [asked[start:end] for start, end in names(asked)]
    place = _PLACES.get(which, 1 if len(items) == 2 else 99)
    if not -len(items) <= place < len(items):
        return question
    return question[: match.start()] + items[place] + question[match.end() :]
