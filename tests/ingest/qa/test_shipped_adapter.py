"""The question adapter that comes with the bundled model is what its manifest says, fits, and does its two tasks."""

import json

import pytest

from fieldguide.cli.pairs import ADAPTER
from fieldguide.files import file_hash
from fieldguide.models.adapters import WEIGHTS
from fieldguide.prompts import NOT_THERE, question_adapter_hash, read_prompt, write_prompt

TEXT = "The old miller had three sons. The youngest son found a golden key under the oak tree and hid it."


def test_it_is_what_its_manifest_says():
    manifest = json.loads((ADAPTER / "manifest.json").read_text("utf-8"))
    assert manifest["sha256"] == file_hash(ADAPTER / WEIGHTS)
    assert manifest["prompts"] == question_adapter_hash()  # it is asked with the prompts that it was trained with
    assert (ADAPTER / WEIGHTS).stat().st_size <= 10_000_000
    assert set(manifest["base_hash"]) == {"float32", "bfloat16"}
    assert manifest["command"].startswith("fieldguide qa adapter fairytaleqa ")


@pytest.mark.slow
def test_it_writes_and_reads():
    from fieldguide.models import load_generator

    generator = load_generator("bundled")
    adapter = generator.load_adapter(ADAPTER)
    prompts = [
        read_prompt("The mill", TEXT, "How many sons had the old miller?"),
        read_prompt("The mill", TEXT, "Where did the youngest son find a golden key?"),
        read_prompt("The mill", TEXT, "What colour was the queen's horse?"),
        write_prompt("The mill", TEXT, "The youngest son found a golden key under the oak tree."),
    ]
    number, place, absent, written = generator.generate(prompts, max_new_tokens=40, adapter=adapter)
    assert number.text == "three"
    assert place.text == "under the oak tree"
    assert absent.text == NOT_THERE
    answer, question = written.text.split("\n")
    assert answer in TEXT
    assert question.endswith("?")
    assert written.adapter == adapter
