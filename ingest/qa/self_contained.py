"""Can a question be understood without the text that it was made from?

Pure functions over one English question: closed lists of function words and of nouns that mean one thing in one
document ("the pilot", "the company"), and three ideas. A pronoun needs something before it to stand for. A definite
noun of such a list needs a name, a date or an identifier beside it. A question about what happened needs at least
something that tells which time it was, while one in the present tense may be about things in general ("How does the
heart pump blood?"). Knows no grammar beyond that, and nothing of documents; other languages have only the words for
"this text".
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass


def _listed(words: str) -> frozenset[str]:
    return frozenset(words.split())


TEXT, PRONOUN, DEFINITE, EVENT = (
    "question refers to an unnamed text",
    "question has a pronoun without antecedent",
    "question names something that only its document tells",
    "question about an event without a name",
)
"""The reasons for which a question is not self-contained."""

_TEXTS = (
    "passage|text|paragraph|excerpt|document|report|article|section|chapter|page|study|paper|survey|appendix|"
    "figure|table|chart|graph|diagram|image|picture|photo|map|list|example|form|slide|narrative|"
    "above|following(?! question)|column|row|transcript|memo|letter|brief|"
    "bulletin|guide|manual|statement"
)
_UNNAMED_TEXT = re.compile(
    r"(?i:\b(?:this|these|the(?: (?:given|above|following|provided|present|current|same|accompanying))?) "
    rf"(?:{_TEXTS})\b)(?:'s|’s)?"
    r"(?! (?:on|about|of|for|that|which|who|by|called|titled|entitled|named|[A-Z0-9“\"‘]))"
)
_POINTING = re.compile(
    r"(?i:\b(?:mentioned|described|shown|listed|discussed|given|stated|provided|noted|presented|cited|quoted) "
    r"(?:above|below|here|earlier|previously|in (?:the )?(?:passage|text|document|report|article|section))\b"
    r"(?! (?:on|about|of|for|by|(?-i:[A-Z“\"])))"
    r"|\baccording to (?:this|the (?:passage|text|document|report|article|section|authors?))(?=[,?]| (?:what|who|how))"
    r"|\bwhich of the following\b|\bthe (?:above|below|aforementioned)\b)"
)
_NUMBERED_PART = re.compile(
    r"\b(?:[Tt]able|[Ff]ig(?:ure|\.)?|[Cc]hart|[Pp]age|[Pp]aragraph|[Aa]ppendix|[Ss]ection|[Ee]xhibit) [A-Z0-9][\w.-]*"
)
_OTHER_LANGUAGES = {
    "de": r"\b(?:dies(?:er|e|es|em|en)|der|dem|des|im|den) "
    r"(?:Texte?s?|Absatz(?:es)?|Abschnitts?|Dokuments?|Berichts?)\b",
    "fr": r"\b(?:ce|cet|cette|le|du|au) (?:texte|passage|paragraphe|document|rapport|article)\b",
    "es": r"\b(?:este|esta|el|del|al) (?:texto|pasaje|párrafo|documento|informe|artículo)\b",
    "it": r"\b(?:questo|il|del|nel|dal) (?:testo|passo|paragrafo|documento|rapporto|articolo)\b",
    "pt": r"\b(?:este|esta|o|do|no) (?:texto|trecho|parágrafo|documento|relatório|artigo)\b",
    "nl": r"\b(?:deze|dit|de|het) (?:tekst|passage|alinea|document|verslag|artikel)\b",
}
_NAMED_AFTER = r"(?! (?:über|zu|von|sur|de|sobre|su|over|van|[\d“\"„«]))"

_UNIQUE = _listed(
    "accident incident event crash collision mishap occurrence investigation flight airplane aircraft plane "
    "helicopter aeroplane glider wreckage company companies firm corporation organization organisation agency "
    "registrant issuer subsidiary parent business employer landlord tenant lessor lessee borrower lender buyer "
    "seller purchaser vendor supplier licensee licensor contractor subcontractor plaintiff plaintiffs defendant "
    "defendants petitioner respondent appellant appellee claimant victim suspect court judge parties party "
    "agreement contract lease project program programme experiment trial paper participants respondents "
    "interviewees sample cohort author authors researchers investigators applicant committee board meeting hearing "
    "speaker interviewee filing complaint motion grant site facility premises"
)
"""Nouns that, with "the", mean the one that the document is about."""

_ORGANISATIONS = _listed(
    "company companies firm corporation organization organisation agency registrant issuer business employer project "
    "program programme"
)
"""Those of them that a name before them in the question may be meant by."""

_ROLES = _listed(
    "pilot copilot captain driver operator passenger passengers occupant occupants crew crewmember crewmembers "
    "flightcrew instructor student patient patients doctor nurse witness witnesses mechanic controller officer "
    "employee customer client user owner manager director chairman president minister king queen man woman boy girl "
    "child mother father person people"
)
"""Nouns that also name a role in general, when the question is about what one should or can do."""

_THINGS = _listed(
    "engine propeller vehicle car truck vessel ship boat train runway airport plant property building house model "
    "course order award machine device system product"
)
"""Nouns that also name a kind of thing, when the question is not about what happened."""

_COMMON = _UNIQUE | _ROLES | _THINGS
_ARTICLES = _listed("the this that our")

_ATTRIBUTES = _listed(
    "date name title total number amount location address status purpose conclusion result results objective goal "
    "deadline price cost fee reason topic subject author signature rate percentage value version code id owner "
    "salary revenue income profit balance score weather wind visibility altitude registration destination"
)
"""Nouns that are something's: "What is the date?" leaves open of what."""

