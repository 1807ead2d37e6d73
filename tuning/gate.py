"""Whether an adapter may be served, and how strongly: held-out loss and answers, and what the base model has forgotten.

Everything is measured as it will be served: by the generator, with the adapter loaded from its folder.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fieldguide import metrics
from fieldguide.files import write_json
from fieldguide.models.adapters import read_config, rewrites
from fieldguide.models.transformers_generator import TransformersGenerator
from fieldguide.replies import read_reply, room
from fieldguide.settings import Tuning
from fieldguide.stats import mean_interval
from fieldguide.types import Progress
from tuning.distillation import answer_likelihoods
from tuning.examples import Example
from tuning.general import General, GeneralQuestion, forgetting, measure, suite_of
from tuning.loop import ANSWER_TOKENS, LoopResult
from tuning.methods import REWRITES
from tuning.strength import choose_strength, sweep

SCALES = (0.25, 0.5, 0.75, 1.0)
"""Strengths that are tried where the settings leave it open."""
_GENERAL_TOKENS = 32
_SWEEP_SHARE = 0.2
"""Of the minutes, if they are limited, what trying several strengths may take; else the adapter is served at full."""
_SPARE = 1.2


@dataclass(frozen=True, slots=True)
class Weighed:
    """The general suite and the base model's answers to it, before the training; ``tail`` is how many seconds the
    weighing after it will take, by what a sample took; ``sweeps`` whether there is time to try several strengths."""

    suite: tuple[GeneralQuestion, ...]
    before: General | None
    tail: float
    sweeps: bool

    @classmethod
    def begin(
        cls, base: TransformersGenerator, dev: Sequence[Example], settings: Tuning, progress: Progress
    ) -> Weighed:
        """Ask the base model. Raises FieldguideError for a suite that cannot be read."""
        suite = tuple(suite_of(settings))
        before = measure(base, None, suite, _GENERAL_TOKENS, progress) if suite else None
        sweeps = bool(suite and dev) and not settings.strength
        if not settings.minutes:
            return cls(suite, before, 0.0, sweeps)
        likelihood, answer = _paces(base, dev, room(ANSWER_TOKENS, settings.target))
        general = before.seconds if before is not None else 0.0
        tail = general + 2 * len(dev) * answer
        swept = (1 + len(SCALES)) * (len(dev) * likelihood + general / 2)
        sweeps = sweeps and swept < _SWEEP_SHARE * 60 * settings.minutes
        return cls(suite, before, _SPARE * (tail + swept * sweeps), sweeps)


def _paces(base: TransformersGenerator, dev: Sequence[Example], most: int) -> tuple[float, float]:
    """Seconds for the likelihood of a held-out answer, and for writing one of at most ``most`` tokens, by the first
    two; 0 without any."""
    sample = dev[:2]
    if not sample:
        return 0.0, 0.0
    prompts = [example.prompt for example in sample]
    began = time.monotonic()
    answer_likelihoods(base, prompts, [example.completion for example in sample])
    half = time.monotonic()
    base.generate(prompts, max_new_tokens=most)
    return (half - began) / len(sample), (time.monotonic() - half) / len(sample)


def weigh(
    folder: Path,
    base: TransformersGenerator,
    dev: Sequence[Example],
    weighing: Weighed,
    settings: Tuning,
    result: LoopResult,
    progress: Progress,
) -> dict[str, Any]:
    """The rows of a manifest about how the adapter in ``folder`` is served: "strength" with how it was chosen,
    "general", "metrics" of the held-out answers of base and tuned, and whether it "passed".

    It passes if its held-out loss is lower than the base model's and its answers are no worse, or nothing was held
    out.
    """
    if settings.method in REWRITES and rewrites(read_config(folder, rewriting=True)):
        passed = _is_better(result.dev_before, result.dev_after)
        return {"strength": 1.0, "strength_choice": None, "general": None, "metrics": {}, "passed": passed}
    base.unload_adapters()
    choice = None
    strength = settings.strength or 1.0
    if weighing.sweeps:
        choice = choose_strength(sweep(base, folder, dev, weighing.suite, SCALES, progress))
        strength = choice.strength
    write_json(folder / "manifest.json", {"strength": strength})  # for load_adapter; the whole one is written later
    adapter = base.load_adapter(folder)
    general = None
    if weighing.before is not None:
        general = forgetting(weighing.before, measure(base, adapter, weighing.suite, _GENERAL_TOKENS, progress))
    rows = _answers(base, adapter, dev, room(ANSWER_TOKENS, settings.target), progress)
    base.unload_adapters()
    passed = _is_better(result.dev_before, result.dev_after)
    if rows:
        passed = passed and rows["dev_f1_change"]["mean"] >= 0
    return {
        "strength": strength, "strength_choice": choice.row() if choice is not None else None, "general": general,
        "metrics": rows, "passed": passed,
    }  # fmt: skip


def _answers(
    base: TransformersGenerator, adapter: str, dev: Sequence[Example], most: int, progress: Progress
) -> dict[str, dict[str, Any]]:
    """Token F1 and exact match of the held-out answers: base, tuned, and their paired change, with 95% intervals over
    contexts."""
    if not dev:
        return {}
    progress.start("held-out answers", 2 * len(dev))
    wanted = [read_reply(example.completion).answer for example in dev]
    found: dict[str, list[float]] = {}
    for name, on in (("base", None), ("tuned", adapter)):
        made = base.generate([e.prompt for e in dev], max_new_tokens=most, adapter=on)
        said = [read_reply(generation.text).answer for generation in made]
        found[f"dev_f1_{name}"] = list(map(metrics.token_f1, said, wanted))
        found[f"dev_em_{name}"] = list(map(metrics.exact_match, said, wanted))
        progress.advance(len(dev))
    for name in ("f1", "em"):
        both = zip(found[f"dev_{name}_base"], found[f"dev_{name}_tuned"], strict=True)
        found[f"dev_{name}_change"] = [after - before for before, after in both]
    groups = [example.group for example in dev]
    return {name: asdict(mean_interval(values, seed=0, clusters=groups)) for name, values in found.items()}


def _is_better(before: float | None, after: float | None) -> bool:
    """Whether the adapter may be served: its dev loss is lower than the base model's, or nothing was held out."""
    return before is None or after is None or after < before
