"""English clauses by their surface: a subject, a verb known by its form, and the rest; and questions made of them.

Knows words and their order, nothing of documents. What cannot be told by the form is left alone (None).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from fieldguide.types import Kind
from ingest.qa.drafts import Rejection
from ingest.qa.rule_forms import Candidate
from ingest.qa.rule_labels import words

AUXILIARIES = words("is are was were has have had can could will would should must may might")
IRREGULAR = {
    "began": "begin", "broke": "break", "brought": "bring", "built": "build", "came": "come", "caught": "catch",
    "chose": "choose", "dug": "dig", "drew": "draw", "drove": "drive", "fell": "fall", "felt": "feel", "flew": "fly",
    "found": "find", "gave": "give", "grew": "grow", "held": "hold", "hit": "hit", "kept": "keep", "led": "lead",
    "left": "leave", "lost": "lose", "made": "make", "met": "meet", "overflew": "overfly", "ran": "run", "rose": "rise",
    "said": "say", "saw": "see", "sent": "send", "slid": "slide", "sold": "sell", "spent": "spend", "stood": "stand",
    "struck": "strike", "swung": "swing", "thought": "think", "told": "tell", "took": "take",
    "understood": "understand", "went": "go", "won": "win", "wrote": "write",
}  # fmt: skip
_DO = {"has": "does", "have": "do", "had": "did"}
_PARTICIPLE = re.compile(
    r"(?:not |\w+ly |also |already |since )?(?:been|\w+ed|\w+wn|\w+en|made|kept|held|built|led|lost|met|paid|sold"
    r"|set|put|had|won|begun"
    r"|become|come|run|grown|shown|found|left|said|taught|bought|brought|cut|hit|let|read)\b"
)
_DROPS_E = re.compile(
    r"(?:[ecvzu]|(?<!foc)(?<!bia)(?<!nva)(?<!s)s|(?<!n)g|rang|chang|eng|[frhtc]ing|[pl]oung|plung|[bcdfgkpstz]l|[^ao]ul|[^o]ol|scal"
    r"|inhal|[^aeou]il|[^eo]at|\bcreat|recreat|lineat|[^e]ed|[^eo]ad|[^oa]id|[^eo]ud|[^eo]od|(?<!li)cit|vit|gnit|unit"
    r"|[mnd]ot|quot|\bvot|devot|[^oh]ut|[pl]let|plet|delet|compet|[^a]ir|[^o]ur|[^eo]ar|(?:st|pl|sc|gn|ad|\bb)or|terfer"
    r"|adher|coher|[^eo]am|[^o]om|[^a]im|sum|fum|plum|[^aeou]in|[tmr]un|clon|stpon|phon|\bzon|\bston|condon|aton"
    r"|[^eo]ak|[^o]ok|\blik|hik|[^eo]ap|[^ueh]ip|(?:sc|\bh|\bc|sl|gr|\br)op|yp|rib|rob|bath|breath|sooth|cloth)$"
)
_DOUBLED = words(
    "compell controll propell expell repell patroll cancell travell labell modell excell rebell unravell signall"
)
_FOLLOWS_VERB = re.compile(
    r"(?:the|a|an|his|her|its|their|our|this|that|these|those|to|in|on|at|by|for|from|with|into|onto|off|of|over|under"
    r"|about|near|against|and|or|as|up|down|out|back|no|all|some|two|three|one|after|before|until|when|because|due"
    r"|through|within|between|toward|towards|around|it|him|them|upright|across|along|during|\d\S*|\w+ly|too|both)$"
)
NO_SUBJECT = words(
    "it he she they we you i this that these those there here who which what when where why how if because while "
    "although though unless until since as and but or not once whether everyone nothing such some many most others "
    "note any during in on at after before while upon for from with by following prior according shortly contributing "
    "approximately very often more even then also first remember please other another next last each all both neither "
    "either certain over under only less several few much just so therefore thus total january february march april "
    "june july august september october november december sept dear see"
)
_NOT_IN_SUBJECT = words(
    "it he she they we you i who which what when where why how if because while although though unless until whether "
    "or not that needs requires require means makes shows show provides provide contains contain depends depend "
    "suggests indicates becomes become helps allows includes include usually always sometimes never do does did"
)
PRONOUN = re.compile(r"(?i)\b(he|she|it|they|this|these|those|his|her|their|its|him|them|we|us|our|you|your|I|my)\b")
PREPOSITION = r"(?:in|on|at|near|from|into|onto|against|with|over|under|across|along|behind|between|off|towards?)"
_DETERMINER = re.compile(r"(?i)(?:the|an?|his|her|its|their|one|two|three|several|each|both|all|no|\w+['’]s)$")
_ADVERBS = ("then", "also", "still", "already", "now", "subsequently", "again", "later", "first", "not")
_CLAUSE_WORDS = ("and", "but", "that", "which", "who", "when", "because", "while", "where", "as")
_PAST = "|".join(verb for verb in IRREGULAR if verb not in ("left", "found", "felt", "saw"))
BOUND = re.compile(
    r"[;:]|,\s|\.[\"'”)]*$|\.\s|,?\s+(?:and|but|so|while|when|because|which|before|after|although|as)\s+"
    rf"(?=(?:the|a|an|he|she|it|they|one|then|was|were|[a-z]+ed|{_PAST})\b)"
)
LISTED = re.compile(
    r",\s+(?!(?:and|but|so|which|while|when|who|where|because|as|in|on|at|near|into|with|then|until|before|after|for"
    r"|the|an?|he|she|it)\b)"
)
LEAD = re.compile(
    r"(?:(?:Shortly|Immediately|Just|Soon) )?(?:After|During|Before|While|When|Following|Upon|Prior to)\b"
    r"(?: [\w'’-]+){2,12},"
)
_ADVERBIAL = re.compile(r"(?:However|Therefore|In addition|According to [^,]{3,40}|At that time|Subsequently|Then),")
_CONJUNCTION = re.compile(
    r"(?:,\s+(?:and|but|so)\s+(?:then\s+)?|,?\s+(?:and|but)\s+)(?=(?:the|an?|[Hh]e|[Ss]he|one|[A-Z]\w+)\s)"
)
_FIRST_WORD = re.compile(
    r"(?:The|A|An|His|Her|Its|Their|In|On|At|During|After|Before|While|When|As|One|Two|Three|Several|No|All|Each|Some"
    r"|Examination|Shortly|Immediately|Following|Upon|Once|Prior|Visual|Instrument|Most|Many|Any|Both|Post|Just|Soon)\b"
)
_ABSTRACT = re.compile(r"[A-Z][a-z]+(?:ments?|tions|sions|mation|nations?|cations?|[ae]nces?|ology|ologies|ness|als)")
"""A word that is hardly a name by its ending, so that only its place gave it a capital."""
_VAGUE = re.compile(
    r"(?i)\b(?:latter|former|following|below|above|others?|another|such|herein|hereof|thereof|hereby|therein|certain"
    r"|respectively|not only|either|neither|both|same|next|previous|as follows|whether|respective|ever since"
    r"|(?<!was )(?<!were )(?<!is )(?<!are )(?<!be )there"
    r"|aforementioned|today|yesterday|tomorrow)\b"
    r"|[“”\"☐☒•|]|\b(?:v|vs|No|Art|Sec)\.?\?"
)
_CUT = re.compile(
    r"(?i)(?:[-–—,;:(/&]|\b(?:and|or|of|the|an?|in|on|at|for|to|from|by|with|as|that|which|than|per|not))$"
)
_OPEN = re.compile(
    r"(?i)(?:[-–—,;:(/&]|\b(?:and|or|of|the|an?|as|that|which|than|per|not|until|because|beginning|starting|ending|ended|Inc|Corp|Co|Ltd|No|al"
    r"|U\.S|U\.K|D\.C))\?$"
)
_LED = re.compile(r"(?i)(?:it|they|this|these|those|that|which|who|such|so|as follows|the following|one|we|you|I)\b")
LEANING = re.compile(
    r"(?i)(?:the |an? )?(?:similar|further|minor|various|different|additional|several|many|multiple|some|most|more|such"
    r"|recent|previous|prior|early|subsequent|resulting|other|present|current|particular|remaining|earlier|later|respective|revised|new|old"
    r"|accumulating)\b|.*\bto be\b"
)
"""Subjects that only the text before explains, or that stand for some of many."""
_OF_BEFORE = re.compile(
    r"(?i)\b(?:to|of|for|with|from|by|in|on|at|into|upon|about|over|than|as|between|among|around|after|before)"
    r" (?:it|them|him|that (?!which\b|of\b)[a-z]+|this [a-z]+)(?=\W|$)"
)
"""A phrase that leans on the text before: "thousands of people to it", "a strengthening of that conjecture"."""
_RUNS_ON = re.compile(
    r"(?:,\s+(?:and|but|so|while|whilst|whereas|although|though|however|yet)|\s+and (?:the|an?))\s+"
    r"(?:(?!that\b|which\b|who\b|how\b|what\b|where\b)[^,;\s]+\s+)*?(?:is|are|was|were|must|should|can|will|may|has|have|had|would|could)\b"
)
_LITTLE = re.compile(r"(?i)(?:even|much|far)? ?(?:less|more|better|worse|higher|lower|so|well|good|bad)")
_POINTS = re.compile(
    r"(?i)\b(?:above|below|herein|the following|today|yesterday|tomorrow|those|these|we|us|our|ours|my)\b(?!\.)"
)
_JOINED = re.compile(r"\s+(?:and|or|nor|as well as|rather than|but not|and/or)\s+")
_SERIES = re.compile(
    r",\s+(?:the|an?)\s[^,.;]{2,60},?\s+(?:and|or)\s+(?:the|an?)\s|,\s[^,.;]{2,40},\s[^.;]*\b(?:and|or)\s"
)
_ELSEWHERE = re.compile(
    r"(?i)(?:the )?(?:former|latter|same|following|above|others?|it|them|this|that|one|two|several factors)"
)
_THE_EVENT = re.compile(
    r"\b(?:the|this) (?:accident|incident|crash|collision|mishap)"
    r"(?= (?:in|of|at|on|was|is|did|occur|happen|to|and)\b|$)"
)
_THE_THING = re.compile(r"\bthe (airplane|aircraft|vehicle|vessel|helicopter)(?!['’\w])")
_THE_PERSON = re.compile(r"\bthe ((?:student |private )?pilot|driver|captain|flight crew)(?!['’\w])")


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
        return self.verb in AUXILIARIES

    def asked(self, rest: str) -> str:
        """The clause as a question's tail: "did the airplane strike a tree", "was the wing bent"."""
        if self.verb in ("has", "have", "had") and not _PARTICIPLE.match(rest):
            begin = f"{_DO[self.verb]} {self.subject} have"
        elif self.is_aux:
            begin = f"{self.verb} {self.subject}"
        else:
            begin = f"did {self.subject} {base_form(self.verb)}"
        return f"{begin} {rest}".strip()


