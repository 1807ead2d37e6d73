"""A generator over CTranslate2: a merged model in a format of its own, fast on a CPU. It takes no adapters.

The folder is what ``tuning.export`` writes: CTranslate2's model.bin, config.json and vocabulary.json, and beside them
``tokenizer/`` with the tokenizer, chat template, configuration and generation configuration of the model it was made
from. Knows nothing of how such a folder is made.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Literal

from fieldguide.errors import ModelError
from fieldguide.files import file_hash
from fieldguide.models.base import Generation, Prompt
from fieldguide.models.chat import Chat
from fieldguide.models.decoding import SeededDraw, batches, cut_at, decode, draw_seeds
from fieldguide.models.streaming import Pieces
from fieldguide.models.weights import quiet
from fieldguide.processor import usable_cores
from fieldguide.types import content_hash

TOKENIZER = "tokenizer"
_FILES = ("model.bin", "config.json", "vocabulary.json")
_TYPES = {"auto": "default", "float32": "float32", "bfloat16": "bfloat16", "float16": "float16"}
Made = tuple[list[int], float | None]
"""New ids, and their mean log-likelihood where it is known."""

_SLACK = 16
"""Most tokens by which the prompts of a batch may differ: CTranslate2 reads at once only as much of each prompt as the
shortest has, and the rest token by token."""


class CTranslate2Generator:
    """A merged model. Greedy in batches; at a temperature over 0 each token reads its whole prompt anew, slowly."""

    def __init__(
        self, folder: Path, *, name: str, device: str = "auto", dtype: str = "auto", batch_tokens: int = 4096
    ) -> None:
        """``dtype``: "auto" computes in the type in which the weights are stored, where the processor has it (int8 with
        float32 between; stored bfloat16 becomes float32 on a CPU).

        Raises ModelError if the model or CTranslate2 cannot be loaded, ValueError for an unknown dtype.
        """
        if batch_tokens < 1:
            raise ValueError(f"batch_tokens must be at least 1, not {batch_tokens}")
        if dtype not in _TYPES:
            raise ValueError(f'dtype must be "auto", "float32", "bfloat16" or "float16", not {dtype!r}')
        self.batch_tokens = batch_tokens
        self.on_batch: Callable[[int], None] | None = None
        """Called after each batch with the number of prompts that it finished."""
        self.tokenizer, described = _read(folder)
        self.model = _load(folder, device, _TYPES[dtype])
        self.chat = Chat(self.tokenizer)
        self._context_tokens = int(described.get("text_config", described).get("max_position_embeddings", 2048))
        self._vocabulary: list[str] = json.loads((folder / "vocabulary.json").read_text("utf-8"))
        self._end_ids = self._ends(folder)
        self._hash = content_hash(*(file_hash(folder / file) for file in _FILES), str(self.model.compute_type))
        self._id = f"{name}:{self._hash[:16]}"

    def _ends(self, folder: Path) -> tuple[int, ...]:
        """The ids that end a turn, as ``TransformersGenerator`` has them."""
        path = folder / TOKENIZER / "generation_config.json"
        theirs = json.loads(path.read_text("utf-8")).get("eos_token_id") if path.exists() else None
        ends = set(theirs) if isinstance(theirs, list) else {theirs}
        ends |= {self.tokenizer.eos_token_id, self.chat.end_id}
        return tuple(sorted(int(end) for end in ends if end is not None))

    @property
    def id(self) -> str:
        return self._id

    @property
    def context_tokens(self) -> int:
        return self._context_tokens

    def count_tokens(self, prompt: Prompt) -> int:
        return len(self.chat.render(prompt))

    def load_adapter(self, folder: Path) -> str:
        """Raises ModelError: what was tuned is in the weights already."""
        raise ModelError(
            f"{self._id} is a merged model and takes no adapter ({folder.name}): put none in use "
            "(`fieldguide adapters use base`), or set models.generator to the model that the adapter belongs to."
        )

    def base_hash(self) -> str:
        """SHA-256 over the model's files as they were loaded, and the type it computes in: CTranslate2 neither shows
        nor changes the weights that it holds in memory."""
        return self._hash

    def generate(
        self,
        prompts: Sequence[Prompt],
        *,
        max_new_tokens: int,
        stop: Sequence[str] = (),
        temperature: float = 0.0,
        seed: int = 0,
        adapter: str | None = None,
    ) -> list[Generation]:
        """See ``Generator.generate``. ``completion_tokens`` does not count the end token.

        Raises ModelError for any adapter, and for a prompt over the limit before anything is generated.
        """
        if max_new_tokens < 1 or temperature < 0 or not all(stop) or isinstance(stop, str):
            raise ValueError("max_new_tokens must be at least 1, temperature at least 0, stop non-empty strings")
        if adapter is not None:
            raise ModelError(f"The adapter {adapter[:16]} is not loaded.")
        rows = self.chat.rows(prompts, max_new_tokens, self._context_tokens)
        found: dict[int, Generation] = {}
        seeds = draw_seeds(rows, seed) if temperature > 0 else []
        for group in even_batches([len(ids) for ids in rows], self.batch_tokens, _SLACK):
            here = [rows[i] for i in group]
            made: list[Made]
            if temperature > 0:
                made = [
                    (self._draw(rows[i], max_new_tokens, tuple(stop), SeededDraw([seeds[i]], temperature)), None)
                    for i in group
                ]
            else:
                made = self._greedy(here, max_new_tokens, tuple(stop))
            for i, (new, likelihood) in zip(group, made, strict=True):
                found[i] = self._finish(len(rows[i]), new, tuple(stop), likelihood)
            if self.on_batch is not None:
                self.on_batch(len(group))
        return [found[i] for i in range(len(rows))]

    def stream(
        self, prompt: Prompt, *, max_new_tokens: int, write: Callable[[str], None], adapter: str | None = None
    ) -> Generation:
        """See ``Streaming.stream``; errors as of ``generate``."""
        if max_new_tokens < 1:
            raise ValueError("max_new_tokens must be at least 1")
        if adapter is not None:
            raise ModelError(f"The adapter {adapter[:16]} is not loaded.")
        [ids] = self.chat.rows([prompt], max_new_tokens, self._context_tokens)
        pieces = Pieces(self.tokenizer, write)
        ended: list[int] = []
        likely: list[float] = []
        steps = self.model.generate_tokens(
            [self._vocabulary[i] for i in ids], max_length=max_new_tokens, end_token=list(self._end_ids) or None,
            return_log_prob=True,
        )  # fmt: skip
        with closing(steps):  # whatever ``write`` raises, the decoding that runs beside is ended
            for step in steps:
                likely.append(float(step.log_prob))
                if step.token_id in self._end_ids:
                    ended.append(step.token_id)
                    break
                pieces.add(step.token_id)
        pieces.end()
        return self._finish(len(ids), pieces.ids + ended, (), sum(likely) / len(likely) if likely else None)

    def _greedy(self, rows: list[list[int]], limit: int, stop: tuple[str, ...]) -> list[tuple[list[int], float | None]]:
        """The new ids of each row, up to its end token, its first stop string, or the limit, and their mean
        log-likelihood (of all that was generated)."""
        so_far: list[list[int]] = [[] for _ in rows]
        cut: dict[int, int] = {}

        def ended(step: Any) -> bool:
            so_far[step.batch_id].append(step.token_id)
            if self._stops(so_far[step.batch_id], stop):
                cut[step.batch_id] = len(so_far[step.batch_id])
            return step.batch_id in cut

        results = self._call(rows, limit, callback=ended if stop else None, return_scores=True)
        made = [(list(result.sequences_ids[0]), float(result.scores[0])) for result in results]
        return [(new[: cut.get(i)], likelihood) for i, (new, likelihood) in enumerate(made)]

    def _stops(self, new: list[int], stop: tuple[str, ...]) -> bool:
        """Whether a stop string stands in the end of what was generated."""
        # A character takes at most four byte tokens; the stop string's last token may carry more behind it.
        window = 4 * max((len(mark) for mark in stop), default=0) + 8
        return bool(stop) and any(mark in decode(self.tokenizer, new[-window:]) for mark in stop)

    def _draw(self, row: list[int], limit: int, stop: tuple[str, ...], draw: SeededDraw) -> list[int]:
        """As ``_greedy`` for one row, each token drawn: CTranslate2's own draws have one seed for a whole process."""
        import numpy as np
        import torch

        new: list[int] = []
        while len(new) < limit:
            result = self._call([row + new], 1, return_logits_vocab=True)[0]
            scores = torch.from_numpy(np.array(result.logits[0][0], dtype=np.float32).reshape(1, -1))
            new.append(int(draw(None, scores).argmax()))
            if new[-1] in self._end_ids or self._stops(new, stop):
                break
        return new

    def _call(self, rows: list[list[int]], limit: int, **more: Any) -> Any:
        return self.model.generate_batch(
            [[self._vocabulary[i] for i in row] for row in rows],
            max_length=limit,
            include_prompt_in_result=False,
            end_token=list(self._end_ids) or None,
            return_end_token=True,
            **more,
        )

    def _finish(
        self, prompt_tokens: int, new: list[int], stop: tuple[str, ...], likelihood: float | None
    ) -> Generation:
        end = next((i for i, token in enumerate(new) if token in self._end_ids), None)
        text, stopped = cut_at(decode(self.tokenizer, new[:end]), stop)
        finish: Literal["stop", "length"] = "stop" if stopped or end is not None else "length"
        return Generation(text, prompt_tokens, len(new[:end]), finish, None, likelihood=likelihood)


