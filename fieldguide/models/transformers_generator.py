"""A generator over transformers, with LoRA adapters that peft switches per call: one base in memory for all arms."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from fieldguide.errors import IntegrityError, ModelError
from fieldguide.files import file_hash
from fieldguide.models import adapters
from fieldguide.models.adapter_strength import (
    adapter_id,
    apply_strength,
    check_scalable,
    checked_strength,
    read_strength,
    scalings,
)
from fieldguide.models.base import Generation, Prompt
from fieldguide.models.chat import Chat
from fieldguide.models.decoding import Likelihoods, SeededDraw, Stopper, batches, cut_at, decode, draw_seeds
from fieldguide.models.streaming import Pieces, PrefixCache, greedy, stamp
from fieldguide.models.weights import pick_device, quiet


class TransformersGenerator:
    """Base model from a folder of safetensors or one .gguf file. Calls from several threads take turns.

    ``model``, ``tokenizer`` and ``dtype`` are for tuning, which wraps the model with peft itself: call
    ``unload_adapters`` before and leave the model bare afterwards.
    """

    def __init__(
        self, path: Path, *, name: str, device: str = "auto", dtype: str = "auto", batch_tokens: int = 4096
    ) -> None:
        """Raises ModelError if the model cannot be loaded, ValueError for an unknown dtype."""
        if batch_tokens < 1:
            raise ValueError(f"batch_tokens must be at least 1, not {batch_tokens}")
        self.path = path
        self.device = pick_device(device)
        self.dtype = _dtype(dtype, self.device)
        self.model, self.tokenizer = _load(path, name, self.device, self.dtype)
        self.chat = Chat(self.tokenizer)
        self.batch_tokens = batch_tokens
        self.on_batch: Callable[[int], None] | None = None
        """Called after each batch with the number of prompts that it finished."""
        self._peft: Any = None
        self._adapters: dict[str, dict[str, Any]] = {}
        self._scalings: dict[str, dict[str, float]] = {}
        self._lock = threading.RLock()
        self._prefix = PrefixCache()
        self._end_ids = self._configure()
        config = self.model.config.get_text_config()
        self._context_tokens = int(getattr(config, "max_position_embeddings", 2048))
        self._base_at_load = self.base_hash()
        self._id = f"{name}:{self._base_at_load[:16]}"

    def _configure(self) -> tuple[int, ...]:
        """Drop the model's own sampling settings (ours are greedy and seeded); returns the ids that end a turn."""
        from transformers import GenerationConfig

        theirs = getattr(self.model.generation_config, "eos_token_id", None)
        ends = set(theirs) if isinstance(theirs, list | tuple) else {theirs}
        ends |= {self.tokenizer.eos_token_id, self.chat.end_id}
        found = tuple(sorted(int(end) for end in ends if end is not None))
        pad = self.tokenizer.pad_token_id
        self._pad_id = int(pad if pad is not None else (found[0] if found else 0))
        settings: Any = GenerationConfig
        self.model.generation_config = settings(
            eos_token_id=list(found) or None, pad_token_id=self._pad_id, bos_token_id=self.tokenizer.bos_token_id
        )
        return found

    @property
    def id(self) -> str:
        return self._id

    @property
    def context_tokens(self) -> int:
        return self._context_tokens

    @property
    def loaded(self) -> frozenset[str]:
        """Ids of the adapters that are loaded."""
        return frozenset(self._adapters)

    def render(self, prompt: Prompt) -> list[int]:
        """Token ids of the prompt up to where the answer begins; the same for serving and for training."""
        return self.chat.render(prompt)

    def completion_ids(self, text: str) -> list[int]:
        """Token ids of an answer and its end of turn, as the model should produce them after ``render``."""
        return self.chat.completion_ids(text)

    def count_tokens(self, prompt: Prompt) -> int:
        return len(self.chat.render(prompt))

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

        At a temperature over 0 equal prompts of one call get different draws; the batch plays no part.
        Raises ModelError for an unknown adapter or a prompt over the limit (before anything is generated), and
        IntegrityError if the adapter that is on in the weights is not the one asked for.
        """
        if max_new_tokens < 1 or temperature < 0 or not all(stop) or isinstance(stop, str):
            raise ValueError("max_new_tokens must be at least 1, temperature at least 0, stop non-empty strings")
        self._check_loaded(adapter)
        rows = self.chat.rows(prompts, max_new_tokens, self._context_tokens)
        seeds = draw_seeds(rows, seed) if temperature > 0 else []
        found: dict[int, Generation] = {}
        with self.using(adapter):
            for group in batches([len(ids) for ids in rows], self.batch_tokens):
                draw = SeededDraw([seeds[i] for i in group], temperature) if temperature > 0 else None
                made = self._batch([rows[i] for i in group], max_new_tokens, tuple(stop), draw, adapter)
                found.update(zip(group, made, strict=True))
                if self.on_batch is not None:
                    self.on_batch(len(group))
        return [found[i] for i in range(len(rows))]

    def stream(
        self, prompt: Prompt, *, max_new_tokens: int, write: Callable[[str], None], adapter: str | None = None
    ) -> Generation:
        """See ``Streaming.stream``; errors as of ``generate``. The state of prompt and text is kept until another
        prompt is streamed or the weights change, so that one that begins alike is read from where it differs."""
        if max_new_tokens < 1:
            raise ValueError("max_new_tokens must be at least 1")
        self._check_loaded(adapter)
        [ids] = self.chat.rows([prompt], max_new_tokens, self._context_tokens)
        pieces = Pieces(self.tokenizer, write)
        with self.using(adapter):
            active = self._active(adapter)
            self.model.eval()
            made, reused, likelihood = greedy(
                self.model, ids, max_new_tokens, self._end_ids, pieces.add,
                prefix=self._prefix, owner=(active, stamp(self.model)),
            )  # fmt: skip
            pieces.end()
        return replace(self._finish(len(ids), made, (), active, likelihood), reused_tokens=reused)

    @contextmanager
    def using(self, adapter: str | None) -> Iterator[Any]:
        """The model with this adapter on (None: off), for one caller at a time; it is off again afterwards.

        Raises ModelError for an unknown adapter, IntegrityError if another one is on in the weights.
        """
        self._check_loaded(adapter)
        with self._lock:
            self._switch(adapter)
            try:
                self._active(adapter)
                yield self.model
            finally:
                self._switch(None)

    def _check_loaded(self, adapter: str | None) -> None:
        if adapter is not None and adapter not in self._adapters:
            raise ModelError(f"The adapter {adapter[:16]} is not loaded.")

    def _active(self, wanted: str | None) -> str | None:
        """The adapter that is on, as read off the weights. Raises IntegrityError unless it is the one wanted, at the
        strength at which it was loaded."""
        active = adapters.active_adapter(self.model)
        if active != wanted or (active is not None and active not in self._adapters):
            raise IntegrityError(f"The adapter {wanted or 'none'} was asked for and {active or 'none'} is on.")
        if active is not None and scalings(self.model, active) != self._scalings[active]:
            raise IntegrityError(f"The adapter {active} is on at another strength than it was loaded with.")
        return active

    def _batch(
        self, rows: list[list[int]], limit: int, stop: tuple[str, ...], draw: SeededDraw | None, wanted: str | None
    ) -> list[Generation]:
        import torch

        active = self._active(wanted)
        width = max(len(ids) for ids in rows)
        # Padded on the left and masked by length: the padding token may well be the end token.
        ids = torch.tensor([[self._pad_id] * (width - len(row)) + row for row in rows], device=self.device)
        mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows], device=self.device)
        stopper = Stopper(self.tokenizer, stop, width, len(rows))
        likelihoods = Likelihoods()
        self.model.eval()
        with torch.inference_mode():
            output = self.model.generate(
                input_ids=ids,
                attention_mask=mask,
                max_new_tokens=limit,
                do_sample=False,
                stopping_criteria=[stopper] if stop else None,
                logits_processor=[likelihoods, *([draw] if draw is not None else [])],
            )
        made = [new[:length] for new, length in zip(output[:, width:].tolist(), stopper.lengths, strict=True)]
        counted = [len(new) if (end := self._end(new)) is None else end + 1 for new in made]
        sure = likelihoods.of(output[:, -1], counted)
        return [
            self._finish(len(row), new, stop, active, mean) for row, new, mean in zip(rows, made, sure, strict=True)
        ]

    def _end(self, new: Sequence[int]) -> int | None:
        """Where the first end token stands."""
        return next((i for i, token in enumerate(new) if token in self._end_ids), None)

    def _finish(
        self,
        prompt_tokens: int,
        new: list[int],
        stop: tuple[str, ...],
        active: str | None,
        likelihood: float | None = None,
    ) -> Generation:
        end = self._end(new)
        text, stopped = cut_at(decode(self.tokenizer, new[:end]), stop)
        finish: Literal["stop", "length"] = "stop" if stopped or end is not None else "length"
        return Generation(text, prompt_tokens, len(new[:end]), finish, active, likelihood=likelihood)

    def _switch(self, adapter: str | None) -> None:
        if self._peft is None:
            return
        if adapter is None:
            self._peft.base_model.disable_adapter_layers()
        else:
            self._peft.base_model.set_adapter(adapter, inference_mode=True)
            self._peft.base_model.enable_adapter_layers()
            self._peft.requires_grad_(False)

    def load_adapter(self, folder: Path, strength: float | None = None) -> str:
        """Load a LoRA adapter (safetensors) and leave it off; returns the SHA-256 of its weights file, with the
        strength behind it where that is not 1 (None: as the manifest says; see ``adapter_strength``).

        Raises ModelError if it is missing, pickled, does not fit the model, was trained on another base (see
        ``adapters.check_manifest``), rewrites its base, or has a strength that is none; IntegrityError if loading it
        changed the base weights.
        """
        config = adapters.read_config(folder)
        adapters.check_manifest(folder, self._base_at_load)
        strength = read_strength(folder) if strength is None else checked_strength(strength, str(folder))
        check_scalable(config, strength, folder)
        adapter = adapter_id(file_hash(folder / adapters.WEIGHTS), strength)
        with self._lock:
            self._prefix.drop()
            if adapter in self._adapters:
                if self._adapters[adapter] != config:
                    raise ModelError(
                        f"The adapter in {folder} has the weights of one that is loaded and other settings "
                        f"({adapters.CONFIG}): they cannot both be told apart by their hash."
                    )
                return adapter
            self._add(folder, adapter, strength)
            self._adapters[adapter] = config
            self._scalings[adapter] = scalings(self.model, adapter)
            if self.base_hash() != self._base_at_load:
                raise IntegrityError(f"Loading the adapter in {folder} changed the base weights: load the model anew.")
        return adapter

    def _add(self, folder: Path, adapter: str, strength: float) -> None:
        from peft import LoraConfig, PeftModel, set_peft_model_state_dict
        from safetensors.torch import load_file

        try:
            with quiet():
                state = load_file(folder / adapters.WEIGHTS, device=self.device)
                config = LoraConfig.from_pretrained(str(folder))
                config.inference_mode = True
                if self._peft is None:
                    self._peft = PeftModel(self.model, config, adapter_name=adapter)
                else:
                    self._peft.add_adapter(adapter, config)
                result: Any = set_peft_model_state_dict(self._peft, state, adapter_name=adapter)
            missing = [key for key in result.missing_keys if adapter in key.split(".")]
            if missing or result.unexpected_keys:
                raise ValueError(f"its weights do not fit ({[*missing, *result.unexpected_keys][0]})")
            apply_strength(self.model, adapter, strength)
        except Exception as error:
            self._drop(adapter)
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise ModelError(f"The adapter in {folder} cannot be put on the model {self._id}: {reason}") from error
        self._peft.requires_grad_(False)
        self._switch(None)

    def unload_adapter(self, adapter: str) -> None:
        """Take one adapter off and free its memory. Raises ModelError if it is not loaded."""
        self._check_loaded(adapter)
        with self._lock:
            self._prefix.drop()
            del self._adapters[adapter], self._scalings[adapter]
            self._drop(adapter)

    def _drop(self, adapter: str) -> None:
        """Take an adapter out that is not, or no longer, among ``_adapters``."""
        if self._peft is None:
            return
        if self._adapters:
            if adapter in self._peft.peft_config:
                self._peft.delete_adapter(adapter)
            self._switch(None)
        else:
            self.unload_adapters()

    def unload_adapters(self) -> None:
        """Take every adapter off: the model is bare again, as it was before the first ``load_adapter``."""
        with self._lock:
            self._prefix.drop()
            if self._peft is not None:
                self.model = self._peft.unload()
            self._peft = None
            self._adapters.clear()
            self._scalings.clear()

    def base_hash(self) -> str:
        """See ``adapters.base_hash``: the same before, with and after adapters, and other for another dtype."""
        with self._lock:
            return adapters.base_hash(self.model)


def _dtype(name: str, device: str) -> Any:
    import torch

    if name == "auto":
        return torch.bfloat16 if device.startswith("cuda") else torch.float32
    found = getattr(torch, name, None)
    if not isinstance(found, torch.dtype) or not found.is_floating_point:
        raise ValueError(f'dtype must be "auto", "float32", "bfloat16" or "float16", not {name!r}')
    return found


def _load(path: Path, name: str, device: str, dtype: Any) -> tuple[Any, Any]:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    try:
        if path.is_file():
            from fieldguide.models.gguf import load_gguf

            model, tokenizer = load_gguf(path, dtype)
        else:
            with quiet():
                tokenizer = AutoTokenizer.from_pretrained(str(path), trust_remote_code=False, local_files_only=True)
                model = AutoModelForCausalLM.from_pretrained(
                    str(path), dtype=dtype, use_safetensors=True, trust_remote_code=False, local_files_only=True
                )
        model = model.to(device)
    except (MemoryError, torch.OutOfMemoryError) as error:
        raise ModelError(f"The model {name!r} does not fit into memory: choose a smaller one.") from error
    except ModelError:
        raise
    except Exception as error:  # transformers raises many kinds for a folder that is not a model
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ModelError(f"The model {name!r} at {path} cannot be loaded: {reason}") from error
    model.eval()
    model.requires_grad_(False)
    return model, tokenizer