@dataclass(frozen=True, slots=True)
class Sentence:
    """Where a sentence stands in a text. ``begins`` is false if its beginning is missing."""

    text: str
    start: int
    end: int
    begins: bool = True

    def find(self, pattern: re.Pattern[str]) -> Iterator[re.Match[str]]:
        return pattern.finditer(self.text, self.start, self.end)

    def ask(
        self,
        kind: Kind,
        label: str,
        answer: tuple[int, int],
        wordings: tuple[str, ...],
        rank: int = 1,
        longest: int = 25,
        said: str = "",
        whole: bool = False,
    ) -> Candidate | Rejection:
        """A candidate with this sentence as its quote, or why the answer or the question will not do.

        ``said`` is the answer where it is not the text at ``answer`` ("Yes", "No"); ``whole``: the answer is known to
        end where it does, whatever follows.
        """
        start, end = answer
        while end > start and (self.text[end - 1].isspace() or self.text[end - 1] in ".,;:"):
            end -= 1
        given, said = said, flat(self.text[start:end])
        question = wordings[0]
        if not given and (fault := self._answer_fault(kind, start, end, longest, whole)):
            return Rejection(fault, f"{label}: {said[:80]}")
        if PRONOUN.search(question):
            return Rejection("question would hold a pronoun", f"{label}: {question}")
        if _VAGUE.search(question):
            return Rejection("question would point elsewhere", f"{label}: {question}")
        if question.count("(") != question.count(")") or _OPEN.search(question):
            return Rejection("question would be cut", f"{label}: {question}")
        if max(len(wording.split()) for wording in wordings) > 30:
            return Rejection("question too long", f"{label}: {question[:80]}")
        return Candidate(kind, label, (start, end), (self.start, self.end), tuple(map(flat, wordings)), rank, given)

    def _answer_fault(self, kind: Kind, start: int, end: int, longest: int, whole: bool) -> str:
        """Why a part of the sentence will not do as an answer, or ""."""
        said, after = flat(self.text[start:end]), self.text[end : self.end]
        if _LITTLE.fullmatch(said):
            return "answer says too little"
        if _ELSEWHERE.fullmatch(said) or _LED.match(said) or _POINTS.search(said):
            return "answer points elsewhere"
        is_value = kind in ("quantity", "date")
        listed = not (is_value or whole) and (LISTED.match(after) or _SERIES.match(after) or self._goes_on(end))
        if kind != "cause" and _OF_BEFORE.search(said):
            return "answer points elsewhere"
        if re.match(r"\.(?:\w|,|\s+\S)", after) or (kind == "fact" and _RUNS_ON.search(said)):
            return "answer is not a whole phrase"
        if listed or said.count('"') % 2 or said.count("(") != said.count(")") or _CUT.search(said):
            return "answer is not a whole phrase"
        return "answer too long" if len(said.split()) > longest else ""

    def _goes_on(self, end: int) -> bool:
        """Whether more of the same phrase follows an "and": words that are not another clause or verb."""
        more = _JOINED.match(self.text, end, self.end)
        if more is None:
            return False
        word = re.compile(r"\w+").match(self.text, more.end())
        verb = word is not None and (word.group() in AUXILIARIES or _is_finite(word.group(), "the"))
        return (
            not verb
            and read_clause(self.text, more.end(), self.end) is None
            and (re.match(r"(?:he|she|it|they|then|also|\w+ly)\b", self.text[more.end() :]) is None)
        )

    def clause_before(self, end: int) -> Clause | None:
        """The clause that ends at ``end``, after the last comma or "and" that it can begin at."""
        found = list(re.compile(r",\s+(?:and\s+|but\s+)?|\band\s+").finditer(self.text, self.start, end))
        cuts = [m.end() for m in found if m.group()[0] == "," or self._is_whole(m.start())]
        for cut in [*reversed(cuts), self.start]:
            clause = read_clause(self.text, cut, end)
            if clause and not PRONOUN.search(clause.subject):
                return clause
        return None

    def _is_whole(self, end: int) -> bool:
        """Whether the sentence up to ``end`` holds a verb: an "and" there may begin another clause."""
        before = self.text[self.start : end].split()
        return any(word in AUXILIARIES or _is_finite(word, "the") for word in before[1:])


