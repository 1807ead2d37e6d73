"""The order in which passages are shown to the model. Pure; knows only sequences.

Long-Context LLMs Meet RAG (Jin et al. 2024, arXiv 2410.05983), section on retrieval reordering.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeVar

T = TypeVar("T")
Policy = Literal["rank", "ends", "reverse"]


def reorder(ranked: Sequence[T], policy: Policy) -> list[T]:
    """``ranked`` (best first) in the order of the policy.

    rank: best first. ends: odd ranks from the front, even ranks from the back, so that the best stand at both ends:
    d1 d3 d5 … d6 d4 d2. reverse: best last, next to the question.
    """
    if policy == "ends":
        return [*ranked[0::2], *reversed(ranked[1::2])]
    if policy == "reverse":
        return list(reversed(ranked))
    return list(ranked)