_GENERAL = _listed(
    "sun moon earth world internet web public sea sky past future present environment atmosphere economy universe "
    "ocean north south east west equator time year years century beginning end middle way ground weather water air "
    "soil crop plant plants body brain heart blood eye human most least only same first second third fourth fifth "
    "last next previous best worst largest smallest highest lowest greatest main primary other one two three four "
    "five six rest number amount percentage average total maximum minimum majority market season"
)
"""What is there once, or is told apart by its adjective."""

_WH = _listed("what who whom whose which when where why how")
_PAST = _listed("was were did had wasn't weren't didn't hadn't")
_AUXILIARY = _PAST | _listed(
    "is are am be been being do does has have can could will would shall should may might must isn't aren't don't "
    "doesn't hasn't haven't can't couldn't won't wouldn't shouldn't"
)
_MODAL = _listed("can could will would shall should may might must need")
_LINKS = _listed(
    "of in on at by for with from to about after before during between among under over into through within without "
    "near against as per than since until upon if and or but while because so that which who whose when where how "
    "what not also then it they he she compared according involving regarding concerning"
)
_FUNCTION = _WH | _AUXILIARY | _LINKS | _listed("a an the this that these those there its their his her")
_MODIFIES = _listed("of that which who whose where for between in on at to with from by called named known")
_STRICTLY = _listed("of that which who whose called named known")
_BEFORE_NAME = _listed("in at of near on by for with between and called named involving from")
_NOT_A_NAME = _listed(
    "i january february march april may june july august september october november december monday tuesday "
    "wednesday thursday friday saturday sunday yes no"
)
_HAPPENING = _listed("happen happens happened occur occurs occurred do done many much long often far old")
_DETERMINERS = _listed(
    "a an the each every any some all most several both no one two three four five six another such someone anyone "
    "everyone people"
)
_DANGLING = _listed("it its itself he him his himself she her hers herself they them their theirs themselves")
_PERSONAL = _listed("he him his himself she her hers herself")
_POINTERS = _listed("this these those")

_WORD = re.compile(r"\w+(?:[.'’&/-]\w+)*(?:['’](?=\s))?")
_EXPLETIVE = re.compile(
    r"(?i)\b(?:is|was|be|makes?|made|does|did|would|will|can|could|should|has|have)?(?:n't)? ?it (?:is |was |be )?"
    r"(?:not )?(?:\w+ly )?(?:take|takes|took|cost|costs|possible|impossible|important|necessary|essential|common|"
    r"best|better|recommended|required|useful|helpful|advisable|critical|crucial|difficult|easy|hard|safe|"
    r"called|a (?:good|bad|great|best) |legal|illegal|likely|unlikely|mean|means|said|believed|thought|estimated|true|"
    r"worth|rain|rains|snow|okay|wise|when|at the time)\b"
)
_GOES_ON = re.compile(
    r"(?i)\b(?:even (?:more|less|fewer|better|worse|\w+er)|instead|otherwise|likewise|as well|either|the latter|"
    r"the former|such an? \w+)\?$"
)
_IDENTIFIER = re.compile(
    r"\b(?!FY|CY|Q\d|H\d)(?=\w*\d)(?=\w*[A-Z])[\w-]{3,}\b|(?<![$€£.,\d])\b\d{5,}\b|\b[A-Z]\w*-\d{2,}\b"
)
_DATE = re.compile(
    r"\b(?:\d{1,2}[./-]\d{1,2}[./-]\d{2,4}|\d{4}-\d{2}-\d{2}|(?:January|February|March|April|May|June|July|August|"
    r"September|October|November|December) \d{1,2},? \d{4}|\d{1,2}\.? (?:January|February|March|April|May|June|July|"
    r"August|September|October|November|December),? \d{4})\b"
)
_PERIOD = re.compile(r"(?:FY|CY|Q|H)-?\d+")
_QUOTED = re.compile(r"[“\"„«][^“”\"„«»]{3,}[”\"“»]")


