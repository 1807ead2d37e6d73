"""The best prompt of an arm, chosen on dev questions: a base model that is compared deserves one.

Fair comparison in medical adaptation (arXiv 2411.04118, section 3): much of what tuning seems to gain is gone once
the base model's prompt and worked examples are chosen for it, and not taken over from another model's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from eval.answering import Answering
from eval.arms import Arm, Contexts, answers_of, examples_of
from eval.questions import TestQuestion
from fieldguide.metrics import token_f1
from fieldguide.prompts import WORDINGS
from fieldguide.types import QAPair
from retrieval.retriever import HybridRetriever

EXAMPLES = (2, 4)
TRIED = WORDINGS + len(EXAMPLES)
"""Prompts that are tried of an arm: every wording without examples, then the best of them with examples."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The arm with its prompt chosen, and what was tried: ``rows`` of {wording, examples, token_f1} on dev questions.

    Where two prompts are equally good it is the simpler one, the one as served before all.
    """

    arm: Arm
    rows: Sequence[dict[str, Any]]
    n: int

    @property
    def words(self) -> str:
        """What was chosen, and against what, in a sentence."""
        served, best = self.rows[0], max(self.rows, key=lambda row: row["token_f1"])
        how = "as it is served" if best is served else (
            f"in wording {best['wording']} with {best['examples'] or 'no'} worked examples"
        )  # fmt: skip
        asked = f"{self.n} dev question{'' if self.n == 1 else 's'}"
        return (
            f"The arm {self.arm.name} is asked {how}: the best of {len(self.rows)} prompts on {asked} "
            f"(token F1 {100 * best['token_f1']:.1f}; as served {100 * served['token_f1']:.1f})."
        )


def choose_prompt(
    arm: Arm, dev: Sequence[TestQuestion], pairs: Sequence[QAPair], retriever: HybridRetriever, answering: Answering,
    done: Callable[[int], None],
) -> Choice:  # fmt: skip
    """Try the arm's prompts on these dev questions; ``done`` is told of every answer. Raises ValueError without any."""
    if not dev:
        raise ValueError("a best prompt needs dev questions")
    contexts = Contexts(dev, retriever).of(arm)
    rows: list[dict[str, Any]] = []

    def tried(one: Arm) -> None:
        examples, _ = examples_of(one, pairs, retriever, dev, contexts, answering.generator, answering.settings)
        given, _ = answers_of(one, dev, contexts, answering, examples, done)
        f1 = sum(token_f1(answer["text"], q.answers) for q, answer in zip(dev, given, strict=True)) / len(dev)
        rows.append({"wording": one.wording, "examples": len(examples) // 2, "token_f1": f1})

    plain = replace(arm, examples=0, best=False)
    for wording in range(1, WORDINGS + 1):
        tried(replace(plain, wording=wording))
    wording = max(rows, key=lambda row: row["token_f1"])["wording"]
    for count in EXAMPLES:
        tried(replace(plain, wording=wording, examples=count))
    best = max(rows, key=lambda row: row["token_f1"])
    return Choice(replace(plain, wording=best["wording"], examples=best["examples"]), rows, len(dev))
