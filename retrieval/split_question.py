"""Compound questions to their parts, by rules. Pure; knows English forms only, other languages stay whole.

It splits where the parts are plainly queries of their own; all else is left to a generator (``retrieval.expand``).
"""

from __future__ import annotations

import re

from retrieval.mentions import AUXILIARIES, words
from retrieval.rewrite import is_open, standalone

MOST_PARTS = 4

_ASKING = (
    r"(?:(?:in|for|on|at|by|to|from|of|with|under)\s+)?(?:who|whom|whose|what|which|when|where|why|how"
    r"|is|are|was|were|do|does|did|has|have|had|can|could|will|would|should)\b"
)
_ASKS = re.compile(_ASKING, re.IGNORECASE)
_JOINT = re.compile(
    rf"(?:\s*[,;]\s*|\s+)(?:and|or|but)\s+(?={_ASKING})|\s*;\s*(?={_ASKING})|\?\s+(?=\S)", re.IGNORECASE
)
_COMPARE = re.compile(
    r"(?:please\s+|can\s+you\s+|could\s+you\s+)?(?:compare\s+and\s+contrast|compare|contrast)\s+"
    r"(?P<first>.+?)\s+(?:with|to|and|against|versus|vs\.?)\s+(?P<second>.+)",
    re.IGNORECASE,
)
_DIFFERENCE = re.compile(
    r"(?:what|which|how\s+\w+)\s+(?:is|are|was|were)\s+the\s+(?:\w+\s+)?(?:differences?|similarit(?:y|ies)|change)"
    r"(?:\s+in\s+(?P<topic>.+?))?\s+between\s+(?P<first>.+?)\s+and\s+(?P<second>.+)",
    re.IGNORECASE,
)
_OF = re.compile(r"(?P<topic>.+?\s(?:of|for|in|at|from|by))\s+(?P<side>.+)", re.IGNORECASE)
_BOTH = re.compile(
    r"(?P<before>.+?)\bboth\s+(?P<first>\w[^,]*?)\s+and\s+(?P<second>[A-Z]\w*(?:\s+[A-Z]\w*)*|\w+)(?P<after>.*)"
)
_YEARS = re.compile(
    r"(?P<before>.*\b)(?P<first>(?:19|20)\d\d)\s+(?:and|or|versus|vs\.?)\s+(?P<second>(?:19|20)\d\d)(?P<after>\b.*)"
)


def split_question(question: str) -> list[str]:
    """The parts of a compound question, at most MOST_PARTS; none where rules see one question.

    "When was the bridge built, and who designed it?": "When was the bridge built?", "Who designed the bridge?".
    "Compare the revenue of A with B": "the revenue of A", "the revenue of B". Two years, or "both A and B": the
    question with each. A later part that leans on an earlier one in a way that rules cannot mend leaves all whole.
    """
    text = " ".join(question.split()).rstrip(" .?!")
    clauses = [clause.strip(" ,;?") for clause in _JOINT.split(text)]
    clauses = [clause for clause in clauses if clause]
    if len(clauses) > 1:
        return _clauses(clauses[:MOST_PARTS]) if all(_asks(clause, clauses[0]) for clause in clauses) else []
    for pattern in (_DIFFERENCE, _COMPARE):
        if (found := pattern.fullmatch(text)) is not None:
            return _sides(found.groupdict().get("topic") or "", found["first"], found["second"])
    for pattern in (_BOTH, _YEARS):
        if (found := pattern.fullmatch(text)) is not None and not found["before"].rstrip().endswith("between"):
            return [f"{found['before']}{found[side]}{found['after']}?" for side in ("first", "second")]
    return []


def _asks(clause: str, first: str) -> bool:
    """Whether a clause is a question: of three words or more, and a yes-or-no question only behind another one."""
    if _ASKS.match(clause) is None or len(clause.split()) < 3:
        return False
    return words(clause)[0] not in AUXILIARIES or words(first)[0] in AUXILIARIES


def _clauses(clauses: list[str]) -> list[str]:
    found = [f"{clauses[0]}?"]
    for clause in clauses[1:]:
        asked = standalone(f"{clause[0].upper()}{clause[1:]}?", [(found[0], "")])
        if is_open(asked):
            return []
        found.append(asked)
    return found


def _sides(topic: str, first: str, second: str) -> list[str]:
    """Both sides as queries; what the first says of itself ("the revenue of") holds for a second that says nothing."""
    first = first.removeprefix("the two ")
    if topic:
        return [f"{topic} {first}", f"{topic} {second}"]
    of = _OF.fullmatch(first)
    if of is not None and _OF.fullmatch(second) is None:
        return [first, f"{of['topic']} {second}"]
    return [first, second]