@dataclass(frozen=True, slots=True)
class _Word:
    text: str
    low: str
    after_mark: bool  # a comma, colon or the like stands between this word and the one before


def not_self_contained(question: str, language: str = "en", known: str = "") -> str:
    """Why the question cannot be understood by itself, or "". Only English ("en" or "") is read closely.

    ``known`` is text that names what the question is about, as a chunk's context line does: a name from it tells which
    company is "the company", where another name in the question may not.
    """
    if language not in ("", "en"):
        pattern = _OTHER_LANGUAGES.get(language)
        return TEXT if pattern and re.search(f"(?i:{pattern}){_NAMED_AFTER}", question) else ""
    words = _words(question)
    names = _names(words)
    anchored = bool(_IDENTIFIER.search(question) or _DATE.search(question) or _QUOTED.search(question))
    identified = anchored or _identifies(words, names, known)
    if _UNNAMED_TEXT.search(question) or _POINTING.search(question):
        return TEXT
    if _NUMBERED_PART.search(question) and not _names(_words(_NUMBERED_PART.sub(" ", question))) and not anchored:
        return TEXT
    if _dangles(question, words):
        return PRONOUN
    past = _is_past(words)
    something = anchored or bool(names) or any(char.isdigit() for char in question)
    for phrase, then in _definites(words):
        if not identified and not _beside(words, names, phrase) and _is_document_bound(words, phrase, then, past):
            return DEFINITE
        if past and not something and then not in _MODIFIES and not _is_general(words, phrase):
            return EVENT
    content = [word for word in words if word.low not in _FUNCTION and word.low not in _HAPPENING]
    return EVENT if past and not something and len(content) <= 2 else ""


def _words(question: str) -> list[_Word]:
    found = []
    end = 0
    for match in _WORD.finditer(question):
        mark = bool(re.search(r"[,;:()–—]", question[end : match.start()]))
        found.append(_Word(match.group(), re.sub(r"['’]s?$", "", match.group().casefold()), mark))
        end = match.end()
    return found


def _names(words: Sequence[_Word]) -> set[int]:
    """Places of words that are written like names, not counting the first word unless it can be nothing else."""
    return {
        n
        for n, word in enumerate(words)
        if word.text[0].isupper()
        and word.low not in _NOT_A_NAME
        and not _PERIOD.match(word.text)
        and not (n and words[n - 1].low in _ARTICLES and word.low in _COMMON and not _is_capital(words, n + 1))
        and (
            n > 0 or (word.low not in _FUNCTION and word.low not in _MODAL and (len(words) > 1 and _looks_named(words)))
        )
    }


def _is_capital(words: Sequence[_Word], n: int) -> bool:
    return n < len(words) and words[n].text[0].isupper()


def _looks_named(words: Sequence[_Word]) -> bool:
    first = words[0].text
    return first.isupper() or first.endswith(("'s", "’s")) or (len(words) > 1 and words[1].text[0].isupper())


def _identifies(words: Sequence[_Word], names: set[int], known: str) -> bool:
    """Whether a name tells which one is meant: of two words or more, or one that the document is known by."""
    runs = [n for n in names if n + 1 in names and not words[n + 1].after_mark]
    told = {word.low for word in _words(known)}
    return bool(runs) or any(words[n].low in told and len(words[n].low) > 2 for n in names)


