"""What a set of question-answer pairs is like: the question metrics of Balaguer et al. 2024 (arXiv 2401.08406, 3.4).

Overlap, diversity, details and extractive coverage need no judge; relevance, global relevance, coverage and fluency are
rated 1 to 5 by a generator, which is named beside them. The paper's tables contradict two of its directions, so every
figure carries its own (``DIRECTIONS``). Knows pairs and texts, not where they come from.
"""

from __future__ import annotations

import math
import random
import re
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fieldguide import align
from fieldguide.models.base import Embedder, Message, Prompt
from fieldguide.prompts import fill, load
from fieldguide.types import PAGE_BREAK, Chunk, Progress, QAPair, Span
from ingest.qa.calls import Calls

DIRECTIONS = {
    "overlap": "KL divergence of the questions' words from the documents', in nats: lower is more overlap",
    "diversity": "mean word mover's distance between two questions, 0 to 2: higher is more diverse",
    "details": "tokens in a question, mean: higher is more detailed, not better by itself",
    "extractive_coverage": "share of pairs whose evidence stands on its pages as quoted: higher is better",
    "relevance": "1 to 5, would a practitioner who reads the passage ask it: higher is better",
    "global_relevance": "1 to 5, the same without the passage: higher is better",
    "coverage": "1 to 5, can the answer be taken from the passage: higher is better",
    "fluency": "1 to 5, is it well written: higher is better",
}
JUDGED = ("relevance", "coverage", "fluency")
_WORDS = 40
_JUDGE_TOKENS = 60


@dataclass(frozen=True, slots=True)
class Judged:
    """Mean ratings by metric (1 to 5), how many questions were rated, and how many replies were not understood."""

    ratings: Mapping[str, float]
    n: int
    unparsed: int


def overlap(questions: Sequence[str], source: Sequence[str]) -> float | None:
    """KL(questions ‖ source) in nats of the distributions of words, each with one added to every word of both; at least
    0, None without questions."""
    asked = Counter(token for text in questions for token in align.tokens(text))
    told = Counter(token for text in source for token in align.tokens(text))
    words = asked.keys() | told.keys()
    if not asked:
        return None
    p_total, q_total = sum(asked.values()) + len(words), sum(told.values()) + len(words)
    return sum(
        (asked[w] + 1) / p_total * math.log(((asked[w] + 1) / p_total) / ((told[w] + 1) / q_total)) for w in words
    )


def diversity(questions: Sequence[str], embedder: Embedder, sample: int, seed: int) -> float | None:
    """Mean word mover's distance (Kusner et al. 2015) over ``sample`` drawn pairs of questions; None below two.

    Distances are Euclidean between the embedder's vectors of single content words, each of length 1.
    """
    from scipy.stats import wasserstein_distance_nd

    bags = [bag for question in questions if (bag := align.content_tokens(question)[:_WORDS])]
    if len(bags) < 2:
        return None
    draw = random.Random(seed)
    chosen = [draw.sample(range(len(bags)), 2) for _ in range(sample)]
    words = sorted({word for pair in chosen for n in pair for word in bags[n]})
    vector = dict(zip(words, embedder.embed(words), strict=True))
    distances = []
    for first, second in chosen:
        one, other = Counter(bags[first]), Counter(bags[second])
        distances.append(
            wasserstein_distance_nd(
                np.array([vector[w] for w in one]), np.array([vector[w] for w in other]),
                np.array(list(one.values()), dtype=float), np.array(list(other.values()), dtype=float),
            )
        )  # fmt: skip
    return float(np.mean(distances))


def details(questions: Sequence[str]) -> float | None:
    """Mean number of words and numbers in a question."""
    return statistics.fmean(len(align.tokens(q)) for q in questions) if questions else None


def stands(pair: QAPair, pages: Mapping[tuple[str, int], str]) -> bool:
    """Whether every quote of the pair's evidence is what its page spans hold; ``pages`` by (document, number)."""

    def text(document: str, span: Span) -> str:
        return pages.get((document, span.page), "")[span.start : span.end]

    return bool(pair.evidence) and all(
        e.spans and PAGE_BREAK.join(text(e.document, span) for span in e.spans) == e.quote for e in pair.evidence
    )


@dataclass(frozen=True, slots=True)
class Reach:
    """How much of the shelf the pairs are about: (with pairs, all) of documents, sections and chunks."""

    documents: tuple[int, int]
    sections: tuple[int, int]
    chunks: tuple[int, int]


def reach(pairs: Sequence[QAPair], chunks: Sequence[Chunk]) -> Reach:
    """A section is a heading path within a document; a chunk counts if a pair was made from it."""
    asked = {pair.chunk for pair in pairs}
    with_pairs = [chunk for chunk in chunks if chunk.id in asked]

    def count(members: Sequence[Chunk]) -> tuple[int, int, int]:
        return len({c.document for c in members}), len({(c.document, c.heading) for c in members}), len(members)

    (d, s, k), (all_d, all_s, all_k) = count(with_pairs), count(chunks)
    return Reach((d, all_d), (s, all_s), (k, all_k))


def judge(pairs: Sequence[QAPair], chunks: Mapping[str, Chunk], calls: Calls, progress: Progress) -> Judged:
    """Ratings of each pair's question by the generator: three with its passage in sight, global relevance without."""
    asked = [pair for pair in pairs if pair.chunk in chunks]
    progress.start("judging questions", 2 * len(asked))
    ratings: dict[str, list[int]] = {}
    unparsed = 0
    for pair in asked:
        passage = chunks[pair.chunk]
        prompts = [
            _prompt("judge_question", question=pair.question, answer=pair.answer, text=passage.indexed_text),
            _prompt("judge_question_alone", question=pair.question),
        ]
        replies = calls.ask(prompts, max_new_tokens=_JUDGE_TOKENS)
        for reply, names in zip(replies, (JUDGED, ("global_relevance",)), strict=True):
            found = _ratings(reply.text, names)
            unparsed += found is None
            for name, value in (found or {}).items():
                ratings.setdefault(name, []).append(value)
            progress.advance()
    return Judged({name: statistics.fmean(values) for name, values in ratings.items()}, len(asked), unparsed)


def _prompt(name: str, **values: str) -> Prompt:
    return (Message("system", load("judge_question_system")), Message("user", fill(name, **values)))


def _ratings(reply: str, names: Sequence[str]) -> dict[str, int] | None:
    """ "name: 1-5" for each of the names, None if one is missing or out of range."""
    found = {}
    for name in names:
        match = re.search(rf"\b{name.replace('_', '[_ ]')}\b\W{{0,4}}([1-5])(?![\d.])", reply, re.IGNORECASE)
        if match is None:
            return None
        found[name] = int(match.group(1))
    return found
