"""Facts of a sentence: what someone said, did or was doing, what happened to what, where, when and by whom.

Knows clauses (``ingest.qa.rule_clauses``); causes, quantities, dates and definitions are in ``ingest.qa.rule_prose``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from fieldguide.align import content_tokens
from ingest.qa.drafts import Rejection
from ingest.qa.rule_clauses import (
    IRREGULAR,
    LEAD,
    LEANING,
    LISTED,
    NO_SUBJECT,
    PREPOSITION,
    PRONOUN,
    Clause,
    Sentence,
    about,
    base_form,
    clause_end,
    clause_starts,
    flat,
    lower_first,
    read_clause,
    shared_clause,
    spaced,
)
from ingest.qa.rule_forms import Candidate
from ingest.qa.rule_labels import PERSON, words

Found = Iterator[Candidate | Rejection]

_SAID = spaced(
    r"((?:[Tt]he|An?|His|Her)?(?: ?[a-z-]+){1,3}|[A-Z][\w. ]{2,40}|He|She) (?:(?:reported|stated|said|commented|added"
    r"|noted|testified|explained|indicated|determined|concluded|revealed|found|realized|argued|claimed|showed)"
    r"(?: to [\w ]{3,30})? that|(?:said|stated|reported)(?= (?:he|she|the|it|there)\b)) "
    r"([^;]{8,200}?)(?=\.(?:\s|$|\")|;)"
)
_REVEALED = spaced(
    r"([Ee]xaminations?|[Ii]nspections?|[Ii]nvestigations?|[Aa]nalysis|[Tt]ests?|[Rr]eview|[Ss]urveys?|[Ss]tud(?:y|ies))"
    r"( of the [a-z ]{3,40}?)?(?: by [^,.]{3,70}?)? (revealed|showed|found|disclosed|indicated) (?!that )([^.;]{6,200})"
)
_OWNER = r"((?:the )?[A-Z][\w'’., &]+?)(?= (?:and|under|as|at|was|for)\b|,|\.|;)"
_ROUTES: tuple[tuple[re.Pattern[str], str, tuple[str, ...]], ...] = tuple(
    (spaced(pattern), label, wordings)
    for pattern, label, wordings in (
        (
            r"\b(?:originated from|departed from|departed|took off from|had departed) "
            r"((?:the )?[A-Z][\w'’. ]+?(?: \([A-Z0-9]+\))?(?:, [A-Z]\w+)?)(?= (?:and|at|on|en|for)\b|,|\.|;)",
            "departed from",
            (
                "Where did the flight in {e} originate?",
                "From where had {t} departed?",
                "Where had the flight of {t} come from?",
                "From what place did the flight in {e} set out?",
            ),
        ),
        (
            r"\b(?:en route to|destined for|bound for|headed for|on (?:his|her|its) way to) "
            r"((?:the )?[A-Z][\w'’. ]+?(?: \([A-Z0-9]+\))?)(?= (?:and|at|on|when|near)\b|,|\.|;)",
            "en route to",
            (
                "Where was {t} going?",
                "What was the destination of {t}?",
                "Where was the flight in {e} headed?",
                "To which place was {t} on its way?",
            ),
        ),
        (
            rf"\boperated by {_OWNER}",
            "operator",
            ("Who operated {t}?", "Who was the operator of {t}?", "Who was operating {t} in {e}?"),
        ),
        (
            rf"\bowned by {_OWNER}",
            "owner",
            ("Who owned {t}?", "To whom did {t} belong?", "Who is named as the owner in {d}?"),
        ),
        (
            rf"\bregistered to {_OWNER}",
            "owner",
            ("To whom was {t} registered?", "Who was the registered owner of {t}?"),
        ),
        (
            r"\bunder the (?:jurisdiction|control)(?: and (?:control|supervision))? of "
            r"(?:the )?([A-Z][^.;,]{4,60}|[Tt]he ?[A-Z][a-z]+ government)(?=\.|;|,)",
            "jurisdiction",
            (
                "Under whose jurisdiction was the investigation of {e}?",
                "Who controlled the investigation of {e}?",
                "Which authority was responsible for investigating {e}?",
            ),
        ),
        (
            r"\b((?:[A-Z]?[a-z]+ )?meteorological conditions) prevailed",
            "prevailed",
            (
                "What weather conditions prevailed in {e}?",
                "Which conditions prevailed at the time of {e}?",
                "What kind of meteorological conditions were there in {e}?",
            ),
        ),
        (
            r"\blanding at ((?:[A-Z][\w.]* )+Airport)",
            "landing at",
            ("At which airport did {e} happen?", "Where was {t} landing?", "Which airport was {t} landing at?"),
        ),
        (
            r"\bsustained (?:[a-z]+ )?damage to ([^.;]{4,140})",
            "damage to",
            (
                "Which parts were damaged in {e}?",
                "What was damaged in {e}?",
                "Where was {t} damaged?",
                "What parts of {t} sustained damage?",
            ),
        ),
    )
)
_PAST = re.compile(r"\b(?:was|were|had|[a-z]{2,}ed|" + "|".join(IRREGULAR) + r")\b")
_PRESENT = re.compile(r"\b(?:should|can|may|will|is|are|have|has|must)\b")
_NOT_EVENTS = words("prevail occur exist include involve contain appear remain consist seem")
_SAYING = words(
    "say state report note think realize feel believe add comment explain indicate suggest determine find reveal"
)
_PLACED = words(
    "bounce land skid impact collapse dig crash run roll veer live park meet stand drop slide fall touch settle "
    "work grow"
)
_LOCATED = words(
    "located situated held found installed placed seated stored built grown planted parked stationed born headed"
)
_LOST = words("destroyed damaged lost killed ruined")
_MIXED = re.compile(r"\b(that|which|who|whose)\b|\b(and|but)\b.*\b(is|are|was|were|has|have|had|will)\b")
_HURT = re.compile(r"(?:not|fatally|seriously|slightly|critically|also)?\s*(?:injured|killed|hurt)")
_SAME = re.compile(r"(?:(?:been )?(?:to|an?|the|one)|when|where|that|how|so|also|as follows)\b|[\"“$\d]")
_UNASKED = re.compile(r"(?i)^(no|there|neither|none|nothing)\b|contribut|probable cause|factors?\b")
_DONE_TO = re.compile(
    r"((?:[a-z]+ly )?([a-z]+(?:ed|en|nt|wn|st|ld|lt|rn))) "
    r"(by|in|on|under|at|into|over|from|to|with|towards?|along|near) ([^,;:]{3,120})"
)
_TOLD = re.compile(
    r"(?:[a-z]+ly )?(?:reported|found|known|considered|said|seen|given|noted|listed|based|called|used|filed)\b"
)
_HAPPENED = re.compile(
    r"(?:[a-z]+ly |also )?[a-z]+(?:ed|en|nt|wn|st)(?: (?:and [a-z]+ed|(?:in|on|under|by|from) [^,;:]{3,60}))?"
)
_PARTICIPLE_FIRST = re.compile(r"(?:\w+ly )?[a-z]+(?:ed|en|wn|nt|ld|lt|de|pt|ught)\b")
_BARE = re.compile(r"(?i)the [a-z]+|an? [a-z]+")
_ENDED = re.compile(r"\s*(?:[.;]|$|,\s+(?:which|but|while|where|whereas|and\s+(?:the|an?|it|they|he|she))\b)")
_HEAD = re.compile(r"(?i)(.+?) (?:of|in|for|by|to|from|with|on|at|under|between|\w+ed|\w+ing)\b")
_LIGHT = words(
    "play take make have give do get become include involve contain appear remain seem use serve begin start "
    "continue need want try face put set keep constitute comprise depart"
)
_LINKS = ("then", "also", "subsequently", "again", "later", "first", "still", "now", "therefore", "thus", "instead")
_MOVES = words(
    "collide crash depart land occur happen live die work emerge arrive return travel move fall grow come go result "
    "proceed continue skid slide roll veer hit rise drop descend climb fly sail drive walk escape flee lead"
)
_TWO_NAMES = re.compile(r"(?!The )[A-Z][a-z]+(?: [A-Z]\.)? [A-Z][a-z]+")
"""Perhaps a person: neither "by whom" nor "by what" is sure."""
_BEFORE_ARTICLE = words("of in on at by for from to with and or between as under over near into through against during")
_SOME = re.compile(r"\b(?:several|various|many|some|few|different) (?:[a-z]+ )?[a-z]+s$")
"""What would tell nothing: "what can end in several ways"."""
_NAMING = words("called named titled entitled dubbed termed")
_A_TIME = re.compile(
    r"\d{1,2} (?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)|(?:19|20)\d\d$|"
    r"(?:[\w-]+ ){0,3}(?:seconds?|minutes?|hours?|days?|weeks?|months?|years?|decades?|centur(?:y|ies)|times?)\b"
)
_OBJECT = re.compile(
    r"((?:(?:about|approximately|up to) (?=\d|two|three))?"
    r"(?:the|an?|his|its|their|two|three|one|full|some|several|directional|control"
    r"|too much|approach|damage|power|impact|\d[\d,]*) [^,;:]{2,90}?|control of the [a-z]+|(?:[a-z]+ )?control)"
    r"( (?:while|when|before|after|during|until|because|and|at|in|on|with|from|into|so|for|instead)\b.*)?"
)


def route_facts(sentence: Sentence) -> Found:
    """Facts that a few fixed words introduce, wherever they stand."""
    for pattern, label, wordings in _ROUTES:
        for m in sentence.find(pattern):
            yield sentence.ask("fact", label, m.span(1), wordings)


def fact_candidates(sentence: Sentence, person: str) -> Found:
    """What was said and revealed, else what the clauses tell. ``person`` is whom "he" or "she" stands for."""
    told = False
    text, start, end = sentence.text, sentence.start, sentence.end
    for m in sentence.find(_SAID):
        who = person if m.group(1) in ("He", "She") else lower_first(flat(m.group(1)))
        who = re.sub(r" (?:has|have|had|also|then)$", "", who)
        if not who or m.start() != start or LEANING.match(who) or who.casefold().split()[0] in NO_SUBJECT:
            continue
        told = True
        verb = base_form(text[m.end(1) : m.start(2)].split()[0])
        yield sentence.ask("fact", f"{who} {verb}", m.span(2), about(f"what did {who} {verb}"))
        for cut in [m.start(2), *clause_starts(text, m.start(2), m.end(2))[1:]]:
            speaker = who if PERSON.search(who) else person
            yield from _clause_at(sentence, cut, clause_end(text, cut, m.end(2)), speaker)
    for m in sentence.find(_REVEALED):
        told = True
        noun = f"{m.group(1).lower()}{' '.join((' ' + (m.group(2) or '')).split(' '))}".strip()
        wordings = about(f"what did the {noun} {base_form(m.group(3))}") + about(f"what was {m.group(3)} by the {noun}")
        yield sentence.ask("fact", f"{noun} {m.group(3)}", m.span(4), wordings)
    yield from route_facts(sentence)
    yield from _after_lead(sentence)
    if not told:
        for cut in clause_starts(text, start, end):
            yield from _clause_at(sentence, cut, clause_end(text, cut, end), person)


def _after_lead(sentence: Sentence) -> Found:
    """What happened after, during or before something that the sentence begins with."""
    lead = LEAD.match(sentence.text, sentence.start, sentence.end)
    if lead is None:
        return
    rest = sentence.text[lead.end() : sentence.end].lstrip()
    when = lower_first(flat(lead.group().rstrip(",")))
    past = _PAST.search(rest) and not _PRESENT.search(rest)
    if past and re.match(r"(?:the|an?|one|two|[A-Z])", rest) and not PRONOUN.search(f"{when} {rest.split()[0]}"):
        answer = (sentence.end - len(rest), sentence.end)
        yield sentence.ask("fact", f"what happened {when}", answer, about(f"what happened {when}")[1:])


def _clause_at(sentence: Sentence, cut: int, stop: int, person: str) -> Found:
    """Questions of the clause from ``cut`` to ``stop``, and of a second verb of its subject."""
    text = sentence.text
    if LISTED.match(text, stop, sentence.end):
        return  # an enumeration or an apposition follows: what stands before is not the whole of it
    pronoun = re.match(r"(?:[Hh]e|[Ss]he)(?=\s)", text[cut:stop])
    named = pronoun is not None and bool(person)
    clause = (
        shared_clause(text, cut + pronoun.end(), stop, person) if pronoun and named else read_clause(text, cut, stop)
    )
    if clause is None:
        return
    if PRONOUN.search(clause.subject):
        yield Rejection("subject is a pronoun", clause.subject)
        return
    yield from _clause_facts(sentence, clause, shared=named)
    if second := re.compile(r",?\s+and(?=\s)").match(text, stop, sentence.end):
        again = shared_clause(text, second.end(), clause_end(text, second.end() + 8, sentence.end), clause.subject)
        if again and not again.is_aux:
            yield from _clause_facts(sentence, again, shared=True)


def _clause_facts(sentence: Sentence, clause: Clause, shared: bool) -> Found:
    """Questions of one clause, for its subject and for what it says. ``shared``: its subject is not beside it."""
    subject, rest = clause.subject, clause.rest.rstrip(".,;: ")
    if clause.adverb == "not" or _UNASKED.search(subject) or len(subject.split()) > 12:
        return
    if any(before not in _BEFORE_ARTICLE for before in re.findall(r"(\S+) (?:an?|the) ", subject)):
        return  # it holds a verb: "the university runs a program (called …)"
    if clause.verb in _NAMING:
        return
    if LEANING.match(subject):
        yield Rejection("subject leans on what was said before", subject)
        return
    if clause.is_aux and _HURT.fullmatch(rest):
        q = f"how badly {clause.verb} {subject} hurt"
        wordings = about(q) + about(f"what injuries did {subject} have")
        yield sentence.ask("fact", q, (clause.rest_at, clause.end), wordings)
        return
    if not shared:
        yield from _who_or_what(sentence, clause, rest)
    yield from _state_facts(sentence, clause, rest) if clause.is_aux else _deed_facts(sentence, clause, rest)


def _who_or_what(sentence: Sentence, clause: Clause, rest: str) -> Found:
    """Who or what the clause is about, where its subject says enough to be an answer."""
    parts, person = clause.subject.split(), bool(PERSON.search(_head(clause.subject)))
    specific = len(parts) > 2 or (parts[0] not in ("the", "a", "an") and len(parts) > 1)
    name = all(word[0].isupper() or word in ("of", "and", "for") for word in parts)  # a person or not? Who can tell
    if not (specific or person) or (name and not clause.is_aux) or len(rest.split()) < 3:
        return
    if _MIXED.search(rest) or (clause.is_aux and _SAME.match(rest)) or re.search(r"\bnot\b", rest):
        return
    if clause.verb in ("is", "are", "was", "were") and not _PARTICIPLE_FIRST.match(rest):
        return  # "What is high in summer?" has many answers
    if re.match(
        r"(?:may|might|could|be (?!\w+(?:ed|en|wn|pt|ut|ld|lt)\b)|even)\b", f"{clause.verb} {rest}"
    ) or rest.startswith("be no"):
        return
    if re.search(r"\beven\b", rest) or not _ENDED.match(sentence.text, clause.end, sentence.end):
        return  # what is said of the subject goes on
    if (
        clause.adverb in _LINKS
        or rest.split()[0] in _LINKS
        or (not clause.is_aux and _may_be_noun_phrase(clause, rest))
    ):
        return
    if clause.verb in ("has", "have", "had") or len(content_tokens(rest)) < 3 or _BARE.fullmatch(clause.subject):
        return
    if re.search(rf"\b(?:{PREPOSITION}|the|an?|of|to|for)$", rest) or _SOME.search(rest):
        return
    if re.match(r"\.(?:\w|,|\s+\S)", sentence.text[clause.end : sentence.end]):
        return  # an abbreviation cuts it
    before = sentence.text[clause.start : clause.verb_at]
    end = clause.start + (before.rindex(clause.adverb) if clause.adverb else len(before.rstrip()))
    verb = {"were": "was", "are": "is", "have": "has"}.get(clause.verb, clause.verb)
    q = flat(f"{'who' if person else 'what'} {clause.adverb} {verb} {rest}")
    yield sentence.ask("fact", q, (clause.start, end), about(q), 2 if person else 1)


def _may_be_noun_phrase(clause: Clause, rest: str) -> bool:
    """Whether the verb may be a participle of the subject ("portraits painted in watercolour date from …"), or is one
    that says nothing ("began to …")."""
    verb = base_form(clause.verb)
    return verb in _LIGHT or (
        verb not in _MOVES and bool(re.match(r"(?:by|in|on|with|as|from|under|of|at|for)\b", rest))
    )


def _head(subject: str) -> str:
    """A subject up to its head: "the claims invoked by the plaintiffs" gives "the claims"."""
    cut = _HEAD.match(subject)
    return cut.group(1) if cut else subject


def _state_facts(sentence: Sentence, clause: Clause, rest: str) -> Found:
    """Of a clause with an auxiliary: by what, how, where, what happened, what was someone doing."""
    subject, verb = clause.subject, clause.verb
    if verb not in ("is", "are", "was", "were") or rest.startswith("not "):
        return
    if m := _DONE_TO.fullmatch(rest):
        done, how, prep = len(m.group(1).split()), m.group(2), m.group(3)
        q = ""
        if prep == "by" and re.match(r"[a-z]+ing\b", m.group(4)):
            q = f"how {verb} {subject} {m.group(1)}"
        elif prep == "by" and not _TWO_NAMES.fullmatch(m.group(4)) and not re.match(r"(?:his|her)\b", m.group(4)):
            agent = PERSON.search(_head(m.group(4))) or re.fullmatch(r"[A-Z]{2,6}", m.group(4))
            q, done = f"by {'whom' if agent else 'what'} {verb} {subject} {m.group(1)}", done + 1
        elif (how in _LOCATED and prep != "by") or (how in _LOST and prep == "in"):
            q = f"{'where' if how in _LOCATED else 'how'} {verb} {subject} {m.group(1)}"
        if q:
            yield sentence.ask("fact", q, (_word(sentence, clause, done), clause.end), about(q))
            return
    if _TOLD.match(rest):
        return
    if _HAPPENED.fullmatch(rest):
        ended = _ENDED.match(sentence.text, clause.end, sentence.end)
        if len(subject.split()) > 2 and verb in ("was", "were") and ended:
            q = f"what happened to {subject}"
            yield sentence.ask("fact", q, (clause.verb_at, clause.end), about(q))
    elif re.match(r"[a-z]+ing\b", rest) and PERSON.search(subject):
        q = f"what {verb} {subject} doing"
        yield sentence.ask("fact", f"doing {subject}", (clause.rest_at, clause.end), about(q))


def _deed_facts(sentence: Sentence, clause: Clause, rest: str) -> Found:
    """Of a clause with a verb in the past: what, where, when, with what, and what happened to its subject."""
    subject, verb = clause.subject, base_form(clause.verb)
    whole = (clause.rest_at, clause.end)
    specific = len(subject.split()) > 2 and not PERSON.search(subject)
    if verb in _SAYING:
        if m := re.fullmatch(r"no ([a-z ]{5,80})", rest):
            label = f"did {subject} {verb} any {m.group(1)}"
            yield sentence.ask("yes/no", label, whole, about(label), 1, said="No")
    elif m := _OBJECT.fullmatch(rest):
        more = m.group(2) or ""
        more = "" if PRONOUN.search(more) or len(more.split()) > 7 or more.startswith((" and", " so")) else more
        if len(m.group(1).split()) > 4 and re.match(r" (?:in|on|with|from|into|for) ", more):
            return  # it may belong to the last word of the object
        as_what = re.match(r"\s+as\b", sentence.text[clause.end : sentence.end])
        if verb in _LIGHT or as_what or _A_TIME.match(m.group(1)):
            return
        q = f"what did {subject} {verb}{more}"
        yield sentence.ask(
            "fact", q, (clause.rest_at, _word(sentence, clause, len(m.group(1).split()), past=True)), about(q)
        )
    elif verb in ("occur", "happen") and re.match(r"(?:during|while|when|after|before|at|as|on)\b", rest):
        yield sentence.ask("fact", f"when {subject} {verb}", whole, about(f"when did {subject} {verb}"))
    elif re.match(rf"{PREPOSITION} ", rest) and len(rest.split()) <= 14:
        if re.search(r"\b(time|end|moment|date|order)\b", rest):
            return
        prep = rest.split()[0]
        if prep in ("with", "against", "into", "onto"):
            q = f"what did {subject} {verb} {prep}"
            yield sentence.ask("fact", q, (_word(sentence, clause, 1), clause.end), about(q))
        elif verb in _PLACED:
            yield sentence.ask("fact", f"where {subject} {verb}", whole, about(f"where did {subject} {verb}"))
        if specific and verb not in _NOT_EVENTS:
            q = f"what happened to {subject}"
            yield sentence.ask("fact", q, (clause.verb_at, clause.end), about(q)[1:])


def _word(sentence: Sentence, clause: Clause, number: int, past: bool = False) -> int:
    """Where the word of that number (from 0) of the clause's rest begins; with ``past``, where that many words end."""
    found = list(re.compile(r"\S+").finditer(sentence.text, clause.rest_at, clause.end))
    if past:
        return found[min(number, len(found)) - 1].end()
    return found[number].start() if number < len(found) else clause.end
