"""What the clause or heading above a list asks: "The following factors affect …:" is "which factors affect …".

Knows English introductions by their form, not what the list holds. What is not understood is left alone.
"""

from __future__ import annotations

import re

from ingest.qa.rule_clauses import AUXILIARIES, IRREGULAR, PRONOUN, base_form
from ingest.qa.rule_reading import in_sentence, is_plural

_LEAD = re.compile(
    r"(?i)^(?:in addition|additionally|specifically|further(?:more)?|moreover|however|therefore|accordingly|thus"
    r"|finally|generally|in general|in particular|at (?:a )?minimum|as such|also),\s+"
)
VAGUE = re.compile(
    r"(?i)\b(?:this|these|that section|above|below|here|such|herein|hereof|thereof|former|latter|said|aforementioned"
    r"|for example|e\.g\.|i\.e\.|includ(?:e|es|ed|ing),? but(?: is| are)? not|respectively|as indicated|check all"
    r"|select)\b"
)
_FIRST_PERSON = re.compile(r"(?i)\b(?:I|you|your)\b")
_HEDGE = (
    r"(?:primarily |mainly |largely |principally |partly |partially |mostly |in part |generally |typically |usually )?"
)
_THE_FOLLOWING = r"(?:(?:all of |each of |any of |one or more of )?(?:the )?following)"
_FOLLOWING_DO = re.compile(
    rf"(?i){_THE_FOLLOWING} (?P<noun>(?:[\w'’-]+ ){{0,4}}?[\w'’-]+s) (?P<rest>(?:is|are|was|were|may|can|must"
    r"|should|shall|could|might|will|would|have|had|has|apply|applied|affect(?:ed)?|contribut(?:e|ed)|caused?|help(?:ed)?|describe"
    r"|increase|include|need|occurred|exist|provide|require|support)\b.*)"
)
_FOLLOWING_ARE = re.compile(
    rf"(?i){_THE_FOLLOWING}(?: (?:items?|list))? (?:is|are|were)(?: a)?"
    r"(?: (?:brief )?(?:list|summary|description|overview) of)? (?P<np>(?:the |some |our )?.+)"
)
_THERE = re.compile(r"(?i)there (?P<be>are|were) (?P<np>(?:two|three|four|five|six|seven|eight|several|\d) .+)")
_DUE = re.compile(
    rf"(?P<clause>.+?)(?:,| and)?(?P<be> was| were| is| are)? (?P<hedge>{_HEDGE})(?:due to|because of"
    rf"|(?:as )?(?:a |the )?result of|driven by|attributable to|caused by)(?: {_THE_FOLLOWING}(?: [\w-]+){{0,2}})?"
)
_CHANGED = re.compile(r"(?:in|de)creased|declined|rose|fell|grew|improved|changed")
_MODAL = re.compile(
    r"(?P<subject>.+?) (?P<modal>must|should|shall|may|can|will|could)(?: also| do)?(?: the following)?"
)
_VERBS = (
    r"(?P<verb>includes?|included|contains?|contained|comprises?|comprised|covers?|covered|consists? of|consisted of"
    r"|involves?|involved|requires?|required|provides?|provided|offers?|offered|supports?|supported|performs?|performed"
    r"|has|have|had|identifies|identify|identified|uses?|used|recommends?|recommended|makes?|made|shows?|showed|lists?"
    r"|listed|proposes?|proposed|received?|produces?|produced|addresses|address|addressed|set|sets|adopted|defines?|defined)"
)
_TIME = re.compile(
    r"(?i)^(?:(?:the )?(?:fiscal|year|quarter|q[1-4]|month|first|second|third|fourth|total)\b|\d)|(?:19|20)\d\d$"
)
_VERB = re.compile(rf" {_VERBS}(?: |$)|\b(?:due to|to)$")
_VERB_OBJECT = re.compile(
    rf"(?P<subject>.+?) {_VERBS} (?:{_THE_FOLLOWING}|these|two|three|four|five|six|several)"
    r"(?: (?P<noun>[\w'’ -]{3,60}))?"
)
_VERB_BARE = re.compile(
    r"(?P<subject>.+?) (?P<verb>includes?|included|consists? of|consisted of|comprises?|comprised|involves?)"
)
_ARE = re.compile(rf"(?P<np>.+?) (?P<be>are|were)(?: as follows| {_THE_FOLLOWING}(?: [\w-]+){{0,2}})?")
_GOAL = re.compile(
    r"(?i)(?:in order )?to (?P<goal>[a-z]+ .{3,80}?)(?:,? (?:please )?(?:follow|do|take|complete|use|perform)\b.*)?"
)
_HOW_TO = re.compile(r"(?i)(?:how to|(?:the )?(?:steps|procedure|instructions) to) (?P<goal>.{4,80})")
_ASKS = re.compile(r"(?i)^(?:what|why|when|how|who)\b|\?$")
_THE_PART = re.compile(r"(?i)\bincluded? (?:in|with|as)$")


