"""The mark by which a prompt says that its answer depends on the passages: one for training and for serving.

Context-dependency indicator of Wang et al. 2024, "On the Loss of Context-awareness in General Instruction Fine-tuning"
(arXiv 2411.02688).
"""

from __future__ import annotations

from fieldguide.models.base import Message, Prompt

MARK = "[answer from the passages]"


def marked(prompt: Prompt) -> Prompt:
    """The prompt with the mark in a line of its own behind the question; only for prompts with passages."""
    *before, last = prompt
    return (*before, Message(last.role, f"{last.content}\n{MARK}"))
