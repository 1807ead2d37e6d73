"""Prose: sentences whose wording gives a question and a short span that answers it.

Knows English clauses by their surface only: a subject, a verb known by its form, and the rest. What it is not sure of
it leaves alone. Templates are as in ``ingest.rule_forms``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from fieldguide.align import sentences
from ingest.drafts import Rejection
from ingest.rule_forms import PEOPLE, PERSON, Candidate

_MONTH = r"(?:Jan(?:uary|\.)|Feb(?:ruary|\.)|March|April|May|June|July|Aug(?:ust|\.)|Sept?(?:ember|\.)|Oct(?:ober|\.)|Nov(?:ember|\.)|Dec(?:ember|\.))"
_DATE = rf"(?:{_MONTH} \d{{1,2}}(?:st|nd|rd|th)?(?:, \d{{4}})?|\d{{1,2}} {_MONTH}(?: \d{{4}})?|{_MONTH},? \d{{4}}|(?:1[5-9]|20)\d\d(?![\d,.%-]))"
_NUMBER = r"(?:\d[\d,]*(?:\.\d+)?(?:(?: to | ?[-–] ?)\d[\d,]*(?:\.\d+)?)?)"
_UNIT = (
    r"(?:(?:nautical |statute )?miles?|feet|foot|ft|yards?|inch(?:es)?|metres?|meters?|kilomet(?:er|re)s?|km|cm|mm|acres?|hectares?"
    r"|hours?|minutes?|seconds?|days?|weeks?|months?|years?|knots|mph|pounds?|lbs?|kg|tons?|gallons?|litres?|liters?"
    r"|bushels?|degrees(?: Celsius| Fahrenheit)?|°\s?[CF]|percent|%|dollars|horsepower|hp|psi|gpm|kW|MW)"
)
_AUX = frozenset("is are was were has have had can could will would should must may might does did do".split())
_IRREGULAR = {
    "began": "begin", "broke": "break", "brought": "bring", "built": "build", "came": "come", "caught": "catch",
    "chose": "choose", "dug": "dig", "drew": "draw", "drove": "drive", "fell": "fall", "felt": "feel", "flew": "fly",
    "found": "find", "gave": "give", "grew": "grow", "held": "hold", "hit": "hit", "kept": "keep", "led": "lead",
    "left": "leave", "lost": "lose", "made": "make", "met": "meet", "overflew": "overfly", "ran": "run", "rose": "rise",
    "said": "say", "saw": "see", "sent": "send", "slid": "slide", "sold": "sell", "spent": "spend", "stood": "stand",
    "struck": "strike", "swung": "swing", "thought": "think", "told": "tell", "took": "take", "understood": "understand",
    "went": "go", "won": "win", "wrote": "write",
}  # fmt: skip
_DROPS_E = re.compile(
    r"(?:[^e]at|[cvuz]|[^s]s|[^n]g|rang|chang|plung|[^o]id|ud|od|[iu]r|m(?:in|it)e|term?in|fin|bin|amin|lin|[^oh]ut|[bpdgcf]l"
    r"|not|quot|vot|ak|ik|om|op(?!p)|yp|iz|hir|par|ag|edg|rot|par|clar)$"
)
_FOLLOWS_VERB = re.compile(
    r"(?:the|a|an|his|her|its|their|our|this|that|these|those|to|in|on|at|by|for|from|with|into|onto|off|of|over|under|about"
    r"|near|against|and|or|as|up|down|out|back|no|all|some|two|three|one|after|before|until|when|because|due|through|within"
    r"|between|toward|towards|around|it|him|them|upright|across|along|during|\d\S*|\w+ly|too|both|over)$"
)
_NO_SUBJECT = frozenset(
    "it he she they we you i this that these those there here who which what when where why how if because while although "
    "though unless until since as and but or not once whether everyone nothing such some many most others note any "
    "during in on at after before while upon for from with by following prior according shortly contributing approximately".split()
)
_PRONOUN = re.compile(r"(?i)\b(he|she|it|they|this|these|those|his|her|their|its|him|them|we|us|our|you|your|I|my)\b")
_PREPOSITION = r"(?:in|on|at|near|from|into|onto|against|with|over|under|across|along|behind|between|off|toward|towards)"
_LEAD = re.compile(
    r"(?:(?:Shortly|Immediately|Just|Soon) )?(?:After|During|Before|While|When|Following|Upon|Once|Prior to|As)\b[^,.;:]{4,80},"
)
_SMALL = re.compile(
    r"(?:The|A|An|His|Her|Its|Their|In|On|At|During|After|Before|While|When|As|One|Two|Three|Several|No|All|Each|Examination|"
    r"Shortly|Immediately|Following|Upon|Once|Prior|Visual|Instrument|Some|Most|Many|Any|Both|Post|Just|Soon)\b"
)


@dataclass(frozen=True, slots=True)
class Clause:
    """A clause by its parts: subject, adverb, verb and rest, with the offsets of subject, verb and end."""

    subject: str
    adverb: str
    verb: str
    rest: str
    start: int
    verb_at: int
    rest_at: int
    end: int

    @property
    def is_aux(self) -> bool:
        return self.verb in _AUX

    def asked(self, rest: str) -> str:
        """The clause as a question's tail: "did the airplane strike a tree", "was the wing bent"."""
        words = f"{self.verb} {self.subject}" if self.is_aux else f"did {self.subject} {base_form(self.verb)}"
        return f"{words} {rest}".strip()


def base_form(verb: str) -> str:
    """The infinitive of a past tense: by a table, else by its ending."""
    if verb in _IRREGULAR:
        return _IRREGULAR[verb]
    stem = verb[:-2]
    if stem.endswith("i"):
        return stem[:-1] + "y"
    if len(stem) > 3 and stem[-1] == stem[-2] and stem[-1] in "bdgmnprt":
        return stem[:-1]
    return stem + "e" if _DROPS_E.search(stem) else stem