def _beside(words: Sequence[_Word], names: set[int], phrase: range) -> bool:
    """A name within the phrase or joined to it: "the Elyria accident", "the accident at Elyria"."""
    after = phrase.stop
    if after < len(words) and words[after].low in _BEFORE_NAME:
        after += 1
        while after < len(words) and words[after].low in ("the", "a", "an"):
            after += 1
    before = phrase.start - 2
    if any(words[n].low in _ORGANISATIONS for n in phrase) and any(n < phrase.start for n in names):
        return True
    return any(n in names for n in phrase) or after in names or before in names


def _definites(words: Sequence[_Word]) -> list[tuple[range, str]]:
    """The words after each "the", "our", "that", up to a function word or mark, and the function word or ""."""
    found = []
    for n, word in enumerate(words):
        if word.low not in ("the", "our", "that", "this", "these", "those"):
            continue
        stop = n + 1
        while stop < len(words) and words[stop].low not in _FUNCTION and not (stop > n + 1 and words[stop].after_mark):
            stop += 1
        if stop > n + 1:
            ended = stop < len(words) and not words[stop].after_mark
            found.append((range(n + 1, stop), words[stop].low if ended else ""))
    return found


def _is_document_bound(words: Sequence[_Word], phrase: range, then: str, past: bool) -> bool:
    held = [words[n].low for n in phrase]
    loose = then in _STRICTLY and not past
    if any(word in _UNIQUE for word in held[:3]) and not _one_of_a_kind(held):
        return not loose
    if any(word in _ROLES for word in held[:3]) and not _one_of_a_kind(held):
        return not loose and not any(word.low in _MODAL for word in words)
    if past and any(word in _THINGS for word in held[:3]) and not _one_of_a_kind(held):
        return True
    few = len([word for word in words if word.low not in _FUNCTION]) <= 2
    return held[-1] in _ATTRIBUTES and not then and few


def _one_of_a_kind(held: Sequence[str]) -> bool:
    return held[0] in ("first", "only", "largest", "most", "best", "same", "average", "typical")


def _is_general(words: Sequence[_Word], phrase: range) -> bool:
    held = [words[n].low for n in phrase]
    return held[0] in _GENERAL or held[-1] in _GENERAL or held[0].endswith("est")


def _is_past(words: Sequence[_Word]) -> bool:
    """An auxiliary of the past, or a verb in -ed right after the question word, before any other auxiliary."""
    for n, word in enumerate(words):
        if word.low in _PAST:
            return True
        if word.low in _AUXILIARY:
            return False
        if n in (1, 2) and words[0].low in _WH and word.low.endswith("ed") and len(word.low) > 4:
            return True
    return False


def _dangles(question: str, words: Sequence[_Word]) -> bool:
    """Whether a pronoun or a pointing word has nothing before it, in the question, that it could stand for."""
    if _GOES_ON.search(question):
        return True
    plain = _EXPLETIVE.sub(" ", question)
    left = {word.low for word in _words(plain)}
    for n, word in enumerate(words):
        before = words[:n]
        if word.low in _DANGLING and word.low in left and not _antecedent(before, word.low):
            return True
        if word.low in _POINTERS and not _clause_before(before):
            follows = words[n + 1].low if n + 1 < len(words) else ""
            if not (word.low == "those" and follows in ("who", "that", "which", "with", "of", "in", "whose")):
                return True
        if word.low == "here" or (word.low == "there" and n + 1 == len(words) and not before[-1].low.endswith("s")):
            return not _clause_before(before)
    return False


def _antecedent(before: Sequence[_Word], pronoun: str) -> bool:
    """Something to stand for: a name or a noun with a determiner; for things also bare nouns ("plants"), but not in
    what is asked for ("How many hours did they")."""
    people = pronoun not in ("it", "its", "itself")
    if _names(before) or any(word.low in _DETERMINERS or (word.low == "who" and people) for word in before):
        return True
    nouns = [word for word in before if word.low not in _FUNCTION and word.low not in _HAPPENING]
    auxiliaries = [n for n, word in enumerate(before) if word.low in _AUXILIARY]
    asked = pronoun in ("it", "they", "he", "she") and auxiliaries == [len(before) - 1] and len(nouns) <= 2
    named = pronoun not in _PERSONAL or before[0].low in ("what", "which") if before else False
    return named and len(nouns) >= 2 and not asked


def _clause_before(before: Sequence[_Word]) -> bool:
    nouns = [word for word in before if word.low not in _FUNCTION and word.low not in _HAPPENING]
    return len(nouns) >= 2 and (len(before) >= 4)
