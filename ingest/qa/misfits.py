"""Does a draft by a small model make sense? What can be told from the words alone, before a reader is asked.

Pure functions over a question, its answer, the sentence it was made from and the text that was shown; English. A small
model errs in few ways: it answers another question than it asks, asks with words that it makes up, gives half of the
answer away, or takes the whole sentence for the answer. Good questions in very free words are lost with the bad ones.
"""

from __future__ import annotations

import re

from fieldguide import align
from ingest.qa.rule_labels import words

OTHER_KIND, MADE_UP, HALF_GIVEN, WHOLE = (
    "answer of another kind than asked for",
    "question says what the text does not",
    "answer partly in question",
    "answer is its whole sentence",
)

_HALF = 0.5
_WHOLE = 0.8
_MOST_UNKNOWN = 0.34
_STEM = 4
_FREE = words(
    "happen happens happened many much long far often call called calls name named names type types kind kinds sort "
    "example examples reason reasons purpose goal cause caused causes result results effect effects year date time day "
    "month number amount percentage percent part use used uses mean means role know known do done make made give given "
    "need needed become became according say said stand new best most first way ways thing things factor factors "
    "describe described main feel determine determined person people company organization organisation state country "
    "place"
)
_QUANTITY = re.compile(
    r"(?i)\d|\b(?:no|none|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|\w+teen|\w+ty|hundreds?|thousands?"
    r"|millions?|billions?|half|third|quarter|dozen|several|many|few|fewer|all|most|every|both|once|twice|double|single"
    r"|percent|little|some|more|less|about)\b"
)
_LENGTH = re.compile(
    r"(?i)\b(?:until|since|for|from|years?|months?|days?|hours?|minutes?|seconds?|miles?|feet|weeks?)\b"
)
_TIME = re.compile(
    r"(?i)\d|\b(?:january|february|march|april|may|june|july|august|september|october|november|december|\w+day|spring"
    r"|summer|autumn|fall|winter|morning|afternoon|evening|night|noon|midnight|dawn|dusk|today|tomorrow|yesterday|year"
    r"|years|month|months|weeks?|days?|hours?|century|season|stage|after|before|when|whenever|while|during|once|until"
    r"|since|as|if|at|in|on|by|prior|following|upon|early|late|later|beginning|end|time|times|annually|daily|always)\b"
)
_BARE_VALUE = re.compile(r"(?i)^(?:about |approximately )?[$€£]?\d[\d.,:/]*\s*%?\s*(?:\w+)?$")
_VERB = re.compile(
    r"(?i)\b(?:\w{2,}(?:ed|ing|ize|ise|ate)"
    r"|is|are|was|were|be|had|has|have|lost|struck|hit|came|went|got|made|took|gave"
    r"|fell|broke|became|began|ran|flew|sank|rose|grew|held|kept|told|said|saw|found|felt|led|met|paid|put|sent|set|shut|sold"
    r"|spent|stood|threw|won|wrote|withdrew|to [a-z]+)\b"
)

_NOUN_FIRST = re.compile(r"(?i)^(?:an?|the|on|in|at|of|for|by|with|from|his|her|its|their|all|each|\d\S*)\b")


def misfit(question: str, answer: str, sentence: str, text: str) -> str:
    """Why the draft makes no sense, or "". ``text`` is all the model was shown, ``sentence`` what it asks about."""
    asked = align.content_tokens(question)
    said = align.content_tokens(answer)
    if not _fits(question.casefold(), answer):
        return OTHER_KIND
    if len(said) > 2 and sum(word in asked for word in said) >= _HALF * len(said):
        return HALF_GIVEN
    if len(said) >= _WHOLE * len(align.content_tokens(sentence)):
        return WHOLE
    return MADE_UP if _is_made_up(question, asked, text) else ""


def _fits(question: str, answer: str) -> bool:
    """Whether the answer is of the sort that the question's first words ask for."""
    if re.match(r"how (?:many|much|often)\b", question):
        return bool(_QUANTITY.search(answer))
    if re.match(r"how (?:long|far|high|tall|old|deep|wide|large|heavy|fast)\b", question):
        return bool(_QUANTITY.search(answer) or _LENGTH.search(answer))
    if re.match(r"when\b|(?:in |on |at )?(?:what|which) (?:year|date|day|month|time)\b", question):
        return bool(_TIME.search(answer))
    if re.match(r"(?:why|how (?:do|does|did|can|should))\b", question):
        return not _BARE_VALUE.match(answer)
    if re.match(r"what (?:happen(?:s|ed)\b|(?:did|does|do|should|must|can|will|would|could) [^,?]*\bdo\b)", question):
        return bool(_VERB.search(answer)) or (len(answer.split()) > 2 and not _NOUN_FIRST.match(answer))
    if re.match(r"who\b", question):
        return not _BARE_VALUE.match(answer) and not re.match(r"(?i)(?:because|to|when|after|in|on|at|by)\b", answer)
    return True


def _is_made_up(question: str, asked: list[str], text: str) -> bool:
    """Whether a number or a name of the question, or more than a third of its words, stand nowhere in the text."""
    there = set(align.tokens(text))
    stems = {word[:_STEM] for word in there}
    for word in re.findall(r"\w[\w.,:/-]*\w|\w", question)[1:]:
        folded = align.tokens(word)
        if (word[0].isupper() or word[0].isdigit()) and not all(token in there for token in folded):
            return True
    unknown = [word for word in asked if word not in there and word[:_STEM] not in stems and word not in _FREE]
    known = [word for word in asked if word not in _FREE]
    return len(unknown) > _MOST_UNKNOWN * max(len(known), 1)
