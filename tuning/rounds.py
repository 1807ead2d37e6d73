"""Further rounds on what is still answered wrong: LLM2LLM's targeted data (Lee et al. 2024, arXiv 2403.15042).

After a round the tuned model answers its own *training* prompts; of each item that it gets wrong a variant is written,
and it is trained again with them. In the paper a teacher writes new items like the wrong ones; here a variant asks for
the same fact in other words, by rule or by a generator that follows prompts, because a new item would need a new fact
with evidence. ``random_extra`` gives as many variants of items drawn at random: the paper's comparison, without which a
gain may be that of more data.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace

from fieldguide.models.base import Generator
from fieldguide.types import Progress, QAPair, content_hash
from ingest.qa.calls import Calls
from ingest.qa.phrasings import rephrase, rephrase_by
from ingest.qa.same import wording
from tuning.examples import Example
from tuning.own_answers import EXTRA_WORDS, F1, answered, judged

ORIGIN = "variants"
"""The origin of pairs that were made here. They are for training alone and are in no catalogue."""

_WORDINGS = 4
"""Other wordings that are looked at for one that is not taken."""


def still_wrong(
    examples: Sequence[Example],
    generator: Generator,
    adapter: str | None,
    max_new_tokens: int,
    progress: Progress,
    *,
    f1: float = F1,
    extra_words: int = EXTRA_WORDS,
) -> list[Example]:
    """The training examples, in order, that the model with the adapter does not answer as their target does.

    Greedy, in the prompt that is trained. An answer that is cut off is wrong; an example whose prompt leaves no room
    for ``max_new_tokens`` cannot be asked and counts as wrong.
    """
    progress.start("still wrong", len(examples))
    right = {
        number
        for number, made in answered(examples, generator, max_new_tokens, adapter, progress)
        if made.finish == "stop" and judged(examples[number], made.text, f1=f1, extra_words=extra_words)
    }
    return [example for number, example in enumerate(examples) if number not in right]


def variants(
    pairs: Sequence[QAPair],
    wrong: Sequence[Example],
    *,
    known: Iterable[QAPair] = (),
    seed: int,
    writer: Calls | None = None,
) -> list[QAPair]:
    """One more pair for each pair of which an example is wrong: its question in other words, its answer and evidence.

    None is a wording of ``pairs`` or ``known``: pass all pairs of the catalogue there, since "facts seen" are *tested*
    in other words, which the same rules write. Pairs that neither the rules nor ``writer`` (a generator that follows
    prompts; None: rules alone) can reword, and those that lean on another question, get none. For other wordings in a
    further round, pass the variants of the rounds before with ``known``.
    """
    missed = {example.pair for example in wrong}
    taken = {wording(pair) for pair in (*pairs, *known)}
    return list(_reworded([pair for pair in pairs if pair.id in missed], taken, seed, writer))


def random_extra(
    pairs: Sequence[QAPair],
    n: int,
    *,
    known: Iterable[QAPair] = (),
    seed: int,
    writer: Calls | None = None,
) -> list[QAPair]:
    """``n`` variants (fewer where not so many pairs can be reworded) of pairs drawn by seed, wrong or right."""
    drawn = sorted(pairs, key=lambda pair: content_hash("random extra", str(seed), pair.id))
    found: list[QAPair] = []
    taken = {wording(pair) for pair in (*pairs, *known)}
    for variant in _reworded(drawn, taken, seed, writer):
        if len(found) == n:
            break
        found.append(variant)
    return found


def _reworded(pairs: Sequence[QAPair], taken: Collection[str], seed: int, writer: Calls | None) -> Iterator[QAPair]:
    used = set(taken)
    for pair in pairs:
        if pair.after:
            continue
        for question in _wordings(pair, seed, writer):
            made = replace(
                pair, id=content_hash(pair.document, question, pair.answer)[:20], question=question, origin=ORIGIN,
                scores={}, author="", verdict="",
            )  # fmt: skip
            if wording(made) not in used:
                used.add(wording(made))
                yield made
                break


def _wordings(pair: QAPair, seed: int, writer: Calls | None) -> Iterator[str]:
    """Other wordings of a question: first those by rule, then those of the generator, asked only if they are needed."""
    yield from rephrase(pair, _WORDINGS, seed)
    if writer is not None:
        for drafts, _ in rephrase_by(writer, [pair], _WORDINGS, seed):
            yield from (draft.question for draft in drafts)
