"""Reranking by a cross-encoder, which reads query and passage together. Knows a folder of safe weights.

One that ``fieldguide tune --reranker`` made may have a manifest.json beside its weights whose "weight" says how much
its score counts against the score that the candidates come with.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from fieldguide.errors import ModelError, NotReady
from fieldguide.models.weights import pick_device, quiet, refuse_code, resolve, safetensors_hash
from fieldguide.types import ScoredChunk
from retrieval.query import Queries, Tools
from retrieval.rescore import Scores, rescored, to_unit

_BATCH = 32


class CrossEncoderReranker:
    """Candidates by the cross-encoder's raw output (its logit, before any sigmoid: that would make the best equal).

    With a ``weight`` below 1 the score is weight · the output + (1 − weight) · the score that the candidate comes
    with, both brought to 0 to 1 over the candidates of a query.
    """

    name = "cross-encoder"

    def __init__(self, folder: Path, *, name: str, device: str = "auto", weight: float = 1.0) -> None:
        """Raises ModelError if the folder's model cannot be loaded, wants to run code of its own, or gives classes."""
        weights = safetensors_hash(folder)
        self._model = _load(folder, name, device, weights)
        self._weight = weight
        self._id = f"cross-encoder:{name}:{weights[:16]}:{self._model.max_length}:{weight:g}"

    @classmethod
    def load(cls, name: str, tools: Tools | None) -> CrossEncoderReranker:
        """By hub name or folder; "" means the one that was tuned here.

        Raises NotReady if there is none, ModelError if it cannot be found or loaded.
        """
        device, offline = (tools.device, tools.models) if tools is not None else ("auto", None)
        if name:
            folder = resolve(name, offline)
            label = folder.name if Path(name).expanduser().exists() else name
            return cls(folder, name=label, device=device, weight=_weight(folder))
        tuned = tools.cross_encoder if tools is not None else None
        if tuned is None or not tuned.is_dir():
            raise NotReady(
                "There is no cross-encoder for retrieval.rerank: name one in retrieval.cross_encoder, "
                "or make one from your own pairs with `fieldguide tune --reranker`."
            )
        return cls(resolve(str(tuned), None), name="tuned", device=device, weight=_weight(tuned))

    @property
    def id(self) -> str:
        return self._id

    def rerank(self, queries: Queries, ranked: Sequence[Sequence[ScoredChunk]]) -> list[list[ScoredChunk]]:
        pairs = [
            (text, held.chunk.indexed_text)
            for text, candidates in zip(queries.texts, ranked, strict=True)
            for held in candidates
        ]
        outputs = self.scores(pairs)
        found, at = [], 0
        for candidates in ranked:
            found.append(rescored(self.name, candidates, self._joined(outputs[at : at + len(candidates)], candidates)))
            at += len(candidates)
        return found

    def scores(self, pairs: Sequence[tuple[str, str]]) -> Scores:
        """Raw output for each (query, passage), shape (len(pairs),); the library sorts by length and batches."""
        import torch

        if not pairs:
            return np.zeros(0)
        outputs = self._model.predict(
            list(pairs), batch_size=_BATCH, show_progress_bar=False, activation_fn=torch.nn.Identity()
        )
        return np.asarray(outputs, dtype=np.float64)

    def _joined(self, outputs: Scores, candidates: Sequence[ScoredChunk]) -> Scores:
        if self._weight == 1 or not candidates:
            return outputs
        before = to_unit([held.score for held in candidates])
        return self._weight * to_unit(outputs) + (1 - self._weight) * before


def _weight(folder: Path) -> float:
    """What the folder's manifest.json says, 1 where it says nothing. Raises ModelError unless it is 0 to 1."""
    manifest = folder / "manifest.json"
    if not manifest.exists():
        return 1.0
    try:
        weight = float(json.loads(manifest.read_text("utf-8")).get("weight", 1.0))
    except (ValueError, TypeError, AttributeError) as error:
        raise ModelError(f"{manifest} is not the manifest of a reranker: {error}.") from error
    if not 0 <= weight <= 1:
        raise ModelError(f'"weight" in {manifest} is {weight:g} and must be between 0 and 1.')
    return weight


@lru_cache(maxsize=2)
def _load(folder: Path, name: str, device: str, weights: str) -> Any:
    """The model, loaded once for retrievers that differ in other settings; ``weights`` is the hash of its files."""
    from sentence_transformers import CrossEncoder

    refuse_code(folder, "cross-encoder")
    try:
        with quiet():
            model: Any = CrossEncoder(
                str(folder),
                device=pick_device(device),
                trust_remote_code=False,
                local_files_only=True,
                model_kwargs={"use_safetensors": True, "dtype": "float32"},
            )
    except Exception as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ModelError(f"The cross-encoder {name!r} at {folder} cannot be loaded: {reason}") from error
    if model.num_labels != 1:
        raise ModelError(
            f"The cross-encoder {name!r} gives {model.num_labels} classes, not one score: "
            "name one that was trained for ranking."
        )
    return model