def lower_first(text: str) -> str:
    """The text as it stands inside a sentence: a leading article or preposition loses its capital."""
    return text[0].lower() + text[1:] if _SMALL.match(text) else text


def upper_first(text: str) -> str:
    return text[:1].upper() + text[1:]


def about(question: str, thing: bool = True) -> tuple[str, ...]:
    """A question without its mark, tied to the document in several ways."""
    q = lower_first(question)
    event = re.sub(r"\b(?:the|this) (?:accident|incident|crash|collision|mishap)(?= (?:in|of|at|on|was|is|did|occur|happen|to|and)\b|$)", "{e}", q, count=1)
    if event != q:
        return (f"{upper_first(event)}?", f"{upper_first(event)}, as told in {{d}}?")
    ways = [f"{upper_first(q)} in {{e}}?", f"In {{e}}, {q}?", f"According to {{d}}, {q}?", f"{upper_first(q)}, according to {{d}}?"]
    if thing:
        named = re.sub(r"\bthe (airplane|aircraft|vehicle|vessel|helicopter)(?!['’\w])", "{t}", q, count=1)
        if named != q:
            ways += [f"{upper_first(named)}?"] * 2
        named = re.sub(r"\bthe ((?:student |private )?pilot|driver|captain|flight crew)(?!['’\w])", r"the \1 of {t}", q, count=1)
        if named != q:
            ways += [f"{upper_first(named)}?"] * 2
    return tuple(ways)


def read_clause(text: str, start: int, end: int) -> Clause | None:
    """The clause of ``text[start:end]``, if its subject and verb can be told by their form."""
    words = [(m.group(), start + m.start(), start + m.end()) for m in re.finditer(r"\S+", text[start:end])]
    for i, (word, low, high) in enumerate(words[:11]):
        form = word.casefold()
        if i == 0 and (form in _NO_SUBJECT or form in _AUX or not word[0].isalnum()):
            return None
        after = words[i + 1][0] if i + 1 < len(words) else ""
        finite = i and (form in _AUX or ((form in _IRREGULAR or re.fullmatch(r"[a-z]{3,}ed", word)) and _may_be_verb(form, after)))
        if not finite:
            if form in _NO_SUBJECT - {"and", "as", "since"} or (i and re.search(r"[,;:.()\"“”]", word) and not word.endswith("'s")):
                return None
            continue
        head, adverb = words[:i], ""
        if head[-1][0].endswith("ly") or head[-1][0] in ("then", "also", "subsequently", "again", "later", "first", "not"):
            adverb, head = head[-1][0], head[:-1]
        if head and re.fullmatch(r"(?i)one|two|no|all|each|some|contributing", head[-1][0]):
            return None
        if not head or (len(head) == 1 and re.fullmatch(r"(?i)the|an?|its|his|her|their", head[0][0])):
            continue
        if re.fullmatch(rf"{_PREPOSITION}|of|to|for|the|a|an|and|or|by", head[-1][0]):
            return None
        rest_words = [w for w, _, _ in words[i + 1 :]]
        if form not in _AUX and any(w in _AUX for w in rest_words[: _break(rest_words)]):
            return None  # "Dockets released in May are ...": the first verb is a participle
        subject = " ".join(w for w, _, _ in head)
        rest_at = words[i + 1][1] if i + 1 < len(words) else high
        return Clause(lower_first(subject), adverb, word, " ".join(rest_words), head[0][1], low, rest_at, end)
    return None


def _may_be_verb(form: str, after: str) -> bool:
    return not after or bool(_FOLLOWS_VERB.match(after.casefold().rstrip(".,;:")))


def _break(words: list[str]) -> int:
    """Where the words run into another clause."""
    for i, word in enumerate(words):
        if word.endswith((",", ";", ":")) or word in ("and", "but", "that", "which", "who", "when", "because", "while", "where", "as"):
            return i
    return len(words)


def prose_candidates(text: str, blocks: list[tuple[int, int]], continues: bool = False) -> Iterator[Candidate | Rejection]:
    """Questions from the sentences of a text's prose. ``continues``: the first began before the text."""
    for low, high in blocks:
        for start, end in sentences(text[low:high]):
            start, end = low + start, low + end
            sentence = text[start:end]
            if sentence.count('"') % 2 or sentence.count("“") != sentence.count("”"):
                yield Rejection("quotation is cut", " ".join(sentence.split())[:80])
                continue
            begins = bool(re.match(r"[\"“'(]?[A-Z]" if start == low else r"[\"“'(]?[A-Z0-9]", sentence)) and not (start == 0 and continues)
            ends = bool(re.search(r"[.!?][\"'”’)]*$", sentence))
            if not begins or not ends:
                yield Rejection("sentence is cut", " ".join(sentence.split())[:80])
                if begins and not ends:  # keep the clauses that are whole
                    end = max([start] + [m.start() for m in _BOUND.finditer(text, start, end)])
            for found in _of_sentence(text, start, end, _person(text[low:start]), begins):
                if ends or isinstance(found, Rejection) or found.answer[1] < end:
                    yield found


def _of_sentence(text: str, start: int, end: int, person: str, begins: bool) -> Iterator[Candidate | Rejection]:
    if not begins:
        yield from _routes(text, start, end)
        yield from _quantities(text, start, end)
        return
    yield from _definitions(text, start, end)
    yield from _causes(text, start, end)
    yield from _quantities(text, start, end)
    yield from _dates(text, start, end)
    yield from _facts(text, start, end, person)


