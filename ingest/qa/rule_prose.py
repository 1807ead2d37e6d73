"""Prose: the sentences of a text, and their definitions and causes as questions.

Knows the wordings that introduce them; quantities and dates are in ``ingest.qa.rule_measures``, what clauses tell
besides is in ``ingest.qa.rule_facts``. Templates are as in ``ingest.qa.rule_fields``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from fieldguide.align import sentences
from ingest.qa.drafts import Rejection
from ingest.qa.rule_clauses import (
    AUXILIARIES,
    BOUND,
    NO_SUBJECT,
    PRONOUN,
    Sentence,
    about,
    flat,
    lower_first,
    spaced,
)
from ingest.qa.rule_facts import Found, fact_candidates, route_facts
from ingest.qa.rule_labels import PEOPLE, words
from ingest.qa.rule_measures import MONTH, counts, dates, quantities
from ingest.qa.rule_reading import is_plural
from ingest.qa.rule_statements import statement_candidates

_LONGEST_SENTENCE = 600
_UNIT = (
    r"(?:(?:nautical |statute )?miles?|feet|foot|ft|yards?|inch(?:es)?|met(?:er|re)s?|kilomet(?:er|re)s?|km|cm|mm"
    r"|acres?|hectares?|hours?|minutes?|seconds?|days?|weeks?|months?|years?|knots|mph|pounds?|lbs?|kg|tons?|gallons?"
    r"|lit(?:er|re)s?|bushels?|degrees(?: Celsius| Fahrenheit)?|°\s?[CF]|percent|%|dollars|horsepower|hp|psi|gpm|kW|MW)"
)
_NAME = r"(?:[A-Z][\w'’-]+|of|for|and|the|de|&)"
_ABBREVIATED = spaced(rf"({_NAME}(?: {_NAME}){{1,8}}) \(([A-Z][A-Za-z&]{{1,7}})\)")
_IS_A = spaced(
    r"((?:The |An? )?[A-Z]?[\w'’-]+(?: [\w'’-]+){0,6})(?: \([^)]{1,20}\))?(?:, [^,.;]{3,40},)? (is|are|was|were) "
    r"((?:an? |the (?:process|practice|name|term|study|amount|act|use|first|main|only|key) )[^.;:,]{8,200})"
)
_MEANS = spaced(
    r"((?:The |An? )?[\w'’-]+(?: [\w'’-]+){0,5}) (refers? to|means?|(?:is|are) defined as|consists? of"
    r"|(?:is|are) known as|(?:is|are) called|stands? for) ([^.;:]{4,200})"
)
_KEY_TO = spaced(
    r"((?:The|An?) (?:[\w-]+ ){0,2}(?:key|goal|purpose|aim|objective|advantage|disadvantage|benefit|role|function"
    r"|challenge|first step|mission|best way|reason|result|effect|method) (?:of|to|for|in) [^,.;:]{3,60}?) "
    r"(is|are|was|were) ((?!not\b)[^.;:,]{4,160})"
)
_ABBREVIATION = re.compile(
    r"\b(?:St|Jan|Feb|Mar|Apr|Aug|Sept?|Oct|Nov|Dec|v|vs|al|cf|pp?|para|art|Art|Fig|Figs|Mt|Ft|Gov|Sen|Rep|Hon|Rev|Prof"
    r"|Corp|Bros|Cir|Supp|Stat|Reg|Id|Ex|Dept|Univ|Eq|Vol|Ch|Sr|Jr|viz|ca|max|min|est|ft|in|lb|sq)\.$"
)
_PART = re.compile(
    r"(?:BACKGROUND|INTRODUCTION|CONTEXT|RATIONALE|OBJECTIVES?|AIMS?|PURPOSE|HYPOTHESIS|DESIGN|SETTINGS?|PATIENTS"
    r"|PARTICIPANTS|SUBJECTS|METHODS?|METHODOLOGY|MATERIALS?|INTERVENTIONS?|MEASUREMENTS?|RESULTS?|FINDINGS"
    r"|(?:MAIN )?OUTCOMES?(?: MEASURES?)?|CONCLUSIONS?|INTERPRETATION|SIGNIFICANCE|DISCUSSION|SUMMARY"
    r"|IMPLICATIONS|IMPORTANCE|LIMITATIONS|EVIDENCE|EXPOSURES?|UNLABELL?ED|ABSTRACT)"
    r"(?:(?: AND |/)[A-Z]{4,})?:?\s+(?=[A-Z0-9])"
)
"""What a structured abstract writes before a sentence to name its part."""
_FRAGMENT = re.compile(rf"(?:{MONTH} \d{{4}}\b|\d+[.,)]|[A-Z]\.|[•☐☒])")
_TERM = re.compile(r"(?:an? )?[A-Za-z][\w'’-]*(?: (?!is|are|was|by|that|which|if|how|what)[\w'’-]+){0,4}")
_BLAND = re.compile(
    r"(?:an? )?(?:good|bad|great|large|small|new|very|few|lot|number|must|little|better|big|major|few)\b"
)
_PERSONAL = re.compile(
    rf"(?:an? |the )(?:[\w-]+ ){{0,3}}?(?:{PEOPLE}|official|politician|singer|actor|actress|player|scientist|artist"
    r"|writer|poet|leader|professor|resident|citizen|businessman|woman|man)\b(?= of| in| at| who| with|$)"
)
"""What a definition says of a person rather than of a thing."""
_UNFIT = words(
    "every each all any another other however results one first second following example reason part to of for not"
    " also we see"
)
_PROBABLE_CAUSE = spaced(
    r"probable cause(?:\(s\)|s)? (?:of [^:.;]{3,60}? )?(?:to be|is|was|were|are|as)\s*:?\s+([^.;]{4,}?)"
    r"(?:, which|\.|;|$)"
)
_CONTRIBUTING = spaced(
    r"(?:(?:A|An|One|Another|The|Other) (?:additional )?(?:contributing|related) factors? (?:in [^,.]{3,40} )?"
    r"(?:was|were)|[Ff]actors (?:that|which) contributed to [^,.]{3,40} (?:included|were)"
    r"|Contributing to [^,.]{3,40} (?:was|were)) ([^.;]{4,})"
)
_RESULTED = spaced(
    r"((?:[Tt]he|[Aa]n?) [^,.;:]{4,90}?)(?:, which)? (resulted in|resulting in|led to|leading to|caused) "
    r"(an? [^,.;]{3,120}|the [^,.;]{3,120})"
)
_BECAUSE = spaced(r" (because of|because|due to|as a result of|in order to) ([^.;]{4,160})")
_CAUSED_BY = spaced(
    r"((?:[Tt]he|[Aa]n?) [^,.;:]{3,60}?) (was|were|is|are) "
    r"(caused|followed|preceded|triggered|prevented|affected|influenced|determined) by ([^,.;]{4,120})"
)
_BARE_EFFECT = re.compile(r"(?:an?|the) [a-z]+")
_WHY = (
    "What was the probable cause of {e}?",
    "What caused {e}?",
    "What was found to be the probable cause in {e}?",
    "What is {e} attributed to?",
)
_WHAT_ELSE = (
    "What contributed to {e}?",
    "What was a contributing factor in {e}?",
    "Besides the probable cause, what played a part in {e}?",
    "Which factor contributed to {e}?",
)
_PERSON = re.compile(rf"\b[Tt]he\s+(?:[a-z]+\s+){{0,2}}?(?:{PEOPLE})\b(?:\s+(?:{PEOPLE})\b)*")


def prose_candidates(text: str, blocks: Sequence[tuple[int, int]], continues: bool = False) -> Found:
    """Questions from the sentences of a text's prose. ``continues``: the first began before the text."""
    for low, high in blocks:
        for start, end in _whole_sentences(text[low:high]):
            start, end = low + start, low + end
            if part := _PART.match(text, start, end):
                start = part.end()
            said = text[start:end]
            if end - start > _LONGEST_SENTENCE:
                yield Rejection("sentence is too long", flat(said)[:80])
                continue
            if said.count('"') % 2 or said.count("“") != said.count("”"):
                yield Rejection("quotation is cut", flat(said)[:80])
                continue
            begins = bool(re.match(r"[\"“'(]?[A-Z]" if start == low or part else r"[\"“'(]?[A-Z0-9]", said))
            begins = begins and not (start == 0 and continues) and not _FRAGMENT.match(said)
            ends = bool(re.search(r"[.!?][\"'”’)]*$", said))
            if not begins or not ends:
                yield Rejection("sentence is cut", flat(said)[:80])
            if begins and not ends:  # keep the clauses that are whole
                end = max([start] + [m.start() for m in BOUND.finditer(text, start, end)])
            for found in _of_sentence(Sentence(text, start, end, begins), _person(text[low:start])):
                if ends or isinstance(found, Rejection) or found.answer[1] < end:
                    yield found


