"""Preference tuning on a tiny model: likelihoods move as they should, bad lines are told, a stopped run goes on."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fieldguide.catalog import Artefact
from fieldguide.errors import FieldguideError, NotReady
from fieldguide.files import file_hash
from fieldguide.models.transformers_generator import TransformersGenerator
from fieldguide.prompts import answer_prompt
from fieldguide.settings import Tuning
from fieldguide.types import Document, Silent
from tuning.preference import measured, passed, prefer
from tuning.preference_loop import Likelihoods, PreferenceResult, PreferenceTuning, likelihoods
from tuning.preference_pairs import (
    Fault,
    Preference,
    PreferenceIds,
    given,
    in_prompts,
    read_preferences,
    reasons,
    split_held_out,
)

NAMES = ("heron", "ibis", "stork")
SETTINGS = PreferenceTuning(learning_rate=0.01, epochs=3.0, save_steps=2, beta=0.1)


def preferences() -> list[tuple[int, Preference]]:
    """Short answers are chosen, long-winded ones rejected: what is learned carries over to the questions held out."""
    asked = [(name, what) for name in NAMES for what in ("wing", "mass")]
    return [
        (n, Preference(f"What is the {name} {what}?", f"{n} feet", "i would say that i do not know"))
        for n, (name, what) in enumerate(asked, 1)
    ]


def run(shelf: Any, base: Any, stopped: Callable[[], bool] = lambda: False, pairs: Any = None) -> Any:
    settings = Tuning(rank=4, alpha=8)
    return prefer(
        shelf.catalog, shelf.retriever, base, pairs or preferences(), settings, SETTINGS,
        shelf.workspace.adapters_folder, shelf.workspace.runs_folder, lambda: shelf.workspace.new_run("prefer"),
        Silent(), stopped,
    )  # fmt: skip


def test_chosen_rises_against_rejected_and_a_second_tuning_starts_from_the_first(
    shelf: Any, read_weights: Callable[[Path], dict[str, Any]]
) -> None:
    base = shelf.generator()
    before = base.base_hash()
    report = run(shelf, base)
    m, figures = report.manifest, report.manifest["preference"]
    assert (m["method"], m["start"], m["examples"], m["dev_examples"]) == ("dpo", None, 5, 1)
    assert figures["after"]["margin"] > figures["before"]["margin"] + 1
    assert figures["after"]["reward_accuracy"] == 1.0
    assert figures["before"]["reward_accuracy"] == 0.5
    assert m["loss"][-1] < m["loss"][0]
    assert len(m["loss"]) == m["steps"] == 8
    assert report.active == m["passed"] == (figures["after"]["chosen"] >= figures["before"]["chosen"])
    assert base.base_hash() == before == m["base_hash"]
    assert m["sha256"] == file_hash(report.folder / "adapter_model.safetensors")
    assert json.loads((report.folder / "manifest.json").read_text("utf-8"))["training_set"] == m["training_set"]
    adapter = base.load_adapter(report.folder)  # and it is served as it was measured
    (pair,) = split_held_out(in_prompts(preferences(), shelf.retriever, base, 1024)[0], 0.2, 0)[1]
    with base.using(adapter) as model:
        served = likelihoods(model, [pair], Silent())
    assert served.chosen[0] == pytest.approx(figures["after"]["chosen"], abs=0.3)  # trained in bfloat16
    base.unload_adapters()

    shelf.catalog.activate([("adapter", report.adapter)])
    second = run(shelf, base)
    assert second.manifest["start"] == report.adapter
    assert second.manifest["preference"]["before"]["chosen"] == pytest.approx(figures["after"]["chosen"], abs=0.05)
    assert read_weights(second.folder).keys() == read_weights(report.folder).keys()


def test_a_stopped_run_goes_on_and_comes_to_the_same(
    shelf: Any, stop_after: Any, read_weights: Callable[[Path], dict[str, Any]], tmp_path: Path
) -> None:
    base = shelf.generator()
    with pytest.raises(KeyboardInterrupt):
        run(shelf, base, stop_after(3))
    assert shelf.catalog.artefacts("adapter") == []
    resumed = run(shelf, base)
    assert len(list(shelf.workspace.runs_folder.glob("*-prefer*"))) == 1
    assert len(resumed.manifest["loss"]) == 8
    straight = _straight(shelf, base)
    assert resumed.manifest["loss"] == pytest.approx(straight.manifest["loss"], rel=0.01)
    kept, other = read_weights(resumed.folder), read_weights(straight.folder)
    assert all((kept[name] - other[name]).abs().max() < 1e-3 for name in kept)


def _straight(shelf: Any, base: TransformersGenerator) -> Any:
    """The same training, undisturbed: as if nothing had been tuned yet."""

    class Forgetful:
        def artefacts(self, kind: str) -> list[Artefact]:
            return []

        def active(self, kind: str) -> None:
            return None

        def add_artefact(self, *args: Any, **kwargs: Any) -> None:
            return None

    return prefer(
        Forgetful(), shelf.retriever, base, preferences(), Tuning(rank=4, alpha=8), SETTINGS,  # type: ignore[arg-type]
        shelf.workspace.adapters_folder.with_name("others"), shelf.workspace.runs_folder,
        lambda: shelf.workspace.new_run("prefer"), Silent(),
    )  # fmt: skip


def test_bad_lines_are_told_with_number_and_reason(tmp_path: Path) -> None:
    good = {"question": "Why?", "chosen": "ice", "rejected": "fire", "document": "a.pdf", "context": "Ice it was."}
    lines = [
        json.dumps(good),
        "",
        "not json",
        '["a"]',
        json.dumps({"question": "Why?", "chosen": "ice"}),
        json.dumps({**good, "rejected": " ICE "}),
        json.dumps({**good, "document": "b.pdf"}),
        json.dumps({**good, "context": [1]}),
        json.dumps({**good, "question": "What  was tested?"}),
        json.dumps(good),
        json.dumps({**good, "document": "", "context": ["one", "two"]}),
    ]
    path = tmp_path / "pairs.jsonl"
    path.write_text("\n".join(lines), "utf-8")
    found, faults = read_preferences(path, [Document("x", "/shelf/a.pdf", "A")], ["what was tested?"])
    assert found == [
        (1, Preference("Why?", "ice", "fire", "a.pdf", ("Ice it was.",))),
        (11, Preference("Why?", "ice", "fire", "", ("one", "two"))),
    ]
    assert faults == [
        Fault(3, "it is not JSON"),
        Fault(4, "it is not a JSON object"),
        Fault(5, 'it has no text under "rejected"'),
        Fault(6, "both answers are the same"),
        Fault(7, "its document is not on the shelf"),
        Fault(8, 'its "context" is neither a text nor a list of texts'),
        Fault(9, "its question is one of the test questions"),
        Fault(10, "it stands in the file already"),
    ]
    assert reasons([*faults, Fault(12, "it is not JSON")])["it is not JSON"] == 2
    with pytest.raises(FieldguideError, match="cannot be read"):
        read_preferences(tmp_path, [])


def test_prompts_are_those_that_are_served_and_nothing_is_cut(shelf: Any, tiny: TransformersGenerator) -> None:
    pairs = [
        (1, Preference("How long is the heron wing?", "11 feet", "no")),
        (2, Preference("How long is it?", "11 feet", "no", context=("It is 11 feet.",))),
        (3, Preference("How long is it?", "feet " * 1200, "no")),
    ]
    made, faults = in_prompts(pairs, shelf.retriever, tiny, tiny.context_tokens)
    assert faults == [Fault(3, "with its passages it is longer than the model reads")]
    (context,) = shelf.retriever.contexts(["How long is the heron wing?"])
    assert made[0].prompt_ids == tiny.render(answer_prompt("How long is the heron wing?", context))
    assert made[1].prompt_ids == tiny.render(answer_prompt("How long is it?", given(["It is 11 feet."])))
    assert made[0].chosen_ids == tiny.completion_ids("11 feet")


def test_questions_are_held_out_whole() -> None:
    pairs = [PreferenceIds(f"question {n % 6}", [1], [2], [n]) for n in range(18)]
    train, held = split_held_out(pairs, 0.3, seed=1)
    assert len(held) == 6
    assert len(train) == 12
    assert {pair.question for pair in train}.isdisjoint(pair.question for pair in held)
    assert split_held_out(pairs[:4], 0.5, seed=1) == (pairs[:4], [])


def test_figures_and_gate() -> None:
    before = Likelihoods([-4.0, -2.0, -3.0], [-3.0, -3.0, -3.0])
    after = Likelihoods([-2.0, -2.0, -3.0], [-5.0, -1.0, -3.0])
    figures = measured(PreferenceResult([], before, after, 1))
    assert figures["after"]["reward_accuracy"] == pytest.approx((1 + 0 + 0.5) / 3)
    assert figures["before"] == {
        "reward_accuracy": 0.5, "prefers": pytest.approx(1 / 3), "margin": 0.0, "chosen": -3.0, "rejected": -3.0,
    }  # fmt: skip
    assert figures["after"]["margin"] == pytest.approx((3 - 1 + 0) / 3)
    assert not passed(figures)
    assert passed(measured(PreferenceResult([], before, Likelihoods([-2.0, -1.0, -3.0], [-5.0, -3.0, -3.0]), 1)))
    assert not passed(measured(PreferenceResult([], before, Likelihoods([-9.0] * 3, [-19.0] * 3), 1)))
    assert not passed(measured(PreferenceResult([], Likelihoods([], []), Likelihoods([], []), 1)))


def test_nothing_to_train_on_is_an_error(shelf: Any, tiny: TransformersGenerator) -> None:
    with pytest.raises(NotReady, match="None of the preferences"):
        run(shelf, tiny, pairs=[(1, Preference("Why?", "long " * 1200, "no"))])
