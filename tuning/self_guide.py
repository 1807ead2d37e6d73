"""Pairs that the model to be tuned writes itself, without a teacher: SELF-GUIDE (Zhao et al. 2024, arXiv 2407.12874).

The student is shown a few pairs and writes inputs (here a question for a sentence of a chunk), then the outputs (here
the answer in the prompt that will be served, from the passages that retrieval finds). Both follow worked examples, made
of pairs that are there. Noise is filtered out by the
checks that every pair has to pass (``ingest.qa.checks``), and by length: within two standard deviations of the pairs
that are there. An answer has to stand in the chunk of which the question was asked, so a pair holds only if retrieval
and model together lead from the question back to its text.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean, pstdev

from fieldguide.models.base import Generation, Generator, Prompt
from fieldguide.prompts import answer_prompt
from fieldguide.replies import read_reply
from fieldguide.types import Chunk, Progress, QAPair, Retriever
from ingest.qa.adapter_source import Sentence, choose_sentences, question_kind, read_sentences
from ingest.qa.checks import check, malformed_question
from ingest.qa.drafts import Draft
from ingest.qa.misfits import misfit
from ingest.qa.same import shared_facts, wording
from ingest.qa.self_contained import not_self_contained
from ingest.qa.verify import pair_of
from tuning.worked_examples import shown, worked_examples, write_prompt

ORIGIN = "self-guide"
"""The origin of pairs that were made here. They are for training alone and are in no catalogue."""

CUT_OFF, TOO_LONG, REFUSED, QUESTION_LENGTH, ANSWER_LENGTH, ASKED, KEPT_FOR_TESTS = (
    "reply cut off",
    "prompt too long for the model",
    "the model finds no answer",
    "question of unusual length",
    "answer of unusual length",
    "asked already",
    "fact of a dev or test pair",
)
"""Why something was not used, beside the reasons of ``ingest.qa.checks``."""

_SENTENCES = 4
_BATCH = 16
_QUESTION_TOKENS = 60
_FEWEST_LENGTHS = 5
_DEVIATIONS = 2.0


@dataclass(frozen=True, slots=True)
class Lengths:
    """Fewest and most words, as floats: the mean of some texts, less and more two standard deviations."""

    low: float = 0.0
    high: float = float("inf")

    @classmethod
    def of(cls, texts: Sequence[str]) -> Lengths:
        """Without bounds where there are fewer than five texts."""
        if len(texts) < _FEWEST_LENGTHS:
            return cls()
        counts = [len(text.split()) for text in texts]
        spread = _DEVIATIONS * pstdev(counts)
        return cls(fmean(counts) - spread, fmean(counts) + spread)

    def fit(self, text: str) -> bool:
        return self.low <= len(text.split()) <= self.high


@dataclass(frozen=True, slots=True)
class _Asked:
    """A question that was written of a sentence of a chunk."""

    chunk: Chunk
    sentence: str
    question: str


@dataclass(slots=True)
class _Made:
    """What has been made so far, and what it must keep apart from."""

    known: Sequence[QAPair]
    pairs: list[QAPair] = field(default_factory=list)
    rejected: Counter[str] = field(default_factory=Counter)
    wordings: set[str] = field(default_factory=set)


def self_guide(
    chunks: Sequence[Chunk],
    retriever: Retriever,
    generator: Generator,
    wanted: int,
    seed: int,
    progress: Progress,
    *,
    known: Iterable[QAPair] = (),
    languages: Mapping[str, str] | None = None,
    adapter: str | None = None,
    temperature: float = 0.0,
    max_new_tokens: int = 48,
) -> tuple[list[QAPair], Counter[str]]:
    """At most ``wanted`` pairs about the chunks, and how many drafts fell for which reason.

    ``chunks`` are those of the *training* documents, a document's in order. ``known`` are all pairs of the catalogue:
    of its train pairs some are shown and the lengths are taken, nothing is asked that is asked there, and no pair is
    about a fact of a dev or test pair. ``languages`` (ISO 639-1) by chunk id, English where it is not known. Fewer
    pairs where the text is asked through: one question of each sentence that says enough, four sentences a chunk. The
    paper draws inputs at a ``temperature`` to have different ones; here each sentence brings its own. An ``adapter``
    from which the tuning starts gives the outputs in the place of the bare model, without worked examples.
    """
    known = list(known)
    train = [pair for pair in known if pair.split == "train" and pair.answerable and not pair.after]
    lengths = Lengths.of([p.question for p in train]), Lengths.of([p.answer for p in train])
    examples = worked_examples(train, chunks, seed)
    made = _Made([pair for pair in known if pair.split != "train"])
    made.wordings.update(map(wording, known))
    progress.start(ORIGIN, wanted)
    tasks = _tasks(chunks, seed, made.rejected)
    for start in range(0, len(tasks), _BATCH):
        if len(made.pairs) >= wanted:
            break
        before = len(made.pairs)
        part = tasks[start : start + _BATCH]
        given = [shown(examples, n) for n in range(start, start + len(part))]
        prompts = [
            write_prompt(chunk, one.text, [turn.write for turn in turns])
            for (chunk, one), turns in zip(part, given, strict=True)
        ]
        written = _generated(prompts, generator, _QUESTION_TOKENS, made.rejected, temperature, seed)
        asked = _questions(part, written, lengths[0], languages or {}, made)
        read = [turn.read for turn in given[0]] if adapter is None else []
        answers = _answers(asked, read, retriever, generator, adapter, max_new_tokens, made)
        for one, answer in zip(asked, answers, strict=True):
            if answer is not None and len(made.pairs) < wanted:
                _take(one, answer, lengths[1], languages or {}, made)
        progress.advance(len(made.pairs) - before, f"{sum(made.rejected.values())} rejected")
    return made.pairs, made.rejected


def _tasks(chunks: Sequence[Chunk], seed: int, rejected: Counter[str]) -> list[tuple[Chunk, Sentence]]:
    """Sentences worth a question, each text once, in an order drawn by seed: of every chunk one before a second of
    any. The others are counted with their reasons."""
    found: list[tuple[int, float, int, Chunk, Sentence]] = []
    draw = random.Random(f"self-guide {seed}")
    before: Chunk | None = None
    seen: set[str] = set()
    for chunk in chunks:
        earlier = before if before is not None and before.document == chunk.document else None
        read, passed_over = read_sentences(chunk, earlier)
        rejected.update(rejection.reason for rejection in passed_over)
        fresh = [one for one in read if one.text not in seen]
        seen.update(one.text for one in fresh)
        sentences = choose_sentences(fresh, _SENTENCES)
        draw.shuffle(sentences)
        found += [(turn, draw.random(), len(found), chunk, one) for turn, one in enumerate(sentences)]
        before = chunk
    return [(chunk, sentence) for _, _, _, chunk, sentence in sorted(found, key=lambda task: task[:3])]


def _questions(
    tasks: Sequence[tuple[Chunk, Sentence]],
    written: Iterable[tuple[int, Generation]],
    lengths: Lengths,
    languages: Mapping[str, str],
    made: _Made,
) -> list[_Asked]:
    """The inputs: the questions that pass the checks which need no answer."""
    asked = []
    for place, reply in written:
        chunk, sentence = tasks[place]
        question = " ".join(reply.text.strip().split("\n")[0].split()).strip('"“”')
        language = languages.get(chunk.id, "en")
        reason = CUT_OFF if reply.finish == "length" and not question.endswith("?") else ""
        reason = reason or malformed_question(question, language)
        reason = reason or not_self_contained(question, language, " ".join((chunk.context, *chunk.heading)))
        reason = reason or ("" if lengths.fit(question) else QUESTION_LENGTH)
        key = wording(_bare(question, chunk))
        if not reason and key in made.wordings:
            reason = ASKED
        if reason:
            made.rejected[reason] += 1
        else:
            made.wordings.add(key)
            asked.append(_Asked(chunk, sentence.text, question))
    return asked


def _answers(
    asked: Sequence[_Asked],
    turns: Sequence[Prompt],
    retriever: Retriever,
    generator: Generator,
    adapter: str | None,
    max_new_tokens: int,
    made: _Made,
) -> list[str | None]:
    """The outputs, in the prompt that will be served, after worked examples; None where there is none, which is
    counted."""
    contexts = retriever.contexts([one.question for one in asked]) if asked else []
    before_it = tuple(message for turn in turns for message in turn)
    prompts: list[Prompt] = []
    for one, context in zip(asked, contexts, strict=True):
        *before, last = answer_prompt(one.question, context)
        prompts.append((*before, *before_it, last))
    answers: list[str | None] = [None] * len(asked)
    for place, reply in _generated(prompts, generator, max_new_tokens, made.rejected, adapter=adapter):
        read = read_reply(reply.text)
        if reply.finish == "length":
            made.rejected[CUT_OFF] += 1
        elif read.refused or not read.answer:
            made.rejected[REFUSED] += 1
        else:
            answer = read.answer
            answers[place] = answer[:-1] if answer.endswith(".") and "." not in answer[:-1] else answer
    return answers


def _generated(
    prompts: Sequence[Prompt],
    generator: Generator,
    max_new_tokens: int,
    rejected: Counter[str],
    temperature: float = 0.0,
    seed: int = 0,
    adapter: str | None = None,
) -> Iterator[tuple[int, Generation]]:
    fitting = [
        n for n, p in enumerate(prompts) if generator.count_tokens(p) + max_new_tokens <= generator.context_tokens
    ]
    rejected[TOO_LONG] += len(prompts) - len(fitting)
    replies = generator.generate(
        [prompts[n] for n in fitting],
        max_new_tokens=max_new_tokens,
        temperature=temperature,
        seed=seed,
        adapter=adapter,
    )
    return zip(fitting, replies, strict=True)


def _take(asked: _Asked, answer: str, lengths: Lengths, languages: Mapping[str, str], made: _Made) -> None:
    """Keep the pair if it holds, else count why it does not."""
    draft = Draft(asked.question, answer, asked.sentence, question_kind(asked.question, answer))
    language = languages.get(asked.chunk.id, "en")
    reason, evidence = check(draft, asked.chunk, language)
    if not reason and language == "en":
        reason = misfit(asked.question, answer, asked.sentence, asked.chunk.indexed_text)
    if not reason and not lengths.fit(answer):
        reason = ANSWER_LENGTH
    pair = pair_of(draft, evidence, asked.chunk, ORIGIN, {})
    if not reason and any(0 in two for two in shared_facts([pair, *made.known])):
        reason = KEPT_FOR_TESTS
    if reason:
        made.rejected[reason] += 1
    else:
        made.pairs.append(pair)


def _bare(question: str, chunk: Chunk) -> QAPair:
    return QAPair("", question, "", chunk.document, chunk.id, (), "", ORIGIN, "train")
