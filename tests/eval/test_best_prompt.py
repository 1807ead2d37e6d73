"""A prompt chosen on dev questions, by a model that answers rightly in one wording and with examples only."""

from __future__ import annotations

from typing import Any

import pytest

from eval.answering import Answering
from eval.arms import Arm
from eval.best_prompt import TRIED, choose_prompt
from eval.compare import compare
from eval.questions import TestQuestion
from fieldguide.models.hashing import HashingEmbedder
from fieldguide.models.scripted import ScriptedGenerator
from fieldguide.prompts import answer_prompt_hash, load
from fieldguide.settings import Answer, load_settings
from fieldguide.types import Evidence, QAPair, Silent, Span

DEV = [TestQuestion("ibis", "How long is the ibis wing?", ("31 feet",), "ibis", (1,), "fact")]
TEST = [TestQuestion("stork", "How long is the stork wing?", ("57 feet",), "stork", (1,), "fact")]
ANSWERS = {"heron": "12 feet", "ibis": "31 feet", "stork": "57 feet"}


def pair(name: str, split: str) -> QAPair:
    text = f"The {name} wing is {ANSWERS[name]}."
    evidence = (Evidence(name, (Span(1, 0, len(text)),), text),)
    question = f"How long is the {name} wing?"
    return QAPair(f"p-{name}", question, ANSWERS[name], name, f"{name}-1", evidence, "fact", "written", split)


def reply(prompt: Any, adapter: Any) -> str:
    if prompt[0].content != load("answer_system_3") or len(prompt) < 4:
        return "a wing"
    return ANSWERS[next(name for name in ANSWERS if name in prompt[-1].content.rsplit("\n", 1)[-1])]


def test_wording_and_examples_are_chosen_one_after_the_other(catalog: Any, retriever: Any) -> None:
    def better(prompt: Any, adapter: Any) -> str:
        return "about 31 feet" if prompt[0].content == load("answer_system_3") else reply(prompt, adapter)

    generator = ScriptedGenerator(better)
    answering = Answering(catalog, generator, None, Answer(), {}, "index", "base")
    done: list[int] = []
    arm = Arm("best", True, None, best=True)
    found = choose_prompt(arm, DEV, [pair("heron", "train")], retriever, answering, done.append)
    assert [(row["wording"], row["examples"]) for row in found.rows] == [(1, 0), (2, 0), (3, 0), (4, 0), (3, 1), (3, 1)]
    assert found.arm == Arm("best", True, None, wording=3)
    assert sum(done) == TRIED
    assert found.words == (
        "The arm best is asked in wording 3 with no worked examples: the best of 6 prompts on 1 dev question "
        "(token F1 80.0; as served 0.0)."
    )
    with pytest.raises(ValueError, match="dev questions"):
        choose_prompt(arm, [], [], retriever, answering, done.append)


@pytest.mark.parametrize("dev", [True, False])
def test_the_arm_is_asked_with_what_was_chosen_and_the_report_says_so(catalog: Any, retriever: Any, dev: bool) -> None:
    variants = [{"name": "base+RAG, best prompt", "tuned": False, "prompt": "best"}]
    settings = load_settings(None, {"compare": {"samples": 200, "variants": variants, "two_paths": []}})
    catalog.store_pairs("heron-1", "written", [pair("heron", "train")], [])
    if dev:
        catalog.store_pairs("ibis-1", "written", [pair("ibis", "dev")], [])
    generator = ScriptedGenerator(lambda prompt, adapter: "31 feet" if "ibis" in prompt[-1].content else "57 feet")
    report = compare(
        TEST, source="by hand", catalog=catalog, retriever=retriever, generator=generator, adapter=None,
        settings=settings, embedder=HashingEmbedder(), progress=Silent(),
    )  # fmt: skip
    traces = {name: answer["trace"]["prompt"] for name, answer in report["items"][0]["answers"].items()}
    assert traces["base+RAG"] == answer_prompt_hash()
    assert traces["base+RAG, best prompt"] == answer_prompt_hash()  # every prompt is right on dev: the one as served
    assert len(report["prompts"].get("base+RAG, best prompt", [])) == (TRIED if dev else 0)
    assert report["notes"] == [
        "The arm base+RAG, best prompt is asked as it is served: the best of 6 prompts on 1 dev question (token F1 "
        "100.0; as served 100.0)."
        if dev
        else "A best prompt is chosen on dev pairs, and there are none: those arms are as served."
    ]