def _person(before: str) -> str:
    """Whom "he" or "she" stands for: the one person that the text before names; empty if there is none or several."""
    found = re.finditer(rf"\b[Tt]he\s+(?:[a-z]+\s+){{0,2}}?(?:{PEOPLE})\b(?:\s+(?:{PEOPLE})\b)*", before)
    named = {" ".join(m.group().lower().split()) for m in found}
    heads = {name.split()[-1] for name in named}
    return max(named, key=lambda name: (len(name), name)) if len(heads) == 1 and len(max(named, key=len).split()) <= 3 else ""


def _one(
    kind: str, label: str, text: str, answer: tuple[int, int], sentence: tuple[int, int], templates: tuple[str, ...], rank: int = 1,
    longest: int = 25,
) -> Candidate | Rejection:  # fmt: skip
    start, end = answer
    while end > start and (text[end - 1].isspace() or text[end - 1] in ".,;:"):
        end -= 1
    said = " ".join(text[start:end].split())
    if len(said.split()) > longest:
        return Rejection("answer too long", f"{label}: {said[:80]}")
    if _PRONOUN.search(" ".join(templates[:1])):
        return Rejection("question would hold a pronoun", f"{label}: {templates[0]}")
    if said.count('"') % 2 or said.count("(") != said.count(")"):
        return Rejection("answer is not a whole phrase", f"{label}: {said[:80]}")
    if max(len(t.split()) for t in templates) > 30:
        return Rejection("question too long", f"{label}: {templates[0][:80]}")
    return Candidate(kind, label, (start, end), sentence, tuple(" ".join(t.split()) for t in templates), rank)


def _find(pattern: str, text: str, start: int, end: int, flags: int = 0) -> Iterator[re.Match[str]]:
    """Matches within the sentence; a space of the pattern is any white space."""
    yield from re.compile(re.sub(r"(?<!\\) (?![?*+])", r"\\s+", pattern), flags).finditer(text, start, end)


def _definitions(text: str, start: int, end: int) -> Iterator[Candidate | Rejection]:
    here = (start, end)
    for m in _find(r"((?:[A-Z][\w'’-]+|of|for|and|the|de|&)(?: (?:[A-Z][\w'’-]+|of|for|and|the|de|&)){1,8}) \(([A-Z][A-Za-z&]{1,7})\)", text, *here):
        words = m.group(1).split()
        letters = [c for c in m.group(2) if c.isupper()]
        for cut in range(len(words) - 1):
            initials = [w[0] for w in words[cut:] if w[0].isupper()]
            if initials == letters and words[cut][0].isupper():
                first = m.start(1) + [w.start() for w in re.finditer(r"\S+", m.group(1))][cut]
                name = " ".join(words[cut:])
                forms = (f"What does {m.group(2)} stand for?", f"What is {m.group(2)} short for in {{d}}?", f"What do the letters {m.group(2)} mean in {{d}}?")
                yield _one("definition", m.group(2), text, (first, m.end(1)), here, forms)
                back = (f"What is the abbreviation of {name}?", f"How is {name} abbreviated in {{d}}?", f"Which abbreviation does {{d}} use for {name}?")
                yield _one("definition", name, text, m.span(2), here, back, 3)
                break
    for m in _find(r"((?:The |An? )?[A-Z]?[\w'’-]+(?: [\w'’-]+){0,6})(?: \([^)]{1,20}\))?(?:, [^,.;]{3,40},)? (is|are|was|were) ((?:an? |the (?:process|practice|name|term|study|amount|act|use|first|main|only|key) )[^.;:,]{8,200})", text, *here):
        subject = " ".join(m.group(1).split())
        if m.start() != start or _unfit(subject):
            continue
        noun = lower_first(subject)
        q = f"what {m.group(2)} {noun}"
        forms = (f"{upper_first(q)}?", f"How is {noun} described in {{d}}?", f"According to {{d}}, {q}?") if m.group(2) in ("is", "are") else about(q)
        yield _one("definition", subject, text, m.span(3), here, forms)
    for m in _find(r"((?:The |An? )?[\w'’-]+(?: [\w'’-]+){0,5}) (refers? to|means?|(?:is|are) defined as|consists? of|(?:is|are) known as|(?:is|are) called|stands? for) ([^.;:]{4,200})", text, *here):
        subject = " ".join(m.group(1).split())
        if m.start() != start or _unfit(subject):
            continue
        noun, verb = lower_first(subject), " ".join(m.group(2).split())
        helper, _, past = verb.partition(" ")
        if helper in ("is", "are"):
            q = f"what {helper} {noun} {past}" if past != "defined as" else f"how {helper} {noun} defined"
        else:
            q = f"what {'does' if helper.endswith('s') else 'do'} {noun} {helper.removesuffix('s')} {past}".strip()
        yield _one("definition", subject, text, m.span(3), here, about(q, thing=False))
    for m in _find(r"((?:The|An?|One) (?:[\w-]+ ){0,2}(?:key|goal|purpose|aim|objective|advantage|disadvantage|benefit|role|function|challenge|first step|mission|best way|reason|result|effect|method)(?: (?:of|to|for|in) [^,.;:]{3,60}?)?) (is|are|was|were) ((?!not\b)[^.;:,]{4,160})", text, *here):
        if m.start() == start:
            noun = lower_first(" ".join(m.group(1).split()))
            yield _one("definition", noun, text, m.span(3), here, about(f"what {m.group(2)} {noun}", thing=False))


def _unfit(subject: str) -> bool:
    words = subject.casefold().split()
    bad = _NO_SUBJECT | _AUX | frozenset("another other however results one first second following example reason part".split())
    return not words or bool(bad & set(words[-1:] + words[:1])) or bool(_PRONOUN.search(subject)) or len(subject) < 3


