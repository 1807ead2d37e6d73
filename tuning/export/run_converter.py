"""The child process in which llama.cpp's convert_hf_to_gguf.py runs: ``run_converter.py SCRIPT PRE MODEL ARGUMENT...``.

Changes two things around that script and nothing in it. PRE, where not "-", is the pre-tokenizer that was read off the
tokenizer itself; the script guesses it from a hash over one text (see ``gguf.pre_tokenizer``). And a model without a
sentencepiece tokenizer needs no sentencepiece, which the script imports before it looks whether there is such a
tokenizer. Imports nothing of Fieldguide.
"""

from __future__ import annotations

import importlib
import runpy
import sys
from pathlib import Path
from typing import Any


def main(script: Path, pre: str, model: Path, arguments: list[str]) -> None:
    """Run the script as ``python SCRIPT ARGUMENT... MODEL`` would."""
    sys.path[:0] = [str(script.parent), str(script.parent / "gguf-py")]
    if (script.parent / "conversion" / "base.py").is_file():  # in older ones all of it is one file
        text_model = importlib.import_module("conversion.base").TextModel
        look_before_sentencepiece(text_model)
        if pre != "-":
            name_pre_tokenizer(text_model, pre)
    sys.argv = [str(script), *arguments, str(model)]
    runpy.run_path(str(script), run_name="__main__")


def name_pre_tokenizer(text_model: Any, pre: str) -> None:
    """Let the converter write ``pre`` without a guess."""
    text_model.get_vocab_base_pre = lambda self, tokenizer: pre


def look_before_sentencepiece(text_model: Any) -> None:
    """Let a missing tokenizer.model be noticed before the library for it is imported."""
    read = text_model._create_vocab_sentencepiece

    def create_vocab(self: Any) -> Any:
        if not (self.dir_model / "tokenizer.model").is_file():
            raise FileNotFoundError(f"File not found: {self.dir_model / 'tokenizer.model'}")
        return read(self)

    text_model._create_vocab_sentencepiece = create_vocab


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), sys.argv[4:])