def _whole_sentences(text: str) -> Iterator[tuple[int, int]]:
    """The sentences of a text, those joined again that an abbreviation broke ("Sept. 15", "Roe v. Wade")."""
    held: tuple[int, int] | None = None
    for start, end in sentences(text):
        if held and _ABBREVIATION.search(text[held[0] : held[1]]):
            held = (held[0], end)
            continue
        if held:
            yield held
        held = (start, end)
    if held:
        yield held


def _of_sentence(sentence: Sentence, person: str) -> Found:
    if not sentence.begins:
        yield from route_facts(sentence)
        yield from quantities(sentence)
        return
    yield from _definitions(sentence)
    yield from _causes(sentence)
    yield from quantities(sentence)
    yield from counts(sentence)
    yield from dates(sentence)
    yield from statement_candidates(sentence)
    yield from fact_candidates(sentence, person)


def _person(before: str) -> str:
    """Whom "he" or "she" stands for: the one person that the text before names; empty if there is none or several."""
    named = {flat(m.group().lower()) for m in _PERSON.finditer(before)}
    longest = max(named, key=lambda name: (len(name), name), default="")
    return longest if len({name.split()[-1] for name in named}) == 1 and len(longest.split()) <= 3 else ""


def _definitions(sentence: Sentence) -> Found:
    for m in sentence.find(_ABBREVIATED):
        yield from _abbreviation(sentence, m)
    for m in sentence.find(_IS_A):
        subject = flat(m.group(1))
        if m.start() == sentence.start and not _unfit(subject):
            noun = lower_first(subject)
            if m.group(2) in ("was", "were") or not _TERM.fullmatch(noun) or _BLAND.match(m.group(3)):
                continue
            person = _PERSONAL.match(flat(m.group(3))) and noun[0].isupper()
            wordings = (f"{'Who' if person else 'What'} {m.group(2)} {noun}?",)
            yield sentence.ask("definition", subject, (m.start(3), _to_the_end(sentence, m.end(3))), wordings)
    for m in sentence.find(_MEANS):
        subject = flat(m.group(1))
        if m.start() == sentence.start and not _unfit(subject):
            noun, (helper, _, past) = lower_first(subject), flat(m.group(2)).partition(" ")
            if helper == "mean" and not is_plural(noun):
                continue  # a noun: "weighted mean effects"
            if helper in ("is", "are"):
                q = f"what {helper} {noun} {past}" if past != "defined as" else f"how {helper} {noun} defined"
            else:
                q = flat(f"what {'does' if helper.endswith('s') else 'do'} {noun} {helper.removesuffix('s')} {past}")
            answer = (m.start(3), _to_the_end(sentence, m.end(3)))
            yield sentence.ask("definition", subject, answer, about(q, thing=False))
    for m in sentence.find(_KEY_TO):
        if m.start() == sentence.start:
            noun = lower_first(flat(m.group(1)))
            answer = (m.start(3), _to_the_end(sentence, m.end(3)))
            yield sentence.ask("fact", noun, answer, about(f"what {m.group(2)} {noun}", thing=False), 0)