def _causes(text: str, start: int, end: int) -> Iterator[Candidate | Rejection]:
    here = (start, end)
    for m in _find(r"probable cause(?:\(s\)|s)? (?:of [^:.;]{3,60}? )?(?:to be|is|was|were|are|as)\s*:?\s+([^.;]{4,}?)(?:, which|\.|;|$)", text, *here):
        forms = (
            "What was the probable cause of {e}?", "What caused {e}?", "What was found to be the probable cause in {e}?",
            "According to {d}, why did it happen?", "Why did {e} happen, according to the finding of probable cause?",
            "What did the investigators determine as the cause of {e}?", "What is {e} attributed to?",
        )  # fmt: skip
        yield _one("cause", "probable cause", text, m.span(1), here, forms, 0, 32)
    for m in _find(r"(?:(?:A|An|One|Another|The|Other) (?:additional )?(?:contributing|related) factors? (?:in [^,.]{3,40} )?(?:was|were)|[Ff]actors (?:that|which) contributed to [^,.]{3,40} (?:included|were)|Contributing to [^,.]{3,40} (?:was|were)) ([^.;]{4,})", text, *here):
        forms = (
            "What contributed to {e}?", "What was a contributing factor in {e}?", "Besides the probable cause, what played a part "
            "in {e}?", "Which factor contributed to {e}?", "What does {d} name as contributing?",
        )  # fmt: skip
        yield _one("cause", "contributing factor", text, m.span(1), here, forms, 0)
    for m in _find(r"((?:[Tt]he|[Aa]n?) [^,.;:]{4,90}?)(?:, which)? (resulted in|resulting in|led to|leading to|caused) (an? [^,.;]{3,120}|the [^,.;]{3,120})", text, *here):
        cause, verb = lower_first(" ".join(m.group(1).split())), " ".join(m.group(2).split()).replace("resulting", "resulted").replace("leading", "led")
        if re.search(r"\b(was|were|is|are|had|has|that|and|when|while)\b", cause) or _PRONOUN.search(cause):
            continue
        infinitive = {"resulted in": "result in", "led to": "lead to", "caused": "cause"}[verb]
        yield _one("cause", f"effect of {cause}", text, m.span(3), here, about(f"what did {cause} {infinitive}"))
        yield _one("cause", f"cause of {m.group(3)}", text, m.span(1), here, about(f"what {verb} {' '.join(m.group(3).split())}"), 2)
    for m in _find(r" (because of|because|due to|as a result of|in order to) ([^.;]{4,160})", text, *here):
        mark = " ".join(m.group(1).split())
        head = clause_before(text, start, m.start())
        if head is None:
            continue
        span = m.span(2) if mark != "in order to" else (m.start(1), m.end(2))
        if mark == "because" and not re.match(r"(?:the|a|an|he|she|it|they|[A-Z])\b", m.group(2)):
            continue
        comma = re.search(r",\s", text[slice(*span)])
        span = (span[0], span[0] + comma.start()) if comma and mark != "because" else span
        tail = head.asked(head.rest)
        yield _one("cause", f"why {tail}", text, span, here, about(f"why {tail}") + about(f"for what reason {tail}"))
    for m in _find(r"((?:[Tt]he|[Aa]n?) [^,.;:]{3,60}?) (was|were|is|are) (caused|followed|preceded|triggered|prevented|affected|influenced|determined) by ([^,.;]{4,120})", text, *here):
        noun, verb = lower_first(" ".join(m.group(1).split())), m.group(3)
        yield _one("cause", f"{verb} by", text, m.span(4), here, about(f"what {m.group(2)} {noun} {verb} by"))


def clause_before(text: str, start: int, end: int) -> Clause | None:
    """The clause that ends at ``end``, after a lead, a comma or "and" if there is one."""
    for cut in [m.end() for m in re.compile(r",\s+(?:and\s+|but\s+)?|\band\s+").finditer(text, start, end)][::-1] + [start]:
        clause = read_clause(text, cut, end)
        if clause and clause.rest and not _PRONOUN.search(clause.subject):
            return clause
    return None


_DIMENSION = {
    "inch": "long", "foot": "long", "mile": "long", "meter": "long", "metre": "long", "minute": "long", "hour": "long", "day": "long",
    "week": "long", "month": "long", "year": "long", "pound": "heavy", "ton": "heavy", "degree": "steep", "acre": "large",
}  # fmt: skip
_MEASURE = (
    "altitude|temperature|visibility|speed|airspeed|height|weight|depth|length|width|elevation|distance|price|cost|fee|rate|pressure|"
    "dew point|angle|radius|volume|capacity|area|budget|total|average|maximum|minimum|salary|population|yield|level|limit|period|term|age"
)