def find(name: str, offline: Path | None) -> Path:
    """The folder of this path, as it is or within the ``offline`` folder of weights. Raises ModelError."""
    path = Path(name).expanduser()
    candidates = [path] if offline is None else [path, offline / name, offline / path.name]
    for candidate in candidates:
        if (candidate / _FILES[0]).is_file():
            return candidate
    raise ModelError(
        f"There is no CTranslate2 model at {path}: check the path, or make one with `fieldguide export --format ct2`."
    )


def even_batches(lengths: Sequence[int], batch_tokens: int, slack: int) -> list[list[int]]:
    """``decoding.batches``, cut further so that no two lengths of a batch differ by more than ``slack``."""
    groups: list[list[int]] = []
    for group in batches(lengths, batch_tokens):
        groups.append([])
        for index in group:  # longest first
            if groups[-1] and lengths[groups[-1][0]] - lengths[index] > slack:
                groups.append([])
            groups[-1].append(index)
    return groups


def _read(folder: Path) -> tuple[Any, dict[str, Any]]:
    """The tokenizer, and the configuration of the model that the folder was made from. Raises ModelError."""
    from transformers import AutoTokenizer

    place = folder / TOKENIZER
    missing = [name for name in (*_FILES, f"{TOKENIZER}/config.json") if not (folder / name).is_file()]
    if missing:
        raise ModelError(
            f"{folder} is no CTranslate2 model of Fieldguide's ({missing[0]} is missing): make one with "
            "`fieldguide export --format ct2`."
        )
    try:
        with quiet():
            tokenizer = AutoTokenizer.from_pretrained(str(place), trust_remote_code=False, local_files_only=True)
        described = dict(json.loads((place / "config.json").read_text("utf-8")))
    except Exception as error:  # transformers raises many kinds for a folder that is no tokenizer
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ModelError(f"The tokenizer in {place} cannot be loaded: {reason}") from error
    return tokenizer, described


def _load(folder: Path, device: str, compute_type: str) -> Any:
    try:
        import ctranslate2
    except ImportError as error:
        raise ModelError(
            f"The model in {folder} needs CTranslate2, which is not installed: pip install 'fieldguide[cpu-fast]'."
        ) from error
    if device in ("auto", "mps"):
        device = "cuda" if ctranslate2.get_cuda_device_count() else "cpu"
    kind, _, number = device.partition(":")
    threads = 0 if "OMP_NUM_THREADS" in os.environ else usable_cores()  # 0: CTranslate2 asks that variable
    try:
        return ctranslate2.Generator(
            str(folder), device=kind, device_index=int(number or 0), compute_type=compute_type,
            inter_threads=1, intra_threads=threads,
        )  # fmt: skip
    except (RuntimeError, ValueError, MemoryError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ModelError(f"The CTranslate2 model in {folder} cannot be loaded: {reason}") from error
