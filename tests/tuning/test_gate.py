import pytest

from fieldguide.types import Silent
from tuning.contexts import Shape, build_examples
from tuning.gate import Weighed, weigh
from tuning.loop import LoopResult


@pytest.fixture
def dev(shelf):
    return build_examples(shelf.catalog.pairs("dev"), [shelf.retriever], shelf.catalog.chunks(), Shape())


def settings(shelf, **changes):
    return shelf.settings.model_copy(update={"general_questions": 2, **changes})


def result(before=2.0, after=1.0):
    return LoopResult([], before, after, 3, 3, 9, 1.0)


def test_without_a_time_limit_strengths_are_tried_and_the_manifest_has_all_of_it(shelf, trained, dev, tmp_path):
    base = shelf.generator()
    chosen = settings(shelf)
    weighing = Weighed.begin(base, dev, chosen, Silent())
    assert (weighing.tail, weighing.sweeps, len(weighing.suite)) == (0.0, True, 2)
    rows = weigh(copy(trained, tmp_path), base, dev, weighing, chosen, result(), Silent())
    assert [point["strength"] for point in rows["strength_choice"]["points"]] == [0.0, 0.25, 0.5, 0.75, 1.0]
    assert rows["strength"] == rows["strength_choice"]["strength"]
    assert {name: row["n"] for name, row in rows["metrics"].items()}["dev_f1_change"] == len(dev)
    assert rows["general"]["change"]["loss"]["n"] == 2
    assert base.loaded == frozenset()


def test_with_too_little_time_the_adapter_is_served_at_full(shelf, trained, dev, tmp_path):
    base, chosen = shelf.generator(), settings(shelf, minutes=0.001)
    weighing = Weighed.begin(base, dev, chosen, Silent())
    assert weighing.tail > 0
    assert not weighing.sweeps
    rows = weigh(copy(trained, tmp_path), base, dev, weighing, chosen, result(), Silent())
    assert (rows["strength"], rows["strength_choice"]) == (1.0, None)


@pytest.mark.parametrize(("after", "passed"), [(1.9, True), (2.0, False), (2.1, False), (None, True)])
def test_a_loss_that_is_not_lower_does_not_pass(shelf, trained, tmp_path, after, passed):
    base, chosen = shelf.generator(), settings(shelf, general_questions=0)
    weighing = Weighed.begin(base, [], chosen, Silent())
    rows = weigh(copy(trained, tmp_path), base, [], weighing, chosen, result(after=after), Silent())
    assert (rows["passed"], rows["general"], rows["metrics"]) == (passed, None, {})


def copy(trained, folder):
    """The trained adapter as the loop leaves it: without a manifest."""
    for name in ("adapter_model.safetensors", "adapter_config.json"):
        (folder / name).write_bytes((trained.report.folder / name).read_bytes())
    return folder