def _quantities(text: str, start: int, end: int) -> Iterator[Candidate | Rejection]:
    here = (start, end)
    for m in _find(rf"\b(?:an?|the|his|its|approximate|about|planned)(?: approximate| planned| approximately)? ({_NUMBER})-(inch|foot|mile|meter|metre|minute|hour|day|week|month|year|pound|ton|degree|acre)(?:-(long|wide|high|deep|thick))? ((?:[a-z]+ ){{0,1}}[a-z]+)(?= (?:in|of|to|at|on|and|with|from|between|near)\b|[,.;])", text, *here):
        adjective = m.group(3) or _DIMENSION[m.group(2)]
        noun = m.group(4)
        noun = noun if not re.search(r"(-wide|-long)", noun) else ""
        if noun:
            yield _one("quantity", f"how {adjective} {noun}", text, (m.start(1), m.end(2)), here, about(f"how {adjective} was the {noun}"))
    for m in _find(rf"\b([Rr]unway|[Ff]ield|[Rr]oad|[Bb]ridge|[Pp]ipe|[Ww]all|[Bb]ed)( \d+[LRC]?)?(?:,? (?:an?|the)|,| \() ?({_NUMBER}[- ](?:feet|foot|meters?|metres?|miles?|inch(?:es)?))[- ](long|wide)(?:, ({_NUMBER}[- ](?:feet|foot|meters?|metres?))[- ](wide|high))?", text, *here):
        noun = f"{m.group(1).lower()}{m.group(2) or ''}"
        for value, adjective in ((3, 4), (5, 6)):
            if m.group(value):
                yield _one("quantity", f"how {m.group(adjective)} {noun}", text, m.span(value), here, about(f"how {m.group(adjective)} was {noun if m.group(2) else 'the ' + noun}"))
    for m in _find(rf"({_NUMBER} (?:nautical |statute )?(?:miles?|feet|meters|metres|kilometers|yards|km|inches)) ((?:north|south|east|west|northeast|northwest|southeast|southwest|prior to|short of|away from|from|above|below)(?: (?:of|from))?) ((?:the )?[A-Za-z][\w -]{{2,50}}?)(?=[,.;]| (?:and|when|at|while|within|before)\b)", text, *here):
        how = "high" if m.group(2) == "above" else "deep" if m.group(2) == "below" else "far"
        q = f"how {how} {' '.join(m.group(2).split())} {' '.join(m.group(3).split())}"
        head = clause_before(text, start, m.start())
        if head:
            rest = re.sub(r"\s*\b(about|approximately|at|around|some)$", "", head.rest)
            yield _one("quantity", q, text, m.span(1), here, about(f"{q} {head.asked(rest)}"))
        elif re.match(r"(north|south|east|west)", m.group(2)):
            yield _one("quantity", q, text, m.span(1), here, (f"{upper_first(q)} did {{e}} happen?", f"{upper_first(q)} was it, according to {{d}}?"))
    for m in _find(rf"\b((?:[a-z]+ )?(?:{_MEASURE})) (?:of |was |is |at |to )?(?:about |approximately |around |up to )?({_NUMBER} {_UNIT}(?: of mercury)?)(?![\w-])", text, *here):
        words = [w for w in m.group(1).split() if w not in ("the", "a", "an", "of", "its", "his", "and", "to", "in", "at", "with", "by", "low", "high")]
        noun = " ".join(words)
        forms = (f"What was the {noun} in {{e}}?", f"What {noun} is given in {{d}}?", f"What {noun} does {{d}} mention?", f"According to {{d}}, what was the {noun}?")
        yield _one("quantity", noun, text, m.span(2), here, forms)
    for m in _find(rf"\bwind (?:was )?from (\d+ degrees) at ({_NUMBER} knots)", text, *here):
        yield _one("quantity", "wind from", text, m.span(1), here, ("From what direction was the wind blowing in {e}?", "From how many degrees did the wind come, according to {d}?"))
        yield _one("quantity", "wind speed", text, m.span(2), here, ("How strong was the wind in {e}?", "How fast did the wind blow, according to {d}?"))
    for m in _find(rf"({_NUMBER}\s?(?:%|percent)) of ((?:the |all )?[^,.;:()]{{6,110}})(?=[.;])", text, *here):
        yield _one("quantity", "share", text, m.span(1), here, about(f"what percentage of {' '.join(m.group(2).split())}", thing=False)[2:] + (f"What percentage of {' '.join(m.group(2).split())}?",))
    counted = r"(?:two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|\d[\d,]*)"
    for m in _find(rf"({counted}) ((?:[a-z]+ )?[a-z]+s)\b(?: of ((?:[a-z]+ ){{0,3}}[a-z]+))?", text, *here):
        head = clause_before(text, start, m.start())
        if head is None or head.rest.count(" ") > 3 or head.subject.startswith("a number") or re.search(r"\b(of|at|to|by|in|than|from|within|for)$", head.rest):
            continue
        what = " ".join(m.group(0).split()[1:])
        if re.search(r"\b(prior|ago|later|before|after|is|was|has)\b", what):
            continue
        rest = re.sub(r"\b(about|approximately|only|at least|over|nearly|up to|more than|the|a|completing)$", "", head.rest).strip()
        yield _one("quantity", f"how many {what}", text, m.span(1), here, about(f"how many {what} {head.asked(rest)}"), 1)


def _dates(text: str, start: int, end: int) -> Iterator[Candidate | Rejection]:
    here = (start, end)
    for m in _find(rf"(?:In|On|Since|By) ({_DATE}),(?: at (?:about |approximately )?(\d[\d:]{{2,4}}(?: [a-z]+ [a-z]+ time| [A-Z]{{2,4}}| [ap]\.?m\.?)?),)? ", text, *here):
        if m.start() != start:
            continue
        if m.group(2):
            yield _one("date", "at what time", text, m.span(2), here, ("At what time did {e} happen?", "What time was it when {e} occurred?", "According to {d}, at what hour did it happen?"))
        clause = read_clause(text, m.end(), _clause_end(text, m.end(), end))
        if clause:
            tail = clause.asked(clause.rest)
            yield _one("date", f"when {tail}", text, m.span(1), here, about(f"when {tail}") + about(f"on what date {tail}" if " " in m.group(1) else f"in what year {tail}"))
        elif m.group(2):
            yield _one("date", "on what date", text, m.span(1), here, ("On what date did {e} happen?", "When did {e} occur?", "What day does {d} give for the event?"))
    for m in _find(rf"\b(?:in|on|since|until|by|of) ({_DATE})(?=[,.;]|$| (?:and|to|for|by|when|at|the)\b)", text, *here):
        passive = re.search(r"([A-Z][\w&'’-]*(?:\s+(?:[A-Z][\w&'’-]*|of|the|for|and))*(?:\s+\([A-Z]+\))?),\s+(established|founded|created|built|enacted|adopted|published|signed|born|filed|released|opened|formed|passed|issued)\s+$", text[start : m.start()])
        if passive:
            noun = " ".join(re.sub(r"\s*\(.*\)", "", passive.group(1)).split())
            q = f"when was {noun if noun.startswith('The ') is False else lower_first(noun)} {passive.group(2)}"
            yield _one("date", q, text, m.span(1), here, (f"{upper_first(q)}?", f"According to {{d}}, {q}?", f"In which year was {lower_first(noun)} {passive.group(2)}?"))
            continue
        clause = clause_before(text, start, m.start())
        if clause and text[m.start() : m.start() + 2] != "of":
            tail = clause.asked(clause.rest)
            until = {"si": "since when", "un": "until when", "by": "by when"}.get(text[m.start() : m.start() + 2], "when")
            yield _one("date", f"when {tail}", text, m.span(1), here, about(f"{until} {tail}", thing=True))