def flat(text: str) -> str:
    """The text with single spaces for white space."""
    return " ".join(text.split())


def spaced(pattern: str) -> re.Pattern[str]:
    """The pattern compiled, with any white space where it has a space."""
    return re.compile(re.sub(r"(?<!\\) (?![?*+])", r"\\s+", pattern))


def base_form(verb: str) -> str:
    """The infinitive of a past tense: by a table, else by its ending."""
    if verb in IRREGULAR:
        return IRREGULAR[verb]
    stem = verb[:-2]
    if stem.endswith("i"):
        return stem[:-1] + "y"
    if stem in _DOUBLED or re.search(r"(?:mim|traff|pan|picn)ick$", stem):
        return stem[:-1]
    if len(stem) > 3 and stem[-1] == stem[-2] and stem[-1] in "bdgmnprt":
        return stem[:-1]
    return stem + "e" if _DROPS_E.search(stem) else stem


def lower_first(text: str) -> str:
    """The text as it stands inside a sentence: what is only capitalised as its first word loses the capital."""
    common = _FIRST_WORD.match(text) or re.match(r"[A-Z][a-z]+(?:-[a-z]+)* (?!of\b|and\b|for\b|the\b)[a-z]", text)
    common = common or _ABSTRACT.fullmatch(text)
    return text[0].lower() + text[1:] if common else text