def _to_the_end(sentence: Sentence, end: int) -> int:
    """The end of a definition: all of the sentence behind its first comma, if that is not another statement."""
    rest = sentence.text[end : sentence.end]
    return (
        end
        if re.match(r";|:|,\s+(?:but|while|whilst|whereas|although|and\s+(?:the|it|they|is|are|was))\b|[.!?]", rest)
        else sentence.end
    )


def _abbreviation(sentence: Sentence, m: re.Match[str]) -> Found:
    """A name and the abbreviation behind it, if its letters are the initials of the name's last words."""
    parts = list(re.compile(r"\S+").finditer(sentence.text, m.start(1), m.end(1)))
    short, letters = m.group(2), [c for c in m.group(2) if c.isupper()]
    for i, word in enumerate(parts[:-1]):
        if word.group()[0].isupper() and [w.group()[0] for w in parts[i:] if w.group()[0].isupper()] == letters:
            asked = (
                f"What does {short} stand for?",
                f"What is {short} short for?",
                f"What do the letters {short} mean?",
            )
            yield sentence.ask("definition", short, (word.start(), m.end(1)), asked, 3)
            return


def _unfit(subject: str) -> bool:
    said = subject.casefold().split()
    ends = {said[0], said[-1]}
    return bool(ends & (NO_SUBJECT | AUXILIARIES | _UNFIT) or PRONOUN.search(subject)) or len(subject) < 3


