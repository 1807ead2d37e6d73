"""Statements that hold in general: what equals what, what does or should do what, what changed by how much, and
whether something is so.

Knows clauses (``ingest.qa.rule_clauses``) and a closed list of verbs in the present tense; the past tense is in
``ingest.qa.rule_facts``. An answer goes to the end of its clause, so that it is whole.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ingest.qa.rule_clauses import (
    LEANING,
    PRONOUN,
    Clause,
    Sentence,
    about,
    flat,
    lower_first,
    read_clause,
    spaced,
    upper_first,
)
from ingest.qa.rule_facts import Found
from ingest.qa.rule_labels import PEOPLE, words
from ingest.qa.rule_reading import is_plural

_NUMBER = r"[$€£]?\d[\d,]*(?:\.\d+)?"
_AMOUNT = (
    rf"{_NUMBER}(?: (?:to|or|and)|[-–])?(?: ?{_NUMBER})?(?: ?(?:%|°\s?[CF]?|[a-zA-Z]+(?: (?:million|billion|per"
    r"|of|inches"
    r"|feet|hours|days|miles|degrees) ?[a-z]*){0,2}))?(?: per [a-z]+| of water| of mercury)?"
)
_HEDGE = (
    r"(?:about|approximately|around|roughly|nearly|almost|at least|at most|up to|between|only|over|less than|more than)"
)
_EQUALS = spaced(
    rf"((?:[Tt]he |[Aa]n? )?[A-Za-z][^,.;:]{{3,110}}?) (is|are|was|were) "
    rf"((?:{_HEDGE} )?{_AMOUNT})(?=[.;]|, (?:and|but|while|which|the)\b|$)"
)
_LEAD = re.compile(
    r"(?:For|When|In|With|At|If|Under|During)\s(?!example|instance|addition|fact|general|total)[^,;:.]{3,90},\s+"
)
_NEXT = re.compile(r",\s+(?:and\s+|while\s+)?(?=the\s)")
_CHANGED = spaced(
    r"((?:[Tt]he |[Oo]ur )?[A-Z]?[A-Za-z][^,.;:]{3,80}?) "
    r"(increased|decreased|rose|fell|grew|declined|improved|dropped) "
    rf"(?:by )?((?:{_HEDGE} )?{_NUMBER}(?: ?%| percent| percentage points| basis points| (?:million|billion))?"
    r"(?: (?!to\b|in\b|from\b|for\b|on\b|or\b|and\b|as\b|due\b|primarily\b|compared\b|during\b)[a-z]+)?)"
    r"((?: (?:in|for|during|from|compared (?:to|with)) (?:[^,.;:]|, (?=\d{4}\b)){4,70}?)?)"
    r"(?=[.;]|,(?! \d{4}\b)| (?:due|primarily|mainly|as a result|because|driven|and)\b)"
)
_BASE = {"rose": "rise", "fell": "fall", "grew": "grow", "dropped": "drop"}
_MODAL = spaced(
    r"((?:The |An? )?[A-Z]?[\w’'/()-]+(?: (?!can|may|must|should|will|could|would|that|which|who|if|when|is|are)"
    r"[\w’'/()-]+){0,8}) "
    r"(can|may|must|should|will|could) (?:also |only |often |then |therefore |thus |still |now |[a-z]+ly )?"
    r"((?![a-z]+ly\b|therefore\b|thus\b|still\b|now\b|not\b|be\b|have\b|do\b|also\b)[a-z]+) "
    r"((?![a-z]+ly\b|to\b|in\b|on\b|at\b|by\b|for\b|from\b|if\b|when\b|as\b|with\b|that\b|more\b|less\b|than\b|or\b"
    r"|and\b|with\b|into\b|within\b|under\b|until\b|up\b|out\b|not\b)"
    r"[^;:]{6,220}?)(?=\.(?:\s|$)|;|$)"
)
_PRESENT = (
    "requires|require|provides|provide|causes|cause|reduces|reduce|increases|increase|improves|improve|allows|allow"
    "|prevents|prevent|affects|affect|measures|measure|supports|support|covers|cover|represents|represent|produces"
    "|produce|comprises|comprise|prohibits|prohibit|ensures|ensure|limits|limit|governs|govern|oversees|oversee|establishes"
    "|establish|describes|describe|determines|determine|protects|protect|controls|control|manages|manage|offers|offer"
    "|operates|operate|manufactures|manufacture|sells|sell|promotes|promote|restricts|restrict|generates|generate"
)
_DOES = spaced(
    r"((?:The |An? )?[A-Z]?[\w’'/()-]+(?: (?!that|which|who|if|when|is|are|to|can|will|may|and|or)[\w’'/()-]+){0,8}) "
    rf"({_PRESENT}) ((?!may\b|can\b|will\b|is\b|are\b|was\b|were\b|has\b|have\b|must\b"
    r"|should\b|by\b|in\b|for\b|from\b|with\b|on\b|at\b|as\b|of\b|to\b|and\b|or\b|more\b|costs?\b)"
    r"[^;:]{6,220}?)(?=\.(?:\s|$)|;|$)"
)
_AND_DO = spaced(r",? (?:and|or) (?!(?:in|on|at|of|to|for|by|with|from|under|over|all|both|as)\b)[a-z]+ (?:the|an?) ")
"""Another verb of the same subject: "hit a loop edge and enter the monitor"."""
_AND_DOES = spaced(
    rf",? (?:and|or|but) (?:[a-z]+ly |therefore |thus |also |then )?(?:{_PRESENT}) (?!and\b|or\b|of\b|in\b|to\b|for\b)"
)
_SHOULD_BE = spaced(
    r"((?:The |An? )?[A-Z]?[\w’'/()-]+(?: (?!that|which|who|if|when|is|are)[\w’'/()-]+){0,7}) "
    r"(should|must) be ([a-z]+(?:ed|en|wn|ut|pt|de|ld|lt|id)) "
    r"((?:to|before|after|when|if|at|in|within|by|with|every|until|during|on|using|only) "
    r"[^;:]{4,140}?)"
    r"(?=\.(?:\s|$)|;|$)"
)
_AIM = re.compile(
    r"to\s+(?:avoid|prevent|ensure|reduce|minimi[sz]e|maintain|improve|allow|keep|protect|meet|make|determine|verify|obtain"
    r"|achieve|increase|help|account|support|confirm|identify|assess|check)\b"
)
_COMPARED = spaced(
    r"((?:The |An? )?[A-Z]?[A-Za-z][^,.;:]{3,80}?) (is|are|was|were) ((?:much|far|slightly|somewhat|significantly"
    rf"|considerably|about {_NUMBER}%|{_NUMBER}%|generally|typically)? ?(?:[a-z]+er|(?:more|less) [a-z]+)) than "
    r"([^,.;:]{3,90})(?=[.;]|, (?:but|and|so)\b|$)"
)
_NO_COMPARATIVE = words("rather other either whether number order water matter under over later further never")
_NOT = spaced(
    r"((?:The |An? |Its |His )?[A-Z]?[\w’'/()-]+(?: (?!that|which|who|if|when|because)[\w’'/()-]+){0,6}) "
    r"(was|were|is|are|did|does|do|has|have|had|can|cannot|should|must|will) ?(?:not) "
    r"([^,;:.]{8,110})(?=\.(?:\s|$)|;|$)"
)
_NONE_WAS = spaced(
    r"(?:There (was|were|is|are) no ([^,;:.]{5,100})|No ([a-z][^,;:.]{3,60}?) (was|were|is|are|has been|have been) "
    r"([a-z]+(?:ed|en|wn|nd|de|ght)(?: [^,;:.]{0,60})?))(?=\.(?:\s|$)|;|$)"
)
_QUANTIFIED = re.compile(
    r"(?i)\b(?:all|every|each|always|only|yet|anymore|either|until|necessarily|just|but|long|far|at all|ever"
    r"|since then|now|today|currently|again|too|then|instead|as well|usually|there)\b"
)
_UNDONE = re.compile(r"(?i)\b(?:that|which|who|whom|whose|because|but|and|or|while|if|when|unless|as|than)\b")
_PARTICIPLE_AND_NOUN = re.compile(
    r"\w+ed (?!(?:the|an?|to|in|on|at|by|for|from|with|as|into|its|their|during|since|over)\b)"
)
"""What a subject has, not what it has done: "have impaired recycling"."""
_HEADS = re.compile(rf"(?i)\b(?:{PEOPLE})s?\b")
_LEADING = re.compile(r"(?i)(?:for example|in addition|in general|however|therefore|also|then|typically|generally), ")


def statement_candidates(sentence: Sentence) -> Found:
    """Questions that one whole sentence answers by what it says in general."""
    yield from _equalities(sentence)
    yield from _changes(sentence)
    yield from _deeds(sentence)
    yield from _comparisons(sentence)
    yield from _denials(sentence)
    yield from _affirmed(sentence)


def _subject(text: str) -> str:
    """A subject as it stands in a question; "" if it is none or leans on the text before."""
    name = re.sub(r" (?:also|often|usually|typically|generally)$", "", lower_first(flat(text)))
    first = read_clause(f"{upper_first(name)} was the", 0, len(name) + 8)
    said = name.split()
    if first is None or LEANING.match(name) or PRONOUN.search(name) or len(said) > 10 or _UNDONE.search(name):
        return ""
    return name if re.fullmatch(r"[\w’'/&.,() %$-]+", name) and name.count("(") == name.count(")") else ""


def _at_start(sentence: Sentence, pattern: re.Pattern[str]) -> Iterator[re.Match[str]]:
    """The pattern where the sentence begins, or behind a word that only links it."""
    lead = _LEADING.match(sentence.text, sentence.start, sentence.end)
    if m := pattern.match(sentence.text, lead.end() if lead else sentence.start, sentence.end):
        yield m


def _equalities(sentence: Sentence) -> Found:
    lead = _LEAD.match(sentence.text, sentence.start, sentence.end)
    starts = [lead.end() if lead else sentence.start]
    starts += [m.end() for m in sentence.find(_NEXT)]
    for start in starts:
        m = _EQUALS.match(sentence.text, start, sentence.end)
        name = _subject(m.group(1)) if m else ""
        if m is None or not name or re.fullmatch(r"(?:the )?[a-z]+", name) or (start > starts[0] and not lead):
            continue
        if re.search(r"(?i)\b(?:year|number|page|figure|table|section|date|note)s?$", name) or re.match(
            r"\w+ (?:of|to) ", flat(m.group(3))
        ):
            continue
        be = "are" if m.group(2) == "is" and is_plural(name) else m.group(2)
        q = flat(f"{lower_first(flat(lead.group())) if lead else ''} what {be} {name}")
        yield sentence.ask("quantity", q, m.span(3), about(q, thing=False), 0)


def _changes(sentence: Sentence) -> Found:
    for m in _at_start(sentence, _CHANGED):
        name = _subject(m.group(1))
        if not name or len(name.split()) < 2:
            continue
        verb = _BASE.get(m.group(2), m.group(2).removesuffix("d") if m.group(2).endswith("ed") else m.group(2))
        verb = {"decline": "decline", "increase": "increase", "decrease": "decrease", "improve": "improve"}.get(
            verb, verb
        )
        q = flat(f"by how much did {name} {verb} {m.group(4)}")
        yield sentence.ask("quantity", q, m.span(3), about(q, thing=False), 0)


def _deeds(sentence: Sentence) -> Found:
    for m in _at_start(sentence, _MODAL):
        name = _subject(m.group(1))
        if name and not _light(m.group(3)):
            q = f"what {m.group(2)} {name} {m.group(3)}"
            more = _AND_DO.search(sentence.text, *m.span(4))
            end = more.start() if more else m.end(4)
            yield sentence.ask("fact", q, (m.start(4), end), about(q, thing=False), whole=bool(more))
    for m in _at_start(sentence, _SHOULD_BE):
        name = _subject(m.group(1))
        if name:
            asked = f"{m.group(2)} {name} be {m.group(3)}"
            word = flat(m.group(4)).split()[0]
            if word in ("before", "after", "when", "if", "every", "until", "during"):
                yield sentence.ask("procedure", f"when {asked}", m.span(4), about(f"when {asked}", thing=False))
            elif word == "to" and _AIM.match(m.group(4)):
                yield sentence.ask("cause", f"why {asked}", m.span(4), about(f"why {asked}", thing=False))
            elif word in ("by", "using"):
                yield sentence.ask("procedure", f"how {asked}", m.span(4), about(f"how {asked}", thing=False))
    for m in _at_start(sentence, _DOES):
        name, verb = _subject(m.group(1)), m.group(2)
        plural = not verb.endswith("s")
        if not name or _is_noun(m.group(1), verb):
            continue
        base = verb if plural else _base(verb)
        q = f"what {'do' if plural else 'does'} {name} {base}"
        more = _AND_DOES.search(sentence.text, *m.span(3))  # another verb of the same subject
        yield sentence.ask(
            "fact", q, (m.start(3), more.start() if more else m.end(3)), about(q, thing=False), whole=bool(more)
        )


def _base(verb: str) -> str:
    return verb[:-2] if verb.endswith(("shes", "sses")) else verb[:-1]


def _is_noun(before: str, verb: str) -> bool:
    """Whether a form that may be a noun is one: "water supports and", "the cost increases"."""
    last = before.split()[-1].casefold()
    plural_subject = last.endswith("s") and not last.endswith(("ss", "us", "is"))
    return verb.endswith("s") == plural_subject


def _light(verb: str) -> bool:
    return verb in words(
        "take play make give get become include involve contain appear remain seem use need want occur "
        "result depend vary go come continue begin start try help also still never always often only "
        "mean cause lead work differ range apply consider find see know"
    )


def _comparisons(sentence: Sentence) -> Found:
    for m in _at_start(sentence, _COMPARED):
        name = _subject(m.group(1))
        word = flat(m.group(3)).split()[-1]
        if not name or len(name.split()) < 2 or word in _NO_COMPARATIVE:
            continue
        other = flat(m.group(4))
        if PRONOUN.search(other) or re.search(
            r"(?i)\b(?:that|those|expected|average|normal|usual|before|other)\b", other
        ):
            continue
        do = "does" if m.group(2) in ("is", "are") else "did"
        do = "do" if m.group(2) == "are" else do
        q = f"how {do} {name} compare with {other}"
        yield sentence.ask("comparison", q, (m.start(3), m.end(3)), about(q, thing=False), 0)


def _denials(sentence: Sentence) -> Found:
    """Whether something is so of which the text says that it is not."""
    for m in _at_start(sentence, _NOT):
        name, rest = _subject(m.group(1)), flat(m.group(3))
        if not name or len(rest.split()) < 3 or _QUANTIFIED.search(rest) or _UNDONE.search(rest):
            continue
        verb = m.group(2).lower().removesuffix("not") if m.group(2) == "cannot" else m.group(2)
        if verb in (
            "should",
            "must",
            "will",
            "is",
            "are",
            "was",
            "were",
            "did",
            "does",
            "do",
            "can",
            "has",
            "have",
            "had",
        ):
            q = f"{verb} {name} {rest}"
            yield sentence.ask("yes/no", q, m.span(3), about(q, thing=False), 0, said="No")
    for m in _at_start(sentence, _NONE_WAS):
        if m.group(1):
            q = f"{m.group(1)} there any {flat(m.group(2))}"
        else:
            verb, _, been = m.group(4).partition(" ")
            q = flat(f"{verb} any {m.group(3)} {been} {m.group(5)}")
        if not _UNDONE.search(q) and len(q.split()) >= 5:
            yield sentence.ask("yes/no", q, m.span(), about(q, thing=False), 0, said="No")


def _affirmed(sentence: Sentence) -> Found:
    """Whether a short sentence of one clause is so: it is."""
    text = sentence.text[sentence.start : sentence.end].rstrip(".")
    clause = read_clause(sentence.text, sentence.start, sentence.start + len(text))
    if clause is None or not sentence.begins or re.search(r"[,;:()“”\"]", text) or not 6 <= len(text.split()) <= 18:
        return
    if _is_doubtful(clause) or not _subject(clause.subject):
        return
    q = clause.asked(clause.rest.rstrip("."))
    yield sentence.ask("yes/no", q, (sentence.start, sentence.end), about(q), 2, said="Yes")


def _is_doubtful(clause: Clause) -> bool:
    if re.fullmatch(r"(?:the )?[a-z]+", clause.subject) or re.match(r"(?:the|an?|one) ", clause.rest):
        return True
    if clause.verb in ("has", "have", "had") and _PARTICIPLE_AND_NOUN.match(clause.rest):
        return True
    if clause.adverb or len(clause.subject.split()) < 2 or len(clause.rest.split()) < 3:
        return True
    if clause.verb in ("may", "might", "could", "would") or _UNDONE.search(clause.rest):
        return True
    if _QUANTIFIED.search(clause.rest) or LEANING.match(clause.subject):
        return True
    return bool(
        re.search(
            r"(?i)\b(?:not|no|only|also|even|never|few|little|most|many|some|several|various)\b",
            f"{clause.subject} {clause.rest}",
        )
    )