_BOUND = re.compile(
    r"[;:]|,\s|\.[\"'”)]*$|\.\s|,?\s+(?:and|but|so|while|when|because|which|before|after|although|as)\s+"
    r"(?=(?:the|a|an|he|she|it|they|one|then|was|were|[a-z]+ed)\b)"
)


def _clause_end(text: str, start: int, end: int) -> int:
    """Where the clause ends that begins at ``start``: at a mark, or where another subject and verb follow an "and"."""
    stop = _BOUND.search(text, start, end)
    return stop.start() if stop else end


def _facts(text: str, start: int, end: int, person: str) -> Iterator[Candidate | Rejection]:
    here = (start, end)
    done = 0
    for m in _find(r"((?:[Tt]he|An?|His|Her)?(?: ?[a-z-]+){1,3}|[A-Z][\w. ]{2,40}|He|She) (?:(?:reported|stated|said|commented|added|noted|testified|explained|indicated|determined|concluded|revealed|found|realized|argued|claimed|showed)(?: to [\w ]{3,30})? that|(?:said|stated|reported)(?= (?:he|she|the|it|there)\b)) ([^;]{8,200}?)(?=\.(?:\s|$|\")|;)", text, *here):
        who = person if m.group(1) in ("He", "She") else lower_first(" ".join(m.group(1).split()))
        if not who or m.start() != start or (_NO_SUBJECT & set(who.casefold().split()[:1])):
            continue
        verb = base_form(text[m.end(1) : m.start(2)].split()[0])
        done = m.end()
        yield _one("fact", f"{who} {verb}", text, m.span(2), here, about(f"what did {who} {verb}"), 1)
        for cut in [m.start(2), *_clause_starts(text, m.start(2), m.end(2))[1:]]:
            yield from _clause_at(text, cut, _clause_end(text, cut, m.end(2)), here, who if PERSON.search(who) else person)
    for m in _find(r"([Ee]xaminations?|[Ii]nspections?|[Ii]nvestigations?|[Aa]nalysis|[Tt]ests?|[Rr]eview|[Ss]urveys?|[Ss]tud(?:y|ies))( of the [a-z ]{3,40}?)?(?: by [^,.]{3,70}?)? (revealed|showed|found|disclosed|indicated) (?!that )([^.;]{6,200})", text, *here):
        noun = f"{m.group(1).lower()}{' '.join((' ' + (m.group(2) or '')).split(' '))}".strip()
        forms = about(f"what did the {noun} {base_form(m.group(3))}") + about(f"what was {m.group(3)} by the {noun}")
        yield _one("fact", f"{noun} {m.group(3)}", text, m.span(4), here, forms)
        done = max(done, m.end())
    yield from _routes(text, start, end)
    lead = _LEAD.match(text, start, end)
    if lead:
        after = lead.end() + len(text[lead.end() :]) - len(text[lead.end() :].lstrip())
        when = lower_first(" ".join(lead.group().rstrip(",").split()))
        if not _PRONOUN.search(when) and not _PRONOUN.match(text[after:end]) and not when.startswith(("as ", "according")):
            yield _one("fact", f"what happened {when}", text, (after, end), here, about(f"what happened {when}"), 1)
    if done:
        return
    for cut in _clause_starts(text, start, end):
        yield from _clause_at(text, cut, _clause_end(text, cut, end), here, person)


def _clause_at(text: str, cut: int, stop: int, here: tuple[int, int], person: str) -> Iterator[Candidate | Rejection]:
    """Questions of the clause from ``cut`` to ``stop``, and of a second verb of its subject."""
    pronoun = re.match(r"(?:[Hh]e|[Ss]he)(?=\s)", text[cut:stop])
    if re.match(r",\s+(?!(?:and|but|so|which|while|when|who|where|because|as|in|on|at|near|into|with|then|until|before|after|for)\b)", text[stop : here[1]]):
        return  # an enumeration or an apposition follows: what stands before is not the whole of it
    clause = _shared(text, cut + pronoun.end(), stop, person) if pronoun and person else read_clause(text, cut, stop)
    if clause is None:
        return
    if _PRONOUN.search(clause.subject):
        yield Rejection("subject is a pronoun", clause.subject)
        return
    yield from _clause_facts(text, clause, here, bool(pronoun))
    if second := re.compile(r",?\s+and(?=\s)").match(text, stop, here[1]):
        again = _shared(text, second.end(), _clause_end(text, second.end() + 8, here[1]), clause.subject)
        if again and not again.is_aux:
            yield from _clause_facts(text, again, here, True)


def _routes(text: str, start: int, end: int) -> Iterator[Candidate | Rejection]:
    """Facts that a few fixed words introduce, wherever they stand."""
    here = (start, end)
    for pattern, kind, asks in _ROUTES:
        for m in _find(pattern, text, *here):
            yield _one("fact", kind, text, m.span(1), here, asks)
    for m in _find(r"\bsustained ((?:[a-z]+ )?damage(?: to ([^.;]{4,140}))?|(?:[a-z]+ )?injuries)", text, *here):
        if m.group(2):
            yield _one("fact", "damage to", text, m.span(2), here, ("Which parts were damaged in {e}?", "What was damaged in {e}?", "Where was {t} damaged?", "What parts of {t} sustained damage?"))


