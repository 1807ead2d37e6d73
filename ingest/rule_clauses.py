"""English clauses by their surface: a subject, a verb known by its form, and the rest; and questions made of them.

Knows words and their order, nothing of documents. What cannot be told by the form is left alone (None).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from ingest.drafts import Rejection
from ingest.rule_forms import Candidate
from ingest.rule_labels import words

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
_DROPS_E = re.compile(
    r"(?:[^e]at|[cvuz]|[^s]s|[^n]g|rang|chang|plung|[^o]id|ud|od|[iu]r|m(?:in|it)e|term?in|fin|bin|amin|lin|[^oh]ut"
    r"|[bpdgcf]l|not|quot|vot|[^aeou]il|ak|ik|om|op(?!p)|yp|iz|hir|par|ag|edg|rot|clar|plet|delet|pet)$"
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
    "approximately very often more even then also first remember please"
)
_NOT_IN_SUBJECT = words(
    "it he she they we you i who which what when where why how if because while although though unless until whether "
    "or not that needs requires require means makes shows show provides provide contains contain depends depend "
    "suggests indicates becomes become helps allows includes include usually always sometimes never do does did"
)
PRONOUN = re.compile(r"(?i)\b(he|she|it|they|this|these|those|his|her|their|its|him|them|we|us|our|you|your|I|my)\b")
PREPOSITION = r"(?:in|on|at|near|from|into|onto|against|with|over|under|across|along|behind|between|off|towards?)"
_DETERMINER = re.compile(r"(?i)(?:the|an?|his|her|its|their|one|two|three|several|each|both|all|no|\w+['’]s)$")
_ADVERBS = ("then", "also", "subsequently", "again", "later", "first", "not")
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
        begin = f"{self.verb} {self.subject}" if self.is_aux else f"did {self.subject} {base_form(self.verb)}"
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
        kind: str,
        label: str,
        answer: tuple[int, int],
        wordings: tuple[str, ...],
        rank: int = 1,
        longest: int = 25,
    ) -> Candidate | Rejection:
        """A candidate with this sentence as its quote, or why the answer or the question will not do."""
        start, end = answer
        while end > start and (self.text[end - 1].isspace() or self.text[end - 1] in ".,;:"):
            end -= 1
        said = flat(self.text[start:end])
        if _ELSEWHERE.fullmatch(said):
            return Rejection("answer points elsewhere", f"{label}: {said}")
        listed = kind != "quantity" and kind != "date" and LISTED.match(self.text, end, self.end)
        if listed or said.count('"') % 2 or said.count("(") != said.count(")"):
            return Rejection("answer is not a whole phrase", f"{label}: {said[:80]}")
        if len(said.split()) > longest:
            return Rejection("answer too long", f"{label}: {said[:80]}")
        if PRONOUN.search(wordings[0]) or re.search(r"\b(latter|former|following|below|above)\b", wordings[0]):
            return Rejection("question would hold a pronoun", f"{label}: {wordings[0]}")
        if wordings[0].count("(") != wordings[0].count(")"):
            return Rejection("question would be cut", f"{label}: {wordings[0]}")
        if max(len(wording.split()) for wording in wordings) > 30:
            return Rejection("question too long", f"{label}: {wordings[0][:80]}")
        return Candidate(kind, label, (start, end), (self.start, self.end), tuple(map(flat, wordings)), rank)

    def clause_before(self, end: int) -> Clause | None:
        """The clause that ends at ``end``, after the last comma or "and" that it can begin at."""
        cuts = [m.end() for m in re.compile(r",\s+(?:and\s+|but\s+)?|\band\s+").finditer(self.text, self.start, end)]
        for cut in [*reversed(cuts), self.start]:
            clause = read_clause(self.text, cut, end)
            if clause and not PRONOUN.search(clause.subject):
                return clause
        return None


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
    if len(stem) > 3 and stem[-1] == stem[-2] and stem[-1] in "bdgmnprt":
        return stem[:-1]
    return stem + "e" if _DROPS_E.search(stem) else stem


def lower_first(text: str) -> str:
    """The text as it stands inside a sentence: what is only capitalised as its first word loses the capital."""
    common = _FIRST_WORD.match(text) or re.match(r"[A-Z][a-z]+ (?!of\b|and\b|for\b|the\b)[a-z]", text)
    return text[0].lower() + text[1:] if common else text


def upper_first(text: str) -> str:
    return text[:1].upper() + text[1:]


def about(question: str, thing: bool = True) -> tuple[str, ...]:
    """A question without its mark, tied to the document in several ways."""
    q = lower_first(question)
    event = _THE_EVENT.sub("{e}", q, count=1)
    if event != q:
        return (f"{upper_first(event)}?", f"{upper_first(event)}, as told in {{d}}?")
    ways = [f"In {{e}}, {q}?", f"According to {{d}}, {q}?", f"{upper_first(q)}, according to {{d}}?"]
    if not q.endswith((" in", " into")):
        ways.insert(0, f"{upper_first(q)} in {{e}}?")
    named = (_THE_THING.sub("{t}", q, count=1), _THE_PERSON.sub(r"the \1 of {t}", q, count=1)) if thing else ()
    for name in named:
        ways += [f"{upper_first(name)}?"] * 2 if name != q else []
    return tuple(ways)


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
    if not found or found[0][0].casefold() in NO_SUBJECT | AUXILIARIES or not found[0][0][0].isalnum():
        return None
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
    past = word in IRREGULAR or re.fullmatch(r"[a-z]{3,}ed", word)
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
