"""Questions that a list answers: which items it has, and for steps in order how something is done.

Lists are found in ``ingest.qa.rule_list_items``, what is above them is read in ``ingest.qa.rule_list_intros``; lists
within a sentence ("The kit includes a pump, two filters, and a hose.") are found here. English only.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import pairwise

from fieldguide.align import sentences
from fieldguide.types import Chunk
from ingest.qa.drafts import Rejection
from ingest.qa.rule_clauses import PRONOUN, flat
from ingest.qa.rule_labels import words
from ingest.qa.rule_list_intros import VAGUE, intro_questions, is_noun_phrase, lowered, procedure_name, verb_question
from ingest.qa.rule_list_items import Items, read_lists
from ingest.qa.rule_reading import Reading, is_plural, lower_words
from ingest.qa.rule_table_rows import CELLS

Found = Iterator[Reading | Rejection]

_IMPERATIVES = words(
    "accept access add adjust allow analyze apply arrange ask assemble assess assign attach avoid bake begin blend"
    " boil bring brush build calculate call check choose circle clean clear click close collect combine compare"
    " complete compute conduct confirm connect consider contact continue cook copy count cover create cut decide"
    " define deliver describe determine develop discard discuss disconnect disinfect divide do document download drag"
    " drain draw drill dry empty enable ensure enter establish estimate evaluate examine explain export fill find"
    " finish fit fold follow gather get give go grab grind harvest heat hold identify import include inform insert"
    " inspect install keep label lay leave let lift list load locate log look loosen lower lubricate maintain make"
    " mark measure meet mix monitor mount move navigate note notify observe obtain open order outline pack paint"
    " perform pick place plan plant plug point position pour prepare press preheat print provide prune pull purchase"
    " push put raise read rebuild record reduce refer release remove repeat replace report request reset restart"
    " return review rinse roll rotate run save scroll seal search secure select send separate serve set shake share"
    " shut sign slide soak sow spray spread stand start state stir stop store submit switch take tap tell test thaw"
    " thin tie tighten transfer treat try turn type unplug unscrew update upload use verify visit wait walk wash"
    " watch water wear weigh wipe work write"
)
_STEPS = re.compile(r"(?i)\b(?:steps?|procedures?|process|how to|instructions|method|directions)\b")
_SERIES = re.compile(
    r"(?P<items>(?:(?!and |or )[^\s,;:.()][^,;:.()]{1,48}, ){1,6}(?:(?:and|or) [^,;:.()]{2,60}"
    r"|(?:(?! and | or )[^,;:.()]){2,48} (?:and|or) (?:(?! and | or )[^,;:.()]){2,48}))\.?$"
)
_IN_PROSE = re.compile(
    r"(?P<subject>(?:[A-Z][\w'’-]*)(?: [\w'’/-]+){0,8}) (?P<verb>includes?|included|consists? of|consisted of"
    r"|comprises?|comprised|contains?|contained|are|were)(?::)? "
)
_KIND_OF = re.compile(
    r"(?i)\b(?:types?|kinds?|forms|components|parts|stages|factors|elements|reasons|goals|objectives|phases|categories"
    r"|principles|symptoms|signs|causes|methods|sources|ingredients|steps|characteristics|requirements|benefits|members"
    r"|areas|priorities|functions|duties|responsibilities|products|crops|species|pests|diseases)\b"
)
_CLAUSE_IN_ITEM = re.compile(
    r"(?i)^(?:including|\w+ed (?:by|using|on|in|as)|on|in|at|by|for|to|with|of|from|as|not)\b"
    r"|\b(?:which|that|who|is|are|was|were|has|have|had|will|would|can|may|be|it|they|we|he|she|this|these|than|because"
    r"|if|but)\b"
)


def list_candidates(chunks: Sequence[Chunk]) -> list[list[Reading | Rejection]]:
    """Questions and rejections for each of one document's chunks, in order: "list" and "procedure"."""
    common = lower_words([chunk.text for chunk in chunks])
    found: list[list[Reading | Rejection]] = []
    for chunk, lists in zip(chunks, read_lists(chunks), strict=True):
        here: list[Reading | Rejection] = []
        for one in lists:
            here.extend([one] if isinstance(one, Rejection) else _asked(chunk.text, one, common))
        here.extend(_series(chunk.text, common))
        found.append(here)
    return _clear(found)