_OWNER = r"((?:the )?[A-Z][\w'’., &]+?)(?= (?:and|under|as|at|was|for)\b|,|\.|;)"
_ROUTES: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    (r"\b(?:originated from|departed from|departed|took off from|had departed) ((?:the )?[A-Z][\w'’. ]+?(?: \([A-Z0-9]+\))?(?:, [A-Z]\w+)?)(?= (?:and|at|on|en|for)\b|,|\.|;)", "departed from",
     ("Where did the flight in {e} originate?", "From where had {t} departed?", "Where had the flight of {t} come from?", "From what place did the flight in {e} set out?")),
    (r"\b(?:en route to|destined for|bound for|headed for|on (?:his|her|its) way to) ((?:the )?[A-Z][\w'’. ]+?(?: \([A-Z0-9]+\))?)(?= (?:and|at|on|when|near)\b|,|\.|;)", "en route to",
     ("Where was {t} going?", "What was the destination of {t}?", "Where was the flight in {e} headed?", "To which place was {t} on its way?")),
    (rf"\boperated by {_OWNER}", "operator", ("Who operated {t}?", "Who was the operator of {t}?", "Who was operating {t} in {e}?")),
    (rf"\bowned by {_OWNER}", "owner", ("Who owned {t}?", "To whom did {t} belong?", "Who is named as the owner in {d}?")),
    (rf"\bregistered to {_OWNER}", "owner", ("To whom was {t} registered?", "Who was the registered owner of {t}?")),
    (r"\bunder the (?:jurisdiction|control)(?: and (?:control|supervision))? of (?:the )?([A-Z][^.;,]{4,60}|[Tt]he ?[A-Z][a-z]+ government)(?=\.|;|,)", "jurisdiction",
     ("Under whose jurisdiction was the investigation of {e}?", "Who controlled the investigation of {e}?", "Which authority was responsible for investigating {e}?")),
    (r"\b((?:[A-Z]?[a-z]+ )?meteorological conditions) prevailed", "prevailed",
     ("What weather conditions prevailed in {e}?", "Which conditions prevailed at the time of {e}?", "What kind of meteorological conditions were there in {e}?")),
    (r"\blanding at ((?:[A-Z][\w.]* )+Airport)", "landing at",
     ("At which airport did {e} happen?", "Where was {t} landing?", "Which airport was {t} landing at?")),
)  # fmt: skip


def _clause_starts(text: str, start: int, end: int) -> list[int]:
    """Where clauses may begin: the sentence, after its lead, and after a comma with a conjunction."""
    first = start
    if lead := (_LEAD.match(text, start, end) or re.compile(r"(?:However|Therefore|In addition|According to [^,]{3,40}|At that time|Subsequently|Then),").match(text, start, end)):
        first = lead.end() + len(text[lead.end() :]) - len(text[lead.end() :].lstrip())
    starts = [first]
    conjunction = re.compile(r"(?:,\s+(?:and|but|so)\s+(?:then\s+)?|,?\s+(?:and|but)\s+)(?=(?:the|an?|[Hh]e|[Ss]he|one|[A-Z]\w+)\s)")
    while True:
        stop = _clause_end(text, starts[-1], end)
        more = conjunction.match(text, stop, end)
        if not more or not (read_clause(text, starts[-1], stop) or re.match(r"(?i)(he|she|it|they|there)\b", text[starts[-1] : stop])):
            return starts
        starts.append(more.end())


def _shared(text: str, start: int, end: int, subject: str) -> Clause | None:
    """The clause of the verb at ``start`` whose subject stands elsewhere."""
    m = re.compile(r"\s+(?:(then|also|subsequently|\w+ly)\s+)?([a-z]+)\s+").match(text, start, end)
    if not m or not (m.group(2) in _AUX or m.group(2) in _IRREGULAR or m.group(2).endswith("ed")):
        return None
    rest = " ".join(text[m.end() : end].split())
    return Clause(subject, m.group(1) or "", m.group(2), rest, start, m.start(2), m.end(), end)


_NOT_EVENTS = frozenset("prevail occur exist include involve contain appear remain consist seem".split())
_SAYING = frozenset("say state report note think realize feel believe add comment explain indicate suggest determine find reveal".split())
_PLACED = frozenset(
    "bounce land skid impact collapse dig crash run roll veer live park meet stand drop slide fall touch settle work grow".split()
)
_LOCATED = frozenset("located situated held found installed placed seated stored built grown planted parked stationed based born".split())
_HURT = re.compile(r"(?:not|fatally|seriously|slightly|critically|also)?\s*(?:injured|killed|hurt)")


def _clause_facts(text: str, clause: Clause, here: tuple[int, int], shared: bool) -> Iterator[Candidate | Rejection]:
    """Questions for the subject, the object, the place and the event of one clause. ``shared``: its subject is not beside it."""
    subject, words = clause.subject, clause.subject.split()
    rest = clause.rest.rstrip(".,;: ")
    person = bool(PERSON.search(subject))
    empty = clause.adverb == "not" or bool(re.search(r"(?i)^(no|there|neither|none|nothing)\b|contribut|probable cause|factors?\b", subject))
    specific = len(words) > 2 or (words[0] not in ("the", "a", "an") and len(words) > 1)
    if empty or len(words) > 12:
        return
    if clause.is_aux and _HURT.fullmatch(rest):
        q = f"how badly {clause.verb} {subject} hurt"
        yield _one("fact", q, text, (clause.rest_at, clause.end), here, about(q) + about(f"what injuries did {subject} have"))
        return
    if not shared and len(rest.split()) >= 2 and (specific or person) and not re.search(r"\b(that|which|who)\b", rest):
        end = clause.start + len(text[clause.start : clause.verb_at].rstrip())
        if clause.adverb:
            end = clause.start + text[clause.start : clause.verb_at].rindex(clause.adverb)
        verb = {"were": "was", "are": "is", "have": "has"}.get(clause.verb, clause.verb)
        q = " ".join(f"{'who' if person else 'what'} {clause.adverb} {verb} {rest}".split())
        if not rest.startswith("not ") and not re.search(rf"\b(?:{_PREPOSITION}|the|an?|of|to|for)$", rest):
            yield _one("fact", q, text, (clause.start, end), here, about(q), 2 if person else 1)
    yield from _state_facts(text, clause, rest, here) if clause.is_aux else _deed_facts(text, clause, rest, here)


