"""The base model's own answer as the target where it is right: selective self-to-supervised fine-tuning.

S3FT (Gupta et al. 2025, arXiv 2502.08130): the untuned model answers each training prompt; where a judge finds its
answer equivalent to the gold one, the target is the model's own words, which it does not have to be moved to, else the
gold answer. Two things differ: the judge is a rule over words (``is_right``), and gold answers are never paraphrased,
since an answer in the words of its passage can be aligned with it and a paraphrase cannot.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from fieldguide import align
from fieldguide.metrics import containment, normalise_answer, token_f1
from fieldguide.models.base import Generation, Generator
from fieldguide.replies import Style, is_refusal, read_reply, target
from fieldguide.types import Progress
from ingest.qa.names import kept_words
from tuning.examples import Example

F1 = 0.8
"""Token F1 with the gold answer from which another answer counts as right."""

EXTRA_WORDS = 8
"""Most words, beside those of the gold answer, of a longer answer that holds it whole and still counts as right."""

_BATCH = 32


@dataclass(frozen=True, slots=True)
class Counts:
    """What the base model's answers came to: of ``examples`` so many ``right``, of which ``replaced`` in other words
    than the gold answer's; ``cut_off`` at the longest answer, and ``no_room`` for an answer behind the prompt."""

    examples: int = 0
    right: int = 0
    replaced: int = 0
    cut_off: int = 0
    no_room: int = 0


def is_right(said: str, gold: str, question: str = "", *, f1: float = F1, extra_words: int = EXTRA_WORDS) -> bool:
    """Whether an answer says what the gold answer ("" = a refusal) says.

    Its token F1 reaches ``f1``, or it holds the gold answer whole with at most ``extra_words`` more. Either way it
    loses no name, number or negation of the gold answer, and has no other than those of the gold answer and the
    ``question``: "13 minutes" is not "31 minutes", "Chalon or Lyon" is not "Chalon", "not icing" is not "icing".
    """
    if not gold or is_refusal(gold):
        return not said or is_refusal(said)
    if not said or is_refusal(said):
        return False
    words, wanted = (len(normalise_answer(text).split()) for text in (said, gold))
    longer = containment(said, gold) == 1.0 and words - wanted <= extra_words
    if not longer and token_f1(said, gold) < f1:
        return False
    may_have = {*align.tokens(gold), *align.tokens(question), *(["not"] if normalise_answer(gold) == "no" else [])}
    return kept_words(gold) <= set(align.tokens(said)) and kept_words(said) <= may_have


def own_answers(
    examples: Sequence[Example],
    generator: Generator,
    max_new_tokens: int,
    progress: Progress,
    *,
    adapter: str | None = None,
    f1: float = F1,
    extra_words: int = EXTRA_WORDS,
) -> tuple[list[Example], Counts]:
    """The examples, in order, with the base model's greedy answer as target where it is right; and how many were.

    ``adapter`` is one from which the tuning starts: the answers are then the model's with it on.
    The style of a target (marked, reasoned) stays, only the answer in it changes. A refusal keeps its fixed words. An
    answer that was cut off at ``max_new_tokens`` is never taken, nor one over several lines.
    """
    progress.start("own answers", len(examples))
    made: dict[int, Generation] = {}
    for number, generation in answered(examples, generator, max_new_tokens, adapter, progress):
        made[number] = generation
    out: list[Example] = []
    right = replaced = 0
    for number, example in enumerate(examples):
        own = _own(example, made.get(number), f1, extra_words)
        right += own is not None
        if own is not None and own != example.completion:
            replaced += 1
            example = replace(example, completion=own)
        out.append(example)
    cut_off = sum(generation.finish == "length" for generation in made.values())
    return out, Counts(len(examples), right, replaced, cut_off, len(examples) - len(made))


def answered(
    examples: Sequence[Example], generator: Generator, max_new_tokens: int, adapter: str | None, progress: Progress
) -> Iterator[tuple[int, Generation]]:
    """(place, greedy answer) of each example whose prompt leaves room for one, the shortest prompts first."""
    lengths = [generator.count_tokens(example.prompt) for example in examples]
    room = [n for n in range(len(examples)) if lengths[n] + max_new_tokens <= generator.context_tokens]
    progress.advance(len(examples) - len(room))
    room.sort(key=lambda n: lengths[n])
    for start in range(0, len(room), _BATCH):
        part = room[start : start + _BATCH]
        prompts = [examples[n].prompt for n in part]
        yield from zip(part, generator.generate(prompts, max_new_tokens=max_new_tokens, adapter=adapter), strict=True)
        progress.advance(len(part))


def question_of(example: Example) -> str:
    """The last paragraph of the prompt, in which the question stands (prompt files answer_with_passages and
    answer_closed_book)."""
    return example.prompt[-1].content.rsplit("\n\n", 1)[-1]


def judged(example: Example, said: str, *, f1: float = F1, extra_words: int = EXTRA_WORDS) -> bool:
    """Whether a reply to an example, in any style, says what its target says."""
    reply, wanted = read_reply(said), read_reply(example.completion)
    if reply.refused or wanted.refused:
        return reply.refused and wanted.refused
    return is_right(reply.answer, wanted.answer, question_of(example), f1=f1, extra_words=extra_words)


def _own(example: Example, made: Generation | None, f1: float, extra_words: int) -> str | None:
    """The target with the model's own answer in it; None where that is not right."""
    if made is None or made.finish == "length" or not judged(example, made.text, f1=f1, extra_words=extra_words):
        return None
    wanted = read_reply(example.completion)
    if wanted.refused:
        return example.completion
    if "\n" in made.text.strip():
        return None
    style: Style = "reasoned" if wanted.quote else "marked" if wanted.marks else "answer"
    return target(style, read_reply(made.text).answer, wanted.marks[0] if wanted.marks else None, wanted.quote)