def upper_first(text: str) -> str:
    return text[:1].upper() + text[1:]


def about(question: str, thing: bool = True) -> tuple[str, ...]:
    """A question without its mark: as it is, and tied to the document's event in several ways."""
    q = lower_first(question)
    event = _THE_EVENT.sub("{e}", q, count=1)
    if event != q:
        return (f"{upper_first(q)}?", f"{upper_first(event)}?")
    ways = [f"{upper_first(q)}?", f"In {{e}}, {q}?"]
    if not re.search(r" (?:in|into|on|to|with|from|at|by|of|for)$", q):
        ways.append(f"{upper_first(q)} in {{e}}?")
    named = (_THE_THING.sub("{t}", q, count=1), _THE_PERSON.sub(r"the \1 of {t}", q, count=1)) if thing else ()
    return (*ways, *(f"{upper_first(name)}?" for name in named if name != q))


def clause_end(text: str, start: int, end: int) -> int:
    """Where the clause ends that begins at ``start``: at a mark, or where another subject or verb follows an "and"."""
    stop = BOUND.search(text, start, end)
    return stop.start() if stop else end


def clause_starts(text: str, start: int, end: int) -> list[int]:
    """Where clauses may begin: the sentence, after its lead, and after a conjunction behind a whole clause."""
    first = start
    if lead := LEAD.match(text, start, end) or _ADVERBIAL.match(text, start, end):
        first = lead.end() + len(text[lead.end() :]) - len(text[lead.end() :].lstrip())
    starts = [first]
    while True:
        stop = clause_end(text, starts[-1], end)
        more = _CONJUNCTION.match(text, stop, end)
        before = text[starts[-1] : stop]
        whole = read_clause(text, starts[-1], stop) or re.match(r"(?i)(he|she|it|they|there)\b", before)
        if not more or not whole:
            return starts
        starts.append(more.end())