def _state_facts(text: str, clause: Clause, rest: str, here: tuple[int, int]) -> Iterator[Candidate | Rejection]:
    """Of a clause with an auxiliary: by what, where, what happened, what was someone doing."""
    subject, verb = clause.subject, clause.verb
    specific = len(subject.split()) > 2
    tail = text[clause.rest_at : clause.end]
    if verb not in ("is", "are", "was", "were") or rest.startswith("not "):
        return
    m = re.fullmatch(r"((?:[a-z]+ly )?([a-z]+(?:ed|en|nt|wn|st|ld|lt|rn))) (by|in|on|under|at|into|over|from|to|with) ([^,;:]{3,120})", rest)
    if m and m.group(3) == "by":
        q = f"by {'whom' if PERSON.search(m.group(4)) else 'what'} {verb} {subject} {m.group(1)}"
        yield _one("fact", q, text, (clause.rest_at + _offset(tail, len(m.group(1).split()) + 1), clause.end), here, about(q))
    elif m and m.group(2) in _LOCATED:
        q = f"where {verb} {subject} {m.group(1)}"
        yield _one("fact", q, text, (clause.rest_at + _offset(tail, len(m.group(1).split())), clause.end), here, about(q))
    elif re.match(r"(?:[a-z]+ly )?(?:reported|found|known|considered|said|seen|given|noted|listed|based|called|used|filed)\b", rest):
        return
    elif re.fullmatch(r"(?:[a-z]+ly |also )?[a-z]+(?:ed|en|nt|wn|st)(?: (?:and [a-z]+ed|(?:in|on|under|by|from) [^,;:]{3,60}))?", rest):
        if specific and verb in ("was", "were"):
            q = f"what happened to {subject}"
            yield _one("fact", q, text, (clause.verb_at, clause.end), here, about(q))
    elif re.match(r"[a-z]+ing\b", rest) and PERSON.search(subject):
        yield _one("fact", f"doing {subject}", text, (clause.rest_at, clause.end), here, about(f"what {verb} {subject} doing"))


_OBJECT = re.compile(
    r"((?:(?:about|approximately|up to) )?(?:the|an?|his|its|their|two|three|one|full|some|several|directional|control|too much|approach|"
    r"damage|power|impact|\d[\d,]*) [^,;:]{2,90}?|control of the [a-z]+|(?:[a-z]+ )?control)"
    r"( (?:while|when|before|after|during|until|because|in order|to|and|at|in|on|with|from|into|so|for|instead)\b.*)?"
)


def _deed_facts(text: str, clause: Clause, rest: str, here: tuple[int, int]) -> Iterator[Candidate | Rejection]:
    """Of a clause with a verb in the past: what, where, when, with what, and what happened to its subject."""
    subject, verb = clause.subject, base_form(clause.verb)
    tail = text[clause.rest_at : clause.end]
    specific = len(subject.split()) > 2 and not PERSON.search(subject)
    if m := re.fullmatch(r"no ([a-z ]{5,60})", rest):
        q = f"what did {subject} {verb} about {m.group(1)}"
        if verb in _SAYING:
            yield _one("fact", q, text, (clause.rest_at, clause.end), here, (f"Did {subject} {verb} any {m.group(1)} in {{e}}?", f"According to {{d}}, which {m.group(1)} did {subject} {verb}?"), 2)
    elif verb in _SAYING:
        return
    elif m := _OBJECT.fullmatch(rest):
        stop = clause.rest_at + _offset(tail, len(m.group(1).split()), past=True)
        more = m.group(2) or ""
        more = "" if _PRONOUN.search(more) or len(more.split()) > 7 or more.startswith((" and", " so")) else more
        q = f"what did {subject} {verb}{more}"
        yield _one("fact", q, text, (clause.rest_at, stop), here, about(q))
        if specific and len(rest.split()) <= 10:
            yield _one("fact", f"what happened to {subject}", text, (clause.verb_at, clause.end), here, about(f"what did {subject} do"), 3)
    elif verb in ("occur", "happen") and re.match(r"(?:during|while|when|after|before|at|as|on)\b", rest):
        yield _one("fact", f"when {subject} {verb}", text, (clause.rest_at, clause.end), here, about(f"when did {subject} {verb}"))
    elif re.match(rf"{_PREPOSITION} ", rest) and len(rest.split()) <= 14 and not re.search(r"\b(time|end|moment|date|order)\b", rest):
        prep = rest.split()[0]
        if prep in ("with", "against", "into", "onto"):
            q = f"what did {subject} {verb} {prep}"
            yield _one("fact", q, text, (clause.rest_at + _offset(tail, 1), clause.end), here, about(q))
        elif verb in _PLACED:
            yield _one("fact", f"where {subject} {verb}", text, (clause.rest_at, clause.end), here, about(f"where did {subject} {verb}"))
        if specific and verb not in _NOT_EVENTS:
            yield _one("fact", f"what happened to {subject}", text, (clause.verb_at, clause.end), here, about(f"what happened to {subject}"))


def _offset(text: str, words: int, past: bool = False) -> int:
    """Where the word number ``words`` begins in the text; with ``past``, where that many words end."""
    found = list(re.finditer(r"\S+", text))
    if past:
        return found[min(words, len(found)) - 1].end()
    return found[words].start() if words < len(found) else len(text)
