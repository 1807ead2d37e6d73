"""Tiny real models on disk, made once a session."""

from __future__ import annotations

from pathlib import Path

import pytest

from fieldguide.models.tiny import write_tiny_adapter, write_tiny_model


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a random Llama of 2 layers with tokenizer and chat template."""
    import torch

    torch.set_num_threads(1)  # two test runs on one machine's cores slow each other down tenfold otherwise
    return write_tiny_model(tmp_path_factory.mktemp("tiny") / "tiny-model")


@pytest.fixture(scope="session")
def tiny_adapter(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a random LoRA adapter of ``tiny_model`` that changes its outputs."""
    return write_tiny_adapter(tmp_path_factory.mktemp("tiny") / "adapter", tiny_model)


@pytest.fixture(scope="session")
def other_adapter(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A second adapter of ``tiny_model`` with other weights."""
    return write_tiny_adapter(tmp_path_factory.mktemp("tiny") / "other", tiny_model, seed=2)
