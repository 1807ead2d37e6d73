"""Prompts to token ids and answers to training targets, by the model's own tokenizer and chat template.

Message contents are data: no text in them becomes a control token. Knows nothing of the model's weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fieldguide.errors import ModelError
from fieldguide.models.base import Prompt

_PROBE = "fieldguide"


class Chat:
    """Renders for one tokenizer (a transformers tokenizer, typed Any since transformers is imported late)."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        special = set(tokenizer.all_special_tokens)
        special |= {str(token) for token in tokenizer.added_tokens_decoder.values() if token.special}
        # Of the other added tokens those that look like marks ("<tool_call>", "[INST]"): some tokenizers also add
        # plain letters, words or runs of spaces, which have to come through unharmed.
        special |= {token for token in tokenizer.get_added_vocab() if len(token) > 2 and not token.isalnum()}
        self._control = sorted((token for token in special if token.strip()), key=len, reverse=True)
        ids = tokenizer.convert_tokens_to_ids(self._control)
        self.control_ids = frozenset(int(i) for i in ids if i is not None)
        """Ids of all special tokens and added marks: none of them comes out of a message."""
        self._takes_system = self._system_allowed()
        self.end_id = self._find_end()
        """The token that ends an assistant's turn. None only if the tokenizer has no end token at all."""

    def rows(self, prompts: Sequence[Prompt], max_new_tokens: int, limit: int) -> list[list[int]]:
        """Token ids of each prompt. Raises ModelError for one that with its answer is over ``limit`` tokens."""
        rows = [self.render(prompt) for prompt in prompts]
        for number, ids in enumerate(rows, 1):
            if len(ids) + max_new_tokens > limit:
                raise ModelError(
                    f"Prompt {number} of {len(rows)} has {len(ids)} tokens; with {max_new_tokens} for the answer that "
                    f"is over the model's limit of {limit}: show fewer or shorter passages."
                )
        return rows

    def neutralise(self, text: str) -> str:
        """The text with each control token in it broken by spaces ("<|im_end|>" gives "< |im_end| >")."""
        for _ in range(4):
            found = [token for token in self._control if token in text]
            if not found:
                return text
            for token in found:
                text = text.replace(token, _broken(token))
        for token in self._control:  # a tokenizer with tokens that breaking makes anew
            text = text.replace(token, "")
        return text

    def text(self, prompt: Prompt) -> str:
        """The prompt as one text that ends where the assistant's answer begins.

        Raises ModelError if the chat template refuses the roles, and ValueError for an empty prompt.
        """
        if not prompt:
            raise ValueError("a prompt needs at least one message")
        messages = [{"role": message.role, "content": self.neutralise(message.content)} for message in prompt]
        if not self.tokenizer.chat_template:
            return "\n\n".join(f"{m['role']}: {m['content']}" for m in messages) + "\n\nassistant:"
        if not self._takes_system and messages[0]["role"] == "system" and len(messages) > 1:
            system, first, *rest = messages
            messages = [{"role": first["role"], "content": f"{system['content']}\n\n{first['content']}"}, *rest]
        try:
            return self._apply(messages)
        except Exception as error:  # jinja's errors, and whatever a template raises
            raise ModelError(f"The model's chat template refuses the prompt: {error}") from error

    def _system_allowed(self) -> bool:
        """Whether the chat template shows a system message; if not, it is put into the first turn."""
        from jinja2 import TemplateError

        if not self.tokenizer.chat_template:
            return True
        try:
            return _PROBE in self._apply([{"role": "system", "content": _PROBE}, {"role": "user", "content": "?"}])
        except TemplateError:
            return False

    def _apply(self, messages: list[dict[str, str]]) -> str:
        return str(self.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True))

    def render(self, prompt: Prompt) -> list[int]:
        """Token ids of the prompt up to where the answer begins."""
        plain = not self.tokenizer.chat_template
        ids = self._encode(self.text(prompt), special=plain)
        if plain and ids and ids[-1] == self.tokenizer.eos_token_id:
            ids.pop()
        return ids

    def completion_ids(self, text: str) -> list[int]:
        """Token ids of an answer and of the end of its turn: what generating after ``render`` should produce."""
        ids = self._encode(self.neutralise(text), special=False)
        return ids if self.end_id is None else [*ids, self.end_id]

    def _encode(self, text: str, *, special: bool) -> list[int]:
        encoded = self.tokenizer(text, add_special_tokens=special, truncation=False, verbose=False)
        return [int(i) for i in encoded["input_ids"]]

    def _find_end(self) -> int | None:
        """The first control token that the chat template puts after an assistant's message, else the end token."""
        if self.tokenizer.chat_template:
            for token in self._encode(self._after_answer(), special=False):
                if token in self.control_ids:
                    return token
        eos = self.tokenizer.eos_token_id
        return eos if eos is None else int(eos)

    def _after_answer(self) -> str:
        from jinja2 import TemplateError

        messages = [{"role": "user", "content": "?"}, {"role": "assistant", "content": _PROBE}]
        try:
            return str(self.tokenizer.apply_chat_template(messages, tokenize=False)).rpartition(_PROBE)[2]
        except TemplateError:
            return ""


def _broken(token: str) -> str:
    if len(token) == 1:
        return " "
    if len(token) == 2:
        return f"{token[0]} {token[1]}"
    return f"{token[0]} {token[1:-1]} {token[-1]}"
