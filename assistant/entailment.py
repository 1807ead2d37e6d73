"""A generator's word on citations: does the cited place say the statement? An extra to alignment, never in its place.

Only what alignment found close, and not word for word, is asked about. What cannot be read as yes or no stays as
alignment had it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from fieldguide.models.base import Generator, Message, Prompt
from fieldguide.prompts import fill, load
from fieldguide.types import Answer, Citation

_YES_NO = re.compile(r"\W*(yes|no)\b", re.IGNORECASE)
_TOKENS = 4


def entailed(answers: Sequence[Answer], generator: Generator) -> list[Answer]:
    """The answers without the citations that the base model says no to; a statement that is left without any is
    unsupported."""
    asked = [(n, citation) for n, answer in enumerate(answers) for citation in answer.citations if citation.score < 1.0]
    prompts = [_prompt(answers[n].question, citation) for n, citation in asked]
    replies = generator.generate(prompts, max_new_tokens=_TOKENS) if prompts else []
    denied = {
        (n, citation) for (n, citation), reply in zip(asked, replies, strict=True) if says_yes(reply.text) is False
    }
    return [_without(answer, {citation for m, citation in denied if m == n}) for n, answer in enumerate(answers)]


def says_yes(reply: str) -> bool | None:
    """Whether a reply begins with yes or no; None where it begins otherwise."""
    match = _YES_NO.match(reply)
    return None if match is None else match[1].lower() == "yes"


def _prompt(question: str, citation: Citation) -> Prompt:
    user = fill("entail_user", text=citation.quote, question=question, statement=citation.statement)
    return (Message("system", load("entail_system")), Message("user", user))


def _without(answer: Answer, denied: set[Citation]) -> Answer:
    if not denied:
        return answer
    kept = tuple(citation for citation in answer.citations if citation not in denied)
    held = {citation.statement for citation in kept}
    lost = dict.fromkeys(c.statement for c in answer.citations if c.statement not in held)
    return replace(answer, citations=kept, unsupported=(*answer.unsupported, *lost))