def read_clause(text: str, start: int, end: int) -> Clause | None:
    """The clause of ``text[start:end]``, if its subject and verb can be told by their form."""
    found = [(m.group(), start + m.start(), start + m.end()) for m in re.finditer(r"\S+", text[start:end])]
    if not found or found[0][0].casefold() in NO_SUBJECT | AUXILIARIES or not found[0][0][0].isalpha():
        return None
    if len(found[0][0]) < 3 and not re.fullmatch(r"[Aa]n?|[A-Z]{2}", found[0][0]):
        return None
    if len(found) > 1 and re.fullmatch(
        r"(?i)others?|next|same|latter|former|following|above|two|three|first|second", found[1][0]
    ):
        return None  # it leans on what was said before
    for i, (word, _, _) in enumerate(found[:11]):
        after = found[i + 1][0] if i + 1 < len(found) else ""
        if i and _is_finite(word, after):
            if i == 1 and re.fullmatch(r"(?i)the|an?|its|his|her|their", found[0][0]):
                continue
            return _parted(found, i, end)
        if word.casefold() in _NOT_IN_SUBJECT or (re.search(r"[,;:.()\"“”]", word) and not word.endswith("'s")):
            return None
    return None


def _is_finite(word: str, after: str) -> bool:
    """Whether a word reads like the verb of a clause, by itself and by the word after it."""
    past = word in IRREGULAR or re.fullmatch(r"[a-z]{2,}[a-df-z]ed|agreed|guaranteed|freed|decreed", word)
    if past and after == "by":
        return False  # "rules issued by the board" rather than "the truck passed by the board"
    return word in AUXILIARIES or bool(past and (not after or _FOLLOWS_VERB.match(after.casefold().rstrip(".,;:"))))


def _parted(found: list[tuple[str, int, int]], i: int, end: int) -> Clause | None:
    """The clause of the words whose verb is the word number ``i``, unless the words before it are no subject."""
    verb, low, high = found[i]
    head, adverb = [word for word, _, _ in found[:i]], ""
    if head[-1].endswith("ly") or head[-1] in _ADVERBS:
        adverb = head.pop()
    if not head or re.fullmatch(
        rf"(?i)one|two|no|all|each|some|contributing|{PREPOSITION}|of|to|for|the|an?|and|or|by", head[-1]
    ):
        return None
    rest = [word for word, _, _ in found[i + 1 :]]
    if verb not in AUXILIARIES:
        stop = next((n for n, w in enumerate(rest) if w.endswith((",", ";", ":")) or w in _CLAUSE_WORDS), len(rest))
        if any(word in AUXILIARIES for word in rest[:stop]):
            return None  # "Dockets released in May are ...": the first verb is a participle
        names = all(word[0].isupper() for word in head if word not in ("of", "for", "the", "and", "&"))
        if not _DETERMINER.match(head[0]) and len(head) > 2 and not names:
            return None  # "Calculating the water needed for": without a determiner the verb may be a participle
    rest_at = found[i + 1][1] if rest else high
    return Clause(lower_first(" ".join(head)), adverb, verb, " ".join(rest), found[0][1], low, rest_at, end)


def shared_clause(text: str, start: int, end: int, subject: str) -> Clause | None:
    """The clause of the verb at ``start`` whose subject stands elsewhere."""
    m = re.compile(r"\s+(?:(then|also|subsequently|\w+ly)\s+)?([a-z]+)\s+").match(text, start, end)
    if not m or not (m.group(2) in AUXILIARIES or m.group(2) in IRREGULAR or m.group(2).endswith("ed")):
        return None
    return Clause(subject, m.group(1) or "", m.group(2), flat(text[m.end() : end]), start, m.start(2), m.end(), end)
