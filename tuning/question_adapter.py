"""Training of a question adapter: a small model learns from people's pairs to write questions and to answer them.

Two tasks over one passage, so that one adapter writes and checks: *write* (a sentence of the passage → its answer,
then the question) and *read* (a question → the answer in the passage's words, or that it is not there). It is tuned
by the project's own loop; a passage's tasks share one row (``tuning.tokenise``).
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from fieldguide import align
from fieldguide.models.transformers_generator import TransformersGenerator
from fieldguide.prompts import NOT_THERE, question_adapter_hash, read_prompt, write_prompt
from fieldguide.settings import Tuning
from fieldguide.types import Progress
from tuning.examples import Example
from tuning.human_pairs import FILES, HumanPair, read_human_pairs, title_of, train_on_people

_LONGEST_ANSWER, _LONGEST_QUESTION, _SHORTEST_QUESTION = 14, 24, 4
_PRONOUN = re.compile(r"^\W*\w+(?: \w+)? (?:he|she|it|they|this|that|these|those)\b", re.IGNORECASE)
_ABOUT_TEXT = re.compile(r"\b(?:story|section|passage|text|paragraph|beginning|sentence)\b", re.IGNORECASE)


def source_sentence(pair: HumanPair) -> str | None:
    """The sentence of the section that holds the answer word for word, and shares most words with the question.

    None where the pair cannot teach to copy: its answer is in no sentence, or it asks by a pronoun or about the text.
    """
    if not (_SHORTEST_QUESTION <= len(pair.question.split()) <= _LONGEST_QUESTION and pair.question.endswith("?")):
        return None
    if (
        len(pair.answer.split()) > _LONGEST_ANSWER
        or _PRONOUN.search(pair.question)
        or _ABOUT_TEXT.search(pair.question)
    ):
        return None
    answer = pair.answer.strip().rstrip(".")
    if align.find_exact(answer, pair.question):
        return None
    asked = set(align.content_tokens(pair.question))
    found = [pair.section[start:end] for start, end in align.sentences(pair.section)]
    holding = [sentence for sentence in found if align.find_exact(answer, sentence)]
    best = max(holding, key=lambda s: len(asked & set(align.content_tokens(s))), default=None)
    return None if best is None else " ".join(best.split())


def build_tasks(pairs: Sequence[HumanPair], seed: int) -> list[Example]:
    """Examples of both tasks, those of one section in one group; each group also has one question, of another
    section of its story, that the section does not answer."""
    usable = [(pair, sentence) for pair in pairs if (sentence := source_sentence(pair))]
    by_section: dict[tuple[str, str], list[tuple[HumanPair, str]]] = {}
    by_story: dict[str, list[HumanPair]] = {}
    for pair, sentence in usable:
        by_section.setdefault((pair.story, pair.section), []).append((pair, sentence))
        by_story.setdefault(pair.story, []).append(pair)
    draw = random.Random(seed)
    order = sorted(by_section)
    draw.shuffle(order)
    examples: list[Example] = []
    for group, (story, section) in enumerate(order):
        title, text = title_of(story), _plain(section)
        for number, (pair, sentence) in enumerate(by_section[story, section]):
            answer = pair.answer.strip().rstrip(".")
            name = f"{group}.{number}"
            examples.append(
                Example(name, write_prompt(title, text, sentence), f"{answer}\n{pair.question}", "none", group)
            )
            examples.append(Example(name, read_prompt(title, text, pair.question), answer, "none", group))
        if other := _foreign(by_story[story], section, draw):
            examples.append(Example(f"{group}.-", read_prompt(title, text, other.question), NOT_THERE, "none", group))
    return examples


def _foreign(of_story: Iterable[HumanPair], section: str, draw: random.Random) -> HumanPair | None:
    others = [p for p in of_story if p.section != section and not align.find_exact(p.answer.rstrip("."), section)]
    return draw.choice(others) if others else None


def _plain(section: str) -> str:
    """Paragraphs with their line breaks within taken out, as chunks have them."""
    return "\n".join(" ".join(part.split()) for part in re.split(r"\n\s*\n", section))


def train_question_adapter(
    data: Path,
    base: TransformersGenerator,
    settings: Tuning,
    run: Path,
    out: Path,
    progress: Progress,
    stopped: Callable[[], bool] = lambda: False,
    *,
    command: str = "",
) -> dict[str, Any]:
    """Train on ``data``/train.jsonl (held out: val.jsonl), write the adapter in bfloat16 with its manifest to ``out``.

    ``settings.max_examples`` bounds the passages. An interrupted ``run`` goes on from its last checkpoint. The
    manifest names the base by its hash in each dtype, so that it fits the same model on a CPU and on a GPU.
    Raises FieldguideError for data of another layout, KeyboardInterrupt when stopped (after a checkpoint).
    """
    limits = (settings.max_examples, settings.dev_examples)
    sets = [
        _first_groups(build_tasks(read_human_pairs(data / name), settings.seed), limit)
        for name, limit in zip(FILES, limits, strict=True)
    ]
    about = {"kind": "question adapter", "command": command, "prompts": question_adapter_hash()}
    return train_on_people(data, sets, base, settings, run, out, progress, stopped, about)


def _first_groups(examples: list[Example], groups: int) -> list[Example]:
    return [example for example in examples if not groups or example.group < groups]