def intro_questions(intro: str, titled: bool, common: frozenset[str], section: str = "") -> tuple[str, ...] | str:
    """Questions, with the place {d}, by what an introduction says; or a reason why there are none.

    ``titled``: it is a heading. ``common`` holds words that are no names; ``section`` is a heading to be named with it.
    """
    intro = _LEAD.sub("", intro).rstrip(" ,:")
    intro = intro[:1].upper() + intro[1:]
    if titled or not _has_verb(intro):
        return _of_title(intro)
    if PRONOUN.search(intro) or _FIRST_PERSON.search(intro):
        return "introduction has a pronoun"
    if VAGUE.search(intro):
        return "introduction points elsewhere"
    if len(intro.split()) > 22 or intro.count("(") != intro.count(")") or re.search(r"[.;?!]\s", intro):
        return "introduction is too long"
    question = _question(intro, common)
    if not question:
        return "introduction is not understood"
    by = f"“{section}” in {{d}}" if section else "{d}"
    return (f"According to {by}, {question}?", f"{question[0].upper()}{question[1:]}, according to {by}?")


def _has_verb(intro: str) -> bool:
    words = [word.casefold().strip(",") for word in intro.split()]
    return any(word in AUXILIARIES or word in IRREGULAR or word in ("following", "follows") for word in words) or bool(
        _VERB.search(intro)
    )


def _of_title(title: str) -> tuple[str, ...] | str:
    """A heading or label above a list, quoted: it is seldom a phrase that a question can hold."""
    if _ASKS.search(title) or len(title.split()) < 2 or len(title.split()) > 10 or title[0].islower():
        return "heading does not say what is listed"
    if PRONOUN.search(title) or not is_plural(title):
        return "heading does not say what is listed"
    return (f"What is listed under “{title}” in {{d}}?", f"According to {{d}}, which items belong under “{title}”?")


def _question(intro: str, common: frozenset[str]) -> str:
    """An introducing clause as a question without its mark; "" if it is not understood."""
    if m := _FOLLOWING_DO.fullmatch(intro):
        rest = re.sub(r" (?:as follows|to)$", "", m["rest"])
        return "" if _dangles(rest) or _THE_PART.search(rest) else f"which {m['noun']} {rest}"
    if m := _FOLLOWING_ARE.fullmatch(intro):
        return f"what are {_the(m['np'], common)}" if is_plural(m["np"]) and not _dangles(m["np"]) else ""
    if m := _THERE.fullmatch(intro):
        np = re.sub(r"^several ", "", m["np"])
        return "" if _dangles(np) else f"what {m['be']} the {np}"
    if m := _VERB_OBJECT.fullmatch(intro):
        noun = f" {m['noun']}" if m["noun"] else ""
        return verb_question(m["subject"], m["verb"], common, f"which{noun}" if noun else "what", noun)
    if m := _DUE.fullmatch(intro):
        return _due(m, common)
    if m := _MODAL.fullmatch(intro):
        return f"what {m['modal']} {lowered(m['subject'], common)} do" if is_noun_phrase(m["subject"]) else ""
    if m := _VERB_BARE.fullmatch(intro):
        return verb_question(m["subject"], m["verb"], common, "what", "")
    if m := _ARE.fullmatch(intro):
        fits = is_noun_phrase(m["np"]) and is_plural(m["np"])
        return f"what {m['be']} {_the(m['np'], common)}" if fits else ""
    return ""


