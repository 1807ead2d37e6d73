import json

import pytest

from fieldguide.errors import ModelError
from tuning.together import OUTPUT, RESULT


@pytest.mark.slow
def test_two_processes_train_one_adapter_that_is_registered_and_served(shelf, trained, saying):
    report = shelf.tune(shelf.generator(), processes=2, batch_size=2, dropout=0.0)
    m = report.manifest
    assert m["dev_loss_base"] == pytest.approx(trained.report.manifest["dev_loss_base"], rel=1e-2)
    assert m["dev_loss_tuned"] < m["dev_loss_base"] - 0.5
    assert m["steps"] == len(m["loss"]) == m["planned_steps"]
    assert (report.active, m["dev_f1_tuned"]) == (True, None)  # answers are not looked at there
    base = shelf.generator()
    tuned = saying(base, trained.prompts, base.load_adapter(report.folder))
    assert tuned != trained.said_before
    assert json.loads((report.run / RESULT).read_text())["steps"] == m["steps"]


@pytest.mark.slow
def test_a_process_that_fails_is_one_sentence_that_names_its_output(shelf):
    base = shelf.generator()
    base.path = base.path / "not-there"
    with pytest.raises(ModelError, match=rf"^One of the 2 processes that train ended with code \d+: see .*{OUTPUT}\.$"):
        shelf.tune(base, processes=2)
    assert shelf.catalog.artefacts("adapter") == []