def _causes(sentence: Sentence) -> Found:
    for m in sentence.find(_PROBABLE_CAUSE):
        yield sentence.ask("cause", "probable cause", m.span(1), _WHY, 0, 32)
    for m in sentence.find(_CONTRIBUTING):
        yield sentence.ask("cause", "contributing factor", m.span(1), _WHAT_ELSE, 0)
    for m in sentence.find(_RESULTED):
        cause, effect = lower_first(flat(m.group(1))), flat(m.group(3))
        if re.search(r"\b(?:of|in|to|for|by|with|from|on|at|and|or)\s+$", sentence.text[sentence.start : m.start()]):
            continue  # the end of a longer subject
        verb = flat(m.group(2)).replace("resulting", "resulted").replace("leading", "led")
        if re.search(
            r"\b(was|were|is|are|had|has|that|and|when|while|whose|who|which|would|will|could|may|might|can|have)\b",
            cause,
        ) or PRONOUN.search(cause):
            continue
        infinitive = {"resulted in": "result in", "led to": "lead to", "caused": "cause"}[verb]
        yield sentence.ask("cause", f"effect of {cause}", m.span(3), about(f"what did {cause} {infinitive}"))
        if not _BARE_EFFECT.fullmatch(effect):
            yield sentence.ask("cause", f"cause of {effect}", m.span(1), about(f"what {verb} {effect}"), 2)
    for m in sentence.find(_BECAUSE):
        yield from _reason(sentence, m)
    for m in sentence.find(_CAUSED_BY):
        if not re.search(r"(?:^|[,;]\s+(?:and\s+|but\s+)?)$", sentence.text[sentence.start : m.start()]):
            continue
        q = f"what {m.group(2)} {lower_first(flat(m.group(1)))} {m.group(3)} by"
        yield sentence.ask("cause", f"{m.group(3)} by", m.span(4), about(q))


def _reason(sentence: Sentence, m: re.Match[str]) -> Found:
    """Why the clause before "because", "due to" and the like is so."""
    mark, head = flat(m.group(1)), sentence.clause_before(m.start())
    if (
        head is None
        or not head.rest
        or (mark == "because" and not re.match(r"(?:the|an?|he|she|it|they|[A-Z])\b", m.group(2)))
    ):
        return
    of_verb = re.search(r"(?:ed|en|wn|lt|st)$", head.rest) or len(head.rest.split()) <= 2
    if mark in ("due to", "as a result of") and not of_verb:
        return  # it may belong to the noun before it: "harvest delays due to mud"
    if re.search(r"\b(?:that|when|if|which)\b", head.rest) or (
        head.verb in ("is", "are", "was", "were") and re.match(r"(?:an?|the|one)\b", head.rest)
    ):
        return
    start, end = m.span(2) if mark != "in order to" else (m.start(1), m.end(2))
    if mark != "because" and (comma := re.compile(r",\s").search(sentence.text, start, end)):
        end = comma.start()
    tail = head.asked(head.rest)
    wordings = about(f"why {tail}") + about(f"for what reason {tail}")
    yield sentence.ask("cause", f"why {tail}", (start, end), wordings)