_THE_PART = re.compile(r"(?i)\bincluded? (?:in|with|as)$")


def _dangles(text: str) -> bool:
    """Whether a clause ends where its object is the list itself."""
    return bool(re.search(r"(?i)\b(?:to|of|by|in|for|with|as|that|and|or|the|include|includes|are|is|be)$", text))


def is_noun_phrase(text: str) -> bool:
    """Whether the text is a noun phrase, by its length and by having no verb that shows."""
    words = [word.casefold().strip(",") for word in text.split()]
    return (
        2 <= len(words) <= 12
        and not _TIME.search(text)
        and words[: len(words) // 2] != words[len(words) // 2 :]
        and not any(
            word in AUXILIARIES or word in ("and", "who", "which", "that", "if", "when", "to") for word in words[-1:]
        )
        and not any(word in AUXILIARIES or word in ("if", "when", "while", "because", "there") for word in words)
        and ";" not in text
    )


def lowered(text: str, common: frozenset[str]) -> str:
    """The text as it stands inside a sentence."""
    if re.match(r"(?:The|A|An|Its|Each|Any|All|Some|In|For|Most|Many|Several|Both|Other)\b", text):
        return text[0].lower() + text[1:]
    return in_sentence(text, common)


def _the(text: str, common: frozenset[str]) -> str:
    """The text inside a sentence, with an article if it begins with a common word."""
    low = lowered(text, common)
    bare = re.match(r"(?:the|an?|its|each|any|all|some|many|most|several|both|examples|\W|[A-Z])", low)
    return low if bare else f"the {low}"


def verb_question(subject: str, verb: str, common: frozenset[str], asked: str, noun: str) -> str:
    """ "What does the plan include", "which services did the team provide": with the verb's own tense and number."""
    if not is_noun_phrase(subject) or (noun and not is_plural(noun.strip())):
        return ""
    head, _, particle = verb.partition(" ")
    if head in ("had", "made", "set") or head.endswith("ed"):
        do, base = "did", {"had": "have", "made": "make", "set": "set"}.get(head) or base_form(head)
    elif head == "has" or (head.endswith("s") and head not in ("address",)):
        base = {"has": "have", "identifies": "identify", "addresses": "address", "comprises": "comprise"}.get(
            head, head[:-1]
        )
        do = "does"
    else:
        do, base = "do", head
    return f"{asked} {do} {lowered(subject, common)} {base} {particle}".strip()


def _due(m: re.Match[str], common: frozenset[str]) -> str:
    """What a change was due to, or why something happened."""
    clause, be = m["clause"], (m["be"] or "").strip()
    words = clause.split()
    verb = next((i for i, word in enumerate(words) if _CHANGED.fullmatch(word)), 0)
    if be and not verb and is_noun_phrase(clause):
        return f"what {be} {lowered(clause, common)} {m['hedge']}due to"
    if not verb or not is_noun_phrase(" ".join(words[:verb])):
        return ""
    base = "fall" if words[verb] == "fell" else base_form(words[verb])
    rest = re.sub(r"\s+(?:and|which|,)$", "", " ".join(words[verb + 1 :]).rstrip(","))
    return "" if _dangles(rest) else f"why did {lowered(' '.join(words[:verb]), common)} {base} {rest}".rstrip()


def procedure_name(intro: str) -> str:
    """How a question names a procedure behind "steps": " to calibrate …", " under “…”"; "" if it has no name."""
    title = intro.strip(" :,")
    for pattern in (_HOW_TO, _GOAL):
        if (m := pattern.fullmatch(title)) and not (PRONOUN.search(m["goal"]) or VAGUE.search(m["goal"])):
            goal = m["goal"][0].lower() + m["goal"][1:]
            return f" to {goal}"
    if len(title.split()) <= 10 and not PRONOUN.search(title) and not VAGUE.search(title) and title[:1].isupper():
        return f" under “{title}”" if len(title.split()) > 1 else ""
    return ""
