"""The loss of tuning, and the copy of the model that it is computed on. Knows token ids and labels only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fieldguide.models.sentence_transformer import bfloat16_on_cpu
from tuning.methods import penalty
from tuning.tokenise import IGNORED


def training_copy(model: Any) -> tuple[Any, bool]:
    """The model to train adapters on, and whether it is one that ``tuning.fast`` may change: on a CPU a copy, in
    bfloat16 where the processor has it; elsewhere, or where it is quantised, the model itself."""
    from copy import deepcopy

    import torch

    if next(model.parameters()).device.type != "cpu" or getattr(model, "is_quantized", False):
        return model, False
    copy = deepcopy(model)
    return (copy.to(torch.bfloat16) if bfloat16_on_cpu() else copy), True


def answer_loss(model: Any, inputs: dict[str, Any], items: Any = None) -> Any:
    """Mean cross entropy over the labelled tokens (over ``items`` tokens where given, for accumulated batches).

    The output layer, a fifth of a small model's work and most of its memory, runs only at positions where some
    example of the batch has a label. What the method adds to the loss (``methods.penalty``) is added.
    """
    import torch

    shifted = inputs["labels"][:, 1:]
    positions = (shifted != IGNORED).any(dim=0).nonzero().flatten()
    rest = {name: value for name, value in inputs.items() if name != "labels"}
    logits = model(**rest, logits_to_keep=positions).logits.float()
    targets = shifted[:, positions].reshape(-1)
    loss = torch.nn.functional.cross_entropy(
        logits.reshape(-1, logits.shape[-1]), targets, ignore_index=IGNORED, reduction="sum"
    )
    return loss / (items if items is not None else (targets != IGNORED).sum()) + penalty(
        getattr(model, "module", model)
    )


def trainer_class() -> Any:
    """trl's SFTTrainer with ``answer_loss``: its own runs the output layer at every position."""
    from trl.trainer.sft_trainer import SFTTrainer

    class AnswerTrainer(SFTTrainer):  # type: ignore[misc]
        def compute_loss(
            self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
        ) -> Any:
            return answer_loss(model, inputs, num_items_in_batch)

    return AnswerTrainer


def batch_loss(trainer: Any, batch: Any) -> Any:
    """Loss of a batch in the precision of the training."""
    with trainer.accelerator.autocast():
        return answer_loss(trainer.model, trainer._prepare_inputs(batch))


def held_out_loss(trainer: Any) -> float | None:
    """Mean loss over the answer tokens of the trainer's dev examples, None if there are none."""
    import torch

    if trainer.eval_dataset is None:
        return None
    total, tokens = 0.0, 0
    trainer.model.eval()
    with torch.no_grad():
        for row in trainer.eval_dataset:  # the trainer's own loader would give each of several processes a part
            batch = trainer.data_collator([row])
            count = int((batch["labels"][:, 1:] != IGNORED).sum())
            total += float(batch_loss(trainer, batch)) * count
            tokens += count
    trainer.model.train()
    return total / max(tokens, 1)


def greedy(
    model: Any, rows: Sequence[list[int]], ends: Sequence[int], pad: int, limit: int, batch_tokens: int = 4096
) -> list[list[int]]:
    """What the model writes after each row of prompt tokens, at most ``limit`` tokens, without the end token."""
    import torch

    from fieldguide.models.decoding import batches

    out: list[list[int]] = [[] for _ in rows]
    device = next(model.parameters()).device
    inner = getattr(model, "get_base_model", lambda: model)()
    trls = vars(inner).pop("forward", None)  # its wrapper hides that the output layer is wanted at one position only
    model.eval()
    for group in batches([len(row) for row in rows], batch_tokens):
        width = max(len(rows[n]) for n in group)
        ids = torch.tensor([[pad] * (width - len(rows[n])) + rows[n] for n in group], device=device)
        mask = torch.tensor([[0] * (width - len(rows[n])) + [1] * len(rows[n]) for n in group], device=device)
        with torch.no_grad():
            made = model.generate(
                input_ids=ids, attention_mask=mask, max_new_tokens=limit, do_sample=False, eos_token_id=list(ends),
                pad_token_id=pad, use_cache=True,
            )[:, width:].tolist()  # fmt: skip
        for n, new in zip(group, made, strict=True):
            end = next((i for i, token in enumerate(new) if token in ends), None)
            out[n] = new[:end]
    if trls is not None:
        inner.forward = trls
    model.train()
    return out