def _clear(found: Sequence[Sequence[Reading | Rejection]]) -> list[list[Reading | Rejection]]:
    """Without the questions that the document answers in several ways."""
    answers = defaultdict(set)
    for one in (one for here in found for one in here if isinstance(one, Reading)):
        answers[one.templates].add(one.answer)

    def clear(one: Reading | Rejection) -> Reading | Rejection:
        if isinstance(one, Reading) and len(answers[one.templates]) > 1:
            return Rejection("question has several answers in the document", one.label[:80])
        return one

    return [[clear(one) for one in here] for here in found]


def _asked(text: str, found: Items, common: frozenset[str]) -> Found:
    """The questions that a list answers, by its introduction."""
    said = [flat(text[start:end]) for start, end in found.items]
    imperative = sum(item.split()[0].casefold().strip(",.") in _IMPERATIVES for item in said)
    steps = (
        found.numbered
        and not found.terms
        and (5 * imperative >= 4 * len(said) or (2 * imperative >= len(said) and bool(_STEPS.search(found.intro))))
    )
    if steps and (name := procedure_name(found.intro)):
        yield from _steps(found, said, name)
        return
    asked = intro_questions(found.intro, found.titled, common, found.section)
    if isinstance(asked, str):
        yield Rejection(asked, found.intro[:80])
        return
    answer = "; ".join(said)
    if any(flat(item).casefold() in wording.casefold() for item in said for wording in asked):
        yield Rejection("answer in question", found.intro[:80])
        return
    yield Reading("list", found.intro, answer, found.items, asked)


def _steps(found: Items, said: Sequence[str], name: str) -> Found:
    """How something is done: all steps, the first, and what comes after each."""
    yield Reading(
        "procedure", found.intro, "; ".join(said), found.items,
        (f"What are the steps{name}, according to {{d}}?", f"According to {{d}}, what are the steps{name}?"),
    )  # fmt: skip
    yield Reading(
        "procedure", f"{found.intro}: first", said[0], found.items[:1],
        (f"What is the first step{name}, according to {{d}}?", f"According to {{d}}, what is the first step{name}?"), 2,
    )  # fmt: skip
    for n, (before, after) in enumerate(pairwise(said)):
        if len(before.split()) <= 12 and after.casefold() not in before.casefold():
            wordings = (f"According to {{d}}, which step{name} comes right after “{before}”?",)
            yield Reading("procedure", f"{found.intro}: after {before}", after, found.items[n : n + 2], wordings, 3)


def _series(text: str, common: frozenset[str]) -> Found:
    """Lists within a sentence: "The kit includes a pump, two filters, and a hose."."""
    for low, high in sentences(text):
        sentence = text[low:high]
        if CELLS in sentence or "\n\n" in sentence:
            continue
        m = _IN_PROSE.match(flat(sentence))
        series = _SERIES.fullmatch(flat(sentence)[m.end() :]) if m else None
        if not m or "," not in flat(sentence)[m.end() :] or not is_noun_phrase(m["subject"]):
            continue
        kinds = m["verb"] in ("are", "were")
        if PRONOUN.search(m["subject"]) or (kinds and not (_KIND_OF.search(m["subject"]) and is_plural(m["subject"]))):
            continue
        items = _parted(series["items"]) if series else []
        if any("- " in item for item in items):
            items = []
        if any(_CLAUSE_IN_ITEM.search(item) or len(item.split()) > 8 for item in items) or len(items) < 3:
            yield Rejection("items of a sentence are not plain", flat(sentence)[:80])
            continue
        subject, verb = m["subject"], m["verb"]
        if kinds:
            question = f"what {verb} {lowered(subject, common)}"
        elif verb.startswith("include") and subject.startswith("Examples of"):
            question = f"what are {lowered(subject, common)}"
        else:
            question = verb_question(subject, verb, common, "what", "")
        if not question or VAGUE.search(subject):
            yield Rejection("introduction is not understood", flat(sentence)[:80])
            continue
        wordings = (f"According to {{d}}, {question}?", f"{question[0].upper()}{question[1:]}, according to {{d}}?")
        yield Reading("list", subject, "; ".join(items), ((low, high),), wordings, 2)


def _parted(series: str) -> list[str]:
    """The items of "a, b, and c" or "a, b and c"."""
    *first, last = (part.strip() for part in series.rstrip(".").split(", "))
    if re.match(r"(?:and|or) ", last):
        return [*first, last.partition(" ")[2]]
    return [*first, *re.split(r" (?:and|or) ", last)]
